# SPDX-License-Identifier: GPL-3.0-only
"""The curve of a rig's own cells: what a discharge teaches, what spoils it, what is kept."""

from flash import Flash
from parallelator.energy import curve as curves
from parallelator.energy.calibration import Calibration
from parallelator.energy.charge import Charge
from parallelator.energy.learning import CHARGE, DISCHARGE, Learner
from parallelator.snapshot import BATTERIES

START = curves.start("nmc", 24000 / 7)
TRUE = [int(mv) + min(10 * k, 48 - 2 * k) for k, mv in enumerate(START)]
"""What the cells of this rig do: up to 40 mV beside the start curve."""
LABEL_MAH = 80000
LABELS = [LABEL_MAH // 4] * BATTERIES
"""Of sixteen places, of which four have a pack."""
ON = 0b1111


def filled(learner=None):
    """A learner whose four packs are full, after 1000 mAh net."""
    learner = learner or Learner(LABELS)
    for i in range(4):
        learner.ended(i)
    learner.follow(1000, ON)
    return learner


def discharge(learner, capacity=0.9, until=0.0, mah=200, skip=()):
    """Give all that such a rig has, `mah` a round, down to a charge; returns the rounds kept."""
    total = capacity * LABEL_MAH
    kept = out = 0
    while out < total * (1 - until):
        out += mah
        kept += learner.follow(1000 + out, ON)
        if int(out / LABEL_MAH / 0.025) not in skip:
            learner.look(out // mah % 4, curves.volts_at(TRUE, 1 - out / total))
    return kept


def furthest(curve, from_k=0):
    """The largest difference from TRUE, mV."""
    return max(abs(curve[k] - TRUE[k]) for k in range(from_k, 21))


def test_a_discharge_from_full_to_empty_gives_the_curve():
    learner = filled()
    assert learner.phase == CHARGE
    kept = discharge(learner, until=0.01)
    assert learner.phase == DISCHARGE and 36 <= kept <= 37, kept
    assert learner.is_empty(START)
    learned = learner.finish(START, 0)
    assert learned == sorted(learned) and len(learned) == 21
    # Averages over bins of 2.5 % round off the bend at the end.
    assert furthest(learned, 2) <= 8 and furthest(learned) < 45, (learned, TRUE)
    assert learner.phase == CHARGE and learner.left_over == ""


def test_the_last_bin_counts_for_what_was_discharged_of_it():
    for capacity in (0.876, 0.885, 0.895):
        learner = filled()
        discharge(learner, capacity, until=0.01)
        learned = learner.finish(START, 0)
        assert furthest(learned, 1) <= 8, (capacity, learned, TRUE)


def test_what_was_not_discharged_has_the_shape_that_is_known():
    learner = filled()
    discharge(learner, until=0.07)
    assert learner.is_empty(START)
    learned = learner.finish(START, 0)
    assert furthest(learned, 8) <= 10 and furthest(learned) <= 20, (learned, TRUE)


def test_a_rig_that_still_has_something_is_not_empty():
    learner = filled()
    discharge(learner, until=0.3)
    assert not learner.is_empty(START)


def test_later_nights_refine_the_curve():
    learner = filled()
    discharge(learner, until=0.01)
    first = learner.finish(START, 0)
    filled(learner)
    discharge(learner, until=0.01)
    known = [mv + 20 for mv in first]
    second = learner.finish(known, 3)
    for k in range(4, 20):
        assert 10 <= second[k] - first[k] <= 19, (k, second[k], first[k])


def test_it_begins_with_the_last_pack_that_is_full_only():
    learner = Learner(LABELS)
    for i in range(3):
        learner.ended(i)
    learner.follow(1000, ON)
    learner.follow(3000, ON)
    assert learner.phase == CHARGE
    learner.ended(3)
    learner.follow(3000, ON)
    learner.follow(2900, ON)  # the charger still gives a little
    assert not learner.follow(3650, ON) and learner.phase == CHARGE
    assert learner.follow(3750, ON) and learner.phase == DISCHARGE and learner.share > 0.01


def test_a_charge_in_between_a_pack_that_joins_and_a_wrong_capacity_spoil_it():
    learner = filled()
    discharge(learner, until=0.5)
    learner.follow(1000 + 36000 - 1000, ON)
    assert learner.phase == DISCHARGE, "little of it is none"
    assert learner.follow(1000 + 36000 - 2000, ON)
    assert learner.left_over == "charged" and learner.phase == CHARGE and not learner.full
    discharge(filled(learner), until=0.5)
    assert learner.left_over == "" and learner.follow(40000, ON | 0b10000)
    assert learner.left_over == "joined"
    discharge(filled(learner), capacity=0.4)
    assert learner.finish(START, 0) is None and learner.left_over == "capacity"
    discharge(filled(learner), skip=range(4, 16))
    assert learner.finish(START, 0) is None and learner.left_over == "sparse"


def test_a_restart_goes_on():
    learner = filled()
    discharge(learner, until=0.5)
    other = Learner(LABELS)
    other.recall(learner.record())
    assert other.phase == DISCHARGE and other.full == ON
    total = 0.9 * LABEL_MAH
    for out in range(int(total / 2), int(total), 200):
        other.follow(1000 + out, ON)
        other.look(0, curves.volts_at(TRUE, 1 - out / total))
    learned = other.finish(START, 0)
    assert furthest(learned, 2) <= 9, (learned, TRUE)
    waits = filled()
    other = Learner(LABELS)
    other.recall(waits.record())
    other.follow(1000, ON)
    assert other.follow(2000, ON) and other.phase == DISCHARGE, "full packs stay so over night"


def rig(flash, typed=None):
    charge = Charge("nmc", 7, LABELS, 24000)
    events = []
    emit = lambda *event: events.append(event)  # noqa: E731
    return Calibration(charge, LABELS, typed, flash, emit), charge, events


def night(calibration, until=0.01):
    """A discharge of 200 mAh a round, at rest voltages, and a minute without a load."""
    for i in range(4):
        calibration.ended(i)
    calibration.follow(0, ON, 0)
    total = 0.9 * LABEL_MAH
    out = 0
    while out < total * (1 - until):
        out += 200
        calibration.follow(out, ON, 0)
        mv = curves.volts_at(TRUE, 1 - out / total) * 7
        calibration.look(out // 200 % 4, int(mv), 0, 1)
    calibration.follow(out, 0, 59)
    assert calibration.learner.phase == DISCHARGE
    calibration.follow(out, 0, 60)


def test_what_was_learned_is_used_kept_and_told():
    flash = Flash()
    calibration, charge, events = rig(flash)
    before = calibration.view()
    assert (before["source"], before["nights"], before["phase"]) == ("start", 0, "charge")
    assert before["full"] == [] and before["left_over"] is None and len(before["curve"]) == 21
    night(calibration)
    assert furthest(charge.curve, 2) <= 8 and events == [("curve_learned", -1, 0, 0, 1)]
    again, charge, _ = rig(flash)
    view = again.view()
    assert (view["source"], view["nights"], view["curve"]) == ("own", 1, list(charge.curve))
    assert furthest(charge.curve, 2) <= 8
    again.forget()
    assert again.view()["source"] == "start" and list(charge.curve) == list(START)
    assert rig(flash)[0].view() == before


def test_a_curve_of_the_settings_holds():
    flash = Flash()
    night(rig(flash)[0])
    calibration, charge, events = rig(flash, TRUE)
    assert charge.curve == TRUE and calibration.view()["source"] == "settings"
    for i in range(4):
        calibration.ended(i)
    calibration.follow(0, ON, 0)
    calibration.follow(2000, ON, 0)
    assert calibration.learner.phase == CHARGE and not events
