"""The HTTP front: everything between the socket and the routes, with a bound on all of it.

`app` runs `serve` as a task. Microdot routes and formats; it never reads from a socket here,
because it has no time-outs and no limits of its own.
"""

import asyncio
import errno
import sys

from microdot import Request
from micropython import const

from . import problem
from .api import Api
from .auth import Auth
from .live import Live

_CONNECTIONS = const(8)  # of lwIP's ten sockets; four of them at most are live streams
_REQUEST_S = const(3)
_STALL_MS = const(10000)
_LINGER_MS = const(300)
_HEAD = const(4096)
_HEADERS = const(40)
_URL = const(512)
_PATH = const(96)  # Microdot's patterns recurse once per character
_BODY = const(16384)
_SMALL_BODY = const(512)
_READ = const(1024)
_SEGMENT = const(1400)  # a TCP segment on Wi-Fi
_LARGE = const(1000)
_EPIPE = const(32)  # in no MicroPython errno module; the same on Linux and lwIP
_GONE = ("ECONNABORTED", "ECONNRESET", "ENOTCONN", "ETIMEDOUT", "EHOSTUNREACH")
_HEADER_NAMES = {
    "host": "Host",
    "origin": "Origin",
    "cookie": "Cookie",
    "authorization": "Authorization",
    "content-type": "Content-Type",
    "content-length": "Content-Length",
    "transfer-encoding": "Transfer-Encoding",
    "if-none-match": "If-None-Match",
}
_HEX = "0123456789abcdefABCDEF"
_SECURITY = (
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Connection: close\r\n\r\n"
)


async def serve(rig):
    """Serves until it is cancelled; then closes the listening socket and every connection.

    Args:
        rig: what is served, an object with
            settings: dict of the settings in use, complete; `web.port` is the TCP port.
            pending: dict of those saved but not in use before a restart.
            config_files: the settings files, the one to save to first.
            faults: what was wrong with these files at boot, as `config.load` gives it.
            take_over(changes): called with the settings that were saved.
            snap: the Snapshot; events: the Events; history: the History; i2c: the I2c.
            blackbox: the BlackBox; card: the Card.
            guard: its `submit(action, i)` asks for a change of battery i, or of the bus when i
                is -1, and returns None or the code of the refusal.
            alarms(): yields the present alarms, {"code", "n", "since_ms", "text"} each.
            event_text(event): an event of `events.after` as a sentence.
            clock: a Clock; set_time(unix_s): sets its wall time, seconds since 1970.
            restart(why): restarts the controller, late enough for an answer to leave.
            slot, switch(folder): as of `app.run`; guard.trip_pending(): as of `Guard`.
            card: the Card; datalog: the Datalog.
            mqtt: the Mqtt, None without a broker.
            network: a network.network.Network, of it `wifi` and `hostname`.
            run_after_guard(coroutine), within(ms, coroutine): as of `Scheduler`.
            setup_s(): for how many more seconds a first password may be set.
            boot: number of this boot; tasks: names of the tasks; failures: times each failed.

    Raises:
        OSError: the port is taken.
    """
    access = Auth(rig.settings, rig.clock)
    live = Live(rig.snap, rig.alarms)
    api = Api(rig, access, live)
    http_server = HttpServer(api.app, api.captive_redirect, rig.within)
    port = rig.settings["web.port"]

    def connection(reader, stream):
        return rig.run_after_guard(http_server.connection(reader, stream))

    server = await asyncio.start_server(connection, "0.0.0.0", port, _CONNECTIONS)
    try:
        while True:
            await live.step()
            access.sweep()
            api.sweep()
    finally:
        server.close()
        await server.wait_closed()
        await http_server.close()


class Refused(Exception):
    """A request that cannot be understood or is too large; `args` are those of `problem`."""


class HttpServer:
    """Takes connections, reads one request from each, answers it and closes.

    Args:
        app: the Microdot application that answers.
        captive_redirect: function (request) that answers before it, or returns None.
        within: as of `Scheduler`.
    """

    def __init__(self, app, captive_redirect, within):
        self._app = app
        self._within = within
        self._captive_redirect = captive_redirect
        self._tasks = set()
        self._served = 0
        self._large_body = asyncio.Lock()

    async def connection(self, reader, stream):
        """Serves one connection; the callback of asyncio.start_server."""
        task = asyncio.current_task()
        self._tasks.add(task)
        served = self._served < _CONNECTIONS
        self._served += served
        writer = Writer(stream, self._within)
        res = None
        try:
            if served:
                res = await self._answer(reader, writer)
            else:
                res = problem(503, "busy", "Too many connections.", None, 1)
            if res:
                await send(writer, res)
                if res.status_code >= 400:
                    await self._linger(reader)
        except asyncio.TimeoutError:
            pass  # the client does not read: dropped
        except OSError as error:
            if not _gone(error):
                sys.print_exception(error)
        except Exception as error:
            sys.print_exception(error)
        finally:
            if res and hasattr(res.body, "close"):
                res.body.close()
            stream.close()
            await stream.wait_closed()
            self._served -= served
            self._tasks.discard(task)

    async def close(self):
        """Cancels all connections and waits until each has closed itself."""
        for task in list(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.sleep_ms(0)

    async def _answer(self, reader, writer):
        """The response to what the client sends; None if it sends nothing."""
        try:
            request = await self._within(_REQUEST_S * 1000, self._request(reader, writer))
        except asyncio.TimeoutError:
            return problem(408, "slow", f"The request took more than {_REQUEST_S} s.")
        except Refused as error:
            return problem(*error.args)
        except MemoryError:
            return problem(503, "busy", "Short of memory. Try again in a second.", None, 1)
        if request is None:
            return None
        res = self._captive_redirect(request)
        await asyncio.sleep_ms(0)
        return res or await self._app.dispatch_request(request)

    async def _linger(self, reader):
        """Takes in what still arrives until the client closes: closing on unread bytes would reset
        the connection and lose the answer on its way."""
        try:
            await self._within(_LINGER_MS, _discard(reader))
        except asyncio.TimeoutError:
            pass

    async def _request(self, reader, writer):
        """Reads one request, None if the client closes without a word. Raises Refused."""
        data = b""
        while True:
            chunk = await reader.read(_READ)
            if not chunk:
                if data:
                    raise Refused(400, "cut", "The request ends in the middle.")
                return None
            data += chunk
            end = data.find(b"\r\n\r\n")
            if end > _HEAD or (end < 0 and len(data) > _HEAD):
                raise Refused(431, "head", f"Line and headers may be {_HEAD} bytes long.")
            if end >= 0:
                break
        await asyncio.sleep_ms(0)
        try:
            method, url, version, headers = await parse_head(data[:end].decode())
            body = await self._body(reader, data[end + 4 :], body_length(headers))
            client = _client(writer.stream.get_extra_info("peername"))
            await asyncio.sleep_ms(0)
            return Request(
                self._app,
                client,
                method,
                url,
                version,
                headers,
                body,
                sock=(reader, writer),
            )
        except ValueError:
            raise Refused(400, "encoding", "The request is not valid UTF-8.")

    async def _body(self, reader, start, length):
        """The body, whose first bytes are in `start`. Large bodies are read one at a time."""
        missing = length - len(start)
        if missing <= 0:
            return start[:length]
        try:
            if length <= _SMALL_BODY:
                return start + await reader.readexactly(missing)
            async with self._large_body:
                return start + await reader.readexactly(missing)
        except EOFError:
            raise Refused(400, "cut", "The body is shorter than its Content-Length.")


class Writer:
    """Collects the small writes of a response into segments.

    Args:
        stream: an asyncio stream; within: as of `Scheduler`.
        stall_ms: what a segment may take before asyncio.TimeoutError is raised.
    """

    def __init__(self, stream, within, stall_ms=_STALL_MS):
        self.stream = stream
        self._within = within
        self._stall_ms = stall_ms
        self._waiting = bytearray()

    async def awrite(self, data):
        """Takes bytes to send; sends what waits once a segment is full, what is large at once."""
        if len(self._waiting) + len(data) > _SEGMENT:
            await self.flush()
        if not self._waiting and len(data) >= _LARGE:
            await self._send(data)
        else:
            self._waiting += data
            await asyncio.sleep_ms(0)

    async def flush(self):
        """Sends what waits."""
        if self._waiting:
            data = self._waiting
            self._waiting = bytearray()
            await self._send(data)

    async def _send(self, data):
        self.stream.write(data)
        if self.stream.out_buf:  # the socket did not take all of it
            await self._within(self._stall_ms, self.stream.drain())
        else:
            await asyncio.sleep_ms(0)


async def send(writer, res):
    """Sends a response with the headers that every answer carries, the head in one piece."""
    await asyncio.sleep_ms(0)
    res.complete()
    if "Cache-Control" not in res.headers:
        res.headers["Cache-Control"] = "no-store"
    await asyncio.sleep_ms(0)
    head = "HTTP/1.0 %d %s\r\n" % (res.status_code, res.reason or "OK")
    for name, value in res.headers.items():
        head += name + ": " + value + "\r\n"
    await writer.awrite((head + _SECURITY).encode())
    if not res.is_head:
        async for chunk in res.body_iter():
            await writer.awrite(chunk.encode() if isinstance(chunk, str) else chunk)
    await writer.flush()


async def parse_head(text):
    """Splits request line and headers, without their last empty line.

    Other tasks run after every second header.

    Returns:
        tuple: method, url, HTTP version ("1.0" or "1.1") and a dict of the headers that anybody
        here asks for, under their usual names.

    Raises:
        Refused: they are not HTTP, or beyond a limit.
    """
    lines = text.split("\r\n")
    if "\0" in text or not len(lines) - 1 == text.count("\r") == text.count("\n"):
        raise Refused(400, "control", "Lines end with CR LF; NUL, CR and LF stand nowhere else.")
    words = lines.pop(0).split(" ")
    if len(words) != 3 or not words[1].startswith("/"):
        raise Refused(400, "request_line", "The request line is not HTTP.")
    method, url, version = words
    if not method.isalpha() or not method.isupper():
        raise Refused(400, "request_line", "A method is made of capital letters.")
    if version not in ("HTTP/1.0", "HTTP/1.1"):
        if version.startswith("HTTP/"):
            raise Refused(505, "version", "HTTP/1.0 and HTTP/1.1 are understood.")
        raise Refused(400, "version", "The request line does not end with an HTTP version.")
    if len(url) > _URL or len(url.split("?", 1)[0]) > _PATH:
        raise Refused(414, "url", f"An address may be {_URL} bytes long, {_PATH} up to the '?'.")
    if not _escapes_ok(url):
        raise Refused(400, "url", "The address has a bad % escape.")
    if len(lines) > _HEADERS:
        raise Refused(431, "head", f"A request may have {_HEADERS} headers.")
    headers = {}
    for k, line in enumerate(lines):
        if k % 2 == 1:
            await asyncio.sleep_ms(0)
        name, colon, value = line.partition(":")
        if not colon or not name or " " in name or "\t" in name:
            raise Refused(400, "header", "A header is not of the form 'Name: value'.")
        name = _HEADER_NAMES.get(name.lower())
        if name in headers:
            raise Refused(400, "header", "A header comes twice.", name)
        if name:
            headers[name] = value.strip()
    if version == "HTTP/1.1" and "Host" not in headers:
        raise Refused(400, "header", "HTTP/1.1 requires a Host header.", "Host")
    return method, url, version[5:], headers


def body_length(headers):
    """The length of the body in bytes, 0..16384. Raises Refused."""
    if "Transfer-Encoding" in headers:
        raise Refused(411, "length", "Send a Content-Length; no encoding is understood.")
    text = headers.get("Content-Length", "0")
    if not text.isdigit():
        raise Refused(400, "length", "Content-Length must be a number.", "Content-Length")
    if len(text) > 5 or int(text) > _BODY:
        raise Refused(413, "body", f"A body may be {_BODY} bytes long.")
    return int(text)


def _escapes_ok(text):
    for part in text.split("%")[1:]:
        if len(part) < 2 or part[0] not in _HEX or part[1] not in _HEX:
            return False
    return True


async def _discard(reader):
    while await reader.read(_READ):
        pass


def _client(peer):
    """The client's address: of (host, port) on the ESP32, of a sockaddr_in on the Unix port."""
    return peer[0] if isinstance(peer, tuple) else bytes(peer[4:8])


def _gone(error):
    return error.errno == _EPIPE or errno.errorcode.get(error.errno) in _GONE
