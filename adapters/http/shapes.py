"""What the addresses answer, as types: they describe (``/openapi.json``), and the tests hold every answer to them.

Here is what all of them share, who may look, and what the dispatcher is told; ``settings_shapes.py``, ``call_shapes.py`` and
``directory_shapes.py`` have the rest.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

Ms = Annotated[int, Meta(description="milliseconds since the epoch, UTC")]
Moment = Annotated[str, Meta(description="ISO 8601, with its offset")]


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """An answer that is an object."""


class Words(Shape, frozen=True, kw_only=True):
    """An error: what happened, which field it is about (empty: none), what to do."""

    error: str
    field: str
    hint: str


class Done(Shape, frozen=True, kw_only=True):
    """It is done."""

    status: str


class Health(Shape, frozen=True, kw_only=True):
    """The service can keep what it is told."""

    status: Literal["ok"]
    version: str


# -- who one is ----------------------------------------------------------------------------------------------------


class Me(Shape, frozen=True, kw_only=True):
    """Who asks. ``enterprise``: the only one that may be seen; null: all."""

    kind: Literal["operator", "link", "program", "near"]
    name: str
    enterprise: str | None


class EnterpriseState(Shape, frozen=True, kw_only=True):
    """One enterprise with the state of its integration."""

    number: str
    name: str
    state: Literal["on", "off", "trouble", "none"]
    problems: list[str]


class Enterprises(Shape, frozen=True, kw_only=True):
    """Enterprises by number. ``complete``: there are no more."""

    enterprises: list[EnterpriseState]
    complete: bool


class LinkShown(Shape, frozen=True, kw_only=True):
    """A link for one administrator; its secret is not kept."""

    link: int
    enterprise: str
    name: str
    made_at: Moment
    expires_at: Moment
    used_at: Moment | None
    revoked_at: Moment | None
    alive: bool
    sessions: int


class Links(Shape, frozen=True, kw_only=True):
    """Links, newest first."""

    links: list[LinkShown]


class LinkMade(Shape, frozen=True, kw_only=True):
    """A new link. ``url`` cannot be shown again."""

    link: int
    url: str


class AuditEntry(Shape, frozen=True, kw_only=True):
    """Who did what."""

    id: int
    at: Moment
    actor: str
    address: str
    action: str
    enterprise: str | None
    object: str
    details: dict[str, Any]


class AuditPage(Shape, frozen=True, kw_only=True):
    """A page of the journal, newest first. ``complete``: nothing is older."""

    entries: list[AuditEntry]
    complete: bool


# -- the dispatcher ------------------------------------------------------------------------------------------------


class Taken(Shape, frozen=True, kw_only=True):
    """It is on disk; ``duplicate``: it was already."""

    status: Literal["success", "disabled"]
    enterprise_number: str
    call: str = ""
    duplicate: bool = False


class Acknowledgement(Shape, frozen=True, kw_only=True):
    """One line of the stream's answer. ``n``: which event of this connection, from 1; absent in the last line of all."""

    status: Literal["success", "disabled", "error", "closing", "unavailable", "broken", "failed"]
    n: int | None = None
    enterprise_number: str = ""
    call: str = ""
    duplicate: bool = False
    code: Literal[400, 404, 413, 500] | None = None
    error: str = ""
    field: str = ""
    hint: str = ""
