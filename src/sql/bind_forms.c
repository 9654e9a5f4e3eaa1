/* The forms of SQL that are no functions: BETWEEN, IN, ANY and ALL over arrays, IS DISTINCT FROM,
 * NULLIF, LIKE, CASE, coalesce, greatest, least. Each is brought back to operators and the few
 * forms of expr.h, with PostgreSQL's rules for types (parse_expr.c there). */
#include "sql/binder.h"

static Expr *form(Scope *scope, ExprKind kind, Type type, Expr *const *args, int count,
                  int location) {
    Expr **copy = arena_new_array(scope->arena, Expr *, count + 1);
    memcpy(copy, args, sizeof *args * (size_t)count);
    return placed(scope, expr_of(scope->arena, kind, type, copy, count), location);
}

static Expr *boolean_form(Scope *scope, ExprKind kind, Expr *a, Expr *b, int location) {
    Expr *args[2] = {a, b};
    return form(scope, kind, type_of(TYPE_BOOL), args, b ? 2 : 1, location);
}

static Status compare(Scope *scope, const char *op, Operand a, Operand b, int location, Expr **out,
                      Error *error) {
    Operand args[2] = {a, b};
    return bind_operator(scope, op, args, 2, location, out, error);
}

/* Nodes of a tree, counted as often as they are reached, up to a limit. */
static int size_up_to(const Expr *e, int limit) {
    int size = 1;
    for (int i = 0; i < e->arg_count && size < limit; i++)
        size += size_up_to(e->args[i], limit - size);
    return size;
}

enum { REPEATED_MOST_NODES = 50000 };

/* BETWEEN, CASE and IN repeat an operand; nested in one another they would double it at each level.
 */
static Status check_repeated(Scope *scope, const Operand *o, int times, Error *error) {
    if (o->path || (int64_t)size_up_to(o->expr, REPEATED_MOST_NODES) * times < REPEATED_MOST_NODES)
        return OK;
    return error_at(scope->catalog, o->location, error,
                    "this operand becomes too large by being repeated; compute it in a sub-select "
                    "and name it");
}

/* ---- BETWEEN ---- */

static Status bind_between(Scope *scope, const PgQuery__AExpr *e, Expr **out, Error *error) {
    const PgQuery__List *bounds = e->rexpr->list;
    Operand value, low, high;
    Status status = bind_node(scope, e->lexpr, &value, error);
    if (status == OK) status = bind_node(scope, bounds->items[0], &low, error);
    if (status == OK) status = bind_node(scope, bounds->items[1], &high, error);
    if (status == OK) status = check_repeated(scope, &value, 4, error);
    if (status == OK) status = check_repeated(scope, &low, 2, error);
    if (status == OK) status = check_repeated(scope, &high, 2, error);
    if (status != OK) return status;
    int at = e->location;
    bool negated = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN ||
                   e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
    bool symmetric = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM ||
                     e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM;
    const char *first = negated ? "<" : ">=", *second = negated ? ">" : "<=";
    ExprKind inner = negated ? EXPR_OR : EXPR_AND;
    Expr *a, *b, *c, *d;
    status = compare(scope, first, value, low, at, &a, error);
    if (status == OK) status = compare(scope, second, value, high, at, &b, error);
    if (status != OK) return status;
    *out = boolean_form(scope, inner, a, b, at);
    if (!symmetric) return OK;
    status = compare(scope, first, value, high, at, &c, error);
    if (status == OK) status = compare(scope, second, value, low, at, &d, error);
    if (status == OK)
        *out = boolean_form(scope, negated ? EXPR_AND : EXPR_OR, *out,
                            boolean_form(scope, inner, c, d, at), at);
    return status;
}

/* ---- IN, ANY, ALL ---- */

static bool is_constant(const Operand *o) { return !o->path && o->expr->kind == EXPR_CONSTANT; }

/* value = item for each, joined by OR (or <> by AND). */
static Status chain_of_comparisons(Scope *scope, const char *op, bool all, Operand value,
                                   Operand *items, int count, int location, Expr **out,
                                   Error *error) {
    Expr **parts = arena_new_array(scope->arena, Expr *, count + 1);
    Status repeated = check_repeated(scope, &value, count, error);
    if (repeated != OK) return repeated;
    for (int i = 0; i < count; i++) {
        Status status = compare(scope, op, value, items[i], location, &parts[i], error);
        if (status == OK && parts[i]->type.kind != TYPE_BOOL)
            return error_at(scope->catalog, location, error,
                            "op ANY/ALL requires operator to yield boolean");
        if (status != OK) return status;
    }
    *out = count == 1
               ? parts[0]
               : form(scope, all ? EXPR_AND : EXPR_OR, type_of(TYPE_BOOL), parts, count, location);
    return OK;
}

/* Constants of one type, compared by one look-up. *out stays NULL where that cannot be. */
static Status bind_in_constants(Scope *scope, Operand value, Operand *items, int count,
                                bool value_counts, int location, Expr **out, Error *error) {
    Operand *all = arena_new_array(scope->arena, Operand, count + 1);
    Type *types = arena_new_array(scope->arena, Type, count + 1);
    int n = 0;
    if (value_counts) all[n++] = value;
    for (int i = 0; i < count; i++) all[n++] = items[i];
    for (int i = 0; i < n; i++) types[i] = type_of(operand_kind(&all[i]));
    Type type;
    Error ignored = {0};
    if (common_type(types, n, "IN", &type, &ignored) != OK) return OK;
    /* the operator between the value and the common type says what both become */
    Expr *probe_value = expr_constant(scope->arena, (Value){.type = type, .null = true});
    Operand probe = {.expr = placed(scope, probe_value, location), .location = location};
    Expr *equal;
    Operand left = value;
    if (is_unknown(&value)) { /* a path or an untyped literal is of the constants' type */
        Status status = operand_as(scope, &value, type, CAST_EXPLICIT, &left.expr, error);
        if (status != OK) return status;
        left.path = NULL;
    }
    /* columns stand in for the value, so that nothing folds */
    Operand stand_in = {
        .expr = placed(scope, expr_column(scope->arena, 0, left.expr->type), left.location),
        .location = left.location};
    if (compare(scope, "=", stand_in, probe, location, &equal, &ignored) != OK ||
        equal->kind != EXPR_CALL)
        return OK;
    TypeKind left_kind = equal->function->args[0], right_kind = equal->function->args[1];
    TypeKind want = left_kind == right_kind                          ? left_kind
                    : can_cast(left_kind, right_kind, CAST_IMPLICIT) ? right_kind
                                                                     : left_kind;
    if (!can_cast(left_kind, want, CAST_IMPLICIT) || !can_cast(right_kind, want, CAST_IMPLICIT))
        return OK;
    Expr **args = arena_new_array(scope->arena, Expr *, count + 1);
    Status status = operand_as(scope, &left, type_of(want), CAST_IMPLICIT, &args[0], error);
    for (int i = 0; i < count && status == OK; i++) {
        Expr *item;
        status = operand_as(scope, &items[i], type, CAST_IMPLICIT, &item, error);
        if (status == OK)
            status = bind_cast(scope, item, type_of(want), CAST_IMPLICIT, &args[i + 1], error);
        if (status == OK && args[i + 1]->kind != EXPR_CONSTANT)
            return OK; /* a cast that fails stays the row's error */
    }
    if (status == OK)
        *out = placed(scope, expr_of(scope->arena, EXPR_IN, type_of(TYPE_BOOL), args, count + 1),
                      location);
    return status;
}

static Status bind_list(Scope *scope, PgQuery__Node **nodes, size_t count, Operand **out,
                        Error *error) {
    Operand *items = arena_new_array(scope->arena, Operand, (int)count + 1);
    Status status = OK;
    for (size_t i = 0; i < count && status == OK; i++)
        status = bind_node(scope, nodes[i], &items[i], error);
    *out = items;
    return status;
}

/* Constants together, the others each by its own "=". */
static Status bind_membership(Scope *scope, Operand value, Operand *items, int count,
                              bool value_counts, int location, Expr **out, Error *error) {
    Operand *constants = arena_new_array(scope->arena, Operand, count + 1),
            *others = arena_new_array(scope->arena, Operand, count + 1);
    int constant_count = 0, other_count = 0;
    for (int i = 0; i < count; i++)
        if (is_constant(&items[i])) constants[constant_count++] = items[i];
        else others[other_count++] = items[i];
    Expr *in = NULL, *rest = NULL;
    Status status = OK;
    if (constant_count > 1)
        status = bind_in_constants(scope, value, constants, constant_count, value_counts, location,
                                   &in, error);
    if (status == OK && !in && constant_count > 0)
        status = chain_of_comparisons(scope, "=", false, value, constants, constant_count, location,
                                      &in, error);
    if (status == OK && other_count > 0)
        status = chain_of_comparisons(scope, "=", false, value, others, other_count, location,
                                      &rest, error);
    if (status == OK)
        *out = in && rest ? boolean_form(scope, EXPR_OR, in, rest, location) : in ? in : rest;
    return status;
}

static Status bind_in(Scope *scope, const PgQuery__AExpr *e, Expr **out, Error *error) {
    Operand value, *items;
    const PgQuery__List *list = e->rexpr->list;
    Status status = bind_node(scope, e->lexpr, &value, error);
    if (status == OK) status = bind_list(scope, list->items, list->n_items, &items, error);
    if (status == OK)
        status =
            bind_membership(scope, value, items, (int)list->n_items, true, e->location, out, error);
    bool negated = e->n_name > 0 && strcmp(string_of(e->name[0]), "<>") == 0;
    if (status == OK && negated) *out = boolean_form(scope, EXPR_NOT, *out, NULL, e->location);
    return status;
}

static Status bind_any_all(Scope *scope, const PgQuery__AExpr *e, const char *op, Expr **out,
                           Error *error) {
    bool all = e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL;
    if (e->rexpr->node_case != PG_QUERY__NODE__NODE_A_ARRAY_EXPR)
        return refuse(scope->catalog, e->location, error, all ? "ALL over this" : "ANY over this",
                      "write x IN (a, b), or = ANY (ARRAY[a, b])");
    const PgQuery__AArrayExpr *array = e->rexpr->a_array_expr;
    if (array->n_elements == 0)
        return error_at(scope->catalog, array->location, error,
                        "cannot determine type of empty array; name at least one element");
    Operand value, *items;
    Status status = bind_node(scope, e->lexpr, &value, error);
    if (status == OK) status = bind_list(scope, array->elements, array->n_elements, &items, error);
    if (status != OK) return status;
    int count = (int)array->n_elements;
    if (strcmp(op, "=") == 0 && !all)
        return bind_membership(scope, value, items, count, false, e->location, out, error);
    if (strcmp(op, "<>") == 0 && all) {
        status = bind_membership(scope, value, items, count, false, e->location, out, error);
        if (status == OK) *out = boolean_form(scope, EXPR_NOT, *out, NULL, e->location);
        return status;
    }
    return chain_of_comparisons(scope, op, all, value, items, count, e->location, out, error);
}

/* ---- IS DISTINCT FROM, NULLIF ---- */

static const Function *form_function(const char *name, bool is_operator) {
    const Function *f = NULL;
    return functions_named(str_from(name), is_operator, &f, 1) > 0 ? f : NULL;
}

/* PostgreSQL compares dates and times of different types without a cast, so NULLIF's result keeps
 * the first one's type. */
static Expr *null_if_equal(Scope *scope, const Function *equality, Expr **sides, Expr *first,
                           int location) {
    Expr **args = arena_new_array(scope->arena, Expr *, 3);
    args[0] =
        placed(scope, expr_call(scope->arena, equality, type_of(TYPE_BOOL), sides, 2), location);
    args[1] = placed(scope, expr_constant(scope->arena, (Value){.type = first->type, .null = true}),
                     location);
    args[2] = first;
    return placed(scope, expr_of(scope->arena, EXPR_CASE, first->type, args, 3), location);
}

/* The types are those of "=" between the two; then the form's own function. */
static Status bind_by_equality(Scope *scope, const PgQuery__AExpr *e, const char *name,
                               bool is_operator, Expr **out, Error *error) {
    Operand sides[2];
    Status status = bind_node(scope, e->lexpr, &sides[0], error);
    if (status == OK) status = bind_node(scope, e->rexpr, &sides[1], error);
    if (status != OK) return status;
    if (is_unknown(&sides[0]) &&
        is_unknown(&sides[1])) /* as if both were text, unless one is a path */
        for (int i = 0; i < 2; i++) {
            bool other_path = sides[1 - i].path != NULL && sides[i].path != NULL;
            Expr *settled;
            status = operand_as(scope, &sides[i], type_of(other_path ? TYPE_JSONB : TYPE_TEXT),
                                CAST_IMPLICIT, &settled, error);
            if (status != OK) return status;
            sides[i] = (Operand){.expr = settled, .location = sides[i].location};
        }
    /* columns in their place keep the operator from folding away */
    Operand probes[2];
    for (int i = 0; i < 2; i++) {
        probes[i] = sides[i];
        if (sides[i].path || is_unknown(&sides[i])) continue;
        probes[i].expr =
            placed(scope, expr_column(scope->arena, i, sides[i].expr->type), sides[i].location);
    }
    Expr *equal;
    status = bind_operator(scope, "=", probes, 2, e->location, &equal, error);
    if (status != OK) return status;
    Expr **args = arena_new_array(scope->arena, Expr *, 2);
    for (int i = 0; i < 2 && status == OK; i++) {
        TypeKind want = equal->function->args[i];
        bool as_is = !sides[i].path && sides[i].expr->type.kind == want;
        status = as_is
                     ? operand_settle(scope, &sides[i], &args[i], error)
                     : operand_as(scope, &sides[i], type_of(want), CAST_IMPLICIT, &args[i], error);
    }
    if (status != OK) return status;
    if (!is_operator && !is_unknown(&sides[0]) && type_category(operand_kind(&sides[0])) == 'D' &&
        args[0]->type.kind != operand_kind(&sides[0])) {
        *out = null_if_equal(scope, equal->function, args, sides[0].expr, e->location);
        return OK;
    }
    const Function *f = form_function(name, is_operator);
    if (!f) return error_at(scope->catalog, e->location, error, "%s is not available", name);
    *out = placed(
        scope,
        expr_call(scope->arena, f, is_operator ? type_of(TYPE_BOOL) : args[0]->type, args, 2),
        e->location);
    return OK;
}

/* ---- operators ---- */

static Status bind_plain_operator(Scope *scope, const PgQuery__AExpr *e, const char *name,
                                  Expr **out, Error *error) {
    Operand args[2];
    int count = 0;
    Status status = OK;
    if (!e->rexpr) return refuse(scope->catalog, e->location, error, "a postfix operator", NULL);
    if (e->lexpr) status = bind_node(scope, e->lexpr, &args[count++], error);
    if (status == OK) status = bind_node(scope, e->rexpr, &args[count++], error);
    if (status == OK) status = bind_operator(scope, name, args, count, e->location, out, error);
    if (status == OK) *out = expr_strict(scope->arena, *out);
    return status;
}

static Status operator_name(Scope *scope, const PgQuery__AExpr *e, const char **name,
                            Error *error) {
    *name = e->n_name > 0 ? string_of(e->name[e->n_name - 1]) : NULL;
    bool plain = e->n_name == 1 || (e->n_name == 2 && string_of(e->name[0]) &&
                                    strcmp(string_of(e->name[0]), "pg_catalog") == 0);
    if (!*name || !plain)
        return refuse(scope->catalog, e->location, error, "an operator in a schema",
                      "write the operator alone");
    return OK;
}

Status bind_a_expr(Scope *scope, const PgQuery__AExpr *e, Operand *out, Error *error) {
    *out = (Operand){.location = e->location};
    const char *name;
    Status status = operator_name(scope, e, &name, error);
    if (status != OK) return status;
    switch (e->kind) {
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ANY:
    case PG_QUERY__A__EXPR__KIND__AEXPR_OP_ALL:
        return bind_any_all(scope, e, name, &out->expr, error);
    case PG_QUERY__A__EXPR__KIND__AEXPR_DISTINCT:
        return bind_by_equality(scope, e, "is distinct from", true, &out->expr, error);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_DISTINCT:
        return bind_by_equality(scope, e, "is not distinct from", true, &out->expr, error);
    case PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF:
        return bind_by_equality(scope, e, "nullif", false, &out->expr, error);
    case PG_QUERY__A__EXPR__KIND__AEXPR_IN: return bind_in(scope, e, &out->expr, error);
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN:
    case PG_QUERY__A__EXPR__KIND__AEXPR_BETWEEN_SYM:
    case PG_QUERY__A__EXPR__KIND__AEXPR_NOT_BETWEEN_SYM:
        return bind_between(scope, e, &out->expr, error);
    default:
        return bind_plain_operator(scope, e, name, &out->expr,
                                   error); /* OP, LIKE, ILIKE, SIMILAR */
    }
}

/* ---- CASE ---- */

/* WHEN: a condition, or a value that CASE's own is compared with. */
static Status bind_when(Scope *scope, const PgQuery__CaseExpr *e, const Operand *value,
                        const PgQuery__CaseWhen *when, Expr **out, Error *error) {
    if (!e->arg) return bind_boolean(scope, when->expr, "CASE/WHEN", out, error);
    Operand compared;
    Status status = bind_node(scope, when->expr, &compared, error);
    if (status == OK) status = compare(scope, "=", *value, compared, when->location, out, error);
    return status;
}

Status bind_case(Scope *scope, const PgQuery__CaseExpr *e, Operand *out, Error *error) {
    *out = (Operand){.location = e->location};
    int whens = (int)e->n_args, count = 0;
    Expr **args = arena_new_array(scope->arena, Expr *, 2 * whens + 1),
         **results = arena_new_array(scope->arena, Expr *, whens + 1);
    Operand *operands = arena_new_array(scope->arena, Operand, whens + 1), value = {0};
    Status status = OK;
    if (e->arg) status = bind_node(scope, e->arg, &value, error);
    if (status == OK && e->arg && !value.path && is_unknown(&value)) {
        status = operand_settle(scope, &value, &value.expr, error);
    }
    if (status == OK && e->arg) status = check_repeated(scope, &value, whens, error);
    /* ELSE first: PostgreSQL lets it weigh most in the choice of the type */
    if (status == OK && e->defresult)
        status = bind_node(scope, e->defresult, &operands[count++], error);
    for (int i = 0; i < whens && status == OK; i++) {
        const PgQuery__CaseWhen *when = e->args[i]->case_when;
        status = bind_when(scope, e, &value, when, &args[2 * i], error);
        if (status == OK) status = bind_node(scope, when->result, &operands[count++], error);
    }
    Type type;
    if (status == OK)
        status = operands_common(scope, operands, count, "CASE", &type, results, error);
    if (status != OK) return status;
    bool has_else = e->defresult != NULL;
    if (!has_else) type.modifier = -1; /* NULL is among the results */
    for (int i = 0; i < whens; i++) args[2 * i + 1] = results[i + has_else];
    if (has_else) args[2 * whens] = results[0];
    out->expr = placed(scope, expr_of(scope->arena, EXPR_CASE, type, args, 2 * whens + has_else),
                       e->location);
    return OK;
}

/* ---- coalesce, greatest, least ---- */

Status bind_list_form(Scope *scope, const char *name, PgQuery__Node **nodes, size_t count,
                      int location, Operand *out, Error *error) {
    *out = (Operand){.location = location};
    bool is_coalesce = strcmp(name, "coalesce") == 0;
    const char *context = is_coalesce                     ? "COALESCE"
                          : strcmp(name, "greatest") == 0 ? "GREATEST"
                                                          : "LEAST";
    Operand *operands;
    Expr **args = arena_new_array(scope->arena, Expr *, (int)count + 1);
    Type type;
    Status status = bind_list(scope, nodes, count, &operands, error);
    if (status == OK)
        status = operands_common(scope, operands, (int)count, context, &type, args, error);
    if (status != OK) return status;
    if (is_coalesce) {
        out->expr =
            placed(scope, expr_of(scope->arena, EXPR_COALESCE, type, args, (int)count), location);
        return OK;
    }
    const Function *f = form_function(name, false);
    if (!f) return error_at(scope->catalog, location, error, "%s is not available", name);
    out->expr = placed(scope, expr_call(scope->arena, f, type, args, (int)count), location);
    return OK;
}
