"""Keeps the projections up to date: each follows the log by itself, and its checkpoint moves with its rows.

A batch and the checkpoint are one transaction, so every event is applied exactly once whatever is killed when. Several
instances may run it: whoever locks the checkpoint's row takes the batch, the others skip it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from adapters.postgres.database import DATABASE_ERRORS, explain, load_sql, still_wanted
from core.errors import StoreUnavailable
from core.ports import EventStore, Projection

log = structlog.get_logger("projections")

BATCH: Final = 500
POLL_S: Final = 1.0
BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
BUSY_PAUSE_S: Final = 0.05

_AWAY: Final[tuple[type[Exception], ...]] = (StoreUnavailable, *DATABASE_ERRORS)

_READ: Final = load_sql("checkpoint_read")
_MAKE: Final = load_sql("checkpoint_make")
_TAKE: Final = load_sql("checkpoint_take")
_LOCK: Final = load_sql("checkpoint_lock")
_MOVE: Final = load_sql("checkpoint_move")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionState:
    """How one projection fares in this process: where it stands, and what stops it (empty: nothing)."""

    name: str
    position: int
    failures: int = 0
    error: str = ""


class ProjectionRunner:
    """Runs projections until cancelled. ``states`` tells how each fares; ``rebuild`` starts one over.

    A projection that fails is tried again with growing pauses, from the same place: it stands still, visibly, and
    neither skips an event nor stops the others.
    """

    def __init__(
        self,
        pool: asyncpg.Pool,
        store: EventStore,
        projections: Sequence[Projection],
        *,
        poll_s: float = POLL_S,
        batch: int = BATCH,
    ) -> None:
        self._pool = pool
        self._store = store
        self._projections = {projection.name: projection for projection in projections}
        if len(self._projections) != len(projections):
            raise ValueError("two projections have the same name")
        self._poll_s = poll_s
        self._batch = batch
        self._states = {name: ProjectionState(name=name, position=0) for name in self._projections}

    def states(self) -> tuple[ProjectionState, ...]:
        """How each projection fares, for health checks and metrics."""
        return tuple(self._states.values())

    async def run(self) -> None:
        """Follow the log with every projection until cancelled."""
        async with asyncio.TaskGroup() as group:
            for name in self._projections:
                group.create_task(self._follow(name), name=f"projection {name}")

    async def step(self, name: str) -> int:
        """Apply one batch; how many events it held. 0: nothing new, or another instance is at it."""
        # The log is read before the transaction: no connection waits for a second one, and locks are held briefly.
        after = await self._position(name)
        batch = await self._store.read_log(after, self._batch)
        if not batch:
            self._states[name] = ProjectionState(name=name, position=after)
            return 0
        async with self._pool.acquire() as connection, connection.transaction():
            if await connection.fetchval(_TAKE, name, after) is None:
                return 0
            await self._projections[name].apply(connection, batch)
            await connection.execute(_MOVE, name, batch[-1].position)
        self._states[name] = ProjectionState(name=name, position=batch[-1].position)
        return len(batch)

    async def catch_up(self, name: str | None = None) -> None:
        """Apply everything recorded until now (tests, tools). Errors are raised, not repeated."""
        for each in [name] if name is not None else self._projections:
            head = await self._store.head()
            await self._advance(each, head, lambda _done, _all: None)

    async def rebuild(self, name: str, progress: Callable[[int, int], None] = lambda _done, _all: None) -> int:
        """Forget what the projection wrote and apply the whole log again; returns the position it reached.

        ``progress`` gets (position, head). The service may be running: whoever takes the next batch takes it. Stopped
        half-way, it is continued by the next runner. Raises KeyError for an unknown name.
        """
        projection = self._projections[name]
        head = await self._store.head()
        async with self._pool.acquire() as connection, connection.transaction():
            await connection.execute(_MAKE, name)
            await connection.fetchval(_LOCK, name)
            await projection.reset(connection)
            await connection.execute(_MOVE, name, 0)
        progress(0, head)
        await self._advance(name, head, progress)
        return head

    async def _advance(self, name: str, head: int, progress: Callable[[int, int], None]) -> None:
        while True:
            took = await self.step(name)
            position = await self._position(name)
            progress(min(position, head), head)
            if position >= head:
                return
            if not took:
                await asyncio.sleep(BUSY_PAUSE_S)

    async def _position(self, name: str) -> int:
        position = await self._pool.fetchval(_READ, name)
        if position is None:
            await self._pool.execute(_MAKE, name)
            return 0
        return int(position)

    async def _follow(self, name: str) -> None:
        bell = self._store.subscribe()
        failures = 0
        while True:
            try:
                while await self.step(name):
                    failures = 0
                failures = 0
            except _AWAY as error:
                still_wanted(error)
                failures += 1
                reason = str(error) if isinstance(error, StoreUnavailable) else explain(error)
                log.warning("projection_waits", projection=name, reason=reason)
                await self._pause(name, failures, reason)
                continue
            except Exception as error:
                # A bug in one read model: it stands still, says so, and is tried again; calls go on.
                still_wanted(error)
                failures += 1
                log.error("projection_failed", projection=name, position=self._states[name].position, exc_info=error)
                await self._pause(name, failures, f"a bug ({type(error).__name__}), see the log")
                continue
            # Not wait_for: until Python 3.12 it loses a cancellation that comes together with the bell.
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await bell.wait()

    async def _pause(self, name: str, failures: int, reason: str) -> None:
        position = self._states[name].position
        self._states[name] = ProjectionState(name=name, position=position, failures=failures, error=reason)
        await asyncio.sleep(BACKOFF_S[min(failures - 1, len(BACKOFF_S) - 1)])
