/* XXH3 for everything that is hashed, and a small open-addressing map for catalogs. Its entries are
 * never removed, so probing needs no tombstones. */
#include "base/hash.h"
#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

typedef struct Entry {
    uint64_t hash;
    Str key; /* owned; data is NULL in an empty slot */
    void *value;
} Entry;

struct Map {
    Entry *entries;
    size_t count, capacity; /* capacity is a power of two */
};

uint64_t hash_bytes(Str s) { return XXH3_64bits(s.data, s.size); }

Map *map_new(void) {
    Map *map = xcalloc(1, sizeof *map);
    map->capacity = 16;
    map->entries = xcalloc(map->capacity, sizeof *map->entries);
    return map;
}

void map_free(Map **map) {
    if (!*map) return;
    for (size_t i = 0; i < (*map)->capacity; i++)
        free((char *)(uintptr_t)(*map)->entries[i].key.data);
    free((*map)->entries);
    free(*map);
    *map = NULL;
}

static Entry *slot(const Map *map, uint64_t hash, Str key) {
    for (size_t i = hash & (map->capacity - 1);; i = (i + 1) & (map->capacity - 1)) {
        Entry *entry = &map->entries[i];
        if (!entry->key.data || (entry->hash == hash && str_equal(entry->key, key))) return entry;
    }
}

void *map_get(const Map *map, Str key) {
    Entry *entry = slot(map, hash_bytes(key), key);
    return entry->key.data ? entry->value : NULL;
}

static void grow(Map *map) {
    Map bigger = {.capacity = map->capacity * 2, .count = map->count};
    bigger.entries = xcalloc(bigger.capacity, sizeof *bigger.entries);
    for (size_t i = 0; i < map->capacity; i++) {
        Entry *entry = &map->entries[i];
        if (entry->key.data) *slot(&bigger, entry->hash, entry->key) = *entry;
    }
    free(map->entries);
    *map = bigger;
}

void map_set(Map *map, Str key, void *value) {
    if (map->count >= map->capacity / 4 * 3) grow(map);
    uint64_t hash = hash_bytes(key);
    Entry *entry = slot(map, hash, key);
    if (!entry->key.data) {
        char *copy = xmalloc(key.size + 1);
        if (key.size) memcpy(copy, key.data, key.size);
        copy[key.size] = '\0';
        *entry = (Entry){.hash = hash, .key = {copy, key.size}};
        map->count++;
    }
    entry->value = value;
}
