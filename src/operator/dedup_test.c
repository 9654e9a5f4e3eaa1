/* DISTINCT ON: which copies pass, which are dropped, which are late. Times are seconds, the horizon
 * is ten. */
#include "operator/operator_test.h"

static Field fields[] = {FIELD("id", TYPE_TEXT), FIELD("n", TYPE_INT4)};
static int by_id[] = {0};
static const DedupSpec ten_seconds = {by_id, 1, 10000000, -1};

static Scene scene_of(const DedupSpec *spec) {
    return (Scene){.inputs = {{2, fields}},
                   .links = {{&dedup_operator, spec}},
                   .link_count = 1,
                   .unit = 1000000};
}

static void the_first_of_a_key_passes(void **state) {
    (void)state;
    PLAY(scene_of(&ten_seconds), "a|1 @0\nb|2 @1\nnull|5 @2",
         ROWS("0 - : a, 1\n 1 0 : b, 2\n 1 1 : a, 3\n 0 1 : b, 4\n 2 1 : null, 5\n 2 2 : null, 6"));
}

/* seen 20, horizon 10: what passed at 10 still counts, at 9 no more; a row of 10 is in time, of 9
 * late. */
static void a_key_may_pass_again_behind_the_horizon(void **state) {
    (void)state;
    PLAY(scene_of(&ten_seconds), "a|1 @9\nb|2 @10\na|3 @20\nlate: c|6\nd|7 @10",
         ROWS("9 - : a, 1\n 10 9 : b, 2"), TIME(9),
         ROWS("20 20 : a, 3\n 20 20 : b, 4\n 10 20 : a, 5\n 9 20 : c, 6\n 10 20 : d, 7"));
}

static void the_newer_time_counts_after_it_passed_again(void **state) {
    (void)state;
    PLAY(scene_of(&ten_seconds), "a|1 @0\na|2 @15\nx|9 @26\na|4 @30",
         ROWS("0 - : a, 1\n 15 15 : a, 2"), TIME(15),
         ROWS("20 24 : a, 3\n 26 24 : x, 9\n 30 26 : a, 4"));
}

/* A partition that was idle is behind the query's time: its copies are late, never passed. */
static void copies_on_an_idle_partition_never_pass(void **state) {
    (void)state;
    PLAY(scene_of(&ten_seconds), "a|1 @0\nidle: a|2\nidle: b|3\nb|4 @90\nlate: c|5",
         ROWS("0 - : a, 1"), TIME(100),
         ROWS("0 - : a, 2\n 0 3 : b, 3\n 90 3 : b, 4\n 0 50 : c, 5"));
}

static void segments_are_given_back(void **state) {
    (void)state;
    Scene scene = scene_of(&ten_seconds);
    Stage stage;
    stage_begin(&stage, &scene);
    for (int i = 0; i < 500; i++) {
        char rows[64], key[32];
        snprintf(key, sizeof key, "k%d", i);
        snprintf(rows, sizeof rows, "%d %d : %s, 1", i, i - 1, key);
        Step push = ROWS(rows), time = TIME(i);
        run_step(&stage, &push, WHOLE);
        run_step(&stage, &time, WHOLE);
        assert_true(state_entries(stage.ops[0]->state) <= 14);
    }
    assert_int_equal(stage.results.count, 500);
    stage_end(&stage);
}

static void order_does_not_matter_to_what_is_dropped(void **state) {
    (void)state;
    /* Copies ten seconds apart in arrival, of one event time, among rows out of order. */
    PLAY(scene_of(&ten_seconds), "a|1 @5\nb|2 @3\nc|4 @14\nd|6 @6",
         ROWS("5 - : a, 1\n 3 5 : b, 2\n 5 5 : a, 3\n 14 5 : c, 4"), TIME(5),
         ROWS("5 14 : a, 5\n 6 14 : d, 6\n 14 14 : c, 7\n 5 15 : a, 8"));
}

static Field windowed[] = {FIELD("id", TYPE_TEXT), FIELD("window_start", TYPE_INT8),
                           FIELD("window_end", TYPE_INT8)};
static int by_start_and_id[] = {1, 0};
static const DedupSpec per_window = {by_start_and_id, 2, 10000000, 2};

static void with_a_window_keys_last_until_it_closes(void **state) {
    (void)state;
    Scene scene = {
        .inputs = {{3, windowed}}, .links = {{&dedup_operator, &per_window}}, .link_count = 1};
    PLAY(scene, "a|0|10 @1\na|5|15 @1\nb|0|10 @2\nidle: c|0|10\nc|5|15 @9",
         ROWS("1 - : a, 0, 10\n 1 - : a, 5, 15\n 2 1 : a, 0, 10\n 2 1 : b, 0, 10"), TIME(10),
         ROWS("9 9 : c, 0, 10\n 9 9 : c, 5, 15\n 9 10 : a, 5, 15"));
}

static void all_is_forgotten_at_the_end(void **state) {
    (void)state;
    Scene scene = scene_of(&ten_seconds);
    Stage stage;
    stage_begin(&stage, &scene);
    Step push = ROWS("0 - : a, 1\n 100000 0 : b, 1"), end = THE_END;
    run_step(&stage, &push, WHOLE);
    run_step(&stage, &end, WHOLE);
    assert_int_equal(state_entries(stage.ops[0]->state), 0);
    stage_end(&stage);
}

/* Ad hoc queries remember for ever. */
static void an_endless_horizon_forgets_nothing(void **state) {
    (void)state;
    static const DedupSpec endless = {by_id, 1, END_OF_TIME, -1};
    PLAY(scene_of(&endless), "a|1 @-9\nb|3 @100000",
         ROWS("-9 - : a, 1\n 100000 - : a, 2\n 100000 100000 : b, 3\n -50 100000 : b, 4"),
         TIME(100000), ROWS("100000 - : a, 5"), THE_END);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_of_a_key_passes),
        cmocka_unit_test(a_key_may_pass_again_behind_the_horizon),
        cmocka_unit_test(the_newer_time_counts_after_it_passed_again),
        cmocka_unit_test(copies_on_an_idle_partition_never_pass),
        cmocka_unit_test(segments_are_given_back),
        cmocka_unit_test(order_does_not_matter_to_what_is_dropped),
        cmocka_unit_test(with_a_window_keys_last_until_it_closes),
        cmocka_unit_test(all_is_forgotten_at_the_end),
        cmocka_unit_test(an_endless_horizon_forgets_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
