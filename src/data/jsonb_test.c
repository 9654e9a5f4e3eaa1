/* jsonb: the walkers, the normal form, the order. */
#include "data/jsonb.h"
#include <setjmp.h>
#include <cmocka.h>
#include <stdlib.h>

static Buffer out;

static int free_buffer(void **state) {
    (void)state;
    buffer_free(&out);
    return 0;
}

static const char *normal(const char *json) {
    out.size = 0;
    if (!jsonb_normalize(str_from(json), &out)) return NULL;
    buffer_add_char(&out, '\0');
    return out.data;
}

static void the_normal_form_is_postgresqls(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {" {\"bb\":1,\"a\":2, \"c\":{}} ", "{\"a\": 2, \"c\": {}, \"bb\": 1}"},
        {"{\"a\":1,\"a\":2}", "{\"a\": 1}"}, /* here the first counts */
        {"{\"\\u0061\":1,\"a\":2}", "{\"a\": 1}"},
        {"[1e-06,1.50,1E3,-0,-0.0,0.10]", "[0.000001, 1.50, 1000, 0, 0.0, 0.10]"},
        {"\"a\\/\\u00e4\\ud83d\\ude00\\u0001\"", "\"a/\xC3\xA4\xF0\x9F\x98\x80\\u0001\""},
        {"[ true , false,null ]", "[true, false, null]"},
        {"12345678901234567890123456789012345678901234567890",
         "12345678901234567890123456789012345678901234567890"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(normal(cases[i][0]), cases[i][1]);
}

static void what_is_not_json_is_refused(void **state) {
    (void)state;
    static const char *const bad[] = {
        "",
        " ",
        "{",
        "}",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "01",
        "1.",
        ".5",
        "+1",
        "1e",
        "-",
        "tru",
        "nul",
        "\"",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\u0000\"",
        "\"\\ud800\"",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
        "\"\x01\"",
        "\"\xff\"",
        "1 2",
        "[1]x",
        "1e999999999",
        "NaN",
        "{\"a\":1,}",
        "[,1]",
        "'a'",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_false(jsonb_valid(str_from(bad[i])));
        assert_null(normal(bad[i]));
        assert_int_equal(out.size, 0);
    }
    char deep[2 * JSONB_DEPTH + 4];
    memset(deep, '[', sizeof deep / 2);
    memset(deep + sizeof deep / 2, ']', sizeof deep / 2);
    assert_false(jsonb_valid((Str){deep, sizeof deep}));
    assert_true(jsonb_valid((Str){deep + 2, sizeof deep - 4}));
    Str *step = NULL, found;
    assert_true(jsonb_get_path((Str){deep, sizeof deep}, step, 0, &found));
}

static void walkers_find_what_is_there(void **state) {
    (void)state;
    Str json = STR(" {\"a\" : [10, {\"b\\n\":\"x\"}, [] ], \"c\":tru, \"d\":null, \"a\":2}"), value,
        key;
    assert_true(jsonb_get_key(json, STR("a"), &value));
    assert_true(str_equal(value, STR("[10, {\"b\\n\":\"x\"}, [] ]")));
    assert_int_equal(jsonb_array_length(value), 3);
    assert_true(jsonb_get_index(value, -3, &key) && str_equal(key, STR("10")));
    assert_false(jsonb_get_index(value, 3, &key));
    assert_false(jsonb_get_index(value, -4, &key));
    const Str path[] = {STR("a"), STR("1"), STR("b\n")};
    assert_true(jsonb_get_path(json, path, 3, &value) && str_equal(value, STR("\"x\"")));
    assert_true(jsonb_get_key(json, STR("d"), &value));
    assert_string_equal(jsonb_typeof(value), "null");
    assert_false(jsonb_get_key(json, STR("x"), &value));
    assert_false(jsonb_get_key(STR("{\"a\":1"), STR("b"), &value));
    assert_false(jsonb_get_key(STR("[1]"), STR("a"), &value));
    assert_int_equal(jsonb_array_length(STR("{}")), -1);
    assert_int_equal(jsonb_array_length(STR("[]")), 0);
    JsonbIterator it;
    int members = 0;
    assert_true(jsonb_iterate(&it, json));
    while (jsonb_next(&it, &key, &value)) members++;
    assert_int_equal(members, 4);
    assert_false(it.bad);
    assert_true(jsonb_iterate(&it, STR("[1,2")));
    while (jsonb_next(&it, NULL, &value)) members++;
    assert_true(it.bad);
    assert_false(jsonb_next(&it, NULL, &value));
}

static void text_comes_out_unescaped(void **state) {
    (void)state;
    Error error;
    out.size = 0;
    assert_int_equal(jsonb_as_text(STR("\"a\\nb\""), &out, &error), OK);
    assert_true(str_equal(buffer_str(&out), STR("a\nb")));
    out.size = 0;
    assert_int_equal(jsonb_as_text(STR("1e-2"), &out, &error), OK);
    assert_true(str_equal(buffer_str(&out), STR("0.01")));
    out.size = 0;
    assert_int_equal(jsonb_as_text(STR(" null"), &out, &error), END);
    assert_int_equal(jsonb_as_text(STR("\"\\ud800\""), &out, &error), REJECT);
    assert_int_equal(jsonb_as_text(STR("tru"), &out, &error), REJECT);
    assert_int_equal(out.size, 0);
}

static void the_order_is_postgresqls(void **state) {
    (void)state;
    static const char *const ascending[] = {
        "[]",        "null",      "\"\"",       "\"a\"",     "\"b\"",
        "-1",        "1.5",       "2",          "false",     "true",
        "[null]",    "[1]",       "[1,0]",      "[1,2]",     "{}",
        "{\"a\":1}", "{\"a\":2}", "{\"aa\":0}", "{\"b\":0}", "{\"a\":1,\"b\":0}",
    };
    int count = (int)(sizeof ascending / sizeof *ascending);
    for (int i = 0; i < count; i++)
        for (int j = 0; j < count; j++)
            assert_int_equal(jsonb_compare(str_from(ascending[i]), str_from(ascending[j])),
                             (i > j) - (i < j));
    assert_int_equal(jsonb_compare(STR("{\"a\":1.0,\"b\":2}"), STR(" {\"b\":2,\"a\":1}")), 0);
    assert_true(jsonb_compare(STR("x"), STR("[]")) < 0);
}

static void containment_is_postgresqls(void **state) {
    (void)state;
    assert_true(
        jsonb_contains(STR("{\"a\":[1,2,{\"b\":3}],\"c\":1}"), STR("{\"a\":[{\"b\":3.0},2]}")));
    assert_false(jsonb_contains(STR("{\"a\":1}"), STR("{\"a\":2}")));
    assert_true(jsonb_contains(STR("[\"x\",1]"), STR("\"x\"")));
    assert_false(jsonb_contains(STR("\"x\""), STR("[\"x\"]")));
    assert_true(jsonb_contains(STR("[1,2]"), STR("[1,1]")));
    assert_false(jsonb_contains(STR("[1]"), STR("{}")));
    assert_true(jsonb_exists(STR("{\"a\":1}"), STR("a")));
    assert_true(jsonb_exists(STR("[\"a\"]"), STR("a")));
    assert_true(jsonb_exists(STR("\"a\""), STR("a")));
    assert_false(jsonb_exists(STR("[1]"), STR("1")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_normal_form_is_postgresqls),
        cmocka_unit_test(what_is_not_json_is_refused),
        cmocka_unit_test(walkers_find_what_is_there),
        cmocka_unit_test(text_comes_out_unescaped),
        cmocka_unit_test(the_order_is_postgresqls),
        cmocka_unit_test(containment_is_postgresqls),
    };
    return cmocka_run_group_tests(tests, NULL, free_buffer);
}
