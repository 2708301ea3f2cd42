"""The circuit breaker of one credential: what each outcome makes of each state, and when the next try is due."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.moysklad.breaker import (
    LONGEST_WAIT_MS,
    OPENS_AT,
    PROBE_LOOK_MS,
    REFUSED_WAITS_MS,
    TABLE,
    Away,
    Breaker,
    Go,
    Never,
    Outcome,
    Pause,
    State,
    outcome_of,
)
from adapters.moysklad.errors import Answer, ApiUnavailable, Trouble, problem_of
from core.values import Urgency
from tests.adapters.moysklad.virtual import BACKLOG, ENDED, LIVE, NO_KEY

SECOND = 1_000


def proven(now_ms: int = 0) -> Breaker:
    """A breaker of a process that has had a success."""
    breaker = Breaker(now_ms=now_ms)
    tell(breaker, now_ms, Outcome.GOOD)
    return breaker


def tell(breaker: Breaker, now_ms: int, outcome: Outcome, *, probe: bool = False) -> bool:
    """A request is over."""
    refusal = NO_KEY if outcome is Outcome.REFUSED else None
    return breaker.left(now_ms, outcome, probe=probe, chance=1.0, reason=f"it was {outcome}", refusal=refusal)


def probe(breaker: Breaker, now_ms: int, outcome: Outcome, urgency: Urgency = LIVE) -> None:
    """A try at this time, which must be allowed."""
    advice = breaker.advise(now_ms, urgency)
    assert advice == Go(probe=True)
    breaker.entered(advice)
    tell(breaker, now_ms, outcome, probe=True)


def opened() -> Breaker:
    """Away since the third failure, at 0."""
    breaker = proven()
    for _ in range(OPENS_AT):
        tell(breaker, 0, Outcome.AWAY)
    assert breaker.state is State.OPEN
    return breaker


def refused() -> Breaker:
    """Everything refused, since 0."""
    breaker = proven()
    tell(breaker, 0, Outcome.REFUSED)
    return breaker


def test_the_table_has_every_pair() -> None:
    assert {state: set(row) for state, row in TABLE.items()} == {state: set(Outcome) for state in State}


@pytest.mark.parametrize(("state", "outcome"), list(itertools.product(State, Outcome)))
def test_the_breaker_does_what_the_table_says(state: State, outcome: Outcome) -> None:
    breaker = {State.CLOSED: proven, State.OPEN: opened, State.REFUSED: refused}[state]()
    if state is State.CLOSED:
        for _ in range(OPENS_AT - 1):
            tell(breaker, 0, Outcome.AWAY)
            assert breaker.state is State.CLOSED
        tell(breaker, 10, outcome)
    else:
        probe(breaker, 10 * SECOND, outcome)
    assert breaker.state is TABLE[state][outcome]
    assert breaker.proven


def test_one_success_closes_and_forgets() -> None:
    breaker = opened()
    assert tell(breaker, 500, Outcome.GOOD)
    assert (breaker.state, breaker.failures, breaker.reason, breaker.since_ms) == (State.CLOSED, 0, "", 500)
    assert breaker.advise(500, BACKLOG) == Go()
    assert not breaker.suspect


def test_each_failure_in_a_row_makes_the_next_request_wait_longer() -> None:
    breaker = proven()
    waits = []
    for _ in range(OPENS_AT - 1):
        tell(breaker, 0, Outcome.AWAY)
        advice = breaker.advise(0, LIVE)
        assert isinstance(advice, Pause)
        waits.append(advice.wait_ms)
    assert waits == [250, 500]
    assert breaker.advise(499, LIVE) == Pause(wait_ms=1)
    assert breaker.advise(500, LIVE) == Go()


def test_a_process_without_a_success_begins_slowly_and_one_at_a_time() -> None:
    breaker = Breaker(now_ms=0)
    assert breaker.suspect
    assert breaker.advise(0, LIVE) == Go()
    tell(breaker, 0, Outcome.AWAY)
    assert breaker.advise(0, LIVE) == Pause(wait_ms=1_000)
    tell(breaker, 0, Outcome.GOOD)
    assert not breaker.suspect
    tell(breaker, 0, Outcome.AWAY)
    assert breaker.advise(0, LIVE) == Pause(wait_ms=250)


def test_being_told_that_it_is_too_much_proves_nothing_of_the_credential() -> None:
    breaker = Breaker(now_ms=0)
    tell(breaker, 0, Outcome.BUSY)
    assert breaker.suspect


def test_while_away_one_request_finds_out_and_the_others_are_told_to_come_again() -> None:
    breaker = opened()
    assert breaker.advise(0, LIVE) == Away(reason="it was away", retry_after_ms=1_000)
    advice = breaker.advise(1_000, LIVE)
    assert advice == Go(probe=True)
    breaker.entered(advice)
    for urgency in Urgency:
        assert breaker.advise(5_000, urgency) == Away(reason="it was away", retry_after_ms=PROBE_LOOK_MS[urgency])
    tell(breaker, 5_000, Outcome.AWAY, probe=True)
    assert breaker.advise(5_000, LIVE) == Away(reason="it was away", retry_after_ms=2_000)


def test_a_try_that_was_not_made_after_all_is_left_to_the_next() -> None:
    breaker = opened()
    probe(breaker, 1_000, Outcome.NOTHING)
    assert breaker.advise(1_000, LIVE) == Go(probe=True)


@pytest.mark.parametrize("urgency", Urgency)
def test_tries_grow_rarer_up_to_a_bound(urgency: Urgency) -> None:
    breaker, now_ms = opened(), 0
    gaps = []
    for _ in range(12):
        due_ms = breaker.next_ms(urgency)
        assert isinstance(breaker.advise(due_ms - 1, urgency), Away)
        gaps.append(due_ms - now_ms)
        now_ms = due_ms
        probe(breaker, now_ms, Outcome.AWAY, urgency)
    assert gaps == sorted(gaps)
    assert gaps[0] == 1_000
    assert gaps[-1] == LONGEST_WAIT_MS[urgency]


def test_a_card_tries_sooner_than_a_backlog() -> None:
    assert LONGEST_WAIT_MS[LIVE] == 5_000
    assert sorted(LONGEST_WAIT_MS.values()) == [LONGEST_WAIT_MS[urgency] for urgency in Urgency]


@given(chance=st.floats(0, 1))
def test_chance_makes_it_sooner_and_never_later(chance: float) -> None:
    breaker = proven()
    for _ in range(20):
        breaker.left(0, Outcome.AWAY, probe=True, chance=chance, reason="away")
    assert 4_000 <= breaker.next_ms(LIVE) <= 5_000


def test_the_less_urgent_leave_the_try_to_a_card_that_is_on_its_way() -> None:
    breaker = opened()
    breaker.told_to_come_again(0, LIVE, 1_000)
    advice = breaker.advise(1_500, BACKLOG)
    assert isinstance(advice, Away)
    assert advice.retry_after_ms > 0
    assert isinstance(breaker.advise(1_500, ENDED), Away)
    assert breaker.advise(1_500, LIVE) == Go(probe=True)
    # the call is over, and nobody came: the backlog may try
    assert breaker.advise(1_500 + advice.retry_after_ms, BACKLOG) == Go(probe=True)


def test_tries_are_short_but_every_third_takes_its_time() -> None:
    breaker, now_ms = opened(), 0
    hurried = []
    for _ in range(6):
        hurried.append(breaker.hurried)
        now_ms = breaker.next_ms(LIVE)
        probe(breaker, now_ms, Outcome.AWAY)
    assert hurried == [False, True, True, False, True, True]
    assert not proven().hurried
    assert not refused().hurried


def test_what_was_under_way_when_it_opened_makes_it_no_worse() -> None:
    breaker = opened()
    assert not tell(breaker, 900, Outcome.AWAY)
    assert breaker.next_ms(LIVE) == 1_000
    assert breaker.failures == OPENS_AT


def test_a_refusal_of_everything_is_told_without_asking() -> None:
    breaker = refused()
    for urgency in Urgency:
        advice = breaker.advise(1, urgency)
        assert isinstance(advice, Never)
        assert advice.refusal is NO_KEY


def test_refused_is_tried_again_soon_and_then_every_five_minutes() -> None:
    breaker, now_ms = refused(), 0
    gaps = []
    for _ in range(5):
        due_ms = breaker.next_ms(LIVE)
        assert isinstance(breaker.advise(due_ms - 1, LIVE), Never)
        gaps.append(due_ms - now_ms)
        now_ms = due_ms
        probe(breaker, now_ms, Outcome.REFUSED)
    assert tuple(gaps) == (*REFUSED_WAITS_MS, 300_000, 300_000)


def test_while_a_refusal_is_tried_again_nobody_is_refused() -> None:
    breaker = refused()
    advice = breaker.advise(10 * SECOND, LIVE)
    assert advice == Go(probe=True)
    breaker.entered(advice)
    assert isinstance(breaker.advise(10 * SECOND, BACKLOG), Away)


def test_an_outage_does_not_mend_a_key() -> None:
    breaker = refused()
    probe(breaker, 10 * SECOND, Outcome.AWAY)
    assert isinstance(breaker.advise(10 * SECOND, LIVE), Never)
    probe(breaker, 20 * SECOND, Outcome.GOOD)
    assert breaker.advise(20 * SECOND, LIVE) == Go()


@pytest.mark.parametrize("make", [opened, refused])
def test_somebody_may_ask_for_a_try_at_once(make: object) -> None:
    assert callable(make)
    breaker = make()
    breaker.told_to_come_again(0, LIVE, 1_000)
    breaker.forget()
    assert breaker.advise(1, BACKLOG) == Go(probe=True)
    probe(breaker, 1, Outcome.NOTHING, BACKLOG)
    probe(breaker, 1, Outcome.REFUSED, BACKLOG)
    assert isinstance(breaker.advise(1, LIVE), Never)


OUTCOMES = st.lists(st.tuples(st.sampled_from(Urgency), st.sampled_from(Outcome), st.integers(0, 20_000)), max_size=80)


@given(steps=OUTCOMES, chance=st.floats(0, 1))
def test_whatever_happens_somebody_may_try_again(steps: list[tuple[Urgency, Outcome, int]], chance: float) -> None:
    """No history leads to a state in which nobody ever asks; a card waits 5 s at most where nothing is refused."""
    breaker, now_ms = Breaker(now_ms=0), 0
    for urgency, outcome, gap_ms in steps:
        now_ms += gap_ms
        advice = breaker.advise(now_ms, urgency)
        assert advice == breaker.advise(now_ms, urgency), "asking changes nothing"
        if not isinstance(advice, Go):
            continue
        breaker.entered(advice)
        assert not (advice.probe and isinstance(breaker.advise(now_ms, urgency), Go)), "one at a time"
        breaker.left(
            now_ms, outcome, probe=advice.probe, chance=chance, reason="x", refusal=NO_KEY if outcome is Outcome.REFUSED else None
        )
    patience_ms = max(REFUSED_WAITS_MS) if breaker.state is State.REFUSED else LONGEST_WAIT_MS[LIVE]
    assert isinstance(breaker.advise(now_ms + patience_ms, LIVE), Go)
    assert isinstance(breaker.advise(now_ms + 400_000, BACKLOG), Go)


def answered(status: int, *codes: int, kind: str = "json", write: bool = False) -> Outcome:
    body = {"errors": [{"error": "x", "code": code} for code in codes]} if codes else None
    problem = problem_of(Answer(status=status, headers={}, body=body, kind=kind), write=write)
    return outcome_of(problem, write=write)


@pytest.mark.parametrize(
    ("status", "codes", "outcome"),
    [
        (200, (), Outcome.GOOD),
        (404, (1021,), Outcome.GOOD),
        (412, (3000,), Outcome.GOOD),
        (412, (3006,), Outcome.GOOD),
        (409, (1065,), Outcome.GOOD),
        (403, (1016,), Outcome.GOOD),
        (403, (1045,), Outcome.GOOD),
        (401, (1056,), Outcome.REFUSED),
        (401, (), Outcome.REFUSED),
        (403, (), Outcome.REFUSED),
        (403, (55008,), Outcome.REFUSED),
        (412, (55008,), Outcome.REFUSED),
        (403, (1061,), Outcome.REFUSED),
        (403, (1070,), Outcome.REFUSED),
        (403, (1043,), Outcome.REFUSED),
        (410, (), Outcome.REFUSED),
        (415, (), Outcome.REFUSED),
        (429, (1049,), Outcome.BUSY),
        (429, (1073,), Outcome.BUSY),
        (429, (), Outcome.BUSY),
        (401, (1048,), Outcome.BUSY),
        (500, (1999,), Outcome.AWAY),
        (503, (1074,), Outcome.AWAY),
        (503, (1095,), Outcome.AWAY),
        (408, (), Outcome.AWAY),
    ],
)
def test_what_an_answer_says_of_the_account(status: int, codes: tuple[int, ...], outcome: Outcome) -> None:
    assert answered(status, *codes) is outcome


@pytest.mark.parametrize("code", [1043, 1070])
def test_a_tariff_that_forbids_a_write_may_still_allow_reading(code: int) -> None:
    assert answered(403, code, write=True) is Outcome.GOOD


@pytest.mark.parametrize("status", [403, 404, 405, 502, 301])
def test_a_balancer_s_page_is_an_outage(status: int) -> None:
    assert answered(status, kind="html") is Outcome.AWAY


@pytest.mark.parametrize("trouble", [Trouble.NO_CONNECTION, Trouble.LATE, Trouble.CUT_AFTER, Trouble.NO_TLS, Trouble.BROKEN])
def test_no_answer_is_an_outage(trouble: Trouble) -> None:
    assert outcome_of(ApiUnavailable(trouble, ambiguous=False), write=True) is Outcome.AWAY
