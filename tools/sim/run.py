"""Runs the whole firmware on a simulated rig: boot.py, main.py and lib/, unchanged.

    micropython tools/sim/run.py [--scenario F] [--clock real|virtual] [--speed N] [--duration S]
        [--port P] [--batteries N] [--seed N] [--flash DIR | --image IMAGE] [--sd IMAGE]
        [--report OUT.json]

--image runs what was deployed onto a LittleFS image instead of the repository's firmware.

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
    try:
        plan = scenario.load(args.scenario or root + "/tools/sim/scenarios/demo.json")
        if args.batteries:
            plan = scenario.shrink(plan, args.batteries)
    except (scenario.ScenarioError, OSError) as error:
        print("scenario:", args.scenario, error)
        return 2
    if args.seed is not None:
        plan["seed"] = args.seed
    if args.duration is not None:
        plan["duration_s"] = args.duration
    flash = args.flash
    port = args.port
    sd = args.sd and _absolute(args.sd, cwd)
    if args.clock == "real":
        # Somebody plays along: no end of its own, and nothing is expected of the outcome.
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
    report = harness.run(root, plan, virtual, args.speed, port, flash, card=card, image=image)
    if args.report:
        with open(_absolute(args.report, cwd), "w") as f:
            json.dump(report, f)
    return 1 if report["violations"] or report["failed"] or report["alloc_violations"] else 0


def _absolute(path, folder):
    return path if path.startswith("/") else folder + "/" + path


def _arguments():
    import argparse

    parser = argparse.ArgumentParser(description="the firmware on a simulated rig")
    parser.add_argument("--scenario")
    parser.add_argument("--clock", default="real")
    parser.add_argument("--speed", type=int, default=1)
    parser.add_argument("--duration", type=float)
    parser.add_argument("--port", type=int)
    parser.add_argument("--batteries", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--flash")
    parser.add_argument("--image")
    parser.add_argument("--sd")
    parser.add_argument("--report")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
