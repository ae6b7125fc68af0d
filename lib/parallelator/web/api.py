"""What can be asked over HTTP: routes, state, changes, page files. Built by server.serve."""

import asyncio
import hashlib
import json
import os
from binascii import hexlify

from microdot import Microdot, Response
from micropython import const

from parallelator import VERSION
from parallelator.snapshot import BATTERIES, WISHES, battery_view, summary

from . import answer, dump, live, problem

_CHUNK = const(1024)
_FILES = (
    ("/", "web/ui/index.html", "text/html; charset=utf-8"),
    ("/app.js", "web/ui/app.js", "text/javascript; charset=utf-8"),
    ("/style.css", "web/ui/style.css", "text/css; charset=utf-8"),
)
_ACTIONS = ("on", "off", "auto", "reset")
_LANGUAGES = ("en", "fr")
_REFUSALS = {
    "locked": (423, "The battery is locked. Find the cause, then reset it."),
    "absent": (409, "The battery does not answer."),
    "busy": (503, "Too many requests are waiting. Try again in a second."),
}


class Api:
    """The routes of the rig; `app` is the Microdot application that holds them.

    Args: as server.serve, and `auth` (an Auth) and `stream` (a live.Live).
    """

    def __init__(self, snap, names, settings, control, alarms, clock, boot, auth, stream):
        self._snap = snap
        self._names = names
        self._settings = settings
        self._control = control
        self._alarms = alarms
        self._clock = clock
        self._boot = boot
        self._auth = auth
        self._live = stream
        self._tags = {}
        self.app = app = Microdot()
        for path, name, kind in _FILES:
            app.get(path)(self._page_file(name, kind))
        app.get("/messages.json")(self.messages)
        app.get("/api/state")(self.state)
        app.get("/api/live")(self.stream)
        app.post("/api/batteries/<n>/<action>")(self.battery)
        app.post("/api/bus/reset")(self.bus_reset)
        app.post("/api/login")(self.login)
        app.post("/api/logout")(self.logout)
        app.errorhandler(404)(not_found)
        app.errorhandler(405)(self.not_allowed)
        app.errorhandler(500)(broken)
        app.errorhandler(MemoryError)(out_of_memory)

    def state(self, request):
        """GET /api/state: everything, as JSON."""
        headers = {"Content-Type": "application/json"}
        return Response(self._state(self._auth.logged_in(request)), 200, headers)

    def stream(self, request):
        """GET /api/live: server-sent events, see live. A fifth client is told to poll."""
        if self._live.clients >= live.CLIENTS:
            message = "All live streams are taken. Ask /api/state every 2 seconds instead."
            return problem(503, "poll", message, None, 2)
        opening = live.opening(self._state(self._auth.logged_in(request)))
        body = live.Stream(self._live, opening, request.sock[1])
        return Response(body, 200, {"Content-Type": "text/event-stream"})

    def battery(self, request, n, action):
        """POST /api/batteries/<n>/<on|off|auto|reset>: 202 with the wish that results."""
        number = int(n) if n.isdigit() else 0
        if not 1 <= number <= BATTERIES:
            return problem(404, "battery", f"Batteries are numbered 1 to {BATTERIES}.", "n")
        if action not in _ACTIONS:
            return problem(404, "action", "Actions are on, off, auto and reset.", "action")
        res = self._auth.refusal(request) or self._submit(action, number - 1)
        if res:
            return res
        wish = WISHES[self._snap.wish[number - 1]]
        if action != "reset":
            wish = "off" if action == "off" else "auto"
        return answer({"n": number, "wish": wish}, 202)

    def bus_reset(self, request):
        """POST /api/bus/reset: unlocks a bus that is locked as `bus_overload`."""
        res = self._auth.refusal(request) or self._submit("reset", -1)
        return res or answer({"bus": "reset"}, 202)

    async def login(self, request):
        """POST /api/login {"password": text}."""
        try:
            password = json.loads(request.body)["password"]
        except (ValueError, KeyError, TypeError, IndexError):
            password = None
        if not isinstance(password, str):
            message = 'The body must be JSON: {"password": "..."}.'
            return problem(400, "body", message, "password")
        return await self._auth.login(request, password)

    def logout(self, request):
        """POST /api/logout."""
        return self._auth.logout(request)

    async def messages(self, request):
        """GET /messages.json: the words of the device's language, or of `?language=`."""
        language = request.args.get("language")
        if language not in _LANGUAGES:
            language = self._settings["language"]
        return await self._file(request, f"messages/{language}.json", "application/json")

    def not_allowed(self, request):
        """The answer to a method that a known address does not take."""
        allow = self.app.default_options_handler(request)["Allow"]
        res = problem(405, "method", f"This address takes {allow}.")
        res.headers["Allow"] = allow
        return res

    def _submit(self, action, i):
        code = self._control.submit(action, i)
        if code is None:
            return None
        status, message = _REFUSALS[code]
        return problem(status, code, message, None, 1 if code == "busy" else None)

    def _state(self, logged_in):
        """The text of /api/state, a piece for each battery."""
        head = summary(self._snap)
        head["name"] = self._settings["name"]
        head["version"] = VERSION
        head["language"] = self._settings["language"]
        head["uptime_ms"] = self._snap.uptime_s * 1000
        head["time"] = self._clock.iso()
        head["boot"] = self._boot
        head["writable"] = self._auth.writable()
        head["logged_in"] = logged_in
        yield dump(head)[:-1]
        for i in range(BATTERIES):
            yield "," if i else ',"batteries":['
            yield dump(battery_view(self._snap, i, self._names[i]))
        yield '],"alarms":['
        for k, alarm in enumerate(self._alarms()):
            yield "," if k else ""
            yield dump(alarm)
        yield "]}"

    def _page_file(self, name, kind):
        async def handler(request):
            return await self._file(request, name, kind)

        return handler

    async def _file(self, request, name, kind):
        """A file of the firmware, gzipped if it is stored so; 304 if the client has it."""
        path, encoding = _stored(name)
        if name not in self._tags:
            self._tags[name] = await _tag(path)
        tag = self._tags[name]
        if request.headers.get("If-None-Match") == tag:
            res = Response(b"", 304, {"Content-Type": kind}, "Not Modified")
        else:
            res = Response.send_file(path, content_type=kind)  # closed by the server
            res.headers["Content-Length"] = str(os.stat(path)[6])
            res.headers.update(encoding)
        res.headers["ETag"] = tag
        res.headers["Cache-Control"] = "no-cache"
        return res


def not_found(request):
    """The answer to an unknown address."""
    return problem(404, "not_found", "There is nothing at this address.")


def broken(request):
    """The answer when a handler failed; the traceback is on the console."""
    return problem(500, "internal", "The request failed inside the rig.")


def out_of_memory(request, error):
    """The answer when memory is short."""
    return problem(503, "busy", "Short of memory. Try again in a second.", None, 1)


def _stored(name):
    """Path of a file in the package, as `.gz` if there is one, and its Content-Encoding."""
    path = __file__.rsplit("/", 2)[0] + "/" + name
    try:
        os.stat(path + ".gz")
        return path + ".gz", {"Content-Encoding": "gzip"}
    except OSError:
        return path, {}


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
