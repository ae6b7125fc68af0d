# SPDX-License-Identifier: GPL-3.0-only
"""Who may change things: password, sessions, limits on tries, names of the rig. Used by api and
swept by server. All of it is checked before the body of a request is read.

Nothing here is kept across a restart. Sessions and clients are few, bounded and swept at least
once a minute, so a difference of two `clock.ms()` stays far from the wrap of the clock (2^30 ms).
"""

import asyncio
import hashlib
import os
from binascii import hexlify, unhexlify

from micropython import const

from parallelator.formats import ITERATIONS, PBKDF2, host_of, hosts, is_hash, is_ip
from parallelator.snapshot import RIG

from . import answer, json_object, problem

COOKIE = "parallelator"
_COOKIE_S = const(2592000)  # the cookie outlives the session: the server decides when it ends
_SESSIONS = const(8)
_SESSION_MS = const(43200000)  # 12 h after the last request
_CLIENTS = const(16)
_HASH_BLOCK = const(64)  # SHA-256 block, FIPS 180-4 section 1


class Quota:
    """At most `count` uses in `span_ms` for each client; knows 16 clients and forgets the stalest.

    Args:
        clock: the `ms` and `diff` of parallelator.clock.
        count: uses allowed, 1 or more.
        span_ms: length of the sliding window in ms.
    """

    def __init__(self, clock: "Clock", count: int, span_ms: int):
        self._clock = clock
        self._count = count
        self._span_ms = span_ms
        self._uses = {}

    def take(self, client: "str | bytes | None"):
        """Books a use. Returns 0, or the whole seconds to wait when there is none left."""
        self.sweep()
        now = self._clock.ms()
        uses = self._uses.get(client)
        if uses is None:
            if len(self._uses) == _CLIENTS:
                del self._uses[_stalest(self._uses, lambda uses: self._age(uses[-1]))]
            uses = self._uses[client] = []
        if len(uses) == self._count:
            return (self._span_ms - self._age(uses[0]) + 999) // 1000
        uses.append(now)
        return 0

    def give_back(self, client: "str | bytes | None"):
        """Takes back the last use: it does not count."""
        uses = self._uses.get(client)
        if uses:
            uses.pop()

    def sweep(self):
        """Forgets uses older than the window."""
        for client, uses in list(self._uses.items()):
            while uses and self._age(uses[0]) >= self._span_ms:
                uses.pop(0)
            if not uses:
                del self._uses[client]

    def _age(self, then: int):
        return self._clock.diff(self._clock.ms(), then)


class Auth:
    """The rig's single account.

    Args:
        settings: `settings["web.password"]` is the password: empty or None for none, plain text,
            or its hash as of `hashed`; `settings["web.hosts"]` are further names of the rig. Read
            at each use: a change takes effect at once, that of the password ends all sessions.
        clock: the `ms` and `diff` of parallelator.clock.
        emit: function (code, i, state, reason, value) that records an event.
        hostname: function that returns what the rig is called in its network.
    """

    def __init__(
        self, settings: "Values", clock: "Clock", emit: "Emit", hostname: "Callable[[], str]"
    ):
        self._settings = settings
        self._clock = clock
        self._emit = emit
        self._hostname = hostname
        self._sessions = {}
        self._source = None
        self._hash = None
        self._logins = Quota(clock, 5, 60000)
        self._failures = Quota(clock, 20, 60000)  # of all clients together
        self._changes = Quota(clock, 10, 10000)

    def writable(self):
        """True when a password is set; without one the rig can only be looked at."""
        return bool(self._settings["web.password"])

    def logged_in(self, request: "Request"):
        """True when the request carries a live session, whose 12 hours then start anew."""
        self._end_sessions()
        token = _token(request)
        if token not in self._sessions:
            return False
        self._sessions[token] = self._clock.ms()
        return True

    async def refusal(self, request: "Request", counted: bool = True):
        """What forbids this request to change anything: a response, or None to go on.

        Other tasks run before it returns.

        Args:
            counted: True for a change that counts towards the client's limit.
        """
        res = self._unwanted(request)
        if res is None and not self.logged_in(request):
            res = problem(401, "login", "Log in first: POST /api/login with the password.")
        res = res or (_limited(self._changes, request.client_addr) if counted else None)
        await asyncio.sleep_ms(0)
        return res

    async def login(self, request: "Request"):
        """POST /api/login {"password": text}: answers with a session, or refuses it.

        Only what fails counts: five tries a minute and client, twenty of all clients together.
        Whoever has a session is not bound by the latter.
        """
        res = self._unwanted(request) or _limited(self._logins, request.client_addr)
        if res:
            return res
        password = (await json_object(request)).get("password")
        if not isinstance(password, str):
            message = 'The body must be JSON: {"password": "..."}.'
            return problem(400, "body", message, "password")
        stranger = not self.logged_in(request)
        res = _limited(self._failures, None) if stranger else None
        if res:
            self._emit("login_limit", RIG, 0, 0, 0)
            return res
        res = await self.session(password)
        if res.status_code != 200:
            self._emit("login_failed", RIG, 0, 0, 0)
            return res
        self._logins.give_back(request.client_addr)
        if stranger:
            self._failures.give_back(None)
        return res

    async def session(self, password: str):
        """Begins a session if this is the password; 401 if not.

        The answer has its token as a cookie, and in the body for programs that send
        `Authorization: Bearer`.
        """
        await asyncio.sleep_ms(0)
        if not await self._matches(password):
            return problem(401, "password", "This is not the password.", "password")
        await asyncio.sleep_ms(0)
        if len(self._sessions) == _SESSIONS:
            del self._sessions[_stalest(self._sessions, self._age)]
        token = hexlify(os.urandom(16)).decode()
        self._sessions[token] = self._clock.ms()
        return answer({"logged_in": True, "token": token}, 200, _cookie(token, _COOKIE_S))

    def first_refusal(self, request: "Request", left_s: int):
        """What forbids this request to set a password without the old one: a response, or None.

        Args:
            left_s: for how long that is still allowed, in s.
        """
        if left_s <= 0 and self.writable():
            return problem(403, "password_set", "There is a password already: log in.")
        if left_s <= 0:
            message = (
                "A first password is taken on the rig's own Wi-Fi within ten minutes of power-on, "
                "and anywhere after BOOT was held for ten seconds."
            )
            return problem(403, "setup_over", message)
        return self._foreign(request) or _limited(self._logins, request.client_addr)

    def logout(self, request: "Request"):
        """POST /api/logout: ends the session; without one there is nothing to end."""
        res = self._foreign(request)
        if res:
            return res
        self._sessions.pop(_token(request), None)
        return answer({"logged_in": False}, 200, _cookie("", 0))

    def sweep(self):
        """Ends sessions that are too old or whose password has changed. To be called each minute
        or oftener."""
        self._end_sessions()
        self._logins.sweep()
        self._failures.sweep()
        self._changes.sweep()

    def _end_sessions(self):
        if self._source != self._settings["web.password"]:
            self._sessions.clear()
        for token, seen in list(self._sessions.items()):
            if self._age(seen) >= _SESSION_MS:
                del self._sessions[token]

    def _unwanted(self, request: "Request"):
        if self.writable():
            return self._foreign(request)
        return problem(
            403,
            "no_password",
            "Read only: no password is set. Set one at /setup on the rig's own Wi-Fi within ten "
            "minutes of power-on, anywhere after BOOT was held for ten seconds, or as "
            "web.password in config.json.",
            "web.password",
        )

    def _foreign(self, request: "Request"):
        """Refuses requests of pages from other sites. A browser names the page's site as Origin
        and the rig as Host; Host is another name when somebody's DNS name leads to the rig."""
        host = request.headers.get("Host")
        if host is not None and not self._is_own(host_of(host)):
            message = (
                "Changes are taken at the rig's address or name, not at %s. A proxy's name has to "
                "be in web.hosts." % host
            )
            return problem(403, "host", message, "Host", v=host)
        origin = request.headers.get("Origin")
        if origin is None:
            return None
        page = origin.split("://", 1)[-1]
        if host and page.lower() == host.lower() or host_of(page) in self._proxies():
            return None
        message = (
            "Changes are taken from the rig's own page: this one is %s, and Host is %s. A proxy "
            "has to pass Host on, or its name be in web.hosts." % (origin, host)
        )
        return problem(403, "origin", message, "Origin")

    def _proxies(self):
        return hosts(self._settings["web.hosts"])

    def _is_own(self, name: str):
        own = self._hostname().lower()
        return (
            is_ip(name)
            or name.startswith("[")
            or name in (own, own + ".local", "localhost")
            or name in self._proxies()
        )

    async def _matches(self, password: str):
        source = self._settings["web.password"]
        if self._source != source:
            stored = await hashed(source)
            self._sessions.clear()
            self._hash = [unhexlify(part) for part in stored.split("$")[2:]]
            self._source = source
        salt, digest = self._hash
        return _same(await pbkdf2(password.encode(), salt), digest)

    def _age(self, then: int):
        return self._clock.diff(self._clock.ms(), then)


async def hashed(password: str):
    """`pbkdf2$<iterations>$<salt hex>$<hash hex>` of a password; such a hash stays as it is."""
    if is_hash(password):
        return password
    salt = os.urandom(16)
    digest = await pbkdf2(password.encode(), salt)
    return PBKDF2 + hexlify(salt).decode() + "$" + hexlify(digest).decode()


async def pbkdf2(password: bytes, salt: bytes, iterations: int = ITERATIONS):
    """PBKDF2-HMAC-SHA256 of one block (RFC 8018 section 5.2): 32 bytes.

    Other tasks run after every eighth iteration, about 2.5 ms on an ESP32.

    Args:
        password, salt: bytes.
        iterations: 1 or more.
    """
    inner, outer = pads(password)
    block = salt + b"\x00\x00\x00\x01"
    total = 0
    for i in range(iterations):
        if i % 8 == 7:
            await asyncio.sleep_ms(0)
        block = hashlib.sha256(outer + hashlib.sha256(inner + block).digest()).digest()
        total ^= int.from_bytes(block, "big")
    return total.to_bytes(32, "big")


def pads(key: bytes):
    """The blocks that HMAC-SHA256 puts before what it hashes (RFC 2104): inner, outer."""
    if len(key) > _HASH_BLOCK:
        key = hashlib.sha256(key).digest()
    number = int.from_bytes(key + bytes(_HASH_BLOCK - len(key)), "big")
    inner, outer = (int.from_bytes(pad * _HASH_BLOCK, "big") for pad in (b"\x36", b"\x5c"))
    return tuple((number ^ pad).to_bytes(_HASH_BLOCK, "big") for pad in (inner, outer))


def _same(a: bytes, b: bytes):
    """Compares in a time that depends on the lengths only."""
    difference = len(a) ^ len(b)
    for x, y in zip(a, b):
        difference |= x ^ y
    return difference == 0


def _stalest(table: dict, age: "Callable[[Any], int]"):
    return max(table, key=lambda key: age(table[key]))


def _token(request: "Request"):
    bearer = request.headers.get("Authorization", "")
    if bearer.startswith("Bearer "):
        return bearer[7:].strip()
    return request.cookies.get(COOKIE, "")


def _cookie(token: str, age_s: int):
    return {"Set-Cookie": f"{COOKIE}={token}; Path=/; Max-Age={age_s}; HttpOnly; SameSite=Strict"}


def _limited(quota: "Quota", client: "str | bytes | None"):
    wait_s = quota.take(client)
    if wait_s == 0:
        return None
    return problem(429, "rate", f"Too many tries. Wait {wait_s} s.", None, wait_s)
