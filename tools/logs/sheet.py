# SPDX-License-Identifier: GPL-3.0-only
"""The sheet of a night for whoever takes the rig over: one printed page, in English or French.

Pure; a part of the page that page.py writes. Its times are those of the clock where the rig is.
"""

import json
from html import escape

import numpy as np
import pandas as pd

import firmware
from logs import drawing, nights, report
from logs.words import span

LANGUAGES = ("en", "fr")
STYLE = """
.sheet { display: none; }
@media print {
  @page { size: A4; margin: 12mm; }
  body { padding: 0; max-width: none; }
  body > :not(.sheet, .show) { display: none; }
  .sheet { display: block; break-after: page; font-size: 9.5pt; color: #000;
    -webkit-print-color-adjust: exact; print-color-adjust: exact; }
  .sheet:last-of-type { break-after: auto; }
  .sheet svg { width: 100%; height: auto; }
  .sheet table { width: 100%; font-size: 8.5pt; }
  .sheet th, .sheet td { padding: .1em .4em; white-space: normal; }
  .sheet td:nth-child(2), .sheet th:nth-child(2) { text-align: left; }
  .sheet h2 { margin: .7em 0 .2em; font-size: 11pt; }
  .sheet .big span { display: inline-block; margin-right: 2em; }
  .sheet .big b { font-size: 14pt; }
  .sheet footer { margin-top: 1em; color: #444; font-size: 8pt; }
}
"""
_TEXTS = {
    "en": {
        "days": "Monday Tuesday Wednesday Thursday Friday Saturday Sunday",
        "months": "January February March April May June July August September October November "
        "December",
        "night": "Night of {day} {n} {month} {year}",
        "undated": "A night without a date",
        "out": "given", "in": "charged", "charge": "charge",
        "trip": "trip", "trips": "trips", "length": "logged",
        "head": "no.|battery|given Wh|charged Wh|charge %|on h|min V|max V|peak A|trips",
        "chart": "Output: current (A, charging below the line) and voltage (V)",
        "states": "What each battery was",
        "happened": "What happened", "nothing": "No trip, no alarm.", "more": "and {n} more",
        "log": "Log", "whole": "complete",
        "flaws": {"damage": "damaged lines", "clock": "clock set or wrong", "gap": "rows missing",
                  "day": "days missing", "copy": "copies left aside", "other": "files not read"},
        "foot": "Times are {zone}. Rig {rig}. Wh: counted charge times mean voltage.",
        "notes": "Notes and signature:",
    },
    "fr": {
        "days": "lundi mardi mercredi jeudi vendredi samedi dimanche",
        "months": "janvier février mars avril mai juin juillet août septembre octobre novembre "
        "décembre",
        "night": "Nuit du {day} {n} {month} {year}",
        "undated": "Une nuit sans date",
        "out": "fournis", "in": "rechargés", "charge": "charge", "trip": "déclenchement",
        "trips": "déclenchements",
        "length": "enregistrés",
        "head": "n°|batterie|Wh fournis|Wh rechargés|charge %|en serv. h|V min|V max|A max|décl.",
        "chart": "Sortie : courant (A, la charge sous la ligne) et tension (V)",
        "states": "L’état de chaque batterie",
        "happened": "Ce qui s’est passé", "nothing": "Ni déclenchement ni alarme.",
        "more": "et {n} de plus",
        "log": "Enregistrement", "whole": "complet",
        "flaws": {"damage": "lignes abîmées", "clock": "horloge réglée ou fausse",
                  "gap": "lignes manquantes", "day": "jours manquants",
                  "copy": "doublons laissés de côté", "other": "fichiers non lus"},
        "foot": "Heures en {zone}. Parc {rig}. Wh : charge comptée par tension moyenne.",
        "notes": "Remarques et signature\u00a0:",
    },
}  # fmt: skip
_WIDTH, _HEIGHT, _LANE, _LEFT = 720, 150, 9, 34
_POINTS = 500
_MOST = 14


def sheet(night, language):
    """The section of one night, as HTML.

    Args:
        night: a `Night`; language: one of LANGUAGES.
    """
    texts = _TEXTS[language]
    packs = night.packs
    figures = [
        (f"{packs['out_wh'].sum() / 1000:.2f} kWh", texts["out"]),
        (f"{packs['in_wh'].sum() / 1000:.2f} kWh", texts["in"]),
        *((text.removeprefix("charge "), texts["charge"]) for text in report.charge(packs)),
        (len(night.trips), texts["trip" if len(night.trips) == 1 else "trips"]),
        (span((night.end - night.start).total_seconds()), texts["length"]),
    ]
    if language == "fr":
        figures = [
            (str(value).replace(".", ",").replace(" to ", " à "), what) for value, what in figures
        ]
    big = "".join(f"<span><b>{escape(str(value))}</b> {what}</span>" for value, what in figures)
    zone = report.utc(nights.offset(night.start, night.about.zone))
    rig = " ".join(filter(None, (night.about.name, night.about.number))) or "–"
    return f"""<section class="sheet" lang="{language}">
<h1>{escape(_title(night, texts))}</h1>
<p class="big">{big}</p>
{_table(night, texts, language)}
<h2>{texts["chart"]}</h2>{_chart(night, language)}
<h2>{texts["states"]}</h2>{_lanes(night, language)}
<h2>{texts["happened"]}</h2>{_happened(night, texts)}
<p><b>{texts["log"]}</b> – {escape(_flaws(night, texts))}</p>
<footer>{escape(texts["foot"].format(zone=zone, rig=rig))}<br>{texts["notes"]}</footer>
</section>"""


def _title(night, texts):
    if not night.dated:
        return texts["undated"]
    evening = nights.evening_of(pd.Series([night.start]), night.about.zone).iloc[0]
    day, month = (
        texts["days"].split()[evening.weekday()],
        texts["months"].split()[evening.month - 1],
    )
    return texts["night"].format(day=day, n=evening.day, month=month, year=evening.year)


def _table(night, texts, language):
    rows = ""
    for n, pack in night.packs.iterrows():
        name = " · ".join(str(pack[key]) for key in ("label", "id") if _told(pack, key))
        charge = f"{pack.first_pct:.0f} → {pack.last_pct:.0f}" if _told(pack, "first_pct") else "–"
        cells = [n, name or "–", f"{pack.out_wh:.0f}", f"{pack.in_wh:.0f}", charge]
        cells += [f"{pack.on_h:.1f}", f"{pack.low_v:.2f}", f"{pack.high_v:.2f}"]
        cells += [f"{pack.peak_a:.1f}".replace("-", "−"), pack.trips]
        texts_of = [escape(str(cell)) for cell in cells]
        if language == "fr":
            texts_of[4:] = [text.replace(".", ",") for text in texts_of[4:]]
        rows += f"<tr>{''.join(f'<td>{text}</td>' for text in texts_of)}</tr>"
    head = "".join(f"<th>{name}</th>" for name in texts["head"].split("|"))
    return f"<table><tr>{head}</tr>{rows}</table>"


def _told(pack, key):
    return key in pack and not pd.isna(pack[key])


def _scale(night):
    """Function that gives the places of times, and the hours to mark: (place, text)."""
    start, end = (np.datetime64(moment, "s") for moment in (night.start, night.end))
    length = (end - start).astype(float)

    def place(times):
        return _LEFT + (times.astype("datetime64[s]") - start).astype(float) / length * (
            _WIDTH - 2 * _LEFT
        )

    step = next(h for h in (0.25, 0.5, 1, 2, 3, 6, 24, 1e9) if length / 3600 / h <= 12)
    ahead = nights.offset(night.start, night.about.zone)
    first = (night.start + ahead).ceil(pd.Timedelta(hours=min(step, 24)))
    marks = pd.date_range(first, night.end + ahead, freq=pd.Timedelta(hours=min(step, 1000)))
    form = "%H:%M" if step < 24 else "%d/%m"
    return place, [
        (float(place(np.array([mark - ahead], "datetime64[s]"))[0]), f"{mark:{form}}")
        for mark in marks
    ]


def _line(x, y):
    """The path of a line that breaks where it is not known."""
    path, pen = [], "M"
    for a, b in zip(x, y, strict=True):
        if b != b:
            pen = "M"
            continue
        path.append(f"{pen}{a:.1f} {b:.1f}")
        pen = "L"
    return "".join(path)


def _chart(night, language):
    strip = drawing.rig_of(night, _POINTS)
    place, marks = _scale(night)
    x = place(strip.times)
    low, high = drawing.amp_range(strip.amps)
    bottom, top = drawing.volt_range(night)
    amps = np.nan_to_num(strip.amps).clip(low, high)
    y = _HEIGHT - 4 - (amps - low) / (high - low) * (_HEIGHT - 8)
    zero = _HEIGHT - 4 + low / (high - low) * (_HEIGHT - 8)
    volts = _HEIGHT - 4 - (strip.volts - bottom) / (top - bottom) * (_HEIGHT - 8)
    area = f"M{x[0]:.1f} {zero:.1f}L" + _line(x, y)[1:] + f"L{x[-1]:.1f} {zero:.1f}Z"
    lines = "".join(
        f'<path d="M{at:.1f} 0V{_HEIGHT}" stroke="#ddd"/>'
        f'<text x="{at:.1f}" y="{_HEIGHT + 11}" text-anchor="middle">{text}</text>'
        for at, text in marks
    )
    right = _WIDTH - _LEFT + 3
    most, least = (f"{volt:.1f} V" for volt in (top, bottom))
    if language == "fr":
        most, least = most.replace(".", ","), least.replace(".", ",")
    return f"""<svg viewBox="0 0 {_WIDTH} {_HEIGHT + 14}" font-size="9" font-family="sans-serif">
{lines}<path d="{area}" fill="{drawing.DISCHARGE}" fill-opacity=".7"/>
<path d="M{_LEFT} {zero:.1f}H{_WIDTH - _LEFT}" stroke="#000" stroke-width=".6"/>
<path d="{_line(x, volts)}" fill="none" stroke="{drawing.VOLTAGE}" stroke-width="1.2"/>
<text x="{_LEFT - 3}" y="9" text-anchor="end">{high:.0f} A</text>
<text x="{_LEFT - 3}" y="{zero:.1f}" text-anchor="end">0</text>
<text x="{right}" y="9" fill="{drawing.VOLTAGE}">{most}</text>
<text x="{right}" y="{_HEIGHT}" fill="{drawing.VOLTAGE}">{least}</text></svg>"""


def _lanes(night, language):
    place, _ = _scale(night)
    packs = sorted(night.bands["battery"].unique())
    parts = []
    for band in night.bands.itertuples():
        begin, end = place(np.array([band.start, min(band.end, night.end)], "datetime64[s]"))
        y = packs.index(band.battery) * (_LANE + 2)
        colour = drawing.STATE_COLOURS[band.state]
        parts.append(
            f'<rect x="{begin:.1f}" y="{y}" width="{max(end - begin, 0.5):.1f}" height="{_LANE}" '
            f'fill="{colour}"/>'
        )
    for trip in night.trips.itertuples():
        if trip.battery in packs:
            at = float(place(np.array([trip.time], "datetime64[s]"))[0])
            y = packs.index(trip.battery) * (_LANE + 2)
            parts.append(
                f'<path d="M{at:.1f} {y}v{_LANE}" stroke="{drawing.TRIP}" stroke-width="1.5"/>'
            )
    parts += [
        f'<text x="{_LEFT - 4}" y="{k * (_LANE + 2) + 8}" text-anchor="end">{n}</text>'
        for k, n in enumerate(packs)
    ]
    y = len(packs) * (_LANE + 2) + 4
    words = json.loads((firmware.ROOT / f"lib/parallelator/messages/{language}.json").read_text())
    for k, state in enumerate(
        s for s in drawing.STATE_COLOURS if (night.bands["state"] == s).any()
    ):
        x = _LEFT + 95 * k
        parts.append(
            f'<rect x="{x}" y="{y}" width="9" height="9" fill="{drawing.STATE_COLOURS[state]}" '
            f'stroke="#999" stroke-width=".5"/>'
            f'<text x="{x + 13}" y="{y + 8}">{escape(words["state"][state])}</text>'
        )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {y + 12}" font-size="9" font-family="sans-serif">'
        f"{''.join(parts)}</svg>"
    )


def _happened(night, texts):
    """The trips and alarms in the words of the rig, in the order of time."""
    ahead = nights.offset(night.start, night.about.zone)
    told = [(row.time, f"{row.battery}: {row.text}") for row in night.trips.itertuples()]
    told += [(row.time, row.detail) for row in night.alarms.itertuples()]
    told.sort()
    if not told:
        return f"<p>{texts['nothing']}</p>"
    lines = [f"{time + ahead:%H:%M:%S}  {text}" for time, text in told[:_MOST]]
    if len(told) > _MOST:
        lines.append(texts["more"].format(n=len(told) - _MOST))
    return f'<ul class="list">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def _flaws(night, texts):
    kinds = [flaw.kind for flaw in night.flaws]
    told = [
        f"{texts['flaws'][kind]}: {kinds.count(kind)}" for kind in report.KINDS if kind in kinds
    ]
    return "; ".join(told) or texts["whole"]
