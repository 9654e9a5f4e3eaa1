/* From a catalog to a plan. Every materialized view and every INSERT is a query; a view that
 * remembers is one too, and is run once for all that read it; any other view is planned anew where
 * it is used. Then what is needed is marked from the queries down, tables are checked by how they
 * are used, and nodes are made in the order in which they feed one another. */
#include "sql/planner.h"

static Query *query_new(Planner *p, QueryKind kind, const char *name, int line, int place) {
    Query *query = arena_zero(p->arena, sizeof *query);
    query->kind = kind;
    query->name = name;
    query->number = -1;
    query->line = line;
    query->place = place;
    return query;
}

static Status view_fail(const View *view, Error *error, const char *format, const char *text) {
    return fail_at(error, view->line, view->place, format, view->name, text);
}

/* ---- views ---- */

static Status name_view_columns(const View *view, Relation *r, Error *error) {
    ColumnSet *set = r->set;
    if (view->column_name_count > set->declared)
        return fail_at(error, view->line, view->place,
                       "CREATE VIEW %s specifies more column names (%d) than columns (%d)",
                       view->name, view->column_name_count, set->declared);
    for (int i = 0; i < view->column_name_count; i++) set->columns[i].name = view->column_names[i];
    for (int i = 0; i < set->declared; i++)
        for (int k = 0; k < i; k++)
            if (strcmp(set->columns[i].name, set->columns[k].name) == 0)
                return fail_at(error, view->line, view->place,
                               "column \"%s\" of view %s is there more than once; give one of them "
                               "another name with AS",
                               set->columns[i].name, view->name);
            else if (view->materialized && str_equal_nocase(str_from(set->columns[i].name),
                                                            str_from(set->columns[k].name)))
                return fail_at(
                    error, view->line, view->place,
                    "columns \"%s\" and \"%s\" of view %s differ in case alone; the home "
                    "cannot keep both, give one of them another name with AS",
                    set->columns[k].name, set->columns[i].name, view->name);
    return OK;
}

/* Plans the view's text into `query`. */
static Status plan_view_text(Planner *p, View *view, Query *query, Relation **out, Error *error) {
    Query *outer_query = p->query;
    View *outer_view = p->view;
    Cte *ctes = p->ctes;
    p->query = query;
    p->view = view;
    p->ctes = NULL;
    Status status = plan_select(p, view->select, (SelectOptions){0}, out, error);
    p->query = outer_query;
    p->view = outer_view;
    p->ctes = ctes;
    return status == OK ? name_view_columns(view, *out, error) : status;
}

static Status check_view_options(Planner *p, const View *view, const Relation *root, Error *error) {
    const ViewState *state = &p->views[view - p->catalog->views];
    if (view->horizon_given && !state->horizon_used)
        return view_fail(view, error,
                         "option horizon of view %s would do nothing: %s; take it away",
                         "there is no DISTINCT ON by event time in it");
    if (view->state_ttl_us && !state->state_ttl_used)
        return error_at(p->catalog, view->state_ttl_location, error,
                        "option state_ttl of view %s would do nothing: there is no GROUP BY "
                        "without a window in it; take it away",
                        view->name);
    if (!view->materialized) {
        if (view->emit_final || view->retention_given)
            return view_fail(
                view, error,
                "option %2$s is for materialized views, which keep rows, not for view %1$s",
                view->emit_final ? "emit" : "retention");
        return OK;
    }
    if (view->emit_final && root->changes)
        return view_fail(
            view, error,
            "view %s has no final rows: %s; take emit = 'final' away or group by a window",
            "its GROUP BY has no window and its sources never end");
    if (view->retention_given && root->ungrouped)
        return view_fail(view, error,
                         "option retention of view %s would do nothing: %s; take it away",
                         "groups without a window have no time");
    if (view->retention_given && !root->results && !root->timed)
        return view_fail(
            view, error,
            "option retention of view %s would do nothing: %s; say event_time on the table",
            "its rows have no event time");
    return OK;
}

/* Rows for a view, a sink or a union leave as exactly these columns. */
static void make_exact(Relation *root) {
    if (root->kind == REL_PROJECT) root->exact = true;
}

static Status plan_materialized(Planner *p, View *view, Error *error) {
    ViewState *state = &p->views[view - p->catalog->views];
    Query *query = query_new(p, QUERY_VIEW, view->name, view->line, view->place);
    query->view = view;
    state->phase = VIEW_PLANNING;
    if (plan_view_text(p, view, query, &query->root, error) != OK) return FAIL;
    if (check_view_options(p, view, query->root, error) != OK) return FAIL;
    make_exact(query->root);
    query->root->set->closed = true;
    state->query = query;
    state->phase = VIEW_SHARED;
    return OK;
}

/* A plain view: its text is planned as a query of its own first; when nothing in it remembers, that
 * is thrown away and the text is planned again in each query that reads it. */
static Status plan_plain(Planner *p, View *view, Relation **out, Error *error) {
    ViewState *state = &p->views[view - p->catalog->views];
    if (state->phase == VIEW_NEW) {
        Query *query = query_new(p, QUERY_SHARED, view->name, view->line, view->place);
        query->view = view;
        state->phase = VIEW_PLANNING;
        if (plan_view_text(p, view, query, &query->root, error) != OK) return FAIL;
        if (check_view_options(p, view, query->root, error) != OK) return FAIL;
        state->phase = query->stateful ? VIEW_SHARED : VIEW_EXPANDED;
        if (query->stateful) state->query = query;
    }
    if (state->phase == VIEW_SHARED) return OK;
    state->phase = VIEW_PLANNING;
    Status status = plan_view_text(p, view, p->query, out, error);
    state->phase = VIEW_EXPANDED;
    return status;
}

Status view_relation(Planner *p, View *view, int location, Relation **out, Error *error) {
    ViewState *state = &p->views[view - p->catalog->views];
    state->read = true;
    if (state->phase == VIEW_PLANNING)
        return error_at(p->catalog, location, error,
                        "view %s reads itself; name what it is made from", view->name);
    if (state->phase != VIEW_SHARED) {
        if (view->materialized ? plan_materialized(p, view, error) != OK
                               : plan_plain(p, view, out, error) != OK)
            return FAIL;
        if (state->phase == VIEW_EXPANDED) return OK;
    }
    *out = state->query->root;
    if (view->materialized && (*out)->ungrouped) (*out)->by_group = true;
    return OK;
}

/* ---- INSERT ---- */

/* The sink's column for each column of the SELECT. */
static Status insert_columns(Planner *p, const Insert *insert, const Table *sink,
                             const Relation *rows, int *columns, Error *error) {
    int count = rows->set->declared,
        wanted = insert->columns ? insert->column_count : sink->column_count;
    (void)p;
    if (count > wanted)
        return fail_at(
            error, insert->line, insert->place,
            "INSERT has more expressions than target columns: the SELECT gives %d, %s takes %d",
            count, sink->name, wanted);
    /* Without a list the columns behind the last expression get NULL, as in PostgreSQL. */
    if (count < wanted && insert->columns)
        return fail_at(
            error, insert->line, insert->place,
            "INSERT has more target columns than expressions: it names %d, the SELECT gives %d",
            wanted, count);
    for (int i = 0; i < count; i++) {
        columns[i] = insert->columns ? -1 : i;
        for (int k = 0; k < sink->column_count && columns[i] < 0; k++)
            if (name_matches(insert->columns[i], insert->columns_quoted[i], sink->columns[k].name))
                columns[i] = k;
        if (columns[i] < 0)
            return fail_at(error, insert->line, insert->place,
                           "column \"%s\" of table %s does not exist", insert->columns[i],
                           sink->name);
        for (int k = 0; k < i; k++)
            if (columns[k] == columns[i])
                return fail_at(error, insert->line, insert->place,
                               "column \"%s\" is named more than once", insert->columns[i]);
    }
    return OK;
}

static Status cast_for_sink(Planner *p, const Insert *insert, const Table *sink,
                            const TableColumn *to, Expr *e, Expr **out, Error *error) {
    Scope scope = {.catalog = p->catalog, .arena = p->arena};
    if (bind_cast(&scope, e, to->type, CAST_ASSIGNMENT, out, error) == OK) return OK;
    bool literal = e->type.kind == TYPE_UNKNOWN && error->text[0];
    int line = error->line ? error->line : e->line ? e->line : insert->line;
    int place = error->line ? error->column : e->line ? e->place : insert->place;
    if (literal) {
        error->line = line;
        error->column = place;
        return FAIL;
    }
    return fail_at(
        error, line, place,
        "column \"%s\" of %s is of type %s but the expression is of type %s; cast it: (…)::%s",
        to->name, sink->name, type_name(to->type, p->arena), type_name(e->type, p->arena),
        type_name(to->type, p->arena));
}

/* The SELECT's rows as the sink's columns. A project is taken apart, so that its casts need no
 * operator of their own. */
static Status sink_project(Planner *p, const Insert *insert, const Table *sink, Relation *rows,
                           Relation **out, Error *error) {
    int *columns = arena_new_array(p->arena, int, sink->column_count + rows->set->declared + 1);
    if (insert_columns(p, insert, sink, rows, columns, error) != OK) return FAIL;
    bool apart = rows->kind == REL_PROJECT;
    Relation *r = relation_over(p, REL_PROJECT, apart ? rows->inputs[0] : rows);
    set_new(p, r);
    r->exact = true;
    r->required = arena_new_array(p->arena, const char *, sink->column_count + 1);
    bool any_required = false;
    for (int k = 0; k < sink->column_count; k++) {
        const TableColumn *to = &sink->columns[k];
        int from = 0;
        while (from < rows->set->declared && columns[from] != k) from++;
        bool given = from < rows->set->declared, required = to->not_null || to->key > 0;
        if (!given && required)
            return fail_at(error, insert->line, insert->place,
                           "column \"%s\" of %s is NOT NULL but gets no value; select one for it",
                           to->name, sink->name);
        Expr *e = NULL;
        if (given) {
            const PlannedColumn *c = &rows->set->columns[from];
            e = apart ? c->expr : expr_column(p->arena, from, c->type);
        } else {
            e = expr_constant(p->arena, (Value){.type = to->type, .null = true});
        }
        if (given && cast_for_sink(p, insert, sink, to, e, &e, error) != OK) return FAIL;
        if (required && e->kind == EXPR_CONSTANT && e->value.null)
            return fail_at(error, insert->line, insert->place,
                           "column \"%s\" of %s is NOT NULL but gets NULL; select a value for it",
                           to->name, sink->name);
        bool maybe_null =
            !(e->kind == EXPR_COLUMN && r->inputs[0]->set->columns[e->column].not_null) &&
            !(e->kind == EXPR_CONSTANT && !e->value.null);
        if (required && maybe_null) {
            r->required[k] =
                arena_format(p->arena, "null value in column \"%s\" of %s, which is %s", to->name,
                             sink->name, to->key > 0 ? "its PRIMARY KEY" : "NOT NULL");
            any_required = true;
        }
        project_add(p, r, e, to->name, to->quoted);
    }
    if (!any_required) r->required = NULL;
    *out = r;
    return OK;
}

/* The columns that key the sink's rows: the `key` option's, else the PRIMARY KEY. */
static Status sink_keys(Planner *p, Query *query, Error *error) {
    const Table *t = query->sink;
    query->sink_keys = t->keys;
    query->sink_key_count = t->key_count;
    const OptionValue *key = option_find(&t->options, "key");
    if (!key || !key->text || !key->given) return OK;
    if (t->key_count > 0)
        return fail_at(error, key->line, key->place,
                       "table %s has both a PRIMARY KEY and the option key; take one of them away: "
                       "rows are keyed by the PRIMARY "
                       "KEY anyway",
                       t->name);
    query->sink_keys = arena_new_array(p->arena, int, t->column_count);
    query->sink_key_count = 0;
    const char *at = key->text;
    while (*at) {
        while (*at == ' ' || *at == ',') at++;
        bool quoted = *at == '"';
        const char *begin = quoted ? ++at : at;
        while (*at && (quoted ? *at != '"' : *at != ',')) at++;
        const char *end = at;
        if (quoted && *at) at++;
        while (!quoted && end > begin && end[-1] == ' ') end--;
        if (end == begin) break;
        const char *name = arena_text(p->arena, (Str){begin, (size_t)(end - begin)});
        int column = 0;
        while (column < t->column_count && !name_matches(name, quoted, t->columns[column].name))
            column++;
        if (column == t->column_count)
            return fail_at(error, key->line, key->place,
                           "option key names column \"%s\", which table %s does not have", name,
                           t->name);
        if (query->sink_key_count == t->column_count)
            return fail_at(error, key->line, key->place,
                           "option key names more columns than table %s has", t->name);
        query->sink_keys[query->sink_key_count++] = column;
    }
    return OK;
}

static Status check_sink(const Insert *insert, const Table *sink, Error *error) {
    if (!sink->connector->sink)
        return fail_at(error, insert->line, insert->place,
                       "connector '%s' cannot be written to: table %s can only be read",
                       sink->connector->name, sink->name);
    for (int i = 0; i < sink->column_count; i++)
        if (sink->columns[i].generated)
            return fail_at(
                error, sink->columns[i].line, sink->columns[i].place,
                "column %s of sink %s is computed; compute it in the SELECT that writes there",
                sink->columns[i].name, sink->name);
    return OK;
}

static Status insert_target(Planner *p, const Insert *insert, Table **out, Error *error) {
    View *view = NULL;
    if (catalog_find_table(p->catalog, insert->table, insert->quoted, out, error) != OK ||
        catalog_find_view(p->catalog, insert->table, insert->quoted, &view, error) != OK) {
        if (!error->line) {
            error->line = insert->line;
            error->column = insert->place;
        }
        return FAIL;
    }
    if (*out) return OK;
    if (view)
        return fail_at(error, insert->line, insert->place,
                       "%s is a view and is made by its own SELECT; INSERT writes to a table that "
                       "has a connector",
                       view->name);
    return fail_at(error, insert->line, insert->place,
                   "there is no table '%s'; declare it with CREATE TABLE", insert->table);
}

static const char *insert_name(Planner *p, const Table *sink) {
    int number = 1;
    for (int i = 0; i < p->query_count; i++)
        number += p->queries[i]->kind == QUERY_SINK && p->queries[i]->sink == sink;
    return number == 1 ? sink->name : arena_format(p->arena, "%s %d", sink->name, number);
}

static Status plan_insert(Planner *p, Insert *insert, Error *error) {
    Table *sink = NULL;
    if (insert_target(p, insert, &sink, error) != OK || check_sink(insert, sink, error) != OK)
        return FAIL;
    Query *query = query_new(p, QUERY_SINK, insert_name(p, sink), insert->line, insert->place);
    query->insert = insert;
    query->sink = sink;
    sink->is_sink = true;
    p->query = query;
    Relation *rows = NULL;
    if (plan_select(p, insert->select, (SelectOptions){.keep_unknown = true}, &rows, error) != OK)
        return FAIL;
    if (sink_project(p, insert, sink, rows, &query->root, error) != OK) return FAIL;
    if ((rows->changes || rows->by_group) &&
        check_sink_keys(p, insert, sink, query->root, error) != OK)
        return FAIL;
    p->query = NULL;
    p->queries[p->query_count++] = query;
    return sink_keys(p, query, error);
}

/* ---- the whole ---- */

static Status plan_adhoc(Planner *p, Error *error) {
    Query *query = query_new(p, QUERY_SINK, "query", 1, 1);
    p->query = query;
    if (plan_select(p, p->catalog->adhoc, (SelectOptions){.top = true}, &query->root, error) != OK)
        return FAIL;
    make_exact(query->root);
    p->queries[p->query_count++] = query;
    return OK;
}

/* Queries in the order in which the file says them. */
static Status plan_queries(Planner *p, Error *error) {
    Catalog *c = p->catalog;
    if (c->adhoc) return plan_adhoc(p, error);
    int view = 0, insert = 0;
    while (view < c->view_count || insert < c->insert_count) {
        View *v = view < c->view_count ? &c->views[view] : NULL;
        Insert *i = insert < c->insert_count ? &c->inserts[insert] : NULL;
        if (v && (!i || v->line < i->line || (v->line == i->line && v->place < i->place))) {
            view++;
            if (!v->materialized) continue;
            ViewState *state = &p->views[v - c->views];
            if (state->phase == VIEW_NEW && plan_materialized(p, v, error) != OK) return FAIL;
            p->queries[p->query_count++] = state->query;
        } else {
            insert++;
            if (plan_insert(p, i, error) != OK) return FAIL;
        }
    }
    return OK;
}

/* A view that nobody reads is checked, and said to be idle. */
static Status check_unread_views(Planner *p, Error *error) {
    for (int i = 0; i < p->catalog->view_count; i++) {
        View *view = &p->catalog->views[i];
        ViewState *state = &p->views[i];
        if (view->materialized || state->read) continue;
        p->query = query_new(p, QUERY_SHARED, view->name, view->line, view->place);
        Relation *unused = NULL;
        if (state->phase == VIEW_NEW && plan_plain(p, view, &unused, error) != OK) return FAIL;
        int location = tree_begin(&view->select->base);
        warn_at(p->catalog, location,
                "view %s is read by no INSERT and no materialized view; it is checked but not run",
                view->name);
    }
    p->query = NULL;
    return OK;
}

static Status plan_all(Planner *p, Error *error) {
    const Catalog *c = p->catalog;
    if (!c->adhoc && c->table_count + c->view_count + c->insert_count == 0)
        return fail(error, "there is nothing in it to run; write CREATE TABLE for a source, and "
                           "CREATE MATERIALIZED VIEW or INSERT "
                           "INTO for what is wanted of it");
    if (plan_queries(p, error) != OK || check_unread_views(p, error) != OK ||
        check_tables(p, error) != OK)
        return FAIL;
    Query **roots = p->queries;
    int root_count = p->query_count;
    p->queries = arena_new_array(p->arena, Query *, root_count + p->catalog->view_count + 1);
    p->query_count = 0;
    for (int i = 0; i < root_count; i++) need_query(p, roots[i]);
    emit_all(p);
    return OK;
}

Status plan_new(Catalog *catalog, Plan **out, Error *error) {
    *error = (Error){0};
    Arena *arena = arena_new();
    Plan *plan = arena_zero(arena, sizeof *plan);
    plan->arena = arena;
    plan->catalog = catalog;
    plan->limit = -1;
    for (int i = 0; i < catalog->table_count; i++)
        catalog->tables[i].is_source = catalog->tables[i].is_sink =
            catalog->tables[i].is_reference = false;
    Planner p = {.catalog = catalog,
                 .arena = arena,
                 .plan = plan,
                 .adhoc = catalog->adhoc != NULL,
                 .sources = arena_new_array(arena, Relation *, catalog->table_count + 1),
                 .references = arena_new_array(arena, Relation *, catalog->table_count + 1),
                 .views = arena_new_array(arena, ViewState, catalog->view_count + 1),
                 .queries = arena_new_array(arena, Query *,
                                            catalog->view_count + catalog->insert_count + 1)};
    Status status = plan_all(&p, error);
    if (status == OK) *out = plan;
    else arena_free(&arena);
    return status;
}

void plan_free(Plan **plan) {
    if (!*plan) return;
    Arena *arena = (*plan)->arena;
    *plan = NULL;
    arena_free(&arena);
}
