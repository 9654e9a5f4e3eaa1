/* State as bytes: what an epoch changed, a shard whole, a segment, and back.
 *
 *   delta:    version 1 | records
 *             'd' time 8                      the bucket was dropped; such records come first
 *             'b' time 8                      what follows is in this bucket
 *             'g' key sized                   gone
 *             'p' key sized, value sized      new or changed: the whole value
 *   snapshot: version 1 | 'b' and 'p' records of one shard
 *   segment:  version 1 | 'p' records; a key that comes again counts as it came last
 *
 * Integers are little-endian, sizes varints. The bytes come from a file that anyone may have
 * touched: nothing is read past its end, and what does not fit is an error, never a guess. */
#include "base/hash.h"
#include "state/entries.h"
#include <stdlib.h>

enum { VERSION = 1, TAKEN_OUT_AN_EPOCH = 100000, AHEAD = 16 };

/* Changed entries lie anywhere in memory: each is asked for some entries before its turn. */
static void fetch(const Entry *e) {
    __builtin_prefetch(e);
    __builtin_prefetch((const char *)e + 64);
}

static void write_entry(State *s, Entry *e, Buffer *out, Buffer *scratch) {
    scratch->size = 0;
    s->spec.encode(s->spec.context, e->value, scratch);
    buffer_add_u8(out, 'p');
    buffer_add_sized(out, entry_key(s, e));
    buffer_add_sized(out, buffer_str(scratch));
}

static void begin_bucket(Buffer *out, int64_t time) {
    buffer_add_u8(out, 'b');
    buffer_add_i64(out, time);
}

static void write_gone(Bucket *b, Buffer *out) {
    Reader keys = reader_of(buffer_str(&b->gone));
    while (keys.at < keys.end) {
        Str key = read_sized(&keys);
        buffer_add_u8(out, 'g');
        buffer_add_sized(out, key);
    }
    buffer_free(&b->gone);
}

static void write_dirty(State *s, Bucket *b, Buffer *out, Buffer *scratch) {
    for (size_t i = 0; i < b->dirty_count; i++) {
        if (i + AHEAD < b->dirty_count && b->dirty[i + AHEAD]) fetch(b->dirty[i + AHEAD]);
        Entry *e = b->dirty[i];
        if (!e) continue;
        write_entry(s, e, out, scratch);
        e->dirty = 0;
        e->flags |= ENTRY_WRITTEN;
        count_owned(s, e);
    }
    b->written = true;
    s->touched -= b->dirty_live;
    b->dirty_count = b->dirty_live = 0;
}

static void write_segments(State *s, StateWriter *writer, Buffer *scratch) {
    for (size_t i = 0; i < s->dropped_count; i++) writer->drop_segment(writer, s->dropped[i]);
    Buffer blob = {0};
    for (size_t i = 0; i < s->count; i++) {
        Bucket *b = s->buckets[s->first + i];
        if (b->dirty_live == 0) continue;
        blob.size = 0;
        buffer_add_u8(&blob, VERSION);
        write_dirty(s, b, &blob, scratch);
        writer->segment(writer, b->time, buffer_str(&blob));
    }
    buffer_free(&blob);
    take_out_dying(s, TAKEN_OUT_AN_EPOCH);
}

static void write_delta(State *s, StateWriter *writer, Buffer *scratch) {
    Buffer blob = {0};
    buffer_add_u8(&blob, VERSION);
    for (size_t i = 0; i < s->dropped_count; i++) {
        buffer_add_u8(&blob, 'd');
        buffer_add_i64(&blob, s->dropped[i]);
    }
    for (size_t i = 0; i < s->count; i++) {
        Bucket *b = s->buckets[s->first + i];
        if (b->dirty_live == 0 && b->gone.size == 0) continue;
        begin_bucket(&blob, b->time);
        write_gone(b, &blob);
        write_dirty(s, b, &blob, scratch);
    }
    if (blob.size > 1) writer->delta(writer, buffer_str(&blob));
    buffer_free(&blob);
}

static void write_snapshot(State *s, int shard, StateWriter *writer, Buffer *scratch) {
    Buffer blob = {0};
    buffer_add_u8(&blob, VERSION);
    for (size_t i = 0; i < s->count; i++) {
        Bucket *b = s->buckets[s->first + i];
        bool begun = false;
        size_t cursor = 0, count;
        do {
            Entry *group[AHEAD];
            for (count = 0; count < AHEAD; count++) {
                group[count] = table_next_of_shard(&b->table, shard, &cursor);
                if (!group[count]) break;
                fetch(group[count]);
            }
            if (count && !begun) begin_bucket(&blob, b->time);
            begun |= count > 0;
            for (size_t k = 0; k < count; k++) write_entry(s, group[k], &blob, scratch);
        } while (count == AHEAD);
    }
    writer->snapshot(writer, shard, buffer_str(&blob));
    buffer_free(&blob);
}

void state_write(State *s, int snapshot_shard, StateWriter *writer) {
    Buffer scratch = {0};
    if (s->spec.ages) {
        write_segments(s, writer, &scratch);
    } else {
        write_delta(s, writer, &scratch);
        if (snapshot_shard >= 0) write_snapshot(s, snapshot_shard, writer, &scratch);
    }
    s->dropped_count = 0;
    buffer_free(&scratch);
}

/* ---- reading ---- */

static Status damaged(Error *error, const char *what) {
    return fail(error,
                "a record of the state is damaged: %s; restore the home from a copy, or start over "
                "with --fresh",
                what);
}

static CHECKED Status begin_reading(Reader *r, Error *error) {
    uint8_t version = read_u8(r);
    if (r->bad) return damaged(error, "it is empty");
    if (version != VERSION)
        return fail(error,
                    "a record of the state has version %d, this program reads %d; use the program "
                    "that wrote it",
                    version, VERSION);
    return OK;
}

static CHECKED Status read_entry(State *s, Bucket *b, Str key, uint64_t hash, Str bytes,
                                 Error *error) {
    bool made;
    void *value = put_entry(s, b, hash, key, &made);
    if (!made) {
        if (s->spec.release) s->spec.release(s->spec.context, value);
        memset(value, 0, s->spec.value_size);
    }
    Reader r = reader_of(bytes);
    if (s->spec.decode(s->spec.context, value, &r) != OK || r.bad)
        return damaged(error, "a value does not fit its operator");
    if (r.at != r.end) return damaged(error, "a value is longer than its operator expects");
    Entry *e = entry_of(value);
    e->flags |= ENTRY_WRITTEN;
    b->written = true;
    count_owned(s, e);
    return OK;
}

static void read_drop(State *s, int64_t time, int64_t epoch, const int64_t *snapshot_epochs) {
    Bucket *b = state_bucket_find(s, time);
    if (!b) return;
    bool whole = true;
    for (int i = 0; snapshot_epochs && i < STATE_SHARDS; i++) whole &= snapshot_epochs[i] < epoch;
    if (!whole) {
        size_t cursor = 0;
        for (Entry *e; (e = bucket_next_entry(b, &cursor));)
            if (snapshot_epochs[e->hash % STATE_SHARDS] < epoch) forget_entry(s, e, false);
    }
    if (whole || b->entries == 0) drop_bucket(s, &b, false);
}

/* Which records count: of one shard (a snapshot), or of all that are newer than their shard's
 * snapshot. */
typedef struct Counting {
    int shard; /* -1: any */
    int64_t epoch;
    const int64_t *snapshot_epochs;
} Counting;

static CHECKED Status read_records(State *s, Reader *r, Counting counting, Error *error) {
    Bucket *b = NULL;
    int64_t time = 0;
    bool begun = false;
    while (r->at < r->end) {
        uint8_t kind = read_u8(r);
        if (kind == 'b' || kind == 'd') {
            time = read_i64(r);
            if (r->bad || (kind == 'd' && counting.shard >= 0))
                return damaged(error, "it breaks off");
            if (kind == 'd') {
                read_drop(s, time, counting.epoch, counting.snapshot_epochs);
                begun = false;
            } else {
                begun = true;
            }
            b = NULL;
            continue;
        }
        if ((kind != 'p' && kind != 'g') || !begun)
            return damaged(error, "it holds an unknown record");
        Str key = read_sized(r), value = {0};
        if (kind == 'p') value = read_sized(r);
        if (r->bad) return damaged(error, "it breaks off");
        uint64_t hash = hash_bytes(key);
        int shard = (int)(hash % STATE_SHARDS);
        if (counting.shard >= 0 && shard != counting.shard)
            return damaged(error, "a key is in the wrong shard");
        if (counting.snapshot_epochs && counting.snapshot_epochs[shard] >= counting.epoch) continue;
        if (kind == 'g') {
            Bucket *from = state_bucket_find(s, time);
            void *gone = from ? state_find(from, hash, key) : NULL;
            if (gone) forget_entry(s, entry_of(gone), false);
            continue;
        }
        if (!b) b = state_bucket(s, time);
        if (read_entry(s, b, key, hash, value, error) != OK) return FAIL;
    }
    return OK;
}

Status state_read_snapshot(State *s, int shard, Str blob, Error *error) {
    Reader r = reader_of(blob);
    if (begin_reading(&r, error) != OK) return FAIL;
    if (s->spec.ages || shard < 0 || shard >= STATE_SHARDS)
        return damaged(error, "it is no snapshot of this operator");
    return read_records(s, &r, (Counting){.shard = shard}, error);
}

Status state_read_delta(State *s, int64_t epoch, const int64_t *snapshot_epochs, Str blob,
                        Error *error) {
    Reader r = reader_of(blob);
    if (begin_reading(&r, error) != OK) return FAIL;
    if (s->spec.ages) return damaged(error, "it is no delta of this operator");
    return read_records(s, &r, (Counting){-1, epoch, snapshot_epochs}, error);
}

Status state_read_segment(State *s, int64_t bucket, Str blob, Error *error) {
    Reader r = reader_of(blob);
    if (begin_reading(&r, error) != OK) return FAIL;
    if (!s->spec.ages) return damaged(error, "it is no segment of this operator");
    Bucket *b = state_bucket(s, bucket);
    while (r.at < r.end) {
        uint8_t kind = read_u8(&r);
        Str key = read_sized(&r), value = read_sized(&r);
        if (r.bad || kind != 'p') return damaged(error, "it breaks off");
        if (read_entry(s, b, key, hash_bytes(key), value, error) != OK) return FAIL;
    }
    return OK;
}

Status state_check_blob(StateBlob form, int shard, Str blob, Error *error) {
    Reader r = reader_of(blob);
    if (begin_reading(&r, error) != OK) return FAIL;
    bool begun = form == STATE_SEGMENT;
    while (r.at < r.end) {
        uint8_t kind = read_u8(&r);
        if (form != STATE_SEGMENT && (kind == 'b' || (kind == 'd' && form == STATE_DELTA))) {
            (void)read_i64(&r);
            begun = kind == 'b';
        } else if (begun && (kind == 'p' || (kind == 'g' && form == STATE_DELTA))) {
            Str key = read_sized(&r);
            if (kind == 'p') (void)read_sized(&r);
            if (!r.bad && form == STATE_SNAPSHOT && (int)(hash_bytes(key) % STATE_SHARDS) != shard)
                return damaged(error, "a key is in the wrong shard");
        } else {
            return damaged(error, "it holds an unknown record");
        }
        if (r.bad) return damaged(error, "it breaks off");
    }
    return OK;
}

void state_read_done(State *s) {
    for (size_t i = 0; i < s->count; i++) {
        Bucket *b = s->buckets[s->first + i];
        for (size_t k = 0; k < b->dirty_count; k++)
            if (b->dirty[k]) b->dirty[k]->dirty = 0;
        s->touched -= b->dirty_live;
        b->dirty_count = b->dirty_live = 0;
        buffer_free(&b->gone);
        b->written = true;
    }
    s->dropped_count = 0;
}
