# SPDX-License-Identifier: GPL-3.0-only
"""A fault in every single transaction, one at a time: safe, recovered in time, no battery lost.

`make test` tries one of each window, kind and driver of I2C; `make soak` all (SOAK=1).
"""

import os

from sim.wires import DRIVERS as ALL
from support import moves, play, state_at

SOAK = os.getenv("SOAK")
DRIVERS = sorted(ALL) if SOAK else ("legacy", "i2c_master")
KINDS = ("nack", "timeout", "corrupt", "stuck", "busy")
PACKS = [{"n": n, "soc": 0.8} for n in range(1, 5)]
ROUND_S = 1
"""In this time a rig of four has read, proven, measured and verified all there is."""
STARTED_S, UNTIL_S = 20, 15
"""Where a run ends that may have to start anew; any other."""
FLICKER_S = 0.02
"""A write that arrives garbled moves switches until it is read back, in the same tick."""
LATE_MS = 80


def crossing(phase_ms):
    """Battery 2 beyond its hard limit, at a moment of the tick."""
    at_s = 10 + phase_ms / 1000
    steps = [
        {"at": at_s, "do": "inject_current", "n": 2, "ma": 25000},
        {"at": at_s + 0.4, "do": "inject_current", "n": 2, "ma": 0},
    ]
    return steps, at_s, at_s + 0.06, ("overcurrent", 2, 0.35)


OFF = [{"at": 10, "do": "request", "n": 3, "action": "off"}]
SILENT = [{"at": at_s, "do": "expander_nack", "board": 0, "on": at_s < 12} for at_s in (10, 12)]
STUCK = [{"at": 10, "do": "bus_stuck", "clocks": 400}]

# steps, first and last second of the window, who opens and how long that may take
WINDOWS = {
    "from reset to the first scan": ([], 0, 0.7, None),
    "the start of the bus": ([], 5.6, 6.8, None),
    "all on": ([], 10, 10 + ROUND_S, None),
    "crossing at 0 ms": crossing(0),
    "crossing at 7 ms": crossing(7),
    "crossing at 13 ms": crossing(13),
    "an operator's off": (OFF, 9.98, 10.2, ("operator", 3, 0.25)),
    "an expander returns": (SILENT, 11.98, 12 + ROUND_S, None),
    "the end of an outage": (STUCK, 10.5, 11 + ROUND_S, None),
}


def transactions(steps, driver, at_s):
    """How many transactions there were until then."""
    plan = {"batteries": PACKS, "load": [[0, 8]], "steps": steps, "driver": driver}
    return play(duration_s=at_s, **plan)["i2c"]["transactions"] if at_s else 0


def dark(report, n, after_s, until_s):
    """When battery n opened for longer than a flicker: list of seconds."""
    found = moves(report, n, after_s) + [(until_s, 1)]
    return [
        at_s
        for (at_s, closed), (next_s, _) in zip(found, found[1:])
        if not closed and next_s - at_s > FLICKER_S
    ]


def wrong(report, begin_s, opens, until_s):
    """What a run shows that must not be, None = nothing."""
    if report["violations"] or report["resets"]:
        return report["violations"] or "the controller was reset"
    if report["ticks"]["calm_ms"] > LATE_MS:
        return "a tick came after %s ms" % report["ticks"]["calm_ms"]
    who = opens and opens[1]
    for n in range(1, 5):
        found = dark(report, n, max(begin_s, 7) - 0.1, until_s)
        if n != who:
            if found or state_at(report, n, until_s)[0] != "on":
                return "battery %d opened at %s, is %s" % (n, found, state_at(report, n, until_s))
        elif len(found) != 1 or found[0] - begin_s > opens[2]:
            return "battery %d opened at %s" % (n, found)
        elif state_at(report, n, found[0] + 0.1)[1] != opens[0]:
            return "battery %d is %s" % (n, state_at(report, n, found[0] + 0.1))


def campaign(names):
    """Fault transactions of each window, with each driver and kind; assert that none failed."""
    failed = []
    print("%-30s %-11s %-8s %6s %7s" % ("window", "driver", "kind", "tried", "failed"))
    for name in names:
        steps, begin_s, end_s, opens = WINDOWS[name]
        until_s = UNTIL_S if begin_s > 9 else STARTED_S
        for driver in DRIVERS:
            first = transactions(steps, driver, begin_s) + 1
            last = transactions(steps, driver, end_s)
            stride = 1 if SOAK else last - first + 1
            for k, kind in enumerate(KINDS):
                numbers = range(first + k * stride // len(KINDS), last + 1, stride)
                bad = len(failed)
                for number in numbers:
                    fault = {"at": 0, "do": "bus_fault", "transaction": number, "kind": kind}
                    report = play(
                        duration_s=until_s,
                        batteries=PACKS,
                        load=[[0, 8]],
                        steps=[fault] + steps,
                        driver=driver,
                    )
                    why = wrong(report, begin_s, opens, until_s)
                    if why:
                        failed.append((name, driver, number, kind, why))
                tried = (name, driver, kind, len(numbers), len(failed) - bad)
                print("%-30s %-11s %-8s %6d %7d" % tried)
    assert not failed, failed


def test_a_fault_in_every_transaction_until_the_bus_has_started():
    campaign(("from reset to the first scan", "the start of the bus"))


def test_a_fault_in_every_transaction_while_all_are_on_opens_nobody():
    campaign(("all on", "an expander returns", "the end of an outage"))


def test_a_fault_in_every_transaction_from_a_cause_to_the_verified_opening():
    crossings = [name for name in WINDOWS if name.startswith("crossing")]
    campaign(crossings + ["an operator's off"])
