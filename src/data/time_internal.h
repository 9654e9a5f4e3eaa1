/* What the files about time share. Inside of data/ only. */
#pragma once
#include "data/time.h"

int month_length(int year, int month);
/* The microseconds that digits behind a decimal point mean, rounded as PostgreSQL rounds: 0 …
 * 1000000. */
int64_t fraction_us(const char *digits, size_t count);
/* RFC 3339 in two parts: the time as written, and the seconds that it is east of UTC. */
CHECKED Status rfc3339_split(Str, int64_t *local_us, int *offset);
char *put_fraction(char *to, int us); /* ".5", or nothing for 0; at most 7 bytes */
