/* Stepping over JSON text. A walker looks only at what it must: it finds the end of a value by its
 * quotes and brackets, and does not look into what nobody asked for (jsonb_valid does). So reading
 * one key of a large object costs little more than one pass over its bytes, and malformed text can
 * make a walker miss, never stray: nothing here recurses but the strict scanner, which counts its
 * depth. */
#include "data/jsonb.h"
#include "data/numeric.h"
#include "data/utf8.h"

static bool blank(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

static const char *skip_blanks(const char *at, const char *end) {
    while (at < end && blank(*at)) at++;
    return at;
}

Str jsonb_trim(Str json) {
    const char *at = json.data, *end = json.data + json.size;
    at = skip_blanks(at, end);
    while (end > at && blank(end[-1])) end--;
    return (Str){at, (size_t)(end - at)};
}

JsonbKind jsonb_kind(Str json) {
    const char *end = json.data + json.size, *at = skip_blanks(json.data, end);
    if (at == end) return JSONB_BAD;
    switch (*at) {
    case '{': return JSONB_OBJECT;
    case '[': return JSONB_ARRAY;
    case '"': return JSONB_STRING;
    case 't': return JSONB_TRUE;
    case 'f': return JSONB_FALSE;
    case 'n': return JSONB_NULL;
    default: return *at == '-' || (*at >= '0' && *at <= '9') ? JSONB_NUMBER : JSONB_BAD;
    }
}

const char *jsonb_typeof(Str json) {
    switch (jsonb_kind(json)) {
    case JSONB_NULL: return "null";
    case JSONB_STRING: return "string";
    case JSONB_NUMBER: return "number";
    case JSONB_FALSE:
    case JSONB_TRUE: return "boolean";
    case JSONB_ARRAY: return "array";
    case JSONB_OBJECT: return "object";
    case JSONB_BAD: break;
    }
    return NULL;
}

/* ---- loose: where a value ends; NULL: nowhere ---- */

static const char *skip_string(const char *at, const char *end) {
    for (at++; at < end; at++) {
        if (*at == '"') return at + 1;
        if (*at == '\\') at++;
    }
    return NULL;
}

static const char *skip_container(const char *at, const char *end) {
    for (size_t depth = 0; at < end; at++) {
        switch (*at) {
        case '"':
            at = skip_string(at, end);
            if (!at) return NULL;
            at--;
            break;
        case '{':
        case '[': depth++; break;
        case '}':
        case ']':
            if (--depth == 0) return at + 1;
            break;
        default: break;
        }
    }
    return NULL;
}

static const char *skip_value(const char *at, const char *end) {
    if (at == end) return NULL;
    if (*at == '"') return skip_string(at, end);
    if (*at == '{' || *at == '[') return skip_container(at, end);
    const char *start = at;
    while (at < end && !blank(*at) && *at != ',' && *at != ']' && *at != '}' && *at != ':' &&
           *at != '"')
        at++;
    return at > start ? at : NULL;
}

bool jsonb_iterate(JsonbIterator *it, Str json) {
    const char *end = json.data + json.size, *at = skip_blanks(json.data, end);
    *it = (JsonbIterator){.at = at, .end = end, .kind = jsonb_kind(json), .first = true};
    if (it->kind != JSONB_ARRAY && it->kind != JSONB_OBJECT) return false;
    it->at++;
    return true;
}

static bool broken(JsonbIterator *it) {
    it->bad = true;
    it->at = it->end;
    return false;
}

bool jsonb_next(JsonbIterator *it, Str *key, Str *value) {
    if (it->bad) return false;
    const char *at = skip_blanks(it->at, it->end), *end = it->end;
    if (at == end) return broken(it);
    if (*at == (it->kind == JSONB_OBJECT ? '}' : ']')) {
        it->at = at; /* stays here: asked again, it says the same */
        return false;
    }
    if (!it->first) {
        if (*at != ',') return broken(it);
        at = skip_blanks(at + 1, end);
    }
    it->first = false;
    Str name = {NULL, 0};
    if (it->kind == JSONB_OBJECT) {
        if (at == end || *at != '"') return broken(it);
        const char *after = skip_string(at, end);
        if (!after) return broken(it);
        name = (Str){at, (size_t)(after - at)};
        at = skip_blanks(after, end);
        if (at == end || *at != ':') return broken(it);
        at = skip_blanks(at + 1, end);
    }
    const char *after = skip_value(at, end);
    if (!after) return broken(it);
    if (key) *key = name;
    *value = (Str){at, (size_t)(after - at)};
    it->at = after;
    return true;
}

static bool same_key(Str literal, Str key) {
    Str inner = {literal.data + 1, literal.size - 2};
    if (!memchr(inner.data, '\\', inner.size)) return str_equal(inner, key);
    Buffer text = {0};
    bool same = jsonb_string_text(literal, &text) && str_equal(buffer_str(&text), key);
    buffer_free(&text);
    return same;
}

bool jsonb_get_key(Str json, Str key, Str *value) {
    JsonbIterator it;
    if (!jsonb_iterate(&it, json) || it.kind != JSONB_OBJECT) return false;
    Str name, found;
    while (jsonb_next(&it, &name, &found)) {
        if (!same_key(name, key)) continue;
        *value = found;
        return true;
    }
    return false;
}

int64_t jsonb_array_length(Str json) {
    JsonbIterator it;
    if (!jsonb_iterate(&it, json) || it.kind != JSONB_ARRAY) return -1;
    int64_t count = 0;
    Str item;
    while (jsonb_next(&it, NULL, &item)) count++;
    return count;
}

bool jsonb_get_index(Str json, int64_t index, Str *value) {
    JsonbIterator it;
    if (!jsonb_iterate(
            &it, json)) { /* PostgreSQL keeps a scalar as an array of one, and it shows here */
        *value = jsonb_trim(json);
        return (index == 0 || index == -1) && it.kind != JSONB_BAD;
    }
    if (it.kind != JSONB_ARRAY) return false;
    if (index < 0) {
        index += jsonb_array_length(json);
        if (index < 0) return false;
    }
    Str item;
    while (jsonb_next(&it, NULL, &item)) {
        if (index-- > 0) continue;
        *value = item;
        return true;
    }
    return false;
}

static bool whole_number(Str s, int64_t *out) {
    bool minus = s.size && s.data[0] == '-';
    if (s.size && (s.data[0] == '-' || s.data[0] == '+')) s.data++, s.size--;
    if (s.size == 0 || s.size > 10) return false;
    int64_t value = 0;
    for (size_t i = 0; i < s.size; i++) {
        if (s.data[i] < '0' || s.data[i] > '9') return false;
        value = value * 10 + (s.data[i] - '0');
    }
    *out = minus ? -value : value;
    return true;
}

bool jsonb_get_path(Str json, const Str *steps, int count, Str *value) {
    Str at = jsonb_trim(json);
    for (int i = 0; i < count; i++) {
        int64_t index;
        bool found = jsonb_kind(at) == JSONB_ARRAY
                         ? whole_number(steps[i], &index) && jsonb_get_index(at, index, &at)
                         : jsonb_get_key(at, steps[i], &at);
        if (!found) return false;
    }
    *value = at;
    return at.size > 0;
}

/* ---- strings ---- */

static bool hex4(const char *at, const char *end, uint32_t *out) {
    if (end - at < 4) return false;
    *out = 0;
    for (int i = 0; i < 4; i++) {
        unsigned char c = (unsigned char)at[i];
        uint32_t digit = c - (uint32_t)'0' <= 9 ? c - (uint32_t)'0'
                         : (c | 32u) - 'a' <= 5 ? (c | 32u) - 'a' + 10
                                                : 16;
        if (digit > 15) return false;
        *out = *out << 4 | digit;
    }
    return true;
}

/* What stands behind a backslash, as a code point; returns the end of it, NULL: no escape. */
static const char *read_escape(const char *at, const char *end, uint32_t *out) {
    if (at == end) return NULL;
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *letter = *at ? strchr(letters, *at) : NULL;
    if (letter) {
        *out = (unsigned char)meant[letter - letters];
        return at + 1;
    }
    if (*at != 'u' || !hex4(at + 1, end, out)) return NULL;
    at += 5;
    if (*out == 0) return NULL;
    if (*out < 0xD800 || *out > 0xDFFF) return at;
    uint32_t low;
    if (*out > 0xDBFF || end - at < 6 || at[0] != '\\' || at[1] != 'u' || !hex4(at + 2, end, &low))
        return NULL;
    if (low < 0xDC00 || low > 0xDFFF) return NULL;
    *out = 0x10000 + ((*out - 0xD800) << 10) + (low - 0xDC00);
    return at + 6;
}

/* Strict. `at` is behind the opening quote; returns behind the closing one. */
static const char *scan_string(const char *at, const char *end) {
    while (at < end) {
        unsigned char c = (unsigned char)*at;
        if (c == '"') return at + 1;
        if (c < 0x20) return NULL;
        if (c == '\\') {
            uint32_t code;
            at = read_escape(at + 1, end, &code);
            if (!at) return NULL;
        } else if (c < 0x80) {
            at++;
        } else {
            size_t length = utf8_length(at, (size_t)(end - at));
            if (length == 0) return NULL;
            at += length;
        }
    }
    return NULL;
}

bool jsonb_string_text(Str literal, Buffer *out) {
    if (literal.size < 2 || literal.data[0] != '"') return false;
    const char *at = literal.data + 1, *end = literal.data + literal.size;
    if (scan_string(at, end) != end) return false;
    end--;
    buffer_reserve(out, literal.size);
    while (at < end) {
        const char *escape = memchr(at, '\\', (size_t)(end - at));
        if (!escape) escape = end;
        buffer_add(out, at, (size_t)(escape - at));
        at = escape;
        if (at == end) break;
        uint32_t code = 0;
        at = read_escape(at + 1, end, &code);
        if (!at) return false; /* cannot be: it was scanned */
        char bytes[4];
        buffer_add(out, bytes, utf8_encode(code, bytes));
    }
    return true;
}

bool jsonb_string_view(Str literal, Str *text, Arena *arena) {
    if (literal.size < 2 || literal.data[0] != '"') return false;
    if (!memchr(literal.data, '\\', literal.size)) {
        const char *end = literal.data + literal.size;
        if (scan_string(literal.data + 1, end) != end) return false;
        *text = (Str){literal.data + 1, literal.size - 2};
        return true;
    }
    Buffer plain = {0};
    bool good = jsonb_string_text(literal, &plain);
    if (good) *text = arena_str(arena, buffer_str(&plain));
    buffer_free(&plain);
    return good;
}

/* ---- strict: by every rule; returns the end, NULL: not JSON ---- */

static const char *scan_digits(const char *at, const char *end) {
    while (at < end && *at >= '0' && *at <= '9') at++;
    return at;
}

static const char *scan_number(const char *at, const char *end) {
    const char *start = at, *part;
    if (at < end && *at == '-') at++;
    part = at;
    at = scan_digits(at, end);
    if (at == part || (*part == '0' && at - part > 1)) return NULL;
    if (at < end && *at == '.') {
        part = ++at;
        at = scan_digits(at, end);
        if (at == part) return NULL;
    }
    bool exponent = at < end && (*at | 32) == 'e';
    if (exponent) {
        at++;
        if (at < end && (*at == '+' || *at == '-')) at++;
        part = at;
        at = scan_digits(at, end);
        if (at == part) return NULL;
    }
    if (exponent || at - start > 1000) { /* it must be one that a numeric can hold */
        Arena *arena = arena_new();
        Str ignored;
        bool good = numeric_parse((Str){start, (size_t)(at - start)}, &ignored, arena, NULL) == OK;
        arena_free(&arena);
        if (!good) return NULL;
    }
    return at;
}

static const char *scan_word(const char *at, const char *end, Str word) {
    if ((size_t)(end - at) < word.size || memcmp(at, word.data, word.size) != 0) return NULL;
    return at + word.size;
}

static const char *scan_value(const char *at, const char *end, int depth);

static const char *scan_container(const char *at, const char *end, int depth) {
    char close = *at == '{' ? '}' : ']';
    at = skip_blanks(at + 1, end);
    if (at < end && *at == close) return at + 1;
    while (at < end) {
        if (close == '}') {
            if (*at != '"' || !(at = scan_string(at + 1, end))) return NULL;
            at = skip_blanks(at, end);
            if (at == end || *at != ':') return NULL;
            at = skip_blanks(at + 1, end);
        }
        at = scan_value(at, end, depth + 1);
        if (!at) return NULL;
        at = skip_blanks(at, end);
        if (at == end) return NULL;
        if (*at == close) return at + 1;
        if (*at != ',') return NULL;
        at = skip_blanks(at + 1, end);
    }
    return NULL;
}

static const char *scan_value(const char *at, const char *end, int depth) {
    if (at == end || depth > JSONB_DEPTH) return NULL;
    switch (*at) {
    case '{':
    case '[': return scan_container(at, end, depth);
    case '"': return scan_string(at + 1, end);
    case 't': return scan_word(at, end, STR("true"));
    case 'f': return scan_word(at, end, STR("false"));
    case 'n': return scan_word(at, end, STR("null"));
    default: return scan_number(at, end);
    }
}

bool jsonb_valid(Str json) {
    Str text = jsonb_trim(json);
    return text.size > 0 &&
           scan_value(text.data, text.data + text.size, 0) == text.data + text.size;
}
