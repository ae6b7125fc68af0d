#!/usr/bin/env python3
"""The memory that the firmware takes with everything on: in the simulator, and on 32 bits.

    tools/memory.py [--seconds N]

Run by `make memory` and `make soak`. A full rig with four live clients, somebody who looks at
every view, and the log: N seconds of the rig in virtual time on the 64-bit host, as
sim/memory.py measures it, then 20 s on 32 bits, see device/heap32.py. Exits with 1 when a figure
is above its limit.
"""

import argparse
import http.client
import json
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from device import heap32

ROOT = Path(__file__).resolve().parent.parent
MICROPYTHON = ROOT / "build/venv/bin/micropython"
CLIENTS = 4
LIMIT_KB = 160
"""What stands for 110 KB on the chip."""

CHIP_LIMIT_KB = 80
"""Of 32-bit heap in use. A plain ESP32 has some 148 KB with Wi-Fi up; the network's buffers, and
the garbage between two collections, take the rest."""

CHIP_S = 20
VIEWS = (
    "/api/state",
    "/api/events",
    "/api/history?n=0&span=600",
    "/api/settings",
    "/api/settings/schema",
    "/api/system",
    "/metrics",
    "/log",
)


def free_port():
    """A port that nobody uses."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def follow(port, uptimes, number):
    """A live client: note the uptime of its latest frame in `uptimes[number]` until the end."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    link.request("GET", "/api/live")
    answer = link.getresponse()
    while line := answer.readline():
        if line.startswith(b"data: ["):
            uptimes[number] = int(line[7 : line.index(b",")])


def look(port, path):
    """Ask for one view; it must be there."""
    link = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    link.request("GET", path)
    answer = link.getresponse()
    answer.read()
    link.close()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status}")


def await_rig(process, port):
    """Wait until the rig listens."""
    while process.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError("the rig has ended")


def measure(seconds):
    """Run the rig for `seconds` of its time; return the figures of sim/memory.py in bytes."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, open(folder + "/log", "w+") as log:
        command = [MICROPYTHON, "-X", "heapsize=64m", ROOT / "tools/sim/memory.py"]
        process = subprocess.Popen([*command, str(port), folder], stdout=log, stderr=log)
        try:
            await_rig(process, port)
            uptimes = [0] * CLIENTS
            for number in range(CLIENTS):
                arguments = (port, uptimes, number)
                threading.Thread(target=follow, args=arguments, daemon=True).start()
            views = 0
            while min(uptimes) < seconds + 10:
                look(port, VIEWS[views % len(VIEWS)])
                views += 1
            process.send_signal(signal.SIGINT)
            process.wait(60)
        finally:
            process.kill()
        log.seek(0)
        said = log.read()
    try:
        return json.loads(said.splitlines()[-1]) | {"views": views}
    except (IndexError, ValueError):
        raise RuntimeError(said) from None


def main():
    """Measure and print; return 1 when it is too much."""
    parser = argparse.ArgumentParser(description="Measure the memory that the firmware takes.")
    parser.add_argument("--seconds", type=int, default=60, help="of the rig on 64 bits")
    figures = measure(parser.parse_args().seconds)
    print("64-bit heap in the simulator, KB")
    for name, what in (
        ("share", "the simulator itself, not counted below"),
        ("used", f"firmware, most in use after a collection ({LIMIT_KB} allowed)"),
        ("last", "firmware, at the end"),
        ("garbage", "most garbage of a second of the rig, the simulator's included"),
    ):
        print(f"{figures[name] / 1024:8.1f}  {what}")
    print(f"{figures['seconds']} s of the rig, {CLIENTS} live clients, {figures['views']} views\n")
    lines, used = heap32.table(CHIP_S)
    print("\n".join(lines))
    print(f"16 batteries, {CLIENTS} live clients, log; {CHIP_LIMIT_KB} allowed")
    over = figures["used"] > LIMIT_KB * 1024 or max(used) > CHIP_LIMIT_KB * 1024
    print("This is more than allowed." if over else "All within their limits.")
    return int(over)


if __name__ == "__main__":
    sys.exit(main())
