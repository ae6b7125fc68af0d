#!/usr/bin/env python3
"""Writes the generated parts of README.md and README.fr.md. `make manual`; `make lint` checks.

    tools/manual/run.py [--check]

What is said of settings, states, reasons, LEDs, routes and steps comes from the code that has
them, in words of the firmware, of its page and of the JSON files beside this one. A part stands
between `<!-- manual: NAME -->` and `<!-- manual: end -->`. With --check nothing is written; what
is not current is named, and the exit code is 1.
"""

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import openapi  # noqa: E402
from manual import diagram, modules, steps, tables  # noqa: E402

MANUALS = {"en": "README.md", "fr": "README.fr.md"}
MICROPYTHON = ROOT / "build/venv/bin/micropython"
PAGE_WORDS = """
import {PAGE, SETTINGS} from "%s";
console.log(JSON.stringify([PAGE, SETTINGS]));
"""


def facts():
    """What the firmware says of itself, see facts.py."""
    command = [MICROPYTHON, ROOT / "tools/manual/facts.py"]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return json.loads(said)


def page_words():
    """PAGE and SETTINGS of the page's words.js."""
    source = (ROOT / "lib/parallelator/web/ui/words.js").as_uri()
    command = ["node", "--input-type=module", "--eval", PAGE_WORDS % source]
    options = {"check": True, "capture_output": True, "text": True}
    return json.loads(subprocess.run(command, **options).stdout)


def typographic(text):
    """French text with no-break spaces before its high signs, but not in code."""
    pieces = text.split("`")
    for k in range(0, len(pieces), 2):
        pieces[k] = re.sub(" (?=[:;?!»])", "\u00a0", pieces[k]).replace("« ", "«\u00a0")
    return "`".join(pieces)


def written(text, parts):
    """`text` of a manual with every part in its place.

    Raises:
        ValueError: a part has no place.
    """
    for name, part in parts.items():
        place = tables.between(name)
        if not place.search(text):
            raise ValueError(f"there is no place for <!-- manual: {name} -->")
        text = place.sub(lambda found, part=part: f"{found[1]}\n{part}\n\n{found[2]}", text)
    return text


def files():
    """Path to what it shall hold, for every file that is written here."""
    known, (page, names), step_keys = facts(), page_words(), steps.steps()
    made = {}
    for language, name in MANUALS.items():
        words, messages = (
            json.loads((ROOT / folder / f"{language}.json").read_text())
            for folder in ("tools/manual", "lib/parallelator/messages")
        )
        manual = tables.Manual(
            language,
            known,
            step_keys,
            words,
            messages,
            (page[language], names[language]),
            openapi.paths(),
        )
        parts = manual.parts()
        if language == "fr":
            parts = {key: typographic(part) for key, part in parts.items()}
        parts["modules"] = modules.listed(words["heads"]["modules"])
        text = written((ROOT / name).read_text(), parts)
        made[ROOT / name] = text
        made[ROOT / f"tools/manual/wiring-{language}.svg"] = diagram.drawn(
            words["diagram"], known["settings"]
        )
    return made


def main():
    """Write or check; return the exit code."""
    parser = argparse.ArgumentParser(description="Write the generated parts of the manuals.")
    parser.add_argument("--check", action="store_true", help="only say what is not current")
    options = parser.parse_args()
    try:
        made = files()
    except (KeyError, ValueError) as fault:
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
