/* What the bind_*.c files share. An operand is a bound expression, or a dotted path into a jsonb
 * column whose type is not decided yet: the operator or function around it decides (LANGUAGE.md 3),
 * as it does for an untyped literal. */
#pragma once
#include "sql/tree.h"

typedef struct Path {
    int column; /* of the scope, jsonb */
    const char **steps;
    int count, location;
} Path;

typedef struct Operand {
    Expr *expr; /* NULL: a path */
    Path *path;
    int location;
} Operand;

/* TYPE_UNKNOWN for paths and untyped literals. */
static inline TypeKind operand_kind(const Operand *o) {
    return o->path ? TYPE_UNKNOWN : o->expr->type.kind;
}
static inline bool is_unknown(const Operand *o) { return operand_kind(o) == TYPE_UNKNOWN; }
/* An untyped string literal, not NULL. */
static inline bool is_string_literal(const Operand *o) {
    return !o->path && o->expr->kind == EXPR_CONSTANT && o->expr->type.kind == TYPE_UNKNOWN &&
           !o->expr->value.null;
}
bool type_is_string(TypeKind); /* text, varchar */

/* ---- bind.c ---- */
CHECKED Status bind_node(Scope *, NodeTree *, Operand *out, Error *);
CHECKED Status bind_boolean(Scope *, NodeTree *, const char *clause, Expr **out, Error *);
Expr *placed(Scope *, Expr *, int location); /* sets line and place */

/* ---- bind_column.c ---- */
CHECKED Status bind_column_ref(Scope *, const PgQuery__ColumnRef *, Operand *out, Error *);
/* A path as text, jsonb or double precision. */
CHECKED Status path_as(Scope *, const Path *, TypeKind, Expr **out, Error *);
/* d -> 'a' ->> 'b' and d #>> '{a,b}' over a column, with constant keys, as the column that holds
 * it: *out NULL when it is none. `as` is TYPE_UNKNOWN, or TYPE_FLOAT8 when a cast to that stands
 * around it. */
Expr *bind_chain(Scope *, NodeTree *, TypeKind as);
/* The scope's column for a reference, -1: none (or a path, an error). */
int find_scope_column(Scope *, const PgQuery__ColumnRef *);

/* ---- bind_literal.c ---- */
CHECKED Status bind_constant(Scope *, const PgQuery__AConst *, Operand *out, Error *);
CHECKED Status bind_type_cast(Scope *, const PgQuery__TypeCast *, Operand *out, Error *);

/* ---- bind_cast.c ---- */
bool can_cast(TypeKind from, TypeKind to, CastContext);
/* An operand as a type: paths and untyped literals are decided by it. */
CHECKED Status operand_as(Scope *, const Operand *, Type to, CastContext, Expr **out, Error *);
/* Without a type to become: a path is jsonb, an untyped literal text. */
CHECKED Status operand_settle(Scope *, const Operand *, Expr **out, Error *);
/* The common type of operands (paths count as untyped), and all of them as it. */
CHECKED Status operands_common(Scope *, Operand *, int count, const char *context, Type *type,
                               Expr **out, Error *);
char type_category(TypeKind);
bool type_is_preferred(TypeKind);
const char *kind_name(Scope *, TypeKind);

/* ---- bind_resolve.c: PostgreSQL's choice among functions of one name ---- */
typedef struct Candidate {
    const void *row; /* Function or Aggregate */
    const TypeKind *args;
    int arg_count;
    bool variadic, none_too; /* the last argument any number of times; also not at all */
} Candidate;
enum { CANDIDATE_NONE = -1, CANDIDATE_AMBIGUOUS = -2, CANDIDATES_MOST = 128, ARGUMENTS_MOST = 100 };
int choose_candidate(const Candidate *, int count, const TypeKind *inputs, int input_count);
TypeKind candidate_arg(const Candidate *, int index);

/* ---- bind_call.c ---- */
CHECKED Status bind_operator(Scope *, const char *name, Operand *args, int count, int location,
                             Expr **out, Error *);
CHECKED Status bind_function(Scope *, const PgQuery__FuncCall *, Operand *out, Error *);
CHECKED Status call_function(Scope *, const char *name, Operand *args, int count, int location,
                             Expr **out, Error *);
const char *argument_list(Scope *, const TypeKind *, int count, bool parameters);

/* ---- bind_forms.c ---- */
CHECKED Status bind_a_expr(Scope *, const PgQuery__AExpr *, Operand *out, Error *);
CHECKED Status bind_case(Scope *, const PgQuery__CaseExpr *, Operand *out, Error *);
CHECKED Status bind_list_form(Scope *, const char *name, PgQuery__Node **args, size_t count,
                              int location, Operand *out, Error *);

/* ---- bind_aggregate.c ---- */
CHECKED Status bind_aggregate(Scope *, const PgQuery__FuncCall *, const char *name, Operand *out,
                              Error *);
/* Over the un-grouped row becomes over the grouped one. */
CHECKED Status group_expr(Scope *, Expr *, Expr **out, Error *);
/* Columns that stand for aggregates until group_expr: this and more. */
enum { AGGREGATE_COLUMN = 1 << 24 };

/* ---- bind_remedies.c ---- */
const char *
function_remedy(const char *name); /* for functions that there are not; NULL: none known */
bool function_comes_later(const char *name);
const char *operator_remedy(Scope *, const char *name, TypeKind left, TypeKind right);
