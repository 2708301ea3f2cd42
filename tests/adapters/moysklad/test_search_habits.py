"""What proves that MoySklad's search compares digits, and what an unknown number costs then."""

from __future__ import annotations

from typing import Any

import pytest

from adapters.moysklad.numbers import NumberKey, number_key
from adapters.moysklad.search_habits import ENOUGH, SearchHabits
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


def test_both_kinds_and_several_of_each_are_proof() -> None:
    owns, persons = [own(nth) for nth in range(ENOUGH)], [person(nth) for nth in range(ENOUGH)]
    assert seen(*owns, *persons).compares_digits
    assert not seen(*owns).compares_digits
    assert not seen(*persons).compares_digits
    assert not seen(*owns, *persons[1:]).compares_digits
    assert not seen(*owns, *([persons[0]] * ENOUGH)).compares_digits, "one customer is one customer"


@pytest.mark.parametrize(
    "more",
    [{"phone": "375290000001"}, {"name": "375290000001"}, {"code": "290000001"}, {"description": "было +375290000001"}],
)
def test_a_text_that_holds_the_digits_proves_nothing(more: dict[str, Any]) -> None:
    persons = [person(nth) for nth in range(ENOUGH)]
    assert not seen(*(own(nth, **more) for nth in range(ENOUGH)), *persons).compares_digits
    owns = [own(nth) for nth in range(ENOUGH)]
    assert not seen(*owns, *(person(nth, **more) for nth in range(ENOUGH))).compares_digits


def test_who_has_the_number_twice_proves_neither() -> None:
    both = [{**person(nth), "phone": TYPED} for nth in range(ENOUGH)]
    assert not seen(*both, *(own(nth) for nth in range(ENOUGH))).compares_digits
    assert not seen(*both, *(person(nth) for nth in range(9, 9 + ENOUGH))).compares_digits


@pytest.mark.parametrize(("normalises", "searches"), [(True, 1), (False, 4)])
async def test_an_unknown_number_costs_one_search_once_it_is_proven(normalises: bool, searches: int) -> None:
    workers = [ContactPersonSeed(name="Игорь", phone=f"+7 916 123-45-6{nth}") for nth in range(ENOUGH)]
    firms = [
        CounterpartySeed(name=f"Фирма {nth}", phone="8 812 000-00-00", contact_persons=(each,)) for nth, each in enumerate(workers)
    ]
    people = [CounterpartySeed(name=f"Анна {nth}", phone=f"+375 29 000-00-0{nth}") for nth in range(ENOUGH)]
    async with facing_sandbox(*firms, *people, search_normalises_digits=normalises, limits_enforced=False) as rig:
        assert len((await rig.perform(FindContact(number=NOBODY))).exchanges) == 4
        for nth in range(ENOUGH):
            for number in (f"+7916123456{nth}", f"+37529000000{nth}"):
                assert (await rig.perform(FindContact(number=number))).result["contact"]
        assert len((await rig.perform(FindContact(number=NOBODY))).exchanges) == searches
