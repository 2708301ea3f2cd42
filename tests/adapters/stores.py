"""Event stores that are slow, or away, when a test wants it (in all else the one in memory), and a pool that hangs."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from adapters.memory_store import MemoryEventStore
from core.errors import StoreUnavailable, VersionConflict
from core.ports import Append, Appended


class Gated(MemoryEventStore):
    """Records nothing until its gate is opened. ``asked``: somebody waits at it; ``largest``: most appends in one commit."""

    def __init__(self) -> None:
        super().__init__()
        self.gate = asyncio.Event()
        self.asked = asyncio.Event()
        self.largest = 0

    async def append_many(self, appends: Sequence[Append]) -> list[Appended | VersionConflict]:
        """See ``EventStore.append_many``."""
        self.asked.set()
        self.largest = max(self.largest, len(appends))
        await self.gate.wait()
        return await super().append_many(appends)


class Away(MemoryEventStore):
    """Fails so many times; an attempt that fails may have recorded everything before its answer was lost."""

    def __init__(self, *, failures: int, records_before_it_fails: bool = False) -> None:
        super().__init__()
        self.failures = failures
        self.asked = asyncio.Event()
        self._records_before_it_fails = records_before_it_fails

    async def append_many(self, appends: Sequence[Append]) -> list[Appended | VersionConflict]:
        """See ``EventStore.append_many``."""
        self.asked.set()
        if self.failures > 0:
            self.failures -= 1
            if self._records_before_it_fails:
                await super().append_many(appends)
            raise StoreUnavailable("the database is away: nobody listens there")
        return await super().append_many(appends)


class Stuck:
    """A pool whose server answers nothing until it is let go; to call a statement off is to wait for that server too."""

    def __init__(self) -> None:
        self.let_go = asyncio.Event()
        self.asked = 0
        self.finished = 0

    async def _ask(self, *_: Any) -> None:
        self.asked += 1
        while not self.let_go.is_set():
            try:
                await self.let_go.wait()
            except asyncio.CancelledError:
                continue
        self.finished += 1

    execute = fetch = fetchrow = fetchval = _ask

    def acquire(self) -> Stuck:
        """A connection that is never there."""
        return self

    async def __aenter__(self) -> Any:
        await self._ask()
        raise ConnectionError("there was no connection after all")

    async def __aexit__(self, *_: object) -> None:
        return None
