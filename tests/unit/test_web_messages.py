"""The words of the rig: complete, the same keys and placeholders in both languages."""

import json
import os
import re

from parallelator import snapshot
from parallelator.web import live

PACKAGE = snapshot.__file__.rsplit("/", 1)[0]
SECTIONS = (
    "state",
    "reason",
    "clears",
    "action",
    "alarm",
    "event",
    "console",
    "refused",
    "update",
    "mqtt",
    "entity",
    "json",
)
EVENTS = [
    "boot",
    "state",
    "trip",
    "reset_done",
    "wish",
    "group_start",
    "joined",
    "bus_start_failed",
    "bus_locked",
    "bus_recovered",
    "bus_fault",
    "expander_lost",
    "expander_back",
    "topology",
    "config_fault",
    "config_renamed",
    "task_died",
    "deadline_missed",
    "reset_power",
    "reset_hard",
    "reset_watchdog",
    "reset_soft",
    "reset_other",
    "reset_asked",
    "reset_update",
    "update",
    "updated",
    "update_failed",
    "update_hung",
    "update_cut",
    "reset_serviced",
    "reset_crash",
    "safe_crash",
    "safe_button",
    "wifi_up",
    "wifi_down",
    "wifi_ap",
    "wifi_not_found",
    "wifi_password",
    "wifi_failed",
    "name_taken",
]
ALARMS = [
    "topology",
    "stuck_closed",
    "bus_unheld",
    "config_fault",
    "bus_overload",
    "uncontrolled",
    "deadline_missed",
    "bus_fault",
    "heap_low",
    "safe_crash",
    "safe_button",
    "clock_unset",
]
REFUSED = [
    "locked",
    "absent",
    "busy",
    "no_password",
    "login",
    "password",
    "rate",
    "origin",
    "password_set",
    "setup_over",
]


def load(language):
    with open("%s/messages/%s.json" % (PACKAGE, language)) as file:
        return json.load(file)


def placeholders(text):
    return sorted(part[0] for part in text.split("{")[1:])


def sources(folder):
    """Every Python file below `folder`."""
    for name, kind, *_ in os.ilistdir(folder):
        path = folder + "/" + name
        if kind == 0x4000:
            yield from sources(path)
        elif name.endswith(".py"):
            yield path


def test_both_languages_have_the_same_keys_and_placeholders():
    english, french = load("en"), load("fr")
    assert (english["language"], french["language"]) == ("en", "fr")
    assert sorted(english) == sorted(french) == sorted(SECTIONS + ("language",))
    for section in SECTIONS:
        assert sorted(english[section]) == sorted(french[section]), section
        for key, text in english[section].items():
            assert placeholders(text) == placeholders(french[section][key]), (section, key)
            assert bool(text) == bool(french[section][key]) == bool(key), (section, key)


def test_every_code_has_words():
    for language in ("en", "fr"):
        words = load(language)
        assert sorted(words["state"]) == sorted(snapshot.STATES)
        assert sorted(words["reason"]) == sorted(snapshot.REASONS)
        assert sorted(words["clears"]) == sorted(live.CLEARS)
        for section, codes in (("alarm", ALARMS), ("event", EVENTS), ("refused", REFUSED)):
            missing = [code for code in codes if code not in words[section]]
            assert not missing, (section, missing)
        assert all(code in words["alarm"] for code in snapshot.ALARMS)


def test_every_event_of_the_firmware_has_words():
    event = re.compile('emit\\(\\s*"([a-z_]+)"')
    known = load("en")["event"]
    found = 0
    for path in sources(PACKAGE):
        with open(path) as file:
            rest = file.read()
        match = event.search(rest)
        while match:
            assert match.group(1) in known, (path, match.group(1))
            found += 1
            rest = rest[rest.find(match.group(0)) + 1 :]
            match = event.search(rest)
    assert found > 5


def test_every_refusal_of_an_update_has_words_and_none_is_left_over():
    code = re.compile('"(update_[a-z]+)"')
    found = set()
    for name in ("bundle", "update", "api"):
        with open("%s/web/%s.py" % (PACKAGE, name)) as file:
            for line in file:
                match = code.search(line)
                if match:
                    found.add(match.group(1))
    assert found == set(load("en")["update"])


def test_every_clears_code_of_the_snapshot_is_known():
    for state in range(len(snapshot.STATES)):
        for reason in range(len(snapshot.REASONS)):
            for cooling in (False, True):
                code = snapshot.clears(state, reason, cooling)
                assert code is None or code in live.CLEARS


def test_console_sentences_fill_in():
    for language in ("en", "fr"):
        for text in load(language)["event"].values():
            filled = text.format(n=16, v=27, r="reason", s="state")
            assert "{" not in filled
