/* The clock and arithmetic of dates, times and intervals. now() and its kin are the moment at which
 * the row's chunk was taken in, so that a replay in the same chunk says the same. An interval has
 * months, days and microseconds apart, because neither a month nor (elsewhere) a day has a fixed
 * length; how fractions pass from one to the next is PostgreSQL's way, digit by digit. */
#include "expr/library.h"
#include "data/time.h"
#include <math.h>

#define DATE_LEAST INT64_C(-2440588)    /* 4714-11-24 BC, where PostgreSQL's calendar begins */
#define DATE_BEHIND INT64_C(2145042906) /* the first day that it does not know */
#define INTERVAL_OUT "interval out of range"

static void now_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)args;
    for (int row = 0; row < rows; row++) column_ints(out)[row] = call->taken_us;
}

static int64_t day_of(int64_t us) { return us / US_PER_DAY - (us % US_PER_DAY < 0); }

static void today_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)args;
    for (int row = 0; row < rows; row++) column_ints(out)[row] = day_of(call->taken_us);
}

static bool is_infinite(int64_t us) { return us == INT64_MIN || us == INT64_MAX; }

static bool negate(Interval *i) {
    if (i->months == INT32_MIN || i->days == INT32_MIN || i->us == INT64_MIN) return false;
    *i = (Interval){-i->months, -i->days, -i->us};
    return true;
}

/* A date as the timestamp of its midnight; false: out of range. */
static bool midnight(int64_t days, int64_t *us) {
    return !__builtin_mul_overflow(days, US_PER_DAY, us);
}

/* timestamp or date, plus or minus an interval; `time_at`: which argument is the time. */
static void shift_rows(Call *call, int rows, const Column *const *args, Column *out, int time_at,
                       bool minus) {
    const Column *time = args[time_at], *by = args[1 - time_at];
    bool date = time->type.kind == TYPE_DATE;
    EACH_OK_ROW(row) {
        int64_t us = time->ints[row];
        Interval interval = by->intervals[row];
        Error error;
        if (date && !midnight(us, &us))
            column_fail(call, out, row, "date out of range for timestamp");
        else if (minus && !negate(&interval)) column_fail(call, out, row, INTERVAL_OUT);
        else if (is_infinite(us)) column_ints(out)[row] = us;
        else if (timestamp_add(us, interval, &column_ints(out)[row], &error) != OK)
            column_fail(call, out, row, "%s", error.text);
    }
}

static void time_plus_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    shift_rows(call, rows, args, out, 0, false);
}
static void plus_time_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    shift_rows(call, rows, args, out, 1, false);
}
static void time_minus_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    shift_rows(call, rows, args, out, 0, true);
}

static void date_rows(Call *call, int rows, const Column *const *args, Column *out, int64_t sign) {
    EACH_OK_ROW(row) {
        int64_t days = args[0]->ints[row] + sign * args[1]->ints[row];
        if (days < DATE_LEAST || days >= DATE_BEHIND)
            column_fail(call, out, row, "date out of range");
        else column_ints(out)[row] = days;
    }
}

static void date_plus_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    date_rows(call, rows, args, out, 1);
}
static void date_minus_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    date_rows(call, rows, args, out, -1);
}

static void date_distance_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        int64_t days = args[0]->ints[row] - args[1]->ints[row];
        if (days != (int32_t)days) column_fail(call, out, row, "integer out of range");
        else column_ints(out)[row] = days;
    }
}

/* Whole days out of the time, both with one sign. */
static bool justify_hours(Interval *i) {
    if (__builtin_add_overflow(i->days, (int32_t)(i->us / US_PER_DAY), &i->days)) return false;
    i->us %= US_PER_DAY;
    if (i->days > 0 && i->us < 0) i->us += US_PER_DAY, i->days--;
    else if (i->days < 0 && i->us > 0) i->us -= US_PER_DAY, i->days++;
    return true;
}

static bool justify_days(Interval *i) {
    if (__builtin_add_overflow(i->months, i->days / 30, &i->months)) return false;
    i->days %= 30;
    if (i->months > 0 && i->days < 0) i->days += 30, i->months--;
    else if (i->months < 0 && i->days > 0) i->days -= 30, i->months++;
    return true;
}

static bool justify_interval(Interval *i) {
    if ((i->days > 0 && i->us > 0) || (i->days < 0 && i->us < 0)) {
        if (__builtin_add_overflow(i->months, i->days / 30, &i->months)) return false;
        i->days %= 30;
    }
    if (__builtin_add_overflow(i->days, (int32_t)(i->us / US_PER_DAY), &i->days)) return false;
    i->us %= US_PER_DAY;
    if (__builtin_add_overflow(i->months, i->days / 30, &i->months)) return false;
    i->days %= 30;
    if (i->months > 0 && (i->days < 0 || (i->days == 0 && i->us < 0))) i->days += 30, i->months--;
    else if (i->months < 0 && (i->days > 0 || (i->days == 0 && i->us > 0)))
        i->days -= 30, i->months++;
    if (i->days > 0 && i->us < 0) i->us += US_PER_DAY, i->days--;
    else if (i->days < 0 && i->us > 0) i->us -= US_PER_DAY, i->days++;
    return true;
}

static void distance_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        int64_t a = args[0]->ints[row], b = args[1]->ints[row];
        Interval i = {0, 0, 0};
        if (is_infinite(a) || is_infinite(b))
            column_fail(call, out, row, "cannot subtract infinite timestamps");
        else if (__builtin_sub_overflow(a, b, &i.us) || !justify_hours(&i))
            column_fail(call, out, row, INTERVAL_OUT);
        else column_intervals(out)[row] = i;
    }
}

static void justify_rows(Call *call, int rows, const Column *const *args, Column *out,
                         bool (*justify)(Interval *)) {
    EACH_OK_ROW(row) {
        Interval i = args[0]->intervals[row];
        if (justify(&i)) column_intervals(out)[row] = i;
        else column_fail(call, out, row, INTERVAL_OUT);
    }
}

static void justify_hours_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    justify_rows(call, rows, args, out, justify_hours);
}
static void justify_days_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    justify_rows(call, rows, args, out, justify_days);
}
static void justify_interval_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    justify_rows(call, rows, args, out, justify_interval);
}
static void negate_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    justify_rows(call, rows, args, out, negate);
}

static void add_rows(Call *call, int rows, const Column *const *args, Column *out, bool minus) {
    EACH_OK_ROW(row) {
        Interval a = args[0]->intervals[row], b = args[1]->intervals[row],
                 *to = &column_intervals(out)[row];
        bool bad = minus ? __builtin_sub_overflow(a.months, b.months, &to->months) |
                               __builtin_sub_overflow(a.days, b.days, &to->days) |
                               __builtin_sub_overflow(a.us, b.us, &to->us)
                         : __builtin_add_overflow(a.months, b.months, &to->months) |
                               __builtin_add_overflow(a.days, b.days, &to->days) |
                               __builtin_add_overflow(a.us, b.us, &to->us);
        if (bad) column_fail(call, out, row, INTERVAL_OUT);
    }
}

static void interval_plus_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    add_rows(call, rows, args, out, false);
}
static void interval_minus_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    add_rows(call, rows, args, out, true);
}

static double to_microsecond(double value) { return rint(value * 1e6) / 1e6; }
static bool fits_int32(double value) {
    return value >= INT32_MIN && value <= INT32_MAX;
} /* false for NaN */

/* Fractions of months become days of 30 a month, fractions of days become time. */
static bool scale(Interval i, double factor, bool divide, Interval *to) {
    double months = divide ? i.months / factor : i.months * factor,
           days = divide ? i.days / factor : i.days * factor;
    if (!fits_int32(months) || !fits_int32(days)) return false;
    to->months = (int32_t)months;
    to->days = (int32_t)days;
    double month_days = to_microsecond((months - to->months) * 30);
    double seconds = to_microsecond((days - to->days + month_days - (int)month_days) * 86400);
    if (fabs(seconds) >= 86400) {
        to->days += (int32_t)(seconds / 86400);
        seconds -= (int32_t)(seconds / 86400) * 86400.0;
    }
    to->days += (int32_t)month_days;
    double us = rint((divide ? (double)i.us / factor : (double)i.us * factor) + seconds * 1e6);
    if (!(us >= -9223372036854775808.0 && us < 9223372036854775808.0)) return false;
    to->us = (int64_t)us;
    return true;
}

static void scale_rows(Call *call, int rows, const Column *const *args, Column *out,
                       int interval_at, bool divide) {
    EACH_OK_ROW(row) {
        double factor = args[1 - interval_at]->floats[row];
        if (divide && factor == 0) column_fail(call, out, row, "division by zero");
        else if (!scale(args[interval_at]->intervals[row], factor, divide,
                        &column_intervals(out)[row]))
            column_fail(call, out, row, INTERVAL_OUT);
    }
}

static void interval_times_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    scale_rows(call, rows, args, out, 0, false);
}
static void times_interval_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    scale_rows(call, rows, args, out, 1, false);
}
static void interval_by_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    scale_rows(call, rows, args, out, 0, true);
}

static int days_in_month(int year, int month) {
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

/* The symbolic distance: so many years, months and days, then time. */
static Interval age(int64_t a, int64_t b) {
    Calendar x, y;
    calendar_from_us(a, &x);
    calendar_from_us(b, &y);
    int sign = a < b ? -1 : 1;
    int year = sign * (x.year - y.year), month = sign * (x.month - y.month),
        day = sign * (x.day - y.day);
    int64_t us =
        sign *
            (((x.hour - y.hour) * 60 + x.minute - y.minute) * INT64_C(60) + x.second - y.second) *
            US_PER_SECOND +
        sign * (x.us - y.us);
    if (us < 0) us += US_PER_DAY, day--;
    const Calendar *earlier = a < b ? &x : &y;
    for (; day < 0; month--) day += days_in_month(earlier->year, earlier->month);
    for (; month < 0; year--) month += 12;
    return (Interval){sign * (year * 12 + month), sign * day, sign * us};
}

static void age_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    int64_t today = day_of(call->taken_us) * US_PER_DAY;
    EACH_OK_ROW(row) {
        int64_t a = call->arg_count > 1 ? args[0]->ints[row] : today;
        int64_t b = call->arg_count > 1 ? args[1]->ints[row] : args[0]->ints[row];
        if (is_infinite(a) || is_infinite(b)) column_fail(call, out, row, "timestamp out of range");
        else column_intervals(out)[row] = age(a, b);
    }
}

static void is_finite_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    (void)call;
    EACH_OK_ROW(row) column_bools(out)[row] = !is_infinite(args[0]->ints[row]);
}

static void interval_is_finite_kernel(Call *call, int rows, const Column *const *args,
                                      Column *out) {
    (void)call, (void)args;
    EACH_OK_ROW(row) column_bools(out)[row] = true;
}

/* AT TIME ZONE: a zone's name or offset, or an interval. */
static bool offset_at(Call *call, const Column *zone, int row, int64_t us, bool local, Column *out,
                      int *seconds) {
    if (zone->type.kind == TYPE_INTERVAL) {
        Interval i = zone->intervals[row];
        int64_t whole = i.us / US_PER_SECOND;
        if (i.months || i.days || whole != (int32_t)whole) {
            Buffer text = {0};
            interval_text(i, &text);
            column_fail(call, out, row,
                        "interval time zone \"%.*s\" must not include months or days",
                        STR_ARG(text));
            buffer_free(&text);
            return false;
        }
        *seconds = (int)whole;
        return true;
    }
    Error error;
    if (zone_offset(zone->strs[row], us, local, seconds, &error) == OK) return true;
    column_fail(call, out, row, "%s", error.text);
    return false;
}

static void zone_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    bool local = args[1]->type.kind == TYPE_TIMESTAMP;
    EACH_OK_ROW(row) {
        int64_t us = args[1]->ints[row], *to = &column_ints(out)[row];
        int seconds;
        *to = us;
        if (is_infinite(us) || !offset_at(call, args[0], row, us, local, out, &seconds)) continue;
        if (__builtin_add_overflow(us, (local ? -seconds : seconds) * US_PER_SECOND, to))
            column_fail(call, out, row, "timestamp out of range");
    }
}

#define S FUNCTION_STRICT
#define OP (FUNCTION_STRICT | FUNCTION_OPERATOR)
#define NOW FUNCTION_STABLE
#define TS TYPE_TIMESTAMP
#define TZ TYPE_TIMESTAMPTZ
#define IV TYPE_INTERVAL
#define D TYPE_DATE
#define F8 TYPE_FLOAT8
#define CLOCK "the clock at the moment the row's chunk was taken in"
const Function time_functions[] = {
    {"now", TZ, 0, {0}, NOW, now_kernel, NULL, CLOCK},
    {"current_timestamp", TZ, 0, {0}, NOW, now_kernel, NULL, CLOCK},
    {"transaction_timestamp", TZ, 0, {0}, NOW, now_kernel, NULL, CLOCK},
    {"statement_timestamp", TZ, 0, {0}, NOW, now_kernel, NULL, CLOCK},
    {"clock_timestamp", TZ, 0, {0}, NOW, now_kernel, NULL, CLOCK " (PostgreSQL: of each call)"},
    {"localtimestamp", TS, 0, {0}, NOW, now_kernel, NULL, CLOCK ", without zone"},
    {"current_date", D, 0, {0}, NOW, today_kernel, NULL, "the day (UTC) of that moment"},
    {"+", TS, 2, {TS, IV}, OP, time_plus_kernel, NULL, "later by the interval"},
    {"+", TZ, 2, {TZ, IV}, OP, time_plus_kernel, NULL, "later by the interval"},
    {"+", TS, 2, {D, IV}, OP, time_plus_kernel, NULL, "later by the interval"},
    {"+", TS, 2, {IV, TS}, OP, plus_time_kernel, NULL, NULL},
    {"+", TZ, 2, {IV, TZ}, OP, plus_time_kernel, NULL, NULL},
    {"+", TS, 2, {IV, D}, OP, plus_time_kernel, NULL, NULL},
    {"-", TS, 2, {TS, IV}, OP, time_minus_kernel, NULL, "earlier by the interval"},
    {"-", TZ, 2, {TZ, IV}, OP, time_minus_kernel, NULL, "earlier by the interval"},
    {"-", TS, 2, {D, IV}, OP, time_minus_kernel, NULL, "earlier by the interval"},
    {"-", IV, 2, {TS, TS}, OP, distance_kernel, NULL, "the time between, as days and hours"},
    {"-", IV, 2, {TZ, TZ}, OP, distance_kernel, NULL, "the time between, as days and hours"},
    {"+", D, 2, {D, TYPE_INT4}, OP, date_plus_kernel, NULL, "so many days later"},
    {"+", D, 2, {TYPE_INT4, D}, OP, date_plus_kernel, NULL, NULL},
    {"-", D, 2, {D, TYPE_INT4}, OP, date_minus_kernel, NULL, "so many days earlier"},
    {"-", TYPE_INT4, 2, {D, D}, OP, date_distance_kernel, NULL, "days between"},
    {"+", IV, 2, {IV, IV}, OP, interval_plus_kernel, NULL, "both together"},
    {"-", IV, 2, {IV, IV}, OP, interval_minus_kernel, NULL, "the difference"},
    {"-", IV, 1, {IV}, OP, negate_kernel, NULL, "the other way"},
    {"*", IV, 2, {IV, F8}, OP, interval_times_kernel, NULL, "so many times as long"},
    {"*", IV, 2, {F8, IV}, OP, times_interval_kernel, NULL, NULL},
    {"/", IV, 2, {IV, F8}, OP, interval_by_kernel, NULL, "the part of it"},
    {"age",
     IV,
     1,
     {TS},
     S | NOW,
     age_kernel,
     NULL,
     "from that time to midnight of the current day, as years, months, days"},
    {"age",
     IV,
     1,
     {TZ},
     S | NOW,
     age_kernel,
     NULL,
     "from that time to midnight of the current day, as years, months, days"},
    {"age",
     IV,
     2,
     {TS, TS},
     S,
     age_kernel,
     NULL,
     "from the second to the first, as years, months, days and time"},
    {"age",
     IV,
     2,
     {TZ, TZ},
     S,
     age_kernel,
     NULL,
     "from the second to the first, as years, months, days and time"},
    {"justify_hours", IV, 1, {IV}, S, justify_hours_kernel, NULL, "with 24 hours made a day"},
    {"justify_days", IV, 1, {IV}, S, justify_days_kernel, NULL, "with 30 days made a month"},
    {"justify_interval",
     IV,
     1,
     {IV},
     S,
     justify_interval_kernel,
     NULL,
     "with both, and one sign for all"},
    {"isfinite", TYPE_BOOL, 1, {D}, S, is_finite_kernel, NULL, "whether it is a real day"},
    {"isfinite",
     TYPE_BOOL,
     1,
     {TS},
     S,
     is_finite_kernel,
     NULL,
     "whether it is neither infinity nor -infinity"},
    {"isfinite",
     TYPE_BOOL,
     1,
     {TZ},
     S,
     is_finite_kernel,
     NULL,
     "whether it is neither infinity nor -infinity"},
    {"isfinite", TYPE_BOOL, 1, {IV}, S, interval_is_finite_kernel, NULL, "true"},
    {"timezone",
     TS,
     2,
     {TYPE_TEXT, TZ},
     S,
     zone_kernel,
     NULL,
     "time AT TIME ZONE zone: the local time there"},
    {"timezone",
     TZ,
     2,
     {TYPE_TEXT, TS},
     S,
     zone_kernel,
     NULL,
     "time AT TIME ZONE zone: the moment of that local time"},
    {"timezone", TS, 2, {IV, TZ}, S, zone_kernel, NULL, "time AT TIME ZONE interval"},
    {"timezone", TZ, 2, {IV, TS}, S, zone_kernel, NULL, "time AT TIME ZONE interval"},
    {0},
};
