"""Calls that need a person (PRODUCT C10): what they are, and asking MoySklad again once the reason is gone.

An order to ask again is a row, worked off by whichever instance comes first (``adapters/retries.py``): it outlives a crash, and
every instance gives the account a new chance before the first call of it is tried.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from enum import StrEnum
from typing import Any, Final

from adapters.counted import counted
from adapters.postgres.database import load_sql
from core.call import Call, fold, initial
from core.events import decode
from core.plan import parked
from core.ports import EventStore, RecordedEvent, StreamId

MAX_SHOWN: Final = 1_000
"""Calls in one listing: what a program may page through by enterprise; a person reads the reasons, which are counted."""

MAX_REASONS: Final = 100
MAX_ORDERS: Final = 100

PERSON_AFTER_S: Final = 2.0
"""A person's order is begun this long after it was made: by then every instance has seen it (they look once a second) and
forgotten that the account was refused."""

_CALLS, _REASONS = load_sql("parked_calls"), load_sql("parked_reasons")
_ENTERPRISES, _OPEN = load_sql("parked_enterprises"), load_sql("retry_orders_open")
_ORDER: Final = load_sql("retry_order_make")


SOON_MS: Final = 30_000
"""An order that begins so soon after it was given begins "in a moment"."""


class Ordered(StrEnum):
    """What became of the wish to ask again."""

    ORDERED = "ordered"
    WAITING = "ordered already"
    NOT_PARKED = "not parked"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Calls of one enterprise that need a person for one reason. ``since_ms``, ``last_ms``: the first and the last of them."""

    enterprise: str
    reason: str
    remedy: str
    code: int | None
    calls: int
    since_ms: int | None
    last_ms: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ParkedCall:
    """One call that needs a person; telephone numbers are left to the search."""

    enterprise: str
    call: str
    reason: str
    remedy: str
    code: int | None
    since_ms: int | None
    phase: str
    direction: str
    started_ms: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """An order that is not finished. ``call`` empty: all of the enterprise; ``begun``: some of it is done; ``ripe_ms``: not before
    then is it."""

    id: int
    enterprise: str
    call: str
    by: str
    reason: str
    requested_ms: int
    ripe_ms: int
    begun: bool
    retried: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Parked:
    """What needs a person: how many calls, why, and the latest of them; and what was ordered already."""

    total: int
    reasons: tuple[Reason, ...]
    calls: tuple[ParkedCall, ...]
    orders: tuple[Order, ...]


def at_version(stream: StreamId, history: Sequence[RecordedEvent], upto_position: int | None = None) -> Call:
    """A call folded from its stream, as it stood at a place of the log (None: as it stands)."""
    kept = [each for each in history if upto_position is None or each.position <= upto_position]
    return fold(
        initial(stream.enterprise, stream.name.removeprefix("call/")), [decode(each.type, each.schema, each.data) for each in kept]
    )


class ParkedWork:
    """Lists parked calls and takes orders to ask again. Every method may raise a database error."""

    def __init__(self, pool: Any, store: EventStore) -> None:
        self._pool = pool
        self._store = store

    async def listing(self, enterprise: str | None = None, limit: int = 200) -> Parked:
        """What is parked (None: everywhere): every reason with its count, and the latest ``limit`` calls."""
        limit = max(0, min(limit, MAX_SHOWN))
        reasons = await self._pool.fetch(_REASONS, enterprise, MAX_REASONS)
        calls = await self._pool.fetch(_CALLS, enterprise, limit)
        orders = await self._pool.fetch(_OPEN, enterprise, MAX_ORDERS)
        return Parked(
            total=await self.count(enterprise),
            reasons=tuple(Reason(**dict(row)) for row in reasons),
            calls=tuple(ParkedCall(**dict(row)) for row in calls),
            orders=tuple(_order(row) for row in orders),
        )

    async def count(self, enterprise: str | None = None) -> int:
        """How many calls are parked."""
        counted = await self.counts()
        return sum(counted.values()) if enterprise is None else counted.get(enterprise, 0)

    async def counts(self) -> dict[str, int]:
        """Enterprise -> how many of its calls are parked; only those that have any."""
        return {row["enterprise"]: row["calls"] for row in await self._pool.fetch(_ENTERPRISES)}

    async def retry_call(self, enterprise: str, call: str, *, by: str, reason: str = "") -> Ordered:
        """Order that one call be asked for again; it must be parked by now, whatever the index of calls says."""
        stream = StreamId(enterprise=enterprise, name=f"call/{call}")
        if parked(at_version(stream, await self._store.read(stream))) is None:
            return Ordered.NOT_PARKED
        return await self._order(enterprise, call, by, reason)

    async def retry_enterprise(self, enterprise: str, *, by: str, reason: str = "") -> tuple[Ordered, int]:
        """Order the same for everything of an enterprise that is parked; and how many calls that is, as far as is known."""
        count = await self.count(enterprise)
        if not count:
            return Ordered.NOT_PARKED, 0
        return await self._order(enterprise, "", by, reason), count

    async def _order(self, enterprise: str, call: str, by: str, reason: str) -> Ordered:
        row = await self._pool.fetchrow(_ORDER, enterprise, call, by, reason, PERSON_AFTER_S)
        return Ordered.WAITING if row["waited"] else Ordered.ORDERED


def _order(row: Any) -> Order:
    fields = dict(row)
    requested, ripe = (int(fields.pop(name).timestamp() * 1000) for name in ("requested_at", "ripe_at"))
    return Order(requested_ms=requested, ripe_ms=ripe, **fields)


def in_words(found: Parked, zone: tzinfo) -> Iterator[str]:
    """The listing for a person: why and how many, then the calls; times in ``zone``."""
    if not found.total:
        yield "no call needs a person"
        return
    yield f"{counted(found.total, 'call')} {'needs' if found.total == 1 else 'need'} a person:"
    for each in found.reasons:
        code = f" ({each.code})" if each.code is not None else ""
        yield f"  {each.enterprise}: {counted(each.calls, 'call')} since {_moment(each.since_ms, zone)}: {each.reason}{code}"
        if each.remedy:
            yield f"      {each.remedy}"
    yield ""
    for call in found.calls:
        yield f"  {call.enterprise} {call.call}  refused {_moment(call.since_ms, zone)}  {call.phase}: {call.reason}"
    if found.total > len(found.calls):
        yield f"  and {found.total - len(found.calls)} more"
    for order in found.orders:
        what = f"call {order.call}" if order.call else "everything"
        state = f"being asked again, {order.retried} so far" if order.begun else f"asked again {_when(order, zone)}"
        yield f"  {order.enterprise}: {what} is {state} ({order.by}{f': {order.reason}' if order.reason else ''})"


def _when(order: Order, zone: tzinfo) -> str:
    """What the service orders by itself waits for up to ten minutes, so as to flood nobody."""
    soon = order.ripe_ms - order.requested_ms <= SOON_MS
    return "in a moment" if soon else f"at {_moment(order.ripe_ms, zone)}"


def _moment(at_ms: int | None, zone: tzinfo) -> str:
    return "?" if at_ms is None else datetime.fromtimestamp(at_ms / 1000, zone).strftime("%Y-%m-%d %H:%M:%S")
