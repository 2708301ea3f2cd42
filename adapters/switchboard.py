"""The switchboard: follows the log and tells each call what its legs said (rules: ``core/legs.py``).

It runs before the reactor: a call is woken only once everything that was heard so far of its legs is in its stream.
All it appends is named by what it copies (stream and version), so repeating a batch after a crash changes nothing.
What it remembers between batches is behind a port of its own, :class:`SwitchboardState`.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol
from uuid import UUID

import msgspec
import structlog

from adapters.attendant import new_event
from adapters.click_joiner import ClickMemory, find_joinings, new_click_event, order_given
from adapters.tail import Tail
from adapters.unjoined import OURS, RELAYED, Unjoined, may_join
from core.click_joining import Joining, KnownClick
from core.clicks import STREAM as CLICKS
from core.clicks import ClickMatched
from core.errors import StoreUnavailable
from core.events import AnyObservation, ConsultationObserved, Event, LegAbsorbed, Observation, UnknownEventType, decode
from core.legs import (
    PARASITE_WINDOW_MS,
    UNENDED_MS,
    Absorb,
    Finding,
    KnownCall,
    Legs,
    Link,
    customer_digits,
    evidence_in,
    hear,
    up_ms,
)
from core.ports import Append, EventStore, NewEvent, RecordedEvent, StreamId

log = structlog.get_logger("switchboard")

BATCH: Final = 500
"""Events of the log that are joined in one transaction."""

COPIES: Final = 500
"""Copies in one commit at most: a leg that waited long for its call may hold many."""

POLL_S: Final = 1.0
"""Between two looks at the log when no bell rings: another instance's commits ring none."""

LEAST_BATCH: Final = 8
"""A batch is all or nothing: where the database is lost again and again, smaller ones get through."""

RETRIES_S: Final = (0.05, 0.1, 0.2, 0.5, 1.0)
"""Between two attempts while the database is away."""

BUG_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Between two attempts at a batch that a bug stopped; the last one repeats."""

KEEP_MS: Final = 172_800_000
"""Legs older than two days are forgotten: no call lasts that long, and what they proved is in the calls' streams."""

HOLD_MS: Final = 5_000
"""An instance that stops in the middle of a batch, and is not gone, holds the others up no longer than this."""

ALONE_S: Final = 10.0
"""Nobody else has recorded anything for so long: then no batch is held against others, for there are none."""


class Overtaken(Exception):
    """Another instance has joined the log further in the middle of a batch that was not held against it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Near:
    """What observations can touch: these legs (names of streams), bridges and channels, and calls of these numbers.

    A call of such a number counts if it was first heard at ``first_ms`` or later, and not over before ``ended_ms``.
    """

    legs: tuple[str, ...]
    bridges: tuple[str, ...]
    channels: tuple[str, ...]
    numbers: tuple[str, ...]
    first_ms: int
    ended_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearby:
    """What is known of a neighbourhood. ``relayed``: ``(leg, call)`` -> up to which version the leg's stream was copied to it."""

    legs: Legs
    relayed: Mapping[tuple[str, str], int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What a batch learned of one enterprise: calls, ``(bridge, channel, is a trunk's)``, and ``(leg, call, relayed)``.

    The call of a link is empty for a leg that is known and nobody's yet. ``heard_ms`` is when the newest of it was heard.
    """

    calls: tuple[KnownCall, ...]
    members: tuple[tuple[str, str, bool], ...]
    links: tuple[tuple[str, str, int], ...]
    heard_ms: int


class SwitchboardBatch(ClickMemory, Protocol):
    """The switchboard's memory while a batch has it alone: one question for all enterprises of a batch, by their names.

    Every method may raise StoreUnavailable: then nothing of it stays.
    """

    async def load(self, near: Mapping[str, Near]) -> dict[str, Nearby]:
        """The neighbourhoods: bridges that are named, or that hold one of these channels or one of a named bridge; the links
        of all that; their calls, and calls of the same numbers.
        """
        ...

    async def save(self, changes: Mapping[str, Changes]) -> None:
        """Remember. A link that is known already keeps its time, and how far its leg was copied never goes back."""
        ...

    async def move(self, position: int, *, hasten: Collection[StreamId], now_ms: int) -> None:
        """The log is joined up to there; the last thing done in a batch.

        ``hasten``: streams that others attend to. They are due at ``now_ms`` at the latest, and urgently; the others are told
        the position as soon as all this is kept.
        """
        ...


class SwitchboardState(Protocol):
    """What the switchboard remembers, shared by all instances. ``tests/contracts/switchboard_state.py`` states it as tests."""

    async def position(self) -> int:
        """Up to here the log is joined."""
        ...

    def taken(self, after: int) -> AbstractAsyncContextManager[SwitchboardBatch | None]:
        """Have it alone for a batch that begins after this position; None: another has it, or it has moved on.

        What is done in the block stays when the block ends well, all of it, and nothing of it otherwise. Whoever does nothing
        in it for :data:`HOLD_MS` has lost it: the others go on, and its next word raises StoreUnavailable.
        """
        ...

    def offered(self, after: int) -> AbstractAsyncContextManager[SwitchboardBatch]:
        """The same without keeping anybody out: half as many questions, for an instance that is alone.

        What is asked is answered as of this position, and what is done stays all together with ``move``, if the position is
        still the same then. Otherwise that word raises :class:`Overtaken`, and nothing of it stays.
        """
        ...

    async def clicked(self, since_ms: int) -> dict[str, int]:
        """Enterprises with a click whose order was given then or later, and when the last one's was."""
        ...

    async def forget(self, before_ms: int) -> None:
        """Forget legs and calls that were heard before; no call can need them any more."""
        ...


def nobody(stream: StreamId) -> bool:
    """No stream is attended to by another instance."""
    return False


class Switchboard:
    """Follows the log from its checkpoint. ``wake_call`` is told of every call stream that has something new.

    ``foreign``: whether another instance attends to a stream; that one is told through the database.
    """

    def __init__(
        self,
        *,
        state: SwitchboardState,
        store: EventStore,
        wake_call: Callable[[StreamId], None],
        now_ms: Callable[[], int],
        foreign: Callable[[StreamId], bool] = nobody,
        tail: Tail | None = None,
        alone_s: float = ALONE_S,
        unended_ms: int = UNENDED_MS,
    ) -> None:
        """``tail``: what this process records itself; without it the log is read each time. ``alone_s``: see ALONE_S.
        ``unended_ms``: how long a call without a hangup counts as up (MS_CALL_MAX_S)."""
        self._state = state
        self._store = store
        self._wake_call = wake_call
        self._now_ms = now_ms
        self._foreign = foreign
        self._tail = tail
        self._alone_s = alone_s
        self._unended_ms = unended_ms
        self._kept: int | None = None
        self._seen = 0
        self._kept_s = float("-inf")
        self._breaks = 0
        self._broke_s = float("-inf")
        self._unjoined = Unjoined(tail, now_ms) if tail is not None else None
        self.position = 0
        """Up to here, as far as this instance knows, the log's legs are joined and their copies recorded."""

    def heard_position(self, position: int) -> None:
        """Another instance says that the log is joined up to there."""
        self.position = max(self.position, position)

    def joined_until(self, enterprise: str) -> int:
        """See ``adapters.attendant.Joining``."""
        return self.position if self._unjoined is None else self._unjoined.joined_until(enterprise, self.position)

    def may_be_clicks(self, enterprise: str) -> bool:
        """See ``adapters.attendant.Joining``."""
        return self._unjoined is None or self._unjoined.may_be_clicks(enterprise)

    def may_be_leg(self, enterprise: str, call: str) -> bool:
        """See ``adapters.attendant.Joining``."""
        return self._unjoined is not None and self._unjoined.may_be_leg(enterprise, call)

    def began_before(self, enterprise: str, call: str, first_heard_ms: int) -> bool:
        """See ``adapters.attendant.Joining``."""
        return self._unjoined is not None and self._unjoined.began_before(enterprise, call, first_heard_ms)

    async def run(self) -> None:
        """Follow until cancelled. While the database is away it waits, says so, and goes on where it was."""
        wake = self._store.subscribe()
        bugs = failures = 0
        while True:
            try:
                while await self.step(max(LEAST_BATCH, BATCH >> failures)):
                    bugs, failures = 0, max(0, failures - 1)
                bugs = failures = 0
            except StoreUnavailable as error:
                _still_wanted(error)
                self._kept = None
                log.warning("switchboard_waits_for_database", reason=str(error))
                await asyncio.sleep(RETRIES_S[min(failures, len(RETRIES_S) - 1)])
                failures = min(failures + 1, BATCH.bit_length())
                continue
            except Exception as error:
                _still_wanted(error)
                self._kept = None
                # A bug: legs stand still where they are, visibly; signals are still taken in, and calls still attended to.
                log.error("switchboard_failed", position=self.position, exc_info=error)
                await asyncio.sleep(BUG_RETRY_S[min(bugs, len(BUG_RETRY_S) - 1)])
                bugs += 1
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await wake.wait()

    async def step(self, most: int | None = None) -> int:
        """Take in one batch of the log, of ``most`` events (None: a usual one); returns how many it held."""
        clock = asyncio.get_running_loop().time
        if self._kept is None:
            await self._look()
        idle = clock() - self._kept_s >= POLL_S
        batch = await self._next(most or BATCH, idle)
        if not batch and self._seen == self._kept:
            if self._tail is None or idle:
                await self._look()  # another instance may have moved on
                self._kept_s = clock()
            return 0
        if self._tail is not None and not idle and self._seen - (self._kept or 0) < BATCH and not any(map(may_join, batch)):
            # Outcomes join nothing. That they were passed is kept with the next batch, or soon.
            self._passed(batch)
            return len(batch)
        try:
            return await self._join_batch(batch)
        except Overtaken:
            await self._look()
            return len(batch)

    async def _join_batch(self, batch: Sequence[RecordedEvent]) -> int:
        # One switchboard at a time over all instances: whoever takes the state where this batch begins.
        after, upto = self._kept or 0, batch[-1].position if batch else self._seen
        async with self._state.offered(after) if self._is_alone() else self._state.taken(after) as memory:
            if memory is None:
                await self._look()
                return 0
            touched = await self._take_in(memory, batch)
            others = [stream for stream in touched if self._foreign(stream)]
            # The copies are on disk: who waits for them goes on while what was learned is kept. Should that fail, the batch is
            # taken again and finds them recorded.
            self.heard_position(upto)
            for stream in touched:
                self._wake_call(stream)
            await memory.move(upto, hasten=others, now_ms=self._now_ms())
        self._passed(batch)
        self._kept, self._kept_s = self._seen, asyncio.get_running_loop().time()
        if self._unjoined is not None and self._unjoined.asks_for_clicks(self.position):
            await self._unjoined.learn_clicks(self._state.clicked)
        return len(batch)

    def _is_alone(self) -> bool:
        """Whether nobody else has recorded anything of late, as far as this process has seen."""
        if self._tail is None:
            return False
        now_s = asyncio.get_running_loop().time()
        if self._breaks != self._tail.breaks:
            self._breaks, self._broke_s = self._tail.breaks, now_s
        return now_s - self._broke_s >= self._alone_s

    async def _look(self) -> None:
        """Begin where the log is joined to."""
        self._kept = self._seen = await self._state.position()
        if self._kept < self.position and self._tail is not None:
            self._tail.reset()  # another took it, a batch was lost, or the store went back (a fail-over)
        self.heard_position(self._kept)

    async def _next(self, most: int, idle: bool) -> list[RecordedEvent]:
        """What comes next in the log: from memory, as long as this process alone writes it.

        Once in a while the log itself is looked at: others write, too, and of a commit whose answer was lost nobody knows.
        """
        at_hand = self._tail.after(self._seen, most) if self._tail is not None else None
        if at_hand or (at_hand is not None and not idle):
            return at_hand
        batch = await self._store.read_log(self._seen, most)
        if batch and self._tail is not None:
            self._tail.passed(batch[-1].position)
        return batch

    def _passed(self, batch: Sequence[RecordedEvent]) -> None:
        if batch:
            self._seen = batch[-1].position
        self.heard_position(self._seen)

    async def prune(self) -> None:
        """Forget legs that no call can need any more."""
        await self._state.forget(self._now_ms() - KEEP_MS)

    async def _take_in(self, memory: SwitchboardBatch, batch: Sequence[RecordedEvent]) -> list[StreamId]:
        touched: dict[StreamId, None] = {}
        heard: dict[str, list[tuple[RecordedEvent, AnyObservation | KnownClick]]] = {}
        for recorded in batch:
            is_click = recorded.stream.name.startswith(CLICKS)
            event = order_given(recorded) if is_click else _observation(recorded)
            if is_click or (event is not None and recorded.stream.name.startswith("call/") and not _is_copy(event)):
                touched[recorded.stream] = None  # of a copy the batch that made it has told; it may lead to the next bridge
            if event is not None:
                heard.setdefault(recorded.stream.enterprise, []).append((recorded, event))
        observed = {
            enterprise: observations
            for enterprise, events in heard.items()
            if (observations := [(recorded, event) for recorded, event in events if not isinstance(event, KnownClick)])
        }
        copies: list[Append] = []
        if observed:
            near = await memory.load({enterprise: _near(observations) for enterprise, observations in observed.items()})
            learned = {each: _learn(near[each], observations, self._unended_ms) for each, observations in observed.items()}
            fresh = await self._fresh(learned, observed)
            changes: dict[str, Changes] = {}
            for enterprise, lesson in learned.items():
                relayed, appends = self._relay(enterprise, lesson, fresh)
                for finding in (*lesson.absorbed, *await self._told_before(enterprise, lesson.absorbed)):
                    appends += self._absorb(enterprise, finding, lesson.heard_ms)
                copies += appends
                changes[enterprise] = _changes(near[enterprise].legs, lesson, relayed)
            await memory.save(changes)
        for enterprise, joining in await find_joinings(memory, heard):
            copies += self._join(enterprise, joining)
        # Of all enterprises in one commit; repeated after a crash each is found to be recorded. One that two rules found is one.
        copies = list({copy.events[0].id: copy for copy in copies}.values())
        for first in range(0, len(copies), COPIES):
            await self._store.append_many(copies[first : first + COPIES])
        return list(touched | dict.fromkeys(copy.stream for copy in copies))

    async def _fresh(
        self, learned: Mapping[str, _Lesson], observed: Mapping[str, Sequence[tuple[RecordedEvent, AnyObservation]]]
    ) -> dict[StreamId, list[RecordedEvent]]:
        """What the legs' streams hold beyond what some call already has. Nearly always all of it is in the batch."""
        heard: dict[StreamId, list[RecordedEvent]] = {}
        for observations in observed.values():
            for recorded, _ in observations:
                heard.setdefault(recorded.stream, []).append(recorded)
        asked: dict[StreamId, int] = {}
        for enterprise, lesson in learned.items():
            for (leg, _), relayed in lesson.to_relay.items():
                stream = StreamId(enterprise=enterprise, name=leg)
                here = heard.get(stream)
                if not here and leg not in lesson.before:
                    heard[stream] = []  # nothing was heard of it so far, by whichever call it is asked for
                elif not here or here[0].version > relayed + 1 or here[-1].version - here[0].version >= len(here):
                    asked[stream] = min(relayed, asked.get(stream, relayed))
        return heard | await self._store.read_many(asked) if asked else heard

    def _relay(
        self, enterprise: str, lesson: _Lesson, fresh: Mapping[StreamId, Sequence[RecordedEvent]]
    ) -> tuple[dict[tuple[str, str], int], list[Append]]:
        """Copies of what a call does not have yet of its legs, and up to which version it has them then."""
        copied: dict[tuple[str, str], int] = {}
        appends: list[Append] = []
        for (leg, call), relayed in lesson.to_relay.items():
            target = StreamId(enterprise=enterprise, name=f"call/{call}")
            for recorded in fresh[StreamId(enterprise=enterprise, name=leg)]:
                if recorded.version <= relayed:
                    continue
                copied[leg, call] = recorded.version
                if (event := _observation(recorded)) is not None:
                    appends.append(self._copy(target, f"{leg}:{recorded.version}", replace(event, wire=f"{RELAYED}{leg}")))
        return copied, appends

    async def _told_before(self, enterprise: str, absorbed: Sequence[Absorb]) -> list[Absorb]:
        """The evidence that was heard before the call that it is evidence for."""
        asked = {StreamId(enterprise=enterprise, name=f"call/{each.leg}"): each for each in absorbed if each.told_before}
        held = await self._store.read_many(dict.fromkeys(asked, 0)) if asked else {}
        return [
            replace(asked[stream], hangup=hangup)
            for stream, recorded in held.items()
            for hangup in evidence_in(map(_observation, recorded), certain=asked[stream].certain)
        ]

    def _absorb(self, enterprise: str, finding: Absorb, heard_ms: int) -> list[Append]:
        leg = StreamId(enterprise=enterprise, name=f"call/{finding.leg}")
        into = StreamId(enterprise=enterprise, name=f"call/{finding.into}")
        absorbed = LegAbsorbed(heard_ms=heard_ms, wire=OURS, into=finding.into, why=finding.why, certain=finding.certain)
        items = [self._copy(leg, f"absorbed:{finding.into}{':certain' if finding.certain else ''}", absorbed)]
        if finding.hangup is not None:
            consultation = ConsultationObserved(
                heard_ms=finding.hangup.heard_ms,
                wire=OURS,
                leg=finding.leg,
                extensions=finding.hangup.extensions,
                answered=finding.hangup.answered,
                ended_ms=finding.hangup.ended_ms,
                record_url=finding.hangup.record_url,
            )
            # The recording may come with a later hangup of the same leg, which is downloaded: then it is news once more.
            recording = f":{finding.hangup.record_url}" if finding.hangup.record_url else ""
            items.append(self._copy(into, f"consultation:{finding.leg}{recording}", consultation))
        return items

    def _join(self, enterprise: str, joining: Joining) -> list[Append]:
        """Say in the call's stream of which click it came, and in the click's which call came of it."""
        call = StreamId(enterprise=enterprise, name=f"call/{joining.call}")
        click = StreamId(enterprise=enterprise, name=f"{CLICKS}{joining.click.id}")
        now = self._now_ms()
        source = f"{joining.click.id}:{joining.call}:{joining.own_leg}"
        matched = ClickMatched(at_ms=now, call=joining.call, own_leg=joining.own_leg)
        return [
            self._copy(call, f"click-joined:{source}", joining.event(now)),
            self._named(click, f"click-matched:{source}", lambda id_: new_click_event(matched, id_)),
        ]

    def _copy(self, target: StreamId, source: str, event: Event) -> Append:
        return self._named(target, source, lambda id_: new_event(event, id_))

    def _named(self, target: StreamId, source: str, event: Callable[[UUID], NewEvent]) -> Append:
        digest = hashlib.sha256(f"relay\0{target.name}\0{source}".encode()).digest()
        # Named by what it copies, like the digest, and for ever: a copy needs no chance.
        id_ = UUID(bytes=hashlib.sha256(f"{target.enterprise}\0".encode() + digest).digest()[:16], version=5)
        return Append(stream=target, events=(event(id_),), digest=digest, due_ms=self._now_ms())


def _still_wanted(error: BaseException) -> None:
    """An error of the clean-up after a cancelled statement may hide the cancellation; it must not keep the loop going."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from error


def _near(observations: Iterable[tuple[RecordedEvent, AnyObservation]]) -> Near:
    """The neighbourhood these observations can touch. Sorted: the order of a set differs from process to process."""
    legs: set[str] = set()
    channels: set[str] = set()
    numbers: set[str] = set()
    times: list[int] = []
    for recorded, event in observations:
        name = recorded.stream.name
        legs.add(name)
        channels.add(str(getattr(event, "channel", "")))
        if not name.startswith("bridge/"):
            channels.add(name.partition("/")[2])
        if number := customer_digits(str(getattr(event, "number", ""))):
            numbers.add(number)
        times.append(up_ms(event)[0])
    return Near(
        legs=tuple(sorted(legs)),
        bridges=tuple(sorted(leg.removeprefix("bridge/") for leg in legs if leg.startswith("bridge/"))),
        channels=tuple(sorted(channels)),
        numbers=tuple(sorted(numbers)),
        first_ms=min(times) - KEEP_MS,
        ended_ms=min(times) - PARASITE_WINDOW_MS,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Lesson:
    """What a batch showed of one enterprise. ``before``: legs that were heard of earlier.

    ``to_relay``: ``(leg, call)`` -> up to which version it was copied before.
    """

    legs: Legs
    before: frozenset[str]
    to_relay: Mapping[tuple[str, str], int]
    absorbed: tuple[Absorb, ...]
    heard_ms: int


def _learn(near: Nearby, observations: Sequence[tuple[RecordedEvent, AnyObservation]], unended_ms: int) -> _Lesson:
    """Take in what was heard of one enterprise, in the log's order."""
    legs = replace(near.legs, unended_ms=unended_ms)
    findings: list[Finding] = []
    to_relay: dict[tuple[str, str], None] = {}
    for recorded, event in observations:
        legs, found = hear(legs, recorded.stream.name, event)
        findings.extend(found)
        for call in sorted(legs.links.get(recorded.stream.name, ())):
            to_relay[recorded.stream.name, call] = None
    for finding in findings:
        if isinstance(finding, Link):
            to_relay[finding.leg, finding.call] = None
    return _Lesson(
        legs=legs,
        before=frozenset(near.legs.links) | {f"bridge/{name}" for name in near.legs.members},
        to_relay={link: near.relayed.get(link, 0) for link in to_relay},
        # What the rest of the batch showed to be a customer's own call is nobody's leg, and no evidence either.
        absorbed=tuple(each for each in findings if isinstance(each, Absorb) and legs.calls[each.leg].absorbed),
        heard_ms=max(event.heard_ms for _, event in observations),
    )


def _changes(before: Legs, lesson: _Lesson, relayed: dict[tuple[str, str], int]) -> Changes:
    after = lesson.legs
    links = {
        (leg, call): 0
        for leg, owners in after.links.items()
        for call in (sorted(owners) or [""])
        if leg not in before.links or call not in before.links[leg]
    }
    return Changes(
        calls=tuple(call for id_, call in after.calls.items() if before.calls.get(id_) != call),
        members=tuple(
            (bridge, channel, trunk)
            for bridge, channels in after.members.items()
            for channel, trunk in channels.items()
            if before.members.get(bridge, {}).get(channel) != trunk
        ),
        links=tuple((leg, call, version) for (leg, call), version in (links | relayed).items()),
        heard_ms=lesson.heard_ms,
    )


def _is_copy(event: AnyObservation | KnownClick) -> bool:
    return not isinstance(event, KnownClick) and event.wire.startswith((OURS, RELAYED))


def _observation(recorded: RecordedEvent) -> AnyObservation | None:
    """What was heard; None for other events. One that this code cannot read is told of and passed over: it is one leg's."""
    try:
        event = decode(recorded.type, recorded.schema, recorded.data)
    except (UnknownEventType, KeyError, msgspec.ValidationError) as error:
        log.error("event_unreadable", stream=recorded.stream.name, position=recorded.position, reason=type(error).__name__)
        return None
    return event if isinstance(event, Observation) else None
