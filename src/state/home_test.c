/* The home: what is committed comes back, what is damaged, old or somebody else's is refused with a
 * remedy. */
#include "base/log.h"
#include "state/sqlite_home.h"
#include "state/state.h"
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
// cmocka wants the headers above first
#include <cmocka.h>

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
    if (!strstr(error.text, because)) fail_msg("'%s' is not in: %s", because, error.text);
}

static void copy_file(const char *from, const char *to) {
    char command[500];
    snprintf(command, sizeof command, "cp '%s%s' '%s%s'", path, from, path, to);
    assert_int_equal(system(command), 0);
}

static void run_sql(const char *sql) {
    sqlite3 *db = NULL;
    Error error = {0};
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(home_functions(db, NULL, &error), OK);
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

/* As they were put, whether a blob was packed or not. */
static void what_is_owed_counts_as_it_was_put(void **state) {
    (void)state;
    static const int sizes[] = {4, 255, 256, 5000, 100000};
    static char bytes[100000];
    int64_t owed, sum = 0;
    Error error = {0};
    Home *home = open_home();
    memset(bytes, 'x', sizeof bytes);
    for (int i = 0; i < 5; i++) {
        HomeBatch *batch = home_begin();
        for (int j = 0; j < 300; j++)
            bytes[j] = (char)(j * 7919 >> 3); /* the third stays as it is */
        home_put_outbox(batch, "out", (Str){bytes, (size_t)sizes[i]});
        home_put_outbox(batch, "other", STR("rows"));
        commit(home, batch);
        sum += sizes[i];
        assert_int_equal(home_outbox_bytes(home, "out", 0, &owed, &error), OK);
        assert_int_equal(owed, sum);
    }
    assert_int_equal(home_outbox_bytes(home, "out", 3, &owed, &error), OK);
    assert_int_equal(owed, 105000);
    assert_int_equal(home_outbox_bytes(home, "out", 5, &owed, &error), OK);
    assert_int_equal(owed, 0);
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
        home_close(&home);
        if (i == 0) copy_file("", ".copy");
        home = open_home();
    }
    home_close(&home);
    copy_file("", ".new");
    copy_file(".copy", "");
    refused("p", "stands at epoch 1 but its lock file says that epoch 2 was committed");
    copy_file(".new", "");
    home = open_home();
    assert_int_equal(home_set(home, "seed", "1", NULL), OK);
    home_close(&home);
    copy_file(".new", "");
    refused("p", "what was written after it is missing");
}

/* Of the last 32 starts. */
static void it_is_known_where_each_run_ended(void **state) {
    (void)state;
    for (int i = 1; i <= 40; i++) {
        Home *home = open_home();
        HomeBatch *batch = home_begin();
        home_put_mark(batch, "t", i);
        if (i % 2) commit(home, batch);
        else home_batch_free(&batch);
        assert_int_equal(home_generation_end(home, i), INT64_MAX);
        if (i > 1) assert_int_equal(home_generation_end(home, i - 1), i / 2);
        if (i > 20) assert_int_equal(home_generation_end(home, i - 20), (i - 19) / 2);
        if (i > 33) assert_int_equal(home_generation_end(home, i - 33), INT64_MAX);
        assert_int_equal(home_generation_end(home, 0), i > 32 ? INT64_MAX : 0);
        home_close(&home);
    }
}

static void another_home_in_its_place_is_refused(void **state) {
    (void)state;
    Home *home = open_home();
    home_close(&home);
    copy_file("", ".first");
    unlink(path);
    home = open_home(); /* where no home is, one is made */
    assert_true(home_info(home)->made_now);
    home_close(&home);
    copy_file(".first", "");
    refused("p", "its lock file knows another");
    char lock[160];
    snprintf(lock, sizeof lock, "%s.lock", path);
    unlink(lock);
    home = open_home();
    assert_false(home_info(home)->made_now);
    home_close(&home);
}

static void a_damaged_lock_file_is_told(void **state) {
    (void)state;
    Home *home = open_home();
    home_close(&home);
    char lock[160], text[200];
    snprintf(lock, sizeof lock, "%s.lock", path);
    FILE *file = fopen(lock, "r+");
    size_t size = fread(text, 1, sizeof text, file);
    for (size_t i = 0; i < size; i++) {
        text[i] ^= 1;
        rewind(file);
        assert_int_equal(fwrite(text, 1, size, file), size);
        fflush(file);
        refused("p", "its lock file is damaged");
        text[i] ^= 1;
    }
    fclose(file);
}

/* What cannot be a home, by kind. */
static void what_is_no_file_is_refused(void **state) {
    (void)state;
    assert_int_equal(mkdir(path, 0755), 0);
    refused("p", "is a folder; SET home to a file");
    rmdir(path);
    assert_int_equal(mkfifo(path, 0644), 0);
    refused("p", "is a pipe; SET home to a file");
    unlink(path);
    run_sql("CREATE TABLE t (x)");
    refused("p", "is a SQLite file but not a home of Leat");
    copy_file("", ".theirs");
    char command[500];
    snprintf(command, sizeof command, "cmp '%s' '%s.theirs' && test ! -e '%s-wal'", path, path,
             path);
    assert_int_equal(system(command), 0);
}

static void an_empty_file_is_a_home_only_where_none_was(void **state) {
    (void)state;
    assert_int_equal(truncate(path, 0), -1);
    fclose(fopen(path, "w"));
    Home *home = open_home();
    HomeBatch *batch = home_begin();
    home_put_mark(batch, "t", 1);
    commit(home, batch);
    home_close(&home);
    assert_int_equal(truncate(path, 0), 0);
    refused("p", "is empty but its lock file says that epoch 1 was committed");
}

static void fill(Home *home) {
    Error error = {0};
    assert_int_equal(home_put_query(home, "q", 7, "plan", &error), OK);
    assert_int_equal(home_set(home, "seed", "7", &error), OK);
    HomeBatch *batch = home_begin();
    home_put_position(batch, "t", "0", 42, 1000, 40);
    home_put_mark(batch, "t", 900);
    home_put_count(batch, "q", "t", "in", 40);
    home_put_length(batch, "file", 123);
    home_put_delta(batch, "q.group", STR("one"));
    home_put_snapshot(batch, "q.group", 3, STR("two"));
    home_put_segment(batch, "q.dedup", 3, STR("three"));
    home_put_outbox(batch, "out", STR("rows"));
    commit(home, batch);
    HomeReject row = {.query = "q", .source = "t", .partition = -1, .reason = "no"};
    if (home_refuse(home, "out", 1, &row, 1, &error) != OK) fail_msg("%s", error.text);
}

/* A number that is changed, a row that is gone, one that is twice: in every table that counts. */
static void a_changed_row_is_found(void **state) {
    (void)state;
    static const char *const changes[] = {
        "UPDATE leat_positions SET position = 43",
        "UPDATE leat_positions SET partition = '1'",
        "UPDATE leat_marks SET mark = mark + 1",
        "UPDATE leat_counts SET count = 41 WHERE kind = 'in'",
        "UPDATE leat_sinks SET length = 124",
        "UPDATE leat_facts SET value = '8'",
        "UPDATE leat_queries SET hash = 8",
        "UPDATE leat_queries SET finished = 1",
        "UPDATE leat_refused SET count = 2",
        "UPDATE leat_meta SET value = '0' WHERE name = 'epoch'",
        "UPDATE leat_meta SET value = '1' WHERE name = 'finished'",
        "UPDATE leat_meta SET value = '2' WHERE name = 'version'",
        "DELETE FROM leat_meta WHERE name = 'generation'",
        "DELETE FROM leat_positions",
        "DELETE FROM leat_marks",
        "DELETE FROM leat_deltas",
        "DELETE FROM leat_snapshots",
        "DELETE FROM leat_segments",
        "DELETE FROM leat_outbox",
        "DELETE FROM leat_facts",
        "INSERT INTO leat_counts VALUES ('r', 't', 'in', 1, leat_check('leat_counts', 'r', 't', "
        "'in', 1))",
        "UPDATE leat_deltas SET \"check\" = \"check\" + 1",
        "ALTER TABLE leat_sinks RENAME COLUMN length TO size",
    };
    Home *home = open_home();
    fill(home);
    home_close(&home);
    copy_file("", ".good");
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        run_sql(changes[i]);
        refused("p", "is damaged: ");
        copy_file(".good", "");
    }
    home = open_home();
    home_close(&home);
}

/* Blobs are compared when they are read. */
static void a_flipped_bit_is_found(void **state) {
    (void)state;
    Home *home = open_home();
    fill(home);
    home_close(&home);
    run_sql("UPDATE leat_deltas SET data = CAST(replace(CAST(data AS TEXT), 'one', 'onf') AS BLOB);"
            "UPDATE leat_outbox SET data = x'00414141';");
    home = open_home();
    Error error = {0};
    Got got = {""};
    HomeStateReader reader = {&got, got_snapshot, got_delta, got_segment};
    assert_int_equal(home_read_state(home, "q.group", &reader, &error), FAIL);
    assert_non_null(strstr(error.text, "damaged"));
    Buffer blob = {0};
    int64_t epoch;
    assert_int_equal(home_outbox_next(home, "out", 0, &epoch, &blob, &error), FAIL);
    buffer_free(&blob);
    home_close(&home);
}

/* An epoch of a pipeline that has everything: state that changes and ages, rows that come and go,
 * what is owed and delivered, rejects. All of it moves on; none of it stays. */
static HomeBatch *busy_epoch(int64_t n) {
    enum { SIZE = 3000, ROWS = 40, KEPT = 50 };
    static char bytes[SIZE];
    for (size_t i = 0; i < SIZE; i++) bytes[i] = (char)((n * 7919 + (int64_t)i * i) >> 3);
    HomeBatch *batch = home_begin();
    home_put_position(batch, "t", "0", n * 100, n, n * 100);
    home_put_mark(batch, "t", n);
    home_put_count(batch, "q", "t", "in", n * 100);
    home_put_delta(batch, "q.group", (Str){bytes, SIZE / 2});
    home_put_snapshot(batch, "q.group", (int)(n % STATE_SHARDS), (Str){bytes, SIZE});
    home_put_segment(batch, "q.dedup", n, (Str){bytes, SIZE / 2});
    home_drop_segment(batch, "q.dedup", n - KEPT);
    home_put_outbox(batch, "out", (Str){bytes, SIZE});
    home_put_delivered(batch, "out", n - 3);
    for (int64_t i = 0; i < ROWS; i++) {
        Buffer key = {0}, values = {0};
        buffer_add_i64(&key, (n * ROWS + i) * INT64_C(0x9e3779b97f4a7c15));
        put_number(&values, i);
        value_encode((Value){.type = type_of(TYPE_TEXT), .str = {bytes, 40}}, &values);
        home_put_row(batch, 0, buffer_str(&key), n, buffer_str(&values));
        buffer_free(&key);
        buffer_free(&values);
    }
    home_expire_rows(batch, 0, n - KEPT);
    HomeReject reject = {.late = n % 2,
                         .source = "t",
                         .partition = 0,
                         .position = n,
                         .reason = "late",
                         .record = {bytes, 500}};
    home_put_reject(batch, &reject);
    return batch;
}

static int64_t file_size(const char *suffix) {
    char name[200];
    struct stat s;
    snprintf(name, sizeof name, "%s%s", path, suffix);
    assert_int_equal(stat(name, &s), 0);
    return s.st_size;
}

static Status add_state(void *context, char kind, int64_t number, Str blob) {
    buffer_add_format(context, "%c%" PRId64 " %zu %" PRIx64 "\n", kind, number, blob.size,
                      hash_bytes(blob));
    return OK;
}
static Status add_snapshot(void *context, int shard, int64_t epoch, Str blob, Error *error) {
    (void)error, (void)epoch;
    return add_state(context, 's', shard, blob);
}
static Status add_delta(void *context, int64_t epoch, Str blob, Error *error) {
    (void)error;
    return add_state(context, 'd', epoch, blob);
}
static Status add_segment(void *context, int64_t bucket, Str blob, Error *error) {
    (void)error;
    return add_state(context, 'b', bucket, blob);
}

static Status read_lists(Home *home, Buffer *out, Arena *arena, Error *error) {
    HomeQuery *queries;
    HomePosition *positions;
    HomeCount *counts;
    int count;
    Status status = home_queries(home, &queries, &count, arena, error);
    for (int i = 0; status == OK && i < count; i++)
        buffer_add_format(out, "query %s %" PRIx64 " %s %d\n", queries[i].name, queries[i].hash,
                          queries[i].plan, queries[i].finished);
    for (int acked = 0; acked < 2 && status == OK; acked++) {
        status = acked ? home_acked(home, "out", &positions, &count, arena, error)
                       : home_positions(home, &positions, &count, arena, error);
        for (int i = 0; status == OK && i < count; i++)
            buffer_add_format(out, "position %s %s %" PRId64 " %" PRId64 " %" PRId64 "\n",
                              positions[i].source, positions[i].partition, positions[i].position,
                              positions[i].max_time, positions[i].records);
    }
    if (status == OK) status = home_counts(home, &counts, &count, arena, error);
    for (int i = 0; status == OK && i < count; i++)
        buffer_add_format(out, "count %s %s %s %" PRId64 "\n", counts[i].query, counts[i].source,
                          counts[i].kind, counts[i].count);
    return status;
}

/* All that a start reads of a home, as text. */
static Status read_all(Home *home, Buffer *out, Error *error) {
    Arena *arena = arena_new();
    const HomeInfo *info = home_info(home);
    buffer_add_format(out, "%s %" PRId64 " %d\n", info->id, info->epoch, info->finished);
    Status status = read_lists(home, out, arena, error);
    HomeStateReader reader = {out, add_snapshot, add_delta, add_segment};
    if (status == OK) status = home_read_state(home, "q.group", &reader, error);
    if (status == OK) status = home_read_state(home, "q.dedup", &reader, error);
    int64_t mark, epoch = 0;
    if (status == OK) status = home_mark(home, "t", &mark, error);
    if (status == OK) buffer_add_format(out, "mark %" PRId64 "\n", mark);
    HomeSink sink;
    for (int i = 0; i < 2 && status == OK; i++) {
        status = home_sink(home, i ? "out" : "file", &sink, error);
        if (status == OK)
            buffer_add_format(out, "sink %d %" PRId64 " %" PRId64 "\n", sink.known, sink.length,
                              sink.delivered);
    }
    Buffer blob = {0};
    while (status == OK &&
           (status = home_outbox_next(home, "out", epoch, &epoch, &blob, error)) == OK)
        (void)add_state(out, 'o', epoch, buffer_str(&blob));
    if (status == END) status = OK;
    const char *fact = home_get(home, "seed");
    buffer_add_format(out, "fact %s\n", fact ? fact : "none");
    buffer_free(&blob);
    arena_free(&arena);
    return status;
}

static void write_file(const char *data, size_t size) {
    char wal[200];
    snprintf(wal, sizeof wal, "%s-wal", path);
    unlink(wal);
    FILE *file = fopen(path, "w");
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* What a start reads of a home with a changed byte is what was written, or it is refused. */
static void any_changed_byte_is_found_or_harmless(void **state) {
    (void)state;
    enum { BYTES = 150, EPOCHS = 5 };
    Home *home = open_home();
    fill(home);
    Error error = {0};
    Field fields[] = {{"n", type_of(TYPE_INT8), false}, {"text", type_of(TYPE_TEXT), false}};
    assert_int_equal(home_open_view(home, "v", &(Schema){2, fields}, &error), OK);
    for (int64_t n = 2; n < EPOCHS; n++) {
        HomeBatch *batch = busy_epoch(n);
        home_put_acked(batch, "out", "t", "0", n);
        commit(home, batch);
    }
    home_close(&home);
    size_t size = (size_t)file_size("");
    char *good = xmalloc(size), *bad = xmalloc(size);
    FILE *file = fopen(path, "r");
    assert_int_equal(fread(good, 1, size, file), size);
    fclose(file);
    copy_file(".lock", ".lock.good");
    Buffer right = {0}, got = {0};
    home = open_home();
    assert_int_equal(read_all(home, &right, &error), OK);
    home_close(&home);
    int found = 0;
    for (uint64_t i = 0; i < BYTES; i++) {
        size_t at = i * 7919 % size;
        while (!good[at]) at = (at + 1) % size;
        memcpy(bad, good, size);
        bad[at] = (char)(bad[at] ^ 1 << i % 8);
        write_file(bad, size);
        copy_file(".lock.good", ".lock");
        got.size = 0;
        home = NULL;
        Status status = home_open(path, "p", false, env_system(), &home, NULL, &error);
        if (status == OK) status = read_all(home, &got, &error);
        home_close(&home);
        if (status == FAIL) found++;
        else if (!str_equal(buffer_str(&right), buffer_str(&got)))
            fail_msg("byte %zu of %zu:\n%.*s", at, size, (int)got.size, got.data);
    }
    assert_in_range(found, BYTES / 3, BYTES);
    buffer_free(&right);
    buffer_free(&got);
    free(good);
    free(bad);
}

static void what_a_sink_acknowledged_stands_beside_positions(void **state) {
    (void)state;
    Home *home = open_home();
    HomeBatch *batch = home_begin();
    home_put_position(batch, "t", "0", 42, 1000, 40);
    home_put_acked(batch, "out", "t", "0", 30);
    home_put_acked(batch, "out", "t", "1", 7);
    commit(home, batch);
    batch = home_begin();
    home_put_acked(batch, "out", "t", "0", 42);
    commit(home, batch);
    home_close(&home);
    home = open_home();
    Arena *arena = arena_new();
    HomePosition *p;
    int count;
    Error error = {0};
    assert_int_equal(home_positions(home, &p, &count, arena, &error), OK);
    assert_int_equal(count, 1);
    assert_int_equal(home_acked(home, "out", &p, &count, arena, &error), OK);
    assert_int_equal(count, 2);
    assert_string_equal(p[0].partition, "0");
    assert_int_equal(p[0].position, 42);
    assert_int_equal(p[1].position, 7);
    assert_int_equal(home_acked(home, "else", &p, &count, arena, &error), OK);
    assert_int_equal(count, 0);
    arena_free(&arena);
    home_close(&home);
}

static int64_t number_of(const char *sql) {
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t number = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return number;
}

static void what_a_sink_refuses_counts_once(void **state) {
    (void)state;
    Home *home = open_home();
    HomeReject rows[3];
    for (int i = 0; i < 3; i++)
        rows[i] = (HomeReject){.query = i == 2 ? "r" : "q",
                               .source = "t",
                               .partition = 0,
                               .position = i,
                               .reason = "out: too wide",
                               .record = STR("{}")};
    Error error = {0};
    static const char COUNTED[] =
        "SELECT coalesce(sum(count), 0) FROM leat_counts WHERE kind = 'refused'";
    assert_int_equal(home_refuse(home, "out", 5, rows, 3, &error), OK);
    assert_int_equal(home_refuse(home, "other", 5, rows, 1, &error), OK);
    assert_int_equal(number_of(COUNTED), 4);
    /* the same epoch again, other rows */
    assert_int_equal(home_refuse(home, "out", 5, rows + 1, 2, &error), OK);
    assert_int_equal(number_of(COUNTED), 3);
    assert_int_equal(number_of("SELECT count FROM leat_counts WHERE query = 'r'"), 1);
    assert_int_equal(number_of("SELECT count(*) FROM dead_letters"), 3);
    assert_int_equal(home_refuse(home, "out", 6, rows, 1, &error), OK);
    assert_int_equal(home_refuse(home, "out", 6, NULL, 0, &error), OK);
    assert_int_equal(number_of(COUNTED), 3);
    HomeBatch *batch = home_begin();
    home_put_delivered(batch, "out", 5);
    assert_int_equal(home_commit(home, batch, 1, 2, &error), OK);
    home_batch_free(&batch);
    assert_int_equal(number_of(COUNTED), 3);
    assert_int_equal(number_of("SELECT count(*) FROM leat_refused"), 1);
    assert_int_equal(number_of("SELECT count(*) FROM dead_letters"), 2); /* keep_rejects */
    /* a sink by position: deliveries without end */
    for (int64_t n = 1; n <= 1200; n += 400)
        assert_int_equal(home_refuse(home, "far", n, rows, 1, &error), OK);
    assert_int_equal(number_of("SELECT count(*) FROM leat_refused WHERE sink = 'far'"), 3);
    assert_int_equal(home_refuse(home, "far", 1500, rows, 1, &error), OK);
    assert_int_equal(number_of("SELECT count(*) FROM leat_refused WHERE sink = 'far'"), 2);
    assert_int_equal(number_of(COUNTED), 7);
    home_close(&home);
    home = open_home();
    home_close(&home);
}

static void a_home_does_not_grow(void **state) {
    (void)state;
    enum { EPOCHS = 900, SETTLED = 300, KEEP = 60 };
    Home *home = open_home();
    Field fields[] = {{"n", type_of(TYPE_INT8), false}, {"text", type_of(TYPE_TEXT), false}};
    Error error = {0};
    assert_int_equal(home_open_view(home, "v", &(Schema){2, fields}, &error), OK);
    /* what is asked here is not whether it survives a power cut */
    assert_int_equal(home_exec(home->db, "PRAGMA synchronous = OFF", &error), OK);
    int64_t pages = 0, log = 0;
    for (int64_t n = 1; n <= EPOCHS; n++) {
        HomeBatch *batch = busy_epoch(n);
        if (home_commit(home, batch, n, KEEP, &error) != OK) fail_msg("%s", error.text);
        home_batch_free(&batch);
        if (n == SETTLED) {
            pages = number_of("PRAGMA page_count");
            log = file_size("-wal");
        }
    }
    int64_t now = number_of("PRAGMA page_count");
    if (now > pages + pages / 10) fail_msg("%d pages, then %d", (int)pages, (int)now);
    assert_in_range(file_size("-wal"), 0, log + log / 2);
    assert_in_range(file_size("-wal"), 0, 24 << 20);
    assert_int_equal(number_of("SELECT count(*) FROM late_rows"), KEEP);
    assert_in_range(number_of("SELECT count(*) FROM leat_deltas"), 1, STATE_SHARDS);
    assert_in_range(number_of("SELECT count(*) FROM leat_outbox"), 1, 3);
    home_close(&home);
}

/* While somebody reads, the log cannot be taken over into the file; afterwards it is, and shrinks.
 */
static void the_log_shrinks_after_a_long_reader(void **state) {
    (void)state;
    Home *home = open_home();
    Field fields[] = {{"n", type_of(TYPE_INT8), false}, {"text", type_of(TYPE_TEXT), false}};
    Error error = {0};
    assert_int_equal(home_open_view(home, "v", &(Schema){2, fields}, &error), OK);
    assert_int_equal(home_exec(home->db, "PRAGMA synchronous = OFF", &error), OK);
    sqlite3 *reader = NULL;
    assert_int_equal(sqlite3_open(path, &reader), SQLITE_OK);
    sqlite3_exec(reader, "BEGIN; SELECT count(*) FROM leat_meta", NULL, NULL, NULL);
    for (int64_t n = 1; n <= 450; n++) {
        HomeBatch *batch = busy_epoch(n);
        commit(home, batch);
        if (n != 400) continue;
        assert_true(file_size("-wal") > 30 << 20);
        sqlite3_exec(reader, "COMMIT", NULL, NULL, NULL);
    }
    sqlite3_close(reader);
    assert_in_range(file_size("-wal"), 0, 24 << 20);
    home_close(&home);
}

static void a_lost_generation_stops_commits(void **state) {
    (void)state;
    Home *home = open_home();
    run_sql(
        "UPDATE leat_meta SET value = '9', \"check\" = leat_check('leat_meta', name, '9') WHERE "
        "name = 'generation'");
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
        CASE(what_is_owed_counts_as_it_was_put),
        CASE(deltas_go_once_every_shard_was_written_whole),
        CASE(views_are_plain_tables_for_others),
        CASE(rejects_keep_the_newest),
        CASE(others_homes_are_refused),
        CASE(a_start_that_was_killed_leaves_nothing_behind),
        CASE(an_old_copy_is_refused),
        CASE(another_home_in_its_place_is_refused),
        CASE(a_damaged_lock_file_is_told),
        CASE(what_is_no_file_is_refused),
        CASE(an_empty_file_is_a_home_only_where_none_was),
        CASE(a_changed_row_is_found),
        CASE(a_flipped_bit_is_found),
        CASE(any_changed_byte_is_found_or_harmless),
        CASE(what_a_sink_acknowledged_stands_beside_positions),
        CASE(what_a_sink_refuses_counts_once),
        CASE(a_home_does_not_grow),
        CASE(the_log_shrinks_after_a_long_reader),
        CASE(it_is_known_where_each_run_ended),
        CASE(a_lost_generation_stops_commits),
        CASE(fresh_sets_the_old_one_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
