# SPDX-License-Identifier: GPL-3.0-only
"""Logs as the firmware writes them, made up for the tests of tools/logs."""

import io
import json
from datetime import datetime, timedelta

from logs import archive

LONG = "time,uptime_ms,battery,voltage_mv,current_ma,state,discharge_mah,charge_mah"
START = datetime(2026, 7, 14, 20, 0, 0)


def joined(files, *arguments, **more):
    """What `archive.join` makes of files in memory: name to bytes."""
    opened = {name: lambda data=data: io.BytesIO(data) for name, data in files.items()}
    return archive.join(opened, *arguments, **more)


def stamp(when):
    """A time as in a log, "" for None."""
    return when.strftime("%Y-%m-%dT%H:%M:%SZ") if when else ""


def sample(when, uptime_s, packs, state="on", current_ma=2000, hours=None):
    """The rows of one sample in the long layout; `packs` are battery numbers."""
    hours = uptime_s / 3600 if hours is None else hours
    return [
        f"{stamp(when)},{uptime_s * 1000},{n},{27000 - uptime_s % 400 - n},{current_ma},{state},"
        f"{int(current_ma * hours)},0"
        for n in packs
    ]


def rows(seconds, start=START, packs=(1, 2, 3, 4), **more):
    """The rows of samples at the uptimes `seconds`; uptime 0 was at `start` (None: unknown)."""
    lines = []
    for uptime_s in seconds:
        when = start and start + timedelta(seconds=uptime_s)
        lines += sample(when, uptime_s, packs, **more)
    return lines


def log(lines, separator=","):
    """A file of these rows, in bytes."""
    text = "".join(f"{line}\n" for line in [LONG, *lines])
    return text.replace(",", separator).encode()


def wide(seconds, packs=(1, 2, 3, 4), start=START, separator=","):
    """A file in the wide layout; the other batteries are absent."""
    fields = LONG.split(",")[3:]
    head = ["time", "uptime_ms"] + [f"{name}_{n}" for n in range(1, 17) for name in fields]
    lines = [separator.join(head)]
    for uptime_s in seconds:
        cells = [stamp(start + timedelta(seconds=uptime_s)), str(uptime_s * 1000)]
        for n in range(1, 17):
            (row,) = sample(None, uptime_s, [n])
            cells += row.split(",")[3:] if n in packs else ["", "", "absent", "", ""]
        lines.append(separator.join(cells))
    return "".join(f"{line}\n" for line in lines).encode()


def events(*lines):
    """events.csv with these rows, each (time or None, uptime_s, severity, code, n, detail)."""
    text = "time,uptime_ms,severity,code,battery,detail\n"
    for when, uptime_s, severity, code, n, detail in lines:
        text += f'{stamp(when)},{uptime_s * 1000},{severity},{code},{n or ""},"{detail}"\n'
    return text.encode()


def life(*nights):
    """The file of a pack: (night, battery, capacity, its error, resistance now and at first)."""
    head = (
        "night,battery,out_wh,in_wh,out_mah,in_mah,low_pct,high_pct,"
        "capacity_mah,error_mah,label_mah,r_mohm,first_mohm,trips,hot_c"
    )
    lines = [
        f"{night},{n},10.0,0.0,400,0,40,60,{capacity},{error},20000,{now},{first},0,30"
        for night, n, capacity, error, now, first in nights
    ]
    return "".join(f"{line:127}\n" for line in [head, *lines]).encode()


def show(time="2026-07-16T20:01:00Z", **more):
    """The report of a show of two hours, as the firmware keeps it, in bytes."""
    battery = {
        **{"n": 1, "trips": 0, "closings": 1, "lost_s": 0, "out_mah": 4100, "in_mah": 0},
        **{"out_wh": 106.2, "in_wh": 0.0, "first_pct": 91, "last_pct": 60},
        **{"discharge_ma": 9700, "charge_ma": 0, "high_mv": 27900, "low_mv": 25100},
    }
    tripped = {**battery, "n": 2, "trips": 2, "out_wh": 99.9, "first_pct": None, "last_pct": None}
    report = {
        **{"number": 3, "time": time, "length_s": 7200, "cut": False, "whole": True},
        "selftest": {"number": 5, "time": "2026-07-16T18:00:00Z", "verdict": "watch"},
        **{"boot": 2, "restarts": 0, "dark_s": 12, "darks": 1, "short_s": 0, "weak_s": 40},
        **{"first_pct": 91, "last_pct": 60},
        "rig": {
            **{"discharge_ma": 19100, "discharge_s": 1860, "charge_ma": 0, "charge_s": 0},
            **{"high_mv": 27900, "high_s": 0, "low_mv": 25100, "low_s": 7100, "power_w": 480},
        },
        "batteries": [battery, tripped],
        "closest": [
            {
                **{"limit": "discharge", "n": 1, "value": 9700, "bound": 10000},
                **{"margin_pct": 3, "at_s": 1860},
            }
        ],
        "trips": [
            {
                **{"id": "2-1", "n": 2, "reason": "overcurrent", "value": 25000},
                **{"time": "2026-07-16T20:05:30Z", "boot": 2, "uptime_ms": 330000},
            }
        ],
        "tasks": [
            {"n": 0, "code": "alarm", "level": "danger", "value": "bus_unheld"},
            {"n": 2, "code": "tripped", "level": "trouble", "value": 2},
            {"n": 1, "code": "discharge", "level": "trouble", "value": 97},
            {"n": 2, "code": "discharge", "level": "trouble", "value": 92},
            {"n": 0, "code": "recharge", "level": "notice", "value": 900},
        ],
    }
    return json.dumps(report | more).encode()


def flawed():
    """An archive with a torn line, a bad value, a gap, a clock jump, a missing day, a trip.

    Returns:
        dict: name to bytes. 14 July: boot 1 is dated by its boot log; a torn line, a voltage that
        is no number, 30 s without rows, and the clock goes one hour forward at uptime 600.
        15 July: nothing. 16 July: boot 2, in which pack 3 trips.
    """
    hour = timedelta(hours=1)
    first = rows(range(40, 300)) + rows(range(330, 600)) + rows(range(600, 900), START + hour)
    first[101 * 4 + 2] = first[101 * 4 + 2][:31]
    first[150 * 4] = first[150 * 4].replace(",2000,", ",2o00,")
    second = START + timedelta(days=2)
    trip = [
        line.replace(",2000,on,", ",0,tripped,") for line in rows(range(100, 110), second, [3])
    ]
    night = rows(range(20, 400), second)
    for k, line in enumerate(trip):
        night[(80 + k) * 4 + 2] = line
    link = "# %s is uptime_ms %d; goes on in %s.csv"
    return {
        "boot-0001.csv": log(
            [
                *rows(range(2, 40), None),
                link % (stamp(START + timedelta(seconds=40)), 40000, "2026-07-14"),
            ]
        ),
        "2026-07-14.csv": log(first),
        "boot-0002.csv": log(
            [
                *rows(range(2, 20), None),
                link % (stamp(second + timedelta(seconds=20)), 20000, "2026-07-16"),
            ]
        ),
        "2026-07-16.csv": log(night),
        "events.csv": events(
            (None, 0, "info", "boot", None, "Started, boot 1"),
            (START + timedelta(seconds=40), 40, "info", "time_set", None, "Clock set"),
            (None, 0, "info", "boot", None, "Started, boot 2"),
            (
                second + timedelta(seconds=100),
                100,
                "alarm",
                "trip",
                3,
                "Battery 3: opened, far too much current, 25.0 A",
            ),
        ),
    }
