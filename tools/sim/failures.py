# SPDX-License-Identifier: GPL-3.0-only
"""Failures of the output: when it may, and when it has to be started again. Asked by the judges.

The contract: a first start that fails is tried again after 1 s, then after reconnect_delay_ms
twice, then after 1, 2, 5, 10, 10, ... minutes; the tenth failure within two hours locks the
output; an operator's *On* or *reset* of any pack tries at once. Where nobody outside can say
whether the firmware saw a failure, it is a possible one: it makes the firmware wait no longer than
allowed, and never has to.
"""

from sim.evidence import FOREVER, S

_AGAIN_US = S
_LATER_US = (60 * S, 120 * S, 300 * S, 600 * S)
_WINDOW_US = 7200 * S
_FAILURES = 10
_HELD_US = 30 * S  # after this the row of failures may be over
_SURELY_HELD_US = 90 * S
_SHORTER = 0.9
_ASKED_US = 61 * S
_TOGETHER_US = S


class Failures:
    """The failures of one output.

    Args:
        limits: an `evidence.RefereeLimits`.

    Attributes:
        by_charge_us: when it last failed since it was charged too much.
    """

    def __init__(self, limits):
        self._limits = limits
        self._sure = []
        self._possible = []
        self._row = self._sure_row = 0
        self._sure_us = self._possible_us = self._asked_us = -FOREVER
        self._held_us = None
        self._locked = self._surely_locked = False
        self._early = False
        self.by_charge_us = -FOREVER

    def note(self, at_us, surely):
        """The output failed, `surely` or perhaps."""
        if at_us - self._possible_us > _TOGETHER_US:
            self._row += 1
            self._possible_us = at_us
            self._locked = _count(self._possible, at_us) or self._locked
        if surely:
            self._sure_row += 1
            self._sure_us = at_us
            if self._sure_row > 1:
                # Whether the first of a row counts, which is tried again at once, is left open.
                self._surely_locked = _count(self._sure, at_us) or self._surely_locked
        self._held_us = None

    def hold(self, at_us, live):
        """The output has its supply, or has none."""
        if not live:
            self._held_us = None
        elif self._held_us is None:
            self._held_us = at_us
        elif at_us - self._held_us > _HELD_US:
            self._sure_row = 0
            if at_us - self._held_us > _SURELY_HELD_US:
                self._row = 0

    def ask(self, at_us):
        """An operator's *On* or *reset* of any pack."""
        self._asked_us = at_us
        self._locked = self._surely_locked = False

    def pardon(self):
        """The operator resets the output."""
        self._locked = self._surely_locked = False
        self._sure.clear()
        self._possible.clear()
        self._row = self._sure_row = 0
        self._sure_us = self._possible_us = -FOREVER

    def restarted(self, at_us, forgotten, powered_on):
        """The controller restarts: it forgets failures when power was off, and no lock."""
        self._sure_row = 0
        self._held_us = None
        if powered_on:
            self._sure.clear()
            self._possible.clear()
            self._row = 0
            if forgotten:
                self._surely_locked = False

    def may_be_wide(self, at_us):
        """True when the next start may follow a failed one."""
        return self._row > 0

    def judge(self, at_us, joined, report):
        """Packs close: is the output locked, or in its pause?"""
        if not joined or at_us - self._asked_us < _ASKED_US:
            return
        if self._surely_locked:
            for pack in joined:
                report(at_us, pack, "closed though the bus is locked")
        elif self._sure_row and (self._held_us is None or at_us - self._held_us < _TOGETHER_US):
            delays = (_AGAIN_US,) + (self._limits.reconnect_us,) * 2 + _LATER_US
            pause_us = delays[min(self._sure_row, len(delays)) - 1]
            if at_us - self._sure_us < pause_us * _SHORTER:
                report(at_us, joined[0], "started too soon after a failure")

    def over_us(self):
        """When the longest pause allowed is over; FOREVER while the output may be locked."""
        if self._locked:
            return FOREVER
        if not self._row:
            return -FOREVER
        if self._asked_us > self._possible_us:
            return self._asked_us
        delays = (self._limits.reconnect_us,) * 2 + _LATER_US
        return self._possible_us + delays[min(self._row, len(delays)) - 1]

    def judge_lock(self, at_us, locked, pack, report):
        """The firmware says that the output is locked: too early?"""
        if locked and not self._locked and not self._early:
            report(at_us, pack, "the output is locked without a cause")
        self._early = locked


def _count(failures, at_us):
    """Note a failure; True when it is the tenth within two hours."""
    failures.append(at_us)
    while failures[0] < at_us - _WINDOW_US:
        failures.pop(0)
    return len(failures) >= _FAILURES
