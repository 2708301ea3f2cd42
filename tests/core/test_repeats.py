"""When a dial that says what one before it said is another one."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.events import AnyObservation, DialObserved, Event
from core.repeats import AGAIN_MS, digest_of_ringing_again
from core.signals import content_digest
from tests.scenario import events, ms

STREAM = "call/A"


def again(table: str, dial: str) -> bytes | None:
    history: list[Event] = [*events(table)]
    (event,) = events(dial)
    assert isinstance(event, DialObserved)
    return digest_of_ringing_again(STREAM, history, event)


TURNS = "0 A start\n0 A dial 101\n12 A dial 102\n"


def test_who_is_rung_again_after_somebody_else_rings_again() -> None:
    (event,) = events("24 A dial 101")
    found = again(TURNS, "24 A dial 101")
    assert found is not None
    assert found != content_digest(event, STREAM)
    third = again(TURNS + "24 A dial 101\n36 A dial 102\n", "48 A dial 101")
    assert third not in (None, found), "each turn is told from the others"


def test_who_is_sent_the_customer_whom_another_one_picked_up_rings_again() -> None:
    picked_up = "0 A start\n0 A dial 101\n5 A enter b1 103\n5 A enter b1 customer\n"
    assert again(picked_up, "24 A dial 101") is not None
    assert again(picked_up, "14 A dial 101") is None, "delivered twice"
    assert again(picked_up + "24 A dial 101\n", "60 A dial 101") is None
    answered = "0 A start\n0 A dial 101\n5 A enter b1 101\n5 A enter b1 customer\n"
    assert again(answered, "24 A dial 101") is None, "an instance that had stopped brings it late"
    assert again(answered + "12 A enter b2 102\n", "24 A dial 101") is not None, "102 took over, and sends him back"


@pytest.mark.parametrize(
    ("table", "dial"),
    [
        (TURNS, "24 A dial 103"),  # never said before
        (TURNS, "13 A dial 102"),  # the last one repeated
        (TURNS, "40 A dial 102"),
        ("0 A dial 101\n", "60 A dial 101"),
        (TURNS, "14.9 A dial 101"),  # too soon: delivered twice, and overtaken
        (TURNS + "20 A hangup", "24 A dial 101"),  # nobody rings any more
        (TURNS + "24 A dial 101\n", "25 A dial 101"),
        (TURNS + "24 A dial 101\n", "60 A dial 101"),
        ("", "24 A dial 101"),
    ],
)
def test_what_is_a_repeat(table: str, dial: str) -> None:
    assert again(table, dial) is None


def test_how_soon_is_too_soon() -> None:
    (dial,) = events("24 A dial 101")
    at_the_border: AnyObservation = replace(dial, heard_ms=ms(0) + AGAIN_MS)
    assert isinstance(at_the_border, DialObserved)
    assert digest_of_ringing_again(STREAM, events(TURNS), at_the_border) is not None
    assert digest_of_ringing_again(STREAM, events(TURNS), replace(at_the_border, heard_ms=ms(0) + AGAIN_MS - 1)) is None
