"""Every expression of expressions.txt on every row: `leat sql` and PostgreSQL 15 agree.

A row on which PostgreSQL fails must be missing from the output and counted, with exit status 1. What
PostgreSQL refuses for all rows before it runs must be refused here too. A function that Leat does not
have must be refused by name, and only those of BEYOND, which the language does not promise, may be
missing."""
import json
import pathlib
import re

import pytest

from support.rows import Number, parse, same

ROWS = [
    dict(id=1, i=1, j=2, x=1.5, y=2.25, s="hello", u="ell", n="1.50",
         d="2026-01-31 10:20:30.123456+00", iv="1 day 02:03:04",
         o={"a": 1, "b": "x", "c": [1, 2, {"z": None}], "d": {"e": 2.5}}),
    dict(id=2, i=-7, j=3, x=-2.5, y=0.5, s="Ärger Straße", u="ß", n="-0.005",
         d="2024-02-29 23:59:59.999999+00", iv="-1 mon +2 days -03:00:00.5",
         o={"a": "1", "b": None, "c": []}),
    dict(id=3, i=0, j=0, x=0.0, y=0.0, s="", u="", n="0", d="1999-12-31 00:00:00+00",
         iv="00:00:00", o={}),
    dict(id=4, i=None, j=None, x=None, y=None, s=None, u=None, n=None, d=None, iv=None, o=None),
    dict(id=5, i=9223372036854775807, j=1, x=1e308, y=1e-308, s="日本語 text", u="語",
         n="12345678901234567890.123456789", d="1970-01-01 00:00:00+00", iv="178 years",
         o={"a": 100.0, "b": True, "c": "s"}),
    dict(id=6, i=-9223372036854775808, j=-1, x=123456.789, y=1e-7, s="a%b_c\\d", u="%b_",
         n="1e-10", d="2026-07-04 12:00:00.5+02:00", iv="1 year 2 mons 3 days 04:05:06.789",
         o={"a": 1.0, "b": "é", "c": [[1]]}),
    dict(id=7, i=42, j=5, x=0.1, y=3.0, s="  trim me  ", u=" ", n="99.995",
         d="2026-12-31 23:59:59+00", iv="90 minutes", o={"a": {"b": {"c": "deep"}}, "b": "7"}),
    dict(id=8, i=100, j=-9, x=-0.5, y=2.0, s="2026-01-31", u="-", n="-1234.5678",
         d="2026-01-01 00:00:00+00", iv="-00:00:00.000001", o={"c": [1, "two", 3.0]}),
]
TYPES = [("id", "bigint"), ("i", "bigint"), ("j", "bigint"), ("x", "double precision"),
         ("y", "double precision"), ("s", "text"), ("u", "text"), ("n", "text"), ("d", "text"),
         ("iv", "text"), ("o", "jsonb")]
EXPRESSIONS = [line for line in
               (pathlib.Path(__file__).parent / "expressions.txt").read_text().splitlines()
               if line and not line.startswith("#")]
# Beyond LANGUAGE section 5: each may be refused, but then by its name.
BEYOND = re.compile(
    r"\b(bit_length|octet_length|char_length|initcap|substr|translate|ascii|chr|overlay|SIMILAR|"
    r"to_hex|quote_literal|quote_ident|string_to_array|to_number|cbrt|log10|ceiling|degrees|div|"
    r"gcd|lcm|factorial|scale|trim_scale|num_nulls|num_nonnulls|make_interval|make_date|"
    r"make_timestamp|justify_\w+|isfinite|jsonb_build_array|jsonb_strip_nulls|jsonb_set|"
    r"jsonb_extract_path_text|COLLATE|time|char|array)\b|::time\b|::char|\?\||\?&|<@|\^@|"
    r"o \|\| |o - 'a'|\(i, j\)|[&|#~]\s?j|<<|>>|~j|i # j")

JUDGE = """
CREATE OR REPLACE FUNCTION judge(expression text)
RETURNS TABLE (id bigint, kind text, result text, failure text) LANGUAGE plpgsql AS $f$
BEGIN
  FOR judge.id IN SELECT input.id FROM input ORDER BY 1 LOOP
    kind := NULL; result := NULL; failure := NULL;
    BEGIN
      EXECUTE format('SELECT pg_typeof(v)::text, row_to_json(row_)::text FROM (SELECT %s AS v FROM input '
                     'WHERE id = %s) row_', expression, judge.id) INTO kind, result;
    EXCEPTION WHEN OTHERS THEN failure := SQLSTATE || ' ' || SQLERRM;
    END;
    RETURN NEXT;
  END LOOP;
END $f$"""


@pytest.fixture(scope="module")
def judge(postgres):
    postgres.load("input", TYPES,
                  [tuple(json.dumps(row[name]) if name == "o" and row[name] is not None
                         else row[name] for name, _ in TYPES) for row in ROWS])
    postgres.execute(JUDGE)

    def ask(expression):
        with postgres.connection.cursor() as cursor:
            cursor.execute("SELECT * FROM judge(%s)", (expression,))
            return cursor.fetchall()
    return ask


def equal(kind, expected, actual):
    if kind.startswith("timestamp with") and isinstance(expected, str):
        expected = re.sub(r"\+00:00$", "Z", expected)
    if kind in ("smallint", "integer", "bigint", "numeric") and expected is not None:
        return str(expected) == str(actual) and isinstance(actual, Number) == \
            isinstance(expected, Number)
    if kind == "real" and isinstance(expected, Number):
        return isinstance(actual, Number) and float(expected) == float(actual)
    return same(expected, actual)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expression(leat, judge, expression):
    leat.write("input.ndjson", ROWS)
    verdict = judge(expression)
    ended = leat.run("sql", f"SELECT id, {expression} AS v FROM input", "input.ndjson")
    if ended.status == 2:
        refused = all(failure or parse(result)["v"] is None for _, _, result, failure in verdict)
        assert refused or BEYOND.search(expression), ended
        assert "error:" in ended.err, ended
        return
    assert ended.status in (0, 1), ended
    came = {int(row["id"]): row["v"] for row in map(parse, ended.out.splitlines())}
    wrong = []
    for number, kind, result, failure in verdict:
        if failure:
            if number in came:
                wrong.append(f"row {number}: {failure}; came {came[number]!r}")
            continue
        expected = parse(result)["v"]
        if number not in came:
            wrong.append(f"row {number}: missing, expected {expected!r} ({kind})")
        elif not equal(kind, expected, came[number]):
            wrong.append(f"row {number}: expected {expected!r} ({kind}), came {came[number]!r}")
    assert not wrong, "\n".join([expression, *wrong, ended.err[-1500:]])
    assert ended.status == int(any(v[3] for v in verdict)), ended
