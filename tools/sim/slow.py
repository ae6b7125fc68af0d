# SPDX-License-Identifier: GPL-3.0-only
"""Slows the guard down, from outside: for long campaigns and for many rigs on one machine."""


def slow_down(tick_ms):
    """Let the firmware tick every `tick_ms` instead of every 20, without the alarm for late ticks.

    To be called when the firmware can be imported, before it boots. A reading speaks for the
    present for as many scans as before, and nothing else of the firmware knows the period. Delays
    are rounded up to it.
    """
    from parallelator.protection import guard, warnings

    guard.FRESH_MS = guard.FRESH_MS * tick_ms // guard.TICK_MS
    guard.TICK_MS = tick_ms
    warnings.Warnings.deadline = lambda alarms, dt_ms: None
