"""``python -m tests.simulation SEED``: plays the seed's scenario and prints its story."""

from __future__ import annotations

import sys

from tests.simulation.invariants import violations
from tests.simulation.run import Run
from tests.simulation.scenario import from_seed


def main(seed: int) -> int:
    """Play and tell."""
    run = Run(from_seed(seed)).play()
    print(f"{run.scenario}\n")  # noqa: T201
    for at_us, who, what in run.story:
        print(f"{at_us / 1e6:10.3f}  {who:10}  {what}")  # noqa: T201
    found = violations(run)
    print(f"\n{run.clock.now_us / 1e6:.1f} s, {run.clock.steps} steps, {run.digest()}")  # noqa: T201
    for each in found or ["nothing is wrong"]:
        print(each)  # noqa: T201
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1])))
