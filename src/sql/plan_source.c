/* Tables as the plan sees them: as sources, as reference data, as sinks. A table's relation has all
 * of its columns, the computed ones bound; what is decoded is decided at the end, when it is known
 * which columns some query reads. A record is judged by these alone, and nothing else of it is
 * parsed. */
#include "sql/planner.h"
#include <fnmatch.h>

static bool table_bounded(const Table *t) {
    if (!t->connector->source || !t->connector->source->bounded_possible) return false;
    if (option_bool(&t->options, "follow", false)) return false;
    /* A generator ends only when it was told how many events to make. */
    for (const Option *o = t->connector->options; o && o->name; o++)
        if (strcmp(o->name, "events") == 0) {
            const OptionValue *value = option_find(&t->options, "events");
            return value && value->given;
        }
    return true;
}

/* ---- relations ---- */

static Type metadata_type(DecodeKind kind) {
    switch (kind) {
    case DECODE_PARTITION: return type_of(TYPE_INT4);
    case DECODE_OFFSET: return type_of(TYPE_INT8);
    case DECODE_TIMESTAMP: return type_of(TYPE_TIMESTAMPTZ);
    case DECODE_HEADERS: return type_of(TYPE_JSONB);
    default: return type_of(TYPE_TEXT);
    }
}

typedef struct TableScope {
    Planner *planner;
    ColumnSet *set;
} TableScope;

static int want_metadata(Scope *scope, DecodeKind kind) {
    TableScope *owner = scope->owner;
    ColumnSet *set = owner->set;
    for (int i = set->declared; i < set->count; i++)
        if (set->columns[i].decode == kind && set->columns[i].path_of < 0) return i;
    return set_add(
        owner->planner, set,
        (PlannedColumn){.input = -1, .path_of = -1, .decode = kind, .type = metadata_type(kind)});
}

static int want_table_path(Scope *scope, int index, const char *const *path, int count,
                           TypeKind kind) {
    TableScope *owner = scope->owner;
    return set_path(owner->planner, owner->set, scope->columns[index].column, path, count, kind);
}

static Status check_generated(Planner *p, const Table *t, const TableColumn *c, const Expr *e,
                              Error *error) {
    if (e->kind == EXPR_COLUMN && e->column < t->column_count && t->columns[e->column].generated) {
        error->line = 0;
        return fail_at(error, e->line ? e->line : c->line, e->line ? e->place : c->place,
                       "column %s cannot be computed from %s, which is computed itself; write its "
                       "expression in its place",
                       c->name, t->columns[e->column].name);
    }
    for (int i = 0; i < e->arg_count; i++)
        if (check_generated(p, t, c, e->args[i], error) != OK) return FAIL;
    return OK;
}

static Status bind_computed(Planner *p, Table *t, ColumnSet *set, Error *error) {
    ScopeColumn *columns = arena_new_array(p->arena, ScopeColumn, t->column_count);
    for (int i = 0; i < t->column_count; i++) {
        const TableColumn *c = &t->columns[i];
        columns[i] = (ScopeColumn){.relation = t->name,
                                   .relation_quoted = t->quoted,
                                   .name = c->name,
                                   .quoted = c->quoted,
                                   .type = c->type,
                                   .column = i};
    }
    TableScope owner = {p, set};
    Scope scope = {.catalog = p->catalog,
                   .arena = p->arena,
                   .columns = columns,
                   .count = t->column_count,
                   .want_path = want_table_path,
                   .owner = &owner,
                   .clause = "GENERATED",
                   .metadata_allowed = true,
                   .want_metadata = want_metadata};
    for (int i = 0; i < t->column_count; i++) {
        TableColumn *c = &t->columns[i];
        if (!c->generated) continue;
        Expr *e = NULL;
        if (bind_expr(&scope, c->generated, c->type, &e, error) != OK) return FAIL;
        if (bind_cast(&scope, e, c->type, CAST_ASSIGNMENT, &e, error) != OK) return FAIL;
        if (check_generated(p, t, c, e, error) != OK) return FAIL;
        set->columns[i].expr = e;
        set->columns[i].decode = DECODE_COMPUTED;
    }
    return OK;
}

static Status table_relation(Planner *p, Table *t, RelationKind kind, Relation **out,
                             Error *error) {
    Relation *r = relation_new(p, kind, 0);
    r->table = t;
    ColumnSet *set = set_new(p, r);
    for (int i = 0; i < t->column_count; i++) {
        const TableColumn *c = &t->columns[i];
        bool time = kind == REL_SOURCE && i == t->event_time;
        set_add(p, set,
                (PlannedColumn){.name = c->name,
                                .quoted = c->quoted,
                                .type = c->type,
                                .role = time ? ROLE_EVENT_TIME : ROLE_NONE,
                                .not_null = c->not_null || c->key > 0 || time,
                                .input = -1,
                                .path_of = -1,
                                .decode = DECODE_FIELD});
    }
    set->declared = set->count;
    if (bind_computed(p, t, set, error) != OK) return FAIL;
    r->bounded = table_bounded(t);
    r->timed = kind == REL_SOURCE && t->event_time >= 0;
    r->one_record = true;
    *out = r;
    return OK;
}

static int table_number(const Planner *p, const Table *t) { return (int)(t - p->catalog->tables); }

Status source_relation(Planner *p, Table *t, Relation **out, Error *error) {
    Relation **known = &p->sources[table_number(p, t)];
    if (!*known) {
        if (!t->connector->source)
            return fail_at(error, t->line, t->place,
                           "connector '%s' cannot be read: table %s can only be written to",
                           t->connector->name, t->name);
        t->is_source = true;
        if (table_relation(p, t, REL_SOURCE, known, error) != OK) return FAIL;
    }
    *out = *known;
    return OK;
}

Status reference_relation(Planner *p, Table *t, Relation **out, Error *error) {
    Relation **known = &p->references[table_number(p, t)];
    if (!*known) {
        if (!t->connector->reference || !t->connector->source)
            return fail_at(
                error, t->line, t->place,
                "connector '%s' cannot hold reference data for a join; keep table %s in a file",
                t->connector->name, t->name);
        t->is_reference = true;
        if (table_relation(p, t, REL_REFERENCE, known, error) != OK) return FAIL;
    }
    *out = *known;
    return OK;
}

/* ---- checks that need to know how a table is used ---- */

static const char *table_uses(const Table *t) {
    if (t->is_source && t->is_reference) return "a source and reference data";
    return t->is_source ? "a source" : t->is_reference ? "reference data" : "a sink";
}

static Status check_option(Catalog *c, const Table *t, const OptionValue *value, Error *error) {
    enum { uses = OPTION_SOURCE | OPTION_SINK | OPTION_REFERENCE };
    if (!value->given || (!t->is_source && !t->is_sink && !t->is_reference)) return OK;
    int flags = value->option                 ? value->option->flags
                : t->connector->property_uses ? t->connector->property_uses(value->name)
                                              : 0; /* made by `leat sql` */
    flags &= uses;
    int used = (t->is_source ? OPTION_SOURCE : 0) | (t->is_sink ? OPTION_SINK : 0) |
               (t->is_reference ? OPTION_REFERENCE : 0);
    const char *idle = value->option || !t->connector->property_idle
                           ? NULL
                           : t->connector->property_idle(value->name);
    if (idle)
        warn(c, value->line, value->place,
             arena_format(c->arena, "\"%s\" does nothing: %s", value->name, idle));
    if (!flags || (flags & used)) return OK;
    const char *where = flags & OPTION_SINK     ? "sinks"
                        : flags & OPTION_SOURCE ? "sources"
                                                : "reference tables";
    const char *quote = value->option ? "'" : "\"";
    return fail_at(error, value->line, value->place,
                   "option %s%s%s is for %s, but table %s is used as %s; take it away", quote,
                   value->name, quote, where, t->name, table_uses(t));
}

static Status read_and_written(const Catalog *c, const Table *t, Error *error) {
    int line = t->line, place = t->place;
    for (int i = 0; i < c->insert_count; i++)
        if (name_matches(c->inserts[i].table, c->inserts[i].quoted, t->name)) {
            line = c->inserts[i].line;
            place = c->inserts[i].place;
        }
    return fail_at(error, line, place,
                   "table %s is both read and written; write to one table and read from another",
                   t->name);
}

/* A path without what changes nothing of it: ./ and doubled slashes. */
static const char *plain_path(Arena *arena, const Table *t) {
    const char *path = option_text(&t->options, "path", "");
    char *plain = arena_text(arena, str_from(path)), *to = plain;
    for (const char *at = path; *at;) {
        bool begins = to == plain || to[-1] == '/';
        if (begins && at[0] == '.' && at[1] == '/') at += 2;
        else if (begins && at[0] == '/' && at != path) at++;
        else *to++ = *at++;
    }
    *to = 0;
    return *plain ? plain : "./";
}

/* Whether a source's path, a file, folder or pattern, takes in what a sink writes. */
static bool takes_in(Arena *arena, const Table *source, const Table *sink) {
    const char *from = plain_path(arena, source), *written = plain_path(arena, sink);
    size_t size = strlen(written), from_size = strlen(from);
    if (written[size - 1] == '/') { /* a file an epoch */
        bool csv = strcmp(option_text(&sink->options, "format", "json"), "csv") == 0;
        const char *name = csv ? "epoch-000000000001.csv" : "epoch-000000000001.ndjson";
        char *file = arena_new_array(arena, char, (int)(size + strlen(name) + 1));
        stpcpy(stpcpy(file, written), name);
        written = strncmp(file, "./", 2) == 0 ? file + 2 : file;
    }
    const char *slash = strrchr(written, '/');
    size_t folder = slash ? (size_t)(slash - written) : 0;
    if (from_size > 1 && from[from_size - 1] == '/') from_size--;
    if (slash ? from_size == folder && memcmp(from, written, folder) == 0
              : from_size == 1 && *from == '.')
        return true;
    return strcmp(from, written) == 0 || fnmatch(from, written, FNM_PATHNAME) == 0;
}

/* A sink's file cut or written while it is read, or by two sinks, is never meant. */
static Status check_file(const Catalog *c, const Table *t, Error *error) {
    const char *path = option_text(&t->options, "path", "");
    for (int i = 0; i < c->table_count; i++) {
        const Table *other = &c->tables[i];
        if (other == t || other->connector != t->connector) continue;
        if (!other->is_source && !other->is_sink && !other->is_reference) continue;
        if (!*path || strcmp(path, "-") == 0) continue;
        if (other->is_sink ? strcmp(plain_path(c->arena, t), plain_path(c->arena, other)) != 0
                           : !takes_in(c->arena, other, t))
            continue;
        return fail_at(error, t->line, t->place,
                       "table %s writes the file '%s' that table %s %s; give it a file of its own",
                       t->name, path, other->name, other->is_sink ? "writes" : "reads");
    }
    return OK;
}

static Status check_table(Catalog *c, Table *t, Error *error) {
    if (t->is_sink && check_file(c, t, error) != OK) return FAIL;
    if (t->is_sink && (t->is_source || t->is_reference)) return read_and_written(c, t, error);
    for (int i = 0; i < t->options.count; i++)
        if (check_option(c, t, &t->options.values[i], error) != OK) return FAIL;
    if (!t->connector->check) return OK;
    Status status = t->connector->check(&t->options, t->is_source || t->is_reference, t->is_sink,
                                        t->key_count > 0, error);
    if (status == OK) return OK;
    if (!error->line) {
        error->line = t->line;
        error->column = t->place;
    }
    return FAIL;
}

Status check_tables(Planner *p, Error *error) {
    for (int i = 0; i < p->catalog->table_count; i++)
        if (check_table(p->catalog, &p->catalog->tables[i], error) != OK) return FAIL;
    return OK;
}

/* ---- decoding ---- */

static int place_of_column(const void *context, int column) {
    return ((const ColumnSet *)context)->columns[column].place;
}

static void decode_column(Planner *p, const Relation *r, PlannedColumn *c, DecodeSpec *spec) {
    DecodeColumn *d = &spec->columns[spec->column_count];
    *d = (DecodeColumn){.kind = c->decode,
                        .name = c->path_of >= 0 ? r->set->columns[c->path_of].name : c->name,
                        .type = c->type,
                        .not_null = c->not_null,
                        .path = c->path,
                        .path_count = c->path_count};
    if (c->expr) d->expr = expr_map(p->arena, c->expr, place_of_column, r->set);
    c->place = spec->column_count++;
}

static void csv_layout(Planner *p, const Table *t, DecodeSpec *spec) {
    spec->csv_header = option_bool(&t->options, "header", true);
    const char *delimiter = option_text(&t->options, "delimiter", ",");
    spec->csv_delimiter = *delimiter ? *delimiter : ',';
    spec->csv_columns = arena_new_array(p->arena, char *, t->column_count);
    for (int i = 0; i < t->column_count; i++)
        if (!t->columns[i].generated)
            spec->csv_columns[spec->csv_column_count++] =
                arena_text(p->arena, str_from(t->columns[i].name));
}

/* Computed columns come last, since they are computed from those before them. */
static DecodeSpec decode_spec(Planner *p, Relation *r) {
    const Table *t = r->table;
    DecodeSpec spec = {.table = t->name,
                       .event_time = -1,
                       .on_error = t->on_error,
                       .any_text = p->adhoc,
                       .max_future_us = t->max_future_us,
                       .columns = arena_new_array(p->arena, DecodeColumn, r->set->count)};
    for (int computed = 0; computed <= 1; computed++)
        for (int i = 0; i < r->set->count; i++) {
            PlannedColumn *c = &r->set->columns[i];
            if (c->used && (c->expr != NULL) == computed) decode_column(p, r, c, &spec);
        }
    csv_layout(p, t, &spec);
    return spec;
}

static Schema decode_schema(Planner *p, const DecodeSpec *spec) {
    Schema schema = {spec->column_count, arena_new_array(p->arena, Field, spec->column_count)};
    for (int i = 0; i < spec->column_count; i++) {
        const DecodeColumn *c = &spec->columns[i];
        const char *name = c->name ? c->name : "metadata";
        if (c->kind == DECODE_PATH) {
            Buffer text = {0};
            buffer_add_text(&text, name);
            for (int k = 0; k < c->path_count; k++) buffer_add_format(&text, ".%s", c->path[k]);
            name = arena_text(p->arena, buffer_str(&text));
            buffer_free(&text);
        }
        schema.fields[i] = (Field){name, c->type, c->not_null};
    }
    return schema;
}

void emit_source(Planner *p, Relation *r) {
    Plan *plan = p->plan;
    DecodeSpec spec = decode_spec(p, r);
    if (r->table->event_time >= 0) spec.event_time = r->set->columns[r->table->event_time].place;
    int number = plan->source_count++;
    plan->nodes[plan->node_count] = (PlanNode){.kind = NODE_SOURCE,
                                               .name = r->table->name,
                                               .query = -1,
                                               .index = number,
                                               .schema = decode_schema(p, &spec)};
    plan->sources[number] = (PlanSource){r->table, spec, plan->node_count};
    r->node = plan->node_count++;
}

void emit_reference(Planner *p, Relation *r) {
    Plan *plan = p->plan;
    const Table *t = r->table;
    DecodeSpec spec = decode_spec(p, r);
    PlanReference *reference = &plan->references[plan->reference_count];
    *reference = (PlanReference){.table = r->table,
                                 .decode = spec,
                                 .schema = decode_schema(p, &spec),
                                 .keys = arena_new_array(p->arena, int, t->key_count),
                                 .key_count = t->key_count,
                                 .refresh_us = option_int(&t->options, "refresh", 0)};
    for (int i = 0; i < t->key_count; i++) reference->keys[i] = r->set->columns[t->keys[i]].place;
    r->node = plan->reference_count++;
}
