"""Finds calls in the index that ``projections/calls.py`` keeps (PRODUCT F2), and turns what a person says into a call id.

Pages are cut by place, not by number: a page begins after the last call of the one before, so that the thousandth costs
what the first does, and calls that come meanwhile shift nothing.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any, Final

import orjson

from adapters.call_legs import call_of, calls_of
from adapters.looking import TooMuch, looking
from adapters.postgres.database import load_sql
from adapters.zones import pbx_zone
from core.events import safe_id
from core.phone import digits, same_number
from core.values import Direction, Outcome

LIMIT: Final = 200
LAST_MS: Final = 253_402_300_799_999
"""The last moment of the year 9999."""

NEAR_MS: Final = 300_000
"""A call named by phone and time is the nearest one within five minutes of it."""

WHOLE: Final = 9
"""So many last digits find a whole number, whatever it begins with; fewer are the end of one."""

FEWEST: Final = 3
"""Fewer last digits would find every tenth call."""

TOO_WIDE: Final = ("from", "less at once: a shorter time, one enterprise, or a number")

FIELDS: Final = frozenset(
    {
        "enterprise", "call", "phone", "extension", "outcome", "direction", "from", "to", "failed", "parked", "live", "limit",
        "after",
    }
)  # fmt: skip

_SEARCH, _NEAREST, _KNOWN = load_sql("call_search"), load_sql("call_nearest"), load_sql("call_known")
_ENTERPRISE, _NAMED, _ROWS = load_sql("enterprise_known"), load_sql("call_named"), load_sql("call_rows")


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page, newest first. ``after``: what to give back as ``after`` for the next one; None: there is none."""

    calls: tuple[dict[str, Any], ...]
    after: str | None


async def search(pool: Any, query: Mapping[str, str], zone: tzinfo) -> Found:
    """Calls that match. Raises ValueError(field, hint) for a value that cannot be understood, or for a search that is too wide."""
    for key, value in query.items():
        if key not in FIELDS:
            raise ValueError(key, f"one of {', '.join(sorted(FIELDS))}")
        if not value.isprintable():
            raise ValueError(key, "plain text")
    if query.get("call"):
        return await _named(pool, query.get("enterprise") or None, query["call"])
    phone = query.get("phone", "")
    limit = _limit(query.get("limit", "50"))
    after = _after(query.get("after", ""))
    args = (
        query.get("enterprise") or None,
        *_range(_tail(phone)),
        query.get("extension") or None,
        _outcomes(query.get("outcome", "")),
        _direction(query.get("direction", "")),
        moment_ms(query.get("from"), "from", zone),
        _last_ms(query.get("to"), zone),
        *(query.get(flag, "") not in ("", "0", "false") for flag in ("failed", "parked", "live")),
        limit + 1,
        *after,
    )
    try:
        async with looking(pool) as connection:
            rows = await connection.fetch(_SEARCH, *args)
    except TooMuch:
        raise ValueError(*TOO_WIDE) from None
    page = rows[:limit]
    return Found(
        # The last nine digits find; two countries' numbers may share them.
        calls=tuple(dict(row) for row in page if len(digits(phone)) < WHOLE or same_number(row["number"], phone)),
        after=_place(page[-1]) if len(rows) > limit else None,
    )


async def _named(pool: Any, enterprise: str | None, name: str) -> Found:
    """The call of that name, whatever else was asked for; for a leg, the call that it belongs to as well."""
    keys = [tuple(row) for row in await pool.fetch(_NAMED, enterprise, safe_id(name), name)]
    if not keys and enterprise is None:
        keys = await calls_of(pool, name)
    elif not keys and enterprise is not None and (call := await call_of(pool, enterprise, name)) is not None:
        keys = [(enterprise, call)]
    rows = await pool.fetch(_ROWS, [key[0] for key in keys], [key[1] for key in keys])
    return Found(calls=tuple(dict(row) for row in rows), after=None)


async def resolve(pool: Any, enterprise: str, name: str, zone: tzinfo) -> str | None:
    """The call that ``name`` means: its UniqueId, MoySklad's id of it, ``phone@time`` (``+375290000001@2026-11-23 15:30``), or what
    the PBX calls a channel or a bridge of it. The time is the PBX's; ``zone``: the service's, where the enterprise's
    settings say none.
    """
    if not name.isprintable() or not enterprise.isprintable():
        return None  # PostgreSQL holds no NUL, and nobody means one
    known = await pool.fetchval(_KNOWN, enterprise, f"call/{safe_id(name)}", safe_id(name), name)
    if known is not None:
        return str(known)
    phone, at, moment = name.partition("@")
    if not at or not digits(phone):
        return await call_of(pool, enterprise, name)
    at_ms = moment_ms(moment, "time", await pbx_zone(pool, enterprise, zone))
    rows = await pool.fetch(_NEAREST, enterprise, digits(phone)[-WHOLE:][::-1], at_ms, NEAR_MS)
    return next((str(row["call"]) for row in rows if same_number(row["number"], phone)), None)


async def is_known(pool: Any, enterprise: str) -> bool:
    """Whether there is such an enterprise: with settings, or with calls."""
    return enterprise.isprintable() and bool(await pool.fetchval(_ENTERPRISE, enterprise))


async def must_be_known(pool: Any, enterprise: str) -> None:
    """Raise ValueError, in words, for an enterprise that nobody knows: nothing is wrong with it, because there is none."""
    if not await is_known(pool, enterprise):
        raise ValueError(f"nobody knows enterprise {enterprise}: it has no settings and no calls; check the number")


async def no_such_call(pool: Any, enterprise: str, name: str) -> str:
    """What to tell whoever named a call that :func:`resolve` does not find. Raises as :func:`must_be_known` does."""
    await must_be_known(pool, enterprise)
    return f"enterprise {enterprise} has no call {name}; name it by UniqueId, MoySklad's id, or phone@time"


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9 or not 1 <= int(text) <= LIMIT:
        raise ValueError("limit", f"a number from 1 to {LIMIT}")
    return int(text)


def _tail(phone: str) -> str:
    """The digits by which a number is looked for: however it was typed, its end."""
    number = digits(phone)
    if phone and len(number) < FEWEST:
        raise ValueError("phone", f"a number, however it is typed, or at least its last {FEWEST} digits")
    return number[-WHOLE:]


def _range(tail: str) -> tuple[str | None, str | None]:
    """From where, and before where, numbers that end so stand in the index of tails (turned round); a whole tail is one place."""
    turned = tail[::-1]
    if not turned or len(turned) == WHOLE:
        return turned or None, None
    return turned, turned[:-1] + chr(ord(turned[-1]) + 1)


def _outcomes(text: str) -> list[str] | None:
    known = {each.value for each in Outcome}
    asked = [each for each in text.split(",") if each]
    if set(asked) - known:
        raise ValueError("outcome", f"any of {', '.join(sorted(known))}")
    return asked or None


def _direction(text: str) -> str | None:
    known = [each.value for each in Direction]
    if text and text not in known:
        raise ValueError("direction", f"one of {', '.join(known)}")
    return text or None


def _place(row: Mapping[str, Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([row["started_ms"], row["enterprise"], row["call"]])).decode().rstrip("=")


def _after(text: str) -> tuple[int | None, str | None, str | None]:
    if not text:
        return None, None, None
    try:
        place = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError):
        place = None
    match place:
        case [int(started_ms), str(enterprise), str(call)] if abs(started_ms) <= LAST_MS and "\0" not in enterprise + call:
            return started_ms, enterprise, call
        case _:
            raise ValueError("after", "what the page before gave for it")


def _last_ms(text: str | None, zone: tzinfo) -> int | None:
    """Where a period ends: a day that is named belongs to it to its last millisecond. Raises as :func:`moment_ms`."""
    try:
        day = date.fromisoformat((text or "").strip())
    except ValueError:
        return moment_ms(text, "to", zone)  # a moment, or nothing that can be understood
    if day == date.max:
        return LAST_MS
    return int(datetime.combine(day + timedelta(days=1), time(), zone).timestamp() * 1000) - 1


def moment_ms(text: str | None, field: str, zone: tzinfo) -> int | None:
    """A moment as a person or a program writes it, in milliseconds UTC. Raises ValueError(field, hint)."""
    if not text:
        return None
    if text.isascii() and text.isdigit() and len(text) > len("20261123"):
        at_ms = int(text[: len(str(LAST_MS)) + 1])
        if at_ms <= LAST_MS:
            return at_ms
    try:
        moment = datetime.fromisoformat(text.strip())
        return int((moment if moment.tzinfo else moment.replace(tzinfo=zone)).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise ValueError(field, "YYYY-MM-DD HH:MM:SS or YYYY-MM-DD, local time of the PBX, or milliseconds") from None
