# SPDX-License-Identifier: GPL-3.0-only
"""One rig of a simulated fleet, in real time with a slowed guard. Started by run.py.

    micropython -X heapsize=16m tools/fleet/rig.py SCENARIO PORT FLASH

SCENARIO is a file, as tools/sim/scenario.py describes it; PORT is that of the page; FLASH is the
folder that stands for the ESP32's file system. Ctrl-C opens every switch and ends the rig.
"""

import sys

TICK_MS = 100


def main():
    """Run until somebody ends it."""
    root = __file__.rsplit("/tools/fleet/", 1)[0]
    sys.path[:] = [
        root + "/tools/sim/standins",
        root + "/lib",
        root + "/tools",
        root + "/build/mpy-lib",
        ".frozen",
    ]
    from sim import harness, scenario
    from sim.slow import slow_down

    plan = scenario.load(sys.argv[1])
    plan["duration_s"] = None
    harness.run(
        root,
        plan,
        False,
        port=int(sys.argv[2]),
        flash=sys.argv[3],
        quiet=True,
        sabotage=lambda: slow_down(TICK_MS),
    )


if __name__ == "__main__":
    main()
