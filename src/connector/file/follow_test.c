/* Followed files, with a clock of the test's own: what is known of them, when they are over, who
 * takes their place, and how few descriptors that takes. */
#include "connector/file/follow.h"
#include "connector/test_source.h"
#include <dirent.h>
#include <unistd.h>

static char folder[] = "/tmp/leat-follow-XXXXXX";

static const char *path_of(const char *name) {
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void append(const char *name, const char *text) {
    FILE *file = fopen(path_of(name), "a");
    assert_non_null(file);
    assert_int_equal(fputs(text, file) >= 0, 1);
    fclose(file);
}

typedef struct Run {
    TestSource t;
    int known; /* partitions that were sought */
    int64_t positions[64];
    Buffer got;
} Run;

static void begin(Run *r, const Format *format, const char *path) {
    test_init(&r->t, format);
    test_option(&r->t, connector_find("file")->options, "path",
                arena_text(r->t.arena, str_from(path)));
    test_option(&r->t, connector_find("file")->options, "follow", "true");
}

static void start(Run *r) {
    assert_int_equal(test_open(&r->t, connector_find("file")->source), OK);
    assert_false(r->t.source->bounded);
    r->known = 0;
}

static void stop(Run *r) { test_close(&r->t); }

/* A second passes: the path is listed, all that came is read and the home commits it. Returns what
 * came, as "PARTITION@POSITION text"; "PARTITION." for an end. */
static const char *second(Run *r) {
    const SourceType *type = r->t.source->type;
    r->got.size = 0;
    int count;
    for (int round = 0; round < 4; round++) {
        r->t.env.clock_us += 300000;
        assert_int_equal(type->partitions(r->t.source, &count, &r->t.error), OK);
        for (; r->known < count; r->known++) {
            if (!r->positions[r->known]) r->positions[r->known] = NO_POSITION;
            assert_int_equal(type->seek(r->t.source, r->known, r->positions[r->known], &r->t.error),
                             OK);
        }
        for (int p = 0; p < count; p++) {
            Chunk *chunk;
            bool at_end;
            Status status;
            while ((status = type->next(r->t.source, p, &chunk, &at_end, &r->t.error)) == OK) {
                buffer_add_format(&r->got, "%d@%lld ", p, (long long)chunk->begin);
                buffer_add_str(&r->got, chunk->bytes);
                r->positions[p] = chunk->end;
                type->committed(r->t.source, p, chunk->end);
                assert_in_range(type->lag(r->t.source, p, chunk->end), 0, 4);
                chunk->release(chunk);
            }
            assert_int_not_equal(status, FAIL);
            if (status == END && round == 3) buffer_add_format(&r->got, "%d.", p);
        }
    }
    buffer_add_char(&r->got, 0);
    return r->got.data;
}

static void end(Run *r) {
    buffer_free(&r->got);
    test_done(&r->t);
}

static int descriptors(void) {
    int count = 0;
    DIR *open = opendir("/proc/self/fd");
    while (readdir(open)) count++;
    closedir(open);
    return count;
}

static void test_grows_and_is_renamed(void **state) {
    (void)state;
    Run r = {0};
    begin(&r, &json_format, path_of("g.log"));
    start(&r);
    assert_string_equal(second(&r), "");
    append("g.log", "{1}\n{2");
    assert_string_equal(second(&r), "0@0 {1}\n");
    append("g.log", "}\n");
    assert_string_equal(second(&r), "0@4 {2}\n");
    rename(path_of("g.log"), path_of("g.log.1"));
    append("g.log.1", "{3}\n");
    append("g.log", "{a}\n");
    assert_string_equal(second(&r), "0@8 {3}\n1@0 {a}\n");
    append("g.log.1", "{4}\n{5}");
    assert_string_equal(second(&r), "0@12 {4}\n");
    r.t.env.clock_us += AWAY_SILENCE_US;
    assert_string_equal(second(&r), "0@16 {5}0."); /* its last record, since nothing came */
    stop(&r);

    start(&r); /* it is found again, and read */
    append("g.log", "{b}\n");
    append("g.log.1", "\n{6}\n");
    assert_string_equal(second(&r), "0@19 \n{6}\n1@4 {b}\n");
    end(&r);
}

static void test_place_of_a_deleted_file(void **state) {
    (void)state;
    Run r = {0};
    begin(&r, &json_format, path_of("d*.log"));
    start(&r);
    append("d1.log", "{1}\n");
    append("d2.log", "{2}\n");
    assert_string_equal(second(&r), "0@0 {1}\n1@0 {2}\n");
    append("d1.log", "{3}");
    assert_string_equal(second(&r), "");
    unlink(path_of("d1.log"));
    assert_string_equal(second(&r), "");
    r.t.env.clock_us += GONE_SILENCE_US;
    assert_string_equal(second(&r), "0@4 {3}0.");
    assert_false(r.t.source->type->anew(r.t.source, 0));
    append("d3.log", "{4}\n"); /* behind what stood there */
    assert_string_equal(second(&r), "0@7 {4}\n");
    assert_true(r.t.source->type->anew(r.t.source, 0));
    assert_false(r.t.source->type->anew(r.t.source, 0));
    stop(&r);
    start(&r);
    append("d3.log", "{5}\n");
    assert_string_equal(second(&r), "0@11 {5}\n");
    assert_false(r.t.source->type->anew(r.t.source, 0));
    stop(&r);

    r.positions[0] = 7; /* killed before anything of the new file was committed */
    start(&r);
    assert_string_equal(second(&r), "0@7 {4}\n{5}\n");
    assert_true(r.t.source->type->anew(r.t.source, 0));
    end(&r);
}

/* Nothing of the old file may be lost because the home was slow. */
static void test_place_is_kept_until_committed(void **state) {
    (void)state;
    Run r = {0};
    begin(&r, &json_format, path_of("k*.log"));
    start(&r);
    append("k1.log", "{1}\n");
    (void)second(&r);
    r.t.source->type->committed(r.t.source, 0, 2);
    unlink(path_of("k1.log"));
    (void)second(&r);
    r.t.env.clock_us += GONE_SILENCE_US;
    assert_string_equal(second(&r), "0.");
    append("k2.log", "{2}\n");
    assert_string_equal(second(&r), "1@0 {2}\n0.");
    r.t.source->type->committed(r.t.source, 0, 4);
    append("k3.log", "{3}\n");
    assert_string_equal(second(&r), "0@4 {3}\n");
    end(&r);
}

static void test_truncated(void **state) {
    (void)state;
    Run r = {0};
    begin(&r, &csv_format, path_of("t.csv"));
    start(&r);
    append("t.csv", "a,b\n1,2\n3,4\n");
    assert_string_equal(second(&r), "0@4 1,2\n3,4\n");
    assert_int_equal(truncate(path_of("t.csv"), 0), 0);
    append("t.csv", "b,a\n5,6\n");
    assert_string_equal(second(&r), "0@16 5,6\n");
    stop(&r);
    assert_int_equal(truncate(path_of("t.csv"), 0), 0); /* while nothing runs, and longer again */
    append("t.csv", "c,d\n7,8\n9,10\n11,12\n");
    start(&r);
    assert_string_equal(second(&r), "0@24 7,8\n9,10\n11,12\n");
    append("t.csv", "13,1");
    (void)second(&r);
    assert_int_equal(truncate(path_of("t.csv"), 20), 0); /* the half line is taken back */
    append("t.csv", "4,15\n");
    assert_string_equal(second(&r), "0@39 14,15\n");
    end(&r);
}

/* A new file gets the inode of a deleted one: it is not taken for it. */
static void test_inode_again(void **state) {
    (void)state;
    Run r = {0};
    begin(&r, &json_format, path_of("i.log"));
    start(&r);
    append("i.log", "{1}\n");
    assert_string_equal(second(&r), "0@0 {1}\n");
    stop(&r);
    unlink(path_of("i.log"));
    append("i.log", "{2}\n{3}\n");
    start(&r);
    assert_string_equal(second(&r), "1@0 {2}\n{3}\n0.");
    end(&r);
}

static void test_many_files_few_descriptors(void **state) {
    (void)state;
    Run r = {0};
    begin(&r, &json_format, path_of("m*.log"));
    int before = descriptors();
    for (int i = 0; i < 1000; i++) {
        char name[32];
        snprintf(name, sizeof name, "m%04d.log", i);
        append(name, "{1}\n");
    }
    const SourceType *type = connector_find("file")->source;
    start(&r);
    type = r.t.source->type;
    int64_t bytes = 0;
    for (int times = 0; times < 2; times++) {
        int count;
        for (int round = 0; round < 3; round++) {
            r.t.env.clock_us += LIST_SELDOM_US + 1;
            assert_int_equal(type->partitions(r.t.source, &count, &r.t.error), OK);
            assert_int_equal(count, 1000);
            for (int p = 0; p < count; p++) {
                if (!times && !round)
                    assert_int_equal(type->seek(r.t.source, p, NO_POSITION, &r.t.error), OK);
                Chunk *chunk;
                bool at_end;
                while (type->next(r.t.source, p, &chunk, &at_end, &r.t.error) == OK) {
                    bytes += (int64_t)chunk->bytes.size;
                    chunk->release(chunk);
                }
            }
            assert_true(descriptors() - before <= OPEN_FILES_MOST);
        }
        assert_int_equal(bytes, times ? 4004 : 4000);
        append("m0007.log", "{2}\n"); /* closed long ago */
    }
    assert_null(test_get(&r.t, "follow.4")); /* 1,000 files are four facts */
    assert_non_null(test_get(&r.t, "follow.3"));
    end(&r);
    assert_int_equal(descriptors(), before);
}

static int make_folder(void **state) {
    (void)state;
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", folder);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_grows_and_is_renamed),
                                       cmocka_unit_test(test_place_of_a_deleted_file),
                                       cmocka_unit_test(test_place_is_kept_until_committed),
                                       cmocka_unit_test(test_truncated),
                                       cmocka_unit_test(test_inode_again),
                                       cmocka_unit_test(test_many_files_few_descriptors)};
    return cmocka_run_group_tests_name("connector/follow", tests, make_folder, remove_folder);
}
