# SPDX-License-Identifier: GPL-3.0-only
"""What is on the air around the rig's radio: networks, and people at its access point."""

from errno import EPERM

STATION = 0
ACCESS_POINT = 1
_JOIN_US = 2000000
_SCAN_US = 1560000  # 13 channels of 120 ms
_USUAL_DBM = -58
_IDLE = 1000
_CONNECTING = 1001
_GOT_IP = 1010
_BEACON_TIMEOUT = 200
_NOT_FOUND = 201
_WRONG_PASSWORD = 202


class Air:
    """One radio and its surroundings.

    Args:
        world: the `World`.

    Attributes:
        networks: name to (password, dBm); "" is an open one. None: the one that is asked for,
            with the right password.
        up: False while no network is in reach.
        clients: phones at the rig's access point, whose address is ap_ip.
        joins: attempts of the station so far.
        in_thread: True while a call is made in a thread of its own.
    """

    def __init__(self, world):
        self._world = world
        self.networks = None
        self.up = True
        self.clients = 0
        self.ap_ip = "192.168.4.1"
        self.joins = 0
        self.in_thread = False
        self.country = ""
        self.restart()

    def restart(self):
        """The controller has restarted: the radio is off."""
        self.active = [False, False]
        self.config = [{}, {"ssid": "ESP", "security": 0, "key": ""}]
        self.static = None
        self._begun_us = None
        self._wanted = (None, None)
        self._status = _IDLE

    def activate(self, interface, on):
        """Switch an interface on or off."""
        costs = self._world.costs
        if on != self.active[interface]:
            us = costs.radio_mode_us if any(self.active) else costs.radio_start_us
            self._world.turn_radio(us)
        self.active[interface] = on
        if interface == ACCESS_POINT and not on:
            self.clients = 0

    def join(self, name, key):
        """The station starts to join a network."""
        if self._status == _CONNECTING:
            raise OSError(EPERM)
        self.joins += 1
        self._wanted = (name, key)
        self._begun_us = self._world.us()
        self._status = _CONNECTING

    def leave(self):
        """The station leaves."""
        self._status = _IDLE

    def status(self):
        """As the driver with `reconnects=0`: a failed attempt stays failed."""
        there = self.up and (self.networks is None or self._wanted[0] in self.networks)
        if self._status == _GOT_IP and not there:
            self._status = _BEACON_TIMEOUT
        elif self._status == _CONNECTING and self._world.us() - self._begun_us >= _JOIN_US:
            if not there:
                self._status = _NOT_FOUND
            elif self.networks and self.networks[self._wanted[0]][0] != self._wanted[1]:
                self._status = _WRONG_PASSWORD
            else:
                self._status = _GOT_IP
        return self._status

    def dbm(self):
        """How strong the joined network is; OSError when there is none, as of the driver."""
        if self.status() != _GOT_IP:
            raise OSError(EPERM)
        return self.networks[self._wanted[0]][1] if self.networks else _USUAL_DBM

    def scan(self):
        """Tuples as of the driver; blocks the caller's thread while it looks."""
        if self._status == _CONNECTING:
            raise OSError(EPERM)
        if not self.in_thread:
            self._world.spend(_SCAN_US)
        if not self.up or self.networks is None:
            return []
        return [
            (name.encode(), bytes(6), 1 + k % 13, dbm, 3 if key else 0, 0)
            for k, (name, (key, dbm)) in enumerate(sorted(self.networks.items()))
        ]

    def addresses(self, interface):
        """As `ifconfig`: the network of the rig is the host's loopback."""
        if interface == ACCESS_POINT:
            ip = self.ap_ip if self.active[1] else "0.0.0.0"
            return (ip, "255.255.255.0", ip, ip)
        if self.status() != _GOT_IP:
            return ("0.0.0.0", "0.0.0.0", "0.0.0.0", "0.0.0.0")
        return self.static or ("127.0.0.1", "255.0.0.0", "127.0.0.1", "127.0.0.1")
