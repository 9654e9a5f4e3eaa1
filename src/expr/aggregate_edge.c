/* first_value and last_value: the value of the row with the least or greatest event time, NULL
 * included, as in PostgreSQL's window functions of these names. Of rows with the same time the one
 * that arrived first, or last, counts. */
#include "expr/aggregate_internal.h"

typedef struct Edge {
    int64_t time;
    bool has, null; /* null: the row's value is */
    union {
        bool boolean;
        int64_t integer;
        double real;
        Interval interval;
        Owned str;
    };
} Edge;

#define TO(s, memory) Edge *s = (void *)(memory)
#define FROM(s, memory) const Edge *s = (const void *)(memory)

static inline bool takes(const Edge *s, int64_t time, bool last) {
    return !s->has || (last ? time >= s->time : time < s->time);
}

static void take(Edge *s, const Column *arg, int row, int64_t time) {
    s->time = time;
    s->has = true;
    s->null = !column_ok(arg, row);
    if (s->null) return;
    switch (type_physical(arg->type.kind)) {
    case PHYSICAL_BOOL: s->boolean = arg->bools[row] != 0; break;
    case PHYSICAL_INT: s->integer = arg->ints[row]; break;
    case PHYSICAL_FLOAT: s->real = arg->floats[row]; break;
    case PHYSICAL_STR: owned_set(&s->str, arg->strs[row]); break;
    case PHYSICAL_INTERVAL: s->interval = arg->intervals[row]; break;
    }
}

static void edge_add(const Column *arg, const int64_t *times, const int32_t *rows, int count,
                     char *const *states, size_t offset, bool last) {
    for (int i = 0; i < count; i++) {
        int row = rows[i];
        int64_t time = times ? times[row] : 0;
        TO(s, states[i] + offset);
        if (column_state(arg, row) != VALUE_ERROR && takes(s, time, last)) take(s, arg, row, time);
    }
}

static void first_add(const Column *arg, const int64_t *times, const int32_t *rows, int count,
                      char *const *states, size_t offset) {
    edge_add(arg, times, rows, count, states, offset, false);
}

static void last_add(const Column *arg, const int64_t *times, const int32_t *rows, int count,
                     char *const *states, size_t offset) {
    edge_add(arg, times, rows, count, states, offset, true);
}

/* What `into` holds has come before what `from` holds. */
static void edge_merge(char *into, const char *from, Type arg, bool last) {
    TO(to, into);
    FROM(other, from);
    if (!other->has || !takes(to, other->time, last)) return;
    if (type_physical(arg.kind) != PHYSICAL_STR) {
        *to = *other;
        return;
    }
    to->time = other->time;
    to->has = true;
    to->null = other->null;
    if (!to->null) owned_set(&to->str, owned_str(&other->str));
}

static void first_merge(char *into, const char *from, Type arg) {
    edge_merge(into, from, arg, false);
}
static void last_merge(char *into, const char *from, Type arg) {
    edge_merge(into, from, arg, true);
}

static Value edge_value(const Edge *s, Type type) {
    Value value = {.type = type, .null = !s->has || s->null};
    if (value.null) return value;
    switch (type_physical(type.kind)) {
    case PHYSICAL_BOOL: value.boolean = s->boolean; break;
    case PHYSICAL_INT: value.integer = s->integer; break;
    case PHYSICAL_FLOAT: value.real = s->real; break;
    case PHYSICAL_STR: value.str = owned_str(&s->str); break;
    case PHYSICAL_INTERVAL: value.interval = s->interval; break;
    }
    return value;
}

static Status edge_result(const char *state, Type arg, Type result, Value *out, Arena *arena,
                          Error *error) {
    (void)arg, (void)error;
    *out = value_copy(edge_value((const void *)state, result), arena);
    return OK;
}

static void edge_encode(const char *state, Type arg, Buffer *out) {
    FROM(s, state);
    buffer_add_u8(out, s->has);
    buffer_add_i64(out, s->time);
    value_encode(edge_value(s, arg), out);
}

static void edge_decode(char *state, Type arg, Reader *in) {
    TO(s, state);
    s->has = read_u8(in);
    s->time = read_i64(in);
    Arena *scratch = arena_new();
    Value value = value_decode(arg, in, scratch);
    s->null = value.null || in->bad;
    if (!s->null) {
        switch (type_physical(arg.kind)) {
        case PHYSICAL_BOOL: s->boolean = value.boolean; break;
        case PHYSICAL_INT: s->integer = value.integer; break;
        case PHYSICAL_FLOAT: s->real = value.real; break;
        case PHYSICAL_STR: owned_set(&s->str, value.str); break;
        case PHYSICAL_INTERVAL: s->interval = value.interval; break;
        }
    }
    arena_free(&scratch);
}

static void edge_release(char *state) { owned_free(&((Edge *)(void *)state)->str); }
static size_t edge_bytes(const char *state) {
    return ((const Edge *)(const void *)state)->str.capacity;
}

/* States of types that own nothing have no release and no bytes. */
#define ROW(aggregate, type, prefix, release_function, bytes_function, text)                       \
    {                                                                                              \
        .name = aggregate, .result = type, .arg = type, .arg_count = 1, .size = STATE_SIZE(Edge),  \
        .add = prefix##_add, .merge = prefix##_merge, .result_of = edge_result,                    \
        .encode = edge_encode, .decode = edge_decode, .release = release_function,                 \
        .bytes = bytes_function, .help = text                                                      \
    }
#define PLAIN(aggregate, type, prefix) ROW(aggregate, type, prefix, NULL, NULL, NULL)
#define OWNING(aggregate, type, prefix) ROW(aggregate, type, prefix, edge_release, edge_bytes, NULL)
#define ROWS(aggregate, prefix, text)                                                              \
    ROW(aggregate, TYPE_BOOL, prefix, NULL, NULL, text), PLAIN(aggregate, TYPE_INT2, prefix),      \
        PLAIN(aggregate, TYPE_INT4, prefix), PLAIN(aggregate, TYPE_INT8, prefix),                  \
        PLAIN(aggregate, TYPE_FLOAT4, prefix), PLAIN(aggregate, TYPE_FLOAT8, prefix),              \
        PLAIN(aggregate, TYPE_DATE, prefix), PLAIN(aggregate, TYPE_TIMESTAMP, prefix),             \
        PLAIN(aggregate, TYPE_TIMESTAMPTZ, prefix), PLAIN(aggregate, TYPE_INTERVAL, prefix),       \
        OWNING(aggregate, TYPE_NUMERIC, prefix), OWNING(aggregate, TYPE_TEXT, prefix),             \
        OWNING(aggregate, TYPE_VARCHAR, prefix), OWNING(aggregate, TYPE_UUID, prefix),             \
        OWNING(aggregate, TYPE_JSONB, prefix), OWNING(aggregate, TYPE_BYTEA, prefix),              \
        OWNING(aggregate, TYPE_TEXT_ARRAY, prefix)

const Aggregate edge_aggregates[] = {
    ROWS(
        "first_value", first,
        "the value with the least event time, NULL included; in PostgreSQL a window function only"),
    ROWS("last_value", last,
         "the value with the greatest event time, NULL included; in PostgreSQL a window function "
         "only"),
    {0},
};
