/* The name of an output column that has no alias: PostgreSQL's choice (FigureColname in its
 * parse_target.c), but columns keep the spelling of their declaration. */
#include "sql/binder.h"

static const char *last_string(PgQuery__Node **names, size_t count) {
    return count > 0 ? string_of(names[count - 1]) : NULL;
}

static const char *column_name(Scope *scope, const PgQuery__ColumnRef *ref) {
    int column = find_scope_column(scope, ref);
    if (column >= 0) return scope->columns[column].name;
    NamePart parts[NAME_PARTS_MOST];
    int count = column_ref_parts(scope->catalog, ref, parts);
    while (count > 0 && !parts[count - 1].name) count--;
    return count > 0 ? parts[count - 1].name : NULL;
}

/* 0: none, 1: only if nothing better, 2: a good name. */
static int figure(Scope *scope, const NodeTree *node, const char **name) {
    if (!node) return 0;
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_COLUMN_REF:
        *name = column_name(scope, node->column_ref);
        return *name ? 2 : 0;
    case PG_QUERY__NODE__NODE_A_INDIRECTION: return figure(scope, node->a_indirection->arg, name);
    case PG_QUERY__NODE__NODE_FUNC_CALL:
        *name = last_string(node->func_call->funcname, node->func_call->n_funcname);
        return *name ? 2 : 0;
    case PG_QUERY__NODE__NODE_A_EXPR:
        if (node->a_expr->kind != PG_QUERY__A__EXPR__KIND__AEXPR_NULLIF) return 0;
        *name = "nullif";
        return 2;
    case PG_QUERY__NODE__NODE_TYPE_CAST: {
        int strength = figure(scope, node->type_cast->arg, name);
        const char *type =
            last_string(node->type_cast->type_name->names, node->type_cast->type_name->n_names);
        if (strength > 1 || !type) return strength;
        *name = type;
        return 1;
    }
    case PG_QUERY__NODE__NODE_CASE_EXPR:
        if (figure(scope, node->case_expr->defresult, name) > 1) return 2;
        *name = "case";
        return 1;
    case PG_QUERY__NODE__NODE_COALESCE_EXPR: *name = "coalesce"; return 2;
    case PG_QUERY__NODE__NODE_MIN_MAX_EXPR:
        *name = node->min_max_expr->op == PG_QUERY__MIN_MAX_OP__IS_GREATEST ? "greatest" : "least";
        return 2;
    case PG_QUERY__NODE__NODE_SQLVALUE_FUNCTION:
        switch (node->sqlvalue_function->op) {
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_DATE: *name = "current_date"; return 2;
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_CURRENT_TIMESTAMP:
            *name = "current_timestamp";
            return 2;
        case PG_QUERY__SQLVALUE_FUNCTION_OP__SVFOP_LOCALTIMESTAMP:
            *name = "localtimestamp";
            return 2;
        default: return 0;
        }
    default: return 0;
    }
}

const char *output_name(Scope *scope, NodeTree *node) {
    const char *name = NULL;
    return figure(scope, node, &name) > 0 && name ? name : "?column?";
}
