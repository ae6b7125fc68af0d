# SPDX-License-Identifier: GPL-3.0-only
"""How long the guard was kept waiting, and by what. Filled where it happens; shown by web.reports.

Each kind is counted in classes that grow with the time, in 576 bytes for all: of 1 ms below 16 ms,
then four to each doubling.
"""

from array import array

from micropython import const

KINDS = ("gc_pause", "flash_pause", "tick_late")
"""Collections of garbage; writes to the internal flash; how late the guard's ticks began."""
GC = const(0)
FLASH = const(1)
LATE = const(2)
_CLASSES = const(48)
_EXACT_MS = const(16)


class Pauses:
    """The pauses since boot.

    Args:
        clock: a `clock.Clock`.
    """

    def __init__(self, clock: "Clock"):
        self._clock = clock
        self._counts = array("i", bytes(4 * _CLASSES * len(KINDS)))
        self._worst_ms = array("i", bytes(4 * len(KINDS)))

    def note(self, kind: int, ms: int):
        """Count a pause of a kind, an index into KINDS. Allocates nothing."""
        self._counts[kind * _CLASSES + _class_of(ms)] += 1
        if ms > self._worst_ms[kind]:
            self._worst_ms[kind] = ms

    def flash(self, job: "Callable"):
        """Call a function without arguments that writes to the internal flash, and time it."""
        clock = self._clock
        began = clock.ms()
        try:
            return job()
        finally:
            self.note(FLASH, clock.diff(clock.ms(), began))

    def worst_ms(self, kind: int):
        """The longest pause of a kind, 0 = there was none."""
        return self._worst_ms[kind]

    def count(self, kind: int):
        """How many there were of a kind."""
        return sum(self._counts[kind * _CLASSES : (kind + 1) * _CLASSES])

    def p999_ms(self, kind: int):
        """What 99.9 % of a kind's pauses did not exceed, rounded up by a quarter at most."""
        first = kind * _CLASSES
        beyond = self.count(kind) // 1000
        for k in range(_CLASSES - 1, -1, -1):
            beyond -= self._counts[first + k]
            if beyond < 0:
                return min(_most_ms(k), self._worst_ms[kind])
        return 0


def _class_of(ms: int):
    if ms < _EXACT_MS:
        return max(ms, 0)
    k = _EXACT_MS
    while ms >= 2 * _EXACT_MS and k < _CLASSES - 4:
        ms >>= 1
        k += 4
    return k + min((ms - _EXACT_MS) >> 2, 3)


def _most_ms(k: int):
    """The longest pause of class k."""
    if k < _EXACT_MS:
        return k
    octave = (k - _EXACT_MS) >> 2
    return (((k & 3) + 1) * 4 + _EXACT_MS << octave) - 1
