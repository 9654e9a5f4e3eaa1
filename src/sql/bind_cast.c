/* Casts and common types: which type an expression can become in which context, by the flags of the
 * cast functions, and what untyped literals and paths turn into once their surroundings have
 * decided. */
#include "data/time.h"
#include "sql/binder.h"

bool type_is_string(TypeKind kind) { return kind == TYPE_TEXT || kind == TYPE_VARCHAR; }

/* PostgreSQL's typcategory. */
char type_category(TypeKind kind) {
    switch (kind) {
    case TYPE_BOOL: return 'B';
    case TYPE_INT2:
    case TYPE_INT4:
    case TYPE_INT8:
    case TYPE_FLOAT4:
    case TYPE_FLOAT8:
    case TYPE_NUMERIC: return 'N';
    case TYPE_TEXT:
    case TYPE_VARCHAR: return 'S';
    case TYPE_DATE:
    case TYPE_TIMESTAMP:
    case TYPE_TIMESTAMPTZ: return 'D';
    case TYPE_INTERVAL: return 'T';
    case TYPE_TEXT_ARRAY: return 'A';
    case TYPE_UNKNOWN: return 'P'; /* "any" among a function's parameters */
    default: return 'U';
    }
}

bool type_is_preferred(TypeKind kind) {
    return kind == TYPE_BOOL || kind == TYPE_FLOAT8 || kind == TYPE_TEXT ||
           kind == TYPE_TIMESTAMPTZ || kind == TYPE_INTERVAL;
}

const char *kind_name(Scope *scope, TypeKind kind) {
    return kind == TYPE_UNKNOWN ? "unknown" : type_name(type_of(kind), scope->arena);
}

bool can_cast(TypeKind from, TypeKind to, CastContext context) {
    if (from == to || from == TYPE_UNKNOWN) return true;
    const Function *f =
        context == CAST_ASSIGNMENT ? cast_for_assignment(from, to) : cast_between(from, to);
    if (!f) return false;
    if (context == CAST_EXPLICIT) return true;
    return f->flags & (context == CAST_ASSIGNMENT ? FUNCTION_ASSIGNMENT | FUNCTION_IMPLICIT
                                                  : FUNCTION_IMPLICIT);
}

/* `now() - '1 hour'`: beside a time a literal is a time. */
static const char *literal_remedy(Str text, TypeKind to) {
    Interval interval;
    Error ignored;
    bool time = to == TYPE_TIMESTAMPTZ || to == TYPE_TIMESTAMP || to == TYPE_DATE;
    if (!time || interval_parse(text, &interval, &ignored) != OK) return "";
    return "; for a length of time write INTERVAL before it";
}

/* "invalid input syntax for type integer: "x"" at the literal's place. */
static Status literal_as(Scope *scope, const Expr *e, TypeKind to, Expr **out, Error *error) {
    Value value = {.type = type_of(to), .null = true};
    if (!e->value.null) {
        Error inner = {0};
        if (value_parse(type_of(to), e->value.str, &value, scope->arena, &inner) != OK)
            return fail_at(error, e->line, e->place, "%s%s", inner.text,
                           literal_remedy(e->value.str, to));
        value.type = type_of(to);
    }
    *out = expr_constant(scope->arena, value);
    (*out)->line = e->line;
    (*out)->place = e->place;
    return OK;
}

static Expr *cast_call(Scope *scope, const Function *f, Type to, Expr *e) {
    Expr **args = arena_new_array(scope->arena, Expr *, 1);
    args[0] = e;
    Expr *cast = expr_call(scope->arena, f, to, args, 1);
    cast->line = e->line;
    cast->place = e->place;
    return cast;
}

static const char *cast_remedy(TypeKind from, TypeKind to) {
    if (from == TYPE_JSONB) return "; read it as text first: (column ->> 'key')::type";
    if (from == TYPE_BOOL && type_is_number(to)) return "; write CASE WHEN … THEN 1 ELSE 0 END";
    if (type_is_number(from) && (to == TYPE_TIMESTAMPTZ || to == TYPE_TIMESTAMP))
        return "; write to_timestamp(seconds)";
    if ((from == TYPE_TIMESTAMPTZ || from == TYPE_TIMESTAMP) && type_is_number(to))
        return "; write extract(epoch FROM time)";
    return "";
}

static Status cannot_cast(Scope *scope, const Expr *e, Type to, CastContext context, Error *error) {
    const char *from_name = type_name(e->type, scope->arena),
               *to_name = type_name(to, scope->arena);
    const char *remedy = cast_remedy(e->type.kind, to.kind);
    if (context == CAST_EXPLICIT || !cast_between(e->type.kind, to.kind))
        return fail_at(error, e->line, e->place, "cannot cast type %s to %s%s", from_name, to_name,
                       remedy);
    return fail_at(error, e->line, e->place, "type %s is not %s; write it as a cast: (…)::%s",
                   from_name, to_name, to_name);
}

Status bind_cast(Scope *scope, Expr *e, Type to, CastContext context, Expr **out, Error *error) {
    if (e->type.kind == TYPE_UNKNOWN) {
        Status status = literal_as(scope, e, to.kind, &e, error);
        if (status != OK) return status;
    }
    *out = e;
    if (e->type.kind == to.kind && to.modifier == e->type.modifier) return OK;
    /* The same values, no longer known to fit the modifier. Not of a call: a cast is told what to
     * round to by its own type. */
    if (e->type.kind == to.kind && to.modifier == -1 && e->kind != EXPR_CALL) {
        Expr *copy = arena_zero(scope->arena, sizeof *copy);
        *copy = *e;
        copy->type = to;
        if (copy->kind == EXPR_CONSTANT) copy->value.type = to;
        *out = copy;
        return OK;
    }
    if (!can_cast(e->type.kind, to.kind, context)) return cannot_cast(scope, e, to, context, error);
    const Function *f = context == CAST_ASSIGNMENT ? cast_for_assignment(e->type.kind, to.kind)
                                                   : cast_between(e->type.kind, to.kind);
    if (!f) return cannot_cast(scope, e, to, context, error);
    *out = cast_call(scope, f, to, e);
    return OK;
}

Status operand_as(Scope *scope, const Operand *o, Type to, CastContext context, Expr **out,
                  Error *error) {
    if (!o->path) return bind_cast(scope, o->expr, to, context, out, error);
    TypeKind form = to.kind == TYPE_JSONB || to.kind == TYPE_FLOAT8 ? to.kind : TYPE_TEXT;
    Expr *e;
    Status status = path_as(scope, o->path, form, &e, error);
    return status == OK ? bind_cast(scope, e, to, CAST_EXPLICIT, out, error) : status;
}

Status operand_settle(Scope *scope, const Operand *o, Expr **out, Error *error) {
    return operand_as(scope, o,
                      o->path                              ? type_of(TYPE_JSONB)
                      : o->expr->type.kind == TYPE_UNKNOWN ? type_of(TYPE_TEXT)
                                                           : o->expr->type,
                      CAST_IMPLICIT, out, error);
}

/* ---- the common type ---- */

Status common_type(const Type *types, int count, const char *context, Type *out, Error *error) {
    Type found = count > 0 ? types[0] : type_of(TYPE_TEXT);
    bool same_modifier = true;
    for (int i = 1; i < count; i++) {
        Type next = types[i];
        if (next.kind == TYPE_UNKNOWN || next.kind == found.kind) continue;
        if (found.kind == TYPE_UNKNOWN) {
            found = next;
        } else if (type_category(next.kind) != type_category(found.kind) ||
                   type_category(next.kind) == 'U') {
            Arena *scratch = arena_new();
            Status status = fail(error, "%s types %s and %s cannot be matched; cast one of them",
                                 context, type_name(type_of(found.kind), scratch),
                                 type_name(type_of(next.kind), scratch));
            arena_free(&scratch);
            return status;
        } else if (!type_is_preferred(found.kind) &&
                   can_cast(found.kind, next.kind, CAST_IMPLICIT) &&
                   !can_cast(next.kind, found.kind, CAST_IMPLICIT)) {
            found = next;
        }
    }
    if (found.kind == TYPE_UNKNOWN) found = type_of(TYPE_TEXT);
    for (int i = 0; i < count; i++)
        same_modifier &= types[i].kind == found.kind && types[i].modifier == found.modifier;
    if (!same_modifier) found.modifier = -1;
    *out = found;
    return OK;
}

Status operands_common(Scope *scope, Operand *operands, int count, const char *context, Type *type,
                       Expr **out, Error *error) {
    Type *types = arena_new_array(scope->arena, Type, count + 1);
    bool all_paths = true, any_known = false;
    for (int i = 0; i < count; i++) {
        types[i] = operands[i].path ? type_of(TYPE_UNKNOWN) : operands[i].expr->type;
        all_paths &= operands[i].path != NULL ||
                     (!is_string_literal(&operands[i]) && is_unknown(&operands[i]));
        any_known |= types[i].kind != TYPE_UNKNOWN;
    }
    bool has_path = false;
    for (int i = 0; i < count; i++) has_path |= operands[i].path != NULL;
    Status status = OK;
    if (has_path && all_paths && !any_known)
        *type = type_of(TYPE_JSONB); /* nothing says what they are */
    else status = common_type(types, count, context, type, error);
    if (status != OK) {
        if (error->line == 0 && count > 0)
            place_of(scope->catalog, operands[0].location, &error->line, &error->column);
        return status;
    }
    for (int i = 0; i < count && status == OK; i++) {
        Type to = *type;
        if (!operands[i].path && !is_unknown(&operands[i]) &&
            !can_cast(operands[i].expr->type.kind, to.kind, CAST_IMPLICIT))
            return error_at(scope->catalog, operands[i].location, error,
                            "%s could not convert type %s to %s; cast one of them", context,
                            kind_name(scope, operands[i].expr->type.kind),
                            kind_name(scope, to.kind));
        status = operand_as(scope, &operands[i], to, CAST_IMPLICIT, &out[i], error);
    }
    return status;
}
