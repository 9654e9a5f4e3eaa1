/* min and max. Of values that compare as equal but print differently (1.0 and 1.00, 1 month and 30
 * days) the last one stays, as in PostgreSQL. */
#include "data/numeric.h"
#include "data/time.h"
#include "expr/aggregate_internal.h"
#include <math.h>

#define TO(State, s, memory) State *s = (void *)(memory)
#define FROM(State, s, memory) const State *s = (const void *)(memory)

/* For each kind of value: a state, and add, merge, result, encode, decode for min and max. `less`
 * and `greater` compare x with s->value. */
#define ADD_AND_MERGE(prefix, State, value_type, field, name, better)                              \
    static inline void prefix##_take_##name(State *s, value_type x) {                              \
        if (s->has && !(better)) return;                                                           \
        s->value = x;                                                                              \
        s->has = true;                                                                             \
    }                                                                                              \
    ADD_LOOP(prefix##_add_##name, State, value_type, field, prefix##_take_##name(s, x))            \
    static void prefix##_merge_##name(char *into, const char *from, Type arg) {                    \
        (void)arg;                                                                                 \
        FROM(State, other, from);                                                                  \
        if (other->has) prefix##_take_##name((void *)into, other->value);                          \
    }
#define EXTREMES(prefix, State, value_type, field, value_field, not_greater, not_less)             \
    typedef struct State {                                                                         \
        value_type value;                                                                          \
        bool has;                                                                                  \
    } State;                                                                                       \
    ADD_AND_MERGE(prefix, State, value_type, field, min, not_greater)                              \
    ADD_AND_MERGE(prefix, State, value_type, field, max, not_less)                                 \
    static Status prefix##_result(const char *state, Type arg, Type result, Value *out,            \
                                  Arena *arena, Error *error) {                                    \
        (void)arg, (void)arena, (void)error;                                                       \
        FROM(State, s, state);                                                                     \
        *out = (Value){.type = result, .null = !s->has, .value_field = s->value};                  \
        return OK;                                                                                 \
    }

EXTREMES(int, IntExtreme, int64_t, ints, integer, x <= s->value, x >= s->value)
/* NaN is greater than all other numbers */
EXTREMES(float, FloatExtreme, double, floats, real, (x <= s->value || isnan(s->value)),
         (x >= s->value || isnan(x)))
EXTREMES(interval, IntervalExtreme, Interval, intervals, interval,
         interval_compare(x, s->value) <= 0, interval_compare(x, s->value) >= 0)

static void int_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(IntExtreme, s, state);
    buffer_add_u8(out, s->has);
    if (s->has) buffer_add_i64(out, s->value);
}

static void int_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(IntExtreme, s, state);
    s->has = read_u8(in) != 0;
    if (s->has) s->value = read_i64(in);
}

static void float_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(FloatExtreme, s, state);
    buffer_add_u8(out, s->has);
    if (s->has) buffer_add_f64(out, s->value);
}

static void float_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(FloatExtreme, s, state);
    s->has = read_u8(in) != 0;
    if (s->has) s->value = read_f64(in);
}

static void interval_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(IntervalExtreme, s, state);
    buffer_add_u8(out, s->has);
    if (!s->has) return;
    buffer_add_u32(out, (uint32_t)s->value.months);
    buffer_add_u32(out, (uint32_t)s->value.days);
    buffer_add_i64(out, s->value.us);
}

static void interval_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(IntervalExtreme, s, state);
    s->has = read_u8(in) != 0;
    if (!s->has) return;
    s->value.months = (int32_t)read_u32(in);
    s->value.days = (int32_t)read_u32(in);
    s->value.us = read_i64(in);
}

/* ---- text, uuid, bytea, numeric: bytes that the state owns ---- */

typedef struct BytesExtreme {
    Owned value;
    bool has;
} BytesExtreme;

#define BYTES(prefix, name, better)                                                                \
    static inline void prefix##_take_##name(BytesExtreme *s, Str x) {                              \
        if (s->has && !(better)) return;                                                           \
        owned_set(&s->value, x);                                                                   \
        s->has = true;                                                                             \
    }                                                                                              \
    ADD_LOOP(prefix##_add_##name, BytesExtreme, Str, strs, prefix##_take_##name(s, x))             \
    static void prefix##_merge_##name(char *into, const char *from, Type arg) {                    \
        (void)arg;                                                                                 \
        FROM(BytesExtreme, other, from);                                                           \
        if (other->has) prefix##_take_##name((void *)into, owned_str(&other->value));              \
    }
BYTES(text, min, str_compare(x, owned_str(&s->value)) < 0)
BYTES(text, max, str_compare(x, owned_str(&s->value)) > 0)
BYTES(numeric, min, numeric_compare(x, owned_str(&s->value)) <= 0)
BYTES(numeric, max, numeric_compare(x, owned_str(&s->value)) >= 0)

static Status bytes_result(const char *state, Type arg, Type result, Value *out, Arena *arena,
                           Error *error) {
    (void)arg, (void)error;
    FROM(BytesExtreme, s, state);
    if (!s->has) return null_result(result, out);
    *out = (Value){.type = result, .str = arena_str(arena, owned_str(&s->value))};
    return OK;
}

static void bytes_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(BytesExtreme, s, state);
    buffer_add_u8(out, s->has);
    if (s->has) buffer_add_sized(out, owned_str(&s->value));
}

static void bytes_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(BytesExtreme, s, state);
    s->has = read_u8(in) != 0;
    if (s->has) owned_set(&s->value, read_sized(in));
}

static void numeric_decode(char *state, Type arg, Reader *in) {
    bytes_decode(state, arg, in);
    TO(BytesExtreme, s, state);
    if (!s->has || numeric_valid(owned_str(&s->value))) return;
    in->bad = true;
    s->has = false; /* nobody may look into such bytes */
}

static void bytes_release(char *state) { owned_free(&((BytesExtreme *)(void *)state)->value); }
static size_t bytes_bytes(const char *state) {
    return ((const BytesExtreme *)(const void *)state)->value.capacity;
}

/* ---- the table ---- */

#define ROW(which, type, State, prefix, words)                                                     \
    {                                                                                              \
        .name = #which, .result = type, .arg = type, .arg_count = 1, .size = STATE_SIZE(State),    \
        .add = prefix##_add_##which, .merge = prefix##_merge_##which,                              \
        .result_of = prefix##_result, .encode = prefix##_encode, .decode = prefix##_decode,        \
        .help = words                                                                              \
    }
#define BYTES_ROW(which, type, result_type, prefix, decoder)                                       \
    {                                                                                              \
        .name = #which, .result = result_type, .arg = type, .arg_count = 1,                        \
        .size = STATE_SIZE(BytesExtreme), .add = prefix##_add_##which,                             \
        .merge = prefix##_merge_##which, .result_of = bytes_result, .encode = bytes_encode,        \
        .decode = decoder, .release = bytes_release, .bytes = bytes_bytes                          \
    }
#define ROWS(which, words)                                                                         \
    ROW(which, TYPE_INT2, IntExtreme, int, words), ROW(which, TYPE_INT4, IntExtreme, int, NULL),   \
        ROW(which, TYPE_INT8, IntExtreme, int, NULL),                                              \
        ROW(which, TYPE_DATE, IntExtreme, int, NULL),                                              \
        ROW(which, TYPE_TIMESTAMP, IntExtreme, int, NULL),                                         \
        ROW(which, TYPE_TIMESTAMPTZ, IntExtreme, int, NULL),                                       \
        ROW(which, TYPE_FLOAT4, FloatExtreme, float, NULL),                                        \
        ROW(which, TYPE_FLOAT8, FloatExtreme, float, NULL),                                        \
        ROW(which, TYPE_INTERVAL, IntervalExtreme, interval, NULL),                                \
        BYTES_ROW(which, TYPE_NUMERIC, TYPE_NUMERIC, numeric, numeric_decode),                     \
        BYTES_ROW(which, TYPE_TEXT, TYPE_TEXT, text, bytes_decode),                                \
        BYTES_ROW(which, TYPE_VARCHAR, TYPE_TEXT, text, bytes_decode),                             \
        BYTES_ROW(which, TYPE_UUID, TYPE_UUID, text, bytes_decode),                                \
        BYTES_ROW(which, TYPE_BYTEA, TYPE_BYTEA, text, bytes_decode)

const Aggregate extreme_aggregates[] = {
    ROWS(min, "the least value; PostgreSQL 15 has none for uuid and bytea"),
    ROWS(max, "the greatest value; PostgreSQL 15 has none for uuid and bytea"),
    {0},
};
