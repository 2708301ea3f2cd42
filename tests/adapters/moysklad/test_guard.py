"""MoySklad's automatic block cannot be reached, whatever it answers and however often we are restarted (CONTRACT-MOYSKLAD 2.2)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.moysklad.guard import FAILURES, KEPT, MANY_ENTITIES, PUTS, Bucket, Guard
from core.values import Urgency
from tests.adapters.moysklad.virtual import BACKLOG, ENDED, LIVE, most_within

MINUTE_MS = 60_000
OLD = -3_600_000
"""Born an hour before 0."""


def fail_eagerly(guard: Guard, from_ms: int, until_ms: int, urgency: Urgency = LIVE) -> list[int]:
    """Fail as often as is allowed."""
    failed: list[int] = []
    now_ms = from_ms
    while True:
        now_ms += guard.wait_ms(now_ms, urgency, 0)
        if now_ms >= until_ms:
            return failed
        guard.failed(now_ms)
        failed.append(now_ms)


def put_eagerly(guard: Guard, from_ms: int, until_ms: int) -> list[int]:
    """PUT one entity as often as is allowed."""
    done: list[int] = []
    now_ms = from_ms
    while True:
        now_ms += guard.put_wait_ms(now_ms, "call")
        if now_ms >= until_ms:
            return done
        guard.put(now_ms, "call")
        done.append(now_ms)


def test_an_hour_of_failures() -> None:
    failed = fail_eagerly(Guard(now_ms=0, born_ms=OLD), 0, 60 * MINUTE_MS)
    assert 60 < most_within(failed, MINUTE_MS) <= 120
    puts = put_eagerly(Guard(now_ms=0, born_ms=OLD), 0, 60 * MINUTE_MS)
    assert 30 < most_within(puts, MINUTE_MS) <= 50


LIVES = st.lists(st.integers(1_000, 90_000), min_size=1, max_size=200)


@given(lives_ms=LIVES, saved=st.booleans())
def test_restarts_do_not_add_up_to_a_block(lives_ms: list[int], saved: bool) -> None:
    """Each life fails as often as it may and remembers nothing of the one before; the first may have saved all it can."""
    failed: list[int] = []
    puts: list[int] = []
    now_ms = 0
    for number, life_ms in enumerate(lives_ms):
        guard = Guard(now_ms=now_ms, born_ms=OLD if saved and number == 0 else now_ms)
        failed += fail_eagerly(guard, now_ms, now_ms + life_ms)
        puts += put_eagerly(guard, now_ms, now_ms + life_ms)
        now_ms += life_ms
    assert most_within(failed, MINUTE_MS) <= 170
    assert most_within(puts, MINUTE_MS) <= 93


@pytest.mark.parametrize("life_ms", range(1_000, 3_100, 53))
def test_a_restart_each_second_or_two(life_ms: int) -> None:
    failed: list[int] = []
    puts: list[int] = []
    for start_ms in range(0, 3 * MINUTE_MS, life_ms):
        guard = Guard(now_ms=start_ms, born_ms=start_ms)
        failed += fail_eagerly(guard, start_ms, start_ms + life_ms)
        puts += put_eagerly(guard, start_ms, start_ms + life_ms)
    assert most_within(failed, MINUTE_MS) <= 137
    assert most_within(puts, MINUTE_MS) <= 81


@given(tenures=st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.integers(1_000, 40_000)), min_size=1, max_size=60))
def test_instances_that_pass_an_account_around_do_not_add_up_either(tenures: list[tuple[int, int]]) -> None:
    guards = {node: Guard(now_ms=0, born_ms=OLD) for node in range(3)}
    failed: list[int] = []
    now_ms, owner = 0, -1
    for node, tenure_ms in tenures:
        if node != owner:
            guards[node].confine(now_ms, 0)
        owner = node
        failed += fail_eagerly(guards[node], now_ms, now_ms + tenure_ms)
        now_ms += tenure_ms
    assert most_within(failed, MINUTE_MS) <= 182


def test_requests_under_way_are_reckoned_as_if_they_failed() -> None:
    guard = Guard(now_ms=0, born_ms=0)
    assert guard.wait_ms(0, LIVE, 0) == 0
    assert guard.wait_ms(0, LIVE, 1) == FAILURES.every_ms
    assert guard.wait_ms(0, LIVE, 4) == 4 * FAILURES.every_ms
    assert Guard(now_ms=0, born_ms=OLD).wait_ms(0, LIVE, 4) == 0


def test_a_backlog_that_is_refused_leaves_something_to_the_cards() -> None:
    guard = Guard(now_ms=0, born_ms=OLD)
    while guard.wait_ms(0, BACKLOG, 0) == 0:
        guard.failed(0)
    left = 0
    while guard.wait_ms(0, LIVE, 0) == 0:
        guard.failed(0)
        left += 1
    assert left == KEPT[BACKLOG] == 5
    assert KEPT[LIVE] < KEPT[ENDED] < KEPT[BACKLOG]


def test_entities_are_apart() -> None:
    guard = Guard(now_ms=0, born_ms=0)
    guard.put(0, "a")
    assert guard.put_wait_ms(0, "a") == PUTS.every_ms
    assert guard.put_wait_ms(0, "b") == 0
    assert guard.put_wait_ms(PUTS.every_ms, "a") == 0


def test_whoever_took_over_treats_an_entity_as_if_it_had_just_begun() -> None:
    guard = Guard(now_ms=0, born_ms=OLD)
    guard.confine(0, 0)
    guard.put(0, "a")
    assert guard.put_wait_ms(0, "a") == PUTS.every_ms


def test_entities_are_forgotten_once_they_say_nothing() -> None:
    guard = Guard(now_ms=0, born_ms=OLD)
    for number in range(3 * MANY_ENTITIES):
        guard.put(number * 50, f"call-{number}")
    assert len(guard._puts) <= MANY_ENTITIES
    end_ms = 3 * MANY_ENTITIES * 50
    assert not guard.is_idle(end_ms)
    assert guard.is_idle(end_ms + PUTS.every_ms)


@pytest.mark.parametrize("born_ms", [OLD, 0])
def test_a_bucket_says_nothing_when_a_new_one_would_allow_as_much(born_ms: int) -> None:
    bucket = Bucket(FAILURES, now_ms=0, born_ms=born_ms)
    assert bucket.says_nothing(0)
    bucket.spend(0)
    assert not bucket.says_nothing(0)
    assert bucket.says_nothing(FAILURES.every_ms) is (born_ms == OLD)
