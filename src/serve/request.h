/* A request's target, taken apart: the path and the parameters, percent signs decoded. */
#pragma once
#include "base/memory.h"

enum { REQUEST_PARAMS = 32 };

typedef struct Param {
    const char *name, *value; /* UTF-8, without zero bytes */
} Param;

typedef struct Target {
    Str path; /* decoded; begins with '/'; may hold zero bytes */
    Param params[REQUEST_PARAMS];
    int param_count;
} Target;

/* `raw` as in the request line. REJECT: a bad escape, bytes that are not UTF-8, too many
 * parameters. */
CHECKED Status target_parse(const char *raw, Arena *, Target *, Error *);
/* The value of the parameter `name`, NULL: not given. */
const char *target_param(const Target *, const char *name);
/* A whole number without sign; REJECT with a message. More than `most` is `most`. */
CHECKED Status limit_parse(const char *text, int64_t most, int64_t *out, Error *);

/* An address "host:port" taken apart; "[::1]:8080" too. REJECT when it is no such thing. */
CHECKED Status address_parse(const char *text, char *host, size_t host_size, char *port,
                             size_t port_size, Error *);
