/* Values: what is read, how it is printed, and that keys are equal exactly where SQL says so. */
#include "data/value.h"
#include "data/numeric.h"
#include <math.h>
#include <setjmp.h>
#include <cmocka.h>

static Arena *arena;
static Buffer out;

static int open_all(void **state) {
    (void)state;
    arena = arena_new();
    return 0;
}

static int close_all(void **state) {
    (void)state;
    arena_free(&arena);
    buffer_free(&out);
    return 0;
}

static Value parsed(TypeKind kind, const char *text) {
    Value value;
    Error error = {0};
    if (value_parse(type_of(kind), str_from(text), &value, arena, &error) != OK)
        fail_msg("%s: %s", text, error.text);
    return value;
}

static const char *shown(void) {
    buffer_add_char(&out, '\0');
    return arena_text(arena, str_from(out.data));
}

static const char *text_of(TypeKind kind, const char *text) {
    out.size = 0;
    value_text(parsed(kind, text), &out);
    return shown();
}

static const char *json_of(TypeKind kind, const char *text) {
    out.size = 0;
    value_json(parsed(kind, text), &out);
    return shown();
}

static const char *error_of(Type type, const char *text) {
    Value value;
    Error error = {0};
    assert_int_equal(value_parse(type, str_from(text), &value, arena, &error), REJECT);
    return arena_text(arena, str_from(error.text));
}

static void text_goes_in_and_out_as_in_postgresql(void **state) {
    (void)state;
    static const struct {
        TypeKind kind;
        const char *in, *out;
    } cases[] = {
        {TYPE_BOOL, " TR ", "true"},
        {TYPE_BOOL, "of", "false"},
        {TYPE_INT4, " +42 ", "42"},
        {TYPE_INT8, "-9223372036854775808", "-9223372036854775808"},
        {TYPE_FLOAT8, "1e3", "1000"},
        {TYPE_FLOAT8, "0.1", "0.1"},
        {TYPE_FLOAT8, "-0", "-0"},
        {TYPE_FLOAT8, "100000000000000", "100000000000000"},
        {TYPE_FLOAT8, "1e15", "1e+15"},
        {TYPE_FLOAT8, "0.0001", "0.0001"},
        {TYPE_FLOAT8, "0.00001", "1e-05"},
        {TYPE_FLOAT8, "123456.789012", "123456.789012"},
        {TYPE_FLOAT8, "5e-324", "5e-324"},
        {TYPE_FLOAT8, "53737000769097616", "5.3737000769097616e+16"},
        {TYPE_FLOAT8, " inf ", "Infinity"},
        {TYPE_FLOAT4, "1e6", "1e+06"},
        {TYPE_FLOAT4, "0.1", "0.1"},
        {TYPE_FLOAT4, "16777216", "1.6777216e+07"},
        {TYPE_NUMERIC, "1.50", "1.50"},
        {TYPE_UUID, "{A0EEBC99-9C0B4EF8-BB6D6BB9-BD380A11}",
         "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
        {TYPE_BYTEA, "\\xDE ad", "\\xdead"},
        {TYPE_BYTEA, "a\\\\\\001", "\\x615c01"},
        {TYPE_JSONB, " {\"b\": 1e-06,\"a\":1.50}", "{\"a\": 1.50, \"b\": 0.000001}"},
        {TYPE_DATE, "2020-02-29", "2020-02-29"},
        {TYPE_TIMESTAMPTZ, "2020-02-29 01:02:03.5+02", "2020-02-28 23:02:03.5+00"},
        {TYPE_INTERVAL, "1 day 02:03", "1 day 02:03:00"},
        {TYPE_TEXT, " a ", " a "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(text_of(cases[i].kind, cases[i].in), cases[i].out);
}

static void bad_text_is_told_in_postgresqls_words(void **state) {
    (void)state;
    assert_string_equal(error_of(type_of(TYPE_INT4), "x"),
                        "invalid input syntax for type integer: \"x\"");
    assert_string_equal(error_of(type_of(TYPE_INT2), "40000"),
                        "value \"40000\" is out of range for type smallint");
    assert_string_equal(error_of(type_of(TYPE_INT8), "9223372036854775808"),
                        "value \"9223372036854775808\" is out of range for type bigint");
    assert_string_equal(error_of(type_of(TYPE_FLOAT8), "1e400"),
                        "\"1e400\" is out of range for type double precision");
    assert_string_equal(error_of(type_of(TYPE_FLOAT4), "1e40"),
                        "\"1e40\" is out of range for type real");
    assert_string_equal(error_of(type_of(TYPE_FLOAT8), ""),
                        "invalid input syntax for type double precision: \"\"");
    assert_string_equal(error_of(type_of(TYPE_BOOL), "o"),
                        "invalid input syntax for type boolean: \"o\"");
    assert_string_equal(error_of(type_of(TYPE_UUID), "1"),
                        "invalid input syntax for type uuid: \"1\"");
    assert_string_equal(error_of(type_of(TYPE_JSONB), "{"), "invalid input syntax for type json");
    assert_string_equal(error_of((Type){TYPE_VARCHAR, 2}, "abc"),
                        "value too long for type character varying(2)");
    assert_string_equal(error_of(type_of(TYPE_TIMESTAMPTZ), "2020-13-01"),
                        "date/time field value out of range: \"2020-13-01\"");
    assert_string_equal(error_of(type_of(TYPE_INTERVAL), "1 x"),
                        "invalid input syntax for type interval: \"1 x\"");
    Value value;
    assert_int_equal(
        value_parse((Type){TYPE_VARCHAR, 2}, STR("\xC3\xA4\xC3\xB6  "), &value, arena, NULL), OK);
    assert_int_equal(value.str.size, 4);
    assert_int_equal(
        value_parse((Type){TYPE_NUMERIC, 5 << 16 | 2}, STR("1.005"), &value, arena, NULL), OK);
    out.size = 0;
    value_text(value, &out);
    assert_true(str_equal(buffer_str(&out), STR("1.01")));
}

static void json_is_what_row_to_json_writes(void **state) {
    (void)state;
    static const struct {
        TypeKind kind;
        const char *in, *out;
    } cases[] = {
        {TYPE_BOOL, "t", "true"},
        {TYPE_INT8, "-7", "-7"},
        {TYPE_FLOAT8, "1e20", "1e+20"},
        {TYPE_FLOAT8, "NaN", "\"NaN\""},
        {TYPE_NUMERIC, "1.500", "1.500"},
        {TYPE_NUMERIC, "-inf", "\"-Infinity\""},
        {TYPE_TIMESTAMPTZ, "2020-01-02 03:04:05.600", "\"2020-01-02T03:04:05.6Z\""},
        {TYPE_TIMESTAMP, "2020-01-02 03:04:05", "\"2020-01-02T03:04:05\""},
        {TYPE_INTERVAL, "1 day", "\"1 day\""},
        {TYPE_BYTEA, "\\x01", "\"\\\\x01\""},
        {TYPE_JSONB, " {\"a\" : 1e1} ", "{\"a\" : 1e1}"},
        {TYPE_TEXT, "a\"b\\c\n\x01\x7f\xC3\xA4", "\"a\\\"b\\\\c\\n\\u0001\x7f\xC3\xA4\""},
        {TYPE_TEXT, "plain text of more than eight bytes",
         "\"plain text of more than eight bytes\""},
        {TYPE_TEXT, "1234567\"", "\"1234567\\\"\""},
        {TYPE_TEXT, "x\xC3(\xED\xA0\x80\xFF",
         "\"x\xEF\xBF\xBD(\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\xEF\xBF\xBD\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(json_of(cases[i].kind, cases[i].in), cases[i].out);
    out.size = 0;
    value_json((Value){.type = type_of(TYPE_TEXT), .null = true}, &out);
    assert_true(str_equal(buffer_str(&out), STR("null")));
}

static Str key_of(TypeKind kind, const char *text, bool null) {
    Value value = null ? (Value){.type = type_of(kind), .null = true} : parsed(kind, text);
    Column column = column_new(type_of(kind), 1, false, arena);
    column_set(&column, 0, value, arena);
    out.size = 0;
    key_encode(&column, 0, &out);
    return arena_str(arena, buffer_str(&out));
}

static void keys_are_equal_where_values_are(void **state) {
    (void)state;
    static const struct {
        TypeKind kind;
        const char *a, *b;
        bool equal;
    } cases[] = {
        {TYPE_INT8, "1", "1", true},
        {TYPE_INT8, "1", "2", false},
        {TYPE_FLOAT8, "0", "-0", true},
        {TYPE_FLOAT8, "NaN", "nan", true},
        {TYPE_NUMERIC, "1.0", "1.00", true},
        {TYPE_NUMERIC, "0.00", "0", true},
        {TYPE_NUMERIC, "1000", "1e3", true},
        {TYPE_NUMERIC, "1", "1.1", false},
        {TYPE_NUMERIC, "123456789012345678901234567890123456789012.500",
         "123456789012345678901234567890123456789012.5", true},
        {TYPE_NUMERIC, "100000000000000000000000000000000000000000.00", "1e41", true},
        {TYPE_NUMERIC, "NaN", "NaN", true},
        {TYPE_INTERVAL, "1 mon", "30 days", true},
        {TYPE_INTERVAL, "1 day", "24:00", true},
        {TYPE_INTERVAL, "1 day", "23:00", false},
        {TYPE_JSONB, "{\"a\":1,\"b\":[2.0]}", "{\"b\": [2], \"a\":1.00}", true},
        {TYPE_JSONB, "\"1\"", "1", false},
        {TYPE_TEXT, "", "a", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Str a = key_of(cases[i].kind, cases[i].a, false),
            b = key_of(cases[i].kind, cases[i].b, false);
        assert_int_equal(str_equal(a, b), cases[i].equal);
        assert_false(str_equal(a, key_of(cases[i].kind, NULL, true)));
        int order =
            value_compare(parsed(cases[i].kind, cases[i].a), parsed(cases[i].kind, cases[i].b));
        assert_int_equal(order == 0, cases[i].equal);
        Reader reader = reader_of(a);
        Value back = key_decode(type_of(cases[i].kind), &reader, arena);
        assert_false(back.null || reader.bad);
        assert_true(reader.at == reader.end);
        assert_int_equal(value_compare(back, parsed(cases[i].kind, cases[i].a)), 0);
    }
}

static void records_give_values_back_exactly(void **state) {
    (void)state;
    static const struct {
        TypeKind kind;
        const char *text;
    } cases[] = {
        {TYPE_BOOL, "true"},
        {TYPE_INT8, "-5"},
        {TYPE_FLOAT8, "-0"},
        {TYPE_NUMERIC, "1.500"},
        {TYPE_TEXT, "x"},
        {TYPE_UUID, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
        {TYPE_INTERVAL, "1 mon -2 days +00:00:01"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        out.size = 0;
        value_encode(parsed(cases[i].kind, cases[i].text), &out);
        Str bytes = arena_str(arena, buffer_str(&out));
        Reader reader = reader_of(bytes);
        Value back = value_decode(type_of(cases[i].kind), &reader, arena);
        out.size = 0;
        value_text(back, &out);
        assert_string_equal(shown(), cases[i].text);
        for (size_t cut = 1; cut < bytes.size; cut++) { /* a torn record gives NULL and says so */
            Reader torn = reader_of((Str){bytes.data, cut});
            assert_true(value_decode(type_of(cases[i].kind), &torn, arena).null);
            assert_true(torn.bad);
        }
    }
}

static void arrays_keep_nulls(void **state) {
    (void)state;
    out.size = 0;
    text_array_begin(&out, 3);
    text_array_add(&out, false, STR("a b"));
    text_array_add(&out, true, (Str){NULL, 0});
    text_array_add(&out, false, STR("c"));
    Str array = arena_str(arena, buffer_str(&out)), item;
    assert_int_equal(text_array_count(array), 3);
    assert_true(text_array_get(array, 2, &item) && str_equal(item, STR("c")));
    assert_false(text_array_get(array, 1, &item));
    assert_false(text_array_get(array, 3, &item));
    Value value = {.type = type_of(TYPE_TEXT_ARRAY), .str = array};
    out.size = 0;
    value_json(value, &out);
    assert_string_equal(shown(), "[\"a b\",null,\"c\"]");
    out.size = 0;
    value_text(value, &out);
    assert_string_equal(shown(), "{\"a b\",NULL,c}");
}

static void names_of_types_are_known(void **state) {
    (void)state;
    assert_int_equal(type_from_name(STR("timestamp with time zone")), TYPE_TIMESTAMPTZ);
    assert_int_equal(type_from_name(STR("decimal")), TYPE_NUMERIC);
    assert_int_equal(type_from_name(STR("money")), TYPE_UNKNOWN);
    assert_string_equal(type_name((Type){TYPE_NUMERIC, 10 << 16 | 2}, arena), "numeric(10,2)");
    assert_string_equal(type_name((Type){TYPE_NUMERIC, 10 << 16 | (uint16_t)-2}, arena),
                        "numeric(10,-2)");
    assert_string_equal(type_name((Type){TYPE_VARCHAR, 5}, arena), "character varying(5)");
    assert_string_equal(type_name(type_of(TYPE_FLOAT8), arena), "double precision");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_goes_in_and_out_as_in_postgresql),
        cmocka_unit_test(bad_text_is_told_in_postgresqls_words),
        cmocka_unit_test(json_is_what_row_to_json_writes),
        cmocka_unit_test(keys_are_equal_where_values_are),
        cmocka_unit_test(records_give_values_back_exactly),
        cmocka_unit_test(arrays_keep_nulls),
        cmocka_unit_test(names_of_types_are_known),
    };
    return cmocka_run_group_tests(tests, open_all, close_all);
}
