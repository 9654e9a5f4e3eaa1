/* Casts, judged by PostgreSQL 15, and their contexts: which may be used implicitly, which only at
 * an INSERT, which by the user. */
#include "expr/expr_test.h"

typedef struct CastExample {
    Argument from;
    const char *to;
    int32_t modifier;
    const char *expected;
} CastExample;

static const CastExample casts[] = {
    {{"text", " 42 "}, "integer", -1, "42"},
    {{"text", "2147483648"},
     "integer",
     -1,
     "error: value \"2147483648\" is out of range for type integer"},
    {{"text", "12x"}, "integer", -1, "error: invalid input syntax for type integer: \"12x\""},
    {{"text", "1.5"}, "smallint", -1, "error: invalid input syntax for type smallint: \"1.5\""},
    {{"text", "NaN"}, "double precision", -1, "NaN"},
    {{"text", "1e400"},
     "double precision",
     -1,
     "error: \"1e400\" is out of range for type double precision"},
    {{"text", "0.1"}, "real", -1, "0.1"},
    {{"text", "yes"}, "boolean", -1, "true"},
    {{"text", "maybe"}, "boolean", -1, "error: invalid input syntax for type boolean: \"maybe\""},
    {{"text", "12.345"}, "numeric", 4 << 16 | 2, "12.35"},
    {{"text", "100"}, "numeric", 4 << 16 | 2, "error: numeric field overflow"},
    {{"text", "{\"b\":1,\"a\":[1, 2]}"}, "jsonb", -1, "{\"a\": [1, 2], \"b\": 1}"},
    {{"text", "{"}, "jsonb", -1, "error: invalid input syntax for type json"},
    {{"text", "2020-01-01T10:11:12.1234567Z"}, "timestamptz", -1, "2020-01-01 10:11:12.123457+00"},
    {{"text", "2020-02-30"},
     "date",
     -1,
     "error: date/time field value out of range: \"2020-02-30\""},
    {{"text", "1 day 02:00"}, "interval", -1, "1 day 02:00:00"},
    {{"text", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"},
     "uuid",
     -1,
     "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
    {{"text", "\\xDEADbeef"}, "bytea", -1, "\\xdeadbeef"},
    {{"text", "héllo"}, "varchar", 2, "hé"},
    {{"integer", "123456"}, "varchar", 3, "123"},
    {{"boolean", "t"}, "varchar", 2, "tr"},
    {{"boolean", "t"}, "text", -1, "true"},
    {{"boolean", "t"}, "integer", -1, "1"},
    {{"integer", "-1"}, "boolean", -1, "true"},
    {{"bigint", "2147483648"}, "integer", -1, "error: integer out of range"},
    {{"integer", "40000"}, "smallint", -1, "error: smallint out of range"},
    {{"bigint", "9007199254740993"}, "double precision", -1, "9.007199254740992e+15"},
    {{"bigint", "16777217"}, "real", -1, "1.6777216e+07"},
    {{"integer", "12"}, "numeric", 5 << 16 | 2, "12.00"},
    {{"integer", "1000"}, "numeric", 5 << 16 | 2, "error: numeric field overflow"},
    {{"double precision", "2.5"}, "integer", -1, "2"},
    {{"double precision", "3.5"}, "integer", -1, "4"},
    {{"double precision", "-0.5"}, "smallint", -1, "0"},
    {{"double precision", "2147483647.5"}, "integer", -1, "error: integer out of range"},
    {{"double precision", "9223372036854775807"}, "bigint", -1, "error: bigint out of range"},
    {{"double precision", "NaN"}, "bigint", -1, "error: bigint out of range"},
    {{"double precision", "1e39"}, "real", -1, "error: value out of range: overflow"},
    {{"double precision", "1e-46"}, "real", -1, "error: value out of range: underflow"},
    {{"double precision", "0.1"}, "numeric", -1, "0.1"},
    {{"double precision", "1234.5678"}, "numeric", 6 << 16 | 1, "1234.6"},
    {{"real", "0.1"}, "numeric", -1, "0.1"},
    {{"real", "0.1"}, "double precision", -1, "0.10000000149011612"},
    {{"numeric", "2.5"}, "integer", -1, "3"},
    {{"numeric", "-2.5"}, "integer", -1, "-3"},
    {{"numeric", "32767.5"}, "smallint", -1, "error: smallint out of range"},
    {{"numeric", "NaN"}, "integer", -1, "error: cannot convert NaN to integer"},
    {{"numeric", "Infinity"}, "bigint", -1, "error: cannot convert infinity to bigint"},
    {{"numeric", "1e400"},
     "double precision",
     -1,
     "error: "
     "\"1000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000000"
     "0000000000000000000000000000000\" is out of range for type double precision"},
    {{"numeric", "12.345"}, "numeric", 4 << 16 | 2, "12.35"},
    {{"numeric", "99.995"}, "numeric", 4 << 16 | 2, "error: numeric field overflow"},
    {{"numeric", "1.50"}, "text", -1, "1.50"},
    {{"double precision", "1e20"}, "text", -1, "1e+20"},
    {{"real", "0.1"}, "text", -1, "0.1"},
    {{"date", "2020-01-01"}, "timestamptz", -1, "2020-01-01 00:00:00+00"},
    {{"timestamp", "1969-12-31 23:59:59.5"}, "date", -1, "1969-12-31"},
    {{"timestamptz", "2020-01-01T01:00:00+02"}, "date", -1, "2019-12-31"},
    {{"timestamptz", "2020-01-01T01:00:00.5+02"}, "text", -1, "2019-12-31 23:00:00.5+00"},
    {{"interval", "1 year 2 mons 3 days 04:05:06.7"},
     "text",
     -1,
     "1 year 2 mons 3 days 04:05:06.7"},
    {{"jsonb", "1.5"}, "integer", -1, "2"},
    {{"jsonb", "1e-6"}, "numeric", -1, "0.000001"},
    {{"jsonb", "\"1\""}, "integer", -1, "error: cannot cast jsonb string to type integer"},
    {{"jsonb", "null"}, "bigint", -1, "error: cannot cast jsonb null to type bigint"},
    {{"jsonb", "[1]"},
     "double precision",
     -1,
     "error: cannot cast jsonb array to type double precision"},
    {{"jsonb", "true"}, "boolean", -1, "true"},
    {{"jsonb", "1"}, "boolean", -1, "error: cannot cast jsonb numeric to type boolean"},
    {{"jsonb", "{\"b\": 1, \"a\":2}"}, "text", -1, "{\"a\": 2, \"b\": 1}"},
    {{"bytea", "\\xdeadbeef"}, "text", -1, "\\xdeadbeef"},
    {{"text", NULL}, "integer", -1, "NULL"},
};

static void casts_answer_as_postgresql(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof casts / sizeof *casts; i++) {
        Arena *arena = arena_new();
        Value value = test_value(casts[i].from, arena);
        Type to = {test_type(casts[i].to).kind, casts[i].modifier};
        const Function *f = cast_between(value.type.kind, to.kind);
        assert_non_null(f);
        const char *text = test_call(f, to, &value, 1, arena);
        /* the detail behind PostgreSQL's words is ours */
        if (strncmp(text, casts[i].expected, strlen(casts[i].expected)) != 0) {
            print_error("%s as %s\n", casts[i].from.value, casts[i].to);
            assert_string_equal(text, casts[i].expected);
        }
        arena_free(&arena);
    }
}

static const char *context(TypeKind from, TypeKind to) {
    const Function *f = cast_between(from, to);
    if (!f) return "none";
    if (f->flags & FUNCTION_IMPLICIT) return "implicit";
    return f->flags & FUNCTION_ASSIGNMENT ? "assignment" : "explicit";
}

static void contexts_are_those_of_pg_cast(void **state) {
    (void)state;
    assert_string_equal(context(TYPE_INT4, TYPE_INT8), "implicit");
    assert_string_equal(context(TYPE_INT4, TYPE_NUMERIC), "implicit");
    assert_string_equal(context(TYPE_NUMERIC, TYPE_FLOAT8), "implicit");
    assert_string_equal(context(TYPE_INT8, TYPE_INT4), "assignment");
    assert_string_equal(context(TYPE_FLOAT8, TYPE_NUMERIC), "assignment");
    assert_string_equal(context(TYPE_TIMESTAMP, TYPE_TIMESTAMPTZ), "implicit");
    assert_string_equal(context(TYPE_TIMESTAMPTZ, TYPE_TIMESTAMP), "assignment");
    assert_string_equal(context(TYPE_DATE, TYPE_TIMESTAMPTZ), "implicit");
    assert_string_equal(context(TYPE_VARCHAR, TYPE_TEXT), "implicit");
    assert_string_equal(context(TYPE_INT4, TYPE_TEXT), "assignment");
    assert_string_equal(context(TYPE_TEXT, TYPE_INT4), "explicit");
    assert_string_equal(context(TYPE_JSONB, TYPE_INT4), "explicit");
    assert_string_equal(context(TYPE_BOOL, TYPE_INT4), "explicit");
    assert_string_equal(context(TYPE_BOOL, TYPE_INT8), "none");
    assert_string_equal(context(TYPE_DATE, TYPE_INT4), "none");
}

static void an_insert_refuses_what_a_cast_cuts(void **state) {
    (void)state;
    Arena *arena = arena_new();
    Type to = {TYPE_VARCHAR, 3};
    const struct {
        Argument from;
        const char *cast, *assigned;
    } examples[] = {
        {{"text", "abcdef"}, "abc", "error: value too long for type character varying(3)"},
        {{"text", "abc   "}, "abc", "abc"},
        {{"text", "h\xc3\xa9l"}, "h\xc3\xa9l", "h\xc3\xa9l"},
        {{"character varying", "abcdef"},
         "abc",
         "error: value too long for type character varying(3)"},
        {{"integer", "12345"}, "123", "error: value too long for type character varying(3)"},
        {{"boolean", "t"}, "tru", "error: value too long for type character varying(3)"},
    };
    for (size_t i = 0; i < sizeof examples / sizeof *examples; i++) {
        Value value = test_value(examples[i].from, arena);
        const Function *cast = cast_between(value.type.kind, TYPE_VARCHAR);
        const Function *assignment = cast_for_assignment(value.type.kind, TYPE_VARCHAR);
        assert_string_equal(test_call(cast, to, &value, 1, arena), examples[i].cast);
        assert_string_equal(test_call(assignment, to, &value, 1, arena), examples[i].assigned);
    }
    assert_ptr_equal(cast_for_assignment(TYPE_INT8, TYPE_INT4), cast_between(TYPE_INT8, TYPE_INT4));
    arena_free(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(casts_answer_as_postgresql),
        cmocka_unit_test(contexts_are_those_of_pg_cast),
        cmocka_unit_test(an_insert_refuses_what_a_cast_cuts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
