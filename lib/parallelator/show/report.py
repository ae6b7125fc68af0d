# SPDX-License-Identifier: GPL-3.0-only
"""The report of a show: put together when it is over, kept on the card, told. Loaded by `mode` at
its end, and by `serving` while no card has it.

The head of each, as of `last_ten`, has the number of the show and when it began.
"""

import asyncio
import json

from micropython import const

from parallelator.records.tripfile import described
from parallelator.show.last_ten import SELFTESTS, SHOWS, heads, line_of, newest, path_of, put
from parallelator.show.outlook import closest, tasks
from parallelator.show.tally import (
    BOOT,
    BOOT_S,
    CHARGE,
    CLOSINGS,
    DARK_S,
    DARKS,
    DISCHARGE,
    FIRST_PCT,
    HIGH,
    IN_DWH,
    IN_MAH,
    LAST_PCT,
    LOW,
    METERED,
    OUT_DWH,
    OUT_MAH,
    PARTIAL,
    POWER,
    RESTARTS,
    SEEN,
    SHORT_S,
    SPENT_S,
    UNIX_MIN,
    WEAK_S,
    WHOLE,
)
from parallelator.snapshot import BATTERIES, CHANNELS, NO_CHARGE, RIG

_TRIPS = const(12)
"""Records of trips that are named at most, the newest."""
_WAIT_S = const(60)
_FACTS = (
    ("boot", BOOT),
    ("restarts", RESTARTS),
    ("dark_s", DARK_S),
    ("darks", DARKS),
    ("short_s", SHORT_S),
    ("weak_s", WEAK_S),
)
_PEAKS = (
    ("discharge", "_ma", DISCHARGE),
    ("charge", "_ma", CHARGE),
    ("high", "_mv", HIGH),
    ("low", "_mv", LOW),
)


async def keep(rig: "Rig", tally: "Tally", cut: bool):
    """The show is over: put its report together, keep it on the card or in memory, and tell it.

    Args:
        cut: True when a power cut or a restart has ended it: it lasted until the card kept it.
    """
    card, meter, snap = rig.card, rig.meter, rig.snap
    length_s = tally.rig[SPENT_S] if cut else tally.spent_s()
    if cut:
        await _wait_for(card)
    tally.close(meter)
    earlier = await heads(card, SHOWS)
    minutes = tally.rig[UNIX_MIN]
    if cut:
        began = rig.clock.stamp(minutes * 60 - length_s) if minutes else None
    else:
        began = rig.clock.iso(length_s)
    told = {
        "number": newest(earlier) + 1,
        "time": began,
        "length_s": length_s,
        "cut": cut,
        "selftest": await _selftest(rig),
        "batteries": [
            i
            for i in range(BATTERIES)
            if tally.rig[SEEN] >> i & 1
            or (snap.known_boards >> i // CHANNELS & 1 and not snap.unused >> i & 1)
        ],
        "trips": [],
        "closest": [],
        "tasks": [],
    }
    tally.told = told
    await _take(told["trips"], _trips(rig, tally), _TRIPS)
    limits = rig.guard.limits
    await _take(told["closest"], closest(tally, limits))
    left_wh, missing_wh = await _charge(meter, snap)
    await _take(told["tasks"], tasks(tally, limits, left_wh, missing_wh))
    kept = await put(card, SHOWS, told["number"], pieces(tally))
    rig.report = told["number"]
    rig.tally = None if kept else tally  # pyright: ignore - None until then
    rig.events.emit("show_report", RIG, 0, 0, len(told["tasks"]))


async def _wait_for(card: "Card"):
    """After a start the card is found, but may not be writable yet."""
    for _ in range(_WAIT_S):
        if card.writable:
            return
        await asyncio.sleep_ms(1000)


async def _take(found: list, steps: "Generator", most: int = 1000):
    """Append what a generator gives but its pauses, for which others may run."""
    for one in steps:
        if one is None:
            await asyncio.sleep_ms(0)
        elif len(found) < most:
            found.append(one)


async def _selftest(rig: "Rig"):
    """The self-test that preceded: a dict, None when there was none."""
    if isinstance(rig.selftest, str):
        result = json.loads(rig.selftest)
        return {key: result[key] for key in ("number", "time", "verdict")}
    number = newest(await heads(rig.card, SELFTESTS))
    if not number:
        return None
    try:
        with open(path_of(SELFTESTS, number)) as file:
            file.readline()
            facts = line_of(file)
        return {"number": number, "time": facts["time"], "verdict": facts["verdict"]}
    except OSError as error:
        rig.card.fail(error)
    except (ValueError, KeyError):
        pass  # cut off by a power cut
    return None


def _trips(rig: "Rig", tally: "Tally"):
    """The records of the trips in the show, newest first: a generator; None is a pause."""
    first = tally.rig[BOOT], tally.rig[BOOT_S]
    try:
        for record in rig.blackbox.records():
            yield None
            for k in range(len(record.trips) - 1, -1, -1) if record else ():
                trip = record.trips[k]  # pyright: ignore - where there is a record
                if (record.boot, trip.uptime_s) >= first:  # pyright: ignore
                    yield described(record, trip, record.number + k)  # pyright: ignore
    except OSError as error:
        rig.card.fail(error)


async def _charge(meter: "Meter | None", snap: "Snapshot"):
    """(energy that is left, what is missing to full) in Wh; the first None when not known."""
    missing_wh = 0.0
    for i in range(BATTERIES) if meter else ():
        if i % CHANNELS == 0:
            await asyncio.sleep_ms(0)
        known = meter.known(i)
        if known:
            lacking = max(1 - known[0], 0) * meter.charge.full_mah(i)
            missing_wh += lacking * snap.voltage_mv[i] / 1e6
    return meter.told[2] if meter and meter.told else None, int(missing_wh)


def pieces(tally: "Tally"):
    """The report as JSON, in pieces."""
    told, rig = tally.told, tally.rig
    yield '{"number":%d,"time":%s,\n' % (told["number"], json.dumps(told["time"]))
    facts = {key: told[key] for key in ("length_s", "cut", "selftest")}
    facts["whole"] = not rig[PARTIAL]
    for key, place in _FACTS:
        facts[key] = rig[place]
    for key, place in (("first_pct", FIRST_PCT), ("last_pct", LAST_PCT)):
        facts[key] = None if rig[place] < 0 else rig[place]
    yield json.dumps(facts)[1:-1] + ',\n"rig":' + json.dumps(_peaks(tally, WHOLE))
    batteries = (_battery(tally, i) for i in told["batteries"])
    advice = (dict(zip(("n", "code", "level", "value"), row)) for row in told["tasks"])
    for key, rows in (
        ("batteries", batteries),
        ("closest", told["closest"]),
        ("trips", told["trips"]),
        ("tasks", advice),
    ):
        yield ',\n"%s":[' % key
        mark = ""
        for row in rows:
            yield mark + json.dumps(row)
            mark = ",\n"
        yield "]"
    yield "}\n"


def _battery(tally: "Tally", i: int):
    row = {
        "n": i + 1,
        "trips": tally.trips[i],
        "closings": tally.moved(CLOSINGS, i),
        "lost_s": tally.lost_s[i],
        "out_mah": tally.moved(OUT_MAH, i),
        "in_mah": tally.moved(IN_MAH, i),
        "out_wh": None,
        "in_wh": None,
    }
    if tally.rig[METERED]:
        row["out_wh"] = tally.moved(OUT_DWH, i) / 10
        row["in_wh"] = tally.moved(IN_DWH, i) / 10
    for key, charges in (("first_pct", tally.first_pct), ("last_pct", tally.last_pct)):
        row[key] = None if charges[i] == NO_CHARGE else charges[i]
    row.update(_peaks(tally, i))
    return row


def _peaks(tally: "Tally", series: int):
    """The peaks of battery 0..15, or those of the rig and when they were."""
    row = {}
    for name, unit, quantity in _PEAKS:
        value = tally.greatest(quantity, series)
        if value is not None:
            value = -value if quantity == LOW else max(value, 0)
        row[name + unit] = value
        if series == WHOLE:
            row[name + "_s"] = tally.when(quantity, series)
    if series == WHOLE:
        row["power_w"] = tally.greatest(POWER, series)
    return row
