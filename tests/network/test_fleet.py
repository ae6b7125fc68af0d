# SPDX-License-Identifier: GPL-3.0-only
"""What tools/fleet/ brings along, against real engines: Prometheus and its promtool, mosquitto,
and rigs that run the firmware."""

import json
import re
import shutil
import signal
import subprocess
import time
import tomllib
import urllib.parse
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import paho.mqtt.client as paho
import pytest
import yaml

from brokers import MOSQUITTO, PATIENCE_S, Listener, certificates
from fleet import accounts, dashboard, engines
from parallelator import catalog
from rigs import ROOT

HERE = ROOT / "tools/fleet"
RIGS = 3
SCRAPE_S = 2
GIVEN = {"rig", "instance", "job"}
"""Labels that Prometheus adds to what a rig serves."""
OWN = {"up": set(), "ALERTS": {"alertname", "alertstate", "severity", "battery", "code"}}
"""Metrics that Prometheus makes itself, and their labels."""
VALUES = {
    "state": catalog.names(catalog.STATES),
    "reason": catalog.names(catalog.REASONS),
    "code": catalog.names(catalog.CODES),
    "severity": catalog.SEVERITIES,
    "job": ["parallelator"],
}
SAMPLE = re.compile(r"^(\w+)(?:\{(.*)\})? [-\d.]+$", re.MULTILINE)
SELECTOR = re.compile(r"\b(parallelator_\w+|up|ALERTS)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"([^"]*)"')
LISTED = re.compile(r"\b(?:by|on|group_left|ignoring)\s*\(([^)]*)\)")


@pytest.fixture(scope="module")
def fleet(tmp_path_factory):
    """Three rigs at work, scraped and on their broker."""
    fleet = engines.Fleet(tmp_path_factory.mktemp("fleet") / "files", RIGS, SCRAPE_S)
    try:
        fleet.start()
        yield fleet
        assert fleet.dead() == []
    finally:
        fleet.stop()
    logs = [fleet.log(rig.name) for rig in fleet.rigs]
    assert all("Every switch is open." in log and "Traceback" not in log for log in logs), logs


def listener_on(fleet, name):
    """Hears on the fleet's broker what account `name` may hear."""
    broker = SimpleNamespace(port=fleet.broker_port)
    return Listener(broker, user=(name, fleet.passwords[name]))


def ask(fleet, query):
    """The result of a PromQL query; a wrong one is an error."""
    url = f"http://127.0.0.1:{fleet.prometheus_port}/api/v1/query?"
    with urllib.request.urlopen(url + urllib.parse.urlencode({"query": query})) as answer:
        return json.load(answer)["data"]["result"]


def until(true, seconds=PATIENCE_S):
    """Waits until `true()` returns something; returns it."""
    end = time.monotonic() + seconds
    while not (found := true()):
        assert time.monotonic() < end
        time.sleep(0.2)
    return found


def promtool(*arguments):
    """Runs it; returns (exit code, what it said)."""
    run = subprocess.run(["promtool", *arguments], capture_output=True, text=True, timeout=60)
    return run.returncode, run.stdout + run.stderr


# The configuration of Prometheus


def test_promtool_passes_configuration_and_rules_and_their_unit_tests(tmp_path):
    shutil.copy(HERE / "prometheus.yml", tmp_path)
    cases = tmp_path / "cases.yml"
    shutil.copy(ROOT / "tests/network/fleet_rules.yml", cases)
    accounts.write(tmp_path, [engines.unit(1, 80)])
    rules = tmp_path / "rules.yml"
    for arguments in (
        ("check", "rules", rules),
        ("check", "config", tmp_path / "prometheus.yml"),
        ("test", "rules", cases),
    ):
        code, said = promtool(*arguments)
        assert code == 0, said
    alerts = {rule["alert"] for rule in yaml.safe_load(rules.read_text())["groups"][0]["rules"]}
    tested = yaml.safe_load(cases.read_text())["tests"]
    fired = {
        case["alertname"]
        for test in tested
        for case in test["alert_rule_test"]
        if case.get("exp_alerts")
    }
    assert fired == alerts
    rules.write_text(rules.read_text().replace('state="locked"', 'state="off"'))
    code, said = promtool("test", "rules", cases)
    assert code == 1 and "BatteryLocked" in said, said


def test_each_alert_is_as_urgent_as_the_catalogue_says_and_speaks_both_languages():
    for rule in yaml.safe_load(accounts.rules())["groups"][0]["rules"]:
        urgency = rule["labels"]["urgency"]
        if "parallelator_alarm{" in rule["expr"]:
            assert urgency == "{{ $labels.severity }}", rule
        elif found := re.search(r'battery_state\{state="(\w+)"(.*)\}', rule["expr"]):
            row = next(row for row in catalog.STATES if row[0] == found[1])
            # one that has gone is worse than a place where none was found
            assert urgency == ("trouble" if found[2] else row[1]), rule
        else:
            assert urgency in catalog.SEVERITIES, rule
        assert set(rule["annotations"]) == {"summary", "summary_fr"}
    text = accounts.rules()
    for language in ("en", "fr"):
        words = json.loads((ROOT / f"lib/parallelator/messages/{language}.json").read_text())
        for code in catalog.NAMES[: catalog.ALARMS]:
            sentence = words["alarm"][code].replace("{n}", "{{ $labels.battery }}")
            assert f"`{code}` }}}}{sentence}{{{{ else" in text, code
        for code in catalog.names(catalog.REASONS)[1:]:
            assert f"`{code}` }}}}{words['reason'][code]}{{{{ else" in text, code


# What dashboard and rules speak of


def served(fleet):
    """Metric to labels of all that the rigs serve, what is not known yet included."""
    found = {}
    for rig in fleet.rigs:
        with urllib.request.urlopen(f"http://{rig.address}/metrics") as answer:
            text = answer.read().decode()
        for name in re.findall(r"^# TYPE (\w+)", text, re.MULTILINE):
            found.setdefault(name, {"battery"} if "_battery_" in name else set())
        for name, labels in SAMPLE.findall(text):
            found.setdefault(name, set()).update(re.findall(r"(\w+)=", labels))
    return found


def faults(expression, known):
    """What is wrong with the names in a PromQL expression.

    Args:
        known: metric to labels.
    """
    labels = set(GIVEN)
    for metric, matchers in SELECTOR.findall(expression):
        if metric not in known:
            yield f"no metric {metric}"
            continue
        labels |= known[metric]
        for label, _, value in MATCHER.findall(matchers):
            if label not in known[metric] | GIVEN:
                yield f"{metric} has no label {label}"
            if label in VALUES:
                words = [word for word in re.split(r"\|", value) if word not in VALUES[label]]
                yield from (f"{label} is never {word}" for word in words)
    if not SELECTOR.search(expression):
        yield f"no metric in {expression}"
    for listed in LISTED.findall(expression):
        for label in re.split(r",\s*", listed):
            if label not in labels:
                yield f"no label {label} in {expression}"


def shown(panel):
    """Labels by which a panel names its columns and lines."""
    for target in panel.get("targets", ()):
        yield from re.findall(r"\{\{(\w+)\}\}", target.get("legendFormat") or "")
    for change in panel.get("transformations", ()):
        names = change["options"].get("renameByName", {})
        yield from (name for name in names if not name.startswith("Value"))


def test_every_metric_and_label_of_dashboard_and_rules_is_served(fleet):
    def complete():
        found = served(fleet)
        return found if "parallelator_mqtt_connected" in found else None

    known = until(complete) | OWN
    panels = dashboard.read()["panels"]
    wrong = []
    for panel in panels:
        labels = set(GIVEN)
        for target in panel.get("targets", ()):
            wrong += faults(target["expr"], known)
            for metric, _ in SELECTOR.findall(target["expr"]):
                labels |= known.get(metric, set())
        wrong += [f"{panel['title']}: {label}" for label in shown(panel) if label not in labels]
    for rule in yaml.safe_load(accounts.rules())["groups"][0]["rules"]:
        wrong += faults(rule["expr"], known)
        labels = GIVEN.union(*(known[metric] for metric, _ in SELECTOR.findall(rule["expr"])))
        for text in rule["annotations"].values():
            names = re.findall(r"\$labels\.(\w+)", text)
            wrong += [f"{rule['alert']}: {name}" for name in names if name not in labels]
    assert wrong == []
    assert len(known) > 20
    for bad in (
        "parallelator_voltage",
        'parallelator_alarm{name="x"}',
        'parallelator_battery_state{state="open"}',
        "sum by (place) (parallelator_alarms)",
    ):
        assert list(faults(bad, known)), bad


def test_every_panel_of_the_dashboard_shows_something(fleet):
    whole = dashboard.read()
    variables = {entry["name"]: entry for entry in whole["templating"]["list"]}
    assert {"datasource", "rig"} == set(variables)
    metric, label = re.fullmatch(
        r"label_values\((\w+), (\w+)\)", variables["rig"]["query"]["query"]
    ).groups()
    names = until(lambda: len(found := ask(fleet, metric)) == RIGS and found)
    assert {row["metric"][label] for row in names} == {rig.name for rig in fleet.rigs}
    expressions = list(dashboard.expressions(whole))
    assert len(expressions) >= 45
    for _, expression in expressions:
        query = dashboard.filled(expression, "60s", "20s")
        if not dashboard.may_be_empty(expression):
            until(lambda query=query: ask(fleet, query))
        ask(fleet, query)  # a wrong one is an error
    for note in whole["annotations"]["list"]:
        ask(fleet, dashboard.filled(note["expr"], "60s", "20s"))
    exempt = [why for why in dashboard.EMPTY if any(why in text for _, text in expressions)]
    assert exempt == list(dashboard.EMPTY)


def test_the_grammar_of_prometheus_3_takes_each_expression():
    whole = dashboard.read()
    asked = [text for _, text in dashboard.expressions(whole)]
    asked += [note["expr"] for note in whole["annotations"]["list"]]
    asked = [dashboard.filled(text, "60s", "20s") for text in asked]
    asked += [rule["expr"] for rule in yaml.safe_load(accounts.rules())["groups"][0]["rules"]]
    wrong = ["rate(up[5m)", "sum by (rig (up)"]
    run = subprocess.run(
        ["node", HERE / "promql.mjs"],
        input=json.dumps(asked + wrong),
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert [line.split(": ", 1)[1] for line in run.stdout.splitlines()] == wrong
    assert len(asked) > 60


def test_the_dashboard_keeps_to_the_schema():
    whole = dashboard.read()
    panels = whole["panels"]
    assert whole["schemaVersion"] >= 36 and whole["uid"] and whole["title"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    taken = set()
    for panel in panels:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells
        if panel["type"] != "row":
            assert panel["targets"], panel["title"]
            references = [target["refId"] for target in panel["targets"]]
            assert len(set(references)) == len(references), panel["title"]


# Accounts


def test_each_rig_is_told_apart_and_may_say_all_it_has_to(fleet):
    crew = listener_on(fleet, "home-assistant")
    for rig in fleet.rigs:
        base = f"parallelator/{rig.name}"
        crew.wait_status(base, "online")
        crew.wait_for(base + "/state", lambda state, rig=rig: state["name"] == rig.name)
        crew.wait_for(base + "/battery/16")
        crew.say(base + "/battery/2/set", "OFF")
        crew.wait_for(base + "/battery/2", lambda battery: battery["state"] == "off")
        crew.wait_for(base + "/event", lambda event: event["code"] == "wish")
        node = f"parallelator_{rig.number}"
        crew.wait(lambda topic, _, node=node: f"device/{node}/rig_events/config" in topic)
        crew.wait(lambda topic, _, node=node: f"/{node}/battery_16_counters/" in topic)
    crew.close()
    log = fleet.log("broker")
    connected = re.findall(r"New client connected from \S+ as (\S+) .*u'([^']*)'", log)
    assert {(rig.name, rig.name) for rig in fleet.rigs} <= set(connected), log


@pytest.fixture
def guarded(tmp_path):
    """A broker with the configuration as it is, TLS included, and three accounts of rigs."""
    rigs = [engines.unit(k, 80) for k in (1, 2, 3)]
    passwords = accounts.write(tmp_path, rigs)
    authority, (certificate, key) = certificates(tmp_path)
    assert (certificate.name, key.name) == ("cert.pem", "key.pem")
    port, tls_port = engines.free_ports(2)
    (tmp_path / "conf").write_text(engines.broker_config(tmp_path, port, tls_port))
    process = subprocess.Popen(
        [MOSQUITTO, "-c", tmp_path / "conf"],
        stdout=(tmp_path / "log").open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        until(lambda: engines.listens(port) and engines.listens(tls_port))
        yield SimpleNamespace(
            rigs=rigs, passwords=passwords, port=port, tls_port=tls_port, ca=authority
        )
    finally:
        process.terminate()
        process.wait(10)


def client(broker, name, password=None, ca=None, ident=""):
    """Connects as account `name`; returns (client, reason code of the broker)."""
    answers = []
    found = paho.Client(paho.CallbackAPIVersion.VERSION2, client_id=ident)
    found.username_pw_set(name, password or broker.passwords[name])
    if ca:
        found.tls_set(ca)
    found.on_connect = lambda client, data, flags, reason, properties: answers.append(reason)
    found.connect("127.0.0.1", broker.tls_port if ca else broker.port)
    found.loop_start()
    until(lambda: answers)
    return found, answers[0]


def test_a_rig_cannot_write_or_read_what_belongs_to_another(guarded):
    one, two, _ = guarded.rigs
    crew = Listener(SimpleNamespace(port=guarded.tls_port), _account(guarded), guarded.ca)
    rig, reason = client(guarded, one.name, ca=guarded.ca)
    assert not reason.is_failure
    heard = []
    rig.on_message = lambda client, data, message: heard.append(message.topic)
    for topic in ("#", f"parallelator/{two.name}/battery/+/set", "$SYS/#"):
        rig.subscribe(topic)
    own = f"parallelator/{one.name}"
    other = f"parallelator/{two.name}"
    forbidden = [
        *(f"{other}/{place}" for place in ("status", "state", "event", "battery/1")),
        f"{other}/battery/1/set",
        f"{own}/battery/1/set",
        f"{own}/else",
        "parallelator/nobody/state",
        f"homeassistant/device/parallelator_{two.number}/rig/config",
        "homeassistant/status",
        "elsewhere",
    ]
    allowed = [
        *(f"{own}/{place}" for place in ("status", "state", "event", "battery/1")),
        f"homeassistant/device/parallelator_{one.number}/rig/config",
    ]
    for topic in forbidden + allowed:
        rig.publish(topic, "x", qos=1).wait_for_publish(PATIENCE_S)
    crew.wait(lambda topic, _: topic == allowed[-1])
    assert [topic for topic, _, _ in crew.heard] == allowed
    # what the crew says reaches the one it is for
    crew.say(f"{other}/battery/1/set", "OFF")
    crew.say(f"{own}/battery/1/set", "OFF")
    crew.say("homeassistant/status", "online")
    until(lambda: len(heard) >= 3)
    assert heard == [allowed[-1], f"{own}/battery/1/set", "homeassistant/status"]
    rig.loop_stop()
    crew.close()


def _account(guarded):
    return "home-assistant", guarded.passwords["home-assistant"]


def test_nobody_comes_in_without_an_account_or_in_place_of_another(guarded):
    one, two, _ = guarded.rigs
    for name, password in (
        (one.name, "wrong"),
        (one.name, guarded.passwords[two.name]),
        ("x", "x"),
    ):
        stranger, reason = client(guarded, name, password)
        assert reason.is_failure, (name, reason)
        stranger.loop_stop()
    lost = []
    victim, _ = client(guarded, two.name, ident=two.name)
    victim.on_disconnect = lambda *_: lost.append(1)
    thief, reason = client(guarded, one.name, ident=two.name)
    assert not reason.is_failure
    victim.publish(f"parallelator/{two.name}/state", "x", qos=1).wait_for_publish(PATIENCE_S)
    assert not lost and victim.is_connected() and thief.is_connected()
    victim.loop_stop()
    thief.loop_stop()


def test_a_list_of_rigs_with_a_fault_is_refused_with_its_place(tmp_path):
    path = tmp_path / "rigs.csv"
    head = "name,number,address\n"
    good = "stage,246f28010203,192.168.1.20:80\n"
    for text, said in (
        ("name,number\nstage,246f28010203\n", "line 1: no column address"),
        (head + good + good, "line 3: name stage is taken"),
        (head + good + good.replace("stage", "bar"), "line 3: number 246f28010203 is taken"),
        (head + good.replace("stage", "a/b"), "line 2: name is 'a/b'; allowed: 1 to 24 letters"),
        (head + good.replace("246f", "24:6f"), "line 2: number is"),
        (head + "reader,246f28010203,a:80\n", "line 2: name reader is taken"),
        (head + "stage,246f28010203\n", "line 2: address is ''; allowed: host:port"),
    ):
        path.write_text(text)
        with pytest.raises(accounts.ListError) as error:
            accounts.read(path)
        assert said in str(error.value), (text, error.value)
    path.write_text(head + good)
    assert accounts.read(path) == [("stage", "246f28010203", "192.168.1.20:80")]


def test_passwords_are_kept_and_hidden(tmp_path):
    first = accounts.write(tmp_path, [engines.unit(1, 80)])
    second = accounts.write(tmp_path, [engines.unit(1, 80), engines.unit(2, 80)])
    assert first.items() <= second.items() and len(set(second.values())) == 4
    hashed = (tmp_path / "passwords").read_text()
    assert not [password for password in second.values() if password in hashed]
    for name in ("secrets.csv", "passwords"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0, name


# Telegraf, and `make fleet`


def test_telegraf_takes_what_is_there(fleet):
    config = tomllib.loads((HERE / "telegraf.conf").read_text())
    source = config["inputs"]["mqtt_consumer"][0]
    assert source["username"] in accounts.PROGRAMS
    assert source["startup_error_behavior"] == "retry"
    reader = listener_on(fleet, "reader")
    crew = listener_on(fleet, "home-assistant")
    crew.say("parallelator/rig-001/battery/1/set", "nonsense")  # makes an event
    crew.close()
    keys = {}
    for topic in source["topics"]:
        pattern = topic.replace("+", "[^/]+")
        reader.wait(lambda place, _, pattern=pattern: re.fullmatch(pattern, place))
        for place, payload, _ in reader.heard:
            if re.fullmatch(pattern, place):
                keys.setdefault(topic, set()).update(json.loads(payload))
    reader.close()
    wanted = source["json_string_fields"] + source["tag_keys"]
    assert set(wanted) <= set().union(*keys.values())
    parsed = source["topic_parsing"]
    assert [entry["topic"] for entry in parsed] == source["topics"]
    for entry in parsed:
        levels = entry["topic"].count("/")
        assert entry["tags"].split("/")[1] == "rig"
        assert entry["tags"].count("/") == entry["measurement"].count("/") == levels


def command(rigs):
    """The fleet command with so many rigs, and what it said up to its last line."""
    run = subprocess.Popen(
        [ROOT / "build/venv/bin/python", HERE / "run.py", str(rigs)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    said = ""
    while "at a glance" not in said:
        line = run.stdout.readline()
        assert line, said
        said += line
    return run, said


def running(folder):
    """Processes of a fleet whose files are in `folder`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue  # it has just ended
        if bytes(folder) + b"/" in line:
            found.append(line)
    return found


def test_the_fleet_command_says_where_to_look_and_ends_cleanly():
    run, said = command(2)
    pages = re.findall(r"http://(\S+)  rig-", said)
    assert len(pages) == 2 and "Prometheus" in said and "Broker" in said, said
    address = said.splitlines()[-1].removeprefix("All rigs at a glance: ")
    for name, kind in (("", "text/html"), ("fleet.js", "javascript")):
        with urllib.request.urlopen(address + name) as answer:
            assert kind in answer.headers["Content-Type"]
    for page in pages:
        until(lambda page=page: engines.listens(int(page.split(":")[1])))
    run.send_signal(signal.SIGINT)
    rest, _ = run.communicate(timeout=60)
    assert run.returncode == 0 and "2 of 2 rigs have opened every switch." in rest, rest
    assert not any(engines.listens(int(page.split(":")[1])) for page in pages)


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP", "SIGQUIT", "SIGKILL", "SIGUSR1"])
def test_the_fleet_command_leaves_nothing_whatever_ends_it(number):
    run, _ = command(1)
    folder = ROOT / f"build/fleet/{run.pid}"
    assert len(running(folder)) == 3, running(folder)
    run.send_signal(signal.Signals[number])
    run.send_signal(signal.Signals[number])
    run.wait(60)
    until(lambda: not running(folder))
    in_order = number in ("SIGTERM", "SIGHUP", "SIGQUIT")
    assert run.returncode == (0 if in_order else -signal.Signals[number])
    assert folder.exists() != in_order
    shutil.rmtree(folder, ignore_errors=True)


def test_the_fleet_command_leaves_nothing_when_it_ends_while_it_starts():
    run = subprocess.Popen(
        [ROOT / "build/venv/bin/python", HERE / "run.py", "1"], stdout=subprocess.DEVNULL
    )
    folder = ROOT / f"build/fleet/{run.pid}"
    until(lambda: running(folder))
    run.terminate()
    run.wait(60)
    until(lambda: not running(folder))
    shutil.rmtree(folder, ignore_errors=True)


def test_the_fleet_command_refuses_nonsense():
    for text in ("0", "many", "-1"):
        run = subprocess.run(
            [ROOT / "build/venv/bin/python", HERE / "run.py", text], capture_output=True, text=True
        )
        assert run.returncode == 2 and "allowed are 1 to 200" in run.stdout, run
