# SPDX-License-Identifier: GPL-3.0-only
"""What the rig tells of a charge that it does not know: the whole firmware in virtual time."""

from sim import slow, world
from support import play

AT_S = (15, 600, 3600)
OFF_S = 400
TICK_MS = 500
EMPTY = {"nmc7s": 0.09, "lfp8s": 0.03}
"""Where the plant's curve is at the lowest voltage of the settings: 0 % for the crew."""


class Told:
    """A sabotage that breaks nothing: it slows the guard down and asks what is told at AT_S.

    Attributes:
        rows: at each time, of the last boot: charge of the rig and of battery 1, each with its
            error as the API tells them; the same in the metrics, None where they have no sample.
        events: those of the last boot that are about a pack.
    """

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


def told(chemistry, soc, later=None, **plan):
    """What is told of two packs that begin at `soc`; `later` is the charge that pack 1 and pack 2
    come back with after a power-off at OFF_S."""
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
    found = Told()
    step_us, world._STEP_US = world._STEP_US, TICK_MS * 1000
    try:
        play(
            found,
            duration_s=(OFF_S if later else 0) + AT_S[-1] + 20,
            batteries=[{"n": n, "soc": soc, "chemistry": chemistry} for n in (1, 2)],
            settings=settings,
            steps=steps,
            **plan,
        )
    finally:
        world._STEP_US = step_us
    print(chemistry, found.rows, found.events)
    return found


def usable(chemistry, soc):
    """Charge in per cent as the crew counts it."""
    empty = EMPTY[chemistry]
    return 100 * (soc - empty) / (1 - empty)


def test_first():
    told("nmc7s", 0.6)
    told("lfp8s", 0.6)
    told("nmc7s", 0.85, (0.3, 0.85))
    told("lfp8s", 0.85, (0.3, 0.85))
    told("nmc7s", 0.85, (0.65, 0.65))
    told("lfp8s", 0.85, (0.65, 0.65))
    told("nmc7s", 0.85, (0.8, 0.8))
    told("lfp8s", 0.85, (0.8, 0.8))
    assert 0
