# SPDX-License-Identifier: GPL-3.0-only
"""The heap that the firmware takes in the simulator, without what the simulator takes.

    micropython -X heapsize=64m tools/sim/memory.py PORT FOLDER

tools/memory.py starts it, sets its clients on it and ends it by a file `end` in FOLDER: a signal
could come in the middle of a collection. The last line is JSON:

    share       what the same world takes without firmware, after some seconds of its own
    published   MQTT messages
    used        the most that the firmware has in use at any second, after a collection
    first, last the least of it in the first and in the last ten seconds
    garbage     the most that it has let lie around within a second, not collected
    seconds     of the rig, with everything on
"""

import gc
import json
import os
import sys
from array import array

ROOT = __file__.rsplit("/tools/sim/", 1)[0]
SETTLED_S = 8
_WINDOW = 10
_RECORDED = ("timeline", "switch_writes", "reactions", "spans")
"""Lists of the recorder that grow: not of the firmware."""


class Sampler:
    """Looks at the heap between two ticks, once a second of the rig.

    Args:
        latest: array of the last ten samples, in bytes; made before the share was measured.
        share: bytes that the simulator takes; world: the simulated `World`.
        end: name of a file that ends the run.
    """

    def __init__(self, latest, share, world, end):
        self._end = end
        self._latest = latest
        self._world = world
        self._recorder = world.observers[0]
        self._due_us = SETTLED_S * 1000000
        self.figures = {
            "share": share,
            "used": 0,
            "first": 0,
            "garbage": 0,
            "seconds": 0,
            "published": 0,
        }

    def ticked(self):
        """A tick is over."""
        if self._world.now_us < self._due_us:
            return
        if _is_there(self._end):
            raise KeyboardInterrupt
        self._due_us = self._world.now_us + 1000000
        for name in _RECORDED:
            getattr(self._recorder, name).clear()
        figures = self.figures
        broker = self._world.broker
        figures["published"] += sum(broker.counts.values())
        broker.counts.clear()
        broker.last.clear()
        full = gc.mem_alloc()
        gc.collect()
        used = gc.mem_alloc() - figures["share"]
        figures["garbage"] = max(figures["garbage"], full - used - figures["share"])
        figures["used"] = max(figures["used"], used)
        self._latest[figures["seconds"] % _WINDOW] = used
        figures["seconds"] += 1
        if figures["seconds"] == _WINDOW:
            figures["first"] = min(self._latest)


def _is_there(path):
    try:
        os.stat(path)
    except OSError:
        return False
    return True


def plan(password):
    """A full rig with everything on."""
    return {
        "name": "memory",
        "batteries": 16,
        "load": [[0, 30]],
        "settings": {
            "serial_messages": False,
            "wifi": {"ssid": "rig", "password": "password"},
            "web": {"password": password},
            "log": {"keep_free_mb": 10},
            "mqtt": {"commands": True},
            "batteries": {str(n): {"label": "Pack %d" % n} for n in range(1, 17)},
        },
        "steps": [{"at": 0, "do": "broker"}],
    }


def share_of(scene, card):
    """What the simulator takes, in bytes: the world, its referee and recorder, the card."""
    from sim import current, harness
    from sim.broker import Broker
    from sim.guard_probe import GuardProbe
    from sim.recorder import Recorder
    from sim.referee import RefereeLimits
    from sim.scenario import Script
    from sim.world import World

    gc.collect()
    before = gc.mem_alloc()
    from parallelator import settings

    values = settings.Values({})
    harness._forget_firmware()
    gc.collect()
    forgotten = gc.mem_alloc() - before  # names of the firmware that stay interned, and the dict
    world = World(scene, True, 1, 1, None)
    world.card = card
    world.broker = Broker(world.random)
    recorder = Recorder(world, RefereeLimits(values))
    probe = GuardProbe(world, recorder)
    world.script = Script(scene, world, probe.submit)
    world.observers.append(recorder)
    current.world = world
    world.spend(SETTLED_S * 1000000)  # what it remembers of its packs
    gc.collect()
    share = gc.mem_alloc() - forgotten
    world.broker.close()
    return share


def main(port, folder):
    """Play until the end is asked for; print the figures."""
    sys.path[:] = [
        ROOT + "/tools/sim/standins",
        ".frozen",  # before the sources: where the firmware is frozen, that is what is measured
        ROOT + "/lib",
        ROOT + "/tools",
        ROOT + "/build/mpy-lib",
    ]
    from sim import current, harness, scenario, threads
    from sim.chips.sdcard import SdCard
    from sim.chips.sdimage import Image

    sys.modules["_thread"] = threads  # the joined firmware imports all that it needs at once
    scene = scenario.complete(plan("backstage"))
    scene["duration_s"] = None
    card = SdCard(Image(harness.SD_SECTORS, folder + "/card.img"))
    card.image.volume()
    latest = array("i", bytes(4 * _WINDOW))
    share = share_of(scene, card)
    samplers = []

    def observe():
        from parallelator.protection.guard import Guard

        sampler = Sampler(latest, share, current.world, folder + "/end")
        samplers.append(sampler)
        tick = Guard.tick

        def observed(guard):
            tick(guard)
            sampler.ticked()

        Guard.tick = observed

    harness.run(
        ROOT,
        scene,
        True,
        port=port,
        flash=folder + "/flash",
        quiet=True,
        sabotage=observe,
        card=card,
    )
    print(json.dumps(dict(samplers[-1].figures, last=min(latest))))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
