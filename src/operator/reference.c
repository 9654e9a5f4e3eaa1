/* A reference table in memory: columns as a batch has them, and a hash table from the encoded
 * primary key to the row. It is built once and then only read, so any number of joins may use it; a
 * refresh builds a new one. A row that comes again takes the place of the first, its old strings
 * stay until the table is freed. */
#include "operator/reference.h"
#include "base/hash.h"
#include "data/value.h"
#include <stdlib.h>

typedef struct Stored {
    Type type;
    size_t size; /* of a value */
    char *values;
    uint8_t *states;
} Stored;

struct ReferenceTable {
    Arena *arena; /* strings and keys */
    Stored *columns;
    int column_count;
    int *keys;
    int key_count;
    int32_t rows, capacity;
    Str *row_keys;
    uint64_t *hashes;
    int32_t *slots; /* row + 1; 0: free */
    uint32_t bits;
    Buffer scratch;
};

ReferenceTable *reference_new(const Schema *schema, const int *keys, int key_count) {
    ReferenceTable *t = xcalloc(1, sizeof *t);
    t->arena = arena_new();
    t->column_count = schema->count;
    t->columns = xcalloc((size_t)schema->count, sizeof *t->columns);
    for (int c = 0; c < schema->count; c++) {
        t->columns[c].type = schema->fields[c].type;
        t->columns[c].size = physical_size(type_physical(schema->fields[c].type.kind));
    }
    t->keys = xcalloc((size_t)key_count, sizeof *t->keys);
    if (key_count) memcpy(t->keys, keys, sizeof *keys * (size_t)key_count);
    t->key_count = key_count;
    t->bits = 6;
    t->slots = xcalloc((size_t)1 << t->bits, sizeof *t->slots);
    return t;
}

void reference_free(ReferenceTable **table) {
    ReferenceTable *t = *table;
    if (!t) return;
    for (int c = 0; c < t->column_count; c++) {
        free(t->columns[c].values);
        free(t->columns[c].states);
    }
    arena_free(&t->arena);
    buffer_free(&t->scratch);
    free(t->columns);
    free(t->keys);
    free(t->row_keys);
    free(t->hashes);
    free(t->slots);
    free(t);
    *table = NULL;
}

/* The slot of that key: its row's, or the free one where it belongs. */
static size_t slot_of(const ReferenceTable *t, uint64_t hash, Str key) {
    size_t mask = ((size_t)1 << t->bits) - 1, i = hash & mask;
    for (; t->slots[i]; i = (i + 1) & mask) {
        int32_t row = t->slots[i] - 1;
        if (t->hashes[row] == hash && str_equal(t->row_keys[row], key)) break;
    }
    return i;
}

static void make_room(ReferenceTable *t) {
    if (t->rows == t->capacity) {
        t->capacity = t->capacity ? t->capacity * 2 : 64;
        size_t capacity = (size_t)t->capacity;
        for (int c = 0; c < t->column_count; c++) {
            t->columns[c].values = xrealloc(t->columns[c].values, t->columns[c].size * capacity);
            t->columns[c].states = xrealloc(t->columns[c].states, capacity);
        }
        t->row_keys = xrealloc(t->row_keys, sizeof *t->row_keys * capacity);
        t->hashes = xrealloc(t->hashes, sizeof *t->hashes * capacity);
    }
    if (((size_t)t->rows + 1) * 2 <= (size_t)1 << t->bits) return;
    free(t->slots);
    t->bits++;
    t->slots = xcalloc((size_t)1 << t->bits, sizeof *t->slots);
    size_t mask = ((size_t)1 << t->bits) - 1;
    for (int32_t row = 0; row < t->rows; row++) {
        size_t i = t->hashes[row] & mask;
        while (t->slots[i]) i = (i + 1) & mask;
        t->slots[i] = row + 1;
    }
}

static void store(ReferenceTable *t, int32_t at, const Batch *batch, int row) {
    for (int c = 0; c < t->column_count; c++) {
        Stored *to = &t->columns[c];
        const Column *from = &batch->columns[c];
        char *value = to->values + to->size * (size_t)at;
        bool ok = column_ok(from, row);
        to->states[at] = ok ? VALUE_OK : VALUE_NULL;
        if (!ok) {
            memset(value, 0, to->size);
        } else if (type_physical(to->type.kind) == PHYSICAL_STR) {
            Str copy = arena_str(t->arena, from->strs[row]);
            memcpy(value, &copy, sizeof copy);
        } else {
            memcpy(value, (const char *)from->values + to->size * (size_t)row, to->size);
        }
    }
}

/* false: a part of it is NULL, which equals nothing. */
static bool encode(const Column *const *keys, int count, int row, Buffer *out) {
    out->size = 0;
    for (int k = 0; k < count; k++) {
        if (!column_ok(keys[k], row)) return false;
        key_encode(keys[k], row, out);
    }
    return true;
}

void reference_add(ReferenceTable *t, const Batch *batch) {
    const Column **keys = arena_new_array(batch->arena, const Column *, t->key_count);
    for (int k = 0; k < t->key_count; k++) keys[k] = &batch->columns[t->keys[k]];
    for (int row = 0; row < batch->rows; row++) {
        if (!encode(keys, t->key_count, row, &t->scratch)) continue;
        Str key = buffer_str(&t->scratch);
        uint64_t hash = hash_bytes(key);
        make_room(t);
        size_t slot = slot_of(t, hash, key);
        if (!t->slots[slot]) {
            t->row_keys[t->rows] = arena_str(t->arena, key);
            t->hashes[t->rows] = hash;
            t->slots[slot] = ++t->rows;
        }
        store(t, t->slots[slot] - 1, batch, row);
    }
}

void reference_find(const ReferenceTable *t, const Column *keys, int key_count, int rows,
                    int32_t *found) {
    enum { KEYS_MOST = 32 };
    const Column *columns[KEYS_MOST];
    Buffer scratch = {0};
    for (int k = 0; k < key_count && k < KEYS_MOST; k++) columns[k] = &keys[k];
    for (int row = 0; row < rows; row++) {
        found[row] = -1;
        if (key_count > KEYS_MOST || !encode(columns, key_count, row, &scratch)) continue;
        Str key = buffer_str(&scratch);
        found[row] = t->slots[slot_of(t, hash_bytes(key), key)] - 1;
    }
    buffer_free(&scratch);
}

Column reference_column(const ReferenceTable *t, int column, const int32_t *found, int rows,
                        Arena *arena) {
    const Stored *stored = &t->columns[column];
    Column whole = {.type = stored->type, .values = stored->values, .states = stored->states};
    return column_gather(&whole, found, rows, arena);
}

int64_t reference_rows(const ReferenceTable *t) { return t->rows; }
