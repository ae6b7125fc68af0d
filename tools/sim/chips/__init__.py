"""Register-level models of the chips on the rig's bus, and what the INA2xx models share.

The simulated world makes one model per chip, hands it the bus transactions, and calls
`Comparators.follow_all` after every plant step. The models follow the data sheets, never the
drivers of the firmware.
"""

from sim.plant import FOREVER

UNBOUNDED = float("inf")
RESTLESS = (UNBOUNDED, -UNBOUNDED, UNBOUNDED, -UNBOUNDED)
"""Bounds that nothing lies within: a chip that has to be followed at every step."""


class Sensor:
    """Conversion clock of an INA2xx: back-to-back cycles from the moment it was configured.

    A cycle of `averages` conversions ends in a new result. Results are analytic: a subclass
    computes them when they are read, as the plant's mean over the last complete cycle. The limits
    are compared over windows of one cycle (`slow`) or of one conversion.

    A subclass has `_hold(now_us)`, which keeps the results of a clock about to stop,
    `_compare(begin_us, end_us)`, which compares one window with the limits, and `bounds()`: the
    lowest and highest current (A) and voltage (V) that leave every flag alone, or `RESTLESS`.

    Args:
        address: bus address. i: place on the plant, 0..15. shunt_uohm: shunt in micro-ohms.

    Attributes:
        powered: False while the chip does not answer (set by the world; see `power_on`).
        pointer: register addressed last.
        watch: the `Comparators` this chip belongs to, or None.
        window_us: length of the windows that are compared.
    """

    def __init__(self, address, i, plant, shunt_uohm):
        self.address = address
        self.i = i
        self.plant = plant
        self.shunt_uohm = shunt_uohm
        self.powered = True
        self.pointer = 0
        self.watch = None
        self.window_us = 1
        self._start = FOREVER
        self._conversion = self._cycle = 1
        self._continuous = True
        self._compared = 0
        self._judged = -1
        self._ready = False
        self._ready_seen = 0

    def _begin(self, start_us, conversion_us, averages, continuous):
        self._start = start_us
        self._conversion = conversion_us
        self._cycle = conversion_us * averages
        self._continuous = continuous
        self._ready_seen = 0

    def _set_window(self, slow, now_us):
        """Compares over cycles (true) or single conversions."""
        self.window_us = self._cycle if slow else self._conversion
        self._compare_from(now_us)

    def _compare_from(self, now_us):
        """Leaves the windows complete at now_us behind and compares all that end after it."""
        self._compared = self._count(now_us, self.window_us)
        self._judged = -1

    def _stop(self, now_us):
        self._ready = self._is_ready(now_us)
        self._hold(now_us)
        self._start = FOREVER

    def _count(self, now_us, length_us):
        """Stretches of length_us complete at now_us; a triggered clock makes one cycle of them."""
        if now_us < self._start:
            return 0
        count = (now_us - self._start) // length_us
        return count if self._continuous else min(count, self._cycle // length_us)

    def _is_ready(self, now_us):
        return self._ready or self._count(now_us, self._cycle) > self._ready_seen

    def _clear_ready(self, now_us):
        self._ready = False
        self._ready_seen = self._count(now_us, self._cycle)

    def calm(self):
        """True while `Comparators` vouch that `follow` would change nothing."""
        return self.watch is not None and self.watch.solution == self.plant.solutions

    def follow(self, now_us):
        """Compares every window completed since the last call; equal neighbours only once."""
        if self._judged != self.plant.solutions:
            self._follow(now_us)

    def _follow(self, now_us):
        window = self.window_us
        start = self._start
        done = self._count(now_us, window)
        k = self._compared
        if self.watch is not None:
            k = max(k, self._count(self.watch.calm_us, window))
        while k < done:
            begin = start + k * window
            self._compare(begin, begin + window)
            until = self.plant.constant_until(begin)
            if until == FOREVER:
                self._judged = self.plant.solutions
                k = done
            else:
                k = max(k + 1, (until - start) // window)
        self._compared = k
        if not self._continuous and self._count(now_us, self._cycle):
            self._stop(now_us)
            if self.watch is not None:
                self.watch.disturb()


class Comparators:
    """Follows the limits of all sensors with one look at the plant while nothing is near one.

    The sensors' inputs are held against the nearest limit of all chips. Within all of them, and
    two of the longest windows after the last excursion or register write, no flag can change: the
    chips are *calm* and are left alone.

    Args:
        chips: list of one or more `Sensor`s of the same plant.

    Attributes:
        solution: the solution of the plant for which all chips are known to be calm, or -1.
        calm_us: no window that ended at or before this time needs another look.
    """

    def __init__(self, chips, plant):
        self.solution = -1
        self.calm_us = 0
        self._chips = chips
        self._plant = plant
        self._settled_us = 0
        self._stale = True
        for chip in chips:
            chip.watch = self

    def disturb(self):
        """Before the limits or the clock of a chip change."""
        self.solution = -1
        self._stale = True

    def follow_all(self, now_us):
        """To be called after every plant step, with the time of that step."""
        plant = self._plant
        solution = plant.solutions
        if self.solution == solution:
            return
        if self._stale:
            self._gather(now_us)
        inside = self._inside()
        if not inside or self.solution < solution - 1:
            self.solution = -1
            for chip in self._chips:
                chip.follow(now_us)
            if not inside:
                self._settled_us = FOREVER
            elif self._settled_us == FOREVER:
                self._settled_us = now_us + self._longest_us
            if now_us < self._settled_us:
                return
        self.solution = solution
        self.calm_us = now_us

    def _inside(self):
        sensed = self._plant.sensed_a
        if max(sensed) > self._high_a or min(sensed) < self._low_a:
            return False
        if self._volts:
            sensed = self._plant.sensed_v
            for chip in self._chips:
                if not self._low_v <= sensed[chip.i] <= self._high_v:
                    return False
        return True

    def _gather(self, now_us):
        low_a, high_a, low_v, high_v = zip(*(chip.bounds() for chip in self._chips))
        self._low_a = max(low_a)
        self._high_a = min(high_a)
        self._low_v = max(low_v)
        self._high_v = min(high_v)
        self._volts = self._low_v > -UNBOUNDED or self._high_v < UNBOUNDED
        self._longest_us = 2 * max(chip.window_us for chip in self._chips)
        self._settled_us = now_us + self._longest_us
        self._stale = False
