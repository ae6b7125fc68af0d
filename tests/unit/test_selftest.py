# SPDX-License-Identifier: GPL-3.0-only
"""What the readings of a self-test mean."""

from parallelator import settings
from parallelator.show.selftest import (
    CURRENT,
    GO,
    NO_GO,
    OPENING,
    RESISTANCE,
    UNMEASURED,
    WATCH,
    Findings,
    Window,
)
from parallelator.snapshot import BATTERIES

EMPTY = [0] * BATTERIES


def window(ma, mv=(), spread_ma=0):
    """A window with these readings of the first batteries; the load moves by `spread_ma`."""
    found = Window()
    for sign in (-1, 1):
        row = (list(ma) + EMPTY)[:BATTERIES]
        row[-1] += sign * spread_ma // 2
        found.add(row, (list(mv) + EMPTY)[:BATTERIES])
    found.close()
    return found


def codes(found):
    return [(n, code, level) for n, code, level, _ in found.rows]


def test_a_battery_that_opens_alone_is_measured():
    found = Findings()
    before = window((2000, 2000, 2000), (25940, 25940, 25940))
    assert found.opened(0, before, window((0, 3000, 3000), (25980, 25900, 25900)))
    assert found.r_mohm[0] == 20 and found.zero_ma[0] == 0 and not found.rows
    assert found.measured[0] == CURRENT | OPENING | RESISTANCE
    assert found.verdict(1) == GO and found.verdict(2) == UNMEASURED


def test_a_small_step_tells_that_it_is_open_but_no_resistance():
    found = Findings()
    assert found.opened(0, window((150, 150)), window((0, 300)))
    assert found.measured[0] == CURRENT | OPENING and found.r_mohm[0] is None
    assert found.opened(1, window((0, 60)), window((60, 0)))
    assert found.measured[1] == 0, "too little to see"


def test_what_stays_closed_or_opens_another_is_told():
    found = Findings()
    assert not found.opened(0, window((2000, 2000)), window((2000, 2000)))
    assert not found.opened(1, window((2000, 2000, 9)), window((0, 4000, 9)))
    assert codes(found) == [(1, "not_off", NO_GO), (2, "other_current", NO_GO)]
    assert found.rows[1][3] == 1 and found.measured == bytes(BATTERIES)


def test_a_zero_is_told_apart_from_a_current():
    for offset, level in ((25, GO), (-59, GO), (60, WATCH), (-300, NO_GO)):
        found = Findings()
        assert found.opened(0, window((2000 + offset, 2000)), window((offset, 4000)))
        assert found.verdict(1) == level, offset


def test_a_wrong_gain_accuses_the_one_that_has_it():
    found = Findings()
    found.opened(0, window((1600, 2000, 2000)), window((0, 3000, 3000)))
    found.opened(1, window((1600, 2000, 2000)), window((2400, 0, 3000)))
    for _ in found.comparing([], 30):
        pass
    assert codes(found) == [(1, "gain", NO_GO)] and found.rows[0][3] == -20
    found = Findings()
    found.opened(0, window((1600, 2000), spread_ma=900), window((0, 4000)))
    for _ in found.comparing([], 30):
        pass
    assert not found.rows, "with a load that moves nobody knows"


def test_who_does_not_carry_though_it_should_is_told():
    found = Findings()
    assert found.closed(0, 2, window((0, 3000)), window((1500, 1500)))
    both = window((1500, 1500), (26000, 26000, 26020))
    assert not found.closed(2, 3, both, both)
    both = window((1500, 1500), (26000, 26000, 0, 0, 26019))
    assert found.closed(4, 3, both, both), "nothing would flow at the voltage of the others"
    assert not found.closed(3, 3, window((1500, 1500)), window((1000, 1000, 0, 0, 1000)))
    assert codes(found) == [(3, "no_current", NO_GO), (4, "other_current", NO_GO)]
    found = Findings()
    for other_mv, carries in ((26010, True), (26200, False)):
        both = window((0, 0), (26000, other_mv))
        assert found.closed(0, 2, both, both) == carries, other_mv


def test_what_differs_on_one_output_is_told():
    found = Findings()
    volts = (26040, 26040, 26040, 26040)  # 26 V at an output behind 20 milliohms
    found.shared(15, window((2000, 2000, 2000, 2000), volts), 20)
    assert not found.rows
    found.shared(15, window((2000, 2000, 0, 2000), (26040, 26040, 26019, 26040)), 20)
    assert not found.rows, "nothing flows at the voltage of the output"
    found.shared(15, window((2000, 2000, 0, 2000), (26040, 26040, 26020, 26040)), 20)
    found.shared(15, window((2000, 2000, 2000, 2000), (26040, 26040, 26040, 26240)), 20)
    assert codes(found) == [(3, "no_current", NO_GO), (4, "voltage", NO_GO)], found.rows
    found = Findings()
    found.shared(15, window((2000, -1900, 2000, 2000), (26040, 25962, 26040, 26040)), 20)
    assert codes(found) == [(2, "reversed", NO_GO)], found.rows
    found = Findings()
    found.shared(15, window((-600, -200, 200, 600), (25988, 25996, 26004, 26012)), 20)
    assert not found.rows, "they charge each other"


def test_resistances_are_set_against_the_others_and_against_before():
    for mohm, level in ((30, GO), (41, GO), (42, WATCH), (69, NO_GO)):
        found = Findings()
        found.r_mohm[:4] = [mohm, 29, 30, 31]
        for _ in found.comparing([], 30):
            pass
        measured = [row[2] for row in found.rows if row[:2] == (1, "resistance_high")]
        assert (measured or [GO]) == [level], (mohm, found.rows)
    found = Findings()
    found.r_mohm[0] = 200
    for _ in found.comparing([], 30):
        pass
    assert codes(found) == [(1, "resistance_high", NO_GO)], "nobody else was measured"
    before = ([30] * 4 + [None] * 12, [0] * 16)
    found = Findings()
    found.r_mohm[:4] = [45, 45, 45, 46]
    for _ in found.comparing([before] * 3, 30):
        pass
    assert not found.rows, "a cold night makes all of them grow"
    found.r_mohm[:4] = [45, 30, 31, 30]
    found.zero_ma[1] = 45
    for _ in found.comparing([before] * 3, 30):
        pass
    assert (1, "resistance_grown", WATCH) in codes(found)
    assert (2, "zero_drift", WATCH) in codes(found)


def test_settings_that_contradict_the_batteries_are_told():
    values = settings.Values({})
    for kind, cells, mv, told in (
        ("nmc", 7, 26000, []),
        ("lfp", 8, 28300, [(1, "cells", NO_GO)]),
        ("nmc", 7, 23000, [(1, "outside", NO_GO)]),
        ("lfp", 7, 23900, [(0, "limit_high", NO_GO), (1, "outside", NO_GO)]),
    ):
        found = Findings()
        values.given.update({"pack.chemistry": kind, "pack.cells": cells})
        found.fit(values, True, [mv] + [None] * 15)
        assert codes(found) == told, (kind, cells, mv, found.rows)
    found = Findings()
    found.fit(values, False, [28300] + [None] * 15)
    assert not found.rows, "nobody has entered what cells they are"


def test_heat_charge_and_the_worst_of_each_kind():
    found = Findings()
    found.heat([31, 30, None, 45, 30] + [None] * 11)
    assert codes(found) == [(4, "hot", WATCH)]
    found.charge([(80, 4), (82, 4), (35, 4), (10, 30)] + [None] * 12)
    assert (3, "charge_low", WATCH) in codes(found) and found.verdict(4) != NO_GO
    found.note(4, "hot", 30, 60)
    assert [row for row in found.rows if row[1] == "hot"] == [(4, "hot", NO_GO, 60)]
