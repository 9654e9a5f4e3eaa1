/* Arithmetic. Each operation first tries 128-bit integers with overflow checks and falls back to
 * GMP; infinities and NaN are settled before either. */
#include "data/numeric_internal.h"

typedef void BigOperation(mpz_t to, const mpz_t a, const mpz_t b);

static Status special_sum(Str a, Str b, bool subtract, Str *out, Arena *arena) {
    NumericForm x = numeric_form(a), y = numeric_form(b);
    if (subtract && y == NUMERIC_PLUS_INFINITY) y = NUMERIC_MINUS_INFINITY;
    else if (subtract && y == NUMERIC_MINUS_INFINITY) y = NUMERIC_PLUS_INFINITY;
    NumericForm result = x <= NUMERIC_BIG ? y : x;
    if (x == NUMERIC_NAN || y == NUMERIC_NAN) result = NUMERIC_NAN;
    else if (x > NUMERIC_BIG && y > NUMERIC_BIG && x != y) result = NUMERIC_NAN;
    *out = numeric_special(result, arena);
    return OK;
}

static Status big_sum(Str a, Str b, BigOperation *operation, Str *out, Arena *arena, Error *error) {
    int scale = most(numeric_head_scale(a), numeric_head_scale(b));
    mpz_t x, y;
    mpz_inits(x, y, NULL);
    numeric_to_mpz(a, x);
    numeric_to_mpz(b, y);
    mpz_scale_up(x, scale - numeric_head_scale(a));
    mpz_scale_up(y, scale - numeric_head_scale(b));
    operation(x, x, y);
    Status status = numeric_from_mpz(x, scale, out, arena, error);
    mpz_clears(x, y, NULL);
    return status;
}

/* Both at the greater of their scales; false: 128 bits are not enough. */
static bool align(Str a, Str b, int128 *x, int128 *y, int *scale) {
    int a_scale, b_scale;
    if (!numeric_small(a, x, &a_scale) || !numeric_small(b, y, &b_scale)) return false;
    *scale = most(a_scale, b_scale);
    return scale_up(*x, *scale - a_scale, x) && scale_up(*y, *scale - b_scale, y);
}

Status numeric_add(Str a, Str b, Str *out, Arena *arena, Error *error) {
    int128 x, y, sum;
    int scale;
    if (align(a, b, &x, &y, &scale) && !__builtin_add_overflow(x, y, &sum)) {
        *out = numeric_from_int128(sum, scale, arena);
        return OK;
    }
    if (!numeric_finite(a) || !numeric_finite(b)) return special_sum(a, b, false, out, arena);
    return big_sum(a, b, mpz_add, out, arena, error);
}

Status numeric_subtract(Str a, Str b, Str *out, Arena *arena, Error *error) {
    int128 x, y, difference;
    int scale;
    if (align(a, b, &x, &y, &scale) && !__builtin_sub_overflow(x, y, &difference)) {
        *out = numeric_from_int128(difference, scale, arena);
        return OK;
    }
    if (!numeric_finite(a) || !numeric_finite(b)) return special_sum(a, b, true, out, arena);
    return big_sum(a, b, mpz_sub, out, arena, error);
}

/* An infinity times or divided by something of this sign. */
static Str signed_infinity(int sign, Arena *arena) {
    return numeric_special(sign == 0  ? NUMERIC_NAN
                           : sign > 0 ? NUMERIC_PLUS_INFINITY
                                      : NUMERIC_MINUS_INFINITY,
                           arena);
}

Status numeric_multiply(Str a, Str b, Str *out, Arena *arena, Error *error) {
    int128 x, y, product;
    int a_scale, b_scale;
    if (numeric_small(a, &x, &a_scale) && numeric_small(b, &y, &b_scale) &&
        a_scale + b_scale <= SCALE_MOST && !__builtin_mul_overflow(x, y, &product)) {
        *out = numeric_from_int128(product, a_scale + b_scale, arena);
        return OK;
    }
    if (!numeric_finite(a) ||
        !numeric_finite(b)) { /* the sign of NaN is 0, and infinity times 0 is NaN too */
        *out = signed_infinity(numeric_sign_of(a) * numeric_sign_of(b), arena);
        return OK;
    }
    mpz_t m, n;
    mpz_inits(m, n, NULL);
    numeric_to_mpz(a, m);
    numeric_to_mpz(b, n);
    mpz_mul(m, m, n);
    Status status =
        numeric_from_mpz(m, numeric_head_scale(a) + numeric_head_scale(b), out, arena, error);
    mpz_clears(m, n, NULL);
    return status;
}

static Status division_by_zero(Error *error) { return reject(error, "division by zero"); }

static Status special_divide(Str a, Str b, Str *out, Arena *arena, Error *error) {
    if (numeric_is_nan(a) || numeric_is_nan(b) || (!numeric_finite(a) && !numeric_finite(b))) {
        *out = numeric_special(NUMERIC_NAN, arena);
    } else if (numeric_finite(a)) {
        *out = numeric_from_int64(0, arena);
    } else {
        if (numeric_sign_of(b) == 0) return division_by_zero(error);
        *out = signed_infinity(numeric_sign_of(a) * numeric_sign_of(b), arena);
    }
    return OK;
}

Status numeric_divide(Str a, Str b, Str *out, Arena *arena, Error *error) {
    if (!numeric_finite(a) || !numeric_finite(b)) return special_divide(a, b, out, arena, error);
    if (numeric_sign_of(b) == 0) return division_by_zero(error);
    int scale = numeric_division_scale(a, b);
    int up = scale + numeric_head_scale(b) -
             numeric_head_scale(a); /* negative where the scale was cut to its limit */
    int128 x, y;
    int a_scale, b_scale;
    if (up >= 0 && numeric_small(a, &x, &a_scale) && numeric_small(b, &y, &b_scale) &&
        scale_up(x, up, &x) && x > -power_of_ten[38] && x < power_of_ten[38] &&
        y > -power_of_ten[38] && y < power_of_ten[38]) {
        if (y < 0) x = -x, y = -y;
        *out = numeric_from_int128(divide_rounded(x, y), scale, arena);
        return OK;
    }
    mpz_t m, n;
    mpz_inits(m, n, NULL);
    numeric_to_mpz(a, m);
    numeric_to_mpz(b, n);
    if (up >= 0) mpz_scale_up(m, up);
    else mpz_scale_up(n, -up);
    if (mpz_sgn(n) < 0) {
        mpz_neg(m, m);
        mpz_neg(n, n);
    }
    mpz_divide_rounded(m, n);
    Status status = numeric_from_mpz(m, scale, out, arena, error);
    mpz_clears(m, n, NULL);
    return status;
}

static Status special_modulo(Str a, Str b, Str *out, Arena *arena, Error *error) {
    if (numeric_is_nan(a) || numeric_is_nan(b)) {
        *out = numeric_special(NUMERIC_NAN, arena);
    } else if (!numeric_finite(a)) {
        if (numeric_sign_of(b) == 0) return division_by_zero(error);
        *out = numeric_special(NUMERIC_NAN, arena);
    } else {
        *out = a;
    }
    return OK;
}

Status numeric_modulo(Str a, Str b, Str *out, Arena *arena, Error *error) {
    if (!numeric_finite(a) || !numeric_finite(b)) return special_modulo(a, b, out, arena, error);
    if (numeric_sign_of(b) == 0) return division_by_zero(error);
    int128 x, y;
    int scale;
    if (align(a, b, &x, &y, &scale)) {
        *out = numeric_from_int128(y == -1 ? 0 : x % y, scale, arena);
        return OK;
    }
    return big_sum(a, b, mpz_tdiv_r, out, arena, error);
}

Str numeric_negate(Str n, Arena *arena) {
    int128 value;
    int scale;
    if (numeric_small(n, &value, &scale) && -(uint128)value != (uint128)value)
        return numeric_from_int128(-value, scale, arena);
    if (numeric_small(n, &value, &scale) && value == 0) return n;
    Str out = n;
    switch (numeric_form(n)) {
    case NUMERIC_PLUS_INFINITY: return numeric_special(NUMERIC_MINUS_INFINITY, arena);
    case NUMERIC_MINUS_INFINITY: return numeric_special(NUMERIC_PLUS_INFINITY, arena);
    case NUMERIC_NAN: return n;
    default: break;
    }
    mpz_t big;
    mpz_init(big);
    numeric_to_mpz(n, big);
    mpz_neg(big, big);
    if (numeric_from_mpz(big, numeric_head_scale(n), &out, arena, NULL) != OK)
        out = n; /* as many digits as before */
    mpz_clear(big);
    return out;
}

Str numeric_abs(Str n, Arena *arena) {
    return numeric_sign_of(n) < 0 ? numeric_negate(n, arena) : n;
}

typedef enum Rounding { HALF_AWAY, TOWARDS_ZERO, DOWN, UP } Rounding;

static void mpz_cut(mpz_t value, int digits, Rounding rounding) {
    if (rounding == HALF_AWAY) {
        mpz_rescale(value, digits, 0);
        return;
    }
    mpz_t power;
    mpz_init(power);
    mpz_ui_pow_ui(power, 10, (unsigned long)digits);
    if (rounding == TOWARDS_ZERO) mpz_tdiv_q(value, value, power);
    else if (rounding == DOWN) mpz_fdiv_q(value, value, power);
    else mpz_cdiv_q(value, value, power);
    mpz_clear(power);
}

static int128 cut(int128 value, int digits, Rounding rounding) {
    int128 power = power_of_ten[digits];
    if (rounding == HALF_AWAY) return divide_rounded(value, power);
    int128 quotient = value / power, rest = value % power;
    if (rounding == DOWN && rest < 0) quotient--;
    if (rounding == UP && rest > 0) quotient++;
    return quotient;
}

/* To `digits` behind the point (negative: before it). */
static Status to_digits(Str n, int digits, Rounding rounding, Str *out, Arena *arena,
                        Error *error) {
    if (!numeric_finite(n)) {
        *out = n;
        return OK;
    }
    int scale = numeric_head_scale(n);
    if (digits == scale) {
        *out = n;
        return OK;
    }
    int128 value;
    bool small = numeric_small(n, &value, &scale);
    int shown = most(digits, 0);
    if (small && digits > scale && scale_up(value, digits - scale, &value)) {
        *out = numeric_from_int128(value, shown, arena);
        return OK;
    }
    if (small && digits < scale && scale - digits < POWERS) {
        value = cut(value, scale - digits, rounding);
        if (digits >= 0 || scale_up(value, -digits, &value)) {
            *out = numeric_from_int128(value, shown, arena);
            return OK;
        }
    }
    mpz_t big;
    mpz_init(big);
    numeric_to_mpz(n, big);
    if (digits > scale) mpz_scale_up(big, digits - scale);
    else mpz_cut(big, scale - digits, rounding);
    if (digits < 0) mpz_scale_up(big, -digits);
    Status status = numeric_from_mpz(big, shown, out, arena, error);
    mpz_clear(big);
    return status;
}

enum { ROUND_MOST = 2000 }; /* PostgreSQL's bound on the second argument of round and trunc */

Status numeric_round(Str n, int digits, Str *out, Arena *arena, Error *error) {
    return to_digits(n, most(-ROUND_MOST, least(digits, ROUND_MOST)), HALF_AWAY, out, arena, error);
}

Status numeric_trunc(Str n, int digits, Str *out, Arena *arena, Error *error) {
    return to_digits(n, most(-ROUND_MOST, least(digits, ROUND_MOST)), TOWARDS_ZERO, out, arena,
                     error);
}

Str numeric_floor(Str n, Arena *arena) {
    Str out;
    return to_digits(n, 0, DOWN, &out, arena, NULL) == OK ? out : n;
}

Str numeric_ceil(Str n, Arena *arena) {
    Str out;
    return to_digits(n, 0, UP, &out, arena, NULL) == OK ? out : n;
}

Status numeric_apply_modifier(Str n, int32_t modifier, Str *out, Arena *arena, Error *error) {
    *out = n;
    if (modifier < 0 || numeric_is_nan(n)) return OK;
    int precision = modifier >> 16, scale = (int16_t)(modifier & 0xFFFF);
    if (!numeric_finite(n))
        return reject(error,
                      "numeric field overflow: a field with precision %d, scale %d cannot hold an "
                      "infinite value",
                      precision, scale);
    Status status = to_digits(n, scale, HALF_AWAY, out, arena, error);
    if (status != OK) return status;
    int128 value;
    int shown;
    bool fits;
    if (numeric_small(*out, &value, &shown)) {
        fits = decimal_digits(magnitude(value)) <= precision + (scale < 0 ? -scale : 0);
    } else {
        mpz_t big;
        mpz_init(big);
        numeric_to_mpz(*out, big);
        fits = mpz_decimal_digits(big) <= precision + (scale < 0 ? -scale : 0);
        mpz_clear(big);
    }
    if (fits) return OK;
    return reject(error,
                  "numeric field overflow: a field with precision %d, scale %d must round to an "
                  "absolute value less than "
                  "%s%d",
                  precision, scale, precision == scale ? "" : "10^",
                  precision == scale ? 1 : precision - scale);
}
