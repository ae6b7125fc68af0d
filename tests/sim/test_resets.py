# SPDX-License-Identifier: GPL-3.0-only
"""What a reset must not forget, and what it may: the whole firmware in virtual time."""

import sabotage
from sim import current
from support import clean, moves, play, state_at

LEVEL = [{"n": n, "soc": 0.8} for n in range(1, 5)]
ONE = [{"n": 1, "soc": 0.8}]
DRIVERS = ("legacy", "i2c_master")
"""With the second one RTC memory is reached as from MicroPython 1.29 on."""
NOON = 1784030400  # 2026-07-14, UTC
_HEAT_S = 4.4
_FASTER = 0.44
"""Of a second, what each at 1.2 times the limit adds to the overload sum."""


def pulse(n, at_s, ma, for_s=0.2):
    """Steps that add `ma` to what sensor n sees, for a while."""
    return [
        {"at": at_s, "do": "inject_current", "n": n, "ma": ma},
        {"at": at_s + for_s, "do": "inject_current", "n": n, "ma": 0},
    ]


def reset(at_s, kind="controller_reset"):
    return {"at": at_s, "do": kind}


def reset_now():
    """The controller resets at this moment, as by a step of the scenario."""
    world = current.world
    for observer in world.observers:
        observer.played(world.now_us, {"do": "controller_reset"})
    world.reset_controller(2)


class Boots:
    """A sabotage that changes RTC memory before a boot, and notes the events of each.

    Args:
        changes: what to do at boot 1, 2 ...: a function with RTC memory as its argument, or None.
    """

    def __init__(self, *changes):
        self._changes = list(changes)
        self.events = []

    def __call__(self):
        change = self._changes.pop(0) if self._changes else None
        if change:
            change(current.world.rtc)
        told = []
        self.events.append(told)
        honest = current.probe.emit

        def emit(events, code, i, state, reason, value):
            told.append(code)
            honest(events, code, i, state, reason, value)

        current.probe.emit = emit


def damage(*copies):
    """Function that turns a bit in the middle of these copies, 0 and 1."""

    def change(rtc):
        half = current.world.rtc_length // 2
        for copy in copies:
            rtc[copy * half + half // 2] ^= 1

    return change


def closed_again(report, n, after_s):
    """When battery n's switch closed, at the earliest at `after_s`; None when it did not."""
    times = [at_s for at_s, closed in moves(report, n, after_s) if closed]
    return times[0] if times else None


def test_cooling_counts_from_the_trip_over_a_reset():
    for driver in DRIVERS:
        for packs in (LEVEL, ONE):
            report = play(
                duration_s=36,
                driver=driver,
                batteries=packs,
                steps=pulse(1, 20, 30000) + [reset(21)],
            )
            clean(report)
            # The only battery of a rig tells of the load, or of the charger.
            reason = "bus_overload" if packs is ONE else "overcurrent"
            assert state_at(report, 1, 29) == ("tripped", reason)
            assert 30 <= closed_again(report, 1, 20.5) <= 34, moves(report, 1)


def test_a_firmware_that_forgets_the_delay_is_found():
    report = play(
        sabotage.short_terms_are_forgotten,
        duration_s=30,
        batteries=LEVEL,
        steps=pulse(1, 20, 30000) + [reset(21)],
    )
    assert [text for _, _, text in report["violations"]] == ["closed before its delay was over"]


def test_power_that_came_on_begins_anew_and_takes_the_whole_start_delay():
    for kind, most_s in (("controller_reset", 4.5), ("power_cycle", 8)):
        boots = Boots()
        report = play(boots, duration_s=30, batteries=LEVEL, steps=[reset(15, kind)])
        clean(report)
        again_s = closed_again(report, 1, 15)
        assert most_s - 3.5 < again_s - 15 < most_s, (kind, again_s)
        assert "memory_lost" not in boots.events[1]


def test_with_both_copies_damaged_a_reset_begins_anew_and_says_so():
    for copies, told, back_s in (((0,), False, 30), ((1,), False, 30), ((0, 1), True, 24)):
        boots = Boots(None, damage(*copies))
        report = play(
            boots,
            driver="legacy",
            duration_s=36,
            batteries=LEVEL,
            steps=pulse(1, 20, 30000) + [reset(21)],
        )
        assert ("memory_lost" in boots.events[1]) == told, boots.events
        again_s = closed_again(report, 1, 20.5)
        assert back_s <= again_s <= back_s + 4.5, (copies, again_s)


def test_a_reset_in_the_middle_of_a_write_forgets_neither_the_trip_nor_its_delay():
    for share in (10, 50, 90):
        cut = Cut(share)
        report = play(
            cut, driver="legacy", duration_s=40, batteries=LEVEL, steps=pulse(1, 20, 30000)
        )
        assert cut.done and not report["violations"], report["violations"]
        assert state_at(report, 1, 29) == ("tripped", "overcurrent")
        assert closed_again(report, 1, 20.5) >= 30


class Cut:
    """A sabotage that resets the controller once, in the first write from 21.5 s on.

    Args:
        share: per cent of the write that come to the memory.
    """

    def __init__(self, share):
        self._share = share
        self.done = False

    def __call__(self):
        import machine

        honest = machine.RTC.memory

        def memory(rtc, data=None):
            world = current.world
            if data is not None and world.now_us > 21500000 and not self.done:
                self.done = True
                count = len(data) * self._share // 100
                world.rtc[:count] = data[:count]
                reset_now()
            return honest(rtc) if data is None else honest(rtc, data)

        machine.RTC.memory = memory


def test_the_overload_sum_goes_on_over_a_reset():
    # 14 A each: from nothing the sum is full after 4.6 s. After 4 s the controller restarts, which
    # takes some seconds; so long the sum drains, by what 0 A take from it.
    for kind, least_s, most_s in (("controller_reset", 2, 4.3), ("power_cycle", 4.4, 5.4)):
        steps = [reset(14, kind)]
        report = play(duration_s=26, batteries=LEVEL, load=[[0, 0], [10, 56]], steps=steps)
        clean(report)
        again_s = closed_again(report, 1, 14.1)
        opened_s = [at_s for at_s, closed in moves(report, 1, again_s) if not closed][0]
        assert least_s <= opened_s - again_s <= most_s, (kind, again_s, opened_s)


def test_the_overload_sum_drains_while_the_switch_is_open_after_a_reset():
    steps = pulse(1, 10, 12000, for_s=9) + [reset(19)]
    steps += [{"at": 24, "do": "inject_current", "n": 1, "ma": 12000}]
    report = play(duration_s=36, batteries=LEVEL, steps=steps)
    clean(report)
    opened_s = moves(report, 1, 24)[0][0]
    assert abs(opened_s - 34) < 0.5, moves(report, 1, 9)


def test_the_failures_of_an_output_and_its_pause_go_on_over_a_reset():
    settings = {"limits": {"reconnect_delay_ms": 1000}}
    short = [[0, 0], [4, 200]]
    for driver in DRIVERS:
        boots = Boots()
        report = play(
            boots,
            driver=driver,
            duration_s=60,
            batteries=LEVEL,
            settings=settings,
            load=short,
            steps=[{"at": 4, "do": "nvs_cut"}, reset(6.5), reset(20)],
        )
        clean(report)
        assert "bus_start_failed" in boots.events[0] and "bus_start_failed" in boots.events[1]
        # At once, after a second, twice after the delay; then a minute, whatever the resets.
        assert len([1 for _, closed in moves(report, 1) if closed]) == 4, moves(report, 1)
        assert state_at(report, 1, 59) == ("tripped", "bus_overload")


def test_a_reset_in_the_first_second_of_a_start_is_a_failed_start():
    for driver in DRIVERS:
        brown = BrownOut(3)
        report = play(brown, driver=driver, duration_s=60, batteries=LEVEL)
        clean(report)
        starts = [at_s for at_s, closed in moves(report, 1) if closed]
        assert len(starts) == 4, starts
        pauses = [later - sooner for sooner, later in zip(starts, starts[1:])]
        assert 1 < pauses[0] < 10 < pauses[1] and pauses[2] > 10, starts
        assert state_at(report, 1, 59) == ("on", "")


def test_a_reset_after_the_first_second_of_a_start_is_none():
    brown = BrownOut(3, after_us=1100000)
    report = play(brown, duration_s=40, batteries=LEVEL)
    clean(report)
    assert state_at(report, 1, 39) == ("on", "")


class BrownOut:
    """A sabotage: the controller resets this long after each of the first starts.

    Args:
        starts: how many; after_us: 0 = before the guard's tick is over.
    """

    def __init__(self, starts, after_us=0):
        self._left = starts
        self._after_us = after_us
        self._due_us = None
        self.hooked = False

    def __call__(self):
        if not self.hooked:
            self.hooked = True
            current.world.observers.append(self)

    def switched(self, now_us, before):
        if self._left and not any(before) and any(current.world.plant.switch):
            self._left -= 1
            self._due_us = now_us + self._after_us
            self.stepped(now_us)

    def stepped(self, now_us):
        if self._due_us is not None and now_us >= self._due_us:
            self._due_us = None
            reset_now()

    def played(self, now_us, step):
        pass

    def restarted(self, now_us):
        pass


def test_a_measured_resistance_is_known_after_a_reset():
    load = [[0, 8]] + [[8 + 2 * k, 8 + 24 * (k % 2)] for k in range(6)]
    known = []

    def look():
        from parallelator.protection.guard import Guard

        begin = Guard.start

        def start(guard):
            begin(guard)
            known.append(list(guard._snap.r_mohm[:5]))

        Guard.start = start

    for kind in ("controller_reset", "power_cycle"):
        known.clear()
        steps = [reset(22, kind), reset(30, "controller_reset")]
        play(look, duration_s=32, batteries=LEVEL, load=load, steps=steps)
        cold, warm, _ = known
        assert cold == [0] * 5
        if kind == "power_cycle":
            assert warm == [0] * 5
        else:
            assert all(10 < mohm < 50 for mohm in warm[:4]) and not warm[4], known


class Show(Boots):
    """Calls `heard` (code, value) after each event.

    Attributes:
        left_s: for the test, of show mode.
    """

    def __init__(self):
        super().__init__()
        self.left_s = []

    def __call__(self):
        super().__call__()
        emit = current.probe.emit

        def heard(events, code, i, state, reason, value):
            emit(events, code, i, state, reason, value)
            self.heard(code, value)

        current.probe.emit = heard


class Begun(Show):
    """It begins show mode for a minute when the first battery has joined."""

    def heard(self, code, value):
        rig = current.probe.rig
        if code == "joined" and not rig.show[0] and len(self.events) == 1:
            from parallelator.show import mode

            assert mode.begin(rig, 1) is None
        if code == "joined":
            self.left_s.append(rig.show_s())


class Scheduled(Show):
    """The clock is set to noon when the first battery has joined."""

    def heard(self, code, value):
        if code == "joined":
            current.probe.rig.set_clock(NOON)
        elif code == "show_begun":
            self.left_s.append(value)


def test_show_mode_goes_on_over_a_reset_and_not_over_a_power_cut():
    for kind, ends in (("controller_reset", True), ("power_cycle", False)):
        show = Begun()
        report = play(show, duration_s=80, batteries=ONE, steps=[reset(30, kind)])
        clean(report)
        first, second = show.events[:2]
        assert "show_begun" in first and "show_over" not in first
        assert ("show_over" in second) == ends, second
        assert "show_begun" not in second
        assert show.left_s[0] == 60
        assert 0 < show.left_s[-1] < 50 if ends else not show.left_s[-1], show.left_s


def test_a_scheduled_show_goes_on_after_a_power_cut():
    show = Scheduled()
    settings = {"time": {"show": "11:30-12:30"}}
    report = play(
        show, duration_s=60, batteries=ONE, settings=settings, steps=[reset(30, "power_cycle")]
    )
    clean(report)
    assert show.left_s == [30, 30], show.left_s
