"""The network side of a rig, put together: radio, names, time. Built by app, asked by web."""

import asyncio
import sys

from micropython import const

from . import captive, dns, mdns, sntp, wifi

_RETRY_MS = const(60000)
_MOVES = ("wifi_up", "wifi_down", "wifi_ap", "wifi_ap_off")
"""Events after which the rig's addresses are others."""


class Network:
    """Everything of the network but what is said over it.

    Args:
        settings, store, emit, tell: as of `wifi.Wifi`; snap: the `Snapshot`; clock: the `Clock`.
        take: function (unix_s) that sets the clock.
        run_after_guard: `scheduler.Scheduler.run_after_guard`.

    Attributes:
        wifi: the `Wifi`; sntp: the `Sntp`.
    """

    def __init__(self, settings, store, snap, clock, emit, tell, take, run_after_guard):
        self._emit = emit
        self._run_after_guard = run_after_guard
        self._followers = []
        self.wifi = wifi.Wifi(settings, store, self._event, tell)
        self._mdns = mdns.Mdns(settings["wifi.hostname"], emit)
        self._resolver = dns.Resolver(snap, self.wifi.name_server)
        self.sntp = sntp.Sntp(clock, settings, self.resolve, take)

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
            ("mdns", lambda: self._follow(self.wifi.addresses, self._mdns.serve)),
            ("captive", lambda: self._follow(lambda: self.wifi.ap_ip, captive.answer_names)),
            ("time", self.sntp.run),
        )

    async def resolve(self, name):
        """The IPv4 address "a.b.c.d" of a host; OSError as of `dns.Resolver.resolve`."""
        return await self._resolver.resolve(name)

    def hostname(self):
        """What the rig is called in its network, without `.local`."""
        return self._mdns.name

    async def _follow(self, addresses, serve):
        """Run `serve(addresses())`, and anew whenever the rig's addresses have changed."""
        while True:
            task = asyncio.create_task(self._run_after_guard(serve(addresses())))
            self._followers.append(task)
            try:
                await task
            except asyncio.CancelledError:
                continue
            except OSError:
                await asyncio.sleep_ms(_RETRY_MS)
            finally:
                self._followers.remove(task)

    def _event(self, code, i, state, reason, value):
        self._emit(code, i, state, reason, value)
        if code == "wifi_up":
            self.sntp.wake()
        if code in _MOVES:
            for task in self._followers:
                task.cancel()
