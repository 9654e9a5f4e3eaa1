/* GROUP BY. Its items become the keys of an aggregate; a window's start or end among them implies
 * the other, and one of the two says when a group is over. The SELECT list is bound over the
 * grouped row by the binder, which collects the aggregate calls; the relation is made when all of
 * them are known. */
#include "sql/planner.h"

static bool find_aggregate(const ProtobufCMessage *message, void *context) {
    bool *found = context;
    if (message->descriptor == &pg_query__select_stmt__descriptor)
        return true; /* a sub-query's own */
    if (message->descriptor == &pg_query__func_call__descriptor) {
        const PgQuery__FuncCall *call = (const PgQuery__FuncCall *)message;
        const char *name =
            call->n_funcname > 0 ? string_of(call->funcname[call->n_funcname - 1]) : NULL;
        if (name && !call->over && aggregate_exists(str_from(name))) *found = true;
    }
    return !*found && each_child(message, find_aggregate, context);
}

bool has_aggregate(const NodeTree *node) {
    bool found = false;
    if (node) find_aggregate(&node->base, &found);
    return found;
}

/* ---- keys ---- */

typedef struct Groups {
    Expr **items;
    int count, capacity;
} Groups;

static void add_group(Groups *groups, Expr *e) {
    for (int i = 0; i < groups->count; i++)
        if (expr_equal(groups->items[i], e)) return;
    groups->items[groups->count++] = e;
}

/* A bare name is a column of FROM if there is one, else an output name. */
static bool names_column(Planner *p, const From *from, const NodeTree *node) {
    if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || node->column_ref->n_fields != 1)
        return true;
    NamePart parts[NAME_PARTS_MOST];
    column_ref_parts(p->catalog, node->column_ref, parts);
    for (int i = 0; i < from->count && parts[0].name; i++)
        if (name_matches(parts[0].name, parts[0].quoted, from->columns[i].name)) return true;
    return false;
}

static Status bind_group(Planner *p, From *from, NodeTree *node, const Target *targets, int count,
                         Expr **out, Error *error) {
    if (node->node_case == PG_QUERY__NODE__NODE_GROUPING_SET)
        return refuse(p->catalog, node_location(node), error, "GROUPING SETS, ROLLUP and CUBE",
                      "write a query for each grouping, joined by UNION ALL");
    int target = -1;
    if (target_of(p, node, targets, count, !names_column(p, from, node), "GROUP BY", &target,
                  error) != OK)
        return FAIL;
    if (target >= 0 && !targets[target].node) {
        const ScopeColumn *c = &from->columns[targets[target].column];
        *out = expr_column(p->arena, c->column, c->type);
        return OK;
    }
    Scope scope;
    from_scope(p, from, &scope);
    scope.clause = "GROUP BY";
    NodeTree *tree = target >= 0 ? targets[target].node : node;
    if (bind_expr(&scope, tree, type_of(TYPE_UNKNOWN), out, error) != OK) return FAIL;
    if ((*out)->type.kind == TYPE_UNKNOWN)
        return bind_cast(&scope, *out, type_of(TYPE_TEXT), CAST_IMPLICIT, out, error);
    if (expr_flags(*out) & FUNCTION_VOLATILE)
        return error_at(
            p->catalog, node_location(tree), error,
            "GROUP BY of a value that is another each time it is asked for; group by a column");
    return OK;
}

static const PlannedColumn *plain_column(const ColumnSet *set, const Expr *e) {
    return e->kind == EXPR_COLUMN ? &set->columns[e->column] : NULL;
}

/* A start implies its end and the other way round: where they tell one another, and always before
 * the window's GROUP BY. */
static void imply_windows(Planner *p, const Relation *input, Groups *groups) {
    const ColumnSet *set = input->set;
    int given = groups->count;
    for (int i = 0; i < given; i++) {
        const PlannedColumn *c = plain_column(set, groups->items[i]);
        if (!c || !c->window || (!c->window->fixed && c->window->grouped)) continue;
        if (c->role != ROLE_WINDOW_START && c->role != ROLE_WINDOW_END) continue;
        TimeRole other = c->role == ROLE_WINDOW_START ? ROLE_WINDOW_END : ROLE_WINDOW_START;
        int column = set_find_role(set, other, c->window);
        if (column >= 0)
            add_group(groups, expr_column(p->arena, column, set->columns[column].type));
    }
}

static Status check_session(Planner *p, const Relation *input, const Groups *groups, int location,
                            Error *error) {
    const Relation *session = input->session;
    const ColumnSet *set = session->set;
    bool window = false;
    for (int i = 0; i < groups->count; i++) {
        const PlannedColumn *c = plain_column(set, groups->items[i]);
        window |= c && (c->role == ROLE_WINDOW_START || c->role == ROLE_WINDOW_END) && c->input < 0;
    }
    if (!window)
        return error_at(p->catalog, location, error,
                        "the GROUP BY behind a session window must name window_start or "
                        "window_end; add window_start to it");
    for (int k = 0; k < session->key_count; k++) {
        bool found = false;
        for (int i = 0; i < groups->count; i++) {
            const PlannedColumn *c = plain_column(set, groups->items[i]);
            found |= c && c->input == 0 && c->from == session->keys[k];
        }
        const char *name = session->inputs[0]->set->columns[session->keys[k]].name;
        if (!found)
            return error_at(p->catalog, location, error,
                            "the GROUP BY behind a session window must hold the session's columns; "
                            "add %s to it",
                            name ? name : "the path of partition_by");
    }
    return OK;
}

Status plan_group(Planner *p, PgQuery__SelectStmt *select, From *from, const Target *targets,
                  int count, Scope *grouped, Error *error) {
    int location = select->n_group_clause > 0 ? node_location(select->group_clause[0])
                                              : tree_begin(&select->base);
    if (check_steady(
            p, from->relation, "a GROUP BY",
            "group by a window inside, or write the inner groups to a table and stop there",
            location, error) != OK)
        return FAIL;
    Groups groups = {.capacity = 2 * (int)select->n_group_clause + 2};
    groups.items = arena_new_array(p->arena, Expr *, groups.capacity);
    for (size_t i = 0; i < select->n_group_clause; i++) {
        Expr *e = NULL;
        if (bind_group(p, from, select->group_clause[i], targets, count, &e, error) != OK)
            return FAIL;
        add_group(&groups, e);
    }
    imply_windows(p, from->relation, &groups);
    if (from->relation->session && check_session(p, from->relation, &groups, location, error) != OK)
        return FAIL;
    from_scope(p, from, grouped);
    grouped->grouped = true;
    grouped->groups = groups.items;
    grouped->group_count = groups.count;
    grouped->clause = "SELECT";
    return OK;
}

/* ---- the relation ---- */

/* What a session keeps is computed before its windows are known. */
static Status check_before_window(Planner *p, const ColumnSet *set, const Expr *e, int location,
                                  Error *error) {
    if (e->kind == EXPR_COLUMN) {
        const PlannedColumn *c = &set->columns[e->column];
        if (c->role != ROLE_WINDOW_START && c->role != ROLE_WINDOW_END) return OK;
        if (c->input >= 0) return OK;
        return error_at(p->catalog, location, error,
                        "%s of a session is not known before it is over; use it as a column of "
                        "GROUP BY, in the SELECT list and "
                        "in HAVING alone",
                        c->name);
    }
    for (int i = 0; i < e->arg_count; i++)
        if (check_before_window(p, set, e->args[i], location, error) != OK) return FAIL;
    return OK;
}

static Status check_session_exprs(Planner *p, const From *from, const Relation *r, int location,
                                  Error *error) {
    const ColumnSet *set = from->relation->set;
    for (int i = 0; i < r->key_count; i++)
        if (r->key_exprs[0][i]->kind != EXPR_COLUMN &&
            check_before_window(p, set, r->key_exprs[0][i], location, error) != OK)
            return FAIL;
    for (int i = 0; i < r->use_count; i++) {
        const AggregateUse *use = &r->uses[i];
        if (use->arg && check_before_window(p, set, use->arg, location, error) != OK) return FAIL;
        if (use->filter && check_before_window(p, set, use->filter, location, error) != OK)
            return FAIL;
    }
    for (const Relation *below = from->relation; below->kind == REL_FILTER;
         below = below->inputs[0])
        if (check_before_window(p, set, below->condition, location, error) != OK) return FAIL;
    return OK;
}

/* Which key says when a group is over. */
static void find_bucket(const ColumnSet *set, Relation *r) {
    r->close = CLOSE_NEVER;
    for (int i = 0; i < r->key_count; i++) {
        const PlannedColumn *c = plain_column(set, r->key_exprs[0][i]);
        if (!c) continue;
        if (c->role == ROLE_WINDOW_END) {
            r->close = CLOSE_TIME;
            r->bucket = i;
            return;
        }
        if (c->role == ROLE_WINDOW_START && r->close == CLOSE_NEVER) {
            r->close = CLOSE_WINDOW_START;
            r->bucket = i;
        }
    }
}

/* Rows, or results of windows, come in an order of time. Those of sessions and joins do not. */
static bool in_order_of_time(const Relation *r) {
    if (!r->results) return r->timed;
    if (r->kind == REL_AGGREGATE) return r->close == CLOSE_TIME && !r->session;
    if (r->kind != REL_PROJECT && r->kind != REL_FILTER) return false;
    return in_order_of_time(r->inputs[0]);
}

/* state_ttl of the view whose text this GROUP BY is in. */
static Status read_state_ttl(Planner *p, Relation *r, Error *error) {
    const View *view = p->view;
    if (!view || !view->state_ttl_us || !r->ungrouped) return OK;
    if (r->key_count == 0)
        return error_at(p->catalog, view->state_ttl_location, error,
                        "option state_ttl of view %s would do nothing: without GROUP BY there is "
                        "one row, which stays; take it away",
                        view->name);
    if (!in_order_of_time(r->inputs[0]))
        return error_at(p->catalog, view->state_ttl_location, error,
                        r->inputs[0]->results
                            ? "state_ttl of view %s cannot go by the time of results of sessions, "
                              "joins or a UNION ALL, which come in no order of time; group rows, "
                              "or results of tumble, hop or cumulate"
                            : "state_ttl of view %s goes by event time, which its rows do not "
                              "have; say event_time = 'column' among the table's options",
                        view->name);
    r->ttl_us = view->state_ttl_us;
    p->views[view - p->catalog->views].state_ttl_used = true;
    return OK;
}

/* The window of a key, as what reads the groups sees it; the same for its start and its end. */
static const WindowOf *grouped_window(Planner *p, const ColumnSet *input, const Relation *r,
                                      int key) {
    const WindowOf *window = plain_column(input, r->key_exprs[0][key])->window;
    for (int i = 0; window && i < key; i++) {
        const PlannedColumn *c = plain_column(input, r->key_exprs[0][i]);
        if (c && c->window == window) return r->set->columns[i].window;
    }
    if (!window || window->grouped) return window;
    WindowOf *grouped = arena_zero(p->arena, sizeof *grouped);
    *grouped = *window;
    grouped->grouped = true;
    return grouped;
}

Status finish_group(Planner *p, From *from, Scope *grouped, int location, Relation **out,
                    Error *error) {
    Relation *input = from->relation;
    Relation *r = relation_over(p, REL_AGGREGATE, input);
    r->key_exprs[0] = grouped->groups;
    r->key_count = grouped->group_count;
    r->uses = grouped->aggregates;
    r->use_count = grouped->aggregate_count;
    ColumnSet *set = set_new(p, r);
    for (int i = 0; i < r->key_count; i++) {
        const Expr *e = r->key_exprs[0][i];
        PlannedColumn column = {.type = e->type, .input = -1, .path_of = -1};
        const PlannedColumn *c = plain_column(input->set, e);
        if (c) {
            column.name = c->name;
            column.quoted = c->quoted;
            column.not_null = c->not_null;
            if (c->role != ROLE_EVENT_TIME) {
                column.role = c->role;
                column.window = grouped_window(p, input->set, r, i);
            }
        }
        set_add(p, set, column);
    }
    for (int i = 0; i < r->use_count; i++)
        set_add(p, set, (PlannedColumn){.type = r->uses[i].result, .input = -1, .path_of = -1});
    set->declared = set->count;
    find_bucket(input->set, r);
    if (input->session && check_session_exprs(p, from, r, location, error) != OK) return FAIL;
    r->results = true;
    r->timed = r->one_record = false;
    r->windowed = r->close != CLOSE_NEVER;
    r->ungrouped = !r->windowed;
    r->changes = r->ungrouped && !r->bounded;
    p->query->stateful = true;
    *out = r;
    return read_state_ttl(p, r, error);
}
