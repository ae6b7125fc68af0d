# SPDX-License-Identifier: GPL-3.0-only
"""A sample of the campaign of power cuts at every block written to the card."""

from soak import cuts
from support import ROOT

EVERY = 17


def test_whatever_a_cut_leaves_on_the_card_the_rig_goes_on():
    table, wrong = cuts.campaign(ROOT, EVERY, 5, True)
    assert wrong == [], wrong
    assert set(table) == set(cuts.OPERATIONS), table
    assert sum(row["whole"] for row in table.values()) > 5, table
    assert sum(row["blocks"] for row in table.values()) > 90, table


def test_a_row_that_was_flushed_and_is_lost_is_found():
    whole = cuts.Night(ROOT, cuts.image_of(False), False)
    cut = len(whole.writes) - 1
    night = cuts.Night(ROOT, cuts.image_of(False), False, cut, cut_s=whole.writes[cut][0] + 0.7)
    assert cuts.faults(night, whole, cut) == []
    with night.card.image.volume().open("/log/boot-0001.csv", "w") as file:
        file.write("time,upt")
    assert cuts.faults(night, whole, cut) == [
        "boot-0001.csv lost flushed rows", "boot-0001.csv is torn",
    ]  # fmt: skip
