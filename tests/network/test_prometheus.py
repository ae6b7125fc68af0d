# SPDX-License-Identifier: GPL-3.0-only
"""`/metrics` as Prometheus takes it: its linter finds no fault, and it scrapes without a gap."""

import json
import os
import shutil
import subprocess
import time
import urllib.parse
import urllib.request

from rigs import free_port, simulated

SOAK = os.environ.get("SOAK") == "1"
SCRAPES = 20 if SOAK else 3
INTERVAL_S = 3
SCENARIO = {
    "batteries": 8,
    "load": [[0, 0], [8, 30]],
    "settings": {
        "batteries": {"3": {"label": 'Été "gauche" \\ 1'}},
        "pack": {"capacity_mah": 20000},
    },
}


def test_promtool_finds_no_fault():
    with simulated(**SCENARIO) as rig:
        rig.until(lambda state: state["bus"]["connected"] == 8)
        status, headers, text = rig.ask("GET", "/metrics")
    assert status == 200 and headers["Content-Type"].startswith("text/plain; version=0.0.4")
    promtool = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, timeout=60
    )
    assert (promtool.returncode, promtool.stdout, promtool.stderr) == (0, b"", b""), promtool
    bad = text.replace(b"_total", b"_sum").replace(b"# HELP parallelator_uptime_seconds", b"#")
    promtool = subprocess.run(["promtool", "check", "metrics"], input=bad, capture_output=True)
    assert promtool.returncode, "promtool passes anything"


class Prometheus:
    """A Prometheus of our own that scrapes rigs every INTERVAL_S.

    Args:
        folder: where it keeps its data; rigs: Clients.
    """

    def __init__(self, folder, rigs):
        self.port = free_port()
        targets = [f"127.0.0.1:{rig.port}" for rig in rigs]
        config = {
            "global": dict.fromkeys(("scrape_interval", "scrape_timeout"), f"{INTERVAL_S}s"),
            "scrape_configs": [{"job_name": "rigs", "static_configs": [{"targets": targets}]}],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        with (folder / "log").open("wb") as log:
            self.process = subprocess.Popen(
                [
                    shutil.which("prometheus"),
                    f"--config.file={folder}/prometheus.yml",
                    f"--storage.tsdb.path={folder}/data",
                    f"--web.listen-address=127.0.0.1:{self.port}",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
            )

    def ask(self, query):
        """The result of a PromQL query: list of (labels, value), [] before it answers."""
        text = urllib.parse.urlencode({"query": query})
        url = f"http://127.0.0.1:{self.port}/api/v1/query?{text}"
        try:
            with urllib.request.urlopen(url, timeout=10) as answer:
                found = json.load(answer)["data"]["result"]
        except OSError:
            return []
        return [(row["metric"], float(row["value"][1])) for row in found]

    def until(self, query, true, seconds=60):
        """Waits for a result."""
        end = time.monotonic() + seconds
        while not true(found := self.ask(query)):
            assert time.monotonic() < end, (query, found)
            time.sleep(0.2)
        return found


def test_a_real_prometheus_scrapes_three_rigs_without_a_gap(tmp_path):
    with (
        simulated(**SCENARIO) as one,
        simulated(**SCENARIO) as two,
        simulated(**SCENARIO) as three,
    ):
        server = Prometheus(tmp_path, [one, two, three])
        try:
            server.until(f"count_over_time(up[1h]) >= {SCRAPES}", lambda found: len(found) == 3)
            gaps = server.ask("min_over_time(up[1h])")
            assert [value for _, value in gaps] == [1, 1, 1], gaps
            running = server.ask("delta(parallelator_uptime_seconds[1h])")
            assert len(running) == 3 and all(value > 0 for _, value in running), running
            volts = server.until(
                "parallelator_battery_voltage_volts", lambda found: len(found) == 24
            )
            assert all(20 < value < 30 for _, value in volts), volts
            labels = server.ask('parallelator_battery_info{battery="3"}')
            assert {labels["label"] for labels, _ in labels} == {'Été "gauche" \\ 1'}
        finally:
            server.process.terminate()
            server.process.wait(30)
