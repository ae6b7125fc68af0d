# SPDX-License-Identifier: GPL-3.0-only
"""The HTTP server: everything between the socket and the routes, with a bound on all of it.

`app` runs `serve` as a task. Microdot routes and formats; it never reads from a socket here,
because it has no time-outs and no limits of its own.
"""

import asyncio
import errno
import sys

from microdot import Request
from micropython import const

from . import Refused, problem
from .api import Api
from .auth import Auth
from .head import CONTROL, body_length, parse_head
from .live import Live

_CONNECTIONS = const(8)  # of lwIP's ten sockets; four of them at most are live streams
_PATIENCE_MS = const(250)
_REQUEST_S = const(3)
_STALL_MS = const(10000)
_LINGER_MS = const(300)
_HEAD = const(4096)
_SMALL_BODY = const(512)
_READ = const(1024)
_TLS = const(22)  # the first byte of a handshake, RFC 8446 section 5.1
_SEGMENT = const(512)  # it must find room in 128 KB of heap while four pages open at once
_LARGE = const(1000)
_SLOW = (408, "slow", "The request took more than 3 s.")
_SHORT = (503, "busy", "Short of memory. Try again in a second.", None, 1)
_EPIPE = const(32)  # in no MicroPython errno module; the same on Linux and lwIP
_GONE = ("ECONNABORTED", "ECONNRESET", "ENOTCONN", "ETIMEDOUT", "EHOSTUNREACH")
_SECURITY = (
    "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
    "img-src 'self' data:; connect-src 'self'; manifest-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'\r\n"
    "X-Content-Type-Options: nosniff\r\n"
    "Referrer-Policy: no-referrer\r\n"
    "Connection: close\r\n\r\n"
)


async def serve(rig: "Rig"):
    """Serves until it is cancelled; then closes the listening socket and every connection.

    Args:
        rig: the `Rig` that is served.

    Raises:
        OSError: the port is taken.
    """
    access = Auth(rig.settings, rig.clock, rig.events.emit, rig.network.hostname)
    live = Live(rig)
    api = Api(rig, access, live)
    http_server = HttpServer(api.app, api.captive_redirect, rig.clock, rig.within)
    port = rig.settings["web.port"]

    def connection(reader: "StreamReader", stream: "StreamWriter"):
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


class HttpServer:
    """Takes connections, reads one request from each, answers it and closes.

    Args:
        app: the Microdot application that answers.
        captive_redirect: function (request) that answers before it, or returns None.
        clock: the `ms` and `diff` of parallelator.clock.
        within: as of `Scheduler`.
    """

    def __init__(
        self,
        app: "Routes",
        captive_redirect: "Callable[[Request], Response | None]",
        clock: "Clock",
        within: "Callable[[int, Coroutine], Coroutine]",
    ):
        self._app = app
        self._within = within
        self._captive_redirect = captive_redirect
        self._clock = clock
        self._tasks = set()
        self._served = []
        self._large_body = asyncio.Lock()

    async def connection(self, reader: "StreamReader", stream: "StreamWriter"):
        """Serves one connection; the callback of asyncio.start_server."""
        task = asyncio.current_task()
        self._tasks.add(task)
        writer = Writer(stream, self._clock, self._within)
        client = Client(reader, writer, task, self._within)
        served = self._admit(client)
        res = None
        try:
            if served:
                res = await self._answer(client)
            else:
                res = problem(503, "busy", "Too many connections.", None, 1)
            if res:
                await _send_head(writer, res)
                if not res.is_head:
                    await _send_body(writer, res.body)
                await writer.flush()
                if res.status_code >= 400 or client.left:
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
            if client in self._served:
                self._served.remove(client)
            self._tasks.discard(task)

    def _admit(self, client: "Client"):
        """Takes a connection among those that are served; False when there is no room for it.

        The address with most connections gives one up: of those whose client lets the rig wait,
        the one that came first.
        """
        if len(self._served) == _CONNECTIONS:
            idle = [one for one in self._served if one.writer.waits_ms() >= _PATIENCE_MS]
            if not idle:
                return False
            addresses = [one.address for one in self._served]
            leaves = max(idle, key=lambda one: addresses.count(one.address))
            self._served.remove(leaves)
            leaves.task.cancel()
        self._served.append(client)
        return True

    async def close(self):
        """Cancels all connections and waits until each has closed itself."""
        for task in list(self._tasks):
            task.cancel()
        while self._tasks:
            await asyncio.sleep_ms(0)

    async def _answer(self, client: "Client"):
        """The response to what the client sends; None if it sends nothing."""
        try:
            request = await self._within(_REQUEST_S * 1000, self._request(client))
        except asyncio.TimeoutError:
            return problem(*_SLOW)
        except Refused as error:
            return problem(*error.args)
        except MemoryError:
            return problem(*_SHORT)
        if request is None:
            return None
        client.writer.waits(False)
        res = self._captive_redirect(request)
        await asyncio.sleep_ms(0)
        return res or await self._app.dispatch_request(request)

    async def _linger(self, reader: "StreamReader"):
        """Takes in what still arrives until the client closes: closing on unread bytes would reset
        the connection and lose the answer on its way."""
        try:
            await self._within(_LINGER_MS, _discard(reader))
        except asyncio.TimeoutError:
            pass

    async def _request(self, client: "Client"):
        """Reads the head of a request; None if the client closes first. Raises Refused."""
        data = b""
        end = -1
        while end < 0:
            chunk = await client.reader.read(_READ)
            if not chunk:
                if data:
                    raise Refused(400, "cut", "The request ends in the middle.")
                return None
            data += chunk
            if data[0] == _TLS:
                raise Refused(400, "tls", "The rig takes http://, not https://.")
            if data.startswith(b"\r\n") and not data.startswith(b"\r\n\r\n"):
                data = data[2:]  # RFC 9112 section 2.2: what some clients send behind a body
            end = data.find(b"\r\n\r\n")
            if end > _HEAD or (end < 0 and len(data) > _HEAD):
                raise Refused(431, "head", "Line and headers may be %d bytes long." % _HEAD)
            if end < 0 and data.count(b"\n") > data.count(b"\r\n"):
                raise Refused(*CONTROL)
        await asyncio.sleep_ms(0)
        try:
            method, url, version, headers = await parse_head(data[:end].decode())
            invited = version == "1.0" or headers.get("Expect", "").lower() != "100-continue"
            client.expect(data[end + 4 :], body_length(headers), invited, self._large_body)
            await asyncio.sleep_ms(0)
            return Request(
                self._app,
                client.address,
                method,
                url,
                version,
                headers,
                stream=client,
                sock=(client.reader, client.writer),
            )
        except ValueError:
            raise Refused(400, "encoding", "The request is not valid UTF-8.")


class Client:
    """The client of a connection, and the body of its request, which is read when a handler asks
    for it: after the permission is checked.

    Attributes:
        left: bytes of the body that are still to come.
    """

    def __init__(
        self,
        reader: "StreamReader",
        writer: "Writer",
        task: "Task",
        within: "Callable[[int, Coroutine], Coroutine]",
    ):
        self.reader = reader
        self._within = within
        self.writer = writer
        self.task = task
        self.address = _address(writer.stream.get_extra_info("peername"))
        self.left = 0

    def expect(self, start: bytes, length: int, invited: bool, large_body: "Lock"):
        """Note what the head says.

        Args:
            start: what came behind it; length: of the body, bytes.
            invited: False when the body will come once it is asked for.
            large_body: the lock of those who read a large one.
        """
        self._start = start[:length]
        self.left = length - len(self._start)
        self._invited = invited
        self._lock = large_body if length > _SMALL_BODY else None

    async def read(self):
        """The body, bytes. Large ones are read one at a time.

        Raises:
            Refused: it is shorter than said, or takes longer than 3 s.
        """
        if not self.left:
            return self._start
        self.writer.waits(True)
        try:
            return await self._within(_REQUEST_S * 1000, self._read())
        except asyncio.TimeoutError:
            raise Refused(*_SLOW)
        except EOFError:
            raise Refused(400, "cut", "The body is shorter than its Content-Length.")
        except MemoryError:
            raise Refused(*_SHORT)
        finally:
            self.writer.waits(False)

    async def _read(self):
        if not self._invited:
            await self.writer.awrite(b"HTTP/1.1 100 Continue\r\n\r\n")
            await self.writer.flush()
        if self._lock:
            async with self._lock:
                rest = await self.reader.readexactly(self.left)
        else:
            rest = await self.reader.readexactly(self.left)
        self.left = 0
        return self._start + rest


class Writer:
    """Collects the small writes of a response into segments.

    Args:
        stream: an asyncio stream; clock: the `ms` and `diff` of parallelator.clock.
        within: as of `Scheduler`.
        stall_ms: what a segment may take before asyncio.TimeoutError is raised.
    """

    def __init__(
        self,
        stream: "StreamWriter",
        clock: "Clock",
        within: "Callable[[int, Coroutine], Coroutine]",
        stall_ms: int = _STALL_MS,
    ):
        self.stream = stream
        self._clock = clock
        self._within = within
        self._stall_ms = stall_ms
        self._waiting = bytearray()
        self.waits(True)

    def waits(self, begins: bool):
        """The rig begins to wait for its client, or no longer does."""
        self._since = self._clock.ms() if begins else None

    def waits_ms(self):
        """For how long the rig has been waiting for its client."""
        return 0 if self._since is None else self._clock.diff(self._clock.ms(), self._since)

    async def awrite(self, data: "str | Buffer"):
        """Takes text or bytes; sends what waits once a segment is full, what is large at once."""
        data = data.encode() if isinstance(data, str) else data
        full = len(self._waiting) + len(data) > _SEGMENT
        if full:
            await self.flush()
        if not self._waiting and len(data) >= _LARGE:
            await self._send(data)
        else:
            self._waiting += data
            if not full:  # others went on while that was sent
                await asyncio.sleep_ms(0)

    async def flush(self):
        """Sends what waits."""
        if self._waiting:
            data = self._waiting
            self._waiting = bytearray()
            await self._send(data)

    async def _send(self, data: "Buffer"):
        self.stream.write(data)
        if self.stream.out_buf:  # pyright: ignore - what the socket did not take
            self.waits(True)
            await self._within(self._stall_ms, self.stream.drain())
            self.waits(False)
        else:
            await asyncio.sleep_ms(0)


async def _send_head(writer: "Writer", res: "Response"):
    """Sends the head of a response in one piece, with the headers that every answer carries."""
    await asyncio.sleep_ms(0)
    res.complete()
    if "Cache-Control" not in res.headers:
        res.headers["Cache-Control"] = "no-store"
    await writer.awrite(_head(res))
    res.headers = None  # a live stream lasts, and needs them no more


async def _send_body(writer: "Writer", body: "Any"):
    """Sends bytes, a file, or what gives text or bytes piece by piece."""
    if isinstance(body, bytes):
        await writer.awrite(body)
    elif hasattr(body, "read"):
        while piece := body.read(_READ):
            await writer.awrite(piece)
    elif hasattr(body, "__anext__"):
        async for piece in body:
            await writer.awrite(piece)
    else:
        try:
            while True:
                await writer.awrite(next(body))
        except StopIteration:
            pass


def _head(res: "Response"):
    """The status line and the headers of a response, bytes."""
    head = "HTTP/1.0 %d %s\r\n" % (res.status_code, res.reason or "OK")
    for name, value in res.headers.items():
        head += name + ": " + value + "\r\n"
    return (head + _SECURITY).encode()


async def _discard(reader: "StreamReader"):
    while await reader.read(_READ):
        pass


def _address(peer: "tuple | Buffer"):
    """The client's address: of (host, port) on the ESP32, of a sockaddr_in on the Unix port."""
    return peer[0] if isinstance(peer, tuple) else bytes(peer[4:8])


def _gone(error: OSError):
    return error.errno == _EPIPE or errno.errorcode.get(error.errno) in _GONE
