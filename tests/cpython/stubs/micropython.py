# SPDX-License-Identifier: GPL-3.0-only
"""What the pure modules need of MicroPython's `micropython` when CPython runs them."""


def const(value):
    """Return `value`: the compile-time constant of MicroPython is a plain one here."""
    return value
