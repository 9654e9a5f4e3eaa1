/* Computed columns: filled for whole batches, and the rows that they make bad taken back among the
 * other rejects. */
#include "format/test_decode.h"

static int evaluations;

/* v / w as a function of the test's own: an error where w is 0. */
static void divide(Call *call, int rows, const Column *const *args, Column *out) {
    evaluations++;
    for (int i = 0; i < rows; i++) {
        if (column_state(out, i) != VALUE_OK) continue;
        if (args[1]->ints[i] == 0) column_fail(call, out, i, "division by zero");
        else column_ints(out)[i] = args[0]->ints[i] / args[1]->ints[i] * 1000000;
    }
}

static const Function divide_function = {.name = "divide",
                                         .result = TYPE_TIMESTAMPTZ,
                                         .arg_count = 2,
                                         .args = {TYPE_INT8, TYPE_INT8},
                                         .flags = FUNCTION_STRICT,
                                         .kernel = divide};

static Expr *computed(Arena *arena) {
    Expr **args = arena_new_array(arena, Expr *, 2);
    for (int i = 0; i < 2; i++) args[i] = expr_column(arena, i, type_of(TYPE_INT8));
    return expr_call(arena, &divide_function, type_of(TYPE_TIMESTAMPTZ), args, 2);
}

static Test table(Arena *arena) {
    Test t = test_new(&json_format);
    test_column(&t, "v", TYPE_INT8);
    test_column(&t, "w", TYPE_INT8);
    DecodeColumn *at = test_column(&t, "at", TYPE_TIMESTAMPTZ);
    at->kind = DECODE_COMPUTED;
    at->expr = computed(arena);
    return t;
}

static const char text[] = "{\"v\":6,\"w\":2}\n{\"v\":1,\"w\":0}\nx\n{\"v\":9,\"w\":3}\n{\"v\":1}"
                           "\n{\"v\":8,\"w\":1}\n{\"v\":90,\"w\":1}\n";

static void test_values(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Test t = table(arena);
    evaluations = 0;
    test_decode(&t, text);
    assert_int_equal(evaluations, 1);
    assert_int_equal(test_rows(&t), 6);
    const Batch *batch = t.out.batches[0];
    assert_int_equal(batch->columns[2].ints[0], 3000000);
    assert_int_equal(column_state(&batch->columns[2], 1), VALUE_ERROR);
    assert_string_equal(row_error_text(batch->errors, 1), "division by zero");
    assert_int_equal(column_state(&batch->columns[2], 3), VALUE_NULL);
    test_end(&t);
    arena_free(&arena);
}

static void test_event_time(void **state) {
    (void)state;
    Arena *arena = arena_new();
    for (int batch_rows = 0; batch_rows < 4; batch_rows++) {
        Test t = table(arena);
        t.spec.event_time = 2;
        t.spec.max_future_us = 20000000;
        t.spec.batch_rows = batch_rows;
        test_decode(&t, text);
        assert_string_equal(
            test_text(&t),
            "{\"v\":6,\"w\":2,\"at\":\"1970-01-01T00:00:03Z\"}\n{\"v\":9,\"w\":3,\"at\":\"1970-01-"
            "01T00:00:03Z\"}\n"
            "{\"v\":8,\"w\":1,\"at\":\"1970-01-01T00:00:08Z\"}\n! t[0]@14: field at: division by "
            "zero\n"
            "! t[0]@28: not JSON: x\n! t[0]@44: field at: null, and it is the event time\n"
            "! t[0]@66: field at: the time is further ahead of the clock than max_future allows\n");
        static const int before[] = {1, 1, 2, 3};
        for (int i = 0; i < 4; i++) assert_int_equal(t.out.rejects[i].row_before, before[i]);
        int row = 0;
        for (int b = 0; b < t.out.batch_count; b++)
            for (int i = 0; i < t.out.batches[b]->rows; i++, row++)
                assert_int_equal(t.out.batches[b]->event_times[i], row < 2 ? 3000000 : 8000000);
        test_end(&t);
        t.spec.on_error = ON_ERROR_SKIP;
        test_decode(&t, text);
        assert_int_equal(t.out.skipped, 4);
        assert_int_equal(t.out.reject_count, 0);
        assert_int_equal(test_rows(&t), 3);
        test_end(&t);
        t.spec.on_error = ON_ERROR_FAIL;
        test_decode(&t, text);
        assert_true(t.out.failed);
        assert_true(test_rows(&t) <= 1);
        test_end(&t);
    }
    arena_free(&arena);
}

static void test_broker_time(void **state) {
    (void)state;
    Test t = test_new(&json_format);
    test_column(&t, "t", TYPE_TIMESTAMPTZ);
    t.spec.event_time = 0;
    t.spec.max_future_us = 5000000;
    Record records[] = {
        {.body = STR("{\"t\":\"1970-01-01T00:01:05Z\"}"), .timestamp_us = 60000000},
        {.body = STR("{\"t\":\"1970-01-01T00:01:06Z\"}"), .timestamp_us = 60000000}};
    t.chunk = (Chunk){.records = records, .record_count = 2, .log_append_time = true};
    test_decode(&t, "");
    assert_int_equal(test_rows(&t), 1);
    assert_int_equal(t.out.reject_count, 1);
    test_end(&t);
}

static void test_wrong_event_time(void **state) {
    (void)state;
    Test t = test_new(&json_format);
    test_column(&t, "n", TYPE_INT8);
    t.spec.event_time = 0;
    t.spec.columns = t.columns;
    Error error;
    assert_int_equal(json_format.decoder_new(&t.spec, &t.decoder, &error), FAIL);
    assert_string_equal(error.text,
                        "event_time column 'n' of table 't' must be a timestamptz or a timestamp");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_event_time),
        cmocka_unit_test(test_broker_time), cmocka_unit_test(test_wrong_event_time)};
    return cmocka_run_group_tests_name("format/rows", tests, NULL, NULL);
}
