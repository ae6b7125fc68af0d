# SPDX-License-Identifier: GPL-3.0-only
"""How good each pack was in a night, from what the rig keeps of each on the card. For nights.py.

The files are those of the firmware's energy/packs.py: a line a night. Pure.
"""

import csv
import io

import pandas as pd

COLUMNS = ("id", "health_pct", "growth_pct")
"""What `health` tells: id, capacity as a share of the label's, growth of the resistance since the
rig first measured it."""
_SURE = 0.1
"""Error of a capacity that is told, as a share of the label's; as in the firmware's health.py."""


def _number(text):
    try:
        return float(text)
    except (TypeError, ValueError):
        return float("nan")


def _lines(name, data):
    """The lines of a file as dicts; what is damaged is left out."""
    text = data.decode("utf-8", "replace")
    names, *rows = ([cell.strip() for cell in row] for row in csv.reader(io.StringIO(text)) if row)
    for row in rows:
        if len(row) == len(names) and row[names.index("battery")].isdigit():
            yield dict(zip(names, row, strict=True), id=name)


def health(files, evening):
    """What is known of each pack in a night.

    Args:
        files: id to content of its file in bytes; evening: its day as text, None: the last known.

    Returns:
        DataFrame: indexed by battery (1..16), COLUMNS; unknown numbers are NaN.
    """
    last = {}
    for name, data in sorted(files.items()):
        if b"battery" not in data.split(b"\n")[0]:
            continue
        for line in _lines(name, data):
            n, night = int(line["battery"]), line.get("night", "")
            if (evening is None or night <= evening) and night >= last.get(n, ("",))[0]:
                last[n] = night, line
    table = {}
    for n, (_, line) in last.items():
        capacity, error, label, now, first = (
            _number(line.get(key))
            for key in ("capacity_mah", "error_mah", "label_mah", "r_mohm", "first_mohm")
        )
        sure = label > 0 and error <= _SURE * label
        table[n] = {
            "id": line["id"],
            "health_pct": 100 * capacity / label if sure else float("nan"),
            "growth_pct": 100 * (now / first - 1) if first > 0 else float("nan"),
        }
    return pd.DataFrame.from_dict(table, orient="index", columns=COLUMNS)
