/* Aggregates and groups. A call of an aggregate becomes an AggregateUse of the scope, its argument
 * bound over the un-grouped row; equal calls share one. group_expr then turns an expression over
 * the un-grouped row into one over the grouped row: what equals a group becomes its column,
 * aggregates theirs, and any other column is PostgreSQL's error. */
#include "sql/binder.h"

static Status check_aggregate(Scope *scope, const PgQuery__FuncCall *call, const char *name,
                              Error *error) {
    int at = call->location;
    if (scope->in_aggregate)
        return error_at(
            scope->catalog, at, error,
            scope->clause && strcmp(scope->clause, "FILTER") == 0
                ? "aggregate functions are not allowed in FILTER; filter in a sub-select"
                : "aggregate function calls cannot be nested; aggregate in a sub-select first");
    if (!scope->grouped) {
        const char *clause = scope->clause ? scope->clause : "this place";
        const char *remedy = scope->clause && strcmp(clause, "WHERE") == 0 ? "; write HAVING" : "";
        return error_at(scope->catalog, at, error, "aggregate functions are not allowed in %s%s",
                        clause, remedy);
    }
    if (call->n_agg_order > 0)
        return refuse(scope->catalog, at, error, "ORDER BY inside an aggregate",
                      "first_value and last_value go by event time");
    if (call->agg_star && strcmp(name, "count") != 0)
        return error_at(scope->catalog, at, error, "%s(*) must be used with a column: %s(column)",
                        name, name);
    return OK;
}

/* LANGUAGE.md 3: paths are double precision in these. */
static bool takes_numbers(const char *name) {
    static const char *const names[] = {"avg",     "sum",        "min",         "max",
                                        "stddev",  "stddev_pop", "stddev_samp", "variance",
                                        "var_pop", "var_samp"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0) return true;
    return false;
}

static Status settle_argument(Scope *scope, const char *name, Operand *arg, Error *error) {
    if (!arg->path) return OK;
    TypeKind kind = takes_numbers(name)                                            ? TYPE_FLOAT8
                    : strncmp(name, "bool_", 5) == 0 || strcmp(name, "every") == 0 ? TYPE_BOOL
                                                                                   : TYPE_JSONB;
    Expr *e;
    Status status = operand_as(scope, arg, type_of(kind), CAST_EXPLICIT, &e, error);
    *arg = (Operand){.expr = e, .location = arg->location};
    return status;
}

static int aggregate_candidates(const char *name, Candidate *out) {
    int count = 0;
    for (int i = 0; aggregate_at(i) && count < CANDIDATES_MOST; i++) {
        const Aggregate *a = aggregate_at(i);
        if (strcmp(a->name, name) == 0)
            out[count++] = (Candidate){a, &a->arg, a->arg_count, false, false};
    }
    return count;
}

static Status no_aggregate(Scope *scope, const char *name, const Operand *args, int count,
                           const Candidate *candidates, int named, int chosen, int location,
                           Error *error) {
    TypeKind kinds[ARGUMENTS_MOST];
    for (int i = 0; i < count; i++) kinds[i] = operand_kind(&args[i]);
    const char *what = arena_format(
        scope->arena, "function %s(%s) %s", name, argument_list(scope, kinds, count, false),
        chosen == CANDIDATE_AMBIGUOUS ? "is not unique" : "does not exist");
    bool boolean = named > 0 && candidates[0].args[0] == TYPE_BOOL;
    const char *wanted = boolean ? "boolean" : "double precision";
    if (count == 1 && type_is_string(kinds[0]))
        return error_at(scope->catalog, location, error, "%s; cast the text: %s(column::%s)", what,
                        name, wanted);
    if (count == 1 && kinds[0] == TYPE_JSONB)
        return error_at(scope->catalog, location, error,
                        "%s; take a part of the jsonb and cast it: %s((column ->> 'key')::%s)",
                        what, name, wanted);
    Buffer list = {0};
    for (int i = 0; i < named && list.size < 300; i++)
        buffer_add_format(&list, "%s%s(%s)", i ? ", " : "", name,
                          argument_list(scope, candidates[i].args, candidates[i].arg_count, true));
    Status status = error_at(scope->catalog, location, error, "%s; there are %.*s", what,
                             (int)list.size, list.data);
    buffer_free(&list);
    return status;
}

static Status bind_argument(Scope *scope, const PgQuery__FuncCall *call, const char *name,
                            AggregateUse *use, Error *error) {
    Candidate candidates[CANDIDATES_MOST];
    int named = aggregate_candidates(name, candidates),
        count = call->agg_star ? 0 : (int)call->n_args;
    if (count == 0 && !call->agg_star && strcmp(name, "count") == 0)
        return error_at(scope->catalog, call->location, error,
                        "count(*) must be used to call a parameterless aggregate function");
    Operand args[ARGUMENTS_MOST];
    TypeKind kinds[ARGUMENTS_MOST];
    if (count > ARGUMENTS_MOST) count = ARGUMENTS_MOST;
    for (int i = 0; i < count; i++) {
        Status status = bind_node(scope, call->args[i], &args[i], error);
        if (status == OK) status = settle_argument(scope, name, &args[i], error);
        if (status != OK) return status;
        kinds[i] = operand_kind(&args[i]);
    }
    int chosen = choose_candidate(candidates, named, kinds, count);
    if (chosen < 0)
        return no_aggregate(scope, name, args, count, candidates, named, chosen, call->location,
                            error);
    use->aggregate = candidates[chosen].row;
    if (count == 0) return OK;
    if (use->aggregate->arg == TYPE_UNKNOWN || kinds[0] == use->aggregate->arg)
        return operand_settle(scope, &args[0], &use->arg, error);
    return operand_as(scope, &args[0], type_of(use->aggregate->arg), CAST_IMPLICIT, &use->arg,
                      error);
}

static bool same_use(const AggregateUse *a, const AggregateUse *b) {
    if (a->aggregate != b->aggregate || a->distinct != b->distinct || !a->arg != !b->arg ||
        !a->filter != !b->filter)
        return false;
    return (!a->arg || expr_equal(a->arg, b->arg)) &&
           (!a->filter || expr_equal(a->filter, b->filter));
}

static int add_use(Scope *scope, const AggregateUse *use) {
    for (int i = 0; i < scope->aggregate_count; i++)
        if (same_use(&scope->aggregates[i], use)) return i;
    if (scope->aggregate_count == scope->aggregate_capacity) {
        int capacity = scope->aggregate_capacity ? 2 * scope->aggregate_capacity : 8;
        AggregateUse *larger = arena_new_array(scope->arena, AggregateUse, capacity);
        if (scope->aggregate_count > 0)
            memcpy(larger, scope->aggregates, sizeof *larger * (size_t)scope->aggregate_count);
        scope->aggregates = larger;
        scope->aggregate_capacity = capacity;
    }
    AggregateUse *kept = &scope->aggregates[scope->aggregate_count];
    *kept = *use;
    kept->column =
        expr_column(scope->arena, scope->group_count + scope->aggregate_count, use->result);
    return scope->aggregate_count++;
}

Status bind_aggregate(Scope *scope, const PgQuery__FuncCall *call, const char *name, Operand *out,
                      Error *error) {
    Status status = check_aggregate(scope, call, name, error);
    if (status != OK) return status;
    AggregateUse use = {.distinct = call->agg_distinct};
    const char *clause = scope->clause;
    scope->in_aggregate = true;
    scope->clause = NULL;
    status = bind_argument(scope, call, name, &use, error);
    scope->clause = "FILTER";
    if (status == OK && call->agg_filter)
        status = bind_boolean(scope, call->agg_filter, "FILTER", &use.filter, error);
    scope->in_aggregate = false;
    scope->clause = clause;
    if (status != OK) return status;
    TypeKind result = use.aggregate->result;
    use.result = result == TYPE_UNKNOWN ? (Type){use.arg->type.kind, -1} : type_of(result);
    int index = add_use(scope, &use);
    *out = (Operand){.expr = placed(scope,
                                    expr_column(scope->arena, AGGREGATE_COLUMN + index, use.result),
                                    call->location),
                     .location = call->location};
    return OK;
}

/* ---- over the grouped row ---- */

/* The column as the text names it, found by its place. */
static const char *text_at(Scope *scope, const Expr *e) {
    const Trees *trees = trees_of(scope->catalog);
    const char *at = trees->text;
    for (int line = 1; line < e->line && *at;) line += *at++ == '\n';
    for (int place = 1; place < e->place && *at;) place += ((uint8_t) * ++at & 0xc0) != 0x80;
    int first = token_at(trees, (int)(at - trees->text)), last = first;
    while (token_is(trees, last + 1, ".")) last += 2;
    if (e->line == 0 || last >= trees->token_count) return "column";
    const char *end = trees->text + trees->tokens[last].end,
               *begin = trees->text + trees->tokens[first].start;
    return arena_text(scope->arena, (Str){begin, (size_t)(end - begin)});
}

Status group_expr(Scope *scope, Expr *e, Expr **out, Error *error) {
    for (int i = 0; i < scope->group_count; i++) {
        const Expr *group = scope->groups[i];
        /* a cast that only takes a modifier off leaves the column what it was */
        bool same_column =
            e->kind == EXPR_COLUMN && group->kind == EXPR_COLUMN && e->column == group->column;
        if (!same_column && !expr_equal(e, group)) continue;
        *out = expr_column(scope->arena, i, e->type);
        (*out)->line = e->line;
        (*out)->place = e->place;
        return OK;
    }
    *out = e;
    if (e->kind == EXPR_COLUMN) {
        if (e->column < AGGREGATE_COLUMN)
            return fail_at(
                error, e->line, e->place,
                "column \"%s\" must appear in the GROUP BY clause or be used in an aggregate "
                "function; add it to GROUP BY, or take min, max, first_value or last_value of it",
                text_at(scope, e));
        *out =
            expr_column(scope->arena, scope->group_count + e->column - AGGREGATE_COLUMN, e->type);
        (*out)->line = e->line;
        (*out)->place = e->place;
        return OK;
    }
    if (e->kind == EXPR_HIDDEN && e->hidden != HIDDEN_NOW)
        return fail_at(
            error, e->line, e->place,
            "this must appear in the GROUP BY clause or be used in an aggregate function");
    if (e->arg_count == 0) return OK;
    /* a copy: parts may be shared with other expressions */
    Expr *copy = arena_zero(scope->arena, sizeof *copy);
    *copy = *e;
    copy->args = arena_new_array(scope->arena, Expr *, e->arg_count);
    for (int i = 0; i < e->arg_count; i++) {
        Status status = group_expr(scope, e->args[i], &copy->args[i], error);
        if (status != OK) return status;
    }
    *out = copy;
    return OK;
}
