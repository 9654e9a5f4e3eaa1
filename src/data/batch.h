/* A batch: up to BATCH_ROWS rows of one partition, in columns, with the hidden columns that carry
 * where each row came from. Batches are read-only once handed on: an operator that changes
 * something makes a new Batch whose columns may point into the old one, valid during the push. */
#pragma once
#include "data/type.h"

enum { BATCH_ROWS = 2048 };

/* The state of one value. An error is a value too: it travels through expressions as NULL does, so
 * that CASE, AND and coalesce decide as PostgreSQL does whether it matters; a row in whose results
 * an error is left becomes a dead letter. */
typedef enum ValueState { VALUE_OK, VALUE_NULL, VALUE_ERROR } ValueState;

typedef struct Column {
    Type type;
    bool constant;         /* every row has the same value; all rows are filled in all the same */
    const uint8_t *states; /* ValueState per row, or NULL: all VALUE_OK */
    union {
        const uint8_t *bools;
        const int64_t *ints;
        const double *floats;
        const Str *strs;
        const Interval *intervals;
        const void *values;
    };
} Column;

static inline ValueState column_state(const Column *c, int row) {
    return c->states ? (ValueState)c->states[row] : VALUE_OK;
}
static inline bool column_ok(const Column *c, int row) {
    return !c->states || c->states[row] == VALUE_OK;
}

/* Why a value is in VALUE_ERROR: the first error of a row is the one that is told. */
typedef struct RowError {
    int row;
    const char *text; /* in the batch's arena */
} RowError;

typedef struct RowErrors {
    RowError *items; /* in the arena */
    int count, capacity;
    Arena *arena;
} RowErrors;
void row_error(RowErrors *, int row, const char *format, ...) PRINTF(3, 4);
/* The first of this row; "unknown error" if none. */
const char *row_error_text(const RowErrors *, int row);

typedef enum RowOp { ROW_INSERT, ROW_UPSERT, ROW_DELETE } RowOp;

typedef struct Batch {
    int rows;
    int column_count;
    Column *columns;
    Arena *arena;      /* lent: where things that live as long as this batch may be put */
    RowErrors *errors; /* reasons of the VALUE_ERRORs in the columns (from path columns), or NULL */

    /* Hidden columns. NULL where the rows are results of a group, unless said otherwise. */
    /* Index of the source; -1: a result, which has no source, partition or position. */
    int source;
    int partition; /* of the source; -1: a result */
    /* Kafka: offset; file: byte where the record begins; generator: event number. */
    const int64_t *positions;
    /* Which of the several rows that one record became (hop windows); NULL: all 0. */
    const int32_t *ordinals;
    /* Which element of its record a row is (a Kafka message that holds an array); NULL: all 0. */
    const int32_t *elements;
    const Str *records; /* the raw record */
    /* Microseconds; for a windowed result its window_end; NULL: rows have no event time. */
    const int64_t *event_times;
    /* The partition's watermark just before this row; NULL: never late. */
    const int64_t *seen;
    /* A result's encoded key (branch and full group key); NULL: it is known by position. */
    const Str *keys;
    int branch;         /* of a UNION ALL; 0 elsewhere */
    const uint8_t *ops; /* RowOp per row; NULL: all ROW_INSERT. Only on results of groups */
    /* Each group comes once: of a window that closed, or of input that ended. A ROW_DELETE among
     * them takes back growth, from this query's own view alone. */
    bool final;
    /* Rows of groups that are not final yet: for this query's own view, never for other readers */
    bool growth;
    int64_t taken_us; /* the clock when the rows' chunk was taken in: what now() says */
} Batch;

#define NO_TIME INT64_MIN     /* "no watermark yet", "never late" */
#define END_OF_TIME INT64_MAX /* the watermark of a source that has ended */

/* A new batch in `arena` with the hidden columns of `like` and no visible columns (room for
 * `columns`). */
Batch *batch_like(const Batch *like, int columns, Arena *arena);
/* The rows for which keep[row] is not 0, visible and hidden columns alike, compacted. */
Batch *batch_select(const Batch *, const uint8_t *keep, Arena *arena);
/* Rows from `first` on, `rows` of them, as a view into the same memory. */
Batch *batch_slice(const Batch *, int first, int rows, Arena *arena);
/* Rows by index (may repeat, as hop windows do), gathered into new columns. */
Batch *batch_gather(const Batch *, const int32_t *row_indexes, int rows, Arena *arena);
/* One column's rows by index; index -1 gives NULL (for left joins). */
Column column_gather(const Column *, const int32_t *row_indexes, int rows, Arena *arena);
/* A column of `rows` rows with room for values (and states when `with_states`, all VALUE_OK), to be
 * filled. */
Column column_new(Type, int rows, bool with_states, Arena *arena);
/* States, all VALUE_OK, for a column just made by column_new without them. */
uint8_t *column_add_states(Column *, Arena *);
/* Writable access for the one who just made the column. */
static inline int64_t *column_ints(Column *c) { return (int64_t *)(uintptr_t)c->ints; }
static inline double *column_floats(Column *c) { return (double *)(uintptr_t)c->floats; }
static inline uint8_t *column_bools(Column *c) { return (uint8_t *)(uintptr_t)c->bools; }
static inline Str *column_strs(Column *c) { return (Str *)(uintptr_t)c->strs; }
static inline Interval *column_intervals(Column *c) { return (Interval *)(uintptr_t)c->intervals; }
static inline uint8_t *column_states(Column *c) { return (uint8_t *)(uintptr_t)c->states; }
