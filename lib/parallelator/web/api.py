"""What can be asked over HTTP: routes, state, changes, page files. Built by server.serve."""

import asyncio
import hashlib
import os
from binascii import hexlify

from microdot import Microdot, Response, URLPattern
from micropython import const

from parallelator.catalog import ACTIONS, WISHES
from parallelator.snapshot import BATTERIES
from parallelator.wording import data_path, messages_file

from . import IDLE, answer, json_object, live, problem
from .logs import Logs
from .reports import Reports
from .saving import Saving
from .setup import Setup
from .state import StateText
from .trips import Trips

_CHUNK = const(1024)
_FILES = (
    ("/", "index.html", "text/html; charset=utf-8"),
    ("/app.js", "app.js", "text/javascript; charset=utf-8"),
    ("/charts.js", "charts.js", "text/javascript; charset=utf-8"),
    ("/style.css", "style.css", "text/css; charset=utf-8"),
    ("/setup", "setup.html", "text/html; charset=utf-8"),
    ("/setup.js", "setup.js", "text/javascript; charset=utf-8"),
    ("/api/openapi.json", "openapi.json", "application/json"),
)
_LANGUAGES = ("en", "fr")
_REFUSALS = {
    "locked": (423, "The battery is locked. Find the cause, then reset it."),
    "absent": (409, "The battery does not answer."),
    "busy": (503, "Too many requests are waiting. Try again in a second."),
}
_FIRST_UNIX_S = const(1577836800)  # 2020-01-01
_LAST_UNIX_S = const(3092601600)  # 2068-01-01: an ESP32 counts 2^31 s from 2000 on


class Routes(Microdot):
    """Microdot with 30 bytes of memory for a route without parameters, not 300.

    Attributes:
        table: method, path or its `URLPattern`, handler: those of each route in turn.
    """

    def __init__(self):
        super().__init__()
        self.table = []

    def route(self, url_pattern, methods):
        """As Microdot's, for one method."""
        path = url_pattern
        if "<" in url_pattern:
            path = URLPattern(url_pattern)
            path.compile()

        def decorated(handler):
            self.table += (methods[0], path, handler)
            return handler

        return decorated

    def find_route(self, req):
        """As Microdot's: the handler of a request, or the status that says why there is none."""
        if req.method == "OPTIONS":
            return self.options_handler(req), "", None
        method = "GET" if req.method == "HEAD" else req.method
        found = 404
        for allowed, handler, arguments in self._matching(req.path):
            if allowed == method:
                req.url_args = arguments
                return handler, "", None
            found = 405
        return found, "", None

    def default_options_handler(self, req):
        """As Microdot's: the header that names the methods of an address."""
        allow = [method for method, _, _ in self._matching(req.path)]
        if "GET" in allow:
            allow.append("HEAD")
        return {"Allow": ", ".join(allow + ["OPTIONS"])}

    def _matching(self, path):
        """Of each route with this path: method, handler, parameters."""
        table = self.table
        for k in range(0, len(table), 3):
            place = table[k + 1]
            if isinstance(place, str):
                arguments = {} if place == path else None
            else:
                arguments = place.match(path)
            if arguments is not None:
                yield table[k], table[k + 2], arguments


class Api:
    """The routes of the rig; `app` is the Microdot application that holds them.

    `captive_redirect(request)` comes before them: a response, or None (`Setup`).

    Args:
        rig: the `Rig`; access: an auth.Auth; stream: a live.Live.
    """

    def __init__(self, rig: "Rig", access, stream):
        self._rig = rig
        self._access = access
        self._live = stream
        self._state = StateText(rig, access)
        self._files = {}
        self._update = None
        self.app = app = Routes()
        app.before_request(_pause)
        for path, _, _ in _FILES:
            app.get(path)(self.page)
        app.get("/messages.json")(self.messages)
        app.get("/api/state")(self.state)
        app.get("/api/live")(self.stream)
        app.post("/api/batteries/<n>/<action>")(self.battery)
        for action in ("on", "off"):
            app.post("/switch_" + action)(self._switch(action))
        app.post("/api/bus/reset")(self.bus_reset)
        app.post("/api/login")(self.login)
        app.post("/api/logout")(self.logout)
        app.post("/api/time")(self.time)
        app.post("/api/system/restart")(self.restart)
        app.get("/api/update")(self.update_state)
        app.put("/api/update")(self.update_put)
        app.post("/api/update")(self.update_switch)
        reports = Reports(rig)
        app.get("/api/events")(reports.events)
        app.get("/api/history")(reports.history)
        app.get("/api/system")(reports.system)
        app.get("/metrics")(reports.metrics)
        app.get("/log")(reports.log)
        logs = Logs(rig, access)
        app.get("/api/logs")(logs.list)
        app.get("/api/logs/<name>")(logs.read)
        app.delete("/api/logs/<name>")(logs.delete)
        trips = Trips(rig)
        app.get("/api/blackbox")(trips.all)
        app.get("/api/blackbox/<id>")(trips.one)
        saving = Saving(rig, access)
        app.get("/api/settings")(saving.show)
        app.patch("/api/settings")(saving.change)
        app.get("/api/settings/schema")(saving.schema)
        setup = Setup(rig, access, saving)
        self.captive_redirect = setup.captive_redirect
        app.get("/api/wifi")(setup.show)
        app.post("/api/wifi/scan")(setup.scan)
        app.post("/api/setup")(setup.password)
        app.errorhandler(404)(not_found)
        app.errorhandler(405)(self.not_allowed)
        app.errorhandler(500)(broken)
        app.errorhandler(MemoryError)(out_of_memory)

    async def page(self, request):
        """GET of one of _FILES."""
        name, kind = next(row[1:] for row in _FILES if row[0] == request.path)
        return await self._file(request, "page/%s.gz" % name, kind)

    async def state(self, request):
        """GET /api/state: everything, as JSON."""
        pieces = await self._state.pieces(self._access.logged_in(request))
        res = answer(piece for piece in pieces)
        res.headers["Content-Length"] = str(sum(len(piece) for piece in pieces))
        return res

    async def stream(self, request):
        """GET /api/live: server-sent events, see live. A fifth client is told to poll."""
        pieces = await self._state.pieces(self._access.logged_in(request))
        if self._live.clients >= live.CLIENTS:
            message = "All live streams are taken. Ask /api/state every 2 seconds instead."
            return problem(503, "poll", message, None, 2)
        body = live.Stream(self._live, live.opening(pieces), request.sock[1])
        return Response(body, 200, {"Content-Type": "text/event-stream"})

    def sweep(self):
        """Lets go of what nobody asks for. To be called each second."""
        self._state.sweep()
        if self._update:
            self._update.sweep()

    async def battery(self, request, n, action):
        """POST /api/batteries/<n>/<on|off|auto|reset>: 202 with the wish that results."""
        number = int(n) if n.isdigit() else 0
        if not 1 <= number <= BATTERIES:
            return problem(404, "battery", f"Batteries are numbered 1 to {BATTERIES}.", "n")
        if action not in ACTIONS:
            return problem(404, "action", "Actions are on, off, auto and reset.", "action")
        res = await self._access.refusal(request) or self._submit(action, number - 1)
        if res:
            return res
        wish = WISHES[self._rig.snap.wish[number - 1]]
        if action != "reset":
            wish = "off" if action == "off" else "auto"
        return answer({"n": number, "wish": wish}, 202)

    async def bus_reset(self, request):
        """POST /api/bus/reset: unlocks a bus that is locked as `bus_overload`."""
        res = await self._access.refusal(request) or self._submit("reset", -1)
        return res or answer({"bus": "reset"}, 202)

    def _switch(self, action):
        # POST /switch_<on|off>?battery=: the requests of the first firmware.
        async def handler(request):
            return await self.battery(request, request.args.get("battery", ""), action)

        return handler

    async def time(self, request):
        """POST /api/time {"unix_s": number}: sets the clock, as the page's browser knows it."""
        res = await self._access.refusal(request)
        if res:
            return res
        unix_s = (json_object(request) or {}).get("unix_s")
        if not isinstance(unix_s, int) or not _FIRST_UNIX_S <= unix_s <= _LAST_UNIX_S:
            message = "unix_s is in seconds since 1970, %d to %d." % (_FIRST_UNIX_S, _LAST_UNIX_S)
            return problem(400, "body", message, "unix_s")
        self._rig.set_time(unix_s)
        return answer({"time": self._rig.clock.iso()})

    async def restart(self, request):
        """POST /api/system/restart: every switch opens, then the controller starts anew."""
        res = await self._access.refusal(request)
        if res:
            return res
        self._rig.restart()
        return answer({"restart": True}, 202)

    def update_state(self, request):
        """GET /api/update: how far an upload has come."""
        return answer(self._update.view() if self._update else IDLE)

    async def update_put(self, request):
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

    async def update_switch(self, request):
        """POST /api/update: see `update.Update.switch`."""
        if self._update:
            return await self._update.switch(request)
        message = "No bundle was uploaded: PUT /api/update."
        return await self._access.refusal(request) or problem(409, "update_none", message)

    async def login(self, request):
        """POST /api/login {"password": text}."""
        password = (json_object(request) or {}).get("password")
        if not isinstance(password, str):
            message = 'The body must be JSON: {"password": "..."}.'
            return problem(400, "body", message, "password")
        return await self._access.login(request, password)

    def logout(self, request):
        """POST /api/logout."""
        return self._access.logout(request)

    async def messages(self, request):
        """GET /messages.json: the words of the device's language, or of `?language=`."""
        language = request.args.get("language")
        if language not in _LANGUAGES:
            language = self._rig.settings["language"]
        return await self._file(request, messages_file(language), "application/json")

    def not_allowed(self, request):
        """The answer to a method that a known address does not take."""
        allow = self.app.default_options_handler(request)["Allow"]
        res = problem(405, "method", f"This address takes {allow}.")
        res.headers["Allow"] = allow
        return res

    def _submit(self, action, i):
        code = self._rig.guard.submit(action, i)
        if code is None:
            return None
        status, message = _REFUSALS[code]
        return problem(status, code, message, None, 1 if code == "busy" else None)

    async def _file(self, request, name, kind):
        """A file that `data_path` finds, gzipped if its name says so; 304 if the client has it."""
        if name not in self._files:
            path = data_path(name)
            if not path:
                return not_found(request)
            await asyncio.sleep_ms(0)
            size = os.stat(path)[6]
            self._files[name] = (path, str(size), await _tag(path))
        path, size, tag = self._files[name]
        if request.headers.get("If-None-Match") == tag:
            res = Response(b"", 304, {"Content-Type": kind}, "Not Modified")
        else:
            res = Response.send_file(path, content_type=kind)  # closed by the server
            await asyncio.sleep_ms(0)
            res.headers["Content-Length"] = size
            if path.endswith(".gz"):
                res.headers["Content-Encoding"] = "gzip"
        res.headers["ETag"] = tag
        res.headers["Cache-Control"] = "no-cache"
        return res


async def _pause(request):
    """Lets other tasks run between the search for a route and its handler."""
    await asyncio.sleep_ms(0)


def not_found(request):
    """The answer to an unknown address."""
    return problem(404, "not_found", "There is nothing at this address.")


def broken(request):
    """The answer when a handler failed; the traceback is on the console."""
    return problem(500, "internal", "The request failed inside the rig.")


def out_of_memory(request, error):
    """The answer when memory is short."""
    return problem(503, "busy", "Short of memory. Try again in a second.", None, 1)


async def _tag(path):
    """An ETag: the first 64 bits of the file's SHA-256."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while True:
            chunk = file.read(_CHUNK)
            if not chunk:
                return '"' + hexlify(digest.digest()[:8]).decode() + '"'
            digest.update(chunk)
            await asyncio.sleep_ms(0)
