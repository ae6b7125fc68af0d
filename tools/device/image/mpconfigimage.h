// SPDX-License-Identifier: GPL-3.0-only

// What every image changes of MicroPython.

// The page and the messages: a file system in the image, mounted by _boot.py.
#define MICROPY_VFS_ROM (1)
#define MICROPY_VFS_ROM_IOCTL (0)

#define MICROPY_PY_BLUETOOTH (0)
#define MICROPY_PY_ESPNOW (0)
#define MICROPY_PY_NETWORK_LAN (0)
