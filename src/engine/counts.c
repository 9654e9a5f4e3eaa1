/* The sum that every query keeps for every source: rows in = passed on + filtered + deduplicated +
 * late + dead letters. The numbers are those of its operators, each told to the source whose record
 * it was, on top of what earlier runs left in the home. */
#include "engine/internal.h"

typedef enum Count {
    COUNT_IN,
    COUNT_FILTERED,
    COUNT_DEDUPLICATED,
    COUNT_LATE,
    COUNT_LATE_IDLE,
    COUNT_DEAD,
    COUNTS
} Count;
static const char *const NAMES[COUNTS] = {"in",   "filtered",  "deduplicated",
                                          "late", "late_idle", "dead"};

static Number *numbers(QueryReport *q, int count) {
    Number *const of[COUNTS] = {q->in,   q->filtered,  q->deduplicated,
                                q->late, q->late_idle, q->dead};
    return of[count];
}

static int64_t earlier(const Engine *e, const char *query, const char *source, const char *kind) {
    for (int i = 0; i < e->count_count; i++)
        if (strcmp(e->counts[i].query, query) == 0 && strcmp(e->counts[i].source, source) == 0 &&
            strcmp(e->counts[i].kind, kind) == 0)
            return e->counts[i].count;
    return 0;
}

void counts_open(Engine *e) {
    for (int s = 0; s < e->plan->source_count; s++) {
        const char *name = e->sources[s].plan->table->name;
        atomic_store(&e->sources[s].report->rows, earlier(e, "", name, "rows"));
        atomic_store(&e->sources[s].report->dead, earlier(e, "", name, "dead"));
        atomic_store(&e->sources[s].report->skipped, earlier(e, "", name, "skipped"));
    }
    for (int s = 0; s < e->plan->sink_count; s++)
        atomic_store(&e->report.sinks[s].refused,
                     earlier(e, e->report.sinks[s].name, "", "refused"));
    counts_update(e, NULL);
}

void counts_update(Engine *e, HomeBatch *batch) {
    const Plan *plan = e->plan;
    for (int q = 0; q < plan->query_count; q++) {
        for (int s = 0; s < plan->source_count; s++) {
            const char *query = plan->queries[q].name, *source = plan->sources[s].table->name;
            int64_t total[COUNTS] = {0};
            for (int n = 0; n < plan->node_count; n++) {
                if (plan->nodes[n].query != q) continue;
                const SourceCounters *c = &e->ops[n]->by_source[s];
                total[COUNT_IN] += c->in;
                total[COUNT_FILTERED] += c->filtered;
                total[COUNT_DEDUPLICATED] += c->deduplicated;
                total[COUNT_LATE] += c->late;
                total[COUNT_LATE_IDLE] += c->late_idle;
                total[COUNT_DEAD] += c->dead;
            }
            for (int k = 0; k < COUNTS; k++) {
                int64_t now = total[k] + earlier(e, query, source, NAMES[k]);
                atomic_store(&numbers(&e->report.queries[q], k)[s], now);
                if (batch && now) home_put_count(batch, query, source, NAMES[k], now);
            }
        }
    }
    for (int n = 0; n < plan->node_count; n++) {
        int q = plan->nodes[n].query;
        if (q < 0) continue;
        /* The last node of a query tells of it; views and sinks tell how much came out by
         * themselves. */
        QueryReport *r = &e->report.queries[q];
        int64_t mark = e->ops[n]->output_mark.time;
        atomic_store_explicit(&r->watermark_us, mark, memory_order_relaxed);
        atomic_store_explicit(&r->finished, mark == END_OF_TIME, memory_order_relaxed);
        if (plan->queries[q].kind == QUERY_SHARED)
            atomic_store_explicit(
                &r->rows_out,
                atomic_load_explicit(&e->ops[n]->counters.rows_out, memory_order_relaxed),
                memory_order_relaxed);
    }
    for (int s = 0; batch && s < plan->source_count; s++) {
        SourceReport *r = e->sources[s].report;
        home_put_count(batch, "", r->name, "rows", atomic_load(&r->rows));
        home_put_count(batch, "", r->name, "dead", atomic_load(&r->dead));
        home_put_count(batch, "", r->name, "skipped", atomic_load(&r->skipped));
    }
}
