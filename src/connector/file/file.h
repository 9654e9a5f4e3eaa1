/* Files as tables; source.c reads them, sink.c appends to one. */
#pragma once
#include "connector/connector.h"
#include <string.h>

extern const SourceType file_source;
extern const SinkType file_sink;

static inline bool is_standard_stream(const char *path) { return strcmp(path, "-") == 0; }

/* Of a sink: a folder of files, one an epoch (folder.c). */
static inline bool is_folder_path(const char *path) {
    size_t size = strlen(path);
    return size > 0 && path[size - 1] == '/';
}
CHECKED Status folder_sink_open(const SinkContext *, Sink **out, Error *);

/* How a sink's rows become lines. */
typedef struct Lines {
    const Schema *schema;
    bool csv, header; /* header: a file begins with the columns' names */
    char delimiter;
} Lines;
Lines lines_of(const SinkContext *);
void lines_add(const Lines *, const Batch *, Buffer *out);
void lines_header(const Lines *, Buffer *out); /* nothing where there is none */

/* "; what to do" about an errno of open and the like; "" where there is nothing to advise. */
const char *file_remedy(int code, bool writing);

/* As Connector.shares. */
bool file_shares(const Options *sink, const Options *other, bool written);

/* The folder that a path is in, on disk: a new name is safe only then. */
CHECKED Status sync_parent(const char *path);

/* What a path stands for: one file, the files of a folder, those that a pattern matches; sorted by
 * name (bytewise), in `arena`. FAIL when there is none. */
CHECKED Status file_list(const char *path, const char *table, Arena *arena, char ***paths,
                         int *count, Error *);
