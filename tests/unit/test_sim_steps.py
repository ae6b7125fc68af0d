# SPDX-License-Identifier: GPL-3.0-only
"""Tests the scenario steps that move batteries, loads and switches (tools/sim/scenario.py)."""

from refereed import Rig


def played(at_s, steps, *socs):
    """A rig with all switches closed at 1 s, and its plant at at_s when the steps are played."""
    rig = Rig(*socs, steps=steps)
    rig.wait(1000)
    rig.close(*range(1, len(socs) + 1))
    rig.wait(int(at_s * 1000) - 1000)
    return rig, rig.world.plant


def test_load_and_source():
    steps = [{"at": 2, "do": "load", "a": 8}, {"at": 3, "do": "source", "a": 12}]
    _, plant = played(2.5, steps, 0.5, 0.5)
    assert abs(sum(plant.current_a) - 8) < 1e-6
    _, plant = played(3.5, steps, 0.5, 0.5)
    assert abs(sum(plant.current_a) + 4) < 1e-6


def test_a_connected_battery_can_be_set():
    steps = [
        {"at": 2, "do": "set_battery", "n": 1, "voltage_mv": 26000},
        {"at": 3, "do": "set_battery", "n": 1, "soc": 0.8, "r_mohm": 300},
    ]
    _, plant = played(2.5, steps, 0.8, 0.8)
    assert plant.closed(0) and abs(plant.rest_v(0) - 26.0) < 0.02
    # 28.14 V and 26 V over twice 41 mOhm, less what the RC pairs took in half a second.
    assert 25 < plant.current_a[1] < 26.2 and abs(sum(plant.current_a)) < 1e-6
    _, plant = played(3.01, steps, 0.8, 0.8)
    assert abs(plant.soc[0] - 0.8) < 1e-4
    assert abs(plant.current_a[0]) < 1.5


def test_a_weld_conducts_without_its_gate_and_can_be_mended():
    steps = [
        {"at": 2, "do": "switch_weld", "n": 1},
        {"at": 4, "do": "switch_weld", "n": 1, "on": False},
    ]
    rig, plant = played(3, steps, 0.8, 0.8)
    rig.move(False, 1, 2)
    assert (plant.closed(0), plant.closed(1)) == (True, False)
    rig.wait(2000)
    assert not plant.closed(0)


def test_a_stuck_switch_does_not_conduct_until_it_is_mended():
    steps = [
        {"at": 2, "do": "switch_stuck_open", "n": 1},
        {"at": 4, "do": "switch_stuck_open", "n": 1, "on": False},
    ]
    rig, plant = played(3, [{"at": 0, "do": "load", "a": 5}] + steps, 0.8, 0.8)
    assert plant.switch[0] and not plant.closed(0) and plant.current_a[0] == 0
    assert abs(plant.current_a[1] - 5) < 1e-6
    rig.wait(2000)
    assert plant.closed(0) and plant.current_a[0] > 2


def test_an_override_feeds_the_four_switches_of_its_board():
    steps = [
        {"at": 2, "do": "override", "board": 0},
        {"at": 4, "do": "override", "board": 0, "on": False},
    ]
    rig, plant = played(3, steps, 0.8, 0.8, 0.8, 0.8, 0.8)
    rig.move(False, 1, 2, 3, 4, 5)
    assert [plant.closed(i) for i in range(5)] == [True] * 4 + [False]
    rig.wait(2000)
    assert not any(plant.closed(i) for i in range(5))


def test_a_power_cycle_leaves_an_unplugged_board_unplugged():
    steps = [{"at": 2, "do": "board_unplug", "board": 1}, {"at": 3, "do": "power_cycle"}]
    rig = Rig(0.8, 0.8, 0.8, 0.8, 0.8, steps=steps)
    try:
        rig.wait(4000)
    except BaseException as reset:
        assert type(reset).__name__ == "ControllerReset"
    assert [chip.powered for chip in rig.world.expanders[:2]] == [True, False]
    assert rig.world.sensors[0].powered and not rig.world.sensors[4].powered
    assert rig.world.resets == 1 and rig.world.reset_cause == 1


def test_a_stuck_pin_holds_its_switch_and_shows_in_the_input_alone():
    for level in (0, 1):
        steps = [
            {"at": 2, "do": "pin_stuck", "n": 1, "level": level},
            {"at": 4, "do": "pin_stuck", "n": 1, "level": level, "on": False},
        ]
        rig, plant = played(3, steps, 0.8, 0.8)
        chip = rig.world.expanders[0]
        rig.move(not level, 1)
        rig.wait(50)
        assert plant.closed(0) == bool(level)
        port = bytearray(1)
        chip.read(0, port, rig.world.now_us)
        assert port[0] >> 3 & 1 == level
        chip.read(2, port, rig.world.now_us)
        assert port[0] >> 3 & 1 == 1 - level
        rig.wait(2000)
        assert plant.closed(0) == (not level)


def test_a_corrupt_register_of_an_expander_moves_its_switches():
    steps = [{"at": 2, "do": "expander_corrupt", "board": 0, "register": 2, "value": 0x04}]
    _, plant = played(3, steps, 0.8, 0.8)
    assert (plant.closed(0), plant.closed(1)) == (False, True)


def test_the_pins_of_switches_that_float_are_low_and_alert_lines_high():
    rig, _ = played(3, [{"at": 2, "do": "expander_reset", "board": 0}], 0.8, 0.8)
    port = bytearray(1)
    rig.world.expanders[0].read(0, port, rig.world.now_us)
    assert port[0] == 0xF0
