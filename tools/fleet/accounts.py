#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Makes the broker's accounts and the files for Prometheus from one list of rigs.

    tools/fleet/accounts.py RIGS.csv FOLDER

RIGS.csv has a header and a line per rig: `name,number,address`. The name is the rig's setting
`name`; the number is its MAC address, twelve hexadecimal digits; the address is where its page
is, with the port. FOLDER gets `acl` and `passwords` for mosquitto, `rigs.json` and `rules.yml`
for Prometheus, and `secrets.csv`, the passwords in the clear: copy each into its rig, then put the
file away. Passwords that are there already are kept. `run.py` uses the functions.
"""

import csv
import json
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

HERE = Path(__file__).resolve().parent
MESSAGES = HERE.parents[1] / "lib/parallelator/messages"
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,23}")
NUMBER = re.compile(r"[0-9a-f]{12}")
ADDRESS = re.compile(r"[^\s:/]+:[0-9]{1,5}")
COLUMNS = {
    "name": (NAME, "1 to 24 letters, digits, `.`, `_` or `-`"),
    "number": (NUMBER, "12 hexadecimal digits in lower case, the MAC address"),
    "address": (ADDRESS, "host:port"),
}
PROGRAMS = {
    "home-assistant": (
        "read parallelator/#",
        "write parallelator/+/battery/+/set",
        "write parallelator/+/set",
        "read homeassistant/#",
        "write homeassistant/status",
    ),
    "reader": ("read parallelator/#", "read $SYS/#"),
}
"""Accounts of programs: what each may do. `reader` is for Telegraf and for looking around."""


class Rig(NamedTuple):
    """A line of the list."""

    name: str
    number: str
    address: str


class ListError(ValueError):
    """The list is wrong: names the line, what was found and what is allowed."""


def read(path):
    """The rigs of a list.

    Raises:
        ListError: a column is missing, a value is not allowed or not unique; OSError.
    """
    with open(path, newline="") as file:
        reader = csv.DictReader(file)
        missing = set(COLUMNS) - set(reader.fieldnames or ())
        if missing:
            raise ListError(f"line 1: no column {', '.join(sorted(missing))}")
        rows = [(reader.line_num, Rig(*(row[key] or "" for key in COLUMNS))) for row in reader]
    seen = {("name", name) for name in PROGRAMS}
    for line, rig in rows:
        for key, value in rig._asdict().items():
            pattern, allowed = COLUMNS[key]
            if not pattern.fullmatch(value):
                raise ListError(f"line {line}: {key} is {value!r}; allowed: {allowed}")
            if (key, value) in seen:
                raise ListError(f"line {line}: {key} {value} is taken; each must be unique")
            seen.add((key, value))
    return [rig for _, rig in rows]


def acl(rigs):
    """The access list: each rig writes below its own name, and describes only itself."""
    blocks = []
    for rig in rigs:
        base = f"parallelator/{rig.name}"
        blocks.append(
            [
                f"user {rig.name}",
                *(f"topic write {base}/{place}" for place in ("status", "state", "event")),
                f"topic write {base}/battery/+",
                f"topic read {base}/battery/+/set",
                f"topic read {base}/set",
                f"topic read {base}/setting/+/set",
                f"topic readwrite homeassistant/+/parallelator_{rig.number}/+/config",
                "topic read homeassistant/status",
            ]
        )
    for name, rights in PROGRAMS.items():
        blocks.append([f"user {name}", *(f"topic {right}" for right in rights)])
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def targets(rigs):
    """What Prometheus reads: a group per rig, so that its name is a label of all its metrics."""
    groups = [{"targets": [rig.address], "labels": {"rig": rig.name}} for rig in rigs]
    return json.dumps(groups, indent=1) + "\n"


def rules():
    """The alerts of rules.yml with the words of codes and reasons in their places."""
    text = (HERE / "rules.yml").read_text()
    for language in ("en", "fr"):
        words = json.loads((MESSAGES / f"{language}.json").read_text())
        for label, key in (("code", "alarm"), ("reason", "reason")):
            text = text.replace(f"{{{{ {label}_{language} }}}}", chosen(label, words[key]))
    return text


def chosen(label, words):
    """A template that writes the word for the value of a label; one without a word as it is.

    Args:
        words: value to word, in which {n} is the battery.
    """
    cases = [
        f"if eq $labels.{label} `{value}` }}}}{word.replace('{n}', '{{ $labels.battery }}')}"
        for value, word in words.items()
        if value
    ]
    return "{{ " + "{{ else ".join(cases) + f"{{{{ else }}}}{{{{ $labels.{label} }}}}{{{{ end }}}}"


def passwords(path, names):
    """A password for each name, those in the file at `path` kept; the file is written anew."""
    known = {}
    if path.exists():
        with path.open(newline="") as file:
            known = dict(csv.reader(file))
    chosen = {name: known.get(name) or secrets.token_urlsafe(18) for name in names}
    _private(path)
    with path.open("w", newline="") as file:
        csv.writer(file).writerows(chosen.items())
    return chosen


def write(folder, rigs):
    """Write the files; returns name to password.

    Raises:
        subprocess.CalledProcessError: mosquitto_passwd failed; OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    chosen = passwords(folder / "secrets.csv", [*(rig.name for rig in rigs), *PROGRAMS])
    (folder / "acl").write_text(acl(rigs))
    (folder / "rigs.json").write_text(targets(rigs))
    (folder / "rules.yml").write_text(rules())
    hashed = folder / "passwords"
    _private(hashed)
    hashed.write_text("".join(f"{name}:{password}\n" for name, password in chosen.items()))
    subprocess.run(["mosquitto_passwd", "-U", hashed], check=True)
    return chosen


def _private(path):
    path.touch(mode=0o600)
    path.chmod(0o600)


def main():
    """Read the list, write the files; return the exit code."""
    if len(sys.argv) != 3:
        print(__doc__)
        return 2
    try:
        rigs = read(sys.argv[1])
        write(Path(sys.argv[2]), rigs)
    except (ListError, OSError) as error:
        print(f"{sys.argv[1]}: {error}")
        return 1
    print(f"{len(rigs)} rigs and {', '.join(PROGRAMS)}: see {sys.argv[2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
