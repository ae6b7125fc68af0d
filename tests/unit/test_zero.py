# SPDX-License-Identifier: GPL-3.0-only
"""The zeros of the current sensors: taken off, told, or not believed."""

from array import array

from parallelator.protection.zero import BAD, DOUBTFUL, GOOD, Zero
from parallelator.snapshot import NO_TEMPERATURE


def measured(zero_ma, live=False, celsius=(25,) * 16, zero=None):
    """(what came out, mA taken off) after ten seconds and a little of a constant reading."""
    zero = zero or Zero(array("i", celsius))
    shown = 0
    for _ in range(70):
        shown = zero.sample(0, zero_ma - zero.ma[0], 160, live) or shown
    return shown, zero.ma[0]


def test_a_small_zero_is_taken_off():
    assert measured(100) == (GOOD, 100)
    assert measured(-60) == (GOOD, -60)
    zero = Zero(array("i", [25] * 16))
    for _ in range(3):
        assert measured(80, zero=zero) == (GOOD, 80), "what is taken off already belongs to it"


def test_a_larger_one_is_told_and_taken_off_only_if_it_is_the_same_live_and_dead():
    zero = Zero(array("i", [25] * 16))
    assert measured(300, zero=zero) == (DOUBTFUL, 0)
    assert measured(351, live=True, zero=zero) == (DOUBTFUL, 0), "it leaks"
    assert measured(350, live=True, zero=zero) == (DOUBTFUL, 350)


def test_beyond_half_an_ampere_nothing_is_believed():
    assert measured(500) == (DOUBTFUL, 0)
    assert measured(501) == (BAD, 0)
    assert measured(-30000) == (BAD, 0)


def test_ten_steady_seconds_and_no_less():
    zero = Zero(array("i", [25] * 16))
    assert not any(zero.sample(0, 40, 160, False) for _ in range(60))
    assert zero.sample(0, 40, 160, False) == 0 and zero.sample(0, 40, 400, False) == GOOD
    unsteady = Zero(array("i", [25] * 16))
    assert not any(unsteady.sample(0, k % 2 * 51, 160, False) for k in range(200))
    assert any(unsteady.sample(0, k % 2 * 50, 160, False) for k in range(200))
    around = Zero(array("i", [25] * 16))
    assert any(around.sample(0, (0, 50, -50)[k % 3], 160, False) for k in range(200))


def test_as_many_readings_as_can_be_counted_are_enough():
    zero = Zero(array("i", [25] * 16))
    assert not any(zero.sample(0, 40, 1, False) for _ in range(254))
    assert zero.sample(0, 40, 1, False) == GOOD


def test_one_that_closes_begins_anew():
    zero = Zero(array("i", [25] * 16))
    for _ in range(50):
        zero.sample(0, 20, 160, False)
    zero.closed(0)
    assert not any(zero.sample(0, 40, 160, False) for _ in range(60))
    assert measured(40, zero=zero) == (GOOD, 40)


def test_a_switch_that_is_hotter_than_its_board_may_leak():
    assert measured(80, celsius=[35] + [25] * 15) == (0, 0)
    assert measured(80, celsius=[34] + [25] * 15) == (GOOD, 80)
    assert measured(100, celsius=[35] + [25] * 15) == (0, 0)
    assert measured(300, celsius=[35] + [25] * 15) == (DOUBTFUL, 0)
    assert measured(80, celsius=[35, 25, 25, 35] + [25] * 12) == (0, 0)
    assert measured(80, celsius=[35, 25, 35, 35] + [25] * 12) == (GOOD, 80), "so are others"
    alone = [60] + [NO_TEMPERATURE] * 3 + [25] * 12
    assert measured(80, celsius=alone) == (GOOD, 80), "nothing to compare it with"


def test_a_sensor_that_is_gone_takes_its_zero_with_it():
    zero = Zero(array("i", [25] * 16))
    measured(80, zero=zero)
    zero.forget(0)
    assert zero.ma[0] == 0
