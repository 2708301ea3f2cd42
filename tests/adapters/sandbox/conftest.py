"""The fixtures of the sandbox's tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.adapters.sandbox.support import Rig, running


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """A demo sandbox with every switch as it comes."""
    async with running() as made:
        yield made
