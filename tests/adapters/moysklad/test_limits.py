"""The turnstile never lets more through than MoySklad allows, whichever way MoySklad counts (CONTRACT-MOYSKLAD 1.2, 2.2)."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.moysklad.errors import Api, Trouble
from adapters.moysklad.limits import PHONE_LIMIT, WEIGHT_RISES_MS, AccountLimits, Limit, LimitsRegistry, json_limit
from core.effects import Deferred
from tests.adapters.moysklad.support import FakeTime

SMALL = Limit(requests=6, period_ms=1_000, parallel=2)


def turnstile(limit: Limit, time: FakeTime) -> AccountLimits:
    return AccountLimits(lambda: limit, clock=time, sleep=time.sleep)


def most_within(moments_ms: list[int], period_ms: int) -> int:
    return max(sum(1 for other in moments_ms if moment - period_ms < other <= moment) for moment in moments_ms)


async def test_thirty_at_once_pass_in_order_and_within_the_limit() -> None:
    time = FakeTime()
    limits = turnstile(Limit(requests=15, period_ms=3_000, parallel=5), time)
    order: list[int] = []
    starts: list[int] = []
    inside = most_inside = 0

    async def one(number: int) -> None:
        nonlocal inside, most_inside
        async with limits.slot(wait_ms=60_000):
            order.append(number)
            starts.append(time())
            inside += 1
            most_inside = max(most_inside, inside)
            await asyncio.sleep(0)
            inside -= 1

    await asyncio.gather(*(one(number) for number in range(30)))
    assert order == list(range(30))
    assert most_inside == 5
    assert most_within(starts, 3_000) <= 15
    assert max(starts) - min(starts) < 6_000, "the limit is used, not only kept"


@given(steps=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.floats(0, 1)), min_size=1, max_size=60))
def test_wherever_between_sending_and_answer_it_is_counted_the_limit_holds(steps: list[tuple[int, int, float]]) -> None:
    async def run() -> None:
        time = FakeTime()
        limits = turnstile(SMALL, time)
        counted: list[int] = []
        for gap_ms, takes_ms, when in steps:
            time.now_ms += gap_ms
            async with limits.slot(wait_ms=10_000):
                counted.append(time() + int(takes_ms * when))
                time.now_ms += takes_ms
        assert most_within(counted, SMALL.period_ms) <= SMALL.requests

    asyncio.run(run())


async def test_waiting_is_bounded_in_time() -> None:
    time = FakeTime()
    limits = turnstile(SMALL, time)
    for _ in range(SMALL.requests):
        async with limits.slot(wait_ms=0):
            pass
    with pytest.raises(Deferred) as caught:
        async with limits.slot(wait_ms=999):
            raise AssertionError("let in")
    assert (caught.value.error, caught.value.ambiguous, caught.value.retry_after_ms) == (Trouble.BUSY, False, 1_000)
    assert time.slept_ms == []
    async with limits.slot(wait_ms=1_000):
        assert time.slept_ms == [1_000]


async def test_a_full_house_is_bounded_too_and_gives_its_places_back() -> None:
    limits = turnstile(SMALL, FakeTime())
    async with limits.slot(wait_ms=0), limits.slot(wait_ms=0):
        with pytest.raises(Deferred):
            async with limits.slot(wait_ms=0):
                raise AssertionError("let in")
    async with limits.slot(wait_ms=0), limits.slot(wait_ms=0):
        pass


async def test_the_queue_is_bounded_in_length() -> None:
    limits = turnstile(Limit(requests=6, period_ms=1_000, parallel=1, waiting=2), FakeTime())

    async def wait() -> None:
        async with limits.slot(wait_ms=60_000):
            pass

    async with limits.slot(wait_ms=0):
        queue = [asyncio.create_task(wait()) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(Deferred):
            async with limits.slot(wait_ms=60_000):
                raise AssertionError("let in")
    await asyncio.gather(*queue)


async def test_a_cancelled_waiter_leaves_no_trace() -> None:
    time = FakeTime()
    limits = turnstile(Limit(requests=6, period_ms=1_000, parallel=1), time)

    async def wait() -> None:
        async with limits.slot(wait_ms=60_000):
            pass

    async with limits.slot(wait_ms=0):
        waiter = asyncio.create_task(wait())
        await asyncio.sleep(0)
        waiter.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiter
    async with limits.slot(wait_ms=0):
        pass
    time.now_ms += 1_000
    assert limits.idle


async def test_headers_lower_the_limit_and_never_raise_it() -> None:
    time = FakeTime()
    limits = turnstile(Limit(requests=15, period_ms=3_000, parallel=5), time)
    limits.learn({"X-RateLimit-Limit": "45"})
    for _ in range(15):
        async with limits.slot(wait_ms=0):
            pass
    with pytest.raises(Deferred):
        async with limits.slot(wait_ms=0):
            raise AssertionError("let in")
    time.now_ms += 3_000
    limits.learn({"X-RateLimit-Limit": "11"})
    for _ in range(11):
        async with limits.slot(wait_ms=0):
            pass
    with pytest.raises(Deferred):
        async with limits.slot(wait_ms=0):
            raise AssertionError("let in")


async def test_nothing_remaining_holds_everybody_until_the_reset() -> None:
    time = FakeTime()
    limits = turnstile(SMALL, time)
    limits.learn({"X-RateLimit-Remaining": "0", "X-Lognex-Reset": "700"})
    async with limits.slot(wait_ms=1_000):
        assert time.slept_ms == [700]


def test_the_weight_of_a_request_rises_in_december() -> None:
    assert json_limit(WEIGHT_RISES_MS - 1).requests == 15
    assert json_limit(WEIGHT_RISES_MS).requests == 11
    assert (PHONE_LIMIT.requests, PHONE_LIMIT.period_ms, PHONE_LIMIT.parallel) == (100, 5_000, 5)


async def test_accounts_are_apart_and_the_idle_ones_are_forgotten() -> None:
    time = FakeTime()
    registry = LimitsRegistry(max_accounts=3, clock=time, now_ms=time, sleep=time.sleep)
    busy = registry.of(Api.PHONE, "key-0")
    assert registry.of(Api.PHONE, "key-0") is busy
    assert registry.of(Api.JSON, "key-0") is not busy
    async with busy.slot(wait_ms=0):
        for number in range(20):
            registry.of(Api.PHONE, f"key-{number}")
        assert registry.of(Api.PHONE, "key-0") is busy
        assert len(registry) <= 3
