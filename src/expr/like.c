/* LIKE and ILIKE, and the functions that ESCAPE and SIMILAR TO turn into. A constant pattern is
 * looked at once: most are a text with % at one or both ends, which needs one comparison or one
 * search. The rest is matched by walking, going back to the last % alone, which is enough for LIKE:
 * time is at most text times pattern, and nothing recurses. ILIKE compares in lower case, as
 * PostgreSQL does for UTF-8. */
#include "expr/library.h"

typedef enum Shape { SHAPE_GENERAL, SHAPE_EXACT, SHAPE_PREFIX, SHAPE_SUFFIX, SHAPE_INSIDE } Shape;

typedef struct Like {
    Shape shape;
    Str text; /* without the %; SHAPE_GENERAL: the pattern as it came, in lower case for ILIKE */
} Like;

static Like like_of(Str pattern) {
    Like general = {SHAPE_GENERAL, pattern};
    Str text = pattern;
    bool front = false, back = false;
    while (text.size && text.data[0] == '%') text.data++, text.size--, front = true;
    while (text.size && text.data[text.size - 1] == '%') text.size--, back = true;
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '%' || text.data[i] == '_' || text.data[i] == '\\') return general;
    if (front && text.size == 0) back = true;
    return (Like){front && back ? SHAPE_INSIDE
                  : front       ? SHAPE_SUFFIX
                  : back        ? SHAPE_PREFIX
                                : SHAPE_EXACT,
                  text};
}

/* 1: yes, 0: no, -1: the pattern ends with its escape character. */
static int match_general(Str s, Str pattern) {
    const char *at = s.data, *end = s.data + s.size, *p = pattern.data,
               *p_end = pattern.data + pattern.size;
    const char *star = NULL,
               *star_at = NULL; /* behind the last %, and where its rest was tried last */
    while (at < end) {
        if (p < p_end && *p == '%') {
            while (p < p_end && *p == '%') p++;
            if (p == p_end) return 1;
            star = p, star_at = at;
            continue;
        }
        bool fits = false;
        if (p < p_end && *p == '\\') {
            if (p + 1 >= p_end) return -1;
            if ((fits = p[1] == *at)) p += 2, at++;
        } else if (p < p_end && *p == '_') fits = true, p++, at += utf8_step(at, end);
        else if (p < p_end && *p == *at) fits = true, p++, at++;
        if (fits) continue;
        if (!star) return 0;
        star_at += utf8_step(star_at, end);
        p = star, at = star_at;
    }
    while (p < p_end && *p == '%') p++;
    return p == p_end;
}

static int like_match(const Like *like, Str s) {
    Str text = like->text;
    if (like->shape == SHAPE_GENERAL) return match_general(s, text);
    if (s.size < text.size) return 0;
    if (text.size == 0) return like->shape != SHAPE_EXACT || s.size == 0;
    switch (like->shape) {
    case SHAPE_EXACT: return s.size == text.size && memcmp(s.data, text.data, text.size) == 0;
    case SHAPE_PREFIX: return memcmp(s.data, text.data, text.size) == 0;
    case SHAPE_SUFFIX: return memcmp(s.data + s.size - text.size, text.data, text.size) == 0;
    default: return memmem(s.data, s.size, text.data, text.size) != NULL;
    }
}

static Status prepare(void **state, const Value *const *constants, bool fold, Arena *arena) {
    const Str *pattern = constant_text(constants, 1);
    if (!pattern) return OK;
    Like *like = arena_alloc(arena, sizeof *like);
    *like = like_of(fold ? text_lower(*pattern, arena) : *pattern);
    *state = like;
    return OK;
}

static Status prepare_like(void **state, const Value *const *constants, Type result, Arena *arena,
                           Error *error) {
    (void)result, (void)error;
    return prepare(state, constants, false, arena);
}
static Status prepare_ilike(void **state, const Value *const *constants, Type result, Arena *arena,
                            Error *error) {
    (void)result, (void)error;
    return prepare(state, constants, true, arena);
}

static void like_rows(Call *call, int rows, const Column *const *args, Column *out, bool fold,
                      bool wanted) {
    const Like *like = call->state;
    EACH_OK_ROW(row) {
        Str s = args[0]->strs[row], pattern = args[1]->strs[row];
        if (fold) s = text_lower(s, call->arena);
        Like own;
        if (!like) own = like_of(fold ? text_lower(pattern, call->arena) : pattern);
        int found = like_match(like ? like : &own, s);
        if (found < 0)
            column_fail(call, out, row, "LIKE pattern must not end with escape character");
        else column_bools(out)[row] = (found == 1) == wanted;
    }
}

static void like_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    like_rows(call, rows, args, out, false, true);
}
static void not_like_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    like_rows(call, rows, args, out, false, false);
}
static void ilike_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    like_rows(call, rows, args, out, true, true);
}
static void not_ilike_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    like_rows(call, rows, args, out, true, false);
}

static bool bad_escape(Str escape) {
    return escape.size > 0 && utf8_step(escape.data, escape.data + escape.size) != escape.size;
}

/* The pattern rewritten so that its escape character is the backslash. */
static void like_escape_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Str pattern = args[0]->strs[row], escape = args[1]->strs[row];
        if (bad_escape(escape)) {
            column_fail(call, out, row, "invalid escape string; it must be empty or one character");
            continue;
        }
        char *begin = arena_alloc(call->arena, pattern.size * 2 + 1), *to = begin;
        bool escaped = false;
        for (const char *at = pattern.data, *end = at + pattern.size; at < end;) {
            size_t step = utf8_step(at, end);
            bool is_escape = escape.size == step && memcmp(at, escape.data, step) == 0 && !escaped;
            if (is_escape) *to++ = '\\';
            else {
                if (*at == '\\' && !(escaped || str_equal(escape, STR("\\")))) *to++ = '\\';
                memcpy(to, at, step);
                to += step;
            }
            escaped = is_escape;
            at += step;
        }
        column_strs(out)[row] = str_slice(begin, to);
    }
}

/* SQL's SIMILAR TO pattern as a regular expression. With `lazy` the part before the first
 * escape-double-quote matches as little as it can, for substring(… similar … escape …). REJECT:
 * PostgreSQL's message. */
Status similar_pattern(Str pattern, Str escape, bool lazy, Buffer *out, Error *error) {
    if (bad_escape(escape))
        return reject(error, "invalid escape string; it must be empty or one character");
    int quotes = 0;
    bool escaped = false, in_class = false;
    buffer_add_text(out, "^(?:");
    for (const char *at = pattern.data, *end = at + pattern.size; at < end;) {
        size_t step = utf8_step(at, end);
        char c = *at;
        bool first_part = lazy && quotes == 0;
        if (escaped) {
            if (c == '"' && !in_class) {
                if (quotes > 1)
                    return reject(error, "SQL regular expression may not contain more than two "
                                         "escape-double-quote separators");
                buffer_add_text(out, quotes == 0 ? (lazy ? ")(" : "){1,1}?(")
                                     : lazy      ? ")(?:"
                                                 : "){1,1}(?:");
                quotes++;
            } else {
                buffer_add_char(out, '\\');
                buffer_add(out, at, step);
            }
            escaped = false;
        } else if (escape.size == step && memcmp(at, escape.data, step) == 0) escaped = true;
        else if (in_class) {
            if (c == '\\') buffer_add_char(out, '\\');
            buffer_add(out, at, step);
            if (c == ']') in_class = false;
        } else if (c == '%') buffer_add_text(out, first_part ? ".*?" : ".*");
        else if (c == '_') buffer_add_char(out, '.');
        else if (c == '(') buffer_add_text(out, "(?:");
        else {
            if (c == '[') in_class = true;
            if (c == '\\' || c == '.' || c == '^' || c == '$') buffer_add_char(out, '\\');
            buffer_add(out, at, step);
            if (first_part && (c == '*' || c == '+' || c == '?' || c == '}'))
                buffer_add_char(out, '?');
        }
        at += step;
    }
    buffer_add_text(out, ")$");
    return OK;
}

static void similar_escape_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0};
    EACH_OK_ROW(row) {
        made.size = 0;
        Error error;
        Str escape = call->arg_count > 1 ? args[1]->strs[row] : STR("\\");
        if (similar_pattern(args[0]->strs[row], escape, false, &made, &error) != OK)
            column_fail(call, out, row, "%s", error.text);
        else set_text(call, out, row, &made);
    }
    buffer_free(&made);
}

#define S FUNCTION_STRICT
#define OP (FUNCTION_STRICT | FUNCTION_OPERATOR)
const Function like_functions[] = {
    {"~~",
     TYPE_BOOL,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     OP,
     like_kernel,
     prepare_like,
     "LIKE: % any text, _ any character, \\ or ESCAPE before a plain one"},
    {"!~~", TYPE_BOOL, 2, {TYPE_TEXT, TYPE_TEXT}, OP, not_like_kernel, prepare_like, "NOT LIKE"},
    {"~~*",
     TYPE_BOOL,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     OP,
     ilike_kernel,
     prepare_ilike,
     "ILIKE: LIKE without regard to case"},
    {"!~~*",
     TYPE_BOOL,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     OP,
     not_ilike_kernel,
     prepare_ilike,
     "NOT ILIKE"},
    {"like_escape",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     like_escape_kernel,
     NULL,
     "a LIKE pattern with another escape character, as one with \\"},
    {"similar_to_escape",
     TYPE_TEXT,
     1,
     {TYPE_TEXT},
     S,
     similar_escape_kernel,
     NULL,
     "a SIMILAR TO pattern as a regular expression"},
    {"similar_to_escape",
     TYPE_TEXT,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     similar_escape_kernel,
     NULL,
     "a SIMILAR TO pattern with its escape character, as a regular expression"},
    {0},
};
