"""How far behind the service is: calls that should have been attended to by now, the oldest of them, and how long it will take.

The estimate is a lower bound that MoySklad's limits set: for each enterprise its calls, times the requests that a call of that
urgency needs, over the requests that one account may make in a second; the slowest enterprise counts, for enterprises do not
wait for each other. How long MoySklad takes to answer, and what comes meanwhile, is left out.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import structlog

from adapters.postgres.database import DATABASE_ERRORS, explain, load_sql, still_wanted
from core.values import Urgency

log = structlog.get_logger("backlog")

REQUESTS_PER_CALL: Final[Mapping[Urgency, int]] = {Urgency.LIVE: 2, Urgency.ENDED: 2, Urgency.BACKLOG: 1}
"""A call that goes on or has just ended has a card to move and a record to write; what an outage left behind is registered
complete, in one request (PRODUCT C9, C10)."""

REQUESTS_PER_S: Final = 18.0
"""Nine tenths of the Phone API's 100 requests in 5 seconds (CONTRACT-MOYSKLAD 1.2)."""

EVERY_S: Final = 5.0
REST: Final = 20
"""Measuring takes at most a twentieth of the time, however long one measurement takes."""

SHOWN_ENTERPRISES: Final = 20

_BACKLOG, _PARKED = load_sql("backlog"), load_sql("parked_enterprises")


@dataclass(frozen=True, slots=True, kw_only=True)
class Lane:
    """What waits of one enterprise and urgency. ``oldest_ms``: since when the one that waits longest is due."""

    enterprise: str
    urgency: Urgency
    calls: int
    oldest_ms: int

    def overdue_s(self, now_ms: int) -> float:
        """How long the one that waits longest has been due."""
        return max(0, now_ms - self.oldest_ms) / 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Backlog:
    """What waited at ``at_ms``, and how many calls needed a person then, by enterprise."""

    at_ms: int
    lanes: tuple[Lane, ...] = ()
    parked: Mapping[str, int]
    requests_per_s: float = REQUESTS_PER_S

    @property
    def calls(self) -> dict[Urgency, int]:
        """How many calls of each urgency wait."""
        return {urgency: sum(lane.calls for lane in self.lanes if lane.urgency is urgency) for urgency in Urgency}

    @property
    def count(self) -> int:
        """How many calls wait."""
        return sum(lane.calls for lane in self.lanes)

    @property
    def oldest_s(self) -> float:
        """How long the one that waits longest has been due; 0 when none waits."""
        return max((lane.overdue_s(self.at_ms) for lane in self.lanes), default=0.0)

    @property
    def estimate_s(self) -> float:
        """How long it takes at least to have done them all."""
        return max(self.estimates_s.values(), default=0.0)

    @property
    def estimates_s(self) -> dict[str, float]:
        """The same for each enterprise that has calls waiting."""
        needed: dict[str, int] = {}
        for lane in self.lanes:
            needed[lane.enterprise] = needed.get(lane.enterprise, 0) + lane.calls * REQUESTS_PER_CALL[lane.urgency]
        return {enterprise: requests / self.requests_per_s for enterprise, requests in needed.items()}

    def as_json(self) -> dict[str, Any]:
        """For the status: the whole, and the enterprises that are furthest behind."""
        estimates = self.estimates_s
        behind = sorted(estimates, key=lambda enterprise: (-estimates[enterprise], enterprise))[:SHOWN_ENTERPRISES]
        lanes = {enterprise: [lane for lane in self.lanes if lane.enterprise == enterprise] for enterprise in behind}
        return {
            "at_ms": self.at_ms,
            "calls": self.count,
            **{f"calls_{urgency.name.lower()}": count for urgency, count in self.calls.items()},
            "oldest_s": round(self.oldest_s, 1),
            "estimate_s": round(self.estimate_s, 1),
            "enterprises": [
                {
                    "enterprise": enterprise,
                    "calls": sum(lane.calls for lane in theirs),
                    "oldest_s": round(max(lane.overdue_s(self.at_ms) for lane in theirs), 1),
                    "estimate_s": round(estimates[enterprise], 1),
                }
                for enterprise, theirs in lanes.items()
            ],
        }


async def measure(pool: Any, now_ms: int, requests_per_s: float = REQUESTS_PER_S) -> Backlog:
    """Look now. Raises database errors."""
    rows = await pool.fetch(_BACKLOG, now_ms)
    parked = await pool.fetch(_PARKED)
    return Backlog(
        at_ms=now_ms,
        lanes=tuple(
            Lane(enterprise=row["enterprise"], urgency=Urgency(row["urgency"]), calls=row["calls"], oldest_ms=row["oldest_ms"])
            for row in rows
        ),
        parked={row["enterprise"]: row["calls"] for row in parked},
        requests_per_s=requests_per_s,
    )


class BacklogMeter:
    """Looks again and again, so that whoever wants to know need not wait. ``last``: None before the first look."""

    def __init__(
        self,
        pool: Any,
        *,
        now_ms: Callable[[], int],
        requests_per_s: float = REQUESTS_PER_S,
        monotonic_s: Callable[[], float] = time.monotonic,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pool = pool
        self._now_ms = now_ms
        self._requests_per_s = requests_per_s
        self._monotonic_s = monotonic_s
        self._pause = pause
        self._looked_s = 0.0
        self.last: Backlog | None = None

    async def look(self) -> Backlog:
        """Look now. Raises database errors."""
        self.last = await measure(self._pool, self._now_ms(), self._requests_per_s)
        self._looked_s = self._monotonic_s()
        return self.last

    async def recent(self) -> Backlog:
        """What was seen within the last seconds, or a new look. Raises database errors."""
        if self.last is not None and self._monotonic_s() - self._looked_s < EVERY_S:
            return self.last
        return await self.look()

    async def run(self) -> None:
        """Look until cancelled; while the database is away what was seen last stands, with its time."""
        while True:
            began_s = self._monotonic_s()
            try:
                await self.look()
            except DATABASE_ERRORS as error:
                still_wanted(error)
                log.warning("backlog_unknown", reason=explain(error))
            await self._pause(max(EVERY_S, (self._monotonic_s() - began_s) * REST))
