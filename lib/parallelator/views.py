# SPDX-License-Identifier: GPL-3.0-only
"""The rig as the page, the API and MQTT tell it: dicts that become JSON. Called by web and mqtt.

Numbers that are not known are None. Nothing here is for the guard's tick: all of it allocates.
"""

from parallelator import VERSION, catalog
from parallelator.snapshot import (
    BATTERIES,
    IDLE_MA,
    NO_CHARGE,
    NO_TEMPERATURE,
    RIG,
    bus,
    carries,
    connected,
    eta_ms,
)


def flow(current_ma: int):
    """`charging`, `discharging` or `idle` for a current in mA, positive = discharge."""
    if current_ma > IDLE_MA:
        return "discharging"
    if current_ma < -IDLE_MA:
        return "charging"
    return "idle"


def celsius(snap: "Snapshot", i: int):
    """The temperature of battery i's sensor in degrees Celsius, None when it is not known."""
    temperature = snap.temperature_c[i]
    return None if temperature == NO_TEMPERATURE else temperature


def summary(snap: "Snapshot"):
    """Totals over the batteries that are on the bus, as `GET /api/state` shows them.

    Returns:
        dict: `bus` (voltage_mv: median or None, current_ma, power_w, connected: how many are on
        it, or may be), `max` and `min` ({n, voltage_mv} or None) and `mean_mv` over all valid
        batteries, `discharge_mah` and `charge_mah` summed.
    """
    bus_mv, current_ma = bus(snap)
    valid = [i for i in range(BATTERIES) if snap.valid[i]]
    high = max(valid, key=lambda i: snap.voltage_mv[i]) if valid else None
    low = min(valid, key=lambda i: snap.voltage_mv[i]) if valid else None
    return {
        "bus": {
            "voltage_mv": bus_mv,
            "current_ma": current_ma,
            "power_w": None if bus_mv is None else round(bus_mv * current_ma / 1000000, 1),
            "connected": sum(connected(snap, i) or carries(snap, i) for i in range(BATTERIES)),
        },
        "max": _named(snap, high),
        "min": _named(snap, low),
        "mean_mv": sum(snap.voltage_mv[i] for i in valid) // len(valid) if valid else None,
        "discharge_mah": sum(snap.discharge_mah),
        "charge_mah": sum(snap.charge_mah),
    }


def _named(snap: "Snapshot", i: "int | None"):
    return None if i is None else {"n": i + 1, "voltage_mv": snap.voltage_mv[i]}


def rig_view(rig: "Rig"):
    """The rig as `GET /api/state` and MQTT show it, without batteries and alarms: a dict.

    Args:
        rig: its `snap`, `settings`, `clock` and `boot` are used.
    """
    view = summary(rig.snap)
    view["name"] = rig.settings["name"]
    view["version"] = VERSION
    view["language"] = rig.settings["language"]
    view["uptime_ms"] = rig.snap.uptime_s * 1000
    view["time"] = rig.clock.iso()
    view["boot"] = rig.boot
    meter = rig.meter
    told = energy(meter) if meter else None
    view["energy"] = told and dict(zip(catalog.ENERGY, told))
    view["discharge_wh"] = meter and sum(meter.out_dwh) / 10
    view["charge_wh"] = meter and sum(meter.in_dwh) / 10
    cascade = rig.cascade
    view["promise_a"] = cascade and cascade.promise_a
    view["n_minus_1"] = cascade and cascade.keeps()
    view["n_minus_1_then"] = cascade and cascade.keeps_then(told[-1] if told else None)
    view["cascade"] = cascade.risks() if cascade else []
    told = show(rig)
    view["show"] = told and {
        "left_s": told[0],
        "margin_s": told[1],
        "until": rig.clock.iso(-told[0]),
    }
    view["report"] = rig.report
    view["selftest"] = rig.verdict
    return view


def show(rig: "Rig"):
    """Show mode: (seconds that it still stands, how many more the batteries last at this load;
    None where that is not known). None when it does not stand."""
    left_s = rig.show_s()
    if not left_s:
        return None
    lasts_s = rig.meter and energy(rig.meter)[catalog.ENERGY.index("left_s")]
    return left_s, None if lasts_s is None else lasts_s - left_s


def energy(meter: "Meter"):
    """What the meter tells of the rig, in the order of `catalog.ENERGY`."""
    return meter.told or (None,) * len(catalog.ENERGY)


def charge(snap: "Snapshot", i: int):
    """Charge of battery i and its error in per cent, None when not known."""
    if snap.soc_pct[i] == NO_CHARGE:
        return None, None
    return snap.soc_pct[i], snap.soc_error_pct[i]


def state_view(snap: "Snapshot", i: int):
    """(state, reason, code of what clears it) of battery i, as words of the API."""
    state = snap.state[i]
    reason = snap.reason[i]
    end = catalog.ends(state, reason, snap.eta_ms[i] > 0)
    return catalog.state_name(state), catalog.reason_name(reason), end


def battery_view(rig: "Rig", i: int):
    """Battery i as `GET /api/state` shows it: a dict, unknown values None.

    Args:
        rig: its `snap`, `settings` and `meter` are used.
    """
    snap, meter = rig.snap, rig.meter
    valid = snap.valid[i]
    soc_pct, soc_error_pct = charge(snap, i)
    state, reason, end = state_view(snap, i)
    return {
        "n": i + 1,
        "label": rig.settings["batteries.%d.label" % (i + 1)],
        "id": rig.settings["batteries.%d.id" % (i + 1)],
        "state": state,
        "wish": catalog.WISHES[snap.wish[i]],
        "reason": reason,
        "clears": end,
        "since_ms": snap.since_s[i] * 1000,
        "eta_ms": eta_ms(snap, i) or None,
        "voltage_mv": snap.voltage_mv[i] if valid else None,
        "current_ma": snap.current_ma[i] if valid else None,
        "discharge_mah": snap.discharge_mah[i],
        "charge_mah": snap.charge_mah[i],
        "soc_pct": soc_pct,
        "soc_error_pct": soc_error_pct,
        "health_pct": meter and meter.health.percent(i),
        "discharge_wh": meter and meter.out_dwh[i] / 10,
        "charge_wh": meter and meter.in_dwh[i] / 10,
        "r_mohm": snap.r_mohm[i] or None,
        "trips": snap.trips[i],
        "temperature_c": celsius(snap, i),
        "on_s": snap.on_s[i],
        "switchings": snap.switchings[i],
        "flow": flow(snap.current_ma[i]) if valid else None,
    }


def event_view(rig: "Rig", event: tuple):
    """An event of `after` as `GET /api/events` and MQTT show it: a dict.

    Args:
        rig: its `clock`, `detail` and `event_text` are used.
    """
    number, uptime_s, code, i, state, reason, value, count, unix_s = event
    return {
        "number": number,
        "count": count,
        "uptime_ms": uptime_s * 1000,
        "time": rig.clock.stamp(unix_s),
        "code": code,
        "severity": catalog.severity(code),
        "n": None if i == RIG else i + 1,
        "state": catalog.state_name(state) if code == "state" else None,
        "reason": catalog.reason_name(reason),
        "value": value,
        "text": rig.event_text(event),
        "detail": rig.detail(event) or None,
    }
