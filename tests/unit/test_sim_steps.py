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


def test_a_charger_by_its_row_and_by_its_step():
    steps = [
        {"at": 2, "do": "source", "a": 90, "v": 28.2},
        {"at": 3, "do": "source", "a": 90},
        {"at": 4, "do": "source", "a": 90, "needs_mv": 28500, "delay_ms": 300},
    ]
    _, plant = played(3.5, steps, 0.8, 0.8)
    assert abs(plant.bus_v - 28.2) < 1e-6 and plant.current_a[0] < 0
    _, plant = played(5, steps, 0.8, 0.8)
    assert plant.output.source_a == 0
    rig = Rig(0.8, source=[[0, 0], [2, 50, 28.2], [3, 50]])
    rig.wait(1000)
    rig.close(1)
    rig.wait(2500)
    assert abs(rig.world.plant.bus_v - 28.2) < 1e-6


def test_capacitors_are_filled_at_the_first_closing():
    rig = Rig(0.8, 0.8, bus_uf=20000)
    plant = rig.world.plant
    rig.wait(1000)
    rig.close(1, 2)
    rest_v = plant.rest_v(0)
    # Both on one board close at once: 28.14 V over 41 mOhm each, over in a few times 0.4 ms.
    assert abs(plant.peak_a[0] - rest_v / 0.041) < 1
    rig.wait(10)
    assert abs(plant.bus_v - rest_v) < 0.01 and abs(plant.current_a[0]) < 1
    plant.solve(rig.world.now_us)
    charge_c = 3600 * (plant.out_ah[0] + plant.out_ah[1])
    assert abs(charge_c - 0.020 * rest_v) < 1e-3 * charge_c


def test_a_short_and_an_inrush():
    steps = [
        {"at": 2, "do": "load_mohm", "mohm": 100},
        {"at": 3, "do": "load_mohm", "mohm": 0},
    ]
    rig, plant = played(2.5, steps, 0.8, 0.8)
    assert abs(plant.output.load_a - plant.bus_v / 0.1) < 1e-6 and plant.output.load_a > 200
    rig.wait(1000)
    assert plant.output.load_a == 0
    steps = [
        {"at": 0, "do": "load", "a": 3},
        {"at": 0.5, "do": "inrush", "times": 4, "ms": 250},
    ]
    rig, plant = played(1.2, steps, 0.8, 0.8)
    assert plant.output.load_a == 12
    rig.wait(49)
    assert plant.output.load_a == 12
    rig.wait(2)
    assert plant.output.load_a == 3


class Watcher:
    """Notes when the world stepped its plant."""

    def __init__(self):
        self.seen_us = []

    def stepped(self, at_us):
        self.seen_us.append(at_us)

    def switched(self, at_us, before):
        pass

    def played(self, at_us, step):
        pass


def test_what_the_plant_does_by_itself_is_seen_when_it_happens():
    steps = [
        {"at": 0, "do": "load", "a": 3},
        {"at": 0, "do": "inrush", "times": 4, "ms": 37},
        {"at": 2, "do": "contact", "n": 2, "mohm": 0, "bounce": [3, 5]},
    ]
    rig = Rig(0.8, 0.8, steps=steps, bus_uf=10000)
    watcher = Watcher()
    rig.world.observers.append(watcher)
    rig.wait(1000)
    closed_us = rig.world.now_us
    rig.close(1, 2)
    rig.wait(1020)
    assert {closed_us + 37000, 2003000, 2008000, 2011000, 2016000} <= set(watcher.seen_us)
    # The capacitors are filled within some pieces of 205 us.
    assert sum(closed_us < at_us < closed_us + 2000 for at_us in watcher.seen_us) > 4


def test_bms_fuse_and_plug():
    steps = [
        {"at": 2, "do": "bms_open", "n": 1},
        {"at": 3, "do": "bms_close", "n": 1},
        {"at": 4, "do": "fuse_blow", "n": 2, "side": "bus"},
        {"at": 5, "do": "fuse_blow", "n": 2, "side": "bus", "on": False},
        {"at": 6, "do": "contact", "n": 1, "mohm": 200, "bounce": [300, 700]},
        {"at": 8, "do": "contact", "n": 1, "mohm": 0},
    ]
    conducting = []
    rig, plant = played(2.1, steps, 0.8, 0.8)
    for _ in range(8):
        conducting.append((plant.closed(0), plant.closed(1)))
        rig.wait(1000)
    both = (True, True)
    assert (
        conducting == [(False, True), both, (True, False), both] + [(False, True)] * 2 + [both] * 2
    ), conducting
    rig, plant = played(6.6, [{"at": 0, "do": "load", "a": 10}] + steps, 0.8, 0.8)
    # 41 mOhm and 241 mOhm share 10 A.
    assert abs(plant.current_a[0] - 10 * 41 / 282) < 0.1


def test_a_bms_of_a_scenario_has_its_limits():
    rig = Rig(0.5, 0.5, steps=[{"at": 2, "do": "load_mohm", "mohm": 300}], bms={"max_a": 30})
    rig.wait(1000)
    rig.close(1, 2)
    rig.wait(1050)
    assert rig.world.plant.closed(0)
    rig.wait(100)
    assert not rig.world.plant.closed(0) and rig.world.plant.closed(1)


def test_a_sensor_lies_until_the_next_such_step():
    steps = [
        {"at": 0, "do": "load", "a": 8},
        {"at": 2, "do": "sensor_lie", "n": 1, "sign": -1, "offset_mv": -500},
        {"at": 3, "do": "sensor_lie", "n": 1},
    ]
    rig, plant = played(2.5, steps, 0.8, 0.8)
    assert abs(plant.sensed_a[0] + 4) < 1e-3 and abs(plant.current_a[0] - 4) < 1e-3
    assert abs(plant.voltage_v[0] - plant.sensed_v[0] - 0.5) < 1e-9
    rig.wait(1000)
    assert plant.sensed_a[0] == plant.current_a[0] and plant.sensed_v[0] == plant.voltage_v[0]


def answers(rig, address):
    """True when the chip at this address acknowledges."""
    try:
        rig.world.wires.read(address, 0, bytearray(2), 10000, 50000)
    except OSError:
        return False
    return True


def test_a_cut_line_silences_a_board_and_leaves_its_switches():
    for wire in ("sda", "scl"):
        steps = [
            {"at": 2, "do": "line_cut", "board": 0, "wire": wire},
            {"at": 2, "do": "sensor_nack", "n": 2},
            {"at": 3, "do": "line_cut", "board": 0, "wire": wire, "on": False},
            {"at": 4, "do": "sensor_nack", "n": 2, "on": False},
        ]
        rig, plant = played(2.5, steps, *[0.8] * 5)
        assert not any(answers(rig, address) for address in (0x20, 0x40, 0x41, 0x42, 0x43))
        assert answers(rig, 0x21) and answers(rig, 0x44)
        assert all(plant.closed(i) for i in range(5))
        rig.wait(1000)
        found = [answers(rig, address) for address in (0x20, 0x40, 0x41, 0x42, 0x43)]
        assert found == [True, True, False, True, True]
        rig.wait(1000)
        assert answers(rig, 0x41)


def test_a_cut_supply_opens_the_switches_of_a_board():
    steps = [
        {"at": 2, "do": "line_cut", "board": 0, "wire": "supply"},
        {"at": 3, "do": "line_cut", "board": 0, "wire": "supply", "on": False},
    ]
    rig, plant = played(2.5, steps, *[0.8] * 5)
    assert [plant.closed(i) for i in range(5)] == [False] * 4 + [True]
    assert not answers(rig, 0x20) and not answers(rig, 0x40)
    rig.wait(1000)
    assert answers(rig, 0x20) and answers(rig, 0x40)
    # Back as after power-on: all pins inputs.
    buf = bytearray(2)
    rig.world.wires.read(0x20, 6, buf, 10000, 50000)
    assert buf == b"\xff\xff" and not plant.closed(0)


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
