/* The folder sink: an epoch's file appears whole and once, wherever a crash cuts, also when
 * somebody has taken the files away. */
#include "connector/file/file.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char base[] = "/tmp/leat-folder-XXXXXX";
static char path[64];

static Status open_sink(const char *home, int64_t generation, bool overwrite, Sink **out,
                        Error *error) {
    static OptionValue values[2];
    static Options options = {2, values};
    static Schema schema;
    values[0] = (OptionValue){.name = "path", .text = path};
    values[1] = (OptionValue){.name = "overwrite", .integer = overwrite};
    SinkContext context = {.env = env_system(),
                           .table = "t",
                           .home_id = home,
                           .generation = generation,
                           .options = &options,
                           .schema = &schema};
    return file_sink.open(&context, out, error);
}

static Sink *opened(int64_t generation) {
    Sink *sink = NULL;
    Error error = {0};
    if (open_sink("home", generation, false, &sink, &error) != OK) fail_msg("%s", error.text);
    return sink;
}

static int64_t marker_of(Sink *sink) {
    Error error = {0};
    int64_t epoch = -1, generation;
    if (sink->type->marker(sink, &epoch, &generation, &error) != OK) fail_msg("%s", error.text);
    return epoch;
}

static void put(const char *name, const char *text) {
    char whole[128];
    snprintf(whole, sizeof whole, "%s%s", path, name);
    FILE *file = fopen(whole, "w");
    assert_non_null(file);
    fputs(text, file);
    fclose(file);
}

/* What the file holds; NULL: it is not there. */
static const char *get(const char *name) {
    static char text[512];
    char whole[128];
    snprintf(whole, sizeof whole, "%s%s", path, name);
    FILE *file = fopen(whole, "r");
    if (!file) return NULL;
    text[fread(text, 1, sizeof text - 1, file)] = 0;
    fclose(file);
    return text;
}

static void put_marker(int generation, int epoch) {
    char text[128];
    snprintf(text, sizeof text, "leat sink 1\nhome home\nsink t\ngeneration %d\nepoch %d\n",
             generation, epoch);
    put(".leat", text);
}

static void take_away(const char *name) {
    char whole[128];
    snprintf(whole, sizeof whole, "%s%s", path, name);
    assert_int_equal(unlink(whole), 0);
}

#define FIRST "epoch-000000000001.ndjson"
#define SECOND "epoch-000000000002.ndjson"

static void test_epochs(void **state) {
    (void)state;
    Error error;
    Sink *sink = opened(1);
    assert_int_equal(sink->way, SINK_BY_OUTBOX);
    assert_int_equal(marker_of(sink), 0);
    assert_int_equal(sink->type->deliver(sink, 1, STR("one\n"), &error), OK);
    assert_string_equal(get(FIRST), "one\n");
    take_away(FIRST);
    assert_int_equal(sink->type->deliver(sink, 1, STR("one\n"), &error), OK);
    assert_null(get(FIRST)); /* it was delivered; its reader has taken it */
    sink->type->close(sink);

    sink = opened(2);
    assert_int_equal(marker_of(sink), 1);
    assert_int_equal(sink->type->deliver(sink, 1, STR("one\n"), &error), OK);
    assert_null(get(FIRST));
    assert_int_equal(sink->type->deliver(sink, 2, STR("two\n"), &error), OK);
    assert_string_equal(get(SECOND), "two\n");
    sink->type->close(sink);
}

/* What each crash leaves, made by hand. */
static void test_crashes(void **state) {
    (void)state;
    Error error;
    Sink *sink = opened(1);
    sink->type->close(sink);
    put(".epoch-000000000001.tmp", "half"); /* before the marker */
    put(".leat.tmp", "half");
    sink = opened(2);
    assert_int_equal(marker_of(sink), 0);
    assert_null(get(".epoch-000000000001.tmp"));
    assert_int_equal(sink->type->deliver(sink, 1, STR("one\n"), &error), OK);
    sink->type->close(sink);
    put(".epoch-000000000002.tmp", "two\n");
    put_marker(2, 2); /* after the marker, before the name */
    sink = opened(3);
    assert_int_equal(marker_of(sink), 2);
    assert_string_equal(get(SECOND), "two\n");
    assert_string_equal(get(FIRST), "one\n");
    sink->type->close(sink);
}

static void test_whose(void **state) {
    (void)state;
    Error error;
    Sink *sink = opened(1);
    assert_int_equal(sink->type->deliver(sink, 1, STR("one\n"), &error), OK);
    sink->type->close(sink);
    assert_int_equal(open_sink("another", 1, false, &sink, &error), FAIL);
    assert_non_null(strstr(error.text, "did not write; move them away, or say overwrite = true"));
    put("notes.txt", "keep me");
    assert_int_equal(open_sink("another", 1, true, &sink, &error), OK);
    assert_null(get(FIRST));
    assert_string_equal(get("notes.txt"), "keep me");
    put_marker(1, 5);
    assert_int_equal(sink->type->deliver(sink, 1, STR("one\n"), &error), FAIL);
    sink->type->close(sink);
    put(".leat", "leat sink 1\nhome ho");
    assert_int_equal(open_sink("home", 1, false, &sink, &error), FAIL);
    assert_non_null(strstr(error.text, "is damaged"));
    take_away(".leat");
    assert_int_equal(open_sink("home", 1, false, &sink, &error), FAIL); /* the notes */
    assert_int_equal(open_sink("", 1, true, &sink, &error), FAIL);
    assert_non_null(strstr(error.text, "a file an epoch"));
}

static void test_later_run(void **state) {
    (void)state;
    Error error;
    Sink *sink = opened(1);
    put_marker(2, 1);
    assert_int_equal(sink->type->deliver(sink, 2, STR("two\n"), &error), FAIL);
    assert_non_null(strstr(error.text, "one of the two is a copy"));
    sink->type->close(sink);
}

static void test_no_folder(void **state) {
    (void)state;
    Sink *sink;
    Error error;
    snprintf(path, sizeof path, "%s/no/such/", base);
    assert_int_equal(open_sink("home", 1, false, &sink, &error), FAIL);
    assert_non_null(strstr(error.text, "cannot make"));
    snprintf(path, sizeof path, "%s/file", base);
    FILE *file = fopen(path, "w");
    fclose(file);
    snprintf(path, sizeof path, "%s/file/", base);
    assert_int_equal(open_sink("home", 1, false, &sink, &error), FAIL);
}

static int make_base(void **state) {
    (void)state;
    return mkdtemp(base) ? 0 : 1;
}
static int next_folder(void **state) {
    (void)state;
    static int number;
    snprintf(path, sizeof path, "%s/%d/", base, number++);
    return 0;
}
static int remove_base(void **state) {
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r %s", base);
    return system(command);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup(test_epochs, next_folder),
                                       cmocka_unit_test_setup(test_crashes, next_folder),
                                       cmocka_unit_test_setup(test_whose, next_folder),
                                       cmocka_unit_test_setup(test_later_run, next_folder),
                                       cmocka_unit_test(test_no_folder)};
    return cmocka_run_group_tests_name("connector/folder", tests, make_base, remove_base);
}
