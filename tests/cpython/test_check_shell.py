# SPDX-License-Identifier: GPL-3.0-only
"""ShellCheck sees the scripts of the tree and those of the workflows."""

import subprocess

import check_shell

WORKFLOW = """
jobs:
  build:
    steps:
      - uses: somebody/checkout
      - run: make image
      - run: |
          cd build
          mv $IMAGE "${{ runner.temp }}"
"""


def test_scripts_are_known_by_their_first_line(tmp_path):
    texts = {
        "with-a-name.sh": "#!/bin/sh\n",
        "without": "#!/usr/bin/env bash\nset -e\n",
        "python": "#!/usr/bin/env python3\n",
        "text": "sh\n",
        "unknown to git": "#!/bin/sh\n",
    }
    for name, text in texts.items():
        (tmp_path / name).write_text(text)
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    known = list(texts)[:-1]
    subprocess.run(["git", "-C", tmp_path, "add", *known], check=True)
    assert sorted(check_shell.scripts(tmp_path)) == ["with-a-name.sh", "without"]


def test_a_step_of_a_workflow_is_checked_as_github_runs_it():
    (plain, first), (name, second) = check_shell.steps(WORKFLOW)
    assert (plain, first) == ("build, step 2", "make image")
    assert name == "build, step 3" and "${{" not in second
    assert not check_shell.fault(["--shell=bash", "-"], first)
    assert "SC2086" in check_shell.fault(["--shell=bash", "-"], second)
