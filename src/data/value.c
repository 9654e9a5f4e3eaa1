/* Single values: in and out of columns, copied, compared, and text[] packed into bytes. */
#include "data/value.h"
#include "data/jsonb.h"
#include "data/numeric.h"
#include "data/time.h"
#include <math.h>

Value column_value(const Column *column, int row) {
    Value value = {.type = column->type, .null = !column_ok(column, row)};
    if (value.null) return value;
    switch (type_physical(column->type.kind)) {
    case PHYSICAL_BOOL: value.boolean = column->bools[row] != 0; break;
    case PHYSICAL_INT: value.integer = column->ints[row]; break;
    case PHYSICAL_FLOAT: value.real = column->floats[row]; break;
    case PHYSICAL_STR: value.str = column->strs[row]; break;
    case PHYSICAL_INTERVAL: value.interval = column->intervals[row]; break;
    }
    return value;
}

void column_set(Column *column, int row, Value value, Arena *arena) {
    if (value.null) {
        if (!column->states) column_add_states(column, arena);
        column_states(column)[row] = VALUE_NULL;
        value = (Value){.type = value.type, .null = true}; /* the place itself is never left wild */
    } else if (column->states) {
        column_states(column)[row] = VALUE_OK;
    }
    switch (type_physical(column->type.kind)) {
    case PHYSICAL_BOOL: column_bools(column)[row] = value.boolean; break;
    case PHYSICAL_INT: column_ints(column)[row] = value.integer; break;
    case PHYSICAL_FLOAT: column_floats(column)[row] = value.real; break;
    case PHYSICAL_STR: column_strs(column)[row] = value.str; break;
    case PHYSICAL_INTERVAL: column_intervals(column)[row] = value.interval; break;
    }
}

Value value_copy(Value value, Arena *arena) {
    if (!value.null && type_physical(value.type.kind) == PHYSICAL_STR)
        value.str = arena_str(arena, value.str);
    return value;
}

static int compare_doubles(double a, double b) {
    if (isnan(a) || isnan(b)) return (isnan(a) != 0) - (isnan(b) != 0);
    return (a > b) - (a < b);
}

/* As PostgreSQL compares arrays: item by item, NULL greatest, then by length. */
static int compare_text_arrays(Str a, Str b) {
    int a_count = text_array_count(a), b_count = text_array_count(b);
    for (int i = 0; i < a_count && i < b_count; i++) {
        Str x, y;
        bool has_x = text_array_get(a, i, &x), has_y = text_array_get(b, i, &y);
        int order = has_x && has_y ? str_compare(x, y) : has_y - has_x;
        if (order) return order;
    }
    return (a_count > b_count) - (a_count < b_count);
}

int value_compare(Value a, Value b) {
    switch (a.type.kind) {
    case TYPE_NUMERIC: return numeric_compare(a.str, b.str);
    case TYPE_JSONB: return jsonb_compare(a.str, b.str);
    case TYPE_TEXT_ARRAY: return compare_text_arrays(a.str, b.str);
    default: break;
    }
    switch (type_physical(a.type.kind)) {
    case PHYSICAL_BOOL: return a.boolean - b.boolean;
    case PHYSICAL_INT: return (a.integer > b.integer) - (a.integer < b.integer);
    case PHYSICAL_FLOAT: return compare_doubles(a.real, b.real);
    case PHYSICAL_STR: return str_compare(a.str, b.str);
    case PHYSICAL_INTERVAL: return interval_compare(a.interval, b.interval);
    }
    return 0;
}

/* text[]: varint count, then per item one byte (1: NULL) and, where it is not NULL, its sized
 * bytes. */
void text_array_begin(Buffer *out, int count) { buffer_add_varint(out, (uint64_t)count); }

void text_array_add(Buffer *out, bool null, Str item) {
    buffer_add_u8(out, null);
    if (!null) buffer_add_sized(out, item);
}

int text_array_count(Str array) {
    Reader reader = reader_of(array);
    uint64_t count = read_varint(&reader);
    return count <= array.size ? (int)count : 0; /* each item takes at least a byte */
}

bool text_array_get(Str array, int index, Str *item) {
    int count = text_array_count(array);
    if (index < 0 || index >= count) return false;
    Reader reader = reader_of(array);
    read_varint(&reader);
    for (int i = 0;; i++) {
        bool null = read_u8(&reader) != 0;
        Str text = {NULL, 0};
        if (!null) text = read_sized(&reader);
        if (reader.bad) return false;
        if (i < index) continue;
        *item = text;
        return !null;
    }
}
