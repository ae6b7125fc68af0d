#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Measures what a fleet costs its broker and its Prometheus, and how it comes back when the broker
restarts; prints a table. Some sixteen minutes for 10, 25 and 50 rigs.

    tools/fleet/measure.py [RIGS ...]
"""

import collections
import json
import os
import re
import shutil
import sys
import time
import urllib.parse
import urllib.request
from pathlib import Path

import paho.mqtt.client as paho

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fleet.engines import ROOT, Fleet  # noqa: E402 - found through the path above

SIZES = (10, 25, 50)
SETTLED_S = 40
"""Until every rig has told Home Assistant of its batteries."""
PAUSE_S = 20
"""Until every connection has proved good, so that the rigs retry after a short time again."""
WINDOWS = 13
"""So many times the broker publishes its own counters, every ten seconds."""
OUTAGES_S = (0, 40)
PATIENCE_S = 120
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
CAME = re.compile(r"^(\d+): New client connected from \S+ as (rig-\d+) ", re.MULTILINE)
COUNTERS = ("publish/messages/received", "bytes/received", "bytes/sent")
ROWS = (
    ("messages_s", "MQTT messages a second, each rig", "%.2f"),
    ("bytes_s", "MQTT bytes a second, each rig", "%.0f"),
    ("broker_kb", "memory of mosquitto, KB", "%.0f"),
    ("broker_cpu", "processor time of mosquitto, ms a second", "%.1f"),
    ("series", "series in Prometheus, each rig", "%.0f"),
    ("samples_s", "samples a second, all rigs", "%.0f"),
    ("scrape_bytes", "bytes of a scrape of one rig", "%.0f"),
    ("scrape_ms", "time of a scrape, ms, median", "%.0f"),
    ("prometheus_kb", "memory of Prometheus, KB", "%.0f"),
    ("prometheus_cpu", "processor time of Prometheus, ms a second", "%.1f"),
    ("rig_kb", "memory of a simulated rig, KB", "%.0f"),
    ("rig_cpu", "processor time of a simulated rig, ms a second", "%.1f"),
    ("back_0", "all back after a restart of the broker, s", "%.0f"),
    ("peak_0", "connections in the busiest second of it", "%.0f"),
    ("back_40", "all back after 40 s without a broker, s", "%.0f"),
    ("peak_40", "connections in the busiest second of it", "%.0f"),
)


class Counters:
    """The counters that the broker publishes, as (seconds, value) in the order of arrival."""

    def __init__(self, fleet):
        self.seen = collections.defaultdict(list)
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        self._client.username_pw_set("reader", fleet.passwords["reader"])
        self._client.on_connect = lambda client, *_: [
            client.subscribe(f"$SYS/broker/{name}") for name in COUNTERS
        ]
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", fleet.broker_port)
        self._client.loop_start()

    def _note(self, client, userdata, message):
        name = message.topic.removeprefix("$SYS/broker/")
        if not message.retain:
            self.seen[name].append((time.monotonic(), int(message.payload)))

    def rate(self, name):
        """Counts a second over all that has been seen."""
        (begin, low), *_, (end, high) = self.seen[name]
        return (high - low) / (end - begin)

    def close(self):
        """Listen no longer."""
        self._client.disconnect()
        self._client.loop_stop()


def ask(fleet, query):
    """Values of a PromQL query; [] before there are any."""
    text = urllib.parse.urlencode({"query": query})
    url = f"http://127.0.0.1:{fleet.prometheus_port}/api/v1/query?{text}"
    with urllib.request.urlopen(url, timeout=10) as answer:
        return [float(row["value"][1]) for row in json.load(answer)["data"]["result"]]


def memory_kb(process):
    """What a process holds in memory, of its own and shared."""
    status = Path(f"/proc/{process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def spent_ms(process):
    """Processor time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) * 1000 / TICKS_PER_S


def arrivals(fleet, begin):
    """When each rig first came to the broker from byte `begin` of its log on: name to second."""
    first = {}
    for second, name in CAME.findall(fleet.log("broker")[begin:]):
        first.setdefault(name, int(second))
    return first


def wait_back(fleet, begin):
    """Wait until every rig has come from byte `begin` of the broker's log on; as `arrivals`."""
    end = time.monotonic() + PATIENCE_S
    while len(found := arrivals(fleet, begin)) < len(fleet.rigs):
        if time.monotonic() > end:
            raise RuntimeError(f"{len(found)} of {len(fleet.rigs)} rigs are on the broker")
        time.sleep(0.5)
    return found


def steady(fleet):
    """A minute in which nothing happens: figures by name."""
    n = len(fleet.rigs)
    processes = dict(fleet.processes)
    before = {name: spent_ms(process) for name, process in processes.items()}
    begin = time.monotonic()
    counters = Counters(fleet)
    while min(len(counters.seen[name]) for name in COUNTERS) < WINDOWS:
        time.sleep(0.5)
    counters.close()
    seconds = time.monotonic() - begin
    cpu = {
        name: (spent_ms(process) - before[name]) / seconds for name, process in processes.items()
    }
    memory = {name: memory_kb(process) for name, process in processes.items()}
    rigs = [rig.name for rig in fleet.rigs]
    with urllib.request.urlopen(f"http://{fleet.rigs[0].address}/metrics") as answer:
        scrape_bytes = len(answer.read())
    return {
        "messages_s": counters.rate("publish/messages/received") / n,
        "bytes_s": counters.rate("bytes/received") / n,
        "broker_kb": memory["broker"],
        "broker_cpu": cpu["broker"],
        "series": ask(fleet, 'count({job="parallelator"})')[0] / n,
        "samples_s": ask(fleet, "sum(scrape_samples_scraped) / 15")[0],
        "scrape_bytes": scrape_bytes,
        "scrape_ms": 1000 * ask(fleet, "quantile(0.5, scrape_duration_seconds)")[0],
        "prometheus_kb": memory["prometheus"],
        "prometheus_cpu": cpu["prometheus"],
        "rig_kb": sum(memory[name] for name in rigs) / n,
        "rig_cpu": sum(cpu[name] for name in rigs) / n,
    }


def outage(fleet, seconds):
    """The broker stops and comes again that much later.

    Returns:
        (s from its start until the last rig was back, connections in the busiest second).
    """
    fleet.stop_broker()
    time.sleep(seconds)
    begin = len(fleet.log("broker"))
    started = int(time.time())
    fleet.start_broker()
    came = wait_back(fleet, begin)
    return max(came.values()) - started, max(collections.Counter(came.values()).values())


def measure(n):
    """All figures of a fleet of n."""
    fleet = Fleet(ROOT / f"build/fleet/{os.getpid()}", n)
    try:
        fleet.start()
        wait_back(fleet, 0)
        time.sleep(SETTLED_S)
        found = steady(fleet)
        for seconds in OUTAGES_S:
            found[f"back_{seconds}"], found[f"peak_{seconds}"] = outage(fleet, seconds)
            time.sleep(PAUSE_S)
        if fleet.dead():
            raise RuntimeError(f"ended by themselves: {fleet.dead()}")
    finally:
        fleet.stop()
    shutil.rmtree(fleet.folder)
    return found


def table(sizes, columns):
    """Lines of the table; the last column is what one more rig adds, between smallest and largest
    fleet."""
    yield "| rigs | " + " | ".join(map(str, sizes)) + " | each more |"
    yield "|---" * (len(sizes) + 2) + "|"
    for key, text, form in ROWS:
        cells = [form % column[key] for column in columns]
        grows = text.startswith(("memory of m", "memory of P", "processor time of m")) or (
            key in ("prometheus_cpu", "samples_s")
        )
        slope = (columns[-1][key] - columns[0][key]) / max(sizes[-1] - sizes[0], 1)
        yield f"| {text} | " + " | ".join(cells) + f" | {'%.2f' % slope if grows else ''} |"


def main():
    """Measure each size in turn, print; return the exit code."""
    sizes = [int(text) for text in sys.argv[1:]] or SIZES
    try:
        columns = [measure(n) for n in sizes]
    except RuntimeError as error:
        print(error)
        return 1
    print("\n".join(table(sizes, columns)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
