# SPDX-License-Identifier: GPL-3.0-only
"""The hazards that earlier controllers met, each played through guard, chips and plant.

The number in a test's name is the hazard's in the protection document's list.
"""

from support import clean, moves, play, state_at

LEVEL = [{"n": n, "soc": 0.8} for n in range(1, 5)]
LAST_TICK_MS = (1 << 30) - 1


def pulse(n, at_s, ma, for_s=0.2):
    return [
        {"at": at_s, "do": "inject_current", "n": n, "ma": ma},
        {"at": at_s + for_s, "do": "inject_current", "n": n, "ma": 0},
    ]


def on(report, n, at_s):
    return state_at(report, n, at_s)[0] == "on"


def kept(report, n):
    """The closings of battery n that were no trial, which ends after ten seconds at the latest."""
    return [
        closing
        for closing in report["closings"]
        if closing["n"] == n and (closing["opened_ms"] or 1e9) - closing["closed_ms"] > 10500
    ]


def test_01_limits_are_milliamps_and_millivolts():
    # 9 A of 10 A a pack for half a minute, then 16 A: beyond the hard limit of 15 A.
    report = play(duration_s=45, batteries=LEVEL, load=[[0, 0], [10, 36], [40, 64]])
    clean(report)
    assert all(on(report, n, 39.9) for n in range(1, 5))
    assert {state_at(report, n, 44) for n in range(1, 5)} != {("on", "")}


def test_02_current_into_a_pack_counts_too():
    # 66 A of charge into three packs: beyond 20 A each.
    report = play(duration_s=15, batteries=LEVEL[:3], source=[[0, 0], [10, 66]])
    clean(report)
    # All of them: the charger's fault, which counts against the output.
    assert {state_at(report, n, 10.9) for n in (1, 2, 3)} == {("tripped", "bus_overload")}
    assert moves(report, 1, 10)[0][0] - 10 <= 0.05


def test_02b_current_into_a_pack_counts_by_the_scan_alone():
    # The ALERT of an INA226 compares discharge only.
    packs = LEVEL[:3] + [{"n": 4, "soc": 0.8, "sensor": "ina226"}]
    report = play(duration_s=12, batteries=packs, steps=pulse(4, 10, -25000, 0.5))
    clean(report)
    assert state_at(report, 4, 11) == ("tripped", "overcurrent")
    assert moves(report, 4, 9)[0][0] - 10 <= 0.12


def test_03_overvoltage_is_not_retried_for_ever():
    steps = []
    for k in range(7):
        steps.append({"at": 10 + 20 * k, "do": "inject_voltage", "n": 2, "mv": 2300})
        steps.append({"at": 12 + 20 * k, "do": "inject_voltage", "n": 2, "mv": 0})
    report = play(duration_s=150, batteries=LEVEL, steps=steps)
    clean(report)
    assert state_at(report, 2, 149) == ("locked", "overvoltage")
    assert len(moves(report, 2)) == 10


def test_04_a_real_35_volts_and_a_real_collapse_are_acted_on():
    for mv in (7000, -15000):
        steps = [{"at": 10, "do": "inject_voltage", "n": 2, "mv": mv}]
        report = play(duration_s=12, batteries=LEVEL, steps=steps)
        clean(report)
        assert moves(report, 2, 10)[0][0] - 10 <= 0.12


def test_05_a_limit_beyond_the_range_of_the_sensor_is_not_accepted():
    # 20 mOhm end at 8.19 A: the file is refused, the limits of the defaults and 2 mOhm stay.
    report = play(
        duration_s=14,
        batteries=LEVEL,
        settings={"sensor": {"shunt_uohm": 20000}},
        steps=pulse(2, 10, 21000),
    )
    clean(report)
    assert state_at(report, 2, 11) == ("tripped", "overcurrent")


def test_06_imbalance_is_measured_against_the_live_fleet():
    # All packs are at 25.3 V, nearly 5 V below the limit, and within 0.1 V of each other.
    packs = [{"n": n, "soc": 0.12} for n in range(1, 5)]
    report = play(duration_s=30, batteries=packs, load=[[0, 4]])
    clean(report)
    assert all(on(report, n, 29) and len(moves(report, n)) == 1 for n in range(1, 5))


def test_06b_a_pack_more_than_a_volt_below_the_highest_opens_uncounted():
    steps = [{"at": 10, "do": "inject_voltage", "n": 3, "mv": -1010}]
    report = play(duration_s=14, batteries=LEVEL, steps=steps)
    clean(report)
    opened_s = moves(report, 3, 9)[0][0] - 10
    assert 1.5 <= opened_s <= 1.75 and state_at(report, 3, 13) == ("tripped", "imbalance")
    steps = [{"at": 10, "do": "inject_voltage", "n": 3, "mv": -990}]
    report = play(duration_s=14, batteries=LEVEL, steps=steps)
    clean(report)
    assert on(report, 3, 13)


def test_07_a_dead_bus_gets_one_group_not_everybody():
    packs = [{"n": n, "soc": 0.3 + 0.04 * n} for n in range(1, 13)]
    report = play(duration_s=8, batteries=packs)
    clean(report)
    first_ms = report["switch_writes"][0][0]
    together = {n for ms, n, closed in report["switch_writes"] if ms - first_ms < 20}
    assert 1 <= len(together) <= 4, together


def test_08_a_fuller_pack_does_not_join_a_low_bus():
    packs = [{"n": n, "soc": 0.2} for n in range(1, 4)] + [{"n": 4, "soc": 0.9}]
    report = play(duration_s=12, batteries=packs)
    clean(report)
    assert state_at(report, 4, 11) == ("waiting", "bus_lower") and moves(report, 4) == []


def test_09_the_end_of_discharge_does_not_chatter():
    # The load takes the packs below 24.0 V; without it they spring back above, but not to 25.0 V.
    # The last to open carries all of it, less than the hard limit: that would be another reason.
    packs = [{"n": n, "soc": 0.16, "capacity_ah": 0.4} for n in range(1, 5)]
    report = play(duration_s=400, batteries=packs, load=[[0, 0], [8, 14], [250, 0]])
    clean(report)
    for n in range(1, 5):
        assert len(kept(report, n)) == 1, moves(report, n)
        assert state_at(report, n, 399) == ("tripped", "undervoltage")


def test_10_a_lock_survives_reset_and_power_cycle():
    steps = []
    for k in range(5):
        steps += pulse(2, 10 + 12 * k, 21000)
    steps += [
        {"at": 65, "do": "controller_reset"},
        {"at": 80, "do": "power_cycle"},
        {"at": 95, "do": "request", "n": 2, "action": "reset"},
    ]
    report = play(duration_s=100, batteries=LEVEL, steps=steps)
    clean(report)
    for at_s in (64, 79, 94):
        assert state_at(report, 2, at_s) == ("locked", "overcurrent"), at_s
    assert on(report, 2, 99) and on(report, 1, 79)


def test_10b_an_operators_off_survives_a_reset():
    steps = [
        {"at": 10, "do": "request", "n": 2, "action": "off"},
        {"at": 12, "do": "controller_reset"},
    ]
    report = play(duration_s=22, batteries=LEVEL, steps=steps)
    clean(report)
    assert state_at(report, 2, 21) == ("off", "operator") and on(report, 1, 21)


def test_11_a_failed_off_is_written_again_until_it_is_done():
    steps = [
        {"at": 10, "do": "expander_nack", "board": 0},
        {"at": 10.005, "do": "inject_current", "n": 2, "ma": 20000},
        {"at": 12, "do": "expander_nack", "board": 0, "on": False},
        {"at": 12.5, "do": "inject_current", "n": 2, "ma": 0},
    ]
    report = play(duration_s=14, batteries=LEVEL, steps=steps)
    assert report["alloc_violations"] == []
    assert 12 <= moves(report, 2, 9)[0][0] <= 12.06
    # Until then it may carry load, and the others stand as they were told.
    assert state_at(report, 2, 11)[0] == "uncontrolled"
    assert all(moves(report, n, 9) == [] for n in (1, 3, 4))


def test_12_latches_left_on_and_the_power_on_latch_close_nothing():
    for kind in ("controller_reset", "power_cycle"):
        report = play(duration_s=12, batteries=LEVEL, steps=[{"at": 10, "do": kind}])
        clean(report)
        for n in range(1, 5):
            (_, _), (opened_s, closed) = moves(report, n)
            assert not closed and opened_s - 10 <= 0.01


def test_13_a_missing_board_shifts_no_numbers():
    steps = [{"at": 10, "do": "board_unplug", "board": 0}] + pulse(5, 12, 21000)
    report = play(duration_s=14, load=[[0, 20]], steps=steps)
    clean(report)
    assert state_at(report, 5, 13) == ("tripped", "overcurrent")
    assert all(on(report, n, 13) for n in range(6, 17))
    assert all(state_at(report, n, 13)[0] in ("absent", "uncontrolled") for n in range(1, 5))


def test_14_a_manual_on_does_not_pass_a_lock_or_a_rule():
    steps = []
    for k in range(5):
        steps += pulse(2, 10 + 12 * k, 21000)
    for at_s in (60, 61, 62):
        steps.append({"at": at_s, "do": "request", "n": 2, "action": "on"})
    steps.append({"at": 63, "do": "request", "n": 4, "action": "on"})
    packs = LEVEL[:3] + [{"n": 4, "soc": 0.3}]
    report = play(duration_s=66, batteries=packs, steps=steps)
    clean(report)
    assert state_at(report, 2, 65)[0] == "locked"
    assert state_at(report, 4, 65) == ("waiting", "bus_higher") and moves(report, 4) == []


def test_15_who_asks_again_and_again_does_not_close_a_pack_that_tripped_meanwhile():
    # A program asks for `on`, a hundred times a second, while the battery trips and cools.
    steps = pulse(2, 10, 21000, 0.05) + [
        {"at": 9.9 + k / 100, "do": "request", "n": 2, "action": "auto"} for k in range(1000)
    ]
    report = play(duration_s=22, batteries=LEVEL, steps=steps)
    clean(report)
    (opened_s, _), (closed_s, _) = moves(report, 2, 9)
    assert opened_s - 10 <= 0.05 and 10.0 <= closed_s - opened_s <= 10.5


def test_15b_what_measures_a_pack_switches_nothing():
    # Steps of the load tell every pack's resistance: 70 % of it at once, the rest in 20 s.
    packs = [{"n": n, "soc": 0.8, "r_mohm": 20 + 15 * n} for n in range(1, 5)]
    steps = [[0, 0]] + [[10 + 2 * k, 30 if k & 1 else 8] for k in range(12)]
    report = play(duration_s=34, batteries=packs, load=steps)
    clean(report)
    assert [len(moves(report, n)) for n in range(1, 5)] == [1, 1, 1, 1]
    for n in range(1, 5):
        assert 0.65 <= report["r_mohm"][str(n)] / (20 + 15 * n) <= 0.8, report["r_mohm"]


def test_16_a_frozen_reading_is_not_taken_for_a_fresh_one():
    steps = [{"at": 10, "do": "sensor_freeze", "n": 2}]
    report = play(duration_s=12, load=[[0, 24]], steps=steps)
    clean(report)
    assert moves(report, 2, 9)[0][0] - 10 <= 0.7


def test_17_the_limits_of_the_file_are_those_that_protect():
    tight = {"limits": {"max_voltage_mv": 28600, "max_current_ma": 4000, "hard_current_pct": 200}}
    steps = [{"at": 10, "do": "inject_voltage", "n": 1, "mv": 700}] + pulse(2, 10, 8200)
    report = play(duration_s=13, batteries=LEVEL, settings=tight, steps=steps)
    clean(report)
    assert state_at(report, 1, 12) == ("tripped", "overvoltage")
    assert state_at(report, 2, 12) == ("tripped", "overcurrent")
    report = play(duration_s=13, batteries=LEVEL, steps=steps)
    clean(report)
    assert on(report, 1, 12) and on(report, 2, 12)


def test_18_every_delay_is_right_across_the_wrap_of_the_ticks():
    steps = pulse(2, 10, 21000) + [{"at": 24, "do": "inject_voltage", "n": 3, "mv": -5000}]
    for before_ms in (12000, 10050, 24500, 5200, 300):
        report = play(
            duration_s=27, batteries=LEVEL, steps=steps, boot_ticks_ms=LAST_TICK_MS - before_ms
        )
        clean(report)
        (_, _), (opened_s, _), (closed_s, closed) = moves(report, 2)
        assert closed and 10.0 <= closed_s - opened_s <= 10.7, (before_ms, closed_s - opened_s)
        assert 1.0 <= moves(report, 3, 20)[0][0] - 24 <= 1.2
        assert report["ticks"]["late"] <= report["nvs_writes"], report["ticks"]


def test_19_an_exception_in_the_protection_opens_everything_and_restarts():
    blown = []

    def sabotage():
        from parallelator.protection.guard import Guard

        scan = Guard._scan

        def blow_up(guard):
            if guard._ticks == 500 and not blown:
                blown.append(True)
                raise ValueError("a defect")
            scan(guard)

        Guard._scan = blow_up

    report = play(duration_s=25, batteries=LEVEL, load=[[0, 8]], sabotage=sabotage)
    assert report["resets"] == 1
    for n in range(1, 5):
        (_, _), (opened_s, _), (closed_s, closed) = moves(report, n)
        assert 9.9 <= opened_s <= 10.8 and closed and closed_s >= opened_s + 2
        assert on(report, n, 24)


def test_19b_a_hung_protection_is_reset_by_the_watchdog():
    hung = [False]

    def sabotage():
        from time import sleep_ms

        from parallelator.protection.guard import Guard

        scan = Guard._scan

        def hang(guard):
            if guard._ticks == 500 and not hung[0]:
                hung[0] = True
                sleep_ms(60000)
            scan(guard)

        Guard._scan = hang

    report = play(duration_s=35, batteries=LEVEL, load=[[0, 8]], sabotage=sabotage)
    assert report["resets"] == 1
    for n in range(1, 5):
        opened_s = moves(report, n, 9)[0][0]
        assert 14.9 <= opened_s <= 16.5, (n, moves(report, n))
        assert on(report, n, 34)


def test_20_no_network_delays_or_stops_nothing():
    settings = {"wifi": {"ssid": "stage", "password": "x" * 8}}
    took = []
    for down in ([], [{"at": 0, "do": "wifi_down"}]):
        took.append([])
        for k in range(8):
            steps = down + pulse(2, 19 + 0.137 * k, 21000)
            report = play(duration_s=22, batteries=LEVEL, settings=settings, steps=steps)
            clean(report)
            ((crossed, opened, n, _),) = report["reactions"]
            assert n == 2 and opened - crossed <= 40
            took[-1].append(opened - crossed)
    up, down = (sum(some) / len(some) for some in took)
    assert down <= 25 and down <= up + 5, took


def test_21_one_sensor_that_reads_high_opens_alone():
    steps = [{"at": 10, "do": "inject_voltage", "n": 4, "mv": 1500}]
    report = play(duration_s=14, load=[[0, 24]], steps=steps)
    clean(report)
    assert state_at(report, 4, 13) == ("tripped", "imbalance")
    assert all(len(moves(report, n)) == 1 for n in range(1, 17) if n != 4)


def test_22_a_restart_under_full_load_trips_nobody_into_a_lock():
    report = play(duration_s=60, load=[[0, 45]], steps=[{"at": 20, "do": "controller_reset"}])
    clean(report)
    assert all(on(report, n, 59) and len(moves(report, n)) == 3 for n in range(1, 17))


def test_22b_a_restart_under_full_load_with_eight_and_with_three_packs():
    report = play(
        duration_s=40, batteries=8, load=[[0, 45]], steps=[{"at": 15, "do": "controller_reset"}]
    )
    clean(report)
    assert all(on(report, n, 39) for n in range(1, 9))
    report = play(duration_s=60, batteries=3, load=[[0, 66]])
    clean(report)
    for n in range(1, 4):
        # Tried at once, after one second, and twice after ten; then it waits for a minute.
        assert state_at(report, n, 59) == ("tripped", "bus_overload"), state_at(report, n, 59)
        assert len(moves(report, n)) == 8


def test_23_a_sensor_reset_does_not_disarm_its_alert():
    steps = [{"at": 10, "do": "sensor_reset", "n": 2}] + pulse(2, 10.2, 25000, 0.006)
    report = play(duration_s=12, batteries=LEVEL, steps=steps)
    clean(report)
    assert state_at(report, 2, 11) == ("tripped", "overcurrent")


def test_the_first_code_beyond_a_voltage_limit_trips():
    # 3.125 mV a code: 7680 is 24.000 V and stays, 7679 trips; 9600 is 30.000 V, 9601 trips.
    base = [{"n": 1, "soc": 0.8}]
    for mv, extra, opens in (
        (24000, 0, False),
        (23997, 0, True),
        (29000, 1000, False),
        (29000, 1003, True),
    ):
        steps = [
            {"at": 8, "do": "set_battery", "n": 1, "voltage_mv": mv},
            {"at": 8, "do": "inject_voltage", "n": 1, "mv": extra},
        ]
        report = play(duration_s=12, batteries=base, steps=steps)
        clean(report)
        assert (len(moves(report, 1)) == 2) == opens, (mv, extra)


def hang(patch):
    """A start during which something hangs once, for good: what came of it, by the report."""
    hung = []

    def hang_once():
        from time import sleep_ms

        if not hung:
            hung.append(True)
            sleep_ms(600000)

    report = play(duration_s=26, batteries=LEVEL, sabotage=lambda: patch(hang_once))
    assert report["resets"] == 1 and all(on(report, n, 25) for n in range(1, 5))
    return min(moves(report, n)[0][0] for n in range(1, 5))


def test_19c_a_start_that_hangs_before_the_first_scan_is_reset_within_15_s():
    def patch(hang_once):
        from parallelator.app import App

        init = App.__init__

        def hanging(app, *args):
            hang_once()
            init(app, *args)

        App.__init__ = hanging

    assert 15 < hang(patch) < 25


def test_19d_a_radio_that_hangs_is_reset_within_5_s():
    def patch(hang_once):
        from parallelator.network.network import Network

        power_up = Network.power_up

        def hanging(network):
            hang_once()
            power_up(network)

        Network.power_up = hanging

    assert 5 < hang(patch) < 15


def test_an_alert_line_shorted_in_service_costs_its_own_battery_once_and_nobody_else():
    for at_s in (2.2, 10):
        steps = [{"at": at_s, "do": "alert_stuck", "n": 5, "level": 0}] + pulse(5, 40, 25000, 0.5)
        report = play(duration_s=42, batteries=8, load=[[0, 16]], steps=steps)
        clean(report)
        assert all(len(moves(report, n)) == 1 for n in range(1, 9) if n != 5)
        assert on(report, 5, 39) and [closed for _, closed in moves(report, 5)][:3] == [1, 0, 1]
        assert state_at(report, 5, 41) == ("tripped", "overcurrent")


def test_an_overheated_board_opens_counted_and_warns_before():
    steps = [
        {"at": 10, "do": "sensor_heat", "n": 2, "c": 84},
        {"at": 20, "do": "sensor_heat", "n": 2, "c": 86},
    ]
    report = play(duration_s=26, load=[[0, 24]], steps=steps)
    clean(report)
    assert on(report, 2, 19.9)
    assert state_at(report, 2, 25) == ("tripped", "overtemperature")


def test_a_night_ends_and_the_charger_brings_every_pack_back():
    packs = [
        {"n": n, "soc": 0.5, "capacity_ah": 0.25 + 0.01 * n, "r_mohm": 24 + n}
        for n in range(1, 17)
    ]
    report = play(
        duration_s=620,
        batteries=packs,
        load=[[0, 24], [330, 12], [400, 0]],
        source=[[0, 0], [425, 8]],
    )
    clean(report)
    # The rig is dark and the packs cannot rise by themselves: once the load is off, a trial lasts,
    # and the charger finds the packs on the bus.
    dark = {state_at(report, n, 390) for n in range(1, 17)}
    assert dark == {("tripped", "undervoltage")}, dark
    for n in range(1, 17):
        assert on(report, n, 619), (n, state_at(report, n, 619))
        assert len(kept(report, n)) <= 3, (n, moves(report, n))
        energy = report["energy"][str(n)]
        for true, counted in (
            (energy["true_mah"], energy["counted_mah"]),
            (energy["true_charge_mah"], energy["counted_charge_mah"]),
        ):
            assert abs(counted - true) <= 0.005 * true + 0.2, (n, true, counted)
    assert not any(state == "locked" for _, _, state, _ in report["timeline"])


def test_a_switch_that_no_longer_conducts_does_not_keep_the_others_from_starting_together():
    # An overload opens all but the pack whose switch has failed open: it carries nothing and seems
    # to hold the bus. One by one the others could not take the load that is left.
    report = play(
        duration_s=90,
        batteries=[{"n": n, "soc": 0.8} for n in range(1, 9)],
        load=[[0, 40], [20, 130], [20.5, 40]],
        settings={"limits": {"reconnect_delay_ms": 2000}},
        steps=[{"at": 15, "do": "switch_stuck_open", "n": 4}],
    )
    clean(report)
    assert [n for n in range(1, 9) if n != 4 and not on(report, n, 89)] == [], report["timeline"]
    for n in range(1, 9):
        assert len(moves(report, n, 25)) <= 5, (n, moves(report, n, 25))
