/* Pipeline files as text: what the catalog keeps of them, how names are found, and for every
 * refusal its message and place. */
#include "sql/catalog.h"
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
/* cmocka.h comes last: it defines fail(). */
#include <cmocka.h>

static Catalog *read_ok(const char *sql) {
    Catalog *c = NULL;
    Error error;
    if (catalog_parse("dir/p.sql", str_from(sql), &c, &error) != OK)
        fail_msg("%s: %s", sql, error.text);
    return c;
}

/* ---- what is kept ---- */

static void test_demo(void **state) {
    (void)state;
    Catalog *c = read_ok("SET pipeline = 'demo'; SET checkpoint_interval = '500ms'; SET "
                         "memory_limit = '64 MB'; SET http = off;\n"
                         "CREATE TABLE telemetry (eventId text NOT NULL, value double precision, "
                         "createdAt timestamptz NOT NULL, n numeric(10,2))\n"
                         "WITH (connector = generator, rate = 10000, duplicates = 0.001, "
                         "event_time = 'createdat', watermark_delay = '3 seconds');\n"
                         "CREATE VIEW \"Clean\" (A, \"b c\") WITH (horizon = '1 minute') AS SELECT "
                         "DISTINCT ON (eventId) eventId, value FROM telemetry;\n"
                         "CREATE MATERIALIZED VIEW perDay WITH (emit = 'final', retention = '2 "
                         "days') AS SELECT 1 AS x FROM telemetry;\n"
                         "CREATE TABLE o (a text, b int, PRIMARY KEY (B, a)) WITH (connector = "
                         "'kafka', topic = 't', \"bootstrap.servers\" = 'h:1');\n"
                         "INSERT INTO O (B, \"a\") SELECT 1, 'x' FROM telemetry;\n");
    assert_string_equal(c->settings.pipeline, "demo");
    assert_string_equal(c->settings.home, "demo.leat");
    assert_string_equal(c->settings.http, "off");
    assert_int_equal(c->settings.checkpoint_interval_us, 500000);
    assert_int_equal(c->settings.memory_limit, 64 << 20);
    assert_int_equal(c->table_count, 2);
    const Table *t = &c->tables[0], *o = &c->tables[1];
    assert_string_equal(t->columns[0].name, "eventId");
    assert_true(t->columns[0].not_null);
    assert_int_equal(t->columns[3].type.kind, TYPE_NUMERIC);
    assert_int_equal(t->columns[3].type.modifier, 10 << 16 | 2);
    assert_int_equal(t->event_time, 2);
    assert_int_equal(t->watermark_delay_us, 3000000);
    assert_true(t->max_future_us == INT64_MAX);
    assert_true(option_number(&t->options, "rate", 0) == 10000);
    assert_int_equal(o->key_count, 2);
    assert_int_equal(o->keys[0], 1);
    assert_int_equal(o->columns[0].key, 2);
    assert_int_equal(o->max_future_us, 300 * INT64_C(1000000));
    assert_string_equal(option_text(&o->options, "bootstrap.servers", ""), "h:1");
    assert_int_equal(c->view_count, 2);
    assert_string_equal(c->views[0].name, "Clean");
    assert_true(c->views[0].quoted && c->views[0].horizon_given);
    assert_int_equal(c->views[0].horizon_us, 60000000);
    assert_int_equal(c->views[0].column_name_count, 2);
    assert_string_equal(c->views[0].column_names[0], "A");
    assert_string_equal(c->views[0].column_names[1], "b c");
    assert_string_equal(c->views[1].name, "perDay");
    assert_true(c->views[1].materialized && c->views[1].emit_final);
    assert_int_equal(c->views[1].retention_us, 2 * INT64_C(86400000000));
    assert_string_equal(c->inserts[0].table, "O");
    assert_string_equal(c->inserts[0].columns[0], "B");
    assert_true(c->inserts[0].columns_quoted[1] && !c->inserts[0].columns_quoted[0]);
    assert_int_equal(c->inserts[0].line, 7);
    catalog_free(&c);
    assert_null(c);
}

static void test_defaults(void **state) {
    (void)state;
    Catalog *c =
        read_ok("\xef\xbb\xbf-- a comment, behind a byte order mark\n\n/* and another */ ;;\n");
    assert_string_equal(c->settings.pipeline, "p");
    assert_string_equal(c->settings.home, "p.leat");
    assert_int_equal(c->settings.checkpoint_interval_us, 1000000);
    assert_null(c->settings.http);
    assert_int_equal(c->settings.keep_rejects, 100000);
    catalog_free(&c);
}

static void test_names(void **state) {
    (void)state;
    Catalog *c = read_ok(
        "CREATE TABLE Größe (a int) WITH (connector = 'file', path = 'x');\n"
        "CREATE TABLE \"größe\" (a int) WITH (connector = 'file', path = 'y');\n"
        "CREATE TABLE \"odd \"\"one\"\"\" (a int) WITH (connector = 'file', path = 'z');\n");
    Table *t;
    Error error;
    assert_int_equal(catalog_find_table(c, "Größe", true, &t, &error), OK);
    assert_ptr_equal(t, &c->tables[0]);
    assert_int_equal(catalog_find_table(c, "größe", true, &t, &error), OK);
    assert_ptr_equal(t, &c->tables[1]);
    assert_int_equal(catalog_find_table(c, "GRößE", false, &t, &error), FAIL);
    assert_non_null(strstr(error.text, "differ in case alone"));
    assert_int_equal(catalog_find_table(c, "ODD \"ONE\"", false, &t, &error), OK);
    assert_ptr_equal(t, &c->tables[2]);
    assert_int_equal(catalog_find_table(c, "nothing", false, &t, &error), OK);
    assert_null(t);
    catalog_free(&c);
}

static void test_variables(void **state) {
    (void)state;
    char path[] = "/tmp/leat-secret-XXXXXX", sql[600];
    int file = mkstemp(path);
    assert_true(file >= 0);
    FILE *stream = fdopen(file, "w");
    fputs("top secret\n", stream);
    fclose(stream);
    setenv("LEAT_TEST_NAME", "from the environment", 1);
    snprintf(sql, sizeof sql,
             "CREATE TABLE t (a int) WITH (connector = 'kafka', topic = '<${LEAT_TEST_NAME}>', "
             "\"bootstrap.servers\" = '${LEAT_TEST_NONE:-a:1}', \"sasl.password\" = '${file:%s}', "
             "\"client.id\" = '$${x}$');",
             path);
    Catalog *c = read_ok(sql);
    const Options *o = &c->tables[0].options;
    assert_string_equal(option_text(o, "topic", ""), "<from the environment>");
    assert_string_equal(option_find(o, "topic")->raw, "<${LEAT_TEST_NAME}>");
    assert_string_equal(option_text(o, "bootstrap.servers", ""), "a:1");
    assert_string_equal(option_text(o, "sasl.password", ""), "top secret");
    assert_string_equal(option_text(o, "client.id", ""), "${x}$");
    catalog_free(&c);
    remove(path);
}

/* ---- refusals ---- */

typedef struct Case {
    const char *sql;
    int line, column;
    const char *text; /* a part of the message */
} Case;

static void check_refusals(const Case *cases, size_t count) {
    for (size_t i = 0; i < count; i++) {
        Catalog *c = NULL;
        Error error;
        if (catalog_parse("p.sql", str_from(cases[i].sql), &c, &error) == OK) {
            catalog_free(&c);
            fail_msg("not refused: %s", cases[i].sql);
        }
        if (!strstr(error.text, cases[i].text) || error.line != cases[i].line ||
            error.column != cases[i].column)
            fail_msg("%s\n  gave %d:%d: %s\n  not %d:%d: … %s", cases[i].sql, error.line,
                     error.column, error.text, cases[i].line, cases[i].column, cases[i].text);
    }
}
#define CHECK_REFUSALS(cases) check_refusals(cases, sizeof cases / sizeof *cases)

static void test_syntax(void **state) {
    (void)state;
    static const Case cases[] = {
        {"CREATE SOURCE s (a int)", 1, 8, "at or near \"SOURCE\"; write CREATE TABLE"},
        {"CREATE TABLE t (a int, WATERMARK FOR ts AS ts)", 1, 34, "watermark_delay"},
        {"CREATE VIEW v AS\n  SELECT count(*) FROM t GROUP BY a EMIT CHANGES", 2, 37,
         "there is no EMIT"},
        {"CREATE VIEW v AS SELECT * FROM bid EMIT", 1, 36, "EMIT here is a new name for bid"},
        {"CREATE VIEW v AS SELECT * FROM bid EMIT CHANGES", 1, 41, "there is no EMIT"},
        {"CREATE VIEW v AS SELECT * FROM t ASOF JOIN u ON true", 1, 34, "PRIMARY KEY"},
        {"CREATE VIEW v AS SELECT * FROM t WINDOW TUMBLING (SIZE 1 MINUTE)", 1, 50,
         "windows are functions in FROM"},
        {"CREATE VIEW v AS SELECT `a` FROM t", 1, 29, "double quotes"},
        {"CREATE VIEW v AS SELECT [a] FROM t", 1, 25, "double quotes"},
        {"CREATE VIEW v AS SELECT a FROM (SELECT 1)", 1, 32,
         "subquery in FROM must have an alias; give the sub-select a name"},
        {"CREATE VIEW v AS SELECT * FROM tumble(TABLE t, DESCRIPTOR(x), INTERVAL '1' MINUTE)", 1,
         39, "table's name alone"},
        {"CREATE VIEW v AS SELECT * FROM TABLE(tumble(t, x, INTERVAL '1' MINUTE))", 1, 32,
         "functions in FROM"},
        {"CREATE TABLE t (a int) WITH ('connector' = 'kafka')", 1, 30, "without single quotes"},
        {"CREATE TABLE t (a int) WITH (connector = 'kafka', a.b.c = 'x')", 1, 54, "double quotes"},
        {"CREATE TABLE t WITH (connector = 'kafka');", 1, 42, "a table needs its columns"},
        {"CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT 1", 1, 19, "OR REPLACE"},
        {"CREATE TABLE t (a STRUCT<x int>)", 1, 25, "jsonb"},
        {"CREATE TABLE t (a int UNSIGNED)", 1, 23, "unsigned"},
        {"CREATE TABLE t (end int)", 1, 17, "write it in double quotes: \"end\""},
        {"CREATE TABLE t (user text)", 1, 17, "\"user\""},
        {"CREATE TABLE t (a int, window text)", 1, 24, "\"window\""},
        {"CREATE TABLE t (offset int)", 1, 17, "\"offset\""},
        {"CREATE VIEW v AS SELECT a FROM tumble(t, time => a)", 1, 47,
         "write that argument's name in double quotes: \"time\""},
        {"CREATE VIEW v AS SELECT a FROM tumble(t, a, offset => b)", 1, 45,
         "double quotes: \"offset\""},
        {"CREATE VIEW v AS SELECT a, FROM t", 1, 28, "a comma too many?"},
        {"CREATE VIEW v AS SELECT 1\nCREATE VIEW w AS SELECT 2", 2, 1, "is a ; missing before it?"},
        {"CREATE VIEW v AS SELECT 1 WHERE x > now() - INTERVAL '10' MINUTES", 1, 59,
         "INTERVAL '10 MINUTES'"},
        {"CREATE VIEW v AS SELECT INTERVAL 10 MINUTE", 1, 34, "INTERVAL '10 MINUTE'"},
        {"CREATE VIEW v AS SELECT INTERVAL '10' MINUTES", 1, 25,
         "10 seconds in a column named \"minutes\""},
        {"CREATE VIEW v AS SELECT 'abc", 1, 25, "unterminated quoted string"},
        {"CREATE VIEW v AS SELEC 1", 1, 18, "did you mean select"},
        {"CREATE VIEW v AS SELECT TRY_CAST(a AS int)", 1, 36, "dead letter"},
        {"CREATE VIEW v AS (SELECT a FROM t;", 1, 34, "a ) is missing"},
        {"CREATE VIEW v AS SELECT a FROM t);", 1, 33, "there is no ( for this )"},
        {"CREATE VIEW v AS SELECT a FROM t WHERE", 1, 39, "the statement is not finished"},
        {"CREATE VIEW v AS SELECT U&\"abc\"", 1, 25, "U&"},
        {"-- größer\nCREATE VIEW v AS SELECT 'ä' ü x", 2, 31, "syntax error"},
        {"CREATE VIEW \"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\" AS "
         "SELECT 1",
         1, 13, "63 bytes"},
        {"SET x = '\xff'", 1, 10, "not UTF-8"},
    };
    CHECK_REFUSALS(cases);
}

static void test_statements(void **state) {
    (void)state;
    static const Case cases[] = {
        {"SELECT 1", 1, 1, "a SELECT by itself"},
        {"\n  DELETE FROM t", 2, 3, "DELETE is not supported"},
        {"UPDATE t SET a = 1", 1, 1, "UPDATE"},
        {"DROP TABLE t", 1, 1, "DROP"},
        {"BEGIN", 1, 1, "a transaction"},
        {"CREATE FUNCTION f() RETURNS int LANGUAGE http AS 'x'", 1, 1,
         "comes with a later version"},
        {"CREATE TABLE x AS SELECT 1", 1, 1, "CREATE TABLE … AS"},
        {"CREATE ROLE x", 1, 1, "CREATE ROLE is not supported"},
        {"CREATE OR REPLACE VIEW v AS SELECT 1", 1, 1, "OR REPLACE"},
        {"CREATE TEMP VIEW v AS SELECT 1", 1, 18, "TEMPORARY"},
        {"CREATE VIEW v AS SELECT 1 WITH CHECK OPTION", 1, 1, "CHECK OPTION"},
        {"CREATE VIEW v AS VALUES (1)", 1, 26, "VALUES"},
        {"CREATE VIEW v AS SELECT a FROM ONLY t", 1, 37, "ONLY is not supported"},
        {"CREATE VIEW v AS SELECT 1 FOR UPDATE", 1, 25, "FOR UPDATE"},
        {"CREATE VIEW v AS SELECT sum(a) OVER w FROM t WINDOW w AS ()", 1, 25, "WINDOW clause"},
        {"CREATE VIEW v AS SELECT 1; CREATE VIEW V AS SELECT 1", 1, 40, "already exists as \"v\""},
        {"CREATE VIEW v AS SELECT 1; CREATE VIEW v AS SELECT 1", 1, 40,
         "relation \"v\" already exists"},
        {"CREATE VIEW v WITH (horizon = '1 month') AS SELECT 1", 1, 31,
         "greater than zero without months"},
        {"CREATE VIEW v WITH (retention = '1 day') AS SELECT 1", 1, 21, "materialized"},
        {"CREATE VIEW v WITH (horizn = '1 day') AS SELECT 1", 1, 21, "did you mean 'horizon'?"},
        {"CREATE VIEW v WITH (state_ttl = '1 day', state_ttl = '1 day') AS SELECT 1", 1, 42,
         "option 'state_ttl' is given twice"},
        {"CREATE MATERIALIZED VIEW v WITH (emit = 'changes') AS SELECT 1", 1, 41,
         "emit expects 'final'"},
        {"CREATE MATERIALIZED VIEW IF NOT EXISTS v AS SELECT 1", 1, 1, "IF NOT EXISTS"},
        {"CREATE MATERIALIZED VIEW v AS SELECT 1 WITH NO DATA", 1, 1, "WITH NO DATA"},
        {"CREATE MATERIALIZED VIEW Dead_Letters AS SELECT 1", 1, 26, "table of the home"},
        {"INSERT INTO t VALUES (1)", 1, 1, "VALUES"},
        {"INSERT INTO t DEFAULT VALUES", 1, 1, "DEFAULT VALUES"},
        {"INSERT INTO t SELECT 1 ON CONFLICT DO NOTHING", 1, 1, "ON CONFLICT"},
        {"INSERT INTO t SELECT 1 RETURNING a", 1, 1, "RETURNING"},
        {"WITH x AS (SELECT 1) INSERT INTO t SELECT 1", 1, 1, "WITH before INSERT"},
    };
    CHECK_REFUSALS(cases);
}

static void test_settings(void **state) {
    (void)state;
    static const Case cases[] = {
        {"SET workes = 2", 1, 1, "did you mean 'workers'?"},
        {"SET search_path = 'x'", 1, 1, "unknown setting 'search_path'; there are pipeline"},
        {"SET workers = 0", 1, 1, "1 to 256"},
        {"SET workers = 'x'", 1, 1, "whole number"},
        {"SET checkpoint_interval = '1 month'", 1, 1, "months"},
        {"SET checkpoint_interval = '0 s'", 1, 1, "at least 1 ms"},
        {"SET workers = 1; SET workers = 2", 1, 18, "set twice"},
        {"SET memory_limit = '64 MX'", 1, 1, "size"},
        {"SET home = 'kafka'", 1, 1, "later version"},
        {"SET home = 'x.leat'", 1, 1, "'sqlite:FILE'"},
        {"SET http = '8080'", 1, 1, "'address:port'"},
        {"SET pipeline = 'a/b'", 1, 1, "without '/'"},
        {"SET LOCAL workers = 2", 1, 1, "SET LOCAL"},
        {"SET TIME ZONE 'UTC'", 1, 1, "times are UTC"},
        {"SET workers TO DEFAULT", 1, 1, "DEFAULT"},
        {"SET home = '${LEAT_TEST_NONE}'", 1, 12, "LEAT_TEST_NONE is not set"},
    };
    CHECK_REFUSALS(cases);
}

#define FILE_TABLE(columns) "CREATE TABLE t (" columns ") WITH (connector = 'file', path = 'x')"
#define OPTIONS(options) "CREATE TABLE t (a int, tm timestamptz) WITH (" options ")"

static void test_tables(void **state) {
    (void)state;
    static const Case cases[] = {
        {FILE_TABLE("a string"), 1, 19, "type \"string\" is not supported; use text"},
        {FILE_TABLE("a intt"), 1, 19, "type \"intt\" does not exist; did you mean int?"},
        {FILE_TABLE("a int[]"), 1, 19, "an array type"},
        {FILE_TABLE("a json"), 1, 19, "use jsonb"},
        {FILE_TABLE("a char(3)"), 1, 19, "use text or varchar(n)"},
        {FILE_TABLE("a timestamp(3)"), 1, 19, "precision"},
        {FILE_TABLE("a numeric(0)"), 1, 19, "must be between 1 and 1000"},
        {FILE_TABLE("a int DEFAULT 1"), 1, 23, "DEFAULT"},
        {FILE_TABLE("a int CHECK (a > 1)"), 1, 23, "CHECK"},
        {FILE_TABLE("a int UNIQUE"), 1, 23, "UNIQUE"},
        {FILE_TABLE("a int REFERENCES x (a)"), 1, 23, "foreign key"},
        {FILE_TABLE("a int CONSTRAINT k PRIMARY KEY"), 1, 23, "the name of a constraint"},
        {FILE_TABLE("a int, PRIMARY KEY (a, b)"), 1, 24, "column \"b\" does not exist"},
        {FILE_TABLE("a int, PRIMARY KEY (a, A)"), 1, 24, "appears twice"},
        {FILE_TABLE("a int PRIMARY KEY, b int PRIMARY KEY"), 1, 42, "multiple primary keys"},
        {FILE_TABLE("a int NULL NOT NULL"), 1, 28, "conflicting NULL/NOT NULL"},
        {FILE_TABLE("a int, A text"), 1, 24, "specified more than once"},
        {FILE_TABLE("a int GENERATED ALWAYS AS IDENTITY"), 1, 23, "IDENTITY"},
        {FILE_TABLE("LIKE x"), 1, 22, "LIKE"},
        {FILE_TABLE("a text COLLATE \"C\""), 1, 24, "COLLATE"},
        {FILE_TABLE(""), 1, 14, "at least one column"},
        {"CREATE TABLE IF NOT EXISTS t (a int)", 1, 28, "IF NOT EXISTS"},
        {"CREATE TEMP TABLE t (a int)", 1, 19, "TEMPORARY"},
        {"CREATE TABLE s.t (a int)", 1, 14, "a schema"},
        {"CREATE TABLE t PARTITION OF x DEFAULT", 1, 14, "PARTITION OF is not supported"},
        {"CREATE TABLE t (a int) INHERITS (x)", 1, 14, "INHERITS"},
        {"CREATE TABLE t (a int) PARTITION BY HASH (a)", 1, 14, "PARTITION BY"},
        {"CREATE TABLE t (a int)", 1, 14, "needs a connector"},
        {OPTIONS("connector = 'fil'"), 1, 58, "unknown connector 'fil'; did you mean 'file'?"},
        {OPTIONS("connector = 'postgres'"), 1, 58,
         "connector 'postgres' comes with a later version"},
        {OPTIONS("connector = 'kafka', toppic = 'x'"), 1, 67,
         "unknown option 'toppic' for connector 'kafka'; did you mean 'topic'?"},
        {OPTIONS("connector = 'kafka', topic = 'x', acks = 'all'"), 1, 80,
         "double quotes: \"acks\""},
        {OPTIONS("connector = 'kafka', bootstrap.servers = 'x'"), 1, 67,
         "double quotes: \"bootstrap.servers\""},
        {OPTIONS("connector = 'file', path = 'x', path = 'y'"), 1, 78, "given twice"},
        {OPTIONS("connector = 'file', path = \"x\""), 1, 73,
         "values are written in single quotes: path = 'x'"},
        {OPTIONS("connector = 'file', path = '${LEAT_TEST_NONE}'"), 1, 73,
         "LEAT_TEST_NONE is not set"},
        {OPTIONS("connector = 'file', path = '${1x}'"), 1, 73, "is no variable"},
        {OPTIONS("connector = 'file', path = '${x'"), 1, 73, "${ without }"},
        {OPTIONS("connector = 'file', path = '${x:-${y}}'"), 1, 73,
         "${x} has a variable within its default"},
        {OPTIONS("connector = 'file', path = '${file:/nonexistent/x}'"), 1, 73,
         "cannot read ${file:/nonexistent/x}"},
        {OPTIONS("connector = 'file', path = 'x', header = maybe"), 1, 87, "true or false"},
        {OPTIONS("connector = 'file', path = 'x', header"), 1, 78, "needs a value"},
        {OPTIONS("connector = 'file', path = 'x', event_time = 'b'"), 1, 78,
         "column \"b\" does not exist"},
        {OPTIONS("connector = 'file', path = 'x', event_time = 'a'"), 1, 78,
         "must be timestamptz or timestamp"},
        {OPTIONS("connector = 'file', path = 'x', watermark_delay = '1 s'"), 1, 78,
         "says nothing without event_time"},
        {OPTIONS("connector = 'file', event_time = 'tm', watermark_delay = '-1 s'"), 1, 85,
         "must not be negative"},
        {OPTIONS("connector = 'file', event_time = 'tm', watermark_delay = '1 mon'"), 1, 103,
         "months"},
        {OPTIONS("connector = 'file', path = 'x', on_error = 'ignore'"), 1, 89, "on_error"},
        {OPTIONS("connector = 'file', path = 'x', format = 'avro'"), 1, 87, "later version"},
    };
    CHECK_REFUSALS(cases);
}

/* ---- hostile texts ---- */

static char *repeated(const char *head, const char *unit, int count, const char *tail) {
    size_t h = strlen(head), u = strlen(unit), t = strlen(tail);
    char *text = xmalloc(h + u * (size_t)count + t + 1), *at = text;
    memcpy(at, head, h), at += h;
    for (int i = 0; i < count; i++) memcpy(at, unit, u), at += u;
    memcpy(at, tail, t + 1);
    return text;
}

static void refuse_repeated(const char *head, const char *unit, int count, const char *tail,
                            const char *text) {
    char *sql = repeated(head, unit, count, tail);
    Case one = {sql, 0, 0, text};
    Catalog *c = NULL;
    Error error;
    assert_int_equal(catalog_parse("p.sql", str_from(one.sql), &c, &error), FAIL);
    if (!strstr(error.text, text)) fail_msg("%s… gave: %s", head, error.text);
    free(sql);
}

static void test_limits(void **state) {
    (void)state;
    refuse_repeated("CREATE VIEW v AS SELECT 1", "+1", 600, "", "nested more than");
    refuse_repeated("CREATE VIEW v AS SELECT 1", "+1", 20000, "", "nested more than");
    refuse_repeated("CREATE VIEW v AS SELECT 1", ",1", 60000, "", "is too long");
    refuse_repeated("CREATE VIEW v AS SELECT ", "(", 30000, "", "nested too deeply");
    refuse_repeated("CREATE VIEW v AS SELECT 1", " UNION ALL SELECT 1", 10000, "",
                    "nested more than");
    refuse_repeated("", "-- a comment that goes on and on\n", 200000, "", "bytes");
    refuse_repeated("", "SET workers = 1;", 10001, "", "statements");
    char *list = repeated("CREATE VIEW v AS SELECT 1 IN (1", ",1", 20000, ") FROM t");
    Catalog *c = read_ok(list);
    catalog_free(&c);
    free(list);
    Error error;
    assert_int_equal(catalog_parse("p.sql", (Str){"SET a = '\0'", 11}, &c, &error), FAIL);
    assert_non_null(strstr(error.text, "zero byte"));
}

static void test_error_text(void **state) {
    (void)state;
    const char *sql = "SET workers = 1;\n\tCREATE VIEW ä AS SELEKT 1;\r\nSET x = 1;\n";
    Catalog *c = NULL;
    Error error;
    Buffer out = {0};
    assert_int_equal(catalog_parse("dir/p.sql", str_from(sql), &c, &error), FAIL);
    catalog_error_text("dir/p.sql", str_from(sql), &error, &out);
    buffer_add_char(&out, 0);
    assert_string_equal(out.data, "dir/p.sql:2:19: error: syntax error at or near \"SELEKT\"; did "
                                  "you mean select instead of SELEKT?\n"
                                  "  \tCREATE VIEW ä AS SELEKT 1;\n"
                                  "  \t                 ^\n");
    buffer_free(&out);
    assert_int_equal(catalog_read("/nonexistent/p.sql", &c, &error), FAIL);
    assert_string_equal(error.text, "cannot read /nonexistent/p.sql: No such file or directory");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_demo),     cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_names),    cmocka_unit_test(test_variables),
        cmocka_unit_test(test_syntax),   cmocka_unit_test(test_statements),
        cmocka_unit_test(test_settings), cmocka_unit_test(test_tables),
        cmocka_unit_test(test_limits),   cmocka_unit_test(test_error_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
