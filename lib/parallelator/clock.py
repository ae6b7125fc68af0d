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

    def __init__(self, time):
        self.ms = time.ticks_ms
        self.us = time.ticks_us
        self.diff = time.ticks_diff
        self.add = time.ticks_add
        self.sleep_us = time.sleep_us
        self._time = time
        self._offset_s = None

    def set(self, unix_s):
        """Take over the wall time: whole seconds since 1970, UTC."""
        if self._time.gmtime(0)[0] == 2000:
            unix_s -= _UNIX_OF_2000
        self._offset_s = unix_s - int(self._time.time())

    def unix(self, ago_s=0):
        """Wall time `ago_s` seconds ago in whole seconds since 1970, None while it is unknown."""
        if self._offset_s is None:
            return None
        unix_s = int(self._time.time()) + self._offset_s - ago_s
        return unix_s + _UNIX_OF_2000 if self._time.gmtime(0)[0] == 2000 else unix_s

    def iso(self, ago_s=0):
        """Wall time `ago_s` seconds ago as `2026-07-14T02:00:00Z`, None while it is unknown."""
        if self._offset_s is None:
            return None
        when = self._time.gmtime(int(self._time.time()) + self._offset_s - ago_s)
        return "%04d-%02d-%02dT%02d:%02d:%02dZ" % when[:6]
