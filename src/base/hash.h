/* Hashing (xxHash's XXH3, 64 bits) and a small map from names to pointers for setup code; the hot
 * path's tables are in state/. */
#pragma once
#include "base/memory.h"

uint64_t hash_bytes(Str); /* XXH3_64bits */

typedef struct Map Map; /* string -> pointer, keys are copied; for catalogs, not for rows */

Map *map_new(void);
void map_free(Map **);
void *map_get(const Map *, Str key); /* NULL: not there */
void map_set(Map *, Str key, void *value);
