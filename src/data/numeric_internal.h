/* What the files of numeric share: the layout of the bytes, 128-bit helpers and GMP twins. Inside
 * of data/ only.
 *
 *   byte 0      form
 *   bytes 1-2   scale, little-endian: digits behind the point, 0 … 16383
 *   INT64       8 bytes little-endian: the value times 10^scale
 *   INT128      16 bytes likewise, where 8 are too few
 *   BIG         1 byte sign (0 or 1: negative), then the magnitude little-endian without leading
 *               zeros, where 16 are too few
 *   others      nothing more
 *
 * The shortest form that holds a value is always the one used, so equal values of equal scale have
 * equal bytes. */
#pragma once
#include "data/numeric.h"
#include <gmp.h>

typedef enum NumericForm {
    NUMERIC_INT64,
    NUMERIC_INT128,
    NUMERIC_BIG,
    NUMERIC_NAN,
    NUMERIC_PLUS_INFINITY,
    NUMERIC_MINUS_INFINITY,
} NumericForm;

typedef unsigned __int128 uint128;

enum {
    NUMERIC_HEAD = 3,
    SCALE_MOST = 16383,         /* that can be stored */
    SCALE_CHOSEN_MOST = 1000,   /* that PostgreSQL chooses for a result by itself */
    DIGITS_WANTED = 16,         /* significant digits that PostgreSQL aims at */
    WHOLE_DIGITS_MOST = 131072, /* before the point */
    POWERS = 39,                /* 10^0 … 10^38 fit 128 bits */
};

extern const int128 power_of_ten[POWERS];

static inline NumericForm numeric_form(Str n) { return (NumericForm)(unsigned char)n.data[0]; }

static inline int numeric_head_scale(Str n) {
    return (unsigned char)n.data[1] | (unsigned char)n.data[2] << 8;
}

/* false: it is not finite or too large for 128 bits. */
static inline bool numeric_small(Str n, int128 *unscaled, int *scale) {
    if (numeric_form(n) == NUMERIC_INT64) {
        int64_t value;
        memcpy(&value, n.data + NUMERIC_HEAD, 8);
        *unscaled = value;
    } else if (numeric_form(n) == NUMERIC_INT128) {
        memcpy(unscaled, n.data + NUMERIC_HEAD, 16);
    } else {
        return false;
    }
    *scale = numeric_head_scale(n);
    return true;
}

/* a times 10^digits; false: it does not fit. */
static inline bool scale_up(int128 a, int digits, int128 *out) {
    if (digits >= POWERS) {
        *out = 0;
        return a == 0;
    }
    return !__builtin_mul_overflow(a, power_of_ten[digits], out);
}

/* a / b, rounded half away from zero; b > 0. */
static inline int128 divide_rounded(int128 a, int128 b) {
    int128 quotient = a / b, rest = a % b;
    if (rest < 0) rest = -rest;
    if (rest >= b - rest) quotient += a < 0 ? -1 : 1;
    return quotient;
}

int decimal_digits(uint128 value); /* of 0: 0 */
static inline uint128 magnitude(int128 value) {
    return value < 0 ? -(uint128)value : (uint128)value;
}

Str numeric_special(NumericForm, Arena *); /* NaN and the infinities */
static inline bool numeric_finite(Str n) { return numeric_form(n) <= NUMERIC_BIG; }
int numeric_sign_of(Str); /* -1, 0, 1; infinities their sign; NaN 0 */

/* GMP. `to` is initialised by the caller. */
void numeric_to_mpz(Str, mpz_t to); /* a finite one: the unscaled integer */
/* Rejects what has more digits than PostgreSQL's format holds. A scale over SCALE_MOST is rounded
 * off. */
CHECKED Status numeric_from_mpz(mpz_t unscaled, int scale, Str *out, Arena *, Error *);
void mpz_set_int128(mpz_t to, int128 value);
bool mpz_get_int128(const mpz_t from, int128 *value);        /* false: it does not fit */
void mpz_scale_up(mpz_t value, int digits);                  /* times 10^digits */
void mpz_divide_rounded(mpz_t value, const mpz_t by);        /* half away from zero; by > 0 */
void mpz_rescale(mpz_t value, int from_scale, int to_scale); /* rounds half away from zero */
long mpz_decimal_digits(const mpz_t value);                  /* of 0: 0 */

/* PostgreSQL counts in groups of four digits. The group that the first digit is in, 0 being the one
 * just before the point; 0 for zero. */
int numeric_weight(Str);
/* The same and the number that the first group shows; 0 for zero. */
int numeric_weight_first(Str, int *first_group);
int numeric_division_scale(Str a, Str b);
static inline int floor_div(int a, int b) { return a / b - (a % b != 0 && (a < 0) != (b < 0)); }
static inline int most(int a, int b) { return a > b ? a : b; }
static inline int least(int a, int b) { return a < b ? a : b; }
