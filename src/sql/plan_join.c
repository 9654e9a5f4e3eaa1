/* Joins: of rows with a reference table by its primary key, and of two results of windows. The ON
 * condition is bound over both sides at once and then taken apart: equalities that name the key are
 * looked up, the rest is a condition of the pair. */
#include "sql/planner.h"

enum { ON_MOST = 64 };

typedef struct Conditions {
    Expr *items[ON_MOST];
    int locations[ON_MOST];
    int count;
} Conditions;

static Status bind_on(Planner *p, Scope *scope, NodeTree *node, Conditions *out, Error *error) {
    if (node->node_case == PG_QUERY__NODE__NODE_BOOL_EXPR &&
        node->bool_expr->boolop == PG_QUERY__BOOL_EXPR_TYPE__AND_EXPR) {
        for (size_t i = 0; i < node->bool_expr->n_args; i++)
            if (bind_on(p, scope, node->bool_expr->args[i], out, error) != OK) return FAIL;
        return OK;
    }
    if (out->count == ON_MOST)
        return error_at(p->catalog, node_location(node), error,
                        "more than %d conditions in one ON; join in steps", ON_MOST);
    out->locations[out->count] = node_location(node);
    return bind_condition(scope, node, "JOIN/ON", &out->items[out->count++], error);
}

static bool is_equality(const Expr *e) {
    return e->kind == EXPR_CALL && e->arg_count == 2 && e->function->flags & FUNCTION_OPERATOR &&
           strcmp(e->function->name, "=") == 0;
}

/* Values of these types that are equal are encoded alike as keys. */
static bool keys_alike(Type a, Type b) {
    if (type_is_integer(a.kind)) return type_is_integer(b.kind);
    if (type_is_text(a.kind)) return type_is_text(b.kind);
    return a.kind == b.kind;
}

static const Expr *without_casts(const Expr *e) {
    while (e->kind == EXPR_CALL && e->function->flags & FUNCTION_CAST && e->arg_count >= 1 &&
           keys_alike(e->args[0]->type, e->type))
        e = e->args[0];
    return e;
}

static bool casts_column(const Expr *e) {
    while (e->kind == EXPR_CALL && e->function->flags & FUNCTION_CAST && e->arg_count >= 1)
        e = e->args[0];
    return e->kind == EXPR_COLUMN;
}

static Expr *all_of(Planner *p, Expr **items, int count) {
    if (count == 0) return NULL;
    if (count == 1) return items[0];
    Expr **args = arena_new_array(p->arena, Expr *, count);
    memcpy(args, items, sizeof *args * (size_t)count);
    return expr_of(p->arena, EXPR_AND, type_of(TYPE_BOOL), args, count);
}

/* ---- USING ---- */

typedef struct Using {
    int left, right; /* columns of the two From */
} Using;

static int find_using(const From *from, const char *name, bool quoted, int *found) {
    int at = -1;
    *found = 0;
    for (int i = 0; i < from->count; i++)
        if (!from->columns[i].qualified_only && name_matches(name, quoted, from->columns[i].name)) {
            at = i;
            ++*found;
        }
    return at;
}

static Status plan_using(Planner *p, const PgQuery__JoinExpr *join, const From *left,
                         const From *right, Using *out, Error *error) {
    int location = tree_begin(&join->rarg->base);
    for (size_t i = 0; i < join->n_using_clause; i++) {
        bool quoted = false;
        const char *name =
            spelling_of(p->catalog, location, string_of(join->using_clause[i]), &quoted);
        const From *sides[2] = {left, right};
        int columns[2];
        for (int side = 0; side < 2; side++) {
            int found = 0;
            columns[side] = find_using(sides[side], name, quoted, &found);
            if (found == 0)
                return error_at(p->catalog, location, error,
                                "column \"%s\" of USING does not exist on the %s side of the join; "
                                "write ON a.x = b.y",
                                name, side ? "right" : "left");
            if (found > 1)
                return error_at(p->catalog, location, error,
                                "column \"%s\" of USING is there more than once on the %s side; "
                                "write ON a.x = b.y",
                                name, side ? "right" : "left");
        }
        out[i] = (Using){columns[0], columns[1]};
    }
    return OK;
}

/* Columns of both sides over the join's rows: merged ones first, as PostgreSQL puts them. */
static void join_columns(Planner *p, From *out, const From *left, const From *right,
                         int left_declared, const Using *using, int using_count) {
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < left->count; i++) {
            bool merged = false;
            for (int k = 0; k < using_count; k++) merged |= using[k].left == i;
            if (merged == (pass == 0)) from_add(p, out, left->columns[i]);
        }
    for (int i = 0; i < right->count; i++) {
        ScopeColumn c = right->columns[i];
        c.column += left_declared;
        c.role = out->relation->set->columns[c.column].role;
        for (int k = 0; k < using_count; k++) c.qualified_only |= using[k].right == i;
        from_add(p, out, c);
    }
}

/* left.x = right.x of the same or alike types, over the join's rows. */
static Status using_pair(Planner *p, const From *left, const From *right, Using u,
                         int left_declared, int location, Expr *pair[2], Error *error) {
    const ScopeColumn *a = &left->columns[u.left], *b = &right->columns[u.right];
    pair[0] = expr_column(p->arena, a->column, a->type);
    pair[1] = expr_column(p->arena, left_declared + b->column, b->type);
    if (keys_alike(a->type, b->type)) return OK;
    return error_at(p->catalog, location, error,
                    "column \"%s\" of USING has type %s on the left and %s on the right; write ON "
                    "a.%s::… = b.%s",
                    a->name, type_name(a->type, p->arena), type_name(b->type, p->arena), a->name,
                    b->name);
}

/* ---- with a reference table ---- */

typedef struct ReferenceKeys {
    Expr **exprs;         /* by place in the PRIMARY KEY; over the join's rows */
    const Expr *cast_key; /* an equality whose key side would have to be cast */
    int cast_location;
} ReferenceKeys;

/* Is this `left side = key column`? */
static bool reference_key(const Relation *join, Expr *e, int location, ReferenceKeys *keys) {
    if (!is_equality(e)) return false;
    const ColumnSet *set = join->set;
    const Table *table = join->inputs[1]->table;
    for (int side = 0; side < 2; side++) {
        const Expr *key = without_casts(e->args[side]);
        Expr *other = e->args[1 - side];
        if (column_input(other, set) & ~1) continue;
        if (key->kind != EXPR_COLUMN) {
            if (casts_column(key) && column_input(key, set) == 2) {
                keys->cast_key = key;
                keys->cast_location = location;
            }
            continue;
        }
        if (set->columns[key->column].input != 1) continue;
        int from = set->columns[key->column].from;
        for (int k = 0; k < table->key_count; k++) {
            if (table->keys[k] != from || keys->exprs[k] || !keys_alike(other->type, key->type))
                continue;
            keys->exprs[k] = other;
            return true;
        }
    }
    return false;
}

static const char *key_names(Planner *p, const Table *t) {
    Buffer text = {0};
    for (int i = 0; i < t->key_count; i++)
        buffer_add_format(&text, "%s%s", i ? ", " : "", t->columns[t->keys[i]].name);
    const char *names = arena_text(p->arena, buffer_str(&text));
    buffer_free(&text);
    return names;
}

static Status missing_key(Planner *p, const Relation *join, const ReferenceKeys *keys,
                          const char *alias, int location, Error *error) {
    const Table *t = join->inputs[1]->table;
    if (keys->cast_key)
        return error_at(p->catalog, keys->cast_location, error,
                        "the key of %s would have to be cast for every row; cast the other side to "
                        "the key's type (%s)",
                        t->name, type_name(t->columns[t->keys[0]].type, p->arena));
    return error_at(p->catalog, location, error,
                    "a join with reference table %s must equal every column of its PRIMARY KEY "
                    "(%s); write ON %s.%s = … for "
                    "each",
                    t->name, key_names(p, t), alias, t->columns[t->keys[0]].name);
}

static Status reference_join(Planner *p, const PgQuery__JoinExpr *join, From *left, Table *table,
                             bool outer, int location, From *out, Error *error) {
    Relation *reference = NULL;
    if (reference_relation(p, table, &reference, error) != OK) return FAIL;
    Relation *r = relation_over(p, REL_REFERENCE_JOIN, left->relation);
    r->inputs = arena_new_array(p->arena, Relation *, 2);
    r->inputs[0] = left->relation;
    r->inputs[1] = reference;
    r->input_count = 2;
    r->left = outer;
    r->one_record = false;
    ColumnSet *set = set_new(p, r);
    set_pass(p, set, 0, left->relation->set);
    int left_declared = set->declared;
    set_pass(p, set, 1, reference->set);
    for (int i = left_declared; outer && i < set->count; i++) set->columns[i].not_null = false;

    From right;
    from_relation(p, &right, reference, table->name, table->quoted);
    AliasSpelling alias = from_alias(p->catalog, join->rarg);
    if (from_aliases(p, &right, &alias, location, error) != OK) return FAIL;
    Using *using = arena_new_array(p->arena, Using, (int)join->n_using_clause + 1);
    if (plan_using(p, join, left, &right, using, error) != OK) return FAIL;
    *out = (From){.relation = r};
    join_columns(p, out, left, &right, left_declared, using, (int)join->n_using_clause);

    ReferenceKeys keys = {.exprs = arena_new_array(p->arena, Expr *, table->key_count)};
    Expr *rest[ON_MOST];
    int rest_count = 0;
    for (size_t i = 0; i < join->n_using_clause; i++) {
        Expr *pair[2];
        if (using_pair(p, left, &right, using[i], left_declared, location, pair, error) != OK)
            return FAIL;
        int k = 0;
        while (k < table->key_count && table->keys[k] != right.columns[using[i].right].column) k++;
        if (k == table->key_count)
            return missing_key(p, r, &keys, right.columns[0].relation, location, error);
        keys.exprs[k] = pair[0];
    }
    if (join->quals) {
        Scope scope;
        from_scope(p, out, &scope);
        scope.clause = "JOIN conditions";
        Conditions on = {.count = 0};
        if (bind_on(p, &scope, join->quals, &on, error) != OK) return FAIL;
        for (int i = 0; i < on.count; i++)
            if (!reference_key(r, on.items[i], on.locations[i], &keys))
                rest[rest_count++] = on.items[i];
    }
    r->key_count = table->key_count;
    r->key_exprs[0] = arena_new_array(p->arena, Expr *, table->key_count);
    for (int k = 0; k < table->key_count; k++) {
        if (!keys.exprs[k])
            return missing_key(p, r, &keys, right.columns[0].relation, location, error);
        r->key_exprs[0][k] = expr_to_input(p, keys.exprs[k], set);
    }
    r->condition = all_of(p, rest, rest_count);
    return OK;
}

/* ---- of two results of windows ---- */

static bool same_windows(const WindowOf *a, const WindowOf *b) {
    return a && b && a->fixed && b->fixed && a->size_us == b->size_us;
}

/* The side's own project, so that the join keeps what is read and nothing else, with the expression
 * as a column of it. */
static Expr *side_key(Planner *p, Relation *side, const Expr *key) {
    if (key->kind == EXPR_COLUMN) return expr_column(p->arena, key->column, key->type);
    ColumnSet *set = side->set;
    int declared = set->declared;
    Expr *below = expr_below_project(p, key, set);
    int column = project_add(p, side, below, NULL, false);
    set->declared = declared;
    return expr_column(p->arena, column, key->type);
}

typedef struct WindowPair {
    int left, right; /* columns of the sides; -1: none */
    TimeRole role;
} WindowPair;

/* Is this a.window_end = b.window_end, or both their starts? */
static bool window_pair(const Relation *join, const Expr *a, const Expr *b, WindowPair *out) {
    if (a->kind != EXPR_COLUMN || b->kind != EXPR_COLUMN) return false;
    const PlannedColumn *x = &join->set->columns[a->column], *y = &join->set->columns[b->column];
    if (x->role != y->role || (x->role != ROLE_WINDOW_START && x->role != ROLE_WINDOW_END))
        return false;
    *out = (WindowPair){x->from, y->from, x->role};
    return true;
}

static void add_pair(Planner *p, Relation *r, Expr *a, Expr *b) {
    for (int side = 0; side < 2; side++) {
        Expr *e = expr_to_input(p, side ? b : a, r->set);
        r->key_exprs[side][r->key_count] = side_key(p, r->inputs[side], e);
    }
    r->key_count++;
}

static void add_condition(Planner *p, Relation *r, Expr *e, WindowPair *window, Expr **rest,
                          int *rest_count) {
    if (is_equality(e)) {
        int first = column_input(e->args[0], r->set), second = column_input(e->args[1], r->set);
        Expr *a = first == 1 ? e->args[0] : e->args[1], *b = first == 1 ? e->args[1] : e->args[0];
        if (((first == 1 && second == 2) || (first == 2 && second == 1)) &&
            keys_alike(a->type, b->type)) {
            WindowPair pair;
            /* An end is better than a start: it is what time is told by. */
            if (window_pair(r, a, b, &pair) && (window->left < 0 || pair.role == ROLE_WINDOW_END)) {
                *window = pair;
                r->bucket = r->key_count;
            }
            add_pair(p, r, a, b);
            return;
        }
    }
    rest[(*rest_count)++] = e;
}

/* Where starts are equal and the windows are of one size, their ends are equal too. */
static void prefer_end(Planner *p, Relation *r, WindowPair *window) {
    const ColumnSet *a = r->inputs[0]->set, *b = r->inputs[1]->set;
    const WindowOf *wa = a->columns[window->left].window, *wb = b->columns[window->right].window;
    if (window->role != ROLE_WINDOW_START || !same_windows(wa, wb)) return;
    int ends[2] = {set_find_role(a, ROLE_WINDOW_END, wa), set_find_role(b, ROLE_WINDOW_END, wb)};
    if (ends[0] < 0 || ends[1] < 0) return;
    *window = (WindowPair){ends[0], ends[1], ROLE_WINDOW_END};
    for (int side = 0; side < 2; side++)
        r->key_exprs[side][r->bucket] =
            expr_column(p->arena, ends[side], r->inputs[side]->set->columns[ends[side]].type);
}

/* A window column of the result keeps its meaning only where the join's closing says when no more
 * of it comes. */
static void join_roles(Relation *r, const WindowPair *window) {
    const WindowOf *a = r->inputs[0]->set->columns[window->left].window;
    const WindowOf *b = r->inputs[1]->set->columns[window->right].window;
    bool same = same_windows(a, b);
    for (int i = 0; i < r->set->count; i++) {
        PlannedColumn *c = &r->set->columns[i];
        const WindowOf *own = c->input == 0 ? a : b;
        bool kept = c->role != ROLE_NONE && c->window == own && (c->role == window->role || same);
        if (r->left && c->input == 1) kept = c->not_null = false;
        if (!kept) c->role = ROLE_NONE;
    }
}

static Relation *join_side(Planner *p, Relation *input) {
    Relation *side = relation_over(p, REL_PROJECT, input);
    set_new(p, side);
    side->exact = true;
    for (int i = 0; i < input->set->declared; i++) {
        const PlannedColumn *c = &input->set->columns[i];
        project_add(p, side, expr_column(p->arena, i, c->type), c->name, c->quoted);
    }
    return side;
}

static Status window_join(Planner *p, const PgQuery__JoinExpr *join, From *left, From *right,
                          bool outer, int location, From *out, Error *error) {
    Relation *r = relation_new(p, REL_WINDOW_JOIN, 2);
    r->inputs[0] = join_side(p, left->relation);
    r->inputs[1] = join_side(p, right->relation);
    r->bounded = left->relation->bounded && right->relation->bounded;
    r->results = r->windowed = true;
    r->left = outer;
    p->query->stateful = true;
    ColumnSet *set = set_new(p, r);
    set_pass(p, set, 0, r->inputs[0]->set);
    int left_declared = set->declared;
    set_pass(p, set, 1, r->inputs[1]->set);
    Using *using = arena_new_array(p->arena, Using, (int)join->n_using_clause + 1);
    if (plan_using(p, join, left, right, using, error) != OK) return FAIL;
    *out = (From){.relation = r};
    join_columns(p, out, left, right, left_declared, using, (int)join->n_using_clause);

    int most = (int)join->n_using_clause + ON_MOST;
    r->key_exprs[0] = arena_new_array(p->arena, Expr *, most);
    r->key_exprs[1] = arena_new_array(p->arena, Expr *, most);
    WindowPair window = {-1, -1, ROLE_NONE};
    Expr *rest[ON_MOST];
    int rest_count = 0;
    for (size_t i = 0; i < join->n_using_clause; i++) {
        Expr *pair[2];
        WindowPair found;
        if (using_pair(p, left, right, using[i], left_declared, location, pair, error) != OK)
            return FAIL;
        if (window_pair(r, pair[0], pair[1], &found) &&
            (window.left < 0 || found.role == ROLE_WINDOW_END)) {
            window = found;
            r->bucket = r->key_count;
        }
        add_pair(p, r, pair[0], pair[1]);
    }
    if (join->quals) {
        Scope scope;
        from_scope(p, out, &scope);
        scope.clause = "JOIN conditions";
        Conditions on = {.count = 0};
        if (bind_on(p, &scope, join->quals, &on, error) != OK) return FAIL;
        for (int i = 0; i < on.count; i++)
            add_condition(p, r, on.items[i], &window, rest, &rest_count);
    }
    if (window.left < 0)
        return error_at(p->catalog, location, error,
                        "a join of two results of windows must equal their windows; write ON "
                        "a.window_start = b.window_start "
                        "(or both window_end) AND …, and select that column on both sides");
    prefer_end(p, r, &window);
    r->close = window.role == ROLE_WINDOW_END ? CLOSE_TIME : CLOSE_WINDOW_START;
    r->condition = all_of(p, rest, rest_count);
    join_roles(r, &window);
    for (int i = 0; i < out->count; i++)
        out->columns[i].role = set->columns[out->columns[i].column].role;
    return OK;
}

/* ---- JOIN ---- */

static Status check_kind(Planner *p, const PgQuery__JoinExpr *join, int location, Error *error) {
    Catalog *c = p->catalog;
    if (join->is_natural)
        return refuse(c, location, error, "NATURAL JOIN", "write JOIN … USING (columns)");
    switch (join->jointype) {
    case PG_QUERY__JOIN_TYPE__JOIN_INNER:
        if (join->quals || join->n_using_clause > 0) return OK;
        return refuse(c, location, error, "CROSS JOIN",
                      "write JOIN … ON with the reference table's PRIMARY KEY");
    case PG_QUERY__JOIN_TYPE__JOIN_LEFT: return OK;
    case PG_QUERY__JOIN_TYPE__JOIN_RIGHT:
        return refuse(c, location, error, "RIGHT JOIN",
                      "write the tables in the other order with LEFT JOIN");
    case PG_QUERY__JOIN_TYPE__JOIN_FULL:
        return refuse(c, location, error, "FULL JOIN", "write a LEFT JOIN, or UNION ALL of two");
    default: return refuse(c, location, error, "this kind of join", "write JOIN or LEFT JOIN … ON");
    }
}

static bool joinable_result(const Relation *r) {
    return r->results && r->windowed && !r->changes && !r->session;
}

Status plan_join(Planner *p, PgQuery__JoinExpr *join, From *out, Error *error) {
    int location = tree_begin(&join->rarg->base);
    if (check_kind(p, join, location, error) != OK) return FAIL;
    bool outer = join->jointype == PG_QUERY__JOIN_TYPE__JOIN_LEFT;
    From left;
    if (plan_from(p, join->larg, &left, error) != OK) return FAIL;
    static const char remedy[] = "group by a window, or join first and group then";
    if (check_steady(p, left.relation, "a join", remedy, tree_begin(&join->larg->base), error) !=
        OK)
        return FAIL;
    if (left.relation->session)
        return refuse(p->catalog, location, error, "a join over an open session window",
                      "group the session first, or join inside: session((SELECT …), time, gap)");
    Table *table = join->rarg->node_case == PG_QUERY__NODE__NODE_RANGE_VAR
                       ? table_named(p, join->rarg->range_var)
                       : NULL;
    if (table && table->key_count > 0)
        return reference_join(p, join, &left, table, outer, location, out, error);
    if (table && left.relation->set->owner->kind == REL_SOURCE && left.relation->table &&
        left.relation->table->key_count > 0)
        return error_at(p->catalog, location, error,
                        "%s stands on the right side of the join but has no PRIMARY KEY; the "
                        "reference table stands right: "
                        "write FROM %s JOIN %s ON …",
                        table->name, table->name, left.relation->table->name);
    From right;
    if (plan_from(p, join->rarg, &right, error) != OK) return FAIL;
    if (check_steady(p, right.relation, "a join", remedy, location, error) != OK) return FAIL;
    if (joinable_result(left.relation) && joinable_result(right.relation))
        return window_join(p, join, &left, &right, outer, location, out, error);
    const char *hint = table ? "declare a PRIMARY KEY on it if it is reference data"
                             : "join with a reference table";
    return error_at(p->catalog, location, error,
                    "a join of two streams comes with a later version; %s, or join the results of "
                    "two windows (GROUP BY …, "
                    "window_start)",
                    hint);
}
