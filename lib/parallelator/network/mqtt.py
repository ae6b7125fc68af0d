# SPDX-License-Identifier: GPL-3.0-only
"""Publishes the rig on an MQTT broker and obeys its commands. Run by app when a broker is set.

Topics below `<prefix>/<name>`: `status` (online or offline, retained, the will), `state` (totals
and alarms), `battery/<n>`, `event`; and `battery/<n>/set` takes ON, OFF, AUTO or RESET.

Nothing is queued: state and batteries are sent as they are when their turn comes, events wait in
their ring, which discards the oldest; what was discarded before it was sent is counted. So a
broker that is slow, hangs or is gone costs a few kilobytes and no time of anybody else.
"""

import asyncio
import json
from array import array

from micropython import const

from parallelator import catalog
from parallelator.catalog import ACTIONS, MQTT_PROBLEMS
from parallelator.network import discovery
from parallelator.network.mqtt_link import Denied, Garbage, Link, tls_context
from parallelator.snapshot import BATTERIES, BOARDS, CHANNELS, RIG
from parallelator.views import battery_view, event_view, rig_view

_FIRST_MS = const(2000)
_LEAST_RETRY_MS = const(500)
_FIRST_RETRY_MS = const(10000)
_LAST_RETRY_MS = const(30000)
_POLL_MS = const(100)
_PACE_MS = const(20)
_PING_MS = const(15000)  # half of what the broker is told to wait for
_PONG_MS = const(10000)
_BIRTH_MS = const(5000)
_ALARMS = const(12)
_NAME_BYTES = const(64)
_PREFIX_BYTES = const(32)
_BATTERIES_MAY = const(40)
_PERIOD_S = const(10)
_GOLDEN = const(506952113)  # spreads neighbours: 2^32 over the golden ratio, modulo 2^30
_DEFAULT_NAME = "parallelator"
_PASSWORD_CODES = (4, 5)

REFUSALS = ("locked", "absent", "busy", "rate", "battery", "command", "retained")
"""Why a command was refused; `refused` in messages/ has their words, events their index."""


class Mqtt:
    """The rig on its broker.

    Args:
        rig: the `Rig` that is published.
        number: the controller's own, twelve hexadecimal digits.
        resolve: coroutine that makes an IP address of the broker's name, or raises OSError.
    """

    def __init__(self, rig: "Rig", number: str, resolve: "Callable[[str], Awaitable]"):
        self._rig = rig
        self._resolve = resolve
        value = rig.settings
        node = "parallelator_" + number
        name = value["name"]
        if name == _DEFAULT_NAME:  # two rigs that nobody named must not share a topic
            name += "-" + number[-6:]
        self._base = "%s/%s" % (
            _cut(value["mqtt.prefix"].strip("/"), _PREFIX_BYTES),
            _cut(_level(name), _NAME_BYTES),
        )
        self._node = node.encode()
        self._device = discovery.Device(node, self._base, name, rig.words)
        self._commands = value["mqtt.commands"]
        self._interval_ms = value["mqtt.interval_s"] * 1000
        self._dice = int(number[-8:], 16) * _GOLDEN & 0x3FFFFFFF
        self._link = None
        self._lost = None
        self._event = 0
        self._seen = array("i", [-1] * BATTERIES)
        self._due = array("i", bytes(4 * BATTERIES))
        self._state_due = 0
        self._ping_due = 0
        self._pings = 0
        self._boards = 0
        self._configs = iter(())
        self._birth_due = None
        self._allowed = 0
        self._allowed_until_s = 0
        self._up = False
        self._proven = False
        self._stage = None
        self._problem = None
        self._failures = 0
        self._connections = 0
        self._sent = 0
        self._obeyed = 0
        self._dropped = 0

    def report(self):
        """What `GET /api/system` shows: a dict."""
        return {
            "connected": self._up,
            "problem": None if self._problem is None else MQTT_PROBLEMS[self._problem],
            "topic": self._base,
            "connections": self._connections,
            "sent": self._sent,
            "dropped": self._dropped,
            "commands": self._obeyed,
        }

    def detail(self, event: tuple):
        """What the number of `mqtt_down` or `command_refused` stands for, in words."""
        _, _, code, i, _, _, value = event[:7]
        words = self._rig.words
        if code == "mqtt_down":
            return words.problem(MQTT_PROBLEMS[value])
        return words.refused(REFUSALS[value], i + 1)

    async def run(self):
        """Keep the rig on its broker, for ever."""
        await asyncio.sleep_ms(_FIRST_MS + self._random(_FIRST_MS))
        retry_ms = _FIRST_RETRY_MS
        while True:
            self._proven = False
            try:
                await self._session()
            except (OSError, EOFError, ValueError, asyncio.TimeoutError, Garbage, Denied) as error:
                self._fail(MQTT_PROBLEMS.index(self._stage or _problem(error)))
            finally:
                self._hang_up()
            if self._proven:
                retry_ms = _FIRST_RETRY_MS
            # A broker that restarts loses all its rigs at once: they must not come back at once.
            await asyncio.sleep_ms(_LEAST_RETRY_MS + self._random(retry_ms))
            retry_ms = min(retry_ms * 2, _LAST_RETRY_MS)

    def _random(self, below: int):
        """A number that differs from rig to rig, so that they do not all come at once."""
        self._dice = (self._dice * 69069 + 12345) & 0x3FFFFFFF
        return (self._dice >> 8) % below

    def _fail(self, problem: int):
        # An event when a connection is lost or a second try fails: the first may be too early.
        self._failures += 1
        if self._up or (self._failures == 2 or self._failures > 2 and problem != self._problem):
            self._rig.events.emit("mqtt_down", RIG, 0, 0, problem)
        self._problem = problem

    def _hang_up(self):
        self._up = False
        if self._link:
            self._link.close()
            self._link = None

    # One connection

    async def _session(self):
        value = self._rig.settings
        self._stage = "tls"
        context = tls_context(value["mqtt.ca_file"]) if value["mqtt.tls"] else None
        self._stage = "name"
        address = await self._resolve(value["mqtt.host"])
        self._stage = None
        user, password = value["mqtt.user"].encode(), value["mqtt.password"].encode()
        will = (self._topic("/status"), b"offline")
        link = Link(self._node, user, password, will, self._heard, self._rig.within)
        self._link = link
        await asyncio.sleep_ms(0)
        await link.open(address, value["mqtt.port"], context, value["mqtt.host"])
        self._lost = None
        self._failures = 0
        self._problem = None
        self._connections += 1
        receiver = asyncio.create_task(self._rig.run_after_guard(self._receive(link)))
        try:
            await self._greet(link)
            self._up = True
            self._rig.events.emit("mqtt_up", RIG, 0, 0, 0)
            while self._lost is None:
                if not await self._next(link):
                    await asyncio.sleep_ms(_POLL_MS)
            raise self._lost
        finally:
            receiver.cancel()

    async def _receive(self, link: "Link"):
        try:
            while True:
                await link.receive()
        except (OSError, EOFError, Garbage) as error:
            self._lost = error

    async def _greet(self, link: "Link"):
        """Subscribe, publish `online`, and make every message due at once."""
        if self._commands:
            await link.subscribe(self._topic("/battery/+/set"))
        if self._rig.settings["mqtt.discovery"]:
            await link.subscribe(discovery.BIRTH)
        await link.publish(self._topic("/status"), b"online", True)
        now = self._rig.clock.ms()
        for i in range(BATTERIES):
            self._seen[i] = -1
        self._state_due = now
        self._ping_due = now
        self._pings = 0
        self._birth_due = None
        self._announce()

    def _announce(self):
        self._boards = 0
        self._configs = self._device.rig() if self._rig.settings["mqtt.discovery"] else iter(())

    async def _next(self, link: "Link"):
        """Send what is most urgent; False when there is nothing to send."""
        clock = self._rig.clock
        now = clock.ms()
        if self._pings > link.pongs and clock.diff(now, self._ping_due) > _PONG_MS - _PING_MS:
            raise asyncio.TimeoutError
        if clock.diff(now, self._ping_due) >= 0:
            self._proven = link.pongs > 0
            self._pings += 1
            self._ping_due = clock.add(now, _PING_MS)
            await link.ping()
            return True
        event = self._rig.events.after(self._event)
        if event:
            await asyncio.sleep_ms(0)
            await self._send_event(link, event)
            return True
        for i in range(BATTERIES):
            if self._is_due(i, now):
                await self._send_battery(link, i, now)
                return True
        if clock.diff(now, self._state_due) >= 0:
            self._state_due = self._next_due(self._state_due, now)
            await self._send(link, "/state", await self._state())
            return True
        return await self._send_config(link, now)

    def _is_due(self, i: int, now: int):
        snap = self._rig.snap
        if not snap.known_boards >> i // CHANNELS & 1:
            return False
        return _look(snap, i) != self._seen[i] or self._rig.clock.diff(now, self._due[i]) >= 0

    def _next_due(self, due: int, now: int):
        # Counted from the last due time, or each delay would make the interval longer.
        clock = self._rig.clock
        timely = 0 <= clock.diff(now, due) < self._interval_ms
        return clock.add(due if timely else now, self._interval_ms)

    async def _send_event(self, link: "Link", event: tuple):
        self._dropped += event[6] if event[2] == "events_lost" else 0
        self._event = event[0] + 1
        if not catalog.is_told(event[2], catalog.MQTT):
            return
        view = event_view(self._rig, event)
        await asyncio.sleep_ms(0)
        view["event_type"] = view["code"]  # the name that Home Assistant wants it to have
        await self._send(link, "/event", json.dumps(view))

    async def _send_battery(self, link: "Link", i: int, now: int):
        rig = self._rig
        await asyncio.sleep_ms(0)
        self._seen[i] = _look(rig.snap, i)
        self._due[i] = self._next_due(self._due[i], now)
        view = battery_view(rig.snap, i, rig.settings["batteries.%d.label" % (i + 1)])
        await asyncio.sleep_ms(0)
        await self._send(link, "/battery/%d" % (i + 1), json.dumps(view))

    async def _state(self):
        await asyncio.sleep_ms(0)
        view = rig_view(self._rig)
        await asyncio.sleep_ms(0)
        parts = []
        count = 0
        for alarm in self._rig.alarms():
            if catalog.is_told(alarm["code"], catalog.MQTT):
                if count < _ALARMS:
                    parts.append(json.dumps(alarm))
                count += 1
            await asyncio.sleep_ms(0)
        view["alarm_count"] = count
        return '%s, "alarms": [%s]}' % (json.dumps(view)[:-1], ", ".join(parts))

    async def _send_config(self, link: "Link", now: int):
        """Publish the next message of those that Home Assistant needs."""
        clock = self._rig.clock
        if self._birth_due is not None and clock.diff(now, self._birth_due) >= 0:
            self._birth_due = None
            self._announce()
        await asyncio.sleep_ms(0)
        for message in self._configs:
            await asyncio.sleep_ms(0)
            if message is None:
                continue
            topic, text = message[0], json.dumps(message[1])
            await asyncio.sleep_ms(0)
            text = text.encode()
            await link.publish(topic.encode(), text, True)
            self._sent += 1
            await asyncio.sleep_ms(_PACE_MS)
            return True
        return self._rig.settings["mqtt.discovery"] and self._next_board()

    def _next_board(self):
        """Begin to announce a board that has been found; False when all are announced."""
        for b in range(BOARDS):
            if self._rig.snap.known_boards >> b & 1 and not self._boards >> b & 1:
                self._boards |= 1 << b
                self._configs = self._board(b)
                return True
        return False

    def _board(self, b: int):
        for i in range(b * CHANNELS, (b + 1) * CHANNELS):
            yield from self._device.battery(i + 1, self._commands)
            self._seen[i] = -1  # published again now that Home Assistant knows it

    async def _send(self, link: "Link", place: str, text: str):
        await asyncio.sleep_ms(0)
        await link.publish(self._topic(place), text.encode())
        self._sent += 1

    def _topic(self, place: str):
        return (self._base + place).encode()

    # Commands

    def _heard(self, topic: bytes, payload: bytes, retained: bool):
        if topic == discovery.BIRTH:
            if payload == b"online" and not retained:
                due = self._rig.clock.add(self._rig.clock.ms(), self._random(_BIRTH_MS))
                self._birth_due = due
            return
        place = self._topic("/battery/")
        if not (self._commands and topic.startswith(place) and topic.endswith(b"/set")):
            return
        number = topic[len(place) : -4]
        wanted = payload.lower()
        action = next((action for action in ACTIONS if action.encode() == wanted), None)
        i = int(number) - 1 if number.isdigit() and len(number) <= 2 else RIG
        if not 0 <= i < BATTERIES:
            self._refuse(RIG, "battery")
        elif retained:
            self._refuse(i, "retained")
        elif action is None:
            self._refuse(i, "command")
        elif action == "off" or self._may():
            refused = self._rig.guard.submit(action, i)
            if refused:
                self._refuse(i, refused)
            else:
                self._obeyed += 1

    def _may(self):
        """False for the 41st command in 10 s and all that follow; the first one is an event."""
        now_s = self._rig.snap.uptime_s  # unlike ticks it never wraps, however rare commands are
        if now_s >= self._allowed_until_s:
            self._allowed_until_s = now_s + _PERIOD_S
            self._allowed = _BATTERIES_MAY
        self._allowed -= 1
        if self._allowed == -1:
            self._refuse(RIG, "rate")
        return self._allowed >= 0

    def _refuse(self, i: int, code: str):
        self._rig.events.emit("command_refused", i, 0, 0, REFUSALS.index(code))


def _look(snap: "Snapshot", i: int):
    """A number that changes when something happens to battery i; its readings are not in it."""
    return snap.state[i] | snap.wish[i] << 4 | snap.reason[i] << 5 | snap.trips[i] << 11


def _level(name: str):
    """`name` as one level of a topic, where `/`, `+`, `#` and a `$` in front mean something."""
    for char in "/+#$":
        name = name.replace(char, "-")
    return name


def _cut(text: str, size: int):
    """`text` cut so that it takes at most `size` bytes as UTF-8."""
    while len(text.encode()) > size:
        text = text[:-1]
    return text


def _problem(error: Exception):
    """Which of MQTT_PROBLEMS ended a connection."""
    code = error.args[0] if error.args else 0
    if isinstance(error, asyncio.TimeoutError):
        return "silent"
    if isinstance(error, EOFError):
        return "closed"
    if isinstance(error, Garbage):
        return "garbage"
    if isinstance(error, Denied):
        return "password" if code in _PASSWORD_CODES else "denied"
    return "tls" if isinstance(error, ValueError) or code < 0 else "unreachable"
