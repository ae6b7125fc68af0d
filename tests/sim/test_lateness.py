"""Late ticks of a firmware whose guard goes first are explained; of one where it does not, not."""

import sabotage
from soak import lateness
from support import play

RIG = {"batteries": [{"n": n, "soc": 0.8} for n in range(1, 5)], "duration_s": 20}


def crowd():
    """A dozen more tasks of the firmware, always ready."""
    import asyncio

    from parallelator.app import App

    async def toil():
        while True:
            await asyncio.sleep_ms(0)

    start = App._start

    def start_more(app, name, job):
        if name == "console":
            for _ in range(12):
                start(app, "toil", toil)
        return start(app, name, job)

    App._start = start_more


def test_a_crowd_of_tasks_explains_no_late_tick_when_the_guard_goes_first():
    explainer, _ = lateness.explain(lambda: play(crowd, **RIG))
    assert explainer.ticks > 950 and explainer.unexplained == [], explainer.unexplained


def test_a_guard_that_waits_for_its_turn_is_found():
    def broken():
        crowd()
        sabotage.the_guard_waits_for_its_turn()

    explainer, _ = lateness.explain(lambda: play(broken, **RIG))
    assert explainer.unexplained, explainer.causes
