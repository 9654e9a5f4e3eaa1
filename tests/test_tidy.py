"""The house is in order: folders include only what stands above them, a foreign header is known to one folder,
every file says what it is for, none grows without a reason."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
ORDER = ["base", "data", "expr", "format", "state", "operator", "connector", "sql", "engine", "simulate", "serve", "cli"]
FOREIGN = {"pg_query": "sql", "protobuf-c": "sql", "simdjson": "format", "sqlite3": "state simulate", "zstd": "state",
           "librdkafka": "connector/kafka", "microhttpd": "serve", "pcre2": "expr", "gmp": "data", "xxhash": "base"}
SOURCES = sorted(p for p in (ROOT / "src").rglob("*") if p.suffix in (".c", ".h", ".cc"))
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def folder(path):
    return path.relative_to(ROOT / "src").parts[0]


def includes(path):
    return INCLUDE.findall(path.read_text(encoding="utf-8"))


def test_there_are_sources():
    assert len(SOURCES) > 100


@pytest.mark.parametrize("name", ORDER)
def test_folder_includes_only_what_stands_above(name):
    wrong = []
    for path in SOURCES:
        if folder(path) != name:
            continue
        for _, header in includes(path):
            other = header.split("/")[0]
            if "/" in header and other in ORDER and ORDER.index(other) > ORDER.index(name):
                wrong.append(f"{path.relative_to(ROOT)}: {header}")
    assert not wrong


@pytest.mark.parametrize("header", FOREIGN)
def test_foreign_header_is_known_to_one_folder(header):
    wrong = []
    for path in SOURCES:
        if path.name.endswith("_test.c"):
            continue
        uses = any(kind == "<" and included.split("/")[0].startswith(header) for kind, included in includes(path))
        if uses and not str(path.relative_to(ROOT / "src")).startswith(tuple(f + "/" for f in FOREIGN[header].split())):
            wrong.append(str(path.relative_to(ROOT)))
    assert not wrong


def test_every_file_opens_with_what_it_is_for():
    wrong = [str(p.relative_to(ROOT)) for p in SOURCES if not p.read_text(encoding="utf-8").startswith(("/*", "//"))]
    assert not wrong


def test_files_stay_small():
    wrong = [f"{p.relative_to(ROOT)}: {n} lines" for p in SOURCES
             if not p.name.endswith("_test.c") and (n := p.read_text(encoding="utf-8").count("\n")) > 700]
    assert not wrong


def test_nothing_is_left_for_later():
    wrong = [f"{p.relative_to(ROOT)}" for p in SOURCES if re.search(r"\b(TODO|FIXME)\b", p.read_text(encoding="utf-8"))]
    assert not wrong


def test_no_path_of_one_machine():
    listed = subprocess.run(["git", "grep", "-nIE", r"/home/[a-z]|/root/|/work/|/tmp/build", "--", ".", ":!tests/test_tidy.py"],
                            cwd=ROOT, capture_output=True, text=True, check=False)
    assert listed.returncode == 1, listed.stdout + listed.stderr


def test_a_header_offers_what_others_use():
    """A function that a header declares is called in a file besides its own; else it is static, or gone."""
    words = {p: set(re.findall(r"\w+", p.read_text(encoding="utf-8"))) for p in SOURCES}
    wrong = []
    for header in (p for p in SOURCES if p.suffix == ".h"):
        text = re.sub(r"/\*.*?\*/", "", header.read_text(encoding="utf-8"), flags=re.S)
        for name in re.findall(r"^[A-Za-z][\w \t*]*?\b(\w+)\([^{};]*\)[\w()\s,]*;", text, re.M):
            # the file that defines it, and one more (or what stands in the header itself)
            called = len(re.findall(rf"\b{name}\b", text)) > 1
            if sum(name in found for found in words.values()) - 1 + called < 2:
                wrong.append(f"{header.relative_to(ROOT)}: {name}")
    assert not wrong
