/* State against a plain model: random puts, forgets and drops, epochs written and read back at
 * every step; and records that were cut or changed. */
#include "base/hash.h"
#include "base/random.h"
#include "state/state.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

typedef struct Number {
    int64_t value;
    char *owned; /* something to be released */
} Number;

static void number_encode(void *context, const void *value, Buffer *out) {
    (void)context;
    buffer_add_i64(out, ((const Number *)value)->value);
}

static Status number_decode(void *context, void *value, Reader *r) {
    (void)context;
    *(Number *)value = (Number){read_i64(r), xmalloc(32)};
    return OK;
}

static void number_release(void *context, void *value) {
    (void)context;
    free(((Number *)value)->owned);
}

static size_t number_bytes(void *context, const void *value) {
    (void)context, (void)value;
    return 32;
}

static const StateSpec numbers = {sizeof(Number), number_encode, number_decode, number_release,
                                  number_bytes,   NULL,          false};

static Number *put(State *s, int64_t bucket, Str key, int64_t value) {
    bool made;
    Number *n = state_put(s, state_bucket(s, bucket), hash_bytes(key), key, &made);
    if (made) n->owned = xmalloc(32);
    n->value = value;
    state_touch(s, n);
    return n;
}

static Number *find(State *s, int64_t bucket, Str key) {
    Bucket *b = state_bucket_find(s, bucket);
    return b ? state_find(b, hash_bytes(key), key) : NULL;
}

/* A home in memory: blobs in the order in which they were written. */
typedef struct Record {
    char kind; /* d, s, g (segment); 0: void */
    int64_t epoch, id;
    Str blob;
} Record;

typedef struct MemoryHome {
    StateWriter writer;
    int64_t epoch;
    Record records[4000];
    int count;
    int64_t snapshot_epochs[STATE_SHARDS];
} MemoryHome;

static void keep(MemoryHome *home, char kind, int64_t id, Str blob) {
    assert_true(home->count < 4000);
    char *copy = xmalloc(blob.size);
    memcpy(copy, blob.data, blob.size);
    home->records[home->count++] = (Record){kind, home->epoch, id, {copy, blob.size}};
}

static void keep_delta(StateWriter *w, Str blob) { keep((MemoryHome *)w, 'd', 0, blob); }

static void void_records(MemoryHome *home, char kind, int64_t id) {
    for (int i = 0; i < home->count; i++)
        if (home->records[i].kind == kind && home->records[i].id == id) home->records[i].kind = 0;
}

static void keep_snapshot(StateWriter *w, int shard, Str blob) {
    MemoryHome *home = (MemoryHome *)w;
    void_records(home, 's', shard);
    home->snapshot_epochs[shard] = home->epoch;
    keep(home, 's', shard, blob);
}

static void keep_segment(StateWriter *w, int64_t bucket, Str blob) {
    keep((MemoryHome *)w, 'g', bucket, blob);
}

static void drop_segment(StateWriter *w, int64_t bucket) {
    void_records((MemoryHome *)w, 'g', bucket);
}

static MemoryHome *home_new(void) {
    MemoryHome *home = xcalloc(1, sizeof *home);
    home->writer = (StateWriter){keep_delta, keep_snapshot, keep_segment, drop_segment};
    return home;
}

static void home_free(MemoryHome *home) {
    for (int i = 0; i < home->count; i++) free((void *)(uintptr_t)home->records[i].blob.data);
    free(home);
}

/* Deltas older than the oldest snapshot are skipped, as the home drops them. */
static State *recovered(const MemoryHome *home, const StateSpec *spec) {
    State *s = state_new(spec);
    Error error;
    int64_t oldest = INT64_MAX;
    for (int i = 0; i < STATE_SHARDS; i++)
        if (home->snapshot_epochs[i] < oldest) oldest = home->snapshot_epochs[i];
    for (int i = 0; i < home->count; i++)
        if (home->records[i].kind == 's')
            assert_int_equal(
                state_read_snapshot(s, (int)home->records[i].id, home->records[i].blob, &error),
                OK);
    for (int i = 0; i < home->count; i++) {
        const Record *r = &home->records[i];
        if (r->kind == 'd' && r->epoch > oldest)
            assert_int_equal(state_read_delta(s, r->epoch, home->snapshot_epochs, r->blob, &error),
                             OK);
        if (r->kind == 'g') assert_int_equal(state_read_segment(s, r->id, r->blob, &error), OK);
    }
    state_read_done(s);
    return s;
}

static void entries_are_found_and_dropped_with_their_bucket(void **context) {
    (void)context;
    State *s = state_new(&numbers);
    put(s, 20, STR("b"), 2);
    Number *a = put(s, 10, STR("a"), 1);
    put(s, 10, STR(""), 3);
    assert_int_equal(find(s, 10, STR("a"))->value, 1);
    assert_int_equal(find(s, 10, STR(""))->value, 3);
    assert_null(find(s, 20, STR("a")));
    assert_true(str_equal(value_key(a), STR("a")));
    assert_int_equal(bucket_time(state_oldest(s)), 10);
    assert_int_equal(state_touched(s), 3);
    Bucket *b = state_oldest(s);
    state_drop(s, &b);
    assert_null(b);
    assert_int_equal(bucket_time(state_oldest(s)), 20);
    assert_int_equal(state_entries(s), 1);
    assert_int_equal(state_touched(s), 1);
    state_free(&s);
}

static void addresses_stay(void **context) {
    (void)context;
    State *s = state_new(&numbers);
    enum { COUNT = 5000 };
    Number **all = xcalloc(COUNT, sizeof *all);
    for (int i = 0; i < COUNT; i++) {
        char key[32];
        snprintf(key, sizeof key, "key %d", i);
        all[i] = put(s, 0, str_from(key), i);
    }
    size_t cursor = 0;
    for (int i = 0; i < COUNT; i++) {
        char key[32];
        snprintf(key, sizeof key, "key %d", i);
        assert_ptr_equal(find(s, 0, str_from(key)), all[i]);
        assert_ptr_equal(bucket_next(state_oldest(s), &cursor),
                         all[i]); /* in the order of their making */
    }
    assert_null(bucket_next(state_oldest(s), &cursor));
    free(all);
    state_free(&s);
}

static void forgotten_places_are_used_again(void **context) {
    (void)context;
    State *s = state_new(&numbers);
    char big[20000];
    memset(big, 'x', sizeof big);
    size_t bytes = 0;
    for (int round = 0; round < 2000; round++) {
        char key[32];
        snprintf(key, sizeof key, "key %06d", round);
        Number *one = put(s, 0, str_from(key), 1), *two = put(s, 0, (Str){big, sizeof big}, 2);
        state_forget(s, one);
        state_forget(s, two);
        if (round == 100) bytes = state_bytes(s);
    }
    assert_true(state_bytes(s) <= bytes);
    assert_int_equal(state_entries(s), 0);
    size_t cursor = 0;
    assert_null(bucket_next(state_oldest(s), &cursor));
    state_free(&s);
}

enum { KEYS = 300, BUCKETS = 6 };
typedef struct Model {
    int64_t values[BUCKETS][KEYS]; /* 0: not there */
} Model;

static Str key_name(int key, char room[600]) {
    int size = snprintf(room, 600, "k%d", key);
    for (int i = 0; i < key % 7 * 20 && key % 3 == 0; i++) room[size++] = 'y';
    return (Str){room, (size_t)size};
}

static void assert_same(State *s, const Model *m) {
    size_t entries = 0;
    for (int b = 0; b < BUCKETS; b++)
        for (int k = 0; k < KEYS; k++) {
            char room[600];
            Number *n = find(s, b * 10, key_name(k, room));
            assert_int_equal(n ? n->value : 0, m->values[b][k]);
            entries += m->values[b][k] != 0;
        }
    assert_int_equal(state_entries(s), entries);
    size_t visited = 0;
    for (int i = 0; state_bucket_at(s, (size_t)i); i++) {
        size_t cursor = 0;
        while (bucket_next(state_bucket_at(s, (size_t)i), &cursor)) visited++;
    }
    assert_int_equal(visited, entries);
}

static void step(State *s, Model *m, Random *random) {
    char room[600];
    int b = (int)random_below(random, BUCKETS), k = (int)random_below(random, KEYS);
    Str key = key_name(k, room);
    uint64_t what = random_below(random, 200);
    if (what == 0) {
        Bucket *bucket = state_bucket_find(s, b * 10);
        if (bucket) state_drop(s, &bucket);
        memset(m->values[b], 0, sizeof m->values[b]);
    } else if (what < 60) {
        Number *n = find(s, b * 10, key);
        if (n) state_forget(s, n);
        m->values[b][k] = 0;
    } else {
        m->values[b][k] = (int64_t)(random_next(random) >> 8) + 1;
        put(s, b * 10, key, m->values[b][k]);
    }
}

static void epochs_read_back_as_they_were(void **context) {
    (void)context;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        Random random;
        random_seed(&random, seed);
        MemoryHome *home = home_new();
        Model model = {0};
        State *s = state_new(&numbers);
        for (home->epoch = 1; home->epoch <= 200; home->epoch++) {
            int steps = (int)random_below(&random, 120);
            for (int i = 0; i < steps; i++) step(s, &model, &random);
            state_write(s, seed == 4 ? -1 : (int)(home->epoch % STATE_SHARDS), &home->writer);
            assert_int_equal(state_touched(s), 0);
            if (home->epoch % 10 != 0) continue;
            State *again = recovered(home, &numbers);
            assert_same(again, &model);
            assert_int_equal(state_touched(again), 0);
            state_free(&s);
            s = again; /* and go on from there */
        }
        state_free(&s);
        home_free(home);
    }
}

static void nothing_new_writes_nothing(void **context) {
    (void)context;
    MemoryHome *home = home_new();
    State *s = state_new(&numbers);
    state_write(s, -1, &home->writer);
    put(s, 0, STR("a"), 1);
    state_write(s, -1, &home->writer);
    state_write(s, -1, &home->writer);
    assert_int_equal(home->count, 1);
    put(s, 5, STR("brief"),
        1); /* made and dropped between two epochs: the home never hears of it */
    Bucket *b = state_bucket(s, 5);
    state_drop(s, &b);
    state_write(s, -1, &home->writer);
    assert_int_equal(home->count, 1);
    state_free(&s);
    home_free(home);
}

static void touched_values_are_visited_once(void **context) {
    (void)context;
    MemoryHome *home = home_new();
    State *s = state_new(&numbers);
    put(s, 0, STR("a"), 1);
    put(s, 3, STR("b"), 1);
    state_write(s, -1, &home->writer);
    put(s, 3, STR("b"), 2);
    put(s, 3, STR("b"), 3);
    Number *c = put(s, 1, STR("c"), 3);
    put(s, 1, STR("d"), 4);
    state_forget(s, c);
    assert_int_equal(state_touched(s), 2);
    size_t cursor = 0;
    Bucket *b;
    Number *n = state_touched_next(s, &cursor, &b);
    assert_int_equal(n->value, 4);
    assert_int_equal(bucket_time(b), 1);
    n = state_touched_next(s, &cursor, &b);
    assert_int_equal(n->value, 3);
    assert_null(state_touched_next(s, &cursor, &b));
    state_free(&s);
    home_free(home);
}

/* ---- state that ages ---- */

static void time_encode(void *context, const void *value, Buffer *out) {
    (void)context;
    buffer_add_i64(out, *(const int64_t *)value);
}

static Status time_decode(void *context, void *value, Reader *r) {
    (void)context;
    *(int64_t *)value = read_i64(r);
    return OK;
}

static const StateSpec times = {sizeof(int64_t), time_encode, time_decode, NULL, NULL, NULL, true};

static void remember(State *s, int64_t bucket, int key, int64_t value) {
    char room[600];
    bool made;
    Str name = key_name(key, room);
    int64_t *to = state_put(s, state_bucket(s, bucket), hash_bytes(name), name, &made);
    *to = value;
    state_touch(s, to);
}

static int64_t newest(State *s, int key) {
    char room[600];
    Str name = key_name(key, room);
    int64_t *at = state_find_newest(s, hash_bytes(name), name);
    return at ? *at : -1;
}

static void the_newest_segment_counts(void **context) {
    (void)context;
    MemoryHome *home = home_new();
    State *s = state_new(&times);
    enum { MANY = 20000 };
    for (int64_t segment = 0; segment < 12; segment++) {
        for (int k = 0; k < MANY; k++)
            if (k % 12 == segment || k % 100 == 0) remember(s, segment, k, segment);
        home->epoch++;
        state_write(s, 0, &home->writer);
        Bucket *oldest = state_oldest(s);
        if (segment >= 4) state_drop(s, &oldest); /* leaves the table a few entries at a time */
        if (segment % 3 == 0) {
            home->epoch++;
            state_write(s, 0, &home->writer);
            state_free(&s);
            s = recovered(home, &times);
        }
        for (int k = 0; k < MANY; k++) {
            int64_t last = k % 100 == 0 ? segment : k % 12 <= segment ? k % 12 : -1;
            if (segment >= 4 && last <= segment - 4) last = -1;
            assert_int_equal(newest(s, k), last);
        }
    }
    state_free(&s);
    home_free(home);
}

static void an_id_costs_under_eighty_bytes_beside_its_text(void **context) {
    (void)context;
    State *s = state_new(&times);
    enum { IDS = 100000 };
    for (int i = 0; i < IDS; i++) {
        char key[64];
        int size =
            snprintf(key, sizeof key, "\1$%08x-0000-4000-8000-%012x", (unsigned)i, (unsigned)i * 7);
        bool made;
        Str name = {key, (size_t)size};
        *(int64_t *)state_put(s, state_bucket(s, i / 12500), hash_bytes(name), name, &made) = i;
    }
    size_t each = state_bytes(s) / IDS;
    assert_true(each < 80 + 36);
    state_free(&s);
}

/* ---- damage ---- */

static void damaged_records_are_refused_or_harmless(void **context) {
    (void)context;
    MemoryHome *home = home_new();
    State *s = state_new(&numbers);
    for (int i = 0; i < 40; i++) {
        char room[600];
        put(s, i % 3, key_name(i, room), i);
    }
    state_write(s, -1, &home->writer);
    Bucket *b = state_oldest(s);
    state_drop(s, &b);
    char room[600];
    state_forget(s, find(s, 1, key_name(1, room)));
    home->epoch = 1;
    state_write(s, 5, &home->writer);
    state_free(&s);
    static const int64_t none[STATE_SHARDS];
    for (int i = 0; i < home->count; i++) {
        Str blob = home->records[i].blob;
        for (size_t cut = 0; cut < blob.size * 9; cut++) {
            char *copy = xmalloc(blob.size);
            memcpy(copy, blob.data, blob.size);
            Str bad = {copy, cut < blob.size ? cut : blob.size};
            if (cut >= blob.size)
                copy[cut % blob.size] = (char)(copy[cut % blob.size] ^ 1 << cut / blob.size % 8);
            Error error;
            State *to = state_new(&numbers);
            Status status = home->records[i].kind == 's'
                                ? state_read_snapshot(to, 5, bad, &error)
                                : state_read_delta(to, 1, none, bad, &error);
            assert_true(status == OK || status == FAIL);
            if (cut == 0) assert_int_equal(status, FAIL);
            state_free(&to);
            free(copy);
        }
    }
    State *to = state_new(&numbers);
    Error error;
    assert_int_equal(state_read_delta(to, 1, none, STR("\2"), &error), FAIL);
    assert_non_null(strstr(error.text, "version 2"));
    state_free(&to);
    home_free(home);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_found_and_dropped_with_their_bucket),
        cmocka_unit_test(addresses_stay),
        cmocka_unit_test(forgotten_places_are_used_again),
        cmocka_unit_test(epochs_read_back_as_they_were),
        cmocka_unit_test(nothing_new_writes_nothing),
        cmocka_unit_test(touched_values_are_visited_once),
        cmocka_unit_test(the_newest_segment_counts),
        cmocka_unit_test(an_id_costs_under_eighty_bytes_beside_its_text),
        cmocka_unit_test(damaged_records_are_refused_or_harmless),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
