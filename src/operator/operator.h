/* Operators take batches and time and emit batches. They see no clock, no lock, no thread; what
 * they remember is in their State and nowhere else. The engine (engine/pipeline.c) joins them into
 * chains and drives them. */
#pragma once
#include "data/batch.h"
#include "base/env.h"
#include "expr/expr.h"
#include "state/state.h"
#include <stdatomic.h>

/* How far time has come on a stream of batches.
 * time:         of rows with an event time of their own: no older row is expected. Of results of
 *               windows: no row whose window_end is <= time is still to come.
 * window_start: of results of windows, and behind a window operator: no row whose window_start is
 *               less is still to come. */
typedef struct Watermark {
    int64_t time, window_start;
} Watermark;
#define WATERMARK_NONE ((Watermark){NO_TIME, NO_TIME})
#define WATERMARK_END ((Watermark){END_OF_TIME, END_OF_TIME})
static inline Watermark watermark_min(Watermark a, Watermark b) {
    return (Watermark){a.time < b.time ? a.time : b.time,
                       a.window_start < b.window_start ? a.window_start : b.window_start};
}

typedef enum RejectKind {
    REJECT_LATE,
    REJECT_LATE_IDLE, /* late only because its partition was idle or is new: the query's time had
                         gone on without it */
    REJECT_DEAD,
} RejectKind;

/* Each number is written by the engine thread and read by any. */
typedef struct OperatorCounters {
    _Atomic int64_t rows_in, rows_out, filtered, late, late_idle, dead, deduplicated;
    _Atomic int64_t state_bytes, state_entries;
    _Atomic int64_t busy_us;
} OperatorCounters;

/* The same of one source's records: `in` where they come into the operator's query. */
typedef struct SourceCounters {
    int64_t in, filtered, deduplicated, late, late_idle, dead;
} SourceCounters;

typedef struct Operator Operator;
typedef struct OperatorType OperatorType;

typedef struct Edge {
    Operator *to;
    int input;
    bool own_query; /* the reader belongs to the same query: growth and deletes of windowed rows are
                       for it too */
    bool enters;    /* from a source or another query */
} Edge;

/* What the engine lends to operators. */
typedef struct OperatorHost OperatorHost;
struct OperatorHost {
    Env *env; /* for programs (random numbers) only, and to time pushes */
    /* Row `row` of `batch` is late or dead for the operator's query. Counted here too. */
    void (*reject)(OperatorHost *, Operator *, RejectKind, const Batch *, int row,
                   const char *reason);
    /* The loaded reference table: see operator/reference.h */
    const struct ReferenceTable *(*reference)(OperatorHost *, int index);
    /* All input of the operator has ended: how far its rows had brought time. NULL: unknown */
    int64_t (*ended_at)(OperatorHost *, const Operator *);
    int64_t inner_us; /* operator_push's: time of the pushes inside the one that runs */
};

struct Operator {
    const OperatorType *type;
    const char *name; /* stable within the pipeline: "per_device.aggregate" */
    int query;        /* index of the query that it belongs to */
    OperatorHost *host;
    int inputs;
    Edge *outs; /* owned; operator_connect adds */
    int out_count;
    State *state;          /* NULL: it remembers nothing */
    Watermark output_mark; /* set by advance before it returns OK; without advance the engine copies
                              the input's */
    Watermark *input_marks; /* [inputs], kept by the engine: what was last advanced on each */
    bool growth_held; /* the last `changes` told nothing: more than GROWTH_MOST_GROUPS groups had
                         changed */
    OperatorCounters counters;
    SourceCounters *by_source; /* [sources]; NULL: not kept */
};

struct OperatorType { /* what it remembers is in its State and nowhere else */
    const char *name;
    size_t size; /* of its struct, which begins with Operator */
    /* The spec is the plan's and outlives the operator. Makes op->state if it needs one. */
    Status (*open)(Operator *, const void *spec, Error *);
    Status (*push)(Operator *, int input, const Batch *,
                   Error *); /* OK or FAIL; bad rows go to host->reject */
    /* Time has come this far on that input. Emits at most one batch a call and returns AGAIN until
     * all that is due is out; then sets op->output_mark and returns OK. NULL: passes marks on. */
    Status (*advance)(Operator *, int input, Watermark, Error *);
    /* An epoch closes: emit what changed since the last one (growing groups, groups without a
     * window), at most one batch a call, AGAIN until done. NULL: nothing to say. */
    Status (*changes)(Operator *, Error *);
    void (*close)(Operator *);
};

Operator *operator_new(const OperatorType *, const char *name, int query, OperatorHost *,
                       int inputs);
void operator_free(Operator **); /* closes it too */
void operator_connect(Operator *from, Operator *to, int input, bool own_query);
/* type->push, counted: the engine's way in, and emit's. */
CHECKED Status operator_push(Operator *, int input, const Batch *, Error *);

/* ---- for operators ---- */

/* Pushes into every reader. Batches with growth go to readers of the same query only; of batches
 * that are final other readers get neither deletes nor upserts, but each row once. */
CHECKED Status emit(Operator *, const Batch *, Error *);
/* Rows of `batch` in which any of `columns` is VALUE_ERROR become dead letters: keep[row] is
 * cleared. A row that readers may have seen before (ROW_UPSERT) stays, as a ROW_DELETE; of growth
 * nothing is told. *keep NULL: every row, and made here when one goes; *ops: the batch's, made anew
 * when one changes. */
void reject_errors(Operator *, const Batch *, const Column *columns, int count, const RowErrors *,
                   Arena *, uint8_t **keep, const uint8_t **ops);
/* The batch without rows that have an error in any of these columns of it. */
const Batch *without_errors(Operator *, const Batch *, const int *columns, int count);
/* How many rows with keep[row] == 0 are records of a source, each counted once however many windows
 * it is in. */
int64_t records_dropped(const Batch *, const uint8_t *keep);
void count_state(Operator *); /* brings counters.state_bytes and state_entries up to date */
