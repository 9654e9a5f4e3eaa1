/* One trial of `leat test`: the pipeline's own plan, but with files where the outside was. A source
 * T reads T.ndjson, T.csv or T.json of the folder, every sink writes into a folder that is thrown
 * away, the clock is the data's. Each run is a child process, so that --kill can be a SIGKILL, and
 * a crash of the engine is a failed test rather than the end of all. */
#include "cli/trial.h"
#include "cli/cli.h"
#include "data/time.h"
#include "engine/engine.h"
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- files in place of the outside ---- */

static bool is_written(const Catalog *catalog, const Table *table) {
    for (int i = 0; i < catalog->insert_count; i++) {
        Table *found = NULL;
        const Insert *insert = &catalog->inserts[i];
        if (catalog_find_table((Catalog *)(uintptr_t)catalog, insert->table, insert->quoted, &found,
                               NULL) == OK &&
            found == table)
            return true;
    }
    return false;
}

enum { ENDINGS = 3 };

/* NULL: there is none. *other: another one that could be meant as well. */
static const char *input_file(Arena *arena, const char *table, const char **other) {
    static const char *const endings[ENDINGS] = {"ndjson", "csv", "json"};
    const char *first = NULL;
    *other = NULL;
    for (int i = 0; i < ENDINGS && !*other; i++) {
        Buffer name = {0};
        buffer_add_format(&name, "%s.%s", table, endings[i]);
        const char *path = arena_text(arena, buffer_str(&name));
        buffer_free(&name);
        if (access(path, F_OK) == 0) *(first ? other : &first) = path;
    }
    return first;
}

static void read_file_instead(Trial *t, Table *table, const char *path) {
    OptionValue *values = arena_new_array(t->arena, OptionValue, table->options.count + 3);
    int count = 0;
    bool csv = strlen(path) > 4 && strcmp(path + strlen(path) - 4, ".csv") == 0;
    bool array = table->format && strcmp(table->format->name, "json_array") == 0;
    values[count++] = (OptionValue){.name = "path", .text = path, .given = true};
    if (csv || !array)
        values[count++] =
            (OptionValue){.name = "format", .text = csv ? "csv" : "json", .given = true};
    for (int i = 0; i < table->options.count; i++)
        if (strcmp(table->options.values[i].name, "path") != 0 &&
            strcmp(table->options.values[i].name, "follow") != 0)
            values[count++] = table->options.values[i];
    table->options = (Options){count, values};
    table->connector = connector_find("file");
    if (csv || !array) table->format = format_find(csv ? "csv" : "json");
    table->max_future_us = INT64_MAX;
}

/* Rows are kept in files of that name. */
static Status check_names(const Catalog *catalog, Error *error) {
    const char *bad = NULL;
    for (int i = 0; i < catalog->table_count && !bad; i++)
        if (strchr(catalog->tables[i].name, '/')) bad = catalog->tables[i].name;
    for (int i = 0; i < catalog->view_count && !bad; i++)
        if (strchr(catalog->views[i].name, '/')) bad = catalog->views[i].name;
    return bad ? fail(error, "no file can have the name '%s'; give it one without /", bad) : OK;
}

static Status put_files(Trial *t, Error *error) {
    Catalog *catalog = t->catalog;
    for (int i = 0; i < catalog->table_count; i++) {
        Table *table = &catalog->tables[i];
        if (is_written(catalog, table)) {
            table->connector = &trial_sink_connector;
            continue;
        }
        const char *other = NULL, *path = input_file(t->arena, table->name, &other);
        if (other)
            return fail(error, "the rows of table %s stand in %s and in %s; take one of them away",
                        table->name, path, other);
        if (path) read_file_instead(t, table, path);
    }
    return OK;
}

/* Every source has its rows; asked after planning, which knows what is read. */
static Status check_inputs(Trial *t) {
    t->inputs = arena_new_array(t->arena, const char *, t->plan->source_count + 1);
    for (int i = 0; i < t->catalog->table_count; i++) {
        const Table *table = &t->catalog->tables[i];
        if (!table->is_source && !table->is_reference) continue;
        if (strcmp(table->connector->name, "file") == 0) continue;
        fprintf(stderr,
                "leat test: %s: there are no rows for table %s; put them into %s.ndjson (or .csv) "
                "beside the pipeline\n",
                t->name, table->name, table->name);
        return FAIL;
    }
    const char *other;
    for (int i = 0; i < t->plan->source_count; i++)
        t->inputs[i] = input_file(t->arena, t->plan->sources[i].table->name, &other);
    return OK;
}

/* now() and its kin: only then does the clock matter. */
static bool asks_time(Str text) {
    static const char *const words[] = {"now(", "current_timestamp", "current_date",
                                        "localtimestamp", "_timestamp()"};
    for (size_t i = 0; i < text.size; i++)
        for (int w = 0; w < 5; w++)
            if (text.size - i >= strlen(words[w]) &&
                strncasecmp(text.data + i, words[w], strlen(words[w])) == 0)
                return true;
    return false;
}

/* The test runs in its folder, the reader of its error stands outside. */
static void tell_error(const Trial *t, const Error *error) {
    Buffer path = {0};
    if (strcmp(t->folder, ".") != 0) buffer_add_format(&path, "%s/", t->folder);
    buffer_add_format(&path, "%s%c", t->file, 0);
    pipeline_error_as(path.data, t->file, t->catalog, error);
    buffer_free(&path);
}

Status trial_open(const char *folder, const char *file, Trial **out) {
    Trial *t = xcalloc(1, sizeof *t);
    t->arena = arena_new();
    t->folder = t->name = arena_text(t->arena, str_from(folder));
    t->file = arena_text(t->arena, str_from(file));
    Error error = {0};
    char work[PATH_MAX];
    const char *base = getenv("TMPDIR");
    snprintf(work, sizeof work, "%s/leat-test-XXXXXX", base && *base ? base : "/tmp");
    Status status = mkdtemp(work) ? OK
                                  : fail(&error, "cannot make '%s': %s; let TMPDIR name a folder",
                                         work, strerror(errno));
    if (status == OK) t->work = arena_text(t->arena, str_from(work));
    if (status == OK) status = catalog_read(file, &t->catalog, &error);
    if (status == OK) status = check_names(t->catalog, &error);
    if (status == OK) status = put_files(t, &error);
    if (status == OK) status = plan_new(t->catalog, &t->plan, &error);
    if (status != OK) tell_error(t, &error);
    if (status == OK) status = check_inputs(t);
    if (status != OK) {
        trial_close(&t);
        return FAIL;
    }
    t->clocked = asks_time(t->catalog->text);
    t->clock_us = INT64_C(946684800000000); /* 2000-01-01, until the data has told */
    *out = t;
    return OK;
}

static int remove_entry(const char *path, const struct stat *st, int kind, struct FTW *place) {
    (void)st, (void)kind, (void)place;
    return remove(path);
}
static void remove_tree(const char *path) {
    (void)nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

void trial_close(Trial **trial_at) {
    Trial *t = *trial_at;
    if (!t) return;
    if (t->work) remove_tree(t->work);
    if (t->plan) plan_free(&t->plan);
    if (t->catalog) catalog_free(&t->catalog);
    arena_free(&t->arena);
    free(t);
    *trial_at = NULL;
}

/* ---- runs ---- */

static int64_t standing_clock_us;
static int64_t standing_now_us(Env *env) {
    (void)env;
    return standing_clock_us;
}

static const char *in_work(Trial *t, const char *name) {
    Buffer path = {0};
    buffer_add_format(&path, "%s/%s", t->work, name);
    const char *text = arena_text(t->arena, buffer_str(&path));
    buffer_free(&path);
    return text;
}

static void put_text(Trial *t, const char *name, const char *text) {
    FILE *file = fopen(in_work(t, name), "we");
    if (!file) return;
    fputs(text, file);
    fclose(file);
}

static Status shuffle_inputs(Trial *t, uint64_t seed, Error *error) {
    for (int i = 0; i < t->plan->source_count; i++) {
        Table *table = t->plan->sources[i].table;
        if (!t->inputs[i] || table->event_time < 0) continue;
        char name[32];
        snprintf(name, sizeof name, "source-%d", i);
        const char *path = in_work(t, name);
        Status status = shuffle_file(t, i, seed + (uint64_t)i, path, error);
        if (status != OK) return status;
        for (int o = 0; o < table->options.count; o++)
            if (strcmp(table->options.values[o].name, "path") == 0)
                table->options.values[o].text = path;
    }
    return OK;
}

/* How far the data's time goes and how many records there were, for the parent. */
static void tell_facts(Trial *t, Report *r) {
    int64_t clock_us = NO_TIME, records = 0;
    for (int s = 0; s < t->plan->source_count; s++)
        for (int p = 0; p < r->sources[s].partition_count; p++) {
            const PartitionReport *part = &r->sources[s].partitions[p];
            records += part->rows;
            if (part->watermark_us == NO_TIME) continue;
            int64_t latest = part->watermark_us + t->plan->sources[s].table->watermark_delay_us;
            if (latest > clock_us) clock_us = latest;
        }
    char text[64];
    snprintf(text, sizeof text, "%" PRId64 " %" PRId64 "\n",
             clock_us == NO_TIME ? t->clock_us : clock_us, records);
    put_text(t, "facts", text);
}

static int run_in_child(Trial *t, const Way *way, int64_t epoch_rows) {
    int log = open(in_work(t, "log"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    if (log >= 0) dup2(log, STDERR_FILENO);
    standing_clock_us = t->clock_us;
    Env env = *env_system();
    env.now_us = standing_now_us;
    trial_sink_folder = t->work;
    EngineOptions options = {.env = &env};
    if (way->kill) {
        options.epoch_rows = epoch_rows;
        options.batch_rows = (int)epoch_rows;
        options.kill_at_epoch = 1;
    }
    Engine *engine = NULL;
    Error error = {0};
    Status status = way->shuffle ? shuffle_inputs(t, way->shuffle, &error) : OK;
    if (status == OK) status = engine_open(t->plan, &options, &engine, &error);
    if (status == OK) status = engine_run(engine, &error);
    if (status == OK) tell_facts(t, engine_report(engine));
    else if (status != END) put_text(t, "error", error.text);
    if (engine) engine_close(&engine);
    return status == OK || status == END ? EXIT_DONE : EXIT_FAILED;
}

static Status read_error(Trial *t, Error *error) {
    char text[1024] = "";
    FILE *file = fopen(in_work(t, "error"), "re");
    size_t size = file ? fread(text, 1, sizeof text - 1, file) : 0;
    if (file) fclose(file);
    text[size] = 0;
    return fail(error, "%s", *text ? text : "the run failed");
}

static Status run_once(Trial *t, const Way *way, int64_t epoch_rows, bool *killed, Error *error) {
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) return fail(error, "cannot start a process");
    if (child == 0) _exit(run_in_child(t, way, epoch_rows));
    int state = 0;
    while (waitpid(child, &state, 0) < 0 && errno == EINTR) {}
    *killed = WIFSIGNALED(state) && WTERMSIG(state) == SIGKILL && way->kill;
    if (*killed || (WIFEXITED(state) && WEXITSTATUS(state) == EXIT_DONE)) return OK;
    if (WIFSIGNALED(state))
        return fail(error, "the run was ended by signal %d (%s)", WTERMSIG(state),
                    strsignal(WTERMSIG(state)));
    return read_error(t, error);
}

enum { KILLS = 40, RUNS_MOST = 100000 };

Status trial_run(Trial *t, const Way *way, Error *error) {
    remove_tree(t->work);
    if (mkdir(t->work, 0700) != 0)
        return fail(error, "cannot make '%s': %s", t->work, strerror(errno));
    t->catalog->settings.home = in_work(t, "home.leat");
    int64_t epoch_rows = t->records / KILLS + 1;
    bool killed = true;
    Status status = OK;
    for (int run = 0; status == OK && killed && run < RUNS_MOST; run++)
        status = run_once(t, way, epoch_rows, &killed, error);
    FILE *facts = status == OK ? fopen(in_work(t, "facts"), "re") : NULL;
    int64_t clock_us, records;
    if (facts && !way->kill && fscanf(facts, "%" SCNd64 " %" SCNd64, &clock_us, &records) == 2) {
        t->records = records;
        t->clock_us = clock_us;
    }
    if (facts) fclose(facts);
    return status;
}
