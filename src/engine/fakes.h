/* A made-up outside for tests of the engine: sources and sinks that live in memory, survive the
 * engine as a broker or a file survives a process, and fail, stall or forget answers as they are
 * told. */
#pragma once
#include "engine/engine.h"
#include "sql/plan.h"
#include <pthread.h>

enum { FAKE_PARTITIONS = 8, FAKE_TABLES = 4 };

typedef struct FakeSource {
    const char *table;
    int partitions;
    char **records[FAKE_PARTITIONS];
    int counts[FAKE_PARTITIONS];
    _Atomic int there[FAKE_PARTITIONS]; /* so many of them have come by now */
    bool bounded;
    int chunk_rows;
    int64_t fail_at;       /* the run fails when so many records were handed over; -1: never */
    _Atomic int64_t given; /* records handed over in this run */
    _Atomic bool away;     /* not to be reached: not asked, not at its end */
    _Atomic int64_t committed[FAKE_PARTITIONS];
} FakeSource;

typedef struct FakeSink {
    const char *table;
    Buffer bytes;              /* what stands outside */
    size_t synced;             /* by length: behind it, a crash may cut */
    int64_t epoch, generation; /* by outbox: the marker */
    _Atomic int64_t room;      /* rows that it still takes; INT64_MAX: any */
    int lost_answers;          /* so many deliveries are done and then answered by AGAIN */
    _Atomic bool uncommitting; /* in two steps: what is sent is never committed */
    const char *refuses;       /* rows with this text; NULL: none */
    int64_t number;            /* by position: of the last transaction */
    int64_t positions[FAKE_TABLES]
                     [FAKE_PARTITIONS]; /* and how far it says, by source; 0: nothing */
    Buffer sent;                        /* in two steps: what waits for commit */
    Delivery open;                      /* and what goes with it */
    SinkPosition *opened;               /* its positions */
    _Atomic int64_t rows;               /* that it took */
    _Atomic int64_t calls;
} FakeSink;

typedef struct FakeWorld {
    FakeEnv env;
    int64_t speed, since_us; /* durations pass so many times faster than outside; 0: time stands */
    FakeSource sources[FAKE_TABLES];
    FakeSink sinks[FAKE_TABLES];
    int source_count, sink_count;
    _Atomic int failing_commits; /* so many commits in the home fail; -1: all */
    int64_t commit_takes_us;     /* the clock moves so far at each that fails */
    char folder[64], home[96];
} FakeWorld;

/* Tables of connector 'file' become made-up ones whose partitions end, those of 'kafka' ones that
 * do not. A sink's `path` (kafka: `topic`) says how it is served: 'length', 'outbox', 'twice' (by
 * outbox, in two steps), 'once', 'position'. */
void fake_world_open(FakeWorld *);
void fake_world_close(FakeWorld *);
FakeSource *fake_source(FakeWorld *, const char *table, int partitions, bool bounded);
FakeSink *fake_sink(FakeWorld *, const char *table);
void fake_record(FakeSource *, int partition, const char *format, ...) PRINTF(3, 4);
/* Plans the pipeline in this world and opens an engine for it. */
typedef struct FakeRun {
    Catalog *catalog;
    Plan *plan;
    Engine *engine;
} FakeRun;
CHECKED Status fake_open(FakeWorld *, const char *sql, const EngineOptions *, FakeRun *, Error *);
void fake_close(FakeRun *);
/* Opens, runs to the end, closes. *view, if any: the first view's rows then. */
CHECKED Status fake_run(FakeWorld *, const char *sql, const EngineOptions *, Buffer *view, Error *);
/* The committed rows of the pipeline's first view as JSON text, newest first; of the run's plan. */
void fake_view(FakeWorld *, const FakeRun *, Buffer *json);
/* The same beside the test: it is started, watched, and stopped or waited for. */
typedef struct FakeRunning {
    FakeRun run;
    pthread_t thread;
    Status status;
    Error error;
} FakeRunning;
void fake_start(FakeWorld *, FakeRunning *, const char *sql, const EngineOptions *); /* aborts */
Status fake_stop(FakeRunning *); /* what engine_run said; fake_close is the caller's */
Status fake_wait(FakeRunning *);
/* Looks again and again, for twenty seconds. */
bool fake_until(bool (*holds)(void *), void *context);
