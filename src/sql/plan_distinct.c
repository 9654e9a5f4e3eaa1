/* DISTINCT ON: the first row of each key. How long a key is remembered is decided here: until its
 * window closes, for the view's horizon of event time, or, ad hoc, to the end. */
#include "sql/planner.h"

static Status dedup_horizon(Planner *p, Relation *r, const Relation *input, int location,
                            Error *error) {
    const ColumnSet *set = input->set;
    bool open = false;
    for (int i = 0; i < r->key_count; i++) {
        const PlannedColumn *c = &set->columns[r->keys[i]];
        if (c->role != ROLE_WINDOW_END && c->role != ROLE_WINDOW_START) continue;
        if (c->role == ROLE_WINDOW_START && !(c->window && c->window->fixed)) {
            open = true; /* the same start comes again with a later end */
            continue;
        }
        int end = c->role == ROLE_WINDOW_END ? r->keys[i]
                                             : set_find_role(set, ROLE_WINDOW_END, c->window);
        if (end < 0)
            return error_at(p->catalog, location, error,
                            "DISTINCT ON by window_start needs the window_end beside it; select "
                            "window_end inside too");
        r->window_end = end;
        return OK;
    }
    if (open)
        return error_at(p->catalog, location, error,
                        "DISTINCT ON by the window_start of windows of several lengths needs "
                        "window_end in its list too; add it");
    r->horizon_us = p->view ? p->view->horizon_us : 10 * 60 * INT64_C(1000000);
    if (input->results)
        return error_at(
            p->catalog, location, error,
            "DISTINCT ON over results of a GROUP BY needs window_start or window_end in its list");
    if (input->timed) {
        if (p->view) p->views[p->view - p->catalog->views].horizon_used = true;
        return OK;
    }
    if (p->adhoc && input->bounded) {
        r->horizon_us = END_OF_TIME;
        return OK;
    }
    return error_at(p->catalog, location, error,
                    "DISTINCT ON over a source without an event time would keep every key for "
                    "ever; say event_time = 'column' "
                    "among the table's options");
}

Status check_distinct(Planner *p, const PgQuery__SelectStmt *select, bool grouped,
                      const Relation *input, int location, Error *error) {
    Catalog *c = p->catalog;
    if (select->n_distinct_clause == 1 &&
        select->distinct_clause[0]->node_case == PG_QUERY__NODE__NODE__NOT_SET)
        return refuse(
            c, location, error, "SELECT DISTINCT",
            "write SELECT DISTINCT ON (columns) …, which passes the first row of each key");
    if (select->n_sort_clause > 0)
        return refuse(c, location, error, "DISTINCT ON with ORDER BY",
                      "leave ORDER BY out: the first row that comes passes");
    if (grouped)
        return refuse(c, location, error, "DISTINCT ON and GROUP BY in one SELECT",
                      "put the GROUP BY into a sub-select: FROM (SELECT … GROUP BY …) q");
    if (check_steady(p, input, "DISTINCT ON", "group by a window inside", location, error) != OK)
        return FAIL;
    if (input->session)
        return error_at(c, location, error,
                        "a session window must be followed by its GROUP BY, not by DISTINCT ON");
    return OK;
}

Status plan_distinct(Planner *p, PgQuery__SelectStmt *select, From *from, const Targets *targets,
                     Error *error) {
    int location = node_location(select->distinct_clause[0]);
    int count = (int)select->n_distinct_clause;
    Expr **exprs = arena_new_array(p->arena, Expr *, count);
    Scope scope;
    from_scope(p, from, &scope);
    scope.clause = "DISTINCT ON";
    for (int i = 0; i < count; i++) {
        NodeTree *node = select->distinct_clause[i];
        int target = -1;
        if (target_of(p, node, targets->items, targets->count, true, "SELECT DISTINCT ON", &target,
                      error) != OK)
            return FAIL;
        if (target >= 0 && !targets->items[target].node) {
            const ScopeColumn *c = &from->columns[targets->items[target].column];
            exprs[i] = expr_column(p->arena, c->column, c->type);
            continue;
        }
        if (target >= 0) node = targets->items[target].node;
        if (bind_expr(&scope, node, type_of(TYPE_UNKNOWN), &exprs[i], error) != OK) return FAIL;
        if (exprs[i]->type.kind == TYPE_UNKNOWN &&
            bind_cast(&scope, exprs[i], type_of(TYPE_TEXT), CAST_IMPLICIT, &exprs[i], error) != OK)
            return FAIL;
        if (expr_flags(exprs[i]) & FUNCTION_VOLATILE)
            return error_at(
                p->catalog, location, error,
                "DISTINCT ON a value that is another each time it is asked for; name a column");
    }
    int *keys = arena_new_array(p->arena, int, count);
    Relation *input = relation_with(p, from->relation, exprs, count, keys);
    Relation *r = relation_over(p, REL_DEDUP, input);
    r->set = input->set;
    r->keys = keys;
    r->key_count = count;
    r->one_record = false;
    p->query->stateful = true;
    if (dedup_horizon(p, r, input, location, error) != OK) return FAIL;
    from->relation = r;
    return OK;
}
