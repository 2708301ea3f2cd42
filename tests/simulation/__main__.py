# ruff: noqa: T201  it is a command: it prints
"""``python -m tests.simulation SEED`` plays the seed's scenario and prints its story; see ``docs/simulation.md``."""

from __future__ import annotations

import argparse
import sys
import time

from tests.simulation.findings import unexplained
from tests.simulation.invariants import found_in, violations
from tests.simulation.run import Run
from tests.simulation.scenario import Scenario, from_seed, simpler

MAX_SHRINKS = 400
"""Plays that shrinking may cost."""


def tell(scenario: Scenario) -> int:
    """Play it and print what happened, line by line."""
    run = Run(scenario).play()
    print(f"{scenario}\n")
    for at_us, who, what in run.story:
        print(f"{at_us / 1e6:10.3f}  {who:10}  {what}")
    found = violations(run)
    print(f"\n{run.clock.now_us / 1e6:.1f} s, {run.clock.steps} steps, {run.digest()}")
    for each in found or ["nothing is wrong"]:
        print(each)
    return 1 if found else 0


def hunt(first: int, count: int) -> int:
    """Play seeds until one goes wrong in a way that is not known."""
    began = time.process_time()
    for seed in range(first, first + count):
        scenario = from_seed(seed)
        if found := unexplained(scenario, found_in(scenario)):
            print(f"seed {seed}: {found[0]}")
            return 1
    took = time.process_time() - began
    print(f"{count} runs, {count / took * 60:.0f} a minute: nothing is wrong")
    return 0


def shrunk(scenario: Scenario) -> Scenario:
    """The simplest scenario on the way down that still goes wrong."""
    left = MAX_SHRINKS
    while True:
        for less in simpler(scenario):
            if left <= 0:
                return scenario
            left -= 1
            if found_in(less):
                scenario = less
                break
        else:
            return scenario


def main() -> int:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seed", type=int, help="which scenario to play")
    parser.add_argument("--hunt", type=int, metavar="COUNT", help="play so many seeds from there until one goes wrong")
    parser.add_argument("--shrink", action="store_true", help="look for a simpler scenario that goes wrong too, and tell that")
    chosen = parser.parse_args()
    if chosen.hunt:
        return hunt(chosen.seed, chosen.hunt)
    scenario = from_seed(chosen.seed)
    return tell(shrunk(scenario) if chosen.shrink else scenario)


if __name__ == "__main__":
    sys.exit(main())
