/* Binding: names and types of one SELECT's expressions. bind.c/bind_*.c turn libpg_query's nodes
 * into Expr trees with PostgreSQL's rules for operator and function resolution. plan.c owns the
 * scopes. */
#pragma once
#include "expr/aggregate.h"
#include "sql/catalog.h"

/* What a column means as time: windows may only be made over such. Kept through plain column
 * projections. */
typedef enum TimeRole { ROLE_NONE, ROLE_EVENT_TIME, ROLE_WINDOW_START, ROLE_WINDOW_END } TimeRole;

typedef struct ScopeColumn {
    const char *relation; /* alias of the FROM item */
    bool relation_quoted;
    const char *name; /* as spelled by declaration or alias */
    bool quoted; /* spelled in quotes at its declaration (only matters for folding in messages) */
    Type type;
    TimeRole role;
    int column; /* in the row that the expression will see; -1: a source column that nobody reads
                   yet (see want) */
    bool
        qualified_only; /* the right side's column of JOIN … USING: only `relation.name` finds it */
} ScopeColumn;

typedef struct Scope Scope;
struct Scope {
    Catalog *catalog;
    Arena *arena;
    ScopeColumn *columns;
    int count;
    /* Called when an expression first reads column `index` of the scope (source columns are decoded
     * only when read); sets its `column`. NULL: all are there. */
    Status (*want)(Scope *, int index, Error *);
    /* A path inside the jsonb column `index` in one of three forms (type text, jsonb, float8):
     * gives the column that will hold it, or -1 when this scope cannot push it down (then ->>
     * operators are used). NULL: never. */
    int (*want_path)(Scope *, int index, const char *const *path, int path_count, TypeKind type);
    void *owner; /* the planner's */

    /* Grouping: NULL/0 outside of GROUP BY queries. With groups set, an expression equal to
     * groups[i] binds to column i of the grouped row; aggregate calls are collected in `aggregates`
     * and bind to columns group_count + index. A column outside of both is PostgreSQL's error. */
    bool grouped;
    Expr **groups; /* over the un-grouped row */
    int group_count;
    struct AggregateUse *aggregates;
    int aggregate_count, aggregate_capacity;
    bool in_aggregate; /* inside an aggregate's arguments */
    const char
        *clause; /* "WHERE", "GROUP BY", … for "aggregate functions are not allowed in WHERE" */
    bool metadata_allowed;                          /* GENERATED columns: metadata('…') */
    int (*want_metadata)(Scope *, DecodeKind kind); /* gives the column */
};

typedef struct AggregateUse {
    const Aggregate *aggregate;
    bool distinct;
    Expr *arg;    /* over the un-grouped row; NULL: count(*) */
    Expr *filter; /* NULL: none */
    Type result;
    Expr *column; /* what the call became: EXPR_COLUMN in the grouped row */
} AggregateUse;

/* Binds a node. With scope->grouped the tree is over the grouped row. `expected` is TYPE_UNKNOWN or
 * the type that an unknown literal should become. */
CHECKED Status bind_expr(Scope *, NodeTree *, Type expected, Expr **out, Error *);
/* A boolean condition (WHERE, HAVING, ON, FILTER): "argument of WHERE must be type boolean, not
 * type text". */
CHECKED Status bind_condition(Scope *, NodeTree *, const char *clause, Expr **out, Error *);
/* Casts as INSERT does (assignment casts), as UNION does (implicit), or explicitly. */
typedef enum CastContext { CAST_IMPLICIT, CAST_ASSIGNMENT, CAST_EXPLICIT } CastContext;
CHECKED Status bind_cast(Scope *, Expr *, Type to, CastContext, Expr **out, Error *);
/* The common type of UNION branches, CASE results, coalesce (PostgreSQL's rules). */
CHECKED Status common_type(const Type *types, int count, const char *context, Type *out, Error *);
/* A constant interval argument (window sizes). Refuses months; wants > 0 unless any_sign. */
CHECKED Status bind_interval_constant(Scope *, NodeTree *, const char *what, bool any_sign,
                                      int64_t *us, Error *);
/* The name that PostgreSQL gives an un-aliased output column ("count", "?column?", "coalesce",
 * "extract"…), spelled as declared. */
const char *output_name(Scope *, NodeTree *);
/* Place (line, 1-based column) of a node's `location` byte offset. */
void place_of(Catalog *, int location, int *line, int *column);
