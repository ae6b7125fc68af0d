# SPDX-License-Identifier: GPL-3.0-only
"""Picks one night of an archive and works out what it shows. Pure; for report.py and pictures."""

from dataclasses import dataclass

import pandas as pd

from logs import lives
from logs.parsing import CATALOG

ALL = "all"
_HALF_DAY = pd.Timedelta(hours=12)
_CLOSED = ("on", "uncontrolled")
_OPENED = ("tripped", "locked")
_NUMBERS = (
    *("out_ah", "in_ah", "out_wh", "in_wh", "first_pct", "last_pct"),
    *("on_h", "low_v", "high_v", "peak_a", "trips"),
)
_FORMER = {"bus_fault": "trouble", "bus_recovered": "info"}
"""Codes of earlier versions: i2c_fault and i2c_recovered of today."""
_SLACK_S = 12
"""The row that shows a trip is looked for this long, and two intervals, after the event."""


@dataclass
class Night:
    """What is drawn: a night from noon to noon (UTC), one boot without a date, or all.

    Attributes:
        title: in words; start, end: Timestamps of its first and last row; dated: False when only
            uptimes are known, which count from 1970 then.
        rows: as `Archive.rows`, those in it; boots: list of `Boot`, those in it.
        bands: DataFrame, one row per stretch of one state: battery, state, start, end.
        trips: DataFrame: battery, time, text.
        alarms: DataFrame as `Archive.events`: all other events that tell of trouble or danger.
        packs: DataFrame indexed by battery: out_ah, in_ah, out_wh, in_wh, first_pct and last_pct
            (charge in the first and last row that knows it, NaN without one), on_h, low_v, high_v,
            peak_a (the largest current, with its sign), trips; with `files` those of
            `lives.COLUMNS` as well.
        flaws: those in it, and those without a time; others: those elsewhere.
    """

    title: str
    start: pd.Timestamp
    end: pd.Timestamp
    dated: bool
    rows: pd.DataFrame
    boots: list
    bands: pd.DataFrame
    trips: pd.DataFrame
    alarms: pd.DataFrame
    packs: pd.DataFrame
    flaws: list
    others: list


def night_of(archive, wanted=None, files=None):
    """Work out one night.

    Args:
        archive: an `Archive`; wanted: None for the latest night that is not in the future, ALL
            that are not, the date of an evening, or the name of a boot log whose time never
            became known. files: as of `lives.health`.

    Raises:
        ValueError: there is no such night; says which there are.
    """
    title, dated, rows = _chosen(archive, wanted)
    start, end = rows["time"].min(), rows["time"].max()
    end = max(end, start + pd.Timedelta(seconds=1))
    numbers = rows["boot"].unique()
    bands = _bands(rows, archive.boots)
    events = archive.events
    events = events[events["boot"].isin(numbers) & events["time"].between(start, end)]
    trips = _trips(rows, events, archive.boots)
    flaws, others = [], []
    for flaw in archive.flaws:
        meets = flaw.start is not None and flaw.start <= end and flaw.end >= start
        here = meets and (dated or flaw.file in set(rows["file"]))
        (flaws if here or flaw.start is None else others).append(flaw)
    alarms = events[_is_trouble(events) & (events["code"] != "trip")]
    boots = [archive.boots[k] for k in numbers]
    packs = _packs(rows, bands, trips)
    if files:
        evening = f"{end - _HALF_DAY:%Y-%m-%d}" if dated else None
        packs = packs.join(lives.health(files, evening))
    return Night(title, start, end, dated, rows, boots, bands, trips, alarms, packs, flaws, others)


def _is_trouble(events):
    """Which events tell of trouble or danger, by the catalogue of today.

    Of a code that it does not know the severity in the log counts; earlier versions wrote `alarm`.
    """
    known = {row[0]: row[1] for row in CATALOG.CODES} | _FORMER
    severity = events["code"].map(known).fillna(events["severity"])
    return severity.isin(["trouble", "danger", "alarm"])


def _chosen(archive, wanted):
    """(title, whether it is dated, its rows) of the night that is wanted."""
    rows = archive.rows
    dated = rows["boot"].map([boot.dated for boot in archive.boots].__getitem__)
    evening = (rows["time"] - _HALF_DAY).dt.normalize()
    nights = {f"{night:%Y-%m-%d}": night for night in sorted(evening[dated].unique())}
    undated = rows["file"].where(~dated).str.removesuffix(".csv")
    names = sorted(undated.dropna().unique())
    real = [name for name in nights if nights[name] <= archive.until] or [*nights]
    if wanted == ALL and nights:
        rows = rows[dated & evening.isin([nights[name] for name in real])]
        first, last = rows["time"].min(), rows["time"].max()
        return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}", True, rows
    name = [*names, *real][-1] if wanted in (None, ALL) else wanted.removesuffix(".csv")
    if name in nights:
        title = f"Night of {nights[name]:%A} {nights[name].day} {nights[name]:%B %Y}"
        return title, True, rows[dated & (evening == nights[name])]
    if name in names:
        return f"{name}, date not known", False, rows[undated == name]
    raise ValueError(f"no night {wanted}; there are: {', '.join([*nights, *names, ALL])}")


def _bands(rows, boots):
    rows = rows.sort_values("battery", kind="stable")
    same_pack = rows["battery"].eq(rows["battery"].shift())
    goes_on = same_pack & rows["boot"].eq(rows["boot"].shift()) & ~rows["gap"]
    interval = pd.to_timedelta(
        rows["boot"].map([boot.interval_s for boot in boots].__getitem__), unit="s"
    )
    until = rows["time"].shift(-1).where(goes_on.shift(-1, fill_value=False))
    begins = ~goes_on | rows["state"].ne(rows["state"].shift())
    bands = rows.assign(start=rows["time"], end=until.fillna(rows["time"] + interval))
    bands = bands.groupby(begins.cumsum())
    return bands.agg(
        {"battery": "first", "state": "first", "start": "first", "end": "last"}
    ).reset_index(drop=True)


def _trips(rows, events, boots):
    """The trips among the events, and those that only the rows show."""
    told = events.loc[events["code"] == "trip", ["battery", "time", "detail"]]
    told = told.assign(text=told["detail"].map(_reason))[["battery", "time", "text"]]
    rows = rows.sort_values("battery", kind="stable")
    opened = rows["state"].isin(_OPENED)
    same = rows["battery"].eq(rows["battery"].shift()) & rows["boot"].eq(rows["boot"].shift())
    unseen = []
    for row in rows[opened & rows["state"].shift().isin(_CLOSED) & same].itertuples():
        slack = pd.Timedelta(seconds=_SLACK_S + 2 * boots[row.boot].interval_s)
        near = told["time"].between(row.time - slack, row.time + slack)
        if not (near & (told["battery"] == row.battery)).any():
            unseen.append((row.battery, row.time, "no reason in the events"))
    unseen = pd.DataFrame(unseen, columns=["battery", "time", "text"])
    return pd.concat([told, unseen.astype(told.dtypes)]).sort_values("time", ignore_index=True)


def _reason(detail):
    """The reason and the value of `Battery 3: opened, far too much current, 25.0 A`."""
    return detail.partition(", ")[2] or detail


def _packs(rows, bands, trips):
    on = bands[bands["state"] == "on"]
    on_h = (on["end"] - on["start"]).dt.total_seconds().groupby(on["battery"]).sum() / 3600
    count = trips.groupby("battery").size()
    seen = rows[rows["voltage_mv"].notna()]
    table = {}
    for n, part in seen.groupby("battery"):
        current_ma = part["current_ma"].dropna()
        peak_ma = current_ma.loc[current_ma.abs().idxmax()] if len(current_ma) else float("nan")
        table[n] = {
            "out_ah": counted(part, "discharge_mah") / 1000,
            "in_ah": counted(part, "charge_mah") / 1000,
            "out_wh": counted(part, "discharge_mah") / 1000 * _volts(part, "discharge_mah"),
            "in_wh": counted(part, "charge_mah") / 1000 * _volts(part, "charge_mah"),
            "first_pct": _known(part["soc_pct"], 0),
            "last_pct": _known(part["soc_pct"], -1),
            "on_h": on_h.get(n, 0.0),
            "low_v": part["voltage_mv"].min() / 1000,
            "high_v": part["voltage_mv"].max() / 1000,
            "peak_a": peak_ma / 1000,
            "trips": int(count.get(n, 0)),
        }
    return pd.DataFrame.from_dict(table, orient="index").reindex(columns=_NUMBERS)


def _known(values, place):
    """The first (place 0) or the last (place -1) known value, NaN without one."""
    values = values.dropna()
    return values.iloc[place] if len(values) else float("nan")


def _volts(rows, column):
    """The mean voltage of one battery while its counter `column` rose, in V; 0 if it never did."""
    rose = rows.groupby("boot", sort=False)[column].diff().clip(lower=0).fillna(0)
    return (rose * rows["voltage_mv"]).sum() / rose.sum() / 1000 if rose.any() else 0.0


def counted(rows, column):
    """How much the counter `column` of one battery rose, in mAh, across restarts.

    A counter that comes back at less than half of what it was began again at 0; a little less is
    what a power cut lost of a counter that is kept.
    """
    total = 0.0
    before = None
    for _, values in rows.dropna(subset=[column]).groupby("boot", sort=False)[column]:
        first, last = float(values.iloc[0]), float(values.iloc[-1])
        if before is None:
            base = first
        elif first < before:
            base = 0.0 if first < before / 2 else first
        else:
            base = before
        total += max(last - base, 0.0)
        before = last
    return total
