/* Numerics against PostgreSQL's answers, digits and scales alike. */
#include "data/numeric.h"
#include <setjmp.h>
#include <cmocka.h>

static Arena *arena;

static int open_arena(void **state) {
    (void)state;
    arena = arena_new();
    return 0;
}

static int close_arena(void **state) {
    (void)state;
    arena_free(&arena);
    return 0;
}

static Str n(const char *text) {
    Str out;
    Error error;
    if (numeric_parse(str_from(text), &out, arena, &error) != OK) fail_msg("%s", error.text);
    assert_true(numeric_valid(out));
    return out;
}

static const char *text(Str numeric) {
    assert_true(numeric_valid(numeric));
    Buffer out = {0};
    numeric_text(numeric, &out);
    const char *copy = arena_text(arena, buffer_str(&out));
    buffer_free(&out);
    return copy;
}

typedef Status Binary(Str, Str, Str *, Arena *, Error *);
typedef Status Unary(Str, Str *, Arena *, Error *);

static void operations_have_postgresqls_digits_and_scales(void **state) {
    (void)state;
    static const struct {
        Binary *operation;
        const char *a, *b,
            *result; /* an error's text where it does not begin with a digit, a sign, N or I */
    } cases[] = {
        {numeric_add, "1.5", "2.25", "3.75"},
        {numeric_add, "99999999999999999999999999999999999999", "1",
         "100000000000000000000000000000000000000"},
        {numeric_add, "170141183460469231731687303715884105727", "1",
         "170141183460469231731687303715884105728"},
        {numeric_add, "Infinity", "-Infinity", "NaN"},
        {numeric_subtract, "1.0", "1", "0.0"},
        {numeric_subtract, "1", "Infinity", "-Infinity"},
        {numeric_multiply, "1.10", "2.0", "2.200"},
        {numeric_multiply, "-99999999999999999999", "99999999999999999999",
         "-9999999999999999999800000000000000000001"},
        {numeric_multiply, "0", "Infinity", "NaN"},
        {numeric_divide, "1", "3", "0.33333333333333333333"},
        {numeric_divide, "10", "3", "3.3333333333333333"},
        {numeric_divide, "2", "3", "0.66666666666666666667"},
        {numeric_divide, "10000", "3", "3333.3333333333333333"},
        {numeric_divide, "1.000000000000000000000000", "4", "0.250000000000000000000000"},
        {numeric_divide, "-1", "8", "-0.12500000000000000000"},
        {numeric_divide, "123456789012345678901234567890", "7", "17636684144620811271604938270"},
        {numeric_divide, "1", "0", "division by zero"},
        {numeric_divide, "5", "Infinity", "0"},
        {numeric_modulo, "-7", "3", "-1"},
        {numeric_modulo, "7.5", "2", "1.5"},
        {numeric_modulo, "7", "0.0", "division by zero"},
        {numeric_power, "2", "10", "1024.0000000000000000"},
        {numeric_power, "2", "0.5", "1.4142135623730950"},
        {numeric_power, "0", "-1", "zero raised to a negative power is undefined"},
        {numeric_power, "-8", "0.5",
         "a negative number raised to a non-integer power yields a complex result"},
        {numeric_power, "10", "200000", "value overflows numeric format"},
        {numeric_power, "NaN", "0", "1"},
        {numeric_log, "10", "1000", "3.0000000000000000"},
        {numeric_log, "1", "10", "division by zero"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Str out;
        Error error = {0};
        Status status = cases[i].operation(n(cases[i].a), n(cases[i].b), &out, arena, &error);
        if (status == OK) assert_string_equal(text(out), cases[i].result);
        else assert_string_equal(error.text, cases[i].result);
    }
}

static void functions_have_postgresqls_digits_and_scales(void **state) {
    (void)state;
    static const struct {
        Unary *function;
        const char *a, *result;
    } cases[] = {
        {numeric_sqrt, "2", "1.414213562373095"},
        {numeric_sqrt, "0", "0.000000000000000"},
        {numeric_sqrt, "-1", "cannot take square root of a negative number"},
        {numeric_exp, "1", "2.7182818284590452"},
        {numeric_exp, "-1.5", "0.2231301601484298"},
        {numeric_exp, "100000", "value overflows numeric format"},
        {numeric_exp, "-Infinity", "0"},
        {numeric_ln, "2", "0.6931471805599453"},
        {numeric_ln, "1", "0.0000000000000000"},
        {numeric_ln, "0", "cannot take logarithm of zero"},
        {numeric_ln, "-1", "cannot take logarithm of a negative number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Str out;
        Error error = {0};
        Status status = cases[i].function(n(cases[i].a), &out, arena, &error);
        if (status == OK) assert_string_equal(text(out), cases[i].result);
        else assert_string_equal(error.text, cases[i].result);
    }
}

static void rounding_goes_away_from_zero(void **state) {
    (void)state;
    static const struct {
        const char *a;
        int digits;
        const char *rounded, *cut;
    } cases[] = {
        {"2.5", 0, "3", "2"},
        {"-2.5", 0, "-3", "-2"},
        {"1.005", 2, "1.01", "1.00"},
        {"15", -1, "20", "10"},
        {"1.5", 3, "1.500", "1.500"},
        {"0.4", -5, "0", "0"},
        {"99999999999999999999999999999999999999999.95", 1,
         "100000000000000000000000000000000000000000.0",
         "99999999999999999999999999999999999999999.9"},
        {"Infinity", 2, "Infinity", "Infinity"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Str out;
        assert_int_equal(numeric_round(n(cases[i].a), cases[i].digits, &out, arena, NULL), OK);
        assert_string_equal(text(out), cases[i].rounded);
        assert_int_equal(numeric_trunc(n(cases[i].a), cases[i].digits, &out, arena, NULL), OK);
        assert_string_equal(text(out), cases[i].cut);
    }
    assert_string_equal(text(numeric_floor(n("-1.5"), arena)), "-2");
    assert_string_equal(text(numeric_ceil(n("-1.5"), arena)), "-1");
    assert_string_equal(text(numeric_ceil(n("1.0001"), arena)), "2");
    assert_string_equal(text(numeric_negate(n("-170141183460469231731687303715884105728"), arena)),
                        "170141183460469231731687303715884105728");
    assert_string_equal(text(numeric_abs(n("-1.50"), arena)), "1.50");
}

static void modifiers_round_and_refuse(void **state) {
    (void)state;
    Str out;
    Error error = {0};
    assert_int_equal(numeric_apply_modifier(n("123.456"), 5 << 16 | 2, &out, arena, &error), OK);
    assert_string_equal(text(out), "123.46");
    assert_int_equal(numeric_apply_modifier(n("999.996"), 5 << 16 | 2, &out, arena, &error),
                     REJECT);
    assert_int_equal(strncmp(error.text, "numeric field overflow", 22), 0);
    assert_int_equal(numeric_apply_modifier(n("1234"), 3 << 16 | (uint16_t)-2, &out, arena, &error),
                     OK);
    assert_string_equal(text(out), "1200");
    assert_int_equal(numeric_apply_modifier(n("NaN"), 5 << 16 | 2, &out, arena, &error), OK);
    assert_int_equal(numeric_apply_modifier(n("Infinity"), 5 << 16 | 2, &out, arena, &error),
                     REJECT);
}

static void other_numbers_convert(void **state) {
    (void)state;
    Str out;
    int64_t integer;
    Error error = {0};
    assert_int_equal(numeric_from_double(0.1, &out, arena, NULL), OK);
    assert_string_equal(text(out), "0.1");
    assert_int_equal(numeric_from_double(1.0 / 3, &out, arena, NULL), OK);
    assert_string_equal(text(out), "0.333333333333333");
    assert_int_equal(numeric_from_double(123456789012345678.0, &out, arena, NULL), OK);
    assert_string_equal(text(out), "123456789012346000");
    assert_int_equal(numeric_from_float4((double)0.1f, &out, arena, NULL), OK);
    assert_string_equal(text(out), "0.1");
    assert_true(numeric_to_double(n("0.1")) == 0.1);
    assert_true(numeric_to_double(n("123456789012345678901234567890.5")) ==
                123456789012345678901234567890.5);
    assert_int_equal(numeric_to_int64(n("-2.5"), &integer, NULL), OK);
    assert_int_equal(integer, -3);
    assert_int_equal(numeric_to_int64(n("9223372036854775807.5"), &integer, &error), REJECT);
    assert_string_equal(error.text, "bigint out of range");
    assert_int_equal(numeric_to_int64(n("NaN"), &integer, &error), REJECT);
    assert_string_equal(error.text, "cannot convert NaN to bigint");
}

static void order_is_by_value(void **state) {
    (void)state;
    static const char *const ascending[] = {"-Infinity", "-1e50", "-2",       "-1.5",
                                            "0",         "0.001", "1",        "1.01",
                                            "1e38",      "1e50",  "Infinity", "NaN"};
    for (int i = 0; i < 12; i++)
        for (int j = 0; j < 12; j++) {
            int order = numeric_compare(n(ascending[i]), n(ascending[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    assert_int_equal(
        numeric_compare(n("1.0"), n("1.000000000000000000000000000000000000000000000")), 0);
    assert_true(str_equal(
        numeric_normalize(n("1.000000000000000000000000000000000000000000000"), arena), n("1")));
}

static void sums_stay_exact_beyond_128_bits(void **state) {
    (void)state;
    NumericSum sum = {0}, other = {0};
    Str huge = n("99999999999999999999999999999999999999.5"), out;
    for (int i = 0; i < 1000; i++) numeric_sum_add(&sum, huge);
    numeric_sum_add(&sum, n("0.125"));
    numeric_sum_add(&sum, n("-1"));
    assert_string_equal(text(numeric_sum_total(&sum, arena)),
                        "99999999999999999999999999999999999999499.125");
    Buffer bytes = {0};
    numeric_sum_encode(&sum, &bytes);
    Reader reader = reader_of(buffer_str(&bytes));
    numeric_sum_decode(&other, &reader);
    assert_false(reader.bad);
    assert_true(reader.at == reader.end);
    assert_string_equal(text(numeric_sum_total(&other, arena)),
                        "99999999999999999999999999999999999999499.125");
    numeric_sum_merge(&sum, &other);
    assert_string_equal(text(numeric_sum_total(&sum, arena)),
                        "199999999999999999999999999999999999998998.250");
    assert_int_equal(sum.count, 2004);
    buffer_free(&bytes);
    numeric_sum_free(&sum);
    numeric_sum_free(&other);
    numeric_sum_add(&sum, n("1"));
    numeric_sum_add(&sum, n("2"));
    assert_int_equal(numeric_sum_average(&sum, &out, arena, NULL), OK);
    assert_string_equal(text(out), "1.5000000000000000");
    numeric_sum_add(&sum, n("Infinity"));
    assert_string_equal(text(numeric_sum_total(&sum, arena)), "Infinity");
    numeric_sum_add(&sum, n("-Infinity"));
    assert_string_equal(text(numeric_sum_total(&sum, arena)), "NaN");
    numeric_sum_free(&sum);
}

static void odd_text_is_read_or_refused(void **state) {
    (void)state;
    assert_string_equal(text(n(" -.5e1 ")), "-5");
    assert_string_equal(text(n("1e3")), "1000");
    assert_string_equal(text(n("1.5e-3")), "0.0015");
    assert_string_equal(text(n("0e1000000")), "0");
    Str out;
    Error error = {0};
    static const char *const bad[] = {"", ".", "1e", "1.2.3", "- 1", "+NaN", "1x", "e5"};
    for (int i = 0; i < 8; i++) {
        assert_int_equal(numeric_parse(str_from(bad[i]), &out, arena, &error), REJECT);
        assert_int_equal(strncmp(error.text, "invalid input syntax for type numeric: ", 39), 0);
    }
    assert_int_equal(numeric_parse(STR("1e131072"), &out, arena, &error), REJECT);
    assert_string_equal(error.text, "value overflows numeric format");
    assert_int_equal(numeric_parse(STR("1e-99999999999999"), &out, arena, &error), REJECT);
    assert_false(numeric_valid(STR("\x00\x00")));
    assert_false(numeric_valid(STR("\x07\x00\x00")));
    assert_false(numeric_valid(STR("\x00\x00\x00"
                                   "1234567")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(operations_have_postgresqls_digits_and_scales),
        cmocka_unit_test(functions_have_postgresqls_digits_and_scales),
        cmocka_unit_test(rounding_goes_away_from_zero),
        cmocka_unit_test(modifiers_round_and_refuse),
        cmocka_unit_test(other_numbers_convert),
        cmocka_unit_test(order_is_by_value),
        cmocka_unit_test(sums_stay_exact_beyond_128_bits),
        cmocka_unit_test(odd_text_is_read_or_refused),
    };
    return cmocka_run_group_tests(tests, open_arena, close_arena);
}
