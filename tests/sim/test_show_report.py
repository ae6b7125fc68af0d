# SPDX-License-Identifier: GPL-3.0-only
"""The report of a show on the whole firmware: true to the plant, over a reset and a power cut."""

import json
import os

from sim import current
from soak import lateness
from support import clean, play

PACKS = [{"n": n, "soc": 0.8, "capacity_ah": 20} for n in range(1, 5)]
SETTINGS = {"pack": {"capacity_mah": 20000}}
CARD = {"at": 0, "do": "sd_insert"}
BEGIN_S = 40
EVENING = 1784059200  # 2026-07-14 20:00 UTC


class Crew:
    """A sabotage that breaks nothing: begins a show of so many minutes, keeps what is told.

    Attributes:
        events: the codes of each boot; true: what the plant gave since the show began, Ah, Wh,
            highest current of each battery in A.
    """

    def __init__(self, minutes, clock=True, hand_at_s=None):
        self._minutes, self._clock, self._hand_at_s = minutes, clock, hand_at_s
        self._begun = False
        self._seen_ah = [0.0] * 4
        self.events = []
        self.ah, self.wh, self.most_a = [0.0] * 4, [0.0] * 4, [0.0] * 4

    def __call__(self):
        from parallelator.energy.meter import Meter

        told = []
        self.events.append(told)
        honest, turn = current.probe.emit, Meter.turn

        def emit(events, code, i, state, reason, value):
            told.append(code)
            honest(events, code, i, state, reason, value)

        def watched(meter):
            if current.world.now_us > BEGIN_S * 1e6:
                self._follow(current.probe.rig)
            return turn(meter)

        current.probe.emit = emit
        Meter.turn = watched

    def _follow(self, rig):
        from parallelator.show import mode

        if self._clock and rig.clock.unix() is None:
            rig.set_time(EVENING + current.world.now_us // 1000000 - BEGIN_S)
        plant = current.world.plant
        for i in range(4):
            gone_ah = plant.out_ah[i] - plant.in_ah[i]
            if rig.show_s():
                assert rig.spares_flash()
                self.ah[i] += gone_ah - self._seen_ah[i]
                self.wh[i] += (gone_ah - self._seen_ah[i]) * plant.voltage_v[i]
                self.most_a[i] = max(self.most_a[i], plant.sensed_a[i])
            self._seen_ah[i] = gone_ah
        if not self._begun:
            self._begun = True
            assert mode.begin(rig, self._minutes) is None
        if self._hand_at_s and current.world.now_us > self._hand_at_s * 1e6:
            self._hand_at_s = None
            mode.finish(rig)


def played(crew, **plan):
    plan.setdefault("load", [[0, 12]])
    plan.setdefault("steps", []).append(CARD)
    report = play(crew, batteries=PACKS, settings=SETTINGS, **plan)
    clean(report)
    return report


def files():
    """The reports on the card, by the number of their file, and whether one is not yet made."""
    os.mount(current.world.card.image.volume(), "/sd")
    try:
        names = os.listdir("/sd/shows")
        found = {}
        for name in names:
            if name.endswith(".json"):
                with open("/sd/shows/" + name) as file:
                    found[int(name[0])] = json.load(file)
                assert os.stat("/sd/shows/" + name)[6] < 6000
    finally:
        os.umount("/sd")
    return found, "now.bin" in names


def agrees(told, crew, lost_s=0):
    """Charge and energy of a report are those of the plant, but for so many seconds of charge."""
    for row in told["batteries"]:
        i = row["n"] - 1
        assert abs(row["out_mah"] / 1000 - crew.ah[i]) < 0.004 + lost_s / 1200, (row, crew.ah)
        assert abs(row["out_wh"] - crew.wh[i]) < 0.3, (row, crew.wh)


def test_a_show_with_a_trip_is_told_as_it_was():
    crew = Crew(3)
    spike = [
        {"at": 100, "do": "inject_current", "n": 2, "ma": 24000},
        {"at": 100.5, "do": "inject_current", "n": 2, "ma": 0},
    ]
    load = [[0, 12], [130, 34], [140, 12]]
    explainer, _ = lateness.explain(lambda: played(crew, duration_s=240, load=load, steps=spike))
    assert explainer.unexplained == [], explainer.unexplained
    (events,) = crew.events
    assert events.index("show_over") < events.index("show_report")
    found, unfinished = files()
    assert list(found) == [1] and not unfinished
    told = found[1]
    assert told["time"][:18] == "2026-07-14T20:00:0" and told["whole"] and not told["cut"]
    assert 180 <= told["length_s"] <= 182 and told["dark_s"] == told["restarts"] == 0
    assert [row["n"] for row in told["batteries"]] == [1, 2, 3, 4]
    assert [row["trips"] for row in told["batteries"]] == [0, 1, 0, 0]
    assert [row["closings"] for row in told["batteries"]] == [0, 1, 0, 0]
    crew.ah[1] += 24 * 0.5 / 3600  # what its sensor showed counts
    agrees(told, crew)
    for row in told["batteries"]:
        peak_a = crew.most_a[row["n"] - 1]
        assert row["n"] == 2 or 0.9 * peak_a < row["discharge_ma"] / 1000 <= peak_a + 0.1, row
        assert 70 <= row["last_pct"] <= row["first_pct"] <= 82
    assert 33000 < told["rig"]["discharge_ma"] <= 36500, "or what the sensor of 2 showed"
    assert 58 <= told["rig"]["discharge_s"] <= 102
    assert told["rig"]["low_mv"] < told["rig"]["high_mv"]
    (trip,) = told["trips"]
    assert (trip["n"], trip["reason"], trip["boot"]) == (2, "overcurrent", 1)
    near = {row["limit"]: row for row in told["closest"]}
    assert near["discharge"]["margin_pct"] < 15 and 58 <= near["discharge"]["at_s"] <= 102
    assert told["tasks"][0]["code"] == "tripped" and told["tasks"][0]["n"] == 2, told["tasks"]
    assert told["selftest"] is None


def test_a_reset_in_its_middle_costs_a_minute_of_charge_and_no_energy():
    crew = Crew(7)
    reset = {"at": BEGIN_S + 340, "do": "controller_reset"}
    played(crew, duration_s=BEGIN_S + 440, steps=[reset])
    first, second = crew.events
    assert "show_report" not in first and "show_report" in second
    found, unfinished = files()
    told = found[1]
    assert not unfinished and told["whole"] and told["restarts"] == 1
    assert 415 <= told["length_s"] <= 423, told
    assert told["time"][:16] in ("2026-07-14T20:00", "2026-07-14T19:59"), told["time"]
    assert told["darks"] == 1 and told["dark_s"] < 30, "it had to start again"
    agrees(told, crew, 60)
    assert [row["code"] for row in told["tasks"] if not row["n"]] == ["restarted"], told["tasks"]


def test_a_power_cut_leaves_what_the_card_has():
    crew = Crew(30)
    cut = {"at": BEGIN_S + 320, "do": "power_cycle"}
    played(crew, duration_s=BEGIN_S + 340, steps=[cut])
    assert "show_over" not in crew.events[1] and "show_report" in crew.events[1]
    found, unfinished = files()
    told = found[1]
    assert told["cut"] and told["time"][:18] == "2026-07-14T20:00:0" and not unfinished
    assert 295 <= told["length_s"] <= 310
    assert all(row["discharge_ma"] > 2000 and row["out_mah"] > 200 for row in told["batteries"])


def test_without_a_card_it_is_in_memory_and_a_reset_is_told():
    crew = Crew(3, clock=False, hand_at_s=170)
    reset = {"at": BEGIN_S + 60, "do": "controller_reset"}
    report = play(
        crew,
        batteries=PACKS,
        settings=SETTINGS,
        load=[[0, 12]],
        duration_s=180,
        steps=[reset],
    )
    clean(report)
    rig = current.probe.rig
    from parallelator.show.report import pieces

    told = json.loads("".join(pieces(rig.tally)))
    assert rig.report == told["number"] == 1
    assert not told["whole"] and told["time"] is None and told["restarts"] == 1
    assert 60 <= told["length_s"] <= 75, "counted since the restart"
    assert all(row["out_mah"] > 20 for row in told["batteries"])
    assert "sd_absent" in [row["value"] for row in told["tasks"]], told["tasks"]
