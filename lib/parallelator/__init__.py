# SPDX-License-Identifier: GPL-3.0-only
"""Parallelator: safe parallel connection of 4 to 16 battery packs."""

VERSION = "0.1.0"

BOOT = 1
"""What boot.py and main.py expect of this package, and it of them; an update needs the same."""
