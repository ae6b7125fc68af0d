# SPDX-License-Identifier: GPL-3.0-only
"""What the ALERT lines report besides a current: a voltage beyond its hard limit."""

from support import clean, moves, play, state_at

SHIFT_S = 0.0137
"""From one run to the next the step falls elsewhere in the tick."""
HIGH_MV, LOW_MV = 8000, -12000
"""Added to 26 V at hard limits of 30.9 V and 21.6 V."""


def opened(mv, k, numbers=(5,), lasts_s=None, **plan):
    """The report, and ms from the step to each opening of the batteries it is added to."""
    at_s = 10 + SHIFT_S * k
    steps = [{"at": at_s, "do": "inject_voltage", "n": n, "mv": mv} for n in numbers]
    if lasts_s:
        end_s = at_s + lasts_s
        steps += [{"at": end_s, "do": "inject_voltage", "n": n, "mv": 0} for n in numbers]
    report = play(duration_s=11.5, load=[[0, 24]], steps=steps, **plan)
    clean(report)
    return report, [
        (open_s - at_s) * 1000
        for n in numbers
        for open_s, closed in moves(report, n, 9)
        if not closed
    ]


def test_a_voltage_beyond_its_hard_limit_opens_within_40_ms():
    for k in range(5):
        for mv, why in ((HIGH_MV, "overvoltage"), (LOW_MV, "undervoltage")):
            report, took = opened(mv, k)
            assert len(took) == 1 and took[0] < 40, (k, mv, took)
            assert state_at(report, 5, 11) == ("tripped", why)


def test_a_voltage_beyond_it_for_one_conversion_only_opens_nobody():
    for k in range(10):
        report, took = opened(HIGH_MV, k, lasts_s=0.0024)
        assert took == [] and state_at(report, 5, 11)[0] == "on", (k, took)


def test_a_voltage_beyond_it_at_all_of_them_opens_within_100_ms():
    for k in range(4):
        for mv in (HIGH_MV, LOW_MV):
            _, took = opened(mv, k, numbers=range(1, 17))
            assert len(took) == 16 and max(took) < 100, (k, mv, took)


def test_the_scan_does_it_for_a_chip_that_compares_no_voltage():
    packs = [{"n": n, "soc": 0.5, "sensor": "ina226"} for n in range(1, 17)]
    for k in range(3):
        _, took = opened(LOW_MV, 4 * k, batteries=packs)
        assert len(took) == 1 and 40 < took[0] < 250, (k, took)


def test_a_pack_without_voltage_at_power_on_has_no_dead_alert_line():
    # Its BMS is open, then closes: from the first moment ALERT tells of its current.
    steps = [
        {"at": 0, "do": "bms_open", "n": 5},
        {"at": 9, "do": "bms_close", "n": 5},
        {"at": 13.0137, "do": "inject_current", "n": 5, "ma": 30000},
    ]
    report = play(duration_s=14, load=[[0, 24]], steps=steps)
    clean(report)
    assert state_at(report, 5, 13)[0] == "on"
    opened_s = [at_s for at_s, closed in moves(report, 5, 13) if not closed]
    assert len(opened_s) == 1 and opened_s[0] - 13.0137 < 0.04, opened_s
