# SPDX-License-Identifier: GPL-3.0-only
"""Draws a night from the logs of a rig, on the host: see night.py."""
