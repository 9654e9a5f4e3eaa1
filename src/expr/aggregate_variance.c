/* stddev and variance. Integers and numerics keep the exact sums of values and squares and divide
 * once at the end, digit for digit as PostgreSQL; floats keep count, sum and the sum of squared
 * differences after Youngs and Cramer ("Some Results Relevant to Choice of Sum and Sum-of-Product
 * Algorithms", Technometrics 13, 1971), which loses no digits to cancellation. */
#include "data/numeric.h"
#include "expr/aggregate_internal.h"
#include <math.h>

#define TO(State, s, memory) State *s = (void *)(memory)
#define FROM(State, s, memory) const State *s = (const void *)(memory)

typedef unsigned __int128 uint128;

/* ---- exact: from count, sum and sum of squares ---- */

/* (n * squares - sum^2) / (n * (n - 1) or n * n), its root with as many digits behind the point. */
static Status exact_result(int64_t n, Str sum, Str squares, bool sample, bool root, Str *out,
                           Arena *arena, Error *error) {
    Str count = numeric_from_int64(n, arena), above, below;
    Status status = numeric_multiply(sum, sum, &sum, arena, error);
    if (status == OK) status = numeric_multiply(count, squares, &squares, arena, error);
    if (status == OK) status = numeric_subtract(squares, sum, &above, arena, error);
    if (status != OK) return status;
    if (numeric_sign(above) <= 0) {
        *out = numeric_from_int64(0, arena);
        return OK;
    }
    status = numeric_multiply(count, numeric_from_int64(sample ? n - 1 : n, arena), &below, arena,
                              error);
    if (status == OK) status = numeric_divide(above, below, out, arena, error);
    if (status != OK || !root) return status;
    /* numeric_sqrt chooses its own scale, never under the argument's: spare digits keep the last
     * rounding right */
    int scale = numeric_scale(*out);
    Str wide;
    status = numeric_round(*out, scale + 24, &wide, arena, error);
    if (status == OK) status = numeric_sqrt(wide, &wide, arena, error);
    if (status == OK) status = numeric_round(wide, scale, out, arena, error);
    return status;
}

/* ---- integers: squares have up to 126 bits, so their sum is kept in two parts of 64 bits each
 * ---- */

typedef struct IntSquares {
    int128 sum;
    uint128 low, high; /* sum of the squares: high * 2^64 + low */
    int64_t count;
} IntSquares;

static inline void add_square(IntSquares *s, int64_t x) {
    uint128 square = (uint128)((int128)x * x);
    s->sum += x;
    s->low += (uint64_t)square;
    s->high += (uint64_t)(square >> 64);
    s->count++;
}

ADD_LOOP(int_add, IntSquares, int64_t, ints, add_square(s, x))

static void int_merge(char *into, const char *from, Type arg) {
    (void)arg;
    TO(IntSquares, to, into);
    FROM(IntSquares, other, from);
    to->sum += other->sum;
    to->low += other->low;
    to->high += other->high;
    to->count += other->count;
}

static Status int_result(const char *state, Type result, Value *out, Arena *arena, Error *error,
                         bool sample, bool root) {
    FROM(IntSquares, s, state);
    if (s->count <= (sample ? 1 : 0)) return null_result(result, out);
    Str high, squares;
    Str two_to_64 = numeric_from_int128((int128)1 << 64, 0, arena);
    Status status = numeric_multiply(numeric_from_int128((int128)s->high, 0, arena), two_to_64,
                                     &high, arena, error);
    if (status == OK)
        status = numeric_add(high, numeric_from_int128((int128)s->low, 0, arena), &squares, arena,
                             error);
    if (status != OK) return status;
    *out = (Value){.type = result};
    return exact_result(s->count, numeric_from_int128(s->sum, 0, arena), squares, sample, root,
                        &out->str, arena, error);
}

static void int_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(IntSquares, s, state);
    buffer_add_int128(out, s->sum);
    buffer_add_int128(out, (int128)s->low);
    buffer_add_int128(out, (int128)s->high);
    buffer_add_varint(out, (uint64_t)s->count);
}

static void int_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(IntSquares, s, state);
    s->sum = read_int128(in);
    s->low = (uint128)read_int128(in);
    s->high = (uint128)read_int128(in);
    s->count = (int64_t)read_varint(in);
}

/* ---- numeric ---- */

typedef struct NumericSquares {
    NumericSum sum, squares;
} NumericSquares;

static void numeric_add_rows(const Column *arg, const int64_t *times, const int32_t *rows,
                             int count, char *const *states, size_t offset) {
    (void)times;
    Arena *scratch = arena_new();
    for (int i = 0; i < count; i++) {
        if (!column_ok(arg, rows[i])) continue;
        TO(NumericSquares, s, states[i] + offset);
        Str x = arg->strs[rows[i]], square;
        /* a square beyond numeric's range counts as infinite: the result is then NaN, as for
         * infinite values */
        if (numeric_multiply(x, x, &square, scratch, NULL) != OK) s->squares.plus_infinities++;
        else numeric_sum_add(&s->squares, square);
        numeric_sum_add(&s->sum, x);
        if ((i & 255) == 255) arena_reset(scratch);
    }
    arena_free(&scratch);
}

static void numeric_merge(char *into, const char *from, Type arg) {
    (void)arg;
    TO(NumericSquares, to, into);
    FROM(NumericSquares, other, from);
    numeric_sum_merge(&to->sum, &other->sum);
    numeric_sum_merge(&to->squares, &other->squares);
}

static Status numeric_result(const char *state, Type result, Value *out, Arena *arena, Error *error,
                             bool sample, bool root) {
    FROM(NumericSquares, s, state);
    if (s->sum.count <= (sample ? 1 : 0)) return null_result(result, out);
    *out = (Value){.type = result};
    if (s->sum.nans || s->sum.plus_infinities || s->sum.minus_infinities ||
        s->squares.plus_infinities)
        return numeric_parse(STR("NaN"), &out->str, arena, error);
    return exact_result(s->sum.count, numeric_sum_total(&s->sum, arena),
                        numeric_sum_total(&s->squares, arena), sample, root, &out->str, arena,
                        error);
}

static void numeric_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(NumericSquares, s, state);
    numeric_sum_encode(&s->sum, out);
    numeric_sum_encode(&s->squares, out);
}

static void numeric_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(NumericSquares, s, state);
    numeric_sum_decode(&s->sum, in);
    numeric_sum_decode(&s->squares, in);
}

static void numeric_release(char *state) {
    TO(NumericSquares, s, state);
    numeric_sum_free(&s->sum);
    numeric_sum_free(&s->squares);
}

static size_t numeric_bytes(const char *state) {
    FROM(NumericSquares, s, state);
    return (s->sum.large ? 64 : 0) + (s->squares.large ? 96 : 0); /* a few words of GMP's each */
}

/* ---- floats ---- */

typedef struct FloatSquares {
    double n, sum, differences;
    bool overflow;
} FloatSquares;

static inline void add_float(FloatSquares *s, double x) {
    double before = s->n, sum_before = s->sum;
    s->n += 1;
    s->sum += x;
    if (before > 0) {
        double difference = x * s->n - s->sum;
        s->differences += difference * difference / (s->n * before);
        if (__builtin_expect(isinf(s->sum) || isinf(s->differences), 0)) {
            if (!isinf(sum_before) && !isinf(x)) s->overflow = true;
            s->differences = (double)NAN;
        }
    } else if (isnan(x) || isinf(x)) {
        s->differences = (double)NAN;
    }
}

ADD_LOOP(float_add, FloatSquares, double, floats, add_float(s, x))

static void float_merge(char *into, const char *from, Type arg) {
    (void)arg;
    TO(FloatSquares, to, into);
    FROM(FloatSquares, other, from);
    if (other->n == 0) return;
    if (to->n == 0) {
        *to = *other;
        return;
    }
    double n = to->n + other->n;
    double sum = to->sum + other->sum;
    double difference = to->sum / to->n - other->sum / other->n;
    double differences =
        to->differences + other->differences + to->n * other->n * difference * difference / n;
    bool overflow = isinf(differences) || (isinf(sum) && !isinf(to->sum) && !isinf(other->sum));
    *to = (FloatSquares){n, sum, differences, to->overflow || other->overflow || overflow};
}

static Status float_result(const char *state, Type result, Value *out, Arena *arena, Error *error,
                           bool sample, bool root) {
    (void)arena;
    FROM(FloatSquares, s, state);
    if (s->n <= (sample ? 1 : 0)) return null_result(result, out);
    if (s->overflow) return reject(error, "value out of range: overflow");
    double variance = s->differences / (sample ? s->n - 1 : s->n);
    *out = (Value){.type = result, .real = root ? sqrt(variance) : variance};
    return OK;
}

static void float_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    FROM(FloatSquares, s, state);
    buffer_add_f64(out, s->n);
    buffer_add_f64(out, s->sum);
    buffer_add_f64(out, s->differences);
    buffer_add_u8(out, s->overflow);
}

static void float_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    TO(FloatSquares, s, state);
    s->n = read_f64(in);
    s->sum = read_f64(in);
    s->differences = read_f64(in);
    s->overflow = read_u8(in) != 0;
}

/* ---- the table: four results over each of the three states ---- */

#define RESULT(prefix, name, sample, root)                                                         \
    static Status prefix##_##name(const char *state, Type arg, Type result, Value *out,            \
                                  Arena *arena, Error *error) {                                    \
        (void)arg;                                                                                 \
        return prefix##_result(state, result, out, arena, error, sample, root);                    \
    }
#define RESULTS(prefix)                                                                            \
    RESULT(prefix, var_pop, false, false)                                                          \
    RESULT(prefix, var_samp, true, false)                                                          \
    RESULT(prefix, stddev_pop, false, true)                                                        \
    RESULT(prefix, stddev_samp, true, true)
RESULTS(int)
RESULTS(numeric)
RESULTS(float)

#define ROW(aggregate, function, type, result_type, State, prefix, adder, text)                    \
    {                                                                                              \
        .name = aggregate, .result = result_type, .arg = type, .arg_count = 1,                     \
        .size = STATE_SIZE(State), .add = adder, .merge = prefix##_merge,                          \
        .result_of = prefix##_##function, .encode = prefix##_encode, .decode = prefix##_decode,    \
        .help = text                                                                               \
    }
#define ROWS(aggregate, function, text)                                                            \
    ROW(aggregate, function, TYPE_INT2, TYPE_NUMERIC, IntSquares, int, int_add, text),             \
        ROW(aggregate, function, TYPE_INT4, TYPE_NUMERIC, IntSquares, int, int_add, NULL),         \
        ROW(aggregate, function, TYPE_INT8, TYPE_NUMERIC, IntSquares, int, int_add, NULL),         \
        {.name = aggregate,                                                                        \
         .result = TYPE_NUMERIC,                                                                   \
         .arg = TYPE_NUMERIC,                                                                      \
         .arg_count = 1,                                                                           \
         .size = STATE_SIZE(NumericSquares),                                                       \
         .add = numeric_add_rows,                                                                  \
         .merge = numeric_merge,                                                                   \
         .result_of = numeric_##function,                                                          \
         .encode = numeric_encode,                                                                 \
         .decode = numeric_decode,                                                                 \
         .release = numeric_release,                                                               \
         .bytes = numeric_bytes},                                                                  \
        ROW(aggregate, function, TYPE_FLOAT4, TYPE_FLOAT8, FloatSquares, float, float_add, NULL),  \
        ROW(aggregate, function, TYPE_FLOAT8, TYPE_FLOAT8, FloatSquares, float, float_add, NULL)

const Aggregate variance_aggregates[] = {
    ROWS("stddev", stddev_samp, "the same as stddev_samp"),
    ROWS("stddev_samp", stddev_samp,
         "standard deviation of a sample; NULL for fewer than two values"),
    ROWS("stddev_pop", stddev_pop, "standard deviation of a whole population"),
    ROWS("variance", var_samp, "the same as var_samp"),
    ROWS("var_samp", var_samp, "variance of a sample; NULL for fewer than two values"),
    ROWS("var_pop", var_pop, "variance of a whole population"),
    {0},
};
