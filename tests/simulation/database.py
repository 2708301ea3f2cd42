"""The database that all nodes share, and each node's way to it: latency, outages, cuts, answers that never come.

What the database does it does at once and whole, like a statement of PostgreSQL's; the accidents are on the way. A node
that dies loses its session, and with it the batch it was in; one that is frozen or cut off keeps both until the server's
limit for idle transactions ends them.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable, Collection, Mapping, Sequence
from types import TracebackType
from typing import Any, Final, TypeVar

from adapters.click_joiner import NearClicks
from adapters.memory_callbacks import MemoryCallbacks
from adapters.memory_leases import MemoryLeaseStore
from adapters.memory_store import MemoryEventStore
from adapters.memory_switchboard import MemorySwitchboardBatch, MemorySwitchboardState
from adapters.switchboard import Changes, Near, Nearby, Overtaken
from adapters.tail import Tail
from adapters.wakeup import Bell, Bells
from core.click_joining import KnownClick
from core.errors import StoreUnavailable, VersionConflict
from core.ports import Append, Appended, Claim, Claimed, Due, Ended, Node, RecordedEvent, StreamId, encode_many
from core.values import Urgency
from tests.simulation.loop import ProcessLoop, drive

T = TypeVar("T")

PATIENCE_S: Final = 2.5
"""How long the real store waits for a database that is away."""

REPEAT_S: Final = 0.1
ANSWERS: Final = (StoreUnavailable, VersionConflict, Overtaken, ValueError)
"""What the database says no with; anything else is a bug."""


class Database:
    """The server's side. ``up``: whether it answers; ``slow_us``: what every statement takes longer."""

    def __init__(self, now_ms: Callable[[], int], notify: Callable[[int], None]) -> None:
        self.store = MemoryEventStore(now_ms=now_ms)
        self.switchboard = MemorySwitchboardState(self.store, notify=notify, now_ms=now_ms)
        self.leases = MemoryLeaseStore(now_ms, lambda at_ms: [due.stream.enterprise for due in drive(self.store.due(at_ms, 1))])
        self.callbacks = MemoryCallbacks(now_ms)
        self.up = True
        self.slow_us = 0


class Link:
    """One node's way to the database. ``cut``: nothing gets through, and nobody is told."""

    def __init__(self, database: Database, server: ProcessLoop, client: ProcessLoop, rng: random.Random, broken: int) -> None:
        self._database = database
        self._server = server
        self._client = client
        self._chance = rng.random
        self._broken = broken
        self.cut = False

    async def ask(self, work: Callable[[], T], *, write: bool = False, once: bool = False) -> T:
        """Have the database do something; the answer, or what it raised, or StoreUnavailable when patience ends.

        Like the real store, it is asked again while there is patience left, unless it is to be asked ``once``.
        """
        deadline_us = self._client.clock.now_us + round(PATIENCE_S * 1_000_000)
        while True:
            answer: asyncio.Future[T | None] = self._client.create_future()
            self._send(work, answer, write, deadline_us)
            try:
                return await answer  # type: ignore[return-value]
            except ConnectionError as error:
                if once or self._client.clock.now_us + REPEAT_S * 1_000_000 >= deadline_us:
                    raise StoreUnavailable("the database is away") from error
            await asyncio.sleep(REPEAT_S)

    def _send(self, work: Callable[[], T], answer: asyncio.Future[Any], write: bool, deadline_us: int) -> None:
        if self._client.dead:
            return  # a ``finally`` block of a process that was killed
        chance = self._chance
        arrives_us = self._client.clock.now_us + 200 + int(1_300 * chance()) + self._database.slow_us
        if self._broken and (accident := int(1_000 * chance())) < self._broken:
            # The database is lost in the middle of this, before or after it has acted, for longer than patience lasts.
            acts = accident % 2 == 0
            self._server.call_at_us(arrives_us, _lose, work if acts else None, answer)
            return
        back_us = 200 + int(2_800 * chance()) if write else 0
        self._server.call_at_us(arrives_us, self._arrives, work, answer, back_us, deadline_us)

    def _arrives(self, work: Callable[[], T], answer: asyncio.Future[Any], back_us: int, deadline_us: int) -> None:
        if self._client.dead:
            return
        if self.cut:
            self._server.call_at_us(max(deadline_us, self._server.clock.now_us), _lose, None, answer)
        elif not self._database.up:
            self._resolve(answer, None, ConnectionError())
        else:
            try:
                result, error = work(), None
            except ANSWERS as raised:
                result, error = None, raised
            if back_us:
                self._server.call_at_us(self._server.clock.now_us + back_us, self._returns, answer, result, error, deadline_us)
            else:
                self._resolve(answer, result, error)

    def _returns(self, answer: asyncio.Future[Any], result: Any, error: Exception | None, deadline_us: int) -> None:
        if self.cut:
            self._server.call_at_us(max(deadline_us, self._server.clock.now_us), _lose, None, answer)
        elif not self._database.up:
            self._resolve(answer, None, ConnectionError())
        else:
            self._resolve(answer, result, error)

    @staticmethod
    def _resolve(answer: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(result)


def _lose(work: Callable[[], Any] | None, answer: asyncio.Future[Any]) -> None:
    if work is not None:
        with contextlib.suppress(*ANSWERS):
            work()
    if not answer.done():
        answer.set_exception(StoreUnavailable("the database was lost in the middle of it"))


class NodeStore:
    """The event store as one node has it (``core.ports.EventStore``): its own bells ring at its own commits."""

    def __init__(self, link: Link, database: Database) -> None:
        self._link = link
        self._store = database.store
        self._bells = Bells()
        self._turns = asyncio.Lock()
        self.tail = Tail()

    async def append(self, append: Append) -> Appended:
        """See ``EventStore``."""
        (result,) = await self.append_many([append])
        if isinstance(result, VersionConflict):
            raise result
        return result

    async def append_many(self, appends: Sequence[Append]) -> list[Appended | VersionConflict]:
        """See ``EventStore``. One commit at a time, as the real one: so it hears of its commits in their order."""
        encoded = encode_many(appends)
        async with self._turns:
            results = await self._link.ask(lambda: drive(self._store.append_many(appends)), write=True)
            self.tail.take(list(zip(appends, encoded, results, strict=True)))
            self._bells.ring()
        return results

    async def read(self, stream: StreamId, after_version: int = 0) -> list[RecordedEvent]:
        """See ``EventStore``."""
        return await self._link.ask(lambda: drive(self._store.read(stream, after_version)))

    async def read_many(self, after: Mapping[StreamId, int]) -> dict[StreamId, list[RecordedEvent]]:
        """See ``EventStore``."""
        return await self._link.ask(lambda: drive(self._store.read_many(after)))

    async def read_log(self, after_position: int, limit: int) -> list[RecordedEvent]:
        """See ``EventStore``."""
        return await self._link.ask(lambda: drive(self._store.read_log(after_position, limit)))

    async def head(self) -> int:
        """See ``EventStore``."""
        return await self._link.ask(lambda: drive(self._store.head()))

    def subscribe(self) -> Bell:
        """See ``EventStore``."""
        return self._bells.subscribe()

    async def due(
        self,
        now_ms: int,
        per_enterprise: int,
        enterprises: Collection[str] | None = None,
        *,
        backlog: int | None = None,
        sated: Collection[str] = (),
    ) -> list[Due]:
        """See ``EventStore``."""
        ask = self._store.due
        return await self._link.ask(lambda: drive(ask(now_ms, per_enterprise, enterprises, backlog=backlog, sated=sated)))

    async def set_due(self, stream: StreamId, version: int, due_ms: int | None, urgency: Urgency = Urgency.LIVE) -> bool:
        """See ``EventStore``."""
        return await self._link.ask(lambda: drive(self._store.set_due(stream, version, due_ms, urgency)))

    async def next_due_ms(self) -> int | None:
        """See ``EventStore``."""
        return await self._link.ask(lambda: drive(self._store.next_due_ms()))


class NodeLeases:
    """The leases as one node has them (``core.ports.LeaseStore``)."""

    def __init__(self, link: Link, database: Database) -> None:
        self._link = link
        self._leases = database.leases

    async def join(self, node_id: str, address: str) -> None:
        """See ``LeaseStore``."""
        await self._link.ask(lambda: drive(self._leases.join(node_id, address)), write=True, once=True)

    async def beat(self, node_id: str, report: Mapping[str, Any]) -> list[Node] | None:
        """See ``LeaseStore``."""
        return await self._link.ask(lambda: drive(self._leases.beat(node_id, report)), write=True, once=True)

    async def claim(self, node_id: str, enterprises: Mapping[str, str]) -> list[Claim]:
        """See ``LeaseStore``."""
        return await self._link.ask(lambda: drive(self._leases.claim(node_id, enterprises)), write=True, once=True)

    async def waiting(self, now_ms: int) -> list[str]:
        """See ``LeaseStore``."""
        return await self._link.ask(lambda: drive(self._leases.waiting(now_ms)))

    async def release(self, node_id: str, enterprises: Collection[str]) -> None:
        """See ``LeaseStore``."""
        names = list(enterprises)
        await self._link.ask(lambda: drive(self._leases.release(node_id, names)), write=True, once=True)

    async def leave(self, node_id: str) -> None:
        """See ``LeaseStore``."""
        await self._link.ask(lambda: drive(self._leases.leave(node_id)), write=True, once=True)

    async def owners(self) -> dict[str, str]:
        """See ``LeaseStore``."""
        return await self._link.ask(lambda: drive(self._leases.owners()))


class NodeCallbacks:
    """Who is to be called back, as one node asks (``core.ports.Callbacks``): a transaction each time, not asked again by itself."""

    def __init__(self, link: Link, database: Database) -> None:
        self._link = link
        self._callbacks = database.callbacks

    async def claim(
        self, enterprise: str, call: str, clients: Sequence[str], missed_ms: int, over: Ended | None = None
    ) -> Claimed:
        """See ``Callbacks``."""
        ask = self._callbacks.claim
        return await self._link.ask(lambda: drive(ask(enterprise, call, clients, missed_ms, over)), write=True, once=True)

    async def keep(self, enterprise: str, call: str, task: str) -> bool:
        """See ``Callbacks``."""
        return await self._link.ask(lambda: drive(self._callbacks.keep(enterprise, call, task)), write=True, once=True)

    async def hold(self, enterprise: str, call: str) -> str:
        """See ``Callbacks``."""
        return await self._link.ask(lambda: drive(self._callbacks.hold(enterprise, call)), write=True, once=True)

    async def close(self, enterprise: str, call: str, clients: Sequence[str], talked_ms: int) -> tuple[str, ...]:
        """See ``Callbacks``."""
        ask = self._callbacks.close
        return await self._link.ask(lambda: drive(ask(enterprise, call, clients, talked_ms)), write=True, once=True)


class NodeSwitchboard:
    """The switchboard's memory as one node has it (``adapters.switchboard.SwitchboardState``)."""

    def __init__(self, link: Link, database: Database) -> None:
        self._link = link
        self._state = database.switchboard
        self.session: _Batch | None = None

    async def position(self) -> int:
        """See ``SwitchboardState``."""
        return await self._link.ask(lambda: drive(self._state.position()))

    def taken(self, after: int) -> _Batch:
        """See ``SwitchboardState``."""
        return _Batch(self, self._link, self._state, after)

    def offered(self, after: int) -> _Offered:
        """See ``SwitchboardState``."""
        return _Offered(self._link, self._state, after)

    async def clicked(self, since_ms: int) -> dict[str, int]:
        """See ``SwitchboardState``."""
        return await self._link.ask(lambda: drive(self._state.clicked(since_ms)))

    async def forget(self, before_ms: int) -> None:
        """See ``SwitchboardState``."""
        await self._link.ask(lambda: drive(self._state.forget(before_ms)))

    def lose_session(self) -> None:
        """The process is gone: the server ends its transaction."""
        if self.session is not None:
            self.session.abandon()


class _Offered:
    """A batch that holds nothing: each word is a statement of its own, on its own way to the database and back."""

    def __init__(self, link: Link, state: MemorySwitchboardState, after: int) -> None:
        self._link = link
        self._offered = state.offered(after)
        self._batch: MemorySwitchboardBatch | None = None

    async def __aenter__(self) -> _Offered:
        self._batch = await self._offered.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return  # what was not moved is not kept

    async def load(self, near: Mapping[str, Near]) -> dict[str, Nearby]:
        """See ``SwitchboardBatch``."""
        return await self._link.ask(lambda: drive(self._inside.load(near)))

    async def save(self, changes: Mapping[str, Changes]) -> None:
        """See ``SwitchboardBatch``."""
        await self._inside.save(changes)

    async def clicks(self, near: Mapping[str, NearClicks]) -> dict[str, dict[str, KnownClick]]:
        """See ``SwitchboardBatch``."""
        return await self._link.ask(lambda: drive(self._inside.clicks(near)))

    async def save_clicks(self, clicks: Mapping[str, Sequence[KnownClick]]) -> None:
        """See ``SwitchboardBatch``."""
        await self._inside.save_clicks(clicks)

    async def move(self, position: int, *, hasten: Collection[StreamId], now_ms: int) -> None:
        """See ``SwitchboardBatch``."""
        moves = self._inside.move
        await self._link.ask(lambda: drive(moves(position, hasten=hasten, now_ms=now_ms)), write=True, once=True)

    @property
    def _inside(self) -> MemorySwitchboardBatch:
        assert self._batch is not None
        return self._batch


class _Batch:
    """A transaction of a node's. Its statements take no time of their own; they fail where the way fails."""

    def __init__(self, board: NodeSwitchboard, link: Link, state: MemorySwitchboardState, after: int) -> None:
        self._board = board
        self._link = link
        self._taken = state.taken(after)
        self._batch: MemorySwitchboardBatch | None = None
        self._over = False

    async def __aenter__(self) -> _Batch | None:
        try:
            return self if await self._link.ask(self._begin) else None
        except BaseException:
            self.abandon()  # it may have begun: nothing else would end it but the garbage collector, whenever that comes
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._over:
            return
        if error is not None:
            self.abandon()
            return
        try:
            await self._link.ask(self._commit, write=True)
        except BaseException:
            self.abandon()
            raise

    async def load(self, near: Mapping[str, Near]) -> dict[str, Nearby]:
        """See ``SwitchboardBatch``."""
        return await self._inside().load(near)

    async def save(self, changes: Mapping[str, Changes]) -> None:
        """See ``SwitchboardBatch``."""
        await self._inside().save(changes)

    async def clicks(self, near: Mapping[str, NearClicks]) -> dict[str, dict[str, KnownClick]]:
        """See ``SwitchboardBatch``."""
        return await self._inside().clicks(near)

    async def save_clicks(self, clicks: Mapping[str, Sequence[KnownClick]]) -> None:
        """See ``SwitchboardBatch``."""
        await self._inside().save_clicks(clicks)

    async def move(self, position: int, *, hasten: Collection[StreamId], now_ms: int) -> None:
        """See ``SwitchboardBatch``."""
        await self._inside().move(position, hasten=hasten, now_ms=now_ms)

    def abandon(self) -> None:
        """Roll back."""
        if self._over or self._batch is None:
            self._over = True
            return
        self._over, self._board.session = True, None
        try:
            drive(self._taken.__aexit__(StoreUnavailable, StoreUnavailable("rolled back"), None))
        except StoreUnavailable:
            return

    def _begin(self) -> bool:
        if self._over:
            return False  # nobody waits for it any more
        self._batch = drive(self._taken.__aenter__())
        if self._batch is None:
            drive(self._taken.__aexit__(None, None, None))
            return False
        self._board.session = self
        return True

    def _commit(self) -> None:
        if self._over:
            return  # asked again
        self._over, self._board.session = True, None
        drive(self._taken.__aexit__(None, None, None))

    def _inside(self) -> MemorySwitchboardBatch:
        if self._over or self._batch is None or self._link.cut:
            raise StoreUnavailable("the session is lost")
        return self._batch
