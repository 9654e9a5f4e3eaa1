"""Rows from JSON files and from a home, compared as a multiset.

Numbers are kept as they are written. Two numbers are equal when their text is, or when both are
numbers whose first twelve digits agree; a number that ends in a zero after its point can only be a
numeric with its scale and must agree exactly, and so must integers. In a home everything but
integers, doubles and booleans is text as in JSON: there an expected number may meet a text."""
import json
import math
import pathlib
import sqlite3


class Number(str):
    """A JSON number as it is written."""


def parse(text):
    return json.loads(text, parse_float=Number, parse_int=Number, parse_constant=Number)


def read_ndjson(path):
    return [parse(line) for line in pathlib.Path(path).read_text().splitlines() if line]


def as_number(value):
    if isinstance(value, bool):
        return float(value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def exact(text):
    text = str(text).lstrip("-")
    return text.isdigit() or ("." in text and "e" not in text.lower() and text.endswith("0"))


def same(expected, actual):
    """Whether a value that came out is the expected one."""
    if isinstance(expected, bool):
        return actual is expected or (type(actual) is int and actual == int(expected))
    if expected is None or actual is None:
        return expected is None and actual is None
    if type(expected) in (int, float):      # a row of another home
        return type(actual) is type(expected) and (
            expected == actual or
            (type(actual) is float and math.isclose(expected, actual, rel_tol=1e-12)))
    if isinstance(expected, Number):
        if str(expected) == str(actual):
            return True
        if exact(expected) and not isinstance(actual, float):
            return False
        if isinstance(actual, str) and not isinstance(actual, Number):
            return False
        left, right = as_number(expected), as_number(actual)
        return right is not None and math.isclose(left, right, rel_tol=1e-12, abs_tol=1e-300)
    if isinstance(expected, (dict, list)) and isinstance(actual, str):
        try:
            actual = parse(actual)
        except ValueError:
            return False
    if isinstance(expected, dict):
        return isinstance(actual, dict) and expected.keys() == actual.keys() and \
            all(same(expected[k], actual[k]) for k in expected)
    if isinstance(expected, list):
        return isinstance(actual, list) and len(expected) == len(actual) and \
            all(map(same, expected, actual))
    return type(actual) is str and expected == actual


def order(row):
    """A sort key under which equal rows meet: near doubles share their first nine digits."""
    def key(value):
        if isinstance(value, (dict, list)):
            value = json.dumps(value)
        if isinstance(value, str) and value[:1] in ("{", "["):
            return (3, "".join(value.split()))
        number = None if value is None else as_number(value)
        if value is None:
            return (0, "")
        return (2, str(value)) if number is None else (1, f"{number:.9g}")
    return [(name, *key(row[name])) for name in sorted(row)]


def difference(expected, actual):
    """What is wrong, in lines; empty when the rows agree as a multiset."""
    expected, actual = sorted(expected, key=order), sorted(actual, key=order)
    if len(expected) == len(actual) and all(map(same_row, expected, actual)):
        return ""
    rest, missing = list(actual), []
    for row in expected:
        hit = next((i for i, other in enumerate(rest) if same_row(row, other)), None)
        if hit is None:
            missing.append(row)
        else:
            rest.pop(hit)
    if not missing and not rest:
        return ""
    lines = [f"{len(expected)} rows expected, {len(actual)} came"]
    lines += [f"  missing    {show(row)}" for row in missing[:20]]
    lines += [f"  unexpected {show(row)}" for row in rest[:20]]
    return "\n".join(lines)


def show(row):
    def value(v):
        return v if isinstance(v, Number) else json.dumps(v, ensure_ascii=False)
    return "{" + ", ".join(f"{k}: {value(v)}" for k, v in row.items()) + "}"


def same_row(expected, actual):
    return list(expected) == list(actual) and all(same(expected[k], actual[k]) for k in expected)


def assert_same(expected, actual, what):
    wrong = difference(expected, actual)
    assert not wrong, f"{what}: {wrong}"


def as_text(value):
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value


class Home:
    """A pipeline's home, read as any SQLite tool would."""

    def __init__(self, path):
        self.path = pathlib.Path(path)

    def query(self, sql, *parameters):
        connection = sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=10)
        try:
            cursor = connection.execute(sql, parameters)
            names = [d[0] for d in cursor.description]
            return [dict(zip(names, map(as_text, row))) for row in cursor]
        finally:
            connection.close()

    def rows(self, view):
        return self.query(f'SELECT * FROM "{view}"')

    def count(self, view):
        """Rows of a view; None while the home or the view is not there yet."""
        try:
            return self.query(f'SELECT count(*) AS n FROM "{view}"')[0]["n"]
        except sqlite3.OperationalError:
            return None
