# SPDX-License-Identifier: GPL-3.0-only
"""How soon a switch opens after its sensor's input has crossed the hard current limit.

    micropython -X heapsize=64m tools/bench/reaction.py BATTERIES KHZ alert|scan idle|busy COUNT
        [CONTROLLER DRIVER]

The whole firmware on the simulated rig, in virtual time; crossings of random size and sign at
random moments, one battery after the other. By scan: every ALERT line is dead. Idle: only the
firmware's own tasks run; busy: see rig.Load. Prints a line of JSON, times in ms.
"""

import json
import sys

from rig import OFF_AND_ON, Load, play, random

from sim.recorder import undisturbed

SPACING_S = {1: 3.5, 4: 1.8, 8: 0.9, 16: 0.45}
PULSE_S = 0.3
START_S = 10
WINDOW_MS = 2.24
"""Averaging window: bus and shunt, 280 us each, four times (ADC_CONFIG 0xB6C1, SBOS945)."""
CALL_MS = 0.2
ALERT_BITS = 39
CURRENT_BITS = 48
WRITE_BITS = 29
"""Clocks on the wire: read of one port, read of one 16-bit register, write of one port."""


def crossings(batteries, count):
    """Steps of the scenario."""
    numbers = random(batteries)
    steps = []
    for k in range(count):
        at_s = START_S + SPACING_S[batteries] * k + next(numbers) % 1000 / 10000
        ma = 20000 + next(numbers) % 37000
        if next(numbers) & 1:
            ma = -ma - 4000
        n = k * 7 % batteries + 1
        steps.append({"at": at_s, "do": "inject_current", "n": n, "ma": ma})
        steps.append({"at": at_s + PULSE_S, "do": "inject_current", "n": n, "ma": 0})
        steps.append({"at": at_s + PULSE_S, "do": "request", "action": "reset"})
    return steps


def floor_ms(khz, alert):
    """The least time for a conversion and for I2C, without waiting for a turn."""
    if alert:
        return WINDOW_MS + (2 * ALERT_BITS + WRITE_BITS) / khz + 3 * CALL_MS
    return 2 * WINDOW_MS + (2 * CURRENT_BITS + WRITE_BITS) / khz + 3 * CALL_MS


def main():
    """Measure one row of the table."""
    batteries, khz, count = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[5])
    alert = sys.argv[3] == "alert"
    load = Load() if sys.argv[4] == "busy" else None
    steps = crossings(batteries, count)
    if not alert:
        steps += [
            {"at": 0, "do": "alert_stuck", "n": n, "level": 1} for n in range(1, batteries + 1)
        ]
    controller, driver = sys.argv[6:8] or ("plain", "legacy")
    duration_s = START_S + 1 + SPACING_S[batteries] * count
    report = play(
        load.hook if load else None,
        duration_s=duration_s,
        batteries=batteries,
        controller=controller,
        driver=driver,
        settings={"limits": OFF_AND_ON, "i2c_khz": khz},
        load=[[0, 1.9 * batteries]],
        steps=steps,
    )
    took = sorted(opened - crossed for crossed, opened, _, _ in undisturbed(report))
    worst = max(opened - crossed for crossed, opened, _, _ in report["reactions"])
    print(
        json.dumps(
            {
                "batteries": batteries,
                "khz": khz,
                "by": sys.argv[3],
                "rig": sys.argv[4],
                "controller": controller,
                "driver": driver,
                "gap": report["ticks"]["worst_ms"],
                "missed": count - len(report["reactions"]),
                "disturbed": len(report["reactions"]) - len(took),
                "floor": floor_ms(khz, alert),
                "median": took[len(took) // 2],
                "p999": took[-1 - len(took) // 1000],
                "worst": worst,
                "resumptions": load.resumptions / duration_s if load else 0,
                "load_pct": report["ticks"]["load_pct"],
                "alloc": len(report["alloc_violations"]),
                "violations": len(report["violations"]),
            }
        )
    )


main()
