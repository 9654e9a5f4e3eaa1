/* What `leat sql` reads: the columns that its first records show, and standard input that was looked at already. */
#pragma once
#include "data/schema.h"

enum { INFER_RECORDS = 1000, INFER_MOST_BYTES = 64 << 20 };

/* Columns of `head`, the first bytes of the input (whole records; NDJSON, or CSV with a header line). */
CHECKED Status infer_schema(Str head, bool csv, char delimiter, Schema *out, Arena *, Error *);
/* The first INFER_RECORDS lines of a file. */
CHECKED Status read_head(const char *path, Buffer *head, Error *);
/* The same of standard input, which afterwards can be read from its start again. */
CHECKED Status read_stdin_head(Buffer *head, Error *);
