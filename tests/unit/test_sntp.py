# SPDX-License-Identifier: GPL-3.0-only
"""Time from a server: answers that are right, wrong, late, doubtful or missing."""

import asyncio
import struct
import time

from parallelator.clock import Clock
from parallelator.network import sntp
from parallelator.scheduler import Scheduler
from sim.servers import TimeServer

NOW_S = 1784000000
NONCE = b"12345678"
ERA_S = 1 << 32
UNIX_OF_1970 = 2208988800


class Rig:
    """A clock, a server, and what the clock was set to."""

    def __init__(self, unix_s=NOW_S, server="127.0.0.1"):
        self.server = TimeServer(unix_s)
        self.settings = {"time.ntp": server}
        self.clock = Clock(time)
        self.taken = []
        within = Scheduler(self.clock, None).within
        self.sntp = sntp.Sntp(
            self.clock,
            self.settings,
            self.resolve,
            self.take,
            lambda ms, coroutine: within(ms // 20, coroutine),
            self.server.port,
        )

    async def resolve(self, name):
        if name != "127.0.0.1":
            raise OSError
        return name

    def take(self, unix_s):
        self.taken.append(unix_s)
        self.clock.set(unix_s)

    def ask(self):
        """What one question gives: seconds since 1970, or the error."""

        async def asked():
            serving = asyncio.create_task(self._serve())
            try:
                return await self.sntp._ask(self.settings["time.ntp"])
            except OSError:
                return None
            finally:
                serving.cancel()

        return asyncio.run(asked())

    async def _serve(self):
        while True:
            self.server.serve(0)
            await asyncio.sleep_ms(1)


def stamped(unix_s):
    return struct.pack(">II", unix_s + UNIX_OF_1970 & 0xFFFFFFFF, 1 << 31)


def packet(unix_s=NOW_S, head=b"\x24\x02", nonce=NONCE):
    return head + bytes(22) + nonce + bytes(8) + stamped(unix_s)


def test_an_honest_server_tells_the_time():
    rig = Rig()
    assert rig.ask() == NOW_S
    assert rig.server.asked == 1


def test_the_second_era_begins_in_2036():
    for unix_s in (2085978495, 2085978496, 2085978497, 3124223999):
        assert sntp.parsed(packet(unix_s), NONCE) == unix_s * 1000 + 500
        assert Rig(unix_s).ask() == unix_s


def test_years_before_2024_and_after_2068_are_refused():
    for unix_s in (0, 946684800, 1704067199, 3124224000, 4000000000, NOW_S - 20 * 365 * 86400):
        assert sntp.parsed(packet(unix_s), NONCE) is None, unix_s
        assert Rig(unix_s).ask() is None
    assert sntp.parsed(packet(1704067200), NONCE) == 1704067200500


def test_answers_that_are_not_a_synchronised_server_s_are_refused():
    assert sntp.parsed(packet(), NONCE) == NOW_S * 1000 + 500
    assert sntp.parsed(packet(head=b"\x1c\x01") + b"more", NONCE)
    heads = {
        "client": b"\x23\x02",
        "broadcast": b"\x25\x02",
        "version 2": b"\x14\x02",
        "not synchronised": b"\xe4\x02",
        "kiss of death": b"\x24\x00",
        "stratum 16": b"\x24\x10",
    }
    for what, head in heads.items():
        assert sntp.parsed(packet(head=head), NONCE) is None, what
    assert sntp.parsed(packet(nonce=b"12345679"), NONCE) is None
    for end in range(48):
        assert sntp.parsed(packet()[:end], NONCE) is None


def test_forged_answers_are_passed_over_and_the_honest_one_is_taken():
    rig = Rig()

    def lie(honest):
        wrong = honest[:40] + stamped(NOW_S + 1000000)
        yield wrong[:24] + bytes(8) + wrong[32:]
        yield b""
        yield wrong[:47]
        yield bytes(48)
        yield honest

    rig.server.lie = lie
    assert rig.ask() == NOW_S
    stranger = TimeServer(0)
    rig.server.lie = lambda honest: stranger.send(honest, rig.server.asker) or ()
    assert rig.ask() is None


def test_silence_and_death_are_errors():
    rig = Rig()
    rig.server.delay_us = None
    assert rig.ask() is None
    rig.server.close()
    rig.server.serve = lambda now_us: None
    assert rig.ask() is None


def test_a_name_that_is_not_known_is_an_error():
    assert Rig(server="pool.example").ask() is None


def test_a_huge_jump_needs_two_answers_that_agree():
    rig = Rig()
    assert rig.sntp._judge(NOW_S)
    assert rig.sntp._judge(NOW_S + 60)
    assert rig.taken == [NOW_S, NOW_S + 60]
    assert not rig.sntp._judge(NOW_S + 200)
    assert rig.sntp._judge(NOW_S + 61)
    assert not rig.sntp._judge(NOW_S + 5000)
    assert not rig.sntp._judge(NOW_S + 9000)
    assert rig.sntp._judge(NOW_S + 9001)
    assert rig.taken[2:] == [NOW_S + 61, NOW_S + 9001]
    assert not rig.sntp._judge(NOW_S)
    assert rig.sntp._judge(NOW_S + 1) and rig.clock.unix() in (NOW_S + 1, NOW_S + 2)


def waits(rig, count, wake_at=None):
    """How long `run` waits between its first questions, in s."""
    found = []

    async def within(ms, coroutine):
        if ms < 15000:
            return await answered(ms, coroutine)
        found.append(ms // 1000)
        coroutine.close()
        if len(found) == count:
            raise KeyboardInterrupt
        if len(found) != wake_at:
            raise asyncio.TimeoutError

    async def asked():
        serving = asyncio.create_task(rig._serve())
        try:
            await rig.sntp.run()
        except KeyboardInterrupt:
            pass
        finally:
            serving.cancel()

    answered, rig.sntp._within = rig.sntp._within, within
    asyncio.run(asked())
    return found


def test_questions_come_hourly_and_less_often_while_there_is_no_answer():
    assert waits(Rig(), 3) == [3600, 3600, 3600]
    silent = Rig(server="pool.example")
    expected = [15, 30, 60, 120, 240, 480, 960, 1920, 3600, 3600]
    assert waits(silent, 10) == expected
    assert waits(silent, 4, wake_at=2) == [15, 30, 15, 30]
    assert waits(Rig(server=""), 2) == [3600, 3600]
