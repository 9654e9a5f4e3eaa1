/* From relations to nodes: operators with the columns that are read. A filter and a window pass all
 * columns of their input on; a project of plain columns alone is no operator at all, only other
 * numbers for the same columns, except where rows must be exactly so: before a view, a sink, a
 * union and a join of windows. */
#include "sql/planner.h"

static int place_of_column(const void *context, int column) {
    return ((const ColumnSet *)context)->columns[column].place;
}

Expr *expr_placed(Planner *p, const Expr *e, const ColumnSet *set) {
    return expr_map(p->arena, e, place_of_column, set);
}

static Schema schema_copy(Planner *p, const Schema *from, int more) {
    Schema schema = {from->count, arena_new_array(p->arena, Field, from->count + more + 1)};
    if (from->count > 0)
        memcpy(schema.fields, from->fields, sizeof *from->fields * (size_t)from->count);
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

int add_node(Planner *p, const Query *query, const OperatorType *type, const void *spec,
             Schema schema, const int *inputs, int input_count) {
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
const char *expr_name(Planner *p, const Expr *e, const Schema *input) {
    Buffer text = {0};
    expr_words(e, input, &text);
    const char *name = arena_text(p->arena, buffer_str(&text));
    buffer_free(&text);
    return name;
}

/* ---- one of each ---- */

/* May rows come again or be taken back: groups that grow, groups without a window over what does
 * not end? */
static bool rows_change(const Relation *r) {
    if (r->kind == REL_AGGREGATE) return r->growth || r->changes;
    if (r->kind != REL_PROJECT && r->kind != REL_FILTER && r->kind != REL_UNION) return r->changes;
    for (int i = 0; i < r->input_count; i++)
        if (r->inputs[i]->query == r->query && rows_change(r->inputs[i])) return true;
    return r->changes;
}

/* A keyed sink that is written at once has, after a crash, perhaps rows that nobody remembers. */
static bool writes_at_once(const Planner *p) {
    for (int i = 0; i < p->catalog->table_count; i++) {
        const Table *t = &p->catalog->tables[i];
        if (t->is_sink && t->key_count > 0 && t->connector->sink_way(&t->options) == SINK_AT_ONCE)
            return true;
    }
    return false;
}

static int emit_filter(Planner *p, Relation *r, int input) {
    FilterSpec *spec = arena_zero(p->arena, sizeof *spec);
    spec->condition = expr_placed(p, r->condition, r->set);
    spec->changes = rows_change(r);
    spec->remembers = r->changes;
    spec->tells_all = r->changes && writes_at_once(p);
    return add_node(p, r->query, &filter_operator, spec,
                    schema_copy(p, &p->plan->nodes[input].schema, 0), &input, 1);
}

/* The used columns, as they would stand behind one another. */
static Schema project_schema(Planner *p, ColumnSet *set, const Schema *input) {
    Schema schema = {0, arena_new_array(p->arena, Field, set->count + 1)};
    for (int i = 0; i < set->count; i++) {
        const PlannedColumn *c = &set->columns[i];
        if (!c->used) continue;
        const char *name =
            c->name ? c->name
                    : expr_name(p, expr_placed(p, c->expr, set->owner->inputs[0]->set), input);
        schema.fields[schema.count++] = (Field){name, c->type, c->not_null};
    }
    return schema;
}

/* A path that does not cast is told by the operator that looks at it: where rows leave, one must.
 */
static bool may_fail(const ColumnSet *set, int column) {
    const PlannedColumn *c = &set->columns[column];
    const Relation *owner = set->owner;
    if (c->path_of >= 0) return c->type.kind == TYPE_FLOAT8;
    if (owner->kind == REL_PROJECT && c->expr->kind == EXPR_COLUMN)
        return may_fail(owner->inputs[0]->set, c->expr->column);
    for (int i = 0; owner->kind == REL_UNION && i < owner->input_count; i++)
        if (may_fail(owner->inputs[i]->set, column)) return true;
    return c->input >= 0 && may_fail(owner->inputs[c->input]->set, c->from);
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
        identity &= c->expr->kind == EXPR_COLUMN &&
                    below->columns[c->expr->column].place == count &&
                    !may_fail(below, c->expr->column);
        count++;
    }
    identity &= count == input_schema->count;
    if (plain && (!r->exact || identity)) {
        for (int i = 0; i < set->count; i++)
            if (set->columns[i].used)
                set->columns[i].place = below->columns[set->columns[i].expr->column].place;
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
        spec->exprs[spec->count++] = expr_placed(p, c->expr, below);
    }
    spec->required = required;
    return add_node(p, r->query, &project_operator, spec, project_schema(p, set, input_schema),
                    &input, 1);
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
    *spec =
        (DedupSpec){.keys = arena_new_array(p->arena, int, r->key_count),
                    .key_count = r->key_count,
                    .horizon_us = r->horizon_us,
                    .window_end = r->window_end < 0 ? -1 : r->set->columns[r->window_end].place};
    for (int i = 0; i < r->key_count; i++) spec->keys[i] = r->set->columns[r->keys[i]].place;
    return add_node(p, r->query, &dedup_operator, spec,
                    schema_copy(p, &p->plan->nodes[input].schema, 0), &input, 1);
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
    for (int i = 0; i < r->key_count; i++)
        spec->keys[i] = extra_column(&extra, expr_placed(p, r->key_exprs[0][i], below));
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
        int place =
            c->input == 1 ? table->set->columns[c->from].place : below->columns[c->from].place;
        c->place = place < 0 ? -1 : c->input == 1 ? first + place : place;
    }
    spec->reference = table->node;
    spec->key_count = r->key_count;
    spec->left = r->left;
    spec->residual = r->condition ? expr_placed(p, r->condition, r->set) : NULL;
    spec->table = reference->schema;
    return add_node(p, r->query, &reference_join_operator, spec, schema, &input, 1);
}

static int emit_window_join(Planner *p, Relation *r) {
    int inputs[2] = {emit_relation(p, r->inputs[0]), emit_relation(p, r->inputs[1])};
    WindowJoinSpec *spec = arena_zero(p->arena, sizeof *spec);
    spec->close = r->close;
    spec->left = r->left;
    int left_count = p->plan->nodes[inputs[0]].schema.count;
    Schema schema =
        schema_copy(p, &p->plan->nodes[inputs[0]].schema, p->plan->nodes[inputs[1]].schema.count);
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
            if (has_field(&schema, left_count, field.name))
                field.name = arena_format(p->arena, "right.%s", field.name);
            field.not_null &= !r->left;
            schema.fields[schema.count++] = field;
        }
    }
    for (int i = 0; i < r->set->count; i++) {
        PlannedColumn *c = &r->set->columns[i];
        int place = r->inputs[c->input]->set->columns[c->from].place;
        c->place = place < 0 ? -1 : place + (c->input == 1 ? left_count : 0);
    }
    spec->residual = r->condition ? expr_placed(p, r->condition, r->set) : NULL;
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

int emit_relation(Planner *p, Relation *r) {
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
    case REL_REFERENCE_JOIN:
        r->node = emit_reference_join(p, r, emit_relation(p, r->inputs[0]));
        break;
    case REL_WINDOW_JOIN: r->node = emit_window_join(p, r); break;
    case REL_UNION: r->node = emit_union(p, r); break;
    }
    return r->node;
}

/* A view shows its groups as they grow where nothing stands between them and the view that would
 * need final rows, and where they are made of rows, not of other results. */
static void mark_growth(const Query *query, Relation *r) {
    if (r->query != query) return;
    if (r->kind == REL_PROJECT || r->kind == REL_FILTER || r->kind == REL_UNION)
        for (int i = 0; i < r->input_count; i++) mark_growth(query, r->inputs[i]);
    if (r->kind != REL_AGGREGATE || r->session || r->changes) return;
    r->growth = (r->ungrouped || r->close == CLOSE_TIME) && !r->inputs[0]->results;
}

static bool shows_growth(const Query *query, const Relation *r) {
    if (r->query != query) return false;
    if (r->kind == REL_AGGREGATE && r->growth) return true;
    for (int i = 0; i < r->input_count; i++)
        if (shows_growth(query, r->inputs[i])) return true;
    return false;
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

static int window_column(const ColumnSet *set, TimeRole role) {
    return set_find_role(set, role, NULL);
}

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
                    .emit_final = view->emit_final ||
                                  (root->results && root->windowed && !shows_growth(query, root)),
                    .plain = !root->results,
                    .retention_us = timed ? view->retention_us : 0,
                    .window_start = window_column(root->set, ROLE_WINDOW_START),
                    .window_end = window_column(root->set, ROLE_WINDOW_END)};
    to->index = p->plan->view_count++;
    PlanNode node = {.kind = NODE_VIEW,
                     .name = view->name,
                     .query = query->number,
                     .index = to->index,
                     .schema = v->schema};
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
        schema.fields[i] =
            (Field){set->columns[i].name, set->columns[i].type, set->columns[i].not_null};
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
                      .replayable = root->one_record && !query->stateful && !query->reads_queries &&
                                    !query->volatile_or_stable,
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
    plan->nodes = arena_new_array(p->arena, PlanNode,
                                  2 * p->relation_count + 2 * p->query_count + tables + 1);
    plan->sources = arena_new_array(p->arena, PlanSource, tables + 1);
    plan->references = arena_new_array(p->arena, PlanReference, tables + 1);
    plan->queries = arena_new_array(p->arena, PlanQuery, p->query_count + 1);
    plan->views = arena_new_array(p->arena, PlanView, p->query_count + 1);
    plan->sinks = arena_new_array(p->arena, PlanSink, p->query_count + 1);
}

/* Whether the sink can keep the positions of a query's sources, each of another topic. */
static bool keeps_sources(const Plan *plan, const PlanSink *sink, const PlanQuery *query) {
    const Connector *connector = sink->table->connector;
    for (int i = 0; i < query->source_count; i++) {
        const Table *source = plan->sources[query->sources[i]].table;
        if (source->connector != connector ||
            !connector->keeps_positions(&sink->table->options, &source->options))
            return false;
        for (int s = 0; s < plan->source_count; s++) {
            const Table *other = plan->sources[s].table;
            if (other != source && other->connector == connector &&
                strcmp(option_text(&other->options, "topic", ""),
                       option_text(&source->options, "topic", "")) == 0)
                return false;
        }
    }
    return query->source_count > 0;
}

/* By position instead of by outbox: every row that reaches the sink is made of one record alone,
 * of a source whose positions the sink can keep. Of a PRIMARY KEY one write an epoch leaves, which
 * is the outbox's. */
static void choose_positions(Plan *plan) {
    for (int s = 0; s < plan->sink_count; s++) {
        PlanSink *sink = &plan->sinks[s];
        if (!sink->table || sink->way != SINK_BY_OUTBOX || sink->table->key_count ||
            !sink->table->connector->keeps_positions)
            continue;
        bool possible = true;
        for (int q = 0; q < plan->query_count; q++) {
            const PlanQuery *query = &plan->queries[q];
            if (query->kind == QUERY_SINK && query->index == s &&
                !(query->replayable && keeps_sources(plan, sink, query)))
                possible = false;
        }
        if (possible) sink->way = SINK_BY_POSITION;
    }
}

void emit_all(Planner *p) {
    make_room(p);
    for (int i = 0; i < p->catalog->table_count; i++)
        if (p->sources[i] && p->sources[i]->needed) emit_relation(p, p->sources[i]);
    for (int i = 0; i < p->query_count; i++) {
        emit_query(p, p->queries[i]);
        p->plan->query_count++;
    }
    choose_positions(p->plan);
}
