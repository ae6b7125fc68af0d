# SPDX-License-Identifier: GPL-3.0-only
"""A long time on a slowed rig, across the wrap of the ticks. For `make soak` and tests.

    micropython -X heapsize=64m tools/soak/day.py [SECONDS [absent | flapping | refusing]]

The word says how the Wi-Fi is; without it there is none to join. Two packs trip in turn. Every
delay and every row of the log is checked, and that the heap in use, the ampere-hours, the uptime
and the events of the Wi-Fi are right at the end. The guard ticks every 100 ms instead of every 10
(see sim.slow). With two packs each tick then reads both, but for the ticks that look for one of
the missing ones instead: a delay shows up to six ticks late.
"""

import gc
import json
import os
import sys

WRAP_MS = 1 << 30
TICK_MS = 100
ROUND_S = 600
_SETTLED_S = 20
"""After the second trip: from then on two of them are kept in memory."""
_LOOK_S = 5
"""Before the end: the second look; the first is some times two minutes earlier, which is how
often a flapping Wi-Fi is the same."""
_SECTORS = 131072
_LOG_S = 10
_UNWRITTEN_S = 30
"""At the end: the log is written every ten seconds."""
_COOLING_S = 10.0
_JOINING_S = 1.5
_SEEN_S = 0.6
_TIMED = ("closed above the voltage limit", "closed below the voltage limit")
"""What the referee says about delays: its bounds are those of a tick of 10 ms, ours are here."""
_HEAP_SLACK = 1024
"""Bytes: a float or two of the simulator may live in a block of another size, and its flash gets
the counters for the first time after six hours."""

KINDS = {"overvoltage": (2300, 0.5), "undervoltage": (-6000, 1.0)}
"""Kind of trial: what its sensor feels on top of the voltage (mV), delay of the trip (s)."""


def trials(duration_s, wrap_s):
    """When which battery trips: [s, battery, kind]; delays of both lie across the wrap."""
    planned = [[wrap_s - 5.3, 1, "overvoltage"], [wrap_s - 0.6, 2, "undervoltage"]]
    at_s = 90
    n = 1
    while at_s < duration_s - 60:
        if abs(at_s - wrap_s) > 60:
            planned.append([at_s, n, "overvoltage"])
            n = 3 - n
        at_s += ROUND_S if duration_s > 10 * ROUND_S else 45
    return sorted(planned)


TOLD = {
    None: ["wifi_ap"],
    "absent": ["wifi_not_found", "wifi_ap"],
    "refusing": ["wifi_password", "wifi_ap"],
    "flapping": ["wifi_up", "wifi_down", "wifi_not_found"],
}
"""How the Wi-Fi is, to its events; those of a flapping one again and again."""


def air(wifi, duration_s):
    """The steps that make the Wi-Fi what it is said to be: a list.

    Args:
        wifi: a key of TOLD; duration_s: whole two minutes when it is flapping.
    """
    if wifi == "absent":
        return [{"at": 0, "do": "wifi_down"}]
    if wifi == "refusing":
        return [{"at": 0, "do": "wifi_networks", "networks": {"stage": ["another-one", -50]}}]
    steps = []
    for minute in range(1, duration_s // 60 if wifi else 0):
        steps.append({"at": 60 * minute, "do": "wifi_down" if minute % 2 else "wifi_up"})
    return steps


class Sampler:
    """Looks at the firmware between two ticks: heap in use and uptime, early and at the end.

    Args:
        world: the simulated `World`; path: a file that takes what the recorder has collected, so
            that its growth does not count; from_s, until_s: when to look.

    Attributes:
        used: heap in use, bytes, at both looks; uptime_s, at_s: the firmware's and the true time
            at the second.
    """

    def __init__(self, world, path, from_s, until_s):
        self._world = world
        self._recorder = world.observers[0]
        self._path = path
        self._due_s = [from_s, until_s]
        self.used = []
        self.uptime_s = self.at_s = 0

    def ticked(self, guard):
        """A tick is over."""
        if len(self.used) == 2 or self._world.now_us < self._due_s[len(self.used)] * 1000000:
            return
        with open(self._path, "a") as file:
            for name in self._recorder.GROWING:
                json.dump([name, getattr(self._recorder, name)], file)
                file.write("\n")
                setattr(self._recorder, name, [])
        self._world.flash_us = []  # it grows too, and nobody here asks for it
        self.uptime_s = guard._snap.uptime_s
        self.at_s = self._world.now_us // 1000000
        gc.collect()
        self.used.append(0)
        self.used[-1] = gc.mem_alloc()

    def restore(self, report):
        """Put what was taken from the recorder back into its report."""
        with open(self._path) as file:
            taken = [json.loads(line) for line in file]
        for name, entries in reversed(taken):
            if name in report:
                report[name] = entries + report[name]
        os.remove(self._path)


def _plan(duration_s, wrap_s, wifi):
    """The scenario, as a file would have it; arguments as of `play`."""
    steps = air(wifi, duration_s)
    for at_s, n, kind in trials(duration_s, wrap_s):
        step = {"at": at_s, "do": "inject_voltage", "n": n, "mv": KINDS[kind][0]}
        steps += [step, dict(step, at=at_s + 2.5, mv=0)]
    return {
        "name": "day",
        "duration_s": duration_s,
        "batteries": [{"n": n, "soc": 0.8, "capacity_ah": 1000} for n in (1, 2)],
        "settings": {
            "serial_messages": False,
            "limits": {"max_trips": 1000},
            "log": {"interval_s": _LOG_S},
            "wifi": {"ssid": "stage" if wifi else "", "password": "night-show"},
        },
        # 75 mA each: a battery that gives 100 mA is not opened for a voltage that is too high.
        "load": [[0, 0.15]],
        "steps": steps,
        "boot_ticks_ms": WRAP_MS - int(wrap_s * 1000),
    }


def play(root, duration_s, wrap_s, wifi=None):
    """Play it.

    Args:
        root: folder of the repository; duration_s: in virtual time; wrap_s: when the ticks wrap.
        wifi: as of `air`.

    Returns:
        (report, sampler, log): as of harness.run, the `Sampler`, and what `logged` found.
    """
    from sim import current, harness, scenario
    from sim.chips.sdcard import SdCard
    from sim.chips.sdimage import Image
    from sim.slow import slow_down

    until_s = duration_s - _LOOK_S
    from_s = trials(duration_s, wrap_s)[1][0] + _SETTLED_S
    from_s += (until_s - from_s) % 120
    path = "%s/build/sim/day-%s" % (root, os.urandom(4).hex())
    card = SdCard(Image(_SECTORS, path + ".img"))
    samplers = []

    def hook():
        from parallelator.protection import guard

        samplers.append(Sampler(current.world, path, from_s, until_s))
        slow_down(TICK_MS)
        tick = guard.Guard.tick

        def sampled(rig):
            tick(rig)
            samplers[0].ticked(rig)

        guard.Guard.tick = sampled

    plan = scenario.complete(_plan(duration_s, wrap_s, wifi))
    try:
        report = harness.run(root, plan, True, quiet=True, sabotage=hook, card=card)
        samplers[0].restore(report)
        return report, samplers[0], logged(card.image.volume())
    finally:
        card.image.close()
        os.remove(path + ".img")


def logged(volume):
    """What lies on the card: (uptimes of the samples in s, codes of the events of the Wi-Fi)."""
    seconds = []
    with volume.open("/log/boot-0001.csv", "r") as file:
        file.readline()
        for line in file:
            if line[0] == "#":
                continue  # whose log it is
            second = int(line.split(",")[1]) // 1000
            if seconds[-1:] != [second]:
                seconds.append(second)
    with volume.open("/log/events.csv", "r") as file:
        codes = [line.split(",")[3] for line in file]
    return seconds, [code for code in codes if code.startswith("wifi")]


def log_faults(log, duration_s, wifi):
    """What is wrong with what `logged` found, as texts."""
    seconds, codes = log
    marks = [0] + seconds + [duration_s - _UNWRITTEN_S]
    wrong = [
        "no sample from %d s to %d s" % (marks[k - 1], marks[k])
        for k in range(1, len(marks))
        if marks[k] - marks[k - 1] > _LOG_S
    ]
    expected = TOLD[wifi]
    if wifi == "flapping":
        expected = expected * (duration_s // 120)
    if codes != expected:
        wrong.append("events %s, not %s" % (codes, expected))
    return wrong


def faults(played, duration_s, wrap_s, wifi=None):
    """What is wrong with what `play` returned, as texts; an empty list when all is well."""
    report, sampler, log = played
    wrong = ["violation %s" % entry for entry in report["violations"] if entry[2] not in _TIMED]
    wrong += ["allocation %s" % entry for entry in report["alloc_violations"]]
    if report["resets"]:
        wrong.append("%d resets" % report["resets"])
    for at_s, n, kind in trials(duration_s, wrap_s):
        moves = [
            (ms / 1000, closed)
            for ms, number, closed in report["switch_writes"]
            if number == n and ms >= at_s * 1000
        ]
        if len(moves) < 2 or moves[0][1] or not moves[1][1]:
            wrong.append("%s of battery %d at %.1f s: moves %s" % (kind, n, at_s, moves[:2]))
            continue
        opened_s = moves[0][0] - at_s
        closed_s = moves[1][0] - moves[0][0]
        delay_s = KINDS[kind][1]
        if not delay_s <= opened_s <= delay_s + _SEEN_S:
            wrong.append("%s at %.1f s opened after %.3f s" % (kind, at_s, opened_s))
        if not _COOLING_S <= closed_s <= _COOLING_S + _JOINING_S:
            wrong.append("%s at %.1f s closed %.3f s later" % (kind, at_s, closed_s))
    before, after = sampler.used
    if after - before > _HEAP_SLACK:
        wrong.append("heap in use: %d before, %d after" % (before, after))
    if abs(sampler.uptime_s - sampler.at_s) > 1:
        wrong.append("uptime %d s after %d s" % (sampler.uptime_s, sampler.at_s))
    for n in ("1", "2"):
        energy = report["energy"][n]
        if abs(energy["counted_mah"] - energy["true_mah"]) > 0.005 * energy["true_mah"] + 0.2:
            wrong.append("battery %s: %s" % (n, energy))
    if report["ticks"]["worst_ms"] > 2 * TICK_MS:
        wrong.append("a tick came after %.1f ms" % report["ticks"]["worst_ms"])
    return wrong + log_faults(log, duration_s, wifi)


def main():
    """Play a day that starts ten minutes before the wrap."""
    cwd = os.getcwd()
    root = __file__.rsplit("/tools/soak/", 1)[0] if "/tools/soak/" in __file__ else "."
    root = root if root.startswith("/") else cwd + "/" + root
    sys.path[:] = [
        root + "/tools/sim/standins",
        root + "/lib",
        root + "/tools",
        root + "/build/mpy-lib",
        ".frozen",
    ]
    duration_s = int(sys.argv[1]) if len(sys.argv) > 1 else 86400
    wrap_s = 600
    wifi = sys.argv[2] if len(sys.argv) > 2 else None
    played = play(root, duration_s, wrap_s, wifi)
    wrong = faults(played, duration_s, wrap_s, wifi)
    report, sampler, log = played
    print(
        "%d s with a tick of %d ms, Wi-Fi %s: %d ticks, the longest gap %.1f ms, %d trials, heap "
        "in use %d and %d, %d samples logged, %d events of the Wi-Fi"
        % (
            duration_s,
            TICK_MS,
            wifi or "unset",
            report["ticks"]["count"],
            report["ticks"]["worst_ms"],
            len(trials(duration_s, wrap_s)),
            sampler.used[0],
            sampler.used[1],
            len(log[0]),
            len(log[1]),
        )
    )
    for text in wrong:
        print("wrong:", text)
    print("1 passed, 0 failed" if not wrong else "0 passed, 1 failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
