"""Stand-in for MicroPython's `network`: one Wi-Fi station on the world's access point."""

from sim import current

STA_IF = 0
AP_IF = 1
_JOIN_US = 2000000


def hostname(name=None):
    """Set the host name, or return it."""
    if name is None:
        return current.world.hostname
    current.world.hostname = name


class WLAN:
    """A station: connected two seconds after `connect` while the world's Wi-Fi is up."""

    def __init__(self, interface):
        self._interface = interface
        self._active = False
        self._joined_us = None

    def active(self, on=None):
        if on is not None:
            self._active = bool(on)
        return self._active

    def connect(self, ssid, key=None):
        self._joined_us = current.world.us()

    def disconnect(self):
        self._joined_us = None

    def isconnected(self):
        world = current.world
        if self._joined_us is None or not world.wifi_up:
            self._joined_us = None
            return False
        return world.us() - self._joined_us >= _JOIN_US

    def ifconfig(self):
        address = "127.0.0.1" if self.isconnected() else "0.0.0.0"
        return (address, "255.0.0.0", "0.0.0.0", "0.0.0.0")
