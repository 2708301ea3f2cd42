"""The bodies that pages and programs send to the administrator's API, as types: they parse, and they describe (``/openapi.json``).

What the dispatcher sends is parsed by ``core/signals.py``, and settings by ``core/settings_update.py``: both take more forms
than a type can say.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from adapters.access import MAX_LINK_DAYS
from adapters.http.answers import Problem, read_json
from core.values import Outcome

MAX_REVISION: Final = 2**31 - 1
"""Revisions are integers of the database."""

DEFAULT_LINK_DAYS: Final = 90
LONGEST_NAME: Final = 80

T = TypeVar("T", bound="Body")
Revision = Annotated[int, Meta(ge=1, le=MAX_REVISION)]
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Extension = Annotated[str, Meta(pattern=r"^[0-9]{1,20}$")]


class Body(msgspec.Struct, frozen=True, kw_only=True):
    """A body that is an object; fields it does not name are not looked at."""


class LogIn(Body, frozen=True, kw_only=True):
    """The operator's password."""

    password: Annotated[str, Meta(max_length=1_000)]


class Enter(Body, frozen=True, kw_only=True):
    """What stands behind the # of a link."""

    secret: Annotated[str, Meta(max_length=200)]


class NewLink(Body, frozen=True, kw_only=True):
    """For whom a link is, and for how many days."""

    name: Name
    days: Annotated[int, Meta(ge=1, le=MAX_LINK_DAYS)] = DEFAULT_LINK_DAYS


class Restore(Body, frozen=True, kw_only=True):
    """Which revision to bring back, and which one was in force when that was asked for."""

    restore: Revision
    revision: Revision


class TestCardWanted(Body, frozen=True, kw_only=True):
    """On whose screen: an extension, or an employee whom the settings give one."""

    extension: Annotated[str, Meta(max_length=64)] = ""
    employee_id: Annotated[str, Meta(max_length=64)] = ""


class SelfTestWanted(Body, frozen=True, kw_only=True):
    """Whose screen shows the test call."""

    extension: Extension


class SettingsUpdate(Body, frozen=True, kw_only=True):
    """The fields to change, under ``ms`` or as the body itself. ``revision``: refuse if another one is in force."""

    ms: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET
    revision: Revision | None = None


class WhatIfWanted(Body, frozen=True, kw_only=True):
    """Settings to try: ``revision`` to begin with (0: the newest; absent: the call's own), which ``ms`` changes.

    Neither: the same settings, by today's code.
    """

    ms: Annotated[dict[str, Any], Meta(description="as in a PUT of the settings")] | None = None
    revision: Annotated[int, Meta(ge=0, le=MAX_REVISION)] | None = None


class WhatIfDayWanted(WhatIfWanted, frozen=True, kw_only=True):
    """And the day whose calls are tried: YYYY-MM-DD, of the time zone ``zone`` (the PBX's where it is empty)."""

    day: Annotated[str, Meta(pattern=r"^[0-9]{4}-(0[1-9]|1[0-2])-[0-3][0-9]$")]
    zone: str = ""


class PbxBody(Body, frozen=True, kw_only=True):
    """The PBX's own body, as far as it is looked at; anything else is kept with the call."""

    UniqueId: str = ""
    Phone: str = ""
    Extensions: list[str] | None = None
    CallType: (
        Annotated[int, Meta(ge=0, le=2, description="0 incoming, 1 outgoing, 2 internal")] | Literal["0", "1", "2"] | None
    ) = None  # a string on older hosts (CONTRACT-ASTERISK)
    Trunk: str = ""
    CallStatus: Annotated[str, Meta(description='"2" is answered')] = ""
    DateReceived: str = ""
    StartTime: str = ""
    EndTime: str = ""
    Channel: str = ""
    CallerIDNum: str = ""
    ConnectedLineNum: str = ""
    Exten: str = ""
    BridgeUniqueid: str = ""
    BridgeNumChannels: str = ""


class Signal(Body, frozen=True, kw_only=True):
    """What the dispatcher sends. ``enterprise_number`` or ``token`` says whose it is; without ``raw`` the body is the PBX's own."""

    enterprise_number: str = ""
    token: str = ""
    unique_id: str = ""
    event: str = ""
    event_type: str = ""
    phone: str = ""
    extension: str = ""
    extensions: list[str] | None = None
    direction: str = ""
    raw: PbxBody | None = None
    record_url: str | None = None
    origin: str | None = None
    ms_config: Annotated[dict[str, Any], Meta(description="settings for this call instead of the stored ones")] | None = None


class LoggedCall(Signal, frozen=True, kw_only=True):
    """A finished call in one request; times are the PBX's local ones."""

    start_time: str = ""
    end_time: str = ""
    duration: Annotated[float, Meta(ge=0, le=86_400, description="seconds")] | None = None
    answered: bool | None = None


class Click(Body, frozen=True, kw_only=True):
    """What MoySklad sends when somebody clicks a number, as JSON or as a form; signed by ``Lognex-Content-MD5``."""

    srcNumber: Annotated[str, Meta(description="the employee's extension")] = ""
    destNumber: Annotated[str, Meta(description="the number to call")] = ""
    uid: Annotated[str, Meta(description="the login of whoever clicked")] = ""


class Hook(Body, frozen=True, kw_only=True):
    """What MoySklad sends when a client, a contact person or an employee changed: links, and which fields changed."""

    events: list[dict[str, Any]] = []


# -- queries: they describe; the handlers read them -----------------------------------------------------------------


class EnterprisesQuery(Body, frozen=True, kw_only=True):
    """A part of the number or the name."""

    q: str = ""


class EnterpriseQuery(Body, frozen=True, kw_only=True):
    """Of one enterprise; empty: of all."""

    enterprise: str = ""


class StatusQuery(Body, frozen=True, kw_only=True):
    """``lang=ru``: what kept MoySklad's answers away, for a page."""

    lang: str = ""


class AuditQuery(EnterpriseQuery, frozen=True, kw_only=True):
    """``before``: an entry's id; ``action``: several by commas."""

    before: Annotated[str, Meta(pattern=r"^[0-9]{0,17}$")] = ""
    action: str = ""


class ParkedQuery(EnterpriseQuery, frozen=True, kw_only=True):
    """How many calls to name; ``lang=ru``: reasons in Russian."""

    limit: Annotated[int, Meta(ge=1, le=1_000)] = 200
    lang: str = ""


class EmployeesQuery(Body, frozen=True, kw_only=True):
    """``1``: ask MoySklad anew, for calls too."""

    refresh: str = ""


class CallsQuery(EnterpriseQuery, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """``call``: a name (the PBX's of the call or of a part of it, or MoySklad's), then nothing else counts but ``enterprise``;
    ``from``, ``to``: the PBX's local time or milliseconds, a day alone that is ``to`` included; ``phone``: any typing, or the last
    digits; ``failed=1``: only with a failure, ``parked=1``: that need a person, ``live=1``: that go on; ``after``: from the page
    before."""

    call: str = ""
    phone: str = ""
    extension: str = ""
    outcome: Annotated[str, Meta(description=f"several by commas: {', '.join(Outcome)}")] = ""
    direction: str = ""
    since: str = ""
    until: str = ""
    failed: str = ""
    parked: str = ""
    live: str = ""
    after: str = ""
    limit: Annotated[int, Meta(ge=1, le=200)] = 50


class ReplayQuery(Body, frozen=True, kw_only=True):
    """``numbers=hide``: without numbers and names; ``download=1``: as a file; ``lang=ru``: sentences in Russian."""

    numbers: str = ""
    download: str = ""
    lang: str = ""


class ClickQuery(Body, frozen=True, kw_only=True):
    """``lang=ru``: sentences in Russian."""

    lang: str = ""


class ClicksQuery(Body, frozen=True, kw_only=True):
    """``before``: only older ones, milliseconds; ``before_click``: and, of that very millisecond, those whose names come before
    this one; the previous answer says both. ``bad=1``: only those that came to nothing; ``lang=ru``: reasons in Russian."""

    before: Annotated[str, Meta(pattern=r"^[0-9]{0,17}$")] = ""
    before_click: Annotated[str, Meta(pattern=r"^[0-9A-Za-z]{0,40}$")] = ""
    bad: str = ""
    lang: str = ""


class MissedQuery(Body, frozen=True, kw_only=True):
    """How far back."""

    days: Annotated[int, Meta(ge=1, le=90)] = 14


class ReportQuery(EnterpriseQuery, frozen=True, kw_only=True, rename={"since": "from", "until": "to"}):
    """``from``, ``to``: days, YYYY-MM-DD, of ``zone`` (an IANA name; without it the service's); ``by``: ``day`` or ``hour``."""

    since: str = ""
    until: str = ""
    by: str = "day"
    zone: str = ""


class HookQuery(Body, frozen=True, kw_only=True, rename={"request_id": "requestId"}):
    """``requestId``: MoySklad's own name for the delivery; the same one again changes nothing."""

    request_id: str = ""


class LeadQuery(Body, frozen=True, kw_only=True):
    """Which enterprise's page."""

    enterprise_number: str = ""


_HINTS: Final = {
    "password": "Введите пароль.",
    "secret": "Откройте ссылку целиком, как её прислали.",
    "name": f"Напишите, кому ссылка: имя не длиннее {LONGEST_NAME} символов.",
    "days": f"Срок: от 1 до {MAX_LINK_DAYS} дней.",
    "restore": "Отправьте номер редакции.",
    "revision": "Отправьте номер редакции, которую вы видели.",
    "day": "Укажите день: ГГГГ-ММ-ДД.",
    "extension": "Укажите добавочный номер сотрудника цифрами, например 151.",
}
_PLACE: Final = re.compile(r" - at `\$\.?([^`]*)`$")
_MISSING: Final = re.compile(r"missing required field `([^`]+)`")


async def read_body(request: web.Request, kind: type[T]) -> T:
    """The body as this type. Raises Problem 400 that names the field, and what :func:`read_json` raises."""
    sent: Any = await read_json(request)
    try:
        return msgspec.convert(sent, kind)
    except msgspec.ValidationError as error:
        text = str(error)
        missing, place = _MISSING.search(text), _PLACE.search(text)
        field = missing.group(1) if missing else place.group(1) if place else ""
        hint = _HINTS.get(field, "send an object as /docs describes it")
        raise Problem(400, _PLACE.sub("", text), field=field, hint=hint) from None
