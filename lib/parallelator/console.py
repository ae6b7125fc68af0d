# SPDX-License-Identifier: GPL-3.0-only
"""Prints every event on the serial console, and how to reach a new rig. A task of app."""

import asyncio

from micropython import const

_POLL_MS = const(100)
_AGAIN_S = const(60)


async def run(rig: "Rig"):
    """Print what happens, for ever; nothing while the setting `serial_messages` is off.

    The password of its own Wi-Fi is said again each minute while a first password of the page may
    be set: whoever connects the console after the start has missed it.
    """
    number = told_s = 0
    while True:
        event = rig.events.after(number)
        if event is None:
            await asyncio.sleep_ms(_POLL_MS)
            if rig.snap.uptime_s - told_s >= _AGAIN_S:
                told_s = rig.snap.uptime_s
                if rig.setup_s() and not rig.settings["web.password"]:
                    rig.network.wifi.say()
            continue
        number = event[0] + 1
        if rig.settings["serial_messages"]:
            when = rig.clock.local(event[8]) or "%d s" % event[1]
            print("[%s] %s" % (when, rig.event_text(event)))
        await asyncio.sleep_ms(0)
