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

TimeField time_field(Str name); /* PostgreSQL's names and abbreviations, in any case */
/* For prepare: the field of constant argument 0 as *state (a TimeField *). */
CHECKED Status prepare_field(void **state, const Value *const *constants, Type result, Arena *,
                             Error *);
TimeField call_field(const Call *, const Column *, int row);
/* The row fails: the field is unknown, or that type does not have it; `units`: only units of time
 * were allowed. */
void field_fail(Call *, Column *out, int row, const Column *field, TypeKind type, bool units);

/* ISO 8601: the week (1 … 53) and the year that it belongs to. */
void iso_week(int year, int month, int day, int *week, int *iso_year);
