"""Times as MoySklad writes and reads them: ``yyyy-MM-dd HH:mm:ss[.SSS]``, Moscow (CONTRACT-MOYSKLAD 1.7, 2.1)."""

from __future__ import annotations

import re
from datetime import datetime
from zoneinfo import ZoneInfo

MOSCOW = ZoneInfo("Europe/Moscow")
_FORM = re.compile(r"^(\d{4})-(\d{2})-(\d{2}) (\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{3}))?)?$", re.ASCII)


def parse_moscow(text: str, *, minutes_allowed: bool = False) -> int | None:
    """Epoch ms of a MoySklad time, or None for anything else: ISO ``T``, offsets, impossible dates.

    ``minutes_allowed`` takes the short form without seconds, which only filters of the JSON API know.
    """
    match = _FORM.match(text)
    if match is None:
        return None
    year, month, day, hour, minute, second, millis = match.groups()
    if second is None and not minutes_allowed:
        return None
    try:
        moment = datetime(int(year), int(month), int(day), int(hour), int(minute), int(second or 0), tzinfo=MOSCOW)
        return int(moment.timestamp()) * 1000 + int(millis or 0)
    except (ValueError, OverflowError):
        return None


def format_moscow(at_ms: int, *, millis: bool = True) -> str:
    """The same the other way; with ``.SSS`` as the Phone API answers even unasked (1.1)."""
    seconds, rest = divmod(at_ms, 1000)
    moment = datetime.fromtimestamp(seconds, tz=MOSCOW)
    text = moment.strftime("%Y-%m-%d %H:%M:%S")
    return f"{text}.{rest:03d}" if millis else text
