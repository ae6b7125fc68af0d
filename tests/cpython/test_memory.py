# SPDX-License-Identifier: GPL-3.0-only
"""The heap of the whole firmware in the simulator, with everything on: it does not grow."""

import pytest

import memory

KB = 1024
GROWTH_KB = 4
"""What a view that is being answered, or an event more, may make of a difference."""


@pytest.fixture(scope="module")
def figures():
    """A minute of the rig."""
    return memory.measure(60)


def test_a_minute_with_everything_on_leaves_nothing_behind(figures):
    assert figures["seconds"] >= 60
    assert figures["views"] >= 2 * len(memory.VIEWS), "every view was looked at while it ran"
    assert figures["last"] - figures["first"] <= GROWTH_KB * KB, figures


def test_the_figures_are_those_of_a_firmware(figures):
    # Its code, and what plant and referee hold of each battery.
    assert 100 * KB < figures["share"] < 512 * KB, "the simulator"
    assert 100 * KB < figures["first"] <= figures["used"] < figures["first"] + 100 * KB, figures
    assert figures["garbage"] > 0
