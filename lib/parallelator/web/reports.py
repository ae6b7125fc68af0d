# SPDX-License-Identifier: GPL-3.0-only
"""What the rig tells besides its state: events, history, health, metrics. Routed by api.

Everything long is sent in small pieces, other tasks run in between.
"""

import asyncio
import gc
import sys
from array import array

from microdot import Response

from parallelator import VERSION, catalog, snapshot
from parallelator.pauses import KINDS
from parallelator.records.history import SPANS
from parallelator.snapshot import BATTERIES, bus
from parallelator.views import celsius, charge, energy, event_view, state_view

from . import answer, dump, joined, problem, whole
from .logs import card_view

_TEXT = "text/plain; charset=utf-8"
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"
_GAUGES = (
    ("voltage_volts", "Voltage at the sensor."),
    ("current_amperes", "Current, positive while discharging."),
    ("connected", "1 while the battery carries or may carry the output."),
    ("temperature_celsius", "Die of the sensor, next to shunt and switch."),
    ("trips", "Trips that count towards a lock; a reset clears them."),
)
_COUNTERS = (
    ("connected_seconds_total", "Time connected since the start.", "on_s"),
    ("switchings_total", "Closings of the switch since the start.", "switchings"),
    ("discharge_coulombs_total", "Charge drawn since the start.", "discharge_mah"),
    ("charge_coulombs_total", "Charge taken up since the start.", "charge_mah"),
)
"""Name, what it is, array of the snapshot."""
_CHARGE = (
    ("charge_ratio", "Charge of the rig, 1 is full.", 0.01),
    ("charge_error_ratio", "The charge lies within this in 95 of 100 cases.", 0.01),
    ("energy_left_joules", "Energy down to the lowest voltage.", 3600),
    ("time_to_empty_seconds", "Time until then at this load.", 1),
)
"""Name, what it is, and scale of what `catalog.ENERGY` begins with."""
_CHARGES = (
    ("charge_ratio", "Charge of the battery, 1 is full."),
    ("charge_error_ratio", "The charge lies within this in 95 of 100 cases."),
    ("capacity_ratio", "Capacity as a share of what its label promises."),
)
_ENERGIES = (
    ("discharge_joules_total", "Energy drawn so far.", "out_dwh"),
    ("charge_joules_total", "Energy taken up so far.", "in_dwh"),
)
"""Name, what it is, array of the meter."""
_PAUSES = (
    "Time in which a collection of garbage stopped everything.",
    "Time in which a write to the internal flash stopped everything.",
    "Time by which the protection was late.",
)
"""What each of `pauses.KINDS` is."""
_I2C = (
    ("transactions", "Calls to the chips since the start."),
    ("errors", "Calls that failed since the start, also those that came through at the next try."),
    ("timeouts", "Calls that ran out of time since the start."),
    ("recoveries", "Recoveries of a stuck bus since the start."),
)
_MQTT_METRICS = (
    ("connected", "connected", "gauge", "1 while the broker takes messages."),
    ("connections_total", "connections", "counter", "Connections to the broker so far."),
    ("sent_total", "sent", "counter", "Messages sent so far."),
    ("dropped_total", "dropped", "counter", "Events that were lost before they could be sent."),
)
_ALARM = 'parallelator_alarm{code="%s",severity="%s",battery="%s"} 1\n'
_PAUSE = 'parallelator_%s_seconds{quantile="%s"} %.3f\n'
_BATTERY = 'parallelator_battery_%s{battery="%d"} %s\n'
_STATE = 'parallelator_battery_state{battery="%d",state="%s",reason="%s",clears="%s"} 1\n'


class Reports:
    """Reports of one rig.

    Args:
        rig: the `Rig`.
    """

    def __init__(self, rig: "Rig"):
        self._rig = rig
        # The stored counts can lose a minute when the power goes. Prometheus takes any decrease
        # for a start from zero, so they are counted from zero since this start.
        self._starts = {
            source: array("i", getattr(rig.snap, source)) for _, _, source in _COUNTERS
        }

    def events(self, request: "Request"):
        """GET /api/events?after=: the events kept in memory from number `after` on."""
        number = whole(request.args.get("after", "0"), 0, 1 << 29)
        if number is None:
            return problem(400, "query", "after is the number of an event, 0 or more.", "after")
        return answer(self._events(number))

    def _events(self, number: int):
        yield '{"events":['
        yield from joined(self._told(number))
        yield '],"next":%d}' % self._rig.events.count

    def _told(self, number: int):
        rig = self._rig
        while True:
            event = rig.events.after(number)
            if event is None:
                return
            number = event[0] + 1
            if catalog.is_told(event[2], catalog.PAGE):
                yield ""
                view = event_view(rig, event)
                yield ""
                yield dump(view)

    def log(self, request: "Request"):
        """GET /log: the events as lines of text, the page of the first firmware."""
        return Response(self._lines(), 200, {"Content-Type": _TEXT}, "OK")

    def _lines(self):
        rig = self._rig
        yield "%s, Parallelator %s\n" % (rig.settings["name"], VERSION)
        number = 0
        while True:
            event = rig.events.after(number)
            if event is None:
                return
            number = event[0] + 1
            yield ""
            when = rig.clock.local(event[8]) or "%d s" % event[1]
            yield when
            yield "  %s\n" % rig.event_text(event)

    def history(self, request: "Request"):
        """GET /api/history?n=&span=: means of the rig (n=0), of one battery or of all.

        The finest points that reach so far back: of 10 s up to 600 s, of two minutes up to an
        hour, else of twenty.
        """
        n = request.args.get("n")
        first = 0 if n is None else whole(n, 0, BATTERIES)
        if first is None:
            return problem(400, "query", "n is 0 for the rig, 1 to 16 for a battery.", "n")
        step_s, points = SPANS[0]
        longest_s = SPANS[-1][0] * SPANS[-1][1]
        span_s = whole(request.args.get("span", str(step_s * points)), step_s, longest_s)
        if span_s is None:
            message = "span is %d to %d seconds." % (step_s, longest_s)
            return problem(400, "query", message, "span")
        last = BATTERIES if n is None else first
        return answer(self._history(first, last, span_s))

    def _history(self, first: int, last: int, span_s: int):
        ring = self._rig.history.ring(span_s)
        end = ring.count
        begin = max(ring.oldest, end - max(span_s // ring.step_s, 1))
        head = {"step_ms": ring.step_s * 1000, "end_ms": end * ring.step_s * 1000}
        yield dump(head)[:-1] + ',"series":['
        meter = self._rig.meter if ring.step_s == SPANS[-1][0] else None
        yield from joined(_series(ring, meter, range(first, last + 1), begin, end))
        yield "]}"

    async def system(self, request: "Request"):
        """GET /api/system: versions, controller, memory after a collection, pauses, tasks, I2C."""
        rig = self._rig
        i2c = rig.i2c
        snap = rig.snap
        report = {
            "version": VERSION,
            "micropython": "%d.%d.%d" % sys.implementation.version[:3],
            "machine": sys.implementation._machine,
            "boot": rig.boot,
            "uptime_ms": snap.uptime_s * 1000,
            "time": rig.clock.iso(),
            "tasks": [
                {"name": name, "failures": failures}
                for name, failures in zip(rig.tasks, rig.failures)
            ],
            "i2c": {
                "transactions": i2c.transactions,
                "errors": i2c.errors,
                "timeouts": i2c.timeouts,
                "recoveries": i2c.recoveries,
                "stuck": i2c.stuck,
                "khz": i2c.khz,
                "boards": [b + 1 for b in range(snapshot.BOARDS) if snap.boards >> b & 1],
                "sensors": [i + 1 for i in range(BATTERIES) if snap.sensors >> i & 1],
            },
            "card": card_view(rig),
        }
        report["mqtt"] = rig.mqtt and rig.mqtt.report()
        follows = rig.words.controller(rig.controller["psram"])
        report["controller"] = dict(rig.controller, text=follows)
        await asyncio.sleep_ms(0)
        size = gc.mem_free() + gc.mem_alloc()
        report["heap"] = {"free": rig.collector.free, "used": size - rig.collector.free}
        for kind in range(len(KINDS)):
            worst_ms, p999_ms = rig.pauses.worst_ms(kind), rig.pauses.p999_ms(kind)
            report[KINDS[kind] + "_ms"] = {"worst": worst_ms, "p999": p999_ms}
        return answer(report)

    def metrics(self, request: "Request"):
        """GET /metrics: Prometheus text format, base units."""
        return Response(_in_fours(self._metrics()), 200, {"Content-Type": _EXPOSITION}, "OK")

    def _metrics(self):
        rig = self._rig
        yield _head("info", "gauge", "Version of the firmware.")
        yield 'parallelator_info{version="%s"} 1\n' % VERSION
        yield from self._single("uptime_seconds", "gauge", "Time so far.", rig.snap.uptime_s)
        yield from self._output()
        alarms = set()
        count = 0
        for alarm in rig.alarms():
            alarms.add((alarm["code"], alarm["severity"], alarm["n"] or 0))
            count += 1
            yield ""
        yield from self._single("alarms", "gauge", "Active alarms.", count)
        yield _head("alarm", "gauge", "1 for each active alarm; battery is empty for the rig.")
        for code, severity, n in sorted(alarms):
            yield _ALARM % (code, severity, n or "")
        for kind in range(len(KINDS)):
            name = KINDS[kind]
            yield _head(name + "_seconds", "summary", _PAUSES[kind])
            yield _PAUSE % (name, "0.999", rig.pauses.p999_ms(kind) / 1000)
            yield _PAUSE % (name, "1", rig.pauses.worst_ms(kind) / 1000)
            yield "parallelator_%s_seconds_count %d\n" % (name, rig.pauses.count(kind))
        if rig.mqtt:
            report = rig.mqtt.report()
            for name, key, kind, text in _MQTT_METRICS:
                yield from self._single("mqtt_" + name, kind, text, int(report[key]))
        yield _head("battery_state", "gauge", "1 for the present state and why.")
        for i in range(BATTERIES):
            state, reason, clears = state_view(rig.snap, i)
            yield _STATE % (i + 1, state, reason, clears or "")
        yield _head("battery_info", "gauge", "Label of the battery.")
        for n in range(1, BATTERIES + 1):
            label = rig.settings["batteries.%d.label" % n]
            label = label.replace("\\", "\\\\").replace('"', '\\"')
            yield 'parallelator_battery_info{battery="%d",label="%s"} 1\n' % (n, label)
        for name, text in _GAUGES:
            yield _head("battery_" + name, "gauge", text)
            for i in range(BATTERIES):
                value = self._gauge(rig.snap, name, i)
                if value is not None:
                    yield _BATTERY % (name, i + 1, value)
        if rig.meter:
            yield from self._charge(rig.meter)
        for name, text, source in _COUNTERS:
            yield _head("battery_" + name, "counter", text)
            for i in range(BATTERIES):
                value = getattr(rig.snap, source)[i] - self._starts[source][i]
                if source.endswith("_mah"):
                    value = value * 18 // 5
                yield _BATTERY % (name, i + 1, value)

    def _output(self):
        """What the rig gives, and how its wire and its radio do."""
        rig = self._rig
        bus_mv, current_ma = bus(rig.snap)
        volts = None if bus_mv is None else "%.3f" % (bus_mv / 1000)
        yield from self._single("voltage_volts", "gauge", "Voltage of the output.", volts)
        amperes = "%.3f" % (current_ma / 1000)
        yield from self._single(
            "current_amperes", "gauge", "Current of the output, positive when drawn.", amperes
        )
        if rig.cascade:
            promise_a, keeps = rig.cascade.promise_a, rig.cascade.keeps()
            text = "Current that a load may draw from now on."
            yield from self._single("promise_amperes", "gauge", text, promise_a)
            text = "1 while the others stand the loss of any one battery."
            known = None if keeps is None else int(keeps)
            yield from self._single("n_minus_1", "gauge", text, known)
            first = rig.meter and energy(rig.meter)[-1]
            keeps = rig.cascade.keeps_then(first)
            text = "The same once the battery that ends first has ended."
            known = None if keeps is None else int(keeps)
            yield from self._single("n_minus_1_then", "gauge", text, known)
        text = "Trials of the output since one last succeeded."
        yield from self._single("trials", "gauge", text, rig.guard.trials)
        for name, text in _I2C:
            yield from self._single("i2c_%s_total" % name, "counter", text, getattr(rig.i2c, name))
        text = "Strength of the Wi-Fi network."
        yield from self._single("wifi_rssi_dbm", "gauge", text, self._rssi_dbm(rig.network))

    def _charge(self, meter: "Meter"):
        # What is not known has no sample.
        for (name, text, scale), value in zip(_CHARGE, energy(meter)):
            known = None if value is None else "%.2f" % (value * scale)
            yield from self._single(name, "gauge", text, known)
        for k, (name, text) in enumerate(_CHARGES):
            yield _head("battery_" + name, "gauge", text)
            for i in range(BATTERIES):
                pct = meter.health.percent(i) if k == 2 else charge(self._rig.snap, i)[k]
                if pct is not None:
                    yield _BATTERY % (name, i + 1, "%.2f" % (pct / 100))
        for name, text, source in _ENERGIES:
            yield _head("battery_" + name, "counter", text)
            for i in range(BATTERIES):
                yield _BATTERY % (name, i + 1, getattr(meter, source)[i] * 360)

    def _single(self, name: str, kind: str, text: str, value: "object"):
        """A metric with one sample, with none when the value is not known: None."""
        yield _head(name, kind, text)
        if value is not None:
            yield "parallelator_%s %s\n" % (name, value)

    def _rssi_dbm(self, network: "Network | None"):
        """How strong the Wi-Fi network is, None while there is none."""
        if network is None or not network.wifi.ip:
            return None
        from network import STA_IF, WLAN

        try:
            return WLAN(STA_IF).status("rssi")
        except OSError:
            return None  # it was lost a moment ago

    def _gauge(self, snap: "Snapshot", name: str, i: int):
        """The present value of one of _GAUGES, None when it is not known."""
        if name == "connected":
            return int(snapshot.connected(snap, i))
        if name == "temperature_celsius":
            return celsius(snap, i)
        if name == "trips":
            return snap.trips[i]
        values = snap.voltage_mv if name == "voltage_volts" else snap.current_ma
        return "%.3f" % (values[i] / 1000) if snap.valid[i] else None


def _in_fours(texts: "Iterable"):
    """Short texts joined in fours: each piece has to wait for its turn among the tasks."""
    waiting = ""
    for k, text in enumerate(texts):
        waiting += text
        if k % 4 == 3:
            yield waiting
            waiting = ""
    yield waiting


def _series(ring: "Ring", meter: "Meter | None", numbers: range, begin: int, end: int):
    for n in numbers:
        voltages, currents = ring.read(n, begin, end)
        text = '{"n":%d,"voltage_mv":%s' % (n, dump(voltages))
        yield ""
        text += ',"current_ma":%s' % dump(currents)
        if meter:
            yield ""
            text += ',"soc_pct":%s' % dump(meter.charges(n, begin, end))
        yield text + "}"


def _head(name: str, kind: str, text: str):
    return "# HELP parallelator_%s %s\n# TYPE parallelator_%s %s\n" % (name, text, name, kind)
