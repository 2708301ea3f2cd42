"""``integration_logs``: the table that people and scripts have always read (PRODUCT F5), now a read model of the events.

One row per fact that concerns MoySklad: each dial and hangup of a call, each answer with its requests, each failure and
refusal, what was put off and what was ordered again, when the call was settled or overdue, and what became of each click in
MoySklad. The rest of the history is shown by the replay. A row is named by the event's place in the log, so it is written
exactly once; rows of other integrations are left alone. The columns, and ``status`` ``success`` or ``error``, are those of the
script that this service replaced; ``phone`` is in the clear.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import orjson

from core.clicks import (
    ClickEvent,
    ClickExpired,
    ClickRefused,
    ClickUnmatched,
    OriginateDone,
    OriginateFailed,
    decode_click,
)
from core.effects import Way, way_of_type
from core.events import (
    CallOverdue,
    CallSettled,
    DialObserved,
    EffectDeferred,
    EffectDone,
    EffectFailed,
    EffectRefused,
    Event,
    Exchange,
    HangupObserved,
    RetryRequested,
    decode,
)
from core.ports import LogLine, LogPage, ProjectionDb, RecordedEvent
from projections.folded import FoldedCalls

_SQL: Final = Path(__file__).parent / "sql"
_INSERT: Final = (_SQL / "journal_insert.sql").read_text()
_NUL: Final = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")
_REWRITE: Final = (_SQL / "journal_rewrite.sql").read_text()
_STALE: Final = (_SQL / "journal_stale.sql").read_text()
_TOLD: Final = (
    DialObserved, HangupObserved, EffectDone, EffectFailed, EffectRefused, EffectDeferred, RetryRequested, CallOverdue, CallSettled,
)  # fmt: skip
"""Facts that may get a row: most get none, and to find that out by a match of classes took a tenth of a rebuild."""

_TOLD_KINDS: Final = frozenset(_TOLD)
_TOLD_TYPES: Final = frozenset(kind.type for kind in _TOLD)

CLICK: Final = "click_to_call"
"""The ``event_type`` of what became of a click in MoySklad."""


class Journal:
    """Feeds ``integration_logs`` with ``integration_type = 'ms'``."""

    name = "journal"

    def __init__(self, folded: FoldedCalls | None = None) -> None:
        self._folded = folded or FoldedCalls()

    async def apply(self, db: ProjectionDb, events: Sequence[RecordedEvent]) -> None:
        """Write the rows of one batch of the log; repeating a batch writes nothing new."""
        rows = [row for recorded in events if (row := row_of(recorded)) is not None]
        if rows:
            await db.execute(_INSERT, *(list(column) for column in zip(*rows, strict=True)))

    async def begin_anew(self, db: ProjectionDb) -> None:
        """Nothing: each page puts its own rows right."""

    async def take_anew(self, db: ProjectionDb, page: LogPage) -> None:
        """Write the page's rows where they are not right already, and remove what is told of no event."""
        rows = [
            row
            for line, event in zip(page.lines, self._folded.anew.events(page), strict=True)
            if (event is None or type(event) in _TOLD_KINDS) and (told := _told_anew(line, event)) is not None
            if (row := _row(line[0], line[1], told, line[7], line[3]))
        ]
        if rows:
            await db.execute(_REWRITE, *(list(column) for column in zip(*rows, strict=True)))
        await db.execute(_STALE, page.after, page.upto, [row[-1] for row in rows])

    async def end_piece(self, db: ProjectionDb) -> None:
        """Every page was written by itself."""

    async def finish_anew(self, db: ProjectionDb) -> None:
        """Every row is in its place."""


Told = tuple[str, dict[str, Any], Any, str]
"""``(event_type, request, response, error)`` of one fact; an empty error means success."""


def row_of(recorded: RecordedEvent) -> tuple[Any, ...] | None:
    """The row of one event in the order of ``journal_insert.sql``; None for a fact that gets none."""
    kind = recorded.stream.name.partition("/")[0]
    told = None
    if kind == "call":
        if recorded.type not in _TOLD_TYPES:
            return None
        told = _tell(decode(recorded.type, recorded.schema, recorded.data))
    elif kind == "click":
        told = _click(decode_click(recorded.type, recorded.data))
    return _row(recorded.stream.enterprise, recorded.stream.name, told, recorded.recorded_ms, recorded.position)


def _told_anew(line: LogLine, event: Event | None) -> Told | None:
    if event is not None:
        return _tell(event)
    return _click(decode_click(line[4], orjson.loads(line[6])))


def _row(enterprise: str, stream: str, told: Told | None, recorded_ms: int, position: int) -> tuple[Any, ...] | None:
    if told is None:
        return None
    event_type, request, response, error = told
    kind, _, name = stream.partition("/")
    return (
        enterprise,
        event_type,
        _jsonb({kind: name, **request}),
        None if response is None else _jsonb(response),
        "error" if error else "success",
        error or None,
        recorded_ms / 1000,
        position,
    )


def _jsonb(value: object) -> str:
    """JSON that jsonb takes: it refuses the NUL character that the log's json keeps."""
    text = orjson.dumps(value).decode()
    return _NUL.sub(r"\1", text) if "\\u0000" in text else text


def _tell(event: Event) -> Told | None:
    """What a fact of a call comes to."""
    if type(event) not in _TOLD_KINDS:
        return None
    match event:
        case DialObserved():
            heard: dict[str, Any] = {
                "direction": event.direction.value,
                "phone": event.number,
                "extensions": list(event.extensions),
            }
            return "dial", heard, None, ""
        case HangupObserved():
            heard = {
                "phone": event.number,
                "extensions": list(event.extensions),
                "answered": event.answered,
                "downloaded": event.downloaded,
            }
            if event.verdict:
                heard |= {"verdict": event.verdict, "hung_up_by": event.hung_up_by, "cause": event.cause}
            return "hangup", heard, None, ""
        case EffectDone() if way_of_type(str(event.effect.get("type"))) is Way.HOUSE:
            return None  # MoySklad was not asked
        case EffectDone():
            return str(event.effect.get("type")), _requests(event.exchanges), _answers(event), ""
        case EffectFailed() | EffectRefused():
            kind = f"{event.effect.get('type')}_{'failed' if isinstance(event, EffectFailed) else 'refused'}"
            return kind, _requests(event.exchanges), _answers(event), event.error or "no answer"
        case EffectDeferred():
            # Not a success, and whoever looks for what did not reach MoySklad looks for errors.
            put_off = {"until_ms": event.until_ms}
            return f"{event.effect.get('type')}_deferred", put_off, None, f"not asked yet: {event.reason or 'no reason'}"
        case RetryRequested():
            return "retry_requested", {"by": event.by, "reason": event.reason}, None, ""
        case CallOverdue():
            return "call_overdue", {}, None, "no hangup within the maximum"
        case CallSettled():
            return "call_settled", {"reason": event.reason}, None, ""
        case _:
            return None


def _click(event: ClickEvent | None) -> Told | None:
    """The same for a click in MoySklad: what became of it."""
    match event:
        case OriginateDone() | OriginateFailed() | ClickExpired() | ClickUnmatched() | ClickRefused():
            asked = {"phone": event.number, "extension": event.extension}
        case _:
            return None
    match event:
        case OriginateDone():
            return CLICK, asked, {"duration_ms": event.took_ms}, ""
        case OriginateFailed(ambiguous=True):
            return CLICK, asked, None, _words(f"it may ring all the same: {event.error}", event.remedy)
        case OriginateFailed() | ClickRefused():
            return CLICK, asked, None, _words(event.error, event.remedy)
        case ClickExpired():
            return CLICK, asked, None, "it could not be dialled in time, so it was not dialled at all"
        case ClickUnmatched():
            return CLICK, asked, None, "no call came of it: nobody picked up, or the exchange rang nobody"


def _words(error: str, remedy: str) -> str:
    return f"{error}; {remedy}" if remedy else error


def _requests(exchanges: tuple[Exchange, ...]) -> dict[str, Any]:
    return {"requests": [{"method": each.method, "path": each.path, "body": each.request} for each in exchanges]}


def _answers(event: EffectDone | EffectFailed | EffectRefused) -> list[dict[str, Any]]:
    return [{"status": each.status, "body": each.response, "duration_ms": each.duration_ms} for each in event.exchanges]
