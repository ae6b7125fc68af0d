# SPDX-License-Identifier: GPL-3.0-only
"""Starts that fail, safe mode, causes of resets, maintenance: the whole firmware, virtual time."""

from sim import current
from sim.guard_probe import GuardProbe
from support import clean, moves, play, state_at

FOUR = [{"n": n} for n in (1, 2, 3, 4)]
NARROW = {"limits": {"max_voltage_mv": 26000}}
"""Limits of the rig under which no full pack may join; those of the factory let it."""


class Boots:
    """Counts the boots of a run, breaks some of them, and notes events, alarms and limits.

    Args:
        broken: how many of the first boots fail.
        how: function that breaks the classes of one boot.
    """

    def __init__(self, broken=0, how=None):
        self.count = 0
        self.causes = []
        self.texts = []
        self.app = None
        self._broken = broken
        self._how = how

    def __call__(self):
        from parallelator.app import App

        self.count += 1
        self.causes.append(None)
        self.texts.append("")
        begin = App._main
        settle = App._settle

        async def main(app, settled):
            self.app = app
            await begin(app, settled)

        async def settling(app, settled):
            for event in events(app):
                if event[2].startswith("reset_"):
                    self.causes[-1] = event[2]
                    self.texts[-1] = app.rig.event_text(event)
            await settle(app, settled)

        App._main = main
        App._settle = settling
        if self.count <= self._broken:
            self._how()


def events(app):
    """Every event in memory."""
    found = []
    number = 0
    while True:
        event = app.events.after(number)
        if event is None:
            return found
        found.append(event)
        number = event[0] + 1


def fail_to_build():
    from parallelator.app import App

    def broken(app, *_):
        raise ValueError("this rig cannot be built")

    App.__init__ = broken


def fail_in_first_tick():
    def broken(watch, guard):
        raise ValueError("tick")

    GuardProbe.tick = broken


def test_three_failed_starts_lead_to_safe_mode_and_a_good_one_out_of_it():
    boots = Boots(3, fail_to_build)
    steps = [{"at": 30, "do": "controller_reset"}]
    report = play(boots, batteries=FOUR, duration_s=60, settings=NARROW, steps=steps)
    assert report["alloc_violations"] == []
    assert boots.count == 5
    assert boots.causes == [None, None, None, "reset_crash", "reset_hard"]
    assert boots.texts[3].startswith("Restarted because the program failed: ")
    assert "in broken; ValueError: this rig cannot be built" in boots.texts[3]
    # In safe mode the limits are those of the factory: the packs at 29 V join.
    assert state_at(report, 1, 25)[0] == "on"
    assert moves(report, 1)[0][0] > 5
    # Safe mode has scanned: the next start is a normal one.
    assert boots.app.safe is None
    assert boots.app.settings["limits.max_voltage_mv"] == 26000
    assert state_at(report, 1, 55)[0] != "on"


def test_a_guard_that_dies_in_its_first_tick_leads_to_safe_mode_too():
    tick = GuardProbe.tick

    def dies():
        boots.count < 4 and fail_in_first_tick()

    boots = Boots(99, lambda: dies() if boots.count < 4 else setattr(GuardProbe, "tick", tick))
    try:
        report = play(boots, batteries=FOUR, duration_s=30)
    finally:
        GuardProbe.tick = tick
    clean(report)
    assert boots.count == 4
    assert boots.app.safe == "safe_crash"
    assert "safe_crash" in [event[2] for event in events(boots.app)]
    alarms = {alarm["code"]: alarm["text"] for alarm in boots.app.rig.alarms()}
    assert "failed three times" in alarms["safe_crash"]
    assert boots.app.card.state == "sd_absent" and "log" not in boots.app.rig.tasks


def test_protection_is_not_called_late_before_anything_is_connected():
    boots = Boots()
    play(boots, batteries=FOUR, duration_s=4)
    codes = [event[2] for event in events(boots.app)]
    assert "boot" in codes and "deadline_missed" not in codes, codes


def test_two_failed_starts_are_forgotten():
    for broken, safe in ((2, None), (3, "safe_crash")):
        boots = Boots(broken, fail_to_build)
        play(boots, batteries=FOUR, duration_s=10)
        assert boots.app.safe == safe
        assert current.world.nvs["parallelator"]["starts"] == 0
        assert not current.world.timers, "the ten minutes at the prompt must not run on"


def test_safe_mode_that_fails_itself_tries_again_and_again_with_every_switch_open():
    boots = Boots(1000000, fail_to_build)
    report = play(boots, batteries=FOUR, duration_s=20)
    assert 5 < boots.count < 12
    assert moves(report, 1) == []
    assert current.world.nvs["parallelator"]["starts"] == 6


def test_boot_held_at_the_start_is_safe_mode():
    boots = Boots(2, lambda: setattr(current.world, "button", boots.count == 2))
    steps = [{"at": 10, "do": "power_cycle"}]
    report = play(boots, batteries=FOUR, duration_s=30, settings=NARROW, steps=steps)
    assert report["alloc_violations"] == []
    assert boots.app.safe == "safe_button"
    assert boots.causes == ["reset_power", "reset_power"]
    assert state_at(report, 1, 8)[0] != "on"
    assert state_at(report, 1, 29)[0] == "on"
    assert "BOOT" in next(boots.app.rig.alarms())["text"]


def test_safe_mode_keeps_what_says_how_the_rig_is_built_and_reached():
    boots = Boots(3, fail_to_build)
    settings = {
        "sensor": {"shunt_uohm": 1000},
        "i2c_khz": 400,
        "batteries": {"2": {"mode": "off"}},
        "language": "fr",
        "limits": {"max_trips": 3},
    }
    play(boots, batteries=FOUR, duration_s=5, settings=settings)
    found = boots.app.settings
    assert found["sensor.shunt_uohm"] == 1000
    assert found["batteries.2.mode"] == "off"
    assert found["web.port"] != 80
    assert found["i2c_khz"] == 100
    assert found["limits.max_trips"] == 5
    assert "trois fois" in next(boots.app.rig.alarms())["text"]


def test_safe_mode_begins_with_the_last_good_settings_and_reads_no_card():
    opened = []

    def hear():
        from parallelator import config

        read = config.read

        def heard(path):
            opened.append((boots.count, path))
            return read(path)

        config.read = heard
        boots.count < 4 and fail_to_build()

    boots = Boots(99, hear)
    good = b'{"name": "good", "sensor": {"shunt_uohm": 1000}, "limits": {"max_trips": 3}}'
    play(boots, batteries=FOUR, duration_s=5, files={"config.good.json": good})
    assert boots.app.safe == "safe_crash" and opened == [(4, "config.good.json")], opened
    keys = ("name", "sensor.shunt_uohm", "limits.max_trips")
    assert [boots.app.settings[key] for key in keys] == ["good", 1000, 5]
    assert "counters" not in boots.app.rig.tasks and "history" not in boots.app.rig.tasks


def test_safe_mode_that_failed_three_times_as_well_reads_nothing():
    boots = Boots(6, fail_to_build)
    settings = {"sensor": {"shunt_uohm": 1000}, "web": {"port": 20080}}
    report = play(boots, batteries=FOUR, duration_s=30, settings=settings)
    assert boots.count == 7 and boots.app.safe == "safe_crash"
    assert boots.app.settings["sensor.shunt_uohm"] == 2000
    assert state_at(report, 1, 29)[0] == "on"


def test_counters_that_were_not_read_are_not_written():
    boots = Boots(3, fail_to_build)
    counters = b"kept as it is, whatever safe mode counts"
    hook = boots.__call__

    def keeping():
        if boots.count == 0:
            current.world.nvs["parallelator"] = {"counters": counters}
        hook()
        from parallelator.app import App

        settle = App._settle

        async def settling(app, settled):
            await settle(app, settled)
            boots.count == 4 and app.rig.restart()

        App._settle = settling

    play(keeping, batteries=FOUR, duration_s=10)
    assert "reset_asked" in boots.causes, boots.causes
    assert current.world.nvs["parallelator"]["counters"] == counters


def test_a_start_that_hangs_before_there_is_protection_is_tried_again_by_the_watchdog():
    def hang():
        from parallelator.app import App

        build = App.__init__

        def hanging(app, *rest):
            current.world.spend(200000000)
            build(app, *rest)

        App.__init__ = hanging

    boots = Boots(1, hang)
    report = play(boots, batteries=FOUR, duration_s=90)
    assert boots.causes == [None, "reset_watchdog"], boots.causes
    closed = [at for at, closed in moves(report, 1) if closed]
    # 15 s until the first scan, and 5 s of valid readings before a start.
    assert 20 < closed[0] < 25, closed


def test_a_hang_is_told_as_the_watchdogs_reset():
    def hang():
        from parallelator.protection.guard import Guard

        tick = Guard.tick

        def hanging(guard):
            tick(guard)
            if guard._snap.uptime_s >= 8:
                current.world.spend(20000000)

        Guard.tick = hanging

    boots = Boots(1, hang)
    report = play(boots, batteries=FOUR, duration_s=30)
    assert boots.causes == ["reset_power", "reset_watchdog"]
    assert len(moves(report, 1)) == 3


def hangs_for(ms):
    """What breaks the guard of the first boot: one tick takes so long, 8 s after power-on."""

    def hang():
        from parallelator.protection.guard import Guard

        tick = Guard.tick

        def hanging(guard):
            tick(guard)
            if guard._ticks == 400:
                current.world.spend(1000 * ms)

        Guard.tick = hanging

    return hang


def test_a_hang_of_5_s_is_one_and_a_shorter_one_is_borne():
    for ms, causes in ((4900, ["reset_power"]), (5050, ["reset_power", "reset_watchdog"])):
        boots = Boots(1, hangs_for(ms))
        report = play(boots, batteries=FOUR, duration_s=20)
        assert boots.causes == causes and report["resets"] == len(causes) - 1, ms


def test_a_guard_that_dies_later_opens_every_switch_and_tells_why():
    def die():
        from parallelator.protection.guard import Guard

        tick = Guard.tick

        def dying(guard):
            tick(guard)
            if guard._snap.uptime_s >= 8:
                raise ZeroDivisionError

        Guard.tick = dying

    boots = Boots(1, die)
    report = play(boots, batteries=FOUR, duration_s=30)
    assert boots.causes == ["reset_power", "reset_crash"]
    assert "ZeroDivisionError" in boots.texts[1]
    opened = [at for at, closed in moves(report, 1) if not closed]
    assert len(opened) == 1 and 8 <= opened[0] < 8.5
    assert state_at(report, 1, 29)[0] == "on"
    assert boots.app.safe is None


def test_a_restart_from_the_page_is_told():
    def ask():
        boots.count == 1 and boots.app.rig.restart()

    boots = Boots()
    begin = boots.__call__

    def hook():
        begin()
        from parallelator.app import App

        settle = App._settle

        async def settling(app, settled):
            await settle(app, settled)
            ask()

        App._settle = settling

    report = play(hook, batteries=FOUR, duration_s=15)
    assert boots.causes == ["reset_power", "reset_asked"]
    assert state_at(report, 1, 14)[0] == "on"


def test_ctrl_c_leads_into_maintenance_and_ten_minutes_back():
    boots = Boots()
    steps = [{"at": 20, "do": "console_break"}, {"at": 300, "do": "console_break"}]
    report = play(boots, batteries=FOUR, duration_s=660, steps=steps)
    opened = [at for at, closed in moves(report, 1) if not closed]
    assert len(opened) == 1 and 20 <= opened[0] < 20.1
    closed = [at for at, closed in moves(report, 1) if closed]
    assert len(closed) == 2 and 620 < closed[1] < 630
    assert boots.causes == ["reset_power", None, "reset_serviced"]
    assert report["resets"] == 2
    clean(report)


def test_starts_that_ctrl_c_interrupts_are_not_vain():
    boots = Boots()
    steps = []
    for at in range(1, 13, 3):
        steps.append({"at": at, "do": "console_break"})
        steps.append({"at": at + 2, "do": "controller_reset"})
    report = play(boots, batteries=FOUR, duration_s=25, steps=steps)
    assert report["resets"] == 8
    assert boots.app.safe is None


def test_a_plain_reset_ends_maintenance():
    boots = Boots()
    steps = [{"at": 20, "do": "console_break"}, {"at": 60, "do": "controller_reset"}]
    report = play(boots, batteries=FOUR, duration_s=90, steps=steps)
    assert boots.causes == ["reset_power", None, "reset_serviced"]
    closed = [at for at, closed in moves(report, 1) if closed]
    assert len(closed) == 2 and 60 < closed[1] < 70


def test_ctrl_c_at_any_moment_of_the_start_opens_every_switch():
    # From the first I2C action of boot.py to the first packs that join.
    for at_ms in range(0, 6000, 500):
        boots = Boots()
        steps = [{"at": at_ms / 1000, "do": "console_break"}]
        report = play(boots, batteries=FOUR, duration_s=12, steps=steps)
        closed = [at for at, closed in moves(report, 1, at_ms / 1000 + 0.1) if closed]
        assert closed == [], at_ms
        assert report["open_at_end"]


def test_nothing_worn_keeps_the_rig_off():
    from errno import EIO

    def worn(store):
        raise OSError(EIO)

    def wear():
        import esp32

        esp32.NVS.commit = worn

    boots = Boots(99, wear)
    report = play(boots, batteries=FOUR, duration_s=15)
    assert boots.count == 1
    assert state_at(report, 1, 14)[0] == "on"


def test_boot_held_while_the_rig_runs_opens_the_set_up_and_nothing_else():
    def hold():
        import asyncio  # the one of this boot

        from parallelator.app import App

        begin = App._main

        async def press():
            for seconds in (9, 13):
                await asyncio.sleep(8)
                current.world.button = True
                await asyncio.sleep(seconds)
                current.world.button = False

        async def main(app, settled):
            pressing = asyncio.create_task(press())
            await begin(app, settled)
            pressing.cancel()

        App._main = main

    boots = Boots(1, hold)
    report = play(boots, batteries=FOUR, duration_s=45, load=[[0, 10]])
    clean(report)
    told = [event for event in events(boots.app) if event[2] == "setup_opened"]
    assert len(told) == 1 and 34 <= told[0][1] <= 38, told
    assert report["resets"] == 0
    for n in (1, 2, 3, 4):
        assert state_at(report, n, 44) == ("on", "")


def test_setting_the_clock_rewrites_no_event_and_says_from_and_to():
    def set_twice():
        import asyncio  # the one of this boot

        from parallelator.app import App

        begin = App._main

        async def set_clock(app):
            for seconds, unix_s in ((10, 1784000000), (5, 1784003605)):
                await asyncio.sleep(seconds)
                app.rig.set_time(unix_s)

        async def main(app, settled):
            setting = asyncio.create_task(set_clock(app))
            await begin(app, settled)
            setting.cancel()

        App._main = main

    boots = Boots(1, set_twice)
    clean(play(boots, batteries=FOUR, duration_s=25))
    found = events(boots.app)
    first, second = [event for event in found if event[2] == "time_set"]
    assert boots.app.rig.event_text(first) == "Clock set: 2026-07-14T03:33:20Z"
    told = boots.app.rig.event_text(second)
    assert told == "Clock set: 2026-07-14T03:33:25Z -> 2026-07-14T04:33:25Z", told
    before = [event for event in found if event[0] < first[0]]
    assert len(before) > 5 and all(event[8] is None for event in before), "not known then"
