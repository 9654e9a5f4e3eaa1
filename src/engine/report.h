/* What a running pipeline tells about itself: the engine thread writes, anyone reads. Names and
 * shapes do not change after the report is built; numbers are atomics; texts are guarded by `lock`.
 * report.c turns it into /v1/pipeline's JSON and /metrics' text. */
#pragma once
#include "sql/plan.h"
#include "base/thread.h"

typedef _Atomic int64_t Number;

typedef struct PartitionReport {
    char name[240];
    Number rows, position, watermark_us /* NO_TIME: none */, lag /* -1: unknown */, idle, ended;
} PartitionReport;

enum { REPORT_PARTITIONS = 1024 }; /* more are run, but not told one by one */

typedef struct SourceReport {
    const char *name, *connector;
    bool bounded;
    Number partition_count;      /* how many of partitions[] are told */
    PartitionReport *partitions; /* [REPORT_PARTITIONS] */
    Number rows, dead, skipped, bytes, lost /* deleted outside before they were read */;
    Number watermark_us, queue_percent, blocked /* by a full sink */, ended;
    char state[256];      /* "", or why it is away; under lock */
    Number away_since_us; /* 0: it is not */
} SourceReport;

typedef struct QueryReport {
    const char *name;
    QueryKind kind;
    /* [sources of the plan]: rows in, filtered, deduplicated, late, late because a partition was
     * idle, dead; passed = in - these */
    Number *in, *filtered, *deduplicated, *late, *late_idle, *dead;
    Number watermark_us, finished, rows_out;
} QueryReport;

typedef struct OperatorReport {
    const char *name, *type;
    int query; /* -1: a source's node */
    const int *inputs;
    int input_count;            /* node numbers: operators[] is indexed like plan->nodes */
    OperatorCounters *counters; /* of the running operator; NULL for a source's node */
} OperatorReport;

typedef struct SinkReport {
    const char *name, *connector, *way;                   /* "by length", "by outbox" … */
    Number rows, bytes, queue_percent, owed_bytes, epoch; /* epoch: last delivered or synced */
    Number refused;       /* rows that it will never take, earlier runs included */
    char state[256];      /* "", or why it is away; under lock */
    Number away_since_us; /* 0: it is not */
} SinkReport;

typedef struct ViewReport {
    const char *name;
    const Schema *schema;
    int window_start, window_end; /* columns, -1: none */
    Number rows_written, growing;
} ViewReport;

typedef struct Report {
    Mutex lock;
    const char *pipeline, *file, *home; /* home NULL: ad hoc */
    int64_t started_us;
    const Plan *plan;
    SourceReport *sources;
    QueryReport *queries;
    OperatorReport *operators; /* [plan->node_count] */
    SinkReport *sinks;
    ViewReport *views;
    Number now_us; /* engine's clock at its last step: stale means stuck */
    Number epoch, epochs, epoch_close_us, epoch_commit_us, epoch_bytes, last_commit_us;
    Number state_bytes, memory_limit;
    Number ready, finished, failing;
    char failure[1024]; /* why commits or sinks fail now; under lock */
} Report;

/* Writes a source's or sink's state and since when it is away. Whether that changed: it went away,
 * or is back ("" as text). */
bool report_tell_state(Report *, char state[256], Number *away_since_us, const char *text,
                       int64_t now_us);
/* JSON of /v1/pipeline; Prometheus text of /metrics. */
void report_json(Report *, Buffer *out);
void report_metrics(Report *, Buffer *out);
void report_view_json(const ViewReport *, Buffer *out); /* one of /v1/views */
int64_t report_lag(const SourceReport *); /* records that wait, over its partitions; -1: unknown */
