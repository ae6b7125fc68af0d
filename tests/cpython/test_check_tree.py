# SPDX-License-Identifier: GPL-3.0-only
"""tools/check_tree.py finds each kind of fault, and nothing in a clean tree."""

import subprocess

import pytest

import check_tree

PACKAGE = "lib/parallelator/"
LICENCE = "# SPDX-License-Identifier: GPL-3.0-only\n"
CLEAN = {
    "README.md": "See /api/home/ and ./work/ and https://www.gnu.org/licenses/.\n",
    ".ci/run": "#!/bin/sh\n# SPDX-License-Identifier: GPL-3.0-only\nmake test\n",
    "Makefile": LICENCE,
    PACKAGE + "web/ui/index.html": "<!-- SPDX-License-Identifier: GPL-3.0-only -->\n",
    ".gitignore": "/build/\n",
    "boot.py": "from machine import I2C\n",
    "main.py": "from parallelator import app\n\napp.main()\n",
    PACKAGE + "hardware/controller.py": "import machine\n",
    PACKAGE + "protection/rules.py": "from parallelator import snapshot\n",
    PACKAGE + "protection/guard.py": "from ..hardware import i2c\nfrom .. import clock\n",
    PACKAGE + "web/api.py": "from parallelator.records import events\n",
    PACKAGE + "network/mqtt.py": "from parallelator import views\n",
    PACKAGE + "web/live.py": "from parallelator.clock import Clock\n\nClock()\n",
    PACKAGE + "long.py": "def f():\n" + "    x = 1\n" * 59 + "x = 1\n" * 500,
    "tests/unit/test_long.py": "def f():\n" + "    x = 1\n" * 60,
    "tools/sim/machine.py": "from umachine import *\n",
    "build/rubbish.py": "import (\n",
}

FAULTS = [
    ("notes.txt", "", "1: does not belong in the root folder"),
    ("docs/plan.md", "x\n", "docs/plan.md:1: does not belong in the root folder"),
    (PACKAGE + "a.py", "def f():\n" + "    x = 1\n" * 60, "1: f has 61 lines, 60 allowed"),
    ("tools/a.py", "async def g():\n" + "    x = 1\n" * 60, "1: g has 61 lines, 60 allowed"),
    ("tests/unit/test_a.py", "try:\n    f()\nexcept:\n    pass\n", "3: bare except"),
    ("tools/a.py", "def f(:\n", "1: syntax error"),
    ("tools/a.py", 'def f(c: "Clock"):\n    return Clock()\n', "2: Clock is not imported"),
    ("main.py", '"""Starts."""\n', "1: does not begin with the SPDX line of its licence"),
    (".ci/run", "#!/bin/sh\nmake test\n", "1: does not begin with the SPDX line"),
    ("README.md", f"\ncd /{'home'}/ann/rig\n", "README.md:2: path of somebody's machine"),
    ("tools/a.sh", f"cp /{'root'}/x .\n", "1: path of somebody's machine"),
    ("tests/a.json", f"//registry.{'npmjs'}.org/x\n", "1: host name of a package"),
    ("README.md", f"see {'pypi'}.org\n", "1: host name of a package"),
    (PACKAGE + "web/api.py", "import machine\n", "1: must not import machine"),
    (PACKAGE + "app.py", "from machine import Pin\n", "1: must not import machine"),
    (PACKAGE + "clock.py", "def f():\n    import machine\n", "2: must not import machine"),
    (PACKAGE + "web/api.py", "from .. import app\n", "1: must not import parallelator.app"),
    (PACKAGE + "clock.py", "from . import app\n", "1: must not import parallelator.app"),
    (
        PACKAGE + "records/history.py",
        "from parallelator.views import summary\n",
        "1: must not import parallelator.views",
    ),
    ("boot.py", "import parallelator.app\n", "1: must not import parallelator.app"),
    (
        PACKAGE + "protection/guard.py",
        "from ..records import events\n",
        "1: must not import parallelator.records",
    ),
    (
        PACKAGE + "records/card.py",
        "from ..web import logs\n",
        "1: must not import parallelator.web",
    ),
    (
        PACKAGE + "clock.py",
        "def f():\n    from .network import zone\n",
        "2: must not import parallelator.network",
    ),
    (
        PACKAGE + "protection/guard.py",
        "from parallelator import network, web\n",
        "1: must not import parallelator.network",
    ),
    (
        PACKAGE + "protection/joining.py",
        "from parallelator.hardware.i2c import I2c\n",
        "1: must not import parallelator.hardware",
    ),
    (PACKAGE + "protection/rules.py", "import time\n", "1: must not import time"),
    (
        PACKAGE + "protection/rules.py",
        "from ..clock import Clock\n",
        "1: must not import parallelator.clock",
    ),
]

FAULTS += [
    (PACKAGE + "web/api.py", text, fault)
    for text, fault in (
        ("import weakref\n", "1: weakref is newer than MicroPython 1.25"),
        ("from string.templatelib import Template\n", "1: string.templatelib is newer than"),
        (
            "import asyncio\n\nasyncio.Future()\n",
            "3: not known of MicroPython 1.25: asyncio.Future",
        ),
        ("from asyncio import TaskGroup\n", "1: not known of MicroPython 1.25: asyncio.TaskGroup"),
        ("import os\n\nos.getenv('A')\n", "3: not known of MicroPython 1.25: os.getenv"),
        ("import os\n\nos.mount(1, '/sd')\n", "3: not known of MicroPython 1.25: os.mount"),
        ("import sys\n\nsys.atexit(f)\n", "3: not known of MicroPython 1.25: sys.atexit"),
        ("a = f'{f\"{1}\"}'\n", "1: an f-string in an f-string is newer than MicroPython 1.25"),
        ("a = t'{1}'\n", "1: syntax error"),
    )
]


@pytest.fixture
def tree(tmp_path):
    """A git work tree without faults; nothing in it is committed."""
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    for path, text in CLEAN.items():
        write(tmp_path, path, LICENCE + text if path.endswith(".py") else text)
    return tmp_path


def write(root, path, text):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_a_clean_tree_has_no_fault(tree):
    assert check_tree.faults(tree) == []


@pytest.mark.parametrize(("path", "text", "fault"), FAULTS)
def test_a_fault_is_found_and_named(tree, path, text, fault):
    write(tree, path, text)
    found = check_tree.faults(tree)
    assert found
    assert found[0].startswith(path + ":")
    assert fault in found[0]


@pytest.mark.parametrize("folder", [PACKAGE + "network/", "tools/device/"])
def test_a_circle_of_imports_is_found_and_named(tree, folder):
    package = ".".join(folder.split("/")[1:-1])
    for name, text in (
        ("a", f"from {package} import b\n"),
        ("b", f"def f():\n    import {package}.c\n"),
        ("c", f"from {package}.a import x\n"),
    ):
        write(tree, f"{folder}{name}.py", LICENCE + text)
    (found,) = check_tree.faults(tree)
    assert "1: imports in a circle: " in found
    assert {f"{package}.{name}" for name in "abc"} == set(found.split(": ")[2].split(", "))


def test_a_deleted_file_that_git_still_lists_is_passed_over(tree):
    subprocess.run(["git", "-C", tree, "add", "."], check=True)
    (tree / "main.py").unlink()
    assert check_tree.faults(tree) == []
