# SPDX-License-Identifier: GPL-3.0-only
"""Draws a night as a PNG: a lane for the log, the rig, then a strip per pack. For night.py."""

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates as dates  # noqa: E402 - after the choice of the back end
from matplotlib import pyplot  # noqa: E402
from matplotlib.patches import Patch  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402
from PIL import Image  # noqa: E402

from logs import drawing, report  # noqa: E402

_WIDTH_IN = 12.0
_DPI = 100
_POINTS = 1500
_LANE_IN, _RIG_IN, _STRIP_IN, _LINE_IN = 0.44, 1.15, 0.62, 0.17
_TOP_IN, _AXIS_IN = 0.95, 0.42
_LEFT, _RIGHT = 0.075, 0.865
_SMALL = 7.5


def draw(night, path, _sheets=()):
    """Write the picture of a `Night` to `path`."""
    flaws = report.flaw_lines(night.flaws)
    lines = [f"{k}  {line}" for k, (_, line) in enumerate(flaws, 1)]
    if night.others:
        lines += ["Elsewhere:"] + [f"    {line}" for _, line in report.flaw_lines(night.others)]
    packs = list(night.packs.index)
    heights = [_LANE_IN, _RIG_IN] + [_STRIP_IN] * len(packs)
    below = _AXIS_IN + _LINE_IN * (len(lines) + 2)
    total = _TOP_IN + sum(heights) + below
    figure, axes = pyplot.subplots(
        len(heights),
        1,
        sharex=True,
        figsize=(_WIDTH_IN, total),
        gridspec_kw={
            "height_ratios": heights,
            "hspace": 0.06,
            "left": _LEFT,
            "right": _RIGHT,
            "top": 1 - _TOP_IN / total,
            "bottom": below / total,
        },
    )
    try:
        _head(figure, night, total)
        _lane(axes[0], night, flaws)
        _rig(axes[1], night)
        volts = drawing.volt_range(night)
        amps = drawing.amp_range(night.rows["current_ma"].to_numpy(dtype=float) / 1000)
        for axis, n in zip(axes[2:], packs, strict=True):
            _pack(axis, night, n, volts, amps)
        for axis, n in zip(axes, [None, None, *packs], strict=True):
            _shade(axis, night, n)
        _time_axis(axes[-1], night)
        foot = "\n".join(lines) if lines else "No flaw in the log."
        y = (_LINE_IN * (len(lines) + 1)) / total
        figure.text(0.02, y, foot, va="top", fontsize=8, color=drawing.FLAW, linespacing=1.35)
        _save(figure, path)
    finally:
        pyplot.close(figure)


def _save(figure, path):
    # In 256 colours a picture has a third of the bytes. The octree keeps rare ones: trips.
    figure.set_dpi(_DPI)
    figure.canvas.draw()
    size = figure.canvas.get_width_height()
    picture = Image.frombuffer("RGBA", size, figure.canvas.buffer_rgba()).convert("RGB")
    method, dither = Image.Quantize.FASTOCTREE, Image.Dither.NONE
    picture.quantize(256, method=method, dither=dither).save(path, optimize=True)


def _head(figure, night, total):
    figure.text(0.02, 1 - 0.16 / total, night.title, va="top", fontsize=15, weight="bold")
    figure.text(0.02, 1 - 0.46 / total, report.headline(night), va="top", fontsize=9.5)
    seen = set(night.bands["state"])
    keys = [
        Patch(fc=c, ec="#aaaaaa", lw=0.6, label=s)
        for s, c in drawing.STATE_COLOURS.items()
        if s in seen
    ]
    keys += [
        Patch(color=drawing.VOLTAGE, label="voltage"),
        Patch(color=drawing.DISCHARGE, label="discharge"),
        Patch(color=drawing.CHARGE, label="charge"),
        Patch(color=drawing.TRIP, label="trip"),
    ]
    figure.legend(
        handles=keys,
        loc="upper left",
        bbox_to_anchor=(0.014, 1 - 0.62 / total),
        ncols=len(keys),
        fontsize=8,
        frameon=False,
        handlelength=1.1,
        columnspacing=1.2,
        handletextpad=0.4,
    )


def _lane(axis, night, flaws):
    """Where rows are, the starts of the controller, and the flaws by their numbers."""
    _plain(axis, "log")
    axis.set_ylim(0, 1)
    stretches = night.bands.groupby("battery").get_group(night.bands["battery"].iloc[0])
    for band in stretches.itertuples():
        axis.axvspan(band.start, band.end, color="#c9d6e8", lw=0)
    for boot in night.boots:
        axis.axvline(boot.start, color="#333333", lw=1.2)
        if boot.number is not None:
            _note(axis, boot.start, 0.75, f"boot {boot.number}", "#333333", night)
    for k, _, at in drawing.flaw_marks(night, flaws, 0.018):
        axis.plot([at], [0.28], "o", ms=11, color=drawing.FLAW, clip_on=False, zorder=8)
        axis.annotate(
            str(k),
            (at, 0.26),
            color="white",
            fontsize=7,
            weight="bold",
            ha="center",
            va="center",
            zorder=9,
        )


def _rig(axis, night):
    _plain(axis, "rig")
    rig = drawing.rig_of(night, _POINTS)
    low, high = drawing.amp_range(rig.amps)
    _lines(axis, rig, drawing.volt_range(night), (low, high))
    if len(night.packs):
        words = f"{night.packs['out_ah'].sum():.1f} Ah out\n{night.packs['in_ah'].sum():.1f} Ah in"
        axis.text(1.045, 0.5, words, transform=axis.transAxes, va="center", fontsize=8.5)


def _pack(axis, night, n, volts, amps):
    _plain(axis, str(n))
    for band in night.bands[night.bands["battery"] == n].itertuples():
        axis.axvspan(band.start, band.end, color=drawing.STATE_COLOURS[band.state], lw=0)
    _lines(axis, drawing.strip_of(night, n, _POINTS), volts, amps)
    for times, text in drawing.trip_labels(night, n):
        for time in times:
            axis.axvline(time, color=drawing.TRIP, lw=1)
            axis.plot(
                [time], [0.93], "v", ms=5, color=drawing.TRIP, transform=axis.get_xaxis_transform()
            )
        _note(axis, times[-1], 0.12, text, drawing.TRIP, night)
    words = drawing.pack_line(night, n)
    words = f"{', '.join(words[:2])}\n{words[2]}\n{words[3]}"
    axis.text(1.045, 0.5, words, transform=axis.transAxes, va="center", fontsize=_SMALL)


def _lines(axis, strip, volts, amps):
    """Voltage in the upper, current in the lower part of a strip."""
    low, high = volts
    axis.plot(strip.times, strip.volts, color=drawing.VOLTAGE, lw=1)
    axis.set_ylim(low - 1.05 * (high - low), high + 0.12 * (high - low))
    axis.set_yticks([low, high], [f"{low:.1f} V", f"{high:.1f} V"], fontsize=_SMALL)
    axis.tick_params(axis="y", length=2, color=drawing.VOLTAGE, labelcolor=drawing.VOLTAGE)
    low, high = amps
    right = axis.twinx()
    shown = strip.amps.clip(low, high)
    for colour, part in (
        (drawing.DISCHARGE, shown.clip(0, None)),
        (drawing.CHARGE, shown.clip(None, 0)),
    ):
        right.fill_between(strip.times, part, 0, color=colour, alpha=0.75, lw=0.6)
    right.set_ylim(low - 0.04 * (high - low), high + 1.25 * (high - low))
    marks = [low, 0, high] if low < -0.25 * high else [0, high]
    right.set_yticks(marks, [f"{a:.0f} A".replace("-", "−") for a in marks], fontsize=_SMALL)
    right.tick_params(axis="y", length=2, color=drawing.DISCHARGE, labelcolor="#8a4a0b")
    _bare(right)


def _shade(axis, night, n):
    """Stretches without rows of battery n, jumps of the clock and restarts, over everything."""
    for flaw in night.flaws:
        if flaw.kind in ("gap", "day") and (not flaw.packs or n in flaw.packs):
            axis.axvspan(flaw.start, flaw.end, fc="none", ec=drawing.GAP, hatch="////", lw=0)
        elif flaw.kind == "clock":
            axis.axvline(flaw.end, color=drawing.FLAW, lw=1, ls=(0, (4, 2)))
    for boot in night.boots[1:]:
        axis.axvline(boot.start, color="#333333", lw=0.8, ls=":")


def _time_axis(axis, night):
    span = night.end - night.start
    axis.set_xlim(night.start - span * 0.004, night.end + span * 0.004)
    axis.tick_params(axis="x", bottom=True, labelbottom=True, labelsize=8.5)
    if night.dated:
        locator = axis.xaxis.get_major_locator()
        axis.xaxis.set_major_formatter(dates.ConciseDateFormatter(locator, show_offset=False))
    else:
        axis.xaxis.set_major_formatter(FuncFormatter(lambda day, _: _uptime(day)))
    unit = "UTC" if night.dated else "uptime, h:min:s"
    axis.annotate(
        unit,
        (1, 0),
        xycoords="axes fraction",
        xytext=(14, -8),
        textcoords="offset points",
        va="top",
        fontsize=8.5,
    )


def _uptime(day):
    seconds = round(day * 86400)
    return f"{seconds // 3600}:{seconds // 60 % 60:02}:{seconds % 60:02}"


def _note(axis, time, height, text, colour, night):
    """A label right of a moment, left of it when it is late."""
    late = time - night.start > (night.end - night.start) * 0.7
    axis.annotate(
        text,
        (time, height),
        xycoords=("data", "axes fraction"),
        xytext=(-5 if late else 5, 0),
        textcoords="offset points",
        ha="right" if late else "left",
        va="center",
        fontsize=_SMALL,
        color=colour,
        bbox={"boxstyle": "square,pad=0.15", "fc": "white", "ec": "none", "alpha": 0.85},
        zorder=7,
    )


def _plain(axis, name):
    _bare(axis)
    axis.set_yticks([])
    axis.tick_params(axis="x", bottom=False, labelbottom=False)
    axis.text(
        -0.048,
        0.5,
        name,
        transform=axis.transAxes,
        ha="right",
        va="center",
        fontsize=12,
        weight="bold",
    )


def _bare(axis):
    for side in ("top", "right", "bottom", "left"):
        axis.spines[side].set_visible(False)
