"""Ids of events: of the seventh version, all different, and in the order of time."""

from __future__ import annotations

import time
from uuid import RFC_4122

from adapters.ids import event_id


def test_an_id_says_when_it_was_made_and_nothing_else_twice() -> None:
    before = time.time_ns() // 1_000_000
    ids = [event_id() for _ in range(2_000)]
    after = time.time_ns() // 1_000_000
    assert len(set(ids)) == len(ids)
    assert {(each.version, each.variant) for each in ids} == {(7, RFC_4122)}
    times = [each.int >> 80 for each in ids]
    assert times == sorted(times)
    assert before <= times[0] <= times[-1] <= after


def test_what_is_left_to_chance_is_spread() -> None:
    """Each of the seventy-four bits is set in some and not in others."""
    ids = [event_id().int for _ in range(200)]
    for bit in (*range(62), *range(64, 76)):
        assert 20 < sum(each >> bit & 1 for each in ids) < 180
