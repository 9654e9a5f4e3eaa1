"""The bank: transfers move money, so the balances of all accounts add up to zero, in every epoch that a
reader of the home can see, while the writer is killed again and again."""
import decimal
import json
import random
import sqlite3

import pytest

from support.process import ROOT, wait_until

BANK = ROOT / "examples" / "bank"
ACCOUNTS = [f"account {i}" for i in range(50)]
KILLS = 15


def transfers(seed, count):
    """Ten seconds of disorder, some transfers from an account to itself."""
    draw = random.Random(seed)
    rows = []
    for i in range(count):
        at = i * 10 + draw.randrange(10)            # milliseconds
        rows.append((at + draw.randrange(10000), {
            "id": i, "debit": draw.choice(ACCOUNTS), "credit": draw.choice(ACCOUNTS),
            "amount": draw.randrange(1, 10**8) / 100,
            "at": f"2026-01-01T{at // 3600000:02d}:{at // 60000 % 60:02d}:{at // 1000 % 60:02d}."
                  f"{at % 1000:03d}Z"}))
    return [row for _, row in sorted(rows, key=lambda pair: pair[0])]


def snapshot(path):
    """What one reader sees in one transaction: (epoch's entries, balances, total, windows)."""
    try:
        home = sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)
    except sqlite3.OperationalError:
        return None
    try:
        home.execute("BEGIN")
        balances = home.execute("SELECT balance, entries FROM balances").fetchall()
        total = home.execute("SELECT total, entries FROM total").fetchall()
        windows = home.execute("SELECT total FROM per_minute").fetchall()
        return balances, total, windows
    except sqlite3.OperationalError:                # the views are not made yet
        return None
    finally:
        home.close()


def check(seen):
    balances, total, windows = seen
    assert sum(decimal.Decimal(balance) for balance, _ in balances) == 0
    assert len(total) <= 1
    entries = sum(n for _, n in balances)
    assert entries % 2 == 0
    if total:
        assert decimal.Decimal(total[0][0]) == 0 and total[0][1] == entries
    else:
        assert entries == 0
    assert all(decimal.Decimal(window) == 0 for window, in windows)
    return entries


@pytest.mark.parametrize("seed", [1, 2])
def test_total_is_zero_in_every_epoch(leat, seed):
    rows = transfers(seed, 40000)
    leat.write("examples/bank/transfers.ndjson", rows)
    leat.write("bank.sql", "SET http = 'off'; SET checkpoint_interval = '2 milliseconds';\n" +
               (BANK / "bank.sql").read_text())
    draw = random.Random(seed)
    knobs = {"LEAT_BATCH_ROWS": f"random:{seed}", "LEAT_EPOCH_ROWS": 20}
    home = leat.folder / "bank.leat"
    seen = set()

    def look():
        views = snapshot(home)
        if views:
            seen.add(check(views))
        return views

    finished = False
    for _ in range(KILLS):
        running = leat.start("run", "bank.sql", env=knobs)
        goal = len(seen) + draw.randrange(1, 6)
        wait_until(lambda: look() and len(seen) >= goal or not running.alive(),
                   "the reader sees new epochs", every=0.001)
        finished = not running.alive()
        running.kill()
        if finished:
            break
    assert not finished, "it ended before it was killed often enough"
    running = leat.start("run", "bank.sql", env=knobs)
    wait_until(lambda: (look(), not running.alive())[1], "the run ends", seconds=60, every=0.001)
    assert running.wait().status == 0
    balances, total, _ = snapshot(home)
    check((balances, total, []))
    expected = dict.fromkeys(ACCOUNTS, decimal.Decimal(0))
    for row in rows:
        amount = decimal.Decimal(json.dumps(row["amount"]))
        expected[row["debit"]] -= amount
        expected[row["credit"]] += amount
    connection = sqlite3.connect(home)
    assert {a: decimal.Decimal(b) for a, b in connection.execute(
        "SELECT account, balance FROM balances")} == expected
    connection.close()
    assert len(seen) > KILLS, "the reader saw too few epochs to say anything"


def test_example(leat):
    ended = leat.run("test", BANK, "--kill", "--shuffle", "20")
    assert ended.status == 0, ended


def test_examples_have_not_changed(leat):
    """Every example with expectations holds them."""
    folders = sorted(p.parent for p in (ROOT / "examples").glob("*/expected"))
    assert len(folders) >= 2
    ended = leat.run("test", *folders, "--kill")
    assert ended.status == 0, ended
