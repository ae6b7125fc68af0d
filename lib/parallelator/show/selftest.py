# SPDX-License-Identifier: GPL-3.0-only
"""What the readings of a self-test mean: numbers in, findings out. Called by `drive`.

Pure: no hardware, no clock, no card. A finding is (number of the battery or board, 0 = the rig;
code; level; value). What was not measured is told as that, and is never good.
"""

from array import array

from micropython import const

from parallelator.snapshot import BATTERIES

GO = const(0)
UNMEASURED = const(1)
WATCH = const(2)
NO_GO = const(3)

# code, unit of its value ("": a number, a word or none), sizes from which it is WATCH and NO_GO;
# None: never. A size is what its function here says.
FINDINGS = (
    ("not_off", "mA", None, 1),
    ("other_current", "", None, 1),
    ("no_current", "", None, 1),
    ("reversed", "", None, 1),
    ("gain", "", 6, 15),  # % beside what the others saw
    ("zero", "mA", 60, 300),
    ("zero_drift", "mA", 40, 200),
    ("voltage", "mV", 80, 200),
    ("resistance_high", "", 40, 130),  # % above the others
    ("resistance_grown", "", 40, 130),  # % above what it was
    ("hot", "C", 12, 25),  # above the others
    ("charge_low", "", 60, 85),  # % that are missing
    ("charge_behind", "", 20, 40),  # % behind the others, and surely
    ("capacity_low", "", 20, 40),  # % that are missing
    ("alert", "", 1, None),
    ("not_back", "", 1, None),
    ("state", "", 1, 2),
    ("alarm", "", 1, 2),
    ("cells", "mV", None, 1),
    ("outside", "mV", None, 1),
    ("limit_high", "mV", None, 1),
    ("limit_low", "mV", 1, None),
    ("cable", "", 1, 20),  # errors of 1000 readings
    ("card", "", 1, None),
    ("clock", "", 1, None),
    ("wifi", "", 1, None),
    ("signal", "", 78, None),  # -dBm
    ("memory", "", 1, None),
    ("load", "mA", None, None),
)

# A mask of what was measured of a battery; the first two are needed to say that it is good.
CURRENT = const(1)
OPENING = const(2)
RESISTANCE = const(4)
ALERT = const(8)
CHARGE = const(16)
NEEDED = const(3)
MEASURES = ("current", "off", "resistance", "fast", "soc")

STOPS = (
    "asked",  # somebody has ended it
    "wish",  # somebody wished something of a battery
    "settings",
    "trip",  # one has opened by itself, or is gone
    "fault",  # one does not switch as told
    "danger",  # an alarm of one
    "i2c",
    "grown",  # the load
    "time",
)
"""Why a test ended before its time."""

LEAST_MA = const(100)
"""A current that a step has to move to prove something."""
_STEP_MA = const(1000)
"""One that tells how right a sensor is."""
_DROP_MV = const(25)
"""A voltage that tells a resistance: eight steps of an INA237."""
_IDLE_MA = const(50)
_MA_PER_MV = const(5)
"""What a difference between two batteries drives at least: through 200 milliohms."""
_APART_MV = const(20)
"""Of what is open, from those that carry: more than sensors of one kind differ."""
_LEAST_MOHM = const(30)
"""Resistances are compared as parts of this at least: of a few milliohms nobody needs half."""
_SURE_PCT = const(15)
# Lowest and highest voltage of a cell at rest, and highest that it stands, mV.
_CELLS = {"nmc": (2800, 4250, 4300), "lfp": (2500, 3450, 3750)}


class Window:
    """Means over some readings of all batteries.

    Attributes:
        ma, mv: arrays of the sums until `close`, then of the means.
        low_ma, high_ma: lowest and highest sum of the currents.
    """

    def __init__(self):
        self.ma = array("i", bytes(4 * BATTERIES))
        self.mv = array("i", bytes(4 * BATTERIES))
        self.clear()

    def clear(self):
        """Begin anew."""
        for i in range(BATTERIES):
            self.ma[i] = self.mv[i] = 0
        self._count = 0
        self.low_ma = self.high_ma = 0

    def add(self, current_ma: array, voltage_mv: array):
        """One reading of each."""
        for i in range(BATTERIES):
            self.ma[i] += current_ma[i]
            self.mv[i] += voltage_mv[i]
        total_ma = sum(current_ma)
        self.low_ma = min(self.low_ma, total_ma) if self._count else total_ma
        self.high_ma = max(self.high_ma, total_ma) if self._count else total_ma
        self._count += 1

    def close(self):
        """No more readings come; at least one has."""
        for i in range(BATTERIES):
            self.ma[i] = round(self.ma[i] / self._count)
            self.mv[i] = round(self.mv[i] / self._count)

    def is_steady(self):
        """True when the load hardly moved."""
        return self.high_ma - self.low_ma <= max(100, abs(self.high_ma) // 25)


class Findings:
    """What was found, and what was measured.

    Attributes:
        rows: list of findings. measured: what of each battery, a mask of CURRENT and so on.
        r_mohm, zero_ma: what was measured of each battery, None = nothing.
    """

    def __init__(self):
        self.rows = []
        self.measured = bytearray(BATTERIES)
        self.r_mohm: list = [None] * BATTERIES
        self.zero_ma: list = [None] * BATTERIES
        self._gain_pct = [0] * BATTERIES
        self._step_ma = [0] * BATTERIES

    def note(self, n: int, code: str, size: int, value: "int | str"):
        """Add a finding if its size reaches a level; the worst of each code is kept.

        Returns:
            int: the level, GO = none.
        """
        watch, bad = next(row[2:] for row in FINDINGS if row[0] == code)
        level = GO
        if watch is not None and size >= watch:
            level = WATCH
        if bad is not None and size >= bad:
            level = NO_GO
        for k, row in enumerate(self.rows):
            if row[:2] == (n, code) and code != "alarm":
                if level > row[2]:
                    self.rows[k] = (n, code, level, value)
                return level
        if level:
            self.rows.append((n, code, level, value))
        return level

    def tell(self, n: int, code: str, value: "int | str"):
        """Add what is only good to know."""
        self.rows.append((n, code, GO, value))

    def verdict(self, n: int):
        """The level of battery n, 1..16, or of what concerns the rig, 0 (its boards, too)."""
        worst = GO
        if n and self.measured[n - 1] & NEEDED != NEEDED:
            worst = UNMEASURED
        for found, code, level, _ in self.rows:
            if found == n and code != "cable" or not n and code == "cable":
                worst = max(worst, level)
        return worst

    # Steps of the test

    def opened(self, i: int, before: Window, after: Window):
        """Battery i was told to open between two windows: is it open, and it alone?

        Returns:
            bool: False when it is not.
        """
        moved_ma = before.ma[i] - after.ma[i]
        fell_ma = moved_ma if before.ma[i] > 0 else -moved_ma
        if abs(before.ma[i]) >= LEAST_MA and fell_ma < abs(before.ma[i]) // 2:
            for k in range(BATTERIES):
                fell = abs(before.ma[k]) >= LEAST_MA and abs(after.ma[k]) < abs(before.ma[k]) // 4
                if k != i and fell:
                    self.note(i + 1, "other_current", 1, k + 1)
                    return False
            self.note(i + 1, "not_off", 1, after.ma[i])
            return False
        self.zero_ma[i] = after.ma[i]
        self.note(i + 1, "zero", abs(after.ma[i]), after.ma[i])
        if abs(moved_ma) >= LEAST_MA:
            self.measured[i] |= CURRENT | OPENING
            self._weigh(i, moved_ma, before, after)
        return True

    def _weigh(self, i: int, moved_ma: int, before: Window, after: Window):
        """Resistance of battery i, and whether the others took up what it gave."""
        rise_mv = after.mv[i] - before.mv[i]
        if (
            abs(rise_mv) >= _DROP_MV
            and abs(moved_ma) > self._step_ma[i]
            and rise_mv * moved_ma > 0
        ):
            self._step_ma[i] = abs(moved_ma)
            self.measured[i] |= RESISTANCE
            self.r_mohm[i] = round(rise_mv * 1000 / moved_ma)
        taken_ma = sum(after.ma) - sum(before.ma) + moved_ma
        if abs(taken_ma) < _STEP_MA // 2 or not (before.is_steady() and after.is_steady()):
            return
        if taken_ma * moved_ma < 0:
            self.note(i + 1, "reversed", 1, "")
        elif abs(taken_ma) >= _STEP_MA:
            self._gain_pct[i] = round(moved_ma * 100 / taken_ma) - 100

    def closed(self, i: int, on: int, before: Window, after: Window):
        """Battery i was told to close between two windows: does it carry, and it alone?

        Args:
            on: mask of the others that are closed.

        Returns:
            bool: False when it does not carry although it should.
        """
        if abs(after.ma[i] - before.ma[i]) >= LEAST_MA:
            self.measured[i] |= CURRENT
            return True
        others = [k for k in range(BATTERIES) if on >> k & 1]
        for k in range(BATTERIES):
            if k != i and k not in others and abs(after.ma[k] - before.ma[k]) >= LEAST_MA:
                self.note(i + 1, "other_current", 1, k + 1)
                return False
        # It should have its share of the load, or what its voltage drives into the others; unless
        # its voltage is theirs, so that nothing flows.
        due_ma = sum(abs(after.ma[k]) for k in others) // (len(others) + 1)
        apart_mv = before.mv[i] - sum(before.mv[k] for k in others) // len(others)
        due_ma = max(due_ma, abs(apart_mv) * _MA_PER_MV)
        apart_mv = after.mv[i] - sum(after.mv[k] for k in others) // len(others)
        lacks = due_ma >= 4 * LEAST_MA and abs(apart_mv) >= _APART_MV
        return not self.note(i + 1, "no_current", lacks, "")

    def shared(self, on: int, window: Window, path_mohm: int):
        """All of the mask `on` hang on one output: which has its own voltage, no current, or one
        of the other direction?"""
        places = [i for i in range(BATTERIES) if on >> i & 1]
        output = [window.mv[i] - window.ma[i] * path_mohm // 1000 for i in places]
        if len(places) < 3:
            return
        share_ma = abs(sum(window.ma[i] for i in places)) // len(places)
        for i, mv in zip(places, output):
            apart_mv = mv - median(output)
            idle = abs(window.ma[i]) < _IDLE_MA and abs(apart_mv) >= _APART_MV
            self.note(i + 1, "no_current", idle and share_ma >= 4 * _IDLE_MA, "")
            usual_ma = median([window.ma[k] for k in places])
            against = window.ma[i] * usual_ma < 0 and abs(window.ma[i]) >= abs(usual_ma) // 2
            self.note(i + 1, "reversed", against and abs(usual_ma) >= _STEP_MA // 2, "")
            self.note(i + 1, "voltage", abs(apart_mv), apart_mv)

    # Against the others, and against before

    def comparing(self, earlier: "list[tuple]", due_mohm: int):
        """Set the resistances against each other, and resistances and zeros against the tests
        before: a generator with short steps.

        Args:
            earlier: list of (resistances, zeros); due_mohm: what a battery has by the settings.
        """
        self._judge_gains()
        growth = {}
        for i, r_mohm in enumerate(self.r_mohm):
            own = [row[0][i] for row in earlier if row[0][i] is not None]
            if r_mohm is not None and own and median(own) > 0:
                growth[i] = r_mohm / median(own)
            yield
            zeros = [row[1][i] for row in earlier if row[1][i] is not None]
            if self.zero_ma[i] is not None and zeros:
                drift_ma = self.zero_ma[i] - median(zeros)
                self.note(i + 1, "zero_drift", abs(drift_ma), drift_ma)
        for i, r_mohm in enumerate(self.r_mohm):
            yield
            others = [r for k, r in enumerate(self.r_mohm) if k != i and r is not None]
            if r_mohm is None:
                continue
            # The settings only guess it.
            excess = (
                excess_pct(r_mohm, median(others)) if others else excess_pct(r_mohm, due_mohm) // 2
            )
            self.note(i + 1, "resistance_high", excess, r_mohm)
            if i in growth:
                # A cold night makes all of them grow.
                cold = [growth[k] for k in growth if k != i]
                before = r_mohm / growth[i] * (max(median(cold), 1) if len(cold) > 1 else 1)
                self.note(i + 1, "resistance_grown", excess_pct(r_mohm, before), r_mohm)

    def _judge_gains(self):
        # Where one sensor shows too little, those that it was compared with seem to show too much.
        if any(row[1] == "reversed" for row in self.rows):
            return
        worst = max(self._gain_pct, key=abs)
        for i, off_pct in enumerate(self._gain_pct):
            if off_pct * worst > 0:
                self.note(i + 1, "gain", abs(off_pct), off_pct)

    def heat(self, celsius: "list[int | None]"):
        """Temperatures of the sensors of all batteries, None = not known."""
        known = [c for c in celsius if c is not None]
        for i, c in enumerate(celsius):
            if c is not None:
                self.note(i + 1, "hot", c - median(known), c)

    def charge(self, charges: "list[tuple | None]"):
        """(charge, its error) of all batteries in per cent, None = not known."""
        known = [row for row in charges if row and row[1] <= _SURE_PCT]
        for i, row in enumerate(charges):
            if not row or row[1] > _SURE_PCT:
                continue
            self.measured[i] |= CHARGE
            self.note(i + 1, "charge_low", 100 - row[0], row[0])
            behind = median([pct for pct, _ in known]) - row[0] - 2 * row[1]
            self.note(i + 1, "charge_behind", behind, row[0])

    # Settings

    def fit(self, settings: "Values", has_cells: bool, rest_mv: "list[int | None]"):
        """Do the settings fit together, and the voltages at rest to them?

        Args:
            has_cells: True when chemistry and number of cells were entered.
            rest_mv: of all batteries, None = not known.
        """
        low_mv, high_mv = settings["limits.min_voltage_mv"], settings["limits.max_voltage_mv"]
        cells = settings["pack.cells"]
        least, most, stands = _CELLS.get(settings["pack.chemistry"], (0, 0, 0))
        if has_cells and stands:
            self.note(0, "limit_high", high_mv // cells > stands, high_mv)
            self.note(0, "limit_low", low_mv // cells < least, low_mv)
        for i, mv in enumerate(rest_mv):
            if mv is None:
                continue
            self.note(i + 1, "outside", not low_mv <= mv <= high_mv, mv)
            if has_cells and stands:
                self.note(i + 1, "cells", not least <= mv // cells <= most, mv)


def median(values: list):
    """The middle one of the sorted values, of which there is at least one."""
    return sorted(values)[len(values) // 2]


def excess_pct(r_mohm: float, due_mohm: float):
    """By how much one resistance is above another, in per cent of that."""
    return round((r_mohm - due_mohm) * 100 / max(due_mohm, _LEAST_MOHM))
