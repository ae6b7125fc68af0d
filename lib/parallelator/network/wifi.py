# SPDX-License-Identifier: GPL-3.0-only
"""Keeps the rig in reach: as a station, and as an access point without a network. Run by app.

Nothing else waits for the network: losing it is an event and nothing more. The driver's own
reconnecting is off, because it never pauses and moves the channel of the access point.
"""

import _thread
import asyncio
import os

import network
from micropython import const

from parallelator.snapshot import RIG

UNSET = "unset"
CONNECTING = "connecting"
CONNECTED = "connected"
NOT_FOUND = "not_found"
PASSWORD = "wrong_password"
FAILED = "failed"
STATES = (UNSET, CONNECTING, CONNECTED, NOT_FOUND, PASSWORD, FAILED)
_REFUSALS = (
    (NOT_FOUND, "wifi_not_found"),
    (PASSWORD, "wifi_password"),
    (FAILED, "wifi_failed"),
)

_STEP_MS = const(1000)
_ATTEMPT_S = const(15)
_REASON_S = const(3)  # until then the driver's status may be that of the attempt before
_FIRST_RETRY_S = const(5)
_LAST_RETRY_S = const(60)
_ALONE_S = const(60)
_LOST_S = const(180)  # a router that restarts is back by then
_CLIENT_S = const(600)
_FAREWELL_S = const(120)
_SETTLED_S = const(10)
_HANDSHAKE = const(15)  # esp_wifi_types.h: the four-way handshake timed out
_NETWORKS = const(20)
_KEY = "ap_key"
_KEY_CHARS = "abcdefghjkmnpqrstuvwxyz23456789"
_KEY_SIZE = const(10)


class Wifi:
    """The radio of one rig.

    Args:
        settings: mapping with the keys `wifi.*` of `settings.TABLE`; network and password are
            read at each use, so a change of them is a new attempt at once.
        store: a `Storage`, for the access point's own password.
        emit: function (code, i, state, reason, value) that records an event.
        tell: function (name, password) that tells those of the access point to whoever stands
            at the rig.

    Attributes:
        ip, ap_ip: addresses as station and as access point, "" while there is none.
        ap_name: network name of the access point.
        networks: those found last, strongest first: (name, signal in dBm, True if it asks for a
            password).
    """

    def __init__(
        self,
        settings: "Values",
        store: "Storage",
        emit: "Emit",
        tell: "Callable[[str, str], object]",
    ):
        self._settings = settings
        self._store = store
        self._emit = emit
        self._tell = tell
        self._station = self._ap = None
        self._key = ""
        self._state = UNSET
        self.ip = self.ap_ip = self.ap_name = ""
        self.networks = []
        self._scan_wanted = self._looking = False
        self._found = None
        self._told = None
        self._wanted = ("", "")
        self._attempt_s = None
        self._retry_s = _FIRST_RETRY_S
        self._wait_s = 0
        self._alone_s = 0
        self._patience_s = 0
        self._held_s = 0
        self._farewell_s = 0

    def power_up(self):
        """Start the radio. Takes some 150 ms, so before the first battery is switched on.

        Raises:
            OSError: it has no memory, or does not answer.
        """
        value = self._settings
        if value["wifi.country"]:
            network.country(value["wifi.country"])
        network.hostname(value["wifi.hostname"])
        station = network.WLAN(network.STA_IF)
        station.active(True)
        station.config(reconnects=0)
        if value["wifi.ip"]:
            gateway = value["wifi.gateway"] or "0.0.0.0"
            station.ifconfig(
                (value["wifi.ip"], value["wifi.netmask"], gateway, value["wifi.dns"] or gateway)
            )
        self.ap_name = "%s-%02x%02x" % (
            (value["wifi.hostname"][:27],) + tuple(station.config("mac")[4:])
        )
        self._key = value["wifi.ap_password"] or own_key(self._store)
        self._ap = network.WLAN(network.AP_IF)
        self._station = station
        if not value["wifi.ssid"]:
            self._open()

    async def run(self):
        """Keep in reach, for ever."""
        if self._station is None:
            self.power_up()
        while True:
            self._step()
            await asyncio.sleep_ms(_STEP_MS)

    def name_server(self):
        """IP of the network's name server, "" while there is no network."""
        return self._station.ifconfig()[3] if self.ip else ""

    def scan(self):
        """Look for networks; it takes some 2 s."""
        self._scan_wanted = True

    @property
    def scanning(self):
        """True from `scan` until `networks` are those it found."""
        return self._scan_wanted or self._looking

    @property
    def state(self):
        """One of STATES, of the station; never that of a network chosen before."""
        if self._chosen() == self._wanted:
            return self._state
        return CONNECTING if self._settings["wifi.ssid"] else UNSET

    def _chosen(self):
        return self._settings["wifi.ssid"], self._settings["wifi.password"]

    def _step(self):
        wanted = self._chosen()
        if wanted != self._wanted:
            self._wanted = wanted
            self._give_up(CONNECTING if wanted[0] else UNSET)
            self._retry_s = _FIRST_RETRY_S
            self._wait_s = 0
            self._held_s = _CLIENT_S  # whoever is on the access point asked for it
            self._patience_s = _ALONE_S
        self._notice()
        self._search()
        if self._state == CONNECTED:
            self._say_farewell()
        else:
            self._seek()

    def _notice(self):
        up = self._station.isconnected()
        if up == bool(self.ip):
            return
        self.ip = self._station.ifconfig()[0] if up else ""
        self._attempt_s = None
        self._alone_s = self._farewell_s = 0
        self._wait_s = 0
        self._retry_s = _FIRST_RETRY_S
        self._told = None
        if up:
            self._state = CONNECTED
            self._patience_s = _LOST_S
        elif self._state == CONNECTED:
            self._state = CONNECTING
        self._emit("wifi_up" if up else "wifi_down", RIG, 0, 0, 0)

    # The station

    def _seek(self):
        """A second without the network."""
        self._alone_s += 1
        if not self.ap_ip and (self._state == UNSET or self._alone_s >= self._patience_s):
            self._open()
        if self._state == UNSET:
            return
        if self._attempt_s is not None:
            self._attempt_s += 1
            reason = self._reason()
            if self._attempt_s >= _ATTEMPT_S or (self._attempt_s >= _REASON_S and reason):
                self._give_up(reason or FAILED)
        elif self._wait_s:
            self._wait_s -= 1
        elif self._held_s < _CLIENT_S and self._clients():
            # An attempt may take the channel from somebody who is setting the rig up.
            self._held_s += 1
        elif not self.scanning:
            self._held_s = 0
            self._attempt_s = 0
            try:
                self._station.connect(*self._wanted)
            except OSError:
                self._give_up(FAILED)

    def _give_up(self, state: str):
        if self.ip or self._attempt_s is not None:
            try:
                self._station.disconnect()
            except OSError:
                pass  # nothing to leave
        self._attempt_s = None
        self._wait_s = self._retry_s
        self._retry_s = min(2 * self._retry_s, _LAST_RETRY_S)
        self._state = state
        event = dict(_REFUSALS).get(state)
        if event and state != self._told:
            self._told = state
            self._emit(event, RIG, 0, 0, 0)

    def _reason(self):
        """Why the driver has given the attempt up, None while it has not."""
        status = self._station.status()
        if status in (network.STAT_IDLE, network.STAT_CONNECTING, network.STAT_GOT_IP):
            return None
        if status in (network.STAT_WRONG_PASSWORD, network.STAT_HANDSHAKE_TIMEOUT, _HANDSHAKE):
            return PASSWORD
        return NOT_FOUND if status == network.STAT_NO_AP_FOUND else FAILED

    # The access point

    def _open(self):
        """Start the access point; its change of the radio's mode takes some 20 ms."""
        try:
            self._ap.active(True)
            self._ap.config(ssid=self.ap_name, security=network.AUTH_WPA2_PSK, key=self._key)
        except OSError:
            return  # tried again in a second
        self.ap_ip = self._ap.ifconfig()[0]
        self.scan()
        self._emit("wifi_ap", RIG, 0, 0, 0)
        self.say()

    def say(self):
        """Tell those who stand at the rig how to join its access point, if it is on."""
        if self.ap_ip:
            self._tell(self.ap_name, self._key)

    def _say_farewell(self):
        """Close the access point once its clients have had time to read where the rig is now."""
        if not self.ap_ip:
            return
        self._farewell_s += 1
        settled = self._farewell_s >= _SETTLED_S  # its channel has just moved
        if self._farewell_s >= _FAREWELL_S or (settled and not self._clients()):
            self._ap.active(False)
            self.ap_ip = ""
            self._emit("wifi_ap_off", RIG, 0, 0, 0)

    def _clients(self):
        return self.ap_ip and len(self._ap.status("stations"))  # pyright: ignore - a list

    # Networks in reach

    def _search(self):
        if self._found is not None:
            self.networks = strongest(self._found)
            self._found = None
            self._looking = False
        elif self._scan_wanted and not self._looking and self._attempt_s is None:
            self._scan_wanted = False
            self._looking = True
            # The driver searches for 2 s in one call, but lets other threads of the interpreter
            # run meanwhile: in a thread of its own it blocks nobody.
            _thread.start_new_thread(self._look, ())

    def _look(self):
        found = ()
        try:
            found = self._station.scan()
        except OSError:
            pass  # none is found while the driver refuses
        finally:
            self._found = found


def strongest(found: "Iterable[tuple]"):
    """What `scan` found as (name, dBm, secured): each name once, the strongest twenty.

    Args:
        found: tuples (name as bytes, bssid, channel, dBm, security, hidden).
    """
    best = {}
    for name, _, _, dbm, security, _ in found:
        try:
            name = name.decode()
        except UnicodeError:
            continue
        if name and (name not in best or best[name][0] < dbm):
            best[name] = (dbm, bool(security))
    names = sorted(best, key=lambda name: -best[name][0])[:_NETWORKS]
    return [(name,) + best[name] for name in names]


def own_key(store: "Storage"):
    """The access point's own password: drawn once for each rig, then kept in `store`.

    Ten characters that are hard to confuse, 49 bits. A store that is full or worn out keeps none:
    then each start draws another one.
    """
    key = bytearray(_KEY_SIZE)
    try:
        store.get_blob(_KEY, key)
        usable = all(chr(byte) in _KEY_CHARS for byte in key)
        if not usable:
            store.fault()
    except OSError:
        usable = False
    if not usable:
        for k in range(_KEY_SIZE):
            drawn = 255
            while drawn >= 8 * len(_KEY_CHARS):
                drawn = os.urandom(1)[0]
            key[k] = ord(_KEY_CHARS[drawn % len(_KEY_CHARS)])
        try:
            store.set_blob(_KEY, key)
            store.commit()
        except OSError:
            pass  # it is used without being kept
    return key.decode()
