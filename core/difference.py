"""What MoySklad was told of a call, as facts that can be compared, and how two histories of one call differ. Pure.

Two histories differ when somebody could see it: a card on a screen, the record at MoySklad, a client, an order or a task that
was made, how the call ended and whose it was, or that a person is needed. How many requests that took, under which numbers, and
how many milliseconds later, is no difference.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from core import conclusions
from core.call import Call, evolve, initial
from core.cards import Note
from core.decisions import Limits
from core.effects import CreateContact, Effect, RegisterCall, UpdateCall, is_write
from core.events import EffectDone, EffectStarted, Event
from core.lifecycle import Phase
from core.plan import parked_reason, remarks
from core.record import final_record
from core.remote import Card
from core.rerun import time_of
from core.settings import Settings
from core.stand_in import content, effect_of

CARD_SLACK_MS: Final = 5_000
"""A card that stands so much earlier or later stands as it did: MoySklad may be slow, and so may we."""

TIME_SLACK_MS: Final = 1_000
"""Times in the record may differ by this much and count as equal: half of their sources cut them to whole seconds."""

FLICKER_MS: Final = 1_000
"""Nobody saw what stood on a screen for less than this before something else replaced it."""

WHOSE_CARD: Final = "whose card "
_OF_THE_RECORD: Final = frozenset({"start", "end", "employee", "comment", "recordings"})
VISIBLE: Final = (Card.SHOWN, Card.TIMING)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that is so, JSON-able, and why."""

    value: Any
    because: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One thing that would be otherwise. None: it was not so, or would not be so. ``*_because``: why, where a reason is known."""

    about: str
    was: Any
    would: Any
    was_because: str = ""
    would_because: str = ""


Facts = Mapping[str, Fact]


class _Screens:
    """How each card stood, in time; ``whys``: what was last said of a write, by its key."""

    def __init__(self) -> None:
        self.cards: dict[str, list[tuple[Card, int]]] = {}
        self.whys: dict[str, str] = {}
        self.shown_because: dict[str, str] = {}
        self.written_because = ""
        self.made: dict[str, Fact] = {}


def facts(events: Sequence[Event], *, enterprise: str, call: str, settings: Settings) -> Facts:
    """What can be said of a history. What is not so is left out."""
    return folded_facts(events, enterprise=enterprise, call=call, settings=settings)[1]


def folded_facts(events: Sequence[Event], *, enterprise: str, call: str, settings: Settings) -> tuple[Call, Facts]:
    """The same, with the call."""
    state, screens = initial(enterprise, call), _Screens()
    for event in events:
        before, state = state, evolve(state, event)
        _look(screens, before, state, event, settings)
    found = dict(_ended(state, settings))
    for extension, stood in screens.cards.items():
        if seen := _seen(stood):
            found[f"card {extension}"] = Fact(value=seen, because=screens.shown_because.get(extension, ""))
    found.update(_recorded(state, screens))
    found.update(screens.made)
    if reason := parked_reason(state):
        found["parked"] = Fact(value=reason)
    return state, found


def compare(was: Facts, would: Facts) -> tuple[Change, ...]:
    """What differs, in a fixed order. What merely follows from a call or a card that is missing is not listed beside it."""
    found = [
        Change(
            about=about,
            was=was[about].value if about in was else None,
            would=would[about].value if about in would else None,
            was_because=was[about].because if about in was else "",
            would_because=would[about].because if about in would else "",
        )
        for about in dict.fromkeys([*was, *would])
        if about not in was or about not in would or not _same(about, was[about].value, would[about].value)
    ]
    gone = {change.about for change in found if change.was is None or change.would is None}
    if "employee" in gone and "extension" in was and "extension" not in {change.about for change in found}:
        # MoySklad finds the employee by the extension, whether we name him or not (CONTRACT-MOYSKLAD 1.4).
        found = [change for change in found if change.about != "employee"]
    return tuple(change for change in found if not _follows(change.about, gone))


def _follows(about: str, gone: set[str]) -> bool:
    if about.startswith(WHOSE_CARD):
        return f"card {about.removeprefix(WHOSE_CARD)}" in gone
    return about in _OF_THE_RECORD and "call" in gone


def is_same(one: Change, other: Change) -> bool:
    """Whether two changes come to the same."""
    if one.about != other.about:
        return False
    return all(
        (a is None) == (b is None) and (a is None or _same(one.about, a, b))
        for a, b in ((one.was, other.was), (one.would, other.would))
    )


def reasons(events: Sequence[Event], *, enterprise: str, call: str, settings: Settings, limits: Limits) -> dict[str, str]:
    """What was remarked while the history went on: about -> the last text. For whoever asks why something was left undone."""
    state = initial(enterprise, call)
    found: dict[str, str] = {}
    last: tuple[Note, ...] = ()
    for event in events:
        before, state = state, evolve(state, event)
        last = remarks(before, state, event, settings, time_of(event), limits)
        found.update((note.about, note.text) for note in last)
    hold = {note.about for note in last}
    return {about: text for about, text in found.items() if about in hold or about not in _PASSING}


def reason_for(about: str, remarked: Mapping[str, str]) -> str:
    """The remark that best says why there is nothing of this; empty where none does: the settings do not ask for it."""
    also = _ALSO.get(about) or _ALSO.get(about.partition(" ")[0], ("call",))
    return next((remarked[name] for name in (about, *also) if name in remarked), "")


_PASSING: Final = frozenset({"call", "end"})
"""What is remarked of these while they wait is a reason only as long as they do: nothing is missing because of it later."""


_ALSO: Final[Mapping[str, tuple[str, ...]]] = {
    "card": ("cards", "call"),
    "whose": ("attribution", "call"),
    "client": ("contact", "call"),
    "contact": ("contact", "call"),
    "extension": ("attribution", "call"),
    "employee": ("attribution", "call"),
    "end": ("end", "call"),
    "create order": ("order", "call"),
    "create task": ("task", "call"),
    "complete task": ("task", "call"),
}


def _look(screens: _Screens, before: Call, after: Call, event: Event, settings: Settings) -> None:
    """Note what this event changed that somebody can see."""
    at_ms = time_of(event)
    if isinstance(event, EffectStarted):
        screens.whys[event.key] = event.why
    if after.remote is before.remote:
        return
    why = screens.whys.get(str(getattr(event, "key", "")), "")
    for extension, card in after.remote.cards:
        if before.remote.cards_by_extension.get(extension, Card.HIDDEN) is not card:
            screens.cards.setdefault(extension, []).append((card, at_ms))
            if card in VISIBLE:
                screens.shown_because.setdefault(extension, why)
    if not isinstance(event, EffectDone):
        return
    effect = effect_of(event)
    if isinstance(effect, RegisterCall | UpdateCall):
        screens.written_because = why
        for told in effect.cards:
            if told.employee:
                mapped = settings.employee_for(told.extension) is not None
                because = "the settings say so" if mapped else "MoySklad says so"
                screens.made[f"{WHOSE_CARD}{told.extension}"] = Fact(value=told.employee, because=because)
    elif effect is not None and is_write(effect):
        about, value = _made(effect, event.effect)
        screens.made[about] = Fact(value=value, because=why)


def _made(effect: Effect, stored: Mapping[str, Any]) -> tuple[str, Any]:
    if isinstance(effect, CreateContact):
        return "client made", effect.number
    told = content(stored).items()
    said = {name: value for name, value in told if name not in ("type", "sync_id") and value not in ("", None, [])}
    return effect.type.replace("_", " "), said


def _ended(call: Call, settings: Settings) -> Iterator[tuple[str, Fact]]:
    outcome = conclusions.outcome(call)
    if outcome is None:
        return
    yield "outcome", Fact(value=outcome.value, because=call.phase.value)
    if call.phase in (Phase.INTERNAL, Phase.INTERNAL_ENDED, Phase.ABSORBED):
        return
    record = final_record(call, settings)
    yield "whose call", Fact(value=record.extension or "nobody", because=record.attributed)


def _recorded(call: Call, screens: _Screens) -> Iterator[tuple[str, Fact]]:
    """The call as MoySklad has it."""
    remote, because = call.remote, screens.written_because
    if remote.call is None:
        return
    yield "call", Fact(value="recorded", because=because)
    if remote.start_ms is not None:
        yield "start", Fact(value=remote.start_ms)
    written = remote.written
    for about, value in (
        ("end", written.end_ms),
        ("extension", written.extension),
        ("employee", written.employee),
        ("comment", written.comment),
        ("recordings", list(written.recordings)),
        ("contact", remote.linked),
    ):
        if value not in (None, "", []):
            yield about, Fact(value=value, because=because)


def _seen(stood: Sequence[tuple[Card, int]]) -> list[dict[str, Any]]:
    """The states that somebody could see, in order: ``{"card": …, "at_ms": …}``."""
    seen: list[tuple[Card, int]] = []
    for index, (card, at_ms) in enumerate(stood):
        until_ms = stood[index + 1][1] if index + 1 < len(stood) else None
        brief = until_ms is not None and until_ms - at_ms < FLICKER_MS
        if brief and stood[index + 1][0] is not Card.HIDDEN:
            if not seen:  # what comes next stood there from now on
                seen.append((stood[index + 1][0], at_ms))
            continue
        if not seen or seen[-1][0] is not card:
            seen.append((card, at_ms))
    if seen and seen[0][0] is Card.HIDDEN:
        seen = seen[1:]
    return [{"card": card.value, "at_ms": at_ms} for card, at_ms in seen]


def _same(about: str, one: Any, other: Any) -> bool:
    if about.startswith("card "):
        return [each["card"] for each in one] == [each["card"] for each in other] and all(
            abs(a["at_ms"] - b["at_ms"]) <= CARD_SLACK_MS for a, b in zip(one, other, strict=True)
        )
    if about in ("start", "end"):
        return bool(abs(one - other) <= TIME_SLACK_MS)
    return bool(one == other)
