#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Requests per second of /api/state, next to a bare Microdot handler that returns the same bytes.

    build/venv/bin/python tools/bench/web.py

Both run on the same MicroPython in the same minute. One client asks them in turns, so that both
find the caches of the processor as on a rig that has other work. Seconds are those in which the
server had a processor, so that other work of the host does not count. Prints the two rates and
their ratio; the exit code is 1 when that is under the one promised.
"""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build/venv/bin/micropython"
MODULES = f"{ROOT / 'lib'}:{ROOT / 'build/mpy-lib'}:.frozen"
PROMISED_RATIO = 0.6
STARTS = 7
ROUNDS = 5
REQUESTS = 50
GET = b"GET /api/state HTTP/1.1\r\nHost: rig\r\n\r\n"
BARE = """
import sys
from microdot import Microdot
app = Microdot()
body = sys.stdin.read()
@app.get("/api/state")
def state(request):
    return body, 200, {"Content-Type": "application/json"}
app.run(port=int(sys.argv[1]))
"""


def free_port():
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def start(script, port, folder, text=None):
    """Start a MicroPython server and wait until it listens."""
    process = subprocess.Popen(
        [MICROPYTHON, script, str(port)],
        env=os.environ | {"MICROPYPATH": MODULES},
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )
    if text is not None:
        process.stdin.write(text)
        process.stdin.close()
    for _ in range(200):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return process
        time.sleep(0.02)
    raise RuntimeError(f"{script} does not listen")


def ask(port):
    """One request; the body of the answer."""
    with socket.create_connection(("127.0.0.1", port), 5) as link:
        link.sendall(GET)
        answer = b""
        while chunk := link.recv(65536):
            answer += chunk
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 200"), head
    return body


def busy_s(process):
    """Seconds that a process has had a processor for."""
    return int(Path(f"/proc/{process.pid}/schedstat").read_text().split()[0]) / 1e9


def rates(ports, servers):
    """Requests per second of each server over one round, in which they are asked in turns."""
    began = list(map(busy_s, servers))
    for _ in range(REQUESTS):
        for port in ports:
            ask(port)
    return [REQUESTS / (busy_s(server) - s) for server, s in zip(servers, began, strict=True)]


def rounds():
    """Start both servers and measure: a list of `rates`, first that of the rig."""
    ports = free_port(), free_port()
    with tempfile.TemporaryDirectory() as folder:
        bare_script = Path(folder, "bare.py")
        bare_script.write_text(BARE)
        servers = [start(ROOT / "tests/web/fake_rig.py", ports[0], folder)]
        try:
            body = ask(ports[0])
            servers.append(start(bare_script, ports[1], folder, body))
            assert abs(len(ask(ports[1])) - len(body)) < 20  # digits of the uptime
            return [rates(ports, servers) for _ in range(ROUNDS)]
        finally:
            for server in servers:
                server.kill()
                server.wait()


def measure():
    """Median requests per second: (of the rig, of the bare handler)."""
    every = [pair for _ in range(STARTS) for pair in rounds()]
    return tuple(map(statistics.median, zip(*every, strict=True)))


def main():
    """Measure and print."""
    rig, bare = measure()
    print(f"/api/state of 16 batteries: {rig:.0f} requests/s")
    print(f"bare Microdot, same bytes:  {bare:.0f} requests/s, ratio {rig / bare:.2f}")
    return 0 if rig / bare >= PROMISED_RATIO else 1


if __name__ == "__main__":
    sys.exit(main())
