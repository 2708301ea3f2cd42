"""The reactor: performs what ``core.plan`` asks for, one call at a time in order, many calls at once.

For one call: fold its stream, let time decide, plan, perform the step, record its outcome in the stream, and again
until nothing is left to do. A write is recorded as started before it is attempted, so a crash at any point leaves
a question that the next plan resolves, never a hole.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final, Protocol
from uuid import UUID, uuid4

import structlog

from core.call import Call, fold, initial
from core.decisions import Limits, decide
from core.effects import Account, Gateway, Performed, Refused, Unavailable, encode_effect, is_write
from core.errors import StoreUnavailable, VersionConflict
from core.events import (
    ArrivalObserved,
    CardRequested,
    DialObserved,
    EffectDone,
    EffectFailed,
    EffectRefused,
    EffectStarted,
    Event,
    HangupObserved,
    decode,
    encode,
)
from core.plan import Step, plan
from core.ports import Append, EventStore, NewEvent, StreamId
from core.settings import Settings

log = structlog.get_logger("reactor")

MAX_STEPS: Final = 60
"""Steps of one call in one go; whatever is left then is due again at once. Bounds a loop that would never settle."""

BACKOFF_MS: Final = (500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000)
"""Waits between attempts; a tenth to a half of it is added at random, so that calls do not come back in step."""

CALL_CACHE: Final = 20_000
"""Folded calls kept in memory, those attended to last; any other is folded again from its stream."""

HOLD_BACK_MS: Final = 10_000
"""How long a call waits for the switchboard to have joined what was heard before its newest signal."""

DUE_AT_ONCE: Final = 1_000
"""Due calls taken up in one poll, beside those already in work, which must not hide the rest."""

POLL_S: Final = 1.0
"""Between two looks for what is due: so late may a deadline be kept. What is heard is attended to at once."""

BUG_PAUSE_MS: Final = 60_000
"""A call that a bug stopped is left alone so long: it costs one traceback a minute, not a loop."""

OWN_SIGNALS: Final = (ArrivalObserved, DialObserved, HangupObserved, CardRequested)
"""What is heard in a call's own stream; the rest of it is brought there by the switchboard."""


class CallSettings(Protocol):
    """The settings a call works under, and the credentials in force now."""

    async def for_call(self, enterprise: str, revision: int) -> tuple[Settings, Account]:
        """Settings of that revision; the account's credentials are the current ones (an inline revision brings its own)."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """A call as folded so far, and the place in the log of the newest signal of its own (not of what was relayed to it)."""

    call: Call
    heard_position: int = 0


@dataclass(slots=True)
class Counters:
    """What the reactor did since it started; read by metrics."""

    performed: int = 0
    refused: int = 0
    failed: int = 0


def new_event(event: Event, id_: UUID | None = None) -> NewEvent:
    """Wrap a core event for the store."""
    type_, schema, data = encode(event)
    return NewEvent(id=id_ or uuid4(), type=type_, schema=schema, data=data)


class Reactor:
    """Runs until cancelled. ``wake`` is cheap and may be called for any stream at any time."""

    def __init__(
        self,
        *,
        store: EventStore,
        settings: CallSettings,
        gateway: Gateway,
        now_ms: Callable[[], int],
        limits: Limits,
        parallel: int = 256,
        parallel_per_enterprise: int = 32,
        jitter: Callable[[], float] = random.random,
        joined_until: Callable[[], int] | None = None,
    ) -> None:
        """``parallel``: requests under way of live calls, and as many of ended ones; ``parallel_per_enterprise`` likewise for each
        enterprise. ``jitter``: 0 to 1, for the waits between attempts.

        ``joined_until``: the log position up to which the switchboard has joined legs to calls; None: no switchboard.

        A call whose newest signal lies beyond it is held back: judged now, a call whose hangup overtook the bridges
        before it (a restart with a backlog) would be settled without them, and attributed to the wrong employee.
        """
        self._store = store
        self._settings = settings
        self._gateway = gateway
        self._now_ms = now_ms
        self._limits = limits
        self._slots = {live: asyncio.Semaphore(parallel) for live in (True, False)}
        self._per_enterprise = parallel_per_enterprise
        self._own_slots: dict[tuple[str, bool], asyncio.Semaphore] = {}
        self._jitter = jitter
        self._running: dict[StreamId, asyncio.Task[None]] = {}
        self._again: set[StreamId] = set()
        self._calls: OrderedDict[StreamId, Known] = OrderedDict()
        self._joined_until = joined_until
        self._held_since_ms: dict[StreamId, int] = {}
        self.counters = Counters()

    def wake(self, stream: StreamId) -> None:
        """Attend to this call now; if it is being attended to, once more afterwards."""
        if stream in self._running:
            self._again.add(stream)
            return
        task = asyncio.create_task(self.attend(stream), name=f"call {stream.name}")
        self._running[stream] = task
        task.add_done_callback(lambda done: self._finished(stream, done))

    async def run(self) -> None:
        """Attend to every call whose work is due, including what an earlier process left behind."""
        try:
            while True:
                await self._poll()
                await asyncio.sleep(POLL_S)
        finally:
            tasks = list(self._running.values())
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def attending(self) -> int:
        """How many calls are being attended to now."""
        return len(self._running)

    async def idle(self) -> None:
        """Wait until no call is being attended to (tests, orderly stop)."""
        while self._running:
            await asyncio.gather(*self._running.values(), return_exceptions=True)
            await asyncio.sleep(0)

    async def attend(self, stream: StreamId) -> None:
        """Bring one call as far as it goes now. Raises StoreUnavailable; the call stays due and is taken up again."""
        enterprise, call_id = stream.enterprise, stream.name.removeprefix("call/")
        with structlog.contextvars.bound_contextvars(call=call_id, enterprise=enterprise):
            for _ in range(MAX_STEPS):
                # Asked before the stream is read: what is joined until then is in what is read.
                joined = self._joined_until() if self._joined_until is not None else None
                known = await self._load(stream)
                call, now = known.call, self._now_ms()
                if call.version == 0:
                    return
                if joined is not None and self._held_back(stream, known.heard_position > joined, now):
                    return  # it stays due, and the switchboard wakes it when it gets there
                if facts := decide(call, now, self._limits):
                    await self._append(stream, call, *facts)
                    continue
                settings, account = await self._settings.for_call(enterprise, call.settings_revision)
                planned = plan(call, settings, now, self._limits)
                step = planned.step
                if step is None or step.not_before_ms is not None:
                    if await self._store.set_due(stream, call.version, planned.wake_ms):
                        if planned.wake_ms is None:
                            self._held_since_ms.pop(stream, None)
                            self._calls.pop(stream, None)  # at rest: whatever still comes is rare, and the stream has it
                        return
                    continue
                async with self._slot(enterprise, call.is_live):
                    call = (await self._load(stream)).call  # a place may have been long in coming
                    again = plan(call, settings, self._now_ms(), self._limits).step
                    if again is not None and again.not_before_ms is None:
                        await self._perform(stream, call, again, account)
            await self._store.set_due(stream, call.version, self._now_ms() + BACKOFF_MS[0])
            log.warning("call_has_many_steps", steps=MAX_STEPS)

    async def _poll(self) -> None:
        try:
            due = await self._store.due(self._now_ms(), DUE_AT_ONCE + len(self._running))
        except StoreUnavailable as error:
            log.warning("database_unavailable", reason=str(error))
            return
        for stream, _version, _due_ms in due:
            if stream not in self._running:
                self.wake(stream)

    @contextlib.asynccontextmanager
    async def _slot(self, enterprise: str, live: bool) -> AsyncIterator[None]:
        """A place among the requests under way. An enterprise whose MoySklad hangs fills its own places, not everybody's,
        and ended calls that wait for MoySklad's limits (a burst, a backlog) never hold up the cards of live ones.
        """
        own = self._own_slots.setdefault((enterprise, live), asyncio.Semaphore(self._per_enterprise))
        async with own, self._slots[live]:
            yield

    def _finished(self, stream: StreamId, task: asyncio.Task[None]) -> None:
        self._running.pop(stream, None)
        again = stream in self._again
        self._again.discard(stream)
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            if again:
                self.wake(stream)
            return
        self._calls.pop(stream, None)
        if isinstance(error, StoreUnavailable):
            log.warning("call_waits_for_database", call=stream.name, reason=str(error))
            return
        # A bug: this call is left alone for a while, the others go on, and the log has the place.
        log.error("call_failed", call=stream.name, error=f"{type(error).__name__}", exc_info=error)
        pause = asyncio.create_task(self._pause(stream))
        self._running[stream] = pause
        pause.add_done_callback(lambda _: self._running.pop(stream, None))

    async def _pause(self, stream: StreamId) -> None:
        await asyncio.sleep(BUG_PAUSE_MS / 1000)

    def _held_back(self, stream: StreamId, behind: bool, now_ms: int) -> bool:
        if not behind:
            self._held_since_ms.pop(stream, None)
            return False
        if now_ms - self._held_since_ms.setdefault(stream, now_ms) < HOLD_BACK_MS:
            return True
        log.warning("legs_not_joined", waited_ms=HOLD_BACK_MS)  # better without its bridges than not at all
        return False

    async def _load(self, stream: StreamId) -> Known:
        known = self._calls.get(stream) or Known(call=initial(stream.enterprise, stream.name.removeprefix("call/")))
        fresh = await self._store.read(stream, known.call.version)
        events = [decode(each.type, each.schema, each.data) for each in fresh]
        own = [each.position for each, event in zip(fresh, events, strict=True) if isinstance(event, OWN_SIGNALS)]
        known = Known(call=fold(known.call, events), heard_position=max(own, default=known.heard_position))
        self._calls[stream] = known
        self._calls.move_to_end(stream)
        while len(self._calls) > CALL_CACHE:
            self._calls.popitem(last=False)
        return known

    async def _append(self, stream: StreamId, call: Call, *events: Event) -> bool:
        """Append what was decided from this version of the call; False when something else came first."""
        try:
            await self._store.append(
                Append(
                    stream=stream,
                    events=tuple(new_event(event) for event in events),
                    expected_version=call.version,
                    due_ms=self._now_ms(),
                )
            )
        except VersionConflict:
            return False
        return True

    async def _perform(self, stream: StreamId, call: Call, step: Step, account: Account) -> None:
        effect, now = encode_effect(step.effect), self._now_ms()
        if is_write(step.effect) and not await self._append(
            stream, call, EffectStarted(key=step.key, at_ms=now, effect=effect, why=step.why)
        ):
            return
        outcome = await self._outcome(call, step, account)
        # The request is out: whatever was heard meanwhile, its outcome belongs to the history.
        await self._store.append(Append(stream=stream, events=(new_event(outcome),), due_ms=self._now_ms()))

    async def _outcome(self, call: Call, step: Step, account: Account) -> EffectDone | EffectFailed | EffectRefused:
        effect = encode_effect(step.effect)
        try:
            performed: Performed = await self._gateway.perform(step.effect, account)
        except Refused as error:
            self.counters.refused += 1
            log.warning("effect_refused", effect=step.effect.type, step=step.key, code=error.code)
            return EffectRefused(
                key=step.key,
                at_ms=self._now_ms(),
                effect=effect,
                error=error.error,
                remedy=error.remedy,
                code=error.code,
                exchanges=error.exchanges,
            )
        except Unavailable as error:
            self.counters.failed += 1
            now = self._now_ms()
            wait = error.retry_after_ms if error.retry_after_ms is not None else self._backoff_ms(call)
            log.warning("effect_failed", effect=step.effect.type, step=step.key, retry_in_ms=wait)
            return EffectFailed(
                key=step.key,
                at_ms=now,
                effect=effect,
                error=error.error,
                ambiguous=error.ambiguous,
                retry_ms=now + wait,
                exchanges=error.exchanges,
            )
        self.counters.performed += 1
        log.info("effect_done", effect=step.effect.type, step=step.key)
        return EffectDone(
            key=step.key,
            at_ms=self._now_ms(),
            effect=effect,
            result=performed.result,
            exchanges=performed.exchanges,
        )

    def _backoff_ms(self, call: Call) -> int:
        base = BACKOFF_MS[min(call.remote.failures, len(BACKOFF_MS) - 1)]
        return base + int(base * (0.1 + 0.4 * self._jitter()))
