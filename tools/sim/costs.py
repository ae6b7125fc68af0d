# SPDX-License-Identifier: GPL-3.0-only
"""What things take on the controller, in us of virtual time: the cost model.

Figures without another source were measured on official MicroPython 1.28.0 images in an emulated
ESP32 at 240 MHz. What is Python takes as much longer as the clock is slower; waiting does not.
"""

MEASURED_MHZ = 240
RESET_MHZ = 160
"""The clock of an official image after any reset, until `machine.freq` is told otherwise."""

# The heap of each controller: KB in use with everything on, KB that are free then, what a
# collection takes for each KB in use, and KB that are free when main.py begins.
_HEAPS = {
    # 14.3 ms for 137 KB; frozen, everything on: 100 KB of the 140 that station and access point
    # leave, and what .mpy files would take besides does not fit. Of the 165 KB that are free at a
    # fresh prompt boot.py and main.py take some.
    "plain": (100, 40, 100, 155),
    # 285-298 KB of .mpy files. The emulator's PSRAM costs nothing; owners report 70-220 ms for
    # 305 KB, and 22 ms for 43 KB on an S3: 300 to 700 us a KB.
    "psram": (295, 1700, 500, 2000),
    "s3": (295, 1700, 500, 2000),
}
CONTROLLERS = tuple(sorted(_HEAPS))


class Costs:
    """The parameters of one controller.

    Args:
        controller: one of CONTROLLERS.

    Attributes:
        read_us: I2C read of as many bytes, beyond its wire time; write_us: a write, whatever its
            length; nack_us: a call that no chip acknowledges (232 us at 100 kHz, 148 at 400).
        guard_read_us, guard_write_us: what the firmware's drivers add to each (ALERT read 280 us,
            sensor read 330 us in all).
        spi_us: a call of SPI; i2c_setup_us: to set up the I2C unit anew. Assumptions.
        tick_us: Python of a steady guard tick beyond its I2C calls.
        rtc_save_us: to keep in RTC memory what a reset must not forget; 90 times the host's.
        task_median_us, task_sigma: a resumption of any task but the guard's is a log-normal
            draw; median 1 ms and p99 5 ms give sigma = ln(5) / 2.326.
        collect_us: one garbage collection; free_bytes: free after it, heap_bytes: in use;
            start_bytes: free when main.py begins.
        garbage_bytes_s: garbage a second of a rig with one phone (5 KB without).
        nvs_write_us: a commit to non-volatile storage; file_save_us: a file written into the
            internal flash (a save of the settings kept the guard off for 364 ms).
        partition_us: to erase a block of 4 KB of a slot for images (data sheets of flash chips say
            45 ms, 400 at most); to write up to 512 bytes of it (0.4 to 3 ms a page of 256).
        rtos_tick_us: a tick of FreeRTOS, in which time-outs are counted.
        radio_start_us, radio_mode_us: the first interface of the radio that is switched on or the
            last that is switched off; the other one. Assumptions: the driver's calls wait for
            its events, some 100 ms with a calibration; no board has been measured.
    """

    read_us = (0, 190, 218, 246)
    write_us = 120
    nack_us = 120
    guard_read_us = (0, 90, 112, 112)
    guard_write_us = 90
    spi_us = 100
    i2c_setup_us = 300
    tick_us = 2200
    rtc_save_us = 280
    task_median_us = 1000
    task_sigma = 0.692
    garbage_bytes_s = 14000
    nvs_write_us = 20000
    file_save_us = 300000
    partition_us = {"erase": 45000, "write": 2000}  # noqa: RUF012 - nobody changes it
    rtos_tick_us = 10000
    radio_start_us = 150000
    radio_mode_us = 20000

    def __init__(self, controller="plain"):
        used_kb, free_kb, kb_us, start_kb = _HEAPS[controller]
        self.start_bytes = start_kb * 1024
        self.heap_bytes = used_kb * 1024
        self.free_bytes = free_kb * 1024
        self.collect_us = used_kb * kb_us
