# SPDX-License-Identifier: GPL-3.0-only
"""What is known of the output: who speaks, what is live, who cannot be opened, what would be."""

from array import array

from parallelator import settings
from parallelator.protection import rules
from parallelator.protection.output import FRESH_MS, Output, insert
from parallelator.snapshot import Snapshot


def limits(**changes):
    values = settings.Values({})
    values.given.update({"limits." + key: value for key, value in changes.items()})
    return rules.Limits(values)


def observed(*readings, on=None, held=0, stuck=0, fresh=None, **changes):
    """The output after one look at batteries with these (mV, mA)."""
    snap = Snapshot()
    for i, (voltage_mv, current_ma) in enumerate(readings):
        snap.voltage_mv[i] = voltage_mv
        snap.current_ma[i] = current_ma
        snap.valid[i] = 1
    output = Output(snap, limits(**changes))
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


def test_two_scans_and_a_half_are_fresh():
    assert FRESH_MS == rules.SCAN_MS * 5 // 2


def test_a_current_beyond_all_reason_does_not_speak():
    # 1.2 times the hard limit of 20 A.
    output = observed((26000, 24001), (25000, 24000))
    assert output.carriers == 0b10 and output.rest_mv == 25720
    output = observed((26000, -24001))
    assert not output.live
    assert observed((26000, -24000)).live
    output = observed((26000, 60000), (26000, -60000), hard_current_pct=0)
    assert output.carriers == 0b11, "without a hard limit every current speaks"


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
    output = observed((25000, 1000), (26000, 1000), (26501, 1000))
    assert output.contradicts == 0b111 and output.error_mv == 1501 and not output.other_mv


def carrying(*millivolts):
    """(who contradicts, mV at rest) of packs that give 1 A each, 30 mV above these."""
    output = observed(*[(millivolt - 30, 1000) for millivolt in millivolts])
    return output.contradicts, output.rest_mv


def test_near_is_whoever_lies_within_the_offset_of_a_neighbour():
    assert carrying(25000, 26000, 26500) == (0b001, 26250)
    assert carrying(26500, 25000, 26000) == (0b010, 26250)
    assert carrying(25000, 25500, 26500, 27000) == (0, 26000), "two and two"
    assert carrying(25000, 25100, 26000, 27000, 27100) == (0b00100, 26050)


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


def test_what_one_gives_to_another_is_no_charge():
    output = observed((26000, -3000), (26000, 2950))
    for i in range(2):
        output._snap.voltage_mv[i] += 40
    output.look(0b11, 0, 0, 0b11, 1000)
    assert not output.charging


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


def test_a_rise_counts_at_once_and_for_five_minutes():
    output = observed((26000, -1000))
    snap = output._snap
    for voltage_mv, charging in ((26029, False), (26030, True)):
        snap.voltage_mv[0] = voltage_mv
        output.look(1, 0, 0, 1, 100)
        assert output.charging == charging, voltage_mv
    output.look(1, 0, 0, 1, 299640)
    assert output.charging, "after five minutes it begins anew"
    output.look(1, 0, 0, 1, 299999)
    assert output.charging
    output.look(1, 0, 0, 1, 1)
    assert not output.charging


def test_a_rise_is_of_the_same_packs_without_a_break():
    for change in ("another pack", "a break"):
        output = observed((26000, -1000), (26000, 0), on=1)
        output._snap.voltage_mv[0] = 26040
        output.look(1, 0, 0, 0b11, 100)
        assert output.charging
        if change == "a break":
            output._snap.current_ma[0] = 0
            output.look(1, 0, 0, 0b11, 100)
            output._snap.current_ma[0] = -1000
        output.look(0b11 if change == "another pack" else 1, 0, 0, 0b11, 100)
        assert not output.charging, change


def test_a_charge_is_50_milliamperes_of_each_pack():
    assert observed((26000, -100), (26000, -50), (26000, 0)).charging
    assert not observed((26000, -99), (26000, -50), (26000, 0)).charging
    assert not observed((26000, -99), (26000, -51), (26000, 1)).charging


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


def test_a_step_is_300_milliamperes_at_once():
    assert stuck((26000, 0), (25991, 300)) and stuck((26000, 0), (26009, -300))
    assert not stuck((26000, 0), (26009, -299))
    assert stuck((26000, 0), (25997, 100), (25991, 300)), "100 mA are not steady"
    assert stuck((26000, 0), (26003, -100), (26009, -300))
    assert not stuck((26000, 0), (25997, 99), (25988, 398)), "99 mA are"
    assert not stuck((26000, 0), (26003, -99), (26012, -398))


def test_a_voltage_follows_within_a_factor_of_three():
    # 10 A over 30 mOhm are 300 mV.
    assert stuck((26000, 0), (25900, 10000)) and not stuck((26000, 0), (25901, 10000))
    assert stuck((26000, 0), (25090, 10000)) and not stuck((26000, 0), (25089, 10000))


def test_it_is_over_at_50_milliamperes():
    for current_ma, moved in ((50, 0), (51, 1), (-50, 0), (-51, 1)):
        assert stuck((26000, 0), (25850, 5000), (26000, current_ma)) == moved, current_ma


def test_the_first_reading_is_no_step():
    output = observed((26000, 0), (26000, -5000), on=0b10)
    output.watch_open(0, 26000, 5000, 0)
    assert not output.moved


def test_a_current_that_the_others_lack_is_real():
    output = observed((26000, 0), (26000, 19000), on=0b10)
    output.watch_open(0, 26000, 0, 0)
    output._snap.current_ma[1] = 14000
    output.look(0b10, 0, 0, 0b11, 160)
    output.watch_open(0, 26000, 5000, 0)
    assert output.moved == 1


def read_open(output, mask, reading, early=None):
    """The packs of `mask` are told to open; the lowest is read at once as `early` (None: as
    later), which may be a mean of before and after, and then as `reading`."""
    output.opened(mask)
    output.watch_open(0, *(early or reading), 0)
    assert not output.moved, "too early to tell"
    output.watch_open(0, *reading, 0)


def test_one_that_was_told_to_open_and_changed_nothing_is_closed():
    for voltage_mv, moved in ((25850, 1), (26000, 0)):
        output = observed((25850, 5000))
        read_open(output, 0b1, (voltage_mv, 5000))
        assert output.moved == moved, voltage_mv
    output = observed((25850, 5000))
    read_open(output, 0b1, (26000, 0))
    assert not output.moved


def told_to_open(readings, then, given_ma, early=None):
    """`moved` of battery 1, told to open after a reading of (mV, mA) and then read as `early`
    (None: as `then`) and as `then`; two others give `given_ma` each."""
    output = observed(readings, (26000, given_ma), (26000, given_ma), on=0b111)
    output.opened(0b1)
    output.look(0b110, 0, 0, 0b111, 160)
    for reading in (early or then, then):
        output.watch_open(0, *reading, 0)
    return output.moved


def test_a_charge_that_comes_from_nobody_is_the_sensors():
    assert not told_to_open((25990, -24000), (26000, -24000), 300)
    assert told_to_open((26720, -24000), (26720, -24000), 12500) == 0b1
    assert not told_to_open((26000, -24000), (26720, -24000), 5900), "half of it at least"
    assert told_to_open((26000, -24000), (26000, -24000), 6000) == 0b1


def test_a_charge_that_ends_in_part_is_the_sensors():
    assert not told_to_open((25925, -24000), (25835, -21000), 12500)


def test_what_the_others_give_is_counted_without_its_own():
    output = observed((26000, -24000), (26000, 6000), (26000, 6000))
    read_open(output, 0b1, (26000, -24000))
    assert output.moved == 1


def test_a_charge_is_told_from_300_milliamperes_on():
    for current_ma, moved in ((-300, 1), (-299, 0)):
        output = observed((26000, current_ma), (26000, 200), (26000, 200))
        output._snap.r_mohm[0] = 200
        read_open(output, 0b1, (26000, current_ma))
        assert output.moved == moved, current_ma


def test_a_voltage_that_no_resistance_explains_is_no_sign():
    output = observed((26000, 0))
    output._snap.r_mohm[0] = 1
    output.watch_open(0, 26000, 0, 0)
    output.watch_open(0, 25995, 300, 0)
    assert not output.moved


def test_a_current_that_makes_a_pack_fuller_than_all_others_is_the_sensors():
    # 30 mOhm: 600 mV above the others with 20 A, 450 with 15, of the 500 that they may differ.
    for current_ma, moved in ((20000, 0), (15000, 1)):
        output = observed((26000, current_ma), (26000, 100), (26000, 100))
        output.opened(0b1)
        output.watch_open(0, 26000, current_ma, 0)
        output.look(0b110, 0, 0, 0b111, 160)
        output.watch_open(0, 26000, current_ma, 0)
        assert output.moved == moved, current_ma
    # The others rest at 26003 mV; 600 and 500 mV above what it shows, and 1 mV more.
    for voltage_mv, current_ma, moved in ((25800, 20000, 1), (26003, 16666, 1), (26004, 16666, 0)):
        output = observed((voltage_mv, current_ma), (26000, 100), (26000, 100))
        output.opened(0b1)
        output.look(0b110, 0, 0, 0b111, 160)
        for _ in range(2):
            output.watch_open(0, voltage_mv, current_ma, 0)
        assert output.moved == moved, voltage_mv
    output = observed((26000, 20000))
    output.look(0, 0, 0, 1, 160)
    output.rest_mv = 0
    read_open(output, 0b1, (26000, 20000))
    assert output.moved == 1, "nothing is known of the output"


def test_a_sensor_that_shows_too_much_charge_lacks_its_own_packs_current_once_that_is_open():
    # It carried 2.5 A, which end: 75 mV. What it still shows is wrong.
    assert not told_to_open((25925, -21500), (26000, -24000), 12500)
    # A sensor at the end of its range shows no change; 18 A of its own make 540 mV.
    assert not told_to_open((25460, -81900), (26000, -81900), 60000)
    assert told_to_open((25981, -81900), (26000, -81900), 60000) == 0b1
    # The mean that the opening fell into: what follows is no change of its own.
    assert not told_to_open((25925, -21500), (26000, -24000), 12500, (25970, -22635))


def test_a_sensor_that_shows_too_much_discharge_lacks_it_too():
    # 15.6 A too much, and 22 A of its own that end: 660 mV.
    assert not told_to_open((25340, 37600), (26000, 15600), 22000)
    # A weld takes over what the others gave: that stays real.
    assert told_to_open((25850, 5000), (25550, 15000), 0) == 0b1


def test_a_sensor_that_shows_too_much_discharge_lacks_the_charge_that_ends():
    # 22.9 A too much, and 45 A of a charger that end: 1350 mV.
    assert not told_to_open((27350, -22100), (26000, 22900), -5000)
    # A weld takes over what the others got: the others know that this is no end.
    assert told_to_open((26000, 15000), (25550, 30000), 5000) == 0b1
    # Of the last one to open, what was known of the output a second ago still holds.
    for since_ms, moved in ((0, 0), (999, 0), (1000, 1)):
        output = observed((27350, -22100), (27350, -45000))
        output.look(0, 0, 0, 0b11, since_ms)
        output.opened(0b1)
        for _ in range(2):
            output.watch_open(0, 26000, 22900, 0)
        assert output.moved == moved, since_ms


def test_what_the_others_take_over_is_no_sign_of_a_charge():
    output = observed((25925, -21500), (25925, 3500), on=0b11)
    output._snap.r_mohm[0] = 30
    output.opened(0b1)
    output.watch_open(0, 25970, -22635, 0)
    for others_ma in (3500, 6000):
        output._snap.current_ma[1] = others_ma
        output.look(0b10, 0, 0, 0b11, 160)
        output.watch_open(0, 26000, -24000, 0)
        assert not output.moved, others_ma


def test_an_opening_that_changed_nothing_is_told_by_20_millivolts():
    # 634 mA over 30 mOhm, rounded away from zero.
    for current_ma, moved in ((634, 1), (633, 0), (5000, 1)):
        output = observed((26000, current_ma))
        read_open(output, 0b1, (26000, current_ma))
        assert output.moved == moved, current_ma
        output._opened = output._opening = 0b1
        output.forget(0)
        output.watch_open(0, 26000, current_ma, 0)
        assert not output.moved, "forgotten"
    output = observed((26000, 299))
    output._snap.r_mohm[0] = 200
    read_open(output, 0b1, (26000, 299))
    assert not output.moved, "less than 300 mA"
    output = observed((26000, 300), (26000, 5000))
    output._snap.r_mohm[0] = 200
    output._snap.valid[1] = 0
    read_open(output, 0b11, (26000, 300))
    assert output.moved == 1, "300 mA over 200 mOhm"
    for _ in range(2):
        output.watch_open(1, 26000, 10000, 0)
    assert output.moved == 1, "what was not valid is compared with nothing"


def pinned_after(voltage_mv, current_ma, live=True, on=0b10):
    """Whether pack 0 still counts as one that cannot be opened; the output is at 26.03 V."""
    output = observed((26000, 0), (26000, 1000 if live else 0), on=on)
    output.pinned = 1
    output.watch_open(0, voltage_mv, current_ma, 0)
    return output.pinned == 1


def test_a_pack_without_current_that_differs_from_the_output_is_open():
    assert pinned_after(26230, 0) and not pinned_after(26231, 0)
    assert pinned_after(25830, 0) and not pinned_after(25829, 0)
    assert not pinned_after(26231, 50) and pinned_after(26231, 51)
    assert not pinned_after(26231, -50) and pinned_after(26231, -51)
    assert pinned_after(26200, 0, live=False) and not pinned_after(26201, 0, live=False)
    assert pinned_after(26500, 0, live=False, on=0), "nobody to compare with"


def test_what_cannot_be_opened_is_remembered_until_it_is_seen_open():
    output = observed((26000, 0), (26000, 1000), on=0b10)
    output.watch_open(0, 26000, 0, 0)
    output.watch_open(0, 25850, 5000, 1)
    assert output.pinned == 1
    output.watch_open(0, 26000, 0, 0)
    assert output.pinned == 1 and not output.moved
    output.watch_open(0, 26231, 0, 0)
    assert output.pinned == 0, "a closed one would carry"


def test_of_two_that_cannot_both_be_connected_one_is_open():
    for apart_mv, pinned in ((200, 0b11), (201, 0b10)):
        output = observed((26000 + apart_mv, 0), (26000, 0), on=0)
        output.pin(0b11)
        output.watch_open(0, 26000 + apart_mv, 0, 0)
        output.watch_open(1, 26000, 0, 0)
        assert output.pinned == pinned, apart_mv
    output._snap.valid[1] = 0
    output.pin(0b11)
    output.watch_open(0, 26201, 0, 0)
    assert output.pinned == 0b11, "what does not answer is no witness"


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
    assert not gone(-4000, -4400, -3000)
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


def test_one_that_lied_while_the_others_are_charged_is_found_too():
    output = observed((26000, 40), (26000, -4000), (26000, -4000))
    output.leave(0)
    output._snap.current_ma[1] = -4300
    for missed in (-1, 0, -1):
        output.look(0b110, 0, 0, 0b111, 160)
        assert output.missed() == missed
    output = observed((26000, 40), (26000, 4000))
    output.leave(0)
    output._snap.current_ma[1] = 4299
    for _ in range(3):
        output.look(0b10, 0, 0, 0b11, 160)
        assert output.missed() == -1


def test_a_board_departs_within_a_second_and_until_it_answers():
    for dt_ms, gone_ in ((999, True), (1000, False)):
        output = observed(*[(26000, 750)] * 4, *[(26000, 1000)] * 4)
        output._snap.valid[3] = 0
        output.look(0xFF, 0, 0, 0xFF, 160)
        output.fall_silent(0)
        output.look(0xF0, 0x0F, 0, 0xF0, 160)
        assert not output.departed(0, dt_ms) and not output.departed(1, 0)
        for i in range(4, 8):
            output._snap.current_ma[i] = 1282
        output.look(0xF0, 0x0F, 0, 0xF0, 160)
        output.fall_silent(0)
        assert output.departed(0, 0) == gone_, "1128 of 2250 mA: what is not valid is no share"
        output.answer(0)
        assert not output.departed(0, 0)


# What would be


def test_only_a_pack_that_may_be_connected_sags():
    assert observed((26000, 5000), on=0).at_rest_mv(0) == 26000
    assert observed((26000, 5000), fresh=0).at_rest_mv(0) == 26150
    assert observed((26000, 5000)).at_rest_mv(0) == 26150


def test_no_resistance_is_less_than_ten_milliohms():
    output = observed((26000, 0), path_resistance_mohm=0)
    for mohm, taken in ((5, 10), (11, 11)):
        output._snap.r_mohm[0] = mohm
        assert output.resistance_mohm(0) == taken


def test_packs_further_apart_than_three_volts_are_taken_for_three():
    for mv, predicted in (((24000, 28000), (-30000, 30000)), ((28000, 24000), (30000, -30000))):
        output = observed(*[(millivolt, 0) for millivolt in mv])
        assert tuple(output.predict(0b11, 0)[:2]) == predicted


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


def test_a_value_is_put_in_its_place_and_nothing_behind_is_looked_at():
    scratch = array("i", [5, 7, 0, 99])
    insert(scratch, 2, 3)
    assert list(scratch) == [3, 5, 7, 99]
