"""One call's history as a file: how a call leaves the database, for a test, for a ticket, for the corpus of replays.

JSON lines. The first says what it is a history of, and under which settings the call was worked on; each other one is an event
as the store keeps it: type, schema, data. Nothing else is needed to run the call again. Schemas stay as they were written, so
that a file of an earlier version proves that today's code still reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import msgspec
import orjson

from core.call import Call, fold, initial
from core.decisions import Limits
from core.events import Event, UnknownEventType, decode, encode
from core.settings import Settings, map_secrets, parse_settings

FORMAT: Final = 1
HERE: Final = "(set)"
"""Stands for a secret in the file: plans depend on whether there is one, never on which one."""

_ADDRESSES: Final = frozenset({"webhook_uuid", "webhook_url"})
"""Whoever knows them can ring the enterprise's telephones, if its webhook's signature is not enforced."""


class BadHistory(ValueError):
    """A file that holds no history; the message says in which line, and what is wrong with it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """An event as the store keeps it."""

    type: str
    schema: int
    data: dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryFile:
    """A call's history, and all that is needed to run it again.

    ``config``: the ``ms`` object under which the call began, without secrets. ``until_ms``: when it was looked at; a call that
    went on then is run until then. ``about``: what it shows, in words. ``expect``: what should be true of it
    (:mod:`core.expectations`).
    """

    enterprise: str
    call: str
    config: Mapping[str, Any]
    stored: tuple[Stored, ...]
    limits: Limits = field(default_factory=Limits)
    until_ms: int | None = None
    about: str = ""
    expect: Mapping[str, Any] = field(default_factory=dict)

    @property
    def settings(self) -> Settings:
        """The settings as they are understood."""
        return parse_settings(self.config)

    @property
    def events(self) -> tuple[Event, ...]:
        """The events as this code reads them. Raises BadHistory for one that it cannot read."""
        return tuple(_decoded(number, each) for number, each in enumerate(self.stored, start=1))

    @property
    def folded(self) -> Call:
        """The call after all of it."""
        return fold(initial(self.enterprise, self.call), self.events)


def _decoded(number: int, stored: Stored) -> Event:
    try:
        return decode(stored.type, stored.schema, stored.data)
    except (UnknownEventType, KeyError, msgspec.ValidationError) as error:
        raise BadHistory(f"event {number} ({stored.type}, schema {stored.schema}) cannot be read: {error}") from error


def stored_of(events: Iterable[Event]) -> tuple[Stored, ...]:
    """Events as the store would keep them today."""
    found = []
    for event in events:
        type_, schema, data = encode(event)
        found.append(Stored(type=type_, schema=schema, data=data))
    return tuple(found)


def without_secrets(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings as they may leave the house: each secret that is set is replaced by a word that says so."""
    kept = {name: value for name, value in config.items() if name not in _ADDRESSES}
    return map_secrets(kept, lambda secret: HERE if secret else "")


def dump(history: HistoryFile) -> bytes:
    """The file's content. The settings' secrets never get into it."""
    head: dict[str, Any] = {
        "history": FORMAT,
        "enterprise": history.enterprise,
        "call": history.call,
        "about": history.about,
        "until_ms": history.until_ms,
        "limits": {name: value for name, value in asdict(history.limits).items() if value != getattr(Limits(), name)},
        "expect": dict(history.expect),
        "config": without_secrets(history.config),
    }
    lines = [head, *({"type": each.type, "schema": each.schema, "data": each.data} for each in history.stored)]
    return b"".join(orjson.dumps(line) + b"\n" for line in lines)


def load(content: bytes) -> HistoryFile:
    """Read a file back. Raises BadHistory."""
    lines = [_line(number, text) for number, text in enumerate(content.split(b"\n"), start=1) if text.strip()]
    if not lines or lines[0].get("history") != FORMAT:
        raise BadHistory(f"line 1 does not begin a history: it needs \"history\": {FORMAT}")
    head = lines[0]
    try:
        return HistoryFile(
            enterprise=str(head["enterprise"]),
            call=str(head["call"]),
            config=dict(head.get("config") or {}),
            stored=tuple(msgspec.convert(line, Stored) for line in lines[1:]),
            limits=msgspec.convert(head.get("limits") or {}, Limits),
            until_ms=head.get("until_ms"),
            about=str(head.get("about") or ""),
            expect=dict(head.get("expect") or {}),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise BadHistory(f"the history cannot be read: {error}") from error


def _line(number: int, text: bytes) -> dict[str, Any]:
    try:
        line = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise BadHistory(f"line {number} is not JSON: {error}") from error
    if not isinstance(line, dict):
        raise BadHistory(f"line {number} is not an object")
    return line
