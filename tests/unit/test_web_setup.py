# SPDX-License-Identifier: GPL-3.0-only
"""Who may set a password without knowing one: somebody who stands at the rig."""

from parallelator import settings
from parallelator.web import setup


class Events:
    def __init__(self):
        self.told = []

    def emit(self, code, *_):
        self.told.append(code)


class Rig:
    """A rig with an access point, half a minute after power-on."""

    ap_ip = "192.168.4.1"
    ip = ""
    uptime_s = 30

    def __init__(self, **pins):
        self.settings = settings.Values({})
        self.settings.given.update({"pins." + name: pin for name, pin in pins.items()})
        self.network = self.wifi = self.snap = self
        self.events = Events()
        self.held = False

    def setup_s(self):
        return max(600 - self.uptime_s, 0)

    def button_held(self):
        return self.held


class Access:
    def __init__(self, writable):
        self._writable = writable

    def writable(self):
        return self._writable


class Request:
    def __init__(self, client):
        self.client_addr = client


NEAR = Request("192.168.4.2")
FAR = Request("192.168.1.7")


def make(writable=False, **pins):
    rig = Rig(**pins)
    return rig, setup.Setup(rig, Access(writable), None)


def hold(rig, page, seconds):
    """BOOT is held for so many seconds, then let go."""
    for held in [True] * (seconds + 1) + [False]:
        rig.held = held
        page.watch_button()
        rig.uptime_s += held


def test_the_first_password_is_taken_on_the_own_network_only():
    rig, page = make()
    assert page._left_s(NEAR) == 570
    assert page._left_s(Request(bytes((192, 168, 4, 2)))) == 570
    assert page._left_s(FAR) == 0
    rig.ip = "192.168.4.77"
    assert page._left_s(NEAR) == 0, "it may be on the other network of this number"
    rig.ip = "192.168.1.5"
    assert page._left_s(NEAR) == 570
    rig.ap_ip = ""
    assert page._left_s(NEAR) == page._left_s(Request("")) == 0
    rig, page = make(writable=True)
    assert page._left_s(NEAR) == 0, "there is a password"


def test_boot_held_for_ten_seconds_opens_ten_minutes():
    for writable in (False, True):
        rig, page = make(writable)
        hold(rig, page, 9)
        hold(rig, page, 9)
        assert page._left_s(FAR) == 0 and rig.events.told == []
        hold(rig, page, 25)
        assert rig.events.told == ["setup_opened"]
        assert 580 <= page._left_s(FAR) <= 600
        rig.uptime_s += 590
        assert page._left_s(FAR) == 0
        hold(rig, page, 10)
        assert page._left_s(FAR) > 0 and len(rig.events.told) == 2


def test_a_pin_that_is_wired_to_something_else_is_left_alone():
    rig, page = make(sd_cs=0)
    rig.button_held = None
    hold(rig, page, 20)
    assert page._left_s(FAR) == 0
