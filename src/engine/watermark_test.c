/* Time of partitions and sources: the least counts, silence is waited for and then not, what was
 * reached is never taken back. */
#include "engine/internal.h"
#include <setjmp.h>
#include <stdarg.h>
// cmocka wants the headers above first
#include <cmocka.h>

enum { SECOND = 1000000, DELAY = 2 * SECOND, IDLE = 10 * SECOND };
static const int64_t START = INT64_C(1577836800000000);

static Engine engine;
static Table table;
static PlanSource plan;
static Source source;
static SourceReport report;
static PartitionReport told[3];
static SourceRun run;
static Partition parts[3], *list[3];

static PartitionReport told[3];

static int set_up(void **state) {
    (void)state;
    memset(&engine, 0, sizeof engine);
    mutex_init(&engine.lock);
    table = (Table){.watermark_delay_us = DELAY, .idle_timeout_us = IDLE};
    plan = (PlanSource){.table = &table};
    source = (Source){.bounded = false};
    memset(&run, 0, sizeof run);
    run.engine = &engine;
    run.plan = &plan;
    run.source = &source;
    report.partitions = told;
    run.report = &report;
    report.partitions = told;
    run.partitions = list;
    run.mark = run.saved_mark = run.high = NO_TIME;
    run.partition_count = 3;
    run.listed = true;
    for (int i = 0; i < 3; i++) {
        parts[i] = (Partition){
            .source = &run, .number = i, .max_time = NO_TIME, .at_end_asked_us = INT64_MAX};
        list[i] = &parts[i];
    }
    return 0;
}

static int64_t mark_at(int64_t now) {
    source_watermark(&run, now);
    return run.mark;
}

static void who_was_not_asked_is_not_idle(void **state) {
    (void)state;
    parts[0].max_time = parts[1].max_time = START + 20 * SECOND;
    parts[2].at_end_since_us = SECOND;
    parts[2].at_end_asked_us = 2 * SECOND; /* then the reader was busy elsewhere */
    assert_int_equal(mark_at(100 * SECOND), NO_TIME);
    parts[2].at_end_asked_us = 100 * SECOND;
    assert_int_equal(mark_at(100 * SECOND), START + 18 * SECOND);
}

static void the_least_of_the_partitions_counts(void **state) {
    (void)state;
    assert_int_equal(mark_at(START), NO_TIME);
    parts[0].max_time = START + 10 * SECOND;
    parts[1].max_time = START + 20 * SECOND;
    assert_int_equal(mark_at(START), NO_TIME); /* the third has not spoken */
    parts[2].max_time = START + 5 * SECOND;
    assert_int_equal(mark_at(START), START + 3 * SECOND);
    parts[2].max_time = START + 30 * SECOND;
    assert_int_equal(mark_at(START), START + 8 * SECOND);
    parts[0].max_time = START + 40 * SECOND;
    assert_int_equal(mark_at(START), START + 18 * SECOND);
    assert_int_equal(run.saved_mark, START + 18 * SECOND);
    assert_int_equal(report.watermark_us, START + 18 * SECOND);
}

static void an_idle_partition_does_not_hold_back(void **state) {
    (void)state;
    parts[0].max_time = parts[1].max_time = START + 20 * SECOND;
    parts[2].at_end_since_us = 5 * SECOND; /* never spoke */
    assert_int_equal(mark_at(14 * SECOND), NO_TIME);
    assert_int_equal(mark_at(15 * SECOND), START + 18 * SECOND);
    assert_true(parts[2].idle);
    /* It speaks again, with old rows: time stands, it does not go back. */
    parts[2].at_end_since_us = 0;
    parts[2].max_time = START;
    assert_int_equal(mark_at(16 * SECOND), START + 18 * SECOND);
    assert_false(parts[2].idle);
    parts[0].max_time = parts[1].max_time = START + 60 * SECOND;
    assert_int_equal(mark_at(16 * SECOND), START + 18 * SECOND);
    parts[2].max_time = START + 40 * SECOND;
    assert_int_equal(mark_at(16 * SECOND), START + 38 * SECOND);
}

static void rows_on_their_way_are_no_silence(void **state) {
    (void)state;
    Slot slot = {0};
    parts[0].max_time = parts[1].max_time = START + 20 * SECOND;
    parts[2].at_end_since_us = 1;
    parts[2].first = &slot;
    assert_int_equal(mark_at(100 * SECOND), NO_TIME);
    parts[2].first = NULL;
    assert_int_equal(mark_at(100 * SECOND), START + 18 * SECOND);
}

static void when_all_are_idle_time_goes_on_by_the_clock(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        parts[i].max_time = START + (i + 1) * 10 * SECOND;
        parts[i].at_end_since_us = SECOND;
    }
    assert_int_equal(mark_at(10 * SECOND), START + 8 * SECOND);
    assert_int_equal(mark_at(11 * SECOND), START + 28 * SECOND); /* the greatest, not the clock */
    assert_int_equal(mark_at(15 * SECOND), START + 32 * SECOND);
    /* One wakes and is behind: time stands until it has caught up. */
    parts[0].at_end_since_us = 0;
    assert_int_equal(mark_at(20 * SECOND), START + 32 * SECOND);
    parts[0].max_time = START + 50 * SECOND;
    assert_int_equal(mark_at(21 * SECOND), START + 48 * SECOND);
    /* All idle anew: from the greatest again. */
    parts[0].at_end_since_us = 22 * SECOND;
    assert_int_equal(mark_at(32 * SECOND), START + 48 * SECOND);
    assert_int_equal(mark_at(33 * SECOND), START + 49 * SECOND);
}

static void silence_of_all_from_the_start_says_nothing(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) parts[i].at_end_since_us = SECOND;
    assert_int_equal(mark_at(1000 * SECOND), NO_TIME);
    assert_int_equal(run.saved_mark, NO_TIME);
}

static void files_that_are_over_do_not_end_what_is_followed(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        parts[i].max_time = START + i * SECOND;
        parts[i].ended = i != 1;
    }
    assert_int_equal(mark_at(START),
                     START + 1 * SECOND - DELAY); /* those that are over hold nothing */
    parts[1].ended = true;
    assert_int_equal(mark_at(START), START + 2 * SECOND - DELAY);
    assert_int_equal(mark_at(START + IDLE), START + 2 * SECOND - DELAY);
    assert_int_equal(mark_at(START + IDLE + SECOND), START + 3 * SECOND - DELAY);
    assert_false(run.ended);
    parts[0].ended = false; /* another file takes the place: its time is not known */
    parts[0].max_time = NO_TIME;
    assert_int_equal(mark_at(START + IDLE + 9 * SECOND), START + 3 * SECOND - DELAY);
}

static void bounded_sources_are_never_idle_and_end_at_infinity(void **state) {
    (void)state;
    source.bounded = true;
    parts[0].max_time = parts[1].max_time = START + 20 * SECOND;
    parts[2].at_end_since_us = 1;
    assert_int_equal(mark_at(1000 * SECOND), NO_TIME);
    parts[2].ended = true;
    assert_int_equal(mark_at(1000 * SECOND), START + 18 * SECOND);
    parts[0].ended = parts[1].ended = true;
    assert_int_equal(mark_at(1000 * SECOND), END_OF_TIME);
    assert_true(run.ended);
    /* The end of time is not kept: more may come behind it another day. */
    assert_int_equal(run.saved_mark, START + 18 * SECOND);
}

static void what_a_home_knows_is_never_taken_back(void **state) {
    (void)state;
    run.mark = run.saved_mark = START + 100 * SECOND;
    for (int i = 0; i < 3; i++) parts[i].max_time = START + 50 * SECOND;
    assert_int_equal(mark_at(START), START + 100 * SECOND);
    for (int i = 0; i < 3; i++) parts[i].max_time = START + 150 * SECOND;
    assert_int_equal(mark_at(START), START + 148 * SECOND);
}

static void seen_does_not_know_batches(void **state) {
    (void)state;
    static const int64_t times[] = {5, 3, 9, 9, 1, 20, 2};
    enum { ROWS = sizeof times / sizeof *times };
    int64_t whole[ROWS];
    Arena *arena = arena_new();
    for (int size = ROWS; size >= 1; size--) {
        parts[0].max_time = NO_TIME;
        for (int from = 0; from < ROWS; from += size) {
            Batch batch = {.rows = from + size > ROWS ? ROWS - from : size,
                           .event_times = times + from};
            batch_see(&parts[0], &batch, arena);
            for (int i = 0; i < batch.rows; i++) {
                if (size == ROWS) whole[from + i] = batch.seen[i];
                assert_int_equal(batch.seen[i], whole[from + i]);
            }
        }
        assert_int_equal(parts[0].max_time, 20);
    }
    assert_int_equal(whole[0], NO_TIME);
    assert_int_equal(whole[2], 5 - DELAY);
    assert_int_equal(whole[6], 20 - DELAY);
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_least_of_the_partitions_counts, set_up),
        cmocka_unit_test_setup(who_was_not_asked_is_not_idle, set_up),
        cmocka_unit_test_setup(an_idle_partition_does_not_hold_back, set_up),
        cmocka_unit_test_setup(rows_on_their_way_are_no_silence, set_up),
        cmocka_unit_test_setup(when_all_are_idle_time_goes_on_by_the_clock, set_up),
        cmocka_unit_test_setup(silence_of_all_from_the_start_says_nothing, set_up),
        cmocka_unit_test_setup(files_that_are_over_do_not_end_what_is_followed, set_up),
        cmocka_unit_test_setup(bounded_sources_are_never_idle_and_end_at_infinity, set_up),
        cmocka_unit_test_setup(what_a_home_knows_is_never_taken_back, set_up),
        cmocka_unit_test_setup(seen_does_not_know_batches, set_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
