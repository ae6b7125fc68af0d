# SPDX-License-Identifier: GPL-3.0-only
"""Starts with little memory: the application runs, or the console says why it does not."""

import builtins
import sys

from sim import current
from support import ROOT, play

FROZEN_KB = 145
FREE_KB = (160, 140, 120, 100, 80, 60, 40)


class Start:
    """A power-on with so many KB free for the application.

    Attributes:
        said: what was printed; report: of the harness; leds: what was written to the LEDs.
    """

    def __init__(self, free_kb, frozen, duration_s=20):
        self.said = []
        self.leds = []
        self._free_kb = free_kb
        self._frozen = frozen
        real, path = builtins.print, list(sys.path)
        builtins.print = lambda *words, **options: self.said.append(" ".join(map(str, words)))
        sys.path.append(ROOT)  # where boot.py lies, as in the root folder of a controller
        settings = {"limits": {"start_delay_ms": 1000}}
        try:
            self.report = play(
                self._set, name="memory", batteries=4, duration_s=duration_s, settings=settings
            )
        finally:
            builtins.print = real
            sys.path[:] = path

    def _set(self):
        import machine

        import parallelator

        folder = "" if self._frozen else "app-a/"
        parallelator.__file__ = folder + "parallelator/__init__.py"
        current.world.costs.start_bytes = self._free_kb * 1024
        write = machine.Unit.writeto
        seen = self.leds

        def noted(i2c, address, data):
            if bytes(data[:1]) == b"\x03" and address == 0x20:
                seen.append((current.world.now_us // 1000, data[1]))
            return write(i2c, address, data)

        if not seen:
            machine.Unit.writeto = noted

    def refusals(self):
        return [line for line in self.said if "Too little memory" in line]


def test_every_start_runs_or_says_why_not():
    for frozen in (True, False):
        for free_kb in FREE_KB:
            start = Start(free_kb, frozen)
            closed = [n for _, n, on in start.report["switch_writes"] if on]
            if frozen and free_kb >= FROZEN_KB:
                assert len(closed) == 4 and not start.refusals(), start.said
                continue
            assert not closed, (frozen, free_kb, closed)
            (said,) = start.refusals()
            assert "%d are free" % free_kb in said, said
            assert ("frozen, needs" if frozen else "as .mpy files, needs") in said, said


def test_it_blinks_and_waits_at_the_prompt_and_says_it_again():
    start = Start(100, False, duration_s=1300)
    assert len(start.refusals()) == 3, "again after each ten minutes, when it starts anew"
    lit = [value for ms, value in start.leds if ms < 590000]
    assert len(lit) > 1000 and set(lit) == {0, 0xFF}
    assert all(a != b for a, b in zip(lit, lit[1:]))
    assert start.report["open_at_end"]
