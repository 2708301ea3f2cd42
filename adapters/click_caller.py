"""Gives the order for a click to the telephone exchange, once or never (PRODUCT E5, docs/decisions/0017).

What the reactor does for a click's stream, as ``attendant.py`` is for a call's: fold, let time decide, give the order, record
what came of it. That the order begins is recorded first, at the version it was decided from: of several instances one begins,
and one that dies in between leaves a doubt, never a second ring.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from adapters.attendant import MAX_RACES, Again, Alone, Ownership, Progress, Rests, Waits
from adapters.click_joiner import new_click_event
from core.clicks import (
    RINGS_MS,
    STREAM,
    Click,
    ClickEvent,
    ClickExpired,
    ClickUnmatched,
    OriginateDone,
    OriginateFailed,
    OriginateStarted,
    Stage,
    deadline,
    decide_click,
    decode_click,
    fold_click,
    initial_click,
    is_fresh,
)
from core.errors import StoreUnavailable, VersionConflict
from core.origination import ORIGINATE_S, Origination, OriginationInDoubt, OriginationRefused, Originator
from core.ports import Append, EventStore, NewEvent, StreamId
from core.values import Urgency

log = structlog.get_logger("clicks")

SLACK_S: Final = 1.0
"""An originator that does not keep to its own limit is not waited for."""

RETRY_S: Final = (0.05, 0.2, 0.5)
"""Between two attempts to record that the order begins; the same append may be repeated (``EventStore.append``)."""

_OUTCOMES: Final = frozenset({OriginateDone.type, OriginateFailed.type, ClickExpired.type})


class ClickCaller:
    """Takes one click one step further at a time. ``ways``: name -> originator, the best first."""

    def __init__(
        self,
        *,
        store: EventStore,
        ways: Mapping[str, Originator],
        now_ms: Callable[[], int],
        ownership: Ownership | None = None,
    ) -> None:
        self._store = store
        self._ways = ways
        self._now_ms = now_ms
        self._ownership = ownership or Alone()
        self.outcomes: Counter[str] = Counter()
        """What became of clicks here since the process started: ``ordered``, ``failed``, ``doubted``, ``expired``, ``silent``."""

    async def advance(self, stream: StreamId) -> Progress:
        """One round: whatever comes next for this click. Raises StoreUnavailable; the click stays due then."""
        click = await self._load(stream)
        now = self._now_ms()
        if facts := decide_click(click, now):
            if await self._append(stream, click.version, *facts):
                self._count(*facts)
            return Again()
        if click.stage is Stage.WAITING:
            if not self._ownership.owns(stream.enterprise):
                return Waits()
            return await self._order(stream, click)
        wake_ms = deadline(click)
        if not await self._store.set_due(stream, click.version, wake_ms):
            return Again()
        return Rests(wake_ms=wake_ms, urgency=Urgency.LIVE)

    async def put_off(self, stream: StreamId) -> None:
        """Come back to a click that goes on and on."""
        click = await self._load(stream)
        await self._store.set_due(stream, click.version, self._now_ms() + 500)

    async def _order(self, stream: StreamId, click: Click) -> Progress:
        found = next(((name, way) for name, way in self._ways.items() if way.serves(stream.enterprise)), None)
        if found is None:
            words = "there is no way to the telephone exchange"
            failed = OriginateFailed(
                at_ms=self._now_ms(),
                error=words,
                extension=click.extension,
                number=click.number,
                remedy="set MS_ASTERISK_API_URL, or connect the exchange by AMI",
            )
            if await self._append(stream, click.version, failed):
                self._count(failed)
            return Again()
        name, way = found
        started = OriginateStarted(
            at_ms=self._now_ms(),
            way=name,
            channel_id=click.channel_id,
            extension=click.extension,
            number=click.number,
            uid=click.uid,
            requested_ms=click.requested_ms,
        )
        if not await self._begin(stream, click.version, started):
            return Again()
        outcome = await self._originate(way, click, stream)
        await self._record(stream, click.version + 1, outcome)
        return Again()

    async def _originate(self, way: Originator, click: Click, stream: StreamId) -> ClickEvent:
        """Give the order. Whatever happens, there is an outcome; a cancellation leaves the start without one."""
        if not is_fresh(click, self._now_ms()):
            # Writing down that it begins took too long.
            return ClickExpired(at_ms=self._now_ms(), extension=click.extension, number=click.number)
        began_ms = self._now_ms()

        def failed(error: str, remedy: str, *, ambiguous: bool) -> OriginateFailed:
            now = self._now_ms()
            return OriginateFailed(
                at_ms=now,
                error=error,
                extension=click.extension,
                number=click.number,
                remedy=remedy,
                ambiguous=ambiguous,
                took_ms=now - began_ms,
            )

        try:
            order = Origination(
                enterprise=stream.enterprise,
                extension=click.extension,
                number=click.number,
                channel_id=click.channel_id,
                within_s=(click.requested_ms + RINGS_MS - began_ms) / 1_000,
            )
        except ValueError as error:
            return failed(f"the click cannot be dialled: {error}", "report it", ambiguous=False)
        try:
            async with asyncio.timeout(ORIGINATE_S + SLACK_S):
                await way.originate(order)
        except OriginationRefused as error:
            return failed(error.error, error.remedy, ambiguous=False)
        except OriginationInDoubt as error:
            return failed(error.error, error.remedy, ambiguous=True)
        except TimeoutError:
            words = f"the telephone exchange did not answer within {ORIGINATE_S:.0f} s"
            return failed(words, "see whether the exchange is overloaded", ambiguous=True)
        except StoreUnavailable:
            return failed("the database did not answer when the order was to be given", "click again", ambiguous=False)
        now = self._now_ms()
        return OriginateDone(at_ms=now, extension=click.extension, number=click.number, took_ms=now - began_ms)

    async def _begin(self, stream: StreamId, version: int, started: OriginateStarted) -> bool:
        """Record that the order begins: exactly one of all that try may go on. Raises StoreUnavailable: then nobody knows, and
        the start, if it is there, is a doubt."""
        event = new_click_event(started)
        for pause_s in (*RETRY_S, None):
            try:
                appended = await self._store.append(self._as_append(stream, version, event))
            except VersionConflict:
                return False
            except StoreUnavailable:
                if pause_s is None:
                    raise
                await asyncio.sleep(pause_s)
                continue
            return appended.version == version + 1
        return False

    async def _append(self, stream: StreamId, version: int, *events: ClickEvent) -> bool:
        fresh = [new_click_event(event) for event in events]
        try:
            await self._store.append(self._as_append(stream, version, *fresh))
        except VersionConflict:
            return False
        return True

    def _as_append(self, stream: StreamId, version: int, *events: NewEvent) -> Append:
        return Append(stream=stream, events=events, expected_version=version, due_ms=self._now_ms())

    async def _record(self, stream: StreamId, version: int, outcome: ClickEvent) -> None:
        """Record what came of the order that was begun at this version, unless time has decided already."""
        event = new_click_event(outcome)
        for _ in range(MAX_RACES):
            try:
                await self._store.append(self._as_append(stream, version, event))
                self._count(outcome)
                log.info("click_outcome", click=stream.name, enterprise=stream.enterprise, outcome=outcome.type)
                return
            except VersionConflict:
                fresh = await self._store.read(stream, version)
            if not fresh or any(each.type in _OUTCOMES for each in fresh):
                log.warning("click_outcome_superseded", click=stream.name, enterprise=stream.enterprise)
                return
            version = fresh[-1].version
        raise StoreUnavailable(f"{stream} changes faster than an outcome can be recorded")

    async def _load(self, stream: StreamId) -> Click:
        history = await self._store.read(stream)
        events = (decode_click(each.type, each.data) for each in history)
        return fold_click(initial_click(stream.enterprise, stream.name.removeprefix(STREAM)), events)

    def _count(self, *events: ClickEvent) -> None:
        for event in events:
            match event:
                case OriginateDone():
                    self.outcomes["ordered"] += 1
                case OriginateFailed(ambiguous=True):
                    self.outcomes["doubted"] += 1
                case OriginateFailed():
                    self.outcomes["failed"] += 1
                case ClickExpired():
                    self.outcomes["expired"] += 1
                case ClickUnmatched():
                    self.outcomes["silent"] += 1
                case _:
                    continue
