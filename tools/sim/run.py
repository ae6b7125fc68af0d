# SPDX-License-Identifier: GPL-3.0-only
"""Runs the whole firmware on a simulated rig: boot.py, main.py and lib/, unchanged.

    micropython tools/sim/run.py [--scenario F] [--clock real|virtual] [--speed N] [--duration S]
        [--port P] [--batteries N] [--controller plain|psram|s3] [--seed N]
        [--flash DIR | --image IMAGE] [--sd IMAGE] [--report OUT.json] [--attached]

--image runs what was deployed onto a LittleFS image instead of the repository's firmware. With
--attached the end of the standard input ends the run, as Ctrl-C does.

Exits with 0 when the run ended as expected, 1 on a violation or a failed expectation, 2 on wrong
arguments.
"""

import json
import os
import sys

ROOT = __file__.rsplit("/tools/sim/", 1)[0] if "/tools/sim/" in __file__ else "."


def main():
    """Parse, run, report."""
    cwd = os.getcwd()
    root = ROOT if ROOT.startswith("/") else cwd if ROOT == "." else cwd + "/" + ROOT
    sys.path[:] = [
        root + "/tools/sim/standins",
        root + "/lib",
        root + "/tools",
        root + "/build/mpy-lib",
        ".frozen",
    ]
    from sim import harness, scenario
    from sim.chips.sdcard import SdCard
    from sim.chips.sdimage import Image

    args = _arguments()
    path = args.scenario or root + "/tools/sim/scenarios/demo.json"
    try:
        plan = scenario.load(path)
        if args.batteries:
            plan = scenario.shrink(plan, args.batteries)
    except scenario.ScenarioError as error:
        print("scenario %s refused: %s" % (path, error))
        return 2
    except OSError as error:
        print("scenario %s cannot be read: %s" % (path, error))
        return 2
    if args.seed is not None:
        plan["seed"] = args.seed
    if args.controller:
        plan["controller"] = args.controller
    if args.duration is not None:
        plan["duration_s"] = args.duration
    flash = args.flash
    port = args.port
    sd = args.sd and _absolute(args.sd, cwd)
    if args.clock == "real":
        # A person uses the rig: the run does not end by itself, and no outcome is expected.
        plan["duration_s"] = args.duration
        plan["expect"] = []
        flash = flash or root + "/build/sim/" + plan["name"]
        harness.make_dirs(flash)
        sd = sd or (args.image or flash) + ".img"
        port = port or 8080
        password = plan["settings"].get("web", {}).get("password")
        print("Page: http://localhost:%d" % port, "- password: %s" % password if password else "")
        print("Ctrl-C opens every switch and ends the rig.")
    card = SdCard(Image(harness.SD_SECTORS, sd)) if sd else None
    virtual = args.clock == "virtual"
    image = args.image and _absolute(args.image, cwd)
    report = harness.run(
        *(root, plan, virtual, args.speed, port, flash),
        card=card,
        image=image,
        console=sys.stdin if args.attached else None,
    )
    if args.report:
        with open(_absolute(args.report, cwd), "w") as f:
            json.dump(report, f)
    return 1 if report["violations"] or report["failed"] or report["alloc_violations"] else 0


def _absolute(path, folder):
    return path if path.startswith("/") else folder + "/" + path


def _arguments():
    import argparse

    from sim import values

    parser = argparse.ArgumentParser(description="the firmware on a simulated rig")
    for name, rule, default in (
        ("clock", values.word("real", "virtual"), "real"),
        ("speed", values.whole(1, 1000), 1),
        ("duration", values.KEYS["duration_s"], None),
        ("port", values.whole(1, 65535), None),
        ("batteries", values.whole(1, values.BATTERIES), None),
        ("controller", values.KEYS["controller"], None),
        ("seed", values.KEYS["seed"], None),
    ):
        parser.add_argument("--" + name, type=_judged(rule), default=default)
    for name in ("scenario", "flash", "image", "sd", "report"):
        parser.add_argument("--" + name)
    parser.add_argument("--attached", action="store_true")
    return parser.parse_args()


def _judged(rule):
    """Function that makes a value of the text of an argument, or refuses it."""
    fits, allowed = rule

    def judged(text):
        value = text
        for kind in (float, int):
            try:
                value = kind(text)
            except ValueError:
                continue
        if not fits(value):
            raise ValueError("allowed: " + allowed)
        return value

    return judged


if __name__ == "__main__":
    sys.exit(main())
