"""``calls``: one row per call as it stands now: for search, the board, missed calls and reports (PRODUCT F2, F4, F9).

A row says what the call's events up to the batch say, folded (``projections/folded.py``): rebuilt equals live by construction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import orjson

from core.ports import LogPage, ProjectionDb, RecordedEvent
from projections.folded import PAUSE_EVERY, FoldedCalls

_SQL: Final = Path(__file__).parent / "sql"
_UPSERT: Final = (_SQL / "calls_upsert.sql").read_text()
_REWRITE: Final = (_SQL / "calls_rewrite.sql").read_text()
_ORPHANS: Final = (_SQL / "calls_orphans.sql").read_text()

AT_ONCE: Final = 2_000
"""Rows in one statement while the table is derived anew: some megabytes."""


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

    async def begin_anew(self, db: ProjectionDb) -> None:
        """Remove rows that no stream accounts for. Where history was archived, nobody can say which those are."""
        await db.execute(_ORPHANS)

    async def take_anew(self, db: ProjectionDb, page: LogPage) -> None:
        """Fold it."""
        await self._folded.anew.take(db, page)

    async def end_piece(self, db: ProjectionDb) -> None:
        """Write the rows that are not right already; whoever knows more of a call than this piece keeps his row."""
        rows = [change.after.row for change in self._folded.anew.changes()]
        for at in range(0, len(rows), AT_ONCE):
            await db.execute(_REWRITE, orjson.dumps(rows[at : at + AT_ONCE]))

    async def finish_anew(self, db: ProjectionDb) -> None:
        """Every row is in its place."""
