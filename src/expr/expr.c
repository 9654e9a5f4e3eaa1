/* Expression trees: building, comparing, walking and printing them. A tree is bound once and read
 * often, so nodes are plain structs in the caller's arena. Folding runs the node through a program
 * of its own over one row without columns, so that a folded expression can never mean anything else
 * than the one that runs. */
#include "expr/expr.h"
#include "expr/forms.h"

static Expr *node(Arena *arena, ExprKind kind, Type type) {
    Expr *e = arena_zero(arena, sizeof *e);
    e->kind = kind;
    e->type = type;
    return e;
}

Expr *expr_constant(Arena *arena, Value value) {
    Expr *e = node(arena, EXPR_CONSTANT, value.type);
    e->value = value_copy(value, arena);
    return e;
}

Expr *expr_column(Arena *arena, int column, Type type) {
    Expr *e = node(arena, EXPR_COLUMN, type);
    e->column = column;
    return e;
}

/* The constant that `e` always gives, or `e` itself when it fails: the error then is each row's
 * own. */
static Expr *fold(Arena *arena, Expr *e) {
    Program *program = NULL;
    Error error;
    if (program_new(&e, 1, NULL, &program, &error) != OK) return e;
    Expr *result = e;
    Arena *scratch = arena_new();
    RowErrors errors = {.arena = scratch};
    Batch batch = {.rows = 1, .arena = scratch, .source = -1, .partition = -1};
    Column out;
    program_run(program, &batch, scratch, &errors, &out);
    if (column_state(&out, 0) != VALUE_ERROR) {
        Value value = column_value(&out, 0);
        value.type = e->type;
        result = expr_constant(arena, value);
        result->line = e->line;
        result->place = e->place;
    }
    arena_free(&scratch);
    program_free(&program);
    return result;
}

static bool all_constant(Expr *const *args, int count) {
    for (int i = 0; i < count; i++)
        if (args[i]->kind != EXPR_CONSTANT) return false;
    return true;
}

/* `e`, or what PostgreSQL's planner makes of it before any row is seen: an error of the other
 * arguments then is none. */
static Expr *instead(Arena *arena, Expr *e, Value value) {
    Expr *constant = expr_constant(arena, value);
    constant->line = e->line;
    constant->place = e->place;
    return constant;
}

static bool any_null(Expr *const *args, int count) {
    for (int i = 0; i < count; i++)
        if (args[i]->kind == EXPR_CONSTANT && args[i]->value.null) return true;
    return false;
}

static bool any_bool(Expr *const *args, int count, bool value) {
    for (int i = 0; i < count; i++)
        if (args[i]->kind == EXPR_CONSTANT && !args[i]->value.null &&
            args[i]->value.boolean == value)
            return true;
    return false;
}

Expr *expr_call(Arena *arena, const Function *function, Type result, Expr **args, int arg_count) {
    Expr *e = node(arena, EXPR_CALL, result);
    e->function = function;
    e->args = args;
    e->arg_count = arg_count;
    if (arg_count > 0) {
        e->line = args[0]->line;
        e->place = args[0]->place;
    }
    if (function->flags & (FUNCTION_VOLATILE | FUNCTION_STABLE) || !all_constant(args, arg_count))
        return e;
    return fold(arena, e);
}

Expr *expr_strict(Arena *arena, Expr *e) {
    if (e->kind != EXPR_CALL || !(e->function->flags & FUNCTION_STRICT) ||
        !any_null(e->args, e->arg_count))
        return e;
    return instead(arena, e, (Value){.type = e->type, .null = true});
}

Expr *expr_of(Arena *arena, ExprKind kind, Type type, Expr **args, int arg_count) {
    Expr *e = node(arena, kind, type);
    e->args = args;
    e->arg_count = arg_count;
    if (arg_count > 0) {
        e->line = args[0]->line;
        e->place = args[0]->place;
    }
    bool decided = kind == EXPR_OR;
    if ((kind == EXPR_AND || kind == EXPR_OR) && any_bool(args, arg_count, decided))
        return instead(arena, e, (Value){.type = type, .boolean = decided});
    return all_constant(args, arg_count) ? fold(arena, e) : e;
}

static bool type_equal(Type a, Type b) { return a.kind == b.kind && a.modifier == b.modifier; }

/* Bit for bit: 1.0 and 1.00 are different constants, since they print differently. */
bool constant_equal(Value a, Value b) {
    if (!type_equal(a.type, b.type) || a.null != b.null) return false;
    if (a.null) return true;
    switch (type_physical(a.type.kind)) {
    case PHYSICAL_BOOL: return a.boolean == b.boolean;
    case PHYSICAL_INT: return a.integer == b.integer;
    case PHYSICAL_FLOAT: return memcmp(&a.real, &b.real, sizeof a.real) == 0;
    case PHYSICAL_STR: return str_equal(a.str, b.str);
    case PHYSICAL_INTERVAL:
        return a.interval.months == b.interval.months && a.interval.days == b.interval.days &&
               a.interval.us == b.interval.us;
    }
    return false;
}

bool expr_equal(const Expr *a, const Expr *b) {
    if (a == b) return true;
    if (a->kind != b->kind || !type_equal(a->type, b->type) || a->arg_count != b->arg_count)
        return false;
    switch (a->kind) {
    case EXPR_CONSTANT: return constant_equal(a->value, b->value);
    case EXPR_COLUMN: return a->column == b->column;
    case EXPR_HIDDEN: return a->hidden == b->hidden;
    case EXPR_CALL:
        if (a->function != b->function) return false;
        break;
    default: break;
    }
    for (int i = 0; i < a->arg_count; i++)
        if (!expr_equal(a->args[i], b->args[i])) return false;
    return true;
}

int expr_flags(const Expr *e) {
    int flags =
        e->kind == EXPR_CALL ? e->function->flags & (FUNCTION_VOLATILE | FUNCTION_STABLE) : 0;
    if (e->kind == EXPR_HIDDEN && e->hidden == HIDDEN_NOW) flags |= FUNCTION_STABLE;
    for (int i = 0; i < e->arg_count; i++) flags |= expr_flags(e->args[i]);
    return flags;
}

/* ---- text ---- */

static void add_type(Type type, Buffer *out) {
    Arena *scratch = arena_new();
    buffer_add_text(out, type_name(type, scratch));
    arena_free(&scratch);
}

static void add_quoted(Str text, char quote, Buffer *out) {
    buffer_add_char(out, quote);
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == quote) buffer_add_char(out, quote);
        buffer_add_char(out, text.data[i]);
    }
    buffer_add_char(out, quote);
}

/* Types that PostgreSQL's literals have by themselves are left out, all others are said: equal
 * texts mean equal trees. */
static void constant_text(Value value, Buffer *out) {
    if (value.null) {
        buffer_add_text(out, "NULL::");
        add_type(value.type, out);
        return;
    }
    bool plain_type = value.type.modifier == -1;
    if (value.type.kind == TYPE_BOOL) {
        buffer_add_text(out, value.boolean ? "true" : "false");
        return;
    }
    Buffer text = {0};
    value_text(value, &text);
    if (value.type.kind == TYPE_INT4 && value.integer >= 0) {
        buffer_add_str(out, buffer_str(&text));
    } else {
        add_quoted(buffer_str(&text), '\'', out);
        if (value.type.kind != TYPE_TEXT || !plain_type) {
            buffer_add_text(out, "::");
            add_type(value.type, out);
        }
    }
    buffer_free(&text);
}

static bool plain_name(const char *name) {
    if (!(*name == '_' || (*name >= 'a' && *name <= 'z') || (*name >= 'A' && *name <= 'Z')))
        return false;
    for (const char *c = name; *c; c++)
        if (!(*c == '_' || (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') ||
              (*c >= '0' && *c <= '9')))
            return false;
    return true;
}

static void column_text(int column, const Schema *input, Buffer *out) {
    if (!input || column < 0 || column >= input->count || !input->fields[column].name) {
        buffer_add_format(out, "$%d", column + 1);
        return;
    }
    const char *name = input->fields[column].name;
    if (plain_name(name)) buffer_add_text(out, name);
    else add_quoted(str_from(name), '"', out);
    for (int i = 0; i < input->count; i++) {
        if (i != column && input->fields[i].name && strcmp(input->fields[i].name, name) == 0) {
            buffer_add_format(out, "#%d", column + 1);
            return;
        }
    }
}

static void list_text(Expr *const *args, int count, const char *between, const Schema *input,
                      Buffer *out) {
    for (int i = 0; i < count; i++) {
        if (i > 0) buffer_add_text(out, between);
        expr_text(args[i], input, out);
    }
}

static void call_text(const Expr *e, const Schema *input, Buffer *out) {
    const Function *f = e->function;
    if (f->flags & FUNCTION_CAST) {
        buffer_add_char(out, '(');
        expr_text(e->args[0], input, out);
        buffer_add_text(out, ")::");
        add_type(e->type, out);
    } else if (f->flags & FUNCTION_OPERATOR && e->arg_count <= 2 && e->arg_count > 0) {
        buffer_add_char(out, '(');
        if (e->arg_count == 1 && strncmp(f->name, "is ", 3) == 0) {
            expr_text(e->args[0], input, out);
            buffer_add_format(out, " %s", f->name);
        } else if (e->arg_count == 1) {
            buffer_add_format(out, "%s ", f->name);
            expr_text(e->args[0], input, out);
        } else {
            expr_text(e->args[0], input, out);
            buffer_add_format(out, " %s ", f->name);
            expr_text(e->args[1], input, out);
        }
        buffer_add_char(out, ')');
    } else {
        buffer_add_format(out, "%s(", f->name);
        list_text(e->args, e->arg_count, ", ", input, out);
        buffer_add_char(out, ')');
    }
}

static void case_text(const Expr *e, const Schema *input, Buffer *out) {
    buffer_add_text(out, "CASE");
    int i = 0;
    for (; i + 1 < e->arg_count; i += 2) {
        buffer_add_text(out, " WHEN ");
        expr_text(e->args[i], input, out);
        buffer_add_text(out, " THEN ");
        expr_text(e->args[i + 1], input, out);
    }
    if (i < e->arg_count) {
        buffer_add_text(out, " ELSE ");
        expr_text(e->args[i], input, out);
    }
    buffer_add_text(out, " END");
}

void expr_text(const Expr *e, const Schema *input, Buffer *out) {
    static const char *const hidden[] = {
        [HIDDEN_NOW] = "now()",
        [HIDDEN_EVENT_TIME] = "event_time()",
        [HIDDEN_POSITION] = "position()",
        [HIDDEN_PARTITION] = "partition()",
    };
    switch (e->kind) {
    case EXPR_CONSTANT: constant_text(e->value, out); break;
    case EXPR_COLUMN: column_text(e->column, input, out); break;
    case EXPR_HIDDEN: buffer_add_text(out, hidden[e->hidden]); break;
    case EXPR_CALL: call_text(e, input, out); break;
    case EXPR_AND:
    case EXPR_OR:
        buffer_add_char(out, '(');
        list_text(e->args, e->arg_count, e->kind == EXPR_AND ? " AND " : " OR ", input, out);
        buffer_add_char(out, ')');
        break;
    case EXPR_NOT:
        buffer_add_text(out, "(NOT ");
        expr_text(e->args[0], input, out);
        buffer_add_char(out, ')');
        break;
    case EXPR_CASE: case_text(e, input, out); break;
    case EXPR_COALESCE:
        buffer_add_text(out, "coalesce(");
        list_text(e->args, e->arg_count, ", ", input, out);
        buffer_add_char(out, ')');
        break;
    case EXPR_IS_NULL:
    case EXPR_IS_NOT_NULL:
        buffer_add_char(out, '(');
        expr_text(e->args[0], input, out);
        buffer_add_text(out, e->kind == EXPR_IS_NULL ? " IS NULL)" : " IS NOT NULL)");
        break;
    case EXPR_IN:
        buffer_add_char(out, '(');
        expr_text(e->args[0], input, out);
        buffer_add_text(out, " IN (");
        list_text(e->args + 1, e->arg_count - 1, ", ", input, out);
        buffer_add_text(out, "))");
        break;
    }
}
