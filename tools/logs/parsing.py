# SPDX-License-Identifier: GPL-3.0-only
"""Reads the text of one log or of events.csv into a table, and names what is damaged in it.

Pure; for archive.py. The format is that of the firmware's records/datalog.py.
"""

import codecs
import csv
import io
import itertools
import re
from collections import Counter
from dataclasses import dataclass, field, replace

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
_RIG = re.compile(
    r"# times are UTC[;,] ?zone (\S+)[;,] ?boot \d+[;,] ?rig (\w+)[;,] ?name (.*?)[;,\t]*"
)
_PACK = re.compile(r"# battery (\d{1,2})[;,] ?id (.*?)[;,] ?label (.*?)[;,\t]*")
"""A spreadsheet may have split these lines and joined them by another separator."""
_LINK = re.compile(r"# (\S+) is uptime_ms (\d+)[;,]+ goes on in (\S+?)[;,]*")
_ISO = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d:\d\d)Z?")
_LOCAL = re.compile(r"\d{1,4}[-./]\d{1,2}[-./]\d{2,4}(\s.*)?|\d+[.,]\d+")
"""Times as spreadsheets write them: the date of a country, or days and a fraction."""
_CELL = re.compile(r'"([^"\n]*)"')
_UPTIME_MS = (0, 10**13)
_PIECE = 1 << 22
_MOST_FLAWS = 1000
"""As many damaged lines of a file are told, the others are counted."""
WRONG = np.datetime64("2024-01-01", "s")
"""No rig ran this firmware before: a clock that says so was never set, or lost its time."""
ALWAYS = pd.Timestamp(WRONG), pd.Timestamp("2262-01-01")
_ROW = {
    "line": "int32",
    "time": "datetime64[s]",
    "uptime_s": "float64",
    "battery": "int8",
    "state": "int8",
    **dict.fromkeys(_MEASURED, "float32"),
}


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
class About:
    """What a log tells of its rig; None and {} where it does not, as those of earlier versions.

    Attributes:
        number: of the controller; name: of the rig; zone: POSIX TZ string.
        packs: battery (1..16) to (id, label), "" where there is none.
    """

    number: str | None = None
    name: str | None = None
    zone: str | None = None
    packs: dict = field(default_factory=dict)

    def take(self, line):
        """Take a comment of a log; False when it is none of these."""
        rig, pack = _RIG.fullmatch(line), _PACK.fullmatch(line)
        if rig:
            self.zone, self.number, self.name = rig[1].replace(";", ","), rig[2], rig[3]
        elif pack and 1 <= int(pack[1]) <= BATTERIES:
            self.packs[int(pack[1])] = pack[2], pack[3]
        return bool(rig or pack)


@dataclass
class Log:
    """One log file.

    Attributes:
        columns: those of `rows` as arrays.
        offset: wall time of uptime 0 as the last line of a boot log gives it, or None.
        flaws: list of `Flaw`: `damage`, and one `clock` for rows dated before the rig was made.
        about: `About`; size: in bytes.
    """

    name: str
    columns: dict
    offset: pd.Timestamp | None
    flaws: list
    about: About
    size: int

    @property
    def rows(self):
        """DataFrame with line, time (UTC, NaT while unknown), uptime_s (float), battery (1..16),
        state, voltage_mv, current_ma, discharge_mah, charge_mah, soc_pct (NaN: unknown), in the
        order of the file."""
        return as_rows(self.columns)


def as_rows(columns):
    """The DataFrame of such columns, without a copy of them."""
    states = pd.Categorical.from_codes(columns["state"], STATES)
    return pd.DataFrame({**columns, "state": states}, copy=False)


def parse_log(name, file, window=ALWAYS):
    """Read a log, a piece at a time.

    Args:
        name: of the file; file: bytes, or a binary file to read them from.
        window: (first, last) Timestamps; rows dated otherwise are left out.

    Returns:
        Log: with every row that can be read; each that cannot is a flaw.
    """
    file = io.BytesIO(file) if isinstance(file, bytes) else file
    begin = file.read(_PIECE)
    reader = _Reader(name, begin, window)
    for data in itertools.chain([begin], iter(lambda: file.read(_PIECE), b"")):
        reader.feed(data)
    return reader.finish()


class _Reader:
    """Collects the rows of one log.

    Args:
        name, window: as of `parse_log`; begin: the first bytes, which tell how it was saved.
    """

    def __init__(self, name, begin, window):
        text, code, self._tail, flaws = _read(name, begin)
        self._decoder = codecs.getincrementaldecoder(code or "utf-8")("replace")
        self._name = name
        self._window = window
        self._old_mac = "\n" not in begin.decode(code or "utf-8", "replace")
        self._quoted = '"' in text.split("\n", 1)[0]
        if self._quoted:
            text = _CELL.sub(r"\1", text)
        self._columns, self._separator, self._headed = _layout(text, self._tail)
        if not self._headed:
            found = text.split("\n", 1)[0]
            if self._separator != ",":
                found = found.translate(_commas(self._separator))
            flaws.append(Flaw("damage", f"line 1: no header, found {_shown(found)}", name, 1))
        self._rest = ""
        self._size = 0
        self._lines = 0
        self._parts = {column: [] for column in _ROW}
        self._head = flaws
        self._last = None
        self._flaws = []
        self._more = 0
        self._foreign = None
        self._early = None
        self._offset = None
        self._about = About()

    def feed(self, data):
        """Take the next bytes."""
        self._size += len(data)
        text = self._decoder.decode(data)
        if self._old_mac:
            text = text.replace("\r", "\n")
        text = self._rest + text
        if not self._lines:
            text = text.removeprefix("\ufeff")
        end = text.rfind("\n") + 1
        self._rest = text[end:]
        if end:
            self._take(text[: end - 1])

    def _plain(self, text):
        if self._quoted:
            text = _CELL.sub(r"\1", text)
        # Behind another separator a comma can only be the one of a decimal number.
        return text if self._separator == "," else text.translate(_commas(self._separator))

    def _take(self, text):
        """Take whole lines."""
        count = len(self._columns) - 1
        tail = self._tail
        numbers, good, flaws = [], [], self._head
        self._head = []
        raw, lines = text.split("\n"), self._plain(text).split("\n")
        first = self._lines + 1
        self._lines += len(lines)
        plain = not tail and "\r" not in text
        commented = "#" in text
        for number, line in enumerate(lines, first):
            if not plain:
                line = line.removesuffix("\r").removesuffix(tail)
            if number == 1 and self._headed:
                continue
            if commented and line.startswith("#") and self._comment(raw[number - first]):
                continue
            if line.count(",") == count and line.isprintable():
                numbers.append(number)
                good.append(line)
            elif number > 1:
                text = f"line {number}: torn, {_shown(line)}"
                flaws.append(Flaw("damage", text, self._name, number))
        rows = self._table(numbers, good, flaws)
        self._keep_flaws(flaws, rows)
        self._keep_rows(rows)

    def _comment(self, line):
        """Take a line that tells something of the log; False when it is another."""
        line = line.removesuffix("\r").removesuffix(self._tail).replace('"', "")
        link = _LINK.fullmatch(line)
        if not link:
            return self._about.take(line)
        since = pd.to_datetime(link[1], format=_TIME, errors="coerce")
        self._offset = None if since is pd.NaT else since - pd.Timedelta(milliseconds=int(link[2]))
        return True

    def _table(self, numbers, lines, flaws):
        table, foreign = _table(self._name, self._columns, numbers, lines, flaws)
        if foreign:
            line, text, count = foreign
            first = self._foreign or (line, text, 0)
            self._foreign = (*first[:2], first[2] + count)
        return table

    def _keep_flaws(self, flaws, rows):
        """Note these with the row before each, or after it at the top of a file."""
        flaws.sort(key=lambda flaw: flaw.line)
        room = max(_MOST_FLAWS - len(self._flaws), 0)
        self._more += len(flaws[room:])
        for flaw in flaws[:room]:
            at = max(int(np.searchsorted(rows["line"], flaw.line)) - 1, 0)
            self._flaws.append((flaw, _moment(rows, at) if len(rows["line"]) else self._last))
        if len(rows["line"]):
            self._last = _moment(rows, -1)

    def _keep_rows(self, rows):
        times = rows["time"]
        first, last = (np.datetime64(moment, "s") for moment in self._window)
        early = times < WRONG
        if early.any() and first >= WRONG:
            at = int(np.argmax(early))
            begin = self._early or (int(rows["line"][at]), times[at], 0)
            self._early = (*begin[:2], begin[2] + int(early.sum()))
        inside = np.isnat(times) | (times >= first) & (times <= last)
        for column, parts in self._parts.items():
            parts.append(rows[column] if inside.all() else rows[column][inside])

    def finish(self):
        """The log, once all was fed."""
        text = self._rest + self._decoder.decode(b"", True)
        if text:
            number = self._lines + 1
            flaw = f"line {number}: torn at the end of the file, {_shown(self._plain(text))}"
            self._flaws.append((Flaw("damage", flaw, self._name, number), self._last))
        self._flaws += [(flaw, None) for flaw in self._head]
        columns = {}
        for column, parts in self._parts.items():
            columns[column] = np.concatenate(parts) if parts else np.empty(0, _ROW[column])
            parts.clear()
        flaws = [self._placed(*flaw) for flaw in self._flaws]
        if self._more:
            flaws.append(Flaw("damage", f"and {self._more} more lines", self._name))
        if self._foreign:
            flaws.append(_foreign_times(self._name, *self._foreign))
        if self._early:
            line, time, count = self._early
            text = (
                f"line {line}: the clock was wrong, {str(time).replace('T', ' ')}; "
                f"{count} row{'s' * (count > 1)} left aside"
            )
            time = pd.Timestamp(time)
            flaws.append(Flaw("clock", text, self._name, line, time, time))
        flaws.sort(key=lambda flaw: flaw.line)
        return Log(self._name, columns, self._offset, flaws, self._about, self._size)

    def _placed(self, flaw, place):
        if place is None:
            return flaw
        time = pd.Timestamp(place[0])
        if time is pd.NaT:
            time = (self._offset or pd.Timestamp(0)) + pd.Timedelta(seconds=place[1])
        return replace(flaw, start=time, end=time)


def _moment(rows, at):
    return rows["time"][at], rows["uptime_s"][at]


def _commas(separator):
    return {ord(","): ".", ord(separator): ","}


def _read(name, data):
    """The text of a file, as the rig or whoever has saved it since wrote it.

    Returns:
        tuple: text without a byte order mark, its lines ending in LF or CR LF; its encoding if
        it is UTF-16; the separators with which a spreadsheet fills up every line; list of `Flaw`:
        it is UTF-16.
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
    return text, code, tail, flaws


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
    """The rows of lines that have the right number of fields; adds what is wrong to `flaws`.

    Returns:
        tuple: arrays by the names of _ROW; (line, text, count) of times that are not the rig's, or
        None.
    """
    foreign = None
    table = _frame(columns, numbers, lines)

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
        nonlocal foreign
        found = table[column].astype("category")
        texts = pd.Series(found.cat.categories, dtype="object").astype(str)
        known = pd.to_datetime(
            texts.str.replace(_ISO, r"\1T\2Z", regex=True), format=_TIME, errors="coerce"
        )
        values = found.cat.codes.map(dict(enumerate(known.astype("datetime64[s]"))))
        bad = values.isna() & found.notna()
        local = bad & found.cat.codes.map(dict(enumerate(map(_is_local, texts)))).eq(True)
        if local.any():
            foreign = (*table.loc[local, ["line", column]].iloc[0], int(local.sum()))
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
    return _typed(_long(table) if wide else table), foreign


def _frame(columns, numbers, lines):
    """These lines as a table, with their numbers."""
    table = pd.read_csv(
        io.StringIO("\n".join([",".join(columns), *lines])),
        quoting=csv.QUOTE_NONE,
        keep_default_na=False,
        na_values=[""],
        dtype={name: "category" for name in columns if name.startswith(("time", "state"))},
        low_memory=False,
    )
    table.insert(0, "line", numbers)
    return table


def _typed(table):
    """The columns of a log in their types, those that an old one lacks too; uptime in seconds."""
    table = table[table["battery"].notna() & table["state"].notna()]
    table = table.reindex(columns=[*table.columns, *(set(_MEASURED) - set(table.columns))])
    states = table["state"].astype(pd.CategoricalDtype(STATES)).cat.codes
    table = table.assign(uptime_s=table["uptime_ms"] / 1000, state=states)
    return {column: table[column].to_numpy(kind) for column, kind in _ROW.items()}


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
    text, _, tail, flaws = _read(name, data)
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
