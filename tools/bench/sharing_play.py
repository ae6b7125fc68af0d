# SPDX-License-Identifier: GPL-3.0-only
"""Plays rigs with bad contacts, for sharing.py: a line of JSON in, a line of JSON out.

    micropython -X heapsize=64m tools/bench/sharing_play.py

A line is a scenario. An answer starts with `VERDICT`, as those of the campaign do.
"""

import json
import sys

from rig import play


def answer(plan):
    """Play a rig; returns what was told of contacts: [code, number of the pack, mOhm, second]."""
    told = []

    def listen():
        from parallelator.show.sharing import Sharing
        from sim import current

        make = Sharing.__init__

        def made(sharing, snap, limits, emit):
            def heard(code, i, state, reason, value):
                emit(code, i, state, reason, value)
                told.append((code, i + 1, value, current.world.now_us / 1000000))

            make(sharing, snap, limits, heard)

        Sharing.__init__ = made

    report = play(listen, **plan)
    return {"told": told, "alloc": report["alloc_violations"], "failures": []}


for line in sys.stdin:
    print("VERDICT" + json.dumps(answer(json.loads(line))))
