#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Writes down how a rig does on real hardware, for the table of what was tried. Run by
`make acceptance PORT=... [HOST=192.168.4.1]`.

    tools/device/acceptance.py [--port PORT] [--host HOST] [--seconds N] [--into FILE]

Over the cable it looks what the controller is and restarts it. Then it watches the rig over the
network for N seconds, and asks the person for what only a lamp or a relay can tell. The form is a
JSON file; no password and no name of a network is in it.
"""

import argparse
import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from device import build
from device.link import DeviceError, attach, find_port
from device.update import Refusal, Rig

ACCESS_POINT = "192.168.4.1"
INTO = build.ROOT / "build/acceptance.json"
PATIENCE_S = 180
LOOK_S = 2
FIGURES = (
    "version",
    "micropython",
    "machine",
    "controller",
    "uptime_ms",
    "heap",
    "tick_late_ms",
    "gc_pause_ms",
    "flash_pause_ms",
    "i2c",
)
"""What of /api/system goes into the form."""

QUESTIONS = (
    ("rig", "Batteries, boards, sensor, type of board: "),
    (
        "reaction_ms",
        "Draw more than a battery's limit, with a lamp or a relay on its output. Milliseconds "
        "from the overload to dark (a phone films 240 pictures a second; Enter if not tried): ",
    ),
    ("reaction_by", "Seen by lamp, relay or oscilloscope, and how: "),
    ("remarks", "What else: "),
)


class AcceptanceFault(Exception):
    """Why there is no form, for the person at the keyboard."""


def look_at(port, say):
    """What the controller at a port is; it is restarted, and what it says is shown."""
    device = attach(port)
    try:
        esp32, name, version, machine, mpy, block, free, memory = device.call("about()")[0]
        say(device.restart("Parallelator "))
    finally:
        device.close()
    found = {"esp32": esp32, "machine": machine, "memory_kb": memory // 1024}
    found["micropython"] = f"{name} {'.'.join(map(str, version))}"
    return found | {"mpy": mpy, "flash_free_kb": block * free // 1024}


def reached(rig, deadline):
    """What /api/system says, once the rig answers.

    Raises:
        AcceptanceFault: it does not in time.
    """
    while True:
        try:
            return rig.ask("GET", "/api/system")
        except (OSError, Refusal) as error:
            if time.monotonic() > deadline:
                raise AcceptanceFault(f"{rig.host} does not answer: {error}") from None
            time.sleep(LOOK_S)


def asked(rig, path):
    """What a route says, None when this version has none of that name."""
    try:
        return rig.ask("GET", path)
    except Refusal as error:
        if error.code != "not_found":
            raise
        return None


def watch(rig, seconds):
    """The part of the form that the rig itself tells.

    Args:
        seconds: how long to watch it.

    Raises:
        AcceptanceFault, OSError, Refusal: it does not answer, or it restarted meanwhile.
    """
    begin = reached(rig, time.monotonic() + PATIENCE_S)
    time.sleep(seconds)
    system = reached(rig, time.monotonic() + LOOK_S)
    if system["boot"] != begin["boot"]:
        raise AcceptanceFault("the rig restarted while it was watched: that must go first")
    state = rig.ask("GET", "/api/state")
    found = {key: system[key] for key in FIGURES}
    found["i2c_errors"] = system["i2c"]["errors"] - begin["i2c"]["errors"]
    found["watched_s"] = seconds
    found["failed_tasks"] = [task for task in system["tasks"] if task["failures"]]
    found["states"] = {battery["n"]: battery["state"] for battery in state["batteries"]}
    found["alarms"] = sorted({alarm["code"] for alarm in state["alarms"]})
    selftest = asked(rig, "/api/selftest")
    return found | ({"selftest": selftest} if selftest else {})


def trips(rig):
    """The texts of the trips since this start."""
    events = rig.ask("GET", "/api/events")["events"]
    return [event["text"] for event in events if event["code"] == "trip"]


def answers(ask):
    """What only the person can tell; `ask` is a function (question) that returns the answer."""
    return {key: ask(question).strip() for key, question in QUESTIONS}


def main():
    """Fill the form; return the exit code."""
    parser = argparse.ArgumentParser(description="Write down how a rig does on real hardware.")
    parser.add_argument("--port", help="serial port; without it the only USB one")
    parser.add_argument("--host", default=ACCESS_POINT, help="address of the rig")
    parser.add_argument("--seconds", type=int, default=60, help="how long to watch it")
    parser.add_argument("--into", type=Path, default=INTO)
    options = parser.parse_args()
    rig = Rig(options.host)
    form = {"written": datetime.now(UTC).isoformat(timespec="seconds")}
    try:
        form["board"] = look_at(find_port(options.port), print)
        print(f"Join the Wi-Fi that is named above. Watching {options.host}", flush=True)
        form["rig"] = watch(rig, options.seconds)
        form["person"] = answers(input)
        form["trips"] = trips(rig)
    except (DeviceError, AcceptanceFault, Refusal, OSError) as error:
        print(f"acceptance: {error}", file=sys.stderr)
        return 1
    options.into.parent.mkdir(parents=True, exist_ok=True)
    options.into.write_text(json.dumps(form, indent=1, ensure_ascii=False) + "\n")
    print(f"{options.into}: look it through, then attach it to an issue of the project.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
