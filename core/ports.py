"""The ports of the core: what it needs from the outside world, said as protocols; ``adapters/`` implement them.

The event store keeps one append-only stream per call (and per bridge and channel, until it is known which call they
belong to) and one log over all streams. Three promises carry the rest of the house:

* an append that returned is on disk (PRODUCT A9);
* ``position`` numbers the log 1, 2, 3, ... in commit order: no gap, and nothing ever appears below a position that has
  been read, so following the log is ``read_log(last position)`` and nothing else;
* within a stream, ``version`` counts 1, 2, 3, ..., and versions rise with positions.

``tests/contracts/event_store.py`` states them as tests that every implementation passes.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Protocol, runtime_checkable
from uuid import UUID

import msgspec
import orjson

from core.errors import AppendRefused, VersionConflict
from core.values import Urgency

MAX_NAME_BYTES: Final = 1_000
"""Longest enterprise, stream name or event type, in UTF-8 bytes: all of them together fit an index entry."""

MAX_APPEND_EVENTS: Final = 1_000
MAX_APPEND_BYTES: Final = 4 * 1024 * 1024
"""Most events, and bytes of their data, in one append."""

MAX_DIGEST_BYTES: Final = 64
MAX_SCHEMA: Final = 32_767
MAX_MS: Final = 2**62

LEASE_MS: Final = 4_000
"""An instance that has not been heard of for so long is gone (by the store's clock)."""

SELF_MS: Final = 3_000
"""So long after the start of its last successful beat an instance believes in its own lease (by its own clock). The second
between the two is for clocks that do not run at one rate, and for a request that was let go in the last moment."""


class StreamId(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Names a stream: the enterprise first, then ``call/<id>``, ``bridge/<id>`` or ``channel/<id>``."""

    enterprise: str
    name: str

    def __str__(self) -> str:
        return f"{self.enterprise}:{self.name}"


class NewEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event about to be recorded. ``id`` is unique for ever: it is what makes a repeated append harmless."""

    id: UUID
    type: str
    schema: int
    data: dict[str, Any]


class RecordedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded event with its place in the stream (``version``, from 1) and in the log (``position``, from 1).

    ``recorded_ms`` is the store's clock at the time of the append; it is for people, never for order.
    """

    stream: StreamId
    version: int
    position: int
    id: UUID
    type: str
    schema: int
    data: dict[str, Any]
    recorded_ms: int


class Append(msgspec.Struct, frozen=True, kw_only=True):
    """Events to be recorded together at the end of one stream.

    ``expected_version``: refuse unless the stream is at exactly this version (0: it does not exist yet; None: do not
    care). ``digest``: recognises a signal by its content; a second append with the same digest in the same enterprise
    records nothing, whatever its stream. ``due_ms``: the stream needs attention from then on (an earlier due stays), and
    urgently: whatever is appended may concern a card.
    """

    stream: StreamId
    events: Sequence[NewEvent]
    expected_version: int | None = None
    digest: bytes | None = None
    due_ms: int | None = None


class Appended(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """Where an append ended up: the version and position of its last event.

    ``duplicate``: the digest (or the very same event ids) had been recorded before; then ``stream``, ``version`` and
    ``position`` are those of the first append, and this one recorded nothing.
    """

    stream: StreamId
    version: int
    position: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """A stream that needs attention since ``due_ms``; ``urgency`` as whoever set the time said."""

    stream: StreamId
    version: int
    due_ms: int
    urgency: Urgency


class Wakeup(Protocol):
    """A bell that rings after commits made by this process. It is a hint: poll as well, other processes do not ring it."""

    async def wait(self) -> None:
        """Return once something was committed since the last return; at once if it already was."""
        ...


class EventStore(Protocol):
    """Append-only streams with one gap-free log over them. Every method may raise :class:`core.errors.StoreUnavailable`."""

    async def append(self, append: Append) -> Appended:
        """Record events durably: when it returns they are on disk. Callers at the same time share one commit.

        Raises VersionConflict (nothing recorded), AppendRefused (can never be stored), StoreUnavailable (unknown).
        Checked in this order: event ids already recorded, digest already recorded, expected version.
        """
        ...

    async def append_many(self, appends: Sequence[Append]) -> list[Appended | VersionConflict]:
        """Record several appends in one commit, in the order given, each with its own result.

        A conflict or a duplicate of one leaves the others alone. Raises AppendRefused if one of them can never be
        stored (or two of them share an event id), and then records none.
        """
        ...

    async def read(self, stream: StreamId, after_version: int = 0) -> list[RecordedEvent]:
        """The events of one stream after a version, in version order; an unknown stream is empty."""
        ...

    async def read_many(self, after: Mapping[StreamId, int]) -> dict[StreamId, list[RecordedEvent]]:
        """The events of several streams, of each after the version named, as ``read`` tells them; one question for all."""
        ...

    async def read_log(self, after_position: int, limit: int) -> list[RecordedEvent]:
        """At most ``limit`` events of the log after a position, in position order."""
        ...

    async def head(self) -> int:
        """The position of the last recorded event; 0 for an empty log."""
        ...

    def subscribe(self) -> Wakeup:
        """A bell of one's own for this process's commits. Whoever drops it stops listening."""
        ...

    async def due(
        self,
        now_ms: int,
        per_enterprise: int,
        enterprises: Collection[str] | None = None,
        *,
        backlog: int | None = None,
        sated: Collection[str] = (),
    ) -> list[Due]:
        """Streams whose due time has come: the most urgent first, then the longest overdue.

        Fair: at most ``per_enterprise`` of each enterprise and urgency. ``enterprises``: only of these (None: of all).
        ``backlog``: at most so many of each enterprise's backlog instead; ``sated``: nothing of these enterprises' backlog.
        """
        ...

    async def set_due(self, stream: StreamId, version: int, due_ms: int | None, urgency: Urgency = Urgency.LIVE) -> bool:
        """Say when the stream next needs attention (None: never) and how urgently, but only if it is still at ``version``."""
        ...

    async def next_due_ms(self) -> int | None:
        """The earliest due time of any stream; None when no stream is due at all.

        For tests and the bench, which move their clock there (``bench/by_hand.py``); the service itself asks :meth:`due`."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One running instance, as the others see it. ``report``: what it says of itself, for people."""

    id: str
    address: str
    started_ms: int
    report: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """An enterprise that is now this instance's. ``quiet_ms``: how long ago, at least, another instance may last have asked
    MoySklad for it (None: no other ever had it)."""

    enterprise: str
    quiet_ms: int | None


class LeaseStore(Protocol):
    """Who attends to which enterprise, over all instances (docs/decisions/0010). Every method may raise StoreUnavailable.

    A lease is the instance's, not the enterprise's: one beat keeps all it holds. Times are the store's own; callers
    count from before they asked. An instance that is not heard of for ``LEASE_MS`` is gone: its enterprises are free.
    ``tests/contracts/lease_store.py`` states this as tests.
    """

    async def join(self, node_id: str, address: str) -> None:
        """Take part, under an id that was never used before."""
        ...

    async def beat(self, node_id: str, report: Mapping[str, Any]) -> list[Node] | None:
        """Say that this instance lives; all that live, itself included. None: it is counted as gone, and holds nothing."""
        ...

    async def claim(self, node_id: str, enterprises: Mapping[str, str]) -> list[Claim]:
        """Take enterprises (name -> account key) that no living instance holds; those it got, or held already.

        Not those of an account of which another living instance holds an enterprise: an account's limits are kept by one.
        """
        ...

    async def waiting(self, now_ms: int) -> list[str]:
        """Enterprises with work that is due and that no living instance holds."""
        ...

    async def release(self, node_id: str, enterprises: Collection[str]) -> None:
        """Give enterprises back: nothing of them is under way any more."""
        ...

    async def leave(self, node_id: str) -> None:
        """Give everything back and be gone."""
        ...

    async def owners(self) -> dict[str, str]:
        """Enterprise -> the living instance that holds it."""
        ...


HOLD_MS: Final = 3_600_000
"""How long it is believed that an account takes no tasks; then the next missed call tries whether it does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claimed:
    """Whether a missed call may make the task for its customer. ``talked_ms``: no, somebody talked with him until then; ``by``:
    no, that call makes it, and ``task`` is what it made, if it has; ``held_by``: yes, but not now, for that call was told that the
    account takes no tasks."""

    granted: bool
    by: str = ""
    task: str = ""
    talked_ms: int | None = None
    held_by: str = ""


class Ended(NamedTuple):
    """A task that a person ended in MoySklad itself, and since when, where that is known: he has talked with the customer."""

    task: str
    at_ms: int | None = None


class Callbacks(Protocol):
    """Which customers are to be called back, each by one task, whichever of his calls was missed (PRODUCT C11).

    A *matter* begins with the first missed call of a customer that is granted the task, and ends with a talk, or when its task
    does (``over``). ``clients`` are the names under which a customer is known (his number, his contact): two calls are the same
    customer's if they have one in common. This is the only thing that calls tell each other directly, so the questions of one
    enterprise are answered one after another, whichever instance asks. Every method may be repeated: it answers the same. All
    may raise StoreUnavailable.
    ``tests/contracts/callbacks.py`` states this as tests.
    """

    async def claim(
        self, enterprise: str, call: str, clients: Sequence[str], missed_ms: int, over: Ended | None = None
    ) -> Claimed:
        """May this call, missed at that time, have the task? ``over``: that task's matter has ended in MoySklad itself."""
        ...

    async def keep(self, enterprise: str, call: str, task: str) -> bool:
        """The claimed task is there. False: its matter has ended meanwhile.

        It also shows that the account takes tasks: calls that wait for that (``hold``) are attended to again.
        """
        ...

    async def hold(self, enterprise: str, call: str) -> str:
        """Note that the account takes no tasks. Returns the call that was the first to find out: that one tells a person."""
        ...

    async def close(self, enterprise: str, call: str, clients: Sequence[str], talked_ms: int) -> tuple[str, ...]:
        """Somebody talked with this customer until then: his matters end, unless he was missed since. Returns the tasks of
        those that ended."""
        ...


class ProjectionDb(Protocol):
    """What a projection may do with the database: its statements run in the transaction that moves its checkpoint."""

    async def execute(self, query: str, *args: Any) -> Any:
        """Run one statement."""
        ...

    async def fetch(self, query: str, *args: Any) -> Sequence[Any]:
        """Rows of a query; a column is ``row["name"]``; json and jsonb columns come parsed."""
        ...


class Projection(Protocol):
    """A read model: derived from the log alone, so that rebuilt equals live (PRODUCT F8)."""

    @property
    def name(self) -> str:
        """Names its checkpoint; never changes."""
        ...

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        """Take in one batch of the log. The batch may hold any streams; how the log is cut into batches must not matter."""
        ...


@runtime_checkable
class Rebuildable(Projection, Protocol):
    """A read model that can be derived anew while it is in use.

    The log is cut into pieces, which copies of the read model (it is pickled) go through in any order, several at once, each in
    a process of its own. Meanwhile the read model in use goes on with new events. So a piece must never overwrite a row with an
    older state.
    """

    async def begin_anew(self, db: ProjectionDb) -> None:
        """Clear what an earlier attempt left, and what nothing in the log accounts for."""
        ...

    async def take_anew(self, db: ProjectionDb, page: LogPage) -> None:
        """Take in one page of a piece of the log; pages of a piece follow each other."""
        ...

    async def end_piece(self, db: ProjectionDb) -> None:
        """A piece has ended: write its result."""
        ...

    async def finish_anew(self, db: ProjectionDb) -> None:
        """Every piece is written: put the result in the place of the old one. Until this transaction ends nobody applies
        anything."""
        ...


LogLine = Sequence[Any]
"""One event as it was read: enterprise, stream, version, position, type, schema, data as JSON text, recorded_ms."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LogPage:
    """The events of calls and clicks at the positions after ``after``, up to ``upto``."""

    after: int
    upto: int
    lines: Sequence[LogLine]


def encode_events(append: Append) -> tuple[bytes, ...]:
    """Check an append and turn the data of its events into JSON, as every store keeps it.

    Raises AppendRefused with the reason; what passes here is accepted by every store.
    """
    _check_text("enterprise", append.stream.enterprise)
    _check_text("stream name", append.stream.name)
    if not 1 <= len(append.events) <= MAX_APPEND_EVENTS:
        raise AppendRefused(f"an append holds 1 to {MAX_APPEND_EVENTS} events, not {len(append.events)}")
    if append.digest is not None and not 1 <= len(append.digest) <= MAX_DIGEST_BYTES:
        raise AppendRefused(f"a digest has 1 to {MAX_DIGEST_BYTES} bytes, not {len(append.digest)}")
    if append.expected_version is not None and append.expected_version < 0:
        raise AppendRefused(f"expected_version {append.expected_version} is below 0")
    if append.due_ms is not None and not 0 <= append.due_ms <= MAX_MS:
        raise AppendRefused(f"due_ms {append.due_ms} is no time")
    if len(append.events) > 1 and len({event.id for event in append.events}) != len(append.events):
        raise AppendRefused("two events of one append have the same id")
    encoded = []
    for event in append.events:
        _check_text("event type", event.type)
        if not 1 <= event.schema <= MAX_SCHEMA:
            raise AppendRefused(f"schema {event.schema} of {event.type} is not within 1 to {MAX_SCHEMA}")
        try:
            encoded.append(orjson.dumps(event.data))
        except TypeError as error:
            raise AppendRefused(f"the data of {event.type} cannot be kept as JSON: {error}") from error
    if (size := sum(map(len, encoded))) > MAX_APPEND_BYTES:
        raise AppendRefused(f"{size} bytes of data are more than the {MAX_APPEND_BYTES} an append may hold")
    return tuple(encoded)


def encode_many(appends: Sequence[Append]) -> list[tuple[bytes, ...]]:
    """The same for the appends of one commit. Raises AppendRefused also when two of them share an event id."""
    ids = [event.id for append in appends for event in append.events]
    if len(set(ids)) != len(ids):
        raise AppendRefused("two events of one commit have the same id")
    return [encode_events(append) for append in appends]


def _check_text(what: str, text: str) -> None:
    if text.isascii() and 1 <= len(text) <= MAX_NAME_BYTES and "\0" not in text:
        return  # nearly all are
    try:
        size = len(text.encode())
    except UnicodeEncodeError as error:
        raise AppendRefused(f"the {what} is not valid text: {error.reason}") from error
    if not 1 <= size <= MAX_NAME_BYTES:
        raise AppendRefused(f"the {what} has {size} bytes, not 1 to {MAX_NAME_BYTES}")
    if "\0" in text:
        raise AppendRefused(f"the {what} holds a NUL character")
