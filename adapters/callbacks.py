"""A gateway in front of MoySklad's that answers questions about callbacks from our own database.

Which call makes the customer's task depends on other calls. The question is an effect like any other, and its answer is
recorded in the stream of the call that asked. So a replay of that call needs neither the other calls nor a database
(docs/decisions/0005, 0015).
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import msgspec

from core.effects import (
    Account,
    Admission,
    ClaimCallback,
    CloseCallback,
    Effect,
    Gateway,
    HoldTasks,
    KeepTask,
    Performed,
    Turn,
    Way,
    way_of,
)
from core.phone import digits
from core.ports import Callbacks, Ended

TAIL: Final = 9
"""So many last digits of a number name a customer, as in the list of missed calls: they are the same however it was dialled."""


class _AtHome:
    """An :class:`core.effects.Admission` for what our own database answers: there is always room."""

    def __init__(self, callbacks: Callbacks, enterprise: str) -> None:
        self._callbacks = callbacks
        self._enterprise = enterprise

    async def perform(self, effect: Effect) -> Performed:
        """See :class:`core.effects.Admission`. Raises StoreUnavailable."""
        return Performed(result=await answer(self._callbacks, self._enterprise, effect))


class WithCallbacks:
    """Implements :class:`core.effects.Gateway` over the one to MoySklad."""

    def __init__(self, moysklad: Gateway, callbacks: Callbacks) -> None:
        self._moysklad = moysklad
        self._callbacks = callbacks

    @asynccontextmanager
    async def admitted(self, effect: Effect, account: Account, turn: Turn) -> AsyncIterator[Admission]:
        """See :class:`core.effects.Gateway`."""
        if way_of(effect) is Way.HOUSE:
            yield _AtHome(self._callbacks, account.enterprise)
            return
        async with self._moysklad.admitted(effect, account, turn) as admission:
            yield admission

    def is_away(self, effect: Effect, account: Account) -> bool:
        """See :class:`core.effects.Gateway`."""
        return way_of(effect) is not Way.HOUSE and self._moysklad.is_away(effect, account)


async def answer(callbacks: Callbacks, enterprise: str, effect: Effect) -> dict[str, Any]:
    """The answer of our own database to a call's question."""
    match effect:
        case ClaimCallback():
            names = clients(effect.number, effect.contact)
            over = Ended(effect.over, effect.over_ms) if effect.over else None
            claimed = await callbacks.claim(enterprise, effect.call, names, effect.missed_ms, over)
            told: dict[str, Any] = msgspec.to_builtins(claimed)
            return told
        case KeepTask():
            return {"open": await callbacks.keep(enterprise, effect.call, effect.task)}
        case HoldTasks():
            return {"told_by": await callbacks.hold(enterprise, effect.call)}
        case CloseCallback():
            names = clients(effect.number, effect.contact)
            return {"tasks": list(await callbacks.close(enterprise, effect.call, names, effect.talked_ms))}
        case _:
            raise TypeError(f"{effect.type} is asked of MoySklad, not of the house")


def clients(number: str, contact: str) -> tuple[str, ...]:
    """The names under which a customer is known: two of his calls have at least one in common."""
    return (f"number {digits(number)[-TAIL:]}", *([f"contact {contact}"] if contact else []))
