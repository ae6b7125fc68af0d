"""What happened, as numbers in a preallocated ring: filled by anybody, read by the console.

The ring discards its oldest entry when full and counts what a reader missed. `emit` allocates
nothing, so the guard may call it.
"""

from array import array

from micropython import const

_SIZE = const(64)


class Events:
    """The last 64 events.

    Args:
        snap: the `Snapshot`, for the uptime of an event.

    Attributes:
        count: events since boot; event number k lives until event k + 64.
    """

    def __init__(self, snap: "Snapshot"):
        self._snap = snap
        self._codes: list[str | None] = [None] * _SIZE
        self._numbers = array("i", bytes(4 * 5 * _SIZE))
        self.count = 0

    def emit(self, code: str, i: int, state: int, reason: int, value: int):
        """Record an event.

        Args:
            code: of an event of the catalogue; i: battery 0..15 or RIG;
            state, reason: snapshot constants; value: mA, mV or a count, as the code says.
        """
        at = self.count % _SIZE
        self._codes[at] = code
        numbers = self._numbers
        at *= 5
        numbers[at] = self._snap.uptime_s
        numbers[at + 1] = i
        numbers[at + 2] = state
        numbers[at + 3] = reason
        numbers[at + 4] = value
        self.count += 1

    def after(self, number: int):
        """The next event from `number` on: (number, uptime_s, code, i, state, reason, value).

        Returns:
            tuple or None: None when there is none yet. A number larger than asked for means
            that the ones between were discarded.
        """
        number = max(number, self.count - _SIZE)
        if number >= self.count:
            return None
        at = number % _SIZE
        return (number, self._numbers[at * 5], self._codes[at]) + tuple(
            self._numbers[at * 5 + 1 : at * 5 + 5]
        )
