"""Keeps the read models up to date: they follow the log together, and each one's checkpoint moves with its rows.

A batch and the checkpoints are one transaction, so every event is applied exactly once whatever is killed when. The log is read
once for all that stand at the same place, and what comes within a moment is taken together: a transaction for each commit of the
service would cost more than the calls themselves (docs/decisions/0023).

Several instances may run it: whoever locks a checkpoint's row takes the batch. The others stand by: they look whether it moves,
and take over when it does not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import asyncpg
import structlog

from adapters.postgres.database import AWAY, explain, is_poison, load_sql, still_wanted
from core.errors import StoreUnavailable
from core.ports import EventStore, Projection, Rebuildable, RecordedEvent

log = structlog.get_logger("projections")

BATCH: Final = 500
GATHER_S: Final = 0.15
"""What is committed within so long is taken together. The board looks every quarter of a second, so nobody sees it."""

POLL_S: Final = 0.25
"""Other instances' commits ring no bell here."""

STANDBY_S: Final = 1.0
"""How often an instance looks whether the one that keeps the read models is still at it."""

BACKOFF_S: Final = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
BUSY_PAUSE_S: Final = 0.05

_READ: Final = load_sql("followers_read")
_MAKE: Final = load_sql("followers_make")
_TAKE: Final = load_sql("followers_take")
_MOVE: Final = load_sql("followers_move")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectionState:
    """How one projection fares in this process: where it stands, and what stops it (empty: nothing)."""

    name: str
    position: int
    failures: int = 0
    error: str = ""


class ProjectionRunner:
    """Runs projections until cancelled. ``states`` tells how each fares.

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
        standby_s: float = STANDBY_S,
        gather_s: float = GATHER_S,
        batch: int = BATCH,
    ) -> None:
        self._pool = pool
        self._store = store
        self._projections = {projection.name: projection for projection in projections}
        if len(self._projections) != len(projections):
            raise ValueError("two projections have the same name")
        self._poll_s = poll_s
        self._standby_s = standby_s
        self._gather_s = gather_s
        self._batch = batch
        self._states = {name: ProjectionState(name=name, position=0) for name in self._projections}
        self._retry_at: dict[str, float] = {}

    def rebuildable(self) -> Mapping[str, Rebuildable]:
        """Those that can be derived anew, by name."""
        return {name: each for name, each in self._projections.items() if isinstance(each, Rebuildable)}

    def states(self) -> tuple[ProjectionState, ...]:
        """How each projection fares, for health checks and metrics."""
        return tuple(self._states.values())

    async def run(self) -> None:
        """Follow the log with every projection until cancelled."""
        bell = self._store.subscribe()
        places: dict[str, int] = {}
        while True:
            moved = await self._round(places)
            if moved is None:  # somebody else is at it
                await asyncio.sleep(self._standby_s)
                places = await self._stand_by(places)
            elif not moved:
                # Not wait_for: until Python 3.12 it loses a cancellation that comes together with the bell.
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._idle_s()):
                        await bell.wait()
                        await asyncio.sleep(self._gather_s)

    async def step(self, name: str) -> int:
        """Apply one batch to one projection; how many events it held. 0: nothing new, or another instance is at it."""
        after = (await self._read_places([name]))[name]
        batch = await self._store.read_log(after, self._batch)
        if not batch:
            self._fares(name, after)
            return 0
        return len(batch) if await self._apply([name], after, batch) else 0

    async def catch_up(self, name: str | None = None) -> None:
        """Apply everything recorded until now (tests, tools). Errors are raised, not repeated."""
        for each in [name] if name is not None else self._projections:
            head = await self._store.head()
            await self._advance(each, head)

    async def _advance(self, name: str, head: int) -> None:
        while True:
            took = await self.step(name)
            if (await self._read_places([name]))[name] >= head:
                return
            if not took:
                await asyncio.sleep(BUSY_PAUSE_S)

    # -- following -------------------------------------------------------------------------------------------------------

    async def _round(self, places: dict[str, int]) -> bool | None:
        """One batch for each place in the log where projections stand; whether there was any, None: somebody else is at it.

        ``places``: where each stands, as far as this process knows; empty to look. Projections that fail are left out until
        their pause is over.
        """
        now_s = asyncio.get_running_loop().time()
        ready = [name for name in self._projections if self._retry_at.get(name, 0.0) <= now_s]
        try:
            if any(name not in places for name in ready):
                places.update(await self._read_places(ready))
        except AWAY as error:
            self._wait(ready, error)
            return False
        moved, met = False, False
        standing: dict[int, list[str]] = {}
        for name in ready:
            standing.setdefault(places[name], []).append(name)
        for place, names in sorted(standing.items()):
            took = await self._together(names, place)
            for name in took:
                places[name] = took[name]
            moved = moved or any(place != after for after in took.values())
            gone = [name for name in names if name not in took]
            met = met or any(not self._states[name].failures for name in gone)
            for name in gone:
                places.pop(name, None)
        return None if met and not moved else moved

    async def _together(self, names: Sequence[str], place: int) -> dict[str, int]:
        """Where projections that stand at one place stand after one batch; those that did not get it are missing."""
        try:
            batch = await self._store.read_log(place, self._batch)
        except AWAY as error:
            self._wait(names, error)
            return {}
        if not batch:
            for name in names:
                self._fares(name, place)
            return dict.fromkeys(names, place)
        try:
            took = await self._apply(names, place, batch)
        except Exception as error:
            still_wanted(error)
            away = isinstance(error, AWAY)
            if away and not is_poison(error):
                self._wait(names, error)
                return {}
            if len(names) > 1:  # whichever of them it was: the others go on
                found: dict[str, int] = {}
                for name in names:
                    found |= await self._together([name], place)
                return found
            if away:
                self._wait(names, error)
            else:  # a bug in one read model; calls go on
                log.error("projection_failed", projection=names[0], position=place, exc_info=error)
                self._failed(names[0], f"a bug ({type(error).__name__}), see the log")
            return {}
        return dict.fromkeys(took, batch[-1].position)

    async def _apply(self, names: Sequence[str], place: int, batch: Sequence[RecordedEvent]) -> list[str]:
        """Apply a batch to those projections that still stand at ``place`` and that nobody else is at; which those are."""
        # The log was read before the transaction: no connection waits for a second one, and locks are held briefly.
        async with self._pool.acquire() as connection, connection.transaction():
            took = [row["name"] for row in await connection.fetch(_TAKE, list(names), place)]
            if not took:
                return took
            for name in took:
                await self._projections[name].apply(connection, batch)
            await connection.execute(_MOVE, took, batch[-1].position)
        for name in took:
            self._fares(name, batch[-1].position)
        return took

    async def _stand_by(self, places: dict[str, int]) -> dict[str, int]:
        """Wait for as long as somebody else moves the checkpoints; where they stand when nobody does any more."""
        while True:
            try:
                found = await self._read_places(list(self._projections))
            except AWAY as error:
                still_wanted(error)
                return {}
            if found == places:
                return found
            for name, place in found.items():
                self._fares(name, place)
            places = found
            await asyncio.sleep(self._standby_s)

    async def _read_places(self, names: Sequence[str]) -> dict[str, int]:
        found = {row["name"]: int(row["position"]) for row in await self._pool.fetch(_READ, list(names))}
        if missing := [name for name in names if name not in found]:
            await self._pool.execute(_MAKE, missing)
            found |= dict.fromkeys(missing, 0)
        return found

    def _idle_s(self) -> float:
        """How long to wait for a bell: until the next look, or until something that failed is to be tried again."""
        now_s = asyncio.get_running_loop().time()
        return min([self._poll_s, *(max(0.0, at - now_s) for at in self._retry_at.values())])

    def _fares(self, name: str, position: int) -> None:
        self._states[name] = ProjectionState(name=name, position=position)
        self._retry_at.pop(name, None)

    def _wait(self, names: Sequence[str], error: Exception) -> None:
        """The database is away, or refuses what one of them writes."""
        still_wanted(error)
        reason = str(error) if isinstance(error, StoreUnavailable) else explain(error)
        log.warning("projection_waits", projection=", ".join(names), reason=reason)
        for name in names:
            self._failed(name, reason)

    def _failed(self, name: str, reason: str) -> None:
        """It stands still, says so, and is tried again."""
        state = self._states[name]
        failures = state.failures + 1
        self._states[name] = ProjectionState(name=name, position=state.position, failures=failures, error=reason)
        pause_s = BACKOFF_S[min(failures - 1, len(BACKOFF_S) - 1)]
        self._retry_at[name] = asyncio.get_running_loop().time() + pause_s
