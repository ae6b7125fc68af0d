# SPDX-License-Identifier: GPL-3.0-only
"""Shows that begin by themselves: the setting `time.show`. Asked by app."""

from micropython import const

from parallelator.formats import hours_of

_MINUTE_S = const(60)
_DAY_MIN = const(1440)


def follow_schedule(rig: "Rig", last: int):
    """Begin the show of the setting `time.show` when its time has come, once.

    One that stands already gets the later end. A show that somebody ends is over; after a power
    cut it begins again.

    Args:
        last: what this has returned before, 0 at first.

    Returns:
        int: when the last one of them had to begin, in minutes since 1970.
    """
    hours = hours_of(rig.settings["time.show"])
    now_s = rig.clock.unix()
    if hours is None or now_s is None:
        return last
    here = rig.clock.local(now_s)
    begin, end = hours
    since = (int(here[11:13]) * 60 + int(here[14:16]) - begin) % _DAY_MIN
    due = now_s // _MINUTE_S - since
    if due == last or since >= (end - begin) % _DAY_MIN:
        return last
    from parallelator.show.mode import begin as begin_show
    from parallelator.show.mode import seconds

    text = "%02d:%02d" % (end // 60, end % 60)
    if seconds(rig.clock, text) <= rig.show_s() + _MINUTE_S:
        return due
    return last if begin_show(rig, text) else due
