# SPDX-License-Identifier: GPL-3.0-only
"""A broker, a Prometheus and simulated rigs on this machine, configured by this folder's files.

Used by run.py, by measure.py and by the tests.
"""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path

from fleet import accounts

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MICROPYTHON = ROOT / "build/venv/bin/micropython"
MOSQUITTO = "/etc/mosquitto/parallelator"
PASSWORD = "backstage"
"""Of the page of every simulated rig."""
SCRAPE_S = 15
"""How often Prometheus asks each rig, as prometheus.yml has it."""
END_WITH_PARENT = ("setpriv", "--pdeathsig", "TERM", "--")
PATIENCE_S = 30
TRIES = 3


def free_ports(count):
    """TCP ports of this machine that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    try:
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]
    finally:
        for probe in probes:
            probe.close()


def listens(port):
    """True when somebody does on this machine."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ask(url, query):
    """The result of a PromQL query; a wrong one is an error.

    Args:
        url: of a Prometheus.
    """
    text = urllib.parse.urlencode({"query": query})
    with urllib.request.urlopen(f"{url}/api/v1/query?{text}", timeout=10) as answer:
        return json.load(answer)["data"]["result"]


def wait_for(true, seconds=PATIENCE_S):
    """Wait until `true()` returns something; returns it.

    Raises:
        TimeoutError: it did not.
    """
    end = time.monotonic() + seconds
    while not (found := true()):
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.2)
    return found


def _ready(port):
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/-/ready", timeout=10):
            return True
    except OSError:
        return False


def broker_config(folder, port, tls_port=None):
    """mosquitto.conf for a broker on this machine whose files are in `folder`.

    Args:
        tls_port: for the listener with TLS, whose certificate lies there too; None = without it.
    """
    text = (HERE / "mosquitto.conf").read_text()
    if tls_port is None:
        text = text[: text.index("# TLS")]
    text = text.replace(MOSQUITTO, str(folder)).replace("/var/lib/mosquitto", str(folder))
    text = text.replace("listener 1883", f"listener {port} 127.0.0.1")
    text = text.replace("listener 8883", f"listener {tls_port} 127.0.0.1")
    return text + ("user root\n" if os.geteuid() == 0 else "")


def unit(k, port):
    """Simulated rig k = 1..999 as a line of the list of rigs."""
    return accounts.Rig(f"rig-{k:03}", f"246f2800{k:04x}", f"127.0.0.1:{port}")


def scenario(k, rig, mqtt):
    """The scenario of rig k: 16 packs and a load; something happens on two in five rigs.

    Args:
        rig: its line of the list; mqtt: its settings of that name.
    """
    steps = []
    if k % 5 == 2:  # trips, cools down and joins again, every ten minutes for a night
        for at_s in range(60, 36000, 600):
            steps.append({"at": at_s, "do": "inject_current", "n": 3, "ma": 24000})
            steps.append({"at": at_s + 0.5, "do": "inject_current", "n": 3, "ma": 0})
    elif k % 5 == 3:
        steps.append({"at": 90, "do": "board_unplug", "board": 3})
    return {
        "name": rig.name,
        "seed": k,  # the MAC address comes from it
        "batteries": [{"n": n, "soc": 0.8 + n % 5 / 500, "capacity_ah": 60} for n in range(1, 17)],
        "load": [[0, 0], [15, 10 + k % 30]],
        "steps": steps,
        "settings": {
            "name": rig.name,
            "serial_messages": False,
            "pack": {"capacity_mah": 60000},
            "wifi": {"ssid": "stage"},
            "web": {"password": PASSWORD},
            "mqtt": mqtt,
        },
    }


class Fleet:
    """A broker, a Prometheus and n rigs.

    Args:
        folder: for their files and logs, emptied first; n: 1..999.
        scrape_s: how often Prometheus asks.

    Attributes:
        folder; rigs: list of accounts.Rig; passwords: name to password;
        broker_port, prometheus_port; processes: name to Popen of what has been started.
    """

    def __init__(self, folder, n, scrape_s=SCRAPE_S):
        shutil.rmtree(folder, ignore_errors=True)
        self.folder = folder
        self.broker_port, self.prometheus_port, *ports = free_ports(n + 2)
        self.rigs = [unit(k, port) for k, port in enumerate(ports, 1)]
        self.passwords = accounts.write(folder, self.rigs)
        self.processes = {}
        (folder / "mosquitto.conf").write_text(broker_config(folder, self.broker_port))
        config = (HERE / "prometheus.yml").read_text()
        config = config.replace(f"{SCRAPE_S}s", f"{scrape_s}s")
        (folder / "prometheus.yml").write_text(
            config.replace("scrape_timeout: 10s", f"scrape_timeout: {min(scrape_s, 10)}s")
        )

    def start(self):
        """Start everything, and wait until all of it listens.

        Raises:
            RuntimeError: something does not; what it said is in the text.
        """
        self.start_broker()
        self.start_prometheus()
        for k, rig in enumerate(self.rigs, 1):
            mqtt = {
                "host": "127.0.0.1",
                "port": self.broker_port,
                "user": rig.name,
                "password": self.passwords[rig.name],
                "commands": True,
            }
            plan = self.folder / f"{rig.name}.json"
            plan.write_text(json.dumps(scenario(k, rig, mqtt)))
            port = rig.address.split(":")[1]
            flash = self.folder / rig.name
            program = (MICROPYTHON, "-X", "heapsize=16m", HERE / "rig.py")
            self._launch(rig.name, *program, plan, port, flash)
        for rig in self.rigs:
            self._await(rig.name, int(rig.address.split(":")[1]))

    def start_prometheus(self):
        """Start Prometheus alone, with the fleet page."""
        self._launch(
            "prometheus",
            "prometheus",
            f"--config.file={self.folder}/prometheus.yml",
            f"--storage.tsdb.path={self.folder}/prometheus",
            f"--web.listen-address=127.0.0.1:{self.prometheus_port}",
            f"--web.user-assets={HERE}/page",
        )
        self._await("prometheus", self.prometheus_port)
        wait_for(lambda: _ready(self.prometheus_port))

    def start_broker(self):
        """Start the broker alone, also after it was stopped; its log goes on."""
        self._launch("broker", "mosquitto", "-c", self.folder / "mosquitto.conf")
        self._await("broker", self.broker_port)

    def stop_broker(self):
        """Stop the broker; its clients are cut off."""
        self._end({"broker": signal.SIGTERM})

    def stop(self):
        """End everything: the rigs first, each with its switches open."""
        names = [rig.name for rig in self.rigs if rig.name in self.processes]
        self._end(dict.fromkeys(names, signal.SIGINT))
        self._end(dict.fromkeys(self.processes, signal.SIGTERM))

    def dead(self):
        """Names of what has ended by itself."""
        return [name for name, process in self.processes.items() if process.poll() is not None]

    def log(self, name):
        """What `broker`, `prometheus` or a rig has said so far."""
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _launch(self, name, program, *arguments):
        path = os.environ["PATH"] + ":/usr/sbin"
        with (self.folder / f"{name}.log").open("ab") as log:
            # In a session of its own: Ctrl-C is for run.py, which ends them in order. The kernel
            # ends it when whoever started it has ended without that.
            self.processes[name] = subprocess.Popen(
                [*END_WITH_PARENT, shutil.which(program, path=path), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _await(self, name, port):
        end = time.monotonic() + PATIENCE_S
        while not listens(port):
            if name in self.dead() or time.monotonic() > end:
                raise RuntimeError(f"{name} does not listen: {self.log(name)[-2000:]}")
            time.sleep(0.05)

    def _end(self, signals):
        """End those that `signals` names, all at once; each is given its signal, again if need be:
        asyncio may lose an interrupt that comes while a wait_for ends (MicroPython's funcs.py)."""
        ending = {name: self.processes.pop(name) for name in signals}
        for _ in range(TRIES):
            left = {name: process for name, process in ending.items() if process.poll() is None}
            for name, process in left.items():
                process.send_signal(signals[name])
            for process in left.values():
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(PATIENCE_S / TRIES)
        for process in ending.values():
            process.kill()
            process.wait()
