"""How fast the rig answers, next to the fastest that the same MicroPython can."""

import sys

from rigs import ROOT

sys.path.insert(0, str(ROOT / "tools/bench"))

import web as bench  # noqa: E402 - lies beside the other benchmarks


def test_the_state_is_served_at_sixty_percent_of_a_bare_handler():
    rig, bare = bench.measure()
    assert rig / bare >= 0.6, f"{rig:.0f} of {bare:.0f} requests/s"
