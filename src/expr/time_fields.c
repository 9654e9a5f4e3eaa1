/* extract, date_part, date_trunc and date_bin. extract gives numeric with the scales of PostgreSQL
 * 14 and later (seconds and epoch 6, milliseconds 3), date_part gives double precision by
 * PostgreSQL's own floating-point steps. Fields are found by name once where the name is a
 * constant. */
#include "expr/time_field.h"
#include "data/numeric.h"
#include "data/time.h"
#include <stdlib.h>

enum { DAYS_MOST = 106751990 }; /* of a date that is also a timestamp: 294247 AD */
enum { NAME_MOST = 10 };        /* PostgreSQL looks at this many characters of a field's name */

static const struct {
    const char *names;
    TimeField field;
} field_names[] = {
    {" microsecon us usec usecond useconds usecs ", FIELD_MICROSECONDS},
    {" millisecon ms msec msecond mseconds msecs ", FIELD_MILLISECONDS},
    {" s sec second seconds secs ", FIELD_SECOND},
    {" m min mins minute minutes ", FIELD_MINUTE},
    {" h hour hours hr hrs ", FIELD_HOUR},
    {" d day days ", FIELD_DAY},
    {" w week weeks ", FIELD_WEEK},
    {" mon mons month months ", FIELD_MONTH},
    {" qtr quarter ", FIELD_QUARTER},
    {" y year years yr yrs ", FIELD_YEAR},
    {" dec decade decades decs ", FIELD_DECADE},
    {" c cent century centuries ", FIELD_CENTURY},
    {" mil millennia millennium mils ", FIELD_MILLENNIUM},
    {" epoch ", FIELD_EPOCH},
    {" julian j jd ", FIELD_JULIAN},
    {" isoyear ", FIELD_ISOYEAR},
    {" dow ", FIELD_DOW},
    {" isodow ", FIELD_ISODOW},
    {" doy ", FIELD_DOY},
    {" timezone ", FIELD_TIMEZONE},
    {" timezone_h ", FIELD_TIMEZONE_HOUR},
    {" timezone_m ", FIELD_TIMEZONE_MINUTE},
};

static TimeField time_field(Str name) {
    char word[NAME_MOST + 3] = " ";
    size_t size = name.size < NAME_MOST ? name.size : NAME_MOST;
    for (size_t i = 0; i < size; i++) {
        word[i + 1] = (char)fold_lower((uint8_t)name.data[i] < 0x80 ? (uint8_t)name.data[i] : '?');
        if (word[i + 1] == ' ' || !word[i + 1]) return FIELD_UNKNOWN;
    }
    word[size + 1] = ' ';
    for (size_t i = 0; size && i < sizeof field_names / sizeof *field_names; i++)
        if (strstr(field_names[i].names, word)) return field_names[i].field;
    return FIELD_UNKNOWN;
}

/* For prepare: the field of constant argument 0 as *state (a TimeField *). */
static Status prepare_field(void **state, const Value *const *constants, Type result, Arena *arena,
                            Error *error) {
    (void)result;
    const Str *name = constant_text(constants, 0);
    if (!name) return OK;
    TimeField *field = arena_alloc(arena, sizeof *field);
    *state = field;
    *field = time_field(*name);
    return *field ? OK
                  : fail(error,
                         "unit \"%.*s\" not recognized; known are microseconds … millennium, "
                         "epoch, dow, doy, "
                         "isodow, isoyear, julian, timezone",
                         STR_ARG(*name));
}

static TimeField call_field(const Call *call, const Column *column, int row) {
    return call->state ? *(const TimeField *)call->state : time_field(column->strs[row]);
}

/* The row fails: the field is unknown, or that type does not have it; `units`: only units of time
 * were allowed. */
static void field_fail(Call *call, Column *out, int row, const Column *field, TypeKind type,
                       bool units) {
    Str name = text_lower(field->strs[row], call->arena);
    TimeField known = time_field(name);
    if (units && known >= FIELD_EPOCH && known <= FIELD_DOY)
        known = FIELD_UNKNOWN; /* no unit of time */
    column_fail(call, out, row, "unit \"%.*s\" not %s for type %s", STR_ARG(name),
                known ? "supported" : "recognized", type_name(type_of(type), call->arena));
}

void iso_week(int year, int month, int day, int *week, int *iso_year) {
    int64_t days = days_from_civil(year, month, day);
    int64_t weekday = ((days + 3) % 7 + 7) % 7; /* 1970-01-01 was a Thursday; 0: Monday */
    int64_t thursday = days - weekday + 3;      /* its year is the week's */
    *iso_year = year;
    if (thursday < days_from_civil(year, 1, 1)) *iso_year = year - 1;
    else if (thursday >= days_from_civil(year + 1, 1, 1)) *iso_year = year + 1;
    *week = (int)((thursday - days_from_civil(*iso_year, 1, 1)) / 7) + 1;
}

/* ---- extract and date_part ---- */

typedef struct Part {
    int128 value;
    int scale;   /* digits of value behind the point */
    double real; /* what date_part says */
} Part;

static Part whole(int64_t value) { return (Part){value, 0, (double)value}; }
static int shown_year(int year) { return year > 0 ? year : year - 1; } /* there is no year 0 */

static int64_t floor_part(int64_t value,
                          int64_t unit) { /* decades as PostgreSQL counts: 0 … 9 AD is decade 0 */
    return value >= 0 ? value / unit : -((unit - 2 - (value - 1)) / unit);
}
static int64_t ceil_part(int64_t value, int64_t unit) { /* centuries: 1 … 100 AD is century 1 */
    return value > 0 ? (value + unit - 1) / unit : -((unit - 1 - (value - 1)) / unit);
}

/* The parts of a day's date; false: not one of them. */
static bool date_part_of(TimeField field, const Calendar *c, int64_t days, Part *part) {
    int week, iso_year;
    switch (field) {
    case FIELD_DAY: *part = whole(c->day); return true;
    case FIELD_MONTH: *part = whole(c->month); return true;
    case FIELD_QUARTER: *part = whole((c->month - 1) / 3 + 1); return true;
    case FIELD_YEAR: *part = whole(shown_year(c->year)); return true;
    case FIELD_DECADE: *part = whole(floor_part(c->year, 10)); return true;
    case FIELD_CENTURY: *part = whole(ceil_part(c->year, 100)); return true;
    case FIELD_MILLENNIUM: *part = whole(ceil_part(c->year, 1000)); return true;
    case FIELD_WEEK:
    case FIELD_ISOYEAR:
        iso_week(c->year, c->month, c->day, &week, &iso_year);
        *part = whole(field == FIELD_WEEK ? week : shown_year(iso_year));
        return true;
    case FIELD_DOW: *part = whole(((days + 4) % 7 + 7) % 7); return true;
    case FIELD_ISODOW: *part = whole(((days + 3) % 7 + 7) % 7 + 1); return true;
    case FIELD_DOY: *part = whole(days - days_from_civil(c->year, 1, 1) + 1); return true;
    default: return false;
    }
}

static bool clock_part_of(TimeField field, int64_t hour, int minute, int second, int us,
                          Part *part) {
    switch (field) {
    case FIELD_MICROSECONDS: *part = whole(second * US_PER_SECOND + us); return true;
    case FIELD_MILLISECONDS:
        *part = (Part){second * US_PER_SECOND + us, 3, second * 1000.0 + us / 1000.0};
        return true;
    case FIELD_SECOND:
        *part = (Part){second * US_PER_SECOND + us, 6, second + us / 1e6};
        return true;
    case FIELD_MINUTE: *part = whole(minute); return true;
    case FIELD_HOUR: *part = whole(hour); return true;
    default: return false;
    }
}

static bool timestamp_part(TimeField field, int64_t us, bool zone, Part *part) {
    Calendar c;
    calendar_from_us(us, &c);
    int64_t days = us / US_PER_DAY - (us % US_PER_DAY < 0);
    if (field == FIELD_EPOCH) {
        *part = (Part){us, 6, (double)us / 1e6};
        return true;
    }
    if (zone && field >= FIELD_TIMEZONE) {
        *part = whole(0);
        return true;
    }
    return clock_part_of(field, c.hour, c.minute, c.second, c.us, part) ||
           date_part_of(field, &c, days, part);
}

static bool day_part(TimeField field, int64_t days, Part *part) {
    Calendar c;
    calendar_from_us(days * US_PER_DAY, &c);
    if (field == FIELD_EPOCH) *part = whole(days * 86400);
    else if (field == FIELD_JULIAN) *part = whole(days + 2440588);
    else return date_part_of(field, &c, days, part);
    return true;
}

static bool interval_part(TimeField field, Interval i, Part *part) {
    int year = i.months / 12, month = i.months % 12;
    int64_t seconds = i.us / US_PER_SECOND;
    switch (field) {
    case FIELD_DAY: *part = whole(i.days); return true;
    case FIELD_MONTH: *part = whole(month); return true;
    case FIELD_QUARTER: *part = whole(month / 3 + 1); return true;
    case FIELD_YEAR: *part = whole(year); return true;
    case FIELD_DECADE: *part = whole(year / 10); return true;
    case FIELD_CENTURY: *part = whole(year / 100); return true;
    case FIELD_MILLENNIUM: *part = whole(year / 1000); return true;
    case FIELD_EPOCH: {
        int64_t days = INT64_C(1461) * year + INT64_C(120) * month + INT64_C(4) * i.days;
        double real =
            (double)i.us / 1e6 + 365.25 * 86400 * year + 30 * 86400.0 * month + 86400.0 * i.days;
        *part = (Part){(int128)days * (US_PER_DAY / 4) + i.us, 6, real};
        return true;
    }
    default:
        return clock_part_of(field, seconds / 3600, (int)(seconds / 60 % 60), (int)(seconds % 60),
                             (int)(i.us % US_PER_SECOND), part);
    }
}

/* The day of Julius Scaliger's count with its fraction, as numeric division gives it. */
static Status julian_numeric(int64_t us, Str *out, Arena *arena, Error *error) {
    int64_t day = us / US_PER_DAY - (us % US_PER_DAY < 0);
    Status status = numeric_divide(numeric_from_int64(us - day * US_PER_DAY, arena),
                                   numeric_from_int64(US_PER_DAY, arena), out, arena, error);
    if (status != OK) return status;
    return numeric_add(numeric_from_int64(day + 2440588, arena), *out, out, arena, error);
}

static double julian_double(int64_t us) {
    int64_t day = us / US_PER_DAY - (us % US_PER_DAY < 0), rest = us - day * US_PER_DAY;
    return (double)(day + 2440588) +
           ((double)(rest / US_PER_SECOND) + (double)(rest % US_PER_SECOND) / 1e6) / 86400.0;
}

/* infinity has the parts that only grow, as infinity, and no others. */
static void infinite_part(Call *call, Column *out, int row, TimeField field, bool negative) {
    bool grows = (field >= FIELD_YEAR && field <= FIELD_ISOYEAR);
    Error error;
    if (!grows) column_null(call, out, row);
    else if (out->type.kind == TYPE_FLOAT8)
        column_floats(out)[row] = negative ? -__builtin_inf() : __builtin_inf();
    else if (numeric_parse(negative ? STR("-Infinity") : STR("Infinity"), &column_strs(out)[row],
                           call->arena, &error) != OK)
        column_fail(call, out, row, "%s", error.text);
}

static void part_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    TypeKind type = args[1]->type.kind;
    bool real = out->type.kind == TYPE_FLOAT8;
    EACH_OK_ROW(row) {
        TimeField field = call_field(call, args[0], row);
        int64_t value = type == TYPE_INTERVAL ? 0 : args[1]->ints[row];
        bool infinite = value == INT64_MIN || value == INT64_MAX, found;
        if (type == TYPE_DATE && (value < -DAYS_MOST || value > DAYS_MOST) && !infinite) {
            column_fail(call, out, row, "date out of range for timestamp");
            continue;
        }
        if (type == TYPE_DATE && real && !infinite)
            value *= US_PER_DAY; /* date_part takes a date as its midnight */
        bool day = type == TYPE_DATE && !real;
        Part part = {0};
        if (type == TYPE_INTERVAL) found = interval_part(field, args[1]->intervals[row], &part);
        else if (infinite)
            found = (day ? day_part(field, 0, &part)
                         : timestamp_part(field, 0, type == TYPE_TIMESTAMPTZ, &part)) ||
                    field == FIELD_JULIAN;
        else if (!day && field == FIELD_JULIAN) {
            Error error;
            if (real) column_floats(out)[row] = julian_double(value);
            else if (julian_numeric(value, &column_strs(out)[row], call->arena, &error) != OK)
                column_fail(call, out, row, "%s", error.text);
            continue;
        } else
            found = day ? day_part(field, value, &part)
                        : timestamp_part(field, value, type == TYPE_TIMESTAMPTZ, &part);
        if (!found)
            field_fail(call, out, row, args[0], type == TYPE_DATE && real ? TYPE_TIMESTAMP : type,
                       false);
        else if (infinite) infinite_part(call, out, row, field, value == INT64_MIN);
        else if (real) column_floats(out)[row] = part.real;
        else if (part.scale == 0)
            column_strs(out)[row] = numeric_from_int64((int64_t)part.value, call->arena);
        else column_strs(out)[row] = numeric_from_int128(part.value, part.scale, call->arena);
    }
}

/* ---- date_trunc ---- */

/* Before the first of all timestamps there is only -infinity. */
static int64_t midnight(int64_t days) {
    int64_t us;
    return __builtin_mul_overflow(days, US_PER_DAY, &us) ? INT64_MIN : us;
}

static bool truncate_time(TimeField field, int64_t us, int64_t *to) {
    static const int64_t units[] = {[FIELD_MICROSECONDS] = 1,
                                    [FIELD_MILLISECONDS] = 1000,
                                    [FIELD_SECOND] = US_PER_SECOND,
                                    [FIELD_MINUTE] = 60 * US_PER_SECOND,
                                    [FIELD_HOUR] = 3600 * US_PER_SECOND,
                                    [FIELD_DAY] = US_PER_DAY};
    if (field < FIELD_MICROSECONDS || field > FIELD_MILLENNIUM) return false;
    if (us == INT64_MIN || us == INT64_MAX) {
        *to = us;
        return true;
    }
    if (field <= FIELD_DAY) {
        int64_t rest = us % units[field];
        if (__builtin_sub_overflow(us, rest < 0 ? rest + units[field] : rest, to)) *to = INT64_MIN;
        return true;
    }
    int64_t days = us / US_PER_DAY - (us % US_PER_DAY < 0);
    if (field == FIELD_WEEK) {
        *to = midnight(days - ((days + 3) % 7 + 7) % 7);
        return true;
    }
    Calendar c;
    calendar_from_us(us, &c);
    int year = c.year, month = 1;
    switch (field) {
    case FIELD_MONTH: month = c.month; break;
    case FIELD_QUARTER: month = (c.month - 1) / 3 * 3 + 1; break;
    case FIELD_DECADE: year = year > 0 ? year / 10 * 10 : -((8 - (year - 1)) / 10) * 10; break;
    case FIELD_CENTURY:
        year = year > 0 ? (year + 99) / 100 * 100 - 99 : -((99 - (year - 1)) / 100) * 100 + 1;
        break;
    case FIELD_MILLENNIUM:
        year =
            year > 0 ? (year + 999) / 1000 * 1000 - 999 : -((999 - (year - 1)) / 1000) * 1000 + 1;
        break;
    default: break;
    }
    *to = midnight(days_from_civil(year, month, 1));
    return true;
}

static void truncate_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    bool date = args[1]->type.kind == TYPE_DATE;
    EACH_OK_ROW(row) {
        int64_t us = args[1]->ints[row];
        if (date && __builtin_mul_overflow(us, US_PER_DAY, &us))
            column_fail(call, out, row, "date out of range for timestamp");
        else if (!truncate_time(call_field(call, args[0], row), us, &column_ints(out)[row]))
            field_fail(call, out, row, args[0], date ? TYPE_TIMESTAMPTZ : args[1]->type.kind, true);
    }
}

static void truncate_in_zone_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        TimeField field = call_field(call, args[0], row);
        int64_t us = args[1]->ints[row], local = us;
        int offset = 0;
        Error error;
        Status status = zone_offset(args[2]->strs[row], us, false, &offset, &error);
        bool fits = !__builtin_add_overflow(us, offset * US_PER_SECOND, &local);
        if (status == OK && !truncate_time(field, local, &local)) {
            field_fail(call, out, row, args[0], TYPE_TIMESTAMPTZ, true);
            continue;
        }
        if (status == OK && field >= FIELD_DAY)
            status = zone_offset(args[2]->strs[row], local, true, &offset, &error);
        if (status != OK) column_fail(call, out, row, "%s", error.text);
        else if (us == INT64_MIN || us == INT64_MAX) column_ints(out)[row] = us;
        else if (!fits ||
                 __builtin_sub_overflow(local, offset * US_PER_SECOND, &column_ints(out)[row]))
            column_fail(call, out, row, "timestamp out of range");
    }
}

/* ---- of intervals; bins ---- */

static bool truncate_interval(TimeField field, Interval *i) {
    static const int months[] = {
        [FIELD_MONTH] = 1,    [FIELD_QUARTER] = 3,    [FIELD_YEAR] = 12,
        [FIELD_DECADE] = 120, [FIELD_CENTURY] = 1200, [FIELD_MILLENNIUM] = 12000};
    static const int64_t units[] = {[FIELD_MICROSECONDS] = 1,
                                    [FIELD_MILLISECONDS] = 1000,
                                    [FIELD_SECOND] = US_PER_SECOND,
                                    [FIELD_MINUTE] = 60 * US_PER_SECOND,
                                    [FIELD_HOUR] = 3600 * US_PER_SECOND};
    if (field < FIELD_MICROSECONDS || field > FIELD_MILLENNIUM || field == FIELD_WEEK) return false;
    if (field >= FIELD_DAY) i->us = 0;
    else i->us -= i->us % units[field];
    if (field > FIELD_DAY) {
        i->days = 0;
        i->months -= i->months % months[field];
    }
    return true;
}

static void truncate_interval_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Interval i = args[1]->intervals[row];
        if (truncate_interval(call_field(call, args[0], row), &i)) column_intervals(out)[row] = i;
        else field_fail(call, out, row, args[0], TYPE_INTERVAL, true);
    }
}

static void bin_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Interval stride = args[0]->intervals[row];
        int64_t us = args[1]->ints[row], origin = args[2]->ints[row], step, distance;
        if (us == INT64_MIN || us == INT64_MAX) column_ints(out)[row] = us;
        else if (origin == INT64_MIN || origin == INT64_MAX)
            column_fail(call, out, row, "origin out of range");
        else if (stride.months)
            column_fail(call, out, row,
                        "timestamps cannot be binned into intervals containing months or years");
        else if (__builtin_mul_overflow((int64_t)stride.days, US_PER_DAY, &step) ||
                 __builtin_add_overflow(step, stride.us, &step) ||
                 __builtin_sub_overflow(us, origin, &distance))
            column_fail(call, out, row, "interval out of range");
        else if (step <= 0) column_fail(call, out, row, "stride must be greater than zero");
        else {
            int64_t rest = distance % step;
            if (__builtin_sub_overflow(us, rest < 0 ? rest + step : rest, &column_ints(out)[row]))
                column_fail(call, out, row, "timestamp out of range");
        }
    }
}

#define S FUNCTION_STRICT
#define N TYPE_NUMERIC
#define F8 TYPE_FLOAT8
#define T TYPE_TEXT
#define TS TYPE_TIMESTAMP
#define TZ TYPE_TIMESTAMPTZ
#define IV TYPE_INTERVAL
#define D TYPE_DATE
#define FIELDS                                                                                     \
    "microseconds, milliseconds, second, minute, hour, day, week, month, quarter, year, decade, "  \
    "century, millennium, "                                                                        \
    "epoch, dow, isodow, doy, isoyear, julian, timezone"
const Function time_field_functions[] = {
    {"extract", N, 2, {T, TS}, S, part_kernel, prepare_field, "extract(field from time): " FIELDS},
    {"extract",
     N,
     2,
     {T, TZ},
     S,
     part_kernel,
     prepare_field,
     "extract(field from time), in UTC: " FIELDS},
    {"extract", N, 2, {T, IV}, S, part_kernel, prepare_field, "extract(field from interval)"},
    {"extract", N, 2, {T, D}, S, part_kernel, prepare_field, "extract(field from date)"},
    {"date_part", F8, 2, {T, TS}, S, part_kernel, prepare_field, "extract as double precision"},
    {"date_part", F8, 2, {T, TZ}, S, part_kernel, prepare_field, "extract as double precision"},
    {"date_part", F8, 2, {T, IV}, S, part_kernel, prepare_field, "extract as double precision"},
    {"date_part", F8, 2, {T, D}, S, part_kernel, prepare_field, "extract as double precision"},
    {"date_trunc",
     TS,
     2,
     {T, TS},
     S,
     truncate_kernel,
     prepare_field,
     "the start of the hour, day, week … that it is in"},
    {"date_trunc",
     TZ,
     2,
     {T, TZ},
     S,
     truncate_kernel,
     prepare_field,
     "the start of the hour, day, week … in UTC"},
    {"date_trunc",
     TZ,
     2,
     {T, D},
     S,
     truncate_kernel,
     prepare_field,
     "the start of the week, month … in UTC"},
    {"date_trunc",
     TZ,
     3,
     {T, TZ, T},
     S,
     truncate_in_zone_kernel,
     prepare_field,
     "the same in that time zone"},
    {"date_trunc",
     IV,
     2,
     {T, IV},
     S,
     truncate_interval_kernel,
     prepare_field,
     "the interval without its smaller parts"},
    {"date_bin",
     TS,
     3,
     {IV, TS, TS},
     S,
     bin_kernel,
     NULL,
     "date_bin(stride, time, origin): the start of its bin"},
    {"date_bin",
     TZ,
     3,
     {IV, TZ, TZ},
     S,
     bin_kernel,
     NULL,
     "date_bin(stride, time, origin): the start of its bin"},
    {0},
};
