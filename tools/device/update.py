#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-3.0-only
"""Brings a bundle onto a rig over the network. Run by `make update HOST=...`.

    tools/device/update.py HOST [BUNDLE] [--confirm]

The password comes from the environment's PASSWORD, or is asked for. Without BUNDLE it is
build/parallelator-VERSION.bundle. --confirm goes on although the batteries carry load.
"""

import argparse
import getpass
import http.client
import json
import os
import sys
import time
from pathlib import Path

from device import build

PIECE = 1024
"""Of a bundle, in one request. It is put together in one piece of memory: a rig in use with 128 KB
of heap, 20 of them free, may have no free piece of 2 KB."""

PATIENCE_S = 15
PAUSE_S = 1
TRIES = 20
RESULT_S = 150
"""A trial takes a minute at most, and two starts."""


class UpdateFault(Exception):
    """Why the rig was not updated, for the person at the keyboard."""


class Rig:
    """The API of a rig.

    Args:
        host: name or address, with `:port` if that is not 80.
    """

    def __init__(self, host):
        self.host = host
        self._headers = {}

    def ask(self, method, path, body=None):
        """One request; returns the JSON of a good answer.

        Raises:
            OSError: nobody answers, or the answer is cut; Refusal: the rig says no.
        """
        link = http.client.HTTPConnection(self.host, timeout=PATIENCE_S)
        try:
            data = body if body is None or isinstance(body, bytes) else json.dumps(body)
            link.request(method, path, data, self._headers)
            answer = link.getresponse()
            content = json.loads(answer.read())
        except (http.client.HTTPException, ValueError) as error:
            raise OSError(f"no good answer: {error!r}") from None
        finally:
            link.close()
        if answer.status >= 400:
            raise Refusal(content["error"])
        return content

    def log_in(self, password):
        """Begin a session."""
        token = self.ask("POST", "/api/login", {"password": password})["token"]
        self._headers = {"Authorization": f"Bearer {token}"}

    def upload(self, content, confirmed, progress):
        """Send a bundle, from where it stopped when the network or the rig was busy.

        Args:
            content: bytes; confirmed: although load flows; progress: function (bytes so far).

        Raises:
            UpdateFault, Refusal
        """
        at = tries = 0
        while at < len(content):
            query = f"offset={at}&size={len(content)}&confirmed={int(confirmed)}"
            try:
                answer = self.ask("PUT", f"/api/update?{query}", content[at : at + PIECE])
                at = answer["received"]
                tries = 0
            except (OSError, Refusal) as error:
                # After an answer was lost, the rig may have more of the bundle than is known here.
                again = ("busy", "update_offset") if tries else ("busy",)
                if isinstance(error, Refusal) and error.code not in again:
                    raise
                tries += 1
                if tries > TRIES:
                    raise UpdateFault(f"{self.host} does not answer: {error}") from None
                time.sleep(PAUSE_S)
                at = self._received(at)
            progress(at)

    def _received(self, at):
        try:
            return self.ask("GET", "/api/update")["received"]
        except (OSError, Refusal):
            return at

    def result(self, boot):
        """Wait until a start after number `boot` tells how the trial went; returns that event.

        Raises:
            UpdateFault: it does not in time.
        """
        deadline = time.monotonic() + RESULT_S
        while time.monotonic() < deadline:
            time.sleep(PAUSE_S)
            try:
                if self.ask("GET", "/api/state")["boot"] > boot:
                    for event in self.ask("GET", "/api/events")["events"]:
                        if event["code"].startswith("update"):
                            return event
            except (OSError, Refusal):
                continue
        raise UpdateFault(f"{self.host} has not come back. Look at it.")


class Refusal(Exception):
    """What the rig refused, in its words.

    Attributes:
        code: of the API's error.
    """

    def __init__(self, error):
        super().__init__(error["message"])
        self.code = error["code"]


def update(host, content, password, confirmed, say=print):
    """Update a rig; returns the event with which the trial ended.

    Args:
        content: bytes of the bundle; password: of the page.

    Raises:
        UpdateFault, Refusal, OSError
    """
    rig = Rig(host)
    before = rig.ask("GET", "/api/state")
    say(f"{before['name']} runs Parallelator {before['version']}")
    rig.log_in(password)

    def progress(count):
        say(f"\r{100 * count // len(content):3} % of {len(content) // 1024} KB", end="")

    rig.upload(content, confirmed, progress)
    say("\nUploaded and verified. Restarting: every switch opens")
    rig.ask("POST", "/api/update", {"confirmed": confirmed})
    return rig.result(before["boot"])


def main():
    """Update; return the exit code."""
    parser = argparse.ArgumentParser(description="Bring a bundle onto a rig over the network.")
    parser.add_argument("host", help="name or address of the rig, with :port if it is not 80")
    parser.add_argument("bundle", type=Path, nargs="?")
    parser.add_argument("--confirm", action="store_true", help="although batteries carry load")
    options = parser.parse_args()
    path = options.bundle or build.ROOT / f"build/parallelator-{build.version()}.bundle"
    password = os.environ.get("PASSWORD") or getpass.getpass(f"Password of {options.host}: ")
    try:
        event = update(options.host, path.read_bytes(), password, options.confirm)
    except (UpdateFault, Refusal, OSError) as error:
        hint = " Give CONFIRM=1." if getattr(error, "code", "") == "update_load" else ""
        print(f"\nupdate: {error}{hint}", file=sys.stderr)
        return 1
    print(event["text"])
    return 0 if event["code"] == "updated" else 1


if __name__ == "__main__":
    sys.exit(main())
