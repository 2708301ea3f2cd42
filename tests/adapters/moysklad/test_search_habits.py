"""What proves that MoySklad's search compares digits, and what an unknown number costs then."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from adapters.moysklad.numbers import NumberKey, number_key
from adapters.moysklad.search_habits import SearchHabits
from adapters.moysklad.short_look import FRESH_S
from adapters.sandbox.seed import ContactPersonSeed, CounterpartySeed
from core.effects import FindContact
from tests.adapters.moysklad.support import facing_sandbox

NUMBER, TYPED = "+375290000001", "8 (029) 000-00-01"
NOBODY = "+375290000009"


def key_of(number: str) -> NumberKey:
    key = number_key(number)
    assert key is not None
    return key


def own(nth: int, **more: Any) -> dict[str, Any]:
    return {"id": f"own-{nth}", "name": "Анна", "phone": TYPED, **more}


def person(nth: int, phone: str = TYPED, **more: Any) -> dict[str, Any]:
    persons = {"rows": [{"id": "p", "name": "Игорь", "phone": phone}]}
    return {"id": f"firm-{nth}", "name": "Фирма", "contactpersons": persons, **more}


def seen(*rows: dict[str, Any]) -> SearchHabits:
    habits = SearchHabits()
    habits.see(key_of(NUMBER), rows)
    return habits


def test_one_of_each_kind_is_proof() -> None:
    assert seen(own(1), person(1)).compares_digits
    assert not seen(own(1), own(2)).compares_digits
    assert not seen(person(1), person(2)).compares_digits


@pytest.mark.parametrize(
    "more",
    [{"phone": "375290000001"}, {"name": "375290000001"}, {"code": "290000001"}, {"description": "было +375290000001"}],
)
def test_a_text_that_holds_the_digits_proves_nothing(more: dict[str, Any]) -> None:
    assert not seen(own(1, **more), person(1)).compares_digits
    assert not seen(own(1), person(1, **more)).compares_digits


def test_who_has_the_number_twice_proves_neither() -> None:
    both = {**person(9), "phone": TYPED}
    assert not seen(both, own(1)).compares_digits
    assert not seen(both, person(1)).compares_digits


def probed(habits: SearchHabits, *rows: dict[str, Any]) -> list[tuple[str, str]]:
    return [(key.digits, row["id"]) for key, row in habits.probes(rows)]


def test_it_is_tried_with_one_customer_of_each_kind_that_is_not_proven() -> None:
    rows = [own(1, name="80290000001"), own(2), own(3), person(1), person(2)]
    assert probed(SearchHabits(), *rows) == [("0290000001", "own-2"), ("0290000001", "firm-1")]
    assert probed(seen(own(1)), *rows) == [("0290000001", "firm-1")]
    assert probed(seen(own(1), person(1)), *rows) == []


@pytest.mark.parametrize(
    "phone", ["", "12-34", "+375 29 000-00-01 доб. 12", "+375 29 000-00-01, 8 029 000-00-02", "290000001", None, 5]
)
def test_a_phone_that_is_not_just_one_number_with_separators_is_no_trial(phone: Any) -> None:
    assert probed(SearchHabits(), {"id": "c", "name": "Анна", "phone": phone}, {"id": "d", "name": "Анна"}) == []


@pytest.mark.parametrize(("normalises", "searches"), [(True, 1), (False, 2)])
async def test_an_unknown_number_costs_one_search_once_it_is_proven(normalises: bool, searches: int) -> None:
    worker = ContactPersonSeed(name="Игорь", phone="+7 916 123-45-60")
    firm = CounterpartySeed(name="Фирма", phone="8 812 000-00-00", contact_persons=(worker,))
    anna = CounterpartySeed(name="Анна", phone="+375 29 000-00-00")
    async with facing_sandbox(firm, anna, search_normalises_digits=normalises) as rig:
        for number in ("+79161234560", "+375290000000"):
            assert (await rig.perform(FindContact(number=number))).result["contact"]
        await asyncio.sleep(0 if normalises else FRESH_S)
        assert len((await rig.perform(FindContact(number=NOBODY))).exchanges) == searches
