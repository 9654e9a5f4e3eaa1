/* What the files of the engine share. Threads: the engine thread (everything not said otherwise),
 * one reader a source (intake.c), decoder threads (intake.c), the committing thread (epoch.c), one
 * a sink (deliver.c), one a refreshed reference table (references.c). Engine.lock guards what they
 * share; Engine.wake tells the engine thread. */
#pragma once
#include "base/fault.h"
#include "base/log.h"
#include "base/queue.h"
#include "data/time.h"
#include "engine/engine.h"
#include "operator/reference.h"
#include "base/thread.h"
#include <stdlib.h>

typedef struct SourceRun SourceRun;
typedef struct SinkRun SinkRun;

/* One chunk on its way: read, decoded, then taken by the engine in the order of its partition. */
typedef struct Slot {
    struct Slot *next;
    SourceRun *source;
    Chunk *chunk;
    Decoded decoded;
    Str header;
    size_t bytes;
    bool done; /* decoded; under Engine.lock */
    int next_batch, next_reject;
    int64_t rows_taken;
    bool replay; /* all of it was counted before: it is for sinks by position that lack it */
} Slot;

typedef struct Partition {
    SourceRun *source;
    int number;
    char *name;
    /* shared, under Engine.lock */
    Slot *first, *last;
    int slots;
    bool read_ended; /* the reader met its end; what is in slots is the last */
    bool anew;   /* it stands for something new: the engine thread takes it up again, then asks */
    bool wanted; /* the engine waits for this one: read it even when memory is used up */
    int64_t at_end_since_us; /* monotonic; 0: it was not at its end, or was not asked */
    int64_t at_end_asked_us; /* when it was asked last and stood at its end still */
    /* the engine thread's */
    int64_t position, max_time, records;
    int64_t closed_position; /* in the last closed epoch; the committing thread tells it to the
                                source */
    int64_t begun;           /* where the first slot of this run began */
    int64_t reached;         /* how far sinks by position have had it */
    bool ended, idle, dirty;
    int64_t replay_until; /* the reader's: below it slots are for a replay; NO_POSITION: none is */
} Partition;

struct SourceRun {
    Engine *engine;
    const PlanSource *plan;
    int index;
    Source *source;
    SourceContext context;
    Thread reader;
    bool reader_started;
    int turn;       /* the reader's: the partition to ask first */
    bool asked_for; /* since the reader looked last: room was made, or a partition is wanted; under
                       Engine.lock */
    Partition *
        *partitions; /* [PARTITIONS_MOST], filled by the reader; each lives as long as the source */
    _Atomic int partition_count;
    _Atomic bool listed;       /* the partitions are known */
    _Atomic size_t held_bytes; /* in slots */
    Operator *op;              /* its node */
    int64_t high; /* the highest watermark of a partition, those that are gone included */
    int64_t mark; /* the watermark over its partitions; never goes back */
    int64_t saved_mark;
    int64_t all_idle_since_us; /* monotonic; 0: not all idle */
    int64_t idle_base;
    bool blocked, ended;
    SourceReport *report;
};

typedef struct Upsert Upsert;
typedef struct QueryTime QueryTime;
typedef struct Positions Positions;

/* Rows that a sink refused. */
typedef struct Refusals {
    Buffer rows; /* of each its record, then the reason, both with their size */
    int64_t count;
} Refusals;

struct SinkRun {
    Engine *engine;
    const PlanSink *plan;
    int index;
    Sink *sink;
    Thread thread;
    bool thread_started;
    SinkWay way;
    Buffer pending;       /* encoded and not handed on yet */
    Upsert *upsert;       /* of a table with a PRIMARY KEY: one write a key and epoch; else NULL */
    Positions *positions; /* by position; else NULL */
    Queue *queue;         /* of SinkItem; by length and at once */
    bool wrote;           /* since the last sync token */
    bool full;            /* it has more than it may hold; the engine thread's, of its last look */
    Buffer filling;       /* at once: what went into the queue since the last epoch was closed */
    Refusals refused;     /* its thread's: told by the sink and not in the home yet */
    bool refusal_told;    /* on the log, once; its thread's */
    bool again;           /* by outbox: what comes next may have been sent before; its thread's */
    int64_t renew_us, renew_at_us; /* its marker; 0: at the first rest; its thread's */
    /* under Engine.lock */
    int64_t asked_epoch;          /* of the last sync token put into the queue */
    int64_t synced_epoch, length; /* by length, at once */
    Buffer closed;                /* at once: `filling` of the epoch that is being committed */
    Refusals settled_refused;     /* at once: of what is synced; goes with the next commit */
    int64_t delivered_epoch, recorded_epoch; /* by outbox; at once, of what was put there */
    int64_t owed_bytes;
    int64_t owed_until; /* last epoch with something in the outbox */
    bool settled; /* by outbox: the marker was compared; nothing is left to deliver up to owed_until
                   */
    SinkReport *report;
};

typedef struct SinkItem {
    int64_t epoch; /* > 0: a sync token; by position: the last that was committed */
    size_t size;
    size_t positions_size; /* by position: so many bytes are SinkPositions, before the rows */
    char bytes[];
} SinkItem;

typedef struct ReferenceRun {
    Engine *engine;
    const PlanReference *plan;
    ReferenceTable *table; /* the engine thread's */
    ReferenceTable *fresh; /* loaded, waiting to be put in place; under Engine.lock */
    Thread thread;
    bool thread_started;
} ReferenceRun;

typedef struct ViewOperator {
    Operator op;
    Engine *engine;
    const PlanView *plan;
    ViewReport *report;
    int64_t expired_before;
    int64_t last_mark; /* the last that was a time */
    Buffer key, values;
} ViewOperator;

typedef struct SinkOperator {
    Operator op;
    Engine *engine;
    SinkRun *run; /* NULL: ad hoc, rows are collected */
} SinkOperator;

struct Engine {
    Plan *plan;
    EngineOptions options;
    Env *env;
    OperatorHost host;
    Arena *arena;
    Report report;
    Operator **ops; /* [plan->node_count] */
    bool *rests;    /* [plan->node_count]: of a query that was finished in an earlier run, and none
                       that runs reads it */
    QueryTime *query_times; /* [plan->query_count] */
    bool *feeds; /* [plan->node_count][plan->sink_count]: rows of that node reach that sink */
    bool *waits; /* [plan->node_count]: its time has more to emit, and a sink behind it was full */
    bool replaying; /* a batch that was counted before is on its way */
    bool paused;    /* some node waits */
    SourceRun *sources;
    SinkRun *sinks;
    ReferenceRun *references;
    Home *home; /* NULL: ad hoc; under home_lock once threads run */
    Mutex home_lock;

    Mutex lock;
    Cond wake;     /* the engine thread waits */
    Cond room;     /* readers wait for room, the committing thread for work and syncs, sinks
                                for epochs */
    Queue *decode; /* of Slot */
    int64_t news, news_seen; /* what readers and decoders have said; what the engine thread knew
                                when it chose; under lock */
    Thread *workers;
    int worker_count, workers_started;
    bool closing; /* threads are to end; under lock */
    _Atomic bool stop;
    int64_t stopped_at_us; /* when the engine thread first saw it; 0: not yet */
    bool failed;           /* under lock */
    Error failure;

    /* the epoch being filled */
    HomeBatch *batch;
    _Atomic bool dirty; /* something came or left since the last one */
    int64_t epoch;      /* last closed */
    int64_t closed_at_us, epoch_records;
    HomePosition *positions; /* where the home stands, from open */
    int position_count;
    HomeCount *counts; /* totals of earlier runs */
    int count_count;

    /* the committing thread's work, under lock */
    Thread committer;
    bool committer_started;
    HomeBatch *committing;
    int64_t committing_epoch, committed_epoch;
    int64_t first_epoch; /* of the home when this run began */
};

enum {
    CHUNK_BYTES = 1 << 20,
    HELD_MOST_BYTES =
        12 << 20,         /* raw bytes in slots of one source, beside what the engine waits for */
    SLOT_BYTES = 8 << 10, /* about what a slot takes beside its bytes: many may be small */
    SLOTS_MOST = 8,       /* of one partition */
    PARTITIONS_MOST =
        65536, /* of one source; the array of pointers costs memory only as it fills */
    SINK_QUEUE_BYTES = 16 << 20,
    SINK_QUEUE_ITEMS = 1024, /* and a few that an epoch's close may force in */
    SINK_ITEM_BYTES = 256 << 10,
    SINK_PATIENCE_US = 60000000, /* for a file that cannot be written to */
    SYNC_PATIENCE_US = 1000000,  /* for a sink at once; then what it owes goes into the outbox */
    TELL_OWED_US = 500000,       /* so long a stop waits for sinks without a word */
    STOP_PATIENCE_US = 9000000,  /* for what is owed when told to stop: all is over within 10 s */
    LAST_COMMIT_US = 500000,
    EPOCH_OWED_BYTES = 16 << 20, /* closes an epoch before its time */
    EPOCH_MOST_BYTES = 64 << 20, /* waits for the one being committed */
};

void engine_fail(Engine *, const Error *); /* from any thread: the run ends with that */
int64_t engine_now(Engine *);              /* monotonic */
/* With Engine.lock held: waits until `cond` is signalled, at most `us`. */
void engine_wait(Engine *, Cond *cond, int64_t us);
/* Told to stop, and more than STOP_PATIENCE_US ago. The engine thread's. */
bool engine_impatient(Engine *);

/* intake.c */
CHECKED Status intake_open(Engine *, Error *);
CHECKED Status intake_start(Engine *, Error *);
void intake_close(Engine *);
void intake_taken(Engine *, Partition *,
                  Slot *); /* the engine is through with the partition's first slot */

/* watermark.c */
int64_t partition_watermark(const Partition *);
void source_watermark(SourceRun *, int64_t now_us); /* moves run->mark */
void batch_see(Partition *, Batch *, Arena *);      /* fills `seen`, moves max_time */

/* query_time.c */
CHECKED Status query_times_open(Engine *, Error *);
void query_times_move(Engine *); /* sources' marks are known, or have gone on through some nodes */
Watermark query_mark(const Engine *, int node, int input); /* what that input has reached */
void query_times_save(Engine *);                           /* into the epoch's batch */

/* pipeline.c */
CHECKED Status pipeline_open(Engine *, Error *);
void pipeline_connect(Engine *); /* rows flow from here on, past what rests */
void pipeline_close(Engine *);
CHECKED Status pipeline_advance(Engine *, Error *); /* time moves through the operators */
CHECKED Status pipeline_step(Engine *, bool *worked, Error *);
bool pipeline_ended(Engine *);
/* Told to stop: whether sinks by position lack rows of what the home has counted, and the next of
 * them. */
bool pipeline_lags(Engine *);
CHECKED Status pipeline_catch_up(Engine *, bool *worked, Error *);

/* epoch.c */
CHECKED Status epoch_open(Engine *, Error *); /* home, queries, state, positions */
CHECKED Status epoch_start(Engine *, Error *);
CHECKED Status epoch_due(Engine *, Error *); /* closes one when it is time */
/* The last epochs: everything committed, delivered. AGAIN: told to stop, and a sink did not take
 * its rows in time. */
CHECKED Status epoch_finish(Engine *, bool ended, Error *);
void epoch_join(Engine *); /* the committing thread is over */
void epoch_stop(Engine *);

/* view.c */
extern const OperatorType view_operator;

/* position.c */
CHECKED Status positions_open(SinkRun *, SinkContext *, Error *);
void positions_free(Positions **);
/* Where to begin reading a partition of which sinks may lack rows; from any thread. */
int64_t positions_resume(const SourceRun *, const Partition *);
void positions_push(SinkRun *, const Batch *);
void positions_flush(SinkRun *);
void positions_close(SinkRun *); /* the epoch closes */
bool positions_full(SinkRun *);
bool positions_paid(SinkRun *); /* with Engine.lock held */
void *sink_position_thread(void *run);
int home_position_order(const void *, const void *); /* by source and partition, for qsort */
const HomePosition *home_position_find(const HomePosition *, int count, const char *source,
                                       const char *partition);

/* replay.c */
Chunk *chunk_split(Chunk *, int64_t position, Chunk **behind); /* takes it over, gives two */
CHECKED Status replay_batch(Engine *, Partition *, Batch *, Error *);

/* deliver.c */
extern const OperatorType sink_operator;
CHECKED Status sinks_open(Engine *, Error *);
CHECKED Status sinks_start(Engine *, Error *);
void sinks_flush(Engine *, bool all); /* hands pending bytes on */
void sinks_epoch(Engine *,
                 int64_t epoch); /* sync tokens and outbox blobs of the epoch that closes */
void sinks_judge(Engine *);      /* looks which are full */
/* Whether one that the node feeds is; `look`: those that were not at the last look may be now. */
bool sink_behind_is_full(Engine *, int node, bool look);
/* For the committing thread, with Engine.lock held: whether the closed epoch may be committed; what
 * of sinks goes along with it. */
bool sinks_ready(Engine *, int64_t *wait_us);
void sinks_commit(Engine *, HomeBatch *, int64_t epoch);
/* Nothing is owed outside; `compared`: and each marker was looked at. Under no lock. */
bool sinks_paid(Engine *, bool compared);
/* Logs whom a stop waits for; over: what is left to the next start. */
void sinks_tell_owed(Engine *, bool over);
void sinks_close(Engine *);

/* sink_thread.c */
void *sink_write_thread(void *run);
void *sink_outbox_thread(void *run);
void sink_tell_state(SinkRun *, const char *text); /* "": fine */
void sink_back_off(Engine *, int64_t *wait_us);    /* waits before trying again, longer each time */

/* Delivers, however long it takes. AGAIN: the run is over. */
CHECKED Status sink_deliver(SinkRun *, const Delivery *, Error *);
CHECKED Status sink_renew(SinkRun *, Error *); /* its marker, now */

/* refuse.c */
void refuse_row(void *run, Str record, const char *reason); /* SinkContext.refuse */
void refusals_clear(Refusals *);
void refusals_move(Refusals *to, Refusals *from);
/* Into an epoch's batch, and how many there are in all. */
void refusals_put(SinkRun *, Refusals *, HomeBatch *);
/* Those of one delivery into the home, at once, instead of what it holds of that delivery. */
CHECKED Status refusals_keep(SinkRun *, int64_t delivery, Error *);

/* upsert.c */
Upsert *upsert_new(void);
void upsert_free(Upsert **);
void upsert_add(SinkRun *, const Batch *); /* its rows into `pending` */
void upsert_close(SinkRun *);              /* the epoch closes: `pending` holds one write a key */

/* references.c */
CHECKED Status references_open(Engine *, Error *);
CHECKED Status references_start(Engine *, Error *);
void references_swap(Engine *);
void references_close(Engine *);

/* counts.c */
void counts_open(Engine *);
void counts_update(Engine *, HomeBatch *); /* operator counters -> report and home */
