# SPDX-License-Identifier: GPL-3.0-only
"""The reports of the shows of a night, as the rig keeps them on the card, in words. For night.py.

The files are those of the firmware's show/report.py; `web/ui/report.js` tells them in the page.
Pure but for the words of the rig.
"""

import json
from html import escape

import pandas as pd

import firmware
from logs import nights
from logs.words import span

STYLE = """
.show li { margin: .2em 0; }
.show h3 { font-size: 1em; margin: .8em 0 .2em; }
@media print { .show { break-after: page; } .show:last-of-type { break-after: auto; } }
"""
_TEXTS = {
    "en": {"title": "Report of the show", "one": "Battery {}: {}", "many": "Batteries {}: {}"},
    "fr": {
        "title": "Bilan du spectacle",
        "one": "Batterie {}\u00a0: {}",
        "many": "Batteries {}\u00a0: {}",
    },
}
_UNITS = {
    "mA": (1000, 1, " A"),
    "mV": (1000, 2, " V"),
    "C": (1, 0, " °C"),
}
_LIMITS = {"discharge": "mA", "charge": "mA", "heat": "C"}  # the others are in mV


def of(files, night):
    """The reports of a night, in the order of time.

    Args:
        files: name to content of its file in bytes; night: a `Night`.

    Returns:
        list: of dicts as GET /api/show tells them; what is damaged is left out.
    """
    found = []
    for data in files.values():
        try:
            report = json.loads(data)
            report["tasks"], report["closest"], report["batteries"]  # noqa: B018 - they are there
            if _is_of(report, night):
                found.append(report)
        except (ValueError, KeyError, TypeError):
            continue  # cut off by a power cut
    return sorted(found, key=lambda report: report["number"])


def _is_of(report, night):
    if report["time"] is None:
        return report["boot"] in [boot.number for boot in night.boots]
    begin = _moment(report["time"])
    end = begin + pd.Timedelta(seconds=report["length_s"])
    return night.dated and begin <= night.end and end >= night.start


def _moment(time):
    return pd.Timestamp(time).tz_localize(None)


def lines(report, language, zone):
    """A report as (title, its lines) for each part; the first title is that of the whole.

    Args:
        language: "en" or "fr"; zone: POSIX text of the rig's, None for UTC.
    """
    told = _Told(report, language, zone)
    words = told.words["report"]
    yield told.title(), told.figures()
    yield words["tasks"], told.tasks() or [words["calm"]]
    if report["closest"]:
        yield words["close"], [told.near(row) for row in report["closest"]]
    if report["trips"]:
        yield words["trips"], [told.trip(row) for row in report["trips"]]


def text(night, language="en"):
    """The reports of a night as lines for the console."""
    for report in night.shows:
        for title, rows in lines(report, language, night.about.zone):
            yield ""
            yield f"{title}:"
            yield from (f"  {row}" for row in rows)


def sections(night, language):
    """The reports of a night as HTML, a section each."""
    html = ""
    for report in night.shows:
        tag, parts = "h2", ""
        for title, rows in lines(report, language, night.about.zone):
            items = "".join(f"<li>{escape(row)}</li>" for row in rows)
            parts += f'<{tag}>{escape(title)}</{tag}><ul class="list">{items}</ul>'
            tag = "h3"
        html += f'<section class="show" lang="{language}">{parts}'
        html += f"{_table(_Told(report, language, night.about.zone))}</section>"
    return html


def _table(told):
    head = "".join(f"<th>{name}</th>" for name in told.words["report"]["columns"].split("|"))
    rows = ""
    for row in told.report["batteries"]:
        cells = [row["n"], *(told.number(row[key]) for key in ("out_wh", "in_wh"))]
        cells += [told.number(row["discharge_ma"], 1000, 1)]
        cells += [told.number(row[key], 1000, 2) for key in ("low_mv", "high_mv")]
        first, last = (told.number(row[key]) for key in ("first_pct", "last_pct"))
        cells += ["–" if row["first_pct"] is None else f"{first} → {last}"]
        cells += [row["trips"], row["closings"]]
        rows += f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div>'


class _Told:
    """One report in one language."""

    def __init__(self, report, language, zone):
        path = firmware.ROOT / f"lib/parallelator/messages/{language}.json"
        self.words = json.loads(path.read_text())
        self.report = report
        self._zone = zone
        self._french = language == "fr"
        self._texts = _TEXTS[language]

    def _write(self, key, **values):
        return self.words["report"][key].format(**values)

    def number(self, value, unit=1, digits=0):
        """A number as it is written, a dash when it is not known."""
        if value is None:
            return "–"
        shown = f"{value / unit:.{digits}f}"
        return shown.replace(".", ",") if self._french else shown

    def _amount(self, value, unit):
        size, digits, name = _UNITS[unit]
        return self.number(value, size, digits) + name.replace(" ", "\u00a0")

    def _local(self, time):
        moment = _moment(time)
        return moment + nights.offset(moment, self._zone)

    def _when(self, seconds):
        time = self.report["time"]
        if not time:
            return f"+ {span(seconds)}"
        return f"{self._local(time) + pd.Timedelta(seconds=seconds):%H:%M}"

    def title(self):
        """When it began, and how long it was."""
        time = self.report["time"]
        begin = f"{self._local(time):%Y-%m-%d %H:%M}, " if time else ""
        return f"{self._texts['title']}, {begin}{span(self.report['length_s'])}"

    def figures(self):
        """What it took, and what preceded it."""
        report, rig, rows = self.report, self.report["rig"], self.report["batteries"]
        words, number = self.words["report"], self.number
        metered = any(row["out_wh"] is not None for row in rows)
        keys = ("out_wh", "in_wh") if metered else ("out_mah", "in_mah")
        sums = [sum(row[key] or 0 for row in rows) for key in keys]
        v, n = (number(one) if metered else number(one, 1000, 1) for one in sums)
        parts = [self._write("energy" if metered else "flow", v=v, n=n)]
        if rig["discharge_ma"] is not None:
            most = self._amount(rig["discharge_ma"], "mA")
            at = self._when(rig["discharge_s"])
            parts.append(self._write("peak", v=most, n=number(rig["power_w"]), t=at))
            low, high = (self._amount(rig[key], "mV") for key in ("low_mv", "high_mv"))
            parts.append(self._write("volts", v=low, n=high))
        if report["last_pct"] is not None:
            parts.append(self._write("soc", v=report["first_pct"], n=report["last_pct"]))
        if report["dark_s"]:
            parts.append(self._write("dark", v=report["dark_s"], n=report["darks"]))
        if report["weak_s"]:
            parts.append(self._write("weak", v=report["weak_s"]))
        told = [] if report["whole"] else [words["partial"]]
        told += [words["cut"]] if report["cut"] else []
        return [*parts, *told, self._selftest()]

    def _selftest(self):
        found = self.report["selftest"]
        if not found:
            return self.words["report"]["untested"]
        day = f"{self._local(found['time']):%Y-%m-%d %H:%M}" if found["time"] else ""
        verdict = self.words["verdict"][found["verdict"]]
        return self._write(
            "selftest", v=", ".join(filter(None, (f"{found['number']}", day, verdict)))
        )

    def tasks(self):
        """What to look at before the next show; what is alike of several batteries is one line."""
        groups = {}
        for row in self.report["tasks"]:
            own = row["value"] if isinstance(row["value"], str) else ""
            alarm = row["code"] == "alarm"
            groups.setdefault((row["code"], own, row["n"] if alarm else 0), []).append(row)
        return [self._task(code, own, rows) for (code, own, _), rows in groups.items()]

    def _task(self, code, own, rows):
        places = [row["n"] for row in rows]
        if code == "alarm":
            return self.words["alarm"][own].format(n=places[0])
        if own:
            value = self.words["reason"][own]
        else:
            low, high = (pick(row["value"] for row in rows) for pick in (min, max))
            value = low if low == high else f"{low}–{high}"
        said = self._write(code, v=value)
        if not places[0]:
            return said
        form = self._texts["one" if len(places) == 1 else "many"]
        return form.format(_runs(places), said)

    def near(self, row):
        """How near a battery came to a limit."""
        value, bound = (
            self._amount(row[key], _LIMITS.get(row["limit"], "mV")) for key in ("value", "bound")
        )
        name = self.words["report"][f"limit_{row['limit']}"]
        return self._write("near", v=name, n=row["n"], k=value, l=bound, t=self._when(row["at_s"]))

    def trip(self, row):
        """A trip of which there is a record."""
        said = self._texts["one"].format(row["n"], self.words["reason"][row["reason"]])
        return f"{said}, {self._local(row['time']):%H:%M:%S}" if row["time"] else said


def _runs(places):
    """`1, 3–5` of rising numbers."""
    runs = []
    for n in places:
        if runs and runs[-1][1] == n - 1:
            runs[-1][1] = n
        else:
            runs.append([n, n])
    return ", ".join(f"{a}" if a == b else f"{a}–{b}" for a, b in runs)
