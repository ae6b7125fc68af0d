# SPDX-License-Identifier: GPL-3.0-only
"""A real broker that tests can stop or slow down, and a client that listens to all topics."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import paho.mqtt.client as paho

from rigs import free_port

MOSQUITTO = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
USER = "stage"
PASSWORD = "à côté"
PATIENCE_S = 60


class Broker:
    """A mosquitto of our own; what it retains and its log are in `folder`.

    Args:
        users: only USER with PASSWORD may connect.
        tls: (certificate, key) of its only listener, or None.
    """

    def __init__(self, users=False, tls=None):
        self.port = free_port()
        self._folder = tempfile.TemporaryDirectory()
        self.folder = Path(self._folder.name)
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {str(not users).lower()}"]
        if users:
            lines.append(f"password_file {self.folder / 'passwords'}")
        if tls:
            lines += [f"certfile {tls[0]}", f"keyfile {tls[1]}"]
        if os.geteuid() == 0:
            lines.append("user root")
        (self.folder / "conf").write_text("\n".join(lines) + "\n")
        self.process = None
        if users:
            self.change_password(PASSWORD)
        self.start()

    def start(self):
        """Runs it and waits until it listens."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [MOSQUITTO, "-c", self.folder / "conf"], stdout=log, stderr=subprocess.STDOUT
            )
        for _ in range(500):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                    return
            time.sleep(0.02)
        raise RuntimeError("mosquitto does not listen")

    def stop(self):
        """Ends it; its clients are cut off."""
        self.process.send_signal(signal.SIGCONT)
        self.process.terminate()
        self.process.wait(10)

    def freeze(self):
        """Stop its process: it sends nothing, its connections stay, and new ones are accepted."""
        self.process.send_signal(signal.SIGSTOP)

    def thaw(self):
        """Let its process go on."""
        self.process.send_signal(signal.SIGCONT)

    def change_password(self, password):
        """Set the password of USER from now on."""
        passwords = self.folder / "passwords"
        subprocess.run(["mosquitto_passwd", "-b", "-c", passwords, USER, password], check=True)
        if self.process:
            self.process.send_signal(signal.SIGHUP)

    def settings(self, **more):
        """The settings `mqtt` of a rig that belongs to it."""
        return {"host": "127.0.0.1", "port": self.port, "interval_s": 1} | more

    def close(self):
        """Ends it for good."""
        self.stop()
        self._folder.cleanup()


@contextlib.contextmanager
def running(**options):
    """A Broker, closed afterwards."""
    broker = Broker(**options)
    try:
        yield broker
    finally:
        broker.close()


class Listener:
    """Hears everything on a broker, and says something.

    Attributes:
        heard: list of (topic, payload, retained) in the order of arrival.
    """

    def __init__(self, broker, user=None, ca=None):
        self.heard = []
        self._news = threading.Condition()
        self._client = paho.Client(paho.CallbackAPIVersion.VERSION2)
        if user:
            self._client.username_pw_set(*user)
        if ca:
            self._client.tls_set(ca)
        self._client.reconnect_delay_set(1, 1)
        self._client.on_connect = lambda client, *_: client.subscribe("#")
        self._client.on_message = self._note
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def _note(self, client, userdata, message):
        with self._news:
            self.heard.append(
                (message.topic, message.payload.decode(errors="replace"), message.retain)
            )
            self._news.notify_all()

    def say(self, topic, payload, retain=False):
        """Publishes."""
        self._client.publish(topic, payload, retain=retain).wait_for_publish(PATIENCE_S)

    def wait(self, true, since=0):
        """Waits for a message of which `true(topic, payload)`; returns (its place, payload)."""
        end = time.monotonic() + PATIENCE_S
        with self._news:
            begin = since
            while True:
                for at in range(begin, len(self.heard)):
                    if true(*self.heard[at][:2]):
                        return at, self.heard[at][1]
                begin = len(self.heard)
                left = end - time.monotonic()
                assert left > 0, self.heard[since:][-20:]
                self._news.wait(left)

    def wait_for(self, topic, true=lambda value: True, since=0):
        """Waits for JSON on `topic` of which `true(value)`; returns (its place, value)."""
        at, payload = self.wait(
            lambda place, payload: place == topic and true(json.loads(payload)), since
        )
        return at, json.loads(payload)

    def wait_status(self, base, status, since=0):
        """Waits until the rig below `base` is `online` or `offline`; returns the place."""
        return self.wait(lambda *heard: heard == (base + "/status", status), since)[0]

    def close(self):
        """Leaves."""
        self._client.disconnect()
        self._client.loop_stop()


class SlowRoad:
    """A TCP proxy to a broker that lets only so many bytes through each tenth of a second.

    Args:
        broker: the Broker; step: bytes each way.
    """

    def __init__(self, broker, step):
        self.port = free_port()
        self._step = step
        self._broker = broker
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._listener.accept()
                onward = socket.create_connection(("127.0.0.1", self._broker.port))
                for pair in ((link, onward), (onward, link)):
                    threading.Thread(target=self._carry, args=pair, daemon=True).start()

    def _carry(self, source, target):
        with contextlib.suppress(OSError):
            while data := source.recv(self._step):
                target.sendall(data)
                time.sleep(0.1)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def close(self):
        """Accepts no more connections."""
        self._listener.close()


def certificates(folder):
    """(authority, (certificate, key)) for a broker at 127.0.0.1, all PEM files in `folder`."""

    def openssl(*arguments):
        subprocess.run(["openssl", *arguments], check=True, cwd=folder, capture_output=True)

    names = "subjectAltName=DNS:127.0.0.1,IP:127.0.0.1"
    (folder / "names").write_text(names)
    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=authority")
    openssl("req", *key, "-keyout", "key.pem", "-out", "request", "-subj", "/CN=127.0.0.1")
    signed = ("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
    openssl("x509", "-req", "-in", "request", *signed, "-days", "30", "-out", "cert.pem")
    return folder / "ca.pem", (folder / "cert.pem", folder / "key.pem")
