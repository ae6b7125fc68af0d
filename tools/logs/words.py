# SPDX-License-Identifier: GPL-3.0-only
"""How durations and amounts are written, in the report and in the pictures."""


def span(seconds):
    """A duration in s as `45 s`, `3 min 20 s`, `2 h 05 min` or `3 d 04 h`."""
    seconds = round(seconds)
    minutes, hours, days = seconds // 60, seconds // 3600, seconds // 86400
    if days:
        return f"{days} d {hours % 24:02} h"
    if hours:
        return f"{hours} h {minutes % 60:02} min"
    if minutes:
        return f"{minutes} min {seconds % 60:02} s"
    return f"{seconds} s"
