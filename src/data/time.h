/* Calendar and clock: dates, timestamps, intervals; proleptic Gregorian, UTC, microseconds; years 1
 * to 9999 from outside. */
#pragma once
#include "data/type.h"

#define US_PER_SECOND INT64_C(1000000)
#define US_PER_DAY INT64_C(86400000000)

/* What is accepted from outside: the years 1 to 9999. */
#define FIRST_INPUT_US (INT64_C(-719162) * US_PER_DAY)
#define LAST_INPUT_US (INT64_C(2932897) * US_PER_DAY - 1)
/* What arithmetic may reach: 4714-11-24 BC, as PostgreSQL, to the first days of 294247. INT64_MAX
 * and INT64_MIN are 'infinity' and '-infinity'. */
#define FIRST_TIMESTAMP_US (INT64_C(-2440588) * US_PER_DAY)
#define LAST_TIMESTAMP_US (INT64_C(106751991) * US_PER_DAY - 1)

typedef struct Calendar {
    int year, month, day, hour, minute, second, us;
} Calendar;

int64_t days_from_civil(int year, int month, int day); /* days since 1970-01-01 */
void calendar_from_us(int64_t us, Calendar *out);
int64_t calendar_to_us(const Calendar *);

/* RFC 3339 as events carry it ("2021-07-11T17:16:40.1234567Z", offset, space instead of T, no zone
 * = UTC, any number of fraction digits, rounded half to even as PostgreSQL rounds). The hot path of
 * the JSON reader: no allocation. REJECT when it is no such time or the year is outside 1-9999. */
CHECKED Status rfc3339_parse(Str, int64_t *us);
/* Everything PostgreSQL's timestamptz input takes that we support: RFC 3339, 'epoch', date only,
 * with zone offsets, zone names 'UTC'/'Z'; ISO and the common spellings. REJECT with PostgreSQL's
 * message. */
CHECKED Status timestamp_parse(Str, bool with_zone, int64_t *us, Error *);
CHECKED Status date_parse(Str, int64_t *days, Error *);
/* '2 seconds', '1 day 02:03:04.5', 'P1Y2M', '-1 mon +3 days' … */
CHECKED Status interval_parse(Str, Interval *out, Error *);
void timestamp_text(int64_t us, bool with_zone, Buffer *); /* 2020-01-02 03:04:05.6+00 */
/* 2020-01-02T03:04:05.6Z, no more digits than needed. */
void timestamp_rfc3339(int64_t us, bool with_zone, Buffer *);
void date_text(int64_t days, Buffer *);
void interval_text(Interval, Buffer *); /* 1 year 2 mons 3 days 04:05:06.7 */
int interval_compare(Interval, Interval);
/* Adds months (clipped to the month's last day), days, microseconds. REJECT "timestamp out of
 * range". */
CHECKED Status timestamp_add(int64_t us, Interval, int64_t *out, Error *);
/* A fixed length in microseconds. REJECT when it has months (their length is not fixed). */
CHECKED Status interval_to_us(Interval, int64_t *us, Error *);
/* Seconds east of UTC at that instant for a zone name or offset ('UTC', '+02', 'Europe/Berlin' by
 * the system's zoneinfo). REJECT when unknown. */
CHECKED Status zone_offset(Str zone, int64_t at_us, bool at_is_local, int *seconds, Error *);
