"""Parallelator: safe parallel connection of 4 to 16 battery packs."""

VERSION = "0.1.0"
