/* The calls of one GROUP BY over one block of state per group, and the registry of aggregates. The
 * rows that have a group are listed once per batch; each call then runs one tight loop of its own
 * over that list, or over the part of it that its FILTER lets through. DISTINCT is a set of keys in
 * front of the plain state: only values new to the set go on. */
#include "expr/aggregate_internal.h"

static const Aggregate *const tables[] = {
    count_aggregates, sum_aggregates, variance_aggregates, extreme_aggregates, edge_aggregates,
};
enum { TABLES = sizeof tables / sizeof *tables, SET_SIZE = STATE_SIZE(KeySet) };

const Aggregate *aggregate_at(int index) {
    for (int t = 0; t < TABLES; t++)
        for (const Aggregate *a = tables[t]; a->name; a++)
            if (index-- == 0) return a;
    return NULL;
}

bool aggregate_exists(Str name) {
    const Aggregate *a;
    for (int i = 0; (a = aggregate_at(i)); i++)
        if (str_equal_nocase(str_from(a->name), name)) return true;
    return false;
}

const Aggregate *aggregate_find(Str name, int arg_count, TypeKind arg) {
    const Aggregate *a;
    for (int i = 0; (a = aggregate_at(i)); i++) {
        if (a->arg_count != arg_count || !str_equal_nocase(str_from(a->name), name)) continue;
        if (arg_count == 0 || a->arg == arg || a->arg == TYPE_UNKNOWN) return a;
    }
    return NULL;
}

/* Where the plain state begins behind the set of a DISTINCT call. */
static size_t plain_offset(const AggregateCall *call) {
    return call->offset + (call->distinct ? SET_SIZE : 0);
}

/* One value or several equal ones: the result is the same. */
static bool distinct_matters(const Aggregate *a) {
    for (int t = 0; t < TABLES; t++) {
        for (const Aggregate *row = tables[t]; row->name; row++)
            if (row == a)
                return (tables[t] == count_aggregates && a->arg != TYPE_BOOL) ||
                       tables[t] == sum_aggregates || tables[t] == variance_aggregates;
    }
    return false;
}

size_t aggregates_layout(AggregateCall *calls, int count) {
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        calls[i].distinct = calls[i].distinct && distinct_matters(calls[i].aggregate);
        calls[i].offset = size;
        size = plain_offset(&calls[i]) + calls[i].aggregate->size;
    }
    return size;
}

/* ---- adding ---- */

typedef struct Rows {
    int32_t *rows;
    char **states;
    int count;
} Rows;

static Rows rows_new(const Batch *batch) {
    return (Rows){arena_alloc(batch->arena, sizeof(int32_t) * (size_t)(batch->rows + 1)),
                  arena_alloc(batch->arena, sizeof(char *) * (size_t)(batch->rows + 1)), 0};
}

/* The value for a set's entry where its key does not give it back as it was: 1.00 is 1 there, 1
 * month 30 days. */
static Str entry_rest(const Column *arg, int row, Buffer *scratch) {
    if (arg->type.kind != TYPE_NUMERIC && arg->type.kind != TYPE_INTERVAL) return (Str){0};
    scratch->size = 0;
    value_encode(column_value(arg, row), scratch);
    return buffer_str(scratch);
}

static void add_distinct(const AggregateCall *call, const Batch *batch, const Rows *from,
                         Rows *fresh) {
    const Column *arg = &batch->columns[call->arg];
    Buffer key = {0}, rest = {0};
    fresh->count = 0;
    for (int i = 0; i < from->count; i++) {
        int row = from->rows[i];
        if (!column_ok(arg, row)) continue;
        key.size = 0;
        key_encode(arg, row, &key);
        KeySet *set = (void *)(from->states[i] + call->offset);
        if (!key_set_add(set, buffer_str(&key), entry_rest(arg, row, &rest))) continue;
        fresh->rows[fresh->count] = row;
        fresh->states[fresh->count++] = from->states[i];
    }
    buffer_free(&key);
    buffer_free(&rest);
    call->aggregate->add(arg, batch->event_times, fresh->rows, fresh->count, fresh->states,
                         plain_offset(call));
}

static void filter_rows(const Column *filter, const Rows *from, Rows *to) {
    to->count = 0;
    for (int i = 0; i < from->count; i++) {
        int row = from->rows[i];
        if (!column_ok(filter, row) || !filter->bools[row]) continue;
        to->rows[to->count] = row;
        to->states[to->count++] = from->states[i];
    }
}

void aggregates_add(const AggregateCall *calls, int count, const Batch *batch,
                    char *const *states) {
    Rows all = rows_new(batch), filtered = {0}, fresh = {0};
    for (int i = 0; i < batch->rows; i++) {
        if (!states[i]) continue;
        all.rows[all.count] = i;
        all.states[all.count++] = states[i];
    }
    for (int c = 0; c < count; c++) {
        const AggregateCall *call = &calls[c];
        const Rows *rows = &all;
        if (call->filter >= 0) {
            if (!filtered.rows) filtered = rows_new(batch);
            filter_rows(&batch->columns[call->filter], &all, &filtered);
            rows = &filtered;
        }
        const Column *arg = call->arg >= 0 ? &batch->columns[call->arg] : NULL;
        if (call->distinct) {
            if (!fresh.rows) fresh = rows_new(batch);
            add_distinct(call, batch, rows, &fresh);
        } else {
            call->aggregate->add(arg, batch->event_times, rows->rows, rows->count, rows->states,
                                 call->offset);
        }
    }
}

/* ---- what else is done with a block ---- */

Status aggregates_result(const AggregateCall *call, const char *block, Value *out, Arena *arena,
                         Error *error) {
    return call->aggregate->result_of(block + plain_offset(call), call->arg_type, call->result, out,
                                      arena, error);
}

/* Adds the values of one set that the other does not have yet, each as a batch of one row. */
static void merge_distinct(const AggregateCall *call, char *into, const char *from) {
    KeySet *to = (void *)(into + call->offset);
    const KeySet *set = (const void *)(from + call->offset);
    Arena *scratch = arena_new();
    size_t at = 0;
    Str key, rest;
    while (key_set_next(set, &at, &key, &rest)) {
        if (!key_set_add(to, key, rest)) continue;
        Reader reader = reader_of(rest.size ? rest : key);
        Value value = rest.size ? value_decode(call->arg_type, &reader, scratch)
                                : key_decode(call->arg_type, &reader, scratch);
        Column column = column_new(call->arg_type, 1, false, scratch);
        column_set(&column, 0, value, scratch);
        call->aggregate->add(&column, NULL, &(int32_t){0}, 1, &into, plain_offset(call));
        arena_reset(scratch);
    }
    arena_free(&scratch);
}

void aggregates_merge(const AggregateCall *calls, int count, char *into, char *from) {
    for (int c = 0; c < count; c++) {
        const AggregateCall *call = &calls[c];
        if (call->distinct) merge_distinct(call, into, from);
        else call->aggregate->merge(into + call->offset, from + call->offset, call->arg_type);
    }
}

void aggregates_encode(const AggregateCall *calls, int count, const char *block, Buffer *out) {
    for (int c = 0; c < count; c++) {
        const AggregateCall *call = &calls[c];
        if (call->distinct) {
            const KeySet *set = (const void *)(block + call->offset);
            buffer_add_varint(out, set->count);
            size_t at = 0;
            Str key, rest;
            while (key_set_next(set, &at, &key, &rest)) {
                buffer_add_sized(out, key);
                buffer_add_sized(out, rest);
            }
        }
        call->aggregate->encode(block + plain_offset(call), call->arg_type, out);
    }
}

void aggregates_decode(const AggregateCall *calls, int count, char *block, Reader *in) {
    for (int c = 0; c < count; c++) {
        const AggregateCall *call = &calls[c];
        if (call->distinct) {
            KeySet *set = (void *)(block + call->offset);
            uint64_t entries = read_varint(in);
            for (uint64_t i = 0; i < entries && !in->bad; i++) {
                Str key = read_sized(in);
                Str rest = read_sized(in);
                if (!in->bad) key_set_add(set, key, rest);
            }
        }
        call->aggregate->decode(block + plain_offset(call), call->arg_type, in);
    }
}

void aggregates_release(const AggregateCall *calls, int count, char *block) {
    for (int c = 0; c < count; c++) {
        const AggregateCall *call = &calls[c];
        if (call->distinct) key_set_free((void *)(block + call->offset));
        if (call->aggregate->release) call->aggregate->release(block + plain_offset(call));
    }
}

size_t aggregates_bytes(const AggregateCall *calls, int count, const char *block) {
    size_t bytes = 0;
    for (int c = 0; c < count; c++) {
        const AggregateCall *call = &calls[c];
        if (call->distinct) bytes += key_set_bytes((const void *)(block + call->offset));
        if (call->aggregate->bytes) bytes += call->aggregate->bytes(block + plain_offset(call));
    }
    return bytes;
}
