# SPDX-License-Identifier: GPL-3.0-only
"""The built tree in a 32-bit MicroPython: it runs in the newest and in the oldest one supported,
and the figures of its heap are true."""

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from device import build, heap32

SECONDS = 10


@pytest.fixture(scope="module")
def tree():
    """The built tree without native code."""
    return heap32.tree()


@pytest.fixture
def changed(tree, tmp_path):
    """Give a function that returns the tree with some lines at the end of clock.py."""

    def change(lines):
        source = tmp_path / "clock.py"
        source.write_text((build.LIB / "parallelator/clock.py").read_text() + lines)
        shutil.copytree(tree, tmp_path / "tree")
        target = tmp_path / "tree/app/parallelator/clock.mpy"
        build.compile_module(Path("parallelator/clock.py"), source, target, build.MARCH)
        return tmp_path / "tree"

    return change


def test_the_whole_firmware_runs_with_everything_on(tree):
    with ThreadPoolExecutor() as pool:
        runs = [pool.submit(heap32.run, version, tree, SECONDS) for version in heap32.VERSIONS]
        reports = [run.result() for run in runs]  # raises when something was not on
    for report in reports:
        assert report["steady"] > report["imported"] == sum(report["modules"].values())
        assert len(report["state"]["frames"]) == 4, report
        assert report["state"]["alarms"] in ([], ["deadline_missed"])


def test_modules_in_a_rom_file_system_take_far_less(tree):
    copied = heap32.run("1.29", tree)["imported"]
    assert heap32.run("1.29", tree, in_place=True)["imported"] < copied * 0.6


def test_a_module_newer_than_the_oldest_micropython_does_not_load(changed):
    folder = changed("import weakref\n")
    heap32.run("1.29", folder)
    with pytest.raises(SystemExit, match="(?s)1.25.*no module named 'weakref'"):
        heap32.run("1.25", folder)


def test_what_a_module_takes_is_seen(tree, changed):
    usual = heap32.run("1.29", tree)["modules"]["parallelator.clock"]
    larger = heap32.run("1.29", changed("_LARGE = bytearray(10000)\n"))["modules"]
    assert usual + 10000 <= larger["parallelator.clock"] <= usual + 10200


def test_every_module_of_the_tree_is_measured(tree):
    built = {path.name for path in (tree / "app").rglob("*.mpy")}
    names = {name.rpartition(".")[2] + ".mpy" for name in build.ordered()}
    assert built - names == {"__init__.mpy", "words_en.mpy", "words_fr.mpy"}
