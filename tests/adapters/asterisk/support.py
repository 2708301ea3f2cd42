"""Claims in memory, for tests of whoever uses them; held to the contract like PostgreSQL's."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from core.errors import StoreUnavailable


@dataclass
class MemoryClaims:
    """See ``adapters.asterisk.duty.Claims``. ``away``: the database is."""

    living: set[str] = field(default_factory=set)
    holders: dict[str, str] = field(default_factory=dict)
    away: bool = False
    taken_s: dict[str, float] = field(default_factory=dict)

    async def live(self, node_id: str) -> None:
        """See ``Nodes``."""
        self.living.add(node_id)

    async def die(self, node_id: str) -> None:
        """See ``Nodes``."""
        self.living.discard(node_id)

    async def claim(self, node_id: str, names: Sequence[str]) -> list[str]:
        """See ``Claims``."""
        if self.away:
            raise StoreUnavailable("away")
        if node_id not in self.living:
            return []
        for name in names:
            if self.holders.get(name) not in self.living:
                self.holders[name], self.taken_s[name] = node_id, time.monotonic()
        return [name for name in names if self.holders.get(name) == node_id]

    async def held_for_ms(self, names: Sequence[str]) -> dict[str, int]:
        """See ``Claims``."""
        if self.away:
            raise StoreUnavailable("away")
        return {name: round((time.monotonic() - self.taken_s[name]) * 1_000) for name in names if name in self.holders}

    async def release(self, node_id: str) -> None:
        """See ``Claims``."""
        if self.away:
            raise StoreUnavailable("away")
        self.holders = {name: holder for name, holder in self.holders.items() if holder != node_id}
