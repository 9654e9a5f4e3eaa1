/* Column references and dotted paths: which column of the scope a name means (LANGUAGE.md 1 and 3),
 * and how a path into a jsonb column is read: as a column of its own where the scope can push the
 * path down to the reader of the source, else by the functions #> and #>>. */
#include "sql/binder.h"

typedef struct Found {
    int column; /* of the scope; -1: none */
    int other;  /* a second one that fits, -1: none */
} Found;

static Found find_name(const Scope *scope, const NamePart *relation, const NamePart *name) {
    Found found = {-1, -1};
    for (int i = 0; i < scope->count; i++) {
        const ScopeColumn *c = &scope->columns[i];
        if (relation ? !c->relation || !name_matches(relation->name, relation->quoted, c->relation)
                     : c->qualified_only)
            continue;
        if (!name_matches(name->name, name->quoted, c->name)) continue;
        if (found.column < 0) found.column = i;
        else if (found.other < 0) found.other = i;
    }
    return found;
}

static bool has_relation(const Scope *scope, const NamePart *name) {
    for (int i = 0; i < scope->count; i++)
        if (scope->columns[i].relation &&
            name_matches(name->name, name->quoted, scope->columns[i].relation))
            return true;
    return false;
}

/* ---- errors ---- */

static const char *closest_column(Scope *scope, const NamePart *relation, const char *name) {
    const char **names = arena_new_array(scope->arena, const char *, scope->count + 1);
    int count = 0;
    for (int i = 0; i < scope->count; i++)
        if (!relation ||
            (scope->columns[i].relation &&
             name_matches(relation->name, relation->quoted, scope->columns[i].relation)))
            names[count++] = scope->columns[i].name;
    return closest_name(name, names, count);
}

static Status ambiguous(Scope *scope, Found found, const NamePart *name, int location,
                        Error *error) {
    const ScopeColumn *a = &scope->columns[found.column], *b = &scope->columns[found.other];
    if (strcmp(a->name, b->name) != 0)
        return error_at(scope->catalog, location, error,
                        "column reference \"%s\" is ambiguous: \"%s\" and \"%s\" differ in case "
                        "alone; write the one that is meant in double quotes",
                        name->name, a->name, b->name);
    return error_at(scope->catalog, location, error,
                    "column reference \"%s\" is ambiguous; write %s.%s or %s.%s", name->name,
                    a->relation ? a->relation : "table", a->name,
                    b->relation ? b->relation : "table", b->name);
}

static Status no_column(Scope *scope, const NamePart *relation, const NamePart *name, int location,
                        Error *error) {
    const char *closest = closest_column(scope, relation, name->name);
    const char *dot = relation ? "." : "", *before = relation ? relation->name : "";
    /* the same letters in another case, but quoted */
    if (closest && name->quoted && str_equal_nocase(str_from(closest), str_from(name->name)))
        return error_at(scope->catalog, location, error,
                        "column \"%s%s%s\" does not exist; a name in double quotes means exactly "
                        "this spelling: \"%s\"",
                        before, dot, name->name, closest);
    if (closest)
        return error_at(scope->catalog, location, error,
                        "column \"%s%s%s\" does not exist; did you mean \"%s\"?", before, dot,
                        name->name, closest);
    if (name->quoted && !relation)
        return error_at(scope->catalog, location, error,
                        "column \"%s\" does not exist; text is written in single quotes: '%s'",
                        name->name, name->name);
    if (scope->count == 0)
        return error_at(scope->catalog, location, error,
                        "column \"%s%s%s\" does not exist; there are no columns here", before, dot,
                        name->name);
    Buffer list = {0};
    for (int i = 0; i < scope->count && list.size < 300; i++)
        if (!relation ||
            (scope->columns[i].relation &&
             name_matches(relation->name, relation->quoted, scope->columns[i].relation)))
            buffer_add_format(&list, "%s%s", list.size ? ", " : "", scope->columns[i].name);
    Status status = error_at(scope->catalog, location, error,
                             "column \"%s%s%s\" does not exist; there are %.*s", before, dot,
                             name->name, (int)list.size, list.data);
    buffer_free(&list);
    return status;
}

static Status no_relation(Scope *scope, const NamePart *name, int location, Error *error) {
    const char **names = arena_new_array(scope->arena, const char *, scope->count + 1);
    int count = 0;
    for (int i = 0; i < scope->count; i++)
        if (scope->columns[i].relation) names[count++] = scope->columns[i].relation;
    const char *closest = closest_name(name->name, names, count);
    if (closest)
        return error_at(scope->catalog, location, error,
                        "missing FROM-clause entry for table \"%s\"; did you mean \"%s\"?",
                        name->name, closest);
    return error_at(
        scope->catalog, location, error,
        "missing FROM-clause entry for table \"%s\", and there is no jsonb column of that name",
        name->name);
}

/* ---- columns ---- */

static Status read_column(Scope *scope, int index, int location, Expr **out, Error *error) {
    ScopeColumn *c = &scope->columns[index];
    if (c->column < 0 && scope->want) {
        Status status = scope->want(scope, index, error);
        if (status != OK) {
            if (error->line == 0) place_of(scope->catalog, location, &error->line, &error->column);
            return status;
        }
    }
    if (c->column < 0)
        return error_at(scope->catalog, location, error, "column \"%s\" cannot be read here",
                        c->name);
    *out = placed(scope, expr_column(scope->arena, c->column, c->type), location);
    return OK;
}

/* What the parts mean: a column, and how many parts it took. */
static Status resolve(Scope *scope, const NamePart *parts, int count, int location, int *column,
                      int *taken, Error *error) {
    for (int i = 0; i < count; i++)
        if (!parts[i].name)
            return error_at(scope->catalog, location, error,
                            "* is not supported in an expression; name the columns");
    bool qualified = count > 1 && has_relation(scope, &parts[0]);
    const NamePart *relation = qualified ? &parts[0] : NULL, *name = &parts[qualified];
    Found found = find_name(scope, relation, name);
    if (found.other >= 0) return ambiguous(scope, found, name, location, error);
    *column = found.column;
    *taken = qualified + 1;
    if (found.column >= 0) return OK;
    if (count == 1 && has_relation(scope, name))
        return error_at(scope->catalog, location, error,
                        "\"%s\" is a table here, and a whole row is no value; name its columns",
                        name->name);
    if (count > 1 && !qualified) return no_relation(scope, &parts[0], location, error);
    return no_column(scope, relation, name, location, error);
}

int find_scope_column(Scope *scope, const PgQuery__ColumnRef *ref) {
    NamePart parts[NAME_PARTS_MOST];
    int count = column_ref_parts(scope->catalog, ref, parts), column, taken;
    Error ignored = {0};
    if (resolve(scope, parts, count, ref->location, &column, &taken, &ignored) != OK ||
        taken != count)
        return -1;
    return column;
}

Status bind_column_ref(Scope *scope, const PgQuery__ColumnRef *ref, Operand *out, Error *error) {
    if (ref->n_fields > NAME_PARTS_MOST)
        return error_at(scope->catalog, ref->location, error, "a path of more than %d parts",
                        NAME_PARTS_MOST);
    NamePart parts[NAME_PARTS_MOST];
    int count = column_ref_parts(scope->catalog, ref, parts), column, taken;
    Status status = resolve(scope, parts, count, ref->location, &column, &taken, error);
    if (status != OK) return status;
    *out = (Operand){.location = ref->location};
    if (taken == count) return read_column(scope, column, ref->location, &out->expr, error);
    const ScopeColumn *c = &scope->columns[column];
    if (c->type.kind != TYPE_JSONB)
        return error_at(
            scope->catalog, ref->location, error,
            "column \"%s\" is of type %s and has no parts; only jsonb columns are read by a path",
            c->name, type_name(c->type, scope->arena));
    Path *path = arena_zero(scope->arena, sizeof *path);
    *path = (Path){.column = column, .count = count - taken, .location = ref->location};
    path->steps = arena_new_array(scope->arena, const char *, path->count);
    for (int i = 0; i < path->count; i++) path->steps[i] = parts[taken + i].name;
    out->path = path;
    return OK;
}

/* ---- paths ---- */

static Value steps_value(Scope *scope, const Path *path) {
    Buffer items = {0};
    text_array_begin(&items, path->count);
    for (int i = 0; i < path->count; i++) text_array_add(&items, false, str_from(path->steps[i]));
    Value value = {.type = type_of(TYPE_TEXT_ARRAY),
                   .str = arena_str(scope->arena, buffer_str(&items))};
    buffer_free(&items);
    return value;
}

static const Function *path_function(const char *name) {
    const Function *found[16];
    int count = functions_named(str_from(name), true, found, 16);
    for (int i = 0; i < count; i++)
        if (found[i]->arg_count == 2 && found[i]->args[1] == TYPE_TEXT_ARRAY) return found[i];
    return NULL;
}

/* The column of its own for a path, or NULL. */
static Expr *pushed_path(Scope *scope, const Path *path, TypeKind kind) {
    if (!scope->want_path) return NULL;
    int column = scope->want_path(scope, path->column, path->steps, path->count, kind);
    return column < 0
               ? NULL
               : placed(scope, expr_column(scope->arena, column, type_of(kind)), path->location);
}

Status path_as(Scope *scope, const Path *path, TypeKind kind, Expr **out, Error *error) {
    *out = pushed_path(scope, path, kind);
    if (*out) return OK;
    if (kind == TYPE_FLOAT8) {
        Expr *text;
        Status status = path_as(scope, path, TYPE_TEXT, &text, error);
        return status == OK
                   ? bind_cast(scope, text, type_of(TYPE_FLOAT8), CAST_EXPLICIT, out, error)
                   : status;
    }
    const Function *f = path_function(kind == TYPE_TEXT ? "#>>" : "#>");
    if (!f)
        return error_at(scope->catalog, path->location, error,
                        "paths into jsonb are not available");
    Expr **args = arena_new_array(scope->arena, Expr *, 2);
    Status status = read_column(scope, path->column, path->location, &args[0], error);
    if (status != OK) return status;
    args[1] = placed(scope, expr_constant(scope->arena, steps_value(scope, path)), path->location);
    *out = placed(scope, expr_call(scope->arena, f, type_of(kind), args, 2), path->location);
    return OK;
}

/* ---- chains of -> and ->> ---- */

static const char *constant_string(const NodeTree *node) {
    if (!node || node->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        node->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL)
        return NULL;
    const char *text = node->a_const->sval->sval;
    return strstr(text, "${") ? NULL : text;
}

/* A key that reads the same by -> and in a path: a path's whole number also finds items of arrays.
 */
static bool is_plain_key(const char *key) {
    const char *at = *key == '-' || *key == '+' ? key + 1 : key;
    return !(*at >= '0' && *at <= '9');
}

/* Adds the steps of '{a,b}' as far as it is plain: letters, digits and underscores between commas.
 */
static bool add_path_text(Scope *scope, Path *path, const char *text) {
    size_t size = strlen(text);
    if (size < 3 || text[0] != '{' || text[size - 1] != '}') return false;
    for (const char *at = text + 1; at < text + size - 1;) {
        size_t length = strcspn(at, ",}");
        if (length == 0 || path->count >= NAME_PARTS_MOST) return false;
        for (size_t i = 0; i < length; i++) {
            char c = at[i];
            if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '_'))
                return false;
        }
        if (length == 4 && str_equal_nocase((Str){at, 4}, STR("null"))) return false;
        path->steps[path->count++] = arena_text(scope->arena, (Str){at, length});
        at += length;
        if (*at == ',' && at[1] == '}') return false;
        at += *at == ',';
    }
    return true;
}

static const char *operator_of(const NodeTree *node) {
    if (!node || node->node_case != PG_QUERY__NODE__NODE_A_EXPR) return NULL;
    const PgQuery__AExpr *e = node->a_expr;
    return e->kind == PG_QUERY__A__EXPR__KIND__AEXPR_OP && e->n_name == 1 && e->lexpr && e->rexpr
               ? string_of(e->name[0])
               : NULL;
}

/* Collects base and steps of what gives jsonb: a column, a path, or those with -> or #> behind. */
static bool collect(Scope *scope, NodeTree *node, Path *path) {
    if (node->node_case == PG_QUERY__NODE__NODE_COLUMN_REF) {
        NamePart parts[NAME_PARTS_MOST];
        Error ignored = {0};
        int count = column_ref_parts(scope->catalog, node->column_ref, parts), taken;
        if (resolve(scope, parts, count, node->column_ref->location, &path->column, &taken,
                    &ignored) != OK)
            return false;
        if (scope->columns[path->column].type.kind != TYPE_JSONB) return false;
        path->location = node->column_ref->location;
        for (int i = taken; i < count; i++) path->steps[path->count++] = parts[i].name;
        return true;
    }
    const char *name = operator_of(node);
    if (!name || (strcmp(name, "->") != 0 && strcmp(name, "#>") != 0)) return false;
    if (!collect(scope, node->a_expr->lexpr, path)) return false;
    const char *key = constant_string(node->a_expr->rexpr);
    if (!key) return false;
    if (*name == '#') return add_path_text(scope, path, key);
    if (!is_plain_key(key) || path->count >= NAME_PARTS_MOST) return false;
    path->steps[path->count++] = key;
    return true;
}

Expr *bind_chain(Scope *scope, NodeTree *node, TypeKind as) {
    const char *name = operator_of(node);
    if (!scope->want_path || !name) return NULL;
    bool gives_text = strcmp(name, "->>") == 0 || strcmp(name, "#>>") == 0;
    if (!gives_text && (as != TYPE_UNKNOWN || (strcmp(name, "->") != 0 && strcmp(name, "#>") != 0)))
        return NULL;
    Path path = {.steps = arena_new_array(scope->arena, const char *, NAME_PARTS_MOST)};
    if (!collect(scope, node->a_expr->lexpr, &path)) return NULL;
    const char *key = constant_string(node->a_expr->rexpr);
    if (!key) return NULL;
    if (*name == '#') {
        if (!add_path_text(scope, &path, key)) return NULL;
    } else {
        if (!is_plain_key(key) || path.count >= NAME_PARTS_MOST) return NULL;
        path.steps[path.count++] = key;
    }
    if (path.count == 0) return NULL;
    return pushed_path(scope, &path, as != TYPE_UNKNOWN ? as : gives_text ? TYPE_TEXT : TYPE_JSONB);
}
