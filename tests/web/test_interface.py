# SPDX-License-Identifier: GPL-3.0-only
"""The HTTP interface as a whole: its description, its limits, and what holds for every route."""

import os
import select
import socket
import subprocess
import threading

import pytest

import updates
from rigs import MICROPYTHON, PASSWORD, ROOT

SOAK = os.environ.get("SOAK") == "1"
REQUESTS = 5000 if SOAK else 500
EXAMPLES = 250 if SOAK else 7
"""Of an operation; one without parameters has but a few."""
METHODS = ("get", "post", "put", "patch", "delete")
CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_headers_conformance,response_schema_conformance,unsupported_method,"
    "allow_header_conformance"
)
ROUTES = """
from parallelator.web.api import FILES, ROUTES
rows = [row[:2] for row in ROUTES] + [("GET", file[0]) for file in FILES]
for method, path in rows:
    print(method.lower(), path.replace("<", "{").replace(">", "}"))
"""


def routes():
    """The firmware's own route table: set of (method, path)."""
    environment = os.environ | {"MICROPYPATH": f"{ROOT / 'lib'}:{ROOT / 'build/mpy-lib'}:.frozen"}
    said = subprocess.check_output([MICROPYTHON, "-c", ROUTES], env=environment, text=True)
    return {tuple(line.split()) for line in said.splitlines()}


CHANGES = sorted(route for route in routes() if route[0] != "get")
LOGIN = ("/api/login", "/api/logout")


def request_of(method, path, bundle):
    """A request of a changing route that would succeed: (path, body)."""
    if method == "put":
        return f"{path}?offset=0&confirmed=1&size={len(bundle)}", bundle[:4096]
    bodies = {
        "/api/update": {"confirmed": True},
        "/api/settings": {"name": "changed"},
        "/api/time": {"unix_s": 1900000000},
        "/api/alarms/{code}/known": {"since_ms": 1000000000},
        "/api/login": {"password": PASSWORD},
        "/api/setup": {"password": PASSWORD},
        "/api/show": {"end": 90},
    }
    names = {"n": "3", "action": "off", "name": "boot-0006.csv", "b": "4"}
    names["code"] = "uncontrolled"
    real = path.format(**names)
    return real + ("?battery=3" if path.startswith("/switch") else ""), bodies.get(path)


def mark(rig):
    """What a change would alter."""
    events = rig.ask("GET", "/api/events")[2]["next"]
    state = rig.ask("GET", "/api/state")[2]
    wishes = [battery["wish"] for battery in state["batteries"]]
    update = rig.ask("GET", "/api/update")[2]
    nights = rig.ask("GET", "/api/calibration")[2].get("nights")
    alarms = [alarm["known_ms"] is None for alarm in state["alarms"]]
    return state["name"], state["time"][:4], wishes, alarms, events, update, nights


def test_the_description_is_of_these_routes_and_no_others(rig):
    described = rig.ask("GET", "/api/openapi.json")[2]
    listed = {
        (method, path)
        for path, item in described["paths"].items()
        for method in item
        if method in METHODS
    }
    assert listed == routes()


def test_there_are_routes_that_change_things():
    assert len(CHANGES) == 22
    assert ("patch", "/api/settings") in CHANGES


@pytest.mark.parametrize("route", CHANGES, ids=lambda route: " ".join(route))
def test_no_change_without_login_from_elsewhere_or_beyond_the_rate(rig, route, tmp_path):
    method, path = route
    bundle = updates.made(tmp_path)
    real, body = request_of(method, path, bundle)
    rig.tell("alarm bus_overload", "unplug 4", "charge 60 5 3000 - - - - - -", "learn 9 own")
    updates.give_key(rig)
    if route == ("post", "/api/update"):
        assert updates.upload(rig, bundle, rig.login("127.0.0.9"))[0] == 200
    before = mark(rig)

    def ask(**headers):
        status, _, answer = rig.ask(method.upper(), real, body, **headers)
        return status, answer.get("error", {}).get("code")

    session = rig.login()
    if path == "/api/setup":
        assert ask() == ask(**session) == (403, "password_set")
        assert mark(rig) == before
        return
    assert ask(Origin="http://evil.example", **session) == (403, "origin")
    assert ask(Origin="null", **session) == (403, "origin")
    if path not in LOGIN:
        assert ask() == (401, "login")
        assert ask(Authorization="Bearer " + "0" * 32) == (401, "login")
        assert ask(Cookie="parallelator=x") == (401, "login")
    assert mark(rig) == before, "a refused request changed something"
    assert ask(Origin=rig.url, **session)[0] in (200, 202)
    if path == "/api/logout":
        assert rig.ask("POST", "/api/bus/reset", **session)[0] == 401
        return
    limit = 10
    if path == "/api/login":
        limit = 5
        body = {"password": "wrong"}
    answers = [ask(**session) for _ in range(limit + 1)]
    if real.endswith("/off") or path == "/switch_off":
        assert {answer[0] for answer in answers} == {202}, "off is never refused for its rate"
        real = real.replace("off", "auto") if path.startswith("/api") else "/switch_on?battery=3"
        answers = [ask(**session) for _ in range(limit + 1)]
    assert answers[-1] == (429, "rate"), answers


@pytest.mark.parametrize("route", CHANGES, ids=lambda route: " ".join(route))
def test_no_change_without_a_password(open_rig, route, tmp_path):
    real, body = request_of(*route, updates.made(tmp_path))
    before = mark(open_rig)
    status, _, answer = open_rig.ask(route[0].upper(), real, body)
    if route[1] == "/api/logout":
        assert (status, answer) == (200, {"logged_in": False}), "there is nothing to end"
    else:
        code = "setup_over" if route[1] == "/api/setup" else "no_password"
        assert (status, answer["error"]["code"]) == (403, code)
    assert mark(open_rig) == before


class Crowd:
    """Forwards each connection to a rig from another address, as if by many clients."""

    def __init__(self, port):
        self._port = port
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.count = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client = self._listener.accept()[0]
            self.count += 1
            source = (f"127.0.{self.count % 200 + 1}.7", 0)
            rig = socket.create_connection(("127.0.0.1", self._port), source_address=source)
            threading.Thread(target=self._carry, args=(client, rig), daemon=True).start()

    def _carry(self, client, rig):
        with client, rig:
            ends = {client: rig, rig: client}
            while True:
                for end in select.select([*ends], [], [])[0]:
                    try:
                        data = end.recv(65536)
                        if not data:
                            return
                        ends[end].sendall(data)
                    except OSError:
                        return


@pytest.mark.parametrize("known", [True, False], ids=["logged in", "a stranger"])
def test_answers_are_as_described(rig, tmp_path, known):
    crowd = Crowd(rig.port)
    left_out = ["/api/live", "/api/system/restart"]
    headers = []
    if known:
        left_out += ["/api/logout", "/api/login"]
        token = rig.login()["Authorization"]
        headers = ["--header", f"Authorization: {token}"]
    command = [
        *(ROOT / "build/venv/bin/schemathesis", "run", f"{crowd.url}/api/openapi.json"),
        *("--checks", CHECKS, "--phases", "coverage,fuzzing", "--seed", "7", "--workers", "1"),
        *("--max-examples", str(EXAMPLES), "--no-color", *headers),
    ]
    for path in left_out:
        command += ["--exclude-path", path]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    print(run.stdout[-6000:])
    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert crowd.count >= REQUESTS // 2, crowd.count
