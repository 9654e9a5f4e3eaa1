/* The planner, by pipelines as text: the shape of each query's plan, the words of its explanation,
 * and for every refusal its message and its place. */
#include "sql/plan.h"
#include <setjmp.h>
#include <stdio.h>
/* cmocka.h comes last: it defines fail(). */
#include <cmocka.h>

#define TABLES                                                                                     \
    "CREATE TABLE t (k text, v int, x double precision, d jsonb, at timestamptz) WITH (connector " \
    "= 'file', path = "                                                                            \
    "'t.ndjson', event_time = 'at', watermark_delay = '3 seconds');\n"                             \
    "CREATE TABLE u (k text, v int, at timestamptz) WITH (connector = 'generator', event_time = "  \
    "'at');\n"                                                                                     \
    "CREATE TABLE plain (k text, v bigint) WITH (connector = 'file', path = 'p.ndjson');\n"        \
    "CREATE TABLE ref (k text PRIMARY KEY, site text, n int) WITH (connector = 'file', path = "    \
    "'r.csv', format = "                                                                           \
    "'csv');\n"                                                                                    \
    "CREATE TABLE o (k text, n bigint) WITH (connector = 'file', path = 'o.ndjson');\n"            \
    "CREATE TABLE nn (k text NOT NULL, n bigint) WITH (connector = 'file', path = 'nn.ndjson');\n" \
    "CREATE TABLE pk (k text PRIMARY KEY, n bigint) WITH (connector = 'kafka', topic = 'pk', "     \
    "\"bootstrap.servers\" = 'h:1');\n"                                                            \
    "CREATE VIEW totals AS SELECT k, count(*) AS n FROM u GROUP BY k;\n"
#define ENDED "CREATE MATERIALIZED VIEW ended AS SELECT k, v, count(*) AS n FROM t GROUP BY k, v; "
enum { TABLE_LINES = 8 };

static void dump_node(const Plan *plan, int number, int query, Buffer *out) {
    const PlanNode *n = &plan->nodes[number];
    if (n->query != query) {
        buffer_add_text(out, n->kind == NODE_SOURCE ? n->name : plan->queries[n->query].name);
        return;
    }
    buffer_add_text(out, n->kind == NODE_VIEW   ? "view"
                         : n->kind == NODE_SINK ? "sink"
                                                : n->type->name);
    buffer_add_char(out, '(');
    for (int i = 0; i < n->input_count; i++) {
        if (i > 0) buffer_add_text(out, ", ");
        dump_node(plan, n->inputs[i], query, out);
    }
    buffer_add_char(out, ')');
}

/* "name: view(project(t)) bounded windowed" for each query. */
static void dump(const Plan *plan, Buffer *out) {
    for (int q = 0; q < plan->query_count; q++) {
        const PlanQuery *query = &plan->queries[q];
        int end = -1;
        for (int i = 0; i < plan->node_count; i++)
            if (plan->nodes[i].query == q) end = i;
        buffer_add_format(out, "%s: ", query->name);
        dump_node(plan, end, q, out);
        if (query->bounded) buffer_add_text(out, " bounded");
        if (query->windowed) buffer_add_text(out, " windowed");
        if (query->grouped) buffer_add_text(out, " grouped");
        if (query->replayable) buffer_add_text(out, " replayable");
        buffer_add_char(out, '\n');
    }
}

static Status plan_text(const char *sql, Catalog **catalog, Plan **plan, Error *error) {
    Status status = catalog_parse("p.sql", str_from(sql), catalog, error);
    return status == OK ? plan_new(*catalog, plan, error) : status;
}

static Plan *planned(const char *sql, Catalog **catalog) {
    Plan *plan = NULL;
    Error error;
    Status status = plan_text(sql, catalog, &plan, &error);
    if (status != OK) {
        print_message("%s\n%d:%d: %s\n", sql, error.line, error.column, error.text);
        fail();
    }
    return plan;
}

/* ---- every column number of every spec is one of the input's, of the right type ---- */

static void check_column(const Schema *input, int column, int least) {
    assert_in_range(column - least, 0, input->count - 1 - least);
}

static void check_expr(const Schema *input, const Expr *e) {
    if (e->kind == EXPR_COLUMN) {
        check_column(input, e->column, 0);
        assert_int_equal(e->type.kind, input->fields[e->column].type.kind);
    }
    for (int i = 0; i < e->arg_count; i++) check_expr(input, e->args[i]);
}

static void check_calls(const Schema *input, const Schema *output, int keys,
                        const AggregateCall *calls, int count) {
    assert_int_equal(output->count, keys + count);
    for (int i = 0; i < count; i++) {
        check_column(input, calls[i].arg, -1);
        check_column(input, calls[i].filter, -1);
        if (calls[i].arg >= 0)
            assert_int_equal(calls[i].arg_type.kind, input->fields[calls[i].arg].type.kind);
        if (calls[i].filter >= 0)
            assert_int_equal(input->fields[calls[i].filter].type.kind, TYPE_BOOL);
        assert_int_equal(calls[i].result.kind, output->fields[keys + i].type.kind);
    }
}

static void check_aggregate(const AggregateSpec *spec, const Schema *input) {
    for (int i = 0; i < spec->key_count; i++) {
        check_column(input, spec->keys[i], 0);
        assert_int_equal(input->fields[spec->keys[i]].type.kind, spec->output.fields[i].type.kind);
    }
    if (spec->close == CLOSE_NEVER) assert_int_equal(spec->bucket, -1);
    else assert_in_range(spec->bucket, 0, spec->key_count - 1);
    check_calls(input, &spec->output, spec->key_count, spec->calls, spec->call_count);
}

static void check_session(const SessionSpec *spec, const Schema *input) {
    for (int i = 0; i < spec->partition_count; i++) check_column(input, spec->partition[i], 0);
    for (int i = 0; i < spec->key_count; i++) check_column(input, spec->keys[i], SESSION_END);
    check_column(input, spec->filter, -1);
    if (spec->time_kind != TIME_EVENT) check_column(input, spec->time, 0);
    check_calls(input, &spec->output, spec->key_count, spec->calls, spec->call_count);
}

static void check_window_join(const WindowJoinSpec *spec, const PlanNode *n, const Schema *left,
                              const Schema *right) {
    const Schema *sides[2] = {left, right};
    assert_int_equal(n->schema.count, left->count + right->count);
    for (int side = 0; side < 2; side++) {
        assert_int_equal(spec->sides[side].count, sides[side]->count);
        check_column(sides[side], spec->bucket[side], 0);
        for (int i = 0; i < spec->key_count; i++) check_column(sides[side], spec->keys[side][i], 0);
    }
    if (spec->residual) check_expr(&n->schema, spec->residual);
}

static void check_spec(const Plan *plan, const PlanNode *n) {
    const Schema *input = &plan->nodes[n->inputs[0]].schema;
    if (n->type == &filter_operator) check_expr(input, ((const FilterSpec *)n->spec)->condition);
    if (n->type == &project_operator) {
        const ProjectSpec *spec = n->spec;
        assert_int_equal(spec->count, n->schema.count);
        for (int i = 0; i < spec->count; i++) {
            check_expr(input, spec->exprs[i]);
            assert_int_equal(spec->exprs[i]->type.kind, n->schema.fields[i].type.kind);
        }
    }
    if (n->type == &window_operator) {
        const WindowSpec *spec = n->spec;
        assert_int_equal(n->schema.count, input->count + 2);
        if (spec->time_kind != TIME_EVENT) check_column(input, spec->time, 0);
    }
    if (n->type == &dedup_operator) {
        const DedupSpec *spec = n->spec;
        for (int i = 0; i < spec->key_count; i++) check_column(input, spec->keys[i], 0);
        check_column(input, spec->window_end, -1);
    }
    if (n->type == &aggregate_operator) check_aggregate(n->spec, input);
    if (n->type == &session_operator) check_session(n->spec, input);
    if (n->type == &reference_join_operator) {
        const ReferenceJoinSpec *spec = n->spec;
        assert_int_equal(n->schema.count,
                         input->count + plan->references[spec->reference].schema.count);
        for (int i = 0; i < spec->key_count; i++) check_column(input, spec->keys[i], 0);
        if (spec->residual) check_expr(&n->schema, spec->residual);
    }
    if (n->type == &window_join_operator)
        check_window_join(n->spec, n, input, &plan->nodes[n->inputs[1]].schema);
}

static void check_types(const Schema *a, const Schema *b) {
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++)
        assert_int_equal(a->fields[i].type.kind, b->fields[i].type.kind);
}

/* Inputs come before readers, and rows for views, sinks and unions are exactly so. */
static void check_nodes(const Plan *plan) {
    for (int i = 0; i < plan->node_count; i++) {
        const PlanNode *n = &plan->nodes[i];
        for (int k = 0; k < n->input_count; k++) assert_in_range(n->inputs[k], 0, i - 1);
        bool exact = n->kind == NODE_VIEW || n->kind == NODE_SINK || n->type == &union_operator;
        for (int k = 0; exact && k < n->input_count; k++)
            check_types(&plan->nodes[n->inputs[k]].schema, &n->schema);
        if (n->kind == NODE_OPERATOR) check_spec(plan, n);
    }
    for (int i = 0; i < plan->source_count; i++)
        for (int c = 0; c < plan->sources[i].decode.column_count; c++)
            if (plan->sources[i].decode.columns[c].expr)
                check_expr(&(Schema){c, plan->nodes[plan->sources[i].node].schema.fields},
                           plan->sources[i].decode.columns[c].expr);
}

typedef struct Good {
    const char *sql, *plan;
    const char *words; /* in the explanation; NULL: not looked at */
} Good;

static const Good good[] = {
    {"CREATE MATERIALIZED VIEW m AS SELECT k, v FROM t;",
     "m: view(project(t)) bounded replayable\n",
     "reads: k text, v integer, at timestamp with time zone not null\n"},
    {"CREATE MATERIALIZED VIEW m AS SELECT * FROM t;", "m: view(t) bounded replayable\n", NULL},
    {"CREATE MATERIALIZED VIEW m AS SELECT v + 1 AS w FROM u WHERE k = 'a';",
     "m: view(project(filter(u))) replayable\n", "keep rows where (k = 'a')"},
    {"INSERT INTO o SELECT k, v FROM t WHERE x > 1;",
     "o: sink(project(filter(t))) bounded replayable\n", "delivered by length"},
    {"INSERT INTO nn SELECT k, v FROM t;", "nn: sink(project(t)) bounded replayable\n",
     "NULL in k makes a dead letter"},
    {"INSERT INTO o (n) SELECT v FROM t;", "o: sink(project(t)) bounded replayable\n",
     "compute NULL::text AS k, "},
    {"INSERT INTO o SELECT k, v FROM t; INSERT INTO o SELECT 'x', 1 FROM t;",
     "o: sink(project(t)) bounded replayable\no 2: sink(project(t)) bounded replayable\n", NULL},
    {"CREATE VIEW w AS SELECT k, v * 2 AS w, at FROM t WHERE v > 0; CREATE MATERIALIZED VIEW m AS "
     "SELECT k FROM w;",
     "m: view(project(filter(t))) bounded replayable\n", NULL},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start, count(*) AS n FROM tumble(t, at, INTERVAL "
     "'10 seconds') GROUP BY window_start;",
     "m: view(project(aggregate(window(t)))) bounded windowed\n",
     "tumbling windows of 10 seconds by event time"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, window_start, window_end, sum(v) AS s FROM hop(t, "
     "at, INTERVAL '5 seconds', INTERVAL '10 seconds') GROUP BY k, window_start, window_end;",
     "m: view(aggregate(window(t))) bounded windowed\n",
     "hopping windows of 10 seconds every 5 seconds"},
    {"CREATE MATERIALIZED VIEW m WITH (emit = 'final') AS SELECT k, window_end, avg(d.a.b) AS s "
     "FROM hop(t, at, size => INTERVAL '10 seconds', slide => INTERVAL '5 seconds') GROUP BY k, "
     "window_end;",
     "m: view(project(aggregate(window(t)))) bounded windowed\n",
     "reads: k text, at timestamp with time zone not null, d.a.b double precision\n"},
    {"CREATE MATERIALIZED VIEW m AS SELECT coalesce(k, '-') AS c, window_start, sum(v + 1) AS s "
     "FROM tumble(t, at, INTERVAL '1 minute') GROUP BY coalesce(k, '-'), window_start HAVING "
     "count(*) > 1;",
     "m: view(project(filter(aggregate(project(window(t)))))) bounded windowed\n", NULL},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, count(*) AS n FROM t GROUP BY k;",
     "m: view(aggregate(t)) bounded grouped\n",
     "each group comes once, when the sources have ended; the view also shows it as it grows"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, count(*) AS n FROM u GROUP BY 1;",
     "m: view(aggregate(u)) grouped\n", "grows with the number of distinct (k)"},
    {"CREATE MATERIALIZED VIEW m AS SELECT upper(k) AS up, count(*) FROM t GROUP BY up;",
     "m: view(aggregate(project(t))) bounded grouped\n", NULL},
    {"CREATE MATERIALIZED VIEW m AS SELECT count(*) AS n FROM t;",
     "m: view(aggregate(t)) bounded grouped\n", "state: one row"},
    {"CREATE VIEW c AS SELECT DISTINCT ON (k) * FROM t; CREATE MATERIALIZED VIEW m AS SELECT v "
     "FROM c; INSERT INTO o SELECT k, v FROM c;",
     "c: dedup(t) bounded\nm: view(project(c)) bounded\no: sink(project(c)) bounded\n",
     "the keys of the last 10 minutes of event time"},
    {"CREATE VIEW c WITH (horizon = '1 minute') AS SELECT DISTINCT ON (k) * FROM t; CREATE "
     "MATERIALIZED VIEW m AS SELECT window_start, sum(v) AS s FROM tumble(c, at, INTERVAL '10 "
     "seconds') GROUP BY 1;",
     "c: dedup(t) bounded\nm: view(project(aggregate(window(c)))) bounded windowed\n",
     "the keys of the last 1 minute of event time"},
    {"CREATE VIEW c AS SELECT DISTINCT ON (k, window_start) * FROM tumble(t, at, INTERVAL '10 "
     "seconds'); CREATE MATERIALIZED VIEW m AS SELECT k FROM c;",
     "c: dedup(window(t)) bounded\nm: view(project(c)) bounded\n", "the keys of open windows"},
    {"CREATE MATERIALIZED VIEW m AS SELECT t.k, r.site FROM t LEFT JOIN ref r ON r.k = t.k;",
     "m: view(project(reference join(t))) bounded\n",
     "LEFT JOIN reference table ref ON (k) = (k)\n"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, site, v FROM t JOIN ref USING (k);",
     "m: view(project(reference join(t))) bounded\n", NULL},
    {"CREATE MATERIALIZED VIEW m AS SELECT t.v, r.site FROM t JOIN ref r ON upper(t.k) = r.k AND "
     "t.v > r.n;",
     "m: view(project(reference join(project(t)))) bounded\n", NULL},
    {"CREATE VIEW e AS SELECT t.*, r.site FROM t LEFT JOIN ref r ON r.k = t.k; CREATE MATERIALIZED "
     "VIEW m AS SELECT coalesce(site, '?') AS site, window_start, count(*) AS n FROM tumble(e, at, "
     "INTERVAL '1 minute') GROUP BY coalesce(site, '?'), window_start;",
     "m: view(project(aggregate(project(window(reference join(t)))))) bounded windowed\n", NULL},
    {"INSERT INTO pk SELECT k, n * 2 FROM totals WHERE n > 10;",
     "totals: aggregate(u) grouped\npk: sink(project(filter(totals))) grouped\n", NULL},
    {"INSERT INTO pk SELECT k, n FROM totals WHERE n > 10;", NULL,
     "those that no longer do are deleted, others not told"},
    {"CREATE TABLE now (k text PRIMARY KEY, n bigint) WITH (connector = 'kafka', topic = 'now', "
     "\"bootstrap.servers\" = 'h:1', delivery = 'at_least_once'); INSERT INTO now SELECT k, n FROM "
     "totals WHERE n > 10;",
     NULL, "others too, since a sink that is written at once"},
    {"CREATE VIEW a WITH (state_ttl = '1 hour') AS SELECT k, count(*) AS n FROM u GROUP BY k; "
     "INSERT INTO pk SELECT k, n FROM a;",
     "a: aggregate(u) grouped\npk: sink(project(a)) grouped\n",
     "state: the groups of the last 1 hour of event time and the watermark delay"},
    {"CREATE MATERIALIZED VIEW m WITH (state_ttl = '1 day') AS SELECT k, sum(n) AS n FROM (SELECT "
     "k, window_end, count(*) AS n FROM hop(t, at, INTERVAL '5 seconds', INTERVAL '1 minute') "
     "GROUP "
     "BY 1, 2) q GROUP BY k;",
     NULL, "rows are deleted with their groups"},
    {"INSERT INTO pk SELECT q.k, q.n FROM (SELECT k::varchar AS k, n FROM totals) q;", NULL, NULL},
    {"INSERT INTO pk SELECT 'all', count(*) FROM u;", NULL, NULL},
    {ENDED
     "CREATE MATERIALIZED VIEW m AS SELECT k, n FROM ended WHERE n > 1; CREATE MATERIALIZED VIEW "
     "m2 AS SELECT k, n FROM m UNION ALL SELECT k, n FROM totals;",
     NULL, NULL},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, v FROM t UNION ALL SELECT k, v FROM plain UNION ALL "
     "SELECT 'c', v * 2 FROM t;",
     "m: view(union(project(t), plain, project(t))) bounded replayable\n", NULL},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, count(*) AS n FROM (SELECT k FROM t UNION ALL SELECT "
     "k FROM plain) q GROUP BY k;",
     "m: view(aggregate(union(project(t), plain))) bounded grouped\n", NULL},
    {"CREATE MATERIALIZED VIEW a AS SELECT k, window_start, window_end, count(*) AS n FROM "
     "tumble(t, at, INTERVAL '10 seconds') GROUP BY k, window_start, window_end; CREATE "
     "MATERIALIZED VIEW m AS SELECT window_start, max(n) AS most FROM a GROUP BY window_start;",
     "a: view(aggregate(window(t))) bounded windowed\nm: view(project(aggregate(a))) bounded "
     "windowed\n",
     NULL},
    {"CREATE VIEW a AS SELECT k, window_start, count(*) AS n FROM tumble(t, at, INTERVAL '10 "
     "seconds') GROUP BY k, window_start; CREATE MATERIALIZED VIEW m AS SELECT window_start, "
     "max(n) AS most FROM a GROUP BY window_start;",
     NULL, "a time after which no window of its window_start can come"},
    {"CREATE VIEW a AS SELECT k, window_end AS closed, count(*) AS n FROM tumble(t, at, INTERVAL "
     "'10 seconds') GROUP BY k, window_end; CREATE MATERIALIZED VIEW m AS SELECT window_end, "
     "max(n) AS most FROM tumble(a, closed, INTERVAL '1 minute') GROUP BY window_end;",
     NULL, "tumbling windows of 1 minute by window_end"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start, count(*) AS n FROM cumulate(t, at, "
     "INTERVAL '10 seconds', size => INTERVAL '1 minute') GROUP BY 1;",
     "m: view(project(aggregate(window(t)))) bounded windowed\n",
     "windows that begin every 1 minute and end after each 10 seconds of it, by event time"},
    {"CREATE VIEW a AS SELECT window_start, window_end, count(*) AS n FROM cumulate(t, at, "
     "INTERVAL '10 seconds', INTERVAL '1 minute') GROUP BY 1, 2; CREATE MATERIALIZED VIEW m AS "
     "SELECT window_start, max(n) AS most FROM a GROUP BY 1;",
     NULL, "a time after which no window of its window_start can come"},
    {"CREATE MATERIALIZED VIEW m AS SELECT at FROM t UNION ALL SELECT window_start FROM tumble(t, "
     "at, "
     "INTERVAL '1 minute');",
     "m: view(union(t, project(window(t)))) bounded replayable\n", NULL},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, window_start, count(*) AS n FROM session(t, at, "
     "INTERVAL '10 seconds', partition_by => k) WHERE v > 1 GROUP BY k, window_start;",
     "m: view(project(session(project(t)))) bounded windowed\n",
     "sessions, gap 10 seconds, for each k"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, v, window_start, window_end, count(*) AS n FROM "
     "session(t, at, INTERVAL '10 seconds', partition_by => (k, v)) GROUP BY k, v, window_start, "
     "window_end;",
     "m: view(session(t)) bounded windowed\n", NULL},
    {"CREATE VIEW a AS SELECT k, window_start, sum(v) AS s FROM tumble(t, at, INTERVAL '10 "
     "seconds') GROUP BY k, window_start; CREATE VIEW b AS SELECT k, window_start, count(*) AS n "
     "FROM tumble(u, at, INTERVAL '10 seconds') GROUP BY k, window_start;"
     "CREATE MATERIALIZED VIEW m AS SELECT a.k, a.window_start, a.s, b.n FROM a LEFT JOIN b ON "
     "a.window_start = b.window_start AND a.k = b.k;",
     "a: aggregate(window(t)) bounded windowed\nb: aggregate(window(u)) windowed\nm: "
     "view(project(window join(project(a), project(b)))) windowed\n",
     "LEFT JOIN of windows, equal window_start, k"},
    {"CREATE MATERIALIZED VIEW a AS SELECT k, window_start, window_end, count(*) AS n FROM "
     "session(t, at, INTERVAL '1 minute', partition_by => k) GROUP BY 1, 2, 3; CREATE MATERIALIZED "
     "VIEW m AS SELECT window_start, sum(n) AS n FROM a GROUP BY window_start;",
     "a: view(session(t)) bounded windowed\nm: view(aggregate(a)) bounded windowed\n",
     "no window of its window_start can come"},
    {"CREATE VIEW e AS SELECT * FROM t WHERE d.kind = 'x'; CREATE VIEW f AS SELECT k, d, at FROM "
     "e; CREATE MATERIALIZED VIEW m AS SELECT window_start, avg(f.d.n.m) AS a FROM tumble(f, at, "
     "INTERVAL '1 minute') AS f GROUP BY 1;",
     NULL, "reads: at timestamp with time zone not null, d.kind text, d.n.m double precision\n"},
    {"CREATE MATERIALIZED VIEW m AS WITH q AS (SELECT k, v FROM t), r AS (SELECT k FROM q WHERE v "
     "> 1) SELECT * FROM r;",
     "m: view(project(filter(t))) bounded replayable\n", NULL},
    {"CREATE MATERIALIZED VIEW m AS SELECT d ->> 'a' AS a, d.b.c = 'x' AS b FROM t;", NULL,
     "d.a text, d.b.c text"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, now() AS seen FROM t;",
     "m: view(project(t)) bounded\n", NULL},
};

static void test_good(void **state) {
    (void)state;
    bool failed = false;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        char sql[8192];
        snprintf(sql, sizeof sql, TABLES "%s", good[i].sql);
        Catalog *catalog = NULL;
        Plan *plan = planned(sql, &catalog);
        check_nodes(plan);
        Buffer text = {0}, words = {0};
        dump(plan, &text);
        plan_explain(plan, &words);
        buffer_add_char(&text, '\0');
        buffer_add_char(&words, '\0');
        bool same = (!good[i].plan || strcmp(text.data, good[i].plan) == 0) &&
                    (!good[i].words || strstr(words.data, good[i].words));
        if (!same)
            print_message("%s\n%s%s\nwanted\n%s%s\n", good[i].sql, text.data,
                          good[i].words ? words.data : "", good[i].plan ? good[i].plan : "",
                          good[i].words ? good[i].words : "");
        failed |= !same;
        buffer_free(&text);
        buffer_free(&words);
        plan_free(&plan);
        catalog_free(&catalog);
    }
    assert_false(failed);
}

typedef struct Bad {
    const char *sql, *text; /* part of the message */
} Bad;

static const Bad bad[] = {
    {"CREATE MATERIALIZED VIEW m AS SELECT 1;", "SELECT without FROM"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM tt;",
     "there is no table or view 'tt'; did you mean 't'?"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM m;", "view m reads itself"},
    {"CREATE VIEW a AS SELECT k FROM b; CREATE VIEW b AS SELECT k FROM a; INSERT INTO o SELECT k, "
     "1 FROM a;",
     "reads itself"},
    {"CREATE MATERIALIZED VIEW m AS SELECT t.k FROM t, plain;", "a list of tables in FROM"},
    {"CREATE MATERIALIZED VIEW m AS SELECT DISTINCT k FROM t;",
     "write SELECT DISTINCT ON (columns)"},
    {"CREATE MATERIALIZED VIEW m AS SELECT DISTINCT ON (k) k FROM t ORDER BY k;", "ORDER BY"},
    {"CREATE MATERIALIZED VIEW m AS SELECT DISTINCT ON (k) k FROM plain;",
     "would keep every key for ever"},
    {"CREATE MATERIALIZED VIEW m AS SELECT DISTINCT ON (k) k, count(*) FROM t GROUP BY k;",
     "DISTINCT ON and GROUP BY"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM t ORDER BY k;", "ORDER BY is not supported"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM t LIMIT 1;", "LIMIT is not supported"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM t UNION SELECT k FROM plain;", "UNION ALL"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM t UNION ALL SELECT k, v FROM plain;",
     "same number of columns"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM t UNION ALL SELECT v FROM plain;",
     "UNION types text and bigint cannot be matched"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, v FROM t GROUP BY k;",
     "must appear in the GROUP BY clause"},
    {"CREATE MATERIALIZED VIEW m AS SELECT * FROM t GROUP BY k;",
     "must appear in the GROUP BY clause"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM t GROUP BY 2;",
     "GROUP BY position 2 is not in the SELECT list"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM t GROUP BY ROLLUP (k);", "GROUPING SETS"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, k FROM t;", "is there more than once"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, v AS \"K\" FROM t;", "differ in case alone"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM tumble(t, v, INTERVAL '1 minute') "
     "GROUP BY 1;",
     "column at, passed on unchanged"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM tumble((SELECT at + INTERVAL '1 "
     "second' AS at FROM t), at, INTERVAL '1 minute') GROUP BY 1;",
     "which is column at of t; select it inside, unchanged"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM tumble(plain, k, INTERVAL '1 minute') "
     "GROUP BY 1;",
     "say event_time = 'column'"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM tumble(t, at) GROUP BY 1;",
     "argument 'size' of tumble is missing"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM tumble(t, at, sise => INTERVAL '1 "
     "minute') GROUP BY 1;",
     "did you mean 'size'?"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM tumble(t, at, INTERVAL '4000000 "
     "days') "
     "GROUP BY 1;",
     "size is longer than 10000 years"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM session(t, at, INTERVAL '4000000 "
     "days') "
     "GROUP BY 1;",
     "gap is longer than 10000 years"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM tumble((SELECT at FROM t UNION ALL "
     "SELECT "
     "now() FROM plain), at, INTERVAL '1 minute') GROUP BY 1;",
     "tumble goes by the event time, which rows of plain do not have"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM tumble(t => t, at, INTERVAL '1 "
     "minute') "
     "GROUP BY 1;",
     "an argument without a name cannot stand behind 't'; name it, too"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM cumulate(t, at, step => INTERVAL '1 "
     "minute', INTERVAL '1 hour') GROUP BY 1;",
     "an argument without a name cannot stand behind 'step'; name it, too: cumulate(t, time, step"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM session(t, at, gap => INTERVAL '1 minute', k) "
     "GROUP BY k, window_start;",
     "cannot stand behind 'gap'"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM cumulate(t, at, INTERVAL '7 minutes', "
     "INTERVAL '1 hour') GROUP BY 1;",
     "size must be a multiple of step"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM cumulate(t, at, INTERVAL '1 hour', "
     "INTERVAL '1 minute') GROUP BY 1;",
     "size must be a multiple of step"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM cumulate(t, at, INTERVAL '1 "
     "millisecond', INTERVAL '1 hour') GROUP BY 1;",
     "more than 100000 windows; make step greater"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM cumulate(t, at, INTERVAL '1 minute', "
     "slide => INTERVAL '1 hour') GROUP BY 1;",
     "cumulate has no argument 'slide'"},
    {"CREATE MATERIALIZED VIEW m AS SELECT DISTINCT ON (k, window_start) k FROM cumulate(t, at, "
     "INTERVAL '1 minute', INTERVAL '1 hour');",
     "needs window_end in its list too"},
    {"CREATE MATERIALIZED VIEW m AS SELECT * FROM generate_series(1, 3);",
     "FROM takes the windows"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM hop(t, at, INTERVAL '1 hour', "
     "INTERVAL '1 minute') GROUP BY 1;",
     "slide is greater than size"},
    {"CREATE MATERIALIZED VIEW m AS SELECT * FROM session(t, at, INTERVAL '1 minute');",
     "must be followed by its GROUP BY"},
    {"CREATE MATERIALIZED VIEW m AS SELECT v, window_start FROM session(t, at, INTERVAL '1 "
     "minute', partition_by => k) GROUP BY v, window_start;",
     "add k to it"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM session(t, at, INTERVAL '1 minute', partition_by "
     "=> k) GROUP BY k;",
     "must name window_start or window_end"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k, window_start FROM session(t, at, INTERVAL '1 "
     "minute', partition_by => k) WHERE window_start > now() GROUP BY k, window_start;",
     "is not known before it is over"},
    {"CREATE MATERIALIZED VIEW m AS SELECT t.k FROM t JOIN plain ON t.k = plain.k;",
     "a join of two streams comes with a later version"},
    {"CREATE MATERIALIZED VIEW m AS SELECT t.k FROM t JOIN ref ON t.k = ref.site;",
     "must equal every column of its PRIMARY KEY (k)"},
    {"CREATE MATERIALIZED VIEW m AS SELECT t.k FROM t RIGHT JOIN ref ON t.k = ref.k;",
     "RIGHT JOIN"},
    {"CREATE MATERIALIZED VIEW m AS SELECT t.k FROM t FULL JOIN ref ON t.k = ref.k;", "FULL JOIN"},
    {"CREATE MATERIALIZED VIEW m AS SELECT t.k FROM t CROSS JOIN ref;", "CROSS JOIN"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM t NATURAL JOIN ref;", "NATURAL JOIN"},
    {"CREATE MATERIALIZED VIEW m AS SELECT ref.k FROM ref JOIN plain ON plain.k = ref.k;",
     "the reference table stands right"},
    {"INSERT INTO o SELECT k, v, x FROM t;", "INSERT has more expressions than target columns"},
    {"INSERT INTO nn SELECT NULL, v FROM t;", "column \"k\" of nn is NOT NULL but gets NULL"},
    {ENDED "INSERT INTO o SELECT k, n FROM ended;", "give table o a PRIMARY KEY"},
    {"INSERT INTO o SELECT k, n FROM totals;",
     "view totals is a GROUP BY without a window, whose rows change; give table o a PRIMARY KEY"},
    {"INSERT INTO pk SELECT upper(k), n FROM totals;", "groups are told apart by k too"},
    {ENDED "INSERT INTO pk SELECT k, n FROM ended;", "groups are told apart by v too"},
    {"INSERT INTO pk SELECT n, 1 FROM totals;", "its value changes with the group"},
    {"INSERT INTO pk SELECT k || n, 1 FROM totals;", "its value changes with the group"},
    {"INSERT INTO pk SELECT k::varchar(3), n FROM totals;", "groups are told apart by k too"},
    {"INSERT INTO pk SELECT v % 2, count(*) FROM u GROUP BY v % 2, k;",
     "groups are told apart by k too"},
    {"INSERT INTO pk SELECT k, n FROM totals UNION ALL SELECT k, n FROM totals;",
     "write an INSERT for each branch"},
    {ENDED
     "INSERT INTO pk SELECT k, n FROM (SELECT k, n FROM ended UNION ALL SELECT k, n FROM ended) q;",
     "write an INSERT for each branch"},
    {"CREATE MATERIALIZED VIEW m AS SELECT n, count(*) AS c FROM totals GROUP BY n;",
     "not into a GROUP BY; group by a window in totals"},
    {ENDED
     "CREATE MATERIALIZED VIEW m AS SELECT count(*) AS c FROM (SELECT * FROM ended WHERE n > 1) q;",
     "view ended is a GROUP BY without a window, whose rows change"},
    {"CREATE MATERIALIZED VIEW m AS SELECT DISTINCT ON (n) n FROM totals;", "not into DISTINCT ON"},
    {ENDED "CREATE MATERIALIZED VIEW m AS SELECT q.k FROM ended q JOIN ref ON ref.k = q.k;",
     "not into a join"},
    {ENDED
     "CREATE MATERIALIZED VIEW m AS SELECT a.k FROM (SELECT k, window_start FROM tumble(t, at, "
     "INTERVAL '1 hour') GROUP BY 1, 2) a JOIN ended ON a.k = ended.k;",
     "not into a join"},
    {"CREATE MATERIALIZED VIEW m AS SELECT window_start FROM tumble(totals, k, INTERVAL '1 "
     "minute') "
     "GROUP BY 1;",
     "not into a window"},
    {"INSERT INTO o (k, n) SELECT k FROM t;", "INSERT has more target columns than expressions"},
    {"INSERT INTO o (k, m) SELECT k, v FROM t;", "column \"m\" of table o does not exist"},
    {"INSERT INTO o SELECT k, at FROM t;",
     "column \"n\" of o is of type bigint but the expression is of type timestamp with time zone"},
    {"INSERT INTO t (k) SELECT k FROM t;", "table t is both read and written"},
    {"INSERT INTO nowhere SELECT k FROM t;", "there is no table 'nowhere'"},
    {"INSERT INTO o SELECT k, count(*) FROM u GROUP BY k;", "a PRIMARY KEY"},
    {"CREATE MATERIALIZED VIEW m AS SELECT max(n) FROM (SELECT k, count(*) AS n FROM u GROUP BY k) "
     "q;",
     "its rows change"},
    {"CREATE MATERIALIZED VIEW m WITH (emit = 'final') AS SELECT k, count(*) AS n FROM u GROUP BY "
     "k;",
     "has no final rows"},
    {"CREATE MATERIALIZED VIEW m WITH (horizon = '1 minute') AS SELECT k FROM t;",
     "option horizon of view m would do nothing"},
    {"CREATE MATERIALIZED VIEW m WITH (state_ttl = '1 minute') AS SELECT k, count(*) AS n FROM "
     "plain "
     "GROUP BY k;",
     "state_ttl of view m goes by event time, which its rows do not have; say event_time"},
    {"CREATE VIEW m WITH (state_ttl = '1 minute') AS SELECT k, count(*) AS n FROM (SELECT k, v "
     "FROM "
     "t UNION ALL SELECT k, v FROM plain) q GROUP BY k; INSERT INTO pk SELECT k, n FROM m;",
     "say event_time"},
    {"CREATE MATERIALIZED VIEW m WITH (state_ttl = '1 minute') AS SELECT count(*) AS n FROM t;",
     "there is one row, which stays"},
    {"CREATE MATERIALIZED VIEW m WITH (state_ttl = '1 minute') AS SELECT k FROM t;",
     "there is no GROUP BY without a window in it"},
    {"CREATE MATERIALIZED VIEW m WITH (state_ttl = '1 minute') AS SELECT k, sum(n) AS n FROM "
     "(SELECT k, window_start, count(*) AS n FROM session(t, at, INTERVAL '1 minute', partition_by "
     "=> k) GROUP BY 1, 2) q GROUP BY k;",
     "which come in no order of time"},
    {"CREATE MATERIALIZED VIEW m WITH (state_ttl = '1 month') AS SELECT k, count(*) AS n FROM t "
     "GROUP BY k;",
     "state_ttl expects an interval greater than zero without months"},
    {"CREATE MATERIALIZED VIEW m AS WITH RECURSIVE q AS (SELECT k FROM t) SELECT * FROM q;",
     "WITH RECURSIVE"},
    {"CREATE MATERIALIZED VIEW m AS WITH q AS (SELECT k FROM t), Q AS (SELECT v AS k FROM t) "
     "SELECT k "
     "FROM q;",
     "WITH query name \"Q\" specified more than once"},
    {"CREATE RECURSIVE VIEW q (k) AS SELECT k FROM t;", "RECURSIVE is not supported"},
    {"CREATE MATERIALIZED VIEW m AS SELECT nope FROM t;", "nope"},
    {"CREATE MATERIALIZED VIEW m AS SELECT k FROM t WHERE v;",
     "argument of WHERE must be type boolean"},
};

static void test_bad(void **state) {
    (void)state;
    bool failed = false;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char sql[8192];
        snprintf(sql, sizeof sql, TABLES "%s", bad[i].sql);
        Catalog *catalog = NULL;
        Plan *plan = NULL;
        Error error = {0};
        Status status = plan_text(sql, &catalog, &plan, &error);
        if (status == OK || !strstr(error.text, bad[i].text) || error.line != TABLE_LINES + 1 ||
            error.column < 1) {
            print_message("%s\n%s at %d:%d: %s\nwanted %s\n", bad[i].sql,
                          status == OK ? "planned" : "failed", error.line, error.column, error.text,
                          bad[i].text);
            failed = true;
        }
        plan_free(&plan);
        if (catalog) catalog_free(&catalog);
    }
    assert_false(failed);
}

/* One way a sink: `w` of sinks a, b, c … in the order of the INSERTs. */
static void test_ways(void **state) {
    (void)state;
#define TOPIC(name, columns, servers)                                                              \
    "CREATE TABLE " name " (" columns ") WITH (connector = 'kafka', topic = '" name                \
    "', \"bootstrap.servers\" = '" servers "'"
    static const char sql[] =
        TOPIC("u", "k text, v int, at timestamptz", "h:1") ", event_time = 'at');" TOPIC("far", "k text, v int", "h:2") ");" TOPIC("plain", "k text, n bigint", "h:1") ");" TOPIC(
            "other", "k text, n bigint",
            "h:2") ");" TOPIC("keyed", "k text PRIMARY KEY, n bigint",
                              "h:1") ");" TOPIC("grouped", "k text, n bigint",
                                                "h:1") ");" TOPIC("twofold", "k text, n bigint",
                                                                  "h:1") ");" TOPIC("mixed",
                                                                                    "k text, n "
                                                                                    "bigint",
                                                                                    "h:1") ")"
                                                                                           ";" TOPIC(
                                                                                               "loo"
                                                                                               "se",
                                                                                               "k "
                                                                                               "tex"
                                                                                               "t, "
                                                                                               "n "
                                                                                               "big"
                                                                                               "in"
                                                                                               "t",
                                                                                               "h:"
                                                                                               "1") ", "
                                                                                                    "deliver"
                                                                                                    "y = "
                                                                                                    "'at_"
                                                                                                    "least_"
                                                                                                    "once')"
                                                                                                    ";" TOPIC(
                                                                                                        "timed",
                                                                                                        "k text, n timestamptz",
                                                                                                        "h:1") ");"
                                                                                                               "INSERT INTO plain SELECT k, v FROM u WHERE v > 1;"
                                                                                                               "INSERT INTO other SELECT k, v FROM u;"
                                                                                                               "INSERT INTO keyed SELECT k, v FROM u;"
                                                                                                               "INSERT INTO grouped SELECT k, count(*) FROM tumble(u, at, INTERVAL '1 minute') "
                                                                                                               "GROUP BY k, window_start;"
                                                                                                               "INSERT INTO twofold SELECT k, v FROM u; INSERT INTO twofold SELECT k, v + 1 FROM u;"
                                                                                                               "INSERT INTO mixed SELECT k, v FROM u; INSERT INTO mixed SELECT k, v FROM far;"
                                                                                                               "INSERT INTO loose SELECT k, v FROM u;"
                                                                                                               "INSERT INTO timed SELECT k, now() FROM u;";
#undef TOPIC
    static const SinkWay ways[] = {SINK_BY_POSITION, SINK_BY_OUTBOX,   SINK_BY_OUTBOX,
                                   SINK_BY_OUTBOX,   SINK_BY_POSITION, SINK_BY_OUTBOX,
                                   SINK_AT_ONCE,     SINK_BY_OUTBOX};
    Catalog *catalog = NULL;
    Plan *plan = planned(sql, &catalog);
    assert_int_equal(plan->sink_count, 8);
    for (int i = 0; i < 8; i++)
        if (plan->sinks[i].way != ways[i]) fail_msg("%s", plan->sinks[i].table->name);
    plan_free(&plan);
    catalog_free(&catalog);
}

static void test_keys(void **state) {
    (void)state;
    Catalog *catalog = NULL;
    Plan *plan = planned(
        "CREATE TABLE u (k text, v int, at timestamptz) WITH (connector = 'generator', event_time "
        "= 'at');"
        "CREATE TABLE s (\"Dev Id\" text, n bigint) WITH (connector = 'kafka', "
        "\"bootstrap.servers\" = 'h:1', topic = 's', key = '\"Dev Id\", N');"
        "CREATE TABLE p (k text PRIMARY KEY, n bigint) WITH (connector = 'kafka', "
        "\"bootstrap.servers\" = 'h:1', topic = 'p');"
        "INSERT INTO s SELECT k, v FROM u; INSERT INTO p SELECT k, count(*) FROM u GROUP BY k;",
        &catalog);
    assert_int_equal(plan->sink_count, 2);
    assert_int_equal(plan->sinks[0].key_count, 2);
    assert_int_equal(plan->sinks[0].keys[1], 1);
    assert_int_equal(plan->sinks[0].way, SINK_BY_OUTBOX);
    assert_true(plan->sinks[0].exactly_once);
    assert_int_equal(plan->sinks[1].key_count, 1);
    assert_true(plan->queries[1].grouped);
    plan_free(&plan);
    catalog_free(&catalog);
}

/* Which views say that they show groups as they grow. */
static void test_growing(void **state) {
    (void)state;
    Catalog *catalog = NULL;
    Plan *plan = planned(
        TABLES
        "CREATE MATERIALIZED VIEW few AS SELECT k FROM t; "
        "CREATE MATERIALIZED VIEW steps AS SELECT window_end, count(*) AS n FROM tumble(t, at, "
        "INTERVAL '1 hour') GROUP BY 1; "
        "CREATE MATERIALIZED VIEW per_k AS SELECT k, count(*) AS n FROM u GROUP BY 1; "
        "CREATE MATERIALIZED VIEW finals WITH (emit = 'final') AS SELECT window_end, count(*) AS n "
        "FROM tumble(t, at, INTERVAL '1 hour') GROUP BY 1; "
        "CREATE MATERIALIZED VIEW sessions AS SELECT window_end, count(*) AS n FROM session(t, at, "
        "INTERVAL '1 hour') GROUP BY 1; "
        "CREATE MATERIALIZED VIEW outer_step AS SELECT window_end, max(n) AS n FROM steps GROUP "
        "BY "
        "1; "
        "CREATE MATERIALIZED VIEW pairs AS SELECT a.n FROM steps a JOIN sessions b ON "
        "a.window_end "
        "= b.window_end;",
        &catalog);
    assert_int_equal(plan->view_count, 7);
    for (int i = 0; i < 7; i++) assert_int_equal(plan->views[i].emit_final, i >= 3);
    plan_free(&plan);
    catalog_free(&catalog);
}

static void test_adhoc(void **state) {
    (void)state;
    Field fields[] = {{"type", {TYPE_TEXT, -1}, false},
                      {"value", {TYPE_FLOAT8, -1}, false},
                      {"at", {TYPE_TEXT, -1}, false}};
    Schema schema = {3, fields};
    OptionValue path = {.name = "path", .text = "x.ndjson", .given = true};
    Options options = {1, &path};
    Catalog *catalog = NULL;
    Plan *plan = NULL;
    Error error;
    Status status = catalog_adhoc(STR("SELECT type, count(*) FROM input GROUP BY type ORDER BY "
                                      "max(value) DESC, 1 LIMIT 3 OFFSET 1"),
                                  &schema, &options, &catalog, &error);
    if (status == OK) status = plan_new(catalog, &plan, &error);
    if (status != OK) fail_msg("%s", error.text);
    assert_int_equal(plan->visible, 2);
    assert_int_equal(plan->order_count, 2);
    assert_int_equal(plan->order[0].column, 2);
    assert_true(plan->order[0].descending && plan->order[0].nulls_first);
    assert_int_equal(plan->order[1].column, 0);
    assert_int_equal(plan->limit, 3);
    assert_int_equal(plan->offset, 1);
    assert_int_equal(plan->sinks[0].schema.count, 3);
    plan_free(&plan);
    catalog_free(&catalog);
    status = catalog_adhoc(STR("SELECT window_start, count(*) FROM tumble(input, at::timestamptz, "
                               "INTERVAL '1 minute') GROUP BY 1 ORDER BY 1"),
                           &schema, &options, &catalog, &error);
    if (status == OK) status = plan_new(catalog, &plan, &error);
    if (status != OK) fail_msg("%s", error.text);
    plan_free(&plan);
    catalog_free(&catalog);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_good),    cmocka_unit_test(test_bad),

        cmocka_unit_test(test_ways),    cmocka_unit_test(test_keys),
        cmocka_unit_test(test_growing), cmocka_unit_test(test_adhoc),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
