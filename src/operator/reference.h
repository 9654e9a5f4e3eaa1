/* A reference table in memory: rows by primary key. Immutable once built; a refresh builds a new
 * one and the engine puts it in place between two batches. */
#pragma once
#include "data/batch.h"
#include "data/schema.h"

typedef struct ReferenceTable ReferenceTable;

/* `schema`: the columns kept; `keys`: which of them are the primary key. Of equal keys the last row
 * added counts. */
ReferenceTable *reference_new(const Schema *schema, const int *keys, int key_count);
void reference_add(ReferenceTable *, const Batch *); /* copies */
void reference_free(ReferenceTable **);
/* For each row the index of its partner or -1 (also when a key is NULL). Key columns of any type
 * that encodes alike. */
void reference_find(const ReferenceTable *, const Column *keys, int key_count, int rows,
                    int32_t *found);
/* A column of the table gathered by those indexes (-1: NULL). */
Column reference_column(const ReferenceTable *, int column, const int32_t *found, int rows,
                        Arena *);
int64_t reference_rows(const ReferenceTable *);
