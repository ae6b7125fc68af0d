# SPDX-License-Identifier: GPL-3.0-only
"""What can be asked over HTTP: routes, state, changes, page files. Built by server.serve."""

import asyncio

from microdot import Microdot, Response, URLPattern, iscoroutine
from micropython import const

from parallelator.catalog import ACTIONS, WISHES
from parallelator.snapshot import ALL, BATTERIES

from . import IDLE, Refused, answer, json_object, live, not_found, problem, whole
from .files import FILES, Files
from .logs import Logs
from .reports import Reports
from .saving import Saving
from .setup import Setup
from .state import StateText
from .trips import Trips

_ROW = const(4)
_BODY = const(256)  # of what says one thing, such as a password or a time
_LARGE_BODY = const(16384)
_REFUSALS = {
    "locked": (423, "The battery is locked. Find the cause, then reset it."),
    "absent": (409, "The battery does not answer."),
    "busy": (503, "Too many requests are waiting. Try again in a second."),
}
_FIRST_UNIX_S = const(1577836800)  # 2020-01-01
_LAST_UNIX_S = const(3092601600)  # 2068-01-01: an ESP32 counts 2^31 s from 2000 on


class Routes(Microdot):
    """Microdot with 34 bytes of memory for a route without parameters, not 300.

    Attributes:
        table: method, path or its `URLPattern`, handler, most bytes of a body: those of each
            route in turn.
    """

    def __init__(self):
        super().__init__()
        self.table = []

    def add(self, method: str, path: str, handler: "Callable", body: int = _BODY):
        """Have a handler answer a method of a path, to requests with a body of so many bytes."""
        if "<" in path:
            path = URLPattern(path)
            path.compile()  # pyright: ignore - it is the pattern now
        self.table += (method, path, handler, body)

    def find_route(self, req: "Request"):
        """As Microdot's: the handler of a request, or the status that says why there is none."""
        if req.method == "OPTIONS":
            return self.options_handler(req), "", None
        method = "GET" if req.method == "HEAD" else req.method
        found = 404
        for allowed, handler, body, arguments in self.matching(req.path):
            if allowed == method:
                req.url_args = arguments
                req.handler = handler
                return self._call if req.content_length <= body else 413, "", None
            found = 405
        return found, "", None

    def default_options_handler(self, req: "Request"):
        """As Microdot's: the header that names the methods of an address, or of all."""
        allow = [row[0] for row in self.matching(req.path)]
        if req.path == "*":
            allow = sorted(set(self.table[::_ROW]))
        if "GET" in allow:
            allow.append("HEAD")
        return {"Allow": ", ".join(allow + ["OPTIONS"])}

    async def _call(self, req: "Request", **arguments: str):
        """Runs the handler that was found, after other tasks."""
        await asyncio.sleep_ms(0)
        try:
            res = req.handler(req, **arguments)
            return await res if iscoroutine(res) else res
        except Refused as error:
            return problem(*error.args)

    def matching(self, path: str):
        """Of each route with this path: method, handler, bytes of a body, parameters."""
        table = self.table
        for k in range(0, len(table), _ROW):
            place = table[k + 1]
            if isinstance(place, str):
                arguments = {} if place == path else None
            else:
                arguments = place.match(path)
            if arguments is not None:
                yield table[k], table[k + 2], table[k + 3], arguments


class Api:
    """The routes of the rig; `app` is the Microdot application that holds them.

    `captive_redirect(request)` comes before them: a response, or None (`Setup`).

    Args:
        rig: the `Rig`; access: an auth.Auth; stream: a live.Live.
    """

    def __init__(self, rig: "Rig", access: "Auth", stream: "Live"):
        self._rig = rig
        self._access = access
        self._live = stream
        self._state = StateText(rig, access)
        self._update = None
        self.app = app = Routes()
        files = Files(rig)
        for path, _, _ in FILES:
            app.add("GET", path, files.page)
        app.add("GET", "/messages.json", files.messages)
        app.add("GET", "/api/state", self.state)
        app.add("GET", "/api/live", self.stream)
        app.add("POST", "/api/batteries/<n>/<action>", self.battery)
        for action in ("on", "off"):
            app.add("POST", "/switch_" + action, self._switch(action))
        app.add("POST", "/api/bus/reset", self.bus_reset)
        app.add("POST", "/api/login", access.login)
        app.add("POST", "/api/logout", access.logout)
        app.add("POST", "/api/time", self.time)
        app.add("POST", "/api/system/restart", self.restart)
        app.add("GET", "/api/update", self.update_state)
        app.add("PUT", "/api/update", self.update_put, _LARGE_BODY)
        app.add("POST", "/api/update", self.update_switch)
        reports = Reports(rig)
        app.add("GET", "/api/events", reports.events)
        app.add("GET", "/api/history", reports.history)
        app.add("GET", "/api/system", reports.system)
        app.add("GET", "/metrics", reports.metrics)
        app.add("GET", "/log", reports.log)
        logs = Logs(rig, access)
        app.add("GET", "/api/logs", logs.list)
        app.add("GET", "/api/logs/<name>", logs.read)
        app.add("DELETE", "/api/logs/<name>", logs.delete)
        trips = Trips(rig)
        app.add("GET", "/api/blackbox", trips.all)
        app.add("GET", "/api/blackbox/<id>", trips.one)
        saving = Saving(rig, access)
        app.add("GET", "/api/settings", saving.show)
        app.add("PATCH", "/api/settings", saving.change, _LARGE_BODY)
        app.add("GET", "/api/settings/schema", saving.schema)
        self._setup = setup = Setup(rig, access, saving)
        self.captive_redirect = setup.captive_redirect
        app.add("GET", "/api/wifi", setup.show)
        app.add("POST", "/api/wifi/scan", setup.scan)
        app.add("POST", "/api/setup", setup.password)
        app.errorhandler(404)(not_found)
        app.errorhandler(405)(self.not_allowed)
        app.errorhandler(413)(self.too_large)
        app.errorhandler(500)(broken)
        app.errorhandler(MemoryError)(out_of_memory)

    async def state(self, request: "Request"):
        """GET /api/state: everything, as JSON."""
        pieces = await self._state.pieces(self._access.logged_in(request))
        res = answer(piece for piece in pieces)
        res.headers["Content-Length"] = str(sum(len(piece) for piece in pieces))
        return res

    async def stream(self, request: "Request"):
        """GET /api/live: server-sent events, see live. A fifth client is told to poll."""
        pieces = await self._state.pieces(self._access.logged_in(request))
        if self._live.clients >= live.CLIENTS:
            message = "All live streams are taken. Ask /api/state every 2 seconds instead."
            return problem(503, "poll", message, None, 2)
        body = live.Stream(self._live, live.opening(pieces), request.sock[1])
        headers = {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store, no-transform",
            "X-Accel-Buffering": "no",  # or nginx keeps the frames until it has 8 KB of them
        }
        return Response(body, 200, headers)

    def sweep(self):
        """Frees what is not used any more, and watches BOOT. To be called each second."""
        self._state.sweep()
        self._setup.watch_button()
        if self._update:
            self._update.sweep()

    async def battery(self, request: "Request", n: str, action: str):
        """POST /api/batteries/<n|all>/<on|off|auto|reset>: 202 with the wish that results.

        Off is never refused for its rate. There is no `on` for all.
        """
        number = whole(n, 1, BATTERIES) or (n == "all" and n)
        if not number:
            message = "Batteries are numbered 1 to %d; all is every one." % BATTERIES
            return problem(404, "battery", message, "n")
        if action not in ACTIONS or (number == "all" and action == "on"):
            message = "Actions are on, off, auto and reset; for all off, auto and reset."
            return problem(404, "action", message, "action")
        res = await self._access.refusal(request, counted=action != "off")
        res = res or self._submit(action, ALL if number == "all" else number - 1)
        if res:
            return res
        wish = "off" if action == "off" else "auto"
        if action == "reset":
            wish = None if number == "all" else WISHES[self._rig.snap.wish[number - 1]]
        return answer({"n": number, "wish": wish}, 202)

    async def bus_reset(self, request: "Request"):
        """POST /api/bus/reset: unlocks a bus that is locked as `bus_overload`."""
        res = await self._access.refusal(request) or self._submit("reset", -1)
        return res or answer({"bus": "reset"}, 202)

    def _switch(self, action: str):
        # POST /switch_<on|off>?battery=: the requests of the first firmware.
        async def handler(request: "Request"):
            return await self.battery(request, request.args.get("battery", ""), action)

        return handler

    async def time(self, request: "Request"):
        """POST /api/time {"unix_s": number}: sets the clock, as the page's browser knows it."""
        res = await self._access.refusal(request)
        if res:
            return res
        unix_s = (await json_object(request)).get("unix_s")
        if not isinstance(unix_s, int) or not _FIRST_UNIX_S <= unix_s <= _LAST_UNIX_S:
            message = "unix_s is in seconds since 1970, %d to %d." % (_FIRST_UNIX_S, _LAST_UNIX_S)
            return problem(400, "body", message, "unix_s")
        self._rig.set_time(unix_s)
        return answer({"time": self._rig.clock.iso()})

    async def restart(self, request: "Request"):
        """POST /api/system/restart: every switch opens, then the controller starts anew."""
        res = await self._access.refusal(request)
        if res:
            return res
        self._rig.restart()
        return answer({"restart": True}, 202)

    def update_state(self, request: "Request"):
        """GET /api/update: how far an upload has come."""
        return answer(self._update.view() if self._update else IDLE)

    async def update_put(self, request: "Request"):
        """PUT /api/update: see `update.Update.put`. Its modules come with the first piece."""
        res = await self._access.refusal(request, counted=False)
        if res:
            return res
        if not self._update:
            from . import bundle  # noqa: F401 - one by one, so that no tick waits for both

            await asyncio.sleep_ms(0)
            from .update import Update

            self._update = Update(self._rig, self._access)
        return await self._update.put(request)

    async def update_switch(self, request: "Request"):
        """POST /api/update: see `update.Update.switch`."""
        if self._update:
            return await self._update.switch(request)
        message = "No bundle was uploaded: PUT /api/update."
        return await self._access.refusal(request) or problem(409, "update_none", message)

    def not_allowed(self, request: "Request"):
        """The answer to a method that a known address does not take."""
        allow = self.app.default_options_handler(request)["Allow"]
        res = problem(405, "method", f"This address takes {allow}.")
        res.headers["Allow"] = allow
        return res

    def too_large(self, request: "Request"):
        """The answer to a body that is larger than its address takes."""
        method, path = request.method, request.path
        most = next(row[2] for row in self.app.matching(path) if row[0] == method)
        return problem(413, "body", "This address takes a body of %d bytes." % most)

    def _submit(self, action: str, i: int):
        code = self._rig.guard.submit(action, i)
        if code is None:
            return None
        status, message = _REFUSALS[code]
        return problem(status, code, message, None, 1 if code == "busy" else None)


def broken(request: "Request"):
    """The answer when a handler failed; the traceback is on the console."""
    return problem(500, "internal", "The request failed inside the rig.")


def out_of_memory(request: "Request", error: MemoryError):
    """The answer when memory is short."""
    return problem(503, "busy", "Short of memory. Try again in a second.", None, 1)
