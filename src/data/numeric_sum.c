/* The running sum behind sum and avg. It lives inside a group's block and adds 128-bit integers at
 * the greatest scale seen; only when those overflow does it move what it has into a GMP integer and
 * go on from zero. The result does not depend on the order of the values. */
#include "data/numeric_internal.h"
#include <stdlib.h>

typedef struct Large {
    mpz_t value;
    int scale;
} Large;

static void add_to_large(NumericSum *sum, const mpz_t value, int scale) {
    Large *large = sum->large;
    if (!large) {
        sum->large = large = xcalloc(1, sizeof *large);
        mpz_init(large->value);
    }
    mpz_t added;
    mpz_init_set(added, value);
    if (scale > large->scale) {
        mpz_scale_up(large->value, scale - large->scale);
        large->scale = scale;
    } else {
        mpz_scale_up(added, large->scale - scale);
    }
    mpz_add(large->value, large->value, added);
    mpz_clear(added);
}

static void add_small_to_large(NumericSum *sum, int128 value, int scale) {
    mpz_t big;
    mpz_init(big);
    mpz_set_int128(big, value);
    add_to_large(sum, big, scale);
    mpz_clear(big);
}

static void raise_scale(NumericSum *sum, int scale) {
    if (scale <= sum->scale) return;
    int128 scaled;
    if (scale_up(sum->small, scale - sum->scale, &scaled)) {
        sum->small = scaled;
    } else {
        add_small_to_large(sum, sum->small, sum->scale);
        sum->small = 0;
    }
    sum->scale = scale;
}

static void add_small(NumericSum *sum, int128 value, int scale) {
    raise_scale(sum, scale);
    int128 scaled, total;
    if (!scale_up(value, sum->scale - scale, &scaled)) {
        add_small_to_large(sum, value, scale);
    } else if (__builtin_add_overflow(sum->small, scaled, &total)) {
        add_small_to_large(sum, sum->small, sum->scale);
        sum->small = scaled;
    } else {
        sum->small = total;
    }
}

void numeric_sum_add(NumericSum *sum, Str n) {
    sum->count++;
    int128 value;
    int scale;
    if (numeric_small(n, &value, &scale)) {
        add_small(sum, value, scale);
        return;
    }
    switch (numeric_form(n)) {
    case NUMERIC_NAN: sum->nans++; return;
    case NUMERIC_PLUS_INFINITY: sum->plus_infinities++; return;
    case NUMERIC_MINUS_INFINITY: sum->minus_infinities++; return;
    default: break;
    }
    raise_scale(sum, numeric_head_scale(n));
    mpz_t big;
    mpz_init(big);
    numeric_to_mpz(n, big);
    add_to_large(sum, big, numeric_head_scale(n));
    mpz_clear(big);
}

void numeric_sum_merge(NumericSum *sum, const NumericSum *other) {
    sum->count += other->count;
    sum->nans += other->nans;
    sum->plus_infinities += other->plus_infinities;
    sum->minus_infinities += other->minus_infinities;
    add_small(sum, other->small, other->scale);
    const Large *large = other->large;
    if (large) {
        raise_scale(sum, large->scale);
        add_to_large(sum, large->value, large->scale);
    }
}

static Status total(const NumericSum *sum, Str *out, Arena *arena, Error *error) {
    if (sum->nans || (sum->plus_infinities && sum->minus_infinities)) {
        *out = numeric_special(NUMERIC_NAN, arena);
    } else if (sum->plus_infinities || sum->minus_infinities) {
        *out = numeric_special(
            sum->plus_infinities ? NUMERIC_PLUS_INFINITY : NUMERIC_MINUS_INFINITY, arena);
    } else if (!sum->large) {
        *out = numeric_from_int128(sum->small, sum->scale, arena);
    } else {
        const Large *large = sum->large;
        mpz_t all, part;
        mpz_inits(all, part, NULL);
        mpz_set(all, large->value);
        mpz_scale_up(all, sum->scale - large->scale);
        mpz_set_int128(part, sum->small);
        mpz_add(all, all, part);
        Status status = numeric_from_mpz(all, sum->scale, out, arena, error);
        mpz_clears(all, part, NULL);
        return status;
    }
    return OK;
}

Str numeric_sum_total(const NumericSum *sum, Arena *arena) {
    Str out;
    /* More digits than the format holds: what PostgreSQL calls an error is infinite here, where
     * nobody can be told. */
    return total(sum, &out, arena, NULL) == OK ? out
                                               : numeric_special(NUMERIC_PLUS_INFINITY, arena);
}

Status numeric_sum_average(const NumericSum *sum, Str *out, Arena *arena, Error *error) {
    Str all;
    Status status = total(sum, &all, arena, error);
    if (status != OK) return status;
    return numeric_divide(all, numeric_from_int64(sum->count, arena), out, arena, error);
}

/* Layout: small 16 bytes | scale, count, nans, infinities as varints | 0, or 1, scale, sign,
 * magnitude sized. */
void numeric_sum_encode(const NumericSum *sum, Buffer *out) {
    buffer_add_i64(out, (int64_t)(uint64_t)sum->small);
    buffer_add_i64(out, (int64_t)(sum->small >> 64));
    buffer_add_varint(out, (uint64_t)sum->scale);
    buffer_add_varint(out, (uint64_t)sum->count);
    buffer_add_varint(out, (uint64_t)sum->nans);
    buffer_add_varint(out, (uint64_t)sum->plus_infinities);
    buffer_add_varint(out, (uint64_t)sum->minus_infinities);
    const Large *large = sum->large;
    buffer_add_u8(out, large != NULL);
    if (!large) return;
    buffer_add_varint(out, (uint64_t)large->scale);
    buffer_add_u8(out, mpz_sgn(large->value) < 0);
    size_t size = (mpz_sizeinbase(large->value, 2) + 7) / 8;
    buffer_add_varint(out, size);
    memset(buffer_reserve(out, size), 0, size);
    mpz_export(out->data + out->size, NULL, -1, 1, 0, 0, large->value);
    out->size += size;
}

static int read_scale(Reader *reader) {
    uint64_t scale = read_varint(reader);
    if (scale > SCALE_MOST) reader->bad = true;
    return reader->bad ? 0 : (int)scale;
}

void numeric_sum_decode(NumericSum *sum, Reader *reader) {
    *sum = (NumericSum){0};
    uint64_t low = (uint64_t)read_i64(reader), high = (uint64_t)read_i64(reader);
    sum->small = (int128)((uint128)high << 64 | low);
    sum->scale = read_scale(reader);
    sum->count = (int64_t)read_varint(reader);
    sum->nans = (int32_t)read_varint(reader);
    sum->plus_infinities = (int32_t)read_varint(reader);
    sum->minus_infinities = (int32_t)read_varint(reader);
    if (read_u8(reader) != 1) return;
    int scale = read_scale(reader);
    bool minus = read_u8(reader) != 0;
    Str bytes = read_sized(reader);
    if (reader->bad) return;
    raise_scale(sum, scale);
    mpz_t big;
    mpz_init(big);
    mpz_import(big, bytes.size, -1, 1, 0, 0, bytes.data);
    if (minus) mpz_neg(big, big);
    add_to_large(sum, big, scale);
    mpz_clear(big);
}

void numeric_sum_free(NumericSum *sum) {
    Large *large = sum->large;
    if (large) {
        mpz_clear(large->value);
        free(large);
    }
    *sum = (NumericSum){0};
}
