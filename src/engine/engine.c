/* Opening, running and closing a pipeline. The engine thread is the caller of engine_run: it takes
 * steps until the sources have ended or it is told to stop, closing an epoch whenever one is due.
 */
#include "engine/internal.h"
#include <stdio.h>
#include <unistd.h>

int64_t engine_now(Engine *e) { return e->env->monotonic_us(e->env); }

void engine_wait(Engine *e, Cond *cond, int64_t us) { (void)cond_wait_for(cond, &e->lock, us); }

bool engine_impatient(Engine *e) {
    if (!e->stop) return false;
    if (!e->stopped_at_us) e->stopped_at_us = engine_now(e);
    return engine_now(e) - e->stopped_at_us > STOP_PATIENCE_US;
}

void engine_fail(Engine *e, const Error *error) {
    mutex_lock(&e->lock);
    if (!e->failed) {
        e->failed = true;
        e->failure = *error;
    }
    cond_broadcast(&e->wake);
    cond_broadcast(&e->room);
    mutex_unlock(&e->lock);
}

/* Half of the machine's memory, or of the container's limit when that is less. */
static int64_t default_memory_limit(void) {
    int64_t bytes = (int64_t)sysconf(_SC_PHYS_PAGES) * sysconf(_SC_PAGESIZE);
    static const char *const files[] = {"/sys/fs/cgroup/memory.max",
                                        "/sys/fs/cgroup/memory/memory.limit_in_bytes"};
    for (int i = 0; i < 2; i++) {
        FILE *file = fopen(files[i], "re");
        long long limit;
        if (file && fscanf(file, "%lld", &limit) == 1 && limit > 0 && limit < bytes) bytes = limit;
        if (file) fclose(file);
    }
    return bytes / 2;
}

static void report_open(Engine *e) {
    Plan *plan = e->plan;
    Report *r = &e->report;
    mutex_init(&r->lock);
    r->pipeline = plan->catalog->settings.pipeline;
    r->file = plan->catalog->file;
    r->home = e->options.collect ? NULL : plan->catalog->settings.home;
    r->started_us = e->env->now_us(e->env);
    r->plan = plan;
    r->sources = arena_new_array(e->arena, SourceReport, plan->source_count + 1);
    r->queries = arena_new_array(e->arena, QueryReport, plan->query_count + 1);
    r->operators = arena_new_array(e->arena, OperatorReport, plan->node_count + 1);
    r->sinks = arena_new_array(e->arena, SinkReport, plan->sink_count + 1);
    r->views = arena_new_array(e->arena, ViewReport, plan->view_count + 1);
    atomic_store(&r->memory_limit, plan->catalog->settings.memory_limit
                                       ? plan->catalog->settings.memory_limit
                                       : default_memory_limit());
    for (int i = 0; i < plan->source_count; i++) {
        r->sources[i].name = plan->sources[i].table->name;
        r->sources[i].connector = plan->sources[i].table->connector->name;
        r->sources[i].partitions = arena_new_array(e->arena, PartitionReport, REPORT_PARTITIONS);
        atomic_store(&r->sources[i].watermark_us, NO_TIME);
    }
    for (int i = 0; i < plan->query_count; i++) {
        QueryReport *q = &r->queries[i];
        q->name = plan->queries[i].name;
        q->kind = plan->queries[i].kind;
        Number **of[] = {&q->in, &q->filtered, &q->deduplicated, &q->late, &q->late_idle, &q->dead};
        for (int k = 0; k < 6; k++)
            *of[k] = arena_new_array(e->arena, Number, plan->source_count + 1);
        atomic_store(&q->watermark_us, NO_TIME);
    }
    for (int i = 0; i < plan->node_count; i++) {
        const PlanNode *node = &plan->nodes[i];
        r->operators[i] = (OperatorReport){.name = node->name,
                                           .query = node->query,
                                           .inputs = node->inputs,
                                           .input_count = node->input_count};
        r->operators[i].type = node->kind == NODE_SOURCE ? "source"
                               : node->kind == NODE_VIEW ? "view"
                               : node->kind == NODE_SINK ? "sink"
                                                         : node->type->name;
    }
    static const char *const ways[] = {[SINK_BY_LENGTH] = "by length",
                                       [SINK_BY_OUTBOX] = "by outbox",
                                       [SINK_AT_ONCE] = "at once",
                                       [SINK_BY_POSITION] = "by position"};
    for (int i = 0; i < plan->sink_count; i++) {
        const Table *table = plan->sinks[i].table; /* NULL: ad hoc */
        r->sinks[i].name = table ? table->name : "output";
        r->sinks[i].connector = table ? table->connector->name : "";
        r->sinks[i].way = ways[plan->sinks[i].way];
    }
    for (int i = 0; i < plan->view_count; i++) {
        r->views[i].name = plan->views[i].name;
        r->views[i].schema = &plan->views[i].schema;
        r->views[i].window_start = plan->views[i].window_start;
        r->views[i].window_end = plan->views[i].window_end;
        atomic_store(&r->views[i].growing, !plan->views[i].emit_final);
    }
}

/* Which sinks each node feeds: through every reader, other queries included. */
static bool *sinks_behind(Engine *e) {
    const Plan *plan = e->plan;
    size_t count = (size_t)plan->sink_count;
    bool *feeds = arena_new_array(e->arena, bool, (size_t)plan->node_count *count + 1);
    for (int n = plan->node_count - 1; n >= 0; n--) {
        const PlanNode *node = &plan->nodes[n];
        if (node->kind == NODE_SINK) feeds[(size_t)n * count + (size_t)node->index] = true;
        for (int i = 0; i < node->input_count; i++)
            for (size_t s = 0; s < count; s++)
                feeds[(size_t)node->inputs[i] * count + s] |= feeds[(size_t)n * count + s];
    }
    return feeds;
}

static void runs_open(Engine *e) {
    Plan *plan = e->plan;
    e->sources = xcalloc((size_t)plan->source_count + 1, sizeof *e->sources);
    e->sinks = xcalloc((size_t)plan->sink_count + 1, sizeof *e->sinks);
    e->references = xcalloc((size_t)plan->reference_count + 1, sizeof *e->references);
    for (int i = 0; i < plan->source_count; i++) {
        SourceRun *run = &e->sources[i];
        run->engine = e;
        run->plan = &plan->sources[i];
        run->index = i;
        run->mark = run->saved_mark = run->high = NO_TIME;
        run->report = &e->report.sources[i];
    }
    e->feeds = sinks_behind(e);
    for (int i = 0; i < plan->sink_count; i++) {
        e->sinks[i].engine = e;
        e->sinks[i].plan = &plan->sinks[i];
        e->sinks[i].index = i;
        e->sinks[i].report = &e->report.sinks[i];
    }
}

Status engine_open(Plan *plan, const EngineOptions *options, Engine **out, Error *error) {
    Engine *e = xcalloc(1, sizeof *e);
    e->plan = plan;
    e->options = *options;
    e->env = options->env;
    e->arena = arena_new();
    mutex_init(&e->home_lock);
    mutex_init(&e->lock);
    cond_init(&e->wake);
    cond_init(&e->room);
    report_open(e);
    runs_open(e);
    Status status = pipeline_open(e, error);
    if (status == OK && !options->collect) status = epoch_open(e, error);
    if (status == OK) status = query_times_open(e, error);
    if (status == OK) pipeline_connect(e);
    if (status == OK) status = references_open(e, error);
    if (status == OK) status = intake_open(e, error);
    if (status == OK) status = sinks_open(e, error);
    if (status != OK) {
        engine_close(&e);
        return status == END ? END : FAIL;
    }
    counts_open(e);
    *out = e;
    return OK;
}

/* Nothing to take: waits for the readers, but not past the next epoch or the next look at the
 * clock. */
static void wait_for_work(Engine *e) {
    mutex_lock(&e->lock);
    if (!e->failed && e->news == e->news_seen) engine_wait(e, &e->wake, 10000);
    mutex_unlock(&e->lock);
}

static Status check_failed(Engine *e, Error *error) {
    mutex_lock(&e->lock);
    bool failed = e->failed;
    if (failed && error) *error = e->failure;
    mutex_unlock(&e->lock);
    return failed ? FAIL : OK;
}

Status engine_run(Engine *e, Error *error) {
    Status status = epoch_start(e, error);
    if (status == OK) status = sinks_start(e, error);
    if (status == OK) status = references_start(e, error);
    if (status == OK) status = intake_start(e, error);
    atomic_store(&e->report.ready, status == OK);
    /* Time goes on where it stood, before any row: windows that are closed stay closed. */
    if (status == OK) status = pipeline_advance(e, error);
    if (status == AGAIN) status = OK;
    int64_t told_us = 0;
    while (status == OK && !e->stop && (e->paused || !pipeline_ended(e))) {
        bool worked = false;
        status = pipeline_step(e, &worked, error);
        if (status == AGAIN) status = OK; /* stopped in the middle of time's way */
        sinks_flush(e, !worked);
        if (status == OK) status = epoch_due(e, error);
        if (status == OK) status = check_failed(e, error);
        int64_t now = engine_now(e);
        atomic_store_explicit(&e->report.now_us, e->env->now_us(e->env), memory_order_relaxed);
        if (now - told_us > 200000) {
            counts_update(e, NULL);
            told_us = now;
        }
        if (!worked && status == OK) wait_for_work(e);
    }
    bool ended = pipeline_ended(e) && !e->stop;
    /* After a failure nothing more is committed: a batch may be half way through. The last epoch
     * stands. */
    if (status == OK || (status == AGAIN && e->stop)) status = epoch_finish(e, ended, error);
    counts_update(e, NULL);
    return status;
}

void engine_stop(Engine *e) { atomic_store(&e->stop, true); }
Report *engine_report(Engine *e) { return &e->report; }

void engine_close(Engine **engine_at) {
    Engine *e = *engine_at;
    if (!e) return;
    mutex_lock(&e->lock);
    e->closing = true;
    cond_broadcast(&e->room);
    cond_broadcast(&e->wake);
    mutex_unlock(&e->lock);
    epoch_join(e); /* it looks at sinks and sources */
    sinks_close(e);
    references_close(e);
    intake_close(e);
    epoch_stop(e);
    pipeline_close(e);
    free(e->sources);
    free(e->sinks);
    free(e->references);
    mutex_destroy(&e->report.lock);
    arena_free(&e->arena);
    free(e);
    *engine_at = NULL;
}
