/* The engine runs a plan: sources through operators into views and sinks, an epoch at a time. */
#pragma once
#include "base/env.h"
#include "engine/report.h"
#include "state/home.h"

typedef struct EngineOptions {
    Env *env;
    const char *reset;  /* --reset NAME, or NULL */
    bool fresh;         /* --fresh */
    int workers;        /* decoder threads; 0: as the pipeline says, or one a core */
    /* Ad hoc (no home): called on the engine thread with each batch of result rows. */
    void (*collect)(void *context, const Batch *);
    void *context;
} EngineOptions;

typedef struct Engine Engine;

/* Opens home, connectors, references, state. Says on the log what it does. FAIL: what is wrong and what to do. END: the pipeline is finished;
 * there is nothing to run. */
CHECKED Status engine_open(Plan *, const EngineOptions *, Engine **out, Error *);
/* Runs until the sources end (OK), engine_stop was called (OK), or FAIL. */
CHECKED Status engine_run(Engine *, Error *);
void engine_stop(Engine *); /* async-signal-safe: commit an epoch, deliver what is owed (at most 10 s), return */
Report *engine_report(Engine *);
void engine_close(Engine **);
