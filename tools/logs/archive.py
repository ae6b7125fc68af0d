# SPDX-License-Identifier: GPL-3.0-only
"""Joins the logs of a card into one timeline of boots, and names what is missing. Pure.

For night.py. A log row carries wall time and uptime: within one boot their difference stays the
same unless the clock is set anew, and a falling uptime is a restart.
"""

import itertools
import re
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from logs.parsing import ALWAYS, CATALOG, WRONG, About, Flaw, as_rows, parse_events, parse_log
from logs.words import span

_NAME = re.compile(
    r"(?:.*\b|.*_)?(?:(?P<day>\d{4}-\d\d-\d\d)|boot-(?P<boot>\d{4,})|(?P<events>events))"
    r"(?:\b.*|_.*)?\.(?:csv|csv\.txt|txt)"
)
"""Whoever copies a log may give it another name around its own: `2026-07-14 (2).csv`."""
_NO_CARD = [row[0] for row in CATALOG.CODES if row[0].startswith("sd_") and row[3] & CATALOG.ALARM]
_CLOCK_S = 2
"""The clock may be corrected by this much without being called a jump."""
_NEXT_S = 10
"""Two pieces of log whose uptimes are this close, or three intervals, can be of one boot."""
_REASONS = 5
_SAME_START = pd.Timedelta(seconds=60)
"""Of several rigs, events whose rig started further away than this are those of another."""
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
        about: `parsing.About` of the rig; rigs: names of all whose logs lie there.
    """

    rows: pd.DataFrame
    boots: list
    events: pd.DataFrame
    flaws: list
    files: dict
    until: pd.Timestamp
    about: About
    rigs: list = field(default_factory=list)


def is_log(name):
    """True for the name of a log or of the events, in small letters; copies of one are, too."""
    return bool(_NAME.fullmatch(name.rpartition("/")[2]))


def is_events(name):
    """True for the name of a file of events."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    return bool(found and found["events"])


def day_of(name):
    """The day (`2026-07-14`) that a log is named after, None for others."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    return found and found["day"]


def boot_of(name):
    """The boot that a log is named after, None for others."""
    found = _NAME.fullmatch(name.rpartition("/")[2])
    return int(found["boot"]) if found and found["boot"] else None


def join(files, names=(), until=pd.Timestamp.max, window=ALWAYS, rigs=()):
    """Join what is read.

    Args:
        files: mapping of name (see `is_log`) to a function that opens it, as a context manager of
            a binary file.
        names: of logs that are there but are not read: their days are not missing.
        until: Timestamp (UTC); what is later lies in the future, see `AHEAD`.
        window: (first, last) Timestamps: rows dated otherwise are left out.
        rigs: names of all whose logs lie there; with more than one, events that fit no boot are
            those of another.

    Raises:
        ValueError: no row can be read; says what was found instead.
    """
    logs = []
    for name in sorted(name for name in files if not is_events(name)):
        with files[name]() as file:
            logs.append(parse_log(name, file, window))
    flaws = [flaw for log in logs for flaw in log.flaws]
    pieces = sorted((piece for log in logs for piece in _pieces(log, window)), key=_Piece.key)
    pieces = _without_copies(pieces, flaws)
    if not pieces:
        raise ValueError(_nothing(files, flaws))
    about = _about(logs)
    sizes = {log.name: log.size for log in logs}
    boots = _boots(pieces)
    rows = _rows(logs, pieces)
    _find_gaps(rows, boots, flaws)
    rows = _set_right(rows, pieces, flaws)
    events = _events(files, boots, flaws, sizes, strict=len(rigs) > 1)
    flaws = [_explained(flaw, events) for flaw in flaws]
    days = {name: pd.Timestamp(day_of(name)) for name in names if day_of(name)}
    dated = np.array([boot.dated for boot in boots])[rows["boot"]]
    logged = set(days.values()) | set(rows.loc[dated, "time"].dt.normalize().unique())
    flaws += _missing_days({day for day in logged if WRONG <= day <= until})
    flaws += _not_of_today(rows[dated & (rows["time"] > until)], days, until)
    return Archive(rows, boots, events, flaws, sizes, until, about, list(rigs))


def _nothing(files, flaws):
    """What is wrong with files of which no row can be read."""
    what = "no row of a log can be read in " + (", ".join(sorted(files)) or "it")
    return "\n".join([what, *(f"{flaw.file}, {flaw.text}" for flaw in flaws[:_REASONS])])


def _about(logs):
    """What the logs tell of their rig; the later one wins."""
    told = About()
    for log in logs:
        for key in ("number", "name", "zone"):
            if getattr(log.about, key):
                setattr(told, key, getattr(log.about, key))
        told.packs |= log.about.packs
    return told


class _Piece:
    """Rows `begin` to `end` of a log, without a restart or a jump of the clock in between.

    Attributes:
        first, last: times; first_s, last_s: uptimes; offset, last_offset: times of uptime 0.
        dated, number: as of its `Boot`; boot: index of that.
        jump_s: by how much the clock jumped before it; before: time of the row before it.
    """

    def __init__(self, log, begin, end, dated, latest):
        self.log, self.begin, self.end, self.dated = log, begin, end, dated
        self.number = boot_of(log.name)
        time, uptime_s = log.columns["time"], log.columns["uptime_s"]
        self.first, self.last = pd.Timestamp(time[begin]), pd.Timestamp(time[end - 1])
        self.first_s, self.last_s = float(uptime_s[begin]), float(uptime_s[end - 1])
        self.offset = self.first - pd.Timedelta(seconds=self.first_s)
        self.last_offset = self.last - pd.Timedelta(seconds=self.last_s)
        self.latest = max(latest, self.first)
        self.boot = None
        self.jump_s = 0.0
        self.before = None

    def key(self):
        """Within a file the order of the rows is what happened, whatever the clock said."""
        return self.dated, self.latest, len(self.log.name), self.log.name, self.begin

    def column(self, name):
        """Its part of a column."""
        return self.log.columns[name][self.begin : self.end]


def _pieces(log, window):
    columns = log.columns
    boot = boot_of(log.name)
    dated = boot is None or log.offset is not None
    if boot is None:
        _keep(columns, ~np.isnat(columns["time"]))
    else:
        origin = log.offset if dated else pd.Timestamp(0)
        ms = (columns["uptime_s"] * 1000).astype("timedelta64[ms]")
        columns["time"] = (origin.to_datetime64() + ms).astype("datetime64[s]")
    if dated:
        first, last = (np.datetime64(moment, "s") for moment in window)
        _keep(columns, (columns["time"] >= first) & (columns["time"] <= last))
    if not len(columns["time"]):
        return
    step_s = np.diff(columns["uptime_s"])
    jump_s = np.diff(columns["time"]).astype("float64") - step_s
    cuts = np.flatnonzero((step_s < 0) | (np.abs(jump_s) > _CLOCK_S)) + 1
    latest = pd.Timestamp(0)
    for begin, end in itertools.pairwise([0, *cuts.tolist(), len(columns["time"])]):
        piece = _Piece(log, begin, end, dated, latest)
        latest = piece.latest
        yield piece


def _keep(columns, mask):
    if not mask.all():
        for name, values in columns.items():
            columns[name] = values[mask]


def _without_copies(pieces, flaws):
    """The pieces without the rows that another has already; says so once a file."""
    kept, told = [], set()
    for piece in pieces:
        while piece:
            before = next((other for other in kept if _repeats(other, piece)), None)
            if before is None:
                kept.append(piece)
                break
            if piece.log.name not in told:
                told.add(piece.log.name)
                text = f"has rows of {before.log.name} once more: left aside"
                flaws.append(Flaw("copy", text, piece.log.name, 0, piece.first, piece.last))
            begin = piece.begin + int(
                np.searchsorted(piece.column("uptime_s"), before.last_s, "right")
            )
            more = begin < piece.end
            piece = more and _Piece(piece.log, begin, piece.end, piece.dated, piece.latest)
    return kept


def _repeats(before, piece):
    """True when a piece begins with rows that the one before has."""
    same = before.dated == piece.dated and before.number == piece.number
    apart_s = abs((piece.offset - before.offset).total_seconds())
    return (
        same
        and before.log is not piece.log
        and (piece.dated or _first_rows(before) == _first_rows(piece))
        and apart_s <= 1
        and before.first_s <= piece.first_s <= before.last_s
    )


def _first_rows(piece):
    return [piece.column(name)[:16].tolist() for name in ("uptime_s", "voltage_mv", "current_ma")]


def _rows(logs, pieces):
    """The rows of all pieces as one table. Column by column, for there is no room for it twice."""
    files = pd.CategoricalDtype([log.name for log in logs])
    number = {log.name: k for k, log in enumerate(logs)}
    columns = {}
    for name in list(logs[0].columns):
        columns[name] = np.concatenate([piece.column(name) for piece in pieces])
        for log in logs:
            del log.columns[name]
    sizes = [piece.end - piece.begin for piece in pieces]
    codes = np.array([number[piece.log.name] for piece in pieces], "int16").repeat(sizes)
    rows = as_rows(columns)
    rows["file"] = pd.Categorical.from_codes(codes, dtype=files)
    rows["boot"] = np.array([piece.boot for piece in pieces], "int32").repeat(sizes)
    return rows


def _set_right(rows, pieces, flaws):
    """The rows without those that a clock that was set back since has dated too late."""
    aside = np.zeros(len(rows), bool)
    times, boots = rows["time"].to_numpy(), rows["boot"].to_numpy()
    row = 0
    for piece in pieces:
        if abs(piece.jump_s) > _CLOCK_S:
            late = (boots[:row] == piece.boot) & (times[:row] >= np.datetime64(piece.first, "s"))
            count = int((late & ~aside[:row]).sum())
            aside[:row] |= late
            way = "forward" if piece.jump_s > 0 else "back"
            text = f"the clock jumped {way} by {span(abs(piece.jump_s))}, to {piece.first}"
            if count:
                text += f"; {count} row{'s' * (count > 1)} dated later left aside"
            line = int(rows["line"].iloc[row])
            flaws.append(Flaw("clock", text, piece.log.name, line, piece.before, piece.first))
        row += piece.end - piece.begin
    return rows[~aside].reset_index(drop=True) if aside.any() else rows


def _interval_s(uptime_s):
    steps_s = np.diff(np.unique(uptime_s))
    return float(np.median(steps_s)) if len(steps_s) else 1.0


def _boots(pieces):
    """Number the pieces by the boot they are of; returns the boots."""
    boots = []
    before = None
    for piece in pieces:
        if before and _goes_on(before, piece):
            piece.jump_s = (piece.offset - before.last_offset).total_seconds()
            boots[-1].end = piece.last
        else:
            pause_s = None
            if before and before.dated:
                pause_s = (piece.first - before.last).total_seconds()
            boots.append(
                Boot(piece.number, piece.first, piece.last, piece.dated, piece.offset, pause_s)
            )
        piece.before = before and before.last
        piece.boot = len(boots) - 1
        before = piece
    return boots


def _goes_on(before, piece):
    """True when a piece is of the same boot as the one before it."""
    if not (before.dated and piece.dated) or piece.number is not None:
        return False
    step_s = piece.first_s - before.last_s
    same_clock = abs((piece.offset - before.last_offset).total_seconds()) <= _CLOCK_S
    interval_s = max(_interval_s(part.column("uptime_s")) for part in (before, piece))
    return step_s > 0 and (same_clock or step_s <= max(_NEXT_S, 3 * interval_s))


def _find_gaps(rows, boots, flaws):
    """Mark the rows before which others are missing, and name each gap once."""
    uptime_s, times = rows["uptime_s"].to_numpy(), rows["time"].to_numpy()
    number, lines = rows["boot"].to_numpy(), rows["line"].to_numpy()
    for k, boot in enumerate(boots):
        own = number == k
        boot.interval_s = _interval_s(uptime_s[own])
        boot.packs = tuple(np.unique(rows["battery"].to_numpy()[own]).tolist())
    gap = np.zeros(len(rows), bool)
    holes = {}
    for (k, battery), at in rows.groupby(["boot", "battery"], sort=False).indices.items():
        step_s = np.diff(uptime_s[at])
        missing = np.round(step_s / boots[k].interval_s) - 1
        # Where the clock jumped nothing is missing, but a line drawn across would be wrong.
        jumped = np.abs(np.diff(times[at]).astype("float64") - step_s) > _CLOCK_S
        gap[at[1:]] = (missing >= 1) | jumped
        for i in np.flatnonzero(missing >= 1):
            hole = holes.setdefault((k, uptime_s[at[i + 1]], step_s[i]), [])
            hole.append((int(battery), at[i], at[i + 1], int(missing[i])))
        for column in ("discharge_mah", "charge_mah"):
            counted = rows[column].to_numpy()[at]
            for i in at[1:][np.diff(counted) < 0]:
                text = f"line {lines[i]}: {column} of pack {battery} falls to {rows[column][i]:g}"
                moment = pd.Timestamp(times[i])
                flaws.append(Flaw("damage", text, rows["file"][i], int(lines[i]), moment, moment))
    rows["gap"] = gap
    damaged = {(flaw.file, flaw.line) for flaw in flaws}
    for (k, _, step_s), hole in sorted(holes.items()):
        hole.sort(key=lambda found: found[2])
        _, before, after, count = hole[0]
        file = rows["file"][after]
        between = range(int(lines[before]) + 1, int(lines[after]))
        if sum((file, line) in damaged for line in between) >= count * len(hole):
            continue  # these rows are there, damaged
        packs = tuple(sorted(found[0] for found in hole))
        packs = () if packs == boots[k].packs else packs
        whose = f" of {_packs(packs)}" if packs else ""
        text = f"{count} sample{'s' * (count > 1)}{whose} missing in {span(step_s)}"
        place = (pd.Timestamp(times[before]), pd.Timestamp(times[after]))
        flaws.append(Flaw("gap", text, file, int(lines[after]), *place, packs))


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


def _events(files, boots, flaws, sizes, strict):
    """The events of all their files with the boots they are of."""
    tables = []
    for name in sorted(filter(is_events, files)):
        with files[name]() as file:
            data = file.read()
        table, damage = parse_events(name, data)
        flaws += damage
        sizes[name] = len(data)
        _date_events(table, boots, strict)
        tables.append(table)
    if not tables:
        tables.append(parse_events("", b"")[0].assign(boot=-1))
    return pd.concat(tables, ignore_index=True)


def _date_events(events, boots, strict):
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
            apart = offsets.iloc[0] - boots[k].offset if k is not None else _SAME_START
            if strict and abs(apart) >= _SAME_START:
                k = None
        else:
            k = numbers.get(number)
            times = None if k is None else boots[k].offset + uptime
        if k is not None:
            events.loc[part.index, "time"] = times.astype("datetime64[s]")
            events.loc[part.index, "boot"] = k
        number = None if number is None else number + 1


def _not_of_today(rows, days, until):
    """A flaw for each log that has these rows, later than `until`, or is named after such a day,
    or one before there was this firmware."""
    places = {name: (0, day, day + AHEAD) for name, day in days.items() if day > until}
    for name, part in rows.groupby("file", sort=False, observed=True):
        places[name] = (int(part["line"].iloc[0]), part["time"].min(), part["time"].max())
    for name, (line, start, end) in sorted(places.items()):
        text = f"from {start:%Y-%m-%d} on it lies in the future of this computer's clock"
        yield Flaw("clock", text, name, line, start, end)
    for name, day in sorted(days.items()):
        if day < WRONG:
            text = f"the clock was wrong, {day:%Y-%m-%d}: the whole log is left aside"
            yield Flaw("clock", text, name, 0, day, day + AHEAD)


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
