/* GROUP BY. A group is an entry of the state: the encoded key, and a block in which each aggregate
 * has its place. Groups of a window stand in a bucket of their own, so a window that closes is
 * emitted and forgotten without looking at others. All keys of a batch are encoded and found first,
 * then each aggregate runs over its column once.
 *
 *   value: event time 8 (of groups closed by window_start, and that age) | shown 8 | block | ages
 *   record: event time 8, shown sized, block (each where the plan has it)
 *
 * shown: see looks.h. ages: of groups that are forgotten when nothing came for ttl_us. Whether one
 * is over is judged at each row, by what the row's own partition had seen, so that it depends on
 * the data alone; when time comes so far the group goes, which no later row can tell from that. */
#include "base/hash.h"
#include "operator/aging.h"
#include "operator/looks.h"
#include "operator/results.h"
#include "operator/row_keys.h"
#include "operator/specs.h"
#include <stdlib.h>

typedef struct Group {
    int64_t event_time; /* the greatest of its rows' */
    char *shown;        /* owned; NULL: the key says it */
    char block[];
} Group;

typedef struct Ages { /* behind the block, 16-byte aligned */
    uint32_t place;   /* in Aggregation.aging */
    uint32_t push;    /* number of the push that it last got a row in */
} Ages;

typedef struct Aggregation {
    Operator base;
    const AggregateSpec *spec;
    Aging *aging;  /* groups by their event time; NULL: they stay. Made at the first use, when the
                      state has been read */
    uint32_t push; /* number of the current one */
    bool shows;    /* groups have `shown` */
    int *checked;  /* columns that must not hold errors: keys, arguments, filters */
    int checked_count;
    RowKeys row_keys;
    Buffer scratch;
    Arena *arena;  /* of results */
    void **groups; /* [BATCH_ROWS] of the results that are being emitted */
    size_t cursor; /* of changes */
    int64_t taken_us;
} Aggregation;

enum { AHEAD = 8, ENDED_BUCKET = 1, AGES_SIZE = 16 };

static bool has_time(const AggregateSpec *s) { return s->close == CLOSE_WINDOW_START || s->ttl_us; }

static void group_encode(void *context, const void *value, Buffer *out) {
    const Aggregation *a = context;
    const Group *g = value;
    if (has_time(a->spec)) buffer_add_i64(out, g->event_time);
    if (a->shows) looks_encode(g->shown, out);
    aggregates_encode(a->spec->calls, a->spec->call_count, g->block, out);
}

static Status group_decode(void *context, void *value, Reader *r) {
    const Aggregation *a = context;
    Group *g = value;
    if (has_time(a->spec)) g->event_time = read_i64(r);
    if (a->shows) g->shown = looks_decode(r);
    aggregates_decode(a->spec->calls, a->spec->call_count, g->block, r);
    return r->bad ? FAIL : OK;
}

static void group_release(void *context, void *value) {
    const Aggregation *a = context;
    Group *g = value;
    free(g->shown);
    aggregates_release(a->spec->calls, a->spec->call_count, g->block);
}

static size_t group_bytes(void *context, const void *value) {
    const Aggregation *a = context;
    const Group *g = value;
    return aggregates_bytes(a->spec->calls, a->spec->call_count, g->block) +
           looks_values(g->shown).size + (a->spec->ttl_us ? AGING_BYTES : 0);
}

static Status aggregate_open(Operator *op, const void *spec, Error *error) {
    (void)error;
    Aggregation *a = (Aggregation *)op;
    const AggregateSpec *s = a->spec = spec;
    a->checked = xcalloc((size_t)(s->key_count + 2 * s->call_count), sizeof *a->checked);
    for (int i = 0; i < s->key_count; i++) {
        a->checked[a->checked_count++] = s->keys[i];
        a->shows |= looks_vary(s->output.fields[i].type);
    }
    for (int i = 0; i < s->call_count; i++) {
        if (s->calls[i].arg >= 0) a->checked[a->checked_count++] = s->calls[i].arg;
        if (s->calls[i].filter >= 0) a->checked[a->checked_count++] = s->calls[i].filter;
    }
    a->arena = arena_new();
    a->groups = xcalloc(BATCH_ROWS, sizeof *a->groups);
    op->state = state_new(&(StateSpec){
        .value_size = sizeof(Group) + s->block_size + (s->ttl_us ? AGES_SIZE : 0),
        .encode = group_encode,
        .decode = group_decode,
        .release = group_release,
        .bytes = group_bytes,
        .context = a,
    });
    return OK;
}

static void aggregate_close(Operator *op) {
    Aggregation *a = (Aggregation *)op;
    state_free(&op->state); /* its values need the spec */
    aging_free(&a->aging);
    row_keys_free(&a->row_keys);
    buffer_free(&a->scratch);
    arena_free(&a->arena);
    free(a->groups);
    free(a->checked);
}

/* ---- rows come in ---- */

static bool closed(const AggregateSpec *s, int64_t bucket, Watermark mark) {
    if (s->close == CLOSE_TIME) return bucket <= mark.time;
    if (s->close == CLOSE_WINDOW_START) return bucket < mark.window_start;
    return mark.time == END_OF_TIME;
}

/* NULL: the row's window is over. */
static Bucket *bucket_of(Aggregation *a, const Batch *batch, const Column *time, int row,
                         Bucket *last) {
    if (!time) return last ? last : state_bucket(a->base.state, 0);
    int64_t bucket = time->ints[row];
    bool null = !column_ok(time, row);
    if (last && bucket_time(last) == bucket && !null) return last;
    if (!null && !closed(a->spec, bucket, a->base.input_marks[0]))
        return state_bucket(a->base.state, bucket);
    if (null)
        a->base.host->reject(a->base.host, &a->base, REJECT_DEAD, batch, row,
                             "the window of the row is NULL");
    else
        a->base.host->reject(
            a->base.host, &a->base, REJECT_LATE_IDLE, batch, row,
            "late: its window was closed already, its partition was idle or is new");
    return NULL;
}

static Ages *ages_of(const Aggregation *a, Group *g) {
    return (Ages *)(void *)(g->block + a->spec->block_size);
}

/* When nothing more comes, the group is over at that time. */
static int64_t over_at(const Aggregation *a, const Group *g) {
    return g->event_time > END_OF_TIME - a->spec->ttl_us ? END_OF_TIME
                                                         : g->event_time + a->spec->ttl_us;
}

static void begin_aging(Aggregation *a) {
    if (a->aging || !a->spec->ttl_us) return;
    a->aging = aging_new(sizeof(Group) + a->spec->block_size + offsetof(Ages, place));
    Bucket *bucket = state_bucket_find(a->base.state, 0);
    size_t cursor = 0;
    for (Group *g; bucket && (g = bucket_next(bucket, &cursor));)
        aging_put(a->aging, g, over_at(a, g));
}

/* A row that comes when the group is over begins it anew. Results of windows come in the order of
 * their ends: before one, time was anywhere before its own. */
static bool is_over(const Aggregation *a, const Group *g, const Batch *batch, int row) {
    int64_t seen = batch->seen ? batch->seen[row] : batch->event_times[row] - 1;
    return over_at(a, g) <= seen;
}

/* Rows of this push that it has got are forgotten with it. */
static void empty_group(Aggregation *a, Group *g, char **states, int row) {
    if (ages_of(a, g)->push == a->push)
        for (int i = 0; i < row; i++)
            if (states[i] == g->block) states[i] = NULL;
    group_release(a, g);
    memset(g->block, 0, a->spec->block_size);
    g->shown = NULL;
}

static void find_groups(Aggregation *a, const Batch *batch, char **states) {
    const AggregateSpec *s = a->spec;
    State *state = a->base.state;
    const RowKeys *k = &a->row_keys;
    const Column *time = s->close == CLOSE_NEVER ? NULL : &batch->columns[s->keys[s->bucket]];
    Bucket *bucket = NULL;
    for (int row = 0; row < batch->rows; row++) {
        Bucket *of_row = bucket_of(a, batch, time, row, bucket);
        states[row] = NULL;
        if (!of_row) continue;
        bucket = of_row;
        if (row + AHEAD < batch->rows) state_prefetch(state, bucket, k->hashes[row + AHEAD]);
        bool made;
        Group *g = state_put(state, bucket, k->hashes[row], row_key(k, row), &made);
        bool over = a->aging && !made && is_over(a, g, batch, row);
        if (over) empty_group(a, g, states, row);
        if (made || over) {
            g->event_time = NO_TIME;
            if (a->shows) g->shown = looks_new(batch, row, s->keys, s->key_count, &a->scratch);
        }
        if (batch->event_times && batch->event_times[row] > g->event_time)
            g->event_time = batch->event_times[row];
        if (a->aging) {
            ages_of(a, g)->push = a->push;
            if (made || over) aging_put(a->aging, g, over_at(a, g));
        }
        state_touch(state, g);
        states[row] = g->block;
    }
}

static Status aggregate_push(Operator *op, int input, const Batch *batch, Error *error) {
    (void)input, (void)error;
    Aggregation *a = (Aggregation *)op;
    const AggregateSpec *s = a->spec;
    batch = without_errors(op, batch, a->checked, a->checked_count);
    if (batch->rows == 0) return OK;
    a->taken_us = batch->taken_us;
    begin_aging(a);
    a->push++;
    row_keys_encode(&a->row_keys, batch, s->keys, s->key_count);
    char **states = arena_alloc(batch->arena, sizeof *states * (size_t)batch->rows);
    find_groups(a, batch, states);
    aggregates_add(s->calls, s->call_count, batch, states);
    count_state(op);
    return OK;
}

/* ---- results go out ---- */

static void fill_keys(Aggregation *a, Batch *out, int row, const Group *g) {
    const AggregateSpec *s = a->spec;
    Reader key = reader_of(g->shown ? looks_values(g->shown) : value_key(g));
    for (int c = 0; c < s->key_count; c++) {
        Type type = s->output.fields[c].type;
        Value value =
            g->shown ? value_decode(type, &key, out->arena) : key_decode(type, &key, out->arena);
        column_set(&out->columns[c], row, value, out->arena);
    }
}

static void fill_row(Aggregation *a, Batch *out, int row, const Group *g, RowErrors *errors) {
    const AggregateSpec *s = a->spec;
    fill_keys(a, out, row, g);
    for (int c = 0; c < s->call_count; c++)
        results_set(out, s->key_count + c, row, &s->calls[c], g->block, errors);
}

/* The first `count` of a->groups. growth: they are not final. */
static Status emit_groups(Aggregation *a, int count, bool growth, Error *error) {
    const AggregateSpec *s = a->spec;
    arena_reset(a->arena);
    Batch *out = results_new(&a->base, &s->output, count, a->taken_us, a->arena);
    Str *keys = arena_new_array(a->arena, Str, count);
    int64_t *times = s->close == CLOSE_NEVER ? NULL : arena_new_array(a->arena, int64_t, count);
    RowErrors errors = {.arena = a->arena};
    for (int row = 0; row < count; row++) {
        const Group *g = a->groups[row];
        keys[row] = value_key(g);
        if (times) times[row] = s->close == CLOSE_TIME ? value_time(g) : g->event_time;
        fill_row(a, out, row, g, &errors);
    }
    out->keys = keys;
    out->event_times = times;
    out->growth = growth;
    out->final = !growth && (s->close != CLOSE_NEVER || s->bounded);
    /* Without growth nobody has seen a final row before. */
    if (!out->final || s->growth)
        out->ops = memset(arena_alloc(a->arena, (size_t)count), ROW_UPSERT, (size_t)count);
    return results_emit(&a->base, out, &errors, error);
}

/* Groups of closed buckets, oldest first, into a->groups. */
static int due_groups(Aggregation *a, Watermark mark, int most) {
    State *state = a->base.state;
    int count = 0;
    for (size_t i = 0; count < most; i++) {
        Bucket *b = state_bucket_at(state, i);
        if (!b || !closed(a->spec, bucket_time(b), mark)) break;
        if (a->spec->close == CLOSE_NEVER && bucket_time(b) == ENDED_BUCKET) break;
        size_t cursor = 0;
        for (void *g; count < most && (g = bucket_next(b, &cursor));) a->groups[count++] = g;
    }
    return count;
}

static void drop_empty(Aggregation *a, Watermark mark) {
    for (Bucket *b; (b = state_oldest(a->base.state)) && bucket_entries(b) == 0 &&
                    closed(a->spec, bucket_time(b), mark);)
        state_drop(a->base.state, &b);
}

/* Without keys there is one group even without rows, once. That it was told is remembered in a
 * bucket of its own. */
static void make_only_group(Aggregation *a) {
    State *state = a->base.state;
    uint64_t hash = hash_bytes(STR(""));
    bool made;
    if (a->spec->key_count > 0 || state_bucket_find(state, ENDED_BUCKET)) return;
    state_put(state, state_bucket(state, 0), hash, STR(""), &made);
    state_touch(state, state_put(state, state_bucket(state, ENDED_BUCKET), hash, STR(""), &made));
}

/* That the first `count` of a->groups are gone. Over input that ends only the query's own view has
 * seen them. */
static Status emit_gone(Aggregation *a, int count, Error *error) {
    const AggregateSpec *s = a->spec;
    if (s->bounded && !s->growth) return OK;
    arena_reset(a->arena);
    Batch *out = results_new(&a->base, &s->output, count, a->taken_us, a->arena);
    Str *keys = arena_new_array(a->arena, Str, count);
    for (int row = 0; row < count; row++) {
        keys[row] = value_key(a->groups[row]);
        fill_keys(a, out, row, a->groups[row]);
        for (int c = 0; c < s->call_count; c++) {
            Column *to = &out->columns[s->key_count + c];
            column_set(to, row, (Value){.type = to->type, .null = true}, a->arena);
        }
    }
    out->keys = keys;
    out->growth = s->bounded;
    out->ops = memset(arena_alloc(a->arena, (size_t)count), ROW_DELETE, (size_t)count);
    return emit(&a->base, out, error);
}

/* Forgets groups that are over at `reached`; AGAIN: there may be more. A group that got rows stands
 * where it was put in, and is moved when its turn comes. */
static Status forget_old(Aggregation *a, int64_t reached, Error *error) {
    int count = 0;
    int64_t due;
    for (Group *g; count < BATCH_ROWS && (g = aging_first(a->aging, &due)) && due <= reached;) {
        if (over_at(a, g) > reached) {
            aging_put(a->aging, g, over_at(a, g));
            continue;
        }
        aging_remove(a->aging, g);
        a->groups[count++] = g;
    }
    if (count && emit_gone(a, count, error) != OK) return FAIL;
    for (int i = 0; i < count; i++) state_forget(a->base.state, a->groups[i]);
    if (count) count_state(&a->base);
    return count == BATCH_ROWS ? AGAIN : OK;
}

/* At the end of the input time is as far as its rows have brought it. */
static Status age(Aggregation *a, int64_t time, Error *error) {
    OperatorHost *host = a->base.host;
    begin_aging(a);
    if (!a->aging || time == NO_TIME) return OK;
    if (time == END_OF_TIME) time = host->ended_at ? host->ended_at(host, &a->base) : NO_TIME;
    return forget_old(a, time, error);
}

static Status aggregate_advance(Operator *op, int input, Watermark mark, Error *error) {
    (void)input;
    Aggregation *a = (Aggregation *)op;
    const AggregateSpec *s = a->spec;
    Status aged = age(a, mark.time, error);
    if (aged != OK) return aged;
    if (s->close != CLOSE_NEVER || (s->bounded && mark.time == END_OF_TIME)) {
        if (s->close == CLOSE_NEVER) make_only_group(a);
        int count = due_groups(a, mark, BATCH_ROWS);
        if (count && emit_groups(a, count, false, error) != OK) return FAIL;
        for (int i = 0; i < count; i++) {
            if (a->aging) aging_remove(a->aging, a->groups[i]);
            state_forget(op->state, a->groups[i]);
        }
        drop_empty(a, mark);
        count_state(op);
        if (due_groups(a, mark, 1)) return AGAIN;
    }
    op->output_mark = mark;
    return OK;
}

static Status aggregate_changes(Operator *op, Error *error) {
    Aggregation *a = (Aggregation *)op;
    const AggregateSpec *s = a->spec;
    bool once = s->close != CLOSE_NEVER || s->bounded;
    /* Groups of rows that were old when they came: time need not have moved since. */
    Status aged = age(a, op->input_marks[0].time, error);
    if (aged != OK) return aged;
    if (once && !s->growth) return OK;
    if (a->cursor == 0)
        op->growth_held = s->close != CLOSE_NEVER && state_touched(op->state) > GROWTH_MOST_GROUPS;
    int count = 0;
    Bucket *bucket;
    while (!op->growth_held && count < BATCH_ROWS) {
        void *g = state_touched_next(op->state, &a->cursor, &bucket);
        if (!g) break;
        if (s->close == CLOSE_NEVER && bucket_time(bucket) == ENDED_BUCKET) continue;
        a->groups[count++] = g;
    }
    if (count && emit_groups(a, count, once, error) != OK) return FAIL;
    if (count == BATCH_ROWS) return AGAIN;
    a->cursor = 0;
    return OK;
}

const OperatorType aggregate_operator = {
    .name = "aggregate",
    .size = sizeof(Aggregation),
    .open = aggregate_open,
    .push = aggregate_push,
    .advance = aggregate_advance,
    .changes = aggregate_changes,
    .close = aggregate_close,
};
