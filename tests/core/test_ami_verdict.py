"""The two tables of how a call ended: each row once, and that the tables are the ones a person reads."""

from __future__ import annotations

import itertools

import pytest

from core.ami_peers import Side
from core.ami_verdict import ANSWERED, CANCELLED, GONE, RANG_BEFORE, Leg, leg_end, verdict
from core.values import Direction, Outcome

IN, OUT, INTERNAL = Direction.INCOMING, Direction.OUTGOING, Direction.INTERNAL


def leg(status: str, cause: int | None = None, sip: int | None = None, *, side: Side = Side.PHONE, rang: bool = False) -> Leg:
    return Leg(channel="1.1", who="101", side=side, status=status, cause=cause, sip=sip, rang=rang, asked=sip is not None)


@pytest.mark.parametrize(
    ("one", "word"),
    [
        (leg("BUSY", 17, 486), "busy"),
        (leg("BUSY"), "busy"),
        (leg("NOANSWER", 17), "busy"),
        (leg("NOANSWER", 21, 603, rang=True), "declined"),
        (leg("NOANSWER", 21, 600), "declined"),
        (leg("NOANSWER", 21, 403), "rejected"),
        (leg("NOANSWER", 21, 401, side=Side.OUTSIDE), "rejected"),
        (leg("NOANSWER", 21), "declined"),
        (leg("NOANSWER", 21, side=Side.OUTSIDE, rang=True), "declined"),
        (leg("NOANSWER", 21, side=Side.OUTSIDE), "rejected"),
        (leg("CONGESTION", 34, 503), "failed"),
        (leg("CHANUNAVAIL"), "failed"),
        (leg("NOANSWER", 1, 404, side=Side.OUTSIDE), "failed"),
        (leg("NOANSWER", 3), "failed"),
        (leg("NOANSWER", 20), "failed"),
        (leg("NOANSWER", 38, 500), "failed"),
        (leg("NOANSWER", 18, 408), "failed"),
        (leg("NOANSWER", 19, 480), "failed"),
        (leg("NOANSWER", 19, 480, rang=True), "unanswered"),
        (leg("NOANSWER", 19), "unanswered"),
        (leg("NOANSWER", 0, rang=True), "unanswered"),
        (leg("NOANSWER", 16), "unanswered"),
        (leg("CANCEL", 26), "cancelled"),
        (leg("CANCEL", 127, rang=True), "cancelled"),
        (leg(GONE, 16), "cancelled"),
        (leg(RANG_BEFORE), "unanswered"),
        (leg("SOMETHING NEW"), "unanswered"),
    ],
)
def test_why_a_leg_did_not_get_through(one: Leg, word: str) -> None:
    assert leg_end(one) == word


def told(
    direction: Direction, *legs: Leg, answered: bool = False, gave_up: bool = False, away: bool = False, cause: int = 16
) -> str:
    return verdict(direction, legs, answered=answered, gave_up=gave_up, turned_away=away, cause=cause).value


RANG, BUSY, DECLINED, FAILED = (leg(*each) for each in (("NOANSWER", 0), ("BUSY", 17), ("NOANSWER", 21, 603), ("CONGESTION", 34)))


@pytest.mark.parametrize("direction", [IN, INTERNAL])
def test_how_a_call_to_an_employee_ended(direction: Direction) -> None:
    assert told(direction, RANG, answered=True) == "answered"
    assert told(direction, leg("CANCEL", 127), gave_up=True) == "abandoned"
    assert told(direction, BUSY, RANG, DECLINED) == "missed"
    assert told(direction, BUSY, DECLINED, FAILED) == "declined"
    assert told(direction, FAILED, BUSY) == "busy"
    assert told(direction, FAILED, leg("CANCEL", 26)) == "failed"
    assert told(direction) == "missed"
    assert told(direction, cause=3) == "failed"
    assert told(direction, away=True, cause=34) == "rejected"
    assert told(direction, RANG, away=True, cause=34) == "missed"


def test_how_a_call_to_a_customer_ended() -> None:
    outside = [leg("NOANSWER", 21, 403, side=Side.OUTSIDE), leg("BUSY", 17, side=Side.OUTSIDE)]
    assert told(OUT, *outside, answered=True) == "answered"
    assert told(OUT, leg("CANCEL", 127, side=Side.OUTSIDE), gave_up=True) == "cancelled"
    assert told(OUT, *outside) == "busy"
    assert told(OUT, *reversed(outside)) == "rejected"
    assert told(OUT, leg("NOANSWER", 0, side=Side.OUTSIDE)) == "unanswered"
    assert told(OUT) == "unanswered"


def test_the_employees_own_telephone_and_local_channels_count_for_nothing() -> None:
    own = Leg(channel="1", who="101", side=Side.PHONE, own=True, status="NOANSWER", cause=0)
    local = Leg(channel="2", who="x", side=Side.LOCAL, status="NOANSWER", cause=0)
    assert told(IN, own, local, BUSY) == "busy"


def test_every_combination_has_a_verdict_that_is_an_outcome() -> None:
    statuses = ("BUSY", "NOANSWER", "CONGESTION", "CHANUNAVAIL", CANCELLED, ANSWERED, GONE, "?")
    for status, cause, side, rang, direction in itertools.product(
        statuses, (None, *range(128)), (Side.PHONE, Side.OUTSIDE), (True, False), Direction
    ):
        assert told(direction, leg(status, cause, side=side, rang=rang)) in set(Outcome)
