/* Expressions as text over a table with a column of each type: the type and shape that they get,
 * which are PostgreSQL 15's, and for every refusal its message and place. Paths are tried with a
 * scope that pushes them down and with one that cannot. */
#include "sql/binder.h"
#include <setjmp.h>
#include <stdio.h>
/* cmocka.h comes last: it defines fail(). */
#include <cmocka.h>

static const char head[] =
    "CREATE TABLE t (i2 smallint, i int, b bigint, r real, d double precision, n numeric(10,2), m "
    "numeric, s text, v varchar(5), u uuid, dt date, ts timestamp, tz timestamptz, iv interval, j "
    "jsonb, x bytea, f boolean, deviceId text, \"DeviceID\" text, \"user\" text) WITH (connector = "
    "'file', path = 'x');\nCREATE VIEW q AS SELECT ";
enum { SELECT_COLUMN = 25 }; /* where the expression begins in line 2 */

typedef struct Bound {
    Catalog *catalog;
    Scope scope;
    Expr *expr;
    Error error;
    Status status;
    const char *name;
    char paths[400]; /* what was pushed down, in order */
    int pushed;
} Bound;

static int push_path(Scope *scope, int index, const char *const *path, int count, TypeKind type) {
    Bound *b = scope->owner;
    size_t used = strlen(b->paths);
    used += (size_t)snprintf(b->paths + used, sizeof b->paths - used, "%s%s", used ? " " : "",
                             scope->columns[index].name);
    for (int i = 0; i < count; i++)
        used += (size_t)snprintf(b->paths + used, sizeof b->paths - used, ".%s", path[i]);
    Arena *scratch = arena_new();
    snprintf(b->paths + used, sizeof b->paths - used, ":%s", type_name(type_of(type), scratch));
    arena_free(&scratch);
    return 100 + b->pushed++;
}

static Bound bind_text(const char *expression, bool push, bool grouped, const char *const *groups,
                       int group_count) {
    Bound b = {0};
    Buffer text = {0};
    buffer_add_text(&text, head);
    buffer_add_text(&text, expression);
    for (int i = 0; i < group_count; i++) buffer_add_format(&text, ", %s", groups[i]);
    buffer_add_text(&text, " FROM t");
    b.status = catalog_parse("p.sql", buffer_str(&text), &b.catalog, &b.error);
    buffer_free(&text);
    if (b.status != OK) return b;
    const Table *t = &b.catalog->tables[0];
    b.scope = (Scope){.catalog = b.catalog,
                      .arena = b.catalog->arena,
                      .count = t->column_count,
                      .owner = &b,
                      .clause = "WHERE"};
    if (push) b.scope.want_path = push_path;
    b.scope.columns = arena_new_array(b.catalog->arena, ScopeColumn, t->column_count);
    for (int i = 0; i < t->column_count; i++)
        b.scope.columns[i] = (ScopeColumn){.relation = "t",
                                           .name = t->columns[i].name,
                                           .quoted = t->columns[i].quoted,
                                           .type = t->columns[i].type,
                                           .column = i};
    SelectTree *select = b.catalog->views[0].select;
    b.scope.groups = arena_new_array(b.catalog->arena, Expr *, group_count + 1);
    for (int i = 0; i < group_count && b.status == OK; i++)
        b.status = bind_expr(&b.scope, select->target_list[i + 1]->res_target->val,
                             type_of(TYPE_UNKNOWN), &b.scope.groups[i], &b.error);
    b.scope.grouped = grouped;
    b.scope.group_count = group_count;
    NodeTree *node = select->target_list[0]->res_target->val;
    if (b.status == OK)
        b.status = bind_expr(&b.scope, node, type_of(TYPE_UNKNOWN), &b.expr, &b.error);
    if (b.status == OK) b.name = output_name(&b.scope, node);
    return b;
}

static void print(const Bound *b, Buffer *out) {
    expr_text(b->expr, &(Schema){0}, out);
    buffer_add_format(out, " %s %s", type_name(b->expr->type, b->catalog->arena), b->name);
    buffer_add_char(out, 0);
}

typedef struct Case {
    const char *sql, *bound; /* text, type, output name */
} Case;

static void check_case(const Case *c, bool push, bool grouped, const char *const *groups,
                       int group_count) {
    Bound b = bind_text(c->sql, push, grouped, groups, group_count);
    if (b.status != OK) fail_msg("%s: %s", c->sql, b.error.text);
    Buffer out = {0};
    print(&b, &out);
    if (strcmp(out.data, c->bound) != 0)
        fail_msg("%s\n  gave %s\n  not  %s", c->sql, out.data, c->bound);
    buffer_free(&out);
    catalog_free(&b.catalog);
}
#define EACH(cases) for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)

static void test_expressions(void **state) {
    (void)state;
    static const Case cases[] = {
        {"i + 1", "($2 + 1) integer ?column?"},
        {"i2 + i2", "($1 + $1) smallint ?column?"},
        {"i / 2", "($2 / 2) integer ?column?"},
        {"i / 2.0", "(($2)::numeric / '2.0'::numeric) numeric ?column?"},
        {"b * i", "($3 * $2) bigint ?column?"},
        {"r + d", "($4 + $5) double precision ?column?"},
        {"n * n", "($6 * $6) numeric ?column?"},
        {"m / 3", "($7 / '3'::numeric) numeric ?column?"},
        {"2 ^ 3", "'8'::double precision double precision ?column?"},
        {"i % 2", "($2 % 2) integer ?column?"},
        {"-5", "'-5'::integer integer ?column?"},
        {"- i", "(- $2) integer ?column?"},
        {"+d", "(+ $5) double precision ?column?"},
        {"3000000000", "'3000000000'::bigint bigint ?column?"},
        {"9223372036854775808", "'9223372036854775808'::numeric numeric ?column?"},
        {"1.50", "'1.50'::numeric numeric ?column?"},
        {"1e3", "'1000'::numeric numeric ?column?"},
        {"'text'", "'text'::unknown unknown ?column?"},
        {"NULL", "NULL::unknown unknown ?column?"},
        {"TRUE", "true boolean ?column?"},
        {"'5'::int + 1", "6 integer ?column?"},
        {"s || i", "($8 || $2) text ?column?"},
        {"i || s", "($2 || $8) text ?column?"},
        {"'a' || 'b'", "'ab' text ?column?"},
        {"j || '{}'", "($15 || '{}'::jsonb) jsonb ?column?"},
        {"dt - dt", "($11 - $11) integer ?column?"},
        {"dt + 1", "($11 + 1) date ?column?"},
        {"tz - interval '1 day'", "($13 - '1 day'::interval) timestamp with time zone ?column?"},
        {"tz - ts", "($13 - ($12)::timestamp with time zone) interval ?column?"},
        {"now() - tz", "(now() - $13) interval ?column?"},
        {"tz > '2026-01-01'",
         "($13 > '2026-01-01 00:00:00+00'::timestamp with time zone) boolean ?column?"},
        {"dt < tz", "(($11)::timestamp with time zone < $13) boolean ?column?"},
        {"iv * 2", "($14 * '2'::double precision) interval ?column?"},
        {"date '2026-01-31'", "'2026-01-31'::date date date"},
        {"timestamptz '2026-01-01 00:00:00+02'",
         "'2025-12-31 22:00:00+00'::timestamp with time zone timestamp with time zone timestamptz"},
        {"INTERVAL '10' MINUTE", "'00:10:00'::interval interval interval"},
        {"interval '1 hour 30 minutes'", "'01:30:00'::interval interval interval"},
        {"CAST(s AS numeric(5,2))", "($8)::numeric(5,2) numeric(5,2) s"},
        {"'abcdef'::varchar(3)", "'abc'::character varying(3) character varying(3) varchar"},
        {"n::numeric", "$6 numeric n"},
        {"n::text", "($6)::text text n"},
        {"date(tz)", "($13)::date date date"},
        {"text(i)", "($2)::text text text"},
        {"s = 'x'", "($8 = 'x') boolean ?column?"},
        {"v = s", "(($9)::text = $8) boolean ?column?"},
        {"i <> 1", "($2 <> 1) boolean ?column?"},
        {"i != 2", "($2 <> 2) boolean ?column?"},
        {"s LIKE 'a%'", "($8 ~~ 'a%') boolean ?column?"},
        {"s NOT ILIKE 'a%'", "($8 !~~* 'a%') boolean ?column?"},
        {"s LIKE 'a#%' ESCAPE '#'", "($8 ~~ 'a\\%') boolean ?column?"},
        {"s SIMILAR TO 'a|b'", "($8 ~ '^(?:a|b)$') boolean ?column?"},
        {"s ~* 'x'", "($8 ~* 'x') boolean ?column?"},
        {"i BETWEEN 1 AND 2", "(($2 >= 1) AND ($2 <= 2)) boolean ?column?"},
        {"i NOT BETWEEN 1 AND 2", "(($2 < 1) OR ($2 > 2)) boolean ?column?"},
        {"i BETWEEN SYMMETRIC 2 AND 1",
         "((($2 >= 2) AND ($2 <= 1)) OR (($2 >= 1) AND ($2 <= 2))) boolean ?column?"},
        {"i IN (1, 2, 3)", "($2 IN (1, 2, 3)) boolean ?column?"},
        {"i NOT IN (1, NULL)", "(NOT ($2 IN (1, NULL::integer))) boolean ?column?"},
        {"i IN (1.5, 2)", "(($2)::numeric IN ('1.5'::numeric, '2'::numeric)) boolean ?column?"},
        {"s IN ('a', v, 'b')", "(($8 IN ('a', 'b')) OR ($8 = ($9)::text)) boolean ?column?"},
        {"v IN ('a', 'b')", "(($9)::text IN ('a', 'b')) boolean ?column?"},
        {"i IN (1)", "($2 = 1) boolean ?column?"},
        {"i = ANY (ARRAY[1, 2])", "($2 IN (1, 2)) boolean ?column?"},
        {"i <> ALL (ARRAY[1, 2])", "(NOT ($2 IN (1, 2))) boolean ?column?"},
        {"i < ANY (ARRAY[1, 2])", "(($2 < 1) OR ($2 < 2)) boolean ?column?"},
        {"i IS NULL", "($2 IS NULL) boolean ?column?"},
        {"NULL IS NULL", "true boolean ?column?"},
        {"f IS NOT TRUE", "($17 is not true) boolean ?column?"},
        {"f IS UNKNOWN", "($17 is unknown) boolean ?column?"},
        {"s IS DISTINCT FROM 'x'", "($8 is distinct from 'x') boolean ?column?"},
        {"i IS NOT DISTINCT FROM b", "($2 is not distinct from $3) boolean ?column?"},
        {"f AND NOT f OR f", "(($17 AND (NOT $17)) OR $17) boolean ?column?"},
        {"f OR true", "true boolean ?column?"},
        {"1 / 0 + NULL::int", "NULL::integer integer ?column?"},
        {"'t' AND f", "(true AND $17) boolean ?column?"},
        {"nullif(i, 0)", "nullif($2, 0) integer nullif"},
        {"nullif(dt, tz)", "CASE WHEN (($11)::timestamp with time zone = $13) THEN NULL::date ELSE "
                           "$11 END date nullif"},
        {"coalesce(n, '5')", "coalesce($6, '5'::numeric) numeric coalesce"},
        {"coalesce(NULL, 1)", "1 integer coalesce"},
        {"greatest(i, 2.5, r)", "greatest(($2)::real, '2.5'::real, $4) real greatest"},
        {"least('a', s)", "least('a', $8) text least"},
        {"CASE WHEN f THEN 1 ELSE 2.5 END",
         "CASE WHEN $17 THEN '1'::numeric ELSE '2.5'::numeric END numeric case"},
        {"CASE i WHEN 1 THEN 'a' WHEN 2 THEN s END",
         "CASE WHEN ($2 = 1) THEN 'a' WHEN ($2 = 2) THEN $8 END text case"},
        {"extract(hour FROM tz)", "extract('hour', $13) numeric extract"},
        {"date_trunc('hour', tz)", "date_trunc('hour', $13) timestamp with time zone date_trunc"},
        {"date_part('epoch', iv)", "date_part('epoch', $14) double precision date_part"},
        {"ts AT TIME ZONE 'UTC'", "timezone('UTC', $12) timestamp with time zone timezone"},
        {"tz AT TIME ZONE 'Europe/Berlin'",
         "timezone('Europe/Berlin', $13) timestamp without time zone timezone"},
        {"substring(s FROM 2 FOR 3)", "substring($8, 2, 3) text substring"},
        {"substring(s, 'a.c')", "substring($8, 'a.c') text substring"},
        {"trim(both 'x' from s)", "btrim($8, 'x') text btrim"},
        {"position('a' in s)", "position($8, 'a') integer position"},
        {"overlay(s placing 'x' from 2)", "overlay($8, 'x', 2) text overlay"},
        {"round(n, 1)", "round($6, 1) numeric round"},
        {"round('2.5')", "'2'::double precision double precision round"},
        {"abs('-5')", "'5'::double precision double precision abs"},
        {"concat(s, i, f)", "concat($8, $2, $17) text concat"},
        {"format('%s', s)", "format('%s', $8) text format"},
        {"(regexp_match(s, 'a(.)'))[1]",
         "subscript(regexp_match($8, 'a(.)'), 1) text regexp_match"},
        {"current_timestamp", "current_timestamp() timestamp with time zone current_timestamp"},
        {"current_date", "current_date() date current_date"},
        {"localtimestamp", "localtimestamp() timestamp without time zone localtimestamp"},
        {"now()", "now() timestamp with time zone now"},
        {"random()", "random() double precision random"},
        {"t.s", "$8 text s"},
        {"T.\"DeviceID\"", "$19 text DeviceID"},
        {"\"user\"", "$20 text user"},
        {"to_jsonb('a')", "'\"a\"'::jsonb jsonb to_jsonb"},
        {"pg_catalog.upper(s)", "upper($8) text upper"},
        {"i OPERATOR(pg_catalog.+) 1", "($2 + 1) integer ?column?"},
        {"j['a'][0]", "(($15 -> 'a') -> 0) jsonb j"},
        {"j -> 'a' ->> 'b'", "(($15 -> 'a') ->> 'b') text ?column?"},
        {"j #>> '{a,b}'", "($15 #>> '{a,b}') text ?column?"},
        {"j ? 'a'", "($15 ? 'a') boolean ?column?"},
        {"j @> '{\"a\": 1}'", "($15 @> '{\"a\": 1}'::jsonb) boolean ?column?"},
    };
    EACH(cases) check_case(&cases[i], false, false, NULL, 0);
}

static void test_paths(void **state) {
    (void)state;
    static const Case cases[] = {
        {"j.a.b", "($15 #> '{a,b}'::text[]) jsonb b"},
        {"j.a.B = 'x'", "(($15 #>> '{a,B}'::text[]) = 'x') boolean ?column?"},
        {"'x' <> j.a", "('x' <> ($15 #>> '{a}'::text[])) boolean ?column?"},
        {"j.a || s", "(($15 #>> '{a}'::text[]) || $8) text ?column?"},
        {"j.a LIKE 'a%'", "(($15 #>> '{a}'::text[]) ~~ 'a%') boolean ?column?"},
        {"j.a > i", "((($15 #>> '{a}'::text[]))::integer > $2) boolean ?column?"},
        {"j.a >= 5", "((($15 #>> '{a}'::text[]))::integer >= 5) boolean ?column?"},
        {"j.a = true", "((($15 #>> '{a}'::text[]))::boolean = true) boolean ?column?"},
        {"j.a * 2.0", "((($15 #>> '{a}'::text[]))::double precision * '2'::double precision) "
                      "double precision ?column?"},
        {"1 + j.a", "('1'::double precision + (($15 #>> '{a}'::text[]))::double precision) double "
                    "precision ?column?"},
        {"j.a - d", "((($15 #>> '{a}'::text[]))::double precision - $5) double precision ?column?"},
        {"j.a / i", "((($15 #>> '{a}'::text[]))::integer / $2) integer ?column?"},
        {"- j.a", "(- (($15 #>> '{a}'::text[]))::double precision) double precision ?column?"},
        {"j.a = j.b", "(($15 #> '{a}'::text[]) = ($15 #> '{b}'::text[])) boolean ?column?"},
        {"j.a -> 'b'", "(($15 #> '{a}'::text[]) -> 'b') jsonb ?column?"},
        {"j.a ? 'b'", "(($15 #> '{a}'::text[]) ? 'b') boolean ?column?"},
        {"j.a IN ('x', 'y')", "(($15 #>> '{a}'::text[]) IN ('x', 'y')) boolean ?column?"},
        {"j.a IN (1, 2)", "((($15 #>> '{a}'::text[]))::integer IN (1, 2)) boolean ?column?"},
        {"j.a BETWEEN 1 AND i", "(((($15 #>> '{a}'::text[]))::integer >= 1) AND ((($15 #>> "
                                "'{a}'::text[]))::integer <= $2)) boolean ?column?"},
        {"upper(j.a)", "upper(($15 #>> '{a}'::text[])) text upper"},
        {"abs(j.a)", "abs((($15 #>> '{a}'::text[]))::double precision) double precision abs"},
        {"round(j.a, 2)", "round((($15 #>> '{a}'::text[]))::numeric, 2) numeric round"},
        {"jsonb_typeof(j.a)", "jsonb_typeof(($15 #> '{a}'::text[])) text jsonb_typeof"},
        {"to_timestamp(j.ms / 1000.0)",
         "to_timestamp(((($15 #>> '{ms}'::text[]))::double precision / '1000'::double precision)) "
         "timestamp with time zone to_timestamp"},
        {"coalesce(j.a, 'none')", "coalesce(($15 #>> '{a}'::text[]), 'none') text coalesce"},
        {"coalesce(j.a, 0)", "coalesce((($15 #>> '{a}'::text[]))::integer, 0) integer coalesce"},
        {"CASE WHEN j.f THEN j.a ELSE 'x' END", "CASE WHEN (($15 #>> '{f}'::text[]))::boolean THEN "
                                                "($15 #>> '{a}'::text[]) ELSE 'x' END text case"},
        {"NOT j.f", "(NOT (($15 #>> '{f}'::text[]))::boolean) boolean ?column?"},
        {"j.a IS NULL", "(($15 #> '{a}'::text[]) IS NULL) boolean ?column?"},
        {"j.a IS DISTINCT FROM 'x'",
         "(($15 #>> '{a}'::text[]) is distinct from 'x') boolean ?column?"},
        {"nullif(j.a, '')", "nullif(($15 #>> '{a}'::text[]), '') text nullif"},
        {"j.a::text", "($15 #>> '{a}'::text[]) text a"},
        {"j.a::timestamptz",
         "(($15 #>> '{a}'::text[]))::timestamp with time zone timestamp with time zone a"},
        {"(j.a)::int", "(($15 #>> '{a}'::text[]))::integer integer a"},
        {"t.j.a.b = s", "(($15 #>> '{a,b}'::text[]) = $8) boolean ?column?"},
        {"J.x.\"y z\"", "($15 #> '{x,\"y z\"}'::text[]) jsonb y z"},
        {"concat(j.a)", "concat(($15 #> '{a}'::text[])) text concat"},
    };
    EACH(cases) check_case(&cases[i], false, false, NULL, 0);
    static const Case aggregates[] = {
        {"sum(j.a)", "$1 double precision sum"},       {"min(j.a)", "$1 double precision min"},
        {"stddev(j.a)", "$1 double precision stddev"}, {"count(j.a)", "$1 bigint count"},
        {"bool_and(j.a)", "$1 boolean bool_and"},      {"first_value(j.a)", "$1 jsonb first_value"},
    };
    EACH(aggregates) check_case(&aggregates[i], false, true, NULL, 0);
}

static void test_pushed_paths(void **state) {
    (void)state;
    static const struct {
        const char *sql, *paths;
    } cases[] = {
        {"j.a.b * 2.0", "j.a.b:double precision"},
        {"J.a.B = 'x'", "j.a.B:text"},
        {"j.a", "j.a:jsonb"},
        {"t.j.a > i", "j.a:text"},
        {"j -> 'a'", "j.a:jsonb"},
        {"j -> 'a' ->> 'b'", "j.a.b:text"},
        {"(j -> 'a' ->> 'b')::float8", "j.a.b:double precision"},
        {"(j ->> 'b')::int", "j.b:text"},
        {"j.a -> 'b' #>> '{c,0}'", "j.a.b.c.0:text"},
        {"j #> '{l,1}'", "j.l.1:jsonb"},
        {"j -> '0'", ""}, /* an item of an array in a path, a key here */
        {"j -> 0", ""},
        {"j ->> s", ""},
        {"j #>> '{a, b}'", ""},
        {"j #> '{}'", ""},
        {"j ? 'a'", ""},
    };
    EACH(cases) {
        Bound b = bind_text(cases[i].sql, true, false, NULL, 0);
        if (b.status != OK) fail_msg("%s: %s", cases[i].sql, b.error.text);
        if (strcmp(b.paths, cases[i].paths) != 0)
            fail_msg("%s pushed [%s], not [%s]", cases[i].sql, b.paths, cases[i].paths);
        catalog_free(&b.catalog);
    }
}

static void test_groups(void **state) {
    (void)state;
    static const char *const groups[] = {"s", "i + 1", "n", "j.a.b"};
    static const Case cases[] = {
        {"s", "$1 text s"},
        {"S || 'x'", "($1 || 'x') text ?column?"},
        {"(i + 1) * 2", "($2 * 2) integer ?column?"},
        {"n::numeric", "$3 numeric n"},
        {"j.a.b", "$4 jsonb b"},
        {"count(*)", "$5 bigint count"},
        {"sum(i) / count(*)", "($5 / $6) bigint ?column?"},
        {"max(b) - max(b)", "($5 - $5) bigint ?column?"},
        {"count(DISTINCT d) FILTER (WHERE f)", "$5 bigint count"},
        {"CASE WHEN count(*) > 1 THEN s END", "CASE WHEN ($5 > 1) THEN $1 END text case"},
        {"avg(j.q)", "$5 double precision avg"},
    };
    EACH(cases) check_case(&cases[i], false, true, groups, 4);
    Bound b = bind_text("sum(i) + sum(i) FILTER (WHERE f) + count(DISTINCT i) + count(i)", false,
                        true, groups, 4);
    assert_int_equal(b.status, OK);
    assert_int_equal(b.scope.aggregate_count, 4);
    assert_true(b.scope.aggregates[2].distinct && b.scope.aggregates[1].filter);
    catalog_free(&b.catalog);
}

typedef struct Refusal {
    const char *sql;
    int column; /* in the expression, from 1 */
    const char *text;
} Refusal;

static void check_refusals(const Refusal *cases, size_t count, bool grouped,
                           const char *const *groups, int group_count) {
    for (size_t i = 0; i < count; i++) {
        Bound b = bind_text(cases[i].sql, false, grouped, groups, group_count);
        int column = b.error.column - SELECT_COLUMN + 1;
        if (b.status == OK) fail_msg("not refused: %s", cases[i].sql);
        if (!strstr(b.error.text, cases[i].text) || b.error.line != 2 || column != cases[i].column)
            fail_msg("%s\n  gave %d:%d: %s\n  not 2:%d: … %s", cases[i].sql, b.error.line, column,
                     b.error.text, cases[i].column, cases[i].text);
        if (b.catalog) catalog_free(&b.catalog);
    }
}

static void test_refusals(void **state) {
    (void)state;
    static const Refusal cases[] = {
        {"s + i", 3, "operator does not exist: text + integer; cast the text: column::integer"},
        {"s + s", 3, "operator does not exist: text + text; text is joined by ||"},
        {"tz + 5", 4, "add an interval to a time"},
        {"j = 5", 3, "operator does not exist: jsonb = integer; a part of a jsonb"},
        {"i == 1", 3, "write a = b"},
        {"f && f", 3, "write a AND b"},
        {"'1' + '2'", 5, "operator is not unique: unknown + unknown"},
        {"-'1'", 1, "operator is not unique"},
        {"f + 1 > 2 AND s", 3, "operator does not exist: boolean + integer"},
        {"f AND s", 7, "argument of AND must be type boolean, not type text"},
        {"NOT i", 5, "argument of NOT must be type boolean, not type integer"},
        {"CASE WHEN i THEN 1 END", 11, "argument of CASE/WHEN must be type boolean"},
        {"i IS TRUE", 1, "argument of IS TRUE must be type boolean"},
        {"CASE WHEN f THEN 1 ELSE tz END", 25,
         "CASE types timestamp with time zone and integer cannot be matched"},
        {"coalesce(i, s)", 10, "COALESCE types integer and text cannot be matched"},
        {"i = 'x'", 5, "invalid input syntax for type integer: \"x\""},
        {"u = 'x'", 5, "invalid input syntax for type uuid: \"x\""},
        {"date '2026-13-01'", 6, "2026-13-01"},
        {"j::timestamptz", 1,
         "cannot cast type jsonb to timestamp with time zone; read it as text"},
        {"f::bigint", 1, "cannot cast type boolean to bigint; write CASE"},
        {"s::string", 4, "type \"string\" is not supported; use text"},
        {"round(d, 2)", 1,
         "function round(double precision, integer) does not exist; round to digits is for "
         "numeric"},
        {"upper(i)", 1, "function upper(integer) does not exist; there is upper(text)"},
        {"uper(s)", 1, "function uper(text) does not exist; did you mean upper?"},
        {"ifnull(s, 'x')", 1, "write coalesce(a, b)"},
        {"TumblingWindow(s, 1)", 1, "windows stand in FROM"},
        {"tumble(s, tz, INTERVAL '1 minute')", 1, "stands in FROM"},
        {"date_trunc('hour', '2026-01-01')", 1,
         "function date_trunc(unknown, unknown) is not unique; cast an argument"},
        {"date_trunc('fortnight', tz)", 1, "fortnight"},
        {"s ~ '('", 3, "invalid regular expression"},
        {"array_agg(s)", 1, "comes with a later version"},
        {"percentile_cont(0.5) WITHIN GROUP (ORDER BY d)", 1, "later version"},
        {"row_number() OVER ()", 1, "OVER is not supported"},
        {"sum(i) OVER (PARTITION BY s)", 1, "OVER is not supported"},
        {"unnest(s)", 1, "gives several rows"},
        {"public.f(s)", 1, "a function in a schema"},
        {"make_interval(days => 3)", 15, "a named argument"},
        {"upper(DISTINCT s)", 1, "DISTINCT specified, but upper is not an aggregate function"},
        {"metadata('offset')", 1, "generated columns only"},
        {"nothing", 1, "column \"nothing\" does not exist; there are i2, i, b"},
        {"device", 1, "column \"device\" does not exist"},
        {"deviceId2", 1, "did you mean"},
        {"deviceId", 1, "ambiguous: \"deviceId\" and \"DeviceID\" differ in case alone"},
        {"\"deviceid\"", 1, "means exactly this spelling"},
        {"\"some text\"", 1, "text is written in single quotes: 'some text'"},
        {"user", 1, "write it in double quotes: \"user\""},
        {"t", 1, "a whole row is no value"},
        {"t.*", 1, "* is not supported"},
        {"t2.i", 1, "missing FROM-clause entry for table \"t2\"; did you mean \"t\"?"},
        {"t.nothing", 1, "column \"t.nothing\" does not exist"},
        {"s.a", 1, "column \"s\" is of type text and has no parts"},
        {"(SELECT 1)", 1, "a sub-query in an expression"},
        {"i IN (SELECT 1)", 3, "a sub-query in an expression"},
        {"EXISTS (SELECT 1)", 1, "a sub-query"},
        {"ARRAY[1, 2]", 1, "an array is not supported; write x IN (1, 2)"},
        {"(1, 2)", 1, "a row of values is not supported; write its values one by one"},
        {"my.upper(s)", 1, "a function in a schema is not supported; leave the schema out"},
        {"year(tz)", 1, "write extract(year FROM time)"},
        {"tz - '1 hour'", 6, "\"1 hour\"; for a length of time write INTERVAL before it"},
        {"cumulate(s, tz, INTERVAL '1 minute', INTERVAL '1 hour')", 1,
         "cumulate(t, time, INTERVAL '10 seconds', INTERVAL '1 minute')"},
        {"i = ANY ('{1,2}')", 3, "ANY over this is not supported; write x IN"},
        {"s COLLATE \"C\"", 3, "COLLATE is not supported"},
        {"$1", 1, "a parameter"},
        {"B'101'", 1, "a bit string"},
        {"current_time", 1, "the type time"},
        {"current_timestamp(3)", 1, "a precision of times"},
        {"INTERVAL '1 2' DAY TO HOUR", 10, "an interval of fields"},
        {"INTERVAL(3) '1 s'", 13, "an interval of fields"},
        {"(regexp_match(s, 'a'))[1:2]", 2, "a slice of an array"},
        {"i[1]", 1, "cannot subscript type integer"},
        {"'${LEAT_TEST_NONE}'", 1, "LEAT_TEST_NONE is not set"},
        {"sum(i)", 1, "aggregate functions are not allowed in WHERE; write HAVING"},
        {"j.a + j.b", 5, "operator does not exist: jsonb + jsonb"},
    };
    check_refusals(cases, sizeof cases / sizeof *cases, false, NULL, 0);
    static const char *const groups[] = {"s"};
    static const Refusal grouped[] = {
        {"i", 1,
         "column \"i\" must appear in the GROUP BY clause or be used in an aggregate function"},
        {"s || t.v", 6, "column \"t.v\" must appear"},
        {"j.a.b", 1, "column \"j.a.b\" must appear"},
        {"sum(sum(i))", 5, "cannot be nested"},
        {"count(*) FILTER (WHERE sum(i) > 1)", 24, "not allowed in FILTER"},
        {"sum(s)", 1, "function sum(text) does not exist; cast the text"},
        {"bool_or(s)", 1, "cast the text: bool_or(column::boolean)"},
        {"min(j)", 1, "a part of the jsonb and cast it: min((column ->> 'key')::double precision)"},
        {"sum('1')", 1, "function sum(unknown) is not unique"},
        {"sum(*)", 1, "sum(*) must be used with a column"},
        {"count()", 1, "count(*) must be used"},
        {"bool_and(i)", 1,
         "function bool_and(integer) does not exist; there are bool_and(boolean)"},
        {"first_value(i ORDER BY b)", 1, "ORDER BY inside an aggregate"},
        {"count(*) FILTER (WHERE i)", 24, "argument of FILTER must be type boolean"},
    };
    check_refusals(grouped, sizeof grouped / sizeof *grouped, true, groups, 1);
}

static void test_intervals(void **state) {
    (void)state;
    static const struct {
        const char *sql;
        int64_t us;
        const char *error;
    } cases[] = {
        {"INTERVAL '1 minute'", 60000000, NULL},
        {"'90 seconds'", 90000000, NULL},
        {"INTERVAL '1' HOUR", 3600 * INT64_C(1000000), NULL},
        {"INTERVAL '1 minute' * 2", 120000000, NULL},
        {"INTERVAL '1 month'", 0, "size has months"},
        {"INTERVAL '0'", 0, "size must be greater than zero"},
        {"INTERVAL '-1 s'", 0, "size must be greater than zero"},
        {"60", 0, "size must be an interval, such as INTERVAL '1 minute', not type integer"},
        {"iv", 0, "size must be a constant interval"},
        {"NULL", 0, "size must be a constant interval"},
        {"'x'", 0, "invalid input syntax for type interval: \"x\""},
    };
    EACH(cases) {
        Bound b = bind_text(cases[i].sql, false, false, NULL, 0);
        int64_t us = 0;
        Error error = {0};
        NodeTree *node = b.catalog->views[0].select->target_list[0]->res_target->val;
        Status status = bind_interval_constant(&b.scope, node, "size", false, &us, &error);
        if (cases[i].error ? status == OK || !strstr(error.text, cases[i].error) || error.line != 2
                           : status != OK || us != cases[i].us)
            fail_msg("%s gave %d, %lld, %s", cases[i].sql, (int)status, (long long)us, error.text);
        catalog_free(&b.catalog);
    }
}

static void test_casts(void **state) {
    (void)state;
    Bound b = bind_text("d", false, false, NULL, 0);
    Error error;
    Expr *out;
    assert_int_equal(bind_cast(&b.scope, b.expr, type_of(TYPE_INT4), CAST_IMPLICIT, &out, &error),
                     FAIL);
    assert_string_equal(error.text,
                        "type double precision is not integer; write it as a cast: (…)::integer");
    assert_int_equal(error.line, 2);
    assert_int_equal(bind_cast(&b.scope, b.expr, type_of(TYPE_INT4), CAST_ASSIGNMENT, &out, &error),
                     OK);
    assert_int_equal(bind_cast(&b.scope, b.expr, type_of(TYPE_DATE), CAST_EXPLICIT, &out, &error),
                     FAIL);
    catalog_free(&b.catalog);
    static const struct {
        TypeKind types[3], common;
    } cases[] = {
        {{TYPE_UNKNOWN, TYPE_UNKNOWN, TYPE_UNKNOWN}, TYPE_TEXT},
        {{TYPE_INT4, TYPE_UNKNOWN, TYPE_INT8}, TYPE_INT8},
        {{TYPE_UNKNOWN, TYPE_INT2, TYPE_NUMERIC}, TYPE_NUMERIC},
        {{TYPE_NUMERIC, TYPE_FLOAT4, TYPE_INT4}, TYPE_FLOAT4},
        {{TYPE_VARCHAR, TYPE_TEXT, TYPE_UNKNOWN}, TYPE_VARCHAR},
        {{TYPE_DATE, TYPE_TIMESTAMP, TYPE_TIMESTAMPTZ}, TYPE_TIMESTAMPTZ},
    };
    EACH(cases) {
        Type types[3], common;
        for (int k = 0; k < 3; k++) types[k] = type_of(cases[i].types[k]);
        assert_int_equal(common_type(types, 3, "UNION", &common, &error), OK);
        assert_int_equal(common.kind, cases[i].common);
    }
    Type types[2] = {type_of(TYPE_INT4), type_of(TYPE_TEXT)}, common;
    assert_int_equal(common_type(types, 2, "UNION", &common, &error), FAIL);
    assert_string_equal(error.text,
                        "UNION types integer and text cannot be matched; cast one of them");
}

/* What repeats an operand, nested: refused before it doubles at each of many levels. */
static void test_repeats(void **state) {
    (void)state;
    static const struct {
        const char *open, *close;
    } forms[] = {
        {"(", " BETWEEN SYMMETRIC f AND NOT f)"},
        {"(CASE ", " WHEN f THEN f WHEN true THEN NOT f END)"},
        {"(", " IN (f, NOT f))"},
    };
    EACH(forms) {
        Buffer text = {0};
        for (int k = 0; k < 60; k++) buffer_add_text(&text, forms[i].open);
        buffer_add_text(&text, "f");
        for (int k = 0; k < 60; k++) buffer_add_text(&text, forms[i].close);
        buffer_add_char(&text, 0);
        Bound b = bind_text(text.data, false, false, NULL, 0);
        assert_int_equal(b.status, FAIL);
        assert_non_null(strstr(b.error.text, "too large by being repeated"));
        catalog_free(&b.catalog);
        buffer_free(&text);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_expressions),  cmocka_unit_test(test_paths),
        cmocka_unit_test(test_pushed_paths), cmocka_unit_test(test_groups),
        cmocka_unit_test(test_refusals),     cmocka_unit_test(test_intervals),
        cmocka_unit_test(test_casts),        cmocka_unit_test(test_repeats),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
