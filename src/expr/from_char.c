/* to_timestamp and to_date: text read by a picture. As PostgreSQL's it is lenient: blanks are
 * skipped, a separator in the picture matches any or none in the text, other characters are skipped
 * unread, and what stands behind the picture's end is ignored; FX makes it strict. A number takes
 * as many digits as its field's name has letters, or all there are where no digit can follow. What
 * was read is then put together in a fixed order, whatever the order in the text. */
#include "data/time.h"
#include "expr/picture.h"
#include "expr/time_field.h"

typedef struct Parts { /* 0: not given */
    int hour, minute, second, seconds_of_day, millisecond, microsecond;
    int year, month, day, day_of_year, weekday /* 1: Sunday */, week, week_of_month, century,
        julian;
    int fraction_digits, year_digits, zone_sign, zone_hour, zone_minute;
    bool bc, pm, clock12, iso, gregorian, ad_given, pm_given;
} Parts;

typedef struct Scan {
    const char *begin, *at, *end;
    const Picture *picture;
    int node;
    bool fixed;
    int skipped; /* characters of the text skipped beyond what the picture says */
    Parts parts;
    Error *error;
} Scan;

static bool is_blank(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
static bool is_digit(char c) { return c >= '0' && c <= '9'; }
static bool is_separator(char c) {
    return c > ' ' && c < 0x7f && !is_digit(c) && !(c >= 'a' && c <= 'z') &&
           !(c >= 'A' && c <= 'Z');
}

static Str field_name(const Scan *s) { return s->picture->nodes[s->node].text; }

/* May what follows this node begin with no digit? */
static bool digits_end(const Scan *s) {
    const PictureNode *node = &s->picture->nodes[s->node];
    if (node->ordinal || s->node + 1 >= s->picture->count) return true;
    const PictureNode *next = node + 1;
    if (next->kind == PICTURE_FIELD) return !next->is_number;
    return !(next->text.size == 1 && is_digit(next->text.data[0]));
}

/* What a message shows of the text: `size` bytes, and the rest of the last character. */
static Str shown(const Scan *s, const char *first, size_t size) {
    size_t most = (size_t)(s->end - first);
    if (size > most) size = most;
    while (size < most && ((uint8_t)first[size] & 0xc0) == 0x80) size++;
    return (Str){first, size};
}

/* A number of at most `width` digits, or of any number where nothing but digits could end it;
 * *used: its length. */
static Status read_number(Scan *s, int width, int *value, int *used) {
    const PictureNode *node = &s->picture->nodes[s->node];
    const char *start = s->at;
    while (s->at < s->end && is_blank(*s->at)) s->at++;
    bool open = node->fill || digits_end(s);
    const char *limit = open || s->end - s->at < width ? s->end : s->at + width;
    if (!open && s->end - s->at < width)
        return reject(s->error, "source string too short for \"%.*s\" formatting field",
                      STR_ARG(field_name(s)));
    const char *first = s->at, *at = first;
    while (at < limit && is_blank(*at)) at++;
    bool negative = at < limit && *at == '-';
    if (at < limit && (*at == '-' || *at == '+')) at++;
    int64_t number = 0;
    const char *digits = at;
    for (; at < limit && is_digit(*at); at++)
        if (number <= INT32_MAX) number = number * 10 + (*at - '0');
    if (at == digits) at = first;
    if (!open && at > first && at - first < width)
        return reject(s->error, "invalid value \"%.*s\" for \"%.*s\"",
                      STR_ARG(shown(s, first, (size_t)width)), STR_ARG(field_name(s)));
    if (at == start || at == first)
        return reject(s->error, "invalid value \"%.*s\" for \"%.*s\"",
                      STR_ARG(shown(s, first, (size_t)width)), STR_ARG(field_name(s)));
    if (negative) number = -number;
    if (number != (int32_t)number)
        return reject(s->error, "value for \"%.*s\" in source string is out of range",
                      STR_ARG(field_name(s)));
    s->at = at;
    *value = (int)number;
    *used = (int)(at - start);
    return OK;
}

static Status set_part(Scan *s, int *part, int value) {
    if (*part != 0 && *part != value)
        return reject(s->error, "conflicting values for \"%.*s\" field in formatting string",
                      STR_ARG(field_name(s)));
    *part = value;
    return OK;
}

static Status read_part(Scan *s, int width, int *part) {
    int value, used;
    Status status = read_number(s, width, &value, &used);
    return status == OK ? set_part(s, part, value) : status;
}

/* Which of the names the text goes on with, in any case; the text moves behind it. */
static Status read_name(Scan *s, const char *const *names, int count, int letters, int *index) {
    for (int i = 0; i < count; i++) {
        size_t size = strlen(names[i]);
        if (letters && size > (size_t)letters) size = (size_t)letters;
        if ((size_t)(s->end - s->at) < size ||
            !str_equal_nocase((Str){s->at, size}, (Str){names[i], size}))
            continue;
        *index = i;
        s->at += size;
        return OK;
    }
    const char *word_end = s->at;
    while (word_end < s->end && !is_blank(*word_end)) word_end++;
    return reject(s->error, "invalid value \"%.*s\" for \"%.*s\"", (int)(word_end - s->at), s->at,
                  STR_ARG(field_name(s)));
}

static Status read_fraction(Scan *s, int digits, int most, int *part) {
    int value, used;
    Status status = read_number(s, digits, &value, &used);
    for (; status == OK && used < most; used++) value *= 10;
    return status == OK ? set_part(s, part, value) : status;
}

/* A year of fewer than four digits is the one nearest to 2020. */
static Status read_year(Scan *s, int digits) {
    int value, used;
    Status status = read_number(s, digits, &value, &used);
    if (status != OK) return status;
    status = set_part(s, &s->parts.year, value);
    if (digits < 4 && used < 4) {
        if (value < 70) value += 2000;
        else if (value < 100) value += 1900;
        else if (value < 520) value += 2000;
        else if (value < 1000) value += 1000;
    }
    s->parts.year = value;
    s->parts.year_digits = digits;
    return status;
}

static Status read_year_comma(Scan *s) {
    int64_t thousands = 0, rest = 0;
    const char *at = s->at;
    while (at < s->end && is_blank(*at)) at++;
    bool negative = at < s->end && *at == '-';
    if (at < s->end && (*at == '-' || *at == '+')) at++;
    const char *first = at;
    for (; at < s->end && is_digit(*at) && thousands < 100000; at++)
        thousands = thousands * 10 + (*at - '0');
    const char *comma = at;
    if (at > first && at < s->end && *at == ',') at++;
    const char *second = at;
    for (; at < s->end && at - second < 3 && is_digit(*at); at++) rest = rest * 10 + (*at - '0');
    if (comma == second || at == second)
        return reject(s->error, "invalid input string for \"Y,YYY\"");
    s->at = at;
    s->parts.year_digits = 4;
    return set_part(s, &s->parts.year, (int)((negative ? -thousands : thousands) * 1000 + rest));
}

static Status read_zone_hour(Scan *s) {
    bool sign = s->at < s->end && (*s->at == '+' || *s->at == '-' || *s->at == ' ');
    bool minus = sign ? *s->at == '-' : s->skipped > 0 && s->at > s->begin && s->at[-1] == '-';
    s->at += sign;
    s->parts.zone_sign = minus ? -1 : 1;
    return read_part(s, 2, &s->parts.zone_hour);
}

static Status read_half(Scan *s, const char *const names[4], bool *part, bool *given) {
    int index;
    Status status = read_name(s, names, 4, 0, &index);
    if (status != OK) return status;
    bool second = index % 2 == 1;
    if (*given && *part && !second)
        return reject(s->error, "conflicting values for \"%.*s\" field in formatting string",
                      STR_ARG(field_name(s)));
    *part = second, *given = true;
    return OK;
}

static Status read_week_date(Scan *s, const PictureNode *node) {
    Parts *p = &s->parts;
    int index;
    Status status;
    switch (node->field) {
    case PICTURE_DAY_NAME:
    case PICTURE_DAY_SHORT:
        status = read_name(s, day_names, 7, node->field == PICTURE_DAY_SHORT ? 3 : 0, &index);
        if (status == OK) status = set_part(s, &p->weekday, index);
        if (status == OK) p->weekday = index + 1;
        return status;
    case PICTURE_WEEKDAY: return read_part(s, 1, &p->weekday);
    case PICTURE_ISO_WEEKDAY:
        status = read_part(s, 1, &p->weekday);
        if (status == OK && ++p->weekday > 7) p->weekday = 1;
        return status;
    case PICTURE_WEEK_OF_YEAR:
    case PICTURE_ISO_WEEK: return read_part(s, 2, &p->week);
    case PICTURE_DAY_OF_YEAR:
    case PICTURE_ISO_DAY_OF_YEAR: return read_part(s, 3, &p->day_of_year);
    case PICTURE_WEEK_OF_MONTH: return read_part(s, 1, &p->week_of_month);
    case PICTURE_JULIAN: return read_part(s, 1, &p->julian);
    default: return OK;
    }
}

static Status read_date_field(Scan *s, const PictureNode *node) {
    static const char *const ad[] = {"ad", "bc", "AD", "BC"}, *const ad_dotted[] = {"a.d.", "b.c.",
                                                                                    "A.D.", "B.C."};
    static const char *const roman[] = {"XII", "XI", "X",  "IX",  "VIII", "VII",
                                        "VI",  "V",  "IV", "III", "II",   "I"};
    Parts *p = &s->parts;
    int index, used;
    Status status;
    switch (node->field) {
    case PICTURE_YEAR:
    case PICTURE_ISO_YEAR: return read_year(s, node->digits);
    case PICTURE_YEAR_COMMA: return read_year_comma(s);
    case PICTURE_MONTH: return read_part(s, 2, &p->month);
    case PICTURE_MONTH_NAME:
    case PICTURE_MONTH_SHORT:
        status = read_name(s, month_names, 12, node->field == PICTURE_MONTH_SHORT ? 3 : 0, &index);
        return status == OK ? set_part(s, &p->month, index + 1) : status;
    case PICTURE_ROMAN_MONTH:
        status = read_name(s, roman, 12, 0, &index);
        return status == OK ? set_part(s, &p->month, 12 - index) : status;
    case PICTURE_DAY: return read_part(s, 2, &p->day);
    case PICTURE_CENTURY: return read_part(s, 2, &p->century);
    case PICTURE_QUARTER:
        return read_number(s, 1, &index, &used); /* read, and as in PostgreSQL without effect */
    case PICTURE_AD: return read_half(s, node->dotted ? ad_dotted : ad, &p->bc, &p->ad_given);
    default: return read_week_date(s, node);
    }
}

static Status read_field(Scan *s, const PictureNode *node) {
    static const char *const am[] = {"am", "pm", "AM", "PM"}, *const am_dotted[] = {"a.m.", "p.m.",
                                                                                    "A.M.", "P.M."};
    Parts *p = &s->parts;
    switch (node->field) {
    case PICTURE_FIXED: s->fixed = true; return OK;
    case PICTURE_AM:
        p->clock12 = true;
        return read_half(s, node->dotted ? am_dotted : am, &p->pm, &p->pm_given);
    case PICTURE_HOUR12: p->clock12 = true; return read_part(s, 2, &p->hour);
    case PICTURE_HOUR24: return read_part(s, 2, &p->hour);
    case PICTURE_MINUTE: return read_part(s, 2, &p->minute);
    case PICTURE_SECOND: return read_part(s, 2, &p->second);
    case PICTURE_SECOND_OF_DAY: return read_part(s, node->digits, &p->seconds_of_day);
    case PICTURE_MILLISECOND: return read_fraction(s, 3, 3, &p->millisecond);
    case PICTURE_MICROSECOND: return read_fraction(s, 6, 6, &p->microsecond);
    case PICTURE_FRACTION:
        p->fraction_digits = node->digits;
        return read_fraction(s, node->digits, 6, &p->microsecond);
    case PICTURE_ZONE_HOUR: return read_zone_hour(s);
    case PICTURE_ZONE_MINUTE:
        if (!p->zone_sign) p->zone_sign = 1;
        return read_part(s, 2, &p->zone_minute);
    case PICTURE_ZONE:
    case PICTURE_OFFSET:
        return reject(s->error, "formatting code \"%.*s\" is only supported in to_char",
                      STR_ARG(node->text));
    default: return read_date_field(s, node);
    }
}

/* ISO weeks and calendar dates do not go together. */
static Status check_convention(Scan *s, PictureField field) {
    bool iso = field == PICTURE_ISO_DAY_OF_YEAR || field == PICTURE_ISO_WEEKDAY ||
               field == PICTURE_ISO_WEEK || field == PICTURE_ISO_YEAR;
    bool gregorian =
        field == PICTURE_DAY_OF_YEAR || field == PICTURE_DAY || field == PICTURE_WEEKDAY ||
        field == PICTURE_MONTH || field == PICTURE_MONTH_NAME || field == PICTURE_MONTH_SHORT ||
        field == PICTURE_ROMAN_MONTH || field == PICTURE_WEEK_OF_YEAR ||
        field == PICTURE_WEEK_OF_MONTH || field == PICTURE_YEAR || field == PICTURE_YEAR_COMMA;
    s->parts.iso |= iso;
    s->parts.gregorian |= gregorian;
    if (s->parts.iso && s->parts.gregorian)
        return reject(s->error, "invalid combination of date conventions");
    return OK;
}

static void skip_character(Scan *s) { s->at += utf8_step(s->at, s->end); }

static Status scan(Scan *s) {
    for (; s->node < s->picture->count && s->at < s->end; s->node++) {
        const PictureNode *node = &s->picture->nodes[s->node];
        bool fixes = node->kind == PICTURE_FIELD && node->field == PICTURE_FIXED;
        if (!s->fixed && !fixes && (node->kind == PICTURE_FIELD || s->node == 0))
            for (; s->at < s->end && is_blank(*s->at); s->at++) s->skipped++;
        if (s->at >= s->end && node->kind != PICTURE_FIELD) break;
        if (node->kind == PICTURE_SPACE || node->kind == PICTURE_SEPARATOR) {
            if (s->fixed) skip_character(s);
            else if (is_blank(*s->at) || is_separator(*s->at)) s->at++;
            else s->skipped--;
            continue;
        }
        if (node->kind == PICTURE_CHARACTER) {
            if (!s->fixed && s->skipped > 0) s->skipped--;
            else skip_character(s);
            continue;
        }
        Status status = check_convention(s, node->field);
        if (status == OK) status = read_field(s, node);
        if (status != OK) return status;
        if (node->ordinal) s->at += s->end - s->at < 2 ? s->end - s->at : 2;
        if (!s->fixed)
            for (s->skipped = 0; s->at < s->end && is_blank(*s->at); s->at++) s->skipped++;
    }
    return OK;
}

/* ---- putting it together ---- */

typedef struct Date {
    int64_t year, month, day; /* year 0 is 1 BC */
} Date;

enum { DAYS_MOST = 106741034 }; /* 294246 AD, the end of timestamps */

static bool date_of_days(int64_t days, Date *d) { /* false: no timestamp has that day */
    if (days < -DAYS_MOST || days > DAYS_MOST) return false;
    Calendar c;
    calendar_from_us(days * US_PER_DAY, &c);
    *d = (Date){c.year, c.month, c.day};
    return true;
}

static int64_t iso_week_start(int64_t year, int64_t week) { /* the Monday, as days */
    int64_t fourth = days_from_civil((int)year, 1, 4);
    return fourth - ((fourth + 3) % 7 + 7) % 7 + (week - 1) * 7;
}

static int month_days(int64_t year, int64_t month) {
    static const int8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static void put_year(Parts *p, Date *d) {
    int64_t century = p->bc ? -(int64_t)p->century : p->century;
    if (p->year && p->century && p->year_digits <= 2) { /* two digits within that century */
        d->year = p->year % 100;
        if (d->year)
            d->year =
                century >= 0 ? d->year + (century - 1) * 100 : (century + 1) * 100 - d->year + 1;
        else d->year = century * 100 + (century >= 0 ? 0 : 1);
    } else if (p->year) {
        d->year = p->bc ? -(int64_t)p->year : p->year;
        if (d->year < 0) d->year++;
    } else if (p->century) d->year = century >= 0 ? (century - 1) * 100 + 1 : century * 100 + 1;
}

static Status out_of_range(Scan *s) {
    return reject(s->error, "date/time field value out of range: \"%.*s\"",
                  (int)(s->end - s->begin), s->begin);
}

static Status put_day_of_year(Scan *s, int64_t days, Date *d) {
    if (!d->year && !s->parts.bc)
        return reject(s->error, "cannot calculate day of year without year information");
    if (s->parts.iso) {
        if (!date_of_days(iso_week_start(d->year, 1) + days - 1, d)) return out_of_range(s);
    } else {
        int month = 1;
        for (; month <= 12 && days > month_days(d->year, month); month++)
            days -= month_days(d->year, month);
        if (d->month <= 1) d->month = month;
        if (d->day <= 1) d->day = days;
    }
    return OK;
}

static Status put_date(Scan *s, int64_t *days) {
    Parts *p = &s->parts;
    Date d = {0, 1, 1};
    int64_t day_of_year = p->day_of_year, day = p->day;
    put_year(p, &d);
    if (d.year > 5874897 || d.year < -5000 || p->julian < 0 || p->week < -1000 ||
        p->week > 100000 || p->julian > 2147483494)
        return out_of_range(s);
    if (p->julian && !date_of_days(p->julian - INT64_C(2440588), &d)) return out_of_range(s);
    if (p->week && p->iso) {
        int weekday = p->weekday ? (p->weekday > 1 ? p->weekday - 2 : 6) : 0; /* 0: Monday */
        if (!date_of_days(iso_week_start(d.year, p->week) + weekday, &d)) return out_of_range(s);
    } else if (p->week) day_of_year = (p->week - 1) * INT64_C(7) + 1;
    if (p->week_of_month) day = (p->week_of_month - 1) * INT64_C(7) + 1;
    if (day) d.day = day;
    if (p->month) d.month = p->month;
    if (day_of_year && (d.month <= 1 || d.day <= 1)) {
        Status status = put_day_of_year(s, day_of_year, &d);
        if (status != OK) return status;
    }
    if (d.month < 1 || d.month > 12 || d.day < 1 || d.day > month_days(d.year, d.month))
        return out_of_range(s);
    *days = days_from_civil((int)d.year, (int)d.month, (int)d.day);
    return OK;
}

static Status check_clock(Scan *s) {
    const Parts *p = &s->parts;
    int hour = p->hour ? p->hour : p->seconds_of_day / 3600;
    if (!p->clock12 || (hour >= 1 && hour <= 12)) return OK;
    return reject(s->error,
                  "hour \"%d\" is invalid for the 12-hour clock; use the 24-hour clock, or give an "
                  "hour between 1 and 12",
                  hour);
}

static Status put_time(Scan *s, int64_t *us) {
    Parts *p = &s->parts;
    int64_t hour = p->seconds_of_day / 3600, minute = p->seconds_of_day / 60 % 60,
            second = p->seconds_of_day % 60;
    if (p->second) second = p->second;
    if (p->minute) minute = p->minute;
    if (p->hour) hour = p->hour;
    if (p->clock12) {
        if (p->pm && hour < 12) hour += 12;
        else if (!p->pm && hour == 12) hour = 0;
    }
    int64_t fraction = p->millisecond * INT64_C(1000) + p->microsecond;
    if (hour < 0 || hour > 23 || minute < 0 || minute > 59 || second < 0 || second > 59 ||
        fraction < 0 || fraction >= US_PER_SECOND)
        return out_of_range(s);
    *us = ((hour * 60 + minute) * 60 + second) * US_PER_SECOND + fraction;
    return OK;
}

static Status read_time(Scan *s, bool date_only, int64_t *result) {
    int64_t days = 0, us = 0;
    Status status = scan(s);
    if (status == OK) status = check_clock(s);
    if (status == OK) status = put_date(s, &days);
    if (status == OK) status = put_time(s, &us);
    if (status != OK) return status;
    const Parts *p = &s->parts;
    if (p->zone_sign &&
        (p->zone_hour < 0 || p->zone_hour > 15 || p->zone_minute < 0 || p->zone_minute > 59))
        return reject(s->error, "time zone displacement out of range: \"%.*s\"",
                      (int)(s->end - s->begin), s->begin);
    if (days < -2440588 || (!date_only && days > DAYS_MOST)) /* 4714 BC */
        return reject(s->error, "%s out of range: \"%.*s\"", date_only ? "date" : "timestamp",
                      (int)(s->end - s->begin), s->begin);
    if (date_only) {
        *result = days;
        return OK;
    }
    if (p->fraction_digits) { /* FF3: rounded to that many digits */
        static const int units[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
        int unit = units[p->fraction_digits];
        us = (us + unit / 2) / unit * unit;
    }
    int64_t offset_minutes = p->zone_sign * (p->zone_hour * 60 + p->zone_minute);
    *result = days * US_PER_DAY + us - offset_minutes * 60 * US_PER_SECOND;
    return OK;
}

static void from_char_kernel(Call *call, int rows, const Column *const *args, Column *out) {
    EACH_OK_ROW(row) {
        Str text = args[0]->strs[row];
        Error error;
        Scan s = {.begin = text.data,
                  .at = text.data,
                  .end = text.data + text.size,
                  .picture = call_picture(call, args[1], row),
                  .error = &error};
        if (read_time(&s, out->type.kind == TYPE_DATE, &column_ints(out)[row]) != OK)
            column_fail(call, out, row, "%s", error.text);
    }
}

#define S FUNCTION_STRICT
const Function from_char_functions[] = {
    {"to_timestamp",
     TYPE_TIMESTAMPTZ,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     from_char_kernel,
     prepare_picture,
     "to_timestamp(text, picture): read as to_char writes it, in UTC unless TZH says otherwise"},
    {"to_date",
     TYPE_DATE,
     2,
     {TYPE_TEXT, TYPE_TEXT},
     S,
     from_char_kernel,
     prepare_picture,
     "to_date(text, picture)"},
    {0},
};
