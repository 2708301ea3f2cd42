"""``calls``: one row per call as it stands now: for search, the board, missed calls and reports (PRODUCT F2, F4, F9).

A row says what the call's events up to the batch say, folded (``projections/folded.py``): rebuilt equals live by construction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from core.ports import ProjectionDb, RecordedEvent
from projections.folded import PAUSE_EVERY, FoldedCalls

_SQL: Final = Path(__file__).parent / "sql"
_UPSERT: Final = (_SQL / "calls_upsert.sql").read_text()


class Calls:
    """Keeps the ``calls`` table."""

    name = "calls"

    def __init__(self, folded: FoldedCalls | None = None) -> None:
        self._folded = folded or FoldedCalls()

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        """Write the row of every call that the batch touches, as it stands after the batch."""
        rows = []
        for change in await self._folded.changes(db, events):
            rows.append(change.after.row)
            if len(rows) % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
        if rows:
            await db.execute(_UPSERT, orjson.dumps(rows))

    async def reset(self, db: ProjectionDb) -> None:
        """Empty the table."""
        await db.execute("TRUNCATE calls")
