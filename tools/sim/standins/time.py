# SPDX-License-Identifier: GPL-3.0-only
"""Stand-in for MicroPython's `time`: the ESP32's tick period, and the simulator's clock."""

from utime import gmtime, localtime, mktime  # noqa: F401

from sim import current

_PERIOD = 1 << 30
_HALF = 1 << 29


def ticks_ms():
    return (current.world.us() // 1000) & (_PERIOD - 1)


def ticks_us():
    return current.world.us() & (_PERIOD - 1)


def ticks_cpu():
    return ticks_us()


def ticks_add(ticks, delta):
    return (ticks + delta) & (_PERIOD - 1)


def ticks_diff(end, start):
    return ((end - start + _HALF) & (_PERIOD - 1)) - _HALF


def sleep_us(us):
    current.world.sleep(us)


def sleep_ms(ms):
    current.world.sleep(ms * 1000)


def sleep(seconds):
    current.world.sleep(int(seconds * 1000000))


def time():
    return current.world.us() // 1000000


def time_ns():
    return current.world.us() * 1000
