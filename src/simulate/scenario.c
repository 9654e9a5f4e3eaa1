/* Draws a scenario from a seed. Pipeline, records, and each round's troubles are drawn from streams
 * of random numbers of their own, so that taking something away (the shrinker) leaves the rest as
 * it is. What the language leaves open is not drawn: of equal keys of a DISTINCT ON on different
 * partitions any may be first, so copies stay on one partition. */
#include "simulate/scenario.h"
#include "base/fault.h"
#include "base/hash.h"
#include "data/time.h"
#include <stdio.h>
#include <stdlib.h>

static int below(Random *r, int limit) { return (int)random_below(r, (uint64_t)limit); }
static bool one_of(Random *r, int n) { return below(r, n) == 0; }
static int64_t pick(Random *r, const int64_t *from, int count) { return from[below(r, count)]; }
#define PICK(r, ...)                                                                               \
    pick(r, (const int64_t[]){__VA_ARGS__}, (int)(sizeof((int64_t[]){__VA_ARGS__}) / 8))

bool query_windowed(const Scenario *s, int query) {
    const SimQuery *q = &s->queries[query];
    if (q->shape == SHAPE_COPY) return query_windowed(s, q->reads);
    return q->shape != SHAPE_PLAIN && q->shape != SHAPE_FIRSTS && q->shape != SHAPE_GROUPS;
}

bool query_refuses(const Scenario *s, int query, Str row) {
    return s->queries[query].refuses && hash_bytes(row) % 5 == 0;
}

bool query_dedups(const Scenario *s, int source) {
    for (int i = 0; i < s->query_count; i++) {
        const SimQuery *q = &s->queries[i];
        if (q->out || !q->dedup || q->reads >= 0) continue;
        for (int k = 0; k < q->source_count; k++)
            if (q->sources[k] == source) return true;
    }
    return false;
}

const char *query_name(const Scenario *s, int query) {
    static char names[8][16];
    static int turn;
    char *name = names[turn++ % 8];
    snprintf(name, 16, "%c%d", s->queries[query].way == WAY_VIEW ? 'v' : 'o', query);
    return name;
}

/* Keys 0 to 47, not every third; some come twice. */
int reference_row(int number, int *key) {
    *key = number % 48;
    *key += *key % 3 == 0;
    return number * 10;
}

bool reference_of(int key, int *w) {
    bool found = false;
    for (int i = 0, of; i < MOST_REFERENCE_ROWS; i++) {
        int value = reference_row(i, &of);
        if (of == key) *w = value, found = true;
    }
    return found;
}

/* ---- the pipeline ---- */

static bool tumbles(const SimQuery *q) {
    return q->shape == SHAPE_TUMBLE || q->shape == SHAPE_HOP || q->shape == SHAPE_CUMULATE;
}

/* A view that a query of that shape may read; -1: there is none. */
static int draw_view(const Scenario *s, Random *r, Shape shape) {
    int found[MOST_QUERIES], count = 0;
    for (int i = 0; i < s->query_count; i++) {
        const SimQuery *q = &s->queries[i];
        if (q->way == WAY_VIEW && (shape == SHAPE_COPY || tumbles(q) ||
                                   (shape != SHAPE_JOIN && q->shape == SHAPE_SESSION)))
            found[count++] = i;
    }
    if (!count) return -1;
    int last = found[count - 1];
    return s->queries[last].shape == SHAPE_GROUPS ? last : found[below(r, count)];
}

enum { THEME_COPY = 1, THEME_JOIN, THEME_POSITION, THEMES = 6 };

/* What is rare when every query is drawn for itself. */
static void follow_theme(const Scenario *s, SimQuery *q, int theme, bool *view) {
    int number = s->query_count;
    if (theme == THEME_COPY) *view = number == 0;
    if (theme == THEME_COPY && number < 2) q->shape = number ? SHAPE_COPY : SHAPE_GROUPS;
    if (theme == THEME_JOIN) *view = number < 2;
    if (theme == THEME_JOIN && number < 2 && !tumbles(q)) q->shape = SHAPE_TUMBLE;
    if (theme == THEME_JOIN && number == 2) q->shape = SHAPE_JOIN;
    if (theme == THEME_POSITION && number == 0) q->shape = SHAPE_PLAIN;
}

static void draw_query(Scenario *s, Random *r, int theme) {
    SimQuery *q = &s->queries[s->query_count];
    *q = (SimQuery){.reads = -1};
    static const Shape shapes[] = {
        SHAPE_PLAIN,  SHAPE_PLAIN,  SHAPE_FIRSTS,     SHAPE_TUMBLE,       SHAPE_TUMBLE,
        SHAPE_HOP,    SHAPE_HOP,    SHAPE_CUMULATE,   SHAPE_SESSION,      SHAPE_SESSION,
        SHAPE_GROUPS, SHAPE_GROUPS, SHAPE_OUTER_SAME, SHAPE_OUTER_TUMBLE, SHAPE_JOIN,
        SHAPE_JOIN,   SHAPE_COPY,   SHAPE_COPY,       SHAPE_COPY};
    q->shape = shapes[below(r, (int)(sizeof shapes / sizeof *shapes))];
    bool missing = false; /* a view that it would read: this one shall be it */
    follow_theme(s, q, theme, &missing);
    /* What the clock makes late of these cannot be told from late_rows alone. */
    if (s->idles &&
        ((q->shape != SHAPE_TUMBLE && q->shape >= SHAPE_FIRSTS && q->shape <= SHAPE_SESSION) ||
         q->shape == SHAPE_JOIN))
        q->shape = SHAPE_TUMBLE;
    if (q->shape >= SHAPE_OUTER_SAME) {
        q->reads = draw_view(s, r, q->shape);
        q->right = q->shape == SHAPE_JOIN ? draw_view(s, r, q->shape) : -1;
        if (q->reads < 0 || q->right == q->reads) missing = true;
        /* Results of windows are waited for, also when the source behind them fell silent. */
        if (q->shape == SHAPE_JOIN && !s->bounded && s->table_count > 1) missing = true;
        if (missing) q->shape = SHAPE_TUMBLE, q->reads = -1;
    }
    q->way = (Way)PICK(r, WAY_VIEW, WAY_VIEW, WAY_VIEW, WAY_LENGTH, WAY_LENGTH, WAY_OUTBOX,
                       WAY_OUTBOX, WAY_ONCE);
    if (missing) q->way = WAY_VIEW;
    if (q->shape == SHAPE_COPY && q->way == WAY_VIEW) q->way = WAY_LENGTH;
    q->left = one_of(r, 2);
    q->emit_final = q->way == WAY_VIEW && q->shape != SHAPE_PLAIN && q->shape != SHAPE_FIRSTS &&
                    q->shape != SHAPE_GROUPS && one_of(r, 3);
    q->source_count = 1;
    q->sources[0] = below(r, s->table_count);
    if (s->table_count == 2 && one_of(r, 4)) {
        q->source_count = 2;
        q->sources[0] = 0, q->sources[1] = 1;
    }
    bool leaves = theme == THEME_POSITION && s->query_count == 0;
    q->dedup = one_of(r, 3) && !s->idles && !leaves;
    q->by_key = !one_of(r, 3);
    if (q->shape == SHAPE_JOIN)
        q->by_key = s->queries[q->reads].by_key && s->queries[q->right].by_key && q->by_key;
    if (one_of(r, 4)) q->inner_m = 2 + below(r, 3), q->inner_r = below(r, q->inner_m);
    if (one_of(r, 4)) q->outer_m = 2 + below(r, 3), q->outer_r = below(r, q->outer_m);
    if (q->shape == SHAPE_PLAIN && one_of(r, 4)) q->joins = one_of(r, 2) ? JOINS_INNER : JOINS_LEFT;
    q->divides = (q->shape == SHAPE_PLAIN || q->shape == SHAPE_TUMBLE) && one_of(r, 4);
    if (q->shape >= SHAPE_TUMBLE && q->shape < SHAPE_JOIN && one_of(r, 4)) q->having = 1;
    /* Sources without an end: windows close by the time that passes, and that costs steps. */
    q->size_us = PICK(r, 2, 5, 10, 20) * US_PER_SECOND;
    if (!s->bounded && q->size_us > 5 * US_PER_SECOND) q->size_us /= 4;
    q->slide_us = q->size_us;
    if (q->shape == SHAPE_SESSION) q->size_us = PICK(r, 1, 2, 5) * US_PER_SECOND;
    if (q->shape == SHAPE_HOP) q->slide_us = PICK(r, 1, 2, 5) * US_PER_SECOND;
    if (q->shape == SHAPE_HOP && (q->slide_us > q->size_us || one_of(r, 2)))
        q->size_us = q->slide_us * (1 + below(r, 4));
    if (q->shape == SHAPE_CUMULATE) q->size_us = q->slide_us * (1 + below(r, s->bounded ? 4 : 2));
    if (q->shape == SHAPE_TUMBLE && one_of(r, 4))
        q->offset_us = PICK(r, 500, 1000, 1700) * US_PER_SECOND / 1000;
    if (q->shape == SHAPE_OUTER_TUMBLE)
        q->size_us = (s->bounded ? PICK(r, 15, 20, 30) : 10) * US_PER_SECOND;
    /* Rows of one key by time, partition and epoch: only where the last one is certain. */
    bool may_key = q->shape == SHAPE_GROUPS || q->shape == SHAPE_TUMBLE || q->shape == SHAPE_HOP ||
                   (q->shape == SHAPE_PLAIN && q->dedup);
    q->keyed = q->way != WAY_VIEW && q->way != WAY_LENGTH && may_key && one_of(r, 2);
    if (q->shape == SHAPE_GROUPS) {
        q->by_key = true;
        if (q->way != WAY_VIEW && !s->bounded) {
            q->way = q->way == WAY_LENGTH ? WAY_OUTBOX : q->way;
            q->keyed = true;
        }
        if (q->way != WAY_VIEW && s->bounded) q->having = 0;
    }
    /* The order of a group's rows decides what is forgotten, so it must be certain. */
    if (q->shape == SHAPE_GROUPS && q->way == WAY_VIEW && s->bounded && s->keys_split)
        q->ttl_us = PICK(r, 0, 1, 4, 15) * US_PER_SECOND;
    /* Changes of groups go where each group has its place. */
    if (q->shape == SHAPE_COPY && s->queries[q->reads].shape == SHAPE_GROUPS) {
        if (q->way == WAY_LENGTH) q->way = WAY_OUTBOX;
        q->keyed = true;
        if (one_of(r, 2)) q->outer_m = 2, q->outer_r = below(r, 2);
    } else if (q->shape == SHAPE_COPY) {
        q->outer_m = 0;
    }
    /* At once a window may be out before a crash, and hold more when it closes the second time. */
    if (s->idles && q->way == WAY_ONCE) q->way = WAY_OUTBOX;
    if (q->shape == SHAPE_PLAIN && q->keyed && q->source_count == 2) q->keyed = false;
    /* What the planner asks for: rows of one record each, of topics. */
    if (leaves) q->joins = JOINS_NOT;
    bool may =
        q->shape == SHAPE_PLAIN && !q->joins && q->way != WAY_VIEW && !s->bounded && !q->dedup;
    if ((may && !one_of(r, 5)) || leaves) {
        q->way = WAY_POSITION;
        q->keyed = false;
    }
    q->refuses = (q->way == WAY_OUTBOX || q->way == WAY_POSITION) && !q->keyed && one_of(r, 3);
    s->query_count++;
}

static void add_interval(Buffer *b, int64_t us) {
    buffer_add_format(b, "INTERVAL '%lld milliseconds'", (long long)(us / 1000));
}

static void add_base(const Scenario *s, const SimQuery *q, Buffer *b) {
    bool nested = q->source_count > 1 || q->inner_m;
    if (nested) buffer_add_char(b, '(');
    for (int i = 0; i < q->source_count; i++) {
        if (i) buffer_add_text(b, " UNION ALL ");
        if (nested) buffer_add_text(b, "SELECT id, k, v, t FROM ");
        buffer_add_format(b, "%c%d", q->dedup ? 'd' : 's', q->sources[i]);
        if (q->inner_m) buffer_add_format(b, " WHERE v %% %d <> %d", q->inner_m, q->inner_r);
    }
    if (nested) buffer_add_char(b, ')');
    (void)s;
}

static void add_where(const SimQuery *q, Buffer *b) {
    if (q->outer_m) buffer_add_format(b, " WHERE v %% %d <> %d", q->outer_m, q->outer_r);
}

#define SUMS "count(*) AS n, sum(v) AS s, min(v) AS lo, max(v) AS hi"

static void add_select(const Scenario *s, int number, Buffer *b) {
    const SimQuery *q = &s->queries[number];
    const char *key = q->by_key ? ", k" : "";
    static const char *const functions[] = {[SHAPE_TUMBLE] = "tumble",
                                            [SHAPE_HOP] = "hop",
                                            [SHAPE_CUMULATE] = "cumulate",
                                            [SHAPE_SESSION] = "session"};
    switch (q->shape) {
    case SHAPE_PLAIN:
        buffer_add_format(b, "SELECT id, %sk, v, t%s%s FROM ", q->joins ? "x." : "",
                          q->divides ? ", 100 / v AS q" : "", q->joins ? ", w" : "");
        add_base(s, q, b);
        if (q->source_count > 1 || q->inner_m || q->joins) buffer_add_text(b, " x");
        if (q->joins)
            buffer_add_format(b, " %sJOIN r ON r.k = x.k", q->joins == JOINS_LEFT ? "LEFT " : "");
        add_where(q, b);
        break;
    case SHAPE_FIRSTS:
        buffer_add_text(
            b, "SELECT DISTINCT ON (id, window_start) id, k, v, t, window_start FROM tumble(");
        add_base(s, q, b);
        buffer_add_text(b, ", t, ");
        add_interval(b, q->size_us);
        buffer_add_text(b, ")");
        add_where(q, b);
        break;
    case SHAPE_JOIN:
        buffer_add_format(
            b,
            "SELECT a.window_end AS window_end, a.n AS m, b.n AS s FROM v%d a %sJOIN v%d b "
            "ON a.window_end = b.window_end%s",
            q->reads, q->left ? "LEFT " : "", q->right, q->by_key ? " AND a.k = b.k" : "");
        break;
    case SHAPE_GROUPS:
        buffer_add_text(b, "SELECT k, " SUMS " FROM ");
        add_base(s, q, b);
        if (q->source_count > 1 || q->inner_m) buffer_add_text(b, " x");
        add_where(q, b);
        buffer_add_text(b, " GROUP BY k");
        break;
    case SHAPE_TUMBLE:
    case SHAPE_HOP:
    case SHAPE_CUMULATE:
    case SHAPE_SESSION:
        buffer_add_format(b, "SELECT window_start, window_end%s, " SUMS "%s FROM %s(", key,
                          q->divides ? ", sum(100 / v) AS q" : "", functions[q->shape]);
        add_base(s, q, b);
        buffer_add_text(b, ", t, ");
        if (q->shape == SHAPE_HOP || q->shape == SHAPE_CUMULATE)
            add_interval(b, q->slide_us), buffer_add_text(b, ", ");
        add_interval(b, q->size_us);
        if (q->offset_us) buffer_add_text(b, ", "), add_interval(b, q->offset_us);
        if (q->shape == SHAPE_SESSION && q->by_key) buffer_add_text(b, ", partition_by => k");
        buffer_add_text(b, ")");
        add_where(q, b);
        buffer_add_format(b, " GROUP BY window_start, window_end%s", key);
        break;
    case SHAPE_OUTER_SAME:
        buffer_add_format(b,
                          "SELECT window_end, count(*) AS m, sum(n) AS s FROM v%d "
                          "GROUP BY window_end",
                          q->reads);
        break;
    case SHAPE_OUTER_TUMBLE:
        buffer_add_format(b,
                          "SELECT window_end, count(*) AS m, sum(n) AS s FROM tumble((SELECT "
                          "window_end AS closed, n FROM v%d), closed, ",
                          q->reads);
        add_interval(b, q->size_us);
        buffer_add_text(b, ") GROUP BY window_end");
        break;
    case SHAPE_COPY:
        buffer_add_format(b, "SELECT * FROM v%d", q->reads);
        if (q->outer_m) buffer_add_format(b, " WHERE n %% %d <> %d", q->outer_m, q->outer_r);
        break;
    }
    if (q->having) buffer_add_format(b, " HAVING count(*) > %d", q->having);
}

static void add_columns(const Scenario *s, const SimQuery *q, Buffer *b) {
    switch (q->shape) {
    case SHAPE_PLAIN:
        buffer_add_format(b, "id text, k int, v int, t timestamptz%s%s",
                          q->divides ? ", q int" : "", q->joins ? ", w int" : "");
        break;
    case SHAPE_FIRSTS:
        buffer_add_text(b, "id text, k int, v int, t timestamptz, window_start timestamptz");
        break;
    case SHAPE_GROUPS: buffer_add_text(b, "k int, n bigint, s bigint, lo int, hi int"); break;
    case SHAPE_TUMBLE:
    case SHAPE_HOP:
    case SHAPE_CUMULATE:
    case SHAPE_SESSION:
        buffer_add_format(b,
                          "window_start timestamptz, window_end timestamptz%s, n bigint, s "
                          "bigint, lo int, hi int%s",
                          q->by_key ? ", k int" : "", q->divides ? ", q bigint" : "");
        break;
    case SHAPE_OUTER_SAME:
    case SHAPE_OUTER_TUMBLE:
    case SHAPE_JOIN: buffer_add_text(b, "window_end timestamptz, m bigint, s bigint"); break;
    case SHAPE_COPY: add_columns(s, &s->queries[q->reads], b); break;
    }
    if (!q->keyed) return;
    buffer_add_format(b, ", PRIMARY KEY (%s)",
                      q->shape == SHAPE_PLAIN                              ? "id"
                      : q->shape == SHAPE_GROUPS || q->shape == SHAPE_COPY ? "k"
                      : q->by_key                                          ? "window_start, k"
                                                                           : "window_start");
}

static void write_sql(Scenario *s) {
    Buffer *b = &s->sql;
    b->size = 0;
    buffer_add_format(
        b,
        "SET pipeline = 'p';\nSET http = 'off';\nSET checkpoint_interval = '%lld milliseconds';\n",
        (long long)(s->checkpoint_us / 1000));
    for (int i = 0; i < s->table_count; i++) {
        const SimTable *t = &s->tables[i];
        if (!t->read) continue;
        buffer_add_format(b, "CREATE TABLE s%d (id text, k int, v int, t timestamptz) WITH (", i);
        if (s->bounded) buffer_add_format(b, "connector = 'file', path = 's%d'", i);
        else
            buffer_add_format(b,
                              "connector = 'kafka', topic = 's%d', \"bootstrap.servers\" = "
                              "'nowhere:1', idle_timeout = '%lld milliseconds'",
                              i, (long long)(s->idle_us / 1000));
        buffer_add_format(b, ", event_time = 't', watermark_delay = '%lld milliseconds');\n",
                          (long long)(t->delay_us / 1000));
        if (query_dedups(s, i))
            buffer_add_format(b,
                              "CREATE VIEW d%d WITH (horizon = '%lld milliseconds') AS SELECT "
                              "DISTINCT ON (id) * FROM s%d;\n",
                              i, (long long)(t->horizon_us / 1000), i);
    }
    bool joins = false;
    for (int i = 0; i < s->query_count; i++) joins |= s->queries[i].joins && !s->queries[i].out;
    if (joins) {
        buffer_add_text(
            b, "CREATE TABLE r (k int PRIMARY KEY, w int) WITH (connector = 'file', path = 'r'");
        if (s->refresh_us)
            buffer_add_format(b, ", refresh = '%lld milliseconds'",
                              (long long)(s->refresh_us / 1000));
        buffer_add_text(b, ");\n");
    }
    static const char *const ways[] = {"", "length", "outbox", "once", "position"};
    for (int i = 0; i < s->query_count; i++) {
        const SimQuery *q = &s->queries[i];
        if (q->out) continue;
        if (q->way == WAY_VIEW) {
            buffer_add_format(b, "CREATE MATERIALIZED VIEW v%d ", i);
            if (q->emit_final) buffer_add_text(b, "WITH (emit = 'final') ");
            if (q->ttl_us)
                buffer_add_format(b, "WITH (state_ttl = '%lld milliseconds') ",
                                  (long long)(q->ttl_us / 1000));
            buffer_add_text(b, "AS ");
        } else {
            buffer_add_format(b, "CREATE TABLE o%d (", i);
            add_columns(s, q, b);
            buffer_add_format(b,
                              ") WITH (connector = 'kafka', topic = '%s', \"bootstrap.servers\" = "
                              "'nowhere:1');\nINSERT INTO o%d ",
                              ways[q->way], i);
        }
        add_select(s, i, b);
        buffer_add_text(b, ";\n");
    }
    buffer_add_char(b, 0);
    b->size--;
}

/* ---- the records ---- */

static void write_time(int64_t t, char *out, size_t size) {
    Buffer b = {0};
    timestamp_rfc3339(t, true, &b);
    snprintf(out, size, "%.*s", STR_ARG(buffer_str(&b)));
    buffer_free(&b);
}

static void write_event(Event *e) {
    char time[48], v[16] = "null";
    write_time(e->t, time, sizeof time);
    if (!e->v_null) snprintf(v, sizeof v, "%d", e->v);
    int size = snprintf(e->text, sizeof e->text, "{\"id\":\"e%d\",\"k\":%d,\"v\":%s,\"t\":\"%s\"}",
                        e->id, e->k, v, time);
    if (e->kind == EVENT_CUT) e->text[size - 3] = 0;
    if (e->kind == EVENT_WRONG_TYPE)
        snprintf(e->text, sizeof e->text, "{\"id\":\"e%d\",\"k\":%d,\"v\":\"no\",\"t\":\"%s\"}",
                 e->id, e->k, time);
    if (e->kind == EVENT_TIMELESS)
        snprintf(e->text, sizeof e->text, "{\"id\":\"e%d\",\"k\":%d,\"v\":%s}", e->id, e->k, v);
}

static void draw_events(Scenario *s, Random *r) {
    int64_t step_us = PICK(r, 50, 300, 1000, 3000) * 1000, disorder = PICK(r, 0, 1, 3, 8);
    if (s->idles) step_us = 300000;
    int64_t grain_us = PICK(r, 1, 1000, 500000, 1000000);
    int64_t gap_us = s->bounded ? PICK(r, 0, 0, 1000, 50000) : PICK(r, 0, 1000, 30000, 200000);
    int duplicates = (int)PICK(r, 0, 20, 5, 3), late = (int)PICK(r, 0, 0, 30, 8);
    int bad = (int)PICK(r, 0, 0, 20, 6), keys = (int)PICK(r, 1, 3, 8), ids = 0;
    for (int i = 0; i < s->table_count; i++)
        for (int p = 0; p < s->tables[i].partitions; p++) {
            int first = s->event_count,
                count = one_of(r, 8) ? 0 : 1 + below(r, one_of(r, 4) ? 60 : 20);
            int64_t t = SIM_EPOCH_US + below(r, 5000) * 1000, arrives = s->tables[i].begins_us[p];
            for (int n = 0; n < count && s->event_count < MOST_EVENTS; n++) {
                Event *e = &s->events[s->event_count];
                t += (int64_t)random_below(r, (uint64_t)step_us);
                arrives += (int64_t)random_below(r, (uint64_t)gap_us + 1);
                if (s->idles && one_of(r, 8)) arrives += 500000 + below(r, 4000000);
                int made = s->event_count - first;
                if (duplicates && made && one_of(r, duplicates)) {
                    *e = s->events[first + below(r, made)];
                    if (one_of(r, 3)) e->v = below(r, 30) - 5;
                    if (one_of(r, 4)) e->t = t; /* sent again as of now */
                } else {
                    *e = (Event){.id = ids++, .k = below(r, keys), .v = below(r, 30) - 5};
                    e->v_null = one_of(r, 20);
                    e->t = t - (disorder
                                    ? (int64_t)random_below(r, (uint64_t)(disorder * US_PER_SECOND))
                                    : 0);
                    if (late && one_of(r, late)) e->t -= (5 + below(r, 40)) * US_PER_SECOND;
                    e->t -= e->t % grain_us;
                }
                e->kind = bad && one_of(r, bad) ? (EventKind)(1 + below(r, 3)) : EVENT_GOOD;
                if (s->keys_split) e->k = e->k % 8 + 8 * (MOST_PARTITIONS * i + p);
                e->source = i;
                e->partition = p;
                e->arrives_us = arrives;
                e->number = s->event_count++;
                write_event(e);
            }
        }
}

/* ---- what goes wrong ---- */

/* Those of the engine that this world comes past, and those of its sinks. */
static const char *draw_point(Random *r) {
    static const char *const own[] = {"outside.marker", "outside.delivered"};
    int count = 0;
    while (fault_points[count].name) count++;
    for (;;) {
        int n = below(r, count + 2);
        const char *name = n < count ? fault_points[n].name : own[n - count];
        if (strncmp(name, "folder.", 7) != 0 && strcmp(name, "source.fact") != 0 &&
            strcmp(name, "source.kept") != 0)
            return name;
    }
}

static void draw_round(Scenario *s, Random *r, Round *round, unsigned faults) {
    *round = (Round){
        .batch_rows = (int)PICK(r, 0, 1, 2, 7, 100),
        .workers = 1 + below(r, 4),
        .random_rows = one_of(r, 3) ? 1 + random_below(r, 1000000) : 0,
        .schedule_seed = random_next(r),
        .epoch_rows = PICK(r, 0, 0, 1, 3, 10, 40),
        .switch_every = (uint32_t)PICK(r, 1, 2, 4, 16, 64),
        .creep_us = PICK(r, 0, 5, 100, 2000),
        .slow_sync_us = PICK(r, 0, 0, 1000, 50000, 400000),
        .slow_sink_us = PICK(r, 0, 0, 1000, 50000, 400000),
        .slow_list_us = PICK(r, 0, 0, 20000, 1000000, 4000000),
    };
    Round with = *round;
    int end = below(r, 8);
    if (end < 4) with.crash_step = 1 + (int64_t)random_below(r, 1ull << (6 + below(r, 7)));
    with.crash_point = end >= 4 && end < 7 ? draw_point(r) : NULL;
    with.crash_pass = 1 + below(r, 1 << below(r, 4));
    int64_t stop_us = 1000 + (int64_t)random_below(r, (uint64_t)(s->last_arrival_us + 3000000));
    with.power = !one_of(r, 3);
    with.disk_write_fails_of = (uint32_t)PICK(r, 0, 0, 20, 200);
    with.disk_sync_fails_of = (uint32_t)PICK(r, 0, 0, 5, 30);
    with.disk_full_of = (uint32_t)PICK(r, 0, 0, 50, 500);
    with.disk_failures = one_of(r, 3) ? 1 + below(r, 6) : 0;
    with.commit_fails_of = (uint32_t)PICK(r, 0, 0, 3, 10);
    with.source_away_of = (uint32_t)PICK(r, 0, 0, 5, 40);
    with.sink_away_of = (uint32_t)PICK(r, 0, 0, 3, 20);
    with.sink_lost_of = (uint32_t)PICK(r, 0, 0, 2, 10);
    with.sink_breaks_of = (uint32_t)PICK(r, 0, 0, 0, 20);
    bool forgotten = one_of(r, 8), pauses = one_of(r, 6);
    int64_t pause_step = 1 + (int64_t)random_below(r, 1ull << (6 + below(r, 7)));
    int reset = one_of(r, 4) ? below(r, MOST_QUERIES) : -1;
    round->reset = faults & FAULT_RESETS ? reset : -1;
    bool freezes = one_of(r, 8);
    int64_t freeze_step = 1 + (int64_t)random_below(r, 1ull << (6 + below(r, 7)));
    round->thaw_step = 1 + (int64_t)random_below(r, 1ull << (6 + below(r, 7)));
    round->freeze_step = freezes && (faults & FAULT_ZOMBIES) ? freeze_step : 0;
    round->forgotten = forgotten && (faults & FAULT_FORGETS);
    round->pause_step = pauses && (faults & FAULT_PAUSES) ? pause_step : 0;
    if (end == 7 && (faults & FAULT_STOPS)) round->stop_us = stop_us;
    if (faults & FAULT_CRASHES) {
        round->crash_step = with.crash_step;
        round->crash_point = with.crash_point;
        round->crash_pass = with.crash_pass;
        round->power = with.power && (faults & FAULT_DISK);
    }
    if (faults & FAULT_DISK) {
        round->disk_write_fails_of = with.disk_write_fails_of;
        round->disk_sync_fails_of = with.disk_sync_fails_of;
        round->disk_full_of = with.disk_full_of;
        round->disk_failures = with.disk_failures;
    }
    if (faults & FAULT_COMMITS) round->commit_fails_of = with.commit_fails_of;
    if (faults & FAULT_SOURCES) round->source_away_of = with.source_away_of;
    if (faults & FAULT_SINKS) {
        round->sink_away_of = with.sink_away_of;
        round->sink_lost_of = with.sink_lost_of;
        round->sink_breaks_of = with.sink_breaks_of;
    }
    if (!(faults & FAULT_SLOW))
        round->slow_sync_us = round->slow_sink_us = round->slow_list_us = round->creep_us = 0;
    if (!(faults & FAULT_BATCHES)) {
        round->batch_rows = 0;
        round->random_rows = 0;
        round->workers = 1;
        round->epoch_rows = 0;
    }
}

static void calm(Round *round) {
    *round = (Round){.batch_rows = round->batch_rows,
                     .workers = round->workers,
                     .random_rows = round->random_rows,
                     .schedule_seed = round->schedule_seed,
                     .epoch_rows = round->epoch_rows,
                     .switch_every = round->switch_every,
                     .creep_us = round->creep_us,
                     .slow_sync_us = round->slow_sync_us,
                     .slow_sink_us = round->slow_sink_us,
                     .forgotten = round->forgotten,
                     .reset = round->reset,
                     .thaw_step = round->thaw_step,
                     .slow_list_us = round->slow_list_us};
}

/* One that was frozen writes at least once what it wrote before: a key may then hold what is old.
 * It is gone after a week. */
static void choose_zombie(Scenario *s) {
    bool may = true;
    for (int i = 0; i < s->query_count; i++)
        if (s->queries[i].way == WAY_ONCE && s->queries[i].keyed) may = false;
    for (int i = 0; i < s->round_count; i++) {
        Round *round = &s->rounds[i];
        if (!may) round->freeze_step = 0;
        if (!round->freeze_step) continue;
        may = false;
        for (int k = i; k < s->round_count; k++) s->rounds[k].forgotten = false;
    }
}

/* Of a view that nobody reads it is plain what is left: rows that come from then on. */
static bool may_reset(const Scenario *s, int query) {
    if (query < 0 || query >= s->query_count || s->queries[query].out) return false;
    for (int i = 0; i < s->query_count; i++) {
        const SimQuery *q = &s->queries[i];
        if (!q->out && (q->reads == query || (q->shape == SHAPE_JOIN && q->right == query)))
            return false;
    }
    const SimQuery *q = &s->queries[query];
    return q->way == WAY_VIEW && q->reads < 0 && q->shape != SHAPE_FIRSTS;
}

static void lay_out(Scenario *s, const Limits *limits) {
    int kept = 0;
    for (int i = 0; i < s->event_count; i++)
        if ((!limits->keep || limits->keep[s->events[i].number]) &&
            s->tables[s->events[i].source].read)
            s->events[kept++] = s->events[i];
    s->event_count = kept;
    for (int i = 0; i < kept; i++) {
        Event *e = &s->events[i];
        int *count = &s->counts[e->source][e->partition];
        e->position = *count;
        s->of[e->source][e->partition][(*count)++] = e;
        if (e->arrives_us > s->last_arrival_us) s->last_arrival_us = e->arrives_us;
    }
}

static void take_out(Scenario *s, unsigned queries) {
    for (int i = 0; i < s->query_count; i++) {
        SimQuery *q = &s->queries[i];
        q->out = !(queries >> i & 1) || (q->reads >= 0 && s->queries[q->reads].out) ||
                 (q->shape == SHAPE_JOIN && s->queries[q->right].out);
        for (int k = 0; k < q->source_count && !q->out && q->reads < 0; k++)
            s->tables[q->sources[k]].read = true;
    }
}

void scenario_make(Scenario *s, uint64_t seed, const Limits *limits) {
    *s = (Scenario){.seed = seed};
    Random pipeline, records;
    random_seed(&pipeline, seed * 3 + 1);
    random_seed(&records, seed * 3 + 2);
    Random *r = &pipeline;
    int theme = below(r, THEMES);
    s->bounded = !one_of(r, 3) && theme != THEME_POSITION;
    s->table_count = 1 + one_of(r, 3);
    s->keys_split = one_of(r, 2);
    s->grows = !s->bounded && one_of(r, 4);
    s->idles = s->grows || (!s->bounded && one_of(r, 5));
    for (int i = 0; i < s->table_count; i++)
        s->tables[i] =
            (SimTable){.partitions = 1 + below(r, MOST_PARTITIONS),
                       .delay_us = PICK(r, 0, 1000, 3000, s->bounded ? 10000 : 2000) * 1000,
                       .horizon_us = PICK(r, 1000, 4000, 20000, 600000) * 1000};
    s->refresh_us = PICK(r, 0, 20, 300, 2000) * 1000;
    for (int i = 0; i < s->table_count && s->grows; i++)
        for (int p = 1; p < s->tables[i].partitions; p++)
            s->tables[i].begins_us[p] =
                s->tables[i].begins_us[p - 1] + (one_of(r, 3) ? 0 : below(r, 4000000));
    s->checkpoint_us = PICK(r, 20, 100, 1000) * 1000;
    s->idle_us = 1000000;
    s->outbox_limit = one_of(r, 4) ? 200 : 0;
    int queries = 1 + below(r, MOST_QUERIES);
    while (s->query_count < queries) draw_query(s, r, theme);
    take_out(s, limits->queries);
    for (int i = 0; i < s->query_count; i++)
        if (s->queries[i].size_us > s->longest_us) s->longest_us = s->queries[i].size_us;
    draw_events(s, &records);
    lay_out(s, limits);
    int rounds = below(r, MOST_ROUNDS);
    for (int i = 0; i < MOST_ROUNDS; i++) {
        Random troubles;
        random_seed(&troubles, seed * 31 + (uint64_t)i + 1000003);
        draw_round(s, &troubles, &s->rounds[i], limits->faults);
    }
    s->round_count = 1 + (rounds < limits->rounds ? rounds : limits->rounds);
    calm(&s->rounds[s->round_count - 1]);
    choose_zombie(s);
    for (int i = 0; i < s->round_count; i++)
        if (!may_reset(s, s->rounds[i].reset)) s->rounds[i].reset = -1;
    write_sql(s);
}

void scenario_print(const Scenario *s) {
    printf("--- pipeline ---\n%s", s->sql.data);
    for (int i = 0; i < s->table_count; i++)
        for (int p = 0; p < s->tables[i].partitions; p++) {
            if (!s->counts[i][p]) continue;
            printf("--- s%d[%d]", i, p);
            if (s->tables[i].begins_us[p])
                printf(", there from %lld us on", (long long)s->tables[i].begins_us[p]);
            printf(" ---\n");
            for (int n = 0; n < s->counts[i][p]; n++)
                printf("%9lld us  %s\n", (long long)s->of[i][p][n]->arrives_us,
                       s->of[i][p][n]->text);
        }
    printf("--- runs ---\n");
    for (int i = 0; i < s->round_count; i++) {
        const Round *r = &s->rounds[i];
        printf("%d: batch_rows %d%s, workers %d, epoch_rows %lld", i + 1, r->batch_rows,
               r->random_rows ? " random" : "", r->workers, (long long)r->epoch_rows);
        if (r->crash_step) printf(", crashes at step %lld", (long long)r->crash_step);
        if (r->crash_point) printf(", crashes at %s, pass %d", r->crash_point, r->crash_pass);
        if ((r->crash_step || r->crash_point) && r->power) printf(" (power)");
        if (r->reset >= 0) printf(", resets %s", query_name(s, r->reset));
        if (r->forgotten) printf(", markers are forgotten");
        if (r->pause_step) printf(", stands still at step %lld", (long long)r->pause_step);
        if (r->freeze_step)
            printf(", frozen at step %lld, going on at step %lld of the next",
                   (long long)r->freeze_step, (long long)r[1].thaw_step);
        if (r->stop_us) printf(", stopped after %lld us", (long long)r->stop_us);
        if (r->disk_failures) printf(", disk fails");
        if (r->commit_fails_of) printf(", commits fail");
        if (r->source_away_of) printf(", sources away");
        if (r->sink_away_of || r->sink_lost_of || r->sink_breaks_of) printf(", sinks fail");
        printf("\n");
    }
}
