# SPDX-License-Identifier: GPL-3.0-only

# It takes -Os: with -O2 and what the first ESP32s need for PSRAM, MicroPython's code outgrows the
# memory that it must lie in.
include(${CMAKE_SOURCE_DIR}/boards/ESP32_GENERIC/mpconfigvariant_SPIRAM.cmake)
