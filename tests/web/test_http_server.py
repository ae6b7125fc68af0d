# SPDX-License-Identifier: GPL-3.0-only
"""The HTTP server against clients that are wrong, slow, many or hostile."""

import gzip
import json
import re
import socket
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from rigs import PASSWORD, ROOT, Rig, receive_all, started

HOST = b"Host: 127.0.0.1\r\n"
GOOD = b"GET /api/state HTTP/1.1\r\n" + HOST + b"\r\n"


def post(headers, body=b""):
    return b"POST /api/login HTTP/1.1\r\n" + HOST + headers + b"\r\n" + body


MALFORMED = {
    "empty lines": (b"\r\n\r\n", 400),
    "no version": (b"GET /\r\n\r\n", 400),
    "words missing": (b"GET\r\n\r\n", 400),
    "too many words": (b"GET / / HTTP/1.1\r\n\r\n", 400),
    "binary": (bytes(range(128, 256)) + b"\r\n\r\n", 400),
    "tls hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "first bytes of a tls hello": (b"\x16\x03\x01\x02\x00\x01", 400),
    "http 2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "version 2": (b"GET / HTTP/2.0\r\n\r\n", 505),
    "version 1.2": (b"GET / HTTP/1.2\r\n\r\n", 505),
    "version garbage": (b"GET / HTPP/1.1\r\n\r\n", 400),
    "star": (b"GET * HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "line feeds only": (b"GET /metrics HTTP/1.0\n\n", 400),
    "line feed in a first line": (b"GET /metrics HTTP/1.0\nHost: a", 400),
    "authority": (b"GET 127.0.0.1:80 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "other scheme": (b"GET ftp://127.0.0.1/ HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "method garbage": (b"G=T / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "method in small letters": (b"head / HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "unknown method": (b"BREW / HTTP/1.1\r\n" + HOST + b"\r\n", 405),
    "no host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "two hosts": (b"GET / HTTP/1.1\r\n" + HOST + HOST + b"\r\n", 400),
    "folded header": (b"GET / HTTP/1.1\r\n" + HOST + b" folded\r\n\r\n", 400),
    "no colon": (b"GET / HTTP/1.1\r\n" + HOST + b"nonsense\r\n\r\n", 400),
    "space before colon": (b"GET / HTTP/1.1\r\n" + HOST + b"A : b\r\n\r\n", 400),
    "nameless header": (b"GET / HTTP/1.1\r\n" + HOST + b": b\r\n\r\n", 400),
    "nul in header": (b"GET / HTTP/1.1\r\n" + HOST + b"A: \x00\r\n\r\n", 400),
    "bare line feed": (b"GET / HTTP/1.1\r\n" + HOST + b"A: b\nC: d\r\n\r\n", 400),
    "invalid utf-8": (b"GET / HTTP/1.1\r\n" + HOST + b"A: \xff\xfe\r\n\r\n", 400),
    "bad escape": (b"GET /%zz HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "signed escape": (b"GET /?a=%+1 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "cut escape": (b"GET /api/state?a=%2 HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "escape not utf-8": (b"GET /api/state?a=%ff HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "lone percent": (b"GET /api/state?% HTTP/1.1\r\n" + HOST + b"\r\n", 400),
    "long path": (b"GET /api/" + b"x" * 400 + b"/1 HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "long address": (b"GET /?" + b"x" * 600 + b" HTTP/1.1\r\n" + HOST + b"\r\n", 414),
    "41 headers": (b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 41 + b"\r\n", 431),
    "long header": (b"GET / HTTP/1.1\r\nA: " + b"x" * 5000 + b"\r\n\r\n", 431),
    "endless line": (b"GET /" + b"x" * 200000, 431),
    "path out of the folder": (b"GET /../auth.py HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "negative length": (post(b"Content-Length: -1\r\n"), 400),
    "garbage length": (post(b"Content-Length: 1e3\r\n"), 400),
    "empty length": (post(b"Content-Length:\r\n"), 400),
    "plus length": (post(b"Content-Length: +5\r\n", b"12345"), 400),
    "two lengths": (post(b"Content-Length: 2\r\nContent-Length: 3\r\n", b"{}"), 400),
    "large body": (post(b"Content-Length: 16385\r\n", b"x" * 16385), 413),
    "huge length": (post(b"Content-Length: " + b"9" * 400 + b"\r\n"), 413),
    "chunked": (post(b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\n\r\n"), 411),
    "body too large for its address": (post(b"Content-Length: 257\r\n", b"x" * 257), 413),
    "body encoded": (post(b"Content-Length: 2\r\nContent-Encoding: gzip\r\n", b"\x1f\x8b"), 415),
    "form": (
        post(
            b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 17\r\n",
            b"password=Stage-77",
        ),
        415,
    ),
    "multipart": (
        post(b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 3\r\n", b"--x"),
        415,
    ),
    "body not json": (post(b"Content-Length: 3\r\n", b"{x}"), 400),
    "body not an object": (post(b"Content-Length: 4\r\n", b"[12]"), 400),
    "body a number": (post(b"Content-Length: 2\r\n", b"12"), 400),
    "body empty": (post(b""), 400),
    "body a deep nest": (post(b"Content-Length: 256\r\n", b"[" * 256), 400),
    "body not utf-8": (post(b"Content-Length: 18\r\n", b'{"password":"\xff\xfe"} '), 400),
    "password a number": (post(b"Content-Length: 14\r\n", b'{"password":1}'), 400),
    "battery 0": (b"POST /api/batteries/0/off HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "battery 17": (b"POST /api/batteries/17/off HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "battery -1": (b"POST /api/batteries/-1/off HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "battery 1e1": (b"POST /api/batteries/1e1/off HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "unknown action": (b"POST /api/batteries/1/explode HTTP/1.1\r\n" + HOST + b"\r\n", 404),
    "change by get": (b"GET /api/batteries/1/off HTTP/1.1\r\n" + HOST + b"\r\n", 405),
}


@pytest.fixture(scope="module")
def shared():
    """One rig for all malformed requests: none may leave it worse for the next."""
    yield from started(PASSWORD)


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed(shared, name):
    request, status = MALFORMED[name]
    # One address for each: five logins a minute and client.
    answer = shared.raw(request, source=f"127.0.1.{1 + list(MALFORMED).index(name)}")
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 %d " % status), answer
    assert re.fullmatch(rb'\{"error":\{.*"code":"\w+".*\}\}', body), body
    assert b"\r\nConnection: close" in head
    assert shared.raw(GOOD).startswith(b"HTTP/1.0 200 OK")


def test_every_answer_has_the_security_headers(rig):
    for method, path in (("GET", "/"), ("GET", "/nothing"), ("POST", "/"), ("GET", "/api/state")):
        _, headers, _ = rig.ask(method, path)
        assert headers["Content-Security-Policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
            "connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'self'; "
            "frame-ancestors 'none'"
        )
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Connection"] == "close"
        assert headers["Cache-Control"] == ("no-cache" if headers["ETag"] else "no-store")
    assert b"Content-Security-Policy: default-src 'none'" in rig.raw(b"\r\n\r\n")


def test_page_files_are_asked_for_again_only_when_changed(rig):
    for path in ("/", "/app.js", "/style.css", "/messages.json"):
        status, headers, content = rig.ask("GET", path)
        assert status == 200
        assert content
        status, _, content = rig.ask("GET", path, If_None_Match=headers["ETag"])
        assert (status, content) == (304, b"")
        assert rig.ask("GET", path, If_None_Match='"other"')[0] == 200


def test_the_page_is_served_as_it_was_built(rig):
    for name in ("app.js", "charts.js", "style.css"):
        built = (ROOT / f"build/page/{name}.gz").read_bytes()
        _, headers, content = rig.ask("GET", f"/{name}", Accept_Encoding="gzip")
        assert headers["Content-Encoding"] == "gzip"
        assert int(headers["Content-Length"]) == len(content)
        assert content == built
        _, headers, content = rig.ask("GET", f"/{name}")
        assert headers["Content-Encoding"] is None
        assert content == gzip.decompress(built)
    assert rig.ask("GET", "/app.js")[1]["Content-Type"].startswith("text/javascript")
    assert "default-src 'none'" in rig.ask("GET", "/")[1]["Content-Security-Policy"]


def test_without_a_built_page_there_is_the_api():
    rig = Rig(page=False)
    try:
        assert rig.ask("GET", "/")[0] == 404
        assert rig.ask("GET", "/api/state")[0] == 200
    finally:
        assert rig.stop() == ""


def test_head_and_allow(rig):
    for path in ("/", "/api/state", "/api/live", "/app.js", "/api/openapi.json"):
        answer = rig.raw(b"HEAD " + path.encode() + b" HTTP/1.1\r\nHost: rig\r\n\r\n")
        assert answer.startswith(b"HTTP/1.0 200 OK")
        assert answer.endswith(b"\r\n\r\n")
    status, headers, _ = rig.ask("DELETE", "/api/state")
    assert status == 405
    assert headers["Allow"] == "GET, HEAD, OPTIONS"
    status, headers, _ = rig.ask("GET", "/api/login")
    assert status == 405
    assert headers["Allow"] == "POST, OPTIONS"


def test_half_a_request_is_dropped_after_three_seconds(rig):
    halves = (b"", b"GET /api/state HT", GOOD[:-2], post(b"Content-Length: 9\r\n", b"{"))
    began = time.monotonic()
    with ThreadPoolExecutor() as clients:
        answers = list(clients.map(rig.raw, halves))
    assert all(answer.startswith(b"HTTP/1.0 408 ") for answer in answers), answers
    assert time.monotonic() - began > 2.5


def test_a_byte_at_a_time_is_dropped_too(rig):
    with socket.create_connection(("127.0.0.1", rig.port), 10) as link, pytest.raises(OSError):
        for byte in b"GET /" + b"a" * 100:
            link.sendall(bytes([byte]))
            time.sleep(0.1)


@pytest.mark.parametrize("start", [GOOD[:9], post(b"Content-Length: 9\r\n", b"{")])
def test_a_cut_request_is_refused_at_once(rig, start):
    with socket.create_connection(("127.0.0.1", rig.port), 5) as link:
        link.sendall(start)
        link.shutdown(socket.SHUT_WR)
        assert receive_all(link).startswith(b"HTTP/1.0 400 ")


def test_a_silent_close_and_a_reset_leave_nothing(rig):
    for _ in range(20):
        socket.create_connection(("127.0.0.1", rig.port), 5).close()
    for _ in range(4):
        link = socket.create_connection(("127.0.0.1", rig.port), 5)
        link.sendall(b"GET /api/live HTTP/1.0\r\n\r\n")
        assert link.recv(15) == b"HTTP/1.0 200 OK"
        reset = b"\x01\x00\x00\x00\x00\x00\x00\x00"
        link.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        link.close()
    time.sleep(3)
    assert rig.ask("HEAD", "/api/live")[0] == 200, "the streams must have been given back"


def test_a_refusal_reaches_a_client_that_is_still_sending(rig):
    with socket.create_connection(("127.0.0.1", rig.port), 5) as link:
        link.sendall(post(b"Content-Length: 20000\r\n"))
        for _ in range(2):
            time.sleep(0.1)
            link.sendall(b"x" * 1000)
        assert receive_all(link).startswith(b"HTTP/1.0 413 ")


def held(rig, sources):
    """Connections of these addresses, on each of which half a request was sent."""
    links = []
    for source in sources:
        links.append(socket.create_connection(("127.0.0.1", rig.port), 5, (source, 0)))
        links[-1].sendall(GOOD[:9])
    time.sleep(0.4)
    return links


def is_open(link):
    """True while the rig has not closed a connection."""
    link.settimeout(0.3)
    try:
        return link.recv(1) != b""
    except TimeoutError:
        return True


def test_twelve_held_connections_leave_room_for_the_owner(rig):
    links = held(rig, ["127.0.0.2"] * 12)
    assert rig.ask("GET", "/api/state", source="127.0.0.9")[0] == 200
    assert rig.ask("GET", "/api/state", source="127.0.0.2")[0] == 200, "even from where they are"
    for link in links:
        link.close()


def test_the_oldest_of_the_greediest_gives_way(rig):
    links = held(rig, ["127.0.0.3", "127.0.0.2", "127.0.0.4", "127.0.0.2", "127.0.0.5"])
    links += held(rig, ["127.0.0.6", "127.0.0.7", "127.0.0.4", "127.0.0.2"])
    assert [is_open(link) for link in links] == [True, False] + [True] * 7
    for link in links:
        link.close()


def test_streams_that_are_read_do_not_give_way(rig):
    own = ("127.0.0.2", 0)
    streams = [socket.create_connection(("127.0.0.1", rig.port), 5, own) for _ in range(4)]
    for stream in streams:
        stream.sendall(b"GET /api/live HTTP/1.0\r\n\r\n")
        assert stream.recv(15) == b"HTTP/1.0 200 OK"
    links = held(rig, [f"127.0.0.{k}" for k in range(3, 7)])
    assert rig.ask("GET", "/api/state", source="127.0.0.9")[0] == 200
    assert [is_open(link) for link in links] == [False, True, True, True]
    for stream in streams:
        while b"data: [4," not in stream.recv(65536):
            pass
        stream.close()


def test_forty_at_once_are_all_answered(rig):
    gate = threading.Barrier(40)

    def one(_):
        gate.wait()
        return rig.raw(GOOD).split(b" ", 2)[1]

    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(one, range(40)))
    assert set(answers) <= {b"200", b"503"}
    assert answers.count(b"200") >= 8
    assert rig.ask("GET", "/api/state")[0] == 200


def test_large_bodies_are_read_one_at_a_time(rig):
    token = rig.login()["Authorization"].encode()
    head = b"PATCH /api/settings HTTP/1.1\r\n" + HOST + b"Authorization: " + token + b"\r\n"
    head += b"Content-Length: 16384\r\n\r\n"
    with (
        socket.create_connection(("127.0.0.1", rig.port), 8) as slow,
        socket.create_connection(("127.0.0.1", rig.port), 8) as second,
    ):
        slow.sendall(head + b"[")
        time.sleep(0.2)
        second.sendall(head + b"x" * 16384)
        second.settimeout(1)
        with pytest.raises(TimeoutError):
            second.recv(1)
        slow.sendall(b"x" * 16383)
        assert receive_all(slow).startswith(b"HTTP/1.0 400 ")
        assert receive_all(second).startswith(b"HTTP/1.0 400 ")


def test_targets_that_proxies_send(rig):
    answer = rig.raw(b"GET http://rig/api/state?a=b HTTP/1.1\r\nHost: other\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 200 OK")
    answer = rig.raw(b"OPTIONS * HTTP/1.1\r\n" + HOST + b"\r\n")
    assert answer.startswith(b"HTTP/1.0 200 ")
    assert b"\r\nAllow: DELETE, GET, PATCH, POST, PUT, HEAD, OPTIONS\r\n" in answer
    assert rig.raw(b"\r\n" + GOOD).startswith(b"HTTP/1.0 200 OK"), "an empty line before it"
    session = rig.login()
    token = session["Authorization"].encode()
    head = b"POST http://evil.example/api/bus/reset HTTP/1.1\r\n" + HOST
    answer = rig.raw(head + b"Authorization: " + token + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 403 "), "the target names the host"


def test_the_body_of_who_may_not_ask_is_not_waited_for(rig):
    head = b"PATCH /api/settings HTTP/1.1\r\n" + HOST + b"Content-Length: 16384\r\n\r\n{"
    assert rig.raw(head).startswith(b"HTTP/1.0 401 ")
    head = b"POST /api/login HTTP/1.1\r\n" + HOST + b"Content-Length: 99\r\n\r\n{"
    head = head.replace(b"\r\n\r\n", b"\r\nOrigin: http://evil.example\r\n\r\n")
    assert rig.raw(head).startswith(b"HTTP/1.0 403 ")


def test_a_body_that_waits_to_be_asked_for(rig):
    body = b'{"password": "Stage-77"}'
    with socket.create_connection(("127.0.0.1", rig.port), 5) as link:
        link.sendall(post(b"Content-Length: %d\r\nExpect: 100-continue\r\n" % len(body)))
        assert link.recv(99) == b"HTTP/1.1 100 Continue\r\n\r\n"
        link.sendall(body)
        assert receive_all(link).startswith(b"HTTP/1.0 200 ")


def test_programs_without_gzip_read_what_is_for_them(rig):
    plain = rig.ask("GET", "/api/openapi.json")
    assert plain[0] == 200 and plain[1]["Content-Encoding"] is None
    assert plain[2]["openapi"] == "3.1.0"
    for accepted in ("gzip", "br, gzip;q=0.5", "*", "gzip, deflate, br, zstd"):
        status, headers, packed = rig.ask("GET", "/api/openapi.json", Accept_Encoding=accepted)
        assert (status, headers["Content-Encoding"]) == (200, "gzip"), accepted
        assert json.loads(gzip.decompress(packed)) == plain[2]
        assert headers["ETag"] != plain[1]["ETag"] and headers["Vary"] == "Accept-Encoding"
    for accepted in ("identity", "gzip;q=0", "gzip; q=0.0, br", "", "*;q=0"):
        _, headers, _ = rig.ask("GET", "/api/openapi.json", Accept_Encoding=accepted)
        assert headers["Content-Encoding"] is None, accepted
        tag = headers["ETag"]
        answer = rig.ask("GET", "/api/openapi.json", Accept_Encoding=accepted, If_None_Match=tag)
        assert answer[0] == 304
    for path in ("/metrics", "/api/state", "/messages.json"):
        headers = rig.ask("GET", path, Accept_Encoding="gzip")[1]
        assert headers["Content-Encoding"] is None
    assert rig.raw(b"GET / HTTP/1.0\r\n\r\n").rstrip().endswith(b"</html>")


def test_a_stream_is_not_kept_by_a_proxy(rig):
    _, headers, _ = rig.ask("HEAD", "/api/live")
    assert headers["X-Accel-Buffering"] == "no"
    assert headers["Cache-Control"] == "no-store, no-transform"
