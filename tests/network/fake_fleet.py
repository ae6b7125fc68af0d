# SPDX-License-Identifier: GPL-3.0-only
"""Many made-up rigs behind one port, each at an address of its own, for Prometheus to read."""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fleet import accounts

STATES = (("on", ""), ("locked", "overcurrent"), ("tripped", "overload"))
RIG = """\
parallelator_uptime_seconds {uptime}
parallelator_voltage_volts {volts:.3f}
parallelator_current_amperes {amperes:.3f}
parallelator_charge_ratio {charge:.2f}
"""


def told(k, alarms=(), state=0, left_s=None, amperes=None):
    """What rig k says at /metrics.

    Args:
        alarms: (code, severity, battery or "") each; state: of its battery 5, an index into
            STATES; left_s: seconds left, None = not known.
    """
    lines = RIG.format(
        uptime=1000 + k,
        volts=25 + k % 7 / 2,
        amperes=10 + 3.7 * (k % 20) if amperes is None else amperes,
        charge=0.15 + k * 7 % 80 / 100,
    )
    if left_s is not None:
        lines += f"parallelator_time_to_empty_seconds {left_s}\n"
    for code, severity, battery in alarms:
        labels = f'code="{code}",severity="{severity}",battery="{battery}"'
        lines += f"parallelator_alarm{{{labels}}} 1\n"
    for n in range(1, 17):
        name, reason = STATES[state if n == 5 else 0]
        labels = f'battery="{n}",state="{name}",reason="{reason}",clears=""'
        lines += f"parallelator_battery_state{{{labels}}} 1\n"
        lines += f'parallelator_battery_connected{{battery="{n}"}} {int(name == "on")}\n'
    return lines


class Server(ThreadingHTTPServer):
    """Takes many at once, and does not mind who leaves early."""

    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, request, client_address):
        """Prometheus has lost its patience on a busy host."""


class FakeFleet:
    """Answers for n rigs, 1..200; `texts` is what each says, None = it is off.

    Attributes:
        rigs: list of accounts.Rig; texts: list of str or None.
    """

    def __init__(self, n):
        texts = self.texts = [told(k) for k in range(1, n + 1)]

        class Handler(BaseHTTPRequestHandler):
            """One request of Prometheus."""

            def do_GET(self):
                text = texts[int(self.connection.getsockname()[0].split(".")[3]) - 2]
                self.send_response(200 if text else 503)
                self.send_header("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
                self.end_headers()
                self.wfile.write((text or "").encode())

            def log_message(self, *_):
                """Nothing is printed."""

        self._server = Server(("0.0.0.0", 0), Handler)
        port = self._server.server_port
        self.rigs = [
            accounts.Rig(f"rig-{k:03}", f"246f2800{k:04x}", f"127.0.0.{k + 1}:{port}")
            for k in range(1, n + 1)
        ]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        """Answers no more."""
        self._server.shutdown()
        self._server.server_close()
