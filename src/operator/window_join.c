/* Two windowed results joined on an equal window and equal columns: inner and left. Rows of both
 * sides wait in the state under their window and key until neither side can bring more, then each
 * left row meets each right row. A key may have millions of pairs; they go out a batch at a time,
 * and how far they are is part of the state, so that no pair is lost or told twice when the process
 * dies in between.
 *
 *   record: left, right: each count, rows sized | left row, right row that are next | has met one 1
 *   row:    sized: event time 8, key sized, values */
#include "base/hash.h"
#include "operator/results.h"
#include "operator/row_keys.h"
#include "operator/specs.h"
#include <stdlib.h>

enum { LEFT, RIGHT, SIDES };

typedef struct Waiting { /* rows of one window and key */
    Buffer rows[SIDES];
    int64_t counts[SIDES];
    size_t left_at, right_at; /* bytes: the pair that is next */
    bool met;
} Waiting;

typedef struct Pair {
    Waiting *entry;
    Str left, right; /* rows; right.data NULL: the left row alone, should it have met none */
} Pair;

typedef struct WindowJoin {
    Operator base;
    const WindowJoinSpec *spec;
    Program *residual;
    Schema output;
    RowKeys row_keys;
    Buffer scratch;
    Arena *arena;
    Pair *pairs; /* [BATCH_ROWS] */
    int64_t taken_us;
} WindowJoin;

static void waiting_encode(void *context, const void *value, Buffer *out) {
    (void)context;
    const Waiting *w = value;
    for (int side = 0; side < SIDES; side++) {
        buffer_add_varint(out, (uint64_t)w->counts[side]);
        buffer_add_sized(out, buffer_str(&w->rows[side]));
    }
    buffer_add_varint(out, w->left_at);
    buffer_add_varint(out, w->right_at);
    buffer_add_u8(out, w->met);
}

static Status waiting_decode(void *context, void *value, Reader *r) {
    (void)context;
    Waiting *w = value;
    for (int side = 0; side < SIDES; side++) {
        w->counts[side] = (int64_t)read_varint(r);
        buffer_add_str(&w->rows[side], read_sized(r));
    }
    w->left_at = read_varint(r);
    w->right_at = read_varint(r);
    w->met = read_u8(r) != 0;
    return r->bad || w->left_at > w->rows[LEFT].size || w->right_at > w->rows[RIGHT].size ? FAIL
                                                                                          : OK;
}

static void waiting_release(void *context, void *value) {
    (void)context;
    Waiting *w = value;
    for (int side = 0; side < SIDES; side++) buffer_free(&w->rows[side]);
}

static size_t waiting_bytes(void *context, const void *value) {
    (void)context;
    const Waiting *w = value;
    return w->rows[LEFT].capacity + w->rows[RIGHT].capacity;
}

static Status join_open(Operator *op, const void *spec, Error *error) {
    WindowJoin *j = (WindowJoin *)op;
    const WindowJoinSpec *s = j->spec = spec;
    j->output.count = s->sides[LEFT].count + s->sides[RIGHT].count;
    j->output.fields = xcalloc((size_t)j->output.count, sizeof *j->output.fields);
    for (int side = 0, c = 0; side < SIDES; side++)
        for (int i = 0; i < s->sides[side].count; i++)
            j->output.fields[c++] = s->sides[side].fields[i];
    j->arena = arena_new();
    j->pairs = xcalloc(BATCH_ROWS, sizeof *j->pairs);
    op->state = state_new(&(StateSpec){
        .value_size = sizeof(Waiting),
        .encode = waiting_encode,
        .decode = waiting_decode,
        .release = waiting_release,
        .bytes = waiting_bytes,
    });
    Expr *residual[] = {s->residual};
    return s->residual ? program_new(residual, 1, op->host->env, &j->residual, error) : OK;
}

static void join_close(Operator *op) {
    WindowJoin *j = (WindowJoin *)op;
    state_free(&op->state);
    program_free(&j->residual);
    row_keys_free(&j->row_keys);
    buffer_free(&j->scratch);
    arena_free(&j->arena);
    free(j->output.fields);
    free(j->pairs);
}

static bool closed(const WindowJoinSpec *s, int64_t bucket, Watermark mark) {
    return s->close == CLOSE_WINDOW_START ? bucket < mark.window_start : bucket <= mark.time;
}

/* ---- rows come in ---- */

static bool key_is_null(const WindowJoinSpec *s, int side, const Batch *batch, int row) {
    for (int k = 0; k < s->key_count; k++)
        if (!column_ok(&batch->columns[s->keys[side][k]], row)) return true;
    return false;
}

static void encode_row(WindowJoin *j, const Batch *batch, int row) {
    j->scratch.size = 0;
    buffer_add_i64(&j->scratch, batch->event_times ? batch->event_times[row] : NO_TIME);
    buffer_add_sized(&j->scratch, batch->keys ? batch->keys[row] : (Str){NULL, 0});
    for (int c = 0; c < batch->column_count; c++)
        value_encode(column_value(&batch->columns[c], row), &j->scratch);
}

static void add_row(WindowJoin *j, int side, const Batch *batch, int row) {
    const WindowJoinSpec *s = j->spec;
    State *state = j->base.state;
    const Column *window = &batch->columns[s->bucket[side]];
    if (!column_ok(window, row)) return; /* NULL equals nothing, and a window is never NULL */
    int64_t bucket = window->ints[row];
    if (closed(s, bucket, watermark_min(j->base.input_marks[LEFT], j->base.input_marks[RIGHT]))) {
        j->base.host->reject(j->base.host, &j->base, REJECT_LATE_IDLE, batch, row,
                             "late: its window was closed already");
        return;
    }
    /* A key with a NULL meets nothing. On the left of a LEFT JOIN it still leaves, alone. */
    if (key_is_null(s, side, batch, row) && (side == RIGHT || !s->left)) return;
    bool made;
    Waiting *w = state_put(state, state_bucket(state, bucket), j->row_keys.hashes[row],
                           row_key(&j->row_keys, row), &made);
    encode_row(j, batch, row);
    buffer_add_sized(&w->rows[side], buffer_str(&j->scratch));
    w->counts[side]++;
    state_touch(state, w);
}

static Status join_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)error;
    WindowJoin *j = (WindowJoin *)op;
    const WindowJoinSpec *s = j->spec;
    batch = without_errors(op, batch, s->keys[input], s->key_count);
    if (batch->rows == 0) return OK;
    j->taken_us = batch->taken_us;
    row_keys_encode(&j->row_keys, batch, s->keys[input], s->key_count);
    for (int row = 0; row < batch->rows; row++) add_row(j, input, batch, row);
    count_state(op);
    return OK;
}

/* ---- pairs go out ---- */

/* The row that begins at *at; moves behind it. The bytes were written by add_row or came out of a
 * sound record. */
static Str next_row(const Buffer *rows, size_t *at) {
    Reader r = {rows->data + *at, rows->data + rows->size, false};
    Str row = read_sized(&r);
    *at = r.bad ? rows->size : (size_t)(r.at - rows->data);
    return row;
}

/* The next pairs of one entry from where it stands; moves it on. true: nothing is left of it. */
static bool take_pairs(WindowJoin *j, Waiting *w, int *count) {
    bool left_join = j->spec->left;
    const Buffer *left = &w->rows[LEFT], *right = &w->rows[RIGHT];
    if (!left_join && w->counts[RIGHT] == 0) return true;
    while (w->left_at < left->size) {
        size_t behind = w->left_at;
        Str row = next_row(left, &behind);
        while (w->right_at < right->size) {
            if (*count == BATCH_ROWS) return false;
            Str partner = next_row(right, &w->right_at);
            j->pairs[(*count)++] = (Pair){w, row, partner};
        }
        if (left_join) {
            if (*count == BATCH_ROWS) return false;
            j->pairs[(*count)++] = (Pair){w, row, (Str){NULL, 0}};
        }
        w->left_at = behind;
        w->right_at = 0;
    }
    return true;
}

static void fill_side(WindowJoin *j, Batch *out, int row, int side, Str bytes, Str *key,
                      int64_t *time) {
    const Schema *schema = &j->spec->sides[side];
    int before = side == LEFT ? 0 : j->spec->sides[LEFT].count;
    Reader r = reader_of(bytes);
    if (bytes.data) {
        *time = read_i64(&r);
        *key = read_sized(&r);
    }
    for (int c = 0; c < schema->count; c++) {
        Value value = {.type = schema->fields[c].type, .null = true};
        if (bytes.data) value = value_decode(value.type, &r, out->arena);
        column_set(&out->columns[before + c], row, value, out->arena);
    }
}

static Batch *join_rows(WindowJoin *j, int count) {
    arena_reset(j->arena);
    Batch *out = results_new(&j->base, &j->output, count, j->taken_us, j->arena);
    Str *keys = arena_new_array(j->arena, Str, count);
    int64_t *times = arena_new_array(j->arena, int64_t, count);
    for (int row = 0; row < count; row++) {
        const Pair *pair = &j->pairs[row];
        Str left_key = {NULL, 0}, right_key = {NULL, 0};
        int64_t left_time = NO_TIME, right_time = NO_TIME;
        fill_side(j, out, row, LEFT, pair->left, &left_key, &left_time);
        fill_side(j, out, row, RIGHT, pair->right, &right_key, &right_time);
        times[row] = left_time > right_time ? left_time : right_time;
        j->scratch.size = 0;
        buffer_add_sized(&j->scratch, left_key);
        buffer_add_sized(&j->scratch, right_key);
        keys[row] = arena_str(j->arena, buffer_str(&j->scratch));
    }
    out->keys = keys;
    out->event_times = times;
    out->final = true;
    return out;
}

/* Which pairs hold; a left row leaves alone when none of its pairs held, in this batch or before.
 * An error in the condition makes a dead letter of its pair, which counts as one that held. */
static void judge_pairs(WindowJoin *j, Batch *out, uint8_t *keep) {
    RowErrors errors = {.arena = j->arena};
    Column holds = {0};
    if (j->residual) {
        program_run(j->residual, out, j->arena, &errors, &holds);
        uint8_t *states = arena_alloc(j->arena, (size_t)out->rows);
        for (int row = 0; row < out->rows; row++) /* rows that leave alone are not asked */
            states[row] =
                j->pairs[row].right.data ? (uint8_t)column_state(&holds, row) : VALUE_NULL;
        holds.states = states;
    }
    for (int row = 0; row < out->rows; row++) {
        const Pair *pair = &j->pairs[row];
        if (pair->right.data) {
            ValueState state = j->residual ? (ValueState)holds.states[row] : VALUE_OK;
            keep[row] = state == VALUE_OK ? !j->residual || holds.bools[row] : 0;
            if (keep[row] || state == VALUE_ERROR) pair->entry->met = true;
        } else {
            keep[row] = !pair->entry->met;
            pair->entry->met = false;
        }
    }
    uint8_t *judged = NULL;
    if (j->residual) reject_errors(&j->base, out, &holds, 1, &errors, j->arena, &judged, &out->ops);
}

static Status emit_pairs(WindowJoin *j, int count, Error *error) {
    Batch *out = join_rows(j, count);
    uint8_t *keep = arena_alloc(j->arena, (size_t)count);
    judge_pairs(j, out, keep);
    return emit(&j->base, batch_select(out, keep, j->arena), error);
}

/* One batch of pairs of closed windows. AGAIN: there may be more. */
static CHECKED Status emit_due(WindowJoin *j, Watermark mark, Error *error) {
    State *state = j->base.state;
    enum { ENTRIES_MOST = 4096 };
    Waiting *over[ENTRIES_MOST], *begun = NULL;
    int count = 0, done = 0;
    bool more = false;
    for (size_t i = 0; !more; i++) {
        Bucket *b = state_bucket_at(state, i);
        if (!b || !closed(j->spec, bucket_time(b), mark)) break;
        size_t cursor = 0;
        for (Waiting *w; !more && (w = bucket_next(b, &cursor));) {
            if (take_pairs(j, w, &count)) over[done++] = w;
            else begun = w;
            more = begun || done == ENTRIES_MOST || count == BATCH_ROWS;
        }
    }
    if (count && emit_pairs(j, count, error) != OK) return FAIL;
    for (int i = 0; i < done; i++) state_forget(state, over[i]);
    if (begun) state_touch(state, begun);
    for (Bucket *b; (b = state_oldest(state)) && bucket_entries(b) == 0 &&
                    closed(j->spec, bucket_time(b), mark);)
        state_drop(state, &b);
    count_state(&j->base);
    return more ? AGAIN : OK;
}

static Status join_advance(Operator *op, int input, Watermark mark, Error *error) {
    WindowJoin *j = (WindowJoin *)op;
    Watermark both = watermark_min(mark, op->input_marks[1 - input]);
    Status status = emit_due(j, both, error);
    if (status == OK) op->output_mark = both;
    return status;
}

const OperatorType window_join_operator = {
    .name = "window join",
    .size = sizeof(WindowJoin),
    .open = join_open,
    .push = join_push,
    .advance = join_advance,
    .close = join_close,
};
