/* leat test: pipelines against rows that are expected, for their authors. */
#include "base/log.h"
#include "cli/cli.h"
#include "cli/trial.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char HELP[] =
    "usage: leat test FILE.sql|FOLDER… [options]\n\n"
    "Runs a pipeline over the rows beside it and compares its results. A test is a folder with\n\n"
    "  a pipeline, FILE.sql           the same file that runs in production\n"
    "  TABLE.ndjson (.csv, .json)     the rows of each source and reference table, whatever its "
    "connector\n"
    "  expected/RESULT.ndjson         the rows of a view or sink; the order does not matter\n"
    "  expected/late_rows.ndjson, expected/dead_letters.ndjson\n"
    "                                 the columns given there; without the file there must be "
    "none\n\n"
    "A folder of such folders runs them all. Nothing outside is contacted or written. now() is the "
    "data's latest\nevent time.\n\n"
    "  --update       write what came into expected/\n"
    "  --kill         again, ended by SIGKILL after every epoch and resumed\n"
    "  --shuffle N    again in N other orders of arrival, within each source's watermark delay\n"
    "  --verbose      show the log of each run\n"
    "  -h             this help\n";

typedef struct Arguments {
    const char **paths;
    int path_count;
    bool update, kill, verbose;
    int shuffles;
} Arguments;

typedef struct Tally {
    const Arguments *a;
    int passed, failed;
    bool colours;
} Tally;

static volatile sig_atomic_t stopped;
static void on_signal(int number) {
    (void)number;
    stopped = 1;
}

static Status read_arguments(int argc, char **argv, Arguments *a) {
    a->paths = xcalloc((size_t)argc, sizeof *a->paths);
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            fputs(HELP, stdout);
            return END;
        }
        if (strcmp(word, "--update") == 0) a->update = true;
        else if (strcmp(word, "--kill") == 0) a->kill = true;
        else if (strcmp(word, "--verbose") == 0) a->verbose = true;
        else if (strcmp(word, "--shuffle") == 0) {
            char *end = NULL;
            long wanted = i + 1 < argc ? strtol(argv[++i], &end, 10) : 0;
            if (!end || *end || wanted < 1 || wanted > 100000)
                return usage_error("test", "--shuffle wants how many orders to try, 1 to 100000"),
                       FAIL;
            a->shuffles = (int)wanted;
        } else if (word[0] == '-') {
            return usage_error("test", "unknown option %s", word), FAIL;
        } else {
            a->paths[a->path_count++] = word;
        }
    }
    if (!a->path_count)
        return usage_error("test", "which pipeline? name its FILE.sql or a folder of tests"), FAIL;
    if (a->update && (a->kill || a->shuffles))
        return usage_error("test", "--update writes what a plain run gives; leave --kill and "
                                   "--shuffle out"),
               FAIL;
    return OK;
}

/* ---- one test ---- */

static void show_log(const Trial *t) {
    Buffer path = {0}, text = {0};
    buffer_add_format(&path, "%s/log", t->work);
    buffer_add_char(&path, 0);
    if (read_file(path.data, &text, NULL) == OK) fwrite(text.data, 1, text.size, stderr);
    buffer_free(&path);
    buffer_free(&text);
}

/* One way of running; what is wrong is added to *out. */
static Status try_way(Trial *t, const Arguments *a, const Way *way, const Expectation *how,
                      int *compared, Buffer *out) {
    Error error = {0};
    Buffer found = {0};
    Result *results = NULL;
    int count = 0;
    Status status = trial_run(t, way, &error);
    if (a->verbose) show_log(t);
    if (status == OK) status = trial_results(t, &results, &count, &error);
    if (status == OK) status = expect(t, results, count, how, compared, &found, &error);
    results_free(&results, count);
    if (status == FAIL) buffer_add_format(&found, "    %s\n", error.text);
    if (status != OK && way->kill) buffer_add_text(out, "    killed at every epoch:\n");
    if (status != OK && way->shuffle)
        buffer_add_format(out, "    in another order (number %d):\n", (int)way->shuffle);
    buffer_add_str(out, buffer_str(&found));
    buffer_free(&found);
    return status;
}

static Status try_all(Trial *t, const Tally *tally, int *compared, Buffer *out) {
    const Arguments *a = tally->a;
    Expectation how = {.update = a->update, .colours = tally->colours};
    Way way = {0};
    int ignored = 0;
    Error error = {0};
    Status status = OK;
    if (t->clocked) { /* first of all to learn what time it is */
        status = trial_run(t, &way, &error);
        if (status != OK) buffer_add_format(out, "    %s\n", error.text);
    }
    if (status == OK) status = try_way(t, a, &way, &how, compared, out);
    if (status != FAIL && !*compared) {
        buffer_add_text(out,
                        "    nothing is expected: put rows into expected/RESULT.ndjson, or let "
                        "leat test --update write them\n");
        status = FAIL;
    }
    way.kill = true;
    if (status == OK && a->kill && !stopped) status = try_way(t, a, &way, &how, &ignored, out);
    way.kill = false;
    how.other_order = true;
    for (int i = 1; i <= a->shuffles && status == OK && !stopped; i++) {
        way.shuffle = (uint64_t)i;
        status = try_way(t, a, &way, &how, &ignored, out);
    }
    return status;
}

static const char *word_of(const Tally *tally, Status status) {
    if (tally->a->update && status == OK) return "written";
    if (!tally->colours) return status == OK ? "ok     " : "FAIL   ";
    return status == OK ? "\033[32mok\033[0m     " : "\033[31mFAIL\033[0m   ";
}

static int test_one(Tally *tally, const char *folder, const char *file) {
    int back = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (chdir(folder) != 0) {
        fprintf(stderr, "leat test: cannot enter '%s': %s\n", folder, strerror(errno));
        if (back >= 0) close(back);
        return EXIT_USAGE;
    }
    struct timespec began, ended;
    clock_gettime(CLOCK_MONOTONIC, &began);
    Trial *t = NULL;
    int result = EXIT_USAGE;
    if (trial_open(folder, file, &t) == OK) {
        Buffer out = {0};
        int compared = 0;
        Status status = try_all(t, tally, &compared, &out);
        clock_gettime(CLOCK_MONOTONIC, &ended);
        long ms = (ended.tv_sec - began.tv_sec) * 1000 + (ended.tv_nsec - began.tv_nsec) / 1000000;
        if (!stopped)
            printf("%s %s  %d result%s, %ld ms\n%.*s", word_of(tally, status), folder, compared,
                   compared == 1 ? "" : "s", ms, (int)out.size, out.data ? out.data : "");
        fflush(stdout);
        buffer_free(&out);
        result = status == OK ? EXIT_DONE : EXIT_FAILED;
    }
    trial_close(&t);
    *(result == EXIT_DONE ? &tally->passed : &tally->failed) += 1;
    if (back < 0 || fchdir(back) != 0) result = EXIT_FAILED;
    if (back >= 0) close(back);
    return result;
}

/* ---- which ---- */

typedef struct Names {
    char **items;
    int count;
} Names;

static int by_name(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static Status list(const char *folder, Names *names) {
    DIR *at = opendir(folder);
    if (!at) {
        fprintf(stderr, "leat test: cannot read '%s': %s\n", folder, strerror(errno));
        return FAIL;
    }
    for (struct dirent *entry; (entry = readdir(at));) {
        if (entry->d_name[0] == '.') continue;
        names->items = xrealloc(names->items, ((size_t)names->count + 1) * sizeof *names->items);
        names->items[names->count++] = xstrdup(entry->d_name);
    }
    closedir(at);
    if (names->count) qsort(names->items, (size_t)names->count, sizeof *names->items, by_name);
    return OK;
}

static bool is_sql(const char *name) {
    size_t size = strlen(name);
    return size > 4 && strcmp(name + size - 4, ".sql") == 0;
}

static bool is_folder(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The folder's pipeline: the only .sql, or pipeline.sql. NULL: none; "": cannot be told. */
static const char *pipeline_of(const Names *names) {
    const char *found = NULL;
    int count = 0;
    for (int i = 0; i < names->count; i++) {
        if (strcmp(names->items[i], "pipeline.sql") == 0) return names->items[i];
        if (is_sql(names->items[i])) found = names->items[i], count++;
    }
    return count > 1 ? "" : found;
}

enum { DEPTH_MOST = 16 };

static int worse(int a, int b) { return a > b ? a : b; }

/* `named`: the user has named this folder itself. */
static int test_folder(Tally *tally, const char *folder, bool named, int depth) {
    Names names = {0};
    int result = EXIT_DONE;
    if (depth > DEPTH_MOST || list(folder, &names) != OK) return EXIT_USAGE;
    const char *file = pipeline_of(&names);
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/expected", folder);
    if (file && (is_folder(path) || (named && tally->a->update))) {
        if (*file) {
            result = test_one(tally, folder, file);
        } else {
            fprintf(stderr, "leat test: '%s' has several pipelines: name one\n", folder);
            result = EXIT_USAGE;
        }
    } else {
        for (int i = 0; i < names.count && !stopped; i++) {
            snprintf(path, sizeof path, "%s/%s", folder, names.items[i]);
            if (is_folder(path)) result = worse(result, test_folder(tally, path, false, depth + 1));
        }
    }
    for (int i = 0; i < names.count; i++) free(names.items[i]);
    free(names.items);
    return result;
}

static int test_path(Tally *tally, const char *path) {
    if (is_folder(path)) {
        int before = tally->passed + tally->failed;
        Buffer folder = {0};
        buffer_add_text(&folder, path);
        while (folder.size > 1 && folder.data[folder.size - 1] == '/') folder.size--;
        buffer_add_char(&folder, 0);
        int result = test_folder(tally, folder.data, true, 0);
        buffer_free(&folder);
        if (!stopped && before == tally->passed + tally->failed && result == EXIT_DONE) {
            fprintf(stderr,
                    "leat test: there is no test in '%s': a folder with a .sql file and "
                    "expected/; leat test -h tells more\n",
                    path);
            return EXIT_USAGE;
        }
        return result;
    }
    const char *slash = strrchr(path, '/');
    char *folder = xstrdup(slash ? path : ".");
    if (slash) folder[slash == path ? 1 : slash - path] = 0;
    int result = test_one(tally, folder, slash ? slash + 1 : path);
    free(folder);
    return result;
}

int test_main(int argc, char **argv) {
    Arguments a = {0};
    Status status = read_arguments(argc, argv, &a);
    if (status != OK) {
        free(a.paths);
        return status == END ? EXIT_DONE : EXIT_USAGE;
    }
    struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    log_set_level(a.verbose ? LOG_INFO : LOG_WARNING);
    Tally tally = {.a = &a, .colours = isatty(STDOUT_FILENO) && !getenv("NO_COLOR")};
    int result = EXIT_DONE;
    for (int i = 0; i < a.path_count && !stopped; i++)
        result = worse(result, test_path(&tally, a.paths[i]));
    if (tally.passed + tally.failed > 1) {
        printf("%d tests: %d passed, %d failed\n", tally.passed + tally.failed, tally.passed,
               tally.failed);
    }
    free(a.paths);
    return stopped ? EXIT_FAILED : result;
}
