/* The plan: what the engine runs. A read-only graph of operators in topological order; all in the
 * plan's arena. */
#pragma once
#include "operator/specs.h"
#include "sql/catalog.h"

typedef enum NodeKind {
    NODE_SOURCE,   /* index: of plan->sources */
    NODE_OPERATOR, /* type and spec */
    NODE_VIEW,     /* index: of plan->views; ends a query */
    NODE_SINK,     /* index: of plan->sinks; ends a query */
} NodeKind;

typedef struct PlanNode {
    NodeKind kind;
    const char *name; /* "per_device.aggregate", stable */
    int query;        /* -1 for sources */
    int index;
    const OperatorType *type;
    const void *spec;
    int *inputs; /* nodes */
    int input_count;
    Schema schema; /* of its output */
} PlanNode;

typedef struct PlanSource {
    Table *table;
    DecodeSpec decode; /* only what queries read */
    int node;
} PlanSource;

typedef struct PlanReference {
    Table *table;
    DecodeSpec decode;
    Schema schema; /* of the kept columns */
    int *keys;     /* in the kept columns */
    int key_count;
    int64_t refresh_us; /* 0: never */
} PlanReference;

typedef enum QueryKind { QUERY_VIEW, QUERY_SINK, QUERY_SHARED } QueryKind;

typedef struct PlanQuery {
    const char *name; /* the view's or sink's; a second INSERT into one sink: "alerts 2" */
    QueryKind kind;
    int index;             /* of views or sinks; -1 for SHARED */
    uint64_t hash;         /* of its bound plan (LANGUAGE.md 2) */
    const char *plan_text; /* what was hashed, for messages and explain */
    bool bounded;          /* all of its sources end */
    bool windowed;         /* its results are final rows of windows */
    bool grouped;    /* an unwindowed GROUP BY ends it: rows are changes (upserts, deletes) unless
                        bounded */
    bool replayable; /* every row is made from one record alone: no state, reference, now(),
                        random() */
    int *sources;    /* plan sources that it reads itself (not through another query) */
    int source_count;
    int line;
} PlanQuery;

typedef struct PlanView {
    View *view;
    const char *name;
    Schema schema;
    int query, node;
    bool emit_final;      /* final rows only: as it was told, or since no other can be shown */
    bool plain;           /* rows of a plain SELECT: keyed by branch, ordinal and position */
    int64_t retention_us; /* 0: for ever */
    int window_start, window_end; /* columns of the schema that hold the window, -1: none; for
                                     charts and retention */
} PlanView;

typedef struct PlanSink {
    Table *table;
    Schema schema;
    int *keys; /* columns of the schema: PRIMARY KEY, or the `key` option */
    int key_count;
    SinkWay way;
    bool exactly_once;
} PlanSink;

typedef struct PlanOrder { /* leat sql only */
    int column; /* of the sink's schema; extra columns behind `visible` are dropped after sorting */
    bool descending, nulls_first;
} PlanOrder;

typedef struct Plan {
    Arena *arena;
    Catalog *catalog;
    PlanNode *nodes; /* inputs come before their readers */
    int node_count;
    PlanSource *sources;
    int source_count;
    PlanReference *references;
    int reference_count;
    PlanQuery *queries; /* a query comes before those that read it */
    int query_count;
    PlanView *views;
    int view_count;
    PlanSink *sinks;
    int sink_count;
    /* ad hoc only */
    PlanOrder *order;
    int order_count;
    int64_t limit, offset; /* limit -1: none */
    int visible;           /* columns of the only sink that are shown */
} Plan;

/* Plans all queries of the catalog. Errors as catalog's. */
CHECKED Status plan_new(Catalog *, Plan **out, Error *);
void plan_free(Plan **); /* not the catalog */
/* expr_text for people: names stand without quotes. */
void expr_words(const Expr *, const Schema *, Buffer *out);
/* `leat explain`: the plan, defaults used, what bounds each operator's state, how each sink is
 * delivered. */
void plan_explain(const Plan *, Buffer *out);
