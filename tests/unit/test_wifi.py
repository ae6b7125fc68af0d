# SPDX-License-Identifier: GPL-3.0-only
"""The station's attempts and the access point, second by second, on a scripted radio.

With SOAK=1 many more networks with damaged names are in reach.
"""

import sys

sys.path.insert(0, __file__.rsplit("/tests/unit/", 1)[0] + "/tools/sim/standins")

from sim import current, threads  # noqa: E402 - the stand-ins must come first
from sim.air import Air  # noqa: E402
from sim.costs import Costs  # noqa: E402

sys.modules["_thread"] = threads

from mutations import COUNT, flat  # noqa: E402
from parallelator import settings  # noqa: E402
from parallelator.network import wifi  # noqa: E402

NETWORKS = {"stage": ("night-show", -50), "bar": ("", -70)}


class World:
    """The radio's surroundings, and a clock."""

    unique_id = bytes((0x24, 0x6F, 0x28, 0, 0xAB, 0xCD))
    hostname = ""
    costs = Costs()

    def __init__(self):
        self.now_us = 0
        self.spent_us = 0
        current.world = self
        self.air = Air(self)

    def us(self):
        return self.now_us

    def spend(self, us):
        self.spent_us += us

    turn_radio = spend


class Store:
    """Non-volatile storage."""

    def __init__(self):
        self.kept = {}

    def get_blob(self, key, buf):
        if key not in self.kept:
            raise OSError
        buf[:] = self.kept[key]

    def set_blob(self, key, value):
        self.waiting = (key, bytes(value))

    def commit(self):
        key, value = self.waiting
        self.kept[key] = value


class Radio:
    """A Wifi with its surroundings."""

    def __init__(self, store=None, **changes):
        self.world = World()
        self.air = self.world.air
        self.settings = settings.Values({})
        for key, value in changes.items():
            self.settings["wifi." + key] = value
        self.store = store or Store()
        self.events = []
        self.told = []
        self.wifi = wifi.Wifi(
            self.settings,
            self.store,
            lambda code, *_: self.events.append((self.world.now_us // 1000000, code)),
            lambda *told: self.told.append(told),
        )
        self.wifi.power_up()

    def run(self, seconds):
        """Let seconds pass."""
        for _ in range(seconds):
            self.world.now_us += 1000000
            self.wifi._step()
        return self

    def codes(self):
        return [code for _, code in self.events]


def test_a_network_is_joined_and_rejoined():
    radio = Radio(ssid="stage", password="night-show")
    radio.air.networks = NETWORKS
    radio.run(5)
    assert radio.codes() == ["wifi_up"] and radio.wifi.state == wifi.CONNECTED
    assert (radio.wifi.ip, radio.wifi.name_server()) == ("127.0.0.1", "127.0.0.1")
    radio.air.up = False
    radio.run(6)
    assert radio.codes() == ["wifi_up", "wifi_down", "wifi_not_found"]
    assert radio.wifi.ip == radio.wifi.name_server() == ""
    radio.air.up = True
    radio.run(12)
    assert radio.codes()[3:] == ["wifi_up"] and radio.wifi.ap_ip == ""


def test_attempts_grow_rarer_and_the_access_point_comes_up_after_a_minute():
    radio = Radio(ssid="stage", password="night-show")
    radio.air.networks = {"bar": ("", -70)}
    radio.run(59)
    assert radio.wifi.ap_ip == "" and radio.codes() == ["wifi_not_found"]
    assert radio.air.joins == 4
    radio.run(1)
    assert radio.wifi.ap_ip == "192.168.4.1"
    assert radio.codes() == ["wifi_not_found", "wifi_ap"]
    joins = radio.air.joins
    radio.run(86400)
    assert 1300 < radio.air.joins - joins <= 1440, radio.air.joins
    assert radio.codes() == ["wifi_not_found", "wifi_ap"], "a day without adds no event"
    assert radio.world.spent_us == 170000, "and nothing that takes time"


def test_the_access_point_goes_when_the_network_is_back_and_nobody_is_on_it():
    radio = Radio(ssid="stage", password="night-show")
    radio.air.up = False
    radio.run(70)
    radio.air.up = True
    radio.run(90)
    assert radio.codes() == ["wifi_not_found", "wifi_ap", "wifi_up", "wifi_ap_off"]
    assert (radio.wifi.ip, radio.wifi.ap_ip) == ("127.0.0.1", "")


def test_somebody_on_the_access_point_is_left_alone():
    radio = Radio(ssid="stage", password="night-show")
    radio.air.up = False
    radio.run(70)
    radio.air.clients = 1
    joins = radio.air.joins
    radio.air.up = True
    radio.run(590)
    assert radio.air.joins - joins <= 1 and radio.air.clients == 1
    radio.run(60)
    assert radio.wifi.state == wifi.CONNECTED
    assert (radio.wifi.ip, radio.wifi.ap_ip) == ("127.0.0.1", "192.168.4.1"), (
        "time to read the new address"
    )
    radio.run(120)
    assert radio.codes()[-1] == "wifi_ap_off"


def test_a_new_network_is_tried_at_once_though_somebody_is_on_the_access_point():
    radio = Radio()
    radio.air.networks = NETWORKS
    assert radio.wifi.ap_ip and radio.wifi.state == wifi.UNSET
    radio.air.clients = 1
    radio.run(3)
    assert radio.wifi.networks == [("stage", -50, True), ("bar", -70, False)]
    radio.settings["wifi.ssid"] = "stage"
    radio.settings["wifi.password"] = "wrong-one"
    radio.run(5)
    assert radio.wifi.state == wifi.PASSWORD and radio.codes()[-1] == "wifi_password"
    radio.settings["wifi.password"] = "night-show"
    assert radio.wifi.state == wifi.CONNECTING, "it was another password that was refused"
    radio.run(5)
    assert radio.wifi.state == wifi.CONNECTED and radio.codes()[-1] == "wifi_up"
    radio.settings["wifi.ssid"] = ""
    radio.run(3)
    assert radio.wifi.state == wifi.UNSET and radio.codes()[-1] == "wifi_down"


def test_a_lost_network_has_three_minutes_to_come_back_a_new_one_has_one():
    radio = Radio(ssid="stage", password="night-show")
    radio.air.networks = NETWORKS
    radio.run(5)
    radio.air.up = False
    radio.run(175)
    assert radio.wifi.ap_ip == ""
    radio.run(10)
    assert radio.codes()[-1] == "wifi_ap"
    radio.air.up = True
    radio.run(150)
    assert radio.codes()[-1] == "wifi_ap_off"
    radio.settings["wifi.ssid"] = "elsewhere"
    radio.run(65)
    assert radio.codes()[-1] == "wifi_ap"


def test_a_wrong_password_is_told_once():
    radio = Radio(ssid="stage", password="wrong-one")
    radio.air.networks = NETWORKS
    radio.run(3600)
    assert radio.codes() == ["wifi_password", "wifi_ap"]
    assert radio.wifi.state == wifi.PASSWORD


def test_a_driver_that_refuses_or_never_answers_is_tried_again():
    radio = Radio(ssid="stage", password="night-show")

    def refuse(name, key):
        radio.air.joins += 1
        raise OSError(1)

    join = radio.air.join
    radio.air.join = refuse
    radio.run(50)
    assert radio.air.joins == 4 and radio.codes() == ["wifi_failed"]
    radio.air.join = join
    radio.air.status = lambda: 1001
    radio.run(120)
    assert radio.codes() == ["wifi_failed", "wifi_ap"]
    del radio.air.status
    radio.air._status = 1000
    radio.run(70)
    assert radio.wifi.state == wifi.CONNECTED


def test_a_search_keeps_nobody_waiting():
    radio = Radio()
    radio.air.networks = NETWORKS
    spent_us = radio.world.spent_us
    radio.run(3)
    assert not radio.wifi.scanning and len(radio.wifi.networks) == 2
    radio.air.networks = {"late": ("password", -30)}
    radio.wifi.scan()
    assert radio.wifi.scanning
    radio.run(2)
    assert radio.wifi.networks == [("late", -30, True)] and radio.world.spent_us == spent_us
    radio.wifi._station.scan()
    assert radio.world.spent_us > spent_us + 1000000, "unlike one in the caller's thread"


def test_a_search_that_fails_is_over():
    radio = Radio()

    def fail():
        raise OSError(1)

    radio.air.scan = fail
    radio.run(5)
    assert not radio.wifi.scanning and radio.wifi.networks == []


def test_names_are_listed_once_strongest_first_and_twenty_at_most():
    found = [(b"a", b"", 1, -80, 3, 0), (b"b", b"", 1, -60, 0, 0), (b"a", b"", 6, -50, 3, 0)]
    found += [(b"", b"", 1, -10, 3, 1), (b"\xff\xfe", b"", 1, -10, 3, 0)]
    assert wifi.strongest(found) == [("a", -50, True), ("b", -60, False)]
    many = [(b"n%d" % k, b"", 1, -k, 3, 0) for k in range(40)]
    assert [name for name, _, _ in wifi.strongest(many)] == ["n%d" % k for k in range(20)]


def test_the_access_point_s_password_is_its_own_and_kept():
    keys = set()
    for _ in range(20):
        radio = Radio()
        ((name, key),) = radio.told
        assert name == "parallelator-abcd" and len(key) == 10
        assert all(char in wifi._KEY_CHARS for char in key)
        assert radio.air.config[1]["key"] == key and radio.air.config[1]["security"] == 3
        assert Radio(radio.store).told == [(name, key)]
        keys.add(key)
    assert len(keys) == 20
    early = Radio(ssid="stage")
    assert early.store.kept and not early.told, "written before a battery is on, told when open"
    full = Store()
    full.commit = lambda: full.get_blob("nothing", b"")
    assert len(Radio(full).told[0][1]) == 10, "it opens though the password cannot be kept"
    chosen = Radio(ap_password="chosen-one").told[0][1]
    assert chosen == "chosen-one"


def test_country_host_name_and_a_fixed_address_are_set():
    radio = Radio(ssid="stage", country="FR", hostname="left", ip="10.0.0.7", gateway="10.0.0.1")
    radio.run(5)
    assert radio.air.country == "FR" and radio.world.hostname == "left"
    assert radio.air.static == ("10.0.0.7", "255.255.255.0", "10.0.0.1", "10.0.0.1")
    assert radio.wifi.ip == "10.0.0.7" and radio.wifi.name_server() == "10.0.0.1"


def test_settings_of_the_network_are_checked():
    good = {
        "wifi.password": ("", "12345678", "x" * 63),
        "wifi.hostname": ("rig", "Rig-2", "a"),
        "wifi.country": ("", "FR"),
        "wifi.ip": ("", "192.168.1.50"),
        "time.ntp": ("", "pool.ntp.org", "192.168.1.1"),
        "time.zone": ("UTC0", "CET-1CEST,M3.5.0,M10.5.0/3", "<+03>-3"),
        "time.show": ("", "20:30-23:00", "22:00-1:30"),
    }
    bad = {
        "wifi.password": ("1234567",),
        "wifi.ap_password": ("short",),
        "wifi.hostname": ("my rig", "-rig", "rig-", "rig.local", "caf\u00e9"),
        "wifi.country": ("F", "fr", "12"),
        "wifi.ip": ("192.168.1", "192.168.1.256", "rig", "1.2.3.4.5"),
        "wifi.gateway": ("x",),
        "wifi.dns": ("dns.example",),
        "time.ntp": ("two words", "\u00e9"),
        "time.zone": ("Europe/Paris", "CET-1CEST"),
        "time.show": ("20:30", "20h30-23h", "20:30-24:00", "20:30 - 23:00", "9:00-9:00", "-"),
    }
    for key, values in good.items():
        for value in values:
            assert settings.check({key: value})[1] == [], (key, value)
    for key, values in bad.items():
        for value in values:
            (fault,) = settings.check({key: value})[1]
            assert fault["key"] == key and fault["allowed"], fault
            if "password" in key:
                assert value not in str(fault), fault
    (fault,) = settings.check({"wifi.ip": "10.0.0.7", "wifi.netmask": ""})[1]
    assert fault["key"] == "wifi.netmask"


def test_names_of_networks_are_taken_whatever_bytes_they_are():
    seeds = [b"stage", "Zo\u00e9".encode(), b"\xff\xfe", b"\xed\xa0\x80", b"x" * 32, b"\0"]

    def parse(name):
        return wifi.strongest([(name, bytes(6), 1, -50, 3, 0)])

    assert 0 < flat(parse, seeds) < COUNT
