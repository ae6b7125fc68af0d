# SPDX-License-Identifier: GPL-3.0-only
"""The drivers of the ESP32's I2C as the simulator plays them (tools/sim/wires.py)."""

from errno import ENODEV, ETIMEDOUT

from sim import scenario
from sim.wires import DRIVERS
from sim.world import ControllerReset, World

BIT_NS = 10000
OUTPUT, DIRECTION = 2, 6


def bench(driver):
    plan = scenario.complete({"batteries": 4, "driver": driver})
    world = World(plan, True, 1, 1, None)
    world.script = scenario.Script(plan, world, None)
    return world, world.wires


def outcome(wires, timeout_us=30000, address=0x20):
    """None when a read is good, else the number of its error."""
    try:
        wires.read(address, OUTPUT, bytearray(1), BIT_NS, timeout_us)
    except OSError as error:
        return error.errno
    return None


def test_each_driver_says_something_else_of_the_same_faults():
    said = {}
    for driver in DRIVERS:
        _, wires = bench(driver)
        nobody = outcome(wires, address=0x27)
        wires.clocks_left = 5
        said[driver] = (nobody, outcome(wires))
    assert said["legacy"] == (ENODEV, ETIMEDOUT)
    assert said["i2c_master"] == (ENODEV, ENODEV)
    assert said["idf6"] == (264, 264)


def test_a_lock_that_is_taken_is_told_at_once_and_touches_no_wire():
    for driver in DRIVERS:
        world, wires = bench(driver)
        wires.faults[1] = "busy"
        assert outcome(wires) == ETIMEDOUT and wires.wire_us == 0 and world.now_us < 1000
        assert outcome(wires) is None


def failures(driver, timeout_us):
    """How many of a thousand healthy reads fail, at any phase of the ticks of FreeRTOS."""
    world, wires = bench(driver)
    failed = 0
    for _ in range(1000):
        world.spend(int(world.random() * 10000))
        failed += outcome(wires, timeout_us) is not None
    return failed


def test_a_time_out_counts_ticks_of_ten_ms_and_is_rounded_down():
    assert failures("i2c_master", 9999) == 1000
    assert 20 < failures("i2c_master", 10000) < 80
    assert failures("i2c_master", 30000) == 0
    assert failures("legacy", 9999) == 0


def test_a_call_that_runs_out_of_time_takes_no_longer_than_that():
    for driver in DRIVERS:
        world, wires = bench(driver)
        wires.clocks_left = 5
        world.spend(3000)
        before_us = world.now_us
        outcome(wires)
        assert 20000 < world.now_us - before_us <= 30000, driver


def test_a_failed_write_may_have_come_through_in_part():
    for kind in ("nack", "timeout", "stuck"):
        seen = set()
        world, wires = bench("i2c_master")
        chip = wires.chips[0x20]
        for _ in range(60):
            wires.clocks_left = 0
            chip.write(DIRECTION, b"\xff\xff", world.now_us)
            wires.faults[wires.transactions + 1] = kind
            try:
                wires.write(0x20, bytes((DIRECTION, 0xF0, 0x00)), BIT_NS, 30000)
                raise AssertionError(kind)
            except OSError:
                wires.clocks_left = 0
            found = bytearray(2)
            chip.read(DIRECTION, found, world.now_us)
            seen.add(bytes(found))
        assert seen == {b"\xff\xff", b"\xf0\xff", b"\xf0\x00"}, (kind, seen)


def test_pins_that_cannot_be_used_restart_the_chip_under_the_newer_driver():
    from sim import current
    from sim.standins.machine import I2C, Pin

    for driver, restarts in (("legacy", 0), ("i2c_master", 1)):
        for sda, scl in ((34, 33), (32, 32)):
            current.world, _ = bench(driver)
            try:
                I2C(0, scl=Pin(scl), sda=Pin(sda), timeout=30000)
            except ControllerReset:
                pass
            assert current.world.resets == restarts, (driver, sda, scl)


def test_a_chip_that_takes_its_neighbours_transfers_pulls_down_what_is_read_of_it():
    _, wires = bench("legacy")

    def write(address, value):
        wires.write(address, bytes((0x0E, value >> 8, value & 0xFF)), BIT_NS, 30000)

    def read(address):
        buf = bytearray(2)
        wires.read(address, 0x0E, buf, BIT_NS, 30000)
        return buf[0] << 8 | buf[1]

    write(0x40, 0x7001)
    write(0x41, 0x7002)
    wires.aliases[0x41] = (0x40, 1)
    assert read(0x40) == 0x7000
    assert outcome(wires, address=0x41) == ENODEV, "it misses its own"
    write(0x40, 0x7005)
    assert read(0x40) == 0x7005
    wires.aliases[0x41] = (0x40, 0)
    assert read(0x40) == read(0x41) == 0x7005, "both have taken it"
    wires.aliases[0x41] = (0x40, 0.5)
    answers = [outcome(wires, address=0x41) for _ in range(200)]
    assert 70 < answers.count(None) < 130


def test_one_alone_answers_at_the_address_that_it_takes_for_its_own():
    _, wires = bench("legacy")
    wires.aliases[0x41] = (0x4F, 1)
    assert outcome(wires, address=0x4F) is None and outcome(wires, address=0x40) is None
