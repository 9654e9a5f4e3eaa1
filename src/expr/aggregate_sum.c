/* sum and avg. Integers are summed in as many bits as can never overflow, numerics exactly, doubles
 * as they come; a double sum that leaves the range of finite numbers is an error of the result, as
 * it is in PostgreSQL. */
#include "data/numeric.h"
#include "data/time.h"
#include "expr/aggregate_internal.h"
#include <math.h>

#define TO(State, s, memory) State *s = (void *)(memory)
#define FROM(State, s, memory) const State *s = (const void *)(memory)

void buffer_add_int128(Buffer *out, int128 value) {
    buffer_add_i64(out, (int64_t)value);
    buffer_add_i64(out, (int64_t)(value >> 64));
}

int128 read_int128(Reader *in) {
    uint64_t low = (uint64_t)read_i64(in);
    int64_t high = read_i64(in);
    return (int128)(((unsigned __int128)(uint64_t)high << 64) | low);
}

/* ---- smallint, integer: 64 bits hold the sum of 2^32 rows ---- */

typedef struct IntSum {
    int64_t sum, count;
} IntSum;

ADD_LOOP(int_add, IntSum, int64_t, ints,
         (s->sum = (int64_t)((uint64_t)s->sum + (uint64_t)x), s->count++))

static void int_merge(char *into, const char *from, Type arg) {
    (void)arg;
    TO(IntSum, to, into);
    FROM(IntSum, other, from);
    to->sum = (int64_t)((uint64_t)to->sum + (uint64_t)other->sum);
    to->count += other->count;
}

static Status int_sum(const char *state, Type arg, Type result, Value *out, Arena *arena,
                      Error *error) {
    (void)arg, (void)arena, (void)error;
    FROM(IntSum, s, state);
    if (s->count == 0) return null_result(result, out);
    *out = (Value){.type = result, .integer = s->sum};
    return OK;
}

static Status int_average(const char *state, Type arg, Type result, Value *out, Arena *arena,
                          Error *error) {
    (void)arg;
    FROM(IntSum, s, state);
    if (s->count == 0) return null_result(result, out);
    *out = (Value){.type = result};
    return numeric_divide(numeric_from_int64(s->sum, arena), numeric_from_int64(s->count, arena),
                          &out->str, arena, error);
}

static void int_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(IntSum, s, state);
    buffer_add_i64(out, s->sum);
    buffer_add_varint(out, (uint64_t)s->count);
}

static void int_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(IntSum, s, state);
    s->sum = read_i64(in);
    s->count = (int64_t)read_varint(in);
}

/* ---- bigint: 128 bits ---- */

typedef struct BigSum {
    int128 sum;
    int64_t count;
} BigSum;

ADD_LOOP(big_add, BigSum, int64_t, ints, (s->sum += x, s->count++))

static void big_merge(char *into, const char *from, Type arg) {
    (void)arg;
    TO(BigSum, to, into);
    FROM(BigSum, other, from);
    to->sum += other->sum;
    to->count += other->count;
}

static Status big_sum(const char *state, Type arg, Type result, Value *out, Arena *arena,
                      Error *error) {
    (void)arg, (void)error;
    FROM(BigSum, s, state);
    if (s->count == 0) return null_result(result, out);
    *out = (Value){.type = result, .str = numeric_from_int128(s->sum, 0, arena)};
    return OK;
}

static Status big_average(const char *state, Type arg, Type result, Value *out, Arena *arena,
                          Error *error) {
    (void)arg;
    FROM(BigSum, s, state);
    if (s->count == 0) return null_result(result, out);
    *out = (Value){.type = result};
    return numeric_divide(numeric_from_int128(s->sum, 0, arena),
                          numeric_from_int64(s->count, arena), &out->str, arena, error);
}

static void big_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(BigSum, s, state);
    buffer_add_int128(out, s->sum);
    buffer_add_varint(out, (uint64_t)s->count);
}

static void big_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(BigSum, s, state);
    s->sum = read_int128(in);
    s->count = (int64_t)read_varint(in);
}

/* ---- numeric ---- */

ADD_LOOP(numeric_add_values, NumericSum, Str, strs, numeric_sum_add(s, x))

static void numeric_merge(char *into, const char *from, Type arg) {
    (void)arg;
    numeric_sum_merge((void *)into, (const void *)from);
}

static Status numeric_sum_result(const char *state, Type arg, Type result, Value *out, Arena *arena,
                                 Error *error) {
    (void)arg, (void)error;
    FROM(NumericSum, s, state);
    if (s->count == 0) return null_result(result, out);
    *out = (Value){.type = result, .str = numeric_sum_total(s, arena)};
    return OK;
}

static Status numeric_average(const char *state, Type arg, Type result, Value *out, Arena *arena,
                              Error *error) {
    (void)arg;
    FROM(NumericSum, s, state);
    if (s->count == 0) return null_result(result, out);
    *out = (Value){.type = result};
    return numeric_sum_average(s, &out->str, arena, error);
}

static void numeric_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    numeric_sum_encode((const void *)state, out);
}

static void numeric_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    numeric_sum_decode((void *)state, in);
}

static void numeric_release(char *state) { numeric_sum_free((void *)state); }

static size_t numeric_bytes(const char *state) {
    FROM(NumericSum, s, state);
    return s->large ? 64 : 0; /* a few words of GMP's: sums this large have little more */
}

/* ---- real, double precision ---- */

typedef struct FloatSum {
    double sum;
    int64_t count;
    bool overflow; /* finite values, infinite sum */
} FloatSum;

/* `sum` is s->sum with x added. */
static inline void put_float(FloatSum *s, double sum, double x) {
    if (__builtin_expect(isinf(sum), 0) && !isinf(x) && !isinf(s->sum)) s->overflow = true;
    s->sum = sum;
    s->count++;
}

/* A sum starts with the first value, so that the sum of -0 is -0; an average starts with 0: both as
 * in PostgreSQL. */
ADD_LOOP(float8_add, FloatSum, double, floats, put_float(s, s->count ? s->sum + x : x, x))
ADD_LOOP(float4_add, FloatSum, double, floats,
         put_float(s, s->count ? (double)(float)(s->sum + x) : x, x))
ADD_LOOP(average_add, FloatSum, double, floats, put_float(s, s->sum + x, x))

static void float8_merge(char *into, const char *from, Type arg) {
    (void)arg;
    TO(FloatSum, to, into);
    FROM(FloatSum, other, from);
    if (other->count == 0) return;
    int64_t count = to->count + other->count;
    put_float(to, to->count ? to->sum + other->sum : other->sum, other->sum);
    to->count = count;
    to->overflow |= other->overflow;
}

static void float4_merge(char *into, const char *from, Type arg) {
    float8_merge(into, from, arg);
    TO(FloatSum, to, into);
    to->sum = (double)(float)to->sum;
}

static Status float_sum(const char *state, Type arg, Type result, Value *out, Arena *arena,
                        Error *error) {
    (void)arg, (void)arena;
    FROM(FloatSum, s, state);
    if (s->count == 0) return null_result(result, out);
    if (s->overflow) return reject(error, "value out of range: overflow");
    *out = (Value){.type = result, .real = s->sum};
    return OK;
}

static Status float_average(const char *state, Type arg, Type result, Value *out, Arena *arena,
                            Error *error) {
    Status status = float_sum(state, arg, result, out, arena, error);
    if (status == OK && !out->null)
        out->real /= (double)((const FloatSum *)(const void *)state)->count;
    return status;
}

static void float_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(FloatSum, s, state);
    buffer_add_f64(out, s->sum);
    buffer_add_varint(out, (uint64_t)s->count << 1 | s->overflow);
}

static void float_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(FloatSum, s, state);
    s->sum = read_f64(in);
    uint64_t packed = read_varint(in);
    s->count = (int64_t)(packed >> 1);
    s->overflow = packed & 1;
}

/* ---- interval: each part by itself, in more bits than it has ---- */

typedef struct IntervalSum {
    int64_t months, days, count;
    int128 us;
} IntervalSum;

ADD_LOOP(interval_add, IntervalSum, Interval, intervals,
         (s->months += x.months, s->days += x.days, s->us += x.us, s->count++))

static void interval_merge(char *into, const char *from, Type arg) {
    (void)arg;
    TO(IntervalSum, to, into);
    FROM(IntervalSum, other, from);
    to->months += other->months;
    to->days += other->days;
    to->us += other->us;
    to->count += other->count;
}

static Status interval_sum(const char *state, Type arg, Type result, Value *out, Arena *arena,
                           Error *error) {
    (void)arg, (void)arena;
    FROM(IntervalSum, s, state);
    if (s->count == 0) return null_result(result, out);
    if (s->months != (int32_t)s->months || s->days != (int32_t)s->days || s->us != (int64_t)s->us)
        return reject(error, "interval out of range");
    *out =
        (Value){.type = result, .interval = {(int32_t)s->months, (int32_t)s->days, (int64_t)s->us}};
    return OK;
}

static double round_us(double seconds) { return rint(seconds * 1e6) / 1e6; }

/* PostgreSQL's division of an interval: what is left of months goes into days of which a month has
 * 30, what is left of days into seconds, each rounded to the microsecond on the way. */
static Interval interval_divide(Interval sum, double by) {
    Interval out = {(int32_t)(sum.months / by), (int32_t)(sum.days / by), 0};
    double days_left = round_us((sum.months / by - out.months) * 30);
    double seconds_left = round_us((sum.days / by - out.days + days_left - (int)days_left) * 86400);
    if (fabs(seconds_left) >= 86400) {
        int32_t days = (int32_t)(seconds_left / 86400);
        out.days += days;
        seconds_left -= days * 86400.0;
    }
    out.days += (int32_t)days_left;
    out.us = (int64_t)rint((double)sum.us / by + seconds_left * 1e6);
    return out;
}

static Status interval_average(const char *state, Type arg, Type result, Value *out, Arena *arena,
                               Error *error) {
    Status status = interval_sum(state, arg, result, out, arena, error);
    if (status != OK || out->null) return status;
    out->interval =
        interval_divide(out->interval, (double)((const IntervalSum *)(const void *)state)->count);
    return OK;
}

static void interval_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(IntervalSum, s, state);
    buffer_add_i64(out, s->months);
    buffer_add_i64(out, s->days);
    buffer_add_int128(out, s->us);
    buffer_add_varint(out, (uint64_t)s->count);
}

static void interval_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(IntervalSum, s, state);
    s->months = read_i64(in);
    s->days = read_i64(in);
    s->us = read_int128(in);
    s->count = (int64_t)read_varint(in);
}

/* ---- the table ---- */

#define ROW(aggregate, type, result_type, State, prefix, adder, merger, result_function, text)     \
    {                                                                                              \
        .name = aggregate, .result = result_type, .arg = type, .arg_count = 1,                     \
        .size = STATE_SIZE(State), .add = adder, .merge = merger, .result_of = result_function,    \
        .encode = prefix##_encode, .decode = prefix##_decode, .help = text                         \
    }
#define NUMERIC_ROW(aggregate, result_function)                                                    \
    {                                                                                              \
        .name = aggregate, .result = TYPE_NUMERIC, .arg = TYPE_NUMERIC, .arg_count = 1,            \
        .size = STATE_SIZE(NumericSum), .add = numeric_add_values, .merge = numeric_merge,         \
        .result_of = result_function, .encode = numeric_encode, .decode = numeric_decode,          \
        .release = numeric_release, .bytes = numeric_bytes                                         \
    }

const Aggregate sum_aggregates[] = {
    ROW("sum", TYPE_INT2, TYPE_INT8, IntSum, int, int_add, int_merge, int_sum,
        "sum; of integers bigint, of bigint numeric, else of the argument's type"),
    ROW("sum", TYPE_INT4, TYPE_INT8, IntSum, int, int_add, int_merge, int_sum, NULL),
    ROW("sum", TYPE_INT8, TYPE_NUMERIC, BigSum, big, big_add, big_merge, big_sum, NULL),
    ROW("sum", TYPE_FLOAT4, TYPE_FLOAT4, FloatSum, float, float4_add, float4_merge, float_sum,
        NULL),
    ROW("sum", TYPE_FLOAT8, TYPE_FLOAT8, FloatSum, float, float8_add, float8_merge, float_sum,
        NULL),
    NUMERIC_ROW("sum", numeric_sum_result),
    ROW("sum", TYPE_INTERVAL, TYPE_INTERVAL, IntervalSum, interval, interval_add, interval_merge,
        interval_sum, NULL),
    ROW("avg", TYPE_INT2, TYPE_NUMERIC, IntSum, int, int_add, int_merge, int_average,
        "average; of integers numeric, of real double precision, else of the argument's type"),
    ROW("avg", TYPE_INT4, TYPE_NUMERIC, IntSum, int, int_add, int_merge, int_average, NULL),
    ROW("avg", TYPE_INT8, TYPE_NUMERIC, BigSum, big, big_add, big_merge, big_average, NULL),
    ROW("avg", TYPE_FLOAT4, TYPE_FLOAT8, FloatSum, float, average_add, float8_merge, float_average,
        NULL),
    ROW("avg", TYPE_FLOAT8, TYPE_FLOAT8, FloatSum, float, average_add, float8_merge, float_average,
        NULL),
    NUMERIC_ROW("avg", numeric_average),
    ROW("avg", TYPE_INTERVAL, TYPE_INTERVAL, IntervalSum, interval, interval_add, interval_merge,
        interval_average, NULL),
    {0},
};
