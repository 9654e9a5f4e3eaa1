/* A scenario is played as rounds: an engine is opened on what the last one left, runs, and crashes,
 * is stopped, fails or comes to its end; then the judge looks. The last round is without faults and
 * must come to the end. Whether an engine may fail is known: something must have failed outside. */
#include "simulate/play.h"
#include "base/log.h"
#include "simulate/disk.h"
#include "simulate/judge.h"
#include "simulate/outside.h"
#include "simulate/schedule.h"
#include "simulate/trace.h"
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_AGAIN = 100 }; /* runs without faults, until all is there */

typedef struct Run {
    Plan *plan;
    EngineOptions options;
    const Round *round;
    Engine *engine;
    bool last, over; /* over: engine_run has returned */
    bool owed;       /* it was stopped before sinks had all */
    char reset[16];
    int64_t stands[MOST_SOURCES][MOST_PARTITIONS]; /* the home, before the run */
    int64_t known;                                 /* 1: the home knows the query to be reset */
    Status opened, status;
    Error error;
} Run;

/* Rows that the engine has taken by now: with slow commits it is long behind what was given. */
static int64_t rows_taken(Run *run) {
    const Report *report = engine_report(run->engine);
    int64_t rows = 0;
    for (int s = 0; s < report->plan->source_count; s++)
        rows += report->sources[s].rows + report->sources[s].dead;
    return rows;
}

/* A stop waits 10 s for what sinks are owed; the next start delivers the rest. */
static bool is_owed(const Run *run) {
    const Report *report = engine_report(run->engine);
    int64_t bytes = 0;
    for (int i = 0; i < report->plan->sink_count; i++)
        bytes += atomic_load(&report->sinks[i].owed_bytes);
    return bytes > 0;
}

/* Stops a run that would go on for ever, or that is to be stopped. */
static void *watch(void *context) {
    Run *run = context;
    const Scenario *s = outside.scenario;
    int64_t began = schedule_now_us(), exhausted = 0, taken = 0;
    while (!run->over) {
        int64_t now = schedule_now_us();
        int64_t rows = rows_taken(run);
        if (outside_exhausted() && (!exhausted || rows != taken)) exhausted = now;
        taken = rows;
        if (run->round->stop_us && now - began >= run->round->stop_us) break;
        /* Sources that have no end are all idle then, and time has passed every window. */
        int64_t rest = run->last
                           ? s->idle_us + 2 * s->longest_us + 5000000 + 3 * run->round->slow_list_us
                           : 500000;
        if (!s->bounded && exhausted && now - exhausted > rest) break;
        thread_sleep(50000);
    }
    if (!run->over) {
        trace_line("stop");
        engine_stop(run->engine);
    }
    return NULL;
}

static void *run_engine(void *context) {
    Run *run = context;
    run->opened = engine_open(run->plan, &run->options, &run->engine, &run->error);
    if (run->opened != OK) return NULL;
    schedule_may_freeze(true);
    Thread watcher;
    bool watched = !outside.scenario->bounded || run->round->stop_us;
    if (watched && thread_start(&watcher, watch, run, &run->error) != OK) abort();
    run->status = engine_run(run->engine, &run->error);
    schedule_may_freeze(false); /* a home is closed under its name, and that is another's then */
    run->over = true;
    if (watched) thread_join(&watcher);
    if (schedule_zombie()) {
        trace_line("what was frozen ends with %d %s", run->status,
                   run->status == OK ? "" : run->error.text);
        return NULL; /* its files are not SQLite's to close: they have other names now */
    }
    run->owed = run->last && run->status == OK && is_owed(run);
    if (run->status == AGAIN) schedule_crash(); /* the process ends: closing could take for ever */
    engine_close(&run->engine);
    return NULL;
}

static bool is_made_up(const char *text) {
    return strstr(text, "breaks") || strstr(text, "nothing is lost") ||
           strstr(text, "fault injected") || strstr(text, "disk I/O error") ||
           strstr(text, "disk is full");
}

static void wrong(Verdict *v, const char *format, ...) PRINTF(2, 3);
static void wrong(Verdict *v, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(v->text, sizeof v->text, format, arguments);
    va_end(arguments);
    v->ok = false;
    trace_line("WRONG: %s", v->text);
}

static bool look(const Scenario *s, const Plan *plan, bool finished, Verdict *v) {
    Error error = {0};
    disk_keep();
    Status status = judge(s, plan, finished, &error);
    disk_put_back();
    if (status != OK) wrong(v, "%s", error.text);
    return status == OK;
}

static void take_stand(void *context, const char **columns) {
    Run *run = context;
    run->stands[columns[0][1] - '0'][atoi(columns[1])] = atoll(columns[2]);
}

static void take_known(void *context, const char **columns) {
    *(int64_t *)context = atoll(*columns);
}

static void ask_known(Run *run, int64_t *known) {
    char sql[80];
    Error none = {0};
    snprintf(sql, sizeof sql, "SELECT count(*) FROM leat_queries WHERE name = '%s'", run->reset);
    disk_keep();
    *known = 0;
    (void)disk_query(outside.home, sql, take_known, known, &none);
    disk_put_back();
}

/* A home that is not there yet knows no query. */
static void prepare_reset(const Scenario *s, Run *run) {
    Error none = {0};
    snprintf(run->reset, sizeof run->reset, "%s", query_name(s, run->round->reset));
    ask_known(run, &run->known);
    disk_keep();
    (void)disk_query(outside.home,
                     "SELECT source, partition, position FROM leat_positions WHERE query = ''",
                     take_stand, run, &none);
    disk_put_back();
    if (run->known) run->options.reset = run->reset;
}

/* Whether it came to that, also when a crash met it. */
static void note_reset(Run *run) {
    int64_t known = 1;
    if (!run->options.reset) return;
    if (!outside.query_forgotten) ask_known(run, &known);
    if (known && !outside.query_forgotten) return;
    trace_line("%s was reset", run->reset);
    outside.any_forgotten = true;
    memcpy(outside.scenario->begins[run->round->reset], run->stands, sizeof run->stands);
}

static int lowest_file(void) {
    int file = dup(0);
    close(file);
    return file;
}

/* Returns false when there is nothing more to play. */
static bool play_round(const Scenario *s, Run *run, int number, int *first_file, Verdict *v) {
    const Round *round = run->round;
    outside_round(round, s->seed * 131 + (uint64_t)number);
    int64_t disk_before = disk_failures();
    if (round->forgotten && number) {
        trace_line("nothing ran for a week: markers are forgotten");
        disk_keep();
        stores_forget(outside.home);
        disk_put_back();
    }
    if (round->reset >= 0 && number) prepare_reset(s, run);
    ScheduleOptions options = {.seed = round->schedule_seed,
                               .switch_every = round->switch_every,
                               .creep_us = round->creep_us,
                               .crash_at = round->crash_step,
                               .most_points = 20000000,
                               .pause_at = round->pause_step,
                               .pause_us = 120000000,
                               .paused = stores_time_out,
                               .freeze_at = round->freeze_step,
                               .thaw_at = round->thaw_step};
    bool zombies = schedule_zombies();
    trace_line("run %d%s", number + 1, run->last ? ", without faults" : "");
    RunEnd end = schedule_run(&options, run_engine, run);
    v->runs++;
    v->points += schedule_points();
    if (end == RUN_CRASHED) outside_crash(round->power);
    note_reset(run);
    bool faulty = outside.failures || disk_failures() > disk_before;
    if (outside.broken) {
        wrong(v, "%s", outside.broken);
        return false;
    }
    if (end == RUN_STUCK) {
        if (trace_on) schedule_dump();
        wrong(v, "run %d is stuck after %lld steps", number + 1, (long long)schedule_points());
        return false;
    }
    if (end == RUN_FROZEN) {
        v->zombies++;
        outside_freeze();
        *first_file = lowest_file(); /* the frozen one keeps its lock */
        return look(s, run->plan, false, v);
    }
    if (end == RUN_CRASHED) {
        v->crashes++;
        close_range((unsigned)*first_file, ~0u, 0); /* the lock file's */
        return look(s, run->plan, false, v);
    }
    Status status = run->opened != OK ? run->opened : run->status;
    trace_line("run %d ended with %d %s", number + 1, status, status == OK ? "" : run->error.text);
    if (status == FAIL) {
        v->failures++;
        /* What stands outside may be wrong then, and Leat says so. */
        if (outside.copy_delivered && (strstr(run->error.text, "went on with a copy") ||
                                       strstr(run->error.text, "it is an old copy"))) {
            v->told++;
            return false;
        }
        bool fought = zombies && outside.copy_delivered &&
                      strstr(run->error.text, "another run of this home");
        if (!fought && (!faulty || !is_made_up(run->error.text))) {
            wrong(v, "run %d failed, and nothing outside had: %s", number + 1, run->error.text);
            return false;
        }
        return look(s, run->plan, false, v);
    }
    bool ended = status == END || (s->bounded && !round->stop_us);
    if (status == OK && !ended) v->stops++;
    return look(s, run->plan, ended || (run->last && !run->owed), v) && status != END;
}

void play(uint64_t seed, const Limits *limits, const char *home, Verdict *v) {
    static Scenario scenario;
    Scenario *s = &scenario;
    *v = (Verdict){.ok = true};
    trace_reset();
    log_set_level(trace_on ? LOG_INFO : LOG_ERROR);
    scenario_make(s, seed, limits);
    v->events = s->event_count;
    if (trace_on) scenario_print(s);
    disk_open(seed);
    outside_open(s, home);
    Catalog *catalog = NULL;
    Plan *plan = NULL;
    Error error = {0};
    if (outside_plan(&catalog, &plan, &error) != OK) {
        wrong(v, "the pipeline does not plan: %d:%d: %s\n%s", error.line, error.column, error.text,
              s->sql.data);
        return;
    }
    int first_file = lowest_file();
    bool more = true;
    for (int i = 0; i < s->round_count && more; i++) {
        const Round *round = &s->rounds[i];
        /* One that is frozen goes on with its own. */
        if (schedule_zombies() && outside_plan(&catalog, &plan, &error) != OK) abort();
        Run *run = xcalloc(1, sizeof *run);
        *run = (Run){.plan = plan,
                     .round = round,
                     .last = i + 1 == s->round_count,
                     .options = {.env = &outside.env,
                                 .batch_rows = round->batch_rows,
                                 .random_rows = round->random_rows,
                                 .workers = round->workers,
                                 .epoch_rows = round->epoch_rows}};
        more = play_round(s, run, i, &first_file, v);
        /* The two have met, and both have ended: the next one is alone. */
        if (more && run->last && run->status == FAIL) schedule_bury(), i--;
        else if (more && run->owed) i--;
        if (more && v->runs > s->round_count + MOST_AGAIN) {
            wrong(v, "after %d more runs there is still something to do", MOST_AGAIN);
            more = false;
        }
    }
    for (int i = 0; i < s->query_count && v->ok; i++)
        trace_bytes(buffer_str(&outside.sinks[i].bytes));
    v->hash = trace_hash();
    char lock[160];
    snprintf(lock, sizeof lock, "%s.lock", home);
    unlink(lock);
}
