"""Finds calls in the index that ``projections/calls.py`` keeps (PRODUCT F2), and turns what a person says into a call id."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from adapters.postgres.database import load_sql
from core.events import safe_id
from core.phone import digits, same_number

LIMIT: Final = 200
LAST_MS: Final = 253_402_300_799_999
"""The last moment of the year 9999."""

NEAR_MS: Final = 300_000
"""A call named by phone and time is the nearest one within five minutes of it."""

_SEARCH, _NEAREST, _KNOWN = load_sql("call_search"), load_sql("call_nearest"), load_sql("call_known")


async def search(pool: Any, query: Mapping[str, str], zone: tzinfo) -> list[dict[str, Any]]:
    """Calls that match, newest first. Raises ValueError(field, hint) for a value that cannot be understood."""
    known = {"enterprise", "phone", "extension", "outcome", "from", "to", "failed", "limit"}
    for key in query:
        if key not in known:
            raise ValueError(key, f"one of {', '.join(sorted(known))}")
    limit = query.get("limit", "50")
    if not limit.isascii() or not limit.isdigit() or len(limit) > 9 or not 1 <= int(limit) <= LIMIT:
        raise ValueError("limit", f"a number from 1 to {LIMIT}")
    for key, value in query.items():
        if not value.isprintable():
            raise ValueError(key, "plain text")
    number = digits(query.get("phone", ""))
    if query.get("phone") and not number:
        raise ValueError("phone", "a number, however it is typed")
    rows = await pool.fetch(
        _SEARCH,
        query.get("enterprise") or None,
        number[-9:] or None,
        query.get("extension") or None,
        query.get("outcome") or None,
        _moment(query.get("from"), "from", zone),
        _moment(query.get("to"), "to", zone),
        query.get("failed", "") not in ("", "0", "false"),
        int(limit),
    )
    # The index finds by the last nine digits; two countries' numbers may share them.
    phone = query.get("phone", "")
    return [dict(row) for row in rows if not phone or same_number(row["number"], phone)]


async def resolve(pool: Any, enterprise: str, name: str, zone: tzinfo) -> str | None:
    """The call that ``name`` means: its UniqueId, MoySklad's id of it, or ``phone@time`` (``+375290000001@2026-11-23 15:30``)."""
    if not name.isprintable() or not enterprise.isprintable():
        return None  # PostgreSQL holds no NUL, and nobody means one
    known = await pool.fetchval(_KNOWN, enterprise, f"call/{safe_id(name)}", safe_id(name), name)
    if known is not None:
        return str(known)
    phone, at, moment = name.partition("@")
    if not at or not digits(phone):
        return None
    at_ms = _moment(moment, "time", zone)
    rows = await pool.fetch(_NEAREST, enterprise, digits(phone)[-9:], at_ms, NEAR_MS)
    return next((str(row["call"]) for row in rows if same_number(row["number"], phone)), None)


def _moment(text: str | None, field: str, zone: tzinfo) -> int | None:
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
        raise ValueError(field, "YYYY-MM-DD HH:MM:SS, local time of the PBX, or milliseconds") from None
