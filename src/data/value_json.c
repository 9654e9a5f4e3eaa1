/* Values as JSON. Strings are looked at eight bytes at a time: almost all of them are plain ASCII
 * that needs no escape, and then are one copy. */
#include "data/jsonb.h"
#include "data/numeric.h"
#include "data/time.h"
#include "data/utf8.h"
#include "data/value.h"
#include <math.h>

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Not 0 when one of the eight bytes is a control character, a quote, a backslash or beyond ASCII. A
 * borrow may mark bytes above a marked one, never a word without any. */
static uint64_t special(uint64_t word) {
    uint64_t quote = word ^ EACH('"'), backslash = word ^ EACH('\\');
    return (word | (word - EACH(0x20)) | (quote - EACH(1)) | (backslash - EACH(1))) & EACH(0x80);
}

static size_t clean_prefix(const char *at, size_t size) {
    size_t i = 0;
    for (; i + 8 <= size; i += 8) {
        uint64_t word;
        memcpy(&word, at + i, 8);
        if (special(word)) break;
    }
    while (i < size && (unsigned char)at[i] >= 0x20 && (unsigned char)at[i] < 0x80 &&
           at[i] != '"' && at[i] != '\\')
        i++;
    return i;
}

static void escape(unsigned char c, Buffer *out) {
    static const char shorts[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    const char *found = c ? strchr(shorts, c) : NULL;
    if (found) {
        buffer_add_char(out, '\\');
        buffer_add_char(out, letters[found - shorts]);
    } else {
        buffer_add_format(out, "\\u%04x", c);
    }
}

void json_string(Str s, Buffer *out) {
    buffer_reserve(out, s.size + 2);
    buffer_add_char(out, '"');
    for (size_t i = 0; i < s.size;) {
        size_t clean = clean_prefix(s.data + i, s.size - i);
        buffer_add(out, s.data + i, clean);
        i += clean;
        if (i == s.size) break;
        if ((unsigned char)s.data[i] < 0x80) {
            escape((unsigned char)s.data[i++], out);
            continue;
        }
        size_t length = utf8_length(s.data + i, s.size - i);
        if (length) buffer_add(out, s.data + i, length);
        else buffer_add_text(out, "\xEF\xBF\xBD");
        i += length ? length : 1;
    }
    buffer_add_char(out, '"');
}

static void quoted_text(Value value, Buffer *out) {
    buffer_add_char(out, '"');
    value_text(value, out); /* of types whose text never needs an escape */
    buffer_add_char(out, '"');
}

static void text_array_json(Str array, Buffer *out) {
    buffer_add_char(out, '[');
    int count = text_array_count(array);
    for (int i = 0; i < count; i++) {
        if (i) buffer_add_char(out, ',');
        Str item;
        if (text_array_get(array, i, &item)) json_string(item, out);
        else buffer_add_text(out, "null");
    }
    buffer_add_char(out, ']');
}

void value_json(Value value, Buffer *out) {
    if (value.null) {
        buffer_add_text(out, "null");
        return;
    }
    switch (value.type.kind) {
    case TYPE_BOOL:
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8: value_text(value, out); return;
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
        if (isfinite(value.real)) value_text(value, out);
        else quoted_text(value, out);
        return;
    case TYPE_NUMERIC:
        if (numeric_is_finite(value.str)) numeric_text(value.str, out);
        else quoted_text(value, out);
        return;
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ:
        buffer_add_char(out, '"');
        timestamp_rfc3339(value.integer, value.type.kind == TYPE_TIMESTAMPTZ, out);
        buffer_add_char(out, '"');
        return;
    case TYPE_UUID:
    case TYPE_DATE:
    case TYPE_INTERVAL: quoted_text(value, out); return;
    case TYPE_BYTEA: {
        buffer_add_text(out, "\"\\"); /* the backslash of \x is escaped */
        value_text(value, out);
        buffer_add_char(out, '"');
        return;
    }
    case TYPE_JSONB: buffer_add_str(out, jsonb_trim(value.str)); return;
    case TYPE_TEXT_ARRAY: text_array_json(value.str, out); return;
    case TYPE_TEXT:
    case TYPE_VARCHAR:
    case TYPE_UNKNOWN:
    case TYPE_KINDS: break;
    }
    json_string(value.str, out);
}
