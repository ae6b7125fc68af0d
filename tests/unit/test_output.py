# SPDX-License-Identifier: GPL-3.0-only
"""What is known of the output: who speaks, what is live, who cannot be opened, what would be."""

from parallelator import settings
from parallelator.protection import rules
from parallelator.protection.output import Output
from parallelator.snapshot import Snapshot


def limits(**changes):
    values = settings.defaults()
    values.update({"limits." + key: value for key, value in changes.items()})
    return rules.Limits(values)


def observed(*readings, on=None, held=0, stuck=0, fresh=None):
    """The output after one look at batteries with these (mV, mA)."""
    snap = Snapshot()
    for i, (voltage_mv, current_ma) in enumerate(readings):
        snap.voltage_mv[i] = voltage_mv
        snap.current_ma[i] = current_ma
        snap.valid[i] = 1
    output = Output(snap, limits())
    everybody = (1 << len(readings)) - 1
    output.look(
        everybody if on is None else on, held, stuck, everybody if fresh is None else fresh, 160
    )
    return output


def test_the_output_at_rest_is_the_median_of_those_that_carry():
    output = observed((26000, 5000), (25900, 4000), (26050, -2000), (27000, 0))
    assert output.live and output.rest_mv == 26020 and output.carriers == 0b111
    assert output.error_mv == 26150 - 25990 and output.total_ma == 7000


def test_without_a_carrier_nothing_is_known():
    assert not observed((26000, 49), (26000, -49)).live
    assert observed((26000, 50)).live
    assert not observed().live


def test_a_reading_that_is_not_fresh_does_not_speak():
    output = observed((26000, 5000), (27000, 5000), fresh=0b01)
    assert output.rest_mv == 26150 and output.closed == 0b01 and output.doubtful == 0b10


def test_a_current_beyond_all_reason_does_not_speak():
    # 1.2 times the hard limit of 20 A.
    output = observed((26000, 24001), (25000, 24000))
    assert output.carriers == 0b10 and output.rest_mv == 25720
    output = observed((26000, -24001))
    assert not output.live


def test_one_that_no_other_confirms_does_not_enter():
    output = observed((26000, 1000), (26100, 1000), (27500, 1000))
    assert output.contradicts == 0b100 and output.carriers == 0b011
    assert output.rest_mv == 26080 and not output.other_mv


def test_two_that_contradict_each_other_both_speak():
    output = observed((26000, 1000), (26501, 1000))
    assert output.contradicts == 0b11 and (output.rest_mv, output.other_mv) == (26030, 26531)
    output = observed((26000, 1000), (26500, 1000))
    assert not output.contradicts and not output.other_mv


def test_when_nobody_is_near_anybody_the_median_is_what_there_is():
    output = observed((25000, 1000), (26000, 1000), (27000, 1000))
    assert output.contradicts == 0b111 and output.rest_mv == 26030


def test_an_expander_alone_that_is_silent_leaves_its_sensors():
    output = observed((26000, 5000), (26000, 0), on=0, held=0b11)
    assert output.closed == 0b01 and output.doubtful == 0b10 and output.live


def test_one_that_shows_current_while_open_is_doubtful_until_something_confirms_it():
    output = observed((26000, 5000), on=0, stuck=0b1)
    assert output.doubtful == 0b1 and not output.live
    output.moved = 0b1
    output.look(0, 0, 0b1, 0b1, 160)
    assert output.closed == 0b1 and output.live


# Charging


def test_charging_is_seen_by_two():
    assert observed((26000, -50), (26000, -50)).charging
    assert not observed((26000, -50), (26000, -49)).charging
    assert not observed((26000, -3000), (26000, 2950)).charging
    assert not observed((26000, -3000)).charging


def test_one_witness_is_believed_once_its_voltage_rises_with_it():
    output = observed((26000, -1000))
    snap = output._snap
    for k in range(300):
        snap.voltage_mv[0] = 26000 + k // 10
        output.look(1, 0, 0, 1, 1000)
    assert not output.charging, "29 mV in five minutes"
    for _ in range(299):
        snap.voltage_mv[0] += 1
        output.look(1, 0, 0, 1, 1000)
    assert output.charging
    snap.current_ma[0] = 0
    output.look(1, 0, 0, 1, 1000)
    assert not output.charging


# Batteries that are told to be open


def stuck(*readings, mohm=30):
    """Battery 1 told to be open and seen so; `moved` after these readings of (mV, mA)."""
    output = observed((26000, 0), on=0)
    output._snap.r_mohm[0] = mohm
    for voltage_mv, current_ma in readings:
        output.watch_open(0, voltage_mv, current_ma, 0)
    return output.moved


def test_a_current_that_changes_alone_is_the_sensors():
    assert not stuck((26000, 0), (26000, 5000), (26000, 5000))
    assert not stuck((26000, 300), (26000, 300))


def test_a_current_whose_voltage_follows_is_real():
    assert stuck((26000, 0), (25850, 5000))
    assert not stuck((26000, 0), (26150, 5000)), "the wrong way"
    assert not stuck((26000, 0), (25990, 299)), "too small a step"
    assert stuck((26000, 0), (26300, -10000))
    assert not stuck((26000, 0), (25000, 5000)), "far more than its resistance explains"
    assert not stuck((26000, 0), (25850, 5000), (26000, 0)), "it is over"


def test_a_current_that_the_others_lack_is_real():
    output = observed((26000, 0), (26000, 9000), on=0b10)
    output.watch_open(0, 26000, 0, 0)
    output._snap.current_ma[1] = 4000
    output.look(0b10, 0, 0, 0b11, 160)
    output.watch_open(0, 26000, 5000, 0)
    assert output.moved == 1


def test_one_that_was_told_to_open_and_changed_nothing_is_closed():
    for voltage_mv, moved in ((25850, 1), (26000, 0)):
        output = observed((25850, 5000))
        output.opened(0b1)
        output.watch_open(0, voltage_mv, 5000, 0)
        assert output.moved == moved, voltage_mv
    output = observed((25850, 5000))
    output.opened(0b1)
    output.watch_open(0, 26000, 0, 0)
    assert not output.moved


def told_to_open(readings, then, given_ma):
    """`moved` of battery 1, told to open after a reading of (mV, mA) and then read as `then`;
    two others give `given_ma` each."""
    output = observed(readings, (26000, given_ma), (26000, given_ma), on=0b111)
    output.opened(0b1)
    output.look(0b110, 0, 0, 0b111, 160)
    output.watch_open(0, *then, 0)
    return output.moved


def test_a_charge_that_comes_from_nobody_is_the_sensors():
    assert not told_to_open((25990, -24000), (26000, -24000), 300)
    assert told_to_open((26720, -24000), (26720, -24000), 12500) == 0b1
    assert not told_to_open((26000, -24000), (26720, -24000), 5900), "half of it at least"
    assert told_to_open((26000, -24000), (26000, -24000), 6000) == 0b1


def test_a_sensor_that_shows_too_much_charge_lacks_its_own_packs_current_once_that_is_open():
    # It carried 2.5 A, which end: 75 mV. What it still shows is wrong.
    assert not told_to_open((25925, -21500), (26000, -24000), 12500)


def test_what_cannot_be_opened_is_remembered_until_it_is_seen_open():
    output = observed((26000, 0), (26000, 1000), on=0b10)
    output.watch_open(0, 26000, 0, 0)
    output.watch_open(0, 25850, 5000, 1)
    assert output.pinned == 1
    output.watch_open(0, 26000, 0, 0)
    assert output.pinned == 1 and not output.moved
    output.watch_open(0, 26231, 0, 0)
    assert output.pinned == 0, "a closed one would carry"


def test_a_switch_that_is_driven_whatever_it_is_told_counts_as_closed():
    output = observed((26000, 5000), on=0, stuck=0b1)
    output.pin(0b1)
    output.look(0, 0, 0b1, 0b1, 160)
    assert output.closed == output.pinned == 0b1 and output.live


# Boards that are gone


def gone(before_ma, after_ma, share_ma=3000, looks=3):
    """Whether board 1 counts as gone when the others' current rises from `before_ma`."""
    output = observed(*[(26000, share_ma // 4)] * 4, *[(26000, before_ma // 4)] * 4)
    for _ in range(3):
        output.look(0xFF, 0, 0, 0xFF, 160)
    output.fall_silent(0)
    for i in range(4, 8):
        output._snap.current_ma[i] = after_ma // 4
    for _ in range(looks):
        output.look(0xF0, 0x0F, 0, 0xF0, 160)
        if output.departed(0, 160):
            return True
    return False


def test_a_board_is_gone_when_the_others_take_over_half_of_its_share():
    assert gone(4000, 5500) and not gone(4000, 5496)
    assert gone(4000, 4300, 400) and not gone(4000, 4296, 400), "300 mA at least"
    assert gone(-4000, -5500, -3000) and not gone(-4000, -2500, -3000)
    assert not gone(4000, 4000)


def test_the_others_must_take_over_within_a_second():
    output = observed(*[(26000, 750)] * 4, *[(26000, 1000)] * 4)
    output.look(0xFF, 0, 0, 0xFF, 160)
    output.look(0xFF, 0, 0, 0xFF, 160)
    output.fall_silent(0)
    for _ in range(7):
        output.look(0xF0, 0x0F, 0, 0xF0, 160)
        assert not output.departed(0, 160)
    for i in range(4, 8):
        output._snap.current_ma[i] = 2000
    output.look(0xF0, 0x0F, 0, 0xF0, 160)
    assert not output.departed(0, 160)


def test_one_whose_current_the_others_carry_once_it_is_open_lied():
    for after_ma, missed in ((4150, 0), (4149, -1)):
        output = observed((26000, 0), (26000, 4000), (26000, 4000))
        output.leave(0)
        output._snap.current_ma[1] = output._snap.current_ma[2] = after_ma
        found = []
        for _ in range(3):
            output.look(0b110, 0, 0, 0b111, 160)
            found.append(output.missed())
        assert found == [-1, missed, -1], after_ma


# What would be


def test_equal_packs_share_equally_and_a_fuller_one_gives():
    output = observed((26000, 0), (26000, 0), (26000, 0))
    predicted = output.predict(0b111, 9000)
    assert [predicted[i] for i in range(3)] == [3000] * 3
    output = observed((26000, 0), (26100, 0))
    predicted = output.predict(0b11, 0)
    assert [predicted[i] for i in range(2)] == [-1000, 1000]


def test_the_sum_of_what_is_predicted_is_what_the_output_takes():
    output = observed((26000, 5000), (25900, 4000), (26050, -2000))
    output._snap.r_mohm[1] = 80
    for total_ma in (-20000, 0, 7000, 45000):
        predicted = output.predict(0b111, total_ma)
        assert abs(sum(predicted[i] for i in range(3)) - total_ma) <= 60, total_ma
