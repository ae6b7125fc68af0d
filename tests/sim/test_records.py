# SPDX-License-Identifier: GPL-3.0-only
"""The SD card and what is written to it, with the whole firmware in virtual time."""

from sim import current, harness, scenario
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image
from support import ROOT, clean

SECTORS = 65536
MB = 1048576


class Run:
    """One run with a card in the slot.

    Attributes:
        report: of the harness; events: the codes of all events, in order.
        pause_ms: longest time without a tick of the guard during which the card was busy.
        left_open: the files whose closing failed.

    Args:
        pulls: numbers of blocks written; after each the card is pulled, and put back 0.2 s later.
        watch: function (app), called each second.

    More attributes:
        waited_ms: the longest time for which a task that `watch` needs got no turn.
        named: the events that name a log, as (code, value).
    """

    def __init__(self, card=None, log=None, time_at_s=None, pulls=(), watch=None, **plan):
        self.card = card or SdCard(Image(SECTORS))
        self.events = []
        self.pause_ms = 0
        self.left_open = []
        self.pulls = list(pulls)
        self._pull_at = self.pulls.pop(0) if pulls else None
        self._back_us = None
        self._began_us = 0
        self._time_at_s = time_at_s
        self._watch = watch
        self.waited_ms = 0
        self.named = []
        settings = plan.setdefault("settings", {})
        settings["serial_messages"] = False
        settings["log"] = {"keep_free_mb": 10}
        settings["log"].update(log or {})
        plan.setdefault("name", "records")
        plan.setdefault("load", [[0, 40]])
        plan = scenario.complete(plan)
        self.report = harness.run(
            ROOT, plan, True, quiet=True, sabotage=self._listen, card=self.card
        )

    def _listen(self):
        from parallelator.app import App
        from parallelator.protection.guard import Guard
        from parallelator.records.card import Opened
        from parallelator.records.events import Events

        tick = Guard.tick
        self.emit = Events.emit
        current.listener = self
        start = App._start
        leave = Opened.__exit__

        def watched_exit(opened, *error):
            opened._file = Closing(self, opened._file)
            return leave(opened, *error)

        def watched_tick(guard):
            now_us = current.world.now_us
            since_us = max(self._began_us, self.card.busy_from_us)
            until_us = min(now_us, self.card.busy_until_us)
            self.pause_ms = max(self.pause_ms, (until_us - since_us) / 1000)
            self._began_us = now_us
            tick(guard)
            if self._pull_at is not None:
                self._pull(now_us)

        def watched_start(app, name, job):
            if name == "log" and self._time_at_s is not None:
                start(app, "browser", lambda: self._browser(app))
            if name == "log" and self._watch:
                start(app, "watch", lambda: self._look(app))
            return start(app, name, job)

        Opened.__exit__ = watched_exit
        Guard.tick = watched_tick
        Events.emit = _heard
        App._start = watched_start

    def _pull(self, now_us):
        card = self.card
        if self._back_us is None:
            if card.written >= self._pull_at:
                card.remove(now_us)
                self._back_us = now_us + 200000
        elif now_us >= self._back_us:
            card.insert()
            self._back_us = None
            self._pull_at = card.written + self.pulls.pop(0) if self.pulls else None

    async def _browser(self, app):
        import asyncio

        await asyncio.sleep_ms(self._time_at_s * 1000)
        app.rig.set_time(1784000000)  # 2026-07-14T03:33:20Z
        await asyncio.sleep_ms(1 << 28)

    async def _look(self, app):
        import asyncio

        while True:
            begin_us = current.world.now_us
            await asyncio.sleep_ms(1000)
            self.waited_ms = max(self.waited_ms, (current.world.now_us - begin_us) // 1000 - 1000)
            self._watch(app)

    def codes(self):
        return [code for _, code in self.events if code.startswith("sd_")]

    def files(self):
        """Name to size of what lies in the log folder."""
        return {entry[0]: entry[3] for entry in self.card.image.volume().ilistdir("/log")}

    def read(self, name):
        with self.card.image.volume().open("/log/" + name, "r") as file:
            return file.read()

    def rows(self, name, comma=","):
        """The rows of a log as lists, without the header and the comments."""
        lines = self.read(name).split("\n")
        assert lines[-1] == "", lines[-1]
        return [line.split(comma) for line in lines[1:-1] if line[0] != "#"]


class Closing:
    """A file on the card that tells when it could not be closed."""

    def __init__(self, run, file):
        self._run = run
        self._file = file
        self.flush = file.flush

    def close(self):
        try:
            self._file.close()
        except OSError:
            self._run.left_open.append(self._file)
            raise


def _heard(events, code, i, state, reason, value):
    # Not a closure, see sim/guard_probe.py.
    current.probe.unlock()
    current.listener.events.append((current.world.now_us // 1000000, code))
    if code.startswith("log_"):
        current.listener.named.append((code, value))
    current.listener.emit(events, code, i, state, reason, value)


def uptimes(rows):
    return sorted({int(row[1]) // 1000 for row in rows})


def complete(seconds, begin_s, end_s):
    """True when there is a sample of every second."""
    return [s for s in seconds if begin_s <= s <= end_s] == list(range(begin_s, end_s + 1))


# The log itself


def test_the_long_log_tells_what_the_plant_did():
    run = Run(duration_s=62)
    clean(run.report)
    assert run.codes() == ["sd_ready"], run.codes()
    assert set(run.files()) == {"boot-0001.csv", "events.csv"}
    head = run.read("boot-0001.csv").split("\n")[0]
    names = "voltage_mv,current_ma,state,discharge_mah,charge_mah,soc_pct"
    assert head == "time,uptime_ms,battery," + names
    rows = run.rows("boot-0001.csv")
    assert complete(uptimes(rows), 2, 49)
    assert len(rows) == 16 * len(uptimes(rows))
    late = [row for row in rows if int(row[1]) >= 40000]
    for at in range(0, len(late), 16):
        sample = late[at : at + 16]
        assert [int(row[2]) for row in sample] == list(range(1, 17))
        assert all(row[5] == "on" and 20000 < int(row[3]) < 30000 for row in sample)
        assert all(row[8] == "" for row in sample)  # no capacity is set
        assert 39500 < sum(int(row[4]) for row in sample) < 40500
    # What the last row counted is what flowed until then, within the 20 s after it.
    for row in rows[-16:]:
        true_mah = run.report["energy"][row[2]]["true_mah"]
        assert true_mah - 25 < int(row[6]) <= true_mah + 1


def test_the_wide_log_has_one_row_a_sample():
    run = Run(duration_s=42, batteries=5, load=[[0, 5]], log={"layout": "wide", "separator": ";"})
    head = run.read("boot-0001.csv").split("\n")[0].split(";")
    rows = run.rows("boot-0001.csv", ";")
    assert complete(uptimes(rows), 2, 29)
    assert len(rows) == len(uptimes(rows)) and all(len(row) == len(head) == 98 for row in rows)
    last = dict(zip(head, rows[-1]))
    assert last["state_5"] == "on" and last["state_6"] == "absent"
    assert 20000 < int(last["voltage_mv_1"]) < 30000 and last["voltage_mv_6"] == ""


def test_each_log_tells_whose_it_is_and_where():
    settings = {
        "name": "stage left",
        "time": {"zone": "CET-1CEST,M3.5.0,M10.5.0/3"},
        "batteries": {"2": {"id": "A-7", "label": "by the bass"}, "3": {"label": "x"}},
    }
    run = Run(duration_s=62, time_at_s=30, batteries=4, settings=settings)
    for name in ("boot-0001.csv", "2026-07-14.csv"):
        lines = run.read(name).split("\n")
        about = [k for k, line in enumerate(lines) if line.startswith("# ")]
        assert about[:3] == [5, 6, 7], about
        zone = "zone CET-1CEST,M3.5.0,M10.5.0/3"
        first = "# times are UTC; %s; boot 1; rig %s; name stage left" % (zone, "246f28000001")
        assert lines[5:8] == [
            first,
            "# battery 2; id A-7; label by the bass",
            "# battery 3; id ; label x",
        ], lines[5:8]
        assert all(line[:2] == "20" or line[0] == "," for line in lines[1:5]), lines[1:5]


def test_only_the_channels_of_known_boards_are_rows():
    run = Run(duration_s=32, batteries=[{"n": 1}, {"n": 2}], load=[], log={"interval_s": 5})
    rows = run.rows("boot-0001.csv")
    assert {row[2] for row in rows} == {"1", "2", "3", "4"}
    assert {row[3] for row in rows if row[2] == "3"} == {""}
    seconds = uptimes(rows)
    assert len(seconds) > 2 and all(b - a == 5 for a, b in zip(seconds, seconds[1:])), seconds


def test_the_log_of_a_day_begins_when_the_time_is_known():
    run = Run(duration_s=62, time_at_s=20)
    assert set(run.files()) == {"boot-0001.csv", "2026-07-14.csv", "events.csv"}
    link = run.read("boot-0001.csv").split("\n")[-2]
    assert link.startswith("# 2026-07-14T03:33:2") and link.endswith("goes on in 2026-07-14.csv")
    before = run.rows("boot-0001.csv")
    after = run.rows("2026-07-14.csv")
    assert all(row[0] == "" for row in before)
    assert all(row[0].startswith("2026-07-14T03:3") for row in after)
    assert complete(sorted(set(uptimes(before) + uptimes(after))), 2, 45)
    events = [line.split(",")[3] for line in run.read("events.csv").split("\n")[1:-1]]
    assert "boot" in events and "group_start" in events and "time_set" in events


def test_the_life_of_a_battery_with_an_id_is_on_the_card_after_a_restart():
    def end(app):
        rig = app.rig
        if rig.boot == 1 and rig.snap.uptime_s >= 60:
            rig.restart()
            rig.boot = 0  # once

    batteries = {"1": {"id": "A-7"}, "2": {"id": "B_8"}}
    run = Run(
        duration_s=75,
        time_at_s=5,
        batteries=[{"n": n, "soc": 0.8} for n in (1, 2, 3)],
        load=[[0, 9]],
        watch=end,
        settings={"pack": {"capacity_mah": 20000}, "batteries": batteries},
    )
    clean(run.report)
    volume = run.card.image.volume()
    assert sorted(entry[0] for entry in volume.ilistdir("/packs")) == ["A-7.csv", "B_8.csv"]
    for name, n in (("A-7", "1"), ("B_8", "2")):
        with volume.open("/packs/%s.csv" % name, "r") as file:
            names, line = (text.strip().split(",") for text in file.read().split("\n")[:-1])
        found = dict(zip(names, line))
        assert (found["night"], found["battery"], found["trips"]) == ("2026-07-13", n, "0")
        # From the first seconds of energy on to the restart, 3 A for some 55 s.
        assert 43 <= int(found["out_mah"]) <= 48 and found["in_mah"] == "0", found
        assert abs(float(found["out_wh"]) - int(found["out_mah"]) * 0.0277) < 0.15, found
        assert found["label_mah"] == "20000" and int(found["low_pct"]) > 30, found
    codes = [code for _, code in run.events]
    assert "restart" in codes and "pack_known" not in codes and "pack_swapped" not in codes


def test_an_older_log_is_never_written_over():
    card = SdCard(Image(SECTORS))
    Run(card, duration_s=32, log={"layout": "wide"}, time_at_s=5)
    first = Run(card, duration_s=32, time_at_s=5)
    kept = {name: first.read(name) for name in first.files()}
    again = Run(card, duration_s=32, time_at_s=5)
    assert set(again.files()) == {
        "boot-0001.csv",
        "boot-0001-2.csv",
        "boot-0001-3.csv",
        "2026-07-14.csv",
        "2026-07-14-2.csv",
        "events.csv",
    }
    for name in kept:
        assert again.read(name).startswith(kept[name]), name
    assert len(again.read("2026-07-14-2.csv")) > len(kept["2026-07-14-2.csv"])
    assert again.read("2026-07-14-2.csv").count("battery") == 1


def test_bytes_on_the_card_per_byte_of_log():
    image = Image(32 * 1024 * MB // 512)
    volume = image.volume()
    volume.mkdir("/log")
    volume.mkdir("/counters")
    run = Run(SdCard(image), duration_s=600, time_at_s=5)
    ratio = run.report["sd"]["bytes"] / sum(run.files().values())
    assert ratio < 1.3, ratio


# A card that makes trouble


def test_stalls_do_not_delay_the_protection_and_lose_no_row():
    crossings = [
        {
            "at": 20.0 + 3.37 * k,
            "do": "inject_current",
            "n": 1 + k % 16,
            "ma": 24000 * (k % 2 or -1),
        }
        for k in range(24)
    ]
    ends = [dict(step, at=step["at"] + 1.5, ma=0) for step in crossings]
    stalls = [{"at": 1, "do": "sd_stall", "ms": 250, "every": 26}]
    stalls.append({"at": 60, "do": "sd_stall", "ms": 500})
    run = Run(duration_s=122, steps=crossings + ends + stalls)
    clean(run.report)
    assert 0 < run.pause_ms < 40, run.pause_ms
    assert run.report["sd"]["worst_ms"] == 500
    reactions = run.report["reactions"]
    assert len(reactions) >= 20, len(reactions)
    worst_ms = max(opened - crossed for crossed, opened, _, _ in reactions)
    assert worst_ms < 40, worst_ms
    assert run.codes() == ["sd_ready"], run.codes()
    seconds = uptimes(run.rows("boot-0001.csv"))
    assert complete(seconds, 2, 105), seconds


def test_a_card_that_is_pulled_comes_back_by_itself():
    steps = []
    for at in (20, 60.5, 100.002):
        steps.append({"at": at, "do": "sd_remove"})
        steps.append({"at": at + 7, "do": "sd_insert"})
    run = Run(duration_s=150, steps=steps)
    clean(run.report)
    assert 0 < run.pause_ms < 40, run.pause_ms
    assert run.codes()[0] == "sd_ready" and run.codes().count("sd_ready") == 4, run.codes()
    assert run.codes().count("sd_unreadable") == 3, run.codes()
    assert [code for _, code in run.events if code == "task_died"] == []
    assert set(run.files()) == {"boot-0001.csv", "events.csv"}
    seconds = uptimes(run.rows("boot-0001.csv"))
    for begin, end in ((2, 9), (33, 49), (74, 89), (113, 135)):
        assert complete(seconds, begin, end), (begin, seconds)


def test_a_hundred_pulls_leave_a_volume_in_order():
    steps = []
    for k in range(100):
        at = 10 + 4 * k + k * 0.0371
        steps.append({"at": at, "do": "sd_remove"})
        steps.append({"at": at + 0.2, "do": "sd_insert"})
    run = Run(duration_s=450, steps=steps, batteries=8, load=[[0, 20]])
    clean(run.report)
    assert 0 < run.pause_ms < 40, run.pause_ms
    assert [code for _, code in run.events if code == "task_died"] == []
    assert uptimes(run.rows("boot-0001.csv"))[-1] > 430


def test_a_card_pulled_after_any_write_leaves_no_file_open():
    run = Run(duration_s=250, batteries=4, load=[[0, 10]], pulls=(19, 20) * 3)
    clean(run.report)
    assert run.pulls == [] and run.codes()[-1] == "sd_ready", (run.pulls, run.codes())
    assert run.left_open == []
    assert [code for _, code in run.events if code == "task_died"] == []


def test_a_slot_without_a_card_is_told_once():
    card = SdCard(Image(SECTORS))
    card.present = False
    run = Run(card, duration_s=40)
    clean(run.report)
    assert run.codes() == ["sd_absent"], run.codes()
    assert run.report["ticks"]["late"] <= 4, run.report["ticks"]


def test_a_card_of_another_format_is_left_alone():
    image = Image(SECTORS)
    image.write(5, b"something precious" + bytes(494))
    run = Run(SdCard(image), duration_s=20)
    assert run.codes() == ["sd_foreign"]
    assert run.card.written == 0


def test_a_power_cut_loses_no_flushed_row():
    for cut_s in (25.003, 31.51, 44.9):
        steps = [
            {"at": cut_s, "do": "sd_cut"},
            {"at": cut_s + 3, "do": "power_cycle"},
        ]
        run = Run(duration_s=75, steps=steps)
        assert run.report["resets"] == 1 and run.codes().count("sd_ready") == 2
        assert run.report["violations"] == []
        before = uptimes(run.rows("boot-0001.csv"))
        assert complete(before, 2, int(cut_s) - 13) and before[-1] <= cut_s
        assert len(uptimes(run.rows("boot-0002.csv"))) > 10


# Settings on the card


def config_on_card(text):
    image = Image(SECTORS)
    with image.volume().open("/config.json", "w") as file:
        file.write(text)
    return SdCard(image)


def test_settings_on_the_card_come_first():
    run = Run(config_on_card('{"log": {"interval_s": 4}}'), duration_s=40)
    seconds = uptimes(run.rows("boot-0001.csv"))
    assert all(b - a == 4 for a, b in zip(seconds, seconds[1:])) and len(seconds) > 3, seconds


def test_wrong_settings_on_the_card_change_nothing():
    run = Run(config_on_card('{"limits": {"max_trips": -1}}'), duration_s=40)
    assert (0, "config_fault") in run.events, run.events[:5]
    assert sum(1 for _, code in run.events if code == "joined") == 16


def test_events_are_on_the_card_within_ten_seconds_at_any_interval():
    run = Run(duration_s=40, batteries=4, load=[], log={"interval_s": 3600})
    assert run.read("events.csv").count(",joined,") == 4
    assert run.read("boot-0001.csv").count("\n") == 1
