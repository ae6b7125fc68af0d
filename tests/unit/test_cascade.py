# SPDX-License-Identifier: GPL-3.0-only
"""What a loss pulls along, and what the rig can promise: against a network that is solved."""

from parallelator.catalog import ON, UNCONTROLLED, WAITING
from parallelator.protection.rules import Limits
from parallelator.settings import Values
from parallelator.show.cascade import DARK, LOST, Cascade
from parallelator.snapshot import BATTERIES, Snapshot

PATH_MOHM = 20
RIGS = 300


class Seen(Cascade):
    """Tells at once what it sees: `pack` and `board` are the worst risks of now."""

    def tell(self, kind, risk):
        self.told[kind] = risk
        self.pack, self.board, _ = self.told


class Rig:
    """Packs behind their resistances on one output with a load of constant current.

    Args:
        packs: list of (rest voltage in mV, mOhm inside the pack), of batteries 1, 2, ...
        load_ma: of all; limits: changed ones, without `limits.`.
    """

    def __init__(self, packs, load_ma, **limits):
        self.packs = packs
        self.load_ma = load_ma
        self.limits = Limits(Values({}), {"limits." + key: limits[key] for key in limits})
        self.snap = Snapshot()
        amps, _ = self.solve(range(len(packs)), load_ma)
        for i, (rest_mv, mohm) in enumerate(packs):
            self.snap.state[i], self.snap.valid[i] = ON, 1
            self.snap.r_mohm[i] = mohm
            self.snap.current_ma[i] = int(amps[i])
            self.snap.voltage_mv[i] = int(rest_mv - amps[i] * mohm / 1000)
        self.cascade = Seen(self.snap, self.limits, None)

    def solve(self, left, load_ma):
        """(current of each in mA by its index, voltage of the output in mV)."""
        siemens = {i: 1 / (self.packs[i][1] + PATH_MOHM) for i in left}
        driven = sum(self.packs[i][0] * siemens[i] for i in left)
        bus_mv = (driven - load_ma / 1000) / sum(siemens.values())
        return {i: (self.packs[i][0] - bus_mv) * siemens[i] * 1000 for i in left}, bus_mv

    def beyond(self, left, load_ma):
        """Those of `left` that are beyond a limit."""
        amps, _ = self.solve(left, load_ma)
        low_mv = self.limits.min_voltage_mv
        return [
            i
            for i in left
            if amps[i] > self.limits.discharge_ma
            or self.packs[i][0] - amps[i] * self.packs[i][1] / 1000 < low_mv
        ]

    def follow(self, lost):
        """Who opens when those of `lost` do: one after the other, the worst first."""
        left = [i for i in range(len(self.packs)) if i not in lost]
        followers = 0
        while left:
            over = self.beyond(left, self.load_ma)
            if not over:
                return followers
            amps, _ = self.solve(left, self.load_ma)
            worst = max(over, key=lambda i: amps[i])
            left.remove(worst)
            followers |= 1 << worst
        return followers | DARK

    def look(self, first=None):
        for _ in self.cascade.looking(first):
            pass
        return self.cascade


def random(seed):
    while True:
        seed = (seed * 1103515245 + 12345) & 0x7FFFFFFF
        yield (seed >> 8) / (1 << 23)


def equal(count, load_ma, **limits):
    return Rig([(28000, 30)] * count, load_ma, **limits)


def test_a_loss_that_the_others_can_carry_is_no_risk():
    cascade = equal(4, 29000).look()
    assert (cascade.pack, cascade.board, cascade.on) == (0, 0, 15)
    assert [cascade.risk(i) for i in range(4)] == [0] * 4


def test_a_loss_that_overloads_the_others_pulls_all_along():
    cascade = equal(4, 31000).look()
    assert cascade.risk(2) == 2 << LOST | DARK | 0b1011
    assert cascade.pack == DARK | 0b1110, "the first of equal ones"
    assert equal(4, 31000).look(first=3).pack >> LOST == 2, "that which ends first"


def test_the_one_that_is_named_stays_the_same():
    rig = Rig([(28000, 30)] * 4, 31000)
    rig.look(first=4)
    assert rig.look().pack >> LOST == 3


def test_only_those_near_their_limit_follow():
    packs = [(28000, 30), (28000, 30), (28400, 30), (28000, 30), (28000, 30)]
    cascade = Rig(packs, 23000).look()
    assert cascade.risk(0) & 0xFFFF == 1 << 2
    assert cascade.risk(2) == 0, "without it the others have room"
    assert cascade.pack & DARK == 0


def test_a_voltage_at_the_limit_follows_as_well():
    packs = [(28000, 30), (28000, 30), (24600, 300)]
    packs = [(25000, 100)] * 2 + [(24500, 100)]
    rig = Rig(packs, 12000, min_voltage_mv=24300)
    assert rig.follow([0]) == rig.look().risk(0) & 0x1FFFF != 0


def test_what_may_be_lost_when_the_first_has_ended_is_known_before():
    # 10 A each: three carry 29 A; when one of them has ended, two do not stand to be one.
    for load_ma, count, keeps in ((29000, 5, True), (29000, 4, False), (41000, 5, False)):
        rig = equal(count, load_ma)
        cascade = rig.look(first=2)
        assert cascade.keeps_then(2) is keeps, (load_ma, count)
        then = cascade.told[2]
        assert (then & 0xFFFF) >> 1 & 1 == 0, "it has ended"
        assert not keeps or then == 0
    assert cascade.keeps_then(None) is None and rig.look().told[2] == 0, "nobody knows which"
    cascade = equal(2, 9000).look(first=1)
    assert cascade.keeps_then(1) is None, "the last is alone anyway"
    for n in range(4):
        packs = [(28000, 30), (28000, 60), (28000, 90), (28000, 30), (28000, 30)]
        rig = Rig(packs, 27000)
        cascade = rig.look(first=n + 1)
        harms = [bool(rig.follow([n, k])) for k in range(5) if k != n]
        assert cascade.keeps_then(n + 1) is not any(harms), (n, harms)


def test_boards_are_judged_where_there_are_several():
    cascade = equal(8, 41000).look()
    assert cascade.pack == 0
    assert cascade.risk(17) == 17 << LOST | DARK | 0b1111 and cascade.board >> LOST == 16
    assert equal(8, 39000).look().board == 0
    assert equal(4, 41000).look().board == 0, "with its only board every rig goes dark"


def test_the_only_pack_that_is_on_leaves_the_dark_and_the_only_one_there_is_no_risk():
    rig = equal(2, 5000)
    rig.snap.state[1] = WAITING
    rig.snap.current_ma[1] = 0
    assert rig.look().pack == DARK
    rig.snap.valid[1] = 0
    assert rig.look().pack == 0
    rig = equal(2, 20)
    rig.snap.state[1] = WAITING
    assert rig.look().pack == 0, "without a load there is nothing to go dark"


def test_a_load_of_constant_power_draws_more_once_the_output_has_fallen():
    rig = Rig([(27000, 100)] * 4, 29700)
    assert rig.follow([0]) == 0 and rig.look().risk(0) != 0
    assert Rig([(27000, 100)] * 4, 29000).look().risk(0) == 0


def test_dark_is_worse_than_many_and_many_worse_than_few():
    worse = equal(4, 0).cascade._worse
    few, many, dark = 5 << LOST | 1, 7 << LOST | 6, 2 << LOST | DARK | 1
    for one, other, worst in ((few, many, many), (many, dark, dark), (0, few, few), (0, 0, 0)):
        assert worse(one, other, 0, None) == worse(other, one, 0, None) == worst


def test_a_rig_that_is_charged_is_the_same_upside_down():
    rig = equal(4, -31000, max_voltage_mv=40000)
    assert rig.look().risk(1) & 0xFFFF == 0b1101
    assert equal(4, -29000, max_voltage_mv=40000).look().pack == 0


def test_a_peak_is_averaged_and_a_step_is_followed():
    rig = equal(4, 29000)
    rig.look()
    for i in range(4):
        rig.snap.current_ma[i] = 7700
    assert rig.look().pack == 0
    for _ in range(4):
        rig.look()
    assert rig.cascade.pack != 0


def test_random_rigs_are_as_the_network_says():
    draw = random(7)
    met = 0
    for _ in range(RIGS):
        count = 2 + int(next(draw) * 15)
        packs = [(27000 + int(next(draw) * 300), 20 + int(next(draw) * 60)) for _ in range(count)]
        load_ma = int(count * 10000 * (0.3 + 0.6 * next(draw)))
        rig = Rig(packs, load_ma)
        if rig.beyond(range(count), load_ma):
            continue
        cascade = rig.look()
        losses = [(i, [i]) for i in range(count)]
        if count > 4:
            losses += [(16 + b, range(4 * b, 4 * b + 4)) for b in range((count + 3) // 4)]
        for lost, gone in losses:
            gone = [i for i in gone if i < count]
            if lost >= 16 and len(gone) == 1:
                continue
            rig.load_ma = load_ma - 100
            least = rig.follow(gone)
            rig.load_ma = load_ma + load_ma // 50 + 300
            most = rig.follow(gone)
            found = cascade.risk(lost) & 0x1FFFF
            assert least & ~found & 0xFFFF == 0 and found & ~most & 0xFFFF == 0, (lost, packs)
            met += least > 0
    assert met > RIGS


def test_a_promise_is_what_the_others_carry_after_any_loss():
    assert equal(4, 10000).look().promise_a == 30
    assert equal(4, 31040).look().promise_a == 30
    assert equal(1, 3000).look().promise_a == 10
    assert equal(16, 1000, max_discharge_current_ma=7500).look().promise_a == 112
    rig = equal(2, 5000)
    rig.snap.state[0] = rig.snap.state[1] = WAITING
    rig.snap.current_ma[0] = rig.snap.current_ma[1] = 0
    assert rig.look().promise_a == 0


def test_a_pack_out_of_control_is_no_promise():
    rig = equal(4, 10000)
    rig.snap.state[3] = UNCONTROLLED
    assert rig.look().promise_a == 20


def test_at_the_promise_nobody_is_beyond_a_limit_and_a_little_above_somebody_is():
    draw = random(11)
    for _ in range(RIGS):
        count = 2 + int(next(draw) * 15)
        packs = [(27000 + int(next(draw) * 300), 20 + int(next(draw) * 60)) for _ in range(count)]
        load_ma = int(count * 10000 * 0.9 * next(draw))
        rig = Rig(packs, load_ma)
        promise_ma = rig.look().promise_a * 1000
        losses = [[i for i in range(count) if i != k] for k in range(count)]
        beyond = lambda load_ma: any(rig.beyond(left, load_ma) for left in losses)  # noqa: E731,B023
        assert not beyond(promise_ma - 300), (packs, load_ma, promise_ma)
        assert beyond(promise_ma + 1400) or beyond(promise_ma + 1400 + promise_ma // 50)


def test_a_weak_pack_counts_with_a_part():
    rig = equal(4, 10000)
    whole = rig.look().promise_a
    rig.snap.soc_pct[0] = 10
    assert rig.look().promise_a == whole
    rig.snap.soc_pct[0] = 5
    assert rig.look().promise_a == 25
    rig.snap.soc_pct[0] = 0
    assert rig.look().promise_a == 20
    rig.snap.soc_pct[0] = 80
    rig.snap.temperature_c[0] = rig.limits.temperature_alarm_c
    assert rig.look().promise_a == whole
    rig.snap.temperature_c[0] = rig.limits.temperature_trip_c
    assert rig.look().promise_a == 20


def test_without_a_charge_the_voltage_at_rest_tells_who_is_weak():
    rig = Rig([(24500, 30)] * 4, 8000)
    assert 14 <= rig.look().promise_a <= 15
    assert Rig([(25500, 30)] * 4, 8000).look().promise_a == 30


def test_each_step_is_short_and_nothing_is_kept():
    rig = equal(BATTERIES, 155000)
    steps = sum(1 for _ in rig.cascade.looking(None))
    assert steps == 4 + 4 + 1 + 4 + 16 + 4


def test_a_weak_pack_does_not_hold_down_what_the_others_can_carry():
    rig = equal(4, 10000)
    rig.snap.soc_pct[0] = 5
    rig.snap.voltage_mv[0] = rig.limits.min_voltage_mv + 1
    assert rig.look().promise_a == 25
    rig = equal(4, 8000)
    rig.snap.current_ma[0], rig.snap.soc_pct[0] = 9900, 0
    assert rig.look().promise_a == 20
