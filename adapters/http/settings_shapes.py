"""What the administrator's API answers about settings, checks and retries, as types (``shapes.py``)."""

from __future__ import annotations

from typing import Any, Literal

from adapters.http.shapes import Moment, Ms, Shape
from core.settings import Settings


class NoSettingShown(Shape, frozen=True, kw_only=True):
    """A name in an update that is no setting, and the nearest ones in words."""

    field: str
    error: str
    hint: str


class SettingsShown(Shape, frozen=True, kw_only=True):
    """Settings in force: ``ms`` as stored, secrets masked; ``effective`` as they are understood, older forms included;
    ``unknown``: what a PUT named that is no setting."""

    enterprise_number: str
    revision: int
    ms: dict[str, Any]
    effective: Settings
    problems: list[str]
    name: str = ""
    primary: str = ""
    unknown: tuple[NoSettingShown, ...] = ()


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
    """What the connection test found. ``changes``: whether MoySklad tells of changed clients; everything works without it."""

    success: bool
    phone_api: VerdictShown
    main_api: VerdictShown
    changes: VerdictShown
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


class Organizations(Shape, frozen=True, kw_only=True):
    """Names of legal entities, or why there are none, in Russian words."""

    organizations: list[str]
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


class Retried(Shape, frozen=True, kw_only=True):
    """What became of the wish to ask again."""

    status: str
    enterprise_number: str
    calls: int
    call: str = ""
