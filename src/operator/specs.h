/* What each operator is told to do: the leaves of the plan. Made by sql/plan.c, read-only
 * afterwards. Column numbers are those of the operator's input batch. */
#pragma once
#include "expr/aggregate.h"
#include "operator/operator.h"

/* Keeps rows whose condition is true; an error makes a dead letter. */
typedef struct FilterSpec {
    Expr *condition;
    bool changes;   /* the rows are groups that readers have perhaps seen before (HAVING): rows that
                       fail leave as ROW_DELETE with their keys instead of being dropped */
    bool remembers; /* … and change without end: which of them readers have is kept as state, others
                       are dropped */
    bool tells_all; /* … are told as gone all the same: a reader may have rows of an epoch that was
                       never committed */
} FilterSpec;

/* Computes new columns. Rows with an error in any become dead letters. */
typedef struct ProjectSpec {
    Expr **exprs;
    int count;
    /* [count] or NULL: where not NULL, a row with NULL in that column is a dead letter for this
     * reason (NOT NULL columns of a sink). */
    const char *const *required;
} ProjectSpec;

typedef enum WindowKind { WINDOW_TUMBLE, WINDOW_HOP, WINDOW_CUMULATE } WindowKind;
typedef enum TimeKind {
    TIME_EVENT,        /* the rows' own event times (hidden column); lateness is judged by `seen` */
    TIME_WINDOW_END,   /* column `time` is window_end of an inner window; never late; driven by
                          Watermark.time */
    TIME_WINDOW_START, /* column `time` is window_start of an inner window; driven by
                          Watermark.window_start */
    TIME_ANY, /* ad hoc queries over bounded input: any timestamp column; nothing is late; closes at
                 the end */
} TimeKind;

/* Puts each row into its windows: adds columns window_start, window_end (timestamptz, or the time
 * column's type) at the end. A row that is late for all of its windows is a late row. */
typedef struct WindowSpec {
    WindowKind kind;
    TimeKind time_kind;
    int time;                             /* the column, for TIME_WINDOW_*; -1 for TIME_EVENT */
    Type type;                            /* of the two new columns */
    int64_t slide_us, size_us, offset_us; /* tumble: slide = size; cumulate: slide is the step */
} WindowSpec;

/* First row of each key passes (LANGUAGE.md 5, DISTINCT ON). */
typedef struct DedupSpec {
    int *keys;
    int key_count;
    int64_t horizon_us;
    int window_end; /* column: keys are remembered until that window closes, nothing is late here;
                       -1: by horizon */
} DedupSpec;

typedef enum CloseKind {
    CLOSE_NEVER, /* no window: one row a group; bounded input: at the end; else changes at each
                    checkpoint */
    CLOSE_TIME,  /* bucket column holds window_end: closed once <= Watermark.time */
    CLOSE_WINDOW_START, /* bucket column holds a window_start (no window_end at hand): closed once <
                           Watermark.window_start */
} CloseKind;

/* GROUP BY. Output: key columns in order (the bucket column is one of them), then a column a call.
 * Keys of result rows (hidden) are the encoded key columns in order. With key_count 0 there is one
 * group, which exists even without rows when the input is bounded (count(*) = 0), as in PostgreSQL.
 */
typedef struct AggregateSpec {
    int *keys;
    int key_count;
    AggregateCall *calls;
    int call_count;
    size_t block_size; /* of aggregates_layout */
    CloseKind close;
    int bucket;   /* index into keys[] of the column that closes; -1 for CLOSE_NEVER */
    bool growth;  /* a view of this query shows groups as they grow: emit changes (with
                     batch->growth) at each epoch */
    bool bounded; /* CLOSE_NEVER over bounded sources only: each group once, at the end; with
                     `growth` also as it grows */
    Schema output;
    /* CLOSE_NEVER: a group to which nothing came for so long of event time is forgotten; 0: never
     */
    int64_t ttl_us;
} AggregateSpec;

enum {
    GROWTH_MOST_GROUPS = 50000
}; /* more changed groups than this in an epoch: only final rows are shown */

/* Session windows with their GROUP BY. Input rows that fail `filter` extend their session but are
 * not aggregated. Output: the partition columns and further keys in the order of `keys`, where -1
 * stands for window_start and -2 for window_end; then the calls. */
typedef struct SessionSpec {
    TimeKind time_kind;
    int time;
    int64_t gap_us;
    int *partition; /* columns that sessions are kept by */
    int partition_count;
    int *keys; /* columns, or SESSION_START / SESSION_END */
    int key_count;
    int filter; /* boolean column (WHERE behind the session), -1: none */
    AggregateCall *calls;
    int call_count;
    size_t block_size;
    Schema output;
} SessionSpec;
enum { SESSION_START = -1, SESSION_END = -2 };

/* Rows of input 0 with those of a reference table, by its primary key. Output: the input's columns,
 * then the table's. */
typedef struct ReferenceJoinSpec {
    int reference; /* index into the plan's references */
    int *keys;     /* columns of the input, in the order of the primary key */
    int key_count;
    bool left;      /* LEFT JOIN: a row without a partner gets NULLs */
    Expr *residual; /* further ON condition over input columns + table columns; NULL: none */
    Schema table;   /* the table's columns that are read */
} ReferenceJoinSpec;

/* Two windowed results, equal in window and keys; emitted when the window is closed on both sides.
 * Output: columns of input 0, then of input 1. */
typedef struct WindowJoinSpec {
    CloseKind close;
    int bucket[2]; /* the column with the window's end (or start) on each side */
    int *keys[2];
    int key_count;
    bool left;
    Expr *residual; /* over columns of both; NULL: none */
    Schema sides[2];
} WindowJoinSpec;

/* UNION ALL: rows of each input, told apart by batch->branch (nested branches are flattened by the
 * planner). */
typedef struct UnionSpec {
    int inputs;
} UnionSpec;

extern const OperatorType filter_operator, project_operator, window_operator, dedup_operator,
    aggregate_operator, session_operator, reference_join_operator, window_join_operator,
    union_operator;
