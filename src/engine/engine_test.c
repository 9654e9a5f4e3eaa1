/* The whole engine in a made-up world: whatever fails, stalls or loses an answer, the results are
 * those of an undisturbed run. */
#include "engine/fakes.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
// cmocka wants the headers above first
#include <cmocka.h>

#define EVENTS(connector)                                                                          \
    "CREATE TABLE events (v int, t timestamptz) WITH (connector = " connector                      \
    ", event_time = 't', idle_timeout = '10 seconds');\n"
#define BOUNDED EVENTS("'file', path = 'events'")
#define ENDLESS EVENTS("'kafka', topic = 'events', \"bootstrap.servers\" = 'nowhere:1'")
#define SINK(name, way)                                                                            \
    "CREATE TABLE " name " (v bigint) WITH (connector = 'file', path = '" way "');\n"
#define WINDOWS                                                                                    \
    "CREATE MATERIALIZED VIEW w WITH (emit = 'final') AS SELECT window_start, count(*) AS n, "     \
    "sum(v) AS s FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;\n"
#define SETTINGS "SET http = 'off';\n"

static FakeWorld world;

static int set_up(void **state) {
    (void)state;
    fake_world_open(&world);
    return 0;
}

static int tear_down(void **state) {
    (void)state;
    fake_world_close(&world);
    return 0;
}

static void put(FakeSource *source, int partition, int v, int second) {
    fake_record(source, partition, "{\"v\":%d,\"t\":\"2020-01-01T00:%02d:%02dZ\"}", v, second / 60,
                second % 60);
}

static void must(Status status, const Error *error) {
    if (status != OK) fail_msg("%d: %s", status, error->text);
}

static void same_text(Str got, const char *wanted) {
    if (got.size != strlen(wanted) || memcmp(got.data, wanted, got.size) != 0)
        fail_msg("got:\n%.*s\nwanted:\n%s", STR_ARG(got), wanted);
}

/* ---- files: partitions that end ---- */

static void rows_come_in_the_order_of_their_time(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 2, true);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    put(events, 0, 1, 0), put(events, 0, 2, 20), put(events, 0, 3, 40);
    put(events, 1, 4, 0), put(events, 1, 5, 10), put(events, 1, 6, 50);
    const EngineOptions single = {.batch_rows = 1};
    must(fake_run(&world,
                  SETTINGS BOUNDED SINK("out", "length") "INSERT INTO out SELECT v FROM events;",
                  &single, NULL, &error),
         &error);
    /* The partition furthest behind is asked, ties to the lower number: an unread one is at no
     * time. */
    same_text(buffer_str(&out->bytes),
              "{\"v\":1}\n{\"v\":4}\n{\"v\":2}\n{\"v\":5}\n{\"v\":6}\n{\"v\":3}\n");
}

#define MANY                                                                                       \
    SETTINGS BOUNDED WINDOWS SINK("length", "length")                                              \
        SINK("outbox",                                                                             \
             "outbox") "INSERT INTO length SELECT v FROM events;\n"                                \
                       "INSERT INTO outbox SELECT s FROM (SELECT window_end, sum(v) AS s FROM "    \
                       "tumble(events, t, INTERVAL '10 seconds') GROUP BY window_end) x;\n"

enum { MANY_ROWS = 120 };

static void many(FakeWorld *w) {
    FakeSource *events = fake_source(w, "events", 3, true);
    fake_sink(w, "length");
    fake_sink(w, "outbox");
    for (int i = 0; i < MANY_ROWS; i++) put(events, i % 3, i, i / 2);
    events->chunk_rows = 7;
}

typedef struct Results {
    Buffer view, length, outbox;
} Results;

static void keep(const FakeWorld *w, Results *results) {
    results->length.size = results->outbox.size = 0;
    buffer_add_str(&results->length, buffer_str(&w->sinks[0].bytes));
    buffer_add_str(&results->outbox, buffer_str(&w->sinks[1].bytes));
}

static void free_results(Results *results) {
    buffer_free(&results->view);
    buffer_free(&results->length);
    buffer_free(&results->outbox);
}

static int compare_lines(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Rows as a set: between partitions a replay may choose another order. */
static void same_rows(const Buffer *got, const Buffer *wanted) {
    const Buffer *of[2] = {got, wanted};
    char *copy[2], *lines[2][1000];
    int count[2] = {0};
    for (int i = 0; i < 2; i++) {
        copy[i] = calloc(1, of[i]->size + 1);
        if (of[i]->size) memcpy(copy[i], of[i]->data, of[i]->size);
        char *rest = copy[i];
        for (char *line; (line = strsep(&rest, "\n")) && *line;) lines[i][count[i]++] = line;
        qsort(lines[i], (size_t)count[i], sizeof(char *), compare_lines);
    }
    assert_int_equal(count[0], count[1]);
    for (int i = 0; i < count[0]; i++) assert_string_equal(lines[0][i], lines[1][i]);
    free(copy[0]);
    free(copy[1]);
}

static void undisturbed(Results *wanted) {
    FakeWorld calm;
    Error error = {0};
    fake_world_open(&calm);
    many(&calm);
    must(fake_run(&calm, MANY, NULL, &wanted->view, &error), &error);
    keep(&calm, wanted);
    assert_int_equal(calm.sinks[0].rows, MANY_ROWS);
    fake_world_close(&calm);
}

/* A source that fails at record n, for every n; what was in memory is gone, the next run goes on.
 */
static void a_source_that_fails_anywhere_costs_nothing(void **state) {
    (void)state;
    Results wanted = {0}, got = {0};
    undisturbed(&wanted);
    for (int n = 0; n < MANY_ROWS; n += 7) {
        FakeWorld w;
        Error error = {0};
        fake_world_open(&w);
        many(&w);
        const EngineOptions options = {.epoch_rows = 5, .batch_rows = 3, .workers = 1 + n % 2};
        w.sources[0].fail_at = n;
        assert_int_equal(fake_run(&w, MANY, &options, NULL, &error), FAIL);
        assert_string_equal(error.text, "the made-up source fails");
        w.sources[0].fail_at = MANY_ROWS / 2; /* of this run; it may have less to read */
        Status second = fake_run(&w, MANY, &options, &got.view, &error);
        assert_true(second == OK || second == FAIL);
        w.sources[0].fail_at = -1;
        if (second == FAIL) must(fake_run(&w, MANY, &options, &got.view, &error), &error);
        keep(&w, &got);
        same_text(buffer_str(&got.view),
                  (buffer_add_char(&wanted.view, 0), wanted.view.size--, wanted.view.data));
        same_rows(&got.length, &wanted.length);
        same_rows(&got.outbox, &wanted.outbox);
        /* It is finished. */
        assert_int_equal(fake_run(&w, MANY, &options, NULL, &error), END);
        fake_world_close(&w);
    }
    free_results(&wanted);
    free_results(&got);
}

/* ---- sinks that stall ---- */

typedef struct Still {
    int64_t given, looks;
} Still;

/* The source is asked no more: its count has not moved for a while. */
static bool source_is_still(void *context) {
    Still *still = context;
    int64_t given = world.sources[0].given;
    still->looks = given == still->given ? still->looks + 1 : 0;
    still->given = given;
    return still->looks > 50 && world.sinks[0].calls > 0;
}

static bool all_rows_are_there(void *context) { return world.sinks[0].rows == *(int64_t *)context; }

static void a_stalled_sink_stops_its_source(const char *sql, const char *sink) {
    enum { ROWS = 25000, PAD = 4000 };
    FakeSource *events = fake_source(&world, "events", 1, true);
    FakeSink *out = fake_sink(&world, sink);
    FakeRunning running;
    Still still = {0};
    char pad[PAD];
    memset(pad, 'x', sizeof pad - 1);
    pad[sizeof pad - 1] = 0;
    for (int i = 0; i < ROWS; i++)
        fake_record(events, 0, "{\"v\":%d,\"t\":\"2020-01-01T00:00:00Z\",\"k\":\"%s\"}", i, pad);
    events->chunk_rows = 100;
    atomic_store(&out->room, 0);
    world.speed = 100;
    fake_start(&world, &running, sql, NULL);
    assert_true(fake_until(source_is_still, &still));
    /* Of 100 MB no more was taken in than queues hold: 12 MB before the engine, 16 MB behind it. */
    assert_in_range(still.given * PAD, 1, 40 << 20);
    assert_int_equal(out->rows, 0);
    atomic_store(&out->room, INT64_MAX);
    int64_t rows = ROWS;
    assert_true(fake_until(all_rows_are_there, &rows));
    must(fake_wait(&running), &running.error);
    fake_close(&running.run);
    const char *at = out->bytes.data;
    for (int64_t i = 0; i < ROWS; i++) {
        assert_memory_equal(at, "{\"v\":", 5);
        assert_int_equal(strtoll(at + 5, NULL, 10), i);
        at = memchr(at, '\n', out->bytes.size) + 1;
    }
}

#define WIDE(way)                                                                                  \
    SETTINGS "SET outbox_limit = '16 MB';\n"                                                       \
             "CREATE TABLE events (v int, t timestamptz, k text) WITH (connector = 'file', path "  \
             "= 'e', "                                                                             \
             "event_time = 't');\nCREATE TABLE out (v bigint, k text) WITH (connector = 'file', "  \
             "path = '" way "');\nINSERT INTO out SELECT v, k FROM events;\n"

static void a_stalled_sink_by_length_stops_its_source(void **state) {
    (void)state;
    a_stalled_sink_stops_its_source(WIDE("length"), "out");
}

static void a_stalled_sink_by_outbox_stops_its_source(void **state) {
    (void)state;
    a_stalled_sink_stops_its_source(WIDE("outbox"), "out");
}

/* ---- outbox and marker ---- */

#define OUTBOX SETTINGS BOUNDED SINK("out", "outbox") "INSERT INTO out SELECT v FROM events;\n"

static void answers_that_are_lost_double_nothing(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 1, true);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    Buffer wanted = {0};
    const EngineOptions options = {.epoch_rows = 10, .batch_rows = 5};
    for (int i = 0; i < 100; i++) {
        put(events, 0, i, i);
        buffer_add_format(&wanted, "{\"v\":%d}\n", i);
    }
    buffer_add_char(&wanted, 0);
    out->lost_answers = 4;
    world.speed = 100;
    must(fake_run(&world, OUTBOX, &options, NULL, &error), &error);
    same_text(buffer_str(&out->bytes), wanted.data);
    buffer_free(&wanted);
}

static void a_marker_ahead_of_the_home_is_refused(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 1, true);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    put(events, 0, 1, 1);
    out->epoch = 99;
    out->generation = 1;
    assert_int_equal(fake_run(&world, OUTBOX, NULL, NULL, &error), FAIL);
    assert_non_null(strstr(error.text, "old copy"));
    assert_int_equal(out->rows, 0);
}

static void a_marker_behind_what_was_delivered_is_refused(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 1, true);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    const EngineOptions options = {.epoch_rows = 2, .batch_rows = 1};
    for (int i = 0; i < 40; i++) put(events, 0, i, i);
    events->fail_at = 30;
    assert_int_equal(fake_run(&world, OUTBOX, &options, NULL, &error), FAIL);
    events->fail_at = -1;
    must(fake_run(&world, OUTBOX, &options, NULL, &error), &error);
    int64_t delivered = out->epoch;
    assert_true(delivered > 2);
    put(events, 0, 40, 40);
    out->epoch = 1;
    /* Finished pipelines contact nothing; one that goes on does. */
    assert_int_equal(fake_run(&world, OUTBOX, &options, NULL, &error), END);
    const EngineOptions reset = {.reset = "out"};
    assert_int_equal(fake_run(&world, OUTBOX, &reset, NULL, &error), FAIL);
    assert_non_null(strstr(error.text, "went back"));
}

static bool has_rows(void *context) { return world.sinks[0].rows >= *(int *)context; }

/* A run of the first generation that goes on with a copy of the home, past its own last epoch. */
static void what_a_copy_delivered_is_told(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 1, false);
    FakeSink *out = fake_sink(&world, "out");
    FakeRunning running;
    for (int rows = 10; rows <= 20; rows += 10) {
        for (int i = rows - 10; i < rows; i++) put(events, 0, i, i);
        fake_start(&world, &running, OUTBOX, &(EngineOptions){.epoch_rows = 5});
        assert_true(fake_until(has_rows, &rows));
        must(fake_stop(&running), &running.error);
        fake_close(&running.run);
    }
    assert_int_equal(out->generation, 2);
    out->generation = 1;
    fake_start(&world, &running, OUTBOX, NULL);
    assert_int_equal(fake_wait(&running), FAIL);
    assert_non_null(strstr(running.error.text, "a process went on with a copy of it"));
    fake_close(&running.run);
    fake_start(&world, &running, OUTBOX, &(EngineOptions){.reset = "out"});
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
}

/* ---- upserts ---- */

#define KEYED(way)                                                                                 \
    "CREATE TABLE out (v bigint PRIMARY KEY, t timestamptz, n int) WITH (connector = 'kafka', "    \
    "topic = '" way "', \"bootstrap.servers\" = 'nowhere:1');\n"
#define NUMBERED                                                                                   \
    "CREATE TABLE events (v int, t timestamptz, n int) WITH (connector = 'file', path = "          \
    "'events', event_time = 't');\n"

static void put_numbered(FakeSource *source, int partition, int v, int second, int n) {
    fake_record(source, partition, "{\"v\":%d,\"t\":\"2020-01-01T00:00:%02dZ\",\"n\":%d}", v,
                second, n);
}

/* Within an epoch the later event time wins, then the higher partition and offset, in whatever
 * order rows were taken. */
static void of_a_key_one_write_leaves(const char *sql) {
    FakeSource *events = fake_source(&world, "events", 2, true);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    put_numbered(events, 0, 1, 30, 1), put_numbered(events, 0, 1, 10, 2);
    put_numbered(events, 1, 2, 5, 3), put_numbered(events, 0, 2, 5, 4);
    put_numbered(events, 0, 3, 7, 5), put_numbered(events, 0, 3, 7, 6);
    put_numbered(events, 1, 1, 29, 7), put_numbered(events, 0, 4, 1, 8);
    must(fake_run(&world, sql, NULL, NULL, &error), &error);
    Buffer wanted = {0}, got = {0};
    static const int rows[][3] = {{1, 30, 1}, {2, 5, 3}, {3, 7, 6}, {4, 1, 8}};
    for (int i = 0; i < 4; i++)
        buffer_add_format(&wanted, "{\"v\":%d,\"t\":\"2020-01-01T00:00:%02dZ\",\"n\":%d}\n",
                          rows[i][0], rows[i][1], rows[i][2]);
    buffer_add_str(&got, buffer_str(&out->bytes));
    same_rows(&got, &wanted);
    buffer_free(&got);
    buffer_free(&wanted);
}

static void of_a_key_one_write_leaves_by_outbox(void **state) {
    (void)state;
    of_a_key_one_write_leaves(
        SETTINGS NUMBERED KEYED("outbox") "INSERT INTO out SELECT v, t, n FROM events;");
}

static void of_a_key_one_write_leaves_at_once(void **state) {
    (void)state;
    of_a_key_one_write_leaves(
        SETTINGS NUMBERED KEYED("once") "INSERT INTO out SELECT v, t, n FROM events;");
}

/* ---- the home ---- */

static void commits_that_fail_are_tried_again(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 1, true);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    const EngineOptions options = {.epoch_rows = 10, .batch_rows = 5};
    for (int i = 0; i < 50; i++) put(events, 0, i, i);
    atomic_store(&world.failing_commits, 2);
    world.commit_takes_us = 1000000;
    must(fake_run(&world, OUTBOX, &options, NULL, &error), &error);
    assert_int_equal(out->rows, 50);
}

static void after_a_minute_the_run_ends_with_the_reason(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 1, true);
    FakeSink *out = fake_sink(&world, "out");
    Error error = {0};
    for (int i = 0; i < 50; i++) put(events, 0, i, i);
    atomic_store(&world.failing_commits, -1);
    world.commit_takes_us = 61000000;
    assert_int_equal(fake_run(&world, OUTBOX, NULL, NULL, &error), FAIL);
    assert_non_null(strstr(error.text, "home"));
    assert_int_equal(out->rows, 0);
    atomic_store(&world.failing_commits, 0);
    must(fake_run(&world, OUTBOX, NULL, NULL, &error), &error);
    assert_int_equal(out->rows, 50);
}

/* ---- topics: partitions that do not end ---- */

static bool windows_are_there(void *context) {
    Buffer json = {0};
    FakeRunning *running = context;
    fake_view(&world, &running->run, &json);
    int64_t rows = 0;
    for (size_t i = 0; i < json.size; i++) rows += json.data[i] == '{';
    buffer_free(&json);
    return rows == 2;
}

static bool rows_were_taken(void *context) {
    FakeRunning *running = context;
    return engine_report(running->run.engine)->sources[0].rows == 4;
}

/* Every partition has answered that there is no more: from here on it is silent. */
static bool all_stand_at_their_end(void *context) {
    const Report *report = engine_report(((FakeRunning *)context)->run.engine);
    for (int s = 0; s < report->plan->source_count; s++)
        for (int p = 0; p < report->sources[s].partition_count; p++)
            if (report->sources[s].partitions[p].lag != 0) return false;
    return true;
}

static bool silence_is_known(void *context) {
    FakeRunning *running = context;
    const SourceReport *source = &engine_report(running->run.engine)->sources[0];
    int64_t marked = source->watermark_us;
    return marked >= INT64_C(1577836800000000) + 25 * 1000000;
}

static void a_silent_partition_is_waited_for_and_then_not(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 2, false);
    FakeRunning running;
    put(events, 0, 1, 1), put(events, 0, 2, 2), put(events, 0, 3, 12), put(events, 0, 4, 25);
    fake_start(&world, &running, SETTINGS ENDLESS WINDOWS, NULL);
    assert_true(fake_until(rows_were_taken, &running));
    assert_int_equal(engine_report(running.run.engine)->sources[0].watermark_us, NO_TIME);
    assert_false(windows_are_there(&running));
    assert_true(fake_until(all_stand_at_their_end, &running));
    world.env.clock_us += 11 * 1000000;
    assert_true(fake_until(silence_is_known, &running));
    assert_true(fake_until(windows_are_there, &running) ||
                (world.env.clock_us += 2000000, fake_until(windows_are_there, &running)));
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
    /* What was committed is told to the source, for monitoring. */
    assert_int_equal(events->committed[0], 4);
}

static void a_silent_source_does_not_hold_the_others(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 1, false);
    (void)fake_source(&world, "others", 1, false);
    FakeRunning running;
    put(events, 0, 1, 1), put(events, 0, 2, 2), put(events, 0, 3, 12), put(events, 0, 4, 25);
    fake_start(
        &world, &running,
        SETTINGS ENDLESS
        "CREATE TABLE others (v int, t timestamptz) WITH (connector = 'kafka', topic = 'o', "
        "\"bootstrap.servers\" = 'nowhere:1', event_time = 't', idle_timeout = '10 "
        "seconds');\n"
        "CREATE MATERIALIZED VIEW w WITH (emit = 'final') AS SELECT window_start, count(*) AS "
        "n FROM tumble((SELECT v, t FROM events UNION ALL SELECT v, t FROM others), t, "
        "INTERVAL '10 seconds') GROUP BY window_start;\n",
        NULL);
    assert_true(fake_until(rows_were_taken, &running));
    assert_false(windows_are_there(&running));
    assert_true(fake_until(all_stand_at_their_end, &running));
    world.env.clock_us += 11 * 1000000;
    assert_true(fake_until(windows_are_there, &running) ||
                (world.env.clock_us += 2000000, fake_until(windows_are_there, &running)));
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
}

static bool some_time_passed(void *context) { return ++*(int *)context > 100; }

static void a_source_that_is_away_is_not_idle(void **state) {
    (void)state;
    FakeSource *events = fake_source(&world, "events", 2, false);
    FakeRunning running;
    put(events, 0, 1, 1), put(events, 0, 2, 2), put(events, 0, 3, 12), put(events, 0, 4, 25);
    fake_start(&world, &running, SETTINGS ENDLESS WINDOWS, NULL);
    assert_true(fake_until(rows_were_taken, &running));
    atomic_store(&events->away, true);
    struct timespec moment = {.tv_nsec = 100000000};
    nanosleep(&moment, NULL); /* the reader asks in vain */
    world.env.clock_us += 1000 * 1000000LL;
    int looks = 0;
    assert_true(fake_until(some_time_passed, &looks));
    assert_int_equal(engine_report(running.run.engine)->sources[0].watermark_us, NO_TIME);
    atomic_store(&events->away, false);
    must(fake_stop(&running), &running.error);
    fake_close(&running.run);
}

int main(void) {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(rows_come_in_the_order_of_their_time),
        TEST(a_source_that_fails_anywhere_costs_nothing),
        TEST(a_stalled_sink_by_length_stops_its_source),
        TEST(a_stalled_sink_by_outbox_stops_its_source),
        TEST(answers_that_are_lost_double_nothing),
        TEST(a_marker_ahead_of_the_home_is_refused),
        TEST(a_marker_behind_what_was_delivered_is_refused),
        TEST(what_a_copy_delivered_is_told),
        TEST(of_a_key_one_write_leaves_by_outbox),
        TEST(of_a_key_one_write_leaves_at_once),
        TEST(commits_that_fail_are_tried_again),
        TEST(after_a_minute_the_run_ends_with_the_reason),
        TEST(a_silent_partition_is_waited_for_and_then_not),
        TEST(a_silent_source_does_not_hold_the_others),
        TEST(a_source_that_is_away_is_not_idle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
