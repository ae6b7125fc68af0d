# SPDX-License-Identifier: GPL-3.0-only
"""Makes a failing scenario small: less of everything while it still fails. For campaign.py."""

MOST_PLAYS = 150
SHORTEST_S = 2


async def shrink(plan, fails):
    """Return the smallest form of `plan` found with at most MOST_PLAYS plays.

    Args:
        plan: a scenario (dict) that fails; fails: coroutine function that plays one and says
            whether it fails in the same way.
    """
    plays = 0
    smaller = True
    while smaller:
        smaller = False
        for candidate in reductions(plan):
            plays += 1
            if plays > MOST_PLAYS:
                return plan
            if await fails(candidate):
                plan = candidate
                smaller = True
                break
    return plan


def reductions(plan):
    """Yield every scenario that is one step smaller than `plan`, the boldest steps first."""
    for key in ("steps", "batteries", "load", "source"):
        entries = plan[key]
        size = len(entries)
        while size:
            for start in range(0, len(entries), size):
                rest = entries[:start] + entries[start + size :]
                if rest or key != "batteries":
                    yield plan | {key: rest}
            size //= 2
    if "boot_ticks_ms" in plan:
        yield {key: value for key, value in plan.items() if key != "boot_ticks_ms"}
    for share in (2, 4, 8):
        duration_s = round(plan["duration_s"] * (1 - 1 / share), 1)
        if duration_s >= SHORTEST_S:
            yield plan | {"duration_s": duration_s}
    limits = plan["settings"].get("limits", {})
    if limits:
        yield _with_limits(plan, {})
    for key in limits:
        yield _with_limits(plan, {name: limits[name] for name in limits if name != key})
    for k, pack in enumerate(plan["batteries"]):
        if "capacity_ah" in pack:
            plain = {key: pack[key] for key in ("n", "chemistry", "soc") if key in pack}
            yield plan | {
                "batteries": plan["batteries"][:k] + [plain] + plan["batteries"][k + 1 :]
            }


def _with_limits(plan, limits):
    return plan | {"settings": plan["settings"] | {"limits": limits}}
