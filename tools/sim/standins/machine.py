"""Stand-in for the ESP32's `machine`: pins and I2C reach the simulated bus."""

from sim import current

PWRON_RESET = 1
HARD_RESET = 2
WDT_RESET = 3
DEEPSLEEP_RESET = 4
SOFT_RESET = 5


def reset():
    """Restart the controller: unwinds the firmware, chips and batteries go on."""
    current.world.reset_controller(HARD_RESET)


def reset_cause():
    return current.world.reset_cause


def unique_id():
    return current.world.unique_id


class Pin:
    """A GPIO; the two bus pins read and pull the simulated lines."""

    IN = 1
    OUT = 3
    OPEN_DRAIN = 7
    PULL_UP = 2

    def __init__(self, number, mode=-1, pull=-1, value=None):
        self.number = number
        if value is not None:
            self.value(value)

    def value(self, level=None):
        if level is None:
            return current.world.wires.line(self.number)
        current.world.wires.pull(self.number, level)


class I2C:
    """The hardware I2C of the ESP32, `timeout` in microseconds per transaction."""

    def __init__(self, unit, scl, sda, freq=400000, timeout=50000):
        current.world.wires.attach(scl.number, sda.number)
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


class WDT:
    """The watchdog: resets the controller when it is not fed in time; cannot be stopped."""

    def __init__(self, timeout):
        self._timeout_us = timeout * 1000
        self.feed()

    def feed(self):
        world = current.world
        world.watchdog_us = world.us() + self._timeout_us
