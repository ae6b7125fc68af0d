# SPDX-License-Identifier: GPL-3.0-only
"""The words of the rig: complete, the same keys and placeholders in both languages."""

import json
import re

from parallelator import catalog, snapshot
from parallelator.show.outlook import LIMITS, TASKS
from parallelator.show.selftest import FINDINGS, MEASURES, STOPS

PACKAGE = snapshot.__file__.rsplit("/", 1)[0]

SECTIONS = (
    "state",
    "reason",
    "clears",
    "action",
    "alarm",
    "missing",
    "blocked",
    "event",
    "console",
    "refused",
    "update",
    "selftest",
    "report",
    "verdict",
    "mqtt",
    "entity",
    "json",
    "cascade",
)
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
    "selftest_running",
    "selftest_none",
    "selftest_strained",
    "show",
    "show_end",
    "show_clock",
]


def load(language):
    with open("%s/messages/%s.json" % (PACKAGE, language)) as file:
        return json.load(file)


def placeholders(text):
    return sorted(part[0] for part in text.split("{")[1:])


def test_both_languages_have_the_same_keys_and_placeholders():
    english, french = load("en"), load("fr")
    assert (english["language"], french["language"]) == ("en", "fr")
    assert sorted(english) == sorted(french) == sorted(SECTIONS + ("language",))
    for section in SECTIONS:
        assert sorted(english[section]) == sorted(french[section]), section
        for key, text in english[section].items():
            assert placeholders(text) == placeholders(french[section][key]), (section, key)
            assert bool(text) == bool(french[section][key]) == bool(key), (section, key)


def test_every_refusal_has_words():
    for language in ("en", "fr"):
        words = load(language)["refused"]
        assert all(code in words for code in REFUSED), language


def test_whatever_a_self_test_says_has_words_and_none_is_left_over():
    codes = [row[0] for row in FINDINGS if row[0] != "alarm"]  # an alarm has its own
    assert set(codes + list(MEASURES + STOPS)) == set(load("en")["selftest"])
    assert set(catalog.VERDICTS + (catalog.RUNNING,)) == set(load("en")["verdict"])


def test_whatever_a_report_says_has_words_and_none_is_left_over():
    codes = {row[0] for row in TASKS if row[0] != "alarm"} | {"limit_" + row[0] for row in LIMITS}
    texts = "none energy flow peak volts soc dark weak partial cut selftest untested tasks calm "
    texts += "close near trips columns"
    assert codes | set(texts.split()) == set(load("en")["report"])


def test_every_refusal_of_an_update_has_words_and_none_is_left_over():
    code = re.compile('"(update_[a-z]+)"')
    found = set()
    for name in ("bundle", "bundle_files", "bundle_image", "update", "api"):
        with open("%s/web/%s.py" % (PACKAGE, name)) as file:
            for line in file:
                match = code.search(line)
                if match:
                    found.add(match.group(1))
    assert found == set(load("en")["update"])


def test_console_sentences_fill_in():
    for language in ("en", "fr"):
        for text in load(language)["event"].values():
            filled = text.format(n=16, v=27, r="reason", s="state")
            assert "{" not in filled
