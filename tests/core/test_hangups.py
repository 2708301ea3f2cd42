"""Which of several hangups of one call proves more, and what one over AMI proves."""

from __future__ import annotations

import pytest

from core.events import HangupObserved
from core.hangups import better_hangup, is_ami, is_unheard_end
from tests.scenario import events


def hangup(line: str) -> HangupObserved:
    (event,) = events(line)
    assert isinstance(event, HangupObserved)
    return event


@pytest.mark.parametrize(
    ("less", "more"),
    [
        ("hangup 102", "hangup answered end=none"),
        ("hangup answered", "hangup 101 answered end=none"),
        ("hangup 101 answered end=none", "hangup 101 answered end=1"),
        ("hangup 101 answered end=1", "hangup 101 answered end=2"),
    ],
)
def test_what_makes_a_hangup_prove_more(less: str, more: str) -> None:
    first, second = hangup(f"9 A {less}"), hangup(f"9 A {more}")
    assert better_hangup(first, second) == better_hangup(second, first) == second


def test_of_two_that_prove_as_much_the_known_one_stays() -> None:
    known = hangup("9 A hangup 101 end=9")
    assert better_hangup(known, hangup("12 A hangup 101 end=9")) is known


def test_only_ami_says_how_a_call_ended() -> None:
    assert not is_ami(hangup("9 A hangup 101"))
    assert not is_unheard_end(hangup("9 A hangup 101"))
    assert is_ami(hangup("9 A hangup 101 verdict=busy"))
    assert not is_unheard_end(hangup("9 A hangup 101 verdict=busy"))
