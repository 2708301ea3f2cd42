"""Times as MoySklad reads and writes them: local time of one zone, Moscow unless said otherwise (CONTRACT-MOYSKLAD 1.7)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

MOSCOW: Final = ZoneInfo("Europe/Moscow")
"""Of all times of the JSON API, and documented there; only the Phone API's zone is a setting, as it is not established."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def to_moscow(at_ms: int, zone: tzinfo) -> str:
    """``at_ms`` (Unix epoch, UTC) as ``yyyy-MM-dd HH:mm:ss.SSS`` in ``zone``."""
    local = (_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d}"


def from_moscow(text: object, zone: tzinfo) -> int | None:
    """The moment that MoySklad writes like this, as Unix epoch ms (UTC); None for anything else."""
    try:
        return round(datetime.fromisoformat(str(text)).replace(tzinfo=zone).timestamp() * 1_000)
    except ValueError:
        return None


def to_people(at_ms: int, zone: tzinfo) -> str:
    """The same as a Russian reader writes it, to the minute."""
    return f"{(_EPOCH + timedelta(milliseconds=at_ms)).astimezone(zone):%d.%m.%Y %H:%M}"
