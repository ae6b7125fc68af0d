# SPDX-License-Identifier: GPL-3.0-only
"""A small share of `make soak`: random scenarios, and ten minutes of the virtual day."""

import os

from soak import day
from support import ROOT

TEN_MINUTES_S = 600
WRAP_S = 300


def test_random_scenarios_with_every_kind_of_fault_pass():
    command = "build/venv/bin/python tools/soak/campaign.py --count 100 --few --seconds 30 --whole"
    assert os.system("cd '%s' && %s" % (ROOT, command)) == 0


def test_ten_minutes_of_the_virtual_day_across_the_wrap():
    wrong = day.faults(day.play(ROOT, TEN_MINUTES_S, WRAP_S), TEN_MINUTES_S, WRAP_S)
    assert not wrong, wrong
    assert len(day.trials(TEN_MINUTES_S, WRAP_S)) >= 9
