/* The sum that every query keeps for every source: rows in = passed on + filtered + deduplicated +
 * late + dead letters. The numbers are those of its operators, each told to the source whose rows
 * reach it, on top of what earlier runs left in the home. */
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

/* Nodes whose rows are still source rows: the source, else -1 (results of groups). The first of
 * several. */
static int row_source(const Plan *plan, int n) {
    const PlanNode *node = &plan->nodes[n];
    if (node->kind == NODE_SOURCE) return node->index;
    if (node->type == &aggregate_operator || node->type == &session_operator ||
        node->type == &window_join_operator)
        return -1;
    return node->input_count ? row_source(plan, node->inputs[0]) : -1;
}

/* Of the rows that go in: those of the operator's first input. */
static int input_source(const Plan *plan, int n) {
    const PlanNode *node = &plan->nodes[n];
    return node->input_count ? row_source(plan, node->inputs[0]) : -1;
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
            bool reads = false;
            for (int n = 0; n < plan->node_count; n++) {
                const PlanNode *node = &plan->nodes[n];
                if (node->query != q || input_source(plan, n) != s) continue;
                const OperatorCounters *c = &e->ops[n]->counters;
                reads = true;
                if (plan->nodes[node->inputs[0]].query != q)
                    total[COUNT_IN] += atomic_load_explicit(&c->rows_in, memory_order_relaxed);
                total[COUNT_FILTERED] += atomic_load_explicit(&c->filtered, memory_order_relaxed);
                total[COUNT_DEDUPLICATED] +=
                    atomic_load_explicit(&c->deduplicated, memory_order_relaxed);
                total[COUNT_LATE] += atomic_load_explicit(&c->late, memory_order_relaxed);
                total[COUNT_LATE_IDLE] += atomic_load_explicit(&c->late_idle, memory_order_relaxed);
                /* A result that failed is a dead letter of the query, but no row of the source. */
                if (row_source(plan, n) == s)
                    total[COUNT_DEAD] += atomic_load_explicit(&c->dead, memory_order_relaxed);
            }
            for (int k = 0; reads && k < COUNTS; k++) {
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
