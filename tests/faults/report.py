"""One line of figures for each run, told and asserted: what was sent, what came of it, how to repeat it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

from tests.faults.stage import Stage
from tests.faults.traffic import Load, Posts
from tests.faults.verdict import Verdict

FIGURES = "figures"


def _print(_name: str, value: object) -> None:
    print(value)  # noqa: T201


record: Callable[[str, object], None] = _print
"""Where a report goes: a property of the test that is running."""


def seeded() -> int:
    """The seed of a run's moments: ``MS_TEST_SEED``, or a new one."""
    return int(os.environ.get("MS_TEST_SEED") or time.time_ns() % 1_000_000)


def told(title: str, seed: int, stage: Stage, load: Load, verdict: Verdict, began: float, *more: str) -> None:
    """Tell the report and fail unless everything is zero that must be, and MoySklad would have blocked nobody."""
    worst = stage.asked.worst()
    restarts = f"{stage.kills} kills (up again within {stage.slowest_start_s:.1f} s), " if stage.kills else ""
    signals = f"{sum(copy.sent for copy in load.copies)} signals, {sum(copy.resent for copy in load.copies)} re-sent"
    took = f"{time.monotonic() - began:.0f} s"
    line = "; ".join((f"{title}: seed {seed}, {restarts}{signals}", verdict.figures, worst.figures, *more, took))
    record(FIGURES, line)
    details = (f"{verdict.wrong[:20]}", f"missing: {verdict.missing[:20]}", f"orders: {verdict.orders[:20]}", stage.tails())
    assert verdict.good, "\n".join((line, *details))
    assert not worst.blocked, line


def answers(posts: Posts) -> str:
    """How posts were answered, for a report."""
    counted = ", ".join(f"{what} {count}" for what, count in sorted(posts.answers.items()))
    reasons = ", ".join(f"{why!r} {count}" for why, count in posts.reasons.most_common(5))
    return f"answers {counted}" + (f" ({reasons})" if reasons else "")
