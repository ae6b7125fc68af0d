# SPDX-License-Identifier: GPL-3.0-only
"""The whole firmware tells what a loss would pull along, and then it does."""

from sim import current
from support import clean, play

SETTINGS = {"limits": {"max_current_ma": 10000}}
PACKS = [{"n": n, "soc": 0.8, "capacity_ah": 20} for n in range(1, 5)]
LOST_S = 40


class Listener:
    """A sabotage that breaks nothing: it notes what is told, about each second."""

    def __init__(self):
        self._told = []

    def at(self, seconds):
        """[n_minus_1, promise_a, sentences] at that time."""
        return [told for us, *told in self._told if us <= seconds * 1000000][-1]

    def __call__(self):
        from parallelator.show.cascade import Cascade
        from parallelator.wording import Words

        tell, words = Cascade.tell, Words("en")

        def heard(cascade, kind, risk):
            tell(cascade, kind, risk)
            codes = [code for code, _, _ in cascade._snap.alarms() if "cascade" in code]
            alarms = [cascade.sentence(words, code) for code in codes]
            told = current.world.now_us, cascade.keeps(), cascade.promise_a, alarms
            self._told.append(told)

        Cascade.tell = heard


def test_a_loss_is_told_before_it_pulls_the_others_along():
    listener = Listener()
    step = {"at": LOST_S, "do": "bms_open", "n": 3}
    load = [[0, 22], [8, 34]]
    report = play(
        listener, batteries=PACKS, settings=SETTINGS, load=load, steps=[step], duration_s=80
    )
    keeps, promise_a, alarms = listener.at(8)
    assert keeps and 29 <= promise_a <= 30 and not alarms, listener.at(8)
    keeps, promise_a, alarms = listener.at(LOST_S - 10)
    assert keeps is False and 29 <= promise_a <= 30, listener.at(LOST_S - 10)
    assert len(alarms) == 1 and "the output goes dark" in alarms[0], alarms
    entries = [entry for entry in report["timeline"] if entry[0] > 1000 * LOST_S]
    opened = {n for _, n, state, reason in entries if state == "tripped" and reason == "overload"}
    assert opened, entries
    assert report["dark_ms"] and not report["alloc_violations"]


def test_a_rig_with_reserve_tells_of_none():
    listener = Listener()
    report = play(listener, batteries=PACKS, settings=SETTINGS, load=[[0, 26]], duration_s=30)
    clean(report)
    keeps, promise_a, alarms = listener.at(28)
    assert keeps and 29 <= promise_a <= 30 and not alarms, listener.at(28)
