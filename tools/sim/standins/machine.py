# SPDX-License-Identifier: GPL-3.0-only
"""Stand-in for the ESP32's `machine`: pins and I2C reach the simulated I2C, SPI the SD card."""

from sim import current
from sim.world import RTC_BYTES

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5

_CLOCKS_HZ = (20000000, 40000000, 80000000, 160000000, 240000000)
_INPUTS = 34  # from here on the ESP32 has inputs only, up to 39; not the S3
_BUTTON = 0
_SD_LINES = (18, 23, 19)
_SD_SELECT = 5
"""GPIOs that lead to the card: clock, to the card, from the card; chip select."""


def _drives(number):
    return current.world.controller == "s3" or number < _INPUTS


def reset():
    """Restart the controller: unwinds the firmware, chips and batteries go on."""
    current.world.reset_controller(HARD_RESET)


def reset_cause():
    return current.world.reset_cause


def freq(hz=None):
    """The clock in Hz, or change it; a reset brings it back to that of an official image."""
    if hz is None:
        return current.world.mhz * 1000000
    if hz not in _CLOCKS_HZ:
        raise ValueError("frequency must be 20MHz, 40MHz, 80Mhz, 160MHz or 240MHz")
    current.world.mhz = hz // 1000000


def unique_id():
    return current.world.unique_id


class Pin:
    """A GPIO; the two I2C pins read and pull the simulated lines, one selects the SD card."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_UP = 2

    def __init__(self, number, mode=-1, pull=-1, value=None):
        if number not in range(40 if current.world.controller != "s3" else 49):
            raise ValueError("invalid pin")
        self.number = number
        self.init(mode, pull, value)

    def init(self, mode=-1, pull=-1, value=None):
        if (mode == self.OUT or mode == self.OPEN_DRAIN) and not _drives(self.number):
            raise ValueError("pin can only be input")
        if value is not None:
            self.value(value)

    def __call__(self, level=None):
        return self.value(level)

    def value(self, level=None):
        world = current.world
        if level is None:
            if self.number == _BUTTON:
                return int(not world.button)
            return world.wires.line(self.number)
        if self.number == _SD_SELECT and world.card:
            world.card.select(level, world.now_us)
        world.wires.pull(self.number, level)


class Unit:
    """The hardware I2C of the ESP32, `timeout` in microseconds per transaction."""

    def set_up(self, scl, sda, freq, timeout):
        world = current.world
        usable = _drives(scl.number) and _drives(sda.number) and scl.number != sda.number
        if not usable and world.wires.strict:
            world.reset_controller(HARD_RESET)
        world.wires.attach(scl.number, sda.number)
        world.compute(world.costs.i2c_setup_us)
        self._bit_ns = 1000000000 // freq
        self._timeout_us = timeout

    def readfrom_mem_into(self, address, register, buf):
        current.world.wires.read(address, register, buf, self._bit_ns, self._timeout_us)

    def readfrom_mem(self, address, register, count):
        buf = bytearray(count)
        self.readfrom_mem_into(address, register, buf)
        return bytes(buf)

    def writeto(self, address, data):
        return current.world.wires.write(address, data, self._bit_ns, self._timeout_us)


_UNIT = Unit()


def I2C(unit, scl, sda, freq=400000, timeout=50000):
    """The one unit, set up anew: as on the ESP32, that takes no memory."""
    _UNIT.set_up(scl, sda, freq, timeout)
    return _UNIT


class SPI:
    """The hardware SPI of the ESP32 in mode 0: a call takes its bits and the cost of a call."""

    def __init__(self, unit, baudrate=1000000, sck=None, mosi=None, miso=None):
        self._wired = (sck.number, mosi.number, miso.number) == _SD_LINES
        self.init(baudrate)

    def init(self, baudrate=1000000, polarity=0, phase=0):
        self._byte_us = 8000000 / baudrate

    def write(self, data):
        self.write_readinto(data, None)

    def readinto(self, buf, write=0):
        self.write_readinto(bytes((write,)) * len(buf), buf)

    def write_readinto(self, data, buf):
        world = current.world
        begin_us = world.now_us
        world.spend(int(len(data) * self._byte_us))
        world.compute(world.costs.spi_us)
        if world.card and self._wired:
            world.card.exchange(bytes(data), buf, begin_us, self._byte_us)
        elif buf:
            buf[:] = b"\xff" * len(buf)


class RTC:
    """The one whose memory survives every reset but that by power."""

    def memory(self, data=None):
        world = current.world
        if data is None:
            return bytes(world.rtc[: world.rtc_length])
        if len(data) > RTC_BYTES:
            raise ValueError("buffer too long")
        world.rtc[: len(data)] = data
        world.rtc_length = len(data)


if current.world and current.world.driver != "legacy":
    # MicroPython 1.29, as its I2C driver tells.
    def mem_backup(region=0):
        return memoryview(current.world.rtc)


class Timer:
    """A hardware timer."""

    ONE_SHOT = 0
    PERIODIC = 1

    def __init__(self, number):
        self._number = number
        self.deinit()

    def init(self, mode, period, callback):
        world = current.world

        def again(timer):
            callback(timer)
            self.init(mode, period, callback)

        due_us = world.us() + period * 1000
        world.timers[self._number] = (due_us, again if mode == self.PERIODIC else callback)

    def deinit(self):
        current.world.timers.pop(self._number, None)


class WDT:
    """The watchdog: resets the controller when it is not fed in time; cannot be stopped."""

    def __init__(self, timeout):
        self._timeout_us = timeout * 1000
        self.feed()

    def feed(self):
        world = current.world
        world.watchdog_us = world.us() + self._timeout_us
