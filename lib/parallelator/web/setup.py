"""First use over HTTP: the first password, the networks in reach, and how a phone finds the page.

Routed by api. The network is chosen with PATCH /api/settings, which Wi-Fi follows at once.
"""

from microdot import Response

from parallelator.network.values import is_ip

from . import answer, json_object, problem


class Setup:
    """What a new rig needs.

    Args:
        rig: the `Rig`; access: an auth.Auth; saving: a saving.Saving.
    """

    def __init__(self, rig: "Rig", access, saving):
        self._rig = rig
        self._access = access
        self._saving = saving

    def show(self, request):
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
                "setup_s": 0 if self._access.writable() else rig.setup_s(),
            }
        )

    async def scan(self, request):
        """POST /api/wifi/scan: look for networks anew; GET /api/wifi tells when it is done."""
        res = await self._access.refusal(request)
        if res:
            return res
        self._rig.network.wifi.scan()
        return answer({"scanning": True}, 202)

    async def password(self, request):
        """POST /api/setup {"password": text}: the first one, within ten minutes of power-on.

        Answers as a login with it.
        """
        res = self._access.first_refusal(request, self._rig.setup_s())
        if res:
            return res
        password = (json_object(request) or {}).get("password")
        if not isinstance(password, str) or not password:
            message = 'The body must be JSON: {"password": "..."}, of 1 to 128 characters.'
            return problem(400, "body", message, "password")
        res = await self._saving.save({"web.password": password})
        return res if res.status_code != 200 else await self._access.login(request, password)

    def captive_redirect(self, request):
        """A redirection to /setup for a phone on the access point that looks for the internet.

        Every name leads here (network.captive); one that is not the rig's was meant for somebody
        else. None for any other request.
        """
        rig = self._rig
        ap_ip = rig.network.wifi.ap_ip
        name = request.headers.get("Host", "").split(":")[0].lower()
        if not ap_ip or request.method != "GET" or "." not in name or is_ip(name):
            return None
        client = request.client_addr
        if not isinstance(client, str):
            client = "%d.%d.%d.%d" % tuple(client)
        if client.rsplit(".", 1)[0] != ap_ip.rsplit(".", 1)[0]:
            return None
        if name == rig.network.hostname().lower() + ".local":
            return None
        port = rig.settings["web.port"]
        return Response.redirect("http://%s%s/setup" % (ap_ip, "" if port == 80 else ":%d" % port))
