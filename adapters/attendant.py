"""What the reactor does for one call: fold, let time decide, plan, wait for room at MoySklad, plan again, perform, record.

A write is recorded as started before it is attempted, so a crash at any point leaves a question that the next plan
resolves, never a hole.

The stream is the fence between instances (docs/decisions/0010): a start is recorded at the version it was planned from,
and an outcome only if nobody else's came in between. Whoever lost a call without knowing it can record nothing wrong.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol
from uuid import UUID

import structlog
from msgspec import structs

from adapters.folded import FoldedCalls, Known
from adapters.ids import event_id
from adapters.tail import Tail
from core.call import Call, evolve, fold
from core.decisions import Limits, decide
from core.effects import (
    Account,
    Admission,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    CreateTask,
    Deferred,
    FindContact,
    FindEmployees,
    Gateway,
    Refused,
    Turn,
    Unavailable,
    Way,
    encode_effect,
    is_write,
    way_of,
)
from core.errors import StoreUnavailable, VersionConflict
from core.events import (
    OUTCOMES,
    AnyOutcome,
    CallSettled,
    CallWrittenOff,
    EffectDeferred,
    EffectDone,
    EffectFailed,
    EffectRefused,
    EffectStarted,
    Event,
    TimeFact,
    encode,
)
from core.lifecycle import Phase
from core.plan import plan, urgency
from core.ports import Append, EventStore, NewEvent, StreamId
from core.remote import is_news
from core.settings import Settings
from core.steps import Step, as_admitted
from core.values import Urgency

log = structlog.get_logger("reactor")

MAX_RACES: Final = 50
"""How often an outcome may find that something else was recorded first; a call hears a few signals a second at most."""

BACKOFF_MS: Final = (500, 1_000, 2_000, 5_000, 10_000, 30_000, 60_000, 120_000, 300_000)
"""Waits between attempts; a tenth to a half of it is added at random, so that calls do not come back in step."""

UNHURRIED_MS: Final = 300_000
"""What nobody waits for any more (a client, an order) is asked for again after up to so long while its API is away, or as soon
as this instance sees that it answers again.

Where there was only no room, it comes again when there should be: not five minutes after a busy moment.
"""

HOLD_BACK_MS: Final = 10_000
"""How long a call waits for a switchboard that stands still to have joined what was heard before its newest signal."""

HOLD_BACK_MOST_MS: Final = 60_000
"""The same while the switchboard moves on, but has not got there yet: it works a backlog off, or its database comes and goes."""

FRESH_MS: Final = 1_000
"""A live call's own signal is acted upon at once for so long: nobody answers sooner, so its bridges cannot say otherwise yet."""

HIDE_WAITS_MS: Final = 100
"""An ended call's cards wait so long to be hidden together with the record, in one request; then they are hidden alone."""

SAME_MS: Final = 20
"""What was planned is right for so long if nothing was heard: the request takes longer than that to leave and arrive."""

_OUTCOME_TYPES: Final = frozenset(kind.type for kind in OUTCOMES)
_ANY_CALL: Final = ConfirmCall(external_id="")


class CallSettings(Protocol):
    """The settings a call works under, and the credentials in force now."""

    async def for_call(self, enterprise: str, revision: int) -> tuple[Settings, Account]:
        """Settings of that revision; the account's credentials are the current ones (an inline revision brings its own)."""
        ...


class Ownership(Protocol):
    """Which enterprises are this instance's to attend to."""

    def owns(self, enterprise: str) -> bool:
        """Whether it certainly is, at this very moment."""
        ...

    def quiet_ms(self, enterprise: str) -> int | None:
        """How long ago, at least, another instance may have asked MoySklad for it; None: none did."""
        ...

    def request(self, enterprise: str) -> None:
        """There is work of it here: claim it, if it is free and ours to claim."""
        ...

    def owned(self) -> Collection[str] | None:
        """All that are; None for a service that is alone and owns whatever there is."""
        ...


class Alone:
    """The ownership of a service that shares its database with nobody."""

    def owns(self, enterprise: str) -> bool:
        """Everything."""
        return True

    def quiet_ms(self, enterprise: str) -> int | None:
        """Nobody else ever asks."""
        return None

    def request(self, enterprise: str) -> None:
        """Nothing needs to be claimed."""

    def owned(self) -> Collection[str] | None:
        """Whatever there is."""
        return None


class Joining(Protocol):
    """What the switchboard has joined so far (``adapters.switchboard.Switchboard``)."""

    def joined_until(self, enterprise: str) -> int:
        """Up to which place of the log whatever may concern a call of the enterprise is in that call's stream."""
        ...

    def may_be_clicks(self, enterprise: str) -> bool:
        """Whether a call of it may turn out to be a click's: then what it says of itself is not to be believed alone."""
        ...

    def may_be_leg(self, enterprise: str, call: str) -> bool:
        """Whether the call may turn out to be a leg of another one, though its dial looks like a customer's: the same holds."""
        ...

    def began_before(self, enterprise: str, call: str, first_heard_ms: int) -> bool:
        """Whether the call began well before what its own stream tells."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """There may be more to do at once. ``performed``: MoySklad answered, so it is not away."""

    performed: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Rests:
    """Nothing to do before ``wake_ms`` (None: until something is heard); ``urgency`` as of now. ``until_back``: or when an API
    that is away answers again."""

    wake_ms: int | None
    urgency: Urgency
    until_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Yields:
    """It has something to do that is less urgent than what its place is for."""

    urgency: Urgency


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """MoySklad is away for this account until then: whatever of it is not live need not be tried."""

    until_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Waits:
    """It waits for the switchboard, which wakes it; it stays due. ``until_ms``: look again then, whatever the switchboard does."""

    until_ms: int | None = None


Progress = Again | Rests | Yields | Held | Waits


@dataclass(frozen=True, slots=True, kw_only=True)
class _HeldBack:
    """Since when a call is held back, when the switchboard last got any further, and how far."""

    since_ms: int
    moved_ms: int
    joined: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Seen:
    """A call as it was looked at: what time decides, the call with that, and what is to be done now (None: nothing yet).

    ``wake_ms``: when there may be something else to do; ``later_ms``: when what is planned may be done, if it has to wait.
    """

    known: Known
    facts: tuple[TimeFact, ...]
    call: Call
    step: Step | None
    wake_ms: int | None
    later_ms: int | None
    rank: Urgency
    at_ms: int
    judging: bool


@dataclass(slots=True)
class Counters:
    """What the reactor did since it started; read by metrics."""

    performed: int = 0
    refused: int = 0
    failed: int = 0
    deferred: int = 0
    superseded: int = 0
    calls: int = 0
    """Calls whose record became final here: each is counted once, over all instances."""
    clients: int = 0
    """Clients created at MoySklad."""
    orders: int = 0
    """Customer orders created there."""
    tasks: int = 0
    """Tasks created there to call somebody back."""


def new_event(event: Event, id_: UUID | None = None) -> NewEvent:
    """Wrap a core event for the store."""
    type_, schema, data = encode(event)
    return NewEvent(id=id_ or event_id(), type=type_, schema=schema, data=data)


class Attendant:
    """Takes one call one step further at a time. Remembers folded calls, nothing else that the stream does not have."""

    def __init__(
        self,
        *,
        store: EventStore,
        settings: CallSettings,
        gateway: Gateway,
        now_ms: Callable[[], int],
        limits: Limits,
        ownership: Ownership | None = None,
        jitter: Callable[[], float] = random.random,
        new_id: Callable[[], UUID] = event_id,
        joining: Joining | None = None,
        tail: Tail | None = None,
    ) -> None:
        """``jitter``: 0 to 1, for the waits between attempts. ``tail``: what this process records itself, so that it is not read.

        ``joining``: up to where the switchboard has joined legs to calls; None: no switchboard.

        A call whose newest signal lies beyond it is held back: judged now, a call whose hangup overtook the bridges
        before it (a restart with a backlog) would be settled without them, and attributed to the wrong employee. What needs no
        bridges does not wait for them (docs/decisions/0021).
        """
        self.store = store
        self.ownership = ownership or Alone()
        self.now_ms = now_ms
        self.counters = Counters()
        self._settings = settings
        self._gateway = gateway
        self._limits = limits
        self._jitter = jitter
        self._new_id = new_id
        self._joining = joining
        self._calls = FoldedCalls(store, tail)
        self._held_since: dict[StreamId, _HeldBack] = {}

    @property
    def remembered(self) -> int:
        """How many folded calls are kept in memory."""
        return len(self._calls)

    def forget(self, stream: StreamId) -> None:
        """Fold this call anew the next time."""
        self._calls.forget(stream)

    def doubt(self, stream: StreamId) -> None:
        """Another instance may have recorded something of this call: look into its stream the next time."""
        self._calls.doubt(stream)

    def doubt_all(self, enterprise: str) -> None:
        """The same of every call of an enterprise."""
        self._calls.doubt_all(enterprise)

    def is_done(self, stream: StreamId) -> bool:
        """Whether nothing was heard of this call since it was attended to, and it waits for nothing to be joined."""
        return stream not in self._held_since and self._calls.is_resting(stream)

    async def advance(self, stream: StreamId, turn: Urgency) -> Progress:
        """One round: whatever comes next for this call, in a place for what is as urgent as ``turn``.

        Raises StoreUnavailable; the call stays due then.
        """
        # Asked before the stream is read: what is joined until then is in what is read.
        joined = self._joining.joined_until(stream.enterprise) if self._joining is not None else None
        known = await self._calls.load(stream)
        now = self.now_ms()
        if known.call.version == 0:
            return Waits()
        judging = True
        if joined is None or known.heard_position <= joined:
            self._held_since.pop(stream, None)
        elif self._speaks_for_itself(known.call, now):
            judging = False
        elif self._held_back(stream, joined, now):
            until_ms = self._held_since[stream].since_ms + HIDE_WAITS_MS
            if known.call.phase is not Phase.ENDING or not known.call.remote.open_cards:
                return Waits()
            if now < until_ms:
                return Waits(until_ms=until_ms)
            judging = False
        settings, account = await self._settings.for_call(stream.enterprise, known.call.settings_revision)
        if account.ends_only and not known.call.remote.may_be_there:
            account = replace(account, phone_key="")
        seen = self._look(known, settings, now, judging)
        if seen.step is None or seen.rank > turn or not is_write(seen.step.effect):
            if seen.facts:
                return await self._note(stream, known.call, seen.facts)
            if seen.step is None:
                if not judging and seen.wake_ms is not None and seen.wake_ms <= now:
                    return Waits(until_ms=seen.later_ms)  # time would decide now, and may not: the switchboard is waited for
                return await self._rest(stream, seen.call, seen.wake_ms, seen.rank)
            if seen.rank > turn:
                return Yields(urgency=seen.rank)
        allowance = Turn(
            urgency=seen.rank,
            quiet_ms=self.ownership.quiet_ms(stream.enterprise),
            permit=lambda: self.ownership.owns(stream.enterprise),
        )
        try:
            async with self._gateway.admitted(seen.step.effect, account, allowance) as admission:
                return Again(performed=await self._perform(stream, settings, seen, admission))
        except (Deferred, Refused) as error:  # known beforehand, nothing was sent
            if seen.facts:
                return await self._note(stream, known.call, seen.facts)
            if isinstance(error, Deferred):
                return await self._defer(stream, seen.call, seen.step, account, error)
            await self._record(stream, seen.call.version, self._refusal(seen.step, error))
        return Again()

    def _speaks_for_itself(self, call: Call, now_ms: int) -> bool:
        """Whether a live call's cards need no bridges: what was just heard of it is its own and all, and no click or leg."""
        if self._joining is None or not call.is_live or now_ms - (call.last_heard_ms or 0) >= FRESH_MS:
            return False
        if call.arrival_ms is None and (
            self._joining.may_be_leg(call.enterprise, call.id)
            or self._joining.began_before(call.enterprise, call.id, call.first_heard_ms or 0)
        ):
            return False
        return not self._joining.may_be_clicks(call.enterprise)

    def _look(self, known: Known, settings: Settings, now_ms: int, judging: bool) -> _Seen:
        """What is to be done, and what time has decided before. ``judging``: all is joined, so that time may decide."""
        facts = decide(known.call, now_ms, self._limits) if judging else ()
        call = fold(known.call, facts)
        planned = plan(call, settings, now_ms, self._limits)
        later_ms = planned.step.not_before_ms if planned.step is not None else None
        step = planned.step if later_ms is None else None
        return _Seen(
            known=known,
            facts=facts,
            call=call,
            step=step,
            wake_ms=planned.wake_ms,
            later_ms=later_ms,
            rank=urgency(call, now_ms, planned.step),
            at_ms=now_ms,
            judging=judging,
        )

    async def _note(self, stream: StreamId, call: Call, facts: Sequence[TimeFact]) -> Again:
        """Record what time has decided."""
        if await self._append(stream, call, *facts):
            self._count(facts)
        return Again()

    def _count(self, facts: Sequence[TimeFact]) -> None:
        self.counters.calls += any(isinstance(fact, CallSettled | CallWrittenOff) for fact in facts)

    async def put_off(self, stream: StreamId, turn: Urgency) -> None:
        """Come back to a call that goes on and on."""
        call = (await self._calls.load(stream)).call
        await self.store.set_due(stream, call.version, self.now_ms() + BACKOFF_MS[0], turn)

    async def _rest(
        self, stream: StreamId, call: Call, wake_ms: int | None, rank: Urgency, *, until_back: bool = False
    ) -> Progress:
        rest = (wake_ms, rank)
        if not self._calls.is_resting(stream, rest):
            if not await self.store.set_due(stream, call.version, wake_ms, rank):
                self._calls.doubt(stream)
                return Again()  # something was heard meanwhile
            self._calls.rests(stream, rest)
        if wake_ms is None:
            self._held_since.pop(stream, None)
        return Rests(wake_ms=wake_ms, urgency=rank, until_back=until_back)

    async def _perform(self, stream: StreamId, settings: Settings, admitted: _Seen, admission: Admission) -> bool:
        """There is room: plan again if it was long in coming, and perform what is right now.

        What time has decided is recorded together with the start: one commit stands before the request, not two.
        """
        known, seen = await self._calls.load(stream), admitted
        if known is not admitted.known or self.now_ms() - admitted.at_ms > SAME_MS:
            seen = self._look(known, settings, self.now_ms(), admitted.judging)
        step, call = seen.step and as_admitted(seen.step, admitted.step), seen.call
        if step is None or admitted.step is None or way_of(step.effect) is not way_of(admitted.step.effect):
            return False
        version = known.call.version
        if is_write(step.effect):
            started = EffectStarted(key=step.key, at_ms=self.now_ms(), effect=encode_effect(step.effect), why=step.why)
            if not await self._append(stream, known.call, *seen.facts, started):
                return False
            self._count(seen.facts)
            version += len(seen.facts) + 1
        elif seen.facts:
            return False
        # The request goes out: whatever is heard meanwhile, its outcome belongs to the history.
        outcome = await self._outcome(call, step, admission)
        await self._record(stream, version, outcome)
        return isinstance(outcome, EffectDone) and way_of(step.effect) is not Way.HOUSE

    async def _defer(self, stream: StreamId, call: Call, step: Step, account: Account, error: Deferred) -> Progress:
        """MoySklad is away or has no room: say so once in the history, and come back when it may be otherwise."""
        self.counters.deferred += 1
        now = self.now_ms()
        until, rank, effect = now + (error.retry_after_ms or BACKOFF_MS[0]), urgency(call, now), step.effect
        all_away = rank is not Urgency.LIVE and self._gateway.is_away(_ANY_CALL, account)
        if all_away and isinstance(effect, FindContact | CreateContact | FindEmployees):
            effect = structs.replace(effect, deadline_ms=None)  # the call cannot be told either, so its contact is not given up
        noted = EffectDeferred(at_ms=now, effect=encode_effect(effect), reason=error.error, until_ms=until)
        if is_news(call.remote, noted):
            if not await self._append(stream, call, noted):
                return Again()
            before, call = call.remote, evolve(call, noted)
            if call.remote != structs.replace(before, deferred=call.remote.deferred):
                return Again()  # it is not waited for any more
        if all_away:
            # Due since it was owed, so that the age of the backlog is honest.
            owed_ms = call.settled_ms or call.last_heard_ms or now
            return Held(until_ms=until) if await self.store.set_due(stream, call.version, min(owed_ms, now), rank) else Again()
        unhurried = way_of(effect) is Way.JSON and rank is not Urgency.LIVE and call.remote.call is not None
        until_back = unhurried and self._gateway.is_away(effect, account)
        if until_back:
            until = max(until, now + int(UNHURRIED_MS * self._jitter()))
        wake_ms = until + int((until - now) * 0.2 * self._jitter())
        look_ms = call.remote.late_until_ms  # whether a recording arrived, which the other API tells
        if look_ms is not None and now < look_ms < wake_ms:
            wake_ms = look_ms
        rests = await self._rest(stream, call, wake_ms, rank, until_back=until_back)
        # If it answered meanwhile, who was put off had been told already, and this call was not among them yet.
        return Again() if until_back and not self._gateway.is_away(effect, account) else rests

    def _held_back(self, stream: StreamId, joined: int, now_ms: int) -> bool:
        held = self._held_since.get(stream) or _HeldBack(since_ms=now_ms, moved_ms=now_ms, joined=joined)
        if joined > held.joined:
            held = _HeldBack(since_ms=held.since_ms, moved_ms=now_ms, joined=joined)
        self._held_since[stream] = held
        if now_ms - held.moved_ms < HOLD_BACK_MS and now_ms - held.since_ms < HOLD_BACK_MOST_MS:
            return True
        log.warning("legs_not_joined", waited_ms=now_ms - held.since_ms)  # better without its bridges than not at all
        return False

    async def _append(self, stream: StreamId, call: Call, *events: Event) -> bool:
        """Append what was decided from this version of the call; False when something else came first."""
        fresh = tuple(new_event(event, self._new_id()) for event in events)
        try:
            await self.store.append(Append(stream=stream, events=fresh, expected_version=call.version, due_ms=self.now_ms()))
        except VersionConflict as conflict:
            if conflict.actual < call.version:
                self._calls.forget(stream)  # the store lost what we knew (a fail-over): fold what it has
            self._calls.doubt(stream)
            return False
        return True

    async def _record(self, stream: StreamId, version: int, outcome: AnyOutcome) -> None:
        """Record what came of an effect that was planned, or started, at this version.

        Signals may have been heard meanwhile. If there is another outcome, another instance has taken the call over: what
        ours would say now is about a question that it has answered already, or is asking.
        """
        event = new_event(outcome, self._new_id())
        for _ in range(MAX_RACES):
            try:
                await self.store.append(Append(stream=stream, events=(event,), expected_version=version, due_ms=self.now_ms()))
                return
            except VersionConflict:
                self._calls.doubt(stream)
                fresh = await self.store.read(stream, version)
            if not fresh or any(each.type in _OUTCOME_TYPES for each in fresh):
                self._calls.forget(stream)
                self.counters.superseded += 1
                log.warning("outcome_superseded", effect=str(outcome.effect.get("type")))
                return
            version = fresh[-1].version
        raise StoreUnavailable(f"{stream} changes faster than an outcome can be recorded")

    async def _outcome(self, call: Call, step: Step, admission: Admission) -> EffectDone | EffectFailed | EffectRefused:
        try:
            performed = await admission.perform(step.effect)
        except Refused as error:
            return self._refusal(step, error, started=is_write(step.effect))
        except Unavailable as error:
            self.counters.failed += 1
            now = self.now_ms()
            failures = call.remote.failures_of(step.effect)
            told, wait = error.retry_after_ms, self._backoff_ms(failures)
            if told is not None:  # the first time as told; some say "in 300 ms" each time
                wait = max(told, wait) if failures else told
            log.warning("effect_failed", effect=step.effect.type, step=step.key, retry_in_ms=wait)
            return EffectFailed(
                key=step.key,
                at_ms=now,
                effect=encode_effect(step.effect),
                error=error.error,
                ambiguous=error.ambiguous,
                retry_ms=now + wait,
                exchanges=error.exchanges,
            )
        self.counters.performed += way_of(step.effect) is not Way.HOUSE
        self.counters.clients += step.effect.type == CreateContact.type
        self.counters.orders += step.effect.type == CreateOrder.type and bool(performed.result.get("order"))
        self.counters.tasks += step.effect.type == CreateTask.type and not performed.result.get("existed")
        log.info("effect_done", effect=step.effect.type, step=step.key)
        return EffectDone(
            key=step.key,
            at_ms=self.now_ms(),
            effect=encode_effect(step.effect),
            result=performed.result,
            exchanges=performed.exchanges,
        )

    def _refusal(self, step: Step, error: Refused, *, started: bool = False) -> EffectRefused:
        self.counters.refused += 1
        log.warning("effect_refused", effect=step.effect.type, step=step.key, code=error.code)
        return EffectRefused(
            key=step.key,
            at_ms=self.now_ms(),
            effect=encode_effect(step.effect),
            error=error.error,
            remedy=error.remedy,
            code=error.code,
            exchanges=error.exchanges,
            started=started,
        )

    def _backoff_ms(self, failures: int) -> int:
        base = BACKOFF_MS[min(failures, len(BACKOFF_MS) - 1)]
        return base + int(base * (0.1 + 0.4 * self._jitter()))
