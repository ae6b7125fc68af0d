# SPDX-License-Identifier: GPL-3.0-only
"""Live data for the page: GET /api/live, server-sent events. Routed by api, paced by server.

A stream starts with two named events, then sends unnamed ones, at least one a second and one
within 200 ms of a change of any state or reason. There is no queue: a client that falls behind
skips to the latest frame, and the server drops one that reads nothing for ten seconds.

`codes`: the tables that the numbers in a frame point into,
    {"states": [...], "reasons": [...], "wishes": [...], "clears": [...],
    "actions": [...], "energy": [...], "idle_ma": 50}.
`state`: the same object as GET /api/state.
unnamed: a frame of at most 1500 bytes,
    [uptime_s, bus, alarms, n_alarms, slow, battery 1, ..., battery 16]
    bus     = [voltage_mv, current_ma, power_w, connected, n of the highest, n of the lowest,
               mean_mv, discharge_mah, charge_mah, energy, known, saves, promise_a, risks,
               show];
               energy: values of
               `energy` of codes, or null; known: how many alarms an operator has acknowledged;
               saves: how often settings were saved since the start;
               show: [left_s, margin_s] of show mode; when it is over the number of its report,
               or null
    alarms  = [[code, n], ...], the first twelve of n_alarms
    slow    = [n, temperature_c, on_s, switchings, r_mohm, soc_pct, soc_error_pct] of another
               battery in each frame
    battery = [state, reason, wish, clears (-1 for null), voltage_mv, current_ma, since_s, eta_ms,
               trips, discharge_mah, charge_mah]; unknown values are null
"""

import asyncio

from micropython import const

from parallelator import catalog, snapshot, views

from . import dump

_PACE_MS = const(100)
_PACES = const(10)
_ALARMS = const(12)
_ALARMS_A_STEP = const(2)
_ROWS_A_STEP = const(4)
_RETRY_MS = const(2000)
CLIENTS = const(4)


class Live:
    """Builds the one frame that all streams send.

    Args:
        rig: its `snap`, `alarms`, `meter` and `saves` are used.

    Attributes:
        frame: the latest event, bytes ready to send.
        number: counts the frames.
        fresh: an asyncio.Event, pulsed with every new frame.
        clients: open streams.
    """

    def __init__(self, rig: "Rig"):
        self._rig = rig
        self._seen = b""
        self.frame = b""
        self.number = 0
        self.fresh = asyncio.Event()
        self.clients = 0

    async def step(self):
        """Waits until a second is over or a state has changed; then builds the next frame.

        One for which there is no memory is left out: the whole web would end and begin anew.
        """
        for _ in range(_PACES):
            await asyncio.sleep_ms(_PACE_MS)
            seen = bytes(self._rig.snap.state) + bytes(self._rig.snap.reason)
            if seen != self._seen:
                break
        self._seen = seen
        if self.clients:
            try:
                self.frame = await frame(self._rig, self.number % snapshot.BATTERIES)
            except MemoryError:
                return
            self.number += 1
            self.fresh.set()
            self.fresh.clear()


class Stream:
    """The body of one /api/live response; counts as a client until it is closed.

    Args:
        live: the Live it follows.
        opening: iterable of str or bytes, sent first.
        writer: the connection's, flushed before each wait for news.
    """

    def __init__(self, live: "Live", opening: "Iterable", writer: "Writer"):
        self._live = live
        self._opening = iter(opening)
        self._writer = writer
        self._number = live.number
        live.clients += 1

    def __aiter__(self):
        return self

    async def __anext__(self):
        for chunk in self._opening:
            return chunk
        self._opening = ()  # a generator that has ended would hold on to the whole state
        await self._writer.flush()
        if self._number == self._live.number:
            await self._live.fresh.wait()
        self._number = self._live.number
        return self._live.frame

    def close(self):
        """Makes room for another client. Called once, by the server."""
        self._live.clients -= 1


def opening(state: "Iterable"):
    """What a stream starts with, in pieces; `state` has those of the text of /api/state."""
    yield f"retry: {_RETRY_MS}\nevent: codes\ndata: {{"
    yield '"states":' + dump(catalog.names(catalog.STATES))
    yield ',"reasons":' + dump(catalog.names(catalog.REASONS))
    yield ',"wishes":' + dump(catalog.WISHES)
    yield ',"clears":' + dump(catalog.CLEARS)
    yield ',"actions":' + dump(catalog.ACTIONS)
    yield ',"energy":' + dump(catalog.ENERGY)
    yield ',"idle_ma":%d}\n\nevent: state\ndata: ' % snapshot.IDLE_MA
    yield from state
    yield "\n\n"


async def frame(rig: "Rig", slow: int):
    """One frame as an event, `slow` of battery 0..15; other tasks run between the batteries."""
    snap, meter, cascade = rig.snap, rig.meter, rig.cascade
    shown = []
    count = known = 0
    for alarm in rig.alarms():
        if count % _ALARMS_A_STEP == 0:
            await asyncio.sleep_ms(0)
        if count < _ALARMS:
            shown.append((alarm["code"], alarm["n"]))
        count += 1
        known += alarm["known_ms"] is not None
    await asyncio.sleep_ms(0)
    total = views.summary(snap)
    bus = total["bus"]
    highest = total["max"]
    lowest = total["min"]
    bus = (
        bus["voltage_mv"],
        bus["current_ma"],
        bus["power_w"],
        bus["connected"],
        highest and highest["n"],
        lowest and lowest["n"],
        total["mean_mv"],
        total["discharge_mah"],
        total["charge_mah"],
        meter and views.energy(meter),
        known,
        rig.saves,
        cascade and cascade.promise_a,
        cascade.told if cascade else (),
        views.show(rig) or rig.report,
    )
    await asyncio.sleep_ms(0)
    parts = [f"data: [{snap.uptime_s},{dump(bus)},{dump(shown)},{count}"]
    celsius = views.celsius(snap, slow)
    r_mohm = snap.r_mohm[slow] or None
    seldom = slow + 1, celsius, snap.on_s[slow], snap.switchings[slow], r_mohm
    parts.append(dump(seldom + views.charge(snap, slow)))
    for i in range(snapshot.BATTERIES):
        if i % _ROWS_A_STEP == 0:
            await asyncio.sleep_ms(0)
        parts.append(dump(_row(snap, i)))
    return (",".join(parts) + "]\n\n").encode()


def _row(snap: "Snapshot", i: int):
    valid = snap.valid[i]
    clears = catalog.ends(snap.state[i], snap.reason[i], snap.eta_ms[i] > 0)
    return (
        snap.state[i],
        snap.reason[i],
        snap.wish[i],
        -1 if clears is None else catalog.CLEARS.index(clears),
        snap.voltage_mv[i] if valid else None,
        snap.current_ma[i] if valid else None,
        snap.since_s[i],
        snapshot.eta_ms(snap, i),
        snap.trips[i],
        snap.discharge_mah[i],
        snap.charge_mah[i],
    )
