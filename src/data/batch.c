/* Choosing and gathering rows of batches. All goes column by column, so each loop moves values of
 * one size; hidden columns travel exactly as visible ones do. A batch of which every row stays is
 * not copied at all. */
#include "data/batch.h"
#include <assert.h>
#include <stdio.h>

void row_error(RowErrors *errors, int row, const char *format, ...) {
    if (!errors) return;
    va_list args;
    va_start(args, format);
    char text[512];
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (errors->count == errors->capacity) {
        int capacity = errors->capacity ? errors->capacity * 2 : 8;
        RowError *items = arena_new_array(errors->arena, RowError, capacity);
        if (errors->count) memcpy(items, errors->items, sizeof *items * (size_t)errors->count);
        errors->items = items;
        errors->capacity = capacity;
    }
    errors->items[errors->count++] = (RowError){row, arena_text(errors->arena, str_from(text))};
}

const char *row_error_text(const RowErrors *errors, int row) {
    for (int i = 0; errors && i < errors->count; i++)
        if (errors->items[i].row == row) return errors->items[i].text;
    return "unknown error";
}

Batch *batch_like(const Batch *like, int columns, Arena *arena) {
    Batch *batch = arena_alloc(arena, sizeof *batch);
    *batch = *like;
    batch->arena = arena;
    batch->column_count = columns;
    batch->columns = arena_new_array(arena, Column, columns);
    return batch;
}

/* Column storage starts with its number of rows, so that column_set can add states when the first
 * NULL comes. */
typedef struct ColumnHead {
    int64_t rows, unused; /* 16 bytes: values stay aligned */
} ColumnHead;

Column column_new(Type type, int rows, bool with_states, Arena *arena) {
    size_t size = physical_size(type_physical(type.kind)) * (size_t)rows;
    ColumnHead *head = arena_alloc(arena, sizeof *head + size);
    *head = (ColumnHead){.rows = rows};
    Column column = {.type = type, .values = head + 1};
    if (with_states) column.states = arena_zero(arena, (size_t)rows);
    return column;
}

uint8_t *column_add_states(Column *column, Arena *arena) {
    const ColumnHead *head = (const ColumnHead *)column->values - 1;
    column->states = arena_zero(arena, (size_t)head->rows);
    return column_states(column);
}

/* The one loop of this file, for each size of value; restrict lets the compiler see that nothing
 * overlaps. */
#define GATHER(type)                                                                               \
    do {                                                                                           \
        const type *restrict source = from;                                                        \
        type *restrict target = to;                                                                \
        for (int i = 0; i < rows; i++) target[i] = source[indexes[i]];                             \
    } while (0)

static void *gather(const void *from, size_t size, const int32_t *indexes, int rows, Arena *arena) {
    if (!from) return NULL;
    void *to = arena_alloc(arena, size * (size_t)rows);
    switch (size) {
    case 1: GATHER(uint8_t); break;
    case 4: GATHER(int32_t); break;
    case 8: GATHER(int64_t); break;
    default: GATHER(Str); break;
    }
    return to;
}

static_assert(sizeof(Str) == sizeof(Interval), "gather moves both by the same loop");

Column column_gather(const Column *column, const int32_t *indexes, int rows, Arena *arena) {
    size_t size = physical_size(type_physical(column->type.kind));
    bool missing = false;
    for (int i = 0; i < rows; i++) missing |= indexes[i] < 0;
    if (!missing) {
        Column out = *column;
        out.values = gather(column->values, size, indexes, rows, arena);
        out.states = gather(column->states, 1, indexes, rows, arena);
        return out;
    }
    Column out = column_new(column->type, rows, true, arena);
    uint8_t *states = column_states(&out);
    char *to = (char *)(uintptr_t)out.values;
    for (int i = 0; i < rows; i++, to += size) {
        if (indexes[i] < 0) {
            memset(to, 0, size);
            states[i] = VALUE_NULL;
        } else {
            memcpy(to, (const char *)column->values + size * (size_t)indexes[i], size);
            states[i] = (uint8_t)column_state(column, indexes[i]);
        }
    }
    return out;
}

/* Reasons move with their rows. There are few or none, so this may look them up one by one. */
static RowErrors *errors_gather(const RowErrors *errors, int from_rows, const int32_t *indexes,
                                int rows, Arena *arena) {
    if (!errors || errors->count == 0) return NULL;
    RowErrors *out = arena_zero(arena, sizeof *out);
    out->arena = arena;
    const char **texts = arena_new_array(arena, const char *, from_rows);
    for (int i = errors->count - 1; i >= 0; i--)
        if (errors->items[i].row >= 0 && errors->items[i].row < from_rows)
            texts[errors->items[i].row] = errors->items[i].text;
    for (int i = 0; i < rows; i++)
        if (texts[indexes[i]]) row_error(out, i, "%s", texts[indexes[i]]);
    return out;
}

Batch *batch_gather(const Batch *batch, const int32_t *indexes, int rows, Arena *arena) {
    Batch *out = batch_like(batch, batch->column_count, arena);
    out->rows = rows;
    for (int i = 0; i < batch->column_count; i++)
        out->columns[i] = column_gather(&batch->columns[i], indexes, rows, arena);
    out->errors = errors_gather(batch->errors, batch->rows, indexes, rows, arena);
    out->positions = gather(batch->positions, sizeof *batch->positions, indexes, rows, arena);
    out->elements = gather(batch->elements, sizeof *batch->elements, indexes, rows, arena);
    out->ordinals = gather(batch->ordinals, sizeof *batch->ordinals, indexes, rows, arena);
    out->records = gather(batch->records, sizeof *batch->records, indexes, rows, arena);
    out->event_times = gather(batch->event_times, sizeof *batch->event_times, indexes, rows, arena);
    out->seen = gather(batch->seen, sizeof *batch->seen, indexes, rows, arena);
    out->keys = gather(batch->keys, sizeof *batch->keys, indexes, rows, arena);
    out->ops = gather(batch->ops, sizeof *batch->ops, indexes, rows, arena);
    return out;
}

static Batch *shallow(const Batch *batch, Arena *arena) {
    Batch *out = batch_like(batch, batch->column_count, arena);
    if (batch->column_count)
        memcpy(out->columns, batch->columns, sizeof *out->columns * (size_t)batch->column_count);
    return out;
}

Batch *batch_select(const Batch *batch, const uint8_t *keep, Arena *arena) {
    int32_t *indexes = arena_alloc(arena, sizeof *indexes * ((size_t)batch->rows + 1));
    int rows = 0;
    for (int i = 0; i < batch->rows; i++) { /* without a branch: filters are hard to predict */
        indexes[rows] = i;
        rows += keep[i] != 0;
    }
    if (rows == batch->rows) return shallow(batch, arena);
    return batch_gather(batch, indexes, rows, arena);
}

static const void *behind(const void *from, size_t size, int first) {
    return from ? (const char *)from + size * (size_t)first : NULL;
}

Batch *batch_slice(const Batch *batch, int first, int rows, Arena *arena) {
    Batch *out = shallow(batch, arena);
    out->rows = rows;
    for (int i = 0; i < batch->column_count; i++) {
        Column *column = &out->columns[i];
        column->values =
            behind(column->values, physical_size(type_physical(column->type.kind)), first);
        column->states = behind(column->states, 1, first);
    }
    out->positions = behind(batch->positions, sizeof *batch->positions, first);
    out->elements = behind(batch->elements, sizeof *batch->elements, first);
    out->ordinals = behind(batch->ordinals, sizeof *batch->ordinals, first);
    out->records = behind(batch->records, sizeof *batch->records, first);
    out->event_times = behind(batch->event_times, sizeof *batch->event_times, first);
    out->seen = behind(batch->seen, sizeof *batch->seen, first);
    out->keys = behind(batch->keys, sizeof *batch->keys, first);
    out->ops = behind(batch->ops, sizeof *batch->ops, first);
    out->errors = NULL;
    if (batch->errors && batch->errors->count) {
        out->errors = arena_zero(arena, sizeof *out->errors);
        out->errors->arena = arena;
        for (int i = 0; i < batch->errors->count; i++) {
            int row = batch->errors->items[i].row - first;
            if (row >= 0 && row < rows)
                row_error(out->errors, row, "%s", batch->errors->items[i].text);
        }
    }
    return out;
}
