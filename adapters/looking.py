"""How a person's question is put to the database: with a plan made for this question, and not for longer than a person waits."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import asyncpg

PATIENCE_S: Final = 8
"""A question that takes longer asks for too much: it is given up, and the person told what to narrow."""


class TooMuch(Exception):
    """The question would take longer than a person waits."""


@contextlib.asynccontextmanager
async def looking(pool: Any) -> AsyncIterator[Any]:
    """A connection to ask with. Raises :class:`TooMuch` when the block's statements take longer than ``PATIENCE_S``.

    Each question has other conditions: a plan made once for all of them would read the whole table for most.
    """
    try:
        async with pool.acquire() as connection, connection.transaction(readonly=True):
            await connection.execute(
                f"SET LOCAL plan_cache_mode = force_custom_plan; SET LOCAL statement_timeout = '{PATIENCE_S}s'"
            )
            yield connection
    except asyncpg.QueryCanceledError:
        raise TooMuch from None
