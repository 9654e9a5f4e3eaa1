/* Every type of option: what it takes, what it says of what it does not take. */
#include "connector/connector.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static const char *const colours[] = {"red", "green", "-blue", NULL};

static OptionValue good(OptionType type, const char *text) {
    const Option row = {"o", type, NULL, colours, NULL, NULL, 0};
    OptionValue value;
    Error error = {0};
    if (option_parse(&row, text, &value, &error) != OK) fail_msg("%s: %s", text, error.text);
    return value;
}

static void assert_bad(OptionType type, const char *text, const char *message) {
    const Option row = {"o", type, NULL, colours, NULL, NULL, 0};
    OptionValue value;
    Error error = {0};
    assert_int_equal(option_parse(&row, text, &value, &error), REJECT);
    assert_string_equal(error.text, message);
}

static void test_values(void **state) {
    (void)state;
    assert_int_equal(good(OPTION_INT, "-12").integer, -12);
    assert_true(good(OPTION_NUMBER, "1e-3").number == 0.001);
    assert_int_equal(good(OPTION_BOOL, "TRUE").integer, 1);
    assert_int_equal(good(OPTION_BOOL, "off").integer, 0);
    assert_int_equal(good(OPTION_INTERVAL, "2 seconds").integer, 2000000);
    assert_int_equal(good(OPTION_INTERVAL, "1 day 00:00:01.5").integer, 86401500000);
    assert_int_equal(good(OPTION_SIZE, "64 MB").integer, 64 << 20);
    assert_int_equal(good(OPTION_SIZE, "1gb").integer, 1 << 30);
    assert_int_equal(good(OPTION_SIZE, "17").integer, 17);
    assert_int_equal(good(OPTION_TIME, "1970-01-01T00:00:01Z").integer, 1000000);
    assert_int_equal(good(OPTION_ENUM, "green").integer, 1);
    assert_string_equal(good(OPTION_TEXT, "x y").text, "x y");
}

static void test_messages(void **state) {
    (void)state;
    assert_bad(OPTION_INT, "many", "option 'o' expects a whole number, got 'many'");
    assert_bad(OPTION_INT, "1.5", "option 'o' expects a whole number, got '1.5'");
    assert_bad(OPTION_INT, "99999999999999999999",
               "option 'o' expects a whole number, got '99999999999999999999'");
    assert_bad(OPTION_NUMBER, "NaN", "option 'o' expects a number, got 'NaN'");
    assert_bad(OPTION_BOOL, "maybe", "option 'o' expects true or false, got 'maybe'");
    assert_bad(OPTION_INTERVAL, "soon",
               "option 'o' expects an interval like '10 seconds', got 'soon'");
    assert_bad(
        OPTION_INTERVAL, "1 month",
        "option 'o' expects an interval of a fixed length, without months or years, got '1 month'");
    assert_bad(OPTION_SIZE, "64 MX",
               "option 'o' expects a size like '64 MB' (B, kB, MB, GB, TB), got '64 MX'");
    assert_bad(OPTION_SIZE, "-1",
               "option 'o' expects a size like '64 MB' (B, kB, MB, GB, TB), got '-1'");
    assert_bad(OPTION_SIZE, "9999999999 TB",
               "option 'o' expects a size like '64 MB' (B, kB, MB, GB, TB), got '9999999999 TB'");
    assert_bad(OPTION_TIME, "noon",
               "option 'o' expects a time like '2026-01-01T00:00:00Z', got 'noon'");
    assert_bad(OPTION_ENUM, "gren", "option 'o' has no value 'gren'; did you mean 'green'?");
    assert_bad(OPTION_ENUM, "yellow", "option 'o' expects one of 'red', 'green', got 'yellow'");
    assert_bad(OPTION_ENUM, "blue",
               "o 'blue' comes with a later version; now it is one of 'red', 'green'");
    assert_bad(OPTION_TEXT, "", "option 'o' expects a text that is not empty, got ''");
}

/* Every default in the tables is a value that its own row takes, but for words. */
static void check_table(const Option *options) {
    for (const Option *o = options; o && o->name; o++) {
        OptionValue value;
        Error error = {0};
        assert_non_null(o->help);
        assert_int_not_equal(o->flags & (OPTION_SOURCE | OPTION_SINK | OPTION_REFERENCE), 0);
        if (o->default_text && option_parse(o, o->default_text, &value, &error) != OK)
            fail_msg("%s: %s", o->name, error.text);
    }
}

static void test_tables(void **state) {
    (void)state;
    check_table(common_options);
    for (int i = 0; connector_at(i); i++) {
        check_table(connector_at(i)->options);
        assert_ptr_equal(connector_find(connector_at(i)->name), connector_at(i));
        assert_false(connector_is_later(connector_at(i)->name));
    }
    assert_null(connector_find("postgres"));
    assert_true(connector_is_later("postgres"));
    assert_false(connector_is_later("flie"));
}

static Status check(const char *connector, const char *path, const char *name, const char *value,
                    bool sink, Error *error) {
    OptionValue values[] = {{.name = "path", .text = path, .given = true},
                            {.name = name, .text = value, .given = true, .integer = 1}};
    Options options = {name ? 2 : 1, values};
    if (name && strcmp(name, "duplicates") == 0) values[1].number = 2;
    const Connector *c = connector_find(connector);
    return c->check(&options, !sink, sink, false, error);
}

static void test_checks(void **state) {
    (void)state;
    Error error = {0};
    assert_int_equal(check("file", "a", NULL, NULL, true, &error), OK);
    assert_int_equal(check("file", "out/", NULL, NULL, true, &error), OK);
    assert_int_equal(check("file", "a", "format", "csv", true, &error), OK);
    assert_int_equal(check("file", "a", "follow", "true", false, &error), OK);
    assert_int_equal(check("file", "-", "follow", "true", false, &error), FAIL);
    assert_string_equal(error.text,
                        "standard input cannot be followed, it is read until its writer closes it; "
                        "leave follow out, or let path name the file");
    assert_int_equal(check("file", "a", "delimiter", ";", false, &error), FAIL);
    assert_string_equal(error.text,
                        "option 'delimiter' belongs to csv; add format = 'csv' or leave it out");
    assert_int_equal(check("generator", "", "duplicates", "2", false, &error), FAIL);
    assert_string_equal(error.text, "option 'duplicates' must be between 0 and 1, got '2'");
    assert_int_equal(check("generator", "", NULL, NULL, true, &error), FAIL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_messages),
        cmocka_unit_test(test_tables), cmocka_unit_test(test_checks)};
    return cmocka_run_group_tests_name("connector/options", tests, NULL, NULL);
}
