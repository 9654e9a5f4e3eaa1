/* The engine runs a plan: sources through operators into views and sinks, an epoch at a time. */
#pragma once
#include "base/env.h"
#include "engine/report.h"
#include "state/home.h"

typedef struct EngineOptions {
    Env *env;
    const char *reset; /* --reset NAME, or NULL */
    bool fresh;        /* --fresh */
    int workers;       /* decoder threads; 0: as the pipeline says, or one a core */
    /* For tests: see docs/testing.md. */
    int batch_rows;        /* most rows a batch, 0: BATCH_ROWS */
    uint64_t random_rows;  /* seed for random batch sizes, 0: off */
    int64_t epoch_rows;    /* close an epoch after so many records, 0: by time only */
    int64_t kill_at_epoch; /* SIGKILL right after that many epochs of this run were committed, 0:
                              never */
    int64_t renew_us;      /* how often markers are renewed; 0: daily */
    /* Ad hoc (no home): called on the engine thread with each batch of result rows. */
    void (*collect)(void *context, const Batch *);
    void (*rejected)(void *context, const char *reason); /* a bad record or row; may be NULL */
    void *context;
} EngineOptions;

typedef struct Engine Engine;

/* Opens home, connectors, references, state. Says on the log what it does. FAIL: what is wrong and
 * what to do. END: the pipeline is finished; there is nothing to run. */
CHECKED Status engine_open(Plan *, const EngineOptions *, Engine **out, Error *);
/* Runs until the sources end (OK), engine_stop was called (OK), or FAIL. AGAIN: stopped, but a sink
 * is stuck: what it did not take is for the next start; engine_close could wait for ever. */
CHECKED Status engine_run(Engine *, Error *);
void engine_stop(
    Engine *); /* async-signal-safe: commit an epoch, deliver what is owed (at most 10 s), return */
Report *engine_report(Engine *);
void engine_close(Engine **);
