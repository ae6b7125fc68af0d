# SPDX-License-Identifier: GPL-3.0-only
"""What holds what of the heap of the frozen firmware, down to the object. Used by tools/memory.py.

heap32_frozen.py prints the blocks of the heap and writes its memory; here each block gets a kind
and an owner. A function belongs to the module that defines it, a class to that of its methods, an
object to that of its class, and anything else to what refers to it.
"""

import collections
import re
import struct

BLOCK = 16
KINDS = ("function", "class", "names", "instance", "coroutine", "data")
"""`class`: with the dictionary of its methods; `names`: modules and their dictionaries;
`instance`: objects of the firmware's classes with their attributes."""
OBJECTS = 40
LEAST = 200
"""Bytes of an object that is worth a line."""


def blocks(said):
    """Address to bytes of everything in the heap, as micropython.mem_info(1) prints it."""
    found = {}
    base = last = None
    for line in said:
        if place := re.search(r"GC memory layout; from (\w+):", line):
            base = int(place[1], 16)
        elif base is not None and (row := re.match(r"([0-9a-f]{8}): (.*)", line)):
            for k, kind in enumerate(row[2]):
                at = base + int(row[1], 16) + BLOCK * k
                if kind == "=":
                    found[last] += BLOCK
                elif kind != ".":
                    last = at
                    found[at] = BLOCK
    return found


class Map:
    """Kind, owner and name of each block of a report of `heap32.run_frozen`.

    Attributes:
        sizes, kinds, owners, names: address to bytes, one of KINDS, a module, a name.
    """

    def __init__(self, report):
        begin, memory = report["begin"], report["heap"]
        self.sizes = blocks(report["said"])
        self.words = {
            at: struct.unpack_from(f"<{size // 4}I", memory, at - begin)
            for at, size in self.sizes.items()
        }
        self.types = dict(report["kinds"])
        self.modules = dict(report["modules"])
        self.names = dict(reversed(report["objects"]))
        self.kinds, self.owners = {}, {}
        for step in (self.modules_and_functions, self.classes, self.instances, self.others):
            step()

    def give(self, at, kind, owner):
        """A block has this kind and owner unless it has others."""
        if at in self.sizes:
            self.kinds.setdefault(at, kind)
            self.owners.setdefault(at, owner)

    def table_of(self, at):
        """The block with the entries of a dictionary."""
        return self.words[at][3] if at in self.words and len(self.words[at]) > 3 else None

    def of(self, kind):
        """(address, words) of the blocks that begin with a type of this kind."""
        return [(at, w) for at, w in self.words.items() if self.types.get(w[0]) == kind]

    def modules_and_functions(self):
        for at, words in self.of("names"):
            owner = self.modules.get(at, "?")
            for block in (at, words[1], self.table_of(words[1])):
                self.give(block, "names", owner)
        for at, words in self.of("function"):
            owner = self.modules.get(words[1], "?")
            self.give(at, "function", owner_in(self.names.get(at), owner))

    def classes(self):
        for at, words in self.of("class"):
            inside = [
                (block, self.table_of(block))
                for block in words[1:]
                if block in self.words and self.types.get(self.words[block][0]) == "dict"
            ]
            used = [method for _, table in inside for method in self.words.get(table, ())]
            owners = collections.Counter(
                self.owners[method] for method in used if self.kinds.get(method) == "function"
            )
            owner = owners.most_common(1)[0][0] if owners else "?"
            owner = owner_in(self.names.get(at), owner)
            for block in (at, *sum(inside, ())):
                self.give(block, "class", owner)
            for method in used:
                if self.kinds.get(method) == "function":
                    self.owners[method] = owner

    def instances(self):
        known = dict(self.of("class"))
        for at, words in list(self.words.items()):
            if words[0] in known:
                self.give(at, "instance", self.owners[words[0]])
                self.give(words[3], "instance", self.owners[words[0]])
        for at, words in self.of("coroutine"):
            function = next((w for w in words[1:6] if self.kinds.get(w) == "function"), None)
            self.give(at, "coroutine", self.owners.get(function, "?"))

    def others(self):
        order = ("instance", "coroutine", "names", "class", "function")
        level = sorted(self.owners, key=lambda at: order.index(self.kinds[at]))
        while level:
            following = []
            for at in level:
                for block in self.words[at]:
                    if block in self.sizes and block not in self.owners:
                        self.give(block, "data", self.owners[at])
                        if at in self.names:
                            self.names.setdefault(block, self.names[at])
                        following.append(block)
            level = following
        for at in self.sizes:
            self.give(at, "data", "?")


def owner_in(name, owner):
    """The module that a name of the joined one is from; `owner` for others."""
    if name and "__" in name.strip("_"):
        return name.strip("_").partition("__")[2].partition(".")[0].partition("[")[0]
    return owner


def table(report):
    """The lines of the tables: bytes by module and kind, then the largest objects."""
    found = Map(report)
    rows = collections.defaultdict(collections.Counter)
    for at, size in found.sizes.items():
        rows[found.owners[at]][found.kinds[at]] += size
    lines = [f"{'bytes of 32-bit heap':28}" + "".join(f"{kind:>10}" for kind in (*KINDS, "all"))]
    total = collections.Counter()
    for owner, row in sorted(rows.items(), key=lambda item: -item[1].total()):
        if not owner.startswith("heap32") and owner != "?":
            lines.append(line(owner, row))
            total += row
    ours = sum((row for owner, row in rows.items() if owner.startswith("heap32")), total - total)
    lines.append(line("the firmware and its image", total))
    lines.append(line("stand-ins, the FAT volume's 4352 in them", ours))
    lines.append(line("names (qstrs), stack, the measuring", rows["?"]))
    large = sorted(((size, at) for at, size in found.sizes.items() if size >= LEAST), reverse=True)
    lines.append("\nThe largest objects")
    for size, at in large[:OBJECTS]:
        name = found.names.get(at) or f"{found.kinds[at]} of {found.owners[at]}"
        lines.append(f"{size:8}  {name}")
    return lines


def line(name, row):
    """A line of the table."""
    columns = "".join(f"{row[kind]:10}" for kind in KINDS)
    return f"{name:28}{columns}{row.total():10}"
