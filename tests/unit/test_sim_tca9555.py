# SPDX-License-Identifier: GPL-3.0-only
"""Tests the simulated port expander (tools/sim/chips/tca9555.py) against its data sheet."""

from sim.chips.tca9555 import Tca9555


class Bench:
    """An expander with its outside levels and a list of the `changed` calls."""

    def __init__(self):
        self.levels = 0xFFFF
        self.asked = []
        self.calls = []
        self.chip = Tca9555(0x20, self.external, self.changed)

    def external(self, now_us):
        self.asked.append(now_us)
        return self.levels

    def changed(self, chip, now_us):
        assert chip is self.chip
        self.calls.append(now_us)

    def read(self, reg, count=1, now_us=5):
        buf = bytearray(count)
        self.chip.read(reg, buf, now_us)
        return bytes(buf)

    def high(self):
        return [bit for bit in range(16) if self.chip.driven_high(bit)]


def test_power_on_state():
    bench = Bench()
    assert bench.chip.powered and bench.chip.address == 0x20
    assert bench.read(2, 2) == b"\xff\xff"
    assert bench.read(4, 2) == b"\x00\x00"
    assert bench.read(6, 2) == b"\xff\xff"
    assert bench.high() == [] and bench.calls == []


def test_latch_alone_drives_nothing_and_direction_alone_drives_all():
    bench = Bench()
    bench.chip.write(2, b"\x0f\x81", 1)
    assert bench.high() == []
    bench.chip.write(6, b"\xf0\x00", 2)
    assert bench.high() == [0, 1, 2, 3, 8, 15]
    fresh = Bench()
    fresh.chip.write(6, b"\xf0", 1)
    assert fresh.high() == [0, 1, 2, 3]


def test_pairs_alternate_on_write_and_read():
    bench = Bench()
    bench.chip.write(2, b"\x11\x22\x33", 1)
    assert bench.read(2, 2) == b"\x33\x22"
    bench.chip.write(3, b"\x44\x55", 1)
    assert bench.read(2, 2) == b"\x55\x44"
    assert bench.read(3, 3) == b"\x44\x55\x44"
    bench.chip.write(7, b"\x01\x02", 1)
    assert bench.read(6, 2) == b"\x02\x01"
    assert bench.read(4, 2) == b"\x00\x00"


def test_pointer_moves_within_its_pair():
    bench = Bench()
    bench.chip.write(2, b"\x11\x22", 1)
    bench.chip.write(6, b"", 1)
    assert bench.chip.pointer == 6
    bench.read(2)
    assert bench.chip.pointer == 3
    assert bench.read(bench.chip.pointer) == b"\x22"
    assert bench.chip.pointer == 2
    bench.read(2, 2)
    assert bench.chip.pointer == 2
    bench.chip.write(5, b"\x00", 1)
    assert bench.chip.pointer == 4


def test_inputs_outputs_and_polarity():
    bench = Bench()
    bench.levels = 0xA53C
    assert bench.read(0, 2, 77) == b"\x3c\xa5"
    assert set(bench.asked) == {77}
    bench.chip.write(2, b"\x05\xf0", 1)
    bench.chip.write(6, b"\xf0\x0f", 1)
    assert bench.read(0, 2) == b"\x35\xf5"
    bench.chip.write(4, b"\x81\xff", 1)
    assert bench.read(0, 2) == b"\xb4\x0a"
    assert bench.read(1) == b"\x0a"
    assert bench.read(2, 2) == b"\x05\xf0"


def test_input_registers_ignore_writes():
    bench = Bench()
    bench.levels = 0x1234
    bench.chip.write(0, b"\x00\x00", 1)
    assert bench.read(0, 2) == b"\x34\x12"
    assert bench.calls == []


def test_only_register_reads_ask_the_outside():
    bench = Bench()
    bench.read(2, 2)
    bench.read(6)
    assert bench.asked == []


def test_changed_after_output_and_direction_writes():
    bench = Bench()
    bench.chip.write(2, b"\x00", 11)
    bench.chip.write(3, b"\x00", 12)
    bench.chip.write(4, b"\xff", 13)
    bench.chip.write(6, b"\xf0", 14)
    bench.chip.write(7, b"\x00\x00", 15)
    bench.chip.write(2, b"", 16)
    assert bench.calls == [11, 12, 14, 15]


def test_brown_out():
    bench = Bench()
    bench.chip.write(2, b"\x0f\x00", 1)
    bench.chip.write(4, b"\xff\xff", 1)
    bench.chip.write(6, b"\xf0\x00", 1)
    bench.chip.powered = False
    bench.calls.clear()
    bench.chip.power_on(99)
    assert bench.chip.powered and bench.chip.pointer == 0 and bench.calls == [99]
    assert bench.high() == []
    assert bench.read(2, 2) + bench.read(4, 2) + bench.read(6, 2) == b"\xff\xff\0\0\xff\xff"


def test_a_pin_that_is_stuck_reads_as_it_stays_and_the_registers_as_written():
    bench = Bench()
    bench.chip.write(2, b"\x05\x00", 1)
    bench.chip.write(6, b"\xf0\x00", 1)
    bench.chip.stuck = {0: 0, 1: 1, 7: 0, 8: 1}
    assert bench.read(0, 2) == b"\x76\x01"
    assert bench.read(2, 2) == b"\x05\x00" and bench.read(6, 2) == b"\xf0\x00"
    bench.chip.write(4, b"\xff\xff", 1)
    assert bench.read(0, 2) == b"\x89\xfe"


def test_a_corrupt_register_holds_another_value_and_moves_the_pins():
    bench = Bench()
    bench.chip.write(2, b"\x00\x00", 1)
    bench.chip.write(6, b"\xf0\x00", 1)
    bench.calls.clear()
    bench.chip.corrupt(2, 0x03, 9)
    assert bench.read(2) == b"\x03" and bench.high() == [0, 1] and bench.calls == [9]
    bench.chip.corrupt(6, 0xFE, 10)
    assert bench.read(6) == b"\xfe" and bench.high() == [0]
