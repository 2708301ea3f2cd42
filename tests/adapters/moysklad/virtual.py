"""An event loop in which time passes only when nobody has anything to do, and turnstiles in it: hours take milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from adapters.moysklad.breaker import Outcome
from adapters.moysklad.door import Door
from adapters.moysklad.errors import Api, ApiRefusal
from adapters.moysklad.limits import Limit
from adapters.moysklad.turnstile import House, Place, Turnstile
from core.effects import Deferred, Turn
from core.values import Urgency

T = TypeVar("T")

LIVE, ENDED, BACKLOG = Urgency.LIVE, Urgency.ENDED, Urgency.BACKLOG
SMALL = Limit(requests=10, period_ms=1_000, parallel=2)  # 9 for the owner: 8 for ENDED, 7 for BACKLOG
NO_KEY = ApiRefusal("Ошибка аутентификации", status=401, codes=(1056,), remedy="enter a new one")
YEARS_MS = 10**9


class _Jumping(selectors.SelectSelector):
    """Does not wait for the time to pass, but makes it pass."""

    passed_s = 0.0

    def select(self, timeout: float | None = None) -> Any:
        """What is ready now; if nothing is, the time is later."""
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "everybody waits, and nobody will ever wake them"
            self.passed_s += max(0.0, timeout)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """``time`` starts at a thousand seconds and moves from one timer to the next."""

    def __init__(self) -> None:
        self._jumping = _Jumping()
        super().__init__(self._jumping)

    def time(self) -> float:
        """Seconds."""
        return 1_000.0 + self._jumping.passed_s


def in_virtual_time(main: Coroutine[Any, Any, T]) -> T:
    """Run to the end."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)


def loop_ms() -> int:
    """The loop's time as the limits' clock."""
    return round(asyncio.get_running_loop().time() * 1000)


def turn(urgency: Urgency = Urgency.LIVE, quiet_ms: int | None = None) -> Turn:
    """A turn of this urgency."""
    return Turn(urgency=urgency, quiet_ms=quiet_ms)


async def place_at(turnstile: Turnstile, urgency: Urgency = Urgency.LIVE, *, wait_ms: int = 0, **rest: Any) -> Place:
    """A place, or Deferred."""
    return await turnstile.enter(turn(urgency, rest.pop("quiet_ms", None)), wait_ms=wait_ms, **rest)


def never_mended(api: Api, enterprise: str) -> None:
    """Nobody wants to know."""


def turnstile(
    limit: Limit = SMALL,
    *,
    known_ms: int = YEARS_MS,
    door: Door | None = None,
    mended: Callable[[Api, str], None] = never_mended,
) -> Turnstile:
    """The turnstile of an account, in a process that has run for ``known_ms``."""
    return Turnstile(
        House(
            api=Api.PHONE,
            limit=lambda: limit,
            clock=loop_ms,
            born_ms=loop_ms() - known_ms,
            chance=lambda: 1.0,
            mended=mended,
            door=door or Door(),
        )
    )


def finish(place: Place, outcome: Outcome = Outcome.GOOD) -> None:
    """The request was sent and is over."""
    if place.started_ms is None:
        place.start()
    refusal = NO_KEY if outcome is Outcome.REFUSED else None
    place.settle(outcome, failed=outcome is not Outcome.GOOD, reason=f"it was {outcome}", refusal=refusal)
    place.leave()


async def proven(limit: Limit = SMALL, **options: Any) -> Turnstile:
    """A turnstile whose account has answered, a while ago."""
    made = turnstile(limit, **options)
    finish(await place_at(made))
    await asyncio.sleep(60)
    return made


@dataclass(slots=True)
class Seen:
    """What requests did: when each was sent, how long it had waited, and who it was."""

    sent_ms: list[int] = field(default_factory=list)
    waited_ms: list[int] = field(default_factory=list)
    who: list[str] = field(default_factory=list)

    async def one(
        self,
        at: Turnstile,
        urgency: Urgency = LIVE,
        *,
        takes_ms: int = 100,
        who: str = "",
        outcome: Outcome = Outcome.GOOD,
        guess: bool = False,
    ) -> None:
        """Wait as long as it takes, ask, be answered."""
        asked_ms = loop_ms()
        place = await place_at(at, urgency, wait_ms=YEARS_MS, guess=guess)
        place.start()
        self.sent_ms.append(loop_ms())
        self.waited_ms.append(loop_ms() - asked_ms)
        self.who.append(who)
        await asyncio.sleep(takes_ms / 1000)
        finish(place, outcome)


async def at_once(at: Turnstile) -> int:
    """How many requests may be under way at once."""
    places: list[Place] = []
    try:
        while True:
            places.append(await place_at(at))
    except Deferred:
        return len(places)
    finally:
        for place in places:
            place.leave()


async def proven_before(limit: Limit) -> Turnstile:
    """A turnstile whose account answered this instance before, without a request now."""
    made = turnstile(limit)
    made._breaker.left(loop_ms(), Outcome.GOOD, probe=False, chance=1.0)
    return made


def most_within(moments_ms: list[int], period_ms: int) -> int:
    """The most that ever happened within one period. The moments are in order."""
    start = most = 0
    for end, moment in enumerate(moments_ms):
        while moments_ms[start] <= moment - period_ms:
            start += 1
        most = max(most, end - start + 1)
    return most
