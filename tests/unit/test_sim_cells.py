# SPDX-License-Identifier: GPL-3.0-only
"""Tests how the voltage of the simulated cells comes back after a current."""

from math import exp

from sim.cells import Cells
from sim.plant import Plant

S = 1000000


def close(found, wanted, tolerance=1e-9):
    assert abs(found - wanted) <= tolerance, f"{found} is not {wanted}"


def run(plant, begin_s, end_s):
    for now_us in range(begin_s * S, end_s * S, S):
        plant.step(now_us)
    plant.solve(end_s * S)


def loaded(chemistry, amps, seconds):
    """A pack of 1000 Ah, so that its charge stays, after so many seconds; its switch is open."""
    pack = {"n": 1, "soc": 0.5, "chemistry": chemistry, "capacity_ah": 1000, "r_mohm": 30}
    plant = Plant([pack])
    plant.set_gate(0, True)
    plant.load_a = max(amps, 0.0)
    plant.source_a = max(-amps, 0.0)
    plant.step(0)
    run(plant, 0, seconds)
    plant.set_gate(0, False)
    plant.load_a = plant.source_a = 0.0
    plant.solve(seconds * S)
    return plant


def test_a_pack_recovers_with_two_time_constants():
    for chemistry, cells, slow_ohm, tau_s, half_v in (
        ("nmc7s", 7, 0.15 * 0.030, 600, 0),
        ("lfp8s", 8, 0.40 * 0.030, 900, 0.008),
    ):
        for amps in (20.0, -20.0):
            plant = loaded(chemistry, amps, 900)
            passed = amps * 900 / 3600 / 1000
            per_soc = {"nmc7s": (1.0 if amps < 0 else 0.7) * 7, "lfp8s": 0.1 * 8}[chemistry]
            rest_v = {"nmc7s": 7 * 3.73, "lfp8s": 8 * 3.30}[chemistry] - per_soc * passed
            # The branch goes to its end with the charge: 3 % of 1000 Ah are one part of e.
            branch_v = cells * half_v * (1 - exp(-abs(passed) / 0.03)) * (-1 if amps > 0 else 1)
            slow_v = amps * slow_ohm * (1 - exp(-900 / tau_s))
            fast_v = amps * 0.009
            seen_s = 0
            for after_s in (0, 20, 100, 900, 3600):
                run(plant, 900 + seen_s, 900 + after_s)
                seen_s = after_s
                wanted_v = rest_v + branch_v - slow_v * exp(-after_s / tau_s)
                close(plant.voltage_v[0], wanted_v - fast_v * exp(-after_s / 20), 2e-3)


def test_half_of_the_slow_way_takes_minutes():
    plant = loaded("lfp8s", 20.0, 1800)
    run(plant, 1800, 1900)  # the fast pair is at rest
    begin_v = plant.voltage_v[0]
    run(plant, 1900, 1900 + 600)
    middle_v = plant.voltage_v[0]
    run(plant, 2500, 2500 + 5400)
    end_v = plant.voltage_v[0]
    assert 0.1 < end_v - begin_v < 0.25
    assert 0.4 < (middle_v - begin_v) / (end_v - begin_v) < 0.6


def test_lithium_iron_phosphate_rests_higher_after_charge_than_after_discharge():
    cells = Cells("lfp8s", 20)
    cells.soc = 0.6
    rests = []
    for ah in (4.0, -4.0, 4.0, -4.0):
        for _ in range(100):
            cells.pass_charge(ah / 100, 60 * S)
        cells.slow_a = 0.0
        rests.append((round(cells.soc, 6), cells.rest_v()))
    (low, empty_v), (high, full_v) = rests[2:]
    assert (low, high) == (0.4, 0.6)
    close(empty_v, 8 * (3.29 - 0.008), 2e-3)
    close(full_v, 8 * (3.31 + 0.008), 2e-3)
    # Within the first per cent after the turn it is still on the other branch.
    cells.pass_charge(0.1, 60 * S)
    assert cells.branch > 0.6
    cells.settle()
    close(cells.rest_v(), 8 * (3.31 - 0.005 * 0.1), 1e-6)


def test_lead_and_lag_cost_no_charge():
    cells = Cells("nmc7s", 10)
    cells.soc = 0.5
    cells.set_resistance(0.030)
    for _ in range(60):
        cells.pass_charge(1 / 60, 60 * S)
    close(cells.soc, 0.4, 1e-9)
    close(cells.slow_a, 1 - exp(-3600 / 600), 1e-9)
    cells.set_rest(7 * 3.73)
    close(cells.rest_v(), 7 * 3.73)
    close(cells.soc, 0.5)
