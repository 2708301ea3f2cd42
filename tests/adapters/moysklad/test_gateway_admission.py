"""How an effect is admitted: the place for its first request is taken beforehand, and what is known to fail is not begun."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from msgspec import structs

from adapters.moysklad.errors import Api, ApiRefusal, Trouble
from adapters.moysklad.gateway import MoySkladGateway
from adapters.moysklad.json_api import JsonApi
from adapters.moysklad.limits import PHONE_LIMIT
from adapters.moysklad.phone_api import PhoneApi
from adapters.moysklad.registry import LimitsRegistry
from adapters.moysklad.transport import Trail
from core.effects import (
    EFFECT_TYPES,
    Account,
    Admission,
    CompleteTask,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    CreateTask,
    Deferred,
    Effect,
    FindContact,
    FindEmployees,
    Gateway,
    InspectCall,
    InspectTask,
    Refused,
    RegisterCall,
    Turn,
    Unavailable,
    UpdateCall,
    Way,
    way_of_type,
)
from core.values import Urgency
from tests.adapters.moysklad.support import (
    KEY,
    NOW_MS,
    FakeTime,
    Script,
    complains,
    hangs_up,
    says,
    scripted,
    seasoned,
)

ACCOUNT = Account(enterprise="0367", phone_key=KEY, api_token="main-token-0123456789")
REGISTER = RegisterCall(external_id="0367-1", number="+79161234567", incoming=True, start_ms=NOW_MS)
UPDATE = UpdateCall(external_id="0367-1", call="c1", comment="x")
CONTACT = FindContact(number="+79161234567")
CREATE = CreateContact(number="+79161234567", sync_id="s1")
EMPLOYEES = FindEmployees(extensions=("101",))
CALL = says(200, {"id": "c1"})
NOBODY = says(200, {"employees": []})


class Stage:
    """A gateway before a scripted server, with limits whose time stands still. Nobody waits: it fits now or is deferred."""

    def __init__(self, script: Script, gateway: MoySkladGateway, limits: LimitsRegistry, time: FakeTime) -> None:
        self.script, self.gateway, self.limits, self.time = script, gateway, limits, time

    def used(self, api: Api = Api.PHONE) -> tuple[int, int]:
        """Requests under way or held a place for, and requests of the last period."""
        credential = ACCOUNT.phone_key if api is Api.PHONE else ACCOUNT.api_token
        state = self.limits.of(api, credential).describe(0)
        return state.in_flight, state.used

    async def prove(self) -> None:
        """Both APIs have answered before."""
        self.script.then(CALL, says(200, {"rows": [], "meta": {"size": 0}}))
        await self.gateway.perform(REGISTER, ACCOUNT)
        await self.gateway._json.get("/entity/counterparty", ACCOUNT.api_token, Trail())
        self.script.seen.clear()
        self.time.now_ms += 60_000

    async def fill(self, api: Api, places: int = 5) -> None:
        """Somebody holds the places and does not give them back."""
        credential = ACCOUNT.phone_key if api is Api.PHONE else ACCOUNT.api_token
        for _ in range(places):
            await self.limits.of(api, credential).enter(Turn(), wait_ms=0)


@asynccontextmanager
async def stage(wait_ms: int = 0) -> AsyncIterator[Stage]:
    """One server plays both APIs."""
    time = FakeTime()
    limits = seasoned(clock=time, now_ms=time, chance=lambda: 1.0)
    async with (
        scripted(Api.PHONE, limits=limits, wait_ms=wait_ms) as (script, phone_way),
        scripted(Api.JSON, limits=limits, wait_ms=wait_ms) as (json_script, json_way),
    ):
        json_script.answers, json_script.seen = script.answers, script.seen
        gateway = MoySkladGateway(PhoneApi(phone_way, zone=ZoneInfo("Europe/Moscow")), JsonApi(json_way), now_ms=time)
        made = Stage(script, gateway, limits, time)
        await made.prove()
        yield made


def test_it_is_the_port() -> None:
    gateway: Gateway = MoySkladGateway(PhoneApi(None, zone=ZoneInfo("UTC")), JsonApi(None))  # type: ignore[arg-type]
    assert callable(gateway.admitted)


PHONE_EFFECTS: list[Effect] = [REGISTER, UPDATE, ConfirmCall(external_id="0367-1"), InspectCall(call="c1"), EMPLOYEES]
JSON_EFFECTS: list[Effect] = [
    CONTACT,
    CREATE,
    CreateOrder(sync_id="s", contact="c", number="1", incoming=True, start_ms=1),
    CreateTask(mark="m", number="1", missed_ms=1, due_ms=2),
    CompleteTask(task="t"),
    InspectTask(task="t"),
]


@pytest.mark.parametrize(("effects", "way"), [(PHONE_EFFECTS, Way.PHONE), (JSON_EFFECTS, Way.JSON)])
def test_the_examples_are_all_that_asks_moysklad(effects: list[Effect], way: Way) -> None:
    assert {effect.type for effect in effects} == {type_ for type_ in EFFECT_TYPES if way_of_type(type_) is way}


@pytest.mark.parametrize(
    ("effect", "api"), [*((effect, Api.PHONE) for effect in PHONE_EFFECTS), *((effect, Api.JSON) for effect in JSON_EFFECTS)]
)
async def test_a_place_is_held_at_the_api_that_is_asked_first(effect: Effect, api: Api) -> None:
    other = Api.JSON if api is Api.PHONE else Api.PHONE
    async with stage() as at:
        async with at.gateway.admitted(effect, ACCOUNT, Turn()):
            assert (at.used(api), at.used(other)) == ((1, 1), (0, 0))
        assert at.used(api) == (0, 0), "it was not used, so it is not counted"
        await at.fill(api)
        with pytest.raises(Deferred):
            async with at.gateway.admitted(effect, ACCOUNT, Turn()):
                raise AssertionError("let in")
        async with at.gateway.admitted(REGISTER if api is Api.JSON else CONTACT, ACCOUNT, Turn()):
            pass  # the other API has room
        assert at.script.seen == []


async def test_the_place_serves_the_first_request_and_each_further_one_takes_its_own() -> None:
    async with stage() as at:
        places: list[tuple[int, int]] = []

        async def note(request: web.Request) -> web.StreamResponse:
            places.append(at.used())
            answer = complains(412, 3006) if len(places) == 1 else CALL
            return await answer(request)

        at.script.then(note, note)
        async with at.gateway.admitted(REGISTER, ACCOUNT, Turn()) as admission:
            assert at.used() == (1, 1)
            done = await admission.perform(REGISTER)
        assert done.result["existed"] is True
        assert places == [(1, 1), (1, 2)]
        assert at.used() == (0, 2)


async def test_the_effect_may_have_become_another_by_then() -> None:
    async with stage() as at:
        at.script.then(CALL)
        async with at.gateway.admitted(REGISTER, ACCOUNT, Turn()) as admission:
            await admission.perform(UPDATE)
        assert [one.method for one in at.script.seen] == ["PUT"]
        assert at.used() == (0, 1)


async def test_an_effect_of_the_other_api_takes_its_own_place_and_gives_the_wrong_one_back() -> None:
    async with stage() as at:
        at.script.then(says(200, {"id": "x"}))
        async with at.gateway.admitted(REGISTER, ACCOUNT, Turn()) as admission:
            await admission.perform(CREATE)
        assert (at.used(Api.PHONE), at.used(Api.JSON)) == ((0, 0), (0, 1))


NEEDS_NOTHING: list[tuple[Effect, Account]] = [
    (FindContact(number="anonymous"), ACCOUNT),
    (CONTACT, replace(ACCOUNT, api_token="")),
    (CREATE, replace(ACCOUNT, api_token="")),
    (UpdateCall(external_id="0367-1", call="c1"), ACCOUNT),
    (structs.replace(CONTACT, deadline_ms=NOW_MS), ACCOUNT),
]


@pytest.mark.parametrize(("effect", "account"), NEEDS_NOTHING)
async def test_whoever_asks_nothing_waits_for_nothing(effect: Effect, account: Account) -> None:
    async with stage() as at:
        for api in Api:
            await at.fill(api)
        async with at.gateway.admitted(effect, account, Turn()):
            assert at.script.seen == []


async def test_what_the_directory_knows_needs_no_place() -> None:
    async with stage() as at:
        at.script.then(NOBODY, says(200, {"rows": [], "meta": {"size": 0}}))
        await at.gateway.perform(EMPLOYEES, replace(ACCOUNT, api_token=""))
        await at.fill(Api.PHONE)
        async with at.gateway.admitted(EMPLOYEES, replace(ACCOUNT, api_token=""), Turn()) as admission:
            done = await admission.perform(EMPLOYEES)
        assert done.result == {"employees": {"101": None}}
        assert len(at.script.seen) == 1


async def test_a_credential_that_cannot_be_one_is_refused_before_anything_is_begun() -> None:
    async with stage() as at:
        for key in ("", "ключ"):
            with pytest.raises(Refused) as caught:
                async with at.gateway.admitted(REGISTER, replace(ACCOUNT, phone_key=key), Turn()):
                    raise AssertionError("let in")
            assert caught.value.remedy


async def test_what_is_known_to_be_away_or_refused_is_not_begun() -> None:
    async with stage() as at:
        at.script.then(hangs_up, says(503), says(503), complains(401, 1056))
        for wait_ms in (250, 500, 0):
            with pytest.raises(Unavailable) as failed:
                await at.gateway.perform(REGISTER, ACCOUNT)
            assert failed.value.ambiguous
            at.time.now_ms += wait_ms
        for urgency in Urgency:
            with pytest.raises(Deferred) as caught:
                async with at.gateway.admitted(REGISTER, ACCOUNT, Turn(urgency=urgency)):
                    raise AssertionError("let in")
            assert caught.value.error.startswith(Trouble.AWAY)
            assert not caught.value.ambiguous
        at.time.now_ms += 1_000
        with pytest.raises(ApiRefusal) as first:
            await at.gateway.perform(REGISTER, ACCOUNT)
        with pytest.raises(ApiRefusal) as again:
            async with at.gateway.admitted(REGISTER, ACCOUNT, Turn()):
                raise AssertionError("let in")
        assert (again.value.error, again.value.remedy, again.value.code) == (first.value.error, first.value.remedy, 1056)
        assert (len(first.value.exchanges), len(again.value.exchanges)) == (1, 0)
        at.script.then(CALL)
        at.gateway.forget(ACCOUNT)
        await at.gateway.perform(REGISTER, ACCOUNT)


async def test_a_further_request_without_room_is_a_failed_attempt_not_a_deferral() -> None:
    """The effect has begun: whoever recorded its start must record how it ended."""
    async with stage() as at:

        async def nobody_else_fits(request: web.Request) -> web.StreamResponse:
            at.limits.of(Api.PHONE, KEY).hold(5_000)
            return await complains(412, 3006)(request)

        at.script.then(nobody_else_fits)
        async with at.gateway.admitted(REGISTER, ACCOUNT, Turn()) as admission:
            with pytest.raises(Unavailable) as caught:
                await admission.perform(REGISTER)
        assert not isinstance(caught.value, Deferred)
        assert (caught.value.ambiguous, caught.value.retry_after_ms) == (False, 5_000)
        assert len(caught.value.exchanges) == 1


async def test_the_permit_is_asked_for_every_request_of_the_effect() -> None:
    async with stage() as at:
        permitted = [True]

        async def lost(request: web.Request) -> web.StreamResponse:
            permitted[0] = False
            return await complains(412, 3006)(request)

        at.script.then(lost, CALL)
        async with at.gateway.admitted(REGISTER, ACCOUNT, Turn(permit=lambda: permitted[0])) as admission:
            with pytest.raises(Unavailable) as caught:
                await admission.perform(REGISTER)
        assert (caught.value.error, caught.value.ambiguous) == (Trouble.NOT_OURS, False)
        assert len(at.script.seen) == 1


async def test_waiting_ends_with_the_deadline() -> None:
    """The clock of deadlines stands still here; the wait is cut to what is left of them."""
    async with stage(wait_ms=3_600_000) as at:
        await at.fill(Api.JSON)
        hurried = structs.replace(CONTACT, deadline_ms=at.time() + 30)
        with pytest.raises(Deferred) as caught:
            async with asyncio.timeout(5), at.gateway.admitted(hurried, ACCOUNT, Turn()):
                raise AssertionError("let in")
        assert caught.value.error == Trouble.UNANSWERED


async def test_those_who_wait_for_each_other_s_directory_do_not_hold_its_places() -> None:
    """Five are admitted with all places in hand; the one that asks needs a second request, and MoySklad allows fewer by then."""
    account = replace(ACCOUNT, api_token="")
    everybody = says(200, {"employees": [{"extention": "1;2", "meta": {"href": "https://h/e/e1"}}]})
    async with stage(wait_ms=2_000) as at:

        async def odd_and_crowded(request: web.Request) -> web.StreamResponse:
            for _ in range(2):
                at.limits.of(Api.PHONE, KEY).crowded(0)
            return await complains(412, 1034)(request)

        at.script.then(odd_and_crowded, everybody)
        wanted = FindEmployees(extensions=("1;2",))
        async with AsyncExitStack() as admissions:
            admitted: list[Admission] = [
                await admissions.enter_async_context(at.gateway.admitted(wanted, account, Turn()))
                for _ in range(PHONE_LIMIT.parallel)
            ]
            assert at.used() == (5, 5)
            async with asyncio.timeout(1):
                done = await asyncio.gather(*(each.perform(wanted) for each in admitted))
        assert all(each.result["employees"]["1;2"]["id"] == "e1" for each in done)
        assert len(at.script.seen) == 2


async def test_one_account_in_trouble_holds_up_no_other() -> None:
    other = replace(ACCOUNT, enterprise="0368", phone_key="another-key-0123456789")
    async with stage() as at:
        at.script.then(*[says(503)] * 3, CALL)
        for wait_ms in (250, 500, 0):
            with pytest.raises(Unavailable):
                await at.gateway.perform(REGISTER, ACCOUNT)
            at.time.now_ms += wait_ms
        await at.gateway.perform(REGISTER, other)
        with pytest.raises(Deferred):
            await at.gateway.perform(REGISTER, ACCOUNT)
