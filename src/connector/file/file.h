/* Files as tables; source.c reads them, sink.c appends to one. */
#pragma once
#include "connector/connector.h"

extern const SourceType file_source;
extern const SinkType file_sink;

static inline bool is_standard_stream(const char *path) { return strcmp(path, "-") == 0; }

/* What a path stands for: one file, the files of a folder, those that a pattern matches; sorted by
 * name (bytewise), in `arena`. FAIL when there is none. */
CHECKED Status file_list(const char *path, const char *table, Arena *arena, char ***paths,
                         int *count, Error *);
