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

/* Bytes that one value may grow to: a row may be bad, but may not eat the machine. */
enum { TEXT_MOST = 64 << 20 };

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

static inline int64_t character_count(Str s) {
    int64_t count = 0;
    for (size_t i = 0; i < s.size; i++) count += ((uint8_t)s.data[i] & 0xc0) != 0x80;
    return count;
}

static inline bool is_ascii(Str s) {
    uint8_t high = 0;
    for (size_t i = 0; i < s.size; i++) high |= (uint8_t)s.data[i];
    return high < 0x80;
}

/* The place behind `count` characters from `at`, at most `end`. */
static inline const char *utf8_skip(const char *at, const char *end, int64_t count) {
    while (count > 0 && at < end) at += utf8_step(at, end), count--;
    return at;
}

uint32_t utf8_decode(const char *at, const char *end, size_t *size); /* a bad byte: itself */

/* Simple case mapping of code points as in glibc's C.UTF-8, whatever the process's locale is. */
uint32_t fold_lower(uint32_t code);
uint32_t fold_upper(uint32_t code);
bool code_is_alnum(uint32_t code);
Str text_lower(Str, Arena *); /* the text itself where nothing changes */
Str text_upper(Str, Arena *);

/* SQL's SIMILAR TO pattern as a regular expression, see like.c. */
CHECKED Status similar_pattern(Str pattern, Str escape, bool lazy, Buffer *out, Error *);

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
