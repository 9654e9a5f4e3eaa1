/* Binding: from the grammar's nodes to typed expressions. This file knows which node is what;
 * literals, columns, operators, forms and aggregates each have their own file beside it. Inside,
 * everything is bound over the un-grouped row; where the scope is grouped, group_expr then replaces
 * what equals a group and complains about what is left. */
#include "sql/binder.h"

Expr *placed(Scope *scope, Expr *e, int location) {
    if (location >= 0) place_of(scope->catalog, location, &e->line, &e->place);
    return e;
}

/* ---- booleans ---- */

static Status operand_as_boolean(Scope *scope, const Operand *o, const char *clause, Expr **out,
                                 Error *error) {
    if (is_unknown(o)) return operand_as(scope, o, type_of(TYPE_BOOL), CAST_IMPLICIT, out, error);
    *out = o->expr;
    if (o->expr->type.kind == TYPE_BOOL) return OK;
    return error_at(scope->catalog, o->location, error,
                    "argument of %s must be type boolean, not type %s; write a condition, such as "
                    "x <> 0 or x IS NOT NULL",
                    clause, type_name(o->expr->type, scope->arena));
}

/* A node, decided: paths become jsonb, untyped literals stay TYPE_UNKNOWN. */
static Status bind_settled(Scope *scope, NodeTree *node, Expr **out, Error *error) {
    Operand o;
    Status status = bind_node(scope, node, &o, error);
    if (status != OK) return status;
    *out = o.expr;
    return o.path ? operand_settle(scope, &o, out, error) : OK;
}

Status bind_boolean(Scope *scope, NodeTree *node, const char *clause, Expr **out, Error *error) {
    Operand o;
    Status status = bind_node(scope, node, &o, error);
    return status == OK ? operand_as_boolean(scope, &o, clause, out, error) : status;
}

static Status bind_bool_expr(Scope *scope, const PgQuery__BoolExpr *e, Operand *out, Error *error) {
    static const char *const names[] = {"AND", "OR", "NOT"};
    static const ExprKind kinds[] = {EXPR_AND, EXPR_OR, EXPR_NOT};
    int which = e->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR  ? 0
                : e->boolop == PG_QUERY__BOOL_EXPR_TYPE__OR_EXPR ? 1
                                                                 : 2;
    Expr **args = arena_new_array(scope->arena, Expr *, (int)e->n_args + 1);
    Status status = OK;
    for (size_t i = 0; i < e->n_args && status == OK; i++)
        status = bind_boolean(scope, e->args[i], names[which], &args[i], error);
    if (status != OK) return status;
    *out = (Operand){.location = e->location};
    out->expr =
        placed(scope, expr_of(scope->arena, kinds[which], type_of(TYPE_BOOL), args, (int)e->n_args),
               e->location);
    return OK;
}

static Status bind_null_test(Scope *scope, const PgQuery__NullTest *e, Operand *out, Error *error) {
    Expr **args = arena_new_array(scope->arena, Expr *, 1);
    Status status = bind_settled(scope, e->arg, &args[0], error);
    if (status == OK && args[0]->type.kind == TYPE_UNKNOWN)
        status = bind_cast(scope, args[0], type_of(TYPE_TEXT), CAST_IMPLICIT, &args[0], error);
    if (status != OK) return status;
    bool is_null = e->nulltesttype == PG_QUERY__NULL_TEST_TYPE__IS_NULL;
    *out = (Operand){.location = e->location};
    out->expr = placed(scope,
                       expr_of(scope->arena, is_null ? EXPR_IS_NULL : EXPR_IS_NOT_NULL,
                               type_of(TYPE_BOOL), args, 1),
                       e->location);
    return OK;
}

static Status bind_boolean_test(Scope *scope, const PgQuery__BooleanTest *e, Operand *out,
                                Error *error) {
    const char *name = "is true";
    switch (e->booltesttype) {
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_TRUE: name = "is not true"; break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_FALSE: name = "is false"; break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_FALSE: name = "is not false"; break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_UNKNOWN: name = "is unknown"; break;
    case PG_QUERY__BOOL_TEST_TYPE__IS_NOT_UNKNOWN: name = "is not unknown"; break;
    default: break;
    }
    char clause[32];
    size_t size = strlen(name);
    for (size_t i = 0; i <= size; i++)
        clause[i] = (char)(name[i] >= 'a' && name[i] <= 'z' ? name[i] - 'a' + 'A' : name[i]);
    Operand arg;
    Status status = bind_boolean(scope, e->arg, clause, &arg.expr, error);
    if (status != OK) return status;
    arg = (Operand){.expr = arg.expr, .location = e->location};
    *out = (Operand){.location = e->location};
    return bind_operator(scope, name, &arg, 1, e->location, &out->expr, error);
}

/* ---- the clock, subscripts ---- */

static Status bind_value_function(Scope *scope, const PgQuery__SQLValueFunction *e, Operand *out,
                                  Error *error) {
    *out = (Operand){.location = e->location};
    const char *name = NULL;
    switch (e->op) {
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE: name = "current_date"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP: name = "current_timestamp"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP: name = "localtimestamp"; break;
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP_N:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP_N:
        return refuse(scope->catalog, e->location, error, "a precision of times",
                      "round with date_trunc('second', now())");
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIME_N:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME:
    case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIME_N:
        return refuse(scope->catalog, e->location, error, "the type time", "use current_timestamp");
    default: {
        Str word =
            token_text(trees_of(scope->catalog), token_at(trees_of(scope->catalog), e->location));
        return error_at(scope->catalog, e->location, error,
                        "%.*s means the current database user or schema here, which there is not; "
                        "if it is the name of a column, write it in double quotes: \"%.*s\"",
                        STR_ARG(word), STR_ARG(word));
    }
    }
    return call_function(scope, name, NULL, 0, e->location, &out->expr, error);
}

/* (regexp_match(…))[1] and, over jsonb, d['a'][0], which is d -> 'a' -> 0. */
static Status bind_subscripts(Scope *scope, const PgQuery__AIndirection *e, Operand *out,
                              Error *error) {
    int location = node_location(e->arg);
    Status status = bind_node(scope, e->arg, out, error);
    if (status == OK && out->path) {
        status = operand_settle(scope, out, &out->expr, error);
        out->path = NULL;
    }
    for (size_t i = 0; i < e->n_indirection && status == OK; i++) {
        const PgQuery__Node *step = e->indirection[i];
        if (step->node_case != PG_QUERY__NODE__NODE_A_INDICES)
            return refuse(scope->catalog, location, error, "a field of an expression",
                          "read parts of a jsonb by -> 'key'");
        const PgQuery__AIndices *index = step->a_indices;
        if (index->is_slice || !index->uidx)
            return refuse(scope->catalog, location, error, "a slice of an array",
                          "take single items: (…)[1]");
        Operand args[2] = {*out, {0}};
        status = bind_node(scope, index->uidx, &args[1], error);
        if (status != OK) return status;
        *out = (Operand){.location = location};
        if (operand_kind(&args[0]) == TYPE_JSONB) {
            status = bind_operator(scope, "->", args, 2, location, &out->expr, error);
        } else if (operand_kind(&args[0]) == TYPE_TEXT_ARRAY) {
            status = call_function(scope, "subscript", args, 2, location, &out->expr, error);
        } else {
            return error_at(scope->catalog, location, error,
                            "cannot subscript type %s because it does not support subscripting; "
                            "text[] of regexp_match and jsonb do",
                            kind_name(scope, operand_kind(&args[0])));
        }
    }
    return status;
}

/* ---- all nodes ---- */

Status bind_node(Scope *scope, NodeTree *node, Operand *out, Error *error) {
    *out = (Operand){.location = -1};
    if (!node) return fail(error, "an expression is missing");
    out->location = node_location(node);
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_A_CONST: return bind_constant(scope, node->a_const, out, error);
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        return bind_column_ref(scope, node->column_ref, out, error);
    case PG_QUERY__NODE__NODE_TYPE_CAST: return bind_type_cast(scope, node->type_cast, out, error);
    case PG_QUERY__NODE__NODE_A_EXPR: {
        out->expr = bind_chain(scope, node, TYPE_UNKNOWN);
        return out->expr ? OK : bind_a_expr(scope, node->a_expr, out, error);
    }
    case PG_QUERY__NODE__NODE_BOOL_EXPR: return bind_bool_expr(scope, node->bool_expr, out, error);
    case PG_QUERY__NODE__NODE_NULL_TEST: return bind_null_test(scope, node->null_test, out, error);
    case PG_QUERY__NODE__NODE_BOOLEAN_TEST:
        return bind_boolean_test(scope, node->boolean_test, out, error);
    case PG_QUERY__NODE__NODE_CASE_EXPR: return bind_case(scope, node->case_expr, out, error);
    case PG_QUERY__NODE__NODE_COALESCE_EXPR:
        return bind_list_form(scope, "coalesce", node->coalesce_expr->args,
                              node->coalesce_expr->n_args, out->location, out, error);
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        return bind_list_form(
            scope,
            node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least",
            node->min_max_expr->args, node->min_max_expr->n_args, out->location, out, error);
    case PG_QUERY__NODE__NODE_FUNC_CALL: return bind_function(scope, node->func_call, out, error);
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        return bind_value_function(scope, node->sqlvalue_function, out, error);
    case PG_QUERY__NODE__NODE_A_INDIRECTION:
        return bind_subscripts(scope, node->a_indirection, out, error);
    case PG_QUERY__NODE__NODE_SUB_LINK:
        return refuse(scope->catalog, out->location, error, node_kind_name(node),
                      "join it in FROM, or write IN with a list of constants");
    case PG_QUERY__NODE__NODE_COLLATE_CLAUSE:
        return refuse(scope->catalog, out->location, error, "COLLATE",
                      "text is compared bytewise, as collation C");
    case PG_QUERY__NODE__NODE_ROW_EXPR:
        return refuse(scope->catalog, out->location, error, node_kind_name(node),
                      "write its values one by one: a = 1 AND b = 2");
    case PG_QUERY__NODE__NODE_A_ARRAY_EXPR:
        return refuse(scope->catalog, out->location, error, node_kind_name(node),
                      "write x IN (1, 2), or make a jsonb: jsonb_build_array(1, 2)");
    default: return refuse(scope->catalog, out->location, error, node_kind_name(node), NULL);
    }
}

static Status finish(Scope *scope, Expr **e, Error *error) {
    return scope->grouped && !scope->in_aggregate ? group_expr(scope, *e, e, error) : OK;
}

Status bind_expr(Scope *scope, NodeTree *node, Type expected, Expr **out, Error *error) {
    Status status = bind_settled(scope, node, out, error);
    if (status == OK && (*out)->type.kind == TYPE_UNKNOWN && expected.kind != TYPE_UNKNOWN)
        status = bind_cast(scope, *out, expected, CAST_EXPLICIT, out, error);
    return status == OK ? finish(scope, out, error) : status;
}

Status bind_condition(Scope *scope, NodeTree *node, const char *clause, Expr **out, Error *error) {
    const char *outer = scope->clause;
    scope->clause = clause;
    Status status = bind_boolean(scope, node, clause, out, error);
    scope->clause = outer;
    return status == OK ? finish(scope, out, error) : status;
}
