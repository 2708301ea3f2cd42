"""Which instance keeps which PBX's connection, and which of its calls are open, on PostgreSQL (``migrations/0057_pbx.sql``)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from adapters.postgres.database import connect, load_sql
from adapters.postgres.line import Line
from core.ports import StreamId

ASK_S: Final = 2.0
"""The patience of a claim; of a look for open calls, which may have much to look at, ``LOOK_S``."""

LOOK_S: Final = 20.0
MAX_OPEN: Final = 5_000
"""Open calls of one PBX; what is beyond is closed by its own deadline (MS_CALL_MAX_S)."""

_CLAIM, _RELEASE = load_sql("pbx_claim"), load_sql("pbx_release")
_HELD_FOR, _OPEN = load_sql("pbx_held_for"), load_sql("pbx_open_calls")


class PostgresClaims:
    """See ``adapters.asterisk.duty.Claims``. One connection of its own, opened when it is needed."""

    def __init__(self, dsn: str) -> None:
        self._line = Line(lambda: connect(dsn, statement_s=ASK_S), patience_s=ASK_S)
        self._look = Line(lambda: connect(dsn, statement_s=LOOK_S), patience_s=LOOK_S)

    async def close(self) -> None:
        """Let go of the connections."""
        await self._line.close()
        await self._look.close()

    async def claim(self, node_id: str, names: Sequence[str]) -> list[str]:
        """See ``Claims``."""
        return [row["name"] for row in await self._line.fetch(_CLAIM, node_id, list(names))]

    async def held_for_ms(self, names: Sequence[str]) -> dict[str, int]:
        """See ``Claims``."""
        return {row["name"]: row["held_for_ms"] for row in await self._line.fetch(_HELD_FOR, list(names))}

    async def release(self, node_id: str) -> None:
        """See ``Claims``."""
        await self._line.fetch(_RELEASE, node_id)

    async def open_calls(self, enterprise: str, wire: str) -> list[StreamId]:
        """The streams of the calls that were heard of through this wire and are not known to be over."""
        rows: list[Any] = await self._look.fetch(_OPEN, enterprise, wire, MAX_OPEN)
        return [StreamId(enterprise=enterprise, name=row["stream"]) for row in rows]
