# SPDX-License-Identifier: GPL-3.0-only

# MicroPython's board, which uses PSRAM with four lines when there is one, changed as ../sdkconfig
# says.
include(${CMAKE_SOURCE_DIR}/boards/ESP32_GENERIC_S3/mpconfigboard.cmake)
list(REMOVE_ITEM SDKCONFIG_DEFAULTS boards/sdkconfig.ble)
list(APPEND SDKCONFIG_DEFAULTS boards/sdkconfig.240mhz ${MICROPY_BOARD_DIR}/../sdkconfig)
set(MICROPY_FROZEN_MANIFEST ${MICROPY_BOARD_DIR}/../manifest.py)
