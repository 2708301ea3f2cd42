"""Who is to be called back, on PostgreSQL (``core.ports.Callbacks``): one transaction for each question.

Two missed calls of one customer that end at the same moment, on two instances or across a crash, have their turns here one
after another: an advisory lock of the enterprise is held for a few statements.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from adapters.postgres.database import DATABASE_ERRORS, is_poison, load_sql
from core.errors import StoreUnavailable
from core.ports import HOLD_MS, Claimed, Ended

KEPT_DAYS: Final = 90
"""As long as the list of missed calls looks back."""

MOST_AGAIN: Final = 1_000
"""Calls that are asked again when an account takes tasks again, the latest; who waits longer has been called back, or has not."""

BY: Final = "the service"
AGAIN: Final = "the account takes tasks again"
NEXT: Final = "the call that was refused a task needs none any more"

_TURN, _KNOWN, _TALKED = load_sql("callback_turn"), load_sql("callback_known"), load_sql("callback_talked")
_JOIN, _MAKE, _HELD = load_sql("callback_join"), load_sql("callback_make"), load_sql("callback_held")
_HOLD, _WAIT, _KEEP = load_sql("callback_hold"), load_sql("callback_wait"), load_sql("callback_keep")
_RELEASE, _TALK, _CLOSE = load_sql("callback_release"), load_sql("callback_talk"), load_sql("callback_close")
_TASKS, _PRUNE, _LET_GO = load_sql("callback_tasks"), load_sql("callback_prune"), load_sql("callback_let_go")
_OVER = load_sql("callback_over")


class PostgresCallbacks:
    """Implements ``core.ports.Callbacks`` on the service's pool."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool

    async def claim(
        self, enterprise: str, call: str, clients: Sequence[str], missed_ms: int, over: Ended | None = None
    ) -> Claimed:
        """See ``Callbacks.claim``."""
        async with self._turn(enterprise) as connection:
            if over is not None:
                await connection.execute(_OVER, enterprise, call, over.task)
                if over.at_ms is not None:
                    await connection.execute(_TALK, enterprise, list(clients), over.at_ms)
            known = await connection.fetchrow(_KNOWN, enterprise, call)
            if known is not None and known["closed_by"] is not None:
                # If it was the one to tell a person, it is the next one's turn.
                await connection.execute(_LET_GO, enterprise, call, BY, NEXT)
                talked = await connection.fetchval(_TALKED, enterprise, list(clients))
                return Claimed(granted=False, talked_ms=talked or known["missed_ms"])
            if known is None:
                talked = await connection.fetchval(_TALKED, enterprise, list(clients))
                if talked is not None and talked >= missed_ms:
                    return Claimed(granted=False, talked_ms=talked)
                others = await connection.fetch(_JOIN, enterprise, list(clients), missed_ms)
                if others:
                    by, task = min((row["call"], row["task"]) for row in others)
                    return Claimed(granted=False, by=by, task=task)
                await connection.execute(_MAKE, enterprise, call, list(clients), missed_ms)
            return await self._granted(connection, enterprise, call)

    async def keep(self, enterprise: str, call: str, task: str) -> bool:
        """See ``Callbacks.keep``."""
        async with self._turn(enterprise) as connection:
            is_open = await connection.fetchval(_KEEP, enterprise, call, task)
            await connection.execute(_RELEASE, enterprise, BY, AGAIN, MOST_AGAIN)
            return is_open is not False

    async def hold(self, enterprise: str, call: str) -> str:
        """See ``Callbacks.hold``."""
        async with self._turn(enterprise) as connection:
            teller = str(await connection.fetchval(_HOLD, enterprise, call, HOLD_MS / 1000))
            if teller != call:
                await connection.execute(_WAIT, enterprise, call)
            return teller

    async def close(self, enterprise: str, call: str, clients: Sequence[str], talked_ms: int) -> tuple[str, ...]:
        """See ``Callbacks.close``."""
        async with self._turn(enterprise) as connection:
            await connection.execute(_TALK, enterprise, list(clients), talked_ms)
            await connection.execute(_CLOSE, enterprise, call, list(clients), talked_ms)
            return tuple(row["task"] for row in await connection.fetch(_TASKS, enterprise, call))

    async def _granted(self, connection: Any, enterprise: str, call: str) -> Claimed:
        held = await connection.fetchrow(_HELD, enterprise)
        if held is None or held["call"] == call:
            return Claimed(granted=True)
        if held["in_force"]:
            await connection.execute(_WAIT, enterprise, call)
            return Claimed(granted=True, held_by=held["call"])
        await connection.fetchval(_HOLD, enterprise, call, HOLD_MS / 1000)  # this one tries; the others go on waiting
        return Claimed(granted=True)

    @asynccontextmanager
    async def _turn(self, enterprise: str) -> AsyncIterator[Any]:
        try:
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.execute(_TURN, enterprise)
                yield connection
        except DATABASE_ERRORS as error:
            if is_poison(error):
                raise
            raise StoreUnavailable("who is to be called back cannot be read") from error


async def prune(pool: Any) -> None:
    """Forget what is older than anybody calls back for. May raise a database error."""
    await pool.execute(_PRUNE, KEPT_DAYS)
