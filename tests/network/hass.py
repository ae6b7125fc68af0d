# SPDX-License-Identifier: GPL-3.0-only
"""A Home Assistant that runs, and how tests talk to it. For build/home-assistant's Python only."""

import asyncio
import json
import subprocess
import sys
import time
from pathlib import Path

import aiohttp

from rigs import free_port

CONFIGURATION = """
homeassistant:
  name: Test
http:
  server_host: 127.0.0.1
  server_port: {port}
api:
config:
onboarding:
recorder:
  commit_interval: 1
energy:
logger:
  default: warning
"""
START = """
import sys
import homeassistant.const as const
const.REQUIRED_PYTHON_VER = const.REQUIRED_NEXT_PYTHON_VER = sys.version_info[:3]
from homeassistant.__main__ import main
sys.exit(main())
"""
"""It asks for the last patch of its Python; what we use of it works with the first."""
PATIENCE_S = 90


class Hass:
    """A Home Assistant of our own, with a user and our broker.

    Args:
        folder: empty, for its files; broker: a `Broker`.

    Attributes:
        log: path of what it says.
    """

    def __init__(self, folder, broker):
        self.folder = Path(folder)
        self._broker = broker
        self._port = free_port()
        self.log = self.folder / "log"
        (self.folder / "configuration.yaml").write_text(CONFIGURATION.format(port=self._port))
        self._url = f"http://127.0.0.1:{self._port}"
        self._headers = {}
        self._refresh = None
        self._process = None
        self._session = self._socket = None
        self._number = 0

    async def start(self):
        """Runs it; the first time it is set up."""
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", START, "-c", self.folder, "--skip-pip"],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._session = aiohttp.ClientSession()
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                steps = await self._get("/api/onboarding")
                break
            except (aiohttp.ClientError, OSError):
                assert self._process.poll() is None and time.monotonic() < end, self.said()
                await asyncio.sleep(0.2)
        if not steps[0]["done"]:
            await self._set_up()
        else:
            await self._log_in({"grant_type": "refresh_token", "refresh_token": self._refresh})
        self._socket = await self._session.ws_connect(self._url + "/api/websocket", max_msg_size=0)
        await self._socket.receive_json()
        token = self._headers["Authorization"].split()[1]
        await self._socket.send_json({"type": "auth", "access_token": token})
        assert (await self._socket.receive_json())["type"] == "auth_ok"

    async def _set_up(self):
        user = {"client_id": self._url, "name": "x", "username": "x", "password": "x-9-x-9-x"}
        found = await self._post("/api/onboarding/users", user | {"language": "en"})
        await self._log_in({"grant_type": "authorization_code", "code": found["auth_code"]})
        flow = await self._post("/api/config/config_entries/flow", {"handler": "mqtt"})
        data = {"broker": "127.0.0.1", "port": self._broker.port}
        done = await self._post("/api/config/config_entries/flow/" + flow["flow_id"], data)
        assert done["type"] == "create_entry", done

    async def _log_in(self, data):
        data = data | {"client_id": self._url}
        async with self._session.post(self._url + "/auth/token", data=data) as answer:
            found = await answer.json()
        self._refresh = found.get("refresh_token", self._refresh)
        self._headers = {"Authorization": "Bearer " + found["access_token"]}

    async def _get(self, path):
        async with self._session.get(self._url + path, headers=self._headers) as answer:
            return await answer.json()

    async def _post(self, path, data):
        address = self._url + path
        async with self._session.post(address, json=data, headers=self._headers) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def ask(self, kind, **more):
        """The result of a command over its WebSocket."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "type": kind} | more)
        while True:
            answer = await self._socket.receive_json()
            if answer["id"] == self._number:
                assert answer["success"], answer
                return answer["result"]

    async def states(self):
        """Entity identifier to dict of its state."""
        return {state["entity_id"]: state for state in await self.ask("get_states")}

    async def entities(self):
        """The registry of the entities by MQTT: unique identifier to dict."""
        found = await self.ask("config/entity_registry/list")
        return {entry["unique_id"]: entry for entry in found if entry["platform"] == "mqtt"}

    async def devices(self):
        """The registry of the devices: our identifier to dict."""
        return {
            device["identifiers"][0][1]: device
            for device in await self.ask("config/device_registry/list")
            if device["identifiers"] and device["identifiers"][0][0] == "mqtt"
        }

    async def call(self, service, entity, **data):
        """Calls a service, `domain.name`, on an entity."""
        domain, name = service.split(".")
        target = {"entity_id": entity}
        await self.ask(
            "call_service", domain=domain, service=name, service_data=data, target=target
        )

    async def until(self, true, seconds=PATIENCE_S):
        """Waits until `true(states)`; returns how many seconds that took."""
        began = time.monotonic()
        while not true(found := await self.states()):
            assert time.monotonic() < began + seconds, json.dumps(found)[:4000]
            await asyncio.sleep(0.05)
        return time.monotonic() - began

    def said(self):
        """What it logged, without what is of this installation."""
        ours = ("Skipping pip", "zlib_ng", "urllib3")
        lines = self.log.read_text(errors="replace").splitlines()
        return "\n".join(line for line in lines if not any(word in line for word in ours))

    async def stop(self):
        """Ends it; its files stay."""
        await self._socket.close()
        await self._session.close()
        self._process.terminate()
        self._process.wait(60)
