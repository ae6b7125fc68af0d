# SPDX-License-Identifier: GPL-3.0-only
"""The simulated I2C: two lines, the chips on them, wire time, and what can go wrong.

The stand-in `machine` calls it. A transaction takes its bits at the configured clock plus the
cost of the call; it acts when its STOP is over. Bits per transaction as in UM10204: START, STOP
and nine clocks a byte.
"""

from errno import ENODEV, ETIMEDOUT

import micropython

DRIVERS = {
    "legacy": (ENODEV, ETIMEDOUT, False),
    "i2c_master": (ENODEV, ENODEV, True),
    "idf6": (264, 264, True),
}
"""The ESP32's drivers: errno when no chip acknowledges, errno when the time is over, whether that
time counts ticks of FreeRTOS and pins that cannot be used restart the chip. The images up to
MicroPython 1.28; 1.29 with IDF 5.5.2 (i2c_master.c, machine_i2c.c); the same with IDF 6, which
gives ESP_ERR_INVALID_RESPONSE."""

_TCA_FIRST = 0x20
_TCA_LAST = 0x27
_ACK_BITS = 11
EVERYBODY = 0
"""The address that `upset` uses for I2C as a whole."""


class Wires:
    """The I2C of one rig.

    Args:
        world: the `World` whose time passes; driver: one of DRIVERS.

    Attributes:
        chips: address to chip model.
        sda_low: True while somebody holds SDA low; `clocks_left` SCL pulses free it.
        silent: address that does not acknowledge to the set of causes (injected).
        noise: probability (0..1) that a byte read is disturbed.
        corrupt: address to (factor, reads left): results are multiplied.
        aliases: address to (another address, probability 0..1): how often its chip takes a
            transaction for the other one's, since it samples its address pins in each anew. It
            then misses its own, and of the other's it takes what is written and pulls down what
            is read.
        faults: number of a transaction to what goes wrong in it: `nack`, `timeout` (the clock is
            stretched too long), `corrupt` (a byte of the data is inverted), `stuck` (a chip loses
            count and holds SDA until it is clocked on), `busy` (the driver's lock is taken, and
            nothing goes onto the wire). A write may have come through in part.
        strict: True for a driver that restarts the chip when its pins cannot be used.
        upset: address (or EVERYBODY) to the time in us of its last transaction that went wrong
            that way or was disturbed; the referee empties it.
    """

    def __init__(self, world, driver):
        self._world = world
        self._silence, self._timeout, self.strict = DRIVERS[driver]
        self._scl = self._sda = None
        self._scl_level = 1
        self.chips = {}
        self.silent = {}
        self.clocks_left = 0
        self.noise = 0.0
        self.corrupt = {}
        self.aliases = {}
        self.faults = {}
        self.upset = {}
        self._garbled = self._cut = False
        self._also = None
        self.transactions = self.bytes = self.wire_us = self.errors = self.recoveries = 0
        self.alert_us = 0
        self.scan_us = 0

    # Lines, as the pins see them

    def attach(self, scl, sda):
        """The controller's I2C unit takes over two pins."""
        self._scl = scl
        self._sda = sda

    def line(self, pin):
        """Level of a pin's line: SDA is low while a chip holds it."""
        return 0 if pin == self._sda and self.clocks_left else 1

    def pull(self, pin, level):
        """The controller drives an open-drain pin; a rising SCL clocks a stuck chip on."""
        if pin == self._scl:
            if level and not self._scl_level and self.clocks_left:
                self.clocks_left -= 1
                if not self.clocks_left:
                    self.recoveries += 1
            self._scl_level = level

    # Transactions

    def read(self, address, register, buf, bit_ns, timeout_us):
        """START, address, register, repeated START, address, data, STOP."""
        world = self._world
        locked = world.locked
        if locked:
            micropython.heap_unlock()
            world.locked = False
        count = len(buf)
        wire_us = (3 + 9 * (3 + count)) * bit_ns // 1000
        chip = self._begin(address, timeout_us, bit_ns, wire_us)
        costs = world.costs
        began_us = world.now_us
        self._spend(wire_us, count + 3, costs.read_us[count] + costs.guard_read_us[count])
        if _TCA_FIRST <= address <= _TCA_LAST:
            if not register:
                self.alert_us += world.now_us - began_us
        else:
            self.scan_us += world.now_us - began_us
        chip.read(register, buf, world.now_us)
        if self._also:
            other = bytearray(count)
            self._also.read(register, other, world.now_us)
            for k in range(count):
                buf[k] &= other[k]
        if self._garbled:
            buf[0] ^= 0xFF
        if self.corrupt or self.noise:
            self._disturb(address, buf)
        if locked:
            world.locked = True
            micropython.heap_lock()

    def write(self, address, data, bit_ns, timeout_us):
        """START, address, data, STOP; returns the acknowledged bytes."""
        world = self._world
        locked = world.locked
        if locked:
            micropython.heap_unlock()
            world.locked = False
        count = len(data)
        wire_us = (2 + 9 * (1 + count)) * bit_ns // 1000
        try:
            chip = self._begin(address, timeout_us, bit_ns, wire_us)
        except OSError:
            if self._cut:
                self._write_part(address, data)
            raise
        costs = world.costs
        self._spend(wire_us, count + 1, costs.write_us + costs.guard_write_us)
        payload = bytearray(data)[1:]
        if self._garbled and payload:
            payload[0] ^= 0xFF
        chip.write(data[0], payload, world.now_us)
        if self._also:
            self._also.write(data[0], payload, world.now_us)
        if locked:
            world.locked = True
            micropython.heap_lock()
        return count

    def _begin(self, address, timeout_us, bit_ns, wire_us):
        # An error leaves the heap unlocked: a tick with a fault is exempt, and counted.
        world = self._world
        self.transactions += 1
        kind = self.faults.pop(self.transactions, None) if self.faults else None
        self._garbled = kind == "corrupt"
        chip = self._listening(address)
        self._also = None
        if self.aliases:
            chip = self._mistaken(address, chip)
        self._cut = chip and not self.clocks_left and kind in ("nack", "timeout", "stuck")
        if kind == "stuck":
            self.clocks_left = 5
        if self.strict:
            # Ticks of FreeRTOS, of which the first is already under way.
            tick_us = world.costs.rtos_tick_us
            timeout_us = max(timeout_us // tick_us * tick_us - world.now_us % tick_us, 0)
        if self.clocks_left or kind == "timeout" or wire_us > timeout_us:
            self.upset[EVERYBODY] = world.now_us
            self.errors += 1
            world.spend(timeout_us)
            raise OSError(self._timeout)
        if kind:
            self.upset[address] = world.now_us
        if kind == "busy":
            self.errors += 1
            world.compute(world.costs.nack_us)
            raise OSError(ETIMEDOUT)
        if chip is None or kind == "nack":
            self.errors += 1
            self._spend(_ACK_BITS * bit_ns // 1000, 1, world.costs.nack_us)
            raise OSError(self._silence)
        return chip

    def _listening(self, address):
        chip = self.chips.get(address)
        return None if chip is None or not chip.powered or address in self.silent else chip

    def _mistaken(self, address, chip):
        """Who takes this transaction for his own; sets `_also` when there are two."""
        for own, (other, share) in self.aliases.items():
            if address in (own, other) and self._world.random() < share:
                if address == own:
                    chip = None
                elif chip is None:
                    chip = self._listening(own)
                else:
                    self._also = self._listening(own)
        return chip

    def _write_part(self, address, data):
        # The address was acknowledged, and so many of the bytes.
        taken = int(self._world.random() * (len(data) + 1))
        if taken:
            self.chips[address].write(data[0], bytearray(data)[1:taken], self._world.now_us)

    def _spend(self, wire_us, count, call_us):
        self.bytes += count
        self.wire_us += wire_us
        self._world.spend(wire_us)
        self._world.compute(call_us)

    def _disturb(self, address, buf):
        if address in self.corrupt:
            self.upset[address] = self._world.now_us
            factor, left = self.corrupt[address]
            if len(buf) == 2:
                value = min(int((buf[0] << 8 | buf[1]) * factor), 0xFFFF)
                buf[0] = value >> 8
                buf[1] = value & 0xFF
                if left > 1:
                    self.corrupt[address] = (factor, left - 1)
                else:
                    del self.corrupt[address]
        for k in range(len(buf)):
            if self._world.random() < self.noise:
                buf[k] ^= 1 << int(self._world.random() * 8)
                self.upset[address] = self._world.now_us
