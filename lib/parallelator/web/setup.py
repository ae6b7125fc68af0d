# SPDX-License-Identifier: GPL-3.0-only
"""First use over HTTP: the first password, the networks in reach, and how a phone finds the page.

Routed by api. The network is chosen with PATCH /api/settings, which Wi-Fi follows at once.

Only somebody who stands at the rig can set a password without the one before. The first password
is taken on the rig's own Wi-Fi, within ten minutes of power-on. The password of that Wi-Fi is told
on the console alone, so that nobody on another network can be quicker than the owner. When the
password is lost or the own Wi-Fi is off, BOOT held for ten seconds while the rig runs lets
everybody set a new one for ten minutes.
"""

from microdot import Response
from micropython import const

from parallelator import settings
from parallelator.formats import host_of, is_ip
from parallelator.snapshot import RIG

from . import answer, json_object, problem

_HELD_S = const(10)
_OPEN_S = const(600)


class Setup:
    """What a new rig needs.

    Args:
        rig: the `Rig`; access: an auth.Auth; saving: a saving.Saving.
    """

    def __init__(self, rig: "Rig", access: "Auth", saving: "Saving"):
        self._rig = rig
        self._access = access
        self._saving = saving
        pins = [rig.settings[row[0]] for row in settings.TABLE if row[0].startswith("pins.")]
        self._has_button = 0 not in pins  # else its GPIO is wired to something else
        self._pressed_s = None
        self._opened_s = -_OPEN_S

    def watch_button(self):
        """Let a new password be set when BOOT is held. To be called each second or oftener."""
        rig = self._rig
        uptime_s = rig.snap.uptime_s
        if not self._has_button or not rig.button_held():
            self._pressed_s = None
        elif self._pressed_s is None:
            self._pressed_s = uptime_s
        elif uptime_s - self._pressed_s >= _HELD_S and self._opened_s < self._pressed_s:
            self._opened_s = uptime_s
            rig.events.emit("setup_opened", RIG, 0, 0, 0)

    def _left_s(self, request: "Request"):
        """For how many more seconds whoever asks may set a password without the one before."""
        left_s = max(self._opened_s + _OPEN_S - self._rig.snap.uptime_s, 0)
        if left_s or self._access.writable() or not self._is_near(request):
            return left_s
        wifi = self._rig.network.wifi
        # Another network with the same numbers cannot be told from the rig's own.
        return 0 if _network(wifi.ip) == _network(wifi.ap_ip) else self._rig.setup_s()

    def _is_near(self, request: "Request"):
        """True when a request comes over the rig's own access point."""
        client = request.client_addr
        if not isinstance(client, str):
            client = "%d.%d.%d.%d" % tuple(client)
        near = _network(self._rig.network.wifi.ap_ip)
        return near and near == _network(client)

    def show(self, request: "Request"):
        """GET /api/wifi: how the rig is connected, and what is in reach."""
        rig = self._rig
        wifi = rig.network.wifi
        return answer(
            {
                "state": wifi.state,
                "ssid": rig.settings["wifi.ssid"],
                "ip": wifi.ip or None,
                "hostname": rig.network.hostname(),
                "access_point": wifi.ap_name if wifi.ap_ip else None,
                "scanning": wifi.scanning,
                "networks": [
                    {"ssid": name, "rssi_dbm": dbm, "secured": secured}
                    for name, dbm, secured in wifi.networks
                ],
                "setup_s": self._left_s(request),
            }
        )

    async def scan(self, request: "Request"):
        """POST /api/wifi/scan: look for networks anew; GET /api/wifi tells when it is done."""
        res = await self._access.refusal(request)
        if res:
            return res
        self._rig.network.wifi.scan()
        return answer({"scanning": True}, 202)

    async def password(self, request: "Request"):
        """POST /api/setup {"password": text}: the first one, or a new one for one that is lost.

        Everything else stays. Answers as a login with it.
        """
        res = self._access.first_refusal(request, self._left_s(request))
        if res:
            return res
        password = (await json_object(request)).get("password")
        if not isinstance(password, str) or not password:
            message = 'The body must be JSON: {"password": "..."}, of 8 characters or more.'
            return problem(400, "body", message, "password")
        res = await self._saving.save({"web.password": password})
        if res.status_code != 200:
            return res
        self._opened_s = -_OPEN_S
        return await self._access.session(password)

    def captive_redirect(self, request: "Request"):
        """A redirection to /setup for a phone on the access point that looks for the internet.

        Every name leads here (network.captive); one that is not the rig's was meant for somebody
        else. None for any other request.
        """
        rig = self._rig
        ap_ip = rig.network.wifi.ap_ip
        name = host_of(request.headers.get("Host", ""))
        if not ap_ip or request.method != "GET" or "." not in name or is_ip(name):
            return None
        if not self._is_near(request):
            return None
        if name == rig.network.hostname().lower() + ".local":
            return None
        port = rig.settings["web.port"]
        return Response.redirect("http://%s%s/setup" % (ap_ip, "" if port == 80 else ":%d" % port))


def _network(ip: str):
    """The first three numbers of an IPv4 address, "" of none."""
    return ip.rsplit(".", 1)[0]
