# SPDX-License-Identifier: GPL-3.0-only
"""What a trial costs each switch, from the plant. A part of stage.py.

Empty batteries close for a moment to learn what hangs on the output. Here it is the worst that
can hang there.
"""

SIZES = (1, 4, 16)
MILLIVOLTS = 23500
LOWEST_MV = 21050
"""Just above the charge floor: the lowest voltage at which anybody takes part in a trial."""
SHORT = {"at": 0, "do": "load_mohm", "mohm": 20}
CHARGER = {"at": 0, "do": "source", "a": 2000, "v": (MILLIVOLTS + 2000) / 1000}
INTO = {
    "a short of 20 mohm": {"steps": [SHORT]},
    "40 mF": {"bus_uf": 40000},
    "a charger 2 V above": {"steps": [CHARGER]},
    "an amplifier, lowest voltage": {
        "bus_uf": 40000,
        "steps": [{"at": 0, "do": "inrush", "times": 5, "ms": 200}],
        "load_a": 2,
        "millivolts": LOWEST_MV,
    },
}
"""What hangs on the output: keys of a scenario; `load_a` of each battery, `millivolts` of each."""
DURATION_S = 17


def plans():
    """List of (size, name, scenario)."""
    return [(size, name, _plan(size, **INTO[name])) for name in INTO for size in SIZES]


def _plan(size, load_a=0, millivolts=MILLIVOLTS, steps=(), **more):
    levels = [
        {"at": 0, "do": "set_battery", "n": n, "voltage_mv": millivolts}
        for n in range(1, size + 1)
    ]
    return dict(
        more,
        name="trial",
        duration_s=DURATION_S,
        batteries=size,
        load=[[0, load_a * size]],
        steps=levels + list(steps),
    )


def judge(report):
    """The worst of the switches in the first trial of a run, and what it `missed` as texts."""
    if report["failures"]:
        return {"missed": [": ".join(failure) for failure in report["failures"]]}
    first = {}
    for closing in report["closings"]:
        first.setdefault(closing["n"], closing)
    found = {
        "count": len(report["closings"]),
        "missed": ["battery %d %s" % (n, what) for _, n, what in report["violations"]],
    }
    for key in ("peak_a", "a2s", "mah"):
        found[key] = max((abs(closing[key]) for closing in first.values()), default=0)
    found["ms"] = max(
        (
            (closing["opened_ms"] or DURATION_S * 1000) - closing["closed_ms"]
            for closing in first.values()
        ),
        default=0,
    )
    return found


def table(played):
    """Lines of the table; `played`: list of (size, name, what `judge` found)."""
    yield "Trials: the worst of the switches, A2s of the first second"
    yield ""
    yield "a trial into                  batteries  closed, ms  peak, A      A2s     mAh"
    for size, name, found in played:
        if "ms" in found:
            yield "%-29s %9d  %10.1f  %7.1f  %7.1f  %6.3f" % (
                name,
                size,
                *(found[key] for key in ("ms", "peak_a", "a2s", "mah")),
            )
