/* Each rule of LANGUAGE.md 6 about JSON records, and the plumbing around them: batches, positions,
 * rejects, on_error. */
#include "format/test_decode.h"

static Test events(void) {
    Test t = test_new(&json_format);
    test_column(&t, "i", TYPE_INT4);
    test_column(&t, "d", TYPE_FLOAT8);
    test_column(&t, "s", TYPE_TEXT);
    return t;
}

static void test_plain_rows(void **state) {
    (void)state;
    Test t = events();
    assert_decodes(
        &t,
        "{\"i\":1,\"d\":0.1183364967,\"s\":\"a\"}\n{\"s\":\"b\",\"x\":[1,{\"y\":2}],\"i\":-2}\n",
        "{\"i\":1,\"d\":0.1183364967,\"s\":\"a\"}\n{\"i\":-2,\"d\":null,\"s\":\"b\"}\n");
    assert_decodes(&t, "  { \"i\" : 5 , \"s\" : \"spaced\" }  \n\t{\"i\":6}\r\n\n\r\n  \n{}",
                   "{\"i\":5,\"d\":null,\"s\":\"spaced\"}\n{\"i\":6,\"d\":null,\"s\":null}\n{\"i\":"
                   "null,\"d\":null,\"s\":null}\n");
    assert_decodes(&t, "\xEF\xBB\xBF{\"i\":1}", "{\"i\":1,\"d\":null,\"s\":null}\n");
    assert_decodes(&t, "{\"i\":1,\"i\":2,\"\\u0069\":3,\"\\u0073\":\"x\"}",
                   "{\"i\":1,\"d\":null,\"s\":\"x\"}\n");
    assert_decodes(&t, "{\"i\":null,\"s\":\"\\u00e9\\n\\\"\\\\\\/\\ud83d\\ude00\"}",
                   "{\"i\":null,\"d\":null,\"s\":\"\xC3\xA9\\n\\\"\\\\/\xF0\x9F\x98\x80\"}\n");
    assert_decodes(&t, "", "");
    test_end(&t);
}

static void assert_bad(Test *t, const char *record, const char *reason) {
    Buffer text = {0};
    /* between two good ones, and alone */
    buffer_add_format(&text, "{\"i\":1}\n%s\n{\"i\":2}", record);
    buffer_add_char(&text, '\0');
    test_decode(t, text.data);
    if (t->out.reject_count != 1 || test_rows(t) != 2)
        print_error("%s\n%s", text.data, test_text(t));
    assert_int_equal(t->out.reject_count, 1);
    assert_int_equal(test_rows(t), 2);
    assert_int_equal(t->out.records, 3);
    assert_int_equal(t->out.rejects[0].row_before, 1);
    assert_int_equal(t->out.rejects[0].position, 8);
    if (!strstr(t->out.rejects[0].reason, reason)) print_error("%s\n", t->out.rejects[0].reason);
    assert_non_null(strstr(t->out.rejects[0].reason, reason));
    assert_true(str_equal(t->out.rejects[0].record, str_from(record)));
    buffer_free(&text);
    test_decode(t, record);
    assert_int_equal(t->out.reject_count, 1);
    assert_int_equal(test_rows(t), 0);
}

static void test_structure(void **state) {
    (void)state;
    Test t = events();
    static const char *const bad[][2] = {
        {"not json", "not JSON: not json"},
        {"[1,2]", "expected one JSON object, got array"},
        {"12", "got number"},
        {"\"x\"", "got string"},
        {"null", "got null"},
        {"{", "a bracket is not closed"},
        {"{\"i\"", "a bracket is not closed"},
        {"{\"i\":", "a bracket is not closed"},
        {"{\"i\":1", "a bracket is not closed"},
        {"{\"i\":1,", "a bracket is not closed"},
        {"{\"x\":{\"y\":[1,2", "a bracket is not closed"},
        {"{\"x\":{\"y\":[1,2}}", "brackets do not match"},
        {"{\"x\":[1}", "brackets do not match"},
        {"{\"i\":1]", "brackets do not match"},
        {"{\"x\":\"y}", "a string is not closed"},
        {"{\"x\":\"y", "a string is not closed"},
        {"{\"x\":\"\\\"}", "a string is not closed"},
        {"{\"i\":1} x", "something follows the object"},
        {"{\"i\":1}{\"i\":2}", "something follows the object"},
        {"{\"i\":1}}", "something follows the object"},
        {"{\"i\":1},", "something follows the object"},
        {"{\"i\":1 \"d\":2}", "a comma is missing"},
        {"{\"i\" 1}", "a colon is missing"},
        {"{\"x\":}", "a value is missing"},
        {"{\"x\":,\"i\":1}", "a value is missing"},
        {"{\"i\":1,}", "a key must be a string"},
        {"{i:1}", "a key must be a string"},
        {"{\"x\":1 2}", "a comma is missing"},
        {"{\"x\":\"a\"b}", "a comma is missing"},
        {"{\"x\":\"\xC3\x28\"}", "not UTF-8"},
        {"{\"x\":\"\xED\xA0\x80\"}", "not UTF-8"},
        {"{\"x\":\"a\tb\"}", "control character"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_bad(&t, bad[i][0], bad[i][1]);
    /* what is not read is not looked into */
    static const char *const good[] = {
        "{\"a\":tru}",        "{\"x\":\"\\ud800\"}",    "{\"x\":\"\\u0000\"}", "{\"x\":1e999999}",
        "{\"x\":{\"y\" 1,}}", "{\"x\":[1 2 nonsense]}", "{\"x\":\"\\q\"}",     "{\"x\":01}"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_decodes(&t, good[i], "{\"i\":null,\"d\":null,\"s\":null}\n");
    test_end(&t);
}

static void test_depth(void **state) {
    (void)state;
    Test t = events();
    for (int deep = 990; deep < 1100; deep += 20) {
        Buffer text = {0};
        buffer_add_text(&text, "{\"x\":");
        for (int i = 0; i < deep; i++) buffer_add_char(&text, '[');
        for (int i = 0; i < deep; i++) buffer_add_char(&text, ']');
        buffer_add_text(&text, "}");
        test_decode_str(&t, buffer_str(&text));
        assert_int_equal(test_rows(&t), deep <= 1000);
        buffer_free(&text);
    }
    test_end(&t);
}

static void assert_field(TypeKind kind, const char *value, const char *result) {
    Test t = test_new(&json_format);
    test_column(&t, "v", kind);
    Buffer text = {0};
    buffer_add_format(&text, "{\"v\":%s}", value);
    buffer_add_char(&text, '\0');
    test_decode(&t, text.data);
    const char *got = test_text(&t);
    char wanted[400];
    if (*result == '!') snprintf(wanted, sizeof wanted, "! t[0]@0: field v: %s\n", result + 2);
    else snprintf(wanted, sizeof wanted, "{\"v\":%s}\n", result);
    assert_string_equal(got, wanted);
    buffer_free(&text);
    test_end(&t);
}

static void test_numbers(void **state) {
    (void)state;
    assert_field(TYPE_FLOAT8, "\"x\"", "! expected number, got string");
    assert_field(TYPE_FLOAT8, "{\"a\":1}", "! expected number, got object");
    assert_field(TYPE_FLOAT8, "[1]", "! expected number, got array");
    assert_field(TYPE_FLOAT8, "true", "! expected number, got boolean");
    assert_field(TYPE_FLOAT8, "tru", "! expected number, got what is not JSON: tru");
    assert_field(TYPE_FLOAT8, "NaN", "! expected number, got what is not JSON: NaN");
    assert_field(TYPE_FLOAT8, "01", "! expected number, got what is not JSON: 01");
    assert_field(TYPE_FLOAT8, "+1", "! expected number, got what is not JSON: +1");
    assert_field(TYPE_FLOAT8, "1.", "! expected number, got what is not JSON: 1.");
    assert_field(TYPE_FLOAT8, ".5", "! expected number, got what is not JSON: .5");
    assert_field(TYPE_FLOAT8, "1e", "! expected number, got what is not JSON: 1e");
    assert_field(TYPE_FLOAT8, "-", "! expected number, got what is not JSON: -");
    assert_field(TYPE_FLOAT8, "0x10", "! expected number, got what is not JSON: 0x10");
    assert_field(TYPE_FLOAT8, "1e400", "! 1e400 is out of range for type double precision");
    assert_field(TYPE_FLOAT8, "-1e400", "! -1e400 is out of range for type double precision");
    assert_field(TYPE_FLOAT8, "1e-400", "! 1e-400 is out of range for type double precision");
    assert_field(TYPE_FLOAT8, "0.1", "0.1");
    assert_field(TYPE_FLOAT8, "0e999999999999", "0");
    assert_field(TYPE_FLOAT8, "4.9e-324", "5e-324");
    assert_field(TYPE_FLOAT8, "9007199254740993", "9.007199254740992e+15");
    assert_field(TYPE_FLOAT8, "123456789012345678901234567890", "1.2345678901234568e+29");
    assert_field(TYPE_FLOAT8, "0.30000000000000004", "0.30000000000000004");
    assert_field(TYPE_FLOAT8, "1E5", "100000");
    assert_field(TYPE_FLOAT8, "-2.5e+1", "-25");
    assert_field(TYPE_FLOAT4, "0.1", "0.1");
    assert_field(TYPE_FLOAT4, "1e39", "! 1e39 is out of range for type real");
    assert_field(TYPE_INT4, "2147483647", "2147483647");
    assert_field(TYPE_INT4, "2147483648", "! 2147483648 is out of range for type integer");
    assert_field(TYPE_INT2, "-32769", "! -32769 is out of range for type smallint");
    assert_field(TYPE_INT8, "-9223372036854775808", "-9223372036854775808");
    assert_field(TYPE_INT8, "9223372036854775808",
                 "! 9223372036854775808 is out of range for type bigint");
    assert_field(TYPE_INT8, "99999999999999999999999",
                 "! 99999999999999999999999 is out of range for type bigint");
    assert_field(TYPE_INT8, "1e18", "1000000000000000000");
    assert_field(TYPE_INT4, "5.0", "5");
    assert_field(TYPE_INT4, "1.5e1", "15");
    assert_field(TYPE_INT4, "7.5", "! expected whole number, got 7.5");
    assert_field(TYPE_INT4, "\"4\"", "! expected whole number, got string");
    assert_field(TYPE_NUMERIC, "1.500", "1.500");
    assert_field(TYPE_NUMERIC, "\"1.5\"", "! expected number, got string");
    assert_field(TYPE_BOOL, "true", "true");
    assert_field(TYPE_BOOL, "1", "! expected true or false, got number");
}

static void test_strings_and_times(void **state) {
    (void)state;
    assert_field(TYPE_TEXT, "12", "! expected string, got number");
    assert_field(TYPE_TEXT, "\"\\ud800\"", "! a lone surrogate");
    assert_field(TYPE_TEXT, "\"\\ud800\\u0041\"", "! a lone surrogate");
    assert_field(TYPE_TEXT, "\"\\udc00\"", "! a lone surrogate");
    assert_field(TYPE_TEXT, "\"a\\u0000\"", "! \\u0000 can not be kept");
    assert_field(TYPE_TEXT, "\"\\x\"", "! an escape that JSON does not know");
    assert_field(TYPE_TEXT, "\"\\u12g4\"", "! a \\u escape without four hex digits");
    assert_field(TYPE_TEXT, "\"\"", "\"\"");
    assert_field(TYPE_TIMESTAMPTZ, "\"2021-07-11T17:16:40.1234567Z\"",
                 "\"2021-07-11T17:16:40.123457Z\"");
    assert_field(TYPE_TIMESTAMPTZ, "\"2021-07-11T17:16:40\"", "\"2021-07-11T17:16:40Z\"");
    assert_field(TYPE_TIMESTAMPTZ, "\"2021-07-11 19:16:40+02:00\"", "\"2021-07-11T17:16:40Z\"");
    assert_field(TYPE_TIMESTAMPTZ, "1626023800", "! expected string, got number");
    assert_field(TYPE_TIMESTAMPTZ, "\"yesterday\"",
                 "! not a timestamp with time zone: \"yesterday\"");
    assert_field(TYPE_TIMESTAMPTZ, "\"infinity\"",
                 "! not a timestamp with time zone: \"infinity\"");
    assert_field(TYPE_TIMESTAMPTZ, "\"2021-13-01T00:00:00Z\"",
                 "! not a timestamp with time zone: \"2021-13-01T00:00:00Z\"");
    assert_field(TYPE_DATE, "\"2024-02-29\"", "\"2024-02-29\"");
    assert_field(TYPE_DATE, "\"2023-02-29\"", "! not a date: \"2023-02-29\"");
    assert_field(TYPE_UUID, "\"B81D241F518740b0ab2a940faf9757c1\"",
                 "\"b81d241f-5187-40b0-ab2a-940faf9757c1\"");
    assert_field(TYPE_INTERVAL, "\"1 month 2 days\"", "\"1 mon 2 days\"");
    assert_field(TYPE_JSONB, "{\"a\": [1, 2.50], \"b\":\"\\u0041\"}",
                 "{\"a\": [1, 2.50], \"b\":\"\\u0041\"}");
    assert_field(TYPE_JSONB, "null", "null");
    assert_field(TYPE_JSONB, "tru", "! not JSON: tru");
    assert_field(TYPE_JSONB, "{\"a\":tru}", "! not JSON: {");
    assert_field(TYPE_JSONB, "{\"a\":\"\\ud800\"}", "! a lone surrogate: {");
    assert_field(TYPE_JSONB, "[1,]", "! a value is missing: [");
    assert_field(TYPE_JSONB, "{\"a\":1e200000}", "! a number out of range: {");
    assert_field(TYPE_JSONB, "[]", "[]");
    assert_field(TYPE_JSONB, "[{},[],[{\"a\":{}}]]", "[{},[],[{\"a\":{}}]]");
}

static void test_paths(void **state) {
    (void)state;
    static const char *b[] = {"b"}, *list[] = {"l", "1"}, *last[] = {"l", "-1"},
                      *deep[] = {"o", "x", "y"};
    Test t = test_new(&json_format);
    test_path(&t, "a", TYPE_FLOAT8, b, 1);
    test_path(&t, "a", TYPE_TEXT, list, 2);
    test_path(&t, "a", TYPE_JSONB, last, 2);
    test_path(&t, "a", TYPE_TEXT, deep, 3);
    assert_decodes(
        &t, "{\"a\":{\"b\":2.50,\"l\":[10,\"x\\u0041\",{\"k\": 1}],\"o\":{\"x\":{\"y\":1e-06}}}}",
        "{\"a\":2.5,\"a\":\"xA\",\"a\":{\"k\": 1},\"a\":\"0.000001\"}\n");
    assert_decodes(&t,
                   "{\"a\":{\"b\":\"7\",\"l\":[],\"o\":[]}}\n{\"a\":{\"b\":null,\"l\":[true,false],"
                   "\"o\":{\"x\":{\"y\":-0.0}}}}\n"
                   "{\"a\":[1]}\n{\"a\":3}\n{}",
                   "{\"a\":7,\"a\":null,\"a\":null,\"a\":null}\n{\"a\":null,\"a\":\"false\",\"a\":"
                   "false,\"a\":\"0.0\"}\n"
                   "{\"a\":null,\"a\":null,\"a\":null,\"a\":null}\n{\"a\":null,\"a\":null,\"a\":"
                   "null,\"a\":null}\n"
                   "{\"a\":null,\"a\":null,\"a\":null,\"a\":null}\n");
    /* a value that does not cast is an error there, what is no JSON a bad record */
    test_decode(&t, "{\"a\":{\"b\":1}}\n{\"a\":{\"b\":\"x\"}}\n{\"a\":{\"b\":1e400}}");
    assert_int_equal(test_rows(&t), 3);
    const Batch *batch = t.out.batches[0];
    assert_int_equal(column_state(&batch->columns[0], 0), VALUE_OK);
    assert_int_equal(column_state(&batch->columns[0], 1), VALUE_ERROR);
    assert_int_equal(column_state(&batch->columns[0], 2), VALUE_ERROR);
    assert_string_equal(row_error_text(batch->errors, 1),
                        "invalid input syntax for type double precision: \"x\"");
    assert_decodes(&t, "{\"a\":{\"b\":tru,\"q\":tru}}", "! t[0]@0: field a.b: not JSON: tru\n");
    assert_decodes(&t, "{\"a\":{\"q\":tru,\"b\":1,\"b\":2}}",
                   "{\"a\":1,\"a\":null,\"a\":null,\"a\":null}\n");
    assert_decodes(&t, "{\"a\":{\"o\":{\"x\":{\"y\":\"\\ud800\"}}}}",
                   "! t[0]@0: field a.o.x.y: a lone surrogate: \"\\ud800\"\n");
    test_end(&t);
}

static void test_any_text(void **state) {
    (void)state;
    Test t = test_new(&json_format);
    test_column(&t, "s", TYPE_TEXT);
    t.spec.any_text = true;
    assert_decodes(
        &t,
        "{\"s\":true}\n{\"s\":1.50}\n{\"s\":[1, {\"a\":2}]}\n{\"s\":tru}\n{\"s\":null}\n{\"s\":{}}",
        "{\"s\":\"true\"}\n{\"s\":\"1.50\"}\n{\"s\":\"[1, {\\\"a\\\":2}]\"}\n{\"s\":null}\n"
        "{\"s\":\"{}\"}\n! t[0]@41: field s: not JSON: tru\n");
    test_end(&t);
}

static void test_on_error(void **state) {
    (void)state;
    static const char text[] = "{\"i\":1,\"d\":1}\n{\"i\":\"x\",\"d\":2}\n{\"i\":3,\"d\":3}"
                               "\nbroken\n{\"i\":5,\"d\":\"y\"}\n";
    Test t = events();
    t.columns[0].not_null = true;
    test_decode(&t, text);
    assert_string_equal(
        test_text(&t),
        "{\"i\":1,\"d\":1,\"s\":null}\n{\"i\":3,\"d\":3,\"s\":null}\n"
        "! t[0]@14: field i: expected whole number, got string\n"
        "! t[0]@44: not JSON: broken\n! t[0]@51: field d: expected number, got string\n");
    test_end(&t);
    t.spec.on_error = ON_ERROR_NULL;
    test_decode(&t, text);
    assert_string_equal(
        test_text(&t),
        "{\"i\":1,\"d\":1,\"s\":null}\n{\"i\":3,\"d\":3,\"s\":null}\n{\"i\":5,\"d\":null,\"s\":"
        "null}\n"
        "! t[0]@14: field i: expected whole number, got string\n! t[0]@44: not JSON: broken\n");
    test_end(&t);
    t.spec.on_error = ON_ERROR_SKIP;
    test_decode(&t, text);
    assert_string_equal(test_text(&t),
                        "{\"i\":1,\"d\":1,\"s\":null}\n{\"i\":3,\"d\":3,\"s\":null}\n");
    assert_int_equal(t.out.skipped, 3);
    assert_int_equal(t.out.records, 5);
    test_end(&t);
    t.spec.on_error = ON_ERROR_FAIL;
    test_decode(&t, text);
    assert_true(t.out.failed);
    assert_int_equal(test_rows(&t), 1);
    assert_non_null(
        strstr(t.out.error.text, "t[0]@14: field i: expected whole number, got string"));
    test_end(&t);
}

static void test_event_time(void **state) {
    (void)state;
    Test t = test_new(&json_format);
    test_column(&t, "t", TYPE_TIMESTAMPTZ);
    t.spec.event_time = 0;
    t.spec.max_future_us = 60000000;
    t.chunk.taken_us = 1000000000000000; /* 2001-09-09T01:46:40Z */
    assert_decodes(
        &t,
        "{\"t\":\"2001-09-09T01:47:40Z\"}\n{\"t\":\"2001-09-09T01:47:41Z\"}\n{}\n{\"t\":null}\n",
        "{\"t\":\"2001-09-09T01:47:40Z\"}\n"
        "! t[0]@29: field t: the time is further ahead of the clock than max_future allows\n"
        "! t[0]@58: field t: missing or null, and it is the event time\n"
        "! t[0]@61: field t: missing or null, and it is the event time\n");
    assert_int_equal(t.out.batches[0]->event_times[0], 1000000060000000);
    test_end(&t);
    t.spec.on_error = ON_ERROR_NULL;
    assert_decodes(&t, "{\"t\":7}\n", "! t[0]@0: field t: expected string, got number\n");
    test_end(&t);
}

static void test_positions_and_batches(void **state) {
    (void)state;
    Test t = events();
    t.chunk.partition = 3;
    t.chunk.begin = 1000;
    t.spec.batch_rows = 2;
    test_decode(&t, "{\"i\":1}\n\n{\"i\":2}\n{\"i\":3}\n{\"i\":4}\nx\n{\"i\":5}");
    assert_int_equal(t.out.batch_count, 3);
    static const int64_t positions[] = {1000, 1009, 1017, 1025, 1035};
    int n = 0;
    for (int b = 0; b < 3; b++)
        for (int row = 0; row < t.out.batches[b]->rows; row++, n++) {
            assert_int_equal(t.out.batches[b]->positions[row], positions[n]);
            assert_int_equal(t.out.batches[b]->columns[0].ints[row], n + 1);
            assert_int_equal(t.out.batches[b]->records[row].size, 7);
            assert_int_equal(t.out.batches[b]->partition, 3);
        }
    assert_int_equal(n, 5);
    assert_string_equal(t.out.rejects[0].reason, "t[3]@1033: not JSON: x");
    assert_int_equal(t.out.rejects[0].row_before, 4);
    test_end(&t);
    t.spec.batch_rows = 3;
    t.spec.random_rows = 42;
    Buffer text = {0};
    for (int i = 0; i < 1000; i++) buffer_add_format(&text, "{\"i\":%d}\n", i);
    test_decode_str(&t, buffer_str(&text));
    assert_int_equal(test_rows(&t), 1000);
    int sizes[4] = {0};
    for (int b = 0; b < t.out.batch_count; b++) sizes[t.out.batches[b]->rows]++;
    assert_true(sizes[1] > 50 && sizes[2] > 50 && sizes[3] > 50);
    buffer_free(&text);
    test_end(&t);
}

static void test_windows(void **state) {
    (void)state;
    Test t = events();
    Buffer text = {0}; /* longer than several windows, some of them with a broken record */
    int bad = 0;
    for (int i = 0; i < 20000; i++) {
        if (i % 7001 == 7000) {
            buffer_add_text(&text, "{\"i\":1,\"s\":\"cut\n");
            bad++;
        } else {
            buffer_add_format(
                &text, "{\"i\":%d,\"pad\":\"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\",\"s\":\"y\"}\n", i);
        }
    }
    test_decode_str(&t, buffer_str(&text));
    assert_int_equal(t.out.reject_count, bad);
    assert_int_equal(test_rows(&t), 20000 - bad);
    for (int b = 0, i = 0; b < t.out.batch_count; b++)
        for (int row = 0; row < t.out.batches[b]->rows; row++, i++) {
            if (i % 7001 == 7000) i++;
            assert_int_equal(t.out.batches[b]->columns[0].ints[row], i);
        }
    text.size = 0; /* one record far longer than a window */
    buffer_add_text(&text, "{\"i\":1,\"s\":\"");
    for (int i = 0; i < 10 << 20; i++) buffer_add_char(&text, 'z');
    buffer_add_text(&text, "\"}\n{\"i\":2}\n");
    test_decode_str(&t, buffer_str(&text));
    assert_int_equal(test_rows(&t), 2);
    assert_int_equal(t.out.batches[0]->columns[2].strs[0].size, 10 << 20);
    buffer_free(&text);
    test_end(&t);
}

static void add_headers(const Record *record, Buffer *out) {
    buffer_add_format(out, "{\"h\":%d}", *(int *)record->handle);
}

static void test_records_and_metadata(void **state) {
    (void)state;
    Test t = test_new(&json_format);
    test_column(&t, "i", TYPE_INT4);
    static const struct {
        const char *name;
        TypeKind type;
        DecodeKind kind;
    } metadata[] = {
        {"topic", TYPE_TEXT, DECODE_TOPIC},      {"partition", TYPE_INT4, DECODE_PARTITION},
        {"offset", TYPE_INT8, DECODE_OFFSET},    {"timestamp", TYPE_TIMESTAMPTZ, DECODE_TIMESTAMP},
        {"key", TYPE_TEXT, DECODE_KEY},          {"headers", TYPE_JSONB, DECODE_HEADERS},
        {"filename", TYPE_TEXT, DECODE_FILENAME}};
    for (size_t i = 0; i < sizeof metadata / sizeof *metadata; i++)
        test_column(&t, metadata[i].name, metadata[i].type)->kind = metadata[i].kind;
    int header = 7;
    Record records[] = {
        {.body = STR("{\"i\":1}"),
         .position = 40,
         .timestamp_us = 1000000,
         .key = STR("k"),
         .handle = &header},
        {.body = {NULL, 0}, .position = 41, .timestamp_us = NO_TIME},
        {.body = STR(""), .position = 42, .timestamp_us = NO_TIME},
        {.body = STR(" \n"), .position = 43, .timestamp_us = NO_TIME},
        {.body = STR("{\n\"i\":\n2}\n"),
         .position = 44,
         .timestamp_us = NO_TIME,
         .handle = &header},
        {.body = STR("{\"i\":1}"), .position = 45, .key = STR("\xFF"), .handle = &header},
        {.body = STR("{\"i\":1"), .position = 46, .whole_bytes = 70 << 20},
        {.body = STR("{\"i\":1"), .position = 47},
        {.body = STR("\xFF"), .position = 48},
    };
    t.chunk = (Chunk){.partition = 2,
                      .records = records,
                      .record_count = 9,
                      .topic = "telemetry",
                      .headers = add_headers};
    test_decode(&t, "");
    assert_string_equal(
        test_text(&t),
        "{\"i\":1,\"topic\":\"telemetry\",\"partition\":2,\"offset\":40,\"timestamp\":\"1970-01-"
        "01T00:00:01Z\","
        "\"key\":\"k\",\"headers\":{\"h\":7},\"filename\":null}\n"
        "{\"i\":2,\"topic\":\"telemetry\",\"partition\":2,\"offset\":44,\"timestamp\":null,"
        "\"key\":null,\"headers\":{\"h\":7},\"filename\":null}\n"
        "! t[2]@41: the record is null\n! t[2]@42: the record is empty\n! t[2]@43: the record is "
        "empty\n"
        "! t[2]@45: field key: not UTF-8\n! t[2]@46: longer than 64 MB\n"
        "! t[2]@47: not JSON: a bracket is not closed\n! t[2]@48: not UTF-8\n");
    test_end(&t);
}

static void test_changing_keys(void **state) {
    (void)state;
    Test t = events(); /* what stood where in the record before is only a guess */
    Buffer text = {0}, wanted = {0};
    unsigned seed = 1;
    for (int n = 0; n < 3000; n++) {
        const char *names[] = {"i", "d", "s", "x",
                               "a key that is longer than what a guess remembers of any key"};
        buffer_add_char(&text, '{');
        bool seen[5] = {0};
        for (int k = 0; k < 5; k++) {
            int pick = rand_r(&seed) % 5;
            seen[pick] = true;
            buffer_add_format(&text, "%s\"%s\":%s", k ? "," : "", names[pick],
                              pick == 2 ? "\"t\"" : "1");
        }
        buffer_add_text(&text, "}\n");
        buffer_add_format(&wanted, "{\"i\":%s,\"d\":%s,\"s\":%s}\n", seen[0] ? "1" : "null",
                          seen[1] ? "1" : "null", seen[2] ? "\"t\"" : "null");
    }
    buffer_add_char(&wanted, '\0');
    test_decode_str(&t, buffer_str(&text));
    assert_string_equal(test_text(&t), wanted.data);
    buffer_free(&text);
    buffer_free(&wanted);
    test_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_plain_rows),
        cmocka_unit_test(test_structure),
        cmocka_unit_test(test_depth),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_strings_and_times),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_any_text),
        cmocka_unit_test(test_on_error),
        cmocka_unit_test(test_event_time),
        cmocka_unit_test(test_positions_and_batches),
        cmocka_unit_test(test_windows),
        cmocka_unit_test(test_records_and_metadata),
        cmocka_unit_test(test_changing_keys),
    };
    return cmocka_run_group_tests_name("format/json", tests, NULL, NULL);
}
