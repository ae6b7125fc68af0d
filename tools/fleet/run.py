#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""A broker, a Prometheus and n simulated rigs on this machine, until Ctrl-C. `make fleet RIGS=n`.

tools/fleet/run.py [RIGS]

Whatever signal ends it, nothing that it started is left.
"""

import contextlib
import os
import shutil
import signal
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fleet.engines import PASSWORD, ROOT, Fleet  # noqa: E402 - found through the path above

MOST = 200
SHOWN = 3
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)
"""They end it in order, with every switch open. Of any other one the kernel tells the children."""


def told(fleet):
    """Lines that say where to look."""
    prometheus = f"http://localhost:{fleet.prometheus_port}"
    yield f"Prometheus  {prometheus}/alerts  and  {prometheus}/graph"
    yield f"Broker      localhost:{fleet.broker_port}, user reader, password "
    yield f"            {fleet.passwords['reader']}, topics parallelator/#"
    yield f"Pages       password {PASSWORD}"
    for rig in fleet.rigs[:SHOWN]:
        yield f"            http://{rig.address.replace('127.0.0.1', 'localhost')}  {rig.name}"
    if len(fleet.rigs) > SHOWN:
        yield f"            and {len(fleet.rigs) - SHOWN} more: {prometheus}/targets"
    yield f"Grafana     import tools/fleet/grafana.json, data source {prometheus}"
    yield f"Files       {fleet.folder.relative_to(ROOT)}: configuration, accounts, logs"
    yield "Ctrl-C opens every switch and ends all of it."
    yield ""
    yield f"All rigs at a glance: {prometheus}/user/"


def watch(fleet):
    """Wait for Ctrl-C; say once of each part that it has ended by itself."""
    known = set()
    while True:
        for name in set(fleet.dead()) - known:
            known.add(name)
            say(f"{name} has ended: {fleet.folder.relative_to(ROOT)}/{name}.log")
        time.sleep(1)


def say(text):
    """Print, if there still is a terminal."""
    with contextlib.suppress(OSError):
        print(text, flush=True)


def interrupt(number, frame):
    """What a signal does: as Ctrl-C."""
    raise KeyboardInterrupt


def main():
    """Run them; return the exit code."""
    text = sys.argv[1] if len(sys.argv) > 1 else "3"
    if not text.isdigit() or not 1 <= int(text) <= MOST:
        print(f"RIGS={text}: allowed are 1 to {MOST}")
        return 2
    for number in SIGNALS:
        signal.signal(number, interrupt)
    fleet = Fleet(ROOT / f"build/fleet/{os.getpid()}", int(text))
    try:
        fleet.start()
        say("\n".join(told(fleet)))
        watch(fleet)
    except KeyboardInterrupt:
        say("\nEnding.")
    except RuntimeError as error:
        say(error)
        return 1
    finally:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_IGN)  # once is enough: it takes some seconds
        fleet.stop()
    opened = sum("Every switch is open." in fleet.log(rig.name) for rig in fleet.rigs)
    say(f"{opened} of {len(fleet.rigs)} rigs have opened every switch.")
    if opened < len(fleet.rigs):
        return 1
    shutil.rmtree(fleet.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main())
