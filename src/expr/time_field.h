/* The names of the parts of a time, as extract, date_part and date_trunc take them. */
#pragma once
#include "expr/library.h"

typedef enum TimeField {
    FIELD_UNKNOWN,
    FIELD_MICROSECONDS, /* from here to FIELD_MILLENNIUM in the order of date_trunc */
    FIELD_MILLISECONDS,
    FIELD_SECOND,
    FIELD_MINUTE,
    FIELD_HOUR,
    FIELD_DAY,
    FIELD_WEEK,
    FIELD_MONTH,
    FIELD_QUARTER,
    FIELD_YEAR,
    FIELD_DECADE,
    FIELD_CENTURY,
    FIELD_MILLENNIUM,
    FIELD_EPOCH,
    FIELD_JULIAN,
    FIELD_ISOYEAR,
    FIELD_DOW,
    FIELD_ISODOW,
    FIELD_DOY,
    FIELD_TIMEZONE,
    FIELD_TIMEZONE_HOUR,
    FIELD_TIMEZONE_MINUTE,
} TimeField;

/* ISO 8601: the week (1 … 53) and the year that it belongs to. */
void iso_week(int year, int month, int day, int *week, int *iso_year);
