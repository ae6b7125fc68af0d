# SPDX-License-Identifier: GPL-3.0-only
"""Stand-in for MicroPython's `network` on the ESP32: its station, its access point, its statuses.

What is on the air is the world's `air`, see sim/air.py. The radio's calls take their time.
"""

from errno import EPERM

from sim import current

STA_IF = 0
AP_IF = 1
AUTH_OPEN = 0
AUTH_WPA2_PSK = 3
STAT_BEACON_TIMEOUT = 200
STAT_NO_AP_FOUND = 201
STAT_WRONG_PASSWORD = 202
STAT_CONNECT_FAIL = 203
STAT_HANDSHAKE_TIMEOUT = 204
STAT_IDLE = 1000
STAT_CONNECTING = 1001
STAT_GOT_IP = 1010


def hostname(name=None):
    """Set the host name, or return it."""
    if name is None:
        return current.world.hostname
    if len(name) > 32:
        raise ValueError
    current.world.hostname = name


def country(code=None):
    """Set the country, or return it."""
    if code is None:
        return current.world.air.country
    if len(code) != 2:
        raise ValueError
    current.world.air.country = code


class WLAN:
    """One of the two interfaces of the radio."""

    def __init__(self, interface=STA_IF):
        self._interface = interface
        self._air = current.world.air

    def active(self, on=None):
        if on is not None:
            self._air.activate(self._interface, bool(on))
        return self._air.active[self._interface]

    def connect(self, ssid=None, key=None, *, bssid=None):
        self._only(STA_IF)
        self._air.join(ssid, key)

    def disconnect(self):
        self._only(STA_IF)
        self._air.leave()

    def isconnected(self):
        if self._interface == AP_IF:
            return self._air.clients > 0
        return self._air.status() == STAT_GOT_IP

    def status(self, what=None):
        if what == "stations":
            self._only(AP_IF)
            return [(bytes(5) + bytes((k,)),) for k in range(self._air.clients)]
        if what == "rssi":
            self._only(STA_IF)
            return self._air.dbm()
        if what is not None:
            raise ValueError
        return self._air.status() if self._interface == STA_IF else None

    def scan(self):
        self._only(STA_IF)
        return self._air.scan()

    def ifconfig(self, static=None):
        if static is not None:
            if len(static) != 4:
                raise ValueError
            self._air.static = tuple(static)
            return None
        return self._air.addresses(self._interface)

    def config(self, what=None, **values):
        air = self._air
        if what is None:
            if "ssid" in values or "key" in values:
                self._only(AP_IF)
            if "reconnects" in values:
                self._only(STA_IF)
            if values.get("security") == AUTH_WPA2_PSK and not 8 <= len(values["key"]) <= 63:
                raise OSError(EPERM)
            air.config[self._interface].update(values)
            return None
        if what == "mac":
            return current.world.unique_id
        return air.config[self._interface][what]

    def _only(self, interface):
        # The driver refuses what the interface cannot do, and what it is not up for.
        if self._interface != interface or not self._air.active[interface]:
            raise OSError(EPERM)
