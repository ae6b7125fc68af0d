# SPDX-License-Identifier: GPL-3.0-only
"""Keeps which statements have run; every file that tools/coverage.py instruments imports it.

The simulator forgets the firmware's modules before each boot, but not this one: a file that is
imported again goes on with the marks it had.
"""

import os
import sys

_marks = {}


def marks(path, statements):
    """Return the marks of a file, a bytearray with one byte for each of its statements.

    Args:
        path: of the file in the repository; statements: how many it has.
    """
    if not _marks:
        sys.atexit(_write)
    if path not in _marks:
        _marks[path] = bytearray(statements)
    return _marks[path]


def _write():
    """Write a line `path marks-in-hex` per file to a new file in the folder $COVERAGE_MARKS."""
    with open(os.getenv("COVERAGE_MARKS") + "/" + os.urandom(8).hex(), "w") as file:
        for path, ran in _marks.items():
            file.write("%s %s\n" % (path, ran.hex()))
