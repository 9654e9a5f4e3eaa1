/* Walking over the index of one JSON record. */
#pragma once
#include "base/memory.h"

enum { JSON_DEPTH = 1000 }; /* a record nested deeper is bad */

/* `at` stands on the offset of a structural byte, of a string or of another scalar; offsets from `limit` on belong to the next
 * record. The index is followed by one more offset that is beyond every limit. */
typedef struct JsonWalk {
    const char *text;
    const uint32_t *at;
    uint32_t limit;
    const char *problem; /* why the last call gave false */
} JsonWalk;

static inline bool walk_ended(const JsonWalk *w) { return *w->at >= w->limit; }
static inline char walk_byte(const JsonWalk *w) { return w->text[*w->at]; }

/* The scalar at `at`, which must not be the last thing of the record. */
static inline Str walk_scalar(const JsonWalk *w) {
    const char *begin = w->text + w->at[0], *end = w->text + w->at[1];
    while (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\r' || end[-1] == '\t') end--;
    return (Str){begin, (size_t)(end - begin)};
}

/* Steps over a value whose inside nobody reads: only its brackets must close each other. */
CHECKED bool walk_skip(JsonWalk *);
/* Steps over a value that is read: all of it must be JSON. */
CHECKED bool walk_check(JsonWalk *, Str *value);
/* A key with its colon, without its quotes; then `at` stands on the value. */
CHECKED bool walk_key(JsonWalk *, Str *inside);
/* Behind a member of an object: true with *more, or at the object's end, which is stepped over. */
CHECKED bool walk_member_end(JsonWalk *, bool *more);
