/* What the function library's kernels share: walking rows, text of UTF-8 characters, growing
 * results. UTF-8 helpers take any bytes: a character never reaches past the end, and a byte that
 * starts none stands for itself. */
#pragma once
#include "data/utf8.h"
#include "expr/expr.h"

/* The rows that a kernel has to fill. */
#define EACH_OK_ROW(row)                                                                           \
    for (int row = 0; row < rows; row++)                                                           \
        if (column_ok(out, row))

/* A row may be bad, but may not eat the machine: bytes that one value may grow to, and that a
 * batch's arena may hold when a function makes more. */
enum { TEXT_MOST = 64 << 20, BATCH_TEXT_MOST = 512 << 20 };

/* Bytes of the character at `at`, which is before `end`. */
static inline size_t utf8_step(const char *at, const char *end) {
    uint8_t lead = (uint8_t)*at;
    size_t size = lead < 0xc0 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    return size <= (size_t)(end - at) ? size : (size_t)(end - at);
}

static inline const char *utf8_back(const char *at, const char *begin) { /* at > begin */
    for (at--; at > begin && ((uint8_t)*at & 0xc0) == 0x80; at--)
        ;
    return at;
}

static inline uint64_t eight_bytes(const char *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* All bytes but those of the form 10xxxxxx, eight at a time. */
static inline int64_t character_count(Str s) {
    int64_t inner = 0;
    size_t i = 0;
    for (; i + 8 <= s.size; i += 8) {
        uint64_t word = eight_bytes(s.data + i);
        uint64_t ones = word >> 7 & ~word >> 6 & UINT64_C(0x0101010101010101);
        inner += (int64_t)(ones * UINT64_C(0x0101010101010101) >> 56);
    }
    for (; i < s.size; i++) inner += ((uint8_t)s.data[i] & 0xc0) == 0x80;
    return (int64_t)s.size - inner;
}

static inline bool is_ascii(Str s) {
    uint64_t high = 0;
    size_t i = 0;
    for (; i + 8 <= s.size; i += 8) high |= eight_bytes(s.data + i);
    for (; i < s.size; i++) high |= (uint8_t)s.data[i];
    return (high & UINT64_C(0x8080808080808080)) == 0;
}

/* The place behind `count` characters from `at`, at most `end`. */
static inline const char *utf8_skip(const char *at, const char *end, int64_t count) {
    while (count > 0 && at < end) at += utf8_step(at, end), count--;
    return at;
}

/* Simple case mapping of code points as in glibc's C.UTF-8, whatever the process's locale is. */
uint32_t fold_lower(uint32_t code);
Str text_lower(Str, Arena *); /* the text itself where nothing changes */

/* SQL's SIMILAR TO pattern as a regular expression, see like.c. */
CHECKED Status similar_pattern(Str pattern, Str escape, bool lazy, Buffer *out, Error *);

/* Room for a result of that size in the batch's arena; NULL: the row has failed, it is too much. */
char *make_text(Call *, Column *out, int row, size_t size);
/* A result of unknown size grows in one scratch Buffer per call and is copied to the batch's
 * arena; the row fails when it is longer than TEXT_MOST. */
void set_text(Call *, Column *out, int row, const Buffer *);
/* The value as its output function prints it (concat, format); `cast`: as ::text does, which
 * differs for booleans. */
void add_output_text(const Column *, int row, bool cast, Buffer *);
/* The constant argument's text, or NULL when it is no constant or NULL. */
static inline const Str *constant_text(const Value *const *constants, int index) {
    const Value *value = constants[index];
    return value && !value->null ? &value->str : NULL;
}

static inline Str str_slice(const char *begin, const char *end) {
    return (Str){begin, (size_t)(end - begin)};
}
