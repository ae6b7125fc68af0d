# SPDX-License-Identifier: GPL-3.0-only
"""A fault in every single transaction, one at a time: safe, and recovered in time.

`make test` tries every twentieth transaction under two drivers of I2C, `make soak` all of them
under all drivers (SOAK=1).
"""

import os

from sim.wires import DRIVERS as ALL
from support import play, state_at

DRIVERS = sorted(ALL) if os.getenv("SOAK") else ("legacy", "i2c_master")
KINDS = ("nack", "timeout", "corrupt", "stuck")
STRIDE = 1 if os.getenv("SOAK") else 20
PACKS = [{"n": n, "soc": 0.8} for n in range(1, 5)]
CROSSING_S = 8
PHASES_MS = (0, 7, 13)
"""Where in a tick of 20 ms the crossing falls."""


def run(duration_s, driver, fault=None, phase_ms=0):
    at_s = CROSSING_S + phase_ms / 1000
    steps = [
        {"at": at_s, "do": "inject_current", "n": 2, "ma": 25000},
        {"at": at_s + 0.4, "do": "inject_current", "n": 2, "ma": 0},
    ]
    if fault:
        steps.append({"at": 0, "do": "bus_fault", "transaction": fault[0], "kind": fault[1]})
    return play(duration_s=duration_s, batteries=PACKS, load=[[0, 8]], steps=steps, driver=driver)


def campaign(driver, first, last, stride, judge, phase_ms=0):
    """Fault every `stride`-th transaction from first to last; print counts, assert none failed."""
    failed = []
    print("%-8s %6s %7s  %s" % ("kind", "tried", "failed", driver))
    for kind in KINDS:
        tried = 0
        bad = 0
        for number in range(first, last + 1, stride):
            tried += 1
            report = run(30, driver, (number, kind), phase_ms)
            why = judge(report)
            if report["violations"] or report["resets"]:
                why = report["violations"] or "the controller was reset"
            if why:
                bad += 1
                failed.append((number, kind, why))
        print("%-8s %6d %7d" % (kind, tried, bad))
    assert not failed, failed


def transactions_of_the_first_scan(driver):
    """How many transactions boot, start and one whole scan of four sensors take."""
    return play(duration_s=0.7, batteries=PACKS, driver=driver)["i2c"]["transactions"]


def started(report):
    for n in range(1, 5):
        if state_at(report, n, CROSSING_S + 21)[0] != "on":
            return "battery %d is %s" % (n, state_at(report, n, CROSSING_S + 21))


def opened(report):
    took = [open_ms - crossed_ms for crossed_ms, open_ms, n, _ in report["reactions"] if n == 2]
    if len(took) != 1 or took[0] > 350:
        return "opened after %s ms" % took
    return started(report)


def test_a_fault_in_every_transaction_from_reset_to_the_first_scan():
    for k, driver in enumerate(DRIVERS):
        last = transactions_of_the_first_scan(driver)
        assert last > 100, last
        campaign(driver, 1 + k * STRIDE // 2, last, STRIDE, started)


def test_a_fault_in_every_transaction_from_a_crossing_to_the_verified_opening():
    for driver in DRIVERS:
        for phase_ms in PHASES_MS:
            ((crossed, opened_at),) = run(10, driver, None, phase_ms)["i2c"]["reaction_spans"]
            # Two more read the latch and the direction back.
            assert opened_at - crossed < 60, (crossed, opened_at)
            campaign(driver, crossed, opened_at + 2, 1 if STRIDE == 1 else 5, opened, phase_ms)
