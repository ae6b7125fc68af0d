# SPDX-License-Identifier: GPL-3.0-only
"""Writes the description of the rig's HTTP interface, OpenAPI 3.1. Called by build_page.py.

A test compares it with the route table of the firmware, both ways; another one sends requests
made from it. Objects may gain keys: a client ignores what it does not know.
"""

import firmware

CATALOG = firmware.catalog()
SELFTEST = firmware.selftest()
OUTLOOK = firmware.outlook()
VERDICT = {"enum": list(CATALOG.VERDICTS)}
STATES = CATALOG.names(CATALOG.STATES)
REASONS = CATALOG.names(CATALOG.REASONS)
SEVERITY = {"enum": list(CATALOG.SEVERITIES)}
ALARMS = [row[0] for row in CATALOG.CODES if row[3] & CATALOG.ALARM]
EVENTS = [row[0] for row in CATALOG.CODES if row[3] & CATALOG.EVENT]
JSON = "application/json"
TEXT = "text/plain; charset=utf-8"
CSV = "text/csv; charset=utf-8"
TYPES = {"int": "integer", "num": "number", "str": "string", "bool": "boolean"}


def of(kind):
    """A schema from a short word: `int`, `num`, `str`, `bool`, with `?` also null."""
    if not isinstance(kind, str):
        return kind
    word = TYPES[kind.rstrip("?")]
    return {"type": [word, "null"] if kind.endswith("?") else word}


def fields(**kinds):
    """An object in which every field is always there."""
    properties = {name: of(kind) for name, kind in kinds.items()}
    return {"type": "object", "properties": properties, "required": list(kinds)}


def array(items):
    """A list of `items`."""
    return {"type": "array", "items": of(items)}


def optional(schema):
    """`schema` or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def ref(name):
    """The schema `name` of the components."""
    return {"$ref": f"#/components/schemas/{name}"}


def query(name, text, required=False, **schema):
    """A parameter after the `?`."""
    place = {"name": name, "in": "query", "description": text, "required": required}
    return place | {"schema": schema}


BATTERY = fields(
    n="int", label="str", id="str", state={"enum": STATES}, wish={"enum": list(CATALOG.WISHES)},
    reason={"enum": REASONS}, clears={"enum": [*CATALOG.CLEARS, None]}, since_ms="int",
    eta_ms="int?", voltage_mv="int?", current_ma="int?",
    discharge_mah="int", charge_mah="int", soc_pct="int?", soc_error_pct="int?",
    health_pct="int?",
    discharge_wh="num?", charge_wh="num?", r_mohm="int?",
    trips="int",
    temperature_c="int?", on_s="int", switchings="int",
    flow={"enum": ["charging", "discharging", "idle", None]},
)  # fmt: skip
PAUSE = fields(worst="int", p999="int")
PEAK = optional(fields(n="int", voltage_mv="int"))
FAULT = {
    "type": "object",
    "properties": {
        "file": of("str"),
        "key": of("str"),
        "found": {},
        "allowed": of("str"),
        "code": of("str"),
        "line": of("int"),
        "column": of("int"),
    },
    "required": ["key", "found", "allowed"],
}
DETAIL = {
    "type": ["object", "array", "string", "null"],
    "description": "What the sentence tells beyond its code, for other languages than the rig's: "
    "of topology the numbers of the boards and sensors that are missing, of config_fault the "
    "fault, of card_blocked what lies in the way and where, of mqtt_down and command_refused why, "
    "of other codes a name",
}
CARD = fields(
    state={"enum": ["ready", *(code[3:] for code in ALARMS if code.startswith("sd_"))]},
    free_mb="int?", size_mb="int?", log="str?", losses="int",
)  # fmt: skip
TRIP = {
    "id": "str", "n": "int", "reason": {"enum": REASONS}, "value": "int", "time": "str?",
    "boot": "int", "uptime_ms": "int",
}  # fmt: skip
SAMPLE = {
    "type": "array",
    "description": "ms from the trip; 0 for the bus, else the battery's number; mV, 65535 for "
    "that or more; mA, 327670 and -327680 for that or more",
    "items": of("int?"), "minItems": 4, "maxItems": 4,
}  # fmt: skip
SHOW = fields(show="bool")
END = fields(end={
    "type": ["number", "string"], "minimum": 1, "maximum": 1440,
    "pattern": "^([01]?[0-9]|2[0-3]):[0-5][0-9]$",
    "description": "Minutes, or the next time that local clocks show",
})  # fmt: skip
SCHEMAS = {
    "Error": fields(
        error={
            "type": "object",
            "properties": {
                "code": of("str"),
                "message": of("str"),
                "field": of("str?"),
                "faults": array(FAULT),
                "v": {"type": ["string", "integer"]},
                "n": {"type": ["string", "integer"]},
            },
            "required": ["code", "message", "field"],
        }
    ),
    "State": fields(
        name="str", version="str", language={"enum": ["en", "fr"]}, uptime_ms="int", time="str?",
        boot="int", writable="bool", logged_in="bool", max_discharge_ma="int", max_charge_ma="int",
        pending="int", saves="int", unused=array(of("int")),
        bus=fields(voltage_mv="int?", current_ma="int", power_w="num?", connected="int"),
        max=PEAK, min=PEAK, mean_mv="int?", discharge_mah="int", charge_mah="int",
        discharge_wh="num?", charge_wh="num?",
        energy=optional(fields(**dict.fromkeys(CATALOG.ENERGY, "int?"))) | {
            "description": "Of the batteries that are on or wait to join; the time left ends when "
            "those that are not empty cannot carry this load any more",
        },
        promise_a=of("int?") | {
            "description": "Current that a load may draw from now on, A: nobody is beyond a limit "
            "then, nor after the loss of any one battery where several are on",
        },
        n_minus_1=of("bool?") | {
            "description": "Whether the others stand the loss of any one battery at this load; "
            "null where fewer than two are there or none is on",
        },
        n_minus_1_then=of("bool?") | {
            "description": "The same once the battery that ends first has ended; null where "
            "nobody knows which, or no other is on",
        },
        cascade=array(fields(
            n="int?", board="int?", follow=array(of("int")), dark="bool",
        )) | {
            "maxItems": 2,
            "description": "The worst loss of a battery and that of a board that others would "
            "follow: who does, and whether the output goes dark",
        },
        show=optional(fields(left_s="int", margin_s="int?", until="str?")) | {
            "description": "Show mode: how long it stands, and by how much the batteries outlast "
            "it at this load",
        },
        report=of("int?") | {
            "description": "Number of the report of a show that has ended since the start",
        },
        selftest={
            "enum": [*CATALOG.VERDICTS, CATALOG.RUNNING, None],
            "description": "What the last self-test since the start found; null without one",
        },
        batteries=array(BATTERY) | {"minItems": 16, "maxItems": 16},
        alarms=array(fields(
            code={"enum": ALARMS}, severity=SEVERITY, n="int?", since_ms="int", known_ms="int?",
            text="str", detail=DETAIL,
        )),
    ),
    "Event": fields(
        number="int", count="int", uptime_ms="int", time="str?", code={"enum": EVENTS},
        severity=SEVERITY, n="int?", state={"enum": [*STATES, None]}, reason={"enum": REASONS},
        value="int", text="str", detail=DETAIL,
    ),
    "Trip": fields(**TRIP),
    "TripRecord": fields(**TRIP, samples=array(SAMPLE)),
    "Series": {
        "type": "object",
        "properties": {
            "n": of("int"),
            "voltage_mv": array("int?"),
            "current_ma": array("int?"),
            "soc_pct": array("int?"),
        },
        "required": ["n", "voltage_mv", "current_ma"],
        "description": "exact up to 255 mV from the median of a point and up to 2.55 A, what is "
        "more to 0.4 %. In points that were restored from the card 65534 mV, 655340 and "
        "-655360 mA stand for that or more; soc_pct: of a day only, and if a capacity is set",
    },
    "System": fields(
        version="str", micropython="str", machine="str", boot="int", uptime_ms="int", time="str?",
        controller=fields(
            mhz="int", i2c_driver={"enum": ["legacy", "i2c_master"]}, psram="bool", text="str"
        ),
        heap=fields(free="int", used="int"),
        gc_pause_ms=PAUSE,
        flash_pause_ms=PAUSE,
        tick_late_ms=PAUSE,
        tasks=array(fields(name="str", failures="int")),
        i2c=fields(
            transactions="int", errors="int", timeouts="int", recoveries="int", stuck="bool",
            khz="int", boards=array("int"), sensors=array("int"),
        ),
        card=CARD,
        mqtt=optional(fields(
            connected="bool", problem={"enum": [*CATALOG.MQTT_PROBLEMS, None]}, topic="str",
            connections="int", sent="int", dropped="int", commands="int",
        )),
    ),
    "Calibration": fields(
        phase={"enum": ["charge", "discharge"]}, full=array("int"), discharged_pct="int",
        left_over={"enum": ["charged", "joined", "sparse", "capacity", None]},
        source={"enum": ["start", "own", "settings"]}, nights="int",
        curve=array("int") | {"description": "mV of a cell at rest at 0 to 100 %"},
        step_pct="int",
    ),
    "SelfTest": fields(
        running="bool", n="int", step="int", steps="int",
        result=optional(fields(
            number="int", r_mohm=array("int?"), zero_ma=array("int?"), time="str?", boot="int",
            stopped={"enum": [*SELFTEST.STOPS, None]}, load_ma="int", verdict=VERDICT,
            rig=VERDICT, batteries=array(fields(
                n="int", verdict=VERDICT, missing=array({"enum": list(SELFTEST.MEASURES)}),
            )),
            findings=array(fields(
                n="int", code={"enum": [row[0] for row in SELFTEST.FINDINGS]}, level=VERDICT,
                value={"type": ["integer", "string"]},
            )),
        )),
    ),
    "ShowReport": fields(
        running="bool",
        result=optional(fields(
            number="int", time="str?", length_s="int", cut="bool", whole="bool",
            selftest=optional(fields(number="int", time="str?", verdict=VERDICT)),
            boot="int", restarts="int", dark_s="int", darks="int", short_s="int", weak_s="int",
            first_pct="int?", last_pct="int?",
            rig=fields(
                discharge_ma="int?", discharge_s="int", charge_ma="int?", charge_s="int",
                high_mv="int?", high_s="int", low_mv="int?", low_s="int", power_w="int?",
            ),
            batteries=array(fields(
                n="int", trips="int", closings="int", lost_s="int", out_mah="int", in_mah="int",
                out_wh="num?", in_wh="num?", first_pct="int?", last_pct="int?",
                discharge_ma="int?", charge_ma="int?", high_mv="int?", low_mv="int?",
            )),
            closest=array(fields(
                limit={"enum": [row[0] for row in OUTLOOK.LIMITS]}, n="int", value="int",
                bound="int", margin_pct="int", at_s="int",
            )),
            trips=array(fields(**TRIP)),
            tasks=array(fields(
                n="int", code={"enum": sorted({row[0] for row in OUTLOOK.TASKS})},
                level=SEVERITY, value={"type": ["integer", "string"]},
            )),
        )) | {
            "description": "Of the last show: what it took; how near it came to each limit; the "
            "records of its trips; what to look at before the next, the worst first. Times are in "
            "seconds from its beginning; battery 0 is the rig",
        },
    ),
    "Update": fields(
        phase={"enum": ["idle", "receiving", "ready"]}, offered="str?", received="int",
        size="int",
    ),
    "Wifi": fields(
        state={
            "enum": ["unset", "connecting", "connected", "not_found", "wrong_password", "failed"]
        },
        ssid="str", ip="str?", hostname="str", access_point="str?", scanning="bool",
        networks=array(fields(ssid="str", rssi_dbm="int", secured="bool")), setup_s="int",
    ),
    "Setting": fields(
        key="str", type={"enum": ["integer", "text", "secret", "flag", "choice", "bits", "curve"]},
        default={}, preset="bool", min="int?", max="int?", choices=optional(array({})),
        unit="str", restart="bool",
    ),
    "Settings": fields(
        values={"type": "object"},
        secrets={"type": "object", "additionalProperties": of("bool")},
        pending=array("str"),
        faults=array(FAULT),
    ),
}  # fmt: skip

UNCHANGED = {"304": {"description": "The client has it already."}}
LIMITS = {
    "400": "The request is not understood.",
    "408": "The request took longer than 3 s.",
    "411": "The body has no Content-Length.",
    "413": "The body is larger than the address takes: 256 bytes; settings and updates 16 KB.",
    "414": "The address is longer than 512 bytes, or 96 up to the `?`.",
    "431": "More than 40 headers, or 4 KB of them.",
    "503": "Short of memory or of connections: try again.",
}
CHANGE = {
    "401": "Log in first.",
    "403": "No password is set, or the request comes from another site or to another name.",
    "415": "The body is of another type than JSON, or encoded.",
    "429": "More than 10 changes in 10 s, 5 wrong passwords in a minute, or 20 of all clients.",
}


def refusals(texts):
    """Answers with an error, by status."""
    content = {JSON: {"schema": ref("Error")}}
    return {status: {"description": text, "content": content} for status, text in texts.items()}


def good(schema, text="It is so.", kind=JSON):
    """The content of a good answer."""
    return {"description": text, "content": {kind: {"schema": of(schema)}}}


def read(summary, schema, kind=JSON, parameters=(), **more):
    """A GET."""
    responses = {"200": good(schema, kind=kind)} | refusals(LIMITS) | more.get("also", {})
    return {"summary": summary, "parameters": list(parameters), "responses": responses}


def change(summary, schema, status="202", body=None, parameters=(), also=None, kind=JSON):
    """A POST, PUT, PATCH or DELETE, which needs a session."""
    also = also or {}
    held = "Show mode holds this back. " + also.get("409", "")
    texts = LIMITS | CHANGE | also | {"409": held.strip()}
    operation = {
        "summary": summary,
        "parameters": list(parameters),
        "responses": {status: good(schema)} | refusals(texts),
        "security": [{"cookie": []}, {"bearer": []}],
    }
    if body:
        operation["requestBody"] = {"required": True, "content": {kind: {"schema": body}}}
    return operation


SWITCHING = {
    "404": "No such battery or action.",
    "409": "The battery does not answer.",
    "423": "The battery is locked.",
}
WISH = fields(n={"enum": [*range(1, 17), "all"]}, wish={"enum": [*CATALOG.WISHES, None]})
PLACES = [
    {
        "name": "n",
        "in": "path",
        "required": True,
        "schema": {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 16}, {"const": "all"}]},
    },
    {
        "name": "action",
        "in": "path",
        "required": True,
        "schema": {"enum": list(CATALOG.ACTIONS)},
    },
]
BATTERY_NUMBER = {
    "name": "n",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": 16},
}
BOARD = {
    "name": "b",
    "in": "path",
    "required": True,
    "schema": {"type": "integer", "minimum": 1, "maximum": 4},
}
CODE = {"name": "code", "in": "path", "required": True, "schema": {"enum": ALARMS}}
UPDATE = {"409": "Not now, or not in this order: the code says why."}
NO_CAPACITY = {"409": "The settings tell no battery's capacity."}
NO_LOG = {"404": "There is no such log on the card."}
PARTS = refusals(NO_LOG | {"416": "It has fewer bytes."}) | {"206": good("str", "It is so.", CSV)}
LOG = {"name": "name", "in": "path", "required": True, "schema": {"type": "string"}}
OLD_SWITCH = change(
    "The request of the first firmware.",
    WISH,
    parameters=[query("battery", "Number on the case.", True, type="integer")],
    also=SWITCHING,
)


def page(summary, kind):
    """A file of the page."""
    return read(summary, "str", kind, also=UNCHANGED)


def page_paths():
    """The files of the page."""
    language = query("language", "Else the rig's.", enum=["en", "fr"])
    return {
        "/": {"get": page("The page.", "text/html; charset=utf-8")},
        "/app.js": {"get": page("Its script.", "text/javascript; charset=utf-8")},
        "/charts.js": {"get": page("Its charts.", "text/javascript; charset=utf-8")},
        "/guide.html": {"get": page("Its field guide.", "text/html; charset=utf-8")},
        "/report.js": {"get": page("Its report of a show.", "text/javascript; charset=utf-8")},
        "/settings.js": {"get": page("Its settings.", "text/javascript; charset=utf-8")},
        "/qr.js": {"get": page("Its QR codes.", "text/javascript; charset=utf-8")},
        "/style.css": {"get": page("Its looks.", "text/css; charset=utf-8")},
        "/manifest.json": {
            "get": read("How to put it on a home screen.", {"type": "object"}, also=UNCHANGED)
        },
        "/icon.svg": {"get": page("Its icon.", "image/svg+xml")},
        "/setup": {"get": page("The page for the first use.", "text/html; charset=utf-8")},
        "/setup.js": {"get": page("Its script.", "text/javascript; charset=utf-8")},
        "/messages.json": {
            "get": read(
                "Words for the codes.", {"type": "object"}, parameters=[language], also=UNCHANGED
            )
        },
        "/api/openapi.json": {
            "get": read("This description.", {"type": "object"}, also=UNCHANGED)
        },
    }


def setup_paths():
    """First use and sessions."""
    password = fields(password="str")
    return {
        "/api/wifi": {"get": read("How the rig is connected.", ref("Wifi"))},
        "/api/wifi/scan": {"post": change("Look for networks.", fields(scanning="bool"))},
        "/api/setup": {
            "post": change(
                "Set the first password, or a new one for one that is lost; not in time: 403.",
                fields(logged_in="bool", token="str"),
                "200",
                password,
                also={
                    "422": "It is too short or long, or has characters that are not allowed.",
                    "507": "The flash did not take it.",
                },
            )
        },
        "/api/login": {
            "post": change(
                "Begin a session.", fields(logged_in="bool", token="str"), "200", password
            )
        },
        "/api/logout": {"post": change("End the session.", fields(logged_in="bool"), "200")},
    }


def view_paths():
    """What the rig tells."""
    since = query("after", "Number of the first event wanted.", type="integer", minimum=0)
    which = query("n", "0 is the rig; left out: all.", type="integer", minimum=0, maximum=16)
    span = query("span", "Seconds back from now.", type="integer", minimum=10, maximum=86400)
    trip = {"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}
    no_trip = refusals({"404": "There is no record of such a trip."})
    uncounted = refusals(NO_CAPACITY)
    history = fields(step_ms="int", end_ms="int", series=array(ref("Series")))
    return {
        "/api/state": {"get": read("Everything about the rig.", ref("State"))},
        "/api/live": {
            "get": read("Server-sent events, four clients.", "str", "text/event-stream")
        },
        "/api/events": {
            "get": read(
                "The last events of each kind.",
                fields(events=array(ref("Event")), next="int"),
                parameters=[since],
            )
        },
        "/api/history": {
            "get": read("Points of 10 s, 2 or 20 minutes.", history, parameters=[which, span])
        },
        "/api/calibration": {
            "get": read("The curve of the rig's cells.", ref("Calibration"), also=uncounted),
            "delete": change(
                "Forgets the curve that was learned.", ref("Calibration"), "200", also=NO_CAPACITY
            ),
        },
        "/api/selftest": {
            "get": read("How far the self-test is, or what the last one found.", ref("SelfTest")),
            "post": change(
                "Begin a self-test.",
                ref("SelfTest"),
                also={"409": "One runs already, none is on, or one is near a limit."},
            ),
            "delete": change("End the one that runs.", ref("SelfTest"), "200"),
        },
        "/api/blackbox": {
            "get": read("Trips on record.", fields(records=array(ref("Trip")), missed="int"))
        },
        "/api/blackbox/{id}": {
            "get": read("One trip.", ref("TripRecord"), parameters=[trip], also=no_trip)
        },
        "/api/system": {"get": read("Versions, controller, memory, tasks, I2C.", ref("System"))},
        "/metrics": {
            "get": read("Prometheus.", "str", "text/plain; version=0.0.4; charset=utf-8")
        },
        "/log": {"get": read("The events as text.", "str", TEXT)},
    }


def log_paths():
    """The logs on the card."""
    tail = query(
        "tail", "Only the first line and this many last bytes.", minimum=1, maximum=16384,
        type="integer",
    )  # fmt: skip
    return {
        "/api/logs": {
            "get": read(
                "The SD card and its logs.",
                fields(card=CARD, logs=array(fields(name="str", size_bytes="int", open="bool"))),
            )
        },
        "/api/logs/{name}": {
            "get": read("A log, or one range of its bytes.", "str", CSV, [LOG, tail], also=PARTS),
            "delete": change(
                "Delete a log.",
                fields(deleted="str"),
                "200",
                parameters=[LOG],
                also=NO_LOG
                | {
                    "409": "It is being written or read, or write-protected.",
                    "507": "The card did not delete it.",
                },
            ),
        },
    }


def settings_paths():
    """The settings."""
    return {
        "/api/settings": {
            "get": read("Settings as saved.", ref("Settings")),
            "patch": change(
                "Save settings, all or none.",
                fields(saved=array("str"), pending=array("str")),
                "200",
                {"type": "object"},
                also={
                    "422": "Faults, each named in `faults`.",
                    "507": "The flash did not take them.",
                },
            ),
        },
        "/api/settings/schema": {"get": read("The table of settings.", array(ref("Setting")))},
    }


def switch_paths():
    """What moves switches."""
    return {
        "/api/batteries/{n}/{action}": {
            "post": change("Switch a battery, or `all`.", WISH, parameters=PLACES, also=SWITCHING)
        },
        "/api/batteries/{n}/exchanged": {
            "post": change(
                "Say that another pack is there now: its charge is learned anew.",
                fields(n="int"),
                "200",
                parameters=[BATTERY_NUMBER],
                also={
                    "404": "No such battery.",
                    "409": "Nothing is known of its charge, or it has an id: change that.",
                },
            )
        },
        "/switch_on": {"post": OLD_SWITCH},
        "/switch_off": {"post": OLD_SWITCH},
        "/api/bus/reset": {"post": change("Unlock an overloaded output.", fields(bus="str"))},
        "/api/boards/{b}/disconnected": {
            "post": change(
                "Say that a board that does not answer hangs on nothing.",
                fields(board="int"),
                parameters=[BOARD],
                also={"404": "No such board.", "409": "It is not silent."},
            )
        },
        "/api/alarms/{code}/known": {
            "post": change(
                "Acknowledge alarms that began up to then, until they end.",
                fields(code={"enum": ALARMS}),
                "200",
                fields(since_ms="int"),
                [CODE],
                {"404": "None of them stands, or it has to be mended."},
            )
        },
    }


def controller_paths():
    """The controller."""
    unix_s = fields(unix_s={"type": "integer", "minimum": 1577836800, "maximum": 3092601600})
    return {
        "/api/show": {
            "get": read("The report of the last show.", ref("ShowReport")),
            "post": change(
                "Begin show mode, or move its end: only off is taken until then.",
                SHOW,
                "200",
                body=END,
                also={"409": "A self-test runs, or a local time is asked for without a clock."},
            ),
            "delete": change("End show mode.", SHOW, "200"),
        },
        "/api/time": {"post": change("Set the clock.", fields(time="str"), "200", unix_s)},
        "/api/system/restart": {
            "post": change("Open all switches, restart.", fields(restart="bool"))
        },
        "/api/update": {
            "get": read("How far an upload has come.", ref("Update")),
            "put": change(
                "The bytes of a bundle from `offset` on; 0 begins anew.",
                ref("Update"),
                "200",
                {"type": "string", "format": "binary"},
                [
                    query("offset", "Bytes before these.", True, type="integer", minimum=0),
                    query("size", "Of the bundle; with offset 0.", type="integer", minimum=0),
                    query("confirmed", "1: although the batteries carry load.", enum=["0", "1"]),
                ],
                UPDATE | {"422": "The bundle is not for this rig, or damaged.", "507": "No room."},
                "application/octet-stream",
            ),
            "post": change(
                "Restart with the bundle that came, on trial.",
                fields(offered="str"),
                body={"type": "object", "properties": {"confirmed": of("bool")}},
                also=UPDATE | {"507": "The flash did not take it."},
            ),
        },
    }


def paths():
    """Every route and method."""
    return {
        **page_paths(),
        **setup_paths(),
        **view_paths(),
        **log_paths(),
        **settings_paths(),
        **switch_paths(),
        **controller_paths(),
    }


def document():
    """The whole description."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Parallelator",
            "version": "1",
            "description": "A rig of 4 to 16 batteries in parallel.",
        },
        "paths": paths(),
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "cookie": {"type": "apiKey", "in": "cookie", "name": "parallelator"},
                "bearer": {"type": "http", "scheme": "bearer"},
            },
        },
    }
