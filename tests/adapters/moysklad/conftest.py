"""Fixtures of the MoySklad clients' tests."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.adapters.moysklad.support import Rig, facing_sandbox


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """The clients facing a demo sandbox with every switch as it comes."""
    async with facing_sandbox() as made:
        yield made
