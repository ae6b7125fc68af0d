# SPDX-License-Identifier: GPL-3.0-only
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
_FIELDS = tuple(CATALOG.names(CATALOG.LOG_COLUMNS))
_MEASURED = {row[0]: row[2:] for row in CATALOG.LOG_COLUMNS if row[0] != "state"}
"""Number columns of a battery: the range outside which a value must be a mistake."""
_FIRST_FIELDS = 5
"""As many columns a battery had in the first version; later ones follow them."""
_BEGIN = ("time", "uptime_ms")
_EVENT_FIELDS = ("time", "uptime_ms", "severity", "code", "battery", "detail")
_TIME = "%Y-%m-%dT%H:%M:%SZ"
_LINK = re.compile(r"# (\S+) is uptime_ms (\d+)[;,]+ goes on in (\S+?)[;,]*")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)Z?")
_LOCAL = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{2,4}(\s.*)?|\d+[.,]\d+")
"""Times as spreadsheets write them: the date of a country, or days and a fraction."""
_CELL = re.compile(r'"([^"\n]*)"')
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
    text, tail, flaws = _read(name, data)
    if '"' in text.split("\n", 1)[0]:
        text = _CELL.sub(r"\1", text)
    columns, separator, headed = _layout(text, tail)
    if separator != ",":
        # Behind another separator a comma can only be the one of a decimal number.
        text = text.translate({ord(","): ".", ord(separator): ","})
    lines = text.split("\n")
    if not headed:
        flaws.append(Flaw("damage", f"line 1: no header, found {_shown(lines[0])}", name, 1))
    if lines[-1]:
        flaw = f"line {len(lines)}: torn at the end of the file, {_shown(lines[-1])}"
        flaws.append(Flaw("damage", flaw, name, len(lines)))
    offset = None
    numbers, good = [], []
    for number, line in enumerate(lines[1 if headed else 0 : -1], 2 if headed else 1):
        line = line.removesuffix("\r").removesuffix(tail)
        link = _LINK.fullmatch(line) if line.startswith("#") else None
        if link:
            since = pd.to_datetime(link[1], format=_TIME, errors="coerce")
            offset = None if since is pd.NaT else since - pd.Timedelta(milliseconds=int(link[2]))
        elif line.count(",") == len(columns) - 1 and line.isprintable():
            numbers.append(number)
            good.append(line)
        elif number > 1:
            flaw = f"line {number}: torn, {_shown(line)}"
            flaws.append(Flaw("damage", flaw, name, number))
    rows = _table(name, columns, numbers, good, flaws)
    flaws.sort(key=lambda flaw: flaw.line)
    return Log(name, rows, offset, flaws)


def _read(name, data):
    """The text of a file, as the rig or whoever has saved it since wrote it.

    Returns:
        tuple: text without a byte order mark, its lines ending in LF or CR LF; the separators with
        which a spreadsheet fills up every line; list of `Flaw`: it is UTF-16.
    """
    flaws = []
    code = _utf16(data)
    if code:
        flaw = "line 1: the file is UTF-16 (saved by a spreadsheet?), the rig writes UTF-8"
        flaws.append(Flaw("damage", flaw, name, 1))
    text = data.decode(code or "utf-8", "replace").removeprefix("\ufeff")
    if "\n" not in text:
        text = text.replace("\r", "\n")
    header = text.split("\n", 1)[0].removesuffix("\r")
    tail = header[len(header.rstrip(_SEPARATORS)) :]
    return text, tail, flaws


def _utf16(data):
    """The encoding when it is UTF-16: every other byte of its first 32 letters is 0."""
    for mark, code, letters in ((b"\xff\xfe", "utf-16-le", 0), (b"\xfe\xff", "utf-16-be", 1)):
        start = data.removeprefix(mark)[:64]
        if len(start) == 64 and not any(start[1 - letters :: 2]) and all(start[letters::2]):
            return code
    return None


def _long_columns(fields):
    return (*_BEGIN, "battery", *fields)


def _wide_columns(fields):
    return (*_BEGIN, *(f"{field}_{n}" for n in range(1, BATTERIES + 1) for field in fields))


def _layout(text, tail):
    """(columns, separator, whether the first line says so) of a log, of whatever version."""
    first, *lines = text[:100_000].split("\n")
    header = first.removesuffix("\r").removesuffix(tail)
    seen = Counter((s, line.count(s) + 1) for line in lines for s in _SEPARATORS)
    for separator in _SEPARATORS:
        columns = tuple(header.split(separator))
        fields = columns[3:]
        if columns[2:3] != ("battery",):
            fields = tuple(column[:-2] for column in columns if column.endswith("_1"))
        fits = columns in (_long_columns(fields), _wide_columns(fields))
        told = fields[:_FIRST_FIELDS] == _FIELDS[:_FIRST_FIELDS]
        if fits and told and (seen[separator, len(columns)] or not any(lines)):
            return columns, separator, True
    versions = [_FIELDS[:count] for count in range(len(_FIELDS), _FIRST_FIELDS - 1, -1)]
    layouts = [make(fields) for fields in versions for make in (_long_columns, _wide_columns)]
    kinds = [(seen[s, len(columns)], columns, s) for s in _SEPARATORS for columns in layouts]
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
        texts = pd.Series(found.cat.categories, dtype="object").astype(str)
        known = pd.to_datetime(
            texts.str.replace(_ISO, r"\1T\2Z", regex=True), format=_TIME, errors="coerce"
        )
        values = found.cat.codes.map(dict(enumerate(known.astype("datetime64[s]"))))
        bad = values.isna() & found.notna()
        local = bad & found.cat.codes.map(dict(enumerate(map(_is_local, texts)))).eq(True)
        if local.any():
            line, text = table.loc[local, ["line", column]].iloc[0]
            flaws.append(_foreign_times(name, line, text, int(local.sum())))
        refuse(column, bad & ~local, "a time such as 2026-07-14T21:00:00Z")
        table[column] = values.astype("datetime64[s]")
        return bad

    lost = moment("time")
    number("uptime_ms", *_UPTIME_MS, needed=True)
    wide = "battery" not in columns
    if not wide:
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
    return _typed(_long(table) if wide else table)


def _typed(table):
    """The columns of a log in their types, those that an old one lacks too; uptime in seconds."""
    table = table[table["battery"].notna() & table["state"].notna()]
    table = table.reindex(columns=[*table.columns, *(set(_MEASURED) - set(table.columns))])
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


def _is_local(text):
    return bool(_LOCAL.fullmatch(text)) and not _ISO.fullmatch(text)


def _foreign_times(name, line, text, count):
    flaw = (
        f"line {line}: the times are not those of the rig (saved by a spreadsheet?), "
        f"{_shown(text)} and so on in {count} row{'s' * (count > 1)}; copy the file anew"
    )
    return Flaw("damage", flaw, name, int(line))


def _long(table):
    """One row per battery of a table in the wide layout."""
    begin = ["line", *_BEGIN]
    fields = [column[:-2] for column in table.columns if column.endswith("_1")]
    parts = [
        table[begin + [f"{field}_{n}" for field in fields]]
        .set_axis([*begin, *fields], axis=1)
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
    text, tail, flaws = _read(name, data)
    header = text.split("\n", 1)[0].removesuffix("\r").removesuffix(tail)
    plain = header.replace('"', "")
    separator = next((s for s in _SEPARATORS if plain == s.join(_EVENT_FIELDS)), None)
    # The rig puts every detail in quotes; a spreadsheet only those that need them.
    saved = bool(flaws or tail or plain != header or "\r\n" in text)
    if separator is None:
        flaws.append(Flaw("damage", f"line 1: no header, found {_shown(header)}", name, 1))
        separator = max(_SEPARATORS, key=text.count)
    rows = []
    foreign = []
    lines = text.split("\n")
    for number, line in enumerate(lines, 1):
        if number == 1 or not line and number == len(lines):
            continue
        row = _event(line.removesuffix("\r").removesuffix(tail), separator, saved)
        if row is None:
            flaws.append(Flaw("damage", f"line {number}: torn, {_shown(line)}", name, number))
        elif row[3] != "code":  # a second header: the first was lost, and one was written anew
            if isinstance(row[0], str):
                foreign.append((number, row[0]))
                row = (pd.NaT, *row[1:])
            rows.append(row)
    if foreign:
        flaws.append(_foreign_times(name, *foreign[0], len(foreign)))
    columns = ("time", "uptime_s", "severity", "code", "battery", "detail")
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"time": "datetime64[s]", "uptime_s": "float64"}), flaws


def _event(line, separator, saved):
    """One row of events.csv as a tuple, None when it is torn; a spreadsheet's time stays text."""
    if "\0" in line or (line.count('"') % 2 if saved else not line.endswith('"')):
        return None
    try:
        (cells,) = csv.reader([line], delimiter=separator)
        time, uptime_ms, severity, code, battery, detail = cells
        moment = pd.NaT
        if time:
            rigs = _ISO.sub(r"\1T\2Z", time)
            moment = time if _is_local(time) else pd.to_datetime(rigs, format=_TIME)
        return moment, int(uptime_ms) / 1000, severity, code, int(battery or 0), detail
    except (csv.Error, ValueError):
        return None


def _shown(found):
    """What was found, short and printable."""
    text = str(found)
    text = text if text.isprintable() else ascii(text)[1:-1]
    return f"“{text}”" if len(text) <= 40 else f"“{text[:38]}…” ({len(text)} characters)"
