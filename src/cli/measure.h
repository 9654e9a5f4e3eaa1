/* What the verifier measures beside right and wrong: how long things took, and how many came in
 * each minute. Both are of bounded size, whatever the rows say. */
#pragma once
#include "base/memory.h"

/* Durations: exact while there are less than a million, then in steps of a thousandth. */
typedef struct Latency {
    int64_t count, most_us;
    int64_t *values; /* exact; NULL: none, or folded into steps */
    int64_t *steps;
    bool sorted;
} Latency;

void latency_add(Latency *, int64_t us);
/* The smallest of the durations that `share` of them do not exceed. */
int64_t latency_at(Latency *, double share);
void latency_free(Latency *);

/* Events by the second in which they came. */
typedef struct Rate {
    uint32_t *counts; /* of the seconds from first_second on */
    int64_t first_second, seconds;
    int64_t least_us, most_us; /* of all times */
    int64_t count, outside;    /* outside: too far from the others to be kept */
} Rate;

typedef struct Minutes {
    int64_t count; /* full minutes behind the warm-up */
    int64_t worst; /* events in the worst of them */
    int64_t worst_at_us;
    int64_t events; /* in all of them */
} Minutes;

void rate_add(Rate *, int64_t us, int64_t events);
/* Minutes of the clock that lie between the first time, `warm_up_us` added, and the last one. */
Minutes rate_minutes(const Rate *, int64_t warm_up_us);
void rate_free(Rate *);
