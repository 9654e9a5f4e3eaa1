/* Open addressing with linear probing over slots of one word: a tag and an address, so that a
 * search that fails touches the table alone. What is taken out leaves a mark, unless the next slot
 * is free; marks go when the table is made anew. The table does not hold hashes: whoever makes it
 * larger adds the entries again, in the order in which they lie in memory. */
#include "state/entries.h"
#include <stdlib.h>

#define TAKEN_BACK UINT64_C(1)
#define ADDRESS_BITS 48

static uint64_t rotated(uint64_t hash) { return hash >> 6 | hash << 58; }

static size_t home_of(const Table *t, uint64_t hash) {
    return (size_t)(rotated(hash) >> (64 - t->bits));
}

static uint64_t slot_of(const Entry *e) { return e->hash << ADDRESS_BITS | (uint64_t)(uintptr_t)e; }

static Entry *slot_entry(uint64_t slot) {
    return (Entry *)(uintptr_t)(slot & ((UINT64_C(1) << ADDRESS_BITS) - 1));
}

static size_t capacity_of(const Table *t) { return t->slots ? (size_t)1 << t->bits : 0; }

Entry *table_find(const Table *t, const State *state, uint64_t hash, Str key) {
    if (!t->slots) return NULL;
    size_t mask = capacity_of(t) - 1;
    uint64_t tag = hash & 0xFFFF;
    for (size_t i = home_of(t, hash);; i = (i + 1) & mask) {
        uint64_t slot = t->slots[i];
        if (slot == 0) return NULL;
        if (slot >> ADDRESS_BITS != tag || slot == TAKEN_BACK) continue;
        Entry *e = slot_entry(slot);
        if (e->hash == hash && str_equal(entry_key(state, e), key)) return e;
    }
}

void table_prefetch(const Table *t, uint64_t hash) {
    if (t->slots) __builtin_prefetch(&t->slots[home_of(t, hash)]);
}

bool table_full(const Table *t) { return (t->used + 1) * 4 > capacity_of(t) * 3; }

void table_resize(Table *t) {
    uint32_t bits = 3;
    while ((t->live + 1) * 2 > (size_t)1 << bits) bits++;
    free(t->slots);
    t->slots = xcalloc((size_t)1 << bits, sizeof *t->slots);
    t->bits = bits;
    t->live = t->used = 0;
}

void table_add(Table *t, Entry *e) {
    size_t mask = capacity_of(t) - 1, i = home_of(t, e->hash);
    while (t->slots[i] > TAKEN_BACK) i = (i + 1) & mask;
    if (t->slots[i] == 0) t->used++;
    t->slots[i] = slot_of(e);
    t->live++;
}

static size_t place_of(const Table *t, const Entry *e) {
    size_t mask = capacity_of(t) - 1, i = home_of(t, e->hash);
    uint64_t slot = slot_of(e);
    while (t->slots[i] != slot) i = (i + 1) & mask;
    return i;
}

void table_replace(Table *t, Entry *old, Entry *by) { t->slots[place_of(t, old)] = slot_of(by); }

void table_remove(Table *t, Entry *e) {
    size_t mask = capacity_of(t) - 1, i = place_of(t, e);
    t->slots[i] = TAKEN_BACK;
    t->live--;
    if (t->slots[(i + 1) & mask] != 0) return;
    for (; t->slots[i] == TAKEN_BACK;
         i = (i - 1) & mask) { /* a free slot ends every search: no mark is needed */
        t->slots[i] = 0;
        t->used--;
    }
}

size_t table_bytes(const Table *t) { return capacity_of(t) * sizeof *t->slots; }

void table_free(Table *t) {
    free(t->slots);
    *t = (Table){0};
}

Entry *table_next_of_shard(const Table *t, int shard, size_t *cursor) {
    size_t capacity = capacity_of(t), mask = capacity - 1;
    bool whole = capacity < STATE_SHARDS * 2;
    size_t region = whole ? capacity : capacity / STATE_SHARDS;
    size_t start = whole ? 0 : region * (size_t)shard;
    while (*cursor < capacity) {
        uint64_t slot = t->slots[(start + *cursor) & mask];
        if (slot == 0 && *cursor >= region)
            return NULL; /* behind its region an entry is found by probing only */
        ++*cursor;
        if (slot > TAKEN_BACK && (int)(slot >> ADDRESS_BITS & (STATE_SHARDS - 1)) == shard)
            return slot_entry(slot);
    }
    return NULL;
}
