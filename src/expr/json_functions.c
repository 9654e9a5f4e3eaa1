/* Operators and functions that read jsonb: they walk the JSON text and give views into it; no tree
 * is built. A path for #> and its kin is a text[] or, as it stands in almost every query, the
 * literal '{a,b}', which is taken apart once. */
#include "expr/library.h"
#include "data/jsonb.h"

typedef struct Steps {
    int count;
    bool null; /* one of them is NULL: its data is */
    Str *items;
} Steps;

static Status malformed(Str literal, Error *error) {
    return reject(error, "malformed array literal: \"%.*s\"; a path is written '{key,key}'",
                  STR_ARG(literal));
}

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

/* One item of an array literal at *at; what stands behind it is left there. */
static Status parse_item(const char **at, const char *end, Str literal, Str *item, bool *null,
                         Arena *arena, Error *error) {
    while (*at < end && is_blank(**at)) (*at)++;
    bool quoted = *at < end && **at == '"', escaped = false;
    char *begin = arena_alloc(arena, (size_t)(end - *at) + 1), *to = begin, *last = begin;
    if (quoted) (*at)++;
    for (; *at < end; (*at)++) {
        char c = **at;
        if (quoted ? c == '"' : c == ',' || c == '}') break;
        if (!quoted && (c == '"' || c == '{')) return malformed(literal, error);
        if (c == '\\') {
            if (++*at >= end) return malformed(literal, error);
            escaped = true;
            c = **at;
        } else if (!quoted && is_blank(c)) {
            *to++ = c;
            continue;
        }
        *to++ = c;
        last = to;
    }
    if (quoted) {
        if (*at >= end) return malformed(literal, error);
        (*at)++;
        while (*at < end && is_blank(**at)) (*at)++;
    }
    *item = str_slice(begin, quoted ? to : last);
    *null = !quoted && !escaped && str_equal_nocase(*item, STR("null"));
    return item->size == 0 && !quoted ? malformed(literal, error) : OK;
}

static Status parse_steps(Str literal, Steps *steps, Arena *arena, Error *error) {
    const char *at = literal.data, *end = literal.data + literal.size;
    while (at < end && is_blank(*at)) at++;
    while (end > at && is_blank(end[-1])) end--;
    if (end - at < 2 || *at != '{' || end[-1] != '}') return malformed(literal, error);
    int most = 1;
    for (const char *c = at; c < end; c++) most += *c == ',';
    *steps = (Steps){0, false, arena_alloc(arena, sizeof(Str) * (size_t)most)};
    at++;
    const char *first = at;
    while (first < end && is_blank(*first)) first++;
    if (first == end - 1) return OK;
    for (;;) {
        bool null = false;
        Status status =
            parse_item(&at, end, literal, &steps->items[steps->count], &null, arena, error);
        if (status != OK) return status;
        if (null) steps->items[steps->count] = (Str){NULL, 0};
        steps->count++;
        steps->null |= null;
        if (at >= end || (*at != ',' && *at != '}')) return malformed(literal, error);
        if (*at++ == '}') return at == end ? OK : malformed(literal, error);
    }
}

static Status prepare_steps(void **state, const Value *const *constants, Type result, Arena *arena,
                            Error *error) {
    (void)result;
    const Value *value = constants[1];
    if (!value || value->null || !type_is_text(value->type.kind)) return OK;
    Steps *steps = arena_alloc(arena, sizeof *steps);
    *state = steps;
    return parse_steps(value->str, steps, arena, error);
}

/* The steps that this row's second argument says; false: the row has failed. */
static bool row_steps(Call *call, const Column *column, int row, Column *out, Steps *steps) {
    if (call->state) {
        *steps = *(const Steps *)call->state;
        return true;
    }
    if (type_is_text(column->type.kind)) {
        Error error;
        if (parse_steps(column->strs[row], steps, call->arena, &error) == OK) return true;
        column_fail(call, out, row, "%s", error.text);
        return false;
    }
    Str array = column->strs[row];
    int count = text_array_count(array);
    *steps = (Steps){count, false,
                     arena_alloc(call->arena, sizeof(Str) * (size_t)(count > 0 ? count : 1))};
    for (int i = 0; i < count; i++)
        if (!text_array_get(array, i, &steps->items[i])) {
            steps->items[i] = (Str){NULL, 0};
            steps->null = true;
        }
    return true;
}

/* As ->> and #>> give it; `scratch` is the call's. */
static void set_as_text(Call *call, Column *out, int row, Str json, Buffer *scratch) {
    if (jsonb_kind(json) == JSONB_STRING &&
        jsonb_string_view(json, &column_strs(out)[row], call->arena))
        return;
    Error error;
    scratch->size = 0;
    Status status = jsonb_as_text(json, scratch, &error);
    if (status == OK) set_text(call, out, row, scratch);
    else if (status == END) column_null(call, out, row);
    else column_fail(call, out, row, "%s", error.text);
}

/* As in PostgreSQL, a scalar has itself as its only item. */
static bool get_index(Str json, int64_t index, Str *value) {
    JsonbKind kind = jsonb_kind(json);
    if (kind == JSONB_ARRAY || kind == JSONB_OBJECT) return jsonb_get_index(json, index, value);
    *value = jsonb_trim(json);
    return index == 0 || index == -1;
}

static void take_rows(Call *call, int rows, const Column *const *args, Column *out, bool as_text) {
    bool by_index = type_is_integer(args[1]->type.kind);
    Buffer scratch = {0};
    EACH_OK_ROW(row) {
        Str json = args[0]->strs[row], value;
        bool found = by_index ? get_index(json, args[1]->ints[row], &value)
                              : jsonb_get_key(json, args[1]->strs[row], &value);
        if (!found) column_null(call, out, row);
        else if (as_text) set_as_text(call, out, row, value, &scratch);
        else column_strs(out)[row] = value;
    }
    buffer_free(&scratch);
}

static void take_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    take_rows(call, rows, args, out, false);
}
static void take_text_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    take_rows(call, rows, args, out, true);
}

static void set_path(Call *call, Column *out, int row, Str json, const Steps *steps, bool as_text,
                     Buffer *scratch) {
    Str value;
    if (steps->null || !jsonb_get_path(json, steps->items, steps->count, &value))
        column_null(call, out, row);
    else if (as_text) set_as_text(call, out, row, value, scratch);
    else column_strs(out)[row] = value;
}

static void path_rows(Call *call, int rows, const Column *const *args, Column *out, bool as_text) {
    Buffer scratch = {0};
    EACH_OK_ROW(row) {
        Steps steps;
        if (row_steps(call, args[1], row, out, &steps))
            set_path(call, out, row, args[0]->strs[row], &steps, as_text, &scratch);
    }
    buffer_free(&scratch);
}

static void path_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    path_rows(call, rows, args, out, false);
}
static void path_text_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    path_rows(call, rows, args, out, true);
}

static void extract_rows(Call *call, int rows, const Column *const *args, Column *out,
                         bool as_text) {
    Buffer scratch = {0};
    int count = call->arg_count - 1;
    Steps steps = {count, false, arena_alloc(call->arena, sizeof(Str) * (size_t)(count + 1))};
    EACH_OK_ROW(row) {
        for (int i = 0; i < count; i++) steps.items[i] = args[i + 1]->strs[row];
        set_path(call, out, row, args[0]->strs[row], &steps, as_text, &scratch);
    }
    buffer_free(&scratch);
}

static void extract_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    extract_rows(call, rows, args, out, false);
}
static void extract_text_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    extract_rows(call, rows, args, out, true);
}

static void exists_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) column_bools(out)[row] = jsonb_exists(args[0]->strs[row], args[1]->strs[row]);
}

static void exists_rows(Call *call, int rows, const Column *const *args, Column *out, bool all) {
    EACH_OK_ROW(row) {
        Steps steps;
        if (!row_steps(call, args[1], row, out, &steps)) continue;
        bool result = all;
        for (int i = 0; i < steps.count && result == all; i++)
            if (steps.items[i].data) result = jsonb_exists(args[0]->strs[row], steps.items[i]);
        column_bools(out)[row] = result;
    }
}

static void exists_any_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    exists_rows(call, rows, args, out, false);
}
static void exists_all_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    exists_rows(call, rows, args, out, true);
}

static void contains_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row)
    column_bools(out)[row] = jsonb_contains(args[0]->strs[row], args[1]->strs[row]);
}
static void contained_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row)
    column_bools(out)[row] = jsonb_contains(args[1]->strs[row], args[0]->strs[row]);
}

static void typeof_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        const char *name = jsonb_typeof(args[0]->strs[row]);
        if (name) column_strs(out)[row] = str_from(name);
        else column_null(call, out, row);
    }
}

static void array_length_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Str json = args[0]->strs[row];
        int64_t length = jsonb_array_length(json);
        if (length >= 0) column_ints(out)[row] = length;
        else if (jsonb_kind(json) == JSONB_OBJECT)
            column_fail(call, out, row, "cannot get array length of a non-array");
        else column_fail(call, out, row, "cannot get array length of a scalar");
    }
}

#define S FUNCTION_STRICT
#define OP (FUNCTION_STRICT | FUNCTION_OPERATOR)
#define VAR (FUNCTION_STRICT | FUNCTION_VARIADIC)
#define J TYPE_JSONB
#define T TYPE_TEXT
#define A TYPE_TEXT_ARRAY
const Function json_functions[] = {
    {"->",
     J,
     2,
     {J, T},
     OP,
     take_kernel,
     NULL,
     "the value under that key; of equal keys the first"},
    {"->",
     J,
     2,
     {J, TYPE_INT4},
     OP,
     take_kernel,
     NULL,
     "the n-th item, from 0; n < 0 counts from the end"},
    {"->>",
     T,
     2,
     {J, T},
     OP,
     take_text_kernel,
     NULL,
     "the value under that key as text; JSON null is NULL"},
    {"->>", T, 2, {J, TYPE_INT4}, OP, take_text_kernel, NULL, "the n-th item as text"},
    {"#>", J, 2, {J, T}, OP, path_kernel, prepare_steps, "the value at a path: d #> '{a,b}'"},
    {"#>", J, 2, {J, A}, OP, path_kernel, NULL, "the value at a path"},
    {"#>>",
     T,
     2,
     {J, T},
     OP,
     path_text_kernel,
     prepare_steps,
     "the value at a path as text: d #>> '{a,b}'"},
    {"#>>", T, 2, {J, A}, OP, path_text_kernel, NULL, "the value at a path as text"},
    {"?",
     TYPE_BOOL,
     2,
     {J, T},
     OP,
     exists_kernel,
     NULL,
     "whether the text is a key, or a string of the array"},
    {"?|", TYPE_BOOL, 2, {J, T}, OP, exists_any_kernel, prepare_steps, "whether any of '{a,b}' is"},
    {"?|", TYPE_BOOL, 2, {J, A}, OP, exists_any_kernel, NULL, "whether any of the texts is"},
    {"?&",
     TYPE_BOOL,
     2,
     {J, T},
     OP,
     exists_all_kernel,
     prepare_steps,
     "whether all of '{a,b}' are"},
    {"?&", TYPE_BOOL, 2, {J, A}, OP, exists_all_kernel, NULL, "whether all of the texts are"},
    {"@>",
     TYPE_BOOL,
     2,
     {J, J},
     OP,
     contains_kernel,
     NULL,
     "whether the left value contains the right one"},
    {"<@",
     TYPE_BOOL,
     2,
     {J, J},
     OP,
     contained_kernel,
     NULL,
     "whether the right value contains the left one"},
    {"jsonb_typeof",
     T,
     1,
     {J},
     S,
     typeof_kernel,
     NULL,
     "object, array, string, number, boolean or null"},
    {"jsonb_array_length", TYPE_INT4, 1, {J}, S, array_length_kernel, NULL, "items in the array"},
    {"jsonb_extract_path",
     J,
     2,
     {J, T},
     VAR,
     extract_kernel,
     NULL,
     "the value at a path: (d, 'a', 'b')"},
    {"jsonb_extract_path_text", T, 2, {J, T}, VAR, extract_text_kernel, NULL, "the same as text"},
    {0},
};
