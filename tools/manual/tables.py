# SPDX-License-Identifier: GPL-3.0-only
"""The generated parts of the documents, as Markdown. Called by run.py; facts in, text out."""

GROUPS = ("general", "limits", "batteries", "web", "wifi", "time", "mqtt", "log", "hardware")
HARDWARE = ("board", "pins", "i2c_khz", "sensor")
UNITS = {"C": "°C", "mOhm": "mΩ", "uOhm": "µΩ"}
FIRST = ("POST /api/login", "POST /api/setup")
"""Changes that nobody can have logged in for."""
_LOWNESS, _HEAT, _UNSHARED, _TEMPERATURE = 3, 4, 6, 7
"""Quantities of protection/rules.py that are not plain mA or mV."""


def table(heads, rows):
    """A Markdown table; `rows` are lists of text, cells of text."""
    lines = [list(heads), ["---"] * len(heads)]
    lines += [[cell.replace("|", "\\|") for cell in row] for row in rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in lines)


def code(text):
    """`text` as code."""
    return f"`{text}`"


def number(value, language):
    """A number with the decimal sign of the language."""
    text = f"{value:g}"
    return text.replace(".", ",") if language == "fr" else text


class Tables:
    """The tables of one language.

    Args:
        language: "en" or "fr"; facts: what facts.py prints.
        words: of tools/manual/<language>.json; messages: of the firmware's messages/.
        form: FORM and SETTINGS of the page's settings_words.js, in this language.
    """

    def __init__(self, language, facts, words, messages, form):
        self._language = language
        self._facts = facts
        self._words = words
        self._messages = messages
        self._form, self._names = form

    def of_the_reference(self, paths):
        """What exists in every language: name of each part to its text.

        Args:
            paths: as of `openapi.paths`.

        Raises:
            KeyError: something of the firmware has no words here, or words are left over.
        """
        return {
            "wiring": self._wiring(),
            "settings": self._settings(),
            "leds": self._leds(),
            "states": self._states(),
            "reasons": self._reasons(),
            "rules": self._rules(),
            "alarms": self._alarms(),
            "api": self._api(paths),
        }

    def for_developers(self, steps, modules):
        """What exists in English only: name of each part to its text.

        Args:
            steps: as of `steps.steps`; modules: path of each module to its first sentence.

        Raises:
            KeyError: as of `of_the_reference`.
        """
        rows = [[code(path), sentence] for path, sentence in modules.items()]
        return {"steps": self._steps(steps), "modules": self._table("modules", rows)}

    def _words_of(self, part, keys):
        """The words of `part`, which has exactly `keys`."""
        words = self._words[part]
        odd = set(words) ^ set(keys)
        if odd:
            raise KeyError(f"tools/manual/{self._language}.json, {part}: {', '.join(sorted(odd))}")
        return words

    def _table(self, part, rows):
        return table(self._words["heads"][part], rows)

    def _said(self, part, key):
        """What the page says of a state or reason, with its code."""
        return f"**{self._messages[part][key]}**<br>{code(key)}"

    # How it is built

    def _wiring(self):
        rows = []
        presets = next(row[2] for row in self._facts["settings"] if row[0] == "board")
        for preset in presets:
            wires = self._facts["wiring"][preset]
            for c in range(4):
                name = code(preset) if not c else ""
                if c == 1 and wires["leds_inverted"]:
                    name = self._words["inverted"]
                rows.append(
                    [name, str(c), f"P0{wires['switch'][c]}", f"P0{wires['alert'][c]}"]
                    + [f"P1{wires['red'][c]}", f"P1{wires['green'][c]}"]
                )
        return self._table("wiring", rows)

    # Settings

    def _settings(self):
        parts = []
        rows = self._facts["settings"]
        for group in GROUPS:
            parts.append(f"**{self._names[group]}**")
            lines = [self._setting(row) for row in rows if _group(row[0]) == group]
            parts.append(self._table("settings", lines))
        live = [row[0].replace("*", "<n>") for row in rows if row[5]]
        live = ", ".join(code(key) for key in live if not key.startswith("limits."))
        parts.append(self._words["at_once"].format(v=live))
        return "\n\n".join(parts)

    def _setting(self, row):
        key, default = row[:2]
        does = self._names[key].format(n="n")
        return [
            code(key.replace("*", "<n>")),
            self._default(key, default),
            self._allowed(row),
            does,
        ]

    def _default(self, key, value):
        if value is None:
            return self._words["preset" if key.startswith("board.") else "empty"]
        if value == "":
            return self._words["empty"]
        return code(str(value).lower() if isinstance(value, bool) else value)

    def _allowed(self, row):
        _, default, low, high, unit, _ = row
        if isinstance(low, list):
            return ", ".join(code(str(choice).replace("\t", "\\t")) for choice in low)
        if isinstance(default, bool) or low == "true or false":
            return self._words["flags"]
        if default is None:
            return self._words["bits" if "0 to 7" in low else "curve"]
        if isinstance(default, str):
            kind, unit = unit or "chars", ""
        else:
            kind = "range"
        text = self._form[kind].format(v=low, n=high)
        return f"{text} {UNITS.get(unit, unit)}".strip()

    # Field guide

    def _leds(self):
        words = self._words["leds"]
        states = {}
        for state in self._facts["states"]:
            pattern = tuple(self._facts["leds"][state])
            states.setdefault(pattern, []).append(self._messages["state"][state])
        order = sorted(states)
        rows = [[words[red], words[green], ", ".join(states[red, green])] for red, green in order]
        return self._table("leds", rows)

    def _clears(self, pairs):
        """What ends the (state, reason) pairs: sentence to states, in the order of the pairs."""
        ends = {}
        for pair in pairs:
            for state, reason, cooling, end in self._facts["clears"]:
                # Once the delay of these is over, the voltage decides.
                of_voltage = reason in ("overvoltage", "undervoltage")
                if (state, reason) == pair and cooling == (state == "tripped" and not of_voltage):
                    sentence = self._messages["clears"][end] if end else self._words["never"]
                    ends.setdefault(sentence, []).append(self._messages["state"][state])
        return ends

    def _states(self):
        words = self._words_of("states", self._facts["states"])
        pairs = {state: [] for state in self._facts["states"]}
        for reason, its_states in self._facts["reasons"]:
            for state in its_states:
                pairs[state].append((state, reason))
        pairs["on"] = [("on", "")]
        rows = []
        for state in self._facts["states"]:
            ends = list(self._clears(pairs[state]))
            end = ends[0] if len(ends) == 1 else self._words["by_reason"]
            rows.append([self._said("state", state), words[state], end])
        return self._table("states", rows)

    def _reasons(self):
        reasons = dict(self._facts["reasons"])
        words = self._words_of("reasons", reasons)
        rows = []
        for reason, its_states in reasons.items():
            pairs = [(state, reason) for state in its_states]
            means, do = words[reason]
            ends = self._clears(pairs)
            clears = "<br>".join(f"*{', '.join(states)}*: {end}" for end, states in ends.items())
            rows.append([self._said("reason", reason), means, clears, do])
        return self._table("reasons", rows)

    def _rules(self):
        rows = []
        for reason, quantity, limit, for_ms, samples, counted in self._facts["rules"]:
            if quantity == _LOWNESS:
                limit = -limit
            if quantity in (_HEAT, _UNSHARED):
                limit += 1
            if quantity == _HEAT:
                limit /= 1000
            if quantity != _TEMPERATURE:
                limit /= 1000
            opens = self._words["quantities"][str(quantity)]
            rows.append(
                [code(reason), opens.format(v=number(limit, self._language))]
                + [f"{number(for_ms / 1000, self._language)} s" if for_ms else "", str(samples)]
                + [self._words["counted"][str(counted).lower()]]
            )
        return self._table("rules", rows)

    def _alarms(self):
        said, when = self._messages["alarm"], self._words["alarms"]
        alarms = dict(self._facts["alarms"])
        odd = set(when) - set(alarms)
        if odd:
            raise KeyError(f"tools/manual/{self._language}.json, alarms: {', '.join(sorted(odd))}")
        grave = self._words["severities"]
        rows = [
            [code(alarm), grave[severity], said[alarm].format(n="n"), when.get(alarm, "")]
            for alarm, severity in alarms.items()
        ]
        return self._table("alarms", rows)

    # For other programs

    def _api(self, paths):
        routes = [
            (f"{method.upper()} {path}", operation)
            for path, item in paths.items()
            for method, operation in item.items()
        ]
        summaries = {route: operation["summary"] for route, operation in routes}
        if self._language != "en":
            summaries = self._words_of("api", summaries)
        rows = []
        for route, operation in routes:
            places = [place for place in operation["parameters"] if place["in"] == "query"]
            names = ", ".join(code(place["name"]) for place in places)
            needs = "login" if "security" in operation and route not in FIRST else "free"
            what = summaries[route] + (f" ({names})" if names else "")
            rows.append([code(route), what, self._words[needs]])
        return self._table("api", rows)

    def _steps(self, steps):
        words = self._words_of("steps", steps)
        rows = []
        for name, keys in steps.items():
            first = sorted(keys, key=lambda key: key not in ("n", "board"))
            order = sorted(first, key=lambda key: keys[key] is not None)
            given = ", ".join(_key(key, keys[key]) for key in order)
            rows.append([code(name), given, words[name]])
        return self._table("steps", rows)


def _key(key, default):
    if default is None:
        return code(key)
    return f"[{code(key)}{' = ' + default if default else ''}]"


def _group(key):
    first = key.split(".")[0]
    if first in HARDWARE:
        return "hardware"
    return first if first in GROUPS else "general"
