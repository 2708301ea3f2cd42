"""The switchboard's part in clicks: remembers those whose order was given, and finds the calls that came of them.

The rules are in ``core/click_joining.py``. What is remembered is kept with the switchboard's other memory, in the same batch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

from adapters.ids import event_id
from core.click_joining import CHOSEN, Joining, KnownClick, extensions_told, join, known_click
from core.clicks import CALL_WITHIN_MS, STREAM, ClickEvent, OriginateStarted, decode_click, encode_click
from core.events import AnyObservation, HangupObserved
from core.ports import NewEvent, RecordedEvent


@dataclass(frozen=True, slots=True, kw_only=True)
class NearClicks:
    """The clicks that observations can touch: of these extensions, started at ``since_ms`` or later; or with these calls' ids,
    chosen or found."""

    extensions: tuple[str, ...]
    calls: tuple[str, ...]
    since_ms: int


class ClickMemory(Protocol):
    """The clicks in a batch's memory (``adapters.switchboard.SwitchboardBatch``). Every method may raise StoreUnavailable."""

    async def clicks(self, near: Mapping[str, NearClicks]) -> dict[str, dict[str, KnownClick]]:
        """Those clicks of each enterprise, by id."""
        ...

    async def save_clicks(self, clicks: Mapping[str, Sequence[KnownClick]]) -> None:
        """Remember them as they are now, by enterprise."""
        ...


def new_click_event(event: ClickEvent, id_: UUID | None = None) -> NewEvent:
    """Wrap a click's fact for the store."""
    type_, schema, data = encode_click(event)
    return NewEvent(id=id_ or event_id(), type=type_, schema=schema, data=data)


def order_given(recorded: RecordedEvent) -> KnownClick | None:
    """The click of an event that says that its order was given; None for any other event."""
    if recorded.type != OriginateStarted.type or not recorded.stream.name.startswith(STREAM):
        return None
    event = decode_click(recorded.type, recorded.data)
    return known_click(recorded.stream.name.removeprefix(STREAM), event) if isinstance(event, OriginateStarted) else None


async def find_joinings(
    memory: ClickMemory, heard: Mapping[str, Sequence[tuple[RecordedEvent, AnyObservation | KnownClick]]]
) -> list[tuple[str, Joining]]:
    """Take in what a batch holds, by enterprise and in the log's order; the calls that prove to be a click's, each with its
    enterprise."""
    near = {enterprise: each for enterprise, events in heard.items() if (each := _near(events)) is not None}
    remembered = await memory.clicks(near) if near else {}
    changed: dict[str, dict[str, KnownClick]] = {}
    found: list[tuple[str, Joining]] = []
    for enterprise, events in heard.items():
        known = remembered.get(enterprise, {})
        for recorded, event in events:
            if isinstance(event, KnownClick):
                known[event.id] = changed.setdefault(enterprise, {})[event.id] = _kept(known, event)
            elif known and recorded.stream.name.startswith("call/"):
                joining = join(known, recorded.stream.name.removeprefix("call/"), event)
                if joining is not None:
                    known[joining.click.id] = changed.setdefault(enterprise, {})[joining.click.id] = joining.click
                    found.append((enterprise, joining))
    if changed:
        await memory.save_clicks({enterprise: list(clicks.values()) for enterprise, clicks in changed.items()})
    return found


def _kept(known: Mapping[str, KnownClick], click: KnownClick) -> KnownClick:
    """The click with what was already known of it: a batch that is repeated must not forget what it found the first time."""
    return known.get(click.id, click)


def _near(heard: Sequence[tuple[RecordedEvent, AnyObservation | KnownClick]]) -> NearClicks | None:
    extensions: set[str] = set()
    calls: set[str] = set()
    times: list[int] = []
    for recorded, event in heard:
        name = recorded.stream.name
        if isinstance(event, KnownClick) or not name.startswith("call/"):
            continue
        told, call = extensions_told(event), name.removeprefix("call/")
        if not told and not call.startswith(CHOSEN):
            continue
        extensions.update(told)
        calls.add(call)
        times.append(event.heard_ms)
        if isinstance(event, HangupObserved):
            times += [at_ms for at_ms in (event.received_ms, event.started_ms) if at_ms is not None]
    if not calls:
        return None
    return NearClicks(
        extensions=tuple(sorted(extensions)), calls=tuple(sorted(calls)), since_ms=min(times) - CALL_WITHIN_MS
    )
