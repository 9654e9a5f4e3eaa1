/* FROM: what each item gives, and the names for its columns. A table gives its source, a view its
 * text anew or, where it remembers, the rows of the one query that runs it; a sub-select and a name
 * of WITH are planned where they stand. */
#include "sql/planner.h"

void from_add(Planner *p, From *from, ScopeColumn column) {
    if (from->count == from->capacity) {
        int capacity = from->capacity ? from->capacity * 2 : 16;
        ScopeColumn *columns = arena_new_array(p->arena, ScopeColumn, capacity);
        if (from->count > 0) memcpy(columns, from->columns, sizeof *columns * (size_t)from->count);
        from->columns = columns;
        from->capacity = capacity;
    }
    from->columns[from->count++] = column;
}

void from_relation(Planner *p, From *from, Relation *r, const char *name, bool quoted) {
    *from = (From){.relation = r};
    for (int i = 0; i < r->set->declared; i++) {
        const PlannedColumn *c = &r->set->columns[i];
        if (!c->name) continue;
        from_add(p, from,
                 (ScopeColumn){.relation = name,
                               .relation_quoted = quoted,
                               .name = c->name,
                               .quoted = c->quoted,
                               .type = c->type,
                               .role = c->role,
                               .column = i});
    }
}

static int scope_path(Scope *scope, int index, const char *const *path, int count, TypeKind kind) {
    From *from = scope->owner;
    Planner *p = from->planner;
    return set_path(p, from->relation->set, scope->columns[index].column, path, count, kind);
}

void from_scope(Planner *p, From *from, Scope *scope) {
    from->planner = p;
    *scope = (Scope){.catalog = p->catalog,
                     .arena = p->arena,
                     .columns = from->columns,
                     .count = from->count,
                     .want_path = scope_path,
                     .owner = from};
}

/* ---- names ---- */

static Status unknown_name(Planner *p, const char *name, int location, Error *error) {
    Catalog *c = p->catalog;
    int count = 0;
    const char **names =
        arena_new_array(p->arena, const char *, c->table_count + c->view_count + 1);
    for (int i = 0; i < c->table_count; i++) names[count++] = c->tables[i].name;
    for (int i = 0; i < c->view_count; i++) names[count++] = c->views[i].name;
    const char *closest = closest_name(name, names, count);
    if (closest)
        return error_at(c, location, error, "there is no table or view '%s'; did you mean '%s'?",
                        name, closest);
    return error_at(c, location, error, "there is no table or view '%s'; %s", name,
                    p->adhoc ? "the records that are read are the table input"
                             : "declare it with CREATE TABLE or CREATE VIEW");
}

static Cte *find_cte(Planner *p, const char *name, bool quoted) {
    for (Cte *cte = p->ctes; cte; cte = cte->outer)
        if (name_matches(name, quoted, cte->name)) return cte;
    return NULL;
}

static Status name_columns(Planner *p, Relation *r, const char *const *names, int count,
                           int location, Error *error) {
    if (count > r->set->declared)
        return error_at(p->catalog, location, error,
                        "%d column names are given for %d columns; leave out the last ones", count,
                        r->set->declared);
    for (int i = 0; i < count; i++) r->set->columns[i].name = names[i];
    return OK;
}

static Status cte_relation(Planner *p, Cte *cte, int location, Relation **out, Error *error) {
    Cte *ctes = p->ctes;
    p->ctes = cte->outer;
    cte->read = true;
    Status status = plan_select(p, cte->select, (SelectOptions){0}, out, error);
    p->ctes = ctes;
    if (status == OK)
        status = name_columns(p, *out, cte->columns, cte->column_count, location, error);
    return status;
}

Status check_unread_ctes(Planner *p, const Cte *until, Error *error) {
    for (Cte *cte = p->ctes; cte != until; cte = cte->outer) {
        if (cte->read) continue;
        Query kept = *p->query;
        Relation *unused = NULL;
        if (cte_relation(p, cte, cte->location, &unused, error) != OK) return FAIL;
        *p->query = kept;
        warn_at(p->catalog, cte->location, "nothing reads '%s'", cte->name);
    }
    return OK;
}

Status relation_named(Planner *p, const char *name, bool quoted, int location, From *out,
                      Error *error) {
    Relation *r = NULL;
    Cte *cte = find_cte(p, name, quoted);
    if (cte) {
        if (cte_relation(p, cte, location, &r, error) != OK) return FAIL;
        from_relation(p, out, r, cte->name, cte->quoted);
        return OK;
    }
    Table *table = NULL;
    View *view = NULL;
    if (catalog_find_table(p->catalog, name, quoted, &table, error) != OK ||
        catalog_find_view(p->catalog, name, quoted, &view, error) != OK) {
        if (!error->line) place_of(p->catalog, location, &error->line, &error->column);
        return FAIL;
    }
    if (table) {
        if (source_relation(p, table, &r, error) != OK) return FAIL;
        from_relation(p, out, r, table->name, table->quoted);
        return OK;
    }
    if (!view) return unknown_name(p, name, location, error);
    if (view_relation(p, view, location, &r, error) != OK) return FAIL;
    from_relation(p, out, r, view->name, view->quoted);
    return OK;
}

Status from_aliases(Planner *p, From *from, const AliasSpelling *alias, int location,
                    Error *error) {
    if (!alias->name) return OK;
    int named = 0;
    for (int i = 0; i < from->count; i++) {
        ScopeColumn *c = &from->columns[i];
        c->relation = alias->name;
        c->relation_quoted = alias->quoted;
        if (!c->qualified_only && named < alias->column_count) {
            c->name = alias->columns[named++];
            c->quoted = false;
        }
    }
    if (alias->column_count > named)
        return error_at(p->catalog, location, error,
                        "'%s' has %d columns but %d names are given for them", alias->name, named,
                        alias->column_count);
    return OK;
}

/* ---- items ---- */

Table *table_named(Planner *p, const PgQuery__RangeVar *var) {
    bool quoted = false;
    const char *name = spelling_of(p->catalog, var->location, var->relname, &quoted);
    if (find_cte(p, name, quoted)) return NULL;
    Table *table = NULL;
    Error ignored;
    return catalog_find_table(p->catalog, name, quoted, &table, &ignored) == OK ? table : NULL;
}

static Status plan_range_var(Planner *p, NodeTree *node, From *out, Error *error) {
    const PgQuery__RangeVar *var = node->range_var;
    if (var->schemaname && *var->schemaname)
        return refuse(p->catalog, var->location, error, "a schema before a table's name",
                      "write the name alone");
    bool quoted = false;
    const char *name = spelling_of(p->catalog, var->location, var->relname, &quoted);
    if (relation_named(p, name, quoted, var->location, out, error) != OK) return FAIL;
    AliasSpelling alias = from_alias(p->catalog, node);
    return from_aliases(p, out, &alias, var->location, error);
}

static Status plan_sub_select(Planner *p, NodeTree *node, From *out, Error *error) {
    const PgQuery__RangeSubselect *sub = node->range_subselect;
    int location = tree_begin(&sub->base);
    if (sub->lateral)
        return refuse(p->catalog, location, error, "LATERAL",
                      "write the sub-select without it, reading its own tables");
    if (!sub->subquery || sub->subquery->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        return refuse(p->catalog, location, error, "this sub-query", "write (SELECT …) AS name");
    Relation *r = NULL;
    if (plan_select(p, sub->subquery->select_stmt, (SelectOptions){0}, &r, error) != OK)
        return FAIL;
    AliasSpelling alias = from_alias(p->catalog, node);
    from_relation(p, out, r, alias.name ? alias.name : "subquery", alias.quoted);
    return from_aliases(p, out, &alias, location, error);
}

Status plan_from(Planner *p, NodeTree *node, From *out, Error *error) {
    switch (node->node_case) {
    case PG_QUERY__NODE__NODE_RANGE_VAR: return plan_range_var(p, node, out, error);
    case PG_QUERY__NODE__NODE_RANGE_SUBSELECT: return plan_sub_select(p, node, out, error);
    case PG_QUERY__NODE__NODE_RANGE_FUNCTION:
        return plan_window(p, node->range_function, node, out, error);
    case PG_QUERY__NODE__NODE_JOIN_EXPR: {
        if (plan_join(p, node->join_expr, out, error) != OK) return FAIL;
        AliasSpelling alias = from_alias(p->catalog, node);
        return from_aliases(p, out, &alias, tree_begin(&node->base), error);
    }
    case PG_QUERY__NODE__NODE_RANGE_TABLE_SAMPLE:
        return refuse(p->catalog, tree_begin(&node->base), error, "TABLESAMPLE",
                      "write WHERE random() < 0.01");
    default:
        return refuse(p->catalog, tree_begin(&node->base), error, node_kind_name(node),
                      "FROM takes a table, a view, a sub-select or a window");
    }
}
