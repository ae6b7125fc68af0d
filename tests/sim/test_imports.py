# SPDX-License-Identifier: GPL-3.0-only
"""What is imported, and when: the switches come first, then Wi-Fi, then what takes memory."""

import builtins

from support import clean, play

HEAVY = ("parallelator.records.datalog", "microdot")
OFF = (
    "umqtt.simple",
    "parallelator.network.mqtt",
    "parallelator.network.discovery",
    "parallelator.hardware.ina_others",
    "parallelator.protection.pace",
    "bundle",
    "update",
)
"""Modules of MQTT, which has no broker here, of updates, of sensors but the INA237, and of an I2C
clock that is found: there are none."""


def imported(**settings):
    """Names in the order in which they were imported first, with `SAFE` where the switches were
    made safe, `GUARD` where the guard started and `WIFI` where the station was switched on."""
    seen = []

    def note(name):
        if name not in seen:
            seen.append(name)

    def spied(name, *args):
        found = real(name, *args)
        note(name)
        return found

    def listen():
        import machine
        import network

        from parallelator.protection.guard import Guard

        # Imported here to be observed; the firmware imports them itself as well.
        start, active, write = Guard.start, network.WLAN.active, machine.Unit.writeto

        def watched_start(guard):
            note("GUARD")
            start(guard)

        def watched_active(station, *on):
            note("WIFI")
            return active(station, *on)

        def watched_write(i2c, address, data):
            note("SAFE")
            return write(i2c, address, data)

        Guard.start = watched_start
        network.WLAN.active = watched_active
        machine.Unit.writeto = watched_write
        seen.clear()

    real = builtins.__import__
    builtins.__import__ = spied
    try:
        clean(play(sabotage=listen, duration_s=8, batteries=4, settings=settings))
    finally:
        builtins.__import__ = real
    return seen


def test_switches_then_wifi_then_the_rest():
    seen = imported(wifi={"ssid": "rig", "password": "password"})
    order = [seen.index(name) for name in ("parallelator", "GUARD", "SAFE", "WIFI") + HEAVY]
    assert order == sorted(order), seen


def test_what_is_off_is_not_imported():
    seen = imported()
    assert [name for name in OFF if name in seen] == [], seen
    assert [name for name in HEAVY if name not in seen] == [], seen
