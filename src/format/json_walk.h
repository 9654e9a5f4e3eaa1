/* Walking over the index of one JSON record. */
#pragma once
#include "base/memory.h"

enum { JSON_DEPTH = 1000 }; /* a record nested deeper is bad */

/* `at` stands on the offset of a structural byte, of a string or of another scalar; offsets from
 * `limit` on belong to the next record. The index is followed by one more offset that is beyond
 * every limit. */
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

static inline bool walk_problem(JsonWalk *w, const char *text) {
    w->problem = text;
    return false;
}

extern const char walk_not_closed[], walk_wrong_bracket[];

/* ASCII: [ is 0x5b and { is 0x7b, ] is 0x5d and } is 0x7d. */
static inline bool walk_opens(char c) { return (c | 0x20) == '{'; }
static inline bool walk_closes(char c) { return (c | 0x20) == '}'; }

CHECKED bool walk_skip_container(JsonWalk *);

/* Steps over a value whose inside nobody reads: only its brackets must close each other. */
CHECKED static inline bool walk_skip(JsonWalk *w) {
    char c = walk_byte(w);
    if (walk_opens(c)) return walk_skip_container(w);
    if (walk_closes(c) || c == ',' || c == ':') return walk_problem(w, "a value is missing");
    w->at++;
    return true;
}

/* Steps over a value that is read: all of it must be JSON. */
CHECKED bool walk_check(JsonWalk *, Str *value);

/* A key with its colon, without its quotes; then `at` stands on the value. */
CHECKED static inline bool walk_key(JsonWalk *w, Str *inside) {
    if (walk_ended(w)) return walk_problem(w, walk_not_closed);
    if (walk_byte(w) != '"') return walk_problem(w, "a key must be a string");
    if (w->at[1] >= w->limit) return walk_problem(w, walk_not_closed);
    Str key = walk_scalar(w);
    *inside = (Str){key.data + 1, key.size - 2};
    w->at++;
    if (walk_byte(w) != ':') return walk_problem(w, "a colon is missing behind a key");
    w->at++;
    return !walk_ended(w) || walk_problem(w, walk_not_closed);
}

/* Behind a member of an object: true with *more, or at the object's end, which is stepped over. */
CHECKED static inline bool walk_member_end(JsonWalk *w, bool *more) {
    if (walk_ended(w)) return walk_problem(w, walk_not_closed);
    char c = walk_byte(w);
    *more = c == ',';
    if (c != ',' && c != '}')
        return walk_problem(w, walk_closes(c) ? walk_wrong_bracket : "a comma is missing");
    w->at++;
    return true;
}
