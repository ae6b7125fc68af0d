"""A fake rig in a MicroPython process, and how the web tests talk to it."""

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
PASSWORD = "Stage-7"


def free_port():
    """A TCP port that nobody listens on; test processes side by side look in other places."""
    first = 10000 + os.getpid() % 400 * 50
    for port in range(first, first + 50):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    raise RuntimeError("no free port")


class Rig:
    """A fake rig (tests/web/fake_rig.py) and simple ways to talk to it."""

    def __init__(self, password="", language="en", port=None, page=True):
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        modules = ROOT / "build/mpy-lib" if page else sysconfig.get_path("purelib")
        self.folder = tempfile.TemporaryDirectory()
        self.process = subprocess.Popen(
            [
                ROOT / "build/venv/bin/micropython",
                ROOT / "tests/web/fake_rig.py",
                str(self.port),
                password,
                language,
            ],
            env=os.environ | {"MICROPYPATH": f"{ROOT / 'lib'}:{modules}:.frozen"},
            cwd=self.folder.name,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert self.process.stdout.readline() == "ready\n"
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("the rig does not listen")

    def stop(self):
        """Ends the rig; returns what it printed beyond the answers to `tell`."""
        self.process.stdin.close()
        self.process.kill()
        said = self.process.stdout.read()
        self.folder.cleanup()
        return said

    def tell(self, *commands):
        """Gives commands of fake_rig to the rig."""
        for command in commands:
            self.process.stdin.write(command + "\n")
            self.process.stdin.flush()
            assert self.process.stdout.readline() == "ok\n"

    def ask(self, method, path, body=None, source=None, **headers):
        """One request; returns (status, headers, decoded body).

        Args:
            body: sent as JSON; source: the client's address; headers: `_` stands for `-`.
        """
        address = (source, 0) if source else None
        link = http.client.HTTPConnection("127.0.0.1", self.port, 15, source_address=address)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        link.request(method, path, body if body is None else json.dumps(body), headers)
        answer = link.getresponse()
        content = answer.read()
        link.close()
        is_json = answer.headers.get("Content-Type") == "application/json"
        return (
            answer.status,
            answer.headers,
            json.loads(content) if is_json and content else content,
        )

    def raw(self, data, timeout=8):
        """Sends bytes as they are; returns all that comes back until the rig closes."""
        with socket.create_connection(("127.0.0.1", self.port), timeout) as link:
            link.sendall(data)
            return receive_all(link)

    def login(self, source=None):
        """Logs in; returns the headers of a session."""
        status, _, body = self.ask("POST", "/api/login", {"password": PASSWORD}, source)
        assert status == 200, body
        return {"Authorization": "Bearer " + body["token"]}


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
