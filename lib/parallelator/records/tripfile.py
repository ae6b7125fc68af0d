# SPDX-License-Identifier: GPL-3.0-only
"""The records of the black box: what they hold, their files, their readings. Used by `blackbox`.

A file is a piece of the sample ring as it was, then what is known of each trip, then eight bytes
that only a complete file has. All numbers are little-endian.
"""

import errno
import os
import struct

from micropython import const

from parallelator import catalog
from parallelator.records.card import FOLDER, make_folder
from parallelator.records.sample_ring import BUS, ENTRY, STEP_MS, STEPS, UNIT_MA

FOLDER_NAME = FOLDER + "/blackbox"
BEFORE_MS = const(10000)
AFTER_MS = const(5000)
FILES = const(16)
"""Files on the card at most, of 20 KB for one trip, 80 KB for many; the oldest goes."""
PIECE = const(10)
"""Entries that are read at once."""
_TRIP = "<BBiii20s"
_TRIP_SIZE = const(34)
_END = "<HHI"  # zero of the record, number of trips, _COMPLETE
_END_SIZE = const(8)
_COMPLETE = const(0x50495254)
_FILE = const(0x8000)


class Trip:
    """One trip.

    Attributes:
        i: battery 0..15; reason: index into REASONS; value: as of its event.
        at_ms: from the start of its record; uptime_s: of the rig.
        time: wall time as `Clock.iso` gives it, "" while it was unknown.
    """

    def __init__(self, i: int, reason: int, value: int, at_ms: int, uptime_s: int, time: str):
        self.i = i
        self.reason = reason
        self.value = value
        self.at_ms = at_ms
        self.uptime_s = uptime_s
        self.time = time


class Record:
    """The trips of a moment, and where the readings around them begin.

    Attributes:
        boot: number of the boot; number: of the first trip in that boot, from 1 on.
        trips: list of `Trip`; zero: the time of the record's start in steps of the sample ring.
    """

    def __init__(self, boot: int, number: int, trips: list, zero: int):
        self.boot = boot
        self.number = number
        self.trips = trips
        self.zero = zero


def steps_between(piece: "Buffer", at: int, last: int):
    """Steps, 0..2047, from the time `last` of a sample ring to that of the entry at byte `at`."""
    return (piece[at] | piece[at + 1] << 8) - last & STEPS - 1


def readings(record: "Record", trip: "Trip", pieces: "Iterable"):
    """The readings around a trip, of its battery and of the bus.

    Yields:
        lists of (ms from the trip, n, voltage in mV or None, current in mA): n is 0 for the bus,
        whose voltage is None while nothing is connected, else the battery's number.
    """
    steps = 0
    for piece in pieces:
        rows = []
        for at in range(0, len(piece), ENTRY):
            place = piece[at + 1] >> 3
            if place != BUS and place != trip.i:
                continue
            steps += steps_between(piece, at, record.zero + steps)
            from_trip_ms = steps * STEP_MS - trip.at_ms
            if -BEFORE_MS <= from_trip_ms <= AFTER_MS:
                _, voltage_mv, units = struct.unpack_from("<HHh", piece, at)
                n = 0 if place == BUS else place + 1
                rows.append((from_trip_ms, n, voltage_mv or None, units * UNIT_MA))
        yield rows


# Files. Everything here raises an OSError when the card fails.


def free_path(record: "Record"):
    """Where the file of a record goes; makes room for it, and renumbers it if it is taken."""
    make_folder(FOLDER_NAME)
    names = _names()
    while len(names) >= FILES:
        try:
            os.remove(_path(names.pop(0)))
        except OSError as error:
            if error.errno != errno.EACCES:  # somebody protected it
                raise
    while _name(record.boot, record.number) in names:
        record.number += 1
    return _path(_name(record.boot, record.number))


def ending(record: "Record"):
    """What follows the entries of a record in its file."""
    parts = [
        struct.pack(
            _TRIP, trip.i, trip.reason, trip.value, trip.at_ms, trip.uptime_s, trip.time.encode()
        )
        for trip in record.trips
    ]
    parts.append(struct.pack(_END, record.zero, len(parts), _COMPLETE))
    return b"".join(parts)


def records():
    """The records on the card, newest first; yields None for one that was never finished."""
    for name in reversed(_names()):
        yield _load(name)


def find(boot: int, number: int):
    """The record with trip `number` of a boot: (record, its entries in pieces), or None."""
    for name in reversed(_names()):
        if name <= _name(boot, number):
            record = _load(name)
            known = record and record.boot == boot
            if known and number < record.number + len(record.trips):
                return record, _pieces(name, len(record.trips))
            return None
    return None


def _pieces(name: str, trips: int):
    path = _path(name)
    left = os.stat(path)[6] - trips * _TRIP_SIZE - _END_SIZE
    with open(path, "rb") as file:
        while left > 0:
            piece = file.read(min(left, PIECE * ENTRY))
            left -= len(piece)
            yield piece


def _load(name: str):
    with open(_path(name), "rb") as file:
        data = file.seek(0, 2) - _END_SIZE
        if data < 0:
            return None
        file.seek(data)
        zero, count, complete = struct.unpack(_END, file.read(_END_SIZE))
        data -= count * _TRIP_SIZE
        if complete != _COMPLETE or data < 0 or data % ENTRY:
            return None
        file.seek(data)
        trips = []
        for _ in range(count):
            i, reason, value, at_ms, uptime_s, time = struct.unpack(_TRIP, file.read(_TRIP_SIZE))
            text = time.rstrip(b"\0").decode()
            trips.append(Trip(i, reason, value, at_ms, uptime_s, text))
    boot, number = name[:-4].split("-")
    return Record(int(boot), int(number), trips, zero)


def _name(boot: int, number: int):
    return "%06d-%06d.bin" % (boot, number)


def _names():
    try:
        return sorted(entry[0] for entry in os.ilistdir(FOLDER_NAME) if _is_record(entry))
    except OSError:
        return []


def _is_record(entry: tuple):
    name = entry[0]
    boot, number = name[:6], name[7:13]
    return entry[1] == _FILE and (boot + number).isdigit() and name == boot + "-" + number + ".bin"


def _path(name: str):
    return FOLDER_NAME + "/" + name


def described(record: "Record", trip: "Trip", number: int):
    """Trip `number` of its boot, of a record, as `GET /api/blackbox` shows it: a dict."""
    return {
        "id": "%d-%d" % (record.boot, number),
        "n": trip.i + 1,
        "reason": catalog.reason_name(trip.reason),
        "value": trip.value,
        "time": trip.time or None,
        "boot": record.boot,
        "uptime_ms": trip.uptime_s * 1000,
    }
