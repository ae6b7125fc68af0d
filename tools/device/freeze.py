"""What to freeze into an image of MicroPython of one's own: it saves the memory of the modules.

For people who build MicroPython for their board, after `make build` here:

    make -C ports/esp32 BOARD=ESP32_GENERIC FROZEN_MANIFEST=<this file>

The page and the messages are read as files: copy build/device/app/page and
build/device/app/parallelator/messages into /lib of the device, and boot.py, main.py and
config.json into its root folder. An application that `make deploy` brings wins over a frozen one.
"""

# ruff: noqa: F821 - the functions are those of MicroPython's manifest files

options.defaults(board=True)
if options.board:
    include("$(PORT_DIR)/boards/manifest.py")
package("parallelator", base_path="../../lib", opt=2)
package("microdot", base_path="../../build/mpy-lib", opt=2)
module("sdcard.py", base_path="../../build/mpy-lib", opt=2)
module("words_en.py", base_path="../../build/words", opt=2)
module("words_fr.py", base_path="../../build/words", opt=2)
