/* The planner's own shapes. A query is first a tree of relations with logical columns: every column
 * of every table is there, and numbers never shift. Then need() marks what is read, from the roots
 * down, and emit() makes nodes of what is needed, with the columns that are read and no others. */
#pragma once
#include "sql/plan.h"
#include "sql/tree.h"

typedef struct Relation Relation;
typedef struct Query Query;

/* The window that a window_start or window_end belongs to. */
typedef struct WindowOf {
    bool fixed;   /* tumble, hop: start and end tell one another; not of cumulate and session */
    bool grouped; /* behind its GROUP BY: start and end are two columns of results there */
    int64_t size_us;
} WindowOf;

typedef struct PlannedColumn {
    const char *name; /* NULL: a path that has no name of its own */
    bool quoted;
    Type type;
    TimeRole role;
    const WindowOf *window; /* of ROLE_WINDOW_* */
    bool not_null;
    int input, from; /* passed on unchanged from that column of that input; input -1: made here */
    Expr *expr; /* PROJECT: over the input's columns; a computed column of a table: over the table's
                   own */
    DecodeKind decode; /* columns of tables */
    int path_of;       /* the jsonb column that this is a path of, -1: none */
    const char **path;
    int path_count;
    bool used;
    int place; /* in the rows of the emitted node */
} PlannedColumn;

/* Columns that one relation defines; filters and DISTINCT ON share those of their input. */
typedef struct ColumnSet {
    Relation *owner;
    PlannedColumn *columns;
    int count, capacity;
    int declared; /* the first ones: what names find; behind them are paths and helpers */
    bool closed;  /* a view's result: no more columns can be added */
} ColumnSet;

typedef enum RelationKind {
    REL_SOURCE,
    REL_REFERENCE,
    REL_FILTER,
    REL_PROJECT,
    REL_WINDOW,
    REL_SESSION,
    REL_DEDUP,
    REL_AGGREGATE,
    REL_REFERENCE_JOIN,
    REL_WINDOW_JOIN,
    REL_UNION,
} RelationKind;

struct Relation {
    RelationKind kind;
    Query *query; /* NULL: a table */
    Relation **inputs;
    int input_count;
    ColumnSet *set;

    bool bounded;      /* ends */
    bool timed;        /* rows have event times of their own */
    bool results;      /* rows are results of groups */
    bool windowed;     /* final rows of windows */
    bool changes;      /* groups without a window over unbounded input: rows replace one another */
    bool ungrouped;    /* the last GROUP BY had no window */
    bool by_group;     /* read from a materialized view that groups without a window: whether its
                          sources end or not, its rows go only where they are kept by their group */
    bool one_record;   /* every row is made of one record of a source alone */
    Relation *session; /* a session window that waits for its GROUP BY */

    Table *table;    /* SOURCE, REFERENCE */
    Expr *condition; /* FILTER; joins: the residual ON condition, over the join's own columns */
    bool having;
    WindowSpec window; /* WINDOW; SESSION: time_kind and time alone. Columns are logical */
    int64_t gap_us;
    int *keys; /* DEDUP: columns; SESSION: partition columns */
    int key_count;
    int64_t horizon_us;
    int window_end;      /* DEDUP: column, -1: none */
    Expr **key_exprs[2]; /* AGGREGATE: [0]; REFERENCE_JOIN: [0]; WINDOW_JOIN: both sides. Over that
                            input's columns */
    AggregateUse *uses;
    int use_count;
    CloseKind close;
    int bucket; /* AGGREGATE: index into the keys; WINDOW_JOIN: the same */
    bool left;
    bool exact; /* PROJECT: its rows are exactly the used columns in order, for a view, sink, union
                   or window join */
    const char **required; /* PROJECT: see ProjectSpec */
    bool growth;           /* AGGREGATE: see AggregateSpec */
    int64_t ttl_us;        /* AGGREGATE: see AggregateSpec */

    bool needed;
    int node; /* -1: not emitted yet */
};

struct Query {
    const char *name;
    QueryKind kind;
    View *view;     /* VIEW, SHARED */
    Insert *insert; /* SINK */
    Table *sink;
    Relation *root;
    int number; /* in Plan.queries; -1: not needed so far */
    bool stateful, reads_queries, volatile_or_stable;
    int line, place;
    int *sink_keys; /* columns of the sink's rows */
    int sink_key_count;
    int operators; /* names given so far */
};

typedef enum ViewPhase { VIEW_NEW, VIEW_PLANNING, VIEW_SHARED, VIEW_EXPANDED } ViewPhase;

typedef struct ViewState {
    ViewPhase phase;
    Query *query;        /* SHARED: materialized or remembering */
    bool horizon_used;   /* its text contains a DISTINCT ON that goes by it */
    bool state_ttl_used; /* … a GROUP BY without a window */
    bool read;
} ViewState;

typedef struct Cte {
    const char *name; /* as spelled */
    bool quoted;
    const char **columns;
    int column_count;
    PgQuery__SelectStmt *select;
    bool read;
    int location;
    struct Cte *outer; /* those that were known before it: what its own text may name */
} Cte;

typedef struct Planner {
    Catalog *catalog;
    Arena *arena;
    Plan *plan;
    bool adhoc;
    Query *query; /* being planned */
    View *view;   /* whose text is being planned: for its horizon; NULL: an INSERT */
    Cte *ctes;
    int depth;
    Relation **sources, **references; /* by table */
    ViewState *views;                 /* by view */
    Query **queries;
    int query_count;
    int relation_count;
} Planner;

/* What a FROM item gives: rows and the names for their columns. */
typedef struct From {
    Relation *relation;
    ScopeColumn *columns;
    int count, capacity;
    Planner *planner; /* set by from_scope */
} From;

enum {
    SELECT_MOST_COLUMNS = 1600,
    PLAN_MOST_DEPTH = 200,
    PLAN_MOST_RELATIONS = 10000,
    UNION_MOST_BRANCHES = 256
};

/* ---- relation.c ---- */
Relation *relation_new(Planner *, RelationKind, int inputs);
Relation *relation_over(Planner *, RelationKind,
                        Relation *input); /* takes the input's facts; no columns yet */
Relation *relation_filter(Planner *, Relation *input, Expr *condition, bool having);
ColumnSet *set_new(Planner *, Relation *owner);
int set_add(Planner *, ColumnSet *, PlannedColumn); /* its number */
void set_pass(Planner *, ColumnSet *, int input,
              const ColumnSet *from); /* adds all declared columns of an input */
int project_add(Planner *, Relation *project, Expr *, const char *name, bool quoted);
/* The column that holds this path of a jsonb column, or -1: see Scope.want_path. */
int set_path(Planner *, ColumnSet *, int column, const char *const *path, int path_count, TypeKind);
/* Copies a tree with its columns renumbered. `map` gives the new number. */
Expr *expr_map(Arena *, const Expr *, int (*map)(const void *context, int column),
               const void *context);
/* Column numbers of a relation become those of its input 0 or 1 (passed columns only). */
Expr *expr_to_input(Planner *, const Expr *, const ColumnSet *);
/* The same for a project whose columns that are read here are all plain ones. */
Expr *expr_below_project(Planner *, const Expr *, const ColumnSet *);
int column_input(const Expr *, const ColumnSet *); /* which inputs it reads: bit 0, bit 1 */
/* Adds a project that passes all columns and computes these behind them; columns that are there
 * already are used as they are. `columns` gets their numbers. */
Relation *relation_with(Planner *, Relation *, Expr *const *exprs, int count, int *columns);
bool keeps_all(const Relation *); /* its state holds columns that nobody may read */
/* Marks everything that a query needs, and numbers it behind those that it reads. */
void need_query(Planner *, Query *);
int set_find_role(const ColumnSet *, TimeRole, const WindowOf *); /* -1: none; window NULL: any */

/* ---- plan.c ---- */
CHECKED Status view_relation(Planner *, View *, int location, Relation **, Error *);

/* ---- plan_source.c ---- */
CHECKED Status source_relation(Planner *, Table *, Relation **, Error *);
CHECKED Status reference_relation(Planner *, Table *, Relation **, Error *);
CHECKED Status check_tables(Planner *, Error *);
void emit_source(Planner *, Relation *);
void emit_reference(Planner *, Relation *); /* its node: a number of Plan.references */

/* ---- plan_select.c ---- */
typedef struct SelectOptions {
    bool keep_unknown; /* untyped literals keep TYPE_UNKNOWN: INSERT and UNION give them a type */
    bool top;          /* ORDER BY and LIMIT may stand here: ad hoc */
} SelectOptions;
CHECKED Status plan_select(Planner *, PgQuery__SelectStmt *, SelectOptions, Relation **out,
                           Error *);
/* Casts a project's columns in place. */
CHECKED Status project_cast(Planner *, Relation *project, int column, Type, CastContext, Error *);
void from_scope(Planner *, From *, Scope *);
typedef struct Target { /* an item of the SELECT list; `*` is expanded */
    NodeTree *node;     /* NULL: a column of `*` */
    int column;         /* of the From, for `*` */
    const char *name;
    bool quoted;
    bool aliased;
    int location;
} Target;
/* An item of GROUP BY, DISTINCT ON or ORDER BY that names a target by number or (when `names`) by
 * output name: its index; -1: an expression. */
CHECKED Status target_of(Planner *, NodeTree *, const Target *, int count, bool names,
                         const char *clause, int *out, Error *);

typedef struct Targets {
    Target *items;
    int count, capacity;
} Targets;

CHECKED Status add_target(Planner *, Targets *, Target, Error *);

/* ---- plan_distinct.c, plan_order.c ---- */
CHECKED Status check_distinct(Planner *, const PgQuery__SelectStmt *, bool grouped,
                              const Relation *input, int location, Error *);
CHECKED Status plan_distinct(Planner *, PgQuery__SelectStmt *, From *, const Targets *, Error *);
CHECKED Status check_order(Planner *, const PgQuery__SelectStmt *, bool top, Error *);
CHECKED Status bind_order(Planner *, PgQuery__SelectStmt *, const Targets *, Scope *, Expr **exprs,
                          int *expr_count, Error *);
CHECKED Status order_union(Planner *, PgQuery__SelectStmt *, Relation *, Error *);
/* The number of LIMIT or OFFSET. */
CHECKED Status constant_count(Planner *, NodeTree *, const char *what, int64_t otherwise,
                              int64_t *out, Error *);

/* ---- plan_from.c, plan_join.c, plan_window.c ---- */
CHECKED Status plan_from(Planner *, NodeTree *, From *out, Error *);
CHECKED Status plan_join(Planner *, PgQuery__JoinExpr *, From *out, Error *);
CHECKED Status plan_window(Planner *, PgQuery__RangeFunction *, NodeTree *, From *out, Error *);
void from_add(Planner *, From *, ScopeColumn);
/* Columns of a relation under one name. */
void from_relation(Planner *, From *, Relation *, const char *name, bool quoted);
CHECKED Status relation_named(Planner *, const char *name, bool quoted, int location, From *out,
                              Error *);
Table *
table_named(Planner *,
            const PgQuery__RangeVar *); /* NULL: no table of that name, or a WITH name hides it */
CHECKED Status check_unread_ctes(Planner *, const Cte *until, Error *);
CHECKED Status from_aliases(Planner *, From *, const AliasSpelling *, int location, Error *);

/* ---- plan_group.c ---- */
CHECKED Status plan_group(Planner *, PgQuery__SelectStmt *, From *, const Target *, int count,
                          Scope *grouped, Error *);
/* After all expressions are bound: the aggregate relation over from->relation. */
CHECKED Status finish_group(Planner *, From *, Scope *grouped, int location, Relation **out,
                            Error *);
bool has_aggregate(const NodeTree *);

/* ---- plan_keys.c ---- */
/* Refuses `what` over groups without a window, whose rows change. */
CHECKED Status check_steady(Planner *, const Relation *input, const char *what, const char *remedy,
                            int location, Error *error);
/* Rows of such groups, as the project of a sink's columns: may they go there? */
CHECKED Status check_sink_keys(Planner *, const Insert *, const Table *sink, const Relation *rows,
                               Error *error);

/* ---- plan_union.c ---- */
CHECKED Status plan_union(Planner *, PgQuery__SelectStmt *, Relation **out, Error *);

/* ---- plan_emit.c, plan_emit_group.c ---- */
typedef struct Extra {
    Expr **exprs; /* over the input's places */
    int count;
} Extra;
Extra extra_new(Planner *, int most);
int extra_column(Extra *, Expr *); /* its number in `extra` */
/* Expressions as columns: of the input itself when all are plain, else of a project in front.
 * `columns` holds numbers of `extra` and gets places. With `keep` the project also passes all
 * columns of the input on, in front. Gives the node that has them. */
int emit_extra(Planner *, const Query *, int input, Extra *, bool keep, int *columns, int count);
int emit_aggregate(Planner *, Relation *);
int emit_relation(Planner *, Relation *); /* its node, made at the first call */
int add_node(Planner *, const Query *, const OperatorType *, const void *spec, Schema,
             const int *inputs, int input_count);
Expr *expr_placed(Planner *, const Expr *, const ColumnSet *); /* over the places of the columns */
const char *expr_name(Planner *, const Expr *, const Schema *input);
void emit_all(Planner *);
Schema set_schema(Planner *, const ColumnSet *,
                  int count); /* names and types of the first columns */

/* ---- plan_hash.c ---- */
void hash_query(Planner *, Query *, PlanQuery *);
