/* What operators remember. Entries lie one behind the other in a bucket's own blocks, value and key
 * together, so that a window that is over is given back in a few calls and a walk over a bucket is
 * a walk through memory. Blocks begin small and double: thousands of open windows with a group each
 * stay cheap. The place of a forgotten entry is used again by one of the same size. State that ages
 * has one table for all of its buckets, since its reader asks for a key without knowing the bucket;
 * a dropped bucket's entries leave that table a few at a time, so that no row waits for millions.
 */
#include "state/entries.h"
#include <stdlib.h>

enum { FIRST_BLOCK = 512, LAST_BLOCK = 256 * 1024, PUTS_A_TURN = 64, TAKEN_OUT_A_TURN = 256 };

static void charge(Bucket *b, size_t more, size_t less) {
    b->bytes += more - less;
    b->state->bytes += more - less;
}

/* A list of `count` items with room for one more. */
static void *grown(void *items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return items;
    *capacity = *capacity ? *capacity * 2 : 8;
    return xrealloc(items, *capacity * size);
}

State *state_new(const StateSpec *spec) {
    State *state = xcalloc(1, sizeof *state);
    state->spec = *spec;
    return state;
}

static void release_values(Bucket *b) {
    if (!b->state->spec.release) return;
    size_t cursor = 0;
    for (void *value; (value = bucket_next(b, &cursor));)
        b->state->spec.release(b->state->spec.context, value);
}

static void bucket_free(Bucket **bucket) {
    Bucket *b = *bucket;
    release_values(b);
    charge(b, 0, b->bytes);
    for (uint32_t i = 0; i < b->block_count; i++) free(b->blocks[i].data);
    free(b->blocks);
    free(b->dirty);
    free(b->free_entries);
    buffer_free(&b->gone);
    table_free(&b->table);
    free(b);
    *bucket = NULL;
}

void state_free(State **state) {
    State *s = *state;
    if (!s) return;
    for (size_t i = 0; i < s->count; i++) bucket_free(&s->buckets[s->first + i]);
    for (size_t i = 0; i < s->dying_count; i++) bucket_free(&s->dying[i]);
    free(s->buckets);
    free(s->dying);
    free(s->dropped);
    table_free(&s->table);
    free(s);
    *state = NULL;
}

/* ---- buckets ---- */

/* The place of the first bucket that is not before `time`. */
static size_t bucket_place(const State *s, int64_t time) {
    size_t low = s->first, high = s->first + s->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (s->buckets[middle]->time < time) low = middle + 1;
        else high = middle;
    }
    return low;
}

Bucket *state_bucket_find(State *s, int64_t time) {
    if (s->last && s->last->time == time) return s->last;
    size_t place = bucket_place(s, time);
    if (place == s->first + s->count || s->buckets[place]->time != time) return NULL;
    return s->last = s->buckets[place];
}

Bucket *state_bucket(State *s, int64_t time) {
    Bucket *b = state_bucket_find(s, time);
    if (b) return b;
    size_t place = bucket_place(s, time);
    if (s->first + s->count == s->capacity &&
        s->first > s->count) { /* move down rather than grow */
        memmove(s->buckets, s->buckets + s->first, s->count * sizeof *s->buckets);
        place -= s->first;
        s->first = 0;
    }
    s->buckets = grown(s->buckets, s->first + s->count, &s->capacity, sizeof *s->buckets);
    memmove(s->buckets + place + 1, s->buckets + place,
            (s->first + s->count - place) * sizeof *s->buckets);
    b = xcalloc(1, sizeof *b);
    b->state = s;
    b->time = time;
    b->next_size = FIRST_BLOCK;
    charge(b, sizeof *b, 0);
    s->buckets[place] = b;
    s->count++;
    return s->last = b;
}

Bucket *state_oldest(State *s) { return s->count ? s->buckets[s->first] : NULL; }

Bucket *state_bucket_at(State *s, size_t index) {
    return index < s->count ? s->buckets[s->first + index] : NULL;
}

int64_t bucket_time(const Bucket *b) { return b->time; }

size_t bucket_entries(const Bucket *b) { return b->entries; }

void drop_bucket(State *s, Bucket **bucket, bool tell) {
    Bucket *b = *bucket;
    *bucket = NULL;
    size_t place = bucket_place(s, b->time);
    if (place == s->first) s->first++;
    else
        memmove(s->buckets + place, s->buckets + place + 1,
                (s->first + s->count - place - 1) * sizeof *s->buckets);
    s->count--;
    if (s->count == 0) s->first = 0;
    if (s->last == b) s->last = NULL;
    if (tell && b->written) {
        s->dropped = grown(s->dropped, s->dropped_count, &s->dropped_capacity, sizeof *s->dropped);
        s->dropped[s->dropped_count++] = b->time;
    }
    s->entries -= b->entries;
    s->touched -= b->dirty_live;
    if (!s->spec.ages || b->entries == 0) {
        bucket_free(&b);
        return;
    }
    b->dying = true;
    s->dying = grown(s->dying, s->dying_count, &s->dying_capacity, sizeof *s->dying);
    s->dying[s->dying_count++] = b;
}

void state_drop(State *s, Bucket **bucket) { drop_bucket(s, bucket, true); }

/* Takes about so many entries of dropped buckets out of the table; a bucket that has none left is
 * given back. The table's slots are fetched ahead: each is a cache line of its own. */
void take_out_dying(State *s, size_t entries) {
    enum { AHEAD = 32 };
    while (s->dying_count && entries) {
        Bucket *b = s->dying[0];
        Entry *group[AHEAD];
        int count = 0;
        while (count < AHEAD && (group[count] = bucket_next_entry(b, &b->cursor))) {
            table_prefetch(&s->table, group[count]->hash);
            count++;
        }
        for (int i = 0; i < count; i++)
            if (!(group[i]->flags & ENTRY_SUPERSEDED)) table_remove(&s->table, group[i]);
        entries -= entries < AHEAD ? entries : AHEAD;
        if (count == AHEAD) continue;
        bucket_free(&s->dying[0]);
        s->dying_count--;
        memmove(s->dying, s->dying + 1, s->dying_count * sizeof *s->dying);
    }
}

/* ---- entries ---- */

static size_t entry_size(const State *s, size_t key_size) {
    return (offsetof(Entry, value) + s->spec.value_size + key_size + 15) & ~(size_t)15;
}

static uint32_t block_new(Bucket *b, size_t size) {
    uint32_t index;
    if (b->free_block) {
        index = b->free_block - 1;
        b->free_block = b->blocks[index].used;
    } else {
        size_t capacity = b->block_capacity, before = capacity * sizeof *b->blocks;
        b->blocks = grown(b->blocks, b->block_count, &capacity, sizeof *b->blocks);
        b->block_capacity = (uint32_t)capacity;
        charge(b, capacity * sizeof *b->blocks, before);
        index = b->block_count++;
    }
    b->blocks[index] = (Block){.data = xmalloc(size), .size = (uint32_t)size};
    charge(b, size, 0);
    return index;
}

static Entry *place_for(Bucket *b, size_t size) {
    if (size < ENTRY_BIG && b->free_entries && b->free_entries[size / 16]) {
        Entry *e = b->free_entries[size / 16];
        b->free_entries[size / 16] = e->next_free;
        if (e->block < b->first) b->first = e->block;
        return e;
    }
    uint32_t index = b->current;
    if (size >= ENTRY_BIG) {
        index = block_new(b, size); /* a block of its own, given back when it is forgotten */
    } else if (index >= b->block_count || !b->blocks[index].data ||
               b->blocks[index].size - b->blocks[index].used < size) {
        while (b->next_size < size) b->next_size *= 2;
        index = b->current = block_new(b, b->next_size);
        if (b->next_size < LAST_BLOCK) b->next_size *= 2;
    }
    Block *block = &b->blocks[index];
    Entry *e = (Entry *)(block->data + block->used);
    block->used += (uint32_t)size;
    e->block = index & 0xFFFFFF;
    if (index < b->first) b->first = index;
    return e;
}

Entry *bucket_next_entry(Bucket *b, size_t *cursor) {
    size_t index = *cursor >> 32, at = *cursor & UINT32_MAX;
    if (index < b->first) index = b->first, at = 0;
    for (; index < b->block_count; index++, at = 0) {
        const Block *block = &b->blocks[index];
        while (block->data && at < block->used) {
            Entry *e = (Entry *)(block->data + at);
            at += entry_size(b->state, e->key_size);
            if (e->flags & ENTRY_DEAD) continue;
            *cursor = index << 32 | at;
            return e;
        }
    }
    *cursor = index << 32;
    return NULL;
}

void *bucket_next(Bucket *b, size_t *cursor) {
    Entry *e = bucket_next_entry(b, cursor);
    return e ? e->value : NULL;
}

static Table *table_of(State *s, Bucket *b) { return s->spec.ages ? &s->table : &b->table; }

static void add_all(Table *t, Bucket *b) {
    size_t cursor = 0;
    for (Entry *e; (e = bucket_next_entry(b, &cursor));)
        if (!(e->flags & ENTRY_SUPERSEDED)) table_add(t, e);
}

/* Entries of dying buckets must leave before: they would not be found again. */
static void make_room(State *s, Bucket *b) {
    Table *t = table_of(s, b);
    if (!table_full(t)) return;
    size_t before = table_bytes(t);
    if (s->spec.ages) {
        for (size_t i = 0; i < s->dying_count; i++) bucket_free(&s->dying[i]);
        s->dying_count = 0;
        t->live = s->entries;
        table_resize(t);
        for (size_t i = 0; i < s->count; i++) add_all(t, s->buckets[s->first + i]);
        s->bytes += table_bytes(t) - before;
    } else {
        table_resize(t);
        add_all(t, b);
        charge(b, table_bytes(t), before);
    }
}

void *state_find(Bucket *b, uint64_t hash, Str key) {
    Entry *e = table_find(table_of(b->state, b), b->state, hash, key);
    return e && e->bucket == b ? e->value : NULL;
}

void *state_find_newest(State *s, uint64_t hash, Str key) {
    Entry *e = table_find(&s->table, s, hash, key);
    return e && !e->bucket->dying ? e->value : NULL;
}

void state_prefetch(const State *s, const Bucket *b, uint64_t hash) {
    table_prefetch(b ? &b->table : &s->table, hash);
}

int64_t value_time(const void *value) { return entry_of(value)->bucket->time; }

void *put_entry(State *s, Bucket *b, uint64_t hash, Str key, bool *made) {
    if (s->dying_count && ++s->puts >= PUTS_A_TURN) {
        s->puts = 0;
        take_out_dying(s, TAKEN_OUT_A_TURN);
    }
    Entry *old = table_find(table_of(s, b), s, hash, key);
    *made = !old || old->bucket != b;
    if (!*made) return old->value;
    if (!old) make_room(s, b);
    Entry *e = place_for(b, entry_size(s, key.size));
    e->bucket = b;
    e->hash = hash;
    e->key_size = (uint32_t)key.size;
    e->dirty = e->owned = 0;
    e->flags = 0;
    memset(e->value, 0, s->spec.value_size);
    if (key.size) memcpy(e->value + s->spec.value_size, key.data, key.size);
    b->blocks[e->block].live++;
    b->entries++;
    s->entries++;
    if (!old) {
        table_add(table_of(s, b), e);
    } else if (old->bucket->dying || old->bucket->time < b->time) {
        old->flags |= ENTRY_SUPERSEDED;
        table_replace(&s->table, old, e);
    } else {
        e->flags |= ENTRY_SUPERSEDED; /* an older bucket is read back after the newer one */
    }
    return e->value;
}

void *state_put(State *s, Bucket *b, uint64_t hash, Str key, bool *made) {
    return put_entry(s, b, hash, key, made);
}

/* Places of entries that were forgotten are closed up before the list grows: without epochs it
 * would do so for ever. */
static void dirty_make_room(Bucket *b) {
    if (b->dirty_live * 2 <= b->dirty_count && b->dirty_count) {
        size_t kept = 0;
        for (size_t i = 0; i < b->dirty_count; i++) {
            if (!b->dirty[i]) continue;
            b->dirty[kept++] = b->dirty[i];
            b->dirty[kept - 1]->dirty = (uint32_t)kept;
        }
        b->dirty_count = kept;
        return;
    }
    size_t before = b->dirty_capacity;
    b->dirty = grown(b->dirty, b->dirty_count, &b->dirty_capacity, sizeof *b->dirty);
    charge(b, b->dirty_capacity * sizeof *b->dirty, before * sizeof *b->dirty);
}

void state_touch(State *s, void *value) {
    Entry *e = entry_of(value);
    if (e->dirty) return;
    Bucket *b = e->bucket;
    if (b->dirty_count == b->dirty_capacity) dirty_make_room(b);
    b->dirty[b->dirty_count++] = e;
    e->dirty = (uint32_t)b->dirty_count;
    b->dirty_live++;
    s->touched++;
}

void count_owned(State *s, Entry *e) {
    if (!s->spec.bytes) return;
    size_t units = s->spec.bytes(s->spec.context, e->value) / 16;
    if (units > UINT32_MAX) units = UINT32_MAX;
    charge(e->bucket, units * 16, (size_t)e->owned * 16);
    e->owned = (uint32_t)units;
}

void forget_entry(State *s, Entry *e, bool tell) {
    Bucket *b = e->bucket;
    size_t size = entry_size(s, e->key_size);
    if (tell && e->flags & ENTRY_WRITTEN) buffer_add_sized(&b->gone, entry_key(s, e));
    if (!(e->flags & ENTRY_SUPERSEDED)) table_remove(table_of(s, b), e);
    if (e->dirty) {
        b->dirty[e->dirty - 1] = NULL;
        b->dirty_live--;
        s->touched--;
    }
    if (s->spec.release) s->spec.release(s->spec.context, e->value);
    charge(b, 0, (size_t)e->owned * 16);
    b->entries--;
    s->entries--;
    Block *block = &b->blocks[e->block];
    uint32_t index = e->block;
    block->live--;
    if (size >= ENTRY_BIG) {
        charge(b, 0, block->size);
        free(block->data);
        *block = (Block){.used = b->free_block};
        b->free_block = index + 1;
    } else {
        if (!b->free_entries) {
            b->free_entries = xcalloc(ENTRY_CLASSES, sizeof *b->free_entries);
            charge(b, ENTRY_CLASSES * sizeof *b->free_entries, 0);
        }
        e->flags = ENTRY_DEAD;
        e->dirty = 0;
        e->next_free = b->free_entries[size / 16];
        b->free_entries[size / 16] = e;
    }
    while (b->first < b->block_count && b->blocks[b->first].live == 0) b->first++;
}

void state_forget(State *s, void *value) { forget_entry(s, entry_of(value), true); }

Str value_key(const void *value) {
    const Entry *e = entry_of(value);
    return entry_key(e->bucket->state, e);
}

void *state_touched_next(State *s, size_t *cursor, Bucket **bucket) {
    size_t index = *cursor >> 40, at = *cursor & ((UINT64_C(1) << 40) - 1);
    for (; index < s->count; index++, at = 0) {
        Bucket *b = s->buckets[s->first + index];
        while (at < b->dirty_count) {
            Entry *e = b->dirty[at++];
            if (!e) continue;
            *cursor = index << 40 | at;
            *bucket = b;
            return e->value;
        }
    }
    *cursor = index << 40;
    return NULL;
}

size_t state_touched(const State *s) { return s->touched; }

size_t state_bytes(const State *s) {
    return sizeof *s + s->bytes + s->capacity * sizeof *s->buckets;
}

size_t state_entries(const State *s) { return s->entries; }
