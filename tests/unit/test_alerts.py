# SPDX-License-Identifier: GPL-3.0-only
"""What an ALERT brings about: who opens, who waits a tick, and what is told of a flag."""

from parallelator import settings
from parallelator.catalog import Reason
from parallelator.hardware.ina2xx import ALERT, HIGH, LOW
from parallelator.protection import rules
from parallelator.protection.alerts import Alerts
from parallelator.snapshot import BATTERIES, Snapshot

HARD_MA = 20000  # the hard limit of the default settings, both ways


class Bench:
    """An `Alerts` with all it asks for: it stands for switches, sensors, states and the judge.

    Attributes:
        ma: {i: what sensor i reads, one entry a reading, the last one for ever}, 0 = unnamed.
        flags: {i: what sensor i shows until it is cleared}; low: mask of the lines that are.
        opened: (i, reason, value) of each that opened by itself; restarted, doubted: batteries.
    """

    def __init__(self, ma=None, flags=None, low=0):
        self.snap = Snapshot()
        self.ma = {i: list(readings) for i, readings in (ma or {}).items()}
        self.flags = dict(flags or {})
        self.low = low
        self.on = self.alert_proven = 0xFFFF
        self.deaf = self.sticky = 0
        self.opened = []
        self.masks = []
        self.restarted = []
        self.doubted = []
        self.reads = 0
        self.events = []
        for i in range(BATTERIES):
            self.snap.voltage_mv[i] = 26000
        limits = rules.Limits(settings.Values({}))
        emit = lambda *event: self.events.append(event)  # noqa: E731 - short
        self.alerts = Alerts(self.snap, self, self, self, self, self, limits, emit)

    def answer(self, *batteries):
        """Answer the ALERTs of `batteries` in one tick; returns those that opened in it."""
        for i in batteries:
            self.low |= 1 << i
        before = len(self.opened)
        self.alerts.answer(sum(1 << i for i in batteries))
        return [i for i, _, _ in self.opened[before:]]

    # Switches

    def alert_lines(self):
        return self.low

    def alert_low(self, i):
        return self.low >> i & 1

    def open(self, mask):
        self.masks.append(mask)

    # Sensors

    def clear_alert(self, i):
        self.low &= ~(1 << i) | self.sticky
        return self.flags.pop(i, 0)

    def read_current(self, i):
        self.reads += 1
        readings = self.ma.get(i, [0])
        current_ma = readings.pop(0) if len(readings) > 1 else readings[0]
        if current_ma is not None:
            self.snap.current_ma[i] = current_ma
        return current_ma

    def alert_ma(self, i):
        return HARD_MA + i

    def hears_charge(self, i):
        return not self.deaf >> i & 1

    # States, presence, judge

    def trip(self, i, reason, value):
        assert any(mask >> i & 1 for mask in self.masks), "the switch opens first"
        self.on &= ~(1 << i)
        self.opened.append((i, reason, value))

    def doubt_alert(self, i):
        self.doubted.append(i)

    def restart(self, i):
        self.restarted.append(i)


def test_one_that_drinks_beyond_its_limit_opens_at_once():
    bench = Bench({3: [-HARD_MA - 200]})
    assert bench.answer(3) == [3] and bench.opened == [(3, Reason.OVERCURRENT, -20200)]
    assert bench.alerts.flagged == bench.alerts.unsure == 0


def test_one_whose_reading_is_inside_opens_by_its_flag():
    for current_ma in (5000, -16000, HARD_MA):
        bench = Bench({3: [current_ma]}, {3: ALERT})
        assert bench.answer(3) == [3], current_ma
        assert bench.opened == [(3, Reason.OVERCURRENT, HARD_MA + 3)]


def test_one_beyond_its_limit_opens_without_a_flag_or_without_an_answer():
    bench = Bench({3: [HARD_MA + 200]})
    assert bench.answer(3) == [3] and bench.opened[0][1] == Reason.OVERCURRENT
    bench = Bench({3: [5000]}, {3: None})
    assert bench.answer(3) == [3]
    bench = Bench({3: [None]})
    assert bench.answer(3) == [3], "whose current cannot be read is taken for beyond it"


def test_a_line_that_stays_low_without_a_flag_is_faulty_and_one_that_rises_is_nothing():
    bench = Bench({3: [5000]})
    bench.sticky = 1 << 3
    assert bench.answer(3) == [3]
    assert bench.opened == [(3, Reason.FALSE_ALERT, 5000)] and bench.doubted == [3]
    bench = Bench({3: [5000]})
    assert bench.answer(3) == [] and not bench.doubted and not bench.alerts.flagged


def test_a_voltage_opens_with_its_second_sample():
    for flag, reason, mv, told_mv in (
        (HIGH, Reason.OVERVOLTAGE, 26000, 30900),
        (HIGH, Reason.OVERVOLTAGE, 31500, 31500),
        (LOW, Reason.UNDERVOLTAGE, 26000, 21600),
        (LOW, Reason.UNDERVOLTAGE, 20000, 20000),
    ):
        bench = Bench(flags={3: flag})
        bench.snap.voltage_mv[3] = mv
        assert bench.answer(3) == [] and bench.alerts.flagged == 1 << 3
        bench.flags[3] = flag
        assert bench.answer(3) == [3] and bench.opened == [(3, reason, told_mv)]
        assert bench.alerts.flagged == 0
    bench = Bench(flags={3: HIGH})
    bench.answer(3)
    bench.flags[3] = None
    assert bench.answer(3) == [3], "it opens even if it does not answer any more"


def test_another_alert_beside_a_second_sample_is_answered_too():
    bench = Bench({5: [-HARD_MA - 200]}, {3: HIGH})
    bench.answer(3)
    bench.flags[3] = HIGH
    assert bench.answer(3, 5) == [3, 5]


def test_of_several_the_one_that_drinks_opens_alone_and_the_others_wait():
    bench = Bench({2: [15000], 3: [-17000], 4: [HARD_MA + 200]})
    assert bench.answer(2, 3, 4) == [3]
    assert bench.restarted == [2, 4] and bench.masks == [1 << 3]
    assert bench.answer(2, 4) == [4], "what the opening did not relieve opens in the next tick"
    assert bench.restarted == [2, 4] and bench.doubted == [], "their ALERTs are known"


def test_one_that_drinks_a_little_is_not_the_cause():
    bench = Bench({2: [HARD_MA + 200], 3: [-15800]}, {3: ALERT})
    assert bench.answer(2, 3) == [2] and not bench.restarted
    bench = Bench({2: [HARD_MA + 200], 3: [-16000]}, {3: ALERT})
    assert bench.answer(2, 3) == [3] and bench.restarted == [2]


def test_whoever_gives_hardly_anything_feeds_nobody():
    for current_ma, fed in ((50, False), (51, True)):
        bench = Bench({2: [current_ma], 3: [-17000]}, {2: ALERT, 3: ALERT})
        bench.answer(2, 3)
        assert (bench.restarted == [2]) == fed, current_ma


def test_a_pressed_one_that_comes_alone_is_no_single_alert():
    bench = Bench({2: [15000], 3: [-17000]})
    bench.answer(2, 3)
    bench.flags[2] = ALERT
    assert bench.answer(2) == [] and not bench.events, "its current is inside: the opening's"
    bench.flags[2] = ALERT
    assert bench.answer(2) == [2], "one tick later it is one like any other"


def test_all_beyond_their_limit_open_and_the_excused_are_told_once_a_second():
    bench = Bench({2: [20300], 3: [20400], 4: [5000], 5: [6000]}, {4: ALERT, 5: ALERT})
    assert bench.answer(2, 3, 4, 5) == [2, 3]
    assert bench.events == [("flag_unconfirmed", 4, bench.snap.state[4], 0, 5000)]
    bench.snap.uptime_s = 1
    bench.flags[5] = ALERT
    bench.answer(4, 5)
    assert [event[1] for event in bench.events] == [4, 5] and bench.doubted == [4]


def test_the_limit_itself_is_not_beyond_it():
    for current_ma, opened in ((20199, []), (20200, [2])):
        bench = Bench({2: [current_ma]}, {2: HIGH, 3: HIGH})
        assert bench.answer(2, 3) == opened, current_ma
        assert bench.doubted == []


def test_an_unconfirmed_flag_near_the_limit_is_not_told():
    for current_ma, told in ((15799, 1), (16000, 0)):
        bench = Bench({2: [current_ma]}, {2: ALERT, 3: HIGH})
        bench.snap.uptime_s = 1
        assert bench.answer(2, 3) == [] and len(bench.events) == told
        assert bench.alerts.flagged == 1 << 3 and bench.doubted == []


def test_an_alert_without_a_flag_among_others_is_doubted():
    bench = Bench(flags={2: LOW, 4: None})
    assert bench.answer(2, 3, 4) == []
    assert bench.doubted == [3] and bench.alerts.flagged == 1 << 2


def test_one_alert_and_a_line_that_falls_meanwhile_are_several():
    bench = Bench({2: [HARD_MA + 200], 3: [-17000]}, {2: ALERT | HIGH}, low=1 << 3)
    assert bench.answer(2) == [3] and bench.restarted == [2]
    assert bench.alerts.flagged == 1 << 2
    bench = Bench({2: [HARD_MA + 200], 3: [-17000]}, {2: None}, low=1 << 3)
    assert bench.answer(2) == [3] and bench.alerts.flagged == 0
    for unwatched in ("on", "alert_proven"):
        bench = Bench({2: [HARD_MA + 200], 3: [-17000]}, low=1 << 3)
        setattr(bench, unwatched, 0xFFFF & ~(1 << 3))
        assert bench.answer(2) == [2] and bench.opened[0][1] == Reason.OVERCURRENT


def test_several_look_at_the_lines_that_fall_meanwhile():
    bench = Bench({2: [20300], 3: [20300], 4: [-20300]}, low=1 << 4)
    assert bench.answer(2, 3) == [4] and bench.restarted == [2, 3]
    bench = Bench({2: [20300], 3: [-20300], 4: [-20300]}, low=1 << 4)
    assert bench.answer(2, 3) == [3], "one that drinks is enough"


def test_charge_that_no_alert_tells_of_is_looked_for():
    bench = Bench({2: [20300], 3: [20300], 7: [-17000]})
    bench.deaf = 1 << 7
    assert bench.answer(2, 3) == [7] and bench.restarted == [2, 3]
    bench = Bench({2: [20300], 3: [20300], 7: [0, -17000]})
    bench.deaf = 1 << 7
    assert bench.answer(2, 3) == [7], "its conversion ended while the others were read"
    bench = Bench({2: [20300], 3: [20300], 7: [-17000]})
    assert bench.answer(2, 3) == [2, 3], "its ALERT would have told"
    bench.alert_proven = 0xFFFF & ~(1 << 8)
    bench.ma = {4: [20300], 5: [20300], 8: [-17000]}
    assert bench.answer(4, 5) == [8], "an ALERT that is not proven tells nothing"


def test_one_without_an_alert_neither_feeds_nor_is_beyond_its_limit():
    bench = Bench({2: [-17000], 3: [-17000], 7: [15000]}, {2: HIGH, 3: HIGH})
    bench.deaf = 1 << 7
    assert bench.answer(2, 3) == []
    bench = Bench({2: [20300], 3: [20300], 7: [20300]})
    bench.deaf = 1 << 7
    assert bench.answer(2, 3) == [2, 3]


def test_six_that_are_beyond_their_limit_are_read_twice():
    beyond = {i: [20300, 15000] for i in range(8)}
    beyond[6] = beyond[7] = [20300]
    bench = Bench(beyond)
    assert bench.answer(*range(8)) == [6, 7] and bench.reads == 14
    bench = Bench({2: [20300, -20300], 3: [20300]})
    assert bench.answer(2, 3) == [2] and bench.restarted == [3], "the second shows who drinks"


def test_one_that_opened_already_does_not_open_again():
    bench = Bench({2: [20300], 3: [20300]}, {4: HIGH})
    bench.answer(4)
    bench.on = 0xFFFF & ~(1 << 2 | 1 << 4)
    assert bench.answer(2, 3, 4) == [3]


def test_clearing_releases_those_that_are_named():
    bench = Bench(low=0b111)
    bench.alerts.clear(0b101)
    assert bench.low == 0b010
    bench.on, bench.alert_proven = 0b0110, 0b0011
    assert bench.alerts.watched() == 0b0010


# Flags that a proof has read


def test_a_flag_that_its_current_confirms_opens():
    for current_ma in (16000, -16000, HARD_MA + 200):
        bench = Bench({2: [current_ma]})
        bench.alerts.read(2, ALERT)
        assert bench.opened == [(2, Reason.OVERCURRENT, HARD_MA + 2)], current_ma
        assert not bench.alerts.unsure


def test_a_flag_that_nothing_confirms_is_unsure_and_a_voltage_flagged():
    bench = Bench({2: [15799]})
    bench.alerts.read(2, ALERT | LOW)
    assert not bench.opened and bench.alerts.unsure == 1 << 2 == bench.alerts.flagged
    bench.alerts.read(3, HIGH)
    assert bench.alerts.flagged == 0b1100 and bench.alerts.unsure == 1 << 2
    assert bench.reads == 1, "a voltage alone needs no look at the current"


def test_a_flag_beside_other_lines_is_one_of_several():
    bench = Bench({2: [17000], 3: [-17000]}, low=1 << 3)
    bench.alerts.read(2, ALERT)
    assert [i for i, _, _ in bench.opened] == [3] and bench.restarted == [2]
    bench = Bench({2: [17000], 3: [-17000]}, low=1 << 2)
    bench.alerts.read(2, ALERT)
    assert [i for i, _, _ in bench.opened] == [2], "its own line is no other"
    bench = Bench({2: [17000], 3: [5000]}, low=1 << 3)
    bench.alerts.read(2, ALERT)
    assert not bench.opened and bench.doubted == [3], "what a proof cleared has no flag any more"


def test_what_an_earlier_answer_saw_is_forgotten():
    bench = Bench({2: [20300], 3: [-17000]})
    bench.answer(2, 3)
    bench.ma = {5: [17000], 6: [5000]}
    bench.low = 1 << 6
    bench.flags = {6: HIGH}
    bench.alerts.read(5, ALERT)
    assert [i for i, _, _ in bench.opened] == [3]


def test_an_unsure_one_is_settled_by_its_current_or_by_its_flag():
    for current_ma, flag, opened in (
        (16000, 0, True),
        (15799, ALERT, True),
        (15799, 0, False),
        (15799, LOW, False),
        (15799, None, False),
    ):
        bench = Bench({2: [15000]}, {2: flag})
        bench.alerts.read(2, ALERT)
        bench.snap.current_ma[2] = current_ma
        bench.masks.append(1 << 2)  # the states open it
        bench.alerts.settle(2)
        assert bool(bench.opened) == opened, (current_ma, flag)
        assert bench.alerts.unsure == 0 and len(bench.events) == (not opened)
        assert bool(bench.alerts.flagged) == (flag == LOW)


def test_an_unsure_one_that_opened_meanwhile_is_settled():
    bench = Bench({2: [15000]}, {2: ALERT})
    bench.alerts.read(2, ALERT)
    bench.on = 0
    bench.alerts.settle(2)
    assert not bench.opened and not bench.events and bench.alerts.unsure == 0
