/* The WITH (…) of a table: names looked up in the connector's table of options, values parsed by
 * their rows. Unknown names are errors with the nearest known one. What a table's options mean for
 * time and errors is then kept in Table itself, so that the planner need not know their names. */
#include "sql/tree.h"
#include <stdio.h>
#include <stdlib.h>

enum { OPTIONS_MOST = 500 };

/* ---- values ---- */

/* The token of a DefElem's value: behind its name and "=". */
static int value_token(Catalog *c, const PgQuery__DefElem *d) {
    const Trees *trees = trees_of(c);
    int token = token_at(trees, d->location);
    for (int steps = 0; steps < 6 && token < trees->token_count; steps++)
        if (token_is(trees, token++, "=")) return token;
    return token_at(trees, d->location);
}

int definition_value_location(Catalog *c, const PgQuery__DefElem *d) {
    return trees_of(c)->tokens[value_token(c, d)].start;
}

Status definition_text(Catalog *c, const PgQuery__DefElem *d, const char **text, Error *error) {
    const PgQuery__Node *arg = d->arg;
    if (!arg)
        return error_at(c, d->location, error, "option '%s' needs a value: %s = …", d->defname,
                        d->defname);
    int location = definition_value_location(c, d);
    switch (arg->node_case) {
    case PG_QUERY__NODE__NODE_STRING: *text = arg->string->sval; return OK;
    case PG_QUERY__NODE__NODE_INTEGER:
        *text = arena_format(c->arena, "%d", arg->integer->ival);
        return OK;
    case PG_QUERY__NODE__NODE_FLOAT: *text = arg->float_->fval; return OK;
    case PG_QUERY__NODE__NODE_BOOLEAN: *text = arg->boolean->boolval ? "true" : "false"; return OK;
    case PG_QUERY__NODE__NODE_TYPE_NAME: {
        bool quoted;
        const PgQuery__TypeName *t = arg->type_name;
        int token = value_token(c, d);
        if (t->n_names <= 2 && t->n_typmods == 0 && t->n_array_bounds == 0 && !t->setof &&
            !token_is(trees_of(c), token + 1, ".")) {
            *text = token_name(c, token, &quoted);
            if (!quoted) return OK;
            return error_at(c, location, error, "values are written in single quotes: %s = '%s'",
                            d->defname, *text);
        }
        break;
    }
    default: break;
    }
    return error_at(c, location, error,
                    "the value of option '%s' is written in single quotes: %s = '…'", d->defname,
                    d->defname);
}

/* ---- names ---- */

static int rows_of(const Option *options) {
    int count = 0;
    while (options && options[count].name) count++;
    return count;
}

static const Option *find_row(const Option *options, const char *name) {
    for (int i = 0; i < rows_of(options); i++)
        if (strcmp(options[i].name, name) == 0) return &options[i];
    return NULL;
}

static Status unknown_option(Catalog *c, const Connector *connector, const char *name, bool quoted,
                             int location, Error *error) {
    const char *names[OPTIONS_MOST];
    int count = 0;
    for (int i = 0; i < rows_of(common_options) && count < OPTIONS_MOST; i++)
        names[count++] = common_options[i].name;
    for (int i = 0; i < rows_of(connector->options) && count < OPTIONS_MOST; i++)
        names[count++] = connector->options[i].name;
    const char *closest = closest_name(name, names, count);
    if (closest)
        return error_at(c, location, error,
                        "unknown option '%s' for connector '%s'; did you mean '%s'?", name,
                        connector->name, closest);
    if (connector->properties && !quoted)
        return error_at(c, location, error,
                        "unknown option '%s' for connector '%s'; a property of the client library "
                        "is written in double quotes: \"%s\"",
                        name, connector->name, name);
    Buffer list = {0};
    for (int i = 0; i < count; i++)
        if (strcmp(names[i], "connector") != 0)
            buffer_add_format(&list, "%s%s", list.size ? ", " : "", names[i]);
    Status status =
        error_at(c, location, error, "unknown option '%s' for connector '%s'; there are %.*s", name,
                 connector->name, (int)list.size, list.data);
    buffer_free(&list);
    return status;
}

static Status find_connector(Catalog *c, Table *t, PgQuery__Node **options, size_t count,
                             Error *error) {
    const char *names[64];
    int known = 0;
    for (; known < 64 && connector_at(known); known++) names[known] = connector_at(known)->name;
    for (size_t i = 0; i < count; i++) {
        const PgQuery__DefElem *d = options[i]->def_elem;
        if (strcmp(d->defname, "connector") != 0) continue;
        const char *name;
        int location = definition_value_location(c, d);
        Status status = definition_text(c, d, &name, error);
        if (status == OK) status = replace_variables(c, location, name, &name, error);
        if (status != OK) return status;
        t->connector = connector_find(name);
        if (t->connector) return OK;
        if (connector_is_later(name))
            return error_at(
                c, location, error,
                "connector '%s' comes with a later version; there are file, kafka and generator",
                name);
        const char *closest = closest_name(name, names, known);
        if (closest)
            return error_at(c, location, error, "unknown connector '%s'; did you mean '%s'?", name,
                            closest);
        return error_at(c, location, error,
                        "unknown connector '%s'; there are file, kafka and generator", name);
    }
    return fail_at(
        error, t->line, t->place,
        "table \"%s\" needs a connector: WITH (connector = 'file' | 'kafka' | 'generator', …)",
        t->name);
}

/* ---- one option ---- */

static Status parse_value(Catalog *c, const Connector *connector, const Option *row,
                          const char *text, int location, OptionValue *out, Error *error) {
    if (row->flags & OPTION_LATER)
        return error_at(c, location, error,
                        "option '%s' of connector '%s' comes with a later version", row->name,
                        connector->name);
    Error inner = {0};
    OptionValue parsed = {0};
    if (option_parse(row, text, &parsed, &inner) != OK)
        return error_at(c, location, error, "%s", inner.text);
    out->integer = parsed.integer;
    if (row->type == OPTION_NUMBER) out->number = parsed.number;
    return OK;
}

static Status read_option(Catalog *c, Table *t, const PgQuery__DefElem *d, Error *error) {
    OptionValue *value = &t->options.values[t->options.count];
    bool quoted = false;
    const char *name = spelling_of(c, d->location, d->defname, &quoted);
    if (!quoted) name = d->defname;
    if (d->defnamespace && *d->defnamespace)
        return error_at(c, d->location, error,
                        "an option name with a dot is written in double quotes: \"%s.%s\"",
                        d->defnamespace, d->defname);
    const Option *row = find_row(t->connector->options, name);
    if (!row) row = find_row(common_options, name);
    if (!row && !(t->connector->properties && quoted))
        return unknown_option(c, t->connector, name, quoted, d->location, error);
    for (int i = 0; i < t->options.count; i++)
        if (strcmp(t->options.values[i].name, name) == 0)
            return error_at(c, d->location, error, "option '%s' is given twice", name);
    *value =
        (OptionValue){.option = row, .name = arena_text(c->arena, str_from(name)), .given = true};
    place_of(c, d->location, &value->line, &value->place);
    int location = definition_value_location(c, d);
    Status status = definition_text(c, d, &value->raw, error);
    if (status == OK) status = replace_variables(c, location, value->raw, &value->text, error);
    if (status == OK && row)
        status = parse_value(c, t->connector, row, value->text, location, value, error);
    if (status == OK) t->options.count++;
    return status;
}

static void add_defaults(Catalog *c, Table *t, const Option *options) {
    for (int i = 0; i < rows_of(options); i++) {
        const Option *row = &options[i];
        bool there = !row->default_text;
        for (int k = 0; k < t->options.count && !there; k++)
            there = strcmp(t->options.values[k].name, row->name) == 0;
        if (there) continue;
        OptionValue *value = &t->options.values[t->options.count];
        *value = (OptionValue){
            .option = row, .name = row->name, .text = row->default_text, .raw = row->default_text};
        Error ignored;
        /* "off" and kin are defaults in words alone */
        if (parse_value(c, t->connector, row, row->default_text, -1, value, &ignored) == OK)
            t->options.count++;
    }
}

/* ---- what they mean for the table ---- */

static Status option_error(const OptionValue *o, Error *error, const char *text) {
    return fail_at(error, o->line, o->place, "%s", text);
}

static Status read_event_time(Catalog *c, Table *t, Error *error) {
    const OptionValue *o = option_find(&t->options, "event_time");
    if (!o) {
        static const char *const useless[] = {"watermark_delay", "idle_timeout", "max_future"};
        for (size_t i = 0; i < 3; i++) {
            const OptionValue *other = option_find(&t->options, useless[i]);
            if (other && other->given)
                return option_error(
                    other, error,
                    arena_format(c->arena,
                                 "%s says nothing without event_time; add event_time = 'column'",
                                 useless[i]));
        }
        return OK;
    }
    Error inner = {0};
    if (table_find_column(c, t, o->text, -1, &t->event_time, &inner) != OK)
        return option_error(o, error, inner.text);
    TypeKind kind = t->columns[t->event_time].type.kind;
    if (kind != TYPE_TIMESTAMPTZ && kind != TYPE_TIMESTAMP)
        return option_error(
            o, error,
            arena_format(c->arena,
                         "event_time column \"%s\" has type %s; it must be timestamptz or "
                         "timestamp (a generated column can make one: to_timestamp(ms / 1000.0))",
                         t->columns[t->event_time].name,
                         type_name(t->columns[t->event_time].type, c->arena)));
    return OK;
}

static Status check_not_negative(const Table *t, const char *name, Error *error) {
    const OptionValue *o = option_find(&t->options, name);
    if (!o || o->integer >= 0) return OK;
    return fail_at(error, o->line, o->place, "%s = '%s' must not be negative", name, o->text);
}

static Status read_meaning(Catalog *c, Table *t, Error *error) {
    Status status = read_event_time(c, t, error);
    if (status == OK) status = check_not_negative(t, "watermark_delay", error);
    if (status == OK) status = check_not_negative(t, "idle_timeout", error);
    if (status == OK) status = check_not_negative(t, "max_future", error);
    if (status != OK) return status;
    t->watermark_delay_us = option_int(&t->options, "watermark_delay", 0);
    t->idle_timeout_us = option_int(&t->options, "idle_timeout", 10 * INT64_C(1000000));
    const OptionValue *future = option_find(&t->options, "max_future");
    bool bounded = t->connector->source && t->connector->source->bounded_possible;
    t->max_future_us = future && future->given ? future->integer
                       : bounded ? INT64_MAX /* files and the generator may tell of any time */
                                 : option_int(&t->options, "max_future", 300 * INT64_C(1000000));
    const char *on_error = option_text(&t->options, "on_error", "dead_letter");
    t->on_error = strcmp(on_error, "null") == 0   ? ON_ERROR_NULL
                  : strcmp(on_error, "skip") == 0 ? ON_ERROR_SKIP
                  : strcmp(on_error, "fail") == 0 ? ON_ERROR_FAIL
                                                  : ON_ERROR_DEAD_LETTER;
    const char *format = option_text(&t->options, "format", "json");
    t->format = format_find(format);
    if (!t->format) {
        const OptionValue *o = option_find(&t->options, "format");
        return fail_at(error, o ? o->line : t->line, o ? o->place : t->place,
                       "format '%s' comes with a later version; there are json, json_array and csv",
                       format);
    }
    return OK;
}

Status read_table_options(Catalog *c, Table *t, PgQuery__Node **options, size_t count,
                          Error *error) {
    if (count > OPTIONS_MOST)
        return fail_at(error, t->line, t->place, "more than %d options", OPTIONS_MOST);
    Status status = find_connector(c, t, options, count, error);
    if (status != OK) return status;
    int most = (int)count + rows_of(common_options) + rows_of(t->connector->options);
    t->options.values = arena_new_array(c->arena, OptionValue, most + 1);
    for (size_t i = 0; i < count && status == OK; i++)
        status = read_option(c, t, options[i]->def_elem, error);
    if (status != OK) return status;
    add_defaults(c, t, t->connector->options);
    add_defaults(c, t, common_options);
    return read_meaning(c, t, error);
}
