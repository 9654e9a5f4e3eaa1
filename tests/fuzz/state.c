/* State records as a damaged home could hold them: read or refused, never believed beyond their
 * end. */
#include "state/state.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct Value {
    char *owned;
    size_t size;
} Value;

static void encode(void *context, const void *value, Buffer *out) {
    (void)context;
    const Value *v = value;
    buffer_add_sized(out, (Str){v->owned, v->size});
}

static Status decode(void *context, void *value, Reader *reader) {
    (void)context;
    Value *v = value;
    Str bytes = read_sized(reader);
    if (reader->bad) return FAIL;
    free(v->owned);
    v->size = bytes.size;
    v->owned = malloc(bytes.size ? bytes.size : 1);
    if (bytes.size) memcpy(v->owned, bytes.data, bytes.size);
    return OK;
}

static void release(void *context, void *value) {
    (void)context;
    free(((Value *)value)->owned);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    int64_t snapshots[STATE_SHARDS] = {0};
    Error error;
    Str blob = {(const char *)data + 1, size - 1};
    StateSpec spec = {.value_size = sizeof(Value),
                      .encode = encode,
                      .decode = decode,
                      .release = release,
                      .ages = data[0] & 1};
    State *state = state_new(&spec);
    Status status;
    if (spec.ages) {
        status = state_read_segment(state, (int64_t)(data[0] >> 1), blob, &error);
    } else if (data[0] & 2) {
        status = state_read_snapshot(state, data[0] >> 2, blob, &error);
    } else {
        status = state_read_delta(state, 1, snapshots, blob, &error);
    }
    if (status == OK) state_read_done(state);
    state_free(&state);
    return 0;
}
