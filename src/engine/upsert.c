/* Sinks with a PRIMARY KEY are written by upsert: within an epoch one write a key leaves. Of source
 * rows it is the one of the later event time, then of the higher partition and offset, so that the
 * order in which partitions were asked does not show; of a group its newest state. Rows are encoded
 * as they come; what a later one replaces is left out when the epoch closes. */
#include "engine/internal.h"
#include "base/hash.h"

typedef struct Write {
    uint64_t hash;
    size_t key_at, key_size; /* in keys */
    size_t at, size;         /* of its row in the pending bytes */
    int64_t time, position;
    int source, partition; /* source -1: of a group */
} Write;

struct Upsert {
    Buffer keys, key;
    Write *writes; /* in the order of the first row of each key */
    int count, capacity;
    int *slots; /* number of a write + 1, 0: free; a power of two, at most half full */
    int slot_count;
};

Upsert *upsert_new(void) {
    Upsert *u = xcalloc(1, sizeof *u);
    u->slot_count = 64;
    u->slots = xcalloc((size_t)u->slot_count, sizeof *u->slots);
    return u;
}

void upsert_free(Upsert **at) {
    if (!*at) return;
    buffer_free(&(*at)->keys);
    buffer_free(&(*at)->key);
    free((*at)->writes);
    free((*at)->slots);
    free(*at);
    *at = NULL;
}

static int *find_slot(Upsert *u, uint64_t hash, Str key) {
    int mask = u->slot_count - 1;
    for (int i = (int)(hash & (uint64_t)mask);; i = (i + 1) & mask) {
        if (!u->slots[i]) return &u->slots[i];
        const Write *w = &u->writes[u->slots[i] - 1];
        if (w->hash == hash && str_equal((Str){u->keys.data + w->key_at, w->key_size}, key))
            return &u->slots[i];
    }
}

static void grow(Upsert *u) {
    if (u->count == u->capacity) {
        u->capacity = u->capacity ? u->capacity * 2 : 64;
        u->writes = xrealloc(u->writes, sizeof *u->writes * (size_t)u->capacity);
    }
    if (u->count < u->slot_count / 2) return;
    free(u->slots);
    u->slot_count *= 2;
    u->slots = xcalloc((size_t)u->slot_count, sizeof *u->slots);
    for (int i = 0; i < u->count; i++) {
        int mask = u->slot_count - 1, at = (int)(u->writes[i].hash & (uint64_t)mask);
        while (u->slots[at]) at = (at + 1) & mask;
        u->slots[at] = i + 1;
    }
}

/* Whether `b` replaces `a`; it came later. */
static bool replaces(const Write *b, const Write *a) {
    if (b->source < 0 || a->source < 0) return true;
    if (b->time != a->time) return b->time > a->time;
    if (b->partition != a->partition) return b->partition > a->partition;
    if (b->position != a->position) return b->position > a->position;
    return b->source >= a->source;
}

void upsert_add(SinkRun *run, const Batch *batch) {
    Upsert *u = run->upsert;
    for (int row = 0; row < batch->rows; row++) {
        u->key.size = 0;
        for (int k = 0; k < run->plan->key_count; k++)
            key_encode(&batch->columns[run->plan->keys[k]], row, &u->key);
        Write write = {.hash = hash_bytes(buffer_str(&u->key)),
                       .time = batch->event_times ? batch->event_times[row] : NO_TIME,
                       .position = batch->positions ? batch->positions[row] : 0,
                       .source = batch->source,
                       .partition = batch->partition};
        grow(u);
        int *slot = find_slot(u, write.hash, buffer_str(&u->key));
        if (*slot && !replaces(&write, &u->writes[*slot - 1])) continue;
        write.at = run->pending.size;
        run->sink->type->encode_row(run->sink, batch, row, &run->pending);
        write.size = run->pending.size - write.at;
        if (*slot) {
            write.key_at = u->writes[*slot - 1].key_at;
        } else {
            write.key_at = u->keys.size;
            buffer_add_str(&u->keys, buffer_str(&u->key));
            *slot = ++u->count;
        }
        write.key_size = u->key.size;
        u->writes[*slot - 1] = write;
    }
}

void upsert_close(SinkRun *run) {
    Upsert *u = run->upsert;
    Buffer rows = {0};
    for (int i = 0; i < u->count; i++)
        buffer_add(&rows, run->pending.data + u->writes[i].at, u->writes[i].size);
    buffer_free(&run->pending);
    run->pending = rows;
    u->keys.size = 0;
    u->count = 0;
    memset(u->slots, 0, sizeof *u->slots * (size_t)u->slot_count);
}
