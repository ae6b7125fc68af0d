#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Draws a night from the logs of a rig, and names what is missing or damaged in them.

    tools/logs/night.py SOURCE [-o night.html] [--night DATE]

SOURCE is a card or a folder with logs, one log, an image of a card, or a rig (http://host). The
picture is a page for a browser or, when OUT ends in .png, an image. Exits with 0, with 1 when
nothing can be drawn.
"""

import argparse
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from logs import archive, nights, report, sources  # noqa: E402 - found by the path above


def needed(names, wanted, remote, until):
    """The names of the logs to read: all, or from a rig those that the night can be in."""
    days = sorted(day for day in map(archive.day_of, names) if day)
    days = [day for day in days if day <= f"{until:%Y-%m-%d}"] or days
    if not remote or wanted == nights.ALL or not days:
        return names
    # A night ends on the day after, and the last log may be that of a morning.
    day = date.fromisoformat(days[-1]) - timedelta(days=1)
    if wanted:
        try:
            day = date.fromisoformat(wanted)
        except ValueError:
            day = None
    near = (None, str(day), str(day and day + timedelta(days=1)))
    return [name for name in names if archive.day_of(name) in near]


def main(arguments=None, now=None):
    """Read, report, draw; returns the exit code.

    Args:
        arguments: of the command line; now: a datetime (UTC), None for the computer's clock.
    """
    until = pd.Timestamp(now or datetime.now(UTC).replace(tzinfo=None)) + archive.AHEAD
    parser = argparse.ArgumentParser(description="Draw a night from the logs of a rig.")
    parser.add_argument("source", help="card, folder, log, image of a card or http://host[:port]")
    parser.add_argument("-o", "--out", type=Path, default=Path("night.html"), help=".html or .png")
    parser.add_argument(
        "--night", help="date of the evening, name of a boot log, or all; default: the last night"
    )
    options = parser.parse_args(arguments)
    if options.out.suffix not in (".html", ".png"):
        parser.error(f"-o {options.out}: the name must end in .html or .png")
    try:
        names, read = sources.opened(options.source)
        chosen = needed(names, options.night, "://" in options.source, until)
        found = archive.join({name: read(name) for name in chosen}, names, until)
        night = nights.night_of(found, options.night, sources.lives(options.source))
    except (sources.SourceError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(report.text(found, night), end="")
    if options.out.suffix == ".png":
        from logs import image as picture
    else:
        from logs import page as picture
    try:
        picture.draw(night, options.out)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{options.out} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
