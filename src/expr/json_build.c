/* Functions that make jsonb: from values of every type, by joining, by leaving out. What they make
 * is brought into PostgreSQL's normal form at once (keys sorted, numbers as numeric prints them),
 * so that it prints as PostgreSQL's does. The normal form keeps the first of equal keys, hence what
 * shall win is written first. */
#include "expr/library.h"
#include "data/jsonb.h"
#include "data/time.h"

enum { DEPTH_MOST = JSONB_DEPTH };

/* A value as to_jsonb has it. */
static void add_json(const Column *column, int row, Buffer *out) {
    Value value = column_value(column, row);
    if (value.null) buffer_add_text(out, "null");
    else if (value.type.kind == TYPE_TIMESTAMPTZ) {
        buffer_add_char(out, '"');
        timestamp_rfc3339(value.integer, true, out);
        if (out->data[out->size - 1] == 'Z') out->size--;
        buffer_add_text(out, "+00:00\"");
    } else value_json(value, out);
}

/* `made` in normal form is the row's result. */
static void set_json(Call *call, Column *out, int row, const Buffer *made, Buffer *normal) {
    normal->size = 0;
    if (made->size > TEXT_MOST || !jsonb_normalize(buffer_str(made), normal))
        column_fail(call, out, row,
                    made->size > TEXT_MOST ? "requested length too large"
                                           : "invalid input syntax for type json");
    else set_text(call, out, row, normal);
}

static void to_jsonb_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0}, normal = {0};
    EACH_OK_ROW(row) {
        made.size = 0;
        if (args[0]->type.kind == TYPE_JSONB) column_strs(out)[row] = args[0]->strs[row];
        else {
            add_json(args[0], row, &made);
            set_json(call, out, row, &made, &normal);
        }
    }
    buffer_free(&made);
    buffer_free(&normal);
}

static void build_array_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0}, normal = {0};
    EACH_OK_ROW(row) {
        made.size = 0;
        for (int i = 0; i < call->arg_count && made.size <= TEXT_MOST; i++) {
            buffer_add_char(&made, i ? ',' : '[');
            add_json(args[i], row, &made);
        }
        buffer_add_text(&made, call->arg_count ? "]" : "[]");
        set_json(call, out, row, &made, &normal);
    }
    buffer_free(&made);
    buffer_free(&normal);
}

static void build_object_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0}, normal = {0}, key = {0};
    EACH_OK_ROW(row) {
        made.size = 0;
        buffer_add_char(&made, '{');
        if (call->arg_count % 2) {
            column_fail(call, out, row, "argument list must have even number of elements");
            continue;
        }
        const char *bad_key = NULL;
        int i = call->arg_count - 2;
        for (; i >= 0 && made.size <= TEXT_MOST;
             i -= 2) { /* backwards: the last of equal keys wins */
            if (!column_ok(args[i], row)) break;
            key.size = 0;
            TypeKind kind = args[i]->type.kind;
            if (kind == TYPE_JSONB || kind == TYPE_TEXT_ARRAY)
                bad_key = "key value must be scalar, not array, composite, or json";
            if (made.size > 1) buffer_add_char(&made, ',');
            if (kind == TYPE_TIMESTAMP || kind == TYPE_TIMESTAMPTZ) add_json(args[i], row, &made);
            else {
                add_output_text(args[i], row, true, &key);
                json_string(buffer_str(&key), &made);
            }
            buffer_add_char(&made, ':');
            add_json(args[i + 1], row, &made);
        }
        buffer_add_char(&made, '}');
        if (i >= 0 && made.size <= TEXT_MOST)
            column_fail(call, out, row, "argument %d: key must not be null", i + 1);
        else if (bad_key) column_fail(call, out, row, "%s", bad_key);
        else set_json(call, out, row, &made, &normal);
    }
    buffer_free(&made);
    buffer_free(&normal);
    buffer_free(&key);
}

/* What stands between the brackets, in front of what is there already. */
static void add_inside(Str json, Buffer *out) {
    json = jsonb_trim(json);
    JsonbKind kind = jsonb_kind(json);
    bool inside = kind == JSONB_ARRAY || kind == JSONB_OBJECT;
    Str items = inside && json.size >= 2 ? jsonb_trim((Str){json.data + 1, json.size - 2}) : json;
    if (items.size == 0) return;
    if (out->size > 1) buffer_add_char(out, ',');
    buffer_add_str(out, items);
}

static void add_item(Str json, Buffer *out) {
    if (out->size > 1) buffer_add_char(out, ',');
    buffer_add_str(out, json);
}

static void join_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0}, normal = {0};
    EACH_OK_ROW(row) {
        Str a = args[0]->strs[row], b = args[1]->strs[row];
        made.size = 0;
        if (jsonb_kind(a) == JSONB_OBJECT && jsonb_kind(b) == JSONB_OBJECT) {
            buffer_add_char(&made, '{');
            add_inside(b, &made); /* the right one wins */
            add_inside(a, &made);
            buffer_add_char(&made, '}');
        } else {
            buffer_add_char(&made, '[');
            (jsonb_kind(a) == JSONB_ARRAY ? add_inside : add_item)(a, &made);
            (jsonb_kind(b) == JSONB_ARRAY ? add_inside : add_item)(b, &made);
            buffer_add_char(&made, ']');
        }
        set_json(call, out, row, &made, &normal);
    }
    buffer_free(&made);
    buffer_free(&normal);
}

/* Members and items for which `drop` says so are left out. */
static void drop_rows(Call *call, int rows, const Column *const *args, Column *out,
                      bool (*drop)(Call *, const Column *, int row, Str key, Str value,
                                   int64_t index)) {
    bool by_index = type_is_integer(args[1]->type.kind);
    Buffer made = {0}, normal = {0};
    EACH_OK_ROW(row) {
        Str json = args[0]->strs[row], key, value;
        JsonbIterator each;
        if (!jsonb_iterate(&each, json)) {
            column_fail(call, out, row, "cannot delete from scalar");
            continue;
        }
        bool object = each.kind == JSONB_OBJECT;
        if (object && by_index) {
            column_fail(call, out, row, "cannot delete from object using integer index");
            continue;
        }
        made.size = 0;
        buffer_add_char(&made, object ? '{' : '[');
        int64_t skip = by_index && args[1]->ints[row] < 0 ? jsonb_array_length(json) : 0;
        for (int64_t index = -skip; jsonb_next(&each, &key, &value); index++) {
            if (drop(call, args[1], row, object ? key : (Str){NULL, 0}, value, index)) continue;
            if (made.size > 1) buffer_add_char(&made, ',');
            if (object) {
                buffer_add_str(&made, key);
                buffer_add_char(&made, ':');
            }
            buffer_add_str(&made, value);
        }
        buffer_add_char(&made, object ? '}' : ']');
        set_json(call, out, row, &made, &normal);
    }
    buffer_free(&made);
    buffer_free(&normal);
}

static bool drop_index(Call *call, const Column *column, int row, Str key, Str value,
                       int64_t index) {
    (void)call, (void)key, (void)value;
    return index == column->ints[row];
}

/* Is this member's key, or this item, the string? */
static bool is_string(Call *call, Str key, Str value, Str string) {
    Str literal = key.size ? key : value, text;
    return jsonb_kind(literal) == JSONB_STRING && jsonb_string_view(literal, &text, call->arena) &&
           str_equal(text, string);
}

static bool drop_string(Call *call, const Column *column, int row, Str key, Str value,
                        int64_t index) {
    (void)index;
    return is_string(call, key, value, column->strs[row]);
}

static bool drop_strings(Call *call, const Column *column, int row, Str key, Str value,
                         int64_t index) {
    (void)index;
    Str array = column->strs[row], string;
    for (int i = 0, count = text_array_count(array); i < count; i++)
        if (text_array_get(array, i, &string) && is_string(call, key, value, string)) return true;
    return false;
}

static void drop_index_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    drop_rows(call, rows, args, out, drop_index);
}
static void drop_string_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    drop_rows(call, rows, args, out, drop_string);
}
static void drop_strings_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    drop_rows(call, rows, args, out, drop_strings);
}

static void add_stripped(Str json, int depth, Buffer *out) {
    JsonbIterator each;
    Str key, value;
    if (depth > DEPTH_MOST || !jsonb_iterate(&each, json)) {
        buffer_add_str(out, json);
        return;
    }
    bool object = each.kind == JSONB_OBJECT, first = true;
    buffer_add_char(out, object ? '{' : '[');
    while (jsonb_next(&each, &key, &value)) {
        if (object && jsonb_kind(value) == JSONB_NULL) continue;
        if (!first) buffer_add_char(out, ',');
        first = false;
        if (object) {
            buffer_add_str(out, key);
            buffer_add_char(out, ':');
        }
        add_stripped(value, depth + 1, out);
    }
    buffer_add_char(out, object ? '}' : ']');
}

static void strip_nulls_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0}, normal = {0}, again = {0};
    EACH_OK_ROW(row) {
        made.size = again.size = 0;
        if (!jsonb_normalize(args[0]->strs[row],
                             &again)) { /* first: of equal keys the first counts, null or not */
            column_fail(call, out, row, "invalid input syntax for type json");
            continue;
        }
        add_stripped(buffer_str(&again), 0, &made);
        set_json(call, out, row, &made, &normal);
    }
    buffer_free(&made);
    buffer_free(&normal);
    buffer_free(&again);
}

static void add_line(Buffer *out, int depth) {
    buffer_add_char(out, '\n');
    for (int i = 0; i < depth; i++) buffer_add_text(out, "    ");
}

/* Text in normal form (", " and ": " between) with line breaks. */
static void add_pretty(Str json, Buffer *out) {
    int depth = 0;
    bool quoted = false;
    for (size_t i = 0; i < json.size && out->size <= TEXT_MOST; i++) {
        char c = json.data[i];
        if (quoted) {
            buffer_add_char(out, c);
            if (c == '\\' && i + 1 < json.size) buffer_add_char(out, json.data[++i]);
            else if (c == '"') quoted = false;
            continue;
        }
        if (c == '}' || c == ']') add_line(out, --depth);
        buffer_add_char(out, c);
        quoted = c == '"';
        bool empty = (c == '{' || c == '[') && i + 1 < json.size &&
                     (json.data[i + 1] == '}' || json.data[i + 1] == ']');
        if (c == '{' || c == '[') depth++;
        if (c == ',' && i + 1 < json.size && json.data[i + 1] == ' ') i++;
        if (c == ',' || ((c == '{' || c == '[') && !empty)) add_line(out, depth);
    }
}

static void pretty_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    Buffer made = {0}, normal = {0};
    EACH_OK_ROW(row) {
        made.size = normal.size = 0;
        if (!jsonb_normalize(args[0]->strs[row], &normal)) {
            column_fail(call, out, row, "invalid input syntax for type json");
            continue;
        }
        add_pretty(buffer_str(&normal), &made);
        set_text(call, out, row, &made);
    }
    buffer_free(&made);
    buffer_free(&normal);
}

#define S FUNCTION_STRICT
#define OP (FUNCTION_STRICT | FUNCTION_OPERATOR)
#define ANY TYPE_UNKNOWN
#define VAR (FUNCTION_VARIADIC | FUNCTION_ANY_FIRST)
#define J TYPE_JSONB
const Function json_build_functions[] = {
    {"||",
     J,
     2,
     {J, J},
     OP,
     join_kernel,
     NULL,
     "two objects: all keys, the right one's win; else arrays joined"},
    {"-",
     J,
     2,
     {J, TYPE_TEXT},
     OP,
     drop_string_kernel,
     NULL,
     "without that key, or those strings of the array"},
    {"-",
     J,
     2,
     {J, TYPE_TEXT_ARRAY},
     OP,
     drop_strings_kernel,
     NULL,
     "without those keys, or strings of the array"},
    {"-",
     J,
     2,
     {J, TYPE_INT4},
     OP,
     drop_index_kernel,
     NULL,
     "without the n-th item; n < 0 counts from the end"},
    {"to_jsonb", J, 1, {ANY}, S | FUNCTION_ANY_FIRST, to_jsonb_kernel, NULL, "the value as jsonb"},
    {"jsonb_build_array", J, 1, {ANY}, VAR, build_array_kernel, NULL, "an array of the values"},
    {"jsonb_build_object",
     J,
     1,
     {ANY},
     VAR,
     build_object_kernel,
     NULL,
     "an object of (key, value, key, value, …)"},
    {"jsonb_strip_nulls",
     J,
     1,
     {J},
     S,
     strip_nulls_kernel,
     NULL,
     "without the keys whose value is null, at every depth"},
    {"jsonb_pretty", TYPE_TEXT, 1, {J}, S, pretty_kernel, NULL, "as text with line breaks"},
    {0},
};
