"""What a route gets and gives, and how a path finds its route; both APIs and their errors 1002 and 1039 share it.

Handlers are plain functions: a request is processed in one step of the event loop, so no two requests can interleave.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from adapters.sandbox.errors import refuse
from adapters.sandbox.state import Account, Employee, Json, State

MAX_JSON_DEPTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One authenticated request, its body read."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    account: Account
    user: Employee
    now_ms: int
    request_id: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What goes back; ``body`` None is an empty one."""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[State, Ask, tuple[str, ...]], Answer]


class Routes:
    """Patterns like ``/call/{}/event`` with their methods."""

    def __init__(self, table: Sequence[tuple[str, Mapping[str, Handler]]]) -> None:
        self._table = [
            (re.compile("^" + re.escape(pattern).replace(r"\{\}", "([^/]+)") + "/?$"), methods) for pattern, methods in table
        ]

    def find(self, method: str, path: str) -> tuple[Handler, tuple[str, ...]]:
        """The handler and what stood in the holes; raises 1002 for no such path, 1039 for no such method there."""
        for pattern, methods in self._table:
            match = pattern.match(path)
            if match is None:
                continue
            handler = methods.get(method)
            if handler is None:
                raise refuse(1039, method)
            return handler, match.groups()
        raise refuse(1002, path)


def read_json(state: State, ask: Ask) -> Any:
    """The body as JSON; raises 1037 or 2001 for a foreign Content-Type, 2001 for no JSON, 2005 for a bare value."""
    media = ask.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    if media != "application/json" and state.switches.wrong_content_type != "accepted":
        raise refuse(int(state.switches.wrong_content_type))
    try:
        value = orjson.loads(ask.body)
    except orjson.JSONDecodeError:
        raise refuse(2001) from None
    if not isinstance(value, dict | list):
        raise refuse(2005)
    if _depth(value) > MAX_JSON_DEPTH:
        raise refuse(2017)
    return value


def read_object(state: State, ask: Ask) -> Json:
    """The body as one object; an array is refused with 2009."""
    value = read_json(state, ask)
    if not isinstance(value, dict):
        raise refuse(2009)
    return value


def _depth(value: Any) -> int:
    deepest, level = 0, [value]
    # one step beyond the limit is enough to refuse
    while level and deepest <= MAX_JSON_DEPTH:
        deepest += 1
        level = [
            child
            for holder in level
            for child in (holder.values() if isinstance(holder, dict) else holder)
            if isinstance(child, dict | list)
        ]
    return deepest
