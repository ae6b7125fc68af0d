#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-only

# Makes build/home-assistant, a venv with a Home Assistant that runs: some 700 MB, for `make soak`
# only. 2026.2.3 is the last one for Python 3.13, which it takes from PATH or from pyenv; it asks
# for 3.13.2, but what is used of it works with 3.13.0.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=build/home-assistant
[ ! -e "$venv/complete" ] || exit 0
python=
for found in python3.13 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.13.*/bin/python; do
  ! "$found" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 13))' 2>/dev/null || python=$found
done
[ "$python" ] || { echo "Home Assistant needs Python 3.13, in PATH or by pyenv." >&2; exit 1; }
"$python" -m venv --clear "$venv"
"$venv/bin/python" -m pip install --quiet --disable-pip-version-check --ignore-requires-python \
  homeassistant==2026.2.3 home-assistant-frontend==20260128.6 paho-mqtt==2.1.0
touch "$venv/complete"
