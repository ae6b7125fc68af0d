# SPDX-License-Identifier: GPL-3.0-only
"""Storage, which reports its first fault, in front of the stand-in for `esp32.NVS`."""

import sim.standins.esp32 as esp32
import sim.standins.time as time
from parallelator.clock import Clock
from parallelator.pauses import FLASH, Pauses
from parallelator.records.storage import Storage
from sim import current, scenario
from sim.world import World


def storage():
    """An empty storage, the one below it, and a list that gets longer at the first fault."""
    current.world = World(scenario.complete({"batteries": 1}), True, 1, 1, None)
    current.world.script = scenario.Script(scenario.complete({}), current.world, None)
    nvs = esp32.NVS("rig")
    told = []
    return Storage(nvs, lambda: told.append(1), Pauses(Clock(time))), nvs, told


def test_a_write_is_timed_and_a_read_is_not():
    store, _, _ = storage()
    pauses = store._pauses
    store.set_i32("boots", 1)
    store.get_i32("boots")
    assert pauses.worst_ms(FLASH) == 0
    store.commit()
    assert pauses.worst_ms(FLASH) == current.world.costs.nvs_write_us // 1000


def fails(call, *args):
    try:
        call(*args)
    except OSError:
        return True
    return False


def test_what_is_kept_comes_back_and_what_is_missing_is_no_fault():
    store, _, told = storage()
    assert fails(store.get_i32, "boots") and fails(store.get_blob, "fleet", bytearray(2))
    store.set_i32("boots", -7)
    store.set_blob("fleet", b"ab")
    store.commit()
    buffer = bytearray(2)
    assert store.get_i32("boots") == -7
    assert store.get_blob("fleet", buffer) == 2 and buffer == b"ab"
    assert told == []


def test_what_is_of_another_type_or_length_is_a_fault_told_once_and_gives_way():
    for broken in ({"boots": b"seven", "fleet": 7}, {"boots": b"", "fleet": b"abc"}):
        store, nvs, told = storage()
        nvs._changed = dict(broken)
        assert fails(store.get_i32, "boots") and told == [1]
        assert fails(store.get_blob, "fleet", bytearray(2)) and told == [1]
        store.set_i32("boots", 7)
        store.set_blob("fleet", b"ab")
        store.commit()
        assert store.get_i32("boots") == 7 and store.get_blob("fleet", bytearray(2)) == 2
    store, nvs, told = storage()
    nvs._changed = {"fleet": b"a"}
    assert fails(store.get_blob, "fleet", bytearray(2)) and told == [1]


def test_a_write_that_fails_is_told_and_raises():
    for call in ("set_i32", "set_blob", "commit"):
        store, nvs, told = storage()

        class Worn:
            def __getattr__(self, name, nvs=nvs, worn=call):
                if name == worn:
                    raise OSError(-0x1105, "ESP_ERR_NVS_NOT_ENOUGH_SPACE")
                return getattr(nvs, name)

        store._nvs = Worn()
        done = [
            not fails(store.set_i32, "boots", 1),
            not fails(store.set_blob, "fleet", b"ab"),
            not fails(store.commit),
        ]
        assert done == [call != name for name in ("set_i32", "set_blob", "commit")]
        assert told == [1]
