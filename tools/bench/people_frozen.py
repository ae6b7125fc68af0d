# SPDX-License-Identifier: GPL-3.0-only
"""As people.py, on the firmware as an image has it, in 32 bits. Called by tools/soak/image.py.

    micropython32.run -X heapsize=1m tools/bench/people_frozen.py KHZ PORT FOLDER

The simulator and the visitor lie in the same heap as the firmware, and take more than it. So the
heap is not small; what the firmware has in use is looked at each second, after a collection. What
the simulator takes is measured before, and what it keeps of the run is thrown away each second.
Prints a line of JSON: waits in ms, and `used`, the most in use, in bytes.

The heap is not locked during the guard's tick: on 32 bits the stand-ins allocate where they do not
on 64.
"""

import gc
import json
import sys

from people import SECTORS, Timed, plan, worst
from rig import play

from bench.visitor import hook
from sim import current, guard_probe, scenario, wires, world
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image
from sim.memory import share_of

SECOND_US = 1000000
STARTED_S = 9
"""From then on all batteries are on, and what opens was asked for."""


class Unlocked:
    """In the place of the module `micropython`: the heap stays as it is."""

    heap_lock = heap_unlock = staticmethod(lambda: 0)


class Sampler:
    """Looks at the heap, and keeps the simulator from growing.

    Args:
        share: bytes that the simulator takes.

    Attributes:
        moves: of the switches, as of `worst`; used: most bytes in use.
    """

    switched = played = restarted = lambda self, *rest: None

    def __init__(self, share):
        self._share = share
        self._seconds = 0
        self.moves = []
        self.used = 0

    def stepped(self, now_us):
        if now_us < self._seconds * SECOND_US:
            return
        self._seconds += 1
        recorder, broker = current.world.observers[0], current.world.broker
        if self._seconds > STARTED_S:
            self.moves += [move for move in recorder.switch_writes if not move[2]]
        for name in recorder.GROWING:
            getattr(recorder, name).clear()
        broker.counts.clear()
        broker.last.clear()
        gc.collect()
        self.used = max(self.used, gc.mem_alloc() - self._share)


def main():
    """Measure."""
    khz, port, folder = sys.argv[1:]
    for module in (guard_probe, wires, world):
        module.micropython = Unlocked
    scene = plan("plain", int(khz), int(port))
    card = SdCard(Image(SECTORS, folder + "/card.img"))
    card.image.volume()
    sampler = Sampler(share_of(scenario.complete(dict(scene, name="bench")), card))
    visitor = Timed(int(port))

    def observe():
        hook(visitor)
        current.world.observers.append(sampler)

    report = play(observe, card=card, **scene)
    visitor.leave()
    row = worst(visitor, sampler.moves)
    row["khz"], row["used"] = int(khz), sampler.used
    row["violations"] = [text for _, _, text in report["violations"]]
    print(json.dumps(row))


if __name__ == "__main__":
    main()
