# SPDX-License-Identifier: GPL-3.0-only
"""What the tool says in words: the numbers of a night and every flaw. Pure; for night.py."""

import pandas as pd

from logs import nights
from logs.words import span

KINDS = {
    "damage": "Damaged",
    "clock": "Clock",
    "copy": "Copies",
    "other": "Other files",
    "gap": "Missing rows",
    "day": "Missing days",
}
_FLAWS = "Flaws of this night's log"
COLUMNS = (
    ("out Ah", "out_ah", ".2f"),
    ("in Ah", "in_ah", ".2f"),
    ("out Wh", "out_wh", ".1f"),
    ("in Wh", "in_wh", ".1f"),
    ("from %", "first_pct", ".0f"),
    ("to %", "last_pct", ".0f"),
    ("on h", "on_h", ".2f"),
    ("min V", "low_v", ".2f"),
    ("max V", "high_v", ".2f"),
    ("peak A", "peak_a", ".2f"),
    ("trips", "trips", ".0f"),
)
"""The table of the packs: what it is headed, the column of `Night.packs`, how it is written."""
_TOLD = (
    ("label", "label", ""),
    ("id", "id", ""),
    ("health %", "health_pct", ".0f"),
    ("R grown %", "growth_pct", ".0f"),
)
"""The same, of what only some cards tell."""
_LONGEST = 40
_MOST = 12
"""As many flaws of one kind are listed; the others are counted."""


def clock(night, time):
    """A time as it is written: of the day, or uptime when the date is not known."""
    if not night.dated:
        return "uptime " + span((time - pd.Timestamp(0)).total_seconds())
    return f"{time:%Y-%m-%d %H:%M:%S}"


def headline(night):
    """One line: when, how many packs, Ah, Wh, charge, trips, flaws."""
    packs = night.packs
    count = len(night.flaws)
    length = span((night.end - night.start).total_seconds())
    days = "%Y-%m-%d %H:%M" if night.end.date() != night.start.date() else "%H:%M"
    when = f"{night.start:{days}} to {night.end:{days}} UTC, {length}" if night.dated else length
    return " · ".join(
        (
            when,
            _many(len(packs), "pack"),
            f"{packs['out_ah'].sum():.1f} Ah ({packs['out_wh'].sum():.0f} Wh) out",
            f"{packs['in_ah'].sum():.1f} Ah ({packs['in_wh'].sum():.0f} Wh) in",
            *charge(packs),
            _many(len(night.trips), "trip"),
            _many(count, "flaw") + " in the log" if count else "log complete",
        )
    )


def rig_line(night):
    """Nothing, or one line: whose night it is, where its clock stands, which rigs are left out."""
    about = night.about
    parts = []
    if about.name:
        ahead = nights.offset(night.start, about.zone)
        parts.append(f"rig {about.name} ({about.number}), its clock is {utc(ahead)}")
    if len(night.rigs) > 1:
        parts.append(f"left out, RIG= chooses: {', '.join(night.rigs[1:])}")
    return " · ".join(parts)


def utc(ahead):
    """A distance from UTC as it is written: `UTC+2`, `UTC−3:30`, `UTC`."""
    minutes = round(ahead.total_seconds() / 60)
    hours, rest = divmod(abs(minutes), 60)
    sign = "+" if minutes > 0 else "−"
    return f"UTC{sign}{hours}" + (f":{rest:02}" if rest else "") if minutes else "UTC"


def charge(packs):
    """Nothing, or one text: the mean charge at first and at last of the packs that tell it."""
    known = packs[["first_pct", "last_pct"]].dropna()
    if known.empty:
        return []
    first, last = known.mean()
    return [f"charge {first:.0f} to {last:.0f} %"]


def flaw_lines(flaws):
    """The flaws in words, the kinds one after the other, a long list cut short.

    Returns:
        list: of (`Flaw` or None for "and 3 more", line).
    """
    lines = []
    for kind, name in KINDS.items():
        found = sorted(
            (flaw for flaw in flaws if flaw.kind == kind),
            key=lambda flaw: (flaw.start or pd.Timestamp(0), flaw.file, flaw.line),
        )
        if kind == "gap":
            # The longest are what somebody looks for.
            found.sort(key=lambda flaw: flaw.start - flaw.end)
        lines += [(flaw, f"{name}: {_told(flaw)}") for flaw in found[:_MOST]]
        if len(found) > _MOST:
            lines.append((None, f"{name}: and {len(found) - _MOST} more"))
    return lines


def _told(flaw):
    place = f"{flaw.file}, " if flaw.file else ""
    if flaw.kind != "gap":
        return place + flaw.text
    since = (
        f"{flaw.start:%Y-%m-%d %H:%M:%S}"
        if flaw.start.year > 1970
        else "uptime " + span((flaw.start - pd.Timestamp(0)).total_seconds())
    )
    return f"{place}from {since}: {flaw.text}"


def trip_lines(night):
    """The trips as lines."""
    return _cut(
        f"{clock(night, trip.time)}  pack {trip.battery}: {trip.text}"
        for trip in night.trips.itertuples()
    )


def alarm_lines(night):
    """All other alarms as lines."""
    return _cut(f"{clock(night, row.time)}  {row.detail}" for row in night.alarms.itertuples())


def boot_lines(night):
    """The starts of the controller as lines."""
    lines = []
    for boot in night.boots:
        number = f"boot {boot.number}" if boot.number is not None else "boot, its number is lost"
        pause = f", {span(boot.pause_s)} after the row before" if boot.pause_s is not None else ""
        lines.append(f"{clock(night, boot.start)}  {number}{pause}")
    return _cut(lines)


def columns(night):
    """The rows of COLUMNS, and those of what else is told of the packs."""
    return COLUMNS + tuple(row for row in _TOLD if row[1] in night.packs)


def pack_rows(night):
    """The table of the packs as (number, texts in the order of `columns`); unknown is a dash."""
    for n, pack in night.packs.iterrows():
        cells = (
            "–" if pd.isna(pack[key]) else format(pack[key], form)
            for _, key, form in columns(night)
        )
        yield n, list(cells)


def text(archive, night):
    """The whole report."""
    files = ", ".join(f"{name} ({size / 1000:.0f} kB)" for name, size in archive.files.items())
    parts = [night.title, *filter(None, [rig_line(night)]), headline(night), f"read: {files}", ""]
    head = [name for name, _, _ in columns(night)]
    table = [("pack", head), *pack_rows(night)]
    for n, cells in table:
        parts.append(
            f"{n:4}  "
            + "  ".join(
                f"{cell:>{max(len(name), 6)}}" for name, cell in zip(head, cells, strict=True)
            )
        )
    for title, lines in (
        ("Trips", trip_lines(night)),
        ("Other alarms", alarm_lines(night)),
        ("Starts of the controller", boot_lines(night)),
        (_FLAWS, [line for _, line in flaw_lines(night.flaws)]),
        ("Flaws elsewhere", [line for _, line in flaw_lines(night.others)]),
    ):
        if lines or title == _FLAWS:
            parts += ["", f"{title}: {'' if lines else 'none'}".rstrip()]
            parts += [f"  {line}" for line in lines]
    return "\n".join(parts) + "\n"


def _cut(lines):
    lines = list(lines)
    more = len(lines) - _LONGEST
    return lines if more <= 0 else [*lines[:_LONGEST], f"and {more} more"]


def _many(count, what):
    return f"{count} {what}{'' if count == 1 else 's'}"
