/* leat run: a pipeline file, its engine and its web side, until the sources end or a signal comes.
 */
#include "base/log.h"
#include "cli/cli.h"
#include "engine/engine.h"
#include "serve/serve.h"
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char HELP[] =
    "usage: leat run FILE.sql [options]\n\n"
    "Runs the pipeline until its sources end, or for ever. Ctrl-C or SIGTERM: commits an epoch, "
    "delivers what is\n"
    "owed (at most 10 s) and exits 0; the next start goes on from there.\n\n"
    "  --fresh        set the old home aside (FILE.1, …) and start over\n"
    "  --reset NAME   forget one query's state; it begins at the present position of its sources\n"
    "  --seconds N    stop by itself after N seconds\n"
    "  --progress     a line a second of what happens, on standard error\n"
    "  --quiet        log warnings and errors only\n"
    "  -h             this help\n";

/* A signal may come before there is an engine to stop. */
static Engine *volatile running;
static volatile sig_atomic_t stop_wanted;
static volatile sig_atomic_t terminal;

static void on_signal(int number) {
    /* Behind the ^C that the terminal shows, so that the next line begins a line. */
    if (number == SIGINT && terminal && write(STDERR_FILENO, "\n", 1) < 0) terminal = 0;
    stop_wanted = 1;
    if (running) engine_stop(running);
}

/* The first signal ends the run as it should end; a second one ends the process at once. */
static void catch_signals(void) {
    terminal = isatty(STDERR_FILENO);
    struct sigaction action = {.sa_handler = on_signal,
                               .sa_flags = (int)(SA_RESTART | SA_RESETHAND)};
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    signal(SIGPIPE, SIG_IGN);
}

typedef struct Arguments {
    const char *file, *reset;
    bool fresh, progress;
    int64_t seconds;
} Arguments;

/* OK: run; END: nothing to run (help was shown); else a usage error was told. */
static Status read_arguments(int argc, char **argv, Arguments *a) {
    for (int i = 1; i < argc; i++) {
        const char *word = argv[i];
        if (strcmp(word, "-h") == 0 || strcmp(word, "--help") == 0) {
            fputs(HELP, stdout);
            return END;
        }
        bool with_value = strcmp(word, "--reset") == 0 || strcmp(word, "--seconds") == 0;
        if (with_value && i + 1 == argc) {
            usage_error("run", "%s needs a value", word);
            return FAIL;
        }
        if (strcmp(word, "--fresh") == 0) a->fresh = true;
        else if (strcmp(word, "--progress") == 0) a->progress = true;
        else if (strcmp(word, "--quiet") == 0) log_set_level(LOG_WARNING);
        else if (strcmp(word, "--reset") == 0) a->reset = argv[++i];
        else if (strcmp(word, "--seconds") == 0) {
            char *end;
            a->seconds = strtoll(argv[++i], &end, 10);
            if (*end || a->seconds <= 0) {
                usage_error("run", "--seconds wants a whole number above 0, not '%s'", argv[i]);
                return FAIL;
            }
        } else if (word[0] == '-' && word[1]) {
            usage_error("run", "unknown option %s", word);
            return FAIL;
        } else if (a->file) {
            usage_error("run", "one pipeline file at a time: %s or %s", a->file, word);
            return FAIL;
        } else {
            a->file = word;
        }
    }
    if (!a->file) {
        usage_error("run", "which pipeline? name its FILE.sql");
        return FAIL;
    }
    if (a->fresh && a->reset) {
        usage_error("run", "--fresh and --reset exclude each other");
        return FAIL;
    }
    return OK;
}

static int64_t number_from(const char *name) {
    const char *text = getenv(name);
    return text ? strtoll(text, NULL, 10) : 0;
}

/* Knobs of the tests; docs/testing.md. */
static void test_options(EngineOptions *options) {
    const char *rows = getenv("LEAT_BATCH_ROWS");
    if (rows && strncmp(rows, "random:", 7) == 0) {
        options->random_rows = strtoull(rows + 7, NULL, 10) + 1;
        options->batch_rows = 64;
    } else {
        options->batch_rows = (int)number_from("LEAT_BATCH_ROWS");
    }
    options->workers = (int)number_from("LEAT_WORKERS");
    options->epoch_rows = number_from("LEAT_EPOCH_ROWS");
    options->kill_at_epoch = number_from("LEAT_KILL_AT_EPOCH");
    options->renew_us = number_from("LEAT_RENEW_SECONDS") * 1000000;
}

/* ---- a second thread: progress lines, the end of --seconds ---- */

typedef struct Watch {
    Engine *engine;
    bool progress;
    int64_t seconds;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool over;
} Watch;

static void progress_line(Report *r, int64_t *rows_before) {
    int64_t rows = 0, late = 0, dead = 0, dropped = 0, out = 0;
    Buffer troubles = {0};
    for (int s = 0; s < r->plan->source_count; s++) {
        rows += r->sources[s].rows;
        dead += r->sources[s].dead;
        if (r->sources[s].away_since_us || r->sources[s].blocked)
            buffer_add_format(&troubles, "  %s %s", r->sources[s].name,
                              r->sources[s].away_since_us ? "is away" : "waits for a sink");
    }
    for (int s = 0; s < r->plan->sink_count; s++) {
        dead += r->sinks[s].refused;
        if (r->sinks[s].away_since_us)
            buffer_add_format(&troubles, "  %s is away, owed %" PRId64 " bytes", r->sinks[s].name,
                              (int64_t)r->sinks[s].owed_bytes);
    }
    for (int q = 0; q < r->plan->query_count; q++) {
        if (r->queries[q].kind != QUERY_SHARED) out += r->queries[q].rows_out;
        for (int s = 0; s < r->plan->source_count; s++) {
            late += r->queries[q].late[s];
            dead += r->queries[q].dead[s];
            dropped += r->queries[q].deduplicated[s];
        }
    }
    fprintf(stderr,
            "%7" PRId64 "/s  %10" PRId64 " events  %9" PRId64 " results  %6" PRId64
            " duplicates  %4" PRId64 " late  %4" PRId64 " bad  epoch %" PRId64 "%.*s\n",
            rows - *rows_before, rows, out, dropped, late, dead, (int64_t)r->epoch,
            (int)troubles.size, troubles.data ? troubles.data : "");
    buffer_free(&troubles);
    *rows_before = rows;
}

static void *watch_thread(void *context) {
    Watch *watch = context;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    int64_t rows = 0;
    for (int s = 0; s < engine_report(watch->engine)->plan->source_count; s++)
        rows += engine_report(watch->engine)->sources[s].rows;
    pthread_mutex_lock(&watch->lock);
    for (int64_t second = 1; !watch->over; second++) {
        until.tv_sec++;
        while (!watch->over && pthread_cond_timedwait(&watch->wake, &watch->lock, &until) == 0) {}
        if (watch->over) break;
        if (watch->progress) progress_line(engine_report(watch->engine), &rows);
        if (watch->seconds && second >= watch->seconds) engine_stop(watch->engine);
    }
    pthread_mutex_unlock(&watch->lock);
    return NULL;
}

static void tell(const char *file, const Catalog *catalog, bool checking, const Error *error) {
    if (error->line && catalog) {
        Buffer text = {0};
        catalog_error_text(file, catalog->text, error, &text);
        fwrite(text.data, 1, text.size, stderr);
        buffer_free(&text);
    } else if (checking) {
        fprintf(stderr, "%s: error: %s\n", file, error->text);
    } else {
        log_error("%s", error->text);
    }
}

static int run_engine(Plan *plan, const Arguments *a, Engine *engine, Error *error) {
    Server *server = NULL;
    const char *http = plan->catalog->settings.http;
    if ((!http || strcmp(http, "off") != 0) &&
        server_open(http, engine_report(engine), &server, error) != OK)
        return EXIT_FAILED;
    if (server) log_info("dashboard: %s", server_url(server));
    Watch watch = {.engine = engine,
                   .progress = a->progress,
                   .seconds = a->seconds,
                   .lock = PTHREAD_MUTEX_INITIALIZER,
                   .wake = PTHREAD_COND_INITIALIZER};
    pthread_t thread;
    bool watching =
        (a->progress || a->seconds) && pthread_create(&thread, NULL, watch_thread, &watch) == 0;
    Status status = engine_run(engine, error);
    if (watching) {
        pthread_mutex_lock(&watch.lock);
        watch.over = true;
        pthread_cond_signal(&watch.wake);
        pthread_mutex_unlock(&watch.lock);
        pthread_join(thread, NULL);
    }
    if (status == AGAIN) {
        /* A sink's thread may be stuck in a write that nobody reads: nothing can be waited for. */
        log_warning("%s", error->text);
        fflush(NULL);
        _exit(EXIT_DONE);
    }
    if (status == OK && engine_report(engine)->finished)
        log_info("pipeline %s is finished", plan->catalog->settings.pipeline);
    else if (status == OK)
        log_info("pipeline %s stopped at epoch %" PRId64, plan->catalog->settings.pipeline,
                 (int64_t)engine_report(engine)->epoch);
    server_close(&server);
    return status == OK ? EXIT_DONE : EXIT_FAILED;
}

int run_main(int argc, char **argv) {
    Arguments a = {0};
    Status status = read_arguments(argc, argv, &a);
    if (status != OK) return status == END ? EXIT_DONE : EXIT_USAGE;
    Catalog *catalog = NULL;
    Plan *plan = NULL;
    Error error = {0};
    if (pipeline_plan(a.file, &catalog, &plan) != OK) return EXIT_USAGE;
    EngineOptions options = {.env = env_system(), .reset = a.reset, .fresh = a.fresh};
    test_options(&options);
    Engine *engine = NULL;
    int result = EXIT_FAILED;
    catch_signals();
    status = engine_open(plan, &options, &engine, &error);
    if (status == OK) {
        running = engine;
        if (stop_wanted) engine_stop(engine);
        result = run_engine(plan, &a, engine, &error);
        running = NULL;
    }
    if (status == END) {
        fprintf(stderr, "%s\n", error.text);
        result = EXIT_DONE;
    } else if (result != EXIT_DONE) {
        tell(a.file, catalog, false, &error);
    }
    engine_close(&engine);
    plan_free(&plan);
    catalog_free(&catalog);
    return result;
}
