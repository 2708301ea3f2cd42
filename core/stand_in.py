"""MoySklad as one call's record tells of it: what it answers when the call is run again. Pure and deterministic.

The record holds what was asked and what was answered. Who asks the same again gets the same answer. Who asks something else of
the same kind gets what follows from the record: the same ids, the same people, the same refusals of whatever was refused.
What the record says nothing about is answered as well as can be, and noted as an assumption.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from core.effects import (
    ClaimCallback,
    CloseCallback,
    CompleteTask,
    ConfirmCall,
    CreateContact,
    CreateOrder,
    CreateTask,
    Effect,
    FindContact,
    FindEmployees,
    FollowUp,
    HoldTasks,
    InspectCall,
    InspectTask,
    KeepTask,
    RegisterCall,
    UpdateCall,
    decode_effect,
    encode_effect,
)
from core.events import AnyOutcome, EffectDone, EffectRefused, Event
from core.phone import same_number
from core.remote import is_account_wide

IMAGINED: Final = "imagined"
"""Begins the ids of what MoySklad would have made."""

_VOLATILE: Final = frozenset({"deadline_ms", "sequence", "mark", "look"})
"""Fields of effects that say nothing about what is asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """How an effect ends. ``assumed``: what is not in the record and was taken so, in words."""

    result: dict[str, Any] = field(default_factory=dict)
    refusal: EffectRefused | None = None
    assumed: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class StandIn:
    """What the record tells of MoySklad.

    ``contacts``: (number, uuid, name); None: looked for, nobody's. ``employees``: extension -> who, None: nobody.
    ``refusals``: what was refused for what it was, not for whose account it was. ``results``: type -> the last good answer.
    ``generous``: extensions that nothing is known of are somebody's, for want of any record.
    """

    call: str = ""
    linked: str = ""
    contacts: tuple[tuple[str, str | None, str], ...] = ()
    employees: Mapping[str, Any] = field(default_factory=dict)
    recordings: tuple[str, ...] = ()
    refusals: tuple[EffectRefused, ...] = ()
    results: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    generous: bool = False

    def answer(self, effect: Effect) -> Answer:
        """What MoySklad would say to an effect that it was never asked for."""
        for refused in self.refusals:
            if contains(effect, refused.effect):
                return Answer(refusal=refused)
        match effect:
            case FindContact():
                return self._find(effect)
            case FindEmployees():
                unknown = [each for each in effect.extensions if each not in self.employees]
                taken = "somebody" if self.generous else "nobody"
                told = f"the record does not say who has {', '.join(unknown)}: taken as {taken}" if unknown else ""
                taken_for = {"id": ""} if self.generous else None
                found = {each: self.employees.get(each, taken_for) for each in effect.extensions}
                return Answer(result={"employees": found}, assumed=told)
            case CreateContact():
                known = next((id_ for number, id_, _ in self.contacts if id_ and same_number(number, effect.number)), None)
                return Answer(result={"contact": known or f"{IMAGINED}-contact"})
            case RegisterCall():
                contact = effect.contact or self._matched(effect.number)
                return Answer(result={"call": self.call or f"{IMAGINED}-{effect.external_id}", "contact": contact})
            case UpdateCall():
                return Answer()
            case ConfirmCall():
                return Answer(result={"call": self.call or None, "contact": self.linked or None, "recordings": []})
            case InspectCall():
                return Answer(result={"recordings": list(self.recordings)})
            case _:
                return self._follow_up(effect)

    def adapted(self, effect: Effect, recorded: AnyOutcome) -> Answer | None:
        """The recorded answer to something of the same kind, as it would be for this effect; None: it does not hold for it."""
        if isinstance(recorded, EffectRefused):
            held = is_account_wide(recorded) or contains(effect, recorded.effect)
            return Answer(refusal=recorded) if held else None
        if not isinstance(recorded, EffectDone):
            return None
        if content(encode_effect(effect)) == content(recorded.effect):
            return Answer(result=dict(recorded.result))
        match effect:
            case FindEmployees():
                return self.answer(effect)
            case RegisterCall():
                return Answer(result={**recorded.result, "contact": effect.contact or self._matched(effect.number)})
            case _:
                return Answer(result=dict(recorded.result))

    def _follow_up(self, effect: FollowUp) -> Answer:
        """What comes after the record: as it was answered once, else as it would be where nobody else has a say."""
        if effect.type in self.results:
            return Answer(result=dict(self.results[effect.type]))
        match effect:
            case CreateOrder():
                return Answer(result={"order": f"{IMAGINED}-order", "name": "", "open": None})
            case CreateTask():
                return Answer(result={"task": f"{IMAGINED}-task", "existed": False, "assignee": effect.assignee})
            case ClaimCallback():
                told = "the record does not say whose task it would be: taken as this call's"
                return Answer(result={"granted": True}, assumed=told)
            case KeepTask():
                return Answer(result={"open": True})
            case HoldTasks():
                return Answer(result={"told_by": effect.call})
            case CloseCallback():
                return Answer(result={"tasks": []})
            case CompleteTask():
                return Answer(result={"gone": False})
            case InspectTask():
                return Answer(result={"open": True})

    def _matched(self, number: str) -> str | None:
        """Whom MoySklad links by itself: the number was in somebody's card (CONTRACT-MOYSKLAD 1.4); not who was made since."""
        return next((id_ for each, id_, _ in self.contacts if same_number(each, number)), self.linked or None)

    def _find(self, effect: FindContact) -> Answer:
        for number, id_, name in self.contacts:
            if same_number(number, effect.number):
                return Answer(result={"contact": id_, "name": name, "matches": int(id_ is not None)})
        if self.linked:
            return Answer(result={"contact": self.linked, "name": "", "matches": 1})
        told = "the record does not say whose number it is: taken as nobody's"
        return Answer(result={"contact": None, "name": "", "matches": 0}, assumed=told)


def learned(events: Iterable[Event]) -> StandIn:
    """All that a record tells, whenever it was found out."""
    known = StandIn()
    contacts: list[tuple[str, str | None, str]] = []
    employees: dict[str, Any] = {}
    results: dict[str, dict[str, Any]] = {}
    recordings: list[str] = []
    refusals: list[EffectRefused] = []
    for event in events:
        if isinstance(event, EffectRefused) and not is_account_wide(event):
            refusals.append(event)
        effect = effect_of(event)
        if effect is None or not isinstance(event, EffectDone):
            continue
        result = event.result
        results[effect.type] = result
        match effect:
            case FindContact():
                contacts.append((effect.number, result.get("contact"), str(result.get("name") or "")))
            case CreateContact() if result.get("contact"):
                # Before it was made it was nobody's: that is what a look-up found, and finds again.
                contacts.append((effect.number, str(result["contact"]), ""))
            case FindEmployees() if isinstance(result.get("employees"), Mapping):
                employees.update(result["employees"])
            case RegisterCall() | ConfirmCall() if result.get("call"):
                known = replace(known, call=str(result["call"]), linked=str(result.get("contact") or known.linked))
            case _:
                pass
        if isinstance(effect, RegisterCall | UpdateCall):
            recordings += effect.recordings
    return replace(
        known,
        contacts=tuple(contacts),
        employees=employees,
        recordings=tuple(recordings),
        refusals=tuple(refusals),
        results=results,
    )


def effect_of(event: Event) -> Effect | None:
    """The effect that an outcome is about; None for other events, and for effects this code does not know."""
    data = getattr(event, "effect", None)
    if data is None:
        return None
    try:
        return decode_effect(data)
    except msgspec.ValidationError:
        return None


def content(effect: Any) -> Any:
    """A stored effect without what differs from one try to the next."""
    if isinstance(effect, Mapping):
        return {name: content(value) for name, value in effect.items() if name not in _VOLATILE}
    return [content(value) for value in effect] if isinstance(effect, list | tuple) else effect


def contains(effect: Effect, refused: Mapping[str, Any]) -> bool:
    """Whether an effect asks for all that a refused one asked for: then it is refused as well."""
    asked = content(encode_effect(effect))
    return all(_holds(asked.get(name), value) for name, value in content(refused).items() if value not in ("", None, [], ()))


def _holds(value: Any, part: Any) -> bool:
    if isinstance(part, list | tuple):
        return isinstance(value, list | tuple) and all(each in value for each in part)
    return bool(value == part)


def is_card_or_record(effect: Effect) -> bool:
    """Whether it is the call itself that is told of; everything else is about the customer, the employees, what follows."""
    return isinstance(effect, RegisterCall | UpdateCall)
