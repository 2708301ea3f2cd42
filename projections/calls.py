"""``calls``: one row per call as it stands now: for search, the board, missed calls and reports (PRODUCT F2, F4, F9).

A row says what the call's events up to the batch say, folded (``projections/folded.py``): rebuilt equals live by construction.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from core import conclusions
from core.conclusions import attribution
from core.lifecycle import Phase
from core.measures import involved, talked_ms, wait_ms
from core.phone import digits
from core.plan import parked
from core.ports import ProjectionDb, RecordedEvent
from core.values import ANONYMOUS
from projections.folded import PAUSE_EVERY, Folded, FoldedCalls, since_ms

_SQL: Final = Path(__file__).parent / "sql"
_UPSERT: Final = (_SQL / "calls_upsert.sql").read_text()

NAME_CHARS: Final = 200
"""A name is shown in one line; MoySklad takes 255 characters."""


class _Nobody:
    """Attribution without settings: a call nobody can be named for stays nobody's here."""

    unrecognized_extension = ""


class Calls:
    """Keeps the ``calls`` table."""

    name = "calls"

    def __init__(self, folded: FoldedCalls | None = None) -> None:
        self._folded = folded or FoldedCalls()

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        """Write the row of every call that the batch touches, as it stands after the batch."""
        rows = []
        for change in await self._folded.changes(db, events):
            rows.append(row_of(change.after))
            if len(rows) % PAUSE_EVERY == 0:
                await asyncio.sleep(0)
        if rows:
            await db.execute(_UPSERT, orjson.dumps(rows))

    async def reset(self, db: ProjectionDb) -> None:
        """Empty the table."""
        await db.execute("TRUNCATE calls")


def row_of(folded: Folded) -> dict[str, Any]:
    """The row by columns; ``talk_ms`` sums the talks that are over."""
    state = folded.state
    talks, cards = state.talks, state.remote.open_cards
    outcome, needed, talked = conclusions.outcome(state), parked(state), talked_ms(state)
    return {
        "enterprise": state.enterprise,
        "call": state.id,
        "version": state.version,
        "phase": state.phase.value,
        "direction": state.direction.value,
        "outcome": outcome.value if outcome else None,
        "number": state.number,
        "digits": "" if state.number == ANONYMOUS else digits(state.number),
        "extensions": involved(state),
        "extension": attribution(state, _Nobody())[0],
        "started_ms": conclusions.start_ms(state),
        "ended_ms": conclusions.end_ms(state),
        "talk_ms": max(0, sum((talk.end_ms or talk.start_ms) - talk.start_ms for talk in talks)),
        "moysklad_call": state.remote.call,
        "open_cards": len(cards),
        "failures": folded.failures,
        "parked": needed.reason or "refused" if needed is not None else "",
        "remedy": needed.remedy if needed is not None else "",
        "parked_ms": needed.since_ms if needed is not None else None,
        "parked_code": needed.code if needed is not None else None,
        "phase_ms": since_ms(folded),
        "ringing": state.ringing if state.phase in (Phase.RINGING, Phase.TRANSFERRING) else (),
        "talking": state.talking if state.is_live else (),
        "cards": cards,
        "client": state.remote.contact.name.replace("\0", "")[:NAME_CHARS],
        "talked": tuple(talked),
        "talked_ms": tuple(talked.values()),
        "wait_ms": wait_ms(state),
    }
