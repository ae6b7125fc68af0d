# SPDX-License-Identifier: GPL-3.0-only
"""Which logs of a source a night needs, of which rig: so that no more is read. For night.py."""

from dataclasses import dataclass

import pandas as pd

from logs import nights, sources
from logs.archive import boot_of, day_of, is_events
from logs.parsing import ALWAYS, WRONG, Flaw, parse_log

_DAY = pd.Timedelta(days=1)
_NO_ZONE = pd.Timedelta(hours=14)
"""So far a zone may be from UTC."""


@dataclass
class Choice:
    """What to read.

    Attributes:
        names: of logs and events; window: (first, last) Timestamps of the rows that are needed.
        others: names of the rig's logs that are not needed.
        rigs: names of all rigs, that of the one chosen first.
        below: folder of its logs, "" where there is one only.
        flaws: list of `Flaw`: what lies there and is not read.
    """

    names: list
    window: tuple
    others: list
    rigs: list
    below: str
    flaws: list


@dataclass
class _Log:
    """What the beginning of a log tells: whose it is, and a row by which a copy is known."""

    name: str
    number: str | None
    title: str | None
    zone: str | None
    first: tuple | None

    @property
    def folder(self):
        return self.name.rpartition("/")[0]

    @property
    def plain(self):
        """What it would be called on the card: day or boot."""
        return day_of(self.name) or boot_of(self.name)


def choose(source, wanted, rig, until):
    """Choose the logs of a night.

    Args:
        source: a `Source`; wanted: as of `nights.night_of`; rig: name, number or folder of one of
            several, or None for that with the latest night; until: as of `archive.join`.

    Raises:
        SourceError: there is no such rig, or no log of such a night; says which there are.
    """
    logs = [_looked_at(source, name) for name in source.names if not is_events(name)]
    if not logs:
        return Choice(source.names, ALWAYS, [], [], "", [])
    rigs = _rigs(logs)
    flaws = [_stranger(name) for name in source.others]
    name = _chosen_rig(rigs, rig, until)
    own = rigs.pop(name)
    below = {log.folder for log in own}
    names = [name, *rigs]
    below = below.pop() if len(below) == 1 else ""
    wanted_names, window = _night(source, own, wanted, until)
    events = [
        name
        for name in source.names
        if is_events(name) and (not below or name.rpartition("/")[0] == below)
    ]
    others = [log.name for log in own if log.name not in wanted_names]
    return Choice(wanted_names + events, window, others, names, below, flaws)


def _looked_at(source, name):
    if not source.mixed:
        return _Log(name, None, None, None, None)
    log = parse_log(name, source.head(name))
    row = log.rows.iloc[0] if len(log.rows) else None
    first = None if row is None else (row["time"], row["uptime_s"], row["voltage_mv"])
    return _Log(name, log.about.number, log.about.name, log.about.zone, first)


def _rigs(logs):
    """The logs by the name of their rig: dict of lists.

    A log that does not say whose it is belongs to the only rig of its folder; one that has the day
    of another there, and other rows, to one more.
    """
    told = {}
    for log in logs:
        if log.number:
            told.setdefault(log.folder, {}).setdefault(log.number, log)
    groups, seen = {}, set()
    for log in sorted(logs, key=lambda log: (not log.number, len(log.name), log.name)):
        near = told.get(log.folder, {})
        key = log.number or (next(iter(near)) if len(near) == 1 else log.folder)
        same = key, log.folder, log.plain, log.first
        taken = {(other.folder, other.plain) for other in groups.get(key, ()) if other.plain}
        # Of a copy, with the same first row, `archive.join` takes each row once.
        known = log.number or same in seen or _further(log.name)
        if not known and (log.folder, log.plain) in taken:
            key = f"{key}/{log.name}" if key else log.name
        seen.add(same)
        groups.setdefault(key, []).append(log)
    return {_title(key, group): group for key, group in groups.items()}


def _further(name):
    """True for a log that the rig itself has begun anew: `2026-07-14-2.csv`."""
    stem = name.rpartition("/")[2].split(".")[0]
    head, _, number = stem.rpartition("-")
    return number.isdigit() and (head == day_of(name) or head == f"boot-{stem[5:9]}")


def _title(key, group):
    title = next((log.title for log in group if log.title), None)
    return f"{title} ({key})" if title else key or "rig"


def _chosen_rig(rigs, wanted, until):
    if wanted is None:
        return max(rigs, key=lambda name: _latest(rigs[name], until))
    found = [name for name in rigs if wanted.casefold() in name.casefold()]
    if len(found) != 1:
        raise sources.SourceError(f"no rig {wanted}; there are: {', '.join(rigs)}")
    return found[0]


def _latest(logs, until):
    days = [day for day in (day_of(log.name) for log in logs) if day]
    return max((day for day in days if _is_real(day, until)), default="")


def _is_real(day, until):
    return WRONG <= pd.Timestamp(day) <= until


def _stranger(name):
    kind = name.rpartition(".")[2].lower()
    why = (
        "its name has neither day nor boot: rename it as the rig did, such as 2026-07-14.csv"
        if kind == "csv"
        else "a spreadsheet's own format: copy the log from the card anew"
    )
    return Flaw("other", f"not read, {why}", name)


def _night(source, logs, wanted, until):
    """(names, window) of the night that is wanted, all of a rig that is asked over the network."""
    days = {log.name: day_of(log.name) for log in logs if day_of(log.name)}
    everything = [log.name for log in logs]
    if wanted == nights.ALL:
        return everything, ALWAYS
    zone = next((log.zone for log in reversed(logs) if log.zone), None)
    real = sorted(day for day in days.values() if _is_real(day, until))
    real = real or sorted(days.values())
    if wanted is None and not real:
        return everything, ALWAYS
    try:
        evening = pd.Timestamp(wanted) if wanted else None
    except ValueError:
        return [name for name in everything if not days.get(name)], ALWAYS
    if evening is None and not source.remote:
        evening = _last_evening(source, [n for n in days if days[n] == real[-1]], zone)
    if evening is None:
        # A night ends on the day after, and the last log may be that of a morning.
        last = pd.Timestamp(real[-1])
        first, last = last - _DAY, last + _DAY
    else:
        first, last = evening, evening + 2 * _DAY
    if not source.remote:
        first = evening + pd.Timedelta(hours=12) - nights.offset(evening, zone)
        last = first + _DAY
    window = (first, last) if not source.remote else (first - _NO_ZONE, last + _NO_ZONE)
    if first < WRONG:
        window = (first, max(last, ALWAYS[0]))
    near = {f"{day:%Y-%m-%d}" for day in pd.date_range(first.normalize(), last, inclusive="left")}
    names = [name for name, day in days.items() if day in near]
    boots = [name for name in everything if name not in days]
    return names + [name for name in boots if _reaches(source, name, *window)], window


def _last_evening(source, names, zone):
    """The evening of the last row of these logs, all of one day."""
    times = []
    for name in names:
        head, tail = source.head(name).split(b"\n", 1)[0], source.tail(name)
        rows = parse_log(
            name, head + b"\n" + tail.partition(b"\n")[2], (pd.Timestamp(0), ALWAYS[1])
        )
        times += rows.rows["time"].dropna().tolist()[-1:]
    day = pd.Timestamp(day_of(names[0]))
    last = max((time for time in times if time.normalize() == day), default=day)
    return nights.evening_of(pd.Series([last]), zone).iloc[0]


def _reaches(source, name, first, last):
    """True when the log of a boot reaches into a window, or may."""
    if source.remote:
        return True
    log = _end(source, name, ALWAYS)
    if log.offset is None:
        return False
    end = log.rows["uptime_s"].max()
    until = log.offset + pd.Timedelta(seconds=0 if end != end else end)
    return log.offset <= last and until >= first


def _end(source, name, window):
    """The last rows of a log as a `Log`."""
    head = source.head(name).split(b"\n", 1)[0]
    return parse_log(name, head + b"\n" + source.tail(name).partition(b"\n")[2], window)
