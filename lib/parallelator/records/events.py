# SPDX-License-Identifier: GPL-3.0-only
"""The last events, as numbers in preallocated places. Read by console, log, web and MQTT.

Each kind of event has places of its own. So what strangers cause, such as a wrong password or a
refused command a hundred times, replaces only events of its kind, and never a danger or a trip.
What repeats in a row is one entry with a count. `emit` allocates nothing: the guard may call it.
"""

from array import array

from micropython import const

from parallelator import catalog
from parallelator.catalog import UNCONTROLLED
from parallelator.snapshot import RIG

_DANGER = const(0)  # and trips
_TROUBLE = const(1)
_CALM = const(2)
_SOURCES = const(3)  # the first of those in catalog.SOURCES
_PLACES = (16, 10, 40, 6, 2, 3, 3)
"""Of each kind: sixteen batteries may trip at once, and start with two events each."""

_ROW_S = const(60)
_UNIX_OF_2020 = const(1577836800)
_UNKNOWN = const(-0x40000000)

# What is known of an entry, in this order.
_NUMBER = const(0)
_COUNT = const(1)
_UPTIME = const(2)
_EPOCH = const(3)  # when the rig started, s since 2020, as the clock was then
_WHAT = const(4)  # place in catalog.CODES, battery + 1, reason, state: 5 + 5 + 3 bits from below
_VALUE = const(5)
_FIELDS = const(6)

_MEASURED = const(8)  # a repeat may measure something else


class Events:
    """The last events of each kind, 80 in all.

    Args:
        snap: the `Snapshot`, for the uptime of an event.

    Attributes:
        count: events since boot, repeats included; the next one has this number.
    """

    def __init__(self, snap: "Snapshot"):
        self._snap = snap
        self._kinds = bytes(_kind(row) for row in catalog.CODES)
        begins = [sum(_PLACES[:kind]) for kind in range(len(_PLACES))]
        self._next = bytearray(begins)
        self._following = bytearray(range(1, sum(_PLACES) + 1))  # place, of one of the same kind
        for begin, places in zip(begins, _PLACES):
            self._following[begin + places - 1] = begin
        self._numbers = array("i", [-1] * (_FIELDS * sum(_PLACES)))
        self._last = 0
        self._epoch_s = _UNKNOWN
        self.count = 0

    def know(self, unix_s: int):
        """The clock was set, to seconds since 1970. Earlier events keep the time they had."""
        self._epoch_s = unix_s - self._snap.uptime_s - _UNIX_OF_2020

    def emit(self, code: str, i: int, state: int, reason: int, value: int):
        """Record an event.

        Args:
            code: of an event of the catalogue; i: battery 0..15 or RIG;
            state, reason: snapshot constants; value: mA, mV or a count, as the code says.
        """
        place = catalog.NAMES.index(code)
        kind = self._kinds[place]
        what = ((place << 5 | i + 1) << 5 | reason) << 3 | state
        uptime_s = self._snap.uptime_s
        numbers = self._numbers
        at = self._last
        if (
            (numbers[at + _WHAT] ^ what) >> 3
            or uptime_s - numbers[at + _UPTIME] > _ROW_S
            or not (kind & _MEASURED or numbers[at + _VALUE] == value)
        ):
            kind = _DANGER if state == UNCONTROLLED and code == "state" else kind & 7
            slot = self._next[kind]  # the oldest of this kind goes
            self._next[kind] = self._following[slot]
            at = slot * _FIELDS
            numbers[at + _COUNT] = 0
        numbers[at + _NUMBER] = self.count
        numbers[at + _COUNT] += 1
        numbers[at + _UPTIME] = uptime_s
        numbers[at + _EPOCH] = self._epoch_s
        numbers[at + _WHAT] = what
        numbers[at + _VALUE] = value
        self._last = at
        self.count += 1

    def after(self, number: int):
        """The next event from `number` on.

        One that repeats comes again with each repeat, if it is asked for in between, under the
        number of the last. Those that are no longer kept come as one `events_lost`.

        Returns:
            tuple or None: (number, uptime in s, code, i, state, reason, value, count, wall time
            in s since 1970 as it was known then, or None); None when there is none yet.
        """
        if number >= self.count:
            return None
        numbers = self._numbers
        found = -1
        for at in range(0, len(numbers), _FIELDS):
            if numbers[at] >= number and (found < 0 or numbers[at] < numbers[found]):
                found = at
        last, count, uptime_s, epoch_s, what, value = numbers[found : found + _FIELDS]
        unix_s = None if epoch_s == _UNKNOWN else epoch_s + uptime_s + _UNIX_OF_2020
        first = last - count + 1
        if first > number:
            return first - 1, uptime_s, "events_lost", RIG, 0, 0, first - number, 1, unix_s
        code = catalog.NAMES[what >> 13]
        i = (what >> 8 & 31) - 1
        return last, uptime_s, code, i, what & 7, what >> 3 & 31, value, count, unix_s


def _kind(row: tuple):
    """What places the events of a row of the catalogue have, and whether they are measured."""
    code, severity, unit, holds = row
    measured = _MEASURED if unit in ("mA", "mV", "ms", "C", "reason") else 0
    for k, source in enumerate(catalog.SOURCES):
        if holds & source:
            return measured | _SOURCES + k
    if severity == "danger" or code == "trip":
        return measured | _DANGER
    return measured | (_TROUBLE if severity == "trouble" else _CALM)
