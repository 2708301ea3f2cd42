"""A running service beside its sandbox, for every test of the HTTP edge."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, Final

import pytest
import uvloop

from tests.adapters.http.support import LOCAL, edge
from tests.rig import Rig, running

LOOPS: Final[Mapping[str, Callable[[], asyncio.AbstractEventLoop]]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The service runs on uvloop, where there is one. How a port is closed differs, so what tells of that is run on both."""
    return LOOPS if item.path.name == "test_serving.py" else {"asyncio": LOOPS["asyncio"]}


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
