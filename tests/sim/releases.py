# SPDX-License-Identifier: GPL-3.0-only
"""What a rig of a release keeps: its flash, its card, its non-volatile storage. For test_releases.

    micropython tests/sim/releases.py

Run it in the commit of a release: it plays a rig with a trip, an off and a discharge, and writes
what is left into tests/releases/VERSION. Later versions must read that; it is never made anew.
"""

import json
import os
import sys

FOLDERS = 0x4000
SECTORS = 65536
BATTERIES = 2
TRIPPED, OFF = 1, 2
NAME = "stage left"
SETTINGS = {
    "name": NAME,
    "language": "fr",
    "limits": {"max_trips": 3, "max_discharge_current_ma": 9000},
    "batteries": {"1": {"label": "Lyre", "id": "B17"}},
    "time": {"zone": "CET-1CEST,M3.5.0,M10.5.0/3"},
    "serial_messages": False,
}
STEPS = [
    {"at": 30, "do": "inject_current", "n": TRIPPED, "ma": 15000},
    {"at": 30.3, "do": "inject_current", "n": TRIPPED, "ma": 0},
    {"at": 50, "do": "request", "n": OFF, "action": "off"},
]


def contents(folder, below=""):
    """Path to bytes of all files in a folder."""
    found = {}
    for entry in os.ilistdir(folder + "/" + below if below else folder):
        path = below + "/" + entry[0] if below else entry[0]
        if entry[1] == FOLDERS:
            found.update(contents(folder, path))
        else:
            with open(folder + "/" + path, "rb") as file:
                found[path] = file.read()
    return found


def put(folder, files):
    """Write files, path to bytes, into a folder; makes the folders that they lie in."""
    for path in files:
        at = path.find("/")
        while at > 0:
            try:
                os.mkdir(folder + "/" + path[:at])
            except OSError:
                pass  # it is there
            at = path.find("/", at + 1)
        with open(folder + "/" + path, "wb") as file:
            file.write(files[path])


def stored(nvs):
    """Non-volatile storage as JSON: numbers as they are, bytes as hexadecimal text."""
    return json.dumps({key: v if isinstance(v, int) else v.hex() for key, v in nvs.items()})


def restored(text):
    """What `stored` wrote."""
    kept = json.loads(text)
    return {key: v if isinstance(v, int) else bytes.fromhex(v) for key, v in kept.items()}


def main(root):
    """Play the rig and keep what is left."""
    sys.path[:0] = [root + "/tests/sim", root + "/lib", root + "/tools", root + "/build/mpy-lib"]
    from parallelator import VERSION
    from sim import current
    from sim.chips.sdcard import SdCard
    from sim.chips.sdimage import Image
    from support import harness, scenario

    plan = {"name": "release", "batteries": BATTERIES, "duration_s": 130, "load": [[0, 8]]}
    plan = scenario.complete(dict(plan, settings=SETTINGS, steps=STEPS))
    flash, card = root + "/build/sim/release", SdCard(Image(SECTORS))
    harness.run(root, plan, True, card=card, flash=flash)
    os.mount(card.image.volume(), "/kept")
    into = root + "/tests/releases"
    files = {"nvs.json": stored(current.world.nvs["parallelator"]).encode()}
    for name, where in (("flash", flash), ("card", "/kept")):
        for path, content in contents(where).items():
            files[name + "/" + path] = content
    put(into, {VERSION + "/" + path: files[path] for path in files})
    print("\n".join("%6d %s" % (len(files[path]), path) for path in sorted(files)))


if __name__ == "__main__":
    main(__file__.rsplit("/tests/sim/", 1)[0])
