# SPDX-License-Identifier: GPL-3.0-only
"""Draws a night as one HTML page that works offline, on a phone too. For night.py."""

from html import escape

import numpy as np
import plotly.graph_objects as go

from logs import drawing, report, sheet, shows

_POINTS = 2000
_LANE_PX, _RIG_PX, _STRIP_PX, _TITLE_PX, _AXIS_PX, _TOP_PX = 38, 130, 78, 19, 52, 84
_LEFT_PX = 44
_MARK = 0.05
_GREY = "#444444"
_CONFIG = {
    "responsive": True,
    "displaylogo": False,
    "displayModeBar": True,
    "modeBarButtons": [["zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]],
    "scrollZoom": False,
}
# A finger that moves over the picture means to scroll the page.
_TOUCH = """
const picture = document.getElementById('{plot_id}');
if (matchMedia('(pointer: coarse)').matches) Plotly.relayout(picture, {dragmode: false});
"""
_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, sans-serif; color: #1c1c1c; background: #fff;
  max-width: 1400px; margin: 0 auto; padding: 12px; }
h1 { font-size: 1.45em; margin: 0 0 .2em; }
h2 { font-size: 1.1em; margin: 1.4em 0 .3em; }
p { margin: .2em 0 .6em; }
.keys span { display: inline-block; margin-right: 1em; white-space: nowrap; }
.keys i { display: inline-block; width: .9em; height: .9em; margin-right: .35em;
  vertical-align: -.1em; border: 1px solid #bbb; }
.flaws { color: #55228a; }
.flaws ol, .flaws ul, .list { margin: 0; padding-left: 1.6em; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .15em .7em; white-space: nowrap;
  border-bottom: 1px solid #ddd; }
@media (max-width: 480px) {
  table { font-size: .8em; } th, td { padding: .2em .4em; } th { white-space: normal; } }
"""


def draw(night, path, sheets=()):
    """Write the page of a `Night` to `path`; what is printed of it are the `sheets`."""
    flaws = report.flaw_lines(night.flaws)
    chart = _figure(night, flaws).to_html(
        full_html=False,
        include_plotlyjs=True,
        config=_CONFIG,
        post_script=_TOUCH,
        div_id="night",
        default_width="100%",
    )
    path.write_text(
        f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(night.title)}</title><style>{_STYLE}{sheet.STYLE}{shows.STYLE}</style></head><body>
<h1>{escape(night.title)}</h1>
<p>{escape(report.rig_line(night))}</p>
<p>{escape(report.headline(night))}</p>
{_keys(night)}
{_flaws("Flaws of this log", flaws, "ol")}
{chart}
{_flaws("Flaws elsewhere", report.flaw_lines(night.others), "ul")}
<h2>Packs</h2>{_table(night)}
{_list("Trips", report.trip_lines(night))}
{_list("Other alarms", report.alarm_lines(night))}
{_list("Starts of the controller", report.boot_lines(night))}
{"".join(sheets)}
</body></html>
""",
        encoding="utf-8",
    )


def _keys(night):
    seen = set(night.bands["state"])
    keys = [(c, s) for s, c in drawing.STATE_COLOURS.items() if s in seen]
    keys += [
        (drawing.VOLTAGE, "voltage"),
        (drawing.DISCHARGE, "discharge"),
        (drawing.CHARGE, "charge"),
        (drawing.TRIP, "trip"),
        (drawing.GAP, "no rows"),
    ]
    items = "".join(f'<span><i style="background:{c}"></i>{s}</span>' for c, s in keys)
    return f'<p class="keys">{items}</p>'


def _flaws(title, flaws, tag):
    if not flaws:
        return ""
    items = "".join(f"<li>{escape(line)}</li>" for _, line in flaws)
    return f'<section class="flaws"><h2>{title}</h2><{tag}>{items}</{tag}></section>'


def _list(title, lines):
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f'<h2>{title}</h2><ul class="list">{items}</ul>' if lines else ""


def _table(night):
    head = "".join(
        f"<th>{name}</th>" for name in ("pack", *(row[0] for row in report.columns(night)))
    )
    rows = ""
    for n, cells in report.pack_rows(night):
        rows += f"<tr>{''.join(f'<td>{cell}</td>' for cell in (n, *cells))}</tr>"
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


class _Sheet:
    """The strips of a picture from top to bottom: one time axis, two value axes each."""

    def __init__(self, heights):
        self.height = _TOP_PX + sum(heights) + _TITLE_PX * len(heights) + _AXIS_PX
        self._inner = self.height - _TOP_PX - _AXIS_PX
        self._y_px = 0
        self._axes = 0
        self.traces = []
        self.shapes = []
        self.notes = []
        self.layout = {}

    def strip(self, px, title):
        """Begin a strip of `px`; returns its (bottom, top) as shares of the height."""
        top = 1 - (self._y_px + _TITLE_PX) / self._inner
        bottom = max(top - px / self._inner, 0.0)
        self._y_px += px + _TITLE_PX
        self.notes.append(
            {
                "x": 0,
                "xref": "paper",
                "xanchor": "left",
                "xshift": -_LEFT_PX,
                "y": top,
                "yref": "paper",
                "yanchor": "bottom",
                "text": title,
                "showarrow": False,
                "font": {"size": 12, "color": "#111111"},
            }
        )
        return bottom, top

    def axis(self, domain, values, marks, **more):
        """Add a value axis; returns its name for a trace."""
        self._axes += 1
        suffix = "" if self._axes == 1 else str(self._axes)
        self.layout[f"yaxis{suffix}"] = {
            "domain": domain,
            "range": values,
            "tickvals": list(marks),
            "ticktext": list(marks.values()),
            "fixedrange": True,
            "zeroline": False,
            "showgrid": False,
            "tickfont": {"size": 10},
            **more,
        }
        return f"y{suffix}"

    def span(self, start, end, y, **more):
        """Shade from a time to another, over the heights `y`."""
        shape = {"type": "rect", "x0": start, "x1": end, "y0": y[0], "y1": y[1]}
        self.shapes.append({**shape, "yref": "paper", "line": {"width": 0}, **more})

    def line(self, time, y, colour, dash="solid", width=1.5):
        """Mark a moment, over the heights `y`."""
        line = {"color": colour, "width": width, "dash": dash}
        self.span(time, time, y, type="line", line=line)

    def note(self, time, y, text, colour, **more):
        """Write at a moment and a height."""
        place = {"x": time, "y": y, "yref": "paper", "showarrow": False, "text": text}
        self.notes.append({**place, "font": {"size": 10, "color": colour}, **more})


def _figure(night, flaws):
    packs = list(night.packs.index)
    sheet = _Sheet([_LANE_PX, _RIG_PX] + [_STRIP_PX] * len(packs))
    _lane(sheet, night, flaws)
    rig = drawing.rig_of(night, _POINTS)
    total = night.packs
    out, into = total["out_ah"].sum(), total["in_ah"].sum()
    words = " · ".join([f"<b>rig</b>   {out:.1f} Ah out", f"{into:.1f} in", *report.charge(total)])
    place = sheet.strip(_RIG_PX, words)
    volts = drawing.volt_range(night)
    _lines(sheet, place, rig, volts, drawing.amp_range(rig.amps), "rig")
    amps = drawing.amp_range(night.rows["current_ma"].to_numpy(dtype=float) / 1000)
    places = {n: _pack(sheet, night, n, volts, amps) for n in packs}
    _shade(sheet, night, places)
    # plotly draws a time axis only where a trace needs it.
    whole = sheet.axis([0, 1], [0, 1], {}, visible=False)
    sheet.traces.append(go.Scatter(x=[night.start], y=[None], xaxis="x2", yaxis=whole))
    return go.Figure(
        sheet.traces,
        {
            **sheet.layout,
            "height": sheet.height,
            "margin": {"l": _LEFT_PX, "r": 38, "t": _TOP_PX, "b": _AXIS_PX},
            "shapes": sheet.shapes,
            "annotations": sheet.notes,
            "showlegend": False,
            "hovermode": "closest",
            "plot_bgcolor": "rgba(0,0,0,0)",
            "modebar": {"orientation": "h", "bgcolor": "#ffffff"},
            "xaxis": _time_axis(night, "bottom") | {"position": 0},
            "xaxis2": _time_axis(night, "top")
            | {"position": 1, "matches": "x", "showgrid": False},
        },
    )


def _time_axis(night, side):
    return {
        "type": "date",
        "range": [night.start, night.end],
        "side": side,
        "tickformat": "%H:%M\n%d %b" if night.dated else "%H:%M",
        "title": {"text": "UTC" if night.dated else "uptime, h:min", "standoff": 2},
        "anchor": "free",
        "gridcolor": "#e3e3e3",
    }


def _lane(sheet, night, flaws):
    place = sheet.strip(_LANE_PX, "<b>log</b>")
    bottom, top = place
    first = night.bands["battery"].iloc[0]
    for band in night.bands[night.bands["battery"] == first].itertuples():
        sheet.span(band.start, band.end, place, fillcolor="#c9d6e8", layer="below")
    for boot in night.boots:
        sheet.line(boot.start, place, _GREY)
        if boot.number is not None:
            text = f"boot {boot.number}"
            side = _side(night, boot.start)
            sheet.note(boot.start, top, text, _GREY, yanchor="top", **side)
    for k, line, at in drawing.flaw_marks(night, flaws, _MARK):
        box = {"bgcolor": drawing.FLAW, "borderpad": 2, "hovertext": escape(line)}
        sheet.note(at, bottom, f"<b>{k}</b>", "#ffffff", yanchor="bottom", **box)


def _pack(sheet, night, n, volts, amps):
    place = sheet.strip(_STRIP_PX, f"<b>{n}</b>   {' · '.join(drawing.pack_line(night, n))}")
    for band in night.bands[night.bands["battery"] == n].itertuples():
        colour = drawing.STATE_COLOURS[band.state]
        sheet.span(band.start, band.end, place, fillcolor=colour, layer="below")
    strip = drawing.strip_of(night, n, _POINTS)
    _lines(sheet, place, strip, volts, amps, f"pack {n}")
    bottom, _ = place
    for times, text in drawing.trip_labels(night, n):
        for time in times:
            sheet.line(time, place, drawing.TRIP)
        side = _side(night, times[-1])
        sheet.note(times[-1], bottom, f"▲ {escape(text)}", drawing.TRIP, yanchor="bottom", **side)
    return place


def _side(night, time):
    """Where a note stands: right of its moment, left of it when that is late."""
    late = time - night.start > (night.end - night.start) * 0.55
    return {"xanchor": "right" if late else "left", "bgcolor": "rgba(255,255,255,0.85)"}


def _lines(sheet, place, strip, volts, amps, name):
    """Voltage in the upper, current in the lower part of a strip."""
    bottom, top = place
    middle = bottom + (top - bottom) * 0.48
    low, high = volts
    marks = {low: f"{low:.1f} V", high: f"{high:.1f} V"}
    spare = (high - low) * 0.12
    upper = sheet.axis([middle, top], [low - spare, high + spare], marks)
    low, high = amps
    marks = {0: "0 A", high: f"{high:.0f} A"} | (
        {low: f"{low:.0f} A".replace("-", "−")} if low < -0.25 * high else {}
    )
    lower = sheet.axis([bottom, middle], [low * 1.05, high * 1.05], marks, side="right")
    # Numbers, in ms since 1970, take a third of the bytes of written times.
    moments = strip.times.astype("datetime64[ms]").astype("float64")
    line = {"x": moments, "mode": "lines", "name": name}
    # plotly fills across what is unknown, so that is 0 here.
    shown = np.nan_to_num(strip.amps).clip(low, high).astype("float32")
    for colour, least, most in ((drawing.DISCHARGE, 0, None), (drawing.CHARGE, None, 0)):
        part = shown.clip(least, most)
        if not part.any():
            continue
        sheet.traces.append(
            go.Scatter(
                **line,
                y=part,
                yaxis=lower,
                fill="tozeroy",
                fillcolor=colour,
                line={"width": 0, "color": colour},
                hoverinfo="skip",
            )
        )
    text = "%{x|%H:%M:%S}  %{y:.2f} V  %{customdata:.2f} A"
    sheet.traces.append(
        go.Scatter(
            **line,
            y=strip.volts.astype("float32"),
            customdata=strip.amps.astype("float32"),
            yaxis=upper,
            line={"width": 1.3, "color": drawing.VOLTAGE},
            hovertemplate=f"<b>{name}</b><br>{text}<extra></extra>",
        )
    )


def _shade(sheet, night, places):
    """Stretches without rows, jumps of the clock and restarts, over everything."""
    for flaw in night.flaws:
        if flaw.kind in ("gap", "day"):
            for place in [places[n] for n in flaw.packs if n in places] or [(0, 1)]:
                sheet.span(flaw.start, flaw.end, place, fillcolor=drawing.GAP, opacity=0.35)
        elif flaw.kind == "clock":
            sheet.line(flaw.end, (0, 1), drawing.FLAW, "dash")
    for boot in night.boots[1:]:
        sheet.line(boot.start, (0, 1), _GREY, "dot", 1)
