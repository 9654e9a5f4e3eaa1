/* GROUP BY as nodes. Groups and joins take columns alone, so expressions among their keys and
 * arguments are computed by a project in front. A session is one operator with its GROUP BY: the
 * window and the WHERE between them become columns of it. */
#include "sql/planner.h"

/* ---- computed columns in front of operators that take columns alone ---- */

Extra extra_new(Planner *p, int most) {
    return (Extra){arena_new_array(p->arena, Expr *, most + 1), 0};
}

int extra_column(Extra *extra, Expr *e) {
    for (int i = 0; i < extra->count; i++)
        if (expr_equal(extra->exprs[i], e)) return i;
    extra->exprs[extra->count] = e;
    return extra->count++;
}

int emit_extra(Planner *p, const Query *query, int input, Extra *extra, bool keep, int *columns,
               int count) {
    bool plain = true;
    for (int i = 0; i < extra->count; i++) plain &= extra->exprs[i]->kind == EXPR_COLUMN;
    const Schema *below = &p->plan->nodes[input].schema;
    if (plain) {
        for (int i = 0; i < count; i++)
            if (columns[i] >= 0) columns[i] = extra->exprs[columns[i]]->column;
        return input;
    }
    int kept = keep ? below->count : 0;
    ProjectSpec *spec = arena_zero(p->arena, sizeof *spec);
    spec->exprs = arena_new_array(p->arena, Expr *, kept + extra->count);
    Schema schema = {0, arena_new_array(p->arena, Field, kept + extra->count)};
    for (int i = 0; i < kept; i++) {
        spec->exprs[spec->count++] = expr_column(p->arena, i, below->fields[i].type);
        schema.fields[schema.count++] = below->fields[i];
    }
    int *places = arena_new_array(p->arena, int, extra->count);
    for (int i = 0; i < extra->count; i++) {
        Expr *e = extra->exprs[i];
        bool column = e->kind == EXPR_COLUMN;
        places[i] = keep && column ? e->column : spec->count;
        if (keep && column) continue;
        spec->exprs[spec->count++] = e;
        schema.fields[schema.count++] = (Field){
            column ? below->fields[e->column].name : expr_name(p, e, below), e->type, false};
    }
    for (int i = 0; i < count; i++)
        if (columns[i] >= 0) columns[i] = places[columns[i]];
    return add_node(p, query, &project_operator, spec, schema, &input, 1);
}

/* ---- groups ---- */

static const char *call_name(Planner *p, const AggregateUse *use, const Schema *input,
                             const ColumnSet *set) {
    Buffer text = {0};
    buffer_add_format(&text, "%s(%s", use->aggregate->name, use->distinct ? "DISTINCT " : "");
    if (use->arg) expr_words(expr_placed(p, use->arg, set), input, &text);
    else buffer_add_char(&text, '*');
    buffer_add_char(&text, ')');
    if (use->filter) {
        buffer_add_text(&text, " FILTER (WHERE ");
        expr_words(expr_placed(p, use->filter, set), input, &text);
        buffer_add_char(&text, ')');
    }
    const char *name = arena_text(p->arena, buffer_str(&text));
    buffer_free(&text);
    return name;
}

static Schema group_schema(Planner *p, Relation *r, const Schema *input) {
    const ColumnSet *below = r->inputs[0]->set;
    Schema schema = {r->key_count + r->use_count,
                     arena_new_array(p->arena, Field, r->key_count + r->use_count + 1)};
    for (int i = 0; i < schema.count; i++) {
        PlannedColumn *c = &r->set->columns[i];
        const char *name = c->name;
        if (i >= r->key_count && !name)
            name = call_name(p, &r->uses[i - r->key_count], input, below);
        else if (!name) name = expr_name(p, expr_placed(p, r->key_exprs[0][i], below), input);
        schema.fields[i] = (Field){name, c->type, c->not_null};
        c->place = i;
    }
    return schema;
}

/* What a GROUP BY needs as columns of its input. The session's own window columns have no place
 * there: they become negative. */
typedef struct GroupColumns {
    int *keys, *args, *filters; /* filters has one more: the session's own, or -1 */
    int *all, count;
} GroupColumns;

static GroupColumns group_columns(Planner *p, Relation *r, Extra *extra, Expr *session_filter) {
    const ColumnSet *below = r->inputs[0]->set;
    int count = r->key_count + 2 * r->use_count + 1;
    GroupColumns g = {.all = arena_new_array(p->arena, int, count), .count = count};
    g.keys = g.all;
    g.args = g.keys + r->key_count;
    g.filters = g.args + r->use_count;
    for (int i = 0; i < r->key_count; i++) {
        const Expr *e = r->key_exprs[0][i];
        const PlannedColumn *c = e->kind == EXPR_COLUMN ? &below->columns[e->column] : NULL;
        bool own = r->session && c && c->input < 0 &&
                   (c->role == ROLE_WINDOW_START || c->role == ROLE_WINDOW_END);
        g.keys[i] = !own                           ? extra_column(extra, expr_placed(p, e, below))
                    : c->role == ROLE_WINDOW_START ? SESSION_START
                                                   : SESSION_END;
    }
    for (int i = 0; i < r->use_count; i++) {
        const AggregateUse *use = &r->uses[i];
        g.args[i] = use->arg ? extra_column(extra, expr_placed(p, use->arg, below)) : -1;
        g.filters[i] = use->filter ? extra_column(extra, expr_placed(p, use->filter, below)) : -1;
    }
    g.filters[r->use_count] =
        session_filter ? extra_column(extra, expr_placed(p, session_filter, below)) : -1;
    return g;
}

static AggregateCall *group_calls(Planner *p, const Relation *r, const GroupColumns *g) {
    AggregateCall *calls = arena_new_array(p->arena, AggregateCall, r->use_count + 1);
    for (int i = 0; i < r->use_count; i++) {
        const AggregateUse *use = &r->uses[i];
        calls[i] = (AggregateCall){.aggregate = use->aggregate,
                                   .distinct = use->distinct,
                                   .arg = g->args[i],
                                   .filter = g->filters[i],
                                   .arg_type = use->arg ? use->arg->type : type_of(TYPE_UNKNOWN),
                                   .result = use->result};
    }
    return calls;
}

static int emit_session(Planner *p, Relation *r) {
    Relation *session = r->session;
    Expr *filter = NULL;
    for (Relation *below = r->inputs[0]; below != session; below = below->inputs[0]) {
        if (filter) {
            Expr **both = arena_new_array(p->arena, Expr *, 2);
            both[0] = below->condition;
            both[1] = filter;
            filter = expr_of(p->arena, EXPR_AND, type_of(TYPE_BOOL), both, 2);
        } else {
            filter = below->condition;
        }
    }
    int input = emit_relation(p, session->inputs[0]);
    const ColumnSet *below = session->inputs[0]->set;
    for (int i = 0; i < session->set->count; i++) {
        PlannedColumn *c = &session->set->columns[i];
        if (c->input >= 0) c->place = below->columns[c->from].place;
    }
    Extra extra = extra_new(p, session->key_count + 1 + r->key_count + 2 * r->use_count + 1);
    int *partition = arena_new_array(p->arena, int, session->key_count + 1);
    for (int i = 0; i < session->key_count; i++) {
        const PlannedColumn *c = &below->columns[session->keys[i]];
        partition[i] = extra_column(&extra, expr_column(p->arena, c->place, c->type));
    }
    if (session->window.time_kind != TIME_EVENT) {
        const PlannedColumn *c = &below->columns[session->window.time];
        partition[session->key_count] =
            extra_column(&extra, expr_column(p->arena, c->place, c->type));
    } else {
        partition[session->key_count] = -1;
    }
    GroupColumns g = group_columns(p, r, &extra, filter);
    Schema output = group_schema(p, r, &p->plan->nodes[input].schema);
    int *columns = arena_new_array(p->arena, int, g.count + session->key_count + 1);
    memcpy(columns, g.all, sizeof *columns * (size_t)g.count);
    memcpy(columns + g.count, partition, sizeof *columns * (size_t)(session->key_count + 1));
    input =
        emit_extra(p, r->query, input, &extra, false, columns, g.count + session->key_count + 1);
    memcpy(g.all, columns, sizeof *columns * (size_t)g.count);
    SessionSpec *spec = arena_zero(p->arena, sizeof *spec);
    *spec = (SessionSpec){.time_kind = session->window.time_kind,
                          .time = columns[g.count + session->key_count],
                          .gap_us = session->gap_us,
                          .partition = columns + g.count,
                          .partition_count = session->key_count,
                          .keys = g.keys,
                          .key_count = r->key_count,
                          .filter = g.filters[r->use_count],
                          .calls = group_calls(p, r, &g),
                          .call_count = r->use_count,
                          .output = output};
    spec->block_size = aggregates_layout(spec->calls, spec->call_count);
    return add_node(p, r->query, &session_operator, spec, output, &input, 1);
}

int emit_aggregate(Planner *p, Relation *r) {
    if (r->session) return emit_session(p, r);
    int input = emit_relation(p, r->inputs[0]);
    Extra extra = extra_new(p, r->key_count + 2 * r->use_count);
    GroupColumns g = group_columns(p, r, &extra, NULL);
    Schema output = group_schema(p, r, &p->plan->nodes[input].schema);
    input = emit_extra(p, r->query, input, &extra, false, g.all, g.count);
    AggregateSpec *spec = arena_zero(p->arena, sizeof *spec);
    *spec = (AggregateSpec){.keys = g.keys,
                            .key_count = r->key_count,
                            .calls = group_calls(p, r, &g),
                            .call_count = r->use_count,
                            .close = r->close,
                            .bucket = r->bucket,
                            .growth = r->growth,
                            .bounded = r->close == CLOSE_NEVER && r->bounded,
                            .output = output,
                            .ttl_us = r->ttl_us};
    spec->block_size = aggregates_layout(spec->calls, spec->call_count);
    return add_node(p, r->query, &aggregate_operator, spec, output, &input, 1);
}
