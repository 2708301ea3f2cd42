"""The turnstiles of all accounts, and the figures of what was asked."""

from __future__ import annotations

import asyncio

import pytest

from adapters.moysklad.breaker import FORGOTTEN_MS, LONGEST_WAIT_MS, OPENS_AT, Outcome
from adapters.moysklad.errors import Api, ApiRefusal
from adapters.moysklad.limits import WEIGHT_RISES_MS
from adapters.moysklad.registry import LimitsRegistry
from adapters.moysklad.traffic import BUCKETS_S, Traffic
from core.effects import Deferred
from core.values import Urgency
from tests.adapters.moysklad.support import NOW_MS, FakeTime, seasoned
from tests.adapters.moysklad.virtual import BACKLOG, finish, in_virtual_time, loop_ms, place_at

SECRET = "phone-key-0123456789abcdef"


async def test_accounts_are_apart_and_the_idle_ones_are_forgotten() -> None:
    time = FakeTime()
    registry = seasoned(max_accounts=3, clock=time, now_ms=time)
    busy = registry.of(Api.PHONE, "key-0")
    assert registry.of(Api.PHONE, "key-0") is busy
    assert registry.of(Api.JSON, "key-0") is not busy
    place = await place_at(busy)
    for number in range(20):
        registry.of(Api.PHONE, f"key-{number}")
    assert registry.of(Api.PHONE, "key-0") is busy
    assert len(registry) <= 3
    finish(place, Outcome.REFUSED)
    time.now_ms += 3_600_000
    registry.of(Api.PHONE, "key-21")
    assert registry.of(Api.PHONE, "key-0") is busy, "that everything is refused is worth remembering"


@pytest.mark.parametrize("outcome", [Outcome.GOOD, Outcome.BUSY, Outcome.AWAY])
async def test_what_an_account_has_asked_is_not_forgotten_before_it_is_old(outcome: Outcome) -> None:
    time = FakeTime()
    registry = LimitsRegistry(max_accounts=1, clock=time, now_ms=time)
    turnstile = registry.of(Api.PHONE, "key")
    finish(await place_at(turnstile), outcome)
    registry.of(Api.PHONE, "other")
    assert registry.of(Api.PHONE, "key") is turnstile


async def test_a_credential_of_any_characters_has_a_turnstile() -> None:
    assert seasoned().of(Api.PHONE, "\ud800ключ") is not None


async def test_the_json_limit_follows_the_calendar() -> None:
    time = FakeTime(now_ms=WEIGHT_RISES_MS - 1)
    registry = seasoned(now_ms=time)
    turnstile = registry.of(Api.JSON, "token")
    assert turnstile.describe(0).limit == 13
    time.now_ms += 1
    assert turnstile.describe(0).limit == 9
    assert registry.of(Api.PHONE, "key").describe(0).limit == 90


async def inside(registry: LimitsRegistry, accounts: int) -> int:
    """How many requests of so many accounts are let in at once."""
    count = 0
    for number in range(accounts):
        turnstile = registry.of(Api.PHONE, f"key-{number}")
        turnstile._breaker.proven = True
        for _ in range(5):
            try:
                await place_at(turnstile)
            except Deferred:
                break
            count += 1
    return count


@pytest.mark.parametrize(("nodes", "expected"), [(0, 100), (1, 100), (3, 33), (7, 14), (1_000, 1)])
def test_the_address_s_places_are_shared_by_the_instances(nodes: int, expected: int) -> None:
    async def run() -> None:
        registry = seasoned(clock=loop_ms)
        registry.set_nodes(nodes)
        assert await inside(registry, 30) == expected

    in_virtual_time(run())


def test_the_snapshot_names_enterprises_and_no_credentials() -> None:
    async def run() -> None:
        registry = seasoned(clock=loop_ms, now_ms=lambda: NOW_MS + loop_ms())
        turnstile = registry.of(Api.PHONE, SECRET)
        finish(await place_at(turnstile, enterprise="0367"), Outcome.REFUSED)
        waiting = asyncio.create_task(place_at(registry.of(Api.JSON, SECRET), BACKLOG, wait_ms=1_000, enterprise="0367"))
        await asyncio.sleep(0)
        phone, json = registry.snapshot()
        assert (phone.api, phone.enterprise, phone.state) == ("phone", "0367", "refused")
        assert (phone.since_ms, phone.until_ms) == (NOW_MS + loop_ms(), NOW_MS + loop_ms() + 10_000)
        assert (json.api, json.state, json.in_flight) == ("json", "closed", 1)
        assert SECRET not in repr(registry.snapshot())
        (await waiting).leave()

    in_virtual_time(run())


def test_of_an_enterprise_s_credentials_the_one_asked_last_is_troubled_or_not() -> None:
    async def run() -> None:
        registry = seasoned(clock=loop_ms, now_ms=lambda: NOW_MS + loop_ms())
        finish(await place_at(registry.of(Api.PHONE, "replaced"), enterprise="0367"), Outcome.REFUSED)
        finish(await place_at(registry.of(Api.JSON, "refused"), enterprise="0367"), Outcome.REFUSED)
        finish(await place_at(registry.of(Api.PHONE, "well"), enterprise="0368"), Outcome.GOOD)
        assert [(each.api, each.enterprise) for each in registry.troubled()] == [("phone", "0367"), ("json", "0367")]
        finish(await place_at(registry.of(Api.PHONE, "new"), enterprise="0367"), Outcome.GOOD)
        (left,) = registry.troubled()
        assert left == registry.snapshot()[1]
        assert (left.api, left.state) == ("json", "refused")

    in_virtual_time(run())


def test_an_account_that_nobody_has_asked_since_its_next_try_was_due_is_no_trouble() -> None:
    """It was away then. Whether it still is, the next request finds out, which nobody keeps from it."""

    async def run() -> None:
        registry = seasoned(clock=loop_ms, now_ms=lambda: NOW_MS + loop_ms())
        for _ in range(OPENS_AT):
            finish(await place_at(registry.of(Api.JSON, "quiet"), enterprise="0367", wait_ms=60_000), Outcome.AWAY)
        (away,) = registry.troubled()
        assert away.state == "open"
        await asyncio.sleep(LONGEST_WAIT_MS[Urgency.BACKLOG] / 1_000 + FORGOTTEN_MS / 1_000)
        assert registry.troubled() == ()
        assert [each.state for each in registry.snapshot()] == ["closed"]

    in_virtual_time(run())


def test_forgetting_concerns_one_credential_at_one_api() -> None:
    async def run() -> None:
        registry = seasoned(clock=loop_ms)
        for api in Api:
            finish(await place_at(registry.of(api, SECRET)), Outcome.REFUSED)
        registry.forget(Api.PHONE, SECRET)
        registry.forget(Api.PHONE, "another")
        assert len(registry) == 2
        assert (await place_at(registry.of(Api.PHONE, SECRET))).probe
        with pytest.raises(ApiRefusal):
            await place_at(registry.of(Api.JSON, SECRET))

    in_virtual_time(run())


def test_what_was_asked_is_counted_for_each_api() -> None:
    async def run() -> None:
        registry = seasoned(clock=loop_ms)
        turnstile = registry.of(Api.PHONE, SECRET)
        place = await place_at(turnstile)
        late = asyncio.create_task(place_at(turnstile, wait_ms=5_000))
        place.start()
        await asyncio.sleep(0.3)
        finish(place, Outcome.BUSY)
        (await late).leave()
        traffic = registry.traffic()[Api.PHONE]
        assert (traffic.requests, traffic.failures, traffic.admitted) == (1, 1, 2)
        assert [traffic.waited_s, traffic.took_s] == pytest.approx([0.3, 0.3])
        assert registry.traffic()[Api.JSON] == Traffic()

    in_virtual_time(run())


def test_the_histogram_is_cumulative_and_ends_with_all() -> None:
    traffic = Traffic()
    for took_ms in (0, 50, 51, 400, 15_000, 15_001):
        traffic.answered(took_ms, failed=False)
    assert traffic.cumulative() == [
        ("0.05", 2), ("0.1", 3), ("0.25", 3), ("0.5", 4), ("1.0", 4), ("2.5", 4), ("5.0", 4), ("15.0", 5), ("+Inf", 6),
    ]  # fmt: skip
    assert len(traffic.took) == len(BUCKETS_S) + 1
