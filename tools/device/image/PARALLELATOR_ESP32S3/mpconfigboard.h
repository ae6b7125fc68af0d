// SPDX-License-Identifier: GPL-3.0-only

#include "../mpconfigimage.h"
#include "boards/ESP32_GENERIC_S3/mpconfigboard.h"
