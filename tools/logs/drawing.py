# SPDX-License-Identifier: GPL-3.0-only
"""What both pictures share: colours, ranges, thinned lines, labels that keep apart. Pure."""

import warnings
from dataclasses import dataclass

import numpy as np
import pandas as pd

from logs.parsing import BATTERIES
from logs.words import span

STATE_COLOURS = {
    "on": "#dcefdc",
    "waiting": "#fdf0bf",
    "off": "#d2d2d2",
    "tripped": "#f9b9a0",
    "locked": "#e0787a",
    "uncontrolled": "#d3b5ea",
    "absent": "#e2e7f5",
}
VOLTAGE = "#17386e"
DISCHARGE = "#d9822b"
CHARGE = "#1f9a8a"
TRIP = "#b3141b"
FLAW = "#6b2fa0"
GAP = "#9a9a9a"
_CROWDED = 0.14
"""Trips of one pack nearer than this share of the width get one label."""


@dataclass
class Strip:
    """What is drawn for one pack, or for the rig.

    Attributes:
        times: datetime64 array; volts, amps: float arrays, NaN where the line breaks.
    """

    times: np.ndarray
    volts: np.ndarray
    amps: np.ndarray


def strip_of(night, battery, points):
    """The lines of one pack, with at most about `points` points each for volts and amps."""
    rows = night.rows[night.rows["battery"] == battery]
    columns = (rows[name].to_numpy() for name in ("time", "voltage_mv", "current_ma"))
    return _strip(*columns, _breaks(rows), points)


def rig_of(night, points):
    """The lines of the rig: the median voltage and the sum of the currents of what is on."""
    rows = night.rows
    on = rows["state"].isin(("on", "uncontrolled")).to_numpy()
    # A sample is one uptime of one boot; its rows follow each other.
    boot, uptime_s = rows["boot"].to_numpy(), rows["uptime_s"].to_numpy()
    begins = np.append(True, (boot[1:] != boot[:-1]) | (uptime_s[1:] != uptime_s[:-1]))
    sample, first = np.cumsum(begins) - 1, np.flatnonzero(begins)
    battery = rows["battery"].to_numpy()
    volts = np.full((len(first), BATTERIES), np.nan, "float32")
    volts[sample[on], battery[on] - 1] = rows["voltage_mv"].to_numpy()[on]
    amps = np.zeros(len(first))
    current = np.nan_to_num(rows["current_ma"].to_numpy())
    np.add.at(amps, sample[on], current[on])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # samples in which nothing is on
        volts = np.nanmedian(volts, axis=1)
    gap = np.logical_and.reduceat(rows["gap"].to_numpy(), first)
    breaks = gap | np.append(True, boot[first][1:] != boot[first][:-1])
    return _strip(rows["time"].to_numpy()[first], volts, amps, breaks, points)


def _breaks(rows):
    return (rows["gap"] | rows["boot"].ne(rows["boot"].shift())).to_numpy()


def _strip(times, millivolts, milliamps, breaks, points):
    volts = millivolts.astype(float) / 1000
    amps = milliamps.astype(float) / 1000
    broken = np.flatnonzero(breaks)
    sides = np.concatenate((broken, broken[broken > 0] - 1))
    keep = np.unique(
        np.concatenate((thinned(volts, points // 2), thinned(amps, points // 2), sides))
    )
    # Two unknown points per break: one at the time of each side of it.
    at = np.searchsorted(keep, broken).repeat(2)
    ends = np.column_stack((np.maximum(broken - 1, 0), broken)).ravel()
    return Strip(
        np.insert(times[keep], at, times[ends]),
        np.insert(volts[keep], at, np.nan),
        np.insert(amps[keep], at, np.nan),
    )


def thinned(values, points):
    """Indexes, rising, of at most about `points` values that keep every extreme.

    The values are cut into pieces; of each its lowest, its highest and its first unknown one
    (NaN) stay, and the first and the last of all.
    """
    count = len(values)
    if count <= points:
        return np.arange(count)
    edges = np.linspace(0, count, max(points // 3, 1) + 1).astype(int)
    keep = {0, count - 1}
    for begin, end in zip(edges, edges[1:], strict=False):
        piece = values[begin:end]
        unknown = np.isnan(piece)
        if unknown.any():
            keep.add(begin + int(np.argmax(unknown)))
        if not unknown.all():
            keep.add(begin + int(np.nanargmin(piece)))
            keep.add(begin + int(np.nanargmax(piece)))
    return np.array(sorted(keep))


def volt_range(night):
    """(lowest, highest) of all voltages in V, apart by 1 V at least."""
    volts = night.rows["voltage_mv"].dropna() / 1000
    if volts.empty:
        return 24.0, 30.0
    low, high = float(volts.quantile(0.0005)), float(volts.quantile(0.9995))
    spare = max(0.0, 1 - (high - low)) / 2
    return low - spare, high + spare


def amp_range(amps):
    """(lowest, highest) of currents in A that a strip shows; a lone spike may be cut."""
    amps = amps[~np.isnan(amps)]
    if not len(amps):
        return 0.0, 1.0
    low, high = np.quantile(amps, (0.002, 0.998))
    return min(float(low) * 1.1, 0.0), max(float(high) * 1.1, 1.0)


def trip_labels(night, battery):
    """The trips of one pack: list of (times, text), those too near each other as one."""
    width = max(night.end - night.start, pd.Timedelta(seconds=1)) * _CROWDED
    groups = []
    for trip in night.trips[night.trips["battery"] == battery].itertuples():
        if groups and trip.time - groups[-1][0][0] < width:
            groups[-1][0].append(trip.time)
            groups[-1][1].append(trip.text)
        else:
            groups.append(([trip.time], [trip.text]))
    labels = []
    for times, texts in groups:
        reasons = dict.fromkeys(text.rpartition(", ")[0] or text for text in texts)
        many = f"{len(texts)} × {' / '.join(reasons)}"
        labels.append((times, texts[0] if len(texts) == 1 else many))
    return labels


def flaw_marks(night, flaws, apart):
    """Where the numbers of flaws stand in the lane of the log.

    Args:
        flaws: as of `report.flaw_lines`; apart: share of the width that a number takes.

    Returns:
        list: of (number, line, time), no two on each other.
    """
    width = night.end - night.start
    marks = []
    for k, (flaw, line) in enumerate(flaws, 1):
        if flaw and flaw.start is not None:
            at = flaw.end if flaw.kind == "clock" else flaw.start + (flaw.end - flaw.start) / 2
            marks.append((min(max(at, night.start), night.end), k, line))
    placed = []
    for at, k, line in sorted(marks, key=lambda mark: mark[:2]):
        placed.append((k, line, max(at, placed[-1][2] + width * apart) if placed else at))
    return placed


def pack_line(night, battery):
    """What is written next to the strip of one pack: list of short texts."""
    pack = night.packs.loc[battery]
    words = [f"{pack.out_ah:.1f} Ah out", f"{pack.in_ah:.1f} in", f"on {span(pack.on_h * 3600)}"]
    if pack.first_pct == pack.first_pct:
        words.append(f"{pack.first_pct:.0f} to {pack.last_pct:.0f} %")
    return [*words, f"peak {pack.peak_a:.1f} A".replace("-", "−")]
