/* The encoded keys of a batch's rows and their hashes, in memory that is used again for each batch.
 */
#pragma once
#include "data/batch.h"

typedef struct RowKeys {
    Buffer bytes;
    size_t *starts; /* [rows + 1] */
    uint64_t *hashes;
    int capacity;
} RowKeys;

void row_keys_encode(RowKeys *, const Batch *, const int *columns, int count);
void row_keys_free(RowKeys *);
static inline Str row_key(const RowKeys *k, int row) {
    return (Str){k->bytes.data + k->starts[row], k->starts[row + 1] - k->starts[row]};
}
