# SPDX-License-Identifier: GPL-3.0-only
"""The ESP32: pins, I2C, watchdog, reset. The only module that imports `machine`."""

import sys
from binascii import hexlify
from errno import EIO

import esp32
import machine
from micropython import const

from parallelator.hardware.sdcard import SpiCard

_I2C_TIMEOUT_US = const(30000)
"""The newer driver counts ticks of 10 ms and rounds down: one tick may be over at once."""
_NEW_DRIVER = (1, 29)
"""The first MicroPython whose images are built with the newer driver of I2C (ESP-IDF 5.5)."""
_HALF_CLOCK_US = const(5)
_BUTTON = const(0)
_RETURN_TIMER = const(0)
_SD_UNIT = const(2)
_SD_BAUD = const(5000000)  # a fifth of what every card supports: wires to a socket are long


class Wiring:
    """How the battery channels c = 0..3 of a board are wired to its expander.

    Attributes:
        switch: port 0 bit of each channel's switch; alert: port 0 bit of its ALERT line.
        red, green: port 1 bit of each channel's LEDs.
        leds_inverted: True when an LED lights on a low output.
    """

    def __init__(self, switch: tuple, alert: tuple, red: tuple, green: tuple, leds_inverted: bool):
        self.switch = switch
        self.alert = alert
        self.red = red
        self.green = green
        self.leds_inverted = leds_inverted


def wiring(settings: "Values"):
    """The `Wiring` of a preset with what the settings change of it.

    `kxkm-v2` is the PCB netlist of the board; v1 has inverted LEDs; `straight` is an older wiring
    where switch bit = channel.

    Args:
        settings: mapping with the keys `board` and `board.*` of `settings.TABLE`.
    """
    preset = settings["board"]
    wires = Wiring(
        (0, 1, 2, 3) if preset == "straight" else (3, 2, 1, 0),
        (7, 6, 5, 4),
        (0, 2, 4, 6),
        (1, 3, 5, 7),
        preset == "kxkm-v1",
    )
    for part in ("switch", "alert", "red", "green", "leds_inverted"):
        if settings["board." + part] is not None:
            setattr(wires, part, settings["board." + part])
    return wires


def connect_card(settings: "Values", clock: "Clock", idle: "Callable[[], object]"):
    """The SD card, initialised: a new `sdcard.SpiCard`.

    Args:
        settings: mapping with the keys `pins.sd_*` of `settings.TABLE`.
        clock, idle: as of `SpiCard`.

    Raises:
        OSError: as `SpiCard` does.
    """
    lines = [machine.Pin(settings["pins.sd_" + name]) for name in ("sck", "mosi", "miso", "cs")]
    sck, mosi, miso, cs = lines
    spi = machine.SPI(_SD_UNIT, baudrate=_SD_BAUD, sck=sck, mosi=mosi, miso=miso)
    return SpiCard(spi, cs, _SD_BAUD, clock, idle)


def button_held():
    """True while BOOT is pressed: the button of every ESP32 module, between GPIO 0 and ground."""
    return not machine.Pin(_BUTTON, machine.Pin.IN, machine.Pin.PULL_UP).value()


class NoStorage:
    """Stands for a storage that cannot be opened: whatever is asked of it fails."""

    def __getattr__(self, name: str):
        raise OSError(EIO)


class Controller:
    """The ESP32 of one rig.

    Args:
        clock: a `clock.Clock`.
        sda, scl: GPIO numbers of I2C.

    Raises:
        ValueError: it has no such pins, or both are the same.
    """

    def __init__(self, clock: "Clock", sda: int, scl: int):
        self._clock = clock
        if sda == scl:
            raise ValueError("I2C: SDA and SCL on the same pin")
        self._sda = machine.Pin(sda)
        self._scl = machine.Pin(scl)

    def connect_i2c(self, khz: int):
        """A fresh `machine.I2C` on its pins, with a clock of `khz`.

        Raises:
            ValueError: the pins cannot drive a line. The driver itself would restart the
                controller.
        """
        self._take_lines()
        return machine.I2C(
            0,
            sda=self._sda,
            scl=self._scl,
            freq=khz * 1000,
            timeout=_I2C_TIMEOUT_US,
        )

    def release_i2c(self):
        """Clock SCL up to nine times until SDA is high, then STOP; True when both are high.

        Allocates nothing.
        """
        pause = self._clock.sleep_us
        sda, scl = self._sda, self._scl
        self._take_lines()
        for _ in range(9):
            if sda.value():
                break
            scl.value(0)
            pause(_HALF_CLOCK_US)
            scl.value(1)
            pause(_HALF_CLOCK_US)
        sda.value(0)
        pause(_HALF_CLOCK_US)
        sda.value(1)
        pause(_HALF_CLOCK_US)
        return self.i2c_idle()

    def i2c_idle(self):
        """True while both lines of I2C are high, as they are between two transactions."""
        return bool(self._sda.value() and self._scl.value())

    def _take_lines(self):
        self._sda.init(machine.Pin.OPEN_DRAIN, value=1)
        self._scl.init(machine.Pin.OPEN_DRAIN, value=1)

    def watchdog(self, timeout_ms: int):
        """Start the hardware watchdog or give it another time; it cannot be stopped. Returns it.

        The ESP32 has one, which main.py starts: another object is the same, set up anew
        (ports/esp32/machine_wdt.c). It takes over from the timer with which boot.py returns.
        """
        watchdog = machine.WDT(timeout=timeout_ms)
        machine.Timer(_RETURN_TIMER).deinit()
        return watchdog

    def storage(self):
        """The non-volatile storage of the application, an `esp32.NVS` or a `NoStorage`."""
        try:
            return esp32.NVS("parallelator")
        except OSError:
            return NoStorage()

    def rtc_memory(self):
        """What RTC memory holds, up to 2048 bytes, and a function that puts other bytes there.

        It survives every reset but those by power and by the EN button. Up to MicroPython 1.28
        only its `memory` reaches it: that returns what was written last, nothing after power
        came on, and a write begins at the first byte (ports/esp32/machine_rtc.c). From 1.29 on
        `mem_backup` shows all of it, at random after power came on.
        """
        backup = getattr(machine, "mem_backup", None)
        if backup is None:
            memory = machine.RTC().memory
            return memory(), memory
        content = backup()

        def write(block: "bytes | bytearray"):
            content[: len(block)] = block

        return content, write

    def number(self):
        """The controller's own number: its MAC address as twelve hexadecimal digits."""
        return hexlify(machine.unique_id()).decode()

    def facts(self):
        """Its clock in MHz, and which of ESP-IDF's two drivers of I2C it has: a dict."""
        new = sys.implementation.version[:2] >= _NEW_DRIVER
        return {
            "mhz": machine.freq() // 1000000,
            "i2c_driver": "i2c_master" if new else "legacy",
        }

    def reset_cause(self):
        """What restarted the controller: a number, the constants `*_RESET` of `machine`."""
        return machine.reset_cause()
