# SPDX-License-Identifier: GPL-3.0-only
"""What the tool says in words: the numbers of a night and every flaw. Pure; for night.py."""

import pandas as pd

from logs.words import span

KINDS = {
    "damage": "Damaged",
    "clock": "Clock",
    "gap": "Missing rows",
    "day": "Missing days",
}
_FLAWS = "Flaws of this night's log"
_LONGEST = 40
_MOST = 12
"""As many flaws of one kind are listed; the others are counted."""


def clock(night, time):
    """A time as it is written: of the day, or uptime when the date is not known."""
    if not night.dated:
        return "uptime " + span((time - pd.Timestamp(0)).total_seconds())
    return f"{time:%Y-%m-%d %H:%M:%S}"


def headline(night):
    """One line: when, how many packs, Ah, trips, flaws."""
    packs = night.packs
    count = len(night.flaws)
    length = span((night.end - night.start).total_seconds())
    days = "%Y-%m-%d %H:%M" if night.end.date() != night.start.date() else "%H:%M"
    when = f"{night.start:{days}} to {night.end:{days}} UTC, {length}" if night.dated else length
    return " · ".join(
        (
            when,
            _many(len(packs), "pack"),
            f"{packs['out_ah'].sum():.1f} Ah out",
            f"{packs['in_ah'].sum():.1f} Ah in",
            _many(len(night.trips), "trip"),
            _many(count, "flaw") + " in the log" if count else "log complete",
        )
    )


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


def text(archive, night):
    """The whole report."""
    files = ", ".join(f"{name} ({size / 1000:.0f} kB)" for name, size in archive.files.items())
    parts = [night.title, headline(night), f"read: {files}", ""]
    parts.append("pack   out Ah   in Ah   on h   min V   max V   peak A   trips")
    for n, pack in night.packs.iterrows():
        parts.append(
            f"{n:4}   {pack.out_ah:6.2f}  {pack.in_ah:6.2f}  {pack.on_h:5.2f}  {pack.low_v:6.2f}"
            f"  {pack.high_v:6.2f}   {pack.peak_a:6.2f}   {pack.trips:5.0f}"
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
