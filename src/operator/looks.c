/* One allocation: u32 size, then the values. */
#include "operator/looks.h"
#include <stdlib.h>

bool looks_vary(Type type) {
    return (type.kind == TYPE_NUMERIC && type.modifier < 0) || type.kind == TYPE_JSONB ||
           type.kind == TYPE_INTERVAL;
}

static char *looks_of(Str values) {
    uint32_t size = (uint32_t)values.size;
    char *looks = xmalloc(sizeof size + size);
    memcpy(looks, &size, sizeof size);
    if (size) memcpy(looks + sizeof size, values.data, size);
    return looks;
}

char *looks_new(const Batch *batch, int row, const int *columns, int count, Buffer *scratch) {
    scratch->size = 0;
    for (int i = 0; i < count; i++)
        if (columns[i] >= 0) value_encode(column_value(&batch->columns[columns[i]], row), scratch);
    return looks_of(buffer_str(scratch));
}

Str looks_values(const char *looks) {
    uint32_t size;
    if (!looks) return (Str){NULL, 0};
    memcpy(&size, looks, sizeof size);
    return (Str){looks + sizeof size, size};
}

void looks_encode(const char *looks, Buffer *out) { buffer_add_sized(out, looks_values(looks)); }

char *looks_decode(Reader *r) {
    Str values = read_sized(r);
    return values.size ? looks_of(values) : NULL;
}
