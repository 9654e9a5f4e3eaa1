/* What leaves the engine: rows of views into the epoch's batch for the home; rows of sinks as bytes
 * into a bounded queue (by length, at once) or into the epoch's outbox blob. Each sink has a thread
 * of its own that may block; the engine never does. */
#include "engine/internal.h"
#include <inttypes.h>
#include <stdio.h>

/* ---- views ---- */

static Status leaf_open(Operator *op, const void *spec, Error *error) {
    (void)op, (void)spec, (void)error;
    return OK;
}

/* A row is known by its group's key, or by branch, ordinal and position. */
static void row_key(ViewOperator *view, const Batch *batch, int row) {
    view->key.size = 0;
    buffer_add_varint(&view->key, (uint64_t)batch->branch);
    if (batch->keys) {
        buffer_add_str(&view->key, batch->keys[row]);
        return;
    }
    buffer_add_varint(&view->key, (uint64_t)(batch->ordinals ? batch->ordinals[row] : 0));
    buffer_add_varint(&view->key, (uint64_t)(batch->source + 1));
    buffer_add_varint(&view->key, (uint64_t)(batch->partition + 1));
    buffer_add_i64(&view->key, batch->positions ? batch->positions[row] : 0);
}

static Status view_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input;
    ViewOperator *view = (ViewOperator *)(void *)op;
    Engine *e = view->engine;
    int index = e->home ? (int)(view->plan - e->plan->views) : 0;
    for (int row = 0; e->home && row < batch->rows; row++) {
        row_key(view, batch, row);
        if (batch->ops && batch->ops[row] == ROW_DELETE) {
            home_delete_row(e->batch, index, buffer_str(&view->key));
            continue;
        }
        view->values.size = 0;
        for (int c = 0; c < batch->column_count; c++)
            value_encode(column_value(&batch->columns[c], row), &view->values);
        int64_t time = batch->event_times ? batch->event_times[row] : NO_TIME;
        home_put_row(e->batch, index, buffer_str(&view->key), time, buffer_str(&view->values));
    }
    e->dirty = true;
    atomic_fetch_add_explicit(&view->report->rows_written, batch->rows, memory_order_relaxed);
    if (!batch->growth)
        atomic_fetch_add_explicit(&e->report.queries[op->query].rows_out, batch->rows,
                                  memory_order_relaxed);
    return op->out_count ? emit(op, batch, error) : OK;
}

static Status view_advance(Operator *op, int input, Watermark mark, Error *error) {
    (void)input, (void)error;
    ViewOperator *view = (ViewOperator *)(void *)op;
    op->output_mark = mark;
    if (mark.time != END_OF_TIME) view->last_mark = mark.time;
    if (!view->plan->retention_us || view->last_mark == NO_TIME) return OK;
    int64_t before = view->last_mark - view->plan->retention_us;
    /* Not with every step of the clock: a hundredth of the retention is soon enough. At the end,
     * though, what is left depends on the data alone. */
    if (mark.time == END_OF_TIME || view->expired_before == NO_TIME ||
        before - view->expired_before >= view->plan->retention_us / 100) {
        view->expired_before = before;
        if (view->engine->home)
            home_expire_rows(view->engine->batch, (int)(view->plan - view->engine->plan->views),
                             before);
    }
    return OK;
}

static void view_close(Operator *op) {
    ViewOperator *view = (ViewOperator *)(void *)op;
    buffer_free(&view->key);
    buffer_free(&view->values);
}

const OperatorType view_operator = {.name = "view",
                                    .size = sizeof(ViewOperator),
                                    .open = leaf_open,
                                    .push = view_push,
                                    .advance = view_advance,
                                    .close = view_close};

/* ---- sinks: the engine's side ---- */

static Status sink_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input, (void)error;
    SinkOperator *sink = (SinkOperator *)(void *)op;
    Engine *e = sink->engine;
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
    else run->sink->type->encode(run->sink, batch, &run->pending);
    atomic_fetch_add_explicit(&run->report->rows, batch->rows, memory_order_relaxed);
    atomic_fetch_add_explicit(&run->report->bytes, (int64_t)(run->pending.size - before),
                              memory_order_relaxed);
    return OK;
}

static void sink_op_close(Operator *op) { (void)op; }

const OperatorType sink_operator = {.name = "sink",
                                    .size = sizeof(SinkOperator),
                                    .open = leaf_open,
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

void sinks_flush(Engine *e, bool all) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        if (run->plan->way == SINK_BY_OUTBOX || run->upsert || !run->pending.size) continue;
        if (!all && run->pending.size < SINK_ITEM_BYTES) continue;
        if (queue_items(run->queue) >= SINK_QUEUE_ITEMS) continue;
        if (!queue_item(run, 0, buffer_str(&run->pending), false)) continue;
        run->pending.size = 0;
        run->wrote = true;
    }
}

bool sink_full(SinkRun *run) {
    Engine *e = run->engine;
    int64_t fill;
    bool full;
    if (run->plan->way == SINK_BY_OUTBOX) {
        int64_t limit = e->plan->catalog->settings.outbox_limit;
        mutex_lock(&e->lock);
        int64_t owed = run->owed_bytes + (int64_t)run->pending.size;
        mutex_unlock(&e->lock);
        full = owed > limit;
        fill = limit ? owed * 100 / limit : 0;
        atomic_store_explicit(&run->report->owed_bytes, owed, memory_order_relaxed);
    } else {
        full = run->pending.size >= SINK_ITEM_BYTES && queue_fill(run->queue) >= 0.9;
        fill = (int64_t)(100 * queue_fill(run->queue));
    }
    atomic_store_explicit(&run->report->queue_percent, fill, memory_order_relaxed);
    return full;
}

void sinks_epoch(Engine *e, int64_t epoch) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        if (run->upsert && run->pending.size) upsert_close(run);
        if (run->plan->way == SINK_BY_OUTBOX) {
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
            continue;
        }
        if (run->pending.size && queue_item(run, 0, buffer_str(&run->pending), true)) {
            run->pending.size = 0;
            run->wrote = true;
        }
        if (run->wrote && queue_item(run, epoch, (Str){0}, true)) {
            run->asked_epoch = epoch;
            run->wrote = false;
        }
    }
}

bool sinks_paid(Engine *e) {
    bool paid = true;
    mutex_lock(&e->lock);
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        if (run->plan->way == SINK_BY_OUTBOX && !run->settled) paid = false;
    }
    mutex_unlock(&e->lock);
    return paid;
}

/* ---- sinks: their own threads ---- */

static bool closing(Engine *e) {
    mutex_lock(&e->lock);
    bool yes = e->closing;
    mutex_unlock(&e->lock);
    return yes;
}

static void tell_state(SinkRun *run, const char *text) {
    mutex_lock(&run->engine->report.lock);
    bool changed = (*text != 0) != (run->report->state[0] != 0);
    snprintf(run->report->state, sizeof run->report->state, "%s", text);
    mutex_unlock(&run->engine->report.lock);
    if (changed && *text) log_warning("sink %s: %s; trying again", run->plan->table->name, text);
    if (changed && !*text) log_info("sink %s: back again", run->plan->table->name);
}

/* Waits before trying again; longer each time, to 5 s. */
static void back_off(Engine *e, int64_t *wait_us) {
    *wait_us =
        *wait_us ? (*wait_us * 2 > 5 * US_PER_SECOND ? 5 * US_PER_SECOND : *wait_us * 2) : 50000;
    int64_t until = engine_now(e) + *wait_us, now;
    mutex_lock(&e->lock);
    while (!e->closing && (now = engine_now(e)) < until) engine_wait(e, &e->room, until - now);
    mutex_unlock(&e->lock);
}

static void *write_thread(void *context) {
    SinkRun *run = context;
    Engine *e = run->engine;
    const SinkType *type = run->sink->type;
    void *got;
    Error error = {0};
    while (queue_pop(run->queue, &got, -1) == OK) {
        SinkItem *item = got;
        int64_t wait_us = 0, length = 0;
        Status status;
        do {
            fault_at(e->env, item->epoch ? "sink.sync" : "sink.write");
            status = item->epoch ? type->sync(run->sink, &length, &error)
                                 : type->write(run->sink, (Str){item->bytes, item->size}, &error);
            if (status != AGAIN) break;
            tell_state(run, error.text);
            back_off(e, &wait_us);
        } while (!closing(e));
        if (status == OK) tell_state(run, "");
        if (status == OK) fault_at(e->env, item->epoch ? "sink.synced" : "sink.written");
        if (status == FAIL) engine_fail(e, &error);
        if (status == OK && item->epoch) {
            mutex_lock(&e->lock);
            run->synced_epoch = item->epoch;
            run->length = length;
            cond_broadcast(&e->room);
            mutex_unlock(&e->lock);
            atomic_store(&run->report->epoch, item->epoch);
        }
        free(item);
        mutex_lock(&e->lock);
        cond_signal(&e->wake);
        mutex_unlock(&e->lock);
        if (status == FAIL) break;
    }
    return NULL;
}

/* What stands outside against what the home knows. */
static Status compare_marker(SinkRun *run, Error *error) {
    Engine *e = run->engine;
    int64_t epoch = 0, generation = 0, wait_us = 0;
    Status status;
    while ((status = run->sink->type->marker(run->sink, &epoch, &generation, error)) == AGAIN) {
        tell_state(run, error->text);
        back_off(e, &wait_us);
        if (closing(e)) return AGAIN;
    }
    if (status != OK) return status;
    tell_state(run, "");
    mutex_lock(&e->lock);
    int64_t committed = e->committed_epoch, known = run->delivered_epoch;
    mutex_unlock(&e->lock);
    if (epoch > committed)
        return fail(
            error,
            "sink %s: epoch %" PRId64 " was delivered, but the home stands at %" PRId64
            ": it is an old copy; put back the newest home, or start over with leat run --fresh",
            run->plan->table->name, epoch, committed);
    if (epoch && epoch < known)
        return fail(error,
                    "sink %s went back: the home delivered epoch %" PRId64
                    ", outside stands %" PRId64 "; epochs %" PRId64 " to %" PRId64
                    " are lost there; restore it, or leat run --reset",
                    run->plan->table->name, known, epoch, epoch + 1, known);
    mutex_lock(&e->lock);
    if (epoch > run->delivered_epoch) run->delivered_epoch = epoch;
    mutex_unlock(&e->lock);
    return OK;
}

static Status deliver_one(SinkRun *run, Buffer *blob, bool *idle, Error *error) {
    Engine *e = run->engine;
    int64_t epoch = 0;
    *idle = false;
    mutex_lock(&e->home_lock);
    Status status = home_outbox_next(e->home, run->plan->table->name, run->delivered_epoch, &epoch,
                                     blob, error);
    mutex_unlock(&e->home_lock);
    if (status == END) {
        *idle = true;
        return OK;
    }
    if (status != OK) return FAIL;
    int64_t wait_us = 0;
    fault_at(e->env, "deliver.begin");
    while ((status = run->sink->type->deliver(run->sink, epoch, buffer_str(blob), error)) ==
           AGAIN) {
        tell_state(run, error->text);
        back_off(e, &wait_us);
        if (closing(e)) return AGAIN;
    }
    if (status != OK) return status;
    fault_at(e->env, "deliver.committed");
    tell_state(run, "");
    mutex_lock(&e->lock);
    run->delivered_epoch = epoch;
    run->owed_bytes -= (int64_t)blob->size;
    if (run->owed_bytes < 0) run->owed_bytes = 0;
    e->dirty = true;
    cond_signal(&e->wake);
    mutex_unlock(&e->lock);
    atomic_store(&run->report->epoch, epoch);
    return OK;
}

static void *outbox_thread(void *context) {
    SinkRun *run = context;
    Engine *e = run->engine;
    Buffer blob = {0};
    Error error = {0};
    Status status = compare_marker(run, &error);
    while (status == OK) {
        bool idle;
        mutex_lock(&e->lock);
        int64_t committed = e->committed_epoch;
        mutex_unlock(&e->lock);
        status = deliver_one(run, &blob, &idle, &error);
        if (status != OK) break;
        mutex_lock(&e->lock);
        if (idle) {
            if (committed >= run->owed_until) run->settled = true;
            cond_signal(&e->wake);
            while (!e->closing && e->committed_epoch == committed) cond_wait(&e->room, &e->lock);
        }
        bool over = e->closing;
        mutex_unlock(&e->lock);
        if (over) break;
    }
    if (status == FAIL) engine_fail(e, &error);
    buffer_free(&blob);
    return NULL;
}

/* ---- opening ---- */

static Status open_by_length(Engine *e, SinkRun *run, Error *error) {
    HomeSink known;
    const char *name = run->plan->table->name;
    Status status = home_sink(e->home, name, &known, error);
    Buffer fact = {0};
    buffer_add_format(&fact, "sink %s", name);
    buffer_add_char(&fact, 0);
    bool claimed = status == OK && (known.known || home_get(e->home, fact.data));
    if (status == OK && !claimed) {
        if (run->sink->type->check) status = run->sink->type->check(run->sink, error);
        if (status == OK) status = home_set(e->home, fact.data, "claimed", error);
    }
    buffer_free(&fact);
    if (status != OK) return FAIL;
    run->length = known.length;
    fault_at(e->env, "sink.recover");
    return run->sink->type->recover(run->sink, claimed, known.length, error) == OK ? OK : FAIL;
}

Status sinks_open(Engine *e, Error *error) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        const PlanSink *plan = run->plan;
        SinkContext context = {.env = e->env,
                               .table = plan->table->name,
                               .pipeline = e->plan->catalog->settings.pipeline,
                               .home_id = home_info(e->home)->id,
                               .generation = home_info(e->home)->generation,
                               .schema = &plan->schema,
                               .keys = plan->keys,
                               .key_count = plan->key_count,
                               .exactly_once = plan->exactly_once,
                               .options = &plan->table->options};
        if (plan->table->connector->sink->open(&context, &run->sink, error) != OK) return FAIL;
        if (plan->way == SINK_BY_LENGTH && open_by_length(e, run, error) != OK) return FAIL;
        if (plan->table->key_count && run->sink->type->encode_row) run->upsert = upsert_new();
        run->settled = plan->way != SINK_BY_OUTBOX;
        if (plan->way == SINK_BY_OUTBOX) {
            HomeSink known;
            if (home_sink(e->home, plan->table->name, &known, error) != OK ||
                home_outbox_bytes(e->home, plan->table->name, &run->owed_bytes, error) != OK)
                return FAIL;
            run->delivered_epoch = run->recorded_epoch = known.delivered;
            run->owed_until = run->owed_bytes ? e->epoch : 0;
        } else {
            run->queue = queue_new(SINK_QUEUE_ITEMS + 16, SINK_QUEUE_BYTES);
        }
    }
    return OK;
}

Status sinks_start(Engine *e, Error *error) {
    for (int i = 0; i < e->plan->sink_count && !e->options.collect; i++) {
        SinkRun *run = &e->sinks[i];
        Status status =
            thread_start(&run->thread, run->queue ? write_thread : outbox_thread, run, error);
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
        upsert_free(&run->upsert);
    }
}
