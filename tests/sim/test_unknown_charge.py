# SPDX-License-Identifier: GPL-3.0-only
"""What the rig tells of a charge that it does not know: the whole firmware in virtual time.

`SOAK=1` asks after an hour as well.
"""

from os import getenv

from sim import slow, world
from support import play

AT_S = (20, 600, 3600) if getenv("SOAK") else (20, 600)
OFF_S = 400
TICK_MS = 500
EMPTY = {"nmc7s": 0.09, "lfp8s": 0.03}
"""Where the plant's curve is at the lowest voltage of the settings: 0 % for the crew."""


class Told:
    """A sabotage that breaks nothing: it slows the guard down and asks what is told at AT_S.

    Args:
        exchanged: as of `told`.

    Attributes:
        at_once: energy of the rig as the API tells it when the last boot begins.
        rows: at each time, of the last boot: charge of the rig and of battery 1, each with its
            error as the API tells them; the same in the metrics, None where they have no sample.
        events: those of the last boot that are about a pack.
    """

    def __init__(self, exchanged):
        self._exchanged = exchanged

    def __call__(self):
        from parallelator.app import App
        from parallelator.records.events import Events

        slow.slow_down(TICK_MS)
        self.rows, self.events = [], []
        start, emit = App._start, Events.emit

        def started(app, name, job):
            if name == "energy":
                start(app, "told", lambda: self._ask(app.rig))
            return start(app, name, job)

        def emitted(events, code, i, state, reason, value):
            if code.startswith("pack_"):
                self.events.append((code, i + 1))
            emit(events, code, i, state, reason, value)

        App._start, Events.emit = started, emitted

    async def _ask(self, rig):
        import asyncio

        from parallelator.views import battery_view, rig_view
        from parallelator.web.reports import Reports

        self.at_once = rig_view(rig)["energy"]
        await asyncio.sleep_ms(5000)
        if self._exchanged and rig.boot == 2:
            rig.meter.forget(0)
            rig.events.emit("pack_swapped", 0, 0, 0, 0)
        for at_s in AT_S:
            while rig.snap.uptime_s < at_s:
                await asyncio.sleep_ms(TICK_MS)
            views = rig_view(rig)["energy"], battery_view(rig, 0)
            told = [view[key] for view in views for key in ("soc_pct", "soc_error_pct")]
            metrics = dict(
                line.split(" ")
                for line in "".join(Reports(rig)._metrics()).split("\n")
                if "charge" in line and line[0] != "#"
            )
            shown = [
                metrics.get("parallelator_" + name)
                for name in ("charge_ratio", "charge_error_ratio")
                + ('battery_charge_ratio{battery="1"}', 'battery_charge_error_ratio{battery="1"}')
            ]
            shown = [value and round(100 * float(value)) for value in shown]
            assert shown == told, (shown, told)
            self.rows.append(told)
        await asyncio.sleep_ms(1 << 28)


def told(chemistry, soc, later=None, exchanged=False):
    """What is told of two packs that begin at `soc`.

    Args:
        later: charge that pack 1 and pack 2 come back with after a power-off at OFF_S.
        exchanged: the crew says of pack 1 that it is another one, five seconds later.
    """
    settings = {"pack": {"capacity_mah": 20000}}
    if chemistry == "lfp8s":
        settings["pack"].update({"chemistry": "lfp", "cells": 8})
        settings["limits"] = {"min_voltage_mv": 22400, "max_voltage_mv": 29200}
    steps = [
        {"at": OFF_S, "do": "set_battery", "n": n + 1, "soc": soc}
        for n, soc in enumerate(later or ())
    ]
    if later:
        steps.append({"at": OFF_S, "do": "power_cycle"})
    found = Told(exchanged)
    step_us, world._STEP_US = world._STEP_US, TICK_MS * 1000
    try:
        play(
            found,
            duration_s=(OFF_S if later else 0) + AT_S[-1] + 20,
            batteries=[{"n": n, "soc": soc, "chemistry": chemistry} for n in (1, 2)],
            settings=settings,
            steps=steps,
        )
    finally:
        world._STEP_US = step_us
    return found


def usable(chemistry, soc):
    """Charge in per cent as the crew counts it."""
    empty = EMPTY[chemistry]
    return 100 * (soc - empty) / (1 - empty)


def holds(found, chemistry, soc):
    """True when what is told of battery 1 holds at each time."""
    true_pct = usable(chemistry, soc)
    return all(abs(pct - true_pct) <= error for _, _, pct, error in found.rows)


def test_a_first_boot_tells_how_little_it_knows():
    found = told("nmc7s", 0.6)
    assert found.at_once is None and holds(found, "nmc7s", 0.6) and found.events == []
    assert all(row[3] >= 5 for row in found.rows), "no time at rest makes it sure"
    found = told("lfp8s", 0.6)
    assert all(row[3] >= 15 for row in found.rows), "the plateau of the curve tells little"


def test_a_swap_that_nobody_told_of_is_noticed_where_the_voltage_shows_it():
    found = told("nmc7s", 0.85, (0.3, 0.85))
    assert found.events == [("pack_changed", 1)] and holds(found, "nmc7s", 0.3)
    assert all(row[1] >= 7 and row[3] >= 7 for row in found.rows)


def test_a_swap_that_was_told_begins_as_a_first_boot():
    # Its voltage shows that it is another one; the crew says so as well.
    found = told("lfp8s", 0.85, (0.3, 0.85), exchanged=True)
    assert found.events == [("pack_changed", 1), ("pack_swapped", 1)]
    first = told("lfp8s", 0.3)
    assert found.rows[0][3] >= first.rows[0][3] - 1 >= 15, (found.rows, first.rows)


def test_a_year_on_the_shelf():
    for soc in (0.8, 0.65):
        assert holds(told("nmc7s", 0.85, (soc, soc)), "nmc7s", soc)
