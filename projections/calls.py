"""``calls``: one row per call as it stands now: for search, the board, missed calls and reports (PRODUCT F2, F4, F9).

A row is folded anew from the call's whole stream up to the batch, so it depends on the events alone:
rebuilt equals live by construction.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from core import conclusions
from core.call import Call, evolve, initial
from core.conclusions import attribution
from core.events import EffectFailed, EffectRefused, Event, Observation, decode
from core.lifecycle import Phase
from core.measures import involved, talked_ms, wait_ms
from core.phone import digits
from core.plan import parked
from core.ports import ProjectionDb, RecordedEvent
from core.values import ANONYMOUS

_SQL: Final = Path(__file__).parent / "sql"
_HISTORY: Final = (_SQL / "calls_history.sql").read_text()
_UPSERT: Final = (_SQL / "calls_upsert.sql").read_text()

NAME_CHARS: Final = 200
"""A name is shown in one line; MoySklad takes 255 characters."""


class _Nobody:
    """Attribution without settings: a call nobody can be named for stays nobody's here."""

    unrecognized_extension = ""


class Calls:
    """Keeps the ``calls`` table."""

    name = "calls"

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        """Fold every call that the batch touches, up to the batch's last position, and write its row."""
        touched = {
            (recorded.stream.enterprise, recorded.stream.name): None
            for recorded in events
            if recorded.stream.name.startswith("call/")
        }
        if not touched:
            return
        upto = events[-1].position
        names = list(touched)
        rows = await db.fetch(_HISTORY, [name[0] for name in names], [name[1] for name in names], upto)
        histories: dict[tuple[str, str], list[Event]] = {name: [] for name in names}
        for row in rows:
            histories[row["enterprise"], row["stream"]].append(decode(row["type"], row["schema"], row["data"]))
        await db.executemany(_UPSERT, [_row(*name, history) for name, history in histories.items()])

    async def reset(self, db: ProjectionDb) -> None:
        """Empty the table."""
        await db.execute("TRUNCATE calls")


def _row(enterprise: str, stream: str, history: list[Event]) -> tuple[Any, ...]:
    """The row in the order of ``calls_upsert.sql``; ``talk_ms`` sums the talks that are over."""
    state, phase_ms = _folded(initial(enterprise, stream.removeprefix("call/")), history)
    talk_ms = sum((talk.end_ms or talk.start_ms) - talk.start_ms for talk in state.talks)
    outcome, needed, talked = conclusions.outcome(state), parked(state), talked_ms(state)
    return (
        enterprise,
        state.id,
        state.version,
        state.phase.value,
        state.direction.value,
        outcome.value if outcome else None,
        state.number,
        "" if state.number == ANONYMOUS else digits(state.number),
        list(involved(state)),
        attribution(state, _Nobody())[0],
        conclusions.start_ms(state),
        conclusions.end_ms(state),
        max(0, talk_ms),
        state.remote.call,
        len(state.remote.open_cards),
        sum(isinstance(event, EffectFailed | EffectRefused) for event in history),
        needed.reason or "refused" if needed is not None else "",
        needed.remedy if needed is not None else "",
        needed.since_ms if needed is not None else None,
        needed.code if needed is not None else None,
        phase_ms,
        list(state.ringing) if state.phase in (Phase.RINGING, Phase.TRANSFERRING) else [],
        list(state.talking) if state.is_live else [],
        list(state.remote.open_cards),
        state.remote.contact.name.replace("\0", "")[:NAME_CHARS],
        list(talked),
        list(talked.values()),
        wait_ms(state),
    )


def _folded(state: Call, history: Sequence[Event]) -> tuple[Call, int]:
    """The call, and since when it stands as it stands: for a talk since it began, else since the event that led there."""
    phase_ms = 0
    for event in history:
        before, state = state.phase, evolve(state, event)
        if state.phase is not before:
            phase_ms = event.heard_ms if isinstance(event, Observation) else event.at_ms
    began = [talk.start_ms for talk in state.talks if talk.end_ms is None] if state.phase is Phase.TALKING else []
    return state, min(began, default=phase_ms)
