/* The hash of a query: of a text that says what its answer depends on and nothing else. Expressions
 * and types are in it, and the options that change answers; addresses, secrets and rates are not,
 * nor is anything about the query's neighbours: which columns others read must not change it.
 * Columns of tables are written where they are read, with all that decides their values, however
 * many views they came through under their own name: so that a column which is added to a table
 * changes nothing for those who read it through SELECT * and do not take it. */
#include "sql/planner.h"
#include "base/hash.h"

static void relation_text(Planner *, const Query *, const Relation *, Buffer *);

static const char *table_column_text(Planner *p, const Relation *table, int column);

/* The table that a column comes from unchanged and under one name; NULL: it is made on the way. */
static const Relation *table_of(const ColumnSet *set, int column, int *of_table) {
    const PlannedColumn *c = &set->columns[column];
    const Relation *owner = set->owner;
    if (owner->kind == REL_SOURCE || owner->kind == REL_REFERENCE) {
        *of_table = column;
        return owner;
    }
    const ColumnSet *below = NULL;
    int from = c->from;
    if (owner->kind == REL_PROJECT && c->expr && c->expr->kind == EXPR_COLUMN) {
        below = owner->inputs[0]->set;
        from = c->expr->column;
    } else if ((owner->kind == REL_WINDOW || owner->kind == REL_SESSION ||
                owner->kind == REL_REFERENCE_JOIN || owner->kind == REL_WINDOW_JOIN) &&
               c->input >= 0) {
        below = owner->inputs[c->input]->set;
    }
    if (!below || !c->name || !below->columns[from].name ||
        strcmp(c->name, below->columns[from].name) != 0)
        return NULL;
    return table_of(below, from, of_table);
}

/* Names for the columns of a relation, as expr_text wants them. */
static Schema text_schema(Planner *p, const ColumnSet *set) {
    Schema schema = {set->count, arena_new_array(p->arena, Field, set->count + 1)};
    for (int i = 0; i < set->count; i++) {
        const PlannedColumn *c = &set->columns[i];
        const char *name = c->name ? c->name : arena_format(p->arena, "$%d", i + 1);
        int of_table = 0;
        const Relation *table = table_of(set, i, &of_table);
        if (table) {
            name = table_column_text(p, table, of_table);
        } else if (c->path_of >= 0) {
            Buffer text = {0};
            buffer_add_text(&text,
                            set->columns[c->path_of].name ? set->columns[c->path_of].name : "");
            for (int k = 0; k < c->path_count; k++) buffer_add_format(&text, ".%s", c->path[k]);
            buffer_add_format(&text, "::%s", type_name(c->type, p->arena));
            name = arena_text(p->arena, buffer_str(&text));
            buffer_free(&text);
        }
        bool joined = set->owner->kind == REL_REFERENCE_JOIN || set->owner->kind == REL_WINDOW_JOIN;
        if (joined && c->input == 1) name = arena_format(p->arena, "right.%s", name);
        schema.fields[i] = (Field){name, c->type, c->not_null};
    }
    return schema;
}

/* "value::double precision", "complexData.moreData4::double precision", "total::bigint=(a + b)". */
static const char *table_column_text(Planner *p, const Relation *table, int column) {
    const PlannedColumn *c = &table->set->columns[column];
    Buffer text = {0};
    if (c->path_of >= 0) {
        buffer_add_text(&text, table->set->columns[c->path_of].name);
        for (int k = 0; k < c->path_count; k++) buffer_add_format(&text, ".%s", c->path[k]);
    } else if (c->name) {
        buffer_add_text(&text, c->name);
    } else {
        buffer_add_format(&text, "metadata %d", (int)c->decode);
    }
    buffer_add_format(&text, "::%s%s", type_name(c->type, p->arena),
                      c->not_null ? " not null" : "");
    if (c->expr) {
        buffer_add_char(&text, '=');
        Schema schema = {table->set->count, arena_new_array(p->arena, Field, table->set->count)};
        for (int i = 0; i < schema.count; i++)
            schema.fields[i].name =
                table->set->columns[i].expr ? NULL : table_column_text(p, table, i);
        expr_text(c->expr, &schema, &text);
    }
    const char *name = arena_text(p->arena, buffer_str(&text));
    buffer_free(&text);
    return name;
}

/* As it was understood, so that '60 seconds' and '1 minute' are one, and a default is the same as
 * saying it. */
static void option_text_of(const Table *t, const Option *option, int use, Buffer *out) {
    enum { uses = OPTION_SOURCE | OPTION_SINK | OPTION_REFERENCE };
    if (!(option->flags & OPTION_ANSWER) || (option->flags & uses && !(option->flags & use)))
        return;
    const OptionValue *value = option_find(&t->options, option->name);
    OptionValue fallback = {0};
    if (!value || !value->given) {
        Error ignored;
        if (!option->default_text ||
            option_parse(option, option->default_text, &fallback, &ignored) != OK)
            return;
        fallback.text = option->default_text;
        value = &fallback;
    }
    if (option->type == OPTION_TEXT)
        buffer_add_format(out, ",%s=%s", option->name, value->text ? value->text : "");
    else if (option->type == OPTION_NUMBER)
        buffer_add_format(out, ",%s=%.17g", option->name, value->number);
    else buffer_add_format(out, ",%s=%lld", option->name, (long long)value->integer);
}

static void options_text(const Table *t, int use, Buffer *out) {
    buffer_add_format(out, "%s(connector=%s", t->name, t->connector->name);
    for (const Option *o = t->connector->options; o && o->name; o++) option_text_of(t, o, use, out);
    for (const Option *o = common_options; o->name; o++)
        if (strcmp(o->name, "connector") != 0) option_text_of(t, o, use, out);
}

static void table_text(Planner *p, const Relation *r, Buffer *out) {
    const Table *t = r->table;
    buffer_add_text(out, r->kind == REL_SOURCE ? "source " : "reference ");
    options_text(t, r->kind == REL_SOURCE ? OPTION_SOURCE : OPTION_REFERENCE, out);
    buffer_add_char(out, ')');
    if (r->kind == REL_SOURCE && t->event_time >= 0)
        buffer_add_format(out, "[%s]", table_column_text(p, r, t->event_time));
    for (int i = 0; r->kind == REL_REFERENCE && i < t->key_count; i++)
        buffer_add_format(out, "[%s]", table_column_text(p, r, t->keys[i]));
}

static void list_text(Planner *p, const char *word, Expr *const *exprs, int count,
                      const ColumnSet *set, Buffer *out) {
    Schema schema = text_schema(p, set);
    buffer_add_format(out, " %s(", word);
    for (int i = 0; i < count; i++) {
        if (i > 0) buffer_add_text(out, ", ");
        expr_text(exprs[i], &schema, out);
    }
    buffer_add_char(out, ')');
}

static void columns_text(Planner *p, const char *word, const int *columns, int count,
                         const ColumnSet *set, Buffer *out) {
    Expr **exprs = arena_new_array(p->arena, Expr *, count + 1);
    for (int i = 0; i < count; i++)
        exprs[i] = expr_column(p->arena, columns[i], set->columns[columns[i]].type);
    list_text(p, word, exprs, count, set, out);
}

/* What leaves, or is kept, is written whole; what passes on the way is not, nor, where no other
 * query reads it, what is computed in vain. */
static bool is_told(const Relation *r, int column) {
    int of_table;
    if (r->exact || keeps_all(r->query->root)) return true;
    if (table_of(r->set, column, &of_table)) return false;
    return r->set->columns[column].used || r->query->kind == QUERY_SHARED;
}

static void project_text(Planner *p, const Relation *r, Buffer *out) {
    Schema schema = text_schema(p, r->inputs[0]->set);
    buffer_add_text(out, "project(");
    for (int i = 0, told = 0; i < r->set->declared; i++) {
        const PlannedColumn *c = &r->set->columns[i];
        if (!is_told(r, i)) continue;
        if (told++ > 0) buffer_add_text(out, ", ");
        expr_text(c->expr, &schema, out);
        if (c->name) buffer_add_format(out, " as %s", c->name);
    }
    buffer_add_char(out, ')');
}

static void window_text(Planner *p, const Relation *r, Buffer *out) {
    if (r->kind == REL_SESSION) {
        buffer_add_format(out, "session(gap=%lld", (long long)r->gap_us);
        columns_text(p, "by", r->keys, r->key_count, r->inputs[0]->set, out);
    } else {
        buffer_add_format(out, "%s(slide=%lld size=%lld offset=%lld",
                          r->window.kind == WINDOW_CUMULATE ? "cumulate" : "window",
                          (long long)r->window.slide_us, (long long)r->window.size_us,
                          (long long)r->window.offset_us);
    }
    columns_text(p, "time", &r->window.time, 1, r->inputs[0]->set, out);
    buffer_add_char(out, ')');
}

static void aggregate_text(Planner *p, const Relation *r, Buffer *out) {
    const ColumnSet *below = r->inputs[0]->set;
    buffer_add_format(out, "aggregate(close=%d", (int)r->close);
    if (r->ttl_us) buffer_add_format(out, " ttl=%lld", (long long)r->ttl_us);
    list_text(p, "by", r->key_exprs[0], r->key_count, below, out);
    Schema schema = text_schema(p, below);
    for (int i = 0; i < r->use_count; i++) {
        const AggregateUse *use = &r->uses[i];
        buffer_add_format(out, " %s(%s", use->aggregate->name, use->distinct ? "distinct " : "");
        if (use->arg) expr_text(use->arg, &schema, out);
        buffer_add_format(out, ")::%s", type_name(use->result, p->arena));
        if (!use->filter) continue;
        buffer_add_text(out, " filter ");
        expr_text(use->filter, &schema, out);
    }
    buffer_add_char(out, ')');
}

static void join_text(Planner *p, const Relation *r, Buffer *out) {
    buffer_add_format(out, "%s%s(", r->left ? "left " : "",
                      r->kind == REL_WINDOW_JOIN ? "window join" : "reference join");
    list_text(p, "keys", r->key_exprs[0], r->key_count, r->inputs[0]->set, out);
    if (r->kind == REL_WINDOW_JOIN) {
        buffer_add_format(out, " close=%d bucket=%d", (int)r->close, r->bucket);
        list_text(p, "keys", r->key_exprs[1], r->key_count, r->inputs[1]->set, out);
    }
    if (r->condition) {
        Expr *condition = r->condition;
        list_text(p, "on", &condition, 1, r->set, out);
    }
    buffer_add_char(out, ')');
}

static void own_text(Planner *p, const Relation *r, Buffer *out) {
    switch (r->kind) {
    case REL_SOURCE:
    case REL_REFERENCE: table_text(p, r, out); break;
    case REL_FILTER: {
        Expr *condition = r->condition;
        buffer_add_format(out, "%s%s", r->changes ? "remembering " : "",
                          r->having ? "having" : "filter");
        list_text(p, "", &condition, 1, r->set, out);
        break;
    }
    case REL_PROJECT: project_text(p, r, out); break;
    case REL_WINDOW:
    case REL_SESSION: window_text(p, r, out); break;
    case REL_DEDUP:
        buffer_add_format(out, "distinct(horizon=%lld window=%d", (long long)r->horizon_us,
                          r->window_end >= 0);
        columns_text(p, "on", r->keys, r->key_count, r->set, out);
        buffer_add_char(out, ')');
        break;
    case REL_AGGREGATE: aggregate_text(p, r, out); break;
    case REL_REFERENCE_JOIN:
    case REL_WINDOW_JOIN: join_text(p, r, out); break;
    case REL_UNION: buffer_add_text(out, "union"); break;
    }
}

static void relation_text(Planner *p, const Query *query, const Relation *r, Buffer *out) {
    if (r->query && r->query != query) {
        buffer_add_format(out, "query %s %016llx\n", r->query->name,
                          (unsigned long long)p->plan->queries[r->query->number].hash);
        return;
    }
    own_text(p, r, out);
    buffer_add_char(out, '\n');
    for (int i = 0; i < r->input_count; i++) relation_text(p, query, r->inputs[i], out);
}

void hash_query(Planner *p, Query *query, PlanQuery *to) {
    Buffer text = {0};
    if (query->sink) {
        buffer_add_text(&text, "into ");
        options_text(query->sink, OPTION_SINK, &text);
        for (int i = 0; i < query->sink_key_count; i++)
            buffer_add_format(&text, ",key=%d", query->sink_keys[i]);
        buffer_add_text(&text, ")\n");
    } else if (query->view) {
        buffer_add_format(&text, "view %s%s\n", query->name,
                          query->view->emit_final ? " emit=final" : "");
    }
    relation_text(p, query, query->root, &text);
    to->plan_text = arena_text(p->arena, buffer_str(&text));
    to->hash = hash_bytes(buffer_str(&text));
    buffer_free(&text);
}
