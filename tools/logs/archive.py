# SPDX-License-Identifier: GPL-3.0-only
"""Joins the logs of a card into one timeline of boots, and names what is missing. Pure.

For night.py. A log row carries wall time and uptime: within one boot their difference stays the
same unless the clock is set anew, and a falling uptime is a restart.
"""

import itertools
import re
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from logs.parsing import CATALOG, Flaw, parse_events, parse_log
from logs.words import span

EVENTS = "events.csv"
_DAY = re.compile(r"(\d{4}-\d\d-\d\d)(?:-\d+)?\.csv")
_BOOT = re.compile(r"boot-(\d{4,})(?:-\d+)?\.csv")
_NO_CARD = [row[0] for row in CATALOG.CODES if row[0].startswith("sd_") and row[3] & CATALOG.ALARM]
_CLOCK_S = 2
"""The clock may be corrected by this much without being called a jump."""
_NEXT_S = 10
"""Two pieces of log whose uptimes are this close, or three intervals, can be of one boot."""
_REASONS = 5
AHEAD = pd.Timedelta(days=1)
"""A rig's clock may be this far ahead of the computer's without being reported."""


@dataclass
class Boot:
    """One run of the controller between two starts.

    Attributes:
        number: as in the name of its boot log, None when that is gone.
        start, end: time of its first and last row (Timestamp; since 1970 when not `dated`).
        dated: False when its wall time never became known.
        offset: time of its uptime 0.
        pause_s: time without a row since the boot before it, None for the first and undated.
        interval_s: what its samples are apart.
        packs: batteries (1..16) that it logged.
    """

    number: int | None
    start: pd.Timestamp
    end: pd.Timestamp
    dated: bool
    offset: pd.Timestamp
    pause_s: float | None
    interval_s: float = 1.0
    packs: tuple = ()


@dataclass
class Archive:
    """All that was read.

    Attributes:
        rows: as `Log.rows`, with `file`, `boot` (index into boots) and `gap` (True when rows of
            this battery are missing before this one, or its clock jumped); `time` is always
            known, since 1970 for an undated boot.
        boots: list of `Boot`; events: as `parse_events`, with `boot` (-1: of none that is here).
        flaws: list of `Flaw`; files: name to size in bytes.
        until: what is later lies in the future.
    """

    rows: pd.DataFrame
    boots: list
    events: pd.DataFrame
    flaws: list
    files: dict
    until: pd.Timestamp


def is_log(name):
    """True for the name of a log or of the events, in small letters."""
    return bool(name == EVENTS or _DAY.fullmatch(name) or _BOOT.fullmatch(name))


def day_of(name):
    """The day (`2026-07-14`) that a log is named after, None for others."""
    found = _DAY.fullmatch(name)
    return found and found[1]


def join(files, names=(), until=pd.Timestamp.max):
    """Join what was read.

    Args:
        files: mapping of name (see `is_log`) to content in bytes.
        names: of logs that are there but were not read: their days are not missing.
        until: Timestamp (UTC); what is later lies in the future, see `AHEAD`.

    Raises:
        ValueError: no row can be read; says what was found instead.
    """
    logs = [parse_log(name, files[name]) for name in sorted(files) if name != EVENTS]
    flaws = [_placed(flaw, log) for log in logs for flaw in log.flaws]
    pieces = sorted((piece for log in logs for piece in _pieces(log)), key=lambda p: p.key)
    if not pieces:
        raise ValueError(_nothing(files, flaws))
    boots = _boots(pieces, flaws)
    rows = pd.concat([piece.rows for piece in pieces], ignore_index=True)
    _find_gaps(rows, boots, flaws)
    events, damage = parse_events(EVENTS, files.get(EVENTS, b""))
    if EVENTS in files:
        flaws += damage
    _date_events(events, boots)
    flaws = [_explained(flaw, events) for flaw in flaws]
    days = {name: pd.Timestamp(day_of(name)) for name in names if day_of(name)}
    dated = rows["boot"].map([boot.dated for boot in boots].__getitem__)
    logged = set(days.values()) | set(rows.loc[dated, "time"].dt.normalize())
    flaws += _missing_days({day for day in logged if day <= until})
    flaws += _in_the_future(rows[dated], days, until)
    sizes = {name: len(data) for name, data in files.items()}
    return Archive(rows, boots, events, flaws, sizes, until)


def _nothing(files, flaws):
    """What is wrong with files of which no row can be read."""
    what = "no row of a log can be read in " + (", ".join(sorted(files)) or "it")
    return "\n".join([what, *(f"{flaw.file}, {flaw.text}" for flaw in flaws[:_REASONS])])


@dataclass
class _Piece:
    """Rows of one file without a restart or a jump of the clock in between."""

    rows: pd.DataFrame
    dated: bool
    number: int | None
    key: tuple

    def __post_init__(self):
        first, last = self.rows.iloc[0], self.rows.iloc[-1]
        self.start, self.end = first["time"], last["time"]
        self.first_s, self.last_s = first["uptime_s"], last["uptime_s"]
        self.offset = self.start - pd.Timedelta(seconds=self.first_s)
        self.last_offset = self.end - pd.Timedelta(seconds=self.last_s)


def _pieces(log):
    rows = log.rows.assign(file=log.name)
    if rows.empty:
        return
    boot = _BOOT.fullmatch(log.name)
    uptime = pd.to_timedelta(rows["uptime_s"], unit="s")
    dated = not boot or log.offset is not None
    if boot:
        rows["time"] = ((log.offset if dated else pd.Timestamp(0)) + uptime).astype(
            "datetime64[s]"
        )
    else:
        rows = rows[rows["time"].notna()]
    jump_s = (rows["time"] - uptime).diff().dt.total_seconds().abs()
    cuts = ((rows["uptime_s"].diff() < 0) | (jump_s > _CLOCK_S)).cumsum()
    latest = pd.Timestamp(0)
    for k, (_, part) in enumerate(rows.groupby(cuts)):
        # Within a file the order of the rows is what happened, whatever the clock said.
        latest = max(latest, part["time"].iloc[0])
        yield _Piece(
            part,
            dated,
            int(boot[1]) if boot else None,
            (dated, latest, log.name, k),
        )


def _interval_s(rows):
    steps_s = np.diff(rows["uptime_s"].unique())
    return float(np.median(steps_s)) if len(steps_s) else 1.0


def _boots(pieces, flaws):
    """Number the rows of each piece by the boot they are of; returns the boots."""
    boots = []
    before = None
    for piece in pieces:
        if before and _goes_on(before, piece):
            jump_s = (piece.offset - before.last_offset).total_seconds()
            if abs(jump_s) > _CLOCK_S:
                way = "forward" if jump_s > 0 else "back"
                flaw = f"the clock jumped {way} by {span(abs(jump_s))}, to {piece.start}"
                file = piece.rows["file"].iloc[0]
                line = int(piece.rows["line"].iloc[0])
                flaws.append(Flaw("clock", flaw, file, line, before.end, piece.start))
            boots[-1].end = piece.end
        else:
            pause_s = None
            if before and before.dated:
                pause_s = (piece.start - before.end).total_seconds()
            boots.append(
                Boot(piece.number, piece.start, piece.end, piece.dated, piece.offset, pause_s)
            )
        piece.rows["boot"] = len(boots) - 1
        before = piece
    return boots


def _goes_on(before, piece):
    """True when a piece is of the same boot as the one before it."""
    if not (before.dated and piece.dated) or piece.number is not None:
        return False
    step_s = piece.first_s - before.last_s
    same_clock = abs((piece.offset - before.last_offset).total_seconds()) <= _CLOCK_S
    interval_s = max(_interval_s(before.rows), _interval_s(piece.rows))
    return step_s > 0 and (same_clock or step_s <= max(_NEXT_S, 3 * interval_s))


def _find_gaps(rows, boots, flaws):
    """Mark the rows before which others are missing, and name each gap once."""
    for k, part in rows.groupby("boot"):
        boots[k].interval_s = _interval_s(part)
        boots[k].packs = tuple(sorted(part["battery"].unique().tolist()))
    per_pack = rows.groupby(["boot", "battery"], sort=False)
    step_s = per_pack["uptime_s"].diff()
    interval_s = rows["boot"].map({k: boot.interval_s for k, boot in enumerate(boots)})
    missing = (step_s / interval_s).round() - 1
    rows["gap"] = missing >= 1
    found = rows.assign(
        since=per_pack["time"].shift(),
        line_before=per_pack["line"].shift(),
        step_s=step_s,
        missing=missing,
    )
    damaged = {(flaw.file, flaw.line) for flaw in flaws}
    for (boot, _, step), group in found[rows["gap"]].groupby(["boot", "uptime_s", "step_s"]):
        row = group.iloc[0]
        between = range(int(row["line_before"]) + 1, int(row["line"]))
        count = int(row["missing"])
        if sum((row["file"], line) in damaged for line in between) >= count * len(group):
            continue  # these rows are there, damaged
        packs = tuple(sorted(group["battery"].tolist()))
        packs = () if packs == boots[boot].packs else packs
        whose = f" of {_packs(packs)}" if packs else ""
        text = f"{count} sample{'s' * (count > 1)}{whose} missing in {span(step)}"
        place = (row["file"], int(row["line"]), row["since"], row["time"])
        flaws.append(Flaw("gap", text, *place, packs))
    for column in ("discharge_mah", "charge_mah"):
        fallen = found[per_pack[column].diff() < 0]
        for row in fallen.itertuples():
            place = f"line {row.line}: {column} of pack {row.battery}"
            flaw = f"{place} falls to {getattr(row, column):g}"
            flaws.append(Flaw("damage", flaw, row.file, row.line, row.time, row.time))
    # Where the clock jumped nothing is missing, but a line drawn across would be wrong.
    jumped = per_pack["time"].diff().dt.total_seconds() - step_s
    rows["gap"] |= jumped.abs() > _CLOCK_S


def _explained(flaw, events):
    """A gap with what the events say of the card in it."""
    if flaw.kind != "gap":
        return flaw
    inside = events["time"].between(flaw.start, flaw.end) & events["code"].isin(_NO_CARD)
    if not inside.any():
        return flaw
    why = re.split(r", \d|\s*:", events.loc[inside, "detail"].iloc[0])[0]
    return replace(flaw, text=f"{flaw.text} ({why})")


def _packs(numbers):
    return f"pack{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _placed(flaw, log):
    """The flaw with the time of the row before it (or after it, at the top of a file)."""
    rows = log.rows
    if rows.empty:
        return flaw
    row = rows.iloc[max(int(rows["line"].searchsorted(flaw.line)) - 1, 0)]
    time = row["time"]
    if time is pd.NaT:
        time = (log.offset or pd.Timestamp(0)) + pd.Timedelta(seconds=row["uptime_s"])
    return replace(flaw, start=time, end=time)


def _date_events(events, boots):
    """Give each event the boot it is of, and its time where the firmware did not know it."""
    numbers = {boot.number: k for k, boot in enumerate(boots) if boot.number is not None}
    # A boot whose first event is lost follows the one before, or is the only one.
    number = next(iter(numbers)) if len(numbers) == 1 else None
    runs = (events["uptime_s"].diff() < 0).cumsum()
    events["boot"] = -1
    for _, part in events.groupby(runs):
        uptime = pd.to_timedelta(part["uptime_s"], unit="s")
        named = part.loc[part["code"] == "boot", "detail"].str.extract(r"(\d+)\D*$")[0].dropna()
        number = int(named.iloc[-1]) if len(named) else number
        offsets = (part["time"] - uptime).dropna()
        if len(offsets):
            times = part["time"].fillna(offsets.iloc[0] + uptime)
            start = times.iloc[0]
            near = (n for n, boot in enumerate(boots) if boot.dated and start <= boot.end)
            k = next(near, None)
        else:
            k = numbers.get(number)
            times = None if k is None else boots[k].offset + uptime
        if k is not None:
            events.loc[part.index, "time"] = times.astype("datetime64[s]")
            events.loc[part.index, "boot"] = k
        number = None if number is None else number + 1


def _in_the_future(rows, days, until):
    """A flaw for each log that has rows later than `until`, or is named after such a day."""
    places = {name: (0, day, day + AHEAD) for name, day in days.items() if day > until}
    for name, part in rows[rows["time"] > until].groupby("file", sort=False):
        places[name] = (int(part["line"].iloc[0]), part["time"].min(), part["time"].max())
    for name, (line, start, end) in sorted(places.items()):
        text = f"from {start:%Y-%m-%d} on it lies in the future of this computer's clock"
        yield Flaw("clock", text, name, line, start, end)


def _missing_days(days):
    """A flaw for each run of days without a log between the first and the last of `days`."""
    day = pd.Timedelta(days=1)
    for before, after in itertools.pairwise(sorted(days)):
        count = (after - before).days - 1
        if count:
            first, last = before + day, after - day
            names = f"{first:%Y-%m-%d}" + (f" to {last:%Y-%m-%d}" if count > 1 else "")
            text = f"no log of {'this day' if count == 1 else f'these {count} days'}"
            yield Flaw("day", f"{names}: {text}", "", 0, first, after)
