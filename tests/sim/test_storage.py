# SPDX-License-Identifier: GPL-3.0-only
"""The stand-in for `esp32.NVS`: what is kept, what is lost, what is refused."""

import support  # noqa: F401 - puts the stand-ins first
from sim import current, scenario
from sim.world import World


def storage():
    """A world and an empty namespace in it."""
    import esp32

    current.world = World(scenario.complete({"batteries": 1}), True, 1, 1, None)
    current.world.script = scenario.Script(scenario.complete({}), current.world, None)
    return current.world, esp32.NVS("rig")


def again():
    """The namespace after a reset of the controller."""
    import esp32

    return esp32.NVS("rig")


def refused(call, *args):
    try:
        call(*args)
    except OSError:
        return True
    return False


def test_what_was_committed_outlives_a_reset_and_the_rest_does_not():
    world, store = storage()
    store.set_i32("boots", -3)
    store.set_blob("fleet", b"\x01\x02")
    store.commit()
    store.set_i32("boots", 4)
    assert store.get_i32("boots") == 4
    buffer = bytearray(3)
    assert again().get_i32("boots") == -3
    assert again().get_blob("fleet", buffer) == 2 and buffer == b"\x01\x02\x00"
    assert world.nvs_writes == 2 and world.now_us == world.costs.nvs_write_us


def test_a_cut_loses_what_is_committed_after_it():
    world, store = storage()
    store.set_i32("boots", 1)
    store.commit()
    world.nvs_cut = True
    store.set_i32("boots", 2)
    store.commit()
    assert again().get_i32("boots") == 1 and world.nvs_writes == 2


def test_an_erased_key_is_gone():
    _, store = storage()
    store.set_i32("boots", 1)
    store.commit()
    store.erase_key("boots")
    assert refused(store.get_i32, "boots") and refused(store.erase_key, "boots")
    assert again().get_i32("boots") == 1
    store.commit()
    assert refused(again().get_i32, "boots")


def test_what_the_esp32_refuses_is_refused():
    import esp32

    _, store = storage()
    store.set_blob("fleet", b"\x01\x02")
    store.set_i32("boots", 1)
    assert refused(store.get_i32, "nothing")
    assert refused(store.get_i32, "fleet") and refused(store.get_blob, "boots", bytearray(4))
    assert refused(store.get_blob, "fleet", bytearray(1))
    assert refused(store.set_i32, "a_key_of_16_char", 1)
    assert refused(esp32.NVS, "namespace_too_long")
