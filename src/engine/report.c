/* The report as JSON, for /v1/pipeline and the dashboard. Numbers are read one by one while the
 * engine goes on, so they are of about the same moment, not of exactly one; sums that users check
 * (rows in = passed + filtered + deduplicated + late + dead) are made to hold: `in` is read last
 * and `passed` is what remains. The lock is held only while a text is copied. */
#include "base/env.h"
#include "data/time.h"
#include "data/value.h"
#include "engine/report_shared.h"
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

int64_t report_number(const Number *n) { return atomic_load_explicit(n, memory_order_relaxed); }

void report_text(Report *r, const char *text, char *copy, size_t size) {
    mutex_lock(&r->lock);
    snprintf(copy, size, "%s", text);
    mutex_unlock(&r->lock);
}

bool report_tell_state(Report *r, char state[256], Number *away_since_us, const char *text,
                       int64_t now_us) {
    mutex_lock(&r->lock);
    bool changed = (*text != 0) != (*state != 0);
    snprintf(state, 256, "%s", text);
    mutex_unlock(&r->lock);
    if (changed) atomic_store(away_since_us, *text ? now_us : 0);
    return changed;
}

/* Rows of source `s` reach node `n` as they are, not through a group: as the sums of counts.c are
 * kept. */
static bool carries_source(const Plan *plan, int n, int s) {
    const PlanNode *node = &plan->nodes[n];
    if (node->kind == NODE_SOURCE) return node->index == s;
    if (node->type == &aggregate_operator || node->type == &session_operator ||
        node->type == &window_join_operator)
        return false;
    for (int i = 0; i < node->input_count; i++)
        if (carries_source(plan, node->inputs[i], s)) return true;
    return false;
}

bool report_query_reads(const Report *r, int query, int source) {
    for (int n = 0; n < r->plan->node_count; n++) {
        const PlanNode *node = &r->plan->nodes[n];
        for (int i = 0; i < node->input_count && node->query == query; i++)
            if (carries_source(r->plan, node->inputs[i], source)) return true;
    }
    return false;
}

QuerySums report_sums(const QueryReport *q, int s) {
    QuerySums sums = {.filtered = report_number(&q->filtered[s]),
                      .deduplicated = report_number(&q->deduplicated[s]),
                      .late_idle = report_number(&q->late_idle[s]),
                      .dead = report_number(&q->dead[s])};
    sums.late = report_number(&q->late[s]) + sums.late_idle;
    sums.in = report_number(&q->in[s]);
    sums.passed = sums.in - sums.filtered - sums.deduplicated - sums.late - sums.dead;
    return sums;
}

int64_t report_lag(const SourceReport *s) {
    int64_t sum = -1;
    int count = (int)report_number(&s->partition_count);
    for (int i = 0; i < count && i < REPORT_PARTITIONS; i++) {
        int64_t lag = report_number(&s->partitions[i].lag);
        if (lag >= 0) sum = (sum < 0 ? 0 : sum) + lag;
    }
    return sum;
}

int64_t report_resident_bytes(void) {
    long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file) return 0;
    if (fscanf(file, "%*s %ld", &pages) != 1) pages = 0;
    fclose(file);
    return (int64_t)pages * sysconf(_SC_PAGESIZE);
}

static const char *report_query_kind(QueryKind kind) {
    return kind == QUERY_VIEW ? "view" : kind == QUERY_SINK ? "sink" : "shared";
}

/* ---- members of objects; the comma is added where one is needed ---- */

static void comma(Buffer *out) {
    char last = out->size ? out->data[out->size - 1] : '{';
    if (last != '{' && last != '[' && last != ':') buffer_add_char(out, ',');
}
static void key(Buffer *out, const char *name) {
    comma(out);
    buffer_add_format(out, "\"%s\":", name);
}
static void open_item(Buffer *out, const char *name, char bracket) {
    if (name) key(out, name);
    else comma(out);
    buffer_add_char(out, bracket);
}
static void add_int(Buffer *out, const char *name, int64_t value) {
    key(out, name);
    buffer_add_format(out, "%" PRId64, value);
}
static void add_bool(Buffer *out, const char *name, bool value) {
    key(out, name);
    buffer_add_text(out, value ? "true" : "false");
}
static void add_text(Buffer *out, const char *name, const char *value) {
    key(out, name);
    if (value) json_string(str_from(value), out);
    else buffer_add_text(out, "null");
}
static void add_time(Buffer *out, const char *name, int64_t us) {
    key(out, name);
    if (us < FIRST_INPUT_US || us > LAST_INPUT_US) {
        buffer_add_text(out, "null");
        return;
    }
    buffer_add_char(out, '"');
    timestamp_rfc3339(us, true, out);
    buffer_add_char(out, '"');
}
static void add_moment(Buffer *out, const char *name, int64_t us) {
    add_time(out, name, us ? us : NO_TIME);
}
static void add_known(Buffer *out, const char *name, int64_t value) { /* below 0: not known */
    if (value >= 0) {
        add_int(out, name, value);
    } else {
        key(out, name);
        buffer_add_text(out, "null");
    }
}
static void add_milliseconds(Buffer *out, const char *name, int64_t us) {
    key(out, name);
    buffer_add_format(out, "%" PRId64 ".%03d", us / 1000, (int)(us % 1000));
}
static void add_ratio(Buffer *out, const char *name, int64_t percent) {
    key(out, name);
    buffer_add_format(out, "%" PRId64 ".%02d", percent / 100, (int)(percent % 100));
}
static void add_state(Buffer *out, Report *r, const char *state, const Number *away_since_us) {
    char text[256];
    int64_t since_us = report_number(away_since_us);
    report_text(r, state, text, sizeof text);
    add_text(out, "state", text);
    add_moment(out, "away_since", since_us);
}

/* ---- the parts ---- */

static void add_source(Report *r, SourceReport *s, Buffer *out) {
    open_item(out, NULL, '{');
    add_text(out, "name", s->name);
    add_text(out, "connector", s->connector);
    add_bool(out, "bounded", s->bounded);
    add_int(out, "rows", report_number(&s->rows));
    add_int(out, "dead", report_number(&s->dead));
    add_int(out, "skipped", report_number(&s->skipped));
    add_int(out, "lost", report_number(&s->lost));
    add_int(out, "bytes", report_number(&s->bytes));
    add_time(out, "watermark", report_number(&s->watermark_us));
    add_known(out, "lag", report_lag(s));
    add_ratio(out, "queue", report_number(&s->queue_percent));
    add_bool(out, "blocked", report_number(&s->blocked));
    add_bool(out, "ended", report_number(&s->ended));
    add_state(out, r, s->state, &s->away_since_us);
    open_item(out, "partitions", '[');
    int count = (int)report_number(&s->partition_count);
    for (int i = 0; i < count && i < REPORT_PARTITIONS; i++) {
        PartitionReport *p = &s->partitions[i];
        char name[sizeof p->name];
        report_text(r, p->name, name, sizeof name);
        open_item(out, NULL, '{');
        add_text(out, "name", name);
        add_int(out, "rows", report_number(&p->rows));
        add_known(out, "position", report_number(&p->position));
        add_time(out, "watermark", report_number(&p->watermark_us));
        add_known(out, "lag", report_number(&p->lag));
        add_bool(out, "idle", report_number(&p->idle));
        add_bool(out, "ended", report_number(&p->ended));
        buffer_add_char(out, '}');
    }
    buffer_add_text(out, "]}");
}

static void add_query(Report *r, int number, Buffer *out) {
    QueryReport *q = &r->queries[number];
    open_item(out, NULL, '{');
    add_text(out, "name", q->name);
    add_text(out, "kind", report_query_kind(q->kind));
    open_item(out, "sources", '[');
    for (int s = 0; s < r->plan->source_count; s++) {
        if (!report_query_reads(r, number, s)) continue;
        QuerySums sums = report_sums(q, s);
        open_item(out, NULL, '{');
        add_text(out, "source", r->sources[s].name);
        add_int(out, "in", sums.in);
        add_int(out, "passed", sums.passed);
        add_int(out, "filtered", sums.filtered);
        add_int(out, "deduplicated", sums.deduplicated);
        add_int(out, "late", sums.late);
        add_int(out, "late_idle", sums.late_idle);
        add_int(out, "dead", sums.dead);
        buffer_add_char(out, '}');
    }
    buffer_add_char(out, ']');
    add_int(out, "rows_out", report_number(&q->rows_out));
    add_time(out, "watermark", report_number(&q->watermark_us));
    add_bool(out, "finished", report_number(&q->finished) || report_number(&r->finished));
    buffer_add_char(out, '}');
}

static void add_operator(Report *r, int number, Buffer *out) {
    const OperatorReport *o = &r->operators[number];
    const PlanNode *node = &r->plan->nodes[number];
    open_item(out, NULL, '{');
    add_int(out, "id", number);
    add_text(out, "name", o->name);
    add_text(out, "type", o->type);
    add_text(out, "query", o->query >= 0 ? r->queries[o->query].name : NULL);
    const char *table = node->kind == NODE_SOURCE ? r->sources[node->index].name
                        : node->kind == NODE_VIEW ? r->views[node->index].name
                        : node->kind == NODE_SINK ? r->sinks[node->index].name
                                                  : NULL;
    add_text(out, "table", table);
    open_item(out, "inputs", '[');
    for (int i = 0; i < o->input_count; i++)
        buffer_add_format(out, "%s%d", i ? "," : "", o->inputs[i]);
    buffer_add_char(out, ']');
    const OperatorCounters *c = o->counters;
    int64_t taken = node->kind == NODE_SOURCE ? report_number(&r->sources[node->index].rows) : 0;
    add_int(out, "rows_in", c ? report_number(&c->rows_in) : taken);
    add_int(out, "rows_out", c ? report_number(&c->rows_out) : taken);
    add_int(out, "filtered", c ? report_number(&c->filtered) : 0);
    add_int(out, "deduplicated", c ? report_number(&c->deduplicated) : 0);
    add_int(out, "late", c ? report_number(&c->late) + report_number(&c->late_idle) : 0);
    add_int(out, "dead", c ? report_number(&c->dead) : 0);
    add_int(out, "state_bytes", c ? report_number(&c->state_bytes) : 0);
    add_int(out, "state_entries", c ? report_number(&c->state_entries) : 0);
    add_milliseconds(out, "busy_ms", c ? report_number(&c->busy_us) : 0);
    buffer_add_char(out, '}');
}

static void add_sink(Report *r, SinkReport *s, Buffer *out) {
    open_item(out, NULL, '{');
    add_text(out, "name", s->name);
    add_text(out, "connector", s->connector);
    add_text(out, "way", s->way);
    add_int(out, "rows", report_number(&s->rows));
    add_int(out, "bytes", report_number(&s->bytes));
    add_ratio(out, "queue", report_number(&s->queue_percent));
    add_int(out, "owed_bytes", report_number(&s->owed_bytes));
    add_int(out, "epoch", report_number(&s->epoch));
    add_int(out, "refused", report_number(&s->refused));
    add_state(out, r, s->state, &s->away_since_us);
    buffer_add_char(out, '}');
}

void report_view_json(const ViewReport *v, Buffer *out) {
    open_item(out, NULL, '{');
    add_text(out, "name", v->name);
    open_item(out, "columns", '[');
    Arena *arena = arena_new();
    for (int i = 0; i < v->schema->count; i++) {
        open_item(out, NULL, '{');
        add_text(out, "name", v->schema->fields[i].name);
        add_text(out, "type", type_name(v->schema->fields[i].type, arena));
        buffer_add_char(out, '}');
    }
    arena_free(&arena);
    buffer_add_char(out, ']');
    add_text(out, "window_start",
             v->window_start >= 0 ? v->schema->fields[v->window_start].name : NULL);
    add_text(out, "window_end", v->window_end >= 0 ? v->schema->fields[v->window_end].name : NULL);
    add_int(out, "rows_written", report_number(&v->rows_written));
    add_bool(out, "growing", report_number(&v->growing));
    buffer_add_char(out, '}');
}

static void add_head(Report *r, Buffer *out) {
    char failure[sizeof r->failure] = "";
    bool failing = report_number(&r->failing), ready = report_number(&r->ready),
         finished = report_number(&r->finished);
    if (failing) report_text(r, r->failure, failure, sizeof failure);
    add_text(out, "pipeline", r->pipeline);
    add_text(out, "file", r->file);
    add_text(out, "home", r->home);
    add_text(out, "version", LEAT_VERSION);
    add_moment(out, "started", r->started_us);
    add_moment(out, "now", env_system()->now_us(env_system()));
    add_moment(out, "last_step", report_number(&r->now_us));
    add_text(out, "state",
             finished  ? "finished"
             : failing ? "failing"
             : ready   ? "running"
                       : "starting");
    add_bool(out, "ready", ready);
    add_bool(out, "finished", finished);
    add_bool(out, "failing", failing);
    add_text(out, "failure", failing ? failure : NULL);
}

void report_json(Report *r, Buffer *out) {
    buffer_add_char(out, '{');
    add_head(r, out);
    open_item(out, "sources", '[');
    for (int i = 0; i < r->plan->source_count; i++) add_source(r, &r->sources[i], out);
    buffer_add_char(out, ']');
    open_item(out, "queries", '[');
    for (int i = 0; i < r->plan->query_count; i++) add_query(r, i, out);
    buffer_add_char(out, ']');
    open_item(out, "operators", '[');
    for (int i = 0; i < r->plan->node_count; i++) add_operator(r, i, out);
    buffer_add_char(out, ']');
    open_item(out, "sinks", '[');
    for (int i = 0; i < r->plan->sink_count; i++) add_sink(r, &r->sinks[i], out);
    buffer_add_char(out, ']');
    open_item(out, "views", '[');
    for (int i = 0; i < r->plan->view_count; i++) report_view_json(&r->views[i], out);
    buffer_add_char(out, ']');
    open_item(out, "epoch", '{');
    add_int(out, "number", report_number(&r->epoch));
    add_int(out, "epochs", report_number(&r->epochs));
    add_milliseconds(out, "close_ms", report_number(&r->epoch_close_us));
    add_milliseconds(out, "commit_ms", report_number(&r->epoch_commit_us));
    add_int(out, "bytes", report_number(&r->epoch_bytes));
    add_moment(out, "last_commit", report_number(&r->last_commit_us));
    buffer_add_char(out, '}');
    open_item(out, "memory", '{');
    add_int(out, "state_bytes", report_number(&r->state_bytes));
    add_int(out, "limit_bytes", report_number(&r->memory_limit));
    add_int(out, "resident_bytes", report_resident_bytes());
    buffer_add_text(out, "}}");
}
