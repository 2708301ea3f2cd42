"""The switchboard: follows the log and tells each call what its legs said (rules: ``core/legs.py``).

It runs before the reactor: a call is woken only once everything that was heard so far of its legs is in its stream.
All it appends is named by what it copies (stream and version), so repeating a batch after a crash changes nothing.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any, Final

import msgspec
import structlog

from adapters.postgres.database import DATABASE_ERRORS, load_sql, still_wanted
from adapters.reactor import new_event
from core.errors import StoreUnavailable
from core.events import AnyObservation, ConsultationObserved, Event, LegAbsorbed, Observation, UnknownEventType, decode
from core.legs import PARASITE_WINDOW_MS, Absorb, Finding, Kind, KnownCall, Legs, Link, customer_digits, hear
from core.ports import Append, EventStore, RecordedEvent, StreamId

log = structlog.get_logger("switchboard")

BATCH: Final = 500
"""Events of the log that are joined in one transaction."""

POLL_S: Final = 1.0
"""Between two looks at the log when no bell rings: another instance's commits ring none."""

RETRY_S: Final = 1.0
"""Between two attempts while the database is away."""

BUG_RETRY_S: Final = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Between two attempts at a batch that a bug stopped; the last one repeats."""
KEEP_MS: Final = 172_800_000
"""Legs older than two days are forgotten: no call lasts that long, and what they proved is in the calls' streams."""

CHECKPOINT: Final = "switchboard"
UNAVAILABLE: Final[tuple[type[Exception], ...]] = (StoreUnavailable, *DATABASE_ERRORS)
_MAKE_CHECKPOINT: Final = load_sql("checkpoint_make")
_READ_CHECKPOINT: Final = load_sql("checkpoint_read")
_TAKE_CHECKPOINT: Final = load_sql("checkpoint_take")
_MOVE_CHECKPOINT: Final = load_sql("checkpoint_move")
_CALLS: Final = load_sql("switchboard_calls")
_LINKS: Final = load_sql("switchboard_links")
_MEMBERS: Final = load_sql("switchboard_members")
_PRUNE: Final = load_sql("switchboard_prune")
_RELAYED: Final = load_sql("switchboard_relayed")
_SAVE_CALL: Final = load_sql("switchboard_save_call")
_SAVE_LINK: Final = load_sql("switchboard_save_link")
_SAVE_MEMBER: Final = load_sql("switchboard_save_member")
_SET_RELAYED: Final = load_sql("switchboard_set_relayed")


class Switchboard:
    """Follows the log from its checkpoint. ``wake_call`` is told of every call stream that has something new."""

    def __init__(
        self,
        *,
        pool: Any,
        store: EventStore,
        wake_call: Callable[[StreamId], None],
        now_ms: Callable[[], int],
    ) -> None:
        self._pool = pool
        self._store = store
        self._wake_call = wake_call
        self._now_ms = now_ms
        self.position = 0
        """Up to here, as far as this instance knows, the log's legs are joined and their copies recorded."""

    async def run(self) -> None:
        """Follow until cancelled. While the database is away it waits, says so, and goes on where it was."""
        wake = self._store.subscribe()
        bugs = 0
        while True:
            try:
                while await self.step():
                    bugs = 0
                bugs = 0
            except UNAVAILABLE as error:
                still_wanted(error)
                log.warning("switchboard_waits_for_database", reason=type(error).__name__)
                await asyncio.sleep(RETRY_S)
                continue
            except Exception as error:
                still_wanted(error)
                # A bug: legs stand still where they are, visibly; signals are still taken in, and calls still attended to.
                log.error("switchboard_failed", position=self.position, exc_info=error)
                await asyncio.sleep(BUG_RETRY_S[min(bugs, len(BUG_RETRY_S) - 1)])
                bugs += 1
                continue
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(POLL_S):
                    await wake.wait()

    async def step(self) -> int:
        """Take in one batch of the log; returns how many events it held."""
        after = await self._pool.fetchval(_READ_CHECKPOINT, CHECKPOINT)
        if after is None:
            await self._pool.execute(_MAKE_CHECKPOINT, CHECKPOINT)
            after = 0
        batch = await self._store.read_log(after, BATCH)
        if not batch:
            self.position = after
            return 0
        async with self._pool.acquire() as connection, connection.transaction():
            # One switchboard at a time over all instances: whoever takes the checkpoint where this batch begins.
            if await connection.fetchval(_TAKE_CHECKPOINT, CHECKPOINT, after) is None:
                self.position = max(self.position, after)
                return 0
            touched = await self._take_in(connection, batch)
            await connection.execute(_MOVE_CHECKPOINT, CHECKPOINT, batch[-1].position)
        self.position = batch[-1].position
        for stream in touched:
            self._wake_call(stream)
        return len(batch)

    async def prune(self) -> None:
        """Forget legs that no call can need any more."""
        async with self._pool.acquire() as connection:
            for statement in _PRUNE.split(";"):
                if statement.strip():
                    await connection.execute(statement, self._now_ms() - KEEP_MS)

    async def _take_in(self, connection: Any, batch: Sequence[RecordedEvent]) -> list[StreamId]:
        touched: dict[StreamId, None] = {}
        heard: dict[str, list[tuple[RecordedEvent, AnyObservation]]] = {}
        for recorded in batch:
            event = _observation(recorded)
            if event is None:
                continue
            if recorded.stream.name.startswith("call/"):
                touched[recorded.stream] = None
            heard.setdefault(recorded.stream.enterprise, []).append((recorded, event))
        for enterprise, observations in heard.items():
            for stream in await self._enterprise(connection, enterprise, observations):
                touched[stream] = None
        return list(touched)

    async def _enterprise(
        self, connection: Any, enterprise: str, observations: list[tuple[RecordedEvent, AnyObservation]]
    ) -> list[StreamId]:
        before = legs = await self._load(connection, enterprise, observations)
        findings: list[Finding] = []
        to_relay: dict[tuple[str, str], None] = {}
        for recorded, event in observations:
            legs, found = hear(legs, recorded.stream.name, event)
            findings.extend(found)
            for call in sorted(legs.links.get(recorded.stream.name, ())):
                to_relay[(recorded.stream.name, call)] = None
        for finding in findings:
            if isinstance(finding, Link):
                to_relay[(finding.leg, finding.call)] = None
        heard_ms = max(event.heard_ms for _, event in observations)
        await self._save(connection, enterprise, before, legs, heard_ms)
        streams: list[StreamId] = []
        for leg, call in to_relay:
            if await self._relay(connection, enterprise, leg, call):
                streams.append(StreamId(enterprise=enterprise, name=f"call/{call}"))
        for finding in findings:
            if isinstance(finding, Absorb):
                streams.extend(await self._absorb(enterprise, finding, heard_ms))
        return streams

    async def _relay(self, connection: Any, enterprise: str, leg: str, call: str) -> bool:
        """Copy what the leg's stream holds beyond what the call already has."""
        relayed = await connection.fetchval(_RELAYED, enterprise, leg, call) or 0
        fresh = await self._store.read(StreamId(enterprise=enterprise, name=leg), relayed)
        if not fresh:
            return False
        target = StreamId(enterprise=enterprise, name=f"call/{call}")
        copies = [
            self._copy(target, f"{leg}:{recorded.version}", replace(event, wire=f"relayed from {leg}"))
            for recorded in fresh
            if (event := _observation(recorded)) is not None
        ]
        await self._store.append_many(copies)
        await connection.execute(_SET_RELAYED, enterprise, leg, call, fresh[-1].version)
        return True

    async def _absorb(self, enterprise: str, finding: Absorb, heard_ms: int) -> list[StreamId]:
        leg = StreamId(enterprise=enterprise, name=f"call/{finding.leg}")
        into = StreamId(enterprise=enterprise, name=f"call/{finding.into}")
        absorbed = LegAbsorbed(heard_ms=heard_ms, wire="switchboard", into=finding.into, why=finding.why)
        items = [self._copy(leg, f"absorbed:{finding.into}", absorbed)]
        if finding.hangup is not None:
            consultation = ConsultationObserved(
                heard_ms=finding.hangup.heard_ms,
                wire="switchboard",
                leg=finding.leg,
                extensions=finding.hangup.extensions,
                answered=finding.hangup.answered,
                ended_ms=finding.hangup.ended_ms,
            )
            items.append(self._copy(into, f"consultation:{finding.leg}", consultation))
        await self._store.append_many(items)
        return [leg, into]

    def _copy(self, target: StreamId, source: str, event: Event) -> Append:
        digest = hashlib.sha256(f"relay\0{target.name}\0{source}".encode()).digest()
        return Append(stream=target, events=(new_event(event),), digest=digest, due_ms=self._now_ms())

    async def _load(self, connection: Any, enterprise: str, observations: Iterable[tuple[RecordedEvent, AnyObservation]]) -> Legs:
        """The neighbourhood these observations can touch: their legs, the legs of those, and calls of the same numbers."""
        names = {recorded.stream.name for recorded, _ in observations}
        bridges = [name.removeprefix("bridge/") for name in names if name.startswith("bridge/")]
        channels = {name.partition("/")[2] for name in names if not name.startswith("bridge/")}
        channels |= {str(getattr(event, "channel", "")) for _, event in observations}
        members: dict[str, dict[str, bool]] = {}
        for row in await connection.fetch(_MEMBERS, enterprise, bridges, list(channels)):
            members.setdefault(row["bridge"], {})[row["channel"]] = row["trunk"]
            channels.add(row["channel"])
        leg_names = [*names, *(f"bridge/{name}" for name in members), *(f"channel/{name}" for name in channels)]
        links: dict[str, frozenset[str]] = {}
        linked: set[str] = set()
        for row in await connection.fetch(_LINKS, enterprise, leg_names):
            links[row["leg"]] = links.get(row["leg"], frozenset()) | ({row["call"]} if row["call"] else frozenset())
            linked.add(row["call"])
        times = [event.heard_ms for _, event in observations]
        numbers = sorted({number for _, event in observations if (number := _number(event))})
        rows = await connection.fetch(
            _CALLS,
            enterprise,
            list(channels | linked),
            numbers,
            min(times) - KEEP_MS,
            min(times) - PARASITE_WINDOW_MS,
        )
        calls = {row["call"]: _known(row) for row in rows}
        return Legs(calls=calls, members=members, links=links)

    async def _save(self, connection: Any, enterprise: str, before: Legs, after: Legs, heard_ms: int) -> None:
        calls = [call for id_, call in after.calls.items() if before.calls.get(id_) != call]
        if calls:
            await connection.executemany(
                _SAVE_CALL,
                [
                    (enterprise, call.id, call.kind.value, call.number, call.first_ms, call.ended_ms, call.absorbed)
                    for call in calls
                ],
            )
        members = [
            (enterprise, bridge, channel, trunk, heard_ms)
            for bridge, channels in after.members.items()
            for channel, trunk in channels.items()
            if before.members.get(bridge, {}).get(channel) != trunk
        ]
        if members:
            await connection.executemany(_SAVE_MEMBER, members)
        links = [
            (enterprise, leg, call, heard_ms)
            for leg, owners in after.links.items()
            for call in (owners or {""})
            if leg not in before.links or call not in before.links[leg]
        ]
        if links:
            await connection.executemany(_SAVE_LINK, links)


def _observation(recorded: RecordedEvent) -> AnyObservation | None:
    """What was heard; None for other events. One that this code cannot read is told of and passed over: it is one leg's."""
    try:
        event = decode(recorded.type, recorded.schema, recorded.data)
    except (UnknownEventType, KeyError, msgspec.ValidationError) as error:
        log.error("event_unreadable", stream=recorded.stream.name, position=recorded.position, reason=type(error).__name__)
        return None
    return event if isinstance(event, Observation) else None


def _known(row: Any) -> KnownCall:
    return KnownCall(
        id=row["call"],
        kind=Kind(row["kind"]),
        number=row["number"],
        first_ms=row["first_ms"],
        ended_ms=row["ended_ms"],
        absorbed=row["absorbed"],
    )


def _number(event: Observation) -> str:
    return customer_digits(str(getattr(event, "number", "")))
