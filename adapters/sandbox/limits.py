"""How much one user may ask: requests per time and requests at once (CONTRACT-MOYSKLAD 1.2 and 2.2).

Pure: time comes in. Two readings of "N in T" are kept, because which one the service has is not established: a bucket
that refills evenly, and a sliding window (stricter: no T long stretch ever holds more than N).
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, Protocol

PHONE_REQUESTS, PHONE_PERIOD_MS = 100, 5_000
PHONE_PARALLEL_PER_USER, PHONE_PARALLEL_PER_ADDRESS = 5, 100
REMAP_UNITS, REMAP_PERIOD_MS = 45, 3_000
REMAP_PARALLEL_PER_USER, REMAP_PARALLEL_PER_ACCOUNT = 5, 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a meter says about one request. ``remaining`` counts units, times are milliseconds."""

    allowed: bool
    remaining: int
    retry_after_ms: int
    reset_ms: int


class Meter(Protocol):
    """Anything that lets ``units`` through or not."""

    def take(self, now_ms: int, units: int) -> Verdict:
        """Spend ``units`` if they are there; a refusal spends nothing."""


@dataclass(slots=True, kw_only=True)
class Bucket:
    """``capacity`` units at once, refilled evenly over ``period_ms``."""

    capacity: int
    period_ms: int
    level: float
    at_ms: int

    def take(self, now_ms: int, units: int) -> Verdict:
        """See :class:`Meter`."""
        passed = max(0, now_ms - self.at_ms)
        self.level = min(float(self.capacity), self.level + passed * self.capacity / self.period_ms)
        self.at_ms = max(self.at_ms, now_ms)
        # a refill in halves of a unit must not leave a request waiting for a rounding error
        allowed = self.level + 1e-9 >= units
        if allowed:
            self.level -= units
        per_unit_ms = self.period_ms / self.capacity
        return Verdict(
            allowed=allowed,
            remaining=math.floor(self.level + 1e-9),
            retry_after_ms=0 if allowed else math.ceil((units - self.level) * per_unit_ms),
            reset_ms=math.ceil((self.capacity - self.level) * per_unit_ms),
        )


@dataclass(slots=True, kw_only=True)
class Window:
    """At most ``capacity`` units in any ``period_ms``."""

    capacity: int
    period_ms: int
    spent: deque[tuple[int, int]] = field(default_factory=deque)

    def take(self, now_ms: int, units: int) -> Verdict:
        """See :class:`Meter`."""
        while self.spent and self.spent[0][0] <= now_ms - self.period_ms:
            self.spent.popleft()
        used = sum(cost for _, cost in self.spent)
        allowed = used + units <= self.capacity
        if allowed:
            self.spent.append((now_ms, units))
            used += units
        reset_ms = self.spent[-1][0] + self.period_ms - now_ms if self.spent else 0
        return Verdict(
            allowed=allowed,
            remaining=self.capacity - used,
            retry_after_ms=0 if allowed else self._wait_ms(now_ms, used + units - self.capacity),
            reset_ms=reset_ms,
        )

    def _wait_ms(self, now_ms: int, excess: int) -> int:
        for at_ms, cost in self.spent:
            excess -= cost
            if excess <= 0:
                return at_ms + self.period_ms - now_ms
        return self.period_ms


class Limits:
    """Meters and parallel counters, made on first use per key; keys are users, accounts and addresses."""

    def __init__(self) -> None:
        self._meters: dict[tuple[str, str, str], Meter] = {}
        self._inside: dict[tuple[str, str], int] = {}

    def take(
        self,
        api: Literal["phone", "remap"],
        user: str,
        *,
        now_ms: int,
        units: int,
        algorithm: Literal["bucket", "sliding"],
    ) -> Verdict:
        """Count one request of ``user`` against its API's rate."""
        key = (api, user, algorithm)
        meter = self._meters.get(key)
        if meter is None:
            capacity, period_ms = (PHONE_REQUESTS, PHONE_PERIOD_MS) if api == "phone" else (REMAP_UNITS, REMAP_PERIOD_MS)
            meter = _METERS[algorithm](capacity, period_ms, now_ms)
            self._meters[key] = meter
        return meter.take(now_ms, units)

    def enter(self, gates: tuple[tuple[str, str, int], ...]) -> bool:
        """Let one more request through all gates ``(kind, key, most at once)`` or through none."""
        if any(self._inside.get((kind, key), 0) >= most for kind, key, most in gates):
            return False
        for kind, key, _ in gates:
            self._inside[kind, key] = self._inside.get((kind, key), 0) + 1
        return True

    def leave(self, gates: tuple[tuple[str, str, int], ...]) -> None:
        """The request that entered these gates is done."""
        for kind, key, _ in gates:
            left = self._inside[kind, key] - 1
            if left:
                self._inside[kind, key] = left
            else:
                del self._inside[kind, key]

    def forget_rates(self) -> None:
        """Start all meters anew (``POST /sandbox/reset``); requests under way stay counted."""
        self._meters.clear()


def _bucket(capacity: int, period_ms: int, now_ms: int) -> Meter:
    return Bucket(capacity=capacity, period_ms=period_ms, level=float(capacity), at_ms=now_ms)


def _window(capacity: int, period_ms: int, now_ms: int) -> Meter:
    return Window(capacity=capacity, period_ms=period_ms)


_METERS: dict[str, Callable[[int, int, int], Meter]] = {"bucket": _bucket, "sliding": _window}


def limit_headers(
    verdict: Verdict, *, capacity: int, period_ms: int, weight: int, shown: Literal["raw", "weighted"]
) -> dict[str, str]:
    """The headers of CONTRACT-MOYSKLAD 2.2; ``Remaining`` counts requests, ``Retry-After`` is milliseconds."""
    headers = {
        "X-RateLimit-Limit": str(capacity if shown == "raw" else capacity // weight),
        "X-RateLimit-Remaining": str(verdict.remaining // weight),
        "X-Lognex-Retry-TimeInterval": str(period_ms),
        "X-Lognex-Reset": str(verdict.reset_ms),
    }
    if not verdict.allowed:
        headers["X-Lognex-Retry-After"] = str(verdict.retry_after_ms)
        headers["X-Lognex-Auth"] = "429002"
    return headers
