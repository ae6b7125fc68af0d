"""What the steps of a scenario take, found by playing each of them. Called by run.py."""

from unittest.mock import MagicMock

from sim.scenario import STEPS, Script


class Step(dict):
    """A step that has every key, and notes which of them are read.

    Attributes:
        keys_read: key to None if it must be given, else to its default as text, "" for none.
    """

    def __init__(self, name):
        super().__init__(at=0, do=name)
        self.keys_read = {}

    def __getitem__(self, key):
        if dict.__contains__(self, key):
            return super().__getitem__(key)
        self.keys_read.setdefault(key)
        return MagicMock()

    def __contains__(self, key):
        self.keys_read[key] = ""
        return False

    def get(self, key, default=None):
        """The default, noted as text if it is a plain value."""
        plain = isinstance(default, (bool, int, str))
        self.keys_read[key] = str(default).lower() if plain else ""
        return default


def steps():
    """Every step of a scenario: its name to what `Step.keys_read` says."""
    found = {}
    for name in STEPS:
        step = Step(name)
        scenario = {"load": [], "source": [], "steps": [step]}
        Script(scenario, MagicMock(), MagicMock()).run(0)
        found[name] = step.keys_read
    return found
