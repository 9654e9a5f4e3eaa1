/* Hashes of plans: what changes a query's answer changes its hash, and nothing else does. */
#include "sql/plan.h"
#include <setjmp.h>
#include <stdio.h>
/* cmocka.h comes last: it defines fail(). */
#include <cmocka.h>

#define TABLES                                                                                     \
    "CREATE TABLE t (k text, v int, x double precision, d jsonb, at timestamptz) WITH (connector " \
    "= 'file', path = 't.ndjson', event_time = 'at', watermark_delay = '3 seconds');\n"            \
    "CREATE TABLE ref (k text PRIMARY KEY, site text, n int) WITH (connector = 'file', path = "    \
    "'r.csv', format = 'csv');\n"                                                                  \
    "CREATE TABLE o (k text, n bigint) WITH (connector = 'file', path = 'o.ndjson');\n"

/* What neighbours read does not change a query's hash; what it says itself does. */
static uint64_t hash_of(const char *queries, const char *name) {
    char sql[8192];
    snprintf(sql, sizeof sql, TABLES "%s", queries);
    Catalog *catalog = NULL;
    Plan *plan = NULL;
    Error error;
    Status status = catalog_parse("p.sql", str_from(sql), &catalog, &error);
    if (status == OK) status = plan_new(catalog, &plan, &error);
    if (status != OK) fail_msg("%s\n%d:%d: %s", sql, error.line, error.column, error.text);
    uint64_t hash = 0;
    for (int i = 0; i < plan->query_count; i++)
        if (strcmp(plan->queries[i].name, name) == 0) hash = plan->queries[i].hash;
    assert_true(hash != 0);
    plan_free(&plan);
    catalog_free(&catalog);
    return hash;
}

static void test_hash(void **state) {
    (void)state;
    const char *one =
        "CREATE VIEW c AS SELECT DISTINCT ON (k) * FROM t; CREATE MATERIALIZED VIEW m AS SELECT "
        "window_start, avg(d.a) AS a FROM tumble(c, at, INTERVAL '1 minute') GROUP BY 1;";
    char more[1024];
    snprintf(more, sizeof more,
             "CREATE MATERIALIZED VIEW first AS SELECT d.z::text AS z, x FROM t; %s INSERT INTO o "
             "SELECT k, v FROM c WHERE d.q > 1.0;",
             one);
    assert_true(hash_of(one, "m") == hash_of(more, "m"));
    assert_true(hash_of(one, "c") == hash_of(more, "c"));
    uint64_t plain = hash_of("CREATE MATERIALIZED VIEW m AS SELECT k FROM t WHERE v > 1;", "m");
    assert_true(plain ==
                hash_of("CREATE MATERIALIZED VIEW m AS SELECT k\nFROM t  WHERE v>1;", "m"));
    assert_true(plain !=
                hash_of("CREATE MATERIALIZED VIEW m AS SELECT k FROM t WHERE v > 2;", "m"));
    assert_true(plain !=
                hash_of("CREATE MATERIALIZED VIEW m AS SELECT k FROM t WHERE v >= 1;", "m"));
    const char *delays[] = {"", ", watermark_delay = '0'", ", watermark_delay = '60 seconds'",
                            ", watermark_delay = '1 minute'"};
    uint64_t hashes[4];
    for (int i = 0; i < 4; i++) {
        snprintf(more, sizeof more,
                 "CREATE TABLE s (a int, b text, at timestamptz) WITH (connector = 'file', path = "
                 "'s.ndjson', event_time = 'at'%s);"
                 "CREATE MATERIALIZED VIEW m AS SELECT a FROM s;",
                 delays[i]);
        hashes[i] = hash_of(more, "m");
    }
    assert_true(hashes[0] == hashes[1] && hashes[1] != hashes[2] && hashes[2] == hashes[3]);
    assert_true(plain !=
                hash_of("CREATE MATERIALIZED VIEW m AS SELECT k AS kk FROM t WHERE v > 1;", "m"));
}

/* A column more in a table is nothing to those who do not read it. */
static void test_hash_of_a_wider_table(void **state) {
    (void)state;
    static const char *const queries =
        "CREATE VIEW c AS SELECT DISTINCT ON (k) *, v + 1 AS w FROM n; CREATE VIEW plain2 AS "
        "SELECT "
        "* FROM c WHERE v > 1; CREATE VIEW joined AS SELECT n.*, ref.site FROM n JOIN ref ON ref.k "
        "= n.k; CREATE MATERIALIZED VIEW m AS SELECT k, w FROM plain2; CREATE MATERIALIZED VIEW j "
        "AS SELECT window_start, count(*) AS c FROM tumble(joined, at, INTERVAL '1 minute') WHERE "
        "k "
        "= site GROUP BY 1; CREATE MATERIALIZED VIEW g AS SELECT k, sum(v) AS s FROM (SELECT * "
        "FROM "
        "n) q GROUP BY k; CREATE MATERIALIZED VIEW whole AS SELECT * FROM n;";
    static const char *const tables[] = {"v int, k text", "extra int, v int, k text",
                                         "v bigint, k text", "v int, k varchar"};
    static const char *const names[] = {"c", "m", "j", "g", "whole"};
    uint64_t hashes[4][5];
    for (int t = 0; t < 4; t++)
        for (int n = 0; n < 5; n++) {
            char sql[4096];
            snprintf(sql, sizeof sql,
                     "CREATE TABLE n (at timestamptz, %s) WITH (connector = 'generator', "
                     "event_time = 'at'); %s",
                     tables[t], queries);
            hashes[t][n] = hash_of(sql, names[n]);
        }
    for (int n = 0; n < 4; n++) assert_true(hashes[0][n] == hashes[1][n]);
    assert_true(hashes[0][4] != hashes[1][4]);
    for (int n = 0; n < 5; n++)
        if (n != 2) assert_true(hashes[0][n] != hashes[2][n]); /* j does not read v */
    assert_true(hashes[0][2] == hashes[2][2]);
    for (int n = 0; n < 5; n++) assert_true(hashes[0][n] != hashes[3][n]);
    static const char *const sides[] = {"t.k", "ref.k"};
    uint64_t side[2];
    for (int i = 0; i < 2; i++) {
        char sql[512];
        snprintf(sql, sizeof sql,
                 "CREATE MATERIALIZED VIEW m AS SELECT %s FROM t LEFT JOIN ref ON ref.k = t.k;",
                 sides[i]);
        side[i] = hash_of(sql, "m");
    }
    assert_true(side[0] != side[1]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_hash),
        cmocka_unit_test(test_hash_of_a_wider_table),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
