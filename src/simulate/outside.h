/* The made-up outside of a scenario: sources that hand over its records when their time has come,
 * sinks (stores.h) that keep what they are given, survive the engine, and fail as the round has it.
 */
#pragma once
#include "engine/engine.h"
#include "simulate/scenario.h"
#include "simulate/stores.h"

typedef struct Outside {
    Env env;
    Scenario *scenario;
    const Round *round;
    OutSink sinks[MOST_QUERIES];
    OutSink lost[MOST_QUERIES]; /* files of those who were frozen: their disk is a copy */
    int64_t committed[MOST_SOURCES][MOST_PARTITIONS]; /* told to the sources; -1: nothing */
    int64_t taken[MOST_SOURCES][MOST_PARTITIONS];     /* handed over in this run up to there */
    Random draws, env_draws;
    int passes;   /* of the point where this run is to crash */
    int failures; /* in this run: so it may end with an error */
    char home[128];
    bool query_forgotten; /* in this run, by --reset */
    bool any_forgotten;   /* in some run */
    bool copy_delivered;  /* those who were frozen have written to a topic since */
    const char *broken;   /* a rule that the engine broke towards the outside */
} Outside;

extern Outside outside;

void outside_open(Scenario *, const char *home);
void outside_round(const Round *, uint64_t seed);
void outside_crash(bool power);
void outside_freeze(void); /* the home and its disk become two */
/* Parses and plans the pipeline with the made-up connectors. */
CHECKED Status outside_plan(Catalog **, Plan **, Error *);
/* Everything that will ever come was handed over. */
bool outside_exhausted(void);
/* For what fails by draw, one time of so many (0: never); the second kind may end the run. */
bool outside_draw(uint32_t of);
bool outside_fails(uint32_t of);
void outside_wait(int64_t most_us);
void outside_pass(const char *point); /* a named place where the process may end */
