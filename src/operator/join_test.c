/* Joins and unions: partners, rows without one, NULL keys, duplicates, pairs by the thousand. */
#include "operator/operator_test.h"

/* ---- reference tables ---- */

static Field device_fields[] = {FIELD("id", TYPE_TEXT), FIELD("site", TYPE_INT4)};
static Field event_fields[] = {FIELD("id", TYPE_TEXT), FIELD("n", TYPE_INT4)};
static int first_column[] = {0};

static ReferenceTable *devices(const char *rows) {
    Scene scene = {.inputs = {{2, device_fields}}};
    Stage parsing = {.scene = &scene};
    ReferenceTable *table = reference_new(&scene.inputs[0], first_column, 1);
    Arena *arena = arena_new();
    reference_add(table, parse_rows(&parsing, 0, rows, 0, 256, arena));
    arena_free(&arena);
    return table;
}

static void the_last_of_equal_keys_counts(void **state) {
    (void)state;
    ReferenceTable *table = devices("0 - : a, 1\n 0 - : b, 2\n 0 - : a, 3\n 0 - : null, 4");
    assert_int_equal(reference_rows(table), 2);
    Scene scene = {.inputs = {{2, event_fields}}};
    Stage parsing = {.scene = &scene};
    Arena *arena = arena_new();
    Batch *batch = parse_rows(&parsing, 0, "0 - : a, 1\n 0 - : c, 1\n 0 - : null, 1\n 0 - : b, 1",
                              0, 9, arena);
    int32_t found[4];
    reference_find(table, batch->columns, 1, 4, found);
    Column site = reference_column(table, 1, found, 4, arena);
    assert_int_equal(site.ints[0], 3);
    assert_int_equal(column_state(&site, 1), VALUE_NULL);
    assert_int_equal(column_state(&site, 2), VALUE_NULL);
    assert_int_equal(site.ints[3], 2);
    arena_free(&arena);
    reference_free(&table);
    assert_null(table);
}

static void a_large_table_finds_all(void **state) {
    (void)state;
    Buffer rows = {0};
    for (int i = 0; i < 250; i++) buffer_add_format(&rows, "0 - : device%d, %d\n", i, i);
    buffer_add_char(&rows, '\0');
    ReferenceTable *table = devices(rows.data);
    assert_int_equal(reference_rows(table), 250);
    buffer_free(&rows);
    Scene scene = {.inputs = {{2, event_fields}}};
    Stage parsing = {.scene = &scene};
    for (int i = 0; i < 260; i++) {
        char row[64];
        snprintf(row, sizeof row, "0 - : device%d, 1", i);
        Arena *arena = arena_new();
        Batch *batch = parse_rows(&parsing, 0, row, 0, 9, arena);
        int32_t found;
        reference_find(table, batch->columns, 1, 1, &found);
        assert_true(i < 250 ? reference_column(table, 1, &found, 1, arena).ints[0] == i
                            : found == -1);
        arena_free(&arena);
    }
    reference_free(&table);
}

static ReferenceJoinSpec reference_spec = {0, first_column, 1, false, NULL, {2, device_fields}};

static void inner_drops_and_left_keeps_rows_without_a_partner(void **state) {
    (void)state;
    ReferenceTable *table = devices("0 - : a, 1\n 0 - : b, 2");
    ReferenceJoinSpec spec = reference_spec;
    Scene scene = {.inputs = {{2, event_fields}},
                   .links = {{&reference_join_operator, &spec}},
                   .link_count = 1,
                   .reference = table};
    PLAY(scene, "a|1|a|1 @1\nb|3|b|2 @3\ndead: null|5",
         ROWS("1 - : a, 1\n 2 1 : c, 2\n 3 2 : b, 3\n 4 3 : null, 4\n 5 4 : error, 5"));
    spec.left = true;
    PLAY(scene, "a|1|a|1 @1\nc|2|null|null @2\nnull|4|null|null @4",
         ROWS("1 - : a, 1\n 2 1 : c, 2\n 4 3 : null, 4"));
    reference_free(&table);
}

static Field flagged[] = {FIELD("id", TYPE_TEXT), FIELD("holds", TYPE_BOOL)};

static void further_conditions_are_asked_of_partners_only(void **state) {
    (void)state;
    ReferenceTable *table = devices("0 - : a, 1\n 0 - : b, 2");
    Expr holds = {.kind = EXPR_COLUMN, .type = {TYPE_BOOL, -1}, .column = 1};
    ReferenceJoinSpec spec = {0, first_column, 1, false, &holds, {2, device_fields}};
    Scene scene = {.inputs = {{2, flagged}},
                   .links = {{&reference_join_operator, &spec}},
                   .link_count = 1,
                   .reference = table};
    PLAY(scene, "a|t|a|1 @1\ndead: b|null|b|2",
         ROWS("1 - : a, t\n 2 1 : a, f\n 3 2 : a, null\n 4 2 : b, error\n 5 2 : c, error"));
    spec.left = true;
    PLAY(scene, "a|t|a|1 @1\na|f|null|null @2\ndead: b|null|b|2\nc|null|null|null @5",
         ROWS("1 - : a, t\n 2 1 : a, f\n 4 2 : b, error\n 5 2 : c, error"));
    reference_free(&table);
}

/* ---- windowed results ---- */

static Field left_fields[] = {FIELD("window_end", TYPE_INT8), FIELD("id", TYPE_TEXT),
                              FIELD("n", TYPE_INT4)};
static Field right_fields[] = {FIELD("window_end", TYPE_INT8), FIELD("id", TYPE_TEXT),
                               FIELD("ok", TYPE_BOOL)};
static int second_column[] = {1};

static WindowJoinSpec window_spec(bool left, Expr *residual) {
    return (WindowJoinSpec){CLOSE_TIME, {0, 0},   {second_column, second_column},       1,
                            left,       residual, {{3, left_fields}, {3, right_fields}}};
}

static Scene joined(const WindowJoinSpec *spec) {
    return (Scene){.inputs = {{3, left_fields}, {3, right_fields}},
                   .links = {{&window_join_operator, spec}},
                   .link_count = 1,
                   .results_only = true};
}

static void pairs_leave_when_both_sides_are_through(void **state) {
    (void)state;
    WindowJoinSpec spec = window_spec(false, NULL);
    PLAY(joined(&spec), "10|a|1|10|a|t @10",
         ROWS("10 - : 10, a, 1\n 10 - : 10, b, 2\n 20 - : 20, a, 3"), TIME(20),
         ROWS_OF(1, "10 - : 10, a, t\n 10 - : 10, c, t"), TIME_OF(1, 19),
         ROWS_OF(1, "20 - : 20, a, t"));
    PLAY(joined(&spec), "10|a|1|10|a|t @10\n20|a|3|20|a|t @20",
         ROWS("10 - : 10, a, 1\n 20 - : 20, a, 3"), TIME(20),
         ROWS_OF(1, "10 - : 10, a, t\n 20 - : 20, a, t"), TIME_OF(1, 19), THE_END_OF(1));
}

static void left_rows_leave_alone(void **state) {
    (void)state;
    WindowJoinSpec spec = window_spec(true, NULL);
    PLAY(joined(&spec),
         "10|a|1|10|a|t @10\n10|b|2|null|null|null @10\n10|null|3|null|null|null @10",
         ROWS("10 - : 10, a, 1\n 10 - : 10, b, 2\n 10 - : 10, null, 3"),
         ROWS_OF(1, "10 - : 10, a, t\n 10 - : 10, c, t\n 10 - : 10, null, t"), THE_END,
         THE_END_OF(1));
}

static void null_keys_never_meet(void **state) {
    (void)state;
    WindowJoinSpec spec = window_spec(false, NULL);
    PLAY(joined(&spec), "", ROWS("10 - : 10, null, 1"), ROWS_OF(1, "10 - : 10, null, t"), THE_END,
         THE_END_OF(1));
}

static void duplicates_multiply(void **state) {
    (void)state;
    WindowJoinSpec spec = window_spec(false, NULL);
    PLAY(joined(&spec),
         "10|a|1|10|a|t @10\n10|a|1|10|a|f @10\n10|a|2|10|a|t @10\n10|a|2|10|a|f @10",
         ROWS("10 - : 10, a, 1\n 10 - : 10, a, 2"), ROWS_OF(1, "10 - : 10, a, t\n 10 - : 10, a, f"),
         THE_END_OF(1), THE_END);
}

static void conditions_judge_pairs(void **state) {
    (void)state;
    Expr holds = {.kind = EXPR_COLUMN, .type = {TYPE_BOOL, -1}, .column = 5};
    WindowJoinSpec inner = window_spec(false, &holds), left = window_spec(true, &holds);
    PLAY(joined(&inner), "10|a|1|10|a|t @10",
         ROWS("10 - : 10, a, 1\n 10 - : 10, b, 2\n 10 - : 10, c, 3"),
         ROWS_OF(1, "10 - : 10, a, t\n 10 - : 10, a, f\n 10 - : 10, b, f\n 10 - : 10, b, null"),
         THE_END, THE_END_OF(1));
    PLAY(joined(&left), "10|a|1|10|a|t @10\n10|b|2|null|null|null @10\n10|c|3|null|null|null @10",
         ROWS("10 - : 10, a, 1\n 10 - : 10, b, 2\n 10 - : 10, c, 3"),
         ROWS_OF(1, "10 - : 10, a, t\n 10 - : 10, a, f\n 10 - : 10, b, f\n 10 - : 10, b, null"),
         THE_END, THE_END_OF(1));
}

/* 120 x 120 pairs of one key: seven batches, the process dies between them. A left row's pairs
 * straddle batches. */
static void pairs_of_one_key_go_out_in_batches(void **state) {
    (void)state;
    Expr holds = {.kind = EXPR_COLUMN, .type = {TYPE_BOOL, -1}, .column = 5};
    WindowJoinSpec spec = window_spec(true, &holds);
    Scene scene = joined(&spec);
    Buffer left = {0}, right = {0};
    for (int i = 0; i < 120; i++) {
        buffer_add_format(&left, "10 - : 10, a, %d\n", i);
        buffer_add_format(&right, "10 - : 10, a, %s\n", i % 2 ? "f" : "t");
    }
    buffer_add_char(&left, '\0');
    buffer_add_char(&right, '\0');
    Step steps[] = {ROWS(left.data), ROWS_OF(1, right.data), THE_END, THE_END_OF(1)};
    for (int killed = 0; killed < 2; killed++) {
        Stage stage;
        stage_begin(&stage, &scene);
        for (int i = 0; i < 4; i++) run_step(&stage, &steps[i], killed && i > 1 ? KILLED : WHOLE);
        assert_int_equal(stage.results.count, 120 * 60);
        for (int i = 0; i < stage.results.count; i++)
            assert_null(strstr(stage.results.items[i], "null"));
        stage_end(&stage);
    }
    buffer_free(&left);
    buffer_free(&right);
}

static void rows_of_a_closed_window_are_late(void **state) {
    (void)state;
    WindowJoinSpec spec = window_spec(false, NULL);
    PLAY(joined(&spec), "idle: 10|a|1", TIME(10), TIME_OF(1, 10), ROWS("10 - : 10, a, 1"), THE_END,
         THE_END_OF(1));
}

/* ---- union ---- */

static void a_union_is_as_far_as_its_slowest_input(void **state) {
    (void)state;
    static const UnionSpec spec = {2};
    Scene scene = {.inputs = {{2, event_fields}, {2, event_fields}},
                   .links = {{&union_operator, &spec}},
                   .link_count = 1};
    Stage stage;
    stage_begin(&stage, &scene);
    static const Step steps[] = {TIME(20), TIME_OF(1, 10), ROWS("1 - : a, 1"),
                                 ROWS_OF(1, "1 - : b, 2"), TIME_OF(1, 30)};
    run_step(&stage, &steps[0], WHOLE);
    assert_int_equal(stage.ops[0]->output_mark.time, NO_TIME);
    run_step(&stage, &steps[1], WHOLE);
    assert_int_equal(stage.ops[0]->output_mark.time, 10);
    run_step(&stage, &steps[2], WHOLE);
    run_step(&stage, &steps[3], WHOLE);
    run_step(&stage, &steps[4], WHOLE);
    assert_int_equal(stage.ops[0]->output_mark.time, 20);
    assert_lines(&stage, "a|1 @1\nb|2 @1", WHOLE);
    stage_end(&stage);
}

static void branches_keep_equal_keys_apart(void **state) {
    (void)state;
    static const UnionSpec spec = {2};
    Scene scene = {.inputs = {{2, event_fields}, {2, event_fields}},
                   .links = {{&union_operator, &spec}},
                   .link_count = 1,
                   .folded = true,
                   .results_only = true};
    PLAY(scene, "a|1 @1\na|1 @2", ROWS("1 - : a, 1"), ROWS_OF(1, "2 - : a, 1"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_of_equal_keys_counts),
        cmocka_unit_test(a_large_table_finds_all),
        cmocka_unit_test(inner_drops_and_left_keeps_rows_without_a_partner),
        cmocka_unit_test(further_conditions_are_asked_of_partners_only),
        cmocka_unit_test(pairs_leave_when_both_sides_are_through),
        cmocka_unit_test(left_rows_leave_alone),
        cmocka_unit_test(null_keys_never_meet),
        cmocka_unit_test(duplicates_multiply),
        cmocka_unit_test(conditions_judge_pairs),
        cmocka_unit_test(pairs_of_one_key_go_out_in_batches),
        cmocka_unit_test(rows_of_a_closed_window_are_late),
        cmocka_unit_test(a_union_is_as_far_as_its_slowest_input),
        cmocka_unit_test(branches_keep_equal_keys_apart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
