/* RFC 4180, columns by header and by position, NULLs, and what breaks the rules. */
#include "format/test_decode.h"

static Test table(const char *header) {
    Test t = test_new(&csv_format);
    test_column(&t, "i", TYPE_INT4);
    test_column(&t, "s", TYPE_TEXT);
    t.header = str_from(header);
    return t;
}

static void test_by_header(void **state) {
    (void)state;
    Test t = table("s,ignored,i\n");
    assert_decodes(&t, "a,x,1\r\n\"b,\"\"c\"\"\nd\",y,2\n\n,,\n\"\",,3",
                   "{\"i\":1,\"s\":\"a\"}\n{\"i\":2,\"s\":\"b,\\\"c\\\"\\nd\"}\n"
                   "{\"i\":null,\"s\":null}\n{\"i\":3,\"s\":\"\"}\n");
    assert_int_equal(t.out.batches[0]->positions[1], 7);
    assert_true(str_equal(t.out.batches[0]->records[0], STR("a,x,1")));
    t.header = STR("\"i\",\"s\""); /* another file of the same table */
    assert_decodes(&t, "5,x\n", "{\"i\":5,\"s\":\"x\"}\n");
    t.header = STR("i,S");
    assert_decodes(&t, "5,x\n", "! t[0]@0: the header has no column \"s\"\n");
    test_end(&t);
}

static void test_by_position(void **state) {
    (void)state;
    char *names[] = {"s", "other", "i"};
    Test t = table("");
    t.spec.csv_columns = names;
    t.spec.csv_column_count = 3;
    t.spec.csv_delimiter = ';';
    assert_decodes(&t, "\xEF\xBB\xBFx;1,5;7\n\"a;b\";;\"8\"\n",
                   "{\"i\":7,\"s\":\"x\"}\n{\"i\":8,\"s\":\"a;b\"}\n");
    Record records[] = {{.body = STR("x;y;1"), .position = 5},
                        {.body = STR("x;y;2\r\n"), .position = 6},
                        {.body = STR("x;y;1\nx;y;2"), .position = 7},
                        {.body = {NULL, 0}, .position = 8},
                        {.body = STR(""), .position = 9}};
    t.chunk = (Chunk){.records = records, .record_count = 5};
    test_decode(&t, "");
    assert_string_equal(
        test_text(&t),
        "{\"i\":1,\"s\":\"x\"}\n{\"i\":2,\"s\":\"x\"}\n! t[0]@7: not CSV: more than one record\n"
        "! t[0]@8: the record is null\n! t[0]@9: the record is empty\n");
    test_end(&t);
}

static void test_bad(void **state) {
    (void)state;
    Test t = table("i,s\n");
    assert_decodes(
        &t, "1,a\n2,b\"c\n3,\"d\"e\n4,f,g\n5\nx,y\n\"\",z\n6,\xFF\n7,ok\n9,\"open\n",
        "{\"i\":1,\"s\":\"a\"}\n{\"i\":7,\"s\":\"ok\"}\n"
        "! t[0]@4: not CSV: a quote inside of a field that is not quoted\n"
        "! t[0]@10: not CSV: a quoted field is followed by something\n"
        "! t[0]@17: expected 2 fields, got 3\n! t[0]@23: expected 2 fields, got 1\n"
        "! t[0]@25: field i: invalid input syntax for type integer: \"x\"\n"
        "! t[0]@29: field i: invalid input syntax for type integer: \"\"\n! t[0]@34: not UTF-8\n"
        "! t[0]@43: not CSV: a quoted field is not closed\n");
    test_end(&t);
    t.columns[1].not_null = true;
    assert_decodes(&t, "1,\n", "! t[0]@0: field s: missing or null, and it is NOT NULL\n");
    test_end(&t);
    t.spec.on_error = ON_ERROR_NULL;
    assert_decodes(&t, "x,1\n", "{\"i\":null,\"s\":\"1\"}\n");
    test_end(&t);
}

static void test_types(void **state) {
    (void)state;
    static const char *path[] = {"b"};
    Test t = test_new(&csv_format);
    test_column(&t, "d", TYPE_FLOAT8);
    test_column(&t, "n", TYPE_NUMERIC);
    test_column(&t, "t", TYPE_TIMESTAMPTZ);
    test_column(&t, "x", TYPE_BOOL);
    test_path(&t, "j", TYPE_TEXT, path, 1);
    t.header = STR("d,n,t,x,j");
    assert_decodes(&t,
                   "-1e2,1.50,2026-01-01 00:00:01+00,t,\"{\"\"b\"\": 7}\"\n.5, 2 "
                   ",2026-01-01T00:00:00Z,no,\n,,,,{\n",
                   "{\"d\":-100,\"n\":1.50,\"t\":\"2026-01-01T00:00:01Z\",\"x\":true,\"j\":\"7\"}\n"
                   "{\"d\":0.5,\"n\":2,\"t\":\"2026-01-01T00:00:00Z\",\"x\":false,\"j\":null}\n"
                   "! t[0]@80: field j.b: not JSON: {\n");
    test_end(&t);
}

static void test_split(void **state) {
    (void)state;
    assert_int_equal(csv_format.split(STR("a,b\nc,d"), ',', false), 4);
    assert_int_equal(csv_format.split(STR("a,b\nc,d"), ',', true), 7);
    assert_int_equal(csv_format.split(STR("a,\"b\nc\",d\ne"), ',', false), 10);
    assert_int_equal(csv_format.split(STR("a,\"b\nc"), ',', false), 0);
    assert_int_equal(csv_format.split(STR("a,\"b\"\"\nc\"\n\"x\"\n"), ',', false), 14);
    assert_int_equal(csv_format.split(STR("a,b\"c\nd\n"), ',', false), 8); /* no quote that opens */
    assert_int_equal(csv_format.split(STR("a;\"b\nc\"\n"), ';', false), 8);
    assert_int_equal(csv_format.first(STR("a;\"b\nc\"\nd\n"), ';', false), 8);
    assert_int_equal(csv_format.first(STR("a"), ';', false), 0);
    assert_int_equal(csv_format.first(STR("a"), ';', true), 1);
    assert_int_equal(json_format.split(STR("{}\n{}"), ',', false), 3);
    assert_int_equal(json_format.first(STR("{}\n{}"), ',', false), 3);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_by_header), cmocka_unit_test(test_by_position),
        cmocka_unit_test(test_bad), cmocka_unit_test(test_types), cmocka_unit_test(test_split)};
    return cmocka_run_group_tests_name("format/csv", tests, NULL, NULL);
}
