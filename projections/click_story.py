"""A click's history as a story: what MoySklad asked, what was done about it and why, and what came of it.

Pure: the events of the click's stream in, sentences out; in Russian by the same table as a call's (``story_ru.py``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, tzinfo
from typing import Final

from core.click_joining import CHOSEN
from core.clicks import (
    CALL_WITHIN_MS,
    FRESH_MS,
    ClickEvent,
    ClickExpired,
    ClickMatched,
    ClickRefused,
    ClickRepeated,
    ClickRequested,
    ClickUnmatched,
    OriginateDone,
    OriginateFailed,
    OriginateStarted,
    decode_click,
    fold_click,
    initial_click,
)
from core.ports import RecordedEvent
from projections.story_ru import in_russian

WAYS: Final = {"http": "the provider's API", "ami": "AMI"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickStep:
    """One fact in words. ``why``: the reason or the remedy; ``bad``: it went wrong here; ``call``: the call it names."""

    at_ms: int
    title: str
    why: str = ""
    bad: bool = False
    call: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClickStory:
    """The whole click. ``call``: what came of it, empty for nothing (yet)."""

    enterprise: str
    click: str
    stage: str
    extension: str
    number: str
    uid: str
    signature: str
    call: str
    steps: tuple[ClickStep, ...]


def tell_click(enterprise: str, click: str, history: Sequence[RecordedEvent]) -> ClickStory:
    """The story of one click from its stream. An empty history gives a story without steps."""
    events = [decode_click(each.type, each.data) for each in history]
    state = fold_click(initial_click(enterprise, click), events)
    return ClickStory(
        enterprise=enterprise,
        click=click,
        stage=state.stage,
        extension=state.extension,
        number=state.number,
        uid=state.uid,
        signature=state.signature,
        call=state.call,
        steps=tuple(
            _step(event, recorded.recorded_ms, recorded.type) for recorded, event in zip(history, events, strict=True)
        ),
    )


def click_in_russian(story: ClickStory) -> ClickStory:
    """The same for a page."""
    steps = (replace(step, title=in_russian(step.title), why=in_russian(step.why)) for step in story.steps)
    return replace(story, steps=tuple(steps))


def render_click(story: ClickStory, zone: tzinfo) -> str:
    """The story as text for a terminal."""
    lines = [f"click {CHOSEN}{story.click} of enterprise {story.enterprise}: {story.extension} wants {story.number}"]
    lines += [f"  by {story.uid or 'somebody'}; {_signature(story.signature)}; now: {story.stage}", ""]
    for step in story.steps:
        at = datetime.fromtimestamp(step.at_ms / 1000, zone).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
        lines.append(f"{at}  {'! ' if step.bad else '  '}{step.title}")
        if step.why:
            lines.append(f"{'':<27}{step.why}")
    return "\n".join(lines) + "\n"


def _step(event: ClickEvent | None, recorded_ms: int, type_: str) -> ClickStep:
    if event is None:
        return ClickStep(at_ms=recorded_ms, title=f"{type_}: written by a newer version of the service")
    title, why, bad = _tell(event)
    call = event.call if isinstance(event, ClickMatched) else ""
    return ClickStep(at_ms=event.at_ms, title=title, why=why, bad=bad, call=call)


def _tell(event: ClickEvent) -> tuple[str, str, bool]:
    """``(title, why, whether it went wrong)``."""
    match event:
        case ClickRequested():
            return f"MoySklad asks: {event.extension} calls {event.number}", _signature(event.signature), False
        case ClickRefused():
            asked = f"{event.extension or '?'} calls {event.number or '?'}"
            return f"not obeyed: {asked}: {event.error}", event.remedy, True
        case ClickRepeated():
            return "delivered once more: the same click rings once", "", False
        case ClickExpired():
            why = f"a click is dialled within {FRESH_MS // 1000} s or never"
            return "not dialled: it came too late, and no telephone must ring out of the blue", why, True
        case OriginateStarted():
            return f"the order is given by {WAYS.get(event.way, event.way)}", "", False
        case OriginateDone():
            return f"the telephone exchange took the order in {event.took_ms} ms", "", False
        case OriginateFailed(ambiguous=True):
            return f"whether the order arrived is not known: {event.error}", event.remedy, True
        case OriginateFailed():
            return f"the order was not carried out: {event.error}", event.remedy, True
        case ClickMatched(own_leg=True):
            return f"the employee's own telephone rings (call {event.call})", "", False
        case ClickMatched():
            return f"it became call {event.call}", "", False
        case ClickUnmatched():
            why = f"within {CALL_WITHIN_MS // 1000} s nothing was heard of a call"
            return "no call came of it: nobody picked up, or the exchange rang nobody", why, True


def _signature(signature: str) -> str:
    match signature:
        case "" | "absent":
            return "MoySklad signed nothing"
        case "wrong":
            return "the signature fits none of the known forms"
        case _:
            return f"the signature fits: {signature}"
