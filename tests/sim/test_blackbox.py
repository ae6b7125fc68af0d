# SPDX-License-Identifier: GPL-3.0-only
"""The black box with the whole firmware in virtual time: it records what the plant really did."""

import os

from sim import current
from sim.chips.sdcard import SdCard
from sim.chips.sdimage import Image
from support import clean
from test_records import SECTORS, Run

SCAN_MS = 160
"""A round of 16 batteries."""


class Boxed(Run):
    """One run whose black box and plant are looked at.

    Args:
        probe: 1-based numbers of the batteries whose truth is kept.

    Attributes:
        truth: of each probe a list of (ms, mA, mV, mA of the bus, mV of the bus).
    """

    def __init__(self, probe=(), **plan):
        self.truth = {n: [] for n in probe}
        self._closed = False
        super().__init__(**plan)

    def _listen(self):
        super()._listen()
        from parallelator.app import App

        current.world.observers.append(self)
        init = App.__init__

        def watched_init(app, *args):
            init(app, *args)
            self.app = app

        App.__init__ = watched_init

    def stepped(self, at_us):
        plant = current.world.plant
        bus_ma = 1000 * sum(plant.sensed_a[i] for i in range(16) if plant.switch[i])
        for n, seen in self.truth.items():
            row = (1000 * plant.sensed_a[n - 1], 1000 * plant.sensed_v[n - 1])
            seen.append((at_us / 1000,) + row + (bus_ma, 1000 * plant.bus_v))

    def switched(self, at_us, before):
        pass

    def played(self, at_us, step):
        pass

    def restarted(self, at_us):
        pass

    def records(self):
        """(record, trip, readings) of all trips, oldest first, as the API would tell them."""
        from parallelator.records import tripfile

        box = self.app.blackbox
        os.mount(self.card.image.volume(), "/sd")
        self.app.card._device = self.card  # the firmware gave it up when it ended
        found = []
        for record in reversed([record for record in box.records() if record]):
            for k, trip in enumerate(record.trips):
                same, pieces = box.find(record.boot, record.number + k)
                rows = []
                for some in tripfile.readings(same, same.trips[k], pieces):
                    rows += some
                found.append((record, trip, rows))
        os.umount("/sd")
        return found


def opened_ms(run, n):
    """When the switch of battery n opened after it had been closed, in ms."""
    return [ms for ms, number, closed in run.report["switch_writes"] if number == n and not closed]


def spike(n, at_s, for_s=0.5, ma=24000):
    return [
        {"at": at_s, "do": "inject_current", "n": n, "ma": ma},
        {"at": at_s + for_s, "do": "inject_current", "n": n, "ma": 0},
    ]


def of(rows, n):
    return [row for row in rows if row[1] == n]


def complete(rows, n, begin_ms=-10000, end_ms=5000, scan_ms=SCAN_MS):
    """True when there is a reading of each scan from the beginning to the end."""
    times = [row[0] for row in of(rows, n)]
    gaps = [b - a for a, b in zip(times, times[1:])]
    inside = begin_ms <= times[0] <= begin_ms + 2 * scan_ms
    inside = inside and end_ms - 2 * scan_ms <= times[-1] <= end_ms
    return inside and min(gaps) >= 0 and max(gaps) < 1.6 * scan_ms


def assert_true(run, n, trip_ms, rows):
    """Every reading is one of what the plant showed around its time.

    The current in steps tells the time: a reading is at most a tick and a conversion old.
    """
    compared = 0
    for t_ms, who, mv, ma in rows:
        at_ms = trip_ms + t_ms
        near = [row for row in run.truth[n] if at_ms - 25 <= row[0] <= at_ms + 30]
        if who:
            amps = [row[1] for row in near]
            good = min(amps) - 15 < ma < max(amps) + 15
            good = good and any(abs(mv - row[2]) < 8 for row in near)
        else:
            # The bus is a round of readings together, and its volts are those of the packs.
            near = [row for row in run.truth[n] if at_ms - 190 <= row[0] <= at_ms + 30]
            low = min(row[3] for row in near) - 300
            high = max(row[3] for row in near) + 300
            good = low <= ma <= high and -20 < mv - near[-1][4] < 300
        assert good, (t_ms, who, mv, ma, near)
        compared += 1
    assert compared


def test_a_trip_is_recorded_as_the_plant_saw_it():
    # Rising steps of current, a new one every 300 ms, until the hard limit is passed.
    stair = [
        {"at": 7 + 0.3 * k, "do": "inject_current", "n": 3, "ma": 61 * k * (k % 3 - 1)}
        for k in range(50)
    ]
    load = [[0, 40], [17, 55], [19.5, 25]]
    run = Boxed([3], duration_s=30, load=load, steps=stair + spike(3, 22.5))
    clean(run.report)
    assert set(name for name in run.files()) == {"boot-0001.csv", "events.csv"}
    ((record, trip, rows),) = run.records()
    assert (record.boot, record.number, trip.i) == (1, 1, 2)
    from parallelator.catalog import reason_name

    assert reason_name(trip.reason) == "overcurrent" and trip.value > 20000 and trip.time == ""
    (open_ms,) = opened_ms(run, 3)
    assert abs(open_ms / 1000 - trip.uptime_s) < 2
    assert complete(rows, 3) and complete(rows, 0), rows[:3]
    assert_true(run, 3, open_ms, [row for row in of(rows, 3) if row[0] < -30])
    # The reading that tripped it, taken between two scans.
    assert any(row[3] == (trip.value + 5) // 10 * 10 and -60 < row[0] < 20 for row in rows)
    # Its switch opens, and with it its share of the bus.
    assert_true(run, 3, open_ms, [row for row in of(rows, 3) if row[0] > 600])
    assert_true(run, 3, open_ms, [row for row in of(rows, 0) if not -100 < row[0] < 700])
    assert abs(of(rows, 3)[-1][3]) < 15 and of(rows, 0)[-1][3] > 20000


def test_small_rigs_are_recorded_at_their_own_faster_scan():
    run = Boxed([2], batteries=4, duration_s=26, load=[[0, 12]], steps=spike(2, 19))
    clean(run.report)
    ((_, _, rows),) = run.records()
    (open_ms,) = opened_ms(run, 2)
    times = [row[0] for row in of(rows, 2)]
    assert -10000 <= times[0] < -9500 and times[-1] > 4900
    assert len(times) > 350, len(times)
    assert_true(run, 2, open_ms, [row for row in of(rows, 2) if row[0] < -30])


def test_two_trips_within_five_seconds():
    run = Boxed([3, 5], duration_s=30, steps=spike(3, 19) + spike(5, 22))
    clean(run.report)
    records = run.records()
    assert [trip.i + 1 for _, trip, _ in records] == [3, 5]
    for _, trip, rows in records:
        n = trip.i + 1
        (open_ms,) = opened_ms(run, n)
        assert complete(rows, n) and complete(rows, 0)
        assert_true(run, n, open_ms, [row for row in of(rows, n) if row[0] < -30])
    # The readings of the bus around the second trip show the first one, three seconds earlier.
    rows = records[1][2]
    apart_ms = opened_ms(run, 5)[0] - opened_ms(run, 3)[0]
    before = [row[3] for row in of(rows, 0) if row[0] < -apart_ms - 200]
    after = [row[3] for row in of(rows, 0) if -apart_ms + 700 < row[0] < -30]
    assert len(after) > 10 and 39000 < max(before) < 41000 and 39000 < max(after) < 41000


def test_a_whole_rig_that_trips_at_once():
    run = Boxed(duration_s=30, load=[[0, 40], [19, 400], [20, 40]])
    records = run.records()
    tripped = {n for ms, n, closed in run.report["switch_writes"] if not closed and ms > 19000}
    assert len(tripped) == 16
    numbers = [trip.i + 1 for _, trip, _ in records]
    assert set(numbers) == tripped and len(numbers) == len(tripped), numbers
    assert run.app.blackbox.missed == 0
    for _, trip, rows in records:
        assert complete(rows, trip.i + 1, scan_ms=180)  # the tick that opens them all is long
    volumes = [entry for entry in run.card.image.volume().ilistdir("/blackbox")]
    assert len(volumes) == 1 and volumes[0][3] < 32000, volumes


def test_a_sensor_that_is_lost_is_a_trip_and_an_operator_is_not():
    steps = [
        {"at": 14, "do": "request", "n": 4, "action": "off"},
        {"at": 19, "do": "sensor_nack", "n": 9},
    ]
    run = Boxed(duration_s=28, steps=steps)
    clean(run.report)
    ((_, trip, rows),) = run.records()
    from parallelator.catalog import reason_name

    assert (trip.i + 1, reason_name(trip.reason)) == (9, "sensor_lost")
    assert complete(rows, 0) and max(row[0] for row in of(rows, 9)) <= 0


def test_a_tape_that_ran_slowly_for_long_does_not_mix_up_the_times():
    # Without a sensor the sample ring reaches minutes back, its times repeat after 16 s.
    steps = [
        {"at": at_s, "do": "sensor_nack", "n": n, "on": at_s < 60}
        for at_s in (10, 60)
        for n in range(1, 5)
    ]
    run = Boxed([2], batteries=4, duration_s=79, load=[[0, 12]], steps=steps + spike(2, 71))
    _, trip, rows = run.records()[-1]
    assert trip.i + 1 == 2 and trip.uptime_s > 65
    open_ms = opened_ms(run, 2)[-1]
    times = [row[0] for row in of(rows, 2)]
    assert 60000 < open_ms + times[0] < 67000, (open_ms, times[0])
    assert complete(rows, 2, times[0], scan_ms=110), times
    assert complete(rows, 0), of(rows, 0)
    assert_true(run, 2, open_ms, [row for row in of(rows, 2) if row[0] < -30])


def test_without_a_card_the_last_two_trips_stay_in_memory_until_one_comes():
    card = SdCard(Image(SECTORS))
    card.present = False
    steps = spike(3, 10) + spike(5, 19) + spike(7, 22) + [{"at": 31, "do": "sd_insert"}]
    run = Boxed([5, 7], card=card, duration_s=30, steps=steps)
    clean(run.report)
    box = run.app.blackbox
    assert [copy.record.trips[0].i + 1 for copy in box._copies] == [5, 7]
    for _, trip, rows in run.records():
        n = trip.i + 1
        assert complete(rows, n) and complete(rows, 0), (n, rows[0], rows[-1], len(rows))
        (open_ms,) = opened_ms(run, n)
        assert_true(run, n, open_ms, [row for row in of(rows, n) if row[0] < -30])

    card = SdCard(Image(SECTORS))
    card.present = False
    run = Boxed([5], card=card, duration_s=42, steps=steps)
    clean(run.report)
    assert not run.app.blackbox._copies
    records = run.records()
    assert [(record.number, trip.i + 1) for record, trip, _ in records] == [(2, 5), (3, 7)]
    assert complete(records[0][2], 5) and complete(records[0][2], 0)
    assert run.report["sd"]["writes"] > 0


def test_a_card_that_is_pulled_in_the_middle_of_a_record():
    for pulled_s in (19.4, 21.507, 23.9):
        steps = spike(3, 19) + [
            {"at": pulled_s, "do": "sd_remove"},
            {"at": 27, "do": "sd_insert"},
        ]
        run = Boxed([3], duration_s=45, steps=steps)
        clean(run.report)
        assert [code for _, code in run.events if code == "task_died"] == []
        ((record, trip, rows),) = run.records()
        assert trip.i + 1 == 3 and complete(rows, 3, rows[0][0]) and rows[0][0] < -6000, rows[0]
        assert not run.app.blackbox._copies
        (open_ms,) = opened_ms(run, 3)
        assert_true(run, 3, open_ms, [row for row in of(rows, 3) if row[0] < -30])


class Restarted(Boxed):
    """A run in which somebody presses restart once."""

    async def _browser(self, app):
        import asyncio

        if current.world.resets == 0:
            await asyncio.sleep_ms(self._time_at_s * 1000)
            app.rig.restart()
        await asyncio.sleep_ms(1 << 29)


def test_a_restart_in_the_middle_of_a_record_cuts_it_short():
    run = Restarted([3], duration_s=35, steps=spike(3, 19), time_at_s=21)
    assert run.report["resets"] == 1
    ((record, trip, rows),) = run.records()
    assert (record.boot, trip.i + 1) == (1, 3)
    assert complete(rows, 3, end_ms=rows[-1][0]) and 1500 < rows[-1][0] < 3500, rows[-1]


def test_a_full_card_keeps_the_record_in_memory():
    image = Image(SECTORS)
    image.volume().mkdir("/blackbox")
    image.fill(0)
    run = Boxed(card=SdCard(image), duration_s=30, steps=spike(3, 20))
    clean(run.report)
    assert run.codes() == ["sd_ready", "sd_full"]
    ((record, trip, rows),) = run.records()
    assert trip.i + 1 == 3 and complete(rows, 3)
    assert run.app.blackbox._copies[0].record is record


def test_the_oldest_file_goes_and_no_other_is_written_over():
    image = Image(SECTORS)
    volume = image.volume()
    volume.mkdir("/blackbox")
    kept = ["%06d-000001.bin" % boot for boot in range(1, 16)]
    for name in ["000000-000007.bin"] + kept:
        with volume.open("/blackbox/" + name, "w") as file:
            file.write(name * 70)
    # Boot 1 again, because the storage of the controller was erased.
    run = Boxed(card=SdCard(image), duration_s=26, steps=spike(3, 17))
    volume = image.volume()
    names = sorted(entry[0] for entry in volume.ilistdir("/blackbox"))
    assert names == sorted(kept + ["000001-000002.bin"]), names
    for name in kept:
        with volume.open("/blackbox/" + name, "r") as file:
            assert file.read() == name * 70, name
    assert [record.number for record, _, _ in run.records()] == [2]


def test_records_do_not_delay_the_protection():
    crossings = []
    for k in range(30):
        crossings += spike(1 + k * 7 % 16, 20 + 1.17 * k, 0.6, 24000 * (k % 2 or -1))
    stalls = [{"at": 1, "do": "sd_stall", "ms": 250, "every": 12}]
    run = Boxed(duration_s=65, steps=crossings + stalls)
    clean(run.report)
    assert 0 < run.pause_ms < 40, run.pause_ms
    reactions = run.report["reactions"]
    assert len(reactions) >= 16, len(reactions)
    worst_ms = max(opened - crossed for crossed, opened, _, _ in reactions)
    assert worst_ms < 40, worst_ms
    assert len(run.records()) + run.app.blackbox.missed >= len(reactions)
