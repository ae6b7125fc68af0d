"""Reads the text of one log or of events.csv into a table, and names what is damaged in it.

Pure; for archive.py. The format is that of the firmware's records/datalog.py.
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd

import firmware

CATALOG = firmware.catalog()
BATTERIES = 16
STATES = tuple(CATALOG.names(CATALOG.STATES))
_SEPARATORS = ",;\t"
_MEASURED = {
    "voltage_mv": (0, 105_000),  # the sensors reach 102.4 V
    "current_ma": (-200_000, 200_000),
    "discharge_mah": (0, 10**9),
    "charge_mah": (0, 10**9),
}
"""Number columns of a battery: the range outside which a value cannot be meant."""
_FIELDS = ("voltage_mv", "current_ma", "state", "discharge_mah", "charge_mah")
_LONG = ("time", "uptime_ms", "battery", *_FIELDS)
_WIDE = (
    "time",
    "uptime_ms",
    *(f"{field}_{n}" for n in range(1, BATTERIES + 1) for field in _FIELDS),
)
_EVENT_FIELDS = ("time", "uptime_ms", "severity", "code", "battery", "detail")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LINK = re.compile(r"# (\S+) is uptime_ms (\d+); goes on in (\S+)")
_UPTIME_MS = (0, 10**13)


@dataclass(frozen=True)
class Flaw:
    """Something that is wrong with the records.

    Attributes:
        kind: `damage`, `gap`, `clock` or `day`; text: in words.
        file: name of the log, "" when it concerns no single one; line: in it, from 1, or 0.
        start, end: pandas Timestamps (UTC) between which it lies, None when not known.
        packs: batteries (1..16) it is about, empty for all.
    """

    kind: str
    text: str
    file: str = ""
    line: int = 0
    start: pd.Timestamp | None = None
    end: pd.Timestamp | None = None
    packs: tuple = ()


@dataclass
class Log:
    """One log file.

    Attributes:
        rows: DataFrame with line, time (UTC, NaT while unknown), uptime_s (float), battery
            (1..16), voltage_mv, current_ma, state, discharge_mah, charge_mah (NaN: unknown),
            in the order of the file.
        offset: wall time of uptime 0 as the last line of a boot log gives it, or None.
        flaws: list of `Flaw`, all `damage`.
    """

    name: str
    rows: pd.DataFrame
    offset: pd.Timestamp | None
    flaws: list


def parse_log(name, data):
    """Read a log.

    Args:
        name: of the file; data: its bytes.

    Returns:
        Log: with every row that can be read; each that cannot is a flaw.
    """
    text = data.decode("utf-8", "replace")
    columns, separator, headed = _layout(text)
    flaws = []
    if separator != ",":
        text = text.translate({ord(","): "?", ord(separator): ","})
    lines = text.split("\n")
    if not headed:
        flaws.append(Flaw("damage", f"line 1: no header, found {_shown(lines[0])}", name, 1))
    if lines[-1]:
        flaw = f"line {len(lines)}: torn at the end of the file, {_shown(lines[-1])}"
        flaws.append(Flaw("damage", flaw, name, len(lines)))
    offset = None
    numbers, good = [], []
    for number, line in enumerate(lines[1 if headed else 0 : -1], 2 if headed else 1):
        line = line.removesuffix("\r")
        if line.count(",") == len(columns) - 1 and line.isprintable():
            numbers.append(number)
            good.append(line)
        elif link := _LINK.fullmatch(line):
            since = pd.to_datetime(link[1], format=_TIME, errors="coerce")
            offset = None if since is pd.NaT else since - pd.Timedelta(milliseconds=int(link[2]))
        elif number > 1:
            flaw = f"line {number}: torn, {_shown(line)}"
            flaws.append(Flaw("damage", flaw, name, number))
    rows = _table(name, columns, numbers, good, flaws)
    flaws.sort(key=lambda flaw: flaw.line)
    return Log(name, rows, offset, flaws)


def _layout(text):
    """(columns, separator, whether the first line says so) of a log."""
    header = text.split("\n", 1)[0].removesuffix("\r")
    for separator in _SEPARATORS:
        for columns in (_LONG, _WIDE):
            if header == separator.join(columns):
                return columns, separator, True
    seen = Counter()
    for line in text[:100_000].split("\n"):
        for separator in _SEPARATORS:
            seen[separator, line.count(separator) + 1] += 1
    kinds = [
        (seen[s, len(columns)], columns, s) for s in _SEPARATORS for columns in (_LONG, _WIDE)
    ]
    _, columns, separator = max(kinds, key=lambda kind: kind[0])
    return columns, separator, False


def _table(name, columns, numbers, lines, flaws):
    """The rows of lines that have the right number of fields; adds what is wrong to `flaws`."""
    words = {column: "category" for column in columns if column.startswith(("time", "state"))}
    table = pd.read_csv(
        io.StringIO("\n".join([",".join(columns), *lines])),
        quoting=csv.QUOTE_NONE,
        keep_default_na=False,
        na_values=[""],
        dtype=words,
        low_memory=False,
    )
    table.insert(0, "line", numbers)

    def refuse(column, bad, allowed):
        if not bad.any():
            return
        for line, found in table.loc[bad, ["line", column]].itertuples(index=False):
            flaw = f"line {line}: {column} is {_shown(found)}, allowed: {allowed}"
            flaws.append(Flaw("damage", flaw, name, line))

    def number(column, low, high, needed=False):
        values = pd.to_numeric(table[column], errors="coerce").to_numpy("float64")
        inside = (values >= low) & (values <= high)
        bad = ~(inside & (np.floor(values) == values)) & (table[column].notna() | needed)
        refuse(column, bad, f"{low} to {high}")
        table[column] = np.where(bad, np.nan, values)

    def moment(column):
        found = table[column].astype("category")
        known = pd.to_datetime(pd.Series(found.cat.categories), format=_TIME, errors="coerce")
        values = found.cat.codes.map(dict(enumerate(known.astype("datetime64[s]"))))
        bad = values.isna() & found.notna()
        refuse(column, bad, "a time such as 2026-07-14T21:00:00Z")
        table[column] = values.astype("datetime64[s]")
        return bad

    lost = moment("time")
    number("uptime_ms", *_UPTIME_MS, needed=True)
    if columns is _LONG:
        number("battery", 1, BATTERIES, needed=True)
    for column in columns[2:]:
        base = column.rstrip("0123456789").rstrip("_")
        if base in _MEASURED:
            number(column, *_MEASURED[base])
        elif base == "state":
            bad = ~table[column].isin(STATES)
            refuse(column, bad, ", ".join(STATES))
            table[column] = table[column].mask(bad)
    table = table[~lost & table["uptime_ms"].notna()]
    if columns is _WIDE:
        table = _long(table)
    table = table[table["battery"].notna() & table["state"].notna()]
    return pd.DataFrame(
        {
            "line": table["line"],
            "time": table["time"],
            "uptime_s": table["uptime_ms"] / 1000,
            "battery": table["battery"].astype("int8"),
            "state": pd.Categorical(table["state"].astype("object"), STATES),
            **{column: table[column].astype("float32") for column in _MEASURED},
        }
    ).reset_index(drop=True)


def _long(table):
    """One row per battery of a table in the wide layout."""
    begin = ["line", "time", "uptime_ms"]
    parts = [
        table[begin + [f"{field}_{n}" for field in _FIELDS]]
        .set_axis([*begin, *_FIELDS], axis=1)
        .assign(battery=n)
        for n in range(1, BATTERIES + 1)
    ]
    return pd.concat(parts).sort_values(["line", "battery"], kind="stable")


def parse_events(name, data):
    """Read events.csv.

    Returns:
        tuple: DataFrame with time (UTC, NaT while unknown), uptime_s, severity, code, battery (0:
        the rig) and detail, in the order of the file; list of `Flaw`, all `damage`.
    """
    text = data.decode("utf-8", "replace")
    header = text.split("\n", 1)[0].removesuffix("\r")
    separator = next((s for s in _SEPARATORS if header == s.join(_EVENT_FIELDS)), None)
    flaws = []
    if separator is None:
        flaws.append(Flaw("damage", f"line 1: no header, found {_shown(header)}", name, 1))
        separator = max(_SEPARATORS, key=text.count)
    rows = []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if number == 1 or not line and number == len(lines):
            continue
        row = _event(line.removesuffix("\r"), separator)
        if row is None:
            flaws.append(Flaw("damage", f"line {number}: torn, {_shown(line)}", name, number))
        elif row[3] != "code":  # a second header: the first was lost, and one was written anew
            rows.append(row)
    columns = ("time", "uptime_s", "severity", "code", "battery", "detail")
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"time": "datetime64[s]", "uptime_s": "float64"}), flaws


def _event(line, separator):
    """One row of events.csv as a tuple, None when it is torn."""
    if "\0" in line or not line.endswith('"'):
        return None
    try:
        (cells,) = csv.reader([line], delimiter=separator)
        time, uptime_ms, severity, code, battery, detail = cells
        moment = pd.to_datetime(time, format=_TIME) if time else pd.NaT
        return moment, int(uptime_ms) / 1000, severity, code, int(battery or 0), detail
    except (csv.Error, ValueError):
        return None


def _shown(found):
    """What was found, short and printable."""
    text = str(found)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return f"“{text}”" if len(text) <= 40 else f"“{text[:38]}…” ({len(text)} characters)"
