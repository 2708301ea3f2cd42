"""Trouble on order: each action once, the counting of nth and times, and outages."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest

from adapters.sandbox.faults import BadRule, FaultRule, Faults
from tests.adapters.sandbox.support import Json, Rig

CALL: Json = {
    "externalId": "one",
    "number": "+79160000099",
    "isIncoming": True,
    "startTime": "2026-07-16 12:00:00.000",
}


def picks(rule: FaultRule, count: int) -> list[bool]:
    """Which of ``count`` equal requests a rule hits."""
    faults = Faults()
    faults.add([rule])
    return [faults.pick("phone", "POST", "/call", "a") is not None for _ in range(count)]


def test_counting() -> None:
    assert picks(FaultRule(action="status"), 3) == [True, True, True]
    assert picks(FaultRule(action="status", nth=2), 3) == [False, True, False]
    assert picks(FaultRule(action="status", times=2), 3) == [True, True, False]


@pytest.mark.parametrize(
    ("rule", "hit"),
    [
        (FaultRule(action="status", api="phone", method="post", path_regex="^/call$"), True),
        (FaultRule(action="status", api="remap"), False),
        (FaultRule(action="status", method="PUT"), False),
        (FaultRule(action="status", path_regex="event"), False),
        (FaultRule(action="status", account="b"), False),
    ],
)
def test_matching(rule: FaultRule, hit: bool) -> None:
    assert picks(rule, 1) == [hit]


@pytest.mark.parametrize("change", [{"nth": 0}, {"times": 0}, {"status": 99}, {"delay_ms": -1}, {"path_regex": "("}])
def test_rules_that_cannot_be(change: Any) -> None:
    with pytest.raises(BadRule, match=next(iter(change))):
        Faults().add([FaultRule(action="status", **change)])


async def calls(rig: Rig) -> int:
    """How many calls there are."""
    total: int = (await rig.tool("GET", "/calls"))["total"]
    return total


async def test_status_before_and_after(rig: Rig) -> None:
    await rig.tool("POST", "/faults", {"action": "status", "status": 503, "code": 1074, "times": 1})
    assert (await rig.phone("POST", "/call", CALL)).error == (503, [1074])
    assert await calls(rig) == 0
    await rig.tool("POST", "/faults", {"action": "status_after", "status": 504, "code": 0, "times": 1})
    reply = await rig.phone("POST", "/call", CALL)
    assert (reply.status, reply.body) == (504, "")
    assert await calls(rig) == 1
    limited = {"action": "status", "status": 429, "code": 1049, "retry_after_ms": 700, "times": 1}
    await rig.tool("POST", "/faults", limited)
    assert (await rig.remap("GET", "/entity/task")).headers["X-Lognex-Retry-After"] == "700"
    assert (await rig.phone("POST", "/call", CALL)).error == (412, [3006])


@pytest.mark.parametrize(("action", "registered"), [("drop_before", 0), ("drop_after", 1)])
async def test_dropped_connections(rig: Rig, action: str, registered: int) -> None:
    await rig.tool("POST", "/faults", {"action": action, "api": "phone", "times": 1})
    with pytest.raises(aiohttp.ClientError):
        await rig.phone("POST", "/call", CALL)
    assert await calls(rig) == registered
    log = (await rig.tool("GET", "/requests"))["requests"]
    assert [(one["status"], one["fault"]) for one in log] == [(0, action)]


async def test_html_and_delay(rig: Rig) -> None:
    rules = [{"action": "html_502", "nth": 1}, {"action": "delay_ms", "delay_ms": 30, "nth": 2}]
    await rig.tool("POST", "/faults", {"rules": rules})
    html = await rig.phone("POST", "/call", CALL)
    assert html.status == 502
    assert html.headers["Content-Type"].startswith("text/html")
    started = asyncio.get_running_loop().time()
    assert (await rig.phone("POST", "/call", CALL)).status == 200
    assert asyncio.get_running_loop().time() - started >= 0.03
    listed = (await rig.tool("GET", "/faults"))["rules"]
    assert [(one["seen"], one["fired"]) for one in listed] == [(2, 1), (2, 1)]
    assert (await rig.tool("DELETE", "/faults"))["rules"] == []


async def test_hang_until_the_client_gives_up(rig: Rig) -> None:
    await rig.tool("POST", "/faults", {"action": "hang", "times": 1})
    with pytest.raises(TimeoutError):
        await rig.phone("POST", "/call", CALL, timeout=aiohttp.ClientTimeout(total=0.1))
    assert await calls(rig) == 0
    assert (await rig.phone("POST", "/call", CALL)).status == 200


async def test_latency_per_api(rig: Rig) -> None:
    await rig.switch(phone_latency_ms=40)
    loop = asyncio.get_running_loop()
    started = loop.time()
    await rig.phone("GET", "/employee")
    assert loop.time() - started >= 0.04


async def test_outage_of_one_api_or_both(rig: Rig) -> None:
    await rig.tool("POST", "/outage", {"api": "phone", "mode": "status_503"})
    assert (await rig.phone("GET", "/employee")).error == (503, [1074])
    assert (await rig.remap("GET", "/entity/task")).status == 200
    await rig.tool("POST", "/outage", {"mode": "drop"})
    for ask, path in ((rig.phone, "/employee"), (rig.remap, "/entity/task")):
        with pytest.raises(aiohttp.ClientError):
            await ask("GET", path)
    await rig.tool("POST", "/outage", {"mode": "html_502"})
    assert (await rig.remap("GET", "/entity/task")).status == 502
    await rig.tool("POST", "/outage", {"mode": "off"})
    assert (await rig.phone("GET", "/employee")).status == 200


@pytest.mark.parametrize(
    ("path", "body", "field"),
    [
        ("/faults", {"action": "explode"}, ""),
        ("/faults", {"action": "status", "nth": 0}, "nth"),
        ("/faults", {"action": "status", "typo": 1}, ""),
        ("/outage", {"mode": "drop", "api": "both"}, "api"),
        ("/outage", [], ""),
    ],
)
async def test_bad_orders(rig: Rig, path: str, body: Any, field: str) -> None:
    reply = await rig.ask("POST", f"/sandbox{path}", json=body)
    assert reply.status == 400
    assert set(reply.body) == {"error", "field", "hint"}
    assert reply.body["field"] == field
