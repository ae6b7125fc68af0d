#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Checks the scripts of the tree, and the shell of GitHub's workflows, with ShellCheck.

    tools/check_shell.py

`make check` calls it. Prints what ShellCheck says, and exits with 1 when it says anything.
"""

import re
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
SHELLCHECK = ROOT / "build/venv/bin/shellcheck"
SHEBANG = re.compile(rb"#!.*\b(ba|da)?sh\n")
EXPRESSION = re.compile(r"\$\{\{.*?\}\}")
"""What GitHub puts in before a shell sees it."""


def scripts(root):
    """Paths of the scripts that git knows, relative to `root`."""
    command = ["git", "-C", root, "ls-files", "-z"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    for name in filter(None, listed.split("\0")):
        path = root / name
        if path.is_file() and SHEBANG.match(path.open("rb").readline()):
            yield name


def steps(text):
    """(name, script) of each step of a workflow that runs one."""
    for job, content in yaml.safe_load(text)["jobs"].items():
        for number, step in enumerate(content.get("steps", ()), 1):
            if "run" in step:
                yield f"{job}, step {number}", EXPRESSION.sub("expression", step["run"])


def fault(arguments, script=None):
    """What ShellCheck has against a script, "" = nothing.

    Args:
        arguments: of ShellCheck; script: the text for "-" among them, run as GitHub does.
    """
    command = [SHELLCHECK, "--color=never", *arguments]
    return subprocess.run(command, cwd=ROOT, input=script, capture_output=True, text=True).stdout


def main():
    """Check; return the exit code."""
    names = list(scripts(ROOT))
    found = [fault(names)]
    count = len(names)
    for path in sorted((ROOT / ".github/workflows").glob("*.yml")):
        for name, script in steps(path.read_text()):
            said = fault(["--shell=bash", "-"], script)
            found.append(said and f"{path.name}, {name}:{said}")
            count += 1
    print("".join(found), end="")
    print(f"shellcheck: {count} scripts, {'faults' if any(found) else 'no fault'}")
    return 1 if any(found) else 0


if __name__ == "__main__":
    sys.exit(main())
