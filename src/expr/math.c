/* Named functions on numbers: rounding, powers, logarithms, trigonometry, width_bucket, gcd,
 * random. Double precision ones check their domain and range as PostgreSQL's float.c does, so that
 * the same rows fail with the same words. */
#include "expr/math_kernels.h"
#include "base/env.h"
#include "data/numeric.h"
#include "expr/kernel.h"
#include <math.h>

/* ---- double precision ---- */

/* For functions that cannot go wrong. */
#define FLOAT_1(name, value) KERNEL_1(name, double, floats, double, column_floats, value, false, "")
FLOAT_1(ceil_float, ceil(x))
FLOAT_1(floor_float, floor(x))
FLOAT_1(round_float, rint(x))
FLOAT_1(trunc_float, trunc(x))
FLOAT_1(sign_float, (double)((x > 0) - (x < 0)))
FLOAT_1(atan_float, atan(x))
FLOAT_1(tanh_float, tanh(x))
FLOAT_1(asinh_float, asinh(x))

/* The others say what is wrong with a row, NULL for nothing. */
#define CHECKED_1(name, value, complaint)                                                          \
    void name(Call *call, int rows, const Column *const *args, Column *out) {                      \
        const double *a = args[0]->floats;                                                         \
        double *to = column_floats(out);                                                           \
        for (int i = 0; i < rows; i++) {                                                           \
            if (!column_ok(out, i)) continue;                                                      \
            double x = a[i];                                                                       \
            double r = value;                                                                      \
            to[i] = r;                                                                             \
            const char *message = complaint;                                                       \
            if (message) column_fail(call, out, i, "%s", message);                                 \
        }                                                                                          \
    }
static const char input_range[] = "input is out of range";

static inline const char *overflow(double x, double r) {
    return isinf(r) && !isinf(x) ? FLOAT_OVERFLOW : NULL;
}

static inline const char *exp_complaint(double x, double r) {
    if (r == 0 && !isinf(x)) return FLOAT_UNDERFLOW;
    return overflow(x, r);
}

static inline const char *beyond_one(double x) { return fabs(x) > 1 ? input_range : NULL; }

static inline const char *logarithm_complaint(double x) {
    if (x == 0) return "cannot take logarithm of zero";
    return x < 0 ? "cannot take logarithm of a negative number" : NULL;
}

CHECKED_1(square_root_float, sqrt(x), x < 0 ? "cannot take square root of a negative number" : NULL)
CHECKED_1(cube_root_float, cbrt(x), NULL)
static CHECKED_1(exp_float, exp(x), exp_complaint(x, r));
static CHECKED_1(ln_float, log(x), logarithm_complaint(x));
static CHECKED_1(log10_float, log10(x), logarithm_complaint(x));
static CHECKED_1(radians_float, x *(M_PI / 180.0), r == 0 && x != 0 ? FLOAT_UNDERFLOW : NULL);
static CHECKED_1(degrees_float, x / (M_PI / 180.0), overflow(x, r));
static CHECKED_1(sin_float, sin(x), isinf(x) ? input_range : NULL);
static CHECKED_1(cos_float, cos(x), isinf(x) ? input_range : NULL);
static CHECKED_1(tan_float, tan(x), isinf(x) ? input_range : NULL);
static CHECKED_1(cot_float, 1.0 / tan(x), isinf(x) ? input_range : NULL);
static CHECKED_1(asin_float, asin(x), beyond_one(x));
static CHECKED_1(acos_float, acos(x), beyond_one(x));
static CHECKED_1(sinh_float, sinh(x), NULL);
static CHECKED_1(cosh_float, cosh(x), NULL);
static CHECKED_1(acosh_float, acosh(x), x < 1 ? input_range : NULL);
static CHECKED_1(atanh_float, atanh(x), beyond_one(x));
KERNEL_2(atan2_float, double, floats, double, column_floats, atan2(x, y), false, "")

static const char *power_complaint(double x, double y, double r) {
    if (isnan(x) || isnan(y)) return NULL;
    if (x == 0 && y < 0) return "zero raised to a negative power is undefined";
    if (x < 0 && !isinf(x) && !isinf(y) && floor(y) != y)
        return "a negative number raised to a non-integer power yields a complex result";
    if (isinf(x) || isinf(y)) return NULL;
    if (isinf(r)) return FLOAT_OVERFLOW;
    return r == 0 && x != 0 ? FLOAT_UNDERFLOW : NULL;
}

void power_float(Call *call, int rows, const Column *const *args, Column *out) {
    const double *a = args[0]->floats, *b = args[1]->floats;
    double *to = column_floats(out);
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        to[i] = pow(a[i], b[i]);
        if (isinf(a[i]) && a[i] < 0 && floor(b[i]) != b[i] && !isnan(b[i]))
            column_fail(call, out, i,
                        "a negative number raised to a non-integer power yields a complex result");
        const char *message = power_complaint(a[i], b[i], to[i]);
        if (message) column_fail(call, out, i, "%s", message);
    }
}

static void pi(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call, (void)args;
    for (int i = 0; i < rows; i++) column_floats(out)[i] = M_PI;
}

static void random_numbers(Call *call, int rows, const Column *const *args, Column *out) {
    (void)args;
    double *to = column_floats(out);
    uint64_t *bits = arena_alloc(call->arena, sizeof *bits * (size_t)rows);
    call->env->random_bytes(call->env, bits, sizeof *bits * (size_t)rows);
    for (int i = 0; i < rows; i++) to[i] = (double)(bits[i] >> 11) * 0x1p-53;
}

/* ---- numeric ---- */

#define NUMERIC_1(function)                                                                        \
    KERNEL_STATUS(function##_kernel, Str, column_strs,                                             \
                  function(args[0]->strs[i], &to[i], call->arena, &error))
NUMERIC_1(numeric_sqrt)
NUMERIC_1(numeric_exp)
NUMERIC_1(numeric_ln)
KERNEL_VALUE(ceil_numeric, column_strs, numeric_ceil(args[0]->strs[i], call->arena))
KERNEL_VALUE(floor_numeric, column_strs, numeric_floor(args[0]->strs[i], call->arena))
KERNEL_VALUE(trim_scale, column_strs, numeric_normalize(args[0]->strs[i], call->arena))
KERNEL_STATUS(round_numeric, Str, column_strs,
              numeric_round(args[0]->strs[i], 0, &to[i], call->arena, &error))
KERNEL_STATUS(trunc_numeric, Str, column_strs,
              numeric_trunc(args[0]->strs[i], 0, &to[i], call->arena, &error))
KERNEL_STATUS(round_digits, Str, column_strs,
              numeric_round(args[0]->strs[i], (int)args[1]->ints[i], &to[i], call->arena, &error))
KERNEL_STATUS(trunc_digits, Str, column_strs,
              numeric_trunc(args[0]->strs[i], (int)args[1]->ints[i], &to[i], call->arena, &error))
KERNEL_STATUS(log_numeric, Str, column_strs,
              numeric_log(numeric_from_int64(10, call->arena), args[0]->strs[i], &to[i],
                          call->arena, &error))
KERNEL_STATUS(log_base_numeric, Str, column_strs,
              numeric_log(args[0]->strs[i], args[1]->strs[i], &to[i], call->arena, &error))
KERNEL_STATUS(modulo_numerics, Str, column_strs,
              numeric_modulo(args[0]->strs[i], args[1]->strs[i], &to[i], call->arena, &error))

void power_numeric(Call *call, int rows, const Column *const *args, Column *out) {
    Str *to = column_strs(out);
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        Error error;
        if (numeric_power(args[0]->strs[i], args[1]->strs[i], &to[i], call->arena, &error) != OK)
            column_fail(call, out, i, "%s", error.text);
    }
}

static void sign_numeric(Call *call, int rows, const Column *const *args, Column *out) {
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        Str x = args[0]->strs[i];
        column_strs(out)[i] =
            numeric_is_nan(x) ? x : numeric_from_int64(numeric_sign(x), call->arena);
    }
}

static bool is_infinite(Str x) { return !numeric_is_finite(x) && !numeric_is_nan(x); }

static Status divide_whole(Str x, Str y, Str *out, Arena *arena, Error *error) {
    Str rest;
    if (numeric_is_nan(x) || numeric_is_nan(y) || is_infinite(x) || is_infinite(y)) {
        Status status = numeric_divide(x, y, out, arena, error);
        return status;
    }
    /* (x - x mod y) / y is whole, so that no digit of the quotient is rounded */
    Status status = numeric_modulo(x, y, &rest, arena, error);
    if (status == OK) status = numeric_subtract(x, rest, &rest, arena, error);
    if (status == OK) status = numeric_divide(rest, y, out, arena, error);
    if (status == OK) status = numeric_round(*out, 0, out, arena, error);
    return status;
}
KERNEL_STATUS(div_numeric, Str, column_strs,
              divide_whole(args[0]->strs[i], args[1]->strs[i], &to[i], call->arena, &error))

static void scale(Call *call, int rows, const Column *const *args, Column *out) {
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        if (numeric_is_nan(args[0]->strs[i]) || is_infinite(args[0]->strs[i]))
            column_null(call, out, i);
        else column_ints(out)[i] = numeric_scale(args[0]->strs[i]);
    }
}

static Status factorial_of(int64_t n, Str *out, Arena *arena, Error *error) {
    if (n < 0) return reject(error, "factorial of a negative number is undefined");
    if (n > 32177) return reject(error, "value overflows numeric format");
    *out = numeric_from_int64(1, arena);
    Status status = OK;
    for (int64_t i = 2; i <= n && status == OK; i++)
        status = numeric_multiply(*out, numeric_from_int64(i, arena), out, arena, error);
    return status;
}
KERNEL_STATUS(factorial, Str, column_strs,
              factorial_of(args[0]->ints[i], &to[i], call->arena, &error))

/* ---- greatest common divisor ---- */

static uint64_t gcd_of(int64_t x, int64_t y) {
    uint64_t a = x < 0 ? 0 - (uint64_t)x : (uint64_t)x, b = y < 0 ? 0 - (uint64_t)y : (uint64_t)y;
    while (b) {
        uint64_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static void gcd_lcm(Call *call, int rows, const Column *const *args, Column *out, bool lcm,
                    uint64_t most, const char *message) {
    const int64_t *a = args[0]->ints, *b = args[1]->ints;
    for (int i = 0; i < rows; i++) {
        if (!column_ok(out, i)) continue;
        uint64_t value = gcd_of(a[i], b[i]);
        bool over = false;
        if (lcm && value != 0) {
            uint64_t x = a[i] < 0 ? 0 - (uint64_t)a[i] : (uint64_t)a[i],
                     y = b[i] < 0 ? 0 - (uint64_t)b[i] : (uint64_t)b[i];
            over = __builtin_mul_overflow(x / value, y, &value);
        }
        if (over || value > most) column_fail(call, out, i, "%s", message);
        else column_ints(out)[i] = (int64_t)value;
    }
}

#define GCD_KERNEL(name, lcm, most, message)                                                       \
    static void name(Call *call, int rows, const Column *const *args, Column *out) {               \
        gcd_lcm(call, rows, args, out, lcm, most, message);                                        \
    }
GCD_KERNEL(gcd_int4, false, INT32_MAX, OUT_OF_RANGE_4)
GCD_KERNEL(gcd_int8, false, INT64_MAX, OUT_OF_RANGE_8)
GCD_KERNEL(lcm_int4, true, INT32_MAX, OUT_OF_RANGE_4)
GCD_KERNEL(lcm_int8, true, INT64_MAX, OUT_OF_RANGE_8)

/* ---- width_bucket ---- */

static Status bucket_float(double x, double low, double high, int64_t count, int64_t *out,
                           Error *error) {
    if (count <= 0) return reject(error, "count must be greater than zero");
    if (isnan(x) || isnan(low) || isnan(high))
        return reject(error, "operand, lower bound, and upper bound cannot be NaN");
    if (isinf(low) || isinf(high)) return reject(error, "lower and upper bounds must be finite");
    if (low == high) return reject(error, "lower bound cannot equal upper bound");
    bool up = low < high;
    if (up ? x < low : x > low) {
        *out = 0;
    } else if (up ? x >= high : x <= high) {
        if (count == INT32_MAX) return reject(error, OUT_OF_RANGE_4);
        *out = count + 1;
    } else {
        /* halved where the width itself does not fit a double */
        double width = high - low, part = x - low;
        if (isinf(width)) {
            width = high / 2 - low / 2;
            part = x / 2 - low / 2;
        }
        int64_t bucket = (int64_t)((double)count * (part / width));
        *out = (bucket >= count ? count - 1 : bucket) + 1;
    }
    return OK;
}
KERNEL_STATUS(width_bucket_float, int64_t, column_ints,
              bucket_float(args[0]->floats[i], args[1]->floats[i], args[2]->floats[i],
                           args[3]->ints[i], &to[i], &error))

static Status bucket_numeric(Str x, Str low, Str high, int64_t count, int64_t *out, Arena *arena,
                             Error *error) {
    if (count <= 0) return reject(error, "count must be greater than zero");
    if (numeric_is_nan(x) || numeric_is_nan(low) || numeric_is_nan(high))
        return reject(error, "operand, lower bound, and upper bound cannot be NaN");
    if (is_infinite(low) || is_infinite(high))
        return reject(error, "lower and upper bounds must be finite");
    int order = numeric_compare(low, high);
    if (order == 0) return reject(error, "lower bound cannot equal upper bound");
    if (numeric_compare(x, low) * order > 0) {
        *out = 0;
        return OK;
    }
    if (numeric_compare(x, high) * order <= 0) {
        if (count == INT32_MAX) return reject(error, OUT_OF_RANGE_4);
        *out = count + 1;
        return OK;
    }
    Str part, width, whole;
    Status status = numeric_subtract(x, low, &part, arena, error);
    if (status == OK) status = numeric_subtract(high, low, &width, arena, error);
    if (status == OK)
        status = numeric_multiply(part, numeric_from_int64(count, arena), &part, arena, error);
    if (status == OK) status = divide_whole(part, width, &whole, arena, error);
    if (status == OK) status = numeric_to_int64(whole, out, error);
    if (status == OK) *out += 1;
    return status;
}
KERNEL_STATUS(width_bucket_numeric, int64_t, column_ints,
              bucket_numeric(args[0]->strs[i], args[1]->strs[i], args[2]->strs[i], args[3]->ints[i],
                             &to[i], call->arena, &error))

/* ---- the table ---- */

#define T2 TYPE_INT2
#define T4 TYPE_INT4
#define T8 TYPE_INT8
#define F8 TYPE_FLOAT8
#define NU TYPE_NUMERIC
#define S FUNCTION_STRICT
#define FLOAT_FUNCTION(name, kernel, help)                                                         \
    { name, F8, 1, {F8}, S, kernel, NULL, help }
#define NUMERIC_FUNCTION(name, kernel)                                                             \
    { name, NU, 1, {NU}, S, kernel, NULL, NULL }

const Function math_functions[] = {
    FLOAT_FUNCTION("ceil", ceil_float, "the nearest whole number that is not less"),
    NUMERIC_FUNCTION("ceil", ceil_numeric),
    FLOAT_FUNCTION("ceiling", ceil_float, "the same as ceil"),
    NUMERIC_FUNCTION("ceiling", ceil_numeric),
    FLOAT_FUNCTION("floor", floor_float, "the nearest whole number that is not greater"),
    NUMERIC_FUNCTION("floor", floor_numeric),
    FLOAT_FUNCTION(
        "round", round_float,
        "rounded to a whole number: double precision half to even, numeric half away from zero"),
    NUMERIC_FUNCTION("round", round_numeric),
    {"round",
     NU,
     2,
     {NU, T4},
     S,
     round_digits,
     NULL,
     "rounded to so many digits behind the point, half away from zero"},
    FLOAT_FUNCTION("trunc", trunc_float, "cut to a whole number, towards zero"),
    NUMERIC_FUNCTION("trunc", trunc_numeric),
    {"trunc", NU, 2, {NU, T4}, S, trunc_digits, NULL, "cut to so many digits behind the point"},
    FLOAT_FUNCTION("sign", sign_float, "-1, 0 or 1"),
    NUMERIC_FUNCTION("sign", sign_numeric),
    {"mod", T8, 2, {T8, T8}, S, modulo_int, NULL, "remainder, with the sign of the first argument"},
    {"mod", T2, 2, {T2, T2}, S, modulo_int, NULL, NULL},
    {"mod", T4, 2, {T4, T4}, S, modulo_int, NULL, NULL},
    {"mod", NU, 2, {NU, NU}, S, modulo_numerics, NULL, NULL},
    {"div", NU, 2, {NU, NU}, S, div_numeric, NULL, "whole part of the quotient, towards zero"},
    {"power", F8, 2, {F8, F8}, S, power_float, NULL, "the first argument raised to the second"},
    {"power", NU, 2, {NU, NU}, S, power_numeric, NULL, NULL},
    {"pow", F8, 2, {F8, F8}, S, power_float, NULL, "the same as power"},
    {"pow", NU, 2, {NU, NU}, S, power_numeric, NULL, NULL},
    FLOAT_FUNCTION("sqrt", square_root_float,
                   "square root; of a negative number it is an error of the row"),
    NUMERIC_FUNCTION("sqrt", numeric_sqrt_kernel),
    FLOAT_FUNCTION("cbrt", cube_root_float, "cube root"),
    FLOAT_FUNCTION("exp", exp_float, "e raised to the argument"),
    NUMERIC_FUNCTION("exp", numeric_exp_kernel),
    FLOAT_FUNCTION("ln", ln_float, "natural logarithm"),
    NUMERIC_FUNCTION("ln", numeric_ln_kernel),
    FLOAT_FUNCTION("log", log10_float, "logarithm to base 10"),
    NUMERIC_FUNCTION("log", log_numeric),
    {"log",
     NU,
     2,
     {NU, NU},
     S,
     log_base_numeric,
     NULL,
     "logarithm of the second argument to the base of the first"},
    FLOAT_FUNCTION("log10", log10_float, "logarithm to base 10"),
    NUMERIC_FUNCTION("log10", log_numeric),
    {"pi", F8, 0, {0}, S, pi, NULL, "3.141592653589793"},
    FLOAT_FUNCTION("degrees", degrees_float, "radians to degrees"),
    FLOAT_FUNCTION("radians", radians_float, "degrees to radians"),
    FLOAT_FUNCTION("sin", sin_float, "sine of radians"),
    FLOAT_FUNCTION("cos", cos_float, "cosine of radians"),
    FLOAT_FUNCTION("tan", tan_float, "tangent of radians"),
    FLOAT_FUNCTION("cot", cot_float, "cotangent of radians"),
    FLOAT_FUNCTION("asin", asin_float, "inverse sine, in radians"),
    FLOAT_FUNCTION("acos", acos_float, "inverse cosine, in radians"),
    FLOAT_FUNCTION("atan", atan_float, "inverse tangent, in radians"),
    {"atan2",
     F8,
     2,
     {F8, F8},
     S,
     atan2_float,
     NULL,
     "inverse tangent of the first argument by the second, in radians"},
    FLOAT_FUNCTION("sinh", sinh_float, "hyperbolic sine"),
    FLOAT_FUNCTION("cosh", cosh_float, "hyperbolic cosine"),
    FLOAT_FUNCTION("tanh", tanh_float, "hyperbolic tangent"),
    FLOAT_FUNCTION("asinh", asinh_float, "inverse hyperbolic sine"),
    FLOAT_FUNCTION("acosh", acosh_float, "inverse hyperbolic cosine"),
    FLOAT_FUNCTION("atanh", atanh_float, "inverse hyperbolic tangent"),
    {"gcd", T8, 2, {T8, T8}, S, gcd_int8, NULL, "greatest common divisor"},
    {"gcd", T4, 2, {T4, T4}, S, gcd_int4, NULL, NULL},
    {"lcm", T8, 2, {T8, T8}, S, lcm_int8, NULL, "least common multiple"},
    {"lcm", T4, 2, {T4, T4}, S, lcm_int4, NULL, NULL},
    {"factorial", NU, 1, {T8}, S, factorial, NULL, "factorial"},
    {"scale", T4, 1, {NU}, S, scale, NULL, "digits behind the point"},
    {"trim_scale", NU, 1, {NU}, S, trim_scale, NULL, "without trailing zeros behind the point"},
    {"width_bucket",
     T4,
     4,
     {F8, F8, F8, T4},
     S,
     width_bucket_float,
     NULL,
     "number of the bucket, of so many of one width between two bounds, that holds the first "
     "argument; 0 below them"},
    {"width_bucket", T4, 4, {NU, NU, NU, T4}, S, width_bucket_numeric, NULL, NULL},
    {"random",
     F8,
     0,
     {0},
     FUNCTION_VOLATILE,
     random_numbers,
     NULL,
     "a number from 0 up to but not including 1"},
    {0},
};
