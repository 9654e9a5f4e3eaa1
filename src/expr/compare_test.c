/* Comparisons of every type, with NaN, NULL and values that are equal but look different, judged by
 * PostgreSQL 15. */
#include "expr/expr_test.h"

static const Example comparisons[] = {
    {"=", {{"smallint", "5"}, {"bigint", "5"}}, "true"},
    {"<", {{"integer", "-1"}, {"smallint", "0"}}, "true"},
    {"=", {{"double precision", "NaN"}, {"double precision", "NaN"}}, "true"},
    {">", {{"double precision", "NaN"}, {"double precision", "Infinity"}}, "true"},
    {"<", {{"double precision", "1"}, {"double precision", "NaN"}}, "true"},
    {"=", {{"double precision", "0"}, {"double precision", "-0"}}, "true"},
    {"=", {{"numeric", "1.0"}, {"numeric", "1.00"}}, "true"},
    {"<", {{"numeric", "Infinity"}, {"numeric", "NaN"}}, "true"},
    {"<", {{"text", "a"}, {"text", "B"}}, "false"},
    {"<", {{"text", "ab"}, {"text", "abc"}}, "true"},
    {"=", {{"text", "é"}, {"text", "e"}}, "false"},
    {"=", {{"text", "abc"}, {"text", "abc"}}, "true"},
    {">=", {{"boolean", "t"}, {"boolean", "f"}}, "true"},
    {"=", {{"jsonb", "{\"a\":1, \"b\":[1.0]}"}, {"jsonb", "{\"b\":[1],\"a\":1}"}}, "true"},
    {"<", {{"jsonb", "[]"}, {"jsonb", "{}"}}, "true"},
    {">", {{"jsonb", "\"b\""}, {"jsonb", "\"a\""}}, "true"},
    {"=", {{"interval", "1 month"}, {"interval", "30 days"}}, "true"},
    {"<", {{"interval", "1 month"}, {"interval", "31 days"}}, "true"},
    {"<", {{"date", "2020-01-01"}, {"date", "2020-01-02"}}, "true"},
    {">=",
     {{"timestamptz", "2020-01-01T00:00:00Z"}, {"timestamptz", "2020-01-01T01:00:00+01"}},
     "true"},
    {"<>",
     {{"uuid", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"},
      {"uuid", "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"}},
     "false"},
    {"<", {{"bytea", "\\x00"}, {"bytea", "\\x0001"}}, "true"},
    {"is distinct from", {{"integer", "1"}, {"integer", NULL}}, "true"},
    {"is distinct from", {{"integer", NULL}, {"integer", NULL}}, "false"},
    {"is not distinct from", {{"numeric", "1.0"}, {"numeric", "1.00"}}, "true"},
    {"is not distinct from", {{"text", "a"}, {"text", NULL}}, "false"},
    {"nullif", {{"integer", "1"}, {"integer", "1"}}, "NULL"},
    {"nullif", {{"integer", "1"}, {"integer", NULL}}, "1"},
    {"nullif", {{"numeric", "1.50"}, {"numeric", "1.5"}}, "NULL"},
    {"nullif", {{"text", "a"}, {"text", "b"}}, "a"},
    {"greatest", {{"integer", "1"}, {"integer", NULL}, {"integer", "3"}}, "3"},
    {"greatest", {{"double precision", "1"}, {"double precision", "NaN"}}, "NaN"},
    {"greatest", {{"numeric", "1.0"}, {"numeric", "1.00"}}, "1.0"},
    {"least", {{"text", "b"}, {"text", NULL}, {"text", "a"}}, "a"},
    {"least", {{"integer", NULL}, {"integer", NULL}}, "NULL"},
    {"least", {{"interval", "1 day"}, {"interval", "23 hours"}}, "23:00:00"},
    {"is true", {{"boolean", NULL}}, "false"},
    {"is not true", {{"boolean", NULL}}, "true"},
    {"is false", {{"boolean", "f"}}, "true"},
    {"is not false", {{"boolean", NULL}}, "true"},
    {"is unknown", {{"boolean", NULL}}, "true"},
    {"is not unknown", {{"boolean", "t"}}, "true"},
};

static void comparisons_answer_as_postgresql(void **state) {
    (void)state;
    check_examples(comparisons, sizeof comparisons / sizeof *comparisons);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(comparisons_answer_as_postgresql),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
