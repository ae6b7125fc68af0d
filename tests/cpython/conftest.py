# SPDX-License-Identifier: GPL-3.0-only
"""Hypothesis draws the same examples every time and keeps nothing on disk."""

from hypothesis import settings

settings.register_profile("repeatable", derandomize=True, database=None, deadline=None)
settings.load_profile("repeatable")
