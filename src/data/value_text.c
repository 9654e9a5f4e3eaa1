/* Values from text and to text, as PostgreSQL's input and output functions do it, with their
 * messages. Text, varchar and jsonb are not copied: the value is a view into the text that was
 * given. */
#include "data/double.h"
#include "data/jsonb.h"
#include "data/numeric.h"
#include "data/time.h"
#include "data/value.h"
#include <ctype.h>
#include <math.h>
#include <stdlib.h>

static const char *name_of(TypeKind kind) { return type_name(type_of(kind), NULL); }

static Status bad_syntax(Error *error, TypeKind kind, Str text) {
    return reject(error, "invalid input syntax for type %s: \"%.*s\"", name_of(kind),
                  STR_ARG(text));
}

static Str trim(Str text) {
    while (text.size && isspace((unsigned char)text.data[0])) text.data++, text.size--;
    while (text.size && isspace((unsigned char)text.data[text.size - 1])) text.size--;
    return text;
}

static Status parse_bool(Str text, bool *out, Error *error) {
    static const struct {
        Str word;
        size_t least; /* a shorter beginning of the word would not be clear */
        bool value;
    } words[] = {{STR("true"), 1, true}, {STR("false"), 1, false}, {STR("yes"), 1, true},
                 {STR("no"), 1, false},  {STR("on"), 2, true},     {STR("off"), 2, false},
                 {STR("1"), 1, true},    {STR("0"), 1, false}};
    Str word = trim(text);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        if (word.size < words[i].least || word.size > words[i].word.size) continue;
        if (!str_equal_nocase(word, (Str){words[i].word.data, word.size})) continue;
        *out = words[i].value;
        return OK;
    }
    return bad_syntax(error, TYPE_BOOL, text);
}

static Status parse_integer(TypeKind kind, Str text, int64_t *out, Error *error) {
    int64_t most = kind == TYPE_INT2 ? INT16_MAX : kind == TYPE_INT4 ? INT32_MAX : INT64_MAX;
    Str digits = trim(text);
    bool minus = digits.size && digits.data[0] == '-';
    if (digits.size && (digits.data[0] == '-' || digits.data[0] == '+'))
        digits.data++, digits.size--;
    if (digits.size == 0) return bad_syntax(error, kind, text);
    uint64_t value = 0, limit = (uint64_t)most + minus;
    bool too_large = false;
    for (size_t i = 0; i < digits.size; i++) {
        unsigned digit = (unsigned char)digits.data[i] - (unsigned)'0';
        if (digit > 9) return bad_syntax(error, kind, text);
        if (value > (limit - digit) / 10) too_large = true;
        value = value * 10 + digit;
    }
    if (too_large)
        return reject(error, "value \"%.*s\" is out of range for type %s", STR_ARG(text),
                      name_of(kind));
    *out = minus ? (int64_t)-value : (int64_t)value;
    return OK;
}

/* What from_chars does not take: names, '+', blanks, and C's hexadecimal floats (which PostgreSQL
 * takes too). */
static NumberScan scan_float(TypeKind kind, Str text, double *out) {
    text = trim(text);
    Str word = text;
    bool minus = word.size && word.data[0] == '-';
    if (word.size && (word.data[0] == '-' || word.data[0] == '+')) word.data++, word.size--;
    if (str_equal_nocase(word, STR("nan"))) {
        *out = (double)NAN;
        return NUMBER_OK;
    }
    if (str_equal_nocase(word, STR("infinity")) || str_equal_nocase(word, STR("inf"))) {
        *out = minus ? -(double)INFINITY : (double)INFINITY;
        return NUMBER_OK;
    }
    if (word.size > 2 && word.data[0] == '0' && (word.data[1] | 32) == 'x' && word.size < 64) {
        char copy[64], *end;
        memcpy(copy, word.data, word.size);
        copy[word.size] = '\0';
        double value = kind == TYPE_FLOAT4 ? (double)strtof(copy, &end) : strtod(copy, &end);
        if (end != copy + word.size) return NUMBER_SYNTAX;
        *out = minus ? -value : value;
        return isinf(value) ? NUMBER_RANGE : NUMBER_OK;
    }
    if (word.size < text.size && text.data[0] == '+') text = word;
    if (word.size && (word.data[0] == '-' || word.data[0] == '+')) return NUMBER_SYNTAX;
    if (kind == TYPE_FLOAT8) return double_scan(text.data, text.size, out);
    float single;
    NumberScan scan = float_scan(text.data, text.size, &single);
    if (scan == NUMBER_OK) *out = (double)single;
    return scan;
}

Status double_parse(Str text, double *out) {
    return scan_float(TYPE_FLOAT8, text, out) == NUMBER_OK ? OK : REJECT;
}

static Status parse_float(TypeKind kind, Str text, double *out, Error *error) {
    switch (scan_float(kind, text, out)) {
    case NUMBER_OK: return OK;
    case NUMBER_SYNTAX: return bad_syntax(error, kind, text);
    case NUMBER_RANGE: break;
    }
    return reject(error, "\"%.*s\" is out of range for type %s", STR_ARG(text), name_of(kind));
}

static Status parse_varchar(Type type, Str text, Str *out, Error *error) {
    *out = text;
    if (type.modifier < 0 || text.size <= (size_t)type.modifier) return OK;
    size_t end = 0;
    for (int characters = 0; end < text.size; end++) {
        if (((unsigned char)text.data[end] & 0xC0) != 0x80 && characters++ == type.modifier) break;
    }
    for (size_t i = end; i < text.size; i++)
        if (text.data[i] != ' ')
            return reject(error, "value too long for type character varying(%d)", type.modifier);
    out->size = end;
    return OK;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/* 32 hexadecimal digits, with a hyphen after any group of four, in braces or not. */
static Status parse_uuid(Str text, Str *out, Arena *arena, Error *error) {
    Str rest = text;
    if (rest.size >= 2 && rest.data[0] == '{' && rest.data[rest.size - 1] == '}')
        rest.data++, rest.size -= 2;
    unsigned char *bytes = arena_zero(arena, 16);
    size_t at = 0;
    for (int i = 0; i < 32; i++) {
        int digit = at < rest.size ? hex_digit(rest.data[at++]) : -1;
        if (digit < 0) return bad_syntax(error, TYPE_UUID, text);
        bytes[i / 2] = (unsigned char)(bytes[i / 2] << 4 | digit);
        if (i % 4 == 3 && i < 31 && at < rest.size && rest.data[at] == '-') at++;
    }
    if (at != rest.size) return bad_syntax(error, TYPE_UUID, text);
    *out = (Str){(char *)bytes, 16};
    return OK;
}

static Status parse_hex_bytes(Str text, Str *out, Arena *arena, Error *error) {
    char *bytes = arena_alloc(arena, text.size / 2 + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i += 2) {
        if (isspace((unsigned char)text.data[i])) {
            i--;
            continue;
        }
        int high = hex_digit(text.data[i]);
        if (high < 0) return reject(error, "invalid hexadecimal digit: \"%c\"", text.data[i]);
        if (i + 1 == text.size)
            return reject(error, "invalid hexadecimal data: odd number of digits");
        int low = hex_digit(text.data[i + 1]);
        if (low < 0) return reject(error, "invalid hexadecimal digit: \"%c\"", text.data[i + 1]);
        bytes[size++] = (char)(high << 4 | low);
    }
    *out = (Str){bytes, size};
    return OK;
}

static bool octal(char c, char most) { return c >= '0' && c <= most; }

/* '\x…' in hexadecimal, else PostgreSQL's escape form: \\ and \ooo. */
static Status parse_bytea(Str text, Str *out, Arena *arena, Error *error) {
    if (text.size >= 2 && text.data[0] == '\\' && text.data[1] == 'x')
        return parse_hex_bytes((Str){text.data + 2, text.size - 2}, out, arena, error);
    char *bytes = arena_alloc(arena, text.size + 1);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        const char *at = text.data + i;
        size_t left = text.size - i;
        if (*at != '\\') {
            bytes[size++] = *at;
        } else if (left >= 2 && at[1] == '\\') {
            bytes[size++] = '\\';
            i++;
        } else if (left >= 4 && octal(at[1], '3') && octal(at[2], '7') && octal(at[3], '7')) {
            bytes[size++] = (char)((at[1] - '0') << 6 | (at[2] - '0') << 3 | (at[3] - '0'));
            i += 3;
        } else {
            return reject(error, "invalid input syntax for type bytea");
        }
    }
    *out = (Str){bytes, size};
    return OK;
}

Status value_parse(Type type, Str text, Value *out, Arena *arena, Error *error) {
    *out = (Value){.type = type};
    switch (type.kind) {
    case TYPE_BOOL: return parse_bool(text, &out->boolean, error);
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8: return parse_integer(type.kind, text, &out->integer, error);
    case TYPE_FLOAT4:
    case TYPE_FLOAT8: return parse_float(type.kind, text, &out->real, error);
    case TYPE_NUMERIC: {
        Status status = numeric_parse(text, &out->str, arena, error);
        if (status != OK || type.modifier < 0) return status;
        return numeric_apply_modifier(out->str, type.modifier, &out->str, arena, error);
    }
    case TYPE_VARCHAR: return parse_varchar(type, text, &out->str, error);
    case TYPE_UUID: return parse_uuid(text, &out->str, arena, error);
    case TYPE_DATE: return date_parse(text, &out->integer, error);
    case TYPE_TIMESTAMP: return timestamp_parse(text, false, &out->integer, error);
    case TYPE_TIMESTAMPTZ: return timestamp_parse(text, true, &out->integer, error);
    case TYPE_INTERVAL: return interval_parse(text, &out->interval, error);
    case TYPE_BYTEA: return parse_bytea(text, &out->str, arena, error);
    case TYPE_JSONB:
        if (!jsonb_valid(text)) return reject(error, "invalid input syntax for type json");
        out->str = text;
        return OK;
    case TYPE_TEXT_ARRAY: return reject(error, "text[] cannot be read from text");
    case TYPE_TEXT:
    case TYPE_UNKNOWN:
    case TYPE_KINDS: break;
    }
    out->str = text;
    return OK;
}

static void int_text(int64_t value, Buffer *out) {
    char digits[20];
    size_t at = sizeof digits;
    uint64_t rest = value < 0 ? -(uint64_t)value : (uint64_t)value;
    do digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    if (value < 0) digits[--at] = '-';
    buffer_add(out, digits + at, sizeof digits - at);
}

/* "d.ddde±xx" laid out as PostgreSQL does: plain for exponents from -4 up to `plain`, else with an
 * exponent of at least two digits. */
static void layout_digits(const char *text, const char *end, int plain, Buffer *out) {
    char *to = buffer_reserve(out, 40), *start = to;
    if (*text == '-') *to++ = *text++;
    char digits[20];
    int count = 0;
    for (; text < end && *text != 'e'; text++)
        if (*text != '.') digits[count++] = *text;
    int exponent = 0;
    for (const char *e = text + 2; e < end; e++) exponent = exponent * 10 + (*e - '0');
    if (text[1] == '-') exponent = -exponent;
    if (exponent < -4 || exponent >= plain) {
        *to++ = digits[0];
        if (count > 1) {
            *to++ = '.';
            memcpy(to, digits + 1, (size_t)count - 1);
            to += count - 1;
        }
        memcpy(to, text,
               (size_t)(end - text)); /* e±xx as it came: C++ writes at least two digits too */
        to += end - text;
    } else if (exponent < 0) {
        memcpy(to, "0.0000", 6);
        to += 1 - exponent;
        memcpy(to, digits, (size_t)count);
        to += count;
    } else {
        for (int i = 0; i < count || i <= exponent; i++) {
            if (i == exponent + 1) *to++ = '.';
            *to++ = i < count ? digits[i] : '0';
        }
    }
    out->size += (size_t)(to - start);
}

static bool special_float(double value, Buffer *out) {
    if (isfinite(value)) return false;
    buffer_add_text(out, isnan(value) ? "NaN" : value > 0 ? "Infinity" : "-Infinity");
    return true;
}

/* Most measured values have few decimals. Where an integer of at most 15 digits divided by 10^4
 * gives the very double back, its decimal form is the shortest, and needs no search. */
static bool short_double(double value, Buffer *out) {
    double scaled = value * 1e4;
    if (!(fabs(scaled) < 1e15) || (value == 0 && signbit(value))) return false;
    int64_t units = llrint(scaled);
    if ((double)units / 1e4 != value) return false;
    if (units == 0) {
        buffer_add_char(out, '0');
        return true;
    }
    uint64_t rest = units < 0 ? -(uint64_t)units : (uint64_t)units;
    char text[24];
    size_t at = sizeof text;
    unsigned fraction = (unsigned)(rest % 10000);
    uint64_t whole = rest / 10000;
    if (fraction) {
        int decimals = 4;
        for (; fraction % 10 == 0; fraction /= 10) decimals--;
        for (; decimals > 0; decimals--, fraction /= 10) text[--at] = (char)('0' + fraction % 10);
        text[--at] = '.';
    }
    do text[--at] = (char)('0' + whole % 10);
    while (whole /= 10);
    if (units < 0) text[--at] = '-';
    buffer_add(out, text + at, sizeof text - at);
    return true;
}

void double_text(double value, Buffer *out) {
    if (short_double(value, out) || special_float(value, out)) return;
    char text[40];
    layout_digits(text, double_digits(value, text), 15, out);
}

void float4_text(double value, Buffer *out) {
    if (special_float(value, out)) return;
    char text[40];
    layout_digits(text, float_digits((float)value, text), 6, out);
}

static void hex_text(Str bytes, size_t from, size_t to, Buffer *out) {
    static const char hex[] = "0123456789abcdef";
    char *at = buffer_reserve(out, 2 * (to - from));
    for (size_t i = from; i < to; i++) {
        *at++ = hex[(unsigned char)bytes.data[i] >> 4];
        *at++ = hex[(unsigned char)bytes.data[i] & 15];
    }
    out->size += 2 * (to - from);
}

static void uuid_text(Str uuid, Buffer *out) {
    static const size_t ends[] = {4, 6, 8, 10, 16};
    if (uuid.size != 16) return;
    for (size_t i = 0, from = 0; i < 5; from = ends[i++]) {
        if (i) buffer_add_char(out, '-');
        hex_text(uuid, from, ends[i], out);
    }
}

/* {a,"b c",NULL}: an item is quoted where it could be read otherwise. */
static void text_array_text(Str array, Buffer *out) {
    buffer_add_char(out, '{');
    int count = text_array_count(array);
    for (int i = 0; i < count; i++) {
        if (i) buffer_add_char(out, ',');
        Str item;
        if (!text_array_get(array, i, &item)) {
            buffer_add_text(out, "NULL");
            continue;
        }
        bool quoted = item.size == 0 || str_equal_nocase(item, STR("null"));
        for (size_t j = 0; j < item.size && !quoted; j++)
            quoted = isspace((unsigned char)item.data[j]) ||
                     (item.data[j] && strchr("{}\",\\", item.data[j]));
        if (quoted) buffer_add_char(out, '"');
        for (size_t j = 0; j < item.size; j++) {
            if (item.data[j] == '"' || item.data[j] == '\\') buffer_add_char(out, '\\');
            buffer_add_char(out, item.data[j]);
        }
        if (quoted) buffer_add_char(out, '"');
    }
    buffer_add_char(out, '}');
}

void value_text(Value value, Buffer *out) {
    if (value.null) return;
    switch (value.type.kind) {
    case TYPE_BOOL: buffer_add_text(out, value.boolean ? "true" : "false"); return;
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8: int_text(value.integer, out); return;
    case TYPE_FLOAT4: float4_text(value.real, out); return;
    case TYPE_FLOAT8: double_text(value.real, out); return;
    case TYPE_NUMERIC: numeric_text(value.str, out); return;
    case TYPE_UUID: uuid_text(value.str, out); return;
    case TYPE_DATE: date_text(value.integer, out); return;
    case TYPE_TIMESTAMP: timestamp_text(value.integer, false, out); return;
    case TYPE_TIMESTAMPTZ: timestamp_text(value.integer, true, out); return;
    case TYPE_INTERVAL: interval_text(value.interval, out); return;
    case TYPE_JSONB:
        if (!jsonb_normalize(value.str, out)) buffer_add_str(out, value.str);
        return;
    case TYPE_BYTEA:
        buffer_add_text(out, "\\x");
        hex_text(value.str, 0, value.str.size, out);
        return;
    case TYPE_TEXT_ARRAY: text_array_text(value.str, out); return;
    case TYPE_TEXT:
    case TYPE_VARCHAR:
    case TYPE_UNKNOWN:
    case TYPE_KINDS: break;
    }
    buffer_add_str(out, value.str);
}
