/* Windows over a stream look at event times and at what each partition had seen; windows over the
 * results of inner windows look at a column, and nothing is late there: the inner window has
 * judged. */
#include "operator/times.h"
#include "data/time.h"

int64_t time_reached(TimeKind kind, Watermark mark) {
    if (kind == TIME_WINDOW_START) return mark.window_start;
    if (kind == TIME_ANY) return mark.time == END_OF_TIME ? END_OF_TIME : NO_TIME;
    return mark.time;
}

const int64_t *row_times(TimeKind kind, int column, const Batch *batch) {
    return kind == TIME_EVENT ? batch->event_times : batch->columns[column].ints;
}

const int64_t *row_seen(TimeKind kind, const Batch *batch) {
    return kind == TIME_EVENT ? batch->seen : NULL;
}

const Batch *with_times(Operator *op, TimeKind kind, int column, const Batch *batch) {
    if (kind == TIME_EVENT) return batch;
    const Column *time = &batch->columns[column];
    if (!time->states) return batch;
    uint8_t *states =
        memcpy(arena_alloc(batch->arena, (size_t)batch->rows), time->states, (size_t)batch->rows);
    RowErrors errors = {.arena = batch->arena};
    for (int row = 0; row < batch->rows; row++) {
        if (states[row] != VALUE_NULL) continue;
        states[row] = VALUE_ERROR;
        row_error(&errors, row, "the time that its window is made of is NULL");
    }
    Column failing = *time;
    failing.states = states;
    uint8_t *keep = NULL;
    const uint8_t *ops = batch->ops;
    reject_errors(op, batch, &failing, 1, &errors, batch->arena, &keep, &ops);
    return keep ? batch_select(batch, keep, batch->arena) : batch;
}

const char *late_reason(const char *what, int64_t time_us, int64_t reached_us, bool idle,
                        Arena *arena) {
    Buffer text = {0};
    buffer_add_format(&text, "late: %s ", what);
    timestamp_rfc3339(time_us, true, &text);
    buffer_add_text(
        &text, idle ? ", the query's time, which did not wait for this idle or new partition, was "
                    : ", its partition's watermark was ");
    if (reached_us == END_OF_TIME) buffer_add_text(&text, "the end of the input");
    else timestamp_rfc3339(reached_us, true, &text);
    const char *reason = arena_text(arena, buffer_str(&text));
    buffer_free(&text);
    return reason;
}
