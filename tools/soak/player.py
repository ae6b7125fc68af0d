# SPDX-License-Identifier: GPL-3.0-only
"""Plays scenarios one after another: a line of JSON in, a line of JSON out. Run by campaign.py.

    micropython -X heapsize=64m tools/soak/player.py PORT

What a scenario prints comes before its answer, which starts with `VERDICT`.
"""

import json
import sys

ROOT = __file__.rsplit("/tools/soak/", 1)[0]
sys.path[:] = [
    ROOT + "/tools/sim/standins",
    ROOT + "/lib",
    ROOT + "/tools",
    ROOT + "/build/mpy-lib",
    ".frozen",
]

from sim import harness, scenario  # noqa: E402 - the path must come first
from soak import lateness  # noqa: E402


def judge(plan, port):
    """Play a scenario.

    Returns:
        dict: `failures` as [rule, detail], and what the table of the campaign adds up.
    """
    observed, report = lateness.explain(
        lambda: harness.run(ROOT, scenario.complete(plan), True, port=port, quiet=True)
    )
    failures = [[what, "battery %d at %s ms" % (n, ms)] for ms, n, what in report["violations"]]
    failures += [["allocation in a steady tick", text] for text in report["alloc_violations"]]
    failures += [["late tick without explanation", text] for text in observed.unexplained]
    failures += [["step without the guard", name] for name in observed.unasked()]
    return {
        "failures": failures,
        "ticks": report["ticks"]["count"],
        "causes": observed.causes,
        "reactions": len(report["reactions"]),
        "switchings": len(report["switch_writes"]),
        "resets": report["resets"],
    }


def main():
    port = int(sys.argv[1])
    for line in sys.stdin:
        try:
            verdict = judge(json.loads(line), port)
        except Exception as error:
            sys.print_exception(error)
            verdict = {"failures": [["crash of the simulator", repr(error)]]}
        print("VERDICT" + json.dumps(verdict))


main()
