# SPDX-License-Identifier: GPL-3.0-only
"""What the rigs of `energy_plant` go through: shows, charges, idle days, starts, other packs."""

import numpy as np
from energy_plant import CHARGE, DAYS, IDLE, OFF, PLACES, REST, SHOW, STEP_S, STEPS, Rigs

_DAY = 86400 // STEP_S
_HOUR = 3600 // STEP_S
_JOIN_V = 0.35
MOST_RATE = 0.5
"""The largest load of a rig, as a share of the charge per hour of the labels of what is on."""


class Plan:
    """The three days of one rig: `mode`, `load` and `source` (shares of the capacity per hour) of
    each step; `swaps`: {step: (place, told)}, of other packs while the power is off."""

    def __init__(self, draw, count):
        self.mode = np.full(STEPS, IDLE, np.int8)
        self.load = np.zeros(STEPS, np.float32)
        self.source = np.zeros(STEPS, np.float32)
        self.steady = np.zeros(STEPS, bool)
        self.swaps = {}
        self._draw, self._count, self._at = draw, count, 0
        for day in range(DAYS):
            self._day((day + 1) * _DAY)

    def _day(self, end):
        draw = self._draw
        calm = [OFF, IDLE, REST]
        self._spend(draw.choice(calm), draw.uniform(0.3, 5), end)
        if draw.random() > 0.15:
            self._show(end)
            self._spend(draw.choice(calm, p=[0.5, 0.3, 0.2]), draw.uniform(0.5, 6), end)
            rate = draw.uniform(0.08, 0.25)
            if draw.random() < 0.15:
                self._spend(CHARGE, draw.uniform(0.5, 3), end, source=rate)
                self._spend(OFF, 0.02, end)
            hours = 20 if draw.random() < 0.75 else draw.uniform(1, 4)
            self._spend(CHARGE, hours, end - int(draw.uniform(0, 3) * _HOUR), source=rate)
        self._spend(draw.choice(calm), 30, end)

    def _show(self, end):
        draw = self._draw
        rate = draw.uniform(0.08, 0.35)
        if draw.random() < 0.3:
            begin = self._at
            self._spend(SHOW, 16, end, load=rate)
            self.steady[begin : self._at] = True
            return
        until = min(self._at + int(draw.uniform(1.5, 6) * _HOUR), end)
        while self._at < until:
            self._spend(
                SHOW, draw.uniform(30, 600) / 3600, until, load=rate * draw.uniform(0.3, 1.6)
            )

    def _spend(self, mode, hours, end, load=0.0, source=0.0):
        stop = min(self._at + max(int(hours * _HOUR), 1), end)
        if stop <= self._at:
            return
        here = slice(self._at, stop)
        self.mode[here], self.load[here], self.source[here] = mode, load, source
        if mode == OFF and stop - self._at > _HOUR // 4 and self._draw.random() < 0.08:
            place = int(self._draw.integers(0, self._count))
            self.swaps[self._at + (stop - self._at) // 2] = place, bool(self._draw.random() < 0.5)
        self._at = stop


class Nights:
    """Plays the plans of so many rigs; `step` goes ten seconds on.

    Attributes: rigs: the plant. powered, charging: a row each. told, untold: places that got
        another pack in this step, with or without a word to the firmware. starts: rigs whose
        firmware starts in this step. waits: packs that are to join as soon as their voltage
        fits. emptied: packs that opened as too low in this step.
    """

    def __init__(self, chemistry, count, seed):
        self.rigs = Rigs(chemistry, count, seed)
        draw = self._draw = np.random.default_rng(seed + 1000003)
        there = self.rigs.there.sum(1)
        self.plans = [Plan(draw, there[k]) for k in range(count)]
        self._mode = np.stack([plan.mode for plan in self.plans])
        self._load = np.stack([plan.load for plan in self.plans])
        self._source = np.stack([plan.source for plan in self.plans])
        self.steady = np.stack([plan.steady for plan in self.plans])
        self._total = (self.rigs.nominal_ah * self.rigs.there).sum(1)
        self._empty = np.zeros((count, PLACES), bool)
        self._ended = np.zeros(count, bool)
        self.powered = np.zeros(count, bool)
        self.at = 0

    def step(self):
        """One step of the plans; `at` is the number of steps so far."""
        rigs, k = self.rigs, self.at
        mode = self._mode[:, k]
        before = self.powered
        self.powered = mode != OFF
        self.starts = self.powered & ~before
        self._swap(k)
        show, charge = mode == SHOW, mode == CHARGE
        self._ended &= charge
        self.emptied = np.zeros_like(self._empty)
        wanted = rigs.there & ((mode == IDLE) | show | charge)[:, None]
        self._empty &= ~charge[:, None] & (rigs.usable < 0.2)
        near = np.abs(rigs._volts - rigs.bus_v[:, None]) < _JOIN_V
        dead = ~rigs.closed.any(1)[:, None]
        top = np.where(rigs.there & ~self._empty, rigs._volts, 0).max(1)
        near = np.where(dead, np.abs(rigs._volts - top[:, None]) < _JOIN_V, near)
        wanted &= ~self.starts[:, None]  # the firmware reads all sensors before it closes anything
        rigs.closed = wanted & ~self._empty & (rigs.closed | near)
        self.waits = wanted & ~self._empty & ~rigs.closed
        joined = (rigs.nominal_ah * rigs.closed).sum(1)
        asked = np.where(show, self._load[:, k] * self._total, 0)
        load = np.minimum(asked, joined * MOST_RATE)
        self.short = load < asked
        source = np.where(charge & ~self._ended, self._source[:, k] * self._total, 0)
        source = np.minimum(source, joined * 0.3)
        rigs.step(load, source, self.powered)
        self._ended |= charge & rigs.closed.any(1) & (rigs.source_now_a < self._total / 30)
        low = rigs.closed & (rigs._volts < rigs.cells * rigs.least_v) & show[:, None]
        self.emptied = low
        self._empty |= low
        self.load_a, self.showing, self.charging = load, show, charge & ~self._ended
        self.at += 1

    def _swap(self, k):
        shape = self._empty.shape
        self.told, self.untold = np.zeros(shape, bool), np.zeros(shape, bool)
        for row, plan in enumerate(self.plans):
            if k in plan.swaps:
                place, told = plan.swaps[k]
                (self.told if told else self.untold)[row, place] = True
        swapped = self.told | self.untold
        if swapped.any():
            self.rigs.place(swapped, self._draw.uniform(0.1, 0.98, shape))
            self._empty &= ~swapped
