/* PostgreSQL's regular expressions on PCRE2. The pattern is translated: what both know under
 * different names is renamed
 * (\m, \y, \Z, \b …), what PCRE2 alone knows (\K, recursion, possessive quantifiers, named groups,
 * verbs) is refused as PostgreSQL refuses it, so that no pattern silently means something else.
 * What stays different: PCRE2 takes the first alternative that leads to a match where PostgreSQL
 * takes the longest match; each quantifier is greedy or lazy by itself where PostgreSQL's first one
 * decides for its branch; lookbehind needs a fixed length. Every search has a limit on its steps
 * and memory: a pattern that explodes makes an error of that row. */
#define PCRE2_CODE_UNIT_WIDTH 8
#include "expr/regex.h"
#include "data/utf8.h"
#include <pcre2.h>
#include <stdlib.h>

enum {
    MATCH_STEPS = 1000000, /* of PCRE2's internal match(): some 20 ms */
    MATCH_HEAP_KB = 32768,
    PATTERN_MOST = 32768, /* bytes */
    NESTING_MOST = 200,
    REPEAT_MOST = 255, /* PostgreSQL's */
};

struct Regex {
    pcre2_code *code;
    int groups;
    bool owned;
};

struct Matcher {
    pcre2_match_context *context;
    pcre2_match_data *data;
    int groups;        /* that `data` has room for */
    const char *known; /* a text that was found to be UTF-8, so that it is looked at once */
    size_t known_size;
};

Status regex_options(Str letters, int *options, Error *error) {
    for (size_t i = 0; i < letters.size; i++) {
        switch (letters.data[i]) {
        case 'i': *options |= REGEX_FOLD; break;
        case 'c': *options &= ~REGEX_FOLD; break;
        case 'g': *options |= REGEX_GLOBAL; break;
        case 'n':
        case 'm': *options |= REGEX_DOT_STOPS | REGEX_LINE_ANCHORS; break;
        case 'p': *options = (*options | REGEX_DOT_STOPS) & ~REGEX_LINE_ANCHORS; break;
        case 'w': *options = (*options | REGEX_LINE_ANCHORS) & ~REGEX_DOT_STOPS; break;
        case 's': *options &= ~(REGEX_DOT_STOPS | REGEX_LINE_ANCHORS); break;
        case 'x': *options |= REGEX_EXPANDED; break;
        case 't': *options &= ~REGEX_EXPANDED; break;
        case 'q': *options |= REGEX_LITERAL; break;
        case 'b':
        case 'e':
            return reject(error,
                          "regular expression option \"%c\" is not supported; only advanced "
                          "regular expressions are",
                          letters.data[i]);
        default: {
            size_t step = utf8_length(letters.data + i, letters.size - i);
            return reject(error, "invalid regular expression option: \"%.*s\"",
                          step ? (int)step : 1, letters.data + i);
        }
        }
    }
    return OK;
}

/* ---- translation ---- */

typedef struct Translation {
    const char *at, *end;
    Buffer *out;
    int options, groups, depth;
    bool looking[NESTING_MOST + 1]; /* inside a lookaround, where parentheses do not capture */
    Error *error;
} Translation;

static Status wrong(Translation *t, const char *why) {
    return reject(t->error, "invalid regular expression: %s", why);
}

static Status add_code(Translation *t, uint32_t code) {
    if (code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
        return wrong(t, "invalid escape \\ sequence");
    buffer_add_format(t->out, "\\x{%x}", code);
    return OK;
}

static int digit_value(char c) {
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                  : 99;
}

/* Digits of that base at t->at, from `least` to `most` of them, as a character. */
static Status add_digits(Translation *t, int base, int least, int most) {
    uint64_t code = 0;
    int count = 0;
    for (; count < most && t->at < t->end && digit_value(*t->at) < base; count++, t->at++)
        if (code <= 0x10ffff) code = code * (uint64_t)base + (uint64_t)digit_value(*t->at);
    if (count < least) return wrong(t, "invalid escape \\ sequence");
    return add_code(t, code > 0x10ffff ? 0x110000 : (uint32_t)code);
}

/* A digit from 1 to 9 is at t->at: one digit refers to a group, several do where there are so many
 * groups, and are a character's octal code elsewhere. */
static Status add_backreference(Translation *t) {
    const char *behind = t->at;
    int number = 0;
    for (; behind < t->end && *behind >= '0' && *behind <= '9'; behind++)
        if (number <= PATTERN_MOST) number = number * 10 + (*behind - '0');
    if (number > t->groups && behind - t->at > 1) return add_digits(t, 8, 1, 3);
    if (number > t->groups) return wrong(t, "invalid backreference number");
    t->at = behind;
    buffer_add_format(t->out, "\\g{%d}", number);
    return OK;
}

/* An escape; t->at is behind the backslash. */
static Status translate_escape(Translation *t, bool in_class) {
    if (t->at >= t->end) return wrong(t, "invalid escape \\ sequence");
    char c = *t->at;
    if (!in_class && c >= '1' && c <= '9') return add_backreference(t);
    t->at++;
    const char *as = NULL;
    switch (c) {
    case '0': return add_digits(t, 8, 0, 2);
    case 'a': return add_code(t, 7);
    case 'b': return add_code(t, 8);
    case 'e': return add_code(t, 27);
    case 'v': return add_code(t, 11);
    case 'f': as = "\\f"; break;
    case 'n': as = "\\n"; break;
    case 'r': as = "\\r"; break;
    case 't': as = "\\t"; break;
    case 'B': as = "\\\\"; break;
    case 'x': return add_digits(t, 16, 1, 255);
    case 'u': return add_digits(t, 16, 4, 4);
    case 'U': return add_digits(t, 16, 8, 8);
    case 'c':
        if (t->at >= t->end) return wrong(t, "invalid escape \\ sequence");
        return add_code(t, (uint32_t)(*t->at++ & 31));
    case 'd': as = in_class ? "0-9" : "[0-9]"; break;
    case 'D': as = in_class ? "\\D" : "[^0-9]"; break;
    case 's': as = "\\s"; break;
    case 'S': as = "\\S"; break;
    case 'w': as = "\\w"; break;
    case 'W': as = "\\W"; break;
    case 'm': as = in_class ? NULL : "\\b(?=\\w)"; break;
    case 'M': as = in_class ? NULL : "\\b(?<=\\w)"; break;
    case 'y': as = in_class ? NULL : "\\b"; break;
    case 'Y': as = in_class ? NULL : "\\B"; break;
    case 'A': as = in_class ? NULL : "\\A"; break;
    case 'Z': as = in_class ? NULL : "\\z"; break;
    default:
        if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) break;
        if ((uint8_t)c < 0x80) buffer_add_char(t->out, '\\');
        buffer_add_char(t->out, c);
        return OK;
    }
    if (!as) return wrong(t, "invalid escape \\ sequence");
    buffer_add_text(t->out, as);
    return OK;
}

/* [:name:], [.x.], [=x=] inside brackets; t->at is behind the inner '['. */
static Status translate_named(Translation *t) {
    static const char classes[] =
        " alnum alpha blank cntrl graph lower print punct space upper xdigit word ";
    char kind = *t->at++;
    const char *begin = t->at;
    while (t->at + 1 < t->end && !(t->at[0] == kind && t->at[1] == ']')) t->at++;
    if (t->at + 1 >= t->end) return wrong(t, "brackets [] not balanced");
    Str name = {begin, (size_t)(t->at - begin)};
    t->at += 2;
    if (kind == ':') {
        char between[16] = " ";
        if (str_equal(name, STR("digit"))) {
            buffer_add_text(t->out, "0-9");
            return OK;
        }
        if (name.size < sizeof between - 2)
            memcpy(between + 1, name.data, name.size), between[name.size + 1] = ' ';
        if (name.size == 0 || name.size >= sizeof between - 2 || !strstr(classes, between))
            return wrong(t, "invalid character class");
        buffer_add_format(t->out, "[:%.*s:]", STR_ARG(name));
        return OK;
    }
    if (name.size == 0 || utf8_length(name.data, name.size) != name.size)
        return wrong(t, "invalid collating element");
    buffer_add_format(t->out, name.size == 1 ? "\\x{%x}" : "", (uint8_t)name.data[0]);
    if (name.size > 1) buffer_add_str(t->out, name);
    return OK;
}

static Status translate_brackets(Translation *t) { /* t->at is behind the '[' */
    Str rest = {t->at, (size_t)(t->end - t->at)};
    if (rest.size >= 6 &&
        (memcmp(rest.data, "[:<:]]", 6) == 0 || memcmp(rest.data, "[:>:]]", 6) == 0)) {
        buffer_add_text(t->out, rest.data[2] == '<' ? "\\b(?=\\w)" : "\\b(?<=\\w)");
        t->at += 6;
        return OK;
    }
    buffer_add_char(t->out, '[');
    if (t->at < t->end && *t->at == '^') {
        buffer_add_text(t->out, t->options & REGEX_DOT_STOPS ? "^\\n" : "^");
        t->at++;
    }
    for (bool first = true; t->at < t->end; first = false) {
        char c = *t->at++;
        Status status = OK;
        if (c == ']' && !first) {
            buffer_add_char(t->out, ']');
            return OK;
        }
        if (c == '\\') status = translate_escape(t, true);
        else if (c == '[' && t->at < t->end && (*t->at == ':' || *t->at == '.' || *t->at == '='))
            status = translate_named(t);
        else {
            if (c == ']' || c == '[') buffer_add_char(t->out, '\\');
            buffer_add_char(t->out, c);
        }
        if (status != OK) return status;
    }
    return wrong(t, "brackets [] not balanced");
}

static Status translate_group(Translation *t) { /* t->at is behind the '(' */
    if (t->depth >= NESTING_MOST) return wrong(t, "parentheses are nested too deeply");
    bool looking = t->looking[t->depth];
    const char *as = "(";
    if (t->at < t->end && *t->at == '*') return wrong(t, "quantifier operand invalid");
    if (t->at < t->end && *t->at == '?') {
        static const char *const known[] = {"?:", "?=", "?!", "?<=", "?<!"};
        size_t left = (size_t)(t->end - t->at);
        if (left > 1 && t->at[1] == '#') {
            while (t->at < t->end && *t->at != ')') t->at++;
            if (t->at < t->end) t->at++;
            return OK;
        }
        int i = 0;
        for (; i < 5; i++)
            if (left >= strlen(known[i]) && memcmp(t->at, known[i], strlen(known[i])) == 0) break;
        bool letter = left > 1 && (t->at[1] | 0x20) >= 'a' && (t->at[1] | 0x20) <= 'z';
        if (i == 5)
            return wrong(t, letter ? "invalid embedded option" : "quantifier operand invalid");
        t->at += strlen(known[i]);
        buffer_add_char(t->out, '(');
        as = known[i];
        if (i > 0) looking = true;
    } else if (looking) as = "(?:";
    else t->groups++;
    buffer_add_text(t->out, as);
    t->looking[++t->depth] = looking;
    return OK;
}

/* Behind a quantifier: it may be lazy, but another one may not follow. */
static Status end_quantifier(Translation *t) {
    if (t->at < t->end && *t->at == '?') {
        buffer_add_char(t->out, '?');
        t->at++;
    }
    bool digit = t->end - t->at > 1 && t->at[1] >= '0' && t->at[1] <= '9';
    if (t->at < t->end &&
        (*t->at == '*' || *t->at == '+' || *t->at == '?' || (*t->at == '{' && digit)))
        return wrong(t, "quantifier operand invalid");
    return OK;
}

static Status translate_bound(Translation *t) { /* t->at is behind a '{' that a digit follows */
    int bounds[2] = {0, -1};
    for (int i = 0; i < 2; i++) {
        const char *begin = t->at;
        int n = 0;
        for (; t->at < t->end && *t->at >= '0' && *t->at <= '9'; t->at++)
            if (n <= REPEAT_MOST) n = n * 10 + (*t->at - '0');
        if (n > REPEAT_MOST) return wrong(t, "invalid repetition count(s)");
        if (t->at > begin) bounds[i] = n;
        if (i == 0 && t->at < t->end && *t->at == ',') t->at++;
        else {
            if (i == 0) bounds[1] = n;
            break;
        }
    }
    if (t->at >= t->end || *t->at != '}') return wrong(t, "braces {} not balanced");
    if (bounds[1] >= 0 && bounds[0] > bounds[1]) return wrong(t, "invalid repetition count(s)");
    t->at++;
    if (bounds[1] < 0) buffer_add_format(t->out, "{%d,}", bounds[0]);
    else buffer_add_format(t->out, "{%d,%d}", bounds[0], bounds[1]);
    return end_quantifier(t);
}

/* What may stand before the pattern itself: ***= and ***:, (?letters). */
static Status translate_head(Translation *t) {
    size_t left = (size_t)(t->end - t->at);
    if (left >= 4 && memcmp(t->at, "***=", 4) == 0) {
        t->options |= REGEX_LITERAL;
        t->at += 4;
        return OK;
    }
    if (left >= 4 && memcmp(t->at, "***:", 4) == 0) t->at += 4;
    left = (size_t)(t->end - t->at);
    if (left < 3 || t->at[0] != '(' || t->at[1] != '?' || t->at[2] < 'a' || t->at[2] > 'z')
        return OK;
    const char *close = memchr(t->at, ')', left);
    if (!close) return wrong(t, "invalid embedded option");
    Str letters = {t->at + 2, (size_t)(close - t->at) - 2};
    int options = t->options;
    if (memchr(letters.data, 'g', letters.size) || regex_options(letters, &options, t->error) != OK)
        return wrong(t, "invalid embedded option");
    t->options = options;
    t->at = close + 1;
    return OK;
}

static Status translate(Translation *t) {
    Status status = OK;
    while (t->at < t->end && status == OK) {
        char c = *t->at++;
        switch (c) {
        case '\\': status = translate_escape(t, false); break;
        case '[': status = translate_brackets(t); break;
        case '(': status = translate_group(t); break;
        case ')':
            if (t->depth == 0) return wrong(t, "parentheses () not balanced");
            t->depth--;
            buffer_add_char(t->out, ')');
            break;
        case '*':
        case '+':
        case '?':
            buffer_add_char(t->out, c);
            status = end_quantifier(t);
            break;
        case '{':
            if (t->at < t->end && *t->at >= '0' && *t->at <= '9') status = translate_bound(t);
            else buffer_add_text(t->out, "\\{");
            break;
        case '#':
            if (t->options & REGEX_EXPANDED) {
                while (t->at < t->end && *t->at != '\n') t->at++;
                break;
            }
            /* fall through */
        default: buffer_add_char(t->out, c);
        }
    }
    if (status == OK && t->depth > 0) return wrong(t, "parentheses () not balanced");
    return status;
}

/* ---- PCRE2 ---- */

static void *memory_from_arena(size_t size, void *arena) { return arena_alloc(arena, size); }
static void memory_stays(void *memory, void *arena) { (void)memory, (void)arena; }

static uint32_t pcre_options(int options) {
    uint32_t flags = PCRE2_UTF;
    if (options & REGEX_FOLD) flags |= PCRE2_CASELESS;
    if (options & REGEX_LITERAL) return flags | PCRE2_LITERAL;
    flags |= PCRE2_NEVER_BACKSLASH_C | PCRE2_UCP | PCRE2_DOLLAR_ENDONLY;
    if (!(options & REGEX_DOT_STOPS)) flags |= PCRE2_DOTALL;
    if (options & REGEX_LINE_ANCHORS) flags |= PCRE2_MULTILINE | PCRE2_ALT_CIRCUMFLEX;
    if (options & REGEX_EXPANDED) flags |= PCRE2_EXTENDED;
    return flags;
}

static Status compile(Str pattern, int options, Regex *regex, Arena *arena, Error *error) {
    pcre2_general_context *general =
        arena ? pcre2_general_context_create(memory_from_arena, memory_stays, arena) : NULL;
    pcre2_compile_context *context = pcre2_compile_context_create(general);
    if (!context) return fail(error, "out of memory");
    pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    pcre2_set_parens_nest_limit(context, NESTING_MOST + 2);
    int code;
    PCRE2_SIZE at;
    if (options & REGEX_LITERAL) options &= ~REGEX_EXPANDED;
    regex->code = pcre2_compile((PCRE2_SPTR)(pattern.size ? pattern.data : ""), pattern.size,
                                pcre_options(options), &code, &at, context);
    pcre2_compile_context_free(context);
    if (!regex->code) {
        PCRE2_UCHAR text[200];
        pcre2_get_error_message(code, text, sizeof text);
        const char *why = code == PCRE2_ERROR_QUANTIFIER_INVALID  ? "quantifier operand invalid"
                          : code == PCRE2_ERROR_CLASS_RANGE_ORDER ? "invalid character range"
                                                                  : (const char *)text;
        return reject(error, "invalid regular expression: %s", why);
    }
    if (arena)
        (void)pcre2_jit_compile(regex->code,
                                PCRE2_JIT_COMPLETE); /* without it: slower, the same answers */
    uint32_t groups;
    pcre2_pattern_info(regex->code, PCRE2_INFO_CAPTURECOUNT, &groups);
    regex->groups = (int)groups;
    return OK;
}

Status regex_new(Str pattern, int options, Regex **out, Arena *arena, Error *error) {
    if (pattern.size > PATTERN_MOST)
        return reject(error, "invalid regular expression: it is longer than %d bytes",
                      PATTERN_MOST);
    Buffer translated = {0};
    Translation t = {.at = pattern.data,
                     .end = pattern.data + pattern.size,
                     .out = &translated,
                     .options = options,
                     .error = error};
    Status status = t.options & REGEX_LITERAL ? OK : translate_head(&t);
    if (status == OK && t.options & REGEX_LITERAL)
        buffer_add(&translated, t.at, (size_t)(t.end - t.at));
    else if (status == OK) status = translate(&t);
    Regex *regex = arena ? arena_zero(arena, sizeof *regex) : xcalloc(1, sizeof *regex);
    regex->owned = !arena;
    if (status == OK) status = compile(buffer_str(&translated), t.options, regex, arena, error);
    buffer_free(&translated);
    if (status != OK && !arena) free(regex);
    *out = status == OK ? regex : NULL;
    return status;
}

void regex_free(Regex **regex) {
    if (*regex && (*regex)->owned) {
        pcre2_code_free((*regex)->code);
        free(*regex);
    }
    *regex = NULL;
}

int regex_groups(const Regex *regex) { return regex->groups; }

Matcher *matcher_new(void) {
    Matcher *matcher = xcalloc(1, sizeof *matcher);
    matcher->context = pcre2_match_context_create(NULL);
    if (matcher->context) {
        pcre2_set_match_limit(matcher->context, MATCH_STEPS);
        pcre2_set_heap_limit(matcher->context, MATCH_HEAP_KB);
    }
    return matcher;
}

void matcher_free(Matcher **matcher) {
    if (!*matcher) return;
    pcre2_match_data_free((*matcher)->data);
    pcre2_match_context_free((*matcher)->context);
    free(*matcher);
    *matcher = NULL;
}

Status regex_match(const Regex *regex, Matcher *matcher, Str text, size_t start, Error *error) {
    if (!matcher->data || matcher->groups < regex->groups) {
        pcre2_match_data_free(matcher->data);
        matcher->data = pcre2_match_data_create((uint32_t)regex->groups + 1, NULL);
        matcher->groups = regex->groups;
    }
    if (!matcher->data || !matcher->context)
        return reject(error, "regular expression failed: out of memory");
    bool known = text.data && matcher->known == text.data && matcher->known_size == text.size;
    uint32_t options = known ? PCRE2_NO_UTF_CHECK : 0;
    PCRE2_SPTR subject = (PCRE2_SPTR)(text.size ? text.data : "");
    int code = pcre2_match(regex->code, subject, text.size, start, options, matcher->data,
                           matcher->context);
    if (code == PCRE2_ERROR_JIT_STACKLIMIT) /* the interpreter has more room */
        code = pcre2_match(regex->code, subject, text.size, start, options | PCRE2_NO_JIT,
                           matcher->data, matcher->context);
    if (code >= 0 || code == PCRE2_ERROR_NOMATCH) {
        matcher->known = text.data, matcher->known_size = text.size;
        return code >= 0 ? OK : END;
    }
    PCRE2_UCHAR why[200];
    pcre2_get_error_message(code, why, sizeof why);
    return reject(error, "regular expression failed: %s", (const char *)why);
}

bool matcher_group(const Matcher *matcher, int index, size_t *begin, size_t *end) {
    const PCRE2_SIZE *vector = pcre2_get_ovector_pointer(matcher->data);
    uint32_t count = pcre2_get_ovector_count(matcher->data);
    if (index < 0 || (uint32_t)index >= count || vector[2 * index] == PCRE2_UNSET) return false;
    *begin = vector[2 * index], *end = vector[2 * index + 1];
    if (*begin > *end) *begin = *end; /* a lookaround may end before it begins */
    return true;
}
