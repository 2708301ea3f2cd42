"""Which click a delivery is: a new one, one that is under way already, or one too many (``core/clicks.py`` has the numbers).

One row per click in ``click_book``, written under a lock of the enterprise, so that the same click delivered to two instances at
once is one, and so that limits hold over all of them. The row comes before the click's history: whoever dies in between leaves a
row without one, and the next delivery of that click goes on under the same id.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol
from uuid import uuid4

from adapters.outages import unavailable
from adapters.postgres.database import load_sql
from core.click_request import Wish
from core.clicks import EACH_HOUR, EACH_MINUTE, ENTERPRISE_MINUTE, REPEAT_MS

HOUR_MS: Final = 3_600_000
MINUTE_MS: Final = 60_000
KEEP_MS: Final = 2 * HOUR_MS
"""The longest limit looks an hour back."""

_LOCK: Final = "SELECT pg_advisory_xact_lock(hashtextextended($1, 8055))"
_RECENT, _ADD, _PRUNE = load_sql("click_book_recent"), load_sql("click_book_add"), load_sql("click_book_prune")


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """Under which id the click goes on; ``repeated``: it was there before."""

    click: str
    repeated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class TooMany:
    """One too many; ``error`` and ``remedy`` in words."""

    error: str
    remedy: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A click in the book."""

    click: str
    extension: str
    number: str
    uid: str
    at_ms: int


class ClickBook(Protocol):
    """Raises StoreUnavailable."""

    async def place(self, enterprise: str, wish: Wish, now_ms: int, spent: Collection[str]) -> Placed | TooMany:
        """Give the click its place. ``spent``: clicks that are known to ring nobody any more; they repeat nothing."""
        ...

    async def prune(self, now_ms: int) -> None:
        """Forget what no limit needs any more. Raises database errors."""
        ...


class PostgresClickBook:
    """The book in the table ``click_book``."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def place(self, enterprise: str, wish: Wish, now_ms: int, spent: Collection[str]) -> Placed | TooMany:
        """See ``ClickBook``."""
        with unavailable("the click cannot be written down"):
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_LOCK, enterprise)
                rows = await connection.fetch(_RECENT, enterprise, now_ms - HOUR_MS)
                placed = place(wish, now_ms, [Line(**dict(row)) for row in rows], spent)
                if isinstance(placed, Placed) and not placed.repeated:
                    await connection.execute(_ADD, enterprise, placed.click, wish.extension, wish.number, wish.uid, now_ms)
                return placed

    async def prune(self, now_ms: int) -> None:
        """See ``ClickBook``."""
        await self._pool.execute(_PRUNE, now_ms - KEEP_MS)


def place(wish: Wish, now_ms: int, recent: Sequence[Line], spent: Collection[str]) -> Placed | TooMany:
    """The rule. ``recent``: the enterprise's clicks of the last hour, newest first."""
    for line in recent:
        same = (line.extension, line.number, line.uid) == (wish.extension, wish.number, wish.uid)
        if same and abs(now_ms - line.at_ms) < REPEAT_MS and line.click not in spent:
            return Placed(click=line.click, repeated=True)
    of_each = [line for line in recent if line.extension == wish.extension]
    wait = "wait a minute before the next click"
    if sum(line.at_ms > now_ms - MINUTE_MS for line in of_each) >= EACH_MINUTE:
        return TooMany(error=f"more than {EACH_MINUTE} clicks of this employee in a minute", remedy=wait)
    if len(of_each) >= EACH_HOUR:
        return TooMany(error=f"more than {EACH_HOUR} clicks of this employee in an hour", remedy="wait before the next click")
    if sum(line.at_ms > now_ms - MINUTE_MS for line in recent) >= ENTERPRISE_MINUTE:
        return TooMany(error=f"more than {ENTERPRISE_MINUTE} clicks of this enterprise in a minute", remedy=wait)
    return Placed(click=uuid4().hex[:20], repeated=False)
