/* The time that windows and sessions are made of: the rows' own event time, or a column of an inner
 * window. */
#pragma once
#include "operator/specs.h"

/* How far that time has come. */
int64_t time_reached(TimeKind, Watermark);
const int64_t *row_times(TimeKind, int column, const Batch *);
/* What each row's own partition had seen; NULL: nothing is late. */
const int64_t *row_seen(TimeKind, const Batch *);
/* The batch without rows whose time is NULL or an error: dead letters. */
const Batch *with_times(Operator *, TimeKind, int column, const Batch *);
/* "late: WHAT TIME, its partition's watermark was TIME"; idle: the query's time was. */
const char *late_reason(const char *what, int64_t time_us, int64_t reached_us, bool idle, Arena *);
static inline int64_t time_less(int64_t time,
                                int64_t by) { /* the ends of time stay where they are */
    if (time == NO_TIME || time == END_OF_TIME) return time;
    return time < NO_TIME + by ? NO_TIME : time - by;
}
