"""Random queries, judged by PostgreSQL 15: filters, joins, groups, sub-selects and unions that nobody
would think of writing, over rows full of NULLs. A seed gives the same queries for ever."""
import json
import random
import re

import pytest

from support.rows import Home, difference, parse

COLUMNS = {"id": "int", "k": "text", "x": "int", "f": "float8", "n": "numeric", "b": "boolean",
           "s": "text", "t": "timestamptz"}
REFERENCE = [("a", "north", 1), ("b", "south", 2), ("c", None, 3), ("z", "none", 9)]
TABLES = """SET http = 'off';
CREATE TABLE events (id int, k text, x int, f double precision, n numeric, b boolean, s text,
  t timestamptz) WITH (connector = 'file', path = 'events.ndjson');
CREATE TABLE ref (k text PRIMARY KEY, site text, w int) WITH (connector = 'file', path = 'ref.ndjson');
"""

LITERALS = {"int": "3", "bigint": "4::bigint", "float8": "1.5::float8", "numeric": "2.50",
            "text": "'lit'", "boolean": "true", "timestamptz": "'2026-01-01T02:00:00Z'::timestamptz"}
# {type} stands for another expression of that type
SHAPES = {
    "int": ["({int} + {int})", "coalesce({int}, 0)", "CASE WHEN {boolean} THEN {int} ELSE {int} END",
            "length({text})", "({int} * 2 - 1)", "abs({int})"],
    "bigint": ["({int})::bigint", "({bigint} + {int})"],
    "float8": ["({float8} * 2)", "({int})::float8", "coalesce({float8}, 0)", "({float8} + {numeric})"],
    "numeric": ["({numeric} + {int})", "round({numeric}, 1)", "({numeric} * {numeric})",
                "coalesce({numeric}, {int})", "({numeric} / 3)"],
    "text": ["upper({text})", "({text} || {text})", "coalesce({text}, '-')", "({int})::text",
             "nullif({text}, 'foo')", "({numeric})::text"],
    "timestamptz": ["date_trunc('hour', {timestamptz})", "({timestamptz} + interval '1 hour')"],
    "boolean": ["({int} > {int})", "({text} = {text})", "({numeric} <= {numeric})",
                "({boolean} AND {boolean})", "({boolean} OR {boolean})", "(NOT {boolean})",
                "({text} IS NULL)", "({int} IN (1, 2, 3))", "({text} LIKE '%o%')",
                "({int} IS DISTINCT FROM {int})"],
}
AGGREGATES = ["count(*)", "count({text})", "sum({int})", "sum({bigint})", "sum({numeric})", "avg({int})",
              "avg({numeric})", "avg({float8})", "min({text})", "max({int})", "min({timestamptz})",
              "max({numeric})", "max({float8})", "bool_and({boolean})", "bool_or({boolean})",
              "count(DISTINCT {text})", "count(DISTINCT {numeric})", "sum(DISTINCT {int})",
              "stddev({int})", "var_pop({int})", "variance({numeric})"]
GROUPED = ["int", "text", "boolean", "timestamptz", "numeric"]


class Queries:
    def __init__(self, seed):
        self.rng = random.Random(seed)
        self.names = 0

    def name(self, letter):
        self.names += 1
        return f"{letter}{self.names}"

    def fill(self, shape, columns, depth):
        return re.sub(r"\{(\w+)\}", lambda m: self.expression(columns, m[1], depth), shape)

    def expression(self, columns, kind, depth=2):
        if depth <= 0 or self.rng.random() < 0.35:
            fitting = [name for name, type_ in columns.items() if type_ == kind]
            return self.rng.choice(fitting) if fitting and self.rng.random() < 0.85 else LITERALS[kind]
        return self.fill(self.rng.choice(SHAPES[kind]), columns, depth - 1)

    def where(self, columns, share):
        return f" WHERE {self.expression(columns, 'boolean')}" if self.rng.random() < share else ""

    def source(self, depth):
        """A FROM clause and its columns."""
        choice = self.rng.random()
        if choice < 0.3 or depth <= 0:
            return "events", COLUMNS
        if choice < 0.65:
            query, columns = self.select(depth - 1)
            return f"({query}) {self.name('q')}", columns
        if choice < 0.75 or depth < 2:
            left, columns = "events", COLUMNS
        else:
            query, columns = self.select(depth - 1)
            left = f"({query})"
        if columns.get("k") != "text":
            return (left if left == "events" else f"{left} {self.name('q')}"), columns
        a, r = self.name("e"), self.name("r")
        joined = {f"{a}.{name}": kind for name, kind in columns.items()}
        joined |= {f"{r}.site": "text", f"{r}.w": "int"}
        join = self.rng.choice(["JOIN", "LEFT JOIN"])
        return f"{left} {a} {join} ref {r} ON {r}.k = {a}.k", joined

    def select(self, depth):
        if depth > 0 and self.rng.random() < 0.12:
            kinds = self.rng.choices(list(LITERALS), k=2)
            branches = []
            for _ in range(2):
                source, columns = self.source(depth - 1)
                items = [f"{self.expression(columns, kind)} AS u{i}" for i, kind in enumerate(kinds)]
                branches.append(f"SELECT {', '.join(items)} FROM {source}")
            return " UNION ALL ".join(branches), {f"u{i}": kind for i, kind in enumerate(kinds)}
        source, columns = self.source(depth)
        where = self.where(columns, 0.4)
        out = {f"c{i}": kind for i, kind in enumerate(self.rng.choices(list(LITERALS), k=3))}
        items = [f"{self.expression(columns, kind)} AS {name}" for name, kind in out.items()]
        key = next((name for name in columns if name.split(".")[-1] == "k"), None)
        if key and columns[key] == "text":
            items.append(f"{key} AS k")
            out["k"] = "text"
        return f"SELECT {', '.join(items)} FROM {source}{where}", out

    def group(self, depth):
        source, columns = self.source(depth)
        where = self.where(columns, 0.3)
        fields = [name for name, kind in columns.items() if kind in GROUPED]
        groups = [self.expression(columns, columns[self.rng.choice(fields)], 1)
                  for _ in range(self.rng.randrange(3))] if fields else []
        literals = set(LITERALS.values())     # GROUP BY 3 is the third column
        groups = [g for g in dict.fromkeys(groups) if g not in literals]
        aggregates = []
        for _ in range(self.rng.randrange(1, 5)):
            call = self.fill(self.rng.choice(AGGREGATES), columns, 1)
            if self.rng.random() < 0.25:
                call += f" FILTER (WHERE {self.expression(columns, 'boolean', 1)})"
            aggregates.append(call)
        items = [f"{g} AS g{i}" for i, g in enumerate(groups)] + \
                [f"{a} AS a{i}" for i, a in enumerate(aggregates)]
        by = f" GROUP BY {', '.join(groups)}" if groups else ""
        having = " HAVING count(*) > 2" if self.rng.random() < 0.25 else ""
        return f"SELECT {', '.join(items)} FROM {source}{where}{by}{having}"

    def changes(self, group):
        """What reads a view of groups: its columns, expressions over them, a WHERE."""
        names = re.findall(r" AS ([ga]\d+)", group)
        columns = {name: "bigint" for name in names if f"count(*) AS {name}" in group}
        items = list(names)
        if columns:
            items.append(f"{self.expression(columns, 'bigint')} AS e")
        where = f" WHERE {self.rng.choice(names)} IS NOT NULL"
        if columns:
            where = f" WHERE {self.rng.choice(list(columns))} % {self.rng.randrange(2, 5)} <> 0"
        return f"SELECT {', '.join(items)} FROM @{where}"

    def query(self):
        if self.rng.random() < 0.5:
            return self.group(self.rng.randrange(3))
        return self.select(self.rng.randrange(4))[0]

    def rows(self, count):
        pick = self.rng.choice
        return [{"id": i, "k": pick(["a", "b", "c", "d", None, "e"]),
                 "x": pick([None, *range(-5, 6)]), "f": pick([None, 0.5, -1.25, 2.0, 100.125]),
                 "n": pick([None, "1.50", "-2.005", "10", "0.1"]), "b": pick([True, False, None]),
                 "s": pick(["foo", "bar", "", "Zé", None]),
                 "t": f"2026-01-01T0{self.rng.randrange(4)}:{self.rng.randrange(60):02d}:00Z"}
                for i in range(count)]


def line(row):
    """A record as JSON whose numeric keeps its digits."""
    text = json.dumps({**row, "n": "@"})
    return text.replace('"@"', row["n"] or "null") + "\n"


@pytest.mark.parametrize("seed", range(20))
def test_random_queries(leat, postgres, seed):
    queries = Queries(seed)
    rows = queries.rows(150)
    postgres.load("events", list(COLUMNS.items()), [tuple(row.values()) for row in rows])
    postgres.load("ref", [("k", "text"), ("site", "text"), ("w", "int")], REFERENCE)
    views = {f"v{i}": queries.query() for i in range(15)}
    leat.write("events.ndjson", "".join(map(line, rows)))
    leat.write("ref.ndjson", [dict(zip(("k", "site", "w"), row)) for row in REFERENCE])
    leat.write("p.sql", TABLES + "".join(f"CREATE MATERIALIZED VIEW {view} AS\n{query};\n"
                                         for view, query in views.items()))
    leat.ok("run", "p.sql", env={"LEAT_BATCH_ROWS": f"random:{seed}"} if seed % 2 else {})
    home, wrong = Home(leat.folder / "p.leat"), []
    for view, query in views.items():
        expected = [parse(re.sub(r'(\d)\+00:00"', r'\1Z"', row)) for row in postgres.json_rows(query)]
        found = difference(expected, home.rows(view))
        if found:
            wrong.append(f"{query}\n  {found}")
    assert not wrong, "\n".join(wrong)


KILLED = {"LEAT_BATCH_ROWS": 5, "LEAT_EPOCH_ROWS": 10, "LEAT_KILL_AT_EPOCH": 3}


@pytest.mark.parametrize("seed", range(4))
def test_random_changes(leat, postgres, seed):
    """Groups without a window over a source that does not end, and views that read them: what they
    come to, changed and deleted on the way and killed between, is PostgreSQL's answer."""
    queries = Queries(1000 + seed)
    rows = queries.rows(150)
    postgres.load("events", list(COLUMNS.items()), [tuple(row.values()) for row in rows])
    postgres.load("ref", [("k", "text"), ("site", "text"), ("w", "int")], REFERENCE)
    views, asked = {}, {}
    for i in range(8):
        group = queries.group(queries.rng.randrange(2))
        first, second = queries.changes(group), "SELECT *, 1 AS one FROM @"
        views |= {f"g{i}": group, f"r{i}": first.replace("@", f"g{i}"),
                  f"s{i}": second.replace("@", f"r{i}")}
        asked |= {f"g{i}": group, f"r{i}": first.replace("@", f"({group}) g")}
        asked[f"s{i}"] = second.replace("@", f"({asked[f'r{i}']}) r")
    leat.write("events.ndjson", "".join(map(line, rows)))
    leat.write("ref.ndjson", [dict(zip(("k", "site", "w"), row)) for row in REFERENCE])
    leat.write("p.sql", TABLES.replace("'events.ndjson'", "'events.ndjson', follow = true") +
               "CREATE MATERIALIZED VIEW seen AS SELECT id FROM events;\n" +
               "".join(f"CREATE MATERIALIZED VIEW {view} AS\n{query};\n"
                       for view, query in views.items()))
    home, wrong = Home(leat.folder / "p.leat"), []
    for _ in range(3):
        ended = leat.start("run", "p.sql", env=KILLED).wait(60)
        assert ended.status == -9, ended
    running = leat.start("run", "p.sql")
    running.wait_until(lambda: home.count("seen") == 150, "all rows are counted")
    assert running.terminate().status == 0
    for view, query in asked.items():
        expected = [parse(re.sub(r'(\d)\+00:00"', r'\1Z"', row)) for row in postgres.json_rows(query)]
        found = difference(expected, home.rows(view))
        if found:
            wrong.append(f"{query}\n  {found}")
    assert not wrong, "\n".join(wrong)
