"""The bus: bounded retries, time-outs that stop a tick, recovery."""

import errno

from parallelator.hardware.bus import Bus


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


def bus_on(line, released=True):
    return Bus(lambda: line, lambda: released)


def test_one_nack_is_retried_and_counted():
    line = Line(errno.ENODEV)
    bus = bus_on(line)
    assert bus.read(0x40, 5, bytearray(2))
    assert (line.calls, bus.errors, bus.transactions) == (2, 1, 1)


def test_two_nacks_fail_without_a_third_try():
    for call in (lambda bus: bus.read(0x40, 5, bytearray(2)), lambda bus: bus.write8(0x20, 2, 0)):
        line = Line(errno.ENODEV, errno.ENODEV)
        bus = bus_on(line)
        assert not call(bus)
        assert line.calls == 2 and not bus.stuck


def test_a_timeout_is_not_retried_and_two_in_a_tick_stop_the_bus():
    line = Line(errno.ETIMEDOUT, errno.ETIMEDOUT)
    bus = bus_on(line)
    bus.begin()
    assert not bus.read(0x40, 5, bytearray(2)) and line.calls == 1 and not bus.stuck
    assert not bus.write16(0x40, 5, 0) and line.calls == 2 and bus.stuck
    assert not bus.read(0x40, 5, bytearray(2)) and line.calls == 2


def test_timeouts_of_different_ticks_do_not_add_up():
    bus = bus_on(Line(errno.ETIMEDOUT, errno.ETIMEDOUT))
    for _ in range(2):
        bus.begin()
        assert not bus.read(0x40, 5, bytearray(2))
    assert not bus.stuck


def test_recovery_builds_the_unit_anew_and_a_line_still_low_stays_stuck():
    line = Line(errno.ETIMEDOUT, errno.ETIMEDOUT)
    made = []
    bus = Bus(lambda: made.append(1) or line, lambda: True)
    bus.begin()
    bus.read(0x40, 0, bytearray(1))
    bus.read(0x40, 0, bytearray(1))
    assert bus.recover() and not bus.stuck and len(made) == 2
    assert bus.read(0x40, 7, bytearray(1))
    held = bus_on(Line(), released=False)
    assert not held.recover() and held.stuck


def test_bytes_on_the_wire():
    sent = []

    class Tap(Line):
        def writeto(self, address, data):
            sent.append((address, bytes(data)))

    bus = bus_on(Tap())
    bus.write8(0x20, 2, 0x0F)
    bus.write16(0x41, 0x0C, 0xE890)
    assert sent == [(0x20, b"\x02\x0f"), (0x41, b"\x0c\xe8\x90")]
