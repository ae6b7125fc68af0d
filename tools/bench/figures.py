# SPDX-License-Identifier: GPL-3.0-only
"""What a steady rig costs: load, wire, memory, speed, ampere-hours.

    micropython -X heapsize=64m tools/bench/figures.py KHZ

Ten minutes of virtual time with 16 batteries, a changing load and a charger. Prints a line of
JSON. Speed is virtual time over processor time, so that other work on the host counts little.
"""

import gc
import json
import sys

import utime
from rig import play

DURATION_S = 600
SETTLED_S = 30
TICKS_PER_SCAN = 8
READS_PER_SCAN = 32
READ_BITS = 48
CALL_US = 100


def scan_floor_us(khz):
    """The least time for reading voltage and current of 16 sensors, one read each."""
    return READS_PER_SCAN * (READ_BITS * 1000 / khz + CALL_US)


class Memory:
    """Heap in use of the firmware: what it adds to the simulator's own.

    Attributes:
        used: bytes before the firmware is imported, and in steady state.
    """

    def __init__(self):
        self.used = []

    def look(self):
        """Note the heap that is in use now."""
        gc.collect()
        self.used.append(gc.mem_alloc())

    def hook(self):
        """Sabotage for `play`: looks before main.py runs, and once the rig has settled."""
        from parallelator.protection.guard import Guard
        from sim import current

        tick = Guard.tick

        def watched(guard):
            tick(guard)
            if len(self.used) < 2 and current.world.now_us > SETTLED_S * 1000000:
                self.look()

        Guard.tick = watched


def main():
    """Measure."""
    from sim import harness

    memory = Memory()

    class BareProbe(harness.GuardProbe):
        def install(self):
            memory.look()
            super().install()

    harness.GuardProbe = BareProbe
    khz = int(sys.argv[1])
    started_s = utime.clock()
    report = play(
        memory.hook,
        duration_s=DURATION_S,
        settings={"i2c_khz": khz},
        load=[[0, 0], [10, 30], [200, 45], [300, 5]],
        source=[[0, 0], [300, 40]],
    )
    took_s = utime.clock() - started_s
    ticks = report["ticks"]
    errors = []
    for energy in report["energy"].values():
        for true, counted in (
            (energy["true_mah"], energy["counted_mah"]),
            (energy["true_charge_mah"], energy["counted_charge_mah"]),
        ):
            errors.append(abs(counted - true) * 100 / true)
    print(
        json.dumps(
            {
                "khz": khz,
                "load_pct": ticks["load_pct"],
                "worst_ms": ticks["worst_ms"],
                "late": ticks["late"],
                "ticks": ticks["count"],
                "exempt": ticks["exempt"],
                "scan_ratio": ticks["scan_us"] * TICKS_PER_SCAN / scan_floor_us(khz),
                "alloc": len(report["alloc_violations"]),
                "violations": len(report["violations"]),
                "speed": DURATION_S / took_s,
                "ah_error_pct": max(errors),
                "firmware_bytes": memory.used[1] - memory.used[0],
            }
        )
    )


main()
