"""How often one account may be asked: requests per period and in parallel, for each API (CONTRACT-MOYSKLAD 1.2, 2.2).

The contract does not say whether MoySklad counts in a refilling bucket or over the last seconds. A leaky bucket of ours
(aiolimiter) would let twice the limit pass within one period after a pause, so requests are counted over the last
period, each until a period after its *answer*: whenever between sending and answer MoySklad counted it, the limit holds
under both readings. Pure: time comes in. Who goes first is decided in ``turnstile.py``.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from adapters.moysklad.errors import MAX_RETRY_AFTER_MS, header_int
from core.values import Urgency

Clock = Callable[[], int]
"""Milliseconds; monotonic for limits, since the Unix epoch (UTC) where a name says ``now_ms``."""

JSON_UNITS: Final = 45
JSON_PERIOD_MS: Final = 3_000
WEIGHT_RISES_MS: Final = 1_796_072_400_000
"""2026-12-01 00:00 Moscow: from then a request by a user's token weighs 4 units instead of 3 (2.2)."""

OWNER_SHARE: Final = 90
"""Percent of an account's limit that the instance which owns it uses.

The rest is for whoever takes the account over: during one period it cannot know what the owner before it has just used,
and makes do with what owners leave free. So both together stay within the limit (docs/decisions/0010).
"""

LEFT_FREE: Final[Mapping[Urgency, int]] = {Urgency.LIVE: 0, Urgency.ENDED: 10, Urgency.BACKLOG: 20}
"""Percent of the window that requests of each urgency leave to the more urgent: a card that is wanted in the middle of a
drain goes out at once instead of waiting for the window to empty."""

LEFT_FREE_CALM: Final[Mapping[Urgency, int]] = {Urgency.LIVE: 0, Urgency.ENDED: 5, Urgency.BACKLOG: 5}
"""The same while no card has been wanted for :data:`CALM_MS`: the night after an outage belongs to the backlog."""

CALM_MS: Final = 30_000


def monotonic_ms() -> int:
    """The clock limits run on unless a test brings its own."""
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    """Milliseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """``requests`` per ``period_ms`` and ``parallel`` at once; at most ``waiting`` may queue for one account."""

    requests: int
    period_ms: int
    parallel: int
    waiting: int = 1_000

    @property
    def trickle(self) -> int:
        """What owners leave free, at least one: 10 of 100, 2 of 15, 2 of 11."""
        return max(1, -(-self.requests * (100 - OWNER_SHARE) // 100))

    @property
    def share(self) -> int:
        """What an owner uses: 90 of 100, 13 of 15, 9 of 11."""
        return max(1, self.requests - self.trickle)

    def within(self, capacity: int) -> Limit:
        """The same, if MoySklad says that it is lower; it is never raised by a header."""
        return self if capacity >= self.requests else replace(self, requests=capacity)


PHONE_LIMIT: Final = Limit(requests=100, period_ms=5_000, parallel=5)


def json_limit(now_ms: int) -> Limit:
    """The JSON API's limit for a user's token on that day, until its headers say something stricter."""
    weight = 3 if now_ms < WEIGHT_RISES_MS else 4
    return Limit(requests=JSON_UNITS // weight, period_ms=JSON_PERIOD_MS, parallel=5)


def left_free(most: int, urgency: Urgency, *, calm: bool = False) -> int:
    """How much of a window of ``most`` requests this urgency must not touch. Never all of it. ``calm``: see CALM_MS."""
    percent = (LEFT_FREE_CALM if calm else LEFT_FREE)[urgency]
    return min(most - 1, -(-most * percent // 100))


class Window:
    """The requests of the last period: those under way, those answered, and those that somebody else must have made."""

    def __init__(self) -> None:
        self.in_flight = 0
        self._answered: deque[int] = deque()
        self._foreign = 0
        self._foreign_until_ms = 0
        self._capacity: int | None = None

    def answered(self, now_ms: int) -> None:
        """One that was under way is over, and counts for another period."""
        self.in_flight -= 1
        self._answered.append(now_ms)

    def unused(self) -> None:
        """A request that was counted as under way was never sent."""
        self.in_flight -= 1

    def limit(self, limit: Limit) -> Limit:
        """The limit in force: ours, or a lower one that MoySklad named."""
        return limit if self._capacity is None else limit.within(self._capacity)

    def used(self, now_ms: int, period_ms: int) -> int:
        """How many requests of the last period are ours."""
        self._forget(now_ms - period_ms)
        return self.in_flight + len(self._answered)

    def wait_ms(self, now_ms: int, limit: Limit, most: int, free: int = 0) -> int | None:
        """How long until one more fits: among ``most`` of ours and among all that ``limit`` allows, ``free`` of them left free.

        0: now; None: not before one that is under way is answered.
        """
        ends = [at_ms + limit.period_ms for at_ms in self._answered]
        foreign = self._foreign if now_ms < self._foreign_until_ms else 0
        used = self.used(now_ms, limit.period_ms)
        ours = _until(used - (most - free), ends, now_ms)
        if not foreign:
            return ours
        theirs = _until(used + foreign - (limit.requests - free), sorted(ends + [self._foreign_until_ms] * foreign), now_ms)
        return None if ours is None or theirs is None else max(ours, theirs)

    def learn(self, headers: Mapping[str, str], now_ms: int, limit: Limit) -> None:
        """Take in what an answer's headers say; the answered request is still under way here.

        ``X-RateLimit-Limit`` may lower the limit. ``X-RateLimit-Remaining`` below what we think is left means that another
        program uses the same credential: the difference is set aside until the reset. Whether requests under way are in
        it already is not said, so they are taken for not counted. The newest answer replaces what an older one said.
        """
        capacity = header_int(headers, "X-RateLimit-Limit")
        if capacity is not None and capacity > 0:
            self._capacity = capacity
        remaining = header_int(headers, "X-RateLimit-Remaining")
        if remaining is None:
            return
        limit = self.limit(limit)
        reset_ms = header_int(headers, "X-Lognex-Retry-After") or header_int(headers, "X-Lognex-Reset") or limit.period_ms
        left = max(0, remaining - max(0, self.in_flight - 1))
        ours = self.used(now_ms, limit.period_ms) if left else 0  # of nothing, nothing is left either once ours is old
        self._foreign = max(0, limit.requests - ours - left)
        self._foreign_until_ms = now_ms + min(reset_ms, MAX_RETRY_AFTER_MS)

    def is_empty(self, now_ms: int, period_ms: int) -> bool:
        """Whether nothing is left to remember."""
        return self.used(now_ms, period_ms) == 0 and now_ms >= self._foreign_until_ms

    def _forget(self, until_ms: int) -> None:
        while self._answered and self._answered[0] <= until_ms:
            self._answered.popleft()


def _until(surplus: int, ends: list[int], now_ms: int) -> int | None:
    """In how many ms the surplus and one more request have stopped counting; 0: now; None: not by waiting alone. ``ends``: when
    each stops."""
    if surplus < 0:
        return 0
    return max(1, ends[surplus] - now_ms) if surplus < len(ends) else None
