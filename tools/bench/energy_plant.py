# SPDX-License-Identifier: GPL-3.0-only
"""Rigs and their nights for `tools/bench/energy.py`: all packs of many rigs at once, with numpy.

Nothing here comes from the firmware or from the simulator of `make sim`, so that no estimate is
judged by its own assumptions. The rest voltage of a cell is the difference of the potentials of
its electrodes:

- NMC 811 against graphite with silicon: the fits of C.-H. Chen and others, J. Electrochem. Soc.
  167 080534 (2020), cell LG M50, with its stoichiometries at 2.5 V and 4.2 V.
- LiFePO4: the fit of S. Afshar and others, arXiv:1709.03970 (2017), against the same graphite.

The voltage under load has a resistance that grows when cold and near empty, a fast and a slow
pair of resistance and capacity, and the branch of charge or discharge (hysteresis). Currents and
voltages reach the firmware through sensors with offset and gain as the data sheets of INA226,
INA237 and INA238 allow, on 2 mOhm.
"""

import numpy as np

STEP_S = 10
PLACES = 16
DAYS = 3
STEPS = DAYS * 86400 // STEP_S

OFF, IDLE, REST, SHOW, CHARGE = range(5)
"""What a rig does: without power; on without load; packs switched off; a load; a charger."""

_SENSORS = {"ina237": (25, 0.003), "ina238": (2.5, 0.001), "ina226": (5, 0.001)}
"""Largest offset in mA and gain error; sections 6.5 (electrical characteristics) of each sheet."""


def graphite(x):
    """Potential of the negative electrode, V against lithium, at stoichiometry x."""
    return (
        1.9793 * np.exp(-39.3631 * x)
        + 0.2482
        - 0.0909 * np.tanh(29.8538 * (x - 0.1234))
        - 0.04478 * np.tanh(14.9159 * (x - 0.2769))
        - 0.0205 * np.tanh(30.4444 * (x - 0.6103))
    )


def nmc(soc):
    """Rest voltage of an NMC cell, V."""
    y = 0.9077 + (0.2661 - 0.9077) * soc
    positive = (
        4.4875
        - 0.809 * y
        - 0.0428 * np.tanh(18.5138 * (y - 0.5542))
        - 17.7326 * np.tanh(15.789 * (y - 0.3117))
        + 17.5842 * np.tanh(15.9308 * (y - 0.312))
    )
    return positive - graphite(0.0279 + (0.9014 - 0.0279) * soc)


def lfp(soc):
    """Rest voltage of a LiFePO4 cell, V."""
    y = 0.96 + (0.003 - 0.96) * soc
    positive = 3.4077 - 0.020269 * y + 0.5 * np.exp(-150 * y) - 0.9 * np.exp(-30 * (1 - y))
    return positive - graphite(0.024 + (0.80 - 0.024) * soc)


GRID = np.linspace(-0.03, 1.03, 213)
CHEMISTRIES = {
    # cells, rest voltage, charger's end and lowest voltage of a cell in V, efficiency of charge,
    # half of the hysteresis in mV: lowest and highest
    "nmc": (7, nmc, 4.2, 24.0 / 7, 0.9985, (0.5, 2.0)),
    "lfp": (8, lfp, 3.55, 24.0 / 8, 0.992, (4.0, 10.0)),
}


class Rigs:
    """So many rigs of one chemistry, a row each, a column for each of the 16 places.

    Args:
        chemistry: a key of CHEMISTRIES; count: of rigs; seed: of all that is drawn.

    Attributes, rows by places unless said otherwise:
        there: which places have a pack. nominal_ah (a row): as its label says.
        soc, closed: true state. current_a: true current, discharge is positive.
        sensed_a, sensed_v: what the firmware reads. r_mohm: what it has measured, 0 = nothing.
        usable, capacity_ah: true charge, 0 at rest at the lowest voltage and 1 at the charger's
            end, and the charge between the two.
    """

    def __init__(self, chemistry, count, seed):
        draw = self._draw = np.random.default_rng(seed)
        shape = count, PLACES
        self.cells, self._curve, self.end_v, self.least_v, self._eta, half = CHEMISTRIES[chemistry]
        self.there = np.arange(PLACES) < draw.integers(4, 17, (count, 1))
        self.nominal_ah = draw.choice([10, 20, 40, 100], (count, 1)) * np.ones((1, PLACES))
        self._half_v = np.zeros(shape)
        self._table_v = np.zeros((*shape, len(GRID)))
        self._ah, self._r_ohm = np.zeros(shape), np.zeros(shape)
        self._fast_share, self._slow_share = np.zeros(shape), np.zeros(shape)
        self._fast_s, self._slow_s = np.ones(shape), np.ones(shape)
        self._branch_share, self._leak_a = np.ones(shape), np.zeros(shape)
        self.soc, self._branch = np.zeros(shape), np.zeros(shape)
        self._fast_a, self._slow_a = np.zeros(shape), np.zeros(shape)
        self._half = half
        self.celsius = draw.uniform(2, 32, (count, 1))
        self._r_measured = np.zeros(shape)
        names = list(_SENSORS)
        limits = np.array([_SENSORS[names[k]] for k in draw.integers(0, len(names), count)])
        self._offset_a = draw.uniform(-1, 1, shape) * limits[:, :1] / 1000
        self._gain = 1 + draw.uniform(-1, 1, shape) * limits[:, 1:]
        self._gain_v = 1 + draw.uniform(-0.001, 0.001, shape)
        self._zero_a = np.zeros(shape)
        self._open_s = np.zeros(shape)
        start = draw.uniform(0.15, 0.95, (count, 1))
        self.place(np.ones(shape, bool), np.clip(start + draw.normal(0, 0.01, shape), 0.05, 0.97))
        self.closed = np.zeros(shape, bool)
        self.current_a = np.zeros(shape)
        self._solve(np.zeros(shape[0]), np.zeros(shape[0]), np.zeros(shape[0], bool))

    def place(self, where, soc):
        """New packs stand where `where` is, with this state of charge, long at rest."""
        draw, shape = self._draw, where.shape
        bumps = np.zeros((*shape, len(GRID)))
        for k in (1, 2, 3):
            phase = draw.uniform(0, 2 * np.pi, (*shape, 1))
            bumps += draw.normal(0, 0.003 / k, (*shape, 1)) * np.sin(np.pi * k * GRID + phase)
        bumps += draw.normal(0, 0.003, (*shape, 1))
        table = self._curve(GRID) + np.clip(bumps, -0.01, 0.01)
        table = np.maximum.accumulate(table, axis=-1) + np.arange(len(GRID)) * 1e-7
        half_s = draw.uniform(*self._half, shape) / 1000
        r_ohm = 0.6 / self.nominal_ah * draw.lognormal(0, 0.2, shape)
        fresh = {
            "_ah": self.nominal_ah * draw.uniform(0.8, 1.2, shape),
            "_r_ohm": r_ohm,
            "_half_v": half_s,
            "_fast_share": draw.uniform(0.2, 0.5, shape),
            "_slow_share": draw.uniform(0.5, 1.2, shape),
            "_fast_s": draw.uniform(30, 120, shape),
            "_slow_s": draw.uniform(1200, 4200, shape),
            "_branch_share": draw.uniform(0.02, 0.06, shape),
            "_leak_a": draw.uniform(0, 0.015, shape) * (draw.random(shape) < 0.5)
            + self.nominal_ah * draw.uniform(0.0005, 0.0015, shape) / 24,
            "soc": soc,
            "_branch": draw.uniform(-1, 1, shape),
            "_r_measured": np.zeros(shape),
        }
        for name, values in fresh.items():
            getattr(self, name)[where] = values[where]
        self._table_v[where] = table[where]
        for name in ("_fast_a", "_slow_a"):
            getattr(self, name)[where] = 0.0
        self._measure_usable()

    def _measure_usable(self):
        table = self._table_v
        self._low = self._first(table >= self.least_v, GRID)
        self._high = self._first(table >= self.end_v, GRID)

    @staticmethod
    def _first(mask, grid):
        return np.where(mask.any(-1), grid[np.argmax(mask, -1)], grid[-1])

    @property
    def usable(self):
        """True charge, 0..1 of what is usable."""
        return (self.soc - self._low) / (self._high - self._low)

    @property
    def capacity_ah(self):
        """True usable charge of each pack from full to empty, Ah."""
        return self._ah * (self._high - self._low)

    def _rest_v(self):
        at = np.clip((self.soc - GRID[0]) / (GRID[1] - GRID[0]), 0, len(GRID) - 1.001)
        k = at.astype(int)
        low = np.take_along_axis(self._table_v, k[..., None], -1)[..., 0]
        high = np.take_along_axis(self._table_v, k[..., None] + 1, -1)[..., 0]
        return low + (high - low) * (at - k) + self._branch * self._half_v

    def _solve(self, load_a, source_a, limited):
        """Currents of all packs for a load and a charger, A a row; `limited`: it has a voltage."""
        cold = np.exp(0.025 * (25 - self.celsius))
        r = self._r_ohm * cold * (1 + 0.8 * np.exp(-np.maximum(self.soc, 0) / 0.06))
        self._r_now = r
        emf = self.cells * self._rest_v()
        emf -= self._fast_a * r * self._fast_share + self._slow_a * r * self._slow_share
        path = r + 0.02
        on = self.closed & self.there
        s = np.where(on, 1 / path, 0.0)
        total = np.maximum(s.sum(1), 1e-9)
        bus = ((emf * s).sum(1) - load_a + source_a) / total
        end = self.cells * self.end_v
        held = limited & (source_a > 0) & (bus > end)
        bus = np.where(held, end, bus)
        self.bus_v = bus
        self.source_now_a = np.where(held, (bus[:, None] * s - emf * s).sum(1) + load_a, source_a)
        self.current_a = np.where(on, (emf - bus[:, None]) * s, 0.0)
        self._volts = emf - self.current_a * r

    def step(self, load_a, source_a, powered):
        """Ten seconds with a load, a charger, the firmware on or off (arrays of a row each)."""
        self._solve(load_a, source_a, np.ones(len(load_a), bool))
        a = self.current_a
        charging = a < 0
        moved = (np.where(charging, a * self._eta, a) + self._leak_a) * STEP_S / 3600 / self._ah
        self.soc = self.soc - np.where(self.there, moved, 0)
        way = 1 - np.exp(-np.abs(moved) / self._branch_share)
        self._branch += (np.where(moved > 0, -1.0, 1.0) - self._branch) * way
        self._fast_a += (a - self._fast_a) * (1 - np.exp(-STEP_S / self._fast_s))
        self._slow_a += (a - self._slow_a) * (1 - np.exp(-STEP_S / self._slow_s))
        self._open_s = np.where(self.closed | ~powered[:, None], 0, self._open_s + STEP_S)
        seen = self._open_s >= 2 * STEP_S
        drift = self._draw.normal(0, 0.002, a.shape)
        self._zero_a = np.where(
            seen & (self._open_s < 3 * STEP_S), self._offset_a + drift, self._zero_a
        )
        noise = self._draw.normal(0, 0.003, a.shape)
        self.sensed_a = a * self._gain + self._offset_a - self._zero_a + noise
        self.sensed_v = np.round(self._volts * self._gain_v / 0.003125) * 0.003125
        # The firmware sees the resistance at steps of the load, within a tenth.
        stepped = self.closed & (np.abs(a) > 2) & (self._draw.random(a.shape) < 0.002)
        told = self._r_now * (1 + 0.3 * self._fast_share) * self._draw.normal(1, 0.08, a.shape)
        self._r_measured = np.where(stepped, told, self._r_measured)

    @property
    def r_mohm(self):
        """The resistance as measured so far, whole mOhm."""
        return np.round(self._r_measured * 1000).astype(int)
