/* Status tells the caller what to do next; Error holds the sentence for people. */
#pragma once
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum Status {
    OK,     /* done */
    AGAIN,  /* not now, or more to come: call again */
    END,    /* nothing will ever come again */
    REJECT, /* this row (or record) is bad; skip it, go on with the next */
    FAIL,   /* stop; Error says why */
} Status;

#define CHECKED __attribute__((warn_unused_result))
#define PRINTF(format_at, first_at)                                                                \
    __attribute__((format(printf, format_at, first_at), nonnull(format_at)))

typedef struct Error {
    char text[1024]; /* what is wrong; what to do. No trailing period or newline */
    int line;        /* 1-based place in the pipeline file; 0: no place */
    int column;      /* 1-based, in characters */
} Error;

/* Fill `error` (may be NULL) and return FAIL, so that `return fail(error, …)` reads well. */
Status fail(Error *error, const char *format, ...) PRINTF(2, 3);
Status fail_at(Error *error, int line, int column, const char *format, ...) PRINTF(4, 5);
/* The same for a row that is to be skipped: returns REJECT. */
Status reject(Error *error, const char *format, ...) PRINTF(2, 3);
