# SPDX-License-Identifier: GPL-3.0-only
"""The checks of the chips: new conversions, lost settings, ALERT lines, flags read on the way."""

from parallelator import settings
from parallelator.catalog import ABSENT, ON, Reason
from parallelator.hardware.ina2xx import ALERT, FRESH, INTACT
from parallelator.protection import rules
from parallelator.protection.output import Output
from parallelator.protection.presence import Presence
from parallelator.snapshot import Snapshot


class Clock:
    def diff(self, end, start):
        return end - start


class Chip:
    """A sensor that shows what it is told, one entry a proof, the last one for ever."""

    HAS_ALERT = True

    def __init__(self, *shown):
        self.shown = list(shown)
        self.inverted = False

    def prove(self):
        return self.shown.pop(0) if len(self.shown) > 1 else self.shown[0]

    def temperature_mc(self):
        return 41500

    def invert_alert(self, on):
        self.inverted = on
        return 0


class Sensors:
    """One chip at place 5; counts how often it is set up."""

    def __init__(self, chip):
        self.chips = [None] * 16
        self.chips[5] = chip
        self.found = 1 << 5
        self.setups = 0
        self.dropped = 0

        self.alike = 0

    def detect(self, i):
        return Chip if self.chips[i] or self.alike >> i & 1 else None

    def aliases(self, mask, answered):
        return self.alike if mask & self.alike else 0

    def refusal(self, driver):
        return Reason.NONE

    def adopt(self, i, driver):
        self.chips[i] = self.chips[i] or Chip(INTACT | FRESH)
        return True

    def configure(self, i):
        self.setups += 1
        return True

    def drop(self, i):
        self.chips[i] = None
        self.dropped += 1


class Switches:
    """Boards that answer; `line` tells how battery 5's ALERT line follows its chip."""

    def __init__(self, line):
        self.line = line
        self.present = 0xF

    def start(self, b):
        return True

    def alert_low(self, i):
        return self.line()


class States:
    held = 0
    stuck = 0

    def __init__(self):
        self.lost = []

    def lose(self, i, reason):
        self.lost.append((i, reason))


def rig(chip, line=None):
    snap = Snapshot()
    snap.state[5] = ON
    sensors = Sensors(chip)
    states = States()
    events = []
    switches = Switches(line or (lambda: chip.inverted))
    presence = Presence(
        Clock(),
        snap,
        switches,
        sensors,
        states,
        Output(snap, rules.Limits(settings.Values({}))),
        lambda *event: events.append(event[0]),
    )
    presence.start(0)
    return presence, sensors, states, snap, events


def test_a_chip_that_is_intact_and_fresh_is_left_alone():
    presence, sensors, states, _, events = rig(Chip(INTACT | FRESH))
    for _ in range(40):
        assert presence.prove_one(0) == -1
    assert sensors.setups == 0 and states.lost == [] and "sensor_reset" not in events


def test_every_second_round_of_proofs_measures_the_temperature():
    presence, _, _, snap, _ = rig(Chip(INTACT | FRESH))
    measured = []
    for _ in range(16):
        presence.prove_one(0)
        measured.append(presence.measured)
    assert measured.count(5) == 8 and measured.count(-1) == 8
    assert snap.temperature_c[5] == 41


def test_lost_settings_are_written_again_at_once():
    presence, sensors, states, _, events = rig(Chip(FRESH, INTACT | FRESH))
    presence.prove_one(0)
    assert sensors.setups == 1 and events[-1] == "sensor_reset" and states.lost == []


def test_one_conversion_late_is_only_looked_at_again():
    presence, sensors, states, _, _ = rig(Chip(INTACT, INTACT | FRESH))
    for _ in range(5):
        presence.prove_one(0)
    assert sensors.setups == 0 and states.lost == []


def test_no_conversion_twice_sets_the_chip_up_and_that_may_mend_it():
    presence, sensors, states, _, _ = rig(Chip(INTACT, INTACT, INTACT | FRESH))
    for _ in range(5):
        presence.prove_one(0)
    assert sensors.setups == 1 and states.lost == []


def test_no_conversion_after_that_either_loses_the_sensor_in_three_ticks():
    presence, sensors, states, _, _ = rig(Chip(INTACT))
    for _ in range(3):
        presence.prove_one(0)
    assert states.lost == [(5, Reason.SENSOR_LOST)] and sensors.dropped == 1


def test_a_passed_limit_seen_in_the_flags_is_reported():
    presence, _, _, _, _ = rig(Chip(INTACT | FRESH | ALERT, INTACT | FRESH))
    assert presence.prove_one(0) == 5
    assert presence.prove_one(0) == -1


def test_a_chip_that_does_not_answer_is_left_to_the_scan():
    presence, sensors, states, _, _ = rig(Chip(None))
    assert presence.prove_one(0) == -1 and sensors.setups == 0 and states.lost == []


def test_an_alert_line_that_follows_is_heard():
    presence, _, _, snap, _ = rig(Chip(INTACT | FRESH))
    assert presence.alert_proven == 1 << 5
    assert "alert_dead" not in [name for name, _, _ in snap.alarms()]


def test_an_alert_line_stuck_high_or_low_is_not_heard_and_says_so():
    for level in (True, False, None):
        presence, _, _, snap, events = rig(Chip(INTACT | FRESH), lambda level=level: level)
        assert presence.alert_proven == 0
        assert ("alert_dead", 5) in [(name, i) for name, i, _ in snap.alarms()]
        assert "alert_dead" in events


def test_a_chip_without_alert_is_not_heard_and_no_alarm():
    chip = Chip(INTACT | FRESH)
    chip.HAS_ALERT = False
    presence, _, _, snap, _ = rig(chip)
    assert presence.alert_proven == 0
    assert "alert_dead" not in [name for name, _, _ in snap.alarms()]


def test_a_missing_sensor_is_looked_for_with_growing_pauses():
    presence, sensors, _, _, _ = rig(Chip(INTACT | FRESH))
    tries = []
    for now in range(0, 60000, 10):
        if presence.probe(9, now):
            tries.append(now)
    assert tries[:5] == [1000, 3000, 7000, 15000, 23000], tries


def test_chips_that_answer_for_each_other_are_set_up_when_four_looks_are_clean():
    presence, sensors, states, snap, events = rig(Chip(INTACT | FRESH))
    snap.state[8] = snap.state[9] = ABSENT
    sensors.alike = 0b11 << 8
    for now in range(0, 2000, 10):
        presence.probe(8, now)
        presence.probe(9, now)
    named = {(code, i) for code, i, _ in snap.alarms() if code == "address_alias"}
    assert named == {("address_alias", 8), ("address_alias", 9)}
    assert snap.reason[8] == snap.reason[9] == Reason.ADDRESS_ALIAS
    assert sensors.chips[8] is None and events.count("address_alias") == 2
    assert "sensor_found" not in events
    sensors.aliases = lambda mask, answered: 0
    probes = 0
    for now in range(2000, 60000, 10):
        if presence.probe(8, now):
            probes += 1
            if sensors.chips[8]:
                break
    assert probes == 4 and presence.aliased == 1 << 9
    assert ("address_alias", 8) not in {(code, i) for code, i, _ in snap.alarms()}


def test_one_that_runs_and_answers_for_another_is_lost():
    presence, sensors, states, snap, _ = rig(Chip(INTACT | FRESH))
    sensors.alike = 1 << 5 | 1 << 9
    for now in range(0, 1100, 10):
        presence.probe(9, now)
    assert states.lost == [(5, Reason.SENSOR_LOST)] and presence.aliased == 1 << 5 | 1 << 9
