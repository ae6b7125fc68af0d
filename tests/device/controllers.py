# SPDX-License-Identifier: GPL-3.0-only
"""A stand-in for an ESP32 on a serial port: controller.py on a pseudo-terminal, and its cable."""

import fcntl
import json
import os
import select
import signal
import subprocess
import termios
import threading
import time
import tty
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
MICROPYTHON = ROOT / "build/venv/bin/micropython"
BLOCK = 4096
FORMAT = """
import os, sys
sys.path.append({tools!r})
from sim.flash import Flash
os.VfsLfs2.mkfs(Flash(open({image!r}, "r+b")))
"""


class Controller:
    """A device in `folder`, kept there, plugged in and powered while the context lasts.

    Args:
        blocks: of 4096 bytes: size of its flash.
        program: another command than controller.py to run on the port, None = controller.py.

    Attributes:
        port: its serial port; lives: how often it has started; said: all that it has sent.
    """

    def __init__(self, folder, blocks=512, program=None):
        self.image = folder / "flash.img"
        self.storage = folder / "storage.json"
        self._program = program
        self._unplug = None
        self._sent = b""
        self._stop = False
        if not self.image.exists():
            self.image.write_bytes(b"\xff" * BLOCK * blocks)
            self.storage.write_text("")
            self._format()

    def _format(self):
        code = FORMAT.format(tools=str(ROOT / "tools"), image=str(self.image))
        subprocess.run([MICROPYTHON, "-X", "heapsize=4m", "-c", code], check=True)

    def __enter__(self):
        self.said = b""
        self.lives = 0
        self._stop = False
        self._host, outside = os.openpty()
        tty.setraw(outside)
        self.port = os.ttyname(outside)
        self._outside = outside
        self._start()
        self._cable = threading.Thread(target=self._carry, daemon=True)
        self._cable.start()
        return self

    def __exit__(self, *_):
        self._stop = True
        self._cable.join()
        self._kill()
        if self._host is not None:
            os.close(self._host)
            os.close(self._outside)

    def start_with(self, why):
        """What the next start knows of the end before; after "maintenance" there is a prompt."""
        self.storage.write_text(json.dumps({"parallelator": {"why": why}}).ljust(500))

    def unplug_at(self, text, count=1):
        """Pull the plug when the host has sent `text` for the time number `count`."""
        self._sent = b""
        self._unplug = (text.encode(), count)

    def _start(self):
        self.lives += 1
        self._inside, terminal = os.openpty()
        tty.setraw(terminal)
        files = [self.image, self.storage]
        script = ROOT / "tests/device/controller.py"
        command = [MICROPYTHON, "-X", "heapsize=8m", "-i", script, *files]
        self._process = subprocess.Popen(
            self._program or command,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        os.close(terminal)

    def _kill(self):
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        os.close(self._inside)

    def _carry(self):
        """The cable: bytes both ways, a new life after each death, the plug."""
        while not self._stop:
            ready, _, _ = select.select([self._host, self._inside], [], [], 0.05)
            for end in ready:
                try:
                    data = os.read(end, 4096)
                except OSError:
                    data = b""
                if end == self._inside and data:
                    self.said += data
                    os.write(self._host, data)
                elif end == self._host and data:
                    if self._pulled(data):
                        return
                    os.write(self._inside, data)
                elif end == self._inside:
                    self._process.wait()
                    os.close(self._inside)
                    self._start()

    def _pulled(self, data):
        if not self._unplug:
            return False
        self._sent += data
        text, count = self._unplug
        if self._sent.count(text) < count:
            return False
        self._process.send_signal(signal.SIGKILL)
        os.close(self._host)
        os.close(self._outside)
        self._host = None
        return True

    def until(self, text, seconds=20):
        """Wait until the device has said `text`."""
        deadline = time.monotonic() + seconds
        while text.encode() not in self.said:
            assert time.monotonic() < deadline, self.said.decode(errors="replace")
            time.sleep(0.02)
