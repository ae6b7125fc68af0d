# SPDX-License-Identifier: GPL-3.0-only
"""The guard on each controller, as the cost model knows it: its share, its gaps, the clock."""

from sim import costs
from support import clean, play

STEADY = {"duration_s": 30, "load": [[0, 30]]}


def slow_clock():
    """A boot that leaves the clock where a reset puts it."""
    import machine

    machine.freq(costs.RESET_MHZ * 1000000)


def test_a_full_rig_leaves_half_of_the_time_to_people_on_every_controller():
    for controller in costs.CONTROLLERS:
        for khz, most_pct in ((100, 50), (400, 35)):
            report = play(controller=controller, settings={"i2c_khz": khz}, **STEADY)
            clean(report)
            assert report["ticks"]["load_pct"] <= most_pct, (controller, khz, report["ticks"])


def test_a_clock_that_nobody_raises_costs_half_as_much_again():
    full = play(**STEADY)["ticks"]["load_pct"]
    slow = play(slow_clock, **STEADY)["ticks"]["load_pct"]
    # Of 9.3 ms a tick 5 are Python, which is slower; the wire is not.
    assert 1.2 * full < slow < 1.5 * full, (full, slow)


def test_a_collection_keeps_the_guard_off_as_long_as_its_heap_is_large():
    gaps = {}
    for name in ("plain", "psram"):
        gaps[name] = play(controller=name, **STEADY)["ticks"]["worst_ms"]
    assert gaps["plain"] < 60 and 147 < gaps["psram"] < 200, gaps


def test_every_reset_brings_the_clock_back_and_every_boot_raises_it():
    clocks = []

    def look():
        from sim import current

        clocks.append(current.world.mhz)
        current.world.observers.append(Watch())

    class Watch:
        def stepped(self, at_us):
            pass

        switched = played = lambda self, *rest: None

        def restarted(self, at_us):
            from sim import current

            clocks.append(current.world.mhz)

    play(look, duration_s=10, batteries=4, steps=[{"at": 5, "do": "controller_reset"}])
    assert clocks[0] == 240 and clocks[-1] == 240 and costs.RESET_MHZ in clocks, clocks


def rig_of(controller):
    """A rig that has run on a controller, as the page knows it."""
    kept = []

    def keep():
        from parallelator.app import App

        begin = App._main

        async def main(app, settled):
            kept.append(app.rig)
            await begin(app, settled)

        App._main = main

    clean(play(keep, controller=controller, **STEADY))
    return kept[0]


def test_a_rig_knows_its_controller():
    for name, psram in (("plain", False), ("psram", True), ("s3", True)):
        rig = rig_of(name)
        facts = dict(rig.controller)
        assert facts.pop("i2c_driver") in ("legacy", "i2c_master")
        assert facts == {"mhz": 240, "psram": psram}, facts
        said = rig.words.controller(psram)
        assert said.startswith("With PSRAM" if psram else "Without PSRAM"), said


def test_a_controller_that_collects_slowly_says_so():
    for name, slow in (("plain", False), ("psram", True)):
        rig = rig_of(name)
        assert ("gc_slow" in [alarm["code"] for alarm in rig.alarms()]) == slow
        # The first of `pauses.KINDS`: 0.1 ms a KB, and 147.5 ms for 295 KB in PSRAM.
        worst_ms = rig.pauses.worst_ms(0)
        assert 147 <= worst_ms < 160 if slow else 10 <= worst_ms < 20, worst_ms
