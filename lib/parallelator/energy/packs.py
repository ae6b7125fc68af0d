# SPDX-License-Identifier: GPL-3.0-only
"""The packs that have an id: where each is, and its life on the card. Loaded by `meter` for them.

The flash keeps which id was where. An id that is found at another place brings its history along;
one that is new to this rig begins anew, unless the card knows it.

/sd/packs/<id>.csv has a line a night, of LINE bytes, which is written over every five minutes
while something flows, and before a restart that was asked for: a power cut costs five minutes of
it. Without a time there is a line a start. A full file becomes <id>.old, in the place of the last.
"""

import asyncio
import os
from array import array
from binascii import crc32

from micropython import const

from parallelator.energy import IDS, IDS_BYTES, capacity_mah, ids, keep, kept
from parallelator.records.card import FOLDER, Opened, make_folder
from parallelator.records.fatfile import there
from parallelator.snapshot import BATTERIES, NO_CHARGE, NO_TEMPERATURE

PLACE = FOLDER + "/packs"
LINE = const(128)
LINES = const(1024)
"""Of a file at most: three years of nights."""

# Night as the day of its evening (UTC); number on the case; what left and entered the pack; lowest
# and highest charge told, %; capacity and its error (two deviations), and that of the label;
# resistance now and at first; trips; hottest sensor, degrees Celsius. What is not known is empty.
_HEADER = (
    "night,battery,out_wh,in_wh,out_mah,in_mah,low_pct,high_pct,"
    "capacity_mah,error_mah,label_mah,r_mohm,first_mohm,trips,hot_c"
)
_COLUMNS = const(15)
_NIGHT = const(0)
_WH = (2, 3)
_SUMS = (2, 3, 4, 5, 13)
_LOW = const(6)
_HIGH = const(7)
_CAPACITY = const(8)
_ERROR = const(9)
_FIRST = const(12)
_HOT = const(14)
_TENTHS = const(10)
_TURNS = const(300)
_TURNS_EACH = const(18)
_HALF_DAY_S = const(43200)
_MOST_TRIPS = const(255)


class Packs:
    """The packs of one rig.

    Args:
        rig: the `Rig`; store: a `Storage` or its like.
    """

    def __init__(self, rig: "Rig", store: "Storage"):
        self._rig = rig
        self._store = store
        self._ids = [""] * BATTERIES
        snap, meter = rig.snap, rig.meter
        self._sums = meter.out_dwh, meter.in_dwh, snap.discharge_mah, snap.charge_mah
        self._filed = [array("i", values) for values in self._sums]  # what the files have of them
        self._seen_trips = bytearray(min(trips, _MOST_TRIPS) for trips in snap.trips)
        self._trips = bytearray(BATTERIES)  # those that the files have not
        self._begun = self._unread = 0  # masks: of lines of this run, of files to be read
        self._turn = 0

    async def arrange(self):
        """Follow the ids of the settings: those that are new, and those at another place."""
        meter, emit = self._rig.meter, self._rig.events.emit
        names = ids(self._rig.settings)
        before = list(array("I", kept(self._store, IDS, IDS_BYTES)))
        now = [crc32(name.encode()) if name else 0 for name in names]
        places = list(range(BATTERIES))
        changed = [i for i in places if now[i] != before[i]]
        for i in changed:
            await self._write(i)
            self._leave(i)
            if now[i] and now[i] in before:
                places[i] = before.index(now[i])
        self._ids = names
        if not changed:
            return
        meter.arrange(places)
        for i in changed:
            line = await self._read(i) if now[i] else None
            moved = places[i] != i
            if not moved and (before[i] or line):
                meter.forget(i)
                if not line:
                    emit("pack_swapped", i, 0, 0, 0)
            if line:
                self._know(i, line)
            elif moved:
                emit("pack_known", i, 0, 0, 0)
        meter.save()
        keep(self._store, IDS, bytes(array("I", now)))

    def _leave(self, i: int):
        """What flows from now on is of another pack."""
        self._begun &= ~(1 << i)
        self._trips[i] = 0
        for filed, values in zip(self._filed, self._sums):
            filed[i] = values[i]

    async def tend(self):
        """Count, and write a file in its turn. To be called each second."""
        rig, snap = self._rig, self._rig.snap
        for i in range(BATTERIES):
            trips = min(snap.trips[i], _MOST_TRIPS)
            risen = max(trips - self._seen_trips[i], 0)
            self._trips[i] = min(self._trips[i] + risen, _MOST_TRIPS)
            self._seen_trips[i] = trips
        if self._unread and rig.card.mounted:
            unread, self._unread = self._unread, 0
            for i in range(BATTERIES):
                line = await self._read(i) if unread >> i & 1 else None
                if line:
                    self._know(i, line)
        self._turn = (self._turn + 1) % _TURNS
        if self._turn % _TURNS_EACH == 0 and self._turn < _TURNS_EACH * BATTERIES:
            await self._write(self._turn // _TURNS_EACH)

    async def close(self):
        """Write all files, before a restart."""
        for i in range(BATTERIES):
            await self._write(i)

    # From the card

    async def _read(self, i: int):
        """The last line of the file of pack i, as of `_parsed`; None when there is none, or not
        yet: it is read once there is a card."""
        card, path, line = self._rig.card, _path(self._ids[i]), None
        await asyncio.sleep_ms(0)
        if card.mounted and there(path):
            try:
                with Opened(card, path, "rb") as file:
                    line = _last(file)[0]
            except OSError as error:
                card.fail(error)
        if not card.mounted:
            self._unread |= 1 << i
        await asyncio.sleep_ms(0)
        return line

    def _know(self, i: int, line: list):
        """Take over what the card knows of pack i."""
        capacity, error, first = line[_CAPACITY], line[_ERROR], line[_FIRST]
        if capacity and error:
            self._rig.meter.know(i, capacity / _TENTHS, error / _TENTHS, (first or 0) // _TENTHS)
        self._rig.events.emit("pack_known", i, 0, 0, 0)

    # And onto it

    async def _write(self, i: int):
        """Bring the file of pack i up to date."""
        card, name = self._rig.card, self._ids[i]
        moved = [values[i] - filed[i] for values, filed in zip(self._sums, self._filed)]
        if not name or not card.writable or not (self._trips[i] or any(moved)):
            return
        losses, volume, trips = card.losses, card.volume, self._trips[i]  # noqa: F841 - in use
        try:
            make_folder(PLACE)
            path = _path(name)
            await asyncio.sleep_ms(0)
            _turn_over(path)
            with Opened(card, path, "r+b" if there(path) else "w+b") as file:
                line, at, mark = _last(file)
                await asyncio.sleep_ms(0)
                row = self._row(i, moved)
                if line and self._goes_on(i, line):
                    _add(row, line)
                else:
                    at = file.seek(0, 2)
                await asyncio.sleep_ms(0)
                file.seek(at)
                file.write(mark + _text(row))
        except OSError as error:
            card.fail(error)
            return
        if card.losses == losses:
            self._begun |= 1 << i
            self._trips[i] -= trips
            for filed, value in zip(self._filed, moved):
                filed[i] += value

    def _night(self):
        return (self._rig.clock.iso(_HALF_DAY_S) or "")[:10]

    def _goes_on(self, i: int, line: list):
        """True when the last line of the file is of this night."""
        night = self._night()
        if night and line[_NIGHT]:
            return night == line[_NIGHT]
        return self._begun >> i & 1 or self._rig.meter.resumed

    def _row(self, i: int, moved: list):
        """What there is to tell of pack i, in the order of _HEADER; numbers in tenths."""
        rig, meter, snap = self._rig, self._rig.meter, self._rig.snap
        out_dwh, in_dwh, out_mah, in_mah = moved
        pct = None if snap.soc_pct[i] == NO_CHARGE else snap.soc_pct[i]
        hot = None if snap.temperature_c[i] == NO_TEMPERATURE else snap.temperature_c[i]
        share, deviation = meter.charge.health(i)
        label = capacity_mah(rig.settings, i)
        row = [
            i + 1, out_dwh / _TENTHS, in_dwh / _TENTHS, out_mah, in_mah, pct, pct,
            share * label or None, 2 * deviation * label or None, label or None,
            snap.r_mohm[i] or None, meter.health.first_mohm[i] or None, self._trips[i], hot,
        ]  # fmt: skip
        return [self._night()] + [_tenths(value) for value in row]


def _path(name: str):
    return "%s/%s.csv" % (PLACE, name)


def _turn_over(path: str):
    """A full file makes room for a new one."""
    if there(path) and os.stat(path)[6] > LINE * LINES:
        old = path[:-3] + "old"
        if there(old):
            os.remove(old)
        os.rename(path, old)


def _last(file: "IO"):
    """The last line of a file, as of `_parsed`; where it begins, or the end when it has not the
    length of a line; and what has to come before a new one."""
    size = file.seek(0, 2)
    if not size:
        return None, 0, ("%-127s\n" % _HEADER).encode()
    file.seek(max(size - 2 * LINE, 0))
    lines = file.read().split(b"\n")
    if lines[-1]:
        return _parsed(lines[-1]), size, b"\n"
    line = lines[-2]
    return _parsed(line), size - LINE if len(line) == LINE - 1 else size, b""


def _parsed(line: bytes):
    """The values of a line, as of `Packs._row`; None when it is none."""
    try:
        cells = line.decode().strip().split(",")
        numbers = [_tenths(float(cell)) if cell else None for cell in cells[1:]]
    except (ValueError, OverflowError):
        return None
    return cells[:1] + numbers if len(cells) == _COLUMNS else None


def _tenths(value: "float | None"):
    return None if value is None else round(value * _TENTHS)


def _add(row: list, line: list):
    """Add what the line of this night has so far to a row."""
    row[_NIGHT] = row[_NIGHT] or line[_NIGHT]
    for k in _SUMS:
        row[k] += line[k] or 0
    for k, choose in ((_LOW, min), (_HIGH, max), (_HOT, max)):
        known = [value for value in (row[k], line[k]) if value is not None]
        row[k] = choose(known) if known else None


def _text(row: list):
    """A row as a line of the file, bytes."""
    cells = [row[_NIGHT]]
    for k in range(1, _COLUMNS):
        if row[k] is None:
            cells.append("")
        elif k in _WH:
            cells.append("%.1f" % (row[k] / _TENTHS))
        else:
            cells.append(str(row[k] // _TENTHS))
    return ("%-127s\n" % ",".join(cells)).encode()
