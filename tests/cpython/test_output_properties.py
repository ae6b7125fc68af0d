# SPDX-License-Identifier: GPL-3.0-only
"""What is said of the output is never surer than what is seen of it: random packs, random lies."""

from hypothesis import assume, given
from hypothesis import settings as searching
from hypothesis import strategies as st

from parallelator import settings
from parallelator.protection import rules
from parallelator.protection.joining import Connector
from parallelator.protection.output import Output
from parallelator.protection.starts import Starts
from parallelator.snapshot import BATTERIES, Snapshot

LIMITS = rules.Limits(settings.Values({}))
OFFSET_MV = LIMITS.voltage_offset_mv
PACK_OHM, PATH_OHM = 0.030, 0.020


class Bar:
    """Packs behind equal resistances on one bus bar, solved with real numbers.

    Attributes:
        rest_mv: of each pack; ma, mv: what a perfect sensor of each would read.
    """

    def __init__(self, rest_mv, closed, load_ma):
        self.rest_mv = rest_mv
        self.closed = [i for i in range(len(rest_mv)) if closed >> i & 1]
        ohm = PACK_OHM + PATH_OHM
        mean_mv = sum(rest_mv[i] for i in self.closed) / max(len(self.closed), 1)
        self.bus_mv = mean_mv - load_ma * ohm / max(len(self.closed), 1)
        self.ma = [0.0] * len(rest_mv)
        for i in self.closed:
            self.ma[i] = (rest_mv[i] - self.bus_mv) / ohm
        self.mv = [mv - ma * PACK_OHM for mv, ma in zip(rest_mv, self.ma, strict=True)]


def seen(bar, lies=None, fresh=0xFFFF):
    """The output as it is seen, once, with `lies`: {i: (mV, mA)} added to the readings."""
    snap = Snapshot()
    for i, (mv, ma) in enumerate(zip(bar.mv, bar.ma, strict=True)):
        mv_off, ma_off = (lies or {}).get(i, (0, 0))
        snap.voltage_mv[i] = max(round(mv) + mv_off, 0)
        snap.current_ma[i] = round(ma) + ma_off
        snap.valid[i] = 1
    output = Output(snap, LIMITS)
    on = sum(1 << i for i in bar.closed)
    output.look(on, 0, 0, fresh & (1 << len(bar.mv)) - 1, 160)
    return output, snap


REST = st.lists(st.integers(24000, 29000), min_size=1, max_size=BATTERIES)
NEAR = st.integers(24500, 28500).flatmap(
    lambda mv: st.lists(st.integers(mv - 200, mv + 200), min_size=1, max_size=BATTERIES)
)
MASK = st.integers(0, 0xFFFF)
LOAD = st.integers(-40000, 60000)
LIE = st.tuples(
    st.integers(0, 15),
    st.tuples(st.integers(-20000, 20000), st.integers(-60000, 60000)),
)


@given(REST, MASK, LOAD, MASK)
def test_the_output_is_live_only_by_a_fresh_pack_that_carries(rest_mv, closed, load_ma, fresh):
    bar = Bar(rest_mv, closed, load_ma)
    output, snap = seen(bar, fresh=fresh)
    speaks = [i for i in bar.closed if fresh >> i & 1 and abs(snap.current_ma[i]) >= 50]
    if output.live:
        assert speaks
    assert all(i in speaks for i in range(BATTERIES) if output.carriers >> i & 1)
    assert output.closed | output.doubtful == sum(1 << i for i in bar.closed)


@given(NEAR, MASK, LOAD)
def test_without_lies_the_voltage_at_rest_is_within_the_error_that_is_told(
    rest_mv, closed, load_ma
):
    bar = Bar(rest_mv, closed, load_ma)
    output, _ = seen(bar)
    assume(output.live)
    truth = [bar.rest_mv[i] for i in range(len(rest_mv)) if output.carriers >> i & 1]
    assert min(truth) - 2 <= output.rest_mv <= max(truth) + 2
    assert abs(output.error_mv - (max(truth) - min(truth))) <= 3


@searching(max_examples=400)
@given(NEAR, LOAD, LIE)
def test_one_lie_among_three_and_more_moves_it_by_no_more_than_the_offset(rest_mv, load_ma, lie):
    assume(len(rest_mv) >= 4)
    bar = Bar(rest_mv, 0xFFFF, load_ma)
    assume(all(50 <= abs(ma) <= 20000 for ma in bar.ma))
    output, _ = seen(bar, dict([lie]))
    assert output.live
    honest = [mv for i, mv in enumerate(rest_mv) if i != lie[0]]
    slack_mv = OFFSET_MV + 2
    assert min(honest) - slack_mv <= output.rest_mv <= max(honest) + slack_mv


@given(NEAR, LOAD, LIE)
def test_one_lie_does_not_make_a_rig_that_is_discharged_look_charged(rest_mv, load_ma, lie):
    bar = Bar(rest_mv, 0xFFFF, abs(load_ma))
    assume(sum(ma <= -50 for i, ma in enumerate(bar.ma) if i != lie[0]) == 0)
    output, _ = seen(bar, dict([lie]))
    assert not output.charging


@given(REST, MASK, st.integers(-60000, 100000))
def test_what_is_predicted_adds_up_and_agrees_with_the_bar(rest_mv, mask, total_ma):
    mask &= (1 << len(rest_mv)) - 1
    assume(mask)
    middle = sorted(rest_mv)[len(rest_mv) // 2]
    near = [min(max(mv, middle - 1400), middle + 1400) for mv in rest_mv]
    bar = Bar(near, mask, total_ma)
    output, _ = seen(Bar(near, 0, 0))
    predicted = output.predict(mask, total_ma)
    # One mV of rounding is 20 mA.
    assert all(abs(predicted[i] - bar.ma[i]) <= 45 for i in bar.closed)


class States:
    held = stuck = 0

    def is_full(self, i):
        return False


def connector(output, snap):
    starts = Starts(snap, LIMITS, lambda *event: None)
    return Connector(snap, LIMITS, States(), output, starts, lambda *event: None)


@searching(max_examples=400)
@given(NEAR, LOAD, st.integers(24000, 30000))
def test_nothing_joins_from_beyond_the_offset_nor_with_more_than_it_may(rest_mv, load_ma, mv):
    assume(len(rest_mv) < BATTERIES)
    bar = Bar([*rest_mv, mv], (1 << len(rest_mv)) - 1, load_ma)
    output, snap = seen(bar)
    assume(output.live)
    i = len(rest_mv)
    if connector(output, snap).refusal(i):
        return
    assert abs(mv - output.rest_mv) <= OFFSET_MV
    after = Bar([*rest_mv, mv], (1 << i + 1) - 1, load_ma)
    assert abs(after.ma[i]) <= 0.8 * LIMITS.hard_discharge_ma + 100


@given(REST, MASK, st.booleans())
def test_a_start_group_stands_itself(rest_mv, mask, wide):
    mask &= (1 << len(rest_mv)) - 1
    output, snap = seen(Bar(rest_mv, 0, 0))
    group = connector(output, snap).largest_group(mask, wide)
    assert group & ~mask == 0 and bool(group) == bool(mask)
    if not mask:
        return
    inside = [rest_mv[i] for i in range(len(rest_mv)) if group >> i & 1]
    spread_mv = OFFSET_MV if wide else LIMITS.start_spread_mv
    assert max(inside) - min(inside) <= spread_mv
    bar = Bar(rest_mv, group, 0)
    assert all(abs(ma) <= (16000 if wide else 10000) + 45 for ma in bar.ma)
    # With these limits the spread alone decides, so no other set can be larger.
    volts = [rest_mv[i] for i in range(len(rest_mv)) if mask >> i & 1]
    assert len(inside) == max(sum(low <= v <= low + spread_mv for v in volts) for low in volts)
