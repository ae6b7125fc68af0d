# SPDX-License-Identifier: GPL-3.0-only
"""An outage of I2C: when it is one, what follows its end, and who opens for want of a proof."""

from parallelator import settings
from parallelator.catalog import Reason
from parallelator.protection import rules
from parallelator.protection.outage import Outage
from parallelator.snapshot import BATTERIES, RIG, Snapshot


class I2c:
    timeouts = 7
    recoveries = 3

    def __init__(self):
        self.answered = False
        self.frees = True
        self.calls = 0

    def recover(self):
        self.calls += 1
        return self.frees


class Chip:
    mv = None

    def voltage_mv(self):
        return self.mv


class Switches:
    def __init__(self):
        self.present = self.silent = 0b0011
        self.rejoined = []
        self.flushes = 0

    def flush(self):
        self.flushes += 1

    def rejoin(self, b):
        self.rejoined.append(b)


class Sensors:
    found = 0b11

    def __init__(self):
        self.chips = [Chip(), Chip()] + [None] * (BATTERIES - 2)


class States:
    def __init__(self):
        self.on = 0b111
        self.opened = []

    def trip(self, i, reason, value):
        self.opened.append((i, reason, value))

    def lose(self, i, reason):
        self.opened.append((i, reason))


class Judge:
    def __init__(self):
        self.restarted = []

    def restart(self, i):
        self.restarted.append(i)


class Bench:
    """An `Outage` and what stands around it, three batteries ON at 26 V."""

    def __init__(self, **changes):
        values = settings.Values({})
        values.given.update({"limits." + key: value for key, value in changes.items()})
        self.limits = rules.Limits(values)
        self.snap = Snapshot()
        self.i2c, self.switches, self.sensors = I2c(), Switches(), Sensors()
        self.states, self.judge = States(), Judge()
        self.events = []
        for i in range(3):
            self.snap.voltage_mv[i] = 26000
            self.snap.valid[i] = 1
        self.outage = Outage(
            self.i2c,
            self.snap,
            self.switches,
            self.sensors,
            self.states,
            self.judge,
            self.limits,
            lambda *event: self.events.append(event),
        )

    def alarms(self):
        return [alarm[:2] for alarm in self.snap.alarms()]


def test_it_is_told_once_and_freed_in_every_tick():
    bench = Bench()
    assert bench.outage.holds(20) and bench.outage.holds(20) and bench.outage.on
    assert bench.events == [("i2c_fault", RIG, 0, 0, 7)] and bench.i2c.calls == 2
    assert bench.alarms() == [("i2c_fault", RIG)]
    bench.outage.end()
    assert not bench.outage.on and bench.alarms() == [] and bench.switches.flushes == 1
    assert bench.events[1:] == [("i2c_recovered", RIG, 0, 0, 3)]


def test_whatever_answers_is_no_outage():
    bench = Bench()
    bench.i2c.answered = True
    assert not bench.outage.holds(20)
    bench = Bench()
    bench.switches.silent = 0b0001
    assert not bench.outage.holds(20)
    bench = Bench()
    bench.sensors.chips[1].mv = 0
    assert not bench.outage.holds(20) and not bench.i2c.calls


def test_a_rig_of_sensors_or_of_boards_alone_can_fall_silent_and_an_empty_one_cannot():
    for present, found, silent in ((1, 0, True), (0, 1, True), (0, 0, False)):
        bench = Bench()
        bench.switches.present = bench.switches.silent = present
        bench.sensors.found = found
        assert bench.outage.holds(20) == silent, (present, found)


def test_the_boards_that_answer_again_are_compared_with_what_they_were_told():
    bench = Bench()
    bench.outage.holds(20)
    bench.switches.present, bench.switches.silent = 0b1011, 0b0010
    bench.outage.end()
    assert bench.switches.rejoined == [0, 3]
    assert bench.outage.doubted == 0b111


def test_after_more_than_half_a_second_every_timed_row_begins_anew():
    for ms, restarted in ((500, []), (501, [0, 2])):
        bench = Bench()
        bench.states.on = 0b101
        for dt in (ms - 100, 100):
            bench.outage.holds(dt)
        bench.outage.end()
        assert bench.judge.restarted == restarted, ms
        bench.outage.holds(20)
        bench.outage.end()
        assert bench.judge.restarted == restarted, "each outage has its own time"


def test_two_readings_inside_the_limits_end_the_doubt():
    bench = Bench()
    bench.outage.doubt(0b11)
    assert bench.outage.read(1) and bench.outage.doubted == 0b11
    assert not bench.outage.read(1) and bench.outage.doubted == 0b01
    bench.outage.doubt(0b10)
    assert bench.outage.read(1), "what was read before the second doubt is no proof"


def inside(voltage_mv, current_ma, **changes):
    """Whether two such readings end the doubt."""
    bench = Bench(**changes)
    bench.snap.voltage_mv[0], bench.snap.current_ma[0] = voltage_mv, current_ma
    bench.outage.doubt(1)
    bench.outage.read(0)
    return not bench.outage.read(0)


def test_one_that_is_charged_below_the_window_or_gives_above_it_is_inside():
    assert inside(23000, -101) and not inside(23000, -100)
    assert inside(30100, 100) and not inside(30100, 99)
    assert not inside(20900, -500), "below the charge floor"


def test_only_a_reading_inside_the_limits_counts():
    limits = Bench().limits
    most_ma, least_ma = limits.hard_discharge_ma, -limits.hard_charge_ma
    assert inside(26000, most_ma) and not inside(26000, most_ma + 1)
    assert inside(26000, least_ma) and not inside(26000, least_ma - 1)
    assert not inside(limits.max_voltage_mv + 1, 0) and not inside(limits.min_voltage_mv - 1, 0)
    for current_ma in (90000, -90000):
        assert inside(26000, current_ma, hard_current_pct=0), "without a hard limit none is beyond"


def test_who_is_in_doubt_for_half_a_second_opens():
    bench = Bench()
    bench.snap.voltage_mv[0] = 31000
    bench.snap.voltage_mv[1] = 31000
    bench.snap.valid[1] = 0
    bench.outage.doubt(0b11111)
    bench.outage.pass_time(499)
    assert not bench.states.opened and bench.outage.doubted == 0b111, "those that are ON"
    bench.outage.pass_time(1)
    lost = Reason.SENSOR_LOST
    assert bench.states.opened == [(0, Reason.OVERVOLTAGE, 31000), (1, lost), (2, lost)]
    bench.outage.pass_time(20)
    assert bench.outage.doubted == 0 and len(bench.states.opened) == 3


def test_time_without_a_doubt_takes_nothing_from_the_next():
    bench = Bench()
    bench.outage.doubt(0)
    bench.outage.pass_time(1000)
    assert bench.outage.doubted == 0
    bench.outage.doubt(1)
    bench.outage.pass_time(499)
    assert not bench.states.opened


def test_i2c_that_is_stuck_while_somebody_answers_is_freed_or_stays_an_alarm():
    bench = Bench()
    bench.outage.recover()
    assert bench.alarms() == [] and len(bench.events) == 2
    bench.i2c.frees = False
    bench.outage.recover()
    assert bench.alarms() == [("i2c_fault", RIG)]
    assert [event[0] for event in bench.events] == ["i2c_fault", "i2c_recovered", "i2c_fault"]
