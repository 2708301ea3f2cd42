"""Work that its caller may stop waiting for, at most so much of it at once.

A statement on a dead connection cannot be cancelled in time: cancelling waits for the same server. So a caller who has promised
an answer by a certain moment stops waiting instead, and the work ends by itself, within its own limits.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

from core.errors import StoreUnavailable

log = structlog.get_logger("errands")

T = TypeVar("T")


class Errands:
    """At most ``limit`` pieces of work at once, including those that nobody waits for any more."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._running: set[asyncio.Task[Any]] = set()

    @property
    def running(self) -> int:
        """How many have not ended yet."""
        return len(self._running)

    async def within(self, seconds: float, work: Coroutine[Any, Any, T]) -> T:
        """The work's result, or what it raises.

        Raises TimeoutError when it takes longer than ``seconds`` (the work goes on), and StoreUnavailable when too many are
        running (the work was not begun).
        """
        if len(self._running) >= self._limit:
            work.close()
            raise StoreUnavailable("too much is waiting for the database")
        task = asyncio.create_task(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        done, _ = await asyncio.wait({task}, timeout=seconds)
        if not done:
            task.add_done_callback(_tell)
            raise TimeoutError
        return task.result()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # whoever asked may have gone away meanwhile


def _tell(task: asyncio.Task[Any]) -> None:
    error = None if task.cancelled() else task.exception()
    log.info("ended_late", error=None if error is None else type(error).__name__)
