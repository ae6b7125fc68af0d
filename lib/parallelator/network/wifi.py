"""Keeps the station connected. Run by app; nothing else waits for the network."""

import asyncio

import network

_RETRY_MS = 15000
_POLL_MS = 1000


def name_server():
    """The IP address of the network's name server, "" without one."""
    address = network.WLAN(network.STA_IF).ifconfig()[3]
    return "" if address == "0.0.0.0" else address


async def keep_connected(ssid, password, hostname, emit):
    """Join the network `ssid` and rejoin it whenever it is lost, for ever.

    Args:
        emit: function (code, i, state, reason, value) that records `wifi_up` and `wifi_down`.
    """
    network.hostname(hostname)
    station = network.WLAN(network.STA_IF)
    station.active(True)
    up = False
    waited_ms = _RETRY_MS
    while True:
        if station.isconnected() != up:
            up = not up
            emit("wifi_up" if up else "wifi_down", -1, 0, 0, 0)
            waited_ms = _RETRY_MS
        if not up:
            if waited_ms >= _RETRY_MS:
                waited_ms = 0
                try:
                    station.disconnect()
                    station.connect(ssid, password)
                except OSError:
                    # The driver refuses while it is still busy: the next round tries again.
                    waited_ms = 0
            waited_ms += _POLL_MS
        await asyncio.sleep_ms(_POLL_MS)
