# SPDX-License-Identifier: GPL-3.0-only
"""The clock of I2C left to the rig, with the whole firmware in virtual time."""

from support import clean, moves, play


def clocks(steps=(), **plan):
    """The report, and [s, kHz] of each event that tells of another clock."""
    told = []

    def listen():
        from sim import current

        emit = current.probe.emit

        def listening(events, code, i, state, reason, value):
            if code == "i2c_clock":
                told.append([current.world.now_us / 1e6, value])
            emit(events, code, i, state, reason, value)

        current.probe.emit = listening

    plan.setdefault("settings", {"i2c_khz": "auto"})
    report = play(listen, duration_s=60, load=[[0, 24]], steps=list(steps), **plan)
    clean(report)
    return report, told


def test_a_rig_that_carries_400_khz_proves_it_and_does_not_start_later_for_it():
    fixed, told = clocks(settings={"i2c_khz": 100})
    assert told == []
    report, told = clocks()
    assert [khz for _, khz in told] == [400] and 10 < told[0][0] < 30, told
    for n in range(1, 17):
        (closed_s, _), (known_s, _) = moves(report, n)[0], moves(fixed, n)[0]
        assert abs(closed_s - known_s) < 0.1
    assert report["ticks"]["load_pct"] < fixed["ticks"]["load_pct"] - 5


def test_a_wire_that_garbles_a_bit_now_and_then_stays_at_100_khz():
    _, told = clocks([{"at": 8, "do": "bus_noise", "rate": 0.002}])
    assert [khz for _, khz in told] == [100], told


def test_errors_later_bring_100_khz_back():
    _, told = clocks([{"at": 40, "do": "bus_noise", "rate": 0.01}])
    assert [khz for _, khz in told] == [400, 100] and told[1][0] > 40, told
