/* Times, dates, intervals and zones; the expected texts are PostgreSQL's. */
#include "data/time.h"
#include <setjmp.h>
#include <cmocka.h>

static Buffer out;

static const char *ended(void) {
    buffer_add_char(&out, '\0');
    return out.data;
}

static const char *us_text(int64_t us) {
    out.size = 0;
    timestamp_rfc3339(us, true, &out);
    return ended();
}

static const char *read_interval(const char *text) {
    Interval interval;
    Error error = {0};
    out.size = 0;
    if (interval_parse(str_from(text), &interval, &error) == OK) interval_text(interval, &out);
    else buffer_add_text(&out, error.text);
    return ended();
}

static const char *read_time(const char *text, bool with_zone) {
    int64_t us;
    Error error = {0};
    out.size = 0;
    if (timestamp_parse(str_from(text), with_zone, &us, &error) == OK)
        timestamp_text(us, with_zone, &out);
    else buffer_add_text(&out, error.text);
    return ended();
}

static void the_calendar_turns_both_ways(void **state) {
    (void)state;
    assert_int_equal(days_from_civil(1970, 1, 1), 0);
    assert_int_equal(days_from_civil(2000, 3, 1), 11017);
    for (int64_t day = days_from_civil(1, 1, 1); day < days_from_civil(9999, 12, 31); day += 97) {
        Calendar c;
        calendar_from_us(day * US_PER_DAY - 1, &c);
        assert_int_equal(calendar_to_us(&c), day * US_PER_DAY - 1);
        assert_int_equal(c.hour, 23);
        assert_int_equal(c.us, 999999);
    }
}

static void rfc3339_is_read(void **state) {
    (void)state;
    static const struct {
        const char *in, *out; /* NULL: refused */
    } cases[] = {
        {"2021-07-11T17:16:40.1234567Z", "2021-07-11T17:16:40.123457Z"},
        {"2021-07-11T17:16:40Z", "2021-07-11T17:16:40Z"},
        {"2021-07-11 17:16:40", "2021-07-11T17:16:40Z"},
        {"2021-07-11t17:16:40.5z", "2021-07-11T17:16:40.5Z"},
        {"2021-07-11T17:16:40+02:00", "2021-07-11T15:16:40Z"},
        {"2021-07-11T17:16:40.1-0330", "2021-07-11T20:46:40.1Z"},
        {"2021-07-11T17:16:40+02", "2021-07-11T15:16:40Z"},
        {"2021-12-31T23:59:59.9999999Z", "2022-01-01T00:00:00Z"},
        {"2021-12-31T23:59:60Z", "2022-01-01T00:00:00Z"},
        {"2021-07-11T17:16:40.0000005Z", "2021-07-11T17:16:40Z"},
        {"2021-07-11T17:16:40.0000015Z", "2021-07-11T17:16:40.000002Z"},
        {"2021-07-11T17:16:40.00000050000000000000000000000000000000000000000000000001Z",
         "2021-07-11T17:16:40Z"},
        {"0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"},
        {"9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"},
        {"2020-02-29T00:00:00Z", "2020-02-29T00:00:00Z"},
        {"2021-02-29T00:00:00Z", NULL},
        {"0000-01-01T00:00:00Z", NULL},
        {"9999-12-31T23:59:59.9999999Z", NULL},
        {"0001-01-01T00:00:00+01:00", NULL},
        {"2021-13-01T00:00:00Z", NULL},
        {"2021-00-01T00:00:00Z", NULL},
        {"2021-01-00T00:00:00Z", NULL},
        {"2021-01-01T24:00:00Z", NULL},
        {"2021-01-01T00:60:00Z", NULL},
        {"2021-01-01T00:00:61Z", NULL},
        {"2021-01-01T00:00:00.Z", NULL},
        {"2021-01-01T00:00:00ZZ", NULL},
        {"2021-01-01T00:00:00+2", NULL},
        {"2021-01-01T00:00:00+02:60", NULL},
        {"2021-01-01T00:00:00+0a:00", NULL},
        {"2021-01-01X00:00:00Z", NULL},
        {"2021-01-01T00:00", NULL},
        {"2021-01-01T0a:00:00Z", NULL},
        {"2O21-01-01T00:00:00Z", NULL},
        {"2021/01/01T00:00:00Z", NULL},
        {"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int64_t us;
        Status status = rfc3339_parse(str_from(cases[i].in), &us);
        if (!cases[i].out) assert_int_equal(status, REJECT);
        else if (status == OK) assert_string_equal(us_text(us), cases[i].out);
        else fail_msg("%s was refused", cases[i].in);
    }
    for (int c = 0; c < 256;
         c++) { /* each place of the fixed part takes digits, or its own mark, and nothing else */
        for (int at = 0; at < 19; at++) {
            char text[] = "2011-11-11T11:11:11Z";
            bool mark = text[at] < '0' || text[at] > '9';
            bool fits =
                mark ? c == text[at] || (at == 10 && (c == 't' || c == ' ')) : c >= '0' && c <= '9';
            text[at] = (char)c;
            int64_t us;
            bool taken = rfc3339_parse((Str){text, 20}, &us) == OK;
            if (!fits) assert_false(taken);
            else if (mark || c == '1') assert_true(taken);
        }
    }
}

static void timestamps_are_read_as_postgresql_reads_them(void **state) {
    (void)state;
    static const struct {
        const char *in, *out;
        bool with_zone;
    } cases[] = {
        {"2020-01-01 00:00 europe/berlin", "2019-12-31 23:00:00+00", true},
        {"2020-07-01 10:00 America/New_York", "2020-07-01 14:00:00+00", true},
        {"2020-07-01 00:00:00 CEST", "2020-06-30 22:00:00+00", true},
        {"January 8, 1999", "1999-01-08 00:00:00", false},
        {"08-Jan-1999 04:05:06 PM", "1999-01-08 16:05:06", false},
        {"1/8/1999", "1999-01-08 00:00:00", false},
        {"20200101T010203.5Z", "2020-01-01 01:02:03.5+00", true},
        {"2020-1-2 3:4:5 +05:30", "2020-01-01 21:34:05+00", true},
        {"2020-01-01 10:00:00+05", "2020-01-01 10:00:00", false},
        {"2020-01-01 24:00:00", "2020-01-02 00:00:00", false},
        {"epoch", "1970-01-01 00:00:00+00", true},
        {"infinity", "infinity", true},
        {"17:16", "invalid input syntax for type timestamp with time zone: \"17:16\"", true},
        {"2020-13-01", "date/time field value out of range: \"2020-13-01\"", true},
        {"2020-01-01 25:00", "date/time field value out of range: \"2020-01-01 25:00\"", false},
        {"2020-01-01 00:00+16", "time zone displacement out of range: \"2020-01-01 00:00+16\"",
         true},
        {"2020-01-01 00:00 foo/bar", "time zone \"foo/bar\" not recognized", true},
        {"2020-01-01 10:00:00 xyz",
         "invalid input syntax for type timestamp: \"2020-01-01 10:00:00 xyz\"", false},
        {"10000-01-01", "date/time field value out of range: \"10000-01-01\"", true},
        {"", "invalid input syntax for type timestamp: \"\"", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(read_time(cases[i].in, cases[i].with_zone), cases[i].out);
    int64_t days;
    Error error;
    assert_int_equal(date_parse(STR("2020-02-30"), &days, &error), REJECT);
    assert_string_equal(error.text, "date/time field value out of range: \"2020-02-30\"");
    assert_int_equal(date_parse(STR("2021-12-31T23:59:60Z"), &days, &error), OK);
    out.size = 0;
    date_text(days, &out);
    assert_string_equal(ended(), "2021-12-31");
}

static void intervals_are_read_as_postgresql_reads_them(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"2 seconds", "00:00:02"},
        {"1 year 2 months 3 days 04:05:06.7", "1 year 2 mons 3 days 04:05:06.7"},
        {"-1 mon +3 days", "-1 mons +3 days"},
        {"1 day -00:00:01", "1 day -00:00:01"},
        {"-1 day 2:03:04", "-1 days +02:03:04"},
        {"1 2:03:04", "1 day 02:03:04"},
        {"1-2", "1 year 2 mons"},
        {"@ 1 day 2 hours ago", "-1 days -02:00:00"},
        {"1.5 months", "1 mon 15 days"},
        {"1.13 weeks", "7 days 21:50:24"},
        {"1.5", "00:00:01.5"},
        {"0.0000015 s", "00:00:00.000001"},
        {"1h30m", "01:30:00"},
        {"P1Y2M3DT4H5M6.7S", "1 year 2 mons 3 days 04:05:06.7"},
        {"P0001-02-03T04:05:06", "1 year 2 mons 3 days 04:05:06"},
        {"PT-1.5H", "-01:30:00"},
        {"0", "00:00:00"},
        {"1000:00:00", "1000:00:00"},
        {"1 foo", "invalid input syntax for type interval: \"1 foo\""},
        {"1 day 2 days", "invalid input syntax for type interval: \"1 day 2 days\""},
        {"2026-01-31", "invalid input syntax for type interval: \"2026-01-31\""},
        {"99999999999 days", "interval field value out of range: \"99999999999 days\""},
        {"1000000000 years", "interval out of range"},
        {"", "invalid input syntax for type interval: \"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        assert_string_equal(read_interval(cases[i][0]), cases[i][1]);
    assert_int_equal(interval_compare((Interval){1, 0, 0}, (Interval){0, 30, 0}), 0);
    assert_true(interval_compare((Interval){0, 1, 0}, (Interval){0, 0, US_PER_DAY - 1}) > 0);
}

static void months_are_added_by_the_calendar(void **state) {
    (void)state;
    int64_t us;
    Error error;
    assert_int_equal(timestamp_parse(STR("2020-01-31 10:00Z"), true, &us, &error), OK);
    assert_int_equal(timestamp_add(us, (Interval){1, 0, 0}, &us, &error), OK);
    assert_string_equal(us_text(us), "2020-02-29T10:00:00Z");
    assert_int_equal(timestamp_add(us, (Interval){-14, 1, 1}, &us, &error), OK);
    assert_string_equal(us_text(us), "2018-12-30T10:00:00.000001Z");
    assert_int_equal(timestamp_add(us, (Interval){INT32_MAX, 0, 0}, &us, &error), REJECT);
    assert_string_equal(error.text, "timestamp out of range");
    assert_int_equal(timestamp_add(us, (Interval){0, INT32_MAX, 0}, &us, &error), REJECT);
    assert_int_equal(timestamp_add(us, (Interval){0, 0, INT64_MAX}, &us, &error), REJECT);
    assert_int_equal(interval_to_us((Interval){0, 1, 5}, &us, &error), OK);
    assert_int_equal(us, US_PER_DAY + 5);
    assert_int_equal(interval_to_us((Interval){1, 0, 0}, &us, &error), REJECT);
    assert_int_equal(interval_to_us((Interval){0, INT32_MAX, 0}, &us, &error), REJECT);
}

static int offset(const char *zone, const char *time, bool local) {
    int64_t us;
    int seconds;
    Error error;
    assert_int_equal(timestamp_parse(str_from(time), false, &us, &error), OK);
    assert_int_equal(zone_offset(str_from(zone), us, local, &seconds, &error), OK);
    return seconds;
}

static void zones_know_their_summer_time(void **state) {
    (void)state;
    assert_int_equal(offset("UTC", "2020-01-01", false), 0);
    assert_int_equal(offset("Europe/Berlin", "2020-01-01", false), 3600);
    assert_int_equal(offset("europe/BERLIN", "2020-07-01", false), 7200);
    assert_int_equal(offset("Europe/Berlin", "2100-07-01", false), 7200);
    assert_int_equal(offset("Europe/Berlin", "1850-01-01", false), 3208);
    assert_int_equal(offset("Europe/Berlin", "2020-03-29 02:30", true), 3600); /* skipped */
    assert_int_equal(offset("Europe/Berlin", "2020-10-25 02:30", true), 3600); /* comes twice */
    assert_int_equal(offset("Europe/Berlin", "2020-10-25 00:59:59", false), 7200);
    assert_int_equal(offset("Europe/Berlin", "2020-10-25 01:00:00", false), 3600);
    assert_int_equal(offset("Australia/Lord_Howe", "2020-01-01", false), 39600);
    assert_int_equal(offset("EST5EDT", "2020-07-01", false), -14400);
    assert_int_equal(offset("+02", "2020-01-01", false), -7200); /* POSIX counts to the west */
    assert_int_equal(offset("pst", "2020-07-01", false), -28800);
    int seconds;
    Error error;
    static const char *const bad[] = {"", "foo", "../etc/passwd", "europe", "Europe/", "/", "."};
    for (int i = 0; i < 7; i++)
        assert_int_equal(zone_offset(str_from(bad[i]), 0, false, &seconds, &error), REJECT);
    assert_string_equal(error.text, "time zone \".\" not recognized");
}

static int free_buffer(void **state) {
    (void)state;
    buffer_free(&out);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_calendar_turns_both_ways),
        cmocka_unit_test(rfc3339_is_read),
        cmocka_unit_test(timestamps_are_read_as_postgresql_reads_them),
        cmocka_unit_test(intervals_are_read_as_postgresql_reads_them),
        cmocka_unit_test(months_are_added_by_the_calendar),
        cmocka_unit_test(zones_know_their_summer_time),
    };
    return cmocka_run_group_tests(tests, NULL, free_buffer);
}
