# SPDX-License-Identifier: GPL-3.0-only
"""Publishes the rig on an MQTT broker and obeys its commands. Run by app when a broker is set.

Topics below `<prefix>/<name>`: `status` (online or offline, retained, the will), `state` (totals
and alarms), `battery/<n>`, `event`; `battery/<n>/set` takes ON, OFF, AUTO or RESET,
`battery/all/set` OFF, AUTO or RESET, `set` RESET (of the output), RESTART, SELFTEST, SHOW with its
end (`SHOW 23:00`, or minutes, `SHOW 90`) and SHOW END. Where `mqtt.commands` is `all`,
`setting/<key>/set` takes a value in JSON for a setting of `limits` or `batteries`.

Nothing is queued: state and batteries are sent as they are when their turn comes, events wait in
their ring, which discards the oldest; what was discarded before it was sent is counted. So a
broker that is slow, hangs or is gone costs a few kilobytes and no time of anybody else.
"""

import asyncio
import json
import sys
from array import array

from micropython import const

from parallelator import catalog
from parallelator.catalog import ACTIONS, MQTT_PROBLEMS
from parallelator.network.mqtt_link import Denied, Garbage, Link, tls_context
from parallelator.snapshot import ALL, BATTERIES, CHANNELS, RIG
from parallelator.views import battery_view, event_view, rig_view

_FIRST_MS = const(2000)
_LEAST_RETRY_MS = const(500)
_FIRST_RETRY_MS = const(10000)
_LAST_RETRY_MS = const(30000)
_POLL_MS = const(100)
_PACE_MS = const(20)  # from message to message: those at the page go first
_PING_MS = const(15000)  # half of what the broker is told to wait for
_PONG_MS = const(10000)
_BIRTH = b"homeassistant/status"
"""Home Assistant publishes `online` here when it has started."""
_BIRTH_MS = const(5000)
_REST_MS = const(30000)
_KEPT_MS = const(2000)
_DEVICE = b"device"
_PLACES = const(0x1FFFF)  # bit 0 for the rig, bit n for battery n
_ALARMS = const(12)
_HTTP = const(80)
_NAME_BYTES = const(64)
_PREFIX_BYTES = const(32)
_BATTERIES_MAY = const(40)
_REFUSALS_MAY = const(8)
_PERIOD_S = const(10)
_GOLDEN = const(506952113)  # spreads neighbours: 2^32 over the golden ratio, modulo 2^30
_DEFAULT_NAME = "parallelator"
_PASSWORD_CODES = (4, 5)

REFUSALS = ("locked", "absent", "busy", "rate", "battery", "command", "retained") + (
    "rig_command",
    "setting",
    "selftest_running",
    "selftest_none",
    "selftest_strained",
    "show_mode",
    "show_end",
    "show_clock",
)
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
        self._node = "parallelator_" + number
        name = value["name"]
        if name == _DEFAULT_NAME:  # two rigs that nobody named must not share a topic
            name += "-" + number[-6:]
        self._base = "%s/%s" % (
            _cut(value["mqtt.prefix"].strip("/"), _PREFIX_BYTES),
            _cut(_level(name), _NAME_BYTES),
        )
        self._commands = False
        self._setting = None
        self._saving_after_s = 0
        self._words = rig.words
        self._mute = 0
        self._dice = int(number[-8:], 16) * _GOLDEN & 0x3FFFFFFF
        self._link = None
        self._lost = None
        self._event = 0
        self._seen = array("i", [-1] * BATTERIES)
        self._due = array("i", bytes(4 * BATTERIES))
        self._state_due = 0
        self._ping_due = 0
        self._pings = 0
        self._description = None
        self._messages = None
        self._told = 0
        self._kept = 0
        self._old = 0
        self._listening = False
        self._quiet_until = 0
        self._birth_due = None
        self._rest_until = 0
        self._changed = False
        self._refused = 0
        self._silenced = 0
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
        """What the number of `mqtt_down` or `command_refused` stands for, as of `Words.about`."""
        return (MQTT_PROBLEMS if event[2] == "mqtt_down" else REFUSALS)[event[6]]

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
        link = Link(self._node.encode(), user, password, will, self._heard, self._rig.within)
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
                if self._setting:
                    await self._save()
                if self._changed:
                    await self._settle(link)
                sent = await self._next(link)
                await asyncio.sleep_ms(_PACE_MS if sent else _POLL_MS)
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
        now = self._rig.clock.ms()
        self._commands = False
        self._birth_due = None
        self._rest_until = now
        self._kept = self._old = 0
        await link.subscribe(self._descriptions())
        self._listening = True
        self._quiet_until = self._rig.clock.add(now, _KEPT_MS)
        await link.subscribe(_BIRTH)
        await self._settle(link)
        await link.publish(self._topic("/status"), b"online", True)
        for i in range(BATTERIES):
            self._seen[i] = -1
        self._state_due = now
        self._ping_due = now
        self._pings = 0

    def _descriptions(self):
        """The topics of all that Home Assistant may have been told of this rig."""
        return b"homeassistant/+/%s/+/config" % self._node.encode()

    def settings_changed(self, changes: dict):
        """Settings were saved; those that are shown or used here take effect soon."""
        heads = ("batteries.", "mqtt.", "name", "language", "pack.")
        self._changed = self._changed or any(key.startswith(heads) for key in changes)

    async def _settle(self, link: "Link"):
        """Take the settings over as they are now, and tell Home Assistant anew."""
        self._changed = False
        commands = self._rig.settings["mqtt.commands"]
        for place, before, now in (
            ("/battery/+/set", self._commands, commands),
            ("/set", self._commands, commands),
            ("/setting/+/set", self._commands == "all", commands == "all"),
        ):
            if bool(before) != bool(now):
                await (link.subscribe if now else link.unsubscribe)(self._topic(place))
        self._commands = commands
        if self._words is not self._rig.words:
            # Home Assistant refuses a word of a language that it has not been told yet.
            self._words = self._rig.words
            self._mute = _PLACES
            for i in range(BATTERIES):
                self._seen[i] = -1
        self._announce()

    def _announce(self):
        """Tell Home Assistant of everything, from the beginning."""
        self._told = 0
        self._messages = self._description = None
        self._state_due = self._rig.clock.ms()

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
        self._note_news(now)
        event = self._rig.events.after(self._event)
        if event:
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

    def _note_news(self, now: int):
        """Whose alarms changed is told at once; and what was refused in silence, once it ends."""
        snap = self._rig.snap
        news = snap.alarm_news
        if news:
            snap.alarm_news = 0
            self._state_due = now
            for i in range(BATTERIES):
                if news >> i + 1 & 1:
                    self._seen[i] = -1
        if self._silenced and snap.uptime_s >= self._allowed_until_s:
            self._rig.events.emit("mqtt_junk", RIG, 0, 0, self._silenced)
            self._silenced = 0

    def _is_due(self, i: int, now: int):
        snap = self._rig.snap
        if not snap.known_boards >> i // CHANNELS & 1:
            return False
        return _look(snap, i) != self._seen[i] or self._rig.clock.diff(now, self._due[i]) >= 0

    def _next_due(self, due: int, now: int):
        # Counted from the last due time, or each delay would make the interval longer.
        clock = self._rig.clock
        interval_ms = self._rig.settings["mqtt.interval_s"] * 1000
        timely = 0 <= clock.diff(now, due) < interval_ms
        return clock.add(due if timely else now, interval_ms)

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
        rig, words = self._rig, self._rig.words
        self._seen[i] = _look(rig.snap, i)
        self._due[i] = self._next_due(self._due[i], now)
        view = battery_view(rig, i)
        mute = self._mute >> i + 1 & 1
        view["state_text"] = None if mute else words.state(view["state"])
        view["reason_text"] = words.reason(view["reason"])
        await asyncio.sleep_ms(0)
        text = json.dumps(view)
        alarms = []
        for code, of, _ in rig.snap.alarms():
            if of == i:
                await asyncio.sleep_ms(0)
                text_of = words.alarm(code, i + 1)
                alarms.append({"code": code, "severity": catalog.severity(code), "text": text_of})
        text = '%s, "alarms": %s}' % (text[:-1], json.dumps(alarms))
        await self._send(link, "/battery/%d" % (i + 1), text)

    async def _state(self):
        view = rig_view(self._rig)
        await asyncio.sleep_ms(0)
        parts = []
        codes = []
        count = 0
        for alarm in self._rig.alarms():
            if catalog.is_told(alarm["code"], catalog.MQTT):
                if count < _ALARMS:
                    parts.append(json.dumps(alarm))
                if alarm["code"] not in codes:
                    codes.append(alarm["code"])
                count += 1
            await asyncio.sleep_ms(0)
        view["alarm_count"] = count
        view["alarm_codes"] = codes
        return '%s, "alarms": [%s]}' % (json.dumps(view)[:-1], ", ".join(parts))

    async def _send_config(self, link: "Link", now: int):
        """Publish the next message of those that Home Assistant needs; False when there is none.

        First the broker is heard: what it keeps of this rig, in the form of today or of the first
        versions, is replaced or removed.
        """
        diff = self._rig.clock.diff
        if diff(now, self._quiet_until) < 0:
            return False
        if self._listening:
            self._listening = False
            await link.unsubscribe(self._descriptions())
        if self._birth_due is not None and diff(now, self._birth_due) >= 0:
            self._birth_due = None
            self._rest_until = self._rig.clock.add(now, _REST_MS)
            self._announce()
        if self._messages is None and not self._next_place():
            return False
        for message in self._messages:
            await asyncio.sleep_ms(0)
            if message is None:
                continue
            if isinstance(message, int):
                self._quiet_until = self._rig.clock.add(now, message)
                return False
            topic, content = message
            if isinstance(content, bytes):
                await link.publish(topic.encode(), content, True)
            else:
                await link.publish_pieces(topic.encode(), content)
            self._sent += 1
            return True
        self._messages = None
        return True

    def _next_place(self):
        """Begin to tell of the rig or of the next battery; False when all is told."""
        for n in range(BATTERIES + 1):
            place = 1 << n
            offered = self._rig.settings["mqtt.discovery"]
            if n:
                offered = offered and not self._rig.snap.unused >> n - 1 & 1
            if self._told & place or not (offered or (self._kept | self._old) & place):
                continue
            if n and offered and not self._rig.snap.known_boards >> (n - 1) // CHANNELS & 1:
                continue
            self._describe()
            old = self._old & place
            if offered:
                self._messages = self._description.messages(n, old)
                self._kept |= place
                if n:
                    self._seen[n - 1] = -1  # told again now that Home Assistant knows it
            else:
                self._messages = self._description.removal(n, self._kept & place, old)
                self._kept &= ~place
            self._old &= ~place
            self._told |= place
            self._mute &= ~place
            return True
        if self._description:
            self._description = None
            _let_go()
        return False

    def _describe(self):
        if self._description is None:
            from parallelator.network.discovery import Description

            url = ""
            ip, port = self._rig.network.wifi.ip, self._rig.settings["web.port"]
            if ip:
                url = "http://%s%s/" % (ip, "" if port == _HTTP else ":%d" % port)
            self._description = Description(self._rig, self._node, self._base, url)

    async def _send(self, link: "Link", place: str, text: str):
        await asyncio.sleep_ms(0)
        await link.publish(self._topic(place), text.encode())
        self._sent += 1

    def _topic(self, place: str):
        return (self._base + place).encode()

    # What is heard

    def _heard(self, topic: bytes, payload: "bytes | None", retained: bool):
        if topic == _BIRTH:
            self._hear_birth(payload, retained)
        elif topic.startswith(b"homeassistant/"):
            self._hear_description(topic, payload, retained)
        elif self._commands and (
            topic == self._topic("/set")
            or (topic.startswith(self._topic("/battery/")) and topic.endswith(b"/set"))
            or (self._commands == "all" and topic.startswith(self._topic("/setting/")))
        ):
            self._hear_command(topic, payload, retained)

    def _hear_birth(self, payload: "bytes | None", retained: bool):
        clock = self._rig.clock
        now = clock.ms()
        if payload == b"online" and not retained and self._birth_due is None:
            rest_ms = max(clock.diff(self._rest_until, now), 0)
            self._birth_due = clock.add(now, rest_ms + self._random(_BIRTH_MS))

    def _hear_description(self, topic: bytes, payload: "bytes | None", retained: bool):
        """Note of whom the broker keeps a description."""
        parts = topic.split(b"/")
        if not retained or payload == b"" or len(parts) != 5 or not self._listening:
            return
        name = parts[3].split(b"_")
        number = name[1] if name[0] == b"battery" and len(name) > 1 else b"0"
        place = 1 << int(number) if number.isdigit() and len(number) <= 2 else 0
        if parts[1] == _DEVICE:
            self._kept |= place & _PLACES
        else:
            self._old |= place & _PLACES
        clock = self._rig.clock
        soon = clock.add(clock.ms(), _KEPT_MS // 2)
        if clock.diff(soon, self._quiet_until) > 0:
            self._quiet_until = soon

    def _hear_command(self, topic: bytes, payload: "bytes | None", retained: bool):
        now_s = self._rig.snap.uptime_s  # unlike ticks it never wraps, however rare commands are
        if now_s >= self._allowed_until_s:
            self._allowed_until_s = now_s + _PERIOD_S
            self._refused = 0
            self._allowed = _BATTERIES_MAY
        wanted = payload and payload.lower()
        if wanted != b"off" and not self._may():
            return
        action = next((action for action in ACTIONS if action.encode() == wanted), None)
        whole = topic == self._topic("/set")
        show = whole and wanted and wanted.startswith(b"show ")
        of_setting = topic.startswith(self._topic("/setting/"))
        if self._rig.is_held("show" if show else action if action and not of_setting else ""):
            self._refuse(RIG, "show_mode")
            return
        if of_setting:
            self._hear_setting(topic, payload, retained)
            return
        number = b"" if whole else topic[len(self._topic("/battery/")) : -4]
        i = int(number) - 1 if number.isdigit() and len(number) <= 2 else RIG
        if retained:
            self._refuse(max(i, 0), "retained")
        elif whole and wanted == b"restart":
            self._obeyed += 1
            self._rig.restart()
        elif whole and wanted == b"selftest":
            asyncio.create_task(self._rig.run_after_guard(self._self_test()))
        elif show:
            self._show(wanted[5:].strip())
        elif whole:
            self._submit("reset" if action == "reset" else None, RIG, "rig_command")
        elif number == b"all":
            self._submit(None if action == "on" else action, ALL, "rig_command")
        elif 0 <= i < BATTERIES:
            self._submit(action, i, "command")
        else:
            self._refuse(RIG, "battery")

    def _show(self, end: bytes):
        from parallelator.show import mode

        why = None
        if end == b"end":
            mode.finish(self._rig)
        elif end.isdigit() and len(end) < 9:
            why = mode.begin(self._rig, int(end))
        else:
            why = mode.begin(self._rig, "".join(map(chr, end)))
        if why:
            self._refuse(RIG, why)
        else:
            self._obeyed += 1

    async def _self_test(self):
        from parallelator.show import self_test

        why = await self_test(self._rig)
        if why:
            self._refuse(RIG, why)
        else:
            self._obeyed += 1

    def _hear_setting(self, topic: bytes, payload: "bytes | None", retained: bool):
        """Keep a setting until the task of the connection saves it: one in 10 s, because each
        stops the guard for as long as the flash takes."""
        key = topic[len(self._topic("/setting/")) : -4]
        if not payload or retained or not key.startswith((b"limits.", b"batteries.")):
            self._refuse(RIG, "setting")
        elif self._setting or self._rig.snap.uptime_s < self._saving_after_s:
            self._refuse(RIG, "rate")
        else:
            self._setting = key, payload

    async def _save(self):
        """Save the setting that was heard, as its page would, unless it has that value."""
        (key, text), self._setting = self._setting, None
        rig = self._rig
        saved = await rig.save(key, text) if rig.save else False
        if saved:
            self._obeyed += 1
            self._saving_after_s = rig.snap.uptime_s + _PERIOD_S
        elif saved is False:
            self._refuse(RIG, "setting" if rig.save else "busy")

    def _submit(self, action: "str | None", i: int, takes: str):
        """Obey, or refuse with what is taken there when there is no such action."""
        refused = self._rig.guard.submit(action, i) if action else takes
        if refused:
            self._refuse(RIG if i == ALL else i, refused)
        else:
            self._obeyed += 1

    def _may(self):
        """False for the 41st message in 10 s and all that follow; the first one is an event."""
        self._allowed -= 1
        if self._allowed == -1:
            self._refuse(RIG, "rate")
        elif self._allowed < 0:
            self._silenced += 1
        return self._allowed >= 0

    def _refuse(self, i: int, code: str):
        """Answer by an event; after some within 10 s the others are only counted."""
        self._refused += 1
        if self._refused <= _REFUSALS_MAY:
            self._rig.events.emit("command_refused", i, 0, 0, REFUSALS.index(code))
        else:
            self._silenced += 1


def _let_go():
    """Free the memory of the module that describes the rig: it is needed for seconds only."""
    package = sys.modules.get("parallelator.network")
    if sys.modules.pop("parallelator.network.discovery", None) and hasattr(package, "discovery"):
        del package.discovery  # pyright: ignore - what the import has put there


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
