/* Key columns as they first came, for types of which equal values may look different: 1.50 and 1.5
 * are one group, and PostgreSQL shows the first. The encoded key alone would show neither. */
#pragma once
#include "data/value.h"

bool looks_vary(Type);
/* Values of those columns (< 0: left out) of a row, owned by the caller (free). */
char *looks_new(const Batch *, int row, const int *columns, int count, Buffer *scratch);
Str looks_values(const char *looks); /* as value_encode made them; looks may be NULL */
void looks_encode(const char *looks, Buffer *);
char *looks_decode(Reader *); /* NULL: none */
