/* The judge. An epoch is a claim: these records were taken, and this follows from them. So after
 * every crash the home's positions say how far the naive executor is to read, and views, counts,
 * late rows, dead letters and the committed part of the files must be what it says, exactly; of
 * windows that may still be open, no row may be there that it does not know. At the end everything
 * must be there, once. */
#include "simulate/judge.h"
#include "simulate/disk.h"
#include "simulate/naive.h"
#include "simulate/outside.h"
#include "simulate/trace.h"
#include "state/home.h"
#include <stdio.h>
#include <stdlib.h>

typedef struct Case {
    const Scenario *scenario;
    const Plan *plan;
    bool finished;
    int64_t taken[MOST_SOURCES][MOST_PARTITIONS];
    int64_t lengths[MOST_QUERIES];
    int64_t tally[MOST_QUERIES + MOST_SOURCES][MOST_SOURCES][TALLIES];
    int64_t late_idle;
    int64_t epoch;
    bool done; /* the home says that the pipeline is finished */
    Naive naive;
    Naive whole; /* of all records; for sinks by position */
    int sink;    /* whose positions are looked at */
    Arena *arena;
    Error *error;
} Case;

typedef struct Texts {
    const char **texts;
    int count, capacity;
    Arena *arena;
} Texts;

static void put(Texts *to, const char *text) {
    if (to->count == to->capacity) {
        int capacity = to->capacity ? 2 * to->capacity : 64;
        const char **texts = arena_new_array(to->arena, const char *, capacity);
        if (to->count) memcpy(texts, to->texts, sizeof *texts * (size_t)to->count);
        to->texts = texts;
        to->capacity = capacity;
    }
    to->texts[to->count++] = text;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* `some`: rows may be missing. `again`: rows may come again. */
static Status compare(Case *c, const char *what, Texts *got, Texts *wanted, bool some, bool again) {
    if (got->count) qsort(got->texts, (size_t)got->count, sizeof *got->texts, by_text);
    if (wanted->count) qsort(wanted->texts, (size_t)wanted->count, sizeof *wanted->texts, by_text);
    int i = 0, k = 0;
    while (i < got->count || k < wanted->count) {
        int order = i == got->count      ? 1
                    : k == wanted->count ? -1
                                         : strcmp(got->texts[i], wanted->texts[k]);
        if (order == 0) {
            i++, k++;
            while (again && i < got->count && strcmp(got->texts[i], got->texts[i - 1]) == 0 &&
                   (k == wanted->count || strcmp(got->texts[i], wanted->texts[k]) != 0))
                i++;
        } else if (order > 0) {
            if (!some) return fail(c->error, "%s: missing: %s", what, wanted->texts[k]);
            k++;
        } else {
            bool twice = i && strcmp(got->texts[i], got->texts[i - 1]) == 0;
            return fail(c->error, "%s: %s: %s", what, twice ? "twice" : "unexpected",
                        got->texts[i]);
        }
    }
    return OK;
}

static Texts wanted_of(Case *c, const Answers *answers) {
    Texts wanted = {.arena = c->arena};
    for (int i = 0; i < answers->count; i++) put(&wanted, answers->rows[i].text);
    return wanted;
}

/* ---- the home ---- */

static void take_position(void *context, const char **columns) {
    Case *c = context;
    int source = columns[0][1] - '0', partition = atoi(columns[1]);
    if (source < MOST_SOURCES && partition < MOST_PARTITIONS)
        c->taken[source][partition] = atoll(columns[2]);
}

static int query_index(const char *name) {
    return name[0] == 'd' ? DEDUPS + name[1] - '0' : name[1] - '0';
}

static void take_count(void *context, const char **columns) {
    Case *c = context;
    if (!*columns[0] || !*columns[1]) return; /* of sources and of sinks */
    if (strcmp(columns[2], "late_idle") == 0) {
        if (c->scenario->idles)
            c->tally[query_index(columns[0])][columns[1][1] - '0'][TALLY_LATE] += atoll(columns[3]);
        else c->late_idle += atoll(columns[3]);
    }
    for (int k = 0; k < TALLIES; k++)
        if (strcmp(columns[2], TALLY_NAMES[k]) == 0)
            c->tally[query_index(columns[0])][columns[1][1] - '0'][k] += atoll(columns[3]);
}

static void take_length(void *context, const char **columns) {
    ((Case *)context)->lengths[columns[0][1] - '0'] = atoll(columns[1]);
}

static void take_finished(void *context, const char **columns) {
    ((Case *)context)->done = strcmp(columns[0], "1") == 0;
}

static void take_epoch(void *context, const char **columns) {
    ((Case *)context)->epoch = atoll(columns[0]);
}

static void take_reject(void *context, const char **columns) {
    Texts *to = context;
    put(to, arena_format(to->arena, "%s %s %s %s", columns[0], columns[1], columns[2], columns[3]));
}

static void take_refused(void *context, const char **columns) {
    Texts *to = context;
    put(to, arena_format(to->arena, "%s %s", columns[0], columns[1]));
}

static void take_problem(void *context, const char **columns) {
    Case *c = context;
    if (strcmp(columns[0], "ok") != 0 && !*c->error->text)
        (void)fail(c->error, "the home is damaged: %s", columns[0]);
}

static Status read_home(Case *c) {
    if (!disk_query(outside.home, "PRAGMA integrity_check", take_problem, c, c->error)) return FAIL;
    if (*c->error->text) return FAIL;
    return disk_query(outside.home,
                      "SELECT source, partition, position FROM leat_positions WHERE query = ''",
                      take_position, c, c->error) &&
                   disk_query(outside.home, "SELECT query, source, kind, count FROM leat_counts",
                              take_count, c, c->error) &&
                   disk_query(outside.home, "SELECT sink, length FROM leat_sinks WHERE length > 0",
                              take_length, c, c->error) &&
                   disk_query(outside.home, "SELECT value FROM leat_meta WHERE name = 'finished'",
                              take_finished, c, c->error)
               ? OK
               : FAIL;
}

#define LATE_ROWS                                                                                  \
    "SELECT query, source, partition, position FROM late_rows WHERE source IS NOT NULL"

static Status judge_rejects(Case *c, const char *table, const Answers *answers) {
    Texts got = {.arena = c->arena}, wanted = wanted_of(c, answers);
    char sql[128];
    snprintf(sql, sizeof sql,
             "SELECT query, source, partition, position FROM %s WHERE source IS NOT NULL", table);
    if (!disk_query(outside.home, sql, take_reject, &got, c->error)) return FAIL;
    return compare(c, table, &got, &wanted, false, false);
}

/* How often a record's rows must have left towards a sink by position. */
static int times_left(const Case *c, int query, const Event *e) {
    const OutSink *of = &outside.sinks[query];
    int times = c->finished || e->position < store_reached(of, e->source, e->partition);
    for (int i = 0; i < of->twice_count; i++)
        times += e->position >= of->twice[i].from[e->source][e->partition] &&
                 e->position < of->twice[i].to[e->source][e->partition];
    return times;
}

/* What sinks have refused: perhaps of deliveries that are not through yet, but each row once. Where
 * a frozen run has delivered since, what that one refused is in its own copy of the home, and what
 * ours refused in a transaction that was never committed is taken for its. */
static Status judge_refused(Case *c) {
    Texts got = {.arena = c->arena}, wanted = {.arena = c->arena};
    if (!disk_query(outside.home, "SELECT query, record FROM dead_letters WHERE source IS NULL",
                    take_refused, &got, c->error))
        return FAIL;
    bool twice = outside.copy_delivered;
    for (int q = 0; q < c->scenario->query_count; q++) {
        bool whole = c->scenario->queries[q].way == WAY_POSITION;
        const Answers *answers = whole ? &c->whole.views[q] : &c->naive.views[q];
        twice |= outside.sinks[q].twice_count > 0;
        for (int i = 0; i < answers->count; i++) {
            const char *row = answers->rows[i].text;
            if (query_refuses(c->scenario, q, str_from(row)))
                put(&wanted, arena_format(c->arena, "%s %s", query_name(c->scenario, q), row));
        }
    }
    return compare(c, "refused rows", &got, &wanted, !c->finished || outside.copy_delivered, twice);
}

static Status judge_counts(Case *c) {
    for (int q = 0; q < MOST_QUERIES + MOST_SOURCES; q++)
        for (int s = 0; s < MOST_SOURCES; s++)
            for (int k = 0; k < TALLIES; k++) {
                int64_t got = c->tally[q][s][k], wanted = c->naive.tally[q][s][k];
                if (got == wanted) continue;
                return fail(c->error, "counts: query %s, source s%d: %s is %lld, should be %lld",
                            q < DEDUPS    ? query_name(c->scenario, q)
                            : q == DEDUPS ? "d0"
                                          : "d1",
                            s, TALLY_NAMES[k], (long long)got, (long long)wanted);
            }
    if (c->late_idle)
        return fail(c->error, "counts: %lld rows are late_idle", (long long)c->late_idle);
    return OK;
}

/* ---- rows ---- */

/* The objects of a JSON array. */
static void split_json(Texts *to, Str json) {
    int depth = 0;
    bool quoted = false;
    const char *from = NULL;
    for (size_t i = 0; i < json.size; i++) {
        char ch = json.data[i];
        if (ch == '"') quoted = !quoted;
        if (quoted) continue;
        if (ch == '{' && depth++ == 0) from = json.data + i;
        if (ch == '}' && --depth == 0)
            put(to, arena_text(to->arena, (Str){from, (size_t)(json.data + i + 1 - from)}));
    }
}

static void split_lines(Texts *to, Str bytes) {
    const char *at = bytes.data, *end = at ? at + bytes.size : at, *newline;
    while (at < end) {
        newline = memchr(at, '\n', (size_t)(end - at));
        if (!newline) newline = end;
        put(to, arena_text(to->arena, (Str){at, (size_t)(newline - at)}));
        at = newline + 1;
    }
}

static Status judge_view(Case *c, int query) {
    const SimQuery *q = &c->scenario->queries[query];
    const char *name = query_name(c->scenario, query);
    const PlanView *view = NULL;
    for (int i = 0; i < c->plan->view_count; i++)
        if (strcmp(c->plan->views[i].name, name) == 0) view = &c->plan->views[i];
    if (!view) return fail(c->error, "there is no view %s in the plan", name);
    HomeReader *reader = NULL;
    Buffer json = {0};
    bool more = false;
    Status status = home_reader_open(outside.home, &reader, c->error);
    if (status == OK)
        status =
            home_read_view(reader, name, &view->schema, NULL, 0, 100000, &json, &more, c->error);
    home_reader_close(&reader);
    /* Forgotten and not made anew yet: a start that gets through makes it. */
    if (status != OK && outside.any_forgotten && !c->finished &&
        strstr(c->error->text, "no such table")) {
        buffer_free(&json);
        *c->error = (Error){0};
        return OK;
    }
    if (status != OK) return FAIL;
    Texts got = {.arena = c->arena}, wanted = wanted_of(c, &c->naive.views[query]);
    split_json(&got, buffer_str(&json));
    buffer_free(&json);
    /* Rows of windows that are not closed are shown as they grow, but not by every view. */
    bool grows = !q->emit_final && !q->ttl_us && q->shape != SHAPE_SESSION && q->reads < 0;
    return compare(c, name, &got, &wanted, !c->finished && !grows, false);
}

/* What a store keeps by key: the last write of each. */
static void last_of_keys(const SimQuery *q, Texts *rows) {
    const char *const starts[] = {q->shape == SHAPE_PLAIN ? "\"id\":" : "\"window_start\":",
                                  q->by_key || q->shape == SHAPE_COPY ? "\"k\":"
                                                                      : "\"window_start\":"};
    bool only_k = q->shape == SHAPE_GROUPS || q->shape == SHAPE_COPY;
    int kept = 0;
    for (int i = 0; i < rows->count; i++) {
        bool replaced = false;
        for (int k = i + 1; k < rows->count && !replaced; k++) {
            replaced = true;
            for (int part = only_k; part < (q->shape == SHAPE_PLAIN ? 1 : 2); part++) {
                const char *a = strstr(rows->texts[i], starts[part]),
                           *b = strstr(rows->texts[k], starts[part]);
                size_t size = a ? strcspn(a, ",}") : 0;
                if (!a || !b || strncmp(a, b, size + 1) != 0) replaced = false;
            }
        }
        if (!replaced && *rows->texts[i] != '-') rows->texts[kept++] = rows->texts[i];
    }
    rows->count = kept;
}

static void take_acknowledged(void *context, const char **columns) {
    Case *c = context;
    int source = columns[0][1] - '0', partition = atoi(columns[1]);
    int64_t stands = store_reached(&outside.sinks[c->sink], source, partition);
    if (atoll(columns[2]) > stands && !*c->error->text)
        (void)fail(c->error, "%s: the home knows s%d[%d] acknowledged up to %s, outside it is %lld",
                   query_name(c->scenario, c->sink), source, partition, columns[2],
                   (long long)stands);
}

/* Its transactions say how far the sources were read for it: at any moment the rows of exactly
 * those records stand there. */
static Status judge_position(Case *c, int query) {
    const char *name = query_name(c->scenario, query);
    Texts got = {.arena = c->arena}, wanted = {.arena = c->arena};
    const Answers *answers = &c->whole.views[query];
    for (int i = 0; i < answers->count; i++) {
        const Answer *a = &answers->rows[i];
        bool refused = query_refuses(c->scenario, query, str_from(a->text));
        for (int n = refused ? 0 : times_left(c, query, a->event); n > 0; n--)
            put(&wanted, a->text);
    }
    split_lines(&got, buffer_str(&outside.sinks[query].bytes));
    if (compare(c, name, &got, &wanted, false, false) != OK) return FAIL;
    char sql[160];
    snprintf(sql, sizeof sql,
             "SELECT source, partition, position FROM leat_positions WHERE query = '%s' AND "
             "source <> ''",
             name);
    c->sink = query;
    if (!disk_query(outside.home, sql, take_acknowledged, c, c->error)) return FAIL;
    return *c->error->text ? FAIL : OK;
}

static Status judge_sink(Case *c, int query) {
    const SimQuery *q = &c->scenario->queries[query];
    const OutSink *sink = &outside.sinks[query];
    const char *name = query_name(c->scenario, query);
    Texts got = {.arena = c->arena}, wanted = {.arena = c->arena};
    for (int i = 0; i < c->naive.views[query].count; i++) {
        const char *row = c->naive.views[query].rows[i].text;
        if (!query_refuses(c->scenario, query, str_from(row))) put(&wanted, row);
    }
    Str bytes = buffer_str(&sink->bytes);
    if (q->way == WAY_LENGTH && !c->finished) {
        if ((size_t)c->lengths[query] > bytes.size)
            return fail(c->error, "%s: %zu bytes are left of %lld that the home counts on", name,
                        bytes.size, (long long)c->lengths[query]);
        bytes.size = (size_t)c->lengths[query];
    }
    split_lines(&got, bytes);
    if (q->keyed && !c->finished) return OK;
    /* The next start that looks refuses, or finds only what its home owes, too. */
    if (q->way == WAY_OUTBOX && outside.copy_delivered && !c->finished) return OK;
    if (q->keyed) {
        last_of_keys(q, &got);
        last_of_keys(q, &wanted);
    }
    if (q->way == WAY_ONCE && !c->finished) return OK;
    bool exact = c->finished || (q->way == WAY_LENGTH && !query_windowed(c->scenario, query) &&
                                 q->shape != SHAPE_GROUPS);
    return compare(c, name, &got, &wanted, !exact, q->way == WAY_ONCE);
}

static Status judge_told(Case *c) {
    for (int s = 0; s < MOST_SOURCES; s++)
        for (int p = 0; p < MOST_PARTITIONS; p++)
            if (outside.committed[s][p] > c->taken[s][p])
                return fail(c->error, "s%d[%d] was told of position %lld, the home stands at %lld",
                            s, p, (long long)outside.committed[s][p], (long long)c->taken[s][p]);
    return OK;
}

/* Nothing is committed in a home that the crash met while it was made. */
static bool made(Case *c) {
    return disk_query(outside.home, "SELECT value FROM leat_meta WHERE name = 'epoch'", take_epoch,
                      c, c->error) &&
           c->epoch > 0;
}

static bool any_by_position(const Scenario *s) {
    for (int i = 0; i < s->query_count; i++)
        if (s->queries[i].way == WAY_POSITION && !s->queries[i].out) return true;
    return false;
}

static Status judge_all(Case *c) {
    const Scenario *s = c->scenario;
    static int64_t last_epoch;
    bool there = made(c);
    if (c->epoch < last_epoch)
        return fail(c->error, "the home stands at epoch %lld, it stood at %lld before %s",
                    (long long)c->epoch, (long long)last_epoch,
                    arena_text(c->arena, str_from(c->error->text)));
    *c->error = (Error){0};
    last_epoch = c->epoch;
    if (!there && !c->finished) return judge_told(c);
    Status status = read_home(c);
    if (status == OK) status = judge_told(c);
    for (int i = 0; status == OK && c->finished && i < s->table_count; i++)
        for (int p = 0; p < s->tables[i].partitions; p++) {
            if (s->tables[i].read && c->taken[i][p] != s->counts[i][p])
                return fail(c->error, "s%d[%d]: %lld of %d records were taken", i, p,
                            (long long)c->taken[i][p], s->counts[i][p]);
        }
    if (status != OK) return FAIL;
    if (c->finished && s->bounded && !c->done)
        return fail(c->error, "the pipeline is at its end and the home does not say so");
    Texts late = {.arena = c->arena};
    if (!disk_query(outside.home, LATE_ROWS, take_reject, &late, c->error)) return FAIL;
    naive_open(&c->naive, s, (const int64_t(*)[MOST_PARTITIONS])c->taken, c->finished, late.texts,
               late.count);
    int64_t counts[MOST_SOURCES][MOST_PARTITIONS];
    for (int k = 0; k < MOST_SOURCES; k++)
        for (int p = 0; p < MOST_PARTITIONS; p++) counts[k][p] = s->counts[k][p];
    if (any_by_position(s))
        naive_open(&c->whole, s, (const int64_t(*)[MOST_PARTITIONS])counts, true, late.texts,
                   late.count);
    if (c->naive.missed) return fail(c->error, "late_rows: missing: %s", c->naive.missed);
    for (int i = 0; status == OK && i < s->query_count; i++) {
        if (s->queries[i].out) continue;
        status = s->queries[i].way == WAY_VIEW       ? judge_view(c, i)
                 : s->queries[i].way == WAY_POSITION ? judge_position(c, i)
                                                     : judge_sink(c, i);
    }
    if (status == OK) status = judge_rejects(c, "late_rows", &c->naive.late);
    if (status == OK) status = judge_rejects(c, "dead_letters", &c->naive.dead);
    if (status == OK) status = judge_refused(c);
    if (status == OK) status = judge_counts(c);
    naive_close(&c->naive);
    if (any_by_position(s)) naive_close(&c->whole);
    return status;
}

Status judge(const Scenario *scenario, const Plan *plan, bool finished, Error *error) {
    Case *c = xcalloc(1, sizeof *c);
    c->scenario = scenario;
    c->plan = plan;
    c->finished = finished;
    c->arena = arena_new();
    c->error = error;
    *error = (Error){0};
    Status status = judge_all(c);
    if (status == OK) {
        int64_t all = 0;
        for (int s = 0; s < MOST_SOURCES; s++)
            for (int p = 0; p < MOST_PARTITIONS; p++) all += c->taken[s][p];
        trace_line("judged: right at %lld records", (long long)all);
        trace_number((uint64_t)all);
    }
    arena_free(&c->arena);
    free(c);
    return status;
}
