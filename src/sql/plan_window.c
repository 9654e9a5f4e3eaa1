/* Windows: functions in FROM that give their first argument's columns with window_start and
 * window_end behind them. What may be their time is decided here: only columns for which it is
 * known when no older value will come. */
#include "sql/planner.h"

enum { WINDOWS_MOST = 100000 }; /* of one row: size / slide */

typedef enum Slot {
    SLOT_TABLE,
    SLOT_TIME,
    SLOT_SIZE,
    SLOT_SLIDE,
    SLOT_STEP,
    SLOT_OFFSET,
    SLOT_GAP,
    SLOT_PARTITION,
    SLOTS
} Slot;

static const char *const slot_names[SLOTS] = {"t",    "time",   "size", "slide",
                                              "step", "offset", "gap",  "partition_by"};

typedef struct WindowFunction {
    const char *name;
    RelationKind kind;
    WindowKind window;
    int arg_count, required;
    Slot args[5];
    const char *usage;
} WindowFunction;

static const WindowFunction functions[] = {
    {"tumble",
     REL_WINDOW,
     WINDOW_TUMBLE,
     4,
     3,
     {SLOT_TABLE, SLOT_TIME, SLOT_SIZE, SLOT_OFFSET},
     "tumble(t, time, size [, offset])"},
    {"hop",
     REL_WINDOW,
     WINDOW_HOP,
     5,
     4,
     {SLOT_TABLE, SLOT_TIME, SLOT_SLIDE, SLOT_SIZE, SLOT_OFFSET},
     "hop(t, time, slide, size [, offset])"},
    {"cumulate",
     REL_WINDOW,
     WINDOW_CUMULATE,
     4,
     4,
     {SLOT_TABLE, SLOT_TIME, SLOT_STEP, SLOT_SIZE},
     "cumulate(t, time, step, size)"},
    {"session",
     REL_SESSION,
     WINDOW_TUMBLE,
     4,
     3,
     {SLOT_TABLE, SLOT_TIME, SLOT_GAP, SLOT_PARTITION},
     "session(t, time, gap [, partition_by => column])"},
};

static const WindowFunction *find_function(const char *name) {
    for (size_t i = 0; i < sizeof functions / sizeof *functions; i++)
        if (strcmp(functions[i].name, name) == 0) return &functions[i];
    return NULL;
}

/* ---- arguments ---- */

static Status named_slot(Planner *p, const WindowFunction *f, const PgQuery__NamedArgExpr *arg,
                         Slot *out, Error *error) {
    const char *names[SLOTS];
    for (int i = 0; i < f->arg_count; i++) {
        names[i] = slot_names[f->args[i]];
        if (strcmp(names[i], arg->name) == 0) {
            *out = f->args[i];
            return OK;
        }
    }
    const char *closest = closest_name(arg->name, names, f->arg_count);
    return error_at(p->catalog, arg->location, error, "%s has no argument '%s'%s%s%s; it is %s",
                    f->name, arg->name, closest ? ", did you mean '" : "", closest ? closest : "",
                    closest ? "'?" : "", f->usage);
}

static Status read_arguments(Planner *p, const WindowFunction *f, const PgQuery__FuncCall *call,
                             NodeTree *slots[SLOTS], Error *error) {
    const char *named = NULL;
    for (size_t i = 0; i < call->n_args; i++) {
        NodeTree *arg = call->args[i];
        Slot slot = SLOT_TABLE;
        if (arg->node_case == PG_QUERY__NODE__NODE_NAMED_ARG_EXPR) {
            if (named_slot(p, f, arg->named_arg_expr, &slot, error) != OK) return FAIL;
            named = slot_names[slot];
            arg = arg->named_arg_expr->arg;
        } else {
            if (named)
                return error_at(p->catalog, node_location(arg), error,
                                "an argument without a name cannot stand behind '%s'; name it, "
                                "too: %s",
                                named, f->usage);
            if ((int)i >= f->arg_count)
                return error_at(p->catalog, node_location(arg), error,
                                "%s has too many arguments; it is %s", f->name, f->usage);
            slot = f->args[i];
        }
        if (slots[slot])
            return error_at(p->catalog, node_location(arg), error,
                            "argument '%s' of %s is given twice; it is %s", slot_names[slot],
                            f->name, f->usage);
        slots[slot] = arg;
    }
    for (int i = 0; i < f->required; i++)
        if (!slots[f->args[i]])
            return error_at(p->catalog, call->location, error,
                            "argument '%s' of %s is missing; it is %s", slot_names[f->args[i]],
                            f->name, f->usage);
    return OK;
}

static Status plan_argument(Planner *p, const WindowFunction *f, NodeTree *arg, From *out,
                            Error *error) {
    if (arg->node_case == PG_QUERY__NODE__NODE_COLUMN_REF && arg->column_ref->n_fields == 1) {
        NamePart parts[NAME_PARTS_MOST];
        column_ref_parts(p->catalog, arg->column_ref, parts);
        if (parts[0].name)
            return relation_named(p, parts[0].name, parts[0].quoted, arg->column_ref->location, out,
                                  error);
    }
    if (arg->node_case == PG_QUERY__NODE__NODE_SUB_LINK &&
        arg->sub_link->sub_link_type == PG_QUERY__SUB_LINK_TYPE__EXPR_SUBLINK &&
        arg->sub_link->subselect &&
        arg->sub_link->subselect->node_case == PG_QUERY__NODE__NODE_SELECT_STMT) {
        Relation *r = NULL;
        if (plan_select(p, arg->sub_link->subselect->select_stmt, (SelectOptions){0}, &r, error) !=
            OK)
            return FAIL;
        from_relation(p, out, r, f->name, false);
        return OK;
    }
    return error_at(p->catalog, node_location(arg), error,
                    "the first argument of %s is a table, a view, or a sub-select in parentheses "
                    "of its own; write %s((SELECT "
                    "…), …)",
                    f->name, f->name);
}

/* ---- time ---- */

/* A source with an event time, which got lost on the way, or one without. */
static const Relation *find_source(const Relation *r, bool timed) {
    if (r->kind == REL_SOURCE) return (r->table->event_time >= 0) == timed ? r : NULL;
    for (int i = 0; i < r->input_count; i++) {
        const Relation *found = find_source(r->inputs[i], timed);
        if (found) return found;
    }
    return NULL;
}

static Status wrong_time(Planner *p, const WindowFunction *f, const From *from, int location,
                         Error *error) {
    const ColumnSet *set = from->relation->set;
    int time = set_find_role(set, ROLE_EVENT_TIME, NULL);
    if (time < 0) time = set_find_role(set, ROLE_WINDOW_END, NULL);
    if (time < 0) time = set_find_role(set, ROLE_WINDOW_START, NULL);
    if (time >= 0 && set->columns[time].name)
        return error_at(p->catalog, location, error,
                        "%s goes by the event time alone, which here is column %s, passed on "
                        "unchanged; write %s(…, %s, …)",
                        f->name, set->columns[time].name, f->name, set->columns[time].name);
    if (from->relation->results)
        return error_at(p->catalog, location, error,
                        "%s over results of a GROUP BY needs their window_start or window_end; "
                        "select one of them inside",
                        f->name);
    const Relation *source = find_source(from->relation, true);
    const Relation *untimed = find_source(from->relation, false);
    if (source && untimed)
        return error_at(p->catalog, location, error,
                        "%s goes by the event time, which rows of %s do not have; say event_time = "
                        "'column' among its options",
                        f->name, untimed->table->name);
    if (source)
        return error_at(p->catalog, location, error,
                        "%s goes by the event time alone, which is column %s of %s; select it "
                        "inside, unchanged",
                        f->name, source->table->columns[source->table->event_time].name,
                        source->table->name);
    return error_at(p->catalog, location, error,
                    "%s needs an event time; say event_time = 'column' among the table's options",
                    f->name);
}

/* Ad hoc queries read all before they answer: any time will do there. */
static Status any_time(Planner *p, const WindowFunction *f, From *from, Scope *scope, Expr *e,
                       int location, Relation *r, Error *error) {
    if (e->type.kind == TYPE_DATE &&
        bind_cast(scope, e, type_of(TYPE_TIMESTAMP), CAST_EXPLICIT, &e, error) != OK)
        return FAIL;
    if (e->type.kind != TYPE_TIMESTAMP && e->type.kind != TYPE_TIMESTAMPTZ)
        return error_at(p->catalog, location, error,
                        "the time of %s has type %s; cast it: %s(…, column::timestamptz, …)",
                        f->name, type_name(e->type, p->arena), f->name);
    int column = 0;
    from->relation = relation_with(p, from->relation, &e, 1, &column);
    r->window.time_kind = TIME_ANY;
    r->window.time = column;
    r->window.type = type_of(e->type.kind);
    return OK;
}

static Status plan_time(Planner *p, const WindowFunction *f, From *from, NodeTree *node,
                        Relation *r, Error *error) {
    Scope scope;
    from_scope(p, from, &scope);
    scope.clause = "a window's time";
    Expr *e = NULL;
    if (bind_expr(&scope, node, type_of(TYPE_UNKNOWN), &e, error) != OK) return FAIL;
    int location = node_location(node);
    TimeRole role =
        e->kind == EXPR_COLUMN ? from->relation->set->columns[e->column].role : ROLE_NONE;
    r->window.time = e->kind == EXPR_COLUMN ? e->column : -1;
    r->window.type = type_of(e->type.kind);
    switch (role) {
    case ROLE_EVENT_TIME: r->window.time_kind = TIME_EVENT; return OK;
    case ROLE_WINDOW_START: r->window.time_kind = TIME_WINDOW_START; return OK;
    case ROLE_WINDOW_END: r->window.time_kind = TIME_WINDOW_END; return OK;
    case ROLE_NONE: break;
    }
    if (p->adhoc && !from->relation->results)
        return any_time(p, f, from, &scope, e, location, r, error);
    return wrong_time(p, f, from, location, error);
}

/* ---- sizes ---- */

static Status check_sizes(Planner *p, const WindowFunction *f, NodeTree *const slots[SLOTS],
                          const WindowSpec *w, Error *error) {
    NodeTree *slide = slots[SLOT_SLIDE] ? slots[SLOT_SLIDE] : slots[SLOT_STEP];
    if (slots[SLOT_STEP] && w->size_us % w->slide_us != 0)
        return error_at(p->catalog, node_location(slots[SLOT_SIZE]), error,
                        "size must be a multiple of step, so that the last window ends with the "
                        "size; it is %s",
                        f->usage);
    if (w->slide_us > w->size_us)
        return error_at(
            p->catalog, node_location(slide), error,
            "slide is greater than size, so that rows between windows would be lost; it is %s",
            f->usage);
    if (w->size_us / w->slide_us > WINDOWS_MOST)
        return error_at(p->catalog, node_location(slide), error,
                        "each row would be in more than %d windows; make %s greater", WINDOWS_MOST,
                        slots[SLOT_STEP] ? "step" : "slide");
    return OK;
}

/* Windows are the same when they are moved by whole ones: -1 hour of a day is 23 hours. */
static Status plan_offset(Scope *scope, NodeTree *node, WindowSpec *w, Error *error) {
    int64_t offset_us;
    if (bind_interval_constant(scope, node, "offset", true, &offset_us, error) != OK) return FAIL;
    w->offset_us =
        offset_us >= 0 ? offset_us : (offset_us % w->slide_us + w->slide_us) % w->slide_us;
    return OK;
}

static Status plan_sizes(Planner *p, const WindowFunction *f, NodeTree *slots[SLOTS], From *from,
                         Relation *r, Error *error) {
    Scope scope;
    from_scope(p, from, &scope);
    WindowSpec *w = &r->window;
    w->kind = f->window;
    if (r->kind == REL_SESSION)
        return bind_interval_constant(&scope, slots[SLOT_GAP], "gap", false, &r->gap_us, error);
    if (bind_interval_constant(&scope, slots[SLOT_SIZE], "size", false, &w->size_us, error) != OK)
        return FAIL;
    w->slide_us = w->size_us;
    if (slots[SLOT_SLIDE] && bind_interval_constant(&scope, slots[SLOT_SLIDE], "slide", false,
                                                    &w->slide_us, error) != OK)
        return FAIL;
    if (slots[SLOT_STEP] &&
        bind_interval_constant(&scope, slots[SLOT_STEP], "step", false, &w->slide_us, error) != OK)
        return FAIL;
    if (slots[SLOT_OFFSET] && plan_offset(&scope, slots[SLOT_OFFSET], w, error) != OK) return FAIL;
    return check_sizes(p, f, slots, w, error);
}

/* ---- session's columns ---- */

static Status session_columns(Planner *p, From *from, NodeTree *node, Relation *r, Error *error) {
    if (!node) return OK;
    NodeTree **items = &node;
    size_t count = 1;
    if (node->node_case == PG_QUERY__NODE__NODE_ROW_EXPR) {
        items = node->row_expr->args;
        count = node->row_expr->n_args;
    }
    Scope scope;
    from_scope(p, from, &scope);
    scope.clause = "partition_by";
    r->keys = arena_new_array(p->arena, int, (int)count);
    for (size_t i = 0; i < count; i++) {
        Expr *e = NULL;
        if (bind_expr(&scope, items[i], type_of(TYPE_UNKNOWN), &e, error) != OK) return FAIL;
        if (e->kind != EXPR_COLUMN)
            return error_at(p->catalog, node_location(items[i]), error,
                            "partition_by takes columns, not expressions; compute it inside: "
                            "session((SELECT … AS k, …), time, "
                            "gap, partition_by => k)");
        r->keys[r->key_count++] = e->column;
    }
    return OK;
}

/* ---- the whole ---- */

static Status check_input(Planner *p, const WindowFunction *f, const Relation *input, int location,
                          Error *error) {
    if (check_steady(p, input, "a window", "group by a window inside", location, error) != OK)
        return FAIL;
    if (input->session)
        return error_at(p->catalog, location, error,
                        "a session window must be followed by its GROUP BY before %s; write "
                        "%s((SELECT … FROM session(…) GROUP BY "
                        "…), …)",
                        f->name, f->name);
    return OK;
}

/* The columns behind the input's, with inner windows' columns of the same name hidden. */
static Status window_columns(Planner *p, From *from, Relation *r, int location, From *out,
                             Error *error) {
    static const char *const names[2] = {"window_start", "window_end"};
    static const TimeRole roles[2] = {ROLE_WINDOW_START, ROLE_WINDOW_END};
    WindowOf *window = arena_zero(p->arena, sizeof *window);
    *window = (WindowOf){.fixed = r->kind == REL_WINDOW && r->window.kind != WINDOW_CUMULATE,
                         .size_us = r->window.size_us};
    ColumnSet *set = set_new(p, r);
    set_pass(p, set, 0, from->relation->set);
    *out = (From){.relation = r};
    for (int i = 0; i < from->count; i++) {
        ScopeColumn c = from->columns[i];
        bool taken = name_matches(names[0], false, c.name) || name_matches(names[1], false, c.name);
        if (taken && c.role != ROLE_WINDOW_START && c.role != ROLE_WINDOW_END)
            return error_at(p->catalog, location, error,
                            "column %s is in the way of the window's own; give it another name "
                            "inside: (SELECT %s AS …, …)",
                            c.name, c.name);
        if (!taken) from_add(p, out, c);
    }
    const char *relation = from->count > 0 ? from->columns[0].relation : "window";
    bool relation_quoted = from->count > 0 && from->columns[0].relation_quoted;
    for (int i = 0; i < 2; i++) {
        int column = set_add(p, set,
                             (PlannedColumn){.name = names[i],
                                             .type = r->window.type,
                                             .role = roles[i],
                                             .window = window,
                                             .not_null = true,
                                             .input = -1,
                                             .path_of = -1});
        from_add(p, out,
                 (ScopeColumn){.relation = relation,
                               .relation_quoted = relation_quoted,
                               .name = names[i],
                               .type = r->window.type,
                               .role = roles[i],
                               .column = column});
    }
    set->declared = set->count;
    return OK;
}

static Status function_call(Planner *p, const PgQuery__RangeFunction *range,
                            const PgQuery__FuncCall **out, Error *error) {
    int location = tree_begin(&range->base);
    if (range->lateral || range->ordinality || range->is_rowsfrom || range->n_coldeflist > 0 ||
        range->n_functions != 1)
        return refuse(p->catalog, location, error, "this form of a function in FROM",
                      "write tumble(…), hop(…), cumulate(…) or session(…) alone");
    const NodeTree *item = range->functions[0];
    if (item->node_case == PG_QUERY__NODE__NODE_LIST && item->list->n_items > 0)
        item = item->list->items[0];
    if (item->node_case != PG_QUERY__NODE__NODE_FUNC_CALL)
        return refuse(p->catalog, location, error, "this function in FROM",
                      "FROM takes tumble, hop, cumulate and session");
    *out = item->func_call;
    return OK;
}

Status plan_window(Planner *p, PgQuery__RangeFunction *range, NodeTree *node, From *out,
                   Error *error) {
    const PgQuery__FuncCall *call = NULL;
    if (function_call(p, range, &call, error) != OK) return FAIL;
    const char *name = call->n_funcname == 1 ? string_of(call->funcname[0]) : "";
    const WindowFunction *f = find_function(name);
    if (!f)
        return refuse(p->catalog, call->location, error,
                      *name ? arena_format(p->arena, "function %s in FROM", name)
                            : "a function of a schema in FROM",
                      "FROM takes the windows tumble, hop, cumulate and session");
    if (call->n_agg_order > 0 || call->agg_filter || call->over || call->agg_star ||
        call->agg_distinct || call->func_variadic)
        return error_at(p->catalog, call->location, error, "%s takes plain arguments; it is %s",
                        f->name, f->usage);
    NodeTree *slots[SLOTS] = {0};
    if (read_arguments(p, f, call, slots, error) != OK) return FAIL;
    From from;
    if (plan_argument(p, f, slots[SLOT_TABLE], &from, error) != OK) return FAIL;
    if (check_input(p, f, from.relation, call->location, error) != OK) return FAIL;

    Relation *r = relation_over(p, f->kind, from.relation);
    if (plan_time(p, f, &from, slots[SLOT_TIME], r, error) != OK) return FAIL;
    if (plan_sizes(p, f, slots, &from, r, error) != OK) return FAIL;
    if (session_columns(p, &from, slots[SLOT_PARTITION], r, error) != OK) return FAIL;
    r->inputs[0] = from.relation;
    r->one_record &= f->kind == REL_WINDOW;
    if (f->kind == REL_SESSION) r->session = r;
    if (window_columns(p, &from, r, call->location, out, error) != OK) return FAIL;
    AliasSpelling alias = from_alias(p->catalog, node);
    return from_aliases(p, out, &alias, call->location, error);
}
