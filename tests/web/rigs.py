# SPDX-License-Identifier: GPL-3.0-only
"""A fake rig in a MicroPython process, and how the web tests talk to it."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sysconfig
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build/venv/bin/micropython"
PASSWORD = "Stage-77"


def free_port():
    """A TCP port that nobody listens on; test processes side by side look in other places."""
    first = 10000 + os.getpid() % 400 * 50
    for port in range(first, first + 50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port")


class Client:
    """Simple ways to talk to a rig at `port`."""

    def __init__(self, port):
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def wait(self, process):
        """Waits until the rig listens; its process must not end before."""
        for _ in range(500):
            assert process.poll() is None, "the rig has ended"
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("the rig does not listen")

    def ask(self, method, path, body=None, source=None, **headers):
        """One request; returns (status, headers, decoded body).

        Args:
            body: sent as JSON, bytes as they are; source: the client's address.
            headers: `_` stands for `-`.
        """
        address = (source, 0) if source else None
        link = http.client.HTTPConnection("127.0.0.1", self.port, 15, source_address=address)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body)
        link.request(method, path, data, headers)
        answer = link.getresponse()
        content = answer.read()
        link.close()
        is_json = answer.headers.get(
            "Content-Type"
        ) == "application/json" and not answer.headers.get("Content-Encoding")
        return (
            answer.status,
            answer.headers,
            json.loads(content) if is_json and content else content,
        )

    def raw(self, data, timeout=8, source="127.0.0.1"):
        """Sends bytes as they are; returns all that comes back until the rig closes.

        Args:
            source: the client's address.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout, (source, 0)) as link:
            link.sendall(data)
            return receive_all(link)

    def login(self, source=None):
        """Logs in; returns the headers of a session."""
        status, _, body = self.ask("POST", "/api/login", {"password": PASSWORD}, source)
        assert status == 200, body
        return {"Authorization": "Bearer " + body["token"]}


class Rig(Client):
    """A fake rig (tests/web/fake_rig.py)."""

    def __init__(self, password="", language="en", port=None, page=True):
        super().__init__(port or free_port())
        modules = ROOT / "build/mpy-lib" if page else sysconfig.get_path("purelib")
        modules = f"{ROOT / 'lib'}:{modules}:.frozen"
        if page:
            modules = os.environ.get("MICROPYPATH", modules)  # tests/run.py has compiled them
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        self.process = subprocess.Popen(
            [
                MICROPYTHON,
                ROOT / "tests/web/fake_rig.py",
                str(self.port),
                password,
                language,
            ],
            env=os.environ | {"MICROPYPATH": modules},
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"
        self.wait(self.process)

    def stop(self):
        """Ends the rig; returns what it printed beyond the answers to `tell`."""
        self.process.stdin.close()
        self.process.kill()
        said = self.process.stdout.read()
        self._folder.cleanup()
        return said

    def tell(self, *commands):
        """Gives commands of fake_rig to the rig."""
        for command in commands:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "ok\n"


class Simulation(Client):
    """The whole firmware on a simulated rig.

    Args:
        virtual: in virtual time, as fast as it goes, else in real time.
        speed: in real time, seconds of the rig in a second.
        sd: image of its SD card; None = a fresh one in real time, else none.
        scenario: as tools/sim/scenario.py takes it; its password is PASSWORD if it
            names none.
    """

    def __init__(self, virtual=False, speed=1, sd=None, **scenario):
        super().__init__(free_port())
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        settings = scenario.setdefault("settings", {})
        settings.setdefault("web", {}).setdefault("password", PASSWORD)
        (self.folder / "scenario.json").write_text(json.dumps({"name": "test"} | scenario))
        self.started = time.monotonic()
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    *(MICROPYTHON, "-X", "heapsize=64m", *self.program(virtual, speed)),
                    *("--port", str(self.port), "--scenario", self.folder / "scenario.json"),
                    *("--flash", self.folder / "flash", "--report", self.folder / "report.json"),
                    *(("--sd", sd) if sd else ()),
                ],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait(self.process)

    def program(self, virtual, speed):
        """What runs it, and how its time passes."""
        clock = "virtual" if virtual else "real"
        return ROOT / "tools/sim/run.py", "--attached", "--clock", clock, "--speed", str(speed)

    def until(self, true, seconds=30):
        """Waits until `true(state)` of what /api/state answers; returns that state."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                status, _, state = self.ask("GET", "/api/state")
            except OSError:
                status = state = None  # it restarts
            if status == 200 and true(state):
                return state
            assert time.monotonic() < deadline, state
            time.sleep(0.02)

    def stop(self):
        """Ends it as Ctrl-C does; returns the report. It must end well, with every switch open."""
        self.process.stdin.close()
        code = self.process.wait(30)
        said = (self.folder / "log").read_text()
        assert code == 0 and "Every switch is open." in said and "Traceback" not in said, said
        report = json.loads((self.folder / "report.json").read_text())
        assert report["open_at_end"]
        self._folder.cleanup()
        return report


@contextlib.contextmanager
def simulated(kind=Simulation, **scenario):
    """A Simulation, ended afterwards."""
    rig = kind(**scenario)
    try:
        yield rig
    except BaseException:
        rig.process.kill()
        raise
    if rig.folder.exists():
        rig.stop()


def receive_all(link):
    """Everything a socket receives until the other side closes; a reset ends it too."""
    received = b""
    try:
        while chunk := link.recv(65536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def started(*args):
    """Yields a rig and ends it; an exception on its console fails the test that used it."""
    rig = Rig(*args)
    try:
        yield rig
        assert rig.ask("GET", "/api/state")[0] == 200, "the rig must still answer"
    finally:
        said = rig.stop()
    assert said == "", said
