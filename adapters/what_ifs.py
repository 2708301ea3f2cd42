"""«А если бы…» for the pages: one call at once, a day of an enterprise in the background (PRODUCT F3). Nothing is sent or changed.

A day is run by a process of its own, so that nothing else of the service waits for it. What it found is kept in this instance for
a while, and is gone with it: the question is asked again as easily.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from datetime import tzinfo
from typing import Any, Final

import structlog

from adapters.histories import Histories
from adapters.replay_command import Sum, day_ms
from adapters.reports import zone_named
from adapters.time_machine import Unreadable, judged, question_of
from core.history_file import HistoryFile
from core.other_settings import Against
from core.what_if import Verdict, judge

log = structlog.get_logger("what_if")

MOST_CALLS: Final = 20_000
"""Calls of a day that are run again: minutes of one core. More are asked for at the command line."""

AT_ONCE: Final = 2
"""Days under way in one instance, each of another enterprise: nobody keeps the others from asking."""

KEPT: Final = 20
"""Days that are remembered, those asked for last."""

CLOSE_S: Final = 2.0


class Busy(Exception):
    """A day of this enterprise is under way, or too many of others."""


class TooMany(Exception):
    """The day holds more calls than are run again here; ``calls``: how many."""

    def __init__(self, calls: int) -> None:
        super().__init__(f"{calls} calls are more than {MOST_CALLS}")
        self.calls = calls


@dataclass(slots=True, kw_only=True)
class Day:
    """One day as it stands. ``state``: running, done, cancelled, failed."""

    id: str
    enterprise: str
    day: str
    whole: int
    sum: Sum
    done: int = 0
    state: str = "running"
    task: asyncio.Task[None] | None = None


class WhatIfs:
    """Answers what would have been otherwise. ``as_json``, ``tally``: how verdicts are told; methods raise StoreUnavailable."""

    def __init__(
        self,
        histories: Histories,
        *,
        as_json: Callable[[Verdict, tzinfo], dict[str, Any]],
        tally: Callable[[], Sum],
        zone: tzinfo,
    ) -> None:
        self._histories = histories
        self._as_json = as_json
        self._tally = tally
        self._zone = zone
        self._days: dict[str, Day] = {}

    async def began_under(self, enterprise: str, call: str) -> Mapping[str, Any] | None:
        """The settings under which a call began, without secrets; None for a call nobody knows."""
        history = await self._histories.one(enterprise, call)
        return None if history is None else history.config

    async def one(self, enterprise: str, call: str, against: Against) -> dict[str, Any] | None:
        """What would be otherwise with one call; None for a call nobody knows. Raises Unreadable."""
        history = await self._histories.one(enterprise, call)
        if history is None:
            return None
        question = await question_of(history, against, self._histories.config)
        return self._as_json(await asyncio.to_thread(judge, question), self._zone)

    async def begin(self, enterprise: str, day: str, against: Against, *, zone: str = "") -> Day:
        """Begin with a day of this time zone (of the PBX's, where it is not said).

        Raises Busy, TooMany, and ValueError(field, hint) for a day or a zone that is none.
        """
        running = [each.enterprise for each in self._days.values() if each.state == "running"]
        if enterprise in running or len(running) >= AT_ONCE:
            raise Busy
        named = zone_named(zone, self._zone) if zone else await self._histories.zone(enterprise, self._zone)
        from_ms, to_ms = day_ms(day, named)
        whole = await self._histories.count_day(enterprise, from_ms, to_ms)
        if whole > MOST_CALLS:
            raise TooMany(whole)
        found = Day(id=secrets.token_urlsafe(12), enterprise=enterprise, day=day, whole=whole, sum=self._tally())
        self._days[found.id] = found
        while len(self._days) > KEPT:
            oldest = next((id_ for id_, each in self._days.items() if each.state != "running"), None)
            if oldest is None:
                break
            del self._days[oldest]
        histories = self._histories.day(enterprise, from_ms, to_ms)
        found.task = asyncio.create_task(self._run(found, histories, against), name=f"what if {enterprise}")
        return found

    def find(self, enterprise: str, id_: str) -> Day | None:
        """A day that was begun here, and is this enterprise's."""
        found = self._days.get(id_)
        return found if found is not None and found.enterprise == enterprise else None

    async def cancel(self, enterprise: str, id_: str) -> Day | None:
        """Stop a day; what was found until then stays."""
        found = self.find(enterprise, id_)
        if found is not None:
            await _ended(found)
        return found

    async def close(self) -> None:
        """Stop whatever is under way."""
        await asyncio.gather(*(_ended(each) for each in self._days.values()))

    async def _run(self, day: Day, histories: AsyncIterator[HistoryFile], against: Against) -> None:
        try:
            async for verdict in judged(histories, against, revision=self._histories.config, apart=True):
                day.done += 1
                if isinstance(verdict, Unreadable):
                    day.sum.calls += 1
                    day.sum.unreadable += 1
                else:
                    day.sum.add(verdict)
            day.state = "done"
        except asyncio.CancelledError:
            day.state = "cancelled"
            raise
        except Exception as error:  # the edge of a task that nobody waits for: whoever asks is told, the log has the place
            day.state = "failed"
            log.error("what_if_failed", enterprise=day.enterprise, exc_info=error)


async def _ended(day: Day) -> None:
    if day.task is None or day.task.done():
        return
    day.task.cancel()
    with contextlib.suppress(asyncio.CancelledError, TimeoutError):
        await asyncio.wait_for(asyncio.shield(asyncio.wait([day.task])), CLOSE_S)
