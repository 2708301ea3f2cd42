"""A click in MoySklad that asks for a call, as a history of its own: stream ``click/<id>`` (PRODUCT E5, docs/decisions/0017).

The facts, the table of stages, the fold, and what time decides. A click never dials twice and never dials late: an employee's
telephone must not ring out of the blue. What the exchange may or may not have done is not repeated.
Times are ``*_ms``: integer milliseconds since the Unix epoch, UTC. Outcomes name who wanted to call whom, for whoever reads the
journal.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, ClassVar, Final

import msgspec

from core.origination import ORIGINATE_S

STREAM: Final = "click/"

FRESH_MS: Final = 8_000
"""A click is dialled within this time or never: long enough for another instance to take over whoever died (4 s), short enough
that whoever clicked still waits at the telephone."""

RINGS_MS: Final = 10_000
"""A telephone that did not begin to ring so soon after the click does not ring for it."""

REPEAT_MS: Final = 20_000
"""The same employee, number and login within this time are the same click, unless it failed or its call is over. MoySklad's
retries are not documented and carry no id; its other webhooks are repeated within seconds, and so does whoever presses twice.
Longer, and an employee who did not get to the telephone in time could not try again."""

LOST_MS: Final = int(ORIGINATE_S * 1_000) + 7_000
"""After this long without an outcome the instance that gave the order is taken for dead, and nobody knows whether the order
arrived."""

CALL_WITHIN_MS: Final = 90_000
"""A call that is heard to begin later than this after the order is not the click's: telephones ring for a minute at most, and
what the exchange tells of it lags seconds behind. Without a call by then the click has rung nobody."""

EACH_MINUTE: Final = 6
EACH_HOUR: Final = 120
"""Clicks of one employee: nobody who talks with customers makes more calls, and a script that does is stopped."""

ENTERPRISE_MINUTE: Final = 60
"""Clicks of one enterprise, all employees together."""


class Stage(StrEnum):
    """How far a click has come."""

    UNHEARD = "unheard"
    WAITING = "waiting"
    ORDERING = "ordering"
    ORDERED = "ordered"
    DOUBTED = "doubted"
    JOINED = "joined"
    SILENT = "silent"
    FAILED = "failed"
    EXPIRED = "expired"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickRequested:
    """MoySklad asked: ``extension`` wants to call ``number``. ``uid``: the login of whoever clicked. ``signature``: the reading
    that fitted, or ``absent`` or ``wrong``. ``raw``: what MoySklad sent."""

    type: ClassVar[str] = "click_requested"
    at_ms: int
    extension: str
    number: str
    uid: str = ""
    signature: str = ""
    address: str = ""
    settings_revision: int = 0
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickRefused:
    """MoySklad asked and was not obeyed: why, and what a person can do. The numbers as they were sent."""

    type: ClassVar[str] = "click_refused"
    at_ms: int
    error: str
    remedy: str = ""
    extension: str = ""
    number: str = ""
    uid: str = ""
    signature: str = ""
    address: str = ""
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickRepeated:
    """The same click was delivered once more: it rings once."""

    type: ClassVar[str] = "click_repeated"
    at_ms: int
    address: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickExpired:
    """It could not be dialled in time, so it is not dialled at all."""

    type: ClassVar[str] = "click_expired"
    at_ms: int
    extension: str = ""
    number: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginateStarted:
    """We are about to give the order; recorded first, so that it is given once. ``way``: ``ami`` or ``http``."""

    type: ClassVar[str] = "originate_started"
    at_ms: int
    way: str
    channel_id: str
    extension: str
    number: str
    uid: str = ""
    requested_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginateDone:
    """The exchange took the order."""

    type: ClassVar[str] = "originate_done"
    at_ms: int
    extension: str = ""
    number: str = ""
    took_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OriginateFailed:
    """The exchange did not take the order, as far as is known. ``ambiguous``: a telephone may ring all the same."""

    type: ClassVar[str] = "originate_failed"
    at_ms: int
    error: str
    extension: str = ""
    number: str = ""
    remedy: str = ""
    ambiguous: bool = False
    took_ms: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickMatched:
    """A call turned out to be what came of the click; ``own_leg``: only the ringing of the telephone of whoever clicked."""

    type: ClassVar[str] = "click_matched"
    at_ms: int
    call: str
    own_leg: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickUnmatched:
    """No call came of it in time: nobody picked up, or the exchange rang nobody."""

    type: ClassVar[str] = "click_unmatched"
    at_ms: int
    extension: str = ""
    number: str = ""


ClickEvent = (
    ClickRequested
    | ClickRefused
    | ClickRepeated
    | ClickExpired
    | OriginateStarted
    | OriginateDone
    | OriginateFailed
    | ClickMatched
    | ClickUnmatched
)
CLICK_EVENTS: Final[Mapping[str, type[ClickEvent]]] = {
    kind.type: kind
    for kind in (
        ClickRequested,
        ClickRefused,
        ClickRepeated,
        ClickExpired,
        OriginateStarted,
        OriginateDone,
        OriginateFailed,
        ClickMatched,
        ClickUnmatched,
    )
}
SCHEMA: Final = 1
"""The version in which they all are written today."""


def encode_click(event: ClickEvent) -> tuple[str, int, dict[str, Any]]:
    """What the store keeps: ``(type, schema version, JSON-able data)``."""
    data: dict[str, Any] = msgspec.to_builtins(event)
    return event.type, SCHEMA, data


def decode_click(type_: str, data: Mapping[str, Any]) -> ClickEvent | None:
    """Read a stored event back; None for one that this code does not know (a newer version of the service wrote it)."""
    kind = CLICK_EVENTS.get(type_)
    if kind is None:
        return None
    event: ClickEvent = msgspec.convert(data, kind)
    return event


S = Stage
OUTCOMES: Final[Mapping[tuple[Stage, type[ClickEvent]], Stage]] = {
    (S.UNHEARD, ClickRequested): S.WAITING,
    (S.UNHEARD, ClickRefused): S.REFUSED,
    (S.WAITING, ClickExpired): S.EXPIRED,
    (S.WAITING, OriginateStarted): S.ORDERING,
    (S.WAITING, OriginateFailed): S.FAILED,  # there was nobody to give the order to
    (S.ORDERING, ClickExpired): S.EXPIRED,  # writing that it begins took too long: it did not
    (S.ORDERING, OriginateDone): S.ORDERED,
    (S.ORDERING, OriginateFailed): S.FAILED,
    (S.ORDERING, ClickMatched): S.JOINED,  # the call was heard before the exchange's answer
    (S.ORDERED, ClickMatched): S.JOINED,
    (S.DOUBTED, ClickMatched): S.JOINED,
    (S.SILENT, ClickMatched): S.JOINED,  # it was told of late: a hangup that was downloaded
    (S.FAILED, ClickMatched): S.JOINED,  # whatever the exchange said
    (S.ORDERED, ClickUnmatched): S.SILENT,
    (S.DOUBTED, ClickUnmatched): S.SILENT,
}
"""All changes of stage. A failure that leaves doubt leads to ``DOUBTED`` instead, a match of the own telephone alone nowhere."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Click:
    """A click as folded from its stream. ``call``: what came of it; ``own_leg``: a call that was only its own telephone."""

    enterprise: str
    id: str
    stage: Stage = Stage.UNHEARD
    extension: str = ""
    number: str = ""
    uid: str = ""
    signature: str = ""
    requested_ms: int = 0
    started_ms: int | None = None
    way: str = ""
    error: str = ""
    remedy: str = ""
    ambiguous: bool = False
    call: str = ""
    own_leg: str = ""
    repeats: int = 0
    changed_ms: int = 0
    version: int = 0

    @property
    def channel_id(self) -> str:
        """What the call's UniqueId is to be, where it can be chosen."""
        return f"click-{self.id}"


def initial_click(enterprise: str, click: str) -> Click:
    """A click of which nothing was recorded yet."""
    return Click(enterprise=enterprise, id=click)


def fold_click(state: Click, events: Iterable[ClickEvent | None]) -> Click:
    """The click after these events, in stream order; unknown ones count as versions."""
    for event in events:
        state = evolve_click(state, event)
    return state


def evolve_click(state: Click, event: ClickEvent | None) -> Click:
    """The click after one more event. Total."""
    after = state if event is None else _evolve(state, event)
    return replace(after, version=state.version + 1)


def _evolve(state: Click, event: ClickEvent) -> Click:
    stage = OUTCOMES.get((state.stage, type(event)), state.stage)
    known = replace(state, stage=stage, changed_ms=event.at_ms)
    match event:
        case ClickRequested() | ClickRefused():
            known = replace(
                known,
                extension=event.extension,
                number=event.number,
                uid=event.uid,
                signature=event.signature,
                requested_ms=event.at_ms,
            )
            return replace(known, error=event.error, remedy=event.remedy) if isinstance(event, ClickRefused) else known
        case ClickRepeated():
            return replace(known, repeats=state.repeats + 1)
        case OriginateStarted():
            return replace(known, started_ms=event.at_ms, way=event.way)
        case OriginateFailed():
            doubted = Stage.DOUBTED if event.ambiguous and stage is Stage.FAILED and state.stage is not stage else stage
            return replace(known, stage=doubted, error=event.error, remedy=event.remedy, ambiguous=event.ambiguous)
        case ClickMatched(own_leg=True):
            return replace(known, stage=state.stage, own_leg=event.call)
        case ClickMatched():
            return replace(known, call=state.call or event.call)
        case _:
            return known


def decide_click(click: Click, now_ms: int) -> tuple[ClickEvent, ...]:
    """What passing time makes true; empty when nothing. Deciding again after evolving decides nothing."""
    due_ms = deadline(click)
    if due_ms is None or now_ms < due_ms:
        return ()
    match click.stage:
        case Stage.WAITING:
            return (ClickExpired(at_ms=now_ms, extension=click.extension, number=click.number),)
        case Stage.ORDERING:
            lost = OriginateFailed(
                at_ms=now_ms,
                error=INTERRUPTED,
                extension=click.extension,
                number=click.number,
                remedy=INTERRUPTED_REMEDY,
                ambiguous=True,
            )
            return (lost,)
        case _:
            return (ClickUnmatched(at_ms=now_ms, extension=click.extension, number=click.number),)


INTERRUPTED: Final = "the service was interrupted while it gave the order to the telephone exchange"
INTERRUPTED_REMEDY: Final = "it is not known whether the telephone rang; if it did not, click again"


def deadline(click: Click) -> int | None:
    """When time next decides something about this click; None: never."""
    started_ms = click.started_ms or click.requested_ms
    match click.stage:
        case Stage.WAITING:
            return click.requested_ms + FRESH_MS
        case Stage.ORDERING:
            return started_ms + LOST_MS
        case Stage.ORDERED | Stage.DOUBTED:
            return started_ms + CALL_WITHIN_MS
        case _:
            return None


def is_fresh(click: Click, now_ms: int) -> bool:
    """Whether it may still be dialled."""
    return now_ms - click.requested_ms < FRESH_MS


def is_spent(click: Click) -> bool:
    """Whether it is certain that nothing rings, or will ring, for it: the same click may then be made anew."""
    return click.stage in (Stage.EXPIRED, Stage.REFUSED, Stage.SILENT, Stage.FAILED)
