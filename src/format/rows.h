/* Rows under construction, for all decoders: columns are filled row by row, cut into batches, and
 * what is bad becomes a reject, a NULL or the end, as the table's on_error says. */
#pragma once
#include "format/format.h"

typedef struct Slot { /* one column of the batch that is being filled */
    const DecodeColumn *spec;
    TypeKind kind;
    Physical physical;
    union {
        uint8_t *bools;
        int64_t *ints;
        double *floats;
        Str *strs;
        Interval *intervals;
        void *values;
    };
    uint8_t *states;   /* NULL as long as every row is OK */
    uint64_t stamp;    /* of the record that it was last set for */
    Program *computed; /* DECODE_COMPUTED */
} Slot;

typedef struct Removal Removal;

typedef struct Rows {
    const DecodeSpec *spec;
    Slot *slots;
    int field_count; /* columns that a record has to fill: FIELD and PATH */
    bool metadata, any_computed;
    struct Random *random; /* batch sizes, NULL: all the same */

    /* of the chunk */
    const Chunk *chunk;
    Decoded *out;
    Arena *arena;
    int64_t expected; /* records still to come */
    int batch_capacity, reject_capacity;
    int64_t accepted;
    Removal *removals; /* rows taken back after they were filled */
    int removal_count, removal_capacity;

    /* of the batch */
    int row, capacity;
    int64_t *positions;
    Str *records;
    int32_t *elements;   /* NULL unless records hold several rows */
    int64_t *timestamps; /* NULL unless max_future needs them */
    RowErrors errors;

    /* of the row */
    uint64_t stamp; /* counts records */
    int set;        /* fields set so far */
    int row_errors; /* errors.count at its begin */
    Str record;
    int64_t position;
    const Record *source; /* NULL: of a byte stream */
    int32_t element;      /* of the record; set by who asked for them in many_elements */
    bool many_elements;   /* of the chunk: a record may be several rows */
    Buffer reason;        /* why the row is bad; empty: it is not */
} Rows;

CHECKED Status rows_open(Rows *, const DecodeSpec *, Error *);
void rows_close(Rows *);

void rows_begin_chunk(Rows *, const Chunk *, Decoded *out, int64_t expected);
void rows_end_chunk(Rows *);

/* One record: begin, set fields, then accept or reject. After a false in between, reject. false
 * from either: stop, the run has failed. */
void rows_begin(Rows *, Str record, int64_t position, const Record *source);
CHECKED bool rows_accept(Rows *);
CHECKED bool rows_reject(Rows *);
/* Says why the record is bad; what was said first stays. Returns false. */
bool rows_bad_record(Rows *, const char *format, ...) PRINTF(2, 3);
/* A bad field: NULL where the table wants that and the column allows it (true), else false and the
 * record is bad. */
bool rows_bad_field(Rows *, Slot *, const char *format, ...) PRINTF(3, 4);
/* A value of a path that does not cast: the error of the queries that read it. */
void rows_value_error(Rows *, Slot *, const char *format, ...) PRINTF(3, 4);
bool rows_null(Rows *, Slot *);

/* Of a text from outside what fits into a reason, whole characters. */
Str reason_part(Str);

/* Marks the slot as set in this row and returns where its value goes. */
static inline int slot_set(Rows *rows, Slot *slot) {
    rows->set += slot->stamp != rows->stamp;
    slot->stamp = rows->stamp;
    if (slot->states) slot->states[rows->row] = VALUE_OK;
    return rows->row;
}
