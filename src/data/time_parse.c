/* Dates and times as people write them: PostgreSQL's input forms, read word by word. A word is a
 * number, a name, a date with separators, a time with colons, or an offset; each fills in the parts
 * that it means, and no part may come twice. Where days and months are both numbers, month comes
 * first (DateStyle ISO, MDY). RFC 3339 never gets here: it is tried first, by the fast reader. */
#include "data/time_internal.h"
#include <ctype.h>
#include <stdlib.h>

enum { TEXT_MOST = 128 }; /* PostgreSQL reads no longer ones either */

enum {
    HAS_YEAR = 1,
    HAS_MONTH = 2,
    HAS_DAY = 4,
    HAS_DATE = 7,
    HAS_TIME = 8,
    HAS_ZONE = 16,
    HAS_HALF = 32,
    HAS_ERA = 64
};

typedef enum Fault { NO_FAULT, BAD_FORMAT, OUT_OF_RANGE, BAD_DISPLACEMENT, BAD_ZONE } Fault;

typedef struct Parser {
    const char *at; /* zero-terminated, lower case */
    int has;
    bool named_month, short_year, day_of_year, iso_time;
    int year, month, day;
    int hour, minute, second;
    int64_t us;
    bool afternoon, before_christ;
    int offset;       /* seconds east of UTC */
    const char *zone; /* a name to be looked up, or NULL */
    char zone_name[TEXT_MOST];
} Parser;

static bool mark(Parser *p, int what) {
    if (p->has & what) return false;
    p->has |= what;
    return true;
}

static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool letter(char c) { return c >= 'a' && c <= 'z'; }

static int number(const char *at, size_t size) { /* at most nine digits are told apart */
    int value = 0;
    for (size_t i = 0; i < size; i++)
        if (value < 100000000) value = value * 10 + (at[i] - '0');
    return value;
}

static size_t digits_at(const char *at) {
    size_t n = 0;
    while (digit(at[n])) n++;
    return n;
}

static int month_named(const char *word, size_t size) {
    static const char *const names[] = {"january",   "february", "march",    "april",
                                        "may",       "june",     "july",     "august",
                                        "september", "october",  "november", "december"};
    if (size == 4 && memcmp(word, "sept", 4) == 0) return 9;
    for (int i = 0; i < 12; i++)
        if ((size == 3 || size == strlen(names[i])) && memcmp(word, names[i], size) == 0)
            return i + 1;
    return 0;
}

static bool is_day_name(const char *word, size_t size) {
    static const char *const names[] = {"sunday",   "monday", "tuesday", "wednesday",
                                        "thursday", "friday", "saturday"};
    for (int i = 0; i < 7; i++)
        if ((size == 3 || size == strlen(names[i])) && memcmp(word, names[i], size) == 0)
            return true;
    return (size == 4 && (!memcmp(word, "tues", 4) || !memcmp(word, "thur", 4))) ||
           (size == 5 && !memcmp(word, "thurs", 5)) || (size == 4 && !memcmp(word, "weds", 4));
}

static Fault set_year(Parser *p, const char *at, size_t size) {
    if (!mark(p, HAS_YEAR)) return BAD_FORMAT;
    p->year = number(at, size);
    p->short_year = size <= 2;
    return NO_FAULT;
}

static Fault set_month(Parser *p, int month) {
    if (!mark(p, HAS_MONTH)) return BAD_FORMAT;
    p->month = month;
    return NO_FAULT;
}

static Fault set_day(Parser *p, int day) {
    if (!mark(p, HAS_DAY)) return BAD_FORMAT;
    p->day = day;
    return NO_FAULT;
}

/* A number of a date means what is still missing, the month first. */
static Fault date_number(Parser *p, const char *at, size_t size) {
    switch (p->has & HAS_DATE) {
    case 0:
        if (size >= 3) return set_year(p, at, size);
        return set_month(p, number(at, size));
    case HAS_YEAR:
        if (size == 3 && !p->named_month) { /* 2020-100 */
            p->day_of_year = true;
            p->month = 1;
            p->has |= HAS_MONTH;
            return set_day(p, number(at, size));
        }
        return set_month(p, number(at, size));
    case HAS_MONTH:
        if (p->named_month && size >= 3) return set_year(p, at, size);
        return set_day(p, number(at, size));
    case HAS_DAY: return set_month(p, number(at, size));
    case HAS_YEAR | HAS_MONTH: return set_day(p, number(at, size));
    case HAS_MONTH | HAS_DAY: return set_year(p, at, size);
    default: return BAD_FORMAT;
    }
}

/* "2020-01-02", "1/8/1999", "08-Jan-1999": pieces between separators, month names first. */
static Fault read_date(Parser *p) {
    const char *pieces[3];
    size_t sizes[3];
    int count = 0;
    if (p->has & HAS_DATE) return BAD_FORMAT;
    const char *at = p->at;
    for (;;) {
        if (count == 3) return BAD_FORMAT;
        size_t size = 0;
        if (digit(*at)) size = digits_at(at);
        else
            while (letter(at[size])) size++;
        if (size == 0) return BAD_FORMAT;
        pieces[count] = at;
        sizes[count++] = size;
        at += size;
        if (*at != '-' && *at != '/' && *at != '.') break;
        if (count == 3 || (!digit(at[1]) && !letter(at[1]))) break;
        at++;
    }
    p->at = at;
    for (int i = 0; i < count; i++) {
        if (digit(*pieces[i])) continue;
        int month = month_named(pieces[i], sizes[i]);
        if (!month || set_month(p, month) != NO_FAULT) return BAD_FORMAT;
        p->named_month = true;
    }
    for (int i = 0; i < count; i++) {
        if (!digit(*pieces[i])) continue;
        Fault fault = date_number(p, pieces[i], sizes[i]);
        if (fault) return fault;
    }
    return (p->has & HAS_DATE) == HAS_DATE ? NO_FAULT : BAD_FORMAT;
}

static void read_fraction(Parser *p) {
    size_t size = digits_at(p->at);
    p->us = fraction_us(p->at, size);
    p->at += size;
}

static Fault check_time(const Parser *p) {
    bool bad = p->hour > 24 || p->minute > 59 || p->second > 60 ||
               (p->hour == 24 && (p->minute > 0 || p->second > 0 || p->us > 0));
    return bad ? OUT_OF_RANGE : NO_FAULT;
}

/* hh:mm, hh:mm:ss, hh:mm:ss.fff; mm:ss.fff */
static Fault read_time(Parser *p) {
    if (!mark(p, HAS_TIME)) return BAD_FORMAT;
    int parts[3] = {0};
    int count = 0;
    for (;;) {
        size_t size = digits_at(p->at);
        if (size == 0 && count < 2) return BAD_FORMAT;
        parts[count++] = number(p->at, size);
        p->at += size;
        if (*p->at != ':') break;
        if (count == 3) return BAD_FORMAT;
        p->at++;
    }
    bool fraction = *p->at == '.';
    if (fraction) {
        p->at++;
        read_fraction(p);
    }
    if (count == 2 && fraction) {
        p->minute = parts[0];
        p->second = parts[1];
    } else {
        p->hour = parts[0];
        p->minute = parts[1];
        p->second = parts[2];
    }
    return check_time(p);
}

/* hhmm, hhmmss, hhmmss.fff behind a date or a T */
static Fault read_packed_time(Parser *p, size_t size) {
    if ((size != 4 && size != 6) || !mark(p, HAS_TIME)) return BAD_FORMAT;
    p->hour = number(p->at, 2);
    p->minute = number(p->at + 2, 2);
    p->second = size == 6 ? number(p->at + 4, 2) : 0;
    p->at += size;
    if (*p->at == '.') {
        p->at++;
        read_fraction(p);
    }
    return check_time(p);
}

/* YYYYMMDD, YYMMDD */
static Fault read_packed_date(Parser *p, size_t size) {
    if (p->has & HAS_DATE) return BAD_FORMAT;
    size_t year = size - 4;
    p->has |= HAS_DATE;
    p->year = number(p->at, year);
    p->short_year = year == 2;
    p->month = number(p->at + year, 2);
    p->day = number(p->at + year + 2, 2);
    p->at += size;
    return NO_FAULT;
}

static Fault read_number(Parser *p) {
    size_t size = digits_at(p->at);
    char next = p->at[size];
    if (next == ':') return read_time(p);
    bool dated = (p->has & HAS_DATE) == HAS_DATE;
    if (p->iso_time || (dated && (size == 6 || size == 4))) return read_packed_time(p, size);
    if ((next == '-' || next == '/' || next == '.') && !dated &&
        (digit(p->at[size + 1]) || letter(p->at[size + 1])))
        return read_date(p);
    if (size >= 6 && size <= 8) return read_packed_date(p, size);
    if (size > 8) return BAD_FORMAT;
    const char *at = p->at;
    p->at += size;
    return date_number(p, at, size);
}

/* ±h, ±hh, ±hh:mm, ±hh:mm:ss, ±hmm, ±hhmm, ±hhmmss */
static Fault read_offset(Parser *p) {
    int sign = *p->at++ == '-' ? -1 : 1;
    size_t size = digits_at(p->at);
    if (size == 0) return BAD_FORMAT;
    int hour, minute = 0, second = 0;
    if (p->at[size] == ':') {
        hour = number(p->at, size);
        p->at += size + 1;
        size = digits_at(p->at);
        minute = number(p->at, size);
        p->at += size;
        if (*p->at == ':') {
            p->at++;
            size = digits_at(p->at);
            second = number(p->at, size);
            p->at += size;
        }
    } else {
        int value = number(p->at, size);
        p->at += size;
        if (size > 4) second = value % 100, value /= 100;
        if (size > 2) minute = value % 100, value /= 100;
        hour = value;
    }
    if (hour > 15 || minute > 59 || second > 59) return BAD_DISPLACEMENT;
    if (!mark(p, HAS_ZONE)) return BAD_FORMAT;
    p->offset = sign * (hour * 3600 + minute * 60 + second);
    return NO_FAULT;
}

static bool word_is(const char *word, size_t size, const char *wanted) {
    return size == strlen(wanted) && memcmp(word, wanted, size) == 0;
}

/* A zone's name may hold more than letters: europe/berlin, utc+3, america/port-au-prince. */
static Fault read_zone(Parser *p) {
    size_t size = 0;
    bool slash = false;
    for (;; size++) {
        char c = p->at[size];
        slash = slash || c == '/';
        if (!letter(c) && !digit(c) && c != '/' && c != '_' && c != '-' && c != '+') break;
    }
    memcpy(p->zone_name, p->at, size);
    p->zone_name[size] = '\0';
    int ignored;
    if (zone_offset((Str){p->zone_name, size}, 0, false, &ignored, NULL) != OK)
        return slash ? BAD_ZONE : BAD_FORMAT;
    if (!mark(p, HAS_ZONE)) return BAD_FORMAT;
    p->zone = p->zone_name;
    p->at += size;
    return NO_FAULT;
}

static Fault read_word(Parser *p) {
    size_t size = 0;
    while (letter(p->at[size])) size++;
    const char *word = p->at;
    int month = month_named(word, size);
    if (month) {
        if (p->at[size] == '-' || p->at[size] == '/' ||
            (p->at[size] == '.' && digit(p->at[size + 1])))
            return read_date(p);
        p->at += size;
        /* A number that stood first and was taken for the month is the day: "8 January 1999". */
        if ((p->has & HAS_DATE) == HAS_MONTH && !p->named_month) {
            p->has = (p->has & ~HAS_MONTH) | HAS_DAY;
            p->day = p->month;
        }
        p->named_month = true;
        return set_month(p, month);
    }
    if (is_day_name(word, size)) {
        p->at += size;
        return NO_FAULT;
    }
    if (word_is(word, size, "t") && (p->has & HAS_DATE) == HAS_DATE && !(p->has & HAS_TIME) &&
        digit(word[1])) {
        p->at++;
        p->iso_time = word[1 + digits_at(word + 1)] != ':';
        return NO_FAULT;
    }
    if (word_is(word, size, "am") || word_is(word, size, "pm")) {
        p->afternoon = *word == 'p';
        p->at += size;
        return mark(p, HAS_HALF) ? NO_FAULT : BAD_FORMAT;
    }
    if (word_is(word, size, "ad") || word_is(word, size, "bc")) {
        p->before_christ = *word == 'b';
        p->at += size;
        return mark(p, HAS_ERA) ? NO_FAULT : BAD_FORMAT;
    }
    if (word_is(word, size, "at") || word_is(word, size, "on")) {
        p->at += size;
        return NO_FAULT;
    }
    return read_zone(p);
}

static Fault read_all(Parser *p) {
    while (*p->at) {
        Fault fault = NO_FAULT;
        if (isspace((unsigned char)*p->at) || *p->at == ',') p->at++;
        else if (digit(*p->at)) fault = read_number(p);
        else if (letter(*p->at)) fault = read_word(p);
        else if ((*p->at == '+' || *p->at == '-') && (p->has & HAS_DATE) == HAS_DATE)
            fault = read_offset(p);
        else fault = BAD_FORMAT;
        if (fault) return fault;
    }
    return (p->has & HAS_DATE) == HAS_DATE ? NO_FAULT : BAD_FORMAT;
}

static Fault settle_date(Parser *p) {
    if (p->short_year && p->year < 100 && !p->before_christ) p->year += p->year < 70 ? 2000 : 1900;
    if (p->before_christ || p->year < 1 || p->year > 9999) return OUT_OF_RANGE;
    if (p->day_of_year) {
        int day = p->day, length;
        for (p->month = 1; p->month < 12 && day > (length = month_length(p->year, p->month));
             p->month++)
            day -= length;
        p->day = day;
    }
    if (p->month < 1 || p->month > 12 || p->day < 1 || p->day > month_length(p->year, p->month))
        return OUT_OF_RANGE;
    return NO_FAULT;
}

static Fault settle_half(Parser *p) {
    if (p->has & HAS_HALF) {
        if (!(p->has & HAS_TIME)) return BAD_FORMAT;
        if (p->hour > 12) return OUT_OF_RANGE;
        p->hour = p->hour % 12 + (p->afternoon ? 12 : 0);
    }
    return NO_FAULT;
}

static bool word_value(Str text, int64_t *us) {
    if (str_equal_nocase(text, STR("epoch"))) *us = 0;
    else if (str_equal_nocase(text, STR("infinity"))) *us = INT64_MAX;
    else if (str_equal_nocase(text, STR("-infinity"))) *us = INT64_MIN;
    else return false;
    return true;
}

static Status report(Fault fault, const char *type, Str text, const Parser *p, Error *error) {
    switch (fault) {
    case NO_FAULT: return OK;
    case OUT_OF_RANGE:
        return reject(error, "date/time field value out of range: \"%.*s\"", STR_ARG(text));
    case BAD_DISPLACEMENT:
        return reject(error, "time zone displacement out of range: \"%.*s\"", STR_ARG(text));
    case BAD_ZONE: return reject(error, "time zone \"%s\" not recognized", p->zone_name);
    case BAD_FORMAT: break;
    }
    return reject(error, "invalid input syntax for type %s: \"%.*s\"", type, STR_ARG(text));
}

static Str trim(Str text) {
    while (text.size && isspace((unsigned char)text.data[0])) text.data++, text.size--;
    while (text.size && isspace((unsigned char)text.data[text.size - 1])) text.size--;
    return text;
}

static Status parse(Str text, const char *type, Parser *p, Error *error) {
    char lower[TEXT_MOST];
    Str trimmed = trim(text);
    *p = (Parser){.at = lower};
    if (trimmed.size >= sizeof lower) return report(BAD_FORMAT, type, text, p, error);
    for (size_t i = 0; i < trimmed.size; i++) {
        lower[i] = (char)(trimmed.data[i] >= 'A' && trimmed.data[i] <= 'Z' ? trimmed.data[i] + 32
                                                                           : trimmed.data[i]);
        if (!lower[i]) return report(BAD_FORMAT, type, text, p, error);
    }
    lower[trimmed.size] = '\0';
    Fault fault = read_all(p);
    if (!fault) fault = settle_date(p);
    if (!fault) fault = settle_half(p);
    p->at = NULL;
    return report(fault, type, text, p, error);
}

static Status parse_timestamp(Str text, const char *type, bool with_zone, int64_t *us,
                              Error *error) {
    Parser p;
    Status status = parse(text, type, &p, error);
    if (status != OK) return status;
    int64_t local =
        calendar_to_us(&(Calendar){p.year, p.month, p.day, p.hour, p.minute, p.second, 0}) + p.us;
    if (with_zone && p.zone && zone_offset(str_from(p.zone), local, true, &p.offset, NULL) != OK)
        return report(BAD_ZONE, type, text, &p, error);
    if (with_zone) local -= p.offset * US_PER_SECOND;
    if (local < FIRST_INPUT_US || local > LAST_INPUT_US)
        return reject(error, "timestamp out of range: \"%.*s\"", STR_ARG(text));
    *us = local;
    return OK;
}

Status timestamp_parse(Str text, bool with_zone, int64_t *us, Error *error) {
    int64_t local;
    int offset;
    if (with_zone ? rfc3339_parse(text, us) == OK : rfc3339_split(text, &local, &offset) == OK) {
        if (!with_zone) *us = local;
        return OK;
    }
    if (word_value(trim(text), us)) return OK;
    return parse_timestamp(text, with_zone ? "timestamp with time zone" : "timestamp", with_zone,
                           us, error);
}

Status date_parse(Str text, int64_t *days, Error *error) {
    if (word_value(trim(text), days)) return OK;
    Parser p;
    Status status = parse(text, "date", &p, error);
    if (status == OK) *days = days_from_civil(p.year, p.month, p.day);
    return status;
}
