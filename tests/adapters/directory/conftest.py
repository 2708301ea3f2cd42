"""A running service beside its sandbox, for every test of the directory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tests.adapters.directory.support import patient
from tests.rig import Rig, running


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    """The service with enterprise 0367, whose clock stands still until a test moves it."""
    async with running(database_url) as rig:
        patient(rig.service.directory)
        yield rig
