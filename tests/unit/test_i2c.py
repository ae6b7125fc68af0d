# SPDX-License-Identifier: GPL-3.0-only
"""I2C: bounded retries, time-outs that stop a tick, recovery."""

import errno

from parallelator.hardware.i2c import I2c


class Line:
    """An I2C unit that fails as told: a list of errno values, None = good."""

    def __init__(self, *outcomes):
        self.outcomes = list(outcomes)
        self.calls = 0

    def _next(self):
        self.calls += 1
        code = self.outcomes.pop(0) if self.outcomes else None
        if code:
            raise OSError(code)

    def readfrom_mem_into(self, address, register, buf):
        self._next()
        buf[0] = register

    def writeto(self, address, data):
        self._next()


def i2c_on(line, released=True):
    return I2c(lambda: line, lambda: released)


def test_one_nack_is_retried_and_counted():
    line = Line(errno.ENODEV)
    i2c = i2c_on(line)
    assert i2c.read(0x40, 5, bytearray(2))
    assert (line.calls, i2c.errors, i2c.transactions) == (2, 1, 1)


def test_two_nacks_fail_without_a_third_try():
    for call in (lambda i2c: i2c.read(0x40, 5, bytearray(2)), lambda i2c: i2c.write8(0x20, 2, 0)):
        line = Line(errno.ENODEV, errno.ENODEV)
        i2c = i2c_on(line)
        assert not call(i2c)
        assert line.calls == 2 and not i2c.stuck


def test_a_timeout_is_not_retried_and_two_in_a_tick_stop_the_bus():
    line = Line(errno.ETIMEDOUT, errno.ETIMEDOUT)
    i2c = i2c_on(line)
    i2c.begin()
    assert not i2c.read(0x40, 5, bytearray(2)) and line.calls == 1 and not i2c.stuck
    assert not i2c.write16(0x40, 5, 0) and line.calls == 2 and i2c.stuck
    assert not i2c.read(0x40, 5, bytearray(2)) and line.calls == 2


def test_timeouts_of_different_ticks_do_not_add_up():
    i2c = i2c_on(Line(errno.ETIMEDOUT, errno.ETIMEDOUT))
    for _ in range(2):
        i2c.begin()
        assert not i2c.read(0x40, 5, bytearray(2))
    assert not i2c.stuck


def test_recovery_builds_the_unit_anew_and_a_line_still_low_stays_stuck():
    line = Line(errno.ETIMEDOUT, errno.ETIMEDOUT)
    made = []
    i2c = I2c(lambda: made.append(1) or line, lambda: True)
    i2c.begin()
    i2c.read(0x40, 0, bytearray(1))
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
