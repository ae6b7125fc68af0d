# SPDX-License-Identifier: GPL-3.0-only
"""The cable to a device: finds the port, stops whatever runs there, calls agent.py on it.

Used by deploy, backup and their tests. A device that runs the application restarts into
maintenance on Ctrl-C (see main.py); one at its prompt, in maintenance or in a crash loop answers
at once or at the next try.
"""

import ast
import contextlib
import os
import struct
import time
from base64 import b64encode
from pathlib import Path

from mpremote.transport import TransportError, TransportExecError
from mpremote.transport_serial import SerialTransport
from serial.tools import list_ports

AGENT = Path(__file__).with_name("agent.py")
PATIENCE_S = 30
START_S = 30
OLDEST = (1, 25, 0)
MPY_FORMAT = 6
ARCHITECTURES = {"x64": 2, "xtensawin": 10}
_TRY_S = 1.5
_READ_S = 0.5
_PIECE = 1024
_BANNER = b"raw REPL; CTRL-B to exit\r\n"
_LOST = (TransportError, OSError, struct.error, ValueError, SyntaxError)


class DeviceError(Exception):
    """What is wrong, for the person at the cable."""


def find_port(port=None):
    """The serial port to use: `port`, or the only USB one that there is.

    Raises:
        DeviceError: there is none, or there are several.
    """
    if port:
        return port
    found = [info.device for info in list_ports.comports() if info.vid is not None]
    if len(found) == 1:
        return found[0]
    if found:
        raise DeviceError(
            f"Several devices are plugged in. Choose: PORT={' or PORT='.join(found)}"
        )
    raise DeviceError("No device is plugged in (no USB serial port). Try another cable or socket.")


def _refusal(port):
    if not os.path.exists(port):
        return f"There is no {port}. Is the device plugged in?"
    if not os.access(port, os.R_OK | os.W_OK):
        return f"{port} must not be used by this account. Debian: add it to the group dialout."
    return f"{port} is in use by another program. Close it, a monitor perhaps, and try again."


def attach(port, patience_s=PATIENCE_S):
    """Stop what runs at `port`; returns the `Device`.

    Raises:
        DeviceError: no such port, or nothing there that answers like MicroPython.
    """
    deadline = time.monotonic() + patience_s
    try:
        transport = SerialTransport(port, timeout=_READ_S)
    except TransportError:
        raise DeviceError(_refusal(port)) from None
    while True:
        try:
            if _enter(transport):
                return Device(port, transport)
        except OSError:
            # A USB port that is part of the chip vanishes at a reset and comes back.
            _close(transport)
            time.sleep(_READ_S)
            with contextlib.suppress(TransportError):
                transport = SerialTransport(port, timeout=_READ_S)
        if time.monotonic() > deadline:
            _close(transport)
            raise DeviceError(
                f"What is at {port} does not answer like MicroPython. Is it the right port? "
                "A blank controller needs MicroPython first: make flash."
            )


def _enter(transport):
    """Ctrl-C, then the raw prompt; True when it comes. mpremote's own would wait for silence."""
    link = transport.serial
    link.write(b"\r\x03")
    link.reset_input_buffer()
    link.write(b"\r\x01")
    deadline = time.monotonic() + _TRY_S
    said = b""
    while not said.endswith(_BANNER):
        if time.monotonic() > deadline:
            return False
        said += link.read(1)
    transport.in_raw_repl = True
    return True


def _close(transport):
    with contextlib.suppress(Exception):
        transport.close()


class Device:
    """A device at its raw prompt, with agent.py loaded on the first call.

    Attributes:
        port: its serial port.

    Raises:
        DeviceError: in every method: the connection broke, or the device reported an error.
    """

    def __init__(self, port, transport):
        self.port = port
        self._transport = transport
        self._loaded = False

    def call(self, code):
        """Run a function of agent.py; returns what it printed, a list of values."""
        try:
            if not self._loaded:
                self._transport.exec(AGENT.read_bytes())
                self._loaded = True
            said = self._transport.exec(code)
            return [ast.literal_eval(line) for line in said.decode().splitlines()]
        except TransportExecError as error:
            raise DeviceError(_told(error)) from None
        except _LOST as error:
            raise DeviceError(
                f"The connection to {self.port} broke ({type(error).__name__}). The device keeps "
                "what it had. Plug it in and do this again."
            ) from None

    def write(self, path, content, progress=lambda count: None):
        """Write a file; returns its SHA-256 as read back. `progress` gets bytes so far."""
        self.call(f"begin({path!r})")
        for at in range(0, len(content), _PIECE):
            self.call(f"more({b64encode(content[at : at + _PIECE])!r})")
            progress(min(at + _PIECE, len(content)))
        return self.call(f"end({path!r})")[0]

    def read(self, path):
        """The content of a file."""
        try:
            return bytes(self._transport.fs_readfile(path, chunk_size=_PIECE))
        except _LOST as error:
            raise DeviceError(f"{path} cannot be read: {error}") from None

    def check(self, architecture=None, needed_kb=0):
        """Make sure that this is a device for the application; returns (machine, block, free).

        Args:
            architecture: of the viper code that it is to run; None = any.
            needed_kb: of memory that must be free.

        Raises:
            DeviceError: it is something else.
        """
        esp32, name, version, machine, mpy, block, free, memory = self.call("about()")[0]
        found = f"{name} {'.'.join(map(str, version))} on {machine}"
        if not esp32:
            raise DeviceError(f"This is not an ESP32: found {found}.")
        if name != "micropython" or version < OLDEST:
            raise DeviceError(f"MicroPython 1.25 or newer is needed, found {found}: make flash.")
        if mpy & 0xFF != MPY_FORMAT:
            raise DeviceError(f"{found} cannot load .mpy files of version {MPY_FORMAT}.")
        if architecture and mpy >> 10 & 0x0F != ARCHITECTURES[architecture]:
            raise DeviceError(f"The build is for {architecture}, which {machine} does not run.")
        if memory // 1024 < needed_kb:
            raise DeviceError(
                f"{machine} has {memory // 1024} KB of memory free. The application needs "
                f"{needed_kb} KB as .mpy files: it would not start. Nothing was changed. Use the "
                "image that has it frozen: make flash. Or, with PSRAM, MicroPython that knows it: "
                "make flash CONTROLLER=ESP32_GENERIC-SPIRAM."
            )
        return machine, block, free

    def restart(self, until):
        """Restart the device and listen until it says `until`; returns all it said, as text.

        Raises:
            DeviceError: it did not say that in time; with what it said.
        """
        with contextlib.suppress(*_LOST):
            self._transport.exec_raw_no_follow("import machine\nmachine.reset()")
        said = b""
        deadline = time.monotonic() + START_S
        while until.encode() not in said:
            if time.monotonic() > deadline:
                text = said.decode(errors="replace").strip()[-2000:]
                raise DeviceError(f"The device restarted but does not say {until!r}:\n{text}")
            try:
                said += self._transport.serial.read(256)
            except OSError:
                time.sleep(_READ_S)
                with contextlib.suppress(*_LOST):
                    _close(self._transport)
                    self._transport = SerialTransport(self.port, timeout=_READ_S)
        return said.decode(errors="replace")

    def close(self):
        """Let go of the port."""
        _close(self._transport)


def _told(error):
    last = error.error_output.strip().splitlines()[-1]
    if "ENOSPC" in last or "OSError: 28" in last:
        return "The flash of the device is full. Remove files of yours from it: mpremote ls, rm."
    return f"The device reports: {last}"
