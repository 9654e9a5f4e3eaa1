/* CREATE TABLE: columns, NOT NULL, PRIMARY KEY, generated columns. Everything else that
 * PostgreSQL's grammar takes here is refused: a table is something outside, so Leat could not keep
 * a CHECK or a DEFAULT's promise. */
#include "sql/tree.h"

static Status check_relation(Catalog *c, const PgQuery__RangeVar *r, Error *error) {
    if ((r->schemaname && *r->schemaname) || (r->catalogname && *r->catalogname))
        return refuse(c, r->location, error, "a schema",
                      "leave it out: a pipeline has one space of names");
    if (r->relpersistence && *r->relpersistence && *r->relpersistence != 'p')
        return refuse(c, r->location, error, *r->relpersistence == 't' ? "TEMPORARY" : "UNLOGGED",
                      "leave it out");
    return OK;
}

/* Tables and views share one space of names. */
static Status check_new_name(Catalog *c, const char *name, bool quoted, int location,
                             Error *error) {
    const char *twin = NULL;
    bool twin_quoted = false;
    for (int i = 0; i < c->table_count && !twin; i++)
        if (str_equal_nocase(str_from(c->tables[i].name), str_from(name)))
            twin = c->tables[i].name, twin_quoted = c->tables[i].quoted;
    for (int i = 0; i < c->view_count && !twin; i++)
        if (str_equal_nocase(str_from(c->views[i].name), str_from(name)))
            twin = c->views[i].name, twin_quoted = c->views[i].quoted;
    if (!twin) return OK;
    if (strcmp(twin, name) == 0)
        return error_at(c, location, error, "relation \"%s\" already exists", name);
    if (quoted || twin_quoted) return OK;
    return error_at(c, location, error,
                    "relation \"%s\" already exists as \"%s\"; names that differ in case alone "
                    "need double quotes",
                    name, twin);
}

Status new_relation(Catalog *c, const PgQuery__RangeVar *r, const char **name, bool *quoted,
                    Error *error) {
    Status status = check_relation(c, r, error);
    if (status != OK) return status;
    *name = spelling_of(c, r->location, r->relname, quoted);
    return check_new_name(c, *name, *quoted, r->location, error);
}

static Status check_create(Catalog *c, const PgQuery__CreateStmt *s, Error *error) {
    int at = s->relation->location;
    if (s->if_not_exists)
        return refuse(c, at, error, "IF NOT EXISTS",
                      "leave it out: a file describes all that there is");
    if (s->partbound) return refuse(c, at, error, "PARTITION OF", "write the columns out");
    if (s->n_inh_relations > 0) return refuse(c, at, error, "INHERITS", "write the columns out");
    if (s->partspec)
        return refuse(c, at, error, "PARTITION BY",
                      "leave it out: partitions are the source's own");
    if (s->of_typename) return refuse(c, at, error, "CREATE TABLE OF", "write the columns out");
    if (s->tablespacename && *s->tablespacename)
        return refuse(c, at, error, "TABLESPACE", "leave it out");
    if (s->access_method && *s->access_method) return refuse(c, at, error, "USING", "leave it out");
    if (s->oncommit != PG_QUERY__ON_COMMIT_ACTION__ON_COMMIT_ACTION_UNDEFINED &&
        s->oncommit != PG_QUERY__ON_COMMIT_ACTION__ONCOMMIT_NOOP)
        return refuse(c, at, error, "ON COMMIT", "leave it out");
    return OK;
}

static const char *constraint_name(PgQuery__ConstrType kind) {
    switch (kind) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT: return "DEFAULT";
    case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY: return "GENERATED AS IDENTITY";
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK: return "CHECK";
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE: return "UNIQUE";
    case PG_QUERY__CONSTR_TYPE__CONSTR_EXCLUSION: return "EXCLUDE";
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN: return "a foreign key";
    default: return "a deferrable constraint";
    }
}

static const char *constraint_remedy(PgQuery__ConstrType kind) {
    switch (kind) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_DEFAULT: return "use coalesce(column, value) in a query";
    case PG_QUERY__CONSTR_TYPE__CONSTR_IDENTITY:
        return "use metadata('offset') in a generated column";
    case PG_QUERY__CONSTR_TYPE__CONSTR_CHECK: return "use WHERE in a query";
    case PG_QUERY__CONSTR_TYPE__CONSTR_UNIQUE:
        return "use PRIMARY KEY, or SELECT DISTINCT ON (key) *";
    case PG_QUERY__CONSTR_TYPE__CONSTR_FOREIGN: return "use JOIN in a query";
    default: return "leave it out";
    }
}

static Status check_constraint(Catalog *c, const PgQuery__Constraint *k, Error *error) {
    switch (k->contype) {
    case PG_QUERY__CONSTR_TYPE__CONSTR_NULL:
    case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL:
    case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED:
    case PG_QUERY__CONSTR_TYPE__CONSTR_PRIMARY: break;
    default:
        return refuse(c, k->location, error, constraint_name(k->contype),
                      constraint_remedy(k->contype));
    }
    if (k->conname && *k->conname)
        return refuse(c, k->location, error, "the name of a constraint",
                      "leave CONSTRAINT name out");
    if (k->deferrable || k->initdeferred)
        return refuse(c, k->location, error, "a deferrable constraint", "leave it out");
    if (k->n_including > 0) return refuse(c, k->location, error, "INCLUDE", "leave it out");
    if (k->n_options > 0)
        return refuse(c, k->location, error, "WITH behind PRIMARY KEY", "leave it out");
    if ((k->indexname && *k->indexname) || (k->indexspace && *k->indexspace))
        return refuse(c, k->location, error, "USING INDEX", "leave it out");
    return OK;
}

static Status add_key(Catalog *c, Table *t, int column, int location, Error *error) {
    TableColumn *k = &t->columns[column];
    if (k->key)
        return error_at(c, location, error, "column \"%s\" appears twice in the primary key",
                        k->name);
    t->keys[t->key_count++] = column;
    k->key = t->key_count;
    k->not_null = true;
    return OK;
}

static Status read_column_constraints(Catalog *c, Table *t, const PgQuery__ColumnDef *def,
                                      Error *error) {
    TableColumn *column = &t->columns[t->column_count - 1];
    bool nullable = false;
    for (size_t i = 0; i < def->n_constraints; i++) {
        const PgQuery__Constraint *k = def->constraints[i]->constraint;
        Status status = check_constraint(c, k, error);
        if (status != OK) return status;
        switch (k->contype) {
        case PG_QUERY__CONSTR_TYPE__CONSTR_NULL: nullable = true; break;
        case PG_QUERY__CONSTR_TYPE__CONSTR_NOTNULL: column->not_null = true; break;
        case PG_QUERY__CONSTR_TYPE__CONSTR_GENERATED:
            if (column->generated)
                return error_at(c, k->location, error,
                                "multiple generation clauses specified for column \"%s\"",
                                column->name);
            column->generated = k->raw_expr;
            break;
        default:
            if (t->key_count > 0)
                return error_at(c, k->location, error,
                                "multiple primary keys for table \"%s\" are not allowed; write "
                                "PRIMARY KEY (a, b) behind the columns",
                                t->name);
            if ((status = add_key(c, t, t->column_count - 1, k->location, error)) != OK)
                return status;
        }
        if (nullable && column->not_null)
            return error_at(c, k->location, error,
                            "conflicting NULL/NOT NULL declarations for column \"%s\"",
                            column->name);
    }
    return OK;
}

static Status read_column(Catalog *c, Table *t, const PgQuery__ColumnDef *def, Error *error) {
    TableColumn *column = &t->columns[t->column_count];
    *column = (TableColumn){0};
    column->name = spelling_of(c, def->location, def->colname, &column->quoted);
    place_of(c, def->location, &column->line, &column->place);
    for (int i = 0; i < t->column_count; i++) {
        const TableColumn *other = &t->columns[i];
        bool same = column->quoted || other->quoted
                        ? strcmp(column->name, other->name) == 0
                        : str_equal_nocase(str_from(column->name), str_from(other->name));
        if (same)
            return error_at(c, def->location, error, "column \"%s\" specified more than once",
                            column->name);
    }
    if (def->coll_clause)
        return refuse(c, def->coll_clause->location, error, "COLLATE",
                      "text is compared bytewise, as collation C");
    if (def->compression && *def->compression)
        return refuse(c, def->location, error, "COMPRESSION", "leave it out");
    if (def->n_fdwoptions > 0) return refuse(c, def->location, error, "OPTIONS", "leave it out");
    if (!def->type_name)
        return error_at(c, def->location, error, "column \"%s\" needs a type", column->name);
    t->column_count++;
    Status status = bind_type_name(c, def->type_name, &column->type, error);
    return status == OK ? read_column_constraints(c, t, def, error) : status;
}

/* -1: none; -2: several. */
static int find_column(const Table *t, const char *name, bool quoted) {
    int found = -1;
    for (int i = 0; i < t->column_count; i++)
        if (name_matches(name, quoted, t->columns[i].name)) found = found == -1 ? i : -2;
    return found;
}

static Status no_column(Catalog *c, const Table *t, const char *name, int found, int location,
                        Error *error) {
    if (found == -2)
        return error_at(
            c, location, error,
            "column \"%s\" is ambiguous: names that differ in case alone need double quotes", name);
    const char **names = arena_new_array(c->arena, const char *, t->column_count);
    for (int i = 0; i < t->column_count; i++) names[i] = t->columns[i].name;
    const char *closest = closest_name(name, names, t->column_count);
    if (closest)
        return error_at(c, location, error,
                        "column \"%s\" does not exist in table \"%s\"; did you mean \"%s\"?", name,
                        t->name, closest);
    return error_at(c, location, error, "column \"%s\" does not exist in table \"%s\"", name,
                    t->name);
}

static Status read_table_constraint(Catalog *c, Table *t, const PgQuery__Constraint *k,
                                    Error *error) {
    Status status = check_constraint(c, k, error);
    if (status != OK) return status;
    if (t->key_count > 0)
        return error_at(c, k->location, error,
                        "multiple primary keys for table \"%s\" are not allowed", t->name);
    bool *quoted;
    int count = (int)k->n_keys;
    const char **names =
        names_in_parentheses(c, token_at(trees_of(c), k->location), count, &quoted);
    for (int i = 0; i < count && status == OK; i++) {
        int column = find_column(t, names[i], quoted[i]);
        status = column < 0 ? no_column(c, t, names[i], column, k->location, error)
                            : add_key(c, t, column, k->location, error);
    }
    return status;
}

/* Options name columns in text: as spelled, or without regard to case where one column fits. */
Status table_find_column(Catalog *c, const Table *t, const char *name, int location, int *out,
                         Error *error) {
    *out = find_column(t, name, true);
    if (*out < 0) *out = find_column(t, name, false);
    return *out < 0 ? no_column(c, t, name, *out, location, error) : OK;
}

Status read_create_table(Catalog *c, const PgQuery__CreateStmt *s, Error *error) {
    Table *t = &c->tables[c->table_count];
    *t = (Table){.event_time = -1};
    Status status = check_create(c, s, error);
    if (status == OK) status = new_relation(c, s->relation, &t->name, &t->quoted, error);
    if (status != OK) return status;
    place_of(c, s->relation->location, &t->line, &t->place);
    t->columns = arena_new_array(c->arena, TableColumn, (int)s->n_table_elts + 1);
    t->keys = arena_new_array(c->arena, int, (int)s->n_table_elts + 1);
    for (size_t i = 0; i < s->n_table_elts && status == OK; i++) {
        const PgQuery__Node *item = s->table_elts[i];
        if (item->node_case == PG_QUERY__NODE__NODE_COLUMN_DEF)
            status = read_column(c, t, item->column_def, error);
        else if (item->node_case != PG_QUERY__NODE__NODE_CONSTRAINT)
            status = refuse(c, node_location(item), error, "LIKE", "write the columns out");
    }
    for (size_t i = 0; i < s->n_table_elts && status == OK; i++)
        if (s->table_elts[i]->node_case == PG_QUERY__NODE__NODE_CONSTRAINT)
            status = read_table_constraint(c, t, s->table_elts[i]->constraint, error);
    if (status != OK) return status;
    if (t->column_count == 0)
        return error_at(c, s->relation->location, error, "table \"%s\" needs at least one column",
                        t->name);
    status = read_table_options(c, t, s->options, s->n_options, error);
    if (status == OK) c->table_count++;
    return status;
}
