/* Batches of result rows: of groups, sessions, joined windows. */
#pragma once
#include "expr/aggregate.h"
#include "operator/operator.h"

/* A batch of `rows` results with columns of the schema's types, all VALUE_OK and to be filled; no
 * source, no positions. taken_us: of the rows that came last, for now(); 0: none has come since the
 * start. */
Batch *results_new(Operator *, const Schema *, int rows, int64_t taken_us, Arena *);
/* Their keys: the first `count` columns, encoded. */
Str *results_keys(const Batch *, int count);
/* Rows with an error become dead letters of the query; the rest is emitted. */
CHECKED Status results_emit(Operator *, Batch *, const RowErrors *, Error *);
/* One value of a result that an aggregate gives; an overflow is an error of that row. */
void results_set(Batch *, int column, int row, const AggregateCall *, const char *block,
                 RowErrors *);
