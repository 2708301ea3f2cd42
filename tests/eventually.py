"""Waiting for something that nobody announces: until it is so, or a time has passed that no healthy run comes near."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

PATIENCE_S: Final = 20.0


async def until(is_so: Callable[[], object]) -> None:
    """Return once ``is_so``. Raises TimeoutError after ``PATIENCE_S``: it never came to that."""
    async with asyncio.timeout(PATIENCE_S):
        while not is_so():  # noqa: ASYNC110 - the one place that looks again and again
            await asyncio.sleep(0.001)
