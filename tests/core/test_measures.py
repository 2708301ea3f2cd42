"""What is measured of a call: talks, and how long the phone had rung for them."""

from __future__ import annotations

import pytest

from core.measures import involved, talked_ms, wait_ms
from tests.scenario import call_of

RING = "0 A start\n1 A dial 101 102\n"
ANSWERED = RING + "5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"
HANDED_ON = ANSWERED + "36 A dial 103\n40 A enter b2 customer\n40 A enter b2 103\n50 A leave b2 103\n50 A leave b2 customer\n"


@pytest.mark.parametrize(
    ("table", "talked", "waited", "who"),
    [
        (RING, {}, None, ("101", "102")),
        (ANSWERED, {"101": 30_000}, 4_000, ("101", "102")),
        (HANDED_ON, {"101": 30_000, "103": 10_000}, 4_000, ("101", "102", "103")),
        ("0 A start\n1 A dial 101\n9 A dial 102\n12 A enter b1 customer\n12 A enter b1 102\n", {"102": 0}, 3_000, ("101", "102")),
        ("0 A start\n1 A dial 101\n5 A enter b1 customer\n5 A enter b1 103\n", {"103": 0}, 4_000, ("101", "103")),
        ("0 A start\n5 A enter b1 customer\n5 A enter b1 103\n", {"103": 0}, None, ("103",)),
        ("0 A dial out 101\n6 A enter b1 101\n6 A enter b1 customer\n9 A leave b1 customer\n", {"101": 3_000}, 6_000, ("101",)),
        (RING + "5 A enter b1 customer\n5 A enter b1 101\n35 A hangup 101 answered\n", {"101": 30_000}, 4_000, ("101", "102")),
        ("0 A dial 102 internal number=101\n", {}, None, ("101", "102")),
        ("9 A hangup 102 internal number=101\n", {}, None, ("101",)),
        ("", {}, None, ()),
    ],
)
def test_who_talked_how_long_and_how_long_the_phone_rang(
    table: str, talked: dict[str, int], waited: int | None, who: tuple[str, ...]
) -> None:
    call = call_of(table)
    assert (talked_ms(call), wait_ms(call), involved(call)) == (talked, waited, who)
