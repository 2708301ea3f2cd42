"""The last requests both APIs got, so that a test can count them and a person can read what was sent.

Credentials never get in: of the headers nothing is kept, and answers of ``/security/token`` are not either.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import Any

import orjson

MAX_BODY_CHARS = 16_384


@dataclass(slots=True, kw_only=True)
class RequestEntry:
    """One request; ``status`` 0 means that it got no answer. Times are milliseconds."""

    id: int
    at_ms: int
    api: str
    method: str
    path: str
    account: str | None = None
    status: int = 0
    duration_ms: int = 0
    body: Any = None
    codes: tuple[int, ...] = ()
    fault: str | None = None


@dataclass(slots=True)
class RequestLog:
    """A ring of requests, numbered from 1 without gaps."""

    size: int
    entries: deque[RequestEntry] = field(default_factory=deque)
    last_id: int = 0

    def begin(self, *, at_ms: int, api: str, method: str, path: str) -> RequestEntry:
        """A new entry, to be filled in while the request is served."""
        self.last_id += 1
        entry = RequestEntry(id=self.last_id, at_ms=at_ms, api=api, method=method, path=path)
        self.entries.append(entry)
        while len(self.entries) > self.size:
            self.entries.popleft()
        return entry

    def since(self, request_id: int) -> list[RequestEntry]:
        """The remembered requests after this one, oldest first."""
        return [entry for entry in self.entries if entry.id > request_id]


def readable_body(body: bytes) -> Any:
    """A request body for reading: JSON where it is JSON, else text, shortened."""
    if not body:
        return None
    if len(body) <= MAX_BODY_CHARS:
        try:
            return orjson.loads(body)
        except orjson.JSONDecodeError:
            pass
    return body[:MAX_BODY_CHARS].decode("utf-8", "replace")
