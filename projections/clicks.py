"""``clicks``: one row per click in MoySklad as it stands now, for the page that says why a telephone rang or did not (PRODUCT E5).

A row is folded anew from the click's whole stream up to the batch: rebuilt equals live by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from core.clicks import STREAM, ClickEvent, decode_click, fold_click, initial_click
from core.ports import ProjectionDb, RecordedEvent

_SQL: Final = Path(__file__).parent / "sql"
_HISTORY: Final = (_SQL / "clicks_history.sql").read_text()
_UPSERT: Final = (_SQL / "clicks_upsert.sql").read_text()


class Clicks:
    """Keeps the ``clicks`` table."""

    name = "clicks"

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        """Fold every click that the batch touches, up to the batch's last position, and write its row."""
        touched = {(each.stream.enterprise, each.stream.name): None for each in events if each.stream.name.startswith(STREAM)}
        if not touched:
            return
        names = list(touched)
        rows = await db.fetch(_HISTORY, [name[0] for name in names], [name[1] for name in names], events[-1].position)
        histories: dict[tuple[str, str], list[ClickEvent | None]] = {name: [] for name in names}
        for row in rows:
            histories[row["enterprise"], row["stream"]].append(decode_click(row["type"], row["data"]))
        found = [_row(*name, history) for name, history in histories.items()]
        await db.execute(_UPSERT, *(list(column) for column in zip(*found, strict=True)))

    async def reset(self, db: ProjectionDb) -> None:
        """Empty the table."""
        await db.execute("TRUNCATE clicks")


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
    )
