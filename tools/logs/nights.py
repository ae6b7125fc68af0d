# SPDX-License-Identifier: GPL-3.0-only
"""Picks one night of an archive and works out what it shows. Pure; for report.py and pictures."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

import firmware
from logs import lives
from logs.parsing import CATALOG, STATES, About

ZONE = firmware.zone()

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
    """What is drawn: a night from noon to noon where the rig is, one boot without a date, or all.

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
            `lives.COLUMNS` as well; `id` and `label` where the log tells them.
        flaws: those in it, and those without a time; others: those elsewhere.
        shows: list of the reports of its shows, as of `shows.of`.
        about: `parsing.About` of its rig; rigs: names of all whose logs lie there, it first.
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
    about: About
    rigs: list
    shows: list = field(default_factory=list)


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
    packs = _named(packs, archive.about)
    whose = archive.about, archive.rigs
    parts = (rows, boots, bands, trips, alarms, packs, flaws, others)
    return Night(title, start, end, dated, *parts, *whose)


def _named(packs, about):
    """With the ids and labels that the log tells."""
    for column, k in (("id", 0), ("label", 1)):
        told = pd.Series({n: about.packs[n][k] or None for n in about.packs}, dtype=object)
        if told.notna().any():
            known = packs[column] if column in packs else pd.Series(dtype=object)
            packs[column] = told.reindex(packs.index).combine_first(known)
    return packs


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
    dated = np.array([boot.dated for boot in archive.boots])[rows["boot"]]
    evening = evening_of(rows["time"], archive.about.zone)
    nights = {f"{night:%Y-%m-%d}": night for night in sorted(evening[dated].unique())}
    undated = {file.removesuffix(".csv"): file for file in rows["file"][~dated].unique()}
    names = sorted(undated)
    real = [name for name in nights if nights[name] <= archive.until] or [*nights]
    if wanted == ALL and nights:
        rows = _of(rows, dated & evening.isin([nights[name] for name in real]))
        first, last = rows["time"].min(), rows["time"].max()
        return f"{first:%Y-%m-%d} to {last:%Y-%m-%d}", True, rows
    name = [*names, *real][-1] if wanted in (None, ALL) else wanted.removesuffix(".csv")
    if name in nights:
        title = f"Night of {nights[name]:%A} {nights[name].day} {nights[name]:%B %Y}"
        return title, True, _of(rows, dated & (evening == nights[name]))
    if name in names:
        return f"{name}, date not known", False, _of(rows, rows["file"] == undated[name])
    raise ValueError(f"no night {wanted}; there are: {', '.join([*nights, *names, ALL])}")


def _of(rows, mask):
    return rows if mask.all() else rows[mask]


def evening_of(times, zone):
    """The day of the evening of each time: a night lasts from noon to noon, where the rig is."""
    return (local(times, zone) - _HALF_DAY).dt.normalize()


def local(times, zone):
    """Times of UTC on the clock of a POSIX zone, None for UTC."""
    if zone is None:
        return times
    hours = times.dt.floor("h")
    offsets = {hour: offset(hour, zone) for hour in hours.unique()}
    return times + hours.map(offsets).astype("timedelta64[s]")


def offset(moment, zone):
    """What a POSIX zone adds to a Timestamp of UTC; nothing if it is None or damaged."""
    try:
        seconds = ZONE.offset_s(ZONE.parsed(zone), int(moment.timestamp())) if zone else 0
    except ValueError:
        seconds = 0
    return pd.Timedelta(seconds=seconds)


def _bands(rows, boots):
    """The stretches of one state, battery by battery."""
    interval = np.array([round(boot.interval_s) for boot in boots]).astype("timedelta64[s]")
    columns = [rows[name].to_numpy() for name in ("time", "boot", "gap")]
    codes = rows["state"].cat.codes.to_numpy()
    parts = []
    for n, at in sorted(rows.groupby("battery", sort=False).indices.items()):
        time, boot, gap = (column[at] for column in columns)
        cut = gap.copy()
        cut[0] = True
        cut[1:] |= boot[1:] != boot[:-1]
        state = codes[at]
        begins = cut.copy()
        begins[1:] |= state[1:] != state[:-1]
        first = np.flatnonzero(begins)
        last = np.append(first[1:], len(at)) - 1
        # A state lasts until the next row, if that is there.
        after = np.minimum(last + 1, len(at) - 1)
        open_end = (last + 1 == len(at)) | cut[after]
        end = np.where(open_end, time[last] + interval[boot[last]], time[after])
        names = pd.Categorical.from_codes(state[first], STATES)
        parts.append(
            pd.DataFrame({"battery": n, "state": names, "start": time[first], "end": end})
        )
    return pd.concat(parts, ignore_index=True)


def _trips(rows, events, boots):
    """The trips among the events, and those that only the rows show."""
    told = events.loc[events["code"] == "trip", ["battery", "time", "detail"]]
    told = told.assign(text=told["detail"].map(_reason))[["battery", "time", "text"]]
    closed, opened = (
        np.isin(rows["state"].cat.codes.to_numpy(), [STATES.index(name) for name in names])
        for names in (_CLOSED, _OPENED)
    )
    times, number = rows["time"].to_numpy(), rows["boot"].to_numpy()
    unseen = []
    for n, at in sorted(rows.groupby("battery", sort=False).indices.items()):
        same = number[at[1:]] == number[at[:-1]]
        for i in at[1:][opened[at[1:]] & closed[at[:-1]] & same]:
            time = pd.Timestamp(times[i])
            slack = pd.Timedelta(seconds=_SLACK_S + 2 * boots[number[i]].interval_s)
            near = told["time"].between(time - slack, time + slack)
            if not (near & (told["battery"] == n)).any():
                unseen.append((n, time, "no reason in the events"))
    unseen = pd.DataFrame(unseen, columns=["battery", "time", "text"])
    return pd.concat([told, unseen.astype(told.dtypes)]).sort_values("time", ignore_index=True)


def _reason(detail):
    """The reason and the value of `Battery 3: opened, far too much current, 25.0 A`."""
    return detail.partition(", ")[2] or detail


def _packs(rows, bands, trips):
    on = bands[bands["state"] == "on"]
    on_h = (on["end"] - on["start"]).dt.total_seconds().groupby(on["battery"]).sum() / 3600
    count = trips.groupby("battery").size()
    table = {}
    for n, part in rows.groupby("battery"):
        part = part[part["voltage_mv"].notna()]
        if part.empty:
            continue
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
