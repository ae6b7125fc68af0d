# SPDX-License-Identifier: GPL-3.0-only
"""Charge and energy of the whole firmware against the plant's, over resets in mid-show.

`SOAK=1` makes it an hour.
"""

from os import getenv

from sim import current
from support import clean, play

MINUTES = 60 if getenv("SOAK") else 12
PACKS = [{"n": n, "soc": 0.8, "capacity_ah": 20} for n in (1, 2)]
SETTINGS = {"pack": {"capacity_mah": 20000}}
LOAD_A = 6
FIRST_S = 50


class Watch:
    """A sabotage that breaks nothing: it notes what the meter knows, and what the plant gave.

    The voltage is not looked at: what it tells would hide what a reset has lost.
    """

    def __init__(self):
        self.known = self.first = None
        self._seen = [0.0] * 2
        self._true_wh = [0.0] * 2

    def __call__(self):
        from parallelator.energy.charge import Charge
        from parallelator.energy.meter import Meter

        turn = Meter.turn

        def watched(meter):
            seconds = turn(meter)
            self._note(meter)
            return seconds

        Meter.turn = watched
        Charge.look = lambda *_: None

    def _note(self, meter):
        plant = current.world.plant
        for i in range(2):
            gone_ah = plant.out_ah[i] - plant.in_ah[i]
            self._true_wh[i] += (gone_ah - self._seen[i]) * plant.voltage_v[i]
            self._seen[i] = gone_ah
        self.known = [
            (
                meter.charge.now(i)[0] * meter.charge.capacity[i],
                meter.out_dwh[i] / 10,
                self._seen[i] / 20,
                self._true_wh[i],
            )
            for i in range(2)
        ]
        if self.first is None and current.world.now_us > FIRST_S * 1000000:
            self.first = self.known

    def lost(self):
        """(share of the capacity that was counted too little, that of the energy) of each pack."""
        for first, last in zip(self.first, self.known):
            charge, wh, true_charge, true_wh = (b - a for a, b in zip(first, last))
            yield true_charge + charge, 1 - wh / true_wh


def show(minutes, resets_s=()):
    watch = Watch()
    report = play(
        watch,
        duration_s=minutes * 60 + FIRST_S,
        batteries=PACKS,
        settings=SETTINGS,
        load=[[0, LOAD_A]],
        steps=[{"at": at_s, "do": "controller_reset"} for at_s in resets_s],
    )
    clean(report)
    assert report["resets"] == len(resets_s)
    return list(watch.lost())


def test_resets_each_minute_cost_no_charge_and_no_energy():
    resets_s = [60 * k + 60 + 0.37 * k % 1 for k in range(MINUTES)]
    for lost in (show(MINUTES), show(MINUTES, resets_s)):
        for charge, energy in lost:
            assert abs(charge) < 0.002 * MINUTES / 60, charge
            assert abs(energy) < 0.01, energy
