/* UNION ALL: branches with one type a column. Each branch is a project of its own that gives
 * exactly the columns that are read, so that the union operator passes batches on as they are. */
#include "sql/planner.h"

typedef struct Branches {
    PgQuery__SelectStmt *items[UNION_MOST_BRANCHES];
    int count;
} Branches;

static Status check_operation(Planner *p, const PgQuery__SelectStmt *select, Error *error) {
    int location = tree_begin(&select->rarg->base);
    switch (select->op) {
    case PG_QUERY__SET_OPERATION__SETOP_UNION:
        if (select->all) return OK;
        return refuse(p->catalog, location, error, "UNION without ALL",
                      "write UNION ALL; to drop repeats, SELECT DISTINCT ON over it");
    case PG_QUERY__SET_OPERATION__SETOP_INTERSECT:
        return refuse(p->catalog, location, error, "INTERSECT", "join the results of two windows");
    default:
        return refuse(p->catalog, location, error, "EXCEPT",
                      "LEFT JOIN the results of two windows, WHERE … IS NULL");
    }
}

/* Branches from left to right, nested ones in their place. */
static Status collect(Planner *p, PgQuery__SelectStmt *select, Branches *out, Error *error) {
    bool plain = !select->with_clause && select->n_sort_clause == 0 && !select->limit_count &&
                 !select->limit_offset;
    bool top = out->count == 0 && select->op != PG_QUERY__SET_OPERATION__SETOP_NONE;
    if (select->op != PG_QUERY__SET_OPERATION__SETOP_NONE && select->larg && select->rarg &&
        (plain || top)) {
        if (check_operation(p, select, error) != OK) return FAIL;
        if (collect(p, select->larg, out, error) != OK) return FAIL;
        return collect(p, select->rarg, out, error);
    }
    if (out->count == UNION_MOST_BRANCHES)
        return error_at(p->catalog, tree_begin(&select->base), error,
                        "a UNION ALL has more than %d branches", UNION_MOST_BRANCHES);
    out->items[out->count++] = select;
    return OK;
}

/* The role that a column has in all branches, or none. */
static void union_role(Planner *p, const Relation *r, int column, PlannedColumn *out) {
    const PlannedColumn *first = &r->inputs[0]->set->columns[column];
    bool same = first->role != ROLE_NONE, same_size = first->window != NULL;
    out->not_null = true;
    for (int i = 0; i < r->input_count; i++) {
        const PlannedColumn *c = &r->inputs[i]->set->columns[column];
        same &= c->role == first->role && r->inputs[i]->results == r->inputs[0]->results;
        same_size = same_size && c->window && c->window->fixed &&
                    c->window->size_us == first->window->size_us;
        out->not_null &= c->not_null;
    }
    if (!same) return;
    out->role = first->role;
    if (same_size) {
        out->window = first->window;
    } else if (first->window) {
        WindowOf *window = arena_zero(p->arena, sizeof *window);
        window->grouped = first->window->grouped;
        out->window = window;
    }
}

static void union_facts(Relation *r) {
    r->bounded = r->timed = r->windowed = r->one_record = true;
    for (int i = 0; i < r->input_count; i++) {
        const Relation *input = r->inputs[i];
        r->bounded &= input->bounded;
        r->timed &= input->timed;
        r->windowed &= input->windowed;
        r->one_record &= input->one_record;
        r->results |= input->results;
        r->changes |= input->changes;
        r->ungrouped |= input->ungrouped;
        r->by_group |= input->by_group;
    }
}

static Status union_types(Planner *p, Relation *r, const Branches *branches, Error *error) {
    int columns = r->inputs[0]->set->declared;
    Type *types = arena_new_array(p->arena, Type, r->input_count);
    for (int c = 0; c < columns; c++) {
        for (int i = 0; i < r->input_count; i++) types[i] = r->inputs[i]->set->columns[c].type;
        Type type;
        if (common_type(types, r->input_count, "UNION", &type, error) != OK) {
            if (!error->line)
                place_of(p->catalog, tree_begin(&branches->items[r->input_count - 1]->base),
                         &error->line, &error->column);
            return FAIL;
        }
        if (type.kind == TYPE_UNKNOWN) type = type_of(TYPE_TEXT);
        for (int i = 0; i < r->input_count; i++)
            if (project_cast(p, r->inputs[i], c, type, CAST_IMPLICIT, error) != OK) {
                if (!error->line)
                    place_of(p->catalog, tree_begin(&branches->items[i]->base), &error->line,
                             &error->column);
                return FAIL;
            }
    }
    return OK;
}

/* A branch's rows as a project that nobody else reads. */
static Relation *branch_project(Planner *p, Relation *input) {
    if (input->kind == REL_PROJECT) return input;
    Relation *r = relation_over(p, REL_PROJECT, input);
    set_new(p, r);
    for (int i = 0; i < input->set->declared; i++) {
        const PlannedColumn *c = &input->set->columns[i];
        project_add(p, r, expr_column(p->arena, i, c->type), c->name, c->quoted);
    }
    return r;
}

Status plan_union(Planner *p, PgQuery__SelectStmt *select, Relation **out, Error *error) {
    Branches *branches = arena_zero(p->arena, sizeof *branches);
    if (collect(p, select, branches, error) != OK) return FAIL;
    Relation *r = relation_new(p, REL_UNION, branches->count);
    for (int i = 0; i < branches->count; i++) {
        Relation *input = NULL;
        if (plan_select(p, branches->items[i], (SelectOptions){.keep_unknown = true}, &input,
                        error) != OK)
            return FAIL;
        r->inputs[i] = branch_project(p, input);
        r->inputs[i]->exact = true;
        if (r->inputs[i]->set->declared != r->inputs[0]->set->declared)
            return error_at(p->catalog, tree_begin(&branches->items[i]->base), error,
                            "each UNION query must have the same number of columns: the first has "
                            "%d, this one %d",
                            r->inputs[0]->set->declared, r->inputs[i]->set->declared);
    }
    if (union_types(p, r, branches, error) != OK) return FAIL;
    union_facts(r);
    ColumnSet *set = set_new(p, r);
    for (int c = 0; c < r->inputs[0]->set->declared; c++) {
        const PlannedColumn *first = &r->inputs[0]->set->columns[c];
        PlannedColumn column = {.name = first->name,
                                .quoted = first->quoted,
                                .type = first->type,
                                .input = -1,
                                .path_of = -1};
        union_role(p, r, c, &column);
        set_add(p, set, column);
    }
    set->declared = set->count;
    *out = r;
    return OK;
}
