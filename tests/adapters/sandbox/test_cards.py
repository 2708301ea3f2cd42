"""Card events: what appears on whose screen, and what is remembered of it (CONTRACT-MOYSKLAD 1.5)."""

from __future__ import annotations

import pytest

from adapters.sandbox import AccountSeed, EmployeeSeed
from tests.adapters.sandbox.support import Json, Rig, flat, running

NUMBER = "+79160000099"


def event(kind: str, extension: str | None, sequence: int) -> Json:
    """An event body."""
    body: Json = {"eventType": kind, "sequence": sequence}
    return body if extension is None else {**body, "extension": extension}


async def send(rig: Rig, call: Json, body: Json) -> None:
    """POST an event and expect 204 with an empty body."""
    reply = await rig.phone("POST", f"/call/{call['id']}/event", body)
    assert (reply.status, reply.body) == (204, "")


async def test_a_ring_group_until_one_answers_and_all_is_over(rig: Rig) -> None:
    call = await rig.call(events=[event("SHOW", one, number) for number, one in enumerate(("101", "102", "103"), 1)])
    assert await rig.cards() == {"101": [NUMBER], "102": [NUMBER], "103": [NUMBER]}
    rig.clock.now_ms += 4_000
    await send(rig, call, event("STARTTIME", "102", 4))
    await send(rig, call, event("HIDE", "101", 5))
    await send(rig, call, event("HIDE", "103", 6))
    assert await rig.cards() == {"102": [NUMBER]}
    screens = (await rig.tool("GET", "/cards"))["screens"]
    card = next(one for one in screens if one["extension"] == "102")["cards"][0]
    assert card["timer_started"] is True
    assert card["timer_started_ms"] - card["shown_at_ms"] == 4_000
    assert card["call_id"] == call["id"]
    reply = await rig.phone("PUT", f"/call/{call['id']}", {"events": [event("HIDE_ALL", None, 7)]})
    assert reply.status == 200
    assert await rig.cards() == {}
    row = await rig.row(call["id"])
    assert [one["effect"] for one in row["events"]] == [
        "shown", "shown", "shown", "timer_started", "hidden", "hidden", "hidden",
    ]  # fmt: skip
    assert (row["out_of_order"], row["open_cards"]) == (0, [])
    assert [(one["screen"], one["timer_started_ms"] is not None) for one in row["cards"]] == [
        ("101", False), ("102", True), ("103", False),
    ]  # fmt: skip


async def test_hide_all_hides_this_call_only(rig: Rig) -> None:
    one = await rig.call(number="+79160000001", events=[event("SHOW", "101", 1), event("SHOW", "102", 2)])
    await rig.call(number="+79160000002", events=[event("SHOW", "101", 1)])
    reply = await rig.phone("POST", f"/call/extid/{one['externalId']}/event", event("HIDE_ALL", None, 3))
    assert reply.status == 204
    assert await rig.cards() == {"101": ["+79160000002"]}


async def test_what_changes_nothing_is_recorded_as_such(rig: Rig) -> None:
    call = await rig.call()
    kinds = (("HIDE", "101"), ("STARTTIME", "101"), ("HIDE_ALL", None), ("SHOW", "101"), ("SHOW", "101"))
    for number, (kind, extension) in enumerate(kinds, 1):
        await send(rig, call, event(kind, extension, number))
    row = await rig.row(call["id"])
    assert [one["effect"] for one in row["events"]] == ["nothing"] * 3 + ["shown", "nothing"]
    assert await rig.cards() == {"101": [NUMBER]}


@pytest.mark.parametrize(("drops", "shown"), [(False, {}), (True, {"101": [NUMBER]})])
async def test_a_sequence_that_does_not_rise(rig: Rig, drops: bool, shown: dict[str, list[str]]) -> None:
    await rig.switch(sequence_drops_late=drops)
    call = await rig.call(events=[event("SHOW", "101", 5)])
    await send(rig, call, event("HIDE", "101", 5))
    assert await rig.cards() == shown
    await send(rig, call, event("HIDE", "101", 4))
    row = await rig.row(call["id"])
    assert [one["out_of_order"] for one in row["events"]] == [False, True, True]
    assert row["out_of_order"] == 2
    assert row["events"][1]["effect"] == ("dropped" if drops else "hidden")
    await send(rig, call, event("HIDE", "101", 6))
    assert await rig.cards() == {}


@pytest.mark.parametrize(
    ("sequence", "int32_only", "status"),
    [(2**31, False, 204), (2**31, True, 400), (2**31 - 1, True, 204), (2**63, False, 400), ("1", False, 400), (True, False, 400)],
)  # fmt: skip
async def test_sequence_range(rig: Rig, sequence: int, int32_only: bool, status: int) -> None:
    await rig.switch(sequence_int32_only=int32_only)
    call = await rig.call()
    body = {"eventType": "SHOW", "extension": "101", "sequence": sequence}
    reply = await rig.phone("POST", f"/call/{call['id']}/event", body)
    assert reply.status == status
    if status == 400:
        assert reply.codes == [2017]


async def test_the_employee_decides_whose_screen(rig: Rig) -> None:
    employee = flat(rig.employee_href("102"), "employee")
    await rig.call(events=[{**event("SHOW", "101", 1), "employee": employee}])
    assert await rig.cards() == {"102": [NUMBER]}


@pytest.mark.parametrize("on", [False, True])
async def test_inactive_employee(on: bool) -> None:
    seed = AccountSeed(
        name="two", phone_key="k" * 40, api_token="t" * 40,
        employees=(EmployeeSeed(name="Уволен", extension="200", active=False),),
    )  # fmt: skip
    async with running(accounts=(seed,), inactive_employee_3045=on) as rig:
        rig.key = seed.phone_key
        call = await rig.call()
        reply = await rig.phone("POST", f"/call/{call['id']}/event", event("SHOW", "200", 1))
        assert reply.status == (412 if on else 204)
        if on:
            assert reply.codes == [3045]
            with_call = {
                "externalId": "x", "number": NUMBER, "isIncoming": True,
                "startTime": "2026-07-16 12:00:00", "events": [event("SHOW", "200", 1)],
            }  # fmt: skip
            assert (await rig.phone("POST", "/call", with_call)).codes == [3045]
            assert (await rig.tool("GET", "/calls?account=two"))["total"] == 1


async def test_a_card_at_an_extension_nobody_has_is_on_nobodys_screen(rig: Rig) -> None:
    call = await rig.call(events=[event("SHOW", "777", 1)])
    screens = (await rig.tool("GET", "/cards"))["screens"]
    stray = next(one for one in screens if one["extension"] == "777")
    assert stray["employee"] is None
    await send(rig, call, event("HIDE", "777", 2))
    screens = (await rig.tool("GET", "/cards"))["screens"]
    assert [one["extension"] for one in screens] == ["101", "102", "103", "150", "151", "152"]
