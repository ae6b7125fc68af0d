# SPDX-License-Identifier: GPL-3.0-only
"""A new version on trial: the whole firmware, virtual time, two versions on a LittleFS image.

Version 0.1.0 in app-a asks for the switch as the page does; what the one in app-b does differs.
"""

import os

from bundles import MANIFEST
from sim import current, harness, scenario
from sim.flash import BLOCK, Flash
from support import ROOT, moves, state_at
from test_starts import events
from test_update_cuts import put

PACKAGE = """
import sys
VERSION = "%s"
BOOT = 1
sys.path += [%r, %r]
__path__ = %r
"""
"""The source of a version that is the repository's, but for its number."""

SWITCH_S = 20
PLAN = {
    "batteries": [{"n": n} for n in (1, 2, 3, 4)],
    "settings": {"limits": {"max_trips": 1}, "name": "kept"},
    "load": [[0, 12]],
    "steps": [
        {"at": 10, "do": "inject_current", "n": 3, "ma": 25000},
        {"at": 10.4, "do": "inject_current", "n": 3, "ma": 0},
    ],
}
"""The third battery trips once, and that locks it."""


def package(version):
    lib = ROOT + "/lib"
    return PACKAGE % (version, lib, ROOT + "/build/mpy-lib", lib + "/parallelator")


DARK = "went dark though healthy packs were on"


class Trial:
    """Plays a rig that switches from 0.1.0 to a version 0.2.0; notes the versions that started.

    Args:
        source: of the package of 0.2.0; None = the repository's.
        harm: function (App, Guard) that breaks the classes of 0.2.0.
        duration_s: of the run; steps: of the scenario, beside those of PLAN.

    Attributes:
        started, settled: versions, in order; app: the one that ran last; pointer: at the end.
        report: of the run; before_mah: counted for battery 1 when the switch was asked for.
    """

    def __init__(self, source=None, harm=None, duration_s=45, steps=()):
        self.started = []
        self.settled = []
        self.app = None
        self._harm = harm
        self._asked = False
        image = "%s/build/sim/trial-%s.img" % (ROOT, os.urandom(4).hex())
        self._install(image, source or package("0.2.0"))
        plan = dict(PLAN)
        plan.update(name="trial", duration_s=duration_s)
        plan["settings"]["serial_messages"] = False
        plan["steps"] = plan["steps"] + list(steps)
        try:
            self.report = harness.run(
                ROOT, scenario.complete(plan), True, quiet=True, sabotage=self._watch, image=image
            )
            self.pointer = self._pointer(image)
        finally:
            os.remove(image)

    def _install(self, image, source):
        for folder in ("/build", "/build/sim"):
            try:
                os.mkdir(ROOT + folder)
            except OSError:
                continue
        with open(image, "wb") as file:
            for _ in range(64):
                file.write(b"\xff" * BLOCK)
        with open(image, "r+b") as file:
            os.VfsLfs2.mkfs(Flash(file))

        def install():
            put("app-a", {"parallelator/__init__.py": package("0.1.0"), MANIFEST: "{}"})
            put("app-b", {"parallelator/__init__.py": source, MANIFEST: "{}"})
            for name in ("boot.py", "main.py", "config.json"):
                with open(ROOT + "/" + name, "rb") as file, open(name, "wb") as out:
                    out.write(file.read())
            with open("app", "w") as file:
                file.write("app-a")

        self._mounted(image, install)

    def _mounted(self, image, work):
        home = os.getcwd()
        with open(image, "r+b") as file:
            os.mount(os.VfsLfs2(Flash(file)), "/trial")
            os.chdir("/trial")
            try:
                return work()
            finally:
                os.chdir(home)
                os.umount("/trial")

    def _pointer(self, image):
        def read():
            with open("app") as file:
                return file.read()

        return self._mounted(image, read)

    def _watch(self):
        from parallelator import VERSION
        from parallelator.app import App
        from parallelator.protection.guard import Guard

        main, settle = App._main, App._settle

        async def begins(app, settled):
            self.app = app
            self.started.append(VERSION)
            await main(app, settled)

        async def settles(app, settled):
            await settle(app, settled)
            self.settled.append(VERSION)
            if VERSION == "0.1.0" and not self._asked:
                await self._ask(app)

        App._main, App._settle = begins, settles
        if VERSION == "0.2.0" and self._harm:
            self._harm(App, Guard)

    async def _ask(self, app):
        import asyncio

        while app.snap.uptime_s < SWITCH_S:
            await asyncio.sleep_ms(100)
        self._asked = True
        self.before_mah = app.snap.discharge_mah[0]
        assert app.rig.slot == "app-a"
        assert app.rig.switch("app-b")
        app.rig.restart("update")

    def codes(self):
        """Of the events since the last start."""
        return [event[2] for event in events(self.app)]

    def text(self, code):
        """Of the first event with this code."""
        found = [event for event in events(self.app) if event[2] == code]
        return self.app.rig.event_text(found[0])

    def kept(self, hung=False):
        """Everything that must outlive the switch, and that nothing was closed in between."""
        # A version that hangs, or is ended while it carries load, has no reason for that.
        allowed = set()
        if hung:
            allowed = {"kept off without a cause", "opened without a cause", DARK}
        assert {text for _, _, text in self.report["violations"]} <= allowed, self.report
        assert self.report["open_at_end"]
        assert state_at(self.report, 3, SWITCH_S - 1) == ("locked", "overcurrent")
        assert list(self.app.snap.trips)[:4] == [0, 0, 1, 0]
        assert state_at(self.report, 3, 1000)[0] == "locked"
        assert state_at(self.report, 1, 1000)[0] == "on"
        assert self.app.settings["name"] == "kept"
        assert self.app.settings["limits.max_trips"] == 1
        assert self.app.snap.discharge_mah[0] >= self.before_mah > 10
        opened = [at for at, closed in moves(self.report, 1) if not closed]
        assert len(opened) >= 1 and SWITCH_S < opened[0] < SWITCH_S + 1.5
        closed = [at for at, closed in moves(self.report, 1) if closed]
        assert closed[1] > opened[0] + 2, "closed again by a version that has scanned"
        return self


def test_a_good_version_stays():
    trial = Trial().kept()
    assert trial.started == ["0.1.0", "0.2.0"]
    assert trial.pointer == "app-b"
    assert "reset_update" in trial.codes()
    assert trial.text("updated") == "Update finished: version 0.2.0 is in use"
    assert trial.app.rig.slot == "app-b"
    assert not current.world.timers


def returned(trial, code, *parts):
    """It runs the version before, for good, and says why."""
    trial.kept(code == "update_hung")
    assert trial.settled[-1] == "0.1.0" and trial.started[-1] == "0.1.0"
    assert "0.2.0" not in trial.settled
    assert trial.pointer == "app-a"
    assert trial.app.safe is None
    text = trial.text(code)
    for part in parts:
        assert part in text, text
    return trial


def test_one_that_crashes_at_import_returns():
    trial = Trial(source="raise ValueError('not for import')\n")
    returned(trial, "update_failed", "ValueError: not for import")


def test_one_that_is_no_python_returns():
    returned(Trial(source="def f(:\n"), "update_failed", "SyntaxError")


def test_one_that_crashes_at_boot_returns():
    def harm(App, Guard):
        def broken(app, *_):
            raise MemoryError("no room for it")

        App.__init__ = broken

    trial = returned(Trial(harm=harm), "update_failed", "MemoryError: no room for it")
    assert trial.started == ["0.1.0", "0.1.0"]


def test_one_that_crashes_at_its_first_tick_returns():
    def harm(App, Guard):
        def broken(guard):
            raise ZeroDivisionError

        Guard.tick = broken

    trial = returned(Trial(harm=harm), "update_failed", "ZeroDivisionError")
    assert trial.started == ["0.1.0", "0.2.0", "0.1.0"]


def test_one_that_hangs_at_boot_returns_by_the_watchdog():
    def harm(App, Guard):
        def hanging(app, *_):
            while True:
                current.world.spend(10000)

        App.__init__ = hanging

    trial = returned(Trial(harm=harm, duration_s=95), "update_hung")
    assert 35 < moves(trial.report, 1, 30)[0][0] < 50


def test_one_whose_tick_hangs_returns():
    def harm(App, Guard):
        def hanging(guard):
            while True:
                current.world.spend(10000)

        Guard.tick = hanging

    returned(Trial(harm=harm), "update_hung")


def test_one_that_ticks_but_does_not_get_to_work_returns_after_a_minute():
    def harm(App, Guard):
        async def never(app, settled):
            import asyncio

            while True:
                await asyncio.sleep_ms(1000)

        App._settle = never

    trial = Trial(harm=harm, duration_s=95)
    returned(trial, "update_hung")
    last = [at for at, closed in moves(trial.report, 1) if closed][-1]
    assert 80 < last < 95


def test_a_power_cut_during_the_trial_is_not_the_versions_fault():
    steps = [{"at": SWITCH_S + 2.2, "do": "power_cycle"}]
    trial = Trial(steps=steps)
    assert trial.started == ["0.1.0", "0.2.0", "0.2.0"]
    assert trial.pointer == "app-b" and "updated" in trial.codes()


def test_one_during_which_the_power_goes_again_and_again_returns():
    steps = [{"at": SWITCH_S + 2.2 + 1.7 * k, "do": "power_cycle"} for k in range(3)]
    trial = Trial(steps=steps)
    assert trial.started == ["0.1.0"] + 3 * ["0.2.0"] + ["0.1.0"], trial.started
    assert trial.pointer == "app-a" and "update_cut" in trial.codes()
    assert trial.app.safe is None


def test_the_cable_does_not_end_a_trial():
    steps = [
        {"at": SWITCH_S + 2.2, "do": "console_break"},
        {"at": SWITCH_S + 5, "do": "controller_reset"},
    ]
    trial = Trial(steps=steps)
    assert trial.started[-1] == "0.2.0" and trial.pointer == "app-b"
    assert "updated" in trial.codes()
