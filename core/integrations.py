"""Which integrations an enterprise has in force, read from the row that the dispatcher keeps (PRODUCT E4). Pure and total.

Only what the dispatcher asks about is read; the row itself is never changed here. ``smart`` belongs to the dispatcher: which
integration is asked first, and which lines are routed by whom (CONTRACT-ASTERISK, "Settings, as stored").
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import orjson

from core.settings import parse_settings, read_object

MS: Final = "ms"


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A line whose calls are to be routed by MoySklad's responsible employee. Read only: the dispatcher's setting."""

    line: str
    enabled: bool
    do_routing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Integration:
    """One enterprise. ``active``: MoySklad is switched on; ``phone_api``, ``main_api``: there is a key, a token; ``primary``: whom
    the dispatcher asks first; ``revision``: changes when anything of ``ms`` or ``smart`` does, whoever changed it."""

    number: str
    active: bool
    phone_api: bool
    main_api: bool
    primary: str
    is_primary: bool
    lines: tuple[Line, ...]
    revision: str


def read_integration(number: str, integrations_config: object) -> Integration | None:
    """The row as the dispatcher needs it; None for an enterprise that has nothing to do with MoySklad."""
    whole = read_object(integrations_config)
    ms, smart = read_object(whole.get(MS)), read_object(whole.get("smart"))
    primary = str(smart.get("primary") or "")
    lines = tuple(_lines(smart.get("lines")))
    if not ms and primary != MS and not lines:
        return None
    settings = parse_settings(ms)
    return Integration(
        number=number,
        active=settings.enabled,
        phone_api=settings.has_phone_api,
        main_api=settings.has_main_api,
        primary=primary,
        is_primary=primary == MS,
        lines=lines,
        revision=_digest({"ms": ms, "smart": smart}),
    )


def etag_of(integrations: list[Integration]) -> str:
    """Names the whole answer: equal exactly where every enterprise is."""
    mark = hashlib.blake2b(digest_size=16)
    for each in sorted(integrations, key=lambda one: one.number):
        mark.update(orjson.dumps([each.number, each.revision]))
    return mark.hexdigest()


def _lines(stored: object) -> list[Line]:
    found = []
    for name, value in sorted(read_object(stored).items()):
        line = read_object(value)
        if line.get("algorithm") == MS:
            enabled, routing = line.get("enabled") is not False, line.get("do_routing") is not False
            found.append(Line(line=name, enabled=enabled, do_routing=routing))
    return found


def _digest(value: Any) -> str:
    try:
        text = orjson.dumps(value, option=orjson.OPT_SORT_KEYS)
    except TypeError:  # integers beyond 64 bits, and the like
        text = repr(value).encode("utf-8", "backslashreplace")
    return hashlib.blake2b(text, digest_size=8).hexdigest()
