"""A running service beside its sandbox, for every test of the HTTP edge."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.adapters.http.support import LOCAL, edge
from tests.rig import Rig, running


@pytest.fixture
async def rig(database_url: str) -> AsyncIterator[Rig]:
    """The service with enterprise 0367, whose clock stands still until a test moves it."""
    async with running(database_url) as rig:
        yield rig


@pytest.fixture
async def http(rig: Rig) -> AsyncIterator[Any]:
    """A client of the service's routes, as ``server.py`` wires them, on this machine."""
    async with edge(rig, LOCAL) as client:
        yield client
