"""Every event that there is, each of its texts a word of its own: for whoever must know which of them leave the house.

A new field is in neither list below until somebody says whether it is a person's: then a test fails.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Final, get_type_hints

import msgspec

from core.effects import EFFECT_TYPES
from core.events import EVENT_TYPES, OUTCOMES, EffectDone, Event
from core.values import Direction
from tests.scenario import ms

SOMEBODYS: Final = frozenset(
    {
        "click_joined.uid", "retry_requested.by", "retry_requested.reason", "effect.name", "find_contact.name",
        "find_employees.employees", "create_order.organization",
    }
)  # fmt: skip
"""Names, logins, addresses, and what a person wrote. Numbers and addresses of recordings have tests of their own."""

NOBODYS: Final = frozenset(
    {
        # ids of the PBX and of MoySklad, extensions, and how things are called
        "assignee", "bridge", "call", "channel", "channel_name", "claim_callback.by", "click", "contact", "create_order.name",
        "employee", "extension", "extensions", "external_id", "held_by", "hung_up_by", "into", "key", "leg", "mark", "open",
        "order", "over", "owner", "rang", "source", "state", "sync_id", "target", "task", "told_by", "trunk", "wire",
        # what happened, and why, in the service's, the PBX's or MoySklad's words
        "call_settled.reason", "comment", "effect_deferred.reason", "error", "how", "kind", "purpose", "remedy", "rule", "status",
        "verdict", "why", "without",
        # numbers and recordings: see above
        "caller_id", "connected", "exten", "number", "record_url", "recordings",
    }
)  # fmt: skip
"""What stands in a file for others as it is. Without a dot: wherever the field is."""


def undecided(where: str) -> bool:
    """Whether nobody has said yet if the text that stands there is somebody's."""
    return where not in SOMEBODYS | NOBODYS and where.partition(".")[2] not in NOBODYS


def every_text() -> Iterator[tuple[Event, dict[str, str]]]:
    """Each event with its texts: where each stands -> the word that stands there."""
    for kind in EVENT_TYPES.values():
        if kind not in OUTCOMES:
            yield _event(kind)
            continue
        for effect in EFFECT_TYPES.values():
            yield _event(kind, effect)


RESULTS: Final[Mapping[str, tuple[str, ...]]] = {
    "find_contact": ("contact", "name", "rule", "owner"),
    "find_employees": ("employees",),
    "create_contact": ("contact",),
    "register_call": ("call", "contact", "owner"),
    "confirm_call": ("call", "contact", "owner"),
    "create_order": ("order", "name", "open", "organization", "state", "channel", "without"),
    "create_task": ("task", "assignee"),
    "claim_callback": ("by", "task", "held_by"),
    "hold_tasks": ("told_by",),
}
"""Texts of results, as the effects' docstrings name them."""


def _event(kind: type[Any], effect: type[Any] | None = None) -> tuple[Event, dict[str, str]]:
    words: dict[str, str] = {}
    given = _filled(kind, kind.type, words)
    if effect is not None:
        given["effect"] = msgspec.to_builtins(effect(**_filled(effect, "effect", words)))
    if effect is not None and kind is EffectDone:
        given["result"] = {name: _word(effect.type, name, words) for name in RESULTS.get(effect.type, ())}
        if (name := given["result"].get("employees")) is not None:
            given["result"]["employees"] = {"101": {"id": "e-1", "name": name}}
    return kind(**given), words


def _filled(kind: type[Any], about: str, words: dict[str, str]) -> dict[str, Any]:
    names = [each.name for each in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else kind.__struct_fields__
    hints = get_type_hints(kind)
    return {name: value for name in names if (value := _value(hints[name], about, name, words)) is not None}


def _value(hint: Any, about: str, name: str, words: dict[str, str]) -> Any:
    if hint in (str, str | None):
        return _word(about, name, words)
    if hint == tuple[str, ...]:
        return (_word(about, name, words),)
    plain: Mapping[Any, Any] = {int: ms(1), int | None: ms(1), bool: True, Direction: Direction.INCOMING}
    return plain.get(hint)


def _word(about: str, name: str, words: dict[str, str]) -> str:
    return words.setdefault(f"{about}.{name}", f"Слово {about} {name}.")
