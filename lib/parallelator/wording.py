# SPDX-License-Identifier: GPL-3.0-only
"""Turns codes and numbers into sentences in the rig's language, for console and API."""

import json
import os
import sys

from parallelator import catalog
from parallelator.snapshot import RIG, missing

_PARTS = tuple(
    [
        "state",
        "reason",
        "action",
        "alarm",
        "missing",
        "blocked",
        "event",
        "refused",
        "mqtt",
        "entity",
        "console",
        "json",
        "cascade",
        "verdict",
    ]
)
"""Parts of a file in messages/ that are used here; the page uses the others as well."""
FURTHER_LOG = 100000000
"""Added to the number of a log for each earlier log of the same day or boot."""


class Words:
    """The sentences of one language.

    Args:
        language: "en" or "fr", a file of messages/.

    Raises:
        OSError: there is no such file.
    """

    def __init__(self, language: str):
        try:
            self._text = __import__("words_" + language).TEXT
        except ImportError:
            self._text = spoken(language)
        # To find a place in a str, MicroPython counts letters from its beginning; not in bytes.
        self._begins = {part: self._text.index(("\n%s." % part).encode()) for part in _PARTS}

    def _word(self, part: str, key: str):
        begin = ("\n%s.%s\t" % (part, key)).encode()
        at = self._text.index(begin, self._begins[part]) + len(begin)
        return self._text[at : self._text.index(b"\n", at)].decode()

    def event(self, event: tuple, detail: "Any" = ""):
        """One event as a sentence.

        Args:
            event: what `Events.after` returned; detail: as of `about`, when only the caller
                knows what the code's number stands for.
        """
        code, i, state, reason, value, count = event[2:8]
        known = detail != ""
        text = self._word("event", code).format(
            n=i + 1,
            v=self.about(code, detail, i + 1) if known else self._value(code, reason, value),
            r=self._word("reason", catalog.reason_name(reason)) if reason else "",
            s=self._word("state", catalog.state_name(state)),
        )
        return text if count == 1 else self._word("console", "repeated").format(v=text, n=count)

    def access_point(self, name: str, password: str):
        """How to reach a rig that has no network, as a line for the console."""
        return self._word("console", "access_point").format(n=name, v=password)

    def controller(self, psram: bool):
        """What follows from the memory of the controller, in words."""
        return self._word("console", "psram" if psram else "no_psram")

    def _value(self, code: str, reason: int, value: int):
        unit = catalog.row(code)[2]
        if unit == "reason":
            unit = catalog.REASONS[reason][1]
        if unit == "action":
            return self._word("action", catalog.ACTIONS[value])
        if unit == "day":
            return log_name(value)
        if unit == "mV":
            return "%.2f V" % (value / 1000)
        if unit == "mA":
            return "%.1f A" % (value / 1000)
        if unit == "C":
            return "%d \u00b0C" % value
        return "%d ms" % value if unit == "ms" else str(value)

    def refused(self, code: str, n: int):
        """Why something was refused to battery n, in words."""
        return self._word("refused", code).format(n=n, v="10")

    def json_error(self, fault: dict):
        """What is wrong where in a text that is not JSON, a `JsonError.fault`, in words."""
        place = self._word("json", "place").format(n=fault["line"], v=fault["column"])
        said = self._word("json", fault["code"])
        return place + said.format(v=fault["found"], n=fault["allowed"])

    def fault(self, fault: dict):
        """One fault of a settings file in words: file, place or key, what is wrong."""
        if "code" in fault:
            return "%s, %s" % (fault["file"], self.json_error(fault))
        return "%s: %s = %s (%s)" % (
            fault["file"],
            fault["key"],
            fault["found"],
            fault["allowed"],
        )

    def entity(self, key: str, n: int = 0):
        """What Home Assistant calls a value, or battery n itself."""
        return self._word("entity", key).format(n=n)

    def cascade(self, key: str, n: "int | str", v: str = ""):
        """A part of the sentence that says what a loss would do."""
        return self._word("cascade", key).format(n=n, v=v)

    def state(self, name: str):
        """A state, one of the codes of STATES, in words."""
        return self._word("state", name)

    def verdict(self, name: str):
        """What the last self-test found, or that one runs, in words."""
        return self._word("verdict", name)

    def reason(self, name: str):
        """A reason, one of the codes of REASONS, in words."""
        return self._word("reason", name)

    def alarm(self, code: str, n: "int | None"):
        """An alarm of battery n, or of the whole rig, as a sentence."""
        return self._word("alarm", code).format(n=n)

    def alarms(self, snap: "Snapshot", faults: list, obstacles: "Iterable[tuple]" = ()):
        """Active alarms as `GET /api/state` shows them.

        Args:
            snap: the `Snapshot`; faults: those of `config.load`; obstacles: those of the card,
                see `records.card.Card`.

        Yields:
            dict: `code`, `severity`, `n` (1..16 or None), `since_ms`, `text`, `detail` as of
            `about`, or None.
        """
        for code, i, since_s in snap.alarms():
            n = None if i == RIG else i + 1
            text = self.alarm(code, n)
            details = (None,)
            if code == "topology":
                details = (lacking(snap),)
            elif code == "config_fault":
                details = faults
            elif code == "card_blocked":
                details = obstacles
            for detail in details:
                yield {
                    "code": code,
                    "severity": catalog.severity(code),
                    "n": n,
                    "since_ms": since_s * 1000,
                    "text": text + " " + self.about(code, detail) if detail else text,
                    "detail": detail or None,
                }

    def about(self, code: str, detail: "Any", n: int = 0):
        """The detail of an alarm or event in words.

        Args:
            code: of the alarm or event, of battery n; detail: of `topology` what `lacking` found,
                of `config_fault` the fault, of `card_blocked` what lies in the way on the card,
                see `records.card.Card`, of `mqtt_down` one of MQTT_PROBLEMS, of
                `command_refused` why; of any other a name, which is the same in all languages.
        """
        if code == "topology":
            return " ".join(
                self._word("missing", what).format(n=", ".join(map(str, detail[what])))
                for what in ("board", "sensor")
                if what in detail
            )
        if code == "config_fault":
            return self.fault(detail)
        if code == "card_blocked":
            return self._word("blocked", detail[0]).format(v=detail[1])
        if code == "mqtt_down":
            return self._word("mqtt", detail)
        if code == "command_refused":
            return self.refused(detail, n)
        return detail


def lacking(snap: "Snapshot"):
    """What a complete rig of the known boards lacks: the numbers of its `board`s and of the
    batteries without a `sensor`, a list each; no list where nothing is missing."""
    found = {}
    missing(snap, lambda what, n: found.setdefault(what, []).append(n))
    return found


def log_name(number: int):
    """The name of a log, without its ending, from the number that its event carries.

    That is its day as YYYYMMDD or the number of its boot, and FURTHER_LOG for each further log.
    """
    further = number // FURTHER_LOG
    number %= FURTHER_LOG
    more = "-%d" % (further + 1) if further else ""
    if number < 1000000:
        return "boot-%04d%s" % (number, more)
    return "%04d-%02d-%02d%s" % (number // 10000, number // 100 % 100, number % 100, more)


def log_number(file_name: str):
    """The number from which `log_name` makes the name of this file; None when there is none."""
    parts = file_name[:-4].split("-")
    digits = parts[1:2] if parts[0] == "boot" else parts[:3]
    further = parts[len(digits) + (parts[0] == "boot") :]
    try:
        number = int("".join(digits)) + FURTHER_LOG * (int(further[0]) - 1 if further else 0)
    except ValueError:
        return None
    return number if log_name(number) + ".csv" == file_name else None


def data_path(name: str):
    """The path of a data file, which lies beside the modules; None when there is none.

    Modules may be frozen into MicroPython; data files never are.
    """
    for folder in sys.path:
        path = "%s/%s" % (folder, name)
        try:
            os.stat(path)
            return path
        except OSError:
            continue
    return None


def spoken(language: str):
    """The words of _PARTS in a language, as one text in UTF-8: many texts take twice the memory.

    `make build` makes a module of it, `words_en` for example: frozen, it takes no memory at all.

    Raises:
        OSError: there is no such file.
    """
    with open(data_path(messages_file(language)) or "") as file:
        words = json.load(file)
    lines = ["%s.%s\t%s" % (part, key, words[part][key]) for part in _PARTS for key in words[part]]
    return ("\n" + "\n".join(lines) + "\n").encode()


def messages_file(language: str):
    """The name of the file with the words of a language, see `data_path`."""
    return "parallelator/messages/%s.json" % language
