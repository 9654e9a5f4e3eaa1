/* to_char of times: a timestamp's or an interval's parts put into a picture. Names of months and
 * days are English. An interval has no calendar date, so the fields that need one are refused; its
 * hours may exceed a day and its parts may be negative. */
#include "expr/picture.h"
#include "data/time.h"
#include "expr/time_field.h"

typedef struct Moment {
    int64_t year, month, day, hour; /* year 0 is 1 BC; of an interval: its own */
    int minute, second, us;
    int weekday; /* 0: Sunday */
    int64_t day_of_year, julian;
    int iso_year, iso_week;
    bool interval, zone;
} Moment;

static Moment moment_of_time(int64_t us, bool zone) {
    Calendar c;
    calendar_from_us(us, &c);
    int64_t days = days_from_civil(c.year, c.month, c.day);
    Moment m = {.year = c.year,
                .month = c.month,
                .day = c.day,
                .hour = c.hour,
                .minute = c.minute,
                .second = c.second,
                .us = c.us,
                .zone = zone};
    m.weekday = (int)(((days + 4) % 7 + 7) % 7);
    m.day_of_year = days - days_from_civil(c.year, 1, 1) + 1;
    m.julian = days + 2440588;
    iso_week(c.year, c.month, c.day, &m.iso_week, &m.iso_year);
    return m;
}

static Moment moment_of_interval(Interval i) {
    int64_t seconds = i.us / US_PER_SECOND;
    Moment m = {.year = i.months / 12,
                .month = i.months % 12,
                .day = i.days,
                .hour = seconds / 3600,
                .minute = (int)(seconds / 60 % 60),
                .second = (int)(seconds % 60),
                .us = (int)(i.us % US_PER_SECOND),
                .interval = true};
    m.day_of_year = (m.year * 12 + m.month) * 30 + m.day;
    return m;
}

/* As "%0*d": zeros in front up to `width` characters, the sign among them. */
static void add_padded(int64_t value, int width, Buffer *out) {
    char digits[24];
    int at = (int)sizeof digits;
    uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;
    do digits[--at] = (char)('0' + rest % 10);
    while (rest /= 10);
    int size = (int)sizeof digits - at;
    if (value < 0) buffer_add_char(out, '-');
    for (int i = size + (value < 0); i < width; i++) buffer_add_char(out, '0');
    buffer_add(out, digits + at, (size_t)size);
}

/* With `width` digits, one character more for a sign; with FM as short as it gets. */
static void add_number(const PictureNode *node, int64_t value, int width, Buffer *out) {
    add_padded(value, node->fill ? 0 : value < 0 ? width + 1 : width, out);
}

static void add_word(const PictureNode *node, const char *name, int letters, int width,
                     Buffer *out) {
    int size = (int)strlen(name);
    if (letters && size > letters) size = letters;
    for (int i = 0; i < size; i++) {
        char c = name[i];
        bool upper = node->letters == CASE_UPPER || (node->letters == CASE_TITLE && i == 0);
        if (c >= 'A' && c <= 'Z' && !upper) c = (char)(c + 32);
        if (c >= 'a' && c <= 'z' && upper) c = (char)(c - 32);
        buffer_add_char(out, c);
    }
    for (int i = size; i < width && !node->fill; i++) buffer_add_char(out, ' ');
}

static bool is_zone(PictureField field) {
    return field == PICTURE_ZONE || field == PICTURE_ZONE_HOUR || field == PICTURE_ZONE_MINUTE ||
           field == PICTURE_OFFSET;
}

static bool needs_date(PictureField field) {
    return field == PICTURE_AD || field == PICTURE_DAY_NAME || field == PICTURE_DAY_SHORT ||
           field == PICTURE_MONTH_NAME || field == PICTURE_MONTH_SHORT ||
           field == PICTURE_WEEKDAY || field == PICTURE_ISO_WEEKDAY || field == PICTURE_ZONE ||
           field == PICTURE_ZONE_HOUR || field == PICTURE_ZONE_MINUTE || field == PICTURE_OFFSET ||
           field == PICTURE_JULIAN || field == PICTURE_ISO_YEAR || field == PICTURE_ISO_WEEK ||
           field == PICTURE_ISO_DAY_OF_YEAR;
}

static int64_t shown_year(const Moment *m, int64_t year) {
    return !m->interval && year <= 0 ? 1 - year : year;
}

static void add_year(const PictureNode *node, int64_t year, Buffer *out) {
    static const int64_t cut[] = {0, 10, 100, 1000, INT64_MAX};
    int64_t value = year % cut[node->digits];
    int width = node->digits == 1 ? 1 : node->digits + (year < 0);
    add_padded(value, node->fill && node->digits > 1 ? 0 : width, out);
}

static void add_century(const PictureNode *node, const Moment *m, Buffer *out) {
    int64_t century = m->interval || m->year <= 0 ? m->year / 100 - (m->interval ? 0 : 1)
                                                  : (m->year - 1) / 100 + 1;
    add_number(node, century, century <= 99 && century >= -99 ? 2 : 0, out);
}

static void add_roman_month(const PictureNode *node, const Moment *m, Buffer *out) {
    if (!m->month && !m->year) return;
    int64_t month = m->month ? (m->month < 0 ? m->month + 13 : m->month) : m->year >= 0 ? 12 : 1;
    if (m->month < 0) month = 13 + m->month;
    add_word(node, roman_months[month - 1], 0, 4, out);
}

static void add_time_field(const PictureNode *node, const Moment *m, Buffer *out) {
    static const int fraction_unit[] = {0, 100000, 10000, 1000, 100, 10, 1};
    int64_t hour = m->hour % 12;
    switch (node->field) {
    case PICTURE_AM: {
        bool late = m->hour % 24 >= 12;
        add_word(node, node->dotted ? (late ? "P.M." : "A.M.") : late ? "PM" : "AM", 0, 0, out);
        break;
    }
    case PICTURE_HOUR12: {
        int width = m->hour >= 0 ? 2 : 3;
        add_padded(hour == 0 ? 12 : hour, node->fill ? 0 : width, out);
        break;
    }
    case PICTURE_HOUR24: add_number(node, m->hour, 2, out); break;
    case PICTURE_MINUTE: add_number(node, m->minute, 2, out); break;
    case PICTURE_SECOND: add_number(node, m->second, 2, out); break;
    case PICTURE_FRACTION:
        add_padded(m->us / fraction_unit[node->digits], node->digits, out);
        break;
    case PICTURE_MILLISECOND:
    case PICTURE_MICROSECOND:
        add_padded(node->digits == 3 ? m->us / 1000 : m->us, node->digits, out);
        break;
    case PICTURE_SECOND_OF_DAY:
        add_number(node, (m->hour * 60 + m->minute) * 60 + m->second, 0, out);
        break;
    case PICTURE_ZONE:
        if (m->zone) add_word(node, "UTC", 0, 0, out);
        break;
    case PICTURE_ZONE_HOUR: buffer_add_text(out, "+00"); break;
    case PICTURE_ZONE_MINUTE: buffer_add_text(out, "00"); break;
    case PICTURE_OFFSET: buffer_add_text(out, node->fill ? "+0" : "+00"); break;
    default: break;
    }
}

static void add_date_field(const PictureNode *node, const Moment *m, Buffer *out) {
    int64_t year = shown_year(m, m->year), iso_year = shown_year(m, m->iso_year);
    switch (node->field) {
    case PICTURE_AD:
        add_word(node,
                 m->year <= 0   ? (node->dotted ? "B.C." : "BC")
                 : node->dotted ? "A.D."
                                : "AD",
                 0, 0, out);
        break;
    case PICTURE_MONTH_NAME: add_word(node, month_names[m->month - 1], 0, 9, out); break;
    case PICTURE_MONTH_SHORT: add_word(node, month_names[m->month - 1], 3, 0, out); break;
    case PICTURE_MONTH: add_number(node, m->month, 2, out); break;
    case PICTURE_DAY_NAME: add_word(node, day_names[m->weekday], 0, 9, out); break;
    case PICTURE_DAY_SHORT: add_word(node, day_names[m->weekday], 3, 0, out); break;
    case PICTURE_DAY_OF_YEAR: add_padded(m->day_of_year, node->fill ? 0 : 3, out); break;
    case PICTURE_ISO_DAY_OF_YEAR:
        add_number(node, (m->iso_week - 1) * 7 + (m->weekday ? m->weekday : 7), 3, out);
        break;
    case PICTURE_DAY: add_padded(m->day, node->fill ? 0 : 2, out); break;
    case PICTURE_WEEKDAY: add_number(node, m->weekday + 1, 0, out); break;
    case PICTURE_ISO_WEEKDAY: add_number(node, m->weekday ? m->weekday : 7, 0, out); break;
    case PICTURE_WEEK_OF_YEAR:
        add_padded((m->day_of_year - 1) / 7 + 1, node->fill ? 0 : 2, out);
        break;
    case PICTURE_ISO_WEEK: add_number(node, m->iso_week, 2, out); break;
    case PICTURE_QUARTER:
        if (m->month) add_number(node, (m->month - 1) / 3 + 1, 0, out);
        break;
    case PICTURE_CENTURY: add_century(node, m, out); break;
    case PICTURE_YEAR_COMMA:
        buffer_add_format(out, "%lld,%03lld", (long long)(year / 1000), (long long)(year % 1000));
        break;
    case PICTURE_YEAR: add_year(node, year, out); break;
    case PICTURE_ISO_YEAR: add_year(node, iso_year, out); break;
    case PICTURE_ROMAN_MONTH: add_roman_month(node, m, out); break;
    case PICTURE_WEEK_OF_MONTH: add_number(node, (m->day - 1) / 7 + 1, 0, out); break;
    case PICTURE_JULIAN: add_number(node, m->julian, 0, out); break;
    default: add_time_field(node, m, out);
    }
}

static void to_char_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    TypeKind type = args[0]->type.kind;
    Buffer made = {0};
    EACH_OK_ROW(row) {
        int64_t us = type == TYPE_INTERVAL ? 0 : args[0]->ints[row];
        if (args[1]->strs[row].size == 0 || us == INT64_MIN || us == INT64_MAX) {
            column_null(call, out, row); /* PostgreSQL's answer to an empty picture */
            continue;
        }
        const Picture *picture = call_picture(call, args[1], row);
        if (type == TYPE_DATE && __builtin_mul_overflow(us, US_PER_DAY, &us)) {
            column_fail(call, out, row, "date out of range for timestamp");
            continue;
        }
        Moment m = type == TYPE_INTERVAL ? moment_of_interval(args[0]->intervals[row])
                                         : moment_of_time(us, type != TYPE_TIMESTAMP);
        made.size = 0;
        int i = 0;
        for (; i < picture->count; i++) {
            const PictureNode *node = &picture->nodes[i];
            if (node->kind != PICTURE_FIELD) buffer_add_str(&made, node->text);
            else if (m.interval && needs_date(node->field)) break;
            else {
                size_t before = made.size;
                add_date_field(node, &m, &made);
                if (node->ordinal && !is_zone(node->field))
                    add_ordinal(&made, before, node->th_upper);
            }
        }
        if (i < picture->count)
            column_fail(call, out, row,
                        "invalid format specification for an interval value: \"%.*s\" needs a "
                        "calendar date",
                        STR_ARG(picture->nodes[i].text));
        else set_text(call, out, row, &made);
    }
    buffer_free(&made);
}

#define S FUNCTION_STRICT
#define T TYPE_TEXT
const Function to_char_functions[] = {
    {"to_char",
     T,
     2,
     {TYPE_TIMESTAMP, T},
     S,
     to_char_kernel,
     prepare_picture,
     "to_char(time, picture): YYYY MM DD HH24 MI SS MS US Mon Day IYYY IW Q TZ … ; names are "
     "English"},
    {"to_char",
     T,
     2,
     {TYPE_TIMESTAMPTZ, T},
     S,
     to_char_kernel,
     prepare_picture,
     "to_char(time, picture), in UTC"},
    {"to_char", T, 2, {TYPE_DATE, T}, S, to_char_kernel, prepare_picture, "to_char(date, picture)"},
    {"to_char",
     T,
     2,
     {TYPE_INTERVAL, T},
     S,
     to_char_kernel,
     prepare_picture,
     "to_char(interval, picture)"},
    {0},
};
