# SPDX-License-Identifier: GPL-3.0-only
"""The charge of a pack: counted, corrected by the voltage, and never surer than its evidence."""

from parallelator.energy import curve
from parallelator.energy.charge import Charge

HOUR_S = 3600


class Pack:
    """Pack 3 of 20 Ah by its label, of the chemistry's own start curve, without resistance."""

    def __init__(
        self, chemistry="nmc", cells=7, label_mah=20000, true_mah=20000, charge=0.5, beside_mv=0
    ):
        self.estimate = Charge(chemistry, cells, [label_mah] * 16, 24000)
        self._curve = [mv + beside_mv for mv in curve.start(chemistry, 24000 / cells)]
        self._cells, self._mah = cells, true_mah
        self.charge = charge

    def volts_mv(self):
        return int(curve.volts_at(self._curve, self.charge) * self._cells)

    def look(self):
        self.estimate.look(3, self.volts_mv(), 0, 30)

    def pass_current(self, ma, hours, look=True):
        for k in range(int(hours * HOUR_S) // 10):
            self.charge -= ma * 10 / 3600 / self._mah
            self.estimate.count(3, ma * 10, 10)
            if look and k % 30 == 0:
                self.look()

    def now(self):
        return self.estimate.now(3)


def test_the_curve_is_read_both_ways():
    for chemistry, empty_mv in (("nmc", 24000 / 7), ("lfp", 3000)):
        table = curve.start(chemistry, empty_mv)
        assert abs(table[0] - empty_mv) < 1, table[0]
        for k in range(0, 101, 7):
            back = curve.charge_at(table, curve.volts_at(table, k / 100))
            assert abs(back - k / 100) < 0.002, (chemistry, k, back)


def test_nothing_is_known_before_the_first_look_and_a_steep_curve_tells_much():
    pack = Pack(charge=0.7)
    assert pack.now()[1] > 0.25
    pack.look()
    charge, deviation = pack.now()
    assert abs(charge - 0.7) < 0.03 and 0.01 < deviation < 0.08, (charge, deviation)


def test_a_flat_curve_tells_little_however_often_it_is_looked_at():
    pack = Pack("lfp", 8, charge=0.5)
    for _ in range(200):
        pack.look()
    assert pack.now()[1] > 0.08, pack.now()


def test_cells_beside_the_curve_are_told_within_their_doubt():
    for beside_mv in (-20, 20):
        # The voltage of discharge lies 7 mV under that of rest.
        pack = Pack("lfp", 8, charge=0.9, beside_mv=beside_mv - 7)
        while pack.charge > 0.1:
            charge, deviation = pack.now()
            assert abs(charge - pack.charge) < 2 * deviation, (beside_mv, pack.charge, pack.now())
            pack.pass_current(2000, 0.5)


def test_a_look_never_turns_the_correction_round():
    estimate = Charge("lfp", 8, [20000] * 16, 22400)
    estimate.look(3, 26700, 0, 30)
    before = estimate.now(3)[0]
    for voltage_mv in (26240, 26300, 26400):
        estimate.look(3, voltage_mv, 0, 30)
        assert estimate.now(3)[0] < before, (voltage_mv, estimate.now(3), before)
        before = estimate.now(3)[0]


def test_many_looks_with_the_same_error_make_nothing_certain():
    pack = Pack(charge=0.6)
    pack.look()
    first = pack.now()[1]
    for _ in range(200):
        pack.estimate.count(3, 0, 10)
        pack.look()
    assert pack.now()[1] > first / 2


def test_what_flows_is_counted_to_the_milliampere_second():
    pack = Pack(charge=0.9)
    pack.look()
    before, full_mah = pack.now()[0], pack.estimate.full_mah(3)
    pack.pass_current(5000, 1, look=False)
    assert abs(before - pack.now()[0] - 5000 / full_mah) < 0.001
    pack.pass_current(-5000, 0.5, look=False)
    assert abs(before - pack.now()[0] - 2500 / full_mah) < 0.001


def test_the_capacity_is_learned_from_two_cycles():
    pack = Pack(true_mah=16000, charge=0.95)
    for _ in range(2):
        pack.pass_current(3000, 16 * 0.85 / 3)
        pack.pass_current(-3000, 16 * 0.85 / 3)
    assert abs(pack.estimate.capacity[3] - 0.8) < 0.05, pack.estimate.capacity[3]


def test_the_end_of_the_charger_is_seen_once_and_only_with_a_small_current():
    pack = Pack()
    ended = pack.estimate.ended
    assert not any(ended(3, 29300, -3000, 10) for _ in range(100))
    assert not any(ended(3, 28000, -500, 10) for _ in range(100))
    assert [ended(3, 29300, -500, 10) for _ in range(30)].index(True) == 17
    assert not any(ended(3, 29300, -500, 10) for _ in range(100))
    pack.estimate.full(3)
    assert abs(pack.now()[0] - 0.985) < 0.01 and pack.now()[1] < 0.012


def test_another_pack_is_noticed_and_the_same_one_is_not():
    pack = Pack(charge=0.9)
    pack.pass_current(4000, 1)
    pack.estimate.wake(3)
    assert not pack.estimate.is_another(3, pack.volts_mv(), 0, 30)
    pack.charge = 0.3
    assert pack.estimate.is_another(3, pack.volts_mv(), 0, 30)
    pack.estimate.forget(3)
    assert pack.now()[1] > 0.25


def test_another_pack_is_noticed_on_the_plateau_whatever_the_curve_is_wrong_by():
    for beside_mv in (-25, 0, 25):
        pack = Pack("lfp", 8, charge=0.98, beside_mv=beside_mv)
        pack.pass_current(1000, 2)
        kept, before = pack.estimate.row(3), pack.charge
        for charge, another in ((before - 0.03, False), (0.25, True), (0.15, True)):
            pack.charge = charge
            pack.estimate.recall(3, kept)
            pack.estimate.wake(3)
            found = pack.estimate.is_another(3, pack.volts_mv(), 0, 30)
            assert found == another, (beside_mv, charge)


def test_a_pack_that_was_full_is_the_same_when_its_voltage_has_settled():
    pack = Pack("lfp", 8, charge=0.9)
    pack.look()
    pack.estimate.full(3)
    pack.estimate.wake(3)
    assert not pack.estimate.is_another(3, 8 * 3330, 0, 30)


def test_who_was_never_seen_is_no_other():
    pack = Pack(charge=0.05)
    pack.estimate.wake(3)
    assert not pack.estimate.is_another(3, pack.volts_mv(), 0, 30)


def test_what_is_kept_brings_back_charge_capacity_and_doubt():
    pack = Pack(true_mah=17000, charge=0.95)
    pack.pass_current(3000, 3)
    other = Pack()
    other.estimate.recall(3, pack.estimate.row(3))
    charge, deviation = pack.now()
    assert abs(other.now()[0] - charge) < 0.0002
    assert abs(other.now()[1] - deviation) <= 0.001
    assert abs(other.estimate.capacity[3] - pack.estimate.capacity[3]) < 0.003
    row = other.estimate.row(3)
    other.estimate.recall(3, row)
    assert other.estimate.row(3) == row, "however often"


def test_less_is_left_at_a_larger_current():
    pack = Pack(charge=0.5)
    pack.look()
    light, heavy = (pack.estimate.left_mah(3, ma, pack.volts_mv(), 0, 30) for ma in (500, 15000))
    assert 0 < heavy < light <= 0.55 * 20000, (heavy, light)


def test_near_empty_the_voltage_tells_what_is_left():
    pack = Pack("lfp", 8, charge=0.3)
    pack.estimate.recall(3, (20000, 180, 25, 100, 0, 0, 0))  # 30 %, within 5
    pack.charge = 0.02
    left = pack.estimate.left_mah(3, 0, pack.volts_mv(), 0, 30)
    assert abs(left - 0.02 * 20000) < 150, left
    # On the plateau it does not: as much is left as was believed.
    pack.charge = 0.6
    left = pack.estimate.left_mah(3, 0, pack.volts_mv(), 0, 30)
    assert abs(left - 0.3 * 20000) < 600, left
    # A current that is another than the one that will last is taken into account.
    pack.charge = 0.02
    sagged_mv = pack.volts_mv() - 10000 * 30 // 1000
    light, heavy = (pack.estimate.left_mah(3, ma, sagged_mv, 10000, 30) for ma in (0, 10000))
    assert heavy < light / 2, (heavy, light)


def test_one_discharge_from_full_to_empty_shows_the_capacity():
    for chemistry, cells, beside_mv in (("nmc", 7, 10), ("lfp", 8, 5), ("lfp", 8, -5)):
        pack = Pack(chemistry, cells, true_mah=15000, charge=1.0, beside_mv=beside_mv)
        pack.look()
        pack.estimate.full(3)
        pack.pass_current(1500, 9.5)
        share, deviation = pack.estimate.health(3)
        assert abs(share - 0.75) < 2 * deviation < 0.1, (chemistry, share, deviation)
        # What is charged meanwhile counts, too; the surest measure stands.
        pack.pass_current(-1500, 3)
        pack.pass_current(1500, 3)
        assert abs(pack.estimate.capacity[3] - 0.75) < 2 * deviation, pack.estimate.capacity[3]


def test_a_power_off_ends_the_measure_of_the_capacity():
    pack = Pack("lfp", 8, true_mah=15000, charge=1.0)
    pack.estimate.full(3)
    pack.pass_current(1500, 5, look=False)
    pack.estimate.wake(3)  # and what a load without the firmware took was not counted
    pack.charge -= 0.2
    pack.pass_current(1500, 2.5)
    assert pack.estimate.health(3)[1] > 0.03, pack.estimate.health(3)
