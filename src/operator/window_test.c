/* Windows and who is late for them; filters and projections before and behind. */
#include "operator/operator_test.h"

static Field fields[] = {FIELD("id", TYPE_TEXT), FIELD("keep", TYPE_BOOL)};
static const WindowSpec tumble10 = {WINDOW_TUMBLE, TIME_EVENT, -1, {TYPE_INT8, -1}, 10, 10, 0};
static const WindowSpec hop = {WINDOW_HOP, TIME_EVENT, -1, {TYPE_INT8, -1}, 5, 10, 0};

static const WindowSpec steps10 = {WINDOW_CUMULATE, TIME_EVENT, -1, {TYPE_INT8, -1}, 5, 10, 0};

static Scene scene_of(const OperatorType *type, const void *spec) {
    return (Scene){.inputs = {{2, fields}}, .links = {{type, spec}}, .link_count = 1};
}

static void borders_belong_to_the_later_window(void **state) {
    (void)state;
    PLAY(scene_of(&window_operator, &tumble10),
         "a|t|0|10 @0\nb|t|0|10 @9\nc|t|10|20 @10\nd|t|-10|0 @-1",
         ROWS("0 - : a, t\n 9 0 : b, t\n 10 9 : c, t\n -1 -5 : d, t"));
}

static void an_offset_moves_the_borders(void **state) {
    (void)state;
    static const WindowSpec moved = {WINDOW_TUMBLE, TIME_EVENT, -1, {TYPE_INT8, -1}, 10, 10, 13};
    PLAY(scene_of(&window_operator, &moved), "a|t|-7|3 @2\nb|t|3|13 @3",
         ROWS("2 - : a, t\n 3 2 : b, t"));
}

/* seen = window_end is late, one less is not. */
static void late_is_judged_by_what_the_partition_had_seen(void **state) {
    (void)state;
    PLAY(scene_of(&window_operator, &tumble10), "a|t|0|10 @5\nlate: b|t\nc|t|10|20 @12",
         ROWS("5 9 : a, t\n 6 10 : b, t\n 12 10 : c, t"));
}

static void an_idle_partition_is_told_apart(void **state) {
    (void)state;
    PLAY(scene_of(&window_operator, &tumble10), "idle: a|t\nb|t|10|20 @10\nlate: c|t", TIME(10),
         ROWS("9 - : a, t\n 10 - : b, t\n 9 10 : c, t"));
}

static void hop_puts_a_row_into_each_window(void **state) {
    (void)state;
    PLAY(scene_of(&window_operator, &hop), "a|t|0|10 @7\na|t|5|15 @7\nb|t|5|15 @10\nb|t|10|20 @10",
         ROWS("7 - : a, t\n 10 7 : b, t"));
}

static void hop_counts_in_the_windows_that_are_open(void **state) {
    (void)state;
    /* [0,10) is closed to a and b, [5,15) is open; both are closed to c; d's partition was idle. */
    PLAY(scene_of(&window_operator, &hop),
         "a|t|5|15 @7\nb|t|5|15 @9\nlate: c|t\nd|t|10|20 @14\nidle: e|t",
         ROWS("7 10 : a, t\n 9 14 : b, t\n 7 15 : c, t"), TIME(15),
         ROWS("14 12 : d, t\n 9 - : e, t"));
}

static void cumulate_puts_a_row_into_each_step_that_is_not_over(void **state) {
    (void)state;
    PLAY(scene_of(&window_operator, &steps10),
         "a|t|0|5 @2\na|t|0|10 @2\nb|t|0|10 @5\nc|t|-10|-5 @-7\nc|t|-10|0 @-7\nd|t|10|15 @10\n"
         "d|t|10|20 @10",
         ROWS("2 - : a, t\n 5 2 : b, t\n -7 -20 : c, t\n 10 5 : d, t"));
}

static void cumulate_counts_in_the_steps_that_are_open(void **state) {
    (void)state;
    /* [0,5) is closed to a, [0,10) is open; all are closed to b; e's partition was idle. */
    PLAY(scene_of(&window_operator, &steps10), "a|t|0|10 @2\nlate: b|t\nidle: e|t\nf|t|10|20 @12",
         ROWS("2 5 : a, t\n 9 10 : b, t"), TIME(15), ROWS("9 - : e, t\n 12 - : f, t"));
}

static void hop_of_thousands_of_windows_goes_out_in_pieces(void **state) {
    (void)state;
    static const WindowSpec wide = {WINDOW_HOP, TIME_EVENT, -1, {TYPE_INT8, -1}, 1, 5000, 0};
    Scene scene = scene_of(&window_operator, &wide);
    static const Step steps[] = {ROWS("7 - : a, t\n 8 7 : b, t")};
    scene.steps = steps;
    scene.step_count = 1;
    Stage stage;
    stage_begin(&stage, &scene);
    run_step(&stage, &steps[0], WHOLE);
    assert_int_equal(stage.results.count, 10000);
    stage_end(&stage);
}

static void rows_between_two_windows_are_filtered(void **state) {
    (void)state;
    static const WindowSpec gaps = {WINDOW_HOP, TIME_EVENT, -1, {TYPE_INT8, -1}, 10, 4, 0};
    PLAY(scene_of(&window_operator, &gaps), "a|t|0|4 @3\nc|t|10|14 @10",
         ROWS("3 - : a, t\n 4 3 : b, t\n 10 4 : c, t"));
}

static void lateness_is_judged_before_where(void **state) {
    (void)state;
    Expr keep = {.kind = EXPR_COLUMN, .type = {TYPE_BOOL, -1}, .column = 1};
    FilterSpec where = {.condition = &keep};
    Scene scene = scene_of(&window_operator, &tumble10);
    scene.links[scene.link_count++] = (Link){&filter_operator, &where};
    PLAY(scene, "a|t|0|10 @5\nlate: c|f\ndead: e|null|0|10",
         ROWS("5 - : a, t\n 6 5 : b, f\n 7 10 : c, f\n 8 5 : d, null\n 8 8 : e, error"));
}

static void a_record_in_two_windows_is_one_dead_letter(void **state) {
    (void)state;
    Expr keep = {.kind = EXPR_COLUMN, .type = {TYPE_BOOL, -1}, .column = 1};
    FilterSpec where = {.condition = &keep};
    Scene scene = scene_of(&window_operator, &hop);
    scene.links[scene.link_count++] = (Link){&filter_operator, &where};
    Stage stage;
    static const Step steps[] = {ROWS("7 - : a, error\n 8 7 : b, f\n 8 7 : c, t")};
    scene.steps = steps;
    scene.step_count = 1;
    stage_begin(&stage, &scene);
    run_step(&stage, &steps[0], WHOLE);
    assert_int_equal(stage.ops[1]->counters.dead, 1);
    assert_int_equal(stage.ops[1]->counters.filtered, 1);
    assert_int_equal(stage.results.count, 3);
    stage_end(&stage);
}

static void projections_make_columns_and_dead_letters(void **state) {
    (void)state;
    Expr id = {.kind = EXPR_COLUMN, .type = {TYPE_TEXT, -1}, .column = 0};
    Expr keep = {.kind = EXPR_COLUMN, .type = {TYPE_BOOL, -1}, .column = 1};
    Expr one = {.kind = EXPR_CONSTANT,
                .type = {TYPE_INT4, -1},
                .value = {.type = {TYPE_INT4, -1}, .integer = 1}};
    Expr *exprs[] = {&keep, &one, &id};
    static const char *const required[] = {NULL, NULL, "column id: NULL in a NOT NULL column"};
    ProjectSpec spec = {exprs, 3, required};
    PLAY(scene_of(&project_operator, &spec), "t|1|a @1\nnull|1|b @2\ndead: null|t\ndead: d|null",
         ROWS("1 - : a, t\n 2 1 : b, null\n 3 2 : null, t\n 4 3 : d, error"));
}

static void marks_name_the_oldest_open_window(void **state) {
    bool cumulate = *state != NULL;
    Scene scene = scene_of(&window_operator, cumulate ? &steps10 : &hop);
    Stage stage;
    stage_begin(&stage, &scene);
    static const struct {
        int64_t time, start, cumulated;
    } cases[] = {{NO_TIME, NO_TIME, NO_TIME},
                 {0, -5, 0},
                 {9, 0, 0},
                 {10, 5, 10},
                 {14, 5, 10},
                 {15, 10, 10},
                 {20, 15, 20},
                 {END_OF_TIME, END_OF_TIME, END_OF_TIME}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Step step = TIME(cases[i].time);
        run_step(&stage, &step, WHOLE);
        assert_int_equal(stage.ops[0]->output_mark.time, cases[i].time);
        if (cases[i].time != NO_TIME)
            assert_int_equal(stage.ops[0]->output_mark.window_start,
                             cumulate ? cases[i].cumulated : cases[i].start);
    }
    stage_end(&stage);
}

static void absurd_windows_are_refused(void **state) {
    (void)state;
    static const WindowSpec bad[] = {
        {WINDOW_HOP, TIME_EVENT, -1, {TYPE_INT8, -1}, 1, 10000000, 0},
        {WINDOW_TUMBLE, TIME_EVENT, -1, {TYPE_INT8, -1}, 0, 0, 0},
        {WINDOW_TUMBLE, TIME_EVENT, -1, {TYPE_INT8, -1}, INT64_MAX, INT64_MAX, 0},
    };
    for (int i = 0; i < 3; i++) {
        OperatorHost host = {0};
        Error error;
        Operator *op = operator_new(&window_operator, "w", 0, &host, 1);
        assert_int_equal(window_operator.open(op, &bad[i], &error), FAIL);
        operator_free(&op);
    }
}

static bool cumulated = true;

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(borders_belong_to_the_later_window),
        cmocka_unit_test(an_offset_moves_the_borders),
        cmocka_unit_test(late_is_judged_by_what_the_partition_had_seen),
        cmocka_unit_test(an_idle_partition_is_told_apart),
        cmocka_unit_test(hop_puts_a_row_into_each_window),
        cmocka_unit_test(hop_counts_in_the_windows_that_are_open),
        cmocka_unit_test(cumulate_puts_a_row_into_each_step_that_is_not_over),
        cmocka_unit_test(cumulate_counts_in_the_steps_that_are_open),
        cmocka_unit_test(hop_of_thousands_of_windows_goes_out_in_pieces),
        cmocka_unit_test(rows_between_two_windows_are_filtered),
        cmocka_unit_test(lateness_is_judged_before_where),
        cmocka_unit_test(a_record_in_two_windows_is_one_dead_letter),
        cmocka_unit_test(projections_make_columns_and_dead_letters),
        cmocka_unit_test(marks_name_the_oldest_open_window),
        cmocka_unit_test_prestate(marks_name_the_oldest_open_window, &cumulated),
        cmocka_unit_test(absurd_windows_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
