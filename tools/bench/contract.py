# SPDX-License-Identifier: GPL-3.0-only
"""The numbers that are promised: what the code has, and which test would miss them.

A part of stage.py. The code's number is read from its source; to find the test it is made a fifth
larger, then a fifth smaller, in a copy of the repository, until a test of the module notices. That
the numbers are those of this table is a test of its own.
"""

import ast
import functools
import sys
import tempfile
from pathlib import Path

from soak import mutants

ROOT = Path(__file__).resolve().parents[2]
PROTECTION = "lib/parallelator/protection"
FILES = {
    "settings": "lib/parallelator/settings.py",
    "snapshot": "lib/parallelator/snapshot.py",
    "i2c": "lib/parallelator/hardware/i2c.py",
    "app": "lib/parallelator/app.py",
}
"""Modules that are not of the protection."""
TESTS = {
    "settings": ("test_settings", "test_rules", "test_joining", "test_starts", "test_states"),
    "snapshot": ("test_output", "test_joining", "test_rules"),
    "i2c": ("test_i2c",),
    "app": (),
}
WHOLE = ("tests/sim/test_supply.py",)
"""Tests of the whole firmware, asked last."""
LONGEST_S = 600

# What is promised, its number, its unit, where the code has it: module.name, with the place of
# the number in it; in a table, the reason of the row, and which of those with this reason.
NUMBERS = (
    ("window, lowest", 24000, "mV", "settings.limits.min_voltage_mv"),
    ("window, highest", 30000, "mV", "settings.limits.max_voltage_mv"),
    ("neither charged nor tried below", 21000, "mV", "settings.limits.charge_floor_mv"),
    ("continuous discharge", 10000, "mA", "settings.limits.max_discharge_current_ma"),
    ("continuous charge", 10000, "mA", "settings.limits.max_charge_current_ma"),
    ("ceiling of both", 10000, "mA", "settings.limits.max_current_ma"),
    ("hard limit", 200, "%", "settings.limits.hard_current_pct"),
    ("join: difference at rest", 500, "mV", "settings.limits.voltage_offset_mv"),
    ("start: spread of the group", 150, "mV", "settings.limits.start_spread_mv"),
    ("imbalance", 1000, "mV", "settings.limits.imbalance_mv"),
    ("undervoltage: recovery", 1000, "mV", "settings.limits.uv_hysteresis_mv"),
    ("overvoltage: recovery", 500, "mV", "settings.limits.ov_hysteresis_mv"),
    ("cooling from the trip", 10000, "ms", "settings.limits.reconnect_delay_ms"),
    ("counted trips to a lock", 5, "", "settings.limits.max_trips"),
    ("a trip is forgiven after", 3600, "s", "settings.limits.trip_decay_s"),
    ("between two joins", 500, "ms", "settings.limits.join_interval_ms"),
    ("from boot to the first start", 5000, "ms", "settings.limits.start_delay_ms"),
    ("between two trials", 10000, "ms", "settings.limits.trial_interval_ms"),
    ("pack, until it is measured", 30, "mohm", "settings.limits.pack_resistance_mohm"),
    ("path", 20, "mohm", "settings.limits.path_resistance_mohm"),
    ("heat: alarm", 70, "C", "settings.limits.temperature_alarm_c"),
    ("heat: trip", 85, "C", "settings.limits.temperature_trip_c"),
    ("overcurrent: samples", 2, "", "rules.RULES OVERCURRENT 0 4"),
    ("overvoltage: time", 500, "ms", "rules.RULES OVERVOLTAGE 1 3"),
    ("overvoltage: hard limit", 103, "%", "rules.hard_high_mv"),
    ("overvoltage: not while it gives", 100, "mA", "rules._GIVES_MA"),
    ("overvoltage: the charger's, another within", 300, "mV", "rules.CHARGER_MV"),
    ("undervoltage: time", 1000, "ms", "rules.RULES UNDERVOLTAGE 1 3"),
    ("undervoltage: hard limit", 90, "%", "rules.hard_low_mv"),
    ("overload sum", 4400000, "permille ms", "rules.HEAT_LIMIT"),
    ("overload: longest step", 500, "ms", "rules._DT_CAP_MS"),
    ("overtemperature: readings", 3, "", "rules.RULES OVERTEMPERATURE 0 4"),
    ("overtemperature: recovery", 10, "C", "rules._COOLER_C"),
    ("imbalance: time", 1500, "ms", "rules.RULES IMBALANCE 0 3"),
    ("imbalance: scans", 3, "", "rules.RULES IMBALANCE 0 4"),
    ("no_share: carries less than", 50, "mA", "snapshot.IDLE_MA"),
    ("no_share: time", 5000, "ms", "rules.RULES NO_SHARE 0 3"),
    ("no_share: the others carry more than", 1999, "mA", "rules._SHARED_MA"),
    ("no_share: times to loose_contact", 3, "", "states._LOOSE"),
    ("repeats count within", 3600, "s", "states._REPEAT_S"),
    ("longest pause of one battery", 600000, "ms", "rules._RETRY_CAP_MS"),
    ("a dead output shortens pauses to", 5000, "ms", "states._DARK_DELAY_MS"),
    ("sensor_lost: no valid reading for", 500, "ms", "sensors._LOST_MS"),
    ("sensor_lost: failed reads", 3, "", "sensors._LOST_READS"),
    ("a sensor is back after", 2000, "ms", "guard._VALID_MS"),
    ("switch_fault: ticks", 3, "", "switches._WRONG_TICKS"),
    ("false_alert: may return after", 2000, "ms", "states._FALSE_ALERT_MS"),
    ("the load's fault: all within", 30, "s", "states._RECENT_S"),
    ("third failure of the output: pause", 60, "s", "starts._LATER_S 0"),
    ("fourth", 120, "s", "starts._LATER_S 1"),
    ("fifth", 300, "s", "starts._LATER_S 2"),
    ("sixth and later", 600, "s", "starts._LATER_S 3"),
    ("failures to a lock of the output", 10, "", "starts._FAILURES"),
    ("within", 7200, "s", "starts._WINDOW_S"),
    ("stuck_closed: current", 200, "mA", "snapshot.STRAY_MA"),
    ("stuck_closed: time", 500, "ms", "guard._STUCK_MS"),
    ("low_soon: above the lowest", 1000, "mV", "warnings._LOW_MARGIN_MV"),
    ("implausible below", 70, "%", "sensors._LOW_PCT"),
    ("implausible above", 130, "%", "sensors._HIGH_PCT"),
    ("two readings agree within", 2, "%", "sensors._AGREE_PCT"),
    ("a flag is confirmed by", 80, "%", "alerts._CONFIRM_PCT"),
    ("scan of all", 160, "ms", "rules.SCAN_MS"),
    ("zero: open for", 10000, "ms", "zero._OPEN_MS"),
    ("zero: taken off up to", 100, "mA", "zero._SMALL_MA"),
    ("zero: believed up to", 500, "mA", "zero._MOST_MA"),
    ("zero: the same within", 50, "mA", "zero._STEADY_MA"),
    ("zero: not if hotter by", 10, "C", "zero._HOTTER_C"),
    ("a reading speaks for", 400, "ms", "output.FRESH_MS"),
    ("a current is believed up to", 120, "%", "output._TRUSTED_PCT"),
    ("a current is corroborated by a step of", 300, "mA", "output._STEP_MA"),
    ("one witness of a charge: rise", 30, "mV", "output._RISE_MV"),
    ("in", 300000, "ms", "output._RISE_MS"),
    ("a silent board is judged within", 1000, "ms", "output._DEPARTED_MS"),
    ("joining: share of the hard limit", 80, "%", "joining._SHARE_PCT"),
    ("relief: from so many offsets", 2, "", "joining._RELIEF_OFFSETS"),
    ("relief: the worst falls to", 80, "%", "joining._RELIEF_PCT"),
    ("relief: at most once in", 10000, "ms", "joining._RELIEF_MS"),
    ("one that flickers is left aside for", 5000, "ms", "joining._UNSTEADY_MS"),
    ("start: capacitors", 20, "ms", "guard._QUIET_MS"),
    ("start: motors, lamps", 300, "ms", "starts._INRUSH_MS"),
    ("start: at most", 40000, "mA", "starts._INRUSH_MA"),
    ("start: the load's fault within", 1000, "ms", "starts.START_MS"),
    ("start: tried again after", 1000, "ms", "starts._AGAIN_MS"),
    ("start after a reset", 1000, "ms", "starts._AFTER_RESET_MS"),
    ("start: the row of failures ends after", 60, "s", "starts._HELD_S"),
    ("collapse of the voltage", 80, "%", "states._COLLAPSE_PCT"),
    ("rig_empty ends after a charge of", 60000, "ms", "states._CHARGED_MS"),
    ("trial: predicted current", 40000, "mA", "joining._TRIAL_MA"),
    ("trial: readings", 2, "", "starts._TRIAL_READS"),
    ("trial: without current up to", 10000, "ms", "starts._PATIENCE_MS"),
    ("trial: after an On", 60000, "ms", "starts._ASKED_PATIENCE_MS"),
    ("trial: two discharge", 100, "mA", "starts._DISCHARGE_MA"),
    ("trial: longest pause", 60000, "ms", "starts._LONGEST_PAUSE_MS"),
    ("trials of a rig of one", 10, "", "starts._TRIALS_ALONE"),
    ("fed though it cannot be opened", 1000, "ms", "guard._FED_MS"),
    ("tick", 20, "ms", "guard.TICK_MS"),
    ("deadline_missed", 80, "ms", "warnings._DEADLINE_MS"),
    ("i2c: failed calls in a tick", 30000, "us", "i2c._FAILED_US"),
    ("i2c: proof of 400 kHz, reads", 5000, "", "pace.PROOFS"),
    ("i2c: back to 100 kHz at errors", 3, "", "pace._ERRORS"),
    ("i2c: within", 10000, "ms", "pace._ERRORS_MS"),
    ("outage: rows begin anew after", 500, "ms", "outage._UNSEEN_MS"),
    ("outage: two valid readings within", 500, "ms", "outage._RETURN_MS"),
    ("watchdog", 5000, "ms", "app._WATCHDOG_MS"),
)


def file_of(module):
    """Path of a module in the repository."""
    return FILES.get(module, f"{PROTECTION}/{module}.py")


def located(where):
    """The number of the code: its syntax node, with where it stands."""
    module, _, rest = where.partition(".")
    name, *path = rest.split()
    tree = ast.parse((ROOT / file_of(module)).read_text())
    node = _row(tree, name) if module == "settings" else _assigned(tree, name)
    for word in path:
        node = node.elts[int(word)] if word.isdigit() else _rows(node, word)
    numbers = [n for n in ast.walk(node) if isinstance(n, ast.Constant) and type(n.value) is int]
    return min(numbers, key=lambda n: (n.lineno, n.col_offset))


def _assigned(tree, name):
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            target = node.targets[0]
            if getattr(target, "id", getattr(target, "attr", None)) == name:
                return node.value
    raise LookupError(name)


def _rows(table, name):
    """Those rows of a table that begin with `name`."""
    return ast.Tuple([row for row in table.elts if getattr(row.elts[0], "attr", None) == name])


def _row(tree, name):
    for node in ast.walk(tree):
        if isinstance(node, ast.Tuple) and getattr(node.elts[0], "value", None) == name:
            return node.elts[1]
    raise LookupError(name)


def changed(text, node, sign=1):
    """The source with the number a fifth larger, or smaller if `sign` is -1; by one at least."""
    lines = text.splitlines(keepends=True)
    line = lines[node.lineno - 1]
    value = node.value + sign * max(node.value // 5, 1)
    lines[node.lineno - 1] = f"{line[: node.col_offset]}{value}{line[node.end_col_offset :]}"
    return "".join(lines)


def candidates():
    """Module to the tests that may notice, its own first."""
    names = {path.stem for path in (ROOT / PROTECTION).glob("*.py")} - {"__init__"}
    found = mutants.tests_of(names)
    for name, paths in found.items():
        own = f"test_{name}.py"
        paths.sort(key=lambda path: (not path.endswith("/" + own), "cpython" in path, path))
    for name, tests in TESTS.items():
        found[name] = [f"tests/unit/{test}.py" for test in tests]
    return {name: [*paths, *WHOLE] for name, paths in found.items()}


def examine():
    """Read and change every number.

    Returns:
        list of (text, promised, unit, where, found, test): test is None when nobody notices.
    """
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tree = mutants.Tree(Path(folder))
        passes = functools.cache(lambda test: tree.passes(test, LONGEST_S))
        tests = {
            name: [path for path in paths if passes(path)] for name, paths in candidates().items()
        }
        for text, promised, unit, where in NUMBERS:
            node = located(where)
            module = where.partition(".")[0]
            test = _noticed(tree, Path(folder, file_of(module)), node, tests[module])
            rows.append((text, promised, unit, where, node.value, test))
            print(".", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return rows


def _noticed(tree, file, node, tests):
    """The first of `tests` that fails with the number of `file` changed, None = none does."""
    original = file.read_text()
    try:
        for test in tests:
            for sign in (1, -1):
                file.write_text(changed(original, node, sign))
                if not tree.passes(test, LONGEST_S):
                    return test
    finally:
        file.write_text(original)
    return None


def table(rows):
    """Lines of the table."""
    yield "%-42s %9s %9s  %-11s  %-40s  %s" % (
        *("promised", "number", "code has", "unit", "where", "noticed by"),
    )
    for text, promised, unit, where, found, test in rows:
        yield "%-42s %9d %9d  %-11s  %-40s  %s" % (
            *(text, promised, found, unit, where, test or "nobody"),
        )


def missed(row):
    """What is wrong with a row, as texts."""
    text, promised, _, where, found, _ = row
    return [] if promised == found else [f"{text}: {promised} promised, {where} is {found}"]


def summary(rows):
    """Lines of the summary."""
    yield (
        "Numbers of the contract: %d; %d are those of the code, %d changed by a fifth are noticed"
        % (
            len(rows),
            sum(row[1] == row[4] for row in rows),
            sum(row[5] is not None for row in rows),
        )
    )
