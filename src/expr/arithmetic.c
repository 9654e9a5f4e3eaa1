/* Operators on numbers: + - * / % ^, signs, bits. PostgreSQL's results, result types and errors;
 * the mixed rows (smallint + bigint) are PostgreSQL's own and share the kernels, because all
 * integers lie in memory as int64. */
#include "expr/kernel.h"
#include "data/numeric.h"
#include "expr/math_kernels.h"
#include <math.h>

/* ---- integers ---- */

#define INT_2_4(op, name)                                                                          \
    KERNEL_2(name##_int2, int64_t, ints, int64_t, column_ints, x op y, !fits_int2(r),              \
             OUT_OF_RANGE_2)                                                                       \
    KERNEL_2(name##_int4, int64_t, ints, int64_t, column_ints, x op y, !fits_int4(r),              \
             OUT_OF_RANGE_4)
INT_2_4(+, add)
INT_2_4(-, subtract)
INT_2_4(*, multiply)

static inline int64_t wrap_add(int64_t x, int64_t y) {
    return (int64_t)((uint64_t)x + (uint64_t)y);
}
static inline int64_t wrap_subtract(int64_t x, int64_t y) {
    return (int64_t)((uint64_t)x - (uint64_t)y);
}
static inline int64_t wrap_multiply(int64_t x, int64_t y) {
    return (int64_t)((uint64_t)x * (uint64_t)y);
}
static inline bool multiply_overflows(int64_t x, int64_t y) {
    int64_t ignored;
    return __builtin_mul_overflow(x, y, &ignored);
}
/* the sign of the result is wrong */
KERNEL_2(add_int8, int64_t, ints, int64_t, column_ints, wrap_add(x, y), (((x ^ r) & (y ^ r)) < 0),
         OUT_OF_RANGE_8)
KERNEL_2(subtract_int8, int64_t, ints, int64_t, column_ints, wrap_subtract(x, y),
         (((x ^ y) & (x ^ r)) < 0), OUT_OF_RANGE_8)
KERNEL_2(multiply_int8, int64_t, ints, int64_t, column_ints, wrap_multiply(x, y),
         (r = r, multiply_overflows(x, y)), OUT_OF_RANGE_8)

static inline void divide_ints(Call *call, int rows, const Column *const *args, Column *out,
                               int64_t least, const char *message) {
    const int64_t *a = args[0]->ints, *b = args[1]->ints;
    int64_t *to = column_ints(out);
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        if (b[i] == 0) column_fail(call, out, i, "division by zero");
        else if (b[i] == -1 && a[i] == least) column_fail(call, out, i, "%s", message);
        else to[i] = a[i] / b[i];
    }
}
static void divide_int2(Call *call, int rows, const Column *const *args, Column *out) {
    divide_ints(call, rows, args, out, INT16_MIN, OUT_OF_RANGE_2);
}
static void divide_int4(Call *call, int rows, const Column *const *args, Column *out) {
    divide_ints(call, rows, args, out, INT32_MIN, OUT_OF_RANGE_4);
}
static void divide_int8(Call *call, int rows, const Column *const *args, Column *out) {
    divide_ints(call, rows, args, out, INT64_MIN, OUT_OF_RANGE_8);
}

void modulo_int(Call *call, int rows, const Column *const *args, Column *out) {
    const int64_t *a = args[0]->ints, *b = args[1]->ints;
    int64_t *to = column_ints(out);
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        if (b[i] == 0) column_fail(call, out, i, "division by zero");
        else to[i] = b[i] == -1 ? 0 : a[i] % b[i];
    }
}

KERNEL_1(minus_int2, int64_t, ints, int64_t, column_ints, -x, !fits_int2(r), OUT_OF_RANGE_2)
KERNEL_1(minus_int4, int64_t, ints, int64_t, column_ints, -x, !fits_int4(r), OUT_OF_RANGE_4)
KERNEL_1(minus_int8, int64_t, ints, int64_t, column_ints, wrap_subtract(0, x), x == INT64_MIN,
         OUT_OF_RANGE_8)
KERNEL_1(abs_int2, int64_t, ints, int64_t, column_ints, (x < 0 ? -x : x), !fits_int2(r),
         OUT_OF_RANGE_2)
KERNEL_1(abs_int4, int64_t, ints, int64_t, column_ints, (x < 0 ? -x : x), !fits_int4(r),
         OUT_OF_RANGE_4)
KERNEL_1(abs_int8, int64_t, ints, int64_t, column_ints, (x < 0 ? wrap_subtract(0, x) : x),
         x == INT64_MIN, OUT_OF_RANGE_8)

static void same(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call, (void)rows;
    out->values = args[0]->values;
}

KERNEL_2(and_int, int64_t, ints, int64_t, column_ints, x &y, false, "")
KERNEL_2(or_int, int64_t, ints, int64_t, column_ints, x | y, false, "")
KERNEL_2(xor_int, int64_t, ints, int64_t, column_ints, x ^ y, false, "")
KERNEL_1(not_int, int64_t, ints, int64_t, column_ints, ~x, false, "")
/* C leaves shifts beyond the width open; like PostgreSQL on x86-64 the count is taken modulo the
 * width of the register: 32 bits for smallint too, which is then cut to 16. */
KERNEL_2(left_int2, int64_t, ints, int64_t, column_ints, (int16_t)((uint32_t)x << (y & 31)), false,
         "")
KERNEL_2(left_int4, int64_t, ints, int64_t, column_ints, (int32_t)((uint32_t)x << (y & 31)), false,
         "")
KERNEL_2(left_int8, int64_t, ints, int64_t, column_ints, (int64_t)((uint64_t)x << (y & 63)), false,
         "")
KERNEL_2(right_int4, int64_t, ints, int64_t, column_ints, x >> (y & 31), false, "")
KERNEL_2(right_int8, int64_t, ints, int64_t, column_ints, x >> (y & 63), false, "")

/* ---- floats: inputs that are infinite already may give infinite results ---- */

static inline bool overflowed(double x, double y, double r) {
    return isinf(r) && !isinf(x) && !isinf(y);
}
static inline bool multiply_underflowed(double x, double y, double r) {
    return r == 0 && x != 0 && y != 0;
}
static inline bool divide_underflowed(double x, double y, double r) {
    return r == 0 && x != 0 && !isinf(y);
}

#define FLOAT_KERNELS(op, name, type, suffix)                                                      \
    KERNEL_2(name##suffix, double, floats, double, column_floats, (double)(type)(x op y),          \
             overflowed(x, y, r), FLOAT_OVERFLOW)
FLOAT_KERNELS(+, add, double, _float8)
FLOAT_KERNELS(-, subtract, double, _float8)
FLOAT_KERNELS(+, add, float, _float4)
FLOAT_KERNELS(-, subtract, float, _float4)
#define FLOAT_MULTIPLY(type, suffix)                                                               \
    KERNEL_2(multiply##suffix, double, floats, double, column_floats, (double)(type)(x * y),       \
             (overflowed(x, y, r) | multiply_underflowed(x, y, r)),                                \
             isinf(r) ? FLOAT_OVERFLOW : FLOAT_UNDERFLOW)
FLOAT_MULTIPLY(double, _float8)
FLOAT_MULTIPLY(float, _float4)

static inline const char *divide_message(double x, double y, double r) {
    if (y == 0 && !isnan(x)) return "division by zero";
    return isinf(r) ? FLOAT_OVERFLOW : FLOAT_UNDERFLOW;
}
/* the divisor is replaced where it is 0, because that row fails and C leaves the division open */
#define FLOAT_DIVIDE(type, suffix)                                                                 \
    KERNEL_2(divide##suffix, double, floats, double, column_floats,                                \
             (double)(type)(x / (y == 0 ? (double)NAN : y)),                                       \
             (((y == 0) & !isnan(x)) | overflowed(x, y, r) | divide_underflowed(x, y, r)),         \
             divide_message(x, y, r))
FLOAT_DIVIDE(double, _float8)
FLOAT_DIVIDE(float, _float4)

KERNEL_1(minus_float, double, floats, double, column_floats, -x, false, "")
KERNEL_1(abs_float, double, floats, double, column_floats, fabs(x), false, "")

/* ---- numeric ---- */

#define NUMERIC_2(name)                                                                            \
    KERNEL_STATUS(name##_numeric, Str, column_strs,                                                \
                  numeric_##name(args[0]->strs[i], args[1]->strs[i], &to[i], call->arena, &error))
NUMERIC_2(add)
NUMERIC_2(subtract)
NUMERIC_2(multiply)
NUMERIC_2(divide)
NUMERIC_2(modulo)
KERNEL_VALUE(minus_numeric, column_strs, numeric_negate(args[0]->strs[i], call->arena))
KERNEL_VALUE(abs_numeric, column_strs, numeric_abs(args[0]->strs[i], call->arena))

/* ---- the table ---- */

#define T2 TYPE_INT2
#define T4 TYPE_INT4
#define T8 TYPE_INT8
#define F4 TYPE_FLOAT4
#define F8 TYPE_FLOAT8
#define NU TYPE_NUMERIC
#define OP (FUNCTION_STRICT | FUNCTION_OPERATOR)
#define BINARY(op, left, right, result, kernel, help)                                              \
    { op, result, 2, {left, right}, OP, kernel, NULL, help }
#define UNARY(op, type, kernel, help)                                                              \
    { op, type, 1, {type}, OP, kernel, NULL, help }
#define ALL_NUMBERS(op, name, help)                                                                \
    BINARY(op, T8, T8, T8, name##_int8, help), BINARY(op, T2, T2, T2, name##_int2, NULL),          \
        BINARY(op, T2, T4, T4, name##_int4, NULL), BINARY(op, T4, T2, T4, name##_int4, NULL),      \
        BINARY(op, T4, T4, T4, name##_int4, NULL), BINARY(op, T2, T8, T8, name##_int8, NULL),      \
        BINARY(op, T8, T2, T8, name##_int8, NULL), BINARY(op, T4, T8, T8, name##_int8, NULL),      \
        BINARY(op, T8, T4, T8, name##_int8, NULL), BINARY(op, F4, F4, F4, name##_float4, NULL),    \
        BINARY(op, F4, F8, F8, name##_float8, NULL), BINARY(op, F8, F4, F8, name##_float8, NULL),  \
        BINARY(op, F8, F8, F8, name##_float8, NULL), BINARY(op, NU, NU, NU, name##_numeric, NULL)
#define INTEGERS(op, name, help)                                                                   \
    BINARY(op, T8, T8, T8, name, help), BINARY(op, T2, T2, T2, name, NULL),                        \
        BINARY(op, T4, T4, T4, name, NULL)

const Function arithmetic_functions[] = {
    ALL_NUMBERS("+", add, "sum; out of range is an error of the row"),
    ALL_NUMBERS("-", subtract, "difference"),
    ALL_NUMBERS("*", multiply, "product"),
    ALL_NUMBERS(
        "/", divide,
        "quotient; of integers it is cut towards zero; division by zero is an error of the row"),
    INTEGERS("%", modulo_int, "remainder, with the sign of the left side"),
    BINARY("%", NU, NU, NU, modulo_numeric, NULL),
    BINARY("^", F8, F8, F8, power_float, "power; of integers it is double precision"),
    BINARY("^", NU, NU, NU, power_numeric, NULL),
    UNARY("-", T8, minus_int8, "negation"),
    UNARY("-", T2, minus_int2, NULL),
    UNARY("-", T4, minus_int4, NULL),
    UNARY("-", F4, minus_float, NULL),
    UNARY("-", F8, minus_float, NULL),
    UNARY("-", NU, minus_numeric, NULL),
    UNARY("+", T8, same, "the number itself"),
    UNARY("+", T2, same, NULL),
    UNARY("+", T4, same, NULL),
    UNARY("+", F4, same, NULL),
    UNARY("+", F8, same, NULL),
    UNARY("+", NU, same, NULL),
    UNARY("@", T8, abs_int8, "absolute value"),
    UNARY("@", T2, abs_int2, NULL),
    UNARY("@", T4, abs_int4, NULL),
    UNARY("@", F4, abs_float, NULL),
    UNARY("@", F8, abs_float, NULL),
    UNARY("@", NU, abs_numeric, NULL),
    UNARY("|/", F8, square_root_float, "square root"),
    UNARY("||/", F8, cube_root_float, "cube root"),
    INTEGERS("&", and_int, "bitwise and"),
    INTEGERS("|", or_int, "bitwise or"),
    INTEGERS("#", xor_int, "bitwise exclusive or"),
    UNARY("~", T8, not_int, "bitwise not"),
    UNARY("~", T2, not_int, NULL),
    UNARY("~", T4, not_int, NULL),
    BINARY("<<", T8, T4, T8, left_int8, "bits shifted left"),
    BINARY("<<", T2, T4, T2, left_int2, NULL),
    BINARY("<<", T4, T4, T4, left_int4, NULL),
    BINARY(">>", T8, T4, T8, right_int8, "bits shifted right"),
    BINARY(">>", T2, T4, T2, right_int4, NULL),
    BINARY(">>", T4, T4, T4, right_int4, NULL),
    {"abs", T8, 1, {T8}, FUNCTION_STRICT, abs_int8, NULL, "absolute value"},
    {"abs", T2, 1, {T2}, FUNCTION_STRICT, abs_int2, NULL, NULL},
    {"abs", T4, 1, {T4}, FUNCTION_STRICT, abs_int4, NULL, NULL},
    {"abs", F4, 1, {F4}, FUNCTION_STRICT, abs_float, NULL, NULL},
    {"abs", F8, 1, {F8}, FUNCTION_STRICT, abs_float, NULL, NULL},
    {"abs", NU, 1, {NU}, FUNCTION_STRICT, abs_numeric, NULL, NULL},
    {0},
};
