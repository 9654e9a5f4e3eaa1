/* The step: take a batch of the partition that is furthest behind, push it down the operators until
 * it ends in state or in a sink, then let time move. When a step returns, nothing is in flight; an
 * epoch may close between any two pushes. */
#include "engine/internal.h"
#include <errno.h>

/* ---- the host of operators ---- */

static void reject_row(OperatorHost *host, Operator *op, RejectKind kind, const Batch *batch,
                       int row, const char *reason) {
    Engine *e = (Engine *)(void *)((char *)host - offsetof(Engine, host));
    if (e->replaying) return; /* it was told then */
    _Atomic int64_t *count = kind == REJECT_LATE        ? &op->counters.late
                             : kind == REJECT_LATE_IDLE ? &op->counters.late_idle
                                                        : &op->counters.dead;
    atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
    e->dirty = true;
    if (kind == REJECT_DEAD && batch->source >= 0 &&
        e->plan->sources[batch->source].table->on_error == ON_ERROR_FAIL) {
        Error error = {0};
        (void)fail(&error, "query %s: %s (on_error = 'fail')", e->plan->queries[op->query].name,
                   reason);
        engine_fail(e, &error);
    }
    if (!e->home) {
        if (e->options.rejected) e->options.rejected(e->options.context, reason);
        return;
    }
    HomeReject r = {.late = kind != REJECT_DEAD,
                    .query = e->plan->queries[op->query].name,
                    .partition = -1,
                    .position = NO_TIME,
                    .reason = reason};
    r.time_us = batch->taken_us ? batch->taken_us : e->env->now_us(e->env);
    Buffer json = {0};
    if (batch->source >= 0) {
        r.source = e->plan->sources[batch->source].table->name;
        r.partition = batch->partition;
        if (batch->positions) r.position = batch->positions[row];
    }
    if (batch->source >= 0 && batch->records) {
        r.record = batch->records[row];
    } else {
        for (int n = 0; n < e->plan->node_count; n++)
            if (e->ops[n] == op && e->plan->nodes[n].input_count) {
                const Schema *schema = &e->plan->nodes[e->plan->nodes[n].inputs[0]].schema;
                if (schema->count == batch->column_count) json_row(schema, batch, row, &json);
                else if (e->plan->nodes[n].schema.count == batch->column_count)
                    json_row(&e->plan->nodes[n].schema, batch, row, &json);
            }
        r.record = buffer_str(&json);
    }
    if (r.record.size > 65536) r.record.size = 65536;
    home_put_reject(e->batch, &r);
    buffer_free(&json);
}

static const ReferenceTable *find_reference(OperatorHost *host, int index) {
    Engine *e = (Engine *)(void *)((char *)host - offsetof(Engine, host));
    return e->references[index].table;
}

static int64_t ended_before(const Engine *e, int node) {
    const PlanNode *n = &e->plan->nodes[node];
    int64_t time = n->kind == NODE_SOURCE ? e->sources[n->index].saved_mark : NO_TIME;
    for (int i = 0; i < n->input_count; i++) {
        int64_t of_input = ended_before(e, n->inputs[i]);
        if (of_input > time) time = of_input;
    }
    return time;
}

/* The greatest that the partitions of its sources came to: the same in whatever order they ended.
 */
static int64_t ended_at(OperatorHost *host, const Operator *op) {
    const Engine *e = (Engine *)(void *)((char *)host - offsetof(Engine, host));
    for (int n = 0; n < e->plan->node_count; n++)
        if (e->ops[n] == op) return ended_before(e, n);
    return NO_TIME;
}

/* A record that could not be read: of no query. */
static Status reject_record(Engine *e, Partition *p, const Chunk *chunk,
                            const DecodeReject *reject) {
    atomic_fetch_add_explicit(&p->source->report->dead, 1, memory_order_relaxed);
    e->dirty = true;
    if (!e->home) {
        if (e->options.rejected) e->options.rejected(e->options.context, reject->reason);
        return OK;
    }
    HomeReject r = {.source = p->source->plan->table->name,
                    .partition = p->number,
                    .position = reject->position,
                    .time_us = chunk->taken_us,
                    .reason = reject->reason,
                    .record = reject->record};
    if (r.record.size > 65536) r.record.size = 65536;
    home_put_reject(e->batch, &r);
    return OK;
}

/* ---- building ---- */

static Status source_open(Operator *op, const void *spec, Error *error) {
    (void)op, (void)spec, (void)error;
    return OK;
}
static Status source_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input;
    return emit(op, batch, error);
}
static void source_close(Operator *op) { (void)op; }
static const OperatorType source_operator = {.name = "source",
                                             .size = sizeof(Operator),
                                             .open = source_open,
                                             .push = source_push,
                                             .close = source_close};

static void add_edge(Engine *e, int from, int to, int input) {
    int from_query = e->plan->nodes[from].query;
    operator_connect(e->ops[from], e->ops[to], input,
                     from_query < 0 || from_query == e->plan->nodes[to].query);
    Operator *op = e->ops[from];
    op->outs[op->out_count - 1].enters = from_query != e->plan->nodes[to].query;
}

Status pipeline_open(Engine *e, Error *error) {
    e->host = (OperatorHost){
        .env = e->env, .reject = reject_row, .reference = find_reference, .ended_at = ended_at};
    e->ops = xcalloc((size_t)e->plan->node_count + 1, sizeof *e->ops);
    e->rests = arena_new_array(e->arena, bool, e->plan->node_count + 1);
    e->waits = arena_new_array(e->arena, bool, e->plan->node_count + 1);
    for (int n = 0; n < e->plan->node_count; n++) {
        const PlanNode *node = &e->plan->nodes[n];
        const OperatorType *type = node->kind == NODE_SOURCE ? &source_operator
                                   : node->kind == NODE_VIEW ? &view_operator
                                   : node->kind == NODE_SINK ? &sink_operator
                                                             : node->type;
        int inputs = node->input_count ? node->input_count : 1;
        Operator *op = e->ops[n] = operator_new(type, node->name, node->query, &e->host, inputs);
        op->output_mark = WATERMARK_NONE;
        op->by_source = arena_new_array(e->arena, SourceCounters, e->plan->source_count + 1);
        for (int i = 0; i < inputs; i++) op->input_marks[i] = WATERMARK_NONE;
        e->report.operators[n].counters = node->kind == NODE_SOURCE ? NULL : &op->counters;
        if (node->kind == NODE_SOURCE) e->sources[node->index].op = op;
        if (node->kind == NODE_VIEW) {
            ViewOperator *view = (ViewOperator *)(void *)op;
            view->engine = e;
            view->plan = &e->plan->views[node->index];
            view->report = &e->report.views[node->index];
            view->expired_before = view->last_mark = NO_TIME;
        } else if (node->kind == NODE_SINK) {
            SinkOperator *sink = (SinkOperator *)(void *)op;
            sink->engine = e;
            sink->run = e->options.collect ? NULL : &e->sinks[node->index];
        }
        Status status = type->open(op, node->spec, error);
        if (status != OK) return status;
    }
    return OK;
}

/* What rests has emitted all that it ever will: its readers need not wait for it. */
void pipeline_connect(Engine *e) {
    for (int n = 0; n < e->plan->node_count; n++) {
        const PlanNode *node = &e->plan->nodes[n];
        if (e->rests[n]) e->ops[n]->output_mark = (Watermark){END_OF_TIME, END_OF_TIME};
        for (int i = 0; i < node->input_count && !e->rests[n]; i++)
            add_edge(e, node->inputs[i], n, i);
    }
}

void pipeline_close(Engine *e) {
    for (int n = 0; e->ops && n < e->plan->node_count; n++)
        if (e->ops[n]) operator_free(&e->ops[n]);
    free(e->ops);
    e->ops = NULL;
}

/* ---- time ---- */

static bool mark_less(Watermark a, Watermark b) {
    return a.time < b.time || a.window_start < b.window_start;
}

/* A sink that has more than it may hold stops what still comes out of windows, too: time stands
 * still there, and goes on with a later step. What does not feed that sink goes on. */
static Status advance_node(Engine *e, int node, int input, Watermark mark, Error *error) {
    Operator *op = e->ops[node];
    if (!op->type->advance) {
        op->input_marks[input] = mark;
        Watermark least = op->input_marks[0];
        for (int i = 1; i < op->inputs; i++) least = watermark_min(least, op->input_marks[i]);
        op->output_mark = least;
        return OK;
    }
    while (!e->waits[node] || !sink_behind_is_full(e, node, true)) {
        e->waits[node] = false;
        Status status = op->type->advance(op, input, mark, error);
        if (status == OK) {
            op->input_marks[input] = mark;
            return OK;
        }
        if (status != AGAIN) return status;
        e->dirty = true;
        sinks_flush(e, false);
        if ((status = epoch_due(e, error)) != OK) return status;
        if (e->stop)
            return AGAIN; /* the next start goes on here: the source's mark is in the home, its
                             groups still are too */
        e->waits[node] = sink_behind_is_full(e, node, true);
    }
    e->paused = true;
    return OK;
}

Status pipeline_advance(Engine *e, Error *error) {
    int64_t now = engine_now(e);
    bool moved = e->paused;
    e->paused = false;
    for (int i = 0; i < e->plan->source_count; i++) {
        SourceRun *run = &e->sources[i];
        bool was_idle = run->all_idle_since_us != 0;
        source_watermark(run, now);
        if (was_idle != (run->all_idle_since_us != 0)) moved = true;
        if (mark_less(run->op->output_mark, (Watermark){run->mark, run->mark})) {
            run->op->output_mark = (Watermark){run->mark, run->mark};
            moved = true;
        }
    }
    for (int n = 0; moved && n < e->plan->node_count; n++) {
        const PlanNode *node = &e->plan->nodes[n];
        if (moved) query_times_move(e);
        for (int i = 0; i < node->input_count && !e->rests[n]; i++) {
            Watermark mark = query_mark(e, n, i);
            if (!mark_less(e->ops[n]->input_marks[i], mark)) continue;
            Status status = advance_node(e, n, i, mark, error);
            if (status != OK) return status;
        }
    }
    return OK;
}

/* ---- choosing and taking ---- */

typedef enum Readiness { NOTHING, COMING, READY } Readiness;

/* What the engine may do with a partition; under lock. */
static Readiness readiness(Partition *p) {
    if (p->first) return p->first->done ? READY : COMING;
    if (p->read_ended) {
        p->ended = true;
        return NOTHING;
    }
    /* A bounded source's next chunk will come; an unbounded one's may, unless it stands at its end.
     */
    return p->source->source->bounded || !p->at_end_since_us ? COMING : NOTHING;
}

/* What stood in its place has ended, and all of it was taken; under lock. */
static void begin_anew(Partition *p) {
    p->anew = p->ended = p->read_ended = false;
    p->max_time = NO_TIME;
    p->at_end_since_us = 0;
}

/* The partition furthest behind in event time, ties to the lower number. A bounded one is waited
 * for; an unbounded one only when another is a minute ahead of it. NULL: nothing to take now. */
static Partition *choose(Engine *e) {
    Partition *best = NULL, *waiting = NULL;
    int64_t best_mark = 0, waiting_mark = 0;
    bool unlisted = false;
    mutex_lock(&e->lock);
    e->news_seen = e->news;
    for (int s = 0; s < e->plan->source_count; s++) {
        SourceRun *run = &e->sources[s];
        if (run->source->bounded && !run->listed) unlisted = true;
        if (!run->listed || run->blocked) continue;
        for (int i = 0; i < run->partition_count; i++) {
            Partition *p = run->partitions[i];
            if (p->anew) begin_anew(p);
            if (p->ended) continue;
            Readiness ready = readiness(p);
            int64_t mark = partition_watermark(p);
            if (ready == READY && (!best || mark < best_mark)) {
                best = p;
                best_mark = mark;
            } else if (ready == COMING && (!waiting || mark < waiting_mark)) {
                bool wait = run->source->bounded || p->first;
                if (!wait && best && best_mark != NO_TIME && mark != NO_TIME) wait = true;
                if (wait) {
                    waiting = p;
                    waiting_mark = mark;
                }
            }
        }
    }
    if (unlisted) best = NULL;
    if (waiting) {
        waiting->wanted = waiting->source->asked_for = true;
        bool behind = !best || waiting_mark < best_mark ||
                      (waiting_mark == best_mark && waiting->source->index == best->source->index &&
                       waiting->number < best->number) ||
                      (waiting_mark == best_mark && waiting->source->index < best->source->index);
        bool patient = waiting->source->source->bounded;
        bool far = waiting_mark != NO_TIME && best && best_mark != NO_TIME &&
                   best_mark - 60 * US_PER_SECOND > waiting_mark;
        if (behind && (patient || far)) best = NULL;
    }
    cond_broadcast(&e->room);
    mutex_unlock(&e->lock);
    return best;
}

/* The position behind what was taken of a slot: where the next record that counts begins. */
static int64_t next_position(const Slot *slot) {
    const Decoded *d = &slot->decoded;
    int64_t position = slot->chunk->end;
    if (slot->next_batch < d->batch_count && d->batches[slot->next_batch]->positions) {
        int64_t first = d->batches[slot->next_batch]->positions[0];
        if (first < position) position = first;
    }
    if (slot->next_reject < d->reject_count && d->rejects[slot->next_reject].position < position)
        position = d->rejects[slot->next_reject].position;
    return position;
}

static Status take_batch(Engine *e, Partition *p, Slot *slot, Error *error) {
    SourceRun *run = p->source;
    Batch *batch = slot->decoded.batches[slot->next_batch++];
    batch->source = run->index;
    batch->partition = p->number;
    batch->taken_us = slot->chunk->taken_us;
    batch_see(p, batch, slot->decoded.arena);
    batch->arena = slot->decoded.arena;
    slot->rows_taken += batch->rows;
    p->records += batch->rows;
    e->epoch_records += batch->rows;
    atomic_fetch_add_explicit(&run->report->rows, batch->rows, memory_order_relaxed);
    return operator_push(run->op, 0, batch, error);
}

/* The rows of one record (an array in a message) may be cut into batches; but what was taken ends
 * between records, since that is where the home may stand. */
static bool within_record(const Slot *slot) {
    const Decoded *d = &slot->decoded;
    int64_t last = INT64_MIN;
    if (slot->next_batch == d->batch_count && slot->next_reject == d->reject_count) return false;
    if (slot->next_batch && d->batches[slot->next_batch - 1]->elements) {
        const Batch *batch = d->batches[slot->next_batch - 1];
        last = batch->positions[batch->rows - 1];
    }
    if (slot->next_reject && d->rejects[slot->next_reject - 1].position > last)
        last = d->rejects[slot->next_reject - 1].position;
    return next_position(slot) <= last;
}

/* One batch of a slot whose records were counted before. */
static Status take_again(Engine *e, Partition *p, Slot *slot, Error *error) {
    Decoded *d = &slot->decoded;
    slot->next_reject = d->reject_count;
    do {
        if (slot->next_batch == d->batch_count) break;
        Batch *batch = d->batches[slot->next_batch++];
        batch->source = p->source->index;
        batch->partition = p->number;
        batch->taken_us = slot->chunk->taken_us;
        batch->arena = d->arena;
        Status status = replay_batch(e, p, batch, error);
        if (status != OK) return status;
    } while (within_record(slot));
    p->reached = next_position(slot);
    if (slot->next_batch == d->batch_count) intake_taken(e, p, slot);
    return OK;
}

/* One batch of the partition's first slot, and the bad records before it. */
static Status take_some(Engine *e, Partition *p, Slot *slot, Error *error) {
    Decoded *d = &slot->decoded;
    Status status = OK;
    if (slot->next_batch < d->batch_count) status = take_batch(e, p, slot, error);
    bool over = slot->next_batch == d->batch_count;
    while (status == OK && slot->next_reject < d->reject_count &&
           (over || d->rejects[slot->next_reject].row_before <= slot->rows_taken)) {
        status = reject_record(e, p, slot->chunk, &d->rejects[slot->next_reject++]);
        p->records++;
        e->epoch_records++;
    }
    return status;
}

static Status take(Engine *e, Partition *p, Error *error) {
    SourceRun *run = p->source;
    Slot *slot = p->first;
    Decoded *d = &slot->decoded;
    Status status = OK;
    if (d->failed) {
        if (error) *error = d->error;
        return FAIL;
    }
    if (slot->replay) return take_again(e, p, slot, error);
    if (p->begun == NO_POSITION) p->begun = slot->chunk->begin;
    do status = take_some(e, p, slot, error);
    while (status == OK && within_record(slot));
    bool over = slot->next_batch == d->batch_count && slot->next_reject == d->reject_count;
    if (status != OK) return status;
    p->position = p->reached = next_position(slot);
    p->dirty = true;
    atomic_store(&e->dirty, true);
    if (p->number < REPORT_PARTITIONS) {
        PartitionReport *r = &run->report->partitions[p->number];
        atomic_store_explicit(&r->position, p->position, memory_order_relaxed);
        atomic_store_explicit(&r->rows, p->records, memory_order_relaxed);
        atomic_store_explicit(&r->watermark_us, partition_watermark(p), memory_order_relaxed);
    }
    if (over) {
        atomic_fetch_add_explicit(&run->report->skipped, d->skipped, memory_order_relaxed);
        atomic_fetch_add_explicit(&run->report->bytes, (int64_t)slot->bytes, memory_order_relaxed);
        if (run->source->type->lag && p->number < REPORT_PARTITIONS)
            atomic_store_explicit(&run->report->partitions[p->number].lag,
                                  run->source->type->lag(run->source, p->number, p->position),
                                  memory_order_relaxed);
        intake_taken(e, p, slot);
    }
    return OK;
}

static void judge_blocked(Engine *e) {
    for (int s = 0; s < e->plan->source_count; s++) {
        e->sources[s].blocked = sink_behind_is_full(e, e->plan->sources[s].node, false);
        atomic_store_explicit(&e->sources[s].report->blocked, e->sources[s].blocked,
                              memory_order_relaxed);
        atomic_store_explicit(&e->sources[s].report->queue_percent,
                              (int64_t)(100 * e->sources[s].held_bytes / HELD_MOST_BYTES),
                              memory_order_relaxed);
    }
}

Status pipeline_step(Engine *e, bool *worked, Error *error) {
    sinks_judge(e);
    /* First what stood still: no row comes to a node while its time is on the way. */
    if (e->paused) {
        Status status = pipeline_advance(e, error);
        if (status != OK) return status;
    }
    judge_blocked(e);
    references_swap(e);
    Partition *p = choose(e);
    *worked = p != NULL;
    if (p) {
        Status status = take(e, p, error);
        if (status != OK) return status;
    }
    return pipeline_advance(e, error);
}

bool pipeline_ended(Engine *e) {
    for (int s = 0; s < e->plan->source_count; s++)
        if (!e->sources[s].ended) return false;
    return true;
}

/* ---- told to stop ---- */

/* What is being read again of a partition is not all taken; under lock. */
static bool lags(const Partition *p) {
    if (p->reached == NO_POSITION || p->reached >= p->position) return false;
    return p->first ? p->first->replay : !p->read_ended;
}

bool pipeline_lags(Engine *e) {
    bool any = false;
    mutex_lock(&e->lock);
    for (int s = 0; s < e->plan->source_count; s++)
        for (int i = 0; i < e->sources[s].partition_count; i++)
            any = any || lags(e->sources[s].partitions[i]);
    mutex_unlock(&e->lock);
    return any;
}

Status pipeline_catch_up(Engine *e, bool *worked, Error *error) {
    Partition *next = NULL;
    sinks_judge(e);
    judge_blocked(e);
    mutex_lock(&e->lock);
    for (int s = 0; s < e->plan->source_count; s++) {
        SourceRun *run = &e->sources[s];
        for (int i = 0; i < run->partition_count && !run->blocked; i++) {
            Partition *p = run->partitions[i];
            if (!lags(p)) continue;
            if (!p->first) p->wanted = run->asked_for = true;
            else if (p->first->done && !next) next = p;
        }
    }
    cond_broadcast(&e->room);
    mutex_unlock(&e->lock);
    *worked = next != NULL;
    return next ? take(e, next, error) : OK;
}
