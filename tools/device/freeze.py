# SPDX-License-Identifier: GPL-3.0-only
"""What to freeze into an image of MicroPython of one's own: a controller without PSRAM needs it.

With ESP-IDF 5.5.2 installed and sourced, and MicroPython's repository at v1.29.0, which was made
for that version, after `make build` here (not tried; `make memory` freezes the same for the host):

    make -C micropython/ports/esp32 BOARD=ESP32_GENERIC submodules
    export MICROPY_MPYCROSS=<tools/device/mpy_cross.sh beside this file>
    make -C micropython/ports/esp32 BOARD=ESP32_GENERIC FROZEN_MANIFEST=<this file>
    esptool erase-flash
    esptool write-flash 0x1000 micropython/ports/esp32/build-ESP32_GENERIC/firmware.bin

The modules of the application are one, see join.py: so they take a quarter less of the heap. A
traceback names a function as `run__web_live` and the line in build/joined/parallelator/joined.py.

The page and the messages are read as files: copy build/device/app/page into /lib of the device,
build/device/app/parallelator/messages into /lib/parallelator, and boot.py, main.py and config.json
into its root folder. An application that `make deploy` or an update brings wins over a frozen one.
"""

# ruff: noqa: F821 - the functions are those of MicroPython's manifest files

include("$(PORT_DIR)/boards/manifest.py")
package("parallelator", base_path="../../build/joined", opt=2)
module("words_en.py", base_path="../../build/words", opt=2)
module("words_fr.py", base_path="../../build/words", opt=2)
