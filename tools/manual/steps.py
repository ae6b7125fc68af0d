# SPDX-License-Identifier: GPL-3.0-only
"""What the steps of a scenario take, from the table of the simulator. Called by run.py."""

from sim import scenario


def steps():
    """Every step: name to {key: None if it must be given, else its default as text, "" = none}."""
    return {
        name: {key: _shown(default) for key, default in keys.items()}
        for name, (_, keys) in scenario.STEPS.items()
    }


def _shown(default):
    if default is scenario.MUST:
        return None
    return "" if default is None else str(default).lower()
