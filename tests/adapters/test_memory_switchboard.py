"""The switchboard's memory in memory keeps the contract."""

from __future__ import annotations

import asyncio

import pytest

from adapters.memory_store import MemoryEventStore
from adapters.memory_switchboard import MemorySwitchboardState
from adapters.switchboard import HOLD_MS
from core.ports import EventStore
from tests.contracts.switchboard_state import Instances, SwitchboardStateContract


class InMemory:
    """Instances of one process share the object; time is a number."""

    def __init__(self) -> None:
        self.store: EventStore = MemoryEventStore()
        self.notices: asyncio.Queue[int] = asyncio.Queue()
        self.now_ms = 0
        self._shared = MemorySwitchboardState(self.store, notify=self.notices.put_nowait, now_ms=lambda: self.now_ms)

    def state(self) -> MemorySwitchboardState:
        """See ``Instances``."""
        return self._shared

    async def stopped_too_long(self) -> None:
        """See ``Instances``."""
        self.now_ms += HOLD_MS


class TestMemorySwitchboardState(SwitchboardStateContract):
    @pytest.fixture
    def instances(self) -> Instances:
        return InMemory()

    async def test_whoever_is_heard_of_in_time_keeps_the_batch(self) -> None:
        memory = InMemory()
        state = memory.state()
        async with state.taken(0) as taken:
            assert taken is not None
            for _ in range(3):
                memory.now_ms += HOLD_MS - 1
                assert await taken.load({}) == {}
            async with state.taken(0) as other:
                assert other is None
