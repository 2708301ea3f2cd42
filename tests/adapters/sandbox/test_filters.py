"""The filter grammar, on its own and through GET /employee (CONTRACT-MOYSKLAD 1.6)."""

from __future__ import annotations

import pytest

from adapters.sandbox.errors import ApiError
from adapters.sandbox.filters import matches, parse_filter
from tests.adapters.sandbox.support import Rig


@pytest.mark.parametrize(
    ("wanted", "extensions"),
    [
        ("extention=101", ["101"]),
        ("extention=101;extention=152", ["101", "152"]),
        ("extention~=10", ["101", "102", "103"]),
        ("extention=~2", ["102", "152"]),
        ("extention~5", ["150", "151", "152"]),
        ("extention!=101;extention!=102", ["103", "150", "151", "152"]),
        ("extention!=", ["101", "102", "103", "150", "151", "152"]),
        ("extention=", []),
        ("extention=999", []),
    ],
)
async def test_employees_by_extension(rig: Rig, wanted: str, extensions: list[str]) -> None:
    reply = await rig.phone("GET", "/employee", params={"filter": wanted})
    assert reply.status == 200
    assert [one["extention"] for one in reply.body["employees"]] == extensions


async def test_an_employee_looks_as_documented(rig: Rig) -> None:
    reply = await rig.phone("GET", "/employee/", params={"filter": "extention=101"})
    href = rig.employee_href("101")
    assert reply.body == {
        "employees": [
            {
                "meta": {"href": href, "type": "employee", "mediaType": "application/json"},
                "extention": "101",
            }
        ]
    }


@pytest.mark.parametrize(
    "wanted",
    [
        "extension=101",  # the field is spelt extention
        "name=Анна",
        "extention",
        "extention>5",
        "extention=101;extention!=102",
        "",
        ";",
    ],
)
async def test_bad_filters_are_1034(rig: Rig, wanted: str) -> None:
    reply = await rig.phone("GET", "/employee", params={"filter": wanted})
    assert reply.error == (412, [1034])


def test_escapes_case_and_emptiness() -> None:
    conditions = parse_filter(r"name=a\;b;name=C\x", fields=("name",))
    assert [one.value for one in conditions] == ["a;b", r"C\x"]
    assert matches(conditions, lambda _: ("A;B",))
    assert matches(conditions, lambda _: (r"c\X",))
    assert not matches(conditions, lambda _: ("ab",))
    empty_or_one = parse_filter("name=;name=one", fields=("name",))
    assert matches(empty_or_one, lambda _: ())
    assert matches(empty_or_one, lambda _: ("ONE",))
    assert not matches(empty_or_one, lambda _: ("two",))


def test_comparisons_only_where_allowed() -> None:
    conditions = parse_filter("moment>=2026;moment<2027", fields=("moment",), comparisons=("moment",))
    assert matches(conditions, lambda _: ("2026-07",))
    assert not matches(conditions, lambda _: ("2025-07",))
    with pytest.raises(ApiError):
        parse_filter("moment>2026", fields=("moment",))
