/* One SELECT: FROM, then WHERE, then GROUP BY or DISTINCT ON, then HAVING, then the SELECT list as
 * a project. A row goes through the operators in the order that the query was written in, so that
 * what is late and what is counted does not depend on the planner. */
#include "sql/planner.h"

/* ---- targets ---- */

Status add_target(Planner *p, Targets *targets, Target target, Error *error) {
    if (targets->count == SELECT_MOST_COLUMNS)
        return error_at(p->catalog, target.location, error,
                        "target lists can have at most %d entries", SELECT_MOST_COLUMNS);
    if (targets->count == targets->capacity) {
        int capacity = targets->capacity ? targets->capacity * 2 : 32;
        Target *items = arena_new_array(p->arena, Target, capacity);
        if (targets->count > 0)
            memcpy(items, targets->items, sizeof *items * (size_t)targets->count);
        targets->items = items;
        targets->capacity = capacity;
    }
    targets->items[targets->count++] = target;
    return OK;
}

static bool is_star(const NodeTree *node) {
    if (node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF || node->column_ref->n_fields == 0)
        return false;
    const PgQuery__ColumnRef *ref = node->column_ref;
    return ref->fields[ref->n_fields - 1]->node_case == PG_QUERY__NODE__NODE_A_STAR;
}

static Status expand_star(Planner *p, const From *from, NodeTree *node, Targets *targets,
                          Error *error) {
    NamePart parts[NAME_PARTS_MOST];
    int count = column_ref_parts(p->catalog, node->column_ref, parts), found = 0;
    int location = node->column_ref->location;
    if (count > 2)
        return refuse(p->catalog, location, error, "this form of *", "write * or name.*");
    for (int i = 0; i < from->count; i++) {
        const ScopeColumn *c = &from->columns[i];
        if (count == 1 ? c->qualified_only
                       : !name_matches(parts[0].name, parts[0].quoted, c->relation))
            continue;
        Target target = {.column = i, .name = c->name, .quoted = c->quoted, .location = location};
        if (add_target(p, targets, target, error) != OK) return FAIL;
        found++;
    }
    if (found == 0 && count == 2)
        return error_at(p->catalog, location, error,
                        "there is no table or alias '%s' here; write * or the name that FROM gives",
                        parts[0].name);
    return OK;
}

static Status expand_targets(Planner *p, PgQuery__SelectStmt *select, From *from, Targets *targets,
                             Error *error) {
    for (size_t i = 0; i < select->n_target_list; i++) {
        const PgQuery__ResTarget *item = select->target_list[i]->res_target;
        if (is_star(item->val)) {
            if (expand_star(p, from, item->val, targets, error) != OK) return FAIL;
            continue;
        }
        Target target = {.node = item->val, .column = -1, .location = item->location};
        target.name = target_alias(p->catalog, item, &target.quoted);
        target.aliased = target.name != NULL;
        if (!target.aliased) {
            Scope scope;
            from_scope(p, from, &scope);
            target.name = output_name(&scope, item->val);
        }
        if (add_target(p, targets, target, error) != OK) return FAIL;
    }
    if (targets->count == 0)
        return error_at(p->catalog, tree_begin(&select->base), error,
                        "the SELECT list is empty; name the columns that are wanted");
    return OK;
}

static Status ordinal_target(Planner *p, const PgQuery__AConst *constant, int location, int count,
                             const char *clause, int *out, Error *error) {
    if (constant->isnull || constant->val_case != PG_QUERY__A__CONST__VAL_IVAL)
        return error_at(p->catalog, location, error,
                        "non-integer constant in %s; write a column's name or number", clause);
    int number = constant->ival->ival;
    if (number < 1 || number > count)
        return error_at(p->catalog, location, error,
                        "%s position %d is not in the SELECT list, which has %d columns", clause,
                        number, count);
    *out = number - 1;
    return OK;
}

Status target_of(Planner *p, NodeTree *node, const Target *targets, int count, bool names,
                 const char *clause, int *out, Error *error) {
    *out = -1;
    int location = node_location(node);
    if (node->node_case == PG_QUERY__NODE__NODE_A_CONST)
        return ordinal_target(p, node->a_const, location, count, clause, out, error);
    if (!names || node->node_case != PG_QUERY__NODE__NODE_COLUMN_REF ||
        node->column_ref->n_fields != 1)
        return OK;
    NamePart parts[NAME_PARTS_MOST];
    column_ref_parts(p->catalog, node->column_ref, parts);
    for (int i = 0; i < count && parts[0].name; i++) {
        if (!name_matches(parts[0].name, parts[0].quoted, targets[i].name)) continue;
        if (*out >= 0)
            return error_at(p->catalog, location, error,
                            "%s \"%s\" is ambiguous; write the column's number in the SELECT list",
                            clause, parts[0].name);
        *out = i;
    }
    return OK;
}

/* ---- expressions of the SELECT list ---- */

static Status star_in_group(Planner *p, const From *from, const Target *target, const Scope *scope,
                            Expr **out, Error *error) {
    const ScopeColumn *c = &from->columns[target->column];
    if (!scope->grouped) {
        *out = expr_column(p->arena, c->column, c->type);
        return OK;
    }
    for (int i = 0; i < scope->group_count; i++)
        if (scope->groups[i]->kind == EXPR_COLUMN && scope->groups[i]->column == c->column) {
            *out = expr_column(p->arena, i, c->type);
            return OK;
        }
    return error_at(
        p->catalog, target->location, error,
        "column \"%s.%s\" must appear in the GROUP BY clause or be used in an aggregate function",
        c->relation, c->name);
}

static Status bind_targets(Planner *p, const From *from, const Targets *targets, Scope *scope,
                           Expr **out, Error *error) {
    for (int i = 0; i < targets->count; i++) {
        const Target *target = &targets->items[i];
        if (!target->node) {
            if (star_in_group(p, from, target, scope, &out[i], error) != OK) return FAIL;
            continue;
        }
        scope->clause = "SELECT";
        if (bind_expr(scope, target->node, type_of(TYPE_UNKNOWN), &out[i], error) != OK)
            return FAIL;
    }
    return OK;
}

Status project_cast(Planner *p, Relation *project, int column, Type type, CastContext context,
                    Error *error) {
    PlannedColumn *c = &project->set->columns[column];
    if (c->type.kind == type.kind && c->type.modifier == type.modifier) return OK;
    Scope scope = {.catalog = p->catalog, .arena = p->arena};
    Expr *e = c->expr;
    if (bind_cast(&scope, e, type, context, &e, error) != OK) return FAIL;
    if (e == c->expr) return OK;
    c->expr = e;
    c->type = type;
    c->role = ROLE_NONE;
    c->window = NULL;
    return OK;
}

static Status project_resolve(Planner *p, Relation *project, Error *error) {
    for (int i = 0; i < project->set->declared; i++)
        if (project->set->columns[i].type.kind == TYPE_UNKNOWN &&
            project_cast(p, project, i, type_of(TYPE_TEXT), CAST_IMPLICIT, error) != OK)
            return FAIL;
    return OK;
}

/* ---- the whole ---- */

static Status plan_where(Planner *p, PgQuery__SelectStmt *select, From *from, Error *error) {
    if (!select->where_clause) return OK;
    Scope scope;
    from_scope(p, from, &scope);
    scope.clause = "WHERE";
    Expr *condition = NULL;
    if (bind_condition(&scope, select->where_clause, "WHERE", &condition, error) != OK) return FAIL;
    if (expr_flags(condition)) p->query->volatile_or_stable = true;
    from->relation = relation_filter(p, from->relation, condition, false);
    return OK;
}

static Status plan_from_list(Planner *p, PgQuery__SelectStmt *select, From *from, Error *error) {
    int location = tree_begin(&select->base);
    if (select->n_from_clause == 0)
        return refuse(p->catalog, location, error, "SELECT without FROM",
                      "name the table, view or window that rows come from");
    if (select->n_from_clause > 1)
        return refuse(p->catalog, tree_begin(&select->from_clause[1]->base), error,
                      "a list of tables in FROM", "write JOIN … ON …");
    return plan_from(p, select->from_clause[0], from, error);
}

static bool is_grouped(const PgQuery__SelectStmt *select, const Targets *targets) {
    if (select->n_group_clause > 0 || select->having_clause) return true;
    for (int i = 0; i < targets->count; i++)
        if (has_aggregate(targets->items[i].node)) return true;
    for (size_t i = 0; i < select->n_sort_clause; i++)
        if (has_aggregate(select->sort_clause[i])) return true;
    return false;
}

/* Keys and aggregates that have no name of their own take that of the output column, for
 * explanations. */
static void name_groups(ColumnSet *set, const Targets *targets, Expr *const *exprs) {
    for (int i = 0; i < targets->count; i++)
        if (exprs[i]->kind == EXPR_COLUMN && !set->columns[exprs[i]->column].name)
            set->columns[exprs[i]->column].name = targets->items[i].name;
}

/* A select without ORDER BY, LIMIT, WITH and UNION of its own. */
static Status plan_simple_select(Planner *p, PgQuery__SelectStmt *select, SelectOptions options,
                                 Relation **out, Error *error) {
    From from = {0};
    Targets targets = {0};
    if (plan_from_list(p, select, &from, error) != OK) return FAIL;
    if (plan_where(p, select, &from, error) != OK) return FAIL;
    if (expand_targets(p, select, &from, &targets, error) != OK) return FAIL;
    bool grouped = is_grouped(select, &targets);
    int location = targets.items[0].location;
    if (select->n_distinct_clause > 0) {
        if (check_distinct(p, select, grouped, from.relation, location, error) != OK) return FAIL;
        if (plan_distinct(p, select, &from, &targets, error) != OK) return FAIL;
    }
    if (from.relation->session && !grouped)
        return error_at(p->catalog, location, error,
                        "a session window must be followed by its GROUP BY; add GROUP BY with the "
                        "session's columns and "
                        "window_start");
    Scope scope;
    if (!grouped) from_scope(p, &from, &scope);
    else if (plan_group(p, select, &from, targets.items, targets.count, &scope, error) != OK)
        return FAIL;

    Expr **exprs = arena_new_array(p->arena, Expr *, targets.count + (int)select->n_sort_clause);
    int expr_count = targets.count;
    Expr *having = NULL;
    if (bind_targets(p, &from, &targets, &scope, exprs, error) != OK) return FAIL;
    if (select->having_clause &&
        bind_condition(&scope, select->having_clause, "HAVING", &having, error) != OK)
        return FAIL;
    if (options.top && p->adhoc &&
        bind_order(p, select, &targets, &scope, exprs, &expr_count, error) != OK)
        return FAIL;

    Relation *below = from.relation;
    if (grouped && finish_group(p, &from, &scope, location, &below, error) != OK) return FAIL;
    if (grouped) name_groups(below->set, &targets, exprs);
    if (having) below = relation_filter(p, below, having, true);
    Relation *project = relation_over(p, REL_PROJECT, below);
    set_new(p, project);
    for (int i = 0; i < expr_count; i++) {
        bool shown = i < targets.count;
        project_add(p, project, exprs[i], shown ? targets.items[i].name : "order",
                    shown && targets.items[i].quoted);
    }
    if (!options.keep_unknown && project_resolve(p, project, error) != OK) return FAIL;
    *out = project;
    return OK;
}

/* As PostgreSQL has it: a second query of a name would hide the first. */
static Status check_cte_name(Planner *p, const Cte *first, const Cte *end, const Cte *cte,
                             Error *error) {
    for (const Cte *other = first; other != end; other = other->outer)
        if (name_matches(cte->name, cte->quoted, other->name) ||
            name_matches(other->name, other->quoted, cte->name))
            return error_at(p->catalog, cte->location, error,
                            "WITH query name \"%s\" specified more than once; give one of them "
                            "another name",
                            cte->name);
    return OK;
}

static Status add_ctes(Planner *p, const PgQuery__WithClause *with, Error *error) {
    if (with->recursive && with->location < 0 && p->view) /* CREATE RECURSIVE VIEW */
        return fail_at(error, p->view->line, p->view->place,
                       "RECURSIVE is not supported; write the levels out");
    if (with->recursive)
        return refuse(p->catalog, with->location, error, "WITH RECURSIVE", "write the levels out");
    const Cte *outer = p->ctes;
    for (size_t i = 0; i < with->n_ctes; i++) {
        const PgQuery__CommonTableExpr *expr = with->ctes[i]->common_table_expr;
        if (!expr->ctequery || expr->ctequery->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
            return refuse(p->catalog, expr->location, error, "a WITH that writes",
                          "write WITH name AS (SELECT …)");
        Cte *cte = arena_zero(p->arena, sizeof *cte);
        cte->name = spelling_of(p->catalog, expr->location, expr->ctename, &cte->quoted);
        cte->select = expr->ctequery->select_stmt;
        cte->location = expr->location;
        if (check_cte_name(p, p->ctes, outer, cte, error) != OK) return FAIL;
        cte->column_count = (int)expr->n_aliascolnames;
        if (cte->column_count > 0)
            cte->columns =
                names_in_parentheses(p->catalog, token_at(trees_of(p->catalog), expr->location) + 1,
                                     cte->column_count, NULL);
        cte->outer = p->ctes;
        p->ctes = cte;
    }
    return OK;
}

static Status plan_any_select(Planner *p, PgQuery__SelectStmt *select, SelectOptions options,
                              Relation **out, Error *error) {
    if (check_order(p, select, options.top, error) != OK) return FAIL;
    if (options.top && p->adhoc) {
        if (constant_count(p, select->limit_count, "LIMIT", -1, &p->plan->limit, error) != OK)
            return FAIL;
        if (constant_count(p, select->limit_offset, "OFFSET", 0, &p->plan->offset, error) != OK)
            return FAIL;
    }
    if (select->op <= PG_QUERY__SET_OPERATION__SETOP_NONE)
        return plan_simple_select(p, select, options, out, error);
    PgQuery__SelectStmt bare = *select; /* its WITH and ORDER BY are done here */
    bare.with_clause = NULL;
    bare.n_sort_clause = 0;
    bare.limit_count = bare.limit_offset = NULL;
    if (plan_union(p, &bare, out, error) != OK) return FAIL;
    return options.top && p->adhoc ? order_union(p, select, *out, error) : OK;
}

Status plan_select(Planner *p, PgQuery__SelectStmt *select, SelectOptions options, Relation **out,
                   Error *error) {
    if (p->depth == PLAN_MOST_DEPTH)
        return error_at(p->catalog, tree_begin(&select->base), error,
                        "views and sub-selects are nested more than %d deep", PLAN_MOST_DEPTH);
    if (p->relation_count > PLAN_MOST_RELATIONS)
        return error_at(p->catalog, tree_begin(&select->base), error,
                        "with all views in their place the queries have more than %d steps; make a "
                        "materialized view of what is "
                        "used often",
                        PLAN_MOST_RELATIONS);
    p->depth++;
    Cte *outer = p->ctes;
    Status status = select->with_clause ? add_ctes(p, select->with_clause, error) : OK;
    if (status == OK) status = plan_any_select(p, select, options, out, error);
    if (status == OK) status = check_unread_ctes(p, outer, error);
    p->ctes = outer;
    p->depth--;
    return status;
}
