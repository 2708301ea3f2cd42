"""A call that is heard over AMI: its word on the end counts, its times are exact, its telephones stop ringing one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from msgspec import structs

from core.call import evolve
from core.conclusions import end_ms, outcome
from core.decisions import complete
from core.events import DialObserved, HangupObserved
from core.hangups import is_unheard_end
from core.values import Direction, Outcome
from tests.scenario import call_of, events, ms

RING = "0 A start\n0.5 A dial 101 102\n"
TALK = RING + "5 A enter b1 customer\n5 A enter b1 101\n35 A leave b1 101\n35 A leave b1 customer\n35 A close b1\n"


@pytest.mark.parametrize(
    "verdict",
    [each.value for each in Outcome if each not in (Outcome.ANSWERED, Outcome.INTERNAL, Outcome.LOST, Outcome.UNANSWERED)],
)
def test_the_outcome_is_what_ami_told(verdict: str) -> None:
    assert outcome(call_of(RING + f"9 A hangup verdict={verdict}")) == verdict


def test_a_talk_that_was_seen_is_an_answer_whatever_was_told() -> None:
    assert outcome(call_of(TALK + "35.4 A hangup verdict=missed")) is Outcome.ANSWERED


def test_a_verdict_that_is_none_is_not_believed() -> None:
    assert outcome(call_of(RING + "9 A hangup verdict=exploded")) is Outcome.MISSED


@pytest.mark.parametrize("order", ["35.4 A hangup 101 answered\n36 A hangup verdict=answered by=101 end=35.07\n", ""])
def test_of_two_hangups_ami_s_counts_whichever_comes_first(order: str) -> None:
    later = "36 A hangup verdict=answered by=101\n37 A hangup 101 answered\n"
    call = call_of(TALK + (order or later))
    assert call.hangup is not None
    assert (call.hangup.verdict, call.hangup.hung_up_by) == ("answered", "101")


def test_an_exact_end_is_taken_as_it_is() -> None:
    (hangup,) = (each for each in events(RING + "9 A hangup verdict=missed") if isinstance(each, HangupObserved))
    call = evolve(call_of(RING), replace(hangup, ended_ms=ms(8.123)))
    assert end_ms(call) == ms(8.123)


def test_an_end_that_nobody_heard_is_no_verdict_and_anything_else_is_better() -> None:
    (hangup,) = (each for each in events(RING + "9 A hangup") if isinstance(each, HangupObserved))
    unheard = replace(hangup, wire="ami/lab")
    assert is_unheard_end(unheard)
    lost = evolve(call_of(RING), unheard)
    assert outcome(lost) is Outcome.LOST
    assert outcome(evolve(lost, hangup)) is Outcome.MISSED, "the script's hangup knows more"
    assert outcome(evolve(call_of(TALK), unheard)) is Outcome.ANSWERED


def test_who_stopped_ringing_is_not_rung_any_more_but_was() -> None:
    call = call_of(RING + "3 A stopped 101 busy")
    assert (call.ringing, call.rung) == (("102",), ("101", "102"))
    again = call_of(RING + "3 A stopped 101 busy\n4 A dial 101")
    assert again.ringing == ("101",)


def test_a_dial_that_the_script_repeats_later_rings_nobody_anew() -> None:
    dial, stopped = events("0.5 A dial 101\n3 A stopped 101 unanswered")
    assert isinstance(dial, DialObserved)
    heard = evolve(evolve(call_of("0 A start"), replace(dial, wire="ami/lab")), stopped)
    echo = replace(dial, heard_ms=ms(5), trunk="another name")
    assert evolve(heard, echo).ringing == ()
    assert evolve(heard, replace(echo, extensions=("101", "103"))).ringing == ("101", "103"), "this one says something new"
    assert evolve(heard, replace(echo, heard_ms=ms(60))).ringing == ("101",), "a minute later it is no echo"
    assert evolve(heard, replace(echo, direction=Direction.INTERNAL)).ringing == ()


@pytest.mark.parametrize(
    ("table", "settled"),
    [
        (RING + "9 A hangup verdict=busy", True),
        (TALK + "35.4 A hangup verdict=answered", True),
        (RING + "5 A enter b1 customer\n5 A enter b1 101\n9 A hangup verdict=answered", False),  # who talked is still to come
        (RING + "9 A hangup verdict=answered", False),
        (RING + "9 A hangup", False),
    ],
)
def test_what_ami_told_needs_no_grace(table: str, settled: bool) -> None:
    assert bool(complete(call_of(table))) is settled


def test_a_script_s_hangup_of_a_call_heard_over_ami_waits_for_ami_s() -> None:
    call = call_of(TALK + "35.4 A hangup 101 answered")
    assert complete(call)
    assert not complete(structs.replace(call, over_ami=True))
