"""boot.py alone: every switch off before anything else, whatever else is broken."""

from sim import current, scenario
from sim.scenario import Script
from sim.world import World
from support import ROOT


def world_with_closed_switches():
    """Two boards whose expanders still hold what an earlier life of the controller left."""
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
