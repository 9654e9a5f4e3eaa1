/* Constants, typed literals and casts; and the constants that must be intervals, such as the size
 * of a window. */
#include "data/time.h"
#include "sql/binder.h"

/* As src/operator/window.c has it; nothing overflows so. */
static const int64_t WIDEST_US = 10000 * 366 * US_PER_DAY;

static Operand operand_of(Scope *scope, Value value, int location) {
    return (Operand){.expr = placed(scope, expr_constant(scope->arena, value), location),
                     .location = location};
}

static bool is_whole(const char *text) {
    if (*text == '-') text++;
    size_t digits = strspn(text, "0123456789");
    return digits > 0 && text[digits] == 0;
}

/* As PostgreSQL: integer, else bigint, else numeric. */
static Status bind_number(Scope *scope, const char *text, int location, Operand *out,
                          Error *error) {
    Value value = {.type = type_of(TYPE_INT8)};
    Error inner = {0};
    if (is_whole(text) &&
        value_parse(value.type, str_from(text), &value, scope->arena, &inner) == OK) {
        value.type = type_of(TYPE_INT8);
    } else {
        value.type = type_of(TYPE_NUMERIC);
        if (value_parse(value.type, str_from(text), &value, scope->arena, &inner) != OK)
            return error_at(scope->catalog, location, error, "%s", inner.text);
        value.type = type_of(TYPE_NUMERIC);
    }
    *out = operand_of(scope, value, location);
    return OK;
}

Status bind_constant(Scope *scope, const PgQuery__AConst *k, Operand *out, Error *error) {
    if (k->isnull) {
        *out = operand_of(scope, (Value){.type = type_of(TYPE_UNKNOWN), .null = true}, k->location);
        return OK;
    }
    switch (k->val_case) {
    case PG_QUERY__A__CONST__VAL_IVAL:
        *out = operand_of(scope, (Value){.type = type_of(TYPE_INT4), .integer = k->ival->ival},
                          k->location);
        return OK;
    case PG_QUERY__A__CONST__VAL_FVAL:
        return bind_number(scope, k->fval->fval, k->location, out, error);
    case PG_QUERY__A__CONST__VAL_BOOLVAL:
        *out =
            operand_of(scope, (Value){.type = type_of(TYPE_BOOL), .boolean = k->boolval->boolval},
                       k->location);
        return OK;
    case PG_QUERY__A__CONST__VAL_SVAL: {
        const char *text;
        Status status = replace_variables(scope->catalog, k->location, k->sval->sval, &text, error);
        if (status == OK)
            *out = operand_of(scope, (Value){.type = type_of(TYPE_UNKNOWN), .str = str_from(text)},
                              k->location);
        return status;
    }
    default:
        return refuse(scope->catalog, k->location, error, "a bit string",
                      "use an integer: 5, or bytea: '\\x05'");
    }
}

/* ---- INTERVAL '10' MINUTE ---- */

static const char *unit_of_mask(int mask) { /* INTERVAL_MASK of PostgreSQL's datetime.h */
    switch (mask) {
    case 1 << 1: return "month";
    case 1 << 2: return "year";
    case 1 << 3: return "day";
    case 1 << 10: return "hour";
    case 1 << 11: return "minute";
    case 1 << 12: return "second";
    default: return NULL;
    }
}

/* INTERVAL '1:30' HOUR TO MINUTE: where the text has exactly the fields that are named. */
typedef struct FieldRange {
    int mask;
    const char *shape;  /* n: digits, s: digits with perhaps a fraction; others as they stand */
    const char *before; /* what makes it an interval's text that means these fields by itself */
} FieldRange;

enum {
    YEAR = 1 << 2,
    MONTH = 1 << 1,
    DAY = 1 << 3,
    HOUR = 1 << 10,
    MINUTE = 1 << 11,
    SECOND = 1 << 12
};

static const FieldRange ranges[] = {
    {YEAR | MONTH, "n-n", ""},
    {DAY | HOUR | MINUTE, "n n:n", ""},
    {DAY | HOUR | MINUTE | SECOND, "n n:n:s", ""},
    {HOUR | MINUTE, "n:n", ""},
    {HOUR | MINUTE | SECOND, "n:n:s", ""},
    {MINUTE | SECOND, "n:s", "0:"},
};

static bool has_shape(const char *text, const char *shape) {
    for (; *shape; shape++) {
        if (*shape != 'n' && *shape != 's') {
            if (*text++ != *shape) return false;
            continue;
        }
        size_t digits = strspn(text, "0123456789");
        if (digits == 0) return false;
        text += digits;
        if (*shape == 's' && *text == '.') text += 1 + strspn(text + 1, "0123456789");
    }
    return *text == 0;
}

static const char *text_of_fields(Scope *scope, int mask, const char *text) {
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++)
        if (ranges[i].mask == mask && has_shape(text, ranges[i].shape))
            return arena_format(scope->arena, "%s%s", ranges[i].before, text);
    return NULL;
}

/* PostgreSQL gives the number the unit that stands behind the literal. */
static Status interval_with_field(Scope *scope, const PgQuery__TypeCast *cast, Operand *out,
                                  Error *error) {
    const PgQuery__TypeName *type = cast->type_name;
    const PgQuery__Node *mask = type->typmods[0], *arg = cast->arg;
    const char *unit = NULL, *text = NULL, *whole = NULL;
    int fields = 0;
    int location = cast->location >= 0 ? cast->location : node_location(arg);
    if (type->n_typmods == 1 && mask->node_case == PG_QUERY__NODE__NODE_A_CONST &&
        mask->a_const->val_case == PG_QUERY__A__CONST__VAL_IVAL)
        fields = mask->a_const->ival->ival;
    unit = unit_of_mask(fields);
    if (arg->node_case == PG_QUERY__NODE__NODE_A_CONST &&
        arg->a_const->val_case == PG_QUERY__A__CONST__VAL_SVAL)
        text = arg->a_const->sval->sval;
    if (unit && text && is_whole(text)) whole = arena_format(scope->arena, "%s %s", text, unit);
    else if (text) whole = text_of_fields(scope, fields, text);
    if (!whole)
        return refuse(scope->catalog, location, error, "an interval of fields",
                      "write the units inside the quotes: INTERVAL '1 hour 30 minutes'");
    Value value = {.type = type_of(TYPE_INTERVAL)};
    Error inner = {0};
    if (value_parse(value.type, str_from(whole), &value, scope->arena, &inner) != OK)
        return error_at(scope->catalog, location, error, "%s", inner.text);
    value.type = type_of(TYPE_INTERVAL);
    *out = operand_of(scope, value, location);
    return OK;
}

static bool is_interval_with_field(const PgQuery__TypeName *type) {
    const char *name = type->n_names > 0 ? string_of(type->names[type->n_names - 1]) : NULL;
    return name && strcmp(name, "interval") == 0 && type->n_typmods > 0 &&
           type->n_array_bounds == 0;
}

/* ---- casts ---- */

Status bind_type_cast(Scope *scope, const PgQuery__TypeCast *cast, Operand *out, Error *error) {
    if (is_interval_with_field(cast->type_name))
        return interval_with_field(scope, cast, out, error);
    Type type;
    Status status = bind_type_name(scope->catalog, cast->type_name, &type, error);
    if (status != OK) return status;
    *out = (Operand){.location = cast->location >= 0 ? cast->location : node_location(cast->arg)};
    if (type.kind == TYPE_FLOAT8) out->expr = bind_chain(scope, cast->arg, TYPE_FLOAT8);
    if (out->expr) return OK;
    Operand arg;
    status = bind_node(scope, cast->arg, &arg, error);
    if (status == OK) status = operand_as(scope, &arg, type, CAST_EXPLICIT, &out->expr, error);
    return status;
}

/* ---- constants that must be intervals ---- */

Status bind_interval_constant(Scope *scope, NodeTree *node, const char *what, bool any_sign,
                              int64_t *us, Error *error) {
    Expr *e;
    int location = node_location(node);
    Status status = bind_expr(scope, node, type_of(TYPE_INTERVAL), &e, error);
    if (status != OK) return status;
    if (e->type.kind != TYPE_INTERVAL)
        return error_at(scope->catalog, location, error,
                        "%s must be an interval, such as INTERVAL '1 minute', not type %s", what,
                        type_name(e->type, scope->arena));
    if (e->kind != EXPR_CONSTANT || e->value.null)
        return error_at(scope->catalog, location, error,
                        "%s must be a constant interval, such as INTERVAL '1 minute'", what);
    if (interval_to_us(e->value.interval, us, error) != OK)
        return error_at(scope->catalog, location, error,
                        "%s has months, whose length is not fixed; write it in days, hours or less",
                        what);
    if (*us <= 0 && !any_sign)
        return error_at(scope->catalog, location, error, "%s must be greater than zero", what);
    if (*us > WIDEST_US || *us < -WIDEST_US)
        return error_at(scope->catalog, location, error,
                        "%s is longer than 10000 years; make it shorter", what);
    return OK;
}
