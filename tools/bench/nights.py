# SPDX-License-Identifier: GPL-3.0-only
"""Whole nights: sixteen batteries of different age, 30 A to the end, a charger at dawn.

A part of stage.py. The load is taken off when everything is dark, or never; the charger holds the
output alive, or gives nothing until it sees a battery; a person presses *On*, or nobody does.
"""

from itertools import product

SIZE = 16
LOAD_A = 30
CAPACITY_AH = 10
CHARGERS_A = (30, 8)
ASLEEP = {"needs_mv": 20000, "delay_ms": 2000}
USED = 0.9
"""Of the charge, when the rig is empty."""
PAUSE_S = 600
"""From the end of the night to the end of the load, and from there to the charger."""
DAY_S = 2400
PERSON_S = 30
"""After the charger: a person presses *On* of one battery."""
MOST_CLOSINGS = 3
CHARGING_S = 120
HOUR_S = 3600


def packs(share):
    """The batteries: 60 to 100 % of their capacity, 25 to 60 mOhm."""
    return [
        {
            "n": n,
            "soc": round(0.985 + 0.0009 * n, 4),
            "capacity_ah": round(CAPACITY_AH * share * (0.6 + 0.4 * (7 * n % SIZE) / 15), 3),
            "r_mohm": 25 + 35 * (5 * n % SIZE) // 15,
        }
        for n in range(1, SIZE + 1)
    ]


class Night:
    """A row of the table.

    Args:
        charger_a: what the charger gives; asleep: nothing until it sees a battery.
        taken_off: the load is; person: one presses *On* of one battery.
        share: of CAPACITY_AH, and of the hours.
    """

    def __init__(self, charger_a, asleep, taken_off, person, share):
        self.charger_a = charger_a
        self.asleep = asleep
        self.taken_off = taken_off
        self.person = person
        self._packs = packs(share)
        self.hour_s = int(HOUR_S * share)
        total_ah = sum(pack["capacity_ah"] for pack in self._packs)
        self.off_s = int(total_ah * USED / LOAD_A * 3600) + PAUSE_S
        self.charger_s = self.off_s + PAUSE_S

    @property
    def name(self):
        """What people read."""
        return "night, load %s, charger of %d A%s%s" % (
            "taken off" if self.taken_off else "stays",
            self.charger_a,
            ", asleep" if self.asleep else "",
            ", a person" if self.person else "",
        )

    def plan(self):
        """The scenario, for play.py."""
        source = {"do": "source", "at": self.charger_s, "a": self.charger_a}
        steps = [dict(source, **ASLEEP) if self.asleep else source]
        if self.person:
            at_s = self.charger_s + PERSON_S
            steps.append({"do": "request", "at": at_s, "n": 3, "action": "on"})
        return {
            "name": "night",
            "duration_s": self.charger_s + DAY_S,
            "batteries": self._packs,
            "load": [[0, LOAD_A]] + [[self.off_s, 0]] * self.taken_off,
            "steps": steps,
            "every_s": self.hour_s // 6,
        }

    def judge(self, report):
        """Figures of a run, with what it `missed` as texts."""
        if report["failures"]:
            return {"missed": [": ".join(failure) for failure in report["failures"]]}
        closings = [c for c in report["closings"] if not c["trial"]]
        most = max(sum(c["n"] == n for c in closings) for n in range(1, SIZE + 1))
        trials = max(
            sum(c["n"] == n and c["trial"] for c in report["closings"]) for n in range(1, SIZE + 1)
        )
        together_s = self._together_s(closings)
        locks = len(report["locked"]) + any(page["locked"] for page in report["pages"])
        missed = [
            "%.1f s: battery %d %s" % (ms / 1000, n, what) for ms, n, what in report["violations"]
        ]
        missed += report["alloc_violations"]
        if most > MOST_CLOSINGS:
            missed.append(f"{most} closings of a battery")
        if locks:
            missed.append(f"{locks} locks")
        if self.charges() and (together_s is None or together_s > CHARGING_S):
            missed.append("all on after %s s" % together_s)
        return {
            "most": most,
            "trials": trials,
            "dark_s": sum(end - begin for begin, end in report["dark_ms"]) / 1000,
            "locks": locks,
            "together_s": together_s,
            "pages": report["pages"],
            "missed": missed,
        }

    def charges(self):
        """True when the charger gives more than the load takes."""
        return self.charger_a > (0 if self.taken_off else LOAD_A)

    def _together_s(self, closings):
        """How long after the charger all are closed at once, None = never."""
        begin_ms = self.charger_s * 1000
        for ms in sorted({max(c["closed_ms"], begin_ms) for c in closings}):
            closed = {
                c["n"]
                for c in closings
                if c["closed_ms"] <= ms and (c["opened_ms"] is None or c["opened_ms"] > ms)
            }
            if len(closed) == SIZE:
                return (ms - begin_ms) / 1000
        return None


def nights(share):
    """All nights, their hours and capacities so much shorter."""
    yes_no = (False, True)
    kinds = [(a, *kind, True) for *kind, a in product(yes_no, yes_no, CHARGERS_A)]
    kinds += [(a, False, False, False) for a in CHARGERS_A]
    return [
        Night(charger_a, asleep, taken_off, person, share)
        for charger_a, asleep, person, taken_off in kinds
    ]


def table(played):
    """Lines of the table; `played`: list of (Night, its figures)."""
    batteries = played[0][0].plan()["batteries"]
    capacities = sorted(pack["capacity_ah"] for pack in batteries)
    yield "Nights: %d batteries of %.1f to %.1f Ah, %d to %d mohm, full at first; %d A" % (
        *(len(batteries), capacities[0], capacities[-1]),
        min(pack["r_mohm"] for pack in batteries),
        max(pack["r_mohm"] for pack in batteries),
        LOAD_A,
    )
    yield ""
    yield "load       charger          person  closings  trials  dark, s  locks  all on after, s"
    for night, found in played:
        row = "%-9s  %2d A %-10s  %-6s" % (
            "taken off" if night.taken_off else "stays",
            night.charger_a,
            "asleep" if night.asleep else "",
            "On" if night.person else "",
        )
        if "most" in found:
            together = "-" if not night.charges() else found["together_s"]
            row += "  %8d  %6d  %7.0f  %5d  %s" % (
                found["most"],
                found["trials"],
                found["dark_s"],
                found["locks"],
                together if together in ("-", None) else "%.1f" % together,
            )
        yield row
    yield ""
    yield "closings: of one battery at most, outside of trials. all on: counted from the charger;"
    yield "-: the load takes all that it gives."


def page_table(night, found):
    """Lines: what the page says of a night, hour by hour and when it says something else."""
    yield "hour  on  output, V  output, A  alarms and reasons"
    before = None
    for page in found.get("pages", ()):
        hours = page["hours"] * HOUR_S / night.hour_s
        words = [f"{code} {count}" for code, count in sorted(page["alarms"].items())]
        words += [f"({reason} {count})" for reason, count in sorted(page["reasons"].items())]
        said = page["connected"], words
        if round(6 * hours) % 6 and said == before:
            continue
        before = said
        yield "%4.1f  %2d  %9s  %9.2f  %s" % (
            hours,
            page["connected"],
            "-" if page["volts"] is None else "%.2f" % page["volts"],
            page["amperes"],
            ", ".join(words),
        )
