/* The set behind DISTINCT: a table of places over entries that lie one behind the other, so that
 * walking, writing and freeing it are loops over one piece of memory. Keys are kept whole; the hash
 * only finds them. */
#include "base/hash.h"
#include "expr/aggregate_internal.h"

enum { PLACE_BITS = 40, HEAD = 2 * sizeof(uint32_t) };
#define PLACE_MASK ((UINT64_C(1) << PLACE_BITS) - 1)

static Str entry_at(const KeySet *set, size_t at, Str *rest) {
    uint32_t sizes[2];
    memcpy(sizes, set->entries + at, HEAD);
    *rest = (Str){set->entries + at + HEAD + sizes[0], sizes[1]};
    return (Str){set->entries + at + HEAD, sizes[0]};
}

static void grow_slots(KeySet *set) {
    set->slot_count = set->slot_count ? set->slot_count * 2 : 16;
    free(set->slots);
    set->slots = xcalloc(set->slot_count, sizeof *set->slots);
    size_t at = 0, place = 0;
    Str key, rest;
    while (place = at, key_set_next(set, &at, &key, &rest)) {
        uint64_t hash = hash_bytes(key);
        uint32_t i = (uint32_t)hash & (set->slot_count - 1);
        while (set->slots[i]) i = (i + 1) & (set->slot_count - 1);
        set->slots[i] = (hash & ~PLACE_MASK) | (place + 1);
    }
}

static void append(KeySet *set, Str key, Str rest) {
    size_t needed = set->size + HEAD + key.size + rest.size;
    if (needed > set->capacity) {
        set->capacity = needed > set->capacity * 2 ? needed : set->capacity * 2;
        set->entries = xrealloc(set->entries, set->capacity);
    }
    uint32_t sizes[2] = {(uint32_t)key.size, (uint32_t)rest.size};
    memcpy(set->entries + set->size, sizes, HEAD);
    if (key.size) memcpy(set->entries + set->size + HEAD, key.data, key.size);
    if (rest.size) memcpy(set->entries + set->size + HEAD + key.size, rest.data, rest.size);
    set->size = needed;
}

bool key_set_add(KeySet *set, Str key, Str rest) {
    if (set->count >= set->slot_count / 4 * 3) grow_slots(set);
    uint64_t hash = hash_bytes(key);
    uint32_t i = (uint32_t)hash & (set->slot_count - 1);
    for (; set->slots[i]; i = (i + 1) & (set->slot_count - 1)) {
        Str ignored;
        if ((set->slots[i] & ~PLACE_MASK) != (hash & ~PLACE_MASK)) continue;
        if (str_equal(entry_at(set, (size_t)(set->slots[i] & PLACE_MASK) - 1, &ignored), key))
            return false;
    }
    set->slots[i] = (hash & ~PLACE_MASK) | (set->size + 1);
    append(set, key, rest);
    set->count++;
    return true;
}

bool key_set_next(const KeySet *set, size_t *at, Str *key, Str *rest) {
    if (*at >= set->size) return false;
    *key = entry_at(set, *at, rest);
    *at += HEAD + key->size + rest->size;
    return true;
}

void key_set_free(KeySet *set) {
    free(set->slots);
    free(set->entries);
    *set = (KeySet){0};
}

size_t key_set_bytes(const KeySet *set) {
    return set->slot_count * sizeof *set->slots + set->capacity;
}
