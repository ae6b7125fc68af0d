# SPDX-License-Identifier: GPL-3.0-only
"""What the loss of one pack or board does to the others, told before it happens, and what the rig
can promise. Pure; run by app once the rig protects.

All packs hang on one output. What one carries no more, the others take over by their conductance:
the output falls by what is missing, divided by the conductance of those that are left. So each
pack has one number: how far the output may fall before this pack is beyond a limit. That is its
continuous current limit, which its hard limit never undercuts, or the voltage at which it opens,
whichever comes first. A pack that opens makes the output fall further; so it does not matter for
the end who opens first. A rig that is charged is the same, upside down.

What the packs carry now is measured, so their rest voltages need not be known. The load is taken
for one of constant power, which draws more from a lower output: one of constant current is a
little easier on them than is said here. Packs that wait do not count, though some might join in
time.
"""

from array import array

from micropython import const

from parallelator.catalog import ON
from parallelator.protection.output import insert
from parallelator.snapshot import (
    BATTERIES,
    BOARDS,
    CHANNELS,
    IDLE_MA,
    NO_CHARGE,
    NO_TEMPERATURE,
    RIG,
    carries,
)

DARK = const(0x10000)
LOST = const(17)
"""A risk is one number: bits 0 to 15 are the packs that follow; DARK: nobody is left, though there
is a load; from bit LOST on what is lost, pack 0..15, or 16 and a board. 0: nobody follows."""

_CODES = ("cascade", "cascade_board")
_THEN = const(2)
PERIOD_S = const(2)
"""From one look to the next, of this and of `sharing`: each second brings one of the two."""
_HELD_S = const(6)
_GONE_S = const(30)
"""How long a risk is there before it is told, and away before it is told no more."""
_SMOOTH = const(2)  # looks over which the current of a pack is averaged: four seconds
_FAR_MV = const(20000)
_LEAST_MOHM = const(10)
_FIT_MV = const(1000)
_FIT_PCT = const(10)
"""What a pack needs to count in full in the promise: so much at rest above its lowest voltage
where its charge is not known, else so much charge."""


class Cascade:
    """Follows one rig.

    Args:
        snap: the `Snapshot`; limits: the `rules.Limits` in force; emit: function (code, i, state,
            reason, value) that records an event.

    Attributes:
        on: mask of the packs that carry the output; there: how many have valid readings.
        ma: what each of them carries, the mean of some seconds; 0 of the others.
        told: the worst risk by the loss of one pack and by that of one board, as far as their
            alarms stand, and by that of one pack after the first has ended, see LOST.
        promise_a: the current that a load may draw from now on, in whole amperes, rounded down:
            none of the packs that are on is beyond its limits then, and, if there are two or
            more, none of the others would be after the loss of any one of them. A pack that is
            nearly empty or hot counts with a part of what it carries, one without charge or at
            the limit of its temperature not at all: the others have to carry the rest. Packs that
            are off do not count, and the loss of a board is not in it. None: not known yet.
    """

    def __init__(self, snap: "Snapshot", limits: "Limits", emit: "Emit"):
        self._snap = snap
        self._limits = limits
        self._emit = emit
        self.ma = array("i", bytes(4 * BATTERIES))
        self._siemens = array("H", bytes(2 * BATTERIES))
        self._order = array("i", bytes(4 * BATTERIES))
        self.on = self.there = self._count = self._low_mv = 0
        self._way = 1
        self.told = [0, 0, 0]
        self._seconds = bytearray(3)
        self.promise_a = None

    def looking(self, first: "int | None"):
        """Look at the rig anew: a generator, each step takes 2 ms at most.

        Args:
            first: number 1..16 of the pack that will end first; it is named where the loss of
                others is as bad, and what may be lost after it is looked at. None = not known.
        """
        yield from self._note()
        yield from self._promising()
        self._way = -1 if sum(self.ma) < 0 else 1
        count = 0
        for i in range(BATTERIES):
            if i % CHANNELS == 0:
                yield
            if self.on >> i & 1:
                insert(self._order, count, self._room_mv(i, self._way, True) << 4 | i)
                count += 1
        self._count = count
        pack = board = 0
        for i in range(BATTERIES):
            yield
            if self.on >> i & 1:
                pack = self._worse(pack, self.risk(i), self.told[0], first)
        for b in range(BOARDS):
            yield
            board = self._worse(board, self.risk(BATTERIES + b), self.told[1], None)
        self.tell(0, pack)
        self.tell(1, board)
        then = 0
        if first and self.on >> first - 1 & 1:
            for i in range(BATTERIES):
                yield
                if self.on >> i & 1 and i != first - 1:
                    then = self._worse(then, self.risk(i, 1 << first - 1), self.told[_THEN], None)
        self.tell(_THEN, then)

    def _worse(self, one: int, other: int, before: int, first: "int | None"):
        """Of two risks the worse: dark is worse than many that follow, many worse than few; of
        equal ones that which is sure to come, then that which was told before."""
        worst, most = 0, -1
        for risk in (one, other):
            many = sum(risk >> i & 1 for i in range(BATTERIES))
            lost = risk >> LOST
            weight = (risk & DARK) + 4 * many + 2 * (lost + 1 == first)
            weight += lost == before >> LOST
            if risk and weight > most:
                worst, most = risk, weight
        return worst

    def risk(self, lost: int, ended: int = 0):
        """What follows the loss of a pack 0..15, or of board `lost` - 16, as of the last look,
        which must be over: see LOST; 0 for the only pack there is, and where the board has all
        packs that are on, or one at most. The packs of mask `ended` are off by then.

        The order of what opens does not change who is left: whoever is beyond a limit gives
        current, so its opening makes the output fall further.
        """
        ma, siemens, order = self.ma, self._siemens, self._order
        left = self.on
        if self.there < 2 + (ended > 0):
            return 0
        lost_ma = conductance = 0
        gone = 1 << lost if lost < BATTERIES else 15 << CHANNELS * (lost - BATTERIES)
        if lost >= BATTERIES:
            gone &= left
            if gone == left or not gone & (gone - 1):
                return 0
        gone |= ended
        for i in range(BATTERIES):
            if left >> i & 1:
                if gone >> i & 1:
                    lost_ma += ma[i]
                else:
                    conductance += siemens[i]
        left &= ~gone
        lost_ma *= self._way
        followers = 0
        for at in range(self._count):
            i = order[at] & 15
            if left >> i & 1:
                if order[at] >> 4 >= self._fall_mv(lost_ma, conductance):
                    break
                left ^= 1 << i
                followers |= 1 << i
                lost_ma += ma[i] * self._way
                conductance -= siemens[i]
        if not left and lost_ma > IDLE_MA:
            followers |= DARK
        return followers and followers | lost << LOST

    def _fall_mv(self, lost_ma: int, conductance: int):
        """How far the output falls when so much has to be carried by so much conductance."""
        if lost_ma <= 0:
            return 0
        fall_mv = min(100 * lost_ma // conductance, _FAR_MV) + 1
        if self._way > 0:
            more_ma = sum(self.ma) // 100 * fall_mv // max(self._low_mv - fall_mv, 1)
            fall_mv += 10000 * more_ma // conductance
        return fall_mv

    def _note(self):
        """Note who is on, what each carries and how well it conducts, in 0.01 S."""
        snap, on, low_mv = self._snap, 0, 1 << 20
        for i in range(BATTERIES):
            if i % CHANNELS == 0:
                yield
            if not carries(snap, i):
                self.ma[i] = 0
                continue
            ahead_ma = snap.current_ma[i] - self.ma[i]
            self.ma[i] += ahead_ma // _SMOOTH if self.on >> i & 1 else ahead_ma
            self._siemens[i] = 100000 // self._mohm(i)
            low_mv = min(low_mv, snap.voltage_mv[i])
            on |= 1 << i
        self.on, self._low_mv, self.there = on, low_mv, sum(snap.valid)

    def _mohm(self, i: int):
        mohm = self._snap.r_mohm[i] or self._limits.pack_mohm
        return max(mohm + self._limits.path_mohm, _LEAST_MOHM)

    def _room_mv(self, i: int, way: int, by_voltage: bool):
        """How far the output may fall (way -1: rise) before pack i is beyond a limit."""
        snap, limits = self._snap, self._limits
        ma, mohm = self.ma[i], self._mohm(i)
        most_ma = limits.discharge_ma if way > 0 else limits.charge_ma
        room_mv = min((most_ma - way * ma) * mohm // 1000, _FAR_MV)
        if by_voltage:
            pack_mohm = snap.r_mohm[i] or limits.pack_mohm
            mv = snap.voltage_mv[i] + (snap.current_ma[i] - ma) * pack_mohm // 1000
            spare_mv = mv - limits.min_voltage_mv if way > 0 else limits.max_voltage_mv - mv
            room_mv = min(room_mv, spare_mv * mohm // pack_mohm)
        return max(room_mv, -_FAR_MV)

    def _fit_pct(self, i: int):
        """How much of what pack i carries may be counted on, per cent."""
        snap, limits = self._snap, self._limits
        if snap.state[i] != ON:
            return 0  # a pack out of control is no promise
        if snap.soc_pct[i] != NO_CHARGE:
            pct = snap.soc_pct[i] * 100 // _FIT_PCT
        else:
            mohm = snap.r_mohm[i] or limits.pack_mohm
            rest_mv = snap.voltage_mv[i] + snap.current_ma[i] * mohm // 1000
            pct = (rest_mv - limits.min_voltage_mv) * 100 // _FIT_MV
        celsius, trip_c = snap.temperature_c[i], limits.temperature_trip_c
        if celsius != NO_TEMPERATURE and celsius > limits.temperature_alarm_c:
            pct = min(pct, (trip_c - celsius) * 100 // (trip_c - limits.temperature_alarm_c))
        return min(max(pct, 0), 100)

    def _promising(self):
        """Find `promise_a`.

        With the loss of pack k the output may fall until the first of the others is at its limit;
        what all but k carry then, each as far as it may be counted on, is the promise.
        """
        ma, siemens, fit = self.ma, self._siemens, self._order
        weighed_ma = weighed = packs = 0
        tightest, least_mv, next_mv = -1, _FAR_MV, _FAR_MV
        for i in range(BATTERIES):
            if i % CHANNELS == 0:
                yield
            if self.on >> i & 1:
                packs += 1
                pct = fit[i] = self._fit_pct(i)
                if pct:
                    room_mv = self._room_mv(i, 1, pct == 100)
                    if room_mv < least_mv:
                        tightest, least_mv, next_mv = i, room_mv, least_mv
                    elif room_mv < next_mv:
                        next_mv = room_mv
                weighed_ma += ma[i] * pct // 100
                weighed += siemens[i] * pct // 100
        yield
        promise_ma = weighed_ma + least_mv * weighed // 100
        if packs > 1:
            for i in range(BATTERIES):
                if self.on >> i & 1:
                    left_ma = weighed_ma - ma[i] * fit[i] // 100
                    left = weighed - siemens[i] * fit[i] // 100
                    room_mv = next_mv if i == tightest else least_mv
                    promise_ma = min(promise_ma, left_ma + room_mv * left // 100)
        self.promise_a = max(promise_ma, 0) // 1000

    # What is told

    def tell(self, kind: int, risk: int):
        """A look has found this risk, 0 = none, by the loss of a pack (kind 0) or of a board
        (1): raise or clear its alarm."""
        told, seconds = self.told[kind], self._seconds
        if bool(risk) == bool(told):
            seconds[kind] = 0
            self.told[kind] = risk
            return
        seconds[kind] += PERIOD_S
        if self.on and seconds[kind] < (_GONE_S if told else _HELD_S):
            return
        seconds[kind] = 0
        self.told[kind] = risk
        if kind == _THEN:
            return
        self._snap.alarm(_CODES[kind], RIG, risk > 0)
        if risk:
            self._emit(_CODES[kind], RIG, 0, 0, risk)

    def keeps(self):
        """Whether the rig stands the loss of any one pack; None while fewer than two are there
        or none is on."""
        return not self.told[0] if self.on and self.there > 1 else None

    def keeps_then(self, first: "int | None"):
        """The same when pack `first` 1..16, the first to end, has ended; None also while that is
        not known or no other is on."""
        if not first or not self.on & ~(1 << first - 1) or self.there < 3:
            return None
        return not self.told[_THEN]

    def risks(self):
        """What is told, as `GET /api/state` shows it: a list of dicts."""
        found = []
        for risk in self.told[:_THEN]:
            lost = risk >> LOST
            if risk:
                row = {"n": lost + 1, "board": None}
                if lost >= BATTERIES:
                    row = {"n": None, "board": lost - BATTERIES + 1}
                row["follow"] = [i + 1 for i in range(BATTERIES) if risk >> i & 1]
                row["dark"] = risk & DARK > 0
                found.append(row)
        return found

    def sentence(self, words: "Words", code: str, risk: int = 0):
        """The alarm or event of this code in words.

        Args:
            words: the `Words`; risk: that of the event, 0 = that of the alarm, which stands.
        """
        risk = risk or self.told[_CODES.index(code)]
        lost = risk >> LOST
        follow = [words.cascade("name", i + 1) for i in range(BATTERIES) if risk >> i & 1]
        what = "dark" if risk & DARK else "one" if len(follow) == 1 else "many"
        if len(follow) > 1:
            follow[-2:] = [words.cascade("and", follow[-1], follow[-2])]
        text = words.cascade(what, ", ".join(follow))
        if lost < BATTERIES:
            return words.cascade("pack", lost + 1, text)
        return words.cascade("board", lost - BATTERIES + 1, text)
