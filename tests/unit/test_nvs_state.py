# SPDX-License-Identifier: GPL-3.0-only
"""Wishes, trips and locks survive a reboot; what cannot be trusted does not."""

import time
from errno import EINVAL, EIO

from parallelator.catalog import AUTO, REASONS, WISH_OFF, Reason
from parallelator.clock import Clock
from parallelator.pauses import Pauses
from parallelator.records.nvs_state import NvsState, count_boot
from parallelator.records.storage import Storage
from parallelator.snapshot import Snapshot


class Store:
    """Non-volatile storage that counts its commits."""

    def __init__(self):
        self.values = {}
        self.commits = 0

    def get_blob(self, key, buffer):
        if key not in self.values:
            raise OSError(-0x1102)
        value = self.values[key]
        if len(value) > len(buffer):
            raise OSError(EINVAL)
        buffer[: len(value)] = value
        return len(value)

    def set_blob(self, key, value):
        self.values[key] = bytes(value)

    def get_i32(self, key):
        if key not in self.values:
            raise OSError(-0x1102)
        return self.values[key]

    def set_i32(self, key, value):
        self.values[key] = value

    def commit(self):
        self.commits += 1

    def erase_key(self, key):
        del self.values[key]


class Guard:
    """What is asked of it."""

    def __init__(self):
        self.locks = bytearray(16)


def rig(store, trip_pending=lambda: False, strained=lambda: False):
    snap = Snapshot()
    guard = Guard()
    guard.trip_pending = trip_pending
    guard.strained = strained
    return NvsState(store, snap, guard), snap, guard.locks


def settled(store, **calls):
    """As `rig`, the first record written long ago."""
    made = rig(store, **calls)
    looks(made[0], 100)
    store.commits = 0
    return made


def looks(nvs_state, count):
    for _ in range(count):
        nvs_state.look()


def looks_until_written(nvs_state, store):
    commits = store.commits
    for count in range(1, 200):
        nvs_state.look()
        if store.commits > commits:
            return count
    raise AssertionError("never written")


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


def test_a_lock_an_off_and_a_trip_are_written_at_once_what_eases_within_five_seconds():
    store = Store()
    nvs_state, snap, locks = settled(store)
    snap.wish[0] = WISH_OFF
    assert looks_until_written(nvs_state, store) <= 2
    locks[1] = Reason.OVERCURRENT
    assert looks_until_written(nvs_state, store) <= 2
    snap.trips[2] = 1
    assert looks_until_written(nvs_state, store) <= 2
    snap.bus_locked = True
    assert looks_until_written(nvs_state, store) <= 2
    looks(nvs_state, 30)
    snap.wish[0] = locks[1] = snap.trips[2] = 0
    snap.bus_locked = False
    assert looks_until_written(nvs_state, store) == 20
    again, snap2, locks2 = rig(store)
    again.restore()
    assert not snap2.bus_locked and snap2.wish[0] == locks2[1] == snap2.trips[2] == 0


def test_a_lock_of_another_reason_is_a_lock():
    store = Store()
    nvs_state, _, locks = settled(store)
    locks[1] = Reason.OVERVOLTAGE
    assert looks_until_written(nvs_state, store) <= 2
    locks[1] = Reason.OVERCURRENT
    assert looks_until_written(nvs_state, store) <= 2


def test_what_eases_waits_as_long_as_a_battery_is_strained():
    store = Store()
    strained = [True]
    nvs_state, snap, _ = settled(store, strained=lambda: strained[0])
    snap.wish[0] = WISH_OFF
    assert looks_until_written(nvs_state, store) <= 2
    snap.wish[0] = 0
    looks(nvs_state, 1000)
    assert store.commits == 1
    strained[0] = False
    assert looks_until_written(nvs_state, store) == 1


def test_an_off_that_comes_again_and_again_is_written_twice_in_five_seconds():
    store = Store()
    nvs_state, snap, _ = settled(store)
    for k in range(600):  # a minute, four wishes a second
        if k % 5 in (0, 2):
            snap.wish[k // 5 % 16] ^= WISH_OFF
        nvs_state.look()
    assert 12 <= store.commits <= 24, store.commits
    last = store.commits
    snap.wish[3] = 0
    looks(nvs_state, 60)
    snap.wish[3] = WISH_OFF
    looks(nvs_state, 2)
    assert store.commits == last + 2, "an off after a while is written at once again"


def test_an_off_that_returns_to_what_is_stored_is_not_written():
    store = Store()
    nvs_state, snap, _ = settled(store)
    snap.wish[0] = WISH_OFF
    looks(nvs_state, 10)
    snap.wish[0] = 0
    looks(nvs_state, 10)
    snap.wish[0] = WISH_OFF
    looks(nvs_state, 100)
    assert store.commits == 1


def test_a_lock_does_not_wait_for_an_off():
    store = Store()
    nvs_state, snap, locks = settled(store)
    snap.wish[0] = WISH_OFF
    looks(nvs_state, 5)
    snap.wish[1] = WISH_OFF
    looks(nvs_state, 5)
    assert store.commits == 1
    locks[2] = Reason.OVERCURRENT
    looks(nvs_state, 2)
    assert store.commits == 2
    again, snap2, _ = rig(store)
    again.restore()
    assert snap2.wish[1] == WISH_OFF, "what waits goes with it"


def test_an_empty_or_foreign_store_restores_nothing():
    store = Store()
    faults = []
    nvs_state, snap, _ = rig(Storage(store, lambda: faults.append(1), Pauses(Clock(time))))
    assert not nvs_state.restore() and not faults
    for foreign in (b"\x02" + bytes(65), b"\x01\x01", b"\x01" * 67):
        store.values["fleet"] = foreign
        nvs_state, snap, _ = rig(Storage(store, lambda: faults.append(1), Pauses(Clock(time))))
        assert not nvs_state.restore() and not snap.bus_locked
        assert faults.pop() and not faults
        assert nvs_state.save(), "what is good must take the place of what is not"


def test_no_number_in_the_store_is_too_much():
    store = Store()
    store.values["fleet"] = b"\x01\xff" + b"\xff\xff\xff\xff" * 16
    nvs_state, snap, locks = rig(store)
    assert nvs_state.restore() and snap.bus_locked
    assert set(snap.trips) == {32767} and set(snap.wish) == {WISH_OFF}
    assert set(locks) == {len(REASONS) - 1}


def test_boots_are_counted():
    store = Store()
    assert [count_boot(store) for _ in range(3)] == [1, 2, 3]
    for kept in (-5, 0x7FFFFFFF, -0x80000000):
        store.values["boots"] = kept
        assert count_boot(store) == 1 == store.values["boots"]


def test_a_boot_that_cannot_be_counted_is_the_first():
    class Worn(Store):
        def commit(self):
            raise OSError(EIO)

    assert count_boot(Worn()) == 1


def test_a_battery_that_is_lent_to_a_self_test_is_kept_as_auto():
    store = Store()
    state, snap, _ = rig(store)
    snap.wish[3] = snap.wish[4] = WISH_OFF
    snap.lent = 1 << 3
    assert state.save()
    state, again, _ = rig(store)
    assert state.restore() and list(again.wish[3:5]) == [AUTO, WISH_OFF]
