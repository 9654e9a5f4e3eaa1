"""Broken records: each has one outcome, none stops the pipeline or passes in silence.

LANGUAGE section 6 says which: a record is judged by UTF-8, by its structure, and by the columns that
some query reads; what no query reads is not looked into."""
import json

import pytest

from support.rows import Home, assert_same, parse

TABLE = """
SET http = 'off';
CREATE TABLE events (id int, v double precision, n numeric(6,2), s text, t timestamptz, ok boolean,
                     d jsonb, unread int)
WITH (connector = 'file', path = 'events.ndjson'%s);
CREATE MATERIALIZED VIEW good AS SELECT id, v, n, s, t, ok, d FROM events;
"""
BEFORE, AFTER = b'{"id":1}', b'{"id":2}'


def run(leat, record, options=""):
    """What became of a record between two good ones: its row, or None, and the dead letters."""
    leat.write("events.ndjson", BEFORE + b"\n" + record + b"\n" + AFTER + b"\n")
    leat.write("p.sql", TABLE % options)
    leat.ok("run", "p.sql")
    home = Home(leat.folder / "p.leat")
    rows = home.rows("good")
    assert {1, 2} <= {row["id"] for row in rows}, rows
    letters = home.query("SELECT query, source, partition, position, reason, record "
                         "FROM dead_letters ORDER BY position")
    return [row for row in rows if row["id"] not in (1, 2)], letters


DEAD = {
    "no json": b"hello",
    "truncated": b'{"id":3,"s":"abc',
    "truncated after value": b'{"id":3,"v":1',
    "truncated in key": b'{"id":3,"v',
    "array": b'[{"id":3}]',
    "number": b"17",
    "string": b'"text"',
    "null": b"null",
    "two objects": b'{"id":3}{"id":4}',
    "something after": b'{"id":3},',
    "open bracket inside": b'{"id":3,"d":[1,2}',
    "brackets crossed": b'{"id":3,"d":{"a":[1}]}',
    "closed too often": b'{"id":3}}',
    "binary": b"\x00\x01\x02\xff",
    "NUL in front": b'\x00{"id":3}',
    "invalid UTF-8 in a read text": b'{"id":3,"s":"a\xffb"}',
    "invalid UTF-8 in an unread field": b'{"id":3,"x":"a\xc3("}',
    "overlong UTF-8": b'{"id":3,"s":"\xc0\xaf"}',
    "UTF-8 surrogate": b'{"id":3,"s":"\xed\xa0\x80"}',
    "UTF-8 beyond U+10FFFF": b'{"id":3,"s":"\xf5\x80\x80\x80"}',
    "UTF-8 cut off": b'{"id":3,"s":"\xe2\x82"}',
    "lone surrogate in a read text": b'{"id":3,"s":"\\ud800"}',
    "low surrogate first": b'{"id":3,"s":"\\udc00\\ud800"}',
    "escaped NUL in a read text": b'{"id":3,"s":"a\\u0000b"}',
    "escaped NUL in a read jsonb": b'{"id":3,"d":{"a":"\\u0000"}}',
    "lone surrogate in a read jsonb": b'{"id":3,"d":["\\udfff"]}',
    "bad escape": b'{"id":3,"s":"\\q"}',
    "half an escape": b'{"id":3,"s":"\\u12"}',
    "control character in a text": b'{"id":3,"s":"a\x01b"}',
    "text for a number": b'{"id":3,"v":"1.5"}',
    "number for a text": b'{"id":3,"s":5}',
    "boolean for a number": b'{"id":3,"v":true}',
    "object for a number": b'{"id":3,"v":{}}',
    "array for a text": b'{"id":3,"s":["a"]}',
    "number for a boolean": b'{"id":3,"ok":1}',
    "text for a boolean": b'{"id":3,"ok":"true"}',
    "number for a time": b'{"id":3,"t":1767225600}',
    "whole text for an integer": b'{"id":"3"}',
    "fraction for an integer": b'{"id":3.5}',
    "integer out of range": b'{"id":2147483648}',
    "integer far out of range": b'{"id":99999999999999999999999999}',
    "double out of range": b'{"id":3,"v":1e400}',
    "numeric out of range": b'{"id":3,"n":12345.6}',
    "NaN": b'{"id":3,"v":NaN}',
    "Infinity": b'{"id":3,"v":-Infinity}',
    "leading zero": b'{"id":03}',
    "plus sign": b'{"id":+3}',
    "point without digits": b'{"id":3,"v":1.}',
    "bare point": b'{"id":3,"v":.5}',
    "hexadecimal": b'{"id":0x3}',
    "True": b'{"id":3,"ok":True}',
    "single quotes": b"{'id':3}",
    "absurd time": b'{"id":3,"t":"2026-13-45T99:00:00Z"}',
    "no time": b'{"id":3,"t":""}',
    "a day that is none": b'{"id":3,"t":"2026-02-29T00:00:00Z"}',
    "year 0": b'{"id":3,"t":"0000-01-01T00:00:00Z"}',
    "year 10000": b'{"id":3,"t":"10000-01-01T00:00:00Z"}',
    "year before 1 by its zone": b'{"id":3,"t":"0001-01-01T00:00:00+01:00"}',
    "time with rubbish behind": b'{"id":3,"t":"2026-01-01T00:00:00Zx"}',
    "broken jsonb": b'{"id":3,"d":{"a":tru}}',
    "jsonb with NaN": b'{"id":3,"d":[NaN]}',
}


@pytest.mark.parametrize("name", DEAD)
def test_dead_letter(leat, name):
    record = DEAD[name]
    rows, letters = run(leat, record)
    assert rows == []
    assert len(letters) == 1, letters
    letter = letters[0]
    position = len(BEFORE) + 1
    assert (letter["query"], letter["source"], letter["partition"], letter["position"]) == \
        (None, "events", 0, position)
    assert letter["record"] == record.decode(errors="backslashreplace")
    assert letter["reason"].startswith(f"events[0]@{position}: "), letter["reason"]
    assert len(letter["reason"]) > len(f"events[0]@{position}: ") + 5


GOOD = {
    "extra fields": (b'{"id":3,"extra":{"deep":[1,{"x":[]}]},"more":null}', {"id": 3}),
    "unread field of a wrong type": (b'{"id":3,"unread":"text"}', {"id": 3}),
    "broken value that nobody reads": (b'{"id":3,"unread":tru,"other":1.2.3}', {"id": 3}),
    "lone surrogate that nobody reads": (b'{"id":3,"x":"\\ud800"}', {"id": 3}),
    "all missing": (b"{}", {}),
    "blanks": (b' \t{ "id" :3 , "s" : "x" }\r', {"id": 3, "s": "x"}),
    "duplicate keys": (b'{"id":3,"id":4,"s":"one","s":"two"}', {"id": 3, "s": "one"}),
    "surrogate pair": (b'{"id":3,"s":"\\ud83d\\ude00"}', {"id": 3, "s": "\U0001F600"}),
    "every escape": (b'{"id":3,"s":"\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9"}',
                     {"id": 3, "s": "\"\\/\b\f\n\r\té"}),
    "whole number with fraction": (b'{"id":3.0}', {"id": 3}),
    "whole number with exponent": (b'{"id":3e0}', {"id": 3}),
    "negative zero": (b'{"id":-0,"v":-0.0}', {"id": 0, "v": -0.0}),
    "tiny double": (b'{"id":3,"v":1e-320}', {"id": 3, "v": 1e-320}),
    "numeric rounds to its scale": (b'{"id":3,"n":1.005}', {"id": 3, "n": "1.01"}),
    "time without zone": (b'{"id":3,"t":"2026-01-01T00:00:00"}',
                          {"id": 3, "t": "2026-01-01T00:00:00Z"}),
    "time with 9 digits": (b'{"id":3,"t":"2026-01-01T00:00:00.123456789Z"}',
                           {"id": 3, "t": "2026-01-01T00:00:00.123457Z"}),
    "time in a zone": (b'{"id":3,"t":"2026-01-01T00:00:00-08:00"}',
                       {"id": 3, "t": "2026-01-01T08:00:00Z"}),
    "empty key": (b'{"id":3,"":1}', {"id": 3}),
}


@pytest.mark.parametrize("name", GOOD)
def test_passes(leat, name):
    record, expected = GOOD[name]
    rows, letters = run(leat, record)
    assert letters == []
    empty = dict.fromkeys(["id", "v", "n", "s", "t", "ok", "d"])
    assert rows == [{**empty, **expected}]


def test_empty_lines_are_no_records(leat):
    rows, letters = run(leat, b"\n\r\n\n")
    assert (rows, letters) == ([], [])


def test_no_newline_at_the_end(leat):
    leat.write("events.ndjson", b'{"id":1}\n{"id":2}\n{"id":7}')
    leat.write("p.sql", TABLE % "")
    leat.ok("run", "p.sql")
    assert len(Home(leat.folder / "p.leat").rows("good")) == 3


@pytest.mark.parametrize("depth", [100, 1000])
def test_deep_nesting(leat, depth):
    """What nobody reads is only structure."""
    rows, letters = run(leat, b'{"id":3,"unread":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}")
    assert [row["id"] for row in rows] == [3] and letters == []


@pytest.mark.parametrize("key", [b"d", b"unread"])
def test_too_deep_nesting(leat, key):
    """There is a limit, and a record beyond it is a dead letter that says so."""
    depth = 100_000
    rows, letters = run(leat, b'{"id":3,"%s":' % key + b'{"a":' * depth + b"1" + b"}" * depth + b"}")
    assert rows == [] and len(letters) == 1
    assert "deep" in letters[0]["reason"], letters[0]["reason"]


def test_large_record(leat):
    """10 MB in one record, beside small ones: it passes whole, in little more memory than itself."""
    text = "é" * (5 << 20)
    rows, letters = run(leat, json.dumps({"id": 3, "s": text}, ensure_ascii=False).encode())
    assert letters == []
    assert [(row["id"], row["s"] == text) for row in rows] == [(3, True)]


def test_large_broken_record(leat):
    """Of a dead letter the first 64 KB at most are kept."""
    rows, letters = run(leat, b'{"id":3,"s":"' + b"x" * (10 << 20))
    assert rows == [] and len(letters) == 1
    assert 1000 < len(letters[0]["record"]) <= 65536
    assert letters[0]["record"].startswith('{"id":3,"s":"xxx')


@pytest.mark.parametrize("record,expected", [
    (b'{"id":3,"v":"x","s":"y"}', {"id": 3, "s": "y"}),
    (b'{"id":"x","v":1}', {"v": 1.0}),
    (b'{"id":3,"t":"never","s":"\\ud800","v":1}', {"id": 3, "v": 1.0}),
    (b'{"id":3,"n":1e9}', {"id": 3}),
])
def test_on_error_null(leat, record, expected):
    rows, letters = run(leat, record, ", on_error = 'null'")
    assert letters == []
    assert [{k: v for k, v in row.items() if v is not None} for row in rows] == [expected]


def test_on_error_null_broken_record(leat):
    rows, letters = run(leat, b"broken", ", on_error = 'null'")
    assert rows == [] and len(letters) == 1


@pytest.mark.parametrize("record", [b'{"id":"x"}', b"broken"])
def test_on_error_skip(leat, record):
    assert run(leat, record, ", on_error = 'skip'") == ([], [])


@pytest.mark.parametrize("record", [b'{"id":"x"}', b"broken", b'{"id":3,"s":"\xff"}'])
def test_on_error_fail(leat, record):
    """The run ends with 1 and names the record; what came before it is not lost."""
    leat.write("events.ndjson", BEFORE + b"\n" + record + b"\n" + AFTER + b"\n")
    leat.write("p.sql", TABLE % ", on_error = 'fail'")
    ended = leat.run("run", "p.sql")
    assert ended.status == 1, ended
    assert f"events[0]@{len(BEFORE) + 1}" in ended.err, ended


def test_expression_under_fail(leat):
    leat.write("events.ndjson", [{"id": 1, "v": 1}, {"id": 0, "v": 1}])
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE events (id int) WITH (connector = 'file', path = 'events.ndjson', on_error = 'fail');
CREATE MATERIALIZED VIEW good AS SELECT 1 / id AS x FROM events;""")
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "division by zero" in ended.err, ended


NOT_NULL = """
SET http = 'off';
CREATE TABLE events (id int NOT NULL, t timestamptz%s) WITH (connector = 'file',
  path = 'events.ndjson', event_time = 't'%s);
CREATE MATERIALIZED VIEW good AS SELECT id FROM events;
"""


@pytest.mark.parametrize("options", ["", ", on_error = 'null'"])
@pytest.mark.parametrize("record", [{"id": 3}, {"id": 3, "t": None}, {"id": 3, "t": "never"},
                                    {"t": "2026-01-01T00:00:00Z"},
                                    {"id": None, "t": "2026-01-01T00:00:00Z"}])
def test_not_null(leat, record, options):
    good = {"id": 1, "t": "2026-01-01T00:00:00Z"}
    leat.write("events.ndjson", [good, record])
    leat.write("p.sql", NOT_NULL % ("", options))
    leat.ok("run", "p.sql")
    home = Home(leat.folder / "p.leat")
    assert home.rows("good") == [{"id": 1}]
    assert [row["record"] for row in home.query("SELECT record FROM dead_letters")] == \
        [json.dumps(record)]


def test_bad_records_move_no_watermark(leat):
    """A broken record from the future makes nothing late."""
    leat.write("events.ndjson", [
        {"id": 1, "t": "2026-01-01T00:00:01Z"}, {"id": "x", "t": "2026-01-01T01:00:00Z"},
        {"id": 2, "t": "2026-01-01T00:00:02Z"}])
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE events (id int, t timestamptz) WITH (connector = 'file', path = 'events.ndjson',
  event_time = 't');
CREATE MATERIALIZED VIEW w AS SELECT window_start, sum(id) AS total
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;""")
    leat.ok("run", "p.sql")
    home = Home(leat.folder / "p.leat")
    assert_same([parse('{"window_start":"2026-01-01T00:00:00Z","total":3}')], home.rows("w"), "w")
    assert home.rows("late_rows") == []


def test_failing_expression_moves_the_watermark(leat):
    """A row that only a query could not take was in time and moves time on."""
    leat.write("events.ndjson", [
        {"id": 1, "t": "2026-01-01T00:00:01Z"}, {"id": 0, "t": "2026-01-01T01:00:00Z"},
        {"id": 2, "t": "2026-01-01T00:00:02Z"}])
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE events (id int, t timestamptz) WITH (connector = 'file', path = 'events.ndjson',
  event_time = 't');
CREATE MATERIALIZED VIEW w AS SELECT window_start, sum(10 / id) AS total
FROM tumble(events, t, INTERVAL '10 seconds') GROUP BY window_start;""")
    leat.ok("run", "p.sql")
    home = Home(leat.folder / "p.leat")
    assert_same([parse('{"window_start":"2026-01-01T00:00:00Z","total":10}')], home.rows("w"), "w")
    assert [row["query"] for row in home.rows("late_rows")] == ["w"]
    assert [(row["query"], json.loads(row["record"])["id"]) for row in home.rows("dead_letters")] \
        == [("w", 0)]


def test_keep_rejects(leat):
    """The newest are kept; the counts stay exact."""
    leat.write("events.ndjson", "".join(f"bad {i}\n" for i in range(50)) + '{"id":1}\n{"id":2}\n')
    leat.write("p.sql", "SET keep_rejects = 10;" + TABLE % "")
    leat.ok("run", "p.sql")
    records = [row["record"] for row in Home(leat.folder / "p.leat").rows("dead_letters")]
    assert sorted(records) == sorted(f"bad {i}" for i in range(40, 50))


CSV = """
SET http = 'off';
CREATE TABLE events (id int, s text, v double precision) WITH (connector = 'file',
  path = 'events.csv', format = 'csv');
CREATE MATERIALIZED VIEW good AS SELECT id, s, v FROM events;
"""


@pytest.mark.parametrize("content,good,dead", [
    ('id,s,v\n1,"open\n2,b,3\n', [], 1),
    ('id,s,v\n1,a,1\n2,b\n3,c,3\n', None, None),
    ('id,s,v\n1,a,1\n2,b,2,extra\n3,c,3\n', None, None),
    ('id,s,v\n1,a"b,1\n2,"b" x,2\n3,c,3\n', None, None),
    ('id,s,v\nx,a,1\n1,b,2\n', [1], 1),
    ('id,s,v\n1,b,two\n2,b,2\n', [2], 1),
    ('id,s,v\n\n1,b,2\n\n', [1], 0),
    ('id,s,v\n1,"multi\nline",2\n2,"q""q",2\n', [1, 2], 0),
    ('\ufeffid,s,v\n1,a,1\n', [1], 0),
    ('v,id\n1.5,1\n', None, None),
])
def test_csv(leat, content, good, dead):
    """Where RFC 4180 leaves it open, only that nothing is lost in silence."""
    leat.write("events.csv", content)
    leat.write("p.sql", CSV)
    ended = leat.run("run", "p.sql")
    assert ended.status in (0, 1), ended
    if good is None:
        return
    assert ended.status == 0, ended
    home = Home(leat.folder / "p.leat")
    assert [row["id"] for row in home.rows("good")] == good
    assert len(home.rows("dead_letters")) == dead


def test_csv_invalid_utf8(leat):
    leat.write("events.csv", b"id,s,v\n1,a,1\n2,\xff\xfe,2\n3,c,3\n")
    leat.write("p.sql", CSV)
    leat.ok("run", "p.sql")
    home = Home(leat.folder / "p.leat")
    assert [row["id"] for row in home.rows("good")] == [1, 3]
    assert len(home.rows("dead_letters")) == 1


def test_reasons_are_utf8(leat):
    """A reason shows a part of a value, but no part of a character."""
    leat.write("events.ndjson", [{"s": s} for s in ("日本語", "äöüß-1", "2026-日本語", "x日本語")])
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE events (s text) WITH (connector = 'file', path = 'events.ndjson');
CREATE MATERIALIZED VIEW days AS SELECT to_date(s, 'YYYY-DDD') AS d FROM events;
CREATE MATERIALIZED VIEW months AS SELECT to_date(s, 'Mon YYYY') AS d FROM events;""")
    leat.ok("run", "p.sql")
    reasons = sorted(row["reason"] for row in Home(leat.folder / "p.leat").rows("dead_letters"))
    assert 'invalid value "日本" for "YYYY"' in reasons and len(reasons) == 8, reasons


def test_csv_missing_column(leat):
    """A column that the header lacks is told, not a column of NULLs."""
    leat.write("events.csv", "id,v\n1,2\n")
    leat.write("p.sql", CSV)
    leat.ok("run", "p.sql")
    home = Home(leat.folder / "p.leat")
    assert home.rows("good") == []
    assert ['"s"' in row["reason"] for row in home.rows("dead_letters")] == [True]


def test_missing_file(leat):
    leat.write("p.sql", TABLE % "")
    ended = leat.run("run", "p.sql")
    assert ended.status == 1 and "events.ndjson" in ended.err, ended


@pytest.mark.parametrize("content", ["k,site\na,1\n", "k,site\na,north\n", None])
def test_reference_must_load(leat, content):
    """A reference table that is missing or bad at start is an error, before the first event."""
    leat.write("events.ndjson", [{"k": "a"}])
    if content:
        leat.write("sites.csv", content)
    leat.write("p.sql", """SET http = 'off';
CREATE TABLE events (k text) WITH (connector = 'file', path = 'events.ndjson');
CREATE TABLE sites (k text PRIMARY KEY, site int) WITH (connector = 'file', path = 'sites.csv',
  format = 'csv');
CREATE MATERIALIZED VIEW joined AS SELECT e.k, s.site FROM events e JOIN sites s ON s.k = e.k;""")
    ended = leat.run("run", "p.sql")
    good = content == "k,site\na,1\n"
    assert ended.status == (0 if good else 1), ended
    assert good or "sites" in ended.err, ended
