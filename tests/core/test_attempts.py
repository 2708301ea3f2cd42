"""How long a write of unknown fate may still take effect. What follows for a registration: ``test_plan_doubt.py``."""

from __future__ import annotations

import pytest

from core.attempts import REPOST_GUARD_MS, SLOW_GUARD, UNHURRIED_GUARD_MS, Attempt
from core.effects import CompleteTask


@pytest.mark.parametrize(
    ("ended_ms", "hurried", "guard_ms"),
    [
        (None, True, UNHURRIED_GUARD_MS),
        (None, False, UNHURRIED_GUARD_MS),
        (1_100, True, REPOST_GUARD_MS),
        (1_100, False, UNHURRIED_GUARD_MS),
        (16_000, True, SLOW_GUARD * 15_000),
        (16_000, False, SLOW_GUARD * 15_000),
    ],
)
def test_the_guard(ended_ms: int | None, hurried: bool, guard_ms: int) -> None:
    attempt = Attempt(key="k", effect=CompleteTask(task="t"), at_ms=1_000, ended_ms=ended_ms)
    assert attempt.guard_ms(hurried=hurried) == guard_ms
