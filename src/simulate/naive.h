/* What must come out of a scenario, said as simply as it can be said. */
#pragma once
#include "base/memory.h"
#include "simulate/scenario.h"

typedef struct Answer {
    char *text;     /* the row as JSON */
    char *key;      /* of its group, or its id */
    int64_t end, n; /* of a window */
    int source;     /* of a plain row */
    const Event *event;
    int k;
} Answer;

typedef struct Answers {
    Answer *rows;
    int count, capacity;
} Answers;

typedef enum Tally {
    TALLY_IN,
    TALLY_FILTERED,
    TALLY_DEDUPLICATED,
    TALLY_LATE,
    TALLY_DEAD,
    TALLIES
} Tally;
extern const char *const TALLY_NAMES[TALLIES];

enum { DEDUPS = MOST_QUERIES }; /* the query of source s's DISTINCT ON is DEDUPS + s */

typedef struct Naive {
    Arena *arena;
    bool ended;
    const char *const *told_late;
    int told_count;
    const char *missed;            /* a row that is late, and was not told as such */
    int64_t reached[MOST_SOURCES]; /* the greatest watermark of its partitions */
    Answers views[MOST_QUERIES];
    Answers late, dead; /* "query source partition position" */
    int64_t tally[MOST_QUERIES + MOST_SOURCES][MOST_SOURCES][TALLIES];
} Naive;

/* `late`, of partitions that fall idle: the rows that the engine held for late, in its words; no
 * other may be, and those that are late by their own partition must be among them.
 * Of the first taken[source][partition] records of each partition; `ended`: no more will come. */
void naive_open(Naive *, const Scenario *, const int64_t taken[MOST_SOURCES][MOST_PARTITIONS],
                bool ended, const char *const *late, int late_count);
void naive_close(Naive *);
