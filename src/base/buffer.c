/* The growing buffer, and binary records written to it and read back. Integers are stored
 * little-endian whatever the machine, so that a home can be copied to another one. A Reader never
 * leaves its bytes: records may come from a damaged file. */
#include "base/memory.h"
#include <stdio.h>
#include <stdlib.h>

char *buffer_reserve(Buffer *b, size_t more) {
    if (b->capacity - b->size < more) {
        size_t wanted = b->capacity + b->capacity / 2;
        if (wanted < b->size + more) wanted = b->size + more;
        if (wanted < 64) wanted = 64;
        b->data = xrealloc(b->data, wanted);
        b->capacity = wanted;
    }
    return b->data + b->size;
}

void buffer_add(Buffer *b, const void *data, size_t size) {
    if (size == 0) return;
    memcpy(buffer_reserve(b, size), data, size);
    b->size += size;
}

void buffer_add_str(Buffer *b, Str s) { buffer_add(b, s.data, s.size); }

void buffer_add_text(Buffer *b, const char *text) { buffer_add(b, text, strlen(text)); }

void buffer_add_char(Buffer *b, char c) {
    *buffer_reserve(b, 1) = c;
    b->size++;
}

void buffer_add_format(Buffer *b, const char *format, ...) {
    char room[256]; /* most texts fit, and are formatted once */
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(room, sizeof room, format, args);
    if (size >= 0 && (size_t)size < sizeof room) {
        buffer_add(b, room, (size_t)size);
    } else if (size > 0) {
        vsnprintf(buffer_reserve(b, (size_t)size + 1), (size_t)size + 1, format, again);
        b->size += (size_t)size;
    }
    va_end(again);
    va_end(args);
}

void buffer_free(Buffer *b) {
    free(b->data);
    *b = (Buffer){0};
}

void buffer_add_u8(Buffer *b, uint8_t value) { buffer_add_char(b, (char)value); }

static uint64_t little(uint64_t value) {
    return __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? __builtin_bswap64(value) : value;
}

void buffer_add_u32(Buffer *b, uint32_t value) {
    uint64_t bytes = little(value);
    buffer_add(b, &bytes, 4);
}

void buffer_add_i64(Buffer *b, int64_t value) {
    uint64_t bytes = little((uint64_t)value);
    buffer_add(b, &bytes, 8);
}

void buffer_add_f64(Buffer *b, double value) {
    int64_t bits;
    memcpy(&bits, &value, 8);
    buffer_add_i64(b, bits);
}

void buffer_add_varint(Buffer *b, uint64_t value) {
    char *to = buffer_reserve(b, 10);
    size_t n = 0;
    for (; value >= 0x80; value >>= 7) to[n++] = (char)(value | 0x80);
    to[n++] = (char)value;
    b->size += n;
}

void buffer_add_sized(Buffer *b, Str s) {
    buffer_add_varint(b, s.size);
    buffer_add_str(b, s);
}

static const char *take(Reader *r, size_t size) {
    if (r->bad || (size_t)(r->end - r->at) < size) {
        r->bad = true;
        return NULL;
    }
    const char *at = r->at;
    r->at += size;
    return at;
}

uint8_t read_u8(Reader *r) {
    const char *at = take(r, 1);
    return at ? (uint8_t)*at : 0;
}

uint32_t read_u32(Reader *r) {
    const char *at = take(r, 4);
    uint64_t value = 0;
    if (at) memcpy(&value, at, 4);
    return (uint32_t)little(value);
}

int64_t read_i64(Reader *r) {
    const char *at = take(r, 8);
    uint64_t value = 0;
    if (at) memcpy(&value, at, 8);
    return (int64_t)little(value);
}

double read_f64(Reader *r) {
    int64_t bits = read_i64(r);
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

uint64_t read_varint(Reader *r) {
    uint64_t value = 0;
    for (int shift = 0; shift < 64; shift += 7) {
        const char *at = take(r, 1);
        if (!at) return 0;
        uint64_t bits = (uint8_t)*at & 0x7F;
        if (shift == 63 && bits > 1) break;
        value |= bits << shift;
        if (!((uint8_t)*at & 0x80)) return value;
    }
    r->bad = true;
    return 0;
}

Str read_sized(Reader *r) {
    uint64_t size = read_varint(r);
    const char *at = take(r, size);
    return at ? (Str){at, size} : (Str){NULL, 0};
}
