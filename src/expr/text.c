/* Plain text functions that look at one string as a whole: lengths, case, trimming, single
 * characters. Strings are UTF-8; most of what streams carry is ASCII, so each function has a
 * byte-wise way for that. Results are views into their argument wherever possible. Case follows
 * glibc's C.UTF-8 table by its own locale object, because an answer may not depend on the
 * environment that the program was started in. */
#include "expr/library.h"
#include <locale.h>
#include <pthread.h>
#include <wctype.h>

static uint32_t utf8_decode(const char *at, const char *end, size_t *size) {
    const uint8_t *b = (const uint8_t *)at;
    size_t step = utf8_step(at, end);
    *size = step;
    uint32_t code = b[0];
    if (step == 1) return code;
    code &= 0x7fu >> step;
    for (size_t i = 1; i < step; i++) {
        if ((b[i] & 0xc0) != 0x80) {
            *size = 1;
            return b[0];
        }
        code = code << 6 | (b[i] & 0x3fu);
    }
    return code;
}

static locale_t utf8_locale;
static pthread_once_t utf8_locale_once = PTHREAD_ONCE_INIT;

static void open_utf8_locale(void) {
    utf8_locale = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    if (!utf8_locale) utf8_locale = newlocale(LC_CTYPE_MASK, "C", (locale_t)0);
}

static locale_t ctype_locale(void) {
    pthread_once(&utf8_locale_once, open_utf8_locale);
    return utf8_locale;
}

uint32_t fold_lower(uint32_t code) {
    if (code < 0x80) return code >= 'A' && code <= 'Z' ? code + 32 : code;
    return (uint32_t)towlower_l((wint_t)code, ctype_locale());
}

static uint32_t fold_upper(uint32_t code) {
    if (code < 0x80) return code >= 'a' && code <= 'z' ? code - 32 : code;
    return (uint32_t)towupper_l((wint_t)code, ctype_locale());
}

static bool code_is_alnum(uint32_t code) { return iswalnum_l((wint_t)code, ctype_locale()) != 0; }

static Str map_case(Str s, uint32_t (*fold)(uint32_t), Arena *arena) {
    if (s.size == 0) return s;
    if (is_ascii(s)) {
        char first = fold == fold_lower ? 'A' : 'a';
        size_t at = 0;
        while (at < s.size && (uint8_t)(s.data[at] - first) >= 26) at++;
        if (at == s.size) return s;
        char *to = arena_alloc(arena, s.size);
        memcpy(to, s.data, at);
        for (; at < s.size; at++)
            to[at] = (char)(s.data[at] ^ ((uint8_t)(s.data[at] - first) < 26 ? 0x20 : 0));
        return (Str){to, s.size};
    }
    char *to = arena_alloc(arena, s.size * 2 + 4); /* two bytes may become three */
    size_t made = 0, step;
    for (const char *at = s.data, *end = s.data + s.size; at < end; at += step) {
        uint32_t code = utf8_decode(at, end, &step);
        if (step == 1 && code >= 0x80) to[made++] = *at;
        else made += utf8_encode(fold(code), to + made);
    }
    return (Str){to, made};
}

Str text_lower(Str s, Arena *arena) { return map_case(s, fold_lower, arena); }
static Str text_upper(Str s, Arena *arena) { return map_case(s, fold_upper, arena); }

char *make_text(Call *call, Column *out, int row, size_t size) {
    if (size <= TEXT_MOST && arena_bytes(call->arena) <= BATCH_TEXT_MOST)
        return arena_alloc(call->arena, size + 1);
    column_fail(call, out, row,
                size > TEXT_MOST ? "requested length too large"
                                 : "the results of one batch are longer than 512 MB");
    return NULL;
}

void set_text(Call *call, Column *out, int row, const Buffer *b) {
    char *to = make_text(call, out, row, b->size);
    if (!to) return;
    if (b->size) memcpy(to, b->data, b->size);
    column_strs(out)[row] = (Str){to, b->size};
}

void add_output_text(const Column *column, int row, bool cast, Buffer *out) {
    Value value = column_value(column, row);
    if (value.type.kind == TYPE_BOOL)
        buffer_add_text(out, value.boolean ? (cast ? "true" : "t") : cast ? "false" : "f");
    else if (type_is_text(value.type.kind)) buffer_add_str(out, value.str);
    else value_text(value, out);
}

static void length_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) column_ints(out)[row] = character_count(args[0]->strs[row]);
}

static void octets_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) column_ints(out)[row] = (int64_t)args[0]->strs[row].size;
}

static void bits_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) column_ints(out)[row] = (int64_t)args[0]->strs[row].size * 8;
}

static void lower_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) column_strs(out)[row] = text_lower(args[0]->strs[row], call->arena);
}

static void upper_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) column_strs(out)[row] = text_upper(args[0]->strs[row], call->arena);
}

static void initcap_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row];
        char *to = arena_alloc(call->arena, s.size * 2 + 4);
        size_t made = 0, step;
        bool inside = false; /* a word */
        for (const char *at = s.data, *end = s.data + s.size; at < end; at += step) {
            uint32_t code = utf8_decode(at, end, &step);
            if (step == 1 && code >= 0x80) to[made++] = *at;
            else made += utf8_encode(inside ? fold_lower(code) : fold_upper(code), to + made);
            inside = code_is_alnum(code);
        }
        column_strs(out)[row] = (Str){to, made};
    }
}

/* Is the character of `step` bytes at `at` one of the set? */
static bool in_set(Str set, const char *at, size_t step) {
    for (const char *s = set.data, *end = set.data + set.size; s < end;) {
        size_t size = utf8_step(s, end);
        if (size == step && memcmp(s, at, step) == 0) return true;
        s += size;
    }
    return false;
}

static Str trim(Str s, Str set, bool left, bool right) {
    const char *begin = s.data, *end = s.data + s.size;
    if (set.size == 1) {
        while (left && begin < end && *begin == set.data[0]) begin++;
        while (right && end > begin && end[-1] == set.data[0]) end--;
        return str_slice(begin, end);
    }
    while (left && begin < end) {
        size_t step = utf8_step(begin, end);
        if (!in_set(set, begin, step)) break;
        begin += step;
    }
    while (right && end > begin) {
        const char *last = utf8_back(end, begin);
        if (!in_set(set, last, (size_t)(end - last))) break;
        end = last;
    }
    return str_slice(begin, end);
}

static void trim_rows(Call *call, int rows, const Column *const *args, Column *out, bool left,
                      bool right) {
    EACH_OK_ROW(row)
    column_strs(out)[row] =
        trim(args[0]->strs[row], call->arg_count > 1 ? args[1]->strs[row] : STR(" "), left, right);
}

static void btrim_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    trim_rows(call, rows, args, out, true, true);
}
static void ltrim_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    trim_rows(call, rows, args, out, true, false);
}
static void rtrim_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    trim_rows(call, rows, args, out, false, true);
}

static void reverse_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row];
        char *to = arena_alloc(call->arena, s.size + 1), *put = to + s.size;
        for (const char *at = s.data, *end = s.data + s.size; at < end;) {
            size_t step = utf8_step(at, end);
            put -= step;
            memcpy(put, at, step);
            at += step;
        }
        column_strs(out)[row] = (Str){to, s.size};
    }
}

static void starts_with_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], with = args[1]->strs[row];
        column_bools(out)[row] =
            with.size <= s.size && (with.size == 0 || memcmp(s.data, with.data, with.size) == 0);
    }
}

static void ascii_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row];
        size_t step;
        column_ints(out)[row] =
            s.size == 0 ? 0 : (int64_t)utf8_decode(s.data, s.data + s.size, &step);
    }
}

static void chr_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        int64_t code = args[0]->ints[row];
        if (code < 0) column_fail(call, out, row, "character number must be positive");
        else if (code == 0) column_fail(call, out, row, "null character not permitted");
        else if (code > 0x10ffff)
            column_fail(call, out, row, "requested character too large for encoding: %lld",
                        (long long)code);
        else if (code >= 0xd800 && code <= 0xdfff)
            column_fail(call, out, row, "requested character not valid for encoding: %lld",
                        (long long)code);
        else {
            char *to = arena_alloc(call->arena, 4);
            column_strs(out)[row] = (Str){to, utf8_encode((uint32_t)code, to)};
        }
    }
}

static void to_hex_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    bool wide = args[0]->type.kind == TYPE_INT8;
    EACH_OK_ROW(row) {
        uint64_t value = (uint64_t)args[0]->ints[row];
        column_strs(out)[row] = str_from(arena_format(
            call->arena, "%llx", (unsigned long long)(wide ? value : (uint32_t)value)));
    }
}

#define S FUNCTION_STRICT
const Function text_functions[] = {
    {"length", TYPE_INT4, 1, {TYPE_TEXT}, S, length_kernel, NULL, "characters in the text"},
    {"length", TYPE_INT4, 1, {TYPE_BYTEA}, S, octets_kernel, NULL, "bytes in the bytea"},
    {"char_length", TYPE_INT4, 1, {TYPE_TEXT}, S, length_kernel, NULL, "characters in the text"},
    {"character_length",
     TYPE_INT4,
     1,
     {TYPE_TEXT},
     S,
     length_kernel,
     NULL,
     "characters in the text"},
    {"octet_length",
     TYPE_INT4,
     1,
     {TYPE_TEXT},
     S,
     octets_kernel,
     NULL,
     "bytes of the text in UTF-8"},
    {"octet_length", TYPE_INT4, 1, {TYPE_BYTEA}, S, octets_kernel, NULL, "bytes in the bytea"},
    {"bit_length", TYPE_INT4, 1, {TYPE_TEXT}, S, bits_kernel, NULL, "octet_length times 8"},
    {"bit_length", TYPE_INT4, 1, {TYPE_BYTEA}, S, bits_kernel, NULL, "octet_length times 8"},
    {"lower", TYPE_TEXT, 1, {TYPE_TEXT}, S, lower_kernel, NULL, "in lower case, as under C.UTF-8"},
    {"upper", TYPE_TEXT, 1, {TYPE_TEXT}, S, upper_kernel, NULL, "in upper case, as under C.UTF-8"},
    {"initcap",
     TYPE_TEXT,
     1,
     {TYPE_TEXT},
     S,
     initcap_kernel,
     NULL,
     "first letter of each word in upper case, the rest in lower case"},
    {"btrim",
     TYPE_TEXT,
     1,
     {TYPE_TEXT},
     S,
     btrim_kernel,
     NULL,
     "without the blanks at both ends; also trim(text)"},
    {"btrim",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     btrim_kernel,
     NULL,
     "without any of the given characters at both ends; also trim(both characters from text)"},
    {"ltrim", TYPE_TEXT, 1, {TYPE_TEXT}, S, ltrim_kernel, NULL, "without the blanks at the start"},
    {"ltrim",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     ltrim_kernel,
     NULL,
     "without any of the given characters at the start; also trim(leading characters from text)"},
    {"rtrim", TYPE_TEXT, 1, {TYPE_TEXT}, S, rtrim_kernel, NULL, "without the blanks at the end"},
    {"rtrim",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     rtrim_kernel,
     NULL,
     "without any of the given characters at the end; also trim(trailing characters from text)"},
    {"reverse",
     TYPE_TEXT,
     1,
     {TYPE_TEXT},
     S,
     reverse_kernel,
     NULL,
     "the characters in reverse order"},
    {"starts_with",
     TYPE_BOOL,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     starts_with_kernel,
     NULL,
     "whether the first text begins with the second"},
    {"^@",
     TYPE_BOOL,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S | FUNCTION_OPERATOR,
     starts_with_kernel,
     NULL,
     "whether the first text begins with the second"},
    {"ascii",
     TYPE_INT4,
     1,
     {TYPE_TEXT},
     S,
     ascii_kernel,
     NULL,
     "code point of the first character, 0 for ''"},
    {"chr", TYPE_TEXT, 1, {TYPE_INT4}, S, chr_kernel, NULL, "the character with that code point"},
    {"to_hex",
     TYPE_TEXT,
     1,
     {TYPE_INT4},
     S,
     to_hex_kernel,
     NULL,
     "in hexadecimal, two's complement"},
    {"to_hex",
     TYPE_TEXT,
     1,
     {TYPE_INT8},
     S,
     to_hex_kernel,
     NULL,
     "in hexadecimal, two's complement"},
    {0},
};
