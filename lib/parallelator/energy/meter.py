# SPDX-License-Identifier: GPL-3.0-only
"""How much is left in the rig, and for how long: follows the snapshot once a second. Run by app.

Nothing here is in the guard's tick: it counts what the guard has counted, and looks at one pack
every nineteen seconds. It is loaded when the settings tell the capacity of the packs.
"""

import asyncio
import struct
from array import array

from micropython import const

from parallelator.catalog import WAITING
from parallelator.energy import (
    IDS,
    IDS_BYTES,
    ROW,
    ROW_BYTES,
    ROWS_BYTES,
    capacity_mah,
    ids,
    keep,
    kept,
)
from parallelator.energy.calibration import Calibration
from parallelator.energy.charge import Charge
from parallelator.energy.health import Health
from parallelator.records.history import SERIES, SPANS
from parallelator.snapshot import BATTERIES, CHANNELS, IDLE_MA, NO_CHARGE, connected

_TURN_MS = const(250)  # a board's packs each: four turns are a second
_LOOK_S = const(300)
_LOW = const(0xFFFF)
_COUNTS_BYTES = const(64)
_DWH_J = const(360)
"""Joules in 0.1 Wh."""
_PARTS = const(16)
_PART_J = 22.5
"""Parts of 0.1 Wh in which a row keeps the low ends of energy."""
_MAMS = const(3600000)
"""mA*ms in one mAh."""
_MOST_MA = const(82000)
"""No sensor shows more, an INA237 on 2 mOhm the most: what seems to is the counters, which a card
has brought."""
_MEAN_S = const(300)
_LONG_S = const(900)
_MEAN_SCALE = const(256)
_MOST_S = const(10)
_GONE_S = const(5)
_SAVE_S = const(300)
_PATIENCE = const(3)
_KEY = "charges"
_ONE_PERCENT = const(500)
_KNOWN = 0.2
"""Deviation of a charge that is told as a number; beyond it nobody knows."""
_LONGEST_S = const(172800)
_TELL_TURNS = const(5)
_POINTS = SPANS[-1][1]


class Meter:
    """The charge of one rig's packs, and what follows from it.

    Args:
        snap: the `Snapshot`; settings: flat dict, of it `pack.*`, `batteries.*` and
            `limits.*`.
        rows: bytearray of ROWS_BYTES, which RTC memory keeps.
        resumed: True when they are of before the reset; False: the power was off.
        store: a `Storage` or its like, which keeps the record while the power is off.
        emit: function (code, i, state, reason, value) that records an event.
        forget_r: function (i) that forgets the resistance of pack i.

    Attributes:
        charge: the `Charge`. calibration: the `Calibration`. health: the `Health`.
        resumed: as above. packs: the `Packs`, None while no pack has an id.
        renamed: to be set when the id of a pack was changed.
        told: of the rig, as `catalog.ENERGY` says; None when no charge is known.
        out_dwh, in_dwh: arrays of 16: energy that left and entered each pack so far, 0.1 Wh.
    """

    def __init__(
        self,
        snap: "Snapshot",
        settings: "Values",
        rows: bytearray,
        resumed: bool,
        store: "Storage",
        emit: "Callable[[str, int, int, int, int], object]",
        forget_r: "Callable[[int], object]",
    ):
        self._snap = snap
        self._rows = rows
        self._forget_r = forget_r
        self.resumed = resumed
        self.packs = None
        self.renamed = True
        self._store = store
        self._emit = emit
        self.told = None
        self._least_mv = settings["limits.min_voltage_mv"]
        self._most_ma = settings["limits.max_discharge_current_ma"]
        capacities = [capacity_mah(settings, i) for i in range(BATTERIES)]
        self._has = [mah > 0 for mah in capacities]
        self.charge = Charge(
            settings["pack.chemistry"],
            settings["pack.cells"],
            capacities,
            self._least_mv,
        )
        self.calibration = Calibration(
            self.charge, capacities, settings["pack.curve"], store, emit
        )
        self.out_dwh, self.in_dwh = _counts(), _counts()
        self._rest_j = array("f", self.out_dwh)
        self._mah = [0] * BATTERIES
        self._rest = [0] * BATTERIES
        self._mean_ma = [0] * BATTERIES
        self._long_ma = 0
        self._flows = self._flow_s = 0
        self._unseen_s = bytearray(b"\xff" * BATTERIES)
        self._owed = (1 << BATTERIES) - 1 if resumed else 0
        self._round_s = snap.uptime_s
        self._saved_s = 0
        self._saved = None
        self._curve = self.charge.curve  # that of what was saved
        self._points = 0
        self._chart = bytearray(b"\xff" * (SERIES * _POINTS))
        self._recall(resumed)
        self.health = Health(self.charge, snap, store, emit)

    def _recall(self, resumed: bool):
        record = kept(self._store, _KEY, ROWS_BYTES + 2 * _COUNTS_BYTES)
        if not resumed:
            self._rows[:] = record[:ROWS_BYTES]
        out_dwh, in_dwh = self.out_dwh, self.in_dwh
        out_dwh[:] = array("I", record[ROWS_BYTES:-_COUNTS_BYTES])
        in_dwh[:] = array("I", record[-_COUNTS_BYTES:])
        for i in range(BATTERIES):
            row = struct.unpack_from(ROW, self._rows, i * ROW_BYTES)
            if row[1]:
                *of_charge, out_low, in_low = row
                self.charge.recall(i, of_charge)
                out_low = out_low - out_dwh[i] * _PARTS & _LOW
                in_low = in_low - in_dwh[i] * _PARTS & _LOW
                out_dwh[i] += out_low // _PARTS
                in_dwh[i] += in_low // _PARTS
                self._rest_j[i] = (out_low % _PARTS - in_low % _PARTS) * _PART_J
                if resumed:
                    self._unseen_s[i] = 0
        self._saved = bytes(record[:ROWS_BYTES])

    async def run(self, rig: "Rig"):
        """Follow the snapshot of a rig, for ever."""
        turns = 0
        for i in range(BATTERIES):
            self._passed(i)
        while True:
            if self.renamed:
                self.renamed = False
                await self._know_packs(rig)
            seconds = self.turn()
            for i in range(BATTERIES):
                if seconds:
                    self.follow(i, seconds)
                if i % CHANNELS == CHANNELS - 1:
                    await asyncio.sleep_ms(_TURN_MS)
            self.learn()
            turns = (turns + 1) % _TELL_TURNS
            if not turns:
                for _ in self.telling():
                    await asyncio.sleep_ms(0)
                self.chart(rig.history.rings[-1].count)
            self.save_in_time(rig.spares_flash())
            if self.packs:
                await self.packs.tend()

    async def _know_packs(self, rig: "Rig"):
        if not self.packs:
            if not any(ids(rig.settings)) and not any(kept(self._store, IDS, IDS_BYTES)):
                return
            from parallelator.energy.packs import Packs

            self.packs = Packs(rig, self._store)
            await asyncio.sleep_ms(0)
        await self.packs.arrange()

    def chart(self, points: int):
        """Note the charges once the day's ring of the history, a `Ring`, has a new point.

        Args:
            points: how many it has had.
        """
        if points != self._points:
            self._points = points
            at = (points - 1) % _POINTS
            charge_pct = self.told[0] if self.told else NO_CHARGE
            self._chart[at] = charge_pct  # pyright: ignore - the first is a number
            for i in range(BATTERIES):
                self._chart[(i + 1) * _POINTS + at] = self._snap.soc_pct[i]

    def charges(self, series: int, begin: int, end: int):
        """Charge at the end of points `begin` to `end` - 1 of that ring, a list of per cent, None
        where it was not known; it does not outlast a restart.

        Args:
            series: 0 is the rig, 1..16 are the batteries.
        """
        found = [self._chart[series * _POINTS + k % _POINTS] for k in range(begin, end)]
        return [None if pct == NO_CHARGE else pct for pct in found]

    def turn(self):
        """A round over all packs begins; returns the seconds since the last one, 0 to 10."""
        seconds = min(self._snap.uptime_s - self._round_s, _MOST_S)
        self._round_s = self._snap.uptime_s
        snap = self._snap
        total_ma = sum(snap.current_ma[i] for i in range(BATTERIES) if snap.valid[i])
        flows = (total_ma > IDLE_MA) - (total_ma < -IDLE_MA)
        self._flow_s = self._flow_s + seconds if flows == self._flows else seconds
        self._flows = flows
        if seconds:
            ahead = total_ma * _MEAN_SCALE - self._long_ma
            self._long_ma += ahead * seconds // min(self._flow_s, _LONG_S)
        return seconds

    def learn(self):
        """The round is over: what it was for the curve of the rig."""
        snap = self._snap
        net_mah = on = 0
        for i in range(BATTERIES):
            if self._has[i]:
                net_mah += snap.discharge_mah[i] - snap.charge_mah[i]
                on |= connected(snap, i) << i
        self.calibration.follow(net_mah, on, 0 if self._flows else self._flow_s)

    def save_in_time(self, spared: bool):
        """`save` every five minutes, or every quarter of an hour while the flash is `spared`."""
        if self._round_s - self._saved_s >= (_PATIENCE * _SAVE_S if spared else _SAVE_S):
            self.save()

    def save(self):
        """Write to the flash what a power cut must not lose, if a charge moved by 1 % or the curve
        is another one."""
        self._saved_s = self._round_s
        rows, saved, curve = self._rows, self._saved, self.charge.curve
        if (
            saved
            and self._curve is curve
            and all(
                abs(_word(rows, at) - _word(saved, at)) < _ONE_PERCENT
                for at in range(0, ROWS_BYTES, ROW_BYTES)
            )
        ):
            return
        if keep(self._store, _KEY, bytes(rows) + bytes(self.out_dwh) + bytes(self.in_dwh)):
            self._saved, self._curve = bytes(rows), curve

    def _passed(self, i: int):
        """What left pack i since the last call, mA*s; the remainder is for the next."""
        snap = self._snap
        mah = snap.discharge_mah[i] - snap.charge_mah[i]
        rest = snap.discharge_rest[i] - snap.charge_rest[i]
        moved = (mah - self._mah[i]) * _MAMS + rest - self._rest[i]
        self._mah[i], self._rest[i] = mah, rest - moved % 1000
        return moved // 1000

    def follow(self, i: int, seconds: int):
        """So many seconds, 1 to 10, went by for pack i."""
        snap, charge = self._snap, self.charge
        out_mas = self._passed(i)
        voltage_mv = snap.voltage_mv[i]
        if not self._has[i] or not snap.valid[i] or voltage_mv * 2 < self._least_mv:
            self._unseen_s[i] = min(self._unseen_s[i] + seconds, 255)
            self._mean_ma[i] = 0
            self._show(i)
            return
        current_ma = snap.current_ma[i]
        if self._unseen_s[i] >= _GONE_S:
            self._meet(i, voltage_mv, current_ma)
        self._unseen_s[i] = 0
        if not -_MOST_MA * seconds < out_mas < _MOST_MA * seconds:
            out_mas = 0
        if self._owed >> i & 1 and abs(current_ma) > IDLE_MA:
            # Up to a second of the flow before a reset was in no row: the one after it stands in.
            self._owed &= ~(1 << i)
            out_mas += current_ma
        charge.count(i, out_mas, seconds)
        self._count_energy(i, voltage_mv * out_mas)
        ma = out_mas // seconds
        ahead = ma * _MEAN_SCALE - self._mean_ma[i]
        self._mean_ma[i] += ahead * seconds // min(self._flow_s, _MEAN_S)
        if charge.ended(i, voltage_mv, current_ma, seconds):
            charge.full(i)
            self.calibration.ended(i)
        elif (self._round_s + i * (_LOOK_S // BATTERIES)) % _LOOK_S < seconds:
            r_mohm = self._r_mohm(i)
            charge.look(i, voltage_mv, current_ma, r_mohm)
            if current_ma > -IDLE_MA:
                self.calibration.look(i, voltage_mv, current_ma, r_mohm)
            self.health.look(i)
        self._write_row(i)
        self._show(i)

    def _r_mohm(self, i: int):
        """The resistance of pack i, mOhm; until it has shown one, what the others have by their
        size, 0 while none has."""
        known, label_mah = self._snap.r_mohm, self.charge.label_mah
        if known[i]:
            return known[i]
        others = [known[k] * label_mah(k) for k in range(BATTERIES) if known[k]]
        return sum(others) // (len(others) * label_mah(i)) if others else 0

    def _write_row(self, i: int):
        rest = int(self._rest_j[i] / _PART_J)
        out = self.out_dwh[i] * _PARTS + max(rest, 0)
        into = self.in_dwh[i] * _PARTS - min(rest, 0)
        row = self.charge.row(i) + (out & _LOW, into & _LOW)
        struct.pack_into(ROW, self._rows, i * ROW_BYTES, *row)

    def _count_energy(self, i: int, out_uj: int):
        """Energy left pack i, uJ (it entered: below 0): whole 0.1 Wh are counted, the rest waits.

        The rest is that of both directions, so that the noise of a sensor at rest is no energy.
        """
        joules = self._rest_j[i] + out_uj / 1e6
        whole = int(joules / _DWH_J)
        self._rest_j[i] = joules - whole * _DWH_J
        if whole > 0:
            self.out_dwh[i] += whole
        else:
            self.in_dwh[i] -= whole

    def _meet(self, i: int, voltage_mv: int, current_ma: int):
        """Pack i is seen, for the first time since the power came on or since it was away."""
        charge, r_mohm = self.charge, self._r_mohm(i)
        charge.wake(i)
        if charge.is_another(i, voltage_mv, current_ma, r_mohm):
            self.forget(i)
            self._emit("pack_changed", i, 0, 0, 0)
        charge.look(i, voltage_mv, current_ma, r_mohm)

    def forget(self, i: int):
        """Pack i is another one."""
        self.charge.forget(i)
        self.health.forget(i)
        self._unseen_s[i] = _GONE_S
        self._moved(i)

    def arrange(self, places: list):
        """The packs were exchanged among each other: see `Charge.arrange`."""
        self.charge.arrange(places)
        self.health.arrange(places)
        for i, place in enumerate(places):
            if i != place:
                self.charge.wake(i)
                self._moved(i)

    def know(self, i: int, capacity_mah: float, error_mah: float, first_mohm: int):
        """What is known of pack i from elsewhere, of what is not known better here.

        Args:
            capacity_mah, error_mah: two deviations; first_mohm: 0 = not known.
        """
        label_mah = self.charge.label_mah(i)
        self.charge.know(i, capacity_mah / label_mah, error_mah / 2 / label_mah)
        if first_mohm and not self.health.first_mohm[i]:
            self.health.begin(i, first_mohm)
        self._saved = None
        self._write_row(i)

    def _moved(self, i: int):
        """What holds of the place of pack i holds no more: it has just been put there."""
        self.calibration.learner.swapped(i)
        self._forget_r(i)
        self._saved = None
        self._write_row(i)

    def _show(self, i: int):
        """Write the charge of pack i into the snapshot."""
        snap, known = self._snap, self.known(i)
        snap.soc_pct[i] = _percent(known[0]) if known else NO_CHARGE
        snap.soc_error_pct[i] = _error(known[1]) if known else NO_CHARGE

    def known(self, i: int):
        """(charge, deviation) of pack i, as of `Charge.now`; None when nobody knows it."""
        if self._unseen_s[i] >= _GONE_S:
            return None
        known = self.charge.now(i)
        return known if known[1] <= _KNOWN else None

    def telling(self):
        """Sum up in `told` what the packs have that are on or wait to join, or all when none is
        on: a generator with a short step for each pack."""
        snap, charge = self._snap, self.charge
        on = sum(1 for i in range(BATTERIES) if connected(snap, i))
        sharing = on + sum(1 for state in snap.state if state == WAITING) or BATTERIES
        mean_ma, long_ma = sum(self._mean_ma) // _MEAN_SCALE, self._long_ma // _MEAN_SCALE
        full = held = doubt = energy = 0.0
        ends = []
        for i in range(BATTERIES):
            yield
            known = self.known(i)
            if not known or on and snap.state[i] != WAITING and not connected(snap, i):
                continue
            mah, voltage_mv, r_mohm = charge.full_mah(i), snap.voltage_mv[i], self._r_mohm(i)
            # As if those that wait had joined: they will, before all others are empty.
            ma = self._mean_ma[i] // _MEAN_SCALE * on if connected(snap, i) else mean_ma
            ma = max(ma // sharing, 1)
            left = charge.left_mah(i, ma, voltage_mv, snap.current_ma[i], r_mohm)
            full += mah
            held += min(max(known[0], 0.0), 1.0) * mah
            doubt += 2 * known[1] * mah
            energy += left * (voltage_mv + self._least_mv) / 2e6
            ends.append((left / ma, ma, i))
        if not full:
            self.told = None
            return
        ends.sort()
        last_h = _LONGEST_S / 3600
        first = [i + 1 for h, ma, i in ends if h < last_h and ma > IDLE_MA and connected(snap, i)]
        left = _lasting_mah(ends, self._most_ma)
        charge_pct, error_pct = _percent(held / full), _error(doubt / full / 2)
        self.told = (charge_pct, error_pct, int(energy), _seconds(left, mean_ma))
        self.told += _span(left, doubt, mean_ma, long_ma)
        self.told += _span(full - held, doubt, -mean_ma, -long_ma)
        self.told += (first[0] if first else None,)


def _counts():
    return array("I", bytes(4 * BATTERIES))


def _percent(share: float):
    return int(min(max(share, 0.0), 1.0) * 100 + 0.5)


def _error(deviation: float):
    """What is told of a deviation, in per cent: the truth lies within, in 95 of 100 cases."""
    return _percent(2 * deviation) or 1


def _lasting_mah(ends: list, most_ma: int):
    """What packs give, each its share of a load, until those that are left cannot carry it, mAh.

    Args:
        ends: (hours that a pack lasts at its current, this current in mA, pack), sorted: as one
            ends, the currents of all others rise by the same factor.
        most_ma: the highest current of a pack.
    """
    total = rest = sum(ma for _, ma, _ in ends)
    mah = before = 0.0
    for k, (hours, ma, _) in enumerate(ends):
        if k and total > most_ma * (len(ends) - k):
            break
        mah += (hours - before) * rest
        before = hours
        rest -= ma
    return mah


def _seconds(mah: float, ma: int):
    """How long so much charge lasts at a current, s; None beyond two days, or without one."""
    seconds = mah * 3600 / ma if ma > IDLE_MA else _LONGEST_S
    return int(seconds) if seconds < _LONGEST_S else None


def _span(mah: float, doubt: float, one_ma: int, other_ma: int):
    """(least, most) of `_seconds` for a charge within `doubt` and two means of its current."""
    least = _seconds(max(mah - doubt, 0.0), max(one_ma, other_ma))
    if one_ma <= IDLE_MA or least is None:
        return None, None
    return least, _seconds(mah + doubt, min(one_ma, max(other_ma, one_ma // 2)))


def _word(rows: "bytes | bytearray", at: int):
    return rows[at] | rows[at + 1] << 8
