# SPDX-License-Identifier: GPL-3.0-only
"""The meter of the rig: what it follows, tells, keeps over a reset and over a power cut."""

from array import array

from flash import Flash
from parallelator import catalog, energy
from parallelator.catalog import ON, WAITING
from parallelator.energy import curve
from parallelator.energy.meter import Meter, _lasting_mah
from parallelator.snapshot import Snapshot

SETTINGS = {
    "pack.chemistry": "nmc",
    "pack.cells": 7,
    "pack.capacity_mah": 20000,
    "pack.curve": None,
    "limits.min_voltage_mv": 24000,
    "limits.max_discharge_current_ma": 10000,
}
for n in range(1, 17):
    SETTINGS["batteries.%d.capacity_mah" % n] = 0


class Rig:
    """Four packs of the start curve, nearly without resistance, that give `ma` each; more wait."""

    def __init__(self, flash=None, kept=None, resumed=False, charge=0.5):
        self.charge = charge
        self._curve = curve.start("nmc", 24000 / 7)
        self.usable_mah = 20000 * (1 - curve.empty("nmc", 24000 / 7))
        self.flash = flash or Flash()
        self.kept = kept or bytearray(energy.ROWS_BYTES)
        self.snap = Snapshot()
        self.events = []
        self.r_forgotten = []
        emit = lambda *event: self.events.append(event)  # noqa: E731
        self.meter = Meter(
            self.snap, SETTINGS, self.kept, resumed, self.flash, emit, self.r_forgotten.append
        )
        for i in range(4):
            self.snap.valid[i] = 1
            self.snap.r_mohm[i] = 1

    def run(self, seconds, ma):
        snap = self.snap
        for _ in range(seconds):
            snap.uptime_s += 1
            self.charge -= ma / 3600 / self.usable_mah
            for i in range(4):
                snap.voltage_mv[i] = int(curve.volts_at(self._curve, self.charge) * 7)
            taken = self.meter.turn()
            for i in range(16):
                if snap.valid[i]:
                    snap.state[i] = WAITING if i > 3 else ON
                    snap.current_ma[i] = 0 if i > 3 else ma
                    snap.discharge_rest[i] += snap.current_ma[i] * 1000
                    snap.discharge_mah[i] += snap.discharge_rest[i] // 3600000
                    snap.discharge_rest[i] %= 3600000
                self.meter.follow(i, taken)
        for _ in self.meter.telling():
            pass
        return self

    def percent(self, i):
        snap = self.snap
        return None if snap.soc_pct[i] == 255 else (snap.soc_pct[i], snap.soc_error_pct[i])

    def told(self):
        return self.meter.told and dict(zip(catalog.ENERGY, self.meter.told))


def test_the_capacity_has_to_be_told():
    assert energy.is_asked(SETTINGS)
    assert not energy.is_asked(dict(SETTINGS, **{"pack.capacity_mah": 0}))
    assert energy.capacity_mah(dict(SETTINGS, **{"batteries.3.capacity_mah": 15000}), 2) == 15000


def test_unknown_is_told_as_unknown():
    rig = Rig()
    assert rig.percent(0) is None and rig.told() is None
    rig.run(3, 0)
    assert rig.percent(9) is None
    charge, error = rig.percent(0)
    assert 40 < charge < 65 and 3 <= error <= 15, (charge, error)


def test_a_steady_load_has_its_time():
    told = Rig().run(1000, 2000).told()
    hours = told["left_s"] / 3600
    # Half of four times 20 Ah, less what the drop of voltage leaves in the packs, at 8 A.
    assert 3.2 < hours < 5.5, told
    assert told["left_least_s"] < told["left_s"] < told["left_most_s"]
    assert told["full_least_s"] is None and told["first"] in (1, 2, 3, 4)
    told = Rig().run(1000, -2000).told()
    assert told["left_s"] is None and told["full_least_s"] < told["full_most_s"]


def test_a_load_lasts_until_those_that_are_left_cannot_carry_it():
    # Four packs of 10 A at most and a load of 24 A: it takes three, and the first ends after 1 h.
    ends = [(1.0, 6000, 2), (2.0, 6000, 1), (3.0, 6000, 3), (4.0, 6000, 4)]
    assert _lasting_mah(ends, 10000) == 24000 + 18000
    assert _lasting_mah(ends, 12000) == 24000 + 18000 + 12000
    assert _lasting_mah(ends, 40000) == 6000 * (1 + 2 + 3 + 4), "all that they have"
    assert _lasting_mah(ends, 5000) == 24000, "as long as nobody has opened"


def test_those_that_wait_to_join_count():
    alone, waiting = Rig(), Rig()
    waiting.snap.valid[4], waiting.snap.r_mohm[4] = 1, 1
    waiting.snap.voltage_mv[4] = int(curve.volts_at(waiting._curve, 0.5) * 7)
    less, more = (rig.run(1000, 3000).told() for rig in (alone, waiting))
    assert 1.2 < more["left_s"] / less["left_s"] < 1.4, (less, more)
    assert 1 <= more["first"] <= 4 and more["left_wh"] > 1.2 * less["left_wh"], (less, more)


def test_a_pack_without_a_resistance_has_that_of_the_others():
    left_s = []
    for r_mohm in ([60] * 4, [0, 60, 60, 60], [0] * 4):
        rig = Rig()
        for i in range(4):
            rig.snap.r_mohm[i] = r_mohm[i]
        left_s.append(rig.run(1000, 4000).told()["left_s"])
    assert left_s[0] == left_s[1] != left_s[2], left_s


def test_the_charge_of_the_day_is_charted():
    rig = Rig(charge=0.9)
    steps = []
    for point in range(1, 75):
        rig.run(60, 5000)
        rig.meter.chart(point)
        rig.meter.chart(point)
        steps.append(rig.snap.soc_pct[0])
    assert rig.meter.charges(1, 2, 74) == steps[2:], "72 points, then the oldest goes"
    assert steps[2] > steps[-1] and None not in rig.meter.charges(0, 2, 74)
    assert rig.meter.charges(9, 2, 74) == [None] * 72


def test_to_and_fro_of_a_sensor_is_no_energy():
    rig = Rig()
    for k in range(4000):
        rig.run(1, 20 if k % 2 else -20)
    assert (rig.meter.out_dwh[0], rig.meter.in_dwh[0]) == (0, 0), rig.meter.out_dwh


def test_a_reset_every_minute_changes_nothing():
    steady = Rig().run(3600, 3000)
    rig = Rig().run(60, 3000)
    for _ in range(59):
        lost = 3000 / 3600 / rig.usable_mah  # the second of the reset, in which nobody counts
        rig = Rig(rig.flash, rig.kept, True, rig.charge - lost).run(60, 3000)
        assert rig.events == []
    for i in range(4):
        one, two = steady.meter.charge.now(i)[0], rig.meter.charge.now(i)[0]
        assert abs((one - steady.charge) - (two - rig.charge)) < 0.002, (i, one, two)


def test_the_flash_knows_the_charge_after_a_power_cut():
    rig = Rig().run(1200, 3000)
    rig.meter.save()
    after = Rig(rig.flash, charge=rig.charge).run(3, 0)
    assert after.events == []
    assert abs(after.meter.charge.now(0)[0] - rig.meter.charge.now(0)[0]) < 0.03


def test_the_flash_is_not_worn_by_a_rig_at_rest():
    rig = Rig().run(600, 0)
    rig.meter.save()
    first = rig.flash.blobs
    rig.flash.blobs = {}
    rig.meter.save()
    assert first and rig.flash.blobs == {}


def test_the_flash_is_spared_for_a_quarter_of_an_hour_at_most():
    def saves(spared):
        rig = Rig()
        seconds = []
        rig.flash.set_blob = lambda key, _: key == "charges" and seconds.append(rig.snap.uptime_s)
        for _ in range(1850):
            rig.run(1, 4000).meter.save_in_time(spared)
        return seconds

    assert [second // 10 for second in saves(False)] == [30, 60, 90, 120, 150, 180]
    assert [second // 10 for second in saves(True)] == [90, 180]


def test_what_a_pack_showed_is_not_held_against_another_curve():
    rig = Rig(charge=0.8).run(600, 0)
    rig.meter.save()
    learned = [int(mv) + 120 for mv in rig.meter.charge.curve]
    rig.flash.set_blob("curve", bytes(array("H", [1] + learned)))
    rig.meter.charge.use(learned)
    rig.run(1, 0)
    rig.meter.save()
    after = Rig(rig.flash, charge=0.8).run(3, 0)
    assert after.events == []


def test_another_pack_is_an_event_and_is_learned_anew():
    rig = Rig(charge=0.8).run(1200, 3000)
    rig.meter.save()
    after = Rig(rig.flash, charge=0.2).run(3, 0)
    changed = sorted((event[0], event[1]) for event in after.events)
    assert changed == [("pack_changed", i) for i in range(4)], after.events
    assert after.percent(0)[0] < 40


def test_counters_that_jump_are_not_taken_for_charge():
    rig = Rig().run(60, 0)
    before = rig.meter.charge.now(0)[0]
    rig.snap.discharge_mah[0] += 5000
    rig.run(2, 0)
    assert abs(rig.meter.charge.now(0)[0] - before) < 0.001


def test_what_a_sensor_can_show_is_charge():
    rig = Rig(charge=0.9).run(1, 0)
    before = rig.meter.charge.now(0)[0]
    rig.run(60, 80000)
    assert abs(before - rig.meter.charge.now(0)[0] - 80000 / 60 / rig.usable_mah) < 0.002


def test_energy_is_counted_and_kept():
    rig = Rig(charge=0.6).run(1, 0)
    volts = rig.snap.voltage_mv[0] / 2000
    rig.run(3600, 2000)
    volts += rig.snap.voltage_mv[0] / 2000  # the mean
    out_wh = rig.meter.out_dwh[0] / 10
    assert abs(out_wh - 2 * volts) < 0.002 * out_wh and rig.meter.in_dwh[0] == 0, out_wh
    rig.run(3600, -1000)
    in_wh = rig.meter.in_dwh[0] / 10
    assert abs(in_wh - volts) < 0.01 * in_wh and rig.meter.out_dwh[0] / 10 == out_wh, in_wh
    for ma in (2000, -2000):
        before = rig.meter.out_dwh[0] - rig.meter.in_dwh[0]
        for _ in range(60):
            rig = Rig(rig.flash, rig.kept, True, rig.charge).run(2, ma)
        wh = (rig.meter.out_dwh[0] - rig.meter.in_dwh[0] - before) / 10
        # The second that a reset may lose is counted again at each of them.
        assert abs(wh / ma * 1000 / 180 * 3600 / 26 - 1) < 0.1, wh
    out_wh = rig.meter.out_dwh[0] / 10
    again = Rig(rig.flash, rig.kept, resumed=True)
    assert list(again.meter.out_dwh) == list(rig.meter.out_dwh)
    assert list(again.meter.in_dwh) == list(rig.meter.in_dwh)
    rig.meter.save()
    later = Rig(rig.flash)
    assert list(later.meter.out_dwh) == list(rig.meter.out_dwh)
