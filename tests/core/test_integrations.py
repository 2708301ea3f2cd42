"""Which integrations are in force, read from the dispatcher's own row (PRODUCT E4)."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.integrations import Line, etag_of, read_integration

MS = {"enabled": True, "integration_code": "enc:v1:a", "api_token": ""}
SMART = {
    "primary": "ms",
    "lines": {
        "gsm:0001001": {"enabled": True, "do_routing": True, "algorithm": "ms"},
        "gsm:0001002": {"enabled": True, "do_routing": True, "algorithm": "retailcrm"},
        "sip:1": {"enabled": False, "algorithm": "ms"},
    },
}


def test_a_row_as_the_dispatcher_needs_it() -> None:
    found = read_integration("0367", {"ms": MS, "smart": SMART, "retailcrm": {"token": "x"}})
    assert found is not None
    assert (found.active, found.phone_api, found.main_api, found.primary, found.is_primary) == (True, True, False, "ms", True)
    assert found.lines == (
        Line(line="gsm:0001001", enabled=True, do_routing=True),
        Line(line="sip:1", enabled=False, do_routing=True),
    )


def test_a_row_that_is_a_json_string_is_the_same_row() -> None:
    whole = {"ms": MS, "smart": SMART}
    assert read_integration("0367", json.dumps(whole)) == read_integration("0367", whole)
    assert read_integration("0367", {"ms": json.dumps(MS), "smart": SMART}) == read_integration("0367", whole)


@pytest.mark.parametrize("whole", [None, {}, "", "not json", [], {"retailcrm": {}}, {"smart": {"primary": "bitrix24"}}])
def test_who_has_nothing_to_do_with_moysklad_is_left_out(whole: Any) -> None:
    assert read_integration("0367", whole) is None


def test_who_asks_moysklad_first_is_told_although_it_is_not_configured() -> None:
    found = read_integration("0367", {"smart": {"primary": "ms"}})
    assert found is not None
    assert (found.active, found.is_primary) == (False, True)


def test_the_revision_changes_with_what_concerns_us_and_with_nothing_else() -> None:
    def revision(**changed: Any) -> str:
        found = read_integration("0367", {"ms": MS, "smart": SMART, "other": 1, **changed})
        assert found is not None
        return found.revision

    assert revision() == revision(other=2)
    assert revision(ms={**MS, "api_token": "enc:v1:b"}) != revision()
    assert revision(smart={"primary": "uon", "lines": SMART["lines"]}) != revision()


def test_the_etag_names_the_whole_whatever_its_order() -> None:
    one, two = read_integration("1", {"ms": MS}), read_integration("2", {"ms": MS})
    assert one is not None
    assert two is not None
    assert etag_of([one, two]) == etag_of([two, one]) != etag_of([one])
    assert etag_of([]) != etag_of([one])


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.sampled_from(["ms", "smart", "lines", "primary", "algorithm", "enabled", "x"]), inner), max_leaves=20))
def test_whatever_stands_in_the_row_is_survived(whole: Any) -> None:
    read_integration("0367", whole)
