"""What needs a person, and the wish to ask again: listed by reason, ordered once, refused in words where nothing is parked."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters.attendant import new_event
from adapters.parked import MAX_SHOWN, Ordered, ParkedWork, in_words
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.projections import ProjectionRunner
from core.effects import RegisterCall
from core.events import CallSettled, Event
from core.ports import Append, StreamId
from projections.calls import Calls
from tests.scenario import NUMBER, events, ms, refused, retry

MISSED = "0 A start\n0.5 A dial 101\n9 A hangup\n"


def history(call: str, *more: Event) -> tuple[Event, ...]:
    """A missed call that is over, then ``more``."""
    return (*events(MISSED.replace(" A ", f" {call} ")), CallSettled(at_ms=ms(15), reason=""), *more)


def register(call: str) -> RegisterCall:
    return RegisterCall(external_id=f"0367-{call}", number=NUMBER, incoming=True, start_ms=ms(0), end_ms=ms(9))


def parked_history(call: str, at: float = 20, error: str = "key revoked", code: int | None = 1056) -> tuple[Event, ...]:
    """A call that MoySklad refused for good ``at`` seconds."""
    return history(call, refused(register(call), at, error=error, remedy="enter it again", code=code, sent=False))


async def record(store: PostgresEventStore, call: str, told: Sequence[Event], enterprise: str = "0367") -> None:
    """Put a call's history into the store."""
    await store.append(
        Append(stream=StreamId(enterprise=enterprise, name=f"call/{call}"), events=tuple(new_event(event) for event in told))
    )


async def index(pool: Any, store: PostgresEventStore) -> None:
    """Let the index of calls catch up."""
    await ProjectionRunner(pool, store, (Calls(),)).catch_up()


@pytest.fixture
def work(pg_pool: Any, pg_store: PostgresEventStore) -> ParkedWork:
    return ParkedWork(pg_pool, pg_store)


async def test_parked_calls_are_listed_by_reason_the_latest_first(
    work: ParkedWork, pg_pool: Any, pg_store: PostgresEventStore
) -> None:
    for call, at in (("A", 20.0), ("B", 40.0), ("C", 30.0)):
        await record(pg_store, call, parked_history(call, at))
    await record(pg_store, "D", parked_history("D", 25, error="no name", code=3000))
    await record(pg_store, "E", parked_history("E"), enterprise="0999")
    await record(pg_store, "F", history("F"))
    await index(pg_pool, pg_store)
    everything = await work.listing()
    assert everything.total == 5
    assert [(each.enterprise, each.reason, each.remedy, each.code, each.calls) for each in everything.reasons] == [
        ("0367", "key revoked", "enter it again", 1056, 3),
        ("0367", "no name", "enter it again", 3000, 1),
        ("0999", "key revoked", "enter it again", 1056, 1),
    ]
    assert (everything.reasons[0].since_ms, everything.reasons[0].last_ms) == (ms(20), ms(40))
    assert [each.call for each in everything.calls] == ["B", "C", "D", "A", "E"]
    assert (everything.calls[0].since_ms, everything.calls[0].started_ms, everything.calls[0].phase) == (ms(40), ms(0), "settled")
    assert NUMBER.removeprefix("+") not in str(everything)
    theirs = await work.listing("0999", limit=1)
    assert (theirs.total, [each.call for each in theirs.calls], len(theirs.reasons)) == (1, ["E"], 1)
    few = await work.listing(limit=2)
    assert (few.total, [each.call for each in few.calls], len(few.reasons)) == (5, ["B", "C"], 3)
    assert len((await work.listing(limit=MAX_SHOWN * 2)).calls) == 5
    assert await work.counts() == {"0367": 4, "0999": 1}
    assert (await work.count(), await work.count("0999"), await work.count("0000")) == (5, 1, 0)


async def test_nothing_is_parked(work: ParkedWork) -> None:
    found = await work.listing()
    assert (found.total, found.reasons, found.calls, found.orders) == (0, (), (), ())
    assert await work.retry_enterprise("0367", by="anna") == (Ordered.NOT_PARKED, 0)
    assert await work.retry_call("0367", "A", by="anna") is Ordered.NOT_PARKED


async def test_an_order_for_one_call_is_made_once_and_only_if_it_is_parked(
    work: ParkedWork, pg_pool: Any, pg_store: PostgresEventStore
) -> None:
    await record(pg_store, "A", parked_history("A"))
    await record(pg_store, "B", history("B"))
    await record(pg_store, "C", (*parked_history("C"), retry(30)))
    assert await work.retry_call("0367", "A", by="anna", reason="the key is mended") is Ordered.ORDERED
    assert await work.retry_call("0367", "A", by="boris") is Ordered.WAITING
    assert await work.retry_call("0367", "B", by="anna") is Ordered.NOT_PARKED
    assert await work.retry_call("0367", "C", by="anna") is Ordered.NOT_PARKED
    (order,) = (await work.listing()).orders
    assert (order.enterprise, order.call, order.by, order.begun, order.retried) == ("0367", "A", "boris", False, 0)
    assert abs(order.requested_ms - await pg_pool.fetchval("SELECT extract(epoch FROM now())::float8") * 1000) < 60_000


async def test_an_order_for_an_enterprise_says_how_many_calls_it_is_about(
    work: ParkedWork, pg_pool: Any, pg_store: PostgresEventStore
) -> None:
    for call in "AB":
        await record(pg_store, call, parked_history(call))
    await index(pg_pool, pg_store)
    assert await work.retry_enterprise("0367", by="anna") == (Ordered.ORDERED, 2)
    assert await work.retry_enterprise("0367", by="anna") == (Ordered.WAITING, 2)
    assert await work.retry_call("0367", "A", by="anna") is Ordered.ORDERED
    assert [(each.enterprise, each.call) for each in (await work.listing("0367")).orders] == [("0367", ""), ("0367", "A")]
    assert (await work.listing("0999")).orders == ()


async def test_an_order_that_the_service_put_off_says_until_when(
    work: ParkedWork, pg_pool: Any, pg_store: PostgresEventStore
) -> None:
    await record(pg_store, "A", parked_history("A"))
    await index(pg_pool, pg_store)
    await work.retry_enterprise("0367", by="the service")
    await pg_pool.execute("UPDATE retry_orders SET ripe_at = requested_at + interval '8 minutes'")
    (order,) = (await work.listing()).orders
    until = datetime.fromtimestamp(order.ripe_ms / 1000, UTC)
    assert f"  0367: everything is asked again at {until:%Y-%m-%d %H:%M:%S} (the service)" in in_words(await work.listing(), UTC)


async def test_the_listing_in_words(work: ParkedWork, pg_pool: Any, pg_store: PostgresEventStore) -> None:
    assert list(in_words(await work.listing(), UTC)) == ["no call needs a person"]
    await record(pg_store, "A", parked_history("A"))
    await record(pg_store, "B", parked_history("B", 30, error="no name", code=None))
    await record(pg_store, "C", parked_history("C", 40))
    await index(pg_pool, pg_store)
    await work.retry_call("0367", "A", by="anna", reason="the key is mended")
    await work.retry_enterprise("0367", by="boris")
    await pg_pool.execute("UPDATE retry_orders SET position = 1, retried = 7 WHERE call = ''")
    assert list(in_words(await work.listing(limit=2), UTC)) == [
        "3 calls need a person:",
        "  0367: 2 calls since 2026-11-23 12:30:20: key revoked (1056)",
        "      enter it again",
        "  0367: 1 call since 2026-11-23 12:30:30: no name",
        "      enter it again",
        "",
        "  0367 C  refused 2026-11-23 12:30:40  settled: key revoked",
        "  0367 B  refused 2026-11-23 12:30:30  settled: no name",
        "  and 1 more",
        "  0367: call A is asked again in a moment (anna: the key is mended)",
        "  0367: everything is being asked again, 7 so far (boris)",
    ]
