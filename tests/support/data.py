"""Generated input: telemetry, clicks for sessions, and auctions, each from a seed.

Rows come in lists, one a partition, in the order in which they are sent. What the rule of late rows
needs is worked out here, beside the generator and far from the program: `seen` is the highest event
time of the rows before it in its partition, less the delay."""
import datetime
import json
import random
import uuid

BASE_US = 1577836800 * 1_000_000      # 2020-01-01T00:00:00Z: ahead of no clock
SECOND = 1_000_000


def stamp(us, digits=6):
    """Microseconds since 1970 as RFC 3339; with 7 digits as the sample's generator writes them."""
    days, rest = divmod(us, 86400 * SECOND)
    day = datetime.date(1970, 1, 1) + datetime.timedelta(days)
    seconds, fraction = divmod(rest, SECOND)
    text = f"{day}T{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    if digits:
        text += f".{fraction:06d}" + "0" * (digits - 6)
    return text + "Z"


def shuffle(rows, rng, disorder_us, late_share):
    """Rows as they arrive: each up to disorder_us after its time, some half a minute later."""
    def arrival(row):
        delay = rng.random() * disorder_us
        return row["us"] + delay + (30 * SECOND if rng.random() < late_share else 0)
    return [row for _, _, row in sorted((arrival(r), i, r) for i, r in enumerate(rows))]


def with_seen(partitions, delay_us):
    """Adds `seen` (None before the first row), `partition` and `n`, the row's place in all."""
    n = 0
    for number, rows in enumerate(partitions):
        highest = None
        for i, row in enumerate(rows):
            row = rows[i] = dict(row, n=n, partition=number,
                                 seen=None if highest is None else highest - delay_us)
            highest = row["us"] if highest is None else max(highest, row["us"])
            n += 1
    return partitions


def first_of_key(partitions, key, horizon_us):
    """The rows that DISTINCT ON (key) passes; a key must live in one partition only."""
    passed = []
    for rows in partitions:
        latest = {}
        for row in rows:
            floor = None if row["seen"] is None else row["seen"] - horizon_us
            if floor is not None and row["us"] < floor:
                continue
            known = latest.get(row[key])
            if known is not None and (floor is None or known >= floor):
                continue
            latest[row[key]] = max(row["us"], known or row["us"])
            passed.append(row)
    return passed


def telemetry(seed, events, partitions, disorder_us=2 * SECOND, late_share=0.01,
              duplicate_share=0.02, devices=13, step_us=50_000):
    """The sample's events; some exactly at a window's border, some sent twice."""
    rng = random.Random(seed)
    rows, sequence = [], {}
    for i in range(events):
        us = BASE_US + i * step_us + rng.randrange(step_us)
        if rng.random() < 0.05:
            us -= us % (10 * SECOND)
        device = f"contoso-device-id-{rng.randrange(devices):06d}"
        sequence[device] = sequence.get(device, -1) + 1
        value = rng.choice([round(rng.random(), 10), rng.random() * 100, float(rng.randrange(50)),
                            None if rng.random() < 0.2 else 1.5])
        more = {f"moreData{j}": round(rng.random(), 9) for j in range(1, 5)
                if rng.random() < 0.95}
        rows.append({"us": us, "eventId": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
                     "value": value, "deviceId": device, "deviceSequenceNumber": sequence[device],
                     "type": rng.choice(["TEMP", "CO2"]), "complexData": more,
                     "copies": 1 + (rng.random() < duplicate_share)})
    lists = [[] for _ in range(partitions)]
    for row in rows:
        target = rng.choice(lists)
        target.extend([row] * row["copies"])
    return [shuffle(target, rng, disorder_us, late_share) for target in lists]


def telemetry_line(row):
    return json.dumps({
        "eventId": row["eventId"], "value": row["value"], "deviceId": row["deviceId"],
        "deviceSequenceNumber": row["deviceSequenceNumber"], "type": row["type"],
        "createdAt": stamp(row["us"], 7), "complexData": row["complexData"]})


def clicks(seed, events, gap_us, users=9):
    """Events of users whose pauses are often exactly the gap, or a microsecond more or less."""
    rng = random.Random(seed)
    rows = []
    for user in range(users):
        us = BASE_US + rng.randrange(60) * SECOND
        for _ in range(events // users):
            us += rng.choice([0, 1, gap_us, gap_us, gap_us + 1, gap_us - 1, gap_us // 3,
                              rng.randrange(3 * gap_us)])
            rows.append({"us": us, "who": f"u{user}" if user else None, "page": rng.randrange(4),
                         "v": rng.randrange(-5, 100)})
    lists = [[], []]
    for row in sorted(rows, key=lambda r: r["us"]):
        rng.choice(lists).append(row)
    return [shuffle(target, rng, 3 * SECOND, 0.01) for target in lists]


def auctions(seed, events):
    """Nexmark-like: persons, auctions and bids in one stream of time, each a list of its own."""
    rng = random.Random(seed)
    persons, items, bids = [], [], []
    us = BASE_US
    for i in range(events):
        us += rng.choice([0, 1, 1000, 20_000, 100_000, 200_000])
        if rng.random() < 0.02:
            us += SECOND - us % SECOND
        kind = i % 50
        if kind == 0:
            persons.append({"us": us, "id": len(persons), "name": f"person {rng.randrange(99)}",
                            "state": rng.choice(["OR", "ID", "CA", "WA", None])})
        elif kind < 4:
            items.append({"us": us, "id": len(items), "seller": rng.randrange(len(persons) + 1),
                          "category": rng.randrange(5), "reserve": rng.randrange(1, 1000)})
        else:
            bids.append({"us": us, "auction": max(0, len(items) - 1 - int(rng.expovariate(0.5))),
                         "bidder": rng.randrange(len(persons) + 1),
                         "price": rng.randrange(1, 10**rng.randrange(1, 8)),
                         "channel": rng.choice(["Google", "apple", "Baidu", "channel-7", None])})
    return persons, items, shuffle(bids, rng, 2 * SECOND, 0.005)
