"""Who is calling, within a deadline, whatever MoySklad and the database do (PRODUCT E1)."""

from __future__ import annotations

import asyncio

import pytest

from adapters.directory import desk as desks
from adapters.directory.desk import CROWDED, HIDDEN, LATE, NO_SETTINGS, NO_TOKEN, OFF, SHORT, Times, UnknownEnterprise, Where
from adapters.directory.lookups import MAX_EACH
from adapters.directory.table import READ_S, Table
from adapters.settings_store import SettingsStore
from adapters.vault import Vault
from core.contacts import Trust
from tests.adapters.directory.support import (
    HURRIED,
    KNOWN,
    KNOWN_NAME,
    PERSON,
    STRANGER,
    asked,
    client,
    configure,
    desk_of,
    mended,
    patient,
    searches,
    trouble,
)
from tests.adapters.stores import Stuck
from tests.eventually import until
from tests.rig import ENTERPRISE, KEY, Rig, running, service_beside

SPELLINGS = (
    "+375290000001",
    "375290000001",
    " 375290000001",
    "80290000001",
    "8 (029) 000-00-01",
    "00375290000001",
    "+375 29 000 00 01",
    "sip:375290000001@10.0.0.1",
)


def name_of(found: desks.Found) -> str | None:
    contact = found.known.contact if found.known is not None else None
    return contact.display if contact is not None else None


def test_the_times_add_up_to_what_a_ringing_telephone_waits_for() -> None:
    times = Times()
    assert times.settings_s + READ_S <= 0.25, "0.3 s when it is known"
    assert times.cold_s <= 1.4, "1.5 s when it is not"
    assert times.close_s <= 5.0


@pytest.mark.parametrize("spelling", SPELLINGS)
async def test_every_spelling_is_the_same_customer_and_asked_for_once(rig: Rig, spelling: str) -> None:
    desk = desk_of(rig)
    first = await desk.who("customer-name", ENTERPRISE, KNOWN)
    again = await desk.who("customer-name", ENTERPRISE, spelling)
    assert (name_of(first), first.where) == (KNOWN_NAME, Where.MOYSKLAD)
    assert (name_of(again), again.where, again.trust) == (KNOWN_NAME, Where.MEMORY, Trust.FRESH)
    assert await searches(rig) == 1
    assert desk.counters.answers == {("customer-name", "moysklad"): 1, ("customer-name", "memory"): 1}


async def test_a_contact_person_is_named_with_the_company(rig: Rig) -> None:
    found = await desk_of(rig).who("customer-name", ENTERPRISE, PERSON)
    assert name_of(found) == "ТД «Северный склад» (Ольга, бухгалтерия)"


async def test_everybody_who_asks_the_same_at_once_waits_for_one_look_up(rig: Rig) -> None:
    desk = desk_of(rig)
    found = await asyncio.gather(*[desk.who("customer-name", ENTERPRISE, KNOWN) for _ in range(20)])
    assert {name_of(each) for each in found} == {KNOWN_NAME}
    assert await searches(rig) == 1


async def test_another_instance_and_the_next_start_find_it_in_the_table(rig: Rig) -> None:
    await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    await desk_of(rig).who("customer-name", ENTERPRISE, STRANGER)
    await rig.service.directory.table.flush()
    before = await searches(rig)
    async with service_beside(rig.dsn, str(rig.sandbox.make_url("")).rstrip("/"), rig.clock) as other:
        found = await patient(other.directory).desk.who("customer-name", ENTERPRISE, "80290000001")
        nobody = await other.directory.desk.who("customer-name", ENTERPRISE, STRANGER)
        again = await other.directory.desk.who("customer-name", ENTERPRISE, KNOWN)
    assert (name_of(found), found.where, again.where) == (KNOWN_NAME, Where.DATABASE, Where.MEMORY)
    assert nobody.known is not None
    assert (nobody.known.contact, nobody.where) == (None, Where.DATABASE)
    assert await searches(rig) == before


async def test_that_nobody_has_a_number_is_believed_for_a_short_time_only(rig: Rig) -> None:
    desk = desk_of(rig)
    assert name_of(await desk.who("customer-name", ENTERPRISE, STRANGER)) is None
    await client(rig, "ООО Новое", "8 029 000 00 77")
    assert name_of(await desk.who("customer-name", ENTERPRISE, STRANGER)) is None, "fresh"
    rig.clock.now_ms += 120_000
    assert name_of(await desk.who("customer-name", ENTERPRISE, STRANGER)) is None, "said once more, and asked behind it"
    await until(lambda: rig.service.directory.lookups.open == 0)
    assert name_of(await desk.who("customer-name", ENTERPRISE, STRANGER)) == "ООО Новое"


async def test_what_has_grown_old_is_said_at_once_and_asked_anew_behind_the_answer(rig: Rig) -> None:
    desk = desk_of(rig)
    await desk.who("customer-name", ENTERPRISE, KNOWN)
    rig.clock.now_ms += 3_600_000
    await trouble(rig, action="hang", api="remap")
    found = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert (found.trust, found.where) == (Trust.AGED, Where.MEMORY)
    await rig.service.directory.lookups.close()
    await mended(rig)
    await desk.who("customer-name", ENTERPRISE, KNOWN)
    await until(lambda: rig.service.directory.lookups.open == 0)
    assert (await desk.who("customer-name", ENTERPRISE, KNOWN)).trust is Trust.FRESH
    assert await searches(rig) >= 2


# -- a deadline that is kept -----------------------------------------------------------------------------------------


async def test_a_slow_moysklad_is_not_waited_for_and_the_next_question_has_its_answer(rig: Rig) -> None:
    await rig.service.settings.current(ENTERPRISE)
    await trouble(rig, action="delay_ms", delay_ms=1_000, api="remap")
    desk = desk_of(rig, times=HURRIED)
    first = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert (first.known, first.reason, first.is_late) == (None, LATE, True)
    await until(lambda: rig.service.directory.lookups.open == 0)
    second = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert (name_of(second), second.where) == (KNOWN_NAME, Where.MEMORY)
    assert await searches(rig) == 1


async def test_a_dead_moysklad_is_an_honest_empty_answer(rig: Rig) -> None:
    await trouble(rig, action="drop_before", api="remap")
    found = await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    assert found.known is None
    assert "connection was lost" in found.reason


async def test_what_was_known_is_better_than_nothing_while_moysklad_is_away(rig: Rig) -> None:
    desk = desk_of(rig)
    await desk.who("customer-name", ENTERPRISE, KNOWN)
    rig.clock.now_ms += 2 * 86_400_000
    await trouble(rig, action="hang", api="remap")
    found = await desk_of(rig, times=HURRIED).who("customer-name", ENTERPRISE, KNOWN)
    assert (name_of(found), found.trust, found.reason, found.is_late) == (KNOWN_NAME, Trust.DOUBTED, LATE, True)
    await rig.service.directory.lookups.close()


async def test_a_table_that_hangs_makes_no_answer_late(rig: Rig) -> None:
    stuck = Stuck()
    table = Table(stuck, now_ms=rig.clock, read_s=0.05)
    desk = desk_of(rig, table=table)
    first = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert (name_of(first), first.where) == (KNOWN_NAME, Where.MOYSKLAD)
    await desk.who("customer-name", ENTERPRISE, STRANGER)
    assert (stuck.asked, table.missed) == (1, 2), "after the first it is left alone for a moment"
    stuck.let_go.set()


async def test_settings_that_hang_are_those_of_a_moment_ago(rig: Rig) -> None:
    await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)
    stuck = Stuck()
    settings = SettingsStore(stuck, Vault([KEY]), public_url="https://x.invalid")
    desk = desk_of(rig, settings=settings, times=HURRIED)
    never = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert (never.known, never.reason, never.is_late) == (None, NO_SETTINGS, True)
    settings._current[ENTERPRISE] = (0.0, await rig.service.settings.current(ENTERPRISE))  # seen long ago
    found = await desk.who("customer-name", ENTERPRISE, KNOWN)
    assert (name_of(found), found.where) == (KNOWN_NAME, Where.MEMORY)
    stuck.let_go.set()


async def test_more_questions_than_telephones_can_wait_for_are_answered_without(rig: Rig) -> None:
    await trouble(rig, action="hang", api="remap")
    desk = desk_of(rig, times=HURRIED)
    await rig.service.settings.current(ENTERPRISE)
    numbers = [f"+37529000{n:04}" for n in range(1_000, 1_000 + MAX_EACH + 5)]
    found = await asyncio.gather(*[desk.who("customer-name", ENTERPRISE, number) for number in numbers])
    assert [each.reason for each in found].count(CROWDED) == 5
    assert rig.service.directory.lookups.open == MAX_EACH
    await rig.service.directory.lookups.close()


# -- nobody needs to be asked ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("phone", "reason"),
    [("anonymous", HIDDEN), ("<unknown>", HIDDEN), ("Restricted", HIDDEN), ("151", SHORT), ("+151", SHORT)],
)
async def test_hidden_callers_and_extensions_are_nobody(rig: Rig, phone: str, reason: str) -> None:
    assert (await desk_of(rig).who("customer-name", ENTERPRISE, phone)).reason == reason
    assert await asked(rig) == []


async def test_an_integration_that_is_off_says_so(rig: Rig) -> None:
    await configure(rig, enabled=False)
    assert (await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)).reason == OFF
    assert await asked(rig) == []


async def test_without_a_token_nobody_is_asked(database_url: str) -> None:
    async with running(database_url, config={"api_token": ""}) as rig:
        assert (await desk_of(rig).who("customer-name", ENTERPRISE, KNOWN)).reason == NO_TOKEN
        assert await asked(rig) == []


async def test_an_enterprise_that_nobody_knows(rig: Rig) -> None:
    with pytest.raises(UnknownEnterprise):
        await desk_of(rig).who("customer-name", "9999", KNOWN)


# -- whose customers ------------------------------------------------------------------------------------------------

OTHER_KEY, OTHER_TOKEN = "b" * 40, "c" * 40


async def test_after_a_change_of_the_account_nobody_is_answered_with_the_old_one_s_customers(rig: Rig) -> None:
    seed = {
        "name": "other",
        "phone_key": OTHER_KEY,
        "api_token": OTHER_TOKEN,
        "counterparties": [{"name": "Совсем другие", "phone": "+375290000001"}],
    }
    async with rig.sandbox.post("/sandbox/seed", json={"accounts": [seed]}) as answer:
        assert answer.status == 200
    desk = desk_of(rig)
    assert name_of(await desk.who("customer-name", ENTERPRISE, KNOWN)) == KNOWN_NAME
    await rig.service.directory.table.flush()
    await configure(rig, integration_code=OTHER_KEY, api_token=OTHER_TOKEN)
    await rig.service.settings.current(ENTERPRISE)
    await trouble(rig, action="hang", api="remap", times=1)
    hurried = desk_of(rig, times=HURRIED)
    assert name_of(await hurried.who("customer-name", ENTERPRISE, KNOWN)) is None, "not even while the truth is not known yet"
    await rig.service.directory.lookups.close()
    assert name_of(await desk.who("customer-name", ENTERPRISE, KNOWN)) == "Совсем другие"
    await configure(rig)
    assert name_of(await desk.who("customer-name", ENTERPRISE, KNOWN)) == KNOWN_NAME
