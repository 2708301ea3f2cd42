"""When streams next need attention, told to the database for many at once: whoever asks while a statement is under way goes
into the next one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from core.ports import StreamId
from core.values import Urgency

MOST: Final = 1_000
"""Streams in one statement."""

Asked = tuple[StreamId, int, int | None, Urgency]
"""A stream, the version it must still be at, when it is due, how urgently."""


class DueTimes:
    """``tell``: one statement; the places of those, from 1, that were at their version. What it raises all of them are told."""

    def __init__(self, tell: Callable[[Sequence[Asked]], Awaitable[set[int]]]) -> None:
        self._tell = tell
        self._asked: list[tuple[Asked, asyncio.Future[bool]]] = []
        self._task: asyncio.Task[None] | None = None

    async def set(self, asked: Asked) -> bool:
        """Whether it was still at its version."""
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._asked.append((asked, answer))
        if self._task is None:
            self._task = asyncio.create_task(self._run(), name="due times")
        return await answer

    async def _run(self) -> None:
        some: list[tuple[Asked, asyncio.Future[bool]]] = []
        try:
            while self._asked:
                some, self._asked = self._asked[:MOST], self._asked[MOST:]
                try:
                    found = await self._tell([asked for asked, _ in some])
                except Exception as error:  # noqa: BLE001 — told to all who asked
                    for _, answer in some:
                        if not answer.done():
                            answer.set_exception(error)
                    continue
                for nth, (_, answer) in enumerate(some, 1):
                    if not answer.done():
                        answer.set_result(nth in found)
        finally:
            self._task = None
            for _, answer in (*some, *self._asked):  # only when it is cancelled: nobody may wait for ever
                answer.cancel()
            self._asked = []
