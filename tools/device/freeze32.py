# SPDX-License-Identifier: GPL-3.0-only
"""What frozen.sh freezes: what an image for the ESP32 has, and the measuring."""

# ruff: noqa: F821 - the functions are those of MicroPython's manifest files

include("image/manifest.py", host=True)
module("heap32_chips.py", opt=2)
module("heap32_standins.py", opt=2)
module("heap32_frozen.py", opt=2)
module("heap32_image.py", opt=2)
module("flash.py", base_path="../sim", opt=2)
