/* The home: what is committed comes back, what is damaged, old or somebody else's is refused with a
 * remedy. */
#include "base/log.h"
#include "state/home.h"
#include "state/state.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
// cmocka wants the headers above first
#include <cmocka.h>
#include <sqlite3.h>

static char folder[64], path[128];

static int make_folder(void **state) {
    (void)state;
    strcpy(folder, "/tmp/leat-home-XXXXXX");
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/p.leat", folder);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static Home *open_home(void) {
    Home *home = NULL;
    Error error = {0};
    Status status = home_open(path, "p", false, env_system(), &home, NULL, &error);
    if (status != OK) fail_msg("%s", error.text);
    return home;
}

static void refused(const char *pipeline, const char *because) {
    Home *home = NULL;
    Error error = {0};
    assert_int_equal(home_open(path, pipeline, false, env_system(), &home, NULL, &error), FAIL);
    assert_null(home);
    assert_non_null(strstr(error.text, because));
}

static void run_sql(const char *sql) {
    sqlite3 *db = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    char *why = NULL;
    if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK) fail_msg("%s: %s", sql, why);
    sqlite3_close(db);
}

static void commit(Home *home, HomeBatch *batch) {
    Error error = {0};
    if (home_commit(home, batch, home_info(home)->epoch + 1, 100000, &error) != OK)
        fail_msg("%s", error.text);
    home_batch_free(&batch);
}

static void put_number(Buffer *values, int64_t number) {
    value_encode((Value){.type = type_of(TYPE_INT8), .integer = number}, values);
}

typedef struct Got {
    char text[256];
} Got;
static Status got_snapshot(void *context, int shard, int64_t epoch, Str blob, Error *error) {
    (void)error;
    char *to = ((Got *)context)->text;
    sprintf(to + strlen(to), "s%d@%d=%.*s ", shard, (int)epoch, STR_ARG(blob));
    return OK;
}
static Status got_delta(void *context, int64_t epoch, Str blob, Error *error) {
    (void)error;
    char *to = ((Got *)context)->text;
    sprintf(to + strlen(to), "d@%d=%.*s ", (int)epoch, STR_ARG(blob));
    return OK;
}
static Status got_segment(void *context, int64_t bucket, Str blob, Error *error) {
    (void)error;
    char *to = ((Got *)context)->text;
    sprintf(to + strlen(to), "b%d=%.*s ", (int)bucket, STR_ARG(blob));
    return OK;
}

static void everything_comes_back(void **state) {
    (void)state;
    Home *home = open_home();
    assert_true(home_info(home)->made_now);
    assert_int_equal(home_info(home)->generation, 1);
    char id[33];
    strcpy(id, home_info(home)->id);
    Error error = {0};
    assert_int_equal(home_put_query(home, "q", UINT64_C(0xfedcba9876543210), "plan", &error), OK);
    assert_int_equal(home_set(home, "seed", "7", &error), OK);
    HomeBatch *batch = home_begin();
    assert_true(home_batch_empty(batch));
    home_put_position(batch, "t", "0", 42, 1000, 40);
    home_put_mark(batch, "t", 900);
    home_put_delta(batch, "q.group", STR("one"));
    home_put_segment(batch, "q.dedup", 5, STR("ids"));
    home_put_segment(batch, "q.dedup", 6, STR("more"));
    home_put_outbox(batch, "out", STR("rows"));
    home_put_length(batch, "file", 123);
    home_put_count(batch, "q", "t", "in", 40);
    commit(home, batch);
    batch = home_begin();
    home_put_snapshot(batch, "q.group", 3, STR("whole"));
    home_drop_segment(batch, "q.dedup", 5);
    commit(home, batch);
    home_close(&home);

    home = open_home();
    assert_false(home_info(home)->made_now);
    assert_int_equal(home_info(home)->generation, 2);
    assert_int_equal(home_info(home)->epoch, 2);
    assert_string_equal(home_info(home)->id, id);
    assert_string_equal(home_get(home, "seed"), "7");
    assert_null(home_get(home, "else"));
    Arena *arena = arena_new();
    HomeQuery *queries;
    HomePosition *positions;
    HomeCount *counts;
    int count;
    assert_int_equal(home_queries(home, &queries, &count, arena, &error), OK);
    assert_int_equal(count, 1);
    assert_true(queries[0].hash == UINT64_C(0xfedcba9876543210));
    assert_int_equal(home_positions(home, &positions, &count, arena, &error), OK);
    assert_int_equal(count, 1);
    assert_int_equal(positions[0].position, 42);
    assert_int_equal(positions[0].max_time, 1000);
    int64_t mark;
    assert_int_equal(home_mark(home, "t", &mark, &error), OK);
    assert_int_equal(mark, 900);
    assert_int_equal(home_counts(home, &counts, &count, arena, &error), OK);
    assert_int_equal(counts[0].count, 40);
    Got got = {""};
    HomeStateReader reader = {&got, got_snapshot, got_delta, got_segment};
    assert_int_equal(home_read_state(home, "q.group", &reader, &error), OK);
    assert_int_equal(home_read_state(home, "q.dedup", &reader, &error), OK);
    assert_string_equal(got.text, "s3@2=whole d@1=one b6=more ");
    HomeSink sink;
    assert_int_equal(home_sink(home, "file", &sink, &error), OK);
    assert_true(sink.known);
    assert_int_equal(sink.length, 123);
    Buffer blob = {0};
    int64_t epoch;
    assert_int_equal(home_outbox_next(home, "out", 0, &epoch, &blob, &error), OK);
    assert_int_equal(epoch, 1);
    assert_memory_equal(blob.data, "rows", 4);
    batch = home_begin();
    home_put_delivered(batch, "out", 1);
    commit(home, batch);
    assert_int_equal(home_outbox_next(home, "out", 0, &epoch, &blob, &error), END);
    buffer_free(&blob);
    arena_free(&arena);
    home_close(&home);
}

static void deltas_go_once_every_shard_was_written_whole(void **state) {
    (void)state;
    Home *home = open_home();
    for (int i = 0; i < STATE_SHARDS + 2; i++) {
        HomeBatch *batch = home_begin();
        home_put_delta(batch, "q.group", STR("d"));
        home_put_snapshot(batch, "q.group", i % STATE_SHARDS, STR("s"));
        commit(home, batch);
    }
    home_close(&home);
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_prepare_v2(db, "SELECT count(*), min(epoch) FROM leat_deltas", -1, &s, NULL);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    assert_int_equal(sqlite3_column_int(s, 0), STATE_SHARDS - 1);
    assert_int_equal(sqlite3_column_int(s, 1), 4);
    sqlite3_finalize(s);
    sqlite3_close(db);
}

static void views_are_plain_tables_for_others(void **state) {
    (void)state;
    Home *home = open_home();
    Field fields[] = {{"deviceId", type_of(TYPE_TEXT), false},
                      {"n", type_of(TYPE_INT8), false},
                      {"at", type_of(TYPE_TIMESTAMPTZ), false}};
    Schema schema = {3, fields};
    Error error = {0};
    assert_int_equal(home_open_view(home, "per \"device\"", &schema, &error), OK);
    HomeBatch *batch = home_begin();
    for (int i = 0; i < 3; i++) {
        Buffer values = {0};
        value_encode((Value){.type = type_of(TYPE_TEXT), .str = STR("d\"1")}, &values);
        put_number(&values, i);
        value_encode((Value){.type = type_of(TYPE_TIMESTAMPTZ), .integer = 1500000 * i}, &values);
        home_put_row(batch, 0, i == 2 ? STR("k1") : STR("k0"), 10 * i, buffer_str(&values));
        buffer_free(&values);
    }
    commit(home, batch);
    HomeReader *reader = NULL;
    assert_int_equal(home_reader_open(path, &reader, &error), OK);
    Buffer json = {0};
    bool more;
    assert_int_equal(
        home_read_view(reader, "per \"device\"", &schema, NULL, 0, 10, &json, &more, &error), OK);
    buffer_add_char(&json, 0);
    assert_string_equal(json.data,
                        "[{\"deviceId\":\"d\\\"1\",\"n\":2,\"at\":\"1970-01-01T00:00:03Z\"},\n"
                        "{\"deviceId\":\"d\\\"1\",\"n\":1,\"at\":\"1970-01-01T00:00:01.5Z\"}]");
    json.size = 0;
    HomeFilter filter = {"AT", "1970-01-01T00:00:01.5Z"};
    assert_int_equal(
        home_read_view(reader, "per \"device\"", &schema, &filter, 1, 10, &json, &more, &error),
        OK);
    assert_non_null(strstr(json.data, "\"n\":1"));
    filter.value = "yesterday-ish";
    assert_int_equal(
        home_read_view(reader, "per \"device\"", &schema, &filter, 1, 10, &json, &more, &error),
        REJECT);
    home_reader_close(&reader);
    buffer_free(&json);
    batch = home_begin();
    home_expire_rows(batch, 0, 20);
    home_delete_row(batch, 0, STR("k1"));
    commit(home, batch);
    home_close(&home);
    run_sql("SELECT \"deviceId\", n, at FROM \"per \"\"device\"\"\"");
}

static void rejects_keep_the_newest(void **state) {
    (void)state;
    Home *home = open_home();
    HomeBatch *batch = home_begin();
    for (int i = 0; i < 10; i++) {
        HomeReject r = {.late = i % 2,
                        .query = i % 2 ? "q" : NULL,
                        .source = "t",
                        .partition = 0,
                        .position = i,
                        .reason = "because",
                        .record = STR("{\xff")};
        home_put_reject(batch, &r);
    }
    Error error = {0};
    assert_int_equal(home_commit(home, batch, 1, 3, &error), OK);
    home_batch_free(&batch);
    HomeReader *reader = NULL;
    assert_int_equal(home_reader_open(path, &reader, &error), OK);
    Buffer json = {0};
    assert_int_equal(home_read_rejects(reader, "dead", 100, &json, &error), OK);
    buffer_add_char(&json, 0);
    assert_non_null(strstr(json.data, "\"position\":8"));
    assert_non_null(strstr(json.data, "\"position\":4"));
    assert_null(strstr(json.data, "\"position\":2"));
    assert_null(strstr(json.data, "\"position\":5"));
    buffer_free(&json);
    home_reader_close(&reader);
    home_close(&home);
}

static void others_homes_are_refused(void **state) {
    (void)state;
    Home *home = open_home();
    refused("p", "in use by another process");
    home_close(&home);
    refused("other", "made by pipeline 'p'");
    run_sql("UPDATE leat_meta SET value = '99' WHERE name = 'version'");
    refused("p", "format version 99");
}

static void a_start_that_was_killed_leaves_nothing_behind(void **state) {
    (void)state;
    run_sql("PRAGMA journal_mode = WAL; CREATE TABLE t (x); DROP TABLE t");
    Home *home = open_home();
    assert_true(home_info(home)->made_now);
    home_close(&home);
}

static void an_old_copy_is_refused(void **state) {
    (void)state;
    Home *home = open_home();
    for (int i = 0; i < 2; i++) {
        HomeBatch *batch = home_begin();
        home_put_mark(batch, "t", i);
        commit(home, batch);
    }
    home_close(&home);
    run_sql("UPDATE leat_meta SET value = '1' WHERE name = 'epoch'");
    refused("p", "old copy");
}

static void a_flipped_bit_is_found(void **state) {
    (void)state;
    Home *home = open_home();
    HomeBatch *batch = home_begin();
    home_put_position(batch, "t", "0", 42, 1000, 40);
    home_put_delta(batch, "q.group", STR("one"));
    home_put_outbox(batch, "out", STR("rows"));
    commit(home, batch);
    home_close(&home);
    run_sql("UPDATE leat_deltas SET data = CAST(replace(CAST(data AS TEXT), 'one', 'onf') AS BLOB);"
            "UPDATE leat_positions SET position = 43; UPDATE leat_outbox SET data = x'00414141';");
    home = open_home();
    Error error = {0};
    Got got = {""};
    HomeStateReader reader = {&got, got_snapshot, got_delta, got_segment};
    assert_int_equal(home_read_state(home, "q.group", &reader, &error), FAIL);
    assert_non_null(strstr(error.text, "damaged"));
    Arena *arena = arena_new();
    HomePosition *positions;
    int count;
    assert_int_equal(home_positions(home, &positions, &count, arena, &error), FAIL);
    Buffer blob = {0};
    int64_t epoch;
    assert_int_equal(home_outbox_next(home, "out", 0, &epoch, &blob, &error), FAIL);
    buffer_free(&blob);
    arena_free(&arena);
    home_close(&home);
}

static void a_lost_generation_stops_commits(void **state) {
    (void)state;
    Home *home = open_home();
    run_sql("UPDATE leat_meta SET value = '9' WHERE name = 'generation'");
    HomeBatch *batch = home_begin();
    home_put_mark(batch, "t", 1);
    Error error = {0};
    assert_int_equal(home_commit(home, batch, 1, 10, &error), FAIL);
    assert_non_null(strstr(error.text, "taken over"));
    home_batch_free(&batch);
    home_close(&home);
}

static void fresh_sets_the_old_one_aside(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        Home *home = NULL;
        char *aside = NULL;
        Error error = {0};
        assert_int_equal(home_open(path, "p", true, env_system(), &home, &aside, &error), OK);
        assert_true(home_info(home)->made_now);
        if (i) {
            char wanted[160];
            snprintf(wanted, sizeof wanted, "%s.%d", path, i);
            assert_string_equal(aside, wanted);
        }
        free(aside);
        home_close(&home);
    }
}

int main(void) {
    log_set_level(LOG_ERROR);
#define CASE(f) cmocka_unit_test_setup_teardown(f, make_folder, remove_folder)
    const struct CMUnitTest tests[] = {
        CASE(everything_comes_back),
        CASE(deltas_go_once_every_shard_was_written_whole),
        CASE(views_are_plain_tables_for_others),
        CASE(rejects_keep_the_newest),
        CASE(others_homes_are_refused),
        CASE(a_start_that_was_killed_leaves_nothing_behind),
        CASE(an_old_copy_is_refused),
        CASE(a_flipped_bit_is_found),
        CASE(a_lost_generation_stops_commits),
        CASE(fresh_sets_the_old_one_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
