/* count, bool_and, bool_or, every: states of one or two integers. */
#include "expr/aggregate_internal.h"

typedef struct Count {
    int64_t count;
} Count;

static void count_rows(const Column *arg, const int64_t *times, const int32_t *rows, int count,
                       char *const *states, size_t offset) {
    (void)arg, (void)times, (void)rows;
    for (int i = 0; i < count; i++) ((Count *)(void *)(states[i] + offset))->count++;
}

static void count_values(const Column *arg, const int64_t *times, const int32_t *rows, int count,
                         char *const *states, size_t offset) {
    if (!arg->states) {
        count_rows(arg, times, rows, count, states, offset);
        return;
    }
    for (int i = 0; i < count; i++)
        ((Count *)(void *)(states[i] + offset))->count += arg->states[rows[i]] == VALUE_OK;
}

static void count_merge(char *into, const char *from, Type arg) {
    (void)arg;
    ((Count *)(void *)into)->count += ((const Count *)(const void *)from)->count;
}

static Status count_result(const char *state, Type arg, Type result, Value *out, Arena *arena,
                           Error *error) {
    (void)arg, (void)arena, (void)error;
    *out = (Value){.type = result, .integer = ((const Count *)(const void *)state)->count};
    return OK;
}

static void count_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    buffer_add_varint(out, (uint64_t)((const Count *)(const void *)state)->count);
}

static void count_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    ((Count *)(void *)state)->count = (int64_t)read_varint(in);
}

/* How many of each: both results follow from it. */
typedef struct Bools {
    int64_t trues, falses;
} Bools;

ADD_LOOP(bools_add, Bools, uint8_t, bools, (x ? s->trues++ : s->falses++))

static void bools_merge(char *into, const char *from, Type arg) {
    (void)arg;
    Bools *to = (void *)into;
    const Bools *other = (const void *)from;
    to->trues += other->trues;
    to->falses += other->falses;
}

static Status bools_result(const char *state, Type result, Value *out, bool all) {
    const Bools *s = (const void *)state;
    if (s->trues + s->falses == 0) return null_result(result, out);
    *out = (Value){.type = result, .boolean = all ? s->falses == 0 : s->trues > 0};
    return OK;
}

static Status and_result(const char *state, Type arg, Type result, Value *out, Arena *arena,
                         Error *error) {
    (void)arg, (void)arena, (void)error;
    return bools_result(state, result, out, true);
}

static Status or_result(const char *state, Type arg, Type result, Value *out, Arena *arena,
                        Error *error) {
    (void)arg, (void)arena, (void)error;
    return bools_result(state, result, out, false);
}

static void bools_encode(const char *state, Type arg, Buffer *out) {
    (void)arg;
    const Bools *s = (const void *)state;
    buffer_add_varint(out, (uint64_t)s->trues);
    buffer_add_varint(out, (uint64_t)s->falses);
}

static void bools_decode(char *state, Type arg, Reader *in) {
    (void)arg;
    Bools *s = (void *)state;
    s->trues = (int64_t)read_varint(in);
    s->falses = (int64_t)read_varint(in);
}

#define COUNT(args, adder, text)                                                                   \
    {                                                                                              \
        .name = "count", .result = TYPE_INT8, .arg_count = args, .size = STATE_SIZE(Count),        \
        .add = adder, .merge = count_merge, .result_of = count_result, .encode = count_encode,     \
        .decode = count_decode, .help = text                                                       \
    }
#define BOOLS(aggregate, result_function, text)                                                    \
    {                                                                                              \
        .name = aggregate, .result = TYPE_BOOL, .arg = TYPE_BOOL, .arg_count = 1,                  \
        .size = STATE_SIZE(Bools), .add = bools_add, .merge = bools_merge,                         \
        .result_of = result_function, .encode = bools_encode, .decode = bools_decode, .help = text \
    }

const Aggregate count_aggregates[] = {
    COUNT(0, count_rows, "number of rows: count(*)"),
    COUNT(1, count_values, "number of rows where the argument is not NULL"),
    BOOLS("bool_and", and_result, "whether all values are true"),
    BOOLS("every", and_result, "the same as bool_and"),
    BOOLS("bool_or", or_result, "whether any value is true"),
    {0},
};
