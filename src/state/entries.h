/* The inside of state: shared by table.c, state.c and state_epoch.c alone.
 *
 *   entry: bucket 8 | hash 8 | key size 4 | dirty 4 | owned 4 | block 3 | flags 1 | value | key
 *          and up to a multiple of 16 bytes
 *   slot:  tag of the hash in 16 bits, address of the entry in 48; 0 free, 1 taken back
 *
 * A slot's place is the hash with its lowest six bits (the shard) turned to the top, so that the
 * entries of a shard stand side by side in the table and a snapshot of one shard need not look at
 * the others. */
#pragma once
#include "state/state.h"

typedef struct Entry {
    Bucket *bucket;
    union {
        uint64_t hash;
        struct Entry *next_free; /* once it is dead */
    };
    uint32_t key_size;
    uint32_t dirty; /* its place in bucket->dirty, from 1; 0: not touched */
    uint32_t owned; /* what spec->bytes said last, in units of 16 bytes */
    uint32_t block : 24;
    uint32_t flags : 8;
    char value[];
} Entry;

enum {
    ENTRY_DEAD = 1,       /* forgotten; its place may be used again */
    ENTRY_WRITTEN = 2,    /* the home knows it */
    ENTRY_SUPERSEDED = 4, /* ages: a newer bucket has the key, the table does not point here */
};

typedef struct Table {
    uint64_t *slots;
    uint32_t bits;
    size_t live, used; /* used: slots that are not 0 */
} Table;

typedef struct Block {
    char *data; /* NULL: a place in the list that is free, `used` is the next such place */
    uint32_t size, used, live;
} Block;

struct Bucket {
    State *state;
    int64_t time;
    Table table; /* not when the state ages: then state->table knows all buckets' entries */
    Block *blocks;
    uint32_t block_count, block_capacity;
    uint32_t current;    /* block that is being filled */
    uint32_t first;      /* no block before it has live entries */
    uint32_t free_block; /* head of the list of free places in blocks[], from 1 */
    uint32_t next_size;
    size_t entries;
    size_t bytes; /* all of its memory, with what values own */
    Entry **dirty;
    size_t dirty_count, dirty_capacity, dirty_live; /* live: not NULL */
    Entry **free_entries; /* [ENTRY_CLASSES] lists of dead entries by size; made by the first that
                             dies */
    Buffer gone;          /* keys forgotten in this epoch that the home knows, as sized bytes */
    bool written;         /* the home knows of it */
    bool dying;           /* ages: dropped, its entries are being taken out of the table */
    size_t cursor;        /* of that */
};

struct State {
    StateSpec spec;
    Table table;
    Bucket **buckets; /* by time; the live ones are [first, first + count) */
    size_t first, count, capacity;
    Bucket *last; /* that state_bucket found last */
    Bucket **dying;
    size_t dying_count, dying_capacity;
    int puts;         /* since entries of dying buckets were last taken out */
    int64_t *dropped; /* times of buckets dropped in this epoch that the home knows */
    size_t dropped_count, dropped_capacity;
    size_t entries, bytes, touched;
};

enum { ENTRY_BIG = 8192, ENTRY_CLASSES = ENTRY_BIG / 16 + 1 };

static inline Entry *entry_of(const void *value) {
    return (Entry *)(uintptr_t)((const char *)value - offsetof(Entry, value));
}
static inline Str entry_key(const State *state, const Entry *e) {
    return (Str){e->value + state->spec.value_size, e->key_size};
}

/* table.c */
Entry *table_find(const Table *, const State *, uint64_t hash, Str key);
void table_prefetch(const Table *, uint64_t hash);
bool table_full(const Table *); /* one more would be too many */
void table_resize(
    Table *); /* an empty table of the right size for its live entries; they are to be added */
void table_add(Table *, Entry *); /* there is room and the key is not there */
void table_replace(Table *, Entry *old, Entry *by);
void table_remove(Table *, Entry *);
size_t table_bytes(const Table *);
void table_free(Table *);
/* Visits the entries of a shard; *cursor is 0 at first. NULL: no more. */
Entry *table_next_of_shard(const Table *, int shard, size_t *cursor);

/* state.c */
Entry *bucket_next_entry(Bucket *, size_t *cursor);
void *put_entry(State *, Bucket *, uint64_t hash, Str key, bool *made); /* state_put */
void forget_entry(State *, Entry *, bool tell);
void drop_bucket(State *, Bucket **, bool tell);
void count_owned(State *, Entry *); /* asks spec->bytes again */
void take_out_dying(State *, size_t entries);
