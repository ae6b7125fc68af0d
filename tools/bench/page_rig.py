# SPDX-License-Identifier: GPL-3.0-only
"""Rigs for the page's bench: time passes as on a plain ESP32, not faster than on the host."""

import functools
import tempfile
from pathlib import Path

from rigs import ROOT, Simulation, simulated


class Paced(Simulation):
    """A Simulation by paced.py; `hurry_s`: as of that."""

    def __init__(self, hurry_s=10, sd=None, **scenario):
        self._hurry_s = hurry_s
        with tempfile.TemporaryDirectory() as folder:
            super().__init__(sd=sd or Path(folder) / "card.img", **scenario)

    def stop(self):
        """Ends it at once, whatever is closed: nobody judges this rig."""
        self.process.kill()
        self.process.wait()
        self._folder.cleanup()

    def program(self, virtual, speed):
        return ROOT / "tools/bench/paced.py", "--hurry", str(self._hurry_s)


paced = functools.partial(simulated, Paced)
