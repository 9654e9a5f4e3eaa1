/* One file that is being read, for source.c. */
#pragma once
#include "connector/file/file.h"
#include "format/json_array.h"

/* Chunks that are free again: large blocks of memory are dear to get and to give back. It outlives
 * the source if a chunk does. */
typedef struct Pool Pool;

Pool *pool_new(size_t usual_bytes);
void pool_leave(Pool *);

typedef struct FileReader { /* what the files of a source have in common */
    SourceContext context;
    bool csv_header;
    bool arrays; /* json_array */
    char delimiter;
    Pool *pool;
    Arena *arena; /* headers, since chunks point to them */
} FileReader;

typedef struct Part {
    int partition;
    const char *name; /* for the home */
    const char *path;
    int index;        /* order = 'name': of the file */
    int64_t base;     /* order = 'name': what its positions begin at */
    int fd;           /* -1: not open */
    int64_t position; /* the byte behind the last record that was handed on */
    int64_t skip_to;  /* bytes before it were counted in an earlier run */
    Buffer carry;     /* read, but behind the last whole record */
    bool stream;      /* a pipe or the like: can neither go back nor be waited for by read() */
    bool eof, header_read;
    bool follow; /* more may be written to it: at its end one waits */
    bool ending; /* followed, and nothing more is expected: what is left is its last record */
    Str header;
    ArrayMark mark;     /* json_array: what stands before `position` */
    ArrayScan *scan;    /* json_array: of a record that is too long */
    int64_t long_bytes; /* of a record that is too long, as far as it was read; its beginning is in
                           `carry` */
} Part;

/* Its descriptor was just opened by somebody else: reading goes on at `position`. */
void part_begin(const FileReader *, Part *);
/* The byte that reading goes on at, whether it has come there or not. */
static inline int64_t part_at(const Part *part) {
    return part->skip_to > part->position ? part->skip_to : part->position;
}
/* As SourceType.next. */
CHECKED Status part_next(FileReader *, Part *, Chunk **out, Error *);
void part_close(Part *);
/* Closes it until it is asked again. */
void part_rest(Part *);
