/* CREATE VIEW, CREATE MATERIALIZED VIEW, INSERT INTO, and the refusal of all other statements. What
 * the SELECT in them means is the planner's; here only what stands around it is read. */
#include "sql/tree.h"

/* ---- WITH (…) of a view ---- */

static const char *const view_options[] = {"horizon", "retention", "emit", "state_ttl"};

static Status view_interval(Catalog *c, const PgQuery__DefElem *d, const char *text, int64_t *us,
                            Error *error) {
    Error inner = {0};
    if (parse_duration(text, us, &inner) == OK && *us > 0) return OK;
    return error_at(
        c, definition_value_location(c, d), error,
        "%s expects an interval greater than zero without months, such as '10 minutes', not '%s'",
        d->defname, text);
}

static Status read_view_option(Catalog *c, View *v, const PgQuery__DefElem *d, Error *error) {
    const char *name = d->defname, *text;
    if (d->defnamespace && *d->defnamespace)
        return error_at(c, d->location, error, "unknown option '%s.%s' for a view", d->defnamespace,
                        name);
    bool known = false;
    for (size_t i = 0; i < sizeof view_options / sizeof *view_options; i++)
        known |= strcmp(name, view_options[i]) == 0;
    if (!known) {
        const char *closest =
            closest_name(name, view_options, sizeof view_options / sizeof *view_options);
        if (closest)
            return error_at(c, d->location, error,
                            "unknown option '%s' for a view; did you mean '%s'?", name, closest);
        return error_at(
            c, d->location, error,
            "unknown option '%s' for a view; there are horizon, state_ttl, retention and "
            "emit",
            name);
    }
    Status status = definition_text(c, d, &text, error);
    if (status == OK)
        status = replace_variables(c, definition_value_location(c, d), text, &text, error);
    if (status != OK) return status;
    if (strcmp(name, "state_ttl") == 0) {
        if (v->state_ttl_us)
            return error_at(c, d->location, error, "option 'state_ttl' is given twice");
        v->state_ttl_location = d->location;
        return view_interval(c, d, text, &v->state_ttl_us, error);
    }
    if (strcmp(name, "horizon") == 0) {
        if (v->horizon_given)
            return error_at(c, d->location, error, "option 'horizon' is given twice");
        v->horizon_given = true;
        return view_interval(c, d, text, &v->horizon_us, error);
    }
    if (!v->materialized)
        return error_at(
            c, d->location, error,
            "option '%s' is for a materialized view: CREATE MATERIALIZED VIEW %s WITH (…) AS …",
            name, v->name);
    if (strcmp(name, "retention") == 0) {
        if (v->retention_given)
            return error_at(c, d->location, error, "option 'retention' is given twice");
        v->retention_given = true;
        return view_interval(c, d, text, &v->retention_us, error);
    }
    if (v->emit_final) return error_at(c, d->location, error, "option 'emit' is given twice");
    if (strcmp(text, "final") != 0)
        return error_at(c, definition_value_location(c, d), error,
                        "emit expects 'final', not '%s'; leave it out to see groups as they grow",
                        text);
    v->emit_final = true;
    return OK;
}

static Status read_view_options(Catalog *c, View *v, PgQuery__Node **options, size_t count,
                                Error *error) {
    v->horizon_us = 600 * INT64_C(1000000);
    v->retention_us = 86400 * INT64_C(1000000);
    Status status = OK;
    for (size_t i = 0; i < count && status == OK; i++)
        status = read_view_option(c, v, options[i]->def_elem, error);
    return status;
}

static void read_column_names(Catalog *c, View *v, const PgQuery__RangeVar *r, size_t count) {
    if (count == 0) return;
    v->column_name_count = (int)count;
    v->column_names = names_in_parentheses(c, token_at(trees_of(c), r->location), (int)count, NULL);
}

static Status begin_view(Catalog *c, View *v, const PgQuery__RangeVar *r, const NodeTree *query,
                         Error *error) {
    Status status = new_relation(c, r, &v->name, &v->quoted, error);
    if (status != OK) return status;
    place_of(c, r->location, &v->line, &v->place);
    if (!query || query->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        return error_at(c, r->location, error, "view \"%s\" needs a SELECT", v->name);
    v->select = query->select_stmt;
    return check_query_text(c, query, error);
}

Status read_view(Catalog *c, const PgQuery__ViewStmt *s, int location, Error *error) {
    View *v = &c->views[c->view_count];
    *v = (View){0};
    if (s->replace)
        return refuse(c, location, error, "OR REPLACE",
                      "leave it out: a changed query is met by leat run --reset NAME");
    Status status = begin_view(c, v, s->view, s->query, error);
    if (status == OK && s->with_check_option > PG_QUERY__VIEW_CHECK_OPTION__NO_CHECK_OPTION)
        status = refuse(c, location, error, "WITH CHECK OPTION", "leave it out");
    if (status == OK) status = read_view_options(c, v, s->options, s->n_options, error);
    if (status != OK) return status;
    read_column_names(c, v, s->view, s->n_aliases);
    c->view_count++;
    return OK;
}

/* The home is a SQLite file, where views are tables beside Leat's own and names fold. */
static Status check_home_name(Catalog *c, const View *v, int location, Error *error) {
    static const char *const taken[] = {"late_rows", "dead_letters"};
    for (size_t i = 0; i < 2; i++)
        if (str_equal_nocase(str_from(v->name), str_from(taken[i])))
            return error_at(c, location, error,
                            "\"%s\" is a table of the home itself; give the view another name",
                            v->name);
    if (strlen(v->name) >= 5 &&
        (str_equal_nocase((Str){v->name, 5}, STR("leat_")) ||
         (strlen(v->name) >= 7 && str_equal_nocase((Str){v->name, 7}, STR("sqlite_")))))
        return error_at(c, location, error,
                        "names that begin with leat_ or sqlite_ belong to the home; give the view "
                        "another name");
    for (int i = 0; i < c->view_count; i++)
        if (c->views[i].materialized &&
            str_equal_nocase(str_from(c->views[i].name), str_from(v->name)))
            return error_at(c, location, error,
                            "materialized views \"%s\" and \"%s\" differ in case alone; the home "
                            "cannot keep both",
                            c->views[i].name, v->name);
    return OK;
}

Status read_materialized_view(Catalog *c, const PgQuery__CreateTableAsStmt *s, int location,
                              Error *error) {
    if (s->objtype != PG_QUERY__OBJECT_TYPE__OBJECT_MATVIEW)
        return refuse(c, location, error, "CREATE TABLE … AS",
                      "write CREATE MATERIALIZED VIEW name AS SELECT …, or CREATE TABLE and INSERT "
                      "INTO name SELECT …");
    if (s->if_not_exists)
        return refuse(c, location, error, "IF NOT EXISTS",
                      "leave it out: a file describes all that there is");
    const PgQuery__IntoClause *into = s->into;
    if (into->skip_data) return refuse(c, location, error, "WITH NO DATA", "leave it out");
    if (into->table_space_name && *into->table_space_name)
        return refuse(c, location, error, "TABLESPACE", "leave it out");
    if (into->access_method && *into->access_method)
        return refuse(c, location, error, "USING", "leave it out");
    View *v = &c->views[c->view_count];
    *v = (View){.materialized = true};
    Status status = begin_view(c, v, into->rel, s->query, error);
    if (status == OK) status = check_home_name(c, v, into->rel->location, error);
    if (status == OK) status = read_view_options(c, v, into->options, into->n_options, error);
    if (status != OK) return status;
    read_column_names(c, v, into->rel, into->n_col_names);
    c->view_count++;
    return OK;
}

/* ---- INSERT ---- */

static Status check_insert(Catalog *c, const PgQuery__InsertStmt *s, int location, Error *error) {
    if (s->on_conflict_clause)
        return refuse(c, location, error, "ON CONFLICT",
                      "give the table a PRIMARY KEY: it is then written by upsert");
    if (s->n_returning_list > 0) return refuse(c, location, error, "RETURNING", "leave it out");
    if (s->with_clause)
        return refuse(c, location, error, "WITH before INSERT",
                      "write INSERT INTO t WITH … SELECT …");
    if (s->override > PG_QUERY__OVERRIDING_KIND__OVERRIDING_NOT_SET)
        return refuse(c, location, error, "OVERRIDING", "leave it out");
    const PgQuery__RangeVar *r = s->relation;
    if ((r->schemaname && *r->schemaname) || (r->catalogname && *r->catalogname))
        return refuse(c, r->location, error, "a schema",
                      "leave it out: a pipeline has one space of names");
    if (r->alias)
        return refuse(c, r->location, error, "an alias of INSERT's table", "leave it out");
    if (!s->select_stmt)
        return refuse(c, location, error, "DEFAULT VALUES", "write INSERT INTO t SELECT …");
    if (s->select_stmt->node_case != PG_QUERY__NODE__NODE_SELECT_STMT)
        return refuse(c, location, error, "this form of INSERT", "write INSERT INTO t SELECT …");
    if (s->select_stmt->select_stmt->n_values_lists > 0)
        return refuse(c, location, error, "VALUES",
                      "INSERT INTO t SELECT … FROM a source is a query that runs on");
    return OK;
}

Status read_insert(Catalog *c, const PgQuery__InsertStmt *s, int location, Error *error) {
    Status status = check_insert(c, s, location, error);
    if (status != OK) return status;
    Insert *insert = &c->inserts[c->insert_count];
    *insert = (Insert){.select = s->select_stmt->select_stmt, .column_count = (int)s->n_cols};
    insert->table = spelling_of(c, s->relation->location, s->relation->relname, &insert->quoted);
    place_of(c, location, &insert->line, &insert->place);
    if (s->n_cols > 0) {
        insert->columns = arena_new_array(c->arena, const char *, insert->column_count);
        insert->columns_quoted = arena_new_array(c->arena, bool, insert->column_count);
    }
    for (size_t i = 0; i < s->n_cols; i++) {
        const PgQuery__ResTarget *column = s->cols[i]->res_target;
        if (column->n_indirection > 0)
            return refuse(c, column->location, error, "writing a part of a column",
                          "write the whole column");
        insert->columns[i] =
            spelling_of(c, column->location, column->name, &insert->columns_quoted[i]);
    }
    status = check_query_text(c, s->select_stmt, error);
    if (status == OK) c->insert_count++;
    return status;
}

/* ---- all else ---- */

typedef struct Refusal {
    PgQuery__Node__NodeCase kind;
    const char *what, *remedy;
} Refusal;

static const Refusal refusals[] = {
    {PG_QUERY__NODE__NODE_SELECT_STMT, "a SELECT by itself",
     "write CREATE MATERIALIZED VIEW name AS SELECT …, or INSERT INTO table SELECT …, or run it by "
     "leat sql"},
    {PG_QUERY__NODE__NODE_CREATE_FUNCTION_STMT, "CREATE FUNCTION", "it comes with a later version"},
    {PG_QUERY__NODE__NODE_UPDATE_STMT, "UPDATE",
     "a table with a PRIMARY KEY is written by upsert: INSERT INTO t SELECT …"},
    {PG_QUERY__NODE__NODE_DELETE_STMT, "DELETE", "filter with WHERE in a query"},
    {PG_QUERY__NODE__NODE_MERGE_STMT, "MERGE",
     "a table with a PRIMARY KEY is written by upsert: INSERT INTO t SELECT …"},
    {PG_QUERY__NODE__NODE_COPY_STMT, "COPY", "use a table with connector = 'file'"},
    {PG_QUERY__NODE__NODE_DROP_STMT, "DROP", "leave out of the file what should not be there"},
    {PG_QUERY__NODE__NODE_ALTER_TABLE_STMT, "ALTER", "change the CREATE statement"},
    {PG_QUERY__NODE__NODE_RENAME_STMT, "ALTER … RENAME", "change the CREATE statement"},
    {PG_QUERY__NODE__NODE_INDEX_STMT, "CREATE INDEX", "leave it out"},
    {PG_QUERY__NODE__NODE_EXPLAIN_STMT, "EXPLAIN", "run leat explain FILE.sql"},
    {PG_QUERY__NODE__NODE_VARIABLE_SHOW_STMT, "SHOW", "run leat explain FILE.sql"},
    {PG_QUERY__NODE__NODE_TRANSACTION_STMT, "a transaction",
     "leave BEGIN, COMMIT and ROLLBACK out: Leat commits at each checkpoint_interval"},
    {PG_QUERY__NODE__NODE_CREATE_SCHEMA_STMT, "CREATE SCHEMA", "a pipeline has one space of names"},
    {PG_QUERY__NODE__NODE_CREATE_EXTENSION_STMT, "CREATE EXTENSION", "leave it out"},
    {PG_QUERY__NODE__NODE_CREATE_SEQ_STMT, "CREATE SEQUENCE",
     "use metadata('offset') in a generated column"},
    {PG_QUERY__NODE__NODE_CREATE_TRIG_STMT, "CREATE TRIGGER", "write a query that reads the table"},
    {PG_QUERY__NODE__NODE_CREATE_DOMAIN_STMT, "CREATE DOMAIN", "use the type itself"},
    {PG_QUERY__NODE__NODE_CREATE_ENUM_STMT, "CREATE TYPE", "use text"},
    {PG_QUERY__NODE__NODE_COMPOSITE_TYPE_STMT, "CREATE TYPE", "use jsonb"},
    {PG_QUERY__NODE__NODE_CREATE_FOREIGN_TABLE_STMT, "CREATE FOREIGN TABLE",
     "write CREATE TABLE t (…) WITH (connector = …)"},
    {PG_QUERY__NODE__NODE_CREATE_FOREIGN_SERVER_STMT, "CREATE SERVER",
     "give the options to each CREATE TABLE … WITH (…)"},
    {PG_QUERY__NODE__NODE_REFRESH_MAT_VIEW_STMT, "REFRESH MATERIALIZED VIEW",
     "views are always up to date"},
    {PG_QUERY__NODE__NODE_GRANT_STMT, "GRANT", "leave it out"},
    {PG_QUERY__NODE__NODE_COMMENT_STMT, "COMMENT ON", "write an SQL comment: -- text"},
    {PG_QUERY__NODE__NODE_DECLARE_CURSOR_STMT, "DECLARE CURSOR", "read a materialized view"},
    {PG_QUERY__NODE__NODE_DO_STMT, "DO", "leave it out"},
    {PG_QUERY__NODE__NODE_PREPARE_STMT, "PREPARE", "leave it out"},
    {PG_QUERY__NODE__NODE_EXECUTE_STMT, "EXECUTE", "leave it out"},
    {PG_QUERY__NODE__NODE_CHECK_POINT_STMT, "CHECKPOINT",
     "SET checkpoint_interval = '1 second' says how often"},
};

Status refuse_statement(Catalog *c, const NodeTree *node, int location, Error *error) {
    for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++)
        if (refusals[i].kind == node->node_case)
            return refuse(c, location, error, refusals[i].what, refusals[i].remedy);
    const Trees *trees = trees_of(c);
    int token = token_at(trees, location);
    Str first = token_text(trees, token), second = token_text(trees, token + 1);
    return error_at(c, location, error,
                    "%.*s %.*s is not supported; there are CREATE TABLE, CREATE VIEW, CREATE "
                    "MATERIALIZED VIEW, INSERT INTO … SELECT and SET",
                    STR_ARG(first), STR_ARG(second));
}
