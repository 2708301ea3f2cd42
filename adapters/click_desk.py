"""Takes a click in: who asks, what for, whether it may be; durable before the answer, and nothing is dialled here (PRODUCT E5).

The order to the telephone exchange is given by whoever attends to the enterprise (``adapters/click_caller.py``).
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final
from uuid import uuid4

import structlog

from adapters.click_book import ClickBook, TooMany
from adapters.click_joiner import new_click_event
from adapters.errands import Errands
from adapters.settings_store import Current
from core.click_request import Unfit, Wish, as_sent, wish_of
from core.clicks import (
    STREAM,
    Click,
    ClickEvent,
    ClickRefused,
    ClickRepeated,
    ClickRequested,
    Stage,
    decode_click,
    fold_click,
    initial_click,
    is_spent,
)
from core.errors import StoreUnavailable, VersionConflict
from core.events import HangupObserved
from core.ports import Append, EventStore, StreamId
from core.webhook_signature import is_admitted, reading_of, values_of

log = structlog.get_logger("clicks")

TAKE_S: Final = 2.7
"""MoySklad gets an honest answer this long after its click arrived, whatever the database and the body do. How long it would wait
is not documented."""

MAX_TAKES: Final = 200
"""Clicks being written down at once, of all enterprises: what comes on top would only wait for the same database."""

MAX_ROUNDS: Final = 8
"""Earlier clicks of the same employee and number that may have come to nothing within ``REPEAT_MS``."""

MAX_REPEATS: Final = 20
"""Repeats of one click that its history keeps; what comes on top is only counted."""

REFUSALS_MINUTE: Final = 20
"""Refusals of one enterprise that are kept in a minute: a flood must not fill the history."""

REFUSALS_OF: Final = 5_000
"""Enterprises whose refusals are counted; the ones heard of last."""

ABSENT, WRONG = "absent", "wrong"


class Answer(StrEnum):
    """What became of a delivery."""

    TAKEN = "taken"
    REPEATED = "repeated"
    REFUSED = "refused"
    TOO_MANY = "too_many"
    UNSIGNED = "unsigned"
    SWITCHED_OFF = "switched_off"


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """When a click arrived, and until when, on the loop's clock, whoever sent it has an answer: one limit for all steps, whichever
    of them is slow, and the moment from which the click is fresh."""

    at_ms: int
    until_s: float

    def left_s(self) -> float:
        """How much of the time is left."""
        return max(0.0, self.until_s - asyncio.get_running_loop().time())


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One request as it came: when, the body, the signature shown, from where."""

    arrival: Arrival
    raw: bytes
    signature: str
    address: str


Find = Callable[[str], Awaitable[Current | None]]
"""A webhook's UUID -> the settings in force of the enterprise whose it is; None for nobody's. Raises StoreUnavailable."""


class ClickDesk:
    """Every way in for clicks. ``find``: whose a webhook is; ``wake`` is told of a click's stream that has something new."""

    def __init__(
        self,
        *,
        store: EventStore,
        book: ClickBook,
        now_ms: Callable[[], int],
        find: Find,
        wake: Callable[[StreamId], None],
        take_s: float = TAKE_S,
    ) -> None:
        self._store = store
        self._book = book
        self._now_ms = now_ms
        self._find = find
        self._wake = wake
        self._take_s = take_s
        self._takes = Errands(MAX_TAKES)
        self._refusals: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self.answers = dict.fromkeys(Answer, 0)
        """How deliveries were answered since the process started; read by metrics."""

    def arrival(self) -> Arrival:
        """That of a click which arrives now."""
        return Arrival(at_ms=self._now_ms(), until_s=asyncio.get_running_loop().time() + self._take_s)

    async def whose(self, uuid: str, arrival: Arrival) -> Current | None:
        """Whose webhook this is; None for nobody's. Raises StoreUnavailable, in time for whoever waits."""
        try:
            return await self._takes.within(arrival.left_s(), self._look(uuid))
        except TimeoutError as error:
            raise StoreUnavailable("the database does not answer in time") from error

    async def _look(self, uuid: str) -> Current | None:
        return await self._find(uuid)

    async def take(self, current: Current, delivery: Delivery) -> Answer:
        """Take one delivery in; when it says ``TAKEN`` the click is on disk. Raises StoreUnavailable."""
        try:
            answer = await self._takes.within(delivery.arrival.left_s(), self._take(current, delivery))
        except TimeoutError as error:
            raise StoreUnavailable("the database does not answer in time") from error
        self.answers[answer] += 1
        return answer

    async def _take(self, current: Current, delivery: Delivery) -> Answer:
        values = values_of(delivery.raw)
        account = current.account
        reading = reading_of(delivery.signature, delivery.raw, [account.phone_key, account.api_token])
        signature = reading.value if reading is not None else WRONG if delivery.signature.strip() else ABSENT
        facts = ClickRefused(
            at_ms=delivery.arrival.at_ms, error="", signature=signature, address=delivery.address, raw=as_sent(values)
        )
        if not current.settings.enabled:
            off = Unfit(error="the integration is switched off", remedy="switch it on in the integration's settings")
            return await self._refuse(current.enterprise, facts, off, Answer.SWITCHED_OFF)
        if not is_admitted(current.settings.webhook_signature, reading):
            said = "MoySklad's signature is missing" if signature == ABSENT else "MoySklad's signature fits none of the known forms"
            remedy = "check the Phone API key, or set the signature's check to «log» in the integration's settings"
            return await self._refuse(current.enterprise, facts, Unfit(error=said, remedy=remedy), Answer.UNSIGNED)
        wish = wish_of(values, current.settings.country)
        if isinstance(wish, Unfit):
            return await self._refuse(current.enterprise, facts, wish, Answer.REFUSED)
        return await self._place(current, wish, facts)

    async def prune(self) -> None:
        """Forget what no limit needs any more. Raises database errors."""
        await self._book.prune(self._now_ms())

    async def _place(self, current: Current, wish: Wish, facts: ClickRefused) -> Answer:
        """Find out which click it is, and put it on disk unless it is there."""
        enterprise, spent = current.enterprise, set[str]()
        requested = ClickRequested(
            at_ms=facts.at_ms,
            extension=wish.extension,
            number=wish.number,
            uid=wish.uid,
            signature=facts.signature,
            address=facts.address,
            settings_revision=current.revision,
            raw=facts.raw,
        )
        for _ in range(MAX_ROUNDS):
            placed = await self._book.place(enterprise, wish, facts.at_ms, spent)
            if isinstance(placed, TooMany):
                unfit = Unfit(error=placed.error, remedy=placed.remedy)
                return await self._refuse(enterprise, facts, unfit, Answer.TOO_MANY)
            stream = StreamId(enterprise=enterprise, name=f"{STREAM}{placed.click}")
            if not placed.repeated:
                return await self._begin(stream, requested)
            click = await self._read(enterprise, placed.click)
            if click.stage is Stage.UNHEARD:  # whoever wrote it into the book died, or is about to write it down
                return await self._begin(stream, requested)
            if is_spent(click) or await self._is_over(click):
                spent.add(placed.click)
                continue
            return await self._repeat(stream, click, facts)
        unfit = Unfit(error="the same click failed again and again", remedy="see what the earlier clicks say")
        return await self._refuse(enterprise, facts, unfit, Answer.TOO_MANY)

    async def _begin(self, stream: StreamId, requested: ClickRequested) -> Answer:
        try:
            await self._append(stream, requested, expected=0)
        except VersionConflict:
            return Answer.REPEATED  # another delivery of it was quicker
        log.info("click_taken", click=stream.name, enterprise=stream.enterprise, extension=requested.extension)
        return Answer.TAKEN

    async def _repeat(self, stream: StreamId, click: Click, facts: ClickRefused) -> Answer:
        if click.repeats < MAX_REPEATS:
            await self._append(stream, ClickRepeated(at_ms=facts.at_ms, address=facts.address))
        return Answer.REPEATED

    async def _refuse(self, enterprise: str, facts: ClickRefused, why: Unfit, answer: Answer) -> Answer:
        """Say in the history that it was not obeyed, and why; a flood only now and then."""
        sent = facts.raw
        log.info("click_refused", enterprise=enterprise, why=answer.value)
        if self._is_kept(enterprise, facts.at_ms):
            refused = replace(
                facts,
                error=why.error,
                remedy=why.remedy,
                extension=str(sent.get("srcNumber", ""))[:32],
                number=str(sent.get("destNumber", ""))[:64],
                uid=str(sent.get("uid", "")),
            )
            stream = StreamId(enterprise=enterprise, name=f"{STREAM}{uuid4().hex[:20]}")
            await self._append(stream, refused, expected=0)
        return answer

    def _is_kept(self, enterprise: str, now_ms: int) -> bool:
        since_ms, count = self._refusals.pop(enterprise, (now_ms, 0))
        if now_ms - since_ms >= 60_000:
            since_ms, count = now_ms, 0
        self._refusals[enterprise] = (since_ms, count + 1)
        while len(self._refusals) > REFUSALS_OF:
            self._refusals.popitem(last=False)
        return count < REFUSALS_MINUTE

    async def _append(self, stream: StreamId, event: ClickEvent, *, expected: int | None = None) -> None:
        due_ms = None if isinstance(event, ClickRefused) else event.at_ms
        await self._store.append(
            Append(stream=stream, events=(new_click_event(event),), expected_version=expected, due_ms=due_ms)
        )
        if due_ms is not None:
            self._wake(stream)

    async def _read(self, enterprise: str, click: str) -> Click:
        history = await self._store.read(StreamId(enterprise=enterprise, name=f"{STREAM}{click}"))
        return fold_click(initial_click(enterprise, click), (decode_click(each.type, each.data) for each in history))

    async def _is_over(self, click: Click) -> bool:
        """Whether the call that came of it has ended."""
        if not click.call:
            return False
        history = await self._store.read(StreamId(enterprise=click.enterprise, name=f"call/{click.call}"))
        return any(each.type == HangupObserved.type for each in history)
