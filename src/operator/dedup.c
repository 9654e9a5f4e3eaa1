/* DISTINCT ON: the first row of each key passes. Keys are remembered whole, with the event time of
 * the row that passed, in segments by that time: written once, dropped as a whole when nothing in
 * them can count any more.
 *
 * The rule (docs: time): a row older than its partition's watermark less the horizon is late; any
 * other is dropped when a row of its key has passed that is not older than that. A partition that
 * was idle or is new can be behind the query's watermark, by which segments are dropped; its rows
 * are judged by that one, so that no copy ever passes. With a window among the keys a key is
 * remembered until its window closes, and nothing is late here. */
#include "data/time.h"
#include "operator/row_keys.h"
#include "operator/times.h"
#include <stdlib.h>

enum { SEGMENTS_A_HORIZON = 8, AHEAD = 8 };

typedef struct Dedup {
    Operator base;
    const DedupSpec *spec;
    int64_t width_us; /* of a segment */
    int *keys;        /* the spec's, and the window's end where it is not among them */
    int key_count;
    RowKeys row_keys;
} Dedup;

static void time_encode(void *context, const void *value, Buffer *out) {
    if (context) buffer_add_i64(out, *(const int64_t *)value);
}

static Status time_decode(void *context, void *value, Reader *r) {
    if (context) *(int64_t *)value = read_i64(r);
    return OK;
}

static Status dedup_open(Operator *op, const void *spec, Error *error) {
    (void)error;
    Dedup *d = (Dedup *)op;
    const DedupSpec *s = d->spec = spec;
    d->keys = xcalloc((size_t)s->key_count + 1, sizeof *d->keys);
    if (s->key_count) memcpy(d->keys, s->keys, sizeof *d->keys * (size_t)s->key_count);
    d->key_count = s->key_count;
    bool named = s->window_end < 0;
    for (int i = 0; i < s->key_count; i++) named |= s->keys[i] == s->window_end;
    if (!named) d->keys[d->key_count++] = s->window_end;
    d->width_us = s->horizon_us / SEGMENTS_A_HORIZON;
    if (d->width_us < US_PER_SECOND) d->width_us = US_PER_SECOND;
    bool by_time = s->window_end < 0;
    op->state = state_new(&(StateSpec){
        .value_size = by_time ? sizeof(int64_t) : 0,
        .encode = time_encode,
        .decode = time_decode,
        .context = by_time ? d : NULL,
        .ages = true,
    });
    return OK;
}

static void dedup_close(Operator *op) {
    Dedup *d = (Dedup *)op;
    row_keys_free(&d->row_keys);
    free(d->keys);
}

static int64_t segment_of(const Dedup *d, int64_t time) {
    int64_t rest = time % d->width_us;
    return time - (rest < 0 ? rest + d->width_us : rest);
}

static void reject_late(Dedup *d, const Batch *batch, int row, int64_t time, int64_t seen,
                        int64_t mark) {
    bool idle = seen == NO_TIME || time >= time_less(seen, d->spec->horizon_us);
    d->base.host->reject(d->base.host, &d->base, idle ? REJECT_LATE_IDLE : REJECT_LATE, batch, row,
                         late_reason("older than its watermark less the horizon, its event time is",
                                     time, idle ? mark : seen, idle, batch->arena));
}

/* Which rows pass: keep[row]; which were copies. How many pass. */
static int judge_by_time(Dedup *d, const Batch *batch, uint8_t *keep, uint8_t *copies) {
    State *state = d->base.state;
    const RowKeys *k = &d->row_keys;
    int64_t horizon = d->spec->horizon_us, mark = d->base.input_marks[0].time;
    int passed = 0;
    for (int row = 0; row < batch->rows; row++) {
        if (row + AHEAD < batch->rows) state_prefetch(state, NULL, k->hashes[row + AHEAD]);
        int64_t time = batch->event_times ? batch->event_times[row] : 0;
        int64_t seen = batch->seen ? batch->seen[row] : NO_TIME;
        int64_t since = time_less(seen > mark ? seen : mark,
                                  horizon); /* what is remembered from before does not count */
        keep[row] = 0;
        if (time < since) {
            reject_late(d, batch, row, time, seen, mark);
            continue;
        }
        Str key = row_key(k, row);
        const int64_t *remembered = state_find_newest(state, k->hashes[row], key);
        if (remembered && *remembered >= since) {
            copies[row] = 1;
            continue;
        }
        bool made;
        int64_t *value =
            state_put(state, state_bucket(state, segment_of(d, time)), k->hashes[row], key, &made);
        *value = time;
        state_touch(state, value);
        keep[row] = 1;
        passed++;
    }
    return passed;
}

static int judge_by_window(Dedup *d, const Batch *batch, uint8_t *keep, uint8_t *copies) {
    State *state = d->base.state;
    const RowKeys *k = &d->row_keys;
    const Column *end = &batch->columns[d->spec->window_end];
    int64_t mark = d->base.input_marks[0].time;
    int passed = 0;
    for (int row = 0; row < batch->rows; row++) {
        if (row + AHEAD < batch->rows) state_prefetch(state, NULL, k->hashes[row + AHEAD]);
        keep[row] = 0;
        if (end->ints[row] <= mark) {
            d->base.host->reject(
                d->base.host, &d->base, REJECT_LATE_IDLE, batch, row,
                "late: its window was closed already, its partition was idle or is new");
            continue;
        }
        bool made;
        void *value = state_put(state, state_bucket(state, end->ints[row]), k->hashes[row],
                                row_key(k, row), &made);
        if (made) state_touch(state, value);
        keep[row] = made;
        copies[row] = !made;
        passed += made;
    }
    return passed;
}

static Status dedup_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input;
    Dedup *d = (Dedup *)op;
    batch = without_errors(op, batch, d->keys, d->key_count);
    size_t rows = (size_t)batch->rows;
    row_keys_encode(&d->row_keys, batch, d->keys, d->key_count);
    uint8_t *keep = arena_alloc(batch->arena, rows + 1),
            *copies = arena_zero(batch->arena, rows + 1);
    int passed = d->spec->window_end < 0 ? judge_by_time(d, batch, keep, copies)
                                         : judge_by_window(d, batch, keep, copies);
    count_state(op);
    if (passed == batch->rows) return emit(op, batch, error);
    for (int row = 0; row < batch->rows; row++) copies[row] = !copies[row];
    op->counters.deduplicated += records_dropped(batch, copies);
    return emit(op, batch_select(batch, keep, batch->arena), error);
}

static Status dedup_advance(Operator *op, int input, Watermark mark, Error *error) {
    (void)input, (void)error;
    Dedup *d = (Dedup *)op;
    bool by_window = d->spec->window_end >= 0;
    int64_t over = by_window ? mark.time : time_less(mark.time, d->spec->horizon_us);
    for (Bucket *b; (b = state_oldest(op->state));) {
        /* A segment is over when all in it is older; times are whole microseconds. */
        int64_t last = by_window ? bucket_time(b) : bucket_time(b) + d->width_us;
        if (over == NO_TIME || last > over) break;
        state_drop(op->state, &b);
    }
    count_state(op);
    op->output_mark = mark;
    return OK;
}

const OperatorType dedup_operator = {
    .name = "dedup",
    .size = sizeof(Dedup),
    .open = dedup_open,
    .push = dedup_push,
    .advance = dedup_advance,
    .close = dedup_close,
};
