"""Several callers whom nobody knows at the same moment: all get their client in time, and nobody a second one (decision 0016)."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from adapters.moysklad.errors import Api
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.json_api import PAGE, JsonApi
from adapters.moysklad.limits import json_limit
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.short_look import FRESH_S, MAX_KEPT
from adapters.sandbox.faults import FaultRule
from adapters.sandbox.seed import ContactPersonSeed, CounterpartySeed
from core.effects import Account, CreateContact, FindContact, Performed, Turn, Unavailable
from core.events import Exchange
from core.values import Urgency
from tests.adapters.moysklad.support import KEY, NOW_MS, Rig, facing_sandbox, says, scripted
from tests.adapters.moysklad.test_gateway_contacts import MOSCOW

CARD_MS = 1_500
SEARCH, CREATE = "GET /entity/counterparty", "POST /entity/counterparty"
ANNA = CounterpartySeed(name="Анна", phone="+375 29 000-00-91")
IGOR = ContactPersonSeed(name="Игорь", phone="+375 29 000 00 92")
FIRM = CounterpartySeed(name="Фирма", phone="8 812 000-00-00", contact_persons=(IGOR,))
TYPED = {"+375290000091": "Анна", "+375290000092": "Фирма"}
CROWD = tuple(CounterpartySeed(name=f"Клиент {nth}", phone=f"+7495200{nth:04}") for nth in range(PAGE + 20))


def unknown(number: int) -> str:
    return f"+3752911122{number:02}"


async def greeted(rig: Rig, number: str) -> str | None:
    """What a card waits for: the customer found, or made of the number. None: not in time."""
    until_ms = NOW_MS + CARD_MS
    try:
        async with asyncio.timeout(CARD_MS / 1000):
            found = (await rig.perform(FindContact(number=number, deadline_ms=until_ms))).result["contact"]
            if found is None:
                effect = CreateContact(number=number, sync_id=str(uuid5(NAMESPACE_URL, number)), owner="", deadline_ms=until_ms)
                found = (await rig.perform(effect)).result["contact"]
            return str(found)
    except (Unavailable, TimeoutError):
        return None


async def look(rig: Rig, number: str, urgency: Urgency = Urgency.LIVE) -> Performed:
    return await rig.gateway.perform(FindContact(number=number), rig.account, Turn(urgency=urgency))


def searched(performed: Performed) -> list[str]:
    """What was searched for, one after another."""
    return [_text(one) for one in performed.exchanges]


def _text(exchange: Exchange) -> str:
    return exchange.path.partition("?search=")[2].partition("&")[0]


def names(rig: Rig) -> list[str]:
    return sorted(str(one.fields["name"]) for one in rig.inside.of_type("counterparty").values())


@pytest.mark.parametrize("normalises", [True, False])
@pytest.mark.parametrize("callers", [3, 5, 6])
async def test_all_unknown_who_call_at_once_get_their_client_in_time(callers: int, normalises: bool) -> None:
    async with facing_sandbox(ANNA, FIRM, search_normalises_digits=normalises) as rig:
        made = await asyncio.gather(*(greeted(rig, unknown(number)) for number in range(callers)))
        assert None not in made
        assert len(set(made)) == callers
        assert sorted(rig.requests("remap")) == [SEARCH] * (callers + 1) + [CREATE] * callers
        assert len(rig.requests("remap")) <= json_limit(NOW_MS).share


@pytest.mark.parametrize("normalises", [True, False])
@pytest.mark.parametrize("callers", [3, 5, 6])
@pytest.mark.parametrize("crowd", [(), CROWD], ids=["small", "large"])
async def test_who_was_typed_with_dashes_is_found_among_them_and_not_doubled(
    crowd: tuple[CounterpartySeed, ...], callers: int, normalises: bool
) -> None:
    async with facing_sandbox(ANNA, FIRM, *crowd, search_normalises_digits=normalises) as rig:
        before = names(rig)
        calling = [*TYPED, *map(unknown, range(callers - 2))]
        found = dict(zip(calling, await asyncio.gather(*(greeted(rig, number) for number in calling)), strict=True))
        assert [name for name in names(rig) if not name.startswith("+375")] == before
        assert not set(TYPED) & set(names(rig))
        assert all(found[number] in (None, rig.counterparty_id(name)) for number, name in TYPED.items())
        if normalises or not crowd:
            assert None not in found.values()


async def test_of_a_large_account_that_compares_text_as_many_as_fit_are_made() -> None:
    async with facing_sandbox(*CROWD, search_normalises_digits=False) as rig:
        made = await asyncio.gather(*(greeted(rig, unknown(number)) for number in range(3)))
        assert sum(one is not None for one in made) == 2, "3 searches, a look, 7 guesses and 2 clients are 13"


@pytest.mark.parametrize(
    ("normalises", "first", "then"),
    [(True, ["2", "290000091", "290000092"], 1), (False, ["2", "290000091", "2200", "22-00", "22%2000"], 4)],
)
async def test_a_large_account_serves_to_find_out_what_is_compared(normalises: bool, first: list[str], then: int) -> None:
    async with facing_sandbox(ANNA, FIRM, *CROWD, search_normalises_digits=normalises, limits_enforced=False) as rig:
        performed = await look(rig, unknown(0))
        assert [searched(performed)[0], *sorted(searched(performed)[1:])] == ["291112200", *sorted(first)]
        assert "Анна" not in str(performed.exchanges), "a customer this call has nothing to do with"
        assert len((await look(rig, unknown(1))).exchanges) == then
        assert (await look(rig, "+375290000092")).result["contact"] == rig.counterparty_id("Фирма")


@pytest.mark.slow
async def test_a_large_account_that_proves_nothing_is_not_looked_at_again_for_a_while() -> None:
    async with facing_sandbox(*CROWD, limits_enforced=False) as rig:
        assert [len((await look(rig, unknown(number))).exchanges) for number in range(3)] == [5, 4, 4]


@pytest.mark.parametrize(("status", "code"), [(403, 1016), (412, 1034), (503, 1074), (500, 1999)])
async def test_where_the_look_fails_the_number_is_searched_for_as_typed(status: int, code: int) -> None:
    async with facing_sandbox(ANNA, FIRM, search_normalises_digits=False) as rig:
        rig.break_with(FaultRule(action="status", status=status, code=code, api="remap", nth=2))
        performed = await look(rig, "+375290000091")
        assert performed.result["contact"] == rig.counterparty_id("Анна")
        assert searched(performed)[:2] == ["290000091", "2"]
        assert len(performed.exchanges) == 5


async def test_it_is_for_a_digit_that_the_others_have_too() -> None:
    async with facing_sandbox(ANNA, FIRM) as rig:
        numbers = ("+79161134567", "+375291134567", "+375331134567")
        answers = await asyncio.gather(*(look(rig, number) for number in numbers))
        assert sorted(len(searched(one)) for one in answers) == [1, 1, 2]
        assert {text for one in answers for text in searched(one)[1:]} <= set("134567")


async def test_an_answer_serves_who_calls_a_moment_later_and_nobody_else() -> None:
    async with facing_sandbox(ANNA, FIRM) as rig:
        assert searched(await look(rig, unknown(0))) == ["291112200", "2"]
        shared = await look(rig, unknown(1))
        assert searched(shared) == ["291112201"]
        assert shared.result["rule"] == "nobody has this number, as was seen when another was looked up"
        assert searched(await look(rig, "+79161134567")) == ["9161134567", "9"], "its digit does not stand in that number"
        await asyncio.sleep(FRESH_S + 0.05)
        assert searched(await look(rig, unknown(2))) == ["291112202", "2"]


async def test_who_is_in_a_hurry_does_not_wait_for_who_is_not() -> None:
    async with facing_sandbox(ANNA, FIRM, timeout_s=30) as rig:
        rig.break_with(FaultRule(action="hang", api="remap", path_regex="search=2&", nth=1))
        slow = asyncio.create_task(look(rig, unknown(0), Urgency.BACKLOG))
        async with asyncio.timeout(5):
            while not any(one.fault == "hang" for one in rig.world.log.entries):  # noqa: ASYNC110
                await asyncio.sleep(0)
            assert searched(await look(rig, unknown(1))) == ["291112201", "2"]
        slow.cancel()
        await asyncio.gather(slow, return_exceptions=True)


def customer(number: int, **persons: Any) -> dict[str, Any]:
    inside = {"contactpersons": {"meta": {"size": 0}, "rows": []} | persons}
    return {"id": f"c{number}", "name": f"Клиент {number}", "phone": "+74952000000", **inside}


@pytest.mark.parametrize(
    ("body", "asked"),
    [
        ({"meta": {"size": 1}, "rows": [customer(1)]}, 2),
        ({"meta": {"size": 2}, "rows": [customer(1)]}, 5),
        ({"meta": {"size": 1}, "rows": [customer(1, meta={"size": 1})]}, 5),
        ({"meta": {"size": 1}, "rows": [customer(1, meta={})]}, 5),
        ({"meta": {"size": 1}, "rows": [{"id": "c1", "name": "Клиент", "phone": ""}]}, 5),
        ({"rows": [customer(number) for number in range(PAGE)]}, 5),
        ({"rows": "?"}, 5),
    ],
)
async def test_only_an_answer_that_is_whole_settles_it(body: Any, asked: int) -> None:
    async with scripted(Api.JSON) as (script, transport):
        nobody = {"meta": {"size": 0}, "rows": []}
        script.then(says(200, nobody), says(200, body), *[says(200, nobody)] * 3)
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        account = Account(enterprise="0367", phone_key=KEY, api_token=KEY)
        performed = await gateway.perform(FindContact(number="+79161234567"), account)
        assert (performed.result["contact"], len(performed.exchanges)) == (None, asked)


async def test_little_is_kept() -> None:
    nobody = {"meta": {"size": 0}, "rows": []}
    async with scripted(Api.JSON) as (script, transport):
        gateway = MoySkladGateway(PhoneApi(transport, zone=MOSCOW), JsonApi(transport))
        accounts = [Account(enterprise=f"{nth:04}", phone_key=KEY, api_token=f"{KEY}{nth}") for nth in range(MAX_KEPT + 1)]
        for account in (*accounts, accounts[0], accounts[-1]):
            script.then(says(200, nobody), says(200, nobody))
            performed = await gateway.perform(FindContact(number=unknown(1)), account)
            script.answers.clear()
        assert searched(performed) == ["291112201"], "the last is kept"
        assert len(script.seen) == 2 * (MAX_KEPT + 2) + 1, "the first is not"
