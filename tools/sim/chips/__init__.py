# SPDX-License-Identifier: GPL-3.0-only
"""Register-level models of the chips on the rig's I2C, and what the INA2xx models share.

The simulated world makes one model per chip, hands it the I2C transactions, and calls
`Comparators.follow_all` after every plant step. The models follow the data sheets, never the
drivers of the firmware.
"""

from array import array

from micropython import const

from sim.plant import FOREVER

UNBOUNDED = float("inf")
RESTLESS = (UNBOUNDED, -UNBOUNDED, UNBOUNDED, -UNBOUNDED)
"""Bounds that nothing lies within: a chip that has to be followed at every step."""

BUS = 1
SHUNT = 2
TEMPERATURE = 4
"""The inputs that a cycle converts."""

_CONFIG = const(0x00)
_RST = const(0x8000)


class Sensor:
    """What every INA2xx has: registers, inputs, and a clock of conversions.

    Back-to-back cycles run from the moment the chip was configured. A cycle of `averages`
    conversions ends in a new result. Results are analytic: they are computed when they are read,
    as the plant's mean over the last complete cycle. The limits are compared over windows of one
    cycle (`slow`) or of one conversion.

    A subclass has the register tables `_WRITABLE` (register: value after reset, bits a write can
    change) and `_WIDE` (register: bytes, where they are not 2), the clips `_shunt_low`,
    `_shunt_high` and `_bus_high`, and these methods: `_start_clock(now_us)` sets the scales
    `_shunt_per_a` and `_bus_per_v` and starts the stopped clock as the registers say,
    `_value(reg, now_us)` returns what a read finds, `_compare(begin_us, end_us)` compares one
    window with the limits, and `bounds()` returns the lowest and highest current (A) and voltage
    (V) that leave every flag alone, or `RESTLESS`.

    Args:
        address: 7-bit I2C address, 0x40..0x4F.
        i: battery place 0..15 on the plant.
        plant: a `sim.plant.Plant`.
        shunt_uohm: shunt in micro-ohms.
        now_us: time of power-on.

    Attributes:
        powered: False while the chip does not answer (set by the world; see `power_on`).
        pointer: register addressed last.
        heat_c: die temperature in degrees C; a limit on it sees a change within 50 ms.
        watch: the `Comparators` this chip belongs to, or None.
        window_us: length of the windows that are compared.
    """

    ACCUMULATES = False
    """Whether the chip has `accumulate(now_us)`, to be called at every solution of the plant."""

    _WIDE = {}

    def __init__(self, address, i, plant, shunt_uohm, now_us):
        self.address = address
        self.i = i
        self.plant = plant
        self.shunt_uohm = shunt_uohm
        self.powered = True
        self.pointer = 0
        self.heat_c = 25.0
        self.watch = None
        self.window_us = 1
        self._wide = self._WIDE  # looked up on every read, and quicker in the instance
        self._frozen = False
        self._conversion = self._cycle = 1
        self._continuous = True
        self._compared = 0
        self._judged = -1
        self._ready_seen = 0
        self._reg = array("H", bytes(2 * (max(self._WRITABLE) + 1)))
        self._reset(now_us)

    def power_on(self, now_us):
        """Supply back after a brown-out: everything as after power-on, and answering again.

        A `freeze` outlives it.
        """
        self.powered = True
        self.pointer = 0
        self._reset(now_us)

    def freeze(self, on, now_us):
        """Conversions stop (true): results stay as they are, none gets ready; or start anew."""
        self._settle(now_us)
        self._stop(now_us)
        self._ready = False
        self._frozen = on
        self._start_clock(now_us)

    def write(self, reg, data, now_us):
        """An I2C write: reg is the pointer byte, data the bytes after it (none: pointer only).

        Two data bytes make a write; read-only and reserved registers ignore it. Writing the
        configuration of the converter starts the conversions anew.
        """
        self.pointer = reg
        if len(data) < 2 or reg not in self._WRITABLE:
            return
        value = data[0] << 8 | data[1]
        if reg == _CONFIG and value & _RST:
            self._reset(now_us)
            return
        fixed, mask = self._WRITABLE[reg]
        self._write(reg, value & mask | fixed & ~mask, now_us)

    def read(self, reg, buf, now_us):
        """An I2C read: fills buf from register reg, high byte first; 0xFF beyond its end.

        Reserved registers read 0.
        """
        self.pointer = reg
        value = self._value(reg, now_us)
        if len(buf) == 2 and reg not in self._wide:
            buf[0] = value >> 8 & 0xFF
            buf[1] = value & 0xFF
            return
        width = self._wide.get(reg, 2)
        for k in range(len(buf)):
            width -= 1
            buf[k] = value >> 8 * width & 0xFF if width >= 0 else 0xFF

    def _reset(self, now_us):
        if self.watch is not None:
            self.watch.disturb()
        for reg, (value, _) in self._WRITABLE.items():
            self._reg[reg] = value
        self._vshunt = self._vbus = 0
        self._flags = 0
        self._ready = False
        self._start = FOREVER
        self._start_clock(now_us)

    def _write(self, reg, value, now_us):
        self._settle(now_us)
        if reg == _CONFIG:
            self._stop(now_us)
            self._reg[reg] = value
            self._start_clock(now_us)
            if self._start != FOREVER:
                self._ready = False
        else:
            self._reg[reg] = value
            self._compare_from(now_us)

    def _settle(self, now_us):
        if self.watch is not None:
            self.watch.disturb()
        self.follow(now_us)

    def _hold(self, now_us):
        """Keeps the results of a clock about to stop."""
        self._vshunt = self._vshunt_at(now_us)
        self._vbus = self._vbus_at(now_us)

    def _vshunt_at(self, now_us):
        cycle = self._cycle
        if now_us < self._start + cycle:
            return self._vshunt
        end = self._start + self._count(now_us, cycle) * cycle
        return self._vshunt_over(end - cycle, end)

    def _vbus_at(self, now_us):
        cycle = self._cycle
        if now_us < self._start + cycle:
            return self._vbus
        end = self._start + self._count(now_us, cycle) * cycle
        return self._vbus_over(end - cycle, end)

    def _vshunt_over(self, begin_us, end_us):
        if not self._inputs & SHUNT:
            return self._vshunt
        low = self._shunt_low
        high = self._shunt_high
        # The converter is full at its last code, so that is what an average is made of.
        per_a = self._shunt_per_a
        code = round(self.plant.mean_current(self.i, begin_us, end_us, high / per_a) * per_a)
        return low if code < low else high if code > high else code

    def _vbus_over(self, begin_us, end_us):
        if not self._inputs & BUS:
            return self._vbus
        code = round(self.plant.mean_voltage(self.i, begin_us, end_us) * self._bus_per_v)
        high = self._bus_high
        return 0 if code < 0 else high if code > high else code

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
        self._accumulators = [chip for chip in chips if chip.ACCUMULATES]
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
        for chip in self._accumulators:
            chip.accumulate(now_us)
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
        plant = self._plant
        if plant.high_a > self._high_a or plant.low_a < self._low_a:
            return False
        if self._volts:
            sensed = plant.sensed_v
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


def clip(code, top):
    """The code within -top - 1..top, as two's complement has it."""
    return min(top, max(-top - 1, code))


def signed(word):
    """The value of a 16-bit register in two's complement."""
    return word - ((word & 0x8000) << 1)
