# SPDX-License-Identifier: GPL-3.0-only
"""I2C: bounded retries, faults judged by the time they take and by the lines, recovery."""

import errno

from parallelator.hardware.i2c import I2c

ERRORS = (errno.ENODEV, errno.ETIMEDOUT, 264, 5)
"""What a driver may say of any failure."""
NACK_US = 250
OVER_US = 30000


class Line:
    """An I2C unit that fails as told, its lines and its clock.

    Args:
        outcomes: of each call how long it takes to fail, in us; 0 = it is good.
        code: errno of every failure; idle: True while both lines are high.
    """

    def __init__(self, *outcomes, code=errno.ENODEV, idle=True):
        self.outcomes = list(outcomes)
        self.code = code
        self.idle = idle
        self.calls = 0
        self.now_us = 0

    def us(self):
        return self.now_us

    def diff(self, end, start):
        return end - start

    def _next(self):
        self.calls += 1
        took_us = self.outcomes.pop(0) if self.outcomes else 0
        self.now_us += took_us or 500
        if took_us:
            raise OSError(self.code)

    def readfrom_mem_into(self, address, register, buf):
        self._next()
        buf[0] = register

    def writeto(self, address, data):
        self._next()


def i2c_on(line, released=True):
    return I2c(lambda khz: line, lambda: released, lambda: line.idle, line)


def test_one_nack_is_retried_and_counted_whatever_its_number():
    for code in ERRORS:
        line = Line(NACK_US, code=code)
        i2c = i2c_on(line)
        i2c.begin()
        assert not i2c.answered
        assert i2c.read(0x40, 5, bytearray(2)) and i2c.answered
        assert (line.calls, i2c.errors, i2c.transactions, i2c.timeouts) == (2, 1, 1, 0)


def test_the_count_of_transactions_begins_anew_before_it_becomes_an_object():
    i2c = i2c_on(Line(NACK_US))
    i2c.transactions = 0x1FFFFFFF
    i2c.read(0x40, 5, bytearray(2))
    i2c.begin()
    assert i2c.transactions == 0


def test_two_nacks_fail_without_a_third_try():
    for code in ERRORS:
        for call in (
            lambda i2c: i2c.read(0x40, 5, bytearray(2)),
            lambda i2c: i2c.write8(32, 2, 0),
        ):
            line = Line(NACK_US, NACK_US, code=code)
            i2c = i2c_on(line)
            i2c.begin()
            assert not call(i2c) and not i2c.answered
            assert line.calls == 2 and not i2c.stuck


def test_a_call_that_ran_out_of_time_stops_the_bus_whatever_its_number():
    for code in ERRORS:
        line = Line(OVER_US, code=code)
        i2c = i2c_on(line)
        i2c.begin()
        assert not i2c.read(0x40, 5, bytearray(2)) and line.calls == 1 and i2c.stuck
        assert not i2c.write16(0x40, 5, 0) and line.calls == 1
        assert (i2c.timeouts, i2c.errors) == (1, 1)


def test_a_line_that_stays_low_stops_the_bus_at_once():
    line = Line(NACK_US, idle=False)
    i2c = i2c_on(line)
    assert not i2c.read(0x40, 5, bytearray(2)) and line.calls == 1 and i2c.stuck


def test_failed_calls_of_a_tick_take_30_ms_at_most():
    line = Line(*[2000] * 100)
    i2c = i2c_on(line)
    i2c.begin()
    for _ in range(50):
        i2c.read(0x40, 5, bytearray(2))
    assert line.now_us == 30000 and i2c.stuck
    assert i2c.recover() and not i2c.stuck


def test_what_failed_calls_take_in_different_ticks_does_not_add_up():
    i2c = i2c_on(Line(*[2000] * 100))
    for _ in range(40):
        i2c.begin()
        assert not i2c.read(0x40, 5, bytearray(2))
    assert not i2c.stuck


def test_recovery_builds_the_unit_anew_and_a_line_still_low_stays_stuck():
    line = Line(OVER_US)
    made = []
    i2c = I2c(lambda khz: made.append(1) or line, lambda: True, lambda: True, line)
    i2c.begin()
    i2c.read(0x40, 0, bytearray(1))
    assert i2c.recover() and not i2c.stuck and len(made) == 2
    assert i2c.read(0x40, 7, bytearray(1))
    held = i2c_on(Line(), released=False)
    assert not held.recover() and held.stuck


def test_bytes_on_the_wire():
    sent = []

    class Tap(Line):
        def writeto(self, address, data):
            sent.append((address, bytes(data)))

    i2c = i2c_on(Tap())
    i2c.write8(0x20, 2, 0x0F)
    i2c.write16(0x41, 0x0C, 0xE890)
    assert sent == [(0x20, b"\x02\x0f"), (0x41, b"\x0c\xe8\x90")]
