# SPDX-License-Identifier: GPL-3.0-only
"""Parallelator: safe parallel connection of 4 to 16 battery packs."""

VERSION = "0.1.0"

BOOT = 1
"""Version of the interface between this package and boot.py and main.py. An update must have the
same number."""
