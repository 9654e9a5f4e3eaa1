/* Keys of a whole batch are encoded and hashed before the first is looked up: the loops stay small,
 * and the tables can be asked for some rows ahead. */
#include "operator/row_keys.h"
#include "base/hash.h"
#include "data/value.h"
#include <stdlib.h>

void row_keys_encode(RowKeys *k, const Batch *batch, const int *columns, int count) {
    int rows = batch->rows;
    if (rows + 1 > k->capacity) {
        k->capacity = rows + 1;
        k->starts = xrealloc(k->starts, sizeof *k->starts * (size_t)k->capacity);
        k->hashes = xrealloc(k->hashes, sizeof *k->hashes * (size_t)k->capacity);
    }
    k->bytes.size = 0;
    buffer_reserve(&k->bytes, 1);
    for (int row = 0; row < rows; row++) {
        k->starts[row] = k->bytes.size;
        for (int c = 0; c < count; c++) key_encode(&batch->columns[columns[c]], row, &k->bytes);
    }
    k->starts[rows] = k->bytes.size;
    for (int row = 0; row < rows; row++) k->hashes[row] = hash_bytes(row_key(k, row));
}

void row_keys_free(RowKeys *k) {
    buffer_free(&k->bytes);
    free(k->starts);
    free(k->hashes);
    *k = (RowKeys){0};
}
