"""What people and metrics see of the limits: how an account stands, and what was asked of an API since the process began."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

BUCKETS_S: Final = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 15.0)
"""Upper bounds of the latency histogram; one more bucket holds what took longer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountState:
    """One credential at one API as people and metrics see it. No credential in it. Times are UTC, milliseconds.

    ``state`` is closed, open, half-open or refused; ``until_ms`` when the next try is due, where one is waited for.
    ``used`` of ``limit`` requests are in the window. ``waiting`` is by urgency, lower case.
    """

    api: str
    enterprise: str
    state: str
    reason: str
    since_ms: int
    until_ms: int | None
    waiting: Mapping[str, int]
    in_flight: int
    used: int
    limit: int
    failures_last_minute: int


@dataclass(slots=True)
class Traffic:
    """Counters of one API, over all accounts. ``waited_s`` and ``took_s`` are sums; ``took`` counts by ``BUCKETS_S``."""

    requests: int = 0
    failures: int = 0
    admitted: int = 0
    waited_s: float = 0.0
    took_s: float = 0.0
    took: list[int] = field(default_factory=lambda: [0] * (len(BUCKETS_S) + 1))

    def waited(self, wait_ms: int) -> None:
        """Somebody was let in after so long."""
        self.admitted += 1
        self.waited_s += wait_ms / 1000

    def answered(self, took_ms: int, *, failed: bool) -> None:
        """A request is over. ``failed``: by an error answer, or none at all."""
        self.requests += 1
        self.failures += failed
        self.took_s += took_ms / 1000
        self.took[bisect_left(BUCKETS_S, took_ms / 1000)] += 1

    def cumulative(self) -> list[tuple[str, float]]:
        """The histogram as Prometheus wants it: upper bound, and how many took no longer."""
        counts: list[tuple[str, float]] = []
        total = 0
        for bound, count in zip((*map(str, BUCKETS_S), "+Inf"), self.took, strict=True):
            total += count
            counts.append((bound, total))
        return counts
