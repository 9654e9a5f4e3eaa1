/* What `leat sql` reads: the columns that its first records show, and standard input that was
 * looked at already. */
#pragma once
#include "format/format.h"

enum { INFER_RECORDS = 1000, INFER_MOST_BYTES = 64 << 20 };

typedef struct Inference Inference;

Inference *inference_new(Arena *);
void inference_free(Inference **);
/* Looks at `head`, the first bytes of one input (NDJSON, one array, or CSV with a header line).
 * False: 1,000 records were seen. */
bool inference_look(Inference *, Str head, const Format *, char delimiter);
/* The names of a CSV header line; returns how many, at most `most`. */
int csv_names(Str header, char delimiter, Arena *, Str *names, int most);
/* What unpacks a file that begins so ("zcat"); NULL: it is not compressed. */
const char *packer_of(Str head);
/* The columns of all that was looked at. Without a record there are none; FAIL: there are records,
 * but none is one. */
CHECKED Status inference_schema(const Inference *, Schema *out, Error *);
/* The first INFER_RECORDS lines of a file, and at least so many bytes. A pipe can afterwards be
 * read from its start again, under *path. */
CHECKED Status read_head(const char **path, size_t least, Buffer *head, Arena *, Error *);
/* The same of standard input, which afterwards can be read from its start again. */
CHECKED Status read_stdin_head(size_t least, Buffer *head, Error *);
