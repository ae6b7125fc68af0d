# SPDX-License-Identifier: GPL-3.0-only
"""First I2C action after any boot: every switch off, before anything else can fail.

The outputs of the expanders keep their state while the controller resets. This file needs nothing
but `machine`: not lib/, not a valid config.json. Then it chooses the application, and sees to it
that a controller that is left at the prompt goes back to work.
"""

import sys

import micropython
from machine import I2C, Pin, Timer, freq, reset

RETURN_MS = 600000
S3 = "ESP32S3" in sys.implementation._machine
PINS = (41, 40) if S3 else (32, 33)
FLASH_PINS = range(26, 33) if S3 else range(6, 12)
"""The controller's own flash memory is wired to these: driving one crashes it at once."""
CONFIG_CHARS = 16384
"""A longer file does not hold settings, and would take long to read."""


def full_speed():
    """240 MHz; the official images start with 160."""
    freq(240000000)


def configured_pins():
    """SDA and SCL as config.json has them, else the last good settings, else PINS."""
    import json

    for name in ("config.json", "config.good.json"):
        try:
            with open(name) as file:
                pins = json.loads(file.read(CONFIG_CHARS)).get("pins", {})
            pair = int(pins.get("i2c_sda", PINS[0])), int(pins.get("i2c_scl", PINS[1]))
        except Exception as error:
            print("boot: %s:" % name, error)
            continue
        if pair[0] not in FLASH_PINS and pair[1] not in FLASH_PINS and pair[0] != pair[1]:
            return pair
    return PINS


def free_and_open(sda: int, scl: int):
    """Free I2C, then write 0 to both latches of every expander that answers."""
    import time

    data = Pin(sda, Pin.OPEN_DRAIN, value=1)
    clock = Pin(scl, Pin.OPEN_DRAIN, value=1)
    for _ in range(9):
        if data.value():
            break
        clock.value(0)
        time.sleep_us(5)
        clock.value(1)
        time.sleep_us(5)
    data.value(0)
    time.sleep_us(5)
    data.value(1)
    time.sleep_us(5)
    i2c = I2C(0, sda=data, scl=clock, freq=100000, timeout=30000)
    for address in (0x20, 0x21, 0x22, 0x23):
        # A write that was disturbed may have closed a switch that it should open.
        for _ in range(3):
            try:
                i2c.writeto(address, b"\x02\x00\x00")
                if i2c.readfrom_mem(address, 0x02, 2) == b"\x00\x00":
                    break
            except OSError:
                continue


def open_switches():
    """Every switch off, on the configured pins; on the usual ones if there are no such pins."""
    pair = configured_pins()
    try:
        free_and_open(*pair)
    except Exception as error:
        print("boot: pins", pair, error)
        if pair != PINS:
            free_and_open(*PINS)


def choose_application():
    """Put the application that was installed last first on the module path; /lib if there is none.

    The file `app` begins with the name of its folder (main.py knows the rest); a folder is
    complete once its manifest is there.
    """
    import os

    try:
        with open("app") as file:
            chosen = file.read(5)
    except (OSError, ValueError):  # there is none, or it holds no text
        chosen = ""
    for folder in sorted(("app-a", "app-b"), key=lambda folder: folder != chosen):
        try:
            os.stat(folder + "/manifest.json")
        except OSError:
            continue
        sys.path.insert(0, folder)
        return


def return_to_work():
    """Restart after ten minutes; the application stops that when its watchdog takes over."""
    Timer(0).init(mode=Timer.ONE_SHOT, period=RETURN_MS, callback=lambda timer: reset())


# mpremote must not interrupt these steps with Ctrl-C.
micropython.kbd_intr(-1)
for step in (full_speed, open_switches, choose_application, return_to_work):
    try:
        step()
    except Exception as error:
        sys.print_exception(error)
micropython.kbd_intr(3)
