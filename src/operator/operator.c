/* What all operators share: making and joining them, handing on batches, and turning rows with
 * errors into dead letters. Who reads what is decided in one place, emit: a query's own view sees
 * groups grow and go, all others see each final row once. */
#include "operator/operator.h"
#include <stdlib.h>

static void add(_Atomic int64_t *counter, int64_t count) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + count,
                          memory_order_relaxed);
}

Operator *operator_new(const OperatorType *type, const char *name, int query, OperatorHost *host,
                       int inputs) {
    Operator *op = xcalloc(1, type->size);
    op->type = type;
    op->name = name;
    op->query = query;
    op->host = host;
    op->inputs = inputs;
    op->output_mark = WATERMARK_NONE;
    op->input_marks = xcalloc((size_t)inputs, sizeof *op->input_marks);
    for (int i = 0; i < inputs; i++) op->input_marks[i] = WATERMARK_NONE;
    return op;
}

void operator_free(Operator **operator) {
    Operator *op = *operator;
    if (!op) return;
    if (op->type->close) op->type->close(op);
    state_free(&op->state);
    free(op->outs);
    free(op->input_marks);
    free(op);
    *operator= NULL;
}

void operator_connect(Operator *from, Operator *to, int input, bool own_query) {
    from->outs = xrealloc(from->outs, sizeof *from->outs * (size_t)(from->out_count + 1));
    from->outs[from->out_count++] = (Edge){to, input, own_query};
}

static SourceCounters counted(const OperatorCounters *c) {
    return (SourceCounters){.filtered = atomic_load_explicit(&c->filtered, memory_order_relaxed),
                            .deduplicated =
                                atomic_load_explicit(&c->deduplicated, memory_order_relaxed),
                            .late = atomic_load_explicit(&c->late, memory_order_relaxed),
                            .late_idle = atomic_load_explicit(&c->late_idle, memory_order_relaxed),
                            .dead = atomic_load_explicit(&c->dead, memory_order_relaxed)};
}

/* What became of a source's records in this push is told to that source. */
static Status push_counted(Operator *op, int input, const Batch *batch, Error *error) {
    if (!op->by_source || batch->source < 0) return op->type->push(op, input, batch, error);
    SourceCounters before = counted(&op->counters);
    Status status = op->type->push(op, input, batch, error);
    SourceCounters after = counted(&op->counters), *to = &op->by_source[batch->source];
    to->filtered += after.filtered - before.filtered;
    to->deduplicated += after.deduplicated - before.deduplicated;
    to->late += after.late - before.late;
    to->late_idle += after.late_idle - before.late_idle;
    to->dead += after.dead - before.dead;
    return status;
}

/* Counted and timed: the time of the operators below is theirs, not this one's. */
Status operator_push(Operator *op, int input, const Batch *batch, Error *error) {
    if (!batch->growth) add(&op->counters.rows_in, batch->rows);
    OperatorHost *host = op->host;
    if (!host || !host->env) return push_counted(op, input, batch, error);
    int64_t outer_us = host->inner_us, began_us = host->env->monotonic_us(host->env);
    host->inner_us = 0;
    Status status = push_counted(op, input, batch, error);
    int64_t took_us = host->env->monotonic_us(host->env) - began_us;
    add(&op->counters.busy_us, took_us - host->inner_us);
    host->inner_us = outer_us + took_us;
    return status;
}

/* Each row once, as other queries see final rows. */
static const Batch *for_others(const Batch *batch) {
    if (!batch->final || !batch->ops) return batch;
    uint8_t *keep = arena_alloc(batch->arena, (size_t)batch->rows);
    for (int row = 0; row < batch->rows; row++) keep[row] = batch->ops[row] != ROW_DELETE;
    Batch *out = batch_select(batch, keep, batch->arena);
    out->ops = NULL;
    return out;
}

Status emit(Operator *op, const Batch *batch, Error *error) {
    if (batch->rows == 0) return OK;
    if (!batch->growth) add(&op->counters.rows_out, batch->rows);
    const Batch *others = NULL;
    for (int i = 0; i < op->out_count; i++) {
        const Edge *edge = &op->outs[i];
        const Batch *given = batch;
        if (!edge->own_query) {
            if (batch->growth) continue;
            if (!others) others = for_others(batch);
            given = others;
            if (given->rows == 0) continue;
        }
        if (edge->enters && given->source >= 0 && !given->growth && edge->to->by_source)
            edge->to->by_source[given->source].in += given->rows;
        if (operator_push(edge->to, edge->input, given, error) != OK) return FAIL;
    }
    return OK;
}

static const char *reason_of(const RowErrors *errors, const Batch *source, int row) {
    for (int i = 0; errors && i < errors->count; i++)
        if (errors->items[i].row == row) return errors->items[i].text;
    return row_error_text(source->errors, row);
}

/* 1 for each row with an error; NULL: there is none. */
static uint8_t *failed_rows(const Column *columns, int count, int rows, Arena *arena) {
    uint8_t *failed = NULL;
    for (int c = 0; c < count; c++) {
        const uint8_t *states = columns[c].states;
        if (!states || !memchr(states, VALUE_ERROR, (size_t)rows)) continue;
        if (!failed) failed = arena_zero(arena, (size_t)rows);
        for (int row = 0; row < rows; row++) failed[row] |= states[row] == VALUE_ERROR;
    }
    return failed;
}

/* One record that stands in several windows is one dead letter. */
static bool told_before(const Batch *source, const uint8_t *failed, int row) {
    return source->ordinals && source->positions && source->ordinals[row] > 0 && row > 0 &&
           failed[row - 1] && source->positions[row - 1] == source->positions[row] &&
           (!source->elements || source->elements[row - 1] == source->elements[row]);
}

void reject_errors(Operator *op, const Batch *batch, const Column *columns, int count,
                   const RowErrors *errors, Arena *arena, uint8_t **keep, const uint8_t **ops) {
    size_t rows = (size_t)batch->rows;
    uint8_t *failed = failed_rows(columns, count, batch->rows, arena), *changed = NULL;
    if (!failed) return;
    if (!*keep) *keep = memset(arena_alloc(arena, rows), 1, rows);
    for (int row = 0; row < batch->rows; row++) {
        RowOp was = *ops ? (RowOp)(*ops)[row] : ROW_INSERT;
        if (!failed[row] || was == ROW_DELETE) continue;
        if (was == ROW_UPSERT) {
            if (!changed) changed = memcpy(arena_alloc(arena, rows), *ops, rows);
            changed[row] = ROW_DELETE;
        } else {
            (*keep)[row] = 0;
        }
        if (!batch->growth && !told_before(batch, failed, row))
            op->host->reject(op->host, op, REJECT_DEAD, batch, row, reason_of(errors, batch, row));
    }
    if (changed) *ops = changed;
}

const Batch *without_errors(Operator *op, const Batch *batch, const int *columns, int count) {
    Column *judged = NULL;
    int found = 0;
    for (int i = 0; i < count; i++) {
        const Column *column = &batch->columns[columns[i]];
        if (!column->states || !memchr(column->states, VALUE_ERROR, (size_t)batch->rows)) continue;
        if (!judged) judged = arena_new_array(batch->arena, Column, count);
        judged[found++] = *column;
    }
    if (found == 0) return batch;
    uint8_t *keep = NULL;
    const uint8_t *ops = batch->ops;
    reject_errors(op, batch, judged, found, batch->errors, batch->arena, &keep, &ops);
    return batch_select(batch, keep, batch->arena);
}

int64_t records_dropped(const Batch *batch, const uint8_t *keep) {
    if (batch->source < 0) return 0;
    int64_t count = 0;
    for (int row = 0; row < batch->rows; row++)
        count += !keep[row] && (!batch->ordinals || batch->ordinals[row] == 0);
    return count;
}

void count_state(Operator *op) {
    atomic_store_explicit(&op->counters.state_bytes, (int64_t)state_bytes(op->state),
                          memory_order_relaxed);
    atomic_store_explicit(&op->counters.state_entries, (int64_t)state_entries(op->state),
                          memory_order_relaxed);
}
