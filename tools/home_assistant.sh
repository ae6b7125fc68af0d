#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-only

# Makes build/home-assistant, a venv with Home Assistant's own schemas of what it takes by MQTT:
# some 400 MB, for `make soak` only. 2024.3.3 is the last one for Python 3.11.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/home-assistant
[ ! -e "$venv/complete" ] || exit 0
build/venv/bin/python -m venv "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check \
  homeassistant==2024.3.3 paho-mqtt==1.6.1
touch "$venv/complete"
