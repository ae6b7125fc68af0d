"""Ticks and wall time, injected into everything that needs to know either.

Ticks wrap (at 2**30 ms, 12.4 days, on the ESP32): compare them with `diff` only, and only across
less than half their period. Wall time never schedules anything.
"""


class Clock:
    """The time of one rig.

    Args:
        time: the `time` module, or anything with its ticks functions.
    """

    def __init__(self, time):
        self.ms = time.ticks_ms
        self.us = time.ticks_us
        self.diff = time.ticks_diff
        self.add = time.ticks_add
        self.sleep_us = time.sleep_us

    def iso(self):
        """Wall time as an ISO 8601 string, None while it is unknown: nothing sets it yet."""
        return None
