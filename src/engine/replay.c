/* Reading again what was counted before, for sinks by position that lack its rows (position.c): it
 * goes to their queries alone and leaves no trace in counters, dead letters, time or positions of
 * the home. A chunk that reaches past the home's position is cut in two, so that a slot is either
 * all replay or all new. */
#include "engine/internal.h"

/* ---- a chunk in two ---- */

typedef struct Whole {
    Chunk *chunk;
    _Atomic int halves;
} Whole;

typedef struct Half {
    Chunk chunk;
    Whole *whole;
} Half;

static void release_half(Chunk *chunk) {
    Half *half = (Half *)(void *)chunk;
    if (atomic_fetch_sub(&half->whole->halves, 1) == 1) {
        half->whole->chunk->release(half->whole->chunk);
        free(half->whole);
    }
    free(half);
}

static Chunk *half_of(Whole *whole, int first, int count) {
    Half *half = xcalloc(1, sizeof *half);
    half->whole = whole;
    half->chunk = *whole->chunk;
    half->chunk.records += first;
    half->chunk.record_count = count;
    half->chunk.release = release_half;
    return &half->chunk;
}

Chunk *chunk_split(Chunk *chunk, int64_t position, Chunk **behind) {
    int first = 0;
    while (first < chunk->record_count && chunk->records[first].position < position) first++;
    Whole *whole = xcalloc(1, sizeof *whole);
    whole->chunk = chunk;
    whole->halves = 2;
    Chunk *before = half_of(whole, 0, first);
    *behind = half_of(whole, first, chunk->record_count - first);
    before->end = (*behind)->begin = position;
    return before;
}

/* ---- the step ---- */

enum { KEPT = 6 };

typedef struct Kept {
    int64_t numbers[KEPT];
    SourceCounters of_source;
} Kept;

static void each_counter(OperatorCounters *c, _Atomic int64_t *of[KEPT]) {
    of[0] = &c->rows_in;
    of[1] = &c->rows_out;
    of[2] = &c->filtered;
    of[3] = &c->dead;
    of[4] = &c->late;
    of[5] = &c->deduplicated;
}

/* The counters of a query's operators into `kept`, or back. */
static void counters_copy(Engine *e, int query, int source, Kept *kept, bool back) {
    for (int n = 0; n < e->plan->node_count; n++) {
        Operator *op = e->ops[n];
        _Atomic int64_t *of[KEPT];
        if (op->query != query) continue;
        each_counter(&op->counters, of);
        for (int i = 0; i < KEPT; i++)
            if (back) atomic_store_explicit(of[i], kept[n].numbers[i], memory_order_relaxed);
            else kept[n].numbers[i] = atomic_load_explicit(of[i], memory_order_relaxed);
        if (back) op->by_source[source] = kept[n].of_source;
        else kept[n].of_source = op->by_source[source];
    }
}

static bool is_by_position(const Engine *e, int query) {
    const PlanQuery *q = &e->plan->queries[query];
    return q->kind == QUERY_SINK && !e->options.collect && e->sinks[q->index].positions;
}

/* A record that the clock judged as of the future then may be of the past now: what lies beyond the
 * time that the home knows was not passed on. */
static Batch *not_of_the_future(const Partition *p, Batch *batch) {
    bool any = false;
    if (!batch->event_times) return batch;
    uint8_t *keep = arena_alloc(batch->arena, (size_t)batch->rows + 1);
    for (int row = 0; row < batch->rows; row++) {
        keep[row] = batch->event_times[row] <= p->max_time;
        any |= !keep[row];
    }
    return any ? batch_select(batch, keep, batch->arena) : batch;
}

Status replay_batch(Engine *e, Partition *p, Batch *batch, Error *error) {
    Operator *source = p->source->op;
    Status status = OK;
    Kept *kept = arena_new_array(batch->arena, Kept, e->plan->node_count);
    batch = not_of_the_future(p, batch);
    e->replaying = true;
    for (int i = 0; i < source->out_count && status == OK && batch->rows; i++) {
        const Edge *edge = &source->outs[i];
        if (!is_by_position(e, edge->to->query)) continue;
        counters_copy(e, edge->to->query, batch->source, kept, false);
        status = operator_push(edge->to, edge->input, batch, error);
        counters_copy(e, edge->to->query, batch->source, kept, true);
    }
    e->replaying = false;
    return status;
}
