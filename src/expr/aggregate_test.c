/* Aggregates, judged by PostgreSQL 15; each also in two parts that are written out, read back and
 * merged. Then what PostgreSQL does not have: first and last by event time, filters over many
 * groups at once, accounting, records that are broken. */
#include "expr/aggregate.h"
#include "expr/expr_test.h"
#include <math.h>
#include <stdlib.h>

#define SQL_NULL ""
enum { MOST_VALUES = 4 };

typedef struct AggregateExample {
    const char *name;
    bool distinct;
    const char *type;
    const char *values[MOST_VALUES]; /* SQL_NULL: NULL */
    const char *expected;
} AggregateExample;

static const AggregateExample examples[] = {
    {"count", false, "integer", {"1", SQL_NULL, "3"}, "2"},
    {"count", false, "text", {SQL_NULL}, "0"},
    {"sum", false, "smallint", {"32767", "32767", SQL_NULL}, "65534"},
    {"sum", false, "integer", {"2147483647", "2147483647"}, "4294967294"},
    {"sum",
     false,
     "bigint",
     {"9223372036854775807", "9223372036854775807"},
     "18446744073709551614"},
    {"sum", false, "numeric", {"1.50", "2.5", "-0.001"}, "3.999"},
    {"sum", false, "numeric", {"NaN", "1"}, "NaN"},
    {"sum", false, "numeric", {"Infinity", "-Infinity"}, "NaN"},
    {"sum", false, "real", {"0.1", "0.2", "16777216"}, "1.6777216e+07"},
    {"sum", false, "double precision", {"0.1", "0.2", "0.3"}, "0.6000000000000001"},
    {"sum", false, "double precision", {"-0"}, "-0"},
    {"sum", false, "double precision", {"1e308", "1e308"}, "error: value out of range: overflow"},
    {"sum", false, "interval", {"1 mon", "1 day", "-02:00"}, "1 mon 1 day -02:00:00"},
    {"sum", false, "integer", {SQL_NULL}, "NULL"},
    {"avg", false, "smallint", {"1", "2"}, "1.5000000000000000"},
    {"avg", false, "integer", {"1", "2", "2"}, "1.6666666666666667"},
    {"avg",
     false,
     "bigint",
     {"9223372036854775807", "9223372036854775807", "1"},
     "6148914691236517205"},
    {"avg", false, "numeric", {"1.0", "2.00", "4"}, "2.3333333333333333"},
    {"avg", false, "real", {"0.1", "0.2"}, "0.15000000223517418"},
    {"avg", false, "double precision", {"0.1", "0.2", "0.4"}, "0.23333333333333336"},
    {"avg", false, "double precision", {"-0"}, "0"},
    {"avg", false, "interval", {"1 mon", "1 day", "00:00:01"}, "10 days 08:00:00.333333"},
    {"min", false, "integer", {"3", SQL_NULL, "-1"}, "-1"},
    {"max", false, "bigint", {"3", "9223372036854775807"}, "9223372036854775807"},
    {"min", false, "double precision", {"NaN", "1", "-Infinity"}, "-Infinity"},
    {"max", false, "double precision", {"1", "NaN", "Infinity"}, "NaN"},
    {"min", false, "numeric", {"1.0", "1.00", "2"}, "1.00"},
    {"max", false, "numeric", {"NaN", "5"}, "NaN"},
    {"min", false, "text", {"b", "a", "é", "A"}, "A"},
    {"max", false, "text", {"b", "a", "é"}, "é"},
    {"max", false, "date", {"2020-01-01", "1999-01-01"}, "2020-01-01"},
    {"max",
     false,
     "timestamptz",
     {"2020-01-01T00:00:00Z", "2020-01-01T00:30:00+01"},
     "2020-01-01 00:00:00+00"},
    {"min", false, "interval", {"1 mon", "30 days", "29 days"}, "29 days"},
    {"max", false, "interval", {"1 mon", "30 days"}, "30 days"},
    {"min", false, "text", {SQL_NULL}, "NULL"},
    {"stddev", false, "integer", {"1", "2", "3", "4"}, "1.2909944487358056"},
    {"stddev_pop", false, "integer", {"1", "2", "3", "4"}, "1.1180339887498948"},
    {"variance", false, "smallint", {"7"}, "NULL"},
    {"var_pop", false, "smallint", {"7"}, "0"},
    {"var_samp",
     false,
     "bigint",
     {"9223372036854775807", "-9223372036854775808", "1"},
     "85070591730234615856620279821087277057"},
    {"stddev", false, "numeric", {"1.5", "2.25", "100000000000.125"}, "57735026917.952213"},
    {"stddev_samp", false, "numeric", {"1000000000000", "2000000000001"}, "707106781187"},
    {"var_pop", false, "numeric", {"NaN", "1"}, "NaN"},
    {"variance", false, "numeric", {"0.001", "0.002", "0.004"}, "0.000002333333333333333333"},
    {"stddev", false, "double precision", {"1", "2", "4"}, "1.5275252316519468"},
    {"var_samp", false, "real", {"0.1", "0.2", "0.4"}, "0.02333333402872086"},
    {"var_pop", false, "double precision", {"Infinity", "1"}, "NaN"},
    {"var_samp",
     false,
     "double precision",
     {"1e200", "-1e200"},
     "error: value out of range: overflow"},
    {"bool_and", false, "boolean", {"t", SQL_NULL, "t"}, "true"},
    {"bool_and", false, "boolean", {"t", "f"}, "false"},
    {"bool_or", false, "boolean", {"f", SQL_NULL}, "false"},
    {"every", false, "boolean", {SQL_NULL}, "NULL"},
    {"count", true, "integer", {"1", "1", "2", SQL_NULL}, "2"},
    {"count", true, "numeric", {"1.0", "1.00", "2"}, "2"},
    {"count", true, "jsonb", {"{\"a\":1}", "{\"a\": 1.0}", "1"}, "2"},
    {"count", true, "text", {"a", "a", "A"}, "2"},
    {"count", true, "double precision", {"0", "-0", "NaN", "NaN"}, "2"},
    {"sum", true, "integer", {"5", "5", "6"}, "11"},
    {"sum", true, "numeric", {"1.50", "1.5", "2"}, "3.50"},
    {"avg", true, "bigint", {"1", "1", "4"}, "2.5000000000000000"},
    {"stddev", true, "integer", {"1", "1", "2", "3"}, "1.00000000000000000000"},
    {"max", true, "integer", {"1", "1"}, "1"},
};

static AggregateCall call_of(const char *name, bool distinct, Type type) {
    const Aggregate *aggregate = aggregate_find(str_from(name), 1, type.kind);
    if (!aggregate) fail_msg("no %s of that type", name);
    return (AggregateCall){.aggregate = aggregate,
                           .distinct = distinct,
                           .arg = 0,
                           .filter = -1,
                           .arg_type = type,
                           .result = type_of(aggregate->result)};
}

static const char *result_text(const AggregateCall *call, const char *block, Arena *arena) {
    Value value;
    Error error;
    if (aggregates_result(call, block, &value, arena, &error) != OK)
        return arena_format(arena, "error: %s", error.text);
    return test_text(value, arena);
}

/* Rows of one column, the first `split` of them into states[0], the others into states[1]. */
static void add_rows(const AggregateCall *calls, int count, Batch *batch, int split, char *first,
                     char *second) {
    char **states = arena_new_array(batch->arena, char *, batch->rows + 1);
    for (int i = 0; i < batch->rows; i++) states[i] = i < split ? first : second;
    aggregates_add(calls, count, batch, states);
}

static void reload(const AggregateCall *call, size_t size, char **block) {
    Buffer record = {0};
    aggregates_encode(call, 1, *block, &record);
    char *copy = xcalloc(1, size);
    Reader reader = reader_of(buffer_str(&record));
    aggregates_decode(call, 1, copy, &reader);
    assert_false(reader.bad);
    assert_ptr_equal(reader.at, reader.end);
    /* a record that breaks off is noticed, and frees what was read */
    for (size_t cut = 0; cut < record.size; cut++) {
        char *broken = xcalloc(1, size);
        Reader part = {record.data, record.data + cut, false};
        aggregates_decode(call, 1, broken, &part);
        assert_true(part.bad);
        aggregates_release(call, 1, broken);
        free(broken);
    }
    buffer_free(&record);
    aggregates_release(call, 1, *block);
    free(*block);
    *block = copy;
}

static void check_example(const AggregateExample *example) {
    Arena *arena = arena_new();
    Type type = test_type(example->type);
    int rows = 0;
    while (rows < MOST_VALUES && example->values[rows]) rows++;
    Column column = column_new(type, rows, true, arena);
    int64_t times[MOST_VALUES] = {0, 1, 2, 3};
    for (int i = 0; i < rows; i++) {
        bool null = *example->values[i] == 0;
        Argument argument = {example->type, null ? NULL : example->values[i]};
        column_set(&column, i, test_value(argument, arena), arena);
    }
    Batch batch = {
        .rows = rows, .column_count = 1, .columns = &column, .arena = arena, .event_times = times};
    AggregateCall call = call_of(example->name, example->distinct, type);
    size_t size = aggregates_layout(&call, 1);
    for (int split = 0; split <= rows; split++) {
        char *first = xcalloc(1, size), *second = xcalloc(1, size);
        add_rows(&call, 1, &batch, split, first, second);
        reload(&call, size, &first);
        reload(&call, size, &second);
        aggregates_merge(&call, 1, first, second);
        const char *text = result_text(&call, first, arena);
        if (strcmp(text, example->expected) != 0) {
            /* doubles that were added in another order */
            char *end;
            double got = strtod(text, &end), wanted = strtod(example->expected, NULL);
            if (*end || fabs(got - wanted) > 1e-7 * fabs(wanted))
                print_error("%s, split at %d\n", example->name, split);
            if (*end || fabs(got - wanted) > 1e-7 * fabs(wanted))
                assert_string_equal(text, example->expected);
        }
        aggregates_release(&call, 1, first);
        aggregates_release(&call, 1, second);
        free(first);
        free(second);
    }
    arena_free(&arena);
}

static void aggregates_answer_as_postgresql(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) check_example(&examples[i]);
}

static void first_and_last_go_by_event_time(void **state) {
    (void)state;
    static const char *const types[] = {
        "text", "bigint", "numeric", "boolean", "double precision", "interval", "jsonb"};
    static const char *const values[][5] = {
        {"b", "a", "c", "d", "e"}, {"2", "1", "3", "4", "5"}, {"2.0", "1.00", "3", "4", "5"},
        {"t", "f", "t", "f", "t"}, {"2", "1", "3", "4", "5"}, {"2 s", "1 s", "3 s", "4 s", "5 s"},
        {"2", "1", "3", "4", "5"},
    };
    for (int t = 0; t < 7; t++) {
        Arena *arena = arena_new();
        Type type = test_type(types[t]);
        /* the least time is that of the rows 1 and 2, the greatest that of row 5, which is
         * NULL, and NULL is a value like any other here */
        int64_t times[6] = {5, 1, 1, 9, 9, 100};
        Column column = column_new(type, 6, true, arena);
        Value wanted[5];
        for (int i = 0; i < 5; i++) {
            wanted[i] = test_value((Argument){types[t], values[t][i]}, arena);
            column_set(&column, i, wanted[i], arena);
        }
        column_set(&column, 5, (Value){.type = type, .null = true}, arena);
        Batch batch = {
            .rows = 6, .column_count = 1, .columns = &column, .arena = arena, .event_times = times};
        for (int last = 0; last < 2; last++) {
            AggregateCall call = call_of(last ? "last_value" : "first_value", false, type);
            call.result = type;
            size_t size = aggregates_layout(&call, 1);
            for (int split = 0; split <= 6; split++) {
                char *first = xcalloc(1, size), *second = xcalloc(1, size);
                add_rows(&call, 1, &batch, split, first, second);
                reload(&call, size, &first);
                aggregates_merge(&call, 1, first, second);
                assert_string_equal(result_text(&call, first, arena),
                                    last ? "NULL" : test_text(wanted[1], arena));
                aggregates_release(&call, 1, first);
                aggregates_release(&call, 1, second);
                free(first);
                free(second);
            }
        }
        arena_free(&arena);
    }
}

static void calls_share_a_block_and_filters_are_each_their_own(void **state) {
    (void)state;
    Arena *arena = arena_new();
    enum { ROWS = 1000, GROUPS = 7 };
    Column columns[2] = {column_new(type_of(TYPE_INT4), ROWS, true, arena),
                         column_new(type_of(TYPE_BOOL), ROWS, true, arena)};
    for (int i = 0; i < ROWS; i++) {
        column_ints(&columns[0])[i] = i % 10;
        column_bools(&columns[1])[i] = i % 2 == 0;
        if (i % 3 == 0) column_states(&columns[1])[i] = VALUE_NULL;
    }
    Batch batch = {.rows = ROWS, .column_count = 2, .columns = columns, .arena = arena};
    AggregateCall calls[4] = {
        {.aggregate = aggregate_find(STR("count"), 0, TYPE_UNKNOWN),
         .arg = -1,
         .filter = -1,
         .result = type_of(TYPE_INT8)},
        {.aggregate = aggregate_find(STR("count"), 0, TYPE_UNKNOWN),
         .arg = -1,
         .filter = 1,
         .result = type_of(TYPE_INT8)},
        call_of("sum", false, type_of(TYPE_INT4)),
        call_of("sum", true, type_of(TYPE_INT4)),
    };
    calls[3].filter = 1;
    size_t size = aggregates_layout(calls, 4);
    assert_int_equal(size % 16, 0);
    char *blocks[GROUPS], *states[ROWS];
    for (int g = 0; g < GROUPS; g++) blocks[g] = xcalloc(1, size);
    for (int i = 0; i < ROWS; i++) states[i] = i % 8 == 7 ? NULL : blocks[i % 8];
    aggregates_add(calls, 4, &batch, states);
    for (int g = 0; g < GROUPS; g++) {
        int64_t wanted[4] = {0};
        bool seen[10] = {0};
        for (int i = g; i < ROWS; i += 8) {
            bool passes = i % 2 == 0 && i % 3 != 0;
            wanted[0]++;
            wanted[1] += passes;
            wanted[2] += i % 10;
            wanted[3] += passes && !seen[i % 10] ? i % 10 : 0;
            seen[i % 10] |= passes;
        }
        for (int c = 0; c < 4; c++) {
            Value value;
            Error error;
            assert_int_equal(aggregates_result(&calls[c], blocks[g], &value, arena, &error), OK);
            if (g % 2 == 1 && c == 3) assert_true(value.null); /* no odd row passes */
            else assert_int_equal(value.integer, wanted[c]);
        }
        assert_true(g % 2 == 1 || aggregates_bytes(calls, 4, blocks[g]) > 0);
        aggregates_release(calls, 4, blocks[g]);
        free(blocks[g]);
    }
    arena_free(&arena);
}

static void owned_memory_is_accounted_for(void **state) {
    (void)state;
    Arena *arena = arena_new();
    char *text = arena_alloc(arena, 5000);
    memset(text, 'x', 5000);
    Column column = column_new(type_of(TYPE_TEXT), 1, false, arena);
    column_strs(&column)[0] = (Str){text, 5000};
    Batch batch = {.rows = 1, .column_count = 1, .columns = &column, .arena = arena};
    static const char *const names[] = {"max", "last_value", "count"};
    for (int i = 0; i < 3; i++) {
        AggregateCall call = call_of(names[i], i == 2, type_of(TYPE_TEXT));
        size_t size = aggregates_layout(&call, 1);
        char *block = xcalloc(1, size);
        assert_int_equal(aggregates_bytes(&call, 1, block), 0);
        aggregates_add(&call, 1, &batch, &block);
        size_t bytes = aggregates_bytes(&call, 1, block);
        assert_true(bytes >= 5000 && bytes < 6000);
        aggregates_release(&call, 1, block);
        free(block);
    }
    arena_free(&arena);
}

static void the_table_is_sound(void **state) {
    (void)state;
    const Aggregate *a;
    for (int i = 0; (a = aggregate_at(i)); i++) {
        assert_int_equal(a->size % 16, 0);
        assert_non_null(a->add);
        assert_true((a->release == NULL) == (a->bytes == NULL));
        assert_ptr_equal(aggregate_find(str_from(a->name), a->arg_count, a->arg), a);
    }
    assert_true(aggregate_exists(STR("Stddev_Pop")));
    assert_false(aggregate_exists(STR("median")));
    assert_null(aggregate_find(STR("sum"), 1, TYPE_TEXT));
    assert_null(aggregate_find(STR("sum"), 0, TYPE_UNKNOWN));
    assert_non_null(aggregate_find(STR("count"), 1, TYPE_JSONB));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(aggregates_answer_as_postgresql),
        cmocka_unit_test(first_and_last_go_by_event_time),
        cmocka_unit_test(calls_share_a_block_and_filters_are_each_their_own),
        cmocka_unit_test(owned_memory_is_accounted_for),
        cmocka_unit_test(the_table_is_sound),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
