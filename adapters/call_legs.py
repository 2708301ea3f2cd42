"""Which call a leg belongs to, and which legs a call has: the dispatcher's log names channels, bridges and parasitic hangups,
people ask about calls (PRODUCT F2).

What has a history of its own says there whose leg it is. The history of a call holds copies of what its channels and bridges said.
Neither is indexed by the leg: the calls of that time are looked through, so a person may ask and a busy program should not.
"""

from __future__ import annotations

import re
from typing import Any, Final

from adapters.looking import TooMuch, looking
from adapters.postgres.database import load_sql
from core.events import safe_id

_OF_LEG, _OF_CALL, _ENTERPRISES = load_sql("call_of_leg"), load_sql("legs_of_call"), load_sql("leg_enterprises")

_UNIQUE_ID: Final = re.compile(r"(?:.*[^0-9])?(?P<second>[0-9]{10})\.[0-9]{1,9}")
"""Asterisk's name of a channel holds the second in which it was made; a system's name may stand before it."""

LONGEST: Final = 200


async def call_of(pool: Any, enterprise: str, leg: str) -> str | None:
    """The call that a channel or a bridge belongs to, by the PBX's name of it; None: no call is known to.

    Raises ValueError(field, hint) where that takes longer than a person waits.
    """
    found = await _ask(pool, _OF_LEG, leg, enterprise, safe_id(leg), _made_ms(leg))
    return next((str(row["call"]) for row in found), None)


async def calls_of(pool: Any, leg: str) -> list[tuple[str, str]]:
    """The same in whatever enterprise: the calls, each after its enterprise. Raises as :func:`call_of` does."""
    enterprises = [str(row["enterprise"]) for row in await _ask(pool, _ENTERPRISES, leg, safe_id(leg), _made_ms(leg))]
    return [(each, call) for each in enterprises if (call := await call_of(pool, each, leg)) is not None]


def _made_ms(leg: str) -> int | None:
    made = _UNIQUE_ID.fullmatch(leg)
    return int(made["second"]) * 1_000 if made else None


async def _ask(pool: Any, statement: str, leg: str, *args: Any) -> list[Any]:
    if len(leg) > LONGEST:
        return []
    try:
        async with looking(pool) as connection:
            found: list[Any] = await connection.fetch(statement, *args)
    except TooMuch:
        raise ValueError("call", "the call's own UniqueId: there are too many calls of that time to find this leg's") from None
    return found


async def legs_of(pool: Any, enterprise: str, call: str, start_ms: int | None, end_ms: int | None) -> tuple[str, ...]:
    """The UniqueIds that turned out to be legs of a call with a history of their own, oldest first. ``end_ms`` None: it goes on."""
    if start_ms is None:
        return ()
    try:
        async with looking(pool) as connection:
            rows = await connection.fetch(_OF_CALL, enterprise, call, start_ms, end_ms)
    except TooMuch:
        return ()  # a replay without them is better than none
    return tuple(str(row["call"]) for row in rows)
