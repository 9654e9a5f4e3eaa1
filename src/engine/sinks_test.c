/* Sinks that are away, full, or refuse rows: what feeds them waits, all else goes on, memory stays
 * bounded, and when they are back nothing is missing and nothing came twice. */
#include "engine/fakes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
// cmocka wants the headers above first
#include <cmocka.h>

#define SETTINGS "SET http = 'off';\nSET checkpoint_interval = '20 milliseconds';\n"
#define SOURCE(name)                                                                               \
    "CREATE TABLE " name " (v int, t timestamptz, k text) WITH (connector = 'file', path = '" name \
    "', event_time = 't');\n"
#define SINK(way) "CREATE TABLE out (v bigint) WITH (connector = 'file', path = '" way "');\n"
#define INSERT "INSERT INTO out SELECT v FROM events;\n"
#define OTHER                                                                                      \
    SOURCE("other")                                                                                \
    "CREATE MATERIALIZED VIEW seen AS SELECT v, k FROM other;\n"

static FakeWorld world;

static int set_up(void **state) {
    (void)state;
    fake_world_open(&world);
    world.speed = 100;
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fake_world_close(&world);
    return 0;
}

static void must(Status status, const Error *error) {
    if (status != OK) fail_msg("%d: %s", status, error->text);
}

static void put(FakeSource *source, int v, int second, const char *k) {
    fake_record(source, 0, "{\"v\":%d,\"t\":\"2020-01-01T00:%02d:%02dZ\",\"k\":\"%s\"}", v,
                second / 60 % 60, second % 60, k);
}

static FakeSource *numbers(const char *table, int rows, size_t pad) {
    FakeSource *source = fake_source(&world, table, 1, true);
    char *k = xcalloc(1, pad + 1);
    memset(k, 'x', pad);
    for (int i = 0; i < rows; i++) put(source, i, 0, k);
    source->chunk_rows = 50;
    free(k);
    return source;
}

/* Every number from 0 on, once and in order, but for the refused ones. */
static void numbers_are_there(const FakeSink *out, int rows, const char *without) {
    const char *at = out->bytes.data, *end = at + out->bytes.size;
    for (int i = 0; i < rows; i++) {
        char row[64];
        int size = snprintf(row, sizeof row, "{\"v\":%d}\n", i);
        if (without && strstr(row, without)) continue;
        if (end - at < size || memcmp(at, row, (size_t)size) != 0)
            fail_msg("row %d: %.40s", i, at < end ? at : "(end)");
        at += size;
    }
    assert_ptr_equal(at, end);
}

static int64_t view_rows(const FakeRun *run) {
    Buffer json = {0};
    int64_t rows = 0;
    fake_view(&world, run, &json);
    for (size_t i = 0; i < json.size; i++) rows += json.data[i] == '{';
    buffer_free(&json);
    return rows;
}

typedef struct Wanted {
    FakeRunning *running;
    int64_t rows, owed; /* owed: 0: whatever it is */
} Wanted;

static bool view_has_rows(void *context) {
    Wanted *wanted = context;
    return view_rows(&wanted->running->run) == wanted->rows;
}
static bool sink_has_rows(void *context) {
    return world.sinks[0].rows == ((Wanted *)context)->rows;
}
static bool room_was_used(void *context) { return world.sinks[0].room < *(int64_t *)context; }
static bool sink_is_told_away(void *context) {
    Report *report = engine_report(((Wanted *)context)->running->run.engine);
    mutex_lock(&report->lock);
    bool away = report->sinks[0].state[0] != 0;
    mutex_unlock(&report->lock);
    return away;
}
static bool source_is_blocked(void *context) {
    Report *report = engine_report(((Wanted *)context)->running->run.engine);
    return report->sources[0].blocked != 0 && report->sources[1].ended != 0;
}

/* ---- two parts of a pipeline, and the sink of one is away ---- */

static void the_other_part_goes_on(const char *sql) {
    enum { ROWS = 12000, OTHERS = 3000, PAD = 6000 };
    FakeSource *events = numbers("events", ROWS, PAD);
    FakeSink *out = fake_sink(&world, "out");
    FakeRunning running;
    Wanted wanted = {.running = &running, .rows = OTHERS};
    numbers("other", OTHERS, 10);
    atomic_store(&out->room, -1);
    fake_start(&world, &running, sql, NULL);
    assert_true(fake_until(view_has_rows, &wanted));
    assert_true(fake_until(sink_is_told_away, &wanted));
    assert_true(fake_until(source_is_blocked, &wanted));
    /* Of 72 MB no more was taken in than stands before the engine and behind it. */
    assert_in_range((int64_t)events->given * PAD, 1, 48 << 20);
    assert_int_equal(out->rows, 0);
    atomic_store(&out->room, INT64_MAX);
    wanted.rows = ROWS;
    assert_true(fake_until(sink_has_rows, &wanted));
    must(fake_wait(&running), &running.error);
    fake_close(&running.run);
    assert_int_equal(fake_run(&world, sql, NULL, NULL, &running.error), END);
}

/* The rows are as wide as what is read. */
#define WIDE(way)                                                                                  \
    SETTINGS "SET outbox_limit = '16 MB';\n" SOURCE("events") OTHER                                \
        "CREATE TABLE out (v bigint, k text) WITH (connector = 'file', path = '" way "');\n"       \
        "INSERT INTO out SELECT v, k FROM events;\n"

static void the_other_part_goes_on_by_outbox(void **state) {
    (void)state;
    the_other_part_goes_on(WIDE("outbox"));
}
static void the_other_part_goes_on_in_two_steps(void **state) {
    (void)state;
    the_other_part_goes_on(WIDE("twice"));
}
static void the_other_part_goes_on_at_once(void **state) {
    (void)state;
    the_other_part_goes_on(WIDE("once"));
}

/* ---- what comes out of windows ---- */

#define GROUPS                                                                                     \
    SETTINGS "SET outbox_limit = '1 MB';\n" SOURCE("events") OTHER                                 \
        "CREATE TABLE out (v bigint, k text) WITH (connector = 'file', path = 'outbox');\n"        \
        "INSERT INTO out SELECT v, min(k) FROM tumble(events, t, INTERVAL '1 minute') "            \
        "GROUP BY v, window_start;\n"

/* A window closes with more than the sink may owe: time stands still there until it is paid. */
static void a_window_waits_for_its_sink(void **state) {
    (void)state;
    enum { ROWS = 30000, OTHERS = 500 };
    numbers("events", ROWS, 1000);
    FakeSink *out = fake_sink(&world, "out");
    FakeRunning running;
    Wanted wanted = {.running = &running, .rows = OTHERS};
    numbers("other", OTHERS, 10);
    atomic_store(&out->room, -1);
    fake_start(&world, &running, GROUPS, NULL);
    assert_true(fake_until(source_is_blocked, &wanted));
    assert_true(fake_until(view_has_rows, &wanted));
    /* Of 30 MB of results: the limit, and what was under way when it was reached. */
    assert_in_range(engine_report(running.run.engine)->sinks[0].owed_bytes, 1 << 20, 8 << 20);
    atomic_store(&out->room, INT64_MAX);
    must(fake_wait(&running), &running.error);
    assert_int_equal(out->rows, ROWS);
    fake_close(&running.run);
}

/* ---- away at the start, and at the stop ---- */

static bool all_is_taken(void *context) {
    Report *report = engine_report(((Wanted *)context)->running->run.engine);
    int64_t owed = report->sinks[0].owed_bytes, wanted = ((Wanted *)context)->owed;
    return report->sources[0].ended && owed > 0 && (!wanted || owed == wanted);
}

/* What is owed counts as it leaves, also when an earlier run left it. */
static void away_from_start_to_stop(const char *sql, int64_t owed) {
    enum { ROWS = 500 };
    numbers("events", ROWS, 10);
    FakeSink *out = fake_sink(&world, "out");
    FakeRunning running;
    Wanted wanted = {&running, ROWS, owed};
    atomic_store(&out->room, -1);
    for (int i = 0; i < 2; i++) {
        fake_start(&world, &running, sql, &(EngineOptions){.epoch_rows = 100});
        assert_true(fake_until(all_is_taken, &wanted));
        /* Time may be over before the last commit is. */
        if (fake_stop(&running) == FAIL) fail_msg("%s", running.error.text);
        fake_close(&running.run);
        assert_int_equal(out->rows, 0);
    }
    atomic_store(&out->room, INT64_MAX);
    must(fake_run(&world, sql, NULL, NULL, &running.error), &running.error);
    numbers_are_there(out, ROWS, NULL);
}

static void away_from_start_to_stop_by_outbox(void **state) {
    (void)state;
    away_from_start_to_stop(SETTINGS SOURCE("events") SINK("twice") INSERT,
                            10 * 8 + 90 * 9 + 400 * 10);
}
static void away_from_start_to_stop_at_once(void **state) {
    (void)state;
    away_from_start_to_stop(SETTINGS SOURCE("events") SINK("once") INSERT, 0);
}

/* Gone for a while in the middle, again and again. */
static void now_there_now_away(const char *sql) {
    enum { ROWS = 2000 };
    FakeSource *events = numbers("events", ROWS, 10);
    FakeSink *out = fake_sink(&world, "out");
    FakeRunning running;
    Wanted wanted = {.running = &running};
    events->chunk_rows = 10;
    atomic_store(&out->room, 0);
    fake_start(&world, &running, sql, &(EngineOptions){.epoch_rows = 20, .batch_rows = 10});
    for (wanted.rows = 0; wanted.rows < ROWS;) {
        assert_true(fake_until(sink_is_told_away, &wanted));
        wanted.rows += ROWS / 4;
        int64_t most = atomic_fetch_add(&out->room, ROWS / 4) + ROWS / 4;
        assert_true(fake_until(room_was_used, &most));
    }
    must(fake_wait(&running), &running.error);
    fake_close(&running.run);
    numbers_are_there(out, ROWS, NULL);
}

static void now_there_now_away_by_outbox(void **state) {
    (void)state;
    now_there_now_away(SETTINGS SOURCE("events") SINK("twice") INSERT);
}
static void now_there_now_away_at_once(void **state) {
    (void)state;
    now_there_now_away(SETTINGS SOURCE("events") SINK("once") INSERT);
}

/* A file that cannot be written to for a minute ends the run; nothing is lost. */
static void a_file_without_room_ends_the_run_after_a_minute(void **state) {
    (void)state;
    static const char sql[] = SETTINGS SOURCE("events") SINK("length") INSERT;
    numbers("events", 300, 10);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    atomic_store(&out->room, 0);
    world.speed = 1000;
    assert_int_equal(fake_run(&world, sql, NULL, NULL, &error), FAIL);
    assert_string_equal(error.text,
                        "sink out: the made-up sink is full and start again: nothing is lost");
    atomic_store(&out->room, INT64_MAX);
    must(fake_run(&world, sql, NULL, NULL, &error), &error);
    numbers_are_there(out, 300, NULL);
}

/* ---- rows that are refused ---- */

static int64_t dead_letters(void) {
    HomeReader *reader = NULL;
    Error error = {0};
    Buffer json = {0};
    int64_t rows = 0;
    must(home_reader_open(world.home, &reader, &error), &error);
    must(home_read_rejects(reader, "dead", 100000, &json, &error), &error);
    buffer_add_char(&json, 0);
    for (const char *at = json.data; (at = strstr(at, "the made-up sink refuses it")); at++) rows++;
    assert_int_equal(rows > 0, strstr(json.data, "\"query\":\"out\"") != NULL);
    buffer_free(&json);
    home_reader_close(&reader);
    return rows;
}

static int refused_of(int rows, const char *text) {
    int count = 0;
    for (int i = 0; i < rows; i++) {
        char row[64];
        snprintf(row, sizeof row, "{\"v\":%d}\n", i);
        count += strstr(row, text) != NULL;
    }
    return count;
}

/* Whatever is redone, each is one dead letter. */
static void refused_rows_are_dead_letters(const char *sql) {
    enum { ROWS = 400 };
    for (int fail_at = 0; fail_at < ROWS; fail_at += 40) {
        FakeSource *events = numbers("events", ROWS, 10);
        FakeSink *out = fake_sink(&world, "out");
        Error error = {0};
        FakeRun run;
        const EngineOptions options = {.epoch_rows = 30, .batch_rows = 10};
        events->chunk_rows = 10;
        events->fail_at = fail_at ? fail_at : -1;
        out->refuses = "7}";
        out->lost_answers = strstr(sql, "twice") ? 5 : 0;
        if (fail_at) assert_int_equal(fake_run(&world, sql, &options, NULL, &error), FAIL);
        events->fail_at = -1;
        must(fake_open(&world, sql, &options, &run, &error), &error);
        must(engine_run(run.engine, &error), &error);
        assert_int_equal(engine_report(run.engine)->sinks[0].refused, refused_of(ROWS, "7}"));
        fake_close(&run);
        if (strstr(sql, "twice")) numbers_are_there(out, ROWS, "7}");
        assert_int_equal(dead_letters(), refused_of(ROWS, "7}"));
        fake_world_close(&world);
        (void)set_up(NULL);
    }
}

static void refused_rows_are_dead_letters_by_outbox(void **state) {
    (void)state;
    refused_rows_are_dead_letters(SETTINGS SOURCE("events") SINK("twice") INSERT);
}
static void refused_rows_are_dead_letters_at_once(void **state) {
    (void)state;
    refused_rows_are_dead_letters(SETTINGS SOURCE("events") SINK("once") INSERT);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(the_other_part_goes_on_by_outbox),
        TEST(the_other_part_goes_on_in_two_steps),
        TEST(the_other_part_goes_on_at_once),
        TEST(a_window_waits_for_its_sink),
        TEST(away_from_start_to_stop_by_outbox),
        TEST(away_from_start_to_stop_at_once),
        TEST(now_there_now_away_by_outbox),
        TEST(now_there_now_away_at_once),
        TEST(a_file_without_room_ends_the_run_after_a_minute),
        TEST(refused_rows_are_dead_letters_by_outbox),
        TEST(refused_rows_are_dead_letters_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
