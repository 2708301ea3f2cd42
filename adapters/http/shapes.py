"""What the addresses answer, as types: they describe (``/openapi.json``), and the tests hold every answer to them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from core.settings import Settings

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


# -- settings ------------------------------------------------------------------------------------------------------


class SettingsShown(Shape, frozen=True, kw_only=True):
    """Settings in force: ``ms`` as stored, secrets masked; ``effective`` as they are understood, older forms included."""

    enterprise_number: str
    revision: int
    ms: dict[str, Any]
    effective: Settings
    problems: list[str]
    name: str = ""
    primary: str = ""


class RevisionShown(Shape, frozen=True, kw_only=True):
    """One change."""

    revision: int
    at: Moment
    by: str
    reason: str
    ms: dict[str, Any]


class Changes(Shape, frozen=True, kw_only=True):
    """What changed, newest first."""

    history: list[RevisionShown]


class VerdictShown(Shape, frozen=True, kw_only=True):
    """Whether one API works, in Russian words."""

    ok: bool
    text: str
    details: dict[str, Any]


class Connection(Shape, frozen=True, kw_only=True):
    """What the connection test found."""

    success: bool
    phone_api: VerdictShown
    main_api: VerdictShown
    problems: list[str]


class EmployeeShown(Shape, frozen=True, kw_only=True):
    """A colleague; what MoySklad did not say is empty. ``mapped_to``: extensions that the settings give."""

    employee_id: str
    extension: str
    name: str
    email: str
    login: str
    mapped_to: list[str]


class Employees(Shape, frozen=True, kw_only=True):
    """Everybody, and what could not be found out, in Russian words."""

    employees: list[EmployeeShown]
    problems: list[str]


class OrderStates(Shape, frozen=True, kw_only=True):
    """Names of states, or why there are none, in Russian words."""

    states: list[str]
    problem: str


class TestCardShown(Shape, frozen=True, kw_only=True):
    """Whether the card is on the screen, in Russian words; ``call``: MoySklad's id."""

    success: bool
    message: str
    call: str = ""


class SelfTestBegun(Shape, frozen=True, kw_only=True):
    """The name under which the test can be asked for."""

    test: str


class StepShown(Shape, frozen=True, kw_only=True):
    """One step of a test call, in Russian words."""

    key: str
    title: str
    state: Literal["waiting", "running", "done", "failed", "skipped"]
    text: str
    took_ms: int | None


class SelfTestShown(Shape, frozen=True, kw_only=True):
    """How far a test call has come."""

    test: str
    extension: str
    state: Literal["running", "passed", "failed"]
    steps: list[StepShown]
    started_ms: Ms
    took_ms: int


# -- calls ---------------------------------------------------------------------------------------------------------


class CallRow(Shape, frozen=True, kw_only=True):
    """A call as the index has it."""

    enterprise: str
    call: str
    phase: str
    direction: str
    outcome: str | None
    number: str
    extensions: list[str]
    extension: str
    started_ms: Ms
    ended_ms: Ms | None
    talk_ms: int
    moysklad_call: str | None
    open_cards: int
    failures: int
    parked: str
    remedy: str


class CallsFound(Shape, frozen=True, kw_only=True):
    """Calls that match, newest first."""

    calls: list[CallRow]


class Retried(Shape, frozen=True, kw_only=True):
    """What became of the wish to ask again."""

    status: str
    enterprise_number: str
    calls: int
    call: str = ""


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
