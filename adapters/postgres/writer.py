"""Group commit: whatever callers append while one commit is under way goes into the next one, in a single statement.

One task per process holds a connection of its own, so that appends never queue behind readers of the pool. It never
sees a caller's problem become a neighbour's: conflicts and duplicates are results of their own, and values that the
server refuses are isolated by halving the batch. When the connection is lost it is unknown whether the batch was
committed; event ids are unique, so the batch is simply repeated.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import asyncpg
import structlog

from adapters.latency import Latency
from adapters.postgres.batch import Item, arguments, results
from adapters.postgres.database import DATABASE_ERRORS, explain, is_poison, limit_transaction, load_sql, still_wanted
from core.errors import AppendRefused, StoreUnavailable, VersionConflict
from core.ports import Appended

log = structlog.get_logger("event_store")

MAX_BATCH_ITEMS: Final = 500
MAX_BATCH_BYTES: Final = 4 * 1024 * 1024
MAX_QUEUED_ITEMS: Final = 20_000
MAX_QUEUED_BYTES: Final = 64 * 1024 * 1024
LEAST_ATTEMPT_S: Final = 0.5
TRANSACTION_S: Final = 5
"""Of the batch's one statement, on the server. Nobody waits for an answer longer than that, and an instance that was stopped
with half of it on the wire keeps everybody from appending no longer: others take over within ten seconds."""

_BACKOFF_S: Final = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
_APPEND_BATCH: Final = load_sql("append_batch")

Results = list[Appended | VersionConflict]


@dataclass(slots=True, kw_only=True, eq=False)
class Unit:
    """What one caller wants recorded: its items succeed or are refused together. ``deadline`` on the loop's clock."""

    items: tuple[Item, ...]
    size: int
    deadline: float
    answer: asyncio.Future[Results]
    in_doubt: bool = False
    """An earlier attempt may have been committed without our hearing of it."""

    def settle(self, outcome: Results | Exception) -> None:
        """Tell the caller, unless it left."""
        if self.answer.done():
            return
        if isinstance(outcome, Exception):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class GroupWriter:
    """Commits units in the order they came, many in one commit. ``patience_s`` bounds every caller's wait."""

    def __init__(
        self, connect: Callable[[], Awaitable[Any]], *, patience_s: float, committed: Callable[[Sequence[Item], Results], None]
    ) -> None:
        self._connect = connect
        self._patience_s = patience_s
        self._committed = committed
        self._queue: deque[Unit] = deque()
        self._queued_items = 0
        self._queued_bytes = 0
        self._filled = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: Any = None
        self._statement: Any = None
        self._sent = False
        self._closing = False
        self.latency = Latency()
        """How long callers waited until what they gave was on disk."""

    async def write(self, items: tuple[Item, ...]) -> Results:
        """Record the items durably; their results in order. Raises StoreUnavailable, AppendRefused."""
        return await self.give(items)

    def give(self, items: tuple[Item, ...]) -> asyncio.Future[Results]:
        """The same for who does not wait: what :meth:`write` returns or raises is the future's. Raises StoreUnavailable when
        nothing can be taken now."""
        size = sum(len(data) for item in items for data in item.data)
        if self._closing:
            raise StoreUnavailable("the event store is closed")
        if self._queued_items + len(items) > MAX_QUEUED_ITEMS or self._queued_bytes + size > MAX_QUEUED_BYTES:
            raise StoreUnavailable("too many appends are waiting for the database")
        loop = asyncio.get_running_loop()
        unit = Unit(items=items, size=size, deadline=loop.time() + self._patience_s, answer=loop.create_future())
        self._queue.append(unit)
        self._queued_items += len(items)
        self._queued_bytes += size
        self._filled.set()
        self._ensure_running()
        return unit.answer

    async def close(self) -> None:
        """Commit what was accepted, then stop. Bounded by the patience of those who wait."""
        self._closing = True
        self._filled.set()
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)
        self._drop_connection()

    async def _run(self) -> None:
        while True:
            await self._filled.wait()
            # Those whom the last commit woke come back with their next append before the next batch is cut.
            await asyncio.sleep(0)
            batch = self._cut()
            if batch:
                await self._commit(batch)
            if not self._queue:
                if self._closing:
                    return
                self._filled.clear()

    def _ensure_running(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run(), name="event store writer")
            self._task.add_done_callback(self._stopped)

    def _stopped(self, task: asyncio.Task[None]) -> None:
        """Nobody may wait for a writer that is gone. A bug costs the batch that met it; the rest gets a new writer."""
        self._task = None
        if task.cancelled():
            self._closing = True
            for unit in self._queue:
                unit.settle(StoreUnavailable("the event store's writer was cancelled"))
            self._queue.clear()
        elif (error := task.exception()) is not None:
            log.error("event_store_writer_failed", exc_info=error)
            if self._queue:
                self._ensure_running()

    def _cut(self) -> list[Unit]:
        batch: list[Unit] = []
        items = size = 0
        while self._queue:
            unit = self._queue[0]
            if batch and (items + len(unit.items) > MAX_BATCH_ITEMS or size + unit.size > MAX_BATCH_BYTES):
                break
            self._queue.popleft()
            self._queued_items -= len(unit.items)
            self._queued_bytes -= unit.size
            if unit.answer.done():  # the caller left before its turn came
                continue
            items += len(unit.items)
            size += unit.size
            batch.append(unit)
        return batch

    async def _commit(self, batch: list[Unit]) -> None:
        """Bring every unit of the batch to its result."""
        todo: deque[tuple[list[Unit], bool]] = deque([(batch, False)])
        try:
            while todo:
                units, check_ids = todo.popleft()
                refused = await self._persist(units, check_ids)
                if refused is None:
                    continue
                if isinstance(refused, asyncpg.UniqueViolationError) and not check_ids:
                    todo.appendleft((units, True))
                elif len(units) > 1:
                    half = len(units) // 2
                    todo.extendleft([(units[half:], check_ids), (units[:half], check_ids)])
                else:
                    units[0].settle(AppendRefused(f"the database refuses this append: {explain(refused)}"))
        except BaseException:
            for unit in batch:
                unit.settle(StoreUnavailable("the event store stopped during the append"))
            raise

    async def _persist(self, units: list[Unit], check_ids: bool) -> Exception | None:
        """Repeat one batch until it is committed or its callers' patience ends; what the server blames, if it does."""
        loop = asyncio.get_running_loop()
        attempt = 0
        while units:
            first_deadline = min(unit.deadline for unit in units)
            try:
                row = await self._attempt(units, max(LEAST_ATTEMPT_S, first_deadline - loop.time()), check_ids)
            except DATABASE_ERRORS as error:
                still_wanted(error)
                if is_poison(error):
                    return error
                reason = explain(error)
            else:
                if attempt:
                    log.info("event_store_back", attempts=attempt)
                self._tell(units, row)
                return None
            if attempt == 0:
                log.warning("event_store_away", reason=reason, appends=len(units))
            self._drop_connection()
            if self._sent:
                check_ids = True
                for unit in units:
                    unit.in_doubt = True
            await asyncio.sleep(max(0.0, min(_BACKOFF_S[min(attempt, len(_BACKOFF_S) - 1)], first_deadline - loop.time())))
            attempt += 1
            for unit in units:
                if unit.deadline <= loop.time():
                    unit.settle(StoreUnavailable(f"the database is away: {reason}"))
            units = [unit for unit in units if not unit.answer.done()]
        return None

    async def _attempt(self, units: Sequence[Unit], timeout_s: float, check_ids: bool) -> Any:
        self._sent = False
        async with asyncio.timeout(timeout_s):
            if self._connection is None or self._connection.is_closed():
                await self._open()
            items = list(chain.from_iterable(unit.items for unit in units))
            self._sent = True
            return await self._statement.fetchrow(*arguments(items, check_ids=check_ids))

    async def _open(self) -> None:
        self._connection = connection = await self._connect()
        # Even the implicit transaction of a client that was stopped half-way ends, and with it its lock on the log.
        await limit_transaction(connection, TRANSACTION_S, "SESSION")
        self._statement = await connection.prepare(_APPEND_BATCH)

    def _tell(self, units: Sequence[Unit], row: Any) -> None:
        items = list(chain.from_iterable(unit.items for unit in units))
        own = list(chain.from_iterable([unit.in_doubt] * len(unit.items) for unit in units))
        answers = results(items, row, own=own)
        place, now_s = 0, asyncio.get_running_loop().time()
        for unit in units:
            self.latency.observe(now_s - (unit.deadline - self._patience_s))
            unit.settle(answers[place : place + len(unit.items)])
            place += len(unit.items)
        self._committed(items, answers)

    def _drop_connection(self) -> None:
        connection, self._connection, self._statement = self._connection, None, None
        if connection is not None:
            connection.terminate()
