/* Steps over one record by its index. What is not read is judged by its brackets alone; what is
 * read, by all of JSON's grammar. Nesting is kept as one bit a level (object or array), so nothing
 * recurses and depth has a limit. */
#include "format/json_walk.h"
#include "format/json_value.h"

typedef struct Nesting {
    uint64_t objects[JSON_DEPTH / 64 + 1]; /* bit: this level is an object */
    int depth;
} Nesting;

static bool push(Nesting *n, bool object) {
    if (n->depth == JSON_DEPTH) return false;
    uint64_t bit = UINT64_C(1) << (n->depth % 64);
    uint64_t *word = &n->objects[n->depth / 64];
    *word = object ? *word | bit : *word & ~bit;
    n->depth++;
    return true;
}

static bool top_is_object(const Nesting *n) {
    return n->objects[(n->depth - 1) / 64] >> ((n->depth - 1) % 64) & 1;
}

const char walk_not_closed[] = "a bracket is not closed",
           walk_wrong_bracket[] = "brackets do not match";
static const char too_deep[] = "nested deeper than 1000 levels";

bool walk_skip_container(JsonWalk *w) {
    char c;
    Nesting n;
    n.depth = 0;
    do {
        c = walk_byte(w);
        if (walk_opens(c)) {
            if (!push(&n, c == '{')) return walk_problem(w, too_deep);
        } else if (walk_closes(c)) {
            if (top_is_object(&n) != (c == '}')) return walk_problem(w, walk_wrong_bracket);
            n.depth--;
        }
        w->at++;
        if (n.depth == 0) return true;
    } while (!walk_ended(w));
    return walk_problem(w, walk_not_closed);
}

static bool check_scalar(JsonWalk *w) {
    char c = walk_byte(w);
    if (walk_closes(c) || c == ',' || c == ':') return walk_problem(w, "a value is missing");
    if (w->at[1] >= w->limit) return walk_problem(w, walk_not_closed);
    const char *what = json_scalar_problem(walk_scalar(w));
    w->at++;
    return what ? walk_problem(w, what) : true;
}

static bool checked_key(JsonWalk *w) {
    Str key;
    if (!walk_key(w, &key)) return false;
    if (key.size == 0 || !memchr(key.data, '\\', key.size)) return true;
    const char *what = json_scalar_problem((Str){key.data - 1, key.size + 2});
    return what ? walk_problem(w, what) : true;
}

/* Opens containers until a scalar or an empty container has been stepped over. */
static bool check_down(JsonWalk *w, Nesting *n) {
    for (;;) {
        if (walk_ended(w)) return walk_problem(w, walk_not_closed);
        char c = walk_byte(w);
        if (!walk_opens(c)) return check_scalar(w);
        if (!push(n, c == '{')) return walk_problem(w, too_deep);
        w->at++;
        if (walk_ended(w)) return walk_problem(w, walk_not_closed);
        if (walk_closes(walk_byte(w))) return true; /* check_up takes it */
        if (c == '{' && !checked_key(w)) return false;
    }
}

bool walk_check(JsonWalk *w, Str *value) {
    const char *begin = w->text + *w->at;
    if (!walk_opens(*begin)) {
        const uint32_t *scalar = w->at;
        if (!check_scalar(w)) return false;
        *value = walk_scalar(&(JsonWalk){.text = w->text, .at = scalar});
        return true;
    }
    Nesting n;
    n.depth = 0;
    for (;;) {
        if (!check_down(w, &n)) return false;
        for (;;) { /* up, as far as containers end here */
            if (walk_ended(w)) return walk_problem(w, walk_not_closed);
            char c = walk_byte(w);
            if (c == ',') break;
            if (!walk_closes(c)) return walk_problem(w, "a comma is missing");
            if (top_is_object(&n) != (c == '}')) return walk_problem(w, walk_wrong_bracket);
            w->at++;
            if (--n.depth == 0) {
                *value = (Str){begin, (size_t)(w->text + w->at[-1] + 1 - begin)};
                return true;
            }
        }
        w->at++;
        if (top_is_object(&n) && !checked_key(w)) return false;
    }
}
