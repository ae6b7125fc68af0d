# SPDX-License-Identifier: GPL-3.0-only
"""The checks of the chips: new conversions, lost settings, ALERT lines, flags read on the way."""

from parallelator import settings
from parallelator.catalog import ON, Reason
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
        return True


class Sensors:
    """One chip at place 5; counts how often it is set up."""

    def __init__(self, chip):
        self.chips = [None] * 16
        self.chips[5] = chip
        self.found = 1 << 5
        self.setups = 0
        self.dropped = 0

    def detect(self, i):
        return Chip if self.chips[i] else None

    def adopt(self, i, driver):
        return Reason.NONE

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
        Output(snap, rules.Limits(settings.defaults())),
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
