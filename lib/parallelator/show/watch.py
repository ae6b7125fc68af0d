# SPDX-License-Identifier: GPL-3.0-only
"""Tells before it happens which loss would pull others along. Run by app once the rig protects."""

import asyncio

from micropython import const

from parallelator.show.cascade import DARK, LOST, Cascade
from parallelator.snapshot import BATTERIES, RIG

_PERIOD_MS = const(1000)
_HELD_S = const(5)
_GONE_S = const(30)
"""How long a risk is there before it is told, and away before it is told no more."""
_CODES = ("cascade", "cascade_board")


class Watch:
    """Watches one rig.

    Args:
        rig: the `Rig`; of it `snap`, `guard.limits`, `meter`, `events` and `words` are used.

    Attributes:
        cascade: the `Cascade`.
        told: the risks by the loss of a pack and of a board that stand as alarms, see
            `cascade.LOST`; 0 = none.
    """

    def __init__(self, rig: "Rig"):
        self._rig = rig
        self.cascade = Cascade(rig.snap, rig.guard.limits)
        self.told = [0, 0]
        self._seconds = bytearray(2)

    async def run(self):
        """Look once a second, for ever."""
        while True:
            await asyncio.sleep_ms(_PERIOD_MS)
            told = self._rig.meter and self._rig.meter.told
            for _ in self.cascade.looking(told[-1] if told else None):
                await asyncio.sleep_ms(0)
            self.tell(0, self.cascade.pack)
            self.tell(1, self.cascade.board)

    def tell(self, kind: int, risk: int):
        """A second went by with this risk, 0 = none: raise or clear the alarm of its kind."""
        rig, told, seconds = self._rig, self.told[kind], self._seconds
        if bool(risk) == bool(told):
            seconds[kind] = 0
            self.told[kind] = risk
            return
        seconds[kind] += 1
        if seconds[kind] < (_GONE_S if told else _HELD_S):
            return
        seconds[kind] = 0
        self.told[kind] = risk
        rig.snap.alarm(_CODES[kind], RIG, risk > 0)
        if risk:
            rig.events.emit(_CODES[kind], RIG, 0, 0, risk)

    def promise_a(self):
        """See `Cascade.promise_a`."""
        return self.cascade.promise_a

    def keeps(self):
        """Whether the rig stands the loss of any one pack; None while fewer than two are there
        or none is on."""
        cascade = self.cascade
        if cascade.promise_a is None or not cascade.on or cascade.there < 2:
            return None
        return not self.told[0]

    def risks(self):
        """What stands, as `GET /api/state` shows it: a list of dicts."""
        return [
            {
                "n": None if risk >> LOST >= BATTERIES else (risk >> LOST) + 1,
                "board": (risk >> LOST) - BATTERIES + 1 if risk >> LOST >= BATTERIES else None,
                "follow": [i + 1 for i in range(BATTERIES) if risk >> i & 1],
                "dark": risk & DARK > 0,
            }
            for risk in self.told
            if risk
        ]

    def text(self, code: str):
        """The sentence of the alarm of this code, which stands."""
        return self.sentence(self.told[_CODES.index(code)])

    def sentence(self, risk: int):
        """A risk in words."""
        words, lost = self._rig.words, risk >> LOST
        follow = [words.cascade("name", i + 1) for i in range(BATTERIES) if risk >> i & 1]
        what = "dark" if risk & DARK else "one" if len(follow) == 1 else "many"
        if len(follow) > 1:
            follow[-2:] = [words.cascade("and", follow[-1], follow[-2])]
        text = words.cascade(what, ", ".join(follow))
        if lost < BATTERIES:
            return words.cascade("pack", lost + 1, text)
        return words.cascade("board", lost - BATTERIES + 1, text)
