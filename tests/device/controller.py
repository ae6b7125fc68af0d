# SPDX-License-Identifier: GPL-3.0-only
"""A stand-in for an ESP32 at the end of a cable: one life of it, from reset to reset.

    micropython -i tests/device/controller.py IMAGE STORAGE

controllers.py starts it on a pseudo-terminal, again after each reset. The root folder is a
LittleFS image; what the simulator's stand-ins keep in non-volatile storage is kept in the file
STORAGE. After boot.py and main.py the prompt is MicroPython's own.
"""

import json
import os
import sys


def die():
    """What a reset is to a process: no `finally` runs, no file is closed."""
    os.system("kill -KILL $PPID")


def storage(path):
    """Non-volatile storage that outlives the process."""
    import esp32

    from sim import current

    file = open(path, "r+b")  # noqa: SIM115 - as long as the process lives
    kept = json.loads(file.read().decode() or "{}")
    for space in kept.values():
        for key, value in space.items():
            space[key] = value if isinstance(value, int) else value.encode()
    current.world.nvs.update(kept)
    commit = esp32.NVS.commit

    def saved(store):
        commit(store)
        spaces = {
            name: {k: v if isinstance(v, int) else v.decode() for k, v in space.items()}
            for name, space in current.world.nvs.items()
        }
        file.seek(0)
        file.write(json.dumps(spaces) + " " * 200)

    esp32.NVS.commit = saved


def power_up(image, kept):
    """From the reset to the prompt."""
    root = __file__.rsplit("/tests/device/", 1)[0]
    sys.path[:] = [root + "/tools/sim/standins", root + "/tools", ".frozen"]
    from sim import current, scenario, tasks
    from sim.flash import Flash
    from sim.scenario import Script
    from sim.world import World

    plan = scenario.complete({"batteries": 4})
    world = current.world = World(plan, False, 1, 1, None)
    world.script = Script(plan, world, None)
    sys.modules["_asyncio"] = tasks
    for name in ("asyncio", "machine", "network", "esp32", "socket", "select", "time"):
        __import__(name)
    tasks.bind(sys.modules["asyncio"].core)
    sys.modules["machine"].reset = die
    storage(kept)
    flash = Flash(open(image, "r+b"))  # noqa: SIM115 - as long as the process lives
    os.umount("/")
    os.mount(os.VfsLfs2(flash), "/")
    sys.path[:] = ["", ".frozen", "/lib"]
    # From now on Ctrl-C interrupts.
    os.system("stty isig quit undef susp undef")
    for name in ("boot.py", "main.py"):
        try:
            with open(name) as file:
                text = file.read()
        except OSError:
            continue
        try:
            exec(compile(text, name, "exec"), {"__name__": "__main__"})
        except Exception as error:
            sys.print_exception(error)


power_up(sys.argv[1], sys.argv[2])
