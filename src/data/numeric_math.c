/* Roots, logarithms, exponentials and powers. Values are GMP integers in binary fixed point, with
 * enough bits that what is rounded at the end is right; how many digits a result shows follows
 * PostgreSQL's rules, which look at its groups of four digits and at estimates in double precision,
 * so these are made here in the same way. */
#include "data/numeric_internal.h"
#include <math.h>
#include <stdlib.h>

enum {
    RESULT_SCALE_MOST = 2000,
    EXP_MOST = 3 * RESULT_SCALE_MOST, /* of exp's argument */
    GUARD_BITS = 96,
    HALVINGS = 8, /* of an argument, so that its series is short */
};

static long bits_for(long digits) { return (digits > 0 ? digits : 0) * 3322 / 1000 + GUARD_BITS; }

static int clamp_scale(int scale) { return least(most(scale, 0), SCALE_CHOSEN_MOST); }

static Status overflow(Error *error) { return reject(error, "value overflows numeric format"); }

/* ---- binary fixed point ---- */

/* sum of z^(2i+1)/(2i+1) */
static void fixed_atanh(mpz_t out, const mpz_t z, long bits) {
    mpz_t square, power, term;
    mpz_inits(square, power, term, NULL);
    mpz_mul(square, z, z);
    mpz_tdiv_q_2exp(square, square, (mp_bitcnt_t)bits);
    mpz_set(power, z);
    mpz_set(out, z);
    for (unsigned long i = 3; mpz_sgn(power) != 0; i += 2) {
        mpz_mul(power, power, square);
        mpz_tdiv_q_2exp(power, power, (mp_bitcnt_t)bits);
        mpz_tdiv_q_ui(term, power, i);
        mpz_add(out, out, term);
    }
    mpz_clears(square, power, term, NULL);
}

static void fixed_ln2(mpz_t out, long bits) { /* 2 atanh(1/3) */
    mpz_t third;
    mpz_init(third);
    mpz_setbit(third, (mp_bitcnt_t)bits);
    mpz_tdiv_q_ui(third, third, 3);
    fixed_atanh(out, third, bits);
    mpz_mul_2exp(out, out, 1);
    mpz_clear(third);
}

/* ln of unscaled / 10^scale, which is greater than 0, with `bits` behind the point. */
static void fixed_ln(mpz_t out, const mpz_t unscaled, int scale, long bits) {
    mpz_t m, ten, one, z, ln2;
    mpz_inits(m, ten, one, z, ln2, NULL);
    long own = bits + 32 + HALVINGS;
    mpz_ui_pow_ui(ten, 10, (unsigned long)scale);
    long exponent = (long)mpz_sizeinbase(unscaled, 2) - (long)mpz_sizeinbase(ten, 2);
    mpz_set(m, unscaled); /* m * 2^exponent is the value, m between 1/2 and 2 */
    if (own >= exponent) mpz_mul_2exp(m, m, (mp_bitcnt_t)(own - exponent));
    else mpz_mul_2exp(ten, ten, (mp_bitcnt_t)(exponent - own));
    mpz_tdiv_q(m, m, ten);
    for (int i = 0; i < HALVINGS; i++) { /* square roots halve the logarithm */
        mpz_mul_2exp(m, m, (mp_bitcnt_t)own);
        mpz_sqrt(m, m);
    }
    mpz_setbit(one, (mp_bitcnt_t)own);
    mpz_sub(z, m, one);
    mpz_mul_2exp(z, z, (mp_bitcnt_t)own);
    mpz_add(m, m, one);
    mpz_tdiv_q(z, z, m);
    fixed_atanh(out, z, own);
    mpz_mul_2exp(out, out, HALVINGS + 1);
    fixed_ln2(ln2, own);
    mpz_mul_si(ln2, ln2, exponent);
    mpz_add(out, out, ln2);
    mpz_fdiv_q_2exp(out, out, (mp_bitcnt_t)(own - bits));
    mpz_clears(m, ten, one, z, ln2, NULL);
}

/* e^x as out * 2^exponent; out is between 1 and 2. x and out have `bits` behind the point. */
static long fixed_exp(mpz_t out, const mpz_t x, long bits) {
    mpz_t r, ln2, k, term;
    mpz_inits(r, ln2, k, term, NULL);
    long own = bits + 64;
    mpz_mul_2exp(r, x, 64);
    fixed_ln2(ln2, own);
    mpz_fdiv_qr(k, r, r, ln2);
    mpz_tdiv_q_2exp(r, r, HALVINGS);
    mpz_set_ui(out, 0);
    mpz_setbit(out, (mp_bitcnt_t)own);
    mpz_set(term, out);
    for (unsigned long i = 1; mpz_sgn(term) != 0; i++) {
        mpz_mul(term, term, r);
        mpz_tdiv_q_2exp(term, term, (mp_bitcnt_t)own);
        mpz_tdiv_q_ui(term, term, i);
        mpz_add(out, out, term);
    }
    for (int i = 0; i < HALVINGS; i++) {
        mpz_mul(out, out, out);
        mpz_tdiv_q_2exp(out, out, (mp_bitcnt_t)own);
    }
    mpz_tdiv_q_2exp(out, out, 64);
    long exponent = mpz_get_si(k);
    mpz_clears(r, ln2, k, term, NULL);
    return exponent;
}

/* value * 2^shift with `bits` behind the point, to a numeric of that scale. */
static Status fixed_to_numeric(mpz_t value, long shift, long bits, int scale, Str *out,
                               Arena *arena, Error *error) {
    mpz_t unit;
    mpz_init(unit);
    mpz_scale_up(value, scale);
    long down = bits - shift;
    if (down > 0) {
        mpz_setbit(unit, (mp_bitcnt_t)down);
        mpz_divide_rounded(value, unit);
    } else {
        mpz_mul_2exp(value, value, (mp_bitcnt_t)-down);
    }
    mpz_clear(unit);
    return numeric_from_mpz(value, scale, out, arena, error);
}

/* ---- PostgreSQL's estimates ---- */

/* The number made of the first groups of four digits (at most `groups`, trailing zero groups left
 * out); the value is about that times 10^exponent. 0 for zero. */
static double first_groups(Str n, int groups, int *exponent) {
    int ignored;
    int weight = numeric_weight_first(n, &ignored);
    *exponent = 0;
    if (numeric_sign_of(n) == 0) return 0;
    int last = weight - groups + 1; /* the group that is the last to count */
    mpz_t value;
    mpz_init(value);
    numeric_to_mpz(n, value);
    mpz_abs(value, value);
    int down = last * 4 + numeric_head_scale(n); /* digits behind that group */
    if (down > 0) {
        mpz_t power;
        mpz_init(power);
        mpz_ui_pow_ui(power, 10, (unsigned long)down);
        mpz_tdiv_q(value, value, power);
        mpz_clear(power);
    } else {
        mpz_scale_up(value, -down);
    }
    for (int i = 1; i < groups && mpz_divisible_ui_p(value, 10000); i++) {
        mpz_tdiv_q_ui(value, value, 10000);
        last++;
    }
    double digits = mpz_get_d(value);
    mpz_clear(value);
    *exponent = last * 4;
    return digits;
}

/* About how many digits ln(n) has before its point. */
static int ln_weight(Str n, Arena *arena) {
    if (numeric_sign_of(n) <= 0) return 0;
    if (numeric_compare(n, numeric_from_int128(9, 1, arena)) >= 0 &&
        numeric_compare(n, numeric_from_int128(11, 1, arena)) <= 0) {
        Str x;
        if (numeric_subtract(n, numeric_from_int64(1, arena), &x, arena, NULL) != OK ||
            numeric_sign_of(x) == 0)
            return 0;
        int first;
        int weight = numeric_weight_first(x, &first);
        return weight * 4 + (int)log10((double)first);
    }
    int exponent;
    double digits = first_groups(n, 2, &exponent);
    double ln = log(digits) + exponent * 2.302585092994046;
    return (int)log10(fabs(ln));
}

/* ---- what SQL calls ---- */

Status numeric_sqrt(Str n, Str *out, Arena *arena, Error *error) {
    if (numeric_sign_of(n) < 0)
        return reject(error, "cannot take square root of a negative number");
    *out = n;
    if (!numeric_finite(n)) return OK;
    int scale = DIGITS_WANTED - (numeric_weight(n) * 4 / 2 + 1);
    scale = clamp_scale(most(scale, numeric_head_scale(n)));
    mpz_t value;
    mpz_init(value);
    numeric_to_mpz(n, value);
    int up = 2 * (scale + 1) - numeric_head_scale(n); /* one digit more, to round by */
    if (up >= 0) mpz_scale_up(value, up);
    else mpz_rescale(value, -up, 0);
    mpz_sqrt(value, value);
    mpz_rescale(value, 1, 0);
    Status status = numeric_from_mpz(value, scale, out, arena, error);
    mpz_clear(value);
    return status;
}

/* e^x for a finite x in fixed point, about `estimate`. */
static Status exp_to_scale(const mpz_t x, long bits, double estimate, int scale, Str *out,
                           Arena *arena, Error *error) {
    if (fabs(estimate) >= EXP_MOST) {
        if (estimate > 0) return overflow(error);
        *out = numeric_from_int128(0, scale, arena);
        return OK;
    }
    mpz_t result;
    mpz_init(result);
    long shift = fixed_exp(result, x, bits);
    Status status = fixed_to_numeric(result, shift, bits, scale, out, arena, error);
    mpz_clear(result);
    return status;
}

/* unscaled / 10^scale in fixed point */
static void to_fixed(mpz_t value, int scale, long bits) {
    mpz_t ten;
    mpz_init(ten);
    mpz_ui_pow_ui(ten, 10, (unsigned long)scale);
    mpz_mul_2exp(value, value, (mp_bitcnt_t)bits);
    mpz_tdiv_q(value, value, ten);
    mpz_clear(ten);
}

static double limit(double value, double most_size) {
    return value > most_size ? most_size : value < -most_size ? -most_size : value;
}

Status numeric_exp(Str n, Str *out, Arena *arena, Error *error) {
    if (!numeric_finite(n)) {
        *out = numeric_sign_of(n) < 0 ? numeric_from_int64(0, arena) : n;
        return OK;
    }
    double value = numeric_to_double(n);
    double weight = limit(value * 0.434294481903252, RESULT_SCALE_MOST);
    int scale = clamp_scale(most(DIGITS_WANTED - (int)weight, numeric_head_scale(n)));
    if (fabs(value) >= EXP_MOST) {
        if (value > 0) return overflow(error);
        *out = numeric_from_int128(0, scale, arena);
        return OK;
    }
    long bits = bits_for(scale + (weight > 0 ? (long)(value * 0.4343) : 0));
    mpz_t x;
    mpz_init(x);
    numeric_to_mpz(n, x);
    to_fixed(x, numeric_head_scale(n), bits);
    Status status = exp_to_scale(x, bits, value, scale, out, arena, error);
    mpz_clear(x);
    return status;
}

static Status check_ln(Str n, Error *error) {
    if (numeric_is_nan(n)) return OK;
    if (numeric_sign_of(n) < 0) return reject(error, "cannot take logarithm of a negative number");
    if (numeric_sign_of(n) == 0) return reject(error, "cannot take logarithm of zero");
    return OK;
}

static void ln_of(Str n, mpz_t out, long bits) {
    mpz_t value;
    mpz_init(value);
    numeric_to_mpz(n, value);
    fixed_ln(out, value, numeric_head_scale(n), bits);
    mpz_clear(value);
}

Status numeric_ln(Str n, Str *out, Arena *arena, Error *error) {
    Status status = check_ln(n, error);
    if (status != OK) return status;
    *out = n;
    if (!numeric_finite(n)) return OK;
    int scale = clamp_scale(most(DIGITS_WANTED - ln_weight(n, arena), numeric_head_scale(n)));
    long bits = bits_for(scale);
    mpz_t result;
    mpz_init(result);
    ln_of(n, result, bits);
    status = fixed_to_numeric(result, 0, bits, scale, out, arena, error);
    mpz_clear(result);
    return status;
}

static Status special_log(Str base, Str n, Str *out, Arena *arena) {
    if (numeric_is_nan(base) || numeric_is_nan(n) || (!numeric_finite(base) && !numeric_finite(n)))
        *out = numeric_special(NUMERIC_NAN, arena);
    else if (numeric_finite(base)) *out = n;
    else *out = numeric_from_int64(0, arena);
    return OK;
}

Status numeric_log(Str base, Str n, Str *out, Arena *arena, Error *error) {
    if (!numeric_is_nan(base) && !numeric_is_nan(n)) {
        Status status = check_ln(base, error);
        if (status == OK) status = check_ln(n, error);
        if (status != OK) return status;
    }
    if (!numeric_finite(base) || !numeric_finite(n)) return special_log(base, n, out, arena);
    int base_weight = ln_weight(base, arena), weight = ln_weight(n, arena) - base_weight;
    int scale = most(DIGITS_WANTED - weight, numeric_head_scale(base));
    scale = clamp_scale(most(scale, numeric_head_scale(n)));
    long bits = bits_for(scale + abs(weight) + 2L * abs(base_weight));
    mpz_t x, y;
    mpz_inits(x, y, NULL);
    ln_of(n, x, bits);
    ln_of(base, y, bits);
    Status status;
    if (numeric_compare(base, numeric_from_int64(1, arena)) == 0) {
        status = reject(error, "division by zero");
    } else {
        mpz_mul_2exp(x, x, (mp_bitcnt_t)bits);
        mpz_tdiv_q(x, x, y);
        status = fixed_to_numeric(x, 0, bits, scale, out, arena, error);
    }
    mpz_clears(x, y, NULL);
    return status;
}

/* ---- power ---- */

static bool is_whole(Str n, Arena *arena) {
    return numeric_compare(n, numeric_floor(n, arena)) == 0;
}

static bool is_odd(Str n, Arena *arena) {
    Str rest;
    return numeric_modulo(n, numeric_from_int64(2, arena), &rest, arena, NULL) == OK &&
           numeric_sign_of(rest) != 0;
}

/* With NaN or infinities, by POSIX's rules for pow; the signs' errors are settled. */
static Status special_power(Str a, Str b, Str *out, Arena *arena) {
    Str one = numeric_from_int64(1, arena), zero = numeric_from_int64(0, arena);
    bool a_is_one = numeric_finite(a) && numeric_compare(a, one) == 0;
    bool b_is_zero = numeric_finite(b) && numeric_sign_of(b) == 0;
    *out = one;
    if (a_is_one || b_is_zero) return OK;
    if (numeric_is_nan(a) || numeric_is_nan(b)) {
        *out = numeric_special(NUMERIC_NAN, arena);
    } else if (!numeric_finite(b)) {
        if (numeric_finite(a) && numeric_compare(a, numeric_from_int64(-1, arena)) == 0) return OK;
        bool grows = !numeric_finite(a) || numeric_compare(numeric_abs(a, arena), one) > 0;
        *out = numeric_sign_of(a) == 0             ? zero
               : grows == (numeric_sign_of(b) > 0) ? numeric_special(NUMERIC_PLUS_INFINITY, arena)
                                                   : zero;
    } else if (numeric_sign_of(b) < 0) {
        *out = zero;
    } else {
        bool negative = numeric_sign_of(a) < 0 && is_odd(b, arena);
        *out = numeric_special(negative ? NUMERIC_MINUS_INFINITY : NUMERIC_PLUS_INFINITY, arena);
    }
    return OK;
}

/* base^exponent by way of logarithms, to `scale`; base is positive, the result about 10^weight. */
static Status power_by_ln(Str base, const mpz_t exponent, int exponent_scale, double weight,
                          int scale, bool negative, Str *out, Arena *arena, Error *error) {
    long bits =
        bits_for(scale + (weight > 0 ? (long)weight + 1 : 0)) + (long)mpz_sizeinbase(exponent, 2);
    mpz_t x, ten;
    mpz_inits(x, ten, NULL);
    ln_of(base, x, bits);
    mpz_mul(x, x, exponent);
    mpz_ui_pow_ui(ten, 10, (unsigned long)exponent_scale);
    mpz_fdiv_q(x, x, ten);
    long shift = fixed_exp(x, x, bits);
    if (negative) mpz_neg(x, x);
    Status status = fixed_to_numeric(x, shift, bits, scale, out, arena, error);
    mpz_clears(x, ten, NULL);
    return status;
}

enum { EXACT_BITS_MOST = 1 << 20 }; /* a power of more bits is made by way of logarithms */

/* A whole exponent that fits an int: exact where that is not too long. */
static Status power_whole(Str base, int exponent, Str *out, Arena *arena, Error *error) {
    int group_exponent;
    double groups = first_groups(base, 4, &group_exponent);
    double weight = groups > 0 ? exponent * (log10(groups) + group_exponent) : 0;
    if (weight > WHOLE_DIGITS_MOST) return overflow(error);
    int scale = clamp_scale(most(DIGITS_WANTED, numeric_head_scale(base)));
    if (weight + 1 < -scale) {
        *out = numeric_from_int128(0, scale, arena);
        return OK;
    }
    mpz_t value, divisor;
    mpz_inits(value, divisor, NULL);
    numeric_to_mpz(base, value);
    int base_scale = numeric_head_scale(base);
    bool negative = mpz_sgn(value) < 0 && exponent % 2 != 0;
    mpz_abs(value, value);
    unsigned long times = exponent < 0 ? -(unsigned long)exponent : (unsigned long)exponent;
    Status status;
    double bits = (double)(mpz_sizeinbase(value, 2) + (size_t)base_scale * 4) * (double)times;
    if (bits <= EXACT_BITS_MOST || mpz_sgn(value) == 0) {
        mpz_ui_pow_ui(divisor, 10, mpz_sgn(value) == 0 ? 0 : (unsigned long)base_scale * times);
        if (mpz_sgn(value) == 0) mpz_set_ui(value, times == 0);
        else mpz_pow_ui(value, value, times);
        if (exponent < 0) mpz_swap(value, divisor);
        mpz_scale_up(value, scale);
        mpz_divide_rounded(value, divisor);
        if (negative) mpz_neg(value, value);
        status = numeric_from_mpz(value, scale, out, arena, error);
    } else {
        mpz_set_si(value, exponent);
        status = power_by_ln(numeric_abs(base, arena), value, 0, weight, scale, negative, out,
                             arena, error);
    }
    mpz_clears(value, divisor, NULL);
    return status;
}

/* PostgreSQL's first look at ln(base ^ power), to about eight digits: the scale of the result hangs
 * on just how it is rounded. `power` is unscaled. */
static double power_estimate(Str base, const mpz_t power, int power_scale, Arena *arena) {
    int weight = ln_weight(base, arena), scale = most(8 - weight, 0);
    long bits = bits_for(32 - weight);
    mpz_t ln, unit;
    mpz_inits(ln, unit, NULL);
    ln_of(base, ln, bits);
    mpz_scale_up(ln, scale);
    mpz_setbit(unit, (mp_bitcnt_t)bits);
    mpz_divide_rounded(ln, unit);
    mpz_mul(ln, ln, power);
    mpz_rescale(ln, scale + power_scale, scale);
    mpz_ui_pow_ui(unit, 10, (unsigned long)scale);
    long ln_exponent, unit_exponent;
    double value = mpz_get_d_2exp(&ln_exponent, ln) / mpz_get_d_2exp(&unit_exponent, unit);
    mpz_clears(ln, unit, NULL);
    return ldexp(value, (int)(ln_exponent - unit_exponent));
}

Status numeric_power(Str a, Str b, Str *out, Arena *arena, Error *error) {
    bool nan = numeric_is_nan(a) || numeric_is_nan(b);
    if (!nan && numeric_sign_of(a) == 0 && numeric_sign_of(b) < 0)
        return reject(error, "zero raised to a negative power is undefined");
    bool whole = !numeric_finite(b) || is_whole(b, arena);
    if (!nan && numeric_sign_of(a) < 0 && !whole)
        return reject(error,
                      "a negative number raised to a non-integer power yields a complex result");
    if (!numeric_finite(a) || !numeric_finite(b)) return special_power(a, b, out, arena);
    int64_t exponent;
    if (whole && numeric_to_int64(b, &exponent, NULL) == OK && exponent == (int32_t)exponent)
        return power_whole(a, (int)exponent, out, arena, error);
    if (numeric_sign_of(a) == 0) {
        *out = numeric_from_int128(0, DIGITS_WANTED, arena);
        return OK;
    }
    bool negative = numeric_sign_of(a) < 0 && is_odd(b, arena);
    Str base = numeric_abs(a, arena);
    mpz_t power;
    mpz_init(power);
    numeric_to_mpz(b, power);
    double value = power_estimate(base, power, numeric_head_scale(b), arena);
    Status status;
    if (fabs(value) > RESULT_SCALE_MOST * 3.01) {
        *out = numeric_from_int128(0, SCALE_CHOSEN_MOST, arena);
        status = value > 0 ? overflow(error) : OK;
    } else {
        double weight = value * 0.434294481903252;
        int scale = most(DIGITS_WANTED - (int)weight, numeric_head_scale(a));
        scale = clamp_scale(most(scale, numeric_head_scale(b)));
        if (fabs(value) >= EXP_MOST) {
            *out = numeric_from_int128(0, scale, arena);
            status = value > 0 ? overflow(error) : OK;
        } else {
            status = power_by_ln(base, power, numeric_head_scale(b), weight, scale, negative, out,
                                 arena, error);
        }
    }
    mpz_clear(power);
    return status;
}
