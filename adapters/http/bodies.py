"""The bodies that pages and programs send to the administrator's API, as types: they parse, and they describe (``/openapi.json``).

What the dispatcher sends is parsed by ``core/signals.py``, and settings by ``core/settings_update.py``: both take more forms
than a type can say.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, TypeVar

import msgspec
from aiohttp import web
from msgspec import Meta

from adapters.access import MAX_LINK_DAYS
from adapters.http.answers import Problem, read_json

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


_HINTS: Final = {
    "password": "Введите пароль.",
    "secret": "Откройте ссылку целиком, как её прислали.",
    "name": f"Напишите, кому ссылка: имя не длиннее {LONGEST_NAME} символов.",
    "days": f"Срок: от 1 до {MAX_LINK_DAYS} дней.",
    "restore": "Отправьте номер редакции.",
    "revision": "Отправьте номер редакции, которую вы видели.",
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
