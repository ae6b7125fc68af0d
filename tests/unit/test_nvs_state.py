"""Wishes, trips and locks survive a reboot; what cannot be trusted does not."""

from errno import ENOENT

from parallelator.catalog import WISH_OFF, Reason
from parallelator.records.nvs_state import NvsState, count_boot
from parallelator.snapshot import Snapshot


class Store:
    """Non-volatile storage that counts its commits."""

    def __init__(self):
        self.values = {}
        self.commits = 0

    def get_blob(self, key, buffer):
        if key not in self.values:
            raise OSError(ENOENT)
        value = self.values[key]
        buffer[: len(value)] = value
        return len(value)

    def set_blob(self, key, value):
        self.values[key] = bytes(value)

    def get_i32(self, key):
        if key not in self.values:
            raise OSError(ENOENT)
        return self.values[key]

    def set_i32(self, key, value):
        self.values[key] = value

    def commit(self):
        self.commits += 1


def rig(store, trip_pending=lambda: False):
    snap = Snapshot()
    locks = bytearray(16)
    return NvsState(store, snap, locks, trip_pending), snap, locks


def test_everything_kept_comes_back():
    store = Store()
    nvs_state, snap, locks = rig(store)
    snap.wish[3] = WISH_OFF
    snap.trips[15] = 1000
    locks[7] = Reason.OVERCURRENT
    snap.bus_locked = True
    assert nvs_state.save()
    again, snap2, locks2 = rig(store)
    assert again.restore()
    assert snap2.wish == snap.wish and locks2 == locks and snap2.bus_locked
    assert list(snap2.trips) == list(snap.trips)


def test_nothing_is_written_while_nothing_changes():
    store = Store()
    nvs_state, snap, _ = rig(store)
    nvs_state.save()
    commits = store.commits
    for _ in range(100):
        assert not nvs_state.save()
    snap.trips[0] = 1
    assert nvs_state.save() and store.commits == commits + 1
    again, _, _ = rig(store)
    again.restore()
    assert not again.save()


def test_it_waits_until_nothing_changes_and_nobody_presses():
    store = Store()
    limits_passed = [False]
    nvs_state, snap, _ = rig(store, lambda: limits_passed[0])
    for trips in (1, 2, 3):
        snap.trips[trips] = 1
        nvs_state.look()
    assert store.commits == 0
    limits_passed[0] = True
    nvs_state.look()
    assert store.commits == 0
    limits_passed[0] = False
    nvs_state.look()
    assert store.commits == 1
    again, snap2, _ = rig(store)
    again.restore()
    assert list(snap2.trips) == list(snap.trips)


def test_it_waits_for_a_second_at_most():
    store = Store()
    nvs_state, snap, _ = rig(store, lambda: True)
    snap.trips[0] = 1
    looks = 0
    while not store.commits:
        nvs_state.look()
        looks += 1
    assert looks == 10


def test_an_empty_or_foreign_store_restores_nothing():
    store = Store()
    nvs_state, snap, _ = rig(store)
    assert not nvs_state.restore()
    store.values["fleet"] = b"\x02" + bytes(65)
    assert not nvs_state.restore()
    store.values["fleet"] = b"\x01\x01"
    assert not nvs_state.restore()
    assert not snap.bus_locked


def test_boots_are_counted():
    store = Store()
    assert [count_boot(store) for _ in range(3)] == [1, 2, 3]
