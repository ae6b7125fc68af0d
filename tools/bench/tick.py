# SPDX-License-Identifier: GPL-3.0-only
"""Python share of a steady guard tick: host time, and what it stands for on an ESP32.

    MICROPYPATH=tools/sim/standins:lib:tools:build/mpy-lib:.frozen micropython tools/bench/tick.py

I2C answers at once with good readings, so that only the guard's own Python is timed. What one
call costs (its wrapper in hardware/i2c.py) is taken off, because the cost model counts it per
call.
"""

import utime as time

from parallelator import settings
from parallelator.clock import Clock
from parallelator.hardware.controller import wiring
from parallelator.hardware.i2c import I2c
from parallelator.hardware.tca9555 import Tca9555
from parallelator.protection import guard, rules
from parallelator.protection.switches import Switches
from parallelator.records.sample_ring import SampleRing
from parallelator.snapshot import BOARDS, Snapshot

ESP32_RATIO = 90
BATCHES = 50
BATCH = 400


class QuickI2C:
    """Answers like a healthy rig at 26 V and 4 A, without simulating anything."""

    def __init__(self):
        self.values = {
            0x3E: 0x5449,
            0x3F: 0x2370,
            0x04: 1600,
            0x05: 8320,
            0x06: 0x1900,
            0x0B: 0xA002,
        }
        self.values.given.update({0x01: 0xF6C1, 0x0C: 6000, 0x0D: 0xE890})
        self.latch = {}

    def readfrom_mem_into(self, address, register, buf):
        if address < 0x40:
            buf[0] = 0xF0 if register != 0x02 else self.latch.get(address, 0)
        else:
            value = self.values[register]
            buf[0] = value >> 8
            buf[1] = value & 0xFF

    def writeto(self, address, data):
        if address < 0x40 and data[0] == 0x02:
            self.latch[address] = data[1]


class QuickTime:
    """20 ms pass between two ticks."""

    def __init__(self):
        self.now = 0

    def ticks_ms(self):
        return self.now

    ticks_us = ticks_ms

    def ticks_diff(self, a, b):
        return a - b

    def ticks_add(self, a, b):
        return a + b

    def sleep_us(self, us):
        pass


def quickest(job):
    """Time of one call of `job` in us: the best of many batches, for the host is never quiet."""
    best = None
    for _ in range(BATCHES):
        start = time.ticks_us()
        for _ in range(BATCH):
            job()
        took = time.ticks_diff(time.ticks_us(), start)
        best = took if best is None else min(best, took)
    return best / BATCH


def main():
    values = settings.Values({})
    quick = QuickTime()
    i2c = QuickI2C()
    clock = Clock(quick)
    wire = I2c(lambda khz: i2c, lambda: True, lambda: True, clock)
    wires = wiring(values)
    switches = Switches([Tca9555(wire, 0x20 + b, 0xF0) for b in range(BOARDS)], wires)
    snap = Snapshot()
    rig = guard.Guard(
        clock,
        wire,
        snap,
        switches,
        rules.Limits(values),
        2000,
        lambda *args: None,
        SampleRing().sample,
    )
    rig.start()
    for _ in range(2000):
        quick.now += 20
        rig.tick()
    print("batteries on:", sum(1 for state in snap.state if state == 3))

    def one_tick():
        quick.now += 20
        rig.tick()

    word = bytearray(2)
    calls = wire.transactions
    tick_us = quickest(one_tick)
    calls = (wire.transactions - calls) / (BATCHES * BATCH)
    call_us = min(quickest(lambda: wire.read(0x40, 0x04, word)) for _ in range(3))
    tick_us = min(tick_us, quickest(one_tick), quickest(one_tick))
    own_us = tick_us - calls * call_us
    print("tick %.1f us with %.2f I2C calls of %.2f us" % (tick_us, calls, call_us))
    print("own Python %.1f us here, %d us on an ESP32" % (own_us, own_us * ESP32_RATIO))


main()
