"""The limits: their arithmetic, their headers and both kinds of 429 (CONTRACT-MOYSKLAD 1.2, 2.2)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.sandbox.limits import Bucket, Limits, Window
from tests.adapters.sandbox.support import Rig, running


def test_bucket_lets_a_burst_through_and_then_as_much_as_refills() -> None:
    bucket = Bucket(capacity=45, period_ms=3_000, level=45, at_ms=0)
    assert [bucket.take(0, 3).allowed for _ in range(16)] == [True] * 15 + [False]
    refused = bucket.take(0, 3)
    assert (refused.retry_after_ms, refused.reset_ms, refused.remaining) == (200, 3_000, 0)
    assert not bucket.take(199, 3).allowed
    assert bucket.take(200, 3).allowed
    # a clock that steps back neither refills nor breaks
    assert not bucket.take(0, 3).allowed
    assert bucket.take(100_000, 3).remaining == 42


def test_window_never_holds_more_than_its_capacity() -> None:
    window = Window(capacity=4, period_ms=1_000)
    assert [window.take(at, 2).allowed for at in (0, 600, 700)] == [True, True, False]
    assert window.take(700, 2).retry_after_ms == 300
    assert not window.take(999, 2).allowed
    assert window.take(1_000, 2).allowed
    assert window.take(1_000, 1).retry_after_ms == 600


def test_gates_are_entered_all_or_none_and_forgotten_when_empty() -> None:
    limits = Limits()
    user, account = ("user", "a", 2), ("account", "x", 3)
    assert limits.enter((user, account))
    assert limits.enter((user, account))
    assert not limits.enter((user, account))
    other = ("user", "b", 2)
    assert limits.enter((other, account))
    assert not limits.enter((other, account))
    for gate in (user, user, other):
        limits.leave((gate, account))
    assert limits.enter((user, account))


async def test_phone_100_per_5_seconds(rig: Rig) -> None:
    statuses = [(await rig.phone("GET", "/employee")).status for _ in range(101)]
    assert statuses == [200] * 100 + [429]
    refused = await rig.phone("GET", "/employee")
    assert refused.codes == [1049]
    assert "X-Lognex-Retry-After" not in refused.headers
    rig.clock.now_ms += 50
    assert (await rig.phone("GET", "/employee")).status == 200
    assert (await rig.phone("GET", "/employee")).status == 429


async def test_phone_sliding_window(rig: Rig) -> None:
    await rig.switch(limit_algorithm="sliding")
    for _ in range(100):
        assert (await rig.phone("GET", "/employee")).status == 200
    rig.clock.now_ms += 4_999
    assert (await rig.phone("GET", "/employee")).status == 429
    rig.clock.now_ms += 1
    assert (await rig.phone("GET", "/employee")).status == 200


async def test_phone_429_without_a_body_and_with_headers(rig: Rig) -> None:
    await rig.switch(phone_429_body=False, phone_limit_headers=True)
    for left in range(99, -1, -1):
        reply = await rig.phone("GET", "/employee")
        assert reply.headers["X-RateLimit-Remaining"] == str(left)
    refused = await rig.phone("GET", "/employee")
    assert (refused.status, refused.body) == (429, "")
    assert refused.headers["X-RateLimit-Limit"] == "100"
    assert refused.headers["X-Lognex-Retry-TimeInterval"] == "5000"
    assert refused.headers["X-Lognex-Retry-After"] == "50"


@pytest.mark.parametrize(("weight", "shown", "figure", "possible"), [
    (3, "weighted", "15", 15), (4, "weighted", "11", 11), (3, "raw", "45", 15), (1, "weighted", "45", 45),
])  # fmt: skip
async def test_remap_units(weight: int, shown: str, figure: str, possible: int) -> None:
    async with running(request_weight=weight, rate_limit_header=shown) as rig:
        replies = [await rig.remap("GET", "/entity/organization") for _ in range(possible + 1)]
        assert [one.status for one in replies] == [200] * possible + [429]
        assert replies[0].headers["X-RateLimit-Limit"] == figure
        assert replies[0].headers["X-RateLimit-Remaining"] == str(possible - 1)
        assert replies[0].headers["X-Lognex-Retry-TimeInterval"] == "3000"
        assert "X-Lognex-Retry-After" not in replies[0].headers
        refused = replies[-1]
        assert refused.error == (429, [1049])
        assert refused.headers["X-Lognex-Auth"] == "429002"
        wait_ms = int(refused.headers["X-Lognex-Retry-After"])
        rig.clock.now_ms += wait_ms - 1
        assert (await rig.remap("GET", "/entity/organization")).status == 429
        rig.clock.now_ms += 1
        assert (await rig.remap("GET", "/entity/organization")).status == 200


async def test_limits_can_be_left_out(rig: Rig) -> None:
    await rig.switch(limits_enforced=False)
    for _ in range(20):
        reply = await rig.remap("GET", "/entity/organization")
        assert reply.status == 200
        assert "X-RateLimit-Limit" not in reply.headers


@pytest.mark.parametrize("api", ["phone", "remap"])
async def test_a_sixth_request_at_once(rig: Rig, api: str) -> None:
    """Five requests hang; the sixth is refused, another account is not; a client that gives up frees its place."""
    await rig.tool("POST", "/faults", {"action": "hang", "api": api, "times": 5})
    ask: Any = rig.phone if api == "phone" else rig.remap
    path = "/employee" if api == "phone" else "/entity/employee"
    hanging = [asyncio.create_task(ask("GET", path)) for _ in range(5)]
    async with asyncio.timeout(5):
        while sum(one["fired"] for one in (await rig.tool("GET", "/faults"))["rules"]) < 5:
            continue  # asking is waiting: the five are on their way
    refused = await ask("GET", path)
    assert refused.error == (429, [1073])
    assert "X-Lognex-Retry-After" not in refused.headers
    if api == "remap":
        assert refused.headers["X-Lognex-Auth"] == "429005"
    for one in hanging:
        one.cancel()
    await asyncio.gather(*hanging, return_exceptions=True)
    async with asyncio.timeout(5):
        while (await ask("GET", path)).status != 200:
            rig.clock.now_ms += 1_000
