/* Relations: the logical tree between the text and the plan's nodes. Columns are marked as read
 * from the roots down (need), so that a source decodes, and an operator carries, only what some
 * query reads; `SELECT *` over a view costs nothing for columns that nobody takes from it. A path
 * inside a jsonb column is pushed down through everything that passes the column on unchanged,
 * until the source parses that path alone. */
#include "sql/planner.h"

Relation *relation_new(Planner *p, RelationKind kind, int inputs) {
    Relation *r = arena_zero(p->arena, sizeof *r);
    r->kind = kind;
    r->query = kind == REL_SOURCE || kind == REL_REFERENCE ? NULL : p->query;
    r->inputs = arena_new_array(p->arena, Relation *, inputs > 0 ? inputs : 1);
    r->input_count = inputs;
    r->window_end = r->bucket = r->node = -1;
    p->relation_count++;
    return r;
}

Relation *relation_over(Planner *p, RelationKind kind, Relation *input) {
    Relation *r = relation_new(p, kind, 1);
    r->inputs[0] = input;
    r->bounded = input->bounded;
    r->timed = input->timed;
    r->results = input->results;
    r->windowed = input->windowed;
    r->changes = input->changes;
    r->ungrouped = input->ungrouped;
    r->by_group = input->by_group;
    r->one_record = input->one_record;
    r->session = input->kind == REL_AGGREGATE ? NULL : input->session;
    if (p->query && input->query && input->query != p->query) p->query->reads_queries = true;
    return r;
}

Relation *relation_filter(Planner *p, Relation *input, Expr *condition, bool having) {
    Relation *r = relation_over(p, REL_FILTER, input);
    r->set = input->set;
    r->condition = condition;
    r->having = having;
    return r;
}

ColumnSet *set_new(Planner *p, Relation *owner) {
    ColumnSet *set = arena_zero(p->arena, sizeof *set);
    set->owner = owner;
    owner->set = set;
    return set;
}

/* Makes room and puts it at the end; names find only what is added before the set's `declared` is
 * fixed. */
int set_add(Planner *p, ColumnSet *set, PlannedColumn column) {
    if (set->count == set->capacity) {
        int capacity = set->capacity ? set->capacity * 2 : 16;
        PlannedColumn *columns = arena_new_array(p->arena, PlannedColumn, capacity);
        if (set->count > 0) memcpy(columns, set->columns, sizeof *columns * (size_t)set->count);
        set->columns = columns;
        set->capacity = capacity;
    }
    column.used = false;
    column.place = -1;
    set->columns[set->count] = column;
    return set->count++;
}

static PlannedColumn passed(const PlannedColumn *column, int input, int from) {
    return (PlannedColumn){.name = column->name,
                           .quoted = column->quoted,
                           .type = column->type,
                           .role = column->role,
                           .window = column->window,
                           .not_null = column->not_null,
                           .input = input,
                           .from = from,
                           .path_of = -1};
}

void set_pass(Planner *p, ColumnSet *set, int input, const ColumnSet *from) {
    for (int i = 0; i < from->declared; i++) set_add(p, set, passed(&from->columns[i], input, i));
    set->declared = set->count;
}

int project_add(Planner *p, Relation *project, Expr *e, const char *name, bool quoted) {
    PlannedColumn column = {.input = -1, .path_of = -1};
    if (e->kind == EXPR_COLUMN)
        column = passed(&project->inputs[0]->set->columns[e->column], -1, 0);
    column.expr = e;
    column.type = e->type;
    column.name = name;
    column.quoted = quoted;
    int number = set_add(p, project->set, column);
    project->set->declared = project->set->count;
    int flags = expr_flags(e);
    if (flags && p->query) p->query->volatile_or_stable = true;
    return number;
}

/* ---- paths ---- */

static int add_passed_path(Planner *p, ColumnSet *set, int column, const char *const *path,
                           int path_count, TypeKind kind, PlannedColumn made) {
    const char **steps = arena_new_array(p->arena, const char *, path_count);
    for (int i = 0; i < path_count; i++) steps[i] = arena_text(p->arena, str_from(path[i]));
    made.name = NULL;
    made.type = type_of(kind);
    made.path_of = column;
    made.path = steps;
    made.path_count = path_count;
    return set_add(p, set, made);
}

static int known_path(const ColumnSet *set, int column, const char *const *path, int path_count,
                      TypeKind kind) {
    for (int i = set->declared; i < set->count; i++) {
        const PlannedColumn *c = &set->columns[i];
        if (c->path_of != column || c->type.kind != kind || c->path_count != path_count) continue;
        int same = 0;
        while (same < path_count && strcmp(c->path[same], path[same]) == 0) same++;
        if (same == path_count) return i;
    }
    return -1;
}

static bool decodes_paths(const Relation *table, const PlannedColumn *c) {
    return c->decode == DECODE_FIELD && !c->expr && c->type.kind == TYPE_JSONB &&
           table->table->format && strcmp(table->table->format->name, "json") == 0;
}

int set_path(Planner *p, ColumnSet *set, int column, const char *const *path, int path_count,
             TypeKind kind) {
    int known = known_path(set, column, path, path_count, kind);
    if (known >= 0) return known;
    PlannedColumn *c = &set->columns[column];
    Relation *owner = set->owner;
    if (set->closed || c->path_of >= 0 || set->count >= 4 * SELECT_MOST_COLUMNS) return -1;
    switch (owner->kind) {
    case REL_SOURCE:
    case REL_REFERENCE:
        if (!decodes_paths(owner, c)) return -1;
        return add_passed_path(p, set, column, path, path_count, kind,
                               (PlannedColumn){.input = -1, .decode = DECODE_PATH});
    case REL_PROJECT: {
        if (c->input < 0 && (!c->expr || c->expr->kind != EXPR_COLUMN)) return -1;
        int from = c->input >= 0 ? c->from : c->expr->column;
        int inner = set_path(p, owner->inputs[0]->set, from, path, path_count, kind);
        if (inner < 0) return -1;
        PlannedColumn made = {.input = -1, .expr = expr_column(p->arena, inner, type_of(kind))};
        return add_passed_path(p, set, column, path, path_count, kind, made);
    }
    case REL_WINDOW:
    case REL_SESSION:
    case REL_REFERENCE_JOIN: {
        if (c->input < 0) return -1;
        int inner = set_path(p, owner->inputs[c->input]->set, c->from, path, path_count, kind);
        if (inner < 0) return -1;
        int input = set->columns[column].input;
        return add_passed_path(p, set, column, path, path_count, kind,
                               (PlannedColumn){.input = input, .from = inner});
    }
    default: return -1;
    }
}

/* ---- expressions ---- */

Expr *expr_map(Arena *arena, const Expr *e, int (*map)(const void *context, int column),
               const void *context) {
    Expr *copy = arena_zero(arena, sizeof *copy);
    *copy = *e;
    if (e->kind == EXPR_COLUMN) copy->column = map(context, e->column);
    if (e->arg_count > 0) {
        copy->args = arena_new_array(arena, Expr *, e->arg_count);
        for (int i = 0; i < e->arg_count; i++)
            copy->args[i] = expr_map(arena, e->args[i], map, context);
    }
    return copy;
}

static int passed_from(const void *context, int column) {
    return ((const ColumnSet *)context)->columns[column].from;
}

Expr *expr_to_input(Planner *p, const Expr *e, const ColumnSet *set) {
    return expr_map(p->arena, e, passed_from, set);
}

static int project_from(const void *context, int column) {
    return ((const ColumnSet *)context)->columns[column].expr->column;
}

Expr *expr_below_project(Planner *p, const Expr *e, const ColumnSet *set) {
    return expr_map(p->arena, e, project_from, set);
}

int column_input(const Expr *e, const ColumnSet *set) {
    int inputs = 0;
    if (e->kind == EXPR_COLUMN)
        inputs = set->columns[e->column].input < 0 ? 4 : 1 << set->columns[e->column].input;
    for (int i = 0; i < e->arg_count; i++) inputs |= column_input(e->args[i], set);
    return inputs;
}

Relation *relation_with(Planner *p, Relation *input, Expr *const *exprs, int count, int *columns) {
    bool plain = true;
    for (int i = 0; i < count; i++) {
        columns[i] = exprs[i]->column;
        plain &= exprs[i]->kind == EXPR_COLUMN;
    }
    if (plain) return input;
    Relation *r = relation_over(p, REL_PROJECT, input);
    ColumnSet *set = set_new(p, r);
    for (int i = 0; i < input->set->declared; i++) {
        PlannedColumn *c = &input->set->columns[i];
        project_add(p, r, expr_column(p->arena, i, c->type), c->name, c->quoted);
    }
    int declared = set->declared;
    for (int i = 0; i < count; i++) columns[i] = project_add(p, r, exprs[i], NULL, false);
    set->declared = declared;
    return r;
}

int set_find_role(const ColumnSet *set, TimeRole role, const WindowOf *window) {
    for (int i = 0; i < set->declared; i++)
        if (set->columns[i].role == role && (!window || set->columns[i].window == window)) return i;
    return -1;
}

/* ---- what is needed ---- */

static void mark_expr(ColumnSet *, const Expr *);

static void mark(ColumnSet *set, int column) {
    PlannedColumn *c = &set->columns[column];
    if (c->used) return;
    c->used = true;
    Relation *owner = set->owner;
    if (owner->kind == REL_UNION)
        for (int i = 0; i < owner->input_count; i++) mark(owner->inputs[i]->set, column);
    else if (c->input >= 0) mark(owner->inputs[c->input]->set, c->from);
    else if (c->expr) mark_expr(owner->kind == REL_PROJECT ? owner->inputs[0]->set : set, c->expr);
}

static void mark_expr(ColumnSet *set, const Expr *e) {
    if (e->kind == EXPR_COLUMN) mark(set, e->column);
    for (int i = 0; i < e->arg_count; i++) mark_expr(set, e->args[i]);
}

static void need(Planner *p, Relation *r);

static void need_aggregate(Relation *r) {
    ColumnSet *input = r->inputs[0]->set;
    for (int i = 0; i < r->key_count; i++) mark_expr(input, r->key_exprs[0][i]);
    for (int i = 0; i < r->use_count; i++) {
        if (r->uses[i].arg) mark_expr(input, r->uses[i].arg);
        if (r->uses[i].filter) mark_expr(input, r->uses[i].filter);
    }
}

/* What the relation itself reads of its input, besides what its readers read through it. */
static void need_own(Relation *r) {
    switch (r->kind) {
    case REL_SOURCE:
        if (r->table->event_time >= 0) mark(r->set, r->table->event_time);
        break;
    case REL_REFERENCE:
        for (int i = 0; i < r->table->key_count; i++) mark(r->set, r->table->keys[i]);
        break;
    case REL_FILTER: mark_expr(r->set, r->condition); break;
    case REL_WINDOW:
    case REL_SESSION:
        if (r->window.time >= 0) mark(r->inputs[0]->set, r->window.time);
        for (int i = 0; i < r->key_count; i++) mark(r->inputs[0]->set, r->keys[i]);
        break;
    case REL_DEDUP:
        for (int i = 0; i < r->key_count; i++) mark(r->set, r->keys[i]);
        if (r->window_end >= 0) mark(r->set, r->window_end);
        break;
    case REL_AGGREGATE: need_aggregate(r); break;
    case REL_REFERENCE_JOIN:
    case REL_WINDOW_JOIN:
        for (int i = 0; i < r->key_count; i++) {
            mark_expr(r->inputs[0]->set, r->key_exprs[0][i]);
            if (r->kind == REL_WINDOW_JOIN) mark_expr(r->inputs[1]->set, r->key_exprs[1][i]);
        }
        if (r->condition) mark_expr(r->set, r->condition);
        break;
    case REL_UNION:
    case REL_PROJECT: break;
    }
}

static void need(Planner *p, Relation *r) {
    if (r->needed) return;
    r->needed = true;
    need_own(r);
    for (int i = 0; i < r->input_count; i++) {
        Relation *input = r->inputs[i];
        if (input->query && input->query != r->query) need_query(p, input->query);
        need(p, input);
    }
}

/* Results that leave are needed whole; of a shared view with a join of windows too, since what such
 * a join keeps in its state may not depend on who reads it. */
bool keeps_all(const Relation *r) {
    if (r->kind == REL_WINDOW_JOIN) return true;
    for (int i = 0; i < r->input_count; i++)
        if (r->inputs[i]->query == r->query && keeps_all(r->inputs[i])) return true;
    return false;
}

void need_query(Planner *p, Query *query) {
    if (query->number >= 0 || query->root->needed) return;
    ColumnSet *set = query->root->set;
    if (query->kind != QUERY_SHARED || keeps_all(query->root))
        for (int i = 0; i < set->declared; i++) mark(set, i);
    need(p, query->root);
    query->number = p->query_count;
    p->queries[p->query_count++] = query;
}
