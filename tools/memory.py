#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""The memory that the firmware takes with everything on: in the simulator, and on 32 bits.

    tools/memory.py [--seconds N]

Run by `make memory` and `make soak`. A full rig with four live clients, somebody who looks at
every view, MQTT and the log; its modules frozen, as an ESP32 without PSRAM needs them:

- N seconds of the rig in virtual time in the simulator on 64 bits, as sim/memory.py measures it;
- 20 s on 32 bits, see device/heap32.py, beside the other ways to keep the modules;
- on 32 bits the smallest heap in which that works, and N seconds in as much as an ESP32 has.

Exits with 1 when a figure is above its limit.
"""

import argparse
import http.client
import json
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from device import heap32, heap_map

ROOT = Path(__file__).resolve().parent.parent
MICROPYTHON = ROOT / "build/venv/bin/micropython"
CLIENTS = 4
FROZEN = ROOT / "build/frozen/micropython64.run"
LIMIT_KB = 160
"""What stands for 110 KB on the chip."""

CHIP_LIMIT_KB = 80
"""Of 32-bit heap in use, of the 110 KB that everything is to run in."""

CHIP_HEAP_KB = 110
PLAIN_KB = 148
"""What a plain ESP32 has once Wi-Fi is up, the buffers of the network included."""

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


def measure(seconds, micropython=MICROPYTHON):
    """Run the rig for `seconds` of its time; return the figures of sim/memory.py in bytes.

    Args:
        micropython: what runs it; one with the firmware frozen into it measures that.
    """
    port = free_port()
    with tempfile.TemporaryDirectory() as folder, open(folder + "/log", "w+") as log:
        command = [micropython, "-X", "heapsize=64m", ROOT / "tools/sim/memory.py"]
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
            Path(folder, "end").touch()
            process.wait(60)
        finally:
            process.kill()
        log.seek(0)
        said = log.read()
    try:
        return json.loads(said.splitlines()[-1]) | {"views": views}
    except (IndexError, ValueError):
        raise RuntimeError(said) from None


def verdict(what, found, allowed):
    """A line about a figure in KB, None = not found; and whether it is within its limit."""
    within = found is not None and found <= allowed
    text = "none" if found is None else f"{found:.1f}"
    return f"{'ok    ' if within else 'MISSED'} {what}: {text} KB, {allowed} allowed", within


def main():
    """Measure and print; return 1 when it is too much."""
    parser = argparse.ArgumentParser(description="Measure the memory that the firmware takes.")
    parser.add_argument("--seconds", type=int, default=60, help="of the rig")
    seconds = parser.parse_args().seconds
    folder = heap32.tree()
    subprocess.run([ROOT / "tools/device/frozen.sh"], check=True)
    figures = measure(seconds, FROZEN)
    print("64-bit heap in the simulator, frozen, KB")
    for name, what in (
        ("share", "the simulator itself, not counted below"),
        ("used", "firmware, most in use after a collection"),
        ("last", "firmware, at the end"),
        ("garbage", "most garbage of a second of the rig, the simulator's included"),
    ):
        print(f"{figures[name] / 1024:8.1f}  {what}")
    print(
        f"{figures['seconds']} s of the rig, {CLIENTS} live clients, {figures['views']} views, "
        f"{figures['published']} MQTT messages\n"
    )
    lines, used = heap32.table(folder, CHIP_S)
    print("\n".join(lines))
    print(f"{CHIP_S} s, 16 batteries, {CLIENTS} live clients, MQTT, log\n", flush=True)
    print("\n".join(heap_map.table(heap32.run_frozen(folder, CHIP_S, mapped=True))), flush=True)
    least = heap32.least_heap(folder, CHIP_S, CHIP_LIMIT_KB, 2 * PLAIN_KB)
    heap32.run_frozen(folder, seconds, PLAIN_KB)
    print(f"Frozen, everything works for {seconds} s in {PLAIN_KB} KB of 32-bit heap.")
    verdicts = [
        verdict("64-bit heap in use in the simulator", figures["used"] / 1024, LIMIT_KB),
        verdict("32-bit heap in use, frozen", used / 1024, CHIP_LIMIT_KB),
        verdict("least 32-bit heap in which everything works", least, CHIP_HEAP_KB),
        verdict("the same, for a plain ESP32", least, PLAIN_KB),
    ]
    print("\n".join(line for line, _ in verdicts))
    return int(not all(within for _, within in verdicts))


if __name__ == "__main__":
    sys.exit(main())
