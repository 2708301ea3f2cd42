"""Drives the service's parts by hand: nothing runs by itself, and time moves only when it is told to.

The bench uses it to make histories and to count requests, the tests to see what the service does at which moment.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final, Protocol

from adapters.reactor import Reactor
from adapters.service import Service
from core.ports import EventStore

HELD_MS: Final = 1_000
"""A stream that stays due although it was attended to is held back by something; the reactor looks again a second later."""

MOST_ROUNDS: Final = 100_000
"""Of one ``let_pass``: a day of looking every second. More than that never comes to rest."""


@dataclass(slots=True)
class Clock:
    """Time that stands still until somebody moves it. ``now_ms``: since the epoch, UTC."""

    now_ms: int = 1_795_436_000_000

    def __call__(self) -> int:
        return self.now_ms


class Movable(Protocol):
    """Whatever keeps the time that the parts read: a ``Clock``, or a rig that is its own clock."""

    now_ms: int


async def settle(service: Service) -> None:
    """Let switchboard, reactor and read models work until nothing moves any more at this moment."""
    while True:
        head = await service.store.head()
        while await service.switchboard.step():
            pass
        await service.reactor.idle()
        if await service.store.head() == head:
            return


async def let_pass(
    clock: Movable, until_ms: int, store: EventStore, reactor: Reactor, settle: Callable[[], Awaitable[None]]
) -> None:
    """Move the clock to ``until_ms`` and stop at every deadline on the way, so that each is met at its own time.

    ``settle`` is called after each stop. Raises RuntimeError when the parts never come to rest.
    """
    last_ms = None
    for _ in range(MOST_ROUNDS):
        due_ms = await store.next_due_ms()
        if due_ms is None or due_ms > until_ms or clock.now_ms > until_ms:
            break
        clock.now_ms = max(clock.now_ms, due_ms) + (HELD_MS if due_ms == last_ms else 0)
        last_ms = due_ms
        for due in await store.due(clock.now_ms, 1_000):
            reactor.wake(due.stream, due.urgency)
        await settle()
    else:
        raise RuntimeError(f"the parts never come to rest: {MOST_ROUNDS} deadlines before {until_ms}")
    clock.now_ms = max(clock.now_ms, until_ms)
