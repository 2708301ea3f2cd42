"""Finding and creating customers, and finding employees (PRODUCT C5, C7; CONTRACT-MOYSKLAD 2.4, 2.5)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from adapters.moysklad.contacts import choose
from adapters.moysklad.errors import Api
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.json_api import CREATED_TAG, MAX_EMPLOYEE_PAGES, MAX_PAGES, JsonApi
from adapters.moysklad.moments import to_moscow
from adapters.moysklad.numbers import NumberKey, number_key
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.transport import Trail
from adapters.sandbox.faults import FaultRule
from adapters.sandbox.seed import ContactPersonSeed, CounterpartySeed
from core.effects import Account, CreateContact, FindContact, FindEmployees, Refused, Unavailable
from tests.adapters.moysklad.support import KEY, NOW_MS, Rig, complains, facing_sandbox, says, scripted

MOSCOW = ZoneInfo("Europe/Moscow")
SYNC = "7d0b0f6e-0000-4000-8000-000000000001"
TYPED = [
    ("+79161234567", "+79161234567"),
    ("+79161234567", "+7 (916) 123-45-67"),
    ("+79161234567", "8 916 123 45 67"),
    ("+79161234567", "89161234567"),
    ("+79161234567", "916-123-4567"),
    ("+79161234567", "8 495 111-22-33, +7 916 123-45-67 доб. 12"),
    ("+375290000001", "+375 29 000-00-01"),
    ("+375290000001", "8 (029) 000 00 01"),
    ("+375290000001", "80290000001"),
    ("+48501234567", "+48 501 234 567"),
]


def key_of(number: str) -> NumberKey:
    key = number_key(number)
    assert key is not None
    return key


@pytest.mark.parametrize("normalises", [True, False])
@pytest.mark.parametrize(("number", "typed"), TYPED)
async def test_a_number_is_found_however_it_was_typed(number: str, typed: str, normalises: bool) -> None:
    customers = (
        CounterpartySeed(name="Нужный", phone=typed),
        CounterpartySeed(name="Код 9161234567 и 290000001 в названии", phone="+7 000 000-00-00"),
        CounterpartySeed(name="С тем же концом", phone="8 (495) 123-45-67, 8 017 100-00-01"),
    )
    async with facing_sandbox(*customers, search_normalises_digits=normalises) as rig:
        performed = await rig.perform(FindContact(number=number))
        assert performed.result == {
            "contact": rig.counterparty_id("Нужный"),
            "name": "Нужный",
            "matches": 1,
            "rule": "own phone",
            "owner": next(iter(rig.inside.employees)),
        }
        asked = len(performed.exchanges)
        assert asked == 1 if normalises else asked <= 6


@pytest.mark.parametrize("normalises", [True, False])
async def test_a_contact_persons_phone_counts(normalises: bool) -> None:
    firm = CounterpartySeed(
        name="Фирма", phone="8 812 000-00-00", contact_persons=(ContactPersonSeed(name="Игорь", phone="+7 (916) 123-45-67"),)
    )
    async with facing_sandbox(firm, search_normalises_digits=normalises) as rig:
        result = (await rig.perform(FindContact(number="+79161234567"))).result
        assert (result["contact"], result["rule"]) == (rig.counterparty_id("Фирма"), "contact person's phone")


@pytest.mark.parametrize("normalises", [True, False])
async def test_nobody_has_the_number(normalises: bool) -> None:
    async with facing_sandbox(
        CounterpartySeed(name="Другой 9161234567", phone="+7 999 123-45-67"), search_normalises_digits=normalises
    ) as rig:
        performed = await rig.perform(FindContact(number="+79161234567"))
    assert performed.result == {
        "contact": None,
        "name": None,
        "matches": 0,
        "rule": "nobody has this number",
        "owner": None,
    }
    assert len(performed.exchanges) == 2


async def test_the_history_holds_no_customers_it_has_nothing_to_do_with() -> None:
    async with facing_sandbox(
        CounterpartySeed(name="Нужный", phone="8 916 123-45-67"),
        CounterpartySeed(name="Чужой 9161234567", phone="+7 999 123-45-67"),
    ) as rig:
        (exchange,) = (await rig.perform(FindContact(number="+79161234567"))).exchanges
    assert (exchange.response["size"], exchange.response["received"]) == (2, 2)
    assert [one["name"] for one in exchange.response["matching"]] == ["Нужный"]
    assert exchange.path.startswith("/api/remap/1.2/entity/counterparty?search=9161234567&expand=contactpersons%2Cowner&limit=100")


async def test_who_of_several_is_chosen() -> None:
    customers = (
        CounterpartySeed(name="Архивный", phone="+79161234567", archived=True),
        CounterpartySeed(name="Через сотрудника", contact_persons=(ContactPersonSeed(name="Игорь", phone="+79161234567"),)),
        CounterpartySeed(name="Старый", phone="+7 916 123-45-67"),
        CounterpartySeed(name="Свежий", phone="8 916 123 45 67"),
    )
    async with facing_sandbox(*customers, search_includes_archived=True) as rig:
        fresh = rig.counterparty_id("Свежий")
        rig.inside.of_type("counterparty")[fresh].updated_ms += 60_000
        result = (await rig.perform(FindContact(number="+79161234567"))).result
        assert (result["contact"], result["matches"]) == (fresh, 4)
        assert result["rule"].startswith("own phone; of 4")


def row(name: str, *, phone: str = "+79161234567", updated: str = "2026-01-01 00:00:00.000", archived: bool = False) -> Any:
    return {"id": name, "name": name, "phone": phone, "updated": updated, "archived": archived}


def person(name: str, *, updated: str = "2026-01-01 00:00:00.000") -> Any:
    """A firm one of whose people has the number."""
    people = {"rows": [{"id": "p", "name": "Игорь", "phone": "89161234567"}]}
    return {**row(name, phone="", updated=updated), "contactpersons": people}


@pytest.mark.parametrize(
    ("rows", "best"),
    [
        ([row("b"), row("a")], "a"),
        ([row("a"), row("b", updated="2026-01-02 00:00:00.000")], "b"),
        ([row("a", updated="2026-01-02 00:00:00.000", archived=True), row("b")], "b"),
        ([person("a", updated="2027-01-01 00:00:00.000"), row("b")], "b"),
        ([person("a"), row("b", archived=True)], "a"),
        ([row("+7 916 123-45-67", updated="2027-01-01 00:00:00.000"), row("b")], "b"),
        ([row("Клиент 89161234567"), person("b")], "b"),
        ([{**person("a"), "name": "9161234567"}, row("+79161234567")], "a"),
    ],
)
def test_the_rule_step_by_step(rows: list[Any], best: str) -> None:
    key = key_of("+79161234567")
    for order in (rows, rows[::-1]):
        chosen = choose("+79161234567", key, order, now_ms=NOW_MS).known.contact
        assert chosen is not None
        assert chosen.id == best


@pytest.mark.parametrize("number", ["anonymous", ""])
async def test_a_hidden_caller_is_not_looked_for(rig: Rig, number: str) -> None:
    performed = await rig.perform(FindContact(number=number))
    assert (performed.result["contact"], performed.exchanges) == (None, ())
    with pytest.raises(Refused):
        await rig.perform(CreateContact(number=number, sync_id=SYNC))
    assert rig.requests("remap") == []


async def test_without_a_token_customers_are_refused(rig: Rig) -> None:
    poor = replace(rig.account, api_token="")
    for effect in (FindContact(number="+79161234567"), CreateContact(number="+79161234567", sync_id=SYNC)):
        with pytest.raises(Refused, match="no main API token"):
            await rig.gateway.perform(effect, poor)


@pytest.mark.slow
async def test_the_search_leafs_through_a_few_pages_and_no_more() -> None:
    page = {"meta": {"size": 100_000}, "rows": [row(str(number), phone="+7 999 000-45-67") for number in range(100)]}
    async with scripted(Api.JSON) as (script, transport):
        script.then(*[says(200, page)] * 50)
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
        performed = await gateway.perform(FindContact(number="+79161234567"), account)
    assert performed.result["contact"] is None
    assert len(script.seen) == 4 * MAX_PAGES + 2, "a look, and one customer in it to learn from"


@pytest.mark.parametrize("body", [{}, [], {"rows": None}, {"rows": [None, 5, {"id": None, "phone": "+79161234567"}]}])
async def test_a_list_of_any_shape_is_survived(body: Any) -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(*[says(200, body)] * 5)
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
        if isinstance(body, dict) and body.get("rows"):
            assert (await gateway.perform(FindContact(number="+79161234567"), account)).result["contact"] is None
        else:
            with pytest.raises(Unavailable, match="no list"):
                await gateway.perform(FindContact(number="+79161234567"), account)


async def test_one_failed_search_of_several_is_told_as_itself(rig: Rig) -> None:
    rig.break_with(FaultRule(action="status", api="remap", nth=2, status=403, code=1016))
    rig.break_with(FaultRule(action="status", api="remap", nth=4, status=429, code=1073))
    with pytest.raises(Unavailable) as caught:
        await rig.perform(FindContact(number="+79160000099"))
    assert not caught.value.ambiguous
    assert caught.value.retry_after_ms
    assert len(caught.value.exchanges) >= 2


@pytest.mark.parametrize("shown", ["raw", "weighted"])
async def test_the_period_is_used_up_by_another_program(shown: str) -> None:
    async with facing_sandbox(rate_limit_header=shown) as rig:
        async with rig.another_program() as first, rig.another_program() as second:
            for program in (first,) * 8 + (second,) * 7:
                await program.perform(FindContact(number="+79161234567"), rig.account)
            with pytest.raises(Unavailable) as caught:
                await rig.perform(CreateContact(number="+79160000099", sync_id=SYNC))
        assert not caught.value.ambiguous
        assert caught.value.retry_after_ms is not None
        assert 0 < caught.value.retry_after_ms <= 3_000


async def test_all_parallel_places_are_taken_by_another_program(rig: Rig) -> None:
    async with rig.another_program() as second:
        await second.perform(FindContact(number="+79161234567"), rig.account)
        rig.break_with(FaultRule(action="hang", api="remap", times=5))
        hanging = [asyncio.create_task(second.perform(FindContact(number="+79161234567"), rig.account)) for _ in range(5)]
        async with asyncio.timeout(5):
            # the sandbox tells of arrivals in its log only; each turn of the loop lets it work
            while sum(one.fault == "hang" for one in rig.world.log.entries) < 5:  # noqa: ASYNC110
                await asyncio.sleep(0)
        with pytest.raises(Unavailable) as caught:
            await rig.perform(CreateContact(number="+79160000099", sync_id=SYNC))
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
    assert (caught.value.ambiguous, caught.value.retry_after_ms) == (False, 500)
    assert caught.value.exchanges[0].status == 429


@pytest.mark.parametrize("deadline_ms", [NOW_MS, NOW_MS - 1])
async def test_a_deadline_that_has_passed_asks_nothing(rig: Rig, deadline_ms: int) -> None:
    for effect in (
        FindContact(number="+79161234567", deadline_ms=deadline_ms),
        FindEmployees(extensions=("101",), deadline_ms=deadline_ms),
        CreateContact(number="+79161234567", sync_id=SYNC, deadline_ms=deadline_ms),
    ):
        with pytest.raises(Unavailable) as caught:
            await rig.perform(effect)
        assert (caught.value.error, caught.value.ambiguous) == ("deadline", False)
    assert rig.requests("remap") + rig.requests("phone") == []


@pytest.mark.parametrize(
    ("make", "ambiguous"),
    [
        (lambda until: FindContact(number="+79161234567", deadline_ms=until), False),
        (lambda until: FindEmployees(extensions=("101",), deadline_ms=until), False),
        (lambda until: CreateContact(number="+79161234567", sync_id=SYNC, deadline_ms=until), True),
    ],
)
async def test_a_deadline_that_passes_meanwhile(rig: Rig, make: Callable[[int], Any], ambiguous: bool) -> None:
    rig.break_with(FaultRule(action="hang"))
    with pytest.raises(Unavailable) as caught:
        await rig.perform(make(NOW_MS + 100))
    assert (caught.value.error, caught.value.ambiguous) == ("deadline", ambiguous)
    assert "given up" in caught.value.exchanges[0].response


# -- creating ------------------------------------------------------------------------------------------------


async def test_a_created_customer_is_the_number_and_is_found_again(rig: Rig) -> None:
    created = await rig.perform(CreateContact(number="+79160000099", sync_id=SYNC, owner=rig.employee_id("102")))
    found = rig.inside.of_type("counterparty")[created.result["contact"]]
    assert created.result == {"contact": found.id}
    assert (found.fields["name"], found.fields["phone"]) == ("+79160000099", "+79160000099")
    assert [tag.casefold() for tag in found.fields["tags"]] == [CREATED_TAG.casefold()]
    assert found.links["owner"] == ("employee", rig.employee_id("102"))
    again = (await rig.perform(FindContact(number="+79160000099"))).result
    assert (again["contact"], again["owner"]) == (found.id, rig.employee_id("102"))


@pytest.mark.parametrize("action", ["drop_after", "status_after"])
async def test_a_repeated_creation_makes_one_customer(rig: Rig, action: Any) -> None:
    before = len(rig.inside.of_type("counterparty"))
    rig.break_with(FaultRule(action=action, api="remap", method="POST", nth=1))
    effect = CreateContact(number="+79160000099", sync_id=SYNC)
    with pytest.raises(Unavailable) as caught:
        await rig.perform(effect)
    assert caught.value.ambiguous
    first = await rig.perform(effect)
    second = await rig.perform(effect)
    assert first.result == second.result
    assert len(rig.inside.of_type("counterparty")) == before + 1


async def test_two_creations_at_once_make_one_customer(rig: Rig) -> None:
    effect = CreateContact(number="+79160000099", sync_id=SYNC)
    first, second = await asyncio.gather(rig.perform(effect), rig.perform(effect))
    assert first.result == second.result


async def test_an_owner_who_is_gone_does_not_cost_the_customer(rig: Rig) -> None:
    gone = "00000000-0000-4000-8000-00000000dead"
    performed = await rig.perform(CreateContact(number="+79160000099", sync_id=SYNC, owner=gone))
    assert performed.result["contact"] in rig.inside.of_type("counterparty")
    assert len(performed.exchanges) == 2
    assert "owner" not in performed.exchanges[1].request


async def test_an_answer_that_names_no_customer_leaves_the_creation_in_doubt() -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(says(200, {"name": "x"}))
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
        with pytest.raises(Unavailable) as caught:
            await gateway.perform(CreateContact(number="+79160000099", sync_id=SYNC), account)
    assert caught.value.ambiguous


@pytest.mark.parametrize("size", [1_000, 1_001, 50_000])
async def test_colleagues_come_in_pages_within_a_bound(size: int) -> None:
    pages = [
        {"meta": {"size": size}, "rows": [{"id": f"e{page}-{number}"} for number in range(min(1_000, size - page * 1_000))]}
        for page in range(min(MAX_EMPLOYEE_PAGES, -(-size // 1_000)))
    ]
    async with scripted(Api.JSON) as (script, transport):
        script.then(*[says(200, page) for page in pages])
        found = await JsonApi(transport).employees(KEY, Trail())
    assert len(found) == min(size, MAX_EMPLOYEE_PAGES * 1_000)
    assert len(script.seen) == len(pages)


@pytest.mark.parametrize(
    ("status", "code", "kind"), [(401, 1056, Refused), (403, 1045, Refused), (412, 3000, Refused), (503, 1074, Unavailable)]
)
async def test_creation_refused_or_put_off(status: int, code: int, kind: Any) -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(complains(status, code))
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
        effect = CreateContact(number="+79160000099", sync_id=SYNC, owner="o1")
        with pytest.raises(kind) as caught:
            await gateway.perform(effect, account)
    assert len(caught.value.exchanges) == len(script.seen) == 1


async def test_a_customer_who_was_given_another_number_is_not_made_of_the_old_one_again(rig: Rig) -> None:
    """The same ``syncId`` returns the customer of before (CONTRACT-MOYSKLAD 2.5), whoever has the number now."""
    effect = CreateContact(number="+79160000099", sync_id=SYNC)
    first = (await rig.perform(effect)).result["contact"]
    assert (await rig.perform(effect)).result["contact"] == first
    rig.inside.of_type("counterparty")[first].fields["phone"] = "8 (916) 000-00-99"
    assert (await rig.perform(effect)).result["contact"] == first
    rig.inside.of_type("counterparty")[first].fields["phone"] = "+7 916 000-00-98"
    second = (await rig.perform(effect)).result["contact"]
    assert second != first
    assert (await rig.perform(effect)).result["contact"] == second
    assert rig.inside.of_type("counterparty")[second].fields["phone"] == "+79160000099"


async def test_a_firm_that_was_made_of_a_customer_keeps_its_contact_person_s_number() -> None:
    """Where the search did not find what somebody typed, ``syncId`` still tells whose number it is."""
    async with scripted(Api.JSON) as (script, transport):
        firm = {"id": "c1", "phone": "8 812 000-00-00"}
        script.then(says(200, firm), says(200, firm | {"contactpersons": {"rows": [{"phone": "8 (91600) 000-99"}]}}))
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
        performed = await gateway.perform(CreateContact(number="+79160000099", sync_id=SYNC), account)
    assert performed.result == {"contact": "c1"}
    assert len(script.seen) == 2


async def test_whose_token_may_name_no_owner_makes_customers_without_one() -> None:
    async with scripted(Api.JSON) as (script, transport):
        script.then(complains(403, 1017), says(200, {"id": "c1"}))
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
        performed = await gateway.perform(CreateContact(number="+79160000099", sync_id=SYNC, owner="o1"), account)
    assert performed.result == {"contact": "c1"}
    assert [("owner" in each.body) for each in script.seen] == [True, False]


# -- employees -----------------------------------------------------------------------------------------------


async def test_employees_by_extension_with_names(rig: Rig) -> None:
    performed = await rig.perform(FindEmployees(extensions=("101", "102", "999")))
    assert performed.result == {
        "employees": {
            "101": {"id": rig.employee_id("101"), "name": "Анна Ковалёва"},
            "102": {"id": rig.employee_id("102"), "name": "Борис Литвинов"},
            "999": None,
        }
    }
    asked = [one.path for one in rig.world.log.entries if one.api == "phone"]
    assert asked == ["/employee?filter=extention%3D101%3Bextention%3D102%3Bextention%3D999"]


async def test_the_directory_is_remembered_for_a_while_and_refreshed_on_demand(rig: Rig) -> None:
    effect = FindEmployees(extensions=("101", "999"))
    await rig.perform(effect)
    assert (await rig.perform(effect)).exchanges == ()
    rig.clock.now_ms += 31_000
    assert rig.requests() == ["GET /employee"]
    await rig.perform(effect)
    assert [one.path for one in rig.world.log.entries if one.api == "phone"][1:] == ["/employee?filter=extention%3D999"]
    rig.gateway.directory.forget(rig.account)
    await rig.perform(effect)
    assert rig.requests() == ["GET /employee"] * 3
    rig.clock.now_ms += 301_000
    await rig.perform(effect)
    assert rig.requests() == ["GET /employee"] * 4


async def test_many_at_once_ask_once(rig: Rig) -> None:
    effect = FindEmployees(extensions=("101", "102", "103"))
    results = await asyncio.gather(*(rig.perform(effect) for _ in range(10)))
    assert {str(one.result) for one in results} == {str(results[0].result)}
    assert rig.requests() == ["GET /employee"]


@pytest.mark.parametrize("token", ["", "wrong"])
async def test_names_are_wanted_not_needed(rig: Rig, token: str) -> None:
    account = replace(rig.account, api_token=token)
    performed = await rig.gateway.perform(FindEmployees(extensions=("101",)), account)
    assert performed.result == {"employees": {"101": {"id": rig.employee_id("101"), "name": ""}}}


async def test_a_ringing_phone_does_not_wait_for_names(rig: Rig) -> None:
    rig.break_with(FaultRule(action="hang", api="remap"))
    performed = await rig.perform(FindEmployees(extensions=("101",), deadline_ms=NOW_MS + 3_000))
    assert performed.result == {"employees": {"101": {"id": rig.employee_id("101"), "name": ""}}}
    await rig.perform(FindEmployees(extensions=("102",)))
    assert len(rig.requests("remap")) == 1, "and does not try again at every ring"


async def test_a_directory_that_cannot_be_read_is_not_remembered(rig: Rig) -> None:
    rig.break_with(FaultRule(action="html_502", api="phone", times=1))
    with pytest.raises(Unavailable) as caught:
        await rig.perform(FindEmployees(extensions=("101",)))
    assert not caught.value.ambiguous
    assert (await rig.perform(FindEmployees(extensions=("101",)))).result["employees"]["101"] is not None


async def test_odd_extensions_and_refused_filters() -> None:
    body = {"employees": [{"meta": {"href": "https://h/entity/employee/e1"}, "extention": "1;2"}, {"extention": "3"}, None]}
    async with scripted() as (script, transport):
        script.then(says(200, body), complains(412, 1034), says(200, body))
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY)
        first = await gateway.perform(FindEmployees(extensions=("1;2",)), account)
        gateway.directory.forget(account)
        second = await gateway.perform(FindEmployees(extensions=("1;2", "3")), account)
    assert first.result == {"employees": {"1;2": {"id": "e1", "name": ""}}}
    assert second.result == {"employees": {"1;2": {"id": "e1", "name": ""}, "3": None}}
    assert [one.path for one in script.seen] == [
        "/api/employee?filter=extention%3D1%5C%3B2",
        "/api/employee?filter=extention%3D1%5C%3B2%3Bextention%3D3",
        "/api/employee",
    ]


async def test_a_huge_ring_group_asks_for_the_whole_list(rig: Rig) -> None:
    wanted = tuple(str(number) for number in range(100, 200))
    employees = (await rig.perform(FindEmployees(extensions=wanted))).result["employees"]
    assert employees["101"]["id"] == rig.employee_id("101")
    assert [one.path for one in rig.world.log.entries if one.api == "phone"] == ["/employee"]


def test_times_of_the_json_api_are_compared_as_text() -> None:
    assert to_moscow(NOW_MS, MOSCOW) < to_moscow(NOW_MS + 1, MOSCOW)
