"""How often one account may be asked: requests per period and in parallel, for each API (CONTRACT-MOYSKLAD 1.2, 2.2).

The contract does not say whether MoySklad counts in a refilling bucket or over the last seconds. A leaky bucket of ours
(aiolimiter) would let twice the limit pass within one period after a pause, so requests are counted over the last
period, each until a period after its *answer*: whenever between sending and answer MoySklad counted it, the limit holds
under both readings. Priorities between accounts and kinds of requests are not decided here.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from adapters.moysklad.errors import Api, Trouble, header_int
from core.effects import Deferred

Clock = Callable[[], int]
"""Milliseconds; monotonic for limits, since the Unix epoch (UTC) where a name says ``now_ms``."""
Sleep = Callable[[float], Awaitable[None]]
"""Sleeps for so many seconds."""

JSON_UNITS: Final = 45
JSON_PERIOD_MS: Final = 3_000
WEIGHT_RISES_MS: Final = 1_796_072_400_000
"""2026-12-01 00:00 Moscow: from then a request by a user's token weighs 4 units instead of 3 (2.2)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """``requests`` per ``period_ms`` and ``parallel`` at once; at most ``waiting`` may queue for one account."""

    requests: int
    period_ms: int
    parallel: int
    waiting: int = 1_000


PHONE_LIMIT: Final = Limit(requests=100, period_ms=5_000, parallel=5)


def json_limit(now_ms: int) -> Limit:
    """The JSON API's limit for a user's token on that day, until its headers say something stricter."""
    weight = 3 if now_ms < WEIGHT_RISES_MS else 4
    return Limit(requests=JSON_UNITS // weight, period_ms=JSON_PERIOD_MS, parallel=5)


def monotonic_ms() -> int:
    """The clock limits run on unless a test brings its own."""
    return time.monotonic_ns() // 1_000_000


def wall_ms() -> int:
    """Milliseconds since the Unix epoch, UTC."""
    return time.time_ns() // 1_000_000


class Place:
    """Room for one request. ``used``: the request was sent, so that it counts. ``leave`` may be called twice."""

    __slots__ = ("_held", "limits", "used")

    def __init__(self, limits: AccountLimits) -> None:
        self.limits = limits
        self._held = True
        self.used = False

    def leave(self) -> None:
        """Give the place back."""
        if self._held:
            self._held = False
            self.limits.left(used=self.used)


class AccountLimits:
    """The turnstile of one credential at one API. Fair: who waits longest goes first."""

    def __init__(self, limit: Callable[[], Limit], *, clock: Clock = monotonic_ms, sleep: Sleep = asyncio.sleep) -> None:
        self._limit = limit
        self._clock = clock
        self._sleep = sleep
        self._parallel = asyncio.Semaphore(limit().parallel)
        self._turn = asyncio.Lock()  # one at a time waits for the period, so nobody is overtaken
        self._answered: deque[int] = deque()
        self._in_flight = 0
        self._waiting = 0
        self._not_before_ms = 0
        self._capacity: int | None = None

    @property
    def idle(self) -> bool:
        """Nobody is inside or waiting, and nothing is left to remember."""
        busy = self._in_flight or self._waiting or self._clock() < self._not_before_ms
        return not busy and self._free() == self._most()

    async def enter(self, *, wait_ms: int) -> Place:
        """Room for one request; held until its answer is read, or given back.

        Raises :class:`Deferred` when there would be no room within ``wait_ms``, with the time after which there may be.
        """
        limit = self._limit()
        if self._waiting >= limit.waiting:
            raise _busy(limit.period_ms)
        self._waiting += 1
        try:
            await self._enter(wait_ms)
        finally:
            self._waiting -= 1
        self._in_flight += 1
        return Place(self)

    @asynccontextmanager
    async def slot(self, *, wait_ms: int) -> AsyncIterator[None]:
        """A place that is used."""
        place = await self.enter(wait_ms=wait_ms)
        place.used = True
        try:
            yield
        finally:
            place.leave()

    def left(self, *, used: bool) -> None:
        """A place is free again. One that was not used is not counted."""
        self._in_flight -= 1
        if used:
            self._answered.append(self._clock())
        self._parallel.release()

    async def _enter(self, wait_ms: int) -> None:
        give_up_ms = self._clock() + wait_ms
        admitted = False
        try:
            async with asyncio.timeout(wait_ms / 1000):
                await self._parallel.acquire()
                admitted = True
                await self._turn.acquire()
        except BaseException as failure:
            if admitted:
                self._parallel.release()
            if isinstance(failure, TimeoutError):
                raise _busy(self._limit().period_ms) from None
            raise
        try:
            while (pause_ms := self._pause_ms()) > 0:
                if self._clock() + pause_ms > give_up_ms:
                    raise _busy(pause_ms)
                await self._sleep(pause_ms / 1000)
        except BaseException:
            self._parallel.release()
            raise
        finally:
            self._turn.release()

    def _most(self) -> int:
        """Never below the parallel limit: then a full period always holds an answered request to wait for."""
        limit = self._limit()
        wanted = limit.requests if self._capacity is None else min(limit.requests, self._capacity)
        return max(wanted, limit.parallel)

    def _free(self) -> int:
        start_ms = self._clock() - self._limit().period_ms
        while self._answered and self._answered[0] <= start_ms:
            self._answered.popleft()
        return self._most() - self._in_flight - len(self._answered)

    def _pause_ms(self) -> int:
        now_ms = self._clock()
        held_ms = self._not_before_ms - now_ms
        if self._free() > 0:
            return held_ms
        return max(held_ms, self._answered[0] + self._limit().period_ms - now_ms, 1)

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take in what an answer's headers say of the limit: a lower capacity, or that nothing is left until the reset."""
        capacity = header_int(headers, "X-RateLimit-Limit")
        if capacity is not None and capacity > 0:
            self._capacity = capacity
        if header_int(headers, "X-RateLimit-Remaining") == 0:
            reset = header_int(headers, "X-Lognex-Retry-After") or header_int(headers, "X-Lognex-Reset")
            self.hold(reset or 0)

    def hold(self, retry_after_ms: int) -> None:
        """Let nobody in for so long: MoySklad said it is too much."""
        self._not_before_ms = max(self._not_before_ms, self._clock() + retry_after_ms)


def _busy(retry_after_ms: int) -> Deferred:
    return Deferred(Trouble.BUSY, retry_after_ms=retry_after_ms)


class LimitsRegistry:
    """The turnstiles of all accounts, by API and credential (limits are counted per user, 2.2), the idle ones forgotten."""

    def __init__(
        self,
        *,
        max_accounts: int = 2_000,
        clock: Clock = monotonic_ms,
        now_ms: Clock = wall_ms,
        sleep: Sleep = asyncio.sleep,
    ) -> None:
        self._max_accounts = max_accounts
        self._clock = clock
        self._now_ms = now_ms
        self._sleep = sleep
        self._known: OrderedDict[tuple[Api, bytes], AccountLimits] = OrderedDict()

    def __len__(self) -> int:
        return len(self._known)

    def of(self, api: Api, credential: str) -> AccountLimits:
        """The turnstile for this credential. The credential itself is not kept."""
        key = (api, hashlib.blake2b(credential.encode(), digest_size=16).digest())
        limits = self._known.get(key)
        if limits is None:
            limits = AccountLimits(self._limit_of(api), clock=self._clock, sleep=self._sleep)
            self._known[key] = limits
            self._forget_idle(key)
        self._known.move_to_end(key)
        return limits

    def _limit_of(self, api: Api) -> Callable[[], Limit]:
        if api is Api.PHONE:
            return lambda: PHONE_LIMIT
        return lambda: json_limit(self._now_ms())

    def _forget_idle(self, newest: tuple[Api, bytes]) -> None:
        """Drop the longest unused that may be dropped without losing count; one in use stays, however many there are."""
        surplus = len(self._known) - self._max_accounts
        if surplus <= 0:
            return
        idle = [key for key, limits in self._known.items() if key != newest and limits.idle]
        for key in idle[:surplus]:
            del self._known[key]
