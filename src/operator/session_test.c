/* Sessions: gaps exactly as long, merging, late rows, groups within a session, what survives. The
 * gap is 10. */
#include "operator/operator_test.h"

static Field fields[] = {FIELD("user", TYPE_TEXT), FIELD("page", TYPE_TEXT),
                         FIELD("keep", TYPE_BOOL)};
static int by_user[] = {0};
static int whole_keys[] = {0, SESSION_START, SESSION_END};
static int page_keys[] = {SESSION_START, SESSION_END, 1, 0};
static Field whole_out[] = {FIELD("user", TYPE_TEXT), FIELD("window_start", TYPE_INT8),
                            FIELD("window_end", TYPE_INT8), FIELD("count", TYPE_INT8)};
static Field page_out[] = {FIELD("window_start", TYPE_INT8), FIELD("window_end", TYPE_INT8),
                           FIELD("page", TYPE_TEXT), FIELD("user", TYPE_TEXT),
                           FIELD("count", TYPE_INT8)};
static AggregateCall calls[1];
static SessionSpec whole, pages, filtered, all;

static int make_specs(void **state) {
    (void)state;
    calls[0] = (AggregateCall){.aggregate = aggregate_find(STR("count"), 0, TYPE_UNKNOWN),
                               .arg = -1,
                               .filter = -1,
                               .result = {TYPE_INT8, -1}};
    size_t block = aggregates_layout(calls, 1);
    whole = (SessionSpec){TIME_EVENT, -1, 10,    by_user, 1,     whole_keys,
                          3,          -1, calls, 1,       block, {4, whole_out}};
    pages = (SessionSpec){TIME_EVENT, -1, 10,    by_user, 1,     page_keys,
                          4,          -1, calls, 1,       block, {5, page_out}};
    filtered = whole;
    filtered.filter = 2;
    all = (SessionSpec){TIME_EVENT, -1, 10,    NULL, 0,     whole_keys + 1,
                        2,          -1, calls, 1,    block, {3, whole_out + 1}};
    return 0;
}

static Scene scene_of(const SessionSpec *spec) {
    return (Scene){.inputs = {{3, fields}}, .links = {{&session_operator, spec}}, .link_count = 1};
}

static void an_event_exactly_a_gap_later_still_joins(void **state) {
    (void)state;
    PLAY(scene_of(&whole), "a|0|20|2 @20\nb|0|10|1 @10\nb|11|21|1 @21",
         ROWS("0 - : a, x, t\n 10 0 : a, x, t\n 0 0 : b, x, t\n 11 0 : b, x, t"), THE_END);
}

static void and_exactly_a_gap_earlier(void **state) {
    (void)state;
    PLAY(scene_of(&whole), "a|10|30|2 @30\nb|9|19|1 @19\nb|20|30|1 @30",
         ROWS("20 - : a, x, t\n 10 5 : a, x, t\n 20 5 : b, x, t\n 9 5 : b, x, t"), THE_END);
}

/* It closes when the watermark is greater than window_end, not when it reaches it. */
static void a_session_closes_behind_its_end(void **state) {
    (void)state;
    PLAY(scene_of(&whole), "", ROWS("0 - : a, x, t"), TIME(10));
    PLAY(scene_of(&whole), "a|0|10|1 @10", ROWS("0 - : a, x, t"), TIME(11));
    /* at the mark 10 an event of 10 may still come, and joins */
    PLAY(scene_of(&whole), "a|0|20|2 @20", ROWS("0 - : a, x, t"), TIME(10), ROWS("10 10 : a, x, t"),
         TIME(20), TIME(21));
}

static void late_is_older_than_seen(void **state) {
    (void)state;
    PLAY(scene_of(&whole), "a|5|25|3 @25\nlate: a|y|t",
         ROWS("5 - : a, x, t\n 15 9 : a, x, t\n 8 9 : a, y, t\n 9 9 : a, z, t"), THE_END);
}

static void an_idle_partition_may_still_join_an_open_session(void **state) {
    (void)state;
    PLAY(scene_of(&whole), "a|95|110|2 @110\nidle: a|y|t\nidle: b|x|t\nb|96|106|1 @106",
         ROWS("100 - : a, x, t"), TIME(106),
         ROWS("80 - : a, y, t\n 95 - : a, z, t\n 95 - : b, x, t\n 96 3 : b, x, t"), THE_END);
}

static void an_event_between_makes_one_of_two(void **state) {
    (void)state;
    PLAY(scene_of(&whole), "a|0|30|4 @30",
         ROWS("0 - : a, x, t\n 1 0 : a, x, t\n 20 0 : a, x, t\n 10 0 : a, x, t"), THE_END);
    PLAY(scene_of(&pages), "0|30|p|a|2 @30\n0|30|q|a|2 @30\n0|30|r|a|1 @30\n0|10|p|b|1 @10",
         ROWS("0 - : a, p, t\n 20 0 : a, p, t\n 20 0 : a, q, t\n 0 0 : b, p, t\n 1 0 : a, q, t\n "
              "10 0 : a, r, t"),
         THE_END);
}

static void many_sessions_become_one(void **state) {
    (void)state;
    PLAY(scene_of(&whole), "a|0|90|9 @90",
         ROWS("0 - : a, x, t\n 20 0 : a, x, t\n 40 0 : a, x, t\n 60 0 : a, x, t\n 80 0 : a, x, t"),
         ROWS("50 0 : a, x, t\n 10 0 : a, x, t\n 70 0 : a, x, t\n 30 0 : a, x, t"), THE_END);
}

static void rows_that_where_drops_extend_the_session(void **state) {
    (void)state;
    PLAY(scene_of(&filtered), "a|0|28|2 @28",
         ROWS("0 - : a, x, t\n 9 0 : a, x, f\n 18 0 : a, x, t\n 40 0 : a, x, f\n 0 0 : b, x, null"),
         THE_END);
}

static void without_a_partition_there_is_one_session_for_all(void **state) {
    (void)state;
    PLAY(scene_of(&all), "0|15|2 @15\n30|40|1 @40",
         ROWS("0 - : a, x, t\n 5 0 : b, x, t\n 30 5 : c, x, t"), TIME(29), THE_END);
}

static void each_time_what_is_due(void **state) {
    (void)state;
    PLAY(scene_of(&whole), "a|0|10|1 @10\nb|5|15|1 @15\na|12|32|3 @32",
         ROWS("0 - : a, x, t\n 5 0 : b, x, t\n 12 5 : a, x, t"), TIME(11), TIME(12),
         ROWS("20 12 : a, x, t"), TIME(16), ROWS("22 16 : a, x, t"), TIME(32), TIME(33));
}

static void sessions_of_many_groups_go_out_in_batches(void **state) {
    (void)state;
    Buffer rows[12] = {{0}};
    static Step steps[13];
    for (int i = 0; i < 12; i++) {
        for (int k = 0; k < 250; k++)
            buffer_add_format(&rows[i], "5 - : a, page %d, t\n", i * 250 + k);
        buffer_add_char(&rows[i], '\0');
        steps[i] = (Step)ROWS(rows[i].data);
    }
    steps[12] = (Step)TIME(16);
    Scene scene = scene_of(&pages);
    scene.steps = steps;
    for (int killed = 0; killed < 2; killed++) {
        Stage stage;
        stage_begin(&stage, &scene);
        for (int i = 0; i < 12; i++) run_step(&stage, &steps[i], WHOLE);
        if (killed) kill_and_restore(&stage);
        run_step(&stage, &steps[12], killed ? KILLED : WHOLE);
        assert_int_equal(stage.results.count, 3000);
        assert_int_equal(state_entries(stage.ops[0]->state), 0);
        stage_end(&stage);
    }
    for (int i = 0; i < 12; i++) buffer_free(&rows[i]);
}

static void marks_hold_back_open_sessions(void **state) {
    (void)state;
    Scene scene = scene_of(&whole);
    Stage stage;
    stage_begin(&stage, &scene);
    Step push = ROWS("3 - : a, x, t\n 12 3 : a, x, t"), at20 = TIME(20), at40 = TIME(40),
         end = THE_END;
    run_step(&stage, &push, WHOLE);
    run_step(&stage, &at20, WHOLE);
    assert_int_equal(stage.ops[0]->output_mark.time, 19);
    assert_int_equal(stage.ops[0]->output_mark.window_start, 3);
    run_step(&stage, &at40, WHOLE);
    assert_int_equal(stage.ops[0]->output_mark.time, 39);
    assert_int_equal(stage.ops[0]->output_mark.window_start, 40);
    run_step(&stage, &end, WHOLE);
    assert_int_equal(stage.ops[0]->output_mark.time, END_OF_TIME);
    stage_end(&stage);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_event_exactly_a_gap_later_still_joins),
        cmocka_unit_test(and_exactly_a_gap_earlier),
        cmocka_unit_test(a_session_closes_behind_its_end),
        cmocka_unit_test(late_is_older_than_seen),
        cmocka_unit_test(an_idle_partition_may_still_join_an_open_session),
        cmocka_unit_test(an_event_between_makes_one_of_two),
        cmocka_unit_test(many_sessions_become_one),
        cmocka_unit_test(rows_that_where_drops_extend_the_session),
        cmocka_unit_test(without_a_partition_there_is_one_session_for_all),
        cmocka_unit_test(each_time_what_is_due),
        cmocka_unit_test(sessions_of_many_groups_go_out_in_batches),
        cmocka_unit_test(marks_hold_back_open_sessions),
    };
    return cmocka_run_group_tests(tests, make_specs, NULL);
}
