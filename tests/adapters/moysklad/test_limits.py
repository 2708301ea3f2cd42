"""How much one account may be asked, whichever way MoySklad counts (CONTRACT-MOYSKLAD 1.2, 2.2)."""

from __future__ import annotations

from collections import deque

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.moysklad.limits import PHONE_LIMIT, WEIGHT_RISES_MS, Limit, Window, json_limit, left_free
from core.values import Urgency
from tests.adapters.moysklad.virtual import most_within

SMALL = Limit(requests=6, period_ms=1_000, parallel=2)


def test_the_weight_of_a_request_rises_in_december() -> None:
    assert json_limit(WEIGHT_RISES_MS - 1).requests == 15
    assert json_limit(WEIGHT_RISES_MS).requests == 11
    assert (PHONE_LIMIT.requests, PHONE_LIMIT.period_ms, PHONE_LIMIT.parallel) == (100, 5_000, 5)


@pytest.mark.parametrize(("requests", "share", "trickle"), [(100, 90, 10), (15, 13, 2), (11, 9, 2), (2, 1, 1), (1, 1, 1)])
def test_owners_leave_a_part_to_whoever_takes_over(requests: int, share: int, trickle: int) -> None:
    limit = Limit(requests=requests, period_ms=1_000, parallel=5)
    assert (limit.share, limit.trickle) == (share, trickle)


@given(most=st.integers(1, 100), urgency=st.sampled_from(Urgency))
def test_the_less_urgent_leave_more_free_and_never_everything(most: int, urgency: Urgency) -> None:
    free = [left_free(most, each) for each in Urgency]
    assert free == sorted(free)
    assert (free[Urgency.LIVE], left_free(most, urgency) < most) == (0, True)
    if most >= 9:
        assert 0 < free[Urgency.ENDED] < free[Urgency.BACKLOG]
    calm = [left_free(most, each, calm=True) for each in Urgency]
    assert all(less <= free[each] for each, less in zip(Urgency, calm, strict=True))


@given(steps=st.lists(st.tuples(st.integers(0, 400), st.integers(0, 400), st.floats(0, 1)), min_size=1, max_size=60))
def test_wherever_between_sending_and_answer_it_is_counted_the_limit_holds(steps: list[tuple[int, int, float]]) -> None:
    window, now_ms = Window(), 0
    counted: list[int] = []
    under_way: deque[int] = deque()
    for gap_ms, takes_ms, when in steps:
        now_ms += gap_ms
        while (wait_ms := window.wait_ms(now_ms, SMALL, SMALL.requests)) != 0:
            now_ms = under_way[0] if wait_ms is None else now_ms + wait_ms
            while under_way and under_way[0] <= now_ms:
                window.answered(under_way.popleft())
        window.in_flight += 1
        counted.append(now_ms + int(takes_ms * when))
        under_way = deque(sorted([*under_way, now_ms + takes_ms]))
    assert most_within(sorted(counted), SMALL.period_ms) <= SMALL.requests


def test_the_wait_is_exactly_until_the_oldest_is_a_period_old() -> None:
    window = Window()
    window.in_flight = 3
    for at_ms in (100, 200, 300):
        window.answered(at_ms)
    assert window.wait_ms(300, SMALL, 4) == 0
    assert window.wait_ms(300, SMALL, 3) == 800
    assert window.wait_ms(1_099, SMALL, 3) == 1
    assert window.wait_ms(1_100, SMALL, 3) == 0
    assert window.wait_ms(300, SMALL, 3, free=1) == 900


def test_what_is_under_way_can_only_be_waited_for() -> None:
    window = Window()
    window.in_flight = 3
    assert window.wait_ms(0, SMALL, 3) is None
    window.unused()
    assert window.wait_ms(0, SMALL, 3) == 0
    assert window.used(0, SMALL.period_ms) == 2


def answered_with(window: Window, headers: dict[str, str], now_ms: int = 0, limit: Limit = SMALL) -> None:
    """One request whose answer has these headers."""
    window.in_flight += 1
    window.learn(headers, now_ms, limit)
    window.answered(now_ms)


def room(window: Window, now_ms: int = 0, limit: Limit = SMALL) -> int:
    """How many more fit at once."""
    limit = window.limit(limit)
    count = 0
    while window.wait_ms(now_ms, limit, limit.requests) == 0:
        window.in_flight += 1
        count += 1
    window.in_flight -= count
    return count


def test_a_header_lowers_the_limit_and_never_raises_it() -> None:
    window = Window()
    answered_with(window, {"X-RateLimit-Limit": "45"})
    assert window.limit(SMALL) == SMALL
    answered_with(window, {"X-RateLimit-Limit": "4"})
    assert window.limit(SMALL).requests == 4
    assert room(window) == 2


@pytest.mark.parametrize("text", ["", "0", "-1", "many", "1e3", "9" * 30])
def test_a_header_that_says_nothing_changes_nothing(text: str) -> None:
    window = Window()
    answered_with(window, {"X-RateLimit-Limit": text, "X-RateLimit-Remaining": text if text != "0" else ""})
    assert room(window) == 5


def test_what_another_program_used_is_set_aside_until_the_reset() -> None:
    window = Window()
    answered_with(window, {"X-RateLimit-Remaining": "2", "X-Lognex-Reset": "700"})
    assert room(window) == 2
    assert room(window, now_ms=699) == 2
    assert room(window, now_ms=700) == 5


def test_the_newest_answer_replaces_what_an_older_one_said() -> None:
    window = Window()
    answered_with(window, {"X-RateLimit-Remaining": "1", "X-Lognex-Reset": "900"})
    answered_with(window, {"X-RateLimit-Remaining": "4", "X-Lognex-Reset": "900"}, now_ms=100)
    assert room(window, now_ms=100) == 4


def test_requests_under_way_are_taken_for_not_counted_yet() -> None:
    window = Window()
    window.in_flight = 2
    answered_with(window, {"X-RateLimit-Remaining": "3"})
    assert room(window) == 1


@pytest.mark.parametrize(
    ("headers", "held_ms"),
    [
        ({"X-Lognex-Reset": "700"}, 700),
        ({"X-Lognex-Reset": "700", "X-Lognex-Retry-After": "300"}, 300),
        ({}, 1_000),
        ({"X-Lognex-Reset": "99999999"}, 600_000),
    ],
)
def test_nothing_remaining_holds_everybody_until_the_reset(headers: dict[str, str], held_ms: int) -> None:
    window = Window()
    answered_with(window, {"X-RateLimit-Remaining": "0"} | headers)
    assert room(window, now_ms=held_ms - 1) == 0
    assert room(window, now_ms=held_ms) >= 5


def test_an_honest_remainder_costs_nothing() -> None:
    """MoySklad's figures agree with ours as long as nobody else uses the credential."""
    window = Window()
    for asked in range(1, 6):
        answered_with(window, {"X-RateLimit-Remaining": str(SMALL.requests - asked), "X-Lognex-Reset": "1000"})
        assert room(window) == SMALL.requests - asked


def test_an_empty_window_remembers_nothing() -> None:
    window = Window()
    assert window.is_empty(0, 1_000)
    answered_with(window, {"X-RateLimit-Remaining": "2", "X-Lognex-Reset": "5000"})
    assert not window.is_empty(999, 1_000)
    assert not window.is_empty(4_999, 1_000)
    assert window.is_empty(5_000, 1_000)
