# SPDX-License-Identifier: GPL-3.0-only
"""Ticks and wall time, injected into everything that needs to know either.

Ticks wrap (at 2**30 ms, 12.4 days, on the ESP32): compare them with `diff` only, and only across
less than half their period. Wall time never schedules anything.
"""

from micropython import const

_UNIX_OF_2000 = const(946684800)  # seconds from the epoch of Unix to that of the ESP32


class Clock:
    """The time of one rig.

    Args:
        time: the `time` module, or anything with its ticks functions; wall time asks for its
            `time` and `gmtime` too.
    """

    def __init__(self, time: "Time"):
        self.ms = time.ticks_ms
        self.us = time.ticks_us
        self.diff = time.ticks_diff
        self.add = time.ticks_add
        self.sleep_us = time.sleep_us
        self._time = time
        self._offset_s = None
        self._zone = None
        self._zone_offset_s = None

    def set(self, unix_s: int):
        """Take over the wall time: whole seconds since 1970, UTC."""
        self._offset_s = unix_s - int(self._time.time())

    def set_zone(self, text: str):
        """Tell `local` where the rig is: a POSIX TZ string.

        Raises:
            ValueError: it is not such a string.
        """
        from parallelator import zone

        self._zone = zone.parsed(text)
        self._zone_offset_s = zone.offset_s

    def unix(self, ago_s: int = 0):
        """Wall time `ago_s` seconds ago in whole seconds since 1970, None while it is unknown."""
        if self._offset_s is None:
            return None
        return int(self._time.time()) + self._offset_s - ago_s

    def iso(self, ago_s: int = 0):
        """Wall time `ago_s` seconds ago as `2026-07-14T02:00:00Z`, None while it is unknown.

        It is UTC, for programs and logs: no hour comes twice or is missing.
        """
        return self.stamp(self.unix(ago_s))

    def stamp(self, unix_s: "int | None"):
        """A wall time in seconds since 1970 as `iso` writes it, None for None."""
        return None if unix_s is None else "%04d-%02d-%02dT%02d:%02d:%02dZ" % self._date(unix_s)

    def step(self, unix_s: "int | None", jump_s: int):
        """What setting the clock did, as text: `2026-07-14T01:00:00Z -> 2026-07-14T02:00:00Z`.

        Args:
            unix_s: what it was set to; jump_s: by how much, 0 when it was not set before.
        """
        now = self.stamp(unix_s) or ""
        return "%s -> %s" % (self.stamp(unix_s - jump_s), now) if now and jump_s else now

    def local(self, unix_s: "int | None"):
        """A wall time in seconds since 1970 as `2026-07-14 04:00:00` on the clock of the zone.

        For people, on the console and as text; as `stamp` while no zone is set.
        """
        if unix_s is None or self._zone is None:
            return self.stamp(unix_s)
        unix_s += self._zone_offset_s(self._zone, unix_s)
        return "%04d-%02d-%02d %02d:%02d:%02d" % self._date(unix_s)

    def _date(self, unix_s: int):
        if self._time.gmtime(0)[0] == 2000:
            unix_s -= _UNIX_OF_2000
        return self._time.gmtime(unix_s)[:6]
