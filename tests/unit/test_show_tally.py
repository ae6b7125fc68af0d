# SPDX-License-Identifier: GPL-3.0-only
"""What is counted of a show, over a restart as well, and what follows from it for the next one."""

import io
from array import array

from parallelator import catalog, settings
from parallelator.protection.rules import Limits
from parallelator.records.events import Events
from parallelator.show import outlook
from parallelator.show import tally as of
from parallelator.show.tally import Tally
from parallelator.snapshot import BATTERIES, RIG, Snapshot

LIMITS = Limits(settings.Values({}))


class Balance:
    lag = 0

    def lag_mv(self, i, voltage_mv):
        return self.lag


class Meter:
    def __init__(self, out_dwh=500, in_dwh=70, pct=80):
        self.out_dwh = array("I", [out_dwh] * BATTERIES)
        self.in_dwh = array("I", [in_dwh] * BATTERIES)
        self.told = (pct,)


class Cascade:
    promise_a = None
    stands = True

    def keeps(self):
        return self.stands


def on(snap, i, ma, mv):
    snap.state[i] = catalog.ON
    snap.valid[i] = 1
    snap.current_ma[i] = ma
    snap.voltage_mv[i] = mv


class Stage:
    """A rig of two batteries, 500 Ah after its first start, with a show that begins at 100 s."""

    def __init__(self):
        self.snap = snap = Snapshot()
        self.events = Events(snap)
        self.balance = Balance()
        self.meter = self.cascade = None
        snap.uptime_s = 100
        for i in range(2):
            on(snap, i, 2000, 26000)
            snap.discharge_mah[i] = 500000
            snap.charge_mah[i] = 400000
            snap.soc_pct[i] = 90
        self.tally = Tally(snap, 7, self.events.count)

    def second(self, seconds=1):
        self.snap.uptime_s += seconds
        steps = list(self.tally.looking(self.balance, self.meter, self.cascade))
        assert len(steps) >= 4, "in short steps"
        for _ in self.tally.hearing(self.events):
            pass

    def most(self, quantity, i):
        return self.tally.greatest(quantity, i), self.tally.when(quantity, i)


def test_peaks_and_when_they_were():
    stage = Stage()
    snap = stage.snap
    stage.second()
    on(snap, 0, 9000, 25000)
    stage.second(59)
    on(snap, 0, -3000, 28000)
    on(snap, 1, 0, 25900)
    snap.temperature_c[1] = 41
    stage.balance.lag = 120
    stage.second(30)
    on(snap, 0, 2000, 26000)
    stage.second(10)
    assert stage.most(of.DISCHARGE, 0) == (9000, 60)
    assert stage.most(of.CHARGE, 0) == (3000, 90)
    assert stage.most(of.HIGH, 0) == stage.most(of.FULL, 0) == (28000, 90)
    assert stage.most(of.LOW, 0) == (-25000, 60)
    assert stage.most(of.DISCHARGE, 1) == (2000, 0) and stage.most(of.LOW, 1) == (-25900, 90)
    assert stage.tally.greatest(of.FULL, 1) is None, "nobody has charged it"
    assert stage.most(of.HEAT, 1) == (41, 90) and stage.tally.greatest(of.HEAT, 0) is None
    assert stage.most(of.LAG, 1) == (120, 90)
    assert stage.most(of.DISCHARGE, of.WHOLE) == (11000, 60)
    assert stage.most(of.POWER, of.WHOLE) == (286, 60), "26 V: the higher of two is the median"
    assert stage.most(of.CHARGE, of.WHOLE) == (3000, 90)
    assert stage.tally.greatest(of.DISCHARGE, 5) is None


def test_what_flowed_is_what_the_counters_moved_since_it_began():
    stage = Stage()
    snap = stage.snap
    stage.second()
    stage.meter = Meter()
    stage.second()
    for _ in range(10):
        snap.discharge_mah[0] += 30
        snap.charge_mah[1] += 20
        stage.meter.out_dwh[0] += 8
        stage.second()
    snap.switchings[1] += 2
    stage.meter.told = (70,)
    stage.second()
    snap.soc_pct[0] = 71
    tally = stage.tally
    tally.close(stage.meter)
    assert tally.moved(of.OUT_MAH, 0) == 300 and tally.moved(of.IN_MAH, 0) == 0
    assert tally.moved(of.OUT_MAH, 1) == 0 and tally.moved(of.IN_MAH, 1) == 200
    assert tally.moved(of.OUT_DWH, 0) == 80 and tally.moved(of.IN_DWH, 0) == 0
    assert tally.moved(of.CLOSINGS, 1) == 2
    assert (tally.first_pct[0], tally.last_pct[0]) == (90, 71)
    assert (tally.rig[of.FIRST_PCT], tally.rig[of.LAST_PCT]) == (80, 70)


def test_what_a_card_brings_is_no_flow():
    stage = Stage()
    stage.second()
    stage.snap.discharge_mah[0] += 70000
    stage.snap.switchings[0] += 900
    stage.second()
    stage.snap.discharge_mah[0] += 5
    stage.second()
    stage.tally.close(None)
    assert stage.tally.moved(of.OUT_MAH, 0) == 5 and stage.tally.moved(of.CLOSINGS, 0) == 0


def test_darkness_promise_and_cascade():
    stage = Stage()
    snap, rig = stage.snap, stage.tally.rig
    stage.second()
    stage.cascade = Cascade()
    for promise_a, stands in ((None, None), (4, True), (3, True), (3, False)):
        stage.cascade.promise_a, stage.cascade.stands = promise_a, stands
        stage.second()
    assert (rig[of.SHORT_S], rig[of.WEAK_S]) == (2, 1)
    for _ in range(2):
        snap.state[0] = snap.state[1] = catalog.OFF
        snap.current_ma[0] = snap.current_ma[1] = 0
        stage.second(3)
        stage.second(3)
        on(snap, 0, 100, 26000)
        stage.second()
    assert (rig[of.DARK_S], rig[of.DARKS]) == (12, 2)
    snap.state[0], snap.valid[0] = catalog.UNCONTROLLED, 0
    stage.second()
    assert rig[of.DARKS] == 2, "it may be live"
    assert stage.tally.lost_s[0] == 1 and stage.tally.lost_s[5] == 0, "5 was never there"


def test_trips_and_alarms_are_heard_once():
    stage = Stage()
    emit, snap, tally = stage.events.emit, stage.snap, stage.tally
    emit("trip", 0, catalog.TRIPPED, 13, 12000)
    stage.second()
    emit("trip", 0, catalog.TRIPPED, 13, 12000)
    emit("trip", 0, catalog.TRIPPED, 13, 12000)
    stage.second()
    emit("alert_dead", 1, 0, 0, 0)
    emit("i2c_fault", RIG, 0, 0, 0)
    emit("wish_all", RIG, 0, 0, 0)
    emit("temperature", RIG, 0, 0, 0)
    stage.second()
    assert tally.trips[0] == 3 and tally.trips[1] == 0
    snap.alarm("contact_battery", 1, True)
    tally.close(None)
    found = [row[:4] for row in outlook.tasks(tally, LIMITS, None, 0) if row]
    assert (2, "alarm", "trouble", "alert_dead") in found
    assert (2, "alarm", "trouble", "contact_battery") in found, "it stands"
    assert (0, "alarm", "trouble", "i2c_fault") in found
    assert found[0] == (1, "tripped", "trouble", 3)
    assert len(found) == 4, found


def kept(tally):
    return [bytes(part) for part in tally.parts()]


def restored(parts, snap):
    again = Tally(snap, 8, 0)
    for part, content in zip(again.parts(), parts):
        io.BytesIO(content).readinto(part)
    return again


def test_what_the_card_keeps_goes_on_after_a_restart():
    stage = Stage()
    stage.second()
    stage.snap.discharge_mah[0] += 100
    on(stage.snap, 0, 9000, 25000)
    stage.second(600)
    tally = stage.tally
    tally.mark(3000, 1784059200)
    parts, sums = kept(tally), (tally.checksum("a"), tally.checksum("b"))
    assert sums[0] != sums[1], "another rig's"
    snap = Snapshot()
    snap.uptime_s = 2
    snap.discharge_mah[0], snap.discharge_mah[1] = 500150, 500000
    again = restored(parts, snap)
    assert again.checksum("a") == sums[0]
    on(snap, 0, 0, 26000)
    snap.since_s[0] = 1
    again.resume(2900, True)
    assert (again.rig[of.DARKS], again.rig[of.DARK_S]) == (1, 1), "from the start to the first"
    assert again.spent_s() == 701, "the 99 s that the card does not know of are counted"
    stage.tally, stage.snap = again, snap
    for i in range(2):
        on(snap, i, 2000, 26000)
    stage.second()
    again.close(None)
    assert again.moved(of.OUT_MAH, 0) == 150 and stage.most(of.DISCHARGE, 0) == (9000, 600)
    assert again.rig[of.RESTARTS] == 1 and again.rig[of.BOOT] == 7
    again.rig[of.DARK_S] += 1
    assert again.checksum("a") != sums[0]
    cut = restored(parts, snap)
    cut.resume(0, True)
    assert cut.spent_s() == 601 and cut.rig[of.RESTARTS] == 0, "the power was cut"
    lost = Tally(Snapshot(), 8, 0)
    lost.resume(2900, False)
    assert lost.spent_s() == 0 and lost.rig[of.RESTARTS] == lost.rig[of.PARTIAL] == 1


def closed(**extremes):
    """A show of battery 3 with these extremes."""
    stage = Stage()
    stage.second()
    for name, value in extremes.items():
        stage.tally.most[getattr(of, name) * 17 + 2] = value
    stage.tally.close(None)
    return stage.tally


def found(tally, left_wh=None, missing_wh=0):
    return [
        (n, code, value)
        for n, code, _, value in filter(None, outlook.tasks(tally, LIMITS, left_wh, missing_wh))
    ]


def test_what_came_near_to_a_limit():
    assert (LIMITS.discharge_ma, LIMITS.imbalance_mv) == (10000, 1000)
    low, high = LIMITS.min_voltage_mv, LIMITS.max_voltage_mv
    tenth = (high - low) // 10
    for extremes, task in (
        ({"DISCHARGE": 9000}, None),
        ({"DISCHARGE": 9001}, (3, "discharge", 91)),
        ({"DISCHARGE": 11000}, (3, "discharge", 110)),
        ({"CHARGE": LIMITS.charge_ma}, (3, "charge", 100)),
        ({"LOW": -low - tenth - 9}, None),
        ({"LOW": -low - tenth // 2}, (3, "low", 5)),
        ({"HIGH": high}, None),
        ({"FULL": high - tenth // 10}, (3, "high", 99)),
        ({"LAG": 801}, (3, "lag", 81)),
        ({"HEAT": 84}, None),
    ):
        assert found(closed(**extremes)) == ([task] if task else []), extremes
    near = [row for row in outlook.closest(closed(DISCHARGE=9000, HEAT=40), LIMITS) if row]
    assert [(row["limit"], row["n"], row["value"]) for row in near] == [
        ("discharge", 3, 9000),
        ("low", 1, 26000),
        ("heat", 3, 40),
    ]
    assert (near[0]["bound"], near[0]["margin_pct"]) == (10000, 10)


def test_the_worst_comes_first():
    stage = Stage()
    stage.second()
    tally, snap = stage.tally, stage.snap
    snap.state[4], snap.reason[4] = catalog.LOCKED, catalog.Reason.SWITCH_FAULT
    snap.alarm("pin_high", 1, True)
    snap.alarm("sd_absent", RIG, True)
    snap.alarm("cascade_board", RIG, True)
    snap.soc_pct[0] = 20
    tally.rig[of.SHORT_S], tally.rig[of.RESTARTS] = 40, 1
    tally.lost_s[1] = 10
    tally.trips[0] = 1
    tally.most[of.DISCHARGE * 17] = 9999
    tally.close(None)
    assert found(tally) == [
        (2, "alarm", "pin_high"),
        (5, "locked", "switch_fault"),
        (1, "tripped", 1),
        (1, "discharge", 100),
        (0, "alarm", "sd_absent"),
        (0, "promise", 40),
        (2, "lost", 10),
        (0, "restarted", 1),
        (1, "empty", 20),
    ]


def test_what_has_to_be_charged():
    for pct, left_wh, told in ((60, 600, 0), (49, 600, 1), (60, 590, 1), (None, None, 0)):
        stage = Stage()
        stage.meter = Meter(pct=pct) if pct else None
        stage.second()
        if pct:
            stage.meter.out_dwh[0] += 5000
        stage.snap.alarm("low_soon", 0, True)
        stage.second()
        stage.tally.close(stage.meter)
        rows = found(stage.tally, left_wh, 900)
        assert ((0, "recharge", 900) in rows) == bool(told), pct
        assert ((1, "alarm", "low_soon") in rows) == (pct is None), "the charge says it"
