"""The local time of an enterprise's PBX: its settings may name another zone than the service's (``MS_TIMEZONE``)."""

from __future__ import annotations

from datetime import tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError


def zone_of(name: str, otherwise: tzinfo) -> tzinfo:
    """The zone of this name; ``otherwise`` where none is named, or none has that name: a row may hold anything."""
    try:
        return ZoneInfo(name) if name else otherwise
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return otherwise
