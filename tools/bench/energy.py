# SPDX-License-Identifier: GPL-3.0-only
"""How well the state of charge is known: the estimator against rigs that it knows nothing of."""

import argparse
import errno
import multiprocessing
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lib"), str(ROOT / "tests/cpython/stubs")]

from energy_nights import MOST_RATE, Nights
from energy_plant import CHEMISTRIES, PLACES, STEP_S, STEPS, Rigs

from parallelator.catalog import ENERGY, ON, WAITING
from parallelator.energy import ROWS_BYTES
from parallelator.energy.meter import Meter

MAMS = 3600000
"""mA*ms in one mAh."""
TOPPING_STEPS, CALIBRATION_STEPS = 30, 5000
CALIBRATION_RATE = 1 / 8
"""The guided discharge: steps at the charger's end, steps in all, load as a share of the labels'
charge an hour."""
LEAST_WH = 100
"""What has to flow in three days for its count to be judged."""
SHORT = -1.0
"""Stands for the charge in a row of times when the rig cannot carry its load any more."""


class Snap:
    """What the meter reads of the snapshot, of one rig."""

    def __init__(self):
        self.uptime_s = 0
        self.state = [0] * PLACES
        self.valid, self.voltage_mv, self.current_ma = [0] * PLACES, [0] * PLACES, [0] * PLACES
        self.r_mohm = [0] * PLACES
        self.discharge_mah, self.discharge_rest = [0] * PLACES, [0] * PLACES
        self.charge_mah, self.charge_rest = [0] * PLACES, [0] * PLACES
        self.soc_pct, self.soc_error_pct = [0] * PLACES, [0] * PLACES


class Flash(dict):
    """What the power-off does not lose."""

    def get_blob(self, key, block):
        if key not in self:
            raise OSError(errno.ENOENT)
        block[:] = self[key]

    def set_blob(self, key, block):
        self[key] = bytes(block)

    def commit(self):
        pass


class Follower(Meter):
    """The meter, without what it writes and shows each second for others: half of its time."""

    def _write_row(self, i):
        pass

    def _show(self, i):
        pass

    def save(self):
        for i in range(PLACES):
            super()._write_row(i)
        super().save()


class Rig:
    """The firmware's part of one rig: its meter, as often as the power comes on."""

    def __init__(self, chemistry, rigs, row):
        self.there = np.flatnonzero(rigs.there[row]).tolist()
        self._settings = {
            "pack.chemistry": chemistry,
            "pack.cells": rigs.cells,
            "pack.capacity_mah": int(rigs.nominal_ah[row, 0] * 1000),
            "pack.curve": None,
            "limits.min_voltage_mv": 24000,
            "limits.max_discharge_current_ma": int(rigs.nominal_ah[row, 0] * 1000 * MOST_RATE),
        }
        self._settings |= {f"batteries.{n}.capacity_mah": 0 for n in range(1, PLACES + 1)}
        self._flash = Flash()
        self.changed, self.others, self._learned = [], [], {}
        self.snap, self.meter = Snap(), None
        self._before_wh = self._began_wh = np.zeros(2)

    def start(self):
        """The power comes on."""
        self._before_wh = self.told_wh()
        self.snap = Snap()
        rows = bytearray(ROWS_BYTES)
        self.meter = Follower(
            self.snap, self._settings, rows, False, self._flash, self._emit, lambda i: None
        )
        self._began_wh = self._counted_wh()
        while self._learned:
            i, of_capacity = self._learned.popitem()
            self.meter.charge.know(i, *of_capacity)
        for i in self.others:  # the crew said so
            self.meter.charge.forget(i)
        self.others.clear()

    def _emit(self, code, i, *_):
        if code == "pack_changed":
            self.changed.append(i)

    def _counted_wh(self):
        meter = self.meter
        return np.array([sum(meter.out_dwh), sum(meter.in_dwh)]) / 10 if meter else self._began_wh

    def told_wh(self):
        """What the meters counted as out and in, Wh, of which a power-off may have lost some."""
        return self._before_wh + self._counted_wh() - self._began_wh

    def take_over(self, other):
        """The firmware of this rig keeps what that of `other` has learned of the same packs."""
        if "curve" in other._flash:
            self._flash["curve"] = other._flash["curve"]
        self._learned = {i: other.meter.charge.health(i) for i in self.there}

    def step(self, ma, mv, r, states):
        """Ten seconds on."""
        snap = self.snap
        snap.uptime_s += STEP_S
        seconds = self.meter.turn()
        for i in self.there:
            snap.valid[i] = 1
            snap.state[i] = states[i]
            snap.voltage_mv[i], snap.r_mohm[i] = mv[i], r[i]
            snap.current_ma[i] = ma[i] if states[i] == ON else 0
            moved = snap.discharge_rest[i] + snap.current_ma[i] * STEP_S * 1000
            mah, snap.discharge_rest[i] = divmod(moved, MAMS)
            snap.discharge_mah[i] += mah
            self.meter.follow(i, seconds)
        self.meter.learn()
        if snap.uptime_s % 300 == 0:
            self.meter.save()


def calibrated(chemistry, count, seed):
    """The `Rig` of each of the same rigs after a guided discharge from full to empty."""
    rigs = Rigs(chemistry, count, seed)
    made = [Rig(chemistry, rigs, row) for row in range(count)]
    for rig in made:
        rig.start()
    full = np.where(rigs.there, rigs._high, rigs.soc)
    rigs.soc, rigs.closed = full.copy(), rigs.there.copy()
    powered, nothing = np.ones(count, bool), np.zeros(count)
    total_ah = (rigs.nominal_ah * rigs.there).sum(1)
    for k in range(CALIBRATION_STEPS):
        topping = k < TOPPING_STEPS
        load = nothing if topping else np.where(rigs.closed.any(1), total_ah * CALIBRATION_RATE, 0)
        rigs.step(load, total_ah / 50 if topping else nothing, powered)
        if not topping:
            rigs.closed &= rigs._volts >= rigs.cells * rigs.least_v
        ma = np.round(rigs.sensed_a * 1000).astype(int).tolist()
        mv = np.round(rigs.sensed_v * 1000).astype(int).tolist()
        r, states = rigs.r_mohm.tolist(), (rigs.closed * ON).tolist()
        for row, rig in enumerate(made):
            rig.step(ma[row], mv[row], r[row], states[row])
    return made


class Play:
    """The nights of so many rigs, the meters that follow them, and what is noted of both.

    Attributes:
        rows: of each minute and pack that is judged: rig, true charge, told charge, its deviation,
            turnover since the last full, told over true capacity, deep cycles so far.
        times: of each minute of a steady load: rig, step, true charge of the rig (SHORT: it could
            not carry the load), least, most and middle of the time told.
        true_wh, told_wh: energy out and in, by the plant and by the meters: a column for each rig.
        found, missed, false: untold swaps, and packs taken for another. boots: starts of a pack.
    """

    def __init__(self, chemistry, count, seed, own):
        self._nights = nights = Nights(chemistry, count, seed)
        self._rigs = rigs = nights.rigs
        self._made = [Rig(chemistry, rigs, row) for row in range(count)]
        if own:
            for rig, other in zip(self._made, calibrated(chemistry, count, seed), strict=True):
                rig.take_over(other)
        shape = rigs.there.shape
        self._turned = np.full(shape, 9.0)
        self._calm_s, self._deep = np.zeros(shape), np.zeros(shape)
        self._known, self._was_full = np.zeros(shape, bool), np.zeros(shape, bool)
        self._untold = np.zeros(shape, bool)
        self.rows, self.times = [], []
        self.found = self.missed = self.false = self.boots = 0
        self.true_wh = self.told_wh = np.zeros((2, count))

    def run(self):
        """Play all of it; returns itself."""
        for k in range(STEPS):
            self._nights.step()
            self._swap()
            self._follow()
            self._measure()
            if k % 6 == 0:
                self._note(k)
        self.told_wh = np.array([rig.told_wh() for rig in self._made]).T
        return self

    def _swap(self):
        nights = self._nights
        swapped = nights.told | nights.untold
        self._known &= ~swapped
        self._was_full &= ~swapped
        self._calm_s[swapped] = self._deep[swapped] = 0
        self._turned[swapped] = 9.0
        self._untold |= nights.untold
        for row, i in np.argwhere(nights.told).tolist():
            self._made[row].others.append(i)

    def _follow(self):
        """The meters of the rigs that have power go ten seconds on."""
        nights, rigs = self._nights, self._rigs
        ma = np.round(rigs.sensed_a * 1000).astype(int).tolist()
        mv = np.round(rigs.sensed_v * 1000).astype(int).tolist()
        r, states = rigs.r_mohm.tolist(), (rigs.closed * ON + nights.waits * WAITING).tolist()
        for row in np.flatnonzero(nights.powered).tolist():
            rig = self._made[row]
            if nights.starts[row]:
                rig.start()
                rig.changed.clear()
            rig.step(ma[row], mv[row], r[row], states[row])
            if nights.starts[row]:
                self._count_swaps(row, rig)

        watts = np.where(nights.powered[:, None], rigs._volts * rigs.current_a, 0)
        for k, flow in enumerate((watts, -watts)):
            self.true_wh[k] += np.maximum(flow, 0).sum(1) * STEP_S / 3600

    def _count_swaps(self, row, rig):
        self.boots += len(rig.there)
        for i in rig.there:
            noticed = i in rig.changed
            if self._untold[row, i]:
                self.found += noticed
                self.missed += not noticed
            else:
                self.false += noticed
        self._untold[row] = False

    def _measure(self):
        """What has gone through the packs, and since when they are known."""
        rigs = self._rigs
        amps = np.abs(rigs.current_a)
        ended = self._nights.charging[:, None] & rigs.closed & (amps < rigs.nominal_ah / 20)
        ended &= rigs.bus_v[:, None] >= rigs.cells * rigs.end_v - 0.01
        self._turned = np.where(ended, 0, self._turned + amps * STEP_S / 3600 / rigs.nominal_ah)
        self._was_full |= rigs.usable > 0.95
        emptied = self._was_full & (rigs.usable < 0.15)
        self._deep += emptied
        self._was_full &= ~emptied
        on = self._nights.powered[:, None] & rigs.there
        calm = on & (amps < rigs.nominal_ah / 100)
        self._calm_s = np.where(calm, self._calm_s + STEP_S, 0)
        self._known |= ended | (self._calm_s >= 1800)

    def _note(self, k):
        nights, rigs = self._nights, self._rigs
        usable, capacity_ah = rigs.usable, rigs.capacity_ah
        mask = nights.powered[:, None] & rigs.there & self._known
        for row, i in np.argwhere(mask).tolist():
            charge = self._made[row].meter.charge
            capacity = charge.full_mah(i) / 1000 / capacity_ah[row, i]
            turned, deep = self._turned[row, i], self._deep[row, i]
            self.rows.append((row, usable[row, i], *charge.now(i), turned, capacity, deep))
        steady = nights.powered & nights.showing & nights.steady[:, k] & ~nights.short
        for row in np.flatnonzero(steady).tolist():
            meter = self._made[row].meter
            for _ in meter.telling():
                pass
            there = rigs.there[row]
            held = (np.clip(usable[row], 0, 1) * capacity_ah[row])[there].sum()
            share = held / capacity_ah[row][there].sum()
            told = dict(zip(ENERGY, meter.told or [None] * len(ENERGY), strict=True))
            told_s = [told[f"left_{key}s"] for key in ("least_", "most_", "")]
            self.times.append((row, k, share, *(np.nan if s is None else s for s in told_s)))
        for row in np.flatnonzero(nights.short).tolist():
            self.times.append((row, k, SHORT, 0, 0, 0))


def play(chemistry, count, seed, own):
    """The `measures` of so many rigs."""
    return measures(Play(chemistry, count, seed, own).run())


def judge_times(times):
    """(per cent of the minutes whose truth lies in the range told, 95 % of the error in per cent).

    Judged are steady loads from 30 % of charge on, until ten minutes before the rig cannot carry
    them any more.
    """
    inside, off = [], []
    for row in np.unique(times[:, 0]):
        mine = times[times[:, 0] == row]
        ends = mine[mine[:, 2] == SHORT][:, 1]
        for _row, k, _share, least, most, point in mine[(mine[:, 2] > 0) & (mine[:, 2] <= 0.3)]:
            after = ends[ends > k]
            true = (after[0] - k) * STEP_S if len(after) else 0
            if not 600 <= true <= 12 * 3600:
                continue
            inside.append(least <= true <= most)
            if not np.isnan(point):
                off.append(abs(point - true) / true)
    return np.mean(inside) * 100, percentile(off)


def percentile(errors):
    """What 95 % of the errors do not exceed, in per cent."""
    return np.percentile(errors, 95) * 100


def measures(played):
    """The rows of the table of what `Play` has noted: measure to value."""
    _, true, told, sd, turned, capacity, deep = np.array(played.rows).T
    off = np.abs(np.clip(told, 0, 1) - np.clip(true, 0, 1))
    near = (true < 0.2) | (turned < 1)
    inside, late = judge_times(np.array(played.times))
    cycled = deep >= 2
    moved = played.true_wh > LEAST_WH
    return {
        "error of charge, under 20 % or within a turnover of a full": percentile(off[near]),
        "error of charge elsewhere": percentile(off[~near]),
        "truth within 2 deviations": (off < 2 * sd + 0.005).mean() * 100,
        "mean deviation over root of mean square": sd.mean() / np.sqrt((off**2).mean()),
        "time left: truth inside the range": inside,
        "time left: error": late,
        "capacity after two deep cycles": percentile(np.abs(capacity[cycled] - 1)),
        "energy counted": percentile(np.abs(played.told_wh[moved] / played.true_wh[moved] - 1)),
        "swaps found of those untold": played.found / max(played.found + played.missed, 1) * 100,
        "false alarms of 1000 starts of a pack": played.false / played.boots * 1000,
    }


GOALS = {  # (least, most) without and with a curve of the rig's own, NMC and LFP
    "error of charge, under 20 % or within a turnover of a full": ((0, 6), (0, 6), (0, 3), (0, 3)),
    "error of charge elsewhere": ((0, 8), (0, 22), (0, 3), (0, 10)),
    "truth within 2 deviations": ((95, 100),) * 4,
    "mean deviation over root of mean square": ((0.5, 2),) * 4,
    "time left: truth inside the range": ((90, 100), (90, 100), (0, 100), (0, 100)),
    "time left: error": ((0, 999), (0, 999), (0, 20), (0, 25)),
    "capacity after two deep cycles": ((0, 6), (0, 10), (0, 4), (0, 6)),
    "energy counted": ((0, 1),) * 4,
    "swaps found of those untold": ((50, 100),) * 4,
    "false alarms of 1000 starts of a pack": ((0, 0),) * 4,
}
"""Minutes are judged after the first rest of half an hour or the first full, errors by their 95 %;
per cent unless said otherwise."""


def main():
    """Print the table; the exit code is the number of missed goals."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="rigs of each chemistry")
    parser.add_argument("--seed", type=int, default=9000, help="0 to 99 were used for tuning")
    given = parser.parse_args()
    cases = [(name, given.count, given.seed, own) for own in (False, True) for name in CHEMISTRIES]
    with multiprocessing.Pool(2) as pool:
        columns = pool.starmap(play, cases, 1)
    heads = [f"{name} {'own' if own else 'start'}" for name, _, _, own in cases]
    print(f"{given.count} rigs of each, three days, seed {given.seed}; * misses its goal\n")
    print(f"{'':60}" + "".join(f"{head:>12}" for head in heads))
    missed = 0
    for name, goals in GOALS.items():
        line = f"{name:60}"
        for column, (least, most) in zip(columns, goals, strict=True):
            fits = least <= column[name] <= most
            missed += not fits
            line += f"{column[name]:11.1f}{' ' if fits else '*'}"
        print(line)
    return missed


if __name__ == "__main__":
    sys.exit(main())
