"""A call and a question about its number share what is known (docs/decisions/0016)."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

import pytest

from adapters.directory.desk import Where
from core.contacts import Source
from core.effects import CreateOrder, FindContact, Refused
from tests.adapters.directory.support import KNOWN, KNOWN_NAME, STRANGER, asked, client, desk_of, moysklad, searches, trouble
from tests.adapters.http.support import dial, dial_body
from tests.rig import ENTERPRISE, Rig


def from_stranger(unique_id: str = "1757840723.6") -> dict[str, object]:
    number = STRANGER.removeprefix("+")
    return dial(unique_id, phone=STRANGER, raw=dial_body(unique_id, Phone=number))


async def linked(rig: Rig) -> list[str | None]:
    """Who the calls in MoySklad are linked to, by name."""
    return [each["counterparty"] and each["counterparty"]["name"] for each in await rig.rows()]


async def test_the_call_that_follows_the_telephone_s_question_needs_no_search(rig: Rig) -> None:
    await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.settle()
    assert await searches(rig) == 1
    assert await linked(rig) == [KNOWN_NAME]


async def test_the_question_that_follows_the_call_needs_no_search(rig: Rig) -> None:
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.settle()
    found = await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    assert found.where is Where.MEMORY
    assert await searches(rig) == 1


async def test_what_was_remembered_is_in_the_call_s_history(rig: Rig) -> None:
    await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    rig.clock.now_ms += 5_000
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.settle()
    events = await rig.service.store.read_log(0, 100)
    (found,) = [each.data for each in events if each.type == "effect_done" and each.data["effect"]["type"] == "find_contact"]
    assert (found["result"]["name"], found["exchanges"]) == (KNOWN_NAME, [])
    assert found["result"]["asked_ms"] == rig.clock.now_ms - 5_000


async def test_that_nobody_has_a_number_is_never_taken_from_memory_by_a_call(rig: Rig) -> None:
    """Somebody may have entered the client since: creating another one would double it."""
    desk = desk_of(rig)
    assert (await desk.who("customer-name", ENTERPRISE, STRANGER)).known is not None
    await client(rig, "ООО Только что", STRANGER)
    await rig.post("/internal/ms/incoming-call", from_stranger())
    await rig.settle()
    assert await linked(rig) == ["ООО Только что"]
    assert (await asked(rig)).count("POST /entity/counterparty") == 1, "the one that a person made"


async def test_a_client_made_of_the_number_is_no_name_and_is_linked_at_once(rig: Rig) -> None:
    desk = desk_of(rig)
    await rig.post("/internal/ms/incoming-call", from_stranger())
    await rig.settle()
    found = await desk.who("customer-name", ENTERPRISE, STRANGER)
    assert found.known is not None
    assert found.known.contact is not None
    assert (found.known.contact.display, found.known.contact.name, found.where) == ("", STRANGER, Where.MEMORY)
    before = await searches(rig)
    await rig.post("/internal/ms/incoming-call", from_stranger("1757840799.9"))
    await rig.settle()
    assert await linked(rig) == [STRANGER, STRANGER]
    assert await searches(rig) <= before + 4, "asked again only behind the display's question"
    async with rig.sandbox.get("/sandbox/counterparties") as answer:
        names = [each["name"] for each in (await answer.json())["counterparties"]]
    assert names.count(STRANGER) == 1


async def test_a_client_whom_somebody_deleted_is_not_remembered_any_longer(rig: Rig) -> None:
    desk = desk_of(rig)
    await desk.who("customer-name", ENTERPRISE, KNOWN)
    rule = {"action": "status", "status": 404, "code": 1021, "api": "phone", "method": "POST", "path_regex": "^/call$", "times": 1}
    async with rig.sandbox.post("/sandbox/faults", json=rule) as answer:
        assert answer.status == 200
    await rig.post("/internal/ms/incoming-call", dial())
    await rig.settle()
    again = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert again.where is Where.MOYSKLAD, "doubted, and asked anew"
    assert await searches(rig) == 2


async def test_a_test_call_s_settings_of_its_own_teach_nobody_else(rig: Rig) -> None:
    config = {"integration_code": "0" * 40, "api_token": "1" * 40, "notifications": {"call_notify_mode": "during"}}
    await rig.post("/internal/ms/incoming-call", {**dial(), "ms_config": config})
    await rig.settle()
    found = await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    assert (found.where, found.known is not None and found.known.source) == (Where.MOYSKLAD, Source.SEARCH)


async def test_a_name_that_is_changed_is_seen_when_it_is_asked_for(rig: Rig) -> None:
    desk = desk_of(rig)
    found = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert found.known is not None
    assert found.known.contact is not None
    await moysklad(rig, "PUT", f"/entity/counterparty/{found.known.contact.id}", {"name": "ОДО «Белтрейд плюс»"})
    fresh = await desk.closely("enrich-customer", ENTERPRISE, KNOWN)
    assert fresh.known is not None
    assert fresh.known.contact is not None
    assert fresh.known.contact.name == "ОДО «Белтрейд плюс»"
    again = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert (again.where, again.known) == (Where.MEMORY, fresh.known)


async def test_a_client_for_whom_no_order_can_be_made_is_looked_for_again(rig: Rig) -> None:
    found = await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    assert found.known is not None
    assert found.known.contact is not None
    current = await rig.service.settings.current(ENTERPRISE)
    assert current is not None
    await trouble(rig, action="status", status=404, code=1021, api="remap", method="POST", path_regex="^/entity/customerorder")
    order = CreateOrder(
        sync_id=str(uuid4()), contact=found.known.contact.id, number=KNOWN, incoming=True, start_ms=rig.clock.now_ms
    )
    gateway, before = rig.service.moysklad.gateway, await searches(rig)
    await gateway.perform(FindContact(number=KNOWN), current.account)
    assert await searches(rig) == before
    with pytest.raises(Refused) as refused:
        await gateway.perform(order, replace(current.account, organization="ИП Песочный А. А."))
    assert refused.value.code == 1021
    await gateway.perform(FindContact(number=KNOWN), current.account)
    assert await searches(rig) == before + 1
