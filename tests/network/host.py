# SPDX-License-Identifier: GPL-3.0-only
"""How long a busy host keeps a process from running that could run: no gap of the rig's."""

import threading
import time
from pathlib import Path

_STEP_S = 0.01


class Denials:
    """Watches one process until `stop`: the kernel counts what it waits for a processor.

    Args:
        pid: of a process with one thread.
    """

    def __init__(self, pid):
        self._file = Path(f"/proc/{pid}/schedstat")  # ns on a processor, ns waiting for one, ...
        self._samples = [self._sample()]
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def _sample(self):
        return time.monotonic(), int(self._file.read_text().split()[1]) / 1e6

    def _watch(self):
        while not self._stopped.wait(_STEP_S):
            self._samples.append(self._sample())

    def stop(self):
        """To be called while the process is still there."""
        self._stopped.set()
        self._thread.join()

    def longest(self, window_ms):
        """The most that it had to wait within any `window_ms`, in ms."""
        worst_ms = begin = 0
        for at, waited_ms in self._samples:
            while (at - self._samples[begin][0]) * 1000 > window_ms + 2000 * _STEP_S:
                begin += 1
            worst_ms = max(worst_ms, waited_ms - self._samples[begin][1])
        return worst_ms
