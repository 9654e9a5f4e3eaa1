/* Plays one scenario from beginning to end. */
#pragma once
#include "simulate/scenario.h"

typedef struct Verdict {
    bool ok;
    uint64_t hash;                                     /* of the trace */
    int64_t points;                                    /* of the schedule, over all runs */
    int runs, crashes, stops, failures, zombies, told; /* of the engine: how they ended */
    int events;
    char text[1200]; /* what is wrong */
} Verdict;

/* In a process of its own: abandoned engines are never freed. `home`: a path in a folder for its
 * lock file. */
void play(uint64_t seed, const Limits *, const char *home, Verdict *);
