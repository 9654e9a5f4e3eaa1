/* What leaves the engine towards sinks: rows as bytes into a bounded queue (by length, at once) or
 * into the epoch's outbox blob. Each sink has a thread of its own that may block (sink_thread.c);
 * the engine never does. A sink that is away keeps nobody from committing: what one at once has not
 * acknowledged in time goes into the outbox with its epoch. Only a file by length is waited for. */
#include "engine/internal.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Status sink_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input, (void)error;
    SinkOperator *sink = (SinkOperator *)(void *)op;
    Engine *e = sink->engine;
    if (!e->replaying)
        atomic_fetch_add_explicit(&e->report.queries[op->query].rows_out, batch->rows,
                                  memory_order_relaxed);
    e->dirty = true;
    if (!sink->run) {
        e->options.collect(e->options.context, batch);
        return OK;
    }
    SinkRun *run = sink->run;
    size_t before = run->pending.size;
    if (run->upsert) upsert_add(run, batch);
    else if (run->positions) positions_push(run, batch);
    else run->sink->type->encode(run->sink, batch, &run->pending);
    atomic_fetch_add_explicit(&run->report->rows, batch->rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&run->report->bytes, (int64_t)(run->pending.size - before),
                              memory_order_relaxed);
    return OK;
}

static Status sink_open(Operator *op, const void *spec, Error *error) {
    (void)op, (void)spec, (void)error;
    return OK;
}
static void sink_op_close(Operator *op) { (void)op; }

const OperatorType sink_operator = {.name = "sink",
                                    .size = sizeof(SinkOperator),
                                    .open = sink_open,
                                    .push = sink_push,
                                    .close = sink_op_close};

/* `forced`: past the queue's limit, for the one epoch that may be under way. */
static bool queue_item(SinkRun *run, int64_t epoch, Str bytes, bool forced) {
    SinkItem *item = xmalloc(sizeof *item + bytes.size);
    item->epoch = epoch;
    item->size = bytes.size;
    if (bytes.size) memcpy(item->bytes, bytes.data, bytes.size);
    Status status = queue_push(run->queue, item, forced ? 0 : bytes.size, 0);
    if (status != OK) free(item);
    return status == OK;
}

static bool queue_pending(SinkRun *run, bool forced) {
    if (!queue_item(run, 0, buffer_str(&run->pending), forced)) return false;
    if (run->way == SINK_AT_ONCE) buffer_add_str(&run->filling, buffer_str(&run->pending));
    run->pending.size = 0;
    run->wrote = true;
    return true;
}

void sinks_flush(Engine *e, bool all) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        if (run->positions) positions_flush(run);
        if (run->way == SINK_BY_OUTBOX || run->way == SINK_BY_POSITION) continue;
        if (run->upsert || !run->pending.size) continue;
        if (!all && run->pending.size < SINK_ITEM_BYTES) continue;
        if (queue_items(run->queue) < SINK_QUEUE_ITEMS) (void)queue_pending(run, false);
    }
}

/* Has it more than it may hold? */
static bool judge(SinkRun *run) {
    Engine *e = run->engine;
    int64_t fill;
    bool full;
    if (run->way == SINK_BY_OUTBOX) {
        int64_t limit = e->plan->catalog->settings.outbox_limit;
        mutex_lock(&e->lock);
        int64_t owed = run->owed_bytes + (int64_t)run->pending.size;
        mutex_unlock(&e->lock);
        full = owed > limit;
        fill = limit ? owed * 100 / limit : 0;
        atomic_store_explicit(&run->report->owed_bytes, owed, memory_order_relaxed);
    } else {
        full = run->positions
                   ? positions_full(run)
                   : run->pending.size >= SINK_ITEM_BYTES && queue_fill(run->queue) >= 0.9;
        fill = (int64_t)(100 * queue_fill(run->queue));
    }
    atomic_store_explicit(&run->report->queue_percent, fill, memory_order_relaxed);
    return full;
}

void sinks_judge(Engine *e) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++)
        e->sinks[i].full = judge(&e->sinks[i]);
}

bool sink_behind_is_full(Engine *e, int node, bool look) {
    const bool *feeds = e->feeds + (size_t)node * (size_t)e->plan->sink_count;
    bool full = false;
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        if (!feeds[i]) continue;
        if (look && !run->full) run->full = judge(run);
        if (run->full) full = true;
    }
    return full;
}

/* The epoch's rows into the outbox. */
static void close_outbox(SinkRun *run, int64_t epoch) {
    Engine *e = run->engine;
    mutex_lock(&e->lock);
    int64_t delivered = run->delivered_epoch;
    if (run->pending.size) {
        run->owed_bytes += (int64_t)run->pending.size;
        run->owed_until = epoch;
        run->settled = false;
    }
    mutex_unlock(&e->lock);
    if (run->pending.size)
        home_put_outbox(e->batch, run->plan->table->name, buffer_str(&run->pending));
    run->pending.size = 0;
    if (delivered > run->recorded_epoch) {
        home_put_delivered(e->batch, run->plan->table->name, delivered);
        run->recorded_epoch = delivered;
        fault_at(e->env, "deliver.noted");
    }
}

/* The epoch's rows and a token behind them into the queue. */
static void close_queue(SinkRun *run, int64_t epoch) {
    Engine *e = run->engine;
    if (run->pending.size) (void)queue_pending(run, true);
    bool asked = run->wrote && queue_item(run, epoch, (Str){0}, true);
    mutex_lock(&e->lock);
    if (asked) run->asked_epoch = epoch;
    Buffer closed = run->closed;
    run->closed = run->filling;
    mutex_unlock(&e->lock);
    run->filling = closed;
    run->filling.size = 0;
    if (asked) run->wrote = false;
}

void sinks_epoch(Engine *e, int64_t epoch) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        if (run->upsert && run->pending.size) upsert_close(run);
        if (run->way == SINK_BY_OUTBOX) close_outbox(run, epoch);
        else if (run->positions) positions_close(run);
        else close_queue(run, epoch);
    }
}

bool sinks_ready(Engine *e, int64_t *wait_us) {
    int64_t left = e->closed_at_us + SYNC_PATIENCE_US - engine_now(e);
    *wait_us = -1;
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        const SinkRun *run = &e->sinks[i];
        if (!run->queue || run->synced_epoch >= run->asked_epoch) continue;
        if (run->way == SINK_BY_LENGTH) {
            *wait_us = -1;
            return false;
        }
        bool away = run->owed_until > run->delivered_epoch;
        if (run->closed.size && !away && left > 0) *wait_us = left;
    }
    return *wait_us < 0;
}

void sinks_commit(Engine *e, HomeBatch *batch, int64_t epoch) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        const char *name = run->plan->table->name;
        if (run->way == SINK_BY_LENGTH) home_put_length(batch, name, run->length);
        if (run->way != SINK_AT_ONCE) continue;
        if (run->closed.size && run->synced_epoch < run->asked_epoch) {
            home_put_outbox(batch, name, buffer_str(&run->closed));
            run->owed_bytes += (int64_t)run->closed.size;
            run->owed_until = epoch;
        }
        buffer_free(&run->closed);
        if (run->delivered_epoch > run->recorded_epoch) {
            home_put_delivered(batch, name, run->delivered_epoch);
            run->recorded_epoch = run->delivered_epoch;
        }
        refusals_put(run, &run->settled_refused, batch);
        atomic_store(&run->report->owed_bytes, run->owed_bytes);
    }
}

bool sinks_paid(Engine *e, bool compared) {
    bool paid = true;
    mutex_lock(&e->lock);
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        bool owes = compared || run->owed_until > run->delivered_epoch;
        if (run->way == SINK_BY_OUTBOX && !run->settled && owes) paid = false;
        if (run->way == SINK_AT_ONCE && run->owed_until > run->delivered_epoch) paid = false;
        if (run->positions && !positions_paid(run)) paid = false;
    }
    mutex_unlock(&e->lock);
    return paid;
}

void sinks_tell_owed(Engine *e, bool over) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        mutex_lock(&e->lock);
        int64_t owed = run->owed_bytes;
        mutex_unlock(&e->lock);
        if (!owed) continue;
        if (over)
            log_warning("sink %s is owed %" PRId64 " bytes; the next start delivers them",
                        run->plan->table->name, owed);
        else
            log_info("stopping: waits at most 10 s for sink %s, which is owed %" PRId64
                     " bytes; a second signal ends at once",
                     run->plan->table->name, owed);
    }
}

/* ---- opening ---- */

/* Which file this home writes for a sink, and since which epoch: "claimed EPOCH PATH". (Homes that
 * are older say "claimed" alone: whatever the path is.) A reset may give the sink another one. */
static bool is_claimed(const char *fact, const char *path, int64_t *since) {
    char *end;
    *since = -1;
    if (!fact || strncmp(fact, "claimed", 7) != 0) return false;
    if (!fact[7]) return true;
    *since = strtoll(fact + 7, &end, 10);
    return *end == ' ' && strcmp(end + 1, path) == 0;
}

static Status open_by_length(Engine *e, SinkRun *run, Error *error) {
    HomeSink known;
    const char *name = run->plan->table->name;
    const char *path = option_text(&run->plan->table->options, "path", "");
    Status status = home_sink(e->home, name, &known, error);
    Buffer fact = {0};
    buffer_add_format(&fact, "sink %s%c", name, 0);
    const char *value = status == OK ? home_get(e->home, fact.data) : NULL;
    int64_t since = -1;
    bool claimed = is_claimed(value, path, &since) || (known.known && !value);
    /* The length that the home knows is the old file's until an epoch tells the new one's. */
    if (!claimed || since == e->epoch) known.length = 0;
    if (status == OK && !claimed) {
        if (run->sink->type->check) status = run->sink->type->check(run->sink, error);
        Buffer claim = {0};
        buffer_add_format(&claim, "claimed %" PRId64 " %s%c", e->epoch, path, 0);
        if (status == OK) status = home_set(e->home, fact.data, claim.data, error);
        buffer_free(&claim);
    }
    buffer_free(&fact);
    if (status != OK) return FAIL;
    run->length = known.length;
    fault_at(e->env, "sink.recover");
    return run->sink->type->recover(run->sink, claimed, known.length, error) == OK ? OK : FAIL;
}

/* By position, unless an earlier run left something in the outbox: then that is delivered first,
 * and what comes behind it in the same way; the next start goes over. The other way round rows
 * could be missing or come twice, so it wants a reset. */
static Status choose_way(SinkRun *run, SinkContext *context, Error *error) {
    Engine *e = run->engine;
    const char *name = run->plan->table->name;
    HomePosition *acked;
    int count = 0;
    if (run->way == SINK_BY_POSITION && !run->owed_bytes)
        return positions_open(run, context, error);
    if (run->way == SINK_BY_POSITION) {
        run->way = SINK_BY_OUTBOX;
        run->report->way = "by outbox";
        log_info("sink %s: what stands in the outbox is delivered first; by position from the "
                 "next start on",
                 name);
    }
    Status status = home_acked(e->home, name, &acked, &count, e->arena, error);
    for (int i = 0; i < count && status == OK; i++) {
        if (acked[i].position == NO_POSITION || !*acked[i].source) continue;
        if (!e->options.reset)
            return fail(error,
                        "sink %s was served by position until now, and cannot be any more: its "
                        "sources are not on its cluster (is \"bootstrap.servers\" written the same "
                        "in both tables?), or its delivery or a query has changed; undo that, or "
                        "leat run --reset its query: then rows of the moments before a crash may "
                        "be missing or come twice",
                        name);
        home_put_acked(e->batch, name, acked[i].source, acked[i].partition, NO_POSITION);
    }
    return status;
}

static Status open_one(Engine *e, SinkRun *run, Error *error) {
    const PlanSink *plan = run->plan;
    const HomeInfo *info = home_info(e->home);
    SinkContext context = {.env = e->env,
                           .table = plan->table->name,
                           .pipeline = e->plan->catalog->settings.pipeline,
                           .home_id = info->id,
                           .generation = info->generation,
                           .schema = &plan->schema,
                           .keys = plan->keys,
                           .key_count = plan->key_count,
                           .exactly_once = plan->exactly_once,
                           .options = &plan->table->options,
                           .renew_us = e->options.renew_us,
                           .refuse = refuse_row,
                           .refuse_to = run};
    HomeSink known;
    run->way = plan->way;
    if (home_sink(e->home, plan->table->name, &known, error) != OK ||
        home_outbox_bytes(e->home, plan->table->name, known.delivered, &run->owed_bytes, error) !=
            OK)
        return FAIL;
    if (choose_way(run, &context, error) != OK) return FAIL;
    run->delivered_epoch = run->recorded_epoch = context.delivered = known.delivered;
    run->owed_until = run->owed_bytes ? e->epoch : 0;
    atomic_store(&run->report->owed_bytes, run->owed_bytes);
    atomic_store(&run->report->epoch, run->way == SINK_BY_LENGTH ? e->epoch : known.delivered);
    context.owed = run->owed_bytes > 0;
    if (plan->table->connector->sink->open(&context, &run->sink, error) != OK) return FAIL;
    if (run->way == SINK_BY_LENGTH && open_by_length(e, run, error) != OK) return FAIL;
    if (plan->table->key_count && run->sink->type->encode_row) run->upsert = upsert_new();
    run->settled = run->way != SINK_BY_OUTBOX;
    if (run->way != SINK_BY_OUTBOX) run->queue = queue_new(SINK_QUEUE_ITEMS + 16, SINK_QUEUE_BYTES);
    return OK;
}

/* By their names the tables are apart, or the plan would not have passed; but links are names, too.
 */
static Status check_apart(const Engine *e, const Table *sink, Error *error) {
    const Catalog *catalog = e->plan->catalog;
    const Connector *connector = sink->connector;
    for (int i = 0; connector->shares && i < catalog->table_count; i++) {
        const Table *other = &catalog->tables[i];
        bool read = other->is_source || other->is_reference;
        if (other == sink || other->connector != connector || (!read && !other->is_sink)) continue;
        if (!connector->shares(&sink->options, &other->options, !read)) continue;
        return fail(error,
                    "sink %s: '%s' is what table %s %s, under another name; give the sink a file "
                    "of its own",
                    sink->name, option_text(&sink->options, "path", ""), other->name,
                    read ? "reads" : "writes");
    }
    return OK;
}

/* Nor may a sink write into the pipeline's own files. */
static Status check_own_files(const Engine *e, const Table *sink, Error *error) {
    const Catalog *catalog = e->plan->catalog;
    const char *home = catalog->settings.home;
    const struct {
        const char *path, *ending, *what;
    } own[] = {{home, "", "the pipeline's home"},
               {home, "-wal", "a part of the pipeline's home"},
               {home, "-shm", "a part of the pipeline's home"},
               {home, ".lock", "a part of the pipeline's home"},
               {catalog->file, "", "the pipeline's own text"}};
    for (size_t i = 0; sink->connector->shares && i < sizeof own / sizeof *own; i++) {
        Buffer path = {0};
        buffer_add_format(&path, "%s%s%c", own[i].path, own[i].ending, 0);
        OptionValue value = {.name = "path", .text = path.data, .given = true};
        bool same = sink->connector->shares(&sink->options, &(Options){1, &value}, true);
        buffer_free(&path);
        if (same)
            return fail(error, "sink %s: '%s' is %s; give the sink a file of its own", sink->name,
                        option_text(&sink->options, "path", ""), own[i].what);
    }
    return OK;
}

Status sinks_open(Engine *e, Error *error) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        const Table *sink = e->plan->sinks[i].table;
        if (check_apart(e, sink, error) != OK || check_own_files(e, sink, error) != OK) return FAIL;
    }
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++)
        if (open_one(e, &e->sinks[i], error) != OK) return FAIL;
    return OK;
}

Status sinks_start(Engine *e, Error *error) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        Status status = thread_start(&run->thread,
                                     run->positions ? sink_position_thread
                                     : run->queue   ? sink_write_thread
                                                    : sink_outbox_thread,
                                     run, error);
        if (status != OK) return status;
        run->thread_started = true;
    }
    return OK;
}

void sinks_close(Engine *e) {
    for (int i = 0; e->sinks && i < e->plan->sink_count; i++) {
        SinkRun *run = &e->sinks[i];
        if (run->queue) queue_close(run->queue);
        if (run->sink && run->sink->type->stop && run->thread_started)
            run->sink->type->stop(run->sink);
        if (run->thread_started) thread_join(&run->thread);
        void *item;
        while (run->queue && queue_pop(run->queue, &item, 0) == OK) free(item);
        if (run->queue) queue_free(&run->queue);
        if (run->sink) run->sink->type->close(run->sink);
        buffer_free(&run->pending);
        buffer_free(&run->filling);
        buffer_free(&run->closed);
        buffer_free(&run->refused.rows);
        buffer_free(&run->settled_refused.rows);
        positions_free(&run->positions);
        upsert_free(&run->upsert);
    }
}
