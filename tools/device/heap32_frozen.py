# SPDX-License-Identifier: GPL-3.0-only
"""Runs the frozen firmware and prints what heap it takes, as JSON. Called by heap32.py, which says
what is measured.

    micropython -X heapsize=BYTES -c "import heap32_frozen; heap32_frozen.main(FOLDER, SECONDS)"
"""

import asyncio
import gc
import json
import sys

import heap32_standins
import micropython
import uctypes
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


def write_heap():
    """Write the memory that the heap lies in into the file `heap`, and print what lies where: the
    blocks of the heap, then a line of JSON, see heap_map.py."""
    here = id([])
    with open("/proc/self/maps") as file:
        for line in file:
            begin, end = (int(word, 16) for word in line.split()[0].split("-"))
            if begin <= here < end:
                break
    gc.collect()
    micropython.mem_info(1)
    print()
    with open("heap", "wb") as file:
        file.write(uctypes.bytearray_at(begin, end - begin))
    return begin


def kinds():
    """The address of each type whose objects have a kind of their own."""

    def function():
        pass

    def generator():
        yield

    types = {
        "function": (function, generator, lambda: function, asyncio.sleep),
        "class": (),
        "coroutine": (generator(),),
        "names": (sys,),
    }
    found = [(id(type(sample)), kind) for kind in types for sample in types[kind]]
    return found + [(id(type(Walk)), "class"), (id(dict), "dict")]


class Walk:
    """The names under which the objects of the firmware are reached.

    Attributes:
        names: (address, name) of each object, in the order in which they were found.
    """

    def __init__(self):
        self.seen = set()
        self.names = []

    def visit(self, name, value):
        """Note an object and what it holds."""
        todo = [(name, value)]
        while todo:
            name, value = todo.pop(0)
            if isinstance(value, (int, str, float)) or id(value) in self.seen:
                continue
            self.seen.add(id(value))
            self.names.append((id(value), name))
            if isinstance(value, (list, tuple)):
                todo += [("%s[%d]" % (name, k), one) for k, one in enumerate(value)]
            elif isinstance(value, dict):
                todo += [("%s[%r]" % (name, key), value[key]) for key in value]
            elif not isinstance(value, type) and type(getattr(value, "__dict__", None)) is dict:
                own = type(value).__name__
                todo += [("%s.%s" % (own, key), value.__dict__[key]) for key in value.__dict__]


def main(folder, seconds, mapped=False):
    """Run the rig, print the report.

    Args:
        folder: with config.json, the files of the page in `app`, and an empty one `sd`.
        mapped: True for a report that says what lies where, see `write_heap`.
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
    report.update(steady=steady, most=most)
    if mapped:
        report["begin"] = write_heap()
        report["modules"] = [(id(sys.modules[name]), name) for name in sys.modules]
        walk = Walk()
        for name in sys.modules:
            if not name.startswith("heap32") and name != "__main__":
                for key, value in getattr(sys.modules[name], "__dict__", {}).items():
                    walk.visit(key if "__" in key else name + "." + key, value)
        walk.visit("Rig", rig)
        report.update(kinds=kinds(), objects=walk.names)
    report["state"] = json.loads(heap32_standins.look(rig))
    print(json.dumps(report))
