/* Materialized views: their rows go into the epoch's batch for the home, known by their group's
 * key, or by where they came from; what is older than the view's retention goes with it. */
#include "engine/internal.h"

static Status view_open(Operator *op, const void *spec, Error *error) {
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
    uint64_t element = batch->elements ? (uint64_t)batch->elements[row] : 0;
    uint64_t ordinal = batch->ordinals ? (uint64_t)batch->ordinals[row] : 0;
    buffer_add_varint(&view->key, element << 32 | ordinal);
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
                                    .open = view_open,
                                    .push = view_push,
                                    .advance = view_advance,
                                    .close = view_close};
