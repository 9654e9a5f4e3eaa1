/* The bridge to GMP for values beyond 128 bits. They are rare, so each operation makes and frees
 * its own integers. */
#include "data/numeric_internal.h"
#include <stdlib.h>

void mpz_set_int128(mpz_t to, int128 value) {
    uint128 bits = magnitude(value);
    uint64_t words[2] = {(uint64_t)bits, (uint64_t)(bits >> 64)};
    mpz_import(to, 2, -1, sizeof *words, 0, 0, words);
    if (value < 0) mpz_neg(to, to);
}

bool mpz_get_int128(const mpz_t from, int128 *value) {
    if (mpz_sizeinbase(from, 2) > 127) return false;
    uint64_t words[2] = {0, 0};
    mpz_export(words, NULL, -1, sizeof *words, 0, 0, from);
    int128 result = (int128)((uint128)words[1] << 64 | words[0]);
    *value = mpz_sgn(from) < 0 ? -result : result;
    return true;
}

void numeric_to_mpz(Str n, mpz_t to) {
    int128 value;
    int scale;
    if (numeric_small(n, &value, &scale)) {
        mpz_set_int128(to, value);
        return;
    }
    mpz_import(to, n.size - NUMERIC_HEAD - 1, -1, 1, 0, 0, n.data + NUMERIC_HEAD + 1);
    if (n.data[NUMERIC_HEAD]) mpz_neg(to, to);
}

long mpz_decimal_digits(const mpz_t value) {
    if (mpz_sgn(value) == 0) return 0;
    size_t digits = mpz_sizeinbase(value, 10); /* right or one too large */
    mpz_t power;
    mpz_init(power);
    mpz_ui_pow_ui(power, 10, digits - 1);
    if (mpz_cmpabs(value, power) < 0) digits--;
    mpz_clear(power);
    return (long)digits;
}

Status numeric_from_mpz(mpz_t unscaled, int scale, Str *out, Arena *arena, Error *error) {
    if (scale > SCALE_MOST) {
        mpz_rescale(unscaled, scale, SCALE_MOST);
        scale = SCALE_MOST;
    }
    int128 small;
    if (mpz_get_int128(unscaled, &small)) {
        *out = numeric_from_int128(small, scale, arena);
        return OK;
    }
    if (mpz_decimal_digits(unscaled) - scale > WHOLE_DIGITS_MOST)
        return reject(error, "value overflows numeric format");
    size_t size = (mpz_sizeinbase(unscaled, 2) + 7) / 8;
    char *bytes = arena_zero(arena, NUMERIC_HEAD + 1 + size);
    bytes[0] = NUMERIC_BIG;
    bytes[1] = (char)scale;
    bytes[2] = (char)(scale >> 8);
    bytes[NUMERIC_HEAD] = mpz_sgn(unscaled) < 0;
    mpz_export(bytes + NUMERIC_HEAD + 1, NULL, -1, 1, 0, 0, unscaled);
    *out = (Str){bytes, NUMERIC_HEAD + 1 + size};
    return OK;
}

void mpz_scale_up(mpz_t value, int digits) {
    if (digits <= 0 || mpz_sgn(value) == 0) return;
    mpz_t power;
    mpz_init(power);
    mpz_ui_pow_ui(power, 10, (unsigned long)digits);
    mpz_mul(value, value, power);
    mpz_clear(power);
}

void mpz_divide_rounded(mpz_t value, const mpz_t by) {
    mpz_t rest;
    mpz_init(rest);
    int sign = mpz_sgn(value);
    mpz_tdiv_qr(value, rest, value, by);
    mpz_mul_2exp(rest, rest, 1);
    if (mpz_cmpabs(rest, by) >= 0) {
        if (sign < 0) mpz_sub_ui(value, value, 1);
        else mpz_add_ui(value, value, 1);
    }
    mpz_clear(rest);
}

void mpz_rescale(mpz_t value, int from_scale, int to_scale) {
    if (to_scale >= from_scale) {
        mpz_scale_up(value, to_scale - from_scale);
        return;
    }
    if (mpz_sgn(value) == 0) return;
    if (from_scale - to_scale >
        mpz_decimal_digits(value)) { /* less than a tenth of the last place */
        mpz_set_ui(value, 0);
        return;
    }
    mpz_t power;
    mpz_init(power);
    mpz_ui_pow_ui(power, 10, (unsigned long)(from_scale - to_scale));
    mpz_divide_rounded(value, power);
    mpz_clear(power);
}

int numeric_weight_first(Str n, int *first_group) {
    int128 value;
    int scale;
    *first_group = 0;
    if (numeric_small(n, &value, &scale)) {
        uint128 bits = magnitude(value);
        int digits = decimal_digits(bits);
        if (digits == 0) return 0;
        int exponent = digits - 1 - scale;
        int weight = floor_div(exponent, 4);
        int shown = exponent - 4 * weight + 1; /* digits of the first group, 1 … 4 */
        bits = digits >= shown ? bits / (uint128)power_of_ten[digits - shown]
                               : bits * (uint128)power_of_ten[shown - digits];
        *first_group = (int)bits;
        return weight;
    }
    mpz_t big, power;
    mpz_inits(big, power, NULL);
    numeric_to_mpz(n, big);
    long digits = mpz_decimal_digits(big);
    int exponent = (int)digits - 1 - numeric_head_scale(n);
    int weight = floor_div(exponent, 4);
    mpz_ui_pow_ui(power, 10, (unsigned long)(digits - (exponent - 4 * weight + 1)));
    mpz_tdiv_q(big, big, power);
    *first_group = abs((int)mpz_get_si(big));
    mpz_clears(big, power, NULL);
    return weight;
}

int numeric_weight(Str n) {
    int first;
    return numeric_weight_first(n, &first);
}

/* PostgreSQL's choice of digits for a quotient: at least sixteen significant ones by an estimate
 * from the first groups of four digits, and no fewer than either side shows. */
int numeric_division_scale(Str a, Str b) {
    int a_first, b_first;
    int weight = numeric_weight_first(a, &a_first) - numeric_weight_first(b, &b_first);
    if (a_first <= b_first) weight--;
    int scale = DIGITS_WANTED - weight * 4;
    scale = most(scale, numeric_head_scale(a));
    scale = most(scale, numeric_head_scale(b));
    return least(most(scale, 0), SCALE_CHOSEN_MOST);
}
