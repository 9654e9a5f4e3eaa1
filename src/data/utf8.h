/* UTF-8 as the standard defines it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes of the character that begins at `text`; 0: it is not UTF-8. `size` > 0 bytes may be looked
 * at. */
static inline size_t utf8_length(const char *text, size_t size) {
    const unsigned char *b = (const unsigned char *)text;
    if (b[0] < 0x80) return 1;
    if (b[0] < 0xC2 || size < 2 || (b[1] & 0xC0) != 0x80) return 0;
    if (b[0] < 0xE0) return 2;
    if (size < 3 || (b[2] & 0xC0) != 0x80) return 0;
    if (b[0] < 0xF0) {
        if ((b[0] == 0xE0 && b[1] < 0xA0) || (b[0] == 0xED && b[1] >= 0xA0)) return 0;
        return 3;
    }
    if (b[0] > 0xF4 || size < 4 || (b[3] & 0xC0) != 0x80) return 0;
    if ((b[0] == 0xF0 && b[1] < 0x90) || (b[0] == 0xF4 && b[1] >= 0x90)) return 0;
    return 4;
}

/* Writes a code point (no surrogate, at most 0x10FFFF) and returns its bytes. */
static inline size_t utf8_encode(uint32_t c, char *to) {
    if (c < 0x80) {
        to[0] = (char)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (char)(0xC0 | c >> 6);
        to[1] = (char)(0x80 | (c & 0x3F));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (char)(0xE0 | c >> 12);
        to[1] = (char)(0x80 | (c >> 6 & 0x3F));
        to[2] = (char)(0x80 | (c & 0x3F));
        return 3;
    }
    to[0] = (char)(0xF0 | c >> 18);
    to[1] = (char)(0x80 | (c >> 12 & 0x3F));
    to[2] = (char)(0x80 | (c >> 6 & 0x3F));
    to[3] = (char)(0x80 | (c & 0x3F));
    return 4;
}
