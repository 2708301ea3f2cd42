"""What a webhook's delivery tells, and which webhooks are wanted (CONTRACT-MOYSKLAD 2.8)."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.hooks import MAX_EVENTS, WANTED, Changed, Hook, repairs, told

BASE = "https://api.moysklad.ru/api/remap/1.2"
URL = "https://calls.example.org/ms/hooks/01fcb79a-a599-4fd5-8ce6-7d191ee0741b"


def event(kind: str, path: str, action: str, *fields: str) -> dict[str, Any]:
    found: dict[str, Any] = {"meta": {"type": kind, "href": f"{BASE}{path}"}, "action": action, "accountId": "a"}
    return {**found, "updatedFields": list(fields)} if fields else found


@pytest.mark.parametrize(
    ("events", "changed"),
    [
        (
            [event("counterparty", "/entity/counterparty/c1", "CREATE")],
            Changed(contacts=frozenset({"c1"}), made=frozenset({"c1"}), phones=True),
        ),
        (
            [event("counterparty", "/entity/counterparty/c1", "UPDATE", "phone")],
            Changed(contacts=frozenset({"c1"}), made=frozenset({"c1"}), phones=True),
        ),
        ([event("counterparty", "/entity/counterparty/c1", "UPDATE", "owner")], Changed(contacts=frozenset({"c1"}))),
        ([event("counterparty", "/entity/counterparty/c1", "UPDATE", "salesAmount", "state")], Changed()),
        (
            [event("counterparty", "/entity/counterparty/c1", "UPDATE")],
            Changed(contacts=frozenset({"c1"}), made=frozenset({"c1"}), phones=True),
        ),
        ([event("counterparty", "/entity/counterparty/c1", "DELETE")], Changed(contacts=frozenset({"c1"}))),
        (
            [event("contactperson", "/entity/counterparty/c1/contactpersons/p1", "CREATE")],
            Changed(contacts=frozenset({"c1"}), persons=frozenset({"p1"}), phones=True),
        ),
        (
            [event("contactperson", "/entity/contactperson/p1", "DELETE")],
            Changed(persons=frozenset({"p1"})),
        ),
        (
            [event("employee", "/entity/employee/e1", "UPDATE", "archived")],
            Changed(employees=frozenset({"e1"}), staff=True),
        ),
        ([event("product", "/entity/product/x", "UPDATE", "name")], Changed()),
        ([event("counterparty", "/entity/counterparty/c1", "PROCESSED")], Changed()),
    ],
)
def test_what_a_delivery_tells(events: list[Any], changed: Changed) -> None:
    assert told({"auditContext": {}, "events": events}) == changed
    assert bool(changed) == (changed != Changed())


def test_an_import_of_thousands_counts_as_everything() -> None:
    many = [event("product", f"/entity/product/{n}", "CREATE") for n in range(MAX_EVENTS + 1)]
    assert told({"events": many}).phones


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.sampled_from(["events", "meta", "href", "type", "action", "updatedFields"]) | st.text(max_size=5), inner),
    max_leaves=20,
)


@given(JSON)
def test_whatever_comes_there_is_an_answer(body: Any) -> None:
    assert isinstance(told(body), Changed)


@pytest.mark.parametrize("href", [f"{BASE}/entity/counterparty/", "", "x" * 2_000, "counterparty/c1/contactpersons", 5])
def test_an_odd_link_is_survived(href: Any) -> None:
    assert isinstance(told({"events": [{"meta": {"type": "contactperson", "href": href}, "action": "UPDATE"}]}), Changed)


# -- which are wanted -----------------------------------------------------------------------------------------------


def hooks(url: str = URL, **changed: Any) -> list[Hook]:
    found = [Hook(id=str(n), url=url, entity=e, action=a, is_right=True) for n, (e, a) in enumerate(WANTED)]
    return [Hook(**{**{name: getattr(each, name) for name in each.__slots__}, **changed}) for each in found]


def test_a_new_account_gets_all_of_them_and_one_that_has_them_none() -> None:
    assert repairs([], URL).create == WANTED
    assert not repairs(hooks(), URL)


def test_what_is_off_is_mended_and_what_is_double_goes() -> None:
    there = hooks()
    off = Hook(id="00", url=URL, entity="counterparty", action="UPDATE", is_right=False)
    fixed = repairs([off, *there], URL)
    assert (fixed.create, fixed.mend) == ((), (off,))
    assert [hook.action for hook in fixed.remove] == ["UPDATE"]
    odd = Hook(id="99", url=URL, entity="product", action="CREATE", is_right=True)
    assert repairs([*there, odd], URL).remove == (odd,)


def test_others_are_left_alone_and_ours_move_with_the_service() -> None:
    foreign = hooks("https://shop.example.org/hook")
    assert repairs([*foreign, *hooks()], URL).remove == ()
    moved = hooks(URL.replace("calls.", "old-calls."))
    assert repairs(moved, URL).create == WANTED
    assert set(repairs(moved, URL).remove) == set(moved)
