"""Fields of an AMI message, read so that nothing in them can do harm: missing, too long, or nonsense is empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from core.events import safe_id
from core.signals import ID_LIMIT, TEXT_LIMIT

_UNSTORABLE: Final = re.compile("[\x00\ud800-\udfff]")
_NOTHING_SAID: Final = ("", "<unknown>")


def text(message: Mapping[str, Any], key: str) -> str:
    """A field as it was said."""
    value = message.get(key)
    return _UNSTORABLE.sub("\ufffd", value.strip()[:TEXT_LIMIT]) if isinstance(value, str) else ""


def ident(message: Mapping[str, Any], key: str) -> str:
    """The id of a channel or a bridge, safe in a stream's name."""
    value = text(message, key)
    return safe_id(value) if len(value) <= ID_LIMIT else ""


def said(message: Mapping[str, Any], key: str) -> str:
    """A field, empty where Asterisk says that it does not know."""
    value = text(message, key)
    return "" if value in _NOTHING_SAID else value


def number_in(message: Mapping[str, Any], key: str) -> int | None:
    """A small number, such as a cause."""
    value = text(message, key)
    return int(value) if value.isascii() and value.isdigit() and len(value) < 9 else None


def raw_of(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message as it is kept: without fields that say nothing."""
    return {str(key): value for key, value in message.items() if key != "Privilege" and value not in _NOTHING_SAID}
