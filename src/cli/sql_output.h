/* How `leat sql` shows rows: one JSON object a line, CSV, or a table. */
#pragma once
#include "data/schema.h"
#include "data/value.h"

typedef enum OutputFormat { OUTPUT_JSON, OUTPUT_CSV, OUTPUT_TABLE } OutputFormat;

typedef struct Output Output;
Output *output_new(OutputFormat, const Schema *, int visible); /* the schema is lent */
void output_row(
    Output *,
    const Value *); /* a table is printed at the end: columns are as wide as their widest value */
void output_close(Output **); /* prints what is left */
