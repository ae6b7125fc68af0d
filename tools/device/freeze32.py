# SPDX-License-Identifier: GPL-3.0-only
"""What frozen.sh freezes: the firmware, what the ESP32's image brings along, and the measuring."""

# ruff: noqa: F821 - the functions are those of MicroPython's manifest files

include("$(MPY_DIR)/extmod/asyncio")
include("freeze.py")
package("umqtt", base_path="../../build/mpy-lib", opt=2)
module("heap32_chips.py", opt=2)
module("heap32_standins.py", opt=2)
module("heap32_frozen.py", opt=2)
