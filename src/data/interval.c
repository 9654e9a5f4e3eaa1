/* Intervals: PostgreSQL's verbose form ('1 year 2 mons -3 days 04:05:06.7 ago'), the SQL standard's
 * year-month form ('1-2'), ISO 8601 ('P1Y2M3DT4H5M6S'), and output in PostgreSQL's own style.
 * Fractions go down to smaller units as PostgreSQL does it: of years into months, of months into
 * days of a thirtieth, of weeks and days into time. */
#include "data/double.h"
#include "data/time_internal.h"
#include <ctype.h>
#include <math.h>

enum { TEXT_MOST = 256 };

typedef enum Unit {
    US,
    MS,
    SECOND,
    MINUTE,
    HOUR,
    DAY,
    WEEK,
    MONTH,
    YEAR,
    DECADE,
    CENTURY,
    MILLENNIUM,
    UNITS
} Unit;

typedef enum Fault { NO_FAULT, BAD_FORMAT, FIELD_OUT_OF_RANGE, OUT_OF_RANGE } Fault;

typedef struct Sum {
    int64_t months, days, us;
} Sum;

static const char *const unit_names[UNITS] = {
    [US] = " us microsecond microseconds microsecon usec usecs usecond useconds microsec ",
    [MS] = " ms millisecond milliseconds millisecon msec msecs msecond mseconds ",
    [SECOND] = " s sec secs second seconds ",
    [MINUTE] = " m min mins minute minutes ",
    [HOUR] = " h hr hrs hour hours ",
    [DAY] = " d day days ",
    [WEEK] = " w week weeks ",
    [MONTH] = " mon mons month months ",
    [YEAR] = " y yr yrs year years ",
    [DECADE] = " decade decades dec decs ",
    [CENTURY] = " c cent century centuries ",
    [MILLENNIUM] = " mil mils millennium millennia ",
};

static const int64_t unit_us[] = {
    [US] = 1, [MS] = 1000, [SECOND] = 1000000, [MINUTE] = 60000000, [HOUR] = 3600000000};
static const int unit_years[UNITS] = {
    [YEAR] = 1, [DECADE] = 10, [CENTURY] = 100, [MILLENNIUM] = 1000};

static bool find_unit(const char *word, size_t size, Unit *unit) {
    char padded[16];
    if (size + 3 > sizeof padded) return false;
    padded[0] = ' ';
    memcpy(padded + 1, word, size);
    memcpy(padded + 1 + size, " ", 2);
    for (Unit u = US; u < UNITS; u++) {
        if (!strstr(unit_names[u], padded)) continue;
        *unit = u;
        return true;
    }
    return false;
}

static bool add_product(int64_t *sum, int64_t a, int64_t b) {
    int64_t product;
    return !__builtin_mul_overflow(a, b, &product) && !__builtin_add_overflow(*sum, product, sum);
}

static bool add_fraction_us(Sum *sum, double fraction, double scale) {
    fraction *= scale;
    int64_t us = (int64_t)fraction;
    fraction -= (double)us;
    if (fraction > 0.5) us++;
    else if (fraction < -0.5) us--;
    return add_product(&sum->us, us, 1);
}

static bool add_fraction_days(Sum *sum, double fraction, int scale) {
    fraction *= scale;
    int64_t days = (int64_t)fraction;
    return add_product(&sum->days, days, 1) &&
           add_fraction_us(sum, fraction - (double)days, (double)US_PER_DAY);
}

/* value + fraction of a unit; both carry the sign. */
static bool add_unit(Sum *sum, Unit unit, int64_t value, double fraction) {
    switch (unit) {
    case US:
    case MS:
    case SECOND:
    case MINUTE:
    case HOUR:
        return add_product(&sum->us, value, unit_us[unit]) &&
               add_fraction_us(sum, fraction, (double)unit_us[unit]);
    case DAY:
        return add_product(&sum->days, value, 1) &&
               add_fraction_us(sum, fraction, (double)US_PER_DAY);
    case WEEK: return add_product(&sum->days, value, 7) && add_fraction_days(sum, fraction, 7);
    case MONTH: return add_product(&sum->months, value, 1) && add_fraction_days(sum, fraction, 30);
    case YEAR:
    case DECADE:
    case CENTURY:
    case MILLENNIUM:
        return add_product(&sum->months, value, 12 * unit_years[unit]) &&
               add_product(&sum->months, (int64_t)rint(fraction * unit_years[unit] * 12), 1);
    case UNITS: break;
    }
    return false;
}

static bool digit(char c) { return c >= '0' && c <= '9'; }
static bool letter(char c) { return c >= 'a' && c <= 'z'; }

/* Digits to a number; at most 18 of them. `at` moves behind them. */
static Fault read_whole(const char **at, int64_t *out) {
    *out = 0;
    const char *start = *at;
    while (**at == '0') ++*at;
    const char *first = *at;
    for (; digit(**at); ++*at)
        if (*at - first < 18) *out = *out * 10 + (**at - '0');
    if (*at == start) return BAD_FORMAT;
    return *at - first > 18 ? FIELD_OUT_OF_RANGE : NO_FAULT;
}

/* ".25" as a double, the way PostgreSQL reads it: the nearest to the text. */
static double read_fraction(const char **at) {
    char text[2 + 40] = "0.";
    size_t size = 2;
    for (; digit(**at); ++*at)
        if (size < sizeof text) text[size++] = **at;
    double value = 0;
    if (size == 2 || double_scan(text, size, &value) != NUMBER_OK) return 0;
    return value;
}

static int64_t read_second_fraction(const char **at) {
    const char *start = *at;
    while (digit(**at)) ++*at;
    return fraction_us(start, (size_t)(*at - start));
}

/* [sign]hh:mm[:ss[.fff]] or mm:ss.fff */
static Fault read_clock(const char **at, int sign, Sum *sum) {
    int64_t parts[3] = {0}, us = 0;
    int count = 0;
    for (;;) {
        Fault fault = read_whole(at, &parts[count]);
        if (fault) return fault;
        count++;
        if (**at != ':') break;
        if (count == 3) return BAD_FORMAT;
        ++*at;
        if (count == 2 && !digit(**at)) break; /* "1:02:" */
    }
    bool fraction = **at == '.';
    if (fraction) {
        ++*at;
        us = read_second_fraction(at);
    }
    if (count == 2 && fraction) {
        parts[2] = parts[1];
        parts[1] = parts[0];
        parts[0] = 0;
    }
    if (parts[1] > 59 || parts[2] > 60) return FIELD_OUT_OF_RANGE;
    int64_t total = us;
    if (!add_product(&total, parts[0], unit_us[HOUR]) ||
        !add_product(&total, parts[1], unit_us[MINUTE]) ||
        !add_product(&total, parts[2], unit_us[SECOND]) || !add_product(&sum->us, total, sign))
        return FIELD_OUT_OF_RANGE;
    return NO_FAULT;
}

typedef struct Parser {
    const char *at;
    Sum sum;
    unsigned seen; /* a bit for each unit */
    bool any, clock;
} Parser;

enum {
    SECOND_PARTS = 1u << SECOND | 1u << MS | 1u << US,
    CLOCK_UNITS = 1u << HOUR | 1u << MINUTE | SECOND_PARTS,
};

static bool mark(Parser *p, unsigned units) {
    if (p->seen & units) return false;
    p->seen |= units;
    p->any = true;
    return true;
}

static void skip_blanks(Parser *p) {
    while (isspace((unsigned char)*p->at)) p->at++;
}

/* A number's unit. Without one: days before a time, seconds at the end. */
static Fault read_unit(Parser *p, Unit *unit) {
    skip_blanks(p);
    *unit = SECOND;
    if (!*p->at) return NO_FAULT;
    if (letter(*p->at)) {
        size_t size = 0;
        while (letter(p->at[size])) size++;
        if (!find_unit(p->at, size, unit)) return BAD_FORMAT;
        p->at += size;
        return NO_FAULT;
    }
    const char *next = *p->at == '-' || *p->at == '+' ? p->at + 1 : p->at;
    if (!digit(*next)) return BAD_FORMAT;
    while (digit(*next)) next++;
    *unit = DAY;
    return *next == ':' ? NO_FAULT : BAD_FORMAT;
}

/* Where a clock time stands, PostgreSQL forgets what fractions behind it add to the time. */
static bool add_behind_clock(Parser *p, Unit unit, int64_t value, double fraction) {
    int64_t us = p->sum.us;
    bool fits = add_unit(&p->sum, unit, value, fraction);
    if (p->clock) p->sum.us = us;
    return fits;
}

/* A number with its unit, years-months, or a clock time. */
static Fault read_quantity(Parser *p, int sign, bool is_signed) {
    int64_t value = 0;
    double fraction = 0;
    const char *start = p->at;
    if (digit(*p->at)) {
        Fault fault = read_whole(&p->at, &value);
        if (fault) return fault;
        if (*p->at == ':') {
            p->at = start;
            if (!mark(p, CLOCK_UNITS)) return BAD_FORMAT;
            p->clock = true;
            return read_clock(&p->at, sign, &p->sum);
        }
        if (*p->at == '-' && digit(p->at[1])) { /* years-months */
            int64_t months;
            p->at++;
            fault = read_whole(&p->at, &months);
            if (fault) return fault;
            if (*p->at == '-') return BAD_FORMAT; /* a date */
            if (months > 11) return FIELD_OUT_OF_RANGE;
            if (!mark(p, 1u << MONTH)) return BAD_FORMAT;
            if (!add_product(&p->sum.months, value, sign * 12) ||
                !add_product(&p->sum.months, months, sign))
                return FIELD_OUT_OF_RANGE;
            return NO_FAULT;
        }
    }
    if (*p->at == '.') {
        p->at++;
        if (!digit(*p->at) && (p->at - 1 == start || (letter(*p->at) && !is_signed)))
            return BAD_FORMAT;
        fraction = read_fraction(&p->at);
    }
    Unit unit;
    Fault fault = read_unit(p, &unit);
    if (fault) return fault;
    if (!mark(p, unit == SECOND && fraction != 0 ? SECOND_PARTS : 1u << unit)) return BAD_FORMAT;
    return add_behind_clock(p, unit, sign * value, sign * fraction) ? NO_FAULT : FIELD_OUT_OF_RANGE;
}

static Fault read_verbose(Parser *p) {
    bool ago = false;
    for (skip_blanks(p); *p->at; skip_blanks(p)) {
        if (ago) return BAD_FORMAT;
        if (*p->at == '@' || *p->at == ',') {
            p->at++;
            continue;
        }
        if (letter(*p->at)) {
            if (strncmp(p->at, "ago", 3) != 0 || letter(p->at[3])) return BAD_FORMAT;
            p->at += 3;
            ago = true;
            continue;
        }
        int sign = 1;
        bool is_signed = *p->at == '-' || *p->at == '+';
        if (is_signed) {
            sign = *p->at++ == '-' ? -1 : 1;
            skip_blanks(p);
        }
        if (!digit(*p->at) && (is_signed || *p->at != '.')) return BAD_FORMAT;
        Fault fault = read_quantity(p, sign, is_signed);
        if (fault) return fault;
    }
    if (!p->any) return BAD_FORMAT;
    if (ago && p->sum.us == INT64_MIN) return FIELD_OUT_OF_RANGE;
    if (ago) p->sum = (Sum){-p->sum.months, -p->sum.days, -p->sum.us};
    return NO_FAULT;
}

/* P1Y2M3W4DT5H6M7.8S, P0001-02-03T04:05:06 */
static Fault read_iso(Parser *p) {
    bool clock = false;
    unsigned seen_time = 0;
    if (!*++p->at) return BAD_FORMAT;
    while (*p->at) {
        if (*p->at == 't') {
            if (clock) return BAD_FORMAT;
            clock = true;
            p->at++;
            continue;
        }
        int sign = 1;
        if (*p->at == '-' || *p->at == '+') sign = *p->at++ == '-' ? -1 : 1;
        int64_t value = 0;
        double fraction = 0;
        if (!digit(*p->at) && !(*p->at == '.' && digit(p->at[1]))) return BAD_FORMAT;
        const char *start = p->at;
        Fault fault = digit(*p->at) ? read_whole(&p->at, &value) : NO_FAULT;
        if (fault) return fault;
        if (*p->at == '.') {
            p->at++;
            fraction = read_fraction(&p->at);
        }
        if (clock && *p->at == ':') {
            p->at = start;
            if (seen_time) return BAD_FORMAT;
            fault = read_clock(&p->at, sign, &p->sum);
            if (fault) return fault;
            p->any = true;
            return *p->at ? BAD_FORMAT : NO_FAULT;
        }
        if (!clock && *p->at == '-' && digit(p->at[1]) && !p->any) { /* years-months-days */
            int64_t months, days = 0;
            p->at++;
            fault = read_whole(&p->at, &months);
            if (!fault && *p->at == '-') {
                p->at++;
                fault = read_whole(&p->at, &days);
            }
            if (fault) return fault;
            p->any = true;
            if (!add_unit(&p->sum, YEAR, sign * value, 0) ||
                !add_unit(&p->sum, MONTH, sign * months, 0) ||
                !add_unit(&p->sum, DAY, sign * days, 0))
                return FIELD_OUT_OF_RANGE;
            continue;
        }
        Unit unit;
        switch (*p->at) {
        case 'y': unit = YEAR; break;
        case 'm': unit = clock ? MINUTE : MONTH; break;
        case 'w': unit = WEEK; break;
        case 'd': unit = DAY; break;
        case 'h': unit = HOUR; break;
        case 's': unit = SECOND; break;
        default: return BAD_FORMAT;
        }
        if (clock != (unit <= HOUR)) return BAD_FORMAT;
        p->at++;
        p->any = true;
        if (clock) seen_time |= 1u << unit;
        if (!add_unit(&p->sum, unit, sign * value, sign * fraction)) return FIELD_OUT_OF_RANGE;
    }
    return p->any ? NO_FAULT : BAD_FORMAT;
}

Status interval_parse(Str text, Interval *out, Error *error) {
    char lower[TEXT_MOST];
    Parser p = {.at = lower};
    Fault fault = BAD_FORMAT;
    if (text.size < sizeof lower && !(text.size && memchr(text.data, '\0', text.size))) {
        for (size_t i = 0; i < text.size; i++)
            lower[i] = (char)(text.data[i] >= 'A' && text.data[i] <= 'Z' ? text.data[i] + 32
                                                                         : text.data[i]);
        lower[text.size] = '\0';
        for (size_t i = text.size; i > 0 && isspace((unsigned char)lower[i - 1]); i--)
            lower[i - 1] = '\0';
        skip_blanks(&p);
        fault = *p.at == 'p' ? read_iso(&p) : read_verbose(&p);
    }
    if (!fault && (p.sum.days != (int32_t)p.sum.days)) fault = FIELD_OUT_OF_RANGE;
    if (!fault && p.sum.months != (int32_t)p.sum.months) fault = OUT_OF_RANGE;
    switch (fault) {
    case NO_FAULT: break;
    case BAD_FORMAT:
        return reject(error, "invalid input syntax for type interval: \"%.*s\"", STR_ARG(text));
    case FIELD_OUT_OF_RANGE:
        return reject(error, "interval field value out of range: \"%.*s\"", STR_ARG(text));
    case OUT_OF_RANGE: return reject(error, "interval out of range");
    }
    *out = (Interval){(int32_t)p.sum.months, (int32_t)p.sum.days, p.sum.us};
    return OK;
}

/* ---- output and order ---- */

typedef struct Style {
    bool before, empty; /* the part before this one was negative; nothing is written yet */
} Style;

static void put_part(Style *style, int64_t value, const char *unit, Buffer *out) {
    if (value == 0) return;
    buffer_add_format(out, "%s%s%lld %s%s", style->empty ? "" : " ",
                      style->before && value > 0 ? "+" : "", (long long)value, unit,
                      value != 1 ? "s" : "");
    style->before = value < 0;
    style->empty = false;
}

void interval_text(Interval interval, Buffer *out) {
    Style style = {.empty = true};
    put_part(&style, interval.months / 12, "year", out);
    put_part(&style, interval.months % 12, "mon", out);
    put_part(&style, interval.days, "day", out);
    if (interval.us == 0 && !style.empty) return;
    uint64_t us = interval.us < 0 ? -(uint64_t)interval.us : (uint64_t)interval.us;
    uint64_t seconds = us / 1000000;
    buffer_add_format(out, "%s%s%02llu:%02llu:%02llu", style.empty ? "" : " ",
                      interval.us < 0 ? "-"
                      : style.before  ? "+"
                                      : "",
                      (unsigned long long)(seconds / 3600), (unsigned long long)(seconds / 60 % 60),
                      (unsigned long long)(seconds % 60));
    char *start = buffer_reserve(out, 8);
    out->size += (size_t)(put_fraction(start, (int)(us % 1000000)) - start);
}

static __int128 span(Interval interval) { /* months of 30 days, days of 24 hours */
    return ((__int128)interval.months * 30 + interval.days) * US_PER_DAY + interval.us;
}

int interval_compare(Interval a, Interval b) {
    __int128 x = span(a), y = span(b);
    return (x > y) - (x < y);
}
