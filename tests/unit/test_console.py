# SPDX-License-Identifier: GPL-3.0-only
"""What the serial console says, minute by minute."""

from parallelator import console


class End(Exception):
    pass


class Rig:
    """A rig in which nothing happens; in the place of asyncio, too: its sleep is a second.

    Args:
        password: of the page; setup_s: until when a first one may be set; end_s: of the test.
    """

    def __init__(self, password, setup_s, end_s):
        self.settings = {"web.password": password, "serial_messages": True}
        self.events = self.network = self.wifi = self.snap = self
        self.uptime_s = 0
        self.said = []
        self._setup_s = setup_s
        self._end_s = end_s
        console.asyncio = self
        try:
            console.run(self).send(None)
        except End:
            pass

    async def sleep_ms(self, duration_ms):
        self.uptime_s += 1
        if self.uptime_s > self._end_s:
            raise End

    def after(self, number):
        return None

    def setup_s(self):
        return max(self._setup_s - self.uptime_s, 0)

    def say(self):
        self.said.append(self.uptime_s)


def test_a_new_rig_says_each_minute_how_to_reach_it():
    assert Rig("", 600, 3600).said == [60 * k for k in range(1, 10)]


def test_any_other_does_not():
    assert Rig("pbkdf2$", 600, 3600).said == [], "it has a password"
    assert Rig("", 0, 3600).said == [], "nobody may set the first one now"
