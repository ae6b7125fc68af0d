# SPDX-License-Identifier: GPL-3.0-only
"""What a show takes and gives, and how near it comes to a limit: counted while it runs. Run by
`mode` once a second, told by `report`.

Energy and charge are differences of the counters that the rig has anyway. Peaks are those of a
reading each second; what is shorter is in the records of the trips. All of it lies in a few
arrays, which the card keeps every few minutes: see `parts`.
"""

from array import array
from binascii import crc32

from micropython import const

from parallelator import catalog
from parallelator.catalog import BATTERY_ALARMS, NAMES, ON
from parallelator.snapshot import (
    BATTERIES,
    CHANNELS,
    IDLE_MA,
    NO_TEMPERATURE,
    RIG,
    bus,
    carries,
    connected,
)

DISCHARGE = const(0)  # mA leaving the battery
CHARGE = const(1)  # mA entering the battery
HIGH = const(2)  # mV
LOW = const(3)  # minus the voltage, mV
LAG = const(4)  # mV, as of `rules.Balance`
POWER = const(4)  # W, of the rig in the place of that
HEAT = const(5)  # degrees Celsius
FULL = const(6)  # mV of a battery that is charged: only then it can be overcharged
QUANTITIES = const(7)
"""What the greatest is kept of. As in `protection.rules`, each is written so that "beyond" means
"greater than"."""

WHOLE = const(16)
"""The place of the rig, behind those of its batteries."""
_SERIES = const(17)
NEVER = const(-0x20000000)

OUT_MAH = const(0)
IN_MAH = const(1)
CLOSINGS = const(2)
OUT_DWH = const(3)
IN_DWH = const(4)
_COUNTS = const(5)
_ALWAYS = const(3)  # of those are counted without a `Meter`

# What is counted of the rig, places in `rig`.
DARK_S = const(0)
DARKS = const(1)
SHORT_S = const(2)
WEAK_S = const(3)
RESTARTS = const(4)
FIRST_PCT = const(5)
LAST_PCT = const(6)
CODES = const(7)
SEEN = const(8)
METERED = const(9)
BOOT = const(10)
BOOT_S = const(11)
SPENT_S = const(12)
LEFT_S = const(13)
UNIX_MIN = const(14)
PARTIAL = const(15)
_FACTS = const(16)

_STEP_S = const(2)
"""Times are kept in 16 bits."""
_JUMP = const(200)
"""No counter moves as much between two looks: a card has brought it from elsewhere."""
_MOST = const(65535)


class Tally:
    """One show.

    Args:
        snap: the `Snapshot`; boot: number of this boot; next_event: the next of `Events`.

    Attributes:
        most, at: arrays: the greatest of each quantity, NEVER where nothing was seen, and when it
            was, as `when` takes it; 17 places of each, the last is that of the rig.
        counts: array: of each battery what its counters showed at the beginning, and after
            `close` by how much they moved: OUT_MAH to IN_DWH, 16 places of each.
        codes: array of 16: alarms that a battery had, a mask of their places in the catalogue.
        lost_s: array of 16: seconds without a reading of a battery that had been on.
        trips: bytearray of 16. first_pct, last_pct: bytearrays of charges.
        state, reason: of each battery at the end, bytes.
        told: what `report` says besides.
        rig: array of what is counted of the rig: seconds and times of a dark output (DARK_S,
            DARKS), seconds beyond the promise (SHORT_S) and of a cascade ahead (WEAK_S),
            RESTARTS, its charge at first and last, -1 = not known (FIRST_PCT, LAST_PCT), mask of
            alarms of the rig (CODES) and of batteries that were on (SEEN), 1 once there was a
            meter (METERED), boot and uptime at which it began (BOOT, BOOT_S), 1 when what was
            before a restart is not in it (PARTIAL); of the last time that the card kept it: how
            long it lasted, how long it was still to last (SPENT_S, LEFT_S), minutes since 1970,
            0 = no clock (UNIX_MIN).
        began_s: uptime at which it began, below 0 after a restart.
    """

    def __init__(self, snap: "Snapshot", boot: int, next_event: int):
        self._snap = snap
        self._next_event = next_event
        self.began_s = snap.uptime_s
        self.most = array("i", [NEVER] * (QUANTITIES * _SERIES))
        self.at = array("H", bytes(2 * QUANTITIES * _SERIES))
        self.counts = array("i", bytes(4 * _COUNTS * BATTERIES))
        self.codes = array("H", bytes(2 * BATTERIES))
        self.lost_s = array("H", bytes(2 * BATTERIES))
        self.trips = bytearray(BATTERIES)
        self.first_pct = bytearray(snap.soc_pct)
        self.last_pct = bytearray(BATTERIES)
        self.rig = array("i", bytes(4 * _FACTS))
        self.rig[BOOT], self.rig[BOOT_S] = boot, snap.uptime_s
        self.rig[FIRST_PCT] = self.rig[LAST_PCT] = -1
        self.state = self.reason = b""
        self.told: dict = {}
        self._looked_s = snap.uptime_s
        self._dark = False
        self._last = array("i", bytes(4 * _ALWAYS * BATTERIES))
        for k, values in enumerate(_counters(snap, None)):
            for i in range(BATTERIES):
                at = k * BATTERIES + i
                self.counts[at] = self._last[at] = values[i]
        for code, i, _ in snap.alarms():
            self.note(code, i)

    # What the card keeps

    def parts(self):
        """The arrays that are kept, for `crc32` and the card, in this order."""
        return (
            self.rig,
            self.most,
            self.at,
            self.counts,
            self.codes,
            self.lost_s,
            self.trips,
            self.first_pct,
        )

    def checksum(self, owner: str):
        """A checksum of `parts` that only the rig of this number has."""
        crc = crc32(owner.encode())
        for part in self.parts():
            crc = crc32(bytes(part), crc)
        return crc

    def mark(self, left_s: int, unix_s: "int | None"):
        """The card is to keep it now.

        Args:
            left_s: how long it is still to last; unix_s: the time, None = not known.
        """
        self.rig[SPENT_S] = self.spent_s()
        self.rig[LEFT_S] = left_s
        self.rig[UNIX_MIN] = (unix_s or 0) // 60

    def resume(self, left_s: int, kept: bool):
        """The controller has started anew: `parts` are of before.

        Args:
            left_s: how long it is still to last, 0 = no more; kept: False when nobody has kept
                `parts`: what was before is lost.
        """
        rig, snap = self.rig, self._snap
        spent_s = rig[SPENT_S]
        if left_s:
            rig[RESTARTS] += 1
            rig[PARTIAL] |= not kept
            rig[DARKS] += 1
            back_s = [snap.since_s[i] for i in range(BATTERIES) if snap.state[i] == ON]
            self._dark = not back_s
            rig[DARK_S] += min(back_s + [snap.uptime_s])
            if kept:
                spent_s += max(rig[LEFT_S] - left_s, 0)
        self.began_s = snap.uptime_s - spent_s

    def spent_s(self):
        """How long it lasts already, s."""
        return self._snap.uptime_s - self.began_s

    # Counting

    def looking(self, balance: "Balance", meter: "Meter | None", cascade: "Cascade | None"):
        """Look at the rig, once a second: a generator with short steps.

        Args:
            balance: that of the guard; meter, cascade: those of the rig.
        """
        snap = self._snap
        seconds = min(snap.uptime_s - self._looked_s, _JUMP)
        self._looked_s = snap.uptime_s
        if meter and not self.rig[METERED]:
            self._begin_energy(meter)
            yield
        for i in range(BATTERIES):
            if i % CHANNELS == 0:
                yield
            self._look(i, seconds, balance)
        yield
        bus_mv, total_ma = bus(snap)
        dark = bus_mv is None and not any(connected(snap, i) for i in range(BATTERIES))
        self.rig[DARKS] += dark and not self._dark
        self.rig[DARK_S] += seconds if dark else 0
        self._dark = dark
        if bus_mv is not None:
            self._keep(DISCHARGE, WHOLE, total_ma)
            self._keep(CHARGE, WHOLE, -total_ma)
            self._keep(HIGH, WHOLE, bus_mv)
            self._keep(LOW, WHOLE, -bus_mv)
            self._keep(POWER, WHOLE, bus_mv // 10 * (total_ma // 10) // 10000)
        yield
        if meter and meter.told:
            charge_pct: int = meter.told[0]  # pyright: ignore - the first is a number
            self.rig[LAST_PCT] = charge_pct
            if self.rig[FIRST_PCT] < 0:
                self.rig[FIRST_PCT] = charge_pct
        self._look_ahead(seconds, total_ma, cascade)

    def _begin_energy(self, meter: "Meter"):
        self.rig[METERED] = 1
        for k, values in enumerate((meter.out_dwh, meter.in_dwh)):
            for i in range(BATTERIES):
                self.counts[(_ALWAYS + k) * BATTERIES + i] = values[i]

    def _look(self, i: int, seconds: int, balance: "Balance"):
        snap = self._snap
        for k, values in enumerate(_counters(snap, None)):
            at = k * BATTERIES + i
            moved = values[i] - self._last[at]
            if not 0 <= moved < _JUMP:
                self.counts[at] += moved
            self._last[at] = values[i]
        bit = 1 << i
        if not carries(snap, i):
            if self.rig[SEEN] & bit and not snap.valid[i]:
                self.lost_s[i] = min(self.lost_s[i] + seconds, _MOST)
            return
        self.rig[SEEN] |= bit
        ma, mv = snap.current_ma[i], snap.voltage_mv[i]
        self._keep(DISCHARGE, i, ma)
        self._keep(CHARGE, i, -ma)
        self._keep(HIGH, i, mv)
        self._keep(LOW, i, -mv)
        self._keep(LAG, i, balance.lag_mv(i, mv))
        if ma < -IDLE_MA:
            self._keep(FULL, i, mv)
        if snap.temperature_c[i] != NO_TEMPERATURE:
            self._keep(HEAT, i, snap.temperature_c[i])

    def _keep(self, quantity: int, series: int, value: int):
        at = quantity * _SERIES + series
        if value > self.most[at]:
            self.most[at] = value
            self.at[at] = min(self.spent_s() // _STEP_S, _MOST)

    def _look_ahead(self, seconds: int, total_ma: int, cascade: "Cascade | None"):
        if cascade:
            promise_a = cascade.promise_a
            if promise_a is not None and total_ma > promise_a * 1000:
                self.rig[SHORT_S] += seconds
            if cascade.keeps() is False:
                self.rig[WEAK_S] += seconds

    def hearing(self, events: "Events"):
        """Take note of the events since the last call: a generator with a step for each."""
        while events.count > self._next_event:
            number, _, code, i, _, _, _, count, _ = events.after(self._next_event)
            fresh = min(count, number - self._next_event + 1)
            self._next_event = number + 1
            if code == "trip":
                self.trips[i] = min(self.trips[i] + fresh, 255)
            self.note(code, i)
            yield

    def note(self, code: str, i: int):
        """An alarm of battery i, or of the RIG, stands or stood; other codes are no matter."""
        place = NAMES.index(code)
        if place < BATTERY_ALARMS:
            if i != RIG:
                self.codes[i] |= 1 << place
        elif place < catalog.ALARMS:
            self.rig[CODES] |= 1 << place - BATTERY_ALARMS

    def close(self, meter: "Meter | None"):
        """It is over: from now on `counts` tells what moved."""
        snap = self._snap
        for k, values in enumerate(_counters(snap, meter if self.rig[METERED] else None)):
            for i in range(BATTERIES):
                at = k * BATTERIES + i
                self.counts[at] = max(values[i] - self.counts[at], 0)
        self.state, self.reason = bytes(snap.state), bytes(snap.reason)
        self.last_pct[:] = snap.soc_pct
        for code, i, _ in snap.alarms():
            self.note(code, i)

    def moved(self, count: int, i: int):
        """After `close`: by how much a counter of battery 0..15 moved, mAh, 0.1 Wh or times."""
        return self.counts[count * BATTERIES + i]

    def when(self, quantity: int, series: int):
        """Seconds from the beginning to the greatest of a quantity, of battery 0..15 or WHOLE."""
        return self.at[quantity * _SERIES + series] * _STEP_S

    def greatest(self, quantity: int, series: int):
        """The greatest of a quantity, of battery 0..15 or WHOLE; None when nothing was seen."""
        value = self.most[quantity * _SERIES + series]
        return None if value == NEVER else value


def _counters(snap: "Snapshot", meter: "Meter | None"):
    """The counters, OUT_MAH to IN_DWH; the last two need a meter."""
    found = snap.discharge_mah, snap.charge_mah, snap.switchings
    return found + (meter.out_dwh, meter.in_dwh) if meter else found
