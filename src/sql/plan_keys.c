/* Groups without a window are told again as they change. Who reads such rows must know them again:
 * a view does, by the group's key; a sink does when its PRIMARY KEY holds every column that the
 * groups are told apart by, and nothing that changes with them. Nothing else may read them. */
#include "sql/planner.h"

/* The view through which the changing rows come; NULL: they are made in this query. */
static const View *changing_view(const Planner *p, const Relation *r) {
    while (r->query == p->query && r->input_count > 0 && r->kind != REL_AGGREGATE) {
        const Relation *next = r->inputs[0];
        for (int i = 1; i < r->input_count; i++)
            if (r->inputs[i]->changes || r->inputs[i]->by_group) next = r->inputs[i];
        r = next;
    }
    return r->query && r->query != p->query ? r->query->view : NULL;
}

Status check_steady(Planner *p, const Relation *input, const char *what, const char *remedy,
                    int location, Error *error) {
    if (!input->changes && !input->by_group) return OK;
    const View *view = changing_view(p, input);
    if (!view)
        return refuse(
            p->catalog, location, error,
            arena_format(p->arena, "%s over a GROUP BY without a window (its rows change)", what),
            remedy);
    return error_at(p->catalog, location, error,
                    "view %s is a GROUP BY without a window, whose rows change: they can go to a "
                    "sink with a PRIMARY KEY or a view, not into %s; group by a window in %s, or "
                    "write its GROUP BY here",
                    view->name, what, view->name);
}

/* ---- what a column is made of ---- */

static bool made_of_keys(const ColumnSet *, const Expr *);

static bool column_of_keys(const ColumnSet *set, int column) {
    const PlannedColumn *c = &set->columns[column];
    const Relation *owner = set->owner;
    if (owner->kind == REL_AGGREGATE) return column < owner->key_count;
    if (owner->kind == REL_PROJECT && c->expr) return made_of_keys(owner->inputs[0]->set, c->expr);
    return c->input >= 0 && column_of_keys(owner->inputs[c->input]->set, c->from);
}

/* Of one group it is the same for ever. */
static bool made_of_keys(const ColumnSet *set, const Expr *e) {
    if (e->kind == EXPR_COLUMN) return column_of_keys(set, e->column);
    if (expr_flags(e)) return false;
    for (int i = 0; i < e->arg_count; i++)
        if (!made_of_keys(set, e->args[i])) return false;
    return true;
}

/* Different values stay different. */
static bool keeps_apart(Type from, Type to) {
    if (type_is_text(to.kind))
        return to.modifier < 0 && from.kind != TYPE_NUMERIC && from.kind != TYPE_JSONB &&
               from.kind != TYPE_INTERVAL;
    if (type_is_integer(from.kind))
        return type_is_integer(to.kind) || (to.kind == TYPE_NUMERIC && to.modifier < 0);
    return from.kind == to.kind && to.modifier < 0;
}

/* Which key of the groups this is, unchanged; -1: none. */
static int key_of(const ColumnSet *set, const Expr *e) {
    while (e->kind == EXPR_CALL && e->function->flags & FUNCTION_CAST && e->arg_count >= 1 &&
           keeps_apart(e->args[0]->type, e->type))
        e = e->args[0];
    if (e->kind != EXPR_COLUMN) return -1;
    const PlannedColumn *c = &set->columns[e->column];
    const Relation *owner = set->owner;
    if (owner->kind == REL_AGGREGATE) return e->column < owner->key_count ? e->column : -1;
    if (owner->kind != REL_PROJECT || !c->expr) return -1;
    return key_of(owner->inputs[0]->set, c->expr);
}

static const Relation *groups_of(const Relation *r) {
    while (r->kind == REL_PROJECT || r->kind == REL_FILTER) r = r->inputs[0];
    return r;
}

/* A name for a key that people know. */
static const char *key_name(Planner *p, const Relation *groups, int key) {
    const char *name = groups->set->columns[key].name;
    if (name) return name;
    const ColumnSet *below = groups->inputs[0]->set;
    Schema schema = set_schema(p, below, below->count);
    return expr_name(p, groups->key_exprs[0][key], &schema);
}

/* `rows`: the sink's columns, a project. */
Status check_sink_keys(Planner *p, const Insert *insert, const Table *sink, const Relation *rows,
                       Error *error) {
    const View *view = changing_view(p, rows->inputs[0]);
    const char *what =
        view ? arena_format(p->arena, "view %s is a GROUP BY without a window", view->name)
        : rows->changes ? "a GROUP BY without a window over sources that do not end"
                        : "a GROUP BY without a window";
    if (sink->key_count == 0)
        return fail_at(error, insert->line, insert->place,
                       "%s%s; give table %s a PRIMARY KEY, or group by a window", what,
                       view ? ", whose rows change" : " writes its groups again as they change",
                       sink->name);
    const Relation *groups = groups_of(rows->inputs[0]);
    if (groups->kind != REL_AGGREGATE)
        return fail_at(error, insert->line, insert->place,
                       "a UNION ALL of groups without a window cannot be written by key; write an "
                       "INSERT for each branch");
    const ColumnSet *below = rows->inputs[0]->set;
    bool *held = arena_new_array(p->arena, bool, groups->key_count + 1);
    for (int i = 0; i < sink->key_count; i++) {
        const TableColumn *to = &sink->columns[sink->keys[i]];
        const Expr *e = rows->set->columns[sink->keys[i]].expr;
        if (!made_of_keys(below, e))
            return fail_at(error, e->line ? e->line : insert->line,
                           e->line ? e->place : insert->place,
                           "column \"%s\" is in the PRIMARY KEY of %s, but its value changes with "
                           "the group, so that its old row would stay; key the table by the "
                           "columns of GROUP BY",
                           to->name, sink->name);
        int key = key_of(below, e);
        if (key >= 0) held[key] = true;
    }
    for (int i = 0; i < groups->key_count; i++)
        if (!held[i])
            return fail_at(error, insert->line, insert->place,
                           "groups are told apart by %s too, which is not in the PRIMARY KEY of "
                           "%s: one would overwrite the other; write it, unchanged, into a column "
                           "of the PRIMARY KEY",
                           key_name(p, groups, i), sink->name);
    return OK;
}
