# SPDX-License-Identifier: GPL-3.0-only
"""Password hash, sessions and quotas, across the wrap of the clock."""

import asyncio
import json
from binascii import hexlify

from parallelator import formats
from parallelator.web import Refused, auth

PERIOD = 1 << 30  # of time.ticks_ms on the ESP32
HOUR_MS = 3600000


class Clock:
    """A clock set by hand, with the period of the ESP32's."""

    def __init__(self, now):
        self.now = now

    def ms(self):
        return self.now % PERIOD

    def diff(self, a, b):
        return (a - b + PERIOD // 2) % PERIOD - PERIOD // 2


class Request:
    """What auth reads of a request; `read` says whether its body was asked for."""

    content_type = None

    def __init__(self, client="10.0.0.1", token="", body=None, **headers):
        self.client_addr = client
        self.headers = headers
        self.cookies = {auth.COOKIE: token}
        self.stream = self
        self.asked = False
        self._body = body

    async def read(self):
        self.asked = True
        return self._body


def login(guard, client="10.0.0.1", password="right", token="", **headers):
    body = json.dumps({"password": password}).encode()
    return asyncio.run(guard.login(Request(client, token, body, **headers)))


def token_of(res):
    return res.headers["Set-Cookie"].split(";")[0].split("=")[1]


def make(now=0, password="right", hosts="", events=None):
    clock = Clock(now)
    values = {"web.password": password, "web.hosts": hosts}
    told = [] if events is None else events
    emit = lambda code, *_: told.append(code)  # noqa: E731
    return clock, values, auth.Auth(values, clock, emit, lambda: "Rig")


def test_pbkdf2_vectors():
    # RFC 7914 section 11, first 32 bytes, and the SHA-256 values known for RFC 6070's inputs
    vectors = (
        (b"passwd", b"salt", 1, "55ac046e56e3089fec1691c22544b605"),
        (b"password", b"salt", 1, "120fb6cffcf8b32c43e7225256c4f837"),
        (b"password", b"salt", 4096, "c5e478d59288c841aa530db6845c4c8d"),
    )
    for password, salt, iterations, expected in vectors:
        digest = asyncio.run(auth.pbkdf2(password, salt, iterations))
        assert len(digest) == 32
        assert hexlify(digest[:16]).decode() == expected


def test_pbkdf2_of_a_password_longer_than_a_block():
    # hashlib.pbkdf2_hmac("sha256", b"x" * 100, b"salt", 3) of CPython 3.11
    digest = asyncio.run(auth.pbkdf2(b"x" * 100, b"salt", 3))
    assert hexlify(digest).decode() == (
        "59bfa49750dd5462ce38370a1e7abe0736ff334cf1c2f0d84f23a03435d660d1"
    )


def test_others_run_during_the_hash():
    turns = 0

    async def other():
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep_ms(0)

    async def main():
        task = asyncio.create_task(other())
        await auth.pbkdf2(b"a", b"b", 1000)
        task.cancel()

    asyncio.run(main())
    assert turns >= 100, turns


def test_a_session_lasts_twelve_hours_after_its_last_request():
    for start in (0, PERIOD - 6 * HOUR_MS, PERIOD - 1):
        clock, _, guard = make(start)
        request = Request(token=token_of(login(guard)))
        for _ in range(3):
            clock.now += 12 * HOUR_MS - 1
            assert guard.logged_in(request)
        clock.now += 12 * HOUR_MS
        assert not guard.logged_in(request)


def test_an_old_session_does_not_come_back_when_the_clock_wraps():
    clock, _, guard = make()
    request = Request(token=token_of(login(guard)))
    for _ in range(PERIOD // 60000 + 1):
        clock.now += 60000
        guard.sweep()
    clock.now = PERIOD
    assert not guard.logged_in(request)


def test_the_ninth_session_ends_the_one_seen_longest_ago():
    clock, _, guard = make(PERIOD - 4000)
    requests = []
    for i in range(8):
        requests.append(Request(token=token_of(login(guard, i))))
        clock.now += 1000
    assert guard.logged_in(requests[0])
    newest = Request(token=token_of(login(guard, 99)))
    assert not guard.logged_in(requests[1])
    assert all(guard.logged_in(request) for request in [newest, requests[0]] + requests[2:])


def test_quota_slides_and_says_how_long_to_wait():
    for start in (0, PERIOD - 4000):
        clock = Clock(start)
        quota = auth.Quota(clock, 3, 10000)
        for _ in range(3):
            assert quota.take("a") == 0
            clock.now += 2000
        assert quota.take("a") == 4
        assert quota.take("b") == 0
        clock.now += 3999
        assert quota.take("a") == 1
        clock.now += 1
        assert quota.take("a") == 0
        assert quota.take("a") == 2


def test_quota_forgets_the_stalest_of_16_clients_only():
    clock = Clock(PERIOD - 8)
    quota = auth.Quota(clock, 1, 10000)
    for client in range(16):
        assert quota.take(client) == 0
        clock.now += 1
    assert quota.take("new") == 0
    assert quota.take(1) > 0
    assert quota.take(0) == 0


def test_refused_tries_do_not_prolong_the_wait():
    clock = Clock(0)
    quota = auth.Quota(clock, 1, 10000)
    assert quota.take("a") == 0
    for _ in range(9):
        clock.now += 1000
        assert quota.take("a") > 0
    clock.now += 1000
    assert quota.take("a") == 0


def test_no_password_no_change():
    for empty in ("", None):
        _, _, guard = make(password=empty)
        assert not guard.writable()
        assert asyncio.run(guard.refusal(Request())).status_code == 403
        assert login(guard, password="").status_code == 403


def test_same_compares_whole_values():
    assert auth._same(b"abc", b"abc")
    assert not auth._same(b"abc", b"abd")
    assert not auth._same(b"abc", b"ab")
    assert not auth._same(b"", b"a")


def test_a_damaged_hash_is_an_ordinary_password():
    digest = "$" + "0a" * 32
    for text in (
        "pbkdf2$x$00$00",
        "pbkdf2$1$zz$00",
        "pbkdf2$1$00",
        "md5$1$00$00",
        "pbkdf2$10000000$" + "00" * 16 + digest,
        "pbkdf2$1000$" + "00" * 15 + digest,
        "pbkdf2$1000$" + "00" * 16 + digest + "00",
    ):
        assert not formats.is_hash(text)
        _, _, guard = make(password=text)
        assert login(guard, password=text).status_code == 200
        assert login(guard, password="").status_code == 401


def test_the_rig_takes_its_own_hashes():
    stored = asyncio.run(auth.hashed("from the page"))
    assert formats.is_hash(stored) and asyncio.run(auth.hashed(stored)) == stored
    _, _, guard = make(password=stored)
    assert login(guard, password="from the page").status_code == 200
    assert login(guard, password=stored).status_code == 401


def test_logins_that_succeed_do_not_count():
    clock, _, guard = make()
    for _ in range(30):
        assert login(guard).status_code == 200
    for _ in range(5):
        assert login(guard, password="wrong").status_code == 401
    assert login(guard).status_code == 429
    clock.now += 60000
    assert login(guard).status_code == 200


def test_the_body_of_a_login_that_is_refused_is_not_read():
    _, _, guard = make()
    for _ in range(5):
        login(guard, password="wrong")
    request = Request(body=b'{"password": "right"}')
    assert asyncio.run(guard.login(request)).status_code == 429
    assert not request.asked
    _, _, guard = make(password="")
    request = Request(body=b'{"password": ""}')
    assert asyncio.run(guard.login(request)).status_code == 403
    assert not request.asked


def test_a_body_that_is_no_password_counts_as_a_try_of_its_client_only():
    events = []
    _, _, guard = make(events=events)
    for body in (b"", b"[1]", b'{"password": 1}', b'{"pass": "right"}', b"\xff"):
        try:
            res = asyncio.run(guard.login(Request(body=body)))
            assert res.status_code == 400, body
        except Refused as error:
            assert error.args[0] == 400, body
    assert login(guard).status_code == 429
    assert events == []


def test_twenty_wrong_passwords_of_all_together_and_whoever_is_logged_in_stays():
    events = []
    clock, _, guard = make(events=events)
    token = token_of(login(guard, "owner"))
    for k in range(20):
        assert login(guard, "10.0.0.%d" % k, "wrong").status_code == 401
    assert events == ["login_failed"] * 20
    res = login(guard, "10.0.1.1", "wrong")
    assert res.status_code == 429 and res.headers["Retry-After"] == "60"
    assert login(guard, "10.0.1.2").status_code == 429
    assert events[20:] == ["login_limit"] * 2
    assert guard.logged_in(Request(token=token))
    assert asyncio.run(guard.refusal(Request(token=token))) is None
    assert login(guard, "owner", token=token).status_code == 200
    clock.now += 60000
    assert login(guard, "10.0.1.2").status_code == 200


def test_a_change_is_taken_at_an_address_or_a_name_of_the_rig():
    def refused(host, origin=None, hosts=""):
        _, _, guard = make(hosts=hosts)
        headers = {"Host": host} if host is not None else {}
        if origin is not None:
            headers["Origin"] = origin
        res = login(guard, **headers)
        return json.loads(res.body)["error"]["code"] if res.status_code == 403 else None

    for host in (
        None,
        "192.168.1.23",
        "192.168.1.23:8080",
        "[fe80::1]:80",
        "rig",
        "RIG.local",
        "rig.local.",
        "rig.local:80",
        "localhost:8080",
    ):
        assert refused(host) is None, host
    for host in (
        "evil.example",
        "rig.evil.example",
        "rig.local.evil.example",
        "192.168.1.23.evil.example",
        "",
        "user@rig",
        "1.2.3",
    ):
        assert refused(host) == "host", host
    names = "Batteries.example.org, rig.lan"
    assert refused("batteries.example.org:8443", hosts=names) is None
    assert refused("rig.lan", "https://rig.lan", hosts=names) is None
    assert refused("127.0.0.1:80", "https://rig.lan", hosts=names) is None, "Host is not passed on"
    assert refused("127.0.0.1:80", "http://rig.lan.evil.example", hosts=names) == "origin"
    assert refused("rig.local", "http://rig.local") is None
    assert refused("rig.local", "http://rig.local:81") == "origin"
    assert refused("rig.local", "null") == "origin"
    assert refused("rig.local", "") == "origin"
