/* Keys of groups and joins, and values in records. A key is compared and hashed as bytes, so what
 * SQL calls equal must be the same bytes: each type is brought to one form first. A value keeps
 * exactly what it is.
 *
 *   key, value:  0 NULL | 1 payload
 *   payload:     bool 1 byte | integers, dates, timestamps, doubles 8 bytes |
 *                strings varint size, bytes |
 *                interval: key 8 + 8 bytes of days and microseconds, value 4 + 4 + 8
 */
#include "data/jsonb.h"
#include "data/numeric.h"
#include "data/time.h"
#include "data/value.h"
#include <math.h>

static void add_present_i64(Buffer *out, int64_t value) {
    char *to = buffer_reserve(out, 9);
    to[0] = 1;
    uint64_t bytes = (uint64_t)value;
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) bytes = __builtin_bswap64(bytes);
    memcpy(to + 1, &bytes, 8);
    out->size += 9;
}

static void add_present_str(Buffer *out, Str s) {
    char *to = buffer_reserve(out, s.size + 11), *start = to;
    *to++ = 1;
    uint64_t size = s.size;
    for (; size >= 0x80; size >>= 7) *to++ = (char)(size | 0x80);
    *to++ = (char)size;
    if (s.size) memcpy(to, s.data, s.size);
    out->size += (size_t)(to - start) + s.size;
}

/* A numeric without trailing zeros, through a small arena of this thread. */
static void add_numeric_key(Buffer *out, Str numeric) {
    char room[NUMERIC_SMALL_BYTES];
    Str small;
    if (numeric_normalize_small(numeric, room, &small)) {
        add_present_str(out, small);
        return;
    }
    Arena *arena = arena_new();
    add_present_str(out, numeric_normalize(numeric, arena));
    arena_free(&arena);
}

static void add_interval_key(Buffer *out, Interval interval) {
    __int128 us = ((__int128)interval.months * 30 + interval.days) * US_PER_DAY + interval.us;
    add_present_i64(out, (int64_t)(us / US_PER_DAY));
    buffer_add_i64(out, (int64_t)(us % US_PER_DAY));
}

static void add_jsonb_key(Buffer *out, Str json) {
    Buffer normal = {0};
    jsonb_key(json, &normal);
    add_present_str(out, buffer_str(&normal));
    buffer_free(&normal);
}

static int64_t double_key(double value) {
    if (isnan(value)) value = (double)NAN;
    if (value == 0) value = 0; /* -0 is 0 */
    int64_t bits;
    memcpy(&bits, &value, 8);
    return bits;
}

void key_encode(const Column *column, int row, Buffer *out) {
    if (!column_ok(column, row)) {
        buffer_add_u8(out, 0);
        return;
    }
    switch (type_physical(column->type.kind)) {
    case PHYSICAL_BOOL:
        buffer_add_u8(out, 1);
        buffer_add_u8(out, column->bools[row] != 0);
        break;
    case PHYSICAL_INT: add_present_i64(out, column->ints[row]); break;
    case PHYSICAL_FLOAT: add_present_i64(out, double_key(column->floats[row])); break;
    case PHYSICAL_INTERVAL: add_interval_key(out, column->intervals[row]); break;
    case PHYSICAL_STR:
        if (column->type.kind == TYPE_NUMERIC) add_numeric_key(out, column->strs[row]);
        else if (column->type.kind == TYPE_JSONB) add_jsonb_key(out, column->strs[row]);
        else add_present_str(out, column->strs[row]);
        break;
    }
}

Value key_decode(Type type, Reader *reader, Arena *arena) {
    if (type.kind == TYPE_INTERVAL) {
        Value value = {.type = type, .null = read_u8(reader) != 1};
        if (!value.null) {
            int64_t days = read_i64(reader);
            value.interval.us = read_i64(reader);
            value.interval.months = days == (int32_t)days ? 0 : (int32_t)(days / 30);
            value.interval.days = (int32_t)(days - (int64_t)value.interval.months * 30);
        }
        return value;
    }
    Value value = value_decode(type, reader, arena);
    if (type.kind == TYPE_NUMERIC && !value.null && type.modifier >= 0) {
        Str scaled;
        if (numeric_apply_modifier(value.str, type.modifier, &scaled, arena, NULL) == OK)
            value.str = scaled;
    }
    return value;
}

void value_encode(Value value, Buffer *out) {
    if (value.null) {
        buffer_add_u8(out, 0);
        return;
    }
    switch (type_physical(value.type.kind)) {
    case PHYSICAL_BOOL:
        buffer_add_u8(out, 1);
        buffer_add_u8(out, value.boolean);
        break;
    case PHYSICAL_INT: add_present_i64(out, value.integer); break;
    case PHYSICAL_FLOAT:
        buffer_add_u8(out, 1);
        buffer_add_f64(out, value.real);
        break;
    case PHYSICAL_STR: add_present_str(out, value.str); break;
    case PHYSICAL_INTERVAL:
        buffer_add_u8(out, 1);
        buffer_add_u32(out, (uint32_t)value.interval.months);
        buffer_add_u32(out, (uint32_t)value.interval.days);
        buffer_add_i64(out, value.interval.us);
        break;
    }
}

Value value_decode(Type type, Reader *reader, Arena *arena) {
    (void)arena; /* strings are views; a form that needs room may come */
    Value value = {.type = type, .null = read_u8(reader) != 1};
    if (value.null) return value;
    switch (type_physical(type.kind)) {
    case PHYSICAL_BOOL: value.boolean = read_u8(reader) != 0; break;
    case PHYSICAL_INT: value.integer = read_i64(reader); break;
    case PHYSICAL_FLOAT: value.real = read_f64(reader); break;
    case PHYSICAL_STR: value.str = read_sized(reader); break;
    case PHYSICAL_INTERVAL:
        value.interval.months = (int32_t)read_u32(reader);
        value.interval.days = (int32_t)read_u32(reader);
        value.interval.us = read_i64(reader);
        break;
    }
    if (reader->bad) value = (Value){.type = type, .null = true};
    /* Bytes of a numeric or uuid go on into code that trusts their form. */
    if (!value.null && ((type.kind == TYPE_NUMERIC && !numeric_valid(value.str)) ||
                        (type.kind == TYPE_UUID && value.str.size != 16))) {
        reader->bad = true;
        value = (Value){.type = type, .null = true};
    }
    return value;
}
