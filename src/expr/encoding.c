/* Bytes as text and back: encode and decode (hex, base64, escape) and md5. MD5 (RFC 1321) is here
 * for old checksums and key building alone, never for secrets; its 64 constants are computed from
 * sines as the RFC defines them, once. */
#include "expr/library.h"
#include <math.h>
#include <pthread.h>

static uint32_t md5_sines[64];
static pthread_once_t md5_once = PTHREAD_ONCE_INIT;

static void md5_prepare(void) {
    for (int i = 0; i < 64; i++)
        md5_sines[i] = (uint32_t)(uint64_t)floor(fabs(sin(i + 1)) * 4294967296.0);
}

static void md5_block(uint32_t state[4], const uint8_t *block) {
    static const uint8_t turns[4][4] = {
        {7, 12, 17, 22}, {5, 9, 14, 20}, {4, 11, 16, 23}, {6, 10, 15, 21}};
    uint32_t words[16], a = state[0], b = state[1], c = state[2], d = state[3];
    for (int i = 0; i < 16; i++)
        words[i] = (uint32_t)block[i * 4] | (uint32_t)block[i * 4 + 1] << 8 |
                   (uint32_t)block[i * 4 + 2] << 16 | (uint32_t)block[i * 4 + 3] << 24;
    for (int i = 0; i < 64; i++) {
        uint32_t mixed;
        int word;
        switch (i / 16) {
        case 0: mixed = (b & c) | (~b & d), word = i; break;
        case 1: mixed = (d & b) | (~d & c), word = (5 * i + 1) % 16; break;
        case 2: mixed = b ^ c ^ d, word = (3 * i + 5) % 16; break;
        default: mixed = c ^ (b | ~d), word = 7 * i % 16; break;
        }
        uint32_t sum = a + mixed + md5_sines[i] + words[word];
        int turn = turns[i / 16][i % 4];
        a = d, d = c, c = b;
        b += sum << turn | sum >> (32 - turn);
    }
    state[0] += a, state[1] += b, state[2] += c, state[3] += d;
}

static void md5(Str s, uint8_t digest[16]) {
    uint32_t state[4] = {0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476};
    size_t at = 0;
    for (; s.size - at >= 64; at += 64) md5_block(state, (const uint8_t *)s.data + at);
    uint8_t tail[128] = {0};
    size_t rest = s.size - at, size = rest < 56 ? 64 : 128;
    if (rest) memcpy(tail, s.data + at, rest);
    tail[rest] = 0x80;
    for (int i = 0; i < 8; i++)
        tail[size - 8 + (size_t)i] = (uint8_t)((uint64_t)s.size * 8 >> 8 * i);
    for (at = 0; at < size; at += 64) md5_block(state, tail + at);
    for (int i = 0; i < 16; i++) digest[i] = (uint8_t)(state[i / 4] >> 8 * (i % 4));
}

static const char hex_digits[] = "0123456789abcdef";

static char *put_hex(char *to, const uint8_t *from, size_t size) {
    for (size_t i = 0; i < size; i++) {
        *to++ = hex_digits[from[i] >> 4];
        *to++ = hex_digits[from[i] & 15];
    }
    return to;
}

static void md5_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    pthread_once(&md5_once, md5_prepare);
    EACH_OK_ROW(row) {
        uint8_t digest[16];
        md5(args[0]->strs[row], digest);
        char *to = arena_alloc(call->arena, 32);
        put_hex(to, digest, 16);
        column_strs(out)[row] = (Str){to, 32};
    }
}

typedef enum Form { FORM_UNKNOWN, FORM_HEX, FORM_BASE64, FORM_ESCAPE } Form;

static Form form_of(Str name) {
    return str_equal_nocase(name, STR("hex"))      ? FORM_HEX
           : str_equal_nocase(name, STR("base64")) ? FORM_BASE64
           : str_equal_nocase(name, STR("escape")) ? FORM_ESCAPE
                                                   : FORM_UNKNOWN;
}

static Status prepare_form(void **state, const Value *const *constants, Type result, Arena *arena,
                           Error *error) {
    (void)state, (void)result, (void)arena;
    const Str *name = constant_text(constants, 1);
    if (name && form_of(*name) == FORM_UNKNOWN)
        return fail(error, "unrecognized encoding: \"%.*s\"; known are hex, base64, escape",
                    STR_ARG(*name));
    return OK;
}

static const char base64_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* Lines of 76 characters, as PostgreSQL and MIME have them. */
static char *put_base64(char *to, Str s) {
    char *line_end = to + 76;
    for (size_t at = 0; at < s.size; at += 3) {
        size_t left = s.size - at;
        const uint8_t *b = (const uint8_t *)s.data + at;
        uint32_t bits =
            (uint32_t)b[0] << 16 | (left > 1 ? (uint32_t)b[1] << 8 : 0) | (left > 2 ? b[2] : 0u);
        *to++ = base64_digits[bits >> 18];
        *to++ = base64_digits[bits >> 12 & 63];
        *to++ = left > 1 ? base64_digits[bits >> 6 & 63] : '=';
        *to++ = left > 2 ? base64_digits[bits & 63] : '=';
        if (left > 2 && to >= line_end) {
            *to++ = '\n';
            line_end = to + 76;
        }
    }
    return to;
}

static char *put_escaped(char *to, Str s) {
    for (size_t i = 0; i < s.size; i++) {
        uint8_t c = (uint8_t)s.data[i];
        if (c == 0 || c >= 0x80) {
            *to++ = '\\';
            *to++ = (char)('0' + (c >> 6));
            *to++ = (char)('0' + (c >> 3 & 7));
            *to++ = (char)('0' + (c & 7));
        } else {
            if (c == '\\') *to++ = '\\';
            *to++ = (char)c;
        }
    }
    return to;
}

static void encode_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], name = args[1]->strs[row];
        Form form = form_of(name);
        if (form == FORM_UNKNOWN) {
            column_fail(call, out, row, "unrecognized encoding: \"%.*s\"", STR_ARG(name));
            continue;
        }
        size_t room = s.size * (form == FORM_ESCAPE ? 4 : 2) + 8; /* bytes for each byte at most */
        char *to = make_text(call, out, row, room), *end;
        if (!to) continue;
        if (form == FORM_HEX) end = put_hex(to, (const uint8_t *)s.data, s.size);
        else end = form == FORM_BASE64 ? put_base64(to, s) : put_escaped(to, s);
        column_strs(out)[row] = str_slice(to, end);
    }
}

static bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static int hex_value(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : -1;
}

static Status take_hex(Str s, char **to, Error *error) {
    for (const char *at = s.data, *end = s.data + s.size; at < end; at++) {
        if (is_blank(*at)) continue;
        int high = hex_value(*at);
        if (high < 0)
            return reject(error, "invalid hexadecimal digit: \"%.*s\"", (int)utf8_step(at, end),
                          at);
        if (++at >= end) return reject(error, "invalid hexadecimal data: odd number of digits");
        int low = hex_value(*at);
        if (low < 0)
            return reject(error, "invalid hexadecimal digit: \"%.*s\"", (int)utf8_step(at, end),
                          at);
        *(*to)++ = (char)(high << 4 | low);
    }
    return OK;
}

static Status take_base64(Str s, char **to, Error *error) {
    uint32_t bits = 0;
    int have = 0, padding = 0;
    for (const char *at = s.data, *end = s.data + s.size; at < end; at++) {
        char c = *at;
        if (is_blank(c)) continue;
        const char *digit = c && c != '=' ? strchr(base64_digits, c) : NULL;
        if (c == '=') {
            if (!padding && have < 2)
                return reject(error, "unexpected \"=\" while decoding base64 sequence");
            if (!padding) padding = have == 2 ? 2 : 1;
            bits <<= 6;
        } else if (digit) bits = bits << 6 | (uint32_t)(digit - base64_digits);
        else
            return reject(error, "invalid symbol \"%.*s\" found while decoding base64 sequence",
                          (int)utf8_step(at, end), at);
        if (++have < 4) continue;
        *(*to)++ = (char)(bits >> 16);
        if (padding < 2) *(*to)++ = (char)(bits >> 8);
        if (padding < 1) *(*to)++ = (char)bits;
        bits = 0, have = 0;
    }
    return have ? reject(error, "invalid base64 end sequence") : OK;
}

static Status take_escaped(Str s, char **to, Error *error) {
    for (size_t i = 0; i < s.size; i++) {
        const char *c = s.data + i;
        size_t left = s.size - i;
        if (*c != '\\') *(*to)++ = *c;
        else if (left > 1 && c[1] == '\\') *(*to)++ = '\\', i++;
        else if (left > 3 && c[1] >= '0' && c[1] <= '3' && c[2] >= '0' && c[2] <= '7' &&
                 c[3] >= '0' && c[3] <= '7') {
            *(*to)++ = (char)((c[1] - '0') << 6 | (c[2] - '0') << 3 | (c[3] - '0'));
            i += 3;
        } else return reject(error, "invalid input syntax for type bytea");
    }
    return OK;
}

static void decode_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], name = args[1]->strs[row];
        Form form = form_of(name);
        char *begin = arena_alloc(call->arena, s.size + 4), *to = begin;
        Error error;
        Status status = form == FORM_HEX      ? take_hex(s, &to, &error)
                        : form == FORM_BASE64 ? take_base64(s, &to, &error)
                        : form == FORM_ESCAPE
                            ? take_escaped(s, &to, &error)
                            : reject(&error, "unrecognized encoding: \"%.*s\"", STR_ARG(name));
        if (status != OK) column_fail(call, out, row, "%s", error.text);
        else column_strs(out)[row] = str_slice(begin, to);
    }
}

#define S FUNCTION_STRICT
const Function encoding_functions[] = {
    {"md5",
     TYPE_TEXT,
     1,
     {TYPE_TEXT},
     S,
     md5_kernel,
     NULL,
     "MD5 of the text's bytes, in hexadecimal"},
    {"md5", TYPE_TEXT, 1, {TYPE_BYTEA}, S, md5_kernel, NULL, "MD5 of the bytes, in hexadecimal"},
    {"encode",
     TYPE_TEXT,
     2,
     {TYPE_BYTEA, TYPE_TEXT},
     S,
     encode_kernel,
     prepare_form,
     "encode(bytea, 'hex' | 'base64' | 'escape')"},
    {"decode",
     TYPE_BYTEA,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     decode_kernel,
     prepare_form,
     "decode(text, 'hex' | 'base64' | 'escape')"},
    {0},
};
