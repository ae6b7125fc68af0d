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

from energy_nights import Nights
from energy_plant import CHEMISTRIES, GRID, PLACES, STEP_S, STEPS

from parallelator.catalog import ENERGY, ON
from parallelator.energy import room
from parallelator.energy.meter import Meter

SHORT = -1.0
"""Stands for the charge in a row of times when the rig cannot carry its load any more."""


def own_curve(rigs, row, error_mv, draw):
    """The curve that a calibration of the rig of a row finds, mV of a cell: 21 points."""
    points = np.linspace(0, 1, 21)
    there = rigs.there[row]
    volts = [
        np.interp(
            rigs._low[row, k] + points * (rigs._high[row, k] - rigs._low[row, k]),
            GRID,
            rigs._table_v[row, k],
        )
        for k in np.flatnonzero(there)
    ]
    return np.mean(volts, 0) * 1000 + draw.normal(0, error_mv)


class Snap:
    """What the meter reads of the snapshot, of one rig."""

    def __init__(self):
        self.uptime_s = 0
        self.state = [0] * PLACES
        self.valid, self.voltage_mv, self.current_ma = [0] * PLACES, [0] * PLACES, [0] * PLACES
        self.r_mohm = [0] * PLACES
        self.discharge_mah, self.discharge_rest = [0] * PLACES, [0] * PLACES
        self.charge_mah, self.charge_rest = [0] * PLACES, [0] * PLACES


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


class Rig:
    """The firmware's part of one rig: its meter, as often as the power comes on."""

    def __init__(self, chemistry, rigs, row, curve):
        self.there = np.flatnonzero(rigs.there[row]).tolist()
        self._settings = {
            "pack.chemistry": chemistry,
            "pack.cells": rigs.cells,
            "pack.capacity_mah": int(rigs.nominal_ah[row, 0] * 1000),
            "limits.min_voltage_mv": 24000,
        }
        self._settings |= {f"batteries.{n}.capacity_mah": 0 for n in range(1, PLACES + 1)}
        self._flash, self._curve = Flash(), curve
        self.changed, self.others = [], []
        self.snap, self.meter = Snap(), None

    def start(self):
        """The power comes on."""
        self.snap = Snap()
        self.meter = Meter(
            self.snap, self._settings, room(), False, self._flash, self._emit, self._curve
        )
        for i in self.others:  # the crew said so
            self.meter.charge.forget(i)
        self.others.clear()

    def _emit(self, code, i, *_):
        self.changed.append(i)

    def step(self, rigs, row, ma, mv, r, joined):
        """Ten seconds on."""
        snap = self.snap
        snap.uptime_s += STEP_S
        seconds = self.meter.turn()
        for i in self.there:
            snap.valid[i] = 1
            snap.state[i] = ON if joined[i] else 0
            snap.voltage_mv[i], snap.r_mohm[i] = mv[i], r[i]
            snap.current_ma[i] = ma[i] if joined[i] else 0
            snap.discharge_rest[i] += snap.current_ma[i] * STEP_S * 1000
            self.meter.follow(i, seconds)
        if snap.uptime_s % 300 == 0:
            self.meter.save()


def play(chemistry, count, seed, own):
    nights = Nights(chemistry, count, seed)
    rigs = nights.rigs
    draw = np.random.default_rng(seed + 7)
    curves = [own_curve(rigs, row, 3, draw).tolist() if own else None for row in range(count)]
    made = [Rig(chemistry, rigs, row, curves[row]) for row in range(count)]
    shape = rigs.there.shape
    turned = np.full(shape, 9.0)
    calm_s = np.zeros(shape)
    deep, was_full = np.zeros(shape), np.zeros(shape, bool)
    known = np.zeros(shape, bool)
    log, times = [], []
    untold = np.zeros(shape, bool)
    found = missed = false = boots = 0
    for k in range(STEPS):
        nights.step()
        swapped = nights.told | nights.untold
        known &= ~swapped
        calm_s[swapped] = deep[swapped] = 0
        was_full &= ~swapped
        turned[swapped] = 9.0
        untold |= nights.untold
        for row, i in np.argwhere(nights.told).tolist():
            made[row].others.append(i)
        ma = np.round(rigs.sensed_a * 1000).astype(int).tolist()
        mv = np.round(rigs.sensed_v * 1000).astype(int).tolist()
        r, joined = rigs.r_mohm.tolist(), rigs.closed.tolist()
        for row in np.flatnonzero(nights.powered).tolist():
            rig = made[row]
            if nights.starts[row]:
                rig.start()
                rig.changed.clear()
            rig.step(rigs, row, ma[row], mv[row], r[row], joined[row])
            if nights.starts[row]:
                boots += len(rig.there)
                for i in rig.there:
                    if untold[row, i]:
                        found += i in rig.changed
                        missed += i not in rig.changed
                    elif i in rig.changed:
                        false += 1
                untold[row] = False
            for i in np.flatnonzero(rig.meter.charge._full_s).tolist():
                if rig.meter.charge._full_s[i] >= 180:
                    turned[row, i] = 0
                    known[row, i] = True
        was_full |= rigs.usable > 0.95
        emptied = was_full & (rigs.usable < 0.15)
        deep += emptied
        was_full &= ~emptied
        on = nights.powered[:, None] & rigs.there
        calm = on & (np.abs(rigs.current_a) < rigs.nominal_ah / 100)
        calm_s = np.where(calm, calm_s + STEP_S, 0)
        known |= calm_s >= 1800
        turned += np.abs(rigs.current_a) * STEP_S / 3600 / rigs.nominal_ah
        if k % 6 == 0:
            told = np.full(shape, np.nan)
            sd = np.full(shape, np.nan)
            cap = np.full(shape, np.nan)
            for row in np.flatnonzero(nights.powered):
                for i in made[row].there:
                    told[row, i], sd[row, i] = made[row].meter.charge.now(i)
                    cap[row, i] = made[row].meter.charge.capacity[i]
            mask = on & known
            log.append(
                np.stack(
                    [
                        np.nonzero(mask)[0],
                        rigs.usable[mask],
                        told[mask],
                        sd[mask],
                        turned[mask],
                        cap[mask] * rigs.nominal_ah[mask] / rigs.capacity_ah[mask],
                        deep[mask],
                    ]
                )
            )
            steady = nights.powered & nights.showing & nights.steady[:, k] & ~nights.short
            for row in np.flatnonzero(steady).tolist():
                meter = made[row].meter
                for _ in meter.telling():
                    pass
                view = meter.told and dict(zip(ENERGY, meter.told, strict=True))
                held = (np.clip(rigs.usable, 0, 1) * rigs.capacity_ah * rigs.there)[row].sum()
                share = held / (rigs.capacity_ah * rigs.there)[row].sum()
                told_s = [(view or {}).get(f"left_{key}s") for key in ("least_", "most_", "")]
                times.append((row, k, share, *(np.nan if s is None else s for s in told_s)))
            for row in np.flatnonzero(nights.short).tolist():
                times.append((row, k, SHORT, 0, 0, 0))
    return np.concatenate(log, 1), (found, missed, false), boots, np.array(times)


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


def measures(log, swaps, boots, times):
    """The rows of the table: (measure, value, least or most that is allowed, by chemistry and
    whether the curve is the rig's own)."""
    _, true, told, sd, turned, capacity, deep = log
    off = np.abs(np.clip(told, 0, 1) - np.clip(true, 0, 1))
    near = (true < 0.2) | (turned < 1)
    found, missed, false = swaps
    inside, late = judge_times(times)
    cycled = deep >= 2
    return {
        "error of charge, under 20 % or within a turnover of a full": percentile(off[near]),
        "error of charge elsewhere": percentile(off[~near]),
        "truth within 2 deviations": (off < 2 * sd + 0.005).mean() * 100,
        "mean deviation over root of mean square": sd.mean() / np.sqrt((off**2).mean()),
        "time left: truth inside the range": inside,
        "time left: error": late,
        "capacity after two deep cycles": percentile(np.abs(capacity[cycled] - 1)),
        "swaps found of those untold": found / max(found + missed, 1) * 100,
        "false alarms of 1000 starts of a pack": false / boots * 1000,
    }


GOALS = {  # (least, most) without and with a curve of the rig's own, NMC and LFP
    "error of charge, under 20 % or within a turnover of a full": ((0, 6), (0, 6), (0, 3), (0, 3)),
    "error of charge elsewhere": ((0, 8), (0, 22), (0, 3), (0, 10)),
    "truth within 2 deviations": ((95, 100),) * 4,
    "mean deviation over root of mean square": ((0.5, 2),) * 4,
    "time left: truth inside the range": ((90, 100), (90, 100), (0, 100), (0, 100)),
    "time left: error": ((0, 999), (0, 999), (0, 20), (0, 25)),
    "capacity after two deep cycles": ((0, 6), (0, 10), (0, 4), (0, 6)),
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
        columns = [measures(*result) for result in pool.starmap(play, cases, 1)]
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
