"""Whoever finds a leg in the dispatcher's log finds the call, and the call names its legs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC
from typing import Any

import pytest

from adapters.call_legs import call_of, legs_of
from adapters.call_search import resolve, search
from tests.adapters.http.support import dial_body, parts
from tests.rig import ENTERPRISE, TOKEN, Rig, running

CALL, PHONE_OF_151, LEG, BRIDGE = "1795436000.1", "pbx-1795436001.2", "1795436020.3", "7f8f6d8e-3b3d-4f43-9a5e-111111111111"
START, END = "2026-11-23 15:13:20", "2026-11-23 15:14:10"


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    """A call that 151 answered, and a hangup under another UniqueId that is its leg: the customer's number and CallType 2."""
    async with running(database_url) as rig:
        member = {"BridgeUniqueid": BRIDGE, "Channel": "SIP/151-1", "CallerIDNum": "151"}
        for event, body in (
            ("dial", dial_body(CALL)),
            ("bridge", {"UniqueId": PHONE_OF_151, **member}),
            ("bridge", {"UniqueId": CALL, "BridgeUniqueid": BRIDGE, "Channel": "SIP/0001001-1", "CallerIDNum": "375290000001"}),
        ):
            await hear(rig, event, body)
        await rig.wait(40_000)
        times = {"DateReceived": START, "StartTime": START, "EndTime": END, "CallStatus": "2"}
        await hear(rig, "hangup", dial_body(LEG, CallType=2, Extensions=["152"], Trunk="", **times))
        await hear(rig, "hangup", dial_body(CALL, **times))
        await rig.wait(120_000)
        await rig.service.runner.catch_up()
        yield rig


async def hear(rig: Rig, event: str, body: dict[str, Any]) -> None:
    status, _ = await rig.post("/internal/ms/call-event", {"event": event, "token": TOKEN, "raw": body})
    assert status == 200
    await rig.settle()


async def test_a_leg_leads_to_its_call_and_the_call_names_its_legs(rig: Rig) -> None:
    for name in (PHONE_OF_151, BRIDGE):
        assert await resolve(rig.service.pool, ENTERPRISE, name, UTC) == CALL
    for stranger in ("1795436001.9", "1795400000.2", "nobody", "9" * 300):
        assert await call_of(rig.service.pool, ENTERPRISE, stranger) is None
    assert await call_of(rig.service.pool, "0999", PHONE_OF_151) is None
    for name, call, leg_of, legs in ((PHONE_OF_151, CALL, "", [PHONE_OF_151, LEG]), (LEG, LEG, CALL, [])):
        told = await parts(rig).replay(ENTERPRISE, name, disguised=False, russian=True)
        assert told is not None
        assert (told["call"], told["leg_of"], list(told["legs"])) == (call, leg_of, legs)


async def test_a_leg_that_is_no_evidence_is_told_by_its_own_history_alone(rig: Rig) -> None:
    began_ms, pool = 1_795_436_000_000, rig.service.pool
    assert await legs_of(pool, ENTERPRISE, CALL, began_ms, None) == (LEG,)
    assert await legs_of(pool, ENTERPRISE, CALL, began_ms, began_ms + 50_000) == (LEG,)
    assert await legs_of(pool, ENTERPRISE, CALL, began_ms + 172_800_000, None) == ()
    assert await legs_of(pool, ENTERPRISE, CALL, None, None) == ()


@pytest.mark.parametrize(
    ("name", "calls"), [(CALL, [CALL]), (LEG, [LEG, CALL]), (PHONE_OF_151, [CALL]), (BRIDGE, [CALL]), ("1795436001.9", [])]
)
async def test_a_search_by_name_finds_the_call_and_what_it_is_a_leg_of(rig: Rig, name: str, calls: list[str]) -> None:
    found = await search(rig.service.pool, {"call": name, "enterprise": ENTERPRISE, "outcome": "", "limit": "50"}, UTC)
    assert sorted(each["call"] for each in found.calls) == sorted(calls)


async def test_a_name_is_looked_for_in_every_enterprise(rig: Rig) -> None:
    pool = rig.service.pool
    moysklad = await pool.fetchval("SELECT moysklad_call FROM calls WHERE call = $1", CALL)
    found_by: dict[str, list[str]] = {
        CALL: [CALL],
        LEG: [CALL, LEG],
        moysklad: [CALL],
        PHONE_OF_151: [CALL],
        BRIDGE: [CALL],
        "1795436001.9": [],
        "9" * 300: [],
    }
    for name, calls in found_by.items():
        found = await search(pool, {"call": name, "enterprise": ""}, UTC)
        assert sorted(each["call"] for each in found.calls) == calls
