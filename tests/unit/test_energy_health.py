# SPDX-License-Identifier: GPL-3.0-only
"""Packs that tire: when it is told, once, and what is not taken for it."""

from flash import Flash
from parallelator.energy.health import Health
from parallelator.snapshot import Snapshot


class Packs:
    """Stands for the `Charge`."""

    def __init__(self):
        self.capacity = [(1.0, 0.12)] * 16

    def health(self, i):
        return self.capacity[i]


class Rig:
    def __init__(self, flash=None, packs=None):
        self.snap = Snapshot()
        self.packs = packs or Packs()
        self.flash = flash or Flash()
        self.told = []
        self.health = Health(self.packs, self.snap, self.flash, self._emit)

    def _emit(self, code, i, state, reason, value):
        self.told.append((code, i, value))

    def look(self, *r_mohm):
        for i, r in enumerate(r_mohm):
            self.snap.r_mohm[i] = r
        for i in range(len(r_mohm)):
            self.health.look(i)
        return self.told


def test_a_capacity_is_told_once_it_is_known():
    rig = Rig()
    assert rig.health.percent(0) is None
    rig.packs.capacity[0] = 0.783, 0.06
    assert rig.health.percent(0) is None and rig.look(0) == []
    rig.packs.capacity[0] = 0.804, 0.04
    assert rig.health.percent(0) == 80 and rig.look(0) == []
    rig.packs.capacity[0] = 0.783, 0.04
    assert rig.look(0) == [("capacity_low", 0, 78)]
    assert rig.look(0) == [("capacity_low", 0, 78)], "once"
    assert Rig(rig.flash, rig.packs).look(0) == [], "and not again at each start"
    rig.health.forget(0)
    assert len(rig.look(0)) == 2, "another one"


def test_a_resistance_that_grows_alone_is_told():
    rig = Rig()
    assert rig.look(20, 30, 25) == []
    assert rig.look(30, 45, 38) == [], "all of them: a cold night"
    assert rig.look(30, 45, 58) == [("resistance_grown", 2, 58)]
    assert len(rig.look(30, 45, 60)) == 1, "once"
    later = Rig(rig.flash)
    assert later.look(20, 30, 39) == [("resistance_grown", 2, 39)], "its first one is kept"


def test_a_resistance_is_compared_with_two_others_at_least():
    rig = Rig()
    rig.look(20, 30)
    assert rig.look(40, 30) == []
    rig.look(40, 30, 25)
    rig.health.forget(0)
    assert rig.look(40, 30, 25) == [], "another pack has its own first one"


def test_another_pack_is_forgotten_in_the_flash_too():
    rig = Rig()
    rig.look(20, 30, 25)
    rig.health.forget(2)
    later = Rig(rig.flash)
    assert later.look(20, 30, 58) == [], "its first one is its own, not that of the pack before"
