/* ORDER BY, LIMIT and OFFSET, which only ad hoc queries have: they read to the end and sort what is
 * there. What is sorted by without being shown becomes a column behind those that are. */
#include "sql/planner.h"

Status constant_count(Planner *p, NodeTree *node, const char *what, int64_t otherwise, int64_t *out,
                      Error *error) {
    *out = otherwise;
    if (!node || (node->node_case == PG_QUERY__NODE__NODE_A_CONST && node->a_const->isnull))
        return OK;
    Scope scope = {.catalog = p->catalog, .arena = p->arena, .clause = what};
    Expr *e = NULL;
    if (bind_expr(&scope, node, type_of(TYPE_INT8), &e, error) != OK ||
        bind_cast(&scope, e, type_of(TYPE_INT8), CAST_IMPLICIT, &e, error) != OK)
        return FAIL;
    if (e->kind != EXPR_CONSTANT)
        return error_at(p->catalog, node_location(node), error, "%s takes a plain number", what);
    if (e->value.null) return OK;
    if (e->value.integer < 0)
        return error_at(p->catalog, node_location(node), error, "%s must not be negative", what);
    *out = e->value.integer;
    return OK;
}

Status check_order(Planner *p, const PgQuery__SelectStmt *select, bool top, Error *error) {
    if (select->n_sort_clause == 0 && !select->limit_count && !select->limit_offset) return OK;
    NodeTree *node = select->n_sort_clause > 0 ? select->sort_clause[0]
                     : select->limit_count     ? select->limit_count
                                               : select->limit_offset;
    const char *what = select->n_sort_clause > 0 ? "ORDER BY"
                       : select->limit_count     ? "LIMIT"
                                                 : "OFFSET";
    int location = node_location(node);
    if (!p->adhoc)
        return refuse(p->catalog, location, error, what,
                      "a stream has no end to sort or count to; leat sql and the HTTP API sort and "
                      "limit what is there");
    if (!top)
        return refuse(p->catalog, location, error,
                      arena_format(p->arena, "%s in a sub-select", what),
                      "it works at the end of the whole query");
    if (select->limit_option == PG_QUERY__LIMIT_OPTION__LIMIT_OPTION_WITH_TIES)
        return refuse(p->catalog, location, error, "WITH TIES", "write LIMIT");
    return OK;
}

static Status add_order(Planner *p, const PgQuery__SortBy *sort, int column, Error *error) {
    if (sort->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_USING)
        return refuse(p->catalog, node_location(sort->node), error, "ORDER BY … USING",
                      "write ASC or DESC");
    bool descending = sort->sortby_dir == PG_QUERY__SORT_BY_DIR__SORTBY_DESC;
    bool nulls_first =
        sort->sortby_nulls == PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_FIRST ||
        (descending && sort->sortby_nulls != PG_QUERY__SORT_BY_NULLS__SORTBY_NULLS_LAST);
    p->plan->order[p->plan->order_count++] = (PlanOrder){column, descending, nulls_first};
    return OK;
}

/* Expressions that are not in the SELECT list are computed behind it. */
Status bind_order(Planner *p, PgQuery__SelectStmt *select, const Targets *targets, Scope *scope,
                  Expr **exprs, int *expr_count, Error *error) {
    p->plan->visible = targets->count;
    p->plan->order = arena_new_array(p->arena, PlanOrder, (int)select->n_sort_clause + 1);
    for (size_t i = 0; i < select->n_sort_clause; i++) {
        const PgQuery__SortBy *sort = select->sort_clause[i]->sort_by;
        int column = -1;
        if (target_of(p, sort->node, targets->items, targets->count, true, "ORDER BY", &column,
                      error) != OK)
            return FAIL;
        if (column < 0) {
            Expr *e = NULL;
            scope->clause = "ORDER BY";
            if (bind_expr(scope, sort->node, type_of(TYPE_UNKNOWN), &e, error) != OK) return FAIL;
            for (column = 0; column < *expr_count && !expr_equal(exprs[column], e);) column++;
            if (column == *expr_count) exprs[(*expr_count)++] = e;
        }
        if (add_order(p, sort, column, error) != OK) return FAIL;
    }
    return OK;
}

/* Over a UNION only output names and numbers can be meant. */
Status order_union(Planner *p, PgQuery__SelectStmt *select, Relation *r, Error *error) {
    Targets targets = {0};
    for (int i = 0; i < r->set->declared; i++)
        if (add_target(p, &targets, (Target){.name = r->set->columns[i].name, .column = i},
                       error) != OK)
            return FAIL;
    p->plan->visible = targets.count;
    p->plan->order = arena_new_array(p->arena, PlanOrder, (int)select->n_sort_clause + 1);
    for (size_t i = 0; i < select->n_sort_clause; i++) {
        const PgQuery__SortBy *sort = select->sort_clause[i]->sort_by;
        int column = -1;
        if (target_of(p, sort->node, targets.items, targets.count, true, "ORDER BY", &column,
                      error) != OK)
            return FAIL;
        if (column < 0)
            return error_at(p->catalog, node_location(sort->node), error,
                            "ORDER BY over a UNION takes the names or numbers of its columns; put "
                            "the UNION into a sub-select");
        if (add_order(p, sort, column, error) != OK) return FAIL;
    }
    return OK;
}
