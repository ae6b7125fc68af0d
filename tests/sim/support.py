# SPDX-License-Identifier: GPL-3.0-only
"""Runs scenarios in virtual time for the whole-firmware tests, and reads their reports."""

import sys

ROOT = __file__.rsplit("/tests/sim/", 1)[0]
sys.path.insert(0, ROOT + "/tools/sim/standins")

from sim import harness, scenario  # noqa: E402 - the stand-ins must come first


def play(sabotage=None, files=None, **plan):
    """Play a scenario given as keywords (see scenario.py); returns its report.

    Args:
        sabotage, files: as of `harness.run`.
    """
    plan.setdefault("name", "test")
    plan.setdefault("settings", {}).setdefault("serial_messages", False)
    plan = scenario.complete(plan)
    return harness.run(ROOT, plan, True, quiet=True, sabotage=sabotage, files=files)


def state_at(report, n, at_s):
    """(state, reason) of battery n at a time in seconds."""
    found = ("absent", "")
    for ms, number, state, reason in report["timeline"]:
        if number == n and ms <= at_s * 1000:
            found = (state, reason)
    return found


def moves(report, n, after_s=0):
    """When battery n's switch moved, from `after_s` on: list of (seconds, 0 or 1)."""
    return [
        (ms / 1000, closed)
        for ms, number, closed in report["switch_writes"]
        if number == n and ms >= after_s * 1000
    ]


def clean(report):
    """Assert that nothing was violated and no steady tick allocated."""
    assert report["violations"] == [], report["violations"]
    assert report["alloc_violations"] == [], report["alloc_violations"]
