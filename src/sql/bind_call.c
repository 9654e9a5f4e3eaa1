/* Operators and functions: names become rows of the function table by PostgreSQL's rules of
 * resolution, arguments are cast to what the chosen row takes, and what is not found is told in
 * PostgreSQL's words with a remedy. */
#include "sql/binder.h"

enum { NAMED_MOST = CANDIDATES_MOST };

const char *argument_list(Scope *scope, const TypeKind *kinds, int count, bool parameters) {
    Buffer text = {0};
    for (int i = 0; i < count; i++) {
        bool any = parameters && kinds[i] == TYPE_UNKNOWN;
        buffer_add_format(&text, "%s%s", i ? ", " : "", any ? "any" : kind_name(scope, kinds[i]));
    }
    const char *out = arena_text(scope->arena, buffer_str(&text));
    buffer_free(&text);
    return out;
}

/* PostgreSQL has format(text), jsonb_build_object() and their kin as functions of their own, but no
 * concat(). */
static bool takes_none(const Function *f) {
    return f->flags & FUNCTION_VARIADIC &&
           (strcmp(f->name, "format") == 0 || strncmp(f->name, "jsonb_build_", 12) == 0);
}

static int function_candidates(const char *name, bool is_operator, const Function **rows,
                               Candidate *out) {
    int count = functions_named(str_from(name), is_operator, rows, NAMED_MOST);
    for (int i = 0; i < count; i++)
        out[i] = (Candidate){rows[i], rows[i]->args, rows[i]->arg_count,
                             rows[i]->flags & FUNCTION_VARIADIC, takes_none(rows[i])};
    return count;
}

/* A regular expression, format or unit that is wrong should be told here, with its place, not when
 * the first row comes. */
static Status check_constants(const Expr *call, Error *error) {
    if (call->kind != EXPR_CALL || !call->function->prepare) return OK;
    Arena *scratch = arena_new();
    const Value **constants = arena_new_array(scratch, const Value *, call->arg_count + 1);
    for (int i = 0; i < call->arg_count; i++)
        if (call->args[i]->kind == EXPR_CONSTANT) constants[i] = &call->args[i]->value;
    void *state = NULL;
    Error inner = {0};
    Status status = call->function->prepare(&state, constants, call->type, scratch, &inner);
    arena_free(&scratch);
    return status == OK ? OK : fail_at(error, call->line, call->place, "%s", inner.text);
}

static Status make_call(Scope *scope, const Function *f, Operand *args, int count, int location,
                        Expr **out, Error *error) {
    Expr **exprs = arena_new_array(scope->arena, Expr *, count + 1);
    Candidate row = {f, f->args, f->arg_count, f->flags & FUNCTION_VARIADIC, false};
    for (int i = 0; i < count; i++) {
        TypeKind want = candidate_arg(&row, i);
        /* what is of the type already stays as it is: a modifier is not the parameter's business */
        bool as_is = want == TYPE_UNKNOWN || (!args[i].path && args[i].expr->type.kind == want);
        Status status =
            as_is ? operand_settle(scope, &args[i], &exprs[i], error)
                  : operand_as(scope, &args[i], type_of(want), CAST_IMPLICIT, &exprs[i], error);
        if (status != OK) return status;
    }
    *out = placed(scope, expr_call(scope->arena, f, type_of(f->result), exprs, count), location);
    return check_constants(*out, error);
}

/* ---- operators ---- */

static bool is_arithmetic(const char *name) { return strlen(name) == 1 && strchr("+-*/%^", *name); }

static bool takes_jsonb(const char *name) {
    static const char *const names[] = {"->", "->>", "#>", "#>>", "?", "?|", "?&", "@>", "<@"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

/* What a path becomes beside the other operand (LANGUAGE.md 3). */
static Status settle_path(Scope *scope, const char *name, Operand *path, const Operand *other,
                          Error *error) {
    Type to = type_of(TYPE_JSONB);
    if (takes_jsonb(name)) {
        to = type_of(TYPE_JSONB);
    } else if (!other) {
        if (is_arithmetic(name)) to = type_of(TYPE_FLOAT8);
    } else if (is_string_literal(other) ||
               (!other->path && type_is_string(other->expr->type.kind))) {
        to = type_of(TYPE_TEXT);
    } else if (!other->path && other->expr->type.kind != TYPE_UNKNOWN) {
        bool constant_number =
            other->expr->kind == EXPR_CONSTANT && type_is_number(other->expr->type.kind);
        to = is_arithmetic(name) && constant_number ? type_of(TYPE_FLOAT8)
                                                    : type_of(other->expr->type.kind);
        if (constant_number && type_is_integer(to.kind))
            warn_at(scope->catalog, path->location,
                    "a path beside an integer is read as %s, and a value with a fraction then "
                    "fails its row; write the number with a fraction (5.0) if there may be such",
                    kind_name(scope, to.kind));
    }
    Expr *e;
    Status status = operand_as(scope, path, to, CAST_EXPLICIT, &e, error);
    if (status == OK) *path = (Operand){.expr = e, .location = path->location};
    return status;
}

static Status no_operator(Scope *scope, const char *name, const TypeKind *kinds, int count,
                          int chosen, int location, Error *error) {
    const char *what = count == 1
                           ? arena_format(scope->arena, "%s %s", name, kind_name(scope, kinds[0]))
                           : arena_format(scope->arena, "%s %s %s", kind_name(scope, kinds[0]),
                                          name, kind_name(scope, kinds[1]));
    if (chosen == CANDIDATE_AMBIGUOUS)
        return error_at(scope->catalog, location, error,
                        "operator is not unique: %s; cast an operand, such as '1'::integer", what);
    const char *remedy =
        operator_remedy(scope, name, count == 2 ? kinds[0] : TYPE_UNKNOWN, kinds[count - 1]);
    return error_at(scope->catalog, location, error, "operator does not exist: %s; %s", what,
                    remedy);
}

/* PostgreSQL first takes an untyped side for the other side's type. */
static int exact_operator(const Candidate *candidates, int count, TypeKind left, TypeKind right) {
    if (left == TYPE_UNKNOWN && right == TYPE_UNKNOWN) return CANDIDATE_NONE;
    if (left == TYPE_UNKNOWN) left = right;
    if (right == TYPE_UNKNOWN) right = left;
    for (int i = 0; i < count; i++)
        if (candidates[i].arg_count == 2 && candidates[i].args[0] == left &&
            candidates[i].args[1] == right)
            return i;
    return CANDIDATE_NONE;
}

Status bind_operator(Scope *scope, const char *name, Operand *args, int count, int location,
                     Expr **out, Error *error) {
    for (int i = 0; i < count; i++) {
        Operand *other = count == 2 ? &args[1 - i] : NULL;
        if (!args[i].path) continue;
        Status status = settle_path(scope, name, &args[i], other, error);
        if (status != OK) return status;
    }
    const Function *rows[NAMED_MOST];
    Candidate candidates[NAMED_MOST];
    TypeKind kinds[2] = {operand_kind(&args[0]),
                         count == 2 ? operand_kind(&args[1]) : TYPE_UNKNOWN};
    int named = function_candidates(name, true, rows, candidates);
    int chosen =
        count == 2 ? exact_operator(candidates, named, kinds[0], kinds[1]) : CANDIDATE_NONE;
    if (chosen < 0) chosen = choose_candidate(candidates, named, kinds, count);
    if (chosen < 0) return no_operator(scope, name, kinds, count, chosen, location, error);
    return make_call(scope, rows[chosen], args, count, location, out, error);
}

/* ---- functions ---- */

static Status list_signatures(Scope *scope, const Function **rows, int count, const char *what,
                              int location, Error *error) {
    Buffer list = {0};
    for (int i = 0; i < count && list.size < 400; i++)
        buffer_add_format(&list, "%s%s(%s%s)", i ? ", " : "", rows[i]->name,
                          argument_list(scope, rows[i]->args, rows[i]->arg_count, true),
                          rows[i]->flags & FUNCTION_VARIADIC ? ", …" : "");
    Status status = error_at(scope->catalog, location, error, "%s; there %s %.*s", what,
                             count == 1 ? "is" : "are", (int)list.size, list.data);
    buffer_free(&list);
    return status;
}

static const char *closest_function(Scope *scope, const char *name) {
    const char **names = arena_new_array(scope->arena, const char *, 2048);
    int count = 0;
    for (int i = 0; count < 1900 && function_at(i); i++)
        if (!(function_at(i)->flags & (FUNCTION_OPERATOR | FUNCTION_CAST)))
            names[count++] = function_at(i)->name;
    for (int i = 0; count < 2040 && aggregate_at(i); i++) names[count++] = aggregate_at(i)->name;
    return closest_name(name, names, count);
}

static Status no_function(Scope *scope, const char *name, const TypeKind *kinds, int count,
                          const Function **rows, int named, int chosen, int location,
                          Error *error) {
    const char *what = arena_format(
        scope->arena, "function %s(%s) %s", name, argument_list(scope, kinds, count, false),
        chosen == CANDIDATE_AMBIGUOUS ? "is not unique" : "does not exist");
    if (chosen == CANDIDATE_AMBIGUOUS)
        return error_at(scope->catalog, location, error,
                        "%s; cast an argument, such as '2026-01-01'::timestamptz", what);
    if (named > 0 && count == 2 && strcmp(name, "round") == 0)
        return error_at(scope->catalog, location, error,
                        "%s; round to digits is for numeric: round(value::numeric, 2)", what);
    if (named > 0) return list_signatures(scope, rows, named, what, location, error);
    const char *remedy = function_remedy(name);
    if (remedy) return error_at(scope->catalog, location, error, "%s; %s", what, remedy);
    if (function_comes_later(name))
        return error_at(scope->catalog, location, error, "%s(…) comes with a later version", name);
    const char *closest = closest_function(scope, name);
    if (closest && strlen(name) >= 4)
        return error_at(scope->catalog, location, error, "%s; did you mean %s?", what, closest);
    return error_at(scope->catalog, location, error,
                    "%s; the functions that there are stand in docs/sql-functions.md", what);
}

Status call_function(Scope *scope, const char *name, Operand *args, int count, int location,
                     Expr **out, Error *error) {
    const Function *rows[NAMED_MOST];
    Candidate candidates[NAMED_MOST];
    TypeKind kinds[ARGUMENTS_MOST];
    if (count > ARGUMENTS_MOST)
        return error_at(scope->catalog, location, error,
                        "cannot pass more than %d arguments to a function", ARGUMENTS_MOST);
    for (int i = 0; i < count; i++) kinds[i] = operand_kind(&args[i]);
    int named = function_candidates(name, false, rows, candidates);
    int chosen = choose_candidate(candidates, named, kinds, count);
    if (chosen >= 0) return make_call(scope, rows[chosen], args, count, location, out, error);
    /* date(x), text(x): a cast in the form of a call */
    TypeKind type = type_from_name(str_from(name));
    if (count == 1 && type != TYPE_UNKNOWN && type != TYPE_TEXT_ARRAY)
        return operand_as(scope, &args[0], type_of(type), CAST_EXPLICIT, out, error);
    return no_function(scope, name, kinds, count, rows, named, chosen, location, error);
}

/* metadata('offset') and kin: columns that the source fills. */
static Status bind_metadata(Scope *scope, const PgQuery__FuncCall *call, Operand *out,
                            Error *error) {
    static const struct {
        const char *name;
        DecodeKind decode;
        TypeKind type;
    } items[] = {
        {"topic", DECODE_TOPIC, TYPE_TEXT},       {"partition", DECODE_PARTITION, TYPE_INT4},
        {"offset", DECODE_OFFSET, TYPE_INT8},     {"timestamp", DECODE_TIMESTAMP, TYPE_TIMESTAMPTZ},
        {"key", DECODE_KEY, TYPE_TEXT},           {"headers", DECODE_HEADERS, TYPE_JSONB},
        {"filename", DECODE_FILENAME, TYPE_TEXT},
    };
    if (!scope->metadata_allowed || !scope->want_metadata)
        return error_at(scope->catalog, call->location, error,
                        "metadata('…') stands in a table's generated columns only: c type "
                        "GENERATED ALWAYS AS (metadata('offset')) STORED");
    const PgQuery__Node *arg = call->n_args == 1 ? call->args[0] : NULL;
    const char *name = NULL;
    if (arg && arg->node_case == PG_QUERY__NODE__NODE_A_CONST &&
        arg->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL)
        name = arg->a_const->sval->sval;
    for (size_t i = 0; name && i < sizeof items / sizeof *items; i++) {
        if (strcmp(name, items[i].name) != 0) continue;
        int column = scope->want_metadata(scope, items[i].decode);
        if (column < 0)
            return error_at(scope->catalog, call->location, error,
                            "metadata('%s') is not to be had here", name);
        *out = (Operand){.expr = placed(scope,
                                        expr_column(scope->arena, column, type_of(items[i].type)),
                                        call->location),
                         .location = call->location};
        return OK;
    }
    return error_at(scope->catalog, call->location, error,
                    "metadata expects one of 'topic', 'partition', 'offset', 'timestamp', 'key', "
                    "'headers', 'filename'");
}

static Status check_call(Scope *scope, const PgQuery__FuncCall *call, const char *name,
                         Error *error) {
    int at = call->location;
    if (call->over)
        return refuse(scope->catalog, at, error, "OVER",
                      "window functions come with a later version");
    if (call->agg_within_group)
        return refuse(scope->catalog, at, error, "WITHIN GROUP", "it comes with a later version");
    if (call->func_variadic)
        return refuse(scope->catalog, at, error, "VARIADIC", "give the arguments one by one");
    for (size_t i = 0; i < call->n_args; i++)
        if (call->args[i]->node_case == PG_QUERY__NODE__NODE_NAMED_ARG_EXPR)
            return refuse(scope->catalog, node_location(call->args[i]), error,
                          "a named argument of this function", "give the arguments in order");
    static const char *const windows[] = {"tumble", "hop", "session",
                                          "cumulate"}; /* odd: 2 sizes */
    for (size_t i = 0; i < sizeof windows / sizeof *windows; i++)
        if (strcmp(name, windows[i]) == 0)
            return error_at(scope->catalog, at, error,
                            "%s(…) stands in FROM: SELECT … FROM %s(t, time, %sINTERVAL '1 "
                            "minute') GROUP BY window_start",
                            name, name, i % 2 ? "INTERVAL '10 seconds', " : "");
    return OK;
}

Status bind_function(Scope *scope, const PgQuery__FuncCall *call, Operand *out, Error *error) {
    const char *name =
        call->n_funcname > 0 ? string_of(call->funcname[call->n_funcname - 1]) : NULL;
    const char *schema = call->n_funcname == 2 ? string_of(call->funcname[0]) : NULL;
    if (!name || call->n_funcname > 2 || (schema && strcmp(schema, "pg_catalog") != 0))
        return refuse(scope->catalog, call->location, error, "a function in a schema",
                      schema && name && function_remedy(schema) ? function_remedy(schema)
                                                                : "leave the schema out");
    Status status = check_call(scope, call, name, error);
    if (status != OK) return status;
    if (strcmp(name, "metadata") == 0) return bind_metadata(scope, call, out, error);
    if (aggregate_exists(str_from(name))) return bind_aggregate(scope, call, name, out, error);
    if (call->agg_filter || call->agg_distinct || call->n_agg_order > 0 || call->agg_star) {
        const char *what = call->agg_star       ? "*"
                           : call->agg_filter   ? "FILTER"
                           : call->agg_distinct ? "DISTINCT"
                                                : "ORDER BY";
        const char *remedy = function_comes_later(name)
                                 ? "this aggregate comes with a later version"
                                 : "it is for aggregates";
        return error_at(scope->catalog, call->location, error,
                        "%s specified, but %s is not an aggregate function; %s", what, name,
                        remedy);
    }
    if (call->n_args > ARGUMENTS_MOST)
        return error_at(scope->catalog, call->location, error,
                        "cannot pass more than %d arguments to a function", ARGUMENTS_MOST);
    Operand *args = arena_new_array(scope->arena, Operand, (int)call->n_args + 1);
    for (size_t i = 0; i < call->n_args && status == OK; i++)
        status = bind_node(scope, call->args[i], &args[i], error);
    *out = (Operand){.location = call->location};
    if (status == OK)
        status =
            call_function(scope, name, args, (int)call->n_args, call->location, &out->expr, error);
    if (status == OK) out->expr = expr_strict(scope->arena, out->expr);
    return status;
}
