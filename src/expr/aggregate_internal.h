/* What the files of aggregates share: the loops of `add`, values that a state owns, the set behind
 * DISTINCT. */
#pragma once
#include "data/numeric.h"
#include "expr/aggregate.h"
#include <stdlib.h>

extern const Aggregate count_aggregates[], sum_aggregates[], variance_aggregates[],
    extreme_aggregates[], edge_aggregates[];

/* An `add`: for each row the statement(s) `step` with `s`, the state, and `x`, the value. Argument
 * columns without states take a loop without a test. */
#define ADD_LOOP(name, State, value_type, field, step)                                             \
    static void name(const Column *arg, const int64_t *times, const int32_t *rows, int count,      \
                     char *const *states, size_t offset) {                                         \
        (void)times;                                                                               \
        const value_type *values = arg->field;                                                     \
        const uint8_t *nulls = arg->states;                                                        \
        if (!nulls) {                                                                              \
            for (int i = 0; i < count; i++) {                                                      \
                State *s = (void *)(states[i] + offset);                                           \
                value_type x = values[rows[i]];                                                    \
                step;                                                                              \
            }                                                                                      \
            return;                                                                                \
        }                                                                                          \
        for (int i = 0; i < count; i++) {                                                          \
            if (nulls[rows[i]] != VALUE_OK) continue;                                              \
            State *s = (void *)(states[i] + offset);                                               \
            value_type x = values[rows[i]];                                                        \
            step;                                                                                  \
        }                                                                                          \
    }

/* A state's size rounded up, so that the next state in the block is aligned as well. */
#define STATE_SIZE(State) ((sizeof(State) + 15) & ~(size_t)15)

static inline Status null_result(Type type, Value *out) {
    *out = (Value){.type = type, .null = true};
    return OK;
}

/* Bytes that a state owns. */
typedef struct Owned {
    char *data;
    uint32_t size, capacity;
} Owned;

static inline Str owned_str(const Owned *o) { return (Str){o->data, o->size}; }

static inline void owned_set(Owned *o, Str s) {
    if (s.size > o->capacity) {
        size_t capacity = (s.size + 15) & ~(size_t)15;
        o->data = xrealloc(o->data, capacity);
        o->capacity = (uint32_t)capacity;
    }
    if (s.size) memcpy(o->data, s.data, s.size);
    o->size = (uint32_t)s.size;
}

static inline void owned_free(Owned *o) {
    free(o->data);
    *o = (Owned){0};
}

void buffer_add_int128(Buffer *, int128);
int128 read_int128(Reader *);

/* A set of keys, each with some bytes behind it that do not count. Zeroed memory is an empty set.
 */
typedef struct KeySet {
    uint64_t *slots; /* 24 bits of the hash over 40 bits of place + 1; 0: free */
    char *entries;   /* one behind the other: sizes, key, rest */
    size_t size, capacity;
    uint32_t count, slot_count;
} KeySet;

bool key_set_add(KeySet *, Str key, Str rest); /* false: it is there already */
/* Entries in the order in which they were added; *at starts at 0. false: no more. */
bool key_set_next(const KeySet *, size_t *at, Str *key, Str *rest);
void key_set_free(KeySet *);
size_t key_set_bytes(const KeySet *);
