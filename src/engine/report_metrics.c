/* The report as Prometheus text, for /metrics. Names follow Prometheus' customs (base units, _total
 * for counters), and the labels are names from the pipeline file, so that a dashboard outlives
 * restarts and changed plans. */
#include "engine/report_shared.h"
#include <inttypes.h>

static void head(Buffer *out, const char *name, const char *type, const char *help) {
    buffer_add_format(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label_value(Buffer *out, const char *value) {
    for (const char *c = value; *c; c++) {
        if (*c == '\\' || *c == '"') buffer_add_char(out, '\\');
        if (*c == '\n') buffer_add_text(out, "\\n");
        else buffer_add_char(out, *c);
    }
}

/* `labels`: names with commas between, as many as values, up to 3. */
typedef struct Labels {
    const char *names[3], *values[3];
} Labels;

static void series(Buffer *out, const char *name, const Labels *labels) {
    buffer_add_text(out, name);
    for (int i = 0; i < 3 && labels && labels->names[i]; i++) {
        buffer_add_format(out, "%s%s=\"", i ? "," : "{", labels->names[i]);
        label_value(out, labels->values[i]);
        buffer_add_char(out, '"');
    }
    if (labels && labels->names[0]) buffer_add_char(out, '}');
}

static void sample(Buffer *out, const char *name, const Labels *labels, int64_t value) {
    series(out, name, labels);
    buffer_add_format(out, " %" PRId64 "\n", value);
}

/* Seconds from microseconds, exactly. */
static void sample_us(Buffer *out, const char *name, const Labels *labels, int64_t us) {
    series(out, name, labels);
    const char *sign = us < 0 ? "-" : "";
    uint64_t size = us < 0 ? 0 - (uint64_t)us : (uint64_t)us;
    buffer_add_format(out, " %s%" PRIu64 ".%06" PRIu64 "\n", sign, size / 1000000, size % 1000000);
}

/* A watermark: before the first event there is none, after the last it is infinite. */
static void sample_watermark(Buffer *out, const char *name, const Labels *labels, int64_t us) {
    if (us == NO_TIME) return;
    if (us != END_OF_TIME) {
        sample_us(out, name, labels, us);
        return;
    }
    series(out, name, labels);
    buffer_add_text(out, " +Inf\n");
}

#define LABELS1(name, value) (&(Labels){{name}, {value}})
#define LABELS2(n1, v1, n2, v2) (&(Labels){{n1, n2}, {v1, v2}})
#define LABELS3(n1, v1, n2, v2, n3, v3) (&(Labels){{n1, n2, n3}, {v1, v2, v3}})

static void each_source(Report *r, Buffer *out, const char *name, const char *type,
                        const char *help, size_t offset) {
    head(out, name, type, help);
    for (int i = 0; i < r->plan->source_count; i++)
        sample(out, name, LABELS1("source", r->sources[i].name),
               report_number((Number *)(void *)((char *)&r->sources[i] + offset)));
}

static void sources(Report *r, Buffer *out) {
    each_source(r, out, "leat_source_rows_total", "counter",
                "Records taken from a source and read.", offsetof(SourceReport, rows));
    each_source(r, out, "leat_source_dead_letters_total", "counter",
                "Records of a source that could not be read (data conversion errors).",
                offsetof(SourceReport, dead));
    each_source(r, out, "leat_source_skipped_rows_total", "counter",
                "Bad records skipped by on_error = 'skip'.", offsetof(SourceReport, skipped));
    each_source(r, out, "leat_source_lost_records_total", "counter",
                "Offsets of a topic that were deleted before they were read (on_gap = 'skip').",
                offsetof(SourceReport, lost));
    each_source(r, out, "leat_source_bytes_total", "counter",
                "Bytes of records taken from a source in this run.", offsetof(SourceReport, bytes));
    each_source(r, out, "leat_source_blocked", "gauge",
                "1 while a full sink keeps this source from being asked.",
                offsetof(SourceReport, blocked));
    each_source(r, out, "leat_source_ended", "gauge",
                "1 when a bounded source was read to its end.", offsetof(SourceReport, ended));
    head(out, "leat_source_watermark_seconds", "gauge",
         "Event time that a source has reached, as Unix time; +Inf once it has ended.");
    for (int i = 0; i < r->plan->source_count; i++)
        sample_watermark(out, "leat_source_watermark_seconds",
                         LABELS1("source", r->sources[i].name),
                         report_number(&r->sources[i].watermark_us));
}

typedef enum PartitionFact {
    PARTITION_ROWS,
    PARTITION_WATERMARK,
    PARTITION_LAG,
    PARTITION_IDLE
} PartitionFact;

static void each_partition(Report *r, Buffer *out, PartitionFact fact, const char *name,
                           const char *type, const char *help) {
    head(out, name, type, help);
    for (int i = 0; i < r->plan->source_count; i++) {
        SourceReport *s = &r->sources[i];
        int count = (int)report_number(&s->partition_count);
        for (int p = 0; p < count && p < REPORT_PARTITIONS; p++) {
            PartitionReport *part = &s->partitions[p];
            char title[sizeof part->name];
            report_text(r, part->name, title, sizeof title);
            const Labels *labels = LABELS2("source", s->name, "partition", title);
            int64_t lag = report_number(&part->lag);
            if (fact == PARTITION_ROWS) sample(out, name, labels, report_number(&part->rows));
            if (fact == PARTITION_IDLE) sample(out, name, labels, report_number(&part->idle));
            if (fact == PARTITION_LAG && lag >= 0) sample(out, name, labels, lag);
            if (fact == PARTITION_WATERMARK)
                sample_watermark(out, name, labels, report_number(&part->watermark_us));
        }
    }
}

static void partitions(Report *r, Buffer *out) {
    each_partition(r, out, PARTITION_ROWS, "leat_partition_rows_total", "counter",
                   "Records taken from a partition.");
    each_partition(r, out, PARTITION_WATERMARK, "leat_watermark_seconds", "gauge",
                   "Event time that a partition has reached, as Unix time.");
    each_partition(r, out, PARTITION_LAG, "leat_lag_records", "gauge",
                   "Records of a partition that wait outside (backlogged input events).");
    each_partition(r, out, PARTITION_IDLE, "leat_partition_idle", "gauge",
                   "1 while a partition is idle and does not hold time back.");
}

static void queries(Report *r, Buffer *out) {
    head(out, "leat_rows_total", "counter",
         "Rows of a source in a query: in = passed + filtered + deduplicated + late + dead.");
    for (int q = 0; q < r->plan->query_count; q++) {
        for (int s = 0; s < r->plan->source_count; s++) {
            if (!report_query_reads(r, q, s)) continue;
            QuerySums sums = report_sums(&r->queries[q], s);
            const struct {
                const char *kind;
                int64_t rows;
            } kinds[] = {{"in", sums.in},
                         {"passed", sums.passed},
                         {"filtered", sums.filtered},
                         {"deduplicated", sums.deduplicated},
                         {"late", sums.late},
                         {"dead", sums.dead}};
            for (int k = 0; k < 6; k++)
                sample(out, "leat_rows_total",
                       LABELS3("query", r->queries[q].name, "source", r->sources[s].name, "kind",
                               kinds[k].kind),
                       kinds[k].rows);
        }
    }
    head(out, "leat_late_idle_rows_total", "counter",
         "Late rows that are late only because their partition was idle or is new.");
    for (int q = 0; q < r->plan->query_count; q++)
        for (int s = 0; s < r->plan->source_count; s++)
            if (report_query_reads(r, q, s))
                sample(out, "leat_late_idle_rows_total",
                       LABELS2("query", r->queries[q].name, "source", r->sources[s].name),
                       report_number(&r->queries[q].late_idle[s]));
    head(out, "leat_rows_out_total", "counter",
         "Result rows of a query in this run, growth of windows not counted.");
    for (int q = 0; q < r->plan->query_count; q++)
        sample(out, "leat_rows_out_total", LABELS1("query", r->queries[q].name),
               report_number(&r->queries[q].rows_out));
    head(out, "leat_query_watermark_seconds", "gauge",
         "Event time that a query has reached, as Unix time; +Inf once its sources have ended.");
    for (int q = 0; q < r->plan->query_count; q++)
        if (r->queries[q].kind != QUERY_SHARED)
            sample_watermark(out, "leat_query_watermark_seconds",
                             LABELS1("query", r->queries[q].name),
                             report_number(&r->queries[q].watermark_us));
}

static void each_operator(Report *r, Buffer *out, const char *name, const char *type,
                          const char *help, size_t offset, bool seconds) {
    head(out, name, type, help);
    for (int i = 0; i < r->plan->node_count; i++) {
        const OperatorReport *o = &r->operators[i];
        if (!o->counters) continue;
        const Labels *labels =
            LABELS2("operator", o->name, "query", o->query >= 0 ? r->queries[o->query].name : "");
        int64_t value =
            report_number((const Number *)(const void *)((const char *)o->counters + offset));
        if (seconds) sample_us(out, name, labels, value);
        else sample(out, name, labels, value);
    }
}

static void operators(Report *r, Buffer *out) {
    each_operator(r, out, "leat_operator_rows_in_total", "counter",
                  "Rows that an operator took in this run.", offsetof(OperatorCounters, rows_in),
                  false);
    each_operator(r, out, "leat_operator_rows_out_total", "counter",
                  "Rows that an operator gave in this run.", offsetof(OperatorCounters, rows_out),
                  false);
    each_operator(r, out, "leat_operator_busy_seconds_total", "counter",
                  "Time that an operator worked.", offsetof(OperatorCounters, busy_us), true);
    each_operator(r, out, "leat_state_bytes", "gauge", "Memory that an operator's state takes.",
                  offsetof(OperatorCounters, state_bytes), false);
    each_operator(r, out, "leat_state_entries", "gauge",
                  "Groups or keys that an operator remembers.",
                  offsetof(OperatorCounters, state_entries), false);
}

static void each_sink(Report *r, Buffer *out, const char *name, const char *type, const char *help,
                      size_t offset) {
    head(out, name, type, help);
    for (int i = 0; i < r->plan->sink_count; i++)
        sample(out, name, LABELS1("sink", r->sinks[i].name),
               report_number((Number *)(void *)((char *)&r->sinks[i] + offset)));
}

static void sinks_and_views(Report *r, Buffer *out) {
    each_sink(r, out, "leat_sink_rows_total", "counter", "Rows written towards a sink in this run.",
              offsetof(SinkReport, rows));
    each_sink(r, out, "leat_sink_bytes_total", "counter",
              "Bytes written towards a sink in this run.", offsetof(SinkReport, bytes));
    each_sink(r, out, "leat_sink_owed_bytes", "gauge",
              "Bytes in the outbox that a sink has not acknowledged.",
              offsetof(SinkReport, owed_bytes));
    each_sink(r, out, "leat_sink_refused_total", "counter",
              "Rows that a sink will never take; they are dead letters.",
              offsetof(SinkReport, refused));
    each_sink(r, out, "leat_sink_epoch", "gauge", "The last epoch that a sink has whole.",
              offsetof(SinkReport, epoch));
    head(out, "leat_sink_away", "gauge", "1 while a sink cannot be reached or refuses rows.");
    for (int i = 0; i < r->plan->sink_count; i++) {
        char state[256];
        report_text(r, r->sinks[i].state, state, sizeof state);
        sample(out, "leat_sink_away", LABELS1("sink", r->sinks[i].name), state[0] != 0);
    }
    head(out, "leat_source_away", "gauge", "1 while a source cannot be reached.");
    for (int i = 0; i < r->plan->source_count; i++) {
        char state[256];
        report_text(r, r->sources[i].state, state, sizeof state);
        sample(out, "leat_source_away", LABELS1("source", r->sources[i].name), state[0] != 0);
    }
    head(out, "leat_queue_ratio", "gauge",
         "How full the queue of a source or sink is, from 0 to 1.");
    for (int i = 0; i < r->plan->source_count; i++)
        sample_us(out, "leat_queue_ratio", LABELS2("table", r->sources[i].name, "side", "source"),
                  report_number(&r->sources[i].queue_percent) * 10000);
    for (int i = 0; i < r->plan->sink_count; i++)
        sample_us(out, "leat_queue_ratio", LABELS2("table", r->sinks[i].name, "side", "sink"),
                  report_number(&r->sinks[i].queue_percent) * 10000);
    head(out, "leat_view_rows_written_total", "counter",
         "Rows written to a view in this run, growth of windows included.");
    for (int i = 0; i < r->plan->view_count; i++)
        sample(out, "leat_view_rows_written_total", LABELS1("view", r->views[i].name),
               report_number(&r->views[i].rows_written));
    head(out, "leat_view_growing", "gauge",
         "1 while a view shows groups as they grow, 0 when final rows only.");
    for (int i = 0; i < r->plan->view_count; i++)
        sample(out, "leat_view_growing", LABELS1("view", r->views[i].name),
               report_number(&r->views[i].growing));
}

static void one(Buffer *out, const char *name, const char *type, const char *help, int64_t value) {
    head(out, name, type, help);
    sample(out, name, NULL, value);
}
static void one_us(Buffer *out, const char *name, const char *help, int64_t us) {
    head(out, name, "gauge", help);
    sample_us(out, name, NULL, us);
}

void report_metrics(Report *r, Buffer *out) {
    head(out, "leat_info", "gauge",
         "Always 1; the pipeline and the version of the program are labels.");
    sample(out, "leat_info", LABELS2("pipeline", r->pipeline, "version", LEAT_VERSION), 1);
    one(out, "leat_ready", "gauge", "1 once everything is opened and the engine runs.",
        report_number(&r->ready));
    one(out, "leat_finished", "gauge", "1 when all sources have ended and every sink is paid.",
        report_number(&r->finished));
    one(out, "leat_failing", "gauge", "1 while epochs cannot be committed; /v1/pipeline says why.",
        report_number(&r->failing));
    one_us(out, "leat_start_time_seconds", "When this run began, as Unix time.", r->started_us);
    one_us(out, "leat_last_step_time_seconds", "When the engine last took a step, as Unix time.",
           report_number(&r->now_us));
    one(out, "leat_epoch", "gauge", "The last committed epoch.", report_number(&r->epoch));
    one(out, "leat_epochs_total", "counter", "Epochs closed in this run.",
        report_number(&r->epochs));
    one_us(out, "leat_epoch_close_seconds",
           "Time that closing the last epoch took from the engine.",
           report_number(&r->epoch_close_us));
    one_us(out, "leat_epoch_commit_seconds",
           "Time that committing the last epoch took, beside the engine.",
           report_number(&r->epoch_commit_us));
    one(out, "leat_epoch_bytes", "gauge", "Size of the last epoch.",
        report_number(&r->epoch_bytes));
    one_us(out, "leat_last_commit_time_seconds", "When the last epoch was committed, as Unix time.",
           report_number(&r->last_commit_us));
    one(out, "leat_memory_state_bytes", "gauge", "Memory that the state of all operators takes.",
        report_number(&r->state_bytes));
    one(out, "leat_memory_limit_bytes", "gauge", "SET memory_limit.",
        report_number(&r->memory_limit));
    one(out, "process_resident_memory_bytes", "gauge", "Resident memory size in bytes.",
        report_resident_bytes());
    sources(r, out);
    partitions(r, out);
    queries(r, out);
    operators(r, out);
    sinks_and_views(r, out);
}
