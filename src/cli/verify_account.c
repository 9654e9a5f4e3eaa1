/* Where the rest went, by what a pipeline says of itself: of the records that were sent, a query
 * passed some on, and those stand in the output; the others it filtered, deduplicated, found late,
 * or could not use. The home's counts must add up to what was sent, and late rows and dead letters
 * tell by their bytes which events they are, so that such an event is not missing. */
#include "cli/cli.h"
#include "cli/table_name.h"
#include "cli/verify.h"
#include "data/jsonb.h"
#include "state/sqlite_file.h"
#include <inttypes.h>
#include <stdlib.h>

static const char *const kinds[ACCOUNT_KINDS] = {"filtered", "deduplicated", "late", "dead"};

/* ---- which queries ---- */

typedef struct Lineage {
    const Plan *plan;
    bool *queries, *sources; /* that lead to the one asked for, itself included */
} Lineage;

static bool makes_results(const PlanNode *node) {
    return node->type == &aggregate_operator || node->type == &session_operator ||
           node->type == &window_join_operator;
}

/* FAIL: some query on the way makes results, which are no events any more. */
static Status follow(Lineage *l, int query, Error *error) {
    const Plan *plan = l->plan;
    l->queries[query] = true;
    for (int n = 0; n < plan->node_count; n++) {
        const PlanNode *node = &plan->nodes[n];
        if (node->query != query) continue;
        if (makes_results(node))
            return fail(error,
                        "query '%s' groups or joins rows: its results are no events; name a query "
                        "that passes events on",
                        plan->queries[query].name);
        for (int i = 0; i < node->input_count; i++) {
            const PlanNode *input = &plan->nodes[node->inputs[i]];
            if (input->kind == NODE_SOURCE) l->sources[input->index] = true;
            else if (input->query >= 0 && !l->queries[input->query] &&
                     follow(l, input->query, error) != OK)
                return FAIL;
        }
    }
    return OK;
}

static int query_named(const Plan *plan, const char *name) {
    for (int q = 0; q < plan->query_count; q++)
        if (str_equal_nocase(str_from(plan->queries[q].name), str_from(name))) return q;
    return -1;
}

static bool is_query(const Lineage *l, Str name) {
    for (int q = 0; q < l->plan->query_count; q++)
        if (l->queries[q] && str_equal(name, str_from(l->plan->queries[q].name))) return true;
    return false;
}

static bool is_source(const Lineage *l, Str name) {
    for (int s = 0; s < l->plan->source_count; s++)
        if (l->sources[s] && str_equal(name, str_from(l->plan->sources[s].table->name)))
            return true;
    return false;
}

/* ---- what the home says ---- */

static int kind_of(Str name) {
    if (str_equal(name, STR("late_idle"))) return ACCOUNT_LATE;
    if (str_equal(name, STR("refused"))) return ACCOUNT_DEAD;
    if (str_equal(name, STR("skipped"))) return ACCOUNT_DEAD;
    for (int i = 0; i < ACCOUNT_KINDS; i++)
        if (str_equal(name, str_from(kinds[i]))) return i;
    return -1;
}

static Status read_counts(const Lineage *l, SqliteFile *home, Account *a, Error *error) {
    Status status =
        sqlite_file_query(home, "SELECT query, source, kind, count FROM leat_counts", error);
    while (status == OK && (status = sqlite_file_next(home, error)) == OK) {
        Str query = sqlite_file_text(home, 0), source = sqlite_file_text(home, 1),
            name = sqlite_file_text(home, 2);
        int64_t count = sqlite_file_integer(home, 3);
        int kind = kind_of(name);
        bool of_source = query.size == 0 && is_source(l, source);
        if (!of_source && !is_query(l, query)) continue;
        if (of_source && !str_equal(name, STR("refused"))) a->taken += count;
        if (kind >= 0) a->counts[kind] += count;
        if (kind == ACCOUNT_LATE || kind == ACCOUNT_DEAD) a->not_kept += count;
        if (str_equal(name, STR("skipped"))) a->not_kept -= count;
    }
    return status == END ? OK : status;
}

/* The eventId of a record, which may be cut off. */
static Str id_in(Verify *v, Str record, Arena *arena) {
    JsonbIterator iterator;
    Str key, value, name, id;
    if (!jsonb_iterate(&iterator, record)) return (Str){0};
    while (jsonb_next(&iterator, &key, &value))
        if (jsonb_string_view(key, &name, arena) &&
            str_equal_nocase(name, str_from(v->verdict.columns[COLUMN_ID])) &&
            jsonb_string_view(value, &id, arena))
            return id;
    return (Str){0};
}

static void explain_event(Verdict *verdict, Str id, Explained why) {
    for (int i = 0; i < verdict->sent_count; i++) {
        Sent *sent = &verdict->sents[i];
        int64_t number;
        bool broken;
        if (!event_of_id(&sent->ledger.spec, id, &number, &broken) || broken) continue;
        if (number >= sent->ledger.sent) return;
        if (!sent->explained)
            sent->explained = xcalloc((size_t)sent->ledger.sent, sizeof *sent->explained);
        sent->explained[number] = (uint8_t)why;
        return;
    }
}

static Status read_rejects(Verify *v, const Lineage *l, SqliteFile *home, const char *sql,
                           Explained why, Error *error) {
    Arena *arena = arena_new();
    Status status = sqlite_file_query(home, sql, error);
    while (status == OK && (status = sqlite_file_next(home, error)) == OK) {
        bool of_source = sqlite_file_null(home, 0) && is_source(l, sqlite_file_text(home, 1));
        if (!of_source && !is_query(l, sqlite_file_text(home, 0))) continue;
        arena_reset(arena);
        v->account.not_kept--;
        explain_event(&v->verdict, id_in(v, jsonb_trim(sqlite_file_text(home, 2)), arena), why);
    }
    arena_free(&arena);
    return status == END ? OK : status;
}

static Status read_home(Verify *v, const Lineage *l, Error *error) {
    SqliteFile *home = NULL;
    Status status = sqlite_file_open(l->plan->catalog->settings.home, &home, error);
    if (status == OK) status = read_counts(l, home, &v->account, error);
    if (status == OK)
        status = read_rejects(v, l, home, "SELECT query, source, record FROM late_rows",
                              EXPLAINED_LATE, error);
    if (status == OK)
        status = read_rejects(v, l, home, "SELECT query, source, record FROM dead_letters",
                              EXPLAINED_DEAD, error);
    sqlite_file_close(&home);
    return status;
}

int account_read(Verify *v) {
    char *file;
    const char *name;
    Catalog *catalog = NULL;
    Plan *plan = NULL;
    Error error = {0};
    if (!is_table_name(v->account.of, &file, &name))
        return usage_error("verify", "--account expects FILE.sql:QUERY, got '%s'", v->account.of);
    Status status = pipeline_plan(file, &catalog, &plan);
    free(file);
    if (status != OK) return EXIT_USAGE;
    v->account.query = name;
    Lineage l = {.plan = plan,
                 .queries = arena_new_array(plan->arena, bool, plan->query_count),
                 .sources = arena_new_array(plan->arena, bool, plan->source_count)};
    int query = query_named(plan, name);
    if (query < 0) status = fail(&error, "the pipeline has no query '%s'", name);
    int wrong = status == OK ? EXIT_FAILED : EXIT_USAGE;
    if (status == OK) status = follow(&l, query, &error);
    if (status == OK) status = read_home(v, &l, &error);
    plan_free(&plan);
    catalog_free(&catalog);
    if (status == OK) return EXIT_DONE;
    fprintf(stderr, "leat verify: %s\n", error.text);
    return wrong;
}

void account_settle(Verify *v) {
    Account *a = &v->account;
    Verdict *r = &v->verdict;
    int64_t left = a->taken - r->rows, sent = r->events + r->copies + r->broken;
    bool ended = true;
    for (int i = 0; i < ACCOUNT_KINDS; i++) left -= a->counts[i];
    for (int i = 0; i < r->sent_count; i++) ended &= r->sents[i].ledger.ended;
    r->wrong[WRONG_UNACCOUNTED] = left < 0 ? -left : left;
    if (ended) r->wrong[WRONG_UNACCOUNTED] += a->taken < sent ? sent - a->taken : a->taken - sent;
    /* Which events were filtered nobody wrote down, nor those of rejects that are not kept. */
    int64_t excused = a->counts[ACCOUNT_FILTERED] + (a->not_kept > 0 ? a->not_kept : 0);
    a->excused = r->wrong[WRONG_MISSING] < excused ? r->wrong[WRONG_MISSING] : excused;
    r->wrong[WRONG_MISSING] -= a->excused;
}
