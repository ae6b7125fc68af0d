# SPDX-License-Identifier: GPL-3.0-only
"""The charts of the hour and the day across a restart, with the whole firmware in virtual time.

Points of 5, 10 and 20 s stand for those of 10 s, two minutes and twenty.
"""

from sim import current
from support import clean
from test_records import Run

STEP_S = 20


class Charted(Run):
    """One run whose rings are looked at; `dated`: a browser tells the time after each boot."""

    def __init__(self, dated, **plan):
        self.apps = []
        self.truth = {}
        super().__init__(time_at_s=3 if dated else None, **plan)

    def _listen(self):
        super()._listen()
        from parallelator.app import App
        from parallelator.records import history

        history.SPANS = ((5, 120), (10, 60), (STEP_S, 96))
        current.world.observers.append(self)
        init = App.__init__

        def watched_init(app, *args):
            init(app, *args)
            self.apps.append(app)

        App.__init__ = watched_init

    async def _browser(self, app):
        import asyncio

        await asyncio.sleep_ms(self._time_at_s * 1000)
        app.rig.set_time(1784000000 + current.world.now_us // 1000000)
        await asyncio.sleep_ms(1 << 29)

    def stepped(self, at_us):
        plant = current.world.plant
        row = (1000 * plant.voltage_v[2], 1000 * plant.current_a[2])
        self.truth.setdefault(at_us // 1000000, row)

    def switched(self, at_us, before):
        pass

    def played(self, at_us, step):
        pass

    def restarted(self, at_us):
        self.reset_s = at_us // 1000000

    def mean(self, begin_s, column):
        values = [self.truth[s][column] for s in range(begin_s, begin_s + STEP_S)]
        return sum(values) / STEP_S


STEPS = [{"at": 150, "do": "controller_reset"}]
LOAD = [[0, 5], [60, 15], [90, 2.5], [130, 10]]


def restored(run):
    """Points of battery 3 before the second boot: [(number, mV, mA)]."""
    ring = run.apps[1].history.ring(86400)
    assert ring.step_s == STEP_S
    voltages, currents = ring.read(3, ring.oldest, 0)
    points = zip(range(ring.oldest, 0), voltages, currents)
    return ring, [point for point in points if point[1] is not None]


def compare(run, points, begin_s):
    """Each point is the mean of what the plant did, if point 0 began about `begin_s`."""
    for k, mv, ma in points:
        at_s = begin_s + k * STEP_S
        if at_s >= 15:  # connected since a while
            for value, column, slack in ((mv, 0, 25), (ma, 1, 40)):
                means = [run.mean(at_s + shift, column) for shift in range(-2, 3)]
                assert min(means) - slack < value < max(means) + slack, (k, value, means)


def test_a_restart_refills_the_day():
    run = Charted(True, batteries=4, duration_s=215, load=LOAD, steps=STEPS)
    clean(run.report)
    assert run.report["resets"] == 1 and run.reset_s == 150
    ring, points = restored(run)
    # Seven were complete; they lie where they were, to half a point.
    assert [k for k, _, _ in points] == list(range(-8, -1)) or (
        [k for k, _, _ in points] == list(range(-7, 0))
    ), points
    first = points[0][0]
    assert abs(first * STEP_S + run.reset_s) <= STEP_S // 2 + 3
    compare(run, points, -first * STEP_S)
    voltages, _ = ring.read(3, 0, ring.count)
    assert ring.count == 3 and None not in voltages[1:], voltages
    assert {currents // 1000 for _, _, currents in points[1:]} >= {0, 2, 3}


def test_without_the_time_a_gap_of_one_point_parts_the_boots():
    run = Charted(False, batteries=4, duration_s=200, load=LOAD, steps=STEPS)
    clean(run.report)
    _, points = restored(run)
    assert [k for k, _, _ in points] == list(range(-8, -1)), points
    compare(run, points, 8 * STEP_S)
    names = [entry[0] for entry in run.card.image.volume().ilistdir("/history")]
    assert names == ["000001.bin"]
