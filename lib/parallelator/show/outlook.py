# SPDX-License-Identifier: GPL-3.0-only
"""What was close in a show, and what to look at before the next one. Pure: a `Tally` that is
closed in, rows out. Loaded by `report`.
"""

from micropython import const

from parallelator import catalog
from parallelator.catalog import LOCKED
from parallelator.show.tally import (
    CHARGE,
    CODES,
    DISCHARGE,
    FULL,
    HEAT,
    LAG,
    LAST_PCT,
    LOW,
    OUT_DWH,
    RESTARTS,
    SHORT_S,
)
from parallelator.snapshot import BATTERIES, CHANNELS, RIG

# limit; quantity of a `Tally` that it bounds; its name in `rules.Limits`; so near, in per cent, is
# worth a look, None: an alarm tells of it. What is left to a current, to a lag and to a
# temperature is a part of the limit, what is left to a voltage a part of the window.
LIMITS = (
    ("discharge", DISCHARGE, "discharge_ma", 10),
    ("charge", CHARGE, "charge_ma", 10),
    ("high", FULL, "max_voltage_mv", 3),
    ("low", LOW, "min_voltage_mv", 10),
    ("lag", LAG, "imbalance_mv", 20),
    ("heat", HEAT, "temperature_trip_c", None),
)

# code, how bad it is; the order is that of the danger. A limit has the code of LIMITS.
TASKS = (
    ("alarm", "danger"),  # which one
    ("locked", "danger"),  # for which reason
    ("tripped", "trouble"),  # times
    ("discharge", "trouble"),  # % of the limit that were reached
    ("charge", "trouble"),
    ("high", "trouble"),
    ("lag", "trouble"),
    ("alarm", "trouble"),
    ("promise", "trouble"),  # s
    ("lost", "trouble"),  # s
    ("restarted", "trouble"),  # times
    ("low", "notice"),  # % of the window that were left
    ("empty", "notice"),  # % of charge
    ("recharge", "notice"),  # Wh that are missing
)

_LEAST_S = const(10)
"""Less is no matter: the first battery after a restart is alone for a moment."""
_EMPTY_PCT = const(20)
_LOW_PCT = const(50)
_SPARE_PCT = const(120)
"""The next show may take so much of what this one took."""
_TOLD_BY_CHARGE = ("low_soon", "rig_empty")


def margin(tally: "Tally", limits: "Limits", row: tuple, i: int):
    """What was left of battery i to a limit.

    Args:
        row: of LIMITS.

    Returns:
        tuple or None: per cent, rounded down, and the reading; None when there was none.
    """
    _, quantity, name, _ = row
    most = tally.greatest(quantity, i)
    if most is None or (most <= 0 and quantity != LOW):
        return None
    limit = whole = getattr(limits, name)
    left = limit - most
    if quantity == LOW:
        most = -most
        left = most - limit
    if quantity == LOW or quantity == FULL:
        whole = limits.max_voltage_mv - limits.min_voltage_mv
    return left * 100 // whole, most


def closest(tally: "Tally", limits: "Limits"):
    """The battery that came nearest to each limit: a generator of dicts; None is a pause."""
    for row in LIMITS:
        found = None
        for i in range(BATTERIES):
            if i % CHANNELS == 0:
                yield None
            left = margin(tally, limits, row, i)
            if left and (not found or left[0] < found[0][0]):
                found = left, i
        if found:
            (pct, most), i = found
            yield {
                "limit": row[0],
                "n": i + 1,
                "value": most,
                "bound": getattr(limits, row[2]),
                "margin_pct": pct,
                "at_s": tally.when(row[1], i),
            }


def tasks(tally: "Tally", limits: "Limits", left_wh: "int | None", missing_wh: int):
    """What to look at before the next show, the worst first: a generator; None is a pause.

    Args:
        left_wh: energy that is left, None = not known; missing_wh: what the batteries lack.

    Yields:
        tuple or None: (number 1..16 or 0 = the rig; code and level of TASKS; value).
    """
    for code, level in TASKS:
        yield None
        if code == "alarm":
            for i, value in _alarms(tally, level, left_wh is not None):
                yield None if value is None else (i + 1, code, level, value)
            continue
        if code == "recharge":
            value = _recharge(tally, left_wh, missing_wh)
        else:
            value = _of_rig(tally, code)
        if value:
            yield 0, code, level, value
        for i in range(BATTERIES):
            if i % CHANNELS == 0:
                yield None
            value = _of_battery(tally, limits, code, i)
            if value is not None:
                yield i + 1, code, level, value


def _of_rig(tally: "Tally", code: str):
    if code == "promise":
        return tally.rig[SHORT_S] if tally.rig[SHORT_S] >= _LEAST_S else 0
    return tally.rig[RESTARTS] if code == "restarted" else 0


def _recharge(tally: "Tally", left_wh: "int | None", missing_wh: int):
    if left_wh is None or tally.rig[LAST_PCT] < 0:
        return 0
    out_wh = sum(tally.moved(OUT_DWH, i) for i in range(BATTERIES)) // 10
    enough = left_wh * 100 >= out_wh * _SPARE_PCT and tally.rig[LAST_PCT] >= _LOW_PCT
    return 0 if enough else missing_wh


def _of_battery(tally: "Tally", limits: "Limits", code: str, i: int):
    """The value of a task of TASKS for battery i, None when there is none."""
    if code == "locked":
        locked = tally.state[i] == LOCKED
        return catalog.reason_name(tally.reason[i]) if locked else None
    if code == "tripped":
        return tally.trips[i] or None
    if code == "lost":
        return tally.lost_s[i] if tally.lost_s[i] >= _LEAST_S else None
    if code == "empty":
        return tally.last_pct[i] if tally.last_pct[i] <= _EMPTY_PCT else None
    for row in LIMITS:
        left = margin(tally, limits, row, i) if row[0] == code else None
        if left and left[0] < row[3]:
            return left[0] if code == "low" else 100 - left[0]
    return None


def _alarms(tally: "Tally", level: str, charge_known: bool):
    """The alarms of this severity that stood: (battery or RIG, code); a code None is a pause."""
    for k, code in enumerate(catalog.NAMES[: catalog.ALARMS]):
        if k % 4 == 0:
            yield RIG, None
        if catalog.CODES[k][1] != level or (charge_known and code in _TOLD_BY_CHARGE):
            continue
        if k >= catalog.BATTERY_ALARMS:
            if tally.rig[CODES] >> k - catalog.BATTERY_ALARMS & 1:
                yield RIG, code
            continue
        for i in range(BATTERIES):
            if tally.codes[i] >> k & 1:
                yield i, code
