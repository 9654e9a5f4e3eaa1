/* The functions and operators over regular expressions. A constant pattern is compiled when the
 * program is made; patterns that come from rows are kept in a small ring for the batch, since they
 * repeat. How matches follow one another, and what an empty match does, is PostgreSQL's way: the
 * next search begins where the last match ended, one character further when that match was empty.
 */
#include "expr/library.h"
#include "expr/regex.h"

enum { RING = 8 };

typedef struct Search { /* of one kernel call */
    Call *call;
    Column *out;
    Matcher *matcher;
    const char *name; /* for "… does not support the global option"; NULL: it does */
    int base_options;
    int used, next;
    struct {
        Str pattern;
        int options;
        Regex *regex;
    } ring[RING];
    Buffer made;
} Search;

typedef struct Prepared {
    Regex *regex;
    int options;
} Prepared;

static Status read_options(Str letters, int base, const char *name, int *options, Error *error) {
    *options = base;
    Status status = regex_options(letters, options, error);
    if (status == OK && name && *options & REGEX_GLOBAL)
        return reject(error, "%s() does not support the \"global\" option", name);
    return status;
}

/* `flags`: index of the argument with the flag letters, -1: none. */
static Status prepare(void **state, const Value *const *constants, int flags, int base,
                      const char *name, Arena *arena, Error *error) {
    const Str *pattern = constant_text(constants, 1),
              *letters = flags < 0 ? NULL : constant_text(constants, flags);
    int options = base;
    if (letters) {
        Status status = read_options(*letters, base, name, &options, error);
        if (status != OK) return status;
    }
    if (!pattern || (flags >= 0 && !letters)) return OK;
    Prepared *prepared = arena_alloc(arena, sizeof *prepared);
    prepared->options = options;
    *state = prepared;
    return regex_new(*pattern, options, &prepared->regex, arena, error);
}

#define PREPARE(function, flags, base, name)                                                       \
    static Status function(void **state, const Value *const *constants, Type result, Arena *arena, \
                           Error *error) {                                                         \
        (void)result;                                                                              \
        return prepare(state, constants, flags, base, name, arena, error);                         \
    }
PREPARE(prepare_plain, -1, 0, NULL)
PREPARE(prepare_fold, -1, REGEX_FOLD, NULL)
PREPARE(prepare_like, 2, 0, "regexp_like")
PREPARE(prepare_match, 2, 0, "regexp_match")
PREPARE(prepare_count, 3, 0, "regexp_count")
PREPARE(prepare_substr, 4, 0, "regexp_substr")
PREPARE(prepare_instr, 5, 0, "regexp_instr")
PREPARE(prepare_split, 2, 0, "regexp_split_to_array")
PREPARE(prepare_replace, 3, 0, NULL)
PREPARE(prepare_replace_nth, 5, 0, NULL)

static Search search_open(Call *call, Column *out, const char *name, int base) {
    return (Search){
        .call = call, .out = out, .matcher = matcher_new(), .name = name, .base_options = base};
}

static void search_close(Search *s) {
    matcher_free(&s->matcher);
    for (int i = 0; i < s->used; i++) regex_free(&s->ring[i].regex);
    buffer_free(&s->made);
}

/* The compiled pattern for this row; NULL: the row has failed. */
static const Regex *search_regex(Search *s, int row, Str pattern, const Column *flags,
                                 int *options) {
    const Prepared *prepared = s->call->state;
    if (prepared) {
        *options = prepared->options;
        return prepared->regex;
    }
    Error error;
    *options = s->base_options;
    if (flags && read_options(flags->strs[row], s->base_options, s->name, options, &error) != OK) {
        column_fail(s->call, s->out, row, "%s", error.text);
        return NULL;
    }
    for (int i = 0; i < s->used; i++)
        if (s->ring[i].options == *options && str_equal(s->ring[i].pattern, pattern))
            return s->ring[i].regex;
    Regex *regex;
    if (regex_new(pattern, *options, &regex, NULL, &error) != OK) {
        column_fail(s->call, s->out, row, "%s", error.text);
        return NULL;
    }
    int at = s->next;
    s->next = (s->next + 1) % RING;
    if (at < s->used) regex_free(&s->ring[at].regex);
    else s->used++;
    s->ring[at].pattern = pattern;
    s->ring[at].options = *options;
    s->ring[at].regex = regex;
    return regex;
}

/* The next match from *start on, which is moved behind it. */
static Status search_next(Search *s, const Regex *regex, int row, Str text, size_t *start,
                          size_t *begin, size_t *end) {
    if (*start > text.size) return END;
    Error error;
    Status status = regex_match(regex, s->matcher, text, *start, &error);
    if (status == REJECT || status == FAIL) column_fail(s->call, s->out, row, "%s", error.text);
    if (status != OK) return status;
    matcher_group(s->matcher, 0, begin, end);
    *start = *end;
    if (*begin == *end)
        *start += *end < text.size ? utf8_step(text.data + *end, text.data + text.size) : 1;
    return OK;
}

static void test_rows(Call *call, int rows, const Column *const *args, Column *out,
                      const char *name, int base, bool wanted) {
    Search s = search_open(call, out, name, base);
    EACH_OK_ROW(row) {
        int options;
        const Regex *regex = search_regex(&s, row, args[1]->strs[row],
                                          call->arg_count > 2 ? args[2] : NULL, &options);
        size_t start = 0, begin, end;
        if (!regex) continue;
        Status status = search_next(&s, regex, row, args[0]->strs[row], &start, &begin, &end);
        if (status == OK || status == END) column_bools(out)[row] = (status == OK) == wanted;
    }
    search_close(&s);
}

static void match_operator(Call *call, int rows, const Column *const *args, Column *out) {
    test_rows(call, rows, args, out, "regexp_like", 0, true);
}
static void no_match_operator(Call *call, int rows, const Column *const *args, Column *out) {
    test_rows(call, rows, args, out, NULL, 0, false);
}
static void fold_operator(Call *call, int rows, const Column *const *args, Column *out) {
    test_rows(call, rows, args, out, NULL, REGEX_FOLD, true);
}
static void no_fold_operator(Call *call, int rows, const Column *const *args, Column *out) {
    test_rows(call, rows, args, out, NULL, REGEX_FOLD, false);
}

static Str group_text(const Search *s, Str text, int group, bool *there) {
    size_t begin = 0, end = 0;
    *there = matcher_group(s->matcher, group, &begin, &end);
    return *there ? (Str){text.data + begin, end - begin} : (Str){NULL, 0};
}

/* substring(text from pattern), substring(text similar pattern escape e): the first group, else the
 * whole match. */
static void substring_rows(Call *call, int rows, const Column *const *args, Column *out,
                           bool similar) {
    Search s = search_open(call, out, NULL, 0);
    EACH_OK_ROW(row) {
        Str text = args[0]->strs[row], pattern = args[1]->strs[row];
        Error error;
        if (similar) {
            s.made.size = 0;
            if (similar_pattern(pattern, args[2]->strs[row], true, &s.made, &error) != OK) {
                column_fail(call, out, row, "%s", error.text);
                continue;
            }
            pattern = arena_str(call->arena, buffer_str(&s.made));
        }
        int options;
        const Regex *regex = search_regex(&s, row, pattern, NULL, &options);
        size_t start = 0, begin, end;
        if (!regex) continue;
        Status status = search_next(&s, regex, row, text, &start, &begin, &end);
        bool there = status == OK;
        if (there) column_strs(out)[row] = group_text(&s, text, regex_groups(regex) > 0, &there);
        if (!there && status != REJECT) column_null(call, out, row);
    }
    search_close(&s);
}

static void substring_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    substring_rows(call, rows, args, out, false);
}
static void similar_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    substring_rows(call, rows, args, out, true);
}

static void match_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Search s = search_open(call, out, "regexp_match", 0);
    EACH_OK_ROW(row) {
        int options;
        Str text = args[0]->strs[row];
        const Regex *regex = search_regex(&s, row, args[1]->strs[row],
                                          call->arg_count > 2 ? args[2] : NULL, &options);
        size_t start = 0, begin, end;
        if (!regex) continue;
        Status status = search_next(&s, regex, row, text, &start, &begin, &end);
        if (status == END) column_null(call, out, row);
        if (status != OK) continue;
        int groups = regex_groups(regex);
        s.made.size = 0;
        text_array_begin(&s.made, groups ? groups : 1);
        for (int i = groups ? 1 : 0; i <= groups; i++) {
            bool there;
            Str item = group_text(&s, text, i, &there);
            text_array_add(&s.made, !there, item);
        }
        set_text(call, out, row, &s.made);
    }
    search_close(&s);
}

/* The byte at which the 1-based character `start` begins; false: the row has failed. */
static bool start_byte(Call *call, Column *out, int row, Str text, int64_t start, size_t *byte) {
    if (start <= 0) {
        column_fail(call, out, row, "invalid value for parameter \"start\": %lld",
                    (long long)start);
        return false;
    }
    const char *end = text.data + text.size, *at = utf8_skip(text.data, end, start - 1);
    int64_t behind = at == end ? start - 1 - character_count(text) : 0;
    *byte = (size_t)(at - text.data) + (behind > 0 ? 1 : 0); /* behind the end nothing matches */
    return true;
}

static void count_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Search s = search_open(call, out, "regexp_count", 0);
    EACH_OK_ROW(row) {
        Str text = args[0]->strs[row];
        int options;
        size_t start = 0, begin, end;
        if (call->arg_count > 2 && !start_byte(call, out, row, text, args[2]->ints[row], &start))
            continue;
        const Regex *regex = search_regex(&s, row, args[1]->strs[row],
                                          call->arg_count > 3 ? args[3] : NULL, &options);
        if (!regex) continue;
        int64_t count = 0;
        Status status;
        while ((status = search_next(&s, regex, row, text, &start, &begin, &end)) == OK) count++;
        if (status == END) column_ints(out)[row] = count;
    }
    search_close(&s);
}

/* Finds the n-th match from args[2] on; *group is what args[group_at] asks for. END: there is none.
 */
static Status find_nth(Search *s, int row, const Column *const *args, int flags_at, int group_at,
                       int *group) {
    Call *call = s->call;
    Str text = args[0]->strs[row];
    int64_t n = call->arg_count > 3 ? args[3]->ints[row] : 1;
    int64_t wanted = call->arg_count > group_at ? args[group_at]->ints[row] : 0;
    size_t start = 0, begin, end;
    if (call->arg_count > 2 && !start_byte(call, s->out, row, text, args[2]->ints[row], &start))
        return REJECT;
    if (n <= 0) {
        column_fail(call, s->out, row, "invalid value for parameter \"n\": %lld", (long long)n);
        return REJECT;
    }
    if (wanted < 0) {
        column_fail(call, s->out, row, "invalid value for parameter \"subexpr\": %lld",
                    (long long)wanted);
        return REJECT;
    }
    int options;
    const Regex *regex = search_regex(s, row, args[1]->strs[row],
                                      call->arg_count > flags_at ? args[flags_at] : NULL, &options);
    if (!regex) return REJECT;
    if (wanted == 1 && regex_groups(regex) == 0) wanted = 0; /* PostgreSQL's way */
    if (wanted > regex_groups(regex)) return END;
    *group = (int)wanted;
    for (; n > 0; n--) {
        Status status = search_next(s, regex, row, text, &start, &begin, &end);
        if (status != OK) return status;
    }
    return OK;
}

static void substr_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Search s = search_open(call, out, "regexp_substr", 0);
    EACH_OK_ROW(row) {
        int group;
        bool there = false;
        Status status = find_nth(&s, row, args, 4, 5, &group);
        if (status == OK) column_strs(out)[row] = group_text(&s, args[0]->strs[row], group, &there);
        if (!there && status != REJECT) column_null(call, out, row);
    }
    search_close(&s);
}

static void instr_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Search s = search_open(call, out, "regexp_instr", 0);
    EACH_OK_ROW(row) {
        int64_t end_option = call->arg_count > 4 ? args[4]->ints[row] : 0;
        if (end_option < 0 || end_option > 1) {
            column_fail(call, out, row, "invalid value for parameter \"endoption\": %lld",
                        (long long)end_option);
            continue;
        }
        int group;
        Status status = find_nth(&s, row, args, 5, 6, &group);
        size_t begin, end;
        int64_t at = 0;
        if (status == OK && matcher_group(s.matcher, group, &begin, &end))
            at = character_count((Str){args[0]->strs[row].data, end_option ? end : begin}) + 1;
        if (status != REJECT) column_ints(out)[row] = at;
    }
    search_close(&s);
}

static void split_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Search s = search_open(call, out, "regexp_split_to_array", 0);
    Buffer items = {0};
    EACH_OK_ROW(row) {
        int options;
        Str text = args[0]->strs[row];
        const Regex *regex = search_regex(&s, row, args[1]->strs[row],
                                          call->arg_count > 2 ? args[2] : NULL, &options);
        if (!regex) continue;
        size_t start = 0, begin, end, from = 0, last_end = 0;
        int count = 1;
        Status status;
        items.size = s.made.size = 0;
        while ((status = search_next(&s, regex, row, text, &start, &begin, &end)) == OK) {
            if (begin < text.size &&
                end > last_end) { /* an empty match at a border splits nothing */
                text_array_add(&items, false, (Str){text.data + from, begin - from});
                from = end;
                count++;
            }
            last_end = end;
        }
        if (status != END) continue;
        text_array_add(&items, false, (Str){text.data + from, text.size - from});
        text_array_begin(&s.made, count);
        buffer_add_str(&s.made, buffer_str(&items));
        set_text(call, out, row, &s.made);
    }
    buffer_free(&items);
    search_close(&s);
}

static void add_replacement(Search *s, Str with, Str text) {
    for (size_t i = 0; i < with.size; i++) {
        char c = with.data[i], next = i + 1 < with.size ? with.data[i + 1] : 0;
        int group = next >= '1' && next <= '9' ? next - '0' : next == '&' ? 0 : -1;
        if (c != '\\' || (group < 0 && next != '\\')) {
            buffer_add_char(&s->made, c);
            continue;
        }
        i++;
        bool there;
        if (group < 0) buffer_add_char(&s->made, '\\');
        else buffer_add_str(&s->made, group_text(s, text, group, &there));
    }
}

/* regexp_replace(text, pattern, with [, flags]) and (text, pattern, with, start [, n [, flags]]) */
static void replace_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Search s = search_open(call, out, NULL, 0);
    bool positions = call->arg_count > 3 && !type_is_text(args[3]->type.kind);
    int flags_at = positions ? 5 : 3;
    EACH_OK_ROW(row) {
        Str text = args[0]->strs[row], with = args[2]->strs[row];
        size_t start = 0, copied = 0, begin, end;
        int64_t nth = positions && call->arg_count > 4 ? args[4]->ints[row] : -1;
        if (positions && !start_byte(call, out, row, text, args[3]->ints[row], &start)) continue;
        if (positions && call->arg_count > 4 && nth < 0) {
            column_fail(call, out, row, "invalid value for parameter \"n\": %lld", (long long)nth);
            continue;
        }
        int options;
        const Regex *regex =
            search_regex(&s, row, args[1]->strs[row],
                         call->arg_count > flags_at ? args[flags_at] : NULL, &options);
        if (!regex) continue;
        if (nth < 0) nth = options & REGEX_GLOBAL ? 0 : 1;
        s.made.size = 0;
        int64_t count = 0;
        Status status;
        while ((status = search_next(&s, regex, row, text, &start, &begin, &end)) == OK &&
               s.made.size <= TEXT_MOST) {
            if (nth && ++count < nth) continue;
            buffer_add(&s.made, text.data + copied, begin - copied);
            add_replacement(&s, with, text);
            copied = end;
            if (nth) break;
        }
        if (status == REJECT || status == FAIL) continue;
        if (s.made.size == 0 && copied == 0) {
            column_strs(out)[row] = text;
            continue;
        }
        buffer_add(&s.made, text.data + copied, text.size - copied);
        set_text(call, out, row, &s.made);
    }
    search_close(&s);
}

static void subscript_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        int64_t n = args[1]->ints[row];
        Str *to = &column_strs(out)[row];
        if (n < 1 || !text_array_get(args[0]->strs[row], (int)(n - 1), to))
            column_null(call, out, row);
    }
}

static void array_length_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        int count = text_array_count(args[0]->strs[row]);
        if (call->arg_count > 1 && (args[1]->ints[row] != 1 || count == 0))
            column_null(call, out, row);
        else column_ints(out)[row] = count;
    }
}

#define S FUNCTION_STRICT
#define OP (FUNCTION_STRICT | FUNCTION_OPERATOR)
#define T TYPE_TEXT
#define I TYPE_INT4
const Function regex_functions[] = {
    {"~",
     TYPE_BOOL,
     2,
     {T, T},
     OP,
     match_operator,
     prepare_plain,
     "matches the regular expression; of alternatives the first that fits counts (PostgreSQL: the "
     "longest), each quantifier is greedy or lazy by itself, lookbehind has a fixed length"},
    {"!~", TYPE_BOOL, 2, {T, T}, OP, no_match_operator, prepare_plain, "does not match it"},
    {"~*", TYPE_BOOL, 2, {T, T}, OP, fold_operator, prepare_fold, "matches without regard to case"},
    {"!~*",
     TYPE_BOOL,
     2,
     {T, T},
     OP,
     no_fold_operator,
     prepare_fold,
     "does not match without regard to case"},
    {"substring",
     T,
     2,
     {T, T},
     S,
     substring_kernel,
     prepare_plain,
     "substring(text from pattern): the first match's first group, or the whole match without "
     "groups"},
    {"substring",
     T,
     3,
     {T, T, T},
     S,
     similar_kernel,
     NULL,
     "substring(text similar pattern escape character): the part between the two escaped double "
     "quotes"},
    {"regexp_like",
     TYPE_BOOL,
     2,
     {T, T},
     S,
     match_operator,
     prepare_plain,
     "regexp_like(text, pattern)"},
    {"regexp_like",
     TYPE_BOOL,
     3,
     {T, T, T},
     S,
     match_operator,
     prepare_like,
     "regexp_like(text, pattern, flags)"},
    {"regexp_match",
     TYPE_TEXT_ARRAY,
     2,
     {T, T},
     S,
     match_kernel,
     prepare_plain,
     "the groups of the first match, or the whole match without groups: (regexp_match(text, "
     "pattern))[n]"},
    {"regexp_match",
     TYPE_TEXT_ARRAY,
     3,
     {T, T, T},
     S,
     match_kernel,
     prepare_match,
     "regexp_match(text, pattern, flags)"},
    {"regexp_count", I, 2, {T, T}, S, count_kernel, prepare_plain, "how often the pattern matches"},
    {"regexp_count",
     I,
     3,
     {T, T, I},
     S,
     count_kernel,
     prepare_plain,
     "regexp_count(text, pattern, start)"},
    {"regexp_count",
     I,
     4,
     {T, T, I, T},
     S,
     count_kernel,
     prepare_count,
     "regexp_count(text, pattern, start, flags)"},
    {"regexp_substr", T, 2, {T, T}, S, substr_kernel, prepare_plain, "the first match"},
    {"regexp_substr",
     T,
     3,
     {T, T, I},
     S,
     substr_kernel,
     prepare_plain,
     "regexp_substr(text, pattern, start)"},
    {"regexp_substr",
     T,
     4,
     {T, T, I, I},
     S,
     substr_kernel,
     prepare_plain,
     "regexp_substr(text, pattern, start, n)"},
    {"regexp_substr",
     T,
     5,
     {T, T, I, I, T},
     S,
     substr_kernel,
     prepare_substr,
     "regexp_substr(…, flags)"},
    {"regexp_substr",
     T,
     6,
     {T, T, I, I, T, I},
     S,
     substr_kernel,
     prepare_substr,
     "regexp_substr(…, flags, group)"},
    {"regexp_instr",
     I,
     2,
     {T, T},
     S,
     instr_kernel,
     prepare_plain,
     "where the first match begins, 0: nowhere"},
    {"regexp_instr",
     I,
     3,
     {T, T, I},
     S,
     instr_kernel,
     prepare_plain,
     "regexp_instr(text, pattern, start)"},
    {"regexp_instr",
     I,
     4,
     {T, T, I, I},
     S,
     instr_kernel,
     prepare_plain,
     "regexp_instr(text, pattern, start, n)"},
    {"regexp_instr",
     I,
     5,
     {T, T, I, I, I},
     S,
     instr_kernel,
     prepare_plain,
     "regexp_instr(…, 1): the character behind the match"},
    {"regexp_instr",
     I,
     6,
     {T, T, I, I, I, T},
     S,
     instr_kernel,
     prepare_instr,
     "regexp_instr(…, flags)"},
    {"regexp_replace",
     T,
     3,
     {T, T, T},
     S,
     replace_kernel,
     prepare_plain,
     "the first match replaced; \\1 to \\9 are its groups, \\& the match"},
    {"regexp_replace",
     T,
     4,
     {T, T, T, T},
     S,
     replace_kernel,
     prepare_replace,
     "regexp_replace(text, pattern, with, flags): with the flag g every match"},
    {"regexp_replace",
     T,
     4,
     {T, T, T, I},
     S,
     replace_kernel,
     prepare_plain,
     "regexp_replace(text, pattern, with, start)"},
    {"regexp_replace",
     T,
     5,
     {T, T, T, I, I},
     S,
     replace_kernel,
     prepare_plain,
     "regexp_replace(text, pattern, with, start, n): the n-th match, 0: all"},
    {"regexp_replace",
     T,
     6,
     {T, T, T, I, I, T},
     S,
     replace_kernel,
     prepare_replace_nth,
     "regexp_replace(…, n, flags)"},
    {"regexp_split_to_array",
     TYPE_TEXT_ARRAY,
     2,
     {T, T},
     S,
     split_kernel,
     prepare_plain,
     "the parts between the matches"},
    {"regexp_split_to_array",
     TYPE_TEXT_ARRAY,
     3,
     {T, T, T},
     S,
     split_kernel,
     prepare_split,
     "regexp_split_to_array(text, pattern, flags)"},
    {"subscript",
     T,
     2,
     {TYPE_TEXT_ARRAY, I},
     S,
     subscript_kernel,
     NULL,
     "(array)[n]: the n-th item, from 1"},
    {"array_length",
     I,
     2,
     {TYPE_TEXT_ARRAY, I},
     S,
     array_length_kernel,
     NULL,
     "array_length(array, 1)"},
    {"cardinality", I, 1, {TYPE_TEXT_ARRAY}, S, array_length_kernel, NULL, "the number of items"},
    {0},
};
