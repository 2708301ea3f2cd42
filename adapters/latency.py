"""A histogram of durations, for ``/metrics``."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Final

BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Upper bounds of the histogram; one more bucket holds what took longer."""


@dataclass(slots=True)
class Latency:
    """A histogram of one thing since the process started."""

    count: int = 0
    sum_s: float = 0.0
    took: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS_S) + 1))

    def observe(self, took_s: float) -> None:
        """It took so long."""
        self.count += 1
        self.sum_s += took_s
        self.took[bisect_left(BOUNDS_S, took_s)] += 1

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus wants it: upper bound, and how many took no longer."""
        counts: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(str, BOUNDS_S), "+Inf"), self.took, strict=True):
            total += count
            counts.append((bound, total))
        return counts
