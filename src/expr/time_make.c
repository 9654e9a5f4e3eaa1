/* Dates, times and intervals from their parts. */
#include "expr/library.h"
#include "data/time.h"
#include <math.h>

#define DATE_LEAST INT64_C(-2440588) /* 4714-11-24 BC, where PostgreSQL's calendar begins */

static bool make_days(Call *call, Column *out, int row, const int64_t part[3], int64_t *days) {
    static const int8_t lengths[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int64_t year =
        part[0] < 0 ? part[0] + 1 : part[0]; /* -1 is 1 BC, which is year 0 of the calendar */
    int64_t month = part[1], day = part[2];
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    bool good = part[0] != 0 && month >= 1 && month <= 12 && day >= 1 &&
                day <= lengths[month - 1] && (month != 2 || day < 29 || leap);
    if (!good)
        column_fail(call, out, row, "date field value out of range: %lld-%02lld-%02lld",
                    (long long)year, (long long)month, (long long)day);
    else if (year < -4713 || year > 5874897 ||
             days_from_civil((int)year, (int)month, (int)day) < DATE_LEAST)
        column_fail(call, out, row, "date out of range: %lld-%02lld-%02lld", (long long)year,
                    (long long)month, (long long)day);
    else {
        *days = days_from_civil((int)year, (int)month, (int)day);
        return true;
    }
    return false;
}

static void make_date_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        int64_t part[3] = {args[0]->ints[row], args[1]->ints[row], args[2]->ints[row]};
        make_days(call, out, row, part, &column_ints(out)[row]);
    }
}

/* year, month, day, hour, minute, second [, zone] */
static void make_timestamp_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        int64_t part[3] = {args[0]->ints[row], args[1]->ints[row], args[2]->ints[row]};
        int64_t hour = args[3]->ints[row], minute = args[4]->ints[row], days, us;
        double second = args[5]->floats[row];
        if (!make_days(call, out, row, part, &days)) continue;
        bool good = hour >= 0 && hour <= 24 && minute >= 0 && minute <= 59 && second >= 0 &&
                    rint(second * 1e6) <= 60e6 && (hour < 24 || (minute == 0 && second == 0));
        if (!good) {
            const char *seconds = isnan(second) ? "NaN" : arena_format(call->arena, "%02g", second);
            column_fail(call, out, row, "time field value out of range: %lld:%02lld:%s",
                        (long long)hour, (long long)minute, seconds);
            continue;
        }
        us = (hour * 60 + minute) * 60 * US_PER_SECOND + (int64_t)rint(second * 1e6);
        int64_t at;
        if (__builtin_mul_overflow(days, US_PER_DAY, &at) || __builtin_add_overflow(at, us, &at)) {
            column_fail(call, out, row, "timestamp out of range");
            continue;
        }
        int offset = 0;
        Error error;
        Str zone = call->arg_count > 6 ? args[6]->strs[row] : STR("");
        bool by_sign = zone.size > 0 && (zone.data[0] == '+' || zone.data[0] == '-');
        if (call->arg_count > 6 && zone_offset(zone, at, true, &offset, &error) != OK)
            column_fail(call, out, row, "%s", error.text);
        else /* here, and only here, a sign is ISO's: + is east */
            column_ints(out)[row] = at - (by_sign ? -offset : offset) * US_PER_SECOND;
    }
}

/* years, months, weeks, days, hours, minutes, seconds: any number of them from the left */
static void make_interval_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        int64_t part[6] = {0};
        for (int i = 0; i < 6 && i < call->arg_count; i++) part[i] = args[i]->ints[row];
        double seconds = call->arg_count > 6 ? args[6]->floats[row] : 0;
        int64_t months = part[0] * 12 + part[1], days = part[2] * 7 + part[3];
        int64_t us = (part[4] * 60 + part[5]) * 60 *
                     US_PER_SECOND; /* fits: the parts are integers of 32 bits */
        double rest = rint(seconds * 1e6);
        if (!(fabs(rest) < 9.2e18) || months != (int32_t)months || days != (int32_t)days ||
            __builtin_add_overflow(us, (int64_t)rest, &us))
            column_fail(call, out, row, "interval out of range");
        else column_intervals(out)[row] = (Interval){(int32_t)months, (int32_t)days, us};
    }
}

/* Seconds since 1970. PostgreSQL counts from 2000, and rounds there. */
static void to_timestamp_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        double seconds = args[0]->floats[row];
        if (isnan(seconds)) column_fail(call, out, row, "timestamp cannot be NaN");
        else if (isinf(seconds)) column_ints(out)[row] = seconds > 0 ? INT64_MAX : INT64_MIN;
        else if (seconds < -210866803200.0 || seconds >= 9222000000000.0)
            column_fail(call, out, row, "timestamp out of range: \"%g\"", seconds);
        else
            column_ints(out)[row] =
                (int64_t)rint((seconds - 946684800.0) * 1e6) + INT64_C(946684800000000);
    }
}

#define S FUNCTION_STRICT
#define I TYPE_INT4
#define F8 TYPE_FLOAT8
const Function time_make_functions[] = {
    {"make_date",
     TYPE_DATE,
     3,
     {I, I, I},
     S,
     make_date_kernel,
     NULL,
     "make_date(year, month, day)"},
    {"make_timestamp",
     TYPE_TIMESTAMP,
     6,
     {I, I, I, I, I, F8},
     S,
     make_timestamp_kernel,
     NULL,
     "make_timestamp(year, month, day, hour, minute, seconds)"},
    {"make_timestamptz",
     TYPE_TIMESTAMPTZ,
     6,
     {I, I, I, I, I, F8},
     S,
     make_timestamp_kernel,
     NULL,
     "make_timestamptz(year, month, day, hour, minute, seconds), in UTC"},
    {"make_timestamptz",
     TYPE_TIMESTAMPTZ,
     7,
     {I, I, I, I, I, F8, TYPE_TEXT},
     S,
     make_timestamp_kernel,
     NULL,
     "the same in that time zone"},
    {"make_interval", TYPE_INTERVAL, 0, {0}, S, make_interval_kernel, NULL, NULL},
    {"make_interval", TYPE_INTERVAL, 1, {I}, S, make_interval_kernel, NULL, NULL},
    {"make_interval", TYPE_INTERVAL, 2, {I, I}, S, make_interval_kernel, NULL, NULL},
    {"make_interval", TYPE_INTERVAL, 3, {I, I, I}, S, make_interval_kernel, NULL, NULL},
    {"make_interval", TYPE_INTERVAL, 4, {I, I, I, I}, S, make_interval_kernel, NULL, NULL},
    {"make_interval", TYPE_INTERVAL, 5, {I, I, I, I, I}, S, make_interval_kernel, NULL, NULL},
    {"make_interval", TYPE_INTERVAL, 6, {I, I, I, I, I, I}, S, make_interval_kernel, NULL, NULL},
    {"make_interval",
     TYPE_INTERVAL,
     7,
     {I, I, I, I, I, I, F8},
     S,
     make_interval_kernel,
     NULL,
     "make_interval(years, months, weeks, days, hours, minutes, seconds): missing ones are 0"},
    {"to_timestamp",
     TYPE_TIMESTAMPTZ,
     1,
     {F8},
     S,
     to_timestamp_kernel,
     NULL,
     "seconds since 1970-01-01 00:00 UTC"},
    {0},
};
