/* Numerics as bytes: made, read, printed, compared. Values are an integer and a scale; whatever
 * fits 128 bits never sees GMP. The layout of the bytes is drawn in numeric_internal.h. */
#include "data/double.h"
#include "data/numeric_internal.h"
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define E19 ((int128)UINT64_C(10000000000000000000))
const int128 power_of_ten[POWERS] = {
    1,
    10,
    100,
    1000,
    10000,
    100000,
    1000000,
    10000000,
    100000000,
    1000000000,
    10000000000,
    100000000000,
    1000000000000,
    10000000000000,
    100000000000000,
    1000000000000000,
    10000000000000000,
    100000000000000000,
    1000000000000000000,
    E19,
    E19 * 10,
    E19 * 100,
    E19 * 1000,
    E19 * 10000,
    E19 * 100000,
    E19 * 1000000,
    E19 * 10000000,
    E19 * 100000000,
    E19 * 1000000000,
    E19 * 10000000000,
    E19 * 100000000000,
    E19 * 1000000000000,
    E19 * 10000000000000,
    E19 * 100000000000000,
    E19 * 1000000000000000,
    E19 * 10000000000000000,
    E19 * 100000000000000000,
    E19 * 1000000000000000000,
    E19 * 1000000000000000000 * 10,
};

int decimal_digits(uint128 value) {
    if (value == 0) return 0;
    uint64_t high = (uint64_t)(value >> 64);
    int bits = high ? 128 - __builtin_clzll(high) : 64 - __builtin_clzll((uint64_t)value);
    int digits = bits * 1233 >> 12; /* log10(2), at most one too small */
    return digits < POWERS && value >= (uint128)power_of_ten[digits] ? digits + 1 : digits;
}

static size_t pack(int128 unscaled, int scale, char to[NUMERIC_SMALL_BYTES]) {
    bool narrow = unscaled == (int64_t)unscaled;
    to[0] = narrow ? NUMERIC_INT64 : NUMERIC_INT128;
    to[1] = (char)scale;
    to[2] = (char)(scale >> 8);
    memcpy(to + NUMERIC_HEAD, &unscaled, narrow ? 8 : 16);
    return NUMERIC_HEAD + (narrow ? 8 : 16);
}

Str numeric_from_int128(int128 unscaled, int scale, Arena *arena) {
    char *bytes = arena_alloc(arena, NUMERIC_SMALL_BYTES);
    return (Str){bytes, pack(unscaled, scale, bytes)};
}

Str numeric_from_int64(int64_t value, Arena *arena) { return numeric_from_int128(value, 0, arena); }

Str numeric_special(NumericForm form, Arena *arena) {
    char *bytes = arena_zero(arena, NUMERIC_HEAD);
    bytes[0] = (char)form;
    return (Str){bytes, NUMERIC_HEAD};
}

bool numeric_valid(Str n) {
    if (n.size < NUMERIC_HEAD || numeric_head_scale(n) > SCALE_MOST) return false;
    switch (numeric_form(n)) {
    case NUMERIC_INT64: return n.size == NUMERIC_HEAD + 8;
    case NUMERIC_INT128: return n.size == NUMERIC_HEAD + 16;
    case NUMERIC_BIG:
        return n.size >= NUMERIC_HEAD + 1 + 16 && (unsigned char)n.data[NUMERIC_HEAD] <= 1;
    case NUMERIC_NAN:
    case NUMERIC_PLUS_INFINITY:
    case NUMERIC_MINUS_INFINITY: return n.size == NUMERIC_HEAD;
    }
    return false;
}

bool numeric_is_nan(Str n) { return numeric_form(n) == NUMERIC_NAN; }
bool numeric_is_finite(Str n) { return numeric_finite(n); }
int numeric_scale(Str n) { return numeric_head_scale(n); }

int numeric_sign_of(Str n) {
    int128 value;
    int scale;
    if (numeric_small(n, &value, &scale)) return (value > 0) - (value < 0);
    switch (numeric_form(n)) {
    case NUMERIC_BIG: return n.data[NUMERIC_HEAD] ? -1 : 1;
    case NUMERIC_PLUS_INFINITY: return 1;
    case NUMERIC_MINUS_INFINITY: return -1;
    default: return 0;
    }
}

int numeric_sign(Str n) { return numeric_is_nan(n) ? 1 : numeric_sign_of(n); }

/* ---- text ---- */

/* The pieces of "-12.5e3", all views into the text. */
typedef struct Pieces {
    bool minus;
    Str whole, fraction;
    long exponent;
} Pieces;

static Str take_digits(Str *rest) {
    Str digits = {rest->data, 0};
    while (rest->size && isdigit((unsigned char)*rest->data))
        rest->data++, rest->size--, digits.size++;
    return digits;
}

static bool take_sign(Str *rest, bool *minus) {
    *minus = rest->size && *rest->data == '-';
    bool sign = rest->size && (*rest->data == '-' || *rest->data == '+');
    if (sign) rest->data++, rest->size--;
    return sign;
}

static bool split(Str rest, Pieces *out) {
    *out = (Pieces){0};
    take_sign(&rest, &out->minus);
    out->whole = take_digits(&rest);
    if (rest.size && *rest.data == '.') {
        rest.data++, rest.size--;
        out->fraction = take_digits(&rest);
    }
    if (out->whole.size + out->fraction.size == 0) return false;
    if (rest.size && (*rest.data | 32) == 'e') {
        rest.data++, rest.size--;
        bool minus;
        take_sign(&rest, &minus);
        Str digits = take_digits(&rest);
        if (digits.size == 0) return false;
        for (size_t i = 0; i < digits.size && out->exponent < 1000000000; i++)
            out->exponent = out->exponent * 10 + (digits.data[i] - '0');
        if (minus) out->exponent = -out->exponent;
    }
    return rest.size == 0;
}

static Status parse_special(Str text, Str full, Str *out, Arena *arena, Error *error) {
    bool minus;
    Str word = text;
    bool sign = take_sign(&word, &minus);
    if (!sign && str_equal_nocase(word, STR("nan"))) {
        *out = numeric_special(NUMERIC_NAN, arena);
    } else if (str_equal_nocase(word, STR("infinity")) || str_equal_nocase(word, STR("inf"))) {
        *out = numeric_special(minus ? NUMERIC_MINUS_INFINITY : NUMERIC_PLUS_INFINITY, arena);
    } else {
        return reject(error, "invalid input syntax for type numeric: \"%.*s\"", STR_ARG(full));
    }
    return OK;
}

static Status parse_big(const Pieces *p, Str *out, Arena *arena, Error *error) {
    Str whole = p->whole;
    while (whole.size && *whole.data == '0') whole.data++, whole.size--;
    long scale = (long)p->fraction.size - p->exponent;
    long up = scale < 0 ? -scale : 0;
    if (scale < 0) scale = 0;
    bool zero = whole.size == 0;
    for (size_t i = 0; i < p->fraction.size && zero; i++) zero = p->fraction.data[i] == '0';
    if (scale > SCALE_MOST ||
        (!zero && (long)(whole.size + p->fraction.size) + up > WHOLE_DIGITS_MOST + SCALE_MOST))
        return reject(error, "value overflows numeric format");
    char *digits = xmalloc(whole.size + p->fraction.size + 2);
    digits[0] = '0';
    if (whole.size) memcpy(digits + 1, whole.data, whole.size);
    if (p->fraction.size) memcpy(digits + 1 + whole.size, p->fraction.data, p->fraction.size);
    digits[1 + whole.size + p->fraction.size] = '\0';
    mpz_t value;
    mpz_init_set_str(value, digits, 10);
    free(digits);
    if (!zero) mpz_scale_up(value, (int)up);
    if (p->minus) mpz_neg(value, value);
    Status status = numeric_from_mpz(value, (int)scale, out, arena, error);
    mpz_clear(value);
    return status;
}

Status numeric_parse(Str text, Str *out, Arena *arena, Error *error) {
    Str trimmed = text;
    while (trimmed.size && isspace((unsigned char)trimmed.data[0])) trimmed.data++, trimmed.size--;
    while (trimmed.size && isspace((unsigned char)trimmed.data[trimmed.size - 1])) trimmed.size--;
    Pieces p;
    if (!split(trimmed, &p)) return parse_special(trimmed, text, out, arena, error);
    if (p.whole.size + p.fraction.size > 38 || p.exponent > 38 || p.exponent < -SCALE_MOST + 38)
        return parse_big(&p, out, arena, error);
    int128 value = 0;
    for (size_t i = 0; i < p.whole.size; i++) value = value * 10 + (p.whole.data[i] - '0');
    for (size_t i = 0; i < p.fraction.size; i++) value = value * 10 + (p.fraction.data[i] - '0');
    int scale = (int)p.fraction.size - (int)p.exponent;
    if (scale < 0) {
        if (!scale_up(value, -scale, &value)) return parse_big(&p, out, arena, error);
        scale = 0;
    }
    *out = numeric_from_int128(p.minus ? -value : value, scale, arena);
    return OK;
}

/* Digits as they stand, with the point before the last `scale` of them. */
static void add_digits(const char *digits, size_t count, int scale, bool minus, Buffer *out) {
    char *to = buffer_reserve(out, count + (size_t)scale + 4), *start = to;
    if (minus) *to++ = '-';
    if (count <= (size_t)scale) {
        *to++ = '0';
    } else {
        memcpy(to, digits, count - (size_t)scale);
        to += count - (size_t)scale;
        digits += count - (size_t)scale;
        count = (size_t)scale;
    }
    if (scale > 0) {
        *to++ = '.';
        memset(to, '0', (size_t)scale - count);
        to += (size_t)scale - count;
        memcpy(to, digits, count);
        to += count;
    }
    out->size += (size_t)(to - start);
}

static void special_text(NumericForm form, Buffer *out) {
    buffer_add_text(out, form == NUMERIC_NAN             ? "NaN"
                         : form == NUMERIC_PLUS_INFINITY ? "Infinity"
                                                         : "-Infinity");
}

void numeric_text(Str n, Buffer *out) {
    int128 value;
    int scale;
    if (numeric_small(n, &value, &scale)) {
        char digits[40];
        size_t at = sizeof digits;
        uint128 rest = magnitude(value);
        while (rest >> 64) { /* 128-bit division is slow: nineteen digits with each */
            uint64_t low = (uint64_t)(rest % (uint128)E19);
            rest /= (uint128)E19;
            for (int i = 0; i < 19; i++, low /= 10) digits[--at] = (char)('0' + low % 10);
        }
        for (uint64_t low = (uint64_t)rest; low; low /= 10) digits[--at] = (char)('0' + low % 10);
        add_digits(digits + at, sizeof digits - at, scale, value < 0, out);
        return;
    }
    if (!numeric_finite(n)) {
        special_text(numeric_form(n), out);
        return;
    }
    mpz_t big;
    mpz_init(big);
    numeric_to_mpz(n, big);
    char *digits = xmalloc(mpz_sizeinbase(big, 10) + 2);
    mpz_abs(big, big);
    mpz_get_str(digits, 10, big);
    add_digits(digits, strlen(digits), numeric_head_scale(n), numeric_sign_of(n) < 0, out);
    free(digits);
    mpz_clear(big);
}

/* ---- other numbers ---- */

double numeric_to_double(Str n) {
    int128 value;
    int scale;
    if (numeric_small(n, &value, &scale)) {
        static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                        1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                        1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
        /* Both are exact, so the one division rounds right. */
        if (scale <= 22 && magnitude(value) <= UINT64_C(1) << 53)
            return (double)(int64_t)value / powers[scale];
    }
    switch (numeric_form(n)) {
    case NUMERIC_NAN: return (double)NAN;
    case NUMERIC_PLUS_INFINITY: return (double)INFINITY;
    case NUMERIC_MINUS_INFINITY: return -(double)INFINITY;
    default: break;
    }
    Buffer text = {0};
    numeric_text(n, &text);
    double result = 0;
    if (double_scan(text.data, text.size, &result) != NUMBER_OK) {
        bool fraction =
            text.size && (text.data[0] == '0' || (text.data[0] == '-' && text.data[1] == '0'));
        result = fraction ? 0 : numeric_sign_of(n) * (double)INFINITY;
    }
    buffer_free(&text);
    return result;
}

static Status from_real(double value, int digits, Str *out, Arena *arena, Error *error) {
    if (isnan(value)) {
        *out = numeric_special(NUMERIC_NAN, arena);
        return OK;
    }
    if (isinf(value)) {
        *out = numeric_special(value > 0 ? NUMERIC_PLUS_INFINITY : NUMERIC_MINUS_INFINITY, arena);
        return OK;
    }
    char text[40];
    int size = snprintf(text, sizeof text, "%.*g", digits, value);
    return numeric_parse((Str){text, (size_t)size}, out, arena, error);
}

Status numeric_from_double(double value, Str *out, Arena *arena, Error *error) {
    /* Few decimals: an integer of at most 15 digits divided by 10^4 that gives the double back is
     * its decimal form. */
    double scaled = value * 1e4;
    if (fabs(scaled) < 1e15) {
        int64_t units = llrint(scaled);
        if ((double)units / 1e4 == value) {
            int scale = 4;
            for (; scale > 0 && units % 10 == 0; scale--) units /= 10;
            *out = numeric_from_int128(units, scale, arena);
            return OK;
        }
    }
    return from_real(value, 15, out, arena, error);
}

Status numeric_from_float4(double value, Str *out, Arena *arena, Error *error) {
    return from_real(value, 6, out, arena, error);
}

Status numeric_to_int64(Str n, int64_t *out, Error *error) {
    int128 value;
    int scale;
    if (numeric_small(n, &value, &scale)) {
        if (scale >= POWERS) value = 0;
        else if (scale > 0) value = divide_rounded(value, power_of_ten[scale]);
        if (value == (int64_t)value) {
            *out = (int64_t)value;
            return OK;
        }
        return reject(error, "bigint out of range");
    }
    if (numeric_is_nan(n)) return reject(error, "cannot convert NaN to bigint");
    if (!numeric_finite(n)) return reject(error, "cannot convert infinity to bigint");
    mpz_t big;
    mpz_init(big);
    numeric_to_mpz(n, big);
    mpz_rescale(big, numeric_head_scale(n), 0);
    bool fits = mpz_get_int128(big, &value) && value == (int64_t)value;
    mpz_clear(big);
    if (!fits) return reject(error, "bigint out of range");
    *out = (int64_t)value;
    return OK;
}

/* ---- order ---- */

static int rank_of(Str n) {
    switch (numeric_form(n)) {
    case NUMERIC_NAN: return 3;
    case NUMERIC_PLUS_INFINITY: return 2;
    case NUMERIC_MINUS_INFINITY: return 0;
    default: return 1;
    }
}

static int compare_big(Str a, Str b) {
    int sign = numeric_sign_of(a), other = numeric_sign_of(b);
    if (sign != other) return sign < other ? -1 : 1;
    mpz_t x, y;
    mpz_inits(x, y, NULL);
    numeric_to_mpz(a, x);
    numeric_to_mpz(b, y);
    int a_scale = numeric_head_scale(a), b_scale = numeric_head_scale(b);
    if (a_scale < b_scale) mpz_scale_up(x, b_scale - a_scale);
    if (b_scale < a_scale) mpz_scale_up(y, a_scale - b_scale);
    int order = mpz_cmp(x, y);
    mpz_clears(x, y, NULL);
    return (order > 0) - (order < 0);
}

int numeric_compare(Str a, Str b) {
    int128 x, y;
    int a_scale, b_scale;
    if (numeric_small(a, &x, &a_scale) && numeric_small(b, &y, &b_scale)) {
        bool fits = true;
        if (a_scale < b_scale) fits = scale_up(x, b_scale - a_scale, &x);
        if (b_scale < a_scale) fits = scale_up(y, a_scale - b_scale, &y);
        if (fits) return (x > y) - (x < y);
    }
    int a_rank = rank_of(a), b_rank = rank_of(b);
    if (a_rank != 1 || b_rank != 1) return (a_rank > b_rank) - (a_rank < b_rank);
    return compare_big(a, b);
}

static void strip_zeros(int128 *value, int *scale) {
    if (*value == 0) *scale = 0;
    while (*scale > 0 && *value == (int64_t)*value && (int64_t)*value % 10 == 0) {
        *value = (int64_t)*value / 10;
        --*scale;
    }
    while (*scale > 0 && *value % 10 == 0) {
        *value /= 10;
        --*scale;
    }
}

bool numeric_normalize_small(Str n, char room[NUMERIC_SMALL_BYTES], Str *out) {
    int128 value;
    int scale;
    if (numeric_small(n, &value, &scale)) {
        if (scale == 0) {
            *out = n;
            return true;
        }
        strip_zeros(&value, &scale);
        *out = (Str){room, pack(value, scale, room)};
        return true;
    }
    *out = n;
    return !numeric_finite(n);
}

Str numeric_normalize(Str n, Arena *arena) {
    char room[NUMERIC_SMALL_BYTES];
    Str out;
    if (numeric_normalize_small(n, room, &out)) return arena_str(arena, out);
    mpz_t big, ten;
    mpz_init(big);
    mpz_init_set_ui(ten, 10);
    numeric_to_mpz(n, big);
    int scale = numeric_head_scale(n);
    if (scale > 0) {
        mp_bitcnt_t zeros = mpz_remove(ten, big, ten); /* ten becomes big without its factors 10 */
        if (zeros <= (mp_bitcnt_t)scale) {
            mpz_swap(ten, big);
            scale -= (int)zeros;
        } else {
            mpz_rescale(big, scale, 0);
            scale = 0;
        }
    }
    if (numeric_from_mpz(big, scale, &out, arena, NULL) != OK) out = n;
    mpz_clears(big, ten, NULL);
    return out;
}
