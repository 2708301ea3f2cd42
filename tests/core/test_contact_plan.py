"""The customer of a call: one per number and enterprise, and why there may be none. What a call does with him: ``test_plan.py``."""

from __future__ import annotations

import pytest

from core.contact_plan import KNOWN, contact_sync_id, no_contact_because, nobodys_number
from tests.scenario import NUMBER, call_of, given
from tests.settings import SETTINGS, settings_with


def test_a_number_is_one_client_of_one_enterprise() -> None:
    assert contact_sync_id("0367", NUMBER) == contact_sync_id("0367", NUMBER)
    assert len({contact_sync_id("0367", NUMBER), contact_sync_id("0368", NUMBER), contact_sync_id("0367", "+375290000002")}) == 3


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (NUMBER, ""),
        ("anonymous", "a hidden caller is nobody's contact"),
        ("777", "an extension is nobody's contact"),
        ("+151", "an extension is nobody's contact"),
    ],
)
def test_whose_number_can_be_somebodys(number: str, reason: str) -> None:
    call = call_of(f"0 A start {number}")
    assert nobodys_number(call) == reason
    assert no_contact_because(call, SETTINGS) == reason


def test_a_client_who_is_known_is_not_looked_for() -> None:
    assert no_contact_because(given("0 A dial 101").call(), SETTINGS) == KNOWN


def test_without_the_main_api_nobody_is_looked_for() -> None:
    call = call_of("0 A start")
    assert no_contact_because(call, settings_with(main_api=False)).startswith("no main API token")
