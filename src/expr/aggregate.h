/* Aggregates: each is a row of a table; its running state is a fixed-size block inside the group
 * plus, for some, memory that it owns. */
#pragma once
#include "expr/expr.h"

typedef struct Aggregate Aggregate;
struct Aggregate {
    const char
        *name; /* PostgreSQL's: count, sum, avg, min, max, stddev, stddev_pop, stddev_samp,
                  variance, var_pop, var_samp, bool_and, bool_or, every, first_value, last_value */
    TypeKind result;
    TypeKind arg;  /* TYPE_UNKNOWN: any (min, max, first_value, count); for those the result is the
                      argument's  type unless `result` says otherwise */
    int arg_count; /* 0: count(*) */
    size_t
        size; /* bytes of state in the group, 16-byte aligned; zeroed at start is the empty state */
    /* For each i in 0…count-1: adds row rows[i] of `arg` (NULL argument column for count(*)) into
     * states[i] + offset. Rows with VALUE_NULL or VALUE_ERROR are skipped by the aggregate. `times`
     * are event times (for first_value, last_value), may be NULL. */
    void (*add)(const Column *arg, const int64_t *times, const int32_t *rows, int count,
                char *const *states, size_t offset);
    void (*merge)(char *into, const char *from,
                  Type arg); /* session windows: adds `from` to `into` */
    /* The result for output; REJECT (a dead letter of this query) on overflow. */
    Status (*result_of)(const char *state, Type arg, Type result, Value *out, Arena *, Error *);
    void (*encode)(const char *state, Type arg, Buffer *);
    void (*decode)(char *state, Type arg, Reader *);
    void (*release)(char *state);       /* frees owned memory; NULL where there is none */
    size_t (*bytes)(const char *state); /* of owned memory; NULL where there is none */
    const char *help;
};

const Aggregate *aggregate_at(int index);
bool aggregate_exists(Str name);
/* The row for that name and argument type; NULL: none. `arg_count` 0 for count(*). */
const Aggregate *aggregate_find(Str name, int arg_count, TypeKind arg);
/* count(DISTINCT x) and other DISTINCT aggregates: a set of encoded keys in the group, which hands
 * each new value on to the plain aggregate. Its state block is that of `plain` behind a set. */
typedef struct AggregateCall {
    const Aggregate *aggregate;
    bool distinct;
    int arg;    /* column of the input batch that holds the argument, -1: count(*) */
    int filter; /* boolean column of the input batch (FILTER (WHERE …)), -1: none */
    Type arg_type, result;
    size_t offset; /* of its state in the group's block; set by aggregates_layout */
} AggregateCall;

/* The calls of one GROUP BY together, over one block per group. */
size_t aggregates_layout(AggregateCall *, int count); /* sets offsets, returns the block's size */
/* Adds every row i (0…batch rows - 1) to the block states[i] (NULL: the row is skipped). Errors in
 * an argument or filter are the caller's to have filtered out before. */
void aggregates_add(const AggregateCall *, int count, const Batch *, char *const *states);
CHECKED Status aggregates_result(const AggregateCall *, const char *block, Value *out, Arena *,
                                 Error *);
void aggregates_merge(const AggregateCall *, int count, char *into, char *from);
void aggregates_encode(const AggregateCall *, int count, const char *block, Buffer *);
void aggregates_decode(const AggregateCall *, int count, char *block, Reader *);
void aggregates_release(const AggregateCall *, int count, char *block);
/* Bytes owned outside the block (count(DISTINCT), text min/max), for memory accounting. */
size_t aggregates_bytes(const AggregateCall *, int count, const char *block);
