#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Draws a night from the logs of a rig, and names what is missing or damaged in them.

    tools/logs/night.py SOURCE [-o night.html] [--night DATE] [--rig NAME]

SOURCE is a card or a folder with logs, one log, an image of a card, or a rig (http://host). The
picture is a page for a browser or, when OUT ends in .png, an image. Exits with 0, with 1 when
nothing can be drawn.
"""

import argparse
import functools
import sys
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from logs import archive, choice, nights, report, sheet, shows, sources  # noqa: E402 - found by the path above


def read(place, wanted, rig, until):
    """The archive of what a night needs, and the night.

    Args:
        place: as of `sources.opened`; wanted, rig, until: as of `choice.choose`.

    Raises:
        SourceError, OSError, ValueError: there is nothing to draw; says why.
    """
    source = sources.opened(place)
    chosen = choice.choose(source, wanted, rig, until)
    files = {name: functools.partial(source.open, name) for name in chosen.names}
    names = [*chosen.others, *chosen.names]
    found = archive.join(files, names, until, chosen.window, chosen.rigs)
    found.flaws += chosen.flaws
    lives = sources.beside(place, "packs", ".csv", chosen.below)
    night = nights.night_of(found, wanted, lives)
    night.shows = shows.of(sources.beside(place, "shows", ".json", chosen.below), night)
    return found, night


def each(found, night):
    """The nights of a `Night` that is more than one of an archive, each as one; or it alone."""
    if not night.dated:
        return [night]
    evenings = nights.evening_of(night.rows["time"], found.about.zone).unique()
    if len(evenings) == 1:
        return [night]
    return [nights.night_of(found, f"{evening:%Y-%m-%d}") for evening in sorted(evenings)]


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
    parser.add_argument("--rig", help="name, number or folder of one of several rigs")
    parser.add_argument(
        "--language", choices=sheet.LANGUAGES, default="en", help="of the sheets that are printed"
    )
    options = parser.parse_args(arguments)
    if options.out.suffix not in (".html", ".png"):
        parser.error(f"-o {options.out}: the name must end in .html or .png")
    try:
        found, night = read(options.source, options.night, options.rig, until)
    except (sources.SourceError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(report.text(found, night), end="")
    for line in shows.text(night):
        print(line)
    if options.out.suffix == ".png":
        from logs import image as picture
    else:
        from logs import page as picture
    try:
        sheets = [sheet.sheet(one, options.language) for one in each(found, night)]
        sheets.append(shows.sections(night, options.language))
        picture.draw(night, options.out, sheets)
    except OSError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"\n{options.out} written")
    return 0


if __name__ == "__main__":
    sys.exit(main())
