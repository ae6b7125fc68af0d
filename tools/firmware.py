# SPDX-License-Identifier: GPL-3.0-only
"""The firmware's own tables for the tools of this host, which run on CPython."""

import importlib
import sys
from pathlib import Path
from types import SimpleNamespace

ROOT = Path(__file__).resolve().parent.parent


def catalog():
    """The module parallelator.catalog: every code, and what is to be known of it."""
    return _module("catalog")


def selftest():
    """The module parallelator.show.selftest: what a self-test may find."""
    return _module("show.selftest")


def outlook():
    """The module parallelator.show.outlook: what the report of a show may tell to do."""
    return _module("show.outlook")


def zone():
    """The module parallelator.zone: local time from a POSIX TZ string."""
    return _module("zone")


def _module(name):
    sys.modules.setdefault("micropython", SimpleNamespace(const=lambda value: value))
    folder = str(ROOT / "lib")
    if folder not in sys.path:
        sys.path.insert(0, folder)
    return importlib.import_module(f"parallelator.{name}")
