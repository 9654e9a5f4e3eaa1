/* GROUP BY: windows that close, groups that grow, groups without a window, what survives. */
#include "operator/operator_test.h"

static Field fields[] = {FIELD("id", TYPE_TEXT), FIELD("v", TYPE_INT4)};
static const WindowSpec tumble10 = {WINDOW_TUMBLE, TIME_EVENT, -1, {TYPE_INT8, -1}, 10, 10, 0};
static const WindowSpec hop10 = {WINDOW_HOP, TIME_EVENT, -1, {TYPE_INT8, -1}, 5, 10, 0};

/* count(*), sum(v) over columns (id, v, …) */
static AggregateCall calls[2];
static int end_and_id[] = {3, 0};
static Field results[] = {FIELD("window_end", TYPE_INT8), FIELD("id", TYPE_TEXT),
                          FIELD("count", TYPE_INT8), FIELD("sum", TYPE_INT8)};
static AggregateSpec by_window;

static int make_calls(void **state) {
    (void)state;
    calls[0] = (AggregateCall){.aggregate = aggregate_find(STR("count"), 0, TYPE_UNKNOWN),
                               .arg = -1,
                               .filter = -1,
                               .result = {TYPE_INT8, -1}};
    calls[1] = (AggregateCall){.aggregate = aggregate_find(STR("sum"), 1, TYPE_INT4),
                               .arg = 1,
                               .filter = -1,
                               .arg_type = {TYPE_INT4, -1},
                               .result = {TYPE_INT8, -1}};
    by_window = (AggregateSpec){end_and_id, 2, calls, 2,     aggregates_layout(calls, 2),
                                CLOSE_TIME, 0, false, false, {4, results}};
    return 0;
}

static Scene windowed(const WindowSpec *window, const AggregateSpec *spec) {
    return (Scene){.inputs = {{2, fields}},
                   .links = {{&window_operator, window}, {&aggregate_operator, spec}},
                   .link_count = 2};
}

static void windows_close_when_time_reaches_their_end(void **state) {
    (void)state;
    PLAY(windowed(&tumble10, &by_window), "10|a|2|5 @10\n10|b|1|null @10\n20|a|1|7 @20",
         ROWS("1 - : a, 2\n 9 1 : a, 3\n 5 9 : b, null"), TIME(9), ROWS("10 9 : a, 7"), TIME(10),
         TIME(19), TIME(20));
}

static void nothing_comes_before_its_time(void **state) {
    (void)state;
    PLAY(windowed(&tumble10, &by_window), "", ROWS("1 - : a, 2\n 9 1 : a, 3"), TIME(9));
}

static void the_end_closes_all(void **state) {
    (void)state;
    PLAY(windowed(&tumble10, &by_window), "10|a|1|2 @10\n60|null|1|1 @60\n20|a|1|3 @20",
         ROWS("1 - : a, 2\n 19 1 : a, 3\n 55 19 : null, 1"), THE_END, THE_END);
}

static void late_rows_do_not_count(void **state) {
    (void)state;
    PLAY(windowed(&hop10, &by_window), "10|a|1|1 @10\n15|a|2|3 @15\n20|b|1|4 @20\nlate: a|9",
         ROWS("7 - : a, 1\n 8 10 : a, 2"), TIME(10), ROWS("4 10 : a, 9\n 12 16 : b, 4"), TIME(15),
         THE_END);
}

static void hop_results_of_many_windows_in_one_go(void **state) {
    (void)state;
    PLAY(windowed(&hop10, &by_window), "5|a|1|1 @5\n10|a|2|3 @10\n15|a|1|2 @15",
         ROWS("4 - : a, 1\n 7 4 : a, 2"), THE_END);
}

/* 5000 groups in one window: more than a batch, the process dies between two of them. */
static void many_groups_go_out_in_batches(void **state) {
    (void)state;
    Buffer rows[20] = {{0}}, expected = {0};
    static Step steps[21];
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 250; k++) {
            buffer_add_format(&rows[i], "5 - : id%d, %d\n", i * 250 + k, k);
            buffer_add_format(&expected, "10|id%d|1|%d @10\n", i * 250 + k, k);
        }
        buffer_add_char(&rows[i], '\0');
        steps[i] = (Step)ROWS(rows[i].data);
    }
    buffer_add_char(&expected, '\0');
    steps[20] = (Step)TIME(10);
    Scene scene = windowed(&tumble10, &by_window);
    scene.steps = steps;
    scene.step_count = 21;
    for (Way way = WHOLE; way < WAYS; way += 2) {
        Stage stage;
        stage_begin(&stage, &scene);
        for (int i = 0; i < 21; i++) {
            if (way == KILLED && i < 20)
                run_step(&stage, &steps[i], WHOLE), kill_and_restore(&stage);
            else run_step(&stage, &steps[i], way);
        }
        assert_lines(&stage, expected.data, way);
        assert_int_equal(state_entries(stage.ops[1]->state), 0);
        stage_end(&stage);
    }
    for (int i = 0; i < 20; i++) buffer_free(&rows[i]);
    buffer_free(&expected);
}

/* HAVING sum > … is a boolean column here: count = 1 keeps the group. */
static void growth_shows_and_takes_back(void **state) {
    (void)state;
    AggregateSpec growing = by_window;
    growing.growth = true;
    Scene scene = windowed(&tumble10, &growing);
    scene.folded = true;
    static const Step steps[] = {ROWS("1 - : a, 2\n 2 1 : b, 3"),
                                 CLOSE_EPOCH,
                                 ROWS("3 2 : a, 4"),
                                 CLOSE_EPOCH,
                                 CLOSE_EPOCH,
                                 TIME(10)};
    Stage stage;
    scene.steps = steps;
    stage_begin(&stage, &scene);
    run_step(&stage, &steps[0], WHOLE);
    assert_int_equal(stage.view_rows.count, 0);
    run_step(&stage, &steps[1], WHOLE);
    assert_int_equal(stage.growth_rows, 2);
    assert_int_equal(stage.view_rows.count, 2);
    run_step(&stage, &steps[2], WHOLE);
    run_step(&stage, &steps[3], WHOLE);
    assert_int_equal(stage.growth_rows, 3); /* b did not change */
    run_step(&stage, &steps[4], WHOLE);
    assert_int_equal(stage.growth_rows, 3);
    run_step(&stage, &steps[5], WHOLE);
    assert_int_equal(stage.growth_rows, 3);
    assert_lines(&stage, "10|a|2|6 @10\n10|b|1|3 @10", WHOLE);
    stage_end(&stage);
}

static Field having_fields[] = {FIELD("keep", TYPE_BOOL)};
static int by_end[] = {2};

/* HAVING bool_and(keep), seen to grow, then to fail. */
static void having_takes_groups_out_of_the_view(void **state) {
    (void)state;
    AggregateCall all[1] = {{.aggregate = aggregate_find(STR("bool_and"), 1, TYPE_BOOL),
                             .arg = 0,
                             .filter = -1,
                             .arg_type = {TYPE_BOOL, -1},
                             .result = {TYPE_BOOL, -1}}};
    Field out[] = {FIELD("window_end", TYPE_INT8), FIELD("all", TYPE_BOOL)};
    AggregateSpec spec = {by_end,     1, all,  1,     aggregates_layout(all, 1),
                          CLOSE_TIME, 0, true, false, {2, out}};
    Expr condition = {.kind = EXPR_COLUMN, .type = {TYPE_BOOL, -1}, .column = 1};
    FilterSpec having = {&condition, true};
    Scene scene = {.inputs = {{1, having_fields}},
                   .links = {{&window_operator, &tumble10},
                             {&aggregate_operator, &spec},
                             {&filter_operator, &having}},
                   .link_count = 3,
                   .folded = true};
    static const Step steps[] = {ROWS("1 - : t\n 11 1 : t"), CLOSE_EPOCH, ROWS("2 9 : f"),
                                 CLOSE_EPOCH, TIME(20)};
    Stage stage;
    scene.steps = steps;
    stage_begin(&stage, &scene);
    run_step(&stage, &steps[0], WHOLE);
    run_step(&stage, &steps[1], WHOLE);
    assert_int_equal(stage.view_rows.count, 2);
    run_step(&stage, &steps[2], WHOLE);
    run_step(&stage, &steps[3], WHOLE);
    assert_int_equal(stage.view_rows.count, 1);
    run_step(&stage, &steps[4], WHOLE);
    assert_lines(&stage, "20|t @20", WHOLE);
    stage_end(&stage);
    scene.step_count = 5;
    play(&scene, "20|t @20");
}

/* Another query sees final rows once, no growth, no deletes. */
static void others_see_final_rows_only(void **state) {
    (void)state;
    AggregateSpec growing = by_window;
    growing.growth = true;
    Scene scene = windowed(&tumble10, &growing);
    static const Step steps[] = {ROWS("1 - : a, 2"), CLOSE_EPOCH, TIME(10)};
    Stage stage;
    scene.steps = steps;
    stage_begin(&stage, &scene);
    stage.ops[1]->outs[0].own_query = false;
    for (int i = 0; i < 3; i++) run_step(&stage, &steps[i], WHOLE);
    assert_int_equal(stage.growth_rows, 0);
    assert_lines(&stage, "10|a|1|2 @10", WHOLE);
    stage_end(&stage);
}

static int by_id[] = {0};
static Field plain_results[] = {FIELD("id", TYPE_TEXT), FIELD("count", TYPE_INT8),
                                FIELD("sum", TYPE_INT8)};

static void without_a_window_a_row_a_group_is_kept(void **state) {
    (void)state;
    AggregateSpec spec = {by_id,       1,  calls, 2,     by_window.block_size,
                          CLOSE_NEVER, -1, false, false, {3, plain_results}};
    Scene scene = {.inputs = {{2, fields}},
                   .links = {{&aggregate_operator, &spec}},
                   .link_count = 1,
                   .folded = true};
    PLAY(scene, "a|3|6\nb|1|5", ROWS("1 - : a, 1\n 1 1 : a, 2\n 1 1 : b, 5"), CLOSE_EPOCH,
         TIME(100), ROWS("2 1 : a, 3"), CLOSE_EPOCH);
}

static void bounded_groups_come_once_at_the_end(void **state) {
    (void)state;
    AggregateSpec spec = {by_id,       1,  calls, 2,    by_window.block_size,
                          CLOSE_NEVER, -1, false, true, {3, plain_results}};
    Scene scene = {
        .inputs = {{2, fields}}, .links = {{&aggregate_operator, &spec}}, .link_count = 1};
    PLAY(scene, "a|2|3\nb|1|5", ROWS("1 - : a, 1\n 1 1 : a, 2\n 1 1 : b, 5"), CLOSE_EPOCH,
         TIME(100), THE_END, THE_END);
}

static void without_keys_there_is_one_group_even_of_nothing(void **state) {
    (void)state;
    AggregateSpec spec = {NULL,        0,  calls, 2,    by_window.block_size,
                          CLOSE_NEVER, -1, false, true, {2, plain_results + 1}};
    Scene scene = {
        .inputs = {{2, fields}}, .links = {{&aggregate_operator, &spec}}, .link_count = 1};
    PLAY(scene, "0|null", TIME(5), THE_END, THE_END);
    PLAY(scene, "2|3", ROWS("1 - : a, 1\n 1 1 : b, 2"), THE_END, CLOSE_EPOCH, THE_END);
}

/* An outer step over results that name window_start alone. */
static void outer_groups_close_with_the_inner_window(void **state) {
    (void)state;
    static int inner_keys[] = {2, 3, 0}, outer_keys[] = {0};
    Field inner_out[] = {FIELD("window_start", TYPE_INT8), FIELD("window_end", TYPE_INT8),
                         FIELD("id", TYPE_TEXT), FIELD("count", TYPE_INT8)};
    AggregateCall inner_calls[1] = {calls[0]};
    AggregateSpec inner = {inner_keys, 3, inner_calls, 1,     aggregates_layout(inner_calls, 1),
                           CLOSE_TIME, 1, false,       false, {4, inner_out}};
    AggregateCall most[1] = {{.aggregate = aggregate_find(STR("max"), 1, TYPE_INT8),
                              .arg = 3,
                              .filter = -1,
                              .arg_type = {TYPE_INT8, -1},
                              .result = {TYPE_INT8, -1}}};
    Field outer_out[] = {FIELD("window_start", TYPE_INT8), FIELD("most", TYPE_INT8)};
    AggregateSpec outer = {outer_keys,         1, most,  1,     aggregates_layout(most, 1),
                           CLOSE_WINDOW_START, 0, false, false, {2, outer_out}};
    Scene scene = windowed(&tumble10, &inner);
    scene.links[2] = (Link){&aggregate_operator, &outer};
    scene.link_count = 3;
    PLAY(scene, "0|2 @10\n10|1 @20", ROWS("1 - : a, 1\n 2 1 : a, 1\n 3 1 : b, 1\n 12 3 : b, 1"),
         TIME(10), TIME(15), TIME(20));
    PLAY(scene, "0|2 @10", ROWS("1 - : a, 1\n 2 1 : a, 1\n 3 1 : b, 1\n 12 3 : b, 1"), TIME(10),
         TIME(19));
}

static Field decimal_fields[] = {FIELD("n", TYPE_NUMERIC), FIELD("v", TYPE_INT4)};

static void a_group_looks_as_it_first_came(void **state) {
    (void)state;
    static int keys[] = {0};
    Field out[] = {FIELD("n", TYPE_NUMERIC), FIELD("count", TYPE_INT8)};
    AggregateCall count[1] = {calls[0]};
    AggregateSpec spec = {keys,        1,  count, 1,    aggregates_layout(count, 1),
                          CLOSE_NEVER, -1, false, true, {2, out}};
    Scene scene = {
        .inputs = {{2, decimal_fields}}, .links = {{&aggregate_operator, &spec}}, .link_count = 1};
    PLAY(scene, "1.50|3\n2|1\nnull|1\ndead: null|2",
         ROWS("1 - : 1.50, 1\n 1 - : 1.5, 1\n 1 - : 1.500, 1\n 1 - : 2, 2\n 1 - : null, 2\n 1 - : "
              "error, 2"),
         THE_END);
}

static void a_window_that_is_over_gives_its_memory_back(void **state) {
    (void)state;
    Scene scene = windowed(&tumble10, &by_window);
    Stage stage;
    stage_begin(&stage, &scene);
    size_t bytes = 0;
    for (int w = 0; w < 50; w++) {
        char rows[256];
        snprintf(rows, sizeof rows, "%d - : a, 1\n %d - : b%d, 1\n %d - : c, 1", w * 10, w * 10 + 1,
                 w, w * 10 + 2);
        Step push = ROWS(rows), time = TIME(w * 10 + 10);
        run_step(&stage, &push, WHOLE);
        close_epoch(&stage);
        run_step(&stage, &time, WHOLE);
        close_epoch(&stage);
        assert_int_equal(state_entries(stage.ops[1]->state), 0);
        if (w == 5) bytes = state_bytes(stage.ops[1]->state);
    }
    assert_true(state_bytes(stage.ops[1]->state) <= bytes);
    kill_and_restore(&stage);
    assert_int_equal(state_entries(stage.ops[1]->state), 0);
    stage_end(&stage);
}

static Field totals_out[] = {FIELD("id", TYPE_TEXT), FIELD("count", TYPE_INT8),
                             FIELD("sum", TYPE_INT8)};

static AggregateSpec forgetting(int64_t ttl_us) {
    return (AggregateSpec){.keys = by_id,
                           .key_count = 1,
                           .calls = calls,
                           .call_count = 2,
                           .block_size = by_window.block_size,
                           .close = CLOSE_NEVER,
                           .bucket = -1,
                           .output = {3, totals_out},
                           .ttl_us = ttl_us};
}

static Scene totals(const AggregateSpec *spec) {
    return (Scene){
        .inputs = {{2, fields}}, .links = {{&aggregate_operator, spec}}, .link_count = 1};
}

/* a is over at 10 + 5, when time is there; b was touched later; late rows touch nothing. */
static void groups_that_nothing_came_to_are_told_as_gone(void **state) {
    (void)state;
    AggregateSpec spec = forgetting(5);
    Scene scene = totals(&spec);
    scene.folded = true;
    PLAY(scene, "b|2|4\nc|1|9", ROWS("10 - : a, 1\n 3 7 : b, 2\n 12 9 : b, 3\n 4 9 : b, 1\n"),
         CLOSE_EPOCH, TIME(14), CLOSE_EPOCH, TIME(15), ROWS("20 15 : c, 9"), CLOSE_EPOCH, TIME(16),
         CLOSE_EPOCH);
    static const Step gone[] = {ROWS("10 - : a, 1"), CLOSE_EPOCH, TIME(15)};
    scene.folded = false;
    scene.steps = gone;
    scene.step_count = 3;
    Stage stage;
    stage_begin(&stage, &scene);
    for (int i = 0; i < 3; i++) run_step(&stage, &gone[i], WHOLE);
    assert_lines(&stage, "a|1|1\ngone: a|null|null", WHOLE);
    assert_int_equal(state_entries(stage.ops[0]->state), 0);
    stage_end(&stage);
}

/* By what the row's partition had seen, whether time came there between the two or not. */
static void a_row_after_that_begins_its_group_anew(void **state) {
    (void)state;
    AggregateSpec spec = forgetting(5);
    Scene scene = totals(&spec);
    scene.folded = true;
    PLAY(scene, "a|2|12\nb|2|3\nc|1|1",
         ROWS("1 - : a, 1\n 2 1 : b, 1\n 3 2 : a, 2\n 7 3 : x, 0\n 8 6 : b, 2\n 9 8 : a, 4\n"
              "9 8 : a, 8\n"),
         CLOSE_EPOCH, TIME(8), ROWS("13 9 : c, 1"), TIME(12), CLOSE_EPOCH, ROWS("2 18 : d, 1"),
         CLOSE_EPOCH);
}

static void a_huge_ttl_forgets_nothing(void **state) {
    (void)state;
    AggregateSpec spec = forgetting(INT64_MAX);
    Scene scene = totals(&spec);
    scene.folded = true;
    PLAY(scene, "a|2|3", ROWS("1 - : a, 1"), TIME(1000000), ROWS("2000000 1000000 : a, 2"),
         CLOSE_EPOCH);
}

/* Results of windows have no `seen`: before one that ends at 20, time was just before that. */
static void results_of_windows_age_by_their_ends(void **state) {
    (void)state;
    AggregateSpec spec = forgetting(10);
    Scene scene = totals(&spec);
    scene.folded = scene.results_only = true;
    PLAY(scene, "a|2|3\nb|1|4", ROWS("10 - : a, 1\n 10 - : b, 1\n 20 - : a, 2\n 21 - : b, 4"),
         TIME(21), CLOSE_EPOCH);
}

/* Of groups that change without end only those are told as gone that were told to be there. */
static void who_never_passed_is_not_deleted(void **state) {
    (void)state;
    static Field in[] = {FIELD("id", TYPE_TEXT), FIELD("keep", TYPE_BOOL)};
    static Field out[] = {FIELD("id", TYPE_TEXT), FIELD("last", TYPE_BOOL)};
    AggregateCall last[1] = {{.aggregate = aggregate_find(STR("last_value"), 1, TYPE_BOOL),
                              .arg = 1,
                              .filter = -1,
                              .arg_type = {TYPE_BOOL, -1},
                              .result = {TYPE_BOOL, -1}}};
    AggregateSpec spec = {.keys = by_id,
                          .key_count = 1,
                          .calls = last,
                          .call_count = 1,
                          .block_size = aggregates_layout(last, 1),
                          .close = CLOSE_NEVER,
                          .bucket = -1,
                          .output = {2, out},
                          .ttl_us = 10};
    Expr condition = {.kind = EXPR_COLUMN, .type = {TYPE_BOOL, -1}, .column = 1};
    FilterSpec having = {&condition, true, true};
    static const Step steps[] = {ROWS("1 - : a, t\n 1 - : b, f"),
                                 CLOSE_EPOCH,
                                 ROWS("2 1 : a, f\n 2 1 : b, f\n 2 1 : c, t"),
                                 CLOSE_EPOCH,
                                 ROWS("3 2 : a, f\n 3 2 : b, t\n 3 2 : c, null"),
                                 CLOSE_EPOCH,
                                 TIME(13)};
    Scene scene = {.inputs = {{2, in}},
                   .links = {{&aggregate_operator, &spec}, {&filter_operator, &having}},
                   .link_count = 2,
                   .steps = steps,
                   .step_count = 7};
    for (int killed = 0; killed < 2; killed++) {
        Stage stage;
        stage_begin(&stage, &scene);
        for (int i = 0; i < 7; i++) {
            run_step(&stage, &steps[i], WHOLE);
            if (killed && steps[i].kind == EPOCH) kill_and_restore(&stage);
        }
        assert_lines(&stage, "a|t\ngone: a|f\nc|t\ngone: c|null\nb|t\ngone: b|null", WHOLE);
        assert_int_equal(state_entries(stage.ops[1]->state), 0);
        stage_end(&stage);
    }
}

/* More than a batch of them, some touched again, in another order than they came. */
static void many_groups_are_forgotten_in_batches(void **state) {
    (void)state;
    AggregateSpec spec = forgetting(1000);
    Scene scene = totals(&spec);
    scene.folded = true;
    Buffer rows[21] = {{0}};
    static Step steps[24];
    int step = 0;
    for (int i = 0; i < 20; i++) {
        for (int k = 0; k < 250; k++)
            buffer_add_format(&rows[i], "%d - : id%d, 1\n", (i * 250 + k) * 7919 % 5000,
                              i * 250 + k);
        buffer_add_char(&rows[i], '\0');
        steps[step++] = (Step)ROWS(rows[i].data);
    }
    for (int k = 0; k < 50; k++) buffer_add_format(&rows[20], "9000 - : id%d, 1\n", k * 100);
    buffer_add_char(&rows[20], '\0');
    steps[step++] = (Step)ROWS(rows[20].data);
    steps[step++] = (Step)TIME(5989);
    scene.steps = steps;
    scene.step_count = step;
    Stage stage;
    stage_begin(&stage, &scene);
    for (int i = 0; i < step; i++) run_step(&stage, &steps[i], WHOLE);
    /* Of the last 10 times one is that of a group that was touched. */
    assert_in_range(state_entries(stage.ops[0]->state), 50 + 9, 50 + 10);
    kill_and_restore(&stage);
    run_step(&stage, &(Step)TIME(9999), WHOLE);
    assert_int_equal(state_entries(stage.ops[0]->state), 50);
    run_step(&stage, &(Step)TIME(10000), WHOLE);
    assert_int_equal(state_entries(stage.ops[0]->state), 0);
    assert_int_equal(stage.view_rows.count, 0);
    stage_end(&stage);
    for (int i = 0; i < 21; i++) buffer_free(&rows[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_close_when_time_reaches_their_end),
        cmocka_unit_test(nothing_comes_before_its_time),
        cmocka_unit_test(the_end_closes_all),
        cmocka_unit_test(late_rows_do_not_count),
        cmocka_unit_test(hop_results_of_many_windows_in_one_go),
        cmocka_unit_test(many_groups_go_out_in_batches),
        cmocka_unit_test(growth_shows_and_takes_back),
        cmocka_unit_test(having_takes_groups_out_of_the_view),
        cmocka_unit_test(others_see_final_rows_only),
        cmocka_unit_test(without_a_window_a_row_a_group_is_kept),
        cmocka_unit_test(bounded_groups_come_once_at_the_end),
        cmocka_unit_test(without_keys_there_is_one_group_even_of_nothing),
        cmocka_unit_test(outer_groups_close_with_the_inner_window),
        cmocka_unit_test(a_group_looks_as_it_first_came),
        cmocka_unit_test(a_window_that_is_over_gives_its_memory_back),
        cmocka_unit_test(groups_that_nothing_came_to_are_told_as_gone),
        cmocka_unit_test(a_row_after_that_begins_its_group_anew),
        cmocka_unit_test(a_huge_ttl_forgets_nothing),
        cmocka_unit_test(results_of_windows_age_by_their_ends),
        cmocka_unit_test(who_never_passed_is_not_deleted),
        cmocka_unit_test(many_groups_are_forgotten_in_batches),
    };
    return cmocka_run_group_tests(tests, make_calls, NULL);
}
