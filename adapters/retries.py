"""Works through the orders to ask MoySklad again for parked calls: a few calls at a time, so that a crash loses and repeats
nothing.

Orders are rows of ``retry_orders``. A person makes one, or a change of an enterprise's settings (in its own transaction), or an
account that MoySklad accepts again. Every instance runs a worker. The lock on the row decides which one works on it, and the
row says how far it came. A call that was asked for again is not parked any more, so a batch that is repeated after a crash does
nothing twice. A call that is refused anew is parked later than the order was begun, so this order leaves it alone: nothing
loops.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

import structlog

from adapters.attendant import new_event
from adapters.parked import at_version
from adapters.postgres.database import AWAY, load_sql, still_wanted
from core.call import Call
from core.errors import VersionConflict
from core.events import RetryRequested
from core.follow_up_plan import waits_for_tasks
from core.plan import parked
from core.ports import Append, EventStore, StreamId
from core.values import Urgency

log = structlog.get_logger("retries")

POLL_S: Final = 1.0

FORGET_BEFORE_S: Final = 2.0
"""In the last seconds before an order is begun every instance forgets that MoySklad refused the account; each looks at least
once in that time."""

BATCH: Final = 50
BUSY_CALLS: Final = 100
"""While an enterprise has this many calls due, no more of its parked ones are added: 10,000 parked calls come back at the pace
of MoySklad's limits, and the queue that live calls share stays short."""

CALLS_CHECKPOINT: Final = "calls"
"""The read model by which parked calls are found."""

TRIES: Final = 5
"""A call is looked at again this often if its stream changed meanwhile."""

KEPT_DAYS: Final = 30
MOST_NOTICED: Final = 10_000
"""Orders looked at in one poll: one for each enterprise that changed its settings at the same time."""

ACCOUNT_BY: Final = "the service"
ACCOUNT_REASON: Final = "MoySklad accepts the account again"
ACCOUNT_AGAIN_S: Final = 600.0
"""Parked calls of an account that MoySklad accepts and refuses in turn are asked for at most this often: each time costs a
request for each call."""

_NOTICE, _MENDED = load_sql("retry_order_notice"), load_sql("retry_order_mended")
_BEGIN, _TAKE = load_sql("retry_order_begin"), load_sql("retry_order_take")
_CALLS, _WORKED = load_sql("retry_order_calls"), load_sql("retry_order_worked")
_PRUNE: Final = load_sql("retry_order_prune")
_LISTED: Final = load_sql("checkpoint_read")


async def _nothing(enterprise: str) -> None:
    """Where there is no gateway (tools): nothing is remembered against anybody."""


class RetryWorker:
    """Runs in each instance until cancelled. ``forget_refusals``: let the enterprise's account be asked again at once."""

    def __init__(
        self,
        pool: Any,
        store: EventStore,
        *,
        now_ms: Callable[[], int],
        forget_refusals: Callable[[str], Awaitable[None]] = _nothing,
        batch: int = BATCH,
        busy_calls: int = BUSY_CALLS,
        pause: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._pool = pool
        self._store = store
        self._now_ms = now_ms
        self._forget_refusals = forget_refusals
        self._batch = batch
        self._busy_calls = busy_calls
        self._pause = pause
        self._noticed: frozenset[int] = frozenset()
        self._mentioned: set[str] = set()
        self._mended: dict[str, int] = {}
        """Whose accounts work again, and where the log ended then."""

    def mended(self, enterprise: str) -> None:
        """Whoever sees that MoySklad accepts an account again says so here; what is parked is then asked again. Never fails."""
        self._mentioned.add(enterprise)

    async def run(self) -> None:
        """Look for orders until cancelled."""
        while True:
            try:
                while await self.step():
                    pass
            except AWAY as error:
                still_wanted(error)
                log.warning("retries_wait_for_database", reason=type(error).__name__)
            await self._pause(POLL_S)

    async def step(self) -> bool:
        """Notice what is ordered and work one batch off; whether there was one. Raises database errors."""
        await self._write_mended()
        await self._notice()
        await self._pool.execute(_BEGIN, await self._store.head())
        async with self._pool.acquire() as connection, connection.transaction():
            order = await connection.fetchrow(_TAKE, CALLS_CHECKPOINT, self._now_ms(), self._busy_calls)
            if order is None:
                return False
            calls = await self._calls_of(connection, order)
            retried = 0
            for call in calls:
                retried += await self._ask_again(order, call)
            finished = bool(order["call"]) or len(calls) < self._batch
            await connection.execute(_WORKED, order["id"], calls[-1] if calls else order["done_to"], retried, finished)
        if finished:
            log.info("retry_order_done", enterprise=order["enterprise"], order=order["id"], by=order["by"])
            await self._pool.execute(_PRUNE, KEPT_DAYS)
        return True

    async def _write_mended(self) -> None:
        """Order it once the index of calls has come to where the log ended: what was refused just before is not in it yet."""
        if mentioned := frozenset(self._mentioned):
            self._mentioned.clear()
            try:
                self._mended |= dict.fromkeys(mentioned, await self._store.head())
            except BaseException:
                self._mentioned |= mentioned
                raise
        listed = await self._pool.fetchval(_LISTED, CALLS_CHECKPOINT) or 0 if self._mended else 0
        for enterprise in sorted(each for each, end in self._mended.items() if end <= listed):
            await self._pool.execute(_MENDED, enterprise, ACCOUNT_BY, ACCOUNT_REASON, ACCOUNT_AGAIN_S)
            del self._mended[enterprise]

    async def _notice(self) -> None:
        """Give the accounts of new orders another chance in this instance, whichever works the order off."""
        rows = await self._pool.fetch(_NOTICE, FORGET_BEFORE_S, MOST_NOTICED)
        for enterprise in dict.fromkeys(row["enterprise"] for row in rows if row["id"] not in self._noticed):
            await self._forget_refusals(enterprise)
        self._noticed = frozenset(row["id"] for row in rows)

    async def _calls_of(self, connection: Any, order: Any) -> list[str]:
        if order["call"]:
            return [order["call"]]
        return [row["call"] for row in await connection.fetch(_CALLS, order["enterprise"], order["done_to"], self._batch)]

    async def _ask_again(self, order: Any, call: str) -> bool:
        """Lift the call's refusals if it was parked when the order was begun, still is, and nobody has asked again since."""
        stream = StreamId(enterprise=order["enterprise"], name=f"call/{call}")
        for _ in range(TRIES):
            history = await self._store.read(stream)
            state = at_version(stream, history)
            asked = any(each.type == RetryRequested.type and each.position > order["position"] for each in history)
            if asked or not _waits(state) or not _waits(at_version(stream, history, order["position"])):
                return False
            now = self._now_ms()
            event = RetryRequested(at_ms=now, by=order["by"], reason=order["reason"])
            try:
                appended = await self._store.append(
                    Append(stream=stream, events=(new_event(event),), expected_version=state.version, due_ms=now)
                )
            except VersionConflict:
                continue
            if not state.is_live:
                # An append is urgent, for it may concern a card; a call that was parked for hours goes behind those of today.
                await self._store.set_due(stream, appended.version, now, Urgency.BACKLOG)
            return True
        log.warning("retry_left_out", call=call, enterprise=order["enterprise"], tries=TRIES)
        return False


def _waits(call: Call) -> bool:
    """Whether asking again can help: MoySklad refused something for good, or nothing was asked because another call's was."""
    return parked(call) is not None or waits_for_tasks(call)
