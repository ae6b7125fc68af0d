# SPDX-License-Identifier: GPL-3.0-only
"""How well the state of charge is known: the estimator against rigs that it knows nothing of."""

import argparse
import errno
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "lib"), str(ROOT / "tests/cpython/stubs")]

from energy_nights import Nights  # noqa: E402
from energy_plant import CHEMISTRIES, GRID, PLACES, STEP_S, STEPS  # noqa: E402

from parallelator.catalog import (
    ENERGY,  # noqa: E402
    ON,  # noqa: E402
)
from parallelator.energy import room  # noqa: E402
from parallelator.energy.meter import Meter  # noqa: E402


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
    known = np.zeros(shape, bool)
    log, times = [], []
    untold = np.zeros(shape, bool)
    found = missed = false = boots = 0
    for k in range(STEPS):
        nights.step()
        swapped = nights.told | nights.untold
        known &= ~swapped
        calm_s[swapped] = 0
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
                        np.full(mask.sum(), k),
                    ]
                )
            )
            steady = nights.powered & nights.showing & nights.steady[:, k] & ~nights.short
            for row in np.flatnonzero(steady).tolist():
                meter = made[row].meter
                for _ in meter.telling():
                    pass
                view = meter.told and dict(zip(ENERGY, meter.told))
                held = (np.clip(rigs.usable, 0, 1) * rigs.capacity_ah * rigs.there)[row].sum()
                share = held / (rigs.capacity_ah * rigs.there)[row].sum()
                told_s = [(view or {}).get(f"left_{key}s") for key in ("least_", "most_", "")]
                times.append((row, k, share, *(np.nan if s is None else s for s in told_s)))
            for row in np.flatnonzero(nights.short).tolist():
                times.append((row, k, -1.0, 0, 0, 0))
    return np.concatenate(log, 1), (found, missed, false), boots, np.array(times)


DEBUG = False


def judge_times(times):
    """(share of minutes where the truth lies in the range told, 95 % of the error of its middle)."""
    inside, off = [], []
    for row in np.unique(times[:, 0]):
        mine = times[times[:, 0] == row]
        ends = mine[mine[:, 2] == -1.0][:, 1]
        for _, k, share, least, most, point in mine[(mine[:, 2] > 0.02) & (mine[:, 2] <= 0.3)]:
            after = ends[ends > k]
            if not len(after):
                continue
            true = (after[0] - k) * STEP_S
            if true > 12 * 3600 or true < 600 or np.isnan(point):
                continue
            inside.append(least <= true <= most)
            off.append(abs(point - true) / true)
            if DEBUG and off[-1] > 0.4:
                print(int(row), int(k), round(share, 3), true, point, least, most)
    return (
        (np.mean(inside) * 100, np.percentile(off, 95) * 100, np.median(off) * 100, len(off))
        if off
        else ()
    )


def report(log, swaps, boots, times, name):
    row, true, told, sd, turned, cap, at = log
    true, told = np.clip(true, 0, 1), np.clip(told, 0, 1)
    off = np.abs(told - true)
    near = (true < 0.2) | (turned < 1)
    p = lambda x: np.percentile(x, 95) * 100 if len(x) else float("nan")
    inside = (off < 2 * sd + 0.005).mean()
    late = at > STEPS * 0.8
    print(
        f"{name:16} near {p(off[near]):5.1f}  elsewhere {p(off[~near]):5.1f}  inside {inside * 100:5.1f} "
        f"(near {(off < 2 * sd + 0.005)[near].mean() * 100:5.1f})  sd/rms {sd.mean() / np.sqrt((off**2).mean()):.2f}  "
        f"(near {sd[near].mean() / np.sqrt((off[near] ** 2).mean()):.2f}, else {sd[~near].mean() / np.sqrt((off[~near] ** 2).mean()):.2f}) "
        f"cap {p(np.abs(cap[late] - 1)):5.1f}  swaps {swaps} boots {boots}  bias {(told - true).mean() * 100:.1f} times {[round(float(x), 1) for x in judge_times(times)]}",
        flush=True,
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    for chemistry in CHEMISTRIES:
        for own in (False, True):
            name = f"{chemistry} {'own' if own else 'start'}"
            if given.only in name:
                report(*play(chemistry, given.count, given.seed, own), name)
