/* What an operator remembers: hash tables from encoded keys to fixed-size values, held in buckets
 * by time so that what is over is dropped as a whole. It keeps track of what changed, so that an
 * epoch writes deltas only, and one shard whole in turn. */
#pragma once
#include "base/memory.h"

enum {
    STATE_SHARDS = 64
}; /* fixed when a home is made: shard = hash of the encoded key % STATE_SHARDS */

typedef struct State State;
typedef struct Bucket Bucket;

typedef struct StateSpec {
    size_t value_size; /* bytes of a value, zeroed when it is made; 16-byte aligned */
    void (*encode)(void *context, const void *value, Buffer *);
    Status (*decode)(void *context, void *value, Reader *); /* FAIL: the record is damaged */
    void (*release)(void *context, void *value);       /* frees what the value owns; may be NULL */
    size_t (*bytes)(void *context, const void *value); /* what it owns outside; may be NULL */
    void *context;
    bool ages; /* entries are written once and only ever forgotten with their bucket (dedup):
                  written as segments. A key lives in one bucket: put into a newer one, it is no
                  longer found in the older */
} StateSpec;

State *state_new(const StateSpec *);
void state_free(State **);

/* Buckets, ordered by time. State without time uses bucket 0. */
Bucket *state_bucket(State *, int64_t time);      /* found or made */
Bucket *state_bucket_find(State *, int64_t time); /* NULL: there is none */
Bucket *state_oldest(State *);                    /* NULL: empty */
int64_t bucket_time(const Bucket *);
size_t bucket_entries(const Bucket *);
Bucket *state_bucket_at(State *, size_t index); /* by time, from the oldest; NULL: no more */
void state_drop(State *, Bucket **); /* forgets all its entries, and tells the next delta so */

/* Entries. A value's address stays the same until its entry or bucket is dropped. `hash` is
 * hash_bytes(key). */
void *state_find(Bucket *, uint64_t hash, Str key); /* NULL: not there */
void *state_find_newest(State *, uint64_t hash,
                        Str key); /* ages: in whichever bucket it was put last */
/* Asks the processor for the place where that key would be, some rows ahead of state_put. bucket
 * NULL: state that ages. */
void state_prefetch(const State *, const Bucket *, uint64_t hash);
void *state_put(State *, Bucket *, uint64_t hash, Str key,
                bool *made); /* the key is copied when made */
void state_touch(
    State *, void *value); /* its value changed in this epoch; cheap when it is touched already */
void state_forget(State *, void *value); /* one entry; tells the next delta so */
Str value_key(const void *value);        /* the encoded key, owned by the entry */
int64_t value_time(const void *value);   /* of its bucket */
/* Visits a bucket's entries in the order in which they were made (the place of one that was
 * forgotten may be used by a later one), from *cursor (0 at first) on; NULL at the end. Forgetting
 * the visited entry is allowed. */
void *bucket_next(Bucket *, size_t *cursor);
/* Visits all values touched since the last state_write that still exist, from *cursor (0 at first).
 */
void *state_touched_next(State *, size_t *cursor, Bucket **bucket);
size_t state_touched(const State *); /* how many at most */
size_t state_bytes(const State *);   /* memory held: keys, values, tables, owned */
size_t state_entries(const State *);

/* ---- epochs ---- */

/* Where an epoch's writes go (engine/epoch.c hands them to the home). Blobs are lent for the call.
 */
typedef struct StateWriter StateWriter;
struct StateWriter {
    void (*delta)(StateWriter *, Str blob); /* changes since the last epoch, all shards */
    void (*snapshot)(StateWriter *, int shard, Str blob);     /* one shard whole */
    void (*segment)(StateWriter *, int64_t bucket, Str blob); /* ages: new entries of that bucket */
    void (*drop_segment)(StateWriter *,
                         int64_t bucket); /* ages: all blobs of that bucket so far are void */
};
/* Writes what changed and forgets that it changed. `snapshot_shard`: also that shard whole (-1:
 * none); ignored for state that ages. Writes nothing at all when nothing changed and no snapshot is
 * asked for. */
void state_write(State *, int snapshot_shard, StateWriter *);
/* Reads back, on an empty state: first every snapshot, then the deltas from the oldest on. A record
 * of a delta counts only for shards whose snapshot is older than the delta's epoch
 * (snapshot_epochs[shard], 0: no snapshot). FAIL: damaged. */
CHECKED Status state_read_snapshot(State *, int shard, Str blob, Error *);
CHECKED Status state_read_delta(State *, int64_t epoch, const int64_t *snapshot_epochs, Str blob,
                                Error *);
CHECKED Status state_read_segment(State *, int64_t bucket, Str blob, Error *);
typedef enum StateBlob { STATE_DELTA, STATE_SNAPSHOT, STATE_SEGMENT } StateBlob;
/* Whether a blob is built as it should be; what its values mean only their operator knows. `shard`:
 * of a snapshot. */
CHECKED Status state_check_blob(StateBlob, int shard, Str blob, Error *);
void state_read_done(State *); /* forgets that anything changed while reading */
