/* Sinks by position in the made-up world: wherever the run dies, whatever the far side has of what
 * the home has not, and the other way round, every row is outside once, and all else is counted as
 * in a run that nothing disturbed. */
#include "engine/fakes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
// cmocka wants the headers above first
#include <cmocka.h>

#define SETTINGS "SET http = 'off';\nSET checkpoint_interval = '1 hour';\n"
#define TABLE(name)                                                                                \
    "CREATE TABLE " name " (v int, t timestamptz) WITH (connector = 'kafka', topic = '" name       \
    "', \"bootstrap.servers\" = 'nowhere:1', event_time = 't');\n"
#define OUT(way)                                                                                   \
    "CREATE TABLE out (v bigint) WITH (connector = 'kafka', topic = '" way                         \
    "', \"bootstrap.servers\" = 'nowhere:1');\n"
#define VIEW "CREATE MATERIALIZED VIEW n AS SELECT count(*) AS n, sum(v) AS s FROM events;\n"
/* One in five is filtered, one in seven is a division by zero. */
#define INSERT                                                                                     \
    "INSERT INTO out SELECT v / (v % 7) * (v % 7) + v % (v % 7) FROM events WHERE v % 5 > 0;\n"
#define PIPELINE SETTINGS TABLE("events") OUT("position") VIEW INSERT

enum { ROWS = 240 };

static FakeWorld world;

static int set_up(void **state) {
    (void)state;
    fake_world_open(&world);
    world.speed = 10; /* a stop has 9 s, which must be enough for a commit */
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fake_world_close(&world);
    return 0;
}

static void again(void) {
    fake_world_close(&world);
    (void)set_up(NULL);
}

static void must(Status status, const Error *error) {
    if (status != OK) fail_msg("%d: %s", status, error->text);
}

static void put(FakeSource *source, int v) {
    int partition = v % source->partitions;
    if (v % 11 == 0) fake_record(source, partition, "no record");
    fake_record(source, partition, "{\"v\":%d,\"t\":\"2020-01-01T00:%02d:%02dZ\"}", v, v / 60 % 60,
                v % 60);
}

static FakeSource *events(int rows) {
    FakeSource *source = fake_source(&world, "events", 3, false);
    for (int v = 0; v < rows; v++) put(source, v);
    source->chunk_rows = 7;
    return source;
}

static bool passes(int v) { return v % 5 > 0 && v % 7 > 0; }

/* ---- what must be at the end ---- */

typedef struct Goal {
    FakeRunning *running;
    int first, rows;
    int64_t records;
} Goal;

static int64_t records_of(int rows) { return rows + (rows + 10) / 11; }

static bool is_done(void *context) {
    Goal *goal = context;
    const Report *report = engine_report(goal->running->run.engine);
    int64_t wanted = 0;
    for (int v = goal->first; v < goal->rows; v++) wanted += passes(v);
    int64_t taken = 0;
    for (int s = 0; s < report->plan->source_count; s++)
        taken += report->sources[s].rows + report->sources[s].dead;
    return world.sinks[0].rows >= wanted && taken >= records_of(goal->rows);
}

/* Each number that passes once, in any order; `times` of those below `first`. */
static void rows_are_right(int first, int rows) {
    int *seen = xcalloc((size_t)rows, sizeof *seen);
    const FakeSink *out = &world.sinks[0];
    for (const char *at = out->bytes.data, *end = at + out->bytes.size; at < end;
         at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1) {
        int v = atoi(at + 5);
        assert_in_range(v, 0, rows - 1);
        seen[v]++;
    }
    for (int v = 0; v < rows; v++)
        if (seen[v] != (v >= first && passes(v))) fail_msg("%d stands there %d times", v, seen[v]);
    free(seen);
}

static void counts_are_right(const FakeRun *run, int rows) {
    const Report *r = engine_report(run->engine);
    int64_t filtered = 0, dead = 0;
    for (int v = 0; v < rows; v++) {
        filtered += v % 5 == 0;
        dead += v % 5 > 0 && v % 7 == 0;
    }
    for (int q = 0; q < r->plan->query_count; q++) {
        if (r->queries[q].kind != QUERY_SINK) continue;
        assert_int_equal(r->queries[q].in[0], rows);
        assert_int_equal(r->queries[q].filtered[0], filtered);
        assert_int_equal(r->queries[q].dead[0], dead);
    }
    assert_int_equal(r->sources[0].rows, rows);
    assert_int_equal(r->sources[0].dead, records_of(rows) - rows);
    /* Every dead letter is told once. */
    HomeReader *reader = NULL;
    Error error = {0};
    Buffer json = {0};
    int64_t told = 0;
    must(home_reader_open(world.home, &reader, &error), &error);
    must(home_read_rejects(reader, "dead", 100000, &json, &error), &error);
    for (size_t i = 0; i + 8 < json.size; i++) told += memcmp(json.data + i, "\"reason\"", 8) == 0;
    assert_int_equal(told, dead + records_of(rows) - rows);
    buffer_free(&json);
    home_reader_close(&reader);
    fake_view(&world, run, &json);
    char wanted[100];
    snprintf(wanted, sizeof wanted, "[{\"n\":%d,\"s\":\"%d\"}]", rows, rows * (rows - 1) / 2);
    buffer_add_char(&json, 0);
    if (!strstr(json.data, "\"n\":")) fail_msg("%s", json.data);
    char number[32];
    snprintf(number, sizeof number, "\"n\":%d,", rows);
    if (!strstr(json.data, number)) fail_msg("%s, not %s", json.data, number);
    buffer_free(&json);
}

/* Runs until all is there, and stops. */
static void finish(const char *sql, const EngineOptions *options, int first, int rows) {
    FakeRunning running;
    Goal goal = {&running, first, rows, 0};
    fake_start(&world, &running, sql, options);
    if (!fake_until(is_done, &goal)) {
        (void)fake_stop(&running);
        fail_msg("not done: %d rows; %s", (int)world.sinks[0].rows, running.error.text);
    }
    must(fake_stop(&running), &running.error);
    rows_are_right(first, rows);
    if (!first) counts_are_right(&running.run, rows);
    fake_close(&running.run);
}

/* Dies when `fail_at` records were read. */
static void die(const char *sql, const EngineOptions *options, int fail_at) {
    Error error = {0};
    world.sources[0].fail_at = fail_at;
    Status status = fake_run(&world, sql, options, NULL, &error);
    if (status != FAIL || strcmp(error.text, "the made-up source fails") != 0)
        fail_msg("%d: %s", status, error.text);
    world.sources[0].fail_at = -1;
}

/* ---- crashes ---- */

static void wherever_it_dies_each_row_is_there_once(void **state) {
    (void)state;
    for (int n = 1; n < ROWS; n += 16) {
        events(ROWS);
        FakeSink *out = fake_sink(&world, "out");
        out->lost_answers = n % 4;
        const EngineOptions options = {
            .epoch_rows = 5 + n % 60, .batch_rows = 1 + n % 5, .workers = 1 + n % 2};
        die(PIPELINE, &options, n);
        die(PIPELINE, &options, 7 + n % 30);
        finish(PIPELINE, &options, 0, ROWS);
        again();
    }
}

/* The sink takes a few rows, then none: the home goes on, and then everything dies. */
static void a_sink_that_lags_gets_what_it_lacks(void **state) {
    (void)state;
    for (int room = -1; room < 100; room += 16) {
        for (int n = 80; n <= ROWS; n += 80) {
            events(ROWS);
            FakeSink *out = fake_sink(&world, "out");
            const EngineOptions options = {.epoch_rows = 10, .batch_rows = 1 + room % 7};
            atomic_store(&out->room, room);
            die(PIPELINE, &options, n);
            atomic_store(&out->room, out->room < 0 ? -1 : out->room + 20);
            die(PIPELINE, &options, n / 2);
            atomic_store(&out->room, INT64_MAX);
            finish(PIPELINE, &options, 0, ROWS);
            again();
        }
    }
}

/* No epoch was committed, but rows are outside. */
static void a_sink_that_is_ahead_gets_nothing_twice(void **state) {
    (void)state;
    for (int n = 20; n < ROWS; n += 40) {
        FakeSource *source = events(ROWS);
        FakeSink *out = fake_sink(&world, "out");
        FakeRunning running;
        source->fail_at = n;
        fake_start(&world, &running, PIPELINE, NULL);
        assert_int_equal(fake_wait(&running), FAIL);
        fake_close(&running.run);
        source->fail_at = -1;
        finish(PIPELINE, NULL, 0, ROWS);
        assert_true(out->number > 0);
        again();
    }
}

static void a_clean_stop_leaves_nothing_to_repeat(void **state) {
    (void)state;
    FakeSource *source = events(100);
    FakeSink *out = fake_sink(&world, "out");
    finish(PIPELINE, NULL, 0, 100);
    /* The far side forgets what nobody asked for in days. */
    memset(out->positions, 0, sizeof out->positions);
    out->number = out->epoch = out->generation = 0;
    for (int v = 100; v < ROWS; v++) put(source, v);
    finish(PIPELINE, NULL, 0, ROWS);
}

/* ---- markers ---- */

static void an_old_copy_of_the_home_is_refused(void **state) {
    (void)state;
    events(ROWS);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    const EngineOptions options = {.epoch_rows = 10};
    finish(PIPELINE, &options, 0, ROWS);
    out->epoch += 100;
    assert_int_equal(fake_run(&world, PIPELINE, &options, NULL, &error), FAIL);
    assert_non_null(strstr(error.text, "it is an old copy"));
}

static void a_far_side_that_went_back_is_refused(void **state) {
    (void)state;
    events(ROWS);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    finish(PIPELINE, NULL, 0, ROWS);
    out->positions[0][1] -= 5;
    assert_int_equal(fake_run(&world, PIPELINE, NULL, NULL, &error), FAIL);
    assert_non_null(strstr(error.text, "sink out went back: rows of source events partition 1"));
    char lost[64];
    snprintf(lost, sizeof lost, "those of positions %d to %d are lost", (int)out->positions[0][1],
             (int)out->positions[0][1] + 4);
    assert_non_null(strstr(error.text, lost));
}

/* ---- queries that come and change ---- */

static bool all_is_taken(void *context) {
    Goal *goal = context;
    const Report *report = engine_report(goal->running->run.engine);
    return report->sources[0].rows + report->sources[0].dead >= goal->records;
}

static void take_all(const char *sql, int rows) {
    FakeRunning running;
    Goal goal = {.running = &running, .records = records_of(rows)};
    fake_start(&world, &running, sql, &(EngineOptions){.epoch_rows = 10});
    assert_true(fake_until(all_is_taken, &goal));
    /* With a sink that is away, time may be over before the last commit is. */
    if (fake_stop(&running) == FAIL) fail_msg("%s", running.error.text);
    fake_close(&running.run);
}

static bool is_listed(void *context) {
    return engine_report(((Goal *)context)->running->run.engine)->sources[0].partition_count == 3;
}

/* Told to stop while it reads again what its sink lacks, it does that first. */
static void a_stop_waits_for_a_sink_that_is_behind(void **state) {
    (void)state;
    FakeSource *source = events(ROWS);
    FakeSink *out = fake_sink(&world, "out");
    FakeRunning running;
    Goal goal = {.running = &running};
    atomic_store(&out->room, 40);
    take_all(PIPELINE, ROWS);
    assert_true(out->rows <= 40);
    atomic_store(&out->room, INT64_MAX);
    for (int i = 0; i < 3; i++) atomic_store(&source->there[i], 0);
    fake_start(&world, &running, PIPELINE, NULL);
    assert_true(fake_until(is_listed, &goal));
    engine_stop(running.run.engine);
    for (int i = 0; i < 3; i++) atomic_store(&source->there[i], source->counts[i]);
    must(fake_stop(&running), &running.error);
    rows_are_right(0, ROWS);
    counts_are_right(&running.run, ROWS);
    fake_close(&running.run);
    finish(PIPELINE, NULL, 0, ROWS);
}

/* It begins where its source stands, and nothing behind that is lost though its sink is away. */
static void a_new_query_begins_where_its_source_stands(void **state) {
    (void)state;
    static const char before[] = SETTINGS TABLE("events") VIEW;
    FakeSource *source = events(100);
    FakeSink *out = fake_sink(&world, "out");
    take_all(before, 100);
    for (int v = 100; v < 170; v++) put(source, v);
    atomic_store(&out->room, -1);
    take_all(PIPELINE, 170);
    for (int v = 170; v < ROWS; v++) put(source, v);
    assert_int_equal(out->rows, 0);
    die(PIPELINE, &(EngineOptions){.epoch_rows = 10}, 40);
    atomic_store(&out->room, INT64_MAX);
    finish(PIPELINE, NULL, 100, ROWS);
}

static void a_reset_query_gets_what_it_was_owed(void **state) {
    (void)state;
    events(ROWS);
    FakeSink *out = fake_sink(&world, "out");
    atomic_store(&out->room, 30);
    die(PIPELINE, &(EngineOptions){.epoch_rows = 10}, 200);
    atomic_store(&out->room, INT64_MAX);
    FakeRunning running;
    Goal goal = {&running, 0, ROWS, 0};
    fake_start(&world, &running, PIPELINE, &(EngineOptions){.reset = "out"});
    assert_true(fake_until(is_done, &goal));
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
    rows_are_right(0, ROWS);
}

static void new_partitions_begin_at_their_beginning(void **state) {
    (void)state;
    FakeSource *source = events(120);
    FakeSink *out = fake_sink(&world, "out");
    const EngineOptions options = {.epoch_rows = 10};
    atomic_store(&out->room, 40);
    die(PIPELINE, &options, 100);
    source->partitions = 5;
    for (int v = 120; v < ROWS; v++) put(source, v);
    die(PIPELINE, &options, 100);
    atomic_store(&out->room, INT64_MAX);
    finish(PIPELINE, &options, 0, ROWS);
}

/* Rows of two tables, one of which ends far behind the other. */
static void two_sources_have_a_position_each(void **state) {
    (void)state;
    static const char both[] = SETTINGS TABLE("events") TABLE("others") OUT(
        "position") "INSERT INTO out SELECT v FROM events UNION ALL SELECT v + 1000 FROM others;\n";
    FakeSource *a = fake_source(&world, "events", 2, false),
               *b = fake_source(&world, "others", 2, false);
    FakeSink *out = fake_sink(&world, "out");
    FakeRunning running;
    for (int v = 0; v < 100; v++) {
        fake_record(a, v % 2, "{\"v\":%d,\"t\":\"2020-01-01T00:00:00Z\"}", v);
        fake_record(b, v % 2, "{\"v\":%d,\"t\":\"2020-01-01T00:01:00Z\"}", v);
    }
    a->chunk_rows = b->chunk_rows = 5;
    atomic_store(&out->room, 60);
    die(both, &(EngineOptions){.epoch_rows = 10}, 90);
    atomic_store(&out->room, INT64_MAX);
    die(both, &(EngineOptions){.epoch_rows = 10}, 50);
    fake_start(&world, &running, both, &(EngineOptions){.epoch_rows = 10});
    struct timespec moment = {.tv_nsec = 2000000};
    for (int i = 0; i < 10000 && out->rows < 200; i++) nanosleep(&moment, NULL);
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
    assert_int_equal(out->rows, 200);
    int seen[2000] = {0};
    for (const char *at = out->bytes.data, *end = at + out->bytes.size; at < end;
         at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1)
        seen[atoi(at + 5)]++;
    for (int v = 0; v < 100; v++) assert_true(seen[v] == 1 && seen[v + 1000] == 1);
}

/* The other way needs a reset; back again nothing of old is believed. */
static void another_way_needs_a_reset(void **state) {
    (void)state;
    static const char outbox[] = SETTINGS TABLE("events") OUT("twice") VIEW INSERT;
    FakeSource *source = events(100);
    fake_sink(&world, "out");
    Error error = {0};
    FakeRunning running;
    Goal goal = {&running, 0, ROWS, records_of(170)};
    finish(PIPELINE, NULL, 0, 100);
    for (int v = 100; v < 170; v++) put(source, v);
    /* The topic's name is its way here, and a part of the query. */
    assert_int_equal(fake_run(&world, outbox, NULL, NULL, &error), FAIL);
    fake_start(&world, &running, outbox, &(EngineOptions){.reset = "out", .epoch_rows = 10});
    assert_true(fake_until(all_is_taken, &goal));
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
    rows_are_right(0, 170);
    /* Nothing comes in one of the partitions: what stands outside of it is of the first time. */
    source->partitions = 2;
    for (int v = 170; v < ROWS; v++) put(source, v);
    source->partitions = 3;
    fake_start(&world, &running, PIPELINE, &(EngineOptions){.reset = "out", .epoch_rows = 10});
    assert_true(fake_until(is_done, &goal));
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
    rows_are_right(0, ROWS);
    for (int v = 0; v < 6; v++) fake_record(source, 0, "{\"v\":%d}", 5);
    fake_start(&world, &running, PIPELINE, NULL);
    goal.records = records_of(ROWS) + 6;
    assert_true(fake_until(all_is_taken, &goal));
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
    rows_are_right(0, ROWS);
}

/* ---- sinks that refuse, and are away ---- */

static void refused_rows_are_dead_letters_once(void **state) {
    (void)state;
    static const char plain[] =
        SETTINGS TABLE("events") OUT("position") "INSERT INTO out SELECT v FROM events;\n";
    for (int n = 30; n < ROWS; n += 70) {
        events(ROWS);
        FakeSink *out = fake_sink(&world, "out");
        FakeRunning running;
        const EngineOptions options = {.epoch_rows = 20, .batch_rows = 5};
        out->refuses = "7}";
        out->lost_answers = 3;
        die(plain, &options, n);
        fake_start(&world, &running, plain, &options);
        struct timespec moment = {.tv_nsec = 2000000};
        for (int i = 0; i < 10000 && out->rows < ROWS - ROWS / 10; i++) nanosleep(&moment, NULL);
        must(fake_stop(&running), &running.error);
        assert_int_equal(out->rows, ROWS - ROWS / 10);
        assert_int_equal(engine_report(running.run.engine)->sinks[0].refused, ROWS / 10);
        fake_close(&running.run);
        again();
    }
}

static bool is_called(void *context) { return ((FakeSink *)context)->calls > 8; }

/* The first transaction of all, which no marker tells of. */
static void what_was_refused_in_vain_is_refused_once(void **state) {
    (void)state;
    static const char plain[] =
        SETTINGS TABLE("events") OUT("position") "INSERT INTO out SELECT v FROM events;\n";
    FakeSource *source = fake_source(&world, "events", 1, false);
    FakeSink *out = fake_sink(&world, "out");
    FakeRunning running;
    fake_record(source, 0, "{\"v\":7,\"t\":\"2020-01-01T00:00:00Z\"}");
    fake_record(source, 0, "{\"v\":8,\"t\":\"2020-01-01T00:00:00Z\"}");
    out->refuses = "7}";
    out->uncommitting = true;
    fake_start(&world, &running, plain, NULL);
    assert_true(fake_until(is_called, out));
    if (fake_stop(&running) == FAIL) fail_msg("%s", running.error.text);
    fake_close(&running.run);
    out->uncommitting = false;
    fake_start(&world, &running, plain, NULL);
    struct timespec moment = {.tv_nsec = 2000000};
    for (int i = 0; i < 10000 && out->rows < 1; i++) nanosleep(&moment, NULL);
    must(fake_stop(&running), &running.error);
    assert_int_equal(out->rows, 1);
    assert_int_equal(engine_report(running.run.engine)->sinks[0].refused, 1);
    fake_close(&running.run);
}

typedef struct Still {
    int64_t given, looks;
} Still;

static bool source_is_still(void *context) {
    Still *still = context;
    int64_t given = world.sources[0].given;
    still->looks = given == still->given ? still->looks + 1 : 0;
    still->given = given;
    return still->looks > 50;
}

/* Away from the start: what waits is bounded, and goes out when it is back. */
static void a_sink_that_is_away_bounds_what_waits(void **state) {
    (void)state;
    static const char wide[] = SETTINGS
        "CREATE TABLE events (v int, k text) WITH (connector = 'kafka', topic = 'e', "
        "\"bootstrap.servers\" = 'nowhere:1');\n"
        "CREATE TABLE out (v bigint, k text) WITH (connector = 'kafka', topic = 'position', "
        "\"bootstrap.servers\" = 'nowhere:1');\n"
        "INSERT INTO out SELECT v, k FROM events;\n";
    enum { WIDE_ROWS = 16000, PAD = 5000 };
    FakeSource *source = fake_source(&world, "events", 1, false);
    FakeSink *out = fake_sink(&world, "out");
    FakeRunning running;
    Still still = {0};
    char pad[PAD];
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = 0;
    for (int v = 0; v < WIDE_ROWS; v++) fake_record(source, 0, "{\"v\":%d,\"k\":\"%s\"}", v, pad);
    source->chunk_rows = 50;
    for (int room = -1; room <= 0; room++) {
        atomic_store(&out->room, room);
        fake_start(&world, &running, wide, &(EngineOptions){.epoch_rows = 500});
        assert_true(fake_until(source_is_still, &still));
        assert_in_range(still.given * PAD, 1 << 20, 40 << 20);
        if (room < 0) {
            if (fake_stop(&running) == FAIL) fail_msg("%s", running.error.text);
            fake_close(&running.run);
        }
    }
    atomic_store(&out->room, INT64_MAX);
    struct timespec moment = {.tv_nsec = 2000000};
    for (int i = 0; i < 10000 && out->rows < WIDE_ROWS; i++) nanosleep(&moment, NULL);
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
    assert_int_equal(out->rows, WIDE_ROWS);
    const char *at = out->bytes.data;
    for (int64_t v = 0; v < WIDE_ROWS; v++) {
        assert_int_equal(strtoll(at + 5, NULL, 10), v);
        at = (const char *)memchr(at, '\n', out->bytes.size) + 1;
    }
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(wherever_it_dies_each_row_is_there_once),
        TEST(a_sink_that_lags_gets_what_it_lacks),
        TEST(a_sink_that_is_ahead_gets_nothing_twice),
        TEST(a_clean_stop_leaves_nothing_to_repeat),
        TEST(an_old_copy_of_the_home_is_refused),
        TEST(a_far_side_that_went_back_is_refused),
        TEST(a_stop_waits_for_a_sink_that_is_behind),
        TEST(a_new_query_begins_where_its_source_stands),
        TEST(a_reset_query_gets_what_it_was_owed),
        TEST(new_partitions_begin_at_their_beginning),
        TEST(two_sources_have_a_position_each),
        TEST(another_way_needs_a_reset),
        TEST(refused_rows_are_dead_letters_once),
        TEST(what_was_refused_in_vain_is_refused_once),
        TEST(a_sink_that_is_away_bounds_what_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
