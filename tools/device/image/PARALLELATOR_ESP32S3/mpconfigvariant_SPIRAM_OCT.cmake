# SPDX-License-Identifier: GPL-3.0-only

include(${CMAKE_SOURCE_DIR}/boards/ESP32_GENERIC_S3/mpconfigvariant_SPIRAM_OCT.cmake)
