/* The naive executor: sections 5 to 7 of the language in arrays and linear searches, a row at a
 * time, over all records at once. It knows no batch, no epoch and no state, so it cannot make the
 * engine's mistakes. */
#include "simulate/naive.h"
#include "data/batch.h"
#include <stdio.h>
#include <stdlib.h>

const char *const TALLY_NAMES[TALLIES] = {"in", "filtered", "deduplicated", "late", "dead"};

typedef struct Row {
    const Event *event;
    int64_t seen; /* its partition's watermark just before it; NO_TIME: none */
} Row;

typedef struct Rows {
    Row *rows;
    int count;
} Rows;

typedef struct Group {
    int64_t start, end, n, s, q;
    int64_t last; /* the greatest time of its rows */
    int k, lo, hi;
    bool any_v, any_q;
} Group;

typedef struct Groups {
    Group groups[8 * MOST_EVENTS];
    int count;
} Groups;

/* ---- words ---- */

static char *say(Naive *n, const char *format, ...) PRINTF(2, 3);
static char *say(Naive *n, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return arena_text(n->arena, str_from(text));
}

static const char *number(Naive *n, bool there, int64_t value) {
    return there ? say(n, "%lld", (long long)value) : "null";
}

static const char *moment(Naive *n, int64_t t) {
    int64_t seconds = t / 1000000, rest = t % 1000000, days = seconds / 86400;
    int year = 1970;
    for (;; year++) { /* of our century */
        int length = year % 4 == 0 ? 366 : 365;
        if (days < length) break;
        days -= length;
    }
    const int months[] = {31, year % 4 == 0 ? 29 : 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    int month = 0;
    while (days >= months[month]) days -= months[month++];
    char part[16] = "";
    if (rest) {
        int size = snprintf(part, sizeof part, ".%06lld", (long long)rest);
        while (part[size - 1] == '0') part[--size] = 0;
    }
    return say(n, "%04d-%02d-%02dT%02lld:%02lld:%02lld%sZ", year, month + 1, (int)days + 1,
               (long long)(seconds / 3600 % 24), (long long)(seconds / 60 % 60),
               (long long)(seconds % 60), part);
}

static void add(Naive *n, Answers *to, Answer answer) {
    if (to->count == to->capacity) {
        int capacity = to->capacity ? to->capacity * 2 : 64;
        Answer *rows = arena_new_array(n->arena, Answer, capacity);
        if (to->count) memcpy(rows, to->rows, sizeof *rows * (size_t)to->count);
        to->rows = rows;
        to->capacity = capacity;
    }
    to->rows[to->count++] = answer;
}

static void turn_away(Naive *n, Answers *to, const char *query, const Event *e) {
    add(n, to,
        (Answer){.text = say(n, "%s s%d %d %d", query, e->source, e->partition, e->position)});
}

/* ---- records ---- */

/* A source's good records, each with what its partition had reached. */
static Rows read_source(Naive *n, const Scenario *s, int source, const int64_t *taken) {
    Rows rows = {.rows = arena_new_array(n->arena, Row, MOST_EVENTS)};
    for (int p = 0; p < s->tables[source].partitions; p++) {
        int64_t highest = NO_TIME;
        for (int i = 0; i < taken[p]; i++) {
            const Event *e = s->of[source][p][i];
            if (e->kind != EVENT_GOOD) {
                turn_away(n, &n->dead, "-", e);
                continue;
            }
            int64_t seen = highest == NO_TIME ? NO_TIME : highest - s->tables[source].delay_us;
            rows.rows[rows.count++] = (Row){e, seen};
            if (e->t > highest) highest = e->t;
        }
        int64_t reached = highest == NO_TIME ? NO_TIME : highest - s->tables[source].delay_us;
        if (reached > n->reached[source]) n->reached[source] = reached;
    }
    return rows;
}

/* DISTINCT ON (id): late if older than the watermark less the horizon, dropped if a row of its key
 * has passed that is not. */
static Rows distinct(Naive *n, const Scenario *s, int source, Rows in) {
    Rows out = {.rows = arena_new_array(n->arena, Row, MOST_EVENTS)};
    int64_t *tally = n->tally[DEDUPS + source][source];
    const char *name = say(n, "d%d", source);
    for (int i = 0; i < in.count; i++) {
        Row row = in.rows[i];
        int64_t since = row.seen == NO_TIME ? NO_TIME : row.seen - s->tables[source].horizon_us;
        tally[TALLY_IN]++;
        if (row.event->t < since) {
            tally[TALLY_LATE]++;
            turn_away(n, &n->late, name, row.event);
            continue;
        }
        bool copy = false;
        for (int k = 0; k < out.count; k++)
            if (out.rows[k].event->id == row.event->id && out.rows[k].event->t >= since)
                copy = true;
        if (copy) tally[TALLY_DEDUPLICATED]++;
        else out.rows[out.count++] = row;
    }
    return out;
}

/* ---- queries ---- */

static bool passes(const Event *e, int m, int r) { return !m || (!e->v_null && e->v % m != r); }

static Group *group_of(Groups *groups, int64_t start, int64_t end, int k) {
    for (int i = 0; i < groups->count; i++) {
        Group *g = &groups->groups[i];
        if (g->start == start && g->end == end && g->k == k) return g;
    }
    if (groups->count == 8 * MOST_EVENTS) abort();
    groups->groups[groups->count] = (Group){.start = start, .end = end, .k = k};
    return &groups->groups[groups->count++];
}

static void count_in(Group *g, const Event *e) {
    g->n++;
    if (e->v_null) return;
    if (!g->any_v || e->v < g->lo) g->lo = e->v;
    if (!g->any_v || e->v > g->hi) g->hi = e->v;
    g->s += e->v;
    g->any_v = true;
    if (e->v) g->q += 100 / e->v, g->any_q = true;
}

static void tell_groups(Naive *n, const SimQuery *q, int query, const Groups *groups) {
    int64_t reached = NO_TIME;
    for (int i = 0; i < q->source_count; i++)
        if (n->reached[q->sources[i]] > reached) reached = n->reached[q->sources[i]];
    for (int i = 0; i < groups->count; i++) {
        const Group *g = &groups->groups[i];
        if (g->n <= q->having) continue;
        if (n->ended && q->ttl_us && reached >= g->last + q->ttl_us) continue;
        const char *sums =
            say(n, "\"n\":%lld,\"s\":%s,\"lo\":%s,\"hi\":%s", (long long)g->n,
                number(n, g->any_v, g->s), number(n, g->any_v, g->lo), number(n, g->any_v, g->hi));
        Answer answer = {.k = g->k,
                         .end = g->end,
                         .n = g->n,
                         .key = say(n, "%lld %d", (long long)g->start, g->k)};
        if (q->shape == SHAPE_GROUPS) answer.text = say(n, "{\"k\":%d,%s}", g->k, sums);
        else
            answer.text = say(n, "{\"window_start\":\"%s\",\"window_end\":\"%s\"%s,%s%s}",
                              moment(n, g->start), moment(n, g->end),
                              q->by_key ? say(n, ",\"k\":%d", g->k) : "", sums,
                              q->divides ? say(n, ",\"q\":%s", number(n, g->any_q, g->q)) : "");
        add(n, &n->views[query], answer);
    }
}

static int64_t floor_to(int64_t t, int64_t step, int64_t offset) {
    int64_t rest = (t - offset) % step;
    return t - (rest < 0 ? rest + step : rest);
}

/* A row behind the window: WHERE, and what its expressions say. */
static bool survives(Naive *n, const Scenario *s, int query, const Event *e) {
    const SimQuery *q = &s->queries[query];
    int64_t *tally = n->tally[query][e->source];
    int w;
    if (q->joins == JOINS_INNER && !reference_of(e->k, &w)) {
        tally[TALLY_FILTERED]++;
        return false;
    }
    if (!passes(e, q->outer_m, q->outer_r)) {
        tally[TALLY_FILTERED]++;
        return false;
    }
    if (q->divides && !e->v_null && e->v == 0) {
        tally[TALLY_DEAD]++;
        turn_away(n, &n->dead, query_name(s, query), e);
        return false;
    }
    return true;
}

static void late(Naive *n, const Scenario *s, int query, const Event *e) {
    n->tally[query][e->source][TALLY_LATE]++;
    turn_away(n, &n->late, query_name(s, query), e);
}

/* cumulate: the n-th of the windows that begin at `start`, smallest first. */
static int64_t end_of(const SimQuery *q, int64_t start, int nth) {
    return start + (q->shape == SHAPE_CUMULATE ? (nth + 1) * q->slide_us : q->size_us);
}

/* `by_rule`: by what its own partition had reached. */
static bool judge_late(Naive *n, const Scenario *s, int query, const Event *e, bool by_rule) {
    if (s->idles) {
        const char *row =
            say(n, "%s s%d %d %d", query_name(s, query), e->source, e->partition, e->position);
        bool told = false;
        for (int i = 0; i < n->told_count; i++) told |= strcmp(n->told_late[i], row) == 0;
        if (by_rule && !told) n->missed = row;
        by_rule = told;
    }
    if (by_rule) late(n, s, query, e);
    return by_rule;
}

static void windows(Naive *n, const Scenario *s, int query, Rows in, Groups *groups) {
    const SimQuery *q = &s->queries[query];
    for (int i = 0; i < in.count; i++) {
        const Event *e = in.rows[i].event;
        bool grows = q->shape == SHAPE_CUMULATE; /* from one start, a step longer each */
        int64_t seen = in.rows[i].seen;
        int64_t last = floor_to(e->t, grows ? q->size_us : q->slide_us, q->offset_us);
        if (judge_late(n, s, query, e, last + q->size_us <= seen)) continue;
        if (!survives(n, s, query, e)) continue;
        int64_t start = last;
        for (int nth = 0; start + q->size_us > e->t; nth++) {
            int64_t end = end_of(q, start, nth);
            if (grows && end > start + q->size_us) break;
            if (end > seen && end > e->t)
                count_in(group_of(groups, start, end, q->by_key ? e->k : 0), e);
            if (!grows) start -= q->slide_us;
        }
    }
}

static int by_key_and_time(const void *a, const void *b) {
    const Event *x = ((const Row *)a)->event, *y = ((const Row *)b)->event;
    if (x->k != y->k) return x->k < y->k ? -1 : 1;
    return x->t < y->t ? -1 : x->t > y->t;
}
static int by_time(const void *a, const void *b) {
    const Event *x = ((const Row *)a)->event, *y = ((const Row *)b)->event;
    return x->t < y->t ? -1 : x->t > y->t;
}

static void sessions(Naive *n, const Scenario *s, int query, Rows in, Groups *groups) {
    const SimQuery *q = &s->queries[query];
    Row open[MOST_EVENTS];
    int count = 0;
    for (int i = 0; i < in.count; i++) {
        const Event *e = in.rows[i].event;
        if (!judge_late(n, s, query, e, e->t < in.rows[i].seen)) open[count++] = in.rows[i];
    }
    qsort(open, (size_t)count, sizeof *open, q->by_key ? by_key_and_time : by_time);
    for (int first = 0, next; first < count; first = next) {
        next = first + 1;
        while (next < count && (!q->by_key || open[next].event->k == open[first].event->k) &&
               open[next].event->t - open[next - 1].event->t <= q->size_us)
            next++;
        int64_t start = open[first].event->t, end = open[next - 1].event->t + q->size_us;
        for (int i = first; i < next; i++)
            if (survives(n, s, query, open[i].event))
                count_in(group_of(groups, start, end, q->by_key ? open[i].event->k : 0),
                         open[i].event);
    }
}

static void plain(Naive *n, const Scenario *s, int query, Rows in, Groups *groups) {
    const SimQuery *q = &s->queries[query];
    for (int i = 0; i < in.count; i++) {
        const Event *e = in.rows[i].event;
        if (!survives(n, s, query, e)) continue;
        if (q->shape == SHAPE_GROUPS) {
            Group *g = group_of(groups, 0, 0, e->k);
            if (g->n && q->ttl_us && in.rows[i].seen >= g->last + q->ttl_us)
                *g = (Group){.k = e->k}; /* it was forgotten */
            if (!g->n || e->t > g->last) g->last = e->t;
            count_in(g, e);
            continue;
        }
        const char *v = number(n, !e->v_null, e->v);
        const char *quotient =
            q->divides ? say(n, ",\"q\":%s", number(n, !e->v_null, e->v ? 100 / e->v : 0)) : "";
        int w = 0;
        bool found = q->joins && reference_of(e->k, &w);
        const char *joined = q->joins ? say(n, ",\"w\":%s", number(n, found, w)) : "";
        add(n, &n->views[query],
            (Answer){.text = say(n, "{\"id\":\"e%d\",\"k\":%d,\"v\":%s,\"t\":\"%s\"%s%s}", e->id,
                                 e->k, v, moment(n, e->t), quotient, joined),
                     .key = say(n, "e%d", e->id),
                     .source = e->source,
                     .event = e});
    }
}

/* The first row of each id in each window. */
static void firsts(Naive *n, const Scenario *s, int query, Rows in) {
    const SimQuery *q = &s->queries[query];
    const Event *passed[MOST_EVENTS];
    int count = 0;
    for (int i = 0; i < in.count; i++) {
        const Event *e = in.rows[i].event;
        int64_t start = floor_to(e->t, q->size_us, 0);
        if (start + q->size_us <= in.rows[i].seen) {
            late(n, s, query, e);
            continue;
        }
        if (!survives(n, s, query, e)) continue;
        bool copy = false;
        for (int k = 0; k < count; k++)
            if (passed[k]->id == e->id && floor_to(passed[k]->t, q->size_us, 0) == start)
                copy = true;
        if (copy) {
            n->tally[query][e->source][TALLY_DEDUPLICATED]++;
            continue;
        }
        passed[count++] = e;
        add(n, &n->views[query],
            (Answer){
                .text = say(
                    n, "{\"id\":\"e%d\",\"k\":%d,\"v\":%s,\"t\":\"%s\",\"window_start\":\"%s\"}",
                    e->id, e->k, number(n, !e->v_null, e->v), moment(n, e->t), moment(n, start)),
                .source = e->source});
    }
}

static void join(Naive *n, const Scenario *s, int query) {
    const SimQuery *q = &s->queries[query];
    const Answers *left = &n->views[q->reads], *right = &n->views[q->right];
    for (int i = 0; i < left->count; i++) {
        const Answer *a = &left->rows[i];
        bool any = false;
        for (int k = 0; k <= right->count; k++) {
            const Answer *b = k < right->count ? &right->rows[k] : NULL;
            if (b ? a->end != b->end || (q->by_key && a->k != b->k) : any || !q->left) continue;
            any = true;
            add(n, &n->views[query],
                (Answer){.text =
                             say(n, "{\"window_end\":\"%s\",\"m\":%lld,\"s\":%s}",
                                 moment(n, a->end), (long long)a->n, number(n, b, b ? b->n : 0)),
                         .end = a->end});
        }
    }
}

/* Groups of the final rows of another view. */
static void outer(Naive *n, const Scenario *s, int query) {
    const SimQuery *q = &s->queries[query];
    const Answers *of = &n->views[q->reads];
    Groups *groups = arena_zero(n->arena, sizeof *groups);
    for (int i = 0; i < of->count; i++) {
        int64_t end = of->rows[i].end;
        if (q->shape == SHAPE_OUTER_TUMBLE) end = floor_to(end, q->size_us, 0) + q->size_us;
        Group *g = group_of(groups, 0, end, 0);
        g->n++;
        g->s += of->rows[i].n;
    }
    for (int i = 0; i < groups->count; i++) {
        const Group *g = &groups->groups[i];
        if (g->n <= q->having) continue;
        add(n, &n->views[query],
            (Answer){.text = say(n, "{\"window_end\":\"%s\",\"m\":%lld,\"s\":%lld}",
                                 moment(n, g->end), (long long)g->n, (long long)g->s),
                     .key = say(n, "%lld", (long long)g->end),
                     .end = g->end});
    }
}

static void ask(Naive *n, const Scenario *s, int query, Rows in) {
    const SimQuery *q = &s->queries[query];
    Groups *groups = arena_zero(n->arena, sizeof *groups);
    if (q->shape == SHAPE_FIRSTS) firsts(n, s, query, in);
    else if (q->shape == SHAPE_SESSION) sessions(n, s, query, in, groups);
    else if (q->shape == SHAPE_PLAIN || q->shape == SHAPE_GROUPS) plain(n, s, query, in, groups);
    else windows(n, s, query, in, groups);
    tell_groups(n, q, query, groups);
}

static bool was_reset(const Scenario *s, int query) {
    bool reset = false;
    for (int i = 0; i < MOST_SOURCES; i++)
        for (int p = 0; p < MOST_PARTITIONS; p++) reset |= s->begins[query][i][p] > 0;
    return reset;
}

/* What comes into a query; `since`: it was reset. */
static Rows rows_of(Naive *n, const Scenario *s, int query, Rows sources[], Rows distincts[],
                    bool since) {
    const SimQuery *q = &s->queries[query];
    Rows in = {.rows = arena_new_array(n->arena, Row, MOST_EVENTS)};
    for (int i = 0; i < q->source_count; i++) {
        int source = q->sources[i];
        const Rows *from = q->dedup ? &distincts[source] : &sources[source];
        for (int k = 0; k < from->count; k++) {
            const Event *e = from->rows[k].event;
            if (since && e->position < s->begins[query][source][e->partition]) continue;
            n->tally[query][source][TALLY_IN]++;
            if (passes(e, q->inner_m, q->inner_r)) in.rows[in.count++] = from->rows[k];
            else n->tally[query][source][TALLY_FILTERED]++;
        }
    }
    return in;
}

static void answer(Naive *n, const Scenario *s, int query, Rows sources[], Rows distincts[]) {
    const SimQuery *q = &s->queries[query];
    if (q->shape == SHAPE_COPY) {
        for (int i = 0; i < n->views[q->reads].count; i++)
            if (!q->outer_m || n->views[q->reads].rows[i].n % q->outer_m != q->outer_r)
                add(n, &n->views[query], n->views[q->reads].rows[i]);
        for (int i = 0; i < n->views[query].count && (s->queries[q->reads].shape == SHAPE_PLAIN ||
                                                      s->queries[q->reads].shape == SHAPE_FIRSTS);
             i++)
            n->tally[query][n->views[query].rows[i].source][TALLY_IN]++;
    }
    if (q->shape == SHAPE_JOIN) join(n, s, query);
    else if (q->reads >= 0 && q->shape != SHAPE_COPY) outer(n, s, query);
    if (q->reads >= 0) return;
    ask(n, s, query, rows_of(n, s, query, sources, distincts, false));
    if (!was_reset(s, query)) return;
    /* What was rejected before stays told; all else is of what came since. */
    int late = n->late.count, dead = n->dead.count;
    n->views[query].count = 0;
    memset(n->tally[query], 0, sizeof n->tally[query]);
    ask(n, s, query, rows_of(n, s, query, sources, distincts, true));
    n->late.count = late;
    n->dead.count = dead;
}

void naive_open(Naive *n, const Scenario *s, const int64_t taken[MOST_SOURCES][MOST_PARTITIONS],
                bool ended, const char *const *late, int late_count) {
    *n = (Naive){.arena = arena_new(), .ended = ended, .told_late = late, .told_count = late_count};
    for (int i = 0; i < MOST_SOURCES; i++) n->reached[i] = NO_TIME;
    Rows sources[MOST_SOURCES] = {0}, distincts[MOST_SOURCES] = {0};
    for (int i = 0; i < s->table_count; i++) {
        sources[i] = read_source(n, s, i, taken[i]);
        if (query_dedups(s, i)) distincts[i] = distinct(n, s, i, sources[i]);
    }
    for (int i = 0; i < s->query_count; i++)
        if (!s->queries[i].out) answer(n, s, i, sources, distincts);
}

void naive_close(Naive *n) { arena_free(&n->arena); }
