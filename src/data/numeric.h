/* numeric: exact decimals as PostgreSQL's. In a column a numeric is a Str of bytes: see numeric.c
 * for the drawn layout. Values whose digits fit 128 bits are computed with integers, others with
 * GMP; results and scales are PostgreSQL's. */
#pragma once
#include "base/memory.h"

typedef __int128 int128;

/* Each returns a Str in `arena`, or REJECT with PostgreSQL's message ("division by zero", "value
 * overflows numeric format"). */
Str numeric_from_int64(int64_t, Arena *);
Str numeric_from_int128(int128 unscaled, int scale, Arena *);
/* 15 significant digits, as PostgreSQL's cast. */
CHECKED Status numeric_from_double(double, Str *out, Arena *, Error *);
CHECKED Status numeric_from_float4(double, Str *out, Arena *, Error *); /* 6 significant digits */
CHECKED Status numeric_parse(Str text, Str *out, Arena *, Error *); /* also NaN, Infinity, 1e3 */
void numeric_text(Str, Buffer *out);
double numeric_to_double(Str); /* beyond a double's range: infinite */
/* Rounds half away from zero; "bigint out of range". */
CHECKED Status numeric_to_int64(Str, int64_t *out, Error *);
/* Rounds to numeric(p,s): modifier as in Type. REJECT "numeric field overflow". -1: unchanged. */
CHECKED Status numeric_apply_modifier(Str, int32_t modifier, Str *out, Arena *, Error *);

CHECKED Status numeric_add(Str, Str, Str *out, Arena *, Error *);
CHECKED Status numeric_subtract(Str, Str, Str *out, Arena *, Error *);
CHECKED Status numeric_multiply(Str, Str, Str *out, Arena *, Error *);
CHECKED Status numeric_divide(Str, Str, Str *out, Arena *, Error *);
CHECKED Status numeric_modulo(Str, Str, Str *out, Arena *, Error *);
Str numeric_negate(Str, Arena *);
Str numeric_abs(Str, Arena *);
int numeric_sign(Str); /* -1, 0, 1; NaN: 1 */
/* Digits may be negative. */
CHECKED Status numeric_round(Str, int digits, Str *out, Arena *, Error *);
CHECKED Status numeric_trunc(Str, int digits, Str *out, Arena *, Error *);
Str numeric_floor(Str, Arena *);
Str numeric_ceil(Str, Arena *);
CHECKED Status numeric_sqrt(Str, Str *out, Arena *, Error *);
CHECKED Status numeric_exp(Str, Str *out, Arena *, Error *);
CHECKED Status numeric_ln(Str, Str *out, Arena *, Error *);
CHECKED Status numeric_log(Str base, Str, Str *out, Arena *, Error *);
CHECKED Status numeric_power(Str, Str, Str *out, Arena *, Error *);
int numeric_compare(Str, Str); /* NaN is greater than all and equal to itself */
int numeric_scale(Str);        /* digits behind the point that are shown */
bool numeric_is_nan(Str);
Str numeric_normalize(Str, Arena *); /* trailing zeros gone: equal values, equal bytes */

bool numeric_is_finite(Str);
/* Bytes from outside (a record of the home) are a numeric as numeric.c lays it out. */
bool numeric_valid(Str bytes);
/* numeric_normalize without an arena, into `room`, for all but the largest. false: it is one of
 * those. */
enum { NUMERIC_SMALL_BYTES = 19 };
bool numeric_normalize_small(Str, char room[NUMERIC_SMALL_BYTES], Str *out);

/* A running exact sum that stays in 128 bits as long as it can: for sum and avg. */
typedef struct NumericSum {
    int128 small;  /* unscaled, at `scale` */
    int32_t scale; /* the greatest scale seen */
    int64_t count;
    int32_t nans, plus_infinities, minus_infinities;
    void *large; /* owned: the rest of the sum once 128 bits did not hold it; NULL before */
} NumericSum;
void numeric_sum_add(NumericSum *, Str);
void numeric_sum_merge(NumericSum *, const NumericSum *);
Str numeric_sum_total(const NumericSum *, Arena *);
/* Total / count, as numeric_divide. */
CHECKED Status numeric_sum_average(const NumericSum *, Str *out, Arena *, Error *);
void numeric_sum_encode(const NumericSum *, Buffer *);
void numeric_sum_decode(NumericSum *, Reader *);
void numeric_sum_free(NumericSum *); /* releases `large`; zeroes the sum */
