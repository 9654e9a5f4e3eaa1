/* The calendar, RFC 3339 in and out, and PostgreSQL's ISO output. Days and civil dates are
 * converted by Howard Hinnant's algorithms (years that begin in March, eras of 400 years), which
 * need no loops and no tables. rfc3339_parse stands on the path of every event: it checks the fixed
 * part of the text with arithmetic on all digits at once and branches only for what is rare. */
#include "data/time_internal.h"
#include "data/double.h"
#include <math.h>

int64_t days_from_civil(int year, int month, int day) {
    int64_t y = (int64_t)year - (month <= 2);
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    int64_t year_of_era = y - era * 400;
    int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;
    int64_t day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    return era * 146097 + day_of_era - 719468;
}

static void civil_from_days(int64_t days, int *year, int *month, int *day) {
    days += 719468;
    int64_t era = (days >= 0 ? days : days - 146096) / 146097;
    int64_t day_of_era = days - era * 146097;
    int64_t year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    int64_t shifted = (5 * day_of_year + 2) / 153;
    *day = (int)(day_of_year - (153 * shifted + 2) / 5 + 1);
    *month = (int)(shifted < 10 ? shifted + 3 : shifted - 9);
    *year = (int)(year_of_era + era * 400 + (*month <= 2));
}

void calendar_from_us(int64_t us, Calendar *out) {
    int64_t days = us / US_PER_DAY, rest = us % US_PER_DAY;
    if (rest < 0) {
        rest += US_PER_DAY;
        days--;
    }
    civil_from_days(days, &out->year, &out->month, &out->day);
    out->us = (int)(rest % US_PER_SECOND);
    int seconds = (int)(rest / US_PER_SECOND);
    out->hour = seconds / 3600;
    out->minute = seconds / 60 % 60;
    out->second = seconds % 60;
}

int64_t calendar_to_us(const Calendar *c) {
    int64_t seconds = days_from_civil(c->year, c->month, c->day) * 86400 + c->hour * 3600 +
                      c->minute * 60 + c->second;
    return seconds * US_PER_SECOND + c->us;
}

int month_length(int year, int month) {
    static const uint8_t lengths[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return lengths[month - 1] + (month == 2 && leap);
}

int64_t fraction_us(const char *digits, size_t count) {
    if (count == 0) return 0;
    uint32_t us = 0;
    size_t whole = count < 6 ? count : 6;
    for (size_t i = 0; i < whole; i++) us = us * 10 + (uint32_t)(digits[i] - '0');
    for (size_t i = whole; i < 6; i++) us *= 10;
    if (count <= 6) return us;
    if (count == 7 && digits[6] != '5') return us + (digits[6] > '5');
    /* Near a half PostgreSQL's answer is that of its arithmetic: the double nearest to the text,
     * times 10^6, rounded half to even. No more than the digits that a double can tell apart need
     * be read. */
    char text[2 + 40];
    if (count > 40) count = 40;
    text[0] = '0';
    text[1] = '.';
    memcpy(text + 2, digits, count);
    double value = 0;
    if (double_scan(text, 2 + count, &value) != NUMBER_OK)
        return us; /* so small that it rounds to nothing */
    return (int64_t)rint(value * 1e6);
}

static unsigned two(const char *at) {
    return (unsigned)(at[0] - '0') * 10 + (unsigned)(at[1] - '0');
}

/* "+hh:mm", "+hhmm", "+hh" to seconds; false: no such thing. */
static bool parse_offset(const char *at, const char *end, int *seconds) {
    size_t size = (size_t)(end - at);
    if (size != 3 && size != 5 && size != 6) return false;
    if (at[0] != '+' && at[0] != '-') return false;
    if (size == 6 && at[3] != ':') return false;
    const char *minutes = size == 6 ? at + 4 : at + 3;
    if ((unsigned)(at[1] - '0') > 9 || (unsigned)(at[2] - '0') > 9) return false;
    unsigned hour = two(at + 1), minute = 0;
    if (size > 3) {
        if ((unsigned)(minutes[0] - '0') > 9 || (unsigned)(minutes[1] - '0') > 9) return false;
        minute = two(minutes);
    }
    if (hour > 15 || minute > 59) return false;
    *seconds = (int)(hour * 3600 + minute * 60);
    if (at[0] == '-') *seconds = -*seconds;
    return true;
}

/* Eight bytes at once: not 0 unless there are digits where `digits` has 255 and the pattern's very
 * bytes elsewhere. A digit xored with '0' is at most 9; adding 0x76 to its low seven bits lifts
 * anything greater over 0x7F. */
static uint64_t mismatch(const char *at, uint64_t pattern, uint64_t digits) {
    uint64_t word;
    memcpy(&word, at, 8);
    if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__) word = __builtin_bswap64(word);
    uint64_t rest = word ^ pattern, low = rest & UINT64_C(0x7F7F7F7F7F7F7F7F);
    return (rest & ~digits) | (((low + (UINT64_C(0x7676767676767676) & digits)) | rest) &
                               UINT64_C(0x8080808080808080));
}

#define BYTES(a, b, c, d, e, f, g, h)                                                              \
    ((uint64_t)(a) | (uint64_t)(b) << 8 | (uint64_t)(c) << 16 | (uint64_t)(d) << 24 |              \
     (uint64_t)(e) << 32 | (uint64_t)(f) << 40 | (uint64_t)(g) << 48 | (uint64_t)(h) << 56)

/* "YYYY-MM-" "DD?hh:mm" ":ss": the place between date and time is looked at by itself. */
static bool fixed_part_fits(const char *at) {
    static const uint64_t date = BYTES('0', '0', '0', '0', '-', '0', '0', '-');
    static const uint64_t date_digits = BYTES(255, 255, 255, 255, 0, 255, 255, 0);
    static const uint64_t time = BYTES('0', '0', 'T', '0', '0', ':', '0', '0');
    static const uint64_t time_digits = BYTES(255, 255, 0, 255, 255, 0, 255, 255);
    static const uint64_t end = BYTES(':', '0', '0', ':', '0', '0', ':', '0');
    uint64_t wrong = mismatch(at, date, date_digits);
    char middle[8];
    memcpy(middle, at + 8, 8);
    middle[2] = 'T';
    wrong |= mismatch(middle, time, time_digits);
    char last[8];
    memcpy(last, at + 16, 3);
    memcpy(last + 3, ":00:0", 5);
    wrong |= mismatch(last, end, BYTES(0, 255, 255, 0, 0, 0, 0, 0));
    return wrong == 0 && (at[10] == 'T' || at[10] == 't' || at[10] == ' ');
}

Status rfc3339_split(Str s, int64_t *local_us, int *offset) {
    const char *at = s.data, *end = s.data + s.size;
    if (s.size < 19 || !fixed_part_fits(at)) return REJECT;
    int year = (int)(two(at) * 100 + two(at + 2)), month = (int)two(at + 5), day = (int)two(at + 8);
    unsigned hour = two(at + 11), minute = two(at + 14), second = two(at + 17);
    if (year < 1 || month < 1 || month > 12 || day < 1 ||
        (day > 28 && day > month_length(year, month)) || hour > 23 || minute > 59 || second > 60)
        return REJECT;
    *local_us = (days_from_civil(year, month, day) * 86400 +
                 (int64_t)(hour * 3600 + minute * 60 + second)) *
                US_PER_SECOND;
    at += 19;
    if (at < end && *at == '.') {
        const char *digits = ++at;
        while (at < end && (unsigned)(*at - '0') <= 9) at++;
        if (at == digits) return REJECT;
        *local_us += fraction_us(digits, (size_t)(at - digits));
    }
    *offset = 0;
    if (at == end || (end - at == 1 && (*at == 'Z' || *at == 'z'))) return OK;
    return parse_offset(at, end, offset) ? OK : REJECT;
}

Status rfc3339_parse(Str s, int64_t *us) {
    int64_t local_us;
    int offset;
    if (rfc3339_split(s, &local_us, &offset) != OK) return REJECT;
    local_us -= offset * US_PER_SECOND;
    if (local_us < FIRST_INPUT_US || local_us > LAST_INPUT_US) return REJECT;
    *us = local_us;
    return OK;
}

/* ---- output ---- */

static char *put_two(char *to, int value) {
    to[0] = (char)('0' + value / 10);
    to[1] = (char)('0' + value % 10);
    return to + 2;
}

static char *put_date(char *to, int year, int month, int day) {
    int shown = year > 0 ? year : 1 - year; /* there is no year 0: 1 BC comes before 1 */
    char digits[12];
    int count = 0;
    for (; shown || count < 4; shown /= 10) digits[count++] = (char)('0' + shown % 10);
    while (count) *to++ = digits[--count];
    *to++ = '-';
    to = put_two(to, month);
    *to++ = '-';
    return put_two(to, day);
}

char *put_fraction(char *to, int us) {
    if (us == 0) return to;
    *to++ = '.';
    for (int unit = 100000; us; unit /= 10) {
        *to++ = (char)('0' + us / unit);
        us %= unit;
    }
    return to;
}

static char *put_time(char *to, const Calendar *c) {
    to = put_two(to, c->hour);
    *to++ = ':';
    to = put_two(to, c->minute);
    *to++ = ':';
    to = put_two(to, c->second);
    return put_fraction(to, c->us);
}

static bool infinite(int64_t value, Buffer *out) {
    if (value != INT64_MAX && value != INT64_MIN) return false;
    buffer_add_text(out, value > 0 ? "infinity" : "-infinity");
    return true;
}

static void timestamp_out(int64_t us, char between, const char *zone, Buffer *out) {
    if (infinite(us, out)) return;
    Calendar c;
    calendar_from_us(us, &c);
    char *start = buffer_reserve(out, 64);
    char *to = put_date(start, c.year, c.month, c.day);
    *to++ = between;
    to = put_time(to, &c);
    while (*zone) *to++ = *zone++;
    out->size += (size_t)(to - start);
    if (c.year <= 0) buffer_add_text(out, " BC");
}

void timestamp_text(int64_t us, bool with_zone, Buffer *out) {
    timestamp_out(us, ' ', with_zone ? "+00" : "", out);
}

void timestamp_rfc3339(int64_t us, bool with_zone, Buffer *out) {
    timestamp_out(us, 'T', with_zone ? "Z" : "", out);
}

void date_text(int64_t days, Buffer *out) {
    if (infinite(days, out)) return;
    int year, month, day;
    civil_from_days(days, &year, &month, &day);
    char *start = buffer_reserve(out, 32);
    out->size += (size_t)(put_date(start, year, month, day) - start);
    if (year <= 0) buffer_add_text(out, " BC");
}

/* ---- arithmetic ---- */

Status timestamp_add(int64_t us, Interval interval, int64_t *out, Error *error) {
    if (us == INT64_MAX || us == INT64_MIN) {
        *out = us;
        return OK;
    }
    int64_t result = us;
    if (interval.months) {
        Calendar c;
        calendar_from_us(us, &c);
        int64_t months = (int64_t)c.year * 12 + (c.month - 1) + interval.months;
        int64_t year = months / 12 - (months % 12 < 0);
        if (year > 300000 || year < -5000) return reject(error, "timestamp out of range");
        c.year = (int)year;
        c.month = (int)(months - year * 12) + 1;
        int length = month_length(c.year, c.month);
        if (c.day > length) c.day = length;
        if (c.year > 294246) return reject(error, "timestamp out of range");
        result = calendar_to_us(&c);
    }
    int64_t days;
    if (__builtin_mul_overflow(interval.days, US_PER_DAY, &days) ||
        __builtin_add_overflow(result, days, &result) ||
        __builtin_add_overflow(result, interval.us, &result) || result < FIRST_TIMESTAMP_US ||
        result > LAST_TIMESTAMP_US)
        return reject(error, "timestamp out of range");
    *out = result;
    return OK;
}

Status interval_to_us(Interval interval, int64_t *us, Error *error) {
    if (interval.months)
        return reject(
            error, "an interval with months or years has no fixed length; say it in days or less");
    int64_t days;
    if (__builtin_mul_overflow(interval.days, US_PER_DAY, &days) ||
        __builtin_add_overflow(days, interval.us, us))
        return reject(error, "interval out of range");
    return OK;
}
