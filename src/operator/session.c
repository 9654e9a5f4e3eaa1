/* Session windows with their GROUP BY. A partition (the columns that sessions are kept by) has its
 * open sessions, each from its first to its last event; an event within the gap of a session joins
 * it, one between two of them makes them one. Groups stand apart from their session, so that an
 * epoch writes those that changed and no more:
 *
 *   bucket 0: key: partition                          value: its sessions, oldest first
 *   bucket 1: key: partition sized, birth 8, other keys   value: looks, block of aggregates
 *
 * birth is the time of the event that began a session: no other session of its partition ever had
 * it, and it stays when earlier events join. Which partition is due next stands in a heap; it and
 * the lists of groups follow from the state and are made anew when it was read back
 * (session_index.c). */
#include "operator/session.h"
#include "base/hash.h"
#include "operator/looks.h"
#include "operator/results.h"
#include <stdlib.h>

/* ---- records ---- */

static void session_encode(void *context, const void *value, Buffer *out) {
    const Sessions *s = context;
    if (value_time(value) == PARTITIONS) {
        const Partition *p = value;
        buffer_add_varint(out, (uint64_t)p->count);
        for (int i = 0; i < p->count; i++) {
            buffer_add_i64(out, p->spans[i].birth);
            buffer_add_i64(out, p->spans[i].first);
            buffer_add_i64(out, p->spans[i].last);
        }
        return;
    }
    const SessionGroup *g = value;
    if (s->shows) looks_encode(g->looks, out);
    aggregates_encode(s->spec->calls, s->spec->call_count, g->block, out);
}

static Status session_decode(void *context, void *value, Reader *r) {
    const Sessions *s = context;
    if (value_time(value) == PARTITIONS) {
        Partition *p = value;
        uint64_t count = read_varint(r);
        if (r->bad || count > (uint64_t)(r->end - r->at) / 24) return FAIL;
        p->spans = xcalloc((size_t)count, sizeof *p->spans);
        p->count = p->capacity = (int)count;
        for (int i = 0; i < p->count; i++) {
            p->spans[i].birth = read_i64(r);
            p->spans[i].first = read_i64(r);
            p->spans[i].last = read_i64(r);
        }
        return OK;
    }
    if (value_time(value) != GROUPS) return FAIL;
    SessionGroup *g = value;
    if (s->shows) g->looks = looks_decode(r);
    aggregates_decode(s->spec->calls, s->spec->call_count, g->block, r);
    return r->bad ? FAIL : OK;
}

static void session_release(void *context, void *value) {
    const Sessions *s = context;
    if (value_time(value) == PARTITIONS) {
        free(((Partition *)value)->spans);
        return;
    }
    SessionGroup *g = value;
    free(g->looks);
    aggregates_release(s->spec->calls, s->spec->call_count, g->block);
}

static size_t session_bytes(void *context, const void *value) {
    const Sessions *s = context;
    if (value_time(value) == PARTITIONS)
        return (size_t)((const Partition *)value)->capacity * sizeof(Span);
    const SessionGroup *g = value;
    return looks_values(g->looks).size +
           aggregates_bytes(s->spec->calls, s->spec->call_count, g->block);
}

static Status session_open(Operator *op, const void *spec, Error *error) {
    (void)error;
    Sessions *s = (Sessions *)op;
    const SessionSpec *p = s->spec = spec;
    int most = p->partition_count + p->key_count + 2 * p->call_count + 1;
    s->checked = xcalloc((size_t)most, sizeof *s->checked);
    s->others = xcalloc((size_t)p->key_count + 1, sizeof *s->others);
    for (int i = 0; i < p->partition_count; i++) s->checked[s->checked_count++] = p->partition[i];
    for (int i = 0; i < p->key_count; i++) {
        if (p->keys[i] < 0) continue;
        s->checked[s->checked_count++] = s->others[s->other_count++] = p->keys[i];
        s->shows |= looks_vary(p->output.fields[i].type);
    }
    if (p->filter >= 0) s->checked[s->checked_count++] = p->filter;
    for (int i = 0; i < p->call_count; i++) {
        if (p->calls[i].arg >= 0) s->checked[s->checked_count++] = p->calls[i].arg;
        if (p->calls[i].filter >= 0) s->checked[s->checked_count++] = p->calls[i].filter;
    }
    s->arena = arena_new();
    s->due = xcalloc(BATCH_ROWS, sizeof *s->due);
    s->oldest_start = NO_TIME;
    s->next_look = NO_TIME;
    size_t group = sizeof(SessionGroup) + p->block_size;
    op->state = state_new(&(StateSpec){
        .value_size = group > sizeof(Partition) ? group : sizeof(Partition),
        .encode = session_encode,
        .decode = session_decode,
        .release = session_release,
        .bytes = session_bytes,
        .context = s,
    });
    return OK;
}

static void session_close(Operator *op) {
    Sessions *s = (Sessions *)op;
    state_free(&op->state);
    row_keys_free(&s->partition_keys);
    row_keys_free(&s->other_keys);
    buffer_free(&s->scratch);
    arena_free(&s->arena);
    free(s->heap);
    free(s->due);
    free(s->checked);
    free(s->others);
}

/* ---- rows come in ---- */

static void group_key(Sessions *s, Str partition, int64_t birth, Str others) {
    s->scratch.size = 0;
    buffer_add_sized(&s->scratch, partition);
    buffer_add_i64(&s->scratch, birth);
    buffer_add_str(&s->scratch, others);
}

/* Rows from s->pending on go into their groups: before any group moves, and at the end. */
static void add_pending(Sessions *s, const Batch *batch, int until) {
    if (until > s->pending) {
        const Batch *rows = batch;
        if (s->pending > 0 || until < batch->rows)
            rows = batch_slice(batch, s->pending, until - s->pending, batch->arena);
        aggregates_add(s->spec->calls, s->spec->call_count, rows, s->blocks + s->pending);
    }
    s->pending = until;
}

static SessionGroup *put_group(Sessions *s, Partition *p, Span *span, Str others, bool *made) {
    State *state = s->base.state;
    group_key(s, value_key(p), span->birth, others);
    Str key = buffer_str(&s->scratch);
    SessionGroup *g = state_put(state, state_bucket(state, GROUPS), hash_bytes(key), key, made);
    if (*made) {
        g->next = span->groups;
        span->groups = g;
    }
    state_touch(state, g);
    return g;
}

/* What the group's key says behind partition and birth. */
static Str others_of(const SessionGroup *g) {
    Reader r = reader_of(value_key(g));
    (void)read_sized(&r);
    (void)read_i64(&r);
    return (Str){r.at, (size_t)(r.end - r.at)};
}

/* Session `from` of the partition becomes part of `into`. */
static void merge_spans(Sessions *s, Partition *p, int into, int from) {
    const SessionSpec *spec = s->spec;
    Span *target = &p->spans[into], *source = &p->spans[from];
    for (SessionGroup *g = source->groups, *next; g; g = next) {
        next = g->next;
        bool made;
        SessionGroup *to = put_group(s, p, target, others_of(g), &made);
        if (made) {
            to->looks = g->looks;
            g->looks = NULL;
        }
        aggregates_merge(spec->calls, spec->call_count, to->block, g->block);
        state_forget(s->base.state, g);
    }
    if (source->first < target->first) target->first = source->first;
    if (source->last > target->last) target->last = source->last;
    memmove(source, source + 1, sizeof *source * (size_t)(p->count - from - 1));
    p->count--;
}

static Span *span_new(Partition *p, int at, int64_t time) {
    if (p->count == p->capacity) {
        p->capacity = p->capacity ? p->capacity * 2 : 1;
        p->spans = xrealloc(p->spans, sizeof *p->spans * (size_t)p->capacity);
    }
    memmove(p->spans + at + 1, p->spans + at, sizeof *p->spans * (size_t)(p->count - at));
    p->count++;
    p->spans[at] = (Span){.birth = time, .first = time, .last = time};
    return &p->spans[at];
}

/* The session that an event of that time belongs to, made or merged. */
static Span *span_of(Sessions *s, Partition *p, const Batch *batch, int row, int64_t time) {
    int64_t gap = s->spec->gap_us;
    int at = 0;
    while (at < p->count && p->spans[at].last + gap < time) at++;
    if (at == p->count || p->spans[at].first - gap > time) {
        Span *made = span_new(p, at, time);
        heap_bring(s, p, time + gap);
        return made;
    }
    Span *span = &p->spans[at];
    if (time < span->first) span->first = time;
    if (time > span->last) span->last = time;
    if (at + 1 < p->count && p->spans[at + 1].first - gap <= time) {
        add_pending(s, batch, row);
        merge_spans(s, p, at, at + 1);
    }
    return span;
}

/* false: it is late. */
static bool in_time(Sessions *s, const Batch *batch, int row, const Partition *p, int64_t time,
                    int64_t seen, int64_t mark) {
    int64_t gap = s->spec->gap_us;
    bool late = time < seen, idle = false;
    if (!late && mark != NO_TIME &&
        time + gap < mark) { /* its own session would be over: is one open that it joins? */
        idle = true;
        for (int i = 0; p && i < p->count && idle; i++)
            idle = p->spans[i].last + gap < time || p->spans[i].first - gap > time;
    }
    if (!late && !idle) return true;
    s->base.host->reject(
        s->base.host, &s->base, idle ? REJECT_LATE_IDLE : REJECT_LATE, batch, row,
        late_reason("its event time is", time, idle ? mark : seen, idle, batch->arena));
    return false;
}

static void add_row(Sessions *s, const Batch *batch, int row, int64_t time, int64_t seen,
                    int64_t mark) {
    const SessionSpec *spec = s->spec;
    State *state = s->base.state;
    Bucket *partitions = state_bucket(state, PARTITIONS);
    Str key = row_key(&s->partition_keys, row);
    uint64_t hash = s->partition_keys.hashes[row];
    Partition *p = state_find(partitions, hash, key);
    s->blocks[row] = NULL;
    if (!in_time(s, batch, row, p, time, seen, mark)) return;
    bool made = false;
    if (!p) p = state_put(state, partitions, hash, key, &made);
    Span *span = span_of(s, p, batch, row, time);
    state_touch(state, p);
    if (spec->filter >= 0) {
        const Column *filter = &batch->columns[spec->filter];
        if (!column_ok(filter, row) || !filter->bools[row]) {
            if (batch->source >= 0) s->base.counters.filtered++;
            return;
        }
    }
    SessionGroup *g = put_group(s, p, span, row_key(&s->other_keys, row), &made);
    if (made && s->shows) g->looks = looks_new(batch, row, s->others, s->other_count, &s->scratch);
    s->blocks[row] = g->block;
}

static Status session_push(Operator *op, int input, const Batch *batch, Error *error) {
    Sessions *s = (Sessions *)op;
    const SessionSpec *spec = s->spec;
    if (sessions_index(s, error) != OK) return FAIL;
    batch = with_times(op, spec->time_kind, spec->time,
                       without_errors(op, batch, s->checked, s->checked_count));
    if (batch->rows == 0) return OK;
    s->taken_us = batch->taken_us;
    row_keys_encode(&s->partition_keys, batch, spec->partition, spec->partition_count);
    row_keys_encode(&s->other_keys, batch, s->others, s->other_count);
    const int64_t *times = row_times(spec->time_kind, spec->time, batch),
                  *seen = row_seen(spec->time_kind, batch);
    int64_t mark = time_reached(spec->time_kind, op->input_marks[input]);
    s->blocks = arena_alloc(batch->arena, sizeof *s->blocks * (size_t)batch->rows);
    s->pending = 0;
    for (int row = 0; row < batch->rows; row++)
        add_row(s, batch, row, times[row], seen ? seen[row] : NO_TIME, mark);
    add_pending(s, batch, batch->rows);
    count_state(op);
    return OK;
}

/* ---- sessions close ---- */

static void fill_row(Sessions *s, Batch *out, int row, const Due *due, RowErrors *errors) {
    const SessionSpec *spec = s->spec;
    const SessionGroup *g = due->group;
    Reader keys = reader_of(g->looks ? looks_values(g->looks) : others_of(g));
    for (int c = 0; c < spec->key_count; c++) {
        Type type = spec->output.fields[c].type;
        Value value = {.type = type};
        if (spec->keys[c] == SESSION_START) value.integer = due->first;
        else if (spec->keys[c] == SESSION_END) value.integer = due->last + spec->gap_us;
        else
            value = g->looks ? value_decode(type, &keys, out->arena)
                             : key_decode(type, &keys, out->arena);
        column_set(&out->columns[c], row, value, out->arena);
    }
    for (int c = 0; c < spec->call_count; c++)
        results_set(out, spec->key_count + c, row, &spec->calls[c], g->block, errors);
}

static Status emit_due(Sessions *s, int count, Error *error) {
    const SessionSpec *spec = s->spec;
    arena_reset(s->arena);
    Batch *out = results_new(&s->base, &spec->output, count, s->taken_us, s->arena);
    int64_t *times = arena_new_array(s->arena, int64_t, count);
    RowErrors errors = {.arena = s->arena};
    for (int row = 0; row < count; row++) {
        times[row] = s->due[row].last + spec->gap_us;
        fill_row(s, out, row, &s->due[row], &errors);
    }
    out->event_times = times;
    out->keys = results_keys(out, spec->key_count);
    out->final = true;
    return results_emit(&s->base, out, &errors, error);
}

static Status session_advance(Operator *op, int input, Watermark mark, Error *error) {
    (void)input;
    Sessions *s = (Sessions *)op;
    if (sessions_index(s, error) != OK) return FAIL;
    int64_t reached = time_reached(s->spec->time_kind, mark);
    int count = take_due(s, reached, BATCH_ROWS);
    if (count && emit_due(s, count, error) != OK) return FAIL;
    for (int i = 0; i < count; i++) state_forget(op->state, s->due[i].group);
    count_state(op);
    if (count == BATCH_ROWS) return AGAIN;
    /* Sessions that end at the mark are still open. */
    op->output_mark = (Watermark){time_less(reached, 1), oldest_session(s, reached)};
    return OK;
}

const OperatorType session_operator = {
    .name = "session",
    .size = sizeof(Sessions),
    .open = session_open,
    .push = session_push,
    .advance = session_advance,
    .close = session_close,
};
