# SPDX-License-Identifier: GPL-3.0-only
"""What is frozen into an image of MicroPython: all that a rig runs. After `make build`.

build.sh freezes it for the ESP32, frozen.sh for the host with `host=True`. The modules of the
firmware are one, see join.py: so they take a quarter less of the heap. A traceback names a
function as `run__web_live` and the line in build/joined/parallelator/joined.py. `rom` holds page
and messages; MicroPython's own _boot.py and its making of a boot.py are left out.
"""

# ruff: noqa: F821 - the functions are those of MicroPython's manifest files

options.defaults(host=False)

include("$(MPY_DIR)/extmod/asyncio")
if not options.host:  # which is built without TLS
    require("ssl")
package("umqtt", base_path="../../../build/mpy-lib", opt=2)
package("parallelator", base_path="../../../build/joined", opt=2)
module("words_en.py", base_path="../../../build/words", opt=2)
module("words_fr.py", base_path="../../../build/words", opt=2)
module("rom.py", base_path="../../../build/rom", opt=2)
module("_boot.py", opt=2)
module("boot.py", base_path="../../..", opt=2)
module("main.py", base_path="../../..", opt=2)
