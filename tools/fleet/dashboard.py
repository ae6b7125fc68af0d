#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Asks a Prometheus each expression of grafana.json and prints what it answers, a line each.

    tools/fleet/dashboard.py http://localhost:9090

The exit code is 1 when an expression has no answer that should have one. The tests use the
functions.
"""

import json
import sys
import urllib.parse
import urllib.request
from pathlib import Path

EMPTY = {
    "ALERTS": "no alert fires",
    "parallelator_battery_capacity_ratio": "no battery has been full and then nearly empty",
    "parallelator_time_to_empty_seconds": "the load is too small or too new to tell",
}
"""What an expression speaks of that may have no answer, and why."""
SHOWN = 3


def read():
    """The dashboard, a dict."""
    return json.loads((Path(__file__).resolve().parent / "grafana.json").read_text())


def expressions(whole):
    """(title of its panel, expression) of each target."""
    for panel in whole["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def filled(expression, shown, rate):
    """An expression as Grafana sends it, for all rigs.

    Args:
        shown: the time that is shown; rate: what a rate is taken over; as "60s".
    """
    for name, value in (("$__range", shown), ("$__rate_interval", rate), ("$rig", ".*")):
        expression = expression.replace(name, value)
    return expression


def may_be_empty(expression):
    """Why an expression may have no answer, "" when it must have one."""
    return next((why for name, why in EMPTY.items() if name in expression), "")


def main():
    """Ask all, print; return the exit code."""
    if len(sys.argv) != 2:
        print(__doc__)
        return 2
    empty = 0
    for title, expression in expressions(read()):
        query = urllib.parse.urlencode({"query": filled(expression, "5m", "1m")})
        with urllib.request.urlopen(f"{sys.argv[1]}/api/v1/query?{query}") as answer:
            found = json.load(answer)["data"]["result"]
        values = ", ".join(row["value"][1][:9] for row in found[:SHOWN])
        values += f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
        why = may_be_empty(expression)
        empty += not found and not why
        text = expression.replace("|", "\\|")
        print(f"| {title} | `{text}` | {values or '**empty**: ' + (why or 'no reason')} |")
    return 1 if empty else 0


if __name__ == "__main__":
    sys.exit(main())
