# SPDX-License-Identifier: GPL-3.0-only
"""Prints every event on the serial console. A task of app."""

import asyncio

from micropython import const

_POLL_MS = const(100)


async def run(rig: "Rig"):
    """Print what happens, for ever; nothing while the setting `serial_messages` is off."""
    number = 0
    while True:
        event = rig.events.after(number)
        if event is None:
            await asyncio.sleep_ms(_POLL_MS)
            continue
        number = event[0] + 1
        if rig.settings["serial_messages"]:
            when = rig.clock.local(event[8]) or "%d s" % event[1]
            print("[%s] %s" % (when, rig.event_text(event)))
        await asyncio.sleep_ms(0)
