"""The local time of an enterprise's PBX: its settings may name another zone than the service's (``MS_TIMEZONE``)."""

from __future__ import annotations

from datetime import tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.settings import parse_settings, read_object

_ROW: Final = "SELECT integrations_config FROM public.enterprises WHERE number = $1"


def zone_of(name: str, otherwise: tzinfo) -> tzinfo:
    """The zone of this name; ``otherwise`` where none is named, or none has that name: a row may hold anything."""
    try:
        return ZoneInfo(name) if name else otherwise
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return otherwise


async def pbx_zone(pool: Any, enterprise: str, otherwise: tzinfo) -> tzinfo:
    """The zone of an enterprise's PBX as its row says now, for whoever has no settings at hand; ``otherwise``: the service's."""
    row = read_object(await pool.fetchval(_ROW, enterprise))
    return zone_of(parse_settings(row.get("ms")).timezone, otherwise)
