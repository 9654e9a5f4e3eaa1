/* Results have no source, partition or position; they are known by their keys. What now() says in a
 * later step is the intake of the rows that came last, or the start's clock where none has come
 * since. */
#include "operator/results.h"
#include "base/env.h"

Batch *results_new(Operator *op, const Schema *schema, int rows, int64_t taken_us, Arena *arena) {
    Batch *out = arena_zero(arena, sizeof *out);
    out->arena = arena;
    out->rows = rows;
    out->column_count = schema->count;
    out->columns = arena_new_array(arena, Column, schema->count);
    for (int c = 0; c < schema->count; c++)
        out->columns[c] = column_new(schema->fields[c].type, rows, true, arena);
    out->source = out->partition = -1;
    if (taken_us == 0 && op->host->env) taken_us = op->host->env->now_us(op->host->env);
    out->taken_us = taken_us;
    return out;
}

Str *results_keys(const Batch *out, int count) {
    Str *keys = arena_new_array(out->arena, Str, out->rows);
    Buffer key = {0};
    for (int row = 0; row < out->rows; row++) {
        key.size = 0;
        for (int c = 0; c < count; c++) key_encode(&out->columns[c], row, &key);
        keys[row] = arena_str(out->arena, buffer_str(&key));
    }
    buffer_free(&key);
    return keys;
}

void results_set(Batch *out, int column, int row, const AggregateCall *call, const char *block,
                 RowErrors *errors) {
    Value value;
    Error error = {0};
    Column *to = &out->columns[column];
    if (aggregates_result(call, block, &value, out->arena, &error) == OK) {
        column_set(to, row, value, out->arena);
        return;
    }
    column_set(to, row, (Value){.type = to->type, .null = true}, out->arena);
    column_states(to)[row] = VALUE_ERROR;
    row_error(errors, row, "%s", error.text);
}

Status results_emit(Operator *op, Batch *out, const RowErrors *errors, Error *error) {
    uint8_t *keep = NULL;
    reject_errors(op, out, out->columns, out->column_count, errors, out->arena, &keep, &out->ops);
    return emit(op, keep ? batch_select(out, keep, out->arena) : out, error);
}
