/* Puts rows into their windows, [start, end), aligned to the epoch plus an offset. Whether a row is
 * late is judged here, before any WHERE, by what its own partition had reached just before it: so
 * it depends on the data alone. A row of a partition that was idle or is new can still find all of
 * its windows closed by the query's time; that is told apart. The rows of windows that overlap
 * (hop, cumulate) are handed on in pieces: one row may stand in thousands of windows. */
#include "data/time.h"
#include "operator/times.h"

typedef struct Window {
    Operator base;
    const WindowSpec *spec;
    Arena *arena; /* of the pieces */
} Window;

static const int64_t WIDEST_US = 10000 * 366 * US_PER_DAY;
enum { MOST_WINDOWS_A_ROW = 100000 };

static Status window_open(Operator *op, const void *spec, Error *error) {
    Window *w = (Window *)op;
    w->spec = spec;
    const WindowSpec *s = w->spec;
    if (s->slide_us <= 0 || s->size_us <= 0)
        return fail(error, "a window's size and slide must be greater than zero");
    if (s->size_us > WIDEST_US || s->slide_us > WIDEST_US)
        return fail(error, "a window is wider than 10000 years; make it narrower");
    if (s->size_us / s->slide_us > MOST_WINDOWS_A_ROW)
        return fail(error,
                    "each row would stand in %lld windows, %d are the most; make the slide longer "
                    "or the size shorter",
                    (long long)(s->size_us / s->slide_us), MOST_WINDOWS_A_ROW);
    w->arena = arena_new();
    return OK;
}

static void window_close(Operator *op) { arena_free(&((Window *)op)->arena); }

/* The latest time <= t at which a window starts. */
static int64_t start_before(const WindowSpec *s, int64_t t) {
    int64_t every = s->kind == WINDOW_CUMULATE ? s->size_us : s->slide_us;
    int64_t offset = s->offset_us % every;
    int64_t rest = (t - offset) % every;
    return t - (rest < 0 ? rest + every : rest);
}

/* All windows of this row, the last of which ends at `end`, are closed. */
static void reject_late(Window *w, const Batch *batch, int row, int64_t end, int64_t seen,
                        int64_t mark) {
    bool idle = end > seen;
    w->base.host->reject(
        w->base.host, &w->base, idle ? REJECT_LATE_IDLE : REJECT_LATE, batch, row,
        late_reason("its window ended at", end, idle ? mark : seen, idle, batch->arena));
}

static Batch *with_windows(const WindowSpec *s, const Batch *batch, Column start, Column end,
                           Arena *arena) {
    Batch *out = batch_like(batch, batch->column_count + 2, arena);
    if (batch->column_count)
        memcpy(out->columns, batch->columns, sizeof *out->columns * (size_t)batch->column_count);
    start.type = end.type = s->type;
    out->columns[batch->column_count] = start;
    out->columns[batch->column_count + 1] = end;
    return out;
}

static Status push_tumble(Window *w, const Batch *batch, int64_t mark, Error *error) {
    const WindowSpec *s = w->spec;
    const int64_t *times = row_times(s->time_kind, s->time, batch),
                  *seen = row_seen(s->time_kind, batch);
    Column starts = column_new(s->type, batch->rows, false, batch->arena);
    Column ends = column_new(s->type, batch->rows, false, batch->arena);
    int64_t *to_start = column_ints(&starts), *to_end = column_ints(&ends);
    int64_t start = 0, end = 0;
    bool late = false;
    for (int row = 0; row < batch->rows; row++) {
        int64_t t = times[row];
        if (t < start || t >= end) {
            start = start_before(s, t);
            end = start + s->size_us;
        }
        to_start[row] = start;
        to_end[row] = end;
        late |= end <= mark || (seen && end <= seen[row]);
    }
    Batch *out = with_windows(s, batch, starts, ends, batch->arena);
    if (!late) return emit(&w->base, out, error);
    uint8_t *keep = arena_alloc(batch->arena, (size_t)batch->rows);
    for (int row = 0; row < batch->rows; row++) {
        int64_t reached = seen ? seen[row] : NO_TIME;
        keep[row] = to_end[row] > mark && to_end[row] > reached;
        if (!keep[row]) reject_late(w, batch, row, to_end[row], reached, mark);
    }
    return emit(&w->base, batch_select(out, keep, batch->arena), error);
}

/* A piece of the output of windows that overlap: rows by index, with a window for each. */
typedef struct Piece {
    int32_t *rows, *ordinals;
    int64_t *starts, *ends;
    int count;
} Piece;

static Status emit_piece(Window *w, const Batch *batch, Piece *piece, Error *error) {
    if (piece->count == 0) return OK;
    arena_reset(w->arena);
    const WindowSpec *s = w->spec;
    Batch *rows = batch_gather(batch, piece->rows, piece->count, w->arena);
    Column starts = column_new(s->type, piece->count, false, w->arena);
    Column ends = column_new(s->type, piece->count, false, w->arena);
    for (int i = 0; i < piece->count; i++) {
        column_ints(&starts)[i] = piece->starts[i];
        column_ints(&ends)[i] = piece->ends[i];
    }
    Batch *out = with_windows(s, rows, starts, ends, w->arena);
    int32_t *ordinals = arena_alloc(w->arena, sizeof *ordinals * (size_t)piece->count);
    int32_t a_row = (int32_t)(s->size_us / s->slide_us) + 1;
    for (int i = 0; i < piece->count; i++)
        ordinals[i] = piece->ordinals[i] + (rows->ordinals ? rows->ordinals[i] * a_row : 0);
    out->ordinals = ordinals;
    piece->count = 0;
    return emit(&w->base, out, error);
}

static Status add_window(Window *w, const Batch *batch, Piece *piece, int row, int32_t ordinal,
                         int64_t start, int64_t end, Error *error) {
    piece->rows[piece->count] = row;
    piece->ordinals[piece->count] = ordinal;
    piece->starts[piece->count] = start;
    piece->ends[piece->count++] = end;
    return piece->count == BATCH_ROWS ? emit_piece(w, batch, piece, error) : OK;
}

/* All windows of a row begin at one start and end a step after one another; the shortest first. */
static Status add_steps(Window *w, const Batch *batch, Piece *piece, int row, int64_t start,
                        int64_t t, int64_t closed, Error *error) {
    const WindowSpec *s = w->spec;
    int64_t passed = t;
    if (closed > passed) passed = closed; /* windows that end there or before are left out */
    int64_t end = start + ((passed - start) / s->slide_us + 1) * s->slide_us;
    int32_t ordinal = 0;
    for (; end <= start + s->size_us; end += s->slide_us)
        if (add_window(w, batch, piece, row, ordinal++, start, end, error) != OK) return FAIL;
    return OK;
}

/* Oldest window first; windows that are closed to the row are left out. */
static Status push_overlapping(Window *w, const Batch *batch, int64_t mark, Error *error) {
    const WindowSpec *s = w->spec;
    const int64_t *times = row_times(s->time_kind, s->time, batch),
                  *seen = row_seen(s->time_kind, batch);
    Piece piece = {
        .rows = arena_alloc(batch->arena, sizeof *piece.rows * BATCH_ROWS),
        .ordinals = arena_alloc(batch->arena, sizeof *piece.ordinals * BATCH_ROWS),
        .starts = arena_alloc(batch->arena, sizeof *piece.starts * BATCH_ROWS),
        .ends = arena_alloc(batch->arena, sizeof *piece.ends * BATCH_ROWS),
    };
    for (int row = 0; row < batch->rows; row++) {
        int64_t t = times[row], last = start_before(s, t), reached = seen ? seen[row] : NO_TIME;
        int64_t closed = reached > mark ? reached : mark;
        if (t >=
            last +
                s->size_us) { /* the slide is longer than the size: it falls between two windows */
            if (batch->source >= 0) w->base.counters.filtered++;
            continue;
        }
        if (last + s->size_us <= closed) {
            reject_late(w, batch, row, last + s->size_us, reached, mark);
            continue;
        }
        if (s->kind == WINDOW_CUMULATE) {
            if (add_steps(w, batch, &piece, row, last, t, closed, error) != OK) return FAIL;
            continue;
        }
        int64_t first = last - (s->size_us - 1 - (t - last)) / s->slide_us * s->slide_us;
        if (first + s->size_us <= closed)
            first += ((closed - first - s->size_us) / s->slide_us + 1) * s->slide_us;
        int32_t ordinal = 0;
        for (int64_t start = first; start <= last; start += s->slide_us)
            if (add_window(w, batch, &piece, row, ordinal++, start, start + s->size_us, error) !=
                OK)
                return FAIL;
    }
    return emit_piece(w, batch, &piece, error);
}

static Status window_push(Operator *op, int input, const Batch *batch, Error *error) {
    Window *w = (Window *)op;
    batch = with_times(op, w->spec->time_kind, w->spec->time, batch);
    if (batch->rows == 0) return OK;
    int64_t mark = time_reached(w->spec->time_kind, op->input_marks[input]);
    return w->spec->kind == WINDOW_TUMBLE ? push_tumble(w, batch, mark, error)
                                          : push_overlapping(w, batch, mark, error);
}

/* The start of the oldest window that ends after `reached`. */
static int64_t oldest_open(const WindowSpec *s, int64_t reached) {
    if (reached < NO_TIME + 3 * WIDEST_US || reached == END_OF_TIME)
        return reached == END_OF_TIME ? END_OF_TIME : NO_TIME;
    if (s->kind == WINDOW_CUMULATE) return start_before(s, reached);
    return start_before(s, reached - s->size_us) + s->slide_us;
}

static Status window_advance(Operator *op, int input, Watermark mark, Error *error) {
    (void)input, (void)error;
    const WindowSpec *s = ((Window *)op)->spec;
    int64_t reached = time_reached(s->time_kind, mark);
    op->output_mark = (Watermark){reached, oldest_open(s, reached)};
    return OK;
}

const OperatorType window_operator = {
    .name = "window",
    .size = sizeof(Window),
    .open = window_open,
    .push = window_push,
    .advance = window_advance,
    .close = window_close,
};
