# SPDX-License-Identifier: GPL-3.0-only
"""The network side of a rig, put together: radio, names, time. Built by app, asked by web."""

import asyncio
import sys

from micropython import const

from . import captive, dns, sntp, wifi

_RETRY_MS = const(60000)


class Network:
    """Radio, host names and time of one rig.

    Args:
        settings, store, emit, tell: as of `wifi.Wifi`; snap: the `Snapshot`; clock: the `Clock`.
        take: function (unix_s) that sets the clock.
        run_after_guard, within: as of `scheduler.Scheduler`.

    Attributes:
        wifi: the `Wifi`; sntp: the `Sntp`.
    """

    def __init__(
        self,
        settings: "Values",
        store: "Storage",
        snap: "Snapshot",
        clock: "Clock",
        emit: "Emit",
        tell: "Callable[[str, str], object]",
        take: "Callable[[int], object]",
        run_after_guard: "Callable[[Coroutine], Coroutine]",
        within: "Callable[[int, Coroutine], Coroutine]",
    ):
        self._emit = emit
        self._run_after_guard = run_after_guard
        self._captive = None
        self._hostname = settings["wifi.hostname"]
        self.wifi = wifi.Wifi(settings, store, self._event, tell)
        self._resolver = dns.Resolver(snap, self.wifi.name_server, within)
        self.sntp = sntp.Sntp(clock, settings, self.resolve, take, within)

    def power_up(self):
        """Start the radio now, see `Wifi.power_up`; if that fails, `jobs` try again."""
        try:
            self.wifi.power_up()
        except OSError as error:
            sys.print_exception(error)

    def jobs(self):
        """What shall run for ever: (name, async function) each."""
        return (
            ("wifi", self.wifi.run),
            ("captive", self._serve_captive),
            ("time", self.sntp.run),
        )

    async def resolve(self, name: str):
        """The IPv4 address "a.b.c.d" of a host; OSError as of `dns.Resolver.resolve`."""
        return await self._resolver.resolve(name)

    def hostname(self):
        """What the rig is called in its network, without `.local`.

        MicroPython's own responder answers for this name: ports/esp32/network_wlan.c starts it
        with the name of `network.hostname` when the station gets its first address.
        """
        return self._hostname

    async def _serve_captive(self):
        """Answer DNS queries on the access point; begin again whenever it opens or closes."""
        while True:
            answering = captive.answer_names(self.wifi.ap_ip)
            self._captive = asyncio.create_task(self._run_after_guard(answering))
            try:
                await self._captive
            except asyncio.CancelledError:
                continue
            except OSError:
                await asyncio.sleep_ms(_RETRY_MS)

    def _event(self, code: str, i: int, state: int, reason: int, value: int):
        self._emit(code, i, state, reason, value)
        if code == "wifi_up":
            self.sntp.wake()
        if self._captive and (code == "wifi_ap" or code == "wifi_ap_off"):
            self._captive.cancel()
