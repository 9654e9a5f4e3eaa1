/* Epochs: at each checkpoint_interval the engine gathers what changed into one batch and hands it
 * to the committing thread, which waits until the sinks by length have synced, then commits it in
 * the home in one transaction. At most one is being committed; the engine goes on meanwhile, to a
 * limit. At start the same things are read back. */
#include "engine/internal.h"
#include <inttypes.h>
#include <signal.h>
#include <unistd.h>

/* ---- at start ---- */

/* The home's fact that everything was opened once and reading began. */
static const char STARTED[] = "started";

static const PlanQuery *plan_query(const Plan *plan, const char *name) {
    for (int i = 0; i < plan->query_count; i++)
        if (strcmp(plan->queries[i].name, name) == 0) return &plan->queries[i];
    return NULL;
}

static Status forget(Engine *e, const char *name, Error *error) {
    /* A view has its query's name. What its sink is owed stays in the outbox and is delivered. */
    log_info("query %s: its state is forgotten%s", name,
             plan_query(e->plan, name) ? "; it begins at the present position of its sources" : "");
    fault_at(e->env, "query.forget");
    Status status = home_forget_query(e->home, name, name, NULL, error);
    if (status == OK) fault_at(e->env, "query.forgotten");
    return status;
}

/* Before anything was read: a first start that failed, of a mistyped path perhaps, does not hold
 * its file to what it said then. */
static Status forget_unread(Engine *e, HomeQuery *known, int *count, Error *error) {
    int kept = 0;
    Status status = OK;
    for (int i = 0; i < *count && status == OK; i++) {
        const PlanQuery *query = plan_query(e->plan, known[i].name);
        if (query && query->hash == known[i].hash) known[kept++] = known[i];
        else status = home_forget_query(e->home, known[i].name, known[i].name, NULL, error);
    }
    *count = kept;
    return status;
}

/* Every query must be the one that the home knows; new ones are welcome. */
static Status match_queries(Engine *e, bool *over, Error *error) {
    HomeQuery *known;
    int known_count;
    Status status = home_queries(e->home, &known, &known_count, e->arena, error);
    if (status == OK && !home_info(e->home)->epoch && !home_get(e->home, STARTED))
        status = forget_unread(e, known, &known_count, error);
    if (status != OK) return status;
    const char *reset = e->options.reset;
    bool reset_found = !reset;
    /* First, so that of several queries that changed each can be reset, in any order. */
    for (int i = 0; i < known_count && reset; i++)
        if (strcmp(reset, known[i].name) == 0) {
            reset_found = true;
            if ((status = forget(e, known[i].name, error)) != OK) return status;
        }
    for (int i = 0; i < known_count; i++) {
        const PlanQuery *query = plan_query(e->plan, known[i].name);
        if (reset && strcmp(reset, known[i].name) == 0) continue;
        if (!query)
            return fail(error,
                        "query '%s' is in the home %s but no longer in the file; put it back, "
                        "forget it with leat run --reset %s, or start over with --fresh",
                        known[i].name, home_path(e->home), known[i].name);
        if (query->hash != known[i].hash)
            return fail_at(error, query->line, 1,
                           "query '%s' has changed since the home %s was made; undo the change, "
                           "forget its state with leat run --reset %s, or start over with --fresh",
                           known[i].name, home_path(e->home), known[i].name);
    }
    if (!reset_found) {
        for (int i = 0; i < e->plan->query_count; i++)
            if (strcmp(reset, e->plan->queries[i].name) == 0) reset_found = true;
        if (!reset_found)
            return fail(
                error,
                "--reset %s: there is no such query; they are named as their views and sinks",
                reset);
    }
    for (int i = 0; i < e->plan->query_count; i++) {
        const PlanQuery *query = &e->plan->queries[i];
        bool found = false;
        for (int k = 0; k < known_count; k++)
            if (strcmp(known[k].name, query->name) == 0 &&
                !(reset && strcmp(reset, query->name) == 0)) {
                found = true;
                over[i] = known[k].finished;
            }
        if (found) continue;
        if (known_count && !(reset && strcmp(reset, query->name) == 0))
            log_info("query %s is new: it begins at the present position of its sources",
                     query->name);
        if ((status = home_put_query(e->home, query->name, query->hash, query->plan_text, error)) !=
            OK)
            return status;
    }
    return OK;
}

typedef struct StateLoad {
    State *state;
    int64_t epochs[STATE_SHARDS];
} StateLoad;

static Status load_snapshot(void *context, int shard, int64_t epoch, Str blob, Error *error) {
    StateLoad *load = context;
    if (shard < 0 || shard >= STATE_SHARDS)
        return fail(error, "home: a snapshot of shard %d", shard);
    load->epochs[shard] = epoch;
    return state_read_snapshot(load->state, shard, blob, error);
}
static Status load_delta(void *context, int64_t epoch, Str blob, Error *error) {
    StateLoad *load = context;
    return state_read_delta(load->state, epoch, load->epochs, blob, error);
}
static Status load_segment(void *context, int64_t bucket, Str blob, Error *error) {
    return state_read_segment(((StateLoad *)context)->state, bucket, blob, error);
}

static Status load_state(Engine *e, Error *error) {
    for (int n = 0; n < e->plan->node_count; n++) {
        Operator *op = e->ops[n];
        if (!op->state) continue;
        StateLoad load = {.state = op->state};
        HomeStateReader reader = {&load, load_snapshot, load_delta, load_segment};
        Status status = home_read_state(e->home, op->name, &reader, error);
        if (status != OK) return status;
        state_read_done(op->state);
    }
    return OK;
}

/* A finished pipeline runs on for a query that is new or reset. The others are over: with their
 * windows closed and their groups delivered, what is new could only spoil their results. But what a
 * running query reads runs. Whether any does. */
static bool find_resting(Engine *e, bool *over) {
    const Plan *plan = e->plan;
    bool any = false, changed = true;
    while (changed) {
        changed = false;
        for (int n = 0; n < plan->node_count; n++)
            for (int i = 0; i < plan->nodes[n].input_count; i++) {
                int from = plan->nodes[plan->nodes[n].inputs[i]].query;
                if (from < 0 || !over[from] || over[plan->nodes[n].query]) continue;
                over[from] = false;
                changed = true;
            }
    }
    for (int n = 0; n < plan->node_count; n++) {
        int query = plan->nodes[n].query;
        e->rests[n] = query >= 0 && over[query];
        if (query >= 0 && !over[query]) any = true;
    }
    return any;
}

Status epoch_open(Engine *e, Error *error) {
    Settings *settings = &e->plan->catalog->settings;
    char *aside = NULL;
    Status status = home_open(settings->home, settings->pipeline, e->options.fresh, e->env,
                              &e->home, &aside, error);
    if (status != OK) return status;
    const HomeInfo *info = home_info(e->home);
    if (aside) log_info("the old home is set aside as %s", aside);
    free(aside);
    if (info->made_now) log_info("home %s: made anew", settings->home);
    bool *over = arena_new_array(e->arena, bool, e->plan->query_count + 1);
    if ((status = match_queries(e, over, error)) != OK) return status;
    if (!find_resting(e, over)) {
        (void)fail(error,
                   "pipeline %s is finished: all of its sources have ended and every sink is paid; "
                   "leat run --fresh starts over, --reset NAME runs one query on what is new",
                   settings->pipeline);
        return END;
    }
    for (int i = 0; i < e->plan->view_count; i++)
        if ((status = home_open_view(e->home, e->plan->views[i].name, &e->plan->views[i].schema,
                                     error)) != OK)
            return status;
    if ((status = home_positions(e->home, &e->positions, &e->position_count, e->arena, error)) !=
        OK)
        return status;
    if ((status = home_counts(e->home, &e->counts, &e->count_count, e->arena, error)) != OK)
        return status;
    for (int i = 0; i < e->plan->source_count; i++) {
        SourceRun *run = &e->sources[i];
        if ((status = home_mark(e->home, run->plan->table->name, &run->mark, error)) != OK)
            return status;
        run->saved_mark = run->mark;
    }
    if ((status = load_state(e, error)) != OK) return status;
    e->epoch = e->first_epoch = e->committed_epoch = info->epoch;
    atomic_store(&e->report.epoch, e->epoch);
    e->batch = home_begin();
    if (!info->made_now && info->epoch)
        log_info("home %s: going on from epoch %" PRId64, settings->home, info->epoch);
    return OK;
}

/* ---- closing ---- */

typedef struct EpochWriter {
    StateWriter writer;
    HomeBatch *batch;
    const char *name;
    Env *env;
} EpochWriter;

static void write_delta(StateWriter *w, Str blob) {
    home_put_delta(((EpochWriter *)(void *)w)->batch, ((EpochWriter *)(void *)w)->name, blob);
}
static void write_snapshot(StateWriter *w, int shard, Str blob) {
    fault_at(((EpochWriter *)(void *)w)->env, "state.snapshot");
    home_put_snapshot(((EpochWriter *)(void *)w)->batch, ((EpochWriter *)(void *)w)->name, shard,
                      blob);
}
static void write_segment(StateWriter *w, int64_t bucket, Str blob) {
    home_put_segment(((EpochWriter *)(void *)w)->batch, ((EpochWriter *)(void *)w)->name, bucket,
                     blob);
}
static void drop_segment(StateWriter *w, int64_t bucket) {
    home_drop_segment(((EpochWriter *)(void *)w)->batch, ((EpochWriter *)(void *)w)->name, bucket);
}

static bool closing(Engine *e) {
    mutex_lock(&e->lock);
    bool yes = e->closing;
    mutex_unlock(&e->lock);
    return yes;
}

static bool committing(Engine *e) {
    mutex_lock(&e->lock);
    bool yes = e->committing != NULL;
    mutex_unlock(&e->lock);
    return yes;
}

static Status gather_changes(Engine *e, Error *error) {
    for (int n = 0; n < e->plan->node_count; n++) {
        Operator *op = e->ops[n];
        Status status = OK;
        while (op->type->changes && !e->rests[n] &&
               (status = op->type->changes(op, error)) == AGAIN) {}
        if (status == FAIL) return FAIL;
    }
    for (int v = 0; v < e->plan->view_count; v++) {
        bool held = e->plan->views[v].emit_final;
        for (int n = 0; n < e->plan->node_count; n++)
            if (e->plan->nodes[n].query == e->plan->views[v].query && e->ops[n]->growth_held)
                held = true;
        atomic_store_explicit(&e->report.views[v].growing, !held, memory_order_relaxed);
    }
    return OK;
}

static Status gather_state(Engine *e, int64_t epoch, Error *error) {
    int64_t bytes = 0, most = 0;
    const Operator *greatest = NULL;
    for (int n = 0; n < e->plan->node_count; n++) {
        Operator *op = e->ops[n];
        if (!op->state) continue;
        EpochWriter writer = {.writer = {write_delta, write_snapshot, write_segment, drop_segment},
                              .batch = e->batch,
                              .name = op->name,
                              .env = e->env};
        state_write(op->state, (int)(epoch % STATE_SHARDS), &writer.writer);
        count_state(op);
        int64_t held = atomic_load_explicit(&op->counters.state_bytes, memory_order_relaxed);
        bytes += held;
        if (held > most) most = held, greatest = op;
    }
    atomic_store(&e->report.state_bytes, bytes);
    int64_t limit = atomic_load(&e->report.memory_limit);
    if (limit > 0 && bytes > limit)
        return fail(error,
                    "memory_limit of %" PRId64 " MB is reached: operator %s holds %" PRId64
                    " MB; bound its state (leat explain says how) or raise memory_limit",
                    limit >> 20, greatest->name, most >> 20);
    return OK;
}

static void gather_positions(Engine *e) {
    for (int s = 0; s < e->plan->source_count; s++) {
        SourceRun *run = &e->sources[s];
        for (int i = 0; run->listed && i < run->partition_count; i++) {
            Partition *p = run->partitions[i];
            if (!p->dirty) continue;
            p->dirty = false;
            p->closed_position = p->position;
            home_put_position(e->batch, run->plan->table->name, p->name, p->position, p->max_time,
                              p->records);
        }
        if (run->saved_mark != NO_TIME)
            home_put_mark(e->batch, run->plan->table->name, run->saved_mark);
    }
    query_times_save(e);
}

/* Told to stop, it waits to the end of patience, but a moment for a commit that nothing holds up.
 */
static Status wait_committed(Engine *e, Error *error) {
    int64_t began = engine_now(e);
    mutex_lock(&e->lock);
    while (e->committing && !e->failed &&
           (!engine_impatient(e) || engine_now(e) - began < LAST_COMMIT_US))
        engine_wait(e, &e->wake, 100000);
    bool failed = e->failed, pending = e->committing != NULL;
    if (failed && error) *error = e->failure;
    mutex_unlock(&e->lock);
    if (!failed && pending)
        (void)fail(error, "the last epoch was not committed within 10 s (a sink did not take its "
                          "rows, or the disk is slow); the next start goes on from the one before");
    return failed ? FAIL : pending ? AGAIN : OK;
}

/* Hands the batch over; none is being committed. An epoch in which nothing came is not committed.
 */
static Status close_now(Engine *e, Error *error) {
    int64_t began = engine_now(e);
    e->closed_at_us = began;
    if (!atomic_exchange(&e->dirty, false)) return OK;
    fault_at(e->env, "epoch.close");
    Status status = gather_changes(e, error);
    if (status != OK) return status;
    int64_t epoch = e->epoch + 1;
    Error limit = {0};
    Status over = gather_state(e, epoch, &limit);
    gather_positions(e);
    counts_update(e, e->batch);
    sinks_epoch(e, epoch);
    atomic_store(&e->report.epoch_bytes, (int64_t)home_batch_bytes(e->batch));
    fault_at(e->env, "epoch.closed");
    e->epoch = epoch;
    e->epoch_records = 0;
    mutex_lock(&e->lock);
    e->committing = e->batch;
    e->committing_epoch = epoch;
    cond_broadcast(&e->room);
    mutex_unlock(&e->lock);
    e->batch = home_begin();
    atomic_store(&e->report.epoch_close_us, engine_now(e) - began);
    atomic_fetch_add(&e->report.epochs, 1);
    if (over != OK) {
        /* The last epoch: it holds all, so the next start, with more memory, goes on from here. */
        status = wait_committed(e, error);
        if (status == OK && error) *error = limit;
        return FAIL;
    }
    return OK;
}

static Status epoch_close(Engine *e, Error *error) {
    if (!e->home) return OK;
    Status status = wait_committed(e, error);
    return status == OK ? close_now(e, error) : status;
}

Status epoch_due(Engine *e, Error *error) {
    if (!e->home) return OK;
    size_t owed = home_batch_bytes(e->batch);
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++)
        if (e->sinks[i].way == SINK_BY_OUTBOX || e->sinks[i].upsert)
            owed += e->sinks[i].pending.size;
    bool rows = e->options.epoch_rows && e->epoch_records >= e->options.epoch_rows;
    bool due = rows || owed > EPOCH_OWED_BYTES ||
               engine_now(e) - e->closed_at_us >= e->plan->catalog->settings.checkpoint_interval_us;
    if (!due) return OK;
    if (committing(e) && !rows && owed <= EPOCH_MOST_BYTES) return OK;
    return epoch_close(e, error);
}

/* ---- the committing thread ---- */

/* Tries for a minute, then the run ends with the reason; the home stays as it was. */
static Status commit(Engine *e, HomeBatch *batch, int64_t epoch, Error *error) {
    int64_t began = engine_now(e), wait_us = 100000;
    bool told = false;
    for (;;) {
        mutex_lock(&e->home_lock);
        Status status =
            home_commit(e->home, batch, epoch, e->plan->catalog->settings.keep_rejects, error);
        mutex_unlock(&e->home_lock);
        if (status != AGAIN) {
            if (status == OK && told) log_info("home: committing again");
            atomic_store(&e->report.failing, status != OK);
            if (status == OK) atomic_store(&e->report.epoch_commit_us, engine_now(e) - began);
            return status;
        }
        if (!told) log_warning("%s; trying again for a minute", error->text);
        told = true;
        atomic_store(&e->report.failing, 1);
        mutex_lock(&e->report.lock);
        memcpy(e->report.failure, error->text, sizeof e->report.failure);
        mutex_unlock(&e->report.lock);
        if (engine_now(e) - began > 60 * US_PER_SECOND || e->stop || closing(e)) return FAIL;
        thread_sleep(wait_us);
        if (wait_us < 3200000) wait_us *= 2;
    }
}

static void tell_sources(Engine *e) {
    for (int s = 0; s < e->plan->source_count; s++) {
        SourceRun *run = &e->sources[s];
        if (!run->source->type->committed) continue;
        for (int i = 0; i < run->partition_count; i++)
            if (run->partitions[i]->closed_position != NO_POSITION)
                run->source->type->committed(run->source, i, run->partitions[i]->closed_position);
    }
}

static void *commit_thread(void *context) {
    Engine *e = context;
    Error error = {0};
    for (;;) {
        mutex_lock(&e->lock);
        int64_t wait_us = -1;
        while (!e->closing && !(e->committing && sinks_ready(e, &wait_us))) {
            if (wait_us < 0) cond_wait(&e->room, &e->lock);
            else engine_wait(e, &e->room, wait_us);
            wait_us = -1;
        }
        HomeBatch *batch = e->closing ? NULL : e->committing;
        int64_t epoch = e->committing_epoch;
        if (batch) sinks_commit(e, batch, epoch);
        mutex_unlock(&e->lock);
        if (!batch) return NULL;
        if (commit(e, batch, epoch, &error) != OK) {
            engine_fail(e, &error);
            return NULL;
        }
        if (e->options.kill_at_epoch && epoch - e->first_epoch == e->options.kill_at_epoch)
            raise(SIGKILL);
        fault_at(e->env, "epoch.committed");
        tell_sources(e);
        home_batch_free(&batch);
        atomic_store(&e->report.epoch, epoch);
        atomic_store(&e->report.last_commit_us, e->env->now_us(e->env));
        mutex_lock(&e->lock);
        e->committing = NULL;
        e->committed_epoch = epoch;
        cond_broadcast(&e->room);
        cond_broadcast(&e->wake);
        mutex_unlock(&e->lock);
    }
}

Status epoch_start(Engine *e, Error *error) {
    e->closed_at_us = engine_now(e);
    if (!e->home) return OK;
    if (!home_get(e->home, STARTED) && home_set(e->home, STARTED, "yes", error) != OK) return FAIL;
    Status status = thread_start(&e->committer, commit_thread, e, error);
    e->committer_started = status == OK;
    return status;
}

/* The last epochs. `ended`: all sources have; then every sink must be paid, and the home says that
 * the pipeline is finished. Else (stopped) what is owed is delivered, and what sinks by position
 * lack is read again for them, for at most 10 s; the rest waits for the next start. */
Status epoch_finish(Engine *e, bool ended, Error *error) {
    if (!e->home) return OK;
    Status status = epoch_close(e, error);
    if (status == OK) status = wait_committed(e, error);
    bool told = ended;
    int64_t began = engine_now(e);
    while (status == OK && !engine_impatient(e)) {
        bool worked = false;
        if (sinks_paid(e, ended) && !pipeline_lags(e)) break;
        if (!told && engine_now(e) - began > TELL_OWED_US) {
            sinks_tell_owed(e, false);
            told = true;
        }
        status = pipeline_catch_up(e, &worked, error);
        mutex_lock(&e->lock);
        if (!e->failed && !worked) engine_wait(e, &e->wake, 20000);
        atomic_store_explicit(&e->report.now_us, e->env->now_us(e->env), memory_order_relaxed);
        if (e->failed) {
            status = FAIL;
            if (error) *error = e->failure;
        }
        mutex_unlock(&e->lock);
        sinks_flush(e, true);
    }
    if (status != OK) return status;
    bool finished = ended && sinks_paid(e, true);
    if (finished) {
        home_put_finished(e->batch, true);
        atomic_store(&e->dirty, true);
    }
    status = epoch_close(e, error);
    if (status == OK) status = wait_committed(e, error);
    if (status == OK && finished) atomic_store(&e->report.finished, 1);
    if (status == OK && !ended) sinks_tell_owed(e, true);
    return status;
}

void epoch_join(Engine *e) {
    if (e->committer_started) thread_join(&e->committer);
    e->committer_started = false;
}

void epoch_stop(Engine *e) {
    home_batch_free(&e->batch);
    home_batch_free(&e->committing);
    home_close(&e->home);
}
