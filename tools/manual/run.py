#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Writes the generated parts of the documents. `make manual`; `make lint` checks.

    tools/manual/run.py [--check]

What is said of settings, states, reasons, LEDs, routes, modules and steps comes from the code
that has them, in words of the firmware, of its page and of the JSON files beside this one. A part
stands between `<!-- manual: NAME -->` and `<!-- manual: end -->` in any document, in the language
of that document. With --check nothing is written; what is not current is named, and the exit code
is 1.
"""

import argparse
import ast
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import openapi  # noqa: E402 - found by the path above
from manual import diagram  # noqa: E402
from manual.steps import steps  # noqa: E402
from manual.tables import Tables  # noqa: E402

FOLDERS = (".github", "lib", "tools", "tests")
"""Where documents are, beside the root folder."""

LANGUAGES = ("en", "fr")
PLACE = re.compile(r"(<!-- manual: (?!end )(\w+) -->\n).*?(<!-- manual: end -->)", re.DOTALL)
MICROPYTHON = ROOT / "build/venv/bin/micropython"
PACKAGE = ROOT / "lib/parallelator"
PAGE_WORDS = """
import {FORM, SETTINGS} from "%s";
console.log(JSON.stringify([FORM, SETTINGS]));
"""


def documents():
    """The path of every document, sorted."""
    found = [path for folder in FOLDERS for path in (ROOT / folder).rglob("*.md")]
    return sorted([*ROOT.glob("*.md"), *found])


def language_of(path):
    """The language of a document: French when its name ends in .fr.md."""
    return "fr" if path.name.endswith(".fr.md") else "en"


def said_by(*command):
    """What a program prints, as JSON."""
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def modules():
    """Path of each module of the firmware to the first sentence of its docstring."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        said = ast.get_docstring(ast.parse(path.read_text()))
        if said:
            found[path.relative_to(PACKAGE).as_posix()] = " ".join(said.split("\n\n")[0].split())
    return found


def typographic(text):
    """French text with no-break spaces before its high signs, but not in code."""
    pieces = text.split("`")
    for k in range(0, len(pieces), 2):
        pieces[k] = re.sub(" (?=[:;?!»])", "\u00a0", pieces[k]).replace("« ", "«\u00a0")
    return "`".join(pieces)


def filled(text, parts):
    """`text` of a document with every part in its place.

    Raises:
        KeyError: a place is for a part that does not exist.
    """
    return PLACE.sub(lambda found: f"{found[1]}\n{parts[found[2]]}\n\n{found[3]}", text)


def files():
    """Path to what it shall hold, for every file that is written here.

    Raises:
        KeyError: as of `filled`, and as of `Tables`.
        ValueError: a part stands nowhere.
    """
    facts = said_by(MICROPYTHON, ROOT / "tools/manual/facts.py")
    words_js = PAGE_WORDS % (PACKAGE / "web/ui/settings_words.js").as_uri()
    form, names = said_by("node", "--input-type=module", "--eval", words_js)
    made = {}
    parts = {}
    for language in LANGUAGES:
        words, messages = (
            json.loads((folder / f"{language}.json").read_text())
            for folder in (ROOT / "tools/manual", PACKAGE / "messages")
        )
        tables = Tables(language, facts, words, messages, (form[language], names[language]))
        parts[language] = tables.of_the_reference(openapi.paths())
        if language == "en":
            parts[language] |= tables.for_developers(steps(), modules())
        else:
            parts[language] = {k: typographic(part) for k, part in parts[language].items()}
        drawing = diagram.drawn(words["diagram"], facts["settings"])
        made[ROOT / f"tools/manual/wiring-{language}.svg"] = drawing
    unplaced = {(language, name) for language in LANGUAGES for name in parts[language]}
    for path in documents():
        text, language = path.read_text(), language_of(path)
        unplaced -= {(language, found[2]) for found in PLACE.finditer(text)}
        made[path] = filled(text, parts[language])
    if unplaced:
        raise ValueError(f"no document has a place for {sorted(unplaced)}")
    return made


def main():
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the documents.")
    parser.add_argument("--check", action="store_true", help="only say what is not current")
    options = parser.parse_args()
    try:
        made = files()
    except KeyError as fault:
        what = fault.args[0]
        words = f"{what} is not in words: see the recipes in lib/parallelator/README.md"
        print("manual:", what if " " in what else words)
        return 1
    except ValueError as fault:
        print("manual:", fault.args[0])
        return 1
    old = [path for path, text in made.items() if not path.exists() or path.read_text() != text]
    for path in old:
        if options.check:
            print(f"{path.relative_to(ROOT)} is not current: make manual")
        else:
            path.write_text(made[path])
            print("written:", path.relative_to(ROOT))
    if not old:
        print("manual: current")
    return 1 if old and options.check else 0


if __name__ == "__main__":
    sys.exit(main())
