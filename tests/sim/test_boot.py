# SPDX-License-Identifier: GPL-3.0-only
"""boot.py alone: every switch off before anything else, whatever else is broken."""

import os

from sim import current, scenario
from sim.scenario import Script
from sim.world import ControllerReset, World
from support import ROOT


def world_with_closed_switches():
    """Two boards whose expanders still hold what the controller wrote before its reset."""
    plan = scenario.complete({"batteries": 8})
    world = current.world = World(plan, True, 1, 1, None)
    world.script = Script(plan, world, None)
    for b in (0, 1):
        world.expanders[b].write(0x02, b"\x0f\x00", 0)
        world.expanders[b].write(0x06, b"\xf0\x00", 0)
    assert sum(world.plant.switch) == 8
    return world


def boot():
    with open(ROOT + "/boot.py") as file:
        exec(compile(file.read(), "boot.py", "exec"), {"__name__": "__main__"})


def test_boot_opens_every_switch_without_lib():
    world = world_with_closed_switches()
    boot()
    assert sum(world.plant.switch) == 0
    assert world.wires.errors == 6  # three tries for each of the two boards that are not there


def test_boot_frees_a_stuck_bus_first():
    world = world_with_closed_switches()
    world.wires.clocks_left = 9
    world.wires.attach(33, 32)
    boot()
    assert sum(world.plant.switch) == 0


def test_one_disturbed_write_or_read_leaves_nothing_closed():
    for kind in ("corrupt", "nack", "timeout", "stuck"):
        for number in range(1, 7):
            world = world_with_closed_switches()
            world.wires.faults[number] = kind
            boot()
            assert kind == "stuck" or sum(world.plant.switch) == 0, (kind, number)


def boot_with(config, gone=None, good=None):
    """Boot from a folder with this config.json (None: there is none); returns the world.

    Args:
        gone: the GPIO that this controller does not have; good: config.good.json.
    """
    world = world_with_closed_switches()
    folder = "%s/build/sim/boot-%s" % (ROOT, os.urandom(4).hex())
    for path in (ROOT + "/build/sim", folder):
        try:
            os.mkdir(path)
        except OSError:
            continue
    home = os.getcwd()
    os.chdir(folder)
    from machine import Pin

    init = Pin.init

    def refusing(pin, mode=-1, pull=-1, value=None):
        if pin.number == gone or not isinstance(pin.number, int):
            raise ValueError("invalid pin")
        init(pin, mode, pull, value)

    Pin.init = refusing
    try:
        for name, content in (("config.json", config), ("config.good.json", good)):
            if content is not None:
                with open(name, "wb") as file:
                    file.write(content)
        boot()
    finally:
        Pin.init = init
        for name in os.listdir():
            os.remove(name)
        os.chdir(home)
        os.rmdir(folder)
    return world


GARBAGE = (
    b"",
    b"{",
    b"\xff\xfe\x00garbage\x00",
    b"null",
    b"[]",
    b"7",
    b'"pins"',
    b'{"pins": null}',
    b'{"pins": 5}',
    b'{"pins": []}',
    b'{"pins": {"i2c_sda": null}}',
    b'{"pins": {"i2c_sda": "a"}}',
    b'{"pins": {"i2c_sda": [32]}}',
    b'{"pins": {"i2c_sda": -1}}',
    b'{"pins": {"i2c_sda": 1e99}}',
    b'{"pins": {"i2c_sda": 99999999999999999999}}',
    b'{"pins": {"i2c_sda": 6, "i2c_scl": 7}}',
    b'{"pins": {"i2c_scl": 11}}',
    b'{"a":' * 500,
    b"[" * 500,
    b'{"pins": {"i2c_sda": 32, "i2c_scl": 33}} trailing',
    b"x" * 100000,
)


def test_boot_opens_every_switch_whatever_config_json_holds():
    for config in (None,) + GARBAGE:
        world = boot_with(config, gone=-1)
        assert sum(world.plant.switch) == 0, config and config[:60]
        assert world.timers, config and config[:60]


def test_boot_opens_every_switch_at_every_cut_of_a_good_config():
    with open(ROOT + "/config.json", "rb") as file:
        config = file.read()
    for size in range(0, len(config), 7):
        assert sum(boot_with(config[:size]).plant.switch) == 0, size


def test_pins_that_the_controller_does_not_have_give_way_to_the_usual_ones():
    world = boot_with(b'{"pins": {"i2c_sda": 20, "i2c_scl": 24}}', gone=20)
    assert sum(world.plant.switch) == 0
    assert (world.wires._sda, world.wires._scl) == (32, 33)


def test_the_pins_of_the_flash_memory_are_never_driven():
    for pin in range(6, 12):
        world = boot_with(b'{"pins": {"i2c_sda": %d}}' % pin)
        assert (world.wires._sda, world.wires._scl) == (32, 33), pin


def test_the_pins_of_the_last_good_settings_stand_in():
    good = b'{"pins": {"i2c_sda": 21, "i2c_scl": 22}}'
    flash = b'{"pins": {"i2c_sda": 6, "i2c_scl": 7}}'
    for config in (None, b"", b"{", b"\xff\xfe", b"[]", b'{"pins": null}', flash, b"x" * 100000):
        world = boot_with(config, good=good)
        assert (world.wires._sda, world.wires._scl) == (21, 22), config and config[:60]
    world = boot_with(b"{", good=b"\xff")
    assert (world.wires._sda, world.wires._scl) == (32, 33)


def test_a_long_file_is_not_read_to_its_end():
    long = b'{"pins": {"i2c_sda": 21, "i2c_scl": 22}}' + b" " * 100000
    world = boot_with(long)
    assert (world.wires._sda, world.wires._scl) == (21, 22)
    keys = b",".join(b'"k%d": 1' % k for k in range(5000))
    world = boot_with(b"{" + keys + b', "pins": {"i2c_sda": 21, "i2c_scl": 22}}')
    assert (world.wires._sda, world.wires._scl) == (32, 33)


def test_pins_that_cannot_carry_i2c_give_way_before_the_driver_restarts_the_controller():
    for config in (b'{"pins": {"i2c_sda": 34}}', b'{"pins": {"i2c_sda": 33}}'):
        world = boot_with(config)
        assert not world.resets and sum(world.plant.switch) == 0
        assert (world.wires._sda, world.wires._scl) == (32, 33), config


def test_configured_pins_are_used():
    world = boot_with(b'{"pins": {"i2c_sda": 21, "i2c_scl": 22}}')
    assert (world.wires._sda, world.wires._scl) == (21, 22)


def test_ten_minutes_at_the_prompt_restart_the_controller():
    world = boot_with(None)
    world.script = Script(scenario.complete({"batteries": 1}), world, None)
    world.wait(599000, None)
    assert not world.resets
    try:
        world.wait(2000, None)
    except ControllerReset:
        pass
    assert world.resets == 1


def test_boot_chooses_the_newest_complete_application():
    import sys

    for chosen, complete, found in (
        ("app-b", ("app-a", "app-b"), "app-b"),
        ("app-a", ("app-a", "app-b"), "app-a"),
        ("app-b", ("app-a",), "app-a"),
        (None, ("app-b",), "app-b"),
        ("\x00\x00", ("app-a",), "app-a"),
        (b"\xff\xfe\x80", ("app-a",), "app-a"),
        (b"app-\xff", ("app-b",), "app-b"),
        ("lib", ("app-b", "lib"), "app-b"),
        ("app-a", (), None),
    ):
        folder = "%s/build/sim/boot-%s" % (ROOT, os.urandom(4).hex())
        made = [folder] + [folder + "/" + name for name in complete]
        for path in made:
            os.mkdir(path)
        files = [path + "/manifest.json" for path in made[1:]]
        if chosen is not None:
            files.append(folder + "/app")
        for path in files:
            with open(path, "wb") as file:
                file.write(chosen or "")
        home = os.getcwd()
        before = list(sys.path)
        os.chdir(folder)
        world_with_closed_switches()
        try:
            boot()
            assert sys.path == ([found] if found else []) + before, chosen
        finally:
            os.chdir(home)
            sys.path[:] = before
            for path in files:
                os.remove(path)
            for path in reversed(made):
                os.rmdir(path)
