# SPDX-License-Identifier: GPL-3.0-only
"""When a risk is told and for how long, in which words, and what programs are told of it."""

from parallelator.catalog import ON
from parallelator.protection.rules import Limits
from parallelator.settings import Values
from parallelator.show.cascade import DARK, LOST, Cascade
from parallelator.snapshot import RIG, Snapshot
from parallelator.wording import Words

SEVEN = 6 << LOST
BOARD_2 = 17 << LOST


class Rig:
    def __init__(self, language="en"):
        self.snap = Snapshot()
        self.words = Words(language)
        self.told = []
        self.cascade = Cascade(self.snap, Limits(Values({})), self.emit)
        self.cascade.on = 1

    def emit(self, code, i, state, reason, value):
        self.told.append((code, i, value))

    def looks(self, count, risk, kind=0):
        for _ in range(count):
            self.cascade.tell(kind, risk)
        return [alarm[:2] for alarm in self.snap.alarms()]


def test_a_risk_is_told_after_six_seconds_and_for_thirty_more():
    rig = Rig()
    assert rig.looks(2, SEVEN | 1) == [] and rig.looks(1, 0) == []
    assert rig.looks(2, SEVEN | 1) == [], "it has to last"
    assert rig.looks(1, SEVEN | 1) == [("cascade", RIG)]
    assert rig.told == [("cascade", RIG, SEVEN | 1)]
    assert rig.looks(14, 0) and rig.looks(1, SEVEN | 1) and rig.looks(14, 0)
    assert rig.looks(1, 0) == []
    assert len(rig.told) == 1


def test_nothing_is_told_of_a_rig_that_is_dark():
    rig = Rig()
    assert rig.looks(5, SEVEN | 1)
    rig.cascade.on = 0
    assert rig.looks(1, 0) == []


def test_the_worst_risk_is_followed_while_it_stands():
    rig = Rig()
    rig.looks(5, SEVEN | 1)
    rig.looks(1, SEVEN | 3)
    assert rig.cascade.sentence(rig.words, "cascade").startswith(
        "If battery 7 drops out, 1 and 2 are overloaded."
    )
    rig.looks(3, 0)
    assert rig.cascade.risks() == [{"n": 7, "board": None, "follow": [1, 2], "dark": False}]
    assert len(rig.told) == 1, "one event"


def test_packs_and_boards_are_told_apart():
    rig = Rig()
    rig.looks(5, SEVEN | 1)
    assert rig.looks(5, BOARD_2 | DARK | 15, kind=1) == [
        ("cascade", RIG),
        ("cascade_board", RIG),
    ]
    assert rig.cascade.risks()[1] == {
        "n": None, "board": 2, "follow": [1, 2, 3, 4], "dark": True,
    }  # fmt: skip
    assert (
        rig.cascade.sentence(rig.words, "cascade_board")
        == "If board 2 drops out, the output goes dark."
    )


def test_it_is_said_as_a_technician_says_it():
    five_nine = 1 << 4 | 1 << 8
    for language, risk, said in (
        ("en", SEVEN | five_nine, "If battery 7 drops out, 5 and 9 are overloaded. "),
        ("en", SEVEN | 1 << 4, "If battery 7 drops out, battery 5 is overloaded. "),
        ("en", SEVEN | five_nine | 1, "If battery 7 drops out, 1, 5 and 9 are overloaded. "),
        ("en", SEVEN | DARK, "If battery 7 drops out, the output goes dark. "),
        ("fr", SEVEN | five_nine, "Si la batterie 7 lâche, la 5 et la 9 passent en surcharge. "),
        ("fr", SEVEN | 1 << 4, "Si la batterie 7 lâche, la 5 passe en surcharge. "),
        ("fr", BOARD_2 | 1, "Si la carte 2 lâche, la 1 passe en surcharge."),
    ):
        rig = Rig(language)
        found = rig.cascade.sentence(rig.words, "cascade", risk)
        assert found.startswith(said), found


def test_n_minus_1_is_known_where_two_are_there_and_one_is_on():
    rig = Rig()
    watch = rig.cascade
    assert watch.keeps() is None and watch.promise_a is None
    for count, keeps in ((0, None), (1, None), (2, True)):
        for i in range(count):
            rig.snap.state[i], rig.snap.valid[i], rig.snap.voltage_mv[i] = ON, 1, 28000
        for _ in watch.looking(None):
            pass
        assert watch.keeps() is keeps, count
    rig.looks(5, SEVEN | 1)
    assert watch.keeps() is False


def test_what_holds_when_the_first_has_ended_is_no_alarm():
    rig = Rig()
    rig.cascade.on, rig.cascade.there = 0b1110, 4
    assert rig.cascade.keeps_then(4) is True and rig.cascade.keeps_then(None) is None
    assert rig.looks(3, SEVEN | 1, kind=2) == rig.told == []
    assert rig.cascade.keeps_then(4) is False and rig.cascade.risks() == []
    assert rig.looks(14, 0, kind=2) == [] and rig.cascade.keeps_then(4) is False
    rig.looks(1, 0, kind=2)
    assert rig.cascade.keeps_then(4) is True
    rig.cascade.on = 0b1000
    assert rig.cascade.keeps_then(4) is None
