/* One array, a record an element: in files with a byte each, in messages at one offset. */
#include "format/json_array.h"
#include "format/test_decode.h"

static void array_of(Test *t, const char *text, const char *result) {
    t->chunk.last = true;
    assert_decodes(t, text, result);
}

static void test_elements(void **state) {
    (void)state;
    Test t = test_new(&json_array_format);
    test_column(&t, "a", TYPE_INT4);
    array_of(&t, "", "");
    array_of(&t, " [ ] \n", "");
    array_of(&t, "\xEF\xBB\xBF[{\"a\":1} ,\n {\"a\":2}]\n", "{\"a\":1}\n{\"a\":2}\n");
    assert_int_equal(t.out.batches[0]->positions[0], 4);
    assert_int_equal(t.out.batches[0]->positions[1], 15);
    assert_null(t.out.batches[0]->elements);
    array_of(&t, "[{\"a\":1,\"b\":[{\"c\":\"],\\\"[\"},2]},{\"a\":2}]", "{\"a\":1}\n{\"a\":2}\n");
    array_of(&t, "[{\"a\":1}]{\"a\":2}",
             "{\"a\":1}\n! t[0]@9: expected one JSON array of objects, got object outside of it\n");
    array_of(&t, "{\"a\":1}\n{\"a\":2}",
             "! t[0]@0: expected one JSON array of objects, got object outside of it\n");
    array_of(&t, "[1,{\"a\":2},[]]",
             "{\"a\":2}\n! t[0]@1: expected one JSON object, got number\n"
             "! t[0]@11: expected one JSON object, got array\n");
    test_end(&t);
}

static void test_broken(void **state) {
    (void)state;
    Test t = test_new(&json_array_format);
    test_column(&t, "a", TYPE_INT4);
    array_of(&t, "[{\"a\":1} {\"a\":2},{\"a\":3}]",
             "{\"a\":3}\n! t[0]@1: not JSON: a comma is missing behind the object\n");
    array_of(&t, "[{\"a\":1},,]",
             "{\"a\":1}\n! t[0]@9: not JSON: an element of the array is missing before ','\n"
             "! t[0]@10: not JSON: an element of the array is missing before ']'\n");
    array_of(&t, "[{\"a\":1}", "{\"a\":1}\n! t[0]@7: not JSON: the array ends without ]\n");
    array_of(&t, "[{\"a\":1}, ", "{\"a\":1}\n! t[0]@8: not JSON: the array ends without ]\n");
    array_of(&t, "[{\"a\":1},{\"a\":", "{\"a\":1}\n! t[0]@9: not JSON: a bracket is not closed\n");
    array_of(&t, "[{\"a\":[1},{\"a\":2}]",
             "{\"a\":2}\n! t[0]@1: not JSON: brackets do not match\n");
    array_of(&t, "[{\"a\":\"\xff\"},{\"a\":2}]", "{\"a\":2}\n! t[0]@1: not UTF-8\n");
    test_end(&t);
}

/* A chunk that goes on inside, and one outside. */
static void test_places(void **state) {
    (void)state;
    Test t = test_new(&json_array_format);
    test_column(&t, "a", TYPE_INT4);
    t.chunk.begin = 100;
    t.chunk.place = ARRAY_INSIDE;
    assert_decodes(&t, "{\"a\":1},{\"a\":2},", "{\"a\":1}\n{\"a\":2}\n");
    array_of(&t, "{\"a\":1}]", "{\"a\":1}\n");
    array_of(&t, "]", "! t[0]@100: not JSON: an element of the array is missing before ']'\n");
    t.chunk.place = ARRAY_OUTSIDE;
    array_of(&t, " \n", "");
    array_of(&t, "x,{\"a\":1}",
             "! t[0]@100: expected one JSON array of objects, got nonsense outside of it\n");
    test_end(&t);

    Str text = STR("[{\"a\":1},\n{\"a\":2}]\n");
    assert_int_equal(array_split(text, ARRAY_START, false), text.size - 1);
    assert_int_equal(array_split((Str){text.data, 10}, ARRAY_START, false), 0);
    assert_int_equal(array_split((Str){text.data, 11}, ARRAY_START, false), 10);
    assert_int_equal(array_first(text, ARRAY_START, false), 10);
    ArrayMark mark = {0};
    assert_int_equal(array_place(&mark), ARRAY_START);
    array_mark(&mark, (Str){text.data, 10}, true);
    assert_int_equal(array_place(&mark), ARRAY_INSIDE);
    array_mark(&mark, (Str){text.data + 10, text.size - 10}, false);
    assert_int_equal(array_place(&mark), ARRAY_OUTSIDE);
}

static Record message(const char *text, int64_t position) {
    return (Record){.body = str_from(text), .position = position, .timestamp_us = NO_TIME};
}

static void test_messages(void **state) {
    (void)state;
    Test t = test_new(&json_array_format);
    test_column(&t, "a", TYPE_INT4);
    t.spec.batch_rows = 2;
    Record records[] = {message("[{\"a\":1},{\"a\":2},{\"a\":3}]", 7),
                        message("[]", 8),
                        message("[{\"a\":4},{\"a\":\"x\"}] ", 9),
                        message("{\"a\":5}", 10),
                        message(" ", 11),
                        message("[{\"a\":6}", 12)};
    Error error;
    assert_int_equal(t.format->decoder_new(&t.spec, &t.decoder, &error), OK);
    t.chunk = (Chunk){.records = records, .record_count = 6, .begin = 7, .end = 13};
    t.format->decode(t.decoder, &t.chunk, (Str){0}, &t.out);
    assert_string_equal(test_text(&t),
                        "{\"a\":1}\n{\"a\":2}\n{\"a\":3}\n{\"a\":4}\n{\"a\":6}\n"
                        "! t[0]@9: field a: expected whole number, got string\n"
                        "! t[0]@10: expected one JSON array of objects, got object outside of it\n"
                        "! t[0]@11: the record is empty\n"
                        "! t[0]@12: not JSON: the array ends without ]\n");
    static const int64_t positions[] = {7, 7, 7, 9, 12};
    static const int32_t elements[] = {0, 1, 2, 0, 0};
    for (int i = 0; i < 5; i++) {
        assert_int_equal(t.out.batches[i / 2]->positions[i % 2], positions[i]);
        assert_int_equal(t.out.batches[i / 2]->elements[i % 2], elements[i]);
    }
    test_end(&t);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_elements),
                                       cmocka_unit_test(test_broken), cmocka_unit_test(test_places),
                                       cmocka_unit_test(test_messages)};
    return cmocka_run_group_tests_name("format/json_array", tests, NULL, NULL);
}
