# SPDX-License-Identifier: GPL-3.0-only
"""What the documents say of the firmware, asked of the firmware. Runs on MicroPython for run.py.

Prints one line of JSON: settings, rules, states, LED patterns, what clears each state, wiring.
"""

import json
import sys

ROOT = __file__.rsplit("/tools/manual/", 1)[0]
FOLDERS = ("tools/sim/standins", "lib", "tools", "build/mpy-lib")
sys.path[:] = [ROOT + "/" + folder for folder in FOLDERS] + [".frozen"]


class Leds:
    """An expander that keeps what its LEDs were told."""

    def __init__(self):
        self.bits = 0

    def leds(self, bits):
        """Take the LED port; True as a board that answers."""
        self.bits = bits
        return True


def wiring(preset):
    """The `controller.Wiring` of a preset, and as JSON."""
    from parallelator import settings
    from parallelator.hardware import controller

    values = settings.Values({})
    values["board"] = preset
    wires = controller.wiring(values)
    parts = ("switch", "alert", "red", "green", "leds_inverted")
    return wires, {part: getattr(wires, part) for part in parts}


def led_patterns():
    """State to (red, green), each `dark`, `lit` or `blink`, as `Switches.show` lights them."""
    from parallelator import catalog, snapshot
    from parallelator.protection.switches import Switches

    wires, _ = wiring("kxkm-v2")
    patterns = {}
    for state, name in enumerate(catalog.names(catalog.STATES)):
        pairs = []
        for blink in (False, True):
            leds = Leds()
            Switches([leds], wires).show(0, bytes([state] * snapshot.BATTERIES), 0, blink)
            pairs.append(leds.bits)
        patterns[name] = [_pattern(*pairs, wires_of[0]) for wires_of in (wires.red, wires.green)]
    return patterns


def _pattern(without, with_blink, bit):
    """How an LED shows, from the port in the dark and in the lit half of a blink."""
    if (without ^ with_blink) >> bit & 1:
        return "blink"
    return "lit" if without >> bit & 1 else "dark"


def rule_lines():
    """RULES with the limits of the default settings, the quantity by its number."""
    from parallelator import catalog, settings
    from parallelator.protection import rules

    limits = rules.Limits(settings.Values({}))
    return [
        (catalog.reason_name(row[0]), row[1], rules.limit_of(limits, row)) + row[3:]
        for row in rules.RULES
    ]


def clears():
    """State, reason and whether a delay runs, to the code of what ends it, for every triple."""
    from parallelator import catalog

    return [
        [name, cause, cooling, catalog.ends(state, reason, cooling)]
        for state, name in enumerate(catalog.names(catalog.STATES))
        for reason, cause in enumerate(catalog.names(catalog.REASONS))
        for cooling in (False, True)
    ]


def main():
    """Ask, and print."""
    from parallelator import catalog, settings

    table = list(settings.RIG_TABLE)
    table += [("batteries.*." + row[0],) + row[1:] for row in settings.BATTERY_TABLE]
    presets = [row[2] for row in table if row[0] == "board"][0]
    facts = {
        "settings": [list(row) + [settings.is_live(row[0])] for row in table],
        "states": catalog.names(catalog.STATES),
        "reasons": [(row[0], row[3].split()) for row in catalog.REASONS[1:]],
        "alarms": [row[:2] for row in catalog.CODES if row[3] & catalog.ALARM],
        "rules": rule_lines(),
        "leds": led_patterns(),
        "clears": clears(),
        "wiring": {preset: wiring(preset)[1] for preset in presets},
    }
    print(json.dumps(facts))


main()
