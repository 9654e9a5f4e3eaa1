/* The file source, from every position, in chunks of every size; the file sink, cut back and
 * refused. */
#include "connector/file/file.h"
#include "connector/test_source.h"
#include "format/json_array.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[] = "/tmp/leat-file-XXXXXX";

static const char *path_of(const char *name) {
    static char paths[4][256];
    static int turn;
    char *path = paths[turn++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static void write_file(const char *name, const char *text, size_t size) {
    FILE *file = fopen(path_of(name), "w");
    assert_non_null(file);
    assert_int_equal(fwrite(text, 1, size, file), size);
    fclose(file);
}

static void read_all(TestSource *t, int64_t from, Buffer *out) {
    int64_t position = from;
    assert_int_equal(t->source->type->seek(t->source, 0, position, &t->error), OK);
    Status status;
    while ((status = test_next(t, 0, out, &position)) == OK) {}
    assert_int_equal(status, END);
}

static void open_file(TestSource *t, const Format *format, const char *path) {
    test_init(t, format);
    test_option(t, connector_find("file")->options, "path", path);
}

static void test_from_every_position(void **state) {
    (void)state;
    Buffer text = {0};
    for (int i = 0; i < 400; i++)
        buffer_add_format(&text, "{\"i\":%d,\"pad\":\"%.*s\"}\n", i, i % 60,
                          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx");
    buffer_add_text(&text, "{\"last\":\"without a newline\"}");
    write_file("a.ndjson", text.data, text.size);
    for (int rows = 0; rows < 3; rows++) {
        TestSource t;
        open_file(&t, &json_format, path_of("a.ndjson"));
        t.context.chunk_rows = rows;
        assert_int_equal(test_open(&t, &file_source), OK);
        assert_true(t.source->bounded);
        assert_string_equal(file_source.partition_name(t.source, 0), path_of("a.ndjson"));
        for (const char *at = text.data; at;
             at = memchr(at, '\n', (size_t)(text.data + text.size - at)), at = at ? at + 1 : NULL) {
            Buffer got = {0};
            read_all(&t, at - text.data, &got);
            assert_true(
                str_equal(buffer_str(&got), (Str){at, (size_t)(text.data + text.size - at)}));
            assert_int_equal(file_source.lag(t.source, 0, at - text.data),
                             text.data + text.size - at);
            buffer_free(&got);
            if (rows) at = at + 4000 < text.data + text.size ? at + 4000 : at;
        }
        test_done(&t);
    }
    buffer_free(&text);
}

static void test_records_across_chunks(void **state) {
    (void)state;
    Buffer text = {0};
    for (int i = 0; i < 20; i++) {
        buffer_add_format(&text, "{\"i\":%d,\"s\":\"", i);
        for (int k = 0; k < i * 3000; k++) buffer_add_char(&text, 'y');
        buffer_add_text(&text, "\"}\n\n");
    }
    write_file("long.ndjson", text.data, text.size);
    TestSource t;
    open_file(&t, &json_format, path_of("long.ndjson"));
    assert_int_equal(test_open(&t, &file_source), OK);
    Buffer got = {0};
    read_all(&t, NO_POSITION, &got);
    assert_true(str_equal(buffer_str(&got), buffer_str(&text)));
    buffer_free(&got);
    buffer_free(&text);
    test_done(&t);
}

/* The pieces of an array, from the first one or from each later one, in chunks of every size. */
static void test_array(void **state) {
    (void)state;
    Buffer text = {0};
    int64_t begins[301];
    buffer_add_text(&text, "\xEF\xBB\xBF [ ");
    for (int i = 0; i < 300; i++) {
        begins[i] = (int64_t)text.size;
        buffer_add_format(&text, "{\"i\":%d,\"s\":\"],[%.*s\"}%s", i, i % 60,
                          "yyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyyy",
                          i == 299 ? "]"
                          : i % 2  ? ",\n"
                                   : " , ");
    }
    begins[300] = (int64_t)text.size;
    buffer_add_text(&text, "\n");
    write_file("array.json", text.data, text.size);
    for (int rows = 0; rows < 4; rows++) {
        TestSource t;
        open_file(&t, &json_array_format, path_of("array.json"));
        t.context.chunk_rows = rows;
        assert_int_equal(test_open(&t, &file_source), OK);
        for (int i = 0; i < 300; i += rows ? 60 : 1) {
            assert_int_equal(file_source.seek(t.source, 0, i ? begins[i] : NO_POSITION, &t.error),
                             OK);
            int64_t position = i ? begins[i] : 0;
            Chunk *chunk;
            bool at_end;
            int next = i;
            while (file_source.next(t.source, 0, &chunk, &at_end, &t.error) == OK) {
                assert_int_equal(chunk->begin, position);
                assert_int_equal(chunk->place, position == 0             ? ARRAY_START
                                               : position >= begins[300] ? ARRAY_OUTSIDE
                                                                         : ARRAY_INSIDE);
                position = chunk->end;
                while (next < 300 && begins[next] < position) next++;
                assert_int_equal(position, next < 300    ? begins[next]
                                           : chunk->last ? (int64_t)text.size
                                                         : begins[300]);
                chunk->release(chunk);
            }
            assert_int_equal(position, text.size);
        }
        test_done(&t);
    }
    buffer_free(&text);
}

/* An element that is too long is stepped over, arrays of objects inside of it too. */
static void test_array_too_long(void **state) {
    (void)state;
    FILE *file = fopen(path_of("huge.json"), "w");
    fputs("[{\"i\":1},\n{\"i\":[", file);
    int64_t begin = 10, size = 0;
    for (int i = 0; i < 70000; i++)
        size += fprintf(file, "%s{\"pad\":\"%01000d\"}", i ? ",\n" : "", i);
    fputs("]},\n{\"i\":3}]", file);
    fclose(file);
    TestSource t;
    open_file(&t, &json_array_format, path_of("huge.json"));
    assert_int_equal(test_open(&t, &file_source), OK);
    assert_int_equal(file_source.seek(t.source, 0, NO_POSITION, &t.error), OK);
    Chunk *chunk;
    bool at_end;
    int64_t begins[] = {0, begin, begin + 6 + size + 3};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(file_source.next(t.source, 0, &chunk, &at_end, &t.error), OK);
        assert_int_equal(chunk->begin, begins[i]);
        assert_int_equal(chunk->record_count, i == 1);
        if (i == 1) assert_int_equal(chunk->records[0].whole_bytes, 6 + size + 3);
        chunk->release(chunk);
    }
    assert_int_equal(file_source.next(t.source, 0, &chunk, &at_end, &t.error), END);
    unlink(path_of("huge.json"));
    test_done(&t);
}

static void test_too_long(void **state) {
    (void)state;
    FILE *file = fopen(path_of("huge.ndjson"), "w");
    char *block = malloc(1 << 20);
    memset(block, 'z', 1 << 20);
    fputs("{\"i\":1}\n", file);
    for (int i = 0; i < 70; i++) fwrite(block, 1, 1 << 20, file);
    fputs("\n{\"i\":2}\n", file);
    fclose(file);
    free(block);
    TestSource t;
    open_file(&t, &json_format, path_of("huge.ndjson"));
    assert_int_equal(test_open(&t, &file_source), OK);
    assert_int_equal(file_source.seek(t.source, 0, NO_POSITION, &t.error), OK);
    Chunk *chunk;
    bool at_end;
    static const int64_t begins[] = {0, 8, 8 + (70 << 20) + 1};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(file_source.next(t.source, 0, &chunk, &at_end, &t.error), OK);
        assert_int_equal(chunk->begin, begins[i]);
        assert_int_equal(chunk->record_count, i == 1);
        if (i == 1) {
            assert_int_equal(chunk->records[0].whole_bytes, (70 << 20) + 1);
            assert_int_equal(chunk->records[0].body.size, 64 << 10);
        } else {
            assert_int_equal(chunk->bytes.size, 8);
        }
        chunk->release(chunk);
    }
    assert_int_equal(file_source.next(t.source, 0, &chunk, &at_end, &t.error), END);
    unlink(path_of("huge.ndjson"));
    test_done(&t);
}

static void test_folder_glob_and_order(void **state) {
    (void)state;
    mkdir(path_of("in"), 0777);
    write_file("in/b.ndjson", "{\"b\":1}\n{\"b\":2}\n", 16);
    write_file("in/a.ndjson", "{\"a\":1}", 7);
    write_file("in/.hidden", "x", 1);
    write_file("in/empty.ndjson", "", 0);
    const char *paths[] = {"in", "in/", "in/*.ndjson"};
    for (int i = 0; i < 3; i++) {
        TestSource t;
        open_file(&t, &json_format, path_of(paths[i]));
        assert_int_equal(test_open(&t, &file_source), OK);
        int count;
        assert_int_equal(file_source.partitions(t.source, &count, &t.error), OK);
        assert_int_equal(count, 3);
        assert_string_equal(file_source.partition_name(t.source, 1), path_of("in/b.ndjson"));
        test_done(&t);
    }
    TestSource t;
    open_file(&t, &json_format, path_of("in"));
    test_option(&t, connector_find("file")->options, "order", "name");
    t.context.chunk_rows = 1;
    for (int times = 0; times < 4;
         times++) { /* from each position in turn, with a file that comes too late */
        assert_int_equal(test_open(&t, &file_source), OK);
        Buffer got = {0};
        int64_t position = NO_POSITION;
        assert_int_equal(file_source.seek(t.source, 0, position, &t.error), OK);
        for (int i = 0; i < times; i++) assert_int_equal(test_next(&t, 0, &got, NULL), OK);
        got.size = 0;
        if (times == 3) write_file("in/aa.ndjson", "{\"aa\":1}\n", 9);
        if (times) {
            test_close(&t);
            assert_int_equal(test_open(&t, &file_source), OK);
            position = times == 1 ? 7 : (INT64_C(1) << 44) + (times - 1) * 8;
            assert_int_equal(file_source.seek(t.source, 0, position, &t.error), OK);
            got.size = 0;
        }
        while (test_next(&t, 0, &got, NULL) == OK) {}
        const char *wanted[] = {"{\"a\":1}{\"b\":1}\n{\"b\":2}\n", "{\"b\":1}\n{\"b\":2}\n",
                                "{\"b\":2}\n", "{\"aa\":1}\n"};
        assert_true(str_equal(buffer_str(&got), str_from(wanted[times])));
        buffer_free(&got);
        test_close(&t);
    }
    test_done(&t);
}

static void test_csv_header(void **state) {
    (void)state;
    static const char text[] = "\xEF\xBB\xBF\"a\n1\",b\r\n1,\"x\ny\"\n2,z\n";
    write_file("h.csv", text, sizeof text - 1);
    TestSource t;
    open_file(&t, &csv_format, path_of("h.csv"));
    assert_int_equal(test_open(&t, &file_source), OK);
    for (int i = 0; i < 2; i++) {
        Buffer got = {0};
        read_all(&t, i ? 20 : NO_POSITION, &got);
        assert_true(str_equal(buffer_str(&got), i ? STR("2,z\n") : STR("1,\"x\ny\"\n2,z\n")));
        assert_true(str_equal(file_source.header(t.source, 0), STR("\xEF\xBB\xBF\"a\n1\",b\r\n")));
        buffer_free(&got);
    }
    test_done(&t);
    write_file("h.csv", "a,b", 3);
    open_file(&t, &csv_format, path_of("h.csv"));
    assert_int_equal(test_open(&t, &file_source), OK);
    Buffer got = {0};
    read_all(&t, NO_POSITION, &got);
    assert_int_equal(got.size, 0);
    test_done(&t);
}

static void test_pipe(void **state) {
    (void)state;
    for (int run = 0; run < 2; run++) { /* the second: bytes that were counted are dropped */
        int ends[2];
        assert_int_equal(pipe(ends), 0);
        char path[64];
        snprintf(path, sizeof path, "/dev/fd/%d", ends[0]);
        TestSource t;
        open_file(&t, &json_format, path);
        assert_int_equal(test_open(&t, &file_source), OK);
        int64_t position = run ? 8 : NO_POSITION;
        assert_int_equal(file_source.seek(t.source, 0, position, &t.error), OK);
        Buffer got = {0};
        assert_int_equal(test_next(&t, 0, &got, &position), AGAIN);
        assert_int_equal(write(ends[1], "{\"i\":", 5), 5);
        assert_int_equal(test_next(&t, 0, &got, &position), AGAIN);
        assert_int_equal(write(ends[1], "1}\n{\"i\":2}\n{\"i\":3}", 18), 18);
        assert_int_equal(test_next(&t, 0, &got, &position), OK);
        assert_int_equal(test_next(&t, 0, &got, &position), AGAIN);
        close(ends[1]);
        file_source.wait(t.source, 1000000);
        assert_int_equal(test_next(&t, 0, &got, &position), OK);
        assert_int_equal(test_next(&t, 0, &got, &position), END);
        Str all = STR("{\"i\":1}\n{\"i\":2}\n{\"i\":3}");
        assert_true(str_equal(buffer_str(&got), run ? (Str){all.data + 8, all.size - 8} : all));
        close(ends[0]);
        buffer_free(&got);
        test_done(&t);
    }
}

static void test_source_errors(void **state) {
    (void)state;
    static const char *const cases[][2] = {{"nothing.ndjson", "cannot read"},
                                           {"no*.ndjson", "no file matches"},
                                           {"hollow", "has no files"}};
    mkdir(path_of("hollow"), 0777);
    for (int i = 0; i < 3; i++) {
        TestSource t;
        open_file(&t, &json_format, path_of(cases[i][0]));
        assert_int_equal(test_open(&t, &file_source), FAIL);
        assert_non_null(strstr(t.error.text, cases[i][1]));
        assert_non_null(strstr(t.error.text, cases[i][0]));
        test_done(&t);
    }
    write_file("short.ndjson", "{}\n", 3);
    TestSource t;
    Buffer got = {0};
    open_file(&t, &json_format, path_of("short.ndjson"));
    assert_int_equal(test_open(&t, &file_source), OK);
    assert_int_equal(file_source.seek(t.source, 0, 4, &t.error), OK);
    assert_int_equal(test_next(&t, 0, &got, NULL), FAIL);
    assert_non_null(strstr(t.error.text, "has 3 bytes, but 4 were read before"));
    test_done(&t);
}

/* ---- the sink ---- */

static Sink *open_sink(const char *path, bool overwrite) {
    static OptionValue values[2];
    static Options options = {2, values};
    static Schema schema;
    values[0] = (OptionValue){.name = "path", .text = path};
    values[1] = (OptionValue){.name = "overwrite", .integer = overwrite};
    SinkContext context = {
        .env = env_system(), .table = "t", .options = &options, .schema = &schema};
    Sink *sink;
    assert_int_equal(file_sink.open(&context, &sink, NULL), OK);
    return sink;
}

static void assert_file(const char *name, const char *text) {
    char got[256];
    FILE *file = fopen(path_of(name), "r");
    assert_non_null(file);
    size_t size = fread(got, 1, sizeof got - 1, file);
    fclose(file);
    got[size] = 0;
    assert_string_equal(got, text);
}

static void test_sink(void **state) {
    (void)state;
    Error error;
    int64_t length;
    Sink *sink = open_sink(path_of("out.ndjson"), false);
    assert_int_equal(sink->way, SINK_BY_LENGTH);
    assert_int_equal(file_sink.check(sink, &error), OK);
    assert_int_equal(file_sink.recover(sink, false, 0, &error), OK);
    assert_file("out.ndjson", "");
    assert_int_equal(file_sink.write(sink, STR("one\n"), &error), OK);
    assert_int_equal(file_sink.sync(sink, &length, &error), OK);
    assert_int_equal(length, 4);
    assert_int_equal(file_sink.write(sink, STR("two\n"), &error), OK);
    file_sink.close(sink);
    assert_file("out.ndjson", "one\ntwo\n");

    sink = open_sink(path_of("out.ndjson"), false);
    assert_int_equal(file_sink.check(sink, &error), FAIL);
    assert_non_null(strstr(error.text, "exists already"));
    assert_int_equal(file_sink.recover(sink, true, 4, &error), OK);
    assert_file("out.ndjson", "one\n");
    assert_int_equal(file_sink.write(sink, STR("TWO\n"), &error), OK);
    assert_int_equal(file_sink.sync(sink, &length, &error), OK);
    assert_int_equal(length, 8);
    assert_int_equal(file_sink.recover(sink, true, 9, &error), FAIL);
    assert_non_null(strstr(error.text, "has 8 bytes, but 9 were delivered"));
    file_sink.close(sink);
    assert_file("out.ndjson", "one\nTWO\n");

    sink = open_sink(path_of("out.ndjson"), true);
    assert_int_equal(file_sink.check(sink, &error), OK);
    assert_int_equal(file_sink.recover(sink, false, 0, &error), OK);
    assert_file("out.ndjson", "");
    file_sink.close(sink);

    sink = open_sink(path_of("no/such/folder"), true);
    assert_int_equal(file_sink.recover(sink, false, 0, &error), FAIL);
    assert_non_null(strstr(error.text, "cannot open"));
    file_sink.close(sink);
    sink = open_sink("/dev/null", true);
    assert_int_equal(file_sink.check(sink, &error), FAIL);
    file_sink.close(sink);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_from_every_position),
                                       cmocka_unit_test(test_records_across_chunks),
                                       cmocka_unit_test(test_array),
                                       cmocka_unit_test(test_array_too_long),
                                       cmocka_unit_test(test_too_long),
                                       cmocka_unit_test(test_folder_glob_and_order),
                                       cmocka_unit_test(test_csv_header),
                                       cmocka_unit_test(test_pipe),
                                       cmocka_unit_test(test_source_errors),
                                       cmocka_unit_test(test_sink)};
    return cmocka_run_group_tests_name("connector/file", tests, make_folder, remove_folder);
}
