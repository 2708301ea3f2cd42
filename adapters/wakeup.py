"""Bells that ring after each commit of this process, so that followers of the log need not wait for their next poll."""

from __future__ import annotations

import asyncio
from weakref import ref


class Bell:
    """One listener's bell (``core.ports.Wakeup``): remembers that it rang until somebody waits for it."""

    def __init__(self) -> None:
        self._rang = asyncio.Event()

    def ring(self) -> None:
        """Let the waiting one go, or the next one who waits."""
        self._rang.set()

    async def wait(self) -> None:
        """Return at the next ring; at once if it rang since the last return."""
        await self._rang.wait()
        self._rang.clear()


class Bells:
    """All listeners of one store. A listener is forgotten when it drops its bell.

    They are rung in the order in which they came, in every process.
    """

    def __init__(self) -> None:
        self._bells: list[ref[Bell]] = []

    def subscribe(self) -> Bell:
        """A new bell; it rings first at the next commit."""
        bell = Bell()
        self._bells = [each for each in self._bells if each() is not None]
        self._bells.append(ref(bell))
        return bell

    def ring(self) -> None:
        """Wake every listener."""
        for each in self._bells:
            if (bell := each()) is not None:
                bell.ring()
