# SPDX-License-Identifier: GPL-3.0-only
"""The same crossings on the same plant under our firmware and under earlier decision loops.

    micropython -X heapsize=64m tools/bench/controllers.py LOOP COUNT

LOOP is `ours` or a key of LOOPS. Those are written from the published facts of controllers that
do this job or its like: period, delay, filter and range. Everything else is assumed in their
favour: units and signs are right, reading and switching take no time. Sixteen packs share
30 A; now and then one sensor feels a hard over-current of random size and sign for PULSE_S or for
LASTING_S, or 35 V and more, or half its voltage. Prints a line of JSON: for each kind of crossing
the times to the opening in ms, what was let through in A2s, and how many never opened a switch.
"""

import json
import sys

from rig import OFF_AND_ON, play, random

START_S = 10
SPACING_S = 34
PULSE_S = 0.2
LASTING_S = 20
STEP_US = 10000
LIMIT_A = 10
PACKS = 16
LOAD_A = 30
KINDS = ("pulse", "lasting", "voltage")


def crossings(count):
    """Yield (at_s, battery, kind, mA, mV, for_s) for `count` crossings of every kind."""
    numbers = random(7)
    for k in range(count * len(KINDS)):
        at_s = START_S + SPACING_S * k + next(numbers) % 3000 / 1000
        kind = KINDS[k % len(KINDS)]
        ma = mv = 0
        if kind == "voltage":
            mv = 7000 + next(numbers) % 3000 if next(numbers) & 1 else -14000
        else:
            ma = 20000 + next(numbers) % 37000
            if next(numbers) & 1:
                ma = -ma - 4000
        yield at_s, k * 7 % PACKS + 1, kind, ma, mv, PULSE_S if kind == "pulse" else LASTING_S


class Poll:
    """Reads every `period_ms`; opens when the limits were passed `readings` times in a row."""

    def __init__(self, period_ms, readings=1):
        self.period_us = period_ms * 1000
        self._readings = readings
        self._bad = [0] * PACKS

    def opens(self, i, volts, amps):
        """True when this reading of battery i opens its switch."""
        if abs(amps) > LIMIT_A or not 24 <= volts <= 30:
            self._bad[i] += 1
        else:
            self._bad[i] = 0
        return self._bad[i] >= self._readings


class Filtered(Poll):
    """Reads +-10 A at most and skips what looks wrong: above 35 V or 50 A, or a jump of 30 %."""

    RANGE_A = 10 * 32767 / 32768

    def __init__(self, period_ms):
        super().__init__(period_ms)
        self._known_v = [0] * PACKS

    def opens(self, i, volts, amps):
        amps = max(-self.RANGE_A, min(amps, self.RANGE_A))
        known = self._known_v[i]
        if volts > 35 or abs(amps) > 50 or known and not 0.7 <= volts / known <= 1.3:
            return False
        self._known_v[i] = volts
        return super().opens(i, volts, amps)


LOOPS = {
    "poll-1000": lambda: Poll(1000),
    "poll-200": lambda: Filtered(200),
    "check-1000": lambda: Poll(1000, 10),
    "rules-3000": lambda: Poll(3000),
}


def under_loop(loop, count):
    """Yield (kind, time to the opening in us or None, A2s let through) under a decision loop."""
    from sim.plant import Plant

    plant = Plant([{"n": n} for n in range(1, PACKS + 1)])
    plant.load_a = LOAD_A
    for i in range(PACKS):
        plant.set_gate(i, True)
    plant.step(0)
    now_us = 0
    for at_s, n, kind, ma, mv, for_s in crossings(count):
        i = n - 1
        from_us = int(at_s * 1000000)
        while now_us < from_us:
            now_us = min(now_us + STEP_US, from_us)
            plant.step(now_us)
            if now_us % loop.period_us == 0:
                for k in range(PACKS):
                    loop.opens(k, plant.sensed_v[k], plant.sensed_a[k])
        plant.inject_current(i, ma)
        plant.inject_voltage(i, mv)
        plant.step(now_us)
        through = 0.0
        opened_us = None
        until_us = from_us + int(for_s * 1000000)
        while now_us < until_us and opened_us is None:
            step_us = min(STEP_US - now_us % STEP_US, until_us - now_us)
            through += plant.sensed_a[i] ** 2 * step_us / 1000000
            now_us += step_us
            plant.step(now_us)
            if now_us % loop.period_us == 0:
                for k in range(PACKS):
                    if loop.opens(k, plant.sensed_v[k], plant.sensed_a[k]) and k == i:
                        opened_us = now_us - from_us
        # It is closed again at once: the next crossing finds the rig as this one did.
        plant.inject_current(i, 0)
        plant.inject_voltage(i, 0)
        yield kind, opened_us, through


def under_ours(count):
    """As `under_loop`, under the whole firmware."""
    planned = list(crossings(count))
    steps = []
    for at_s, n, _, ma, mv, for_s in planned:
        for do, key, value in (("inject_current", "ma", ma), ("inject_voltage", "mv", mv)):
            if value:
                steps.append({"at": at_s, "do": do, "n": n, key: value})
                steps.append({"at": at_s + for_s, "do": do, "n": n, key: 0})
    report = play(
        duration_s=planned[-1][0] + SPACING_S,
        settings={"limits": OFF_AND_ON},
        load=[[0, LOAD_A]],
        steps=steps,
    )
    for at_s, n, kind, ma, _, for_s in planned:
        opened = [
            ms - at_s * 1000
            for ms, number, closed in report["switch_writes"]
            if number == n and not closed and 0 <= ms - at_s * 1000 <= for_s * 1000
        ]
        felt_s = opened[0] / 1000 if opened else for_s
        amps = ma / 1000 + LOAD_A / PACKS
        yield kind, opened[0] * 1000 if opened else None, amps * amps * felt_s


def main():
    """Measure one row of the table."""
    name, count = sys.argv[1], int(sys.argv[2])
    results = under_ours(count) if name == "ours" else under_loop(LOOPS[name](), count)
    row = {"loop": name}
    for kind in KINDS:
        row[kind] = {"ms": [], "a2s": [], "missed": 0, "count": count}
    for kind, opened_us, through in results:
        row[kind]["a2s"].append(through)
        if opened_us is None:
            row[kind]["missed"] += 1
        else:
            row[kind]["ms"].append(opened_us / 1000)
    for kind in KINDS:
        for key in ("ms", "a2s"):
            values = sorted(row[kind][key])
            row[kind][key] = [values[len(values) // 2], values[-1]] if values else None
    print(json.dumps(row))


main()
