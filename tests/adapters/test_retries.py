"""Orders are worked off: by one instance at a time, in bounded batches, once, whatever crashes when; nothing loops."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import asyncpg
import pytest

from adapters import retries
from adapters.parked import Ordered, ParkedWork
from adapters.postgres.database import load_sql
from adapters.postgres.event_store import PostgresEventStore
from adapters.postgres.projections import ProjectionRunner
from adapters.postgres.rebuild import rebuild
from adapters.retries import ACCOUNT_BY, FORGET_BEFORE_S, POLL_S, TRIES, RetryWorker
from core.errors import StoreUnavailable
from core.events import Event, RetryRequested, decode
from core.ports import Append, Appended, StreamId
from core.values import Urgency
from projections.calls import Calls
from tests.adapters.test_parked import history, index, parked_history, record, register
from tests.scenario import events, ms, refused

NOW_MS = ms(100)


def worker(pool: Any, store: Any, **options: Any) -> RetryWorker:
    return RetryWorker(pool, store, now_ms=lambda: NOW_MS, **options)


async def order(pool: Any, enterprise: str = "0367", call: str = "", by: str = "anna", reason: str = "mended") -> None:
    """An order that is ripe at once."""
    await pool.fetchrow(load_sql("retry_order_make"), enterprise, call, by, reason, 0.0)


async def stream(store: PostgresEventStore, call: str, enterprise: str = "0367") -> list[Event]:
    rows = await store.read(StreamId(enterprise=enterprise, name=f"call/{call}"))
    return [decode(each.type, each.schema, each.data) for each in rows]


async def asked_again(store: PostgresEventStore, call: str, enterprise: str = "0367") -> list[RetryRequested]:
    return [event for event in await stream(store, call, enterprise) if isinstance(event, RetryRequested)]


async def open_orders(pool: Any) -> int:
    return int(await pool.fetchval("SELECT count(*) FROM retry_orders WHERE finished_at IS NULL"))


async def done(working: RetryWorker, most: int = 100) -> int:
    """Work everything off; how many batches it took."""
    for count in range(most):
        if not await working.step():
            return count
    raise AssertionError("the orders never end")


async def test_everything_parked_of_an_enterprise_is_asked_again_and_nothing_else(
    pg_pool: Any, pg_store: PostgresEventStore
) -> None:
    for call in ("A", "B"):
        await record(pg_store, call, parked_history(call))
    await record(pg_store, "F", history("F"))
    await record(pg_store, "E", parked_history("E"), enterprise="0999")
    await index(pg_pool, pg_store)
    await order(pg_pool)
    assert await done(worker(pg_pool, pg_store)) == 1
    assert await asked_again(pg_store, "A") == [RetryRequested(at_ms=NOW_MS, by="anna", reason="mended")]
    assert len(await asked_again(pg_store, "B")) == 1
    assert await asked_again(pg_store, "F") == await asked_again(pg_store, "E", "0999") == []
    due = await pg_store.due(NOW_MS, 10)
    assert {(each.stream.name, each.due_ms, each.urgency) for each in due} == {
        ("call/A", NOW_MS, Urgency.BACKLOG),
        ("call/B", NOW_MS, Urgency.BACKLOG),
    }
    row = await pg_pool.fetchrow("SELECT * FROM retry_orders")
    assert (row["retried"], row["done_to"], row["finished_at"] is not None) == (2, "B", True)
    await index(pg_pool, pg_store)
    assert await ParkedWork(pg_pool, pg_store).counts() == {"0999": 1}
    assert await done(worker(pg_pool, pg_store)) == 0


async def test_one_call_is_asked_again_without_the_index(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    for call in ("A", "B"):
        await record(pg_store, call, parked_history(call))
    assert await ParkedWork(pg_pool, pg_store).retry_call("0367", "A", by="anna") is Ordered.ORDERED
    assert await done(worker(pg_pool, pg_store)) == 0, "not before every instance has seen it"
    await pg_pool.execute("UPDATE retry_orders SET ripe_at = clock_timestamp()")
    assert await done(worker(pg_pool, pg_store)) == 1
    assert (len(await asked_again(pg_store, "A")), await asked_again(pg_store, "B")) == (1, [])


async def test_a_call_that_goes_on_is_urgent(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    ringing = (*events("0 A start\n0.5 A dial 101"), refused(register("A"), 1, sent=False))
    await record(pg_store, "A", ringing)
    await order(pg_pool, call="A")
    await done(worker(pg_pool, pg_store))
    assert [each.urgency for each in await pg_store.due(NOW_MS, 10)] == [Urgency.LIVE]


async def test_an_order_waits_for_the_index_to_show_what_was_parked_before_it(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    await record(pg_store, "A", parked_history("A"))
    await order(pg_pool)
    working = worker(pg_pool, pg_store)
    assert await done(working) == 0
    await record(pg_store, "Z", history("Z"))
    await index(pg_pool, pg_store)
    assert await done(working) == 1
    assert len(await asked_again(pg_store, "A")) == 1


async def test_what_is_parked_after_the_order_was_begun_is_not_its_matter(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    for call in ("A", "B", "C"):
        await record(pg_store, call, parked_history(call))
    await record(pg_store, "D", history("D"))
    await index(pg_pool, pg_store)
    await order(pg_pool)
    working = worker(pg_pool, pg_store, batch=1)
    assert await working.step()
    await record(pg_store, "A", [refused(register("A"), 110, sent=False)])  # refused anew
    await record(pg_store, "D", [refused(register("D"), 110, sent=False)])  # refused for the first time
    await index(pg_pool, pg_store)
    await done(working)
    assert [len(await asked_again(pg_store, call)) for call in "ABCD"] == [1, 1, 1, 0]
    assert await open_orders(pg_pool) == 0
    assert await ParkedWork(pg_pool, pg_store).counts() == {"0367": 4}, "the index is behind: B and C"
    await index(pg_pool, pg_store)
    assert await ParkedWork(pg_pool, pg_store).counts() == {"0367": 2}


async def test_a_call_that_somebody_asked_again_meanwhile_is_left_alone(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    for call in ("A", "B"):
        await record(pg_store, call, parked_history(call))
    await index(pg_pool, pg_store)
    await order(pg_pool)
    working = worker(pg_pool, pg_store, batch=1)
    await working.step()
    await record(pg_store, "B", [RetryRequested(at_ms=NOW_MS, by="boris"), refused(register("B"), 101, sent=False)])
    await done(working)
    assert [event.by for event in await asked_again(pg_store, "B")] == ["boris"]


async def test_a_batch_that_is_lost_half_way_is_continued_by_another_instance(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    for call in ("A", "B", "C", "D"):
        await record(pg_store, call, parked_history(call))
    await index(pg_pool, pg_store)
    await order(pg_pool)
    failing = worker(pg_pool, Failing(pg_store, after=2), batch=3)
    with pytest.raises(StoreUnavailable):
        await failing.step()
    assert [len(await asked_again(pg_store, call)) for call in "ABCD"] == [1, 1, 0, 0]
    assert await done(worker(pg_pool, pg_store, batch=3)) == 2
    assert [len(await asked_again(pg_store, call)) for call in "ABCD"] == [1, 1, 1, 1]


class Failing:
    """A store that is lost after so many appends."""

    def __init__(self, store: PostgresEventStore, after: int) -> None:
        self._store = store
        self._after = after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    async def append(self, append: Append) -> Appended:
        if not self._after:
            raise StoreUnavailable("the database is away")
        self._after -= 1
        return await self._store.append(append)


async def test_several_instances_at_once_ask_for_each_call_once(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    calls = [f"c{number:02d}" for number in range(24)]
    for enterprise in ("0367", "0999"):
        for call in calls:
            await record(pg_store, call, parked_history(call), enterprise=enterprise)
    await index(pg_pool, pg_store)
    for enterprise in ("0367", "0999"):
        await order(pg_pool, enterprise)
    instances = [worker(pg_pool, pg_store, batch=5) for _ in range(4)]
    while await open_orders(pg_pool):
        await asyncio.gather(*(each.step() for each in instances))
    for enterprise in ("0367", "0999"):
        assert [len(await asked_again(pg_store, call, enterprise)) for call in calls] == [1] * len(calls)
    assert await pg_pool.fetchval("SELECT sum(retried) FROM retry_orders") == 48


async def test_enterprises_take_turns(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    for enterprise in ("0367", "0999"):
        for call in ("A", "B"):
            await record(pg_store, call, parked_history(call), enterprise=enterprise)
    await index(pg_pool, pg_store)
    await order(pg_pool, "0367")
    await order(pg_pool, "0999")
    working = worker(pg_pool, pg_store, batch=1)
    await working.step()
    await working.step()
    assert (len(await asked_again(pg_store, "A", "0367")), len(await asked_again(pg_store, "A", "0999"))) == (1, 1)


async def test_an_enterprise_that_has_enough_due_gets_no_more_until_that_is_done(
    pg_pool: Any, pg_store: PostgresEventStore
) -> None:
    for call in ("A", "B", "C", "D", "E"):
        await record(pg_store, call, parked_history(call))
    await record(pg_store, "A", parked_history("A"), enterprise="0999")
    await index(pg_pool, pg_store)
    await order(pg_pool)
    await order(pg_pool, "0999")
    working = worker(pg_pool, pg_store, batch=2, busy_calls=2)
    assert await done(working) == 2
    assert [len(await asked_again(pg_store, call)) for call in "ABCDE"] == [1, 1, 0, 0, 0]
    assert len(await asked_again(pg_store, "A", "0999")) == 1, "another enterprise is not held up"
    for due in await pg_store.due(NOW_MS, 10, ["0367"]):
        assert await pg_store.set_due(due.stream, due.version, None)
    assert await done(working) == 1
    assert [len(await asked_again(pg_store, call)) for call in "ABCDE"] == [1, 1, 1, 1, 0]


async def test_a_call_into_which_something_else_comes_is_looked_at_again(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    await record(pg_store, "A", parked_history("A"))
    await order(pg_pool, call="A")
    late = Overtaken(pg_store, times=TRIES - 1)
    await done(worker(pg_pool, late))
    assert len(await asked_again(pg_store, "A")) == 1
    await record(pg_store, "B", parked_history("B"))
    await order(pg_pool, call="B")
    await done(worker(pg_pool, Overtaken(pg_store, times=TRIES)))
    assert await asked_again(pg_store, "B") == []
    assert await open_orders(pg_pool) == 0


class Overtaken(Failing):
    """A store in which something else comes first so many times."""

    def __init__(self, store: PostgresEventStore, times: int) -> None:
        super().__init__(store, 1_000)
        self._times = times

    async def append(self, append: Append) -> Appended:
        if self._times:
            self._times -= 1
            call = append.stream.name.removeprefix("call/")
            await record(self._store, call, events(f"{50 + self._times} {call} hangup rec=https://r/{self._times}"))
        return await super().append(append)


async def test_accounts_get_a_new_chance_once_in_every_instance_before_an_order_is_begun(
    pg_pool: Any, pg_store: PostgresEventStore
) -> None:
    forgotten: list[tuple[str, str]] = []

    def remember(instance: str) -> Callable[[str], Awaitable[None]]:
        async def forget(enterprise: str) -> None:
            forgotten.append((instance, enterprise))

        return forget

    one = worker(pg_pool, pg_store, forget_refusals=remember("one"))
    two = worker(pg_pool, pg_store, forget_refusals=remember("two"))
    make = load_sql("retry_order_make")
    await pg_pool.fetchrow(make, "0367", "", "anna", "", FORGET_BEFORE_S + 60)
    await one.step()
    assert forgotten == []
    await pg_pool.execute("UPDATE retry_orders SET ripe_at = clock_timestamp() + make_interval(secs => $1)", FORGET_BEFORE_S - 1)
    await one.step()
    await one.step()
    assert forgotten == [("one", "0367")]
    assert FORGET_BEFORE_S > POLL_S
    await index(pg_pool, pg_store)
    await pg_pool.execute("UPDATE retry_orders SET ripe_at = clock_timestamp()")
    await one.step()
    assert await open_orders(pg_pool) == 0
    await two.step()
    assert forgotten == [("one", "0367"), ("two", "0367")], "also when another instance was faster"
    await pg_pool.fetchrow(make, "0367", "A", "anna", "", 0.0)
    await pg_pool.fetchrow(make, "0367", "B", "anna", "", 0.0)
    await one.step()
    assert forgotten[2:] == [("one", "0367")]


async def test_an_account_that_works_again_has_what_is_parked_asked_again(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    await record(pg_store, "A", parked_history("A"))
    await index(pg_pool, pg_store)
    working = worker(pg_pool, pg_store)
    working.mended("0367")
    working.mended("0999")
    assert await done(working) == 1
    assert [event.by for event in await asked_again(pg_store, "A")] == [ACCOUNT_BY]
    assert await pg_pool.fetchval("SELECT count(*) FROM retry_orders") == 1, "nothing of the other is parked"
    await record(pg_store, "A", [refused(register("A"), 110, sent=False)])
    await index(pg_pool, pg_store)
    working.mended("0367")
    assert await done(working) == 0, "an account that comes and goes floods nobody"
    assert await open_orders(pg_pool) == 1
    wait_s = await pg_pool.fetchval(
        "SELECT extract(epoch FROM ripe_at - clock_timestamp()) FROM retry_orders WHERE position IS NULL"
    )
    assert retries.ACCOUNT_AGAIN_S - 60 < wait_s <= retries.ACCOUNT_AGAIN_S


async def test_what_was_refused_just_before_the_account_worked_again_is_asked_again_too(
    pg_pool: Any, pg_store: PostgresEventStore
) -> None:
    """Of two requests under way one is refused, and the other's answer shows that the account is well. The index comes later."""
    await record(pg_store, "A", parked_history("A"))
    working = worker(pg_pool, pg_store)
    working.mended("0367")
    assert await done(working) == 0
    await index(pg_pool, pg_store)
    assert await done(working) == 1
    assert [event.by for event in await asked_again(pg_store, "A")] == [ACCOUNT_BY]


async def test_a_person_does_not_wait_for_what_the_service_put_off(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    """An account that came and went has its next order in ten minutes; then somebody mends the key in the settings."""
    await record(pg_store, "A", parked_history("A"))
    await index(pg_pool, pg_store)
    working = worker(pg_pool, pg_store)
    working.mended("0367")
    await done(working)
    await record(pg_store, "A", [refused(register("A"), 110, sent=False)])
    await index(pg_pool, pg_store)
    working.mended("0367")
    assert await done(working) == 0
    row = await pg_pool.fetchrow(load_sql("retry_order_make"), "0367", "", "anna", "the key is right now", 0.0)
    assert row["waited"]
    assert await done(working) == 1
    assert [event.by for event in await asked_again(pg_store, "A")] == [ACCOUNT_BY, "anna"]


async def test_an_account_that_works_again_while_the_database_is_away_is_not_forgotten(
    pg_pool: Any, pg_store: PostgresEventStore
) -> None:
    await record(pg_store, "A", parked_history("A"))
    await index(pg_pool, pg_store)
    pool = Away(pg_pool)
    working = worker(pool, pg_store)
    working.mended("0367")
    with pytest.raises(asyncpg.CannotConnectNowError):
        await working.step()
    pool.away = False
    await done(working)
    assert len(await asked_again(pg_store, "A")) == 1


class Away:
    """A pool whose server is not there."""

    def __init__(self, pool: Any) -> None:
        self._pool = pool
        self.away = True

    def __getattr__(self, name: str) -> Any:
        if self.away:
            raise asyncpg.CannotConnectNowError("starting up")
        return getattr(self._pool, name)


async def test_it_runs_until_it_is_cancelled_and_survives_a_lost_database(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    await record(pg_store, "A", parked_history("A"))
    await order(pg_pool, call="A")
    rounds: asyncio.Queue[float] = asyncio.Queue()
    go_on = asyncio.Semaphore(0)

    async def pause(seconds: float) -> None:
        rounds.put_nowait(seconds)
        await go_on.acquire()

    pool = Away(pg_pool)
    running = asyncio.create_task(worker(pool, pg_store, pause=pause).run())
    assert await rounds.get() == POLL_S
    pool.away = False
    go_on.release()
    assert await rounds.get() == POLL_S
    assert len(await asked_again(pg_store, "A")) == 1
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


async def test_old_orders_are_forgotten(pg_pool: Any, pg_store: PostgresEventStore) -> None:
    await index(pg_pool, pg_store)
    await order(pg_pool, "old")
    await order(pg_pool, "kept")
    await done(worker(pg_pool, pg_store))
    await pg_pool.execute("UPDATE retry_orders SET finished_at = finished_at - interval '31 days' WHERE enterprise = 'old'")
    await order(pg_pool, "new")
    await done(worker(pg_pool, pg_store))
    assert [row["enterprise"] for row in await pg_pool.fetch("SELECT enterprise FROM retry_orders ORDER BY id")] == ["kept", "new"]


async def test_the_index_of_parked_and_retried_calls_rebuilt_equals_live(
    pg_pool: Any, pg_store: PostgresEventStore, database_url: str
) -> None:
    runner = ProjectionRunner(pg_pool, pg_store, (Calls(),), batch=2)
    for call in ("A", "B"):
        await record(pg_store, call, parked_history(call))
    await record(pg_store, "C", history("C"))
    await runner.catch_up()
    await order(pg_pool)
    await done(worker(pg_pool, pg_store))
    await runner.catch_up()
    await record(pg_store, "B", [refused(register("B"), 110, error="still no", code=3000, sent=False)])
    await runner.catch_up()
    live = [tuple(row) for row in await pg_pool.fetch("SELECT * FROM calls ORDER BY call")]
    parked = await pg_pool.fetch("SELECT call, parked, remedy, parked_ms, parked_code FROM calls WHERE parked <> ''")
    assert [tuple(row) for row in parked] == [("B", "still no", "", ms(110), 3000)]
    await rebuild(database_url, (Calls(),))
    assert [tuple(row) for row in await pg_pool.fetch("SELECT * FROM calls ORDER BY call")] == live
