/* From relations to nodes: operators with the columns that are read. A filter and a window pass all columns of their input on;
 * a project of plain columns alone is no operator at all, only other numbers for the same columns, except where rows must be exactly
 * so: before a view, a sink, a union and a join of windows. */
#include "sql/planner.h"

static int emit_relation(Planner *, Relation *);

static int place_of_column(const void *context, int column) {
    return ((const ColumnSet *)context)->columns[column].place;
}

static Expr *placed(Planner *p, const Expr *e, const ColumnSet *set) { return expr_map(p->arena, e, place_of_column, set); }

static Schema schema_copy(Planner *p, const Schema *from, int more) {
    Schema schema = {from->count, arena_new_array(p->arena, Field, from->count + more + 1)};
    if (from->count > 0) memcpy(schema.fields, from->fields, sizeof *from->fields * (size_t)from->count);
    return schema;
}

/* "per_device.aggregate"; a second one of the kind: "per_device.aggregate2". */
static const char *node_name(Planner *p, const Query *query, const OperatorType *type) {
    int number = 1;
    for (int i = 0; i < p->plan->node_count; i++) {
        const PlanNode *n = &p->plan->nodes[i];
        number += n->query == query->number && n->type == type;
    }
    char *kind = arena_text(p->arena, str_from(type->name));
    for (char *c = kind; *c; c++)
        if (*c == ' ') *c = '_';
    if (number == 1) return arena_format(p->arena, "%s.%s", query->name, kind);
    return arena_format(p->arena, "%s.%s%d", query->name, kind, number);
}

static int add_node(Planner *p, const Query *query, const OperatorType *type, const void *spec, Schema schema, const int *inputs,
                    int input_count) {
    PlanNode node = {.kind = NODE_OPERATOR,
                     .name = node_name(p, query, type),
                     .query = query->number,
                     .index = -1,
                     .type = type,
                     .spec = spec,
                     .inputs = arena_new_array(p->arena, int, input_count),
                     .input_count = input_count,
                     .schema = schema};
    memcpy(node.inputs, inputs, sizeof *inputs * (size_t)input_count);
    p->plan->nodes[p->plan->node_count] = node;
    return p->plan->node_count++;
}

/* A name for a computed column that has none. */
static const char *expr_name(Planner *p, const Expr *e, const Schema *input) {
    Buffer text = {0};
    expr_words(e, input, &text);
    const char *name = arena_text(p->arena, buffer_str(&text));
    buffer_free(&text);
    return name;
}

/* ---- one of each ---- */

/* May rows come again or be taken back: groups that grow, groups without a window over what does not end? */
static bool rows_change(const Relation *r) {
    if (r->kind == REL_AGGREGATE) return r->growth || r->changes;
    if (r->kind != REL_PROJECT && r->kind != REL_FILTER && r->kind != REL_UNION) return r->changes;
    for (int i = 0; i < r->input_count; i++)
        if (r->inputs[i]->query == r->query && rows_change(r->inputs[i])) return true;
    return r->changes;
}

static int emit_filter(Planner *p, Relation *r, int input) {
    FilterSpec *spec = arena_zero(p->arena, sizeof *spec);
    spec->condition = placed(p, r->condition, r->set);
    spec->changes = rows_change(r);
    return add_node(p, r->query, &filter_operator, spec, schema_copy(p, &p->plan->nodes[input].schema, 0), &input, 1);
}

/* The used columns, as they would stand behind one another. */
static Schema project_schema(Planner *p, ColumnSet *set, const Schema *input) {
    Schema schema = {0, arena_new_array(p->arena, Field, set->count + 1)};
    for (int i = 0; i < set->count; i++) {
        const PlannedColumn *c = &set->columns[i];
        if (!c->used) continue;
        const char *name = c->name ? c->name : expr_name(p, placed(p, c->expr, set->owner->inputs[0]->set), input);
        schema.fields[schema.count++] = (Field){name, c->type, c->not_null};
    }
    return schema;
}

static int emit_project(Planner *p, Relation *r, int input) {
    ColumnSet *set = r->set;
    const ColumnSet *below = r->inputs[0]->set;
    const Schema *input_schema = &p->plan->nodes[input].schema;
    bool plain = !r->required, identity = !r->required;
    int count = 0;
    for (int i = 0; i < set->count; i++) {
        const PlannedColumn *c = &set->columns[i];
        if (!c->used) continue;
        plain &= c->expr->kind == EXPR_COLUMN;
        identity &= c->expr->kind == EXPR_COLUMN && below->columns[c->expr->column].place == count;
        count++;
    }
    identity &= count == input_schema->count;
    if (plain && (!r->exact || identity)) {
        for (int i = 0; i < set->count; i++)
            if (set->columns[i].used) set->columns[i].place = below->columns[set->columns[i].expr->column].place;
        return input;
    }
    ProjectSpec *spec = arena_zero(p->arena, sizeof *spec);
    spec->exprs = arena_new_array(p->arena, Expr *, count + 1);
    const char **required = r->required ? arena_new_array(p->arena, const char *, count + 1) : NULL;
    for (int i = 0; i < set->count; i++) {
        PlannedColumn *c = &set->columns[i];
        if (!c->used) continue;
        if (required) required[spec->count] = r->required[i];
        c->place = spec->count;
        spec->exprs[spec->count++] = placed(p, c->expr, below);
    }
    spec->required = required;
    return add_node(p, r->query, &project_operator, spec, project_schema(p, set, input_schema), &input, 1);
}

static int emit_window(Planner *p, Relation *r, int input) {
    const ColumnSet *below = r->inputs[0]->set;
    WindowSpec *spec = arena_zero(p->arena, sizeof *spec);
    *spec = r->window;
    spec->time = spec->time_kind == TIME_EVENT ? -1 : below->columns[r->window.time].place;
    Schema schema = schema_copy(p, &p->plan->nodes[input].schema, 2);
    for (int i = 0; i < r->set->count; i++) {
        PlannedColumn *c = &r->set->columns[i];
        if (c->input >= 0) {
            c->place = below->columns[c->from].place;
        } else {
            c->place = schema.count;
            schema.fields[schema.count++] = (Field){c->name, c->type, true};
        }
    }
    return add_node(p, r->query, &window_operator, spec, schema, &input, 1);
}

static int emit_dedup(Planner *p, Relation *r, int input) {
    DedupSpec *spec = arena_zero(p->arena, sizeof *spec);
    *spec = (DedupSpec){.keys = arena_new_array(p->arena, int, r->key_count),
                        .key_count = r->key_count,
                        .horizon_us = r->horizon_us,
                        .window_end = r->window_end < 0 ? -1 : r->set->columns[r->window_end].place};
    for (int i = 0; i < r->key_count; i++) spec->keys[i] = r->set->columns[r->keys[i]].place;
    return add_node(p, r->query, &dedup_operator, spec, schema_copy(p, &p->plan->nodes[input].schema, 0), &input, 1);
}

/* ---- computed columns in front of operators that take columns alone ---- */

typedef struct Extra {
    Expr **exprs; /* over the input's places */
    int count;
} Extra;

static Extra extra_new(Planner *p, int most) { return (Extra){arena_new_array(p->arena, Expr *, most + 1), 0}; }

static int extra_column(Extra *extra, Expr *e) {
    for (int i = 0; i < extra->count; i++)
        if (expr_equal(extra->exprs[i], e)) return i;
    extra->exprs[extra->count] = e;
    return extra->count++;
}

/* Expressions as columns: of the input itself when all are plain, else of a project in front. `columns` holds numbers of
 * `extra` and gets places. With `keep` the project also passes all columns of the input on, in front. */
static int emit_extra(Planner *p, const Query *query, int input, Extra *extra, bool keep, int *columns, int count) {
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
        schema.fields[schema.count++] = (Field){column ? below->fields[e->column].name : expr_name(p, e, below), e->type, false};
    }
    for (int i = 0; i < count; i++)
        if (columns[i] >= 0) columns[i] = places[columns[i]];
    return add_node(p, query, &project_operator, spec, schema, &input, 1);
}

/* ---- groups ---- */

static const char *call_name(Planner *p, const AggregateUse *use, const Schema *input, const ColumnSet *set) {
    Buffer text = {0};
    buffer_add_format(&text, "%s(%s", use->aggregate->name, use->distinct ? "DISTINCT " : "");
    if (use->arg) expr_words(placed(p, use->arg, set), input, &text);
    else buffer_add_char(&text, '*');
    buffer_add_char(&text, ')');
    if (use->filter) {
        buffer_add_text(&text, " FILTER (WHERE ");
        expr_words(placed(p, use->filter, set), input, &text);
        buffer_add_char(&text, ')');
    }
    const char *name = arena_text(p->arena, buffer_str(&text));
    buffer_free(&text);
    return name;
}

static Schema group_schema(Planner *p, Relation *r, const Schema *input) {
    const ColumnSet *below = r->inputs[0]->set;
    Schema schema = {r->key_count + r->use_count, arena_new_array(p->arena, Field, r->key_count + r->use_count + 1)};
    for (int i = 0; i < schema.count; i++) {
        PlannedColumn *c = &r->set->columns[i];
        const char *name = c->name;
        if (i >= r->key_count && !name) name = call_name(p, &r->uses[i - r->key_count], input, below);
        else if (!name) name = expr_name(p, placed(p, r->key_exprs[0][i], below), input);
        schema.fields[i] = (Field){name, c->type, c->not_null};
        c->place = i;
    }
    return schema;
}

/* What a GROUP BY needs as columns of its input. The session's own window columns have no place there: they become negative. */
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
        bool own = r->session && c && c->input < 0 && (c->role == ROLE_WINDOW_START || c->role == ROLE_WINDOW_END);
        g.keys[i] = !own ? extra_column(extra, placed(p, e, below))
                         : c->role == ROLE_WINDOW_START ? SESSION_START : SESSION_END;
    }
    for (int i = 0; i < r->use_count; i++) {
        const AggregateUse *use = &r->uses[i];
        g.args[i] = use->arg ? extra_column(extra, placed(p, use->arg, below)) : -1;
        g.filters[i] = use->filter ? extra_column(extra, placed(p, use->filter, below)) : -1;
    }
    g.filters[r->use_count] = session_filter ? extra_column(extra, placed(p, session_filter, below)) : -1;
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
        partition[session->key_count] = extra_column(&extra, expr_column(p->arena, c->place, c->type));
    } else {
        partition[session->key_count] = -1;
    }
    GroupColumns g = group_columns(p, r, &extra, filter);
    Schema output = group_schema(p, r, &p->plan->nodes[input].schema);
    int *columns = arena_new_array(p->arena, int, g.count + session->key_count + 1);
    memcpy(columns, g.all, sizeof *columns * (size_t)g.count);
    memcpy(columns + g.count, partition, sizeof *columns * (size_t)(session->key_count + 1));
    input = emit_extra(p, r->query, input, &extra, false, columns, g.count + session->key_count + 1);
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

static int emit_aggregate(Planner *p, Relation *r) {
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
                            .output = output};
    spec->block_size = aggregates_layout(spec->calls, spec->call_count);
    return add_node(p, r->query, &aggregate_operator, spec, output, &input, 1);
}

/* ---- joins, unions ---- */

/* Columns of both sides may have one name; explanations tell them apart. */
static bool has_field(const Schema *schema, int count, const char *name) {
    for (int i = 0; i < count; i++)
        if (strcmp(schema->fields[i].name, name) == 0) return true;
    return false;
}

static int emit_reference_join(Planner *p, Relation *r, int input) {
    Relation *table = r->inputs[1];
    if (table->node < 0) emit_reference(p, table);
    const PlanReference *reference = &p->plan->references[table->node];
    const ColumnSet *below = r->inputs[0]->set;
    Extra extra = extra_new(p, r->key_count);
    ReferenceJoinSpec *spec = arena_zero(p->arena, sizeof *spec);
    spec->keys = arena_new_array(p->arena, int, r->key_count + 1);
    for (int i = 0; i < r->key_count; i++) spec->keys[i] = extra_column(&extra, placed(p, r->key_exprs[0][i], below));
    input = emit_extra(p, r->query, input, &extra, true, spec->keys, r->key_count);
    Schema schema = schema_copy(p, &p->plan->nodes[input].schema, reference->schema.count);
    int first = schema.count;
    for (int i = 0; i < reference->schema.count; i++) {
        Field field = reference->schema.fields[i];
        if (has_field(&schema, first, field.name))
            field.name = arena_format(p->arena, "%s.%s", reference->table->name, field.name);
        field.not_null &= !r->left;
        schema.fields[schema.count++] = field;
    }
    for (int i = 0; i < r->set->count; i++) {
        PlannedColumn *c = &r->set->columns[i];
        int place = c->input == 1 ? table->set->columns[c->from].place : below->columns[c->from].place;
        c->place = place < 0 ? -1 : c->input == 1 ? first + place : place;
    }
    spec->reference = table->node;
    spec->key_count = r->key_count;
    spec->left = r->left;
    spec->residual = r->condition ? placed(p, r->condition, r->set) : NULL;
    spec->table = reference->schema;
    return add_node(p, r->query, &reference_join_operator, spec, schema, &input, 1);
}

static int emit_window_join(Planner *p, Relation *r) {
    int inputs[2] = {emit_relation(p, r->inputs[0]), emit_relation(p, r->inputs[1])};
    WindowJoinSpec *spec = arena_zero(p->arena, sizeof *spec);
    spec->close = r->close;
    spec->left = r->left;
    int left_count = p->plan->nodes[inputs[0]].schema.count;
    Schema schema = schema_copy(p, &p->plan->nodes[inputs[0]].schema, p->plan->nodes[inputs[1]].schema.count);
    for (int side = 0; side < 2; side++) {
        const Schema *rows = &p->plan->nodes[inputs[side]].schema;
        const ColumnSet *set = r->inputs[side]->set;
        spec->sides[side] = *rows;
        spec->keys[side] = arena_new_array(p->arena, int, r->key_count);
        spec->key_count = 0;
        for (int i = 0; i < r->key_count; i++) {
            int place = set->columns[r->key_exprs[side][i]->column].place;
            if (i == r->bucket) spec->bucket[side] = place;
            else spec->keys[side][spec->key_count++] = place;
        }
        for (int i = 0; i < rows->count && side == 1; i++) {
            Field field = rows->fields[i];
            if (has_field(&schema, left_count, field.name)) field.name = arena_format(p->arena, "right.%s", field.name);
            field.not_null &= !r->left;
            schema.fields[schema.count++] = field;
        }
    }
    for (int i = 0; i < r->set->count; i++) {
        PlannedColumn *c = &r->set->columns[i];
        int place = r->inputs[c->input]->set->columns[c->from].place;
        c->place = place < 0 ? -1 : place + (c->input == 1 ? left_count : 0);
    }
    spec->residual = r->condition ? placed(p, r->condition, r->set) : NULL;
    return add_node(p, r->query, &window_join_operator, spec, schema, inputs, 2);
}

static int emit_union(Planner *p, Relation *r) {
    int *inputs = arena_new_array(p->arena, int, r->input_count);
    for (int i = 0; i < r->input_count; i++) inputs[i] = emit_relation(p, r->inputs[i]);
    UnionSpec *spec = arena_zero(p->arena, sizeof *spec);
    spec->inputs = r->input_count;
    int place = 0;
    for (int i = 0; i < r->set->count; i++)
        if (r->set->columns[i].used) r->set->columns[i].place = place++;
    Schema schema = schema_copy(p, &p->plan->nodes[inputs[0]].schema, 0);
    return add_node(p, r->query, &union_operator, spec, schema, inputs, r->input_count);
}

/* ---- trees ---- */

static int emit_relation(Planner *p, Relation *r) {
    if (r->node >= 0) return r->node;
    switch (r->kind) {
    case REL_SOURCE: emit_source(p, r); break;
    case REL_REFERENCE:
    case REL_SESSION: break; /* part of the join, of the aggregate */
    case REL_FILTER: r->node = emit_filter(p, r, emit_relation(p, r->inputs[0])); break;
    case REL_PROJECT: r->node = emit_project(p, r, emit_relation(p, r->inputs[0])); break;
    case REL_WINDOW: r->node = emit_window(p, r, emit_relation(p, r->inputs[0])); break;
    case REL_DEDUP: r->node = emit_dedup(p, r, emit_relation(p, r->inputs[0])); break;
    case REL_AGGREGATE: r->node = emit_aggregate(p, r); break;
    case REL_REFERENCE_JOIN: r->node = emit_reference_join(p, r, emit_relation(p, r->inputs[0])); break;
    case REL_WINDOW_JOIN: r->node = emit_window_join(p, r); break;
    case REL_UNION: r->node = emit_union(p, r); break;
    }
    return r->node;
}

/* A view shows its groups as they grow where nothing stands between them and the view that would need final rows, and where
 * they are made of rows, not of other results. */
static void mark_growth(const Query *query, Relation *r) {
    if (r->query != query) return;
    if (r->kind == REL_PROJECT || r->kind == REL_FILTER || r->kind == REL_UNION)
        for (int i = 0; i < r->input_count; i++) mark_growth(query, r->inputs[i]);
    if (r->kind != REL_AGGREGATE || r->session || r->changes) return;
    r->growth = (r->ungrouped || r->close == CLOSE_TIME) && !r->inputs[0]->results;
}

static void own_sources(Planner *p, Relation *r, const Query *query, PlanQuery *to) {
    if (r->kind == REL_SOURCE) {
        int number = p->plan->nodes[r->node].index;
        for (int i = 0; i < to->source_count; i++)
            if (to->sources[i] == number) return;
        to->sources[to->source_count++] = number;
        return;
    }
    if (r->query != query) return;
    for (int i = 0; i < r->input_count; i++)
        if (r->inputs[i]->kind != REL_REFERENCE) own_sources(p, r->inputs[i], query, to);
}

static int window_column(const ColumnSet *set, TimeRole role) { return set_find_role(set, role, NULL); }

static void emit_view(Planner *p, Query *query, PlanQuery *to, int input) {
    const Relation *root = query->root;
    const View *view = query->view;
    bool timed = root->results ? root->windowed : root->timed;
    PlanView *v = &p->plan->views[p->plan->view_count];
    *v = (PlanView){.view = query->view,
                    .name = view->name,
                    .schema = set_schema(p, root->set, root->set->declared),
                    .query = query->number,
                    .node = p->plan->node_count,
                    .emit_final = view->emit_final,
                    .plain = !root->results,
                    .retention_us = timed ? view->retention_us : 0,
                    .window_start = window_column(root->set, ROLE_WINDOW_START),
                    .window_end = window_column(root->set, ROLE_WINDOW_END)};
    to->index = p->plan->view_count++;
    PlanNode node = {.kind = NODE_VIEW, .name = view->name, .query = query->number, .index = to->index, .schema = v->schema};
    node.inputs = arena_new_array(p->arena, int, 1);
    node.inputs[0] = input;
    node.input_count = 1;
    p->plan->nodes[p->plan->node_count++] = node;
}

/* A table that several INSERTs write is one sink. */
static int sink_number(Planner *p, const Query *query) {
    Plan *plan = p->plan;
    for (int i = 0; i < plan->sink_count; i++)
        if (plan->sinks[i].table == query->sink) return i;
    const Table *t = query->sink;
    PlanSink *sink = &plan->sinks[plan->sink_count];
    *sink = (PlanSink){.table = query->sink,
                       .schema = set_schema(p, query->root->set, query->root->set->declared),
                       .keys = query->sink_keys,
                       .key_count = query->sink_key_count,
                       .way = SINK_AT_ONCE};
    if (t) {
        sink->way = t->connector->sink_way(&t->options);
        sink->exactly_once = sink->way != SINK_AT_ONCE;
    }
    return plan->sink_count++;
}

static void emit_sink(Planner *p, Query *query, PlanQuery *to, int input) {
    to->index = sink_number(p, query);
    PlanNode node = {.kind = NODE_SINK,
                     .name = query->name,
                     .query = query->number,
                     .index = to->index,
                     .schema = p->plan->sinks[to->index].schema};
    node.inputs = arena_new_array(p->arena, int, 1);
    node.inputs[0] = input;
    node.input_count = 1;
    p->plan->nodes[p->plan->node_count++] = node;
}

Schema set_schema(Planner *p, const ColumnSet *set, int count) {
    Schema schema = {count, arena_new_array(p->arena, Field, count + 1)};
    for (int i = 0; i < count; i++)
        schema.fields[i] = (Field){set->columns[i].name, set->columns[i].type, set->columns[i].not_null};
    return schema;
}

static void emit_query(Planner *p, Query *query) {
    Relation *root = query->root;
    if (query->kind == QUERY_VIEW && !query->view->emit_final) mark_growth(query, root);
    PlanQuery *to = &p->plan->queries[query->number];
    int input = emit_relation(p, root);
    *to = (PlanQuery){.name = query->name,
                      .kind = query->kind,
                      .index = -1,
                      .bounded = root->bounded,
                      .windowed = root->windowed,
                      .grouped = root->ungrouped,
                      .replayable = root->one_record && !query->stateful && !query->reads_queries && !query->volatile_or_stable,
                      .sources = arena_new_array(p->arena, int, p->plan->source_count + 1),
                      .line = query->line};
    own_sources(p, root, query, to);
    if (query->kind == QUERY_VIEW) emit_view(p, query, to, input);
    if (query->kind == QUERY_SINK) emit_sink(p, query, to, input);
    hash_query(p, query, to);
}

/* Room for every relation, with a project in front and a view or sink behind it. */
static void make_room(Planner *p) {
    Plan *plan = p->plan;
    int tables = p->catalog->table_count;
    plan->nodes = arena_new_array(p->arena, PlanNode, 2 * p->relation_count + 2 * p->query_count + tables + 1);
    plan->sources = arena_new_array(p->arena, PlanSource, tables + 1);
    plan->references = arena_new_array(p->arena, PlanReference, tables + 1);
    plan->queries = arena_new_array(p->arena, PlanQuery, p->query_count + 1);
    plan->views = arena_new_array(p->arena, PlanView, p->query_count + 1);
    plan->sinks = arena_new_array(p->arena, PlanSink, p->query_count + 1);
}

void emit_all(Planner *p) {
    make_room(p);
    for (int i = 0; i < p->catalog->table_count; i++)
        if (p->sources[i] && p->sources[i]->needed) emit_relation(p, p->sources[i]);
    for (int i = 0; i < p->query_count; i++) {
        emit_query(p, p->queries[i]);
        p->plan->query_count++;
    }
}
