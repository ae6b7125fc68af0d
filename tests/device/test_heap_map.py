# SPDX-License-Identifier: GPL-3.0-only
"""Who holds what of a heap that is made up here: a module, a class, one object of it, its data."""

import struct

from device import heap_map

BASE = 0x1000
MODULE, FUNCTION, CLASS, DICT, COROUTINE = 0x10, 0x20, 0x30, 0x40, 0x50  # addresses of the types
HEAP = (
    # address, blocks, words
    (0x1000, 1, (MODULE, 0x1010)),
    (0x1010, 1, (DICT, 0, 0, 0x1020)),
    (0x1020, 2, (0, 0x1040, 0, 0x1060)),
    (0x1040, 1, (FUNCTION, 0x1000)),  # run__web_live
    (0x1060, 2, (CLASS, 0, 0x1080)),  # Ring__records_history
    (0x1080, 1, (DICT, 0, 0, 0x1090)),
    (0x1090, 2, (0, 0x10B0)),
    (0x10B0, 1, (FUNCTION, 0x1000)),  # a method
    (0x10C0, 1, (0x1060, 0, 0, 0x10D0)),  # an object
    (0x10D0, 2, (0, 0x10F0)),
    (0x10F0, 16, (0x99,)),  # what it keeps
    (0x11F0, 2, (COROUTINE, 0, 0x1040)),
    (0x1250, 1, (0,)),  # nobody's
)


def report():
    """As heap32.run_frozen makes it."""
    memory = bytearray(0x300)
    rows = ["."] * 64
    for address, count, words in HEAP:
        struct.pack_into(f"<{len(words)}I", memory, address - BASE + 0x10, *words)
        first = (address - BASE) // 16
        rows[first : first + count] = "h" + "=" * (count - 1)
    return {
        "begin": BASE - 0x10,
        "heap": bytes(memory),
        "said": [
            "[1 s] Started",
            f"GC memory layout; from {BASE:x}:",
            "00000000: " + "".join(rows),
        ],
        "kinds": [
            (MODULE, "names"),
            (FUNCTION, "function"),
            (CLASS, "class"),
            (DICT, "dict"),
            (COROUTINE, "coroutine"),
        ],
        "modules": [(0x1000, "parallelator.joined")],
        "objects": [
            (0x1040, "run__web_live"),
            (0x1060, "Ring__records_history"),
            (0x10F0, "Ring__records_history._units"),
        ],
    }


def test_every_block_has_its_owner_and_its_kind():
    found = heap_map.Map(report())
    assert sum(found.sizes.values()) == sum(16 * count for _, count, _ in HEAP)
    seen = {at: (found.owners[at], found.kinds[at]) for at in found.sizes}
    for at in (0x1000, 0x1010, 0x1020):
        assert seen[at] == ("parallelator.joined", "names")
    assert seen[0x1040] == ("web_live", "function")
    for at in (0x1060, 0x1080, 0x1090):
        assert seen[at] == ("records_history", "class")
    assert seen[0x10B0] == ("records_history", "function")
    for at in (0x10C0, 0x10D0):
        assert seen[at] == ("records_history", "instance")
    assert seen[0x10F0] == ("records_history", "data")
    assert seen[0x11F0] == ("web_live", "coroutine")
    assert seen[0x1250] == ("?", "data")


def test_the_table_adds_up_and_names_what_is_large():
    lines = heap_map.table(report())
    total = next(line for line in lines if line.startswith("the firmware"))
    assert [int(number) for number in total.split()[-7:]] == [32, 80, 64, 48, 32, 256, 512]
    assert lines[-1].split() == ["256", "Ring__records_history._units"]
