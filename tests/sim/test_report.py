# SPDX-License-Identifier: GPL-3.0-only
"""What the report of a run says of the load's supply and of every closing."""

from support import play, state_at


def expecting(most_ms, begin_s, end_s):
    return {"dark_ms": {"from": begin_s, "to": end_s, "most": most_ms}}


def test_the_load_is_dark_until_the_start_and_while_nothing_supplies_it():
    report = play(
        batteries=[{"n": 1, "soc": 0.8}, {"n": 2, "soc": 0.8}],
        duration_s=20,
        load=[[2, 8], [13, 0], [14, 8]],
        steps=[
            {"at": 9, "do": "request", "n": 1, "action": "off"},
            {"at": 10, "do": "request", "n": 2, "action": "off"},
            {"at": 12, "do": "source", "a": 20},
            {"at": 15, "do": "source", "a": 4},
        ],
        expect=[expecting(0, 7, 9), expecting(1, 0, 8), expecting(5000, 0, 25)],
    )
    started_ms = report["switch_writes"][0][0]
    opened_ms = report["switch_writes"][-1][0]
    assert 4000 < started_ms < 7000 and 10000 <= opened_ms < 10200
    end_ms = report["end_ms"]
    assert report["dark_ms"] == [[2000, started_ms], [opened_ms, 12000], [15000, end_ms]]
    dark_ms = sum(end - begin for begin, end in report["dark_ms"])
    assert report["failed"] == [
        "load dark for 1 ms at most from 0 to 8000 ms, found %s" % round(started_ms - 2000, 3),
        "load dark for 5000 ms at most from 0 to %s ms, found %s" % (end_ms, round(dark_ms, 3)),
    ]


def test_every_closing_has_its_cost():
    report = play(
        batteries=[{"n": 1, "soc": 0.8}],
        duration_s=20,
        load=[[8, 9]],
        bus_uf=10000,
        settings={"limits": {"hard_current_pct": 0}},
        steps=[
            {"at": 10, "do": "request", "n": 1, "action": "off"},
            {"at": 12, "do": "request", "n": 1, "action": "on"},
        ],
    )
    first, second = report["closings"]
    writes = [[ms, n, closed] for ms, n, closed in report["switch_writes"]]
    assert writes == [
        [first["closed_ms"], 1, 1],
        [first["opened_ms"], 1, 0],
        [second["closed_ms"], 1, 1],
    ]
    assert second["opened_ms"] is None and state_at(report, 1, 19)[0] == "on"
    # 28.14 V over 41 mOhm into 10 mF, half of whose energy heats the resistance; then 9 A.
    for closing, loaded_s, begin_ms, end_ms in (
        (first, 0, 8000, first["opened_ms"]),
        (second, 1, second["closed_ms"], 20000),
    ):
        seconds = (end_ms - begin_ms) / 1000
        inrush_a2s = 0.010 * 28.1**2 / 2 / 0.041
        assert abs(closing["peak_a"] / (28.1 / 0.041) - 1) < 0.01, closing
        assert abs(closing["a2s"] / (inrush_a2s + 81 * loaded_s) - 1) < 0.03, closing
        charge_mah = (0.010 * 28.1 + 9 * seconds) / 3.6
        assert abs(closing["mah"] / charge_mah - 1) < 0.02, closing


def test_a_battery_that_is_charged_gives_a_negative_charge():
    report = play(batteries=[{"n": 1, "soc": 0.5}], duration_s=12, source=[[7, 5]])
    (closing,) = report["closings"]
    assert abs(closing["mah"] + 5 * 5 / 3.6) < 0.1 and abs(closing["peak_a"] - 5) < 0.01
    assert report["dark_ms"] == []
