"""Random queries over windows, judged by PostgreSQL 15: tumble, hop, cumulate and session with odd
sizes and offsets, windows and groups over results of windows, joins and unions of them, through views,
materialized views and sub-selects. A seed gives the same pipeline for ever. Rows come out of order on
several partitions, and some are late: `seen`, worked out beside the generator, tells PostgreSQL which."""
import dataclasses
import random
import re

import pytest

from support.data import BASE_US, SECOND, shuffle, stamp, with_seen
from support.rows import Home, difference, parse
from test_random import Queries, REFERENCE, TABLES, line

COLUMNS = {"id": "int", "k": "text", "x": "int", "n": "numeric", "b": "boolean", "s": "text"}
AGGREGATES = [("count(*)", "bigint"), ("count({text})", "bigint"), ("sum({int})", "bigint"),
              ("avg({int})", "numeric"), ("sum({numeric})", "numeric"), ("max({int})", "int"),
              ("min({text})", "text"), ("bool_or({boolean})", "boolean"), ("var_pop({int})", "numeric"),
              ("count(DISTINCT {text})", "bigint"), ("sum(DISTINCT {int})", "bigint")]
KEYS = ("text", "boolean", "int")
EPOCH = "timestamptz '1970-01-01Z'"
WAYS = [{}, {"LEAT_BATCH_ROWS": 1}, {"LEAT_BATCH_ROWS": "random:1"},
        {"LEAT_BATCH_ROWS": 5, "LEAT_EPOCH_ROWS": 20, "LEAT_KILL_AT_EPOCH": 3}]


@dataclasses.dataclass
class Relation:
    """What stands in FROM, for both sides. windows: those of window_start, window_end that it has;
    plain: rows in their windows, not groups."""
    leat: str
    judge: str
    columns: dict
    windows: tuple = ()
    keys: tuple = ()
    plain: bool = False


class Windows(Queries):
    def __init__(self, seed):
        super().__init__(seed)
        self.statements, self.asked = [], {}

    def some(self, items, most):
        items = list(items)
        return self.rng.sample(items, min(len(items), self.rng.randrange(most + 1)))

    def rows(self):
        """The events, or a sub-select over them."""
        if self.rng.random() < 0.5:
            return Relation("events", "(SELECT * FROM events)", COLUMNS)
        columns = {name: COLUMNS[name] for name in ["id", *self.some(list(COLUMNS)[1:], 4)]}
        items, kind = ", ".join(columns), self.rng.choice(KEYS)
        computed = self.name("c")
        items += f", {self.expression(COLUMNS, kind)} AS {computed}"
        where = self.where(COLUMNS, 0.5)
        return Relation(f"(SELECT {items}, t FROM events{where})",
                        f"(SELECT {items}, t, seen FROM events{where})", columns | {computed: kind})

    def window(self, source, time, judged):
        """A window over a relation by its column `time`, which the judge calls `judged`."""
        size = self.rng.choice([10, 20, 30, 60, 90, 300])
        offset = self.rng.choice([0, 0, 3, 7, -4])
        moved, begin = f", \"offset\" => INTERVAL '{offset} s'", f"{EPOCH} + interval '{offset} s'"
        kind = self.rng.choice(["tumble", "hop", "cumulate"])
        every = self.rng.choice([e for e in (5, 7, 10, 15, 30) if e <= size and
                                 (kind != "cumulate" or size % e == 0)])
        if kind == "tumble":
            arguments, every = f"size => INTERVAL '{size} s'{moved}", size
        elif kind == "hop":
            arguments = f"size => INTERVAL '{size} s', slide => INTERVAL '{every} s'{moved}"
        else:
            arguments = f"INTERVAL '{every} s', INTERVAL '{size} s'"
        if kind == "cumulate":
            first = f"date_bin('{size} s', {judged}, {EPOCH})"
            bounds = f"{first} AS window_start, {first} + i * interval '{every} s' AS window_end"
            steps = size // every
        else:
            last = f"date_bin('{every} s', {judged}, {begin}) - (i - 1) * interval '{every} s'"
            bounds = f"{last} AS window_start, {last} + interval '{size} s' AS window_end"
            steps = size // every + 1
        late = "AND (seen IS NULL OR window_end > seen)" if judged == "t" else ""
        return Relation(f"{kind}({source.leat}, {time}, {arguments})", f"""(SELECT * FROM (
            SELECT *, {bounds} FROM {source.judge} {self.name('j')}, generate_series(1, {steps}) i
            ) {self.name('j')} WHERE window_end > {judged} {late}) {self.name('j')}""", source.columns)

    def session(self):
        source, gap = self.rows(), self.rng.choice([2, 5, 10])
        keys = self.some([n for n, kind in source.columns.items() if kind in KEYS and n != "id"], 2)
        by = f", partition_by => ({', '.join(keys)})" if keys else ""
        part = f"PARTITION BY {', '.join(keys)}" if keys else ""
        number = self.name("number")
        return Relation(f"session({source.leat}, t, INTERVAL '{gap} s'{by})", f"""(
            SELECT *, min(t) OVER w AS window_start, max(t) OVER w + interval '{gap} s' AS window_end
            FROM (SELECT *, count(*) FILTER (WHERE opens) OVER ({part} ORDER BY t, row) AS {number}
              FROM (SELECT *, coalesce(t - lag(t) OVER ({part} ORDER BY t, row) > interval '{gap} s',
                                       true) AS opens
                FROM (SELECT *, row_number() OVER () AS row FROM {source.judge} a) b
                WHERE seen IS NULL OR t >= seen) c) d
            WINDOW w AS (PARTITION BY {', '.join([*keys, number])})) {self.name('j')}""",
                        source.columns, keys=tuple(keys))

    def calls(self, columns):
        calls = {}
        for _ in range(self.rng.randrange(1, 4)):
            shape, kind = self.rng.choice(AGGREGATES)
            calls[self.name("a")] = self.fill(shape, columns, 1), kind
        return [f"{call} AS {name}" for name, (call, _) in calls.items()], \
            {name: kind for name, (_, kind) in calls.items()}

    def group(self, source):
        """A GROUP BY right behind a window, naming one of its two columns or both."""
        keys = list(source.keys)
        keys += self.some([n for n, kind in source.columns.items() if kind in KEYS and n not in keys], 2)
        named = self.rng.choice([("window_start", "window_end"), ("window_start",), ("window_end",)])
        calls, kinds = self.calls(source.columns)
        items = ", ".join([*keys, *named, *calls])
        where = self.where(source.columns, 0.25)
        having = self.rng.choice(["", "", " HAVING count(*) > 2"])
        both = ", ".join([*keys, "window_start", "window_end"])
        return Relation(
            f"SELECT {items} FROM {source.leat}{where} GROUP BY {', '.join([*keys, *named])}{having}",
            f"SELECT {items} FROM {source.judge}{where} GROUP BY {both}{having}",
            {key: source.columns[key] for key in keys} | kinds, named)

    def read(self, relation):
        """A query as something to select from: a sub-select, a view, a materialized view."""
        judge, choice = f"({relation.judge}) {self.name('j')}", self.rng.random()
        if choice < 0.4:
            return dataclasses.replace(relation, leat=f"({relation.leat})", judge=judge)
        name = self.name("v")
        self.add(name, relation, "MATERIALIZED " if choice > 0.7 else "")
        return dataclasses.replace(relation, leat=name, judge=judge)

    def add(self, name, relation, materialized="MATERIALIZED "):
        self.statements.append(f"CREATE {materialized}VIEW {name} AS\n{relation.leat};")
        if materialized:
            self.asked[name] = relation.judge

    def results(self, depth):
        choice = self.rng.random()
        if depth == 0:
            if choice < 0.75:
                return self.group(self.window(self.rows(), "t", "t"))
            return self.group(self.session())
        if choice < 0.3:
            return self.outer(self.read(self.results(depth - 1)))
        if choice < 0.6:
            return self.again(self.read(self.results(depth - 1)))
        left, right = self.results(depth - 1), self.results(depth - 1)
        shared = [w for w in left.windows if w in right.windows]
        if not shared:
            return left
        if choice < 0.85 and not left.plain and not right.plain:
            return self.join(self.read(left), self.read(right), self.rng.choice(shared))
        return self.union(self.read(left), self.read(right), shared)

    def outer(self, source):
        """A GROUP BY over results, of one window column as it stands."""
        window = self.rng.choice(source.windows)
        keys = self.some([n for n, kind in source.columns.items() if kind in KEYS], 1)
        calls, kinds = self.calls(source.columns)
        alias = f" {self.name('q')}" if source.leat.startswith("(") else ""
        text = f"SELECT {', '.join([*keys, window, *calls])} FROM @{self.where(source.columns, 0.2)} " \
               f"GROUP BY {', '.join([*keys, window])}"
        return Relation(text.replace("@", source.leat + alias), text.replace("@", source.judge),
                        {key: source.columns[key] for key in keys} | kinds, (window,))

    def again(self, source):
        """A window over results, by one of their window columns."""
        time, judged = self.rng.choice(source.windows), self.name("time")
        columns = ", ".join([*source.columns, f"{time} AS {judged}"])
        inner = dataclasses.replace(source, judge=f"(SELECT {columns} FROM {source.judge})")
        return self.group(self.window(inner, time, judged))

    def join(self, left, right, window):
        a, b = self.name("l"), self.name("r")
        on = [f"{a}.{window} = {b}.{window}"]
        on += [f"{a}.{x} = {b}.{y}" for x, kind in left.columns.items() for y, other in
               right.columns.items() if kind == other and kind in KEYS and self.rng.random() < 0.3][:2]
        names = {self.name("c"): (f"{side}.{name}", kind) for side, relation in ((a, left), (b, right))
                 for name, kind in list(relation.columns.items())[:3]}
        items = ", ".join(f"{column} AS {name}" for name, (column, _) in names.items())
        items, join = f"{items}, {a}.{window} AS {window}", self.rng.choice(["JOIN", "LEFT JOIN"])
        leat, judge = (f"SELECT {items} FROM {x} {a} {join} {y} {b} ON {' AND '.join(on)}" for x, y in
                       ((left.leat, right.leat),
                        (f"(SELECT * FROM {left.judge})", f"(SELECT * FROM {right.judge})")))
        return Relation(leat, judge, {name: kind for name, (_, kind) in names.items()}, (window,))

    def union(self, left, right, shared):
        pairs = [(x, y) for x, kind in left.columns.items() for y, other in right.columns.items()
                 if kind == other][:3]
        pairs = list({x: (x, y) for x, y in pairs}.values())
        texts = []
        for column, relation in enumerate((left, right)):
            items = ", ".join([pair[column] for pair in pairs] + shared)
            alias = f" {self.name('q')}" if relation.leat.startswith("(") else ""
            texts.append((f"SELECT {items} FROM {relation.leat}{alias}",
                          f"SELECT {items} FROM {relation.judge}"))
        return Relation(*(" UNION ALL ".join(text) for text in zip(*texts)),
                        {x: left.columns[x] for x, _ in pairs}, tuple(shared), plain=True)

    def events(self, count, partitions):
        pick, lists, number = self.rng.choice, [], 0
        for _ in range(partitions):
            us, rows = BASE_US + self.rng.randrange(30) * SECOND, []
            for _ in range(count // partitions):
                us += pick([0, 1, SECOND // 2, SECOND, SECOND, 2 * SECOND, 5 * SECOND, 5 * SECOND + 1])
                rows.append({"us": us, "id": number, "k": pick(["a", "b", "c", None]),
                             "x": pick([None, *range(-5, 6)]), "number": pick([None, "1.50", "-2.005"]),
                             "b": pick([True, False, None]), "s": pick(["foo", "bar", "", None])})
                number += 1
            lists.append(shuffle(rows, self.rng, 4 * SECOND, 0.03))
        return lists


@pytest.mark.parametrize("seed", range(16))
def test_random_windows(leat, postgres, seed):
    queries = Windows(seed)
    delay = queries.rng.choice([1, 3, 5])
    lists = with_seen(queries.events(random.Random(seed).choice([60, 300]), 1 + seed % 3), delay * SECOND)
    for number, rows in enumerate(lists):
        leat.write(f"in/{number}.ndjson", "".join(
            line({**{name: row[name] for name in COLUMNS}, "n": row["number"], "t": stamp(row["us"])})
            for row in rows))
    postgres.load("events", [*COLUMNS.items(), ("t", "timestamptz"), ("seen", "timestamptz")],
                  [(*(row["number" if name == "n" else name] for name in COLUMNS), stamp(row["us"]),
                    row["seen"] and stamp(row["seen"])) for rows in lists for row in rows])
    leat.write("ref.ndjson", [dict(zip(("k", "site", "w"), row)) for row in REFERENCE])
    for i in range(5):
        queries.add(f"result{i}", queries.results(queries.rng.randrange(4)))
    leat.write("p.sql", TABLES.replace(
        "path = 'events.ndjson'", f"path = 'in', event_time = 't', watermark_delay = '{delay} seconds'")
        + "\n".join(queries.statements))
    for _ in range(100):
        ended = leat.run("run", "p.sql", env=WAYS[seed % len(WAYS)])
        if ended.status != -9:
            break
    assert ended.status == 0, ended
    home, wrong = Home(leat.folder / "p.leat"), []
    for view, query in queries.asked.items():
        expected = [parse(re.sub(r'(\d)\+00:00"', r'\1Z"', row)) for row in postgres.json_rows(query)]
        found = difference(expected, home.rows(view))
        if found:
            wrong.append(f"{view}\n  {found}")
    assert not wrong, "\n".join([*wrong, *queries.statements])
