# SPDX-License-Identifier: GPL-3.0-only
"""What can be asked over HTTP: routes, state, changes, page files. Built by server.serve."""

import asyncio

from microdot import Microdot, Response, iscoroutine
from micropython import const

from parallelator.catalog import ACTIONS, DISCONNECTED, WISHES
from parallelator.snapshot import ALL, BATTERIES, BOARDS

from . import IDLE, Refused, answer, json_object, live, not_found, problem, state, whole
from .files import FILES, Files
from .logs import Logs
from .reports import Reports
from .saving import Saving
from .setup import Setup
from .trips import Trips

_BODY = const(256)  # of what says one thing, such as a password or a time
_LARGE_BODY = const(16384)
_REFUSALS = (
    ("locked", 423, "The battery is locked. Find the cause, then reset it."),
    ("absent", 409, "The battery does not answer."),
    ("not_silent", 409, "It or a sensor of it answers, or none of its batteries is uncontrolled."),
    ("busy", 503, "Too many requests are waiting. Try again in a second."),
    ("selftest_running", 409, "A self-test runs."),
    ("show_clock", 409, "The clock is not set: tell the end in minutes."),
    ("show_end", 400, 'end is in minutes, 1 to 1440, or a local time such as "23:00".'),
)
_FIRST_UNIX_S = const(1577836800)  # 2020-01-01
_LAST_UNIX_S = const(3092601600)  # 2068-01-01: an ESP32 counts 2^31 s from 2000 on


# method, path, its handler (a method of `Api`, or of a part of it), most bytes of a body. They are
# literals: of frozen code they lie in flash.
ROUTES = (
    ("GET", "/messages.json", "files.messages", _BODY),
    ("GET", "/api/state", "state", _BODY),
    ("GET", "/api/live", "stream", _BODY),
    ("POST", "/api/batteries/<n>/exchanged", "exchanged", _BODY),
    ("POST", "/api/batteries/<n>/<action>", "battery", _BODY),
    ("POST", "/switch_on", "switch", _BODY),
    ("POST", "/switch_off", "switch", _BODY),
    ("POST", "/api/bus/reset", "bus_reset", _BODY),
    ("POST", "/api/boards/<b>/disconnected", "board", _BODY),
    ("POST", "/api/alarms/<code>/known", "acknowledge", _BODY),
    ("POST", "/api/login", "access.login", _BODY),
    ("POST", "/api/logout", "access.logout", _BODY),
    ("POST", "/api/time", "time", _BODY),
    ("POST", "/api/system/restart", "restart", _BODY),
    ("GET", "/api/update", "upload_state", _BODY),
    ("PUT", "/api/update", "upload", _LARGE_BODY),
    ("POST", "/api/update", "upgrade", _BODY),
    ("GET", "/api/events", "reports.events", _BODY),
    ("GET", "/api/calibration", "calibration", _BODY),
    ("DELETE", "/api/calibration", "forget_curve", _BODY),
    ("GET", "/api/selftest", "selftest", _BODY),
    ("POST", "/api/selftest", "selftest", _BODY),
    ("DELETE", "/api/selftest", "selftest", _BODY),
    ("GET", "/api/show", "show", _BODY),
    ("POST", "/api/show", "show", _BODY),
    ("DELETE", "/api/show", "show", _BODY),
    ("GET", "/api/history", "reports.history", _BODY),
    ("GET", "/api/system", "reports.system", _BODY),
    ("GET", "/metrics", "reports.metrics", _BODY),
    ("GET", "/log", "reports.log", _BODY),
    ("GET", "/api/logs", "logs.list", _BODY),
    ("GET", "/api/logs/<name>", "logs.read", _BODY),
    ("DELETE", "/api/logs/<name>", "logs.delete", _BODY),
    ("GET", "/api/blackbox", "trips.all", _BODY),
    ("GET", "/api/blackbox/<id>", "trips.one", _BODY),
    ("GET", "/api/settings", "saving.show", _BODY),
    ("PATCH", "/api/settings", "saving.change", _LARGE_BODY),
    ("GET", "/api/settings/schema", "saving.schema", _BODY),
    ("GET", "/api/wifi", "setup.show", _BODY),
    ("POST", "/api/wifi/scan", "setup.scan", _BODY),
    ("POST", "/api/setup", "setup.password", _BODY),
)


class Routes(Microdot):
    """Microdot with ROUTES and the FILES of the page in the place of its own, which would take
    memory.

    Args:
        api: the `Api`.
    """

    def __init__(self, api: "Api"):
        super().__init__()
        self._api = api

    def find_route(self, req: "Request"):
        """As Microdot's: the handler of a request, or the status that says why there is none."""
        if req.method == "OPTIONS":
            return self.options_handler(req), "", None
        method = "GET" if req.method == "HEAD" else req.method
        found = 404
        for (allowed, _, handler, body), arguments in matching(req.path):
            if allowed == method:
                req.url_args = arguments
                req.handler = self._handler(handler)
                return self._call if req.content_length <= body else 413, "", None
            found = 405
        return found, "", None

    def _handler(self, name: str):
        handler = self._api
        for part in name.split("."):
            handler = getattr(handler, part)
        return handler

    def default_options_handler(self, req: "Request"):
        """As Microdot's: the header that names the methods of an address, or of all."""
        allow = [route[0] for route, _ in matching(req.path)]
        if req.path == "*":
            allow = sorted({route[0] for route in ROUTES})
        if "GET" in allow:
            allow.append("HEAD")
        return {"Allow": ", ".join(allow + ["OPTIONS"])}

    async def _call(self, req: "Request", **arguments: str):
        """Runs the handler that was found, after other tasks."""
        await asyncio.sleep_ms(0)
        try:
            res = self._api.held(req) or req.handler(req, **arguments)
            return await res if iscoroutine(res) else res
        except Refused as error:
            return problem(*error.args)


def matching(path: str):
    """(row as of ROUTES, parameters) of each route with this path."""
    for file in FILES:
        if file[0] == path:
            yield ("GET", path, "files.page", _BODY), {}
    for route in ROUTES:
        arguments = {} if route[1] == path else _parameters(route[1], path)
        if arguments is not None:
            yield route, arguments


def _parameters(place: str, path: str):
    """The parts of a path that have names in the `place` of a route; None if it is another's."""
    if "<" not in place:
        return None
    named = place.split("/")
    given = path.split("/")
    if len(named) != len(given):
        return None
    found = {}
    for name, part in zip(named, given):
        if name.startswith("<") and part:
            found[name[1:-1]] = part
        elif name != part:
            return None
    return found


class Api:
    """What answers at the ROUTES; `app` is the Microdot application that finds them.

    `captive_redirect(request)` comes before them: a response, or None (`Setup`). `files`,
    `reports`, `logs`, `trips`, `saving`, `setup` and `access` are its parts.

    Args:
        rig: the `Rig`; access: an auth.Auth; stream: a live.Live.
    """

    def __init__(self, rig: "Rig", access: "Auth", stream: "Live"):
        self._rig = rig
        self.access = access
        self._live = stream
        self._update = None
        self.files = Files(rig)
        self.reports = Reports(rig)
        self.logs = Logs(rig, access)
        self.trips = Trips(rig)
        self.saving = Saving(rig, access)
        rig.save = self.saving.save_text
        self.setup = Setup(rig, access, self.saving)
        self.captive_redirect = self.setup.captive_redirect
        self.app = app = Routes(self)
        app.errorhandler(404)(not_found)
        app.errorhandler(405)(self.not_allowed)
        app.errorhandler(413)(self.too_large)
        app.errorhandler(500)(broken)
        app.errorhandler(MemoryError)(out_of_memory)

    async def state(self, request: "Request"):
        """GET /api/state: everything, as JSON."""
        return answer(self._state(request))

    async def stream(self, request: "Request"):
        """GET /api/live: server-sent events, see live. A fifth client is told to poll."""
        if self._live.clients >= live.CLIENTS:
            message = "All live streams are taken. Ask /api/state every 2 seconds instead."
            return problem(503, "poll", message, None, 2)
        body = live.Stream(self._live, live.opening(self._state(request)), request.sock[1])
        headers = {
            "Content-Type": "text/event-stream",
            "Cache-Control": "no-store, no-transform",
            "X-Accel-Buffering": "no",  # or nginx keeps the frames until it has 8 KB of them
        }
        return Response(body, 200, headers)

    def _state(self, request: "Request"):
        access = self.access
        return state.pieces(self._rig, access.writable(), access.logged_in(request))

    def sweep(self):
        """Frees what is not used any more, and watches BOOT. To be called each second."""
        self.setup.watch_button()
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
        res = await self.access.refusal(request, counted=action != "off")
        res = res or self._submit(action, ALL if number == "all" else number - 1)
        if res:
            return res
        wish = "off" if action == "off" else "auto"
        if action == "reset":
            wish = None if number == "all" else WISHES[self._rig.snap.wish[number - 1]]
        return answer({"n": number, "wish": wish}, 202)

    async def exchanged(self, request: "Request", n: str):
        """POST /api/batteries/<n>/exchanged: an operator's word that another pack is there now.

        Of one with an id that is told by changing the id.
        """
        number = whole(n, 1, BATTERIES)
        if not number:
            return problem(404, "battery", "Batteries are numbered 1 to %d." % BATTERIES, "n")
        res = await self.access.refusal(request)
        rig = self._rig
        if res or not rig.meter:
            return res or _uncounted()
        if rig.settings["batteries.%d.id" % number]:
            return problem(409, "has_id", "The battery has an id: change that.", "n")
        rig.meter.forget(number - 1)
        rig.events.emit("pack_swapped", number - 1, 0, 0, 0)
        return answer({"n": number})

    async def bus_reset(self, request: "Request"):
        """POST /api/bus/reset: unlocks a bus that is locked as `bus_overload`."""
        res = await self.access.refusal(request) or self._submit("reset", -1)
        return res or answer({"bus": "reset"}, 202)

    async def board(self, request: "Request", b: str):
        """POST /api/boards/<b>/disconnected: an operator's word that a silent board hangs on
        nothing."""
        number = whole(b, 1, BOARDS)
        if not number:
            return problem(404, "board", "Boards are numbered 1 to %d." % BOARDS, "b")
        res = await self.access.refusal(request) or self._submit(DISCONNECTED, number - 1)
        return res or answer({"board": number}, 202)

    async def acknowledge(self, request: "Request", code: str):
        """POST /api/alarms/<code>/known {"since_ms": number}: an operator knows of the alarms of
        this code that began up to then."""
        res = await self.access.refusal(request)
        if res:
            return res
        since_ms = (await json_object(request)).get("since_ms")
        if not isinstance(since_ms, int):
            return problem(400, "body", "since_ms is that of the latest alarm seen.", "since_ms")
        if not self._rig.acknowledge(code, since_ms // 1000):
            return problem(404, "alarm", "No such alarm stands, or it has to be mended.", "code")
        return answer({"code": code})

    async def switch(self, request: "Request"):
        """POST /switch_<on|off>?battery=: the requests of the first firmware."""
        action = request.path[len("/switch_") :]
        return await self.battery(request, request.args.get("battery", ""), action)

    async def time(self, request: "Request"):
        """POST /api/time {"unix_s": number}: sets the clock, as the page's browser knows it."""
        res = await self.access.refusal(request)
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
        res = await self.access.refusal(request)
        if res:
            return res
        self._rig.restart()
        return answer({"restart": True}, 202)

    def calibration(self, request: "Request"):
        """GET /api/calibration: as of `energy.calibration.Calibration.view`."""
        meter = self._rig.meter
        return answer(meter.calibration.view()) if meter else _uncounted()

    async def forget_curve(self, request: "Request"):
        """DELETE /api/calibration: back to the curve that every rig starts with."""
        res = await self.access.refusal(request)
        if res:
            return res
        meter = self._rig.meter
        if not meter:
            return _uncounted()
        meter.calibration.forget()
        return answer(meter.calibration.view())

    async def selftest(self, request: "Request"):
        """GET, POST and DELETE /api/selftest: see `show.serving.answering`."""
        from parallelator.show.serving import answering

        return await answering(self._rig, self.access, request)

    def held(self, request: "Request"):
        """What show mode answers to a request that has to wait for its end: a response, or
        None."""
        word = request.path.replace("/switch_", "/").rsplit("/", 1)[-1]
        if request.method in ("GET", "HEAD") or not self._rig.is_held(word):
            return None
        from parallelator.show.mode import until

        v = until(self._rig)
        message = "Show mode until %s: only off is taken. DELETE /api/show ends it." % v
        return problem(409, "show", message, v=v)

    async def show(self, request: "Request"):
        """POST /api/show {"end": minutes or "23:00"}: only off is taken until then, see
        `show.mode`; DELETE ends it; GET as of `show.serving.reported`."""
        if request.method == "GET" or request.method == "HEAD":
            from parallelator.show.serving import reported

            return await reported(self._rig)
        res = await self.access.refusal(request)
        if res:
            return res
        from parallelator.show import mode

        rig = self._rig
        if request.method == "DELETE":
            mode.finish(rig)
            return answer({"show": False})
        end = (await json_object(request)).get("end")
        why = mode.begin(rig, end) if isinstance(end, (int, float, str)) else "show_end"
        return _refused(why) if why else answer({"show": True})

    def upload_state(self, request: "Request"):
        """GET /api/update: how far an upload has come."""
        return answer(self._update.view() if self._update else IDLE)

    async def upload(self, request: "Request"):
        """PUT /api/update: see `update.Update.put`. Its modules come with the first piece."""
        res = await self.access.refusal(request, counted=False)
        if res:
            return res
        if not self._update:
            from . import bundle  # noqa: F401 - one by one, so that no tick waits for both

            await asyncio.sleep_ms(0)
            from .update import Update

            self._update = Update(self._rig, self.access)
        return await self._update.put(request)

    async def upgrade(self, request: "Request"):
        """POST /api/update: see `update.Update.switch`."""
        if self._update:
            return await self._update.switch(request)
        message = "No bundle was uploaded: PUT /api/update."
        return await self.access.refusal(request) or problem(409, "update_none", message)

    def not_allowed(self, request: "Request"):
        """The answer to a method that a known address does not take."""
        allow = self.app.default_options_handler(request)["Allow"]
        res = problem(405, "method", f"This address takes {allow}.")
        res.headers["Allow"] = allow
        return res

    def too_large(self, request: "Request"):
        """The answer to a body that is larger than its address takes."""
        method, path = request.method, request.path
        most = next(route[3] for route, _ in matching(path) if route[0] == method)
        return problem(413, "body", "This address takes a body of %d bytes." % most)

    def _submit(self, action: str, i: int):
        code = self._rig.guard.submit(action, i)
        return _refused(code) if code else None


def _refused(code: str):
    status, message = next(row[1:] for row in _REFUSALS if row[0] == code)
    return problem(status, code, message, None, 1 if code == "busy" else None)


def _uncounted():
    return problem(409, "no_capacity", "The settings tell no battery's capacity.")


def broken(request: "Request"):
    """The answer when a handler failed; the traceback is on the console."""
    return problem(500, "internal", "The request failed inside the rig.")


def out_of_memory(request: "Request", error: MemoryError):
    """The answer when memory is short."""
    return problem(503, "busy", "Short of memory. Try again in a second.", None, 1)
