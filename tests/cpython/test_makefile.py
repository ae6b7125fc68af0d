# SPDX-License-Identifier: GPL-3.0-only
"""The Makefile makes what it is asked for even when a file has the name of the target."""

import re
import subprocess

from manuals import ROOT


def test_every_target_that_is_no_file_under_build_is_phony():
    rules = re.findall(r"^([\w./%-]+):(?!=)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    commands = {name for name in rules if not name.startswith((".", "build/"))}
    read = subprocess.run(["make", "-pn", "lint"], cwd=ROOT, capture_output=True, text=True)
    phony = re.search(r"^\.PHONY: (.+)$", read.stdout, re.MULTILINE)[1].split()
    assert len(commands) > 20
    assert sorted(phony) == sorted(commands)
