/* The made-up outside of a scenario: sources that hand over its records when their time has come,
 * sinks that keep what they are given, survive the engine, and fail as the round has it. */
#pragma once
#include "engine/engine.h"
#include "simulate/scenario.h"
#include "sql/plan.h"

typedef struct OutSink {
    Buffer bytes;
    size_t synced;             /* by length */
    int64_t epoch, generation; /* by outbox: the marker */
    int64_t claimed_length;    /* last told to the engine as synced */
} OutSink;

typedef struct Outside {
    Env env;
    Scenario *scenario;
    const Round *round;
    OutSink sinks[MOST_QUERIES];
    int64_t committed[MOST_SOURCES][MOST_PARTITIONS]; /* told to the sources; -1: nothing */
    int64_t taken[MOST_SOURCES][MOST_PARTITIONS];     /* handed over in this run up to there */
    Random draws, env_draws;
    int passes;   /* of the point where this run is to crash */
    int failures; /* in this run: so it may end with an error */
    char home[128];
    const char *broken; /* a rule that the engine broke towards the outside */
} Outside;

extern Outside outside;

void outside_open(Scenario *, const char *home);
void outside_round(const Round *, uint64_t seed);
void outside_crash(bool power);
/* Parses and plans the pipeline with the made-up connectors. */
CHECKED Status outside_plan(Catalog **, Plan **, Error *);
/* Everything that will ever come was handed over. */
bool outside_exhausted(void);
