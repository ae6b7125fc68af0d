# SPDX-License-Identifier: GPL-3.0-only
"""What things take on an ESP32 at 240 MHz, in microseconds: the cost model of virtual time."""


class Costs:
    """Parameters, each with its source. All in us of virtual time unless named otherwise.

    Attributes:
        call_us: MicroPython's share of one I2C call, on top of its wire time (hardware facts:
            50-150 us per call).
        tick_us: Python share of a steady guard tick beyond its I2C calls: host time of
            tools/bench/tick.py times 90, the ratio of the two machines on Python code.
        task_median_us, task_sigma: a resumption of any task but the guard's is a log-normal
            draw; median 1 ms and p99 5 ms give sigma = ln(5) / 2.326.
        collect_us, collect_every_us: one garbage collection of a heap without PSRAM, and how often
            the tasks beside the guard make one due.
        nvs_write_us: a commit to non-volatile storage.
        radio_start_us, radio_mode_us: the first interface of the radio that is switched on or the
            last that is switched off; the other one. Assumptions: the driver's calls wait for
            its events, some 100 ms with a calibration; no board has been measured.
    """

    call_us = 100
    tick_us = 2100
    task_median_us = 1000
    task_sigma = 0.692
    collect_us = 5000
    collect_every_us = 1000000
    nvs_write_us = 20000
    radio_start_us = 150000
    radio_mode_us = 20000
