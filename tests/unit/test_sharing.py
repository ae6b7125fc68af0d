# SPDX-License-Identifier: GPL-3.0-only
"""Bad contacts, found by how packs share a load: before the sensor, and behind it."""

from parallelator.catalog import ON, TRIPPED
from parallelator.protection.rules import Limits
from parallelator.settings import Values
from parallelator.show.cascade import PERIOD_S
from parallelator.show.sharing import Sharing
from parallelator.snapshot import Snapshot

IDLE, LOAD = 0, 6000


class Rig:
    """Packs of 30 mOhm on one output.

    Args:
        count: how many; idle_s: for how long there is no load at first; r_mohm: of each pack.

    Attributes, to change:
        plug_mohm, joint_mohm: of each pack, before and behind its sensor; path_mohm: of all;
        error_mv: of each sensor; rest_mv, r_mohm: of each pack.
    """

    def __init__(self, count, idle_s=10, r_mohm=None):
        self.count = count
        self.snap, self.told = Snapshot(), []
        self.plug_mohm, self.joint_mohm = [0] * count, [0] * count
        self.error_mv, self.path_mohm = [0] * count, 20
        self.rest_mv, self.r_mohm = [28000] * count, r_mohm or [30] * count
        self.sharing = Sharing(self.snap, Limits(Values({})), self.emit)
        self.snap.sensors = (1 << count) - 1
        self.live(idle_s, IDLE)

    def emit(self, code, i, state, reason, value):
        self.told.append((code, i, value))

    def carry(self, mean_ma):
        """The load is `mean_ma` for each pack from now on."""
        snap = self.snap
        inside = [r + plug for r, plug in zip(self.r_mohm, self.plug_mohm)]
        paths = [self.path_mohm + joint for joint in self.joint_mohm]
        siemens = [1 / (r + path) for r, path in zip(inside, paths)]
        driven = sum(mv * s for mv, s in zip(self.rest_mv, siemens))
        bus_mv = (driven - self.count * mean_ma / 1000) / sum(siemens)
        for i in range(self.count):
            amps = (self.rest_mv[i] - bus_mv) * siemens[i]
            snap.state[i], snap.valid[i] = ON, 1
            snap.current_ma[i] = int(amps * 1000)
            snap.voltage_mv[i] = int(self.rest_mv[i] - amps * inside[i]) + self.error_mv[i]

    def live(self, seconds, mean_ma):
        """So many seconds at a load about `mean_ma` for each pack; returns the alarms."""
        for second in range(0, seconds, PERIOD_S):
            self.look(mean_ma * (13 if second // 5 % 2 else 7) // 10)
        return [alarm[:2] for alarm in self.snap.alarms()]

    def look(self, mean_ma, on=0xFFFF):
        """One look at a load of `mean_ma` for each pack; `on`: mask of those that it is told."""
        self.carry(mean_ma)
        for _ in self.sharing.looking(on & (1 << self.count) - 1):
            pass


def test_a_bad_joint_behind_the_sensor_is_told_after_a_minute_and_until_it_is_good():
    for count in (2, 4, 16):
        for mohm in (20, 50, 200):
            for mean_ma in (2500, 10000, -3000):
                rig = Rig(count)
                assert rig.live(120, mean_ma) == [], count
                rig.joint_mohm[1] = mohm
                assert rig.live(58, mean_ma) == []
                assert rig.live(30, mean_ma) == [("contact_output", 1)], (count, mohm, mean_ma)
                (told,) = rig.told
                assert told[:2] == ("contact_output", 1) and mohm * 0.5 < told[2] <= mohm, told
                rig.joint_mohm[1] = 0
                assert rig.live(58, mean_ma) and rig.live(30, mean_ma) == [], count


def test_a_plug_before_the_sensor_is_told_by_the_resistance_that_grew():
    for count in (1, 2, 4, 16):
        for mohm in (20, 50, 200):
            rig = Rig(count)
            assert rig.live(60, LOAD) == []
            rig.plug_mohm[0] = mohm
            assert rig.live(58, LOAD) == []
            assert rig.live(41, LOAD) == [("contact_battery", 0)], (count, mohm)
            (told,) = rig.told
            # The worse it is, the smaller are the steps that show how bad.
            assert told[:2] == ("contact_battery", 0) and 15 <= told[2] < 1.2 * mohm, told
            rig.plug_mohm[0] = 0
            assert rig.live(58, LOAD) and rig.live(90, LOAD) == []


def test_a_plug_that_leaves_its_pack_hardly_a_step_is_told_by_the_steps_of_all():
    for count in (4, 16):
        for sign in (1, -1):
            rig = Rig(count)
            assert rig.live(100, sign * 2500) == []
            rig.plug_mohm[0] = 200
            rig.carry(sign * 2500 * 13 // 10)
            assert abs(rig.snap.current_ma[0]) < 900
            assert rig.live(120, sign * 2500) == [("contact_battery", 0)], (count, sign)
            ((_, _, mohm),) = rig.told
            assert 100 < mohm < 220, mohm


def test_a_load_that_hardly_moves_tells_nothing_of_a_pack_that_hardly_carries():
    rig = Rig(4)
    rig.live(100, 2500)
    rig.live(60, IDLE)
    known = list(rig.sharing._mohm)
    rig.plug_mohm[0] = 200
    rig.live(200, 200)
    assert list(rig.sharing._mohm) == known, "steps under 0.3 A"


def test_resistances_that_grow_together_are_those_of_a_cold_night():
    rig = Rig(4)
    rig.live(60, LOAD)
    rig.r_mohm = [48, 60, 52, 55]
    assert rig.live(200, LOAD) == []
    rig.plug_mohm[2] = 60
    assert rig.live(100, LOAD) == [("contact_battery", 2)]


def test_cells_that_relax_after_a_step_of_the_load_are_no_bad_contact():
    rig = Rig(1)
    rig.live(100, LOAD)
    slow_mv = 0
    for second in range(0, 1200, PERIOD_S):
        amps = 10 if second // 60 % 2 else 2
        slow_mv += (amps * 25 - slow_mv) // 10  # 25 mOhm, 20 s
        rig.rest_mv = [28000 - slow_mv]
        rig.look(1000 * amps)
    assert rig.told == [] and rig.sharing._mohm[0] // 8 < 40, rig.sharing._mohm


def test_a_step_back_to_the_mean_is_too_small_to_tell_a_resistance():
    rig = Rig(1)
    rig.live(100, LOAD)
    for k in range(600):
        rig.error_mv[0] = 3 * (k % 3 - 1)  # the resolution of an INA237
        rig.look(LOAD + (500, 120, 0)[min(k % 20, 2)])
        assert 20 < rig.sharing._mohm[0] // 8 < 40, k


def test_a_pack_that_joins_or_leaves_is_no_step_of_the_load():
    # `cascade` looked a second before: it is told late.
    rig = Rig(4)
    rig.live(60, LOAD)
    known = list(rig.sharing._mohm)
    for k in range(60):
        rig.plug_mohm[0] = k
        rig.look(LOAD, 0xFFFF if k % 2 else 0xFFF7)
    assert list(rig.sharing._mohm) == known


def test_unequal_packs_are_no_bad_contacts():
    for path_mohm in (10, 20, 30):
        rig = Rig(4, 10, [20, 25, 30, 120])
        rig.path_mohm = path_mohm
        rig.rest_mv = [28000, 27950, 28060, 28000]
        for mean_ma in (LOAD, 10000, 1500, -LOAD):
            assert rig.live(200, mean_ma) == [], (path_mohm, mean_ma)


def test_the_error_of_a_sensor_is_none_either():
    for error_mv in (-84, 84):
        for idle_s in (0, 10):
            rig = Rig(4, 0)
            rig.error_mv[2] = error_mv
            rig.live(idle_s, IDLE)
            assert rig.live(200, 2000) == [] and rig.live(200, 500) == [], (error_mv, idle_s)
    rig.joint_mohm[2] = 50
    assert rig.live(100, 2000) == [("contact_output", 2)], "its zero is known"


def test_what_batteries_exchange_that_have_just_joined_hides_no_error_of_a_sensor():
    rest_mv = [28036, 27968, 27980, 28016]
    for path_mohm in (10, 20, 30):
        for error_mv in (-84, 0, 84):
            rig = Rig(4, 0)
            rig.rest_mv, rig.path_mohm, rig.error_mv[0] = rest_mv, path_mohm, error_mv
            rig.live(10, IDLE)
            assert 500 < max(abs(ma) for ma in rig.sharing._ma) < 1000, rig.sharing._ma
            for mean_ma in (1200, 3000, 8000, -3000):
                assert rig.live(200, mean_ma) == [], (path_mohm, error_mv, mean_ma)
    rig.joint_mohm[0] = 50
    assert rig.live(100, 2500) == [("contact_output", 0)]
    # A load tells none, and a joint that was bad from the start is found.
    rig = Rig(4, 0)
    rig.live(100, 1500)
    assert list(rig.sharing._zero_mv)[:4] == [255] * 4
    rig = Rig(4, 0)
    rig.rest_mv, rig.joint_mohm[0] = rest_mv, 50
    rig.live(10, IDLE)
    assert rig.live(100, 2500) == [("contact_output", 0)]


def test_what_packs_show_that_have_just_opened_is_no_error_of_their_sensors():
    # All open at the end of a night; `cascade` looked a second before.
    rig = Rig(4, idle_s=0)
    rig.live(60, 3000)
    for i, rest_mv in enumerate((28000, 28060, 27960, 28030)):
        rig.snap.state[i], rig.snap.current_ma[i] = TRIPPED, 0
        rig.snap.voltage_mv[i] = rest_mv
    for _ in rig.sharing.looking(15):
        pass
    assert rig.live(200, 3000) == []
    # Nor is what they show when a load has just come.
    rig = Rig(4, idle_s=0, r_mohm=[20, 40, 60, 80])
    rig.carry(6000)
    for _ in rig.sharing.looking(15):
        pass
    assert rig.live(200, 3000) == []
    assert list(rig.sharing._zero_mv)[:4] == [255] * 4, "nothing was learned"


def test_a_load_that_comes_and_goes_shows_it_all_the_same():
    rig = Rig(4)
    rig.joint_mohm[3] = 50
    for _ in range(14):
        rig.live(5, 6000)
        alarms = rig.live(20, 100)
    assert alarms == [("contact_output", 3)]


def test_a_pack_whose_sensor_is_gone_or_that_is_unplugged_begins_anew():
    rig = Rig(4)
    rig.live(60, 10000)
    rig.plug_mohm[0], rig.joint_mohm[0] = 30, 50
    assert len(rig.live(100, 10000)) == 2
    rig.snap.sensors &= ~1
    assert rig.live(1, 10000) == []
    rig.snap.sensors |= 1
    assert rig.live(100, 10000) == [("contact_output", 0)]
    rig.snap.voltage_mv[0] = 100
    for _ in rig.sharing.looking(0b1110):
        pass
    assert rig.snap.alarms() == []


def test_each_step_of_a_look_is_short():
    rig = Rig(16)
    assert sum(1 for _ in rig.sharing.looking(0xFFFF)) == 17
