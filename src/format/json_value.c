/* From the text of one JSON value into a column, by the type rules of LANGUAGE.md 6: number types
 * take numbers, text, uuid and times take strings, boolean takes true and false, jsonb takes
 * anything. Numbers, plain strings and times, which are nearly all there is, are converted right
 * here and straight into the column; everything rarer goes through data/value.h, which knows every
 * type. */
#include "format/json_value.h"
#include "data/jsonb.h"
#include "data/time.h"
#include "data/value.h"
#include "format/index.h"
#include <limits.h>

static bool is_digit(char c) { return (unsigned char)(c - '0') < 10; }

static bool exponent_scan(const char *p, const char *end, int64_t *out) {
    bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    if (p == end) return false;
    int64_t value = 0;
    for (; p < end; p++) {
        if (!is_digit(*p)) return false;
        if (value < 1000000000) value = value * 10 + (*p - '0');
    }
    *out = negative ? -value : value;
    return true;
}

/* Digits from p on; `scale` counts those behind the point. Returns where they end. */
static const char *digits_scan(const char *p, const char *end, bool behind_point, JsonNumber *n) {
    const char *start = p;
    uint64_t digits = n->digits;
    for (; p < end && is_digit(*p); p++) {
        if (digits >= UINT64_C(1000000000000000000)) break; /* 19 digits always fit */
        digits = digits * 10 + (uint64_t)(*p - '0');
    }
    int64_t taken = p - start;
    for (; p < end && is_digit(*p); p++) {
        n->rounded |= *p != '0';
        if (!behind_point) n->exponent++;
    }
    if (behind_point) n->exponent -= taken;
    n->digits = digits;
    return p;
}

bool json_number_scan(Str token, JsonNumber *n) {
    const char *p = token.data, *end = p + token.size;
    *n = (JsonNumber){0};
    if (p < end && *p == '-') {
        n->negative = true;
        p++;
    }
    if (p == end || !is_digit(*p)) return false;
    if (*p == '0') p++;
    else p = digits_scan(p, end, false, n);
    if (p < end && *p == '.') {
        const char *first = ++p;
        p = digits_scan(p, end, true, n);
        if (p == first) return false;
    }
    if (p == end) return true;
    int64_t exponent;
    if ((*p | 0x20) != 'e' || !exponent_scan(p + 1, end, &exponent)) return false;
    n->exponent += exponent;
    return true;
}

bool json_number_double(Str token, const JsonNumber *n, double *out) {
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (n->digits == 0 && !n->rounded) {
        *out = n->negative ? -0.0 : 0.0;
        return true;
    }
    /* Both factors are exact doubles, so the one operation rounds correctly (Clinger's fast path).
     */
    if (n->digits <= UINT64_C(1) << 53 && !n->rounded && n->exponent >= -22 && n->exponent <= 22) {
        double value = (double)n->digits;
        value = n->exponent < 0 ? value / powers[-n->exponent] : value * powers[n->exponent];
        *out = n->negative ? -value : value;
        return true;
    }
    return double_from_json(token.data, token.size, out);
}

static bool json_number_whole(const JsonNumber *n, int64_t *out) {
    uint64_t digits = n->digits;
    int64_t exponent = n->exponent;
    if (n->rounded) return false;
    if (digits == 0) exponent = 0;
    for (; exponent < 0; exponent++) {
        if (digits % 10) return false;
        digits /= 10;
    }
    for (; exponent > 0; exponent--)
        if (__builtin_mul_overflow(digits, UINT64_C(10), &digits)) return false;
    if (digits > (uint64_t)INT64_MAX + n->negative) return false;
    *out = n->negative ? (int64_t)(0 - digits) : (int64_t)digits;
    return true;
}

/* ---- strings ---- */

static int hex_digit(char c) {
    if (is_digit(c)) return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static int32_t hex_scan(const char *p, const char *end) {
    if (end - p < 4) return -1;
    int32_t value = 0;
    for (int i = 0; i < 4; i++) {
        int digit = hex_digit(p[i]);
        if (digit < 0) return -1;
        value = value * 16 + digit;
    }
    return value;
}

static char *utf8_add(char *to, uint32_t c) {
    if (c < 0x80) {
        *to++ = (char)c;
    } else if (c < 0x800) {
        *to++ = (char)(0xC0 | (c >> 6));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else if (c < 0x10000) {
        *to++ = (char)(0xE0 | (c >> 12));
        *to++ = (char)(0x80 | ((c >> 6) & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    } else {
        *to++ = (char)(0xF0 | (c >> 18));
        *to++ = (char)(0x80 | ((c >> 12) & 0x3F));
        *to++ = (char)(0x80 | ((c >> 6) & 0x3F));
        *to++ = (char)(0x80 | (c & 0x3F));
    }
    return to;
}

/* Behind "\u": four digits, or a pair of surrogates. Moves *p behind it. */
static const char *unicode_scan(const char **p, const char *end, uint32_t *out) {
    int32_t first = hex_scan(*p, end);
    if (first < 0) return "a \\u escape without four hex digits";
    *p += 4;
    if (first == 0) return "\\u0000 can not be kept";
    *out = (uint32_t)first;
    if (first < 0xD800 || first > 0xDFFF) return NULL;
    if (first > 0xDBFF || end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
        return "a lone surrogate";
    int32_t second = hex_scan(*p + 2, end);
    if (second < 0xDC00 || second > 0xDFFF) return "a lone surrogate";
    *p += 6;
    *out = 0x10000 + (((uint32_t)first - 0xD800) << 10) + ((uint32_t)second - 0xDC00);
    return NULL;
}

/* Text is never longer than its escapes. `to` may be NULL: only look. */
static const char *unescape(Str inside, char *to, size_t *size) {
    static const char letters[] = "\"\\/bfnrt", meanings[] = "\"\\/\b\f\n\r\t";
    const char *p = inside.data, *end = p + inside.size;
    char *start = to, dummy[4];
    while (p < end) {
        const char *escape = memchr(p, '\\', (size_t)(end - p));
        size_t plain = (size_t)((escape ? escape : end) - p);
        if (start) {
            memcpy(to, p, plain);
            to += plain;
        }
        p += plain;
        if (p == end) break;
        if (++p == end) return "a string is not closed";
        if (*p == 'u') {
            p++;
            uint32_t c;
            const char *problem = unicode_scan(&p, end, &c);
            if (problem) return problem;
            if (start) to = utf8_add(to, c);
            else utf8_add(dummy, c);
            continue;
        }
        const char *letter = *p ? strchr(letters, *p) : NULL;
        if (!letter) return "an escape that JSON does not know";
        if (start) *to++ = meanings[letter - letters];
        p++;
    }
    if (start) *size = (size_t)(to - start);
    return NULL;
}

const char *json_string_decode(Str inside, Str *out, Arena *arena) {
    *out = inside;
    if (inside.size == 0 || !memchr(inside.data, '\\', inside.size)) return NULL;
    char *to = arena_alloc(arena, inside.size);
    out->data = to;
    return unescape(inside, to, &out->size);
}

/* ---- what a value is ---- */

static bool is_string(Str value) {
    return value.size >= 2 && value.data[0] == '"' && value.data[value.size - 1] == '"';
}
static bool is_null(Str value) { return value.size == 4 && memcmp(value.data, "null", 4) == 0; }
static bool is_true(Str value) { return value.size == 4 && memcmp(value.data, "true", 4) == 0; }
static bool is_false(Str value) { return value.size == 5 && memcmp(value.data, "false", 5) == 0; }
static Str inside_of(Str literal) { return (Str){literal.data + 1, literal.size - 2}; }

const char *json_kind_name(Str value) {
    JsonNumber number;
    if (value.size == 0) return "nothing";
    if (value.data[0] == '{') return "object";
    if (value.data[0] == '[') return "array";
    if (is_string(value)) return "string";
    if (is_null(value)) return "null";
    if (is_true(value) || is_false(value)) return "boolean";
    return json_number_scan(value, &number) ? "number" : "nonsense";
}

const char *json_scalar_problem(Str token) {
    if (is_string(token)) {
        Str inside = inside_of(token);
        return memchr(inside.data, '\\', inside.size) ? unescape(inside, NULL, NULL) : NULL;
    }
    JsonNumber number;
    if (json_number_scan(token, &number)) /* what PostgreSQL's numeric can hold before its point */
        return number.digits && number.exponent > 131072 - 19 ? "a number out of range" : NULL;
    return is_null(token) || is_true(token) || is_false(token) ? NULL : "not JSON";
}

/* ---- fields ---- */

static bool expected(Rows *rows, Slot *slot, const char *what, Str value) {
    const char *kind = json_kind_name(value);
    if (strcmp(kind, "nonsense") == 0)
        return rows_bad_field(rows, slot, "expected %s, got what is not JSON: %.*s", what,
                              STR_ARG(reason_part(value)));
    return rows_bad_field(rows, slot, "expected %s, got %s", what, kind);
}

static bool out_of_range(Rows *rows, Slot *slot, Str value) {
    return rows_bad_field(rows, slot, "%.*s is out of range for type %s",
                          STR_ARG(reason_part(value)), type_name(slot->spec->type, rows->arena));
}

static bool set_value(Rows *rows, Slot *slot, const Value *value) {
    int row = slot_set(rows, slot);
    switch (slot->physical) {
    case PHYSICAL_BOOL: slot->bools[row] = value->boolean; break;
    case PHYSICAL_INT: slot->ints[row] = value->integer; break;
    case PHYSICAL_FLOAT: slot->floats[row] = value->real; break;
    case PHYSICAL_STR: slot->strs[row] = value->str; break;
    case PHYSICAL_INTERVAL: slot->intervals[row] = value->interval; break;
    }
    return true;
}

/* 0001-01-01 and 10000-01-01, in days since 1970 */
static const int64_t first_day = -719162, end_day = 2932897;

static bool in_years(TypeKind kind, int64_t value) {
    int64_t unit = kind == TYPE_DATE ? 1 : US_PER_DAY;
    return value >= first_day * unit && value < end_day * unit;
}

static bool set_time(Rows *rows, Slot *slot, Str text) {
    int64_t us;
    if (slot->kind == TYPE_TIMESTAMPTZ && rfc3339_parse(text, &us) == OK) {
        slot->ints[slot_set(rows, slot)] = us;
        return true;
    }
    Value value;
    Error error;
    /* 'infinity', 'epoch' and other names are no times of an event */
    bool digit = text.size > 0 && is_digit(text.data[0]);
    if (!digit || value_parse(slot->spec->type, text, &value, rows->arena, &error) != OK)
        return rows_bad_field(rows, slot, "not a %s: \"%.*s\"",
                              type_name(slot->spec->type, rows->arena), STR_ARG(reason_part(text)));
    if (!in_years(slot->kind, value.integer))
        return rows_bad_field(rows, slot, "the year must be between 1 and 9999: \"%.*s\"",
                              STR_ARG(reason_part(text)));
    return set_value(rows, slot, &value);
}

bool set_from_text(Rows *rows, Slot *slot, Str text) {
    switch (slot->kind) {
    case TYPE_TEXT: slot->strs[slot_set(rows, slot)] = text; return true;
    case TYPE_DATE:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ: return set_time(rows, slot, text);
    default: break;
    }
    Value value;
    Error error;
    if (value_parse(slot->spec->type, text, &value, rows->arena, &error) != OK)
        return rows_bad_field(rows, slot, "%s", error.text);
    return set_value(rows, slot, &value);
}

static bool set_integer(Rows *rows, Slot *slot, Str value) {
    JsonNumber number;
    int64_t whole;
    if (!json_number_scan(value, &number)) return expected(rows, slot, "whole number", value);
    if (!json_number_whole(&number, &whole)) {
        double real;
        if (json_number_double(value, &number, &real) && real > -9.2e18 && real < 9.2e18)
            return rows_bad_field(rows, slot, "expected whole number, got %.*s",
                                  STR_ARG(reason_part(value)));
        return out_of_range(rows, slot, value);
    }
    if (slot->kind == TYPE_INT2 && (whole < INT16_MIN || whole > INT16_MAX))
        return out_of_range(rows, slot, value);
    if (slot->kind == TYPE_INT4 && (whole < INT32_MIN || whole > INT32_MAX))
        return out_of_range(rows, slot, value);
    slot->ints[slot_set(rows, slot)] = whole;
    return true;
}

static bool set_number(Rows *rows, Slot *slot, Str value) {
    JsonNumber number;
    double real;
    if (!json_number_scan(value, &number)) return expected(rows, slot, "number", value);
    if (slot->kind == TYPE_NUMERIC) return set_from_text(rows, slot, value);
    bool fits = slot->kind == TYPE_FLOAT4 ? float_from_json(value.data, value.size, &real)
                                          : json_number_double(value, &number, &real);
    if (!fits) return out_of_range(rows, slot, value);
    slot->floats[slot_set(rows, slot)] = real;
    return true;
}

static bool path_text(Rows *rows, Str value, Str *out);

/* Ad hoc queries: whatever stands in a text column, as its text. */
static bool set_any_text(Rows *rows, Slot *slot, Str value) {
    bool container = value.data[0] == '{' || value.data[0] == '[';
    const char *problem =
        container ? jsonb_valid(value) ? NULL : "not JSON" : json_scalar_problem(value);
    if (problem)
        return rows_bad_field(rows, slot, "%s: %.*s", problem, STR_ARG(reason_part(value)));
    Str text = value;
    if (!container && !path_text(rows, value, &text)) return rows_null(rows, slot);
    slot->strs[slot_set(rows, slot)] = text;
    return true;
}

bool json_set_field(Rows *rows, Slot *slot, Str value) {
    if (is_null(value)) return rows_null(rows, slot);
    switch (slot->kind) {
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8: return set_integer(rows, slot, value);
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
    case TYPE_NUMERIC: return set_number(rows, slot, value);
    case TYPE_BOOL:
        if (!is_true(value) && !is_false(value))
            return expected(rows, slot, "true or false", value);
        slot->bools[slot_set(rows, slot)] = is_true(value);
        return true;
    case TYPE_JSONB: {
        bool container = value.data[0] == '{' || value.data[0] == '[';
        const char *problem = container ? NULL : json_scalar_problem(value);
        if (problem)
            return rows_bad_field(rows, slot, "%s: %.*s", problem, STR_ARG(reason_part(value)));
        slot->strs[slot_set(rows, slot)] = value;
        return true;
    }
    default: break;
    }
    if (!is_string(value) && slot->kind == TYPE_TEXT && rows->spec->any_text)
        return set_any_text(rows, slot, value);
    if (!is_string(value)) return expected(rows, slot, "string", value);
    Str text;
    const char *problem = json_string_decode(inside_of(value), &text, rows->arena);
    if (problem) return rows_bad_field(rows, slot, "%s", problem);
    return set_from_text(rows, slot, text);
}

/* ---- paths ---- */

/* What #>> gives. false: a JSON null. */
static bool path_text(Rows *rows, Str value, Str *out) {
    JsonNumber number;
    if (is_null(value)) return false;
    *out = value;
    if (is_string(value)) {
        const char *problem = json_string_decode(inside_of(value), out, rows->arena);
        return !problem; /* never: it was looked at before */
    }
    bool scalar = value.data[0] != '{' && value.data[0] != '[';
    if (scalar && !memchr(value.data, 'E', value.size)) {
        /* A number without exponent is in PostgreSQL's form already, unless it is a negative zero.
         */
        if (is_true(value) || is_false(value)) return true;
        if (!memchr(value.data, 'e', value.size) && json_number_scan(value, &number) &&
            (number.digits || !number.negative))
            return true;
    }
    Buffer text = {0};
    Error error;
    bool fine = jsonb_as_text(value, &text, &error) == OK;
    if (fine) *out = arena_str(rows->arena, buffer_str(&text));
    buffer_free(&text);
    return fine;
}

void json_set_path(Rows *rows, Slot *slot, Str value) {
    JsonNumber number;
    if (slot->kind == TYPE_JSONB) {
        slot->strs[slot_set(rows, slot)] = value;
        return;
    }
    if (slot->kind == TYPE_FLOAT8 && json_number_scan(value, &number)) {
        double real;
        if (json_number_double(value, &number, &real))
            slot->floats[slot_set(rows, slot)] = real + 0.0; /* numeric has no -0 */
        else
            rows_value_error(rows, slot, "\"%.*s\" is out of range for type double precision",
                             STR_ARG(reason_part(value)));
        return;
    }
    Str text;
    if (!path_text(rows, value, &text)) {
        (void)rows_null(rows, slot);
        return;
    }
    if (slot->kind == TYPE_TEXT) {
        slot->strs[slot_set(rows, slot)] = text;
        return;
    }
    Value parsed;
    Error error;
    if (value_parse(slot->spec->type, text, &parsed, rows->arena, &error) == OK)
        set_value(rows, slot, &parsed);
    else rows_value_error(rows, slot, "%s", error.text);
}
