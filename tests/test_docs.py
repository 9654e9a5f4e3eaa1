"""The pages say what the program does: examples in them are run, links lead somewhere, tables are up to date.

Marks behind the language of a fenced block:

    ```sql pipeline          passes `leat check`; with `file=NAME` it is also written to that file for later blocks
    ```sql query             the same as the SELECT of a view over the table of the page's first ```sql table block
    ```json file=NAME        any language: written to that file
    ```sh run                run by sh, exit status 0 (`sh run fails`: not 0)
    ```text output           what the `sh run` before it writes to standard output, exactly

The blocks of a page share one folder, which also has `examples/`, and the program is `leat` on the PATH."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest
from support.process import BINARY, ROOT, wait_until
from support.servers import free_port

PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/README.md", *ROOT.glob("docs/*.md"),
                *ROOT.glob("src/*/README.md"), *ROOT.glob("src/*/*/README.md"), ROOT / "tests/README.md"])
FENCE = re.compile(r"^```([^\n]*)\n(.*?)^```$", re.M | re.S)
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)|<(?:img|source)[^>]*(?:src|srcset)=\"([^\"]+)\"")


def name(page):
    return str(page.relative_to(ROOT))


class Block:
    def __init__(self, match, text):
        words = match.group(1).split()
        self.language, self.marks = (words or [""])[0], words[1:]
        self.text = match.group(2)
        self.line = text.count("\n", 0, match.start()) + 1
        self.file = next((m[5:] for m in self.marks if m.startswith("file=")), None)

    def has(self, mark):
        return mark in self.marks


def blocks(page):
    text = page.read_text()
    return [Block(match, text) for match in FENCE.finditer(text)]


def without_code(text):
    return re.sub(r"`[^`\n]*`", "", FENCE.sub("", text))


def anchors(page):
    """Headings as GitHub names them."""
    found = set()
    for heading in re.findall(r"^#+ +(.+)$", FENCE.sub("", page.read_text()), re.M):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).replace("`", "").strip().lower()
        found.add(re.sub(r"[^\w\- ]", "", plain).replace(" ", "-"))
    return found


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links(page):
    for match in LINK.finditer(without_code(page.read_text())):
        link = match.group(1) or match.group(2)
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), f"{name(page)}: {link} leads nowhere"
        if anchor and target.suffix == ".md":
            assert anchor in anchors(target), f"{name(page)}: {link}: there is no such heading"


def run(command, folder, **how):
    bin_folder = folder / ".bin"
    if not bin_folder.exists():
        bin_folder.mkdir()
        (bin_folder / "leat").symlink_to(BINARY)
    environment = {k: v for k, v in os.environ.items() if not k.startswith("LEAT") and k != "KAFKA"}
    environment["PATH"] = f"{bin_folder}:{environment['PATH']}"
    return subprocess.run(command, cwd=folder, env=environment, text=True, timeout=120, stdin=subprocess.DEVNULL,
                          capture_output=True, **how)


def check(sql, folder, where):
    (folder / ".check.sql").write_text(sql)
    ended = run(["leat", "check", ".check.sql"], folder)
    assert ended.returncode == 0, f"{where}:\n{ended.stderr}"


@pytest.mark.parametrize("page", [p for p in PAGES if any(b.marks for b in blocks(p))], ids=name)
def test_examples(page, tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    told, table = None, ""
    for block in blocks(page):
        where = f"{name(page)}:{block.line}"
        if block.file:
            (tmp_path / block.file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / block.file).write_text(block.text)
        if block.has("pipeline"):
            check(block.text, tmp_path, where)
        if block.has("table"):
            table = block.text
        if block.has("query"):
            query = re.sub(r"--[^\n]*", "", block.text).strip().rstrip(";")
            check(f"{table}\nCREATE MATERIALIZED VIEW example AS {query};", tmp_path, where)
        if block.has("run"):
            ended = run(["sh", "-e", "-c", block.text], tmp_path)
            assert (ended.returncode != 0) == block.has("fails"), f"{where}: exit {ended.returncode}\n{ended.stderr}"
            told = ended.stdout
        if block.has("output"):
            assert told == block.text, f"{where}: the program says\n{told}"


@pytest.mark.parametrize("file", sorted(ROOT.glob("examples/**/*.sql")), ids=name)
def test_example_pipelines(file, tmp_path):
    shutil.copytree(ROOT / "examples", tmp_path / "examples")
    check(file.read_text(), tmp_path, name(file))


GENERATED = {"docs/sql-functions.md": ["docs/tables", "functions"], "docs/settings.md": ["docs/tables", "settings"],
             "docs/options.md": ["src/connector/options_doc"]}


@pytest.mark.parametrize("page", GENERATED)
def test_generated(page):
    program, *arguments = GENERATED[page]
    program = BINARY.parent / program
    if not program.exists():
        pytest.skip(f"{program} is not built")
    written = subprocess.run([program, *arguments], capture_output=True, text=True, check=True).stdout
    assert (ROOT / page).read_text() == written, f"{page} is out of date; ./dev docs writes it anew"


def test_metrics(leat, http):
    """docs/operations.md lists every metric, and none that there is not."""
    section = (ROOT / "docs/operations.md").read_text().split("### Every metric")[1].split("\n## ")[0]
    listed = set(re.findall(r"^\| `([a-z_]+)`", section, re.M))
    url = f"127.0.0.1:{free_port()}"
    leat.write("p.sql", f"""
        SET http = '{url}';
        CREATE TABLE t (eventId text NOT NULL, createdAt timestamptz NOT NULL)
        WITH (connector = 'generator', rate = 100, event_time = 'createdAt');
        CREATE TABLE s (eventId text) WITH (connector = 'file', path = 's.ndjson');
        CREATE VIEW c AS SELECT DISTINCT ON (eventId) * FROM t;
        INSERT INTO s SELECT eventId FROM c;
        CREATE MATERIALIZED VIEW v AS SELECT count(*) FROM c;""")
    leat.start("run", "p.sql")
    told = wait_until(lambda: http(f"http://{url}/metrics"), "the program answers").text
    assert listed == set(re.findall(r"^# TYPE (\S+)", told, re.M))
