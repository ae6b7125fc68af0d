"""Runs the frozen firmware and prints what heap it takes, as JSON. Called by heap32.py, which says
what is measured.

    micropython -X heapsize=BYTES -c "import heap32_frozen; heap32_frozen.main(FOLDER, SECONDS)"
"""

import asyncio
import gc
import json

import heap32_standins
import vfs


def used():
    """Bytes in use after a collection."""
    gc.collect()
    return gc.mem_alloc()


async def watch(rig, standins, seconds):
    """The most in use in the second half of the time, and the most at any moment, in bytes."""
    steady = most = 0
    for half_s in range(2 * seconds):
        await asyncio.sleep_ms(500)
        most = max(most, gc.mem_alloc() - standins)
        if half_s >= seconds:
            steady = max(steady, used() - standins)
    return steady, most


def main(folder, seconds):
    """Run the rig, print the report.

    Args:
        folder: with config.json, the files of the page in `app`, and an empty one `sd`.
    """
    vfs.mount(vfs.VfsPosix(folder), "/flash")
    vfs.mount(vfs.VfsPosix(folder + "/sd"), "/sd")
    heap32_standins.install([".frozen", "/flash/app"])
    standins = used()
    __import__("parallelator.app")
    imported = used() - standins
    rig = heap32_standins.start()
    steady, most = asyncio.run(watch(rig, standins, seconds))
    report = {"standins": standins, "imported": imported, "names": 0}
    report.update(steady=steady, most=most, state=json.loads(heap32_standins.look(rig)))
    print(json.dumps(report))
