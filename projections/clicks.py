"""``clicks``: one row per click in MoySklad as it stands now, for the page that says why a telephone rang or did not (PRODUCT E5).

A row is folded anew from the click's whole stream up to the batch: rebuilt equals live by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from core.clicks import STREAM, ClickEvent, decode_click, fold_click, initial_click
from core.ports import LogPage, ProjectionDb, RecordedEvent

_SQL: Final = Path(__file__).parent / "sql"
_HISTORY: Final = (_SQL / "clicks_history.sql").read_text()
_UPSERT: Final = (_SQL / "clicks_upsert.sql").read_text()
_ORPHANS: Final = (_SQL / "clicks_orphans.sql").read_text()

AT_ONCE: Final = 500
"""Clicks in one statement while the table is derived anew."""


class Clicks:
    """Keeps the ``clicks`` table."""

    name = "clicks"

    def __init__(self) -> None:
        self._touched: dict[tuple[str, str], None] = {}
        self._upto = 0

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        """Fold every click that the batch touches, up to the batch's last position, and write its row."""
        touched = {(each.stream.enterprise, each.stream.name): None for each in events if each.stream.name.startswith(STREAM)}
        if touched:
            await _write(db, list(touched), events[-1].position)

    async def begin_anew(self, db: ProjectionDb) -> None:
        """Remove rows that no stream accounts for."""
        await db.execute(_ORPHANS)

    async def take_anew(self, db: ProjectionDb, page: LogPage) -> None:
        """Remember which clicks it tells of."""
        for line in page.lines:
            if line[1].startswith(STREAM):
                self._touched[line[0], line[1]] = None
        self._upto = page.upto

    async def end_piece(self, db: ProjectionDb) -> None:
        """Write them as they stand after the piece; whoever knows more of a click keeps his row."""
        names, self._touched = list(self._touched), {}
        for at in range(0, len(names), AT_ONCE):
            await _write(db, names[at : at + AT_ONCE], self._upto)

    async def finish_anew(self, db: ProjectionDb) -> None:
        """Every row is in its place."""


async def _write(db: ProjectionDb, names: Sequence[tuple[str, str]], upto: int) -> None:
    rows = await db.fetch(_HISTORY, [name[0] for name in names], [name[1] for name in names], upto)
    histories: dict[tuple[str, str], list[ClickEvent | None]] = {name: [] for name in names}
    for row in rows:
        histories[row["enterprise"], row["stream"]].append(decode_click(row["type"], row["data"]))
    found = sorted(_row(*name, history) for name, history in histories.items())
    await db.execute(_UPSERT, *(list(column) for column in zip(*found, strict=True)))


def _row(enterprise: str, stream: str, history: Sequence[ClickEvent | None]) -> tuple[Any, ...]:
    """The row in the order of ``clicks_upsert.sql``."""
    click = fold_click(initial_click(enterprise, stream.removeprefix(STREAM)), history)
    return (
        enterprise,
        click.id,
        click.requested_ms,
        click.stage.value,
        click.extension,
        click.number,
        click.uid,
        click.signature,
        click.way,
        click.error,
        click.remedy,
        click.ambiguous,
        click.call,
        click.repeats,
        len(history),
    )
