"""What is measured, and how all of it is run one after another."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from bench import append, asked, cards, folding, growth, ingest, restart
from bench.figures import Figure, Report
from bench.ground import Ground, ground
from bench.machine import described
from bench.sizes import Size

Row = Callable[[Ground, Size], Awaitable[list[Figure]]]

ROWS: Final[Mapping[str, Row]] = {
    "fold": folding.measure,
    "requests": asked.measure,
    "append": append.measure,
    "ingest": ingest.measure,
    "two": ingest.two,
    "cards": cards.measure,
    "backlog": cards.backlog,
    "restart": restart.measure,
    "memory": asked.memory,
    "growth": growth.measure,
    "start": restart.start,
    "disk": asked.disk,
    # The last: they leave the large history's read models half derived, and its log as nobody expects it.
    "rebuild": growth.rebuild,
    "archive": asked.archive,
}
"""In the order in which they are measured, whatever the order in which they are named; :data:`bench.__main__.NAMES` is the same."""


async def measured(names: Sequence[str], size: Size, say: Callable[[str], None], server: str | None = None) -> Report:
    """Measure these rows. One that fails is told as such and the others go on. ``server``: see :func:`bench.ground.ground`."""
    figures: list[Figure] = []
    failed: dict[str, str] = {}
    at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    async with ground(say, server) as place:
        machine = described(place.folder)
        for name in [each for each in ROWS if each in names]:
            began = time.monotonic()
            try:
                figures += await ROWS[name](place, size)
            except (RuntimeError, OSError, TimeoutError, AssertionError) as error:
                failed[name] = f"{type(error).__name__}: {error}"
            say(f"{name}: {time.monotonic() - began:.0f} s{' (failed)' if name in failed else ''}")
    return Report(at=at, machine=machine, size=size.name, figures=tuple(figures), failed=failed)
