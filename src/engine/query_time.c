/* The time of queries that read several sources (LANGUAGE.md 6). A query's watermark is the least
 * of its partitions', and idle ones do not hold the others back: so where records come into a
 * query, a source of which every partition is idle follows those that are not; when all of them are
 * idle, all go with the greatest. Results of windows have no partition and are waited for. What a
 * query came to is kept in the home, since who was idle is not known after a restart. */
#include "engine/internal.h"
#include <stdio.h>

typedef struct Entry {
    int from; /* node of another query, or a source, whose rows are records */
    bool *sources;
} Entry;

struct QueryTime {
    Entry *entries;
    int count;
    int64_t mark, saved;
};

/* Which sources' records come out of a node. */
static bool find_sources(const Plan *plan, int node, bool *sources) {
    const PlanNode *n = &plan->nodes[node];
    if (n->kind == NODE_SOURCE) return sources[n->index] = true;
    if (n->type == &aggregate_operator || n->type == &session_operator ||
        n->type == &window_join_operator)
        return false;
    bool any = false;
    for (int i = 0; i < n->input_count; i++) any |= find_sources(plan, n->inputs[i], sources);
    return any;
}

static void add_entry(Engine *e, QueryTime *time, int from) {
    for (int i = 0; i < time->count; i++)
        if (time->entries[i].from == from) return;
    bool *sources = arena_new_array(e->arena, bool, e->plan->source_count + 1);
    if (!find_sources(e->plan, from, sources)) return;
    if (!time->entries) time->entries = arena_new_array(e->arena, Entry, e->plan->node_count + 1);
    time->entries[time->count++] = (Entry){from, sources};
}

static void name_of(const Engine *e, int query, char *name, size_t size) {
    snprintf(name, size, "query %s", e->plan->queries[query].name);
}

Status query_times_open(Engine *e, Error *error) {
    e->query_times = arena_new_array(e->arena, QueryTime, e->plan->query_count + 1);
    for (int n = 0; n < e->plan->node_count; n++) {
        const PlanNode *node = &e->plan->nodes[n];
        for (int i = 0; i < node->input_count && node->query >= 0; i++)
            if (e->plan->nodes[node->inputs[i]].query != node->query)
                add_entry(e, &e->query_times[node->query], node->inputs[i]);
    }
    for (int q = 0; q < e->plan->query_count; q++) {
        QueryTime *time = &e->query_times[q];
        char name[96];
        name_of(e, q, name, sizeof name);
        time->mark = NO_TIME;
        if (time->count > 1 && e->home && home_mark(e->home, name, &time->mark, error) != OK)
            return FAIL;
        time->saved = time->mark;
    }
    return OK;
}

static bool is_idle(const Engine *e, const Entry *entry) {
    for (int s = 0; s < e->plan->source_count; s++)
        if (entry->sources[s] && !e->sources[s].all_idle_since_us) return false;
    return true;
}

void query_times_move(Engine *e) {
    for (int q = 0; q < e->plan->query_count; q++) {
        QueryTime *time = &e->query_times[q];
        int64_t least = END_OF_TIME, greatest = NO_TIME;
        for (int i = 0; i < time->count && time->count > 1; i++) {
            int64_t mark = e->ops[time->entries[i].from]->output_mark.time;
            if (mark == END_OF_TIME) continue;
            if (mark > greatest) greatest = mark;
            if (mark < least && !is_idle(e, &time->entries[i])) least = mark;
        }
        int64_t reached = least == END_OF_TIME ? greatest : least;
        if (reached > time->mark) time->mark = reached;
    }
}

Watermark query_mark(const Engine *e, int node, int input) {
    const PlanNode *n = &e->plan->nodes[node];
    Watermark mark = e->ops[n->inputs[input]]->output_mark;
    if (n->query < 0) return mark;
    const QueryTime *time = &e->query_times[n->query];
    for (int i = 0; i < time->count && time->count > 1; i++)
        if (time->entries[i].from == n->inputs[input] && time->mark > mark.time)
            return (Watermark){time->mark, time->mark};
    return mark;
}

void query_times_save(Engine *e) {
    for (int q = 0; q < e->plan->query_count; q++) {
        QueryTime *time = &e->query_times[q];
        if (time->count < 2 || time->mark == time->saved) continue;
        char name[96];
        name_of(e, q, name, sizeof name);
        home_put_mark(e->batch, name, time->mark);
        time->saved = time->mark;
    }
}
